/**
 * One signed-in MySQL session. The protocol takes turns, so one command is followed at a time, and holds to the order that
 * all of Custody rests on:
 *
 *   decode → decide → record → forward            (a client's command)
 *   decode → mask → record → release              (the target's answer)
 *
 * What a client sends ahead waits until it is its turn: by then it is known what the command before has changed. Bytes that
 * need no change go on as they came. Refuses to guess: an answer that fits no command ends the session.
 */
import { createHash } from 'node:crypto'
import type { Duplex } from 'node:stream'
import {
  type Durability,
  NotReplicatedError,
  type RecordedSession,
  type Recorder,
} from '@custody/event-log'
import { isCustodyError } from '@custody/kit'
import {
  type ColumnDefinition,
  charsetOf,
  type Parameter,
  type ParameterType,
  readBulkExecute,
  readExecute,
  readQuery,
  typeName,
} from '@custody/mysql-values'
import type { ColumnDraft, ParameterDraft } from '@custody/schemas'
import type { Approvals } from '../../approvals'
import { cutText, type EvidenceSettings } from '../../evidence'
import type { Followed } from '../../followed'
import type { Grant, SessionGate, Verdict } from '../../gate'
import { denied, Judge } from '../../judge'
import { Lane } from '../../lane'
import { Rewritten } from '../../masks'
import { Stillness, type StillnessLimits } from '../../stillness'
import {
  changesReading,
  changesTracking,
  HARMLESS,
  type SessionTexts,
  type StatementAnalysis,
  unanalysed,
} from './analysis'
import { Answer, ColumnMemory, Seen, type Shape } from './answers'
import { Catalogue, reshapes } from './catalogue'
import type { Turns } from './credential'
import { alone, Evidence, type Command as Running, type Submitted } from './evidence'
import { AnswerCutter, type AnswerHandler, type ClientCommand, CommandCutter } from './frames'
import { KILL_ALONE, killStatement, readKill } from './kill'
import type { CommandMask, RowPlan, SessionMasking } from './rows'
import {
  type Agreed,
  answerSettings,
  OwnAnswer,
  ownQuery,
  type SessionVariables,
  TRACKED_QUERY,
  trackingStatement,
  VARIABLES_QUERY,
} from './target'
import {
  Capability,
  type ChangeUser,
  Command,
  eofUntold,
  errPayload,
  HEADER_BYTES,
  lenencBytes,
  MariadbCapability,
  okPayload,
  okWithTracked,
  PACKET_BYTES_MAX,
  PROGRESS_ERRNO,
  packet,
  readChangeUser,
  readErr,
  readTracked,
  Status,
  Track,
  WireError,
} from './wire'

/** What a client may send ahead of its turn; then it is read no further. */
const AHEAD_BYTES_MAX = 1024 * 1024

export interface RelaySettings extends EvidenceSettings, StillnessLimits {
  frameBytesMax: number
  /** All parameters of one command kept in its event. */
  parametersBytesMax: number
  /** Prepared statements remembered per session. */
  namesMax: number
  allowReplication: boolean
}

export interface RelayParts {
  recorder: Recorder
  session: RecordedSession
  gate: SessionGate
  approvals: Approvals
  masking: SessionMasking | null
  /** What the server holds; null where nobody needs to know. */
  catalogue: Followed<Catalogue> | null
  texts: SessionTexts
  client: Duplex
  target: Duplex
  settings: RelaySettings
  /** Agreed on with the client, and with the target; they differ only in what ends here. */
  agreed: Agreed
  targetAgreed: Agreed
  variables: SessionVariables
  status: number
  /** Of this protocol's sessions, the one of the same person at the same resource that has this number; ours or the target's. */
  victim(threadId: number): Victim | null
  /** Another sign-in within the session: rejects where it is not the same person's, for the same resource. */
  changeUser(asked: ChangeUser, turns: Turns): Promise<{ database: string }>
  onEnd(): void
}

/** A session that another one wants to end, or a command of it. */
export interface Victim {
  targetThreadId: number
  session: RecordedSession
  cancelHeld(): boolean
}

interface Prepared {
  bytes: Buffer
  text: Buffer | string
  analysis: StatementAnalysis
  /** How texts were read when it was prepared. */
  way: object
  isCertain: boolean
  parameters: number
  columns: ColumnDefinition[]
  types: readonly ParameterType[] | null
  /** Sent in pieces, by parameter: what is kept of it, and how much it was. */
  long: Map<number, { kept: Buffer[]; keptBytes: number; bytes: number }>
  /** The approval by which its cursor was opened. */
  grant: Grant | null
}

/** The request that is answered now. */
interface Request {
  answer: Answer
  commands: Running[]
  next: number
  prepared: Prepared | null
  /** To be made by Prepare; recorded only where that fails. */
  preparing: Submitted | null
  /** What its text says by itself, whatever the server holds by now. */
  preparedAs: StatementAnalysis | null
  preparingMask: CommandMask | null
  own: { answer: OwnAnswer; done(values: string[] | null): void } | null
}

/** Errors by what they are for, as the protocol's numbers and SQLSTATEs. */
const REFUSALS: Record<string, readonly [errno: number, sqlstate: string]> = {
  'CUSTODY-POLICY-005': [1317, '70100'],
  'CUSTODY-POLICY-006': [1203, '42000'],
  'CUSTODY-REPLICATION-001': [1021, 'HY000'],
  'CUSTODY-REPLICATION-002': [1021, 'HY000'],
  'CUSTODY-REPLICATION-003': [1021, 'HY000'],
  'CUSTODY-MYSQL-003': [1461, '42000'],
  'CUSTODY-MYSQL-006': [1047, '08S01'],
  'CUSTODY-MYSQL-007': [1227, '42000'],
  'CUSTODY-MYSQL-008': [1094, 'HY000'],
}
/** ER_SPECIFIC_ACCESS_DENIED_ERROR */
const DENIED = [1227, '42000'] as const
const LOG_FULL = [1021, 'HY000'] as const
const CANCELLED_ERRNO = 1317
/** MariaDB: the statement prepared last. */
const LAST_PREPARED = 0xffffffff

export class Relay {
  private readonly recorder: Recorder
  private readonly session: RecordedSession
  private readonly settings: RelaySettings
  private readonly stillness: Stillness
  private readonly judge: Judge<StatementAnalysis>
  private readonly evidence: Evidence
  private readonly toTarget: Lane
  private readonly toClient: Lane
  private readonly commands: CommandCutter
  private readonly answers: AnswerCutter
  private readonly answerSettings
  private readonly tracks: boolean
  private readonly queryAttributes: boolean
  private variables: SessionVariables
  /** What is known of them may be over. */
  private isUncertain = false
  private readonly columnMemory = new ColumnMemory()
  private drafted: { columns: ColumnDefinition[]; drafts: ColumnDraft[] } = {
    columns: [],
    drafts: [],
  }
  private readonly prepared = new Map<number, Prepared>()
  private lastPrepared = -1
  private status: number
  private request: Request | null = null
  /** Looked at now, or waiting for somebody. */
  private command: ClientCommand | null = null
  /** The client sends a file; number of its next packet. */
  private fileSequence = -1
  /** Whoever waits for a packet that is no command, and its number. */
  private turn: { sequence: number; take(said: ClientCommand): void } | null = null
  private isChangingUser = false
  /** Packets by which the client was told that it waits for a person. */
  private announced = 0
  private plan: RowPlan | null = null
  private rows = 0
  // The chunk being read from the target, as it goes on.
  private rewritten: Rewritten | null = null
  private from = 0
  /** Packets that the client has had more than the target sent, in this answer. */
  private shift = 0
  private isEnding = false
  private ended = false
  private clientDone = false
  private fatal = false
  private bytesIn = 0

