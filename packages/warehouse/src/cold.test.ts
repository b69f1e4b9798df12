/**
 * Months that are moved to files and back into every question: no row lost, none twice, every column as it was; also where
 * the mover ends between any two of its steps. On the embedded server, on disk and on an S3 server.
 */
import { createHash } from 'node:crypto'
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type ClickHouseClient, ClickHouseLogLevel, createClient } from '@clickhouse/client'
import { type ColdMover, type ColdMoverOptions, createColdMover } from './cold'
import { createHistory, loadCatalogue } from './history'
import { migrate } from './migrations'
import { createWarehouse, type Warehouse } from './server'

const S3rver = require('s3rver')

const root = mkdtempSync(join(tmpdir(), 'custody-cold-'))
const DAY_MS = 86_400_000
/** Long ago from here are January to March 2026. */
const NOW = Date.UTC(2026, 6, 15)
let warehouse: Warehouse
let client: ClickHouseClient
let reader: ClickHouseClient
let s3: { run(): Promise<unknown>; close(): Promise<void>; httpServer: { address(): unknown } }
let s3Port: number
let directories = 0
let disk: string

beforeAll(async () => {
  warehouse = createWarehouse({
    directory: join(root, 'w'),
    port: 0,
    password: 'x',
    queryPassword: 'q',
  })
  const { url, queryUrl } = await warehouse.start()
  client = createClient({ url, log: { level: ClickHouseLogLevel.OFF }, request_timeout: 120_000 })
  reader = createClient({ url: queryUrl, log: { level: ClickHouseLogLevel.OFF } })
  s3 = new S3rver({
    port: 0,
    address: '127.0.0.1',
    silent: true,
    vhostBuckets: false,
    directory: join(root, 's3'),
    configureBuckets: [{ name: 'cold', configs: [] }],
  })
  s3Port = ((await s3.run()) as { port: number }).port
}, 60_000)

afterAll(async () => {
  await reader.close()
  await client.close()
  await warehouse.stop()
  await s3.close()
  rmSync(root, { recursive: true, force: true })
})

beforeEach(async () => {
  await client.command({ query: 'DROP DATABASE IF EXISTS custody SYNC' })
  await migrate(client)
  disk = join(root, `cold-${directories++}`)
})

async function rows<T>(query: string, of = client): Promise<T[]> {
  const result = await of.query({
    query,
    format: 'JSONEachRow',
    clickhouse_settings: { output_format_json_quote_64bit_integers: 1 },
  })
  return result.json<T>()
}

let structure = ''

/** Events of every type of column filled at random, in a month or between two moments. */
async function fill(n: number, from: string, days: number, seed = 1, kind?: string): Promise<void> {
  structure ||= (
    await rows<{ all: string }>(
      "SELECT arrayStringConcat(groupArray(concat('`', name, '` ', type)), ', ') AS all FROM (SELECT name, type FROM system.columns WHERE database = 'custody' AND table = 'events' ORDER BY position)",
    )
  )[0]!.all
  const quoted = structure.replaceAll('\\', '\\\\').replaceAll("'", "\\'")
  await client.command({
    query: `INSERT INTO custody.events SELECT * REPLACE(
  toDateTime64('${from}', 6, 'UTC') + toIntervalMicrosecond((toUInt64(rand()) * 4096 + rand(1) % 4096) % ${days * DAY_MS * 1000}) AS time,
  ${kind ? `'${kind}'` : "arrayElement(['output', 'command.started', 'audit.search'], 1 + rand(2) % 3)"} AS kind)
FROM generateRandom('${quoted}', ${seed}, 20, 3) LIMIT ${n}`,
    // The generator makes whole blocks.
    clickhouse_settings: { max_block_size: String(n) },
  })
}

const settingsOf = (
  cold: ColdMoverOptions['settings']['cold'],
  retentionDays: Record<string, number> = {},
) => ({ cold, retentionDays })

