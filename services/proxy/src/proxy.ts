/**
 * Puts the proxy together: recorder, gate, protocols, listeners. The one place where they meet.
 */
import { type LogShipper, openRecorder, type Recorder } from '@custody/event-log'
import {
  type Cluster,
  type ClusterStatus,
  createKafka,
  joinCluster,
  type Kafka,
  startShipperThread,
} from '@custody/event-log-kafka'
import { STANDING_KINDS, Standing } from '@custody/identity'
import {
  type Configuration,
  createLogger,
  createSecrets,
  type Home,
  type Logger,
  type ProtocolName,
  readStatus,
  spokenProtocols,
  urlOf,
} from '@custody/kit'
import { createMasking } from '@custody/masking'
import { loadParser } from '@custody/postgres-sql'
import { Approvals, nameOf } from './approvals'
import { loadCertificate } from './certificate'
import { Gate } from './gate'
import { type Listener, startListener } from './listener'
import { People } from './people'
import { clusterSource, logSource } from './people-sources'
import { Policies } from './policies'
import type { CredentialVerifier, Protocol, ProtocolServices } from './protocol'
import { createMysql } from './protocols/mysql'
import { createPostgres } from './protocols/postgres'
import { createSsh } from './protocols/ssh'
import { SignIns } from './sign-ins'

export interface ProxyOptions {
  configuration: Configuration
  home: Home
  verifier: CredentialVerifier
  logger?: Logger
  version?: string
  /** Instead of the cluster that the configuration names. */
  cluster?: {
    kafka: Pick<Kafka, 'settings' | 'ensureTopics' | 'control' | 'close'>
    ship(onReplicated: (nextSequence: number) => void): LogShipper
  }
}

export interface Proxy {
  /** Resolves with the port of each protocol that some resource speaks. */
  start(): Promise<{ ports: Partial<Record<ProtocolName, number>> }>
  stop(): Promise<void>
  status(): ProxyStatus
  /** Why it does not do its work, or null. */
  problem(): string | null
}

export interface ProxyStatus {
  sessions: number
  log: ReturnType<Recorder['status']> | null
  policy: { version: string | null; problem: string | null }
  held: number
  /** Null on one machine. */
  cluster: ClusterStatus | null
}

const MAKERS: Record<ProtocolName, (services: ProtocolServices) => Promise<Protocol>> = {
  postgres: createPostgres,
  mysql: createMysql,
  ssh: createSsh,
}

/** How long what is recorded may take to get to Kafka when the proxy stops; the rest goes at the next start. */
const SHIP_MS_MAX = 5000

