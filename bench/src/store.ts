/**
 * Ingest and search at size: events through the real log, ingest and embedded warehouse; the engine's own reading of the
 * same Avro beside it; then an analyst's questions, asked as the query service asks them.
 */
import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type ClickHouseClient, createClient } from '@clickhouse/client'
import {
  committedPosition,
  openReader,
  openRecorder,
  type RecordedSession,
} from '@custody/event-log'
import { avroContainer, createIngest } from '@custody/ingest'
import { createLogger, freePort, prepareHome } from '@custody/kit'
import { newUuid, nowMicros } from '@custody/schemas'
import { seeded, temporaryDirectory } from '@custody/test-support'
import { migrate } from '@custody/warehouse'
import { IDENTITIES, pathOf, statement, whoOf } from './events'
import { directoryBytes, median, percentile, rounded, type Table } from './measure'

export interface StoreOptions {
  events: number
  /** Events of the file that both the engine and ingest read. */
  sample: number
  rounds: number
  /** Other keys and indexes for the same rows, asked the same questions. */
  keys: boolean
  /** Where the store is left for a later run, which then only asks. */
  keep?: string
  progress(line: string): void
}

const DAY_MICROS = 86_400_000_000
const DAYS = 30
const RECORDER = 'bench'
const BLOCK_EVENTS = 100

export async function benchStore(o: StoreOptions, table: Table): Promise<string[]> {
  const notes: string[] = []
  const directory = temporaryDirectory('custody-bench-store-')
  const home = prepareHome(o.keep ?? join(directory.path, 'home'))
  const filled = existsSync(join(home.directory, 'filled'))
  const port = await freePort()
  const password = 'bench'
  let warehouse: ChildProcess | null = null
  try {
    warehouse = fork(join(__dirname, 'subjects/warehouse.js'), [], {
      env: {
        ...process.env,
        BENCH_DIRECTORY: home.warehouse,
        BENCH_PORT: String(port),
        BENCH_PASSWORD: password,
        UV_THREADPOOL_SIZE: '24',
      },
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    })
    await once(warehouse, 'message')
    const url = `http://custody:${password}@127.0.0.1:${port}`
    const client = createClient({ url, request_timeout: 300_000 })
    await migrate(client)

    if (filled) {
      await ask(client, 'custody.events', 'as kept', o, table)
      if (o.keys) await compareKeys(client, o, table)
      await client.close()
      return notes
    }

    o.progress(`recording ${o.events} events`)
    const recorded = await record(home.log, o.events, o.progress)
    notes.push(
      `recording alone, in one process: ${Math.round(recorded.perSecond)} events/s, ${Math.round(recorded.bytesEach)} bytes each`,
    )

    if (!o.keep) await compare(o, client, home.log, table, directory.path)

    o.progress('ingesting')
    const started = performance.now()
    const ingest = createIngest({
      home,
      warehouseUrl: url,
      logger: createLogger({ name: 'ingest', level: 'error' }),
    })
    await ingest.start()
    for (let last = 0; ; ) {
      const position = await committedPosition(home.log, 'ingest', RECORDER)
      if ((position?.sequence ?? 0) >= recorded.count) break
      if (ingest.status().events - last > 1_000_000) {
        last = ingest.status().events
        o.progress(`${last} ingested`)
      }
      await new Promise((resolve) => setTimeout(resolve, 50))
    }
    const seconds = (performance.now() - started) / 1000
    await ingest.stop()
    table.add(`ingest of ${o.events} events`, 'custody', 'events/s', recorded.count / seconds)
    const [{ n }] = await rows<{ n: number }>(
      client,
      'SELECT toUInt32(count()) AS n FROM custody.events',
    )
    if (n !== recorded.count) throw new Error(`${recorded.count} events became ${n} rows`)
    notes.push(
      `${n} rows; ${(directoryBytes(home.warehouse) / n).toFixed(0)} bytes of warehouse and ${recorded.bytesEach.toFixed(0)} of log for each`,
    )

    if (o.keep) writeFileSync(join(home.directory, 'filled'), '')
    o.progress('asking')
    await ask(client, 'custody.events', `${o.events} events`, o, table)
    if (o.keys) await compareKeys(client, o, table)
    await client.close()
    return notes
  } finally {
    if (warehouse && warehouse.exitCode === null) {
      const gone = once(warehouse, 'exit')
      warehouse.kill('SIGTERM')
      await gone
    }
    await directory.remove()
  }
}

