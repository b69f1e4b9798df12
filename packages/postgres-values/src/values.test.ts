/** Decoded binary values against what the server itself prints for them. */
import { type PostgresServer, startPostgres } from '@custody/test-support'
import fc from 'fast-check'
import type { Client } from 'pg'
import { encodeValue } from './encode'
import { typeName, typeOid, valueTypeOf } from './types'
import { decodeHstore, decodeRecord, decodeValue } from './values'

let server: PostgresServer
let client: Client

beforeAll(async () => {
  server = await startPostgres()
  client = await server.connect()
  await client.query(
    "set timezone = 'UTC'; set bytea_output = 'hex'; set intervalstyle = 'postgres'; set datestyle = 'ISO'",
  )
})
afterAll(async () => {
  await client?.end()
  await server?.stop()
})

/** What the type's own send function gives, and what the server prints. */
async function both(expression: string): Promise<{ binary: Buffer; text: string; oid: number }> {
  const { rows } = await client.query(
    `select typsend::text as send, oid from pg_type where oid = pg_typeof(${expression})`,
  )
  const answer = await client.query(
    `select encode(${rows[0].send}(${expression}), 'hex') as hex, format('%s', ${expression}) as text`,
  )
  return {
    binary: Buffer.from(answer.rows[0].hex, 'hex'),
    text: answer.rows[0].text,
    oid: Number(rows[0].oid),
  }
}

const VALUES = [
  ...['true', 'false'].map((v) => `${v}::bool`),
  ...['-32768', '0', '32767'].map((v) => `(${v})::int2`),
  ...['-2147483648', '2147483647'].map((v) => `(${v})::int4`),
  ...["'-9223372036854775808'", "'9223372036854775807'"].map((v) => `${v}::int8`),
  ...[
    "'0'",
    "'-0'",
    "'1.5'",
    "'NaN'",
    "'Infinity'",
    "'-Infinity'",
    "'3.1415927'",
    "'1e-40'",
    "'1e30'",
  ].map((v) => `${v}::float4`),
  ...[
    "'0.1'",
    "'1e300'",
    "'1e-300'",
    "'NaN'",
    "'-Infinity'",
    "'123456789.123456789'",
    "'1e15'",
    "'1e16'",
  ].map((v) => `${v}::float8`),
  ...[
    "'0'",
    "'0.00'",
    "'1'",
    "'-1'",
    "'10000'",
    "'99999999'",
    "'0.0001'",
    "'0.00001000'",
    "'12345678901234567890.123456789'",
    "'-0.5'",
    "'NaN'",
    "'Infinity'",
    "'-Infinity'",
    "'1e50'",
    "'1e-30'",
  ].map((v) => `${v}::numeric`),
  ...["''", "'ünï ☂ 😀'", "E'a\\nb'"].map((v) => `${v}::text`),
  "'abc'::varchar(9)",
  "'ab'::char(5)",
  '\'x\'::"char"',
  "'n'::name",
  "'\\x00ff'::bytea",
  "''::bytea",
  ...[
    "'2026-02-28'",
    "'infinity'",
    "'-infinity'",
    "'0001-01-01'",
    "'4713-01-01 BC'",
    "'1969-12-31'",
  ].map((v) => `${v}::date`),
  ...["'00:00:00'", "'23:59:59.999999'", "'12:00:00.5'", "'24:00:00'"].map((v) => `${v}::time`),
  ...["'12:00:00+02'", "'12:00:00-05:30'", "'23:59:59.1+00'"].map((v) => `${v}::timetz`),
  ...[
    "'2026-02-28 12:34:56'",
    "'2026-02-28 12:34:56.789012'",
    "'infinity'",
    "'-infinity'",
    "'1969-07-20 20:17:40.5'",
    "'0044-03-15 12:00:00 BC'",
  ].flatMap((v) => [`${v}::timestamp`, `${v}::timestamptz`]),
  ...[
    "'0'",
    "'1 year 2 mons 3 days 04:05:06.7'",
    "'-1 day'",
    "'-1 year +2 days'",
    "'00:00:00.000001'",
    "'-00:00:01'",
    "'1000 hours'",
  ].map((v) => `${v}::interval`),
  "'0190b1c2-0000-7000-8000-000000000001'::uuid",
  '\'{"a": [1, null, "ü"]}\'::jsonb',
  '\'{"a":1}\'::json',
  "'<a/>'::xml",
  ...["'10.1.2.3/24'", "'10.1.2.3'", "'::1'", "'2001:db8::/32'"].map((v) => `${v}::inet`),
  "'10.1.0.0/16'::cidr",
  "'08:00:2b:01:02:03'::macaddr",
  "'1010'::bit(4)",
  "'10101'::varbit",
  '42::oid',
  ...["'{1,NULL,3}'", "'{}'", "'{{1,2},{3,4}}'"].map((v) => `${v}::int4[]`),
  ...['\'{"a b",NULL,"c\\"d","e\\\\f","null",""}\'', "'{x}'", '\'{"a,b","{c}"}\''].map(
    (v) => `${v}::text[]`,
  ),
  "'{true,false}'::bool[]",
  "'{1.5,2}'::numeric[]",
  "'[0:2]={1,2,3}'::int4[]",
  "'[-1:0][2:2]={{1},{2}}'::int4[]",
  '\'{"{\\"a\\": 1}",NULL}\'::jsonb[]',
  "'{2026-02-28,infinity}'::date[]",
  "'{2026-02-28 12:00:00+00}'::timestamptz[]",
  "'{12:00:00}'::time[]",
  "'{0190b1c2-0000-7000-8000-000000000001}'::uuid[]",
  '\'{"\\\\x00ff",""}\'::bytea[]',
  "'{10.1.2.3}'::inet[]",
  ...["'[1,5)'", "'empty'", "'(,3)'", "'[7,)'", "'(,)'"].map((v) => `${v}::int4range`),
  "'[1.5,2.5]'::numrange",
  "'[2026-01-01,2026-02-01)'::daterange",
  "'[2026-01-01 00:00:00,2026-02-01 00:00:00]'::tsrange",
  "'(2026-01-01 00:00:00+00,)'::tstzrange",
  "'{[1,3),[5,9)}'::int8multirange",
  "'{}'::int4multirange",
  '\'{"[1,3)",empty}\'::int4range[]',
  "row(1, null, 'a b'::text, ''::text, 'c\"d\\e,'::text, array[1,2])",
]