function moverOf(more: Partial<ColdMoverOptions> = {}): ColdMover {
  return createColdMover({
    client,
    settings: settingsOf({ afterDays: 90, disk }),
    secrets: { read: async (secret) => (secret as { literal: string }).literal },
    // Notes carry the engine's clock, which is another than NOW.
    againMsMin: Number.NEGATIVE_INFINITY,
    leaseMs: Number.NEGATIVE_INFINITY,
    now: () => NOW,
    ...more,
  })
}

const historyOf = (of = client) =>
  createHistory({ client: of, settings: { cold: { afterDays: 90, disk } }, now: () => NOW })

/** Count, and sums over all columns of all rows, wherever they lie. */
async function everything(of = client): Promise<unknown> {
  return historyOf(of).read(
    {},
    async (from) =>
      (
        await rows(
          `SELECT count() AS n, uniqExact(id) AS ids, sumWithOverflow(sipHash64(tuple(*))) AS a, sumWithOverflow(cityHash64(tuple(*))) AS b FROM ${from}`,
          of,
        )
      )[0],
  )
}

const count = async (from: string) =>
  Number((await rows<{ n: string }>(`SELECT count() AS n FROM ${from}`))[0]!.n)

test('old months go to files and every question is as before, column by column', async () => {
  await fill(300, '2026-01-01 00:00:00', 31)
  await fill(200, '2026-02-01 00:00:00', 28, 2)
  await fill(100, '2026-07-01 00:00:00', 10, 3)
  const before = await everything()
  await client.command({
    query: 'CREATE TABLE custody.copy ENGINE = Memory AS SELECT * FROM custody.events',
  })
  const moved = await moverOf({ fileRowsMax: 120 }).run()
  expect(moved.map(({ month, rows, dropped }) => ({ month, rows, dropped }))).toEqual([
    { month: 202601, rows: 300, dropped: 0 },
    { month: 202602, rows: 200, dropped: 0 },
  ])
  expect(moved[0]!.files).toBeGreaterThan(2)
  expect(await count('custody.events')).toBe(100)
  expect(await everything()).toEqual(before)
  // Row by row, every column as the engine prints it with its type.
  const [different] = await historyOf().read({}, (from) =>
    rows<{ n: string }>(
      `SELECT count() AS n FROM (SELECT *, count() OVER (PARTITION BY id) AS c FROM (SELECT DISTINCT * FROM (SELECT * FROM custody.copy UNION ALL SELECT * FROM ${from}))) WHERE c != 1`,
    ),
  )
  expect(different).toEqual({ n: '0' })
  const types = (table: string) =>
    rows(`SELECT name, type FROM system.columns WHERE database = 'custody' AND table = '${table}'`)
  const [file] = (await loadCatalogue(client))[0]!.files
  expect(await types(file!.relation)).toEqual(await types('events'))
  // The role that only reads sees them too, and people have a view.
  expect(await everything(reader)).toEqual(before)
  expect(await count('custody.history')).toBe(600)
  expect(await moverOf().run()).toEqual([])
})

test('manifests hold what is needed to check and restore without the warehouse', async () => {
  await fill(50, '2026-01-01 00:00:00', 31)
  const [expected] = await rows<{ digest: string; first: string }>(
    "SELECT lower(hex(sumWithOverflow(reinterpretAsUInt256(SHA256(concat(id, previous)))))) AS digest, formatDateTime(min(time), '%Y-%m-%dT%H:%i:%S.%fZ') AS first FROM custody.events",
  )
  await moverOf().run()
  const [name] = readdirSync(join(disk, 'manifests/2026-01'))
  const manifest = JSON.parse(readFileSync(join(disk, 'manifests/2026-01', name!), 'utf8'))
  expect(manifest).toMatchObject({
    format: 'custody-cold-1',
    month: '2026-01',
    rows: 50,
    leftOut: 0,
  })
  expect(manifest.files).toHaveLength(1)
  const [file] = manifest.files
  const bytes = readFileSync(join(disk, file.name))
  expect(file).toMatchObject({
    rows: 50,
    keepDays: 0,
    digest: expected!.digest,
    first: expected!.first,
    bytes: bytes.length,
    sha256: createHash('sha256').update(bytes).digest('hex'),
  })
  // As docs/warehouse.md says to restore.
  await client.command({
    query: `INSERT INTO custody.events SELECT * FROM file('${join(disk, file.name)}', Parquet)`,
  })
  expect(await count('custody.events')).toBe(50)
})

