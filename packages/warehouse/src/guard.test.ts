/**
 * The query role of the embedded server: what it may ask, and everything that was tried to get around it. Each attempt is
 * made against the engine itself, and looks afterwards whether it left or brought anything.
 */
import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type ClickHouseClient, ClickHouseLogLevel, createClient } from '@clickhouse/client'
import { judgeTree, judgeWords, permittedSettings, wordsOf } from './guard'
import { migrate } from './migrations'
import { createWarehouse, type Warehouse } from './server'

const root = mkdtempSync(join(tmpdir(), 'custody-guard-'))
const SECRET = 'a-secret-of-this-machine'
const secretFile = join(root, 'secret.txt')
const out = join(root, 'out')
let warehouse: Warehouse
let full: ClickHouseClient
let reader: ClickHouseClient
let base: string
let queryPassword: string
let outside: Server
let reached = 0

beforeAll(async () => {
  writeFileSync(secretFile, `${SECRET}\n`)
  outside = createServer((_request, response) => {
    reached++
    response.end(SECRET)
  })
  await new Promise<void>((resolve) => outside.listen(0, '127.0.0.1', resolve))
  queryPassword = 'only reading'
  warehouse = createWarehouse({
    directory: join(root, 'w'),
    port: 0,
    password: 'all',
    queryPassword,
  })
  const { url, queryUrl, port } = await warehouse.start()
  base = `http://127.0.0.1:${port}/`
  full = createClient({ url, log: { level: ClickHouseLogLevel.OFF } })
  reader = createClient({ url: queryUrl, log: { level: ClickHouseLogLevel.OFF } })
  await migrate(full)
  await full.insert({
    table: 'custody.events',
    columns: ['kind', 'recorder', 'sequence'],
    values: [{ kind: 'output', recorder: 'r', sequence: 1 }],
    format: 'JSONEachRow',
  })
}, 60_000)

afterAll(async () => {
  await reader.close()
  await full.close()
  await warehouse.stop()
  await new Promise((resolve) => outside.close(resolve))
  rmSync(root, { recursive: true, force: true })
})

/** A request as it is, past what a client would make of it. */
async function ask(
  body: string | Buffer,
  search: Record<string, string> = {},
): Promise<{ status: number; text: string }> {
  const response = await fetch(`${base}?${new URLSearchParams(search)}`, {
    method: 'POST',
    body: typeof body === 'string' ? body : new Uint8Array(body),
    headers: {
      authorization: `Basic ${Buffer.from(`custody_query:${queryPassword}`).toString('base64')}`,
    },
  })
  return { status: response.status, text: await response.text() }
}

test.each([
  'SELECT count() FROM custody.events',
  'SELECT count() AS n FROM custody.events FORMAT JSON',
  "SELECT kind, 'INTO OUTFILE file(1)' AS t FROM custody.events WHERE startsWith(kind, 'out') -- ; comment",
  'WITH e AS (SELECT * FROM custody.events) SELECT e.kind FROM e GROUP BY 1 ORDER BY 1 LIMIT 5;',
  '(SELECT 1) UNION ALL (SELECT 2)',
  'SELECT 1 INTERSECT SELECT 1',
  'SELECT sum(number) FROM numbers(10)',
  "SELECT name FROM system.columns WHERE database = 'custody'",
  'SELECT arrayMap(x -> x + 1, [1]), * APPLY(toString) FROM custody.sessions',
  'EXPLAIN SELECT 1',
  "EXPLAIN indexes = 1 SELECT count() FROM custody.events WHERE kind = 'x'",
  'SHOW TABLES FROM custody',
  'SHOW CREATE TABLE custody.events',
  'DESCRIBE TABLE custody.events',
  'SELECT file FROM (SELECT 1 AS file)',
  'SELECT url.1 AS x FROM (SELECT tuple(1) AS url)',
])('may ask %s', async (sql) => {
  expect(await ask(sql)).toMatchObject({ status: 200 })
})

test('may ask as the query service does: parameters, settings, hanging up', async () => {
  const result = await reader.query({
    query: 'SELECT kind, sequence FROM custody.events WHERE kind = {kind:String}',
    query_params: { kind: 'output' },
    format: 'JSONEachRow',
    clickhouse_settings: {
      output_format_json_quote_64bit_integers: 0,
      session_timezone: 'UTC',
      max_execution_time: 30,
      prefer_column_name_to_alias: 1,
    },
  })
  expect(await result.json()).toEqual([{ kind: 'output', sequence: 1 }])
})

