/**
 * Puts the proxy together: recorder, gate, protocols, listeners. The one place where they meet.
 */
import { openRecorder, type Recorder } from '@custody/event-log'
import {
  type Configuration,
  CustodyError,
  createLogger,
  createSecrets,
  type Home,
  type Logger,
  readStatus,
  urlOf,
} from '@custody/kit'
import { createMasking } from '@custody/masking'
import { loadParser } from '@custody/postgres-sql'
import { Approvals, nameOf } from './approvals'
import { loadCertificate } from './certificate'
import { Gate } from './gate'
import { type Listener, startListener } from './listener'
import { People } from './people'
import { Policies } from './policies'
import type { CredentialVerifier, Protocol } from './protocol'
import { createPostgres, refuseClient } from './protocols/postgres'
import { SignIns } from './sign-ins'

export interface ProxyOptions {
  configuration: Configuration
  home: Home
  verifier: CredentialVerifier
  logger?: Logger
  version?: string
}

export interface Proxy {
  start(): Promise<{ ports: { postgres: number } }>
  stop(): Promise<void>
  status(): {
    sessions: number
    log: ReturnType<Recorder['status']> | null
    policy: { version: string | null; problem: string | null }
    held: number
  }
}

export function createProxy(options: ProxyOptions): Proxy {
  const { configuration, home } = options
  const logger = options.logger ?? createLogger({ name: 'proxy' })
  let recorder: Recorder | null = null
  let policies: Policies | null = null
  let people: People | null = null
  let approvals: Approvals | null = null
  let signIns: SignIns | null = null
  let postgres: Protocol | null = null
  let listener: Listener | null = null
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
      people = new People({
        directory: home.log,
        recorder: `query-${configuration.gateway}`,
        logger,
      })
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
        if (parent) postgres?.kill(parent.toString('hex'), `ended by ${nameOf(who ?? null)}`)
      })
      people.start()
      const tls = await loadCertificate(configuration, home)
      const secrets = createSecrets(configuration.vault, { logger })
      postgres = await createPostgres({
        configuration,
        recorder,
        gate,
        masking: await createMasking(configuration.masking, home, secrets),
        approvals,
        signIns,
        verifier: options.verifier,
        secrets,
        tls,
        logger,
      })
      listener = await startListener({
        protocol: postgres,
        host: configuration.listen.host,
        port: configuration.listen.postgres,
        portSetting: 'listen.postgres',
        connectionsMax: configuration.limits.connectionsMax,
        handshakesMax: configuration.limits.handshakesMax,
        onOverload: (socket) =>
          refuseClient(socket, new CustodyError('CUSTODY-PG-010', 'too many connections'), '53300'),
      })
      return { ports: { postgres: listener.port } }
    },
    async stop() {
      const stopped = listener?.stop()
      signIns?.stop()
      await postgres?.stop(configuration.limits.drainMsMax)
      await stopped
      approvals?.stop()
      people?.stop()
      policies?.stop()
      await recorder?.close()
    },
    status() {
      return {
        sessions: postgres?.sessions ?? 0,
        log: recorder?.status() ?? null,
        policy: { version: policies?.current?.version ?? null, problem: policies?.problem ?? null },
        held: approvals?.waiting ?? 0,
      }
    },
  }
}

/** Where the console of this machine listens, once it does. */
function consoleAt(home: Home): string | null {
  const status = readStatus(home)
  return status?.ports.console ? urlOf(status.host, status.ports.console) : null
}
