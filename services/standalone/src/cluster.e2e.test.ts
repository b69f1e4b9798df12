/**
 * Two gateways, a query service and ingest, each a process with a home of its own, over a real Kafka: what people say reaches
 * the gateway that it is for, who is locked is locked everywhere, and whoever dies and comes back changes nothing of it.
 * Prints how long it takes; asserts nothing about it.
 */
import { type ChildProcess, fork } from 'node:child_process'
import { generateKeyPairSync } from 'node:crypto'
import { once } from 'node:events'
import { mkdirSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { createClient } from '@clickhouse/client'
import type { ServiceMessage } from '@custody/kit'
import {
  type KafkaServer,
  type PostgresServer,
  startKafka,
  startPostgres,
  temporaryDirectory,
  until,
} from '@custody/test-support'
import { Client } from 'pg'

jest.setTimeout(300_000)

const ADMIN = 'the-administrator-of-the-test'
const MAIN = {
  proxy: join(dirname(require.resolve('@custody/proxy/package.json')), 'dist/main.js'),
  query: join(dirname(require.resolve('@custody/query/package.json')), 'dist/main.js'),
  ingest: join(dirname(require.resolve('@custody/ingest/package.json')), 'dist/main.js'),
  warehouse: join(__dirname, '../dist/processes/warehouse.js'),
}

const directory = temporaryDirectory('cluster', { open: true })
let kafka: KafkaServer
let server: PostgresServer
let warehouseUrl: string
const processes = new Map<string, ChildProcess>()
const ports: Record<string, Record<string, number>> = {}
const said: Record<string, string> = {}

const at = (name: string) => join(directory.path, name)

/** Starts a process by its gateway's name, in its own home; it listens where it did before. */
async function start(kind: keyof typeof MAIN, name: string, more: NodeJS.ProcessEnv = {}) {
  const known = ports[name] ?? {}
  const child = fork(MAIN[kind], {
    env: {
      ...process.env,
      CUSTODY_HOME: at(name),
      CUSTODY_CONFIG: at(kind === 'proxy' ? 'proxy.yaml' : 'custody.yaml'),
      CUSTODY_GATEWAY: name,
      CUSTODY_PORT_POSTGRES: String(known.postgres ?? 0),
      CUSTODY_PORT_CONSOLE: String(known.console ?? 0),
      CUSTODY_PORT_HEALTH: kind === 'proxy' ? String(known.health ?? 0) : '',
      CUSTODY_WAREHOUSE_URL: warehouseUrl,
      ...more,
    },
    stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
  })
  processes.set(name, child)
  for (const stream of [child.stdout!, child.stderr!])
    stream.on('data', (data) => {
      said[name] = (said[name] ?? '') + data
    })
  const ready = await new Promise<Record<string, unknown>>((resolve, reject) => {
    child.on('message', (message: ServiceMessage) => {
      if (message.type === 'ready') resolve(message.ready)
      else if (message.type === 'failed') reject(new Error(`${message.code}: ${message.message}`))
    })
    child.once('exit', (code) => reject(new Error(`${name} ended with ${code}: ${said[name]}`)))
  })
  ports[name] = (ready.ports ?? {}) as Record<string, number>
}

async function end(name: string, signal: 'stop' | 'SIGKILL'): Promise<void> {
  const child = processes.get(name)
  if (!child || child.exitCode !== null || child.signalCode !== null) return
  const exited = once(child, 'exit')
  if (signal === 'stop') child.send({ type: 'stop' })
  else child.kill(signal)
  await exited
  processes.delete(name)
}

async function api<T>(method: string, path: string, body?: object, token = ADMIN): Promise<T> {
  const response = await fetch(`http://127.0.0.1:${ports['query-1']!.console}/api/v1${path}`, {
    method,
    headers: {
      authorization: `Bearer ${token}`,
      ...(body && { 'content-type': 'application/json' }),
    },
    ...(body && { body: JSON.stringify(body) }),
  })
  const text = await response.text()
  if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${text}`)
  return JSON.parse(text) as T
}

async function tokenOf(subject: string, groups: string[] = []): Promise<string> {
  const { token } = await api<{ token: string }>('POST', '/tokens', { subject, groups })
  return token
}

async function connected(gateway: string, user: string, token: string, database = 'shop') {
  const client = new Client({
    host: '127.0.0.1',
    port: ports[gateway]!.postgres,
    user,
    password: token,
    database,
    ssl: { rejectUnauthorized: false },
  })
  client.on('error', () => {})
  await client.connect()
  return client
}

const refusal = (promise: Promise<unknown>) =>
  promise.then(
    () => 'let in',
    (error: Error) => error.message,
  )

const median = (all: number[]) => all.sort((a, b) => a - b)[all.length >> 1]!
const tell = (what: string, all: number[]) =>
  process.stderr.write(
    `${what}: median ${median(all).toFixed(0)} ms of ${all.length} (${all[0]!.toFixed(0)} to ${all.at(-1)!.toFixed(0)})\n`,
  )

/** The one request of somebody that waits. */
const waiting = (subject: string) =>
  until(async () => {
    const { approvals } = await api<{ approvals: { id: string; who: { subject: string } }[] }>(
      'GET',
      '/approvals?state=waiting&wait=1000',
    )
    return approvals.find(({ who }) => who.subject === subject)
  })

beforeAll(async () => {
  kafka = await startKafka()
  server = await startPostgres({ sql: 'create table orders (id int, note text)' })
  const { privateKey, publicKey } = generateKeyPairSync('ed25519')
  writeFileSync(at('key.pem'), privateKey.export({ format: 'pem', type: 'pkcs8' }))
  writeFileSync(at('key.pub.pem'), publicKey.export({ format: 'pem', type: 'spki' }))
  writeFileSync(
    at('held.cedar'),
    `@id("all") permit (principal, action, resource);
@id("delete") @reason("rows go") @approvers("dba") @expires("10m")
forbid (principal, action == Action::"sql:delete", resource) unless { context.approved };`,
  )
  const written = (key: string) => `
kafka: {brokers: [${kafka.brokers.map((one) => `"${one}"`).join(', ')}], partitions: 3, replicationFactor: 1, minInsyncReplicas: 1, replicatedMsMax: 3000}
identity: {tokenKeys: {issuer: acme, file: ${key}}}
log: {reserveBytes: 65536}
policy: {files: [held.cedar]}
resources:
  shop: ${server.resource({ database: server.database })}
  vault: ${server.resource({ database: server.database, durability: 'replicated' })}
`
  writeFileSync(at('custody.yaml'), written('key.pem'))
  writeFileSync(at('proxy.yaml'), written('key.pub.pem'))
  warehouseUrl = ''
  await start('warehouse', 'warehouse', { CUSTODY_WAREHOUSE_PASSWORD: 'p' })
  warehouseUrl = `http://custody:p@127.0.0.1:${ports.warehouse!.warehouse}`
  mkdirSync(at('query-1/run'), { recursive: true })
  writeFileSync(at('query-1/run/admin-token'), ADMIN)
  await Promise.all([
    start('ingest', 'ingest-1'),
    start('query', 'query-1'),
    start('proxy', 'proxy-1'),
    start('proxy', 'proxy-2'),
  ])
})

