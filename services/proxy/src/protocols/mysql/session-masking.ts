/**
 * Masking in one session: what is known of the command under way and of cursors and statements that SQL named, and what
 * therefore becomes of each thing that the target says. The relay asks; bytes are made in `masked-rows` and `masked-messages`.
 */
import type { SessionRules } from '@custody/masking'
import type { SqlContext, StatementAnalysis } from '@custody/mysql-sql'
import {
  ChangeKind,
  type ColumnDefinition,
  errPacket,
  FormError,
  kindOf,
  okPacket,
  readErr,
  readOk,
  settingsChange,
  withNames,
} from '@custody/mysql-values'
import type { MaskDraft } from '@custody/schemas'
import type { Followed } from '../../followed'
import type { Reveal } from '../../gate'
import {
  type ColumnMask,
  DETECTOR_RULE,
  MaskCounts,
  type Refused,
  type Revealed,
  UNPROVEN_RULE,
} from '../../masks'
import type { StatementMask } from '../../statement-masks'
import { Catalogue, reshapes } from './catalogue'
import { constantsNotKept, keptText, parameterMask, passwordsOf } from './literals'
import {
  settingWithoutData,
  type Told,
  WITHHELD,
  withoutData,
  withoutDataInInfo,
  withoutDataInPlan,
  withoutSecrets,
} from './masked-messages'
import { type FieldPlan, MaskedRows } from './masked-rows'
import { Masker } from './masks'
import type { CommandMask, RowPlan, SessionMasking } from './rows'

export const WRITTEN_CHARACTERS_MAX = 64 * 1024
/** Nothing that detectors know is shorter. */
const NAME_BYTES_MIN = 6
/** Six names, and what stands behind them. */
const COLUMN_BYTES_MIN = 19
/** Its answer is what was said of the statement before. */
const TELLS = /^\s*show\s+(?:warnings|errors)\b/i
const MESSAGE_COLUMNS = ['Level', 'Code', 'Message']

/** What SQL has given a name to. */
interface Named {
  analysis: StatementAnalysis
  /** As it was when it was named, without anything revealed. */
  mask: StatementMask
}

interface KeptPlan {
  columns: readonly ColumnDefinition[]
  mask: StatementMask
  masker: Masker
  isBinary: boolean
  counts: MaskCounts
  plan: RowPlan | null
}

export class MysqlMasking implements SessionMasking {
  /** Null: of what has that name nothing is known. */
  private readonly named = new Map<string, Named | null>()
  /** Of the last look at the catalogue, and the last statement: most come more than once. */
  private last: {
    catalogue: Catalogue
    masker: Masker
    analysis: StatementAnalysis | null
    mask: StatementMask | null
  } | null = null
  /** The plan for the rows of the last result. */
  kept: KeptPlan | null = null
  /** What was written last, as SHOW WARNINGS may repeat it. */
  private written = ''

  constructor(
    readonly rules: SessionRules,
    private readonly followed: Followed<Catalogue> | null,
    private readonly namesMax: number,
    /** Its user asked to see masked values, where somebody approves. */
    readonly wantsReveal: boolean,
  ) {}

  get masker(): Masker {
    const catalogue = this.followed?.current ?? Catalogue.nothingKnown
    if (this.last?.catalogue === catalogue) return this.last.masker
    const { signature } = this.rules
    let masker = catalogue.maskers.get(signature)
    if (masker === undefined) {
      masker = new Masker(this.rules, catalogue, null)
      catalogue.maskers.set(signature, masker)
    }
    this.last = { catalogue, masker, analysis: null, mask: null }
    return masker
  }

  /** Null where what is known of the target holds; otherwise settles when it does. */
  fresh(): Promise<void> | null {
    return this.followed?.fresh() ?? null
  }

