/**
 * Reads a recorder's log from a position and follows it while it grows, from any process.
 * Refuses to hand out a frame whose CRC does not hold: at the tail it is not written yet, anywhere else it is
 * damage and an error. Never writes.
 */
import { closeSync, fstatSync, openSync, readSync } from 'node:fs'
import { join } from 'node:path'
import { listSegments, type Position } from './position'
import { learnSchemas } from './schemas'
import {
  EVENTS_FRAME,
  FRAME_HEADER_BYTES,
  frameCrc,
  messagesOf,
  PREAMBLE_FRAME,
  readFrameHeader,
  segmentName,
} from './segment'

export interface LogBatch {
  /** Single-object encoded events, in sequence; views of one buffer that the reader won't reuse. */
  messages: Buffer[]
  count: number
  firstSequence: number
  /** Where to go on. */
  next: Position
}

export interface ReaderOptions {
  /** CUSTODY_HOME/log */
  directory: string
  recorder: string
  /** Default: the first event that is still there. */
  from?: Position
}

export class LogDamagedError extends Error {
  readonly code = 'CUSTODY-LOG-002'
}

export class LogReader {
  private readonly path: string
  private fd = -1
  private fdSegment = -1
  position: Position

  constructor(options: ReaderOptions) {
    this.path = join(options.directory, options.recorder)
    learnSchemas(this.path)
    this.position = options.from ?? { segment: 0, offset: 0, sequence: 0 }
  }

  /**
   * The next batch: whole frames, at least one, no more than `bytesMax` unless one frame alone is larger.
   * Null where nothing new is there yet.
   */
  async read(bytesMax: number): Promise<LogBatch | null> {
    for (;;) {
      if (!this.openSegment()) return null
      const bytes = this.load(bytesMax)
      const batch = bytes === null ? null : this.decode(bytes)
      if (batch) return batch
      if (bytes !== null) continue // only preambles: go on behind them
      if (!this.advance()) return null
    }
  }

  close(): void {
    if (this.fd >= 0) closeSync(this.fd)
    this.fd = -1
    this.fdSegment = -1
  }

  private openSegment(): boolean {
    if (this.fd >= 0 && this.fdSegment === this.position.segment) return true
    this.close()
    if (this.position.segment === 0) {
      const first = listSegments(this.path)[0]
      if (first === undefined) return false
      this.position = { segment: first, offset: 0, sequence: this.position.sequence }
    }
    try {
      this.fd = openSync(join(this.path, segmentName(this.position.segment)), 'r')
      this.fdSegment = this.position.segment
      return true
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
      const first = listSegments(this.path)[0]
      if (first === undefined || first < this.position.segment) return false
      throw new LogDamagedError(
        `segment ${this.position.segment} of ${this.path} is gone; the first one there is ${first}`,
      )
    }
  }

  /** Whole frames from the position on, or null where none is complete. */
  private load(bytesMax: number): Buffer | null {
    const available = fstatSync(this.fd).size - this.position.offset
    if (available < FRAME_HEADER_BYTES) return null
    const head = Buffer.allocUnsafe(FRAME_HEADER_BYTES)
    if (readSync(this.fd, head, 0, FRAME_HEADER_BYTES, this.position.offset) < FRAME_HEADER_BYTES)
      return null
    const header = readFrameHeader(head)
    if (header === null) {
      if (head.readUInt32LE(0) !== 0) this.damaged('no frame begins here')
      return null
    }
    const first = FRAME_HEADER_BYTES + header.payloadBytes
    const bytes = Buffer.allocUnsafeSlow(Math.max(first, Math.min(bytesMax, available)))
    const got = readSync(this.fd, bytes, 0, bytes.length, this.position.offset)
    let end = 0
    while (end < got) {
      const next = readFrameHeader(bytes.subarray(0, got), end)
      if (next === null) break
      const frameEnd = end + FRAME_HEADER_BYTES + next.payloadBytes
      if (frameEnd > got) break
      if (frameCrc(bytes, end, frameEnd) !== next.crc) {
        this.damaged('CRC does not hold')
        break
      }
      end = frameEnd
    }
    return end === 0 ? null : bytes.subarray(0, end)
  }

  /** Damage is an error only where a later segment proves that the writer is done with this one. */
  private damaged(what: string): void {
    const last = listSegments(this.path).at(-1)
    if (last !== undefined && last > this.position.segment)
      throw new LogDamagedError(
        `${what}: segment ${this.position.segment}, offset ${this.position.offset} of ${this.path}`,
      )
  }

  private decode(bytes: Buffer): LogBatch | null {
    const messages: Buffer[] = []
    let firstSequence = -1
    let { sequence } = this.position
    let at = 0
    while (at < bytes.length) {
      const header = readFrameHeader(bytes, at)!
      const payload = bytes.subarray(
        at + FRAME_HEADER_BYTES,
        at + FRAME_HEADER_BYTES + header.payloadBytes,
      )
      if (header.type === EVENTS_FRAME) {
        if (firstSequence < 0) firstSequence = header.firstSequence
        for (const message of messagesOf(payload, header.count)) messages.push(message)
        sequence = header.firstSequence + header.count
      } else if (header.type !== PREAMBLE_FRAME)
        throw new LogDamagedError(`unknown frame type ${header.type}`)
      at += FRAME_HEADER_BYTES + header.payloadBytes
    }
    this.position = { segment: this.position.segment, offset: this.position.offset + at, sequence }
    if (messages.length === 0) return null
    return { messages, count: messages.length, firstSequence, next: { ...this.position } }
  }

  private advance(): boolean {
    const next = listSegments(this.path).find((segment) => segment > this.position.segment)
    if (next === undefined) return false
    // The writer is done with this segment once the next is there; what it wrote last may have come since we looked.
    if (this.load(FRAME_HEADER_BYTES) !== null) return true
    this.close()
    this.position = { segment: next, offset: 0, sequence: this.position.sequence }
    return true
  }
}

export function openReader(options: ReaderOptions): LogReader {
  return new LogReader(options)
}
