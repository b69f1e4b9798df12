/**
 * PostgreSQL: who may reach which resource, and then the relay. A connection comes in as a socket and ends as a sealed
 * session in the record; a refused one leaves an access event that says why.
 */
import { randomBytes } from 'node:crypto'
import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import type { RecordedSession } from '@custody/event-log'
import { discoveryUrl } from '@custody/identity'
import {
  CustodyError,
  isCustodyError,
  type OidcIssuer,
  PerMinute,
  type PostgresResource,
  recordedReason,
} from '@custody/kit'
import {
  type Analyser,
  createAnalyser,
  loadParser,
  settingAnalysis,
  startupOptions,
} from '@custody/postgres-sql'
import type { Path } from '@custody/schemas'
import {
  describeTls,
  destroySoon,
  factsOf,
  isLoopback,
  messageOf,
  REFUSALS_PER_MINUTE_MAX,
  recordSignedIn,
} from '../../admission'
import type { SessionGate } from '../../gate'
import type { Principal, Protocol, ProtocolServices } from '../../protocol'
import { type Live as LiveSession, Sessions } from '../../sessions'
import { Catalogues, type Followed } from './catalogues'
import {
  admit,
  askBearer,
  askPassword,
  type OwnSettings,
  takeOwnSettings,
  tellNotice,
} from './credential'
import { signInRefused } from './refusals'
import { Relay } from './relay'
import { SessionMasking } from './session-masking'
import {
  type Greeting,
  greet,
  reachTarget,
  type SignedIn,
  signIn,
  TargetRefusedError,
} from './startup'
import { cancelRequest, WireError } from './wire'

interface Live extends LiveSession {
  relay: Relay | null
  resource: PostgresResource
  pid: number
  /** The target's own cancel key. */
  secret: Buffer
}

interface Asked {
  resourceName: string
  resource: PostgresResource
  database: string
}

const AUTHENTICATION_OK_BYTES = 9

export async function createPostgres(services: ProtocolServices): Promise<Protocol> {
  await loadParser()
  return new Postgres(
    services,
    createAnalyser({
      cacheEntriesMax: 10_000,
      cacheBytesMax: 64 * 1024 * 1024,
      parseBytesMax: 256 * 1024,
    }),
  )
}

class Postgres implements Protocol {
  readonly name = 'postgres' as const
  readonly live: Sessions<string, Live>
  private readonly refusals = new PerMinute(REFUSALS_PER_MINUTE_MAX)
  private readonly catalogues: Catalogues

  constructor(
    private readonly services: ProtocolServices,
    private readonly analyser: Analyser,
  ) {
    const { recorder, configuration, secrets, logger } = services
    this.live = new Sessions(services)
    this.catalogues = new Catalogues(recorder, configuration.gateway, secrets, logger, {
      withRelations: (configuration.masking?.rules.length ?? 0) > 0,
    })
  }

  async serve(socket: Socket): Promise<void> {
    const client = {
      address: socket.remoteAddress ?? '',
      port: socket.remotePort ?? 0,
      gateway: `${socket.localAddress}:${socket.localPort}`,
    }
    const { handshakeMsMax } = this.services.configuration.limits
    // Until the relay listens, an error only ends the connection; readers learn of it themselves.
    socket.on('error', () => {})
    let stream: Duplex = socket
    const timer = setTimeout(() => {
      refuseClient(
        stream,
        new CustodyError('CUSTODY-ACCESS-004', `not signed in within ${handshakeMsMax} ms`),
      )
    }, handshakeMsMax)
    try {
      const greeting = await greet(socket, this.services.tls)
      stream = greeting.stream
      stream.on('error', () => {})
      if (greeting.kind === 'cancel') {
        clearTimeout(timer)
        await this.cancel(greeting)
        return
      }
      await this.signInAndRelay(greeting, client, timer)
    } catch (error) {
      this.refused(stream, error, client)
    } finally {
      clearTimeout(timer)
    }
  }

  refuse(socket: Socket): void {
    refuseClient(socket, new CustodyError('CUSTODY-ACCESS-003', 'too many connections'))
  }

