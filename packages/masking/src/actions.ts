/**
 * What is put in the place of a sensitive value, of the same type. Pure: the same value, action and key give the same text.
 * Refuses to give anything of the value back but what the action says: its end, its shape, its year; what it can't do for a
 * type becomes NULL.
 */
import { createHmac } from 'node:crypto'
import { luhn } from './detectors/numbers'
import { hmacSha256 } from './hmac'
import { mapJson } from './json'
import { byteaOf, mapArray } from './literals'
import type { Find } from './scan'
import type { ActionSpec, Kind, ValueType } from './types'

export const REDACTED = '[masked]'
const KEPT_DEFAULT = 4
/** Fewer characters than this have no part that says nothing of the rest. */
const PARTIAL_CHARACTERS_MIN = 9
/** Of the digest; 16 characters. */
const TOKEN_BYTES = 12
/** The same for bytes. */
const OCTETS_OF_TOKEN = 16
/** What is longer is redacted where its shape was asked for: of so long a text the shape alone says much. */
const SHAPE_CHARACTERS_MAX = 4096
/** As many characters of the value in a row are in nothing that takes its place. */
const PART_CHARACTERS = 5
const TRIES_MAX = 100
const STEP_DEFAULT = 10
const EXPONENT_MAX = 30
const TEXT: ValueType = { kind: 'text', isArray: false }

/**
 * The text that takes the place of the value's text form (as PostgreSQL prints it), of the same type; null: NULL.
 * `key` is secret, and the same wherever the same values are to stay the same.
 */
export function masked(
  text: string,
  type: ValueType,
  spec: ActionSpec,
  key: Buffer,
): string | null {
  if (spec.action === 'null' || spec.action === 'drop-row') return null
  if (!type.isArray) return one(text, type.kind, spec, key)
  return mapArray(text, (element) => one(element, type.kind, spec, key))
}

/**
 * The bytes from `start` to `end` with what was found replaced. Spans are in order and don't overlap, as scanners give
 */
export function maskedText(
  bytes: Buffer,
  start: number,
  end: number,
  finds: readonly Find[],
  spec: ActionSpec,
  key: Buffer,
): Buffer {
  const parts: Buffer[] = []
  let at = start
  for (const find of finds) {
    parts.push(bytes.subarray(at, find.start))
    parts.push(Buffer.from(maskedFind(bytes.toString('utf8', find.start, find.end), spec, key)))
    at = find.end
  }
  parts.push(bytes.subarray(at, end))
  return Buffer.concat(parts)
}

/** What stands for a find within a text. */
export function maskedFind(text: string, spec: ActionSpec, key: Buffer): string {
  return masked(text, TEXT, spec, key) ?? REDACTED
}

function one(text: string, kind: Kind, spec: ActionSpec, key: Buffer): string | null {
  switch (kind) {
    case 'text':
      return maskedString(text, spec, key)
    case 'json':
      return json(text, spec, key)
    case 'integer':
    case 'decimal':
    case 'float':
      return number(text, kind, spec, key)
    case 'date':
    case 'timestamp':
      return moment(text, kind, spec, key)
    case 'uuid':
      return spec.action === 'hash' || spec.action === 'shape' ? uuid(text, key) : null
    case 'bytes':
      return octets(text, spec, key)
    default:
      return null
  }
}

function maskedString(text: string, spec: ActionSpec, key: Buffer): string {
  switch (spec.action) {
    case 'partial':
      return partial(text, spec.keep ?? KEPT_DEFAULT)
    case 'hash':
      return `msk_${digestOf(text, key).toString('base64url', 0, TOKEN_BYTES)}`
    case 'shape':
      return shaped(text, key)
    case 'truncate':
      return dateInText(text, spec.to ?? 'year') ?? REDACTED
    case 'generalise':
      return generalised(text, spec) ?? REDACTED
    default:
      return REDACTED
  }
}

/** Without its marks, so that a card is one card however it is grouped; HMAC-SHA256 (RFC 2104). */
function digestOf(text: string, key: Buffer): Buffer {
  return hmacSha256(key, (MARKS.test(text) ? text.replace(/[ .\-/]/g, '') : text).toLowerCase())
}
const MARKS = /[ .\-/]/

/** Numbers that follow from key, value and try, and from nothing else. */
class Draw {
  private block = Buffer.alloc(0)
  private blocks = 0
  private at = 0

