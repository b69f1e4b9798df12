/**
 * What is taken out of, added to or changed in a place is named, and a system at work is not accused. Real logs, the embedded
 * warehouse and ingest; Kafka is a list of records here, the broker has its own test.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type ClickHouseClient, ClickHouseLogLevel, createClient } from '@clickhouse/client'
import { commitPosition, openReader, openRecorder, type Recorder } from '@custody/event-log'
import { createIngest } from '@custody/ingest'
import { createLogger, type Home, prepareHome } from '@custody/kit'
import { readEnvelope } from '@custody/schemas'
import { createWarehouse, type Warehouse } from '@custody/warehouse'
import type { Finding } from './compare'
import type { KafkaPlace } from './places'
import { type PipelineOptions, type PipelineResult, verifyPipeline } from './verify'

const root = mkdtempSync(join(tmpdir(), 'custody-pipeline-'))
const logger = createLogger({ name: 'test', level: 'silent' })
const DAY_MS = 86_400_000
let warehouse: Warehouse
let warehouseUrl: string
let client: ClickHouseClient
let home: Home
let homes = 0

beforeAll(async () => {
  warehouse = createWarehouse({ directory: join(root, 'warehouse'), port: 0, password: 'x' })
  ;({ url: warehouseUrl } = await warehouse.start())
  client = createClient({ url: warehouseUrl, log: { level: ClickHouseLogLevel.OFF } })
}, 60_000)

afterAll(async () => {
  await client.close()
  await warehouse.stop()
  rmSync(root, { recursive: true, force: true })
})

/** A home with two recorders, three sessions and some events beside them, all of it in the store. */
beforeEach(async () => {
  home = prepareHome(join(root, `home-${homes++}`))
  const ingest = createIngest({ home, warehouseUrl, logger, lingerMs: 5 })
  await ingest.start()
  await client.command({ query: 'TRUNCATE TABLE custody.events' })
  for (const name of ['one', 'two']) {
    const recorder = await openRecorder({
      directory: home.log,
      recorder: name,
      reserveBytes: 0,
      segmentBytes: 64 * 1024,
    })
    for (let i = 0; i < 3; i++) runSession(recorder, 100)
    for (let i = 0; i < 5000; i++) recorder.record({ kind: 'audit.search' })
    await recorder.close()
  }
  await ingest.stop()
})

function runSession(recorder: Recorder, commands: number): void {
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
  for (let i = 0; i < commands; i++) {
    const command = recorder.record({ kind: 'command.started' }, session)
    recorder.record({ kind: 'command.completed', command }, session)
  }
  recorder.closeSession(session, 'closed', 'done', {})
}

function check(more: Partial<PipelineOptions> = {}): Promise<PipelineResult> {
  return verifyPipeline({
    logDirectory: home.log,
    kafka: null,
    client,
    // Long after what was recorded, so that nothing is taken for being on its way.
    nowMs: () => Date.now() + DAY_MS,
    ...more,
  })
}

const short = ({ problem, place, recorder, from, to }: Finding) =>
  `${problem} ${place} ${recorder} ${from}-${to}`

async function messagesOf(recorder: string): Promise<Buffer[]> {
  const reader = openReader({ directory: home.log, recorder })
  const messages: Buffer[] = []
  for (let batch = await reader.read(1e6); batch; batch = await reader.read(1e6))
    messages.push(...batch.messages)
  reader.close()
  return messages
}

/** What would be in Kafka: keyed by session over three partitions. */
async function topicOf(): Promise<Buffer[][]> {
  const partitions: Buffer[][] = [[], [], []]
  for (const recorder of ['one', 'two'])
    for (const message of await messagesOf(recorder)) {
      const { session } = readEnvelope(message)
      partitions[session === null ? 0 : session[15]! % 3]!.push(message)
    }
  return partitions
}

function simulated(partitions: Buffer[][], committed?: bigint[], first = 0n): KafkaPlace {
  return {
    async positions() {
      return partitions.map((messages, partition) => ({
        partition,
        first,
        end: BigInt(messages.length),
        committed: committed?.[partition] ?? BigInt(messages.length),
      }))
    },
    async *read(partition, from, to) {
      for (let at = from; at < to; at += 500n)
        yield partitions[partition]!.slice(Number(at), Number(at + 500n < to ? at + 500n : to)).map(
          (message, i) => ({ offset: at + BigInt(i), message }),
        )
    },
  }
}

