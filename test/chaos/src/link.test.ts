import { once } from 'node:events'
import { connect, createServer, type Server, type Socket } from 'node:net'
import { type Link, openLink } from './link'

/** Answers every byte with itself. */
async function echo(): Promise<{ port: number; server: Server; sockets: Set<Socket> }> {
  const sockets = new Set<Socket>()
  const server = createServer((socket) => {
    sockets.add(socket)
    socket.on('error', () => {})
    socket.on('close', () => sockets.delete(socket))
    socket.pipe(socket)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return { port: (server.address() as { port: number }).port, server, sockets }
}

/** Everything that arrives, and a way to wait for so much of it. */
function collected(socket: Socket) {
  let got = ''
  let closed: 'ended' | 'reset' | null = null
  let tell: () => void = () => {}
  socket.on('data', (bytes) => {
    got += bytes
    tell()
  })
  socket.on('error', () => {
    closed = 'reset'
  })
  socket.on('close', () => {
    closed ??= 'ended'
    tell()
  })
  return {
    text: () => got,
    async until(holds: (text: string, closed: 'ended' | 'reset' | null) => boolean) {
      while (!holds(got, closed)) await new Promise<void>((resolve) => (tell = resolve))
      return got
    },
  }
}

describe('a link', () => {
  let target: Awaited<ReturnType<typeof echo>>
  let link: Link
  beforeEach(async () => {
    target = await echo()
    link = await openLink('a–b', { host: '127.0.0.1', port: target.port })
  })
  afterEach(async () => {
    await link.close()
    for (const socket of target.sockets) socket.destroy()
    target.server.close()
  })

  async function join() {
    const socket = connect(link.port, '127.0.0.1')
    await once(socket, 'connect')
    return { socket, ...collected(socket) }
  }

  /** Something that goes a way of its own has come back: what was sent before it had the time to. */
  async function aWhile() {
    const other = await echo()
    const socket = connect(other.port, '127.0.0.1')
    const seen = collected(socket)
    for (let i = 1; i <= 20; i++) {
      socket.write('.')
      await seen.until((text) => text.length >= i)
    }
    socket.destroy()
    other.server.close()
  }

  test('passes bytes on, and ends with whoever ends', async () => {
    const { socket, until } = await join()
    socket.write('one')
    await until((text) => text === 'one')
    socket.end('two')
    await until((text, closed) => text === 'onetwo' && closed === 'ended')
  })

  test('cut: nothing arrives, nobody is told, and all of it arrives in order when healed', async () => {
    const { socket, until, text } = await join()
    socket.write('one')
    await until((got) => got === 'one')
    link.trouble({ how: 'cut' })
    socket.write('two')
    const late = await join()
    late.socket.write('late')
    await aWhile()
    expect([text(), late.text(), target.sockets.size]).toEqual(['one', '', 1])
    link.heal('go-on')
    await until((got) => got === 'onetwo')
    await late.until((got) => got === 'late')
  })

  test('cut and healed by reset: what was under way is gone, and whoever sent it is told', async () => {
    const { socket, until } = await join()
    link.trouble({ how: 'cut' })
    socket.write('lost')
    await aWhile()
    link.heal('reset')
    expect(await until((_, closed) => closed === 'reset')).toBe('')
  })

  test('half open: requests arrive and answers do not', async () => {
    const { socket, until, text } = await join()
    socket.write('one')
    await until((got) => got === 'one')
    link.trouble({ how: 'half-open', lets: 'requests' })
    const arrived = once([...target.sockets][0]!, 'data')
    socket.write('two')
    expect(String((await arrived)[0])).toBe('two')
    await aWhile()
    expect(text()).toBe('one')
    link.heal('go-on')
    await until((got) => got === 'onetwo')
  })

  test('refuse: what is open is reset, and so is what comes', async () => {
    const before = await join()
    before.socket.write('one')
    await before.until((got) => got === 'one')
    link.trouble({ how: 'refuse' })
    await before.until((_, closed) => closed === 'reset')
    const socket = connect(link.port, '127.0.0.1')
    await collected(socket).until((_, closed) => closed !== null)
    link.heal('go-on')
    const after = await join()
    after.socket.write('two')
    await after.until((got) => got === 'two')
  })

  test('delay: everything arrives, in order, no sooner', async () => {
    const { socket, until } = await join()
    link.trouble({ how: 'delay', ms: 40 })
    const at = Date.now()
    for (let i = 0; i < 10; i++) socket.write(String(i))
    await until((got) => got === '0123456789')
    expect(Date.now() - at).toBeGreaterThanOrEqual(79)
  })

  test('more than it holds back waits with its sender', async () => {
    const { socket, until } = await join()
    link.trouble({ how: 'cut' })
    const much = 'x'.repeat(3_000_000)
    socket.write(much)
    await aWhile()
    link.heal('go-on')
    await until((got) => got.length === much.length)
  })

  test('a killed peer is noticed once the link is healed', async () => {
    const { socket, until } = await join()
    socket.write('one')
    await until((got) => got === 'one')
    link.trouble({ how: 'cut' })
    const [peer] = target.sockets
    const gone = once(peer!, 'close')
    peer!.resetAndDestroy()
    await gone
    await aWhile()
    link.heal('go-on')
    await until((_, closed) => closed !== null)
  })
})
