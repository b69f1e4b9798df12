/**
 * Ingest and query in one process. Ingest first, since it brings the tables up to date; it is stopped last, so that the
 * reads recorded meanwhile are inserted too. With `kafka` in the configuration ingest takes from there, as it does on hosts of
 * its own.
 */
import { createKafka } from '@custody/event-log-kafka'
import { createIngest, KAFKA_DEFAULTS, KafkaSource } from '@custody/ingest'
import {
  createLogger,
  createSecrets,
  homeDirectory,
  loadConfiguration,
  prepareHome,
  runService,
} from '@custody/kit'
import { createQuery } from '@custody/query'
import { keepWarehouse, warehouseUrl } from '@custody/warehouse'

const logger = createLogger({ name: 'services' })

void runService({
  name: 'services',
  logger,
  async start() {
    const home = prepareHome(homeDirectory())
    const configuration = loadConfiguration()
    const { kafka: kafkaSettings, warehouse: settings, vault } = configuration
    const secrets = createSecrets(vault, { logger })
    const undo: (() => Promise<void>)[] = []
    const stop = async () => {
      for (let step = undo.pop(); step; step = undo.pop()) await step()
    }
    try {
      const kept = await keepWarehouse({ settings, secrets, logger, alone: true })
      undo.push(() => kept.stop())
      const kafka = kafkaSettings && createKafka({ settings: kafkaSettings, secrets, logger })
      if (kafka) {
        undo.push(() => kafka.close())
        await kafka.ensureTopics()
      }
      const ingest = createIngest({
        home,
        warehouseUrl: await warehouseUrl('ingest', settings, secrets),
        adminUrl: await warehouseUrl('admin', settings, secrets),
        ...(settings?.cluster !== undefined && { cluster: settings.cluster }),
        ...(kafka && {
          source: new KafkaSource({
            kafka,
            group: `${kafka.settings.topicPrefix}-ingest`,
            ...KAFKA_DEFAULTS,
          }),
        }),
        logger,
      })
      await ingest.start()
      undo.push(() => ingest.stop())
      const query = createQuery({
        configuration,
        home,
        warehouseUrl: await warehouseUrl('query', settings, secrets),
        logger,
      })
      const { ports } = await query.start()
      undo.push(() => query.stop())
      return { ports, stop }
    } catch (error) {
      await stop()
      throw error
    }
  },
  ready: ({ ports }) => ({ ports }),
})
