/**
 * The channels of one SSH connection (RFC 4254), either side of it: opened, counted, flow-controlled, closed. What a channel
 * sends goes in order, data and requests alike, within the window that the other side gave and while its socket takes it;
 * what it may receive is bounded by the window that is given here, which grows only by what somebody has passed on.
 * Knows nothing of what channels carry. Refuses data beyond a window, and messages for channels that are not there.
 */
import { Message, OpenFailure, SshWireError, STDERR, WireReader, wire } from './numbers'
import type { Transport } from './transport'

/** What may be on its way to us on one channel, in one direction. */
export const WINDOW_BYTES = 2 * 1024 * 1024
/** The window is opened again in steps of this. */
const ADJUST_BYTES = WINDOW_BYTES / 4
const PACKET_BYTES_MAX = 32 * 1024
/** The window can't grow beyond this (RFC 4254, 5.2). */
const WINDOW_BYTES_MAX = 2 ** 32 - 1
/** Replies and requests, which no window holds back, waiting for the other side's socket. */
const QUEUED_MESSAGES_MAX = 10_000

export interface ChannelHandler {
  /** Of a channel that we asked for. */
  opened(): void
  openFailed(reason: number, words: string): void
  data(bytes: Buffer, isError: boolean): void
  eof(): void
  /** Said once, by the other side's message or with the connection. */
  closed(): void
  /** It closes its own side when it has said all; else that is closed with the other. */
  readonly closesItself?: boolean
  request(name: string, wantsReply: boolean, data: Buffer): void
  /** So many bytes of data have gone out. */
  sent(bytes: number): void
}

export interface ChannelOpen {
  type: string
  /** What only this type has. */
  data: Buffer
  accept(handler: ChannelHandler): Channel
  refuse(reason: number, words: string): void
}

export interface ConnectionHandler {
  open(asked: ChannelOpen): void
  /** `reply` is there where one is wanted, and may be given later: order is kept. */
  globalRequest(
    name: string,
    data: Buffer,
    reply: ((ok: boolean, data?: Buffer) => void) | null,
  ): void
}

type Item =
  | { kind: 'data'; bytes: Buffer; isError: boolean }
  | { kind: 'message'; payload: Buffer }
  | { kind: 'eof' }
  | { kind: 'close' }

export class Channel {
  state: 'opening' | 'open' | 'closed' = 'opening'
  remote = 0
  handler: ChannelHandler
  private window = 0
  private packetBytes = PACKET_BYTES_MAX
  private readonly queue: Item[] = []
  /** Data in the queue. */
  queuedBytes = 0
  private replies: ((ok: boolean) => void)[] = []
  private receiveWindow = WINDOW_BYTES
  private consumed = 0
  private sentEof = false
  private sentClose = false
  private gotEof = false
  private gotClose = false

  constructor(
    private readonly connection: Connection,
    readonly local: number,
    handler: ChannelHandler,
  ) {
    this.handler = handler
  }

  data(bytes: Buffer, isError = false): void {
    if (this.sentEof || this.sentClose || bytes.length === 0) return
    if (this.gotClose) {
      // Nobody takes it any more, and nobody makes room for it.
      this.handler.sent(bytes.length)
      return
    }
    this.queuedBytes += bytes.length
    this.queue.push({ kind: 'data', bytes, isError })
    this.pump()
  }

  /** `reply` is called with the answer; without it none is asked for. `urgent`: it need not wait for data before it. */
  request(name: string, data: Buffer, reply: ((ok: boolean) => void) | null, urgent = false): void {
    if (this.sentClose) {
      reply?.(false)
      return
    }
    // The channel's number is the other side's, which is not known before it is open.
    const payload = wire({ byte: Message.channelRequest }, 0, name, reply !== null, { raw: data })
    if (reply) this.replies.push(reply)
    if (urgent && this.state === 'open') this.sendMessage(payload)
    else this.push({ kind: 'message', payload })
  }

  /** Of a request; at once, since who asks may be asking whether anybody is there. */
  reply(ok: boolean): void {
    if (this.state !== 'open' || this.sentClose) return
    this.sendMessage(
      Buffer.from([ok ? Message.channelSuccess : Message.channelFailure, 0, 0, 0, 0]),
    )
  }

