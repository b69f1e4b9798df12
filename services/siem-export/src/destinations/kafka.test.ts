/** The destination `kafka` at a real broker. */
import { randomBytes } from 'node:crypto'
import { openTopic } from '@custody/event-log-kafka'
import { silentLogger } from '@custody/kit'
import { newUuid, uuidText } from '@custody/schemas'
import { type KafkaServer, startKafka } from '@custody/test-support'
import { deliveryTo, path, recorderIn, secrets, settingsOf, temporaryHome, who } from '../testing'
import { createDestination } from '.'

const TOPIC = 'security-events'
let server: KafkaServer

beforeAll(async () => {
  server = await startKafka({ heapMb: 256 })
  await server.tool('org.apache.kafka.tools.TopicCommand', [
    ...['--bootstrap-server', server.brokers[0]!, '--create', '--topic', TOPIC],
    ...['--partitions', '1', '--replication-factor', '1'],
  ])
}, 180_000)
afterAll(() => server?.stop())

test('a batch that the broker finds too large comes in halves', async () => {
  const home = temporaryHome()
  const recorder = await recorderIn(home, { retentionBytesMax: 1 << 30 })
  const session = newUuid()
  const said: string[] = []
  // Of 3 MB, which no compression makes a megabyte, the most that a broker takes at once.
  for (let i = 0; i < 50; i++) {
    const audit = { action: 'search', subject: randomBytes(45_000).toString('base64') }
    said.push(
      uuidText(
        recorder.record({
          ...{ kind: 'audit.search', session, who, path },
          audit: { ...audit, query: null, results: 0, durationMicros: 0 },
        }),
      ),
    )
  }
  await recorder.recorded('os')
  const settings = { brokers: server.brokers, topic: TOPIC }
  const destination = createDestination({
    ...{ name: 'one', gateway: 'g', secrets, logger: silentLogger() },
    settings: settingsOf({ type: 'kafka', ...settings }),
  })
  const { delivery, files } = deliveryTo(home, destination, {
    settings: { filter: { kinds: ['audit.search'] } },
  })
  delivery.start()
  const topic = openTopic({
    topic: TOPIC,
    settings: { brokers: server.brokers, clientId: 'test', compression: 'none' },
    secrets,
    logger: silentLogger(),
  })
  let held: string[] = []
  while (held.length < said.length) {
    held = []
    for await (const { headers } of topic.read(0)) held.push(headers.get('custody-id')!)
  }
  expect(held).toEqual(said)
  expect(files.letterIds()).toEqual([])
  await delivery.stop()
  topic.close()
  await recorder.close()
  home.remove()
}, 60_000)
