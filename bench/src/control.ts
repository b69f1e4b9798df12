/**
 * From a person's answer to the gateway that acts on it: on one machine, where the gateway reads the query service's log every
 * 20 ms, and over Kafka, where another host may have asked. In turn, in one run, the same held command and the same question
 * asked of the API; and how long a session lives once somebody has ended it.
 */
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { homeAt, readAdminToken, readStatus } from '@custody/kit'
import {
  type PostgresServer,
  standaloneUnderTest,
  startKafka,
  startPostgres,
  temporaryDirectory,
} from '@custody/test-support'
import { Client } from 'pg'
import { ADMINISTRATOR, ClusterUnderBench } from './cluster'
import { median, percentile, type Table } from './measure'

export interface ControlOptions {
  /** Answers, and sessions ended, of each. */
  answers: number
  kills: number
  progress(line: string): void
}

const POLICY = `@id("all") permit (principal, action, resource);
@id("delete") forbid (principal, action == Action::"sql:delete", resource) unless { context.approved };`
/** The request is where the API looks for it by then, and nothing but the answer is under way. */
const BEFORE_ANSWER_MS = 500

type Api = <T>(path: string, body?: unknown, token?: string) => Promise<T>

interface Custody {
  name: string
  api: Api
  bo: string
  port: number
  client: Client
}

export async function benchControl(o: ControlOptions, table: Table): Promise<string[]> {
  const server = await startPostgres({ sql: 'create table t(a int)' })
  const stops: (() => Promise<unknown>)[] = [() => server.stop()]
  try {
    const all: Custody[] = []
    for (const start of [onOneMachine, overKafka]) all.push(await start(server, stops))
    const acted = new Map<string, number[]>(all.map(({ name }) => [name, []]))
    const told = new Map<string, number[]>(all.map(({ name }) => [name, []]))
    const ended = new Map<string, number[]>(all.map(({ name }) => [name, []]))
    for (let i = 0; i < o.answers; i++) {
      for (const custody of all) {
        const one = await answer(custody)
        acted.get(custody.name)!.push(one.actedMs)
        told.get(custody.name)!.push(one.toldMs)
      }
      if ((i + 1) % 20 === 0) o.progress(`${i + 1} of ${o.answers} answers`)
    }
    for (let i = 0; i < o.kills; i++)
      for (const custody of all) ended.get(custody.name)!.push(await kill(custody, i))
    for (const { name, client } of all) {
      for (const [what, took] of [
        ['the answer is recorded until the gateway goes on', acted],
        ['the answer is given until the client has its result', told],
        ['a session is ended until its client knows', ended],
      ] as const) {
        const ms = took.get(name)!
        table.add(what, name, 'ms', median(ms))
        table.add(`${what}: 99th of a hundred`, name, 'ms', percentile(ms, 0.99))
      }
      await client.end()
    }
    return [
      `${o.answers} held commands and ${o.kills} ended sessions of each, one at a time, in turn; Kafka is one broker`,
    ]
  } finally {
    for (const stop of stops.reverse()) await stop()
  }
}

async function onOneMachine(
  server: PostgresServer,
  stops: (() => Promise<unknown>)[],
): Promise<Custody> {
  const custody = standaloneUnderTest('custody-bench-control-', (directory) => ({
    CUSTODY_CONFIG: join(directory, 'custody.yaml'),
  }))
  writeFileSync(join(custody.directory, 'own.cedar'), POLICY)
  writeFileSync(
    join(custody.directory, 'custody.yaml'),
    `policy: {files: [own.cedar]}\nresources:\n  shop: ${server.resource({ database: server.database })}\n`,
  )
  stops.push(() => custody.stop())
  await custody.start()
  const home = homeAt(custody.environment.CUSTODY_HOME!)
  const { ports } = readStatus(home)!
  return connected('one machine', ports.console, ports.postgres!, readAdminToken(home)!)
}

