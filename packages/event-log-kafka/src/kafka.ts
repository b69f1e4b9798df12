/**
 * The log in Kafka, put together. Each part has connections of its own, so that a long poll keeps nobody waiting.
 */

import { answered, Client, type ClientOptions } from './client'
import { GroupConsumer } from './consumer'
import { TopicFollower } from './control'
import { inOurWords } from './errors'
import { Backoff, pause } from './pause'
import { Producer } from './producer'
import { topicsFor } from './routing'
import { SchemasTopic } from './schemas-topic'
import { LogShipper } from './shipper'
import { createTokens } from './tokens'
import { ensureTopics } from './topics'
import type { DeadLetter, Kafka, KafkaOptions, KafkaRecord } from './types'

/** How long something that somebody waits for is tried. */
const CALL_MS_MAX = 30_000
const READ_BYTES_MAX = 4 * 1024 * 1024

export function createKafka(o: KafkaOptions): Kafka {
  const { settings, logger } = o
  const topics = topicsFor(settings.topicPrefix)
  const tokens = createTokens(settings, o.secrets)
  const clients = new Set<Client>()
  const abort = new AbortController()

  const newClient = (): Client => {
    const options: ClientOptions = { ...o, tokens }
    const client = new Client(options)
    clients.add(client)
    return client
  }
  const own = newClient()
  const schemas = new SchemasTopic(own, topics.schemas, 'schemas', abort.signal)

  /** Again until it comes about, within the time that somebody waits. */
  async function tried<T>(what: () => Promise<T>, msMax = CALL_MS_MAX): Promise<T> {
    const deadline = Date.now() + msMax
    const backoff = new Backoff()
    for (;;) {
      try {
        return await what()
      } catch (error) {
        const ours = inOurWords(error)
        const transient = ours.code === 'CUSTODY-KAFKA-001' || ours.code === 'CUSTODY-KAFKA-005'
        if (!transient || abort.signal.aborted || Date.now() > deadline) throw ours
        own.forget()
        await pause(backoff.take(), abort.signal)
      }
    }
  }

  /** Produces within bounds; one at a time, since answers that stay out end the producer. */
  let producing: Promise<unknown> = Promise.resolve()
  function produce<T>(what: (producer: Producer) => Promise<T>): Promise<T> {
    const next = producing.then(async () => {
      const limit = AbortSignal.any([abort.signal, AbortSignal.timeout(CALL_MS_MAX)])
      let last: unknown = null
      const producer = new Producer({
        client: own,
        compression: settings.compression,
        signal: limit,
        onTrouble: (error) => {
          last = error
        },
      })
      try {
        return await what(producer)
      } catch (error) {
        throw inOurWords(last ?? error)
      }
    })
    producing = next.catch(() => {})
    return next
  }

  return {
    settings,
    topics,
    ensureTopics: () => tried(() => ensureTopics(own, topics, settings, logger)),
    shipper: (options) =>
      new LogShipper(
        { client: newClient(), settings, topics, logger, signal: abort.signal },
        options,
      ),
    consumer: (options) =>
      new GroupConsumer({ newClient, topics, logger, signal: abort.signal }, options),
    control: (options) =>
      new TopicFollower({ newClient, topics, logger, signal: abort.signal }, options),

    async deadLetters(letters) {
      if (letters.length === 0) return
      await produce((producer) =>
        producer.send(letters.map((one) => deadLetter(topics.deadLetters, one))),
      )
    },

    schemas: {
      get: (fingerprint) => tried(() => schemas.get(fingerprint)),
      put: (fingerprint, schemaJson) =>
        produce((producer) => schemas.put(producer, fingerprint, schemaJson)),
    },

    positions: (group) =>
      tried(async () => {
        const first = await own.offsets(topics.events, 'first')
        const end = await own.offsets(topics.events, 'end')
        const committed = await own.committed(group, topics.events, [...end.keys()])
        return [...end.keys()]
          .sort((a, b) => a - b)
          .map((partition) => ({
            partition,
            first: first.get(partition) ?? 0n,
            end: end.get(partition)!,
            committed: committed.get(partition)?.offset ?? null,
          }))
      }),

    since: (ms) => tried(() => own.offsets(topics.events, ms)),

    read: (partition, from, to) =>
      read(newClient, clients, topics.events, partition, from, to, tried),

    async close() {
      abort.abort()
      for (const client of clients) client.close()
      clients.clear()
    },
  }
}

async function* read(
  newClient: () => Client,
  clients: Set<Client>,
  topic: string,
  partition: number,
  from: bigint,
  to: bigint,
  tried: <T>(what: () => Promise<T>) => Promise<T>,
): AsyncGenerator<KafkaRecord[]> {
  const client = newClient()
  try {
    let at = from
    const end = await tried(
      async () => (await client.offsets(topic, 'end', [partition])).get(partition) ?? 0n,
    )
    const last = to < end ? to : end
    while (at < last) {
      const one = await tried(async () => {
        const node = (await client.leaders(topic))[partition] ?? -1
        const answers = await client.fetch(
          node,
          'read',
          topic,
          [{ partition, offset: at, bytesMax: READ_BYTES_MAX }],
          { waitMs: 100, bytesMax: READ_BYTES_MAX },
        )
        const found = answers.get(partition)
        if (!found || (found.error !== 0 && found.moved === null)) {
          client.forget(topic)
          throw answered(found?.error ?? -1, `read ${topic}/${partition}`)
        }
        return found
      })
      if (one.moved !== null) {
        // Retention has taken what was before, or the topic was made anew.
        at = one.moved
        continue
      }
      const records = one.records
        .filter(({ offset }) => offset < last)
        .map(({ offset, key, value, timestampMs }) => ({
          offset,
          key,
          message: value,
          timestampMs,
        }))
      if (records.length > 0) yield records
      if (one.next <= at) return
      at = one.next
    }
  } finally {
    client.close()
    clients.delete(client)
  }
}

function deadLetter(topic: string, letter: DeadLetter) {
  const headers = new Map<Buffer, Buffer>()
  for (const name of ['reason', 'code', 'topic', 'partition', 'offset'] as const)
    headers.set(Buffer.from(`custody-${name}`), Buffer.from(String(letter[name])))
  return {
    topic,
    partition: 0,
    key: letter.key,
    value: letter.message,
    timestampMs: Date.now(),
    headers,
  }
}
