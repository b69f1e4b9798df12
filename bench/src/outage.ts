/**
 * What clients notice while Kafka is away, and how long it takes until all that was said meanwhile is where it belongs:
 * pgbench at a steady rate and a psql a second through one gateway, before, during and after; a resource that asks for
 * replication beside it, which must refuse. Lag, disk and recovery are read from the gateway and the store.
 * Refuses to end with an event lost or twice.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { ClickHouseLogLevel, createClient } from '@clickhouse/client'
import {
  clientProgram,
  type KafkaServer,
  type PostgresServer,
  runProgram,
  startKafka,
  startPostgres,
  temporaryDirectory,
} from '@custody/test-support'
import { ClusterUnderBench, type Service } from './cluster'
import { directoryBytes, median, percentile, rounded, type Table } from './measure'
import { rows } from './questions'
import { DATABASE } from './subjects'

export interface OutageOptions {
  /** Seconds before, during and (at least) after. */
  beforeSeconds: number
  outageSeconds: number
  afterSeconds: number
  /** Transactions a second. */
  rate: number
  /** `stop`: it is paused and connections stay open; `kill`: it is killed and started again. */
  how: 'stop' | 'kill'
  progress(line: string): void
}

const CLIENTS = 8
const SCALE = 10
const PHASES = ['before', 'during', 'after'] as const
type Phase = (typeof PHASES)[number]
const SAMPLE_MS = 1000
/** What is left behind counts as caught up: the load goes on, and something is always under way. */
const CAUGHT_UP_SECONDS = 2
const CATCH_UP_MS_MAX = 30 * 60_000

interface Tried {
  atMs: number
  ms: number
  error: string | null
}

