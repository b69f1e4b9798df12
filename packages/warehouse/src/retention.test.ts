/** How long events stay: the pure question, and the engine's own deleting, say the same. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type ClickHouseClient, ClickHouseLogLevel, createClient } from '@clickhouse/client'
import { migrate } from './migrations'
import { applyRetention, isExpired, keepClasses, keepDaysOf, ttlOf } from './retention'
import { createWarehouse, type Warehouse } from './server'

const root = mkdtempSync(join(tmpdir(), 'custody-retention-'))
let warehouse: Warehouse
let client: ClickHouseClient

beforeAll(async () => {
  warehouse = createWarehouse({ directory: join(root, 'w'), port: 0, password: 'x' })
  const { url } = await warehouse.start()
  client = createClient({ url, log: { level: ClickHouseLogLevel.OFF } })
  await migrate(client)
}, 60_000)

afterAll(async () => {
  await client.close()
  await warehouse.stop()
  rmSync(root, { recursive: true, force: true })
})

const DAYS = {
  default: 0,
  output: 30,
  audit: 10,
  'audit.search': 60,
  'command.started': 0,
  command: 20,
}
const KINDS = [
  'output',
  'output.more',
  'outputs',
  'audit',
  'audit.view',
  'audit.search',
  'audit.search.again',
  'audit.searches',
  'command.started',
  'command.completed',
  'commander',
  'session.opened',
]

test('the longest name counts, at whole words', () => {
  expect(Object.fromEntries(KINDS.map((kind) => [kind, keepDaysOf(kind, DAYS)]))).toEqual({
    output: 30,
    'output.more': 30,
    outputs: 0,
    audit: 10,
    'audit.view': 10,
    'audit.search': 60,
    'audit.search.again': 60,
    'audit.searches': 10,
    'command.started': 0,
    'command.completed': 20,
    commander: 0,
    'session.opened': 0,
  })
  expect(keepDaysOf('x', {})).toBe(0)
  expect(ttlOf({})).toBe('')
  expect(ttlOf({ default: 5 })).toBe('toDateTime(time) + toIntervalDay(5) DELETE')
})

test('expired is what is as old as that, to the second', () => {
  const now = Date.UTC(2026, 0, 31)
  const at = (ms: number) => Math.floor(ms * 1000)
  const then = now - 30 * 86_400_000
  expect(isExpired('output', at(then), { retentionDays: DAYS }, now)).toBe(true)
  expect(isExpired('output', BigInt(at(then)), { retentionDays: DAYS }, new Date(now))).toBe(true)
  expect(isExpired('output', at(then + 1000), { retentionDays: DAYS }, now)).toBe(false)
  expect(isExpired('session.opened', 0, { retentionDays: DAYS }, now)).toBe(false)
  expect(isExpired('output', 0, undefined, now)).toBe(false)
})

test('the engine puts every kind into the same class', async () => {
  const classes = keepClasses(DAYS)
  const result = await client.query({
    query: `SELECT kind, ${classes.map(({ condition }, i) => `(${condition}) AS c${i}`).join(', ')} FROM (SELECT arrayJoin({kinds:Array(String)}) AS kind)`,
    query_params: { kinds: KINDS },
    format: 'JSONEachRow',
  })
  for (const row of await result.json<Record<string, string | number>>()) {
    const of = classes.filter((_, i) => Number(row[`c${i}`]) === 1)
    expect(of.map(({ keepDays }) => keepDays)).toEqual([keepDaysOf(String(row.kind), DAYS)])
  }
})

async function insert(): Promise<void> {
  await client.command({ query: 'TRUNCATE TABLE custody.events' })
  await client.command({
    query: `INSERT INTO custody.events (kind, time, sequence)
SELECT kind, now64(6, 'UTC') - toIntervalDay(days) - toIntervalHour(1), days
FROM (SELECT arrayJoin({kinds:Array(String)}) AS kind, arrayJoin([1, 9, 10, 19, 20, 29, 30, 59, 60, 900]) AS days)`,
    query_params: { kinds: KINDS },
  })
}

async function remaining(): Promise<string[]> {
  const result = await client.query({
    query: "SELECT concat(kind, ' ', toString(sequence)) AS one FROM custody.events ORDER BY one",
    format: 'JSONEachRow',
  })
  return (await result.json<{ one: string }>()).map(({ one }) => one)
}

test('old events go by their kind, what has no end stays, and a change counts for what is there', async () => {
  await insert()
  const all = await remaining()
  expect(all).toHaveLength(KINDS.length * 10)
  expect(await applyRetention(client, DAYS)).toEqual({ changed: true })
  expect(await applyRetention(client, DAYS)).toEqual({ changed: false })
  await client.command({
    query: 'ALTER TABLE custody.events MATERIALIZE TTL',
    clickhouse_settings: { mutations_sync: '2' },
  })
  await client.command({ query: 'OPTIMIZE TABLE custody.events FINAL' })
  const now = Date.now()
  const kept = (days: Record<string, number>) =>
    all.filter((one) => {
      const [kind = '', age = ''] = one.split(' ')
      const time = now - Number(age) * 86_400_000 - 3_600_000
      return !isExpired(kind, time * 1000, { retentionDays: days }, now)
    })
  expect(await remaining()).toEqual(kept(DAYS))
  expect(kept(DAYS).length).toBeLessThan(all.length)
  // Another setting.
  expect(await applyRetention(client, { default: 25, output: 0 })).toEqual({ changed: true })
  await client.command({
    query: 'ALTER TABLE custody.events MATERIALIZE TTL',
    clickhouse_settings: { mutations_sync: '2' },
  })
  await client.command({ query: 'OPTIMIZE TABLE custody.events FINAL' })
  const both = new Set(kept(DAYS))
  expect(await remaining()).toEqual(kept({ default: 25, output: 0 }).filter((one) => both.has(one)))
  // For ever.
  expect(await applyRetention(client, { default: 0 })).toEqual({ changed: true })
  expect(await applyRetention(client, {})).toEqual({ changed: false })
  await insert()
  await client.command({ query: 'OPTIMIZE TABLE custody.events FINAL' })
  expect(await remaining()).toEqual(all)
})

test('several apply the same at once', async () => {
  await Promise.all([1, 2, 3, 4].map(() => applyRetention(client, { output: 7 })))
  expect(await applyRetention(client, { output: 7 })).toEqual({ changed: false })
})
