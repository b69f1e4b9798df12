/**
 * Ingest and query in one process. Ingest first, since it brings the tables up to date; it is stopped last, so that the
 * reads recorded meanwhile are inserted too.
 */
import { createIngest } from '@custody/ingest'
import {
  CustodyError,
  createLogger,
  homeDirectory,
  loadConfiguration,
  prepareHome,
  runService,
} from '@custody/kit'
import { createQuery } from '@custody/query'

const logger = createLogger({ name: 'services' })

void runService({
  name: 'services',
  logger,
  async start() {
    const home = prepareHome(homeDirectory())
    const warehouseUrl = process.env.CUSTODY_WAREHOUSE_URL
    if (!warehouseUrl)
      throw new CustodyError('CUSTODY-CONFIG-003', 'CUSTODY_WAREHOUSE_URL is not set')
    const ingest = createIngest({ home, warehouseUrl, logger })
    await ingest.start()
    const query = createQuery({ configuration: loadConfiguration(), home, warehouseUrl, logger })
    try {
      const { ports } = await query.start()
      return {
        ports,
        async stop() {
          await query.stop()
          await ingest.stop()
        },
      }
    } catch (error) {
      await ingest.stop()
      throw error
    }
  },
  ready: ({ ports }) => ({ ports }),
})
