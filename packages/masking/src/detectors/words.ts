/**
 * Words that are somebody's: e-mail addresses, bank accounts, national identifiers with letters, tokens and keys.
 * Refuses what only looks like one: a check character, a length by country, a header that must decode.
 */
import { isHex, isWord, latin1 } from '../bytes'

const DNI_LETTERS = 'TRWAGMYFPDXBNJZSQVHLCKE'

/** 8 digits and a letter, or X, Y, Z, 7 digits and a letter (Spain: DNI, NIE). */
export function isEsDni(word: string): boolean {
  const match = /^([XYZ]?)(\d{7,8})([A-Z])$/.exec(word)
  if (!match || (match[1] !== '') !== (match[2]!.length === 7)) return false
  const prefix = match[1] === '' ? '' : String('XYZ'.indexOf(match[1]!))
  return DNI_LETTERS[Number(prefix + match[2]) % 23] === match[3]
}

/** Two letters, six digits, A to D; some prefixes are not given out (HMRC, NIM39110). */
export function isUkNino(word: string): boolean {
  return (
    /^[A-CEGHJ-PR-TW-Z][A-CEGHJ-NPR-TW-Z]\d{6}[A-D]$/.test(word) &&
    !/^(BG|GB|KN|NK|NT|TN|ZZ)/.test(word)
  )
}

const IT_ODD = [
  1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 2, 4, 18, 20, 11, 3, 6, 8, 12, 14, 16, 10, 22, 25, 24, 23,
]

/** Sixteen characters, the last of them the check (codice fiscale, D.M. 23 December 1976). */
export function isItCodiceFiscale(word: string): boolean {
  if (
    !/^[A-Z]{6}[\dLMNPQRSTUV]{2}[A-EHLMPRST][\dLMNPQRSTUV]{2}[A-Z][\dLMNPQRSTUV]{3}[A-Z]$/.test(
      word,
    )
  )
    return false
  let sum = 0
  for (let i = 0; i < 15; i++) {
    const c = word.charCodeAt(i)
    const value = c < 0x40 ? c - 0x30 : c - 0x41
    sum += i % 2 === 0 ? IT_ODD[value]! : value
  }
  return sum % 26 === word.charCodeAt(15) - 0x41
}

/** Lengths by country (ISO 13616 registry). */
const IBAN_LENGTHS: Record<string, number> = Object.fromEntries(
  'AD24 AE23 AL28 AT20 AZ28 BA20 BE16 BG22 BH22 BI27 BR29 BY28 CH21 CR22 CY28 CZ24 DE22 DJ27 DK18 DO28 EE20 EG29 ES24 FI18 FK18 FO18 FR27 GB22 GE22 GI23 GL18 GR27 GT28 HN28 HR21 HU28 IE22 IL23 IQ23 IS26 IT27 JO30 KW30 KZ20 LB28 LC32 LI21 LT20 LU20 LV21 LY25 MC27 MD24 ME22 MK19 MN20 MR27 MT31 MU30 NI28 NL18 NO15 OM23 PK24 PL28 PS29 PT25 QA29 RO24 RS22 RU33 SA24 SC31 SD18 SE24 SI19 SK24 SM27 SO23 ST25 SV28 TL23 TN24 TR26 UA29 VA22 VG24 XK20 YE30'
    .split(' ')
    .map((one) => [one.slice(0, 2), Number(one.slice(2))]),
)

/** How long an account number with this country would be, or 0. */
export function ibanLength(country: string): number {
  return IBAN_LENGTHS[country] ?? 0
}

/** Rearranged and read as a number it leaves 1 by 97 (ISO 7064). Without spaces. */
export function isIban(text: string): boolean {
  if (text.length !== ibanLength(text.slice(0, 2)) || !/^[A-Z]{2}\d\d[A-Z0-9]+$/.test(text))
    return false
  let rest = 0
  for (const c of text.slice(4) + text.slice(0, 4)) {
    const value = Number.parseInt(c, 36)
    rest = (rest * (value > 9 ? 100 : 10) + value) % 97
  }
  return rest === 1
}

export interface Span {
  start: number
  end: number
}

const LOCAL_CHARACTERS_MAX = 64
const DOMAIN_CHARACTERS_MAX = 253

