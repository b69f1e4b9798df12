/** Decoded binary values against what the server itself prints for them. */
import { type PostgresServer, startPostgres } from '@custody/test-support'
import fc from 'fast-check'
import type { Client } from 'pg'
import { decodeValue, typeName, typeOid } from './values'

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
]

test.each(VALUES)('%s', async (expression) => {
  const { binary, text, oid } = await both(expression)
  const shown = decodeValue(binary, oid, 1)
  expect(oid === 1042 ? shown.trimEnd() : shown).toBe(oid === 1042 ? text.trimEnd() : text)
})

test('a value that does not have its type’s layout is hex, never a failure', () => {
  const oids = [
    16, 17, 20, 21, 23, 26, 700, 701, 869, 1007, 1009, 1082, 1083, 1114, 1184, 1186, 1231, 1266,
    1560, 1700, 2950, 3802, 3904, 99_999,
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
