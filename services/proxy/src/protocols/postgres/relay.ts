/**
 * One signed-in PostgreSQL session: follows both directions message by message, ties every answer to the command
 * that it answers, and holds to the order that all of Custody rests on:
 *
 *   decode → decide → record → forward            (from the client, `Requests` half)
 *   decode → record → release                     (from the target, `Answers` half)
 *
 * Bytes that need no change go on as they came. Refuses to guess: an answer that fits no request ends the session.
 */
import { createHash, type Hash, hash } from 'node:crypto'
import type { Duplex } from 'node:stream'
import type { Durability, RecordedSession, Recorder } from '@custody/event-log'
import {
  type Analyser,
  type Analysis,
  type StatementAnalysis,
  unanalysed,
} from '@custody/postgres-sql'
import { decodeValue, typeName } from '@custody/postgres-values'
import {
  type ColumnDraft,
  type EventInput,
  newUuid,
  nowMicros,
  type ParameterDraft,
  type StatementDraft,
} from '@custody/schemas'
import type { Answer, Approvals, Waiting } from '../../approvals'
import { encodeDecision, type Grant, type SessionGate, type Verdict } from '../../gate'
import { Lane } from '../../lane'
import { Catalogue } from './catalogue'
import type { Followed } from './catalogues'
import { FrameCutter, type FrameHandler } from './frames'
import {
  Backend,
  cstringEnd,
  errorResponse,
  Frontend,
  readErrorFields,
  readRowDescription,
  readyForQuery,
  rowsOfTag,
  WireError,
} from './wire'

/** Pieces of output in one event. */
export const OUTPUT_BYTES_MAX = 64 * 1024
/** What a client may send while a command of it waits for a person; then it is read no further. */
const HELD_BYTES_MAX = 1024 * 1024
/** Flush: makes the target answer what it was sent, where the Sync behind it is held. */
const FLUSH = Buffer.from([Frontend.flush, 0, 0, 0, 4])
/** Requests that a client may have sent ahead of their answers. */
export const PIPELINE_REQUESTS_MAX = 100_000

export interface RelaySettings {
  durability: 'auto' | Durability
  /** Output bytes recorded per command: Infinity for `full`, 0 for `digest`. */
  outputBytesMax: number
  frameBytesMax: number
  /** Text of one statement kept in its event; of a longer one the digest is. */
  statementBytesMax: number
  /** All parameters of one command kept in its event. */
  parametersBytesMax: number
  /** Prepared statements, and portals, remembered per session. */
  namesMax: number
  /** Without traffic for this long the session is ended; 0 never. */
  idleMsMax: number
  /** A peer that takes no byte for this long while some wait for it is cut off; 0 never. */
  stalledMsMax: number
}

export interface RelayParts {
  recorder: Recorder
  session: RecordedSession
  gate: SessionGate
  approvals: Approvals
  /** What the session's database makes of statements; null where no policy asks. */
  catalogue: Followed | null
  analyser: Analyser
  client: Duplex
  target: Duplex
  settings: RelaySettings
  /** What the target reported while signing in: client_encoding, standard_conforming_strings, … */
  parameters: Map<string, string>
  onEnd(): void
}

interface Prepared {
  text: Buffer | string
  analysis: StatementAnalysis
  typeOids: number[]
  columns: ColumnDraft[] | undefined
  /** Where another was known under this name and Parse is not answered: the group that Parse is in. Else -1. */
  replacing: number
  /** SQL that deallocates it is under way, or failed. */
  gone: boolean
  /** That this is the statement that will run. */
  isCertain: boolean
}

interface Portal {
  prepared: Prepared
  /** Bind's body from the count of parameter formats on. */
  values: Buffer | null
  /** The group that Bind is in. */
  group: number
  /** As for a statement. */
  replacing: number
  /** The approval by which it was bound; it holds for its execution. */
  grant: Grant | null
}

/** What a request changed among the names known, to be taken back if the target passes over it. */
interface Change {
  names: Map<string, unknown>
  name: string
  before: unknown
}

interface Command {
  id: Buffer
  /** It may change settings of the session, or take a change back. */
  maySet: boolean
  /** It may change what the database has made its own. */
  changing: boolean
  micros: number
  durability: Durability
  columns: ColumnDraft[] | undefined
  copyIn: boolean
  /** The client has begun to send COPY data: what it sent before and the target reads while copying is ignored there. */
  copyStarted: boolean
  inputBytes: number
  inputRecordedBytes: number
  inputHash: Hash | null
}

enum Kind {
  query,
  parse,
  bind,
  describe,
  execute,
  close,
  sync,
  functionCall,
  copyMark,
  local,
}

interface Expected {
  kind: Kind
  /** query: one for each statement; execute, functionCall: one. */
  commands: Command[]
  next: number
  prepared: Prepared | null
  portal: Portal | null
  changes: Change[] | null
  /** Requests up to and with one Sync or Query: an error makes the target pass over the rest of its group. */
  group: number
  /** An answer of our own, and whether it was recorded. */
  bytes: Buffer | null
  durability: Durability | null
}

/** An empty string is a command too: the target answers it. */
const NOTHING: readonly StatementAnalysis[] = [
  { ...unanalysed(null), understood: true, readOnly: true },
]
const NO_COMMANDS: Command[] = []
const FRONTEND_STREAMED = new Set<number>([Frontend.copyData])
const BACKEND_STREAMED = new Set<number>([
  Backend.dataRow,
  Backend.copyData,
  Backend.functionCallResponse,
])
const STATUS_IDLE = 0x49
/** A transaction's end takes settings back; what a cursor is of runs when it is fetched from. */
const SETS_BY_READING = new Set(['sql:rollback', 'sql:fetch'])
const ENDS_WITH_READY = new Set<Kind>([Kind.sync, Kind.query, Kind.functionCall])
/** Requests that are decided on. */
const DECIDED = new Set<number>([Frontend.query, Frontend.bind, Frontend.execute])
/** insufficient_privilege for what was decided against; query_canceled for what its own client gave up. */
const SQLSTATES: Record<string, string> = {
  'CUSTODY-POLICY-002': '42501',
  'CUSTODY-POLICY-003': '42501',
  'CUSTODY-POLICY-004': '42501',
  'CUSTODY-POLICY-005': '57014',
  'CUSTODY-POLICY-006': '53400',
}

const NOTHING_KNOWN = Catalogue.nothingKnown

function expected(kind: Kind, commands: Command[] = NO_COMMANDS): Expected {
  return {
    kind,
    commands,
    next: 0,
    prepared: null,
    portal: null,
    changes: null,
    group: 0,
    bytes: null,
    durability: null,
  }
}