export async function benchOutage(o: OutageOptions, table: Table): Promise<string[]> {
  const directory = temporaryDirectory('bench-outage')
  let kafka: KafkaServer | null = null
  let server: PostgresServer | null = null
  let cluster: ClusterUnderBench | null = null
  let load: ChildProcess | null = null
  try {
    o.progress('starting PostgreSQL, Kafka and the services')
    server = await startPostgres({
      settings: { max_connections: '200', shared_buffers: '128MB' },
      sql: `create database ${DATABASE}`,
    })
    const prepared = await runProgram(
      clientProgram('pgbench'),
      ['-i', '-q', '-s', String(SCALE), server.url({ database: DATABASE })],
      { timeoutMs: 300_000 },
    )
    if (prepared.code !== 0) throw new Error(prepared.stderr)
    kafka = await startKafka()
    const resource = (durability: string) => server!.resource({ database: DATABASE, durability })
    cluster = new ClusterUnderBench({
      directory: directory.path,
      kafka,
      kafkaSettings: 'replicatedMsMax: 3000',
      configuration: `log: {reserveBytes: 65536}
resources:
  shop: ${resource('auto')}
  vault: ${resource('replicated')}
`,
    })
    const engine = await cluster.startEngine()
    await cluster.start('ingest', 'ingest-1')
    const gateway = await cluster.start('proxy', 'gateway-1')
    const client = createClient({ url: engine.url, log: { level: ClickHouseLogLevel.OFF } })
    const environment = {
      ...process.env,
      PGHOST: '127.0.0.1',
      PGPORT: String(gateway.ports.postgres),
      PGUSER: 'bench',
      PGPASSWORD: await cluster.tokenOf('bench'),
      PGSSLMODE: 'require',
      PGGSSENCMODE: 'disable',
      PGCONNECT_TIMEOUT: '60',
    }

    const seconds = o.beforeSeconds + o.outageSeconds + o.afterSeconds
    const script = join(directory.path, 'mix.sql')
    writeFileSync(script, MIX)
    load = spawn(
      clientProgram('pgbench'),
      [
        ...['-n', '-f', script, '-s', String(SCALE), '-c', String(CLIENTS), '-j', '1'],
        ...['-R', String(o.rate), '-T', String(seconds), '--log'],
        `--log-prefix=${join(directory.path, 'transactions')}`,
      ],
      { env: { ...environment, PGDATABASE: 'shop' }, stdio: ['ignore', 'pipe', 'pipe'] },
    )
    let said = ''
    for (const stream of [load.stdout!, load.stderr!])
      stream.on('data', (data) => {
        said += data
      })
    const loaded = once(load, 'close') as Promise<[number | null]>
    const beganMs = Date.now()
    const awayMs = beganMs + o.beforeSeconds * 1000
    const backMs = awayMs + o.outageSeconds * 1000
    const endMs = backMs + o.afterSeconds * 1000

    let stopping = false
    /** One new connection a second, as a person who looks something up. */
    const visit = async (database: string, statement: string): Promise<Tried[]> => {
      const tried: Tried[] = []
      while (!stopping && Date.now() < endMs) {
        const atMs = Date.now()
        const child = spawn(
          clientProgram('psql'),
          ['-XAtq', '-v', 'ON_ERROR_STOP=1', '-c', statement],
          { env: { ...environment, PGDATABASE: database }, stdio: ['ignore', 'ignore', 'pipe'] },
        )
        let error = ''
        child.stderr.on('data', (data) => {
          error += data
        })
        const [code] = await once(child, 'close')
        tried.push({ atMs, ms: Date.now() - atMs, error: code === 0 ? null : error.trim() })
        await sleep(Math.max(0, atMs + 1000 - Date.now()))
      }
      return tried
    }
    const visits = visit('shop', 'select count(*) from pgbench_branches')
    const replicated = visit('vault', 'insert into pgbench_history values (1, 1, 1, 0, now())')

    const lag: Lag = { events: 0, bytes: 0, seconds: 0, storeEvents: 0, logBytes: 0 }
    let [shippedMs, storedMs] = [0, 0]
    let state = 0
    let failedLooks = 0
    for (let told = 0; ; ) {
      const now = Date.now()
      if (state === 0 && now >= awayMs) {
        state = 1
        o.progress(`Kafka is away (${o.how})`)
        if (o.how === 'stop') kafka.pause()
        else await kafka.kill()
      }
      if (state === 1 && now >= backMs) {
        state = 2
        o.progress('Kafka is back')
        if (o.how === 'stop') kafka.resume()
        else await kafka.restart()
      }
      let seen: Seen
      try {
        seen = await look(gateway, client)
      } catch (error) {
        // A quarter of an hour is not thrown away for one look; how many failed is told.
        failedLooks++
        o.progress(`a look failed: ${(error as Error).message}`)
        await sleep(SAMPLE_MS)
        continue
      }
      if (state > 0) {
        lag.events = Math.max(lag.events, seen.behindEvents)
        lag.bytes = Math.max(lag.bytes, seen.behindBytes)
        lag.seconds = Math.max(lag.seconds, seen.behindSeconds)
        lag.storeEvents = Math.max(lag.storeEvents, seen.events - seen.stored)
        lag.logBytes = Math.max(lag.logBytes, seen.logBytes)
      }
      if (state === 2) {
        if (!shippedMs && seen.behindSeconds < CAUGHT_UP_SECONDS) shippedMs = Date.now()
        const rate = 4 * o.rate * CAUGHT_UP_SECONDS
        if (shippedMs && !storedMs && seen.events - seen.stored < rate) storedMs = Date.now()
        if (storedMs && Date.now() > endMs) break
        if (Date.now() > backMs + CATCH_UP_MS_MAX) throw new Error('it does not catch up')
      }
      if (now - told > 15_000) {
        told = now
        o.progress(
          `${Math.round((now - awayMs) / 1000)} s: ${seen.behindEvents} events (${rounded(seen.behindBytes / 2 ** 20)} MiB) not in Kafka, ${seen.events - seen.stored} not in the store`,
        )
      }
      await sleep(SAMPLE_MS)
    }
    stopping = true
    const [code] = await loaded
    load = null
    const [visited, refused] = [await visits, await replicated]
    await gateway.stop()
    await exactlyOnce(client, gateway)
    await client.close()

    const phaseOf = (ms: number): Phase =>
      ms < awayMs ? 'before' : ms < backMs ? 'during' : 'after'
    const transactions = readTransactions(directory.path)
    for (const phase of PHASES) {
      const own = transactions.filter(({ atMs }) => phaseOf(atMs) === phase)
      const ms = own.map((one) => one.ms)
      const lasted = { before: awayMs - beganMs, during: backMs - awayMs, after: endMs - backMs }
      table.add('pgbench', phase, 'tx/s', own.length / (lasted[phase] / 1000))
      table.add('pgbench: median', phase, 'ms', median(ms))
      table.add('… 99th of a hundred', phase, 'ms', percentile(ms, 0.99))
      table.add('… 999th of a thousand', phase, 'ms', percentile(ms, 0.999))
      table.add(
        '… the slowest',
        phase,
        'ms',
        ms.reduce((a, b) => Math.max(a, b), 0),
      )
      for (const [name, tried] of [
        ['psql', visited],
        ['psql, replicated', refused],
      ] as const) {
        const mine = tried.filter(({ atMs }) => phaseOf(atMs) === phase)
        const took = mine.map((one) => one.ms)
        table.add(`${name}: tries`, phase, '', mine.length)
        table.add(`${name}: refused`, phase, '', mine.filter(({ error }) => error).length)
        table.add(`${name}: median`, phase, 'ms', median(took))
        table.add(
          `${name}: the slowest`,
          phase,
          'ms',
          took.reduce((a, b) => Math.max(a, b), 0),
        )
      }
    }
    const subject = `${o.outageSeconds} s without Kafka`
    table.add('not in Kafka at most', subject, 'events', lag.events)
    table.add('not in Kafka at most: bytes', subject, 'MiB', lag.bytes / 2 ** 20)
    table.add('the oldest of them', subject, 's', lag.seconds)
    table.add('not in the store at most', subject, 'events', lag.storeEvents)
    table.add('log on the gateway’s disk at most', subject, 'MiB', lag.logBytes / 2 ** 20)
    table.add('back until all is in Kafka', subject, 's', (shippedMs - backMs) / 1000)
    table.add('back until all is in the store', subject, 's', (storedMs - backMs) / 1000)
    const errors = [...new Set(refused.flatMap(({ error }) => error ?? []))].map((text) =>
      text.replace(/\s+/g, ' ').slice(0, 200),
    )
    return [
      `pgbench: ${CLIENTS} clients, ${o.rate} transactions a second of ${MIX_SAYS}, over TLS; exit code ${code}${code === 0 ? ', no client lost' : `: ${said.trim().slice(-300)}`}`,
      `Kafka: one broker, ${o.how === 'stop' ? 'paused (SIGSTOP)' : 'killed (SIGKILL) and started again'} for ${o.outageSeconds} s; every event of the gateway is in the store once`,
      ...(failedLooks > 0 ? [`${failedLooks} looks at the gateway or the store failed`] : []),
      ...errors.slice(0, 3).map((text) => `replicated, refused: ${text}`),
    ]
  } finally {
    load?.kill('SIGKILL')
    await cluster?.stop()
    await kafka?.stop()
    await server?.stop()
    await directory.remove()
  }
}

