/**
 * The event's bytes: Avro single-object encoding (Avro 1.11, "Single-object encoding") of `custody.Event`.
 * Encoding is the generated straight-line encoder, decoding is avsc's, so each checks the other in tests.
 * Refuses to judge an event: what it says is the recorder's business.
 */
import { hash } from 'node:crypto'
import avsc from 'avsc'
import { type EventDraft as Draft, writeEvent } from './generated/encoder'
import { type Event, eventSchema } from './generated/event'
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
  if (message.length < HEADER_BYTES || message[0] !== 0xc3 || message[1] !== 0x01)
    throw new RangeError('not an Avro single-object message')
  const fingerprint = message.subarray(2, HEADER_BYTES)
  const resolver = resolverFor(fingerprint)
  return resolver(message.subarray(HEADER_BYTES))
}

const resolvers = new Map<string, (datum: Buffer) => Event>()
function resolverFor(fingerprint: Buffer): (datum: Buffer) => Event {
  const key = fingerprint.toString('hex')
  const known = resolvers.get(key)
  if (known) return known
  if (!fingerprint.equals(schemaFingerprint)) throw new RangeError(`unknown event schema ${key}`)
  const read = (datum: Buffer): Event => eventType.fromBuffer(datum) as Event
  resolvers.set(key, read)
  return read
}

/** Teaches the decoder an older schema; its events are read as events of today (Avro schema resolution). */
export function registerWriterSchema(schema: unknown): Buffer {
  const writerType = avsc.Type.forSchema(schema as avsc.Schema)
  const resolver = eventType.createResolver(writerType)
  const fingerprint = fingerprintOf(writerType)
  resolvers.set(
    fingerprint.toString('hex'),
    (datum) => eventType.fromBuffer(datum, resolver) as Event,
  )
  return fingerprint
}
