/**
 * Cuts byte streams into MySQL's packets without copying what arrives whole. Two shapes, since the two directions differ:
 * a client's commands are taken whole, one at a time; a target's answers are looked at packet by packet, and rows that
 * nobody needs to see whole pass in pieces. Owns no socket and knows no session.
 */
import { HEADER_BYTES, PACKET_BYTES_MAX, WireError } from './wire'

/** One command as its client sent it. */
export interface ClientCommand {
  /** The packets as they came, headers included; more than one only beyond 16 MB. */
  packets: readonly Buffer[]
  payload: Buffer
  /** Of its last packet. */
  sequence: number
}

export class CommandCutter {
  /** Bytes that arrived and were not taken, in order. */
  private chunks: Buffer[] = []
  private at = 0
  heldBytes = 0

  constructor(private readonly commandBytesMax: number) {}

  push(chunk: Buffer): void {
    this.chunks.push(chunk)
    this.heldBytes += chunk.length
  }

  /** The next whole command, or null. `sequence`: what its first packet must have. */
  next(sequence = 0): ClientCommand | null {
    if (this.heldBytes < HEADER_BYTES) return null
    let from = 0
    let packets = 1
    for (;;) {
      const length = this.lengthAt(from)
      if (length < 0) return null
      from += HEADER_BYTES + length
      if (from - packets * HEADER_BYTES > this.commandBytesMax)
        throw new WireError(`a command of more than frameBytesMax (${this.commandBytesMax}) bytes`)
      if (from > this.heldBytes) return null
      if (length < PACKET_BYTES_MAX) break
      packets++
    }
    const whole = this.take(from)
    if (whole[3] !== (sequence & 0xff))
      throw new WireError(`a packet with number ${whole[3]} where ${sequence & 0xff} was due`)
    if (packets === 1)
      return { packets: [whole], payload: whole.subarray(HEADER_BYTES), sequence: whole[3]! }
    const cut: Buffer[] = []
    for (let at = 0; at < whole.length; ) {
      const end = at + HEADER_BYTES + whole.readUIntLE(at, 3)
      if (whole[at + 3] !== ((sequence + cut.length) & 0xff))
        throw new WireError('packets of one command are out of order')
      cut.push(whole.subarray(at, end))
      at = end
    }
    return {
      packets: cut,
      payload: Buffer.concat(cut.map((one) => one.subarray(HEADER_BYTES))),
      sequence: (sequence + cut.length - 1) & 0xff,
    }
  }

  /** Length of the packet whose header stands so many bytes from here; -1: not all of the header is there. */
  private lengthAt(from: number): number {
    if (from + 3 > this.heldBytes) return -1
    const first = this.chunks[0]!
    if (this.at + from + 3 <= first.length) {
      const at = this.at + from
      return first[at]! | (first[at + 1]! << 8) | (first[at + 2]! << 16)
    }
    return this.byteAt(from) | (this.byteAt(from + 1) << 8) | (this.byteAt(from + 2) << 16)
  }

  private byteAt(from: number): number {
    let at = this.at + from
    for (const chunk of this.chunks) {
      if (at < chunk.length) return chunk[at]!
      at -= chunk.length
    }
    throw new WireError('not there')
  }

  private take(bytes: number): Buffer {
    this.heldBytes -= bytes
    const first = this.chunks[0]!
    if (this.at + bytes <= first.length) {
      const taken = first.subarray(this.at, this.at + bytes)
      this.at += bytes
      if (this.at === first.length) {
        this.chunks.shift()
        this.at = 0
      }
      return taken
    }
    const whole = Buffer.allocUnsafe(bytes)
    let done = 0
    while (done < bytes) {
      const chunk = this.chunks[0]!
      const more = Math.min(bytes - done, chunk.length - this.at)
      chunk.copy(whole, done, this.at, this.at + more)
      done += more
      this.at += more
      if (this.at === chunk.length) {
        this.chunks.shift()
        this.at = 0
      }
    }
    return whole
  }
}

export interface AnswerHandler {
  /** Whether a packet that begins with this byte and has this length may pass in pieces. */
  streams(first: number, length: number): boolean
  /**
   * A whole packet: its header at `at`, its payload from at + 4 to `end`. Of one beyond 16 MB the payload is put together,
   * and the header is that of its first part.
   */
  onPacket(bytes: Buffer, at: number, end: number): void
  /** A piece of one that passes in pieces: `isFirst` where the packet begins with it, `hasHeader` where a header stands at `at`. */
  onPiece(bytes: Buffer, at: number, end: number, isFirst: boolean, hasHeader: boolean): void
  /** All of `bytes` has been handed over; what was not claimed may go on. */
  onChunkEnd(bytes: Buffer): void
}

export class AnswerCutter {
  private gathered: Buffer | null = null
  private gatheredBytes = 0
  private pieceRemaining = 0
  /** The packet before was full, so that the next one goes on with it. */
  private continues = false
  /** The parts of one beyond 16 MB that is put together; the header first. */
  private joined: Buffer[] | null = null
  private joinedBytes = 0