  statement(analysis: StatementAnalysis, revealed: Revealed): StatementMask {
    const { masker } = this
    const last = this.last!
    if (revealed === null && last.analysis === analysis) return last.mask!
    const mask = masker.statement(analysis, revealed)
    const { defers } = mask
    if (defers === null) {
      if (revealed === null) {
        last.analysis = analysis
        last.mask = mask
      }
      return mask
    }
    // What a cursor gives is what its query gives; of one that nobody here named nothing is known.
    const made = this.named.get(`${defers.kind} ${defers.name.toLowerCase()}`) ?? null
    if (made === null) return { ...mask, whole: masker.unproven, isSensitive: masker.isSensitive }
    const { outputs, whole, sources, isSensitive, runsCode, shown } = masker.statement(
      made.analysis,
      revealed,
    )
    return {
      ...mask,
      ...{ outputs, whole, sources, runsCode, shown },
      isSensitive: mask.isSensitive || isSensitive,
    }
  }

  /** Why the statement may not run, or null. */
  refusal(analysis: StatementAnalysis, revealed: Revealed): Refused | null {
    return this.statement(analysis, revealed).refused
  }

  shown(analysis: StatementAnalysis): readonly string[] {
    return this.statement(analysis, null).shown
  }

  /** The command is going to be run: what it names is known from now on, and of what is named twice nothing is. */
  note(analysis: StatementAnalysis): void {
    const mask = this.statement(analysis, null)
    if (mask.runsCode) for (const key of this.named.keys()) this.named.set(key, null)
    if (mask.makes !== null) {
      const key = `${mask.makes.kind} ${mask.makes.name.toLowerCase()}`
      const known = this.named.get(key)
      if (known !== undefined || this.named.size < this.namesMax)
        this.named.set(
          key,
          known === undefined || known?.analysis.lineage === analysis.lineage
            ? { analysis, mask }
            : null,
        )
    }
  }

  command(
    analysis: StatementAnalysis,
    text: Buffer | string,
    context: SqlContext,
    reveal: Reveal | null,
  ): MaskedCommand {
    const bytes = typeof text === 'string' ? Buffer.from(text) : text
    const words = bytes.toString('latin1')
    const isTelling = TELLS.test(words)
    let mask = this.statement(analysis, reveal?.revealed ?? null)
    if (isTelling) mask = { ...mask, tells: true }
    const command = new MaskedCommand(this, mask, bytes, words, analysis, context, reveal)
    if (isTelling) command.written = this.written
    else this.written = command.written
    return command
  }

  ended(analysis: StatementAnalysis): void {
    if (reshapes(analysis)) this.followed?.changed()
  }

  maskText(text: Buffer, counts: MaskCounts): Buffer | null {
    return this.rules.maskText(text, {
      add: (detector) => counts.add(DETECTOR_RULE, null, detector, this.rules.detectorAction),
    })
  }
}

const OK_HEADERS = new Set([0x00, 0xfe])

/** What masking keeps with one command while its answer comes. */
export class MaskedCommand implements CommandMask {
  readonly counts = new MaskCounts()
  /** What its client wrote, as messages may repeat it; not more of it than this. */
  written: string
  /** Its constants and parameters that are not to be repeated. */
  readonly secrets: string[]
  readonly shows: CommandMask['shows']
  readonly alert: string | null
  private readonly passwords: ReadonlyMap<number, ColumnMask>
  private inputIsTold = false
  /** Of the rows, which other commands may have the same plan for. */
  private planCounts: MaskCounts | null = null

  constructor(
    private readonly session: MysqlMasking,
    readonly mask: StatementMask,
    private readonly bytes: Buffer,
    words: string,
    analysis: StatementAnalysis,
    private readonly context: SqlContext,
    reveal: Reveal | null,
  ) {
    const decision = reveal?.decision ?? null
    this.shows = decision === null ? null : { columns: reveal!.revealed, decision }
    this.alert = mask.alert
    this.passwords = passwordsOf({ ...analysis, start: 0, end: words.length }, words, context)
    // Messages of any statement are looked at where anything is masked, and repeat what its client wrote.
    const isTold = session.masker.isSensitive || mask.constants === 'all' || mask.constants.size > 0
    this.written = isTold ? this.bytes.toString('utf8', 0, WRITTEN_CHARACTERS_MAX) : ''
    this.secrets =
      isTold || this.passwords.size > 0
        ? constantsNotKept(words, context, mask.constants, this.passwords).map((value) =>
            Buffer.from(value, 'latin1').toString(),
          )
        : []
  }

  get told(): Told {
    const { masker } = this.session
    return {
      isSensitive: masker.isSensitive,
      written: this.written,
      secrets: this.secrets,
      isName: (word) => masker.isName(word),
      isByCode: this.mask.runsCode,
    }
  }

