/**
 * Sigma rules on the stream of events: what each event, by itself or with those before it, is a detection of. Rules become functions
 * once; no event is looked at twice by one search. Keeps what correlations need and nothing else, within bounds. Sends nothing:
 * what becomes of a detection is delivery's business.
 */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { type Event, uuidText } from '@custody/schemas'
import type { Severity } from '../formats/meaning'
import { compileCondition, type Test } from './condition'
import { Correlator, GROUPS_MAX, type SavedWindow } from './correlate'
import { Fields, fieldNumber } from './fields'
import {
  type CorrelationRule,
  type DetectionRule,
  parseRules,
  RULES_MAX,
  type Rule,
  SigmaError,
} from './rule'
import { compileSearch } from './search'

export interface Detection {
  rule: {
    id: string
    title: string
    level: Severity
    attack: readonly string[]
    type: Rule['type']
  }
  /** The one that told it. */
  event: Event
  /** Identifiers of those that tell it together, at most 20. */
  events: readonly string[]
  /** Of correlations: by what they belong together. */
  group: Readonly<Record<string, string>>
}

export interface Sigma {
  readonly rules: readonly Rule[]
  /** The longest time within which events tell something together; 0 without correlations. */
  readonly spanMicros: number
  feed(event: Event): Detection[]
  /** What correlations remember, to be taken over after a restart; the same object while it is the same. */
  windows(): Windows
  /** Before the first event. What it can't read it leaves out. */
  restore(windows: unknown): void
  /** Groups that are remembered, and such as were forgotten for want of room. */
  state(): { groups: number; forgotten: number }
}

/** By the rule's identifier. */
export type Windows = Readonly<Record<string, SavedWindow>>

/** Hits in what is saved, of all correlations together: it is written with every place in the log. */
export const SAVED_HITS_MAX = 20_000

export interface SigmaOptions {
  /** Groups that each correlation remembers. */
  groupsMax?: number
}

interface Compiled {
  rule: DetectionRule
  test: Test<Fields>
  isQuiet: boolean
  feeds: { correlation: Correlation; step: number; group: number[]; field: number }[]
}

interface Correlation {
  rule: CorrelationRule
  state: Correlator
}

const told = ({ id, title, level, attack, type }: Rule): Detection['rule'] => ({
  id,
  title,
  level,
  attack,
  type,
})

/** Throws a SigmaError that names the rule. */
export function createSigma(
  rules: readonly Rule[],
  { groupsMax = GROUPS_MAX }: SigmaOptions = {},
): Sigma {
  if (rules.length > RULES_MAX) throw new SigmaError(`there are more than ${RULES_MAX} rules`)
  const compiled = new Map<string, Compiled>()
  const ids = new Set<string>()
  for (const rule of rules) {
    if (ids.has(rule.id))
      throw new SigmaError(`${rule.title}: its id ${rule.id} is another rule's too`)
    ids.add(rule.id)
    if (rule.type !== 'detection') continue
    const one: Compiled = {
      rule,
      test: naming(rule, () => compileRule(rule)),
      isQuiet: false,
      feeds: [],
    }
    compiled.set(rule.id, one)
    if (rule.name === null) continue
    if (compiled.has(rule.name))
      throw new SigmaError(`${rule.title}: its name ${rule.name} is another rule's too`)
    compiled.set(rule.name, one)
  }
  const correlations: Correlation[] = []
  for (const rule of rules) {
    if (rule.type !== 'correlation') continue
    const correlation = { rule, state: new Correlator(rule, groupsMax) }
    correlations.push(correlation)
    rule.rules.forEach((name, step) => {
      const one = compiled.get(name)
      if (one === undefined)
        throw new SigmaError(
          `${rule.title}: no rule ${name}; correlations of correlations are not understood`,
        )
      if (!rule.generate) one.isQuiet = true
      naming(rule, () =>
        one.feeds.push({
          correlation,
          step,
          group: rule.groupBy.map((field) => fieldNumber(aliased(rule, one.rule, field))),
          field: rule.field === null ? -1 : fieldNumber(aliased(rule, one.rule, rule.field)),
        }),
      )
    })
  }
  const all = [...new Set(compiled.values())]
  let saved: Windows = {}
  let savedAt = 0

  return {
    rules,
    spanMicros: Math.max(0, ...correlations.map(({ rule }) => rule.timespanMicros)),
    feed(event) {
      const fields = new Fields(event)
      let found: Detection[] | null = null
      for (let i = 0; i < all.length; i++) {
        const one = all[i]!
        if (!one.test(fields)) continue
        found ??= []
        if (!one.isQuiet)
          found.push({ rule: told(one.rule), event, events: [uuidText(event.id)], group: {} })
        for (const feed of one.feeds) {
          const detection = correlate(feed, event, fields)
          if (detection) found.push(detection)
        }
      }
      return found ?? []
    },
    windows() {
      const changes = correlations.reduce((sum, { state }) => sum + state.changes, 0)
      if (changes === savedAt) return saved
      savedAt = changes
      const found: Record<string, SavedWindow> = {}
      let left = SAVED_HITS_MAX
      for (const { rule, state } of correlations) {
        const window = state.saved(left)
        if (window.groups.length === 0) continue
        found[rule.id] = window
        left -= window.groups.reduce((sum, [, hits]) => sum + hits.length, 0)
      }
      saved = found
      return saved
    },
    restore(windows) {
      if (typeof windows !== 'object' || windows === null) return
      for (const { rule, state } of correlations) {
        const window = (windows as Record<string, unknown>)[rule.id]
        if (isWindow(window)) state.restore(window)
      }
      saved = windows as Windows
    },
    state: () => ({
      groups: correlations.reduce((sum, { state }) => sum + state.size, 0),
      forgotten: correlations.reduce((sum, { state }) => sum + state.forgotten, 0),
    }),
  }
}