  private async signInAndRelay(
    greeting: Greeting & { kind: 'startup' },
    client: { address: string; port: number; gateway: string },
    timer: NodeJS.Timeout,
  ): Promise<void> {
    const { stream, reader, parameters, tls } = greeting
    const { recorder } = this.services
    const path: Path = {
      clientAddress: client.address,
      clientPort: client.port,
      clientApplication: parameters.get('application_name') ?? null,
      clientTls: tls ? describeTls(tls) : null,
      via: [],
      gateway: this.services.configuration.gateway,
      gatewayAddress: client.gateway,
      agent: null,
      resource: parameters.get('database') ?? parameters.get('user') ?? '',
      protocol: 'postgres',
      target: null,
      targetTls: null,
      account: null,
      database: null,
    }
    let principal: Principal | null = null
    let session: RecordedSession | null = null
    try {
      if (this.live.isStopping)
        throw new CustodyError('CUSTODY-ACCESS-003', 'the gateway is stopping')
      if (tls === null && !isLoopback(client.address))
        throw new CustodyError('CUSTODY-ACCESS-005', 'this gateway asks for TLS')
      const own = takeOwnSettings(parameters)
      principal = await this.authenticate(greeting, own, path, timer)
      const asked = this.resolve(parameters)
      path.resource = asked.resourceName
      path.target = asked.resource.address
      path.account = asked.resource.account
      path.database = asked.database
      const gate = this.services.gate.open({
        principal: { ...factsOf(principal), reason: own.reason },
        resource: {
          name: asked.resourceName,
          protocol: 'postgres',
          labels: asked.resource.labels,
        },
        sourceAddress: client.address,
        application: path.clientApplication ?? null,
        database: asked.database,
        isReplicated: asked.resource.durability === 'replicated',
      })
      recordSignedIn(recorder, principal, path, own.reason)
      judgeSettings(gate, parameters)
      const rules = this.services.masking?.open(
        { name: asked.resourceName, labels: asked.resource.labels },
        principal.who.groups,
      )
      const catalogue =
        gate.restricted || rules?.hasRules
          ? this.catalogues.of(asked.resourceName, asked.resource, asked.database)
          : null
      void catalogue?.fresh()
      if (rules && isReplication(parameters))
        throw new CustodyError(
          'CUSTODY-MASK-004',
          'a replication connection can’t be masked, and this resource is',
        )
      const masking = rules
        ? new SessionMasking(
            rules,
            rules.hasRules ? catalogue : null,
            this.services.configuration.limits.statementsPerConnectionMax,
            own.reveal,
          )
        : null
      const forwarded = new Map(parameters)
      forwarded.delete('user')
      forwarded.delete('database')
      const secret = randomBytes(4)
      const target = await signIn(
        asked.resource,
        asked.database,
        forwarded,
        secret,
        this.services.configuration.limits.targetConnectMsMax,
        this.services.secrets,
      )
      if (target.tls) path.targetTls = describeTls(target.tls)
      session = recorder.openSession(principal.who, path, {
        attributes: {
          serverVersion: target.parameters.get('server_version') ?? '',
          ...(own.reason !== null && { reason: own.reason }),
        },
      })
      clearTimeout(timer)
      if (stream.destroyed) {
        target.stream.destroy()
        recorder.closeSession(session, 'closed', 'the client went away during sign-in', {})
        return
      }
      // Who was let in already has had AuthenticationOk.
      if (own.signInBy === 'browser')
        target.welcome = target.welcome.subarray(AUTHENTICATION_OK_BYTES)
      this.relay(
        stream,
        target,
        session,
        principal,
        asked,
        secret,
        reader.release(),
        gate,
        catalogue,
        masking,
      )
    } catch (error) {
      if (session) recorder.closeSession(session, 'closed', messageOf(error), {})
      else this.recordRefusal(principal, path, error)
      throw error
    }
  }

  private relay(
    stream: Duplex,
    target: SignedIn,
    session: RecordedSession,
    principal: Principal,
    { resource }: Asked,
    secret: Buffer,
    early: Buffer,
    gate: SessionGate,
    catalogue: Followed | null,
    masking: SessionMasking | null,
  ): void {
    const key = cancelKey(target.pid, secret)
    const { limits } = this.services.configuration
    const live: Live = {
      relay: null,
      session,
      principal,
      resource,
      pid: target.pid,
      secret: target.secret,
    }
    const relay = new Relay({
      recorder: this.services.recorder,
      session,
      gate,
      catalogue,
      masking,
      approvals: this.services.approvals,
      analyser: this.analyser,
      client: stream,
      target: target.stream,
      parameters: target.parameters,
      settings: {
        durability: resource.durability,
        outputBytesMax:
          resource.recording === 'full'
            ? Number.POSITIVE_INFINITY
            : resource.recording === 'digest'
              ? 0
              : resource.recording.head,
        frameBytesMax: limits.frameBytesMax,
        statementBytesMax: limits.statementBytesMax,
        parametersBytesMax: limits.parametersBytesMax,
        namesMax: limits.statementsPerConnectionMax,
        idleMsMax: limits.idleMsMax,
        stalledMsMax: limits.stalledMsMax,
      },
      onEnd: () => {
        if (this.live.get(key) === live) this.live.delete(key)
      },
    })
    live.relay = relay
    this.live.set(key, live)
    if (early.length > 0) stream.unshift(early)
    if (target.rest.length > 0) target.stream.unshift(target.rest)
    // The session is in the record before the client learns that it has one.
    this.services.recorder.whenRecorded('os', {
      recorded: (error) => {
        if (error) {
          relay.abort('CUSTODY-LOG-003', error.message, '53100')
          return
        }
        stream.write(target.welcome)
        relay.start()
      },
    })
  }

