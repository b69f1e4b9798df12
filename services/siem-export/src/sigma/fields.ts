/**
 * An event as rules see it: the facts of docs/reference/siem-fields.md by their names, uncut. What is a list is matched by any of its
 * items; maps by `name=value`. Each is read once an event, however many rules ask.
 */
import type { Event } from '@custody/schemas'
import { FACTS, Facts } from '../formats/facts'
import type { Value } from '../formats/tree'
import { SigmaError } from './rule'

const LIMITS = {
  statementBytesMax: Number.POSITIVE_INFINITY,
  valueBytesMax: 64 * 1024,
  outputs: 'data' as const,
  consoleUrl: null,
  version: '',
}

export type Item = string | number | boolean

const numbers = new Map([...FACTS.keys()].map((name, i) => [name, i]))
const readers = [...FACTS.values()].map(({ of }) => of)
const NOTHING: readonly Item[] = []

/** Throws a SigmaError where there is no such fact. */
export function fieldNumber(name: string): number {
  const number = numbers.get(name)
  if (number === undefined) throw new SigmaError(`no field ${name}`)
  return number
}

export class Fields {
  private readonly facts: Facts
  private readonly known: (readonly Item[] | undefined)[] = []
  private readonly small: (readonly string[] | undefined)[] = []

  constructor(readonly event: Event) {
    this.facts = new Facts(event, {}, LIMITS)
  }

  get domain(): string {
    return this.facts.domain
  }

  /** Its values; none where the event has not that field. */
  values(field: number): readonly Item[] {
    const known = this.known[field]
    if (known !== undefined) return known
    const found = itemsOf(readers[field]!(this.facts))
    this.known[field] = found
    return found
  }

  /** The same as text in lower case. */
  lower(field: number): readonly string[] {
    const known = this.small[field]
    if (known !== undefined) return known
    const found = this.values(field).map((item) => String(item).toLowerCase())
    this.small[field] = found
    return found
  }
}

function itemsOf(value: Value | null | undefined): readonly Item[] {
  if (value === undefined || value === null) return NOTHING
  if (typeof value !== 'object') return [value]
  if (!Array.isArray(value)) return Object.entries(value).map(([name, one]) => `${name}=${one}`)
  return value.map((item) => (typeof item === 'string' ? item : JSON.stringify(item)))
}
