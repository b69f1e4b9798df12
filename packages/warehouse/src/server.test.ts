/** The embedded server as @clickhouse/client uses a ClickHouse server: the same calls, the same answers. */
import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type ClickHouseClient, ClickHouseLogLevel, createClient } from '@clickhouse/client'
import { migrate } from './migrations'
import { createWarehouse, type Warehouse } from './server'

const directory = mkdtempSync(join(tmpdir(), 'custody-warehouse-'))
let warehouse: Warehouse
let url: string
let port: number
let client: ClickHouseClient

beforeAll(async () => {
  warehouse = createWarehouse({
    directory,
    port: 0,
    password: 'se:cret',
    queriesMax: 3,
    answerBytesMax: 1_000_000,
  })
  ;({ url, port } = await warehouse.start())
  client = createClient({ url, log: { level: ClickHouseLogLevel.OFF } })
}, 60_000)

afterAll(async () => {
  await client.close()
  await warehouse.stop()
  rmSync(directory, { recursive: true, force: true })
})

async function rows(query: string, query_params?: Record<string, unknown>): Promise<unknown[]> {
  const result = await client.query({
    query,
    format: 'JSONEachRow',
    ...(query_params && { query_params }),
  })
  return result.json()
}

test('ping, and a query', async () => {
  expect(await client.ping()).toEqual({ success: true })
  expect(await rows('SELECT 1 AS one')).toEqual([{ one: 1 }])
})

test('nobody without the password', async () => {
  for (const bad of [`http://127.0.0.1:${port}`, `http://custody:wrong@127.0.0.1:${port}`]) {
    const other = createClient({ url: bad, log: { level: ClickHouseLogLevel.OFF } })
    await expect(other.query({ query: 'SELECT 1' })).rejects.toMatchObject({ code: '516' })
    await other.close()
  }
})

test('parameters arrive as they are, and end with their query', async () => {
  const awkward = "a'b\\c\td\ne; DROP TABLE x -- ☂"
  expect(
    await rows('SELECT {text:String} AS text, {list:Array(String)} AS list', {
      text: awkward,
      list: [awkward, 'x'],
    }),
  ).toEqual([{ text: awkward, list: [awkward, 'x'] }])
  await expect(rows('SELECT {text:String}')).rejects.toThrow(/text/)
})

test('settings are of one query', async () => {
  const one = await client.query({
    query: 'SELECT toUInt64(1) AS one',
    format: 'JSONEachRow',
    clickhouse_settings: { output_format_json_quote_64bit_integers: 1 },
  })
  expect(await one.json()).toEqual([{ one: '1' }])
  expect(await rows('SELECT toUInt64(1) AS one')).toEqual([{ one: 1 }])
})

test('an error has its code and leaves nothing in the next answer', async () => {
  await expect(rows('SELECT nothing FROM nowhere')).rejects.toMatchObject({ code: '60' })
  await expect(
    rows('SELECT throwIf(number = 100000) AS x FROM numbers(200000) SETTINGS max_block_size = 100'),
  ).rejects.toMatchObject({ code: '395' })
  expect(await rows('SELECT 2 AS two')).toEqual([{ two: 2 }])
})

test('rows go in by insert and by stream, compressed or not', async () => {
  await client.command({ query: 'CREATE DATABASE t' })
  await client.command({
    query: 'CREATE TABLE t.t (n UInt32, s String) ENGINE = MergeTree ORDER BY n',
  })
  await client.insert({ table: 't.t', values: [{ n: 1, s: "a'b" }], format: 'JSONEachRow' })
  const gzip = createClient({ url, compression: { request: true, response: true } })
  await gzip.insert({ table: 't.t', values: [{ n: 2, s: 'two' }], format: 'JSONEachRow' })
  await gzip.close()
  expect(await rows('SELECT * FROM t.t ORDER BY n')).toEqual([
    { n: 1, s: "a'b" },
    { n: 2, s: 'two' },
  ])
  expect(readdirSync(join(directory, 'spool'))).toEqual([])
})

test('a bad body is refused whole', async () => {
  await expect(
    client.exec({
      query: 'INSERT INTO t.t FORMAT Avro',
      values: require('node:stream').Readable.from([Buffer.from('no avro')]),
    }),
  ).rejects.toThrow()
  expect(await rows('SELECT count() AS n FROM t.t')).toEqual([{ n: 2 }])
})

test('hanging up ends the query', async () => {
  const abort = new AbortController()
  const query = client.query({
    query: 'SELECT count() FROM numbers(1000000000000) WHERE number % 7 = 9 -- hung up',
    abort_signal: abort.signal,
  })
  const running = () =>
    rows(
      "SELECT count() AS n FROM system.processes WHERE query LIKE '%-- hung up%' AND query NOT LIKE '%processes%'",
    )
  while (((await running()) as { n: number }[])[0]?.n === 0) await pause()
  abort.abort()
  await expect(query).rejects.toThrow(/abort/i)
  while (((await running()) as { n: number }[])[0]?.n !== 0) await pause()
})

test('more queries than places wait for one', async () => {
  const answers = await Promise.all(
    Array.from({ length: 20 }, (_, n) => rows(`SELECT ${n} AS n, sleep(0.01) AS s`)),
  )
  expect(answers.map((answer) => (answer[0] as { n: number }).n)).toEqual(
    Array.from({ length: 20 }, (_, n) => n),
  )
})

test('an answer beyond its bound is an error, not a crash', async () => {
  await expect(rows("SELECT repeat('x', 1000) FROM numbers(1001)")).rejects.toMatchObject({
    code: '396',
  })
})

test('garbage on the port does no harm', async () => {
  await new Promise<void>((resolve) => {
    const socket = connect(port, '127.0.0.1', () => socket.end('\x16\x03\x01 garbage\r\n\r\n'))
    socket.on('close', () => resolve()).resume()
  })
  expect(await client.ping()).toEqual({ success: true })
})

/** All that are shipped, in order. */
const MIGRATIONS = ['0001_events', '0002_sessions', '0003_cold', '0004_unread', '0005_words']

test('migrations once, noted, and again without effect', async () => {
  const first = await migrate(client)
  expect(first.applied).toEqual(MIGRATIONS)
  expect(await migrate(client)).toEqual({ applied: [] })
  expect(await rows('SELECT count() AS n FROM custody.events')).toEqual([{ n: 0 }])
  expect(await rows('SELECT count() AS n FROM custody.sessions')).toEqual([{ n: 0 }])
})

test('a changed migration and a newer warehouse are refused', async () => {
  const note = (number: number, digest: string) =>
    client.insert({
      table: 'custody.migrations',
      columns: ['number', 'name', 'digest'],
      values: [{ number, name: number === 99 ? '0099_future' : '0001_events', digest }],
      format: 'JSONEachRow',
    })
  await note(99, 'x')
  await expect(migrate(client)).rejects.toMatchObject({ code: 'CUSTODY-STORE-001' })
  await client.command({
    query: 'ALTER TABLE custody.migrations DELETE WHERE number > 0',
    clickhouse_settings: { mutations_sync: '1' },
  })
  await note(1, 'another')
  await expect(migrate(client)).rejects.toMatchObject({ code: 'CUSTODY-STORE-002' })
})

function pause(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 20))
}
