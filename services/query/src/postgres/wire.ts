/**
 * What a PostgreSQL client saw, from the backend messages it received (documentation chapter "Message Formats").
 *   message = type:u8 length:i32 body      length counts itself and the body
 * Pure and bounded: stops at a torn message and says so; refuses to guess where a damaged one ends.
 */
import { decodeValue, typeName, typeOid } from '@custody/postgres-values'
import type { Column, Decoded, DecodeLimits, Shown } from '../shown'

interface WireColumn extends Column {
  oid: number
  format: number
}

export function decodeBackend(bytes: Buffer, limits: DecodeLimits): Decoded {
  const shown: Shown[] = []
  let columns: WireColumn[] | null = null
  let rows: (Shown & { kind: 'rows' }) | null = null
  let copy: (Shown & { kind: 'copy' }) | null = null
  let copyParts: Buffer[] = []
  const endCopy = () => {
    if (copy) copy.text = copyText(Buffer.concat(copyParts), copy.binary)
    copy = null
    copyParts = []
  }
  let at = 0
  while (at + 5 <= bytes.length) {
    const length = bytes.readInt32BE(at + 1)
    const end = at + 1 + length
    if (length < 4 || end > bytes.length) break
    const body = bytes.subarray(at + 5, end)
    try {
      switch (String.fromCharCode(bytes[at]!)) {
        case 'T':
          columns = rowDescription(body)
          rows = {
            kind: 'rows',
            columns: columns.map(({ name, type }) => ({ name, type })),
            rows: [],
            rowsOmitted: 0,
          }
          shown.push(rows)
          break
        case 'D': {
          if (rows === null) {
            rows = {
              kind: 'rows',
              columns: [...(limits.columns ?? [])],
              rows: [],
              rowsOmitted: 0,
              assumedFormats: true,
            }
            shown.push(rows)
          }
          if (rows.rows.length >= limits.rowsMax) rows.rowsOmitted++
          else rows.rows.push(dataRow(body, columns, rows.columns))
          break
        }
        case 'C':
          endCopy()
          shown.push({ kind: 'tag', tag: cstring(body, 0) })
          rows = null
          columns = null
          break
        case 'E':
        case 'N': {
          const fields = noticeFields(body)
          shown.push({
            kind: bytes[at] === 0x45 ? 'error' : 'notice',
            severity: fields.get('V') ?? fields.get('S') ?? '',
            code: fields.get('C') ?? '',
            message: fields.get('M') ?? '',
            ...(fields.has('D') ? { detail: fields.get('D') } : {}),
            ...(fields.has('H') ? { hint: fields.get('H') } : {}),
          })
          break
        }
        case 'I':
          shown.push({ kind: 'empty' })
          break
        case 's':
          shown.push({ kind: 'suspended' })
          break
        case 'H':
        case 'W':
          copy = {
            kind: 'copy',
            direction: 'out',
            text: '',
            bytes: 0,
            bytesOmitted: 0,
            binary: body[0] === 1,
          }
          shown.push(copy)
          break
        case 'd':
          if (copy === null) {
            copy = {
              kind: 'copy',
              direction: 'out',
              text: '',
              bytes: 0,
              bytesOmitted: 0,
              binary: false,
            }
            shown.push(copy)
          }
          if (copy.bytes - copy.bytesOmitted + body.length <= limits.copyBytesMax)
            copyParts.push(body)
          else copy.bytesOmitted += body.length
          copy.bytes += body.length
          break
        case 'c':
          endCopy()
          break
        case 'A': {
          const channel = cstring(body, 4)
          shown.push({
            kind: 'notification',
            channel,
            payload: cstring(body, 5 + Buffer.byteLength(channel)),
          })
          break
        }
        case 'S': {
          const name = cstring(body, 0)
          shown.push({ kind: 'parameter', name, value: cstring(body, Buffer.byteLength(name) + 1) })
          break
        }
        case 'V': {
          const size = body.readInt32BE(0)
          shown.push({
            kind: 'value',
            bytes: Math.max(0, size),
            hex: body.subarray(4, 4 + 256).toString('hex'),
          })
          break
        }
      }
    } catch (error) {
      if (!(error instanceof RangeError)) throw error
      break // a body that has not the form of its type: nothing behind it can be trusted
    }
    at = end
  }
  endCopy()
  return { shown, tornBytes: bytes.length - at }
}

