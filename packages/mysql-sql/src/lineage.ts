/**
 * From which columns a statement's outputs derive, as far as its text says: names not yet looked up, so that it holds for every
 * database and can be kept with the statement's analysis. `provenance` resolves it against a catalogue.
 */
import type { Form } from './ast'

/** Plain data, for `provenance` alone to read. */
export interface Lineage {
  /** Why nothing is known of the statement; null where `form` says. */
  readonly unknown: string | null
  readonly form: Form | null
  /** Ordinals of literals that are secrets by their place. */
  readonly secrets: readonly number[]
  /** How many literals it has. */
  readonly literals: number
  /** Roughly what it takes to keep. */
  readonly bytes: number
}

const NODE_BYTES = 200

export function unknownLineage(why: string): Lineage {
  return { unknown: why, form: null, secrets: [], literals: 0, bytes: 0 }
}

export function lineageOf(form: Form, secrets: readonly number[], literals: number): Lineage {
  return { unknown: null, form, secrets, literals, bytes: NODE_BYTES * (8 + literals) }
}
