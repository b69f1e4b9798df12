/** Classes of bytes, and the small questions that detectors ask of them. ASCII; bytes of other characters are letters. */

export const DIGIT = 1
export const UPPER = 2
export const LOWER = 4
/** `_`, and every byte of a character beyond ASCII. */
export const OTHER_WORD = 8
export const AT = 16
export const COLON = 32
export const DASH = 64

/** `%` and `&`: what may begin an escape of another notation. */
export const ESCAPE = 128

/** One byte for each byte: nothing else is as quick to look up. */
export const CLASS = new Uint8Array(256)
for (let c = 0x30; c <= 0x39; c++) CLASS[c] = DIGIT
for (let c = 0x41; c <= 0x5a; c++) CLASS[c] = UPPER
for (let c = 0x61; c <= 0x7a; c++) CLASS[c] = LOWER
for (let c = 0x80; c <= 0xff; c++) CLASS[c] = OTHER_WORD
CLASS[0x5f] = OTHER_WORD
CLASS[0x40] = AT
CLASS[0x3a] = COLON
CLASS[0x2d] = DASH
CLASS[0x25] = ESCAPE
CLASS[0x26] = ESCAPE

const WORD = DIGIT | UPPER | LOWER | OTHER_WORD

export function isWord(byte: number | undefined): boolean {
  return byte !== undefined && (CLASS[byte]! & WORD) !== 0
}

/** What goes on as a word in any alphabet need not: texts without spaces put numbers and keys beside their letters. */
export function isAsciiWord(byte: number | undefined): boolean {
  return byte !== undefined && byte < 0x80 && (CLASS[byte]! & WORD) !== 0
}

export function isDigit(byte: number | undefined): boolean {
  return byte !== undefined && byte >= 0x30 && byte <= 0x39
}

export function isHex(byte: number): boolean {
  return (
    (byte >= 0x30 && byte <= 0x39) ||
    (byte >= 0x61 && byte <= 0x66) ||
    (byte >= 0x41 && byte <= 0x46)
  )
}

/** 8-4-4-4-12 hexadecimal digits: numbers in it are none. */
export function isUuid(bytes: Uint8Array, at: number, end: number): boolean {
  if (end - at < 36) return false
  for (let i = 0; i < 36; i++) {
    const byte = bytes[at + i]!
    if (i === 8 || i === 13 || i === 18 || i === 23) {
      if (byte !== 0x2d) return false
    } else if (!isHex(byte)) return false
  }
  return true
}

/** The bytes as text, one character each. */
export function latin1(bytes: Buffer, start: number, end: number): string {
  return bytes.toString('latin1', start, end)
}
