/**
 * Clients of Kafka side by side on a real broker, used as the shipper uses one: `node bench/dist/kafka-clients.js`. How fast,
 * at which CPU a record, and what becomes of a batch behind one that went unanswered. Prints lines for a person.
 */
import { randomFillSync } from 'node:crypto'
import { type KafkaServer, startKafka } from '@custody/test-support'
import {
  Connection,
  fetchV12,
  initProducerIdV4,
  Producer as PlatformaticProducer,
  produceV9,
} from '@platformatic/kafka'
import { CompressionTypes, Kafka as KafkaJs, logLevel, Partitioners } from 'kafkajs'

const RECORDS = 100_000
const BATCH = 1000
const PARTITIONS = 12
const KEYS = 500
const VALUE_BYTES = 600
const ANSWER_MS_MAX = 3000

const keys = Array.from({ length: KEYS }, () => randomFillSync(Buffer.alloc(16)))
/** A third of each is random, as identifiers and digests of an event are. */
const values = Array.from({ length: RECORDS }, () =>
  randomFillSync(Buffer.alloc(VALUE_BYTES), 0, VALUE_BYTES / 3),
)

async function measured(name: string, work: () => Promise<void>): Promise<void> {
  const cpu = process.cpuUsage()
  const start = performance.now()
  await work()
  const { user, system } = process.cpuUsage(cpu)
  const perSecond = Math.round((RECORDS / (performance.now() - start)) * 1000)
  const micros = ((user + system) / RECORDS).toFixed(1)
  process.stdout.write(`${name.padEnd(40)} ${perSecond}/s, ${micros} µs CPU a record\n`)
}

function* batches<T>(make: (value: Buffer, i: number) => T): Generator<T[]> {
  for (let i = 0; i < RECORDS; i += BATCH)
    yield values.slice(i, i + BATCH).map((value, j) => make(value, i + j))
}

async function connected(server: KafkaServer): Promise<Connection> {
  const connection = new Connection('bench', {})
  const [host = '', port] = server.brokers[0]!.split(':')
  await connection.connect(host, Number(port))
  return connection
}

async function throughput(server: KafkaServer, kafkajs: KafkaJs): Promise<void> {
  const producer = kafkajs.producer({
    idempotent: true,
    maxInFlightRequests: 1,
    createPartitioner: Partitioners.DefaultPartitioner,
  })
  await producer.connect()
  for (const [name, compression] of [
    ['none', CompressionTypes.None],
    ['gzip', CompressionTypes.GZIP],
  ] as const)
    await measured(`kafkajs, ${name}`, async () => {
      for (const messages of batches((value, i) => ({ key: keys[i % KEYS]!, value })))
        await producer.send({ topic: `kafkajs-${name}`, messages, acks: -1, compression })
    })
  await producer.disconnect()

  const platformatic = new PlatformaticProducer({
    clientId: 'bench',
    bootstrapBrokers: server.brokers,
    idempotent: true,
  })
  for (const compression of ['none', 'gzip', 'lz4', 'snappy'] as const)
    await measured(`@platformatic/kafka, ${compression}`, async () => {
      const topic = `platformatic-${compression}`
      for (const messages of batches((value, i) => ({ topic, key: keys[i % KEYS]!, value })))
        await platformatic.send({ messages, compression, acks: -1 })
    })
  await platformatic.close()

  const connection = await connected(server)
  const { producerId, producerEpoch } = await initProducerIdV4.api.async(
    connection,
    null,
    1000,
    -1n,
    -1,
  )
  const sent = new Map<string, number>()
  const sequences = { getWithDefault: (at: string) => sent.get(at) ?? 0 } as never
  for (const compression of ['none', 'lz4'] as const)
    await measured(`its wire layer alone, ${compression}`, async () => {
      const topic = `wire-${compression}`
      for (const messages of batches((value, i) => ({
        ...{ topic, value, partition: (i % KEYS) % PARTITIONS, key: keys[i % KEYS]! },
      }))) {
        const options = { producerId, producerEpoch, sequences, compression }
        await produceV9.api.async(connection, -1, 5000, messages, options)
        for (const { partition } of messages)
          sent.set(`${topic}:${partition}`, (sent.get(`${topic}:${partition}`) ?? 0) + 1)
      }
    })
  await measured('its wire layer alone, fetch', async () => {
    const at = Array.from({ length: PARTITIONS }, () => 0n)
    for (let got = 0; got < RECORDS; ) got += (await fetched(connection, 'wire-none', at)).length
  })
  await connection.close()

  const consumer = kafkajs.consumer({ groupId: 'bench', maxWaitTimeInMs: 100 })
  await consumer.connect()
  await consumer.subscribe({ topic: 'kafkajs-none', fromBeginning: true })
  await measured('kafkajs, eachBatch', async () => {
    let got = 0
    await new Promise<void>((resolve, reject) => {
      consumer
        .run({
          autoCommit: false,
          eachBatch: async ({ batch }) => {
            got += batch.messages.length
            if (got >= RECORDS) resolve()
          },
        })
        .catch(reject)
    })
  })
  await consumer.disconnect()
}

