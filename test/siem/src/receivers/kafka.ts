/** A real broker, and a topic of it. */
import { openTopic } from '@custody/event-log-kafka'
import { createSecrets, silentLogger } from '@custody/kit'
import { startKafka } from '@custody/test-support'
import type { Receiver } from './receiver'

const TOPIC = 'security-events'

export async function startTopic(): Promise<Receiver> {
  const server = await startKafka({ heapMb: 256 })
  await server.tool('org.apache.kafka.tools.TopicCommand', [
    ...['--bootstrap-server', server.brokers[0]!, '--create', '--topic', TOPIC],
    ...['--partitions', '4', '--replication-factor', '1'],
  ])
  const reading = () =>
    openTopic({
      topic: TOPIC,
      settings: { brokers: server.brokers, clientId: 'test', compression: 'none' },
      secrets: createSecrets(undefined),
      logger: silentLogger(),
    })
  return {
    what: 'Kafka 4.1.1',
    isReal: true,
    // A session is in one partition, which is read in order.
    ordered: true,
    port: Number(server.brokers[0]!.split(':')[1]),
    settings: () => ({ type: 'kafka', format: 'json', brokers: server.brokers, topic: TOPIC }),
    async received() {
      const topic = reading()
      const ids: string[] = []
      for await (const { value } of topic.read(0)) ids.push(JSON.parse(value.toString()).id)
      topic.close()
      return ids
    },
    kill: () => server.kill(),
    restart: () => server.restart(),
    stop: () => server.stop(),
  }
}
