/** Just enough of a client to see a server's own bytes in both protocols; for tests, signs in without a password. */
import { connect, type Socket } from 'node:net'
import { type ColumnDefinition, isEof, Reader, readColumn, readErr } from './index'

const CAPABILITIES = 0x000a_a20d // long password, long flag, connect with db, protocol 41, transactions, secure connection, multi results, plugin

export interface RawResult {
  columns: ColumnDefinition[]
  rows: Buffer[]
}

export class RawClient {
  private received = Buffer.alloc(0)
  private waiting: (() => void) | null = null

  private constructor(private readonly socket: Socket) {
    socket.on('data', (chunk) => {
      this.received = Buffer.concat([this.received, chunk])
      this.waiting?.()
    })
    socket.on('close', () => this.waiting?.())
  }

  static async open(
    to: { path: string } | { port: number },
    user: string,
    database: string,
  ): Promise<RawClient> {
    const client = new RawClient(connect(to as { path: string }))
    await client.packet()
    const head = Buffer.alloc(32)
    head.writeUInt32LE(CAPABILITIES | 8)
    head.writeUInt32LE(2 ** 24 - 1, 4)
    head[8] = 45
    client.send(
      Buffer.concat([head, Buffer.from(`${user}\0\0${database}\0mysql_native_password\0`)]),
      1,
    )
    const answer = await client.packet()
    if (answer[0] !== 0) throw new Error(`sign-in: ${answer.toString('latin1')}`)
    return client
  }

  end(): void {
    this.socket.destroy()
  }

  private send(payload: Buffer, sequence = 0): void {
    const head = Buffer.alloc(4)
    head.writeUIntLE(payload.length, 0, 3)
    head[3] = sequence
    this.socket.write(Buffer.concat([head, payload]))
  }

  async packet(): Promise<Buffer> {
    for (;;) {
      const length = this.received.length >= 4 ? this.received.readUIntLE(0, 3) : Infinity
      if (this.received.length >= 4 + length) {
        const payload = this.received.subarray(4, 4 + length)
        this.received = this.received.subarray(4 + length)
        return payload
      }
      if (this.socket.destroyed) throw new Error('the server closed the connection')
      await new Promise<void>((resolve) => {
        this.waiting = resolve
      })
    }
  }

  async query(sql: string): Promise<RawResult> {
    this.send(Buffer.concat([Buffer.from([3]), Buffer.from(sql)]))
    return this.result()
  }

  /** Without parameters. */
  async execute(sql: string): Promise<RawResult> {
    this.send(Buffer.concat([Buffer.from([0x16]), Buffer.from(sql)]))
    const prepared = checked(await this.packet())
    const reader = new Reader(prepared, 1, prepared.length)
    const id = reader.u32()
    const columns = reader.u16()
    if (columns > 0) for (let i = 0; i <= columns; i++) await this.packet()
    const body = Buffer.alloc(10)
    body[0] = 0x17
    body.writeUInt32LE(id, 1)
    body.writeUInt32LE(1, 6)
    this.send(body)
    return this.result()
  }

  private async result(): Promise<RawResult> {
    const first = checked(await this.packet())
    if (first[0] === 0) return { columns: [], rows: [] }
    const columns: ColumnDefinition[] = []
    for (let left = first[0]!; left > 0; left--) {
      const packet = await this.packet()
      columns.push(readColumn(packet, 0, packet.length))
    }
    await this.packet()
    const rows: Buffer[] = []
    for (;;) {
      const packet = checked(await this.packet())
      if (isEof(packet, 0, packet.length)) return { columns, rows }
      rows.push(Buffer.from(packet))
    }
  }
}

function checked(packet: Buffer): Buffer {
  if (packet[0] !== 0xff) return packet
  const { code, message } = readErr(packet, 0, packet.length)
  throw new Error(`${code}: ${message}`)
}
