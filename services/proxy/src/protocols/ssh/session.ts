/**
 * One signed-in SSH session: the client's connection, the target's, and what the one asks of the other. Channels and forwarded
 * connections are its commands. Refuses what the resource, the credential and the policies do not let through, and requests
 * that are not known.
 */
import type { RecordedSession, Recorder } from '@custody/event-log'
import type { UserCertificateTerms } from '@custody/identity'
import { type CustodyError, isCustodyError, type Limits, type SshResource } from '@custody/kit'
import type { SessionRules } from '@custody/masking'
import type { Approvals } from '../../approvals'
import { encodeDecision, type SessionGate } from '../../gate'
import { addressText, socketText } from './addresses'
import { type ForwardVerb, forwardRequest } from './analysis'
import { type Allowed, Commands, type Pending, type Started, type Submitted } from './commands'
import {
  type Channel,
  type ChannelHandler,
  type ChannelOpen,
  Connection,
  type ConnectionHandler,
} from './connection'
import { type End, ForwardChannel } from './forward-channel'
import { Disconnect, OpenFailure, WireReader, wire } from './numbers'
import { SessionChannel, type SessionDoors } from './session-channel'
import { printable, type Transport } from './transport'

/** Addresses that one session may have the target listen at. */
const LISTENERS_MAX = 100

export interface SessionParts {
  recorder: Recorder
  session: RecordedSession
  approvals: Approvals
  transport: Transport
  /** Null: a session that only leads on to others of this gateway. */
  resource: SshResource | null
  /** What was asked for, where there is no resource of that name. */
  asked: string
  terms: UserCertificateTerms | null
  limits: Limits
  gate(reason: string | null): SessionGate
  /** Null where nothing is masked. */
  rules: SessionRules | null
  /** Signs in at the target; rejects with a CustodyError. */
  reachTarget(handler: ConnectionHandler, ended: (error: Error | null) => void): Promise<Connection>
  /** A connection to this gateway for a resource of this name, or null. */
  jump(host: string, port: number): ((handler: ChannelHandler) => End) | null
  onEnd(): void
}

/** An address at which the target listens for this session. */
interface Listening {
  command: Started
  ruling: Allowed
  text: string
}

/** A client whose last channel is closed leaves by itself, but for one that others share. */
const LEAVING_MS = 250

export class SshSession {
  readonly commands: Commands
  readonly connection: Connection
  private readonly target: LateConnection
  private readonly channels = new Set<{ end(reason: string): void; readonly isIdle?: boolean }>()
  private readonly listening = new Map<string, Listening>()
  /** … and those that it was asked for and has not answered. */
  private listenersAsked = 0
  private readonly pendings = new Set<Pending>()
  private readonly back = new Map<string, Allowed>()
  private noMoreSessions = false
  private problem: { code: string; message: string } | null = null
  private isOver = false
  private movedBytes = -1
  private movedMs = 0
  private usedMessages = -1
  private usedMs = 0
  private busyMs = 0

  constructor(private readonly parts: SessionParts) {
    const { limits, resource } = parts
    this.commands = new Commands({
      recorder: parts.recorder,
      session: parts.session,
      approvals: parts.approvals,
      durability: resource?.durability ?? 'auto',
      statementBytesMax: limits.statementBytesMax,
    })
    this.connection = new Connection(
      parts.transport,
      this.clientHandler(),
      limits.channelsPerConnectionMax,
    )
    this.target = new LateConnection()
  }

  /** The client is let in. */
  start(): void {
    this.connection.start()
    if (this.parts.resource === null) {
      this.targetFailed({
        code: 'CUSTODY-ACCESS-002',
        message: `${JSON.stringify(printable(this.parts.asked))} is not an SSH resource of this gateway`,
      })
      return
    }
    this.parts
      .reachTarget(this.targetHandler(), (error) => this.targetEnded(error))
      .then(
        (connection) => {
          if (this.isOver) connection.transport.end()
          else this.target.is(connection)
        },
        (error: CustodyError) => this.targetFailed(shown(error)),
      )
  }

