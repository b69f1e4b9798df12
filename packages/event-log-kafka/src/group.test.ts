/** Members of a group: who has what, what comes again to whom, and who is told that it is too late. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { forgetConsumer, openRecorder } from '@custody/event-log'
import {
  type KafkaServer,
  Ledger,
  openSessions,
  say,
  startKafka,
  temporaryDirectory,
  until,
} from '@custody/test-support'
import { settingsFor, startedKafka } from './testing'
import { type EventConsumer, type Kafka, LostPartitionError, type Slice } from './types'

jest.setTimeout(300_000)
const PATIENCE_MS = 120_000
let server: KafkaServer
let place: ReturnType<typeof temporaryDirectory>
const toClose: (() => Promise<unknown>)[] = []

beforeAll(async () => {
  server = await startKafka()
})
afterAll(() => server?.stop())
beforeEach(() => {
  place = temporaryDirectory('group')
})
afterEach(async () => {
  for (const close of toClose.splice(0).reverse()) await close()
  await place.remove()
})

/** A topic with events in every partition. */
async function filled(count: number): Promise<{ kafka: Kafka; events: number }> {
  const directory = place.path
  const kafka = await startedKafka(settingsFor(server))
  toClose.push(() => kafka.close())
  const recorder = await openRecorder({
    ...{ directory, recorder: 'proxy-a', reserveBytes: 0, consumers: ['kafka'] },
  })
  await say(recorder, openSessions(recorder, 40), count)
  let next = 0
  const shipper = kafka.shipper({ directory, recorder: 'proxy-a', onReplicated: (n) => (next = n) })
  shipper.start()
  await recorder.close()
  const events = 1 + 40 + count + 40 + 1
  await until('all is shipped', () => next >= 1 + 40 + count)
  await shipper.stop(PATIENCE_MS)
  return { kafka, events: Math.min(events, shipper.status().shippedSequence) }
}

/** A member with connections of its own, which can break without a word. */
async function member(
  kafka: Kafka,
  sliceEventsMax = 100,
): Promise<EventConsumer & { crash(): Promise<void> }> {
  const own = await startedKafka(kafka.settings)
  const consumer = own.consumer({ group: 'ingest', sliceEventsMax })
  toClose.push(() => own.close())
  await consumer.start()
  return Object.assign(consumer, { crash: () => own.close() })
}

async function taken(consumer: EventConsumer): Promise<Slice> {
  let slice: Slice | null = null
  await until('a slice comes', async () => {
    slice = await consumer.next()
    return slice !== null
  })
  return slice!
}

test('a range that was under way when its member died comes again to another, the very same', async () => {
  const { kafka, events } = await filled(2000)
  const first = await member(kafka)
  const ledger = new Ledger()
  const done = await taken(first)
  ledger.add(done.messages)
  await first.commit(done)
  const open: Slice[] = []
  while (open.length < 3) open.push(await taken(first))
  expect(new Set(open.map(({ partition }) => partition)).size).toBe(3)
  expect(open.some(({ again }) => again)).toBe(false)
  await first.crash()

  // Larger slices would be cut otherwise; what was noted is not.
  const second = await member(kafka, 777)
  const again: Slice[] = []
  await until('all is consumed', async () => {
    const slice = await second.next()
    if (slice === null) return false
    if (slice.again) again.push(slice)
    ledger.add(slice.messages)
    await second.commit(slice)
    return ledger.count('proxy-a') >= events
  })
  const shape = ({ partition, firstOffset, nextOffset, messages, offsets }: Slice) => ({
    ...{ partition, firstOffset, nextOffset, offsets },
    bytes: Buffer.concat(messages).toString('base64'),
  })
  const byPartition = (a: Slice, b: Slice) => a.partition - b.partition
  expect(again.sort(byPartition).map(shape)).toEqual(open.sort(byPartition).map(shape))
  expect(ledger.duplicates).toEqual([])
  expect(ledger.disordered).toEqual([])
})

test('a second member takes half, nothing is taken twice, and what was under way is ended first', async () => {
  const { kafka, events } = await filled(3000)
  const ledger = new Ledger()
  const first = await member(kafka)
  const open = await taken(first)
  const second = await member(kafka)
  // The group waits for what is under way.
  await new Promise((resolve) => setTimeout(resolve, 2500))
  expect(second.assigned()).toEqual([])
  ledger.add(open.messages)
  await first.commit(open)
  await until('both have some', () => second.assigned().length === 2)
  await until('both know', () => first.assigned().length === 2)
  expect([...first.assigned(), ...second.assigned()].sort()).toEqual([0, 1, 2, 3])
  await until('all is consumed', async () => {
    for (const one of [first, second]) {
      const slice = await one.next()
      if (slice === null) continue
      ledger.add(slice.messages)
      await one.commit(slice)
    }
    return ledger.count('proxy-a') >= events
  })
  expect(ledger.duplicates).toEqual([])
  expect(ledger.disordered).toEqual([])

  await second.stop()
  await until('one has all again', () => first.assigned().length === 4)
  for (const { committed, end } of await kafka.positions('ingest')) expect(committed).toBe(end)
})

