/** SSH's data types (RFC 4251, 5) as keys and certificates have them. Refuses to read beyond the end. */

export class Reader {
  constructor(
    readonly bytes: Buffer,
    public at = 0,
  ) {}

  get isAtEnd(): boolean {
    return this.at === this.bytes.length
  }

  uint32(): number {
    this.need(4)
    const value = this.bytes.readUInt32BE(this.at)
    this.at += 4
    return value
  }

  uint64(): bigint {
    this.need(8)
    const value = this.bytes.readBigUInt64BE(this.at)
    this.at += 8
    return value
  }

  string(): Buffer {
    const length = this.uint32()
    this.need(length)
    this.at += length
    return this.bytes.subarray(this.at - length, this.at)
  }

  text(): string {
    return this.string().toString('utf8')
  }

  private need(bytes: number): void {
    if (this.bytes.length - this.at < bytes) throw new Error('ends too early')
  }
}

/** Texts and buffers become strings, numbers uint32, bigints uint64. */
export function write(...parts: (string | Buffer | number | bigint)[]): Buffer {
  return Buffer.concat(
    parts.flatMap((part) => {
      if (typeof part === 'bigint') {
        const eight = Buffer.alloc(8)
        eight.writeBigUInt64BE(part)
        return [eight]
      }
      const four = Buffer.alloc(4)
      if (typeof part === 'number') {
        four.writeUInt32BE(part)
        return [four]
      }
      const bytes = Buffer.from(part)
      four.writeUInt32BE(bytes.length)
      return [four, bytes]
    }),
  )
}
