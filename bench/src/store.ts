/**
 * Ingest and search at size: events through the real log, ingest and embedded warehouse; the engine's own reading of the
 * same Avro beside it; then an analyst's questions, asked as the query service asks them.
 */
import { existsSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type ClickHouseClient, ClickHouseLogLevel, createClient } from '@clickhouse/client'
import { committedPosition, openReader, openRecorder } from '@custody/event-log'
import { createIngest } from '@custody/ingest'
import { createLogger, prepareHome } from '@custody/kit'
import { nowMicros } from '@custody/schemas'
import { temporaryDirectory } from '@custody/test-support'
import { migrate } from '@custody/warehouse'
import { avroFile, containerOf, INSERTED } from './avro'
import { directoryBytes, median, percentile, rounded, type Table } from './measure'
import { type Engine, startEngine } from './processes'
import { askQuestions, rows } from './questions'
import { DAY_MICROS, Traffic } from './traffic'

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

const DAYS = 30
const RECORDER = 'bench'

export async function benchStore(o: StoreOptions, table: Table): Promise<string[]> {
  const notes: string[] = []
  const directory = temporaryDirectory('custody-bench-store-')
  const home = prepareHome(o.keep ?? join(directory.path, 'home'))
  const filled = existsSync(join(home.directory, 'filled'))
  let engine: Engine | null = null
  try {
    // The engine reads its file in one query, of which the stand-alone's bound would be the measure.
    engine = await startEngine(home.warehouse, 12 * 1024 ** 3)
    const { url } = engine
    const client = createClient({
      url,
      request_timeout: 300_000,
      log: { level: ClickHouseLogLevel.OFF },
    })
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
    await engine?.stop()
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
  const traffic = new Traffic(recorder, {
    fromMicros: nowMicros() - DAYS * DAY_MICROS,
    stepMicros: (DAYS * DAY_MICROS) / events,
  })
  let busyMs = 0
  for (let told = 0; traffic.next < events; ) {
    const started = performance.now()
    traffic.some(Math.min(4000, events - traffic.next))
    await recorder.recorded()
    busyMs += performance.now() - started
    if (traffic.next - told > 1_000_000) {
      told = traffic.next
      progress(`${told} recorded`)
    }
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
          query: `INSERT INTO custody.compared (${INSERTED}) FROM INFILE '${file}' FORMAT Avro`,
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

async function send(client: ClickHouseClient, messages: Buffer[]): Promise<void> {
  const { Readable } = require('node:stream') as typeof import('node:stream')
  const { stream } = await client.exec({
    query: `INSERT INTO custody.compared (${INSERTED}) FORMAT Avro`,
    values: Readable.from([containerOf(messages)], { objectMode: false }),
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

/** The same questions of each table, with values that are in the events. */
async function ask(
  client: ClickHouseClient,
  from: string,
  subject: string,
  o: StoreOptions,
  table: Table,
  suffix = '',
): Promise<void> {
  const took = await askQuestions(client, {
    from,
    valuesFrom: 'custody.events',
  })
  for (const [name, ms] of took) {
    for (const value of ms) table.add(`${name}${suffix}`, subject, 'ms', value)
    o.progress(`${name}: median ${rounded(median(ms))} ms, p95 ${rounded(percentile(ms, 0.95))} ms`)
  }
}
