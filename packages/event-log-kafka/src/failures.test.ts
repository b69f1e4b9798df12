/**
 * The shipper while things die: itself, the broker, one broker of several. What counts is what is in Kafka afterwards, and
 * what a consumer gets of it: each event of the local log once, each session in its order.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { openReader, openRecorder, type Recorder } from '@custody/event-log'
import {
  type KafkaServer,
  Ledger,
  openSessions,
  say,
  seeded,
  startKafka,
  temporaryDirectory,
  until,
} from '@custody/test-support'
import { settingsFor, startedKafka } from './testing'
import type { Kafka, Shipper } from './types'

jest.setTimeout(600_000)
let place: ReturnType<typeof temporaryDirectory>
const toClose: (() => Promise<unknown>)[] = []

beforeEach(() => {
  place = temporaryDirectory('failures')
})
afterEach(async () => {
  for (const close of toClose.splice(0).reverse()) await close()
  await place.remove()
})

/** Everything in the events topic, by position, outside any group. */
async function inTopic(kafka: Kafka): Promise<Ledger> {
  const ledger = new Ledger()
  for (const { partition, first, end } of await kafka.positions('nobody'))
    for await (const records of kafka.read(partition, first, end))
      ledger.add(records.map(({ message }) => message))
  return ledger
}

async function inLog(directory: string, recorder: string): Promise<number> {
  const reader = openReader({ directory, recorder })
  let count = 0
  for (let batch = await reader.read(1 << 20); batch; batch = await reader.read(1 << 20))
    count += batch.count
  reader.close()
  return count
}

async function recording(kafka: Kafka): Promise<{ recorder: Recorder; shipper: Shipper }> {
  const directory = place.path
  const recorder = await openRecorder({
    ...{ directory, recorder: 'proxy-a', reserveBytes: 0, consumers: ['kafka'] },
  })
  const shipper = kafka.shipper({ directory, recorder: 'proxy-a', batchEventsMax: 50 })
  toClose.push(() => shipper.stop(1000))
  shipper.start()
  return { recorder, shipper }
}

/** Writes on and on, without running away from the shipper. */
function keepWriting(recorder: Recorder, shipper: Shipper): { stop(): Promise<void> } {
  const sessions = openSessions(recorder, 5)
  let isOver = false
  const writing = (async () => {
    while (!isOver) {
      if (shipper.status().behindEvents < 1000) await say(recorder, sessions, 50)
      await new Promise((resolve) => setTimeout(resolve, 5))
    }
  })()
  return {
    async stop() {
      isOver = true
      await writing
    },
  }
}

async function shipped(kafka: Kafka, recorder: Recorder, shipper: Shipper): Promise<Ledger> {
  await recorder.close()
  const count = await inLog(place.path, 'proxy-a')
  await until('all is shipped', () => shipper.status().shippedSequence === count)
  const ledger = await inTopic(kafka)
  expect(ledger.missing('proxy-a', count)).toEqual([])
  expect(ledger.disordered).toEqual([])
  return ledger
}