async function fetched(connection: Connection, topicId: string, at: bigint[]): Promise<Buffer[]> {
  const partitions = at.map((fetchOffset, partition) => ({
    ...{ partition, fetchOffset, currentLeaderEpoch: -1, lastFetchedEpoch: -1 },
    partitionMaxBytes: 4_000_000,
  }))
  const topics = [{ topicId, partitions }]
  const answer = await fetchV12.api.async(connection, 100, 1, 8_000_000, 0, 0, -1, topics, [], '')
  const found: Buffer[] = []
  for (const { partitionIndex, records = [] } of answer.responses[0]!.partitions)
    for (const batch of records) {
      for (const { value } of batch.records) found.push(value!)
      at[partitionIndex] = batch.firstOffset + BigInt(batch.lastOffsetDelta) + 1n
    }
  return found
}

/** A batch goes unanswered, and its caller gives it up; then the next. Which of them are there? */
async function unanswered(server: KafkaServer, kafkajs: KafkaJs): Promise<void> {
  const js = kafkajs.producer({ idempotent: true, maxInFlightRequests: 1, retry: { retries: 1 } })
  await js.connect()
  const platformatic = new PlatformaticProducer({
    ...{ clientId: 'bench', bootstrapBrokers: server.brokers, idempotent: true },
    ...{ requestTimeout: ANSWER_MS_MAX, retries: 2, retryDelay: 10 },
  })
  const batch = (name: string) =>
    Array.from({ length: 10 }, (_, i) => ({ value: Buffer.from(`${name} ${i}`) }))
  const clients = {
    kafkajs: (name: string) => js.send({ topic: 'kafkajs', messages: batch(name), acks: -1 }),
    platformatic: (name: string) =>
      platformatic.send({
        messages: batch(name).map((one) => ({ ...one, topic: 'platformatic' })),
        acks: -1,
      }),
  }
  for (const [topic, send] of Object.entries(clients)) {
    const outcome = (name: string) =>
      Promise.resolve(send(name)).then(
        () => `${name} acknowledged`,
        () => `${name} rejected`,
      )
    const said = [await outcome('A')]
    server.pause()
    await new Promise((resolve) => setTimeout(resolve, 500))
    said.push(await outcome('B'))
    server.resume()
    await new Promise((resolve) => setTimeout(resolve, 3000))
    said.push(await outcome('C'), await outcome('D'))
    const connection = await connected(server)
    const there = (await fetched(connection, topic, [0n])).map((value) => value.toString()[0]!)
    await connection.close()
    process.stdout.write(`${topic}: ${said.join(', ')}; there: ${[...new Set(there)].join(' ')}\n`)
  }
  await js.disconnect()
}

async function main(): Promise<void> {
  const server = await startKafka()
  try {
    const kafkajs = new KafkaJs({
      ...{ clientId: 'bench', brokers: server.brokers, logLevel: logLevel.NOTHING },
      requestTimeout: ANSWER_MS_MAX,
    })
    const admin = kafkajs.admin()
    await admin.connect()
    const many = ['kafkajs-none', 'kafkajs-gzip', 'wire-none', 'wire-lz4'].concat(
      ['none', 'gzip', 'lz4', 'snappy'].map((one) => `platformatic-${one}`),
    )
    await admin.createTopics({
      topics: [
        ...many.map((topic) => ({ topic, numPartitions: PARTITIONS })),
        ...['kafkajs', 'platformatic'].map((topic) => ({ topic, numPartitions: 1 })),
      ],
      waitForLeaders: true,
    })
    await admin.disconnect()
    await throughput(server, kafkajs)
    await unanswered(server, kafkajs)
  } finally {
    await server.stop()
  }
}

void main().then(
  () => process.exit(0),
  (error) => {
    process.stderr.write(`${error.stack}\n`)
    process.exit(1)
  },
)
