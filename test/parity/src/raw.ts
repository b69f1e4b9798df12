/**
 * A PostgreSQL client that keeps every byte it is sent, and sends exactly the bytes it is told to. It builds messages and
 * waits for answers; it refuses to understand them, so that nothing a driver would smooth over is missed.
 * Source of the formats: PostgreSQL 18 documentation, chapter 54 "Frontend/Backend Protocol".
 */
import { connect, type Socket } from 'node:net'

export interface RawOptions {
  port: number
  user: string
  password: string
  database: string
  parameters?: Record<string, string>
  /** Write this many bytes at a time, each by itself. */
  pieceBytes?: number
}

export interface Message {
  type: string
  body: Buffer
}

const ANSWER_MS_MAX = 20_000

export class RawConnection {
  /** Everything received since the first ReadyForQuery. */
  readonly received: Message[] = []
  /** ParameterStatus of the start-up, by name. */
  readonly settings = new Map<string, string>()
  pid = 0
  secret: Buffer = Buffer.alloc(0)
  private held: Buffer = Buffer.alloc(0)
  private started = false
  private seen = 0
  private wake: () => void = () => {}
  closed = false

  private constructor(
    private readonly socket: Socket,
    private readonly options: RawOptions,
  ) {
    socket.on('data', (chunk) => this.take(chunk))
    socket.on('error', () => {})
    socket.on('close', () => {
      this.closed = true
      this.wake()
    })
  }

  static async open(options: RawOptions): Promise<RawConnection> {
    const socket = connect({ port: options.port, host: '127.0.0.1', noDelay: true })
    const connection = new RawConnection(socket, options)
    const { user, database, parameters = {} } = options
    const pairs = Object.entries({ user, database, ...parameters }).flat()
    const body = Buffer.concat([int32(196608), ...pairs.map(cstring), Buffer.from([0])])
    socket.write(Buffer.concat([int32(body.length + 4), body]))
    await connection.until((message) => message.type === 'Z' || message.type === 'E')
    connection.started = true
    const failed = connection.received.find(({ type }) => type === 'E')
    if (failed)
      throw new Error(`sign-in failed: ${failed.body.toString('latin1').replaceAll('\0', ' ')}`)
    for (const { type, body: found } of connection.received) {
      if (type === 'S') {
        const [name = '', value = ''] = found.toString().split('\0')
        connection.settings.set(name, value)
      } else if (type === 'K') {
        connection.pid = found.readInt32BE(0)
        connection.secret = found.subarray(4)
      }
    }
    connection.received.length = 0
    connection.seen = 0
    return connection
  }

  async send(...messages: Buffer[]): Promise<void> {
    const bytes = Buffer.concat(messages)
    const { pieceBytes } = this.options
    if (!pieceBytes) {
      this.socket.write(bytes)
      return
    }
    for (let at = 0; at < bytes.length; at += pieceBytes) {
      this.socket.write(bytes.subarray(at, at + pieceBytes))
      await new Promise((resolve) => setImmediate(resolve))
    }
  }