const MIX_SAYS = 'four statements, an update and a select among them'
const MIX = `\\set aid random(1, 100000 * :scale)
\\set delta random(-5000, 5000)
BEGIN;
UPDATE pgbench_accounts SET abalance = abalance + :delta WHERE aid = :aid;
SELECT abalance FROM pgbench_accounts WHERE aid = :aid;
END;
`

interface Lag {
  events: number
  bytes: number
  seconds: number
  storeEvents: number
  logBytes: number
}

interface Seen {
  /** Recorded by the gateway. */
  events: number
  behindEvents: number
  behindBytes: number
  behindSeconds: number
  stored: number
  logBytes: number
}

async function look(gateway: Service, client: ReturnType<typeof createClient>): Promise<Seen> {
  const response = await fetch(`http://127.0.0.1:${gateway.ports.health}/metrics`)
  const text = await response.text()
  const value = (name: string) => {
    const found = new RegExp(`^${name}(?:\\{[^}]*\\})? (\\S+)$`, 'm').exec(text)?.[1]
    if (found === undefined) throw new Error(`the gateway tells no ${name}`)
    return Number(found)
  }
  return {
    events: value('custody_log_events_total'),
    behindEvents: value('custody_kafka_behind_events'),
    behindBytes: value('custody_kafka_behind_bytes'),
    behindSeconds: value('custody_kafka_behind_seconds'),
    stored: await stored(client),
    logBytes: directoryBytes(gateway.home.log),
  }
}

async function stored(client: ReturnType<typeof createClient>): Promise<number> {
  const [{ n }] = await rows<{ n: number }>(
    client,
    "SELECT toUInt32(count()) AS n FROM custody.events WHERE recorder = 'proxy-gateway-1'",
  )
  return n
}

/** All that the gateway has recorded is in the store, each once. */
async function exactlyOnce(
  client: ReturnType<typeof createClient>,
  gateway: Service,
): Promise<void> {
  const until = Date.now() + CATCH_UP_MS_MAX
  for (;;) {
    const [{ n, distinct, next, last }] = await rows<{
      n: number
      distinct: number
      next: number
      last: string
    }>(
      client,
      "SELECT toUInt32(count()) AS n, toUInt32(uniqExact(sequence)) AS distinct, toUInt32(max(sequence) + 1) AS next, argMax(kind, sequence) AS last FROM custody.events WHERE recorder = 'proxy-gateway-1'",
    )
    if (n !== distinct) throw new Error(`${n - distinct} events of ${gateway.name} are twice`)
    if (last === 'recorder.stopped' && n === next) return
    if (Date.now() > until)
      throw new Error(`of ${gateway.name} ${next} events are ${n}, and the last is a ${last}`)
    await sleep(500)
  }
}

/**
 * pgbench's log: client, transaction, µs since it should have begun, script, when it ended, and how late it began. From
 * when it began, as that is what a client waits for; whether the machine kept up with the rate, the rate reached says.
 */
function readTransactions(directory: string): { atMs: number; ms: number }[] {
  return readdirSync(directory)
    .filter((name) => name.startsWith('transactions.'))
    .flatMap((name) => readFileSync(join(directory, name), 'utf8').trim().split('\n'))
    .map((line) => {
      const [, , micros, , seconds, rest, late] = line.split(' ').map(Number)
      const ms = (micros! - late!) / 1000
      return { atMs: seconds! * 1000 + rest! / 1000 - ms, ms }
    })
}
