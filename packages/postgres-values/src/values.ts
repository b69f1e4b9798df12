/**
 * Values by their type's number and format (documentation: "Formats and Format Codes"; source of the layouts:
 * the types' send functions). Gives text as PostgreSQL would print it in its default settings.
 * Refuses to fail: what does not have the layout of its type is given as hex.
 */

import { boundOid, elementOid, rangeOid } from './types'

const TEXT = new Set([18, 19, 25, 114, 142, 705, 1042, 1043])

/** One value as text. `format` 0 is text, 1 binary. */
export function decodeValue(bytes: Buffer, oid: number, format: number): string {
  if (format === 0 || TEXT.has(oid)) return bytes.toString('utf8')
  try {
    return decodeBinary(bytes, oid) ?? hex(bytes)
  } catch {
    return hex(bytes)
  }
}

function hex(bytes: Buffer): string {
  return `\\x${bytes.toString('hex')}`
}

function exactly(bytes: Buffer, length: number): void {
  if (bytes.length !== length) throw new RangeError('length')
}

/** Values one behind the other: (length:i32 bytes)*, a negative length for NULL. */
class Parts {
  constructor(
    private readonly bytes: Buffer,
    private at: number,
  ) {}

  next(): Buffer | null {
    const length = this.bytes.readInt32BE(this.at)
    this.at += 4
    if (length < 0) return null
    const start = this.at
    this.at += length
    if (this.at > this.bytes.length) throw new RangeError('length')
    return this.bytes.subarray(start, this.at)
  }

  oid(): number {
    this.at += 4
    return this.bytes.readUInt32BE(this.at - 4)
  }

  end(): void {
    exactly(this.bytes, this.at)
  }
}