/** Types that are written in binary as well. */
const WRITTEN =
  /::(bool|int[248]|float[48]|numeric|text|varchar\(9\)|char\(5\)|"char"|name|bytea|date|time|timestamp|timestamptz|uuid|jsonb?|xml|oid)(\[\])?$/

test.each(VALUES)('%s', async (expression) => {
  const { binary, text, oid } = await both(expression)
  const shown = decodeValue(binary, oid, 1)
  expect(oid === 1042 ? shown.trimEnd() : shown).toBe(oid === 1042 ? text.trimEnd() : text)
  const written = encodeValue(oid === 1042 ? text : shown, oid)
  if (WRITTEN.test(expression)) expect(written?.toString('hex')).toBe(binary.toString('hex'))
  else expect(written).toBeNull()
})

test('a row and an hstore, whose types every database numbers by itself', async () => {
  await client.query('create extension if not exists hstore; create type pair as (a int, b text)')
  const answer = await client.query(
    `select encode(record_send(row(1, 'a"b')::pair), 'hex') as row, row(1, 'a"b')::pair::text as row_text,
            encode(hstore_send(h), 'hex') as hstore, h::text as hstore_text
       from (select hstore(array['a', 'b"', ''], array['1', null, 'c\\d']) as h) as x`,
  )
  const { row, row_text, hstore, hstore_text } = answer.rows[0]
  expect(decodeRecord(Buffer.from(row, 'hex'))).toBe(row_text)
  expect(decodeHstore(Buffer.from(hstore, 'hex'))).toBe(hstore_text)
  expect(decodeHstore(Buffer.from('00', 'hex'))).toBe('\\x00')
})

