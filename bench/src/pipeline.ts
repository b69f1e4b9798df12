/**
 * From the log to rows that can be asked for: how many events a second, and at what CPU. The same events each time, by
 * the engine itself from a file, by Custody, and by what else there is to bring Kafka into ClickHouse. In turn, in one
 * run, each into an empty table with the same columns, keys and indexes.
 * Refuses to count a subject that has not brought every event.
 */
import { cpSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { type ClickHouseClient, ClickHouseLogLevel, createClient } from '@clickhouse/client'
import { openReader, openRecorder } from '@custody/event-log'
import { type Home, prepareHome } from '@custody/kit'
import { eventSchema, HEADER_BYTES, nowMicros } from '@custody/schemas'
import { type KafkaServer, startKafka, temporaryDirectory } from '@custody/test-support'
import { migrate } from '@custody/warehouse'
import { Admin, Producer } from '@platformatic/kafka'
import { avroFile, EVENT_COLUMNS, INSERTED } from './avro'
import { cpuSeconds, rounded, type Table } from './measure'
import { type Engine, type Started, startEngine, started, startIngest } from './processes'
import { rows } from './questions'
import { Traffic } from './traffic'

export interface PipelineOptions {
  events: number
  rounds: number
  /** Only these. */
  subjects?: string[]
  progress(line: string): void
}

const RECORDER = 'bench'
const PARTITIONS = 4
const STEP_MICROS = 250_000
const POLL_MS = 200
/** After this a subject has what it has. */
const SUBJECT_SECONDS_MAX = 600
const SEND_BYTES = 512 * 1024

const PLAIN = 'a plain consumer'
const EMBEDDED = 'custody, embedded'
const OVER_KAFKA = 'custody, from Kafka'
const ALL_THE_WAY = 'custody, log to Kafka to store'
const ENGINE = 'engine, from a file'
const ENGINE_TWO = 'engine, two files at once'
const KAFKA_ENGINE = 'ClickHouse’s Kafka engine'

interface Bench {
  o: PipelineOptions
  directory: string
  home: Home
  engine: Engine
  client: ClickHouseClient
  kafka: KafkaServer
  brokerPids: number[]
  /** Events in the log, and so in each topic and file. */
  events: number
  files: string[]
}

/** What one subject did: from when it began until the rows were there, or its time was over. */
interface Run {
  table: string
  /** Processes whose CPU is its own, beside engine and broker. */
  pids: number[]
  /** Less than all, where a subject is given less. */
  events?: number
  stop(): Promise<void>
}

type Subject = (b: Bench, round: number) => Promise<Run>

export async function benchPipeline(o: PipelineOptions, table: Table): Promise<string[]> {
  const directory = temporaryDirectory('bench-pipeline')
  const home = prepareHome(join(directory.path, 'home'))
  const stops: (() => Promise<unknown>)[] = [() => directory.remove()]
  try {
    o.progress(`recording ${o.events} events`)
    const events = await record(home, o.events)
    const engine = await startEngine(home.warehouse, 12 * 1024 ** 3)
    stops.unshift(() => engine.stop())
    const client = createClient({
      url: engine.url,
      request_timeout: 300_000,
      log: { level: ClickHouseLogLevel.OFF },
    })
    stops.unshift(() => client.close())
    await migrate(client)
    await createTables(client)
    const kafka = await startKafka({ heapMb: 1024 })
    stops.unshift(() => kafka.stop())
    const b: Bench = {
      o,
      directory: directory.path,
      home,
      engine,
      client,
      kafka,
      brokerPids: brokers(),
      events,
      files: [],
    }
    o.progress('writing files and filling topics')
    await fill(b)
    const registry = await startRegistry()
    stops.unshift(() => new Promise((resolve) => registry.close(resolve)))

    const subjects: [string, Subject][] = [
      [PLAIN, plainConsumer],
      [OVER_KAFKA, (bench, round) => overKafka(bench, `from-${round}`, table)],
      [ALL_THE_WAY, (bench, round) => allTheWay(bench, `way-${round}`)],
      [EMBEDDED, embedded],
      [ENGINE, (bench) => fromFiles(bench, 1)],
      [ENGINE_TWO, (bench) => fromFiles(bench, 2)],
      [KAFKA_ENGINE, (bench) => kafkaEngine(bench, registry)],
    ]
    for (let round = 0; round < o.rounds; round++)
      for (const [name, begin] of subjects)
        if (!o.subjects || o.subjects.includes(name))
          await measure(b, name, () => begin(b, round), table)
    return [
      `${events} events in every round; rows may be asked for as soon as they are counted`,
      `${PARTITIONS} partitions, one broker; ${KAFKA_ENGINE} with 2 consumers, and events framed for a schema registry`,
    ]
  } finally {
    for (const stop of stops) await stop()
  }
}

async function measure(
  b: Bench,
  name: string,
  begin: () => Promise<Run>,
  table: Table,
): Promise<void> {
  await b.client.command({ query: 'TRUNCATE TABLE custody.events' })
  await b.client.command({ query: 'TRUNCATE TABLE custody.plain' })
  await settled(b.client)
  const engineBefore = cpuSeconds([b.engine.pid])
  const brokerBefore = cpuSeconds(b.brokerPids)
  const run = await begin()
  const wanted = run.events ?? b.events
  const ownBefore = cpuSeconds(run.pids)
  const began = performance.now()
  let count = 0
  let seconds = 0
  while (count < wanted && seconds < SUBJECT_SECONDS_MAX) {
    await new Promise((resolve) => setTimeout(resolve, POLL_MS))
    const [{ n }] = await rows<{ n: number }>(
      b.client,
      `SELECT toUInt32(count()) AS n FROM ${run.table}`,
    )
    count = n
    seconds = (performance.now() - began) / 1000
  }
  const engine = cpuSeconds([b.engine.pid]) - engineBefore
  const own = cpuSeconds(run.pids) - ownBefore
  const broker = cpuSeconds(b.brokerPids) - brokerBefore
  await run.stop()
  if (count !== wanted && seconds < SUBJECT_SECONDS_MAX)
    throw new Error(`${name}: ${wanted} events became ${count} rows`)
  const micros = (value: number) => (value / count) * 1e6
  table.add('queryable', name, 'events/s', count / seconds)
  table.add('CPU of all', name, 'µs/event', micros(engine + own + broker))
  table.add('… of the engine', name, 'µs/event', micros(engine))
  table.add('… of what feeds it', name, 'µs/event', micros(own))
  table.add('… of the broker', name, 'µs/event', micros(broker))
  b.o.progress(
    `${name}: ${count} events, ${rounded(count / seconds)} events/s, CPU µs/event ${rounded(micros(engine + own + broker))}: engine ${rounded(micros(engine))}, own ${rounded(micros(own))}`,
  )
}

async function settled(client: ClickHouseClient): Promise<void> {
  for (;;) {
    const [{ n }] = await rows<{ n: number }>(
      client,
      'SELECT toUInt32(count()) AS n FROM system.merges',
    )
    if (n === 0) return
    await new Promise((resolve) => setTimeout(resolve, POLL_MS))
  }
}

async function plainConsumer(b: Bench, round: number): Promise<Run> {
  const [consumer] = await started(join(__dirname, 'subjects/plain-consumer.js'), {
    BENCH_URL: b.engine.url,
    BENCH_BROKERS: b.kafka.brokers.join(','),
    BENCH_TOPIC: 'bench.events',
    BENCH_GROUP: `plain-${round}`,
    BENCH_TABLE: 'custody.plain',
  })
  return { table: 'custody.plain', pids: [consumer.pid], stop: () => consumer.stop() }
}

async function embedded(b: Bench): Promise<Run> {
  rmSync(join(b.home.log, RECORDER, 'consumers'), { recursive: true, force: true })
  const ingest = await startIngest(b.home, b.engine.url)
  return { table: 'custody.events', pids: [ingest.pid], stop: () => ingest.stop() }
}

/** The topic is filled before, which is measured by itself. */
async function overKafka(b: Bench, prefix: string, table: Table): Promise<Run> {
  const configuration = configure(b, prefix)
  const shipper = await startShipper(b, prefix, configuration)
  const cpuBefore = cpuSeconds([shipper.pid])
  const brokerBefore = cpuSeconds(b.brokerPids)
  const began = performance.now()
  await ship(shipper, b.events)
  const seconds = (performance.now() - began) / 1000
  const micros = (value: number) => (value / b.events) * 1e6
  table.add('log to Kafka, acknowledged', 'custody', 'events/s', b.events / seconds)
  table.add('… CPU', 'custody', 'µs/event', micros(cpuSeconds([shipper.pid]) - cpuBefore))
  table.add(
    '… CPU of the broker',
    'custody',
    'µs/event',
    micros(cpuSeconds(b.brokerPids) - brokerBefore),
  )
  b.o.progress(`log to Kafka: ${rounded(b.events / seconds)} events/s`)
  await shipper.stop()
  const ingest = await startIngest(
    prepareHome(join(b.directory, prefix)),
    b.engine.url,
    configuration,
  )
  return { table: 'custody.events', pids: [ingest.pid], stop: () => ingest.stop() }
}

async function allTheWay(b: Bench, prefix: string): Promise<Run> {
  const configuration = configure(b, prefix)
  const shipper = await startShipper(b, prefix, configuration)
  const ingest = await startIngest(
    prepareHome(join(b.directory, prefix)),
    b.engine.url,
    configuration,
  )
  void ship(shipper, b.events)
  return {
    table: 'custody.events',
    pids: [ingest.pid, shipper.pid],
    async stop() {
      await shipper.stop()
      await ingest.stop()
    },
  }
}

/** Topics of its own, so that each begins with nothing. */
function configure(b: Bench, prefix: string): string {
  const file = join(b.directory, `${prefix}.yaml`)
  writeFileSync(
    file,
    `kafka: {brokers: [${b.kafka.brokers.map((one) => `"${one}"`).join(', ')}], topicPrefix: ${prefix}, partitions: ${PARTITIONS}, replicationFactor: 1, minInsyncReplicas: 1}\n`,
  )
  return file
}

/** Over a copy of the log, which nobody has shipped yet. */
async function startShipper(b: Bench, prefix: string, configuration: string): Promise<Started> {
  const home = prepareHome(join(b.directory, `${prefix}-log`))
  cpSync(join(b.home.log, RECORDER), join(home.log, RECORDER), {
    recursive: true,
    filter: (path) => !path.endsWith('consumers'),
  })
  const [shipper] = await started(join(__dirname, 'subjects/shipper.js'), {
    CUSTODY_CONFIG: configuration,
    CUSTODY_LOG_LEVEL: 'error',
    BENCH_LOG: home.log,
    BENCH_RECORDER: RECORDER,
  })
  return shipper
}

async function ship(shipper: Started, events: number): Promise<void> {
  const done = new Promise<void>((resolve) => {
    shipper.child.on('message', ({ shipped }: { shipped: number }) => {
      if (shipped >= events) resolve()
    })
  })
  shipper.child.send('start')
  await done
}

async function fromFiles(b: Bench, atOnce: number): Promise<Run> {
  const insert = (file: string) =>
    b.client.command({
      query: `INSERT INTO custody.events (${INSERTED}) FROM INFILE '${file}' FORMAT Avro`,
    })
  const [one, two] = b.files as [string, string]
  const done = atOnce === 2 ? Promise.all(b.files.map(insert)) : insert(one).then(() => insert(two))
  done.catch(() => {})
  return {
    table: 'custody.events',
    pids: [],
    async stop() {
      await done
    },
  }
}

async function kafkaEngine(b: Bench, registry: Server): Promise<Run> {
  const columns = await rows<{ name: string; type: string }>(
    b.client,
    'DESCRIBE TABLE custody.events',
  )
  const { port } = registry.address() as AddressInfo
  // It makes a block of each message: a dictionary for each column of low cardinality would be most of its work.
  const plain = (type: string) =>
    type.replaceAll(/LowCardinality\(((?:[^()]|\([^()]*\))*)\)/g, '$1')
  const drop = async () => {
    await b.client.command({ query: 'DROP TABLE IF EXISTS custody.queue_to_events SYNC' })
    await b.client.command({ query: 'DROP TABLE IF EXISTS custody.queue SYNC' })
  }
  await drop()
  await b.client.command({
    query: `CREATE TABLE custody.queue (${columns
      .filter(({ name }) => EVENT_COLUMNS.includes(name))
      .map(({ name, type }) => `\`${name}\` ${plain(type)}`)
      .join(', ')})
      ENGINE = Kafka SETTINGS kafka_broker_list = '${b.kafka.brokers.join(',')}', kafka_topic_list = 'bench.framed',
      kafka_group_name = 'engine-${Date.now()}', kafka_format = 'AvroConfluent',
      format_avro_schema_registry_url = 'http://127.0.0.1:${port}', kafka_num_consumers = 2,
      kafka_thread_per_consumer = 1, kafka_flush_interval_ms = 1000`,
  })
  await b.client.command({
    query: `CREATE MATERIALIZED VIEW custody.queue_to_events TO custody.events AS SELECT ${INSERTED} FROM custody.queue`,
  })
  return { table: 'custody.events', pids: [], stop: drop }
}

/** As much of a schema registry as that needs: one schema. */
async function startRegistry(): Promise<Server> {
  const server = createServer((_, response) => {
    response.setHeader('content-type', 'application/json')
    response.end(JSON.stringify({ schema: JSON.stringify(eventSchema) }))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return server
}

async function record(home: Home, events: number): Promise<number> {
  const recorder = await openRecorder({ directory: home.log, recorder: RECORDER, reserveBytes: 0 })
  const traffic = new Traffic(recorder, {
    fromMicros: nowMicros() - events * STEP_MICROS,
    stepMicros: STEP_MICROS,
  })
  while (traffic.next < events) {
    traffic.some(Math.min(2000, events - traffic.next))
    await recorder.recorded()
  }
  await recorder.close()
  return recorder.status().nextSequence
}

/** What JSON can hold in the same place: bytes of a fixed length are text there. */
async function createTables(client: ClickHouseClient): Promise<void> {
  const [{ statement }] = await rows<{ statement: string }>(
    client,
    'SHOW CREATE TABLE custody.events',
  )
  await client.command({
    query: statement
      .replace('custody.events', 'custody.plain')
      .replaceAll(/FixedString\(\d+\)/g, 'String'),
  })
}

/** The log's events once more: as two files for the engine, as they are in one topic, and framed in another. */
async function fill(b: Bench): Promise<void> {
  const admin = new Admin({ clientId: 'bench', bootstrapBrokers: b.kafka.brokers })
  await admin.createTopics({
    topics: ['bench.events', 'bench.framed'],
    partitions: PARTITIONS,
    replicas: 1,
  })
  await admin.close()
  const producer = new Producer({ clientId: 'bench', bootstrapBrokers: b.kafka.brokers })
  /** One schema, number 1, as a schema registry's serializers put it. */
  const frame = Buffer.from([0, 0, 0, 0, 1])
  mkdirSync(join(b.directory, 'files'))
  b.files = [0, 1].map((n) => join(b.directory, 'files', `${n}.avro`))
  const reader = openReader({ directory: b.home.log, recorder: RECORDER })
  const halves: [Buffer[], Buffer[]] = [[], []]
  let seen = 0
  for (let batch = await reader.read(SEND_BYTES); batch; batch = await reader.read(SEND_BYTES)) {
    // A batch to one partition, as a session's events are.
    const partition = Math.floor(Math.random() * PARTITIONS)
    for (const topic of ['bench.events', 'bench.framed'])
      await producer.send({
        messages: batch.messages.map((message) => ({
          topic,
          partition,
          value:
            topic === 'bench.framed'
              ? Buffer.concat([frame, message.subarray(HEADER_BYTES)])
              : message,
        })),
        acks: -1,
      })
    halves[seen < b.events / 2 ? 0 : 1].push(...batch.messages)
    seen += batch.count
  }
  reader.close()
  await producer.close()
  for (const [n, file] of b.files.entries()) writeFileSync(file, avroFile(halves[n]!))
}

/** Brokers that this process has started. */
function brokers(): number[] {
  return readdirSync(`/proc/${process.pid}/task`)
    .flatMap((thread) =>
      readFileSync(`/proc/${process.pid}/task/${thread}/children`, 'utf8').trim().split(' '),
    )
    .filter((pid) => pid && readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes('kafka.Kafka\0'))
    .map(Number)
}
