/**
 * One channel of the type `session`: a terminal is asked for, variables are set, then one command, shell or subsystem runs.
 *
 *   decode → decide → record → forward            (from the client)
 *   decode → record → release                     (from the target)
 *
 * Nothing of it reaches the target before it is decided on and recorded; its exit status, and the end of the channel, reach
 * the client only once how it ended is. Refuses requests that are not known.
 */
import type { Durability } from '@custody/event-log'
import { NotReplicatedError } from '@custody/event-log'
import type { SessionRules } from '@custody/masking'
import type { Reveal, SessionGate } from '../../gate'
import { execRequest, keptOf, shellRequest, subsystemRequest } from './analysis'
import { type AsksParts, ChannelAsks, Replies } from './channel-asks'
import type { Commands, Pending, Ruling, Started, Submitted } from './commands'
import type { Channel, ChannelHandler } from './connection'
import { Flow } from './flow'
import { SshWireError, WireReader, wire } from './numbers'
import { Outbox } from './outbox'
import { CommandOutput } from './output'
import { PlainLane } from './plain-lane'
import { carriesProtocol, type Transfer } from './recognise-exec'
import { createScpGate } from './scp'
import { createSftpGate } from './sftp'
import { TerminalLane } from './terminal-lane'
import { TransferRecord, type TransferRecordParts } from './transfer-record'
import type { TransferGate, TransferHost } from './transfers'
import { printable } from './transport'

/** What the client is told of commands that Custody did not let run, as their exit status. */
const EXIT_REFUSED = 1
/** As ssh itself exits where there is no connection. */
const EXIT_NO_TARGET = 255
/** Of a window's size or a signal, with room to spare. */
const LATE_BYTES_MAX = 1024
const LATE_REQUESTS_MAX = 10_000
const NOTHING_SHOWN: ReadonlySet<string> = new Set()
const SFTP = Buffer.from('sftp')
const SFTP_SERVER: Transfer = { program: 'sftp-server' }
const INTERNAL_SFTP = /^\s*internal-sftp(\s|$)/

/** What of a session its channels need. */
export interface SessionDoors extends AsksParts {
  readonly commands: Commands
  readonly outputBytesMax: number
  /** What operations on files are recorded with. */
  readonly transfers: Pick<
    TransferRecordParts,
    'recorder' | 'session' | 'approvals' | 'durability' | 'alerted'
  >
  /** Null where nothing is masked. */
  readonly rules: SessionRules | null
  /** Asks the target for a channel; it opens when the target is there. */
  openAtTarget(type: string, data: Buffer, handler: ChannelHandler): Channel
  /** Why the target can't be had: code and words, or null where it can or may be yet. */
  readonly targetProblem: { code: string; message: string } | null
  /** The record can't be written: nothing more may be shown. */
  unrecordable(error: Error): void
  /** For the count of bytes of the session. */
  over(channel: SessionChannel): void
}

type ToTarget =
  | { kind: 'data'; bytes: Buffer }
  | { kind: 'start'; name: string; data: Buffer; reply: (ok: boolean) => void }
  | { kind: 'request'; name: string; data: Buffer; reply: ((ok: boolean) => void) | null }
  | { kind: 'eof' }
  | { kind: 'close' }

type ToClient =
  | { kind: 'data'; bytes: Buffer; isError: boolean }
  | { kind: 'request'; name: string; data: Buffer }
  | { kind: 'eof' }
  | { kind: 'close' }