  constructor(private readonly parts: RelayParts) {
    const { recorder, session, settings, agreed, gate, approvals, masking } = parts
    this.recorder = recorder
    this.session = session
    this.settings = settings
    this.stillness = new Stillness(settings)
    this.judge = new Judge({
      ...{ session, gate, approvals, masks: masking },
      onAnswer: () => this.again(),
    })
    this.evidence = new Evidence(recorder, session, settings)
    this.answerSettings = answerSettings(parts.targetAgreed)
    this.tracks = (agreed.capabilities & Capability.sessionTrack) !== 0
    this.queryAttributes = (agreed.capabilities & Capability.queryAttributes) !== 0
    this.variables = parts.variables
    parts.texts.read({ sqlMode: this.variables.sqlMode, characterSet: this.variables.charset })
    this.status = parts.status
    const { client, target } = parts
    const failed = (error: Error) =>
      error instanceof NotReplicatedError
        ? this.abort(
            'CUSTODY-REPLICATION-003',
            `a command ran, and its outcome can't be shown: ${error.message}`,
          )
        : this.abort('CUSTODY-LOG', `the record can't be written: ${error.message}`)
    this.toTarget = new Lane(
      recorder,
      target,
      (slow) => (slow ? client.pause() : !this.isAhead && this.resumeClient()),
      failed,
      (error) => this.notReplicated(error),
    )
    this.toClient = new Lane(
      recorder,
      client,
      (slow) => (slow ? target.pause() : target.resume()),
      failed,
    )
    this.commands = new CommandCutter(settings.frameBytesMax)
    this.answers = new AnswerCutter(settings.frameBytesMax, this.answerHandler())
  }

  start(): void {
    const { client, target } = this.parts
    client.on('data', (chunk: Buffer) => this.onClient(chunk))
    target.on('data', (chunk: Buffer) => this.onTarget(chunk))
    client.on('end', () => {
      this.clientDone = true
      if (this.judge.isWaiting) this.finish('the client went away while a command was held')
      else if (this.request === null) this.toTarget.end()
    })
    target.on('end', () => this.onTargetEnd())
    client.on('close', () => this.finish('the client closed the connection'))
    target.on('close', () => this.onTargetGone('the target closed the connection'))
    client.on('error', (error: Error) =>
      this.finish(`the client's connection failed: ${error.message}`),
    )
    target.on('error', (error: Error) =>
      this.onTargetGone(`the target's connection failed: ${error.message}`),
    )
    client.resume()
    target.resume()
  }

  /** Looked at from time to time: ends a session that nobody uses, or whose peer no longer takes what is sent to it. */
  check(nowMs: number): void {
    if (this.ended) return
    const still = this.stillness.look(
      nowMs,
      this.bytesIn,
      this.toTarget,
      this.toClient,
      this.session.open.size > 0 || this.judge.isWaiting,
    )
    if (still === null) return
    this.abort(still.code, still.reason)
    if (!still.isStalled) return
    this.parts.client.destroy()
    this.parts.target.destroy()
  }

  /** Ends the session with an error that the client sees, and says why in the record. */
  abort(code: string, reason: string): void {
    if (this.ended) return
    const { client } = this.parts
    if (client.writable && !this.toClient.ended && this.toClient.isWhole) {
      const [errno, sqlstate] = code === 'CUSTODY-SESSION-004' ? [1927, '70100'] : [1053, '08S01']
      client.write(
        packet(
          this.nextSequence(),
          errPayload(errno, sqlstate, `custody: ${reason}`, ` [${code}]`),
        ),
      )
    }
    this.finish(reason)
  }

  /** The number of the packet that the client waits for; where it waits for none, of the answer to its next command. */
  private nextSequence(): number {
    if (this.request !== null && this.request.own === null) return this.sequence + 1
    return (this.command?.sequence ?? 0) + 1 + this.announced
  }

  /** Of the last packet that the client has had, or sent. */
  private sequence = 0

  // ── from the client ──────────────────────────────────────────────────────────────────────────────────────────

  private onClient(chunk: Buffer): void {
    if (this.ended) return
    this.bytesIn += chunk.length
    this.commands.push(chunk)
    this.goOn()
    if (this.isAhead) this.parts.client.pause()
  }

  /** The client has sent enough ahead of its turn. */
  private get isAhead(): boolean {
    return this.commands.heldBytes > AHEAD_BYTES_MAX && !this.isIdle
  }

  private get isIdle(): boolean {
    return this.request === null && this.command === null
  }

  private resumeClient(): void {
    if (!this.toTarget.slow) this.parts.client.resume()
  }

  /** Takes what the client has sent, as far as it is its turn. */
  private goOn(): void {
    try {
      while (!this.ended) {
        if (this.fileSequence >= 0) {
          const piece = this.commands.next(this.fileSequence)
          if (piece === null) break
          this.onFilePiece(piece)
          continue
        }
        if (this.turn !== null) {
          const said = this.commands.next(this.turn.sequence)
          if (said === null) break
          const { turn } = this
          this.turn = null
          turn.take(said)
          continue
        }
        if (!this.isIdle) break
        const command = this.commands.next()
        if (command === null) break
        this.command = command
        this.sequence = command.sequence
        this.announced = 0
        this.judge.next()
        this.take()
      }
    } catch (error) {
      this.protocolError('client', error)
      return
    }
    if (this.ended) return
    if (this.isIdle || this.fileSequence >= 0 || this.turn !== null) this.resumeClient()
    if (this.clientDone && this.isIdle) this.toTarget.end()
  }

  /** Looks at the command, for the first time or again. */
  private take(): void {
    const { payload } = this.command!
    if (payload.length === 0) throw new WireError('a command without a word')
    if (this.isUncertain && DECIDED.has(payload[0]!)) {
      this.askVariables()
      return
    }
    const fresh = DECIDED.has(payload[0]!) ? this.freshCatalogue() : null
    if (fresh !== null) {
      void fresh.then(() => this.again())
      return
    }
    this.onCommand(payload[0]!, payload)
    if (!this.judge.isWaiting && !this.isChangingUser) this.command = null
  }

  /** Null where what is known of the server holds; otherwise settles when it does. */
  private freshCatalogue(): Promise<void> | null {
    const { catalogue, gate, masking } = this.parts
    if (catalogue === null || (!gate.restricted && masking === null)) return null
    return catalogue.fresh()
  }

  /** What the statement is at this server. */
  private refined(analysis: StatementAnalysis): StatementAnalysis {
    const { catalogue, gate } = this.parts
    if (!gate.restricted || catalogue === null) return analysis
    return (catalogue.current ?? Catalogue.nothingKnown).refine(analysis)
  }

