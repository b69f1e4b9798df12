/**
 * Masking in one session: what is known of the commands under way and of cursors and statements that SQL named, and what
 * therefore becomes of each thing that the target says. The relay asks; bytes are made in `answers`, `copy` and `messages`.
 */

import { CustodyError } from '@custody/kit'
import type { SessionRules } from '@custody/masking'
import type { CopyOptions, StatementAnalysis } from '@custody/postgres-sql'
import { valueTypeOf } from '@custody/postgres-values'
import type { DecisionDraft } from '@custody/schemas'
import { DETECTOR_RULE, type MaskCounts, type Revealed, UNPROVEN_RULE } from '../../masks'
import type { StatementMask } from '../../statement-masks'
import { type FieldPlan, ResultPlan } from './answers'
import { Catalogue } from './catalogue'
import type { Followed } from './catalogues'
import { CopyMasker } from './copy'
import { isUtf8, SECOND_HALVES } from './encodings'
import { Masker } from './masks'
import {
  type Told,
  WITHHELD,
  withoutDataIn,
  withoutNames,
  withoutPayload,
  withoutSecrets,
} from './messages'
import type { WireColumn } from './wire'

/** What masking keeps with a command while its answer comes. */
export interface CommandMask {
  mask: StatementMask
  revealed: Revealed
  /** Why they are shown, for the record. */
  decision: DecisionDraft | null
  counts: MaskCounts
  copy: CopyOptions | null
  /** What of the data sent to it is not kept; undefined: not looked at yet. */
  input: CopyMasker | null | undefined
  /** Of a function called by its number, else 0. */
  functionOid: number
  /** What its client wrote, as messages may repeat it; not more of it than this. */
  written: string
  /** Its constants and parameters that are not to be repeated. */
  secrets: string[]
}

export const WRITTEN_CHARACTERS_MAX = 64 * 1024
/** Bytes of a name that PostgreSQL heeds (NAMEDATALEN). */
const NAME_BYTES = 63
/** Settings whose values the target reports, and that may hold any text. */
const FREE_TEXT = new Set(['application_name', 'search_path', 'TimeZone'])
/** Of large objects, by number: they give numbers, not what is in one (pg_proc.dat). */
const NUMBERS_ONLY = new Set([715, 764, 952, 953, 955, 956, 957, 958, 964, 1004, 3170, 3171, 3172])

/** What SQL has given a name to. */
interface Named {
  analysis: StatementAnalysis
  /** As it was when it was named, without anything revealed. */
  mask: StatementMask
}

export class SessionMasking {
  /** This transaction may have changed what names mean. */
  isStale = false
  /** Views that it may have made others of: what they show is not known. */
  private changedViews: Set<string> | null = null
  /** Null: of what has that name nothing is known. */
  private readonly named = new Map<string, Named | null>()
  /** Of the last look at the catalogue, and the last statement: most come more than once. */
  private last: {
    catalogue: Catalogue
    masker: Masker
    analysis: StatementAnalysis | null
    mask: StatementMask | null
  } | null = null

  constructor(
    readonly rules: SessionRules,
    private readonly followed: Followed | null,
    private readonly namesMax: number,
    /** Its user asked to see masked values, where somebody approves. */
    readonly wantsReveal: boolean,
  ) {}

  get masker(): Masker {
    const catalogue = this.followed?.current ?? Catalogue.nothingKnown
    if (this.last?.catalogue === catalogue) return this.last.masker
    const { signature } = this.rules
    let masker = this.changedViews === null ? catalogue.maskers.get(signature) : undefined
    if (masker === undefined) {
      masker = new Masker(this.rules, catalogue, this.changedViews)
      if (this.changedViews === null) catalogue.maskers.set(signature, masker)
    }
    this.last = { catalogue, masker, analysis: null, mask: null }
    return masker
  }

  /** The command may change what names mean, for this session and until others see it. */
  change({ makesCode, lineage, understood, verbs, objects }: StatementAnalysis): void {
    if (!makesCode && lineage.form?.is !== 'definition') return
    const views = new Set(this.changedViews)
    if (!understood || verbs.includes('sql:unknown')) views.add('*')
    for (const { kind, name, verb } of objects)
      if (kind === 'table' && verb === 'sql:create')
        views.add(name.slice(name.lastIndexOf('.') + 1))
    this.changedViews = views
    this.last = null
  }

  get hasChanged(): boolean {
    return this.changedViews !== null
  }