  eof(): void {
    if (this.sentEof || this.sentClose) return
    this.sentEof = true
    this.push({ kind: 'eof' })
  }

  close(): void {
    if (this.sentClose) return
    this.sentClose = true
    this.push({ kind: 'close' })
  }

  /** Closes without waiting for what is queued: nobody wants it any more. */
  abandon(): void {
    this.queue.length = 0
    this.queuedBytes = 0
    this.close()
  }

  /** Bytes that came in have been passed on: as many more may come. */
  consume(bytes: number): void {
    this.consumed += bytes
    if (this.consumed < ADJUST_BYTES || this.gotEof || this.gotClose || this.state !== 'open')
      return
    this.receiveWindow += this.consumed
    this.connection.transport.send(
      wire({ byte: Message.channelWindowAdjust }, this.remote, this.consumed),
    )
    this.consumed = 0
  }

  private sendMessage(payload: Buffer): void {
    payload.writeUInt32BE(this.remote, 1)
    this.connection.transport.send(payload)
  }

  private push(item: Item): void {
    if (this.queue.length >= QUEUED_MESSAGES_MAX && this.queuedBytes === 0)
      throw new SshWireError('more requests than are taken while none is sent')
    this.queue.push(item)
    this.pump()
  }

  /** Sends what may go now. */
  pump(): void {
    if (this.state !== 'open') return
    const { transport } = this.connection
    let sent = 0
    while (this.queue.length > 0) {
      const item = this.queue[0]!
      if (item.kind === 'data') {
        if (this.window === 0 || transport.isCongested) break
        const count = Math.min(item.bytes.length, this.window, this.packetBytes)
        const part = count === item.bytes.length ? item.bytes : item.bytes.subarray(0, count)
        transport.sendData(this.remote, part, item.isError ? STDERR : 0)
        this.window -= count
        this.queuedBytes -= count
        sent += count
        if (count === item.bytes.length) this.queue.shift()
        else item.bytes = item.bytes.subarray(count)
        continue
      }
      this.queue.shift()
      if (item.kind === 'message') this.sendMessage(item.payload)
      else
        transport.send(
          wire(
            { byte: item.kind === 'eof' ? Message.channelEof : Message.channelClose },
            this.remote,
          ),
        )
      if (item.kind === 'close') this.settle()
    }
    if (sent > 0) this.handler.sent(sent)
  }

  /** For the connection: the other side has confirmed, or we have. */
  confirm(remote: number, window: number, packetBytes: number): void {
    this.remote = remote
    this.window = window
    // Some say 2^32-1; what is sent stays below what every SSH must take.
    this.packetBytes = Math.max(1, Math.min(packetBytes, PACKET_BYTES_MAX))
    this.state = 'open'
  }

  /** For the connection: a message for this channel. */
  receive(type: number, reader: WireReader): void {
    switch (type) {
      case Message.channelWindowAdjust:
        this.window += reader.uint32()
        if (this.window > WINDOW_BYTES_MAX) throw new SshWireError('a window beyond 2^32-1')
        this.pump()
        return
      case Message.channelData:
      case Message.channelExtendedData: {
        const kind = type === Message.channelExtendedData ? reader.uint32() : 0
        const bytes = reader.string()
        if (this.gotEof) throw new SshWireError('data behind the end of data')
        if (bytes.length > this.receiveWindow) throw new SshWireError('data beyond the window')
        this.receiveWindow -= bytes.length
        if (kind > STDERR) {
          // RFC 4254 knows no other; it is not passed on, for nobody would know what it is.
          this.consume(bytes.length)
          return
        }
        if (!this.gotClose) this.handler.data(bytes, kind === STDERR)
        return
      }
      case Message.channelEof:
        if (this.gotEof) return
        this.gotEof = true
        this.handler.eof()
        return
      case Message.channelClose:
        if (this.gotClose) return
        this.gotClose = true
        this.dropData()
        this.handler.closed()
        if (!this.handler.closesItself) this.close()
        this.settle()
        return
      case Message.channelRequest: {
        const name = reader.text()
        const wantsReply = reader.boolean()
        this.handler.request(name, wantsReply, reader.rest())
        return
      }
      case Message.channelSuccess:
      case Message.channelFailure:
        this.replies.shift()?.(type === Message.channelSuccess)
        return
      default:
        throw new SshWireError(`message type ${type}`)
    }
  }

