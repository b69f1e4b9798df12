/**
 * What of a stream of bytes is shown: escape sequences left out, with where each byte of the rest stands. Pure.
 */

const ESC = 0x1b
/** An escape sequence that is not over; longer ones are passed on. */
const SEQUENCE_BYTES_MAX = 4096

export interface Plain {
  /** The bytes that are shown; those of escape sequences are left out. */
  bytes: Buffer
  /** One latin1 character for each of them. */
  readonly text: string
  /** Bytes up to a sequence that is not over. */
  whole: number
  /** Where in the stream the byte at this place stands; the stream's length for its end. */
  at(index: number): number
}

export function plainOf(bytes: Buffer): Plain {
  if (!bytes.includes(ESC)) return new WithoutEscapes(bytes)
  const offsets = new Uint32Array(bytes.length)
  let count = 0
  let whole = bytes.length
  for (let i = 0; i < bytes.length; ) {
    if (bytes[i] !== ESC) {
      offsets[count++] = i++
      continue
    }
    const end = escapeEnd(bytes, i)
    if (end === 0) {
      if (bytes.length - i <= SEQUENCE_BYTES_MAX) whole = i
      break
    }
    i = end
  }
  const shown = Buffer.allocUnsafe(count)
  for (let i = 0; i < count; i++) shown[i] = bytes[offsets[i]!]!
  return new WithEscapes(shown, offsets, whole, bytes.length)
}

class WithoutEscapes implements Plain {
  constructor(readonly bytes: Buffer) {}
  get whole(): number {
    return this.bytes.length
  }
  get text(): string {
    return this.bytes.toString('latin1')
  }
  at(index: number): number {
    return index
  }
}

class WithEscapes implements Plain {
  constructor(
    readonly bytes: Buffer,
    private readonly offsets: Uint32Array,
    readonly whole: number,
    private readonly length: number,
  ) {}
  get text(): string {
    return this.bytes.toString('latin1')
  }
  at(index: number): number {
    return index >= this.bytes.length ? this.length : this.offsets[index]!
  }
}

/** Where the sequence that begins here ends; 0: not yet. */
function escapeEnd(bytes: Buffer, at: number): number {
  const kind = bytes[at + 1]
  if (kind === undefined) return 0
  if (kind === 0x5b) {
    for (let i = at + 2; i < bytes.length; i++) {
      if (bytes[i]! >= 0x40 && bytes[i]! <= 0x7e) return i + 1
      if (bytes[i]! < 0x20) return i
    }
    return 0
  }
  if (kind === 0x5d || kind === 0x50 || kind === 0x58 || kind === 0x5e || kind === 0x5f) {
    for (let i = at + 2; i < bytes.length; i++) {
      if (bytes[i] === 0x07) return i + 1
      if (bytes[i] === ESC)
        return bytes[i + 1] === undefined ? 0 : bytes[i + 1] === 0x5c ? i + 2 : i
    }
    return 0
  }
  if (kind >= 0x20 && kind <= 0x2f) return bytes[at + 2] === undefined ? 0 : at + 3
  return at + 2
}