const ANY: Record<string, fc.Arbitrary<string>> = {
  int2: fc.integer({ min: -32768, max: 32767 }).map(String),
  int4: fc.integer().map(String),
  int8: fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }).map(String),
  numeric: fc
    .tuple(fc.bigInt(), fc.string({ unit: fc.constantFrom(...'0123456789'), maxLength: 12 }))
    .map(([whole, fraction]) => (fraction ? `${whole}.${fraction}` : `${whole}`)),
  float4: fc.float().map(String),
  float8: fc.double().map(String),
  text: fc.string({ unit: 'grapheme' }).filter((one) => !one.includes('\0')),
  bytea: fc.uint8Array().map((one) => `\\x${Buffer.from(one).toString('hex')}`),
  date: fc
    .date({ min: new Date('0001-01-01'), max: new Date('9999-12-31'), noInvalidDate: true })
    .map((one) => one.toISOString().slice(0, 10)),
  timestamptz: fc
    .date({ min: new Date('0002-01-01'), max: new Date('9998-12-31'), noInvalidDate: true })
    .map((one) => one.toISOString().replace('T', ' ').replace('Z', '+05:30')),
  uuid: fc.uuid(),
}

test.each(Object.keys(ANY))(
  '%s: what is written the server reads as the same value',
  async (name) => {
    for (const isArray of [false, true]) {
      const type = name + (isArray ? '[]' : '')
      const oid = typeOid(type)!
      const values = fc.sample(
        isArray
          ? fc
              .array(fc.option(ANY[name]!), { maxLength: 5 })
              .map(
                (some) =>
                  `{${some.map((one) => (one === null ? 'NULL' : `"${one.replace(/["\\]/g, '\\$&')}"`)).join(',')}}`,
              )
          : ANY[name]!,
        60,
      )
      for (const value of values) {
        const { rows } = await client.query(
          `select $1::${type}::text as text, encode(${isArray ? 'array_send' : `${{ text: 'text', uuid: 'uuid_', numeric: 'numeric_', date: 'date_', timestamptz: 'timestamptz_' }[name] ?? name}send`}($1::${type}), 'hex') as hex`,
          [value],
        )
        expect([value, encodeValue(rows[0].text, oid)?.toString('hex')]).toEqual([
          value,
          rows[0].hex,
        ])
        expect(decodeValue(Buffer.from(rows[0].hex, 'hex'), oid, 1)).toBe(rows[0].text)
      }
    }
  },
)

test('what is not of the type is not written', () => {
  for (const [text, oid] of [
    ['x', 16],
    ['32768', 21],
    ['1.5', 23],
    ['9223372036854775808', 20],
    ['-1', 26],
    ['1e39', 700],
    ['1e400', 701],
    ['1e5', 1700],
    ['2026-02-30', 1082],
    ['2026-02-28', 1114],
    ['2026-02-28 00:00:00', 1184],
    ['25:00:00', 1083],
    ['\\x0', 17],
    ['123', 2950],
    ['{1,{2}}', 1007],
    ['{{1},{2,3}}', 1007],
    ['{1', 1007],
    ['{1,}', 1007],
    ['{a}', 1007],
    ['{1}2', 1007],
    ['{}{}', 1007],
    ['{"a}', 1009],
    ['1', 869],
    ['1', 99_999],
  ] as const)
    expect([text, encodeValue(text, oid)]).toEqual([text, null])
})

test('kinds', () => {
  expect(valueTypeOf(1043)).toEqual({ kind: 'text', isArray: false })
  expect(valueTypeOf(1231)).toEqual({ kind: 'decimal', isArray: true })
  expect(valueTypeOf(3802)).toEqual({ kind: 'json', isArray: false })
  expect(valueTypeOf(99_999)).toEqual({ kind: 'other', isArray: false })
})

test('a value that does not have its type’s layout is hex, never a failure', () => {
  const oids = [
    16, 17, 20, 21, 23, 26, 700, 701, 869, 1007, 1009, 1082, 1083, 1114, 1184, 1186, 1231, 1266,
    1560, 1700, 2249, 2950, 3802, 3904, 3907, 4451, 22, 99_999,
  ]
  fc.assert(
    fc.property(fc.constantFrom(...oids), fc.uint8Array({ maxLength: 60 }), (oid, bytes) => {
      expect(typeof decodeValue(Buffer.from(bytes), oid, 1)).toBe('string')
    }),
    { numRuns: 3000 },
  )
})

test('names and numbers of types are each other’s', () => {
  for (const oid of [16, 23, 25, 1700, 3802]) expect(typeOid(typeName(oid))).toBe(oid)
  expect(typeName(123_456)).toBe('oid:123456')
  expect(typeOid('oid:123456')).toBe(123_456)
  expect(typeOid('nothing')).toBeNull()
})
