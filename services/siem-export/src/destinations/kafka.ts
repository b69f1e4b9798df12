/**
 * A topic of any Kafka cluster: acks=all, idempotent, keyed by session, so that a session is in one partition and in order.
 * The producer repeats a batch under its sequence until it is acknowledged; after a restart of ours the same event may be there
 * twice, with the same `custody-id` header.
 */
import type { Topic } from '@custody/event-log-kafka'
import type { KafkaSettings, SiemDestinationSettings } from '@custody/kit'
import { type Destination, type Fault, Undelivered } from '../delivery/destination'
import type { DestinationContext } from './context'

type Settings = Extract<SiemDestinationSettings, { type: 'kafka' }>

const ID = Buffer.from('custody-id')
const KIND = Buffer.from('custody-kind')
/** A broker's own default for one message, and room for what is around it. */
const RECORD_BYTES_MAX = 1024 * 1024 - 4096
/** The same bound is for the batch of a partition as it is sent; what is compressed finds its halves where it has to. */
const PLAIN_BYTES_MAX = 700_000

const FAULTS: Readonly<Record<string, Fault>> = {
  'CUSTODY-KAFKA-002': 'setting',
  'CUSTODY-KAFKA-003': 'setting',
  'CUSTODY-KAFKA-004': 'too-large',
}

export function createKafkaTopic({
  name,
  settings,
  secrets,
  logger,
}: DestinationContext<Settings>): Destination {
  let topic: Topic | null = null
  const opened = () => {
    // Loaded where it is needed: it is a good part of what a thread loads.
    const { openTopic } =
      require('@custody/event-log-kafka') as typeof import('@custody/event-log-kafka')
    topic ??= openTopic({
      topic: settings.topic,
      settings: {
        brokers: settings.brokers,
        clientId: `custody-siem-${name}`,
        compression: settings.compression,
        ...(settings.tls && { tls: settings.tls }),
        ...(settings.sasl !== undefined && { sasl: settings.sasl as KafkaSettings['sasl'] }),
      },
      secrets,
      logger,
    })
    return topic
  }

  return {
    name,
    acknowledges: 'stored',
    limits: {
      recordBytesMax: RECORD_BYTES_MAX,
      ...(settings.compression === 'none' && { bytesMax: PLAIN_BYTES_MAX }),
    },

    async deliver({ records }, signal) {
      try {
        await opened().send(
          records.map(({ id, kind, key, text, timeMicros }) => ({
            key: Buffer.from(key),
            value: Buffer.from(text),
            timestampMs: timeMicros / 1000,
            headers: new Map([
              [ID, Buffer.from(id)],
              [KIND, Buffer.from(kind)],
            ]),
          })),
          AbortSignal.any([signal, AbortSignal.timeout(settings.requestMsMax)]),
        )
        return {}
      } catch (cause) {
        const { message, code } = cause as { message: string; code?: string }
        throw new Undelivered(
          `${name}: ${message}`,
          FAULTS[code ?? ''] ?? 'retry',
          undefined,
          cause,
        )
      }
    },

    holdings: {
      async *ids(fromMicros, toMicros) {
        for await (const { headers, timestampMs } of opened().read(Math.floor(fromMicros / 1000))) {
          if (timestampMs > Math.ceil(toMicros / 1000)) continue
          const id = headers.get('custody-id')
          if (id !== undefined) yield id
        }
      },
    },

    async close() {
      topic?.close()
    },
  }
}