export class Relay {
  private readonly recorder: Recorder
  private readonly session: RecordedSession
  private readonly settings: RelaySettings
  private readonly toTarget: Lane
  private readonly toClient: Lane
  private readonly fromClient: FrameCutter
  private readonly fromTarget: FrameCutter
  private readonly prepared = new Map<string, Prepared>()
  private readonly portals = new Map<string, Portal>()
  /** Requests without answer, oldest first, from `first` on. */
  private queue: Expected[] = []
  private first = 0
  /** The target ignores everything until Sync. */
  private skipping = false
  /** We refused a command of the extended protocol and drop what follows until Sync, as a server would. */
  private dropping = false
  private transactionStatus = STATUS_IDLE
  private encoding: string
  private standardConformingStrings: boolean
  private copyCommand: Command | null = null
  private group = 0
  /** Commands under way that may change settings, standard_conforming_strings among them. */
  private unsettled = 0
  /** One of them has ended, and what it changed is not reported yet. */
  private unreported = false
  /** These settings have had other values than at the start. */
  private varied = false
  /** The client has said that it will send nothing more. */
  private clientDone = false
  /** The target has said that it ends the connection. */
  private fatal = false
  private lastRowDescription: Buffer | null = null
  private lastColumns: ColumnDraft[] | undefined
  // The answer being received: bytes since the last command ended.
  private answerBytes = 0
  private answerRecorded = 0
  private answerHash: Hash | null = null
  private answerMicros = 0
  private rows = 0
  private from = 0
  private releasedTo = 0
  /** Our own answers waiting for their turn. */
  private locals = 0
  private chunkRecorded: Durability | null = null
  // The chunk being read from the client.
  private forwardFrom = 0
  private forwardDurability: Durability | null = null
  private inputFrom = -1
  // A request that waits for a person, and what it was told so far, statement by statement.
  private waiting: { waiting: Waiting; index: number } | null = null
  private grants: Grant[] = []
  // A request that waits until it is known what the database makes of it.
  private settling = false
  private changing = 0
  /** This transaction may have changed what only its own session sees. */
  private changedHere = false
  /** What somebody was told already. */
  private readonly alerted = new Set<string>()
  private denial: { index: number; verdict: Verdict } | null = null
  private ended = false
  private bytesIn = 0
  private movedBytes = -1
  private movedMs = 0

  constructor(private readonly parts: RelayParts) {
    this.recorder = parts.recorder
    this.session = parts.session
    this.settings = parts.settings
    this.encoding = parts.parameters.get('client_encoding') ?? 'UTF8'
    this.standardConformingStrings = parts.parameters.get('standard_conforming_strings') !== 'off'
    const { client, target } = parts
    const failed = (error: Error) =>
      this.abort('CUSTODY-LOG', `the record can't be written: ${error.message}`)
    this.toTarget = new Lane(
      this.recorder,
      target,
      (slow) => (slow ? client.pause() : client.resume()),
      failed,
    )
    this.toClient = new Lane(
      this.recorder,
      client,
      (slow) => (slow ? target.pause() : target.resume()),
      failed,
    )
    this.fromClient = new FrameCutter(
      FRONTEND_STREAMED,
      this.settings.frameBytesMax,
      this.requests(),
    )
    this.fromTarget = new FrameCutter(BACKEND_STREAMED, this.settings.frameBytesMax, this.answers())
  }

