/**
 * From Kafka into ClickHouse as most would write it: a consumer of the same client that decodes each event with avsc and
 * inserts JSONEachRow in batches. What it has no business with here, being told apart from duplicates, it does without.
 */
import { ClickHouseLogLevel, createClient } from '@clickhouse/client'
import { decodeMessage, type Event } from '@custody/schemas'
import { Consumer, type Message } from '@platformatic/kafka'

const environment = process.env as Record<string, string>
const BATCH_EVENTS = 10_000
const LINGER_MS = 1000

const client = createClient({
  url: environment.BENCH_URL!,
  request_timeout: 300_000,
  log: { level: ClickHouseLogLevel.OFF },
})

/** JSON has no bytes: identifiers and digests as hex, times as text. */
function plain(value: unknown): unknown {
  if (value === null || typeof value !== 'object') return value
  if (Buffer.isBuffer(value)) return value.toString('hex')
  if (Array.isArray(value)) return value.map(plain)
  const result: Record<string, unknown> = {}
  for (const key in value) result[key] = plain((value as Record<string, unknown>)[key])
  return result
}

function rowOf(event: Event): Record<string, unknown> {
  const row = plain(event) as Record<string, unknown>
  const { time } = event
  row.time = `${new Date(Math.floor(time / 1000)).toISOString().slice(0, 23)}${String(time % 1000).padStart(3, '0')}`
  if (event.output)
    (row.output as Record<string, unknown>).data = event.output.data.toString('base64')
  return row
}

async function main(): Promise<void> {
  const consumer = new Consumer({
    clientId: 'plain',
    groupId: environment.BENCH_GROUP!,
    bootstrapBrokers: environment.BENCH_BROKERS!.split(','),
    maxBytes: 8 * 1024 * 1024,
    maxWaitTime: 100,
  })
  const stream = await consumer.consume({
    topics: [environment.BENCH_TOPIC!],
    mode: 'earliest',
    autocommit: false,
  })
  process.send?.('ready')
  let batch: Message[] = []
  let flushedAt = Date.now()

  async function flush(): Promise<void> {
    const messages = batch
    batch = []
    flushedAt = Date.now()
    if (messages.length === 0) return
    await client.insert({
      table: environment.BENCH_TABLE!,
      values: messages.map(({ value }) => rowOf(decodeMessage(value))),
      format: 'JSONEachRow',
      clickhouse_settings: { date_time_input_format: 'best_effort' },
    })
    const last = new Map(messages.map((message) => [message.partition, message]))
    await consumer.commit({
      offsets: [...last.values()].map(({ topic, partition, offset }) => ({
        topic,
        partition,
        offset: offset + 1n,
        leaderEpoch: -1,
      })),
    })
  }

  let turn: Promise<void> = Promise.resolve()
  setInterval(() => {
    if (Date.now() - flushedAt > LINGER_MS) turn = turn.then(flush)
  }, LINGER_MS / 4)
  for await (const message of stream) {
    batch.push(message)
    if (batch.length >= BATCH_EVENTS) {
      turn = turn.then(flush)
      await turn
    }
  }
}

process.on('SIGTERM', () => process.exit(0))
process.on('disconnect', () => process.exit(0))
void main()
