/**
 * Tables from facts to fields, and what is made of them: the record, and the reference page's account of it. A row says where
 * a field's value comes from; what no row of a table mentions goes under the heading for Custody's own, so nothing is lost by
 * being forgotten.
 */
import { FACTS, type Fact, type FactName, type Facts, factOf, type Need } from './facts'
import type { Scalar, Value } from './tree'

export interface Row {
  /** The field. */
  to: string
  /** The fact that it has; or `always`, or `of` with `doc`. */
  from?: FactName
  /** What becomes of the fact's values; one that is not named here is left out. */
  through?: Readonly<Record<string, Scalar>>
  always?: Scalar | readonly string[]
  doc?: string
  of?(facts: Facts): Value | null | undefined
  /** Of a row with `of`: what it is read from. */
  needs?: Need
}

export const row = (to: string, from: FactName, through?: Row['through']): Row => ({
  to,
  from,
  ...(through && { through }),
})
export const always = (to: string, value: Scalar | readonly string[]): Row => ({
  to,
  always: value,
})
export const worked = (to: string, doc: string, of: NonNullable<Row['of']>): Row => ({
  to,
  doc,
  of,
})

/** What a row's value is read from; see facts.ts. */
export function needOf({ from, always: fixed, of, needs }: Row): Need {
  if (needs !== undefined) return needs
  if (of !== undefined || from === undefined) return fixed !== undefined ? 'session' : null
  return factOf(from).needs
}

/** Whether a row's text needs no looking into; see facts.ts. */
export function isPlain({ from, always: fixed, of, through }: Row): boolean {
  return of === undefined && fixed === undefined && (through !== undefined || factOf(from!).plain)
}

/** The type of a row's value, where it is known to be text or a number. */
export function typeOf({ from, always: fixed, of, through }: Row): 'text' | 'number' | undefined {
  if (of !== undefined || fixed !== undefined || through !== undefined) return undefined
  const { type } = factOf(from!)
  return type === 'text' || type === 'number' ? type : undefined
}

/** How a row reads its value. */
export function readerOf({ to, from, through, always: fixed, of }: Row): Fact['of'] {
  if (of !== undefined) return of
  if (fixed !== undefined) return () => fixed
  if (from === undefined) throw new TypeError(`${to} comes from nowhere`)
  const fact = factOf(from)
  if (through === undefined) return fact.of
  return (facts) => {
    const value = fact.of(facts)
    return typeof value === 'string' && Object.hasOwn(through, value) ? through[value] : undefined
  }
}

/** Facts whose value another has too, wherever there is one. */
export const COVERS: Readonly<Record<FactName, readonly FactName[]>> = {
  time: ['time.micros'],
  'actor.uid': ['who.subject'],
  'actor.ocsfGroups': ['who.groups'],
  'actor.application': ['path.clientApplication'],
  'email.address': ['who.email'],
  origin: ['path.clientAddress'],
  'gateway.name': ['path.gateway'],
  'resource.name': ['path.resource'],
}

/** Rows for all facts that none of the tables mentions, in the order of the facts. `covered` ones have their value elsewhere. */
export function restOf(
  tables: readonly (readonly Row[])[],
  to: (fact: Fact) => string,
  covered: readonly FactName[] = [],
): Row[] {
  const mentioned = new Set([
    ...covered,
    ...tables
      .flat()
      .flatMap(({ from, through }) =>
        through || from === undefined ? [] : [from, ...(COVERS[from] ?? [])],
      ),
  ])
  return [...FACTS.values()]
    .filter(({ name, derived }) => !derived && !mentioned.has(name))
    .map((fact) => row(to(fact), fact.name))
}

/** `decision.evaluationMicros` as decision.evaluation_micros. */
export const snake = (name: string): string =>
  name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)

/** `decision.evaluationMicros` as DecisionEvaluationMicros. */
export const pascal = (name: string): string =>
  name.replace(/(?:^|\.)([a-z])/g, (_, letter: string) => letter.toUpperCase())
