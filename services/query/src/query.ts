/**
 * Puts the query service together: recorder of its own, store, API, listener. The one place where they meet.
 */
import { ClickHouseLogLevel, createClient } from '@clickhouse/client'
import { type LogShipper, openRecorder, type Recorder } from '@custody/event-log'
import {
  type Cluster,
  createKafka,
  joinCluster,
  type Kafka,
  startShipperThread,
} from '@custody/event-log-kafka'
import {
  type CredentialVerifier,
  createTokenVerifier,
  loadTokenKeys,
  STANDING_KINDS,
  Standing,
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
import { decodeMessage, readEnvelope } from '@custody/schemas'
import type { FastifyInstance } from 'fastify'
import { createAccess } from './access'
import { createAnswering } from './answering'
import { buildApp } from './app'
import { createChannels } from './channels'
import { ControlRequests } from './channels/control-requests'
import { createRiskOf } from './channels/request'
import { createClusterFreshness } from './cluster-freshness'
import { createFreshness } from './freshness'
import { createGateways } from './gateways'
import { createSelfCheck } from './self-check'
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
  /** Instead of the cluster that the configuration names. */
  cluster?: {
    kafka: Pick<Kafka, 'settings' | 'ensureTopics' | 'control' | 'positions' | 'read' | 'close'>
    ship(onReplicated: (nextSequence: number) => void): LogShipper
  }
}

export interface Query {
  start(): Promise<{ ports: { console: number } }>
  stop(): Promise<void>
}

const STORE_REQUEST_MS_MAX = 35_000
/** How long what is recorded may take to get to Kafka when this stops; the rest goes at the next start. */
const SHIP_MS_MAX = 5000

export function createQuery(options: QueryOptions): Query {
  const { configuration, home } = options
  const logger = options.logger ?? createLogger({ name: 'query' })
  const version = options.version ?? (require('../package.json') as { version: string }).version
  const undo: (() => Promise<unknown>)[] = []

  async function stop(): Promise<void> {
    for (let step = undo.pop(); step; step = undo.pop()) await step()
  }

  async function start(): Promise<{ ports: { console: number } }> {
    let cluster: Cluster | null = null
    const recorder: Recorder = await openRecorder({
      directory: home.log,
      recorder: `query-${configuration.gateway}`,
      segmentBytes: configuration.log.segmentBytes,
      retentionBytesMax: configuration.log.retentionBytesMax,
      retentionAgeMaxHours: configuration.log.retentionAgeMaxHours,
      reserveBytes: Math.min(configuration.log.reserveBytes, 4 * 1024 * 1024),
      logBytesMax: configuration.log.logBytesMax,
      consumers: [configuration.kafka ? 'kafka' : 'ingest'],
      version,
      onStateChange: (problem) =>
        problem
          ? logger.error({ code: problem.code }, problem.message)
          : logger.info('the event log takes events again'),
    })
    undo.push(async () => cluster?.stop(SHIP_MS_MAX))
    undo.push(() => recorder.close())
    const secrets = createSecrets(configuration.vault, { logger })
    const joined = configuration.kafka && {
      ...(options.cluster ?? {
        kafka: createKafka({ settings: configuration.kafka, secrets, logger }),
        ship: shipperOf(recorder.name),
      }),
    }
    if (joined) {
      const standing = new Standing(home)
      cluster = await joinCluster({
        ...joined,
        home,
        recorder,
        hear: (message) => {
          const { kind } = readEnvelope(message)
          if ((STANDING_KINDS as readonly string[]).includes(kind))
            standing.hear(decodeMessage(message))
        },
        heard: () => standing.settle(),
        logger,
      })
      undo.push(async () => cluster?.deafen())
    }
    const client = createClient({
      url: options.warehouseUrl,
      request_timeout: STORE_REQUEST_MS_MAX,
      max_open_connections: 8,
      log: { level: ClickHouseLogLevel.OFF },
    })
    undo.push(() => client.close())
    const verifier = options.verifier ?? (await createTokenVerifier(home, configuration))
    const selfCheck = createSelfCheck({
      logDirectory: home.log,
      kafka: joined ? joined.kafka : null,
      group: `${configuration.kafka?.topicPrefix ?? 'custody'}-ingest`,
      client,
      recorder,
      retentionDays: configuration.warehouse?.retentionDays ?? {},
      everyHours: configuration.log.verifyEveryHours,
      logger,
    })
    const store = createStore(client, configuration.warehouse)
    const watch = createWatch(recorder, configuration.gateway)
    const freshness = joined
      ? createClusterFreshness(joined.kafka, createFreshness(home.log, recorder.name, 'kafka'))
      : createFreshness(home.log, recorder.name)
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
      ...(joined && {
        requests: new ControlRequests((hear) => joined.kafka.control({ hear })),
      }),
    })
    const app: FastifyInstance = await buildApp({
      configuration,
      home,
      keys: await loadTokenKeys(home, configuration.gateway, configuration.identity.tokenKeys),
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
      selfCheck,
      cluster: joined
        ? { status: () => cluster!.status(), gateways: createGateways(client) }
        : null,
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
    undo.push(() => selfCheck.stop())
    selfCheck.start()
    return { ports: { console: address.port } }
  }

  function shipperOf(recorder: string) {
    return (onReplicated: (nextSequence: number) => void): LogShipper =>
      startShipperThread(
        {
          settings: configuration.kafka!,
          vault: configuration.vault,
          directory: home.log,
          recorder,
          onReplicated,
        },
        logger,
      )
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
