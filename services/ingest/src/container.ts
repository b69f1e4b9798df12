/**
 * An Avro object container file (Avro 1.11, "Object Container Files") made by laying encoded events side by side: the
 * datum of a message is the message without its single-object header, so nothing is decoded or encoded again.
 */
import { eventSchema, HEADER_BYTES, messageHeader } from '@custody/schemas'

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

const HEADER = Buffer.concat([
  Buffer.from('Obj\x01', 'latin1'),
  long(2),
  text('avro.schema'),
  text(JSON.stringify(eventSchema)),
  text('avro.codec'),
  text('null'),
  long(0),
  SYNC,
])

/** Whether a message is of the schema that the container's header names. */
export function isOfSchema(message: Buffer): boolean {
  return messageHeader.compare(message, 0, HEADER_BYTES) === 0
}

/** One container of one block. `messages` are single-object encoded, all of the current schema. */
export function avroContainer(messages: readonly Buffer[]): Buffer {
  let bodyBytes = 0
  for (const message of messages) bodyBytes += message.length - HEADER_BYTES
  const block = Buffer.concat([long(messages.length), long(bodyBytes)])
  const file = Buffer.allocUnsafe(HEADER.length + block.length + bodyBytes + SYNC.length)
  let at = HEADER.copy(file, 0)
  at += block.copy(file, at)
  for (const message of messages) at += message.copy(file, at, HEADER_BYTES)
  SYNC.copy(file, at)
  return file
}
