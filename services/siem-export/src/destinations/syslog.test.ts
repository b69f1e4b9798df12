/** Syslog over real sockets: what counts as read, and where datagrams go. */
import { createSocket } from 'node:dgram'
import dns from 'node:dns'
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net'
import { silentLogger } from '@custody/kit'
import type { Outgoing } from '../delivery/destination'
import { secrets, settingsOf } from '../testing'
import { createDestination } from '.'

const signal = AbortSignal.timeout(60_000)
const batchOf = (text: string) => ({
  records: [{ text, bytes: Buffer.byteLength(text) } as Outgoing],
  bytes: Buffer.byteLength(text),
  attempt: 1,
})
const destinationAt = (address: string, transport: 'tcp' | 'udp') =>
  createDestination({
    ...{ name: 'one', gateway: 'g', secrets, logger: silentLogger() },
    settings: settingsOf({ type: 'syslog', address, transport }),
  })

/** Reads all and closes behind the sender, as receivers do, but for connections that it is told to treat otherwise. */
class Receiver {
  readonly read: string[] = []
  readonly connections: Socket[] = []
  private constructor(
    private readonly server: Server,
    readonly address: string,
  ) {}

  static async start(treats: (socket: Socket, n: number) => boolean): Promise<Receiver> {
    const server = createServer({ allowHalfOpen: true, pauseOnConnect: true })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const { port } = server.address() as AddressInfo
    const receiver = new Receiver(server, `127.0.0.1:${port}`)
    server.on('connection', (socket) => {
      const n = receiver.connections.push(socket)
      socket.on('error', () => {})
      if (!treats(socket, n)) return
      socket.on('data', (bytes) => receiver.read.push(String(bytes)))
      socket.on('end', () => socket.end()).resume()
    })
    return receiver
  }

  async connected(count: number): Promise<void> {
    while (this.connections.length < count)
      await new Promise((resolve) => this.server.once('connection', resolve))
  }

  stop(): void {
    for (const socket of this.connections) socket.destroy()
    this.server.close()
  }
}

test('a receiver that closed before it read a batch has not read it', async () => {
  const receiver = await Receiver.start((_, n) => n !== 2)
  const destination = destinationAt(receiver.address, 'tcp')
  await destination.deliver(batchOf('one'), signal)
  await receiver.connected(2)
  // Its end is on the way while a batch goes out: in one turn, as no look at the connection could tell.
  receiver.connections[1]!.end()
  await expect(destination.deliver(batchOf('two'), signal)).rejects.toMatchObject({
    fault: 'retry',
  })
  await destination.deliver(batchOf('two'), signal)
  expect(receiver.read).toEqual(['3 one', '3 two'])
  receiver.stop()
  await destination.close()
})

test('a connection that waited is not trusted with a batch', async () => {
  const receiver = await Receiver.start(() => true)
  const destination = destinationAt(receiver.address, 'tcp')
  await destination.deliver(batchOf('one'), signal)
  await receiver.connected(2)
  const now = performance.now.bind(performance)
  const clock = jest.spyOn(performance, 'now').mockImplementation(() => now() + 60_000)
  await destination.deliver(batchOf('two'), signal)
  clock.mockRestore()
  expect(receiver.read).toEqual(['3 one', '3 two'])
  expect(receiver.connections[1]!.bytesRead).toBe(0)
  receiver.stop()
  await destination.close()
})

test('datagrams go to a name whose first address is of the other family', async () => {
  const receiver = createSocket('udp6')
  const heard = new Promise<string>((resolve) =>
    receiver.once('message', (m) => resolve(String(m))),
  )
  await new Promise<void>((resolve) => receiver.bind(0, '::1', resolve))
  const asked = dns.lookup
  const found = [
    { address: '::1', family: 6 },
    { address: '127.0.0.1', family: 4 },
  ]
  const lookup = jest
    .spyOn(dns, 'lookup')
    .mockImplementation(((
      name: string,
      options: dns.LookupAllOptions,
      callback: (error: Error | null, addresses: dns.LookupAddress[]) => void,
    ) =>
      name === 'collector.test' ? callback(null, found) : asked(name, options, callback)) as never)
  const destination = destinationAt(`collector.test:${receiver.address().port}`, 'udp')
  await destination.deliver(batchOf('hello'), signal)
  expect(await heard).toBe('hello')
  lookup.mockRestore()
  await destination.close()
  receiver.close()
})

test.each(['169.254.169.254:514', '2852039166:514', '[::ffff:a9fe:a9fe]:514'])(
  'no datagram goes to %s',
  async (address) => {
    const destination = destinationAt(address, 'udp')
    await expect(destination.deliver(batchOf('x'), signal)).rejects.toMatchObject({
      fault: 'setting',
    })
    await destination.close()
  },
)
