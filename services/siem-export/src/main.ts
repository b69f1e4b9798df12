/**
 * SIEM export as a process: delivers what the log has to every destination of `siem` in the configuration. With `kafka` it is a
 * member of a consumer group for each destination, otherwise it follows the logs of CUSTODY_HOME.
 */
import {
  CustodyError,
  createLogger,
  homeDirectory,
  loadConfiguration,
  prepareHome,
  runService,
  serveHealth,
} from '@custody/kit'
import { createSiem, isSiemWanted } from './service'

const logger = createLogger({ name: 'siem-export' })

void runService({
  name: 'siem-export',
  logger,
  async start() {
    const configuration = loadConfiguration()
    if (!isSiemWanted(configuration))
      throw new CustodyError(
        'CUSTODY-SIEM-007',
        'siem.destinations is empty, and there are no rules',
      )
    const siem = createSiem({ configuration, home: prepareHome(homeDirectory()), logger })
    await siem.start()
    const { host, health: port } = configuration.listen
    // Beside others on one machine listen.health is somebody else's.
    const own = process.env.CUSTODY_PORT_SIEM
    const at = own === undefined || own === '' ? port : own === 'none' ? undefined : Number(own)
    const health =
      at === undefined
        ? null
        : await serveHealth({
            host,
            port: at,
            // A destination that is away is no reason to start this anew: metrics and status tell it.
            problem: () => siem.problem(),
            metrics: () => siem.metrics(),
          })
    return {
      ports: health ? { health: health.port } : {},
      async stop() {
        await health?.stop()
        await siem.stop()
      },
    }
  },
  ready: ({ ports }) => ({ ports }),
})
