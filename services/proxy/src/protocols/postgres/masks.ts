/**
 * What is masked of a statement's answer, and why: the rules for the columns that its values come from, as far as that can
 * be proven. Worked out once for statements of one shape, sessions that the rules treat alike, and one look at the catalogue.
 * Refuses to take for harmless what can't be proven: where a database has masked columns, such values are masked.
 */
import type { ActionSpec, ColumnFacts, SessionRules, ValueType } from '@custody/masking'
import {
  createResolver,
  type Lineage,
  type Provenance,
  type RelationFacts,
  type Resolved,
  type Source,
  type StatementAnalysis,
  tellingColumns,
  unanalysed,
} from '@custody/postgres-sql'
import { valueTypeOf } from '@custody/postgres-values'
import type { Catalogue } from './catalogue'
import type { KnownColumn, KnownRelation } from './relations'
import { relationsFor } from './relations'

/** What becomes of the values of a column. */
export interface ColumnMask {
  rule: string
  /** The column that they come from, `schema.relation.column`; null where that is not known. */
  column: string | null
  spec: ActionSpec
  /** They are shown, and counted. */
  revealed: boolean
}

export interface Refused {
  code: 'CUSTODY-MASK-001' | 'CUSTODY-MASK-002' | 'CUSTODY-MASK-003'
  reason: string
  rule: string
}

export interface StatementMask {
  /** By position; null where they can't be told apart. */
  outputs: readonly (ColumnMask | null)[] | null
  /** For outputs that can't be told apart, and those beyond what was foreseen. */
  whole: ColumnMask | null
  /** The same, by where they come from, for binary formats that need a type. */
  sources: readonly (Source | null)[] | null
  /** Which of them come from any column at all. */
  derived: readonly boolean[] | null
  /** Something in it is masked, or may be: texts that the target makes of it are withheld as far as they may hold data. */
  isSensitive: boolean
  /** Code that isn't known may run: its texts may be anything. */
  runsCode: boolean
  /** Its answer shows the statement's own constants. */
  explains: boolean
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

export const UNPROVEN_RULE = 'unproven'
export const SECRET_RULE = 'secrets'
const NOT_KNOWN = unanalysed('changed since').lineage
const REDACT: ActionSpec = { action: 'redact' }
export const SECRET: ColumnMask = { rule: SECRET_RULE, column: null, spec: REDACT, revealed: false }
/** For what may be data of a masked column, as far as anybody can tell. */
export const UNPROVEN: ColumnMask = {
  rule: UNPROVEN_RULE,
  column: null,
  spec: REDACT,
  revealed: false,
}
/** Columns below it are PostgreSQL's own, and hold no data. */
const WHOLE_ROW = 0
/** Numbers of relations below it are PostgreSQL's own (access/transam.h, FirstNormalObjectId). */
const FIRST_OWN = 16384

export function nameOfSource({ schema, relation, column }: Source): string {
  return `${schema}.${relation}.${column}`
}

export class Masker {
  private readonly resolver
  private readonly statements = new WeakMap<Lineage, Map<string, StatementMask>>()
  private readonly columns = new Map<string, ColumnMask | null>()
  private readonly numbered = new Map<number, Map<number, ColumnMask | null>>()
  /** Whether the database has any column that is masked here. */
  readonly isSensitive: boolean

  constructor(
    readonly rules: SessionRules,
    private readonly catalogue: Catalogue,
    /** Names of views that are others by now; '*': any may be. */
    private readonly changed: ReadonlySet<string> | null = null,
  ) {
    const { relations } = catalogue
    if (relations === null) this.resolver = null
    else {
      const facts = relationsFor(relations, catalogue.own, (name) => rules.isTrustedFunction(name))
      this.resolver = createResolver({
        ...facts,
        find: (schema, name) => {
          if (changed?.has(name)) return []
          const found = facts.find(schema, name)
          return changed === null
            ? found
            : found.map((one) => (this.isChanged(one) ? { ...one, definition: NOT_KNOWN } : one))
        },
      })
    }
    this.isSensitive = rules.hasRules && (relations === null || this.hasMasked())
  }

  private isChanged({ name, definition }: RelationFacts): boolean {
    const { changed } = this
    return changed !== null && (changed.has(name) || (definition !== null && changed.has('*')))
  }

