/** What a statement touches, in the words that policies and events use. */

export interface ObjectName {
  kind: string
  /** As it is written: `table`, `schema.table`. */
  name: string
  /** What is done with it. */
  verb: string
}

/**
 * How many rows a place picks, as far as its text says: none (no table), keyed (a column equals a value), filtered (a WHERE
 * that says something), limited (a LIMIT), all. An estimate: `id > 0` counts as filtered.
 */
export type Breadth = 'none' | 'keyed' | 'filtered' | 'limited' | 'all'
/** From the narrowest. */
export const BREADTHS: readonly Breadth[] = ['none', 'keyed', 'filtered', 'limited', 'all']