  planRows(columns: readonly ColumnDefinition[], isBinary: boolean): RowPlan | null {
    const { mask, session } = this
    const { masker, rules } = session
    const { kept } = session
    // Commands of one shape in a row have one plan.
    if (
      kept?.columns === columns &&
      kept.mask === mask &&
      kept.masker === masker &&
      kept.isBinary === isBinary
    ) {
      this.planCounts = kept.counts
      return kept.plan
    }
    const counts = new MaskCounts()
    this.planCounts = counts
    const tells =
      mask.tells === true &&
      columns.length === MESSAGE_COLUMNS.length &&
      columns.every(({ name, orgTable }, i) => name === MESSAGE_COLUMNS[i] && orgTable === '')
    const isForeseen = mask.outputs !== null && mask.outputs.length === columns.length
    const fields = columns.map((column, i): FieldPlan => {
      const said = tells ? null : isForeseen ? mask.outputs![i]! : mask.whole
      const of = tells ? null : stronger(said, masker.column(column, this.revealedOf(said)))
      const source = isForeseen ? (mask.sources?.[i] ?? null) : null
      const known = (source && masker.knownSource(source)) ?? masker.known(column)
      return {
        mask: of,
        detector:
          of === null
            ? rules.detector(known ?? null, column.name, { kind: kindOf(column), isArray: false })
            : null,
        label:
          of?.column ?? (known ? `${known.schema}.${known.relation}.${known.column}` : column.name),
        type: column,
        rewrite: of !== null ? null : this.rewriteOf(tells, i),
      }
    })
    const rows = new MaskedRows(fields, isBinary, counts, rules.key, rules.detectorAction)
    const plan = rows.isIdle ? null : rows
    // What is explained or told shows constants of its own command.
    session.kept =
      mask.explains || mask.tells ? null : { columns, mask, masker, isBinary, counts, plan }
    return plan
  }

  /** What is revealed of the columns that the statement was proven to show. */
  private revealedOf(said: ColumnMask | null): Revealed {
    return said?.revealed && said.column !== null ? new Set([said.column]) : null
  }

  /** Of messages, and of plans, the words that say nothing stay. */
  private rewriteOf(tells: boolean, i: number): FieldPlan['rewrite'] {
    const { masker } = this.session
    if (!masker.isSensitive) return null
    if (tells && i === 2)
      return this.counted((text) => withoutData(text, 0, { ...this.told, isByCode: false }))
    if (this.mask.explains) return this.counted((text) => withoutDataInPlan(text, this.told))
    return null
  }

  private counted(change: (text: string) => string): (text: string) => string {
    return (text) => {
      const other = change(text)
      if (other !== text) this.counts.add('messages', null, null, 'redact')
      return other
    }
  }

  /** A column's definition: what detectors know in the name that a statement gave it. */
  column(bytes: Buffer, at: number, end: number): Buffer | null {
    // How many there are, or what ends them.
    if (end - at < COLUMN_BYTES_MIN) return null
    try {
      return withNames(bytes, at, end, (name) => this.nameOther(name))
    } catch (error) {
      if (!(error instanceof FormError)) throw error
      return null
    }
  }

  columnName(name: string): string | null {
    return this.nameOther(Buffer.from(name))?.toString() ?? null
  }

  /** Where a statement gives a column no name, its text is it. */
  private nameOther(name: Buffer): Buffer | null {
    const { session, secrets, counts } = this
    if (name.length < NAME_BYTES_MIN || session.masker.isName(name.toString('utf8'))) return null
    const kept =
      secrets.length === 0 ? name : Buffer.from(withoutSecrets(name.toString('utf8'), secrets))
    return session.maskText(kept, counts) ?? (kept.equals(name) ? null : kept)
  }

