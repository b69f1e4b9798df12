/** Questions whose answers lie partly in cold files: the same as before anything was moved, asked as who only reads. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type ClickHouseClient, ClickHouseLogLevel, createClient } from '@clickhouse/client'
import { newUuid, uuidText } from '@custody/schemas'
import { createColdMover, createWarehouse, migrate, type Warehouse } from '@custody/warehouse'
import { createStore, earliestOf, periodOf, type Store } from './store'

const root = mkdtempSync(join(tmpdir(), 'custody-store-'))
const DAY_MICROS = 86_400_000_000
const NOW = Date.now()
/** One session a day, the newest today; the oldest lie in months that get moved. */
const SESSIONS = 200
const sessions = Array.from({ length: SESSIONS }, (_, i) => {
  const micros = (NOW - 60_000) * 1000 - (SESSIONS - 1 - i) * DAY_MICROS
  return { micros, id: newUuid(micros) }
})
const settings = { cold: { afterDays: 60, disk: join(root, 'cold') }, retentionDays: {} }
let warehouse: Warehouse
let client: ClickHouseClient
let reader: ClickHouseClient

beforeAll(async () => {
  warehouse = createWarehouse({
    directory: join(root, 'w'),
    port: 0,
    password: 'x',
    queryPassword: 'q',
  })
  const { url, queryUrl } = await warehouse.start()
  client = createClient({ url, log: { level: ClickHouseLogLevel.OFF } })
  reader = createClient({ url: queryUrl, log: { level: ClickHouseLogLevel.OFF } })
  await migrate(client)
  const values = sessions.flatMap(({ micros, id }, i) =>
    ['session.opened', 'command.started', 'command.completed', 'session.closed'].map(
      (kind, ordinal) =>
        `(unhex('${newUuid(micros + ordinal).toString('hex')}'), fromUnixTimestamp64Micro(${micros + ordinal}, 'UTC'), '${kind}', 'r', ${i * 4 + ordinal}, unhex('${id.toString('hex')}'), ${ordinal}, ${kind === 'session.closed' ? "'closed'" : "''"}, ${kind === 'session.closed' ? 4 : 0}, '${i % 2 ? 'ann' : 'bob'}')`,
    ),
  )
  await client.command({
    query: `INSERT INTO custody.events (id, time, kind, recorder, sequence, session, ordinal, lifecycle, who)
SELECT id, time, kind, recorder, sequence, session, ordinal,
  CAST(tuple(state, NULL, 0, events, 0, 0, 0, map()), 'Tuple(state LowCardinality(String), reason Nullable(String), commands Int64, events Int64, bytesIn Int64, bytesOut Int64, durationMicros Int64, attributes Map(String, String))'),
  CAST(tuple(subject, 'i', NULL, NULL, [], 'human', 'm', NULL, NULL, []), 'Tuple(subject LowCardinality(String), issuer LowCardinality(String), email LowCardinality(Nullable(String)), name LowCardinality(Nullable(String)), groups Array(LowCardinality(String)), kind LowCardinality(String), method LowCardinality(String), tokenId Nullable(String), authenticatedAt Nullable(DateTime64(6, \\'UTC\\')), onBehalfOf Array(Tuple(subject String, issuer String, kind String)))')
FROM values('id FixedString(16), time DateTime64(6, \\'UTC\\'), kind String, recorder String, sequence Int64, session FixedString(16), ordinal Int64, state String, events Int64, subject String', ${values.join(', ')})`,
  })
}, 120_000)

afterAll(async () => {
  await reader.close()
  await client.close()
  await warehouse.stop()
  rmSync(root, { recursive: true, force: true })
})

async function all(read: (cursor?: string) => ReturnType<Store['events']>): Promise<unknown[]> {
  const items: unknown[] = []
  let cursor: string | undefined
  do {
    const page = await read(cursor)
    items.push(...page.items)
    cursor = page.next ?? undefined
  } while (cursor)
  return items
}

