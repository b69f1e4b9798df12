/** What a receiver has against what the log has. Pure. */
import type { Logged } from './load'

export interface Comparison {
  /** Events in the log. */
  sent: number
  /** Of these, at the receiver, however often. */
  received: number
  missing: number
  /** That came before one of their session that should have come before them. */
  reordered: number
  /** Copies beyond the first, with the same identifier. */
  duplicates: number
  /** That are not in the log. */
  invented: number
  missingIds: string[]
}

/** `received` in the order of arrival; identifiers that `isOthers` knows are somebody else's. */
export function compare(
  log: readonly Logged[],
  received: readonly string[],
  { ordered, isOthers }: { ordered: boolean; isOthers?: (id: string) => boolean },
): Comparison {
  const known = new Map(log.map((one) => [one.id, one]))
  const seen = new Set<string>()
  const highest = new Map<string, number>()
  let reordered = 0
  let duplicates = 0
  let invented = 0
  for (const id of received) {
    const one = known.get(id)
    if (!one) {
      if (!isOthers?.(id)) invented++
      continue
    }
    if (seen.has(id)) {
      duplicates++
      continue
    }
    seen.add(id)
    if (!ordered) continue
    if (one.order < (highest.get(one.key) ?? -1)) reordered++
    else highest.set(one.key, one.order)
  }
  const missingIds = log.filter(({ id }) => !seen.has(id)).map(({ id }) => id)
  return {
    sent: log.length,
    received: seen.size,
    missing: missingIds.length,
    reordered,
    duplicates,
    invented,
    missingIds: missingIds.slice(0, 20),
  }
}
