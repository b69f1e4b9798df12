/** The log's messages as Avro container files: one block for all, as ingest makes it, or small ones, as Avro's writers do. */
import { avroContainer } from '@custody/ingest'
import { eventSchema } from '@custody/schemas'

const BLOCK_EVENTS = 100

/** Columns of the table that such a file fills. */
export const EVENT_COLUMNS: readonly string[] = eventSchema.fields.map(({ name }) => name)
export const INSERTED = EVENT_COLUMNS.map((name) => `\`${name}\``).join(', ')

export const containerOf = (messages: readonly Buffer[]): Buffer => avroContainer(messages)

/** One file of small blocks: the header of the first container, the blocks of all. */
export function avroFile(messages: readonly Buffer[]): Buffer {
  const pieces: Buffer[] = []
  for (let at = 0; at < messages.length; at += BLOCK_EVENTS) {
    const piece = containerOf(messages.slice(at, at + BLOCK_EVENTS))
    // Header and block both end with the sync marker, the container's last 16 bytes.
    const sync = piece.subarray(-16)
    pieces.push(at === 0 ? piece : piece.subarray(piece.indexOf(sync) + 16))
  }
  return Buffer.concat(pieces)
}