afterAll(async () => {
  for (const name of ['proxy-1', 'proxy-2', 'proxy-3', 'query-1', 'ingest-1', 'warehouse'])
    await end(name, 'SIGKILL')
  await server?.stop()
  await kafka?.stop()
  await directory.remove()
})

test('a token of the query service is good at each gateway, and what is held there runs there when somebody says so', async () => {
  const bob = await tokenOf('bob', ['dba'])
  const ms: number[] = []
  for (let i = 0; i < 10; i++) {
    const [here, there] = i % 2 === 0 ? ['proxy-1', 'proxy-2'] : ['proxy-2', 'proxy-1']
    const [ada, eve] = [`ada-${i}`, `eve-${i}`]
    const one = await connected(here!, ada, await tokenOf(ada))
    const other = await connected(there!, eve, await tokenOf(eve))
    await one.query(`insert into orders values (${i}, 'here'), (${i}, 'there')`)
    const notices: string[] = []
    one.on('notice', ({ message }) => notices.push(message ?? ''))
    const held = one.query(`delete from orders where id = ${i} and note = 'here'`)
    let isOver = false
    const stillHeld = other
      .query(`delete from orders where id = ${i} and note = 'there'`)
      .catch((error) => error)
      .finally(() => {
        isOver = true
      })
    const request = await waiting(ada)
    await waiting(eve)
    const asked = performance.now()
    const answered = api('POST', `/approvals/${request.id}/approve`, undefined, bob)
    expect((await held).rowCount).toBe(1)
    ms.push(performance.now() - asked)
    await answered
    expect(notices.join()).toMatch(/approved by bob/)
    expect(isOver).toBe(false)
    const denied = await waiting(eve)
    await api('POST', `/approvals/${denied.id}/deny`, undefined, bob)
    expect(String(await stillHeld)).toMatch(/denied by bob/)
    await one.end()
    await other.end()
  }
  expect(
    (await server.query("select count(*) from orders where note = 'there'")).rows[0].count,
  ).toBe('10')
  tell('from asking the API to approve to the command’s end', ms)
})