  start(): void {
    const { client, target } = this.parts
    client.on('data', (chunk: Buffer) => this.onClient(chunk))
    target.on('data', (chunk: Buffer) => this.onTarget(chunk))
    client.on('end', () => {
      this.clientDone = true
      if (this.waiting !== null) this.finish('the client went away while a command was held')
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
    const { idleMsMax, stalledMsMax } = this.settings
    const moved = this.bytesIn + this.toTarget.taken + this.toClient.taken + this.toClient.bytes
    if (moved !== this.movedBytes) {
      this.movedBytes = moved
      this.movedMs = nowMs
      return
    }
    const stillMs = nowMs - this.movedMs
    const stalled = this.toClient.slow ? 'client' : this.toTarget.slow ? 'target' : null
    if (stalled !== null && stalledMsMax > 0 && stillMs >= stalledMsMax) {
      this.abort('CUSTODY-PG-014', `the ${stalled} took no byte for ${stillMs} ms`, '08006')
      this.parts.client.destroy()
      this.parts.target.destroy()
    } else if (
      idleMsMax > 0 &&
      stillMs >= idleMsMax &&
      this.session.open.size === 0 &&
      this.waiting === null
    )
      this.abort('CUSTODY-PG-013', `the session was idle for ${stillMs} ms`, '57P05')
  }

  /** Ends the session with an error that the client sees, and says why in the record. */
  abort(code: string, reason: string, sqlstate = '08000'): void {
    if (this.ended) return
    const { client } = this.parts
    if (client.writable && !this.toClient.ended)
      client.write(
        errorResponse({ severity: 'FATAL', sqlstate, message: `custody: ${reason}`, hint: code }),
      )
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
    if (this.waiting !== null && this.fromClient.heldBytes > HELD_BYTES_MAX)
      this.parts.client.pause()
  }

  private requests(): FrameHandler {
    return {
      onFrame: (type, bytes, at, end) => {
        if (DECIDED.has(type) && this.unsettledCatalogue(bytes, at)) return true
        this.onRequest(type, bytes, at, end)
        if (this.waiting !== null) return true
        if (this.grants.length > 0) this.grants = []
        this.denial = null
        return false
      },
      onPiece: (_type, _bytes, at) => this.onCopyData(at),
      onChunkEnd: (bytes) => {
        this.forward(bytes, bytes.length)
        this.forwardFrom = 0
        this.forwardDurability = null
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
        this.expect(expected(Kind.sync))
        this.group++
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

  private expect(one: Expected): void {
    if (this.skipping) {
      if (one.kind !== Kind.sync) {
        this.notRun(one)
        return
      }
      this.skipping = false
    }
    one.group = this.group
    if (this.queue.length - this.first >= PIPELINE_REQUESTS_MAX)
      throw new WireError(`more than ${PIPELINE_REQUESTS_MAX} requests without answer`)
    this.queue.push(one)
  }

  /** Notes a change among known names, so that it can be taken back. While the target skips, nothing changes. */
  private change<T>(
    one: Expected,
    names: Map<string, T>,
    name: string,
    value: T | undefined,
  ): T | undefined {
    const before = names.get(name)
    if (this.skipping || (before === undefined && value === undefined)) return before
    one.changes ??= []
    one.changes.push({ names: names as Map<string, unknown>, name, before })
    if (value === undefined) names.delete(name)
    else names.set(name, value)
    return before
  }

  /** Whether strings are told apart as they were when the settings were last certain. */
  /**
   * Whether the settings that decide how a text is read are those that the target has reported. It reports changes with
   * ReadyForQuery, so after what may have made one nothing is certain until then.
   */
  private areSettingsKnown(): boolean {
    if (this.unsettled > 0 || this.unreported) return false
    // Any error takes back what was set in its transaction: where there is something to go back to, nothing may be open.
    return !this.varied || (this.queue.length === this.first && !this.skipping)
  }

  /** What a text does, read as the target reads it; not understood where that can't be known. */
  private analyse(bytes: Buffer, start: number, end: number): Analysis {
    const { analyser } = this.parts
    const known = this.areSettingsKnown()
    const conforming = this.standardConformingStrings && known
    if ((known && this.encoding === 'UTF8') || isAscii(bytes, start, end))
      return analyser.analyse(bytes, start, end, conforming)
    // In some encodings a byte of ASCII may be the second half of a character, and end nothing.
    if (!known || !LABELS[this.encoding] || SECOND_HALVES.has(this.encoding)) return NOT_READABLE
    const text = Buffer.from(decodeText(bytes.subarray(start, end), this.encoding))
    const analysis = analyser.analyse(text, 0, text.length, conforming)
    // Where one ends and the next begins would be places in the other encoding.
    return analysis.statements.length > 1 ? NOT_READABLE : analysis
  }

  /** Sends on what of the chunk has not gone, up to `to`. */
  private forward(bytes: Buffer, to: number): void {
    if (this.inputFrom >= 0) this.recordInput(bytes, to)
    if (to > this.forwardFrom)
      this.toTarget.send(
        this.forwardFrom === 0 && to === bytes.length
          ? bytes
          : bytes.subarray(this.forwardFrom, to),
        this.forwardDurability,
      )
    this.forwardFrom = to
  }

  private onQuery(bytes: Buffer, at: number, end: number): void {
    const start = at + 5
    const stop = cstringEnd(bytes, start, end)
    const analysis = this.analyse(bytes, start, stop)
    // Words prove nothing where it is not known how the target reads them.
    const isRead = this.areSettingsKnown() && analysis !== NOT_READABLE
    const statements = analysis.statements.length === 0 ? NOTHING : analysis.statements
    const count = statements.length
    const textAt = (i: number) =>
      count === 1
        ? bytes.subarray(start, stop)
        : bytes.subarray(start + statements[i]!.start, start + statements[i]!.end)
    // All of the string or none of it: the target would run it as one.
    const verdicts: Verdict[] = []
    const facts: StatementAnalysis[] = []
    let changed = false
    for (let i = 0; i < count; i++) {
      // What stands behind a statement that makes things may use what it made.
      facts.push(this.refined(statements[i]!, changed))
      changed ||= count > 1 && statements[i]!.makesCode
      const verdict = this.judge(facts[i]!, i, isRead ? () => utf8Of(this.textOf(textAt(i))) : null)
      verdicts.push(verdict)
      if (verdict.outcome === 'allow') continue
      const text = textAt(i)
      const asked = this.describe(
        'query',
        this.textOf(text),
        text.length,
        facts[i]!,
        undefined,
        i,
        count,
      )
      if (verdict.outcome === 'hold') this.hold(verdict, facts[i]!, asked, i, bytes, at)
      else this.refuse(verdict, asked, bytes, at, end, true)
      return
    }
    const one = expected(Kind.query, [])
    for (let i = 0; i < count; i++) {
      const text = textAt(i)
      one.commands.push(
        this.recordCommand(
          'query',
          this.textOf(text),
          text.length,
          facts[i]!,
          undefined,
          verdicts[i]!,
          i,
          count,
        ),
      )
    }
    // A simple query ends the unnamed statement and portal.
    this.change(one, this.prepared, '', undefined)
    this.change(one, this.portals, '', undefined)
    for (const statement of statements)
      for (const object of statement.objects)
        if (object.kind === 'prepared') this.namedBySql(one, object.name)
    this.expect(one)
    this.group++
  }

  /** SQL deallocates or prepares under a name: what the protocol prepared under it is no longer certain. */
  private namedBySql(one: Expected, name: string): void {
    for (const [known, prepared] of this.prepared)
      if (known !== '' && (name === '*' || known === name))
        this.change(one, this.prepared, known, {
          ...uncertain(prepared, 'deallocated or prepared by SQL'),
          gone: true,
        })
  }

  /** Parse: name text count:i16 (type:i32)* */
  private onParse(bytes: Buffer, at: number, end: number): void {
    const nameEnd = cstringEnd(bytes, at + 5, end)
    const textEnd = cstringEnd(bytes, nameEnd + 1, end)
    const analysis = this.analyse(bytes, nameEnd + 1, textEnd)
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
    const text = this.textOf(bytes.subarray(nameEnd + 1, textEnd))
    const prepared: Prepared = {
      text: typeof text === 'string' ? text : Buffer.from(text),
      analysis: statement,
      typeOids,
      columns: undefined,
      replacing: -1,
      gone: false,
      isCertain:
        analysis.statements.length <= 1 && analysis !== NOT_READABLE && this.areSettingsKnown(),
    }
    const one = expected(Kind.parse)
    one.prepared = prepared
    if (this.prepared.size >= this.settings.namesMax && !this.prepared.has(name))
      throw new WireError(`more than ${this.settings.namesMax} prepared statements`)
    if (this.change(one, this.prepared, name, prepared) !== undefined)
      prepared.replacing = this.group
    this.expect(one)
  }

  /** Bind: portal statement formats values resultFormats */
  private onBind(bytes: Buffer, at: number, end: number): void {
    const portalEnd = cstringEnd(bytes, at + 5, end)
    const nameEnd = cstringEnd(bytes, portalEnd + 1, end)
    const name = bytes.toString('latin1', portalEnd + 1, nameEnd)
    let prepared = this.prepared.get(name) ?? elsewhere(name)
    // If that Parse fails or is passed over, this Bind takes what was there before it.
    if (prepared.replacing >= 0 && prepared.replacing !== this.group)
      prepared = uncertain(prepared, 'its name was being given to another statement')
    const portalName = bytes.toString('latin1', at + 5, portalEnd)
    if (this.portals.size >= this.settings.namesMax && !this.portals.has(portalName))
      throw new WireError(`more than ${this.settings.namesMax} portals`)
    const portal: Portal = {
      prepared,
      // Copied, since the chunk's memory is far larger and a portal may live long.
      values: Buffer.from(bytes.subarray(nameEnd + 1, end)),
      group: this.group,
      replacing: -1,
      grant: null,
    }
    // The target plans the statement now, and may run functions for that.
    const analysis = this.refined(prepared.analysis)
    if (this.parts.gate.restricted && runsInPlanning(analysis)) {
      const text = prepared.isCertain ? () => utf8Of(prepared.text) : null
      const verdict = this.judge(analysis, 0, text)
      if (verdict.outcome !== 'allow') {
        const parameters = this.readParameters(portal.values!, prepared.typeOids)
        const { length } = prepared.text
        const asked = this.describe('bind', prepared.text, length, analysis, parameters, 0, 1)
        if (verdict.outcome === 'hold') this.hold(verdict, analysis, asked, 0, bytes, at)
        else this.refuse(verdict, asked, bytes, at, end, false)
        return
      }
      portal.grant = this.grants[0] ?? null
    }
    if (runsInPlanning(analysis)) this.unreported = true
    const one = expected(Kind.bind)
    one.prepared = prepared
    one.portal = portal
    if (this.change(one, this.portals, portalName, portal) !== undefined)
      portal.replacing = this.group
    this.expect(one)
  }

  private onDescribe(bytes: Buffer, at: number, end: number): void {
    const nameEnd = cstringEnd(bytes, at + 6, end)
    const name = bytes.toString('latin1', at + 6, nameEnd)
    const one = expected(Kind.describe)
    one.prepared =
      (bytes[at + 5] === 0x53 ? this.prepared.get(name) : this.portals.get(name)?.prepared) ?? null
    this.expect(one)
  }

  private onExecute(bytes: Buffer, at: number, end: number): void {
    const nameEnd = cstringEnd(bytes, at + 5, end)
    const portal = this.portals.get(bytes.toString('latin1', at + 5, nameEnd))
    let prepared = portal?.prepared ?? elsewhere(bytes.toString('latin1', at + 5, nameEnd))
    if (portal && portal.replacing >= 0 && portal.replacing !== this.group)
      prepared = uncertain(prepared, 'its portal was being bound to another statement')
    const analysis = this.refined(prepared.analysis)
    const parameters = portal?.values
      ? this.readParameters(portal.values, prepared.typeOids)
      : undefined
    const text = prepared.isCertain ? () => utf8Of(prepared.text) : null
    if (portal?.grant) this.grants[0] ??= portal.grant
    const verdict = this.judge(analysis, 0, text)
    if (verdict.outcome !== 'allow') {
      const asked = this.describe(
        'execute',
        prepared.text,
        prepared.text.length,
        analysis,
        parameters,
        0,
        1,
      )
      if (verdict.outcome === 'hold') this.hold(verdict, analysis, asked, 0, bytes, at)
      else this.refuse(verdict, asked, bytes, at, end, false)
      return
    }
    const command = this.recordCommand(
      'execute',
      prepared.text,
      prepared.text.length,
      analysis,
      parameters,
      verdict,
      0,
      1,
    )
    command.columns = prepared.columns
    const one = expected(Kind.execute, [command])
    one.prepared = prepared
    for (const object of analysis.objects)
      if (object.kind === 'prepared') this.namedBySql(one, object.name)
    this.expect(one)
  }

  private onClose(bytes: Buffer, at: number, end: number): void {
    const nameEnd = cstringEnd(bytes, at + 6, end)
    const name = bytes.toString('latin1', at + 6, nameEnd)
    const one = expected(Kind.close)
    if (bytes[at + 5] === 0x53) this.change(one, this.prepared, name, undefined)
    else this.change(one, this.portals, name, undefined)
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
    const parameters = this.readParameters(bytes.subarray(at + 9, end), [])
    const verdict = this.judge(analysis, 0, null)
    if (verdict.outcome !== 'allow') {
      const asked = this.describe('function-call', `function ${oid}`, 0, analysis, parameters, 0, 1)
      if (verdict.outcome === 'hold') this.hold(verdict, analysis, asked, 0, bytes, at)
      else this.refuse(verdict, asked, bytes, at, end, true)
      return
    }
    this.expect(
      expected(Kind.functionCall, [
        this.recordCommand(
          'function-call',
          `function ${oid}`,
          0,
          analysis,
          parameters,
          verdict,
          0,
          1,
        ),
      ]),
    )
  }

  /** Remembers where COPY data begins in this chunk; all of a run is recorded as one piece. */
  private onCopyData(at: number): void {
    if (this.dropping) return
    this.startCopy()
    if (this.inputFrom < 0) this.inputFrom = at
  }

  private startCopy(): void {
    const command = this.copyCommand ?? this.copyingAhead()
    if (command === null || command.copyStarted) return
    command.copyStarted = true
    this.copyCommand = command
    this.expect(expected(Kind.copyMark))
  }

  /** A client may send COPY data before it has seen CopyInResponse: it belongs to the newest command. */
  private copyingAhead(): Command | null {
    for (let i = this.queue.length - 1; i >= this.first; i--) {
      const { commands } = this.queue[i]!
      const command = commands[commands.length - 1]
      if (command) return command
    }
    return null
  }

  private recordInput(bytes: Buffer, to: number): void {
    const from = this.inputFrom
    this.inputFrom = -1
    const command = this.copyCommand
    if (command === null || to <= from) return
    const piece = bytes.subarray(from, to)
    command.inputHash ??= createHash('sha256')
    command.inputHash.update(piece)
    const recordable = Math.min(
      piece.length,
      this.settings.outputBytesMax - command.inputRecordedBytes,
    )
    for (let at = 0; at < recordable; at += OUTPUT_BYTES_MAX) {
      const until = Math.min(recordable, at + OUTPUT_BYTES_MAX)
      this.recorder.record(
        {
          kind: 'output',
          command: command.id,
          output: {
            stream: 'input',
            offset: command.inputBytes + at,
            data: piece.subarray(at, until),
            encoding: 'pgwire',
            omittedBytes: until === recordable ? piece.length - recordable : 0,
          },
        },
        this.session,
      )
      command.inputRecordedBytes += until - at
    }
    command.inputBytes += piece.length
    this.need(command.durability)
  }

  /** This chunk may go on only when what was recorded for it is this durable. */
  private need(durability: Durability): void {
    if (this.forwardDurability !== 'disk') this.forwardDurability = durability
  }

  private recordCommand(
    submittedBy: string,
    text: Buffer | string,
    textBytes: number,
    analysis: StatementAnalysis,
    parameters: ParameterDraft[] | undefined,
    verdict: Verdict,
    index: number,
    count: number,
  ): Command {
    const micros = nowMicros()
    const id = newUuid(micros)
    const durability =
      this.settings.durability === 'auto'
        ? analysis.readOnly
          ? 'os'
          : 'disk'
        : this.settings.durability
    const command: Command = {
      id,
      maySet: !analysis.readOnly || analysis.verbs.some((verb) => SETS_BY_READING.has(verb)),
      changing: analysis.makesCode,
      micros,
      durability,
      columns: undefined,
      copyIn: false,
      copyStarted: false,
      inputBytes: 0,
      inputRecordedBytes: 0,
      inputHash: null,
    }
    this.recorder.record(
      {
        id,
        time: micros,
        kind: 'command.started',
        command: id,
        decision: verdict.decision,
        statement: this.describe(submittedBy, text, textBytes, analysis, parameters, index, count),
      },
      this.session,
    )
    if (verdict.alert !== null && !this.alerted.has(verdict.alert)) {
      // Once a session: the rest is in the record, and nobody reads the hundredth.
      this.alerted.add(verdict.alert)
      this.recorder.record(
        {
          kind: 'alert.policy',
          command: id,
          decision: verdict.decision,
          lifecycle: { state: 'changed', reason: verdict.alert },
        },
        this.session,
      )
    }
    this.session.open.add(command)
    if (command.maySet) this.unsettled++
    if (command.changing) this.changing++
    this.session.commandsStarted++
    this.need(durability)
    return command
  }

  /** Text as UTF-8 bytes, or as a string where the client speaks another encoding. */
  private textOf(bytes: Buffer): Buffer | string {
    if (this.encoding === 'UTF8' || this.encoding === 'SQL_ASCII') return bytes
    return decodeText(bytes, this.encoding)
  }

  /** formatCount:i16 format:i16* count:i16 (length:i32 bytes)* */
  private readParameters(
    values: Buffer,
    typeOids: readonly number[],
  ): ParameterDraft[] | undefined {
    if (values.length < 2) throw new WireError('parameters are too short')
    const formatCount = values.readUInt16BE(0)
    let at = 2 + formatCount * 2
    if (at + 2 > values.length) throw new WireError('parameters are too short')
    const count = values.readUInt16BE(at)
    at += 2
    if (count === 0) return undefined
    const parameters: ParameterDraft[] = []
    let bytesLeft = this.settings.parametersBytesMax
    for (let i = 0; i < count; i++) {
      if (at + 4 > values.length) throw new WireError('parameters are too short')
      const length = values.readInt32BE(at)
      at += 4
      const oid = typeOids[i] ?? 0
      const type = oid === 0 ? '' : typeName(oid)
      if (length < 0) {
        parameters.push({ type, value: null })
        continue
      }
      if (at + length > values.length) throw new WireError('parameters are too short')
      const format = formatCount === 0 ? 0 : values.readInt16BE(2 + (formatCount === 1 ? 0 : i) * 2)
      const cut = length > bytesLeft
      const bytes = values.subarray(at, at + Math.min(length, bytesLeft))
      bytesLeft -= bytes.length
      parameters.push({
        type,
        value:
          format === 0
            ? cut
              ? cutText(bytes, bytes.length)
              : this.textOf(bytes)
            : decodeValue(bytes, oid, 1),
        bytes: length,
        cut,
      })
      at += length
    }
    return parameters
  }

  /** The statement as events carry it. */
  private describe(
    submittedBy: string,
    text: Buffer | string,
    textBytes: number,
    analysis: StatementAnalysis,
    parameters: ParameterDraft[] | undefined,
    index: number,
    count: number,
  ): StatementDraft {
    const cut = text.length > this.settings.statementBytesMax
    return {
      language: 'sql',
      interface: submittedBy,
      text: cut ? cutText(text, this.settings.statementBytesMax) : text,
      textBytes,
      textDigest: cut ? hash('sha256', text, 'buffer') : undefined,
      parameters,
      fingerprint: analysis.fingerprint,
      verbs: analysis.verbs,
      objects: analysis.objects,
      understood: analysis.understood,
      problem: analysis.problem,
      index,
      count,
    }
  }

  // ── decided otherwise than to let it pass ────────────────────────────────────────────────────────────────────

  /**
   * Whether what the database has made its own must be asked before anything is decided: the request is then looked at
   * again when it is known. What this session sent before may change it, and must have ended first.
   */
  private unsettledCatalogue(bytes: Buffer, at: number): boolean {
    const { catalogue, gate } = this.parts
    if (catalogue === null || !gate.restricted || this.ended) return false
    // Nobody else sees what this transaction made, and asking might wait for its locks.
    if (this.changedHere && this.changing === 0) return false
    if (this.changing > 0) {
      this.forward(bytes, at)
      this.toTarget.send(FLUSH, null)
      this.settling = true
      return true
    }
    const fresh = catalogue.fresh()
    if (fresh === null) return false
    this.forward(bytes, at)
    this.settling = true
    void fresh.then(() => this.settled())
    return true
  }

  private settled(): void {
    if (!this.settling || this.ended) return
    this.settling = false
    this.goOn()
    if (this.clientDone && !this.settling && this.waiting === null) this.toTarget.end()
  }

  /** The verdict on one statement of the request; what a person said of it before counts. */
  private judge(analysis: StatementAnalysis, index: number, text: (() => string) | null): Verdict {
    if (this.denial?.index === index) return this.denial.verdict
    const verdict = this.parts.gate.decide(analysis, this.grants[index] ?? null, text)
    return verdict.outcome === 'hold' && this.parts.approvals.full
      ? denied(verdict, 'too many commands wait for approval already', 'CUSTODY-POLICY-006')
      : verdict
  }

  /** Whether the target will say ReadyForQuery without being sent more. */
  private awaitsReady(): boolean {
    for (let i = this.first; i < this.queue.length; i++)
      if (ENDS_WITH_READY.has(this.queue[i]!.kind)) return true
    return false
  }

  /** What the statement is in this database. `changed`: by this session, so that nobody else can be asked about it. */
  private refined(analysis: StatementAnalysis, changed = false): StatementAnalysis {
    const { catalogue, gate } = this.parts
    if (!gate.restricted || catalogue === null) return analysis
    if (changed || this.changedHere) return NOTHING_KNOWN.refine(analysis)
    return catalogue.current?.refine(analysis) ?? NOTHING_KNOWN.refine(analysis)
  }

  /** Answers in the target's stead, in its turn. */
  private refuse(
    verdict: Verdict,
    statement: StatementDraft,
    bytes: Buffer,
    at: number,
    end: number,
    ready: boolean,
  ): void {
    this.forward(bytes, at)
    this.forwardFrom = end
    const unrecordable = verdict.code.startsWith('CUSTODY-LOG')
    if (!unrecordable)
      this.recorder.record(
        { kind: 'command.blocked', decision: verdict.decision, statement },
        this.session,
      )
    const error = errorResponse({
      severity: 'ERROR',
      sqlstate: SQLSTATES[verdict.code] ?? '53100',
      message: `custody refused the command: ${verdict.reason}`,
      hint: `${verdict.code}: see docs/errors.md`,
    })
    const one = expected(Kind.local)
    one.bytes = ready ? Buffer.concat([error, readyForQuery(this.transactionStatus)]) : error
    one.durability = unrecordable ? null : 'os'
    if (!ready) this.dropping = true
    if (this.skipping) return
    this.answerLocally(one)
  }

  private answerLocally(one: Expected): void {
    this.locals++
    this.expect(one)
    this.sendLocal()
  }

  /** The request, and all that the client sends behind it, waits until a person has answered; the client is told. */
  private hold(
    verdict: Verdict,
    analysis: StatementAnalysis,
    statement: StatementDraft,
    index: number,
    bytes: Buffer,
    at: number,
  ): void {
    this.forward(bytes, at)
    // Without the Sync behind the request the target would keep its answers to what came before.
    if (this.queue.length > this.first) this.toTarget.send(FLUSH, null)
    const terms = verdict.terms!
    const waiting = this.parts.approvals.ask(
      {
        session: this.session,
        statement,
        decision: verdict.decision,
        terms,
        reason: verdict.reason,
      },
      (answer) => this.answeredByPeople(answer, verdict, analysis, index),
    )
    this.waiting = { waiting, index }
    this.tell(
      `custody holds the command: ${verdict.reason}`,
      `Request ${waiting.name}, until ${new Date(waiting.expiresMs).toISOString().slice(0, 19)}Z. Somebody else may answer with: custody approve ${waiting.name}`,
    )
  }

  private tell(message: string, hint?: string): void {
    const one = expected(Kind.local)
    one.bytes = errorResponse({ severity: 'NOTICE', sqlstate: '00000', message, hint })
    one.durability = 'os'
    if (!this.skipping) this.answerLocally(one)
  }

  private answeredByPeople(
    answer: Answer,
    verdict: Verdict,
    analysis: StatementAnalysis,
    index: number,
  ): void {
    if (this.ended) return
    this.waiting = null
    if (answer.state === 'approved') {
      this.grants[index] = answer.grant
      this.parts.gate.remember(answer.grant, verdict.terms!, analysis.fingerprint)
      this.tell(`custody: approved by ${answer.by}`)
    } else
      this.deny(
        index,
        verdict,
        answer.state === 'denied'
          ? `denied by ${answer.by}${answer.comment ? `: ${answer.comment}` : ''}`
          : 'nobody approved it in time',
        answer.state === 'denied' ? 'CUSTODY-POLICY-003' : 'CUSTODY-POLICY-004',
      )
    this.goOn()
  }

  /** The client asked to cancel: true where that meant a command that is held. */
  cancelHeld(): boolean {
    if (this.waiting === null) return false
    const { waiting, index } = this.waiting
    this.waiting = null
    waiting.withdraw('the client cancelled it')
    this.deny(index, null, 'canceled by the client while it was held', 'CUSTODY-POLICY-005')
    this.goOn()
    return true
  }

  private deny(index: number, verdict: Verdict | null, reason: string, code: string): void {
    this.denial = { index, verdict: denied(verdict, reason, code) }
  }

  /** Looks again at the request that waited, then at what came behind it. */
  private goOn(): void {
    try {
      this.fromClient.resume()
    } catch (error) {
      this.protocolError('client', error)
      return
    }
    if (this.waiting === null && !this.toTarget.slow) this.parts.client.resume()
  }

  /** Sends our own answers whose turn has come. */
  private sendLocal(): void {
    while (this.queue[this.first]?.kind === Kind.local) {
      const { bytes, durability } = this.queue[this.first]!
      this.toClient.send(bytes!, durability)
      this.locals--
      this.shift()
    }
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

  private answers(): FrameHandler {
    return {
      onFrame: (type, bytes, at, end) => {
        this.onAnswer(type, bytes, at, end)
        if (this.locals > 0) this.releaseLocal(bytes, end)
        return false
      },
      onPiece: (type, bytes, _at, end, first, last) => {
        if (first && type === Backend.dataRow) this.rows++
        else if (last && type === Backend.functionCallResponse) {
          this.complete('ok', bytes, end, null)
          if (this.locals > 0) this.releaseLocal(bytes, end)
        }
      },
      onChunkEnd: (bytes) => this.onAnswersEnd(bytes),
    }
  }

  private onAnswersEnd(bytes: Buffer): void {
    if (this.from < bytes.length) this.recordPiece(bytes, this.from, bytes.length, this.pending())
    if (bytes.length > this.releasedTo)
      this.toClient.send(
        this.releasedTo === 0 ? bytes : bytes.subarray(this.releasedTo),
        this.chunkRecorded,
      )
    this.from = 0
    this.releasedTo = 0
    this.chunkRecorded = null
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
        const command = this.current()
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

  /** The request that the target answers now; our own answers and marks are not the target's. */
  private head(): Expected | undefined {
    for (;;) {
      const head = this.queue[this.first]
      if (head === undefined || head.kind !== Kind.copyMark) return head
      this.shift()
    }
  }

  private current(): Command | undefined {
    const head = this.head()
    return head?.commands[head.next]
  }

  /** The command that bytes still arriving will belong to. */
  private pending(): Command | undefined {
    for (let i = this.first; i < this.queue.length; i++) {
      const one = this.queue[i]!
      const command = one.commands[one.next]
      if (command) return command
      if (one.kind === Kind.sync) return undefined
    }
    return undefined
  }

  private shift(): void {
    this.queue[this.first] = undefined as unknown as Expected
    this.first++
    if (this.first === this.queue.length) {
      this.queue.length = 0
      this.first = 0
    } else if (this.first > 1024) {
      this.queue = this.queue.slice(this.first)
      this.first = 0
    }
  }

  private answered(kind: Kind): void {
    const head = this.head()
    if (head === undefined || head.kind !== kind) throw new WireError('an answer fits no request')
    if (kind === Kind.parse) head.prepared!.replacing = -1
    else if (kind === Kind.bind) head.portal!.replacing = -1
    this.shift()
  }

  private onRowDescription(bytes: Buffer, at: number, end: number): void {
    let columns = this.lastColumns
    const last = this.lastRowDescription
    if (last === null || last.length !== end - at || last.compare(bytes, at, end) !== 0) {
      columns = readRowDescription(bytes, at + 5, end).map((column) => ({
        name: column.name,
        type: typeName(column.typeOid),
      }))
      this.lastColumns = columns
      this.lastRowDescription = Buffer.from(bytes.subarray(at, end))
    }
    const head = this.head()
    if (head?.kind === Kind.describe) {
      if (head.prepared) head.prepared.columns = columns
      // Executes of the same statement that were already sent learn their columns too.
      for (let i = this.first + 1; i < this.queue.length; i++) {
        const one = this.queue[i]!
        if (one.kind === Kind.sync) break
        if (one.kind === Kind.execute && one.prepared === head.prepared)
          one.commands[0]!.columns = columns
      }
      this.shift()
      return
    }
    const command = this.current()
    if (command !== undefined) command.columns = columns
    else if (head?.kind !== Kind.query)
      throw new WireError('rows are described that nobody asked for')
  }

  /** ParameterDescription: count:i16 (type:i32)* */
  private onParameterDescription(bytes: Buffer, at: number, end: number): void {
    const prepared = this.head()?.prepared
    if (!prepared) return
    const count = bytes.readUInt16BE(at + 5)
    if (at + 7 + count * 4 > end) throw new WireError('ParameterDescription is too short')
    for (let i = 0; i < count; i++) prepared.typeOids[i] = bytes.readUInt32BE(at + 7 + i * 4)
  }

  private onParameterStatus(bytes: Buffer, at: number, end: number): void {
    const nameEnd = cstringEnd(bytes, at + 5, end)
    const name = bytes.toString('latin1', at + 5, nameEnd)
    const value = bytes.toString('latin1', nameEnd + 1, cstringEnd(bytes, nameEnd + 1, end))
    if (name === 'client_encoding') {
      this.varied ||= value !== this.encoding
      this.encoding = value
    } else if (name === 'standard_conforming_strings') {
      this.varied ||= (value !== 'off') !== this.standardConformingStrings
      this.standardConformingStrings = value !== 'off'
    }
  }

  private onError(bytes: Buffer, at: number, end: number): void {
    const fields = readErrorFields(bytes, at + 5, end)
    const code = fields.get('C') ?? ''
    const text = fields.get('M') ?? ''
    const status = code === '57014' ? 'cancelled' : 'error'
    const severity = fields.get('V') ?? fields.get('S')
    if (severity === 'FATAL' || severity === 'PANIC') this.fatal = true
    const head = this.head()
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
        head.kind === Kind.parse ? 'parse' : head.kind === Kind.bind ? 'bind' : 'describe',
        prepared?.text ?? '',
        prepared?.text.length ?? 0,
        prepared?.analysis ?? unanalysed('not prepared through the protocol'),
        undefined,
        this.parts.gate.decide(prepared?.analysis ?? unanalysed('')),
        0,
        1,
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
    const skipped: Expected[] = []
    for (;;) {
      const head = this.queue[this.first]
      if (head === undefined || head.kind === Kind.sync) {
        // Without Sync it is still to come; `expect` passes over what comes before it.
        if (head === undefined) this.skipping = true
        break
      }
      if (head.kind === Kind.local) {
        // The client sees one error a Sync; ours would be a second.
        this.shift()
        this.locals--
        continue
      }
      skipped.push(head)
      this.notRun(head)
      this.shift()
    }
    // The last change first: several may be of one name.
    for (let i = skipped.length - 1; i >= 0; i--) this.takeBack(skipped[i]!)
  }

  private takeBack({ changes }: Expected): void {
    if (changes === null) return
    for (let i = changes.length - 1; i >= 0; i--) {
      const { names, name, before } = changes[i]!
      if (before === undefined) names.delete(name)
      else names.set(name, before)
    }
  }

  /** Commands that were recorded and forwarded, and that the target then passed over. */
  private notRun(head: Expected): void {
    for (; head.next < head.commands.length; head.next++) {
      const command = head.commands[head.next]!
      this.recordCompleted(command, {
        status: 'skipped',
        message: 'not run, because an earlier one failed',
        durationMicros: nowMicros() - command.micros,
      })
    }
  }

  private onReady(bytes: Buffer, at: number, end: number): void {
    this.transactionStatus = bytes[at + 5]!
    for (;;) {
      const head = this.head()
      if (head === undefined || head.kind === Kind.local)
        throw new WireError('ReadyForQuery fits no request')
      this.notRun(head)
      this.shift()
      if (ENDS_WITH_READY.has(head.kind)) {
        // The end of a transaction is the end of its portals; those of later groups belong to the next.
        if (this.transactionStatus === STATUS_IDLE && this.portals.size > 0)
          for (const [name, portal] of this.portals)
            if (portal.group <= head.group) this.portals.delete(name)
        break
      }
    }
    if (this.transactionStatus === STATUS_IDLE && this.changedHere) {
      // Now others see it.
      this.changedHere = false
      this.parts.catalogue?.changed()
    }
    if (this.settling && this.changing === 0) setImmediate(() => this.settled())
    if (this.unsettled === 0) this.unreported = false
    // What the client got beside any command: ParseComplete and the like with nothing executed, notices.
    if (at > this.from || this.answerBytes > 0) {
      this.recordPiece(bytes, this.from, at, undefined)
      this.resetAnswer()
    }
    this.from = end
  }

  /** Our own answer whose turn has come goes between what the target sent before and after. */
  private releaseLocal(bytes: Buffer, end: number): void {
    if (this.queue[this.first]?.kind !== Kind.local) return
    if (end > this.from) {
      this.recordPiece(bytes, this.from, end, undefined)
      this.from = end
    }
    if (end > this.releasedTo)
      this.toClient.send(bytes.subarray(this.releasedTo, end), this.chunkRecorded)
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
    const head = this.head()
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
      for (const [name, prepared] of this.prepared) if (prepared.gone) this.prepared.delete(name)
    if (head.kind === Kind.execute) {
      this.shift()
      if (command.copyIn) this.dropIgnoredSyncs(status !== 'ok')
      if (status === 'error' || status === 'cancelled') this.skipToSync()
    }
  }

  /** Sync sent before COPY data is read by the target while it copies, and ignored there. */
  private dropIgnoredSyncs(failed: boolean): void {
    const kept: Expected[] = []
    let marked = false
    const rest = this.queue.slice(this.first)
    const hasMark = rest.some((one) => one.kind === Kind.copyMark)
    for (const one of rest) {
      if (one.kind === Kind.copyMark) marked = true
      else if (one.kind === Kind.sync && !marked && (hasMark || failed)) continue
      else kept.push(one)
    }
    this.queue = kept
    this.first = 0
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
    const { from } = this
    const length = end - from
    const offset = this.answerBytes
    let digest: Buffer
    if (this.answerHash === null) digest = latin1Digest(bytes, from, end)
    else digest = this.answerHash.update(bytes.subarray(from, end)).digest()
    const now = nowMicros()
    let data: Buffer | null = null
    if (length > OUTPUT_BYTES_MAX) this.recordOutput(bytes, from, end, command)
    else {
      const recordable = Math.min(length, this.settings.outputBytesMax - this.answerRecorded)
      if (recordable > 0) data = bytes.subarray(from, from + recordable)
    }
    const input = command.inputHash
    this.recordCompleted(
      command,
      {
        status,
        code,
        message: text,
        tag,
        rows: tag === null ? (status === 'suspended' ? this.rows : null) : rowsOfTag(tag),
        bytes: offset + length,
        digest,
        durationMicros: Math.max(0, now - command.micros),
        firstByteMicros: Math.max(
          0,
          (this.answerMicros === 0 ? now : this.answerMicros) - command.micros,
        ),
        columns: command.columns,
        inputBytes: command.inputBytes,
        inputDigest: input === null ? undefined : input.digest(),
        recordedBytes: this.answerRecorded + (data?.length ?? 0),
      },
      data === null
        ? undefined
        : {
            stream: 'output',
            offset,
            data,
            encoding: 'pgwire',
            omittedBytes: length - data.length,
          },
    )
    this.resetAnswer()
    this.from = end
  }

  private recordCompleted(
    command: Command,
    response: NonNullable<EventInput['response']>,
    output?: EventInput['output'],
  ): void {
    this.recorder.record(
      { kind: 'command.completed', command: command.id, response, output },
      this.session,
    )
    if (this.session.open.delete(command)) {
      if (command.maySet) {
        this.unsettled--
        this.unreported = true
      }
      if (command.changing) {
        this.changing--
        this.changedHere = true
        // Its Sync may be held behind what waits for this; where there is one to come, its answer says if all is committed.
        if (this.settling && this.changing === 0 && !this.awaitsReady())
          setImmediate(() => this.settled())
      }
    }
    if (this.copyCommand === command) this.copyCommand = null
    if (this.chunkRecorded !== 'disk') this.chunkRecorded = command.durability
  }

  /** A piece of an answer that is not complete yet (or belongs to no command). */
  private recordPiece(bytes: Buffer, from: number, to: number, command: Command | undefined): void {
    if (this.answerMicros === 0) this.answerMicros = nowMicros()
    if (command !== undefined) {
      this.answerHash ??= createHash('sha256')
      this.answerHash.update(bytes.subarray(from, to))
    }
    this.recordOutput(bytes, from, to, command)
    // What belongs to no command is whole by itself; the next command's answer begins behind it.
    if (command === undefined) this.resetAnswer()
    else this.answerBytes += to - from
  }

  private recordOutput(
    bytes: Buffer,
    from: number,
    to: number,
    command: Command | undefined,
  ): void {
    const recordable = Math.min(to - from, this.settings.outputBytesMax - this.answerRecorded)
    for (let at = 0; at < recordable; at += OUTPUT_BYTES_MAX) {
      const until = Math.min(recordable, at + OUTPUT_BYTES_MAX)
      this.recorder.record(
        {
          kind: 'output',
          command: command?.id,
          output: {
            stream: 'output',
            offset: this.answerBytes + at,
            data: bytes.subarray(from + at, from + until),
            encoding: 'pgwire',
            omittedBytes: until === recordable ? to - from - recordable : 0,
          },
        },
        this.session,
      )
    }
    if (recordable > 0) {
      this.answerRecorded += recordable
      this.chunkRecorded ??= 'os'
    }
  }

  private resetAnswer(): void {
    this.answerBytes = 0
    this.answerRecorded = 0
    this.answerHash = null
    this.answerMicros = 0
    this.rows = 0
  }

  // ── ends ─────────────────────────────────────────────────────────────────────────────────────────────────────

  private onTargetEnd(): void {
    if (this.ended) return
    const left = this.session.open.size
    if (left > 0 && !this.fatal && !this.clientDone && this.parts.client.writable)
      this.abort(
        'CUSTODY-PG-005',
        `the target closed the connection while ${left} command${left === 1 ? '' : 's'} ran`,
        '08006',
      )
    else this.toClient.end()
  }

  private protocolError(side: 'client' | 'target', error: unknown): void {
    const reason = error instanceof Error ? error.message : String(error)
    this.abort(
      side === 'client' ? 'CUSTODY-PG-003' : 'CUSTODY-PG-004',
      `the ${side} broke the protocol: ${reason}`,
      '08P01',
    )
  }

  private finish(reason: string): void {
    if (this.ended) return
    this.ended = true
    const { client, target } = this.parts
    this.waiting?.waiting.withdraw(reason)
    if (this.changedHere || this.changing > 0) this.parts.catalogue?.changed()
    for (const command of [...this.session.open] as Command[])
      this.recordCompleted(command, {
        status: 'unknown',
        message: reason,
        bytes: this.answerBytes,
        durationMicros: Math.max(0, nowMicros() - command.micros),
        inputBytes: command.inputBytes,
        inputDigest: command.inputHash?.digest(),
      })
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

function elsewhere(name: string): Prepared {
  return {
    text: `(${JSON.stringify(name)}, not prepared through the protocol)`,
    analysis: unanalysed('prepared by SQL or not at all'),
    typeOids: [],
    columns: undefined,
    replacing: -1,
    gone: false,
    isCertain: false,
  }
}

/** The statement as far as it is known, said to be uncertain: never taken for harmless. */
function uncertain(prepared: Prepared, why: string): Prepared {
  const { analysis } = prepared
  return {
    ...prepared,
    isCertain: false,
    analysis: {
      ...analysis,
      verbs: analysis.understood ? [...analysis.verbs, 'sql:unknown'] : analysis.verbs,
      understood: false,
      readOnly: false,
      problem: `perhaps another statement: ${why}`,
    },
  }
}

/** Not run after all. `verdict`: the one by which it would have been held. */
function denied(verdict: Verdict | null, reason: string, code: string): Verdict {
  return {
    outcome: 'block',
    decision: encodeDecision({ outcome: 'block', policies: [], reason }),
    code,
    reason: verdict === null ? reason : `${reason} (${verdict.reason})`,
    terms: null,
    alert: null,
  }
}

/** Functions that only compute may be run when a statement is planned, whatever they do really. */
function runsInPlanning({ understood, verbs }: StatementAnalysis): boolean {
  return !understood || verbs.includes('sql:call')
}

function utf8Of(text: Buffer | string): string {
  return typeof text === 'string' ? text : text.toString('utf8')
}

/** The first bytes of a long text, ended at a character. */
function cutText(text: Buffer | string, bytesMax: number): Buffer | string {
  if (typeof text === 'string') return text.slice(0, bytesMax)
  let end = Math.min(text.length, bytesMax)
  while (end > 0 && end < text.length && (text[end]! & 0xc0) === 0x80) end--
  return text.subarray(0, end)
}

function isAscii(bytes: Buffer, start: number, end: number): boolean {
  for (let i = start; i < end; i++) if (bytes[i]! >= 0x80) return false
  return true
}

const NOT_READABLE: Analysis = {
  statements: [unanalysed('in an encoding that can’t be read here')],
}

/** Encodings of clients whose characters may have a byte of ASCII in them. */
const SECOND_HALVES = new Set(['SJIS', 'SHIFT_JIS_2004', 'BIG5', 'GBK', 'UHC', 'GB18030', 'JOHAB'])

const LABELS: Record<string, string> = {
  LATIN1: 'iso-8859-1',
  LATIN2: 'iso-8859-2',
  LATIN9: 'iso-8859-15',
  WIN1250: 'windows-1250',
  WIN1251: 'windows-1251',
  WIN1252: 'windows-1252',
  WIN1253: 'windows-1253',
  WIN1254: 'windows-1254',
  WIN1255: 'windows-1255',
  WIN1256: 'windows-1256',
  WIN1257: 'windows-1257',
  WIN1258: 'windows-1258',
  WIN866: 'ibm866',
  WIN874: 'windows-874',
  KOI8R: 'koi8-r',
  KOI8U: 'koi8-u',
  SJIS: 'shift_jis',
  EUC_JP: 'euc-jp',
  EUC_KR: 'euc-kr',
  EUC_CN: 'gbk',
  GBK: 'gbk',
  GB18030: 'gb18030',
  BIG5: 'big5',
  UHC: 'euc-kr',
}

function decodeText(bytes: Buffer, encoding: string): string {
  const label = LABELS[encoding]
  return label === undefined ? bytes.toString('latin1') : new TextDecoder(label).decode(bytes)
}

const digestScratch = Buffer.alloc(32)
/** The one-shot digest through a string is the quickest that Node has for short input. */
function latin1Digest(bytes: Buffer, from: number, end: number): Buffer {
  digestScratch.write(hash('sha256', bytes.subarray(from, end), 'latin1' as 'hex'), 0, 32, 'latin1')
  return digestScratch
}
