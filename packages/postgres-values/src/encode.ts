/**
 * The binary form of values by their text forms: what takes the place of a value that was asked for in binary
 * (layouts: the types' receive functions). ISO dates only, as in PostgreSQL's default settings.
 * Refuses what it can't write exactly (null), rather than to send a client bytes that are not of the type.
 */
import { elementOid } from './types'

const MICROS_LIMIT = 0x7fffffffffffffffn

export function encodeValue(text: string, oid: number): Buffer | null {
  switch (oid) {
    case 18: {
      const bytes = Buffer.from(text)
      return bytes.length <= 1 ? (bytes.length === 0 ? Buffer.alloc(1) : bytes) : null
    }
    case 19:
    case 25:
    case 114:
    case 142:
    case 705:
    case 1042:
    case 1043:
      return Buffer.from(text)
    case 3802:
      return Buffer.concat([Buffer.from([1]), Buffer.from(text)])
    case 16:
      return /^(t|true)$/i.test(text)
        ? Buffer.from([1])
        : /^(f|false)$/i.test(text)
          ? Buffer.from([0])
          : null
    case 17:
      return bytea(text)
    case 20:
    case 21:
    case 23:
    case 26:
      return integer(text, oid)
    case 700:
    case 701:
      return float(text, oid)
    case 1700:
      return numeric(text)
    case 1082:
      return date(text)
    case 1083: {
      const micros = timeOf(text)
      return micros === null || micros > DAY ? null : int64(micros)
    }
    case 1114:
    case 1184:
      return timestamp(text, oid === 1184)
    case 2950: {
      const match = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(text)
      return match ? Buffer.from(text.replaceAll('-', ''), 'hex') : null
    }
  }
  const element = elementOid(oid)
  return element === null ? null : array(text, element)
}

function int64(value: bigint): Buffer {
  const bytes = Buffer.alloc(8)
  bytes.writeBigInt64BE(value)
  return bytes
}

function int32(...values: number[]): Buffer {
  const bytes = Buffer.alloc(values.length * 4)
  for (const [i, value] of values.entries()) bytes.writeInt32BE(value, i * 4)
  return bytes
}

/** Bytes of each integer type, its least and its largest number. */
const INTEGERS: Record<number, [bytes: number, least: bigint, most: bigint]> = {
  20: [8, -(2n ** 63n), 2n ** 63n - 1n],
  21: [2, -(2n ** 15n), 2n ** 15n - 1n],
  23: [4, -(2n ** 31n), 2n ** 31n - 1n],
  26: [4, 0n, 2n ** 32n - 1n],
}

function integer(text: string, oid: number): Buffer | null {
  if (!/^[+-]?\d{1,40}$/.test(text)) return null
  const [length, least, most] = INTEGERS[oid]!
  const value = BigInt(text.replace('+', ''))
  if (value < least || value > most) return null
  const whole = Buffer.alloc(8)
  whole.writeBigInt64BE(value)
  return whole.subarray(8 - length)
}

function float(text: string, oid: number): Buffer | null {
  const isNumber = /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(text)
  const value = isNumber
    ? Number(text)
    : { NaN: Number.NaN, Infinity: Infinity, '-Infinity': -Infinity }[text]
  if (value === undefined || (isNumber && !Number.isFinite(value))) return null
  const bytes = Buffer.alloc(oid === 700 ? 4 : 8)
  if (oid === 701) bytes.writeDoubleBE(value)
  else if (isNumber && !Number.isFinite(Math.fround(value))) return null
  else bytes.writeFloatBE(value)
  return bytes
}

const NUMERIC_DIGITS_MAX = 131_072
const SCALE_MAX = 16_383

