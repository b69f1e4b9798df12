/**
 * Ingest as a process: follows the event logs of CUSTODY_HOME and inserts into the ClickHouse at CUSTODY_WAREHOUSE_URL.
 */
import { createLogger, homeDirectory, prepareHome, runService } from '@custody/kit'
import { createIngest } from './ingest'

const logger = createLogger({ name: 'ingest' })

void runService({
  name: 'ingest',
  logger,
  async start() {
    const ingest = createIngest({
      home: prepareHome(homeDirectory()),
      warehouseUrl: process.env.CUSTODY_WAREHOUSE_URL || 'http://127.0.0.1:8123',
      logger,
    })
    await ingest.start()
    return ingest
  },
})
