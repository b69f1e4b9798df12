/**
 * What one command sent and received, as events: its bytes as far as the resource records them, counted and hashed whatever
 * is recorded. Refuses to record what was typed where nothing was shown: input after a question for a password is left out.
 */
import { createHash, type Hash } from 'node:crypto'
import type { RecordedSession, Recorder } from '@custody/event-log'
import { type Pieces, recordPieces } from '../../pieces'
import type { Started } from './commands'

/** The end of what was shown last, to see whether it asks for a password. */
const TAIL_BYTES = 256
const ASKS_FOR_SECRET =
  /(passw(or)?d|passphrase|pass ?code|\bpin\b|secret|token|verification code|otp|contraseña|passwort|mot de passe|密码|パスワード)[^\r\n]{0,80}$/i

export type Stream = Pieces['stream']

export class CommandOutput {
  /** To the client: output, errors, terminal. */
  bytes = 0
  inputBytes = 0
  private recorded = 0
  private recordedInput = 0
  private readonly digestOut: Hash = createHash('sha256')
  private readonly digestIn: Hash = createHash('sha256')
  private readonly offsets = new Map<Stream, number>()
  private tail: Buffer = Buffer.alloc(0)
  private isSecret = false
  private withheld = false

  constructor(
    private readonly recorder: Recorder,
    private readonly session: RecordedSession,
    private readonly command: Started,
    /** Infinity for all, 0 for none. */
    private readonly bytesMax: number,
    /** Where files are followed each has a digest of its own, and all of them once more would only cost time. */
    private readonly isHashed = true,
  ) {}

  /** Towards the client, as the client will see it. Called before it is released. */
  out(stream: Stream, bytes: Buffer): void {
    if (this.isHashed) this.digestOut.update(bytes)
    this.bytes += bytes.length
    this.recorded += this.record(stream, bytes, this.bytesMax - this.recorded)
  }

  /** Came from the target; what comes from the client next may be its answer. */
  asked(bytes: Buffer): void {
    this.tail =
      bytes.length >= TAIL_BYTES
        ? Buffer.from(bytes.subarray(bytes.length - TAIL_BYTES))
        : Buffer.concat([this.tail, bytes]).subarray(-TAIL_BYTES)
    this.isSecret = false
  }

  /** How many of these bytes from the client answer a question for a password, up to the end of its line; `sudo -S` asks so. */
  secretBytes(bytes: Buffer): number {
    if (!this.isSecret && this.tail.length > 0) {
      this.isSecret = ASKS_FOR_SECRET.test(this.tail.toString('utf8'))
      this.tail = Buffer.alloc(0)
    }
    if (!this.isSecret) return 0
    const end = bytes.indexOf(0x0a)
    if (end >= 0) this.isSecret = false
    return end < 0 ? bytes.length : end
  }

  /** From the client, and never kept. Called before it is forwarded. */
  withhold(bytes: number): void {
    this.inputBytes += bytes
    this.withheld = true
    if (bytes > 0) this.left('input', bytes)
  }

  /** From the client, on a channel without a terminal; `kept`: as it is recorded. Called before it is forwarded. */
  in(bytes: Buffer, kept: Buffer = bytes): void {
    this.inputBytes += bytes.length
    if (this.isHashed) this.digestIn.update(kept)
    if (kept.length > 0)
      this.recordedInput += this.record('input', kept, this.bytesMax - this.recordedInput)
  }

  /** Typed into a terminal: counted only. What of it may be kept is for who follows the screen. */
  typed(bytes: Buffer): void {
    this.inputBytes += bytes.length
    this.withheld = true
  }

  /** Typed, and shown where it was typed. */
  seen(bytes: Buffer, atMicros: number): void {
    this.recordedInput += this.record('input', bytes, this.bytesMax - this.recordedInput, atMicros)
  }

  response() {
    return {
      bytes: this.bytes,
      digest: this.isHashed ? this.digestOut.copy().digest() : undefined,
      recordedBytes: this.recorded,
      inputBytes: this.inputBytes,
      // The digest of a short secret would give it away.
      inputDigest:
        this.withheld || !this.isHashed || this.inputBytes === 0
          ? undefined
          : this.digestIn.copy().digest(),
    }
  }

  private left(stream: Stream, bytes: number): void {
    const offset = this.offsets.get(stream) ?? 0
    this.offsets.set(stream, offset + bytes)
    this.recorder.record(
      {
        kind: 'output',
        command: this.command.id,
        output: { stream, offset, data: Buffer.alloc(0), encoding: 'raw', omittedBytes: bytes },
      },
      this.session,
    )
  }

  /** How many were recorded. */
  private record(stream: Stream, bytes: Buffer, most: number, atMicros?: number): number {
    const offset = this.offsets.get(stream) ?? 0
    this.offsets.set(stream, offset + bytes.length)
    return recordPieces(this.recorder, this.session, bytes, {
      command: this.command.id,
      stream,
      encoding: 'raw',
      offset,
      bytesMax: most,
      atMicros,
    })
  }
}