async function record(
  log: string,
  events: number,
  progress: (line: string) => void,
): Promise<{ count: number; perSecond: number; bytesEach: number }> {
  const recorder = await openRecorder({
    directory: log,
    recorder: RECORDER,
    reserveBytes: 0,
    segmentBytes: 256 * 1024 * 1024,
  })
  const random = seeded(1)
  const from = nowMicros() - DAYS * DAY_MICROS
  const step = (DAYS * DAY_MICROS) / events
  const digest = Buffer.alloc(32, 7)
  const output = Buffer.alloc(180, 'row of an answer ')
  let sessions: { session: RecordedSession; left: number }[] = []
  let count = 0
  let busyMs = 0
  while (count < events) {
    const started = performance.now()
    for (let i = 0; i < 2000 && count < events; i++) {
      const time = Math.floor(from + step * count)
      if (sessions.length < 40) {
        const n = Math.floor(random() ** 2 * IDENTITIES)
        const session = recorder.openSession(whoOf(n), pathOf(n, random), { id: newUuid(time) })
        sessions.push({ session, left: 20 + Math.floor(random() * 200) })
        count++
        continue
      }
      const chosen = sessions[Math.floor(random() * sessions.length)]!
      const { text, verb, table } = statement(random)
      const id = recorder.record(
        {
          id: newUuid(time),
          time,
          kind: 'command.started',
          statement: {
            language: 'sql',
            interface: 'query',
            text,
            textBytes: text.length,
            fingerprint: verb + table,
            verbs: [verb],
            objects: [{ kind: 'table', name: table, verb }],
            understood: true,
            index: 0,
            count: 1,
          },
        },
        chosen.session,
      )
      recorder.record(
        {
          id: newUuid(time),
          time: time + 900,
          kind: 'command.completed',
          command: id,
          response: {
            status: random() < 0.01 ? 'error' : 'ok',
            tag: 'SELECT 3',
            rows: 3,
            bytes: output.length,
            digest,
            durationMicros: 900,
            recordedBytes: output.length,
          },
          output: {
            stream: 'output',
            offset: 0,
            data: output,
            encoding: 'pgwire',
            omittedBytes: 0,
          },
        },
        chosen.session,
      )
      count += 2
      if (--chosen.left <= 0) {
        recorder.closeSession(chosen.session, 'closed', 'done', {})
        count++
        sessions = sessions.filter((one) => one !== chosen)
      }
    }
    await recorder.recorded()
    busyMs += performance.now() - started
    if (count % 1_000_000 < 4000) progress(`${count} recorded`)
  }
  await recorder.close()
  const reader = openReader({ directory: log, recorder: RECORDER })
  let total = 0
  for (let batch = await reader.read(16e6); batch; batch = await reader.read(16e6))
    total = batch.firstSequence + batch.count
  reader.close()
  return {
    count: total,
    perSecond: total / (busyMs / 1000),
    bytesEach: directoryBytes(log) / total,
  }
}