  constructor(
    private readonly digest: Buffer,
    private readonly attempt = 0,
  ) {}

  private byte(): number {
    if (this.at === this.block.length) {
      this.block = createHmac('sha256', this.digest)
        .update(`${this.attempt}.${this.blocks++}`)
        .digest()
      this.at = 0
    }
    return this.block[this.at++]!
  }

  int(below: number): number {
    return (this.byte() * 256 + this.byte()) % below
  }

  bytes(length: number): Buffer {
    return Buffer.from(Array.from({ length }, () => this.byte()))
  }

  /** At least 0 and at most `most`. */
  big(most: bigint): bigint {
    const length = Math.ceil(most.toString(16).length / 2) + 8
    return BigInt(`0x${this.bytes(length).toString('hex')}`) % (most + 1n)
  }
}

/** Parts of a text by which another would give it away; of a short text the whole. */
class Parts {
  private readonly of = new Set<string>()
  private readonly length: number

  constructor(text: string) {
    this.length = Math.max(1, Math.min(PART_CHARACTERS, text.length))
    for (let i = 0; i + this.length <= text.length; i++) this.of.add(text.substr(i, this.length))
  }

  /** Whether the last characters of `text` are a part. */
  endsIn(text: readonly string[], next: string): boolean {
    if (text.length + next.length < this.length) return false
    const tail = text.slice(Math.max(0, text.length - this.length)).join('') + next
    return this.of.has(tail.slice(-this.length))
  }

  areIn(text: string): boolean {
    for (let i = 0; i + this.length <= text.length; i++)
      if (this.of.has(text.substr(i, this.length))) return true
    return false
  }
}

/** The first try that has no part of the value in it. */
function withoutParts(
  text: string,
  key: Buffer,
  make: (draw: Draw) => string | null,
): string | null {
  const parts = new Parts(text)
  const digest = digestOf(text, key)
  for (let attempt = 0; attempt < TRIES_MAX; attempt++) {
    const other = make(new Draw(digest, attempt))
    if (other === null) return null
    if (!parts.areIn(other)) return other
  }
  return null
}

/** Single marks between groups stay, so that it is still read as what it is. Never more than a third is kept. */
function partial(text: string, keep: number): string {
  return partialAscii(text, keep) ?? partialAny(text, keep)
}

const scratch = Buffer.alloc(256)

/** The same for what is most: short and in ASCII. Null: it is not. */
function partialAscii(text: string, keep: number): string | null {
  const { length } = text
  if (length > scratch.length) return null
  let counted = 0
  for (let i = 0; i < length; i++) {
    const c = text.charCodeAt(i)
    if (c >= 0x80) return null
    if (!isMark(c)) counted++
  }
  const kept = Math.min(keep, Math.floor(counted / 3))
  if (counted < PARTIAL_CHARACTERS_MIN || kept < 1) return REDACTED
  let left = counted
  let hidden = 0
  for (let i = 0; i < length; i++) {
    const c = text.charCodeAt(i)
    let shown: boolean
    if (!isMark(c)) shown = left-- <= kept
    else
      shown =
        i > 0 &&
        i + 1 < length &&
        !isMark(text.charCodeAt(i - 1)) &&
        !isMark(text.charCodeAt(i + 1))
    scratch[i] = shown ? c : 0x2a
    if (scratch[i] !== c) hidden++
  }
  return hidden === 0 ? REDACTED : scratch.toString('latin1', 0, length)
}

/** Space, full stop, dash, slash. */
function isMark(c: number): boolean {
  return c === 0x20 || c === 0x2e || c === 0x2d || c === 0x2f
}

function partialAny(text: string, keep: number): string {
  const characters = [...text]
  const counted = characters.filter(isCounted).length
  const kept = Math.min(keep, Math.floor(counted / 3))
  if (counted < PARTIAL_CHARACTERS_MIN || kept < 1) return REDACTED
  let left = counted
  const result = characters.map((c, i) => {
    if (isCounted(c)) return left-- > kept ? '*' : c
    const isSingle = i > 0 && isCounted(characters[i - 1]!) && isCounted(characters[i + 1] ?? ' ')
    return isSingle ? c : '*'
  })
  return result.join('') === text ? REDACTED : result.join('')
}

function isCounted(character: string): boolean {
  return !/[ .\-/]/.test(character)
}

