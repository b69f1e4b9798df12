/**
 * An Avro object container file (Avro 1.11, "Object Container Files") made by laying encoded events side by side: the
 * datum of a message is the message without its single-object header, so nothing is decoded or encoded again.
 * An event of which this version knows only a part is followed by the message it came in, which is one field more of the
 * same record.
 */
import { eventSchema, HEADER_BYTES } from '@custody/schemas'

/** What of an event goes into the file. */
export interface Datum {
  /** In this version's schema. */
  readonly datum: Buffer
  readonly message: Buffer
}

/** Columns that the file fills, the last one only `withUnread`. */
export const EVENT_COLUMNS: readonly string[] = eventSchema.fields.map(({ name }) => name)
export const UNREAD_COLUMN = 'unread'

/** Any 16 bytes that a reader can look for; the same in header and block. */
const SYNC = Buffer.from('custody-events-1', 'latin1')

function long(n: number): Buffer {
  const bytes: number[] = []
  let zigzag = BigInt(n) * 2n
  while (zigzag > 127n) {
    bytes.push(Number(zigzag & 127n) | 128)
    zigzag >>= 7n
  }
  bytes.push(Number(zigzag))
  return Buffer.from(bytes)
}

const text = (value: string) => {
  const bytes = Buffer.from(value)
  return Buffer.concat([long(bytes.length), bytes])
}

const header = (schema: unknown) =>
  Buffer.concat([
    Buffer.from('Obj\x01', 'latin1'),
    long(2),
    text('avro.schema'),
    text(JSON.stringify(schema)),
    text('avro.codec'),
    text('null'),
    long(0),
    SYNC,
  ])

const HEADER = header(eventSchema)
const HEADER_WITH_UNREAD = header({
  ...eventSchema,
  fields: [...eventSchema.fields, { name: UNREAD_COLUMN, type: 'bytes' }],
})

/** One container of one block. */
export function eventContainer(events: readonly Datum[], withUnread = false): Buffer {
  const lengths = withUnread ? events.map(({ message }) => long(message.length)) : null
  let bodyBytes = 0
  for (let i = 0; i < events.length; i++) {
    bodyBytes += events[i]!.datum.length
    if (lengths) bodyBytes += lengths[i]!.length + events[i]!.message.length
  }
  const head = withUnread ? HEADER_WITH_UNREAD : HEADER
  const block = Buffer.concat([long(events.length), long(bodyBytes)])
  const file = Buffer.allocUnsafe(head.length + block.length + bodyBytes + SYNC.length)
  let at = head.copy(file, 0)
  at += block.copy(file, at)
  for (let i = 0; i < events.length; i++) {
    at += events[i]!.datum.copy(file, at)
    if (!lengths) continue
    at += lengths[i]!.copy(file, at)
    at += events[i]!.message.copy(file, at)
  }
  SYNC.copy(file, at)
  return file
}

/** One container of messages that are all of this version's schema. */
export function avroContainer(messages: readonly Buffer[]): Buffer {
  return eventContainer(
    messages.map((message) => ({ message, datum: message.subarray(HEADER_BYTES) })),
  )
}
