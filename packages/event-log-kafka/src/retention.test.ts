/** What is deleted beneath those who read, and topics that are made anew: everybody goes on, and says what is gone. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { commitPosition, committedPosition, openRecorder, type Recorder } from '@custody/event-log'
import { decodeMessage } from '@custody/schemas'
import {
  type KafkaServer,
  openSessions,
  say,
  someone,
  startKafka,
  temporaryDirectory,
  until,
} from '@custody/test-support'
import { settingsFor, startedKafka } from './testing'
import type { EventConsumer, Kafka, Slice } from './types'

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
  place = temporaryDirectory('retention')
})
afterEach(async () => {
  for (const close of toClose.splice(0).reverse()) await close()
  await place.remove()
})

async function started(): Promise<Kafka> {
  const kafka = await startedKafka(settingsFor(server, { partitions: 1 }))
  toClose.push(() => kafka.close())
  return kafka
}

const recorderOf = (recorder: string) =>
  openRecorder({ directory: place.path, recorder, reserveBytes: 0, consumers: ['kafka'] })

/** In many small batches, which are fetched one by one. */
async function ship(kafka: Kafka, recorder: Recorder, name: string): Promise<void> {
  await recorder.recorded('os')
  const shipper = kafka.shipper({ directory: place.path, recorder: name, batchEventsMax: 10 })
  shipper.start()
  // Whatever is there when it is stopped is shipped first.
  await shipper.stop(PATIENCE_MS)
  expect(shipper.status()).toMatchObject({ behindEvents: 0, problem: null })
}

async function deleteBefore(topic: string, offset: number): Promise<void> {
  const file = join(place.path, 'delete.json')
  writeFileSync(file, JSON.stringify({ version: 1, partitions: [{ topic, partition: 0, offset }] }))
  await server.tool('org.apache.kafka.tools.DeleteRecordsCommand', [
    ...['--bootstrap-server', server.brokers[0]!, '--offset-json-file', file],
  ])
}

async function makeAnew(kafka: Kafka, topic: string): Promise<void> {
  await server.tool('org.apache.kafka.tools.TopicCommand', [
    ...['--bootstrap-server', server.brokers[0]!, '--delete', '--topic', topic],
  ])
  await until('it is there again', async () => {
    try {
      await kafka.ensureTopics()
      return true
    } catch {
      return false
    }
  })
}

async function taken(consumer: EventConsumer): Promise<Slice> {
  let slice: Slice | null = null
  await until('a slice comes', async () => {
    slice = await consumer.next()
    return slice !== null
  })
  return slice!
}

test('a consumer that runs is overtaken, then its topic is made anew: it is told, and goes on', async () => {
  const kafka = await started()
  const recorder = await recorderOf('proxy-a')
  toClose.push(() => recorder.close())
  await say(recorder, openSessions(recorder, 5), 300)
  await ship(kafka, recorder, 'proxy-a')

  const consumer = kafka.consumer({ group: 'ingest', sliceBytesMax: 1000 })
  toClose.push(() => consumer.stop())
  await consumer.start()
  const held = await taken(consumer)
  await deleteBefore(kafka.topics.events, 280)
  await consumer.commit(held)
  let last = held
  while (last.lost === undefined) {
    last = await taken(consumer)
    await consumer.commit(last)
  }
  expect(last.lost.to).toBe(280n)
  expect(last.lost.from).toBeGreaterThan(held.firstOffset)
  expect(last.offsets[0]).toBe(280n)
  await until('all is consumed', async () => {
    const slice = await consumer.next()
    if (slice) await consumer.commit(slice)
    expect(slice?.lost).toBeUndefined()
    const [one] = await kafka.positions('ingest')
    return one!.committed === one!.end
  })
  const [{ end } = { end: 0n }] = await kafka.positions('ingest')

  await makeAnew(kafka, kafka.topics.events)
  const other = await recorderOf('proxy-b')
  toClose.push(() => other.close())
  await ship(kafka, other, 'proxy-b')
  const anew = await taken(consumer)
  expect(anew.lost).toEqual({ from: end, to: 0n })
  expect(anew.offsets[0]).toBe(0n)
  expect(decodeMessage(anew.messages[0]!).recorder).toBe('proxy-b')
  await consumer.commit(anew)
  expect((await kafka.positions('ingest'))[0]!.committed).toBe(anew.nextOffset)
})

test('a follower hears what is said in a topic made anew, and none of it as said before', async () => {
  const kafka = await started()
  const recorder = await recorderOf('query-a')
  toClose.push(() => recorder.close())
  const kill = () =>
    recorder.record({ kind: 'session.kill', who: someone, lifecycle: { state: 'changed' } })
  for (let i = 0; i < 5; i++) kill()
  await ship(kafka, recorder, 'query-a')
  const heard: boolean[] = []
  const follower = kafka.control({ hear: (_, replayed) => heard.push(replayed) })
  toClose.push(() => follower.stop())
  await follower.start()
  const before = heard.length
  expect(before).toBeGreaterThanOrEqual(5)
  expect(heard).not.toContain(false)

  await makeAnew(kafka, kafka.topics.control)
  kill()
  await ship(kafka, recorder, 'query-a')
  await until('it is heard', () => heard.length > before)
  expect(heard.slice(before)).toEqual([false])
})

test('who reads a range gets what is left of it; a shipper that looks finds what is left of its own', async () => {
  const kafka = await started()
  const recorder = await recorderOf('proxy-a')
  const sessions = openSessions(recorder, 5)
  await ship(kafka, recorder, 'proxy-a')
  const early = await committedPosition(place.path, 'kafka', 'proxy-a')
  await say(recorder, sessions, 100)
  await recorder.close()
  const shipper = kafka.shipper({ directory: place.path, recorder: 'proxy-a' })
  shipper.start()
  await shipper.stop(PATIENCE_MS)
  const [before] = await kafka.positions('nobody')
  await deleteBefore(kafka.topics.events, 60)

  const offsets: bigint[] = []
  for await (const records of kafka.read(0, 0n, before!.end))
    offsets.push(...records.map(({ offset }) => offset))
  expect(offsets[0]).toBe(60n)
  expect(BigInt(offsets.length)).toBe(before!.end - 60n)

  // As after a crash: much was sent behind what is committed, and the first of that is deleted.
  await commitPosition(place.path, 'kafka', 'proxy-a', early!)
  const next = kafka.shipper({ directory: place.path, recorder: 'proxy-a' })
  toClose.push(() => next.stop(1000))
  next.start()
  await until('it has begun', () => next.status().shippedSequence > early!.sequence)
  await next.stop(PATIENCE_MS)
  expect(next.status().behindEvents).toBe(0)
  expect((await kafka.positions('nobody'))[0]!.end).toBe(before!.end)
})
