/**
 * The store as one stream of bytes that depends on nothing but its events: by recorder and sequence, every column, one line
 * each. Two stores that were fed with the same events are the same, byte for byte, however they came in.
 */
import { buffer } from 'node:stream/consumers'
import type { ClickHouseClient, ClickHouseSettings } from '@clickhouse/client'

export interface DumpOptions {
  /** Only these. */
  recorders?: readonly string[]
}

const ROWS_MAX = 10_000
const SETTINGS: ClickHouseSettings = {
  date_time_output_format: 'simple',
  output_format_json_quote_64bit_integers: 1,
  output_format_json_escape_forward_slashes: 0,
}

/** Chunks of whole lines. A column that is not filled everywhere, as after an upgrade, has its default. */
export async function* canonicalDump(
  client: ClickHouseClient,
  { recorders }: DumpOptions = {},
): AsyncIterable<Buffer> {
  const columns = await names(
    client,
    "SELECT name FROM system.columns WHERE database = 'custody' AND table = 'events' AND default_kind NOT IN ('MATERIALIZED', 'ALIAS') ORDER BY name",
  )
  const list = columns.map((name) => `\`${name}\``).join(', ')
  const all = await names(client, 'SELECT DISTINCT recorder FROM custody.events ORDER BY recorder')
  for (const recorder of all) {
    if (recorders && !recorders.includes(recorder)) continue
    for (let from = 0; ; from += ROWS_MAX) {
      const ahead = await client.query({
        query:
          'SELECT min(sequence), count() FROM custody.events WHERE recorder = {recorder:String} AND sequence >= {from:Int64}',
        query_params: { recorder, from },
        format: 'JSONCompactEachRow',
        clickhouse_settings: { output_format_json_quote_64bit_integers: 0 },
      })
      const [[first, count]] = (await ahead.json<[number, number]>()) as [[number, number]]
      if (count === 0) break
      from = first
      const { stream } = await client.exec({
        query: `SELECT ${list} FROM custody.events WHERE recorder = {recorder:String} AND sequence >= {from:Int64} AND sequence < {to:Int64} ORDER BY sequence, id FORMAT JSONCompactEachRow`,
        query_params: { recorder, from, to: from + ROWS_MAX },
        clickhouse_settings: SETTINGS,
      })
      yield await buffer(stream)
    }
  }
}

async function names(client: ClickHouseClient, query: string): Promise<string[]> {
  const result = await client.query({ query, format: 'JSONCompactEachRow' })
  return (await result.json<[string]>()).map(([name]) => name)
}