  private onCommand(type: number, payload: Buffer): void {
    switch (type) {
      case Command.query:
        this.onQuery(payload)
        break
      case Command.prepare:
        this.onPrepare(payload)
        break
      case Command.execute:
        this.onExecute(payload)
        break
      case Command.bulkExecute:
        this.onBulkExecute(payload)
        break
      case Command.fetch:
        this.onFetch(payload)
        break
      case Command.longData:
        this.onLongData(payload)
        break
      case Command.closeStatement:
        this.prepared.delete(payload.readUInt32LE(1))
        this.forward()
        break
      case Command.resetStatement: {
        const prepared = this.preparedOf(payload)
        prepared?.long.clear()
        if (prepared) prepared.grant = null
        this.loose('ok')
        break
      }
      case Command.quit:
        this.clientDone = true
        this.isEnding = true
        this.forward()
        this.toTarget.end()
        break
      case Command.ping:
        this.loose('ok')
        break
      case Command.setOption:
        // 0: several statements in one text from now on; 1: not any more.
        this.parts.texts.read({ multiStatements: payload.length > 1 && payload[1] === 0 })
        this.loose('ok')
        break
      case Command.resetConnection:
        this.onReset()
        break
      case Command.initDb:
        this.asStatement('init-db', `USE ${quoted(payload.subarray(1))}`, 'ok')
        break
      case Command.fieldList: {
        const zero = payload.indexOf(0, 1)
        const table = payload.subarray(1, zero < 0 ? payload.length : zero)
        this.asStatement('field-list', `SHOW COLUMNS FROM ${quoted(table)}`, 'fields')
        break
      }
      case Command.changeUser:
        this.onChangeUser(payload)
        break
      case Command.processKill:
        if (payload.length < 5) throw new WireError('nothing to kill')
        this.onKill(inWords('process-kill', `KILL ${payload.readUInt32LE(1)}`, KILLING))
        break
      case Command.registerReplica:
      case Command.binlogDump:
      case Command.binlogDumpGtid:
        this.onReplication(type)
        break
      case Command.processInfo:
        this.asStatement('process-info', 'SHOW PROCESSLIST', 'text')
        break
      case Command.statistics:
        this.asStatement('statistics', 'SHOW STATUS', 'line')
        break
      case Command.refresh:
      case Command.shutdown:
      case Command.debug:
        this.decided(
          inWords('command', WORDS[type]!, unanalysed('a command of the protocol')),
          'ok',
        )
        break
      default:
        this.refuseCommand(
          'CUSTODY-MYSQL-006',
          `the command 0x${type.toString(16).padStart(2, '0')} is not relayed`,
        )
        break
    }
  }

  /** A command of the protocol that is a statement by another name, and is judged as that. */
  private asStatement(by: string, sql: string, shape: Shape): void {
    const text = Buffer.from(sql, 'latin1')
    this.decided(this.submitted(by, text, this.parts.texts.analyseOne(text)), shape)
  }

  /** One that is decided on, recorded and forwarded as it is. */
  private decided(submitted: Submitted, shape: Shape): void {
    const verdict = this.verdictOn(submitted, true)
    if (this.stops(verdict, submitted)) return
    this.expect(shape, [this.record(submitted, verdict)])
    this.forward()
  }

  /** What nobody decides on; its answer belongs to no command. */
  private loose(shape: Shape): void {
    this.expect(shape, [])
    this.forward()
  }

  private expect(shape: Shape, commands: Running[], prepared: Prepared | null = null): Request {
    this.request = {
      answer: new Answer(
        shape,
        this.answerSettings,
        this.columnMemory,
        shape === 'fetch' ? prepared!.columns : undefined,
      ),
      commands,
      next: 0,
      prepared,
      preparing: null,
      preparedAs: null,
      preparingMask: null,
      own: null,
    }
    this.shift = this.announced
    this.plan = null
    this.rows = 0
    if (shape === 'fetch') this.planRows()
    return this.request
  }

  private forward(): void {
    const { packets } = this.command!
    const needs = this.evidence.forwardNeeds
    this.evidence.forwardNeeds = null
    for (let i = 0; i < packets.length; i++)
      this.toTarget.send(packets[i]!, needs, i === packets.length - 1)
  }

  private record(submitted: Submitted, verdict: Verdict): Running {
    const mask = this.maskOf(submitted)
    this.parts.masking?.note(submitted.analysis)
    const command = this.evidence.start(submitted, verdict, mask)
    if (mask !== null) this.noteMask(command, mask)
    return command
  }

  private maskOf({ analysis, bytes, index }: Submitted): CommandMask | null {
    const { masking, texts } = this.parts
    if (masking === null) return null
    // As it came: what is not kept of it is not to come back in other words either.
    const text = texts.textOf(bytes)
    return masking.command(analysis, text, texts.decoded, this.judge.reveal(index))
  }

  /** What somebody is to be told of what is masked, and of what is not. */
  private noteMask(command: Running, { shows, alert }: CommandMask): void {
    if (shows !== null)
      this.recorder.record(
        {
          kind: 'mask.revealed',
          command: command.id,
          decision: shows.decision,
          lifecycle: { state: 'changed', reason: `shows ${[...shows.columns].sort().join(', ')}` },
        },
        this.session,
      )
    if (alert === null || this.alerted.has(alert)) return
    this.alerted.add(alert)
    this.recorder.record(
      {
        kind: 'alert.masking',
        command: command.id,
        lifecycle: { state: 'changed', reason: alert },
      },
      this.session,
    )
  }

  /** Whose words are those that come now; of no command, nothing is known. */
  private maskNow(): CommandMask | null {
    const { masking, texts } = this.parts
    if (masking === null) return null
    const { request } = this
    const mask = request?.commands[request.next]?.mask
    if (mask) return mask
    if (request?.preparing) {
      request.preparingMask ??= this.maskOf(request.preparing)
      return request.preparingMask
    }
    this.looseMask ??= masking.command(NOBODY_KNOWS, '', texts.decoded, null)
    return this.looseMask
  }

  private looseMask: CommandMask | null = null
  private readonly alerted = new Set<string>()

  // ── statements ───────────────────────────────────────────────────────────────────────────────────────────────

  /** A statement as its client submitted it; the only one of its request. */
  private submitted(by: string, bytes: Buffer, analysis: StatementAnalysis): Submitted {
    const { texts } = this.parts
    const text = texts.textOf(texts.keptText(analysis, bytes))
    return alone(by, bytes, text, analysis)
  }

