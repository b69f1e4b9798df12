/**
 * One signed-in PostgreSQL session: follows both directions message by message, ties every answer to the command
 * that it answers, and holds to the order that all of Custody rests on:
 *
 *   decode → decide → record → forward            (from the client)
 *   decode → record → release                     (from the target)
 *
 * What has to be remembered for that is kept by those whom it asks: how texts are read (`analysis`), what the database makes of
 * them (`session-catalogue`), what was decided (`judge`), what names stand for (`names`), what waits for an answer (`requests`),
 * what is recorded (`evidence`). Only here both sides and both lanes are known.
 * Bytes that need no change go on as they came. Refuses to guess: an answer that fits no request ends the session.
 */
import type { Duplex } from 'node:stream'
import { NotReplicatedError, type RecordedSession, type Recorder } from '@custody/event-log'
import { isCustodyError } from '@custody/kit'
import { type Analyser, type StatementAnalysis, unanalysed } from '@custody/postgres-sql'
import type { ParameterDraft } from '@custody/schemas'
import type { Answer, Approvals } from '../../approvals'
import type { EvidenceSettings } from '../../evidence'
import type { Reveal, SessionGate, Verdict } from '../../gate'
import { Judge } from '../../judge'
import { Lane } from '../../lane'
import { MaskCounts } from '../../masks'
import { Stillness, type StillnessLimits } from '../../stillness'
import { SessionTexts } from './analysis'
import type { Followed } from './catalogues'
import { alone, type Command, Evidence, type Submitted } from './evidence'
import { FrameCutter, type FrameHandler } from './frames'
import { type Answered, MaskedTraffic } from './masked-traffic'
import { Names, type Portal, type Prepared, portalElsewhere } from './names'
import { NO_FORMATS, readParameters, resultFormats, withFormats } from './parameters'
import { commandRefused, notice, sessionEnded } from './refusals'
import { endsWithReady, Kind, type Request, Requests } from './requests'
import { SessionCatalogue } from './session-catalogue'
import type { SessionMasking } from './session-masking'
import {
  Backend,
  cstringEnd,
  Frontend,
  message,
  readErrorFields,
  rowsOfTag,
  type WireColumn,
  WireError,
} from './wire'

/** What a client may send while a command of it waits for a person; then it is read no further. */
const HELD_BYTES_MAX = 1024 * 1024
/** Flush: makes the target answer what it was sent, where the Sync behind it is held. */
const FLUSH = Buffer.from([Frontend.flush, 0, 0, 0, 4])
const SYNC = Buffer.from([Frontend.sync, 0, 0, 0, 4])

export interface RelaySettings extends EvidenceSettings, StillnessLimits {
  frameBytesMax: number
  /** All parameters of one command kept in its event. */
  parametersBytesMax: number
  /** Prepared statements, and portals, remembered per session. */
  namesMax: number
}

export interface RelayParts {
  recorder: Recorder
  session: RecordedSession
  gate: SessionGate
  approvals: Approvals
  /** What the session's database makes of statements; null where no policy asks. */
  catalogue: Followed | null
  /** Null where nothing is masked. */
  masking: SessionMasking | null
  analyser: Analyser
  client: Duplex
  target: Duplex
  settings: RelaySettings
  /** What the target reported while signing in: client_encoding, standard_conforming_strings, … */
  parameters: Map<string, string>
  onEnd(): void
}

/** An empty string is a command too: the target answers it. */
const NOTHING: readonly StatementAnalysis[] = [
  { ...unanalysed(null), understood: true, readOnly: true },
]
const FRONTEND_STREAMED = new Set<number>([Frontend.copyData])
const BACKEND_STREAMED = new Set<number>([
  Backend.dataRow,
  Backend.copyData,
  Backend.functionCallResponse,
])
/** Where values may have to be replaced, what holds them is taken whole. */
const NOTHING_STREAMED = new Set<number>()
const STATUS_IDLE = 0x49
/** What Describe and Close are about; else a portal. */
const STATEMENT = 0x53
/** Requests that are decided on. */
const DECIDED = new Set<number>([Frontend.query, Frontend.bind, Frontend.execute])

export class Relay {
  private readonly recorder: Recorder
  private readonly session: RecordedSession
  private readonly settings: RelaySettings
  private readonly stillness: Stillness
  // On the way to the target, and back.
  private readonly fromClient: FrameCutter
  private readonly texts: SessionTexts
  private readonly catalogue: SessionCatalogue
  private readonly judge: Judge<StatementAnalysis>
  private readonly names: Names
  private readonly requests = new Requests()
  private readonly evidence: Evidence
  private readonly toTarget: Lane
  private readonly fromTarget: FrameCutter
  /** Null where nothing is masked. */
  private readonly masked: MaskedTraffic | null
  private readonly toClient: Lane
  // The chunk being read from the client.
  private forwardFrom = 0
  private inputFrom = -1
  /** The client sends its data, or will. */
  private copyCommand: Command | null = null
  /** A request waits until it is known what the database makes of it. */
  private settling = false
  /** We refused a command of the extended protocol and drop what follows until Sync, as a server would. */
  private dropping = false
  // The answer being received.
  private rows = 0
  private from = 0
  private releasedTo = 0
  private transactionStatus = STATUS_IDLE
  /** The client has said that it will send nothing more. */
  private clientDone = false
  /** The target has said that it ends the connection. */
  private fatal = false
  private ended = false
  private bytesIn = 0

