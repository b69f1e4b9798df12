import { execFileSync } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import avsc from 'avsc'
import fc from 'fast-check'
import {
  decodeMessage,
  type Event,
  encodeMessage,
  eventSchema,
  eventType,
  fingerprintOf,
  messageHeader,
  newUuid,
  readEnvelope,
  registerWriterSchema,
  uuidBytes,
  uuidText,
  Writer,
  writeEvent,
} from './index'

const golden = join(__dirname, '..', 'golden', 'v1')

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

describe('version 1', () => {
  const schema = JSON.parse(readFileSync(join(golden, 'schema.json'), 'utf8')) as avsc.Schema
  const names = readdirSync(golden).filter((name) => name.endsWith('.bin'))

  test('golden bytes of every kind of event are read as they were written', () => {
    expect(names.length).toBeGreaterThanOrEqual(10)
    registerWriterSchema(schema)
    for (const name of names) {
      const message = Buffer.from(readFileSync(join(golden, name), 'utf8').trim(), 'hex')
      const event = decodeMessage(message)
      const expected = JSON.parse(readFileSync(join(golden, name.replace('.bin', '.json')), 'utf8'))
      expect(JSON.parse(JSON.stringify(event))).toMatchObject(expected)
    }
  })

  test("today's schema reads version 1 (fields may be added with defaults, none may go or change)", () => {
    expect(() => eventType.createResolver(avsc.Type.forSchema(schema))).not.toThrow()
  })
})

describe('generated files', () => {
  test('are what generate.mjs makes of the records', () => {
    const before = ['event.ts', 'encoder.ts'].map((name) =>
      readFileSync(join(__dirname, 'generated', name), 'utf8'),
    )
    execFileSync(process.execPath, [join(__dirname, '..', 'generate.mjs')])
    const after = ['event.ts', 'encoder.ts'].map((name) =>
      readFileSync(join(__dirname, 'generated', name), 'utf8'),
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
