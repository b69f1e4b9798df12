/**
 * Which faults come when, from a seed: the same seed, the same plan. Pure; injects nothing.
 * Refuses to do two things to one part at once (a process that is stopped can't be judged for not dying), and more than
 * a few at the same time, so that there is a system left whose answers mean something.
 */

export interface FaultKind {
  /** As told to people: `kill broker`, `cut ingest-1–warehouse`. */
  name: string
  /** What it is done to; parts are busy while a fault on them lasts. */
  part: string
  durationMs: readonly [min: number, max: number]
  /** How often it comes, against 1 for others. */
  weight?: number
}

export interface Fault {
  kind: FaultKind
  /** From the beginning of the load. */
  atMs: number
  durationMs: number
  /** 0 to 1, for what the kind has to choose. */
  chance: number
}

export interface PlanOptions {
  kinds: readonly FaultKind[]
  faults: number
  /** The faults begin within this time. */
  spanMs: number
  random(): number
  /** Faults at the same time. */
  togetherMax?: number
}

/** No two faults begin closer than this. */
const APART_MS = 150
/** A part is left alone for so long after a fault on it, to get up again. */
const REST_MS = 1500

export function plan({ kinds, faults, spanMs, random, togetherMax = 3 }: PlanOptions): Fault[] {
  const planned: Fault[] = []
  const queue: FaultKind[] = []
  const busyUntil = new Map<string, number>()
  let at = 0
  for (let i = 0; i < faults; i++) {
    // Each round has every kind as often as its weight, in an order of its own: rare ones come as well.
    if (queue.length === 0) queue.push(...shuffled(round(kinds), random))
    // At even distances on average, so that what waits for a busy part pushes nothing behind the end.
    at = Math.max(at + APART_MS, ((i + random()) * spanMs) / faults)
    const under = planned
      .map((fault) => fault.atMs + fault.durationMs)
      .filter((end) => end > at)
      .sort((a, b) => a - b)
    if (under.length >= togetherMax) at = under[under.length - togetherMax]!
    let next = queue.findIndex(({ part }) => (busyUntil.get(part) ?? 0) <= at)
    if (next < 0) {
      next = 0
      at = busyUntil.get(queue[0]!.part)!
    }
    const [kind] = queue.splice(next, 1)
    const [min, max] = kind!.durationMs
    const fault = {
      kind: kind!,
      atMs: Math.round(at),
      durationMs: Math.round(min + random() * (max - min)),
      chance: random(),
    }
    planned.push(fault)
    busyUntil.set(kind!.part, fault.atMs + fault.durationMs + REST_MS)
  }
  return planned
}

function round(kinds: readonly FaultKind[]): FaultKind[] {
  return kinds.flatMap((kind) => Array<FaultKind>(kind.weight ?? 1).fill(kind))
}

function shuffled<T>(of: T[], random: () => number): T[] {
  for (let i = of.length - 1; i > 0; i--) {
    const j = Math.floor(random() * (i + 1))
    ;[of[i], of[j]] = [of[j]!, of[i]!]
  }
  return of
}