  private onQuery(payload: Buffer): void {
    const { attributes, textAt } = readQuery(
      payload.subarray(1),
      this.queryAttributes,
      UTF8_COLLATION,
    )
    const text = payload.subarray(1 + textAt)
    const found = this.parts.texts.analyse(text)
    const statements = found.length === 0 ? NOTHING : found
    const count = statements.length
    if (statements.some(({ effects }) => effects.kills)) {
      const one = this.submitted('query', text, statements[0]!)
      if (count === 1) this.onKill(one)
      else this.refuse(denied(null, KILL_ALONE, 'CUSTODY-MYSQL-008'), one)
      return
    }
    // All of the string or none of it: the target would run it as one.
    const verdicts: Verdict[] = []
    const submitted: Submitted[] = []
    let made = false
    for (let i = 0; i < count; i++) {
      const own = count === 1 ? text : text.subarray(statements[i]!.start, statements[i]!.end)
      const one = this.submitted('query', own, statements[i]!)
      if (count > 1) {
        one.index = i
        one.count = count
      }
      if (attributes.length > 0)
        one.attributes = Object.fromEntries(
          attributes.map(({ name, text: value }) => [name.toString(), value ?? '']),
        )
      // What was made before it in the same text, nobody has seen yet.
      made ||= i > 0 && makesViews(statements[i - 1]!)
      if (made && this.parts.gate.restricted)
        one.analysis = Catalogue.nothingKnown.refine(one.analysis)
      const verdict = this.verdictOn(one, true)
      if (this.stops(verdict, one)) return
      verdicts.push(verdict)
      submitted.push(one)
    }
    this.expect(
      'text',
      submitted.map((each, i) => this.record(each, verdicts[i]!)),
    )
    this.noteSettings(submitted)
    this.forward()
  }

  /** Whether what is known of the session's settings holds when these statements are over. */
  private noteSettings(submitted: readonly Submitted[]): void {
    const { isTracked } = this.variables
    for (const { analysis } of submitted)
      if (!analysis.readOnly && (isTracked ? changesTracking(analysis) : changesReading(analysis)))
        this.isUncertain = true
  }

  private onPrepare(payload: Buffer): void {
    const text = Buffer.from(payload.subarray(1))
    const submitted = this.submitted('prepare', text, this.parts.texts.analyseOne(text))
    if (this.prepared.size >= this.settings.namesMax) {
      this.refuseCommand(
        'CUSTODY-MYSQL-003',
        `more than ${this.settings.namesMax} prepared statements`,
      )
      return
    }
    if (submitted.analysis.effects.kills) {
      this.refuse(denied(null, KILL_ALONE, 'CUSTODY-MYSQL-008'), submitted)
      return
    }
    // What nobody may run is not described either; what somebody may approve is asked about when it is run.
    const { analysis } = submitted
    const verdict = this.verdictOn(submitted, true)
    if (verdict.outcome === 'block') {
      this.refuse(verdict, submitted)
      return
    }
    const request = this.expect('prepare', [])
    request.preparing = submitted
    request.preparedAs = analysis
    this.forward()
  }

  private preparedOf(payload: Buffer): Prepared | null {
    if (payload.length < 5) throw new WireError('a command without its statement')
    const id = payload.readUInt32LE(1)
    return this.prepared.get(id === LAST_PREPARED ? this.lastPrepared : id) ?? null
  }

  private onExecute(payload: Buffer): void {
    const prepared = this.preparedOf(payload)
    if (prepared === null) {
      this.answerUnknown('execute', payload)
      return
    }
    const submitted = this.resolved('execute', prepared)
    submitted.parameters = this.parametersOf(payload, prepared)
    const verdict = this.verdictOn(submitted, prepared.isCertain)
    if (this.stops(verdict, submitted)) return
    const { answer } = this.expect('binary', [this.record(submitted, verdict)], prepared)
    answer.asksCursor = payload.length > 5 && payload[5]! !== 0
    this.noteSettings([submitted])
    prepared.grant = this.judge.grant(0)
    prepared.long.clear()
    this.forward()
  }

  private resolved(by: string, { bytes, text, analysis, way }: Prepared): Submitted {
    const now = this.parts.texts.stillIs(analysis, bytes, way)
    return alone(by, bytes, text, now)
  }

  /** What was not prepared here the target does not know either. */
  private answerUnknown(by: string, payload: Buffer): void {
    const id = payload.readUInt32LE(1)
    const words = `(statement ${id === LAST_PREPARED ? 'prepared last' : id}, which is not prepared)`
    const submitted = inWords(by, words, HARMLESS)
    const verdict = this.verdictOn(submitted, false)
    if (this.stops(verdict, submitted)) return
    const { server, serverVersion } = this.parts.texts.server
    const its =
      server === 'mysql' && serverVersion >= 80_000
        ? 'mysql_stmt_precheck'
        : `mysqld_stmt_${by.replace('-', '_')}`
    this.answerLocally(
      this.record(submitted, verdict),
      'error',
      errPayload(1243, 'HY000', `Unknown prepared statement handler (${id}) given to ${its}`),
    )
  }

  private parametersOf(payload: Buffer, prepared: Prepared): ParameterDraft[] | undefined {
    if (prepared.parameters === 0 && !this.queryAttributes) return undefined
    const long =
      prepared.long.size === 0
        ? NONE_LONG
        : new Map([...prepared.long].map(([i, { kept }]) => [i, Buffer.concat(kept)] as const))
    const { parameters, types } = readExecute(payload.subarray(1), {
      parameters: prepared.parameters,
      types: prepared.types,
      long,
      attributes: this.queryAttributes,
      collation: UTF8_COLLATION,
    })
    if (parameters.length === 0) return undefined
    prepared.types = types
    const kept = { left: this.settings.parametersBytesMax }
    return parameters.map((one, i) => parameterDraft(one, prepared.long.get(i), kept))
  }

  /** MariaDB: one statement with many rows of parameters. One command, whose parameters are those of all rows. */
  private onBulkExecute(payload: Buffer): void {
    const prepared = this.preparedOf(payload)
    if (prepared === null) {
      this.answerUnknown('bulk-execute', payload)
      return
    }
    const submitted = this.resolved('bulk-execute', prepared)
    const { rows, types } = readBulkExecute(
      payload.subarray(1),
      { parameters: prepared.parameters, types: prepared.types, collation: UTF8_COLLATION },
      BULK_ROWS_MAX,
    )
    prepared.types = types
    const kept = { left: this.settings.parametersBytesMax }
    submitted.parameters = []
    for (const row of rows) {
      if (kept.left <= 0) break
      submitted.parameters.push(...row.map((one) => parameterDraft(one, undefined, kept)))
    }
    submitted.attributes = {
      rows: String(rows.length),
      // All of it, whatever is kept.
      parametersDigest: createHash('sha256').update(payload).digest('hex'),
    }
    const verdict = this.verdictOn(submitted, prepared.isCertain)
    if (this.stops(verdict, submitted)) return
    this.expect('binary', [this.record(submitted, verdict)], prepared)
    this.noteSettings([submitted])
    this.forward()
  }

  private onFetch(payload: Buffer): void {
    const prepared = this.preparedOf(payload)
    if (prepared === null) {
      this.answerUnknown('fetch', payload)
      return
    }
    const submitted = this.resolved('fetch', prepared)
    if (prepared.grant) this.judge.rely(0, prepared.grant)
    const verdict = this.verdictOn(submitted, prepared.isCertain)
    if (this.stops(verdict, submitted)) return
    const command = this.record(submitted, verdict)
    command.columns = this.shownAs(this.draftsOf(prepared.columns), command.mask)
    this.expect('fetch', [command], prepared)
    this.forward()
  }

