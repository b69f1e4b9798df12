/** Detections: each is told once, whatever the log refuses, and with several exporters whoever looks has seen everything. */
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { createKafka, type Kafka } from '@custody/event-log-kafka'
import {
  createSecrets,
  type KafkaSettings,
  parseConfiguration,
  prepareHome,
  silentLogger,
} from '@custody/kit'
import { newUuid } from '@custody/schemas'
import { startKafka, temporaryDirectory } from '@custody/test-support'
import { KafkaSource, type KafkaSourceOptions } from '../delivery/kafka-source'
import { LogSource } from '../delivery/log-source'
import type { EventSource } from '../delivery/source'
import { path, recorderIn, temporaryHome, until, who } from '../testing'
import { createDetector, type Detected } from './detector'

const ID = '0d3a2f6e-0000-4000-8000-00000000000'
const RULE = (n: number, title: string) =>
  `title: ${title}\nid: ${ID}${n}\nname: ${title}\nlogsource:\n  product: custody\ndetection:\n  a:\n    kind: access.sign-in\n  condition: a\nlevel: low\n`
const TOGETHER = `title: together\nid: ${ID}9\ncorrelation:\n  type: event_count\n  rules: one\n  group-by: [who.subject]\n  timespan: 1h\n  condition:\n    gte: 4\nlevel: high\n`

function detectorIn(
  directory: string,
  rules: string,
  source: (together: NonNullable<KafkaSourceOptions['together']>) => EventSource,
  record: (detected: Detected) => void,
) {
  mkdirSync(directory, { recursive: true })
  const file = join(directory, 'rules.yml')
  writeFileSync(file, rules)
  return createDetector({
    siem: { rules: [file], starterRules: false, retryMsMin: 10 },
    source,
    directory,
    record: async (fact) => {
      if (fact.type === 'detected') record(fact.detected)
    },
    logger: silentLogger(),
  })
}

test('a log that refuses for a while is told nothing twice', async () => {
  const home = temporaryHome()
  const recorder = await recorderIn(home)
  const told: string[] = []
  let refusals = 0
  const detector = detectorIn(
    join(home.directory, 'siem'),
    `${RULE(1, 'one')}---\n${RULE(2, 'two')}`,
    () =>
      new LogSource({
        ...{ directory: home.log, destination: 'detections', required: false },
        ...{ sliceEventsMax: 100, sliceBytesMax: 1 << 20, heldBytesMax: 1 << 30 },
      }),
    ({ event, rule }) => {
      // In the middle of one event's detections, and between two events.
      if ((told.length === 3 || told.length === 4) && refusals++ < 4) throw new Error('full')
      told.push(`${event} ${rule}`)
    },
  )
  for (let i = 0; i < 4; i++) recorder.record({ kind: 'access.sign-in', who })
  await recorder.recorded('os')
  detector.start()
  await until(() => told.length >= 8)
  await detector.stop()
  expect(refusals).toBeGreaterThan(0)
  expect(new Set(told).size).toBe(8)
  expect(told).toHaveLength(8)
  await recorder.close()
  home.remove()
})

test('on Kafka one looks at all partitions, and whoever takes over has seen what was before', async () => {
  const server = await startKafka({ heapMb: 256 })
  const settings = parseConfiguration(
    JSON.stringify({
      kafka: {
        ...{ brokers: server.brokers, topicPrefix: 'detector', partitions: 4 },
        ...{ replicationFactor: 1, minInsyncReplicas: 1 },
      },
    }),
  ).kafka as KafkaSettings
  const made = () =>
    createKafka({ settings, secrets: createSecrets(undefined), logger: silentLogger() })
  const all: Kafka[] = []
  const kafka = made()
  all.push(kafka)
  await kafka.ensureTopics()
  const place = temporaryDirectory('detector')
  const home = prepareHome(place.path)
  const recorder = await recorderIn(home, { retentionBytesMax: 1 << 30 })
  const shipper = kafka.shipper({ directory: home.log, recorder: 'proxy-g' })
  shipper.start()
  const group = 'detector-siem-detections'
  const told: string[] = []
  const member = (name: string) => {
    const own = made()
    all.push(own)
    return detectorIn(
      join(place.path, name),
      `${RULE(1, 'one')}---\n${TOGETHER}`,
      (together) =>
        new KafkaSource({
          ...{ kafka: own, group, together },
          ...{ sliceEventsMax: 100, sliceBytesMax: 1 << 20 },
        }),
      ({ rule, group }) => told.push(`${name} ${rule} ${JSON.parse(group)['who.subject']}`),
    )
  }
  // With what the recorder says of itself.
  let said = 1
  /** In sessions of their own, so that every partition has some. */
  async function signIn(subject: string, times: number) {
    for (let i = 0; i < times; i++)
      recorder.record({
        ...{ kind: 'access.sign-in', session: newUuid(), path },
        who: { ...who, subject },
      })
    await recorder.recorded('os')
    shipper.nudge()
    said += times
    await until(() => shipper.status().shippedSequence >= said)
  }
  const dealtWith = () =>
    until(async () =>
      (await kafka.positions(group)).every(({ committed, first, end }) =>
        end === first ? true : committed === end,
      ),
    )

  const one = member('one')
  one.start()
  await until(() => one.source.problem() === null && one.status().lag.length === 4)
  await signIn('ada', 3)
  await dealtWith()
  const two = member('two')
  two.start()
  // In the group, with nothing of its own.
  await until(async () => (await membersOf()) === 2)
  // Each of them would see some of these if they shared the partitions.
  for (let i = 0; i < 3; i++) await signIn(`bea-${i}`, 4)
  await dealtWith()
  await until(() => told.length >= 3)
  expect([...told].sort()).toEqual([0, 1, 2].map((i) => `one together bea-${i}`))
  await one.stop()
  await signIn('ada', 1)
  await until(() => told.length >= 4)
  await dealtWith()
  expect(told.slice(3)).toEqual(['two together ada'])
  await two.stop()
  // Of one that is there for the first time nothing is too old that nobody has looked at.
  await signIn('cid', 4)
  const three = member('three')
  three.start()
  await until(() => told.length >= 5)
  expect(told.slice(4)).toEqual(['three together cid'])
  await three.stop()
  await shipper.stop(1000)
  await recorder.close()
  for (const each of all) await each.close()
  await server.stop()
  await place.remove()

  async function membersOf(): Promise<number> {
    const told = await server.tool('org.apache.kafka.tools.consumer.group.ConsumerGroupCommand', [
      ...['--bootstrap-server', server.brokers[0]!, '--describe', '--members', '--group', group],
    ])
    return told.split('\n').filter((line) => line.startsWith(group)).length
  }
}, 180_000)