function isLocal(byte: number): boolean {
  // RFC 5322's atext and dots, less what stands around addresses more often than in them.
  return (
    isWord(byte) ||
    byte === 0x2e ||
    byte === 0x2b ||
    byte === 0x2d ||
    byte === 0x25 ||
    byte === 0x27
  )
}

/** The address around an `@`, or null: local part, labels, and a last label of letters (RFC 5321, 4.1.2, the usual part). */
export function emailAt(bytes: Buffer, at: number, start: number, end: number): Span | null {
  let from = at
  while (from > start && at - from < LOCAL_CHARACTERS_MAX && isLocal(bytes[from - 1]!)) from--
  while (from < at && !isWord(bytes[from])) from++
  if (from === at || bytes[at - 1] === 0x2e) return null
  let to = at + 1
  let dot = -1
  while (to < end && to - at < DOMAIN_CHARACTERS_MAX) {
    const byte = bytes[to]!
    if (byte === 0x2e) {
      if (bytes[to - 1] === 0x2e || to === at + 1) break
      dot = to
    } else if (byte !== 0x2d && !(isWord(byte) && byte !== 0x5f)) break
    to++
  }
  while (to > at && (bytes[to - 1] === 0x2e || bytes[to - 1] === 0x2d)) to--
  if (dot >= to) dot = bytes.subarray(at, to).lastIndexOf(0x2e) + at
  if (dot <= at || to - dot < 3) return null
  for (let i = dot + 1; i < to; i++) {
    const byte = bytes[i]! | 0x20
    if (
      (byte < 0x61 || byte > 0x7a) &&
      bytes[i]! < 0x80 &&
      !latin1(bytes, dot + 1, to).startsWith('xn--')
    )
      return null
  }
  return { start: from, end: to }
}

/** More than a header has that anybody signs. */
const HEADER_CHARACTERS_MAX = 8192

/** A JWT or JWS (RFC 7515): three parts, the first of which decodes to a header with `alg`. */
export function jwtEnd(bytes: Buffer, at: number, start: number, end: number): number {
  // Within a run of its characters only the first can begin one, so that each run is looked at once.
  if (at > start && (bytes[at - 1] === 0x2e || bytes[at - 1] === 0x2d)) return -1
  let stop = at
  let dots = 0
  let header = 0
  while (stop < end) {
    const byte = bytes[stop]!
    if (byte === 0x2e) {
      if (dots === 2) break
      if (dots++ === 0) header = stop
    } else if (!((isWord(byte) && byte < 0x80) || byte === 0x2d)) break
    stop++
  }
  if (dots !== 2 || header - at > HEADER_CHARACTERS_MAX) return -1
  try {
    const decoded = JSON.parse(Buffer.from(latin1(bytes, at, header), 'base64url').toString()) as {
      alg?: unknown
    }
    return typeof decoded.alg === 'string' ? stop : -1
  } catch {
    return -1
  }
}

/** A private key in PEM (RFC 7468): to its end, or to the end of the text where that is cut off. */
export function privateKeyEnd(bytes: Buffer, at: number): number {
  const end = bytes.length
  const line = latin1(bytes, at, Math.min(end, at + 64))
  const match = /^-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY(?: BLOCK)?-----/.exec(line)
  if (!match) return -1
  const close = bytes.indexOf('-----END', at + match[0].length)
  if (close < 0) return end
  const last = bytes.indexOf('-----', close + 8)
  return last < 0 ? end : last + 5
}

/** Bits for each character of what is neither a word of a language, nor hexadecimal, nor a number. */
export function entropyOf(word: string): number {
  const counts = new Map<string, number>()
  for (const c of word) counts.set(c, (counts.get(c) ?? 0) + 1)
  let bits = 0
  for (const count of counts.values())
    bits -= (count / word.length) * Math.log2(count / word.length)
  return bits
}

/** A long word of three kinds of characters that nobody would type: a password, a key. */
export function isRandom(word: string): boolean {
  if (word.length < 20 || word.length > 512) return false
  if (!/[a-z]/.test(word) || !/[A-Z]/.test(word) || !/\d/.test(word)) return false
  for (let i = 0; i < word.length; i++)
    if (!isHex(word.charCodeAt(i)) && word[i] !== '-')
      return entropyOf(word) >= Math.min(4.2, Math.log2(word.length) - 0.6)
  return false
}
