/**
 * Follows the answer to one command, packet by packet: what each packet is, and when the answer is over. A pure state
 * machine: it is shown packets and says what they are; what comes of that is others' business.
 * Refuses what fits no answer.
 */
import { type ColumnDefinition, readColumn } from '@custody/mysql-values'
import {
  EOF,
  ERR,
  eofStatus,
  Fields,
  HEADER_BYTES,
  LOCAL_INFILE,
  OK,
  PACKET_BYTES_MAX,
  PROGRESS_ERRNO,
  readOk,
  Status,
  WireError,
} from './wire'

/** What a command is answered with. */
export type Shape =
  /** OK, or EOF for some. */
  | 'ok'
  /** OK, a file asked for, or rows in text; then perhaps more of these. */
  | 'text'
  /** The same with rows in binary. */
  | 'binary'
  /** Rows of a cursor, whose columns are known. */
  | 'fetch'
  | 'prepare'
  | 'fields'
  /** One packet of text. */
  | 'line'
  /** Events without end. */
  | 'stream'

/** What a packet is. */
export enum Seen {
  /** Of what describes the rows or parameters to come. */
  part,
  /** The last of that. */
  described,
  row,
  /** A result without rows. */
  ok,
  /** The end of a result's rows. */
  rowsEnd,
  error,
  /** The target asks for a file of the client. */
  file,
  /** No answer yet: how far it has come. */
  progress,
  line,
}

enum State {
  first,
  columns,
  columnsEnd,
  rows,
  parameters,
  parametersEnd,
  afterFile,
  over,
}

const NO_COLUMNS: ColumnDefinition[] = []

export interface AnswerSettings {
  deprecateEof: boolean
  extendedMetadata: boolean
}

/** More columns than this are described anew each time. */
const REMEMBERED_MAX = 1000

/** The columns of the last result: most are like the one before, byte by byte. */
export class ColumnMemory {
  private columns: ColumnDefinition[] = []
  private raws: Buffer[] = []
  /** Of the result that is described now: as many are as they were. */
  private same = 0
  private next: ColumnDefinition[] | null = null

  begin(): void {
    this.same = 0
    this.next = null
  }

  take(bytes: Buffer, from: number, end: number, hasExtended: boolean): void {
    const { next, same } = this
    if (next === null && same < this.raws.length) {
      const raw = this.raws[same]!
      if (raw.length === end - from && raw.compare(bytes, from, end) === 0) {
        this.same++
        return
      }
    }
    if (next === null) {
      this.next = this.columns.slice(0, same)
      this.raws.length = same
    }
    this.next!.push(readColumn(bytes, from, end, 'utf8mb4', hasExtended))
    if (this.raws.length < REMEMBERED_MAX) this.raws.push(Buffer.from(bytes.subarray(from, end)))
  }

  /** The same array as long as they are the same. */
  end(): ColumnDefinition[] {
    if (this.next === null && this.same === this.columns.length) return this.columns
    this.columns = this.next ?? this.columns.slice(0, this.same)
    this.raws.length = Math.min(this.raws.length, this.columns.length)
    return this.columns
  }
}

/** Columns that are described beyond this are not kept; the answer goes on. */
const COLUMNS_MAX = 65_535

export class Answer {
  private state: State
  private left = 0
  /** Of the result that comes now; shared with nothing. */
  columns: ColumnDefinition[]
  isBinary: boolean
  /** As the last packet said that has it. */
  status = 0
  affected: bigint | null = null
  insertId = 0n
  warnings = 0
  /** Of an OK packet, where what is tracked begins; -1: nothing is. */
  trackAt = -1
  /** What Prepare made. */
  prepared: { id: number; columns: number; parameters: number } | null = null
  isOver = false
  /** An execution that wants its rows kept, to fetch them one by one. */
  asksCursor = false

  constructor(
    readonly shape: Shape,
    private readonly settings: AnswerSettings,
    private readonly memory: ColumnMemory,
    /** For cursors: the columns of their rows. */
    columns: ColumnDefinition[] = NO_COLUMNS,
  ) {
    this.state = shape === 'fetch' || shape === 'stream' ? State.rows : State.first
    if (shape === 'fields') {
      memory.begin()
      this.state = State.columns
      this.left = Number.POSITIVE_INFINITY
    }
    this.isBinary = shape === 'binary' || shape === 'fetch'
    this.columns = columns
  }

  /** Rows come now. */
  get areRows(): boolean {
    return this.state === State.rows
  }

  /** Nothing of the answer has come that its client could not take an error in the place of. */
  get isAtFirst(): boolean {
    return this.state === State.first
  }

  /** Whether a packet of this length and first byte is a row. */
  isRow(first: number, length: number): boolean {
    if (this.state !== State.rows) return false
    return !this.endsRows(first, length)
  }

  private endsRows(first: number, length: number): boolean {
    if (first === ERR) return length > 0
    if (first !== EOF || length === 0) return false
    return this.settings.deprecateEof ? length < PACKET_BYTES_MAX : length <= 5
  }