  /** For the connection: it is gone. */
  lost(): void {
    if (this.state === 'closed') return
    const wasOpening = this.state === 'opening'
    this.state = 'closed'
    this.queue.length = 0
    this.queuedBytes = 0
    this.sentClose = true
    this.failReplies()
    if (wasOpening) this.handler.openFailed(OpenFailure.connectFailed, 'the connection is gone')
    else if (!this.gotClose) {
      this.gotClose = true
      this.handler.closed()
    }
  }

  /** Both sides have closed it: its number may be used again. */
  private settle(): void {
    if (!this.gotClose || !this.sentClose || this.queue.length > 0 || this.state === 'closed')
      return
    this.state = 'closed'
    this.failReplies()
    this.connection.forget(this)
  }

  private dropData(): void {
    if (this.queuedBytes === 0) return
    const dropped = this.queuedBytes
    const others = this.queue.filter(({ kind }) => kind !== 'data')
    this.queue.splice(0, this.queue.length, ...others)
    this.queuedBytes = 0
    this.handler.sent(dropped)
    this.pump()
  }

  private failReplies(): void {
    const { replies } = this
    this.replies = []
    for (const reply of replies) reply(false)
  }
}

export class Connection {
  private readonly channels = new Map<number, Channel>()
  /** Asked for by the other side and not answered yet: they count as much as those that are open. */
  private asked = 0
  private nextLocal = 0
  private readonly globalReplies: ((ok: boolean, data: Buffer) => void)[] = []
  /** Answers to the other side's global requests, in their order. */
  private readonly owed: { answer: Buffer | null }[] = []
  private isStarted = false
  private readonly unsent: Buffer[] = []

  constructor(
    readonly transport: Transport,
    private readonly handler: ConnectionHandler,
    private readonly channelsMax: number,
  ) {}

  get open(): number {
    return this.channels.size
  }

  /** Messages that somebody, or what runs for somebody, had to do with; what only asks whether anybody is there is none. */
  used = 0

  /** From now on channels may be opened: who is there is known. */
  start(): void {
    this.isStarted = true
    for (const payload of this.unsent.splice(0)) this.transport.send(payload)
  }

  /** Asks the other side for a channel; before `start` the question waits. */
  openChannel(type: string, data: Buffer, handler: ChannelHandler): Channel {
    const channel = new Channel(this, this.number(), handler)
    this.channels.set(channel.local, channel)
    this.say(
      wire({ byte: Message.channelOpen }, type, channel.local, WINDOW_BYTES, PACKET_BYTES_MAX, {
        raw: data,
      }),
    )
    return channel
  }

  globalRequest(
    name: string,
    data: Buffer,
    reply: ((ok: boolean, data: Buffer) => void) | null,
  ): void {
    if (reply) this.globalReplies.push(reply)
    this.say(wire({ byte: Message.globalRequest }, name, reply !== null, { raw: data }))
  }

  message(type: number, payload: Buffer): void {
    if (!this.isStarted) throw new SshWireError('channels before sign-in')
    const reader = new WireReader(payload, 1)
    if (isUse(type, payload)) this.used++
    switch (type) {
      case Message.globalRequest:
        this.onGlobalRequest(reader)
        return
      case Message.requestSuccess:
      case Message.requestFailure:
        this.globalReplies.shift()?.(type === Message.requestSuccess, reader.rest())
        return
      case Message.channelOpen:
        this.onOpen(reader)
        return
    }
    const local = reader.uint32()
    const channel = this.channels.get(local)
    if (channel === undefined)
      throw new SshWireError(`a message for channel ${local}, which is not there`)
    if (type === Message.channelOpenConfirmation || type === Message.channelOpenFailure) {
      if (channel.state !== 'opening') throw new SshWireError('a channel opened twice')
      if (type === Message.channelOpenConfirmation) {
        channel.confirm(reader.uint32(), reader.uint32(), reader.uint32())
        channel.handler.opened()
        channel.pump()
      } else {
        const reason = reader.uint32()
        const words = reader.text()
        channel.state = 'closed'
        this.channels.delete(local)
        channel.handler.openFailed(reason, words)
      }
      return
    }
    if (channel.state !== 'open') throw new SshWireError('a message for a channel that is not open')
    channel.receive(type, reader)
  }