  /** From time to time: ends a session that nobody uses, or whose peer no longer takes what is sent to it. */
  check(nowMs: number): void {
    if (this.isOver) return
    const { idleMsMax, stalledMsMax } = this.parts.limits
    const { transport } = this.parts
    const waiting = transport.queuedBytes + this.connection.waitingBytes + this.target.waitingBytes
    const moved = transport.bytesIn + transport.bytesOut - waiting + this.target.movedBytes
    if (moved !== this.movedBytes) {
      this.movedBytes = moved
      this.movedMs = nowMs
    }
    // Keep-alives move bytes too, and nobody uses a session for them.
    const used = this.connection.used + this.target.used
    if (used !== this.usedMessages) {
      this.usedMessages = used
      this.usedMs = nowMs
    }
    const stillMs = nowMs - this.movedMs
    const idleMs = nowMs - this.usedMs
    if (waiting > 0 && stalledMsMax > 0 && stillMs > stalledMsMax)
      this.abort(
        'CUSTODY-SESSION-002',
        `one side took no byte for ${Math.round(stillMs / 1000)} seconds`,
      )
    else if (waiting === 0 && idleMsMax > 0 && idleMs > idleMsMax)
      this.abort('CUSTODY-SESSION-001', `nothing was sent for ${Math.round(idleMs / 1000)} seconds`)
  }

  /** Shells at their prompts, and nothing else. */
  isAtRest(): boolean {
    const { channels, pendings, listening } = this
    return (
      channels.size > 0 &&
      pendings.size + listening.size === 0 &&
      [...channels].every(({ isIdle }) => isIdle === true)
    )
  }

  /** An exit status is not with the client before it has closed the channel too, and has had a moment to leave by itself. */
  isBusy(nowMs: number): boolean {
    if (this.connection.open > 0) this.busyMs = nowMs
    return nowMs - this.busyMs < LEAVING_MS
  }

  /** Ends it; the client is told why. */
  abort(code: string, reason: string): void {
    if (this.isOver) return
    this.finish(reason)
    this.parts.transport.disconnect(Disconnect.byApplication, `custody: ${reason} (${code})`)
  }

  /** The client's connection is over. */
  clientEnded(error: Error | null): void {
    this.finish(
      error === null
        ? 'the client closed the connection'
        : `the client's connection failed: ${printable(error.message)}`,
    )
  }

  private finish(reason: string): void {
    if (this.isOver) return
    this.isOver = true
    for (const one of this.pendings) one.withdraw(reason)
    for (const channel of [...this.channels]) channel.end(reason)
    for (const { command } of this.listening.values())
      this.commands.completed(command, { status: 'ok', message: reason })
    this.listening.clear()
    const { recorder, session, transport } = this.parts
    recorder.closeSession(session, 'closed', reason, {
      bytesIn: transport.bytesIn,
      bytesOut: transport.bytesOut,
    })
    this.connection.lost()
    this.target.end()
    this.parts.onEnd()
  }

  // ── from the client ──────────────────────────────────────────────────────────────────────────────────────────

  private clientHandler(): ConnectionHandler {
    return {
      open: (asked) => this.onClientOpen(asked),
      globalRequest: (name, data, reply) => this.onClientRequest(name, data, reply),
    }
  }

