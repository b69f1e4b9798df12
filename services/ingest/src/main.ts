/**
 * Ingest as a process. With `kafka` in the configuration it is a member of a consumer group there, otherwise it follows the
 * event logs of CUSTODY_HOME; it inserts into the ClickHouse of `warehouse`, or of CUSTODY_WAREHOUSE_URL.
 *   --group <name>   another consumer group than `custody-ingest`: a new one begins at the beginning (CUSTODY_INGEST_GROUP)
 *   --until-end      ends when all is in the store that was there when it was started
 *   --letters <dir>  inserts the dead letters in a directory, removes those that went in, and ends
 *   --dump           writes the store's events to standard output, in an order and form that depend on nothing else
 */
import { parseArgs } from 'node:util'
import { createClient } from '@clickhouse/client'
import { createKafka, type Kafka } from '@custody/event-log-kafka'
import {
  createLogger,
  createSecrets,
  homeDirectory,
  loadConfiguration,
  prepareHome,
  runService,
  serveHealth,
} from '@custody/kit'
import { keepWarehouse, warehouseUrl } from '@custody/warehouse'
import { canonicalDump } from './dump'
import { createIngest, type Ingest } from './ingest'
import { KAFKA_DEFAULTS, KafkaSource } from './kafka-source'
import { LettersSource } from './letters-source'

const END_POLL_MS = 200

const logger = createLogger({ name: 'ingest' })
const { values: wanted } = parseArgs({
  options: {
    group: { type: 'string' },
    'until-end': { type: 'boolean' },
    letters: { type: 'string' },
    dump: { type: 'boolean' },
  },
})
const group = wanted.group ?? process.env.CUSTODY_INGEST_GROUP

if (wanted.dump) void dump()
else
  void runService({
    name: 'ingest',
    logger,
    start,
    ready: ({ ports }) => ({ ports }),
  })

async function start() {
  const configuration = loadConfiguration()
  const home = prepareHome(homeDirectory())
  const secrets = createSecrets(configuration.vault, { logger })
  const { kafka: settings, warehouse } = configuration
  // Tables, users and retention first; beside it, months that are old are moved to cold storage.
  const kept = await keepWarehouse({ settings: warehouse, secrets, logger })
  const kafka = settings ? createKafka({ settings, secrets, logger }) : null
  await kafka?.ensureTopics()
  const kafkaGroup = group ?? `${settings?.topicPrefix ?? 'custody'}-ingest`
  const source =
    wanted.letters !== undefined
      ? new LettersSource(wanted.letters, async (one) => (await kafka?.schemas.get(one)) ?? null)
      : kafka && new KafkaSource({ kafka, group: kafkaGroup, ...KAFKA_DEFAULTS })
  const ingest = createIngest({
    home,
    warehouseUrl: await warehouseUrl('ingest', warehouse, secrets),
    adminUrl: await warehouseUrl('admin', warehouse, secrets),
    ...(warehouse?.cluster !== undefined && { cluster: warehouse.cluster }),
    ...(group !== undefined && { consumer: group }),
    ...(source && { source }),
    logger,
  })
  const stop = async () => {
    await kept.stop()
    await ingest.stop()
    await kafka?.close()
  }
  try {
    await ingest.start()
    void ingest.failed.then((error) => {
      // Another version has to do it: whoever started this one is told by its end.
      throw error
    })
    if (wanted['until-end'] || wanted.letters !== undefined)
      void endAtEnd(ingest, wanted.letters === undefined ? kafka : null, kafkaGroup)
    const { host, health: port } = configuration.listen
    const health =
      port === undefined
        ? null
        : await serveHealth({
            host,
            port,
            problem: () => ingest.status().problem?.message ?? null,
            metrics: async () => [
              ...ingest.metrics(),
              ...(kafka ? await lagOf(kafka, kafkaGroup) : []),
            ],
          })
    return {
      ports: health ? { health: health.port } : {},
      async stop() {
        await health?.stop()
        await stop()
      },
    }
  } catch (error) {
    await stop()
    throw error
  }
}

async function lagOf(kafka: Kafka, of: string) {
  const positions = await kafka.positions(of)
  return [
    {
      name: 'custody_ingest_lag_events',
      help: 'Offsets of a partition of the events topic that are not committed.',
      values: positions.map(({ partition, first, end, committed }) => ({
        value: Number(end - (committed ?? first)),
        labels: { partition: String(partition) },
      })),
    },
  ]
}

/** Embedded logs and letters are read to their end by stopping. */
async function endAtEnd(ingest: Ingest, kafka: Kafka | null, of: string): Promise<void> {
  if (kafka) {
    const goals = new Map((await kafka.positions(of)).map(({ partition, end }) => [partition, end]))
    for (;;) {
      const positions = await kafka.positions(of)
      if (
        positions.every(
          ({ partition, first, committed }) => (committed ?? first) >= (goals.get(partition) ?? 0n),
        )
      )
        break
      await new Promise((resolve) => setTimeout(resolve, END_POLL_MS))
    }
  }
  logger.info(ingest.status(), 'all is in the store that was there at the start')
  process.kill(process.pid, 'SIGTERM')
}

async function dump(): Promise<void> {
  const configuration = loadConfiguration()
  const secrets = createSecrets(configuration.vault, { logger })
  const client = createClient({
    url: await warehouseUrl('query', configuration.warehouse, secrets),
  })
  for await (const chunk of canonicalDump(client))
    if (!process.stdout.write(chunk))
      await new Promise((resolve) => process.stdout.once('drain', resolve))
  await client.close()
}