test('a lock is a lock at both, ends what is open, and an unlock is one again', async () => {
  const token = await tokenOf('mallory')
  const locked: number[] = []
  for (let i = 0; i < 10; i++) {
    const open = await Promise.all(
      ['proxy-1', 'proxy-2'].map((gateway) => connected(gateway, 'mallory', token)),
    )
    const ended = open.map((client) => new Promise<void>((resolve) => client.once('end', resolve)))
    const from = performance.now()
    await api('POST', '/locks', { identity: 'mallory', reason: 'a test' })
    await Promise.all(ended)
    locked.push(performance.now() - from)
    for (const gateway of ['proxy-1', 'proxy-2'])
      expect(await refusal(connected(gateway, 'mallory', token))).toMatch(/locked/)
    await api('DELETE', '/locks/mallory')
    for (const gateway of ['proxy-1', 'proxy-2'])
      await until(async () => {
        const client = await connected(gateway, 'mallory', token).catch(() => null)
        await client?.end()
        return client
      })
  }
  tell('from asking the API to lock to the end of the sessions at both gateways', locked)
})

test('a session is ended by its gateway, a revoked token is refused at both', async () => {
  const token = await tokenOf('carol')
  const client = await connected('proxy-2', 'carol', token)
  await client.query('select 1')
  const ended = new Promise<void>((resolve) => client.once('end', resolve))
  const session = await until(async () => {
    const { sessions } = await api<{ sessions: { id: string; state: string }[] }>(
      'GET',
      '/sessions?identity=carol&wait=1000',
    )
    return sessions.find(({ state }) => state === 'open')
  })
  const from = performance.now()
  await api('POST', `/sessions/${session.id}/kill`, { reason: 'a test' })
  await ended
  tell('from asking the API to kill to the end of the session', [performance.now() - from])
  const { jti } = JSON.parse(Buffer.from(token.split('.')[1]!, 'base64url').toString())
  await api('DELETE', `/tokens/${jti}`)
  for (const gateway of ['proxy-1', 'proxy-2'])
    await until(async () =>
      /revoked/.test(await refusal(connected(gateway, 'carol', token).then((c) => c.end()))),
    )
})

test('a replicated command is answered when Kafka has it', async () => {
  const token = await tokenOf('dora')
  const client = await connected('proxy-1', 'dora', token, 'vault')
  const ms: number[] = []
  for (let i = 0; i < 50; i++) {
    const from = performance.now()
    await client.query(`insert into orders values (${1000 + i}, 'vault')`)
    ms.push(performance.now() - from)
  }
  await client.end()
  tell('a replicated insert', ms)
})

test('a second gateway of the same name does not start', async () => {
  ports.impostor = {}
  await expect(start('proxy', 'impostor', { CUSTODY_GATEWAY: 'proxy-1' })).rejects.toThrow(
    /CUSTODY-START-005/,
  )
  await end('impostor', 'SIGKILL')
})

test('the broker is killed and comes back: clients notice nothing, but where they asked for more', async () => {
  const token = await tokenOf('erin')
  const client = await connected('proxy-1', 'erin', token)
  const vault = await connected('proxy-1', 'erin', token, 'vault')
  await kafka.kill()
  for (let i = 0; i < 20; i++)
    expect((await client.query(`insert into orders values (${i}, 'outage')`)).rowCount).toBe(1)
  const refused = await refusal(vault.query("insert into orders values (0, 'refused')"))
  expect(refused).toMatch(/acknowledged by Kafka/)
  // And then at once.
  await until(async () =>
    /can't be reached/.test(await refusal(vault.query("insert into orders values (0, 'refused')"))),
  )
  const metrics = await (await fetch(`http://127.0.0.1:${ports['proxy-1']!.health}/metrics`)).text()
  expect(metrics).toMatch(/custody_kafka_problem\{recorder="proxy-proxy-1"\} 1/)
  expect(metrics).toMatch(/custody_replication_refusing\{[^}]*\} 1/)
  expect((await fetch(`http://127.0.0.1:${ports['proxy-1']!.health}/readyz`)).status).toBe(200)
  await kafka.restart()
  await until(
    async () => (await refusal(vault.query("insert into orders values (0, 'back')"))) === 'let in',
  )
  const { rows } = await server.query(
    "select note, count(*)::int from orders where note in ('outage', 'refused', 'back') group by 1 order by 1",
  )
  expect(rows).toEqual([
    { note: 'back', count: 1 },
    { note: 'outage', count: 20 },
  ])
  await client.end()
  await vault.end()
})