  /** statement:u32 parameter:u16 data; never answered. */
  private onLongData(payload: Buffer): void {
    const prepared = this.preparedOf(payload)
    if (payload.length < 7) throw new WireError('a piece of a parameter without its number')
    if (prepared !== null) {
      const number = payload.readUInt16LE(5)
      const data = payload.subarray(7)
      const long = prepared.long.get(number) ?? { kept: [], keptBytes: 0, bytes: 0 }
      prepared.long.set(number, long)
      const room = this.settings.parametersBytesMax - long.keptBytes
      if (room > 0) {
        // Copied, since the chunk's memory is far larger.
        const kept = Buffer.from(data.subarray(0, room))
        long.kept.push(kept)
        long.keptBytes += kept.length
      }
      long.bytes += data.length
    }
    this.forward()
  }

  /** Numbers of sessions are ours towards clients; the target's own are of all who share the account. */
  private onKill(submitted: Submitted): void {
    const found = readKill(submitted.bytes)
    if (found === null) {
      this.refuse(denied(null, KILL_ALONE, 'CUSTODY-MYSQL-008'), submitted)
      return
    }
    const verdict = this.verdictOn(submitted, true)
    if (this.stops(verdict, submitted)) return
    const { threadId, isQuery } = found
    const victim = this.parts.victim(threadId)
    const sql = killStatement(victim?.targetThreadId ?? 0, isQuery)
    if (victim !== null) submitted.attributes = { sentAs: sql }
    const command = this.record(submitted, verdict)
    if (victim === null) {
      this.answerLocally(
        command,
        'error',
        errPayload(1094, 'HY000', `Unknown thread id: ${threadId}`),
      )
      return
    }
    this.recorder.record(
      {
        kind: 'session.cancel',
        lifecycle: {
          state: 'changed',
          reason: `asked for by ${submitted.bytes.toString('latin1')}`,
        },
      },
      victim.session,
    )
    // What is held has not reached the target: cancelling it there would cancel something else.
    if (victim.cancelHeld() && isQuery) {
      this.answerLocally(command, 'ok', okPayload(this.status))
      return
    }
    this.expect('ok', [command])
    this.toTarget.send(
      packet(0, ownQuery(sql, this.parts.targetAgreed.capabilities)),
      this.evidence.forwardNeeds,
    )
    this.evidence.forwardNeeds = null
  }

  /** A recorded command that never reaches the target. */
  private answerLocally(command: Running, status: string, payload: Buffer): void {
    const bytes = packet(this.command!.sequence + 1 + this.announced, payload)
    this.evidence.forwardNeeds = null
    this.evidence.complete(command, { status }, bytes, 0, bytes.length)
    this.toClient.send(bytes, this.evidence.releaseNeeds)
    this.evidence.releaseNeeds = null
  }

  private onReplication(type: number): void {
    const submitted = inWords(
      'replication',
      type === Command.registerReplica ? 'COM_REGISTER_SLAVE' : 'COM_BINLOG_DUMP',
      unanalysed('a stream of all changes'),
    )
    if (!this.settings.allowReplication)
      this.refuse(
        denied(null, 'the resource does not allow replication', 'CUSTODY-MYSQL-007'),
        submitted,
      )
    else if (this.parts.masking !== null)
      this.refuse(
        denied(
          null,
          'what is replicated can’t be masked, and this resource is',
          'CUSTODY-MASK-004',
        ),
        submitted,
      )
    else this.decided(submitted, type === Command.registerReplica ? 'ok' : 'stream')
  }

  /**
   * Another sign-in within the session. Only its own person can do that: the target is then made to forget the session, and
   * its account stays what it was.
   */
  private onChangeUser(payload: Buffer): void {
    const { agreed } = this.parts
    const asked = readChangeUser(payload, agreed.capabilities)
    let sequence = this.command!.sequence + 1
    const turns: Turns = {
      send: (said) => {
        this.toClient.send(packet(sequence++, said), 'os')
      },
      read: () =>
        new Promise((resolve) => {
          this.turn = {
            sequence,
            take: (said) => {
              sequence = said.sequence + 1
              resolve(Buffer.from(said.payload))
            },
          }
          this.goOn()
        }),
    }
    this.isChangingUser = true
    const fail = (error: unknown) => {
      if (this.ended) return
      const { message } = error as Error
      const code = isCustodyError(error) ? error.code : 'CUSTODY-MYSQL-009'
      const said = packet(sequence, errPayload(1045, '28000', `custody: ${message}`, ` [${code}]`))
      // Who may no longer be who they were goes, once that is in the record.
      this.recorder.whenRecorded('os', {
        recorded: () => {
          if (this.ended) return
          this.parts.client.write(said)
          this.finish(`a sign-in within the session was refused: ${message}`)
        },
      })
    }
    this.parts.changeUser(asked, turns).then(({ database }) => {
      if (this.ended) return
      this.prepared.clear()
      this.parts.texts.forget()
      const charset = charsetOf(asked.collation)
      const steps: Buffer[] = [
        Buffer.from([Command.resetConnection]),
        Buffer.concat([Buffer.from([Command.initDb]), Buffer.from(database)]),
      ]
      if (charset !== null)
        steps.push(ownQuery(`SET NAMES ${charset}`, this.parts.targetAgreed.capabilities))
      const next = () => {
        const step = steps.shift()
        if (step !== undefined) {
          this.askRaw(step, 'ok', (values) => {
            if (values === null) fail(new Error('the target refused it'))
            else next()
          })
          return
        }
        this.isUncertain = true
        this.isChangingUser = false
        this.command = null
        this.toClient.send(packet(sequence, okPayload(this.status)), 'os')
        // Whoever asked goes on when the answer to the last step is dealt with.
        setImmediate(() => this.goOn())
      }
      next()
    }, fail)
  }

  private onReset(): void {
    const submitted = inWords('reset', 'COM_RESET_CONNECTION', HARMLESS)
    const verdict = this.verdictOn(submitted, false)
    if (this.stops(verdict, submitted)) return
    this.prepared.clear()
    this.parts.texts.forget()
    this.isUncertain = true
    this.expect('ok', [this.record(submitted, verdict)])
    this.forward()
  }

  // ── decided otherwise than to let it pass ────────────────────────────────────────────────────────────────────

  /** The verdict on one statement of the request; what a person said of it before counts. */
  private verdictOn(submitted: Submitted, isRead: boolean): Verdict {
    const { bytes, index } = submitted
    submitted.analysis = this.refined(submitted.analysis)
    const words = isRead ? () => utf8Of(this.parts.texts.textOf(bytes)) : null
    return this.judge.verdict(submitted.analysis, index, words)
  }

  /** Whether the request goes no further for now, or at all. */
  private stops(verdict: Verdict, submitted: Submitted): boolean {
    if (verdict.outcome === 'allow') return false
    if (verdict.outcome === 'hold') this.hold(verdict, submitted)
    else this.refuse(verdict, submitted)
    return true
  }

  private refuse(verdict: Verdict, submitted: Submitted): void {
    const isUnrecordable = verdict.code.startsWith('CUSTODY-LOG')
    if (!isUnrecordable) {
      const mask = this.maskOf(submitted)
      this.evidence.blocked(submitted, verdict, mask)
    }
    // Parameters sent in pieces were for this execution.
    if (submitted.by === 'execute') this.preparedOf(this.command!.payload)?.long.clear()
    this.answerError(verdict.code, verdict.reason, isUnrecordable ? null : 'os')
  }

