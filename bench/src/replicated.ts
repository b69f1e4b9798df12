/**
 * What waiting for durability costs a command: `os`, `disk`, and `replicated`, where Kafka must have acknowledged it, by one
 * client and by many. Gateways that differ in nothing else, in turn, in one run.
 */
import { startKafka, temporaryDirectory } from '@custody/test-support'
import { cpuSeconds, type Table } from './measure'
import { runPgbench, startBenchDatabase } from './proxy'
import { startSubjects } from './subjects'

export interface ReplicatedOptions {
  rounds: number
  seconds: number
  clients: number[]
  brokers: number
  progress(line: string): void
}

export async function benchReplicated(o: ReplicatedOptions, table: Table): Promise<string[]> {
  const directory = temporaryDirectory('bench-replicated')
  const server = await startBenchDatabase()
  const kafka = await startKafka({ brokers: o.brokers })
  const addresses = kafka.brokers.map((one) => `"${one}"`).join(', ')
  const settings = `kafka: {brokers: [${addresses}], partitions: 4, replicationFactor: ${Math.min(3, o.brokers)}, minInsyncReplicas: ${Math.min(2, o.brokers)}}\nidentity: {tokenKeys: {issuer: local}}\n`
  const names = ['custody os', 'custody disk', 'custody os, shipping', 'custody replicated']
  const subjects = await startSubjects(
    server,
    directory.path,
    (name) => name === 'direct' || names.includes(name),
    [
      { name: 'custody os, shipping', durability: 'os', more: `gateway: os\n${settings}` },
      {
        name: 'custody replicated',
        durability: 'replicated',
        more: `gateway: replicated\n${settings}`,
      },
    ],
  )
  try {
    for (let round = 1; round <= o.rounds; round++) {
      o.progress(`round ${round} of ${o.rounds}`)
      for (const clients of o.clients)
        for (const subject of subjects.all) {
          const name = `${clients} ${clients === 1 ? 'client' : 'clients'}`
          const before = subject.pid ? cpuSeconds([subject.pid]) : 0
          const { tps, latencyMs, transactions } = await runPgbench(
            subject,
            'simple',
            clients,
            o.seconds,
          )
          table.add(name, subject.name, 'commands/s', tps)
          table.add(`${name}: latency`, subject.name, 'ms', latencyMs)
          if (subject.pid)
            table.add(
              `${name}: gateway CPU`,
              subject.name,
              'µs/command',
              ((cpuSeconds([subject.pid]) - before) * 1e6) / transactions,
            )
        }
    }
    return [
      `PostgreSQL ${server.version}; pgbench select-only, simple protocol, plain text`,
      `Kafka: ${o.brokers === 1 ? 'one broker' : `${o.brokers} brokers, acknowledged by ${Math.min(2, o.brokers)} at least`}, all on these cores; \`shipping\` sends its log to Kafka too, and waits for nothing`,
    ]
  } finally {
    await subjects.stop()
    await kafka.stop()
    await server.stop()
    await directory.remove()
  }
}
