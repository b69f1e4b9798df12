/**
 * What is recorded of commands: that they start, what the client is shown, how they end. Counts and digests what goes by.
 * Knows no protocol. Decides nothing and forwards nothing; says how durable what it recorded must be before anything may go on.
 */
import { createHash, type Hash, hash } from 'node:crypto'
import { type Durability, type RecordedSession, type Recorder, stronger } from '@custody/event-log'
import {
  type ColumnDraft,
  type EventInput,
  newUuid,
  nowMicros,
  type ResponseDraft,
  type StatementDraft,
} from '@custody/schemas'
import type { Verdict } from './gate'
import { OUTPUT_BYTES_MAX, type Pieces, recordPieces } from './pieces'

/**
 * One that runs; protocols extend it. A class, because what is spread into another object gets a shape of its own each time,
 * and whatever reads its fields then looks them up anew.
 */
export class RunningCommand {
  readonly micros = nowMicros()
  readonly id = newUuid(this.micros)
  readonly durability: Durability
  columns: ColumnDraft[] | undefined = undefined
  inputBytes = 0
  inputRecordedBytes = 0
  inputHash: Hash | null = null

  constructor({ durability }: Pick<EvidenceSettings, 'durability'>, isReadOnly: boolean) {
    this.durability = durability === 'auto' ? (isReadOnly ? 'os' : 'disk') : durability
  }
}

export interface EvidenceSettings {
  durability: 'auto' | Durability
  /** Output bytes recorded per command: Infinity for `full`, 0 for `digest`. */
  outputBytesMax: number
  /** Text of one statement kept in its event; of a longer one the digest is. */
  statementBytesMax: number
}

export interface EvidenceParts<C extends RunningCommand> {
  recorder: Recorder
  session: RecordedSession
  settings: EvidenceSettings
  encoding: Pieces['encoding']
  /** Of what the client streams into a command. */
  inputEncoding: Pieces['encoding']
  /** What was masked of a command since it started, asked when it ends. */
  masksOf(command: C): EventInput['masks']
  /** The same, of what belongs to none. */
  looseMasks?(): EventInput['masks']
}

export class Evidence<C extends RunningCommand> {
  /** What goes on now must wait for this. */
  forwardNeeds: Durability | null = null
  releaseNeeds: Durability | null = null
  /** Of the answer being received, since the last command ended. */
  bytes = 0
  private recordedBytes = 0
  private hash: Hash | null = null
  private firstMicros = 0
  /** What somebody was told already. */
  private readonly alerted = new Set<string>()

  constructor(private readonly parts: EvidenceParts<C>) {}

  /** `masks`: of the statement itself, never of an answer that another command is still getting. */
  started(
    command: C,
    { decision, alert }: Verdict,
    statement: StatementDraft,
    masks: EventInput['masks'],
  ): void {
    const { recorder, session } = this.parts
    recorder.record(
      {
        id: command.id,
        time: command.micros,
        kind: 'command.started',
        command: command.id,
        decision,
        statement,
        masks,
      },
      session,
    )
    if (alert !== null) this.alert('alert.policy', command, alert, decision)
    session.open.add(command)
    session.commandsStarted++
    this.forwardNeeds = stronger(this.forwardNeeds, command.durability)
  }

  /** Once a session: the rest is in the record, and nobody reads the hundredth. */
  alert(
    kind: 'alert.policy' | 'alert.masking',
    { id }: C,
    reason: string,
    decision?: EventInput['decision'],
  ): void {
    if (this.alerted.has(reason)) return
    this.alerted.add(reason)
    const { recorder, session } = this.parts
    recorder.record(
      { kind, command: id, decision, lifecycle: { state: 'changed', reason } },
      session,
    )
  }

  /** A statement's text as events carry it. */
  textOf(text: Buffer | string): Pick<StatementDraft, 'text' | 'textDigest'> {
    const { statementBytesMax } = this.parts.settings
    return text.length > statementBytesMax
      ? { text: cutText(text, statementBytesMax), textDigest: hash('sha256', text, 'buffer') }
      : { text }
  }

  /** A piece of an answer that is not complete yet, or belongs to no command. */
  piece(bytes: Buffer, from: number, to: number, command: C | null): void {
    if (to <= from) return
    if (this.firstMicros === 0) this.firstMicros = nowMicros()
    if (command !== null) {
      this.hash ??= createHash('sha256')
      this.hash.update(bytes.subarray(from, to))
    }
    this.output(bytes, from, to, command)
    // What belongs to no command is whole by itself; the next command's answer begins behind it.
    if (command === null) this.reset()
    else this.bytes += to - from
  }

