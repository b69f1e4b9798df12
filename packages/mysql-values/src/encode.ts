/**
 * Text as a value on the wire, length and all, of the type that a column was said to have; in both protocols. For what takes
 * another value's place, so that whoever reads it is not led astray.
 * Refuses what the type can't hold: null, and the caller takes NULL instead.
 */
import { lenencString } from './bytes'
import { BINARY_COLLATION, charsetOf, encodeText } from './charsets'
import { binarySize, ColumnFlag, FieldType, isInteger, isString, type ValueType } from './types'

/** `text` as `decodeValue` gives it; of binary strings and bytes also as hex behind `0x`. */
export function encodeValue(text: string, of: ValueType, isBinary: boolean): Buffer | null {
  const { type } = of
  if (isString(type)) {
    const bytes =
      of.collation === BINARY_COLLATION && of.extendedType !== 'json'
        ? bytesOf(text)
        : encodeText(text, of.collation === BINARY_COLLATION ? 'utf8mb4' : charsetOf(of.collation))
    return bytes && lenencString(bytes)
  }
  if (isInteger(type)) return integer(text, of, isBinary)
  switch (type) {
    case FieldType.json:
      return lenencString(text)
    case FieldType.decimal:
    case FieldType.newdecimal:
      return /^-?\d{1,65}(\.\d{1,38})?$/.test(text) ? lenencString(text) : null
    case FieldType.float:
    case FieldType.double:
      return real(text, type === FieldType.float, isBinary)
    case FieldType.date:
    case FieldType.newdate:
      return moment(text, false, isBinary)
    case FieldType.timestamp:
    case FieldType.timestamp2:
    case FieldType.datetime:
    case FieldType.datetime2:
      return moment(text, true, isBinary)
    case FieldType.time:
    case FieldType.time2:
      return time(text, isBinary)
    case FieldType.bit: {
      const digits = /^b'([01]{1,64})'$/.exec(text)?.[1]
      if (digits === undefined) return null
      const whole = digits.padStart(Math.ceil(digits.length / 8) * 8, '0')
      return lenencString(
        Buffer.from((whole.match(/.{8}/g) ?? []).map((byte) => Number.parseInt(byte, 2))),
      )
    }
    case FieldType.geometry:
    case FieldType.vector: {
      const bytes = /^0x([0-9a-f]{2})*$/i.test(text) ? Buffer.from(text.slice(2), 'hex') : null
      return bytes && lenencString(bytes)
    }
  }
  return null
}

function bytesOf(text: string): Buffer {
  return /^0x([0-9a-f]{2})+$/i.test(text) ? Buffer.from(text.slice(2), 'hex') : Buffer.from(text)
}

const BITS: Readonly<Record<number, number>> = {
  [FieldType.tiny]: 8,
  [FieldType.short]: 16,
  [FieldType.int24]: 24,
  [FieldType.long]: 32,
  [FieldType.longlong]: 64,
}

function integer(text: string, { type, flags }: ValueType, isBinary: boolean): Buffer | null {
  if (!/^[+-]?\d{1,40}$/.test(text)) return null
  const value = BigInt(text.replace('+', ''))
  if (type === FieldType.year) {
    if (value !== 0n && (value < 1901n || value > 2155n)) return null
  } else {
    const bits = BigInt(BITS[type]!)
    const isUnsigned = (flags & ColumnFlag.unsigned) !== 0
    const least = isUnsigned ? 0n : -(2n ** (bits - 1n))
    const most = (isUnsigned ? 2n ** bits : 2n ** (bits - 1n)) - 1n
    if (value < least || value > most) return null
  }
  if (!isBinary)
    return lenencString(type === FieldType.year ? String(value).padStart(4, '0') : String(value))
  const whole = Buffer.alloc(8)
  whole.writeBigInt64LE(BigInt.asIntN(64, value))
  return whole.subarray(0, binarySize(type))
}

function real(text: string, isSingle: boolean, isBinary: boolean): Buffer | null {
  if (!/^-?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(text)) return null
  const value = Number(text)
  if (!Number.isFinite(isSingle ? Math.fround(value) : value)) return null
  if (!isBinary) return lenencString(text)
  const bytes = Buffer.alloc(isSingle ? 4 : 8)
  if (isSingle) bytes.writeFloatLE(value)
  else bytes.writeDoubleLE(value)
  return bytes
}

const MOMENT = /^(\d{4})-(\d\d)-(\d\d)(?: (\d\d):(\d\d):(\d\d)(?:\.(\d{1,6}))?)?$/

function moment(text: string, hasTime: boolean, isBinary: boolean): Buffer | null {
  const match = MOMENT.exec(text)
  if (!match || (match[4] !== undefined && !hasTime)) return null
  const [, year = 0, month = 0, day = 0, hour = 0, minute = 0, second = 0] = match.map(Number)
  const leap = new Date(Date.UTC(2000 + (year % 400), month, 0)).getUTCDate()
  if (month > 12 || day > 31 || (month > 0 && day > leap)) return null
  if (match[4] !== undefined && (hour > 23 || minute > 59 || second > 59)) return null
  if (!isBinary) return lenencString(hasTime && match[4] === undefined ? `${text} 00:00:00` : text)
  const micros = Number((match[7] ?? '').padEnd(6, '0'))
  const length = micros > 0 ? 11 : hasTime && hour + minute + second > 0 ? 7 : 4
  if (length === 4 && year + month + day === 0) return Buffer.alloc(1)
  const bytes = Buffer.alloc(1 + length)
  bytes[0] = length
  bytes.writeUInt16LE(year, 1)
  bytes[3] = month
  bytes[4] = day
  if (length > 4) bytes.set([hour, minute, second], 5)
  if (length > 7) bytes.writeUInt32LE(micros, 8)
  return bytes
}

const HOURS_MAX = 838

function time(text: string, isBinary: boolean): Buffer | null {
  const match = /^(-?)(\d{2,3}):(\d\d):(\d\d)(?:\.(\d{1,6}))?$/.exec(text)
  if (!match) return null
  const [hours, minutes, seconds] = [Number(match[2]), Number(match[3]), Number(match[4])]
  if (hours > HOURS_MAX || minutes > 59 || seconds > 59) return null
  if (!isBinary) return lenencString(text)
  const micros = Number((match[5] ?? '').padEnd(6, '0'))
  if (hours + minutes + seconds + micros === 0) return Buffer.alloc(1)
  const length = micros > 0 ? 12 : 8
  const bytes = Buffer.alloc(1 + length)
  bytes[0] = length
  bytes[1] = match[1] === '' ? 0 : 1
  bytes.writeUInt32LE(Math.floor(hours / 24), 2)
  bytes.set([hours % 24, minutes, seconds], 6)
  if (micros > 0) bytes.writeUInt32LE(micros, 9)
  return bytes
}