const file = (name: string) => `${name}('${'FILE'}', 'LineAsString')`

/** Each was thought of as a way to read a file, reach a host, write, or see others' questions. */
const attempts: string[] = [
  // Writing and commanding.
  "INSERT INTO custody.events (kind) VALUES ('x')",
  "INSERT INTO FUNCTION file('OUT') SELECT 1",
  "INSERT INTO FUNCTION url('URL', 'CSV') SELECT 1",
  'ALTER TABLE custody.events DELETE WHERE 1',
  'DROP TABLE custody.events',
  'TRUNCATE TABLE custody.events',
  'OPTIMIZE TABLE custody.events FINAL',
  'CREATE TABLE custody.x (a Int8) ENGINE = Memory',
  'CREATE TEMPORARY TABLE x (a Int8)',
  "CREATE FUNCTION f AS x -> file('FILE')",
  'SYSTEM STOP MERGES',
  'KILL QUERY WHERE 1',
  "BACKUP TABLE custody.events TO File('OUT')",
  'SET max_execution_time = 0',
  'SET readonly = 0',
  'USE system',
  'GRANT ALL ON *.* TO default',
  "ATTACH TABLE x FROM 'OUT' (a Int8) ENGINE = MergeTree ORDER BY a",
  'DETACH TABLE custody.events',
  'CHECK TABLE custody.events',
  'BEGIN TRANSACTION',
  'EXECUTE AS default SELECT 1',
  // A second statement.
  "SELECT 1; INSERT INTO custody.events (kind) VALUES ('x')",
  'SELECT 1;; SELECT 2',
  'SELECT 1\n;\nDROP TABLE custody.events',
  "SELECT 1 /* ; */ ; SELECT file('FILE')",
  // INTO OUTFILE, however it is written.
  "SELECT 1 INTO OUTFILE 'OUT'",
  "SELECT 1 into\n outfile 'OUT' FORMAT CSV",
  "SELECT 1 INTO/**/OUTFILE/**/'OUT' TRUNCATE",
  "SELECT 1 FORMAT CSV INTO OUTFILE 'OUT'",
  "(SELECT 1) UNION ALL (SELECT 2) INTO OUTFILE 'OUT' AND STDOUT",
  "EXPLAIN SELECT 1 INTO OUTFILE 'OUT'",
  "SHOW TABLES INTO OUTFILE 'OUT'",
  "DESCRIBE TABLE custody.events INTO OUTFILE 'OUT'",
  // Table functions, by place and by spelling.
  `SELECT * FROM ${file('file')}`,
  `SELECT * FROM ${file('FILE')}`,
  `SELECT * FROM ${file('`file`')}`,
  `SELECT * FROM ${file('"file"')}`,
  `SELECT * FROM/**/${file('file')}`,
  `SELECT (SELECT any(line) FROM ${file('file')})`,
  `WITH t AS (SELECT * FROM ${file('file')}) SELECT * FROM t`,
  `SELECT 1 WHERE 'x' IN (SELECT * FROM ${file('file')})`,
  `SELECT 1 WHERE 'x' IN ${file('file')}`,
  `SELECT 1 WHERE 'x' GLOBAL IN ${file('file')}`,
  `SELECT * FROM custody.events JOIN ${file('file')} AS f ON 1`,
  `DESCRIBE TABLE ${file('file')}`,
  `EXPLAIN SELECT * FROM ${file('file')}`,
  `EXPLAIN PIPELINE SELECT * FROM ${file('file')}`,
  `EXPLAIN SYNTAX INSERT INTO custody.events SELECT * FROM ${file('file')}`,
  `SELECT * FROM view(SELECT * FROM ${file('file')})`,
  `SELECT * FROM viewExplain('EXPLAIN', '', (SELECT * FROM ${file('file')}))`,
  `SELECT * FROM viewIfPermitted(SELECT * FROM ${file('file')} ELSE null('x String'))`,
  `SELECT * FROM loop(${file('file')})`,
  `SELECT * FROM cluster('default', view(SELECT * FROM ${file('file')}))`,
  "SELECT * FROM url('URL', 'LineAsString')",
  "SELECT * FROM urlCluster('default', 'URL', 'LineAsString')",
  "SELECT * FROM s3('URL/a/b.csv', 'CSV')",
  "SELECT * FROM remote('127.0.0.1:PORT', system.one)",
  "SELECT * FROM remoteSecure('127.0.0.1:PORT', 'system', 'one')",
  "SELECT * FROM mysql('127.0.0.1:PORT', 'a', 'b', 'c', 'd')",
  "SELECT * FROM postgresql('127.0.0.1:PORT', 'a', 'b', 'c', 'd')",
  "SELECT * FROM mongodb('127.0.0.1:PORT', 'a', 'b', 'c', 'd', 'x String')",
  "SELECT * FROM redis('127.0.0.1:PORT', 'k', 'k String, v String')",
  "SELECT * FROM jdbc('jdbc:x', 'a', 'b')",
  "SELECT * FROM odbc('DSN=x', 'a', 'b')",
  "SELECT * FROM sqlite('FILE', 'x')",
  "SELECT * FROM executable('cat FILE', 'TSV', 'x String')",
  "SELECT * FROM hdfs('hdfs://127.0.0.1:PORT/x', 'CSV', 'x String')",
  "SELECT * FROM iceberg('URL/x')",
  "SELECT * FROM deltaLakeLocal('FILE')",
  "SELECT * FROM icebergLocal('FILE')",
  "SELECT * FROM filesystem('ROOT')",
  "SELECT * FROM merge('system', '.*')",
  "SELECT * FROM dictionary('x')",
  "SELECT * FROM eval('SELECT 1')",
  "SELECT * FROM fuzzQuery('SELECT 1', 10, 1)",
  "SELECT * FROM input('x String')",
  "SELECT * FROM mergeTreeIndex('custody', 'events')",
  "EXPLAIN TABLE OVERRIDE mysql('127.0.0.1:PORT', 'a', 'b', 'c', 'd') PARTITION BY x",
  // Functions in places that the tree does not show.
  "SELECT file('FILE')",
  "SELECT FILE('FILE')",
  "SELECT `file`('FILE')",
  "SELECT arrayMap(x -> file(x), ['FILE'])",
  "SELECT * APPLY(x -> file('FILE')) FROM numbers(1)",
  "SELECT * APPLY file FROM (SELECT 'FILE' AS x)",
  "SELECT * APPLY(file) FROM (SELECT 'FILE' AS x)",
  "SELECT COLUMNS('x') APPLY(`file`) FROM (SELECT 'FILE' AS x)",
  "SELECT * REPLACE(file('FILE') AS number) FROM numbers(1)",
  "SELECT count() FROM numbers(1) GROUP BY file('FILE')",
  "SELECT number FROM numbers(1) ORDER BY file('FILE')",
  "SELECT number FROM numbers(1) LIMIT length(file('FILE'))",
  "SELECT sum(number) OVER (PARTITION BY file('FILE')) FROM numbers(1)",
  "WITH file('FILE') AS f SELECT f",
  "SELECT number FROM numbers(1) ORDER BY number WITH FILL TO 2 INTERPOLATE (number AS length(file('FILE')))",
  "SELECT catboostEvaluate('FILE', 1)",
  "SELECT hasColumnInTable('127.0.0.1:PORT', 'system', 'one', 'dummy')",
  "SELECT reverseDNSQuery('127.0.0.1')",
  "SELECT getServerSetting('path')",
  "SELECT aiGenerate('x', 'y')",
  // Others' questions and what is configured.
  'SELECT * FROM system.processes',
  'SELECT * FROM `system`.`processes`',
  'SELECT * FROM "system"."processes"',
  'FROM system.processes SELECT *',
  'SELECT * FROM system . processes',
  'SELECT 1 WHERE 1 IN system.processes',
  'SELECT * APPLY(x -> (SELECT any(query) FROM system.processes)) FROM numbers(1)',
  'SELECT (SELECT any(query) FROM system.processes)',
  'SELECT * FROM system.server_settings',
  'SELECT * FROM system.disks',
  'SHOW PROCESSLIST',
  'SELECT * FROM {t:Identifier}',
  'SELECT * FROM {d:Identifier}.{t:Identifier}',
  'SELECT * FROM system.{t:Identifier}',
  // Settings and formats that read files or lift limits.
  'SELECT 1 SETTINGS max_execution_time = 0',
  'SELECT 1 SETTINGS readonly = 0',
  'SELECT * FROM (SELECT 1 SETTINGS max_memory_usage = 0)',
  "SELECT 1 FORMAT Template SETTINGS format_template_row = 'FILE'",
  'SELECT 1 FORMAT Template',
  'SELECT 1 FORMAT `Template`',
  'SELECT 1 FORMAT Protobuf',
  'SELECT 1 FORMAT CapnProto',
  "SELECT 1 SETTINGS dialect = 'prql'",
  "SELECT 1 SETTINGS additional_table_filters = {'system.one': 'file(1)'}",
  // Not SQL that can be read in one way.
  "SELECT 'a",
  'SELECT 1 \\G',
  'SELECT `a',
  '',
]

