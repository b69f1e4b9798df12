/**
 * The exporter as a member of a cluster: events come from a real Kafka. Positions in the topic move behind what the receiver has
 * acknowledged and never before; whatever happens to the exporter, the receiver has every event, in the order of its session.
 */
import { randomUUID } from 'node:crypto'
import { readdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { createKafka, type Kafka } from '@custody/event-log-kafka'
import {
  createSecrets,
  homeAt,
  type KafkaSettings,
  parseConfiguration,
  prepareHome,
  silentLogger,
} from '@custody/kit'
import { StateFiles, siemDirectory } from '@custody/siem-state'
import { type KafkaServer, startKafka, temporaryDirectory } from '@custody/test-support'
import { compare } from './compare'
import { DESTINATIONS } from './destinations'
import { Exporter } from './exporter'
import { Load, logged } from './load'
import type { Receiver } from './receivers/receiver'

const NAME = 'under-test'
const BATCH_EVENTS = 100
const PATIENCE_MS = 120_000

let server: KafkaServer
let made = 0

beforeAll(async () => {
  server = await startKafka({ heapMb: 256 })
}, 180_000)
afterAll(() => server?.stop())

/** A gateway whose log goes to Kafka, and an exporter elsewhere that knows nothing but Kafka. */
async function setUp(receiver: Receiver, more: Record<string, unknown> = {}) {
  const configuration = {
    gateway: 'exporter',
    kafka: {
      ...{ brokers: server.brokers, topicPrefix: `siem-${process.pid}-${made++}` },
      ...{ partitions: 4, replicationFactor: 1, minInsyncReplicas: 1 },
    },
    siem: {
      retryMsMin: 50,
      receiptSeconds: 1,
      destinations: {
        [NAME]: {
          ...receiver.settings(receiver.port),
          filter: { kinds: ['session', 'command'] },
          batch: { eventsMax: BATCH_EVENTS, lingerMs: 50 },
          ...more,
        },
      },
    },
  }
  const settings = parseConfiguration(JSON.stringify(configuration)).kafka as KafkaSettings
  const kafka = createKafka({
    settings,
    secrets: createSecrets(undefined),
    logger: silentLogger(),
  })
  await kafka.ensureTopics()
  const place = temporaryDirectory('siem-gateway')
  prepareHome(place.path)
  const load = await Load.open(place.path)
  const directory = join(place.path, 'log')
  let shipped = 0
  const ship = () =>
    kafka.shipper({ directory, recorder: 'proxy-test', onReplicated: (n) => (shipped = n) })
  let shipper = ship()
  shipper.start()
  return {
    kafka,
    load,
    exporter: new Exporter(configuration),
    group: `${settings.topicPrefix}-siem-${NAME}`,
    log: async () => (await logged(place.path)).filter(({ key }) => key.length === 36),
    /** So many more are in Kafka. */
    async say(events: number) {
      await load.say(events)
      shipper.nudge()
      const all = (await logged(place.path)).length
      await until('all is in Kafka', async () => shipped >= all)
    },
    /** All of it once more, as a shipper does that forgot how far it was. */
    async shipAgain() {
      await shipper.stop(PATIENCE_MS)
      rmSync(join(directory, 'proxy-test/consumers'), { recursive: true, force: true })
      shipped = 0
      shipper = ship()
      shipper.start()
      const all = (await logged(place.path)).length
      await until('all is in Kafka again', async () => shipped >= all)
    },
    async close() {
      await this.exporter.stop()
      await shipper.stop(1000)
      await load.close()
      await kafka.close()
      await receiver.stop()
      await place.remove()
    },
  }
}

async function until(what: string, isSo: () => Promise<boolean>): Promise<void> {
  const deadline = Date.now() + PATIENCE_MS
  while (!(await isSo())) {
    if (Date.now() > deadline) throw new Error(`never: ${what}`)
    await sleep(50)
  }
}

/** Of all partitions, what a group has committed, and what is there. */
async function positions(kafka: Kafka, group: string) {
  const all = await kafka.positions(group)
  return {
    committed: all.reduce((sum, { committed, first }) => sum + Number(committed ?? first), 0),
    end: all.reduce((sum, { end }) => sum + Number(end), 0),
  }
}

async function ask(
  exporter: Exporter,
  request: { what: 'send' | 'reconcile'; lookOnly?: boolean },
) {
  const files = new StateFiles(siemDirectory(homeAt(exporter.home)), NAME)
  const id = randomUUID()
  files.ask({
    ...{ id, by: 'tester', ...request },
    ...{ fromMicros: (Date.now() - 3_600_000) * 1000, toMicros: (Date.now() + 60_000) * 1000 },
  })
  let answer = files.answerOf(id)
  await until('it was answered', async () => {
    answer = files.answerOf(id)
    return answer?.done === true
  })
  return answer
}

test('what is in Kafka is delivered, each session in order; a kill repeats a batch at most', async () => {
  const receiver = await DESTINATIONS['rsyslog-tcp']!.start()
  const o = await setUp(receiver)
  try {
    await o.say(600)
    await o.exporter.start()
    await until('something arrived', async () => (await receiver.received()).length > 0)
    await o.exporter.kill()
    await o.say(600)
    await o.exporter.start()
    const log = await o.log()
    const compared = async () => compare(log, await receiver.received(), { ordered: true })
    await until('all arrived', async () => (await compared()).missing === 0)
    const result = await compared()
    expect(result).toMatchObject({ missing: 0, reordered: 0, invented: 0, received: log.length })
    // Of each partition one range may have been under way.
    expect(result.duplicates).toBeLessThanOrEqual(BATCH_EVENTS)
    await until('positions are at what was acknowledged', async () => {
      const { committed, end } = await positions(o.kafka, o.group)
      // What the exporter says of itself is in the topic too, and goes on.
      return committed >= (await o.log()).length && end - committed < 50
    })
    // In order: nothing comes twice.
    const before = (await receiver.received()).length
    await o.exporter.end()
    await o.say(100)
    await o.exporter.start()
    const more = await o.log()
    const again = async () => compare(more, await receiver.received(), { ordered: true })
    await until('the rest arrived', async () => (await again()).missing === 0)
    expect(await again()).toMatchObject({ reordered: 0, duplicates: result.duplicates })
    expect((await receiver.received()).length).toBe(before + more.length - log.length)
  } finally {
    await o.close()
  }
}, 400_000)

test('positions stay where they are while nothing is acknowledged', async () => {
  const receiver = await DESTINATIONS['rsyslog-tcp']!.start()
  const o = await setUp(receiver)
  try {
    await receiver.kill!()
    await o.say(300)
    await o.exporter.start()
    await until('it was tried', async () => (o.exporter.status(NAME)?.counts.retries ?? 0) >= 3)
    const log = await o.log()
    const { committed, end } = await positions(o.kafka, o.group)
    expect(end - committed).toBeGreaterThanOrEqual(log.length)
    expect(o.exporter.status(NAME)).toMatchObject({
      counts: { acknowledged: 0 },
      problem: { code: 'CUSTODY-SIEM-001' },
    })
    await receiver.restart!()
    const compared = async () => compare(log, await receiver.received(), { ordered: true })
    await until('all arrived', async () => (await compared()).missing === 0)
    expect(await compared()).toMatchObject({ reordered: 0, invented: 0 })
  } finally {
    await o.close()
  }
}, 400_000)

test('what a destination lacks is named from Kafka, and sent again; so is a range', async () => {
  const { start, settings } = DESTINATIONS['s3-jsonl']!
  const receiver = await start()
  const o = await setUp(receiver, settings)
  try {
    await o.say(400)
    await o.exporter.start()
    const log = await o.log()
    const compared = async () => compare(log, await receiver.received(), { ordered: false })
    await until('all arrived', async () => (await compared()).missing === 0)
    await until(
      'all is remembered',
      async () => (o.exporter.status(NAME)?.counts.acknowledged ?? 0) >= log.length,
    )
    // A second copy in the topic is no second event.
    await o.shipAgain()
    expect(await ask(o.exporter, { what: 'reconcile' })).toMatchObject({
      ...{ expected: log.length, missing: 0, sent: 0 },
    })
    const root = join(receiver.directory!, 'custody')
    const object = (readdirSync(root, { recursive: true }) as string[]).find((one) =>
      one.endsWith('.gz'),
    )
    rmSync(join(root, object!))
    const gone = (await compared()).missing
    expect(gone).toBeGreaterThan(0)
    expect(await ask(o.exporter, { what: 'reconcile', lookOnly: true })).toMatchObject({
      ...{ missing: gone, sent: 0 },
    })
    expect(await ask(o.exporter, { what: 'reconcile' })).toMatchObject({
      ...{ missing: gone, sent: gone },
    })
    await until('it is back', async () => (await compared()).missing === 0)
    expect(await ask(o.exporter, { what: 'send' })).toMatchObject({ sent: log.length, aside: 0 })
    const all = await receiver.received()
    for (const { id } of log) expect(all).toContain(id)
  } finally {
    await o.close()
  }
}, 400_000)
