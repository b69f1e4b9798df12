/**
 * One session's answers as its client will have them, and its COPY data as the record keeps it: message by message, with
 * the plan for the rows that come now. What isn't changed goes on as it came. Knows nothing of the order of requests: whoever
 * follows that says what is answered, and is given each message as it goes on.
 */
import type { MaskDraft } from '@custody/schemas'
import { MaskCounts, Rewritten, UNPROVEN_RULE } from '../../masks'
import type { StatementMask } from '../../statement-masks'
import { fewerRows, ResultPlan } from './answers'
import type { CopyMasker } from './copy'
import type { Masker } from './masks'
import type { CommandMask, SessionMasking } from './session-masking'
import {
  Backend,
  cstring,
  cstringEnd,
  Frontend,
  message,
  readRowDescription,
  type WireColumn,
} from './wire'

/** What is answered, as whoever follows requests and answers knows it. */
export interface Answered {
  encoding(): string
  /** The command that is. */
  command(): CommandMask | null
  /** Of a statement that is not executed: its Parse, Bind or Describe is answered. */
  statement(): CommandMask | null
  /** The columns of the rows that come now, null where nobody knows them; undefined: those described last. */
  columns(): readonly WireColumn[] | null | undefined
  /** Whether the client did not ask for this description, and is not to have it. */
  takesDescription(fields: WireColumn[]): boolean
  /** Whether rows and COPY data go by without being looked at. */
  letRowsPass(passing: boolean): void
  /** A message as it goes on; of one that is left out nothing. */
  goesOn(type: number, bytes: Buffer, at: number, end: number): void
}

/** A plan, and what it was made for. */
interface KeptPlan {
  fields: readonly WireColumn[]
  mask: StatementMask
  masker: Masker
  encoding: string
  plan: ResultPlan | null
}

const EMPTY = Buffer.alloc(0)
const NO_FIELDS: WireColumn[] = []
const NULL_VALUE = Buffer.from([0xff, 0xff, 0xff, 0xff])

export class MaskedTraffic {
  /** Columns of rows as the target described them last. */
  fields: readonly WireColumn[] | null = null
  /** The chunk as it goes on; null: as it came. */
  private rewritten: Rewritten | null = null
  /** For the rows that come now; undefined: not made yet. */
  private plan: ResultPlan | null | undefined = undefined
  private planCounts = new MaskCounts()
  private kept: KeptPlan | null = null
  private copyOut: CopyMasker | null = null
  /** The last description of rows as it came, read. */
  private description: { bytes: Buffer; fields: WireColumn[]; isPlain: boolean } | null = null

  constructor(
    private readonly masking: SessionMasking,
    private readonly answered: Answered,
    /** Of what belongs to no command. */
    private readonly looseCounts: MaskCounts,
    /** What the target reported while signing in. */
    private readonly reported: ReadonlyMap<string, string>,
    private readonly rowBytesMax: number,
  ) {}

  /** One message of the target. */
  put(type: number, bytes: Buffer, at: number, end: number): void {
    const start = this.rewritten?.length ?? at
    let isReplaced = false
    if (type === Backend.dataRow) {
      if (this.plan === undefined) this.planRows()
      isReplaced = this.plan?.row(bytes, at, end, this.begin) ?? false
    } else if (type === Backend.copyData && this.copyOut !== null) {
      const [masker, out] = [this.copyOut, this.begin(bytes, at)]
      copyDataOf(out, () => masker.push(bytes, at + 5, end, out))
      isReplaced = true
    } else {
      const other = this.other(type, bytes, at, end)
      isReplaced = other !== null
      if (other !== null) this.begin(bytes, at).append(other, 0, other.length)
    }
    const { rewritten } = this
    if (rewritten === null) {
      this.answered.goesOn(type, bytes, at, end)
      return
    }
    if (!isReplaced) rewritten.append(bytes, at, end)
    this.answered.goesOn(type, rewritten.bytes, start, rewritten.length)
  }

  /** A piece of a message that passes without being looked at. */
  putPiece(bytes: Buffer, at: number, end: number): void {
    this.rewritten?.append(bytes, at, end)
  }

  /** The chunk is over: as it goes on. */
  endChunk(chunk: Buffer): Buffer {
    const { rewritten } = this
    this.rewritten = null
    return rewritten === null ? chunk : rewritten.bytes.subarray(0, rewritten.length)
  }

  /** The result is over; the next one's rows have a plan of their own. */
  endResult(): void {
    this.answered.letRowsPass(false)
    this.plan = undefined
    this.copyOut = null
    this.fields = null
  }

  /** What was masked for a command since the last time. */
  takeMasks(command: CommandMask): MaskDraft[] {
    const own = command.counts.take()
    return this.plan ? [...own, ...this.planCounts.take()] : own
  }

  /** COPY data, in whole messages, as the record keeps it; what goes to the target stays as it is. */
  keptInput(command: CommandMask, piece: Buffer): Buffer {
    if (command.input === undefined) {
      const { mask, counts, copy } = command
      command.input = this.masking.copy(
        command,
        copy,
        mask.outputs?.length ?? 0,
        copy?.format === 'binary',
        counts,
        this.answered.encoding(),
        this.rowBytesMax,
      )
    }
    const masker = command.input
    if (masker === null) return piece
    const kept = new Rewritten(EMPTY, 0)
    for (let at = 0; at + 5 <= piece.length; ) {
      const end = at + 1 + piece.readInt32BE(at + 1)
      if (piece[at] === Frontend.copyData)
        copyDataOf(kept, () => masker.push(piece, at + 5, end, kept))
      at = end
    }
    return kept.bytes.subarray(0, kept.length)
  }

