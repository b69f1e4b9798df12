/** What one value of a statement derives from, while that is being worked out, and how several become one. Pure. */

export interface Source {
  schema: string
  relation: string
  column: string
}

/** Constants by ordinal, parameters by their negative number. */
export interface Value {
  readonly sources: ReadonlySet<Source>
  readonly constants: ReadonlySet<number>
  readonly exact: boolean
  readonly unknown: string | null
}

export interface Column {
  /** null: not known. */
  readonly name: string | null
  readonly value: Value
}

export interface Found {
  readonly value: Value
  /** It has such a column, whatever else is not known of it. */
  readonly certain: boolean
}

/** What is known of several columns in order; null where their number or order can't be proven. */
interface Listed {
  readonly list: readonly Column[] | null
  whole(): Value
}

const EMPTY: ReadonlySet<never> = new Set<never>()
export const CLEAN: Value = { sources: EMPTY, constants: EMPTY, exact: false, unknown: null }

export const unknown = (why: string): Value => ({ ...CLEAN, unknown: why })
export const tainted = (value: Value) => value.sources.size > 0 || value.unknown !== null

/** Any of several; exact where each is. */
export function merge(values: readonly Value[]): Value {
  if (values.length === 1) return values[0]!
  const exact = values.length > 0 && values.every((one) => one.exact)
  let sources: ReadonlySet<Source> = EMPTY
  let constants: ReadonlySet<number> = EMPTY
  let why: string | null = null
  let own: Set<number> | null = null
  for (const value of values) {
    sources = union(sources, value.sources)
    if (value.constants.size > 0) {
      if (constants.size === 0) constants = value.constants
      else {
        // Rows may be thousands.
        own ??= new Set(constants)
        for (const one of value.constants) own.add(one)
        constants = own
      }
    }
    why ??= value.unknown
  }
  return { sources, constants, exact, unknown: why }
}

function union<T>(a: ReadonlySet<T>, b: ReadonlySet<T>): ReadonlySet<T> {
  if (b.size === 0 || a === b) return a
  if (a.size === 0) return b
  const both = new Set(a)
  for (const one of b) both.add(one)
  return both.size === a.size ? a : both
}

export function inexact(value: Value): Value {
  return value.exact ? { ...value, exact: false } : value
}

/** Nothing was added: a round more would find no more. */
export function sameColumns(a: Listed, b: Listed): boolean {
  const same = (x: Value, y: Value) =>
    x.sources.size === y.sources.size &&
    x.constants.size === y.constants.size &&
    x.exact === y.exact &&
    (x.unknown === null) === (y.unknown === null)
  if (a.list === null || b.list === null)
    return a.list === null && b.list === null && same(a.whole(), b.whole())
  return (
    a.list.length === b.list.length && a.list.every((one, i) => same(one.value, b.list![i]!.value))
  )
}