/** count:i16 weight:i16 sign:u16 scale:u16 digit:u16*, digits in base 10,000 */
function numeric(text: string): Buffer | null {
  const special = { NaN: 0xc000, Infinity: 0xd000, '-Infinity': 0xf000 }[text]
  const header = (count: number, weight: number, sign: number, scale: number): Buffer => {
    const bytes = Buffer.alloc(8 + count * 2)
    bytes.writeInt16BE(count)
    bytes.writeInt16BE(weight, 2)
    bytes.writeUInt16BE(sign, 4)
    bytes.writeUInt16BE(scale, 6)
    return bytes
  }
  if (special !== undefined) return header(0, 0, special, special === 0xc000 ? 0 : 32)
  const match = /^(-?)(\d+)(?:\.(\d+))?$/.exec(text)
  if (!match || text.length > NUMERIC_DIGITS_MAX) return null
  const fraction = match[3] ?? ''
  if (fraction.length > SCALE_MAX) return null
  const whole = match[2]!.replace(/^0+/, '')
  const left = whole.padStart(Math.ceil(whole.length / 4) * 4, '0')
  const right = fraction.padEnd(Math.ceil(fraction.length / 4) * 4, '0')
  const digits = ((left + right).match(/\d{4}/g) ?? []).map(Number)
  let weight = left.length / 4 - 1
  let first = 0
  while (first < digits.length && digits[first] === 0) {
    first++
    weight--
  }
  let last = digits.length
  while (last > first && digits[last - 1] === 0) last--
  const count = last - first
  const bytes = header(
    count,
    count === 0 ? 0 : weight,
    match[1] !== '' && count > 0 ? 0x4000 : 0,
    fraction.length,
  )
  for (let i = 0; i < count; i++) bytes.writeUInt16BE(digits[first + i]!, 8 + i * 2)
  return bytes
}

const DAY = 86_400_000_000n
/** Days from 1970-01-01 to PostgreSQL's 2000-01-01. */
const EPOCH_DAYS = 10_957

/** Days since 2000-01-01 of what begins with a date, or null where no calendar has it. */
function daysOf(year: number, month: number, day: number): number | null {
  const moment = new Date(0)
  moment.setUTCFullYear(year, month - 1, day)
  return moment.getUTCMonth() === month - 1 && moment.getUTCDate() === day
    ? moment.getTime() / 86_400_000 - EPOCH_DAYS
    : null
}

function date(text: string): Buffer | null {
  if (text === 'infinity') return int32(0x7fffffff)
  if (text === '-infinity') return int32(-0x80000000)
  const match = /^(\d{4,6})-(\d\d)-(\d\d)( BC)?$/.exec(text)
  if (!match) return null
  const year = match[4] ? 1 - Number(match[1]) : Number(match[1])
  const days = daysOf(year, Number(match[2]), Number(match[3]))
  return days === null ? null : int32(days)
}

/** Microseconds of a time of day, or null. */
function timeOf(text: string): bigint | null {
  const match = /^(\d\d):(\d\d):(\d\d)(?:\.(\d{1,6}))?$/.exec(text)
  if (!match) return null
  const [hours, minutes, seconds] = [match[1], match[2], match[3]].map(Number) as [
    number,
    number,
    number,
  ]
  if (hours > 24 || minutes > 59 || seconds > 59) return null
  return (
    BigInt(hours * 3600 + minutes * 60 + seconds) * 1_000_000n +
    BigInt((match[4] ?? '').padEnd(6, '0'))
  )
}

function timestamp(text: string, hasZone: boolean): Buffer | null {
  if (text === 'infinity') return int64(MICROS_LIMIT)
  if (text === '-infinity') return int64(-MICROS_LIMIT - 1n)
  const match =
    /^(\d{4,6})-(\d\d)-(\d\d) ([\d:.]{8,15})(?:([+-])(\d\d)(?::(\d\d))?(?::(\d\d))?)?( BC)?$/.exec(
      text,
    )
  if (!match || (match[5] !== undefined) !== hasZone) return null
  const year = match[9] ? 1 - Number(match[1]) : Number(match[1])
  const days = daysOf(year, Number(match[2]), Number(match[3]))
  const micros = timeOf(match[4]!)
  if (days === null || micros === null) return null
  const away = Number(match[6] ?? 0) * 3600 + Number(match[7] ?? 0) * 60 + Number(match[8] ?? 0)
  const zone = BigInt(match[5] === '-' ? -away : away) * 1_000_000n
  const value = BigInt(days) * DAY + micros - zone
  return value > MICROS_LIMIT || value < -MICROS_LIMIT ? null : int64(value)
}

