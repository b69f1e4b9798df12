/**
 * MySQL's protocol as a client speaks it, without a driver: what is sent is given as bytes, and what comes back is kept packet
 * by packet as it came. Refuses to interpret more than it takes to know where an answer ends.
 */
import { createHash, publicEncrypt } from 'node:crypto'
import { connect as connectSocket, type Socket } from 'node:net'
import { connect as connectTls } from 'node:tls'

const CLIENT_MYSQL = 1
const SSL = 0x800
const DEPRECATE_EOF = 0x1000000
/** What a modern client asks for, and several statements at once. */
export const RAW_CAPABILITIES =
  0x1 |
  0x4 |
  0x8 |
  0x80 |
  0x200 |
  0x2000 |
  0x8000 |
  0x10000 |
  0x20000 |
  0x40000 |
  0x80000 |
  0x200000
export const RAW_DEPRECATE_EOF = DEPRECATE_EOF
export const RAW_SESSION_TRACK = 0x800000
export const RAW_QUERY_ATTRIBUTES = 0x8000000
/** MariaDB's own, for clients that do not say that they are MySQL's. */
export const RAW_PROGRESS = 1
export const RAW_BULK = 4
export const RAW_EXTENDED_TYPES = 8

const MORE_RESULTS = 0x8
const CURSOR_EXISTS = 0x40
const OUT_PARAMETERS = 0x1000
const PACKET_BYTES_MAX = 0xffffff
const ANSWER_MS_MAX = 60_000

export interface RawLogin {
  host?: string
  port: number
  user: string
  password: string
  database?: string
  tls?: boolean
  /** Number of the collation in the handshake; 45 is utf8mb4_general_ci. */
  collation?: number
  capabilities?: number
  /** With any, the client says that it is MariaDB's. */
  mariadbCapabilities?: number
}

/** How an answer ends: a result, a prepared statement, columns alone, one packet, rows alone, or no answer at all. */
export type RawShape = 'result' | 'prepare' | 'fields' | 'line' | 'rows' | 'none'

export interface RawAnswer {
  /** Each with its header; those of 16 MB as they came. */
  packets: Buffer[]
  /** Errno, or null. */
  error: number | null
  message: string
}

export class RawMysql {
  greeting: Buffer = Buffer.alloc(0)
  private stream: Socket
  private held: Buffer = Buffer.alloc(0)
  private pieces: Buffer[] = []
  private piecesBytes = 0
  private wanted: (() => void) | null = null
  private failed: Error | null = null
  private deprecateEof = false
  private hasAttributes = false
  private timer: NodeJS.Timeout | null = null

  private constructor(socket: Socket) {
    this.stream = socket
    this.listen(socket)
  }

  static async connect(login: RawLogin): Promise<RawMysql> {
    const socket = connectSocket(login.port, login.host ?? '127.0.0.1')
    socket.setNoDelay()
    const client = new RawMysql(socket)
    try {
      await client.signIn(login)
    } catch (error) {
      socket.destroy()
      throw error
    }
    return client
  }

  private listen(stream: Socket): void {
    const fail = (error: Error) => {
      this.failed ??= error
      this.wanted?.()
    }
    stream.on('data', (chunk: Buffer) => {
      this.pieces.push(chunk)
      this.piecesBytes += chunk.length
      this.wanted?.()
    })
    stream.on('error', fail)
    stream.on('close', () => fail(new Error('the connection was closed')))
  }

