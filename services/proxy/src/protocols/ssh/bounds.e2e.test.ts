/** How sessions end that nobody uses, that nobody reads, and when the gateway stops; and how many channels one may have. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Event } from '@custody/schemas'
import type { SshServer } from '@custody/ssh-server'
import { until } from '@custody/test-support'
import { Client, type ClientChannel } from 'ssh2'
import type { Proxy as RunningProxy } from '../../proxy'
import { type SshUnderTest, sshUnderTest } from './ssh-under-test'

let gateway: SshUnderTest
let target: SshServer

beforeAll(async () => {
  gateway = sshUnderTest('ssh-bounds')
  target = await gateway.target()
})
afterAll(() => gateway.stop())

interface Gateway {
  proxy: RunningProxy
  port: number
  token: string
}

/** One after the other in the same home: their records follow each other. */
async function withGateway<T>(limits: string, what: (one: Gateway) => Promise<T>): Promise<T> {
  const { proxy, port } = await gateway.start({ target, more: `limits: {${limits}}\n` })
  try {
    return await what({ proxy, port, token: await gateway.token({ subject: 'ada' }) })
  } finally {
    await proxy.stop()
  }
}

function spawn({ port, token }: Gateway, line: string, more: string[] = []) {
  const child = gateway.spawn(
    'ssh',
    [
      ...gateway.options(port).map((word) => word.replace('LogLevel=ERROR', 'LogLevel=INFO')),
      ...more,
      'web@localhost',
      line,
    ],
    { token },
  )
  const seen = { out: '', error: '' }
  child.stdout!.on('data', (chunk) => {
    seen.out += chunk
  })
  child.stderr!.on('data', (chunk) => {
    seen.error += chunk
  })
  const ended = new Promise<number | null>((resolve) => child.once('close', resolve))
  return { child, seen, ended }
}

/** How the session that was opened last ended. */
async function closed(): Promise<Event> {
  let found: Event | undefined
  await until(async () => {
    const events = await gateway.events()
    const { session } = events.findLast(({ kind }) => kind === 'session.opened')!
    found = events.find(
      (event) => event.kind === 'session.closed' && event.session!.equals(session!),
    )
    return found !== undefined
  })
  return found!
}
const completed = async () =>
  (await gateway.events()).findLast(({ kind }) => kind === 'command.completed')!.response!

test('a session in which nothing moves for too long is ended, and one in which something does is not', async () => {
  await withGateway('idleMsMax: 3000', async (one) => {
    const busy = spawn(one, 'for i in $(seq 1 12); do echo $i; sleep 0.5; done')
    // Whose client asks every second whether anybody is there: nobody uses it for that.
    const idle = spawn(one, 'echo ready; sleep 600', ['-o', 'ServerAliveInterval=1'])
    expect(await idle.ended).toBe(255)
    expect(idle.seen.out).toBe('ready\n')
    expect(idle.seen.error).toContain('(CUSTODY-SESSION-001)')
    expect(await busy.ended).toBe(0)
    expect(busy.seen.out.split('\n')).toHaveLength(13)
    const ends = (await gateway.events()).filter(({ kind }) => kind === 'session.closed')
    expect(
      ends.filter(({ lifecycle }) => /^nothing was sent for \d+ seconds$/.test(lifecycle!.reason!)),
    ).toHaveLength(1)
  })
})

test('a client that takes nothing is cut off, and what ran for it has an unknown outcome', async () => {
  await withGateway('stalledMsMax: 2000', async (one) => {
    const { child, ended } = spawn(one, 'echo ready; exec cat /dev/zero')
    await until(() => child.stdout!.readableLength > 0 || child.stdout!.readableFlowing === true)
    await until(async () =>
      (await gateway.events()).some(({ statement }) => statement?.text.includes('/dev/zero')),
    )
    // The program itself, and not only who reads from it.
    child.kill('SIGSTOP')
    const { lifecycle } = await closed()
    expect(lifecycle!.reason).toMatch(/^one side took no byte for \d+ seconds$/)
    expect((await completed()).status).toBe('unknown')
    child.kill('SIGKILL')
    await ended
    expect(one.proxy.status().sessions).toBe(0)
  })
})

