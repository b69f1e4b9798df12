/**
 * One value as text, as the server prints it in the text protocol; of both protocols (documentation: "Binary Protocol Value").
 *   date, datetime = length:u8 [year:u16 month:u8 day:u8 [hour:u8 minute:u8 second:u8 [micros:u32]]]      length 0, 4, 7 or 11
 *   time           = length:u8 [negative:u8 days:u32 hour:u8 minute:u8 second:u8 [micros:u32]]            length 0, 8 or 12
 * Refuses to fail: bytes that are no text, and what has not the layout of its type, are given as hex.
 */
import { BINARY_COLLATION, charsetOf, decodeText } from './charsets'
import { ColumnFlag, FieldType, isInteger, isString, NOT_FIXED, type ValueType } from './types'

/** `bytes`: without what says its length. */
export function decodeValue(bytes: Buffer, of: ValueType, isBinary: boolean): string {
  const { type } = of
  if (isString(type)) return stringOf(bytes, of)
  switch (type) {
    case FieldType.json:
      return bytes.toString('utf8')
    case FieldType.bit:
      return bits(bytes, of.length)
    case FieldType.geometry:
    case FieldType.vector:
      return hex(bytes)
    case FieldType.decimal:
    case FieldType.newdecimal:
      return bytes.toString('latin1')
  }
  if (!isBinary) return bytes.toString('latin1')
  try {
    return binary(bytes, of) ?? hex(bytes)
  } catch (error) {
    if (!(error instanceof RangeError)) throw error
    return hex(bytes)
  }
}

export function hex(bytes: Buffer): string {
  return `0x${bytes.toString('hex').toUpperCase()}`
}

// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what tells bytes from text
const NO_TEXT = /[\0-\x08\x0e-\x1f\ufffd]/

/** Bytes of unknown meaning: as text where they are some in UTF-8. */
export function printable(bytes: Buffer): string {
  const text = bytes.toString('utf8')
  return NO_TEXT.test(text) ? hex(bytes) : text
}

function stringOf(bytes: Buffer, { collation, extendedType }: ValueType): string {
  if (collation === BINARY_COLLATION)
    return extendedType === 'json' ? bytes.toString('utf8') : printable(bytes)
  return decodeText(bytes, charsetOf(collation)) ?? hex(bytes)
}

/** As a literal, with as many digits as the column has. */
function bits(bytes: Buffer, length: number): string {
  const all = [...bytes].map((byte) => byte.toString(2).padStart(8, '0')).join('')
  const digits = length > 0 && length <= all.length ? all.slice(all.length - length) : all
  return `b'${digits}'`
}

function exactly(bytes: Buffer, length: number): void {
  if (bytes.length !== length) throw new RangeError('length')
}

function binary(bytes: Buffer, of: ValueType): string | null {
  const { type, flags, decimals } = of
  if (isInteger(type)) return padded(integer(bytes, of), of)
  switch (type) {
    case FieldType.float:
      exactly(bytes, 4)
      // Six digits are what the server prints of a single width.
      return padded(real(Number(bytes.readFloatLE(0).toPrecision(6)), decimals), of)
    case FieldType.double:
      exactly(bytes, 8)
      return padded(real(bytes.readDoubleLE(0), decimals), of)
    case FieldType.date:
    case FieldType.newdate:
      return moment(bytes, false, 0)
    case FieldType.timestamp:
    case FieldType.timestamp2:
    case FieldType.datetime:
    case FieldType.datetime2:
      return moment(bytes, true, decimals)
    case FieldType.time:
    case FieldType.time2:
      return time(bytes, decimals)
    case FieldType.null:
      return flags === 0 ? '' : null
  }
  return null
}

function integer(bytes: Buffer, { type, flags }: ValueType): string {
  const isUnsigned = (flags & ColumnFlag.unsigned) !== 0
  switch (type) {
    case FieldType.tiny:
      exactly(bytes, 1)
      return String(isUnsigned ? bytes.readUInt8(0) : bytes.readInt8(0))
    case FieldType.year:
      exactly(bytes, 2)
      return String(bytes.readUInt16LE(0)).padStart(4, '0')
    case FieldType.short:
      exactly(bytes, 2)
      return String(isUnsigned ? bytes.readUInt16LE(0) : bytes.readInt16LE(0))
    case FieldType.long:
    case FieldType.int24:
      exactly(bytes, 4)
      return String(isUnsigned ? bytes.readUInt32LE(0) : bytes.readInt32LE(0))
  }
  exactly(bytes, 8)
  return String(isUnsigned ? bytes.readBigUInt64LE(0) : bytes.readBigInt64LE(0))
}

const LENGTH_SHOWN_MAX = 255

function padded(text: string, { flags, length }: ValueType): string {
  return flags & ColumnFlag.zerofill ? text.padStart(Math.min(length, LENGTH_SHOWN_MAX), '0') : text
}

/** Beyond these powers of ten a number has an exponent (strings/dtoa.c, MAX_DECPT_FOR_F_FORMAT). */
const POINT_MAX = 15
const POINT_MIN = -14

function real(value: number, decimals: number): string {
  if (!Number.isFinite(value)) return String(value)
  if (decimals < NOT_FIXED && Math.abs(value) < 1e21) return value.toFixed(decimals)
  if (value === 0) return Object.is(value, -0) ? '-0' : '0'
  const [mantissa = '', power = '0'] = value.toExponential().split('e')
  const point = Number(power) + 1
  if (point < POINT_MIN || point > POINT_MAX) return `${mantissa}e${Number(power)}`
  const sign = value < 0 ? '-' : ''
  const digits = mantissa.replace(/[-.]/g, '')
  if (point <= 0) return `${sign}0.${'0'.repeat(-point)}${digits}`
  const fraction = digits.slice(point)
  return `${sign}${digits.slice(0, point).padEnd(point, '0')}${fraction ? `.${fraction}` : ''}`
}

const two = (n: number) => String(n).padStart(2, '0')

function fraction(micros: number, decimals: number): string {
  const digits = String(micros).padStart(6, '0')
  if (decimals > 0 && decimals <= 6) return `.${digits.slice(0, decimals)}`
  return micros === 0 ? '' : `.${digits}`
}

function moment(bytes: Buffer, hasTime: boolean, decimals: number): string {
  if (![0, 4, 7, 11].includes(bytes.length)) throw new RangeError('length')
  const has = (count: number) => bytes.length >= count
  const date = has(4)
    ? `${String(bytes.readUInt16LE(0)).padStart(4, '0')}-${two(bytes[2]!)}-${two(bytes[3]!)}`
    : '0000-00-00'
  if (!hasTime) return date
  const clock = has(7) ? [bytes[4]!, bytes[5]!, bytes[6]!] : [0, 0, 0]
  return `${date} ${clock.map(two).join(':')}${fraction(has(11) ? bytes.readUInt32LE(7) : 0, decimals)}`
}

function time(bytes: Buffer, decimals: number): string {
  if (![0, 8, 12].includes(bytes.length)) throw new RangeError('length')
  if (bytes.length === 0) return `00:00:00${fraction(0, decimals)}`
  const hours = bytes.readUInt32LE(1) * 24 + bytes[5]!
  const micros = bytes.length === 12 ? bytes.readUInt32LE(8) : 0
  return `${bytes[0] ? '-' : ''}${two(hours)}:${two(bytes[6]!)}:${two(bytes[7]!)}${fraction(micros, decimals)}`
}
