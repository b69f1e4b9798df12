/**
 * Which rule masks a column, for whom: the first that matches both. Patterns are split into their parts once, and matched in
 * time linear in the name and the pattern.
 * Refuses patterns that could never match what they seem to say.
 */
import type { ActionSpec } from './types'

export interface ColumnRule {
  id: string
  /** `[schema.]relation.column`, with `*` and `?` within a part, in any case. */
  columns: readonly string[]
  /** Tags, any of which the column has. */
  tagged: readonly string[]
  action: ActionSpec
  /** Masked for these only; null: for everybody. */
  groups: readonly string[] | null
  predicates: 'allow' | 'report' | 'forbid'
}

export interface ColumnFacts {
  schema: string
  relation: string
  column: string
  tags: readonly string[]
}

export interface Rules {
  /** The first rule that matches the column and the principal; null: none. */
  find(column: ColumnFacts, groups: ReadonlySet<string>): ColumnRule | null
  /** Whether any rule masks it for anybody. */
  isSensitive(column: ColumnFacts): boolean
}

export const PATTERN_CHARACTERS_MAX = 200

type Pattern = readonly [schema: string, relation: string, column: string]

/** Throws an Error with words where a pattern can't be used. */
export function createRules(rules: readonly ColumnRule[]): Rules {
  const compiled = rules.map((rule) => ({
    rule,
    patterns: rule.columns.map((pattern) => patternOf(rule.id, pattern)),
    tags: new Set(rule.tagged.map((tag) => tag.toLowerCase())),
  }))
  const matches = ({ patterns, tags }: (typeof compiled)[number], column: ColumnFacts): boolean =>
    (tags.size > 0 && column.tags.some((tag) => tags.has(tag.toLowerCase()))) ||
    patterns.some(
      ([schema, relation, name]) =>
        matchesPart(name, column.column.toLowerCase()) &&
        matchesPart(relation, column.relation.toLowerCase()) &&
        matchesPart(schema, column.schema.toLowerCase()),
    )
  return {
    find(column, groups) {
      for (const one of compiled) {
        const of = one.rule.groups
        if (of !== null && !of.some((group) => groups.has(group))) continue
        if (matches(one, column)) return one.rule
      }
      return null
    },
    isSensitive: (column) => compiled.some((one) => matches(one, column)),
  }
}

function patternOf(id: string, pattern: string): Pattern {
  const wrong = (why: string) =>
    new Error(`rule ${id}: column pattern ${JSON.stringify(pattern)} ${why}`)
  if (pattern.length > PATTERN_CHARACTERS_MAX)
    throw wrong(`has more than ${PATTERN_CHARACTERS_MAX} characters`)
  const parts = pattern.toLowerCase().split('.')
  if (parts.length < 2 || parts.length > 3) throw wrong('is not [schema.]relation.column')
  if (parts.some((part) => part === '')) throw wrong('has an empty part')
  if (/[\s"'`\\[\]{}()]/.test(pattern))
    throw wrong(
      'has quotation marks, brackets, backslashes or spaces; only * and ? stand for others',
    )
  const simple = parts.map((part) => part.replace(/\*+/g, '*'))
  return simple.length === 2 ? ['*', simple[0]!, simple[1]!] : (simple as [string, string, string])
}

/** Back to the last star only, so no pattern takes more than its length times that of the name. */
export function matchesPart(pattern: string, name: string): boolean {
  let [at, in_] = [0, 0]
  let [star, from] = [-1, 0]
  while (in_ < name.length) {
    const c = pattern[at]
    if (c === '*') {
      star = at++
      from = in_
    } else if (c !== undefined && (c === '?' || c === name[in_])) {
      at++
      in_++
    } else if (star >= 0) {
      at = star + 1
      in_ = ++from
    } else return false
  }
  while (pattern[at] === '*') at++
  return at === pattern.length
}
