/** The least of an SFTP client: says exactly the requests it is told to, whole or not, one after the other. */
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'

export function request(type: number, id: number, ...parts: (Buffer | string | number)[]): Buffer {
  const fields = parts.map((part) => {
    if (typeof part === 'number') {
      const bytes = Buffer.alloc(4)
      bytes.writeUInt32BE(part >>> 0)
      return bytes
    }
    const bytes = Buffer.from(part)
    const length = Buffer.alloc(4)
    length.writeUInt32BE(bytes.length)
    return Buffer.concat([length, bytes])
  })
  const head = Buffer.alloc(9)
  const body = Buffer.concat(fields)
  head.writeUInt32BE(5 + body.length)
  head[4] = type
  head.writeUInt32BE(id >>> 0, 5)
  return Buffer.concat([head, body])
}

/** Splits what is whole into packets. */
export function packets(bytes: Buffer): Buffer[] {
  const found: Buffer[] = []
  for (let at = 0; at + 4 <= bytes.length; ) {
    const end = at + 4 + bytes.readUInt32BE(at)
    if (end > bytes.length) break
    found.push(bytes.subarray(at, end))
    at = end
  }
  return found
}

export class SftpClient {
  private received = Buffer.alloc(0)
  private taken = 0
  private id = 0
  readonly ended: Promise<unknown>

  private constructor(private readonly socket: Socket) {
    socket.on('data', (bytes) => {
      this.received = Buffer.concat([this.received, bytes])
    })
    socket.on('error', () => {})
    this.ended = once(socket, 'close')
  }

  static async connect(port: number): Promise<SftpClient> {
    const socket = connect(port, '127.0.0.1')
    await once(socket, 'connect')
    const client = new SftpClient(socket)
    await client.say(request(1, 3))
    return client
  }

  /** Sends, and gives the next packet. */
  async say(bytes: Buffer): Promise<Buffer> {
    this.socket.write(bytes)
    return this.next()
  }

  async next(): Promise<Buffer> {
    for (;;) {
      const packet = packets(this.received.subarray(this.taken))[0]
      if (packet !== undefined) {
        this.taken += packet.length
        return packet
      }
      if (this.socket.destroyed) throw new Error('the channel ended')
      await Promise.race([once(this.socket, 'data'), once(this.socket, 'close')])
    }
  }

  async open(path: string, flags: number): Promise<Buffer> {
    const answer = await this.say(request(3, ++this.id, path, flags, 0))
    if (answer[4] !== 102) throw new Error('not opened')
    return answer.subarray(13)
  }

  async read(handle: Buffer, offset: number, length: number): Promise<Buffer> {
    const answer = await this.say(request(5, ++this.id, handle, 0, offset, length))
    return answer.subarray(13)
  }

  async close(handle: Buffer): Promise<void> {
    await this.say(request(4, ++this.id, handle))
  }

  end(): void {
    this.socket.end()
  }
}