export class SessionChannel {
  private readonly client: Channel
  private readonly target: Channel
  private readonly toTarget: Outbox<ToTarget>
  private readonly toClient: Outbox<ToClient>
  private readonly fromClient: Flow
  private readonly fromTarget: Flow
  private stage: 'asking' | 'deciding' | 'running' | 'over' = 'asking'
  private readonly replies: Replies
  private readonly asks: ChannelAsks
  private pending: Pending | null = null
  private early: Buffer[] = []
  private earlyEof = false
  private command: Started | null = null
  private output: CommandOutput | null = null
  private plain: PlainLane | null = null
  private terminal: TerminalLane | null = null
  private exit: { name: string; data: Buffer; code: string; isOk: boolean } | null = null
  private targetEof = false
  private isStarted = false
  /** Detectors whose finds are shown as they are. */
  private shown: ReadonlySet<string> = NOTHING_SHOWN
  private isShell = false
  private transfer: Transfer | null = null
  private traffic: TransferGate | null = null
  private openProblem: string | null = null
  /** Since the target said something last. */
  private lateRequests = 0

  constructor(
    private readonly doors: SessionDoors,
    accept: (handler: ChannelHandler) => Channel,
  ) {
    const { recorder } = doors.commands
    this.client = accept(this.clientHandler())
    this.target = doors.openAtTarget('session', Buffer.alloc(0), this.targetHandler())
    this.replies = new Replies((ok) => this.client.reply(ok))
    this.asks = new ChannelAsks(doors, this.target)
    this.fromClient = new Flow((bytes) => this.client.consume(bytes))
    this.fromTarget = new Flow((bytes) => this.target.consume(bytes))
    this.fromClient.pause(true)
    this.toTarget = new Outbox<ToTarget>(
      recorder,
      (item) => this.deliverToTarget(item),
      (error, items) => this.notForwarded(error, items),
    )
    this.toClient = new Outbox<ToClient>(
      recorder,
      (item) => this.deliverToClient(item),
      (error) => doors.unrecordable(error),
    )
  }

  /** What is under way is over, for this reason: the connection is gone, or ended. */
  end(reason: string): void {
    this.pending?.withdraw(reason)
    this.pending = null
    if (this.stage === 'over') return
    this.stage = 'over'
    this.complete('unknown', null, reason)
    this.toTarget.stop()
    this.toClient.stop()
    this.target.abandon()
    this.doors.over(this)
  }

  // ── from the client ──────────────────────────────────────────────────────────────────────────────────────────

  private clientHandler(): ChannelHandler {
    return {
      opened: () => {},
      openFailed: () => {},
      data: (bytes, isError) => this.onClientData(bytes, isError),
      eof: () => {
        if (this.stage === 'running') this.inputEnds()
        else this.earlyEof = true
      },
      closed: () => this.onClientClosed(),
      // How its command ended it takes even then.
      closesItself: true,
      request: (name, wantsReply, data) => this.onRequest(name, wantsReply, data),
      sent: (bytes) => this.fromTarget.sent(bytes),
    }
  }

  private onClientData(bytes: Buffer, isError: boolean): void {
    this.fromClient.take(bytes.length)
    // Clients have no stderr to send.
    if (isError || this.stage === 'over') return
    if (this.stage !== 'running') this.early.push(bytes)
    else this.input(bytes)
  }

  private input(bytes: Buffer): void {
    if (this.traffic !== null) {
      this.output!.in(bytes)
      this.traffic.fromClient(bytes)
      this.fromClient.settle()
      return
    }
    if (this.terminal !== null) {
      this.terminal.input(bytes)
      this.fromClient.settle()
      return
    }
    this.plain!.in(bytes)
    this.fromClient.settle()
  }

  /** Behind all that was said before it, held or not. */
  private inputEnds(): void {
    const end = () => this.toTarget.push({ kind: 'eof' }, null)
    if (this.terminal !== null) this.terminal.inputEnds(end)
    else if (this.traffic !== null) this.traffic.clientEnd(end)
    else {
      this.plain!.endInput()
      end()
    }
  }

