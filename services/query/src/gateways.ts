/**
 * Which recorders have been heard of lately, by what of theirs is in the store: all that this service can know of hosts that
 * it never talks to. What they have recorded and not shipped they tell by their own /metrics.
 */
import type { ClickHouseClient } from '@clickhouse/client'

export interface Gateway {
  recorder: string
  /** Its events up to the last that arrived. */
  events: number
  /** Of the last that arrived, ISO 8601. */
  lastEvent: string
}

const SECONDS_MAX = 2

export function createGateways(client: ClickHouseClient): () => Promise<Gateway[]> {
  return async () => {
    const result = await client.query({
      query: `SELECT recorder, max(sequence) + 1 AS events, formatDateTime(max(time), '%Y-%m-%dT%H:%i:%SZ') AS lastEvent
        FROM custody.events WHERE time > now() - INTERVAL 1 DAY GROUP BY recorder ORDER BY recorder LIMIT 1000`,
      format: 'JSONEachRow',
      clickhouse_settings: {
        max_execution_time: SECONDS_MAX,
        output_format_json_quote_64bit_integers: 0,
      },
    })
    return result.json<Gateway>()
  }
}
