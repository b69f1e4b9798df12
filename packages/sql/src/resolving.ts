/**
 * What every grammar keeps while it works out one statement: how much it has looked at, and which of its constants meet which
 * columns. Knows no statement; refuses to go on beyond its bound.
 */
import { merge, type Source, tainted, type Value } from './values'

/** Values looked at and merged for one statement; beyond, it is unknown. */
export const STEPS_MAX = 200_000
/** Texts may hold thousands of literals, which are looked at faster than what they meet. */
export const CONSTANTS_A_STEP = 8

/** Shared by all that is looked through for one statement: its views, too. */
export interface Steps {
  left: number
}

export class Exhausted extends Error {}

export abstract class Resolving {
  /** What constants, by their number, are compared with or become part of. */
  protected readonly meets = new Map<number, { sources: Set<Source>; unknown: string | null }>()

  constructor(protected readonly steps: Steps) {}

  /** Constants beside columns in one computation are compared with them, or become part of them. */
  protected meet(value: Value): void {
    if (value.constants.size === 0 || !tainted(value)) return
    this.step((value.constants.size * (1 + value.sources.size)) / CONSTANTS_A_STEP)
    for (const id of value.constants) {
      let known = this.meets.get(id)
      if (known === undefined) {
        known = { sources: new Set(), unknown: null }
        this.meets.set(id, known)
      }
      for (const source of value.sources) known.sources.add(source)
      known.unknown ??= value.unknown
    }
  }

  protected met(value: Value): Value {
    this.meet(value)
    return value
  }

  protected merge(values: readonly Value[]): Value {
    let size = 1
    for (const value of values) size += value.sources.size + value.constants.size / CONSTANTS_A_STEP
    this.step(size)
    return merge(values)
  }

  protected step(steps: number): void {
    this.steps.left -= steps
    if (this.steps.left < 0) throw new Exhausted(`more than ${STEPS_MAX} steps`)
  }
}