  take(bytes: Buffer, at: number, end: number): Seen {
    const from = at + HEADER_BYTES
    const first = end > from ? bytes[from]! : -1
    if (this.state === State.rows) {
      if (!this.endsRows(first, end - from)) return Seen.row
      if (first === ERR) return this.fail()
      const { status } = this
      this.readEnd(bytes, from, end)
      // Behind parameters that a procedure has set its own end comes, which MySQL says before their row and not behind it.
      if (!this.settings.deprecateEof && status & Status.psOutParameters)
        this.status |= status & Status.moreResults
      this.endResult()
      return Seen.rowsEnd
    }
    if (first === ERR) {
      if (this.state === State.over) throw new WireError('an answer that nobody asked for')
      if (bytes.readUInt16LE(from + 1) === PROGRESS_ERRNO) return Seen.progress
      return this.fail()
    }
    switch (this.state) {
      case State.first:
        return this.begin(bytes, from, end, first)
      case State.afterFile:
        if (first !== OK) throw new WireError('no end of a file')
        return this.ok(bytes, from, end)
      case State.columns:
        return this.column(bytes, from, end, first)
      case State.parameters:
        if (--this.left > 0) return Seen.part
        if (this.settings.deprecateEof) return this.parametersDone()
        this.state = State.parametersEnd
        return Seen.part
      case State.parametersEnd:
        if (first !== EOF) throw new WireError('parameters without their end')
        return this.parametersDone()
      case State.columnsEnd:
        if (first !== EOF) throw new WireError('columns without their end')
        this.status = eofStatus(bytes, from, end)
        return this.described()
      default:
        throw new WireError('an answer that nobody asked for')
    }
  }

  private begin(bytes: Buffer, from: number, end: number, first: number): Seen {
    if (this.shape === 'line') {
      this.over()
      return Seen.line
    }
    if (this.shape === 'prepare') return this.prepare(bytes, from, end, first)
    if (first === OK) return this.ok(bytes, from, end)
    if (first === EOF && this.shape === 'ok') {
      this.readEnd(bytes, from, end)
      this.endResult()
      return Seen.ok
    }
    if (this.shape === 'ok') throw new WireError('rows where there can be none')
    if (first === LOCAL_INFILE) {
      this.state = State.afterFile
      return Seen.file
    }
    const count = new Fields(bytes, from, end).lenenc()
    if (count === 0 || count > COLUMNS_MAX) throw new WireError(`rows of ${count} columns`)
    this.memory.begin()
    this.left = count
    this.state = State.columns
    return Seen.part
  }

  private ok(bytes: Buffer, from: number, end: number): Seen {
    this.readEnd(bytes, from, end)
    this.endResult()
    return Seen.ok
  }

  private column(bytes: Buffer, from: number, end: number, first: number): Seen {
    if (this.shape === 'fields' && first === EOF) {
      this.readEnd(bytes, from, end)
      this.over()
      return Seen.rowsEnd
    }
    this.memory.take(bytes, from, end, this.settings.extendedMetadata)
    if (--this.left > 0) return Seen.part
    this.columns = this.memory.end()
    if (!this.settings.deprecateEof) {
      this.state = State.columnsEnd
      return Seen.part
    }
    return this.described()
  }

  private described(): Seen {
    if (this.shape === 'prepare') this.over()
    // The rows of a cursor are fetched one by one. Where EOF is deprecated its end says so instead.
    // A procedure's own cursor shows in the same status, and its rows come at once.
    else if (this.asksCursor && !this.settings.deprecateEof && this.status & Status.cursorExists) {
      this.endResult()
      return Seen.rowsEnd
    } else this.state = State.rows
    return Seen.described
  }

  /** 0x00 statement:u32 columns:u16 parameters:u16 0x00 warnings:u16 */
  private prepare(bytes: Buffer, from: number, end: number, first: number): Seen {
    if (first !== OK) throw new WireError('no answer to a statement to be prepared')
    const f = new Fields(bytes, from + 1, end)
    const [id, columns, parameters] = [f.u32(), f.u16(), f.u16()]
    this.prepared = { id, columns, parameters }
    this.left = parameters
    this.state = State.parameters
    return parameters > 0 ? Seen.part : this.parametersDone()
  }

  private parametersDone(): Seen {
    this.left = this.prepared!.columns
    if (this.left > 0) {
      this.memory.begin()
      this.state = State.columns
      return Seen.part
    }
    this.over()
    return Seen.described
  }

  /** An OK packet under either header, or an EOF packet, which is shorter. */
  private readEnd(bytes: Buffer, from: number, end: number): void {
    if (end - from <= 5) {
      this.status = eofStatus(bytes, from, end)
      this.affected = null
      this.trackAt = -1
      return
    }
    const { affected, insertId, status, warnings, trackAt } = readOk(bytes, from, end)
    this.status = status
    this.affected = affected
    this.insertId = insertId
    this.warnings = warnings
    this.trackAt = trackAt
  }

  private endResult(): void {
    if (this.status & Status.moreResults && this.shape !== 'fetch' && this.shape !== 'stream')
      this.state = State.first
    else this.over()
  }

  private fail(): Seen {
    this.over()
    return Seen.error
  }

  private over(): void {
    this.state = State.over
    this.isOver = true
  }
}