  private async authenticate(
    greeting: Greeting & { kind: 'startup' },
    own: OwnSettings,
    path: Path,
    timer: NodeJS.Timeout,
  ): Promise<Principal> {
    const user = greeting.parameters.get('user') ?? ''
    const principal =
      own.signInBy === 'browser'
        ? await this.byBrowser(greeting, own.anybody ? '' : user, path, timer)
        : await this.byToken(greeting, own)
    const { subject, email } = principal.who
    if (!own.anybody && user !== subject && user !== email && !principal.names?.includes(user))
      throw new CustodyError(
        'CUSTODY-ACCESS-001',
        own.signInBy === 'browser'
          ? `${JSON.stringify(email ?? subject)} signed in, not ${JSON.stringify(user)}`
          : `the token was issued to ${JSON.stringify(subject)}, not to ${JSON.stringify(user)}`,
      )
    return principal
  }

  /** The client waits, and shows where to sign in. It is told that it is let in before it is: only then do clients show notices. */
  private async byBrowser(
    { stream, reader }: Greeting & { kind: 'startup' },
    user: string,
    path: Path,
    timer: NodeJS.Timeout,
  ): Promise<Principal> {
    const asked = this.services.signIns.ask(path, user)
    clearTimeout(timer)
    // Whatever it says next, it says after being let in; that it went away is learnt at once.
    const gone = () => asked.withdraw('the client went away')
    reader.peek().catch(gone)
    stream.once('close', gone)
    try {
      await this.services.recorder.recorded('os')
      admit(stream)
      tellNotice(
        stream,
        `sign in here: ${asked.url}`,
        `The page shows the code ${asked.code}. This connection waits ${Math.round(asked.waitMsMax / 1000)} seconds for it.`,
      )
      const principal = await asked.answered
      tellNotice(stream, `signed in as ${principal.who.email ?? principal.who.subject}`)
      return principal
    } finally {
      stream.off('close', gone)
      asked.withdraw('the sign-in came to nothing')
    }
  }

  private async byToken(
    { stream, reader }: Greeting & { kind: 'startup' },
    { signInBy }: OwnSettings,
  ): Promise<Principal> {
    const { limits, identity } = this.services.configuration
    const bytesMax = limits.handshakeFrameBytesMax
    let presented: string | null
    if (signInBy === 'oauth') {
      const issuer = identity.issuers.find(({ clientId }) => clientId !== undefined)
      presented = await askBearer(stream, reader, bytesMax, issuer ? discoveryOf(issuer) : null)
      if (presented === null)
        throw new CustodyError(
          'CUSTODY-ACCESS-001',
          'no token was presented; the client may get one',
        )
    } else presented = await askPassword(stream, reader, bytesMax)
    try {
      return await this.services.verifier.verify(presented)
    } catch (error) {
      throw new CustodyError(
        'CUSTODY-ACCESS-001',
        isCustodyError(error) ? error.message : 'the credential was not understood',
        { cause: error, details: isCustodyError(error) ? error.details : {} },
      )
    }
  }

  private resolve(parameters: Map<string, string>): Asked {
    const named = parameters.get('database') ?? parameters.get('user') ?? ''
    const slash = named.indexOf('/')
    const resourceName = slash < 0 ? named : named.slice(0, slash)
    const resource = Object.hasOwn(this.services.configuration.resources, resourceName)
      ? this.services.configuration.resources[resourceName]
      : undefined
    if (resource?.protocol !== 'postgres')
      throw new CustodyError(
        'CUSTODY-ACCESS-002',
        `${JSON.stringify(resourceName)} is not a PostgreSQL resource of this gateway`,
      )
    if (isReplication(parameters) && !resource.allowReplication)
      throw new CustodyError(
        'CUSTODY-PG-009',
        `the resource ${JSON.stringify(resourceName)} does not allow replication connections`,
      )
    return {
      resourceName,
      resource,
      database: slash < 0 ? (resource.database ?? resourceName) : named.slice(slash + 1),
    }
  }