describe('one broker', () => {
  let server: KafkaServer
  beforeAll(async () => {
    server = await startKafka()
  })
  afterAll(() => server?.stop())

  const started = async (more: Record<string, unknown> = {}) => {
    const kafka = await startedKafka(settingsFor(server, more))
    toClose.push(() => kafka.close())
    return kafka
  }

  test('killed while it is written to, three times: nothing is lost, doubled or moved', async () => {
    const kafka = await started()
    const { recorder, shipper } = await recording(kafka)
    const writing = keepWriting(recorder, shipper)
    for (let i = 0; i < 3; i++) {
      const from = shipper.status().shippedSequence
      await until('it ships', () => shipper.status().shippedSequence > from + 500)
      await server.kill()
      await until('the problem is told', () => shipper.status().problem !== null)
      expect(shipper.status().problem!.code).toBe('CUSTODY-KAFKA-001')
      await server.restart()
    }
    await writing.stop()
    const ledger = await shipped(kafka, recorder, shipper)
    expect(ledger.duplicates).toEqual([])
    expect(shipper.status().problem).toBeNull()
  })

  test('that stands still and wakes: what went unanswered is appended once', async () => {
    const kafka = await started()
    const { recorder, shipper } = await recording(kafka)
    const sessions = openSessions(recorder, 5)
    await say(recorder, sessions, 1000)
    server.pause()
    await say(recorder, sessions, 1000)
    try {
      await until('the problem is told', () => shipper.status().problem !== null)
      expect(shipper.status().behindEvents).toBeGreaterThan(0)
      expect(shipper.status().oldestUnshippedMs).not.toBeNull()
    } finally {
      server.resume()
    }
    const ledger = await shipped(kafka, recorder, shipper)
    expect(ledger.duplicates).toEqual([])
  })

  test('a shipper that was ended while nothing answered: the next one looks, and goes on behind', async () => {
    const kafka = await started()
    const { recorder, shipper } = await recording(kafka)
    const sessions = openSessions(recorder, 5)
    await say(recorder, sessions, 200)
    await until('it ships', () => shipper.status().shippedSequence >= 206)
    server.pause()
    await say(recorder, sessions, 200)
    shipper.nudge()
    await until('some is under way', () => shipper.status().behindEvents >= 200)
    // What it has sent by then lies in the broker's socket.
    await shipper.stop(1000)
    server.resume()
    await say(recorder, sessions, 200)
    const next = kafka.shipper({ directory: place.path, recorder: 'proxy-a' })
    toClose.push(() => next.stop(1000))
    next.start()
    const ledger = await shipped(kafka, recorder, next)
    expect(ledger.duplicates).toEqual([])
  })

  test('away at the start: events wait in the local log, and go when it is there', async () => {
    const kafka = await started()
    await server.kill()
    const { recorder, shipper } = await recording(kafka)
    await say(recorder, openSessions(recorder, 2), 300)
    await until('the problem is told', () => shipper.status().problem?.code === 'CUSTODY-KAFKA-001')
    await server.restart()
    const ledger = await shipped(kafka, recorder, shipper)
    expect(ledger.duplicates).toEqual([])
  })

  test('a shipper killed -9 in the middle of batches, six times: a consumer gets each event once', async () => {
    const settings = settingsFor(server)
    const kafka = await startedKafka(settings)
    toClose.push(() => kafka.close())
    const random = seeded(7)
    for (let i = 0; i < 6; i++) {
      const child = shipperChild(settings)
      const [message] = (await once(child, 'message')) as [{ shipped: number }]
      expect(message.shipped).toBeGreaterThanOrEqual(0)
      await new Promise((resolve) => setTimeout(resolve, 50 + random() * 700))
      const gone = once(child, 'exit')
      child.kill('SIGKILL')
      await gone
    }
    const { recorder, shipper } = await recording(kafka)
    const ledger = await shipped(kafka, recorder, shipper)
    const count = ledger.count('proxy-a')
    expect(count).toBeGreaterThan(500)

    const consumer = kafka.consumer({ group: 'once' })
    await consumer.start()
    const got = new Ledger()
    await until('all is consumed', async () => {
      const slice = await consumer.next()
      if (slice !== null) {
        got.add(slice.messages)
        await consumer.commit(slice)
      }
      return got.count('proxy-a') >= count
    })
    expect(got.duplicates).toEqual([])
    expect(got.disordered).toEqual([])
    await consumer.stop()
  })

  test('an event larger than its topic takes stops the shipper loudly, and goes when the topic takes it', async () => {
    const kafka = await started()
    await server.tool('kafka.admin.ConfigCommand', [
      ...['--bootstrap-server', server.brokers[0]!, '--alter', '--entity-type', 'topics'],
      ...['--entity-name', kafka.topics.events, '--add-config', 'max.message.bytes=2097152'],
    ])
    const { recorder, shipper } = await recording(kafka)
    const [session] = openSessions(recorder, 1)
    const random = Buffer.alloc(3_000_000)
    for (let i = 0, next = seeded(1); i < random.length; i++) random[i] = next() * 256
    await say(recorder, [session!], 10)
    await say(recorder, [session!], 1, random.toString('base64'))
    await say(recorder, [session!], 10)
    await until('it is told', () => shipper.status().problem?.code === 'CUSTODY-KAFKA-004')
    await until('what is before it is there', async () => {
      return (await inTopic(kafka)).count('proxy-a') === 12
    })
    await server.tool('kafka.admin.ConfigCommand', [
      ...['--bootstrap-server', server.brokers[0]!, '--alter', '--entity-type', 'topics'],
      ...['--entity-name', kafka.topics.events, '--add-config', 'max.message.bytes=68157440'],
    ])
    const ledger = await shipped(kafka, recorder, shipper)
    expect(ledger.duplicates).toEqual([])
  })
})