  /** What is no statement, and not relayed at all. */
  private refuseCommand(code: string, reason: string): void {
    const verdict = denied(null, reason, code)
    this.evidence.blocked(inWords('command', reason, unanalysed(reason)), verdict, null)
    this.answerError(code, reason, 'os')
  }

  /** Answers in the target's stead. */
  private answerError(code: string, reason: string, durability: Durability | null): void {
    const [errno, sqlstate] = REFUSALS[code] ?? (code.startsWith('CUSTODY-LOG') ? LOG_FULL : DENIED)
    const payload = errPayload(
      ...[errno, sqlstate, `custody refused the command: ${reason}`],
      ` [${code}: see docs/errors.md]`,
    )
    this.toClient.send(packet(this.command!.sequence + 1 + this.announced, payload), durability)
  }

  /** The request, and all that the client sends behind it, waits until a person has answered. */
  private hold(verdict: Verdict, submitted: Submitted): void {
    const { index, analysis } = submitted
    const statement = this.evidence.describe(submitted, this.maskOf(submitted))
    const waiting = this.judge.ask(verdict, analysis, index, statement)
    this.announce(`custody holds the command: custody approve ${waiting.name}`)
  }

  /** MariaDB's clients show how far a command has come, in the server's words. */
  private announce(text: string): void {
    if ((this.parts.agreed.mariadbCapabilities & MariadbCapability.progress) === 0) return
    const head = Buffer.from([0xff, PROGRESS_ERRNO & 0xff, PROGRESS_ERRNO >>> 8, 1, 1, 1, 0, 0, 0])
    const sequence = this.command!.sequence + 1 + this.announced++
    this.toClient.send(packet(sequence, Buffer.concat([head, lenencBytes(text)])), 'os')
  }

  /** Somebody wants the running command to end: true where that is one that is held. */
  cancelHeld(): boolean {
    if (!this.judge.cancel()) return false
    this.again()
    return true
  }

  /** Looks again at the command that waited, then at what came behind it. */
  private again(): void {
    if (this.ended || this.command === null) return
    try {
      this.take()
    } catch (error) {
      this.protocolError('client', error)
      return
    }
    this.goOn()
  }

  /** None of what the lane held went to the target, since its record was not acknowledged in time. */
  private notReplicated(error: NotReplicatedError): void {
    const { request } = this
    if (this.ended || request === null) return
    this.recorder.notReplicated += request.commands.length
    if (request.own !== null || this.fileSequence >= 0 || !request.answer.isAtFirst) {
      this.abort(error.code, `${error.message}; what ran is cut off`)
      return
    }
    for (const command of request.commands)
      this.evidence.skipped(command, `not run: ${error.message}`, error.code)
    this.request = null
    const payload = errPayload(
      ...LOG_FULL,
      `custody refused the command: ${error.message}; it did not run`,
      ` [${error.code}: see docs/errors.md]`,
    )
    this.toClient.send(packet(this.sequence + 1 + this.announced, payload), 'os')
    this.goOn()
  }

  // ── questions of our own ─────────────────────────────────────────────────────────────────────────────────────

  /** What the session's settings are now; then the command is looked at again. */
  private askVariables(): void {
    const tracks = (this.parts.targetAgreed.capabilities & Capability.sessionTrack) !== 0
    this.ask(tracks ? TRACKED_QUERY : VARIABLES_QUERY, (values) => {
      if (values === null) {
        this.abort('CUSTODY-MYSQL-004', 'the target does not say what sql_mode is in force')
        return
      }
      const [sqlMode = '', charset = '', tracked] = values
      this.parts.texts.read({ sqlMode, characterSet: charset })
      const statement = tracked === undefined ? null : trackingStatement(tracked)
      const settle = (isTracked: boolean) => {
        this.variables.isTracked = isTracked
        this.isUncertain = false
        this.again()
      }
      if (statement === null) settle(tracked !== undefined)
      else this.ask(statement.sql, (set) => settle(set !== null))
    })
  }

  private ask(sql: string, done: (values: string[] | null) => void): void {
    this.askRaw(ownQuery(sql, this.parts.targetAgreed.capabilities), 'text', done)
  }

  private askRaw(payload: Buffer, shape: Shape, done: (values: string[] | null) => void): void {
    const answer = new OwnAnswer(this.parts.targetAgreed, shape)
    this.request = {
      answer: answer.answer,
      commands: [],
      next: 0,
      prepared: null,
      preparing: null,
      preparedAs: null,
      preparingMask: null,
      own: { answer, done },
    }
    this.toTarget.send(packet(0, payload), null)
  }

  // ── from the target ──────────────────────────────────────────────────────────────────────────────────────────

  private onTarget(chunk: Buffer): void {
    if (this.ended) return
    try {
      this.answers.push(chunk)
    } catch (error) {
      this.protocolError('target', error)
      return
    }
    const { request } = this
    if (request === null || !request.answer.isOver) return
    this.request = null
    if (request.own !== null) request.own.done(request.own.answer.values)
    this.goOn()
  }

  private answerHandler(): AnswerHandler {
    return {
      streams: (first, length) =>
        this.plan === null &&
        this.request !== null &&
        this.request.own === null &&
        this.request.answer.isRow(first, length),
      onPacket: (bytes, at, end) => this.onPacket(bytes, at, end),
      onPiece: (bytes, at, end, isFirst, hasHeader) => {
        if (isFirst) this.rows++
        if (this.shift !== 0) this.rewritten ??= new Rewritten(bytes, at)
        const out = this.rewritten
        if (out === null) return
        const start = out.length
        out.append(bytes, at, end)
        if (hasHeader) out.bytes[start + 3] = (bytes[at + 3]! + this.shift) & 0xff
      },
      onChunkEnd: (bytes) => this.onAnswersEnd(bytes),
    }
  }

  private onPacket(bytes: Buffer, at: number, end: number): void {
    const { request } = this
    if (request === null || request.answer.isOver) {
      this.onUnasked(bytes, at, end)
      return
    }
    const { own, answer } = request
    if (own !== null) {
      own.answer.take(bytes, at, end)
      return
    }
    const seen = answer.take(bytes, at, end)
    if (seen === Seen.row && this.plan === null && this.rewritten === null && this.shift === 0) {
      this.rows++
      this.sequence = bytes[at + 3]!
      return
    }
    let other = this.otherThan(seen, bytes, at, end, answer)
    const length = end - at - HEADER_BYTES
    // Of a payload beyond 16 MB what stands between its parts is not here.
    if (length >= PACKET_BYTES_MAX) other ??= bytes.subarray(at + HEADER_BYTES, end)
    if (other === null && this.rewritten === null && this.shift === 0) {
      this.sequence = bytes[at + 3]!
      this.seen(seen, request, bytes, at, end)
      return
    }
    this.rewritten ??= new Rewritten(bytes, length >= PACKET_BYTES_MAX ? 0 : at)
    const out = this.rewritten
    const start = out.length
    const sequence = bytes[at + 3]! + this.shift
    const came = Math.floor(length / PACKET_BYTES_MAX)
    if (other === null) {
      out.append(bytes, at, end)
      out.bytes[start + 3] = sequence & 0xff
      this.sequence = sequence & 0xff
    } else if (other.length === 0) this.shift -= came + 1
    else {
      const packets = packet(sequence, other)
      out.append(packets, 0, packets.length)
      const goes = Math.floor(other.length / PACKET_BYTES_MAX)
      this.shift += goes - came
      this.sequence = (sequence + goes) & 0xff
    }
    this.seen(seen, request, out.bytes, start, out.length)
  }