  /** What was changed is seen by all now, or was taken back. */
  settle(): void {
    this.isStale = false
    if (this.changedViews === null) return
    this.changedViews = null
    this.last = null
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
    const made = this.named.get(`${defers.kind} ${defers.name}`) ?? null
    if (made === null) return { ...mask, whole: masker.unproven }
    // A prepared statement is planned again where what it reads has changed; a cursor is not.
    const { outputs, whole, sources, derived, isSensitive, runsCode, shown } =
      defers.kind === 'prepared' ? masker.statement(made.analysis, revealed) : made.mask
    return {
      ...mask,
      outputs,
      whole,
      sources,
      derived,
      isSensitive: mask.isSensitive || isSensitive,
      runsCode,
      shown,
    }
  }

  /** Masked columns whose values it would show. */
  shown(analysis: StatementAnalysis): readonly string[] {
    return this.statement(analysis, null).shown
  }

  /** Why it is not run, with these columns shown; or null. */
  refusal(analysis: StatementAnalysis, revealed: Revealed): StatementMask['refused'] {
    return this.statement(analysis, revealed).refused
  }

  /**
   * The command is going to be run: what it names is known from now on, and of what is named twice nothing is. Code may name
   * what it likes. `changing`: others under way may change what it means.
   */
  note(mask: StatementMask, analysis: StatementAnalysis, changing: boolean): void {
    if (mask.runsCode) for (const key of this.named.keys()) this.named.set(key, null)
    if (mask.makes === null) return
    const { kind, name } = mask.makes
    const key = `${kind} ${name}`
    const known = this.named.get(key)
    if (known === undefined && this.named.size >= this.namesMax) return
    const made = { analysis, mask: this.masker.statement(analysis, null) }
    const isKnown = kind === 'prepared' || !(this.isStale || changing)
    const isSame =
      known === undefined ||
      (known?.analysis.lineage === analysis.lineage &&
        (kind === 'prepared' || known.mask === made.mask))
    this.named.set(key, isKnown && isSame ? made : null)
  }

  /** What is run by it: of EXECUTE, what was prepared under that name here. */
  executed(analysis: StatementAnalysis): StatementAnalysis {
    const { form } = analysis.lineage
    if (form?.is !== 'defer' || form.kind !== 'prepared') return analysis
    return this.named.get(`prepared ${form.name}`)?.analysis ?? analysis
  }

  /** The protocol gives a name to something that SQL may call by it. */
  noteOther(kind: 'cursor' | 'prepared', name: Buffer): void {
    if (name.length === 0) return
    const key = `${kind} ${name.toString('utf8', 0, NAME_BYTES)}`
    if (this.named.has(key) || this.named.size < this.namesMax) this.named.set(key, null)
  }

  /** The plan for the rows of a result, or null where none of them is looked at. */
  plan(
    command: CommandMask | null,
    fields: readonly WireColumn[],
    counts: MaskCounts,
    encoding: string,
  ): ResultPlan | null {
    const { masker, rules } = this
    const mask = command?.mask ?? masker.unknown()
    const isForeseen = mask.outputs !== null && mask.outputs.length === fields.length
    const plans = fields.map((field, i): FieldPlan => {
      const known = field.relation === 0 ? undefined : masker.known(field.relation, field.number)
      let of = masker.column(field.relation, field.number, command?.revealed ?? null)
      if (of === undefined) {
        // Of a row as one value its statement says what is in it.
        const isRow = field.number === 0 && isForeseen && !this.isStale
        if (field.relation !== 0 && !isRow) of = masker.unproven
        else if (!isForeseen) of = mask.whole
        else if (this.isStale && mask.derived![i]) of = masker.unproven
        else of = mask.outputs![i]!
      }
      const carried = masker.carriedAs(field.typeOid)
      // What is explained shows constants; code that planning runs may show anything.
      if (mask.explains && mask.runsCode && mask.isSensitive) of = masker.unproven
      return {
        mask: of,
        detector: of === null ? rules.detector(known ?? null, field.name, carried.type) : null,
        label:
          of?.column ?? (known ? `${known.schema}.${known.relation}.${known.column}` : field.name),
        type: carried.type,
        oid: carried.oid,
        isBinary: field.format === 1,
        rewrite:
          mask.explains && of === null && mask.isSensitive && command
            ? (text) => withoutSecrets(text, command.secrets)
            : null,
      }
    })
    return this.planOf(plans, counts, encoding)
  }