test.each(attempts)('may not: %s', async (attempt) => {
  const { port } = outside.address() as AddressInfo
  const sql = attempt
    .replaceAll("FILE'", `${secretFile}'`)
    .replaceAll('ROOT', root)
    .replaceAll("OUT'", `${out}'`)
    .replaceAll('URL', `http://127.0.0.1:${port}`)
    .replaceAll('PORT', String(port))
  const before = reached
  const { status, text } = await ask(sql, { param_t: 'processes', param_d: 'system' })
  expect(status).not.toBe(200)
  expect(text).toMatch(/^Code: (497|62|164|456|36|46|47|78)\b/)
  expect(text).not.toContain(SECRET)
  expect(existsSync(out)).toBe(false)
  expect(reached).toBe(before)
})

test.each<[string, Record<string, string>]>([
  ['SELECT 1', { readonly: '0' }],
  ['SELECT 1', { max_memory_usage: '0' }],
  ['SELECT 1', { max_execution_time: '0' }],
  ['SELECT 1', { max_execution_time: '-1' }],
  ['SELECT 1', { default_format: 'Template' }],
  ['SELECT 1', { format_template_row: '/etc/passwd' }],
  ['SELECT 1', { output_format_schema: '/tmp/x' }],
  ['SELECT 1', { dialect: 'kusto' }],
  ['SELECT 1', { allow_introspection_functions: '1' }],
  ['SELECT 1', { log_comment: 'x' }],
  ['SELECT * FROM processes', { database: 'system' }],
  ['(kind) FORMAT CSV\nx', { query: 'INSERT INTO custody.events' }],
  ["('FILE')", { query: 'SELECT file' }],
])('may not: %s with %j', async (sql, search) => {
  const { status, text } = await ask(sql, search)
  expect(status).toBeGreaterThanOrEqual(400)
  expect(text).toMatch(/^Code: (497|62)\b/)
})

