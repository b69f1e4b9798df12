/**
 * What is masked of an SQL statement's answer, and why: the rules for the columns that its values come from, as far as that can
 * be proven. Worked out once for statements of one shape, sessions that the rules treat alike, and one look at the catalogue.
 * Knows no protocol; what names mean, and what runs code, its protocol says.
 * Refuses to take for harmless what can't be proven: where a database has masked columns, such values are masked.
 */
import type { ColumnFacts, ColumnRule, SessionRules } from '@custody/masking'
import type { ObjectName, Provenance, Resolved, Resolver, Source } from '@custody/sql'
import {
  type ColumnMask,
  REDACT,
  type Refused,
  type Revealed,
  SECRET,
  UNPROVEN,
  UNPROVEN_RULE,
} from './masks'

export interface StatementMask {
  /** By position; null where they can't be told apart. */
  outputs: readonly (ColumnMask | null)[] | null
  /** For outputs that can't be told apart, and those beyond what was foreseen. */
  whole: ColumnMask | null
  /** The columns that outputs are without change: for detectors, and formats that need a type. */
  sources: readonly (Source | null)[] | null
  /** Which of them come from any column at all. */
  derived: readonly boolean[] | null
  /** Something in it is masked, or may be: texts that the target makes of it are withheld as far as they may hold data. */
  isSensitive: boolean
  /** Code that isn't known may run: its texts may be anything. */
  runsCode: boolean
  /** Its answer is a plan, and shows the statement's own constants. */
  explains: boolean
  /** Its answer is what the target said of statements before. */
  tells?: boolean
  refused: Refused | null
  /** To be told: columns guessed at, or copied. */
  alert: string | null
  /** Masked columns that its answer shows, `schema.relation.column`: those that can be revealed. */
  shown: readonly string[]
  /** Constants of its text, by ordinal, and parameters, by number, that are not kept; all of them where that is unknown. */
  constants: ReadonlyMap<number, ColumnMask> | 'all'
  parameters: ReadonlyMap<number, ColumnMask> | 'all'
  defers: Resolved['defers']
  makes: Resolved['makes']
}

/** What a grammar says of a statement, as far as masks go by it. */
export interface MaskedAnalysis<L> {
  lineage: L
  understood: boolean
  verbs: readonly string[]
  objects: readonly ObjectName[]
  renames: boolean
  codeWords: readonly string[] | null
}

export interface MaskedColumn<L> {
  name: string
  tags: readonly string[]
  /** What it is made of, as a query on its relation; null: it is written. */
  generated: L | null
}

export interface MaskedRelation<L> {
  schema: string
  name: string
  columns: readonly string[]
  byName: ReadonlyMap<string, MaskedColumn<L>>
}

/** A catalogue, as its protocol read it. */
export interface MaskedRelations<R> {
  readonly all: Iterable<R>
  readonly functionNames: Iterable<string>
  find(schema: string | null, name: string): readonly R[]
  isName(word: string): boolean
}

/** Why a statement would put values of masked columns where nothing masks them. */
export interface Copied {
  reason: string
  rule: string
}

/** Statements of one analysis, by whether it was understood and what is revealed. */
type Known = Map<string, StatementMask>

export function nameOfSource({ schema, relation, column }: Source): string {
  return `${schema}.${relation}.${column}`
}

export abstract class StatementMasker<
  L extends object,
  R extends MaskedRelation<L>,
  A extends MaskedAnalysis<L>,
