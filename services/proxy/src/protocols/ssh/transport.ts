/**
 * The transport of one SSH connection (RFC 4253), either side of it: identification, key exchange, encryption and key
 * re-exchange, all of them ssh2's. What is above it, user authentication and channels, is handed on message by message.
 * Refuses compression (what is sent is not ours to unpack) and key exchanges, ciphers and MACs that rest on SHA-1.
 */
import type { Duplex } from 'node:stream'
import { Disconnect, Message, wire } from './numbers'

/** What of ssh2's insides is used; its version is pinned for that. */
interface Ssh2Protocol {
  start?(): void
  parse(chunk: Buffer, at: number, length: number): void
  cleanup(): void
  disconnect(reason: number): void
  rekey(): void
  service(name: string): void
  serviceAccept(name: string): void
  authFailure(methods: string[], isPartial: boolean): void
  authSuccess(): void
  authPKOK(algorithm: string, key: Buffer): void
  authInfoReq(
    name: string,
    instructions: string,
    prompts: { prompt: string; echo: boolean }[],
  ): void
  authInfoRes(responses: string[]): void
  authNone(user: string): void
  authPassword(user: string, password: string): void
  authKeyboard(user: string): void
  authPK(
    user: string,
    key: unknown,
    algorithm: string,
    sign?: (data: Buffer, done: (signature: Buffer) => void) => void,
  ): void
  _onPayload(payload: Buffer): void
  _onPacket(): void
  _onHandshakeComplete(negotiated: Negotiated): void
  _destruct?: unknown
  _kexinit?: Buffer
  _kex: {
    sessionID: Buffer
    negotiated: Negotiated
    remoteExtInfoEnabled: boolean
    _hostKey: unknown
  }
  _packetRW: {
    write: {
      allocStart: number
      alloc(bytes: number): Buffer
      finalize(packet: Buffer): Buffer
    }
  }
}

interface Negotiated {
  kex: string
  serverHostKey: string
  cs: { cipher: string; mac: string }
  sc: { cipher: string; mac: string }
}

const Protocol = require('ssh2/lib/protocol/Protocol.js') as new (
  options: Record<string, unknown>,
) => Ssh2Protocol
const { init: cryptoReady } = require('ssh2/lib/protocol/crypto.js') as { init: Promise<void> }
const { sendPacket } = require('ssh2/lib/protocol/utils.js') as {
  sendPacket(protocol: Ssh2Protocol, packet: Buffer): void
}
const { KexInit } = require('ssh2/lib/protocol/kex.js') as {
  KexInit: new (lists: object) => object
}
const { DEFAULT_CIPHER, DEFAULT_KEX, DEFAULT_MAC } =
  require('ssh2/lib/protocol/constants.js') as Record<string, string[]>

/** As ssh2's server side asks it of a host key: OpenSSH's certificates are made to look like one. */
export interface ServerHostKey {
  readonly type: string
  getPublicSSH(): Buffer
  sign(data: Buffer, hash?: string): Buffer | Error
}

/** Algorithms of the key exchange, strongest first; what SHA-1 is in is left out. */
const KEX = DEFAULT_KEX!.filter((name) => !/sha1$/.test(name))
const MACS = DEFAULT_MAC!.filter((name) => !/sha1/.test(name))
const CIPHERS = DEFAULT_CIPHER!

/** New keys after so many bytes in either direction (RFC 4253, 9). */
const REKEY_BYTES = 1024 * 1024 * 1024
/** More than this in the socket's own queue, and channels wait. */
const SOCKET_BYTES_MAX = 512 * 1024
/** More than this, and nothing is read until it has gone: answers that nobody reads are not made for ever. */
const UNREAD_BYTES_MAX = 4 * 1024 * 1024
/** What is signed by clients' keys: announced to them, since many choose by it (RFC 8308). */
const SIGNATURES =
  'ssh-ed25519,ecdsa-sha2-nistp256,ecdsa-sha2-nistp384,ecdsa-sha2-nistp521,rsa-sha2-512,rsa-sha2-256'

export interface TransportHandler {
  /** The first key exchange is done. */
  ready(): void
  /** A message of the connection protocol (80 and above): its payload, type included. */
  message(type: number, payload: Buffer): void
  /** The socket has room again. */
  drained(): void
  /** It is over; said once. Null: the other side ended it in order. */
  ended(error: Error | null): void
}