test('who was away for too long is told that the partition is another’s', async () => {
  const { kafka } = await filled(500)
  const first = await member(kafka)
  const open = await taken(first)
  // Heartbeats end and the slice stays: what a process does whose event loop stands still.
  const membership = (first as unknown as { membership: { standing: object } }).membership
  Object.defineProperty(membership, 'standing', {
    value: { coordinator: 1, member: 'somebody-else', generation: 1 },
  })
  await expect(first.commit(open)).rejects.toThrow(LostPartitionError)
  const second = await member(kafka)
  await first.crash()
  await until('it comes again', async () => {
    const slice = await second.next()
    if (slice === null) return false
    const isIt = slice.partition === open.partition
    if (isIt) {
      expect(slice.again).toBe(true)
      expect([slice.firstOffset, slice.nextOffset]).toEqual([open.firstOffset, open.nextOffset])
    }
    await second.commit(slice)
    return isIt
  })
})

test('what is given back comes again as it was, to the same member', async () => {
  const { kafka } = await filled(300)
  const one = await member(kafka)
  const open = await taken(one)
  one.release(open)
  let back: Slice | null = null
  await until('it comes again', async () => {
    const slice = await one.next()
    if (slice?.partition === open.partition) back = slice
    else if (slice) await one.commit(slice)
    return back !== null
  })
  expect(back!).toEqual({ ...open, again: true })
  await one.commit(back!)
})

test('a broker that goes and comes: the member goes on, nothing twice', async () => {
  const { kafka, events } = await filled(2000)
  const ledger = new Ledger()
  const one = await member(kafka)
  for (let i = 0; i < 3; i++) {
    const slice = await taken(one)
    ledger.add(slice.messages)
    await one.commit(slice)
  }
  await server.kill()
  await until('it says so', async () => {
    const slice = await one.next()
    if (slice) one.release(slice)
    return one.problem() !== null
  })
  expect(one.problem()!.code).toBe('CUSTODY-KAFKA-001')
  await server.restart()
  await until('all is consumed', async () => {
    const slice = await one.next()
    if (slice === null) return false
    ledger.add(slice.messages)
    await one.commit(slice)
    return ledger.count('proxy-a') >= events
  })
  expect(ledger.duplicates).toEqual([])
  await until('it is fine', () => one.problem() === null)
})

test('duplicates that a shipper left are dropped, also by who has the partition next', async () => {
  const { kafka, events } = await filled(400)
  // The whole log once more, as a shipper would send it that lost what it had committed.
  await forgetConsumer(place.path, 'kafka', 'proxy-a')
  let next = 0
  const shipper = kafka.shipper({
    ...{ directory: place.path, recorder: 'proxy-a', onReplicated: (n: number) => (next = n) },
  })
  shipper.start()
  await until('all is shipped again', () => next >= events)
  await shipper.stop(PATIENCE_MS)
  const first = await member(kafka, 60)
  const ledger = new Ledger()
  for (let i = 0; i < 5; i++) {
    const slice = await taken(first)
    ledger.add(slice.messages)
    await first.commit(slice)
  }
  await first.stop()
  const second = await member(kafka, 60)
  await until('all is consumed', async () => {
    const slice = await second.next()
    if (slice) {
      ledger.add(slice.messages)
      await second.commit(slice)
    }
    const all = await kafka.positions('ingest')
    return all.every(({ committed, end }) => committed === end)
  })
  expect(ledger.count('proxy-a')).toBe(events)
  expect(ledger.duplicates).toEqual([])
})

test('what retention took before anybody consumed it is told, and the rest goes on', async () => {
  const { kafka } = await filled(400)
  const [part] = (await kafka.positions('ingest')).filter(({ end }) => end > 50n)
  const file = join(place.path, 'delete.json')
  const partition = part!.partition
  const gone = { topic: kafka.topics.events, partition, offset: 20 }
  // Somebody has consumed the first of it, and then nobody for too long.
  const before = await member(kafka, 5)
  let left: Slice | null = null
  await until('it has begun', async () => {
    const slice = await before.next()
    if (slice) await before.commit(slice)
    if (slice?.partition === partition) left = slice
    return left !== null
  })
  await before.crash()
  writeFileSync(file, JSON.stringify({ version: 1, partitions: [gone] }))
  await server.tool('org.apache.kafka.tools.DeleteRecordsCommand', [
    ...['--bootstrap-server', server.brokers[0]!, '--offset-json-file', file],
  ])
  const one = await member(kafka)
  await until('the rest comes', async () => {
    const slice = await one.next()
    if (slice === null) return false
    await one.commit(slice)
    if (slice.partition !== partition) return false
    expect(slice.lost).toEqual({ from: left!.nextOffset, to: 20n })
    expect(slice.firstOffset).toBe(20n)
    return true
  })
})
