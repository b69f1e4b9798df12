/**
 * Notations in which a text hides another: escapes of JSON, URLs and XML, base64. Each is read to bytes that know where they
 * came from, so that what is found there is replaced where it stands.
 */
import { isHex } from './bytes'

/** Bytes as they are meant; `from[i]` is where the i-th was written, and `from[length]` where the last one ended. */
export interface Reading {
  bytes: Buffer
  from: Int32Array
}

class Writer {
  private readonly bytes: Buffer
  private readonly from: Int32Array
  private length = 0

  constructor(most: number) {
    this.bytes = Buffer.allocUnsafe(most)
    this.from = new Int32Array(most + 1)
  }

  byte(byte: number, from: number): void {
    this.from[this.length] = from
    this.bytes[this.length++] = byte
  }

  point(code: number, from: number): void {
    const length = this.bytes.write(String.fromCodePoint(code), this.length)
    for (let i = 0; i < length; i++) this.from[this.length++] = from
  }

  done(end: number): Reading {
    this.from[this.length] = end
    return { bytes: this.bytes.subarray(0, this.length), from: this.from }
  }
}

const ESCAPES: Record<string, number> = { b: 8, f: 12, n: 10, r: 13, t: 9 }

/** The inside of a JSON string. */
export function readJsonString(bytes: Buffer, start: number, end: number): Reading {
  const out = new Writer(end - start)
  for (let at = start; at < end; ) {
    const byte = bytes[at]!
    if (byte !== 0x5c) {
      out.byte(byte, at++)
      continue
    }
    const kind = bytes[at + 1]!
    if (kind !== 0x75) {
      out.byte(ESCAPES[String.fromCharCode(kind)] ?? kind, at)
      at += 2
      continue
    }
    const unit = unitAt(bytes, at, end)
    const isHigh = unit >= 0xd800 && unit < 0xdc00
    const low = isHigh ? unitAt(bytes, at + 6, end) : -1
    if (low >= 0xdc00 && low < 0xe000) {
      out.point(0x10000 + ((unit - 0xd800) << 10) + (low - 0xdc00), at)
      at += 12
    } else {
      out.point(unit < 0 || (unit >= 0xd800 && unit < 0xe000) ? 0xfffd : unit, at)
      at += 6
    }
  }
  return out.done(end)
}

/** The code unit of `\uXXXX`, or -1. */
function unitAt(bytes: Buffer, at: number, end: number): number {
  if (at + 6 > end || bytes[at] !== 0x5c || bytes[at + 1] !== 0x75) return -1
  const digits = bytes.toString('latin1', at + 2, at + 6)
  return /^[0-9a-f]{4}$/i.test(digits) ? Number.parseInt(digits, 16) : -1
}

/** `%XX` as in URLs; null where there is none. */
export function readPercent(bytes: Buffer, start: number, end: number): Reading | null {
  let isAny = false
  const out = new Writer(end - start)
  for (let at = start; at < end; ) {
    const byte = bytes[at]!
    if (byte === 0x25 && at + 2 < end && isHex(bytes[at + 1]!) && isHex(bytes[at + 2]!)) {
      out.byte(Number.parseInt(bytes.toString('latin1', at + 1, at + 3), 16), at)
      at += 3
      isAny = true
    } else out.byte(byte, at++)
  }
  return isAny ? out.done(end) : null
}

const ENTITIES: Record<string, number> = { amp: 0x26, lt: 0x3c, gt: 0x3e, quot: 0x22, apos: 0x27 }
const ENTITY_CHARACTERS_MAX = 10

/** `&#52;`, `&#x34;` and the entities that XML has; null where there is none. */
export function readEntities(bytes: Buffer, start: number, end: number): Reading | null {
  let isAny = false
  const out = new Writer(end - start)
  for (let at = start; at < end; ) {
    const byte = bytes[at]!
    if (byte === 0x26) {
      const code = entityAt(bytes, at, end)
      if (code !== null) {
        out.point(code.point, at)
        at = code.end
        isAny = true
        continue
      }
    }
    out.byte(byte, at++)
  }
  return isAny ? out.done(end) : null
}