  /** Waits until a message not waited for before is one that is looked for. */
  async until(wanted: (message: Message) => boolean): Promise<Message> {
    const deadline = Date.now() + ANSWER_MS_MAX
    for (;;) {
      while (this.seen < this.received.length) {
        const message = this.received[this.seen++]!
        if (wanted(message)) return message
      }
      if (this.closed) throw new Error('the connection was closed')
      if (Date.now() > deadline) throw new Error(`no such answer within ${ANSWER_MS_MAX} ms`)
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, 1000)
        this.wake = () => {
          clearTimeout(timer)
          resolve()
        }
      })
    }
  }

  /** Waits for so many ReadyForQuery. */
  async ready(count = 1): Promise<void> {
    for (let i = 0; i < count; i++) await this.until(({ type }) => type === 'Z')
  }

  /** Waits until the other side has closed the connection. */
  async closes(): Promise<void> {
    const deadline = Date.now() + ANSWER_MS_MAX
    while (!this.closed) {
      if (Date.now() > deadline) throw new Error('the connection was not closed')
      await new Promise((resolve) => setTimeout(resolve, 10))
    }
  }

  async query(text: string): Promise<void> {
    await this.send(query(text))
    await this.ready()
  }

  async cancel(): Promise<void> {
    await new Promise<void>((resolve) => {
      const socket = connect({ port: this.options.port, host: '127.0.0.1' })
      socket.on('error', () => {})
      socket.on('close', () => resolve())
      socket.resume()
      socket.write(
        Buffer.concat([
          int32(12 + this.secret.length),
          int32(80877102),
          int32(this.pid),
          this.secret,
        ]),
      )
    })
  }

  async close(): Promise<void> {
    if (this.closed) return
    const gone = new Promise<void>((resolve) => this.socket.once('close', () => resolve()))
    this.socket.end(message('X'))
    await gone
  }

  private take(chunk: Buffer): void {
    this.held = this.held.length === 0 ? chunk : Buffer.concat([this.held, chunk])
    while (this.held.length >= 5) {
      const end = 1 + this.held.readInt32BE(1)
      if (this.held.length < end) break
      const type = String.fromCharCode(this.held[0]!)
      const body = this.held.subarray(5, end)
      if (!this.started && type === 'R' && body.readInt32BE(0) === 3)
        this.socket.write(message('p', cstring(this.options.password)))
      this.received.push({ type, body: Buffer.from(body) })
      this.held = this.held.subarray(end)
    }
    this.wake()
  }
}

export const int16 = (n: number): Buffer => {
  const bytes = Buffer.alloc(2)
  bytes.writeInt16BE(n)
  return bytes
}
export const int32 = (n: number): Buffer => {
  const bytes = Buffer.alloc(4)
  bytes.writeInt32BE(n)
  return bytes
}
export const cstring = (text: string): Buffer => Buffer.from(`${text}\0`)

export function message(type: string, ...parts: Buffer[]): Buffer {
  const body = Buffer.concat(parts)
  return Buffer.concat([Buffer.from(type, 'latin1'), int32(body.length + 4), body])
}

export const query = (text: string): Buffer => message('Q', cstring(text))
export const parse = (text: string, name = '', types: number[] = []): Buffer =>
  message('P', cstring(name), cstring(text), int16(types.length), ...types.map(int32))

export type Value = Buffer | string | null

export function bind(
  values: Value[] = [],
  o: { portal?: string; statement?: string; formats?: number[]; results?: number[] } = {},
): Buffer {
  const { portal = '', statement = '', formats = [], results = [] } = o
  return message(
    'B',
    cstring(portal),
    cstring(statement),
    int16(formats.length),
    ...formats.map(int16),
    int16(values.length),
    ...values.flatMap((value) => {
      if (value === null) return [int32(-1)]
      const bytes = Buffer.from(value as string)
      return [int32(bytes.length), bytes]
    }),
    int16(results.length),
    ...results.map(int16),
  )
}

export const describe = (what: 'S' | 'P', name = ''): Buffer =>
  message('D', Buffer.from(what), cstring(name))
export const execute = (portal = '', rows = 0): Buffer => message('E', cstring(portal), int32(rows))
export const closeOf = (what: 'S' | 'P', name = ''): Buffer =>
  message('C', Buffer.from(what), cstring(name))
export const sync = (): Buffer => message('S')
export const flush = (): Buffer => message('H')
export const copyData = (data: string | Buffer): Buffer => message('d', Buffer.from(data as string))
export const copyDone = (): Buffer => message('c')
export const copyFail = (reason: string): Buffer => message('f', cstring(reason))

export function functionCall(
  oid: number,
  values: Value[],
  formats: number[] = [],
  result = 0,
): Buffer {
  return message(
    'F',
    int32(oid),
    int16(formats.length),
    ...formats.map(int16),
    int16(values.length),
    ...values.flatMap((value) => {
      if (value === null) return [int32(-1)]
      const bytes = Buffer.from(value as string)
      return [int32(bytes.length), bytes]
    }),
    int16(result),
  )
}