  drained(): void {
    for (const channel of this.channels.values()) {
      if (this.transport.isCongested) return
      channel.pump()
    }
  }

  /** It is gone, or was never reached. */
  lost(): void {
    for (const channel of [...this.channels.values()]) channel.lost()
    this.channels.clear()
    for (const reply of this.globalReplies.splice(0)) reply(false, Buffer.alloc(0))
  }

  forget(channel: Channel): void {
    this.channels.delete(channel.local)
  }

  get waitingBytes(): number {
    let bytes = 0
    for (const { queuedBytes } of this.channels.values()) bytes += queuedBytes
    return bytes
  }

  private say(payload: Buffer): void {
    if (this.isStarted) this.transport.send(payload)
    else this.unsent.push(payload)
  }

  private onGlobalRequest(reader: WireReader): void {
    const name = reader.text()
    const wantsReply = reader.boolean()
    const data = reader.rest()
    if (!wantsReply) {
      this.handler.globalRequest(name, data, null)
      return
    }
    if (this.owed.length >= QUEUED_MESSAGES_MAX) throw new SshWireError('too many requests at once')
    const one: { answer: Buffer | null } = { answer: null }
    this.owed.push(one)
    this.handler.globalRequest(name, data, (ok, answer = Buffer.alloc(0)) => {
      if (one.answer !== null) return
      one.answer = ok
        ? wire({ byte: Message.requestSuccess }, { raw: answer })
        : Buffer.from([Message.requestFailure])
      while (this.owed[0]?.answer) this.transport.send(this.owed.shift()!.answer!)
    })
  }

  private onOpen(reader: WireReader): void {
    const type = reader.text()
    const remote = reader.uint32()
    const window = reader.uint32()
    const packetBytes = reader.uint32()
    const data = reader.rest()
    let isAnswered = false
    const refuse = (reason: number, words: string) => {
      if (isAnswered) return
      isAnswered = true
      this.asked--
      this.transport.send(wire({ byte: Message.channelOpenFailure }, remote, reason, words, ''))
    }
    this.asked++
    if (this.channels.size + this.asked > this.channelsMax) {
      refuse(OpenFailure.shortage, `at most ${this.channelsMax} channels on one connection`)
      return
    }
    this.handler.open({
      type,
      data,
      accept: (handler) => {
        if (isAnswered) throw new Error('a channel answered twice')
        isAnswered = true
        this.asked--
        const channel = new Channel(this, this.number(), handler)
        this.channels.set(channel.local, channel)
        channel.confirm(remote, window, packetBytes)
        this.transport.send(
          wire(
            { byte: Message.channelOpenConfirmation },
            remote,
            channel.local,
            WINDOW_BYTES,
            PACKET_BYTES_MAX,
          ),
        )
        return channel
      },
      refuse,
    })
  }

  private number(): number {
    do this.nextLocal = (this.nextLocal + 1) >>> 0
    while (this.channels.has(this.nextLocal))
    return this.nextLocal
  }
}

const KEEP_ALIVE = Buffer.from('keepalive@openssh.com')

/** Room for data, answers, and questions whether anybody is there come by themselves. */
function isUse(type: number, payload: Buffer): boolean {
  if (type === Message.channelData) return true
  if (type === Message.channelRequest)
    // byte type, uint32 channel, string name
    return !payload.subarray(9, 9 + KEEP_ALIVE.length).equals(KEEP_ALIVE)
  return (
    type >= Message.channelOpen &&
    type !== Message.channelWindowAdjust &&
    type !== Message.channelSuccess &&
    type !== Message.channelFailure
  )
}
