/**
 * What several events tell together: so many in a time, so many different values, one rule after another. Time is the events' own, so that
 * a re-sent day tells the same. What is remembered is bounded: groups by number, least recently touched first forgotten and counted; of each no
 * more than it takes to tell.
 */
import type { CorrelationRule } from './rule'

export const GROUPS_MAX = 10_000
/** Hits that each correlation remembers, of all its groups together. */
export const HITS_MAX = 200_000
/** Identifiers of events that a detection names. */
export const NAMED_MAX = 20

interface Hit {
  micros: number
  id: string
  /** Of value_count: which; of temporal ones: which rule. */
  value: string
}

export interface SavedWindow {
  /** What the rule said. */
  rule: string
  groups: [group: string, hits: [micros: number, id: string, value: string][]][]
}

function definitionOf({
  correlation,
  rules,
  groupBy,
  timespanMicros,
  count,
  field,
  aliases,
}: CorrelationRule): string {
  const named = [...aliases].map(([name, fields]) => [name, [...fields]])
  return JSON.stringify([correlation, rules, groupBy, timespanMicros, count, field, named])
}

export class Correlator {
  private readonly groups = new Map<string, Hit[]>()
  /** Groups that were forgotten before their time was over. */
  forgotten = 0
  private held = 0
  private newest = Number.NEGATIVE_INFINITY
  /** Rises with whatever changes what is remembered. */
  changes = 0

  constructor(
    readonly rule: CorrelationRule,
    private readonly groupsMax = GROUPS_MAX,
    private readonly hitsMax = HITS_MAX,
  ) {}

  get size(): number {
    return this.groups.size
  }

  /** The events that tell together, where they do with this one. `value` is a rule's number for temporal correlations. */
  add(group: string, micros: number, id: string, value: string): string[] | null {
    const { rule } = this
    this.changes++
    this.newest = Math.max(this.newest, micros)
    let hits = this.groups.get(group) ?? []
    this.groups.delete(group)
    this.held -= hits.length
    // Events of several recorders come a little out of order.
    const newest = hits.reduce((most, hit) => Math.max(most, hit.micros), micros)
    hits = hits.filter((hit) => newest - hit.micros <= rule.timespanMicros)
    if (newest - micros <= rule.timespanMicros) hits = this.kept(hits, { micros, id, value })
    if (this.tells(hits)) {
      // What it told counts no more, so that the next telling is of something new.
      return hits.slice(-NAMED_MAX).map((hit) => hit.id)
    }
    if (hits.length > 0) this.groups.set(group, hits)
    this.held += hits.length
    while (
      this.groups.size > this.groupsMax ||
      (this.held > this.hitsMax && this.groups.size > 1)
    ) {
      const [oldest, theirs] = this.groups.entries().next().value!
      this.groups.delete(oldest)
      this.held -= theirs.length
      this.forgotten++
    }
    return null
  }

  /** What is remembered of at most so many hits, groups touched last first to be kept, for a correlator of the same rule. */
  saved(hitsMax: number): SavedWindow {
    const groups: SavedWindow['groups'] = []
    let left = hitsMax
    for (const [group, hits] of [...this.groups].reverse()) {
      // Twice the time: recorders are not all equally far.
      if (this.newest - hits.at(-1)!.micros > 2 * this.rule.timespanMicros) continue
      if (hits.length > left) break
      left -= hits.length
      groups.push([group, hits.map(({ micros, id, value }) => [micros, id, value])])
    }
    return { rule: definitionOf(this.rule), groups: groups.reverse() }
  }

  /** Takes over what another remembered; of a rule that is another by now, nothing. */
  restore({ rule, groups }: SavedWindow): void {
    if (rule !== definitionOf(this.rule)) return
    for (const [group, hits] of groups) {
      if (this.groups.has(group) || this.held + hits.length > this.hitsMax) continue
      this.groups.set(
        group,
        hits.map(([micros, id, value]) => ({ micros, id, value })),
      )
      this.held += hits.length
      this.newest = Math.max(this.newest, hits.at(-1)![0])
    }
  }

  private kept(hits: Hit[], hit: Hit): Hit[] {
    switch (this.rule.correlation) {
      case 'event_count':
        // Once each, though it comes again after a crash or several of the rules match it.
        if (hits.some(({ id }) => id === hit.id)) return hits
        return inOrder([...hits, hit]).slice(-this.rule.count)
      case 'value_count':
      case 'temporal':
        // The latest of each value is enough.
        return inOrder([...hits.filter(({ value }) => value !== hit.value), hit]).slice(
          -this.rule.count,
        )
      case 'temporal_ordered':
        return ordered(inOrder([...hits, hit]), this.rule.rules.length)
    }
  }

  private tells(hits: readonly Hit[]): boolean {
    if (this.rule.correlation === 'temporal_ordered')
      return (
        hits.length === this.rule.rules.length &&
        hits.every(({ value }, step) => value === String(step))
      )
    return hits.length >= this.rule.count
  }
}

const inOrder = (hits: Hit[]): Hit[] => hits.sort((a, b) => a.micros - b.micros)

/**
 * Of hits in order, the longest beginning of the sequence of rules 0, 1, 2 …, as late as it can be; and behind it what may begin
 * another: for each length the beginning that starts latest would do, of which the longest is kept with the latest first steps.
 */
function ordered(hits: readonly Hit[], rules: number): Hit[] {
  const best: (Hit[] | null)[] = new Array(rules).fill(null)
  for (const hit of hits) {
    const step = Number(hit.value)
    if (step === 0) best[0] = [hit]
    else {
      const before = best[step - 1]
      if (before) best[step] = [...before, hit]
    }
  }
  const whole = best[rules - 1]
  if (whole) return whole
  // All hits that some beginning is made of, once each, in order of time.
  const used = new Set(best.flatMap((chain) => chain ?? []))
  return hits.filter((hit) => used.has(hit))
}
