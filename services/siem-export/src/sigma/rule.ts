/**
 * Sigma rules as files: YAML documents to rules, with everything that is not understood refused by name, since a rule that is half
 * understood watches nothing. Looks at no event.
 */
import { parseAllDocuments } from 'yaml'
import { SEVERITIES, type Severity } from '../formats/meaning'

export class SigmaError extends Error {}

export const RULE_BYTES_MAX = 256 * 1024
export const RULES_MAX = 2000

interface Common {
  id: string
  name: string | null
  title: string
  description: string
  level: Severity
  /** Techniques of ATT&CK, such as T1485. */
  attack: string[]
  status: string | null
}

export interface DetectionRule extends Common {
  type: 'detection'
  service: string | null
  category: string | null
  /** By name, as in the file. */
  searches: Map<string, unknown>
  condition: string
}

export type CorrelationType = 'event_count' | 'value_count' | 'temporal' | 'temporal_ordered'

export interface CorrelationRule extends Common {
  type: 'correlation'
  correlation: CorrelationType
  /** Identifiers or names. */
  rules: string[]
  groupBy: string[]
  timespanMicros: number
  /** At least so many. */
  count: number
  /** Of value_count: of what. */
  field: string | null
  /** By alias, what field of which rule. */
  aliases: Map<string, Map<string, string>>
  /** Whether the rules that it is made of tell something by themselves too. */
  generate: boolean
}

export type Rule = DetectionRule | CorrelationRule

type Dictionary = Record<string, unknown>
const isDictionary = (value: unknown): value is Dictionary =>
  value !== null && typeof value === 'object' && !Array.isArray(value)

/** The rules of a file. Throws a SigmaError that names the rule and what of it is not understood. */
export function parseRules(text: string): Rule[] {
  if (Buffer.byteLength(text) > RULE_BYTES_MAX)
    throw new SigmaError(`a file of rules has at most ${RULE_BYTES_MAX} bytes`)
  const documents = parseAllDocuments(text, { maxAliasCount: 0 } as never)
  const rules: Rule[] = []
  for (const document of documents as { errors: Error[]; toJS(o: object): unknown }[]) {
    const [error] = document.errors
    if (error) throw new SigmaError(error.message)
    const body = document.toJS({ maxAliasCount: 0 })
    if (body === null) continue
    if (!isDictionary(body)) throw new SigmaError('a rule is a mapping')
    rules.push(parseRule(body))
  }
  return rules
}

function parseRule(body: Dictionary): Rule {
  const title = textOf(body.title) ?? '?'
  const fail = (what: string): never => {
    throw new SigmaError(`${title}: ${what}`)
  }
  const id = textOf(body.id)
  if (id === null || !/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(id))
    fail('a rule has an id, a UUID')
  const level = textOf(body.level) ?? 'medium'
  if (!(SEVERITIES as readonly string[]).includes(level)) fail(`no level ${level}`)
  const common: Common = {
    id: id!,
    name: textOf(body.name),
    title,
    description: textOf(body.description) ?? '',
    level: level as Severity,
    attack: (Array.isArray(body.tags) ? body.tags : [])
      .map((tag) => /^attack\.(t\d{4}(?:\.\d{3})?)$/i.exec(String(tag))?.[1]?.toUpperCase())
      .filter((one) => one !== undefined),
    status: textOf(body.status),
  }
  if (body.correlation !== undefined) return correlationOf(body.correlation, common, fail)
  const { logsource, detection } = body
  if (!isDictionary(logsource)) return fail('it has no logsource')
  for (const key of Object.keys(logsource))
    if (!['product', 'service', 'category', 'definition'].includes(key))
      fail(`logsource.${key} is not understood`)
  if (logsource.product !== 'custody') fail('logsource.product is not custody')
  if (!isDictionary(detection)) return fail('it has no detection')
  const { condition, timeframe, ...searches } = detection
  if (timeframe !== undefined) fail('timeframe is not understood; use a correlation')
  if (typeof condition !== 'string') fail('it has no condition, or several')
  if (Object.keys(searches).length === 0) fail('it searches for nothing')
  return {
    ...common,
    type: 'detection',
    service: textOf(logsource.service),
    category: textOf(logsource.category),
    searches: new Map(Object.entries(searches)),
    condition: condition as string,
  }
}