  /** The packet's payload as the client gets it, where that is another; an empty one: none. */
  private otherThan(
    seen: Seen,
    bytes: Buffer,
    at: number,
    end: number,
    answer: Answer,
  ): Buffer | null {
    if (seen === Seen.row) return this.plan?.row(bytes, at + HEADER_BYTES, end) ?? null
    const from = at + HEADER_BYTES
    const untold = this.tracks ? null : eofUntold(bytes, from, end)
    if (seen === Seen.ok || seen === Seen.rowsEnd) {
      const followed =
        answer.trackAt < 0 ? untold : this.followTracked(bytes, at, end, answer.trackAt)
      const mask = this.maskNow()
      if (mask === null) return followed
      const masked =
        followed === null
          ? mask.end(bytes, from, end, this.tracks)
          : mask.end(followed, 0, followed.length, this.tracks)
      return masked ?? followed
    }
    if (seen === Seen.progress || seen === Seen.file) return null
    if (untold !== null) return untold
    const mask = this.maskNow()
    if (mask === null) return null
    if (seen === Seen.error) return mask.end(bytes, from, end, this.tracks)
    // A line is a count of what the server does.
    return seen === Seen.line ? null : mask.column(bytes, from, end)
  }

  /** What the target tells of the session's settings; the client gets what it would have got without us. */
  private followTracked(bytes: Buffer, at: number, end: number, trackAt: number): Buffer | null {
    const kept: Buffer[] = []
    let isChanged = !this.tracks
    for (const { type, name, value, bytes: entry } of readTracked(bytes, trackAt, end)) {
      if (type === Track.variables) {
        if (name === 'sql_mode') this.parts.texts.read({ sqlMode: value })
        else if (name === 'character_set_client') this.parts.texts.read({ characterSet: value })
        else if (name === 'session_track_system_variables') this.isUncertain = true
        if (this.variables.added.includes(name)) {
          isChanged = true
          continue
        }
      }
      kept.push(entry)
    }
    return isChanged ? okWithTracked(bytes, at + HEADER_BYTES, end, kept, this.tracks) : null
  }

  /** What came of a packet; `bytes` as the client gets it. */
  private seen(seen: Seen, request: Request, bytes: Buffer, at: number, end: number): void {
    switch (seen) {
      case Seen.row:
        this.rows++
        return
      case Seen.described:
        this.onDescribed(request)
        return
      case Seen.ok:
      case Seen.rowsEnd:
      case Seen.line:
        this.onResult(seen, request, bytes, end)
        return
      case Seen.error:
        this.onError(request, bytes, at, end)
        return
      case Seen.file:
        this.onFileAsked(request, bytes, at, end)
        return
    }
  }

  private onDescribed(request: Request): void {
    const { answer } = request
    if (answer.shape === 'prepare') {
      this.onPrepared(request)
      return
    }
    const command = request.commands[request.next]
    if (command) command.columns ??= this.shownAs(this.draftsOf(answer.columns), command.mask)
    if (request.prepared) request.prepared.columns = answer.columns
    this.planRows()
  }

  /** With the names that the client gets. */
  private shownAs(drafts: ColumnDraft[], mask: CommandMask | null): ColumnDraft[] {
    if (mask === null) return drafts
    return drafts.map((draft) => {
      const name = mask.columnName(String(draft.name))
      return name === null ? draft : { ...draft, name }
    })
  }

  private draftsOf(columns: ColumnDefinition[]): ColumnDraft[] {
    if (columns === this.drafted.columns) return this.drafted.drafts
    this.drafted = { columns, drafts: draftsOf(columns) }
    return this.drafted.drafts
  }

  private planRows(): void {
    const { answer, commands, next } = this.request!
    const mask = commands[next]?.mask ?? this.maskNow()
    this.plan = mask?.planRows(answer.columns, answer.isBinary) ?? null
  }

  private onPrepared({ answer, preparing, preparedAs }: Request): void {
    const { id, parameters } = answer.prepared!
    const { bytes, text } = preparing!
    const analysis = preparedAs!
    this.prepared.set(id, {
      ...{ bytes, text, analysis, way: this.parts.texts.way, isCertain: true, parameters },
      ...{ columns: answer.columns, types: null, long: new Map(), grant: null },
    })
    this.lastPrepared = id
  }

  private onResult(seen: Seen, request: Request, bytes: Buffer, end: number): void {
    const { answer, commands } = request
    if (seen !== Seen.line) this.status = answer.status
    this.plan = null
    const command = commands[request.next]
    if (command === undefined) return
    const isLast = answer.isOver
    const isOwn = commands.length === 1 ? isLast : isLast || endsCommand(seen, command)
    if (!isOwn) return
    const isSuspended =
      answer.isBinary &&
      (answer.status & Status.lastRowSent) === 0 &&
      (answer.shape === 'fetch' ||
        (answer.asksCursor && (answer.status & Status.cursorExists) !== 0))
    request.next++
    this.evidence.complete(
      command,
      {
        status: isSuspended ? 'suspended' : 'ok',
        rows:
          seen === Seen.line
            ? null
            : seen === Seen.ok && this.rows === 0
              ? Number(answer.affected ?? 0n)
              : this.rows,
      },
      ...[bytes, this.from, end],
    )
    this.from = end
    this.rows = 0
    if (isLast) {
      this.onCommandEnded(command.analysis)
      for (; request.next < commands.length; request.next++)
        this.evidence.complete(
          commands[request.next]!,
          { status: 'ok', message: 'answered with the ones before it' },
          ...[bytes, end, end],
        )
    }
  }

  private onCommandEnded(analysis: StatementAnalysis): void {
    this.parts.masking?.ended(analysis)
    if (this.parts.catalogue !== null && reshapes(analysis)) this.parts.catalogue.changed()
  }

  private onError(request: Request, bytes: Buffer, at: number, end: number): void {
    const { errno, sqlstate, message } = readErr(bytes, at + HEADER_BYTES, end)
    const status = errno === CANCELLED_ERRNO ? 'cancelled' : 'error'
    this.plan = null
    if (request.preparing !== null) {
      this.lastPrepared = -1
      // The text never ran, but it was submitted: recorded now, with its refusal, before the client learns of it.
      const verdict = this.parts.gate.decide(request.preparing.analysis)
      request.commands = [this.record(request.preparing, verdict)]
      this.evidence.forwardNeeds = null
    }
    const command = request.commands[request.next]
    if (command === undefined) return
    request.next++
    this.evidence.complete(
      command,
      { status, code: sqlstate, message, tag: `error ${errno}` },
      ...[bytes, this.from, end],
    )
    this.from = end
    this.rows = 0
    this.onCommandEnded(command.analysis)
    for (; request.next < request.commands.length; request.next++)
      this.evidence.skipped(
        request.commands[request.next]!,
        'not run, because an earlier one failed',
      )
  }