function bytea(text: string): Buffer | null {
  if (text.startsWith('\\x')) {
    const bytes = Buffer.from(text.slice(2), 'hex')
    return bytes.length * 2 === text.length - 2 ? bytes : null
  }
  const out: number[] = []
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i)
    if (code > 0x7f) return null
    if (code !== 0x5c) out.push(code)
    else if (text.charCodeAt(i + 1) === 0x5c) {
      out.push(0x5c)
      i++
    } else {
      const octal = /^[0-3][0-7]{2}$/.exec(text.slice(i + 1, i + 4))
      if (!octal) return null
      out.push(Number.parseInt(octal[0], 8))
      i += 3
    }
  }
  return Buffer.from(out)
}

const DIMENSIONS_MAX = 6

/** dimensions:i32 hasNull:i32 type:u32 (size:i32 lower:i32)* (length:i32 bytes)* */
function array(text: string, element: number): Buffer | null {
  const bounds = /^(?:\[-?\d{1,9}:-?\d{1,9}\])+=/.exec(text)
  const lowers = bounds
    ? [...bounds[0].matchAll(/\[(-?\d+)/g)].map(([, lower]) => Number(lower))
    : []
  const head = (dimensions: number, hasNull: boolean): Buffer => {
    const bytes = int32(dimensions, hasNull ? 1 : 0, 0)
    bytes.writeUInt32BE(element, 8)
    return bytes
  }
  const sizes: number[] = []
  const counts: number[] = []
  const items: Buffer[] = []
  let hasNull = false
  let depth = 0
  let elementDepth: number | undefined
  let at = bounds ? bounds[0].length : 0
  let isOpen = true
  if (text[at] !== '{') return null
  if (text.slice(at) === '{}') return head(0, false)
  for (;;) {
    const c = text[at]
    if (c === '{') {
      if (!isOpen || depth === DIMENSIONS_MAX || depth === elementDepth) return null
      if (depth > 0) counts[depth - 1]!++
      counts[depth++] = 0
      at++
    } else if (c === '}') {
      if (isOpen) return null
      depth--
      // All of one depth have the same number of elements.
      sizes[depth] ??= counts[depth]!
      if (sizes[depth] !== counts[depth]) return null
      at++
      if (depth === 0) break
    } else if (c === ',') {
      if (isOpen) return null
      isOpen = true
      at++
    } else {
      if (!isOpen || c === undefined) return null
      isOpen = false
      // Elements stand at one depth only.
      elementDepth ??= depth
      if (elementDepth !== depth) return null
      counts[depth - 1]!++
      const [item, end] = itemAt(text, at)
      if (end < 0) return null
      at = end
      if (c !== '"' && /^null$/i.test(item)) {
        hasNull = true
        items.push(int32(-1))
        continue
      }
      const bytes = encodeValue(item, element)
      if (bytes === null) return null
      items.push(int32(bytes.length), bytes)
    }
  }
  if (at !== text.length || sizes.length !== elementDepth) return null
  const dimensions = sizes.flatMap((size, i) => [size, lowers[i] ?? 1])
  if (bounds && lowers.length !== sizes.length) return null
  return Buffer.concat([head(sizes.length, hasNull), int32(...dimensions), ...items])
}

/** An element without its quotation marks and backslashes, and where it ends; -1: nowhere. */
function itemAt(text: string, at: number): [item: string, end: number] {
  const isQuoted = text[at] === '"'
  const parts: string[] = []
  let from = isQuoted ? at + 1 : at
  for (let i = from; i < text.length; i++) {
    const c = text[i]!
    if (c === '\\') {
      parts.push(text.slice(from, i))
      from = ++i
    } else if (isQuoted ? c === '"' : c === ',' || c === '}' || c === '{' || c === '"') {
      parts.push(text.slice(from, i))
      return [parts.join(''), c === '{' || (c === '"' && !isQuoted) ? -1 : isQuoted ? i + 1 : i]
    }
  }
  return ['', -1]
}