  constructor(private readonly parts: RelayParts) {
    const { client, target, masking, recorder, session, settings, gate, approvals } = parts
    this.recorder = recorder
    this.session = session
    this.settings = settings
    this.stillness = new Stillness(settings)
    this.texts = new SessionTexts(parts.analyser, parts.parameters)
    this.catalogue = new SessionCatalogue(parts.catalogue, gate, masking)
    this.judge = new Judge({
      ...{ session, gate, approvals, masks: masking },
      onAnswer: (answer) => this.onAnswerOfPeople(answer),
    })
    this.names = new Names(settings.namesMax)
    const looseCounts = new MaskCounts()
    const masked =
      masking &&
      new MaskedTraffic(
        masking,
        this.answering(),
        looseCounts,
        parts.parameters,
        settings.frameBytesMax,
      )
    this.masked = masked
    this.evidence = new Evidence({ recorder, session, settings, masking, masked, looseCounts })
    const failed = (error: Error) =>
      error instanceof NotReplicatedError
        ? this.notReleased(error)
        : this.abort('CUSTODY-LOG', `the record can't be written: ${error.message}`)
    this.toTarget = new Lane(
      this.recorder,
      target,
      (slow) => (slow ? client.pause() : this.resumeClient()),
      failed,
      (error, from) => this.notReplicated(error, from),
    )
    this.toClient = new Lane(
      this.recorder,
      client,
      (slow) => (slow ? target.pause() : target.resume()),
      failed,
    )
    this.fromClient = new FrameCutter(
      masking === null ? FRONTEND_STREAMED : NOTHING_STREAMED,
      this.settings.frameBytesMax,
      this.requestHandler(),
    )
    this.fromTarget = new FrameCutter(
      masking === null ? BACKEND_STREAMED : NOTHING_STREAMED,
      this.settings.frameBytesMax,
      this.answerHandler(),
    )
  }

