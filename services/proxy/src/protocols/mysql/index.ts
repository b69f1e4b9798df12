/**
 * MySQL and MariaDB: who may reach which resource, and then the relay. A connection comes in as a socket and ends as a sealed
 * session in the record; a refused one leaves an access event that says why.
 */
import { randomBytes } from 'node:crypto'
import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import type { RecordedSession } from '@custody/event-log'
import {
  CustodyError,
  isCustodyError,
  type MysqlResource,
  PerMinute,
  recordedReason,
} from '@custody/kit'
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
import type { Followed } from '../../followed'
import type { SessionGate } from '../../gate'
import type { Principal, Protocol, ProtocolServices } from '../../protocol'
import { type Live as LiveSession, Sessions } from '../../sessions'
import { SessionTexts, Texts } from './analysis'
import type { Catalogue } from './catalogue'
import { Catalogues } from './catalogues'
import { CompressedStream } from './compression'
import { serveControl } from './control'
import {
  type Asked,
  askToken,
  isForBrowser,
  type OwnSettings,
  RsaKey,
  readAsked,
  showDialog,
  type Turns,
} from './credential'
import { commonFacts, type Greeted, greet, type TargetFacts } from './greeting'
import { killStatement } from './kill'
import { Relay, type Victim } from './relay'
import { MysqlMasking } from './session-masking'
import { runAlone, type SignedIn, signIn, TargetRefusedError } from './target'
import {
  Capability,
  type ChangeUser,
  errPayload,
  okPayload,
  packet,
  Status,
  WireError,
} from './wire'

interface Live extends LiveSession {
  relay: Relay | null
  resourceName: string
  /** As the client knows it, and as the target does. */
  threadId: number
  targetThreadId: number
}

interface Found extends Asked {
  resource: MysqlResource
  database: string
}

/** Ours begin here, so that they are not taken for the target's. */
const THREAD_ID_MIN = 0x40000000
const THREAD_ID_MAX = 0x7fffffff
/** A connection that is good for KILL alone. */
const CONTROL_MS_MAX = 60_000
/** How long a client waits for the first look at targets, should nobody have looked yet. */
const LOOK_MS_MAX = 2000

export async function createMysql(services: ProtocolServices): Promise<Protocol> {
  return new Mysql(services)
}

class Mysql implements Protocol {
  readonly name = 'mysql' as const
  readonly live: Sessions<number, Live>
  private readonly refusals = new PerMinute(REFUSALS_PER_MINUTE_MAX)
  private readonly key: RsaKey
  private readonly texts = new Texts()
  private readonly catalogues: Catalogues
  private nextThreadId = THREAD_ID_MIN + Math.floor(Math.random() * 0x1000000)
  /** What targets said of themselves when they were reached last. */
  private readonly facts = new Map<string, TargetFacts>()
  private readonly looked: Promise<unknown>

  constructor(private readonly services: ProtocolServices) {
    const { recorder, configuration, secrets, logger } = services
    this.live = new Sessions(services)
    this.catalogues = new Catalogues(recorder, configuration.gateway, secrets, logger)
    this.key = new RsaKey(services.home)
    this.looked = this.lookAtTargets()
  }

  /** `masking`: null where nothing is masked. `catalogue`: null where nobody needs to know what the server holds. */
  private knownOf(
    { resource, resourceName }: Found,
    principal: Principal,
    own: OwnSettings,
    gate: SessionGate,
  ): { masking: MysqlMasking | null; catalogue: Followed<Catalogue> | null } {
    const rules = this.services.masking?.open(
      { name: resourceName, labels: resource.labels },
      principal.who.groups,
    )
    const catalogue =
      gate.restricted || rules?.hasRules ? this.catalogues.of(resourceName, resource) : null
    void catalogue?.fresh()
    const { statementsPerConnectionMax } = this.services.configuration.limits
    const masking = rules
      ? new MysqlMasking(
          rules,
          rules.hasRules ? catalogue : null,
          statementsPerConnectionMax,
          own.reveal,
        )
      : null
    return { masking, catalogue }
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
    let greeted: Greeted | null = null
    const timer = setTimeout(() => {
      refuseClient(
        greeted?.stream ?? socket,
        greeted?.channel.sequence ?? 0,
        new CustodyError('CUSTODY-ACCESS-004', `not signed in within ${handshakeMsMax} ms`),
      )
    }, handshakeMsMax)
    try {
      const threadId = this.takeThreadId()
      const nonce = makeNonce()
      if (this.facts.size === 0) await atMost(this.looked, LOOK_MS_MAX)
      const known = commonFacts([...this.facts.values()])
      greeted = await greet(
        socket,
        this.services.tls,
        known,
        threadId,
        nonce,
        this.services.configuration.limits.handshakeFrameBytesMax,
      )
      greeted.stream.on('error', () => {})
      await this.signInAndRelay(greeted, client, timer, threadId, nonce)
    } catch (error) {
      this.refused(greeted?.stream ?? socket, greeted?.channel.sequence ?? 1, error, client)
    } finally {
      clearTimeout(timer)
    }
  }

