/**
 * The query service as a process: reads configuration, starts, says on which port, stops when asked.
 * CUSTODY_WAREHOUSE_URL says where ClickHouse is.
 */
import {
  createLogger,
  homeDirectory,
  loadConfiguration,
  prepareHome,
  runService,
} from '@custody/kit'
import { createQuery } from './query'

const logger = createLogger({ name: 'query' })

void runService({
  name: 'query',
  logger,
  async start() {
    const query = createQuery({
      configuration: loadConfiguration(),
      home: prepareHome(homeDirectory()),
      warehouseUrl: process.env.CUSTODY_WAREHOUSE_URL || 'http://127.0.0.1:8123',
      logger,
    })
    const { ports } = await query.start()
    logger.info({ ports }, 'the API listens')
    return { ports, stop: () => query.stop() }
  },
  ready: ({ ports }) => ({ ports }),
})
