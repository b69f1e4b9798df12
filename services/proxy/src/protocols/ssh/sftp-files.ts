/**
 * What is known of one open handle, from its opening to its closing: what was read and written through it, and the
 * digests of that where it was read or written from one place on without a gap.
 * Refuses to give a digest of anything else than exactly the bytes in their order.
 */
import { createHash, type Hash } from 'node:crypto'
import type { Completion, Started } from './transfers'

/** One direction of a file's content. */
export class Flow {
  private hash: Hash | null = null
  private start = 0n
  private next = 0n
  bytes = 0
  /** Places where it did not go on where it had ended. */
  jumps = 0
  private isAppended = false
  /** Why there is no digest. */
  problem: string | null = null

  constructor(private readonly word: 'read' | 'written') {}

  /** `length` bytes at `offset` follow; null: wherever the file ends. */
  at(offset: bigint | null, length: number): void {
    this.isAppended = offset === null
    if (this.bytes === 0 && this.jumps === 0) {
      this.start = offset ?? 0n
      this.next = this.start
    } else if (offset !== null && offset !== this.next) {
      this.jumps++
      this.next = offset
      this.problem ??= `not ${this.word} in one piece`
    }
    this.next += BigInt(length)
    this.bytes += length
  }

  content(bytes: Buffer): void {
    if (this.problem !== null) return
    this.hash ??= createHash('sha256')
    this.hash.update(bytes)
  }

  get digest(): Buffer | null {
    if (this.bytes === 0 || this.problem !== null) return null
    return this.hash!.copy().digest()
  }

  get text(): string {
    const from = this.start === 0n ? '' : ` from ${this.start} on`
    const jumps = this.jumps > 0 ? ` with ${this.jumps} jump${this.jumps > 1 ? 's' : ''}` : ''
    const word = this.isAppended ? 'appended' : this.word
    return `${word} ${this.bytes} bytes${from}${jumps}`
  }
}

export class OpenFile {
  readonly read = new Flow('read')
  readonly written = new Flow('written')
  /** Names listed. */
  names = 0
  /** Bytes of the answers that had them. */
  private listed = createHash('sha256')
  private listedBytes = 0
  /** As the target said last. */
  size: bigint | null = null
  mode: number | null = null
  /** Requests under way that read or write through it. */
  pending = 0
  /** The answer to its closing came while some were. */
  closing: (() => void) | null = null

  constructor(
    readonly path: string,
    readonly kind: 'file' | 'directory',
    readonly command: Started,
    readonly may: { read: boolean; write: boolean; append: boolean },
  ) {}

  list(answer: Buffer, names: number): void {
    this.names += names
    this.listedBytes += answer.length
    this.listed.update(answer)
  }

  completion(
    status: Completion['status'],
    code: string | null,
    message: string | null,
  ): Completion {
    if (this.kind === 'directory')
      return {
        status,
        code,
        message,
        tag: `listed ${this.names} names`,
        rows: this.names,
        bytes: this.listedBytes,
        digest: this.listedBytes > 0 ? this.listed.digest() : null,
      }
    const flows = [this.read, this.written].filter((flow) => flow.bytes > 0)
    const words = flows.map(({ text }) => text)
    if (this.size !== null) words.push(`size ${this.size}`)
    if (this.mode !== null) words.push(`mode ${(this.mode & 0o7777).toString(8).padStart(4, '0')}`)
    const without = flows.flatMap(({ problem }) =>
      problem === null ? [] : `no digest: ${problem}`,
    )
    return {
      status,
      code,
      message: [message, ...without].filter((one) => one !== null).join('; ') || null,
      tag: words.length > 0 ? words.join(', ') : 'nothing read or written',
      bytes: this.read.bytes,
      digest: this.read.digest,
      inputBytes: this.written.bytes,
      inputDigest: this.written.digest,
    }
  }
}
