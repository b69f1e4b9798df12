/**
 * Values of a Bind or FunctionCall as events keep them, and the formats in which a Bind wants its rows.
 * Pure: reads bytes, keeps nothing, and takes no more of the values than it is told to.
 */
import { decodeValue, typeName } from '@custody/postgres-values'
import type { ParameterDraft } from '@custody/schemas'
import { cutText } from '../../evidence'
import { textIn } from './encodings'
import { type WireColumn, WireError } from './wire'

export const NO_FORMATS: readonly number[] = []

/** `values`: formatCount:i16 format:i16* count:i16 (length:i32 bytes)* … `bytesMax`: kept of all of them together. */
export function readParameters(
  values: Buffer,
  typeOids: readonly number[],
  encoding: string,
  bytesMax: number,
): ParameterDraft[] | undefined {
  if (values.length < 2) throw new WireError('parameters are too short')
  const formatCount = values.readUInt16BE(0)
  let at = 2 + formatCount * 2
  if (at + 2 > values.length) throw new WireError('parameters are too short')
  const count = values.readUInt16BE(at)
  at += 2
  if (count === 0) return undefined
  const parameters: ParameterDraft[] = []
  let bytesLeft = bytesMax
  for (let i = 0; i < count; i++) {
    if (at + 4 > values.length) throw new WireError('parameters are too short')
    const length = values.readInt32BE(at)
    at += 4
    const oid = typeOids[i] ?? 0
    const type = oid === 0 ? '' : typeName(oid)
    if (length < 0) {
      parameters.push({ type, value: null })
      continue
    }
    if (at + length > values.length) throw new WireError('parameters are too short')
    const format = formatCount === 0 ? 0 : values.readInt16BE(2 + (formatCount === 1 ? 0 : i) * 2)
    const cut = length > bytesLeft
    const bytes = values.subarray(at, at + Math.min(length, bytesLeft))
    bytesLeft -= bytes.length
    parameters.push({
      type,
      value:
        format === 0
          ? cut
            ? cutText(bytes, bytes.length)
            : textIn(bytes, encoding)
          : decodeValue(bytes, oid, 1),
      bytes: length,
      cut,
    })
    at += length
  }
  return parameters
}

/** Bind's last part: count:i16 format:i16*, behind the formats and values of parameters, which begin at `from`. */
export function resultFormats(bytes: Buffer, from: number, end: number): number[] {
  let at = from + 2 + bytes.readUInt16BE(from) * 2
  const count = bytes.readUInt16BE(at)
  at += 2
  for (let i = 0; i < count; i++) at += 4 + Math.max(0, bytes.readInt32BE(at))
  const formats: number[] = []
  const more = at + 2 <= end ? bytes.readUInt16BE(at) : 0
  for (let i = 0; i < more && at + 4 + i * 2 <= end; i++)
    formats.push(bytes.readInt16BE(at + 2 + i * 2))
  return formats
}

/** A statement is described without the formats that its rows will have: none given, one for all, or one each. */
export function withFormats(
  fields: readonly WireColumn[],
  formats: readonly number[],
): WireColumn[] {
  return fields.map((field, i) => ({
    ...field,
    format: formats.length === 1 ? formats[0]! : (formats[i] ?? 0),
  }))
}