function isWindow(value: unknown): value is SavedWindow {
  const { rule, groups } = (value ?? {}) as SavedWindow
  return (
    typeof rule === 'string' &&
    Array.isArray(groups) &&
    groups.every(
      (one) =>
        Array.isArray(one) &&
        typeof one[0] === 'string' &&
        Array.isArray(one[1]) &&
        one[1].length > 0 &&
        one[1].every(
          (hit) =>
            Array.isArray(hit) &&
            Number.isFinite(hit[0]) &&
            typeof hit[1] === 'string' &&
            typeof hit[2] === 'string',
        ),
    )
  )
}

function correlate(
  { correlation: { rule, state }, step, group, field }: Compiled['feeds'][number],
  event: Event,
  fields: Fields,
): Detection | null {
  const values = group.map((one) => fields.values(one).join(', '))
  const key = JSON.stringify(values)
  const id = uuidText(event.id)
  const said =
    rule.correlation === 'value_count' ? fields.values(field).map(String) : [String(step)]
  let detection: Detection | null = null
  for (const value of said) {
    const events = state.add(key, event.time, id, rule.correlation === 'event_count' ? '' : value)
    if (events)
      detection = {
        rule: told(rule),
        event,
        events: [...new Set(events)],
        group: Object.fromEntries(rule.groupBy.map((name, i) => [name, values[i]!])),
      }
  }
  return detection
}

function aliased(rule: CorrelationRule, of: DetectionRule, name: string): string {
  const alias = rule.aliases.get(name)
  if (alias === undefined) return name
  const field = alias.get(of.name ?? '') ?? alias.get(of.id)
  if (field === undefined) throw new SigmaError(`alias ${name} has no field of ${of.title}`)
  return field
}

function naming<T>(rule: Rule, work: () => T): T {
  try {
    return work()
  } catch (error) {
    if (error instanceof SigmaError) throw new SigmaError(`${rule.title}: ${error.message}`)
    throw error
  }
}

function compileRule(rule: DetectionRule): Test<Fields> {
  const searches = new Map(
    [...rule.searches].map(([name, search]) => [name, compileSearch(search)]),
  )
  const condition = compileCondition(rule.condition, searches)
  const { service, category } = rule
  if (service === null && category === null) return condition
  return (fields) =>
    (service === null || fields.event.path?.protocol === service) &&
    (category === null || fields.domain === category) &&
    condition(fields)
}

/** All rules of a directory's .yml and .yaml files, in the order of their names. Throws a SigmaError that names the file. */
export function loadRules(directory: string): Rule[] {
  return readdirSync(directory)
    .filter((name) => /\.ya?ml$/.test(name))
    .sort()
    .flatMap((name) => {
      try {
        return parseRules(readFileSync(join(directory, name), 'utf8'))
      } catch (error) {
        throw new SigmaError(`${name}: ${(error as Error).message}`)
      }
    })
}
