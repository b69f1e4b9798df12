/**
 * What a cluster is told: golden files of all that is rendered, read by the engine's own parser, and, as far as one engine in
 * process can be a cluster, run. See docs/warehouse.md for what that leaves untested.
 */
import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type ClickHouseClient, ClickHouseLogLevel, createClient } from '@clickhouse/client'
import { createStaging } from './cold'
import { insertTarget } from './insert'
import { listMigrations, migrate, NOTES } from './migrations'
import { render } from './render'
import { ttlOf } from './retention'
import { createWarehouse, type Warehouse } from './server'
import { ADMIN_GRANTS, userStatements, usersXml } from './users'

const root = mkdtempSync(join(tmpdir(), 'custody-cluster-'))
const users = [
  { role: 'ingest', user: 'custody_ingest', password: 'i' },
  { role: 'query', user: 'custody_query', password: 'q' },
] as const
let warehouse: Warehouse
let client: ClickHouseClient

beforeAll(async () => {
  warehouse = createWarehouse({ directory: join(root, 'w'), port: 0, password: 'x' })
  const { url } = await warehouse.start()
  client = createClient({ url, log: { level: ClickHouseLogLevel.OFF } })
}, 60_000)

afterAll(async () => {
  await client.close()
  await warehouse.stop()
  rmSync(root, { recursive: true, force: true })
})

const rendered = (cluster?: string) => [
  ...render('CREATE DATABASE IF NOT EXISTS custody', { cluster }),
  ...render(NOTES, { cluster }),
  ...listMigrations().flatMap(({ statements }) =>
    statements.flatMap((statement) => render(statement, { cluster })),
  ),
  ...createStaging('run1', cluster),
]

/** The page as it was when somebody last looked at it. CUSTODY_WRITE_DOCS=1 writes it anew. */
function golden(name: string, text: string): void {
  const file = join(__dirname, 'testing', name)
  if (process.env.CUSTODY_WRITE_DOCS) writeFileSync(file, text)
  expect(text).toBe(readFileSync(file, 'utf8'))
}

const sqlOf = (statements: readonly string[]) => `${statements.join(';\n\n')};\n`

test('a cluster’s tables are the golden ones', () => {
  golden('cluster.sql', sqlOf(rendered('main')))
})

test('one server’s are the migrations as they are', () => {
  const own = listMigrations().flatMap(({ statements }) => statements)
  expect(rendered().slice(2, -1)).toEqual(own)
})

test('users are the golden ones, in SQL and for users.d, and no password is in them', () => {
  const secret = [
    { ...users[0], password: 'the-password-of-ingest' },
    { ...users[1], password: "the-password-of-query'" },
  ]
  const sql = sqlOf(userStatements(secret))
  const clustered = sqlOf(userStatements(secret, { cluster: 'main' }))
  const xml = usersXml(secret, { user: 'custody_admin', password: 'the-password-of-admin' })
  golden('users.sql', sql)
  golden('users-cluster.sql', clustered)
  golden('users.xml', xml)
  for (const text of [sql, clustered, xml]) expect(text).not.toContain('the-password')
})

test('the engine’s parser reads all of it', async () => {
  const statements = [
    ...rendered('main'),
    ...userStatements([...users]),
    ...userStatements([...users], { cluster: 'main' }),
    ...ADMIN_GRANTS.map((grant) => `GRANT ${grant} TO custody_admin`),
    ...render(`ALTER TABLE custody.events MODIFY TTL ${ttlOf({ default: 9, output: 3 })}`, {
      cluster: 'main',
    }),
    'ALTER TABLE custody.events_local ON CLUSTER main MOVE PARTITION 202601 TO TABLE custody.moving_run1_local',
    'SYSTEM SYNC REPLICA ON CLUSTER main custody.moving_run1_local',
    'RENAME TABLE custody.moving_run1 TO custody.moved_run1 ON CLUSTER main',
    'DROP TABLE IF EXISTS custody.moved_run1_local ON CLUSTER main SYNC',
    'CREATE OR REPLACE VIEW custody.history ON CLUSTER main AS SELECT * FROM custody.events',
    "CREATE OR REPLACE TABLE custody.cold_1 ON CLUSTER main AS custody.events ENGINE = S3('https://s3/b/x', 'k', 's', 'Parquet')",
  ]
  for (const sql of statements) {
    const result = await client.query({
      query: 'SELECT formatQuerySingleLine({sql:String}) AS text',
      query_params: { sql },
      format: 'JSONEachRow',
    })
    const [row] = await result.json<{ text: string }>()
    expect(row!.text).toMatch(/^(CREATE|ALTER|GRANT|REVOKE|SYSTEM|RENAME|DROP)\b/)
  }
})