  /** What is in the columns of a COPY, by what its statement says of them. `count`: as the target says. */
  copy(
    command: CommandMask | null,
    options: CopyOptions | null,
    count: number,
    isBinary: boolean,
    counts: MaskCounts,
    encoding: string,
    rowBytesMax: number,
  ): CopyMasker | null {
    const { masker, rules } = this
    const mask = command?.mask ?? masker.unknown()
    const isForeseen = mask.outputs !== null && mask.outputs.length === count
    const fields: FieldPlan[] = []
    for (let i = 0; i < count; i++) {
      const of = isForeseen
        ? this.isStale && mask.derived![i]
          ? masker.unproven
          : mask.outputs![i]!
        : mask.whole
      const source = isForeseen ? (mask.sources?.[i] ?? null) : null
      const known = source === null ? undefined : masker.knownSource(source)
      const carried = known
        ? masker.carriedAs(known.typeOid)
        : { oid: isBinary ? 0 : 25, type: isBinary ? valueTypeOf(0) : valueTypeOf(25) }
      fields.push({
        mask: of,
        detector:
          of === null ? rules.detector(known ?? null, known?.column ?? '', carried.type) : null,
        label:
          of?.column ?? (source ? `${source.schema}.${source.relation}.${source.column}` : null),
        type: carried.type,
        oid: carried.oid,
        isBinary,
        rewrite: null,
      })
    }
    const plan = this.planOf(fields, counts, encoding)
    if (plan === null) return null
    if (SECOND_HALVES.has(encoding) || options === null)
      throw new CustodyError(
        'CUSTODY-MASK-004',
        options === null
          ? 'a COPY with masked columns is not followed where its format is not known'
          : `a COPY with masked columns is not followed in ${encoding}`,
      )
    return new CopyMasker(
      { ...options, format: isBinary ? 'binary' : options.format },
      plan,
      rowBytesMax,
    )
  }

  private planOf(
    fields: readonly FieldPlan[],
    counts: MaskCounts,
    encoding: string,
  ): ResultPlan | null {
    const plan = new ResultPlan(
      fields,
      counts,
      this.rules.key,
      this.rules.detectorAction,
      isUtf8(encoding),
    )
    return plan.isIdle ? null : plan
  }

  /** An error or a notice; null: it stays as it is. `command`: the one that it is about, if any. */
  message(
    bytes: Buffer,
    at: number,
    end: number,
    command: CommandMask | null,
    counts: MaskCounts,
  ): Buffer | null {
    const { masker } = this
    const told: Told = {
      isSensitive: masker.isSensitive,
      written: command?.written ?? '',
      secrets: command?.secrets ?? [],
      isName: (word) => masker.isName(word),
    }
    // A trigger may tell of any table, and so may a default: where anything is masked, every message is looked at.
    const other = withoutDataIn(bytes, at, end, told, (text) => this.maskText(text, counts))
    if (other !== null && masker.isSensitive) counts.add('messages', null, null, 'redact')
    return other
  }

  /** Names of columns, as far as detectors know something in them. */
  names(bytes: Buffer, at: number, end: number, counts: MaskCounts): Buffer | null {
    return withoutNames(bytes, at, end, (name) => this.maskText(name, counts))
  }

  /** The payload of a NOTIFY may be a row; who sent it is not known. */
  notification(bytes: Buffer, at: number, end: number, counts: MaskCounts): Buffer | null {
    return withoutPayload(bytes, at, end, (channel, payload) => {
      if (payload.length === 0 || this.rules.isTrustedChannel(channel)) return null
      if (this.masker.isSensitive) {
        counts.add(UNPROVEN_RULE, null, null, 'redact')
        return Buffer.from(WITHHELD)
      }
      return this.maskText(payload, counts)
    })
  }

  /** A setting's value that the target reports, or null where it stays: what its client wrote is no news. */
  setting(name: string, value: string, written: string): string | null {
    if (!FREE_TEXT.has(name) || value === '' || !this.masker.isSensitive) return null
    return written.includes(value) ? null : WITHHELD
  }

  /** Whether the result of a function called by its number may be data. */
  mayShow(functionOid: number): boolean {
    return this.masker.isSensitive && !NUMBERS_ONLY.has(functionOid)
  }

  maskText(text: Buffer, counts: MaskCounts): Buffer | null {
    return this.rules.maskText(text, {
      add: (detector) => counts.add(DETECTOR_RULE, null, detector, this.rules.detectorAction),
    })
  }
}
