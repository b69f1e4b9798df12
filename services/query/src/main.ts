/**
 * The query service as a process: reads configuration, starts, says on which port, stops when asked.
 * Where ClickHouse is, `warehouse` in the configuration or CUSTODY_WAREHOUSE_QUERY_URL (else CUSTODY_WAREHOUSE_URL) says.
 */
import {
  createLogger,
  createSecrets,
  homeDirectory,
  loadConfiguration,
  prepareHome,
  runService,
} from '@custody/kit'
import { warehouseUrl } from '@custody/warehouse'
import { createQuery } from './query'

const logger = createLogger({ name: 'query' })

void runService({
  name: 'query',
  logger,
  async start() {
    const configuration = loadConfiguration()
    const secrets = createSecrets(configuration.vault, { logger })
    const query = createQuery({
      configuration,
      home: prepareHome(homeDirectory()),
      warehouseUrl: await warehouseUrl('query', configuration.warehouse, secrets),
      logger,
    })
    const { ports } = await query.start()
    logger.info({ ports }, 'the API listens')
    return { ports, stop: () => query.stop() }
  },
  ready: ({ ports }) => ({ ports }),
})