  /** The payload of what ends an answer or a part of it; null: it stays as it is. */
  end(bytes: Buffer, at: number, end: number, tracks: boolean): Buffer | null {
    if (bytes[at] === 0xff) return this.error(bytes, at, end)
    if (!OK_HEADERS.has(bytes[at]!) || end - at < 7) return null
    const ok = readOk(bytes, at, end, tracks)
    const { told } = this
    let isChanged = false
    const info = this.words(ok.info, (text) => withoutDataInInfo(text, told))
    if (info !== null) {
      ok.info = info
      isChanged = true
    }
    ok.changes = ok.changes.map((change) => {
      if (change.kind !== ChangeKind.settings) return change
      let isOther = false
      const settings = change.settings.map(([name, value]): readonly [Buffer, Buffer] => {
        const other = settingWithoutData(name.toString('latin1'), value.toString('utf8'), told)
        if (other === null) return [name, value]
        isOther = true
        return [name, Buffer.from(other)]
      })
      if (!isOther) return change
      isChanged = true
      this.counts.add(UNPROVEN_RULE, null, null, 'redact')
      return settingsChange(settings)
    })
    return isChanged ? okPacket(ok, tracks) : null
  }

  private error(bytes: Buffer, at: number, end: number): Buffer | null {
    const err = readErr(bytes, at, end)
    if (err.progress !== null) return null
    const message = this.words(err.message, (text) => withoutData(text, err.code, this.told))
    return message === null ? null : errPacket({ ...err, message })
  }

  private words(text: Buffer, change: (text: string) => string): Buffer | null {
    if (text.length === 0) return null
    const words = text.toString('utf8')
    const left = change(words)
    if (left !== words) this.counts.add('messages', null, null, 'redact')
    const other = left === words ? text : Buffer.from(left)
    return this.session.maskText(other, this.counts) ?? (other === text ? null : other)
  }

  /** The statement's text as the record keeps it; null: as it is. */
  text(): Buffer | null {
    const { mask, passwords, context, session, bytes, counts } = this
    const kept = keptText(bytes, context, mask.constants, passwords, session.rules, counts)
    return kept === bytes ? null : kept
  }

  /** A parameter's value as the record keeps it, by its number from 0; null: as it is. */
  parameter(index: number, value: Buffer): Buffer | null {
    const { mask, counts, session } = this
    const rule = parameterMask(index + 1, mask.parameters)
    const text = value.toString('utf8')
    if (rule !== null) {
      counts.add(rule.rule, rule.column, null, 'redact')
      if (text.length > 2) this.secrets.push(text)
      return Buffer.from(WITHHELD)
    }
    if (this.written !== '' && this.written.length < WRITTEN_CHARACTERS_MAX)
      this.written += `\0${text}`
    return session.maskText(value, counts)
  }

  /** What the parser says of it may repeat it. */
  problem(text: string): string {
    return withoutData(text, 0, { ...this.told, written: '' })
  }

  /** A piece of a file that its client sends, as the record keeps it; null: as it is. */
  input(piece: Buffer): Buffer | null {
    const { mask, counts, session } = this
    if (mask.isSensitive) {
      // Where one value ends and the next begins is for the target to say.
      if (this.inputIsTold) return EMPTY
      this.inputIsTold = true
      counts.add(UNPROVEN_RULE, null, null, 'redact')
      return Buffer.from(WITHHELD)
    }
    const found = session.maskText(piece, counts)
    // What stands at the edges may be half of something.
    const [first, last] = [piece.indexOf(NEWLINE), piece.lastIndexOf(NEWLINE)]
    const isWhole = last === piece.length - 1 && !this.inputIsTold
    this.inputIsTold = last !== piece.length - 1
    if (isWhole || session.rules.detector(null, '', TEXT) === null) return found
    const inner = first < 0 ? EMPTY : piece.subarray(first + 1, last + 1)
    const marked = Buffer.from(`${WITHHELD}\n`)
    return Buffer.concat([marked, session.maskText(inner, counts) ?? inner, marked])
  }

  takeMasks(): MaskDraft[] {
    const own = this.counts.take()
    return this.planCounts === null ? own : [...own, ...this.planCounts.take()]
  }
}

const TEXT = { kind: 'text', isArray: false } as const
const EMPTY = Buffer.alloc(0)
const NEWLINE = 0x0a

/** Of what a statement is proven to show, and what a definition says: the one that hides more. */
function stronger(
  said: ColumnMask | null,
  defined: ColumnMask | null | undefined,
): ColumnMask | null {
  if (defined === undefined || defined === null) return said
  if (said === null || (said.revealed && !defined.revealed)) return defined
  return said
}
