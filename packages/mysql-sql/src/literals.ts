/**
 * Where the literals of a text stand: quoted strings of every kind, numbers, hexadecimal and binary ones, in order, by the servers'
 * own rules. Needs no parse, so it holds for texts that the server refuses; what is not closed goes on to the end.
 * Refuses to say what a literal is for: a statement's `secrets` and its lineage do, by its ordinal.
 */
import type { StatementAnalysis } from './statements'
import { BITS, NUMBER, type SqlContext, STRING, tokenize } from './tokens'

export interface LiteralRange {
  start: number
  end: number
}

/** Those of the text, or of what of it stands at [start, end). A sign is no part of a number, an introducer none of a string. */
export function literalsOf(
  text: string,
  context: SqlContext,
  start = 0,
  end = text.length,
): LiteralRange[] {
  const { kinds, starts, ends, count } = tokenize(text.slice(start, end), context)
  const found: LiteralRange[] = []
  for (let i = 0; i < count; i++)
    if (kinds[i] === STRING || kinds[i] === NUMBER || kinds[i] === BITS)
      found.push({ start: start + starts[i]!, end: start + ends[i]! })
  return found
}

/** Where the passwords and keys of a statement stand in its text, which are never kept. */
export function secretsOf(
  { secrets, start, end }: Pick<StatementAnalysis, 'secrets' | 'start' | 'end'>,
  text: string,
  context: SqlContext,
): LiteralRange[] {
  if (secrets !== null && secrets.length === 0) return []
  const literals = literalsOf(text, context, start, end)
  if (secrets !== null) return secrets.flatMap((ordinal) => literals[ordinal] ?? [])
  // Of what is not understood, all of them where a word says that there may be one.
  return /passw|identified|secret|encrypt|master|source|slave|replica|auth|option|connection|server/i.test(
    text.slice(start, end),
  )
    ? literals.filter(({ start: at }) => !/[0-9.]/.test(text[at]!))
    : []
}