  start(): void {
    const { client, target } = this.parts
    client.on('data', (chunk: Buffer) => this.onClient(chunk))
    target.on('data', (chunk: Buffer) => this.onTarget(chunk))
    client.on('end', () => {
      this.clientDone = true
      if (this.judge.isWaiting) this.finish('the client went away while a command was held')
      else if (!this.settling) this.toTarget.end()
    })
    target.on('end', () => this.onTargetEnd())
    client.on('close', () => this.finish('the client closed the connection'))
    target.on('close', () => this.finish('the target closed the connection'))
    client.on('error', (error: Error) =>
      this.finish(`the client's connection failed: ${error.message}`),
    )
    target.on('error', (error: Error) =>
      this.finish(`the target's connection failed: ${error.message}`),
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
  abort(code: string, reason: string, sqlstate?: string): void {
    if (this.ended) return
    const { client } = this.parts
    if (client.writable && !this.toClient.ended) client.write(sessionEnded(code, reason, sqlstate))
    this.finish(reason)
  }

  // ── from the client ──────────────────────────────────────────────────────────────────────────────────────────

  private onClient(chunk: Buffer): void {
    if (this.ended) return
    this.bytesIn += chunk.length
    try {
      this.fromClient.push(chunk)
    } catch (error) {
      this.protocolError('client', error)
    }
    if (this.isAhead) this.parts.client.pause()
  }

  /** The client has sent enough behind a command that is held. */
  private get isAhead(): boolean {
    return this.judge.isWaiting && this.fromClient.heldBytes > HELD_BYTES_MAX
  }

  private resumeClient(): void {
    if (!this.toTarget.slow && !this.isAhead) this.parts.client.resume()
  }

  private requestHandler(): FrameHandler {
    return {
      onFrame: (type, bytes, at, end) => {
        if (DECIDED.has(type) && this.unsettledCatalogue(bytes, at)) return true
        this.onRequest(type, bytes, at, end)
        if (this.judge.isWaiting) return true
        this.judge.next()
        return false
      },
      onPiece: (_type, _bytes, at) => this.onCopyData(at),
      onChunkEnd: (bytes) => {
        this.forward(bytes, bytes.length)
        this.forwardFrom = 0
        this.evidence.forwardNeeds = null
      },
    }
  }

  private onRequest(type: number, bytes: Buffer, at: number, end: number): void {
    if (type === Frontend.copyData) {
      this.onCopyData(at)
      return
    }
    if (this.inputFrom >= 0) this.recordInput(bytes, at)
    if (this.dropping && type !== Frontend.sync && type !== Frontend.terminate) {
      this.forward(bytes, at)
      this.forwardFrom = end
      return
    }
    switch (type) {
      case Frontend.query:
        this.onQuery(bytes, at, end)
        break
      case Frontend.parse:
        this.onParse(bytes, at, end)
        break
      case Frontend.bind:
        this.onBind(bytes, at, end)
        break
      case Frontend.describe:
        this.onDescribe(bytes, at, end)
        break
      case Frontend.execute:
        this.onExecute(bytes, at, end)
        break
      case Frontend.close:
        this.onClose(bytes, at, end)
        break
      case Frontend.sync:
        this.dropping = false
        this.expect(this.requests.make(Kind.sync))
        this.requests.endGroup()
        break
      case Frontend.functionCall:
        this.onFunctionCall(bytes, at, end)
        break
      case Frontend.copyDone:
      case Frontend.copyFail:
        this.startCopy()
        break
      case Frontend.terminate:
        this.clientDone = true
        break
      case Frontend.flush:
      case Frontend.password:
        break
      default:
        throw new WireError(`message type 0x${type.toString(16)} does not exist`)
    }
  }

  private expect(one: Request): void {
    if (one.isPassedOver) this.notRun(one)
    else this.requests.add(one, this.toTarget.bytes)
  }

  /** Sends on what of the chunk has not gone, up to `to`. */
  private forward(bytes: Buffer, to: number): void {
    if (this.inputFrom >= 0) this.recordInput(bytes, to)
    if (to > this.forwardFrom)
      this.toTarget.send(
        this.forwardFrom === 0 && to === bytes.length
          ? bytes
          : bytes.subarray(this.forwardFrom, to),
        this.evidence.forwardNeeds,
      )
    this.forwardFrom = to
  }

  private onQuery(bytes: Buffer, at: number, end: number): void {
    const start = at + 5
    const stop = cstringEnd(bytes, start, end)
    const analysis = this.texts.analyse(bytes, start, stop, this.requests.isIdle)
    const isRead = this.texts.isRead(analysis, this.requests.isIdle)
    const statements = analysis.statements.length === 0 ? NOTHING : analysis.statements
    const count = statements.length
    const textAt = (i: number) =>
      count === 1
        ? bytes.subarray(start, stop)
        : bytes.subarray(start + statements[i]!.start, start + statements[i]!.end)
    // All of the string or none of it: the target would run it as one.
    const verdicts: Verdict[] = []
    const submitted: Submitted[] = []
    let changed = false
    for (let i = 0; i < count; i++) {
      const text = textAt(i)
      const one: Submitted = {
        by: 'query',
        text: this.texts.textOf(text),
        textBytes: text.length,
        // What stands behind a statement that makes things may use what it made.
        analysis: this.catalogue.refine(statements[i]!, changed),
        index: i,
        count,
      }
      changed ||= count > 1 && statements[i]!.makesCode
      const verdict = this.verdictOn(one, isRead)
      if (count > 1) this.catalogue.assume(statements[i]!)
      if (this.stops(verdict, one, bytes, at, end, true)) return
      verdicts.push(verdict)
      submitted.push(one)
    }
    const one = this.requests.make(
      Kind.query,
      submitted.map((each, i) => this.recordCommand(each, verdicts[i]!, this.judge.reveal(i))),
    )
    this.names.endUnnamed(one)
    for (const statement of statements) this.names.namedBySql(one, statement)
    this.expect(one)
    this.requests.endGroup()
  }

  /** Parse: name text count:i16 (type:i32)* */
  private onParse(bytes: Buffer, at: number, end: number): void {
    const nameEnd = cstringEnd(bytes, at + 5, end)
    const textEnd = cstringEnd(bytes, nameEnd + 1, end)
    const analysis = this.texts.analyse(bytes, nameEnd + 1, textEnd, this.requests.isIdle)
    const statement =
      analysis.statements.length === 1
        ? analysis.statements[0]!
        : unanalysed(analysis.statements.length === 0 ? 'empty' : 'several statements')
    const typeOids: number[] = []
    if (textEnd + 3 > end) throw new WireError('Parse is too short')
    const count = bytes.readUInt16BE(textEnd + 1)
    if (textEnd + 3 + count * 4 > end) throw new WireError('Parse is too short')
    for (let i = 0; i < count; i++) typeOids.push(bytes.readUInt32BE(textEnd + 3 + i * 4))
    const name = bytes.toString('latin1', at + 5, nameEnd)
    const text = this.texts.textOf(bytes.subarray(nameEnd + 1, textEnd))
    const prepared: Prepared = {
      text: typeof text === 'string' ? text : Buffer.from(text),
      analysis: statement,
      typeOids,
      columns: undefined,
      described: { asked: false, fields: null },
      replacing: -1,
      gone: false,
      isCertain:
        analysis.statements.length <= 1 && this.texts.isRead(analysis, this.requests.isIdle),
    }
    const one = this.requests.make(Kind.parse)
    one.prepared = prepared
    this.names.prepare(one, name, prepared)
    this.parts.masking?.noteOther('prepared', bytes.subarray(at + 5, nameEnd))
    this.expect(one)
  }

  /** Bind: portal statement formats values resultFormats */
  private onBind(bytes: Buffer, at: number, end: number): void {
    const portalEnd = cstringEnd(bytes, at + 5, end)
    const nameEnd = cstringEnd(bytes, portalEnd + 1, end)
    const name = bytes.toString('latin1', portalEnd + 1, nameEnd)
    const portalName = bytes.toString('latin1', at + 5, portalEnd)
    const portal = this.names.portalOf(
      portalName,
      name,
      this.requests.group,
      // Copied, since the chunk's memory is far larger and a portal may live long.
      Buffer.from(bytes.subarray(nameEnd + 1, end)),
      this.parts.masking === null ? NO_FORMATS : resultFormats(bytes, nameEnd + 1, end),
    )
    const { prepared } = portal
    // The target plans the statement now, and may run functions for that.
    const analysis = this.catalogue.refine(prepared.analysis)
    const isRun = runsInPlanning(analysis)
    if (isRun && this.parts.gate.restricted) {
      const submitted = alone('bind', prepared.text, analysis)
      const verdict = this.verdictOn(submitted, prepared.isCertain)
      if (verdict.outcome !== 'allow')
        submitted.parameters = this.parametersIn(portal.values!, prepared.typeOids)
      if (this.stops(verdict, submitted, bytes, at, end, false)) return
      portal.grant = this.judge.grant(0)
    }
    if (isRun) this.texts.planned()
    const one = this.requests.make(Kind.bind)
    one.prepared = prepared
    one.portal = portal
    this.names.bind(one, portalName, portal)
    this.parts.masking?.noteOther('cursor', bytes.subarray(at + 5, portalEnd))
    this.expect(one)
  }

  private onDescribe(bytes: Buffer, at: number, end: number): void {
    const nameEnd = cstringEnd(bytes, at + 6, end)
    const name = bytes.toString('latin1', at + 6, nameEnd)
    const one = this.requests.make(Kind.describe)
    const isStatement = bytes[at + 5] === STATEMENT
    one.portal = isStatement ? null : this.names.portal(name)
    one.prepared = isStatement ? this.names.statement(name) : (one.portal?.prepared ?? null)
    const described = one.portal?.described ?? one.prepared?.described
    if (described) described.asked = true
    this.expect(one)
  }

  private onExecute(bytes: Buffer, at: number, end: number): void {
    const nameEnd = cstringEnd(bytes, at + 5, end)
    const name = bytes.toString('latin1', at + 5, nameEnd)
    const portal = this.names.portal(name)
    const prepared = this.names.executed(portal, name, this.requests.group)
    const analysis = this.catalogue.refine(prepared.analysis)
    const submitted = alone(
      'execute',
      prepared.text,
      analysis,
      portal?.values ? this.parametersIn(portal.values, prepared.typeOids) : undefined,
    )
    if (portal?.grant) this.judge.rely(0, portal.grant)
    const verdict = this.verdictOn(submitted, prepared.isCertain)
    if (this.stops(verdict, submitted, bytes, at, end, false)) return
    const command = this.recordCommand(submitted, verdict, this.judge.reveal(0))
    command.columns = prepared.columns
    if (command.masked !== null) this.describeFirst(nameEnd, bytes, at, portal, prepared)
    const one = this.requests.make(Kind.execute, [command])
    one.prepared = prepared
    one.portal = portal
    this.names.namedBySql(one, analysis)
    this.expect(one)
  }

  /** Rows can only be masked as what they are: where the client has not asked for their description, we do. */
  private describeFirst(
    nameEnd: number,
    bytes: Buffer,
    at: number,
    portal: Portal | null,
    prepared: Prepared,
  ): void {
    if (this.requests.isSkipping || portal?.described.asked) return
    // What a statement's text means may have changed since it was described; of a portal it can't.
    if (
      portal &&
      prepared.isCertain &&
      prepared.described.asked &&
      !this.parts.masking!.masker.isSensitive
    )
      return
    this.forward(bytes, at)
    const name = bytes.subarray(at + 5, nameEnd)
    this.toTarget.send(
      message(Frontend.describe, Buffer.concat([PORTAL, name, EMPTY_STRING])),
      this.evidence.forwardNeeds,
    )
    const one = this.requests.make(Kind.describe)
    one.own = true
    one.prepared = prepared
    one.portal = portal
    if (portal) portal.described.asked = true
    this.expect(one)
  }

  private onClose(bytes: Buffer, at: number, end: number): void {
    const nameEnd = cstringEnd(bytes, at + 6, end)
    const name = bytes.toString('latin1', at + 6, nameEnd)
    const one = this.requests.make(Kind.close)
    this.names.close(one, bytes[at + 5] === STATEMENT, name)
    this.expect(one)
  }

  /** FunctionCall: oid:i32 formats arguments resultFormat */
  private onFunctionCall(bytes: Buffer, at: number, end: number): void {
    if (end - at < 11) throw new WireError('FunctionCall is too short')
    const oid = bytes.readUInt32BE(at + 5)
    const analysis: StatementAnalysis = {
      ...unanalysed('a function called by its number'),
      verbs: ['sql:call'],
      objects: [{ kind: 'function', name: `oid:${oid}`, verb: 'sql:call' }],
    }
    const submitted: Submitted = {
      ...alone('function-call', `function ${oid}`, analysis),
      textBytes: 0,
      parameters: this.parametersIn(bytes.subarray(at + 9, end), []),
    }
    const verdict = this.verdictOn(submitted, false)
    if (this.stops(verdict, submitted, bytes, at, end, true)) return
    const command = this.recordCommand(submitted, verdict, this.judge.reveal(0))
    if (command.masked !== null) command.masked.functionOid = oid
    this.expect(this.requests.make(Kind.functionCall, [command]))
  }

  /** Remembers where COPY data begins in this chunk; all of a run is recorded as one piece. */
  private onCopyData(at: number): void {
    if (this.dropping) return
    this.startCopy()
    if (this.inputFrom < 0) this.inputFrom = at
  }

  private startCopy(): void {
    const command = this.copyCommand ?? this.requests.newestCommand
    if (command === null || command.copyStarted) return
    command.copyStarted = true
    this.copyCommand = command
    this.expect(this.requests.make(Kind.copyMark))
  }

  private recordInput(bytes: Buffer, to: number): void {
    const from = this.inputFrom
    this.inputFrom = -1
    const command = this.copyCommand
    if (command === null || to <= from) return
    this.evidence.input(bytes.subarray(from, to), command)
  }

  /** `reveal`: what it may show, by what was decided on the request that is looked at now. */
  private recordCommand(submitted: Submitted, verdict: Verdict, reveal: Reveal | null): Command {
    const { analysis } = submitted
    const command = this.evidence.start(submitted, verdict, reveal)
    this.catalogue.started(command, analysis)
    this.texts.started(command, analysis)
    return command
  }

  private parametersIn(values: Buffer, typeOids: readonly number[]): ParameterDraft[] | undefined {
    return readParameters(values, typeOids, this.texts.encoding, this.settings.parametersBytesMax)
  }

  // ── decided otherwise than to let it pass ────────────────────────────────────────────────────────────────────

  /**
   * Whether what the database has made its own must be asked before anything is decided: the request is then looked at
   * again when it is known. What this session sent before may change it, and must have ended first.
   */
  private unsettledCatalogue(bytes: Buffer, at: number): boolean {
    if (this.ended) return false
    const awaited = this.catalogue.awaited()
    if (awaited === null) return false
    this.forward(bytes, at)
    this.settling = true
    if (awaited === 'commands') this.toTarget.send(FLUSH, null)
    else void awaited.then(() => this.settled())
    return true
  }

  private settled(): void {
    if (!this.settling || this.ended) return
    this.settling = false
    this.goOn()
    if (this.clientDone && !this.settling && !this.judge.isWaiting) this.toTarget.end()
  }

  /** `isRead`: its text is what runs. */
  private verdictOn({ analysis, text, index }: Submitted, isRead: boolean): Verdict {
    return this.judge.verdict(analysis, index, isRead ? () => utf8Of(text) : null)
  }

  /** Whether the request goes no further for now, or at all. `ready`: its answer ends with ReadyForQuery. */
  private stops(
    verdict: Verdict,
    submitted: Submitted,
    bytes: Buffer,
    at: number,
    end: number,
    ready: boolean,
  ): boolean {
    if (verdict.outcome === 'allow') return false
    if (verdict.outcome === 'hold') this.hold(verdict, submitted, bytes, at)
    else this.refuse(verdict, submitted, bytes, at, end, ready)
    return true
  }

  /** Answers in the target's stead, in its turn. */
  private refuse(
    verdict: Verdict,
    submitted: Submitted,
    bytes: Buffer,
    at: number,
    end: number,
    ready: boolean,
  ): void {
    this.forward(bytes, at)
    this.forwardFrom = end
    const unrecordable = verdict.code.startsWith('CUSTODY-LOG')
    if (!unrecordable) this.evidence.blocked(submitted, verdict, this.judge.reveal(submitted.index))
    const one = this.refusal(verdict.code, verdict.reason, ready)
    if (unrecordable) one.durability = null
    if (!ready) this.dropping = true
    if (this.requests.isSkipping) return
    this.answerLocally(one)
  }

  private refusal(code: string, reason: string, isReady: boolean): Request {
    const one = this.requests.make(Kind.local)
    one.bytes = commandRefused(code, reason, isReady ? this.transactionStatus : null)
    one.durability = 'os'
    return one
  }

  // ── not acknowledged in time ─────────────────────────────────────────────────────────────────────────────────

  /**
   * The record of what the lane held was not acknowledged in time, so none of it went to the target from byte `from` on.
   * The client is told in place of each request; only its Syncs go on, so that the target ends what it has begun.
   */
  private notReplicated(error: NotReplicatedError, from: number): void {
    if (this.ended) return
    const taken = this.requests.retract(from)
    const isCopying =
      this.copyCommand !== null && !taken.some((one) => one.commands.includes(this.copyCommand!))
    const isInside = this.requests.isInGroup && taken[0]?.kind === Kind.query
    this.recorder.notReplicated += taken.reduce((sum, one) => sum + one.commands.length, 0)
    if (isCopying || isInside) {
      // Half of it is there: nothing that could be said in the middle of it would be understood.
      this.abort(error.code, `${error.message}; what ran is cut off`)
      return
    }
    for (let i = taken.length - 1; i >= 0; i--) this.names.takeBack(taken[i]!)
    let isInError = false
    for (const one of taken) {
      if (one.kind === Kind.local) {
        // The client sees one error a Sync.
        if (!isInError) this.requests.add(one, this.toTarget.bytes)
      } else if (one.kind === Kind.sync) {
        isInError = false
        this.requests.add(one, this.toTarget.bytes)
        this.toTarget.send(SYNC, null)
      } else {
        this.notRun(one, error)
        if (one.kind === Kind.copyMark || one.own || isInError) continue
        const isReady = endsWithReady(one)
        const told = this.refusal(error.code, `${error.message}; it did not run`, isReady)
        this.requests.add(told, this.toTarget.bytes)
        isInError = !isReady
      }
    }
    // The rest of it is still to come, and the Sync behind it.
    if (isInError) this.dropping = true
    this.sendLocal()
  }

  /** It ran, and what it did is recorded here; but whether that is recorded elsewhere nobody has said in time. */
  private notReleased(error: NotReplicatedError): void {
    const { client } = this.parts
    const reason = `a command ran, and its outcome can't be shown: ${error.message}`
    if (client.writable && this.toClient.isWhole)
      client.write(sessionEnded('CUSTODY-REPLICATION-003', reason))
    this.finish(reason)
  }

  private answerLocally(one: Request): void {
    this.expect(one)
    this.sendLocal()
  }

  /** The request, and all that the client sends behind it, waits until a person has answered; the client is told. */
  private hold(verdict: Verdict, submitted: Submitted, bytes: Buffer, at: number): void {
    const { analysis, index } = submitted
    this.forward(bytes, at)
    // Without the Sync behind the request the target would keep its answers to what came before.
    if (!this.requests.isEmpty) this.toTarget.send(FLUSH, null)
    const mask = this.evidence.maskOf(submitted, this.judge.reveal(index))
    const statement = this.evidence.describe(submitted, mask)
    const waiting = this.judge.ask(verdict, analysis, index, statement)
    this.tell(
      `custody holds the command: ${verdict.reason}`,
      `Request ${waiting.name}, until ${new Date(waiting.expiresMs).toISOString().slice(0, 19)}Z. Somebody else may answer with: custody approve ${waiting.name}`,
    )
  }

  private tell(message: string, hint?: string): void {
    const one = this.requests.make(Kind.local)
    one.bytes = notice(message, hint)
    one.durability = 'os'
    if (!this.requests.isSkipping) this.answerLocally(one)
  }

  private onAnswerOfPeople(answer: Answer): void {
    if (this.ended) return
    if (answer.state === 'approved') this.tell(`custody: approved by ${answer.by}`)
    this.goOn()
  }

  /** The client asked to cancel: true where that meant a command that is held. */
  cancelHeld(): boolean {
    if (!this.judge.cancel()) return false
    this.goOn()
    return true
  }

  /** Looks again at the request that waited, then at what came behind it. */
  private goOn(): void {
    try {
      this.fromClient.resume()
    } catch (error) {
      this.protocolError('client', error)
      return
    }
    this.resumeClient()
  }

  /** Sends our own answers whose turn has come. */
  private sendLocal(): void {
    for (let one = this.requests.takeLocal(); one !== null; one = this.requests.takeLocal())
      this.toClient.send(one.bytes!, one.durability)
  }

  // ── from the target ──────────────────────────────────────────────────────────────────────────────────────────

  private onTarget(chunk: Buffer): void {
    if (this.ended) return
    try {
      this.fromTarget.push(chunk)
    } catch (error) {
      this.protocolError('target', error)
    }
  }

  private answerHandler(): FrameHandler {
    return {
      onFrame: (type, bytes, at, end) => {
        if (this.masked !== null) this.masked.put(type, bytes, at, end)
        else this.goesOn(type, bytes, at, end)
        return false
      },
      onPiece: (type, bytes, at, end, first, last) => {
        this.masked?.putPiece(bytes, at, end)
        if (first && type === Backend.dataRow) this.rows++
        else if (last && type === Backend.functionCallResponse) {
          this.complete('ok', bytes, end, null)
          if (this.requests.hasLocal) this.releaseLocal(bytes, end)
        }
      },
      onChunkEnd: (bytes) => this.onAnswersEnd(this.masked?.endChunk(bytes) ?? bytes),
    }
  }

  /** What masking is told of what the target answers now. */
  private answering(): Answered {
    return {
      encoding: () => this.texts.encoding,
      command: () => this.requests.command()?.masked ?? null,
      statement: () => {
        const prepared = this.requests.head()?.prepared
        if (!prepared) return null
        const submitted = alone('', prepared.text, prepared.analysis)
        return this.evidence.maskOf(submitted, null)
      },
      columns: () => {
        const { portal, prepared, kind } = this.requests.head() ?? {}
        if (kind !== Kind.execute) return undefined
        if (portal?.described.fields) return portal.described.fields
        const fields = prepared?.described.fields
        return fields && portal ? withFormats(fields, portal.formats) : null
      },
      takesDescription: (fields) => this.takesDescription(fields),
      letRowsPass: (passing) =>
        this.fromTarget.stream(passing ? BACKEND_STREAMED : NOTHING_STREAMED),
      goesOn: (type, bytes, at, end) => this.goesOn(type, bytes, at, end),
    }
  }

  /** A message of the target as the client gets it, which is as it is recorded. */
  private goesOn(type: number, bytes: Buffer, at: number, end: number): void {
    if (end > at) this.onAnswer(type, bytes, at, end)
    if (this.requests.hasLocal) this.releaseLocal(bytes, end)
  }

  /** A description that we asked for is not the client's. */
  private takesDescription(fields: WireColumn[]): boolean {
    const head = this.requests.head()
    if (!head?.own) return false
    if (head.portal) head.portal.described.fields = fields
    this.requests.shift()
    // Of a portal that is not known here, for the Execute behind it.
    const next = this.requests.head()
    if (next?.kind === Kind.execute && next.portal === null)
      next.portal = portalElsewhere(next.prepared!, next.group, fields)
    return true
  }

  private onAnswersEnd(bytes: Buffer): void {
    if (this.from < bytes.length)
      this.recordPiece(bytes, this.from, bytes.length, this.requests.pending())
    if (bytes.length > this.releasedTo)
      this.toClient.send(
        this.releasedTo === 0 ? bytes : bytes.subarray(this.releasedTo),
        this.evidence.releaseNeeds,
        this.fromTarget.isWhole,
      )
    this.from = 0
    this.releasedTo = 0
    this.evidence.releaseNeeds = null
  }

  private onAnswer(type: number, bytes: Buffer, at: number, end: number): void {
    switch (type) {
      case Backend.dataRow:
        this.rows++
        return
      case Backend.commandComplete: {
        const tag = bytes.toString('latin1', at + 5, end - 1)
        this.complete('ok', bytes, end, tag)
        return
      }
      case Backend.readyForQuery:
        this.onReady(bytes, at, end)
        return
      case Backend.rowDescription:
        this.onRowDescription(bytes, at, end)
        return
      case Backend.bindComplete:
        this.answered(Kind.bind)
        return
      case Backend.parseComplete:
        this.answered(Kind.parse)
        return
      case Backend.closeComplete:
        this.answered(Kind.close)
        return
      case Backend.noData:
        this.answered(Kind.describe)
        return
      case Backend.parameterDescription:
        this.onParameterDescription(bytes, at, end)
        return
      case Backend.errorResponse:
        this.onError(bytes, at, end)
        return
      case Backend.emptyQueryResponse:
        this.complete('ok', bytes, end, null)
        return
      case Backend.portalSuspended:
        this.complete('suspended', bytes, end, null)
        return
      case Backend.functionCallResponse:
        this.complete('ok', bytes, end, null)
        return
      case Backend.copyInResponse: {
        const command = this.requests.command()
        if (command) {
          command.copyIn = true
          this.copyCommand ??= command
        }
        return
      }
      case Backend.parameterStatus:
        this.onParameterStatus(bytes, at, end)
        return
      case Backend.copyData:
      case Backend.copyDone:
      case Backend.copyOutResponse:
      case Backend.copyBothResponse:
      case Backend.noticeResponse:
      case Backend.notificationResponse:
        return
      default:
        throw new WireError(`message type 0x${type.toString(16)} was not expected`)
    }
  }

  private answered(kind: Kind): void {
    const one = this.requests.answered(kind)
    if (kind === Kind.parse) this.names.settled(one.prepared!)
    else if (kind === Kind.bind) this.names.settled(one.portal!)
  }

  private onRowDescription(bytes: Buffer, at: number, end: number): void {
    const columns = this.evidence.columnsOf(bytes, at, end)
    const head = this.requests.head()
    if (head?.kind === Kind.describe) {
      const described = head.portal?.described ?? head.prepared?.described
      if (described && this.masked?.fields) described.fields = this.masked.fields
      if (head.prepared) head.prepared.columns = columns
      this.requests.describe(head.prepared, columns)
      this.requests.shift()
      return
    }
    const command = this.requests.command()
    if (command !== undefined) command.columns = columns
    else if (head?.kind !== Kind.query)
      throw new WireError('rows are described that nobody asked for')
  }

  /** ParameterDescription: count:i16 (type:i32)* */
  private onParameterDescription(bytes: Buffer, at: number, end: number): void {
    const prepared = this.requests.head()?.prepared
    if (!prepared) return
    const count = bytes.readUInt16BE(at + 5)
    if (at + 7 + count * 4 > end) throw new WireError('ParameterDescription is too short')
    for (let i = 0; i < count; i++) prepared.typeOids[i] = bytes.readUInt32BE(at + 7 + i * 4)
  }

  private onParameterStatus(bytes: Buffer, at: number, end: number): void {
    const nameEnd = cstringEnd(bytes, at + 5, end)
    const name = bytes.toString('latin1', at + 5, nameEnd)
    this.texts.reported(
      name,
      bytes.toString('latin1', nameEnd + 1, cstringEnd(bytes, nameEnd + 1, end)),
    )
  }

  private onError(bytes: Buffer, at: number, end: number): void {
    const fields = readErrorFields(bytes, at + 5, end)
    const code = fields.get('C') ?? ''
    const text = fields.get('M') ?? ''
    const status = code === '57014' ? 'cancelled' : 'error'
    const severity = fields.get('V') ?? fields.get('S')
    if (severity === 'FATAL' || severity === 'PANIC') this.fatal = true
    if (this.requests.head()?.own) this.requests.shift()
    const head = this.requests.head()
    if (head === undefined || head.kind === Kind.sync) {
      // Nobody asked: the target ends the connection (shutdown, idle timeout). It goes on as session output.
      return
    }
    if (
      head.kind === Kind.parse ||
      head.kind === Kind.bind ||
      head.kind === Kind.describe ||
      head.kind === Kind.close
    ) {
      // The text never ran, but it was submitted: recorded now, with its refusal, before the client learns of it.
      const { prepared } = head
      const command = this.recordCommand(
        alone(
          head.kind === Kind.parse ? 'parse' : head.kind === Kind.bind ? 'bind' : 'describe',
          prepared?.text ?? '',
          prepared?.analysis ?? unanalysed('not prepared through the protocol'),
        ),
        this.parts.gate.decide(prepared?.analysis ?? unanalysed('')),
        null,
      )
      this.finishCommand(command, status, bytes, end, null, code, text)
      this.skipToSync()
      return
    }
    this.complete(status, bytes, end, null, code, text)
    if (head.kind !== Kind.execute) this.notRun(head)
  }

  /** After an error in the extended protocol the target reads on to the next Sync without doing anything. */
  private skipToSync(): void {
    const skipped = this.requests.skipToSync()
    for (const one of skipped) this.notRun(one)
    // The last change first: several may be of one name.
    for (let i = skipped.length - 1; i >= 0; i--) this.names.takeBack(skipped[i]!)
  }

  /** Commands that were recorded and forwarded, and that the target then passed over. */
  private notRun(head: Request, refused: NotReplicatedError | null = null): void {
    for (; head.next < head.commands.length; head.next++) {
      const command = head.commands[head.next]!
      this.evidence.skipped(
        command,
        refused ? `not run: ${refused.message}` : 'not run, because an earlier one failed',
        refused?.code ?? null,
      )
      this.over(command)
    }
  }

  private onReady(bytes: Buffer, at: number, end: number): void {
    this.transactionStatus = bytes[at + 5]!
    for (;;) {
      const head = this.requests.head()
      if (head === undefined || head.kind === Kind.local)
        throw new WireError('ReadyForQuery fits no request')
      this.notRun(head)
      this.requests.shift()
      if (endsWithReady(head)) {
        if (this.transactionStatus === STATUS_IDLE) this.names.endPortals(head.group)
        break
      }
    }
    if (this.transactionStatus === STATUS_IDLE) this.catalogue.committed()
    if (this.settling && this.catalogue.isSettled) setImmediate(() => this.settled())
    this.texts.ready()
    // What the client got beside any command: ParseComplete and the like with nothing executed, notices.
    if (at > this.from || this.evidence.bytes > 0) {
      this.recordPiece(bytes, this.from, at, null)
      this.evidence.reset()
    }
    this.from = end
  }

  /** Our own answer whose turn has come goes between what the target sent before and after. */
  private releaseLocal(bytes: Buffer, end: number): void {
    if (!this.requests.isLocalNext) return
    if (end > this.from) {
      this.recordPiece(bytes, this.from, end, null)
      this.from = end
    }
    if (end > this.releasedTo)
      this.toClient.send(bytes.subarray(this.releasedTo, end), this.evidence.releaseNeeds)
    this.releasedTo = end
    this.sendLocal()
  }

  private complete(
    status: string,
    bytes: Buffer,
    end: number,
    tag: string | null,
    code: string | null = null,
    text: string | null = null,
  ): void {
    const head = this.requests.head()
    const command = head?.commands[head.next]
    if (head === undefined) throw new WireError('an answer fits no request')
    if (command === undefined) {
      // More answers than the string had statements by our count: they stay evidence, as output of the session.
      if (head.kind === Kind.query) return
      throw new WireError('an answer fits no command')
    }
    head.next++
    this.finishCommand(command, status, bytes, end, tag, code, text)
    if (
      status === 'ok' &&
      (tag === 'DEALLOCATE' || tag === 'DEALLOCATE ALL' || tag === 'DISCARD ALL')
    )
      this.names.deallocated()
    if (head.kind === Kind.execute) {
      this.requests.shift()
      if (command.copyIn) this.requests.dropIgnoredSyncs(status !== 'ok')
      if (status === 'error' || status === 'cancelled') this.skipToSync()
    }
  }

  private finishCommand(
    command: Command,
    status: string,
    bytes: Buffer,
    end: number,
    tag: string | null,
    code: string | null,
    text: string | null,
  ): void {
    const rows = tag === null ? (status === 'suspended' ? this.rows : null) : rowsOfTag(tag)
    this.evidence.complete(
      command,
      { status, code, message: text, tag, rows },
      bytes,
      this.from,
      end,
    )
    this.over(command)
    this.rows = 0
    this.from = end
    this.masked?.endResult()
  }

  /** What it may have changed is now to be found out. */
  private over(command: Command): void {
    this.texts.ended(command)
    this.catalogue.ended(command)
    // Its Sync may be held behind what waits for this; where there is one to come, its answer says if all is committed.
    if (command.changing && this.settling && this.catalogue.isSettled && !this.requests.awaitsReady)
      setImmediate(() => this.settled())
    if (this.copyCommand === command) this.copyCommand = null
  }

  /** A piece of an answer that is not complete yet, or belongs to no command. */
  private recordPiece(bytes: Buffer, from: number, to: number, command: Command | null): void {
    this.evidence.piece(bytes, from, to, command)
    if (command === null) this.rows = 0
  }

  // ── ends ─────────────────────────────────────────────────────────────────────────────────────────────────────

  private onTargetEnd(): void {
    if (this.ended) return
    const left = this.session.open.size
    if (left > 0 && !this.fatal && !this.clientDone && this.parts.client.writable)
      this.abort(
        'CUSTODY-TARGET-003',
        `the target closed the connection while ${left} command${left === 1 ? '' : 's'} ran`,
      )
    else this.toClient.end()
  }

  private protocolError(side: 'client' | 'target', error: unknown): void {
    if (isCustodyError(error)) {
      this.abort(error.code, error.message)
      return
    }
    const reason = error instanceof Error ? error.message : String(error)
    this.abort(
      side === 'client' ? 'CUSTODY-PG-003' : 'CUSTODY-PG-004',
      `the ${side} broke the protocol: ${reason}`,
    )
  }

  private finish(reason: string): void {
    if (this.ended) return
    this.ended = true
    const { client, target } = this.parts
    this.judge.withdraw(reason)
    this.catalogue.left()
    for (const command of [...this.session.open] as Command[]) {
      this.evidence.unknown(command, reason)
      this.over(command)
    }
    this.recorder.closeSession(this.session, 'closed', reason, {
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

/** What a Describe asks about. */
const PORTAL = Buffer.from('P')
const EMPTY_STRING = Buffer.alloc(1)

/** Functions that only compute may be run when a statement is planned, whatever they do really. */
function runsInPlanning({ understood, verbs }: StatementAnalysis): boolean {
  return !understood || verbs.includes('sql:call')
}

function utf8Of(text: Buffer | string): string {
  return typeof text === 'string' ? text : text.toString('utf8')
}
