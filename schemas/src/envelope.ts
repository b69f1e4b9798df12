/**
 * Reads just the envelope of a message: enough to follow sequences, chains and sessions without building the event.
 * Holds to the order of fields in records/Event.avsc, which a test pins.
 */
import { HEADER_BYTES, PREVIOUS_OFFSET } from './codec'

export interface Envelope {
  id: Buffer
  previous: Buffer
  time: number
  kind: string
  recorder: string
  sequence: number
  session: Buffer | null
  ordinal: number
  command: Buffer | null
}

class Cursor {
  constructor(
    readonly bytes: Buffer,
    public at: number,
  ) {}

  long(): number {
    let n = 0
    let factor = 1
    for (;;) {
      const byte = this.bytes[this.at++]
      if (byte === undefined || factor > 2 ** 56)
        throw new RangeError('message ends inside a number')
      n += (byte & 127) * factor
      if (byte < 128) break
      factor *= 128
    }
    return n % 2 === 0 ? n / 2 : -(n + 1) / 2
  }

  text(): string {
    const length = this.long()
    if (length < 0 || this.at + length > this.bytes.length)
      throw new RangeError('message ends inside a string')
    this.at += length
    return this.bytes.toString('latin1', this.at - length, this.at)
  }

  uuid(): Buffer | null {
    if (this.long() === 0) return null
    if (this.at + 16 > this.bytes.length) throw new RangeError('message ends inside an identifier')
    this.at += 16
    return this.bytes.subarray(this.at - 16, this.at)
  }
}

/** Enough to tell whether an event is wanted at all. */
export function readTimeAndKind(message: Buffer): { time: number; kind: string } {
  const cursor = new Cursor(message, PREVIOUS_OFFSET + 32)
  return { time: cursor.long(), kind: cursor.text() }
}

export function readEnvelope(message: Buffer): Envelope {
  const cursor = new Cursor(message, PREVIOUS_OFFSET + 32)
  return {
    id: message.subarray(HEADER_BYTES, HEADER_BYTES + 16),
    previous: message.subarray(PREVIOUS_OFFSET, PREVIOUS_OFFSET + 32),
    time: cursor.long(),
    kind: cursor.text(),
    recorder: cursor.text(),
    sequence: cursor.long(),
    session: cursor.uuid(),
    ordinal: cursor.long(),
    command: cursor.uuid(),
  }
}