  /** From here on the chunk goes on as it is written, not as it came. */
  private readonly begin = (chunk: Buffer, at: number): Rewritten => {
    this.rewritten ??= new Rewritten(chunk, at)
    return this.rewritten
  }

  private planRows(): void {
    const { masking, kept } = this
    const encoding = this.answered.encoding()
    const command = this.answered.command()
    const columns = this.answered.columns()
    const fields = columns === undefined ? this.fields : columns
    const { masker, isStale } = masking
    // Commands of one shape in a row have one plan.
    if (
      kept !== null &&
      !isStale &&
      kept.fields === fields &&
      kept.mask === command?.mask &&
      kept.masker === masker &&
      kept.encoding === encoding
    )
      this.plan = kept.plan
    else {
      this.planCounts = new MaskCounts()
      // Rows that nobody has described fit no plan, and have nothing left in them.
      this.plan = masking.plan(command, fields ?? [], this.planCounts, encoding)
      if (fields === null)
        this.plan ??= new ResultPlan([], this.planCounts, masking.rules.key, '', false)
      // What is explained shows constants of its own command.
      this.kept =
        fields === null || command === null || isStale || command.mask.explains
          ? null
          : { fields, mask: command.mask, masker, encoding, plan: this.plan }
    }
    if (this.plan === null) this.answered.letRowsPass(true)
    else this.plan.dropped = 0
  }

  /** Any other message as it goes on, or null where it stays as it is. Empty: it is left out. */
  private other(type: number, bytes: Buffer, at: number, end: number): Buffer | null {
    const { masking, answered, looseCounts } = this
    switch (type) {
      case Backend.rowDescription:
        return this.describe(bytes, at, end)
      case Backend.noData:
        if (!answered.takesDescription(NO_FIELDS)) return null
        this.fields = NO_FIELDS
        return EMPTY
      case Backend.errorResponse:
      case Backend.noticeResponse: {
        const command = answered.command() ?? answered.statement()
        return masking.message(bytes, at, end, command, command?.counts ?? looseCounts)
      }
      case Backend.notificationResponse:
        return masking.notification(bytes, at, end, looseCounts)
      case Backend.parameterStatus:
        return this.setting(bytes, at, end)
      case Backend.functionCallResponse: {
        const command = answered.command()
        if (!masking.mayShow(command?.functionOid ?? 0) || bytes.readInt32BE(at + 5) < 0)
          return null
        command?.counts.add(UNPROVEN_RULE, null, null, 'null')
        return message(Backend.functionCallResponse, NULL_VALUE)
      }
      case Backend.copyOutResponse: {
        const command = answered.command()
        this.copyOut = masking.copy(
          command,
          command?.copy ?? null,
          bytes.readUInt16BE(at + 6),
          bytes[at + 5] === 1,
          command?.counts ?? looseCounts,
          answered.encoding(),
          this.rowBytesMax,
        )
        if (this.copyOut === null) answered.letRowsPass(true)
        return null
      }
      case Backend.copyDone: {
        const masker = this.copyOut
        if (masker === null) return null
        const rest = new Rewritten(EMPTY, 0)
        copyDataOf(rest, () => masker.end(rest))
        if (rest.length === 0) return null
        rest.append(bytes, at, end)
        return rest.bytes.subarray(0, rest.length)
      }
      case Backend.commandComplete: {
        const dropped = (this.plan?.dropped ?? 0) + (this.copyOut?.dropped ?? 0)
        return dropped === 0 ? null : fewerRows(bytes.toString('latin1', at + 5, end - 1), dropped)
      }
    }
    return null
  }

  private describe(bytes: Buffer, at: number, end: number): Buffer | null {
    const known = this.description
    if (known?.bytes.length === end - at && known.bytes.compare(bytes, at, end) === 0) {
      this.fields = known.fields
      if (this.answered.takesDescription(known.fields)) return EMPTY
      // What is found in a name is counted each time.
      if (known.isPlain) return null
    }
    const fields = readRowDescription(bytes, at + 5, end)
    const counts = this.answered.command()?.counts ?? this.looseCounts
    const other = this.masking.names(bytes, at, end, counts)
    this.description = {
      bytes: Buffer.from(bytes.subarray(at, end)),
      fields,
      isPlain: other === null,
    }
    this.fields = fields
    return this.answered.takesDescription(fields) ? EMPTY : other
  }

  private setting(bytes: Buffer, at: number, end: number): Buffer | null {
    const nameEnd = cstringEnd(bytes, at + 5, end)
    const name = bytes.toString('latin1', at + 5, nameEnd)
    const value = bytes.toString('latin1', nameEnd + 1, cstringEnd(bytes, nameEnd + 1, end))
    const written = [this.answered.command()?.written ?? '', this.reported.get(name) ?? '']
    const other = this.masking.setting(name, value, written.join('\0'))
    if (other === null) return null
    this.looseCounts.add(UNPROVEN_RULE, null, null, 'redact')
    return message(Backend.parameterStatus, Buffer.concat([cstring(name), cstring(other)]))
  }
}

/** A CopyData message around what is written; none where nothing is. */
function copyDataOf(out: Rewritten, write: () => void): void {
  const head = out.length
  out.reserve(5)
  out.length += 5
  write()
  if (out.length === head + 5) {
    out.length = head
    return
  }
  out.bytes[head] = Backend.copyData
  out.bytes.writeInt32BE(out.length - head - 1, head + 1)
}
