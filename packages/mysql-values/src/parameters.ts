/**
 * Parameters of prepared statements, and attributes of queries, as values with their types (documentation: "COM_STMT_EXECUTE",
 * "COM_QUERY"; MariaDB: "COM_STMT_BULK_EXECUTE"). `bytes` are bodies without the command's own byte.
 *   execute = statement:u32 flags:u8 iterations:u32 [count:lenenc]                     count with query attributes, where there are placeholders or the flag says so
 *             [nulls:bitmap(count) bound:u8 [(type:u16 [name:lenenc])*] value*]
 *   bulk    = statement:u32 flags:u16 [(type:u16)*] (indicator:u8 [value])*
 * Refuses what has not this form: whoever can't say what is run must not run it.
 */
import { FormError, Reader } from './bytes'
import { BINARY_COLLATION } from './charsets'
import { binarySize, ColumnFlag, LENGTH_BYTE, LENGTH_ENCODED, type ValueType } from './types'
import { decodeValue } from './values'

export interface ParameterType {
  type: number
  isUnsigned: boolean
  /** With query attributes; empty for parameters in the text. */
  name: Buffer
}

export interface Parameter {
  /** As text; null: NULL. */
  text: string | null
  /** As they came, without their length; null: NULL. */
  bytes: Buffer | null
  type: ValueType
  name: Buffer
  /** Sent in pieces before. */
  isLong: boolean
}

export interface Execution {
  statement: number
  flags: number
  parameters: Parameter[]
  /** Bound now, or before: to be remembered for the next time. */
  types: readonly ParameterType[]
}

const PARAMETERS_MAX = 65_535
const COUNT_AVAILABLE = 8
const UNSIGNED = 0x80

export interface ExecutionSettings {
  /** Placeholders of the statement's text. */
  parameters: number
  /** Of the last execution that said them; null: none did. */
  types: readonly ParameterType[] | null
  /** What was sent in pieces, by number from 0. */
  long: ReadonlyMap<number, Buffer>
  /** Query attributes were agreed on. */
  attributes: boolean
  /** Of what the client sends as text. */
  collation: number
}

export function readExecute(bytes: Buffer, settings: ExecutionSettings): Execution {
  const reader = new Reader(bytes, 0, bytes.length)
  const statement = reader.u32()
  const flags = reader.u8()
  reader.u32()
  const { attributes } = settings
  let count = settings.parameters
  if (attributes && (count > 0 || flags & COUNT_AVAILABLE)) {
    const sent = reader.lenenc()
    if (sent < count) throw new FormError('fewer parameters than placeholders')
    count = sent
  }
  if (count === 0) return { statement, flags, parameters: [], types: [] }
  const { parameters, types } = readValues(reader, count, attributes, settings)
  return { statement, flags, parameters, types }
}

/** Attributes of a query, and where its text begins. */
export function readQuery(
  bytes: Buffer,
  attributes: boolean,
  collation: number,
): { attributes: Parameter[]; textAt: number } {
  if (!attributes) return { attributes: [], textAt: 0 }
  const reader = new Reader(bytes, 0, bytes.length)
  const count = reader.lenenc()
  const sets = reader.lenenc()
  if (sets !== 1) throw new FormError('a query with other than one set of attributes')
  if (count === 0) return { attributes: [], textAt: reader.at }
  const settings = { parameters: count, types: null, long: new Map(), attributes, collation }
  const { parameters } = readValues(reader, count, true, settings)
  return { attributes: parameters, textAt: reader.at }
}

function readValues(
  reader: Reader,
  count: number,
  named: boolean,
  { types: before, long, collation }: ExecutionSettings,
): { parameters: Parameter[]; types: readonly ParameterType[] } {
  if (count > PARAMETERS_MAX) throw new FormError('more parameters than there can be')
  const nulls = reader.raw((count + 7) >> 3)
  let types = before
  if (reader.u8() === 1) types = readTypes(reader, count, named)
  if (types === null || types.length < count) throw new FormError('parameters without their types')
  const parameters: Parameter[] = []
  for (let i = 0; i < count; i++) {
    const of = types[i]!
    const type = valueTypeOf(of, collation)
    const sent = long.get(i)
    if (sent !== undefined) parameters.push(parameter(type, sent, of.name, true))
    else {
      const isNull = ((nulls[i >> 3]! >> (i & 7)) & 1) === 1
      parameters.push(parameter(type, isNull ? null : readValue(reader, type), of.name, false))
    }
  }
  return { parameters, types }
}

function readTypes(reader: Reader, count: number, named: boolean): ParameterType[] {
  const types: ParameterType[] = []
  for (let i = 0; i < count; i++) {
    const type = reader.u8()
    const isUnsigned = (reader.u8() & UNSIGNED) !== 0
    types.push({ type, isUnsigned, name: named ? reader.lenencBytes() : EMPTY })
  }
  return types
}

const EMPTY = Buffer.alloc(0)
/** Types by which drivers send what is no text. */
const BLOBS = new Set([249, 250, 251, 252])

function valueTypeOf({ type, isUnsigned }: ParameterType, collation: number): ValueType {
  return {
    type,
    collation: BLOBS.has(type) ? BINARY_COLLATION : collation,
    flags: isUnsigned ? ColumnFlag.unsigned : 0,
    decimals: 31,
    length: 0,
    extendedType: null,
  }
}

/** Made in one place, so that all of them have one shape. */
function parameter(
  type: ValueType,
  bytes: Buffer | null,
  name: Buffer,
  isLong: boolean,
): Parameter {
  return { text: bytes === null ? null : decodeValue(bytes, type, true), bytes, type, name, isLong }
}

const TYPE_NULL = 6

function readValue(reader: Reader, { type }: ValueType): Buffer | null {
  if (type === TYPE_NULL) return null
  const size = binarySize(type)
  if (size >= 0) return reader.raw(size)
  if (size === LENGTH_BYTE) return reader.raw(reader.u8())
  if (size === LENGTH_ENCODED) return reader.lenencBytes()
  throw new FormError(`a parameter of unknown type ${type}`)
}

const SEND_TYPES = 128
export const Indicator = { none: 0, null: 1, default: 2, ignore: 3 } as const

/** MariaDB's execution of one statement with many rows of parameters. */
export function readBulkExecute(
  bytes: Buffer,
  settings: Omit<ExecutionSettings, 'long' | 'attributes'>,
  rowsMax: number,
): { statement: number; flags: number; rows: Parameter[][]; types: readonly ParameterType[] } {
  const reader = new Reader(bytes, 0, bytes.length)
  const statement = reader.u32()
  const flags = reader.u16()
  const { parameters: count, collation } = settings
  const types = flags & SEND_TYPES ? readTypes(reader, count, false) : settings.types
  if (types === null || types.length < count || count === 0)
    throw new FormError('parameters without their types')
  const rows: Parameter[][] = []
  while (reader.left > 0) {
    if (rows.length >= rowsMax) throw new FormError('more rows of parameters than are looked at')
    const row: Parameter[] = []
    for (const of of types.slice(0, count)) {
      const type = valueTypeOf(of, collation)
      const indicator = reader.u8()
      if (indicator > Indicator.ignore) throw new FormError('a parameter that says nothing')
      const value = indicator === Indicator.none ? readValue(reader, type) : null
      row.push(parameter(type, value, EMPTY, false))
    }
    rows.push(row)
  }
  return { statement, flags, rows, types }
}