  private async signIn(login: RawLogin): Promise<void> {
    const first = await this.packet()
    this.greeting = first
    const body = first.subarray(4)
    if (body[0] === 0xff) throw new Error(body.toString('latin1', 3))
    const zero = body.indexOf(0)
    let at = zero + 1 + 4
    let scramble = Buffer.from(body.subarray(at, at + 8))
    at += 9
    const offered = (body.readUInt16LE(at) | (body.readUInt16LE(at + 5) << 16)) >>> 0
    const scrambleLength = Math.max(13, body[at + 7]! - 8)
    scramble = Buffer.concat([scramble, body.subarray(at + 18, at + 18 + scrambleLength - 1)])
    let plugin = body.toString('latin1', at + 18 + scrambleLength, body.length - 1)
    const mariadb = login.mariadbCapabilities ?? 0
    let asked = (login.capabilities ?? RAW_CAPABILITIES) | 0x80000 | 0x8000 | 0x200
    if (mariadb !== 0) asked &= ~CLIENT_MYSQL
    if (login.database === undefined) asked &= ~0x8
    asked &= offered | CLIENT_MYSQL
    if (mariadb !== 0) asked &= ~CLIENT_MYSQL
    if (login.tls) asked |= SSL
    this.deprecateEof = (asked & DEPRECATE_EOF) !== 0
    this.hasAttributes = (asked & RAW_QUERY_ATTRIBUTES) !== 0
    const head = Buffer.alloc(32)
    head.writeUInt32LE(asked >>> 0, 0)
    head.writeUInt32LE(0x40000000, 4)
    const collation = login.collation ?? 45
    head[8] = collation & 0xff
    if (mariadb !== 0) head.writeUInt32LE(mariadb, 28)
    let sequence = 1
    if (login.tls) {
      this.write(sequence++, head)
      const plain = this.stream
      for (const event of ['data', 'error', 'close']) plain.removeAllListeners(event)
      this.stream = await new Promise<Socket>((resolve, reject) => {
        const secure = connectTls({ socket: plain, rejectUnauthorized: false }, () =>
          resolve(secure),
        )
        secure.on('error', reject)
        plain.on('error', reject)
      })
      this.listen(this.stream)
    }
    const proof = this.proof(plugin, login, scramble)
    this.write(
      sequence,
      Buffer.concat([
        head,
        Buffer.from(`${login.user}\0`),
        Buffer.from([proof.length]),
        proof,
        ...(login.database === undefined ? [] : [Buffer.from(`${login.database}\0`)]),
        Buffer.from(`${plugin}\0`),
      ]),
    )
    for (;;) {
      const said = await this.packet()
      sequence = said[3]! + 1
      const payload = said.subarray(4)
      if (payload[0] === 0) return
      if (payload[0] === 0xff) throw new Error(payload.toString('utf8', 3))
      if (payload[0] === 0xfe) {
        const end = payload.indexOf(0, 1)
        plugin = payload.toString('latin1', 1, end)
        scramble = Buffer.from(payload.subarray(end + 1, end + 21))
        this.write(sequence, this.proof(plugin, login, scramble))
      } else if (payload[0] === 1 && payload[1] === 4)
        this.write(sequence, login.tls ? Buffer.from(`${login.password}\0`) : Buffer.from([2]))
      else if (payload[0] === 1 && payload[1] !== 3) {
        const clear = Buffer.from(`${login.password}\0`)
        for (let i = 0; i < clear.length; i++) clear[i]! ^= scramble[i % 20]!
        this.write(sequence, publicEncrypt(payload.toString('latin1', 1), clear))
      }
    }
  }

  private proof(plugin: string, { password }: RawLogin, scramble: Buffer): Buffer {
    if (plugin === 'mysql_clear_password') return Buffer.from(`${password}\0`)
    const isNative = plugin === 'mysql_native_password'
    const sha = (...of: Buffer[]) =>
      createHash(isNative ? 'sha1' : 'sha256')
        .update(Buffer.concat(of))
        .digest()
    if (password === '') return Buffer.alloc(0)
    if (!isNative) {
      const own = sha(Buffer.from(password))
      const with20 = sha(sha(own), scramble.subarray(0, 20))
      return Buffer.from(own.map((byte, i) => byte ^ with20[i]!))
    }
    const once = sha(Buffer.from(password))
    const mixed = sha(scramble.subarray(0, 20), sha(once))
    return Buffer.from(once.map((byte, i) => byte ^ mixed[i]!))
  }

  /** One payload, cut into packets of 16 MB where it is longer. */
  write(sequence: number, payload: Buffer): void {
    let at = 0
    for (let number = sequence; ; number++) {
      const part = payload.subarray(at, at + PACKET_BYTES_MAX)
      const header = Buffer.alloc(4)
      header.writeUIntLE(part.length, 0, 3)
      header[3] = number & 0xff
      this.stream.write(Buffer.concat([header, part]))
      at += part.length
      if (part.length < PACKET_BYTES_MAX) return
    }
  }

  /** Bytes as they are, whatever they mean. */
  writeBytes(bytes: Buffer): void {
    this.stream.write(bytes)
  }

  private async packet(): Promise<Buffer> {
    for (;;) {
      // Only once there is enough: large packets come in thousands of pieces.
      if (
        this.pieces.length > 0 &&
        (this.held.length < 4 || (this.missing() > 0 && this.missing() <= this.piecesBytes))
      ) {
        this.held = Buffer.concat([this.held, ...this.pieces])
        this.pieces = []
        this.piecesBytes = 0
        continue
      }
      if (this.held.length >= 4 && this.missing() <= 0) {
        const end = 4 + this.held.readUIntLE(0, 3)
        const packet = this.held.subarray(0, end)
        this.held = this.held.subarray(end)
        return packet
      }
      if (this.failed) throw this.failed
      await new Promise<void>((resolve) => {
        this.timer = setTimeout(() => {
          this.failed ??= new Error('no answer')
          resolve()
        }, ANSWER_MS_MAX)
        this.wanted = resolve
      })
      this.wanted = null
      if (this.timer) clearTimeout(this.timer)
    }
  }

