/**
 * The embedded warehouse as a process of its own: its queries hold threads and memory that no other part may have to wait for.
 * CUSTODY_WAREHOUSE_PASSWORD and CUSTODY_WAREHOUSE_QUERY_PASSWORD are made anew at every start; CUSTODY_PORT_WAREHOUSE says
 * where to listen.
 */
import { CustodyError, createLogger, homeDirectory, prepareHome, runService } from '@custody/kit'
import { createWarehouse } from '@custody/warehouse'

const logger = createLogger({ name: 'warehouse' })

void runService({
  name: 'warehouse',
  logger,
  async start() {
    const home = prepareHome(homeDirectory())
    const password = process.env.CUSTODY_WAREHOUSE_PASSWORD
    if (!password)
      throw new CustodyError('CUSTODY-CONFIG-003', 'CUSTODY_WAREHOUSE_PASSWORD is not set')
    const warehouse = createWarehouse({
      directory: home.warehouse,
      port: Number(process.env.CUSTODY_PORT_WAREHOUSE || 0),
      password,
      queryPassword: process.env.CUSTODY_WAREHOUSE_QUERY_PASSWORD,
      logger,
    })
    const { port } = await warehouse.start()
    return { ports: { warehouse: port }, stop: () => warehouse.stop() }
  },
  ready: ({ ports }) => ({ ports }),
})