  constructor(
    private readonly packetBytesMax: number,
    private readonly handler: AnswerHandler,
  ) {}

  /** What was handed over ends where a packet does. */
  get isWhole(): boolean {
    return this.pieceRemaining === 0 && !this.continues && this.joined === null
  }

  push(chunk: Buffer): void {
    let at = 0
    if (this.gathered !== null) at = this.gather(chunk)
    if (at < chunk.length) this.cut(at === 0 ? chunk : chunk.subarray(at))
  }

  /** Takes from the chunk what the gathered packet still lacks; returns how much. */
  private gather(chunk: Buffer): number {
    let taken = 0
    // The header and the first byte tell whether all of it is needed.
    const first = HEADER_BYTES + 1
    if (this.gatheredBytes < first) {
      const have = this.gathered!
      while (this.gatheredBytes < first && taken < chunk.length) {
        if (this.gatheredBytes === HEADER_BYTES && have.readUIntLE(0, 3) === 0) break
        have[this.gatheredBytes++] = chunk[taken++]!
      }
      const isEmpty = this.gatheredBytes === HEADER_BYTES && have.readUIntLE(0, 3) === 0
      if (this.gatheredBytes < first && !isEmpty) return taken
      const length = have.readUIntLE(0, 3)
      const head = Buffer.from(have.subarray(0, this.gatheredBytes))
      if (isEmpty || length === 1 || this.passes(head[4]!, length)) {
        this.gathered = null
        this.gatheredBytes = 0
        this.cut(head)
        return taken
      }
      this.gathered = this.roomFor(length)
      head.copy(this.gathered)
    }
    const more = Math.min(this.gathered!.length - this.gatheredBytes, chunk.length - taken)
    chunk.copy(this.gathered!, this.gatheredBytes, taken, taken + more)
    this.gatheredBytes += more
    taken += more
    if (this.gatheredBytes === this.gathered!.length) {
      const whole = this.gathered!
      this.gathered = null
      this.gatheredBytes = 0
      this.cut(whole)
    }
    return taken
  }

  private passes(first: number, length: number): boolean {
    return this.joined === null && (this.continues || this.handler.streams(first, length))
  }

  private roomFor(length: number): Buffer {
    if (length > this.packetBytesMax)
      throw new WireError(
        `a packet of ${length} bytes, more than frameBytesMax (${this.packetBytesMax})`,
      )
    return Buffer.allocUnsafe(HEADER_BYTES + length)
  }

  private cut(bytes: Buffer): void {
    const { handler } = this
    const { length } = bytes
    let at = 0
    if (this.pieceRemaining > 0) {
      at = Math.min(this.pieceRemaining, length)
      this.pieceRemaining -= at
      handler.onPiece(bytes, 0, at, false, false)
    }
    while (length - at >= HEADER_BYTES) {
      const body = bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16)
      const end = at + HEADER_BYTES + body
      if (this.continues) {
        this.continues = body === PACKET_BYTES_MAX
        const stop = Math.min(end, length)
        this.pieceRemaining = end - stop
        handler.onPiece(bytes, at, stop, false, true)
        at = stop
        continue
      }
      if (end <= length && (body < PACKET_BYTES_MAX || this.joined !== null)) {
        if (this.joined !== null) this.join(bytes, at, end)
        else handler.onPacket(bytes, at, end)
        at = end
        continue
      }
      if (this.joined !== null || (length - at === HEADER_BYTES && body > 0)) break
      if (!handler.streams(bytes[at + 4]!, body)) {
        if (end > length) break
        this.joined = []
        this.joinedBytes = 0
        this.join(bytes, at, end)
        at = end
        continue
      }
      this.continues = body === PACKET_BYTES_MAX
      const stop = Math.min(end, length)
      this.pieceRemaining = end - stop
      handler.onPiece(bytes, at, stop, true, true)
      at = stop
    }
    if (at < length) this.hold(bytes, at)
    handler.onChunkEnd(at === length ? bytes : bytes.subarray(0, at))
  }

  /** A part of a packet beyond 16 MB; the last one is shorter. */
  private join(bytes: Buffer, at: number, end: number): void {
    const joined = this.joined!
    joined.push(Buffer.from(bytes.subarray(joined.length === 0 ? at : at + HEADER_BYTES, end)))
    this.joinedBytes += end - at
    if (this.joinedBytes > this.packetBytesMax)
      throw new WireError(`a row of more than frameBytesMax (${this.packetBytesMax}) bytes`)
    if (end - at === HEADER_BYTES + PACKET_BYTES_MAX) return
    this.joined = null
    const whole = Buffer.concat(joined)
    this.handler.onPacket(whole, 0, whole.length)
  }

  private hold(bytes: Buffer, at: number): void {
    const have = bytes.length - at
    this.gathered =
      have > HEADER_BYTES
        ? this.roomFor(bytes.readUIntLE(at, 3))
        : Buffer.allocUnsafe(HEADER_BYTES + 1)
    bytes.copy(this.gathered, 0, at)
    this.gatheredBytes = have
  }
}