test.each([
  'CREATE TABLE custody.x (a Int8) ENGINE = MergeTree ORDER BY a',
  'CREATE TABLE IF NOT EXISTS custody.x (a Int8) ENGINE = MergeTree() ORDER BY a',
  'CREATE TABLE IF NOT EXISTS custody.x (a Int8) ENGINE = Memory',
  'CREATE MATERIALIZED VIEW IF NOT EXISTS custody.x AS SELECT 1',
  'ALTER TABLE custody.events ADD COLUMN IF NOT EXISTS a Int8, ADD INDEX i a TYPE minmax',
  'ALTER TABLE custody.events FREEZE',
  'DROP TABLE custody.events',
  'DROP TABLE IF EXISTS custody.events',
  'SELECT 1',
])('a cluster has no form for %s', (statement) => {
  expect(() => render(statement, { cluster: 'main' })).toThrow()
})

test.each([
  [
    'ALTER TABLE custody.events ADD COLUMN IF NOT EXISTS a Int8',
    [
      'ALTER TABLE custody.events_local ON CLUSTER main ADD COLUMN IF NOT EXISTS a Int8',
      'ALTER TABLE custody.events ON CLUSTER main ADD COLUMN IF NOT EXISTS a Int8',
    ],
  ],
  [
    'ALTER TABLE custody.events ADD INDEX IF NOT EXISTS i a TYPE minmax',
    ['ALTER TABLE custody.events_local ON CLUSTER main ADD INDEX IF NOT EXISTS i a TYPE minmax'],
  ],
  [
    'ALTER TABLE custody.cold ADD COLUMN IF NOT EXISTS a Int8',
    ['ALTER TABLE custody.cold ON CLUSTER main ADD COLUMN IF NOT EXISTS a Int8'],
  ],
  [
    'DROP VIEW IF EXISTS custody.sessions',
    ['DROP VIEW IF EXISTS custody.sessions ON CLUSTER main SYNC'],
  ],
])('%s on a cluster', (statement, expected) => {
  expect(render(statement, { cluster: 'main' })).toEqual(expected)
})

test('several begin with an empty warehouse at once, and each sees all of it', async () => {
  for (let round = 0; round < 3; round++) {
    await client.command({ query: 'DROP DATABASE IF EXISTS custody SYNC' })
    const results = await Promise.all([1, 2, 3, 4].map(() => migrate(client)))
    const names = listMigrations().map(({ name }) => name)
    expect(new Set(results.flatMap(({ applied }) => applied))).toEqual(new Set(names))
    const noted = await client.query({
      query:
        'SELECT name, uniqExact(digest) AS digests FROM custody.migrations GROUP BY name ORDER BY name',
      format: 'JSONEachRow',
    })
    expect(await noted.json()).toEqual(names.map((name) => ({ name, digests: expect.anything() })))
    expect(await migrate(client)).toEqual({ applied: [] })
  }
})

test('one server’s tables are not taken for a cluster’s', async () => {
  await migrate(client)
  await expect(migrate(client, { cluster: 'main' })).rejects.toMatchObject({
    code: 'CUSTODY-STORE-003',
  })
})

test('what is inserted into, and how', () => {
  expect(insertTarget({})).toEqual({ table: 'custody.events', settings: {} })
  expect(insertTarget({ cluster: 'main' })).toEqual({
    table: 'custody.events',
    settings: expect.objectContaining({ distributed_foreground_insert: 1, insert_quorum: 'auto' }),
  })
})

/**
 * The engine in process as one shard of one: it has Distributed tables and runs what is spread to itself, but neither a
 * Keeper nor ON CLUSTER. So the rendered SQL is run without those, everything else as it is.
 */