export function createProxy(options: ProxyOptions): Proxy {
  const { configuration, home } = options
  const logger = options.logger ?? createLogger({ name: 'proxy' })
  let recorder: Recorder | null = null
  let policies: Policies | null = null
  let people: People | null = null
  let approvals: Approvals | null = null
  let signIns: SignIns | null = null
  const protocols: Protocol[] = []
  const listeners: Listener[] = []
  let isListening = false
  const checkStanding = () => {
    for (const protocol of protocols) protocol.live.checkStanding()
  }
  let cluster: Cluster | null = null
  return {
    async start() {
      for (const [resource, { password }] of Object.entries(configuration.resources))
        if (password && 'literal' in password)
          logger.warn(
            { resource },
            'the password of this resource stands in the configuration: fit for demonstrations only, use env, file or vault',
          )
      recorder = await openRecorder({
        directory: home.log,
        recorder: `proxy-${configuration.gateway}`,
        segmentBytes: configuration.log.segmentBytes,
        retentionBytesMax: configuration.log.retentionBytesMax,
        retentionAgeMaxHours: configuration.log.retentionAgeMaxHours,
        reserveBytes: configuration.log.reserveBytes,
        logBytesMax: configuration.log.logBytesMax,
        consumers: [configuration.kafka ? 'kafka' : 'ingest'],
        version: options.version,
        onStateChange: (problem) =>
          problem
            ? logger.error({ code: problem.code }, problem.message)
            : logger.info('the event log takes commands again'),
      })
      await loadParser()
      policies = new Policies(configuration.policy, recorder, logger)
      policies.start()
      const gate = new Gate(recorder, policies)
      const secrets = createSecrets(configuration.vault, { logger })
      const elsewhere = clusterSource()
      people = new People(
        configuration.kafka
          ? elsewhere
          : logSource({ directory: home.log, recorder: `query-${configuration.gateway}`, logger }),
        logger,
      )
      const { limits } = configuration
      approvals = new Approvals({
        recorder,
        people,
        heldMax: limits.commandsHeldMax,
        standing: (who) => options.verifier.standing?.(who) ?? null,
      })
      signIns = new SignIns({
        recorder,
        people,
        verifier: options.verifier,
        consoleUrl: () => configuration.console.url?.replace(/\/$/, '') ?? consoleAt(home),
        waitingMax: limits.signInsWaitingMax,
        waitMsMax: limits.signInMsMax,
      })
      people.on('session.kill', ({ parent, who }) => {
        if (!parent) return
        const reason = `ended by ${nameOf(who ?? null)}`
        protocols.some((protocol) => protocol.live.kill(parent.toString('hex'), reason))
      })
      const standing = new Standing(home)
      if (configuration.kafka)
        for (const kind of STANDING_KINDS)
          people.on(
            kind,
            (event) => {
              standing.hear(event)
              checkStanding()
            },
            true,
          )
      people.start()
      if (configuration.kafka) {
        const { kafka, ship } = options.cluster ?? {
          kafka: createKafka({ settings: configuration.kafka, secrets, logger }),
          ship: shipperOf(configuration, home, recorder.name, logger),
        }
        cluster = await joinCluster({
          kafka,
          ship,
          home,
          recorder,
          forget: ['notifier'],
          hear: (message, isBefore) => elsewhere.say(message, isBefore),
          heard: () => {
            standing.settle()
            checkStanding()
          },
          logger,
        })
      }
      const tls = await loadCertificate(configuration, home)
      const services: ProtocolServices = {
        configuration,
        home,
        recorder,
        gate,
        masking: await createMasking(configuration.masking, home, secrets),
        approvals,
        signIns,
        verifier: options.verifier,
        secrets,
        tls,
        logger,
      }
      // All are made before any is listened for: who gets in finds the whole gateway.
      for (const name of spokenProtocols(configuration))
        protocols.push(await MAKERS[name](services))
      const ports: Partial<Record<ProtocolName, number>> = {}
      for (const protocol of protocols) {
        const { name } = protocol
        const listener = await startListener({
          protocol,
          host: configuration.listen.host,
          port: configuration.listen[name],
          portSetting: `listen.${name}`,
          connectionsMax: configuration.limits.connectionsMax,
          handshakesMax: configuration.limits.handshakesMax,
        })
        listeners.push(listener)
        ports[name] = listener.port
      }
      isListening = true
      return { ports }
    },
    async stop() {
      const drained = Promise.all(
        protocols.map((protocol) => protocol.live.stop(configuration.limits.drainMsMax)),
      )
      const stopped = listeners.map((listener) => listener.stop(drained))
      signIns?.stop()
      await drained
      await Promise.all(stopped)
      approvals?.stop()
      people?.stop()
      policies?.stop()
      await cluster?.deafen()
      await recorder?.close()
      await cluster?.stop(SHIP_MS_MAX)
    },
    status() {
      return {
        sessions: protocols.reduce((sum, { live }) => sum + live.size, 0),
        log: recorder?.status() ?? null,
        policy: { version: policies?.current?.version ?? null, problem: policies?.problem ?? null },
        held: approvals?.waiting ?? 0,
        cluster: cluster?.status() ?? null,
      }
    },
    problem() {
      if (!isListening) return 'it is starting'
      return recorder?.problem?.message ?? null
    },
  }
}

function shipperOf(configuration: Configuration, home: Home, recorder: string, logger: Logger) {
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

/** Where the console of this machine listens, once it does. */
function consoleAt(home: Home): string | null {
  const status = readStatus(home)
  return status?.ports.console ? urlOf(status.host, status.ports.console) : null
}
