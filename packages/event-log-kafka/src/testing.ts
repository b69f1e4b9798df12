/** What tests of this package begin with. Refuses to be used elsewhere: every call has topics of its own. */
import { createSecrets, type KafkaSettings, parseConfiguration, silentLogger } from '@custody/kit'
import { createKafka } from './kafka'
import type { Kafka } from './types'

let made = 0

/** Settings for a broker of these tests, with topics that nobody else has. */
export function settingsFor(
  server: { brokers: string[] },
  more: Record<string, unknown> = {},
): KafkaSettings {
  const replicas = Math.min(3, server.brokers.length)
  return parseConfiguration(
    JSON.stringify({
      kafka: {
        brokers: server.brokers,
        topicPrefix: `test-${process.pid}-${made++}`,
        partitions: 4,
        replicationFactor: replicas,
        minInsyncReplicas: Math.max(1, replicas - 1),
        ...more,
      },
    }),
  ).kafka!
}

export function kafkaWith(settings: KafkaSettings): Kafka {
  return createKafka({ settings, secrets: createSecrets(undefined), logger: silentLogger() })
}

export async function startedKafka(settings: KafkaSettings): Promise<Kafka> {
  const kafka = kafkaWith(settings)
  await kafka.ensureTopics()
  return kafka
}