test('three brokers, the leaders killed one after the other: what was acknowledged stays', async () => {
  const server = await startKafka({ brokers: 3, heapMb: 320 })
  toClose.push(() => server.stop())
  const kafka = await startedKafka(settingsFor(server))
  toClose.push(() => kafka.close())
  const { recorder, shipper } = await recording(kafka)
  const writing = keepWriting(recorder, shipper)
  for (const broker of [0, 1]) {
    const from = shipper.status().shippedSequence
    await until('it ships', () => shipper.status().shippedSequence > from + 200)
    await server.kill(broker)
    const then = shipper.status().shippedSequence
    await until('it goes on without it', () => shipper.status().shippedSequence > then + 500)
    await server.restart(broker)
  }
  await writing.stop()
  const ledger = await shipped(kafka, recorder, shipper)
  expect(ledger.duplicates).toEqual([])
})

/** A process that records and ships as fast as it can until it is killed. */
function shipperChild(settings: unknown): ChildProcess {
  const program = `
    const { createKafka } = require(process.argv[1])
    const { openRecorder } = require('@custody/event-log')
    const { createSecrets, silentLogger } = require('@custody/kit')
    const { someone, somewhere } = JSON.parse(process.argv[4])
    ;(async () => {
      const directory = process.argv[3]
      const recorder = await openRecorder({ directory, recorder: 'proxy-a', reserveBytes: 0, consumers: ['kafka'] })
      const kafka = createKafka({ settings: JSON.parse(process.argv[2]), secrets: createSecrets(), logger: silentLogger() })
      const shipper = kafka.shipper({ directory, recorder: 'proxy-a', batchEventsMax: 20 })
      shipper.start()
      const sessions = Array.from({ length: 4 }, () => recorder.openSession(someone, somewhere))
      for (let i = 0; ; i++) {
        recorder.record({ kind: 'command.started', statement: { language: 'sql', interface: 'query', text: 'select ' + i } }, sessions[i % 4])
        if (i % 20 === 0) {
          await recorder.recorded('os')
          shipper.nudge()
          await new Promise((resolve) => setTimeout(resolve, 2))
        }
        if (i === 40) process.send({ shipped: shipper.status().shippedSequence })
      }
    })()
  `
  const child = spawn(
    process.execPath,
    [
      '--no-warnings',
      '-e',
      program,
      join(__dirname, '../dist/index.js'),
      JSON.stringify(settings),
      place.path,
      JSON.stringify({
        someone: {
          ...{ subject: 'ada', issuer: 'test', email: null, name: null, groups: [] },
          ...{ kind: 'human', method: 'token', tokenId: null, authenticatedAt: null },
          onBehalfOf: [],
        },
        somewhere: { gateway: 'g', resource: 'r', protocol: 'postgres' },
      }),
    ],
    { stdio: ['ignore', 'inherit', 'inherit', 'ipc'], cwd: join(__dirname, '..') },
  )
  toClose.push(async () => {
    child.kill('SIGKILL')
  })
  return child
}
