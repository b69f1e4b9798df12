/**
 * A wire with an ear: passes on bytes between a client and a server, and keeps them. Every client of a way goes through one,
 * so that what it does not show is searched as well. Knows no protocol.
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
