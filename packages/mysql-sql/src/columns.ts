/** The columns of things in FROM, by what they derive from: how they are merged, named, put side by side. Pure. */
import { type Column, type Found, inexact, merge, type Value } from '@custody/sql'

/** The columns of something in FROM, or of a query. Names don't differ in case alone. */
export interface Columns {
  /** null where their number or order can't be proven. */
  readonly list: readonly Column[] | null
  whole(): Value
  /** null: it has no such column. `name` is in lower case. */
  find(name: string): Found | null
}

export function listed(list: readonly Column[]): Columns {
  let whole: Value | null = null
  let byName: Map<string | null, Value> | null = null
  return {
    list,
    whole() {
      whole ??= list.length === 1 ? list[0]!.value : inexact(merge(list.map(({ value }) => value)))
      return whole
    },
    find(name) {
      if (byName === null) {
        byName = new Map()
        for (const one of list) {
          const key = one.name?.toLowerCase() ?? null
          const known = byName.get(key)
          byName.set(key, known === undefined ? one.value : merge([known, one.value]))
        }
      }
      const value = byName.get(name)
      if (value !== undefined) return { value, certain: true }
      // One without a name of its own is called by its text.
      const unnamed = byName.get(null)
      return unnamed === undefined ? null : { value: unnamed, certain: false }
    },
  }
}

/** Columns of any names and number, each of which may be `value`. */
export function uniform(value: Value): Columns {
  return { list: null, whole: () => value, find: () => ({ value, certain: false }) }
}

/** Columns with other names for the first of them. */
export function named(columns: Columns, names: readonly string[]): Columns {
  if (names.length === 0) return columns
  if (columns.list !== null)
    return listed(columns.list.map((one, i) => ({ name: names[i] ?? one.name, value: one.value })))
  const given = new Set(names.map((name) => name.toLowerCase()))
  const value = () => columns.whole()
  return {
    list: null,
    whole: value,
    find: (name) => ({ value: value(), certain: given.has(name) }),
  }
}

export function concatenated(parts: readonly (Columns | Column)[]): Columns {
  const all: Columns[] = []
  let run: Column[] = []
  let list: Column[] | null = []
  const close = () => {
    if (run.length > 0) all.push(listed(run))
    run = []
  }
  for (const part of parts) {
    if ('value' in part) {
      run.push(part)
      list?.push(part)
      continue
    }
    close()
    all.push(part)
    if (part.list === null) list = null
    else if (list !== null) for (const one of part.list) list.push(one)
  }
  close()
  if (all.length === 1) return all[0]!
  let whole: Value | null = null
  return {
    list,
    whole() {
      whole ??= inexact(merge(all.map((one) => one.whole())))
      return whole
    },
    find(name) {
      const found = all.flatMap((one) => one.find(name) ?? [])
      const certain = found.filter((one) => one.certain)
      if (found.length === 0) return null
      return {
        value: merge((certain.length > 0 ? certain : found).map(({ value }) => value)),
        certain: certain.length > 0,
      }
    },
  }
}

/** Those of a side whose columns are not all known, less some. */
export function without(columns: Columns, names: readonly string[]): Columns {
  if (columns.list !== null)
    return listed(
      columns.list.filter(({ name }) => name === null || !names.includes(name.toLowerCase())),
    )
  return {
    list: null,
    whole: () => columns.whole(),
    find: (name) => (names.includes(name) ? null : columns.find(name)),
  }
}

export function unordered(columns: Columns): Columns {
  return { list: null, whole: () => columns.whole(), find: (name) => columns.find(name) }
}

/** One of several, and it is not known which. */
export function either(candidates: readonly Columns[]): Columns {
  const [first] = candidates
  if (candidates.length === 1) return first!
  const names = candidates.map((one) =>
    JSON.stringify(one.list?.map(({ name }) => name?.toLowerCase()) ?? null),
  )
  const alike = first!.list !== null && names.every((one) => one === names[0])
  return {
    list: alike
      ? first!.list!.map(({ name }, i) => ({
          name,
          value: merge(candidates.map((one) => one.list![i]!.value)),
        }))
      : null,
    whole: () => inexact(merge(candidates.map((one) => one.whole()))),
    find: (name) => {
      const found = candidates.flatMap((one) => one.find(name) ?? [])
      if (found.length === 0) return null
      return {
        value: merge(found.map(({ value }) => value)),
        certain: found.length === candidates.length && found.every(({ certain }) => certain),
      }
    },
  }
}

/** Column by column, with the names of the first. */
export function united(sides: readonly Columns[]): Columns {
  const [first] = sides
  const lists = sides.map((side) => side.list)
  if (lists.some((one) => one === null || one.length !== first!.list?.length))
    return uniform(inexact(merge(sides.map((side) => side.whole()))))
  return listed(
    first!.list!.map(({ name }, i) => ({ name, value: merge(lists.map((one) => one![i]!.value)) })),
  )
}

/** A table's columns and what a statement writes to them. */
export function overlaid(
  columns: Columns,
  written: ReadonlyMap<string | null, readonly Value[]>,
): Columns {
  const anywhere = written.get(null) ?? []
  const over = (name: string | null, value: Value): Value => {
    const more = [
      ...anywhere,
      ...((name === null ? undefined : written.get(name.toLowerCase())) ?? []),
    ]
    if (more.length === 0) return value
    // What is written becomes the column's value itself, unless it is made of others'.
    const own = (one: Value) =>
      one.unknown === null && [...one.sources].every((source) => value.sources.has(source))
    return {
      ...merge([value, ...more]),
      exact: value.exact && more.every((one) => one.exact || own(one)),
    }
  }
  const all = [...written.values()].flat()
  return {
    list: columns.list?.map(({ name, value }) => ({ name, value: over(name, value) })) ?? null,
    whole: () => inexact(merge([columns.whole(), ...all])),
    find: (name) => {
      const found = columns.find(name)
      return found && { value: over(name, found.value), certain: found.certain }
    },
  }
}