  private onClientOpen(asked: ChannelOpen): void {
    const { terms } = this.parts
    switch (asked.type) {
      case 'session':
        if (this.noMoreSessions)
          asked.refuse(OpenFailure.prohibited, 'no more sessions were wanted')
        else this.channels.add(new SessionChannel(this.doors(), asked.accept))
        return
      case 'direct-tcpip': {
        const reader = new WireReader(asked.data)
        const host = reader.string()
        const port = reader.uint32()
        const from = printable(`${reader.text()}:${reader.uint32()}`)
        reader.end()
        const address = addressText(host, port)
        const jump = this.parts.jump(host.toString(), port)
        if (address === null) asked.refuse(OpenFailure.connectFailed, 'custody: not an address')
        else if (jump !== null && terms?.permitPortForwarding !== false)
          this.jump(address, from, asked, jump)
        else
          this.forward('ssh:forward-local', 'forward-local', asked.type, address, { from }, asked)
        return
      }
      case 'direct-streamlocal@openssh.com': {
        const reader = new WireReader(asked.data)
        const path = socketText(reader.string())
        // Both are reserved.
        reader.string()
        reader.uint32()
        reader.end()
        if (path === null) asked.refuse(OpenFailure.connectFailed, 'custody: not a path')
        else
          this.forward(
            'ssh:forward-socket',
            'forward-socket',
            'direct-streamlocal',
            path,
            {},
            asked,
          )
        return
      }
      default:
        asked.refuse(OpenFailure.unknownType, `custody: channels of type ${printable(asked.type)}`)
    }
  }

  /** To another session of this gateway, which signs in and is decided on by itself: recorded, not policed. */
  private jump(
    address: string,
    from: string,
    asked: ChannelOpen,
    reach: (handler: ChannelHandler) => End,
  ): void {
    const { problem } = this.parts.recorder
    if (problem) {
      asked.refuse(OpenFailure.prohibited, `custody: ${problem.message} (${problem.code})`)
      return
    }
    const submitted = forwardRequest('ssh:forward-local', asked.type, address, {
      from,
      to: 'this gateway',
    })
    const command = this.commands.started(submitted, {
      outcome: 'allow',
      decision: JUMP,
      alert: null,
    })
    // What is inside is recorded there, and encrypted here.
    this.carry(command, 'client', asked, reach, true)
  }

  /** `kind`: what the resource must allow. */
  private forward(
    verb: ForwardVerb,
    kind: SshResource['allow'][number],
    by: string,
    address: string,
    attributes: Record<string, string>,
    asked: ChannelOpen,
  ): void {
    const submitted = forwardRequest(verb, by, address, attributes)
    if (!this.mayForward(kind, submitted)) {
      asked.refuse(OpenFailure.prohibited, NOT_ALLOWED)
      return
    }
    let pending: Pending | null = null
    pending = this.commands.decide(
      this.parts.gate(null),
      submitted,
      submitted.statement.text.toString(),
      () => {},
      (ruling) => {
        if (pending) this.pendings.delete(pending)
        if (this.isOver) return
        if (ruling.outcome === 'block') {
          this.commands.blocked(submitted, ruling)
          asked.refuse(OpenFailure.prohibited, `custody refused: ${ruling.reason} (${ruling.code})`)
          return
        }
        const command = this.commands.started(submitted, ruling)
        this.carry(command, 'client', asked, (handler) =>
          this.openAtTarget(asked.type, asked.data, handler),
        )
      },
    )
    if (pending) this.pendings.add(pending)
  }

  /** By the resource and the certificate; that somebody tried is recorded. */
  private mayForward(kind: SshResource['allow'][number], submitted: Submitted): boolean {
    const { resource, terms } = this.parts
    const isAllowed = resource?.allow.includes(kind) ?? false
    if (isAllowed && terms?.permitPortForwarding !== false) return true
    if (isAllowed)
      this.commands.notAllowed(
        submitted,
        'custody.certificate',
        'the certificate does not permit forwarding',
      )
    else
      this.commands.notAllowed(
        submitted,
        'custody.resource',
        `this resource does not allow ${kind}`,
      )
    return false
  }

