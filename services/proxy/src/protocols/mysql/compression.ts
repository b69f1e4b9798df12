/**
 * MySQL's compressed protocol towards a client: packets in packets (documentation: "Compression"). What is inside goes to and
 * from the relay as if there were none. Ends here: nothing is compressed on the way to a target.
 *
 *   compressed packet:  length:u24 sequence:u8 lengthBefore:u24 payload      lengthBefore 0: it was not worth it
 *
 * Refuses what becomes larger than it says.
 */
import { Duplex } from 'node:stream'
import * as zlib from 'node:zlib'
import { WireError } from './wire'

export type Algorithm = 'zlib' | 'zstd'

interface Zstd {
  zstdCompressSync?(bytes: Buffer, options?: object): Buffer
  zstdDecompressSync?(bytes: Buffer, options?: object): Buffer
}

const zstd = zlib as unknown as Zstd

/** Node.js has it from 22.15 on. */
export const hasZstd = zstd.zstdCompressSync !== undefined

const HEADER_BYTES = 7
/** Less is not worth it. */
const COMPRESS_BYTES_MIN = 50
/** One packet's worth: it takes the thread for so long. */
const COMPRESS_BYTES_MAX = 256 * 1024

export class CompressedStream extends Duplex {
  private held: Buffer[] = []
  private heldBytes = 0
  private sequence = 0

  constructor(
    private readonly inner: Duplex,
    private readonly algorithm: Algorithm,
  ) {
    super({ allowHalfOpen: true, autoDestroy: false })
    inner.on('data', (chunk: Buffer) => this.unpack(chunk))
    inner.on('end', () => this.push(null))
    inner.on('error', (error: Error) => this.destroy(error))
    inner.on('close', () => {
      if (!this.destroyed) this.destroy()
    })
  }

  override _read(): void {
    this.inner.resume()
  }

  override _write(chunk: Buffer, _encoding: string, done: (error?: Error | null) => void): void {
    const out: Buffer[] = []
    for (let at = 0; at < chunk.length; at += COMPRESS_BYTES_MAX)
      this.compress(chunk.subarray(at, at + COMPRESS_BYTES_MAX), out)
    if (this.inner.write(out.length === 1 ? out[0]! : Buffer.concat(out))) done()
    else {
      const settle = () => {
        this.inner.off('drain', settle)
        this.inner.off('close', settle)
        done()
      }
      this.inner.on('drain', settle)
      this.inner.on('close', settle)
    }
  }

  override _final(done: () => void): void {
    this.inner.end()
    done()
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    this.inner.destroy()
    done(error)
  }

  private compress(bytes: Buffer, out: Buffer[]): void {
    const isWorthIt = bytes.length >= COMPRESS_BYTES_MIN
    let payload = bytes
    if (isWorthIt)
      payload = this.algorithm === 'zlib' ? zlib.deflateSync(bytes) : zstd.zstdCompressSync!(bytes)
    const isSmaller = isWorthIt && payload.length < bytes.length
    if (!isSmaller) payload = bytes
    const head = Buffer.alloc(HEADER_BYTES)
    head.writeUIntLE(payload.length, 0, 3)
    head[3] = this.sequence++ & 0xff
    head.writeUIntLE(isSmaller ? bytes.length : 0, 4, 3)
    out.push(head, payload)
  }

  private unpack(chunk: Buffer): void {
    this.held.push(chunk)
    this.heldBytes += chunk.length
    try {
      for (;;) {
        if (this.heldBytes < HEADER_BYTES) return
        if (this.held[0]!.length < HEADER_BYTES) this.held = [Buffer.concat(this.held)]
        const first = this.held[0]!
        const length = first.readUIntLE(0, 3)
        if (this.heldBytes < HEADER_BYTES + length) return
        const all = this.held.length === 1 ? first : Buffer.concat(this.held)
        const rest = all.subarray(HEADER_BYTES + length)
        this.held = rest.length > 0 ? [rest] : []
        this.heldBytes = rest.length
        this.sequence = (all[3]! + 1) & 0xff
        const payload = all.subarray(HEADER_BYTES, HEADER_BYTES + length)
        const before = all.readUIntLE(4, 3)
        const plain = before === 0 ? payload : this.decompress(payload, before)
        if (plain.length > 0 && !this.push(plain)) this.inner.pause()
      }
    } catch (error) {
      this.destroy(error as Error)
    }
  }

  private decompress(payload: Buffer, length: number): Buffer {
    const o = { maxOutputLength: length }
    const plain =
      this.algorithm === 'zlib'
        ? zlib.inflateSync(payload, o)
        : zstd.zstdDecompressSync!(payload, o)
    if (plain.length !== length) throw new WireError('a compressed packet of another length')
    return plain
  }
}