test('killed and started again, query and gateways know who is locked; a new gateway does, too', async () => {
  const token = await tokenOf('mallory')
  const good = await tokenOf('frank')
  await api('POST', '/locks', { identity: 'mallory' })
  for (const gateway of ['proxy-1', 'proxy-2'])
    await until(async () => /locked/.test(await refusal(connected(gateway, 'mallory', token))))
  await Promise.all([end('query-1', 'SIGKILL'), end('proxy-1', 'SIGKILL')])
  await Promise.all([
    start('query', 'query-1'),
    start('proxy', 'proxy-1'),
    start('proxy', 'proxy-3'),
  ])
  const { locks } = await api<{ locks: { identity: string }[] }>('GET', '/locks')
  expect(locks.map(({ identity }) => identity)).toContain('mallory')
  for (const gateway of ['proxy-1', 'proxy-2', 'proxy-3']) {
    expect(await refusal(connected(gateway, 'mallory', token))).toMatch(/locked/)
    await (await connected(gateway, 'frank', good)).end()
  }
  // Its own home knows as well: without Kafka it starts with what it has heard.
  await end('proxy-3', 'stop')
  await kafka.kill()
  await start('proxy', 'proxy-3')
  expect(await refusal(connected('proxy-3', 'mallory', token))).toMatch(/locked/)
  await (await connected('proxy-3', 'frank', good)).end()
  // One that has never heard anything does not.
  await kafka.restart()
})

test('what each recorded is in the store once, without a gap; the status says so', async () => {
  const gateways = ['proxy-1', 'proxy-2', 'proxy-3']
  for (const name of gateways)
    await until(async () => {
      const told = await fetch(`http://127.0.0.1:${ports[name]!.health}/metrics`)
      const text = await told.text()
      return (
        /custody_kafka_behind_events\{.*\} 0\n/.test(text) &&
        /custody_control_hearing\{.*\} 1\n/.test(text)
      )
    })
  await Promise.all(gateways.map((name) => end(name, 'stop')))
  // What did not get to Kafka within the stop is shipped at the next start.
  await Promise.all(gateways.map((name) => start('proxy', name)))
  const status = await until(async () => {
    const found = await api<{
      behind: number
      cluster: {
        kafka: string
        partitions: { behind: number }[]
        shipper: { problem: unknown; isHearing: boolean; behindEvents: number }
        gateways: { recorder: string; events: number }[]
      }
    }>('GET', '/status')
    return (
      found.cluster.kafka === 'ok' &&
      found.cluster.shipper.problem === null &&
      found.cluster.partitions.every(({ behind }) => behind < 5) &&
      ['proxy-proxy-1', 'proxy-proxy-2', 'proxy-proxy-3', 'query-query-1'].every((name) =>
        found.cluster.gateways?.some(({ recorder }) => recorder === name),
      ) &&
      found
    )
  })
  expect(status.cluster.partitions).toHaveLength(3)
  expect(status.cluster.shipper).toMatchObject({ problem: null, isHearing: true })
  const client = createClient({ url: warehouseUrl })
  try {
    const counted = await until(async () => {
      const result = await client.query({
        query:
          "SELECT recorder, toInt32(count()) AS rows, toInt32(uniqExact(sequence)) AS distinct, toInt32(max(sequence) + 1) AS events, toInt32(countIf(kind = 'recorder.stopped')) AS stops FROM custody.events WHERE recorder LIKE 'proxy-%' GROUP BY recorder ORDER BY recorder",
        format: 'JSONEachRow',
      })
      const all = await result.json<{
        rows: number
        distinct: number
        events: number
        stops: number
      }>()
      // Sessions are in several partitions, so that a later one may be there first.
      const isWhole = all.every(({ rows, events, stops }) => stops > 0 && rows >= events)
      return all.length === 3 && isWhole && all
    })
    for (const { rows, distinct, events } of counted)
      expect([rows, distinct]).toEqual([events, events])
    expect(counted).toHaveLength(3)
    // From one host's recording what somebody said to another's recording what it did about it: one clock, here.
    const took = await client.query({
      query: `SELECT dateDiff('microsecond', said.time, done.time) / 1000 AS ms
        FROM custody.events AS done INNER JOIN custody.events AS said ON done.parent = said.id
        WHERE done.kind IN ('approval.approved', 'approval.denied') AND said.kind = 'approval.answered'`,
      format: 'JSONEachRow',
    })
    tell(
      'from an answer in the log of query to its effect at the gateway',
      (await took.json<{ ms: number }>()).map(({ ms }) => Number(ms)),
    )
  } finally {
    await client.close()
  }
})