test('a gateway that stops lets what runs end, takes nobody new, and ends what nobody uses', async () => {
  await withGateway('drainMsMax: 25000', async (one) => {
    const running = spawn(one, 'echo ready; read x; sleep 1; echo "done $x"; exit 6')
    await until(() => running.seen.out === 'ready\n')
    const unused = spawn(one, 'true')
    expect(await unused.ended).toBe(0)
    const stopped = one.proxy.stop()
    let late: Awaited<ReturnType<typeof gateway.run>> | null = null
    await until(async () => {
      late = await gateway.run(
        'ssh',
        [...gateway.options(one.port), 'web@localhost', 'echo late'],
        {
          token: one.token,
        },
      )
      return late.code === 255
    })
    running.child.stdin!.write('well\n')
    expect(await running.ended).toBe(6)
    expect(running.seen.out).toBe('ready\ndone well\n')
    await stopped
    expect(await completed()).toMatchObject({ status: 'error', code: '6' })
  })
})

test('a shell at its prompt does not keep a gateway from stopping, and one in which something runs does', async () => {
  await withGateway('drainMsMax: 25000', async (one) => {
    const shell = () => {
      const child = gateway.spawn(
        'ssh',
        [
          '-tt',
          ...gateway.options(one.port).map((word) => word.replace('=ERROR', '=INFO')),
          'web@localhost',
        ],
        { token: one.token },
      )
      const seen = { out: '', error: '' }
      child.stdout!.on('data', (chunk) => {
        seen.out += chunk
      })
      child.stderr!.on('data', (chunk) => {
        seen.error += chunk
      })
      const ended = new Promise<number | null>((resolve) => child.once('close', resolve))
      const shows = (text: RegExp) => until(() => text.test(seen.out))
      return { child, seen, ended, shows }
    }
    const PROMPT = /[$#] $/
    const [fresh, used, busy] = [shell(), shell(), shell()]
    for (const { shows } of [fresh, used, busy]) await shows(PROMPT)
    used.child.stdin!.write('cd /tmp; echo so"me"thing\r')
    await used.shows(/something\r\n[^\n]*[$#] $/)
    // Half a line is no command yet.
    used.child.stdin!.write('rm half')
    await used.shows(/rm half$/)
    busy.child.stdin!.write('read x; echo got-$x; exit 3\r')
    await busy.shows(/exit 3\r\n/)
    const stopped = one.proxy.stop()
    for (const { ended, seen } of [fresh, used]) {
      expect(await ended).toBe(255)
      expect(seen.error).toContain('CUSTODY-ACCESS-003')
    }
    busy.child.stdin!.write('it\r')
    expect([await busy.ended, busy.seen.out.includes('got-it')]).toEqual([3, true])
    await stopped
  })
})

test('what does not end in time is ended, and says so', async () => {
  await withGateway('drainMsMax: 300', async (one) => {
    const running = spawn(one, 'echo ready; sleep 600')
    await until(() => running.seen.out === 'ready\n')
    await one.proxy.stop()
    expect(await running.ended).toBe(255)
    expect(running.seen.error).toContain('the gateway is stopping (CUSTODY-ACCESS-003)')
    expect(await completed()).toMatchObject({ status: 'unknown' })
    expect((await closed()).lifecycle!.reason).toBe('the gateway is stopping')
  })
})

describe('channels of one connection', () => {
  const signedIn = ({ port, token }: Gateway) =>
    new Promise<Client>((resolve, reject) => {
      const client = new Client()
      client.once('ready', () => resolve(client)).once('error', reject)
      client.connect({ host: '127.0.0.1', port, username: 'web', password: token })
    })
  const exec = (client: Client, line: string) =>
    new Promise<ClientChannel | Error>((resolve) =>
      client.exec(line, (error, channel) => resolve(error ?? channel)),
    )
  const ended = (channel: ClientChannel) =>
    new Promise<string>((resolve) => {
      let out = ''
      channel.on('data', (chunk: Buffer) => {
        out += chunk
      })
      channel.once('close', () => resolve(out))
    })

  test('a command with a NUL in it, which some read up to there and others beyond, is refused', async () => {
    await withGateway('', async (one) => {
      const client = await signedIn(one)
      const channel = (await exec(client, 'echo before\0; echo behind')) as ClientChannel
      let told = ''
      channel.stderr.on('data', (chunk: Buffer) => {
        told += chunk
      })
      expect(await ended(channel)).toBe('')
      expect(told).toContain('a NUL within it')
      expect(told).toContain('CUSTODY-SSH-002')
      client.end()
    })
    expect(target.ran().join()).not.toContain('echo before')
  })

  test('are bounded, and free again when they are closed', async () => {
    await withGateway('channelsPerConnectionMax: 3', async (one) => {
      const client = await signedIn(one)
      const open = await Promise.all([1, 2, 3].map((i) => exec(client, `read x; echo ${i} $x`)))
      expect(open.every((channel) => !(channel instanceof Error))).toBe(true)
      const refused = await exec(client, 'echo one too many')
      expect(refused).toBeInstanceOf(Error)
      expect((refused as Error).message).toContain('at most 3 channels on one connection')
      const first = open[0] as ClientChannel
      const said = ended(first)
      first.end('x\n')
      expect(await said).toBe('1 x\n')
      const again = await exec(client, 'echo room')
      expect(await ended(again as ClientChannel)).toBe('room\n')
      for (const channel of open.slice(1) as ClientChannel[]) channel.end('y\n')
      client.end()
    })
    expect(target.ran()).not.toContain('echo one too many')
  })

  test('no more listeners than may be, asked for at once or not', async () => {
    await withGateway('drainMsMax: 10', async (one) => {
      const client = await signedIn(one)
      const listen = () =>
        new Promise<number | null>((resolve) =>
          client.forwardIn('127.0.0.1', 0, (error, port) => resolve(error ? null : port)),
        )
      const ports = await Promise.all(Array.from({ length: 120 }, listen))
      const open = ports.filter((port) => port !== null)
      expect(open).toHaveLength(100)
      expect(await listen()).toBeNull()
      await new Promise<void>((resolve) =>
        client.unforwardIn('127.0.0.1', open[0]!, () => resolve()),
      )
      expect(await listen()).not.toBeNull()
      client.end()
    })
  })

  test('requests that no window holds back are bounded while the target says nothing', async () => {
    await withGateway('drainMsMax: 10', async (one) => {
      const client = await signedIn(one)
      const gone = new Promise<void>((resolve) => client.once('close', () => resolve()))
      client.on('error', () => {})
      const channel = (await new Promise<ClientChannel>((resolve, reject) =>
        client.exec('sleep 600', { pty: true }, (error, opened) =>
          error ? reject(error) : resolve(opened),
        ),
      )) as ClientChannel
      for (let i = 0; i <= 10_000; i++) channel.setWindow(24, 80 + (i % 2), 0, 0)
      await gone
      expect((await closed()).lifecycle!.reason).toContain('while the target says nothing')
    })
  })

  test('each hold back their own sender, and no other', async () => {
    await withGateway('stalledMsMax: 0', async (one) => {
      const client = await signedIn(one)
      const blocked = (await exec(
        client,
        `head -c 60000000 /dev/zero; echo all >> ${join(gateway.directory, 'all')}`,
      )) as ClientChannel
      // Nobody reads from it.
      await until(() => blocked.readableLength > 0)
      const other = (await exec(client, 'head -c 5000000 /dev/zero | wc -c')) as ClientChannel
      expect((await ended(other)).trim()).toBe('5000000')
      expect(() => readFileSync(join(gateway.directory, 'all'))).toThrow('ENOENT')
      let bytes = 0
      blocked.on('data', (chunk: Buffer) => {
        bytes += chunk.length
      })
      await new Promise((resolve) => blocked.once('close', resolve))
      expect(bytes).toBe(60_000_000)
      client.end()
    })
  })
})
