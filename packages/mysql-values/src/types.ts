/**
 * MySQL's types by the numbers that columns and parameters carry (include/field_types.h): names as SQL has them, what kind of
 * value each is, how many bytes a value takes in binary rows.
 * Refuses to guess: a number that is not listed is `other`, and its binary values can't be told apart.
 */
import { BINARY_COLLATION } from './charsets'

export const FieldType = {
  decimal: 0,
  tiny: 1,
  short: 2,
  long: 3,
  float: 4,
  double: 5,
  null: 6,
  timestamp: 7,
  longlong: 8,
  int24: 9,
  date: 10,
  time: 11,
  datetime: 12,
  year: 13,
  newdate: 14,
  varchar: 15,
  bit: 16,
  timestamp2: 17,
  datetime2: 18,
  time2: 19,
  vector: 242,
  json: 245,
  newdecimal: 246,
  enum: 247,
  set: 248,
  tinyBlob: 249,
  mediumBlob: 250,
  longBlob: 251,
  blob: 252,
  varString: 253,
  string: 254,
  geometry: 255,
} as const

export const ColumnFlag = {
  notNull: 1,
  primaryKey: 2,
  uniqueKey: 4,
  blob: 16,
  unsigned: 32,
  zerofill: 64,
  binary: 128,
  enum: 256,
  autoIncrement: 512,
  timestamp: 1024,
  set: 2048,
} as const

export type ValueKind =
  | 'text'
  | 'json'
  | 'integer'
  | 'decimal'
  | 'float'
  | 'date'
  | 'timestamp'
  | 'bytes'
  | 'other'

/** Of a value, what says how it is carried and read. */
export interface ValueType {
  type: number
  /** A collation's number. */
  collation: number
  flags: number
  /** Digits behind the point; 31 where they are not fixed. */
  decimals: number
  /** Characters or digits of the column, as displayed. */
  length: number
  /** MariaDB's name for types that have no number: `json`, `uuid`, `inet6`, …; null where it said nothing. */
  extendedType: string | null
}

/** How the length of a binary value is said: so many bytes, or by its first bytes. */
export const LENGTH_ENCODED = -1
export const LENGTH_BYTE = -2
export const LENGTH_UNKNOWN = -3

const SIZES = new Int8Array(256).fill(LENGTH_UNKNOWN)
for (const [size, types] of [
  [1, [FieldType.tiny]],
  [2, [FieldType.short, FieldType.year]],
  [4, [FieldType.long, FieldType.int24, FieldType.float]],
  [8, [FieldType.longlong, FieldType.double]],
  [0, [FieldType.null]],
  [
    LENGTH_BYTE,
    [
      ...[FieldType.timestamp, FieldType.date, FieldType.time, FieldType.datetime],
      ...[FieldType.newdate, FieldType.timestamp2, FieldType.datetime2, FieldType.time2],
    ],
  ],
  [
    LENGTH_ENCODED,
    [
      ...[FieldType.decimal, FieldType.varchar, FieldType.bit, FieldType.vector, FieldType.json],
      ...[FieldType.newdecimal, FieldType.enum, FieldType.set, FieldType.tinyBlob],
      ...[FieldType.mediumBlob, FieldType.longBlob, FieldType.blob, FieldType.varString],
      ...[FieldType.string, FieldType.geometry],
    ],
  ],
] as const)
  for (const type of types) SIZES[type] = size

/** Bytes of a value in binary form, or one of the constants above. */
export function binarySize(type: number): number {
  return SIZES[type] ?? LENGTH_UNKNOWN
}

const NAMES: Readonly<Record<number, string>> = {
  0: 'decimal',
  1: 'tinyint',
  2: 'smallint',
  3: 'int',
  4: 'float',
  5: 'double',
  6: 'null',
  7: 'timestamp',
  8: 'bigint',
  9: 'mediumint',
  10: 'date',
  11: 'time',
  12: 'datetime',
  13: 'year',
  14: 'date',
  15: 'varchar',
  16: 'bit',
  17: 'timestamp',
  18: 'datetime',
  19: 'time',
  242: 'vector',
  245: 'json',
  246: 'decimal',
  247: 'enum',
  248: 'set',
  255: 'geometry',
}