/** What a client streamed into COPY: CopyData messages. */
export function decodeCopyIn(
  bytes: Buffer,
  bytesMax: number,
): { copy: Shown & { kind: 'copy' }; tornBytes: number } {
  const parts: Buffer[] = []
  let total = 0
  let kept = 0
  let at = 0
  while (at + 5 <= bytes.length) {
    const length = bytes.readInt32BE(at + 1)
    const end = at + 1 + length
    if (length < 4 || end > bytes.length) break
    if (bytes[at] === 0x64) {
      const body = bytes.subarray(at + 5, end)
      total += body.length
      if (kept + body.length <= bytesMax) {
        parts.push(body)
        kept += body.length
      }
    }
    at = end
  }
  const data = Buffer.concat(parts)
  const binary = data.subarray(0, 11).toString('latin1') === 'PGCOPY\n\xff\r\n\0'
  return {
    copy: {
      kind: 'copy',
      direction: 'in',
      text: copyText(data, binary),
      bytes: total,
      bytesOmitted: total - kept,
      binary,
    },
    tornBytes: bytes.length - at,
  }
}

function copyText(data: Buffer, binary: boolean): string {
  return binary ? data.toString('hex') : data.toString('utf8')
}

function cstring(bytes: Buffer, at: number): string {
  const zero = bytes.indexOf(0, at)
  if (zero < 0) throw new RangeError('a string is not terminated')
  return bytes.toString('utf8', at, zero)
}

/** count:i16 (name table:i32 column:i16 type:i32 size:i16 modifier:i32 format:i16)* */
function rowDescription(body: Buffer): WireColumn[] {
  const columns: WireColumn[] = []
  let at = 2
  for (let i = body.readInt16BE(0); i > 0; i--) {
    const zero = body.indexOf(0, at)
    if (zero < 0) throw new RangeError('a column name is not terminated')
    const oid = body.readUInt32BE(zero + 7)
    columns.push({
      name: body.toString('utf8', at, zero),
      type: typeName(oid),
      oid,
      format: body.readInt16BE(zero + 17),
    })
    at = zero + 19
  }
  return columns
}

/** count:i16 (length:i32 bytes)*; length -1 is NULL */
function dataRow(
  body: Buffer,
  columns: WireColumn[] | null,
  recorded: Column[],
): (string | null)[] {
  const values: (string | null)[] = []
  const count = body.readInt16BE(0)
  let at = 2
  for (let i = 0; i < count; i++) {
    const length = body.readInt32BE(at)
    at += 4
    if (length < 0) {
      values.push(null)
      continue
    }
    if (at + length > body.length) throw new RangeError('a value is longer than its row')
    const value = body.subarray(at, at + length)
    at += length
    const column = columns?.[i]
    if (column) values.push(decodeValue(value, column.oid, column.format))
    else values.push(undescribed(value, typeOid(recorded[i]?.type ?? '')))
  }
  return values
}

/** Printable UTF-8 is text; anything else is read as its type's binary form. */
function undescribed(value: Buffer, oid: number | null): string {
  const text = value.toString('utf8')
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what tells binary from text
  if (!text.includes('\ufffd') && !/[\0-\x08\x0e-\x1f]/.test(text)) return text
  return decodeValue(value, oid ?? 0, 1)
}

/** (field:u8 string)* zero */
function noticeFields(body: Buffer): Map<string, string> {
  const fields = new Map<string, string>()
  let at = 0
  while (at < body.length && body[at] !== 0) {
    const zero = body.indexOf(0, at + 1)
    if (zero < 0) throw new RangeError('a field is not terminated')
    fields.set(String.fromCharCode(body[at]!), body.toString('utf8', at + 1, zero))
    at = zero + 1
  }
  return fields
}
