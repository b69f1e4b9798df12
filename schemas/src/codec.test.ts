import { execFileSync } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import avsc from 'avsc'
import fc from 'fast-check'
import {
  addSchemaLookup,
  checkOwn,
  createEventReader,
  decodeMessage,
  type Event,
  encodeDatum,
  encodeMessage,
  eventSchema,
  eventType,
  findReading,
  fingerprintIn,
  fingerprintOf,
  HEADER_BYTES,
  messageHeader,
  newUuid,
  readEnvelope,
  registerSchema,
  uuidBytes,
  uuidText,
  Writer,
  writeEvent,
} from './index'

const golden = join(__dirname, '..', 'golden')

/** Any value that the schema allows, made from the schema itself so that a new field is covered at once. */
function arbitrary(type: unknown, named: Map<string, unknown>): fc.Arbitrary<unknown> {
  if (Array.isArray(type)) return fc.oneof(...type.map((branch) => arbitrary(branch, named)))
  if (typeof type === 'string') {
    if (named.has(type)) return arbitrary(named.get(type), named)
    switch (type) {
      case 'null':
        return fc.constant(null)
      case 'string':
        return fc.string({ unit: 'grapheme', maxLength: 40 })
      case 'long':
        return fc.integer({ min: -(2 ** 51), max: 2 ** 51 })
      case 'int':
        return fc.integer()
      case 'boolean':
        return fc.boolean()
      case 'bytes':
        return fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes))
    }
    throw new Error(`no arbitrary for ${type}`)
  }
  const schema = type as {
    type: string
    name?: string
    size?: number
    items?: unknown
    values?: unknown
    fields?: { name: string; type: unknown }[]
  }
  if (schema.name) named.set(`custody.${schema.name}`, schema)
  switch (schema.type) {
    case 'record':
      return fc.record(
        Object.fromEntries(
          schema.fields!.map((field) => [field.name, arbitrary(field.type, named)]),
        ),
      )
    case 'fixed':
      return fc
        .uint8Array({ minLength: schema.size!, maxLength: schema.size! })
        .map((bytes) => Buffer.from(bytes))
    case 'array':
      return fc.array(arbitrary(schema.items, named), { maxLength: 3 })
    case 'map':
      return fc.dictionary(
        fc.string({ minLength: 1, maxLength: 8 }),
        arbitrary(schema.values, named),
        { maxKeys: 3, noNullPrototype: true },
      )
    default:
      return arbitrary(schema.type, named)
  }
}

const anyEvent = arbitrary(eventSchema, new Map()) as fc.Arbitrary<Event>

describe('event codec', () => {
  test('the generated encoder writes what avsc writes, for any event', () => {
    fc.assert(
      fc.property(anyEvent, (event) => {
        const writer = new Writer(16)
        writeEvent(writer, event)
        const ours = Buffer.from(writer.buffer.subarray(0, writer.position))
        expect(ours.equals(eventType.toBuffer(event))).toBe(true)
      }),
      { numRuns: 300 },
    )
  })

  test('an envelope read alone is the one of the whole event', () => {
    fc.assert(
      fc.property(anyEvent, (event) => {
        event.kind = 'command.started'
        event.recorder = 'proxy-local'
        const envelope = readEnvelope(encodeMessage(event))
        expect(envelope.sequence).toBe(event.sequence)
        expect(envelope.time).toBe(event.time)
        expect(envelope.ordinal).toBe(event.ordinal)
        expect(envelope.kind).toBe(event.kind)
        expect(envelope.session?.toString('hex')).toBe(event.session?.toString('hex'))
        expect(envelope.command?.toString('hex')).toBe(event.command?.toString('hex'))
      }),
    )
  })

  test('what a draft leaves out gets the default of the schema', () => {
    const event = decodeMessage(encodeMessage({ kind: 'audit.search' }))
    expect(event.ordinal).toBe(-1)
    expect(event.masks).toEqual([])
    expect(event.who).toBeNull()
  })

  test('a cut or foreign message is an error, never an event', () => {
    const message = encodeMessage({
      kind: 'command.started',
      statement: { language: 'sql', interface: 'query', text: 'select 1' },
    })
    for (let length = 0; length < message.length; length++)
      expect(() => decodeMessage(message.subarray(0, length))).toThrow()
    const foreign = Buffer.from(message)
    foreign[4]! ^= 1
    expect(() => decodeMessage(foreign)).toThrow(/unknown event schema/)
  })

  test('the fingerprint is CRC-64-AVRO of the canonical form', () => {
    // Known value of the specification: the empty fingerprint for "null" is 63dd24e7cc258f8a.
    expect(fingerprintOf(avsc.Type.forSchema('null')).toString('hex')).toBe('8a8f25cce724dd63')
  })
})

