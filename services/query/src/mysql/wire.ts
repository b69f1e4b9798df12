/**
 * What a MySQL client saw, from the server's packets as it received them, headers and all, uncompressed (documentation chapters
 * "MySQL Packets" and "Text Resultset").
 *   packet = length:u24 sequence:u8 payload      a payload of 2^24 - 1 bytes goes on in the next packet
 *   answer = (ok | err | file | result)+         the status of each but the last says that there are more
 *   result = count:lenenc column* [eof] row* (eof | ok | err)
 * Whether there is an eof behind the columns, session tracking or metadata is told from the bytes.
 * Pure and bounded: stops at a torn packet and says so; refuses to guess where a damaged one ends.
 */
import {
  type ColumnDefinition,
  decodeValue,
  FormError,
  isEof,
  printable,
  Reader,
  RowPlaces,
  readColumn,
  readEof,
  readErr,
  readOk,
  Status,
  typeName,
  typeNamed,
  type ValueType,
} from '@custody/mysql-values'
import type { Column, Decoded, DecodeLimits, Shown } from '../shown'

const LENGTH_MAX = 0xffffff
const COLUMNS_MAX = 65_535
/** Executions of prepared statements answer with binary rows. */
const BINARY = new Set(['execute', 'fetch', 'bulk-execute'])
const LOCAL_FILE = 0xfb

type Rows = Shown & { kind: 'rows' }

interface Context extends DecodeLimits {
  interface?: string
}

/** Payloads of whole packets, one after the other. */
class Packets {
  at = 0
  /** Where the payload read last began, header and all. */
  from = 0

  constructor(private readonly bytes: Buffer) {}

  next(): Buffer | null {
    this.from = this.at
    const first = this.piece()
    if (first === null) return null
    if (first.length < LENGTH_MAX) return first
    const parts = [first]
    for (;;) {
      const part = this.piece()
      if (part === null) {
        this.at = this.from
        return null
      }
      parts.push(part)
      if (part.length < LENGTH_MAX) return Buffer.concat(parts)
    }
  }

  private piece(): Buffer | null {
    const { bytes, at } = this
    if (at + 4 > bytes.length) return null
    const end = at + 4 + bytes.readUIntLE(at, 3)
    if (end > bytes.length) return null
    this.at = end
    return bytes.subarray(at + 4, end)
  }

  /** Not understood: it and what is behind it counts as torn. */
  back(): void {
    this.at = this.from
  }
}

export function decodeMysql(bytes: Buffer, context: Context): Decoded {
  const shown: Shown[] = []
  const packets = new Packets(bytes)
  try {
    answer(packets, context, shown)
  } catch (error) {
    if (!(error instanceof FormError || error instanceof RangeError)) throw error
    packets.back()
  }
  return { shown, tornBytes: bytes.length - packets.at }
}

function answer(packets: Packets, context: Context, shown: Shown[]): void {
  let isFirst = true
  for (;;) {
    const packet = packets.next()
    if (packet === null) return
    if (packet.length === 0) throw new FormError('an empty packet')
    const first = packet[0]!
    const isLater = !isFirst
    isFirst = false
    if (first === 0xff) {
      shown.push(errorOf(packet))
      continue
    }
    if (first === LOCAL_FILE) {
      shown.push({
        kind: 'tag',
        tag: `the server asks for the file ${printable(packet.subarray(1))}`,
      })
      continue
    }
    // Rows of a cursor come without their columns, which were described when it was opened.
    if (!isLater && (first === 0 || isEof(packet, 0, packet.length)) && context.columns?.length) {
      packets.back()
      rowsOf(packets, recordedColumns(context.columns), 'fetched', context, shown)
      continue
    }
    if (first === 0) {
      shown.push(context.interface === 'prepare' ? preparedOf(packet) : tagOf(packet))
      if (context.interface === 'prepare') skipDefinitions(packets)
      continue
    }
    if (first === 0xfe) {
      if (!isEof(packet, 0, packet.length)) shown.push(tagOf(packet))
      continue
    }
    const reader = new Reader(packet, 0, packet.length)
    const count = reader.lenenc()
    if (count > COLUMNS_MAX) throw new FormError('more columns than there can be')
    // MariaDB says here whether it repeats what the columns are.
    const isDescribed = reader.left === 0 || reader.u8() === 1
    const columns = isDescribed ? described(packets, count) : recordedColumns(context.columns ?? [])
    if (columns === null) return
    rowsOf(packets, columns, isDescribed ? 'described' : 'known', context, shown)
  }
}

/** Null: they are not all there. */
function described(packets: Packets, count: number): ColumnDefinition[] | null {
  const columns: ColumnDefinition[] = []
  for (let i = 0; i < count; i++) {
    const packet = packets.next()
    if (packet === null) return null
    columns.push(readColumn(packet, 0, packet.length, 'utf8mb4', null))
  }
  return columns
}

type Read = ValueType & { name: string }

function recordedColumns(columns: readonly Column[]): Read[] {
  return columns.map(({ name, type }) => ({ ...typeNamed(type)!, name }))
}