  private hasMasked(): boolean {
    for (const relation of this.catalogue.relations!.all)
      for (const column of relation.byNumber.values())
        if (this.ruleFor(relation, column) !== null) return true
    return false
  }

  /** For a value that can't be proven to come from elsewhere. */
  get unproven(): ColumnMask | null {
    return this.isSensitive ? UNPROVEN : null
  }

  /** What the database calls something: no data. */
  isName(word: string): boolean {
    return this.catalogue.relations?.isName(word) ?? false
  }

  /** A column of a relation, with what is said of it. */
  known(relation: number, number: number): (ColumnFacts & { typeOid: number }) | undefined {
    const known = this.catalogue.relations?.relation(relation)
    const column = known?.byNumber.get(number)
    return known && column
      ? {
          schema: known.schema,
          relation: known.name,
          column: column.name,
          tags: column.tags,
          typeOid: column.typeOid,
        }
      : undefined
  }

  knownSource({
    schema,
    relation,
    column,
  }: Source): (ColumnFacts & { typeOid: number }) | undefined {
    const known = this.catalogue.relations?.find(schema, relation)[0]
    for (const [number, { name }] of known?.byNumber ?? [])
      if (name === column) return this.known(known!.oid, number)
    return undefined
  }

  carriedAs(oid: number): { oid: number; type: ValueType } {
    return this.catalogue.relations?.carriedAs(oid) ?? { oid, type: valueTypeOf(oid) }
  }

  /** By the relation's number and the column's, as the target names them. Undefined: its statement has to say. */
  column(relation: number, number: number, revealed: Revealed): ColumnMask | null | undefined {
    if (relation === 0) return undefined
    if (number < WHOLE_ROW) return null
    if (number === WHOLE_ROW) return undefined
    const known = this.catalogue.relations?.relation(relation)
    const column = known?.byNumber.get(number)
    // Made since, perhaps in place of another of its name.
    if (known === undefined || column === undefined || this.isChanged(known)) return this.unproven
    // Some of PostgreSQL's own show what others do; the rest only what there is.
    if (relation < FIRST_OWN && tellingColumns(known.name).has(column.name)) return this.unproven
    let masks = this.numbered.get(relation)
    if (masks === undefined) {
      masks = new Map()
      this.numbered.set(relation, masks)
    }
    let mask = masks.get(number)
    if (mask === undefined) {
      mask = this.maskOf(this.resolver!.column(known, column.name))
      masks.set(number, mask)
    }
    return this.revealing(mask, revealed)
  }

  private revealing(mask: ColumnMask | null, revealed: Revealed): ColumnMask | null {
    return mask?.column && revealed?.has(mask.column) ? { ...mask, revealed: true } : mask
  }

