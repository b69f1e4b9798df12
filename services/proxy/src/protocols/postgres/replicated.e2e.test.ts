/**
 * Resources whose commands run only once their record is acknowledged elsewhere, with a real target and a shipper that
 * acknowledges when it is told to. What ran is asked of the target itself.
 */
import { type LogReader, openReader, type ReplicationStatus } from '@custody/event-log'
import { parseConfiguration } from '@custody/kit'
import { type PostgresServer, psql, startPostgres } from '@custody/test-support'
import { Client, type DatabaseError } from 'pg'
import { proxyUnderTest } from './proxy-under-test'

const custody = proxyUnderTest('replicated')
const { events, home } = custody
let server: PostgresServer
let port: number
let token: string
let status: () => ReturnType<Awaited<ReturnType<typeof custody.start>>['proxy']['status']>

/** Acknowledges what is in the log, as long as it may. */
class Shipper {
  isThere = true
  problem: ReplicationStatus['problem'] = null
  private reader: LogReader | null = null
  constructor(private readonly onReplicated: (nextSequence: number) => void) {}
  start(): void {
    this.reader = openReader({ directory: home.log, recorder: 'proxy-local' })
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
    const { problem } = this
    return {
      recorder: 'proxy-local',
      shippedSequence: 0,
      behindEvents: 0,
      behindBytes: 0,
      oldestUnshippedMs: null,
      events: 0,
      batches: 0,
      problem,
    }
  }
}
let shipper: Shipper

beforeAll(async () => {
  server = await startPostgres({})
  await server.query('create table orders (id int, note text)')
  const written = `
kafka: {brokers: ["127.0.0.1:1"], replicatedMsMax: 400}
resources:
  shop: ${server.resource({ database: server.database, durability: 'replicated' })}
  attic: ${server.resource({ database: server.database })}
`
  const started = await custody.start(written, {
    kafka: {
      settings: parseConfiguration(written).kafka!,
      ensureTopics: async () => {},
      control: () => ({ start: async () => {}, stop: async () => {}, problem: () => null }),
      close: async () => {},
    },
    ship: (onReplicated) => {
      shipper = new Shipper(onReplicated)
      return shipper
    },
  })
  port = started.port
  status = () => started.proxy.status()
  token = await custody.token({ subject: 'ada' })
})

afterAll(async () => {
  await custody.stop()
  await server?.stop()
})

beforeEach(() => {
  shipper.isThere = true
  shipper.problem = null
})

async function signedIn(database = 'shop'): Promise<Client> {
  const client = new Client({
    host: '127.0.0.1',
    port,
    user: 'ada',
    password: token,
    database,
    ssl: { rejectUnauthorized: false },
  })
  client.on('error', () => {})
  await client.connect()
  return client
}

const failure = (promise: Promise<unknown>) =>
  promise.then(
    () => {
      throw new Error('it did not fail')
    },
    (error: DatabaseError) => error,
  )

const rows = async (note: string) =>
  Number((await server.query(`select count(*) from orders where note = '${note}'`)).rows[0].count)

test('runs and is answered once its record, and its outcome, are acknowledged', async () => {
  const client = await signedIn()
  await client.query("insert into orders values (1, 'one')")
  // The extended protocol, in several messages.
  const found = await client.query('select note from orders where id = $1', [1])
  expect(found.rows).toEqual([{ note: 'one' }])
  await client.end()
  expect(await rows('one')).toBe(1)
})

test('what is not acknowledged in time does not run, says so, and the session goes on', async () => {
  const client = await signedIn()
  shipper.isThere = false
  const simple = await failure(client.query("insert into orders values (2, 'never')"))
  expect(simple).toMatchObject({ code: '58030', severity: 'ERROR' })
  expect(simple.hint).toMatch(/^CUSTODY-REPLICATION-001/)
  expect(simple.message).toMatch(/did not run/)
  const extended = await failure(client.query('insert into orders values ($1, $2)', [3, 'never']))
  expect(extended.hint).toMatch(/^CUSTODY-REPLICATION-001/)
  expect(await rows('never')).toBe(0)
  shipper.isThere = true
  const now = await client.query('insert into orders values ($1, $2) returning id', [4, 'now'])
  expect(now.rows).toEqual([{ id: 4 }])
  expect((await client.query('select 1 as one')).rows).toEqual([{ one: 1 }])
  await client.end()
  const about = (await events()).filter(
    ({ response }) => response?.code === 'CUSTODY-REPLICATION-001',
  )
  expect(about.map(({ response }) => response?.status)).toEqual(['skipped', 'skipped'])
  expect(status().log?.notReplicated).toBe(2)
})

test('in a transaction: what ran before stays, what did not run can be tried again', async () => {
  const client = await signedIn()
  await client.query('begin')
  await client.query("insert into orders values (5, 'kept')")
  shipper.isThere = false
  await failure(client.query("insert into orders values (6, 'lost')"))
  shipper.isThere = true
  await client.query("insert into orders values (7, 'kept')")
  await client.query('commit')
  await client.end()
  expect([await rows('kept'), await rows('lost')]).toEqual([2, 0])
})