/** Rows up to what ends them. Where there is an eof behind the columns it is gone over. */
function rowsOf(
  packets: Packets,
  columns: readonly Read[],
  /** Whether their columns stand before them, are known from before, or both that and they go on where others ended. */
  columnsAre: 'described' | 'known' | 'fetched',
  context: Context,
  shown: Shown[],
): void {
  const rows: Rows = {
    kind: 'rows',
    columns: columns.map((column) => ({ name: column.name, type: typeName(column) })),
    rows: [],
    rowsOmitted: 0,
    ...(columnsAre === 'described' ? {} : { assumedFormats: true }),
  }
  shown.push(rows)
  const types = columns.map(({ type }) => type)
  let places: RowPlaces | null = null
  let mayBeHead = columnsAre !== 'fetched'
  for (;;) {
    const packet = packets.next()
    if (packet === null) return
    const first = packet[0]
    if (first === 0xff) {
      const problem = errorOf(packet)
      shown.push(problem)
      if (problem.kind === 'error') return
      continue
    }
    if (first === 0xfe && isEof(packet, 0, packet.length)) {
      const { status } = readEof(packet, 0, packet.length)
      const isHead = mayBeHead
      mayBeHead = false
      if (isHead) {
        // The rows of a cursor are fetched later; then nothing follows.
        continue
      }
      shown.push({ kind: 'tag', tag: rowCount(rows) })
      if (status & Status.cursorExists && !(status & Status.lastRowSent))
        shown.push({ kind: 'suspended' })
      return
    }
    // A row whose first value is as long as that begins with 0xfe too.
    if (first === 0xfe && packet.length < LENGTH_MAX) {
      shown.push(tagOf(packet, rows))
      return
    }
    mayBeHead = false
    if (rows.rows.length >= context.rowsMax) {
      rows.rowsOmitted++
      continue
    }
    places ??= placesFor(types, packet, BINARY.has(context.interface ?? ''))
    places.read(packet, 0, packet.length)
    rows.rows.push(values(packet, columns, places))
  }
}

/** By how it was submitted, unless the bytes say otherwise. */
function placesFor(types: number[], packet: Buffer, isBinary: boolean): RowPlaces {
  for (const binary of [isBinary, !isBinary]) {
    const places = new RowPlaces(types, binary)
    try {
      places.read(packet, 0, packet.length)
      return places
    } catch (error) {
      if (!(error instanceof FormError)) throw error
    }
  }
  throw new FormError('a row of neither protocol')
}

function values(packet: Buffer, columns: readonly Read[], places: RowPlaces): (string | null)[] {
  return columns.map((column, i) => {
    const start = places.starts[i]!
    return start < 0
      ? null
      : decodeValue(packet.subarray(start, places.ends[i]), column, places.isBinary)
  })
}

function rowCount({ rows, rowsOmitted }: Rows): string {
  const count = rows.length + rowsOmitted
  return `${count} ${count === 1 ? 'row' : 'rows'} in set`
}

/** As the mysql program says it. */
function tagOf(packet: Buffer, rows?: Rows): Shown {
  const ok = readOk(packet, 0, packet.length, null)
  const words = rows
    ? [rowCount(rows)]
    : [`Query OK, ${ok.affectedRows} ${ok.affectedRows === 1n ? 'row' : 'rows'} affected`]
  if (ok.warnings > 0) words.push(`${ok.warnings} ${ok.warnings === 1 ? 'warning' : 'warnings'}`)
  const info = printable(ok.info)
  return { kind: 'tag', tag: `${words.join(', ')}${info ? ` (${info})` : ''}` }
}

/** 0x00 statement:u32 columns:u16 parameters:u16 */
function preparedOf(packet: Buffer): Shown {
  const reader = new Reader(packet, 1, packet.length)
  reader.u32()
  const columns = reader.u16()
  return { kind: 'tag', tag: `prepared, ${reader.u16()} parameters, ${columns} columns` }
}

function skipDefinitions(packets: Packets): void {
  while (packets.next() !== null);
}

function errorOf(packet: Buffer): Shown {
  const { code, state, message, progress } = readErr(packet, 0, packet.length)
  if (progress !== null) {
    const percent = (progress.thousandths / 1000).toFixed(1)
    const stage = `stage ${progress.stage} of ${progress.stages}`
    const text = `${printable(progress.info)}: ${stage}, ${percent} %`
    return { kind: 'notice', severity: 'PROGRESS', code: '', message: text }
  }
  return {
    ...{ kind: 'error', severity: `ERROR ${code}`, code: state, number: code },
    message: printable(message),
  }
}

/** A file that the client sent because a statement asked for it, as it is. */
export function decodeMysqlInput(
  bytes: Buffer,
  bytesMax: number,
): { copy: Shown & { kind: 'copy' }; tornBytes: number } {
  const kept = bytes.subarray(0, bytesMax)
  const text = printable(kept)
  return {
    copy: {
      ...{ kind: 'copy', direction: 'in', text, bytes: bytes.length },
      bytesOmitted: bytes.length - kept.length,
      binary: text.startsWith('0x'),
    },
    tornBytes: 0,
  }
}