export interface TransportOptions {
  socket: Duplex
  software: string
  /** Of a server, by the algorithm that is negotiated. */
  hostKeys?: Record<string, ServerHostKey>
  /** Of a client: names of host keys that it takes, and whether it takes this one. */
  hostKeyAlgorithms?: readonly string[]
  verifyHostKey?(key: Buffer, transport: Transport): boolean
  /** ssh2's names for messages of user authentication. */
  authentication: Record<string, (protocol: Ssh2Protocol, ...values: never[]) => void>
  rekeyBytes?: number
}

export class Transport {
  readonly protocol: Ssh2Protocol
  private readonly socket: Duplex
  private handler: TransportHandler | null = null
  private isReady = false
  private over = false
  private isPaused = false
  private isCorked = false
  private rekeyLeft: number
  private readonly rekeyBytes: number
  /** Of the other side: `OpenSSH_9.2p1 Debian-2`. */
  software = ''
  bytesIn = 0
  bytesOut = 0

  constructor(private readonly options: TransportOptions) {
    const { socket, hostKeys } = options
    this.socket = socket
    this.rekeyBytes = options.rekeyBytes ?? REKEY_BYTES
    this.rekeyLeft = this.rekeyBytes
    const algorithms = {
      cipher: CIPHERS,
      mac: MACS,
      compress: ['none'],
      lang: [],
    }
    const lists = (kex: string[], serverHostKey: readonly string[]) =>
      new KexInit({ kex, serverHostKey: [...serverHostKey], cs: algorithms, sc: algorithms })
    this.protocol = new Protocol({
      server: hostKeys !== undefined,
      hostKeys,
      ident: options.software,
      offer: hostKeys
        ? lists([...KEX, 'kex-strict-s-v00@openssh.com'], Object.keys(hostKeys))
        : lists([...KEX, 'ext-info-c', 'kex-strict-c-v00@openssh.com'], options.hostKeyAlgorithms!),
      hostVerifier: options.verifyHostKey
        ? (key: Buffer) => options.verifyHostKey!(key, this)
        : undefined,
      onWrite: (bytes: Buffer) => {
        if (this.over || !socket.writable) return
        this.bytesOut += bytes.length
        this.rekeyLeft -= bytes.length
        this.cork()
        socket.write(bytes)
      },
      onError: (error: Error) => this.finish(error),
      onHeader: ({ versions }: { versions: { software: string } }) => {
        this.software = versions.software.slice(0, 255)
      },
      onHandshakeComplete: () => {
        this.rekeyLeft = this.rekeyBytes
        if (this.isReady) return
        this.isReady = true
        this.handler?.ready()
      },
      messageHandlers: {
        DISCONNECT: (_: unknown, reason: number, description: string) =>
          this.finish(
            reason === Disconnect.byApplication
              ? null
              : new Error(`disconnected by the other side: ${printable(description) || reason}`),
          ),
        ...options.authentication,
      },
    })
    this.takeOver()
  }

  /** Two things are done here instead of by ssh2: channels, and what is said of signatures (ssh2 says it malformed). */
  private takeOver(): void {
    const { protocol } = this
    const others = protocol._onPayload
    protocol._onPayload = (payload) => {
      const type = payload[0]
      if (type === undefined || type < Message.globalRequest) {
        others(payload)
        return
      }
      protocol._onPacket()
      if (!this.isReady) throw new Error('a message of channels before keys were exchanged')
      this.handler?.message(type, payload)
    }
    const complete = protocol._onHandshakeComplete
    protocol._onHandshakeComplete = (negotiated) => {
      const wants = !this.isReady && protocol._kex.remoteExtInfoEnabled
      protocol._kex.remoteExtInfoEnabled = false
      if (wants && this.options.hostKeys)
        this.send(wire({ byte: Message.extInfo }, 1, 'server-sig-algs', SIGNATURES))
      complete(negotiated)
    }
  }

  start(handler: TransportHandler): void {
    this.handler = handler
    const { socket, protocol } = this
    socket.on('error', (error: Error) => this.finish(error))
    socket.on('end', () => this.finish(null))
    socket.on('close', () => this.finish(null))
    socket.on('drain', () => {
      if (this.isPaused) {
        this.isPaused = false
        socket.resume()
      }
      if (!this.over && !this.isCongested) handler.drained()
    })
    void cryptoReady.then(
      () => {
        if (this.over) return
        protocol.start?.()
        socket.on('data', (chunk: Buffer) => this.onData(chunk))
        socket.resume()
      },
      (error: Error) => this.finish(error),
    )
  }