const STEPS = [
  'note moving',
  'create staging',
  'remove copies',
  'move partition',
  'note staged',
  'write file',
  'flush file',
  'read file back',
  'write manifest',
  'note committed',
  'rename staging',
  'drop staging',
  'note dropped',
]

test.each(STEPS)('ended before “%s” and begun anew: nothing lost, nothing twice', async (where) => {
  await fill(60, '2026-01-01 00:00:00', 31)
  await fill(40, '2026-02-01 00:00:00', 28, 2)
  await fill(10, '2026-07-01 00:00:00', 10, 3)
  const before = await everything()
  const steps: string[] = []
  const crashed = moverOf({
    onStep(step) {
      steps.push(step)
      if (step === where) throw new Error('as if killed')
    },
  })
  await expect(crashed.run()).rejects.toThrow('as if killed')
  expect(steps.at(-1)).toBe(where)
  // An event comes late, for the month that is in the middle of it.
  await fill(1, '2026-01-10 00:00:00', 1, 99)
  const isBetween = ['create staging', 'remove copies', 'move partition', 'note staged'].includes(
    where,
  )
  if (isBetween)
    // Rows may be in either table: a reader waits rather than guess.
    await expect(
      createHistory({ client, settings: { cold: { afterDays: 90, disk } }, waitMsMax: 50 }).read(
        {},
        (from) => count(from),
      ),
    ).rejects.toMatchObject({ code: 'CUSTODY-STORE-007' })
  else expect(await everything()).toMatchObject({ n: '111', ids: '111' })
  const again = moverOf()
  await again.start()
  await again.run()
  expect(await everything()).toMatchObject({ n: '111', ids: '111' })
  await again.run()
  const after = (await everything()) as { n: string; a: string }
  expect(after).toMatchObject({ n: '111', ids: '111' })
  expect(await count('custody.events')).toBe(10)
  // Without the late one it is what it was.
  expect(BigInt(after.a)).not.toBe(BigInt((before as { a: string }).a))
  const tables = await rows<{ name: string }>(
    "SELECT name FROM system.tables WHERE database = 'custody' AND (startsWith(name, 'moving_') OR startsWith(name, 'moved_'))",
  )
  expect(tables).toEqual([])
})

test('killed in the middle of a move, with rows in both tables', async () => {
  await fill(60, '2026-01-01 00:00:00', 31)
  const before = await everything()
  await expect(
    moverOf({
      onStep(step) {
        if (step === 'move partition') throw new Error('as if killed')
      },
    }).run(),
  ).rejects.toThrow('as if killed')
  const [run] = await loadCatalogue(client)
  // Copied, and not yet removed where it came from.
  await client.command({
    query: `ALTER TABLE custody.moving_${run!.run} ATTACH PARTITION 202601 FROM custody.events`,
  })
  await moverOf().run()
  expect(await everything()).toEqual(before)
})

test('late events of a moved month are stored, found, and moved again, each once', async () => {
  await fill(50, '2026-01-01 00:00:00', 31)
  await moverOf().run()
  await fill(5, '2026-01-20 00:00:00', 1, 7)
  const all = await everything()
  expect(all).toMatchObject({ n: '55', ids: '55' })
  // One that is cold already comes once more, from somebody who did not ask.
  const [file] = (await loadCatalogue(client))[0]!.files
  await client.command({
    query: `INSERT INTO custody.events SELECT * FROM custody.${file!.relation} LIMIT 2`,
  })
  const moved = await moverOf().run()
  expect(moved).toMatchObject([{ month: 202601, rows: 5, dropped: 2, files: 1 }])
  expect(await everything()).toEqual(all)
  expect(await count('custody.events')).toBe(0)
})