  private output(bytes: Buffer, from: number, to: number, command: C | null): void {
    const { recorder, session, settings, encoding, looseMasks } = this.parts
    const recorded = recordPieces(recorder, session, bytes.subarray(from, to), {
      ...{ command: command?.id, stream: 'output', encoding, offset: this.bytes },
      bytesMax: settings.outputBytesMax - this.recordedBytes,
      ...(command === null && looseMasks && { masks: looseMasks }),
    })
    if (recorded > 0) {
      this.recordedBytes += recorded
      this.releaseNeeds ??= 'os'
    }
  }

  /** A piece of what the client streams into a command, as it is kept. */
  input(kept: Buffer, command: C): void {
    const { recorder, session, settings, inputEncoding } = this.parts
    command.inputHash ??= createHash('sha256')
    command.inputHash.update(kept)
    command.inputRecordedBytes += recordPieces(recorder, session, kept, {
      ...{ command: command.id, stream: 'input', encoding: inputEncoding },
      offset: command.inputBytes,
      bytesMax: settings.outputBytesMax - command.inputRecordedBytes,
    })
    command.inputBytes += kept.length
    this.forwardNeeds = stronger(this.forwardNeeds, command.durability)
  }

  /** The command's answer ends at `to`; `from`: what of it was not recorded as a piece before. */
  complete(
    command: C,
    response: Pick<ResponseDraft, 'status' | 'code' | 'message' | 'rows' | 'tag'>,
    bytes: Buffer,
    from: number,
    to: number,
  ): void {
    const { settings, encoding } = this.parts
    const length = to - from
    const offset = this.bytes
    const digest =
      this.hash === null
        ? shortDigest(bytes, from, to)
        : this.hash.update(bytes.subarray(from, to)).digest()
    const now = nowMicros()
    let data: Buffer | null = null
    if (length > OUTPUT_BYTES_MAX) this.output(bytes, from, to, command)
    else {
      const recordable = Math.min(length, settings.outputBytesMax - this.recordedBytes)
      if (recordable > 0) data = bytes.subarray(from, from + recordable)
    }
    this.end(
      command,
      {
        status: response.status,
        code: response.code,
        message: response.message,
        tag: response.tag,
        rows: response.rows,
        bytes: offset + length,
        digest,
        durationMicros: Math.max(0, now - command.micros),
        firstByteMicros: Math.max(
          0,
          (this.firstMicros === 0 ? now : this.firstMicros) - command.micros,
        ),
        columns: command.columns,
        inputBytes: command.inputBytes,
        inputDigest: command.inputHash === null ? undefined : command.inputHash.digest(),
        recordedBytes: this.recordedBytes + (data?.length ?? 0),
      },
      data === null
        ? undefined
        : { stream: 'output', offset, data, encoding, omittedBytes: length - data.length },
    )
    this.reset()
  }

  /** It was forwarded, and did not run. */
  skipped(command: C, message: string, code: string | null = null): void {
    this.end(command, {
      ...{ status: 'skipped', code, message },
      durationMicros: Math.max(0, nowMicros() - command.micros),
    })
  }

  /** Nobody knows how it ended. */
  unknown(command: C, reason: string): void {
    this.end(command, {
      status: 'unknown',
      message: reason,
      bytes: this.bytes,
      durationMicros: Math.max(0, nowMicros() - command.micros),
      inputBytes: command.inputBytes,
      inputDigest: command.inputHash?.digest(),
    })
  }

  private end(command: C, response: ResponseDraft, output?: EventInput['output']): void {
    const { recorder, session, masksOf } = this.parts
    recorder.record(
      {
        kind: 'command.completed',
        command: command.id,
        response,
        output,
        masks: masksOf(command),
      },
      session,
    )
    session.open.delete(command)
    // Of what did not run there is nothing to release.
    const needed =
      response.status === 'skipped' && command.durability === 'replicated'
        ? 'os'
        : command.durability
    this.releaseNeeds = stronger(this.releaseNeeds, needed)
  }

  /** What comes next is another answer. */
  reset(): void {
    this.bytes = 0
    this.recordedBytes = 0
    this.hash = null
    this.firstMicros = 0
  }
}

/** The first bytes of a long text, ended at a character. */
export function cutText(text: Buffer | string, bytesMax: number): Buffer | string {
  if (typeof text === 'string') return text.slice(0, bytesMax)
  let end = Math.min(text.length, bytesMax)
  while (end > 0 && end < text.length && (text[end]! & 0xc0) === 0x80) end--
  return text.subarray(0, end)
}

const digestScratch = Buffer.alloc(32)
/** The one-shot digest through a string is the quickest that Node has for short input. */
function shortDigest(bytes: Buffer, from: number, end: number): Buffer {
  digestScratch.write(hash('sha256', bytes.subarray(from, end), 'latin1' as 'hex'), 0, 32, 'latin1')
  return digestScratch
}
