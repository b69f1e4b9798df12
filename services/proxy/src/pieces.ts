/**
 * The bytes of a stream as `output` events, in pieces, as far as the resource records them; the last piece says how many were
 * left out. Counts and hashes nothing: of that its callers each know what belongs together.
 */
import type { RecordedSession, Recorder } from '@custody/event-log'
import type { EventInput } from '@custody/schemas'

/** Pieces of output in one event. */
export const OUTPUT_BYTES_MAX = 64 * 1024

export interface Pieces {
  /** Absent for what belongs to no command. */
  command?: Buffer
  stream: 'output' | 'error' | 'input' | 'terminal'
  encoding: 'pgwire' | 'mysql' | 'raw'
  /** Where the first byte stands in the stream of its command. */
  offset: number
  /** How many bytes may still be recorded; Infinity for all. */
  bytesMax: number
  /** When it was seen, where that is not now. */
  atMicros?: number
  /** What was masked in it; asked for each piece that is recorded. */
  masks?(): EventInput['masks']
}

/** Answers how many bytes were recorded. */
export function recordPieces(
  recorder: Recorder,
  session: RecordedSession,
  bytes: Buffer,
  { command, stream, encoding, offset, bytesMax, atMicros, masks }: Pieces,
): number {
  const recordable = Math.max(0, Math.min(bytes.length, bytesMax))
  for (let at = 0; at < recordable; at += OUTPUT_BYTES_MAX) {
    const until = Math.min(recordable, at + OUTPUT_BYTES_MAX)
    recorder.record(
      {
        ...(atMicros !== undefined && { time: atMicros }),
        kind: 'output',
        command,
        masks: masks?.(),
        output: {
          stream,
          offset: offset + at,
          data: bytes.subarray(at, until),
          encoding,
          omittedBytes: until === recordable ? bytes.length - recordable : 0,
        },
      },
      session,
    )
  }
  return recordable
}