  /** Maps our key to the target's and passes the request on. The client learns nothing, as the protocol has it. */
  private async cancel(greeting: Greeting & { kind: 'cancel' }): Promise<void> {
    const live = this.live.get(cancelKey(greeting.pid, greeting.secret))
    try {
      if (live) {
        const { recorder } = this.services
        recorder.record(
          {
            kind: 'session.cancel',
            lifecycle: {
              state: 'changed',
              reason: 'the client asked to cancel the running command',
            },
          },
          live.session,
        )
        await recorder.recorded('os')
        // What is held has not reached the target: cancelling it there would cancel something else.
        if (live.relay?.cancelHeld()) return
        const { stream } = await reachTarget(
          live.resource,
          this.services.configuration.limits.targetConnectMsMax,
        )
        stream.write(cancelRequest(live.pid, live.secret))
        await new Promise<void>((resolve) => {
          stream.on('error', () => resolve())
          stream.on('close', () => resolve())
          stream.on('end', () => stream.destroy())
          stream.resume()
          setTimeout(
            () => stream.destroy(),
            this.services.configuration.limits.targetConnectMsMax,
          ).unref()
        })
      }
    } catch (error) {
      this.services.logger.warn({ err: error }, 'a cancel request could not be passed on')
    } finally {
      greeting.stream.destroy()
    }
  }

  private refused(stream: Duplex, error: unknown, client: { address: string; port: number }): void {
    if (error instanceof TargetRefusedError) {
      stream.end(error.response)
      destroySoon(stream)
      return
    }
    if (isCustodyError(error) && error.code === 'CUSTODY-SECRET-001')
      this.services.logger.error(
        { code: error.code, reason: error.details.recorded },
        'nobody can be signed in at a target',
      )
    if (
      !isCustodyError(error) &&
      !(error instanceof WireError) &&
      !(error as { code?: string })?.code
    )
      this.services.logger.error(
        { err: error, client: client.address },
        'sign-in failed unexpectedly',
      )
    refuseClient(stream, error)
  }

  private recordRefusal(principal: Principal | null, path: Path, error: unknown): void {
    if (this.services.recorder.problem) return
    // Whoever has no name could fill the log; some a minute tell of all of them.
    if (principal === null && !this.refusals.take()) return
    const code =
      error instanceof TargetRefusedError
        ? 'CUSTODY-TARGET-004'
        : ((error as { code?: string }).code ?? 'CUSTODY-PG-003')
    this.services.recorder.record({
      kind: 'access.refused',
      who: principal?.who,
      path,
      access: { action: 'connect', outcome: 'refused', code, reason: recordedReason(error) },
    })
  }
}

/** Start-up parameters that are no settings, or that change nothing but how values are shown. */
const HARMLESS = new Set([
  'user',
  'database',
  'replication',
  'options',
  'application_name',
  'client_encoding',
  'datestyle',
  'intervalstyle',
  'timezone',
  'extra_float_digits',
  'client_min_messages',
  'bytea_output',
])

/** A setting made while signing in is a SET statement, and is judged as one. */
function judgeSettings(gate: SessionGate, parameters: ReadonlyMap<string, string>): void {
  const settings = [...parameters].filter(
    ([name]) => !name.startsWith('_pq_.') && !HARMLESS.has(name.toLowerCase()),
  )
  settings.push(...startupOptions(parameters.get('options') ?? ''))
  for (const [name, value] of settings) {
    const verdict = gate.decide(settingAnalysis(name, value))
    // Nobody can be asked here: the client waits for its sign-in, not for a command.
    if (verdict.outcome !== 'allow')
      throw new CustodyError(
        'CUSTODY-PG-015',
        `the setting ${name} can't be made while signing in: ${verdict.reason}`,
      )
  }
}

function discoveryOf(issuer: OidcIssuer): { url: string; scope: string } {
  return { url: discoveryUrl(issuer), scope: issuer.scopes.join(' ') }
}

function isReplication(parameters: ReadonlyMap<string, string>): boolean {
  const replication = parameters.get('replication')
  return replication !== undefined && !/^(false|off|no|0)$/i.test(replication)
}

function cancelKey(pid: number, secret: Buffer): string {
  return `${pid}:${secret.toString('hex')}`
}

function refuseClient(stream: Duplex, error: unknown): void {
  if (stream.writable) stream.end(signInRefused(error))
  destroySoon(stream)
}