test('rows inserted into the distributed table are in the local one, once, and are found through it', async () => {
  const configuration = join(root, 'cluster.xml')
  writeFileSync(
    configuration,
    `<clickhouse><tcp_port>9</tcp_port><remote_servers><main><shard><internal_replication>true</internal_replication>
<replica><host>127.0.0.1</host><port>9</port></replica></shard></main></remote_servers></clickhouse>`,
  )
  const script = join(root, 'run.js')
  // A process of its own: an engine in process has one data directory.
  writeFileSync(
    script,
    `const { Session } = require(${JSON.stringify(require.resolve('chdb'))})
const session = new Session(${JSON.stringify(join(root, 'shard'))}, { connectionArgs: ['--config-file=${configuration}'] })
const run = async (sql) => Buffer.from((await session.queryAsync(sql, { format: 'JSONCompactEachRow' })).bytes()).toString()
;(async () => {
  for (const sql of ${JSON.stringify(
    rendered('main').map((sql) =>
      sql
        .replaceAll(' ON CLUSTER main', '')
        .replace(/ReplicatedMergeTree\('[^']*', '[^']*'\)/, 'MergeTree'),
    ),
  )}) await run(sql)
  for (const again of [1, 2])
    await run("INSERT INTO custody.events (kind, recorder, sequence, session, time) SETTINGS ${Object.entries(
      insertTarget({ cluster: 'main' }).settings,
    )
      .map(([name, value]) => `${name} = '${value}'`)
      .join(
        ', ',
      )}, insert_deduplication_token = 'custody.events/0/0-5' SELECT 'session.opened', 'r', number, number < 2 ? '' : 'a session', now64(6) FROM numbers(5 * " + (again === 1 ? 1 : 0) + ")")
  const answers = []
  for (const sql of ['SELECT count() FROM custody.events', 'SELECT count() FROM custody.events_local', 'SELECT count() FROM custody.sessions', 'SELECT engine FROM system.tables WHERE name = \\'events\\' AND database = \\'custody\\''])
    answers.push(JSON.parse(await run(sql))[0])
  await run('ALTER TABLE custody.events_local ADD COLUMN IF NOT EXISTS more Int32')
  await run('ALTER TABLE custody.events ADD COLUMN IF NOT EXISTS more Int32')
  answers.push(JSON.parse(await run('SELECT sum(more) FROM custody.events'))[0])
  console.log(JSON.stringify(answers))
  process.exit(0)
})().catch((error) => { console.error(error); process.exit(1) })
`,
  )
  const output = execFileSync(process.execPath, [script], { encoding: 'utf8' })
  expect(JSON.parse(output.trim().split('\n').at(-1)!).map(String)).toEqual([
    '5',
    '5',
    '1',
    'Distributed',
    '0',
  ])
})

test('the engine holds the query user of users.d to its rights and limits', async () => {
  const configuration = join(root, 'users-config.xml')
  const directory = join(root, 'rights')
  // The engine in process has one user, called default: it gets what the file gives to custody_query.
  const file = join(root, 'users-default.xml')
  writeFileSync(
    file,
    usersXml([...users])
      .replaceAll(/<custody_ingest>[\s\S]*?<\/custody_ingest>/g, '')
      .replace(/<users>\s*<custody_query>/, '<users><default>')
      .replace(/<\/custody_query>\s*<\/users>/, '</default></users>')
      .replace(/<password_sha256_hex>.*<\/password_sha256_hex>/, '<password></password>')
      .replace('<quota>default</quota>', '')
      .replace('<profiles>', '<profiles><default></default>'),
  )
  writeFileSync(configuration, `<clickhouse><users_config>${file}</users_config></clickhouse>`)
  const run = (args: string[], statements: string[]): string[] => {
    const script = join(root, 'rights.js')
    writeFileSync(
      script,
      `const { Session } = require(${JSON.stringify(require.resolve('chdb'))})
;(async () => {
  const answers = []
  for (const sql of ${JSON.stringify(statements)}) {
    const session = new Session(${JSON.stringify(directory)}, { connectionArgs: ${JSON.stringify(args)} })
    try { await session.queryAsync(sql, { format: 'JSONCompactEachRow' }); answers.push('done') }
    catch (error) { answers.push(/Code: (\\d+)/.exec(error.message)?.[1] ?? error.message) }
    session.close()
  }
  console.log(JSON.stringify(answers))
  process.exit(0)
})()
`,
    )
    const output = execFileSync(process.execPath, [script], { encoding: 'utf8' })
    return JSON.parse(output.trim().split('\n').at(-1)!)
  }
  const made = run([], rendered().slice(0, -1))
  expect(new Set(made)).toEqual(new Set(['done']))
  const tried: [string, string][] = [
    ['SELECT count() FROM custody.events', 'done'],
    ['SELECT count() FROM custody.sessions', 'done'],
    ['SET max_execution_time = 100', 'done'],
    ['SET max_execution_time = 0', '452'],
    ['SET max_execution_time = 301', '452'],
    ['SET max_memory_usage = 0', '452'],
    ['SELECT 1 SETTINGS max_result_rows = 0', '452'],
    ['SET readonly = 0', '164'],
    ["INSERT INTO custody.events (kind) SELECT 'x'", '497'],
    ['CREATE TABLE custody.x (a Int8) ENGINE = Memory', '497'],
    ['DROP TABLE custody.events', '497'],
    ["SELECT * FROM file('/etc/hostname', 'LineAsString')", '497'],
    ["SELECT * FROM url('http://127.0.0.1:9/', 'LineAsString')", '497'],
    ["SELECT * FROM remote('127.0.0.1:9', system.one)", '497'],
    ["SELECT * FROM s3('http://127.0.0.1:9/bucket/b.csv', 'CSV')", '497'],
    ['SELECT * FROM custody.nothing', '60'],
  ]
  expect(
    run(
      [`--config-file=${configuration}`],
      tried.map(([sql]) => sql),
    ),
  ).toEqual(tried.map(([, expected]) => expected))
})
