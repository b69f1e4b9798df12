/** Followers: all that was said before, then what is said, at once; through a broker that goes and comes. */
import { openRecorder, type Recorder } from '@custody/event-log'
import { decodeMessage, schemaFingerprint } from '@custody/schemas'
import {
  type KafkaServer,
  someone,
  startKafka,
  temporaryDirectory,
  until,
} from '@custody/test-support'
import { partitionOf } from './murmur2'
import { settingsFor, startedKafka } from './testing'

jest.setTimeout(300_000)
let server: KafkaServer
let place: ReturnType<typeof temporaryDirectory>
const toClose: (() => Promise<unknown>)[] = []

beforeAll(async () => {
  server = await startKafka()
})
afterAll(() => server?.stop())
beforeEach(() => {
  place = temporaryDirectory('control')
})
afterEach(async () => {
  for (const close of toClose.splice(0).reverse()) await close()
  await place.remove()
})

async function started() {
  const directory = place.path
  const kafka = await startedKafka(settingsFor(server))
  toClose.push(() => kafka.close())
  const recorder = await openRecorder({
    ...{ directory, recorder: 'query-a', reserveBytes: 0, consumers: ['kafka'] },
  })
  toClose.push(() => recorder.close())
  const shipper = kafka.shipper({ directory, recorder: 'query-a' })
  toClose.push(() => shipper.stop(1000))
  shipper.start()
  return { kafka, recorder, shipper }
}

const lock = (recorder: Recorder, reason: string, kind = 'access.locked') =>
  recorder.record({ kind, who: someone, access: { action: 'lock', outcome: 'success', reason } })

test('what was there is replayed before the start is over; what comes is heard by every follower', async () => {
  const { kafka, recorder, shipper } = await started()
  lock(recorder, 'ada@example.com: gone')
  recorder.record({ kind: 'session.kill', who: someone, lifecycle: { state: 'changed' } })
  recorder.record({ kind: 'command.started' })
  await recorder.recorded('os')
  shipper.nudge()
  await until(
    'it is shipped',
    () => shipper.status().behindEvents === 0 && shipper.status().shippedSequence > 3,
  )

  const heard: { kind: string; replayed: boolean }[][] = [[], []]
  for (const mine of heard) {
    const follower = kafka.control({
      hear: (message, replayed) => {
        mine.push({ kind: decodeMessage(message).kind, replayed })
      },
    })
    toClose.push(() => follower.stop())
    await follower.start()
    expect(mine.map(({ kind }) => kind).sort()).toEqual([
      'access.locked',
      'recorder.started',
      'session.kill',
    ])
    expect(mine.every(({ replayed }) => replayed)).toBe(true)
  }
  recorder.record({ kind: 'approval.answered', who: someone })
  await recorder.recorded('os')
  shipper.nudge()
  for (const mine of heard) {
    await until('it is heard', () => mine.length === 4)
    expect(mine[3]).toEqual({ kind: 'approval.answered', replayed: false })
  }

  await server.kill()
  lock(recorder, 'ada@example.com', 'access.unlocked')
  await recorder.recorded('os')
  shipper.nudge()
  await server.restart()
  for (const mine of heard) {
    await until('it is heard', () => mine.length === 5)
    expect(mine[4]).toEqual({ kind: 'access.unlocked', replayed: false })
  }
})

test('who hears may fail; the others, and the next, are heard all the same', async () => {
  const { kafka, recorder, shipper } = await started()
  const heard: string[] = []
  const follower = kafka.control({
    hear: (message) => {
      const { kind } = decodeMessage(message)
      if (kind === 'recorder.started') return
      heard.push(kind)
      if (kind === 'approval.answered') throw new Error('no')
    },
  })
  toClose.push(() => follower.stop())
  await follower.start()
  for (const kind of ['approval.answered', 'session.kill']) recorder.record({ kind, who: someone })
  await recorder.recorded('os')
  shipper.nudge()
  await until('both are heard', () => heard.length === 2)
})

test('a follower that starts while nothing answers starts when something does', async () => {
  const { kafka } = await started()
  await server.kill()
  const follower = kafka.control({ hear: () => {} })
  toClose.push(() => follower.stop())
  let isStarted = false
  const starting = follower.start().then(() => {
    isStarted = true
  })
  await until('it says why', () => follower.problem() !== null)
  const { sinceMs, code } = follower.problem()!
  expect(code).toMatch(/^CUSTODY-KAFKA-/)
  await new Promise((resolve) => setTimeout(resolve, 500))
  expect(isStarted).toBe(false)
  expect(follower.problem()!.sinceMs).toBe(sinceMs)
  await server.restart()
  await starting
  await until('it is over', () => follower.problem() === null)
})

test('the schema of what is shipped is there for others, once; dead letters say why', async () => {
  const { kafka, recorder, shipper } = await started()
  recorder.record({ kind: 'command.started' })
  await recorder.recorded('os')
  shipper.nudge()
  await until('it is shipped', () => shipper.status().shippedSequence >= 2)
  const fingerprint = schemaFingerprint.toString('hex')
  expect(JSON.parse((await kafka.schemas.get(fingerprint))!).name).toBe('Event')
  expect(await kafka.schemas.get('0000000000000000')).toBeNull()
  await kafka.schemas.put('0102030405060708', '"null"')
  await kafka.schemas.put('0102030405060708', '"string"')
  const others = await startedKafka(kafka.settings)
  toClose.push(() => others.close())
  expect(await others.schemas.get('0102030405060708')).toBe('"null"')

  await kafka.deadLetters([
    {
      ...{ topic: kafka.topics.events, partition: 2, offset: 77n, code: 'X-1' },
      ...{ reason: 'no such schema', message: Buffer.from('broken'), key: null },
    },
  ])
  const printed = await server.tool('org.apache.kafka.tools.consumer.ConsoleConsumer', [
    ...['--bootstrap-server', server.brokers[0]!, '--topic', kafka.topics.deadLetters],
    ...['--from-beginning', '--max-messages', '1', '--property', 'print.headers=true'],
  ])
  expect(printed).toContain('custody-reason:no such schema')
  expect(printed).toContain('custody-offset:77')
  expect(printed).toContain('broken')
})

test('Kafka’s own producer puts a key where we do', async () => {
  const { kafka } = await started()
  const keys = ['a', 'session-1', 'ünïcode', 'a-little-bit-longer-string', '123456789']
  await server.tool(
    'org.apache.kafka.tools.ConsoleProducer',
    [
      ...['--bootstrap-server', server.brokers[0]!, '--topic', kafka.topics.events],
      ...['--property', 'parse.key=true', '--property', 'key.separator=,'],
    ],
    keys.map((key) => `${key},x\n`).join(''),
  )
  const found = new Map<string, number>()
  for (const { partition, first, end } of await kafka.positions('nobody'))
    for await (const records of kafka.read(partition, first, end))
      for (const { key, message } of records)
        if (message.toString() === 'x') found.set(key!.toString(), partition)
  expect(Object.fromEntries(found)).toEqual(
    Object.fromEntries(keys.map((key) => [key, partitionOf(Buffer.from(key), 4)])),
  )
})
