/**
 * Where Avro's binary primitives end (Avro 1.11, "Binary Encoding"), for the generated skipper. Reads no values but lengths.
 * Refuses whatever would reach behind the bytes given, with a RangeError.
 */

/** Bytes of the longest 64-bit integer. */
const LONG_BYTES_MAX = 10

export function skipLong(bytes: Buffer, from: number): number {
  for (let at = from; at < bytes.length && at < from + LONG_BYTES_MAX; at++)
    if (bytes[at]! < 128) return at + 1
  throw new RangeError(`no number at ${from}`)
}

function long(bytes: Buffer, from: number): number {
  let n = 0
  let factor = 1
  for (let at = from; at < bytes.length && at < from + LONG_BYTES_MAX; at++) {
    const byte = bytes[at]!
    n += (byte & 127) * factor
    if (byte < 128) return n % 2 === 0 ? n / 2 : -(n + 1) / 2
    factor *= 128
  }
  throw new RangeError(`no number at ${from}`)
}

export function skipFixed(bytes: Buffer, from: number, size: number): number {
  if (from + size > bytes.length) throw new RangeError(`ends inside a value at ${from}`)
  return from + size
}

export function skipBytes(bytes: Buffer, from: number): number {
  const length = long(bytes, from)
  if (length < 0) throw new RangeError(`a length of ${length} at ${from}`)
  return skipFixed(bytes, skipLong(bytes, from), length)
}

export function skipBoolean(bytes: Buffer, at: number): number {
  if (at >= bytes.length || bytes[at]! > 1) throw new RangeError(`no boolean at ${at}`)
  return at + 1
}

/** Items of an array's or map's next block. Blocks with their size before them are none that our encoders write. */
export function blockItems(bytes: Buffer, at: number): number {
  const items = long(bytes, at)
  // Each takes a byte at least.
  if (items < 0 || items > bytes.length - at)
    throw new RangeError(`a block of ${items} items at ${at}`)
  return items
}

export function noSuchBranch(branch: number | undefined, at: number): never {
  throw new RangeError(`no branch ${branch} of a union at ${at}`)
}
