/**
 * What ingest asks of the warehouse: insert these rows or none of them, which of these are there, and has it changed
 * under us. Refuses to decide what follows from the answers.
 */
import { randomUUID } from 'node:crypto'
import { Readable } from 'node:stream'
import { buffer } from 'node:stream/consumers'
import {
  type ClickHouseClient,
  ClickHouseError,
  ClickHouseLogLevel,
  createClient,
} from '@clickhouse/client'
import { CustodyError, isCustodyError } from '@custody/kit'
import { type InsertTarget, insertTarget, migrate } from '@custody/warehouse'
import { EVENT_COLUMNS, eventContainer, UNREAD_COLUMN } from './container'
import type { Row } from './rows'

/** The store does not take what is in the rows. */
export class RefusedRowsError extends Error {}

export interface InsertOptions {
  /** Stands in the query's text; no `*`, as it is a comment. */
  mark: string
  /** With a token an insert with the same one has no effect, except that the store may have lost its rows in a crash. */
  token: string | null
  withUnread: boolean
}

const START_MS_MAX = 60_000
const RETRY_MS = 200
const REQUEST_MS_MAX = 300_000
const POLL_MS = 50
/** An insert that runs longer than this is not waited for; who asks tries again later. */
const RUNNING_MS_MAX = 60_000
/** Up to so many rows are asked for by their identifiers, more by where they lie. */
const IDS_MAX = 500
const RECORDERS_MAX = 64
const ID_BYTES = 16

/**
 * Exceptions that speak of the data rather than of the store's state: incorrect data, can't read, can't parse, type
 * mismatch, argument out of bound, too large a string, and their like (ErrorCodes.cpp of ClickHouse).
 */
const OF_DATA = new Set('6 9 25 26 27 33 38 41 53 69 70 72 117 128 131 321 441 467'.split(' '))

/** The Avro reader's own exceptions come without a code of their own. */
function isOfData(error: ClickHouseError): boolean {
  return OF_DATA.has(error.code) || /avro::Exception/.test(error.message)
}

const COLUMNS = EVENT_COLUMNS.map((name) => `\`${name}\``).join(', ')

export class EventStore {
  readonly client: ClickHouseClient
  private shape = ''
  private readonly target: InsertTarget

  constructor(
    url: string,
    private readonly cluster?: string,
  ) {
    this.target = insertTarget(cluster === undefined ? undefined : { cluster })
    this.client = createClient({
      url,
      request_timeout: REQUEST_MS_MAX,
      max_open_connections: 6,
      log: { level: ClickHouseLogLevel.OFF },
    })
  }

  /** Waits for the store and brings its tables to this version. Answers which migrations were applied. */
  async open(): Promise<string[]> {
    const until = Date.now() + START_MS_MAX
    for (;;) {
      try {
        const { applied } = await migrate(this.client, { cluster: this.cluster })
        this.shape = await this.describe()
        return applied
      } catch (error) {
        if (isCustodyError(error) || error instanceof ClickHouseError || Date.now() > until)
          throw error
        await new Promise((resolve) => setTimeout(resolve, RETRY_MS))
      }
    }
  }

  async close(): Promise<void> {
    await this.client.close()
  }

  /** All of them or none: one part. Throws RefusedRowsError where it is the rows' fault. */
  async insert(rows: readonly Row[], o: InsertOptions): Promise<void> {
    const columns = o.withUnread ? `${COLUMNS}, \`${UNREAD_COLUMN}\`` : COLUMNS
    try {
      const { stream } = await this.client.exec({
        query: `INSERT INTO ${this.target.table} (${columns}) /* ${o.mark} */ FORMAT Avro`,
        query_id: `${o.mark}/${randomUUID()}`,
        values: Readable.from([eventContainer(rows, o.withUnread)], { objectMode: false }),
        clickhouse_settings: {
          ...this.target.settings,
          ...(o.token
            ? { insert_deduplicate: 1, insert_deduplication_token: o.token }
            : { insert_deduplicate: 0 }),
        },
      })
      stream.resume()
    } catch (error) {
      if (!(error instanceof ClickHouseError) || !isOfData(error)) throw error
      // A newer version's tables refuse whole inserts of an older one, whatever is in the rows.
      if ((await this.describe()) !== this.shape)
        throw new CustodyError(
          'CUSTODY-STORE-001',
          'the tables of the warehouse were changed by another version while this one was running',
          { cause: error },
        )
      throw new RefusedRowsError(error.message, { cause: error })
    }
  }

