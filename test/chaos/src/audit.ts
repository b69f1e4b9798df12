/**
 * The judgement: what the target ran, what clients saw, what the local logs hold, what Kafka holds and what the store
 * holds, laid beside each other. A pure function over what was read; it opens nothing and asks nobody.
 * Takes no place's word for what there should be: an event that any place has, every place must have, once, in order.
 */

/** One event as some place has it. */
export interface Entry {
  /** Identifier, 32 hexadecimal digits. */
  id: string
  recorder: string
  sequence: number
  session: string | null
  ordinal: number
  kind: string
  /** Identifier of the command that it belongs to. */
  command: string | null
  /** Of its predecessor in its recorder's chain, as it says itself. */
  previous: string
  /** SHA-256 of the whole message, where the place keeps messages whole. */
  digest: string | null
  /** Marks of the load found in its statement. */
  tags: readonly string[]
  /** Of a completion: how it ended. */
  status: string | null
}

export interface Evidence {
  /** Local logs: events in the order in which they lie there, by recorder. */
  log: ReadonlyMap<string, readonly Entry[]>
  /** The first sequence that each log says it still has, where retention freed what came before. */
  freed?: ReadonlyMap<string, number>
  /** Kafka: events in the order of their offsets, by partition. Null where there is no Kafka. */
  kafka: ReadonlyMap<number, readonly Entry[]> | null
  /** The store's rows, in any order. */
  store: readonly Entry[]
  /** Marks in the target's own statement log. */
  target: ReadonlySet<string>
  /** Marks of statements whose completion a client saw. */
  released: ReadonlySet<string>
  /** Marks of statements that a client was told would not run. */
  refused: ReadonlySet<string>
  /** Marks of statements that may run only when a person said so; and of these, those of which one did. */
  held: ReadonlySet<string>
  approved: ReadonlySet<string>
}

export type Place = 'log' | 'kafka' | 'store' | 'target' | 'clients'

export type Problem =
  /** Another place has it, or its neighbours show that it was there. */
  | 'lost'
  | 'duplicated'
  /** Not where its sequence in its recorder, or its ordinal in its session, belongs. */
  | 'reordered'
  /** The same event says different things in two places, or does not fit the chain. */
  | 'changed'
  /** A statement ran, or was seen to complete, and a place has no event of it. */
  | 'unrecorded'
  /** A statement ran that was refused, or held and never approved; or the record says it completed and it never ran. */
  | 'untrue'

export interface Finding {
  place: Place
  problem: Problem
  detail: string
}

export interface PlaceCounts {
  events: number
  lost: number
  duplicated: number
  reordered: number
  changed: number
}

export interface Audit {
  log: PlaceCounts
  kafka: PlaceCounts | null
  store: PlaceCounts
  /** Statements that the target logged. */
  statements: number
  /** … of these without an event in the log, and in the store. */
  unrecordedLog: number
  unrecordedStore: number
  /** Completions that clients saw. */
  released: number
  /** … of these without a completing event in the log, and in the store. */
  unrecordedReleasedLog: number
  unrecordedReleasedStore: number
  refused: number
  /** Refused, and ran all the same. */
  refusedButRan: number
  held: number
  approved: number
  /** Held and not approved, and ran all the same. */
  heldButRan: number
  /** Completed by the record with an answer, and the target knows nothing of it. */
  completedButNotRun: number
  /** Commands that recovery closed with an unknown outcome. */
  outcomeUnknown: number
  findings: Finding[]
  /** All findings are here; otherwise only the first of each place and problem. */
  findingsCut: boolean
}

/** Findings of one problem at one place that are told one by one; all are counted. */
const TOLD_MAX = 20