async function answers(store: Store): Promise<Record<string, unknown>> {
  const old = uuidText(sessions[0]!.id)
  const iso = (i: number) => new Date(sessions[i]!.micros / 1000).toISOString()
  const limit = 500
  return {
    newestFirst: await all((cursor) => store.events({}, { limit, cursor }, null)),
    oldestFirst: await all((cursor) => store.events({}, { limit, cursor, ascending: true }, null)),
    between: await all((cursor) =>
      store.events({ since: iso(30), until: iso(90) }, { limit, cursor }, null),
    ),
    recent: await all((cursor) => store.events({ since: iso(195) }, { limit, cursor }, null)),
    kind: await all((cursor) => store.events({ kind: 'session.closed' }, { limit, cursor }, null)),
    sessions: await all((cursor) => store.sessions({}, { limit: 150, cursor }, null)),
    own: await all((cursor) =>
      store.sessions({}, { limit: 150, cursor }, { subject: 'ann', issuer: 'i' }),
    ),
    session: await store.session(old, null),
    found: await store.resolveSession(old.slice(0, 13), null),
    beginning: await store.resolveSession(old, null),
    timeline: await store.sessionEvents(old, 0, { eventsMax: 100 }, null),
    output: await store.sessionEvents(old, 0, { eventsMax: 2, outputBytesMax: 1000 }, null),
    last: await store.resolveSession('last', null),
  }
}

test('timelines, searches, pages and sessions by their identifier are the same when months are cold', async () => {
  const before = await answers(createStore(reader))
  expect((before.newestFirst as unknown[]).length).toBe(4 * SESSIONS)
  expect((before.sessions as unknown[]).length).toBe(SESSIONS)
  const mover = createColdMover({
    client,
    settings,
    secrets: { read: async () => '' },
    leaseMs: 0,
    againMsMin: 0,
  })
  const moved = await mover.run()
  expect(moved.length).toBeGreaterThan(2)
  expect(await answers(createStore(reader, settings))).toEqual(before)
  // A process whose settings say nothing of it still finds what was moved.
  const other = createStore(reader)
  expect(await other.session(uuidText(sessions[0]!.id), null)).toEqual(before.session)
  expect((await other.events({}, { limit: 1000 }, null)).items).toEqual(before.newestFirst)
}, 400_000)

test('what is newer than anything that could be cold is asked of the table alone', async () => {
  const asked: string[] = []
  const watched = new Proxy(reader, {
    get(target, name: keyof ClickHouseClient) {
      if (name !== 'query') return target[name]
      return (params: { query: string }) => {
        asked.push(params.query)
        return target.query(params)
      }
    },
  }) as ClickHouseClient
  const store = createStore(watched, settings)
  await store.events({}, { limit: 1 }, null)
  asked.length = 0
  const recent = uuidText(sessions.at(-1)!.id)
  await store.events({ since: new Date(NOW - 5 * 86_400_000).toISOString() }, { limit: 10 }, null)
  await store.events({}, { limit: 10 }, null)
  await store.session(recent, null)
  await store.sessionEvents(recent, 0, { eventsMax: 100 }, null)
  expect(asked.length).toBeGreaterThan(3)
  for (const sql of asked) {
    expect(sql).toContain('FROM custody.events\n')
    expect(sql).not.toMatch(/UNION ALL|custody\.cold/)
  }
})

test('periods of questions', () => {
  const hex = `${(1_700_000_000_000).toString(16).padStart(12, '0')}7def8123456789abcdef`
  expect(earliestOf(hex)).toBe(1_700_000_000_000_000 - 7 * DAY_MICROS)
  expect(earliestOf('0123456789ab4def0123456789abcdef')).toBeUndefined()
  expect(earliestOf('018b')).toBeLessThan(1_700_000_000_000_000)
  expect(periodOf({ since: 5, until: 9 }, { limit: 1 }, false)).toEqual({
    sinceMicros: 5,
    untilMicros: 9,
  })
  const cursor = { limit: 1, cursor: 'c' }
  expect(periodOf({ since: 5, cursorTime: 7 }, cursor, true).sinceMicros).toBe(7)
  expect(periodOf({ until: 9, cursorTime: 7 }, cursor, false).untilMicros).toBe(7)
  expect(periodOf({}, { limit: 1 }, false)).toEqual({})
})