const UNITS: Record<string, number> = { s: 1, m: 60, h: 3600, d: 86_400 }
/** Longer than this nothing is remembered. */
export const TIMESPAN_DAYS_MAX = 7
export const COUNT_MAX = 1000

function correlationOf(
  body: unknown,
  common: Common,
  fail: (what: string) => never,
): CorrelationRule {
  if (!isDictionary(body)) return fail('its correlation is not a mapping')
  for (const key of Object.keys(body))
    if (
      !['type', 'rules', 'group-by', 'timespan', 'condition', 'aliases', 'generate'].includes(key)
    )
      fail(`correlation.${key} is not understood`)
  const type = textOf(body.type)
  if (!['event_count', 'value_count', 'temporal', 'temporal_ordered'].includes(type ?? ''))
    fail(`correlations of type ${type} are not understood`)
  const rules = listOf(body.rules)
  if (rules.length === 0) fail('it correlates no rules')
  const span = /^(\d{1,5})([smhd])$/.exec(textOf(body.timespan) ?? '')
  if (span === null) return fail('its timespan is not a number of s, m, h or d')
  const seconds = Number(span[1]) * UNITS[span[2]!]!
  if (seconds < 1 || seconds > TIMESPAN_DAYS_MAX * UNITS.d!)
    fail(`its timespan is longer than ${TIMESPAN_DAYS_MAX} days, or nothing`)
  let count = rules.length
  let field: string | null = null
  if (body.condition !== undefined) {
    if (type === 'temporal' || type === 'temporal_ordered')
      fail('conditions of temporal correlations are not understood')
    const { condition } = body
    if (!isDictionary(condition)) return fail('its condition is not a mapping')
    const { field: of, ...comparisons } = condition
    field = textOf(of)
    const [[operator, number] = [], ...more] = Object.entries(comparisons)
    // Too few of something is not seen in a stream but when its time is over; that is another kind of watch.
    if (more.length > 0 || (operator !== 'gte' && operator !== 'gt'))
      fail('its condition is not one of gte and gt')
    if (!Number.isInteger(number) || (number as number) < 0)
      fail('its condition is not a whole number')
    count = (number as number) + (operator === 'gt' ? 1 : 0)
    if (count < 1 || count > COUNT_MAX) fail(`it counts to more than ${COUNT_MAX}, or to nothing`)
  } else if (type === 'event_count' || type === 'value_count') fail('it has no condition')
  if ((type === 'value_count') !== (field !== null))
    fail('value_count, and nothing else, has a field')
  const aliases = new Map<string, Map<string, string>>()
  if (body.aliases !== undefined) {
    if (!isDictionary(body.aliases)) return fail('its aliases are not a mapping')
    for (const [alias, fields] of Object.entries(body.aliases)) {
      if (!isDictionary(fields)) return fail(`alias ${alias} is not a mapping`)
      aliases.set(
        alias,
        new Map(Object.entries(fields).map(([rule, name]) => [rule, String(name)])),
      )
    }
  }
  return {
    ...common,
    type: 'correlation',
    correlation: type as CorrelationType,
    rules,
    groupBy: listOf(body['group-by']),
    timespanMicros: seconds * 1e6,
    count,
    field,
    aliases,
    generate: body.generate === true,
  }
}

function textOf(value: unknown): string | null {
  if (value === undefined || value === null) return null
  if (typeof value === 'string' || typeof value === 'number') return String(value)
  throw new SigmaError(`${JSON.stringify(value).slice(0, 80)} is not a text`)
}

function listOf(value: unknown): string[] {
  if (value === undefined || value === null) return []
  return (Array.isArray(value) ? value : [value]).map((one) => {
    if (typeof one !== 'string') throw new SigmaError(`${JSON.stringify(one)} is not a name`)
    return one
  })
}
