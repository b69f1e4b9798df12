/**
 * Cuts a byte stream into PostgreSQL messages without copying what arrives whole.
 * A message that arrives in pieces is gathered up to `frameBytesMax`; types that may be long and that nobody needs
 * to see whole (rows, COPY data) pass in pieces.
 * Owns no socket and knows no session: `onFrame` gets a view of the chunk that holds the message.
 */
import { WireError } from './wire'

export interface FrameHandler {
  /** A whole message: type at `at`, body from at + 5 to `end`. True: keep it, and all behind it, until `resume`. */
  onFrame(type: number, bytes: Buffer, at: number, end: number): boolean
  /** A piece of a message of a streamed type: `first` where it holds the header, `last` where the message ends with it. */
  onPiece(type: number, bytes: Buffer, at: number, end: number, first: boolean, last: boolean): void
  /** All of `bytes` has been handed over; what was not claimed may go on. */
  onChunkEnd(bytes: Buffer): void
}

export class FrameCutter {
  private gathered: Buffer | null = null
  private gatheredBytes = 0
  private pieceRemaining = 0
  private pieceType = 0
  /** From the message on that the handler wants to see again. */
  private kept: Buffer[] | null = null
  private keptBytes = 0

  constructor(
    private streamed: ReadonlySet<number>,
    private readonly frameBytesMax: number,
    private readonly handler: FrameHandler,
  ) {}

  /** From the next message on these types may pass in pieces. */
  stream(types: ReadonlySet<number>): void {
    this.streamed = types
  }

  /** What was handed over ends where a message does. */
  get isWhole(): boolean {
    return this.pieceRemaining === 0
  }

  /** Bytes held back because their message is not whole yet. */
  get heldBytes(): number {
    return this.gatheredBytes + this.keptBytes
  }

  /** Hands over what was kept, beginning with the message that it was kept for. */
  resume(): void {
    const kept = this.kept
    this.kept = null
    this.keptBytes = 0
    if (kept !== null) for (const bytes of kept) this.push(bytes)
  }

  private keep(bytes: Buffer): void {
    this.kept ??= []
    this.kept.push(bytes)
    this.keptBytes += bytes.length
  }

  push(chunk: Buffer): void {
    if (this.kept !== null) {
      this.keep(chunk)
      return
    }
    let at = 0
    if (this.gathered !== null) at = this.gather(chunk)
    if (at < chunk.length) this.cut(at === 0 ? chunk : chunk.subarray(at))
  }

  /** Takes from the chunk what the gathered message still lacks; returns how much. */
  private gather(chunk: Buffer): number {
    let taken = 0
    if (this.gatheredBytes < 5) {
      taken = Math.min(5 - this.gatheredBytes, chunk.length)
      chunk.copy(this.gathered!, this.gatheredBytes, 0, taken)
      this.gatheredBytes += taken
      if (this.gatheredBytes < 5) return taken
      const type = this.gathered![0]!
      const length = this.lengthOf(this.gathered!, 0)
      if (this.streamed.has(type)) {
        const header = Buffer.from(this.gathered!.subarray(0, 5))
        this.release()
        this.cut(header)
        return taken
      }
      this.checkLength(type, length)
      const whole = Buffer.allocUnsafe(1 + length)
      this.gathered!.copy(whole, 0, 0, 5)
      this.gathered = whole
    }
    const more = Math.min(this.gathered!.length - this.gatheredBytes, chunk.length - taken)
    chunk.copy(this.gathered!, this.gatheredBytes, taken, taken + more)
    this.gatheredBytes += more
    taken += more
    if (this.gatheredBytes === this.gathered!.length) {
      const whole = this.gathered!
      this.release()
      this.cut(whole)
    }
    return taken
  }

  private release(): void {
    this.gathered = null
    this.gatheredBytes = 0
  }

  private cut(bytes: Buffer): void {
    if (this.kept !== null) {
      this.keep(bytes)
      return
    }
    const handler = this.handler
    const { length } = bytes
    let at = 0
    if (this.pieceRemaining > 0) {
      at = Math.min(this.pieceRemaining, length)
      this.pieceRemaining -= at
      handler.onPiece(this.pieceType, bytes, 0, at, false, this.pieceRemaining === 0)
    }
    while (length - at >= 5) {
      const type = bytes[at]!
      const body =
        (bytes[at + 1]! << 24) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 8) | bytes[at + 4]!
      if (body < 4)
        throw new WireError(`a message of type ${describe(type)} has the impossible length ${body}`)
      const end = at + 1 + body
      if (end > length) {
        if (!this.streamed.has(type)) break
        this.pieceType = type
        this.pieceRemaining = end - length
        handler.onPiece(type, bytes, at, length, true, false)
        at = length
        break
      }
      if (handler.onFrame(type, bytes, at, end)) {
        // A copy: the chunk's memory is its reader's, and this may take long.
        this.keep(Buffer.from(bytes.subarray(at)))
        handler.onChunkEnd(bytes.subarray(0, at))
        return
      }
      at = end
    }
    if (at < length) this.hold(bytes, at)
    handler.onChunkEnd(at === length ? bytes : bytes.subarray(0, at))
  }

  private hold(bytes: Buffer, at: number): void {
    const have = bytes.length - at
    let size = 5
    if (have >= 5) {
      const length = this.lengthOf(bytes, at)
      this.checkLength(bytes[at]!, length)
      size = 1 + length
    }
    this.gathered = Buffer.allocUnsafe(size)
    bytes.copy(this.gathered, 0, at)
    this.gatheredBytes = have
  }

  private lengthOf(bytes: Buffer, at: number): number {
    const length = bytes.readInt32BE(at + 1)
    if (length < 4)
      throw new WireError(
        `a message of type ${describe(bytes[at]!)} has the impossible length ${length}`,
      )
    return length
  }

  private checkLength(type: number, length: number): void {
    if (length > this.frameBytesMax)
      throw new WireError(
        `a message of type ${describe(type)} has ${length} bytes, more than frameBytesMax (${this.frameBytesMax})`,
      )
  }
}

function describe(type: number): string {
  return type > 32 && type < 127
    ? `'${String.fromCharCode(type)}'`
    : `0x${type.toString(16).padStart(2, '0')}`
}
