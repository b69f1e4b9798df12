/** The same with a real broker: shipped and ingested, all three places hold the same; what is deleted in one is named. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type ClickHouseClient, ClickHouseLogLevel, createClient } from '@clickhouse/client'
import { openRecorder, type Recorder } from '@custody/event-log'
import { createKafka, type Kafka } from '@custody/event-log-kafka'
import { createIngest, KAFKA_DEFAULTS, KafkaSource } from '@custody/ingest'
import {
  createSecrets,
  type Home,
  parseConfiguration,
  prepareHome,
  silentLogger,
} from '@custody/kit'
import { type KafkaServer, startKafka } from '@custody/test-support'
import { createWarehouse, type Warehouse } from '@custody/warehouse'
import { verifyPipeline } from './verify'

const root = mkdtempSync(join(tmpdir(), 'custody-pipeline-broker-'))
const home: Home = prepareHome(join(root, 'home'))
const logger = silentLogger()
const DAY_MS = 86_400_000
let server: KafkaServer
let kafka: Kafka
let warehouse: Warehouse
let url: string
let client: ClickHouseClient

beforeAll(async () => {
  server = await startKafka()
  const { kafka: settings } = parseConfiguration(
    `kafka: {brokers: [${server.brokers.join(', ')}], partitions: 3, replicationFactor: 1, minInsyncReplicas: 1}`,
  )
  kafka = createKafka({ settings: settings!, secrets: createSecrets(undefined), logger })
  await kafka.ensureTopics()
  warehouse = createWarehouse({ directory: join(root, 'warehouse'), port: 0, password: 'x' })
  ;({ url } = await warehouse.start())
  client = createClient({ url, log: { level: ClickHouseLogLevel.OFF } })
})

afterAll(async () => {
  await client?.close()
  await warehouse?.stop()
  await kafka?.close()
  await server?.stop()
  rmSync(root, { recursive: true, force: true })
})

function runSession(recorder: Recorder): void {
  const session = recorder.openSession(
    {
      subject: 'ana',
      issuer: 'test',
      email: null,
      name: null,
      groups: [],
      kind: 'human',
      method: 'token',
      tokenId: null,
      authenticatedAt: null,
      onBehalfOf: [],
    },
    { gateway: 'test', resource: 'db', protocol: 'postgres' } as never,
  )
  for (let i = 0; i < 50; i++) {
    const command = recorder.record({ kind: 'command.started' }, session)
    recorder.record({ kind: 'command.completed', command }, session)
  }
  recorder.closeSession(session, 'closed', 'done', {})
}

const check = () =>
  verifyPipeline({
    logDirectory: home.log,
    kafka,
    client,
    nowMs: () => Date.now() + DAY_MS,
  })

test('log, Kafka and store of two recorders', async () => {
  for (const name of ['one', 'two']) {
    const recorder = await openRecorder({ directory: home.log, recorder: name, reserveBytes: 0 })
    for (let i = 0; i < 20; i++) runSession(recorder)
    await recorder.close()
    const shipper = kafka.shipper({ directory: home.log, recorder: name })
    shipper.start()
    await shipper.stop(60_000)
    expect(shipper.status().behindEvents).toBe(0)
  }
  const ingest = createIngest({
    home,
    warehouseUrl: url,
    source: new KafkaSource({ kafka, group: 'custody-ingest', ...KAFKA_DEFAULTS, lingerMs: 50 }),
    logger,
  })
  await ingest.start()
  let result = await check()
  while (result.recorders.some(({ toStore }) => toStore > 0)) {
    // On its way, and so nothing to find fault with.
    expect(result.findings).toEqual([])
    await new Promise((resolve) => setTimeout(resolve, 100))
    result = await check()
  }
  await ingest.stop()
  expect((await check()).recorders).toEqual(
    ['one', 'two'].map((recorder) => ({
      recorder,
      log: 2042,
      kafka: 2042,
      store: 2042,
      toKafka: 0,
      toStore: 0,
      again: 0,
    })),
  )

  await client.command({
    query: `ALTER TABLE custody.events DELETE WHERE recorder = 'two' AND sequence IN (2040, 2041) SETTINGS mutations_sync = 1`,
  })
  const broken = await check()
  expect(broken.ok).toBe(false)
  expect(broken.findings).toContainEqual(
    expect.objectContaining({
      problem: 'missing',
      place: 'store',
      recorder: 'two',
      from: 2040,
      to: 2041,
    }),
  )
}, 240_000)