const BLOB_FIRST = FieldType.tinyBlob
const BLOB_LAST = FieldType.blob

/** As SQL names it; `int unsigned`, `varbinary`, … */
export function typeName(of: ValueType): string {
  const { type, flags } = of
  if (of.extendedType !== null) return of.extendedType
  if (flags & ColumnFlag.enum) return 'enum'
  if (flags & ColumnFlag.set) return 'set'
  const isBinary = of.collation === BINARY_COLLATION
  if (type >= BLOB_FIRST && type <= BLOB_LAST) return isBinary ? 'blob' : 'text'
  if (type === FieldType.varString) return isBinary ? 'varbinary' : 'varchar'
  if (type === FieldType.string) return isBinary ? 'binary' : 'char'
  const name = NAMES[type]
  if (name === undefined) return `type:${type}`
  return flags & ColumnFlag.unsigned && isInteger(type) && type !== FieldType.year
    ? `${name} unsigned`
    : name
}

const TYPES: Readonly<Record<string, number>> = {
  ...Object.fromEntries(Object.entries(NAMES).map(([number, name]) => [name, Number(number)])),
  decimal: FieldType.newdecimal,
  date: FieldType.date,
  time: FieldType.time,
  datetime: FieldType.datetime,
  timestamp: FieldType.timestamp,
  text: FieldType.blob,
  blob: FieldType.blob,
  varchar: FieldType.varString,
  varbinary: FieldType.varString,
  char: FieldType.string,
  binary: FieldType.string,
  enum: FieldType.string,
  set: FieldType.string,
}
const BINARY_NAMES = new Set(['blob', 'varbinary', 'binary', 'bit', 'geometry', 'vector'])

/** What a column of this name is, as far as the name says; null where it says nothing. */
export function typeNamed(name: string): ValueType | null {
  const isUnsigned = name.endsWith(' unsigned')
  const bare = isUnsigned ? name.slice(0, -' unsigned'.length) : name
  const other = /^type:(\d{1,3})$/.exec(bare)
  const type = other ? Number(other[1]) : (TYPES[bare] ?? FieldType.string)
  return {
    type,
    collation:
      BINARY_NAMES.has(bare) || binarySize(type) !== LENGTH_ENCODED ? BINARY_COLLATION : 45,
    flags: isUnsigned ? ColumnFlag.unsigned : 0,
    decimals: NOT_FIXED,
    length: 0,
    extendedType: null,
  }
}

export const NOT_FIXED = 31

export function isInteger(type: number): boolean {
  return (
    (type >= FieldType.tiny && type <= FieldType.long) ||
    type === FieldType.longlong ||
    type === FieldType.int24 ||
    type === FieldType.year
  )
}

/** Carried as a string that says nothing of its form. */
export function isString(type: number): boolean {
  return (
    type === FieldType.varchar ||
    type === FieldType.enum ||
    type === FieldType.set ||
    (type >= FieldType.tinyBlob && type <= FieldType.string)
  )
}

export function kindOf({ type, collation, extendedType }: ValueType): ValueKind {
  if (extendedType === 'json' || type === FieldType.json) return 'json'
  if (isString(type)) return collation === BINARY_COLLATION ? 'bytes' : 'text'
  if (type === FieldType.year) return 'other'
  if (isInteger(type)) return 'integer'
  switch (type) {
    case FieldType.decimal:
    case FieldType.newdecimal:
      return 'decimal'
    case FieldType.float:
    case FieldType.double:
      return 'float'
    case FieldType.date:
    case FieldType.newdate:
      return 'date'
    case FieldType.timestamp:
    case FieldType.timestamp2:
    case FieldType.datetime:
    case FieldType.datetime2:
      return 'timestamp'
  }
  return 'other'
}
