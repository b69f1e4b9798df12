/**
 * A wire with an ear: passes on bytes between a client and a server, and keeps them. Every client of a way goes through one,
 * so that what it does not show is searched as well. Understands messages only as far as to put values together that the
 * protocol takes apart.
 */
import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net'

export interface Tap {
  port: number
  /** What came back, connection by connection. */
  received(): Buffer[]
  /** What the clients said. */
  sent(): Buffer[]
  close(): Promise<void>
}

export async function tapOn(port: number): Promise<Tap> {
  const sockets = new Set<Socket>()
  const [received, sent]: [Buffer[][], Buffer[][]] = [[], []]
  const server: Server = createServer((client) => {
    const upstream = connect({ port, host: '127.0.0.1', noDelay: true })
    const [down, up]: [Buffer[], Buffer[]] = [[], []]
    received.push(down)
    sent.push(up)
    for (const socket of [client, upstream]) {
      sockets.add(socket)
      socket.on('error', () => {})
      socket.on('close', () => {
        sockets.delete(socket)
        ;(socket === client ? upstream : client).destroy()
      })
    }
    client.setNoDelay(true)
    client.on('data', (chunk: Buffer) => {
      up.push(chunk)
      upstream.write(chunk)
    })
    client.on('end', () => upstream.end())
    upstream.on('data', (chunk: Buffer) => {
      down.push(chunk)
      if (!client.destroyed) client.write(chunk)
    })
    upstream.on('end', () => client.end())
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    port: (server.address() as AddressInfo).port,
    received: () => received.map((chunks) => Buffer.concat(chunks)),
    sent: () => sent.map((chunks) => Buffer.concat(chunks)),
    async close() {
      for (const socket of sockets) socket.destroy()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

/** The same bytes as a client would put them together: cells of all rows, and data of COPY and of function calls. */
export function joined(stream: Buffer): Buffer[] {
  const cells: Buffer[] = []
  const data: Buffer[] = []
  // An answer to a question about TLS is one byte that is no message.
  let at = stream[0] === 0x4e ? 1 : 0
  while (at + 5 <= stream.length) {
    const end = at + 1 + stream.readUInt32BE(at + 1)
    if (end <= at + 4 || end > stream.length) break
    const type = stream[at]
    const body = stream.subarray(at + 5, end)
    if (type === 0x44 && body.length >= 2) takeCells(body, cells)
    else if (type === 0x64) data.push(body)
    else if (type === 0x56 && body.length >= 4) data.push(body.subarray(4))
    at = end
  }
  return [cells, data].filter((parts) => parts.length > 1).map((parts) => Buffer.concat(parts))
}

function takeCells(body: Buffer, cells: Buffer[]): void {
  let at = 2
  for (let left = body.readUInt16BE(0); left > 0 && at + 4 <= body.length; left--) {
    const length = body.readInt32BE(at)
    at += 4
    if (length > 0) {
      cells.push(body.subarray(at, at + length))
      at += length
    }
  }
}
