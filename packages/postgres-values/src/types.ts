/**
 * PostgreSQL's own types by their numbers: names, what kind of value each is, and of arrays what they hold.
 * Refuses to guess: a number that every database gives out anew (domains, enums, rows, extensions) is `other`.
 */

export type ValueKind =
  | 'text'
  | 'json'
  | 'integer'
  | 'decimal'
  | 'float'
  | 'boolean'
  | 'date'
  | 'timestamp'
  | 'uuid'
  | 'bytes'
  | 'composite'
  | 'other'

export interface ValueTypeInformation {
  kind: ValueKind
  isArray: boolean
}

/** number, name, number of its array, kind (src/include/catalog/pg_type.dat). */
const TYPES: readonly [oid: number, name: string, array: number, kind: ValueKind][] = [
  [16, 'bool', 1000, 'boolean'],
  [17, 'bytea', 1001, 'bytes'],
  [18, 'char', 1002, 'text'],
  [19, 'name', 1003, 'text'],
  [20, 'int8', 1016, 'integer'],
  [21, 'int2', 1005, 'integer'],
  [22, 'int2vector', 1006, 'other'],
  [23, 'int4', 1007, 'integer'],
  [24, 'regproc', 1008, 'other'],
  [25, 'text', 1009, 'text'],
  [26, 'oid', 1028, 'integer'],
  [27, 'tid', 1010, 'other'],
  [28, 'xid', 1011, 'other'],
  [30, 'oidvector', 1013, 'other'],
  [114, 'json', 199, 'json'],
  [142, 'xml', 143, 'text'],
  [600, 'point', 1017, 'other'],
  [650, 'cidr', 651, 'other'],
  [700, 'float4', 1021, 'float'],
  [701, 'float8', 1022, 'float'],
  [705, 'unknown', 0, 'text'],
  [790, 'money', 791, 'other'],
  [829, 'macaddr', 1040, 'other'],
  [869, 'inet', 1041, 'other'],
  [1042, 'bpchar', 1014, 'text'],
  [1043, 'varchar', 1015, 'text'],
  [1082, 'date', 1182, 'date'],
  [1083, 'time', 1183, 'other'],
  [1114, 'timestamp', 1115, 'timestamp'],
  [1184, 'timestamptz', 1185, 'timestamp'],
  [1186, 'interval', 1187, 'other'],
  [1266, 'timetz', 1270, 'other'],
  [1560, 'bit', 1561, 'other'],
  [1562, 'varbit', 1563, 'other'],
  [1700, 'numeric', 1231, 'decimal'],
  [2205, 'regclass', 2210, 'other'],
  [2249, 'record', 2287, 'composite'],
  [2278, 'void', 0, 'other'],
  [2950, 'uuid', 2951, 'uuid'],
  [3802, 'jsonb', 3807, 'json'],
  [3904, 'int4range', 3905, 'other'],
  [3906, 'numrange', 3907, 'other'],
  [3908, 'tsrange', 3909, 'other'],
  [3910, 'tstzrange', 3911, 'other'],
  [3912, 'daterange', 3913, 'other'],
  [3926, 'int8range', 3927, 'other'],
  [4451, 'int4multirange', 6150, 'other'],
  [4532, 'nummultirange', 6151, 'other'],
  [4533, 'tsmultirange', 6152, 'other'],
  [4534, 'tstzmultirange', 6153, 'other'],
  [4535, 'datemultirange', 6155, 'other'],
  [4536, 'int8multirange', 6157, 'other'],
]

const NAMES = new Map<number, string>()
const ELEMENTS = new Map<number, number>()
const KINDS = new Map<number, ValueKind>()
for (const [oid, name, array, kind] of TYPES) {
  NAMES.set(oid, name)
  KINDS.set(oid, kind)
  if (array === 0) continue
  NAMES.set(array, `${name}[]`)
  ELEMENTS.set(array, oid)
}
const OIDS = new Map([...NAMES].map(([oid, name]) => [name, oid]))

export function typeName(oid: number): string {
  return NAMES.get(oid) ?? `oid:${oid}`
}

/** The number of a type by the name that `typeName` gives it, or null. */
export function typeOid(name: string): number | null {
  const other = /^oid:(\d+)$/.exec(name)
  return other ? Number(other[1]) : (OIDS.get(name) ?? null)
}

/** What an array of this type holds, or null. */
export function elementOid(oid: number): number | null {
  return ELEMENTS.get(oid) ?? null
}

export function valueTypeOf(oid: number): ValueTypeInformation {
  const element = ELEMENTS.get(oid)
  return { kind: KINDS.get(element ?? oid) ?? 'other', isArray: element !== undefined }
}

/** What the bounds of a range are, by the range's number, or null. */
export function boundOid(oid: number): number | null {
  return BOUNDS.get(oid) ?? null
}

/** The range that a multirange is made of, or null. */
export function rangeOid(oid: number): number | null {
  return RANGES.get(oid) ?? null
}

const BOUNDS = new Map([
  [3904, 23],
  [3906, 1700],
  [3908, 1114],
  [3910, 1184],
  [3912, 1082],
  [3926, 20],
])

const RANGES = new Map([
  [4451, 3904],
  [4532, 3906],
  [4533, 3908],
  [4534, 3910],
  [4535, 3912],
  [4536, 3926],
])
