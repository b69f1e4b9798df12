/**
 * Compares the places an event goes through, one with the next: log, Kafka (where there is one), store. What was committed
 * as carried on must have arrived; nothing else may be there; every session and every recorder is one unbroken run.
 * Safe on a system at work: what is on its way is counted, not taken for lost.
 */
import type { ClickHouseClient } from '@clickhouse/client'
import { uuidText } from '@custody/schemas'
import {
  addedIn,
  type Finding,
  gapsOf,
  isEqual,
  missingIn,
  type Place,
  type Problem,
  rangesOf,
} from './compare'
import {
  type KafkaPlace,
  type Progress,
  readKafka,
  readLog,
  type Scope,
  type Seen,
  visitKafka,
  visitLog,
  visitNew,
  wholeSince,
} from './places'
import { brokenSessions, rowsOf, type StoreScope, sumsOf, tableOf } from './store'
import { BUCKET_EVENTS, foldOf, Tally } from './tally'

export interface PipelineOptions {
  /** CUSTODY_HOME/log, where recorders of this host write; null where there is none. */
  logDirectory: string | null
  kafka: KafkaPlace | null
  client: ClickHouseClient
  /** Ingest's consumer group at Kafka. */
  group?: string
  /** Only what happened at or after this moment; later where Kafka's retention has taken away more. */
  sinceMicros?: number | null
  /** What retention may have taken out of the store: the same rule as a function and as SQL. */
  expired?: { of(timeMicros: number, kind: string): boolean; sql: string } | null
  progress?: (line: string) => void
  nowMs?: () => number
}

export interface RecorderCounts {
  recorder: string
  /** Events in the period that is compared; null where the place was not looked at or has no such recorder. */
  log: number | null
  kafka: number | null
  store: number
  /** Recorded and not yet in Kafka; in Kafka (or the log) and not yet in the store. */
  toKafka: number | null
  toStore: number
  /** Sent to Kafka more than once, which ingest leaves out. */
  again: number
}

export interface PipelineResult {
  ok: boolean
  places: Place[]
  sinceMicros: number | null
  recorders: RecorderCounts[]
  findings: Finding[]
  /** Findings beyond those told. */
  more: number
}

/** The consumers by which logs are carried on. */
const TO_KAFKA = 'kafka'
const TO_STORE = 'ingest'
const FINDINGS_MAX = 1000
/** Holes told; each is compared with every event. */
const GAPS_MAX = 100
/** Younger events than this before a hole may have overtaken what is still on its way. */
const OVERTAKEN_MS_MAX = 60_000
/** Rows of a batch become visible together, batches beside each other not. */
const SETTLE_TRIES = 5
const SETTLE_MS = 1000