export function audit(evidence: Evidence): Audit {
  const findings: Finding[] = []
  const told = new Map<string, number>()
  let findingsCut = false
  const find = (place: Place, problem: Problem, detail: string) => {
    const key = `${place} ${problem}`
    const n = (told.get(key) ?? 0) + 1
    told.set(key, n)
    if (n <= TOLD_MAX) findings.push({ place, problem, detail })
    else findingsCut = true
  }

  const freed = evidence.freed ?? new Map<string, number>()
  const places: { place: Place; entries: readonly Entry[]; from: ReadonlyMap<string, number> }[] = [
    { place: 'log', entries: [...evidence.log.values()].flat(), from: freed },
  ]
  if (evidence.kafka)
    places.push({
      place: 'kafka',
      entries: [...evidence.kafka.values()].flat(),
      from: new Map(),
    })
  places.push({ place: 'store', entries: evidence.store, from: new Map() })

  // What there is: the first word on each event, which every other place is held against.
  const known = new Map<string, Entry>()
  for (const { entries } of places)
    for (const entry of entries) if (!known.has(entry.id)) known.set(entry.id, entry)
  const lastSequence = new Map<string, number>()
  const bySequence = new Map<string, Entry>()
  for (const entry of known.values()) {
    lastSequence.set(
      entry.recorder,
      Math.max(entry.sequence, lastSequence.get(entry.recorder) ?? -1),
    )
    const key = `${entry.recorder} ${entry.sequence}`
    const other = bySequence.get(key)
    if (other)
      find('log', 'changed', `${named(entry)} and ${named(other)} have the same place in one chain`)
    else bySequence.set(key, entry)
  }

  const counted = new Map<Place, PlaceCounts>()
  for (const { place, entries, from } of places) {
    const counts: PlaceCounts = {
      events: entries.length,
      lost: 0,
      duplicated: 0,
      reordered: 0,
      changed: 0,
    }
    counted.set(place, counts)
    const seen = new Set<string>()
    for (const entry of entries) {
      if (seen.has(entry.id)) {
        counts.duplicated++
        find(place, 'duplicated', named(entry))
      }
      seen.add(entry.id)
      const first = known.get(entry.id)!
      if (entry.sequence !== first.sequence || entry.ordinal !== first.ordinal) {
        counts.reordered++
        find(
          place,
          'reordered',
          `${named(first)} is number ${entry.sequence}, ${entry.ordinal} of its session here`,
        )
      } else {
        const different = differs(entry, first)
        if (different !== null) {
          counts.changed++
          find(place, 'changed', `${named(first)}: ${different}`)
        }
      }
    }
    for (const entry of known.values())
      if (!seen.has(entry.id) && entry.sequence >= (from.get(entry.recorder) ?? 0)) {
        counts.lost++
        find(place, 'lost', named(entry))
      }
  }
  // What no place has, its neighbours in the chain still know of.
  const logCounts = counted.get('log')!
  for (const [recorder, last] of lastSequence)
    for (let sequence = freed.get(recorder) ?? 0; sequence < last; sequence++)
      if (!bySequence.has(`${recorder} ${sequence}`)) {
        logCounts.lost++
        find('log', 'lost', `${recorder} ${sequence}, which no place has`)
      }

  chains(evidence.log, logCounts, find)
  for (const [recorder, entries] of evidence.log)
    order(`the log of ${recorder}`, entries, new Map(), logCounts, (detail) =>
      find('log', 'reordered', detail),
    )
  if (evidence.kafka) {
    const homes = beginnings(evidence.kafka)
    for (const [partition, entries] of evidence.kafka)
      order(queueOf(partition), entries, homes, counted.get('kafka')!, (detail) =>
        find('kafka', 'reordered', detail),
      )
  }

  const inLog = commands([...evidence.log.values()].flat())
  const inStore = commands(evidence.store)
  const count = (
    of: Iterable<string>,
    isWrong: (tag: string) => boolean,
    place: Place,
    problem: Problem,
    says: string,
  ): number => {
    let n = 0
    for (const tag of of)
      if (isWrong(tag)) {
        n++
        find(place, problem, `${tag} ${says}`)
      }
    return n
  }
  const { target, released, refused, held, approved } = evidence
  return {
    log: logCounts,
    kafka: counted.get('kafka') ?? null,
    store: counted.get('store')!,
    statements: target.size,
    unrecordedLog: count(
      target,
      (tag) => !inLog.started.has(tag),
      'log',
      'unrecorded',
      'ran and has no event',
    ),
    unrecordedStore: count(
      target,
      (tag) => !inStore.started.has(tag),
      'store',
      'unrecorded',
      'ran and has no row',
    ),
    released: released.size,
    unrecordedReleasedLog: count(
      released,
      (tag) => !inLog.completed.has(tag),
      'log',
      'unrecorded',
      'was seen to complete, which no event says',
    ),
    unrecordedReleasedStore: count(
      released,
      (tag) => !inStore.completed.has(tag),
      'store',
      'unrecorded',
      'was seen to complete, which no row says',
    ),
    refused: refused.size,
    refusedButRan: count(
      refused,
      (tag) => target.has(tag),
      'target',
      'untrue',
      'was refused and ran',
    ),
    held: held.size,
    approved: approved.size,
    heldButRan: count(
      held,
      (tag) => target.has(tag) && !approved.has(tag),
      'target',
      'untrue',
      'was held, not approved, and ran',
    ),
    completedButNotRun: count(
      inLog.completed,
      (tag) => !target.has(tag),
      'log',
      'untrue',
      'completed by the record and never ran',
    ),
    outcomeUnknown: inLog.unknown,
    findings,
    findingsCut,
  }
}

