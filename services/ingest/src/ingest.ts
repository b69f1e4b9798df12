/**
 * Inserts what a source hands out into `custody.events`: exactly one row per event, whatever crashes when.
 * The one way: take a lot, see what of it is an event and what of it the store has, insert the rest, commit the lot.
 * Refuses to skip an event silently: what the store does not take by itself, and what is no event or of a schema that nobody
 * published, is put aside whole, counted and told, and nothing waits for it.
 */
import { join } from 'node:path'
import {
  CustodyError,
  createLogger,
  type Home,
  isCustodyError,
  type Logger,
  type Metric,
} from '@custody/kit'
import {
  findReading,
  fingerprintIn,
  isMessage,
  type Reading,
  registerSchema,
} from '@custody/schemas'
import { LogSource } from './log-source'
import type { Lot, Source } from './lot'
import { repairUnread } from './repair'
import { type Group, type Row, toGroups, toRows, type Unreadable } from './rows'
import { EventStore, RefusedRowsError } from './store'

export interface IngestOptions {
  home: Home
  /** Where ClickHouse's HTTP interface is, credentials included. */
  warehouseUrl: string
  /** The same with credentials that may make tables; what an older version stored is completed with these. */
  adminUrl?: string
  /** Of the warehouse's settings. */
  cluster?: string
  logger?: Logger
  /** Name under which positions in the embedded logs are committed. */
  consumer?: string
  batchBytesMax?: number
  batchEventsMax?: number
  /** Shortest time between two inserts that are not full. */
  lingerMs?: number
  /** Instead of the embedded logs of `home`. */
  source?: Source
  /** How often rows that an older version stored are looked for. */
  repairIntervalMs?: number
}

export interface IngestStatus {
  /** Events inserted since the start. */
  events: number
  batches: number
  /** Events found in the store already, after a crash or failure, or because they were sent twice. */
  found: number
  deadLetters: number
  /** Events of which this version has not stored all: of a newer schema, kept whole beside what is known of them. */
  unread: number
  /** Rows completed that an older version had stored with less than was in the event. */
  repaired: number
  /** Lots that somebody else had taken over when they were to be committed. */
  lost: number
  /** Why nothing is inserted just now, or null. */
  problem: CustodyError | null
}

export interface Ingest {
  /** Resolves when the tables are there; inserting goes on in the background. */
  start(): Promise<void>
  /** Inserts what is in the embedded logs now, or what was taken from Kafka, unless the store fails, then ends. */
  stop(): Promise<void>
  status(): IngestStatus
  metrics(): Metric[]
  /** Settles when this version can't go on: the tables are another's. */
  readonly failed: Promise<CustodyError>
}

const POLL_MS = 50
const RETRY_MS_MIN = 200
const RETRY_MS_MAX = 10_000
/** Inserts under way at once. An insert reads its file with one thread. */
const INSERTS_MAX = 2
/** How often a lot's rows that are not there after their insert are inserted once more. */
const ATTEMPTS_MAX = 3
const REPAIR_INTERVAL_MS = 60_000