describe('an event’s end', () => {
  test('is found for any event, and nothing else is one', () => {
    fc.assert(
      fc.property(anyEvent, fc.nat(), (event, at) => {
        const message = encodeMessage(event)
        expect(() => checkOwn(message)).not.toThrow()
        expect(() => checkOwn(Buffer.concat([message, Buffer.from([0])]))).toThrow(RangeError)
        const cut = message.subarray(0, HEADER_BYTES + (at % (message.length - HEADER_BYTES)))
        expect(() => checkOwn(cut)).toThrow(RangeError)
      }),
    )
  })

  test('any bytes at all are an event or an error, and never read beyond', () => {
    fc.assert(
      fc.property(anyEvent, fc.nat(), fc.nat({ max: 255 }), (event, at, value) => {
        const message = encodeMessage(event)
        message[HEADER_BYTES + (at % (message.length - HEADER_BYTES))] = value
        let found: unknown = null
        try {
          checkOwn(message)
        } catch (error) {
          found = error
        }
        // Where the skipper is content so is the decoder, but for numbers that JavaScript can't hold.
        if (found !== null) expect(found).toBeInstanceOf(RangeError)
        else
          try {
            decodeMessage(message)
          } catch (error) {
            expect(String(error)).toMatch(/precision|long/)
          }
      }),
      { numRuns: 500 },
    )
  })
})

/** Without the classes that avsc gives its records. */
const plain = (event: Event) => JSON.parse(JSON.stringify(event))

describe('a reader of events', () => {
  test('reads what the decoder reads, the second time as the first', () => {
    const read = createEventReader()
    fc.assert(
      fc.property(anyEvent, (event) => {
        const message = encodeMessage(event)
        const expected = plain(decodeMessage(message))
        expect(plain(read(message))).toEqual(expected)
        expect(plain(read(message))).toEqual(expected)
      }),
    )
  })

  test('any bytes at all are the event that the decoder finds in them, or an error', () => {
    const read = createEventReader()
    fc.assert(
      fc.property(anyEvent, fc.nat(), fc.nat({ max: 255 }), (event, at, value) => {
        const message = encodeMessage(event)
        // As it was, so that what is kept of its session could be taken for what is there now.
        read(message)
        message[HEADER_BYTES + (at % (message.length - HEADER_BYTES))] = value
        let found: Event | null = null
        try {
          found = read(message)
        } catch (error) {
          expect(error).toBeInstanceOf(RangeError)
        }
        if (found !== null) expect(plain(found)).toEqual(plain(decodeMessage(message)))
        else
          expect(() => {
            checkOwn(message)
            decodeMessage(message)
          }).toThrow()
      }),
      { numRuns: 500 },
    )
  })

  test('a cut message is an error, and so is one with something behind it', () => {
    const read = createEventReader()
    const message = encodeMessage({ kind: 'command.started', session: newUuid() })
    expect(read(message).kind).toBe('command.started')
    for (let length = 0; length < message.length; length++)
      expect(() => read(message.subarray(0, length))).toThrow()
    expect(() => read(Buffer.concat([message, Buffer.from([0])]))).toThrow(RangeError)
  })

  test('a session whose who changes is read as it is now', () => {
    const read = createEventReader()
    const session = newUuid()
    const of = (subject: string) =>
      read(
        encodeMessage({
          kind: 'session.changed',
          session,
          who: { subject, issuer: 'i', kind: 'human', method: 'oidc' },
        }),
      )
    const [first, again, other] = [of('ada'), of('ada'), of('bob')]
    expect(again.who).toBe(first.who)
    expect(other.who?.subject).toBe('bob')
    expect(of('ada').who?.subject).toBe('ada')
  })

  test('messages of earlier versions are read as the decoder reads them', () => {
    const read = createEventReader()
    for (const version of readdirSync(golden))
      for (const name of readdirSync(join(golden, version)).filter((one) => one.endsWith('.bin'))) {
        const text = readFileSync(join(golden, version, name), 'utf8').trim()
        const message = Buffer.from(text, 'hex')
        expect(plain(read(message))).toEqual(plain(decodeMessage(message)))
      }
  })
})

describe.each(readdirSync(golden))('golden bytes of %s', (version) => {
  const directory = join(golden, version)
  const schema = JSON.parse(readFileSync(join(directory, 'schema.json'), 'utf8')) as avsc.Schema
  const names = readdirSync(directory).filter((name) => name.endsWith('.bin'))

  test('every kind of event is read as it was written, by a decoder that was told nothing', () => {
    expect(names.length).toBeGreaterThanOrEqual(10)
    for (const name of names) {
      const message = Buffer.from(readFileSync(join(directory, name), 'utf8').trim(), 'hex')
      const event = decodeMessage(message)
      const expected = JSON.parse(
        readFileSync(join(directory, name.replace('.bin', '.json')), 'utf8'),
      )
      expect(JSON.parse(JSON.stringify(event))).toMatchObject(expected)
      expect(fingerprintIn(message)).toBe(
        fingerprintOf(avsc.Type.forSchema(schema)).toString('hex'),
      )
    }
  })

  test("today's schema reads it (fields may be added with defaults, none may go or change)", () => {
    expect(() => eventType.createResolver(avsc.Type.forSchema(schema))).not.toThrow()
  })

  test('the envelope stands where today’s reader looks for it', () => {
    for (const name of names) {
      const message = Buffer.from(readFileSync(join(directory, name), 'utf8').trim(), 'hex')
      const { id, time, kind, recorder, sequence, ordinal } = decodeMessage(message)
      expect(readEnvelope(message)).toMatchObject({ id, time, kind, recorder, sequence, ordinal })
    }
  })
})

