/**
 * What two tallies, or a tally and the store's own sums, say of each other. Pure.
 */
import { BUCKET_EVENTS, type Tally } from './tally'

export type Problem = 'missing' | 'duplicate' | 'reordered' | 'added' | 'changed' | 'gap'
export type Place = 'log' | 'kafka' | 'store'

export interface Range {
  from: number
  to: number
}

export interface Finding {
  problem: Problem
  /** Where it is wrong. */
  place: Place
  recorder: string
  /** Sequences, both included; equal where it is about a session. */
  from: number
  to: number
  /** UUID, where it is about one session or the first of the events is of one. */
  session: string | null
  detail: string
}

/** Sequences, in any order, as ranges without gaps. */
export function rangesOf(sequences: Iterable<number>): Range[] {
  const ranges: Range[] = []
  for (const sequence of [...new Set(sequences)].sort((a, b) => a - b)) {
    const last = ranges.at(-1)
    if (last !== undefined && last.to + 1 === sequence) last.to = sequence
    else ranges.push({ from: sequence, to: sequence })
  }
  return ranges
}

/** Sequences that are due behind `upstream` and not in `downstream`. */
export function missingIn(upstream: Tally, downstream: Tally | undefined): number[] {
  const missing: number[] = []
  for (const [index, { due, dueCount }] of upstream.buckets) {
    if (dueCount === 0) continue
    const there = downstream?.buckets.get(index)?.seen
    for (let byte = 0; byte < due.length; byte++) {
      let left = due[byte]! & ~(there?.[byte] ?? 0)
      for (let bit = 0; left !== 0; bit++, left >>= 1)
        if (left & 1) missing.push(index * BUCKET_EVENTS + byte * 8 + bit)
    }
  }
  return missing
}

/** Sequences in scope of `downstream` that `upstream`, which begins with `from`, does not have. */
export function addedIn(downstream: Tally, upstream: Tally, from: number): number[] {
  const added: number[] = []
  for (const [index, { inScope, count }] of downstream.buckets) {
    if (count === 0) continue
    const there = upstream.buckets.get(index)?.seen
    for (let byte = 0; byte < inScope.length; byte++) {
      let left = inScope[byte]! & ~(there?.[byte] ?? 0)
      for (let bit = 0; left !== 0; bit++, left >>= 1) {
        const sequence = index * BUCKET_EVENTS + byte * 8 + bit
        if (left & 1 && sequence >= from && sequence <= upstream.last) added.push(sequence)
      }
    }
  }
  return added
}

/** Sequences between the first and the last of several places that none of them has seen. */
export function gapsOf(tallies: readonly Tally[]): number[] {
  const first = Math.min(...tallies.map((tally) => tally.first))
  const last = Math.max(...tallies.map((tally) => tally.last))
  const gaps: number[] = []
  for (
    let index = Math.floor(first / BUCKET_EVENTS);
    index <= Math.floor(last / BUCKET_EVENTS);
    index++
  ) {
    const seen = tallies.map((tally) => tally.buckets.get(index)?.seen)
    for (let byte = 0; byte < BUCKET_EVENTS / 8; byte++) {
      let all = 0
      for (const bits of seen) all |= bits?.[byte] ?? 0
      if (all === 255) continue
      for (let bit = 0; bit < 8; bit++) {
        const sequence = index * BUCKET_EVENTS + byte * 8 + bit
        if (!(all & (1 << bit)) && sequence > first && sequence < last) gaps.push(sequence)
      }
    }
  }
  return gaps
}

/** Whether a bucket of the store is, by its sums, exactly what the tally has in scope. */
export function isEqual(
  bucket: { count: number; fold: bigint } | undefined,
  sums: { rows: number; sequences: number; fold: bigint } | undefined,
): boolean {
  const count = bucket?.count ?? 0
  if (sums === undefined) return count === 0
  return sums.rows === sums.sequences && sums.rows === count && sums.fold === (bucket?.fold ?? 0n)
}