/** The engine reading one Avro file into the same table, and ingest's own way for the very same events, in turn. */
async function compare(
  o: StoreOptions,
  client: ClickHouseClient,
  log: string,
  table: Table,
  directory: string,
): Promise<void> {
  const messages: Buffer[][] = [[]]
  const reader = openReader({ directory: log, recorder: RECORDER })
  let events = 0
  let batchBytes = 0
  for (
    let batch = await reader.read(4e6);
    batch && events < o.sample;
    batch = await reader.read(4e6)
  ) {
    events += batch.count
    for (const message of batch.messages) batchBytes += message.length
    messages.at(-1)!.push(...batch.messages)
    if (messages.at(-1)!.length >= 50_000 || batchBytes > 32e6) {
      messages.push([])
      batchBytes = 0
    }
  }
  reader.close()
  const name = `inserting ${events} events`
  const file = join(directory, 'sample.avro')
  writeFileSync(file, avroFile(messages.flat()))
  const create = await rows<{ statement: string }>(client, 'SHOW CREATE TABLE custody.events')
  for (let round = 0; round < o.rounds; round++) {
    for (const subject of ['the engine’s own reading', 'ingest’s way']) {
      await client.command({ query: 'DROP TABLE IF EXISTS custody.compared' })
      await client.command({
        query: create[0]!.statement.replace('custody.events', 'custody.compared'),
      })
      const started = performance.now()
      if (subject.startsWith('the engine'))
        await client.command({
          query: `INSERT INTO custody.compared FROM INFILE '${file}' FORMAT Avro`,
        })
      else {
        const again = openReader({ directory: log, recorder: RECORDER })
        let done = 0
        const pending: Promise<unknown>[] = []
        let gathered: Buffer[] = []
        let gatheredBytes = 0
        const flush = async () => {
          const values = gathered
          gathered = []
          gatheredBytes = 0
          if (pending.length >= 2) await pending.shift()
          pending.push(send(client, values))
        }
        for (
          let batch = await again.read(4e6);
          batch && done < o.sample;
          batch = await again.read(4e6)
        ) {
          gathered.push(...batch.messages)
          for (const message of batch.messages) gatheredBytes += message.length
          done += batch.count
          if (gathered.length >= 50_000 || gatheredBytes > 32e6) await flush()
        }
        if (gathered.length > 0) await flush()
        await Promise.all(pending)
        again.close()
      }
      table.add(name, subject, 'events/s', events / ((performance.now() - started) / 1000))
      o.progress(
        `${subject}: ${Math.round(events / ((performance.now() - started) / 1000))} events/s`,
      )
    }
  }
  await client.command({ query: 'DROP TABLE custody.compared' })
}

/** One file of small blocks, as Avro's own writers make it: the header of the first container, the blocks of all. */
function avroFile(messages: readonly Buffer[]): Buffer {
  const pieces: Buffer[] = []
  for (let at = 0; at < messages.length; at += BLOCK_EVENTS) {
    const piece = avroContainer(messages.slice(at, at + BLOCK_EVENTS))
    // Header and block both end with the sync marker, the container's last 16 bytes.
    const sync = piece.subarray(-16)
    pieces.push(at === 0 ? piece : piece.subarray(piece.indexOf(sync) + 16))
  }
  return Buffer.concat(pieces)
}

async function send(client: ClickHouseClient, messages: Buffer[]): Promise<void> {
  const { Readable } = require('node:stream') as typeof import('node:stream')
  const { stream } = await client.exec({
    query: 'INSERT INTO custody.compared FORMAT Avro',
    values: Readable.from([avroContainer(messages)], { objectMode: false }),
  })
  stream.resume()
}

/** The table as it is beside others with one thing changed each. */
async function compareKeys(client: ClickHouseClient, o: StoreOptions, table: Table): Promise<void> {
  const [create] = await rows<{ statement: string }>(client, 'SHOW CREATE TABLE custody.events')
  const variants: [string, (statement: string) => string][] = [
    ['as shipped', (one) => one],
    ['no skip indexes', (one) => one.replace(/,\s*INDEX [^\n]*?(?=,\s*INDEX|\n\))/g, '')],
    ['by session', (one) => one.replace('ORDER BY (time, id)', 'ORDER BY (session, ordinal, id)')],
    [
      'by subject, time',
      (one) => one.replace('ORDER BY (time, id)', 'ORDER BY (who.subject, time, id)'),
    ],
  ]
  for (const [name, change] of variants) {
    const statement = change(create.statement)
    if (name !== 'as shipped' && statement === create.statement)
      throw new Error(`the table has nothing to change for: ${name}`)
    o.progress(`copying the events: ${name}`)
    await client.command({ query: 'DROP TABLE IF EXISTS custody.keyed' })
    await client.command({ query: statement.replace('custody.events', 'custody.keyed') })
    const started = performance.now()
    await client.command({
      query:
        'INSERT INTO custody.keyed SELECT * FROM custody.events SETTINGS max_insert_threads = 1, max_threads = 1',
    })
    table.add('copying the rows', name, 's', (performance.now() - started) / 1000)
    await client.command({ query: 'OPTIMIZE TABLE custody.keyed FINAL' })
    const [size] = await rows<{ mb: number; index: number }>(
      client,
      `SELECT toFloat64(sum(data_compressed_bytes)) / 1e6 AS mb, toFloat64(sum(secondary_indices_compressed_bytes)) / 1e6 AS index
       FROM system.parts WHERE active AND database = 'custody' AND table = 'keyed'`,
    )
    table.add('data', name, 'MB', size.mb)
    table.add('skip indexes', name, 'MB', size.index)
    await ask(client, 'custody.keyed', name, o, table, ' (keys)')
  }
  await client.command({ query: 'DROP TABLE custody.keyed' })
}