  /** `revealed`: columns whose values this principal sees, in this command. */
  statement(analysis: StatementAnalysis, revealed: Revealed): StatementMask {
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

  private work(analysis: StatementAnalysis, revealed: Revealed): StatementMask {
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
    const code = resolved.code !== null
    const isUnproven = resolved.whole.unknown !== null && resolved.defers === null
    const isSensitive = this.isSensitive && (code || isUnproven || this.touches(resolved, analysis))
    return {
      outputs,
      whole,
      sources:
        resolved.outputs?.map(({ sources, exact }) => (exact ? (sources[0] ?? null) : null)) ??
        null,
      derived: resolved.outputs?.map(({ sources }) => sources.length > 0) ?? null,
      isSensitive,
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

  private touches(resolved: Resolved, analysis: StatementAnalysis): boolean {
    for (const name of resolved.reads) if (this.hasMaskedColumns(name)) return true
    return analysis.objects.some(
      ({ kind, name }) => kind === 'table' && this.hasMaskedColumns(name),
    )
  }

  /** Of a schema, or of what holds masked columns. */
  private renamesMasked({ objects }: StatementAnalysis): boolean {
    const tables = objects.filter(({ kind }) => kind === 'table')
    return tables.length === 0 || tables.some(({ name }) => this.hasMaskedColumns(name))
  }

  /** The word by which code may reach masked columns, or null. */
  private codeOf({ codeWords }: StatementAnalysis): string | null {
    if (codeWords === null) return null
    for (const word of codeWords) {
      if (word === '*') return 'what it does is not in its words'
      if (this.telling.has(word)) return word
    }
    return null
  }

  /** Names, in lower case, of relations with masked columns and of functions that may read them. */
  private get telling(): ReadonlySet<string> {
    if (this.tellingWords === null) {
      this.tellingWords = new Set()
      const { relations } = this.catalogue
      for (const relation of relations?.all ?? [])
        if (this.hasMaskedColumns(`${relation.schema}.${relation.name}`))
          this.tellingWords.add(relation.name.toLowerCase())
      for (const name of relations?.functionNames ?? [])
        if (!this.rules.isTrustedFunction(name)) this.tellingWords.add(name.toLowerCase())
    }
    return this.tellingWords
  }

  private tellingWords: Set<string> | null = null

  /** `relation`, `schema.relation` or `database.schema.relation`. */
  private hasMaskedColumns(name: string): boolean {
    const parts = name.split('.')
    const found = this.catalogue.relations!.find(parts.at(-2) ?? null, parts.at(-1)!)
    return (
      found.length === 0 ||
      found.some(
        (relation) =>
          this.isChanged(relation) ||
          relation.columns.some(
            (column) => this.maskOf(this.resolver!.column(relation, column)) !== null,
          ),
      )
    )
  }

  private judge(
    resolved: Resolved,
    analysis: StatementAnalysis,
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
  private *copies(
    resolved: Resolved,
    analysis: StatementAnalysis,
    revealed: Revealed,
  ): Generator<{ reason: string; rule: string }> {
    for (const { to, from } of resolved.flows) {
      const mask = this.maskOf(from, revealed)
      if (mask === null || mask.revealed) continue
      // Of what isn't proven it can't be said that it is a copy; what it is copied to would have to be masked for all.
      if (mask.rule === UNPROVEN_RULE && to.relation === null) continue
      const into =
        to.relation === null ? [] : this.catalogue.relations!.find(to.schema, to.relation)
      const kept =
        into.length > 0 &&
        into.every((relation) => {
          const column = to.column === null ? undefined : relation.byName.get(to.column)
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
  private maskOf(provenance: Provenance, revealed: Revealed = null): ColumnMask | null {
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
    const whole =
      provenance.exact || ['redact', 'null', 'drop-row'].includes(mask.spec.action)
        ? mask
        : { ...mask, spec: REDACT }
    return whole
  }

  private maskFor(source: Source): ColumnMask | null {
    const name = nameOfSource(source)
    let mask = this.columns.get(name)
    if (mask === undefined) {
      const rule = this.sourceRule(source)
      // Null meanwhile: what is generated of itself has nothing more in it.
      this.columns.set(name, null)
      mask =
        rule === null
          ? this.generatedMask(source)
          : { rule: rule.id, column: name, spec: rule.action, revealed: false }
      this.columns.set(name, mask)
    }
    return mask
  }

  /** A generated column shows what it is made of. */
  private generatedMask({ schema, relation, column }: Source): ColumnMask | null {
    for (const one of this.catalogue.relations?.find(schema, relation) ?? []) {
      const made = one.byName.get(column)?.generated ?? null
      if (made === null) continue
      const mask = this.maskOf({ ...this.resolver!.statement(made).whole, exact: false })
      if (mask !== null) return mask
    }
    return null
  }

  private sourceRule(source: Source) {
    for (const relation of this.catalogue.relations?.find(source.schema, source.relation) ?? []) {
      const column = relation.byName.get(source.column)
      const rule = column ? this.ruleFor(relation, column) : null
      if (rule !== null) return rule
    }
    return null
  }

  private ruleFor(relation: KnownRelation, { name }: KnownColumn) {
    for (const one of this.catalogue.relations!.family(relation)) {
      const column = one.byName.get(name)
      if (column === undefined) continue
      const rule = this.rules.find({
        schema: one.schema,
        relation: one.name,
        column: name,
        tags: column.tags,
      })
      if (rule !== null) return rule
    }
    return null
  }
}

/** Columns that are shown, `schema.relation.column`. */
export type Revealed = ReadonlySet<string> | null
