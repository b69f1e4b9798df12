/**
 * A topic of any cluster as something to write to: acks=all, idempotent, partitioned by key as Kafka itself does. And to read
 * from its beginning, for who wants to compare. Refuses to repeat by itself what may be there already under another producer:
 * after a rejection it is for the caller to send again.
 */
import type { KafkaSettings, Logger, Secrets } from '@custody/kit'
import { answered, Client, type Outgoing } from './client'
import { inOurWords } from './errors'
import { partitionOf } from './murmur2'
import { Producer } from './producer'

export interface TopicOptions {
  topic: string
  settings: Pick<KafkaSettings, 'brokers' | 'clientId' | 'compression'> &
    Partial<Pick<KafkaSettings, 'tls' | 'sasl'>>
  secrets: Secrets
  logger: Logger
}

export type TopicRecord = Pick<Outgoing, 'value' | 'timestampMs' | 'headers'> & { key: Buffer }

export interface Topic {
  /** Resolves when all in-sync replicas have all of it. */
  send(records: readonly TopicRecord[], signal: AbortSignal): Promise<void>
  /** What is there and is not older, partition by partition. */
  read(fromMs: number): AsyncIterable<{
    headers: Map<string, string>
    timestampMs: number
    value: Buffer
    key: Buffer | null
  }>
  close(): void
}

const READ_BYTES_MAX = 4 * 1024 * 1024

export function openTopic(o: TopicOptions): Topic {
  const client = new Client({
    settings: o.settings as KafkaSettings,
    secrets: o.secrets,
    logger: o.logger,
  })
  let producer: Producer | null = null
  let trouble: unknown = null

  return {
    async send(records, signal) {
      trouble = null
      try {
        const { length } = await client.leaders(o.topic)
        producer ??= new Producer({
          client,
          compression: o.settings.compression,
          signal,
          onTrouble: (error) => {
            trouble = error
          },
        })
        await producer.send(
          records.map((record) => ({
            ...record,
            topic: o.topic,
            partition: partitionOf(record.key, length),
          })),
          signal,
        )
      } catch (error) {
        producer = null
        client.forget(o.topic)
        throw inOurWords(trouble ?? error)
      }
    },

    async *read(fromMs) {
      const reader = new Client({
        settings: o.settings as KafkaSettings,
        secrets: o.secrets,
        logger: o.logger,
      })
      try {
        const first = await reader.offsets(o.topic, 'first')
        const end = await reader.offsets(o.topic, 'end')
        for (const [partition, last] of end) {
          let at = first.get(partition) ?? 0n
          while (at < last) {
            const node = (await reader.leaders(o.topic))[partition] ?? -1
            const answers = await reader.fetch(
              node,
              'read',
              o.topic,
              [{ partition, offset: at, bytesMax: READ_BYTES_MAX }],
              { waitMs: 100, bytesMax: READ_BYTES_MAX },
            )
            const found = answers.get(partition)
            if (!found || (found.error !== 0 && found.moved === null))
              throw answered(found?.error ?? -1, `read ${o.topic}/${partition}`)
            if (found.moved !== null) {
              at = found.moved
              continue
            }
            for (const { timestampMs, headers = [], value, key } of found.records) {
              if (timestampMs < fromMs) continue
              const told = new Map<string, string>()
              for (const [name, text] of headers) told.set(String(name), String(text))
              yield { headers: told, timestampMs, value, key }
            }
            if (found.next <= at) break
            at = found.next
          }
        }
      } catch (error) {
        throw inOurWords(error)
      } finally {
        reader.close()
      }
    },

    close() {
      client.close()
    },
  }
}