  refuse(socket: Socket): void {
    refuseClient(socket, 0, new CustodyError('CUSTODY-ACCESS-003', 'too many connections'))
  }

  private takeThreadId(): number {
    do {
      this.nextThreadId = this.nextThreadId >= THREAD_ID_MAX ? THREAD_ID_MIN : this.nextThreadId + 1
    } while (this.live.has(this.nextThreadId))
    return this.nextThreadId
  }

  /** Signs in at each target once, since clients must be told what those can do before they say which they want. */
  private async lookAtTargets(): Promise<void> {
    const { resources, limits } = this.services.configuration
    const looks = Object.entries(resources).map(async ([name, resource]) => {
      if (resource.protocol !== 'mysql') return
      try {
        const { stream, greeting } = await signIn(
          resource,
          {
            ...{ capabilities: 0, mariadbCapabilities: 0, packetBytesMax: 1 << 24, collation: 45 },
            ...{ database: resource.database ?? '', attributes: new Map() },
          },
          limits.targetConnectMsMax,
          this.services.secrets,
        )
        this.facts.set(name, greeting)
        stream.on('error', () => {})
        stream.end(packet(0, Buffer.from([1])))
      } catch (error) {
        this.services.logger.info(
          { resource: name, reason: messageOf(error) },
          'a target was not reached',
        )
      }
    })
    await Promise.all(looks)
  }

  private async signInAndRelay(
    greeted: Greeted,
    client: { address: string; port: number; gateway: string },
    timer: NodeJS.Timeout,
    threadId: number,
    nonce: Buffer,
  ): Promise<void> {
    const { stream, response, tls } = greeted
    const { recorder } = this.services
    const { attributes } = response
    const path: Path = {
      clientAddress: client.address,
      clientPort: client.port,
      clientApplication: attributes.get('program_name') ?? attributes.get('_client_name') ?? null,
      clientTls: tls ? describeTls(tls) : null,
      via: [],
      gateway: this.services.configuration.gateway,
      gatewayAddress: client.gateway,
      agent: null,
      resource: response.database,
      protocol: 'mysql',
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
      const asked = readAsked(response.database, attributes)
      principal = await this.authenticate(greeted, path, timer, nonce)
      if (asked.resourceName === '' && (await this.control(greeted, principal, timer))) return
      const found = this.resolve(asked)
      path.resource = found.resourceName
      path.target = found.resource.address
      path.account = found.resource.account
      path.database = found.database
      const { own } = asked
      const gate = this.services.gate.open({
        principal: { ...factsOf(principal), reason: own.reason },
        resource: {
          name: found.resourceName,
          protocol: 'mysql',
          labels: found.resource.labels,
        },
        sourceAddress: client.address,
        application: path.clientApplication ?? null,
        database: found.database,
        isReplicated: found.resource.durability === 'replicated',
      })
      recordSignedIn(recorder, principal, path, own.reason)
      const target = await signIn(
        found.resource,
        {
          capabilities: response.capabilities,
          mariadbCapabilities: response.mariadbCapabilities,
          packetBytesMax: response.packetBytesMax,
          collation: response.collation,
          database: found.database,
          attributes,
        },
        this.services.configuration.limits.targetConnectMsMax,
        this.services.secrets,
      )
      this.facts.set(found.resourceName, target.greeting)
      checkAgreement(response, target)
      if (target.tls) path.targetTls = describeTls(target.tls)
      session = recorder.openSession(principal.who, path, {
        attributes: {
          serverVersion: target.greeting.version,
          ...(own.reason !== null && { reason: own.reason }),
        },
      })
      clearTimeout(timer)
      if (stream.destroyed) {
        target.stream.destroy()
        recorder.closeSession(session, 'closed', 'the client went away during sign-in', {})
        return
      }
      this.relay(greeted, target, session, principal, found, threadId, gate, own)
    } catch (error) {
      if (session) recorder.closeSession(session, 'closed', messageOf(error), {})
      else this.recordRefusal(principal, path, error)
      throw error
    }
  }

