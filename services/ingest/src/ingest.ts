/**
 * Follows every recorder's log and inserts what it finds into `custody.events`: exactly one row per event, whatever
 * crashes when. The log's position is committed after the insert is durable. Between the two the outcome can be lost; so
 * at its start and after every failure it asks the store which of the following sequences it has, and leaves those out.
 * Refuses to skip an event silently: one that the store does not take by itself is kept aside whole, counted and told;
 * one of an unknown schema stops ingest until a version that knows it runs.
 */
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import {
  type ClickHouseClient,
  ClickHouseError,
  ClickHouseLogLevel,
  createClient,
} from '@clickhouse/client'
import { commitPosition } from '@custody/event-log'
import { CustodyError, createLogger, type Home, isCustodyError, type Logger } from '@custody/kit'
import { migrate } from '@custody/warehouse'
import { avroContainer, isOfSchema } from './container'
import { type Batch, type Part, Source } from './source'

export interface IngestOptions {
  home: Home
  /** Where ClickHouse's HTTP interface is, credentials included. */
  warehouseUrl: string
  logger?: Logger
  /** Name under which positions are committed. */
  consumer?: string
  batchBytesMax?: number
  batchEventsMax?: number
  /** Shortest time between two inserts that are not full. */
  lingerMs?: number
}

export interface IngestStatus {
  /** Events inserted since the start. */
  events: number
  batches: number
  /** Events found in the store already, after a crash or failure. */
  found: number
  deadLetters: number
  /** Why nothing is inserted just now, or null. */
  problem: CustodyError | null
}

export interface Ingest {
  /** Resolves when the tables are there; inserting goes on in the background. */
  start(): Promise<void>
  /** Inserts what is in the logs now, unless the store fails, then ends. */
  stop(): Promise<void>
  status(): IngestStatus
}

const POLL_MS = 50
const RETRY_MS_MIN = 200
const RETRY_MS_MAX = 10_000
const START_MS_MAX = 60_000
const REQUEST_MS_MAX = 300_000
/** Inserts under way at once. */
const INSERTS_MAX = 2
const INSERT = 'INSERT INTO custody.events FORMAT Avro'

/**
 * Exceptions that speak of the data rather than of the store's state: incorrect data, can't read, can't parse, type
 * mismatch, argument out of bound, too large a string, and their like (ErrorCodes.cpp of ClickHouse).
 */
const OF_DATA = new Set([
  '6',
  '9',
  '25',
  '26',
  '27',
  '33',
  '38',
  '41',
  '53',
  '69',
  '70',
  '72',
  '117',
  '128',
  '131',
  '321',
  '441',
  '467',
])

/** The Avro reader's own exceptions come without a code of their own. */
function isOfData(error: ClickHouseError): boolean {
  return OF_DATA.has(error.code) || /avro::Exception/.test(error.message)
}

