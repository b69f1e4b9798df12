/**
 * Packets one by one over a connection, for as long as both sides take turns: while signing in. Counts packets as the
 * protocol has it. Nothing else may read the connection meanwhile. Refuses a packet out of turn and one that is too large.
 */
import type { Duplex } from 'node:stream'
import { HEADER_BYTES, PACKET_BYTES_MAX, packet, WireError } from './wire'

/** What a target may say while signing in. */
const TARGET_BYTES_MAX = 1024 * 1024

export class PacketChannel {
  private held: Buffer = Buffer.alloc(0)
  private wake: (() => void) | null = null
  private failure: Error | null = null
  private readonly onData = (chunk: Buffer) => {
    this.held = this.held.length === 0 ? chunk : Buffer.concat([this.held, chunk])
    if (this.held.length > this.bytesMax) this.stream.pause()
    this.wake?.()
  }
  private readonly onEnd = () =>
    this.fail(new WireError('the connection was closed during sign-in'))
  private readonly onError = (error: Error) => this.fail(error)

  constructor(
    readonly stream: Duplex,
    /** Number of the next packet, whoever sends it. */
    public sequence = 0,
    private readonly bytesMax = TARGET_BYTES_MAX,
  ) {
    stream.on('data', this.onData)
    stream.on('end', this.onEnd)
    stream.on('close', this.onEnd)
    stream.on('error', this.onError)
    // An earlier reader may have left it paused.
    stream.resume()
  }

  async read(): Promise<Buffer> {
    await this.have(HEADER_BYTES)
    const length = this.held.readUIntLE(0, 3)
    const sequence = this.held[3]!
    if (length > this.bytesMax || length === PACKET_BYTES_MAX)
      throw new WireError(`a packet of ${length} bytes during sign-in`)
    if (sequence !== (this.sequence & 0xff))
      throw new WireError(`a packet with number ${sequence} where ${this.sequence & 0xff} was due`)
    await this.have(HEADER_BYTES + length)
    const payload = this.held.subarray(HEADER_BYTES, HEADER_BYTES + length)
    this.held = this.held.subarray(HEADER_BYTES + length)
    this.sequence++
    return payload
  }

  /** Resolves when the other side has said something. */
  async heard(): Promise<void> {
    await this.have(1)
  }

  send(payload: Buffer): void {
    this.stream.write(packet(this.sequence++, payload))
  }

  /** Stops reading; what was read too much is handed over. The connection stays paused. */
  release(): Buffer {
    const { stream } = this
    stream.pause()
    stream.off('data', this.onData)
    stream.off('end', this.onEnd)
    stream.off('close', this.onEnd)
    stream.off('error', this.onError)
    return this.held
  }

  private async have(bytes: number): Promise<void> {
    while (this.held.length < bytes) {
      if (this.failure) throw this.failure
      await new Promise<void>((resolve) => {
        this.wake = resolve
      })
      this.wake = null
    }
  }

  private fail(error: Error): void {
    this.failure ??= error
    this.wake?.()
  }
}