test('two movers at the same time', async () => {
  await fill(80, '2026-01-01 00:00:00', 31)
  await fill(80, '2026-02-01 00:00:00', 28, 2)
  const before = await everything()
  // Neither waits for the other: what one has begun the other takes over at once.
  const results = await Promise.allSettled([moverOf().run(), moverOf().run(), moverOf().run()])
  expect(results.some(({ status }) => status === 'fulfilled')).toBe(true)
  await moverOf().run()
  await moverOf().run()
  expect(await everything()).toEqual(before)
  expect(await count('custody.events')).toBe(0)
})

test('a process that had stood still can’t add to what is dropped', async () => {
  await fill(10, '2026-01-01 00:00:00', 31)
  let staging = ''
  const moved = await moverOf({
    async onStep(step) {
      if (step !== 'drop staging') return
      staging = `custody.moving_${(await loadCatalogue(client))[0]!.run}`
      await fill(1, '2026-01-05 00:00:00', 1, 5)
      await expect(
        client.command({
          query: `ALTER TABLE custody.events MOVE PARTITION 202601 TO TABLE ${staging}`,
        }),
      ).rejects.toMatchObject({ code: '60' })
    },
  }).run()
  expect(moved).toHaveLength(1)
  expect(await everything()).toMatchObject({ n: '11', ids: '11' })
})

test('what is read while a month is moved is complete every time', async () => {
  await fill(400, '2026-01-01 00:00:00', 31)
  await fill(400, '2026-02-01 00:00:00', 28, 2)
  const before = await everything()
  let moving = true
  const wrong: unknown[] = []
  let reads = 0
  const readers = [client, reader].map(async (of) => {
    while (moving) {
      const now = await everything(of)
      reads++
      if (JSON.stringify(now) !== JSON.stringify(before)) wrong.push(now)
    }
  })
  await moverOf({ fileRowsMax: 100 }).run()
  moving = false
  await Promise.all(readers)
  expect(wrong).toEqual([])
  expect(reads).toBeGreaterThan(2)
})

test('a file that is not what was written stops the move, and nothing is dropped', async () => {
  await fill(20, '2026-01-01 00:00:00', 31)
  const before = await everything()
  const mover = moverOf({
    async onStep(step) {
      if (step !== 'read file back') return
      const [run] = await loadCatalogue(client)
      const directory = join(disk, 'forever/2026-01')
      const [name] = readdirSync(directory)
      // Ten of the rows only.
      await client.command({
        query: `INSERT INTO FUNCTION file('${join(directory, name!)}', Parquet) SELECT * FROM custody.moving_${run!.run} LIMIT 10`,
        clickhouse_settings: { engine_file_truncate_on_insert: 1 },
      })
    },
  })
  await expect(mover.run()).rejects.toMatchObject({ code: 'CUSTODY-STORE-006' })
  expect(await everything()).toEqual(before)
  await moverOf().run()
  expect(await everything()).toEqual(before)
})

test('a place that can’t be written to is told with its code, and questions go on', async () => {
  await fill(20, '2026-01-01 00:00:00', 31)
  const before = await everything()
  const mover = moverOf({
    settings: settingsOf({
      afterDays: 90,
      s3: {
        endpoint: `http://127.0.0.1:${s3Port}`,
        bucket: 'no-such-bucket',
        prefix: 'custody',
        accessKeyId: { literal: 'S3RVER' },
        secretAccessKey: { literal: 'a-secret-key' },
      },
    }),
  })
  const failed = mover.run()
  await expect(failed).rejects.toMatchObject({ code: 'CUSTODY-STORE-005' })
  await expect(failed).rejects.not.toThrow(/a-secret-key/)
  expect(await everything()).toEqual(before)
  await moverOf().run()
  expect(await everything()).toEqual(before)
})

