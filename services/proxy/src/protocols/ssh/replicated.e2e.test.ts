/** Resources whose commands have to be acknowledged elsewhere before they run, over SSH, with a shipper that can be stopped. */
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type LogReader, openReader, type ReplicationStatus } from '@custody/event-log'
import { parseConfiguration } from '@custody/kit'
import type { SshServer } from '@custody/ssh-server'
import { until } from '@custody/test-support'
import type { Proxy as RunningProxy } from '../../proxy'
import { type SshUnderTest, sshUnderTest } from './ssh-under-test'

let gateway: SshUnderTest
let target: SshServer
let proxy: RunningProxy
let port: number
let token: string
let shipper: Shipper
const at = (name: string) => join(gateway.directory, name)

/** Acknowledges what is in the log, as long as it may. */
class Shipper {
  isThere = true
  problem: ReplicationStatus['problem'] = null
  private reader: LogReader | null = null
  constructor(private readonly onReplicated: (nextSequence: number) => void) {}
  start(): void {
    this.reader = openReader({ directory: gateway.home.log, recorder: 'proxy-local' })
  }
  nudge(): void {
    if (this.isThere) void this.ship()
  }
  async ship(): Promise<void> {
    while ((await this.reader!.read(1 << 20)) !== null);
    this.onReplicated(this.reader!.position.sequence)
  }
  async stop(): Promise<void> {
    this.reader?.close()
  }
  status(): ReplicationStatus {
    return {
      recorder: 'proxy-local',
      shippedSequence: 0,
      behindEvents: 0,
      behindBytes: 0,
      oldestUnshippedMs: null,
      events: 0,
      batches: 0,
      problem: this.problem,
    }
  }
}

const KAFKA = 'kafka: {brokers: ["127.0.0.1:1"], replicatedMsMax: 700}\n'

beforeAll(async () => {
  gateway = sshUnderTest('ssh-replicated')
  target = await gateway.target()
  ;({ port, proxy } = await gateway.start({
    target,
    resource: '    durability: replicated\n',
    more: KAFKA,
    cluster: {
      kafka: {
        settings: parseConfiguration(`${KAFKA}resources: {}\n`).kafka!,
        ensureTopics: async () => {},
        control: () => ({ start: async () => {}, stop: async () => {}, problem: () => null }),
        close: async () => {},
      },
      ship: (onReplicated) => {
        shipper = new Shipper(onReplicated)
        return shipper
      },
    },
  }))
  token = await gateway.token({ subject: 'ada' })
})
afterAll(() => gateway.stop())
beforeEach(() => {
  shipper.isThere = true
  shipper.problem = null
})

const words = (line: string) => [
  ...gateway.options(port).map((word) => word.replace('LogLevel=ERROR', 'LogLevel=INFO')),
  'web@localhost',
  line,
]
const ssh = (line: string, input?: string) => gateway.run('ssh', words(line), { token, input })

test('what is acknowledged runs, with its input and its exit status; files go both ways', async () => {
  const ran = await ssh('cat; exit 3', 'acknowledged')
  expect([ran.code, ran.stdout.toString(), ran.stderr]).toEqual([3, 'acknowledged', ''])
  writeFileSync(at('file'), 'x'.repeat(300_000))
  for (const flags of [[], ['-O']]) {
    const copied = await gateway.run(
      'scp',
      [...flags, ...gateway.options(port), at('file'), `web@localhost:${at('copied')}`],
      { token },
    )
    expect([copied.code, copied.stderr]).toEqual([0, ''])
    expect(readFileSync(at('copied')).equals(readFileSync(at('file')))).toBe(true)
  }
})

test('what nobody acknowledges does not run, and its client is told', async () => {
  shipper.isThere = false
  const ran = await ssh('echo not acknowledged')
  expect([ran.code, ran.stdout.toString()]).toEqual([1, ''])
  expect(ran.stderr).toMatch(/it did not run[\s\S]*CUSTODY-REPLICATION-00/)
  expect(target.ran()).not.toContain('echo not acknowledged')
  const events = await gateway.events()
  const started = events.findLast(({ statement }) => statement?.text === 'echo not acknowledged')!
  expect(
    events.find(
      ({ kind, command }) => kind === 'command.completed' && command!.equals(started.command!),
    )!.response,
  ).toMatchObject({ status: 'skipped' })
})

test('nor does any while it is known that nobody is there; afterwards they do', async () => {
  shipper.isThere = false
  shipper.problem = { code: 'CUSTODY-KAFKA-001', message: 'no broker answers', sinceMs: 0 } as never
  await until(() => proxy.status().log?.replicationProblem !== null)
  const ran = await ssh('echo known')
  expect([ran.code, ran.stdout.toString()]).toEqual([1, ''])
  expect(ran.stderr).toContain('CUSTODY-REPLICATION-002')
  expect(target.ran()).not.toContain('echo known')
  shipper.isThere = true
  shipper.problem = null
  await until(() => proxy.status().log?.replicationProblem === null)
  expect((await ssh('echo back')).stdout.toString()).toBe('back\n')
})

test('input that nobody acknowledges does not reach what runs', async () => {
  const child = gateway.spawn('ssh', words(`tee ${at('teed')}; echo over`), { token })
  let shown = ''
  let error = ''
  child.stdout!.on('data', (chunk) => {
    shown += chunk
  })
  child.stderr!.on('data', (chunk) => {
    error += chunk
  })
  child.stdin!.on('error', () => {})
  const ended = new Promise((resolve) => child.once('close', resolve))
  child.stdin!.write('first\n')
  await until(() => shown === 'first\n')
  shipper.isThere = false
  child.stdin!.write('second\n')
  await ended
  expect(error).toMatch(/CUSTODY-REPLICATION-00/)
  expect(readFileSync(at('teed'), 'utf8')).toBe('first\n')
})

test('an outcome that nobody acknowledges is not shown: the session ends', async () => {
  const child = gateway.spawn('ssh', words('echo shown; read x; exit 5'), { token })
  let error = ''
  let shown = ''
  child.stdout!.on('data', (chunk) => {
    shown += chunk
  })
  child.stderr!.on('data', (chunk) => {
    error += chunk
  })
  child.stdin!.on('error', () => {})
  const ended = new Promise((resolve) => child.once('close', resolve))
  await until(() => shown === 'shown\n')
  shipper.isThere = false
  child.stdin!.end()
  expect(await ended).toBe(255)
  expect(error).toContain('CUSTODY-REPLICATION-003')
})