/** Questions as the query service asks them. */
async function ask(
  client: ClickHouseClient,
  from: string,
  subject: string,
  o: StoreOptions,
  table: Table,
  suffix = '',
): Promise<void> {
  const random = seeded(9)
  const some = await rows<{ of: string; event: string }>(
    client,
    "SELECT hex(session) AS of, hex(id) AS event FROM custody.events WHERE kind = 'session.opened' ORDER BY cityHash64(session) LIMIT 40",
  )
  const columns =
    'SELECT time, hex(id) AS id, kind, who.subject, path.resource, statement.text, response.status FROM'
  const page = `${columns} ${from} WHERE`
  const questions: [string, () => { query: string; parameters: Record<string, unknown> }][] = [
    [
      'one session’s timeline',
      () => ({
        query: `${page} session = toFixedString(unhex({session:String}), 16) ORDER BY ordinal LIMIT 1000`,
        parameters: { session: some[Math.floor(random() * some.length)]!.of },
      }),
    ],
    [
      'one identity’s day',
      () => {
        const day = Math.floor(random() * (DAYS - 2))
        return {
          query: `${page} who.subject = {who:String} AND time >= now64(6) - INTERVAL ${day + 1} DAY AND time < now64(6) - INTERVAL ${day} DAY ORDER BY time DESC, id DESC LIMIT 101`,
          parameters: { who: `person${Math.floor(random() * IDENTITIES)}` },
        }
      },
    ],
    [
      'one table’s accesses',
      () => ({
        query: `${page} has(arrayMap(one -> lowerUTF8(splitByChar('.', one)[-1]), statement.objects.name), {object:String}) ORDER BY time DESC, id DESC LIMIT 101`,
        parameters: {
          object: ['salaries', 'cards', 'reviews', 'coupons'][Math.floor(random() * 4)]!,
        },
      }),
    ],
    [
      'a rare word in all statements',
      () => ({
        query: `${page} lowerUTF8(statement.text) LIKE {text:String} ORDER BY time DESC, id DESC LIMIT 101`,
        parameters: { text: '%incident-4711%' },
      }),
    ],
    [
      'a common word in all statements',
      () => ({
        query: `${page} lowerUTF8(statement.text) LIKE {text:String} ORDER BY time DESC, id DESC LIMIT 101`,
        parameters: { text: '%chargeback%' },
      }),
    ],
    [
      'sessions, newest first',
      () => ({
        query: `${page} kind = 'session.opened' ORDER BY time DESC, id DESC LIMIT 101`,
        parameters: {},
      }),
    ],
    [
      'one event by its identifier',
      () => ({
        query: `${page} id = toFixedString(unhex({event:String}), 16) LIMIT 1`,
        parameters: { event: some[Math.floor(random() * some.length)]!.event },
      }),
    ],
  ]
  for (const [name, question] of questions) {
    const ms: number[] = []
    for (let i = 0; i < 15; i++) {
      const { query, parameters } = question()
      const started = performance.now()
      await rows(client, query, parameters)
      ms.push(performance.now() - started)
    }
    for (const value of ms) table.add(`${name}${suffix}`, subject, 'ms', value)
    o.progress(`${name}: median ${rounded(median(ms))} ms, p95 ${rounded(percentile(ms, 0.95))} ms`)
  }
}

async function rows<T>(
  client: ClickHouseClient,
  query: string,
  query_params: Record<string, unknown> = {},
): Promise<[T, ...T[]]> {
  const result = await client.query({
    query,
    query_params,
    format: 'JSONEachRow',
    // As the query service has it: ORDER BY id means the column, whatever the answer calls its text.
    clickhouse_settings: { prefer_column_name_to_alias: 1 },
  })
  return (await result.json<T>()) as [T, ...T[]]
}