export async function verifyPipeline(o: PipelineOptions): Promise<PipelineResult> {
  const { logDirectory, kafka, client, group = 'custody-ingest' } = o
  const whole = kafka ? await wholeSince(kafka, group) : null
  const sinceMicros = whole === null ? (o.sinceMicros ?? null) : Math.max(whole, o.sinceMicros ?? 0)
  const expired = o.expired ?? null
  const startedMicros = (o.nowMs ?? Date.now)() * 1000
  const scope: Scope = (time, kind) =>
    (sinceMicros === null || time >= sinceMicros) && !expired?.of(time, kind)
  const storeScope: StoreScope = {
    table: await tableOf(client),
    sinceMicros,
    expired: expired?.sql ?? null,
  }
  const collected: Finding[] = []

  const log = logDirectory
    ? await readLog(logDirectory, kafka ? TO_KAFKA : TO_STORE, scope, counter('the log', o))
    : null
  const topic = kafka ? await readKafka(kafka, group, scope, counter('Kafka', o)) : null
  const upstream = topic ?? log
  if (upstream === null) throw new RangeError('neither a log nor Kafka to compare the store with')
  for (const seen of [log, topic]) if (seen) collected.push(...seen.findings)

  o.progress?.('asking the store')
  const sums = await sumsOf(client, storeScope)
  const notes = new Notes()
  /** Of Kafka, the folds of buckets that have what the log has, by their sequences, and are not the same. */
  const otherwise = new Map<string, Map<number, Map<number, bigint>>>()

  if (log && topic)
    for (const [recorder, tally] of log.tallies.byRecorder) {
      const there = topic.tallies.byRecorder.get(recorder)
      for (const range of rangesOf(missingIn(tally, there)))
        notes.add('missing', 'kafka', recorder, range, 'in the log, acknowledged, and not in Kafka')
      if (there)
        for (const range of rangesOf(addedIn(there, tally, tally.first)))
          notes.add('added', 'kafka', recorder, range, 'in Kafka and not in the log')
      if (there) differ(recorder, tally, there)
    }
  if (kafka && topic && otherwise.size > 0)
    await visitKafka(kafka, topic.ends, group, ({ recorder, sequence, id, previous }) => {
      otherwise
        .get(recorder)
        ?.get(Math.floor(sequence / BUCKET_EVENTS))
        ?.set(sequence, foldOf(id, previous))
    })
  for (const [recorder, buckets] of otherwise)
    for (const [bucket, folds] of buckets) notes.suspect('kafka', recorder, bucket, folds)

  const recorders = [
    ...new Set([
      ...(log?.tallies.byRecorder.keys() ?? []),
      ...upstream.tallies.byRecorder.keys(),
      ...sums.keys(),
    ]),
  ].sort()
  const counts: RecorderCounts[] = []
  for (const recorder of recorders) {
    const own = upstream.tallies.byRecorder.get(recorder)
    const inLog = log?.tallies.byRecorder.get(recorder)
    const inStore = sums.get(recorder) ?? new Map()
    if (own) await compareStore(recorder, own, inStore)
    else if (topic) await unknown(recorder, [...inStore.keys()])
    // A hole that nobody can fill any more: younger events are long through.
    if (own && (topic || inLog)) findGaps(recorder, own, inLog, topic === null)
    let rows = 0
    for (const one of inStore.values()) rows += one.rows
    const logCount = inLog ? inScopeOf(inLog) : null
    const ownCount = own ? inScopeOf(own) : 0
    counts.push({
      recorder,
      log: logCount,
      kafka: topic ? ownCount : null,
      store: rows,
      toKafka: topic && inLog ? waiting(inLog, own) : null,
      toStore: Math.max(0, ownCount - rows),
      again: topic && own ? [...own.duplicates.values()].reduce((sum, n) => sum + n - 1, 0) : 0,
    })
  }
  await sessionsOfStore()
  await name(notes, log, topic)
  collected.push(...notes.findings)
  return {
    ok: collected.length === 0,
    places: [
      ...(log ? (['log'] as const) : []),
      ...(topic ? (['kafka'] as const) : []),
      'store' as const,
    ],
    sinceMicros,
    recorders: counts,
    findings: collected.slice(0, FINDINGS_MAX),
    more: Math.max(0, collected.length - FINDINGS_MAX),
  }

  function differ(recorder: string, inLog: Tally, inKafka: Tally): void {
    for (const [index, bucket] of inLog.buckets) {
      const there = inKafka.buckets.get(index)
      if (!there || bucket.fold === there.fold || !bucket.inScope.equals(there.inScope)) continue
      const own = otherwise.get(recorder) ?? new Map<number, Map<number, bigint>>()
      own.set(index, new Map())
      otherwise.set(recorder, own)
    }
  }

  async function compareStore(
    recorder: string,
    own: Tally,
    inStore: Map<number, { rows: number; sequences: number; fold: bigint }>,
  ): Promise<void> {
    const unequal = [...new Set([...own.buckets.keys(), ...inStore.keys()])].filter(
      (index) =>
        index >= 0 &&
        !isEqual(own.buckets.get(index), inStore.get(index)) &&
        index * BUCKET_EVENTS <= own.last,
    )
    if (inStore.has(-1))
      notes.add('added', 'store', recorder, { from: -1, to: -1 }, 'no recorder counts below 0')
    if (unequal.length === 0) return
    const { tally, folds, times } = await rowsOf(client, storeScope, recorder, unequal)
    const part = new Tally()
    for (const index of unequal) {
      const bucket = own.buckets.get(index)
      if (bucket) part.buckets.set(index, bucket)
    }
    part.first = own.first
    part.last = own.last
    const before = topic ? 'in Kafka' : 'in the log'
    const missing = missingIn(part, tally)
    for (const range of rangesOf(missing))
      notes.add('missing', 'store', recorder, range, `${before}, committed, and not in the store`)
    for (const range of rangesOf(tally.duplicates.keys()))
      notes.add('duplicate', 'store', recorder, range, 'more than one row')
    // Behind what was read then; that may have grown since.
    const settled = startedMicros - OVERTAKEN_MS_MAX * 1000
    const added = addedIn(tally, part, own.first).filter((one) => times.get(one)! < settled)
    if (added.length > 0) {
      const late = new Set<number>()
      if (kafka && topic)
        await visitNew(kafka, topic.ends, group, (envelope) => {
          if (envelope.recorder === recorder) late.add(envelope.sequence)
        })
      for (const range of rangesOf(added.filter((one) => !late.has(one))))
        notes.add('added', 'store', recorder, range, `in the store and not ${before}`)
    }
    // The same sequences, but another identifier or link: which, is told by a second look.
    for (const index of unequal) {
      const bucket = part.buckets.get(index)
      const there = tally.buckets.get(index)
      if (bucket && there && bucket.inScope.equals(there.inScope) && bucket.fold !== there.fold)
        notes.suspect('store', recorder, index, folds)
    }
  }

  /** Without Kafka it may be a recorder of another home; with it, nobody can have recorded these. */
  async function unknown(recorder: string, buckets: readonly number[]): Promise<void> {
    let isNew = false
    if (kafka && topic)
      await visitNew(kafka, topic.ends, group, (envelope) => {
        isNew ||= envelope.recorder === recorder
      })
    if (isNew) return
    const range = {
      from: Math.min(...buckets) * BUCKET_EVENTS,
      to: (Math.max(...buckets) + 1) * BUCKET_EVENTS - 1,
    }
    notes.add('added', 'store', recorder, range, 'Kafka has nothing of this recorder')
  }

  function findGaps(
    recorder: string,
    own: Tally,
    inLog: Tally | undefined,
    logOnly: boolean,
  ): void {
    const tallies = inLog && inLog !== own ? [own, inLog] : [own]
    // Kafka's retention leaves holes before the period that is compared.
    const begin = logOnly ? own.first : firstInScope(own)
    const gaps = gapsOf(tallies).filter((sequence) => sequence > begin)
    for (const range of rangesOf(gaps)) notes.gap(recorder, range, logOnly ? 'log' : 'kafka')
  }

  async function sessionsOfStore(): Promise<void> {
    for (let tries = 1; ; tries++) {
      const broken = await brokenSessions(client, storeScope, FINDINGS_MAX)
      if (broken.length > 0 && tries < SETTLE_TRIES) {
        await new Promise((resolve) => setTimeout(resolve, SETTLE_MS))
        continue
      }
      for (const { session, recorder, rows, first, last } of broken)
        collected.push({
          problem: 'gap',
          place: 'store',
          recorder,
          from: first,
          to: last,
          session: uuidText(Buffer.from(session, 'hex')),
          detail: `${rows} rows for the session's events ${first} to ${last}`,
        })
      return
    }
  }

  /** A second look at what goes before the store, for the events that have to be named. */
  async function name(all: Notes, fromLog: Seen | null, fromTopic: Seen | null): Promise<void> {
    if (all.isEmpty) return
    o.progress?.('looking again at what differs')
    if (fromLog && logDirectory) await visitLog(logDirectory, (envelope) => all.see(envelope))
    if (fromTopic && kafka)
      await visitKafka(kafka, fromTopic.ends, group, (envelope) => all.see(envelope))
    all.settle(startedMicros - OVERTAKEN_MS_MAX * 1000)
  }
}