export function createIngest(options: IngestOptions): Ingest {
  const {
    home,
    consumer = 'ingest',
    batchBytesMax = 32 * 1024 * 1024,
    batchEventsMax = 50_000,
    lingerMs = 200,
    logger = createLogger({ name: 'ingest' }),
  } = options
  const source = new Source({ directory: home.log, consumer, batchBytesMax, batchEventsMax })
  const status: IngestStatus = { events: 0, batches: 0, found: 0, deadLetters: 0, problem: null }
  /** Sequences, by recorder, that the store has although they are not committed; absent: not asked yet. */
  const present = new Map<string, Set<number>>()
  let client: ClickHouseClient
  let stopping = false
  let wake: () => void = () => {}
  let done: Promise<void> = Promise.resolve()

  async function start(): Promise<void> {
    client = createClient({
      url: options.warehouseUrl,
      request_timeout: REQUEST_MS_MAX,
      max_open_connections: 4,
      log: { level: ClickHouseLogLevel.OFF },
    })
    const until = Date.now() + START_MS_MAX
    for (;;) {
      try {
        const { applied } = await migrate(client)
        if (applied.length > 0) logger.info({ applied }, 'the tables are up to date')
        break
      } catch (error) {
        if (isCustodyError(error) || error instanceof ClickHouseError || Date.now() > until)
          throw error
        await pause(RETRY_MS_MIN)
      }
    }
    done = run()
  }

  async function stop(): Promise<void> {
    stopping = true
    wake()
    await done
    source.rewind()
    await client.close()
  }

  async function run(): Promise<void> {
    let retryMs = RETRY_MS_MIN
    let ahead: Promise<Batch> | null = null
    let insertedAt = 0
    /** Batches whose inserts are under way, oldest first. */
    const flights: Promise<void>[] = []
    for (;;) {
      try {
        const batch = await (ahead ?? source.next())
        ahead = null
        if (batch.events === 0) {
          while (flights.length > 0) await flights.shift()
          if (stopping) return
          await pause(POLL_MS)
          continue
        }
        // What comes next is read while the store works on this.
        if (batch.full) ahead = source.next()
        ahead?.catch(() => {})
        const messages = await prepare(batch)
        const flight = ingest(batch, messages, flights.at(-1))
        flight.catch(() => {})
        flights.push(flight)
        // An insert reads its file with one thread. Behind a backlog the next goes beside it.
        while (flights.length >= (batch.full ? INSERTS_MAX : 1)) await flights.shift()
        retryMs = RETRY_MS_MIN
        const early = insertedAt + lingerMs - Date.now()
        insertedAt = Date.now()
        if (!batch.full && !stopping && early > 0) await pause(early)
      } catch (error) {
        await ahead?.catch(() => {})
        ahead = null
        await Promise.allSettled(flights.splice(0))
        tell(error)
        source.rewind()
        present.clear()
        // The store may be stopping too. What is not inserted now is at the next start; the log keeps it.
        if (stopping) return
        await pause(retryMs)
        retryMs = Math.min(2 * retryMs, RETRY_MS_MAX)
      }
    }
  }

  function tell(error: unknown): void {
    const problem = isCustodyError(error)
      ? error
      : new CustodyError(
          'CUSTODY-INGEST-001',
          `events can't be inserted: ${(error as Error).message}`,
          {
            cause: error,
          },
        )
    if (status.problem?.message !== problem.message)
      logger.error({ code: problem.code, err: error }, problem.message)
    status.problem = problem
  }

  /** What of the batch is to be inserted. */
  async function prepare(batch: Batch): Promise<Buffer[]> {
    for (const part of batch.parts) await leaveOutPresent(part)
    const messages = batch.parts.flatMap((part) => part.messages)
    for (const message of messages)
      if (!isOfSchema(message))
        throw new CustodyError(
          'CUSTODY-INGEST-003',
          `an event's schema (fingerprint ${message.toString('hex', 2, 10)}) is not known to this version`,
        )
    return messages
  }

  /** Inserts beside the batch before, and commits behind it: a position says that all up to it is in the store. */
  async function ingest(
    batch: Batch,
    messages: Buffer[],
    before: Promise<void> | undefined,
  ): Promise<void> {
    await insert(messages)
    if (status.problem) logger.info('inserting again')
    status.problem = null
    await before
    status.events += messages.length
    status.batches++
    for (const part of batch.parts)
      await commitPosition(home.log, consumer, part.recorder, part.next)
  }

  /** Takes out what the store has already. Asked once per recorder, and again after a failure. */
  async function leaveOutPresent(part: Part): Promise<void> {
    let there = present.get(part.recorder)
    if (!there) {
      there = await sequencesFrom(part.recorder, part.sequences[0]!)
      present.set(part.recorder, there)
    }
    if (there.size === 0) return
    const left: Buffer[] = []
    part.messages.forEach((message, i) => {
      if (!there.delete(part.sequences[i]!)) left.push(message)
    })
    status.found += part.messages.length - left.length
    part.messages = left
  }

  async function sequencesFrom(recorder: string, sequence: number): Promise<Set<number>> {
    await insertsEnded()
    const result = await client.query({
      query:
        'SELECT sequence FROM custody.events WHERE recorder = {recorder:String} AND sequence >= {sequence:Int64}',
      query_params: { recorder, sequence },
      format: 'JSONCompactEachRow',
      clickhouse_settings: { output_format_json_quote_64bit_integers: 0 },
    })
    return new Set((await result.json<[number]>()).map(([n]) => n))
  }

  /** An insert whose sender is gone may still be running, and what it adds would not be seen yet. */
  async function insertsEnded(): Promise<void> {
    for (;;) {
      const result = await client.query({
        query: `SELECT count() AS n FROM system.processes WHERE startsWith(query, 'INSERT INTO custody.events')`,
        format: 'JSONEachRow',
      })
      const [row] = await result.json<{ n: number | string }>()
      if (Number(row?.n ?? 0) === 0) return
      await pause(POLL_MS)
    }
  }

  async function insert(messages: Buffer[]): Promise<void> {
    if (messages.length === 0) return
    try {
      const { stream } = await client.exec({
        query: INSERT,
        values: Readable.from([avroContainer(messages)], { objectMode: false }),
      })
      stream.resume()
    } catch (error) {
      if (!(error instanceof ClickHouseError) || !isOfData(error)) throw error
      if (messages.length === 1) {
        putAside(messages[0]!, error)
        return
      }
      // One of them can't be taken. Which one, halving tells.
      const middle = messages.length >> 1
      await insert(messages.slice(0, middle))
      await insert(messages.slice(middle))
    }
  }

  function putAside(message: Buffer, error: ClickHouseError): void {
    const directory = join(home.directory, 'dead-letters')
    mkdirSync(directory, { recursive: true, mode: 0o700 })
    const file = join(directory, `${message.toString('hex', 10, 26)}.event`)
    writeFileSync(file, message, { mode: 0o600, flush: true })
    status.deadLetters++
    logger.error(
      { code: 'CUSTODY-INGEST-002', file, err: error },
      'the store does not take an event; it is kept aside',
    )
  }

  function pause(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, ms)
      wake = () => {
        clearTimeout(timer)
        resolve()
      }
    })
  }

  return { start, stop, status: () => ({ ...status }) }
}