  private relay(
    { stream: raw, channel, response }: Greeted,
    target: SignedIn,
    session: RecordedSession,
    principal: Principal,
    found: Found,
    threadId: number,
    gate: SessionGate,
    own: OwnSettings,
  ): void {
    const { resource, resourceName } = found
    const { limits } = this.services.configuration
    const early = channel.release()
    if (early.length > 0) raw.unshift(early)
    const welcome = packet(channel.sequence, okPayload(target.status))
    const stream = unpacked(raw, response)
    const live: Live = {
      relay: null,
      ...{ session, principal, resourceName, threadId },
      targetThreadId: target.greeting.threadId,
    }
    const relay = new Relay({
      recorder: this.services.recorder,
      session,
      gate,
      approvals: this.services.approvals,
      ...this.knownOf(found, principal, own, gate),
      texts: new SessionTexts(
        this.texts,
        target.greeting.version,
        (response.capabilities & Capability.multiStatements) !== 0,
        limits.statementsPerConnectionMax,
      ),
      client: stream,
      target: target.stream,
      agreed: response,
      targetAgreed: target,
      variables: target.variables,
      status: target.status,
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
        allowReplication: resource.allowReplication,
      },
      victim: (id) => this.victimOf(live, id),
      changeUser: (asked, turns) => this.changeUser(live, found, response, asked, turns),
      onEnd: () => {
        if (this.live.get(threadId) === live) this.live.delete(threadId)
      },
    })
    live.relay = relay
    this.live.set(threadId, live)
    if (target.rest.length > 0) target.stream.unshift(target.rest)
    // The session is in the record before the client learns that it has one.
    this.services.recorder.whenRecorded('os', {
      recorded: (error) => {
        if (error) {
          relay.abort('CUSTODY-LOG-003', error.message)
          return
        }
        raw.write(welcome)
        relay.start()
      },
    })
  }

  /** Somebody who has a session here may say which of them shall end. */
  private async control(
    { stream, channel, response }: Greeted,
    principal: Principal,
    timer: NodeJS.Timeout,
  ): Promise<boolean> {
    const isOwn = (live: Live) => isSame(live.principal, principal)
    if (![...this.live.values()].some(isOwn)) return false
    clearTimeout(timer)
    const early = channel.release()
    if (early.length > 0) stream.unshift(early)
    stream.write(packet(channel.sequence, okPayload(Status.autocommit)))
    const { recorder, configuration, secrets } = this.services
    await serveControl({
      stream: unpacked(stream, response),
      queryAttributes: (response.capabilities & Capability.queryAttributes) !== 0,
      idleMsMax: CONTROL_MS_MAX,
      kill: async (threadId, isQuery) => {
        const live = this.live.get(threadId)
        if (live === undefined || !isOwn(live)) return null
        recorder.record(
          {
            kind: 'session.cancel',
            lifecycle: {
              state: 'changed',
              reason: `the client asked to end ${isQuery ? 'the running command' : 'the session'}`,
            },
          },
          live.session,
        )
        await recorder.recorded('os')
        // What is held has not reached the target: cancelling it there would cancel something else.
        if (live.relay?.cancelHeld() && isQuery) return true
        const resource = configuration.resources[live.resourceName] as MysqlResource
        const sql = killStatement(live.targetThreadId, isQuery)
        await runAlone(resource, sql, configuration.limits.targetConnectMsMax, secrets)
        return true
      },
    })
    return true
  }

  /** Of one's own sessions at the same resource; by our number, which clients are greeted with, or by the target's. */
  private victimOf({ principal, resourceName }: Live, id: number): Victim | null {
    const isOwn = (live: Live) =>
      live.resourceName === resourceName && isSame(live.principal, principal)
    const named = this.live.get(id)
    const found =
      named && isOwn(named)
        ? named
        : [...this.live.values()].find((live) => live.targetThreadId === id && isOwn(live))
    if (found === undefined) return null
    const { targetThreadId, session, relay } = found
    return { targetThreadId, session, cancelHeld: () => relay?.cancelHeld() ?? false }
  }

  /** COM_CHANGE_USER: the same person once more, for the same resource. */
  private async changeUser(
    live: Live,
    found: Found,
    response: Greeted['response'],
    asked: ChangeUser,
    channel: Turns,
  ): Promise<{ database: string }> {
    const { recorder } = this.services
    const { path } = live.session
    try {
      const attributes = new Map(asked.attributes)
      const wanted = readAsked(asked.database, attributes)
      // Nobody who has shown a token once gets round showing it again: a nonce that was not sent proves nothing.
      const principal = await this.verify(
        await askToken({
          ...{ channel, plugin: '', auth: asked.auth, nonce: makeNonce(), key: this.key },
          attributes: attributes.size > 0 ? attributes : response.attributes,
          isSecure: path.clientTls != null,
        }),
      )
      this.checkName(principal, asked.user)
      if (!isSame(principal, live.principal))
        throw new CustodyError('CUSTODY-MYSQL-009', 'a session stays its own person’s')
      if (wanted.resourceName !== '' && wanted.resourceName !== found.resourceName)
        throw new CustodyError('CUSTODY-MYSQL-009', 'a session stays at its resource; connect anew')
      live.principal = principal
      recorder.record(
        {
          kind: 'access.sign-in',
          access: {
            action: 'change-user',
            outcome: 'success',
            credential: principal.who.method,
            tokenId: principal.who.tokenId,
          },
        },
        live.session,
      )
      await recorder.recorded('os')
      return { database: wanted.database ?? found.resource.database ?? found.resourceName }
    } catch (error) {
      recorder.record(
        {
          kind: 'access.refused',
          access: {
            action: 'change-user',
            outcome: 'refused',
            code: (error as { code?: string }).code ?? 'CUSTODY-MYSQL-009',
            reason: recordedReason(error),
          },
        },
        live.session,
      )
      throw error
    }
  }

  private async authenticate(
    greeted: Greeted,
    path: Path,
    timer: NodeJS.Timeout,
    nonce: Buffer,
  ): Promise<Principal> {
    const { response } = greeted
    const byBrowser = isForBrowser(response)
    const principal = byBrowser
      ? await this.byBrowser(greeted, path, timer)
      : await this.byToken(greeted, nonce)
    if (!byBrowser) this.checkName(principal, response.user)
    return principal
  }

  private async byToken({ channel, response, tls }: Greeted, nonce: Buffer): Promise<Principal> {
    const { plugin, auth, attributes } = response
    const isSecure = tls !== null
    return await this.verify(
      await askToken({ channel, plugin, auth, attributes, nonce, isSecure, key: this.key }),
    )
  }

  private checkName({ who: { subject, email }, names }: Principal, user: string): void {
    if (user !== subject && user !== email && !names?.includes(user))
      throw new CustodyError(
        'CUSTODY-ACCESS-001',
        `the token was issued to ${JSON.stringify(subject)}, not to ${JSON.stringify(user)}`,
      )
  }

  private async verify(presented: string): Promise<Principal> {
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

  /** The client shows where to sign in, and waits for its person to say that they have. */
  private async byBrowser(
    { stream, channel }: Greeted,
    path: Path,
    timer: NodeJS.Timeout,
  ): Promise<Principal> {
    const asked = this.services.signIns.ask(path, '')
    clearTimeout(timer)
    const gone = () => asked.withdraw('the client went away')
    stream.once('close', gone)
    try {
      await this.services.recorder.recorded('os')
      const seconds = Math.round(asked.waitMsMax / 1000)
      await showDialog(
        channel,
        `Sign in here: ${asked.url}\nThe page shows the code ${asked.code}. Then press Enter here (within ${seconds} seconds): `,
      )
      return await asked.answered
    } finally {
      stream.off('close', gone)
      asked.withdraw('the sign-in came to nothing')
    }
  }

  private resolve(asked: Asked): Found {
    const { resourceName } = asked
    if (resourceName === '')
      throw new CustodyError(
        'CUSTODY-MYSQL-002',
        'name what to connect to as the database: `resource` or `resource/database`',
      )
    const { resources } = this.services.configuration
    const resource = Object.hasOwn(resources, resourceName) ? resources[resourceName] : undefined
    if (resource?.protocol !== 'mysql')
      throw new CustodyError(
        'CUSTODY-ACCESS-002',
        `${JSON.stringify(resourceName)} is not a MySQL resource of this gateway`,
      )
    return { ...asked, resource, database: asked.database ?? resource.database ?? resourceName }
  }

  private refused(
    stream: Duplex,
    sequence: number,
    error: unknown,
    client: { address: string; port: number },
  ): void {
    if (error instanceof TargetRefusedError) {
      const { errno, sqlstate, message } = error.fields
      if (stream.writable) stream.end(packet(sequence, errPayload(errno, sqlstate, message)))
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
    refuseClient(stream, sequence, error)
  }

  private recordRefusal(principal: Principal | null, path: Path, error: unknown): void {
    if (this.services.recorder.problem) return
    // Whoever has no name could fill the log; some a minute tell of all of them.
    if (principal === null && !this.refusals.take()) return
    const code =
      error instanceof TargetRefusedError
        ? 'CUSTODY-TARGET-004'
        : ((error as { code?: string }).code ?? 'CUSTODY-MYSQL-001')
    this.services.recorder.record({
      kind: 'access.refused',
      who: principal?.who,
      path,
      access: { action: 'connect', outcome: 'refused', code, reason: recordedReason(error) },
    })
  }
}

/** What both sides say means the same only where both have agreed on it. */
const SHARED = Capability.deprecateEof | Capability.queryAttributes | Capability.multiStatements

/** The client was told what targets could do when they were reached last; this one may have changed since. */
function checkAgreement(client: Greeted['response'], target: SignedIn): void {
  const missing = client.capabilities & ~target.capabilities & SHARED
  const missingMariadb = client.mariadbCapabilities & ~target.mariadbCapabilities
  if (missing === 0 && missingMariadb === 0) return
  target.stream.destroy()
  throw new CustodyError(
    'CUSTODY-MYSQL-005',
    'this target can do less than the client was told; connect again',
  )
}

/** What is compressed is so from the first packet behind the sign-in on. */
function unpacked(stream: Duplex, { capabilities }: Greeted['response']): Duplex {
  if (capabilities & Capability.compress) return new CompressedStream(stream, 'zlib')
  return capabilities & Capability.zstd ? new CompressedStream(stream, 'zstd') : stream
}

function isSame(one: Principal, other: Principal): boolean {
  return one.who.subject === other.who.subject && one.who.issuer === other.who.issuer
}

/** 20 bytes without zeros, which would end it early for some. */
function makeNonce(): Buffer {
  return Buffer.from(randomBytes(20).map((byte) => (byte % 94) + 33))
}

function atMost(work: Promise<unknown>, ms: number): Promise<unknown> {
  return Promise.race([work, new Promise((resolve) => setTimeout(resolve, ms).unref())])
}

/** Numbers from 2000 to 2999 are the client's own, and no server's. */
const ERRORS: Record<string, readonly [errno: number, sqlstate: string]> = {
  'CUSTODY-ACCESS-001': [1045, '28000'],
  'CUSTODY-ACCESS-002': [1049, '42000'],
  'CUSTODY-ACCESS-003': [1040, '08004'],
  'CUSTODY-ACCESS-004': [1043, '08S01'],
  'CUSTODY-ACCESS-005': [3159, 'HY000'],
  'CUSTODY-ACCESS-006': [1045, '28000'],
  'CUSTODY-MYSQL-002': [1046, '3D000'],
  'CUSTODY-MYSQL-005': [1043, '08S01'],
  'CUSTODY-TARGET-001': [1429, 'HY000'],
  'CUSTODY-TARGET-002': [1429, 'HY000'],
  'CUSTODY-TARGET-004': [1045, '28000'],
  'CUSTODY-SECRET-001': [1429, 'HY000'],
}

function refuseClient(stream: Duplex, sequence: number, error: unknown): void {
  const code = (error as { code?: string })?.code ?? ''
  const shown = code.startsWith('CUSTODY') ? code : 'CUSTODY-MYSQL-001'
  const [errno, sqlstate] =
    ERRORS[code] ?? (code.startsWith('CUSTODY-LOG') ? [1021, 'HY000'] : [1043, '08S01'])
  if (stream.writable)
    stream.end(
      packet(sequence, errPayload(errno, sqlstate, `custody: ${messageOf(error)}`, ` [${shown}]`)),
    )
  destroySoon(stream)
}