function counter(place: string, { progress }: PipelineOptions): Progress {
  let events = 0
  let told = 0
  return (more) => {
    events += more
    if (events - told < 1_000_000) return
    told = events
    progress?.(`${place}: ${events} events`)
  }
}

function inScopeOf(tally: Tally): number {
  let count = 0
  for (const bucket of tally.buckets.values()) count += bucket.count
  return count
}

function firstInScope(tally: Tally): number {
  for (const index of [...tally.buckets.keys()].sort((a, b) => a - b)) {
    const bucket = tally.buckets.get(index)!
    if (bucket.count === 0) continue
    for (let at = 0; at < BUCKET_EVENTS; at++)
      if (tally.bit('inScope', index * BUCKET_EVENTS + at)) return index * BUCKET_EVENTS + at
  }
  return Number.POSITIVE_INFINITY
}

/** In scope of the log and not in Kafka. */
function waiting(inLog: Tally, there: Tally | undefined): number {
  let count = 0
  for (const [index, { inScope, count: n }] of inLog.buckets) {
    if (n === 0) continue
    const seen = there?.buckets.get(index)?.seen
    for (let byte = 0; byte < inScope.length; byte++)
      count += ones(inScope[byte]! & ~(seen?.[byte] ?? 0))
  }
  return count
}