  /** The target says something that is no answer: mostly that it ends the connection. */
  private onUnasked(bytes: Buffer, at: number, end: number): void {
    if (bytes[at + HEADER_BYTES] !== 0xff) throw new WireError('an answer that nobody asked for')
    this.fatal = true
    const other = this.maskNow()?.end(bytes, at + HEADER_BYTES, end, this.tracks) ?? null
    if (other === null) this.rewritten?.append(bytes, at, end)
    else {
      this.rewritten ??= new Rewritten(bytes, at)
      const said = packet(bytes[at + 3]!, other)
      this.rewritten.append(said, 0, said.length)
    }
  }

  private onAnswersEnd(chunk: Buffer): void {
    if (this.request?.own) return
    const { rewritten } = this
    this.rewritten = null
    const bytes = rewritten === null ? chunk : rewritten.bytes.subarray(0, rewritten.length)
    const command = this.request?.commands[this.request.next] ?? null
    this.evidence.piece(bytes, this.from, bytes.length, command)
    this.from = 0
    if (bytes.length > 0)
      this.toClient.send(bytes, this.evidence.releaseNeeds, this.answers.isWhole)
    this.evidence.releaseNeeds = null
  }

  // ── files ────────────────────────────────────────────────────────────────────────────────────────────────────

  /** LOAD DATA LOCAL: only where the statement says so, and for the file that it names. */
  private onFileAsked(request: Request, bytes: Buffer, at: number, end: number): void {
    const command = request.commands[request.next]
    const name = bytes.subarray(at + HEADER_BYTES + 1, end)
    if (command === undefined || command.analysis.effects.asksForFile !== name.toString('utf8'))
      throw new WireError('the target asked for a file of the client that no statement names')
    this.fileSequence = (bytes[at + 3]! + 1) & 0xff
  }

  private onFilePiece(piece: ClientCommand): void {
    const command = this.request!.commands[this.request!.next]!
    if (piece.payload.length > 0) {
      this.fileSequence = (piece.sequence + 1) & 0xff
      this.evidence.input(piece.payload, command)
    } else this.fileSequence = -1
    const needs = this.evidence.forwardNeeds
    this.evidence.forwardNeeds = null
    for (const each of piece.packets) this.toTarget.send(each, needs)
    this.sequence = piece.sequence
  }

  // ── ends ─────────────────────────────────────────────────────────────────────────────────────────────────────

  private onTargetEnd(): void {
    if (this.ended) return
    if (this.session.open.size > 0 && !this.fatal)
      this.onTargetGone('the target closed the connection')
    else this.toClient.end()
  }

  private onTargetGone(reason: string): void {
    if (this.ended) return
    const left = this.session.open.size
    if (left > 0 && !this.fatal && !this.clientDone && this.parts.client.writable)
      this.abort(
        'CUSTODY-TARGET-003',
        `${reason} while ${left} command${left === 1 ? '' : 's'} ran`,
      )
    else this.finish(reason)
  }

  private protocolError(side: 'client' | 'target', error: unknown): void {
    if (isCustodyError(error)) {
      this.abort(error.code, error.message)
      return
    }
    const reason = error instanceof Error ? error.message : String(error)
    this.abort(
      side === 'client' ? 'CUSTODY-MYSQL-001' : 'CUSTODY-MYSQL-004',
      `the ${side} broke the protocol: ${reason}`,
    )
  }

  private finish(reason: string): void {
    if (this.ended) return
    this.ended = true
    const { client, target } = this.parts
    this.judge.withdraw(reason)
    for (const command of [...this.session.open] as Running[])
      this.evidence.unknown(command, reason)
    this.recorder.closeSession(this.session, 'closed', this.isEnding ? 'the client left' : reason, {
      bytesIn: this.bytesIn,
      bytesOut: this.toClient.bytes,
    })
    client.end()
    target.end()
    setTimeout(() => {
      client.destroy()
      target.destroy()
    }, 1000).unref()
    this.parts.onEnd()
  }
}

const NOBODY_KNOWS = unanalysed('no statement')
const NONE_LONG: ReadonlyMap<number, Buffer> = new Map()
/** Commands for which it must be known what the session's settings are. */
const DECIDED = new Set<number>([
  Command.query,
  Command.prepare,
  Command.execute,
  Command.bulkExecute,
  Command.initDb,
  Command.fieldList,
  Command.fetch,
  Command.processInfo,
  Command.statistics,
])
const WORDS: Record<number, string> = {
  [Command.refresh]: 'COM_REFRESH',
  [Command.shutdown]: 'COM_SHUTDOWN',
  [Command.debug]: 'COM_DEBUG',
}
/** Views, and code that may make some. */
const makesViews = ({ makesCode, renames }: StatementAnalysis) => makesCode || renames
/** An empty text is a command too: the target answers it. */
const NOTHING: readonly StatementAnalysis[] = [HARMLESS]
const UTF8_COLLATION = 45

/** What has no text of its own. */
function inWords(by: string, words: string, analysis: StatementAnalysis): Submitted {
  return alone(by, Buffer.from(words), words, analysis)
}

/** Of one bulk execution; one with more is refused. */
const BULK_ROWS_MAX = 1_000_000

/** As the record has it: as text, and no more of it than there is room for. */
function parameterDraft(
  { text, bytes, type, name }: Parameter,
  sent: { bytes: number; keptBytes: number } | undefined,
  room: { left: number },
): ParameterDraft {
  const draft: ParameterDraft = {
    name: name.length > 0 ? name.toString('utf8') : undefined,
    type: typeName(type),
    value: null,
    bytes: undefined,
    cut: undefined,
  }
  if (text === null) return draft
  const isShort = text.length * 3 <= room.left
  const value = isShort ? text : cutText(Buffer.from(text), room.left)
  room.left -= value.length
  draft.value = value
  draft.bytes = sent?.bytes ?? bytes?.length ?? 0
  draft.cut =
    (!isShort && value.length < Buffer.byteLength(text)) ||
    (sent !== undefined && sent.keptBytes < sent.bytes)
  return draft
}

const KILLING: StatementAnalysis = {
  ...HARMLESS,
  verbs: ['sql:call'],
  objects: [{ kind: 'function', name: 'kill', verb: 'sql:call' }],
  readOnly: false,
}

function quoted(name: Buffer): string {
  return `\`${name.toString('latin1').replaceAll('`', '``')}\``
}

/** A procedure gives rows, as often as it likes, and then an OK of its own. */
function endsCommand(seen: Seen, { analysis }: Running): boolean {
  if (seen === Seen.ok) return true
  return (
    analysis.understood &&
    !analysis.verbs.some((verb) => verb === 'sql:call' || verb === 'sql:execute')
  )
}

function draftsOf(columns: readonly ColumnDefinition[]): ColumnDraft[] {
  return columns.map((column) => ({
    name: column.name,
    type: typeName(column),
    source:
      column.orgTable !== '' && column.orgName !== ''
        ? `${column.schema}.${column.orgTable}.${column.orgName}`
        : null,
  }))
}

function utf8Of(text: Buffer | string): string {
  return typeof text === 'string' ? text : text.toString('utf8')
}
