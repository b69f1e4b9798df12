/**
 * An analyst's questions to the store, as the query service asks them: the six of decision 0004 and one session's
 * timeline, each several times with other values.
 */
import type { ClickHouseClient } from '@clickhouse/client'
import { seeded } from '@custody/test-support'
import { IDENTITIES } from './events'
import { DAY_MICROS } from './traffic'

export interface QuestionsOptions {
  /** The table that is asked. */
  from: string
  /** Where the values asked for are taken from, if not there. */
  valuesFrom?: string
  times?: number
}

const TIMES = 15
const COLUMNS =
  'SELECT time, hex(id) AS id, kind, who.subject, path.resource, statement.text, response.status FROM'

/** Milliseconds of each asking, by question. */
export async function askQuestions(
  client: ClickHouseClient,
  o: QuestionsOptions,
): Promise<Map<string, number[]>> {
  const random = seeded(9)
  const some = await rows<{ of: string; event: string }>(
    client,
    `SELECT hex(session) AS of, hex(id) AS event FROM ${o.valuesFrom ?? o.from} WHERE kind = 'session.opened' ORDER BY cityHash64(session) LIMIT 40`,
  )
  const [{ first, last }] = await rows<{ first: number; last: number }>(
    client,
    `SELECT toFloat64(toUnixTimestamp64Micro(min(time))) AS first, toFloat64(toUnixTimestamp64Micro(max(time))) AS last FROM ${o.valuesFrom ?? o.from}`,
  )
  const days = (last - first) / DAY_MICROS
  const one = () => some[Math.floor(random() * some.length)]!
  const page = `${COLUMNS} ${o.from} WHERE`
  const questions: [string, () => { query: string; parameters: Record<string, unknown> }][] = [
    [
      'one session’s timeline',
      () => ({
        query: `${page} session = toFixedString(unhex({session:String}), 16) ORDER BY ordinal LIMIT 1000`,
        parameters: { session: one().of },
      }),
    ],
    [
      'one identity’s day',
      () => {
        const until = Math.floor(last - Math.floor(random() * Math.max(1, days - 1)) * DAY_MICROS)
        return {
          query: `${page} who.subject = {who:String} AND time >= fromUnixTimestamp64Micro({since:Int64}, 'UTC') AND time < fromUnixTimestamp64Micro({until:Int64}, 'UTC') ORDER BY time DESC, id DESC LIMIT 101`,
          parameters: {
            who: `person${Math.floor(random() * IDENTITIES)}`,
            since: until - DAY_MICROS,
            until,
          },
        }
      },
    ],
    [
      'one table’s accesses',
      () => ({
        query: `${page} has(arrayMap(one -> lowerUTF8(splitByChar('.', one)[-1]), statement.objects.name), {object:String}) ORDER BY time DESC, id DESC LIMIT 101`,
        parameters: {
          object: ['salaries', 'cards', 'reviews', 'coupons'][Math.floor(random() * 4)]!,
        },
      }),
    ],
    [
      'a rare word in all statements',
      () => ({
        query: `${page} lowerUTF8(statement.text) LIKE {text:String} ORDER BY time DESC, id DESC LIMIT 101`,
        parameters: { text: '%incident-4711%' },
      }),
    ],
    [
      'a common word in all statements',
      () => ({
        query: `${page} lowerUTF8(statement.text) LIKE {text:String} ORDER BY time DESC, id DESC LIMIT 101`,
        parameters: { text: '%chargeback%' },
      }),
    ],
    [
      'sessions, newest first',
      () => ({
        query: `${page} kind = 'session.opened' ORDER BY time DESC, id DESC LIMIT 101`,
        parameters: {},
      }),
    ],
    [
      'one event by its identifier',
      () => ({
        query: `${page} id = toFixedString(unhex({event:String}), 16) LIMIT 1`,
        parameters: { event: one().event },
      }),
    ],
  ]
  const took = new Map<string, number[]>()
  for (const [name, question] of questions) {
    const ms: number[] = []
    for (let i = 0; i < (o.times ?? TIMES); i++) {
      const { query, parameters } = question()
      const started = performance.now()
      await rows(client, query, parameters)
      ms.push(performance.now() - started)
    }
    took.set(name, ms)
  }
  return took
}

export async function rows<T>(
  client: ClickHouseClient,
  query: string,
  query_params: Record<string, unknown> = {},
): Promise<[T, ...T[]]> {
  const result = await client.query({
    query,
    query_params,
    format: 'JSONEachRow',
    // As the query service has it: ORDER BY id means the column, whatever the answer calls its text.
    clickhouse_settings: { prefer_column_name_to_alias: 1 },
  })
  return (await result.json<T>()) as [T, ...T[]]
}
