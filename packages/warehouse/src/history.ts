/**
 * All events that there are, wherever they lie: in `custody.events`, in a month's table while it is being moved, or in cold
 * files. The catalogue `custody.cold` says which; it is only ever added to, so that one look at it is one state.
 * Refuses to answer while rows are between two tables: a reader waits for that moment to be over, and what it read is read
 * again if the catalogue has moved meanwhile (as with a sequence lock), so that no row is missed or seen twice.
 */
import { type ClickHouseClient, ClickHouseError } from '@clickhouse/client'
import { CustodyError, type WarehouseSettings } from '@custody/kit'
import { expiresMicros } from './retention'

export const EVENTS = 'custody.events'

export interface ColdFile {
  /** The table that is this file, without `custody.`. */
  relation: string
  name: string
  keepDays: number
  rows: number
  bytes: number
  firstMicros: number
  lastMicros: number
  digest: string
  sha256: string
}

export type Step = 'moving' | 'staged' | 'abandoned' | 'committed' | 'dropped'

export interface Run {
  run: string
  /** 202601 */
  month: number
  step: Step
  /** Of the attempt that counts, once there is one. */
  attempt: string
  files: ColdFile[]
  /** Who noted the last step, and when. */
  by: string
  notedMs: number
  rows: number
  /** Rows that were not written because their time was over or they were cold already. */
  dropped: number
}

interface Note {
  run: string
  attempt: string
  month: number
  step: Step
  micros: number
  rows: number
  dropped: number
  files: {
    relation: string
    name: string
    keep_days: number
    rows: number
    bytes: number
    firstMicros: number
    lastMicros: number
    digest: string
    sha256: string
  }[]
}

export const stagingOf = (run: string) => `moving_${run}`

/** Runs by their notes, in the order in which they began. */
export async function loadCatalogue(client: ClickHouseClient): Promise<Run[]> {
  const result = await client.query({
    query: `SELECT run, attempt, month, step, toUnixTimestamp64Micro(noted) AS micros, rows, dropped,
  arrayMap(f -> CAST(tuple(f.relation, f.name, f.keep_days, f.rows, f.bytes, toUnixTimestamp64Micro(f.first), toUnixTimestamp64Micro(f.last), f.digest, f.sha256),
    'Tuple(relation String, name String, keep_days UInt32, rows UInt64, bytes UInt64, firstMicros Int64, lastMicros Int64, digest String, sha256 String)'), files) AS files
FROM custody.cold ORDER BY micros, attempt, step`,
    format: 'JSONEachRow',
    clickhouse_settings: {
      output_format_json_quote_64bit_integers: 0,
      output_format_json_named_tuples_as_objects: 1,
    },
  })
  return fold(await result.json<Note>())
}

const ORDER: Step[] = ['moving', 'staged', 'abandoned', 'committed', 'dropped']

export function fold(notes: readonly Note[]): Run[] {
  const runs = new Map<string, Run>()
  for (const note of notes) {
    const run: Run = runs.get(note.run) ?? {
      run: note.run,
      month: note.month,
      step: note.step,
      attempt: '',
      files: [],
      by: '',
      notedMs: 0,
      rows: 0,
      dropped: 0,
    }
    runs.set(note.run, run)
    // Whoever committed first counts; another attempt has the same rows in files of its own.
    if (note.step === 'committed' && run.attempt === '') {
      run.attempt = note.attempt
      run.rows = note.rows
      run.dropped = note.dropped
      run.files = note.files.map(({ keep_days, ...file }) => ({ ...file, keepDays: keep_days }))
    }
    if (ORDER.indexOf(note.step) >= ORDER.indexOf(run.step)) run.step = note.step
    run.by = note.attempt
    run.notedMs = Math.max(run.notedMs, note.micros / 1000)
  }
  return [...runs.values()]
}

export interface Period {
  sinceMicros?: number | undefined
  untilMicros?: number | undefined
}

/** First microsecond of a month such as 202601, and of the one behind it. */
export function monthMicros(month: number): { from: number; to: number } {
  const year = Math.floor(month / 100)
  const index = (month % 100) - 1
  return { from: Date.UTC(year, index) * 1000, to: Date.UTC(year, index + 1) * 1000 }
}

/** Months from which on nothing is moved yet at this moment: the first microsecond of the first of them. */
export function boundaryMicros(afterDays: number, nowMs: number): number {
  const at = new Date(nowMs - afterDays * 86_400_000)
  return Date.UTC(at.getUTCFullYear(), at.getUTCMonth()) * 1000
}

function touches(run: Run, { sinceMicros, untilMicros }: Period): boolean {
  const { from, to } = monthMicros(run.month)
  return (
    (sinceMicros ?? Number.NEGATIVE_INFINITY) < to &&
    (untilMicros ?? Number.POSITIVE_INFINITY) > from
  )
}

