/**
 * How long events are kept in the warehouse, by their kind: as a pure question, and as the tables' TTL.
 * Refuses to guess: a kind that no setting names has the default, and without one it is kept for ever.
 */
import { type ClickHouseClient, ClickHouseError } from '@clickhouse/client'
import type { WarehouseSettings } from '@custody/kit'
import { eventsLocal, type Layout } from './render'
import { literal } from './request'

export type RetentionDays = WarehouseSettings['retentionDays']

const DAY_MICROS = 86_400_000_000
const DAY_SECONDS = 86_400

/** Days that events of this kind are kept; 0: for ever. A name means a kind, or all that begin with it and a dot. */
export function keepDaysOf(kind: string, days: RetentionDays): number {
  let best = ''
  for (const name of Object.keys(days))
    if (name !== 'default' && name.length > best.length && isUnder(kind, name)) best = name
  return days[best || 'default'] ?? 0
}

/**
 * Whether an event may be missing from the warehouse because its time is over. The engine counts in whole seconds and
 * deletes when it merges, later than this says; so what is expired may be there, and what is not expired must be.
 */
export function isExpired(
  kind: string,
  timeMicros: number | bigint,
  settings: { retentionDays?: RetentionDays | undefined } | undefined,
  now: Date | number,
): boolean {
  const keepDays = keepDaysOf(kind, settings?.retentionDays ?? {})
  if (keepDays === 0) return false
  const seconds = Math.floor(Number(timeMicros) / 1e6)
  return seconds + keepDays * DAY_SECONDS <= Math.floor(Number(now) / 1000)
}

function isUnder(kind: string, name: string): boolean {
  return kind === name || kind.startsWith(`${name}.`)
}

/** Kinds that are kept equally long, as a condition; the first whose condition holds counts, and they exclude each other. */
export interface KeepClass {
  keepDays: number
  /** Of the column `kind`. */
  condition: string
}

/** Every event is in exactly one of them. */
export function keepClasses(days: RetentionDays): KeepClass[] {
  const names = Object.keys(days)
    .filter((name) => name !== 'default')
    .sort()
  const whose = (name: string) =>
    `(kind = ${literal(name)} OR startsWith(kind, ${literal(`${name}.`)}))`
  const own = (name: string) =>
    [
      whose(name),
      ...names
        .filter((other) => other !== name && isUnder(other, name))
        .map((other) => `NOT ${whose(other)}`),
    ].join(' AND ')
  const rest = names
    .filter((name) => !names.some((other) => other !== name && isUnder(name, other)))
    .map((name) => `NOT ${whose(name)}`)
  const byDays = new Map<number, string[]>()
  const add = (keepDays: number, condition: string) =>
    byDays.set(keepDays, [...(byDays.get(keepDays) ?? []), condition])
  for (const name of names) add(days[name]!, own(name))
  add(days.default ?? 0, rest.length > 0 ? rest.join(' AND ') : '1')
  return [...byDays]
    .sort(([a], [b]) => a - b)
    .map(([keepDays, conditions]) => ({
      keepDays,
      condition: conditions.length === 1 ? conditions[0]! : `(${conditions.join(') OR (')})`,
    }))
}

/** The TTL clause for these settings, without the word; empty: for ever. */
export function ttlOf(days: RetentionDays): string {
  return keepClasses(days)
    .filter(({ keepDays }) => keepDays > 0)
    .map(({ keepDays, condition }) => {
      const until = `toDateTime(time) + toIntervalDay(${keepDays})`
      return condition === '1' ? `${until} DELETE` : `${until} DELETE WHERE ${condition}`
    })
    .join(', ')
}

/**
 * Gives the events table the TTL of the settings, if it has another. What is there already is judged by it when parts are
 * merged; nothing is rewritten at once. Any number of processes may do it at the same time.
 */
export async function applyRetention(
  client: ClickHouseClient,
  days: RetentionDays,
  layout: Layout = {},
): Promise<{ changed: boolean }> {
  const wanted = ttlOf(days)
  if ((await ttlNow(client, layout)) === (await canonical(client, wanted)))
    return { changed: false }
  const on = layout.cluster ? ` ON CLUSTER ${layout.cluster}` : ''
  try {
    await client.command({
      query: `ALTER TABLE ${eventsLocal(layout)}${on} ${wanted ? `MODIFY TTL ${wanted}` : 'REMOVE TTL'}`,
      clickhouse_settings: { materialize_ttl_after_modify: 0 },
    })
  } catch (error) {
    // Somebody else may have been quicker.
    if (
      !(error instanceof ClickHouseError) ||
      (await ttlNow(client, layout)) !== (await canonical(client, wanted))
    )
      throw error
  }
  return { changed: true }
}

async function ttlNow(client: ClickHouseClient, layout: Layout): Promise<string> {
  const [database, table] = eventsLocal(layout).split('.')
  const result = await client.query({
    query:
      'SELECT engine_full FROM system.tables WHERE database = {database:String} AND name = {table:String}',
    query_params: { database, table },
    format: 'JSONEachRow',
  })
  const [row] = await result.json<{ engine_full: string }>()
  return /\sTTL\s([\s\S]*?)(?:\sSETTINGS\s[\s\S]*)?$/.exec(row?.engine_full ?? '')?.[1] ?? ''
}

/** As the engine itself would write it down. */
async function canonical(client: ClickHouseClient, ttl: string): Promise<string> {
  if (ttl === '') return ''
  const result = await client.query({
    query: 'SELECT formatQuerySingleLine({sql:String}) AS text',
    query_params: {
      sql: `CREATE TABLE t (time DateTime) ENGINE = MergeTree ORDER BY time TTL ${ttl}`,
    },
    format: 'JSONEachRow',
  })
  const [row] = await result.json<{ text: string }>()
  return /\sTTL\s([\s\S]*)$/.exec(row!.text)![1]!
}

export const expiresMicros = (timeMicros: number, keepDays: number): number =>
  keepDays === 0 ? Number.POSITIVE_INFINITY : timeMicros + keepDays * DAY_MICROS

/** Which rows `isExpired` is true for, as a condition on `time` and `kind`; null: none ever. */
export function expiredCondition(days: RetentionDays, now: Date | number): string | null {
  const seconds = Math.floor(Number(now) / 1000)
  const conditions = keepClasses(days)
    .filter(({ keepDays }) => keepDays > 0)
    .map(
      ({ keepDays, condition }) =>
        `((${condition}) AND toUnixTimestamp(time) <= ${seconds - keepDays * DAY_SECONDS})`,
    )
  return conditions.length === 0 ? null : conditions.join(' OR ')
}