test('a pipeline is taken back as a whole, and answered request by request', async () => {
  const client = await signedIn()
  shipper.isThere = false
  // psql sends no pipelines; three requests of one client, written before any answer has come.
  const { connection } = client as unknown as { connection: { stream: NodeJS.WritableStream } }
  const query = (text: string) => {
    const body = Buffer.from(`${text}\0`)
    const head = Buffer.alloc(5)
    head.write('Q')
    head.writeInt32BE(body.length + 4, 1)
    return Buffer.concat([head, body])
  }
  const states: string[] = []
  const answered = new Promise<void>((resolve) => {
    let ready = 0
    connection.stream.on('data', (chunk: Buffer) => {
      for (let at = 0; at + 5 <= chunk.length; at += 1 + chunk.readInt32BE(at + 1)) {
        states.push(String.fromCharCode(chunk[at]!))
        if (chunk[at] === 0x5a && ++ready === 3) resolve()
      }
    })
  })
  connection.stream.write(
    Buffer.concat([
      query("insert into orders values (8, 'piped')"),
      query("insert into orders values (9, 'piped')"),
      query("insert into orders values (10, 'piped')"),
    ]),
  )
  await answered
  expect(states.join('')).toBe('EZEZEZ')
  expect(await rows('piped')).toBe(0)
  await client.end()
})

test('COPY that is cut off in its middle ends the session, and nothing of it stays', async () => {
  const client = await signedIn()
  const url = (password: string) =>
    `postgresql://ada:${password}@127.0.0.1:${port}/shop?sslmode=require`
  const copying = psql(url(token), ['-c', 'copy orders from stdin'], {
    input: Buffer.from(`${'1\tcopied\n'.repeat(200_000)}\\.\n`),
  })
  // Its data are records as well: those that come once nobody acknowledges any more stay here.
  for (;;) {
    const began = (await events()).some(({ output }) => output?.stream === 'input')
    if (began) break
    await new Promise((resolve) => setTimeout(resolve, 1))
  }
  shipper.isThere = false
  const { code, stderr } = await copying
  shipper.isThere = true
  expect([code, stderr]).toEqual([
    expect.any(Number),
    expect.stringMatching(/CUSTODY-REPLICATION-00[13]|not acknowledged/),
  ])
  expect(code).not.toBe(0)
  expect(await rows('copied')).toBe(0)
  await client.end()
})

test('what ran, and whose outcome nobody acknowledges, is not shown: the session ends and says why', async () => {
  const client = await signedIn()
  const ended = new Promise<DatabaseError>((resolve) => client.on('error', resolve as never))
  const running = client.query("insert into orders select 11, 'ran' from pg_sleep(0.3)")
  const error = failure(running)
  while ((await rowsRunning()) === 0) await new Promise((resolve) => setTimeout(resolve, 10))
  shipper.isThere = false
  expect(await error).toMatchObject({ severity: 'FATAL', hint: 'CUSTODY-REPLICATION-003' })
  await ended
  expect(await rows('ran')).toBe(1)
})

async function rowsRunning(): Promise<number> {
  const found = await server.query(
    "select count(*) from pg_stat_activity where query like '%pg_sleep(0.3)%' and state = 'active' and pid <> pg_backend_pid()",
  )
  return Number(found.rows[0].count)
}

test('while Kafka is known to be away it is refused at once, and only there', async () => {
  shipper.isThere = false
  shipper.problem = { code: 'CUSTODY-KAFKA-001', message: 'no broker answers', sinceMs: 0 }
  while (status().log?.replicationProblem === null)
    await new Promise((resolve) => setTimeout(resolve, 10))
  const shop = await signedIn()
  const attic = await signedIn('attic')
  const refused = await failure(shop.query("insert into orders values (12, 'away')"))
  expect(refused.hint).toMatch(/^CUSTODY-REPLICATION-002/)
  expect(refused.message).toMatch(/no broker answers/)
  expect((await attic.query("insert into orders values (13, 'elsewhere')")).rowCount).toBe(1)
  expect(await rows('away')).toBe(0)
  const blocked = (await events()).filter(({ kind }) => kind === 'command.blocked')
  expect(blocked.at(-1)?.decision?.policies).toEqual(['custody.replicated'])
  shipper.isThere = true
  shipper.problem = null
  while (status().log?.replicationProblem !== null)
    await new Promise((resolve) => setTimeout(resolve, 10))
  expect((await shop.query("insert into orders values (14, 'back')")).rowCount).toBe(1)
  await shop.end()
  await attic.end()
})

test('every command that the target ran is in the record before it, acknowledged or not', async () => {
  const all = await events()
  const texts = all
    .filter(({ kind }) => kind === 'command.started')
    .map(({ statement }) => statement?.text ?? '')
  for (const note of ['one', 'kept', 'ran', 'back'])
    expect(texts.some((text) => text.includes(`'${note}'`))).toBe(true)
})
