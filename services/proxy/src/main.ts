/**
 * The proxy as a process: reads configuration, starts, says on which ports, stops when asked.
 * Writes CUSTODY_HOME/run/proxy.json once it listens.
 */
import { join } from 'node:path'
import { createTokenVerifier } from '@custody/identity'
import {
  createLogger,
  homeDirectory,
  loadConfiguration,
  prepareHome,
  runService,
  writeFileAtomic,
} from '@custody/kit'
import { createProxy } from './proxy'

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
    writeFileAtomic(
      join(home.run, 'proxy.json'),
      `${JSON.stringify({ pid: process.pid, ports })}\n`,
    )
    logger.info({ ports }, 'the proxy listens')
    return { ports, stop: () => proxy.stop() }
  },
  ready: ({ ports }) => ({ ports }),
})
