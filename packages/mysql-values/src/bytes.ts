/**
 * Numbers and strings as MySQL's protocol writes them (documentation chapter "Protocol Basics"), read with every bound checked.
 *   lenenc = u8 below 0xfb | 0xfc u16 | 0xfd u24 | 0xfe u64      0xfb stands for NULL in text rows, 0xff begins an error
 * Refuses what reaches past its end, and numbers that no packet can be as long as.
 */

/** The bytes have not the form that they should have. */
export class FormError extends Error {
  override name = 'FormError'
}

export const NULL_MARK = 0xfb

/** Reads one payload from `at` to `end`; throws a FormError where there is less than asked for. */
export class Reader {
  constructor(
    readonly bytes: Buffer,
    public at: number,
    readonly end: number,
  ) {}

  get left(): number {
    return this.end - this.at
  }

  private take(count: number): number {
    const from = this.at
    if (count < 0 || from + count > this.end) throw new FormError('it ends too early')
    this.at = from + count
    return from
  }

  u8(): number {
    return this.bytes[this.take(1)]!
  }

  u16(): number {
    return this.bytes.readUInt16LE(this.take(2))
  }

  u24(): number {
    return this.bytes.readUIntLE(this.take(3), 3)
  }

  u32(): number {
    return this.bytes.readUInt32LE(this.take(4))
  }

  u64(): bigint {
    return this.bytes.readBigUInt64LE(this.take(8))
  }

  skip(count: number): void {
    this.take(count)
  }

  /** A number that may be larger than any length. */
  lenencBig(): bigint {
    const first = this.bytes[this.at]
    if (first === 0xfe && this.left > 0) {
      this.at++
      return this.u64()
    }
    return BigInt(this.lenenc())
  }

  lenenc(): number {
    const first = this.u8()
    if (first < NULL_MARK) return first
    switch (first) {
      case 0xfc:
        return this.u16()
      case 0xfd:
        return this.u24()
      case 0xfe: {
        const value = this.u64()
        if (value > BigInt(Number.MAX_SAFE_INTEGER)) throw new FormError('a length beyond all')
        return Number(value)
      }
    }
    throw new FormError('no length')
  }

  raw(count: number): Buffer {
    const from = this.take(count)
    return this.bytes.subarray(from, from + count)
  }

  lenencBytes(): Buffer {
    return this.raw(this.lenenc())
  }

  /** Up to a zero, which is taken too; up to the end where there is none. */
  zeroTerminated(): Buffer {
    const zero = this.bytes.indexOf(0, this.at)
    const stop = zero < 0 || zero >= this.end ? this.end : zero
    const found = this.bytes.subarray(this.at, stop)
    this.at = Math.min(this.end, stop + 1)
    return found
  }

  rest(): Buffer {
    return this.raw(this.left)
  }
}

/** Bytes that a length-encoded number takes. */
export function lenencSize(value: number): number {
  return value < NULL_MARK ? 1 : value < 0x10000 ? 3 : value < 0x1000000 ? 4 : 9
}

/** Writes one at `at`; gives the place behind it. */
export function writeLenenc(bytes: Buffer, at: number, value: number): number {
  if (value < NULL_MARK) {
    bytes[at] = value
    return at + 1
  }
  if (value < 0x10000) {
    bytes[at] = 0xfc
    return bytes.writeUInt16LE(value, at + 1)
  }
  if (value < 0x1000000) {
    bytes[at] = 0xfd
    return bytes.writeUIntLE(value, at + 1, 3)
  }
  bytes[at] = 0xfe
  return bytes.writeBigUInt64LE(BigInt(value), at + 1)
}

export function lenenc(value: number | bigint): Buffer {
  if (typeof value === 'bigint' && value >= 0x1000000n) {
    const bytes = Buffer.alloc(9)
    bytes[0] = 0xfe
    bytes.writeBigUInt64LE(value, 1)
    return bytes
  }
  const number = Number(value)
  const bytes = Buffer.alloc(lenencSize(number))
  writeLenenc(bytes, 0, number)
  return bytes
}

export function lenencString(value: Buffer | string): Buffer {
  const bytes = typeof value === 'string' ? Buffer.from(value) : value
  return Buffer.concat([lenenc(bytes.length), bytes])
}