  /**
   * A client that has sent and seen the end of everything closes its channel, and still takes the exit status: so does OpenSSH.
   * What runs is told so, and runs on as it would without us; nothing that waits for a person does.
   */
  private onClientClosed(): void {
    // Then it closes when what it is told last has gone.
    if (this.stage === 'over') return
    this.pending?.withdraw('the client went away')
    this.pending = null
    if (this.stage === 'running' && !this.traffic?.isHeld && this.openProblem === null) {
      const close = () => this.toTarget.push({ kind: 'close' }, null)
      if (this.traffic !== null) this.traffic.clientEnd(close)
      else {
        this.plain!.endInput()
        close()
      }
      return
    }
    this.toTarget.stop()
    this.target.abandon()
    this.finish('the client closed the channel')
  }

  private onRequest(name: string, wantsReply: boolean, data: Buffer): void {
    const reply = wantsReply ? this.replies.owe() : null
    if (this.stage === 'over') {
      reply?.(false)
      return
    }
    if (this.stage !== 'asking') {
      this.onLateRequest(name, data, reply)
      return
    }
    const reader = new WireReader(data)
    if (name === 'exec' || name === 'shell' || name === 'subsystem')
      this.onStart(name, name === 'shell' ? Buffer.alloc(0) : Buffer.from(reader.string()), reply)
    else if (!this.asks.take(name, reader, data, reply)) reply?.(false)
  }

  private onStart(
    name: 'exec' | 'shell' | 'subsystem',
    asked: Buffer,
    reply: ((ok: boolean) => void) | null,
  ): void {
    const { doors } = this
    const { resource, terms } = doors
    const { targetProblem } = doors
    // Accepted whatever comes of it, so that the client can be told.
    if (targetProblem) {
      this.turnAway(reply, targetProblem.message, targetProblem.code, EXIT_NO_TARGET)
      return
    }
    const forced = terms?.forceCommand ?? null
    const attributes = {
      ...this.asks.attributes(),
      ...(forced !== null && { original: name === 'shell' ? '' : asked.toString('utf8') }),
    }
    const { kind, line, problem } =
      forced === null ? { kind: name, line: asked, problem: null } : forcedTo(forced)
    const asIs: Submitted & { transfer?: Transfer | null } =
      kind === 'exec'
        ? execRequest(line, attributes)
        : kind === 'shell'
          ? shellRequest(attributes)
          : subsystemRequest(line.toString('utf8'), attributes)
    const submitted = keptOf(asIs, doors.rules)
    const isAllowed = resource.allow.includes(kind)
    // What one reads up to there, another reads beyond.
    const unformed = line.includes(0) ? 'a NUL within it' : problem
    if (!isAllowed || unformed !== null) {
      const words = unformed ?? `this resource does not allow ${kind}`
      doors.commands.notAllowed(submitted, unformed ? 'custody.form' : 'custody.resource', words)
      this.turnAway(reply, words, 'CUSTODY-SSH-002', EXIT_REFUSED)
      return
    }
    // With a terminal too, though it may spoil what goes through it: it would be a way past this otherwise.
    this.transfer =
      kind === 'subsystem' && line.equals(SFTP) ? SFTP_SERVER : (submitted.transfer ?? null)
    const gate = doors.gate(this.asks.reason)
    this.stage = 'deciding'
    let isHeld = false
    const held = (words: string[]) => {
      // The client must be let go on before it can be told.
      if (!isHeld) reply?.(true)
      isHeld = true
      this.say(words)
    }
    const ruled = (ruling: Ruling, reveal: Reveal | null) =>
      this.ruled(ruling, submitted, gate, kind, line, isHeld ? null : reply, reveal)
    this.waitFor((done) =>
      doors.commands.decide(
        gate,
        submitted,
        kind === 'exec' ? asIs.statement.text.toString() : null,
        held,
        (ruling) => {
          done()
          const detectors = this.isFollowed ? [] : (doors.rules?.detectors ?? [])
          if (ruling.outcome === 'block' || detectors.length === 0 || !gate.mayReveal)
            ruled(ruling, null)
          else
            this.waitFor((over) =>
              doors.commands.reveal(
                gate,
                submitted,
                ruling,
                detectors,
                this.asks.wantsReveal,
                held,
                (last, reveal) => {
                  over()
                  ruled(last, reveal)
                },
              ),
            )
        },
      ),
    )
  }