test('nothing to say of what is whole', async () => {
  const result = await check()
  expect(result.findings).toEqual([])
  expect(result.ok).toBe(true)
  expect(result.recorders).toEqual([
    expect.objectContaining({ recorder: 'one', log: 5608, store: 5608, toStore: 0, kafka: null }),
    expect.objectContaining({ recorder: 'two', log: 5608, store: 5608, toStore: 0, kafka: null }),
  ])
  expect((await check({ kafka: simulated(await topicOf()) })).findings).toEqual([])
})

test('rows taken out, put in twice, invented and changed', async () => {
  await client.command({
    query: `ALTER TABLE custody.events DELETE WHERE recorder = 'one' AND sequence IN (1000, 1001, 1002, 5600) SETTINGS mutations_sync = 1`,
  })
  await client.command({
    query: `INSERT INTO custody.events SELECT * FROM custody.events WHERE recorder = 'two' AND sequence = 4500`,
  })
  await client.command({
    query: `INSERT INTO custody.events SELECT * REPLACE (toInt64(-1) AS sequence) FROM (SELECT * FROM custody.events WHERE recorder = 'two' AND sequence = 3000)`,
  })
  await client.command({
    query: `ALTER TABLE custody.events UPDATE previous = toFixedString('changed', 32) WHERE recorder = 'two' AND sequence = 2222 SETTINGS mutations_sync = 1`,
  })
  const result = await check()
  expect(result.ok).toBe(false)
  expect(result.findings.map(short)).toEqual(
    expect.arrayContaining([
      'missing store one 1000-1002',
      'missing store one 5600-5600',
      'duplicate store two 4500-4500',
      'changed store two 2222-2222',
      'added store two -1--1',
    ]),
  )
  expect(result.findings).toHaveLength(5)
  expect(result.findings.find((one) => one.from === 1000)?.detail).toMatch(
    /committed, and not in the store \(the first is audit\.search at 20/,
  )
})

test('a session with a hole in the store is named', async () => {
  await client.command({
    query: `ALTER TABLE custody.events DELETE WHERE recorder = 'one' AND sequence = 50 SETTINGS mutations_sync = 1`,
  })
  const { findings } = await check()
  expect(findings.map(short).sort()).toEqual(['gap store one 0-201', 'missing store one 50-50'])
  expect(findings.every((one) => /^[0-9a-f-]{36}$/.test(one.session ?? ''))).toBe(true)
})

test('what is not committed is on its way, and not missing', async () => {
  await client.command({
    query: `ALTER TABLE custody.events DELETE WHERE recorder = 'one' AND sequence >= 5000 SETTINGS mutations_sync = 1`,
  })
  const topic = await topicOf()
  const at = topic[0]!.findIndex((message) => {
    const { recorder, sequence } = readEnvelope(message)
    return recorder === 'one' && sequence === 5000
  })
  const kafka = simulated(topic, [
    BigInt(at),
    ...topic.slice(1).map(({ length }) => BigInt(length)),
  ])
  const result = await check({ kafka })
  // Those of recorder two behind it in the same partition are in the store all the same.
  expect(result.findings).toEqual([])
  expect(result.recorders[0]).toMatchObject({ log: 5608, kafka: 5608, store: 5000, toStore: 608 })
})

test('Kafka: taken out, swapped, sent again', async () => {
  const topic = await topicOf()
  const [first] = topic
  const index = (recorder: string, sequence: number) =>
    first!.findIndex((message) => {
      const envelope = readEnvelope(message)
      return envelope.recorder === recorder && envelope.sequence === sequence
    })
  const out = index('one', 2000)
  first!.splice(out, 1)
  const swapped = index('two', 3000)
  const [a, b] = [first![swapped]!, first![swapped + 1]!]
  first!.splice(swapped, 2, b, a)
  const again = index('two', 4000)
  first!.splice(again + 10, 0, ...first!.slice(again, again + 10))
  const result = await check({ kafka: simulated(topic) })
  expect(result.findings.map(short).sort()).toEqual([
    'added store one 2000-2000',
    'reordered kafka two 3000-3000',
  ])
  expect(result.recorders[1]).toMatchObject({ recorder: 'two', again: 10 })
})

test('Kafka: another event under the same sequence', async () => {
  const topic = await topicOf()
  const [first] = topic
  const at = first!.findIndex((message) => {
    const { recorder, sequence } = readEnvelope(message)
    return recorder === 'one' && sequence === 2000
  })
  const other = Buffer.from(first![at]!)
  other[20]! ^= 255
  first![at] = other
  const { findings } = await check({ kafka: simulated(topic) })
  expect(findings.map(short).sort()).toEqual([
    'changed kafka one 2000-2000',
    'changed store one 2000-2000',
  ])
})

test('Kafka: what was committed as sent and is not there', async () => {
  const topic = await topicOf()
  const [first] = topic
  const out = first!.findIndex((message) => {
    const envelope = readEnvelope(message)
    return envelope.recorder === 'one' && envelope.sequence === 2000
  })
  first!.splice(out, 1)
  await commitPosition(home.log, 'kafka', 'one', { segment: 1, offset: 0, sequence: 5608 })
  await client.command({
    query: `ALTER TABLE custody.events DELETE WHERE recorder = 'one' AND sequence = 2000 SETTINGS mutations_sync = 1`,
  })
  const result = await check({ kafka: simulated(topic) })
  expect(result.findings.map(short)).toEqual(['missing kafka one 2000-2000'])
  // Without the log of that host: a hole that younger events show.
  const blind = await check({ kafka: simulated(topic), logDirectory: null })
  expect(blind.findings.map(short)).toEqual(['gap kafka one 2000-2000'])
  const live = await check({ kafka: simulated(topic), logDirectory: null, nowMs: Date.now })
  expect(live.findings).toEqual([])
})

test('rows of a recorder that Kafka knows nothing of', async () => {
  const [first, ...others] = await topicOf()
  const topic = [first!, ...others].map((messages) =>
    messages.filter((message) => readEnvelope(message).recorder !== 'two'),
  )
  const result = await check({ kafka: simulated(topic), logDirectory: null })
  expect(result.findings.map(short)).toEqual(['added store two 0-8191'])
})

test('what retention took out of the store is not missing', async () => {
  await client.command({
    query: `ALTER TABLE custody.events DELETE WHERE kind = 'audit.search' SETTINGS mutations_sync = 1`,
  })
  expect((await check()).ok).toBe(false)
  const expired = {
    of: (_: number, kind: string) => kind.startsWith('audit.'),
    sql: `startsWith(kind, 'audit.')`,
  }
  const result = await check({ expired })
  expect(result.findings).toEqual([])
  expect(result.recorders[0]).toMatchObject({ log: 608, store: 608 })
})

test('what is in cold storage is in the store', async () => {
  for (const query of [
    'CREATE TABLE custody.cold_for_test AS custody.events',
    `INSERT INTO custody.cold_for_test SELECT * FROM custody.events WHERE sequence < 1000`,
    'ALTER TABLE custody.events DELETE WHERE sequence < 1000 SETTINGS mutations_sync = 1',
  ])
    await client.command({ query })
  expect((await check()).findings.map(short)).toContain('missing store one 0-999')
  await client.command({
    query:
      'CREATE VIEW custody.history AS SELECT * FROM custody.events UNION ALL SELECT * FROM custody.cold_for_test',
  })
  try {
    expect((await check()).findings).toEqual([])
  } finally {
    await client.command({ query: 'DROP VIEW custody.history' })
    await client.command({ query: 'DROP TABLE custody.cold_for_test' })
  }
})

test('a period', async () => {
  await client.command({
    query: `ALTER TABLE custody.events DELETE WHERE recorder = 'one' AND sequence < 100 SETTINGS mutations_sync = 1`,
  })
  const [message] = (await messagesOf('one')).slice(5000)
  const { time } = readEnvelope(message!)
  const result = await check({ sinceMicros: time })
  expect(result.findings).toEqual([])
  expect(result.sinceMicros).toBe(time)
})
