/**
 * What is masked of an answer of PostgreSQL's: what its names mean, which relations hold each other's rows, and what the target
 * says of the columns that it sends. Refuses to take a relation for what it was when it may have been made anew.
 */
import type { ColumnFacts, SessionRules, ValueType } from '@custody/masking'
import {
  createResolver,
  type Lineage,
  type StatementAnalysis,
  tellingColumns,
  unanalysed,
} from '@custody/postgres-sql'
import { valueTypeOf } from '@custody/postgres-values'
import type { Resolver, Source } from '@custody/sql'
import type { ColumnMask, Revealed } from '../../masks'
import { StatementMasker } from '../../statement-masks'
import type { Catalogue } from './catalogue'
import type { DatabaseRelations, KnownColumn, KnownRelation } from './relations'
import { relationsFor } from './relations'

const NOT_KNOWN = unanalysed('changed since').lineage
/** Columns below it are PostgreSQL's own, and hold no data. */
const WHOLE_ROW = 0
/** Numbers of relations below it are PostgreSQL's own (access/transam.h, FirstNormalObjectId). */
const FIRST_OWN = 16384

type TypedFacts = ColumnFacts & { typeOid: number }

export class Masker extends StatementMasker<Lineage, KnownRelation, StatementAnalysis> {
  private readonly numbered = new Map<number, Map<number, ColumnMask | null>>()
  declare protected readonly relations: DatabaseRelations | null

  constructor(
    rules: SessionRules,
    catalogue: Catalogue,
    /** Names of views that are others by now; '*': any may be. */
    private readonly changed: ReadonlySet<string> | null = null,
  ) {
    super(rules, catalogue.relations, resolverFor(rules, catalogue, changed))
  }

  private isChanged(relation: KnownRelation): boolean {
    return isChanged(relation, this.changed)
  }

  protected folded(column: string): string {
    return column
  }

  protected mayBeMasked(): boolean {
    return true
  }

  protected isMaskedRelation(relation: KnownRelation): boolean {
    return this.isChanged(relation) || this.hasMaskedColumn(relation)
  }

  protected ruleFor(relation: KnownRelation, { name }: KnownColumn) {
    for (const one of this.relations!.family(relation)) {
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

  /** A column of a relation, with what is said of it. */
  known(relation: number, number: number): TypedFacts | undefined {
    const known = this.relations?.relation(relation)
    return known && factsOf(known, known.byNumber.get(number))
  }

  override knownSource({ schema, relation, column }: Source): TypedFacts | undefined {
    const known = this.relations?.find(schema, relation)[0]
    return known && factsOf(known, known.byName.get(column))
  }

  carriedAs(oid: number): { oid: number; type: ValueType } {
    return this.relations?.carriedAs(oid) ?? { oid, type: valueTypeOf(oid) }
  }

  /** By the relation's number and the column's, as the target names them. Undefined: its statement has to say. */
  column(relation: number, number: number, revealed: Revealed): ColumnMask | null | undefined {
    if (relation === 0) return undefined
    if (number < WHOLE_ROW) return null
    if (number === WHOLE_ROW) return undefined
    const known = this.relations?.relation(relation)
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
}

function factsOf(
  { schema, name }: KnownRelation,
  column: KnownColumn | undefined,
): TypedFacts | undefined {
  return (
    column && {
      ...{ schema, relation: name, column: column.name },
      ...{ tags: column.tags, typeOid: column.typeOid },
    }
  )
}

function isChanged(
  { name, definition }: KnownRelation,
  changed: ReadonlySet<string> | null,
): boolean {
  return changed !== null && (changed.has(name) || (definition !== null && changed.has('*')))
}

function resolverFor(
  rules: SessionRules,
  { relations, own }: Catalogue,
  changed: ReadonlySet<string> | null,
): Resolver<Lineage, KnownRelation> | null {
  if (relations === null) return null
  const facts = relationsFor(relations, own, (name) => rules.isTrustedFunction(name))
  return createResolver({
    ...facts,
    find: (schema, name) => {
      if (changed?.has(name)) return []
      const found = facts.find(schema, name)
      return changed === null
        ? found
        : found.map((one) =>
            isChanged(one as KnownRelation, changed) ? { ...one, definition: NOT_KNOWN } : one,
          )
    },
  })
}