/** Digits for digits and letters for letters; marks stay unless they would give something away. */
function shaped(text: string, key: Buffer): string {
  if (text.length > SHAPE_CHARACTERS_MAX || !/[\p{L}\p{N}]/u.test(text)) return REDACTED
  if (/^\d+([ .\-/]\d+)*$/.test(text)) return shapedGroups(text, key)
  const parts = new Parts(text)
  const draw = new Draw(digestOf(text, key))
  const out: string[] = []
  for (const c of text) {
    const alphabet = /[0-9]/.test(c)
      ? '0123456789'
      : /[A-Z]/.test(c)
        ? 'ABCDEFGHIJKLMNOPQRSTUVWXYZ'
        : /[a-z\x80-\u{10ffff}]/u.test(c)
          ? 'abcdefghijklmnopqrstuvwxyz'
          : null
    if (alphabet === null) {
      out.push(parts.endsIn(out, c) ? 'x' : c)
      continue
    }
    let next = alphabet[draw.int(alphabet.length)]!
    for (let tries = 0; parts.endsIn(out, next); tries++) {
      if (tries === TRIES_MAX) return REDACTED
      next = alphabet[draw.int(alphabet.length)]!
    }
    out.push(next)
  }
  const result = out.join('')
  return parts.areIn(result) ? REDACTED : result
}

/** A number in groups: the same digits however it is grouped; of a card one whose check digit is right. */
function shapedGroups(text: string, key: Buffer): string {
  const digits = text.replace(/\D/g, '')
  const isCard = digits.length >= 13 && digits.length <= 19 && luhn(digits)
  const other = withoutParts(text, key, (draw) => {
    let drawn = Array.from({ length: digits.length }, () => draw.int(10)).join('')
    if (isCard)
      for (let digit = 0; digit < 10; digit++) {
        drawn = drawn.slice(0, -1) + digit
        if (luhn(drawn)) break
      }
    let at = 0
    return text.replace(/\d/g, () => drawn[at++]!)
  })
  return other ?? REDACTED
}