  /** Files are followed one by one: what they hold is not masked. */
  private get isFollowed(): boolean {
    return this.transfer?.program === 'scp' || this.transfer?.program === 'sftp-server'
  }

  /** `begin` may be through at once, and says so; else what it waits for can be withdrawn. */
  private waitFor(begin: (done: () => void) => Pending | null): void {
    let isDone = false
    const pending = begin(() => {
      isDone = true
      this.pending = null
    })
    if (!isDone) this.pending = pending
  }

  private ruled(
    ruling: Ruling,
    submitted: Submitted,
    gate: SessionGate,
    name: 'exec' | 'shell' | 'subsystem',
    line: Buffer,
    reply: ((ok: boolean) => void) | null,
    reveal: Reveal | null,
  ): void {
    const { commands, outputBytesMax } = this.doors
    if (this.stage !== 'deciding') return
    if (ruling.outcome === 'block') {
      commands.blocked(submitted, ruling)
      this.turnAway(reply, `refused: ${ruling.reason}`, ruling.code, EXIT_REFUSED)
      return
    }
    const command = commands.started(submitted, ruling)
    if (reveal !== null) commands.revealed(command, reveal)
    this.shown = reveal?.revealed ?? NOTHING_SHOWN
    this.command = command
    this.isShell = name === 'shell'
    this.stage = 'running'
    this.openTraffic(command, gate)
    this.output = new CommandOutput(
      commands.recorder,
      commands.session,
      command,
      // Of files that are followed, what they are is recorded, and not once more what was said about them.
      this.traffic === null ? outputBytesMax : 0,
      this.traffic === null,
    )
    this.plain = new PlainLane({
      output: this.output,
      rules: this.doors.rules,
      shown: this.shown,
      isProtocol:
        this.doors.rules !== null &&
        (name === 'subsystem' || (name === 'exec' && carriesProtocol(line.toString('latin1')))),
      toTarget: (bytes) => {
        if (this.stage !== 'running') return
        this.fromClient.queue(bytes.length)
        // As durable as its command: it is what the command does.
        this.toTarget.push({ kind: 'data', bytes }, command.durability)
      },
      toClient: (bytes, isError) => this.release(bytes, isError),
    })
    this.toTarget.push(
      {
        kind: 'start',
        name,
        data: name === 'shell' ? line : wire(line),
        reply: (ok) => {
          reply?.(ok)
          if (!ok) this.notStarted()
        },
      },
      command.durability,
    )
    this.openTerminal(command, gate)
    const { early } = this
    this.early = []
    for (const bytes of early) this.input(bytes)
    if (this.earlyEof) this.inputEnds()
    this.fromClient.pause(false)
    if (this.openProblem !== null) this.notReached()
  }

  /** Files that are moved: followed one by one. */
  private openTraffic(command: Started, gate: SessionGate): void {
    const { transfer, doors } = this
    if (transfer === null || !this.isFollowed) return
    const record = new TransferRecord({
      ...doors.transfers,
      gate,
      attributes: {},
      parent: command.id,
      rules: doors.rules,
      tell: (words) => this.say(words.replace(/^custody:? ?/, '').split('\n')),
    })
    const host: TransferHost = {
      get restricted() {
        return record.restricted
      },
      decide: (operation) => record.decide(operation),
      started: (operation, ruling) => record.started(operation, ruling),
      completed: (started, completion) => record.completed(started, completion),
      blocked: (operation, ruling) => record.blocked(operation, ruling),
      toTarget: (bytes, durability) => {
        if (this.stage !== 'running') return
        this.fromClient.queue(bytes.length)
        this.toTarget.push({ kind: 'data', bytes }, durability)
      },
      toClient: (bytes, durability) => {
        if (this.stage !== 'running') return
        this.output!.out('output', bytes)
        this.fromTarget.queue(bytes.length)
        this.toClient.push({ kind: 'data', bytes, isError: false }, durability)
      },
      pauseClient: (paused) => this.fromClient.pause(paused),
      withdraw: (reason) => record.withdraw(reason),
      fail: (code, message) => {
        if (this.stage !== 'running') return
        this.complete('unknown', null, message)
        this.turnAway(null, message, code, EXIT_REFUSED)
      },
    }
    this.traffic = transfer.program === 'scp' ? createScpGate(host, transfer) : createSftpGate(host)
  }

