/** The broker that other tests stand on: it starts, and what it was told outlives being killed. */
import { startKafka } from './kafka'

test('a broker is killed, started again on the same port, and still knows its topics', async () => {
  const kafka = await startKafka()
  try {
    const topics = (args: string[]) =>
      kafka.tool('org.apache.kafka.tools.TopicCommand', [
        ...['--bootstrap-server', kafka.brokers[0]!],
        ...args,
      ])
    await topics(['--create', '--topic', 'one', '--partitions', '2', '--replication-factor', '1'])
    await kafka.kill()
    await kafka.restart()
    expect(await topics(['--describe', '--topic', 'one'])).toContain('PartitionCount: 2')
  } finally {
    await kafka.stop()
  }
}, 300_000)