test('S3: written, read back, asked, moved again', async () => {
  await fill(300, '2026-01-01 00:00:00', 31)
  const before = await everything()
  const settings = settingsOf({
    afterDays: 90,
    s3: {
      endpoint: `http://127.0.0.1:${s3Port}`,
      bucket: 'cold',
      prefix: 'a/b',
      accessKeyId: { literal: 'S3RVER' },
      secretAccessKey: { literal: 'S3RVER' },
    },
  })
  const moved = await moverOf({ settings, fileRowsMax: 100 }).run()
  expect(moved).toMatchObject([{ month: 202601, rows: 300 }])
  expect(await everything()).toEqual(before)
  const [run] = await loadCatalogue(client)
  expect(run!.files.every(({ bytes }) => bytes > 1000)).toBe(true)
  expect(readdirSync(join(root, 's3/cold/a/b')).sort()).toEqual(['forever', 'manifests'])
  await fill(5, '2026-01-20 00:00:00', 1, 7)
  await moverOf({ settings }).run()
  expect(await everything()).toMatchObject({ n: '305', ids: '305' })
  expect(await count('custody.events')).toBe(0)
})

test('retention goes on in files: what is over is not written, the rest goes into files of its own time', async () => {
  await fill(30, '2026-01-01 00:00:00', 31, 1, 'output')
  await fill(20, '2026-01-01 00:00:00', 31, 2, 'audit.search')
  await fill(10, '2026-01-01 00:00:00', 31, 3, 'command.started')
  const settings = settingsOf({ afterDays: 90, disk }, { output: 100, audit: 400 })
  expect(await moverOf({ settings }).run()).toMatchObject([{ rows: 30, dropped: 30, files: 2 }])
  expect(readdirSync(disk).sort()).toEqual(['days-400', 'forever', 'manifests'])
  const later = NOW + 400 * DAY_MS
  const history = createHistory({ client, settings, now: () => later })
  expect(await history.read({}, count)).toBe(10)
  await moverOf({ settings, now: () => later }).run()
  expect(readdirSync(join(disk, 'days-400/2026-01'))).toEqual([])
  expect(readdirSync(join(disk, 'forever/2026-01'))).toHaveLength(1)
  expect(await history.read({}, count)).toBe(10)
  expect(await count('custody.history')).toBe(10)
})

test('columns that came later are there in files written before', async () => {
  await fill(20, '2026-01-01 00:00:00', 31)
  await moverOf().run()
  const directory = join(root, `migrations-${directories}`)
  cpSync(join(__dirname, '../migrations'), directory, { recursive: true })
  const next = readdirSync(directory).length + 1
  writeFileSync(
    join(directory, `${String(next).padStart(4, '0')}_more.sql`),
    'ALTER TABLE custody.events ADD COLUMN IF NOT EXISTS more LowCardinality(Nullable(String));\nALTER TABLE custody.events MODIFY COLUMN audit Tuple(action LowCardinality(String), subject String, query Nullable(String), results Int64, durationMicros Int64, more Nullable(Int64)) CODEC(ZSTD(1));\n',
  )
  await migrate(client, { directory })
  const mover = moverOf()
  await mover.start()
  expect(
    await historyOf().read({}, (from) =>
      rows(
        `SELECT count() AS n, countIf(more IS NULL) AS a, countIf(audit.more IS NULL) AS b FROM ${from}`,
      ),
    ),
  ).toEqual([{ n: '20', a: '20', b: '20' }])
  structure = ''
})

test('only what may be cold is asked of files', async () => {
  await fill(20, '2026-01-01 00:00:00', 31)
  await fill(20, '2026-02-01 00:00:00', 28, 2)
  await moverOf().run()
  const history = historyOf()
  const asked = async (sinceMicros?: number, untilMicros?: number) => {
    let from = ''
    await history.read({ sinceMicros, untilMicros }, async (what) => {
      from = what
    })
    return (from.match(/custody\.\w+/g) ?? []).map((one) => one.replace(/_.*/, ''))
  }
  expect(await asked()).toEqual(['custody.events', 'custody.cold', 'custody.cold'])
  expect(await asked(Date.UTC(2026, 1) * 1000)).toEqual(['custody.events', 'custody.cold'])
  expect(await asked(undefined, Date.UTC(2026, 1) * 1000 - 1)).toEqual([
    'custody.events',
    'custody.cold',
  ])
  expect(await asked(Date.UTC(2026, 6, 1) * 1000)).toEqual(['custody.events'])
  expect(await asked(undefined, Date.UTC(2025, 6, 1) * 1000)).toEqual(['custody.events'])
})