  private endTraffic(reason: string): void {
    const { traffic } = this
    this.traffic = null
    traffic?.end(reason)
  }

  /** Behind the one that starts something. */
  private onLateRequest(name: string, data: Buffer, reply: ((ok: boolean) => void) | null): void {
    const { commands } = this.doors
    if (data.length > LATE_BYTES_MAX) {
      reply?.(false)
      return
    }
    // No window holds them back, and a target that takes nothing must not have them all wait here.
    if (++this.lateRequests > LATE_REQUESTS_MAX)
      throw new SshWireError('more requests than are taken while the target says nothing')
    const resized = name === 'window-change' ? this.asks.resized(new WireReader(data)) : null
    if (resized !== null) {
      this.terminal?.resize(resized.columns, resized.rows)
      if (this.command !== null)
        commands.recorder.record(
          {
            kind: 'terminal.resized',
            command: this.command.id,
            lifecycle: {
              state: 'changed',
              attributes: { columns: String(resized.columns), rows: String(resized.rows) },
            },
          },
          commands.session,
        )
    } else if (name === 'signal' || name === 'break') {
      if (this.command !== null)
        commands.recorder.record(
          {
            kind: 'command.signal',
            command: this.command.id,
            lifecycle: {
              state: 'changed',
              attributes: {
                signal: name === 'break' ? 'break' : printable(new WireReader(data).text()),
              },
            },
          },
          commands.session,
        )
    } else if (name !== 'eow@openssh.com') {
      reply?.(false)
      return
    }
    if (this.stage !== 'running') {
      reply?.(false)
      return
    }
    this.toTarget.push({ kind: 'request', name, data, reply }, 'os')
  }

  private deliverToTarget(item: ToTarget): void {
    const { target } = this
    switch (item.kind) {
      case 'data':
        target.data(item.bytes)
        return
      case 'start':
        this.isStarted = true
        target.request(item.name, item.data, item.reply)
        return
      case 'request':
        target.request(item.name, item.data, item.reply, true)
        return
      case 'eof':
        target.eof()
        return
      case 'close':
        target.close()
    }
  }

  /** Whether it may be forwarded nobody has said in time, or its record failed: the target sees nothing more of it. */
  private notForwarded(error: Error, items: ToTarget[]): void {
    if (!(error instanceof NotReplicatedError)) {
      this.doors.unrecordable(error)
      return
    }
    const start = items.find((item) => item.kind === 'start')
    this.target.abandon()
    this.complete(
      start ? 'skipped' : 'unknown',
      null,
      start ? error.message : 'its input could not be forwarded',
    )
    this.turnAway(
      start?.kind === 'start' ? () => this.replies.answerFirst(true) : null,
      `${error.message}; ${start ? 'it did not run' : 'what ran is cut off'}`,
      error.code,
      EXIT_REFUSED,
    )
  }

  // ── from the target ──────────────────────────────────────────────────────────────────────────────────────────