/** A fixed JSON string; with `partial`, `hash` and `shape` each leaf of what has several, keys as they are. */
function json(text: string, spec: ActionSpec, key: Buffer): string | null {
  const fixed = JSON.stringify(REDACTED)
  const isScalar = !/^\s*[[{]/.test(text)
  const isByLeaf = spec.action === 'partial' || spec.action === 'hash' || spec.action === 'shape'
  if (!isByLeaf && !isScalar) return fixed
  if (/^\s*null\s*$/.test(text)) return 'null'
  if (spec.action === 'redact') return fixed
  return (
    mapJson(text, ({ raw, isString }) => {
      if (isString) return JSON.stringify(maskedString(JSON.parse(raw) as string, spec, key))
      return /^[tf]/.test(raw) ? 'null' : (number(raw, 'float', spec, key) ?? 'null')
    }) ?? fixed
  )
}

/** Limits of the integer types: what stands for a number has to fit wherever the number does. */
const LIMITS = [32_767n, 2_147_483_647n, 4_294_967_295n, 9_223_372_036_854_775_807n]

function number(
  text: string,
  kind: 'integer' | 'decimal' | 'float',
  spec: ActionSpec,
  key: Buffer,
): string | null {
  const match = /^(-?)(\d+)(?:\.(\d+))?(?:[eE]([+-]?\d{1,3}))?$/.exec(text)
  if (!match || text.length > SHAPE_CHARACTERS_MAX) return null
  const [, sign = '', whole = '', fraction = '', exponent] = match
  if (kind === 'integer' && (fraction !== '' || exponent !== undefined)) return null
  // Near the ends of its type's range another number may not fit.
  if (exponent !== undefined && Math.abs(Number(exponent)) > EXPONENT_MAX) return null
  const isHash = spec.action === 'hash'
  if (isHash || spec.action === 'shape') {
    const own = BigInt(whole)
    const most = isHash || exponent !== undefined ? own : mostOf(own, whole.length, sign !== '')
    const least = isHash || whole.length === 1 ? 0n : 10n ** BigInt(whole.length - 1)
    if (fraction === '' && most === 0n)
      // Zero: nothing is smaller, and one is what fits everywhere.
      return `1${exponent === undefined ? '' : `e${exponent}`}`
    return withoutParts(text, key, (draw) => {
      const other = least + draw.big(most - least)
      const rest = Array.from({ length: fraction.length }, () => draw.int(10)).join('')
      return `${other === 0n && rest === '' ? '' : sign}${other}${rest && `.${rest}`}${exponent === undefined ? '' : `e${exponent}`}`
    })
  }
  return spec.action === 'generalise' && exponent === undefined
    ? steps(text, kind, spec.step ?? STEP_DEFAULT)
    : null
}

/** The largest number of as many digits that fits where this one does. */
function mostOf(own: bigint, length: number, isNegative: boolean): bigint {
  const nines = 10n ** BigInt(length) - 1n
  const limit = LIMITS.find((one) => own <= one || (isNegative && own === one + 1n)) ?? nines
  return nines < limit ? nines : limit
}

/** The next multiple below; towards zero where that would not fit. */
function steps(text: string, kind: Kind, step: number): string | null {
  const shown = String(step)
  if (!/^\d+(\.\d+)?$/.test(shown) || step <= 0) return null
  const scale = Math.max(decimals(text), decimals(shown))
  if (kind === 'integer' && decimals(shown) > 0) return null
  const unit = scaled(shown, scale)
  const value = scaled(text, scale)
  let multiple = (value / unit) * unit
  if (value < 0n && multiple !== value) {
    const limit = LIMITS.find((one) => -value <= one + 1n)
    if (kind !== 'integer' || limit === undefined || -(multiple - unit) <= limit + 1n)
      multiple -= unit
  }
  const digits = String(multiple < 0n ? -multiple : multiple).padStart(scale + 1, '0')
  const cut = digits.length - scale
  return `${multiple < 0n ? '-' : ''}${digits.slice(0, cut)}${scale > 0 ? `.${digits.slice(cut)}` : ''}`
}

function decimals(text: string): number {
  const dot = text.indexOf('.')
  return dot < 0 ? 0 : text.length - dot - 1
}

function scaled(text: string, scale: number): bigint {
  const [whole = '', fraction = ''] = text.split('.')
  return BigInt(whole + fraction.padEnd(scale, '0'))
}

const MOMENT =
  /^(\d{4,6})-(\d\d)-(\d\d)(?: (\d\d):(\d\d):(\d\d)(?:\.(\d{1,6}))?([+-]\d\d(?::\d\d){0,2})?)?( BC)?$/
const DAY_MS = 86_400_000
/** Other days are within about three years. */
const DAYS_AWAY_MAX = 1000

function moment(
  text: string,
  kind: 'date' | 'timestamp',
  spec: ActionSpec,
  key: Buffer,
): string | null {
  // Infinity is no data.
  if (text === 'infinity' || text === '-infinity') return text
  const match = MOMENT.exec(text)
  if (!match) return null
  const [, year = '', month = '', day = '', hour = '00', , , fraction, zone = '', era = ''] = match
  const isLong = match[4] !== undefined
  if (kind === 'timestamp' && !isLong) return null
  switch (spec.action) {
    case 'truncate':
    case 'generalise': {
      const to = spec.action === 'generalise' ? 'month' : (spec.to ?? 'year')
      const days = `${year}-${to === 'year' ? '01' : month}-${to === 'year' || to === 'month' ? '01' : day}`
      return `${days}${isLong ? ` ${to === 'hour' ? hour : '00'}:00:00${zone}` : ''}${era}`
    }
    case 'hash':
    case 'shape': {
      if (era !== '' || year.length > 4) return null
      const draw = new Draw(digestOf(text, key))
      const from = Date.parse(`${year}-${month}-${day}T00:00:00Z`)
      let away = 1 + draw.int(DAYS_AWAY_MAX)
      // Neither before the first year nor after the last of four digits.
      if (Number(year) < 10 || (Number(year) < 9990 && draw.int(2) === 1)) away = -away
      const other = new Date(from - away * DAY_MS)
      if (Number.isNaN(other.getTime())) return null
      const two = (n: number) => String(n).padStart(2, '0')
      const date = `${String(other.getUTCFullYear()).padStart(4, '0')}-${two(other.getUTCMonth() + 1)}-${two(other.getUTCDate())}`
      if (!isLong) return date
      const micros = fraction
        ? `.${Array.from({ length: fraction.length }, () => draw.int(10)).join('')}`
        : ''
      return `${date} ${two(draw.int(24))}:${two(draw.int(60))}:${two(draw.int(60))}${micros}${zone}`
    }
    default:
      return null
  }
}

function uuid(text: string, key: Buffer): string | null {
  if (!/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(text)) return null
  return withoutParts(text, key, (draw) => {
    const bytes = draw.bytes(16)
    bytes[6] = (bytes[6]! & 0x0f) | 0x40
    bytes[8] = (bytes[8]! & 0x3f) | 0x80
    return bytes.toString('hex').replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-')
  })
}

function octets(text: string, spec: ActionSpec, key: Buffer): string | null {
  const own = byteaOf(text)
  const written = (bytes: Buffer) => `\\x${bytes.toString('hex')}`
  const fixed = written(Buffer.from(REDACTED))
  if (own === null) return fixed
  switch (spec.action) {
    case 'partial': {
      const kept = Math.min(spec.keep ?? KEPT_DEFAULT, Math.floor(own.length / 3))
      if (own.length < PARTIAL_CHARACTERS_MIN || kept < 1) return fixed
      const other = Buffer.alloc(own.length, '*')
      own.copy(other, own.length - kept, own.length - kept)
      return other.equals(own) ? fixed : written(other)
    }
    case 'hash':
      return written(digestOf(text, key).subarray(0, OCTETS_OF_TOKEN))
    case 'shape': {
      if (own.length === 0 || own.length > SHAPE_CHARACTERS_MAX) return fixed
      const other = new Draw(digestOf(text, key)).bytes(own.length)
      return other.equals(own) ? fixed : written(other)
    }
    default:
      return fixed
  }
}

/** A date in a text, as the beginning of ISO 8601; of other notations the year only, since day and month can be either. */
function dateInText(text: string, to: NonNullable<ActionSpec['to']>): string | null {
  const iso = /^\s*([12]\d{3})-(\d\d)-(\d\d)(?:[T ](\d\d)(?::?\d\d)?.{0,24})?\s*$/.exec(text)
  if (iso) {
    const [, year = '', month = '', day = '', hour] = iso
    if (to === 'year') return year
    if (to === 'month') return `${year}-${month}`
    return `${year}-${month}-${day}${to === 'hour' && hour ? `T${hour}` : ''}`
  }
  if (text.length > 40) return null
  const packed = /^\s*((?:1[89]|20)\d\d)(?:0[1-9]|1[0-2])(?:[0-2]\d|3[01])\s*$/.exec(text)
  if (packed) return packed[1]!
  const years = text.match(/(?<!\d)(?:1[89]|20)\d\d(?!\d)/g)
  return years?.length === 1 ? years[0]! : null
}

/** What a text is part of: a domain, a network, an area, a month. */
function generalised(text: string, spec: ActionSpec): string | null {
  const email = /^[^@\s]{1,64}@([^@\s]{3,253})$/.exec(text)
  if (email) return `***@${email[1]}`
  const four = /^(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.\d{1,3}(?:\/\d{1,2})?$/.exec(text)
  if (four) return `${four[1]}.${four[2]}.${four[3]}.0/24`
  const six = networkOf(text)
  if (six !== null) return six
  const date = dateInText(text, 'month')
  if (date !== null && /^\s*[12]\d{3}-\d\d-\d\d/.test(text)) return date
  if (/^-?\d{1,18}(\.\d{1,9})?$/.test(text) && spec.step !== undefined)
    return steps(text, 'decimal', spec.step)
  if (/^(?=.*\d)[A-Z\d]{2,5}[ -]?[A-Z\d]{1,5}$/i.test(text) && text.length <= 10) {
    const shown = Math.floor(text.length / 2)
    return text.slice(0, shown) + '*'.repeat(text.length - shown)
  }
  return null
}

/** The first 48 bits of an address of version 6. */
function networkOf(text: string): string | null {
  const [address = ''] = text.split('/', 1)
  if (!/^[0-9a-f:]{2,39}$/i.test(address) || !address.includes(':')) return null
  const halves = address.split('::')
  if (halves.length > 2) return null
  const [head, tail] = halves.map((half) => (half === '' ? [] : half.split(':')))
  const missing = 8 - (head?.length ?? 0) - (tail?.length ?? 0)
  if (tail === undefined ? missing !== 0 : missing < 1) return null
  const groups = [...(head ?? []), ...Array<string>(missing).fill('0'), ...(tail ?? [])]
  if (!groups.every((group) => /^[0-9a-f]{1,4}$/i.test(group))) return null
  return `${groups.slice(0, 3).join(':')}::/48`
}
