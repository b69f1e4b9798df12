/**
 * What a statement shows, keeps and reads, against a catalogue: what grammars find out and masking goes by. It errs on one
 * side alone: what can't be proven is `unknown`, never clean.
 */
import type { Source, Value } from './values'

export interface Provenance {
  /** Columns of stored relations that the value may derive from. */
  sources: readonly Source[]
  /** The value itself, at most cast to another text type - not computed from. */
  exact: boolean
  /** Why it can't be proven; null: `sources` is complete. */
  unknown: string | null
}

/** What a catalogue says of one relation; `L` is a lineage, as its grammar makes it. */
export interface RelationFacts<L> {
  schema: string
  name: string
  /** In order, without those that `*` leaves out. */
  columns: readonly string[]
  /** Of a view: its definition's lineage. */
  definition: L | null
}

export interface Flow {
  /** `relation`/`column` null where it is no column of a relation. A user variable is `via` 'variable' with its name as `column`. */
  to: { schema: string | null; relation: string | null; column: string | null; via: string }
  from: Provenance
}

export interface Resolved {
  /**
   * One for each output column in order; null: their number can't be proven (then everything is `whole`). Whoever uses it
   * compares their number with what the server gives: a function in FROM may have more columns than its text shows.
   */
  outputs: readonly Provenance[] | null
  /** Everything that any output may derive from; what applies where outputs is null or the count differs. */
  whole: Provenance
  /** Columns by which rows are chosen, joined, grouped, ordered, made distinct; those of views too. */
  predicates: Provenance
  /** Values going where they stay or others see them; only those with sources or not known. */
  flows: readonly Flow[]
  /** Relations read at all, `schema.name`, through views too; a name that is not known as it is written. */
  reads: ReadonlySet<string>
  /** The statement may run code that reads anything. */
  code: string | null
  /**
   * Constants of its text by their ordinal, and parameters by number from 1, with the columns that they are compared with or
   * written to. Those left out meet no column and are no secret - unless `unresolved` says that nothing is known.
   */
  constants: readonly { ordinal: number; to: Provenance; secret: boolean }[]
  parameters: readonly { number: number; to: Provenance; secret: boolean }[]
  /** FETCH, HANDLER … READ, EXECUTE: what it gives is what that one gives; outputs is null and whole unknown. */
  defers: { kind: 'cursor' | 'prepared'; name: string } | null
  /** DECLARE, HANDLER … OPEN, PREPARE: it makes one of that name, whose outputs are `outputs`. */
  makes: { kind: 'cursor' | 'prepared'; name: string } | null
  /** Why nothing at all is known of the statement, its constants included. */
  unresolved: string | null
}

export interface Resolver<L, R> {
  statement(lineage: L): Resolved
  column(facts: R, column: string): Provenance
}

export function provenanceOf(value: Value): Provenance {
  return {
    sources: [...value.sources],
    exact: value.exact && value.unknown === null && value.sources.size > 0,
    unknown: value.unknown,
  }
}

/** A place that is no column of a relation. */
export function nowhere(via: string, column: string | null = null): Flow['to'] {
  return { schema: null, relation: null, column, via }
}

/** Of a statement of which nothing is known. */
export function unresolved(why: string): Resolved {
  const nothing: Provenance = { sources: [], exact: false, unknown: why }
  return {
    outputs: null,
    whole: nothing,
    predicates: nothing,
    flows: [{ to: nowhere('unknown'), from: nothing }],
    reads: new Set(),
    code: why,
    constants: [],
    parameters: [],
    defers: null,
    makes: null,
    unresolved: why,
  }
}
