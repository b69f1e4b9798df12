/**
 * A connection to this gateway from within one: what `ssh -J gateway resource` asks for. Two ends of one pipe in this
 * process, the one as a forwarded connection has it, the other as a socket that a new client came in by.
 * Refuses nothing; who comes in signs in as everybody does.
 */
import { Duplex } from 'node:stream'
import type { ChannelHandler } from './connection'
import { WINDOW_BYTES } from './connection'
import type { End } from './forward-channel'

/** As a protocol takes it over from a listener. */
export class JumpSocket extends Duplex implements End {
  readonly remoteAddress: string
  readonly remotePort: number
  readonly localAddress: string
  readonly localPort: number
  /** What the inner end has sent and the outer has not passed on. */
  private pending: (() => void) | null = null
  private outstanding = 0
  /** What the outer end has sent and the inner has not taken. */
  private unread = 0

  constructor(
    private readonly handler: ChannelHandler,
    outer: { address: string; port: number; gateway: string },
  ) {
    super({ allowHalfOpen: true })
    this.remoteAddress = outer.address
    this.remotePort = outer.port
    const colon = outer.gateway.lastIndexOf(':')
    this.localAddress = outer.gateway.slice(0, colon)
    this.localPort = Number(outer.gateway.slice(colon + 1))
    this.once('close', () => handler.closed())
  }

  // ── as the end of a forwarded connection ─────────────────────────────────────────────────────────────────────

  data(bytes: Buffer): void {
    // Gone on only when the inner end has room for more: else all that an outer client sends would wait here.
    if (this.push(bytes)) this.handler.sent(bytes.length)
    else this.unread += bytes.length
  }

  eof(): void {
    this.push(null)
  }

  close(): void {
    this.push(null)
    this.destroySoon()
  }

  abandon(): void {
    this.destroy()
  }

  consume(bytes: number): void {
    this.outstanding -= bytes
    if (this.pending === null || this.outstanding >= WINDOW_BYTES) return
    const { pending } = this
    this.pending = null
    pending()
  }

  // ── as a socket ──────────────────────────────────────────────────────────────────────────────────────────────

  override _read(): void {
    const { unread } = this
    this.unread = 0
    if (unread > 0) this.handler.sent(unread)
  }

  override _write(chunk: Buffer, _encoding: string, done: () => void): void {
    this.outstanding += chunk.length
    this.handler.data(chunk, false)
    if (this.outstanding < WINDOW_BYTES) done()
    else this.pending = done
  }

  override _final(done: () => void): void {
    this.handler.eof()
    done()
  }

  destroySoon(): void {
    if (this.writableFinished) this.destroy()
    else this.end(() => this.destroy())
  }
}