  private carry(
    command: Started,
    by: 'client' | 'target',
    asked: ChannelOpen,
    reach: (handler: ChannelHandler) => End,
    isOpaque = false,
  ): void {
    const channel: ForwardChannel = new ForwardChannel({
      commands: this.commands,
      command,
      outputBytesMax: isOpaque ? 0 : this.outputBytesMax,
      by,
      asked,
      reach,
      unrecordable: (error) => this.unrecordable(error),
      over: () => this.channels.delete(channel),
    })
    this.channels.add(channel)
  }

  private onClientRequest(
    name: string,
    data: Buffer,
    reply: ((ok: boolean, data?: Buffer) => void) | null,
  ): void {
    switch (name) {
      case 'no-more-sessions@openssh.com':
        this.noMoreSessions = true
        reply?.(true)
        return
      case 'tcpip-forward':
        this.onListen(data, reply)
        return
      case 'cancel-tcpip-forward': {
        const key = data.toString('latin1')
        const listening = this.listening.get(key)
        if (listening === undefined) {
          reply?.(false)
          return
        }
        this.listening.delete(key)
        this.commands.completed(listening.command, {
          status: 'ok',
          message: 'the client cancelled it',
        })
        this.target.globalRequest(name, Buffer.from(data), (ok) => reply?.(ok))
        return
      }
      default:
        // What asks whether anybody is there is content with a no.
        reply?.(false)
    }
  }

  private onListen(data: Buffer, reply: ((ok: boolean, data?: Buffer) => void) | null): void {
    const reader = new WireReader(data)
    const host = reader.string()
    const port = reader.uint32()
    reader.end()
    const address = addressText(host, port, true)
    if (address === null || this.listening.size + this.listenersAsked >= LISTENERS_MAX) {
      reply?.(false)
      return
    }
    const submitted = forwardRequest('ssh:forward-remote', 'tcpip-forward', address, {})
    if (!this.mayForward('forward-remote', submitted)) {
      reply?.(false)
      return
    }
    this.listenersAsked++
    let pending: Pending | null = null
    pending = this.commands.decide(
      this.parts.gate(null),
      submitted,
      submitted.statement.text.toString(),
      () => {},
      (ruling) => {
        if (pending) this.pendings.delete(pending)
        if (this.isOver) return
        if (ruling.outcome === 'block') {
          this.listenersAsked--
          this.commands.blocked(submitted, ruling)
          reply?.(false)
          return
        }
        const command = this.commands.started(submitted, ruling)
        this.recorded(command, () =>
          this.target.globalRequest('tcpip-forward', Buffer.from(data), (ok, answer) => {
            this.listenersAsked--
            if (!ok)
              this.commands.completed(command, { status: 'error', message: 'the target refused' })
            else {
              const chosen = port === 0 && answer.length >= 4 ? answer.readUInt32BE(0) : port
              this.listening.set(wire(host, chosen).toString('latin1'), {
                command,
                ruling,
                text: addressText(host, chosen, true) ?? address,
              })
            }
            reply?.(ok, Buffer.from(answer))
          }),
        )
      },
    )
    if (pending) this.pendings.add(pending)
  }

  private recorded(command: Started, then: () => void): void {
    this.commands.recorder.whenRecorded(command.durability, {
      recorded: (error) => {
        if (error) this.unrecordable(error)
        else if (!this.isOver) then()
      },
    })
  }

  // ── from the target ──────────────────────────────────────────────────────────────────────────────────────────

  private targetHandler(): ConnectionHandler {
    return {
      open: (asked) => this.onTargetOpen(asked),
      globalRequest: (_name, _data, reply) => reply?.(false),
    }
  }