/** True where no promise is broken. Duplicates in Kafka are none: who reads it drops them. */
export function holds(a: Audit): boolean {
  const clean = (counts: PlaceCounts | null) =>
    counts === null || (counts.lost === 0 && counts.reordered === 0 && counts.changed === 0)
  return (
    clean(a.log) &&
    clean(a.kafka) &&
    clean(a.store) &&
    a.log.duplicated === 0 &&
    a.store.duplicated === 0 &&
    a.unrecordedLog === 0 &&
    a.unrecordedStore === 0 &&
    a.unrecordedReleasedLog === 0 &&
    a.unrecordedReleasedStore === 0 &&
    a.refusedButRan === 0 &&
    a.heldButRan === 0 &&
    a.completedButNotRun === 0 &&
    !a.findings.some(({ place, problem }) => !(place === 'kafka' && problem === 'duplicated'))
  )
}

/** Every event names the digest of the one before it. */
function chains(
  log: Evidence['log'],
  counts: PlaceCounts,
  find: (place: Place, problem: Problem, detail: string) => void,
): void {
  for (const entries of log.values()) {
    let before: Entry | null = null
    for (const entry of entries) {
      if (
        before !== null &&
        entry.sequence === before.sequence + 1 &&
        before.digest !== null &&
        entry.previous !== before.digest
      ) {
        counts.changed++
        find('log', 'changed', `${named(entry)} does not follow ${named(before)}`)
      }
      before = entry
    }
  }
}

/**
 * A recorder's sequences and a session's ordinals only rise in one queue, and a session is in one. What comes a second
 * time is a duplicate, counted elsewhere; what comes for the first time behind a later one is out of order.
 */
function order(
  queue: string,
  entries: readonly Entry[],
  homes: ReadonlyMap<string, string>,
  counts: PlaceCounts,
  find: (detail: string) => void,
): void {
  const seen = new Set<string>()
  const recorders = new Map<string, number>()
  const sessions = new Map<string, number>()
  for (const entry of entries) {
    if (seen.has(entry.id)) continue
    seen.add(entry.id)
    const { session } = entry
    const bySequence = recorders.get(entry.recorder) ?? -1
    const byOrdinal = session === null ? -1 : (sessions.get(session) ?? -1)
    const home = session === null ? undefined : homes.get(session)
    let wrong: string | null = null
    if (home !== undefined && home !== queue) wrong = `is in ${queue}, its session began in ${home}`
    else if (entry.sequence < bySequence) wrong = `comes behind number ${bySequence} in ${queue}`
    else if (session !== null && entry.ordinal < byOrdinal)
      wrong = `comes behind number ${byOrdinal} of its session in ${queue}`
    if (wrong !== null) {
      counts.reordered++
      find(`${named(entry)} ${wrong}`)
    }
    recorders.set(entry.recorder, Math.max(bySequence, entry.sequence))
    if (session !== null) sessions.set(session, Math.max(byOrdinal, entry.ordinal))
  }
}

/** In which queue each session begins. */
function beginnings(kafka: ReadonlyMap<number, readonly Entry[]>): Map<string, string> {
  const least = new Map<string, number>()
  const homes = new Map<string, string>()
  for (const [partition, entries] of kafka)
    for (const { session, ordinal } of entries)
      if (session !== null && ordinal < (least.get(session) ?? Number.POSITIVE_INFINITY)) {
        least.set(session, ordinal)
        homes.set(session, queueOf(partition))
      }
  return homes
}

function queueOf(partition: number): string {
  return `partition ${partition}`
}

function differs(a: Entry, b: Entry): string | null {
  for (const field of ['recorder', 'session', 'kind', 'command', 'previous', 'status'] as const)
    if (a[field] !== b[field]) return `${field} is ${a[field]}, elsewhere ${b[field]}`
  if (a.digest !== null && b.digest !== null && a.digest !== b.digest)
    return `its bytes are others than elsewhere`
  if (a.tags.join() !== b.tags.join()) return `its statement is another than elsewhere`
  return null
}

/** Which marked statements a place says were started, and which it says completed with an answer. */
function commands(entries: readonly Entry[]): {
  started: Set<string>
  completed: Set<string>
  unknown: number
} {
  const tags = new Map<string, readonly string[]>()
  const started = new Set<string>()
  for (const entry of entries)
    if (entry.kind === 'command.started') {
      tags.set(entry.id, entry.tags)
      for (const tag of entry.tags) started.add(tag)
    }
  const completed = new Set<string>()
  let unknown = 0
  for (const entry of entries)
    if (entry.kind === 'command.completed') {
      if (entry.status === 'unknown') unknown++
      else if (entry.status === 'ok')
        for (const tag of tags.get(entry.command ?? '') ?? []) completed.add(tag)
    }
  return { started, completed, unknown }
}

function named(entry: Entry): string {
  return `${entry.recorder} ${entry.sequence} (${entry.kind} ${entry.id})`
}