test('a zero byte, and bytes that are no UTF-8, hide nothing', async () => {
  expect((await ask(Buffer.from("SELECT 1\0; SELECT file('/etc/passwd')"))).status).not.toBe(200)
  expect((await ask(Buffer.from("SELECT '\xff' INTO OUTFILE 'x'", 'latin1'))).status).not.toBe(200)
})

test('after all of that nothing was written', async () => {
  const result = await full.query({
    query:
      "SELECT (SELECT count() FROM custody.events) AS events, (SELECT groupArray(name) FROM (SELECT name FROM system.tables WHERE database = 'custody' ORDER BY name)) AS tables",
    format: 'JSONEachRow',
  })
  expect(await result.json()).toEqual([
    { events: 1, tables: ['cold', 'events', 'migrations', 'sessions'] },
  ])
  expect(readdirSync(root).sort()).toEqual(['secret.txt', 'w'])
})

test('a question has its time', async () => {
  const { text } = await ask('SELECT count() FROM numbers(1000000000000) WHERE number % 7 = 9', {
    max_execution_time: '1',
  })
  expect(text).toMatch(/^Code: 159\b/)
})

test('settings within their bounds', () => {
  expect(permittedSettings([['max_execution_time', '100000']])).toEqual([
    ['max_execution_time', '300'],
  ])
})

test('words of what the engine wrote', () => {
  expect(wordsOf("SELECT 'it\\'s; x', `a``b` FROM t")).toEqual([
    { kind: 'word', text: 'SELECT' },
    { kind: 'string', text: "it\\'s; x" },
    { kind: 'sign', text: ',' },
    { kind: 'quoted', text: 'a``b' },
    { kind: 'word', text: 'FROM' },
    { kind: 'word', text: 't' },
  ])
  expect(() => judgeWords(wordsOf("SELECT 'open"), new Set())).toThrow(/one way only/)
  expect(() => judgeTree([], new Set())).toThrow(/only SELECT/)
})
