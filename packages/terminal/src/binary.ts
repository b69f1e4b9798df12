/**
 * Tells output that people or programs read as text from other: by how it begins, and by bytes that no text has. Pure.
 *
 * Not text is what begins like a format that begins in letters (PDF, ar, cpio, bzip2, age, an SSH connection, git's packets),
 * and what has in its first 8 KiB four zero bytes in a row, or three different control characters that texts don't use.
 * Zero bytes at the very beginning say nothing, since files that were cut off while they were written to begin so; single ones,
 * and one kind of control character, only part records. What begins as a text stays one.
 */

/** Whoever has been a text for so long is one. */
const BEGINNING_BYTES = 8192
const ZEROS = 4
const KINDS = 3
/** Controls of texts: BEL, BS, TAB, LF, VT, FF, CR, SO, SI, ESC. */
const OF_TEXTS = new Set([7, 8, 9, 10, 11, 12, 13, 14, 15, 27])
const FOREIGN = Uint32Array.from({ length: 256 }, (_, byte) =>
  byte < 32 && !OF_TEXTS.has(byte) ? 2 ** byte : 0,
)
/** Long enough for all of these. */
const SIGNATURE_BYTES = 64
const SIGNATURES =
  /^(?:%PDF-|!<arch>\n|07070[127]|BZh[1-9]1AY&SY|age-encryption\.org\/|SSH-[12]\.|[\da-f]{4}(?:[\da-f]{40,64}[ \0]|version [12]\n))/

export class TextOrNot {
  private first: Buffer = Buffer.alloc(0)
  private seenBytes = 0
  private isBegun = false
  private zeros = 0
  private kinds = 0
  private binary = false

  /** Whether all that comes from here on, and what was not passed on yet, is to be left as it is. */
  get isBinary(): boolean {
    return this.binary
  }

  see(bytes: Buffer): void {
    if (this.binary || this.seenBytes >= BEGINNING_BYTES) return
    if (this.first.length < SIGNATURE_BYTES) {
      this.first = Buffer.concat([this.first, bytes.subarray(0, SIGNATURE_BYTES)])
      this.binary = SIGNATURES.test(this.first.toString('latin1'))
    }
    for (let at = 0; at < bytes.length && this.seenBytes < BEGINNING_BYTES; at++) {
      const byte = bytes[at]!
      if (byte === 0) {
        if (!this.isBegun) continue
        this.zeros++
      } else {
        this.isBegun = true
        this.zeros = 0
      }
      this.kinds |= FOREIGN[byte]!
      if (this.zeros >= ZEROS) this.binary = true
      this.seenBytes++
    }
    if (kindsOf(this.kinds) >= KINDS) this.binary = true
  }
}

/** What detectors find in the middle of what is no text is none. */
export function isAmongText(bytes: Buffer, start: number, end: number): boolean {
  let kinds = 0
  for (let at = Math.max(0, start - AROUND_BYTES); at < start; at++) kinds |= FOREIGN[bytes[at]!]!
  const until = Math.min(bytes.length, end + AROUND_BYTES)
  for (let at = end; at < until; at++) kinds |= FOREIGN[bytes[at]!]!
  return kindsOf(kinds) < KINDS
}
const AROUND_BYTES = 128

function kindsOf(bits: number): number {
  let count = 0
  for (let rest = bits; rest !== 0; rest &= rest - 1) count++
  return count
}
