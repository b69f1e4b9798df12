/** Every type as MariaDB sends it: what is read from the binary protocol is what the server itself prints in the other. */
import { chmodSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { installedServer, type MysqlServer, startMysqlServer } from '@custody/mysql-server'
import { ColumnFlag, decodeValue, encodeValue, FieldType, RowPlaces } from './index'
import { RawClient, type RawResult } from './raw-client'

let directory: string
let server: MysqlServer
let client: RawClient

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), 'custody-mysql-values-'))
  chmodSync(directory, 0o755)
  server = await startMysqlServer({
    programs: installedServer()!,
    directory: join(directory, 'db'),
    superuser: { name: 'owner', password: 'x' },
    sql: "CREATE DATABASE v;\nCREATE USER plain@'127.0.0.1';\nGRANT ALL ON v.* TO plain@'127.0.0.1';",
    settings: { 'sql-mode': '' },
  })
  client = await RawClient.open({ port: server.port }, 'plain', 'v')
})

afterAll(async () => {
  client?.end()
  await server?.stop('immediate')
  rmSync(directory, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 })
})

function texts({ columns, rows }: RawResult, isBinary: boolean): (string | null)[][] {
  const places = new RowPlaces(
    columns.map(({ type }) => type),
    isBinary,
  )
  return rows.map((row) => {
    places.read(row, 0, row.length)
    return columns.map((column, i) => {
      const start = places.starts[i]!
      if (start < 0) return null
      const value = row.subarray(start, places.ends[i])
      const text = decodeValue(value, column, isBinary)
      // And it can be made again, length and all; but what the server prints of a float is not all of it, and zeros in front are its own.
      if (column.type === FieldType.float || column.flags & ColumnFlag.zerofill) return text
      const encoded = encodeValue(text, column, isBinary)
      expect(encoded?.subarray(encoded.length - value.length)).toEqual(value)
      return text
    })
  })
}

const COLUMNS = `a tinyint, b tinyint unsigned zerofill, c smallint, d mediumint unsigned, e int(8) zerofill, f bigint unsigned,
  g float, h double, i decimal(20,6), j date, k datetime(3), l timestamp(6) null, m time(2), n year, o bit(13), p char(5),
  q varchar(20) character set latin1, r text, s blob, t varbinary(10), u enum('x','ä'), v set('a','b'), w json, x geometry, y uuid,
  z inet6, aa float(10,2), ab double(12,3), ac datetime, ad time, ae varchar(20) character set gbk, af bit`

const ROWS = [
  `-128, 7, -3, 16000000, 42, 18446744073709551615, 1.5, 1.1e20, 12345678901234.5, '2024-02-29', '2024-02-29 12:13:14.5',
   '2024-02-29 12:13:14.000001', '-838:59:59.5', 2024, b'1010101010101', 'ab', 'héllo€', 'tëxt', x'00ff', 'bin', 'ä', 'a,b',
   '{"a": 1}', point(1,2), '123e4567-e89b-12d3-a456-426655440000', '::1', 1.25, 3.14159, '2024-01-01', '00:00:00', '课', 1`,
]

const FLOATS = ['0', '-0.5', '16777216', '1e-20', '3.4e38', '123456', '1234567', '0.000012', '1e10']
const DOUBLES = [
  ...[
    '0',
    '0.1',
    '1e-15',
    '1e15',
    '1e14',
    '999999999999999',
    '123456789012345678',
    '1e308',
    '5e-324',
  ],
  ...['0.00000000000001234', '1.7976931348623157e308', '-123.456'],
]
const TIMES = ['-00:00:01', '100:00:00', '838:59:59', '00:00:00']
const MOMENTS = ['0000-00-00', '2024-00-00', '9999-12-31 23:59:59.999', '1000-01-01']

async function both(sql: string): Promise<[(string | null)[][], (string | null)[][]]> {
  return [texts(await client.query(sql), false), texts(await client.execute(sql), true)]
}

test('types, each with a value and with none', async () => {
  await client.query(`create table t (${COLUMNS})`)
  for (const row of ROWS) await client.query(`insert into t values (${row})`)
  await client.query('insert into t (a) values (null)')
  const [text, binary] = await both('select * from t')
  expect(text).toHaveLength(2)
  expect(binary).toEqual(text)
  expect(text[0]!.slice(14, 18)).toEqual(["b'1010101010101'", 'ab', 'héllo€', 'tëxt'])
})

test.each([
  ['float', FLOATS],
  ['double', DOUBLES],
  ['time(2)', TIMES],
  ['datetime(3)', MOMENTS],
  ['date', MOMENTS],
])('values of %s at the edges', async (type, values) => {
  await client.query(`create or replace table edges (n int auto_increment primary key, v ${type})`)
  for (const value of values) await client.query(`insert into edges (v) values ('${value}')`)
  const [text, binary] = await both('select v from edges order by n')
  expect(text).toHaveLength(values.length)
  expect(binary).toEqual(text)
})

test.each([
  'utf8mb4',
  'latin1',
  'utf16',
  'utf16le',
  'utf32',
  'ucs2',
  'gbk',
  'cp1251',
  'koi8r',
  'sjis',
])('text and names in %s', async (charset) => {
  await client.query(`set character_set_results = ${charset}`)
  const { columns, rows } = await client.query(`select 'plain' as word`)
  const [[value]] = texts({ columns, rows }, false) as [[string]]
  await client.query('set character_set_results = utf8mb4')
  expect(value).toBe('plain')
})
