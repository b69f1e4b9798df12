/**
 * How far a recorder's log goes behind a position: counts frames by their headers, reads no event. Never writes.
 */
import { closeSync, openSync, readSync } from 'node:fs'
import { join } from 'node:path'
import {
  EVENTS_FRAME,
  FRAME_HEADER_BYTES,
  listSegments,
  type Position,
  readFrameHeader,
  segmentName,
} from '@custody/event-log'

const FRAMES_MAX = 5000

export class Tail {
  private at: Position = { segment: 0, offset: 0, sequence: 0 }
  /** Bytes of each segment that are frames, as far as it was followed. */
  private readonly sizes = new Map<number, number>()
  private fd = -1
  private fdSegment = -1
  private readonly path: string
  private readonly header = Buffer.alloc(FRAME_HEADER_BYTES)

  constructor(directory: string, recorder: string) {
    this.path = join(directory, recorder)
  }

  /** Begins at a position; what is before it is not counted. */
  from(position: Position): void {
    this.at = { ...position }
    this.sizes.clear()
  }

  /** Goes on a bounded way towards the end. */
  follow(): void {
    for (let i = 0; i < FRAMES_MAX; i++) {
      if (!this.open()) return
      const got = readSync(this.fd, this.header, 0, FRAME_HEADER_BYTES, this.at.offset)
      const header = got === FRAME_HEADER_BYTES ? readFrameHeader(this.header) : null
      if (header === null) {
        const next = listSegments(this.path).find((segment) => segment > this.at.segment)
        if (next === undefined) return
        this.at = { ...this.at, segment: next, offset: 0 }
        continue
      }
      const bytes = FRAME_HEADER_BYTES + header.payloadBytes
      this.at.offset += bytes
      this.sizes.set(this.at.segment, this.at.offset)
      if (header.type === EVENTS_FRAME) this.at.sequence = header.firstSequence + header.count
    }
  }

  /** The sequence behind the last event found. */
  get sequence(): number {
    return this.at.sequence
  }

  bytesBehind({ segment, offset }: Position): number {
    let bytes = 0
    for (const [one, size] of this.sizes) {
      if (one === segment) bytes += Math.max(0, size - offset)
      else if (one > segment) bytes += size
      else this.sizes.delete(one)
    }
    return bytes
  }

  close(): void {
    if (this.fd >= 0) closeSync(this.fd)
    this.fd = -1
    this.fdSegment = -1
  }

  private open(): boolean {
    if (this.at.segment === 0) {
      const first = listSegments(this.path)[0]
      if (first === undefined) return false
      this.at = { ...this.at, segment: first, offset: 0 }
    }
    if (this.fd >= 0 && this.fdSegment === this.at.segment) return true
    this.close()
    try {
      this.fd = openSync(join(this.path, segmentName(this.at.segment)), 'r')
    } catch {
      return false
    }
    this.fdSegment = this.at.segment
    return true
  }
}