function decodeBinary(bytes: Buffer, oid: number): string | null {
  switch (oid) {
    case 16:
      exactly(bytes, 1)
      return bytes[0] ? 't' : 'f'
    case 20:
      exactly(bytes, 8)
      return bytes.readBigInt64BE(0).toString()
    case 21:
      exactly(bytes, 2)
      return String(bytes.readInt16BE(0))
    case 23:
      exactly(bytes, 4)
      return String(bytes.readInt32BE(0))
    case 24:
    case 26:
    case 28:
    case 2205:
      exactly(bytes, 4)
      return String(bytes.readUInt32BE(0))
    case 700: {
      exactly(bytes, 4)
      return float(bytes.readFloatBE(0), 6, nearest)
    }
    case 701:
      exactly(bytes, 8)
      return float(bytes.readDoubleBE(0), 15, (value) => value)
    case 1700:
      return numeric(bytes)
    case 2950: {
      exactly(bytes, 16)
      const text = bytes.toString('hex')
      return [
        text.slice(0, 8),
        text.slice(8, 12),
        text.slice(12, 16),
        text.slice(16, 20),
        text.slice(20),
      ].join('-')
    }
    case 3802:
      return bytes[0] === 1 ? bytes.toString('utf8', 1) : null
    case 1082: {
      exactly(bytes, 4)
      const days = bytes.readInt32BE(0)
      if (days === 0x7fffffff) return 'infinity'
      if (days === -0x80000000) return '-infinity'
      return date(BigInt(days) * DAY)
    }
    case 1083:
      exactly(bytes, 8)
      return time(bytes.readBigInt64BE(0))
    case 1114:
    case 1184: {
      exactly(bytes, 8)
      const micros = bytes.readBigInt64BE(0)
      if (micros === 0x7fffffffffffffffn) return 'infinity'
      if (micros === -0x8000000000000000n) return '-infinity'
      const day = floorDiv(micros, DAY)
      const [shown = '', era] = date(micros).split(' ')
      return `${shown} ${time(micros - day * DAY)}${oid === 1184 ? '+00' : ''}${era ? ` ${era}` : ''}`
    }
    case 1186: {
      exactly(bytes, 16)
      const months = bytes.readInt32BE(12)
      const days = bytes.readInt32BE(8)
      const micros = bytes.readBigInt64BE(0)
      return interval(months, days, micros)
    }
    case 1266: {
      exactly(bytes, 12)
      // Seconds west of Greenwich.
      const zone = -bytes.readInt32BE(8)
      const two = (n: number) => String(Math.trunc(n)).padStart(2, '0')
      const away = Math.abs(zone)
      const rest = away % 3600
      return `${time(bytes.readBigInt64BE(0))}${zone < 0 ? '-' : '+'}${two(away / 3600)}${rest ? `:${two(rest / 60)}` : ''}${rest % 60 ? `:${two(rest % 60)}` : ''}`
    }
    case 1560:
    case 1562: {
      const bits = bytes.readInt32BE(0)
      if (bits < 0 || bytes.length !== 4 + Math.ceil(bits / 8)) throw new RangeError('bits')
      return [...bytes.subarray(4)]
        .map((byte) => byte.toString(2).padStart(8, '0'))
        .join('')
        .slice(0, bits)
    }
    case 650:
    case 869:
      return address(bytes, oid === 650)
    case 829:
      exactly(bytes, 6)
      return [...bytes].map((byte) => byte.toString(16).padStart(2, '0')).join(':')
  }
  if (oid === 22 || oid === 30)
    return array(bytes)
      .slice(1, -1)
      .replaceAll(',', ' ')
      .replace(/^.*=\{/, '')
  if (oid === 2249) return record(bytes)
  const bound = boundOid(oid)
  if (bound !== null) return range(bytes, bound)
  const ranges = rangeOid(oid)
  if (ranges !== null) return multirange(bytes, boundOid(ranges)!)
  return elementOid(oid) !== null ? array(bytes) : null
}

const DAY = 86_400_000_000n
/** Microseconds from 1970-01-01 to PostgreSQL's 2000-01-01. */
const EPOCH = 946_684_800_000_000n

function floorDiv(a: bigint, b: bigint): bigint {
  const quotient = a / b
  return a % b < 0n ? quotient - 1n : quotient
}

/**
 * The shortest digits that are this number and no other of its width, as PostgreSQL lays them out: with an exponent of two
 * digits at least below 1e-4 and from 10^`plainDigits` on.
 */
function float(value: number, plainDigits: number, narrow: (value: number) => number): string {
  if (Number.isNaN(value)) return 'NaN'
  if (!Number.isFinite(value)) return value > 0 ? 'Infinity' : '-Infinity'
  if (value === 0) return Object.is(value, -0) ? '-0' : '0'
  let precise = value.toExponential()
  for (let digits = 0; digits < 17; digits++) {
    const shorter = halfToEven(value, digits)
    if (narrow(Number(shorter)) !== value) continue
    precise = shorter
    break
  }
  const [mantissa = '', power = '0'] = precise.split('e')
  const exponent = Number(power)
  if (exponent < -4 || exponent >= plainDigits)
    return `${mantissa}e${exponent < 0 ? '-' : '+'}${String(Math.abs(exponent)).padStart(2, '0')}`
  const sign = mantissa.startsWith('-') ? '-' : ''
  const digits = mantissa.replace(/[-.]/g, '')
  if (exponent < 0) return `${sign}0.${'0'.repeat(-exponent - 1)}${digits}`
  const whole = digits.slice(0, exponent + 1).padEnd(exponent + 1, '0')
  const fraction = digits.slice(exponent + 1)
  return `${sign}${whole}${fraction ? `.${fraction}` : ''}`
}

/** The number of single width that this one is surely read as; NaN half-way between two, which PostgreSQL does not print. */
function nearest(value: number): number {
  const above = Math.fround(value * (1 + Number.EPSILON))
  return above === Math.fround(value * (1 - Number.EPSILON)) ? above : Number.NaN
}

/** Like toExponential, which rounds a half up where PostgreSQL takes the even digit. */
function halfToEven(value: number, digits: number): string {
  const up = value.toExponential(digits)
  const exact = value.toExponential(60)
  const [mantissa = '', power = ''] = exact.split('e')
  const point = mantissa.indexOf('.')
  const rest = mantissa.slice(point + 1 + digits)
  if (!/^50*$/.test(rest)) return up
  const cut = mantissa.slice(0, point + (digits > 0 ? 1 + digits : 0))
  return Number(cut.slice(-1)) % 2 === 0 ? `${cut}e${power}` : up
}

function date(micros: bigint): string {
  const moment = new Date(Number(floorDiv(micros + EPOCH, 1000n)))
  if (Number.isNaN(moment.getTime())) throw new RangeError('date')
  const year = moment.getUTCFullYear()
  const shown = String(year > 0 ? year : 1 - year).padStart(4, '0')
  return `${shown}-${String(moment.getUTCMonth() + 1).padStart(2, '0')}-${String(moment.getUTCDate()).padStart(2, '0')}${year > 0 ? '' : ' BC'}`
}

/** In the style `postgres`: a part after a negative one says its sign. */
function interval(months: number, days: number, micros: bigint): string {
  const parts: string[] = []
  let negative = false
  const part = (n: number, unit: string) => {
    if (n === 0) return
    parts.push(`${negative && n > 0 ? '+' : ''}${n} ${unit}${n === 1 ? '' : 's'}`)
    negative = n < 0
  }
  part(Math.trunc(months / 12), 'year')
  part(months % 12, 'mon')
  part(days, 'day')
  if (micros !== 0n || parts.length === 0)
    parts.push(`${micros < 0n ? '-' : negative ? '+' : ''}${time(micros < 0n ? -micros : micros)}`)
  return parts.join(' ')
}

function time(micros: bigint): string {
  const seconds = micros / 1_000_000n
  const fraction = micros % 1_000_000n
  const two = (n: bigint) => String(n).padStart(2, '0')
  return `${two(seconds / 3600n)}:${two((seconds / 60n) % 60n)}:${two(seconds % 60n)}${fraction ? `.${String(fraction).padStart(6, '0').replace(/0+$/, '')}` : ''}`
}

/** count:i16 weight:i16 sign:u16 scale:u16 digit:u16*, digits in base 10,000 */
function numeric(bytes: Buffer): string {
  const count = bytes.readUInt16BE(0)
  const weight = bytes.readInt16BE(2)
  const sign = bytes.readUInt16BE(4)
  const scale = bytes.readUInt16BE(6)
  exactly(bytes, 8 + count * 2)
  if (sign === 0xc000) return 'NaN'
  if (sign === 0xd000) return 'Infinity'
  if (sign === 0xf000) return '-Infinity'
  const digit = (i: number) => (i >= 0 && i < count ? bytes.readUInt16BE(8 + i * 2) : 0)
  let whole = ''
  for (let i = 0; i <= weight; i++)
    whole += i === 0 ? String(digit(0)) : String(digit(i)).padStart(4, '0')
  let fraction = ''
  for (let i = weight + 1; fraction.length < scale; i++)
    fraction += String(digit(i)).padStart(4, '0')
  return `${sign === 0x4000 ? '-' : ''}${whole || '0'}${scale > 0 ? `.${fraction.slice(0, scale)}` : ''}`
}

/** family:u8 bits:u8 isCidr:u8 length:u8 address */
function address(bytes: Buffer, cidr: boolean): string {
  const length = bytes[3]!
  exactly(bytes, 4 + length)
  const bits = bytes[1]!
  if (length === 4)
    return `${[...bytes.subarray(4)].join('.')}${cidr || bits !== 32 ? `/${bits}` : ''}`
  exactly(bytes, 20)
  const groups = Array.from({ length: 8 }, (_, i) => bytes.readUInt16BE(4 + i * 2).toString(16))
  return `${shortened(groups)}${cidr || bits !== 128 ? `/${bits}` : ''}`
}

/** The longest run of two or more zero groups left out (RFC 5952). */
function shortened(groups: string[]): string {
  let from = -1
  let most = 1
  for (let i = 0; i < 8; i++) {
    let n = 0
    while (i + n < 8 && groups[i + n] === '0') n++
    if (n > most) {
      most = n
      from = i
    }
  }
  if (from < 0) return groups.join(':')
  return `${groups.slice(0, from).join(':')}::${groups.slice(from + most).join(':')}`
}

/** dimensions:i32 hasNull:i32 type:u32 (size:i32 lower:i32)* (length:i32 bytes)* */
function array(bytes: Buffer): string {
  const dimensions = bytes.readInt32BE(0)
  const oid = bytes.readUInt32BE(8)
  if (dimensions === 0) return '{}'
  if (dimensions < 0 || dimensions > 6) throw new RangeError('dimensions')
  const sizes = Array.from({ length: dimensions }, (_, i) => bytes.readInt32BE(12 + i * 8))
  const begin = 12 + dimensions * 8
  // Every item has at least its length, so no array has more than fit.
  if (sizes.some((size) => size < 1) || sizes.reduce((a, b) => a * b, 1) * 4 > bytes.length - begin)
    throw new RangeError('array')
  const parts = new Parts(bytes, begin)
  const level = (depth: number): string => {
    const items: string[] = []
    for (let i = 0; i < sizes[depth]!; i++) {
      if (depth + 1 < dimensions) {
        items.push(level(depth + 1))
        continue
      }
      const item = parts.next()
      if (item === null) {
        items.push('NULL')
        continue
      }
      const text = decodeValue(item, oid, 1)
      items.push(
        /^$|[ \t\n\v\f\r{}",\\]|^null$/i.test(text) ? `"${text.replace(/["\\]/g, '\\$&')}"` : text,
      )
    }
    return `{${items.join(',')}}`
  }
  const lowers = sizes.map((_, i) => bytes.readInt32BE(16 + i * 8))
  const text = level(0)
  parts.end()
  // Shown where any dimension does not begin at 1.
  return lowers.every((lower) => lower === 1)
    ? text
    : `${lowers.map((lower, i) => `[${lower}:${lower + sizes[i]! - 1}]`).join('')}=${text}`
}

/** fields:i32 (type:u32 length:i32 bytes)* */
function record(bytes: Buffer): string {
  const fields = bytes.readInt32BE(0)
  if (fields < 0 || fields * 8 > bytes.length - 4) throw new RangeError('record')
  const parts = new Parts(bytes, 4)
  const texts: string[] = []
  for (let i = 0; i < fields; i++) {
    const oid = parts.oid()
    const field = parts.next()
    const text = field === null ? null : decodeValue(field, oid, 1)
    texts.push(
      text !== null && /^$|[ \t\n\v\f\r()",\\]/.test(text)
        ? `"${text.replace(/["\\]/g, '$&$&')}"`
        : (text ?? ''),
    )
  }
  parts.end()
  return `(${texts.join(',')})`
}

/** One value of a row type: whoever knows that its type is one. */
export function decodeRecord(bytes: Buffer): string {
  try {
    return record(bytes)
  } catch {
    return hex(bytes)
  }
}

/** One value of type hstore, which every database numbers by itself: pairs:i32 (length:i32 key length:i32 value)* */
export function decodeHstore(bytes: Buffer): string {
  const quote = (text: string) => `"${text.replace(/["\\]/g, '\\$&')}"`
  try {
    const pairs = bytes.readInt32BE(0)
    if (pairs < 0 || pairs * 8 > bytes.length - 4) throw new RangeError('hstore')
    const parts = new Parts(bytes, 4)
    const next = () => {
      const part = parts.next()
      return part && quote(part.toString('utf8'))
    }
    const texts: string[] = []
    for (let i = 0; i < pairs; i++) texts.push(`${next() ?? '""'}=>${next() ?? 'NULL'}`)
    parts.end()
    return texts.join(', ')
  } catch {
    return hex(bytes)
  }
}

const EMPTY = 1
const LOWER_IN = 2
const UPPER_IN = 4
const LOWER_NONE = 8
const UPPER_NONE = 16

/** flags:u8 (length:i32 bound){0,2} */
function range(bytes: Buffer, bound: number): string {
  const flags = bytes.readUInt8(0)
  const parts = new Parts(bytes, 1)
  const next = (): string => {
    const part = parts.next()
    if (part === null) throw new RangeError('range')
    const text = decodeValue(part, bound, 1)
    return /[ \t\n\v\f\r()[\]",\\]/.test(text) ? `"${text}"` : text
  }
  if (flags & EMPTY) {
    exactly(bytes, 1)
    return 'empty'
  }
  const lower = flags & LOWER_NONE ? '' : next()
  const upper = flags & UPPER_NONE ? '' : next()
  parts.end()
  return `${flags & LOWER_IN ? '[' : '('}${lower},${upper}${flags & UPPER_IN ? ']' : ')'}`
}

/** ranges:i32 (length:i32 range)* */
function multirange(bytes: Buffer, bound: number): string {
  const count = bytes.readInt32BE(0)
  if (count < 0 || count * 5 > bytes.length) throw new RangeError('multirange')
  const parts = new Parts(bytes, 4)
  const texts: string[] = []
  for (let i = 0; i < count; i++) {
    const part = parts.next()
    if (part === null) throw new RangeError('multirange')
    // An empty one has no flags, and is refused there.
    texts.push(range(part, bound))
  }
  parts.end()
  return `{${texts.join(',')}}`
}
