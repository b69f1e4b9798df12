/**
 * The proxy as a process: reads configuration, starts, says on which ports, stops when asked.
 * Writes CUSTODY_HOME/run/proxy.json once it listens.
 */
import { join } from 'node:path'
import { setFlagsFromString } from 'node:v8'
import { createTokenVerifier } from '@custody/identity'
import {
  createLogger,
  homeDirectory,
  loadConfiguration,
  prepareHome,
  runService,
  serveHealth,
  writeFileAtomic,
} from '@custody/kit'
import { metricsOf } from './metrics'
import { createProxy } from './proxy'

/**
 * V8 marks the whole heap when it has grown by a share that it chooses, 8 MB at the least, and counts to it the buffers of what goes
 * by, which die young and need no marking. After a quiet hour that share is the least, and 500 MB going by mark the heap 50
 * times: more than half of what a copy cost. With twice of what is alive (some 35 MB), collections of the young come first.
 */
const HEAP_GROWS_PERCENT = 200
setFlagsFromString(`--heap-growing-percent=${HEAP_GROWS_PERCENT}`)

const logger = createLogger({ name: 'proxy' })

void runService({
  name: 'proxy',
  logger,
  async start() {
    const configuration = loadConfiguration()
    const home = prepareHome(homeDirectory())
    const proxy = createProxy({
      configuration,
      home,
      verifier: await createTokenVerifier(home, configuration),
      logger,
    })
    const { ports } = await proxy.start()
    const { host, health: port } = configuration.listen
    const health =
      port === undefined
        ? null
        : await serveHealth({
            host,
            port,
            problem: () => proxy.problem(),
            metrics: () => metricsOf(proxy.status()),
          })
    const all = { ...ports, ...(health && { health: health.port }) }
    writeFileAtomic(
      join(home.run, 'proxy.json'),
      `${JSON.stringify({ pid: process.pid, ports: all })}\n`,
    )
    logger.info({ ports: all }, 'the proxy listens')
    return {
      ports: all,
      async stop() {
        await proxy.stop()
        await health?.stop()
      },
    }
  },
  ready: ({ ports }) => ({ ports }),
})
