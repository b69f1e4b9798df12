/**
 * Rows, as far as where their values stand (documentation: "ProtocolText::ResultsetRow", "ProtocolBinary::ResultsetRow").
 *   text   = (0xfb | value:lenenc)*
 *   binary = 0x00 nulls:bitmap(columns + 2 bits left out) value*
 * Looks at lengths only; refuses a row that has not exactly its columns.
 */
import { FormError } from './bytes'
import { binarySize, LENGTH_BYTE, LENGTH_ENCODED } from './types'

/** Where values stand: for each column a start and an end, and a start of -1 for NULL. Kept between rows. */
export class RowPlaces {
  readonly starts: Int32Array
  readonly ends: Int32Array
  private readonly sizes: Int8Array

  constructor(
    /** The types of its columns, by number. */
    readonly types: readonly number[],
    readonly isBinary: boolean,
  ) {
    this.starts = new Int32Array(types.length)
    this.ends = new Int32Array(types.length)
    this.sizes = Int8Array.from(types, binarySize)
  }

  /** Reads the row whose payload stands from `at` to `end`. Throws a FormError where it has not its form. */
  read(bytes: Buffer, at: number, end: number): void {
    if (this.isBinary) this.readBinary(bytes, at, end)
    else this.readText(bytes, at, end)
  }

  private readText(bytes: Buffer, at: number, end: number): void {
    const { starts, ends } = this
    for (let i = 0; i < starts.length; i++) {
      if (at >= end) throw new FormError('a row with too few values')
      const first = bytes[at++]!
      if (first === 0xfb) {
        starts[i] = -1
        ends[i] = at
        continue
      }
      let length = first
      if (first > 0xfb) {
        const width = first === 0xfc ? 2 : first === 0xfd ? 3 : first === 0xfe ? 8 : 0
        if (width === 0 || at + width > end) throw new FormError('a value without its length')
        length = width === 8 ? wide(bytes, at) : bytes.readUIntLE(at, width)
        at += width
      }
      starts[i] = at
      at += length
      ends[i] = at
    }
    if (at !== end) throw new FormError('a row that is not as long as its values')
  }

  private readBinary(bytes: Buffer, at: number, end: number): void {
    const { starts, ends, sizes } = this
    const nulls = at + 1
    const from = at
    at = nulls + ((sizes.length + 9) >> 3)
    if (at > end || bytes[from] !== 0) throw new FormError('no binary row')
    for (let i = 0; i < sizes.length; i++) {
      const bit = i + 2
      if ((bytes[nulls + (bit >> 3)]! >> (bit & 7)) & 1) {
        starts[i] = -1
        ends[i] = at
        continue
      }
      let size = sizes[i]!
      if (size < 0) {
        if (size !== LENGTH_ENCODED && size !== LENGTH_BYTE)
          throw new FormError('a value of a type that is not known')
        if (at >= end) throw new FormError('a row with too few values')
        const first = bytes[at++]!
        size = first
        if (first > 0xfa && sizes[i] === LENGTH_ENCODED) {
          const width = first === 0xfc ? 2 : first === 0xfd ? 3 : first === 0xfe ? 8 : 0
          if (width === 0 || at + width > end) throw new FormError('a value without its length')
          size = width === 8 ? wide(bytes, at) : bytes.readUIntLE(at, width)
          at += width
        }
      }
      starts[i] = at
      at += size
      ends[i] = at
    }
    if (at !== end) throw new FormError('a row that is not as long as its values')
  }
}

function wide(bytes: Buffer, at: number): number {
  const value = bytes.readBigUInt64LE(at)
  // No payload is longer than memory; places are kept in 31 bits.
  if (value > 0x7fffffffn) throw new FormError('a length beyond all')
  return Number(value)
}