test("the last golden version is today's schema: who changes the schema adds a directory", () => {
  const last = readdirSync(golden).sort((a, b) => Number(a.slice(1)) - Number(b.slice(1)))
  const schema = readFileSync(join(golden, last.at(-1)!, 'schema.json'), 'utf8')
  expect(fingerprintOf(avsc.Type.forSchema(JSON.parse(schema))).toString('hex')).toBe(
    fingerprintOf(eventType).toString('hex'),
  )
})

describe('other versions', () => {
  /** Today's schema with one more field at the end of the record of that name. */
  function withField(record: string, field: unknown): avsc.Schema {
    const schema = JSON.parse(JSON.stringify(eventSchema))
    const walk = (node: unknown): void => {
      if (Array.isArray(node)) node.forEach(walk)
      else if (node !== null && typeof node === 'object') {
        const one = node as { name?: string; fields?: { type: unknown }[] }
        if (one.name === record) one.fields!.push(field as { type: unknown })
        Object.values(node).forEach(walk)
      }
    }
    walk(schema)
    return schema
  }

  test('a newer event is read as far as this version knows it, and it is known that it says more', () => {
    const schema = withField('Audit', { name: 'extra', type: ['null', 'string'], default: null })
    const type = avsc.Type.forSchema(schema)
    const fingerprint = fingerprintOf(type)
    const event = decodeMessage(
      encodeMessage({ kind: 'audit.search', audit: { action: 'search', subject: 's' } }),
    )
    const newer = JSON.parse(JSON.stringify(event.audit)) as object
    const message = Buffer.concat([
      Buffer.from([0xc3, 0x01]),
      fingerprint,
      type.toBuffer({ ...event, audit: { ...newer, extra: 'more' } }),
    ])
    expect(() => decodeMessage(message)).toThrow(/unknown event schema/)
    const asked: string[] = []
    addSchemaLookup((key) => {
      asked.push(key)
      return key === fingerprint.toString('hex') ? JSON.stringify(schema) : null
    })
    expect(decodeMessage(message)).toEqual(event)
    expect(asked).toEqual([fingerprint.toString('hex')])
    const reading = findReading(fingerprint.toString('hex'))!
    expect(reading).toMatchObject({ own: false, loses: true })
    const again = Buffer.concat([messageHeader, encodeDatum(reading.read(message))])
    expect(decodeMessage(again)).toEqual(event)
  })

  test('an older one loses nothing; what it had not yet gets the default', () => {
    const schema = JSON.parse(JSON.stringify(eventSchema))
    schema.fields = schema.fields.filter(({ name }: { name: string }) => name !== 'masks')
    expect(registerSchema(schema)).toMatchObject({ own: false, loses: false })
  })

  test('a schema that is none, says something else, or is not the one it is published as, is refused', () => {
    expect(() => registerSchema({ type: 'nonsense' })).toThrow(RangeError)
    expect(() => registerSchema('string')).toThrow(/can't read/)
    const schema = withField('Mask', { name: 'other', type: ['null', 'string'], default: null })
    expect(() => registerSchema(schema, '0011223344556677')).toThrow(/published as/)
  })
})

describe('generated files', () => {
  test('are what generate.mjs makes of the records', () => {
    const before = ['event.ts', 'encoder.ts', 'skipper.ts', 'decoder.ts', 'versions.ts'].map(
      (name) => readFileSync(join(__dirname, 'generated', name), 'utf8'),
    )
    execFileSync(process.execPath, [join(__dirname, '..', 'generate.mjs')])
    const after = ['event.ts', 'encoder.ts', 'skipper.ts', 'decoder.ts', 'versions.ts'].map(
      (name) => readFileSync(join(__dirname, 'generated', name), 'utf8'),
    )
    expect(after).toEqual(before)
  })
})

describe('identifiers', () => {
  test('sort by time, also within a microsecond, and are version 7', () => {
    const ids = Array.from({ length: 5000 }, () => newUuid())
    const sorted = [...ids].sort(Buffer.compare)
    expect(ids.map(uuidText)).toEqual(sorted.map(uuidText))
    expect(new Set(ids.map(uuidText)).size).toBe(ids.length)
    for (const id of ids)
      expect(uuidText(id)).toMatch(
        /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/,
      )
    expect(Math.abs(Number.parseInt(ids[0]!.toString('hex', 0, 6), 16) - Date.now())).toBeLessThan(
      60_000,
    )
  })

  test('go through text and back; other text is refused', () => {
    const id = newUuid()
    expect(uuidBytes(uuidText(id)).equals(id)).toBe(true)
    for (const bad of ['', 'last', uuidText(id).slice(1), `${uuidText(id)}0`])
      expect(() => uuidBytes(bad)).toThrow(RangeError)
  })
})

test('messages begin with the single-object marker', () => {
  expect(messageHeader.subarray(0, 2).toString('hex')).toBe('c301')
})
