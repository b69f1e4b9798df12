/**
 * Column definitions (documentation: "Column Definition Protocol::ColumnDefinition41"; MariaDB: "Result Set Packets").
 *   column = catalog schema table orgTable name orgName:lenenc [metadata:lenenc] fixed:lenenc
 *   fixed  = collation:u16 length:u32 type:u8 flags:u16 decimals:u8 filler:u16
 *   metadata = (kind:u8 value:lenenc)*            only with MariaDB's extended metadata; kind 0 names the type, 1 its format
 * Names are in the character set of results; whoever knows that says it.
 */
import { FormError, lenencString, Reader } from './bytes'
import { decodeText } from './charsets'
import type { ValueType } from './types'

export interface ColumnDefinition extends ValueType {
  schema: string
  /** As the statement calls it. */
  table: string
  orgTable: string
  name: string
  orgName: string
}

const FIXED_BYTES = 12
const NAMES = 6

/** `charset`: of the names. `isExtended`: MariaDB's extended metadata was agreed on. */
export function readColumn(
  bytes: Buffer,
  at: number,
  end: number,
  charset = 'utf8mb4',
  isExtended: boolean | null = false,
): ColumnDefinition {
  const reader = new Reader(bytes, at, end)
  const names: string[] = []
  for (let i = 0; i < NAMES; i++) {
    const name = reader.lenencBytes()
    names.push(decodeText(name, charset) ?? name.toString('latin1'))
  }
  // Nobody said whether there is metadata: what follows is as long as the fixed part alone, or longer.
  const metadata =
    (isExtended ?? reader.left > FIXED_BYTES + 1) ? extendedType(reader.lenencBytes()) : null
  if (reader.lenenc() < FIXED_BYTES) throw new FormError('a column without its type')
  const collation = reader.u16()
  const length = reader.u32()
  const type = reader.u8()
  const flags = reader.u16()
  const decimals = reader.u8()
  const [, schema = '', table = '', orgTable = '', name = '', orgName = ''] = names
  return {
    ...{ schema, table, orgTable, name, orgName },
    ...{ collation, length, type, flags, decimals, extendedType: metadata },
  }
}

/** The name of the type, or of the format where only that is told. */
function extendedType(bytes: Buffer): string | null {
  const reader = new Reader(bytes, 0, bytes.length)
  let name: string | null = null
  while (reader.left > 0) {
    const kind = reader.u8()
    const value = reader.lenencBytes().toString('latin1')
    if (kind === 0) name = value
    else if (kind === 1) name ??= value
  }
  return name
}

/** For tests, and for whoever answers in a server's place. */
export function columnDefinition(column: Partial<ColumnDefinition> & { name: string }): Buffer {
  const fixed = Buffer.alloc(FIXED_BYTES + 1)
  fixed[0] = FIXED_BYTES
  fixed.writeUInt16LE(column.collation ?? 45, 1)
  fixed.writeUInt32LE(column.length ?? 0, 3)
  fixed[7] = column.type ?? 253
  fixed.writeUInt16LE(column.flags ?? 0, 8)
  fixed[10] = column.decimals ?? 0
  return Buffer.concat([
    lenencString('def'),
    lenencString(column.schema ?? ''),
    lenencString(column.table ?? ''),
    lenencString(column.orgTable ?? ''),
    lenencString(column.name),
    lenencString(column.orgName ?? ''),
    fixed,
  ])
}

/** The names of a definition with others in their place, as bytes of the same character set; null: that one stays. */
export function withNames(
  bytes: Buffer,
  at: number,
  end: number,
  change: (name: Buffer) => Buffer | null,
): Buffer | null {
  const reader = new Reader(bytes, at, end)
  const parts: Buffer[] = []
  let isChanged = false
  for (let i = 0; i < NAMES; i++) {
    const name = reader.lenencBytes()
    const other = i === 0 || name.length === 0 ? null : change(name)
    isChanged ||= other !== null
    parts.push(lenencString(other ?? name))
  }
  return isChanged ? Buffer.concat([...parts, reader.rest()]) : null
}
