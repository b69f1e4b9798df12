/**
 * What is masked of an answer of MySQL's: what its names mean with one default database, which code runs unnamed, and what the
 * target says of the columns that it sends.
 * Refuses to believe a column's definition alone: it is one witness of two, since a derived table may call itself like any other.
 */
import type { ColumnFacts, SessionRules } from '@custody/masking'
import { createResolver, type Lineage, type StatementAnalysis } from '@custody/mysql-sql'
import type { Resolved } from '@custody/sql'
import { type ColumnMask, type Revealed, UNPROVEN_RULE } from '../../masks'
import { type Copied, StatementMasker } from '../../statement-masks'
import type { Catalogue } from './catalogue'
import {
  isServersOwn,
  type KnownColumn,
  type KnownRelation,
  relationsFor,
} from './catalogue-relations'

/** They leave values where they are found again. */
const KEEPING = /^sql:(insert|replace|update|create|alter|copy|load|rename|export|write)/
/** Names in definitions that are kept; anybody can call a derived table what they like. */
const DEFINED_MAX = 10_000

/** Where a column comes from, as its definition in an answer has it. */
export interface Defined {
  schema: string
  orgTable: string
  orgName: string
}

export class Masker extends StatementMasker<Lineage, KnownRelation, StatementAnalysis> {
  private readonly defined = new Map<string, ColumnMask | null | undefined>()

  constructor(
    rules: SessionRules,
    { relations }: Catalogue,
    /** What names without one are in; null: not known, or none. */
    database: string | null,
  ) {
    super(
      rules,
      relations,
      relations === null
        ? null
        : createResolver(
            relationsFor(relations, database, (name) => rules.isTrustedFunction(name)),
          ),
    )
  }

  /** MySQL compares names of columns in any case. */
  protected folded(column: string): string {
    return column.toLowerCase()
  }

  protected mayBeMasked(schema: string | null): boolean {
    return !isServersOwn(schema ?? '')
  }

  protected isMaskedRelation(relation: KnownRelation): boolean {
    return this.hasMaskedColumn(relation)
  }

  protected ruleFor(relation: KnownRelation, { name, tags }: KnownColumn) {
    return this.rules.find({ schema: relation.schema, relation: relation.name, column: name, tags })
  }

  /** Triggers. */
  protected override runsUnnamed({ objects }: StatementAnalysis): boolean {
    return objects.some(
      ({ kind, name, verb }) =>
        kind === 'table' &&
        verb !== 'sql:select' &&
        this.relationsNamed(name).some(({ triggers }) => triggers.length > 0),
    )
  }

  /** What a procedure that is there already copies is for whoever wrote it to name; what it shows is not proven. */
  protected override codeWordsOf({ codeWords, effects }: StatementAnalysis) {
    return effects.callsProcedure ? null : codeWords
  }

  /** A statement in a text, of which only its verbs are known. */
  protected override *furtherCopies(
    { unresolved }: Resolved,
    { verbs }: StatementAnalysis,
  ): Generator<Copied> {
    if (unresolved !== null && verbs.some((verb) => KEEPING.test(verb)))
      yield { reason: 'it can’t be proven that it copies no masked column', rule: UNPROVEN_RULE }
  }

  known({ schema, orgTable, orgName }: Defined): ColumnFacts | undefined {
    if (schema === '' || orgTable === '') return undefined
    return this.knownSource({ schema, relation: orgTable, column: orgName })
  }

  /**
   * By the names in a column's definition. Undefined: they say nothing, and its statement has to. Never less than what the
   * statement says of it: whoever asks takes the stronger of both.
   */
  column(of: Defined, revealed: Revealed): ColumnMask | null | undefined {
    const { schema, orgTable, orgName } = of
    if (orgTable === '') return undefined
    const key = `${schema}\0${orgTable}\0${orgName}`
    let mask = this.defined.get(key)
    if (mask === undefined && !this.defined.has(key)) {
      mask = this.definedMask(of)
      if (this.defined.size >= DEFINED_MAX) this.defined.clear()
      this.defined.set(key, mask)
    }
    return mask ? this.revealing(mask, revealed) : mask
  }

  private definedMask({ schema, orgTable, orgName }: Defined): ColumnMask | null | undefined {
    // Which of the servers' own tables hold nothing of anybody's is for the statement to say.
    if (isServersOwn(schema)) return undefined
    const { relations } = this
    if (relations === null) return this.unproven
    // Of what is kept for a while, definitions have no schema but may have a table's name.
    const found = relations.find(schema === '' ? null : schema, orgTable)
    let mask: ColumnMask | null | undefined
    for (const relation of found) {
      if (!relation.byName.has(this.folded(orgName))) continue
      const one = this.maskOf(this.resolver!.column(relation, orgName))
      mask = mask ?? one
    }
    return mask
  }
}