  private onTargetOpen(asked: ChannelOpen): void {
    if (this.isOver) {
      asked.refuse(OpenFailure.connectFailed, '')
      return
    }
    let ruling: Allowed | undefined
    let submitted: ReturnType<typeof forwardRequest> | undefined
    if (asked.type === 'forwarded-tcpip') {
      const reader = new WireReader(asked.data)
      const host = reader.text()
      const port = reader.uint32()
      const from = `${printable(reader.text())}:${reader.uint32()}`
      const listening = this.listening.get(wire(host, port).toString('latin1'))
      ruling = listening?.ruling
      if (listening)
        submitted = forwardRequest('ssh:forward-remote', asked.type, listening.text, { from })
    } else if (asked.type === 'auth-agent@openssh.com' || asked.type === 'x11') {
      ruling = this.back.get(asked.type)
      submitted = forwardRequest(
        asked.type === 'x11' ? 'ssh:x11' : 'ssh:agent',
        asked.type,
        'the client',
        {},
      )
    }
    if (ruling === undefined || submitted === undefined) {
      asked.refuse(OpenFailure.prohibited, 'nobody asked for this')
      return
    }
    const command = this.commands.started(submitted, { ...ruling, alert: null })
    this.carry(
      command,
      'target',
      asked,
      (handler) => this.connection.openChannel(asked.type, Buffer.from(asked.data), handler),
      // What agents say are keys' signatures; nobody needs them kept.
      asked.type === 'auth-agent@openssh.com',
    )
  }

  private openAtTarget(type: string, data: Buffer, handler: ChannelHandler): Channel {
    return this.target.openChannel(type, data, handler)
  }

  private targetFailed(problem: { code: string; message: string }): void {
    this.problem = problem
    this.target.fails(problem.message)
  }

  private targetEnded(error: Error | null): void {
    this.problem ??= {
      code: 'CUSTODY-TARGET-003',
      message: `the target closed the connection${error ? `: ${printable(error.message)}` : ''}`,
    }
    if (this.isOver) return
    // The channels have said what they had to say; their last words are on their way.
    const { problem } = this
    this.parts.recorder.whenRecorded('os', {
      recorded: () => setImmediate(() => this.abort(problem.code, problem.message)),
    })
  }

  private unrecordable(error: Error): void {
    const { code } = error as { code?: string }
    if (code?.startsWith('CUSTODY-REPLICATION'))
      this.abort(
        'CUSTODY-REPLICATION-003',
        `a command ran, and its outcome can't be shown: ${error.message}`,
      )
    else this.abort('CUSTODY-LOG-003', `the record can't be written: ${error.message}`)
  }

  private get outputBytesMax(): number {
    const recording = this.parts.resource?.recording ?? 'digest'
    return recording === 'full'
      ? Number.POSITIVE_INFINITY
      : recording === 'digest'
        ? 0
        : recording.head
  }

  private doors(): SessionDoors {
    const self = this
    return {
      commands: this.commands,
      resource: this.parts.resource ?? NO_RESOURCE,
      terms: this.parts.terms,
      outputBytesMax: this.outputBytesMax,
      transfers: {
        recorder: this.parts.recorder,
        session: this.parts.session,
        approvals: this.parts.approvals,
        durability: this.parts.resource?.durability ?? 'auto',
        alerted: this.commands.alerted,
      },
      rules: this.parts.rules,
      gate: this.parts.gate,
      openAtTarget: (type, data, handler) => this.openAtTarget(type, data, handler),
      get targetProblem() {
        return self.problem
      },
      mayComeBack: (type, gate) => {
        const submitted = forwardRequest(
          type === 'x11' ? 'ssh:x11' : 'ssh:agent',
          type,
          'the client',
          {},
        )
        let may = false
        // Nobody can be asked here: the client waits for its command.
        const pending = this.commands.decide(
          gate,
          submitted,
          null,
          () => {},
          (ruling) => {
            if (ruling.outcome === 'allow') {
              this.back.set(type, ruling)
              may = true
            } else this.commands.blocked(submitted, ruling)
          },
        )
        pending?.withdraw('it can’t be waited for')
        return may
      },
      unrecordable: (error) => this.unrecordable(error),
      over: (channel) => this.channels.delete(channel),
    }
  }
}