function entityAt(bytes: Buffer, at: number, end: number): { point: number; end: number } | null {
  let stop = at + 1
  while (stop < end && stop - at < ENTITY_CHARACTERS_MAX && bytes[stop] !== 0x3b) stop++
  if (bytes[stop] !== 0x3b || stop >= end) return null
  const name = bytes.toString('latin1', at + 1, stop)
  const match = /^#(?:(\d{1,7})|x([0-9a-f]{1,6}))$/i.exec(name)
  const point = match
    ? match[1] !== undefined
      ? Number(match[1])
      : Number.parseInt(match[2]!, 16)
    : ENTITIES[name]
  return point === undefined || point > 0x10ffff || (point >= 0xd800 && point < 0xe000)
    ? null
    : { point, end: stop + 1 }
}

/** XML and JSON in which a text may stand whatever characters it has. */
export function writeEntities(text: string): string {
  return text.replace(/[&<>"']/g, (c) => `&#${c.charCodeAt(0)};`)
}

export function writeJsonString(text: string): string {
  return JSON.stringify(text).slice(1, -1)
}

const PRINTABLE_SHARE_MIN = 0.85

/** Whether it is text for the most part, as against an image or a key. */
export function isMostlyPrintable(bytes: Buffer): boolean {
  let printable = 0
  for (let i = 0; i < bytes.length; i++) {
    const byte = bytes[i]!
    if ((byte >= 0x20 && byte < 0x7f) || byte === 9 || byte === 10 || byte === 13) printable++
  }
  return bytes.length > 0 && printable >= bytes.length * PRINTABLE_SHARE_MIN
}

/** Fewer characters hold nothing that a detector would prove. */
export const BASE64_CHARACTERS_MIN = 24

/** What a character of base64 or base64url stands for; 255: it is none. */
const SEXTETS = new Uint8Array(256).fill(255)
for (const [i, c] of Buffer.from(
  'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/',
).entries())
  SEXTETS[c] = i
SEXTETS[0x2d] = 62
SEXTETS[0x5f] = 63

/** Letters, digits, and the marks of both alphabets. */
export function isBase64(byte: number): boolean {
  return SEXTETS[byte] !== 255
}

/** What a word of base64 or base64url says, or null where that is no text. */
export function readBase64(bytes: Buffer, start: number, end: number): Buffer | null {
  if (!beginsAsText(bytes, start)) return null
  const decoded = Buffer.from(bytes.toString('latin1', start, end), 'base64')
  return isMostlyPrintable(decoded) ? decoded : null
}

/** What a word of hexadecimal digits says, or null where that is no text: digests and numbers end after a few of them. */
export function readHex(bytes: Buffer, start: number, end: number): Buffer | null {
  if ((end - start) % 2 !== 0) return null
  for (let at = start; at < Math.min(end, start + HEX_LOOKED_AT); at += 2) {
    const byte = (DIGITS_OF_HEX[bytes[at]!]! << 4) | DIGITS_OF_HEX[bytes[at + 1]!]!
    if (byte > 0xff || byte === 0x7f || (byte < 0x20 && byte !== 9 && byte !== 10 && byte !== 13))
      return null
  }
  for (let at = start; at < end; at++) if (DIGITS_OF_HEX[bytes[at]!]! > 15) return null
  const decoded = Buffer.from(bytes.toString('latin1', start, end), 'hex')
  return isMostlyPrintable(decoded) ? decoded : null
}
const HEX_LOOKED_AT = 32
const DIGITS_OF_HEX = new Uint16Array(256).fill(0x100)
for (let i = 0; i < 16; i++) {
  DIGITS_OF_HEX[i.toString(16).charCodeAt(0)] = i
  DIGITS_OF_HEX[i.toString(16).toUpperCase().charCodeAt(0)] = i
}

/** Whether the first twelve bytes that it says are UTF-8 without control characters: most words end here, unread. */
function beginsAsText(bytes: Buffer, start: number): boolean {
  let more = 0
  for (let at = start; at < start + 16; at += 4) {
    const four =
      (SEXTETS[bytes[at]!]! << 18) |
      (SEXTETS[bytes[at + 1]!]! << 12) |
      (SEXTETS[bytes[at + 2]!]! << 6) |
      SEXTETS[bytes[at + 3]!]!
    for (let shift = 16; shift >= 0; shift -= 8) {
      const byte = (four >> shift) & 0xff
      if (byte >= 0x80 && byte < 0xc0) {
        if (more-- === 0) return false
        continue
      }
      if (more > 0 || byte === 0x7f || byte >= 0xf5) return false
      if (byte < 0x20 && byte !== 9 && byte !== 10 && byte !== 13) return false
      more = byte < 0x80 ? 0 : byte < 0xe0 ? 1 : byte < 0xf0 ? 2 : 3
    }
  }
  return true
}
