/**
 * The event's bytes: Avro single-object encoding (Avro 1.11, "Single-object encoding") of `custody.Event`.
 * Encoding is the generated straight-line encoder, decoding is avsc's, so each checks the other in tests.
 * Refuses to judge an event: what it says is the recorder's business.
 */
import { hash } from 'node:crypto'
import avsc from 'avsc'
import { type EventDraft as Draft, writeEvent } from './generated/encoder'
import { type Event, eventSchema } from './generated/event'
import { skipEvent } from './generated/skipper'
import { olderSchemas } from './generated/versions'
import { newUuid, nowMicros } from './uuid'
import { Writer } from './writer'

export const eventType = avsc.Type.forSchema(eventSchema as unknown as avsc.Schema)

/** CRC-64-AVRO of a schema in parsing canonical form, least significant byte first. */
export function fingerprintOf(type: avsc.Type): Buffer {
  const canonical = Buffer.from(JSON.stringify(type.schema()))
  const EMPTY = 0xc15d213aa4d7a795n
  let crc = EMPTY
  for (const byte of canonical) {
    let entry = (crc ^ BigInt(byte)) & 0xffn
    for (let bit = 0; bit < 8; bit++) entry = (entry >> 1n) ^ (entry & 1n ? EMPTY : 0n)
    crc = (crc >> 8n) ^ entry
  }
  const fingerprint = Buffer.alloc(8)
  fingerprint.writeBigUInt64LE(crc)
  return fingerprint
}

export const schemaFingerprint = fingerprintOf(eventType)
export const HEADER_BYTES = 10
export const messageHeader = Buffer.concat([Buffer.from([0xc3, 0x01]), schemaFingerprint])
/** Where `id` and `previous` stand in every message, since they are the record's first fields and of fixed size. */
export const ID_OFFSET = HEADER_BYTES
export const PREVIOUS_OFFSET = HEADER_BYTES + 16

const NO_HASH = Buffer.alloc(32)

export function sha256(bytes: Uint8Array): Buffer {
  return Buffer.from(hash('sha256', bytes, 'buffer'))
}

/** Fields that an event must have and that a draft may leave out. */
export type EventInput = Partial<Draft> & { kind: string }

function complete(input: EventInput): Draft {
  const time = input.time ?? nowMicros()
  return {
    ...input,
    id: input.id ?? newUuid(time),
    previous: input.previous ?? NO_HASH,
    time,
    recorder: input.recorder ?? '',
    sequence: input.sequence ?? 0,
  }
}

/** One message: header and datum. */
export function encodeMessage(input: EventInput): Buffer {
  const writer = new Writer(1024)
  writer.raw(messageHeader)
  writeEvent(writer, complete(input))
  return Buffer.from(writer.buffer.subarray(0, writer.position))
}

/** The event in it. Throws a RangeError naming the fingerprint if the schema is not known. */
export function decodeMessage(message: Buffer): Event {
  if (!isMessage(message)) throw new RangeError('not an Avro single-object message')
  return readingOf(fingerprintIn(message)).read(message)
}

/** Whether the bytes begin as a message does: the marker, a fingerprint, and the fields of fixed size. */
export function isMessage(bytes: Buffer): boolean {
  return bytes.length >= HEADER_BYTES + 48 && bytes[0] === 0xc3 && bytes[1] === 0x01
}

/** Of the writer's schema, as it is written everywhere: hexadecimal, in the order of the message's bytes. */
export function fingerprintIn(message: Buffer): string {
  return message.toString('latin1', 2, HEADER_BYTES) === OWN
    ? ownFingerprint
    : message.toString('hex', 2, HEADER_BYTES)
}

/** How the messages of one writer's schema become events of today (Avro schema resolution). */
export interface Reading {
  readonly fingerprint: string
  /** The writer's schema is this version's own. */
  readonly own: boolean
  /** The writer's schema has fields that this version does not know, so that an event read is less than what was written. */
  readonly loses: boolean
  /** Throws where the bytes are not exactly one event of that schema. */
  read(message: Buffer): Event
}