/** What to read in the place of `custody.events`; null while a month of the period is between two tables. */
export function relationsOf(runs: readonly Run[], period: Period, nowMs: number): string[] | null {
  const found = [EVENTS]
  for (const run of runs) {
    if (!touches(run, period)) continue
    if (run.step === 'moving') return null
    if (run.step === 'staged') found.push(`custody.${stagingOf(run.run)}`)
    for (const file of run.files) {
      if (expiresMicros(file.lastMicros, file.keepDays) <= nowMs * 1000) continue
      if (file.lastMicros < (period.sinceMicros ?? Number.NEGATIVE_INFINITY)) continue
      if (file.firstMicros > (period.untilMicros ?? Number.POSITIVE_INFINITY)) continue
      found.push(`custody.${file.relation}`)
    }
  }
  return found
}

export function unionOf(relations: readonly string[]): string {
  return relations.length === 1
    ? relations[0]!
    : `(${relations.map((relation) => `SELECT * FROM ${relation}`).join(' UNION ALL ')})`
}

export interface History {
  /** Runs `ask` with what stands behind FROM, once or until what it read was one state. */
  read<T>(period: Period, ask: (from: string) => Promise<T>): Promise<T>
  /** Of events at or after this moment none is moved: they are asked of `custody.events` alone. */
  boundaryMicros(): number
}

const WAIT_MS_MAX = 10_000
const PAUSE_MS = 100
/** Where nothing is configured to be moved and nothing ever was, the catalogue is not looked at again for so long. */
const EMPTY_MS = 10_000
/** Clocks of those who move and those who ask may differ by so much. */
const CLOCKS_MS_MAX = 86_400_000
/** What was moved under other settings than today's is known from the catalogue, looked at anew after so long. */
const KNOWN_MS = 60_000

export function createHistory(o: {
  client: ClickHouseClient
  settings: Pick<WarehouseSettings, 'cold'> | undefined
  /** By which events are over their time and months old. */
  now?: () => number
  waitMsMax?: number
}): History {
  const { client, settings, now = Date.now, waitMsMax = WAIT_MS_MAX } = o
  let emptyUntilMs = 0
  /** End of the latest month that was ever moved, as of the last look. */
  let movedUpToMicros = Number.POSITIVE_INFINITY
  let knownUntilMs = 0

  function boundary(): number {
    const afterDays = settings?.cold?.afterDays
    if (afterDays === undefined || Date.now() >= knownUntilMs) return Number.POSITIVE_INFINITY
    return Math.max(boundaryMicros(afterDays, now() + CLOCKS_MS_MAX), movedUpToMicros)
  }

  async function catalogue(): Promise<Run[]> {
    if (Date.now() < emptyUntilMs) return []
    let runs: Run[]
    try {
      runs = await loadCatalogue(client)
    } catch (error) {
      // Before the first migration there is nothing to have been moved.
      if (!(error instanceof ClickHouseError) || !['60', '81'].includes(error.code)) throw error
      runs = []
    }
    movedUpToMicros = Math.max(0, ...runs.map(({ month }) => monthMicros(month).to))
    knownUntilMs = Date.now() + KNOWN_MS
    if (runs.length === 0 && !settings?.cold) emptyUntilMs = Date.now() + EMPTY_MS
    return runs
  }

  const stateOf = (runs: readonly Run[], period: Period) =>
    runs
      .filter((run) => touches(run, period))
      .map(
        ({ run, step, attempt }) => `${run}:${step === 'dropped' ? 'committed' : step}:${attempt}`,
      )
      .join(' ')

  return {
    boundaryMicros: boundary,
    async read(period, ask) {
      if ((period.sinceMicros ?? Number.NEGATIVE_INFINITY) >= boundary()) return ask(EVENTS)
      const until = Date.now() + waitMsMax
      for (let runs = await catalogue(); ; ) {
        const relations = relationsOf(runs, period, now())
        if (relations !== null) {
          let answer: { value: Awaited<ReturnType<typeof ask>> } | { error: unknown }
          try {
            answer = { value: await ask(unionOf(relations)) }
          } catch (error) {
            answer = { error }
          }
          const before = stateOf(runs, period)
          runs = await catalogue()
          // A table that was asked may be gone by now, and an answer may lack what was moved while it was made.
          if (stateOf(runs, period) === before) {
            if ('error' in answer) throw answer.error
            return answer.value
          }
        } else {
          await new Promise((resolve) => setTimeout(resolve, PAUSE_MS))
          runs = await catalogue()
        }
        if (Date.now() > until)
          throw new CustodyError(
            'CUSTODY-STORE-007',
            'events of a month are just being moved to cold storage',
          )
      }
    },
  }
}
