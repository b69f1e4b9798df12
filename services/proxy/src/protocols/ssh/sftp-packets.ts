/**
 * Cuts one direction of SFTP into packets, whatever the chunks are. What carries the content of files (DATA, WRITE) is
 * handed on as it comes, its head once and whole; all else comes whole.
 * Refuses packets that are too long, and such whose content does not end where they do.
 */
import { Fxp, SftpError } from './sftp-wire'

export interface PacketHandler {
  /** A whole packet, its length in front. False: it is to come again, and nothing behind it, when `push` is called next. */
  packet(bytes: Buffer): boolean
  /** The head of a packet whose content follows: all up to its data, of which there are `length` bytes. */
  head(bytes: Buffer, length: number): boolean
  /** Its content, in pieces; none where there is none. */
  content(bytes: Buffer, isLast: boolean): void
}

export const PACKET_BYTES_MAX = 4 * 1024 * 1024
const PREFIX_BYTES = 5
/** DATA: length, type, id, length of the data. */
const DATA_HEAD_BYTES = 13
/** WRITE: length, type, id, length of the handle. */
const WRITE_PREFIX_BYTES = 13
/** Behind the handle: offset, length of the data. */
const WRITE_SUFFIX_BYTES = 12

export class PacketCutter {
  /** The beginning of a packet that has not come whole. */
  private kept: Buffer[] = []
  private keptBytes = 0
  /** Bytes of content still to come; -1: none is being streamed. */
  private contentLeft = -1

  constructor(
    private readonly streamed: typeof Fxp.data | typeof Fxp.write,
    private readonly handler: PacketHandler,
    private readonly packetBytesMax = PACKET_BYTES_MAX,
  ) {}

  /** What was pushed last ended within a packet. */
  get isWithin(): boolean {
    return this.keptBytes > 0 || this.contentLeft >= 0
  }

  /** How many bytes it took: fewer than all where the handler refused a packet, which begins with the first not taken. */
  push(chunk: Buffer): number {
    let at = 0
    while (at < chunk.length) {
      if (this.contentLeft >= 0) {
        const take = Math.min(this.contentLeft, chunk.length - at)
        this.contentLeft -= take
        const isLast = this.contentLeft === 0
        if (isLast) this.contentLeft = -1
        this.handler.content(chunk.subarray(at, at + take), isLast)
        at += take
        continue
      }
      const taken = this.take(chunk, at)
      if (taken < 0) return at
      at += taken
    }
    return at
  }

  /** Takes the beginning, or all, of a packet; -1 where it was refused. */
  private take(chunk: Buffer, from: number): number {
    const needed = this.needed(chunk, from)
    const missing = needed - this.keptBytes
    const available = chunk.length - from
    if (available < missing) {
      // Kept, not copied into one each time: a packet in pieces of a byte is still linear.
      this.kept.push(chunk.subarray(from))
      this.keptBytes += available
      return available
    }
    const piece = chunk.subarray(from, from + missing)
    const bytes = this.keptBytes === 0 ? piece : Buffer.concat([...this.kept, piece], needed)
    if (this.isPartial(bytes)) {
      // More of it has to be seen before it is known how much is needed.
      this.kept = [bytes]
      this.keptBytes = bytes.length
      return missing
    }
    const length = bytes.readUInt32BE(0) + 4 - bytes.length
    if (bytes[4] === this.streamed) {
      const declared = bytes.readUInt32BE(bytes.length - 4)
      if (declared !== length)
        throw new SftpError('content that does not end where its packet does')
      if (!this.handler.head(bytes, length)) return this.giveBack(bytes, missing)
      if (length === 0) this.handler.content(bytes.subarray(bytes.length), true)
      else this.contentLeft = length
    } else if (!this.handler.packet(bytes)) return this.giveBack(bytes, missing)
    this.kept = []
    this.keptBytes = 0
    return missing
  }

  /** Refused: what was kept of it stays, and the rest is not taken. */
  private giveBack(bytes: Buffer, missing: number): number {
    const keep = bytes.length - missing
    if (keep > 0) {
      this.kept = [bytes.subarray(0, keep)]
      this.keptBytes = keep
    }
    return -1
  }

  /** Bytes from its first on that must be there for the next step. */
  private needed(chunk: Buffer, from: number): number {
    const have = this.keptBytes + chunk.length - from
    if (have < PREFIX_BYTES) return PREFIX_BYTES
    const length = this.uint32(chunk, from, 0)
    if (length < 5 || length > this.packetBytesMax)
      throw new SftpError(`a packet of ${length} bytes`)
    const type = this.byte(chunk, from, 4)
    if (type !== this.streamed) return length + 4
    if (type === Fxp.data) return this.within(DATA_HEAD_BYTES, length)
    if (have < WRITE_PREFIX_BYTES) return this.within(WRITE_PREFIX_BYTES, length)
    const handleBytes = this.uint32(chunk, from, 9)
    return this.within(WRITE_PREFIX_BYTES + handleBytes + WRITE_SUFFIX_BYTES, length)
  }

  /** `needed` said less than a head, because not enough was there to say more. */
  private isPartial(bytes: Buffer): boolean {
    if (bytes.length === PREFIX_BYTES) return bytes.readUInt32BE(0) + 4 > PREFIX_BYTES
    return (
      this.streamed === Fxp.write && bytes[4] === Fxp.write && bytes.length === WRITE_PREFIX_BYTES
    )
  }

  private within(needed: number, length: number): number {
    if (needed > length + 4) throw new SftpError('it ends too early')
    return needed
  }

  private byte(chunk: Buffer, from: number, index: number): number {
    let at = index
    for (const piece of this.kept) {
      if (at < piece.length) return piece[at]!
      at -= piece.length
    }
    return chunk[from + at]!
  }

  private uint32(chunk: Buffer, from: number, index: number): number {
    if (this.keptBytes === 0) return chunk.readUInt32BE(from + index)
    let value = 0
    for (let i = 0; i < 4; i++) value = value * 256 + this.byte(chunk, from, index + i)
    return value
  }
}