> {
  private readonly statements = new WeakMap<L, Known>()
  private readonly columns = new Map<string, ColumnMask | null>()
  private sensitive: boolean | null = null
  private tellingWords: Set<string> | null = null

  protected constructor(
    readonly rules: SessionRules,
    /** Null, as `resolver` then is: it is not known what the database has. */
    protected readonly relations: MaskedRelations<R> | null,
    protected readonly resolver: Resolver<L, R> | null,
  ) {}

  /** A column's name as `byName` has it. */
  protected abstract folded(column: string): string
  protected abstract ruleFor(relation: R, column: MaskedColumn<L>): ColumnRule | null
  /** Whether names of which nothing is known may be of masked columns. */
  protected abstract mayBeMasked(schema: string | null): boolean
  protected abstract isMaskedRelation(relation: R): boolean

  /** Code of the database's that runs without being named. */
  protected runsUnnamed(_analysis: A): boolean {
    return false
  }

  /** Words of code that it runs or leaves behind; null: there is none. */
  protected codeWordsOf({ codeWords }: A): readonly string[] | null {
    return codeWords
  }

  /** Copies that its flows do not show. */
  protected *furtherCopies(_resolved: Resolved, _analysis: A): Generator<Copied> {}

  /** Whether the database has any column that is masked here. */
  get isSensitive(): boolean {
    this.sensitive ??= this.rules.hasRules && (this.relations === null || this.hasMasked())
    return this.sensitive
  }

  private hasMasked(): boolean {
    for (const relation of this.relations!.all)
      for (const column of relation.byName.values())
        if (this.ruleFor(relation, column) !== null) return true
    return false
  }

  /** For a value that can't be proven to come from elsewhere. */
  get unproven(): ColumnMask | null {
    return this.isSensitive ? UNPROVEN : null
  }

  /** What the database calls something: no data. */
  isName(word: string): boolean {
    return this.relations?.isName(word) ?? false
  }

  /** A column by its name, with what is said of it. */
  knownSource({ schema, relation, column }: Source): ColumnFacts | undefined {
    const known = this.relations?.find(schema, relation)[0]
    const found = known?.byName.get(this.folded(column))
    return known && found
      ? { schema: known.schema, relation: known.name, column: found.name, tags: found.tags }
      : undefined
  }

  protected revealing(mask: ColumnMask | null, revealed: Revealed): ColumnMask | null {
    return mask?.column && revealed?.has(mask.column) ? { ...mask, revealed: true } : mask
  }

  /** `revealed`: columns whose values this principal sees, in this command. */
  statement(analysis: A, revealed: Revealed): StatementMask {
    let known = this.statements.get(analysis.lineage)
    if (known === undefined) {
      known = new Map()
      this.statements.set(analysis.lineage, known)
    }
    const key = `${analysis.understood ? 1 : 0}${revealed === null ? '' : [...revealed].sort().join()}`
    let mask = known.get(key)
    if (mask === undefined) {
      mask = this.work(analysis, revealed)
      known.set(key, mask)
    }
    return mask
  }

  private work(analysis: A, revealed: Revealed): StatementMask {
    const resolved = this.resolver?.statement(analysis.lineage) ?? null
    if (resolved === null) return this.unknown()
    const see = (provenance: Provenance) => this.maskOf(provenance, revealed)
    const outputs = resolved.outputs?.map(see) ?? null
    const whole = see({ ...resolved.whole, exact: false })
    const shown = new Set<string>()
    for (const source of resolved.whole.sources)
      if (this.maskFor(source) !== null) shown.add(nameOfSource(source))
    const isUnresolved = resolved.unresolved !== null && this.isSensitive
    const notKept = (found: readonly [at: number, to: Provenance, secret: boolean][]) => {
      if (isUnresolved) return 'all'
      const masks = new Map<number, ColumnMask>()
      for (const [at, to, secret] of found) {
        const mask = secret ? SECRET : this.keptOut(to)
        if (mask !== null) masks.set(at, mask)
      }
      return masks
    }
    const code = resolved.code !== null || this.runsUnnamed(analysis)
    const isUnproven = resolved.whole.unknown !== null && resolved.defers === null
    return {
      outputs,
      whole,
      sources:
        resolved.outputs?.map(({ sources, exact }) => (exact ? (sources[0] ?? null) : null)) ??
        null,
      derived: resolved.outputs?.map(({ sources }) => sources.length > 0) ?? null,
      isSensitive: this.isSensitive && (code || isUnproven || this.touches(resolved, analysis)),
      runsCode: code,
      explains: analysis.verbs.includes('sql:explain'),
      ...this.judge(resolved, analysis, revealed),
      shown: [...shown].sort(),
      constants: notKept(
        resolved.constants.map(({ ordinal, to, secret }) => [ordinal, to, secret]),
      ),
      parameters: notKept(
        resolved.parameters.map(({ number, to, secret }) => [number, to, secret]),
      ),
      defers: resolved.defers,
      makes: resolved.makes,
    }
  }

  /** Where nothing is known of a statement. */
  unknown(): StatementMask {
    const { unproven, isSensitive } = this
    return {
      outputs: null,
      whole: unproven,
      sources: null,
      derived: null,
      isSensitive,
      runsCode: true,
      explains: false,
      refused: null,
      alert: null,
      shown: [],
      constants: isSensitive ? 'all' : new Map(),
      parameters: isSensitive ? 'all' : new Map(),
      defers: null,
      makes: null,
    }
  }

  /** A constant that is compared with a masked column, or written to it, says what is in it. */
  private keptOut(to: Provenance): ColumnMask | null {
    const mask = this.maskOf(to)
    return mask === null ? null : { ...mask, spec: REDACT }
  }

  private touches(resolved: Resolved, { objects }: A): boolean {
    for (const name of resolved.reads) if (this.hasMaskedColumns(name)) return true
    return objects.some(({ kind, name }) => kind === 'table' && this.hasMaskedColumns(name))
  }

  /** Of a schema, or of what holds masked columns. */
  private renamesMasked({ objects }: A): boolean {
    const tables = objects.filter(({ kind }) => kind === 'table')
    return tables.length === 0 || tables.some(({ name }) => this.hasMaskedColumns(name))
  }

  /** The word by which code may reach masked columns, or null. */
  private codeOf(analysis: A): string | null {
    for (const word of this.codeWordsOf(analysis) ?? []) {
      if (word === '*') return 'what it does is not in its words'
      if (this.telling.has(word.toLowerCase())) return word
    }
    return null
  }

  /** Names, in lower case, of relations with masked columns and of functions that may read them. */
  private get telling(): ReadonlySet<string> {
    if (this.tellingWords === null) {
      this.tellingWords = new Set()
      const { relations } = this
      for (const relation of relations?.all ?? [])
        if (this.isMaskedRelation(relation)) this.tellingWords.add(relation.name.toLowerCase())
      for (const name of relations?.functionNames ?? [])
        if (!this.rules.isTrustedFunction(name)) this.tellingWords.add(name.toLowerCase())
    }
    return this.tellingWords
  }

  /** `relation`, `schema.relation` or `database.schema.relation`. */
  protected relationsNamed(name: string): readonly R[] {
    const parts = name.split('.')
    return this.relations!.find(parts.at(-2) ?? null, parts.at(-1)!)
  }

  private hasMaskedColumns(name: string): boolean {
    const found = this.relationsNamed(name)
    if (found.length === 0) return this.mayBeMasked(name.split('.').at(-2) ?? null)
    return found.some((relation) => this.isMaskedRelation(relation))
  }

  protected hasMaskedColumn(relation: R): boolean {
    return relation.columns.some(
      (column) => this.maskOf(this.resolver!.column(relation, column)) !== null,
    )
  }

  private judge(
    resolved: Resolved,
    analysis: A,
    revealed: Revealed,
  ): { refused: Refused | null; alert: string | null } {
    if (!this.isSensitive) return { refused: null, alert: null }
    const alerts: string[] = []
    const refused = (code: Refused['code'], reason: string, rule: string) => ({
      refused: { code, reason, rule },
      alert: null,
    })
    const { rules } = this
    for (const { reason, rule } of this.copies(resolved, analysis, revealed)) {
      if (rules.copies === 'deny') return refused('CUSTODY-MASK-003', reason, rule)
      alerts.push(reason)
    }
    for (const source of resolved.predicates.sources) {
      const rule = this.sourceRule(source)
      if (rule === null || rule.predicates === 'allow' || revealed?.has(nameOfSource(source)))
        continue
      const reason = `it chooses, joins, groups or orders rows by ${nameOfSource(source)}, which is masked`
      if (rule.predicates === 'forbid') return refused('CUSTODY-MASK-001', reason, rule.id)
      alerts.push(reason)
    }
    if (rules.unproven === 'deny' && resolved.defers === null) {
      const given = resolved.outputs ?? [resolved.whole]
      const why = given.find(({ unknown }) => unknown !== null)
      if (why !== undefined)
        return refused(
          'CUSTODY-MASK-002',
          // What the parser says of it may repeat it.
          `it can’t be proven that its answer shows no masked column: ${resolved.unresolved === null ? why.unknown : 'it is not understood'}`,
          UNPROVEN_RULE,
        )
    }
    return { refused: null, alert: alerts.length > 0 ? alerts.join('; ') : null }
  }

  /** Ways by which values of masked columns would come to stand where nothing masks them. */
  private *copies(resolved: Resolved, analysis: A, revealed: Revealed): Generator<Copied> {
    for (const { to, from } of resolved.flows) {
      const mask = this.maskOf(from, revealed)
      // What is shown by policy may be kept by whoever sees it.
      if (mask === null || mask.revealed) continue
      // Of what isn't proven it can't be said that it is a copy; what it is copied to would have to be masked for all.
      if (mask.rule === UNPROVEN_RULE && to.relation === null) continue
      const into = to.relation === null ? [] : this.relations!.find(to.schema, to.relation)
      const kept =
        into.length > 0 &&
        into.every((relation) => {
          const column =
            to.column === null ? undefined : relation.byName.get(this.folded(to.column))
          return column !== undefined && this.ruleFor(relation, column) !== null
        })
      if (kept) continue
      const where =
        to.relation === null
          ? to.via
          : [to.schema, to.relation, to.column].filter(Boolean).join('.')
      yield {
        reason: `it copies ${mask.column ?? 'what can’t be proven not to come from a masked column'} to ${where}, where nothing masks it`,
        rule: mask.rule,
      }
    }
    yield* this.furtherCopies(resolved, analysis)
    const code = this.codeOf(analysis)
    if (code !== null)
      yield {
        reason: `it runs or leaves behind code that may copy masked columns (${code})`,
        rule: UNPROVEN_RULE,
      }
    if (analysis.renames && this.renamesMasked(analysis))
      yield {
        reason: 'another name or parent would take the mask away from its columns',
        rule: UNPROVEN_RULE,
      }
  }

  /** The mask for a value of this provenance; null: none. Where several columns are in it, only what hides all of them. */
  protected maskOf(provenance: Provenance, revealed: Revealed = null): ColumnMask | null {
    let mask: ColumnMask | null = null
    for (const source of provenance.sources) {
      const one = this.maskFor(source)
      if (one === null) continue
      const seen = this.revealing(one, revealed)!
      if (mask === null || (mask.revealed && !seen.revealed)) mask = seen
    }
    if (provenance.unknown !== null) {
      const { unproven } = this
      if (unproven !== null && (mask === null || mask.revealed)) mask = unproven
    }
    if (mask === null || mask.revealed) return mask
    // Of something computed from the value, its last characters or its shape may be what its action was to hide.
    return provenance.exact || ['redact', 'null', 'drop-row'].includes(mask.spec.action)
      ? mask
      : { ...mask, spec: REDACT }
  }

  private maskFor(source: Source): ColumnMask | null {
    const name = this.folded(nameOfSource(source))
    let mask = this.columns.get(name)
    if (mask === undefined) {
      const rule = this.sourceRule(source)
      // Null meanwhile: what is generated of itself has nothing more in it.
      this.columns.set(name, null)
      mask =
        rule === null
          ? this.generatedMask(source)
          : {
              rule: rule.id,
              column: nameOfSource(this.knownSource(source) ?? source),
              spec: rule.action,
              revealed: false,
            }
      this.columns.set(name, mask)
    }
    return mask
  }

  /** A generated column shows what it is made of. */
  private generatedMask({ schema, relation, column }: Source): ColumnMask | null {
    for (const one of this.relations?.find(schema, relation) ?? []) {
      const made = one.byName.get(this.folded(column))?.generated ?? null
      if (made === null) continue
      const mask = this.maskOf({ ...this.resolver!.statement(made).whole, exact: false })
      if (mask !== null) return mask
    }
    return null
  }

  private sourceRule({ schema, relation, column }: Source): ColumnRule | null {
    for (const one of this.relations?.find(schema, relation) ?? []) {
      const known = one.byName.get(this.folded(column))
      const rule = known ? this.ruleFor(one, known) : null
      if (rule !== null) return rule
    }
    return null
  }
}
