/**
 * All of Custody on one machine: the proxy in one process, the warehouse in a second, ingest and query in a third, SIEM export
 * in a fourth where it has destinations, and without a configuration the demo database. This file is the order in which they start and stop.
 * Refuses to share a home directory, and leaves nothing running that it started.
 */
import { randomBytes } from 'node:crypto'
import { closeSync, existsSync, openSync, renameSync, rmSync, statSync } from 'node:fs'
import { dirname, join } from 'node:path'
import {
  type Configuration,
  configurationFile,
  createLogger,
  type Home,
  homeDirectory,
  loadConfiguration,
  prepareHome,
  type RuntimeStatus,
  writeFileAtomic,
} from '@custody/kit'
import { forgetDestinations, isSiemWanted } from '@custody/siem-export'
import { type Child, Children } from './children'
import { type Demo, startDemo } from './demo/database'
import { lockHome } from './lock'

export interface StandaloneOptions {
  environment?: NodeJS.ProcessEnv
  cwd?: string
  /** Told what is being done while it takes time. */
  progress?(line: string): void
}

export interface Running {
  readonly home: Home
  readonly configuration: Configuration
  readonly status: RuntimeStatus
  readonly adminToken: string
  /** What the demo runs on; absent with a configuration of one's own. */
  readonly demo?: { version: string }
  readonly logFile: string
  /** Settles with the reason when a part cannot be kept running. */
  readonly failed: Promise<Error>
  stop(): Promise<void>
}

export interface Standalone {
  start(): Promise<Running>
}

const logBytesMax = 16 * 1024 * 1024
const version: string = require('../package.json').version

export function createStandalone(o: StandaloneOptions = {}): Standalone {
  const environment = o.environment ?? process.env
  const cwd = o.cwd ?? process.cwd()
  const progress = o.progress ?? (() => {})
  return { start }

  async function start(): Promise<Running> {
    const home = prepareHome(homeDirectory(environment, cwd))
    // Undone from the last to the first, whether starting fails half-way or everything is stopped.
    const undo: (() => void | Promise<void>)[] = []
    const stop = async () => {
      for (let step = undo.pop(); step; step = undo.pop()) await step()
    }
    try {
      return await startIn(home, undo, stop)
    } catch (error) {
      await stop()
      throw error
    }
  }

  async function startIn(
    home: Home,
    undo: (() => void | Promise<void>)[],
    stop: () => Promise<void>,
  ): Promise<Running> {
    const lock = lockHome(home)
    undo.push(() => lock.release())
    rmSync(home.statusFile, { force: true })

    const logFile = join(home.directory, 'custody.log')
    const logger = createLogger({ name: 'standalone', file: rotated(logFile) })
    const output = openSync(logFile, 'a', 0o600)
    undo.push(() => closeSync(output))
    const children = new Children(home, logger, output)
    await children.awaitLeftovers()

    // A wrong configuration is told before anything is started.
    const own = configurationFile(environment, cwd)
    const isDemo = !own.explicit && !existsSync(own.path)
    let demo: Demo | undefined
    if (isDemo) {
      demo = await startDemo(home, progress)
      const { stop: stopDemo } = demo
      undo.push(stopDemo)
    }
    const childEnvironment: NodeJS.ProcessEnv = {
      ...environment,
      CUSTODY_HOME: home.directory,
      CUSTODY_CONFIG: demo?.configurationFile ?? own.path,
    }
    const configuration = loadConfiguration(childEnvironment, cwd)
    const adminToken = randomBytes(32).toString('base64url')
    writeFileAtomic(home.adminTokenFile, `${adminToken}\n`, 0o600)
    undo.push(() => rmSync(home.adminTokenFile, { force: true }))

    const startChild = async (
      name: string,
      module: string,
      more: { env?: NodeJS.ProcessEnv; portVariable?(port: string): string } = {},
    ): Promise<{ child: Child; ports: Record<string, number> }> => {
      const env = { ...childEnvironment, ...more.env }
      const { child, ready } = await children.start({ name, module, environment: env })
      undo.push(() => child.stop())
      const ports = (ready.ports ?? {}) as Record<string, number>
      // Started again after a crash it must be found at the same place.
      for (const [of, port] of Object.entries(ports))
        if (more.portVariable) env[more.portVariable(of)] = String(port)
      return { child, ports }
    }

    const password = randomBytes(24).toString('base64url')
    const queryPassword = randomBytes(24).toString('base64url')
    progress('starting the warehouse')
    const warehouse = await startChild('warehouse', join(__dirname, 'processes/warehouse.js'), {
      // Its queries hold threads of this pool while they run.
      env: {
        CUSTODY_WAREHOUSE_PASSWORD: password,
        CUSTODY_WAREHOUSE_QUERY_PASSWORD: queryPassword,
        UV_THREADPOOL_SIZE: '24',
      },
      portVariable: () => 'CUSTODY_PORT_WAREHOUSE',
    })
    const storeUrl = (user: string, secret: string) =>
      `http://${user}:${secret}@127.0.0.1:${warehouse.ports.warehouse}`
    const readingUrl = storeUrl('custody_query', queryPassword)
    writeFileAtomic(home.storeUrlFile, `${readingUrl}\n`, 0o600)
    undo.push(() => rmSync(home.storeUrlFile, { force: true }))
    const services = await startChild('services', join(__dirname, 'processes/services.js'), {
      env: {
        CUSTODY_WAREHOUSE_URL: storeUrl('custody', password),
        CUSTODY_WAREHOUSE_QUERY_URL: readingUrl,
      },
      portVariable: () => 'CUSTODY_PORT_CONSOLE',
    })
    if (isSiemWanted(configuration))
      await startChild('siem', join(dirname(require.resolve('@custody/siem-export')), 'main.js'), {
        // The port of listen.health is the proxy's.
        env: { CUSTODY_PORT_SIEM: environment.CUSTODY_PORT_SIEM ?? 'none' },
      })
    // Destinations of before would keep the log from being freed.
    else await forgetDestinations(home.log, [])
    // The proxy last: a client that gets in is recorded, and what is recorded is soon to be seen. It is also the first to
    // be stopped, so that what its sessions did last is still ingested.
    const proxy = await startChild(
      'proxy',
      join(dirname(require.resolve('@custody/proxy')), 'main.js'),
      {
        portVariable: (of) => `CUSTODY_PORT_${of.toUpperCase()}`,
      },
    )

    const status: RuntimeStatus = {
      pid: process.pid,
      version,
      host: configuration.listen.host,
      ports: {
        ...proxy.ports,
        console: services.ports.console as number,
        warehouse: warehouse.ports.warehouse as number,
      },
      startedAt: new Date().toISOString(),
    }
    writeFileAtomic(home.statusFile, `${JSON.stringify(status)}\n`)
    undo.push(() => rmSync(home.statusFile, { force: true }))
    logger.info({ ...status }, 'started')
    return {
      home,
      configuration,
      status,
      adminToken,
      demo: demo && { version: demo.version },
      logFile,
      failed: children.lost,
      stop,
    }
  }
}

/** The file diagnostics go to. A long one is put aside, so that there are never more than two. */
function rotated(file: string): string {
  if (existsSync(file) && statSync(file).size > logBytesMax) renameSync(file, `${file}.1`)
  return file
}
