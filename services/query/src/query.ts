/**
 * Puts the query service together: recorder of its own, store, API, listener. The one place where they meet.
 */
import { ClickHouseLogLevel, createClient } from '@clickhouse/client'
import { openRecorder, type Recorder } from '@custody/event-log'
import {
  type CredentialVerifier,
  createTokenVerifier,
  loadTokenKeys,
  signInProviders,
} from '@custody/identity'
import {
  type Configuration,
  createLogger,
  createSecrets,
  type Home,
  type Logger,
  listenError,
} from '@custody/kit'
import type { FastifyInstance } from 'fastify'
import { createAccess } from './access'
import { createAnswering } from './answering'
import { buildApp } from './app'
import { createChannels } from './channels'
import { createRiskOf } from './channels/request'
import { createFreshness } from './freshness'
import { createStore } from './store'
import { createWatch } from './watch'

export interface QueryOptions {
  configuration: Configuration
  home: Home
  /** Where ClickHouse's HTTP interface is, credentials included. */
  warehouseUrl: string
  /** Who else may come in; Custody tokens when not given. */
  verifier?: CredentialVerifier
  logger?: Logger
  version?: string
  /** How long a message to approvers waits for what the store knows of requests before; longer in tests. */
  beforeMsMax?: number
}

export interface Query {
  start(): Promise<{ ports: { console: number } }>
  stop(): Promise<void>
}

const STORE_REQUEST_MS_MAX = 35_000

export function createQuery(options: QueryOptions): Query {
  const { configuration, home } = options
  const logger = options.logger ?? createLogger({ name: 'query' })
  const version = options.version ?? (require('../package.json') as { version: string }).version
  const undo: (() => Promise<unknown>)[] = []

  async function stop(): Promise<void> {
    for (let step = undo.pop(); step; step = undo.pop()) await step()
  }

  async function start(): Promise<{ ports: { console: number } }> {
    const recorder: Recorder = await openRecorder({
      directory: home.log,
      recorder: `query-${configuration.gateway}`,
      segmentBytes: configuration.log.segmentBytes,
      retentionBytesMax: configuration.log.retentionBytesMax,
      retentionAgeMaxHours: configuration.log.retentionAgeMaxHours,
      reserveBytes: Math.min(configuration.log.reserveBytes, 4 * 1024 * 1024),
      version,
      onStateChange: (problem) =>
        problem
          ? logger.error({ code: problem.code }, problem.message)
          : logger.info('the event log takes events again'),
    })
    undo.push(() => recorder.close())
    const client = createClient({
      url: options.warehouseUrl,
      request_timeout: STORE_REQUEST_MS_MAX,
      max_open_connections: 8,
      log: { level: ClickHouseLogLevel.OFF },
    })
    undo.push(() => client.close())
    const verifier = options.verifier ?? (await createTokenVerifier(home, configuration))
    const secrets = createSecrets(configuration.vault, { logger })
    const store = createStore(client)
    const watch = createWatch(recorder, configuration.gateway)
    const freshness = createFreshness(home.log, recorder.name)
    const answering = createAnswering({ store, watch, freshness })
    const riskOf = await createRiskOf()
    const channels = createChannels({
      configuration,
      home,
      store,
      watch,
      answering,
      recorder,
      secrets,
      riskOf,
      standing: (who) => verifier.standing?.(who) ?? null,
      logger,
      beforeMsMax: options.beforeMsMax,
    })
    const app: FastifyInstance = await buildApp({
      configuration,
      home,
      keys: await loadTokenKeys(home, configuration.gateway),
      access: createAccess(home, configuration, verifier),
      standing: (who, madeOf) => verifier.standing?.(who, madeOf) ?? null,
      providers: signInProviders(configuration.identity, verifier, secrets),
      store,
      watch,
      freshness,
      answering,
      channels,
      riskOf,
      recorder,
      logger,
      version,
    })
    undo.push(() => app.close())
    const { host, console: port } = configuration.listen
    try {
      await app.listen({ host, port })
    } catch (error) {
      throw listenError(error as NodeJS.ErrnoException, {
        host,
        port,
        setting: 'listen.console',
        variable: 'CUSTODY_PORT_CONSOLE',
      })
    }
    const address = app.server.address() as { port: number }
    undo.push(() => channels.stop())
    await channels.start(address.port)
    return { ports: { console: address.port } }
  }

  return {
    async start() {
      try {
        return await start()
      } catch (error) {
        await stop()
        throw error
      }
    },
    stop,
  }
}
