/**
 * Ingest as processes over a real broker, with what can happen to any of them happening: killed, paused beyond their session,
 * stopped and started; the broker and the store killed and paused; poison in between; events sent twice. Each part ends with
 * every recorded event in the store once. At the end everything is read again, from the beginning, in one go, into an empty
 * store: the two are the same, byte for byte.
 */
import { createHash } from 'node:crypto'
import { join } from 'node:path'
import type { ClickHouseClient } from '@clickhouse/client'
import { openReader } from '@custody/event-log'
import { canonicalDump } from '@custody/ingest'
import { seeded } from '@custody/test-support'
import { Cluster, type Member, type Warehouse } from './cluster'

jest.setTimeout(400_000)

const GROUP = 'faults'
/** A member that does not answer for longer has lost its partitions. */
const SESSION_MS = 10_000
/** Where kills fall: printed with a failure, and given again by CUSTODY_TEST_SEED. */
const seed = Number(process.env.CUSTODY_TEST_SEED || Date.now() % 1e9)
const random = seeded(seed)

let cluster: Cluster
let warehouse: Warehouse
let members: Member[] = []
let recorders: Member[] = []

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms))
const a = (msMax: number) => pause(random() * msMax)

async function join3(): Promise<void> {
  while (members.length < 3) members.push(await cluster.startIngest({ warehouse, group: GROUP }))
}

async function until(condition: () => Promise<boolean>): Promise<void> {
  while (!(await condition().catch(() => false))) await pause(200)
}

async function rows(): Promise<number> {
  const result = await warehouse.client.query({
    query: 'SELECT count() AS n FROM custody.events',
    format: 'JSONEachRow',
  })
  return Number((await result.json<{ n: string }>())[0]!.n)
}

/** Something more is inserted. */
async function moving(): Promise<void> {
  let before = -1
  await until(async () => {
    if (before < 0) before = await rows()
    return (await rows()) > before
  })
}

async function digest(client: ClickHouseClient): Promise<{ lines: number; sha256: string }> {
  const hash = createHash('sha256')
  let lines = 0
  for await (const chunk of canonicalDump(client)) {
    hash.update(chunk)
    for (const byte of chunk) if (byte === 10) lines++
  }
  return { lines, sha256: hash.digest('hex') }
}

beforeAll(async () => {
  process.stderr.write(`seed ${seed}\n`)
  cluster = await Cluster.start('faults')
  warehouse = await cluster.startWarehouse()
  recorders = [await cluster.startRecorder('one', 150), await cluster.startRecorder('two', 150)]
  await join3()
  await moving()
}, 400_000)

afterAll(async () => {
  await cluster.stop()
}, 60_000)

test('members are killed at any moment', async () => {
  for (let i = 0; i < 4; i++) {
    await a(1500)
    await members.splice(Math.floor(random() * members.length), 1)[0]!.kill()
    members.push(await cluster.startIngest({ warehouse, group: GROUP }))
  }
  await moving()
})

test('members come and go in order', async () => {
  for (let i = 0; i < 3; i++) {
    expect(await members.shift()!.stop()).toBe(0)
    await a(1000)
    await join3()
  }
  await moving()
})

test('all members are paused beyond their session, in what they do, and go on beside those who took over', async () => {
  const sleepers = members
  members = []
  for (const member of sleepers) {
    await a(300)
    member.pause()
  }
  await join3()
  await pause(SESSION_MS)
  await moving()
  for (const member of sleepers) member.resume()
  await moving()
  for (const member of sleepers) await member.stop()
})

test('the store is killed, and paused', async () => {
  for (let i = 0; i < 2; i++) {
    await a(1000)
    await warehouse.kill()
    await a(1000)
    await warehouse.restart()
    await moving()
  }
  warehouse.process.pause()
  await pause(2000)
  warehouse.process.resume()
  await moving()
})

test('the broker is killed, and paused', async () => {
  await a(500)
  await cluster.broker.kill()
  await a(1000)
  await cluster.broker.restart()
  await moving()
  cluster.broker.pause()
  await pause(2000)
  cluster.broker.resume()
  await moving()
})

test('poison, and events that were sent twice', async () => {
  await cluster.produce([Buffer.from('nonsense'), Buffer.alloc(500, 0xc3)], 1)
  const reader = openReader({
    directory: join(cluster.directory, 'recorder-one/log'),
    recorder: 'one',
  })
  const { messages } = (await reader.read(1 << 20))!
  reader.close()
  // As they are in every partition, also in those where they never were.
  for (const partition of [0, 1, 2, 3]) await cluster.produce(messages.slice(0, 40), partition)
  await moving()
})

test('in the end every event is there once, and from the beginning in one go it is the same store', async () => {
  for (const recorder of recorders) expect(await recorder.stop()).toBe(0)
  const total = await cluster.settled(warehouse)
  expect(total).toBeGreaterThan(1000)
  for (const member of members) expect(await member.stop()).toBe(0)
  expect(await rows()).toBe(total)

  const empty = await cluster.startWarehouse()
  const replay = await cluster.startIngest({
    warehouse: empty,
    group: 'replay',
    args: ['--until-end'],
  })
  expect(await replay.exited).toBe(0)
  const [first, second] = [await digest(warehouse.client), await digest(empty.client)]
  expect(second).toEqual(first)
  expect(first.lines).toBe(total)
})