  private missing(): number {
    return 4 + this.held.readUIntLE(0, 3) - this.held.length
  }

  /** Sends a command and takes its answer. `file`: what is sent where the server asks for one. */
  async ask(
    payload: Buffer,
    shape: RawShape = 'result',
    file: Buffer = Buffer.alloc(0),
  ): Promise<RawAnswer> {
    this.write(0, payload)
    return await this.answer(shape, file)
  }

  query(sql: string | Buffer, file?: Buffer): Promise<RawAnswer> {
    return this.ask(this.text(sql), 'result', file)
  }

  /** COM_QUERY; where attributes were agreed on, with none. */
  text(sql: string | Buffer): Buffer {
    return Buffer.concat([
      Buffer.from(this.hasAttributes ? [3, 0, 1] : [3]),
      Buffer.from(sql as string),
    ])
  }

  async answer(shape: RawShape = 'result', file: Buffer = Buffer.alloc(0)): Promise<RawAnswer> {
    const packets: Buffer[] = []
    const done = (error: number | null = null, message = ''): RawAnswer => ({
      packets,
      error,
      message,
    })
    const next = async () => {
      const packet = await this.packet()
      packets.push(packet)
      return packet.subarray(4)
    }
    const failed = (body: Buffer) => done(body.readUInt16LE(1), body.toString('utf8', 3))
    if (shape === 'none') return done()
    if (shape === 'line') {
      await next()
      return done()
    }
    if (shape === 'rows') {
      const body = await this.rows(next)
      return body[0] === 0xff ? failed(body) : done()
    }
    if (shape === 'fields') {
      for (;;) {
        const body = await next()
        if (body[0] === 0xff) return failed(body)
        if (body[0] === 0xfe && body.length < 9) return done()
      }
    }
    if (shape === 'prepare') {
      const body = await next()
      if (body[0] === 0xff) return failed(body)
      for (const count of [body.readUInt16LE(7), body.readUInt16LE(5)]) {
        for (let i = 0; i < count; i++) await next()
        if (count > 0 && !this.deprecateEof) await next()
      }
      return done()
    }
    for (;;) {
      let body = await next()
      let status: number
      if (body[0] === 0xff) {
        // How far it has come is no error.
        if (body.readUInt16LE(1) === 0xffff) continue
        return failed(body)
      }
      if (body[0] === 0xfb) {
        const { 3: sequence } = packets.at(-1)!
        if (file.length > 0) this.write(sequence! + 1, file)
        this.write(sequence! + (file.length > 0 ? 2 : 1), Buffer.alloc(0))
        continue
      }
      if (body[0] === 0) status = statusOfOk(body)
      else {
        const columns = lenenc(body, 0).value
        for (let i = 0; i < columns; i++) await next()
        let cursor = false
        let parameters = 0
        if (!this.deprecateEof) {
          body = await next()
          const before = body.readUInt16LE(3)
          cursor = (before & CURSOR_EXISTS) !== 0
          // What MySQL says before these rows alone.
          if ((before & OUT_PARAMETERS) !== 0) parameters = before & MORE_RESULTS
        }
        // With a cursor no rows come, and only one end.
        if (!cursor) body = await this.rows(next)
        if (body[0] === 0xff) return failed(body)
        status = parameters | (this.deprecateEof ? statusOfOk(body) : body.readUInt16LE(3))
      }
      if ((status & MORE_RESULTS) === 0) return done()
    }
  }

  private async rows(next: () => Promise<Buffer>): Promise<Buffer> {
    let long = false
    for (;;) {
      const body = await next()
      const isPart = long
      long = body.length === PACKET_BYTES_MAX
      if (isPart) continue
      if (body[0] === 0xff && !long) return body
      if (body[0] === 0xfe && body.length < (this.deprecateEof ? PACKET_BYTES_MAX : 9)) return body
    }
  }

  /** The stream itself, signed in and idle, for whoever reads it in another way from now on. */
  detach(): Socket {
    for (const event of ['data', 'error', 'close']) this.stream.removeAllListeners(event)
    return this.stream
  }

  /** Takes part in nothing any more. */
  end(): void {
    this.stream.on('error', () => {})
    if (!this.failed) this.write(0, Buffer.from([1]))
    this.stream.end()
    this.stream.destroySoon()
  }
}

function lenenc(bytes: Buffer, at: number): { value: number; next: number } {
  const first = bytes[at]!
  if (first < 0xfb) return { value: first, next: at + 1 }
  const size = first === 0xfc ? 2 : first === 0xfd ? 3 : 6
  return {
    value: bytes.readUIntLE(at + 1, size),
    next: at + 1 + (first === 0xfe ? 8 : size),
  }
}

function statusOfOk(body: Buffer): number {
  const { next } = lenenc(body, 1)
  return body.readUInt16LE(lenenc(body, next).next)
}
