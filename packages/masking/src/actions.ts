/**
 * What is put in the place of a sensitive value. Pure: the same value, action and key give the same text.
 * Refuses to give anything of the value back but what the action says: the last digits of a number, its shape, or nothing.
 */
import { createHmac } from 'node:crypto'
import { CLASS, DIGIT, LOWER, latin1, UPPER } from './bytes'
import { luhn } from './detectors/numbers'
import type { Find } from './scan'

/**
 * `redact`: a fixed text. `partial`: the last four characters, the rest as stars. `hash`: a token that is the same for the
 * same value, wherever it stands. `shape`: other digits and letters in the same places, the same for the same value; of a
 * card one whose check digit is right.
 */
export type Action = 'redact' | 'partial' | 'hash' | 'shape'

export const REDACTED = '[masked]'
const KEPT = 4
/** Fewer characters than this have no part that says nothing of the rest. */
const PARTIAL_CHARACTERS_MIN = 9
const TOKEN_CHARACTERS = 16

/** What stands for the value `text`; `key` is secret, and the same wherever tokens are to be the same. */
export function masked(text: string, action: Action, key: Buffer): string {
  switch (action) {
    case 'redact':
      return REDACTED
    case 'partial':
      return partial(text)
    case 'hash':
      return `msk_${digestOf(text, key).toString('base64url').slice(0, TOKEN_CHARACTERS)}`
    case 'shape':
      return shaped(text, key)
  }
}

/** The bytes from `start` to `end` with what was found replaced. Spans are in order and don't overlap, as scanners give them. */
export function maskedText(
  bytes: Buffer,
  start: number,
  end: number,
  finds: readonly Find[],
  action: Action,
  key: Buffer,
): Buffer {
  const parts: Buffer[] = []
  let at = start
  for (const find of finds) {
    parts.push(bytes.subarray(at, find.start))
    parts.push(Buffer.from(masked(bytes.toString('utf8', find.start, find.end), action, key)))
    at = find.end
  }
  parts.push(bytes.subarray(at, end))
  return Buffer.concat(parts)
}

/** Without its marks, so that a card is one card however it is grouped; HMAC-SHA256 (RFC 2104). */
function digestOf(text: string, key: Buffer): Buffer {
  return createHmac('sha256', key)
    .update(text.replace(/[ .\-/]/g, '').toLowerCase())
    .digest()
}

/** Marks between groups stay, so that it is still read as what it is. */
function partial(text: string): string {
  const characters = [...text]
  const counted = characters.filter(isCounted).length
  if (counted < PARTIAL_CHARACTERS_MIN) return REDACTED
  let left = counted
  return characters.map((one) => (isCounted(one) ? (left-- > KEPT ? '*' : one) : one)).join('')
}

function isCounted(character: string): boolean {
  return !/[ .\-/]/.test(character)
}

/** Digits for digits and letters for letters, drawn from a stream that key and value give. */
function shaped(text: string, key: Buffer): string {
  const bytes = Buffer.from(text)
  const digest = digestOf(text, key)
  let block = Buffer.alloc(0)
  let blocks = 0
  let at = 0
  const next = (): number => {
    if (at === block.length) {
      block = createHmac('sha256', digest).update(`${blocks++}`).digest()
      at = 0
    }
    return block[at++]!
  }
  for (let i = 0; i < bytes.length; i++) {
    const kind = CLASS[bytes[i]!]!
    if (kind === DIGIT) bytes[i] = 0x30 + (next() % 10)
    else if (kind === UPPER) bytes[i] = 0x41 + (next() % 26)
    else if (kind === LOWER) bytes[i] = 0x61 + (next() % 26)
    else if (bytes[i]! >= 0x80) bytes[i] = 0x78
  }
  const other = latin1(bytes, 0, bytes.length)
  const digits = text.replace(/\D/g, '')
  if (!/^[\d -]+$/.test(text) || digits.length < 13 || digits.length > 19 || !luhn(digits))
    return other
  // A card stays one to whatever checks it.
  const last = other.search(/\d(?=\D*$)/)
  for (let digit = 0; digit < 10; digit++) {
    const one = other.slice(0, last) + digit + other.slice(last + 1)
    if (luhn(one.replace(/\D/g, ''))) return one
  }
  return other
}
