/**
 * The embedded warehouse, or ingest, as a process that can be killed: `store-process.js warehouse|ingest`, settings from the
 * environment, `ready` told over IPC.
 */

import { createIngest } from '@custody/ingest'
import { createLogger, homeAt } from '@custody/kit'
import { createWarehouse } from '@custody/warehouse'

const environment = process.env as Record<string, string>
const logger = createLogger({ name: process.argv[2] ?? 'store' })

async function main(): Promise<void> {
  process.on('disconnect', () => process.exit(0))
  const home = homeAt(environment.CUSTODY_HOME!)
  if (process.argv[2] === 'warehouse') {
    const warehouse = createWarehouse({
      directory: home.warehouse,
      port: Number(environment.CRASH_WAREHOUSE_PORT),
      password: environment.CRASH_WAREHOUSE_PASSWORD!,
      logger,
    })
    await warehouse.start()
  } else {
    const ingest = createIngest({
      home,
      warehouseUrl: environment.CRASH_WAREHOUSE_URL!,
      logger,
      lingerMs: 20,
    })
    await ingest.start()
    process.on('message', async () => {
      await ingest.stop()
      process.exit(0)
    })
  }
  process.send?.('ready')
}

void main().catch((error) => {
  process.stderr.write(`${error instanceof Error ? error.stack : error}\n`)
  process.exit(1)
})