export function createIngest(options: IngestOptions): Ingest {
  const {
    home,
    batchBytesMax = 32 * 1024 * 1024,
    batchEventsMax = 50_000,
    lingerMs = 200,
    logger = createLogger({ name: 'ingest' }),
    repairIntervalMs = REPAIR_INTERVAL_MS,
  } = options
  const source =
    options.source ??
    new LogSource({
      directory: home.log,
      consumer: options.consumer ?? 'ingest',
      deadLetters: join(home.directory, 'dead-letters'),
      batchBytesMax,
      batchEventsMax,
      lingerMs,
    })
  const store = new EventStore(options.warehouseUrl, options.cluster)
  const admin = options.adminUrl
    ? new EventStore(options.adminUrl, options.cluster).client
    : store.client
  const status: IngestStatus = {
    events: 0,
    batches: 0,
    found: 0,
    deadLetters: 0,
    unread: 0,
    repaired: 0,
    lost: 0,
    problem: null,
  }
  let stopping = false
  let retryMs = RETRY_MS_MIN
  /** A lot failed; nothing is taken before this. */
  let pausedUntil = 0
  const wakes = new Set<() => void>()
  let done: Promise<void> = Promise.resolve()
  let fail: (error: CustodyError) => void = () => {}
  const failed = new Promise<CustodyError>((resolve) => {
    fail = resolve
  })

  async function start(): Promise<void> {
    const applied = await store.open()
    if (applied.length > 0) logger.info({ applied }, 'the tables are up to date')
    await source.start()
    done = Promise.all([run(), repair()]).then(() => {})
  }

  async function stop(): Promise<void> {
    stopping = true
    wake()
    await done
    await source.stop()
    await store.close()
    if (admin !== store.client) await admin.close()
  }

  async function run(): Promise<void> {
    const inserting = new Set<Promise<void>>()
    const committing = new Set<Promise<void>>()
    const keep = (those: Set<Promise<void>>, one: Promise<void>) => {
      those.add(one)
      void one.then(() => those.delete(one))
    }
    let stopRetries = 0
    for (;;) {
      try {
        if (Date.now() < pausedUntil) {
          // What is under way ends first. The store may be stopping too: what is not inserted now is at the next start.
          await Promise.all(inserting)
          if (stopping && (stopRetries++ > 0 || status.problem)) break
          await pause(Math.max(0, pausedUntil - Date.now()))
        }
        const lot = await source.next(stopping)
        if (lot === null) {
          if (inserting.size === 0 && committing.size === 0 && stopping) break
          await Promise.race([...inserting, pause(POLL_MS)])
          if (stopping) await Promise.race([...inserting, ...committing, pause(POLL_MS)])
          continue
        }
        const prepared = await attempt(lot, () => prepare(lot))
        if (prepared === null) continue
        while (inserting.size >= INSERTS_MAX) await Promise.race(inserting)
        const inserted = attempt(lot, () => insertLot(lot, prepared))
        keep(
          inserting,
          inserted.then((rows) => {
            if (rows !== null) keep(committing, commit(lot, rows))
          }),
        )
      } catch (error) {
        // The source itself: its logs can't be read, say.
        tell(error)
        backOff()
      }
    }
    await Promise.all([...inserting, ...committing])
    await Promise.all(committing)
  }

  /** A lot that fails is handed out again, later. */
  async function attempt<T>(lot: Lot, work: () => Promise<T>): Promise<T | null> {
    try {
      return await work()
    } catch (error) {
      tell(error)
      source.release(lot)
      backOff()
      return null
    }
  }

  function backOff(): void {
    pausedUntil = Date.now() + retryMs
    retryMs = Math.min(2 * retryMs, RETRY_MS_MAX)
  }

  async function commit(lot: Lot, rows: readonly Row[]): Promise<void> {
    await attempt(lot, async () => {
      if (!(await source.commit(lot, rows))) {
        status.lost++
        logger.info({ lot: lot.name }, 'somebody else has these events by now')
      }
    })
  }

  function tell(error: unknown): void {
    const problem = isCustodyError(error)
      ? error
      : new CustodyError(
          'CUSTODY-INGEST-001',
          `events can't be inserted: ${(error as Error).message}`,
          { cause: error },
        )
    if (status.problem?.message !== problem.message)
      logger.error({ code: problem.code, err: error }, problem.message)
    status.problem = problem
    // A version that knows the tables has to do it; this one takes nothing more.
    if (problem.code === 'CUSTODY-STORE-001') {
      stopping = true
      wake()
      fail(problem)
    }
  }

  /** What of the lot is to be inserted. */
  async function prepare(lot: Lot): Promise<{ rows: Row[]; unreadable: Unreadable[] }> {
    const { rows, unreadable } = toRows(lot.messages, lot.places, await readings(lot.messages))
    const present = await source.present(lot, rows, store)
    status.found += present.size
    return { rows: present.size === 0 ? rows : rows.filter((row) => !present.has(row)), unreadable }
  }

  async function readings(messages: readonly Buffer[]): Promise<Map<string, Reading | null>> {
    const found = new Map<string, Reading | null>()
    for (const message of messages) {
      if (!isMessage(message)) continue
      const fingerprint = fingerprintIn(message)
      if (!found.has(fingerprint)) found.set(fingerprint, await learn(fingerprint))
    }
    return found
  }

  async function learn(fingerprint: string): Promise<Reading | null> {
    try {
      const known = findReading(fingerprint)
      if (known) return known
      const schema = await source.schema(fingerprint)
      if (schema === null) return null
      const reading = registerSchema(JSON.parse(schema), fingerprint)
      if (reading.loses)
        logger.warn(
          { fingerprint },
          'events of a newer version: they are kept whole beside what this version knows of them',
        )
      return reading
    } catch (error) {
      // What was published is no schema. What went wrong in asking is not of these kinds, and is tried again.
      if (!(error instanceof RangeError || error instanceof SyntaxError)) throw error
      logger.error({ fingerprint, err: error }, 'a published schema can’t be read')
      return null
    }
  }

  /** Inserts what is left of the lot; answers what the store has taken. */
  async function insertLot(
    lot: Lot,
    { rows, unreadable }: { rows: Row[]; unreadable: Unreadable[] },
  ): Promise<Row[]> {
    const letters = [...unreadable]
    // Its identifier tells events of a topic that was made anew from those that had the same offsets before.
    const last = lot.messages.at(-1)?.toString('hex', 10, 26) ?? ''
    const taken: Row[] = []
    let left = rows
    for (let n = 1; left.length > 0; n++) {
      if (n > ATTEMPTS_MAX)
        throw new Error(`${left.length} events are not there after their insert`)
      const refused = new Set<number>()
      for (const group of toGroups(left)) {
        const token = lot.name && `${lot.name}/${last}/${group.name}/${n}`
        await insertGroup(lot, group, token, (row, reason) => {
          refused.add(row.place)
          letters.push({
            place: row.place,
            message: row.message,
            code: 'CUSTODY-INGEST-002',
            reason,
          })
        })
      }
      const told = left.filter(({ place }) => !refused.has(place))
      // A token may be known to the store while its rows were lost in a crash of the store: then they are not there.
      const there = lot.again && lot.name ? await store.present(told) : null
      for (const row of told) if (there === null || there.has(row)) taken.push(row)
      left = there ? told.filter((row) => !there.has(row)) : []
    }
    if (letters.length > 0) {
      await source.putAside(lot, letters)
      status.deadLetters += letters.length
      for (const { code, reason, place } of letters)
        logger.error(
          { code, lot: lot.name, place },
          `an event is not in the store and was put aside: ${reason}`,
        )
    }
    status.events += taken.length
    status.unread += taken.filter(({ loses }) => loses).length
    status.batches++
    if (status.problem && !stopping) logger.info('inserting again')
    status.problem = null
    retryMs = RETRY_MS_MIN
    return taken
  }

  /**
   * Inserts a group, or where one of it can't be taken finds out which, by halves. Where a half is cut depends on the places
   * alone, and so does its token: whoever gets the lot again, with more or fewer of its rows left to insert, does the same.
   */
  async function insertGroup(
    lot: Lot,
    { rows, name, withUnread }: Group,
    token: string | null,
    refuse: (row: Row, reason: string) => void,
    from = 0,
    to = (lot.places.at(-1) ?? 0) + 1,
  ): Promise<void> {
    if (rows.length === 0) return
    try {
      await store.insert(rows, {
        mark: lot.mark,
        token: token && `${token}/${from}-${to}`,
        withUnread,
      })
    } catch (error) {
      if (!(error instanceof RefusedRowsError)) throw error
      if (rows.length === 1) {
        refuse(rows[0]!, error.message)
        return
      }
      const middle = from + Math.ceil((to - from) / 2)
      const [low, high] = [
        rows.filter(({ place }) => place < middle),
        rows.filter(({ place }) => place >= middle),
      ]
      await insertGroup(lot, { rows: low, name, withUnread }, token, refuse, from, middle)
      await insertGroup(lot, { rows: high, name, withUnread }, token, refuse, middle, to)
    }
  }

  /** Completes what an older version stored in part, now and then, as older ones may still be at work. */
  async function repair(): Promise<void> {
    // On a cluster the rows stay as they are, whole in `unread`: what completes them works on one server.
    if (options.cluster !== undefined) return
    while (!stopping) {
      try {
        const repaired = await repairUnread(store.client, admin, learn, () => stopping)
        status.repaired += repaired
        if (repaired > 0)
          logger.info({ repaired }, 'rows that an older version stored are complete')
      } catch (error) {
        logger.warn({ err: error }, 'rows that an older version stored can’t be completed now')
      }
      if (!stopping) await pause(repairIntervalMs)
    }
  }

  function pause(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const wake = () => {
        clearTimeout(timer)
        wakes.delete(wake)
        resolve()
      }
      const timer = setTimeout(wake, ms)
      wakes.add(wake)
    })
  }

  function wake(): void {
    for (const one of wakes) one()
  }

  function metrics(): Metric[] {
    const one = (name: string, help: string, value: number): Metric => ({
      name: `custody_ingest_${name}`,
      help,
      values: [{ value }],
    })
    return [
      one('events_total', 'Events inserted.', status.events),
      one('batches_total', 'Lots inserted and committed or handed on.', status.batches),
      one('found_total', 'Events that were in the store already.', status.found),
      one(
        'dead_letters_total',
        'Events put aside because they can’t be inserted.',
        status.deadLetters,
      ),
      one('unread_total', 'Events of a newer schema, kept whole.', status.unread),
      one('repaired_total', 'Rows completed that an older version had stored.', status.repaired),
      one('lost_total', 'Lots that another member had taken over.', status.lost),
      one('problem', '1 while nothing can be inserted.', status.problem ? 1 : 0),
    ]
  }

  return { start, stop, status: () => ({ ...status }), metrics, failed }
}