const OWN = schemaFingerprint.toString('latin1')
const ownFingerprint = schemaFingerprint.toString('hex')
/** More schemas than this are not versions; whoever brings them wants something else. */
const READINGS_MAX = 256
const readings = new Map<string, Reading>([
  [
    ownFingerprint,
    {
      fingerprint: ownFingerprint,
      own: true,
      loses: false,
      read: (message) => eventType.fromBuffer(message.subarray(HEADER_BYTES)) as Event,
    },
  ],
])
const lookups = new Set<(fingerprint: string) => string | null>()

/** Asked for the JSON of a schema that a message names and nobody has registered, such as one beside a log. */
export function addSchemaLookup(lookup: (fingerprint: string) => string | null): void {
  lookups.add(lookup)
}

/** Null where nobody has published the schema. */
export function findReading(fingerprint: string): Reading | null {
  const known = readings.get(fingerprint)
  if (known) return known
  const older = olderSchemas.find((version) => version.fingerprint === fingerprint)
  if (older) return registerSchema(older.schema, fingerprint)
  for (const lookup of lookups) {
    const text = lookup(fingerprint)
    if (text !== null) return registerSchema(JSON.parse(text), fingerprint)
  }
  return null
}

function readingOf(fingerprint: string): Reading {
  const reading = findReading(fingerprint)
  if (!reading) throw new RangeError(`unknown event schema ${fingerprint}`)
  return reading
}

/**
 * Teaches the decoder another version's schema. Throws a RangeError where it is none that this version can read, or not
 * the one that `fingerprint` names.
 */
export function registerSchema(schema: unknown, fingerprint?: string): Reading {
  let writerType: avsc.Type
  let resolver: unknown
  try {
    writerType = avsc.Type.forSchema(schema as avsc.Schema)
    resolver = eventType.createResolver(writerType)
  } catch (error) {
    throw new RangeError(`a schema that this version can't read: ${(error as Error).message}`)
  }
  const found = fingerprintOf(writerType).toString('hex')
  if (fingerprint !== undefined && found !== fingerprint)
    throw new RangeError(`the schema published as ${fingerprint} is ${found}`)
  const known = readings.get(found)
  if (known) return known
  if (readings.size >= READINGS_MAX)
    throw new RangeError(`more than ${READINGS_MAX} versions of the event schema`)
  const reading: Reading = {
    fingerprint: found,
    own: false,
    loses: hasMore(writerType.schema(), eventType.schema()),
    read: (message) =>
      eventType.fromBuffer(message.subarray(HEADER_BYTES), resolver as never) as Event,
  }
  readings.set(found, reading)
  return reading
}

/** Whether a schema has a field, at any depth, that another has not. Both in canonical form. */
function hasMore(schema: unknown, than: unknown): boolean {
  const records = (root: unknown) => {
    const found = new Map<string, Set<string>>()
    const walk = (node: unknown): void => {
      if (Array.isArray(node)) node.forEach(walk)
      else if (node !== null && typeof node === 'object') {
        const { name, fields, ...rest } = node as {
          name?: string
          fields?: { name: string; type: unknown }[]
        }
        if (name && fields) found.set(name, new Set(fields.map((field) => field.name)))
        for (const field of fields ?? []) walk(field.type)
        for (const value of Object.values(rest)) walk(value)
      }
    }
    walk(root)
    return found
  }
  const own = records(than)
  for (const [name, fields] of records(schema))
    for (const field of fields) if (!own.get(name)?.has(field)) return true
  return false
}

/** Teaches the decoder an older schema; its events are read as events of today (Avro schema resolution). */
export function registerWriterSchema(schema: unknown): Buffer {
  return Buffer.from(registerSchema(schema).fingerprint, 'hex')
}

/** The datum of an event in this version's schema, without a header. */
export function encodeDatum(event: Event): Buffer {
  const writer = new Writer(1024)
  writeEvent(writer, event)
  return Buffer.from(writer.buffer.subarray(0, writer.position))
}

/** Throws a RangeError where a message of this version's schema is not exactly one event: too short, too long, no such branch. */
export function checkOwn(message: Buffer): void {
  const end = skipEvent(message, HEADER_BYTES)
  if (end !== message.length)
    throw new RangeError(`an event of ${end} bytes in a message of ${message.length}`)
}