  /** Which of the rows are there. */
  async present(rows: readonly Row[]): Promise<Set<Row>> {
    const there = new Set<string>()
    // Month by month, so that one clock that is wrong by years does not make it a search of everything.
    const months = new Map<number, Row[]>()
    for (const row of rows) {
      const month = Math.floor(row.time / (30 * 86_400e6))
      const those = months.get(month)
      if (those) those.push(row)
      else months.set(month, [row])
    }
    for (const those of months.values()) await this.lookUp(those, there)
    return new Set(rows.filter(({ id }) => there.has(id)))
  }

  private async lookUp(rows: readonly Row[], there: Set<string>): Promise<void> {
    let [from, to, low, high] = [rows[0]!.time, rows[0]!.time, rows[0]!.sequence, rows[0]!.sequence]
    const recorders = new Set<string>()
    for (const { time, sequence, recorder } of rows) {
      from = Math.min(from, time)
      to = Math.max(to, time)
      low = Math.min(low, sequence)
      high = Math.max(high, sequence)
      recorders.add(recorder)
    }
    const conditions = [
      'time >= fromUnixTimestamp64Micro({from:Int64})',
      'time <= fromUnixTimestamp64Micro({to:Int64})',
      'sequence >= {low:Int64}',
      'sequence <= {high:Int64}',
    ]
    if (recorders.size <= RECORDERS_MAX) conditions.push('recorder IN {recorders:Array(String)}')
    if (rows.length <= IDS_MAX)
      conditions.push(
        `id IN (${rows.map(({ id }) => `toFixedString(unhex('${Buffer.from(id, 'latin1').toString('hex')}'), 16)`).join(', ')})`,
      )
    const { stream } = await this.client.exec({
      query: `SELECT id FROM custody.events WHERE ${conditions.join(' AND ')} FORMAT RowBinary`,
      query_params: {
        from,
        to,
        low,
        high,
        ...(recorders.size <= RECORDERS_MAX && { recorders: [...recorders] }),
      },
    })
    const bytes = await buffer(stream)
    for (let at = 0; at < bytes.length; at += ID_BYTES)
      there.add(bytes.toString('latin1', at, at + ID_BYTES))
  }

  /** Sequences of a recorder that are there, from one on. */
  async sequencesFrom(recorder: string, sequence: number): Promise<Set<number>> {
    const result = await this.client.query({
      query:
        'SELECT sequence FROM custody.events WHERE recorder = {recorder:String} AND sequence >= {sequence:Int64}',
      query_params: { recorder, sequence },
      format: 'JSONCompactEachRow',
      clickhouse_settings: { output_format_json_quote_64bit_integers: 0 },
    })
    return new Set((await result.json<[number]>()).map(([n]) => n))
  }

  /** An insert whose sender is gone may still be running, and what it adds would not be seen yet. */
  async insertsEnded(mark: string): Promise<void> {
    const until = Date.now() + RUNNING_MS_MAX
    for (;;) {
      const result = await this.client.query({
        query: `SELECT count() AS n FROM system.processes WHERE startsWith(query, 'INSERT INTO custody.events') AND (startsWith(query_id, {mark:String}) OR position(query, {mark:String}) > 0)`,
        query_params: { mark },
        format: 'JSONEachRow',
      })
      const [row] = await result.json<{ n: number | string }>()
      if (Number(row?.n ?? 0) === 0) return
      if (Date.now() > until)
        throw new Error(`an earlier insert of the same events (${mark}) is still running`)
      await new Promise((resolve) => setTimeout(resolve, POLL_MS))
    }
  }

  private async describe(): Promise<string> {
    const result = await this.client.query({
      query: `SELECT name, type FROM system.columns WHERE database = 'custody' AND table = 'events' ORDER BY position`,
      format: 'JSONCompactEachRow',
    })
    return JSON.stringify(await result.json())
  }
}