const JUMP = encodeDecision({
  outcome: 'allow',
  policies: ['custody.jump'],
  reason: 'the session inside signs in and is decided on by itself',
})

const NOT_ALLOWED = 'custody: this is not allowed here (CUSTODY-SSH-002)'

/** Where there is none everything is turned away before it is looked at. */
const NO_RESOURCE = {
  allow: ['exec', 'shell', 'pty', 'subsystem'],
  env: [],
} as unknown as SshResource

function shown(error: unknown): { code: string; message: string } {
  return isCustodyError(error)
    ? { code: error.code, message: error.message }
    : { code: 'CUSTODY-TARGET-001', message: 'the target can’t be reached' }
}

/** A connection that is there soon, or never: what is asked of it meanwhile waits. */
class LateConnection {
  private connection: Connection | null = null
  private problem: string | null = null
  private waiting: ((connection: Connection | null) => void)[] = []

  is(connection: Connection): void {
    this.connection = connection
    for (const one of this.waiting.splice(0)) one(connection)
  }

  fails(problem: string): void {
    this.problem = problem
    for (const one of this.waiting.splice(0)) one(null)
  }

  get waitingBytes(): number {
    const { connection } = this
    return connection ? connection.waitingBytes + connection.transport.queuedBytes : 0
  }

  get used(): number {
    return this.connection?.used ?? 0
  }

  get movedBytes(): number {
    const { connection } = this
    return connection
      ? connection.transport.bytesIn + connection.transport.bytesOut - this.waitingBytes
      : 0
  }

  end(): void {
    this.connection?.transport.disconnect(Disconnect.byApplication, 'the client is gone')
    this.fails(this.problem ?? 'the session is over')
  }

  openChannel(type: string, data: Buffer, handler: ChannelHandler): Channel {
    if (this.connection) return this.connection.openChannel(type, data, handler)
    return new LateChannel(this, type, data, handler) as unknown as Channel
  }

  globalRequest(name: string, data: Buffer, reply: (ok: boolean, data: Buffer) => void): void {
    this.whenThere((connection) => {
      if (connection) connection.globalRequest(name, data, reply)
      else reply(false, Buffer.alloc(0))
    })
  }

  whenThere(what: (connection: Connection | null) => void): void {
    if (this.connection !== null || this.problem !== null) what(this.connection)
    else this.waiting.push(what)
  }

  get why(): string {
    return this.problem ?? ''
  }
}

/** A channel of a connection that is not there yet: what it is told waits, which its window bounds. */
class LateChannel {
  private channel: Channel | null = null
  private isGone = false
  private readonly told: ((channel: Channel) => void)[] = []

  constructor(late: LateConnection, type: string, data: Buffer, handler: ChannelHandler) {
    late.whenThere((connection) => {
      if (this.isGone) return
      if (connection === null) {
        this.isGone = true
        handler.openFailed(OpenFailure.connectFailed, late.why)
        return
      }
      this.channel = connection.openChannel(type, data, handler)
      for (const one of this.told.splice(0)) one(this.channel)
    })
  }

  data(bytes: Buffer, isError = false): void {
    this.tell((channel) => channel.data(bytes, isError))
  }
  request(name: string, data: Buffer, reply: ((ok: boolean) => void) | null, urgent = false): void {
    if (this.isGone) reply?.(false)
    else this.tell((channel) => channel.request(name, data, reply, urgent))
  }
  reply(ok: boolean): void {
    this.tell((channel) => channel.reply(ok))
  }
  eof(): void {
    this.tell((channel) => channel.eof())
  }
  close(): void {
    this.abandon()
  }
  abandon(): void {
    if (this.channel) this.channel.abandon()
    else this.isGone = true
  }
  consume(bytes: number): void {
    this.channel?.consume(bytes)
  }
  private tell(what: (channel: Channel) => void): void {
    if (this.channel) what(this.channel)
    else if (!this.isGone) this.told.push(what)
  }
}
