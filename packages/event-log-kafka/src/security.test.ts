/** TLS and each way to sign in, against a real broker that insists on it; and what is permitted to whom. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { openRecorder } from '@custody/event-log'
import {
  certificateFor,
  type KafkaServer,
  type OidcProvider,
  openSessions,
  say,
  startKafka,
  startOidcProvider,
  temporaryDirectory,
} from '@custody/test-support'
import { kafkaWith, settingsFor, startedKafka } from './testing'
import type { Kafka } from './types'

jest.setTimeout(300_000)
let server: KafkaServer
let provider: OidcProvider
let place: ReturnType<typeof temporaryDirectory>
const toClose: (() => Promise<unknown>)[] = []

beforeAll(async () => {
  provider = await startOidcProvider()
  server = await startKafka({
    tls: true,
    authorizer: true,
    sasl: {
      users: { custody: 'right', shipper: 'ships' },
      oauthbearer: {
        jwksUrl: `${provider.issuer}/jwks`,
        issuer: provider.issuer,
        audience: 'urn:custody',
      },
    },
  })
  for (const name of ['custody', 'ci'])
    for (const what of [
      ['--topic', 'test-', '--resource-pattern-type', 'prefixed'],
      ['--group', 'custody'],
    ])
      await permit(name, ['--operation', 'All', ...what])
})
afterAll(async () => {
  await server?.stop()
  await provider?.stop()
})
beforeEach(() => {
  place = temporaryDirectory('security')
})
afterEach(async () => {
  for (const close of toClose.splice(0).reverse()) await close()
  await place?.remove()
})

function permit(name: string, what: string[]): Promise<string> {
  return server.tool('org.apache.kafka.tools.AclCommand', [
    ...['--bootstrap-server', server.brokers[0]!, '--add', '--allow-principal', `User:${name}`],
    ...what,
  ])
}

function opened(kafka: Kafka): Kafka {
  toClose.push(() => kafka.close())
  return kafka
}

/** Goes all the way: topics, shipping, reading back. */
async function works(kafka: Kafka): Promise<void> {
  const directory = place.path
  await kafka.ensureTopics()
  const recorder = await openRecorder({ directory, recorder: 'proxy-a', reserveBytes: 0 })
  await say(recorder, openSessions(recorder, 2), 50)
  await recorder.close()
  const shipper = kafka.shipper({ directory, recorder: 'proxy-a' })
  shipper.start()
  await shipper.stop(60_000)
  expect(shipper.status().problem).toBeNull()
  let count = 0
  for (const { partition, first, end } of await kafka.positions('custody'))
    for await (const records of kafka.read(partition, first, end)) count += records.length
  expect(count).toBe(shipper.status().shippedSequence)
  expect(count).toBeGreaterThan(50)
}

const password = (literal: string) => ({ password: { literal } })

test('TLS, with the authority that signed', async () => {
  await works(
    opened(kafkaWith(settingsFor({ brokers: server.tlsBrokers }, { tls: { ca: server.ca } }))),
  )
})

test('another authority, or none that is known: refused, with its code', async () => {
  const other = join(place.path, 'other.pem')
  writeFileSync(other, (await certificateFor()).certificate)
  for (const tls of [{ ca: other }, {}, { ca: server.ca, serverName: 'elsewhere.example' }]) {
    const kafka = opened(kafkaWith(settingsFor({ brokers: server.tlsBrokers }, { tls })))
    await expect(kafka.ensureTopics()).rejects.toMatchObject({ code: 'CUSTODY-KAFKA-002' })
  }
})

describe.each(['plain', 'scram-sha-256', 'scram-sha-512'])('%s', (mechanism) => {
  const settings = (literal: string) =>
    settingsFor(
      { brokers: server.saslTlsBrokers },
      {
        tls: { ca: server.ca },
        sasl: { mechanism, username: 'custody', ...password(literal) },
      },
    )

  test('with TLS, the right password', async () => {
    await works(opened(kafkaWith(settings('right'))))
  })

  test('a wrong one is refused, with its code and without it', async () => {
    const kafka = opened(kafkaWith(settings('wrong-one')))
    const error = await kafka.ensureTopics().catch((caught) => caught)
    expect(error).toMatchObject({ code: 'CUSTODY-KAFKA-002' })
    expect(String(error)).not.toContain('wrong-one')
  })
})

describe('oauthbearer', () => {
  const settings = (literal: string) =>
    settingsFor(
      { brokers: server.saslBrokers },
      {
        sasl: {
          mechanism: 'oauthbearer',
          tokenUrl: `${provider.issuer}/token`,
          clientId: 'ci',
          clientSecret: { literal },
          scope: 'run',
        },
      },
    )

  test('a token for the client’s credentials, checked by the broker with the issuer’s keys', async () => {
    await works(opened(kafkaWith(settings('ci-secret'))))
  })

  test('credentials that the issuer does not take', async () => {
    const kafka = opened(kafkaWith(settings('no-secret')))
    const error = await kafka.ensureTopics().catch((caught) => caught)
    expect(error).toMatchObject({ code: 'CUSTODY-KAFKA-002' })
    expect(String(error)).not.toContain('no-secret')
  })
})

test('a shipper does with the permissions of docs/kafka.md, and not without', async () => {
  const made = settingsFor({ brokers: server.brokers })
  opened(await startedKafka(made))
  const kafka = opened(
    kafkaWith({
      ...made,
      brokers: server.saslBrokers,
      createTopics: false,
      sasl: { mechanism: 'scram-sha-512', username: 'shipper', password: { literal: 'ships' } },
    }),
  )
  await expect(kafka.ensureTopics()).rejects.toMatchObject({ code: 'CUSTODY-KAFKA-002' })
  for (const [topic, operations] of [
    ['events', ['Write', 'Read', 'DescribeConfigs']],
    ['control', ['Write', 'Read', 'DescribeConfigs']],
    ['standing', ['Write', 'Read', 'DescribeConfigs']],
    ['schemas', ['Write', 'Read', 'DescribeConfigs']],
    ['dead-letters', ['Describe', 'DescribeConfigs']],
  ] as const)
    await permit('shipper', [
      ...operations.flatMap((operation) => ['--operation', operation]),
      ...['--topic', `${made.topicPrefix}.${topic}`],
    ])
  const directory = place.path
  await kafka.ensureTopics()
  const recorder = await openRecorder({ directory, recorder: 'proxy-a', reserveBytes: 0 })
  await say(recorder, openSessions(recorder, 2), 50)
  await recorder.close()
  const shipper = kafka.shipper({ directory, recorder: 'proxy-a' })
  shipper.start()
  await shipper.stop(60_000)
  expect(shipper.status()).toMatchObject({ problem: null, behindEvents: 0 })
})
