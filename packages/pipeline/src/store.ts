/**
 * What the store says of its rows, without reading them all into memory: sums over a few thousand sequences, and the rows
 * of such a piece where its sums are not what they should be. SELECT only.
 */
import { type ClickHouseClient, ClickHouseError } from '@clickhouse/client'
import { BUCKET_EVENTS, Tally } from './tally'

export interface StoreScope {
  /** Table, view or subquery with the columns of `custody.events`. */
  table: string
  sinceMicros: number | null
  /** A condition on `kind` and `time` under which a row may be gone, or null. */
  expired: string | null
}

/** With what is in cold storage, where there is any. */
export async function tableOf(client: ClickHouseClient): Promise<string> {
  try {
    await client.query({ query: 'SELECT 1 FROM custody.history LIMIT 0', format: 'JSONEachRow' })
    return 'custody.history'
  } catch (error) {
    if (error instanceof ClickHouseError && error.code === UNKNOWN_TABLE) return 'custody.events'
    throw error
  }
}

const UNKNOWN_TABLE = '60'

export interface Sums {
  rows: number
  sequences: number
  fold: bigint
}

const FOLD =
  'bitXor(reinterpretAsUInt64(substring(id, 9, 8)), reinterpretAsUInt64(substring(previous, 1, 8)))'

/** No other: who only reads may not set much. */
const SETTINGS = { output_format_json_quote_64bit_integers: 1 } as const

function where({ sinceMicros, expired }: StoreScope): { sql: string; params: object } {
  const conditions = ['1']
  if (sinceMicros !== null)
    conditions.push(`time >= fromUnixTimestamp64Micro({since:Int64}, 'UTC')`)
  if (expired !== null) conditions.push(`NOT (${expired})`)
  return {
    sql: conditions.join(' AND '),
    params: sinceMicros === null ? {} : { since: sinceMicros },
  }
}

export async function sumsOf(
  client: ClickHouseClient,
  scope: StoreScope,
): Promise<Map<string, Map<number, Sums>>> {
  const { sql, params } = where(scope)
  const result = await client.query({
    query: `SELECT toString(recorder), intDiv(sequence + ${BUCKET_EVENTS}, ${BUCKET_EVENTS}) - 1 AS bucket, count(), uniqExact(sequence), groupBitXor(${FOLD})
FROM ${scope.table} WHERE ${sql} GROUP BY recorder, bucket`,
    query_params: { ...params },
    format: 'JSONCompactEachRow',
    clickhouse_settings: SETTINGS,
  })
  const sums = new Map<string, Map<number, Sums>>()
  for await (const rows of result.stream<[string, string, string, string, string]>())
    for (const row of rows) {
      const [recorder, bucket, count, sequences, fold] = row.json()
      let own = sums.get(recorder)
      if (own === undefined) {
        own = new Map()
        sums.set(recorder, own)
      }
      own.set(Number(bucket), {
        rows: Number(count),
        sequences: Number(sequences),
        fold: BigInt(fold),
      })
    }
  return sums
}

/** The rows of some buckets, with the fold of each sequence. */
export async function rowsOf(
  client: ClickHouseClient,
  scope: StoreScope,
  recorder: string,
  buckets: readonly number[],
): Promise<{ tally: Tally; folds: Map<number, bigint>; times: Map<number, number> }> {
  const { sql, params } = where(scope)
  const tally = new Tally()
  const folds = new Map<number, bigint>()
  const times = new Map<number, number>()
  for (let at = 0; at < buckets.length; at += BUCKETS_A_QUERY) {
    const some = buckets.slice(at, at + BUCKETS_A_QUERY)
    const result = await client.query({
      query: `SELECT sequence, count(), any(${FOLD}), toUnixTimestamp64Micro(any(time))
FROM ${scope.table}
WHERE recorder = {recorder:String} AND intDiv(sequence, ${BUCKET_EVENTS}) IN {buckets:Array(Int64)}
  AND sequence >= {from:Int64} AND sequence < {to:Int64} AND ${sql}
GROUP BY sequence`,
      query_params: {
        ...params,
        recorder,
        buckets: some,
        from: Math.min(...some) * BUCKET_EVENTS,
        to: (Math.max(...some) + 1) * BUCKET_EVENTS,
      },
      format: 'JSONCompactEachRow',
      clickhouse_settings: SETTINGS,
    })
    for await (const rows of result.stream<[string, string, string, string]>())
      for (const row of rows) {
        const [sequence, count, fold, time] = row.json()
        for (let i = 0; i < Number(count); i++)
          tally.add(Number(sequence), BigInt(fold), true, false)
        folds.set(Number(sequence), BigInt(fold))
        times.set(Number(sequence), Number(time))
      }
  }
  return { tally, folds, times }
}

const BUCKETS_A_QUERY = 256

export interface BrokenSession {
  /** 32 hex digits. */
  session: string
  recorder: string
  rows: number
  first: number
  last: number
}

/** Sessions whose rows are not one unbroken run of ordinals. */
export async function brokenSessions(
  client: ClickHouseClient,
  scope: StoreScope,
  most: number,
): Promise<BrokenSession[]> {
  const { sql, params } = where(scope)
  const result = await client.query({
    query: `SELECT lower(hex(session)), toString(any(recorder)), count() AS n, min(ordinal) AS first, max(ordinal) AS last
FROM ${scope.table} WHERE session != toFixedString('', 16) AND ${sql}
GROUP BY session HAVING n != last - first + 1 OR uniqExact(ordinal) != n ORDER BY any(time) LIMIT {most:UInt32}`,
    query_params: { ...params, most },
    format: 'JSONCompactEachRow',
    clickhouse_settings: SETTINGS,
  })
  return (await result.json<[string, string, string, string, string]>()).map(
    ([session, recorder, rows, first, last]) => ({
      session,
      recorder,
      rows: Number(rows),
      first: Number(first),
      last: Number(last),
    }),
  )
}