  private targetHandler(): ChannelHandler {
    return {
      opened: () => {},
      openFailed: (_, words) => {
        this.openProblem = words
        if (this.stage === 'running') this.notReached()
      },
      data: (bytes, isError) => this.onTargetData(bytes, isError),
      eof: () => {
        this.targetEof = true
        if (this.stage !== 'running') return
        this.terminal?.endOutput()
        this.plain!.endOutput()
        this.toClient.push({ kind: 'eof' }, 'os')
        if (this.exit !== null) this.finish('')
      },
      closed: () => {
        if (this.stage === 'running') this.finish('the target closed the channel')
        else if (this.stage === 'asking' || this.stage === 'deciding')
          this.openProblem ??= 'the target closed the channel'
      },
      request: (name, wantsReply, data) => this.onTargetRequest(name, wantsReply, data),
      sent: (bytes) => this.fromClient.sent(bytes),
    }
  }

  private onTargetData(bytes: Buffer, isError: boolean): void {
    this.lateRequests = 0
    this.fromTarget.take(bytes.length)
    // Before anything runs there is nothing to say.
    if (this.output === null || this.stage !== 'running') {
      this.fromTarget.settle()
      return
    }
    if (this.traffic !== null && !isError) {
      this.traffic.fromTarget(bytes)
      this.fromTarget.settle()
      return
    }
    if (this.terminal !== null && !isError) {
      this.terminal.shown(bytes)
      this.fromTarget.settle()
      return
    }
    this.plain!.out(bytes, isError)
    this.fromTarget.settle()
  }

  private release(bytes: Buffer, isError: boolean): void {
    this.fromTarget.queue(bytes.length)
    this.toClient.push({ kind: 'data', bytes, isError }, 'os')
  }

  /** What is typed and shown in a terminal is followed. */
  private openTerminal(command: Started, gate: SessionGate): void {
    const { pty } = this.asks
    if (pty === null || this.traffic !== null) return
    const { commands, rules } = this.doors
    this.terminal = new TerminalLane({
      commands,
      command,
      output: this.output!,
      gate,
      rules,
      shown: this.shown,
      size: pty,
      toTarget: (bytes, line) => {
        if (this.stage !== 'running') return
        this.fromClient.queue(bytes.length)
        // Keys wait for what is before them, a line for its own record.
        this.toTarget.push({ kind: 'data', bytes }, line?.durability ?? null)
      },
      toClient: (bytes) => this.release(bytes, false),
      say: (lines) => {
        const bytes = Buffer.from(
          `\r\n${lines.map((line) => `custody: ${printable(line)}\r\n`).join('')}`,
        )
        this.output!.out('terminal', bytes)
        this.release(bytes, false)
      },
      pauseClient: (isPaused) => this.fromClient.pause(isPaused),
    })
  }

  private onTargetRequest(name: string, wantsReply: boolean, data: Buffer): void {
    if (name === 'exit-status' || name === 'exit-signal') {
      const reader = new WireReader(data)
      if (this.exit === null && this.stage === 'running') {
        if (name === 'exit-status') {
          const status = reader.uint32()
          this.exit = { name, data: Buffer.from(data), code: String(status), isOk: status === 0 }
        } else
          this.exit = {
            name,
            data: Buffer.from(data),
            code: `SIG${printable(reader.text())}`,
            isOk: false,
          }
        if (this.targetEof) this.finish('')
      }
    } else if (name === 'eow@openssh.com' && !wantsReply && this.stage === 'running') {
      this.toClient.push({ kind: 'request', name, data: Buffer.from(data) }, 'os')
      return
    }
    if (wantsReply) this.target.reply(false)
  }

  private deliverToClient(item: ToClient): void {
    const { client } = this
    switch (item.kind) {
      case 'data':
        client.data(item.bytes, item.isError)
        return
      case 'request':
        client.request(item.name, item.data, null)
        return
      case 'eof':
        client.eof()
        return
      case 'close':
        client.close()
    }
  }

  // ── ends ─────────────────────────────────────────────────────────────────────────────────────────────────────