  get isOver(): boolean {
    return this.over
  }

  get isCongested(): boolean {
    return this.socket.writableLength > SOCKET_BYTES_MAX
  }

  /** Waiting for the other side's socket. */
  get queuedBytes(): number {
    return this.socket.writableLength
  }

  get sessionId(): Buffer {
    return this.protocol._kex.sessionID
  }

  /** A whole message, type included. */
  send(payload: Buffer): void {
    if (this.over) return
    const { write } = this.protocol._packetRW
    const at = write.allocStart
    const packet = write.alloc(payload.length)
    packet.set(payload, at)
    sendPacket(this.protocol, write.finalize(packet))
    this.watchKeys()
  }

  /** SSH_MSG_CHANNEL_DATA, or EXTENDED_DATA where `extended` is not 0; copied once. */
  sendData(channel: number, bytes: Buffer, extended: number): void {
    if (this.over) return
    const { write } = this.protocol._packetRW
    let at = write.allocStart
    const head = extended === 0 ? 9 : 13
    const packet = write.alloc(head + bytes.length)
    packet[at] = extended === 0 ? Message.channelData : Message.channelExtendedData
    packet.writeUInt32BE(channel, at + 1)
    at += 5
    if (extended !== 0) {
      packet.writeUInt32BE(extended, at)
      at += 4
    }
    packet.writeUInt32BE(bytes.length, at)
    packet.set(bytes, at + 4)
    sendPacket(this.protocol, write.finalize(packet))
    this.watchKeys()
  }

  /** Says why, in words that clients show, and ends it. */
  disconnect(reason: number, words: string): void {
    if (this.over) return
    try {
      // While keys are exchanged only ssh2's own wordless message may go.
      if (this.protocol._kexinit === undefined && this.isReady)
        this.send(wire({ byte: Message.disconnect }, reason, words, ''))
      else if (this.protocol._kexinit === undefined)
        this.socket.write(plainDisconnect(reason, words))
      else this.protocol.disconnect(reason)
    } catch {
      // It is ended in any case.
    }
    this.finish(null)
  }

  end(): void {
    this.finish(null)
  }

  private watchKeys(): void {
    if (this.rekeyLeft > 0 || !this.isReady || this.protocol._kexinit !== undefined) return
    this.rekeyLeft = this.rekeyBytes
    this.protocol.rekey()
  }

  private onData(chunk: Buffer): void {
    if (this.over) return
    this.bytesIn += chunk.length
    this.rekeyLeft -= chunk.length
    try {
      this.protocol.parse(chunk, 0, chunk.length)
      this.watchKeys()
      if (!this.over && this.socket.writableLength > UNREAD_BYTES_MAX) {
        this.isPaused = true
        this.socket.pause()
      }
    } catch (error) {
      this.finish(error as Error)
    }
  }

  /** What one turn sends leaves together: a system call for each packet is what costs most. */
  private cork(): void {
    if (this.isCorked) return
    this.isCorked = true
    this.socket.cork()
    process.nextTick(() => {
      this.isCorked = false
      this.socket.uncork()
    })
  }

  private finish(error: Error | null): void {
    if (this.over) return
    this.over = true
    const { socket, protocol } = this
    protocol.cleanup()
    socket.end()
    // What was said last gets a moment to arrive.
    setTimeout(() => socket.destroy(), 1000).unref()
    socket.resume()
    this.handler?.ended(error)
  }
}

/** Before keys were exchanged: an SSH_MSG_DISCONNECT in the clear, which OpenSSH shows. */
export function plainDisconnect(reason: number, words: string): Buffer {
  const payload = wire({ byte: Message.disconnect }, reason, words, '')
  const padding = 8 - ((payload.length + 5) % 8)
  const pad = padding < 4 ? padding + 8 : padding
  const head = Buffer.alloc(5)
  head.writeUInt32BE(payload.length + pad + 1)
  head[4] = pad
  return Buffer.concat([head, payload, Buffer.alloc(pad)])
}

/** Text of the other side that is shown or recorded. */
export function printable(text: string): string {
  return text
    .replace(/[\p{C}]+/gu, ' ')
    .trim()
    .slice(0, 1000)
}