async function overKafka(
  server: PostgresServer,
  stops: (() => Promise<unknown>)[],
): Promise<Custody> {
  const directory = temporaryDirectory('bench-control')
  stops.push(() => directory.remove())
  const kafka = await startKafka()
  stops.push(() => kafka.stop())
  writeFileSync(join(directory.path, 'own.cedar'), POLICY)
  const cluster = new ClusterUnderBench({
    directory: directory.path,
    kafka,
    configuration: `policy: {files: [own.cedar]}\nlog: {reserveBytes: 65536}\nresources:\n  shop: ${server.resource({ database: server.database })}\n`,
  })
  stops.push(() => cluster.stop())
  await cluster.startEngine()
  await cluster.start('ingest', 'ingest-1')
  const query = await cluster.start('query', 'query-1')
  const gateway = await cluster.start('proxy', 'gateway-1')
  return connected('over Kafka', query.ports.console!, gateway.ports.postgres!, ADMINISTRATOR)
}

async function connected(
  name: string,
  console: number,
  port: number,
  administrator: string,
): Promise<Custody> {
  const api: Api = async (path, body, token = administrator) => {
    const response = await fetch(`http://127.0.0.1:${console}/api/v1${path}`, {
      method: body === undefined ? 'GET' : 'POST',
      headers: {
        authorization: `Bearer ${token}`,
        ...(body !== undefined && { 'content-type': 'application/json' }),
      },
      ...(body !== undefined && { body: JSON.stringify(body) }),
    })
    if (!response.ok) throw new Error(`${name}: ${path}: ${await response.text()}`)
    return (await response.json()) as never
  }
  const tokenOf = async (subject: string) =>
    (await api<{ token: string }>('/tokens', { subject })).token
  const [ada, bo] = [await tokenOf('ada'), await tokenOf('bo')]
  return { name, api, bo, port, client: await signIn(port, 'ada', ada) }
}

async function signIn(port: number, user: string, password: string): Promise<Client> {
  const client = new Client({
    host: '127.0.0.1',
    port,
    user,
    password,
    database: 'shop',
    ssl: { rejectUnauthorized: false },
  })
  // Told by who asks next; without a listener it would end this process.
  client.on('error', () => {})
  await client.connect()
  return client
}

/** A command is held, somebody says yes. By the events' own times: one machine, one clock. */
async function answer({ api, bo, client }: Custody): Promise<{ actedMs: number; toldMs: number }> {
  const notice = once(client, 'notice')
  const running = client.query('delete from t')
  const [{ hint }] = (await notice) as [{ hint: string }]
  const id = /Request ([0-9a-f-]+)/.exec(hint)![1]!
  await known(api, id)
  await sleep(BEFORE_ANSWER_MS)
  const started = performance.now()
  await api(`/approvals/${id}/approve`, {}, bo)
  await running
  const toldMs = performance.now() - started
  for (;;) {
    const { approval } = await api<{
      approval: { ended: string | null; answers: { time: string }[] }
    }>(`/approvals/${id}?wait=2000`)
    const [given] = approval.answers
    if (given && approval.ended)
      return { actedMs: millis(approval.ended) - millis(given.time), toldMs }
    await sleep(20)
  }
}

async function known(api: Api, id: string): Promise<void> {
  for (;;) {
    try {
      await api(`/approvals/${id}?wait=2000`)
      return
    } catch (error) {
      if (!/no request/.test((error as Error).message)) throw error
      await sleep(20)
    }
  }
}

async function kill({ api, port }: Custody, n: number): Promise<number> {
  const subject = `zoe-${n}`
  const { token } = await api<{ token: string }>('/tokens', { subject })
  const client = await signIn(port, subject, token)
  const ended = new Promise<void>((resolve) => client.once('end', resolve))
  await client.query('select 1')
  const session = await opened(api, subject)
  await sleep(BEFORE_ANSWER_MS)
  const started = performance.now()
  await api(`/sessions/${session}/kill`, { reason: 'a measurement' })
  await ended
  return performance.now() - started
}

async function opened(api: Api, identity: string): Promise<string> {
  for (;;) {
    const { sessions } = await api<{ sessions: { id: string; state: string }[] }>(
      `/sessions?identity=${identity}&wait=2000`,
    )
    const open = sessions.find(({ state }) => state === 'open')
    if (open) return open.id
    await sleep(20)
  }
}

/** Milliseconds, with what stands behind them. */
function millis(iso: string): number {
  return Date.parse(`${iso.slice(0, 23)}Z`) + Number(iso.slice(23, 26)) / 1000
}