  /** It is over: recorded first, then told. */
  private finish(reason: string): void {
    if (this.stage === 'over') return
    const { exit, command } = this
    const wasRunning = this.stage === 'running'
    this.stage = 'over'
    if (wasRunning)
      this.complete(
        exit === null ? 'unknown' : exit.isOk ? 'ok' : 'error',
        exit?.code ?? null,
        exit === null ? reason : null,
      )
    if (exit !== null)
      this.toClient.push(
        { kind: 'request', name: exit.name, data: exit.data },
        command?.durability ?? 'os',
      )
    if (wasRunning && !this.targetEof) this.toClient.push({ kind: 'eof' }, 'os')
    this.toClient.push({ kind: 'close' }, command?.durability ?? 'os')
    this.target.close()
    this.doors.over(this)
  }

  private complete(status: string, code: string | null, message: string | null): void {
    if (this.command === null) return
    this.endTraffic(message ?? 'the channel is over')
    const { terminal } = this
    this.terminal = null
    terminal?.end()
    this.plain!.end()
    this.doors.commands.completed(
      this.command,
      { status, code, message, ...this.output!.response() },
      [...(terminal?.found ?? []), ...this.plain!.found],
    )
  }

  /** The target said no to what it was asked to run. */
  private notStarted(): void {
    if (this.stage !== 'running') return
    this.complete('error', null, 'the target refused the request')
    this.target.abandon()
    this.stage = 'over'
    this.toClient.push({ kind: 'close' }, this.command!.durability)
    this.doors.over(this)
  }

  private notReached(): void {
    const problem = this.doors.targetProblem
    const words =
      problem?.message ?? `the target opened no channel: ${printable(this.openProblem ?? '')}`
    this.complete('skipped', null, words)
    this.replies.answerAll(true)
    this.turnAway(null, words, problem?.code ?? 'CUSTODY-TARGET-003', EXIT_NO_TARGET)
  }

  /** Tells the client on its stderr, and ends the channel; what was recorded is so first. */
  private turnAway(
    reply: ((ok: boolean) => void) | null,
    words: string,
    code: string,
    status: number,
  ): void {
    reply?.(true)
    this.stage = 'over'
    this.pending = null
    this.target.abandon()
    this.toTarget.stop()
    const { recorder } = this.doors.commands
    const durability: Durability | null = recorder.problem === null ? 'os' : null
    this.say([words, `${code}: see docs/errors.md`], durability)
    this.toClient.push({ kind: 'request', name: 'exit-status', data: wire(status) }, durability)
    this.toClient.push({ kind: 'eof' }, durability)
    this.toClient.push({ kind: 'close' }, durability)
    this.doors.over(this)
  }

  private say(lines: string[], durability: Durability | null = 'os'): void {
    const end = this.asks.pty === null ? '\n' : '\r\n'
    const bytes = Buffer.from(lines.map((line) => `custody: ${printable(line)}${end}`).join(''))
    this.fromTarget.queue(bytes.length)
    this.toClient.push({ kind: 'data', bytes, isError: true }, durability)
  }

  /** A shell at its prompt: what is open waits for a person, and nothing is lost if it does not come. */
  get isIdle(): boolean {
    return this.stage === 'running' && this.isShell && (this.terminal?.isAtPrompt ?? false)
  }

  get isForwarded(): boolean {
    return this.isStarted
  }
}

/** What a certificate has run whatever is asked for: `internal-sftp` is no program but sshd's own server of files (sshd_config(5)). */
function forcedTo(command: string): {
  kind: 'exec' | 'subsystem'
  line: Buffer
  problem: string | null
} {
  if (command.trim() === 'internal-sftp') return { kind: 'subsystem', line: SFTP, problem: null }
  const problem = INTERNAL_SFTP.test(command)
    ? 'its certificate forces internal-sftp with options, which a target’s own can’t be given'
    : null
  return { kind: 'exec', line: Buffer.from(command), problem }
}