function ones(bits: number): number {
  let count = 0
  for (let left = bits; left !== 0; left &= left - 1) count++
  return count
}

interface Note {
  problem: Problem
  place: Place
  recorder: string
  from: number
  to: number
  why: string
  session: string | null
  first: string | null
}

const CHANGED = 'another identifier, or another link to the event before'

/** A few thousand events of a recorder whose sums are not what they should be. */
interface Suspect {
  place: Place
  recorder: string
  bucket: number
  folds: Map<number, bigint>
  changed: Set<number>
}

interface Seeing {
  recorder: string
  sequence: number
  id: Buffer
  previous: Buffer
  time: number
  kind: string
  session: Buffer | null
}

/** What was found, until it is known which events it is about. */
class Notes {
  private readonly notes: Note[] = []
  private readonly gaps: { note: Note; youngestMicros: number }[] = []
  private readonly suspects: Suspect[] = []
  private readonly open = new Map<string, Note[]>()

  get isEmpty(): boolean {
    return this.notes.length === 0 && this.gaps.length === 0 && this.suspects.length === 0
  }

  add(
    problem: Problem,
    place: Place,
    recorder: string,
    range: { from: number; to: number },
    why: string,
  ): Note {
    const note = { problem, place, recorder, ...range, why, session: null, first: null }
    this.notes.push(note)
    if (this.notes.length <= FINDINGS_MAX) this.wait(note)
    return note
  }

  gap(recorder: string, range: { from: number; to: number }, place: Place): void {
    const note: Note = {
      problem: 'gap',
      place,
      recorder,
      ...range,
      why: 'nowhere, although later ones of the recorder are there',
      session: null,
      first: null,
    }
    if (this.gaps.length < GAPS_MAX)
      this.gaps.push({ note, youngestMicros: Number.POSITIVE_INFINITY })
  }

  /** Some of these differ from what went before; `folds` is what the place itself says. */
  suspect(place: Place, recorder: string, bucket: number, folds: Map<number, bigint>): void {
    this.suspects.push({ place, recorder, bucket, folds, changed: new Set() })
  }

  see(event: Seeing): void {
    const { recorder, sequence } = event
    for (const suspect of this.suspects) {
      if (suspect.recorder !== recorder) continue
      if (suspect.bucket !== Math.floor(sequence / BUCKET_EVENTS)) continue
      const there = suspect.folds.get(sequence)
      if (there !== undefined && there !== foldOf(event.id, event.previous))
        suspect.changed.add(sequence)
    }
    for (const gap of this.gaps)
      if (gap.note.recorder === recorder && sequence > gap.note.to)
        gap.youngestMicros = Math.min(gap.youngestMicros, event.time)
    for (const note of this.open.get(recorder) ?? [])
      if (note.first === null && sequence === note.from) {
        note.session = event.session && uuidText(event.session)
        note.first = `${event.kind} at ${new Date(event.time / 1000).toISOString()}`
      }
  }

  /** Holes before events that are young may still be filled. */
  settle(settledMicros: number): void {
    for (const { note, youngestMicros } of this.gaps)
      if (youngestMicros < settledMicros) this.notes.push(note)
    for (const { place, recorder, changed } of this.suspects)
      for (const range of rangesOf(changed)) this.add('changed', place, recorder, range, CHANGED)
  }

  get findings(): Finding[] {
    return this.notes.map(({ problem, place, recorder, from, to, why, session, first }) => ({
      problem,
      place,
      recorder,
      from,
      to,
      session,
      detail: first === null ? why : `${why} (the first is ${first})`,
    }))
  }

  private wait(note: Note): void {
    const own = this.open.get(note.recorder) ?? []
    own.push(note)
    this.open.set(note.recorder, own)
  }
}
