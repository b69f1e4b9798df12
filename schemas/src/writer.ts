/**
 * Writes Avro's binary primitives (Avro 1.11, "Binary Encoding") into one growing buffer.
 * Refuses to know any schema: the generated encoder decides what to write in which order.
 */

/** Bytes of a record that were encoded before, for instance the identity that a whole session shares. */
export class Encoded {
  constructor(readonly bytes: Buffer) {}
}

/** Strings up to this many characters are written by a loop, which beats a call into the runtime. */
const LOOP_CHARACTERS_MAX = 24

export class Writer {
  buffer: Buffer
  position = 0

  constructor(initialBytes = 65536) {
    this.buffer = Buffer.allocUnsafeSlow(initialBytes)
  }

  /** Makes room for `bytes` more; what was written stays. */
  reserve(bytes: number): void {
    const needed = this.position + bytes
    if (needed <= this.buffer.length) return
    const grown = Buffer.allocUnsafeSlow(Math.max(needed, this.buffer.length * 2))
    this.buffer.copy(grown, 0, 0, this.position)
    this.buffer = grown
  }

  byte(value: number): void {
    if (this.position === this.buffer.length) this.reserve(1)
    this.buffer[this.position++] = value
  }

  /** Zig-zag variable-length integer; exact for safe integers. */
  long(value: number): void {
    this.reserve(10)
    const buffer = this.buffer
    let n = value >= 0 ? value * 2 : value * -2 - 1
    while (n > 0x7fffffff) {
      buffer[this.position++] = (n % 128) | 128
      n = Math.floor(n / 128)
    }
    while (n > 127) {
      buffer[this.position++] = (n & 127) | 128
      n >>>= 7
    }
    buffer[this.position++] = n
  }

  raw(bytes: Buffer): void {
    this.reserve(bytes.length)
    this.buffer.set(bytes, this.position)
    this.position += bytes.length
  }

  fixed(bytes: Buffer, size: number): void {
    if (bytes.length !== size)
      throw new RangeError(`fixed value of ${bytes.length} bytes, not ${size}`)
    this.raw(bytes)
  }

  bytes(value: Buffer): void {
    this.long(value.length)
    this.raw(value)
  }

  /** A string, or its UTF-8 bytes as they are. */
  text(value: string | Buffer): void {
    if (typeof value !== 'string') {
      this.bytes(value)
      return
    }
    const length = value.length
    if (length <= LOOP_CHARACTERS_MAX) {
      this.reserve(length + 10)
      const buffer = this.buffer
      const start = this.position
      let at = start + 1
      let i = 0
      for (; i < length; i++) {
        const code = value.charCodeAt(i)
        if (code > 127) break
        buffer[at++] = code
      }
      if (i === length) {
        buffer[start] = length * 2
        this.position = at
        return
      }
    }
    const bytes = Buffer.byteLength(value)
    this.long(bytes)
    this.reserve(bytes)
    this.buffer.write(value, this.position, bytes, bytes === length ? 'latin1' : 'utf8')
    this.position += bytes
  }
}
