/** Topics on a real broker: made as the settings say, left as they are, refused where they promise less. */

import { openRecorder } from '@custody/event-log'
import { type KafkaServer, startKafka, temporaryDirectory } from '@custody/test-support'
import { startShipperThread } from './shipper-thread'
import { kafkaWith, settingsFor, startedKafka } from './testing'

jest.setTimeout(300_000)
let server: KafkaServer
const toClose: (() => Promise<unknown>)[] = []

beforeAll(async () => {
  server = await startKafka()
})
afterAll(() => server?.stop())
afterEach(async () => {
  for (const close of toClose.splice(0).reverse()) await close()
})

test('made once, by whoever comes first, and then left alone', async () => {
  const settings = settingsFor(server, { partitions: 3, retentionHours: 5 })
  const several = [0, 1, 2].map(() => kafkaWith(settings))
  for (const one of several) toClose.push(() => one.close())
  await Promise.all(several.map((one) => one.ensureTopics()))
  const described = await server.tool('org.apache.kafka.tools.TopicCommand', [
    ...['--bootstrap-server', server.brokers[0]!, '--describe'],
    ...['--topic', `${settings.topicPrefix}.events`],
  ])
  expect(described).toContain('PartitionCount: 3')
  expect(described).toContain('retention.ms=18000000')
  expect(described).toContain('min.insync.replicas=1')
  expect(described).toContain('message.timestamp.type=LogAppendTime')
})

test('that are missing and may not be made, or promise less, are refused by name', async () => {
  const settings = settingsFor(server)
  const missing = kafkaWith({ ...settings, createTopics: false })
  toClose.push(() => missing.close())
  await expect(missing.ensureTopics()).rejects.toMatchObject({
    code: 'CUSTODY-KAFKA-003',
    message: expect.stringContaining(`${settings.topicPrefix}.events`),
  })
  const made = await startedKafka(settings)
  toClose.push(() => made.close())
  for (const [more, what] of [
    [{ replicationFactor: 2 }, 'has 1 replicas, not 2'],
    [{ partitions: 9 }, 'has 4 partitions, not 9'],
    [{ retentionHours: 1000 }, 'retention.ms is'],
  ] as const) {
    const demanding = kafkaWith({ ...settings, ...more })
    toClose.push(() => demanding.close())
    await expect(demanding.ensureTopics()).rejects.toMatchObject({
      code: 'CUSTODY-KAFKA-003',
      message: expect.stringContaining(what),
    })
  }
})

test('nobody there is told with its code, within bounds', async () => {
  const settings = settingsFor({ brokers: ['127.0.0.1:1'] })
  const kafka = kafkaWith(settings)
  toClose.push(() => kafka.close())
  await expect(kafka.ensureTopics()).rejects.toMatchObject({ code: 'CUSTODY-KAFKA-001' })
})

test('a shipper in a thread of its own ships, tells how far, and ends with nothing left', async () => {
  const place = temporaryDirectory('thread')
  toClose.push(() => place.remove())
  const settings = settingsFor(server)
  const kafka = await startedKafka(settings)
  toClose.push(() => kafka.close())
  const directory = place.path
  const recorder = await openRecorder({ directory, recorder: 'proxy-a', reserveBytes: 0 })
  let next = 0
  let told: (() => void) | null = null
  const shipper = startShipperThread({
    ...{ settings, directory, recorder: 'proxy-a', logger: { name: 'test', level: 'silent' } },
    onReplicated: (n) => {
      next = n
      told?.()
    },
  })
  toClose.push(() => shipper.stop(1000))
  shipper.start()
  for (let i = 0; i < 5; i++) {
    recorder.record({ kind: 'command.started' })
    await recorder.recorded('os')
    shipper.nudge()
    while (next < i + 2)
      await new Promise<void>((resolve) => {
        told = resolve
      })
  }
  await recorder.close()
  await shipper.stop(60_000)
  expect(shipper.status()).toMatchObject({ shippedSequence: 7, behindEvents: 0, problem: null })
})
