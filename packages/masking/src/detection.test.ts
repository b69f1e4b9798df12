/** Values in every notation: what is found is gone, what was not is untouched, and the value is still of its type. */
import { createHash } from 'node:crypto'
import { type PostgresServer, seeded, startPostgres } from '@custody/test-support'
import fc from 'fast-check'
import type { Client } from 'pg'
import { type Random, VALID_KINDS, validOf } from './corpus'
import { createDetection, type DetectorSettings, TO_NULL } from './detection'
import { DEFAULT_DETECTORS } from './scan'
import type { ActionSpec, Kind } from './types'

const key = createHash('sha256').update('a key of the tests').digest()
const next = seeded(5)
const random: Random = { int: (below) => Math.floor(next() * below) }
const settings = (action: ActionSpec['action'], more: Partial<DetectorSettings> = {}) => ({
  use: DEFAULT_DETECTORS,
  patterns: [],
  action: { action },
  ...more,
})

interface Answer {
  text: string | null
  counts: string[]
}

function mask(
  value: string | Buffer,
  kind: Kind,
  o: {
    isArray?: boolean
    action?: ActionSpec['action']
    name?: string
    isText?: boolean
    more?: Partial<DetectorSettings>
  } = {},
): Answer {
  const counts: string[] = []
  const own = Buffer.from(value)
  // Within a larger buffer, as rows are.
  const bytes = Buffer.concat([Buffer.from('9"\\'), own, Buffer.from('9@x.de')])
  const detector = createDetection(settings(o.action ?? 'redact', o.more), key).column(
    o.name ?? 'c',
    { kind, isArray: o.isArray ?? false },
  )
  const answer = detector.mask(bytes, 3, 3 + own.length, o.isText ?? true, {
    add: (name) => void counts.push(name),
  })
  return {
    text: answer === null ? own.toString() : answer === TO_NULL ? null : answer.toString(),
    counts,
  }
}

const CARD = '4111111111111111'

test.each<[string, Kind, string | null]>([
  [`pay ${CARD} now`, 'text', 'pay [masked] now'],
  ['{"a":"x@example.com","b":[1,"c"]}', 'json', '{"a":"[masked]","b":[1,"c"]}'],
  [`{"a": ${CARD}}`, 'json', '{"a": "[masked]"}'],
  ['{"a":"4111\\u0020 1111"}', 'json', '{"a":"4111\\u0020 1111"}'],
  ['{"a":"\\u00344\\u0031"}', 'json', '{"a":"\\u00344\\u0031"}'],
  ['{"a\\"":"\\u0034111 1111 1111 1111\\n"}', 'json', '{"a\\"":"[masked]\\n"}'],
  ['{"x\\u0040example.com":1}', 'json', '{"[masked]":1}'],
  ['"x@example.com"', 'json', '"[masked]"'],
  [
    '<a b="4111&#49;11111111111">x&#64;example.com &amp; y</a>',
    'text',
    '<a b="[masked]">[masked] &amp; y</a>',
  ],
  [
    'https://a.example/?mail=ana%40example.com&x=1',
    'text',
    'https://a.example/?mail=%5Bmasked%5D&x=1',
  ],
  [
    'postgres://app:s3cret@db.example.com:5432/x',
    'text',
    'postgres://app:[masked]@db.example.com:5432/x',
  ],
  [
    'postgres://app:$PASSWORD@db.example.com/x',
    'text',
    'postgres://app:$PASSWORD@db.example.com/x',
  ],
  [`id ${Buffer.from('write to ana@example.com').toString('base64')}`, 'text', 'id [masked]'],
  [`id ${Buffer.from('to ana@example.com!').toString('base64url')} x`, 'text', 'id [masked] x'],
  [`(1,"a ${CARD}",)`, 'composite', '(1,"a [masked]",)'],
  [`(1,${CARD},"a""b")`, 'composite', '(1,,"a""b")'],
  [`"a"=>"${CARD}", "b\\"c"=>NULL`, 'other', '"a"=>"[masked]", "b\\"c"=>NULL'],
  [`[${CARD},5)`, 'other', null],
  [CARD, 'integer', null],
  ['42', 'integer', '42'],
  [`${CARD}.00`, 'decimal', null],
  ['4.111111111111111e+15', 'float', null],
  [
    `\\x${Buffer.from(`to ${CARD}`).toString('hex')}`,
    'bytes',
    `\\x${Buffer.from('to [masked]').toString('hex')}`,
  ],
  [`to\\011${CARD}\\\\`, 'bytes', 'to\\011[masked]\\\\'],
  [
    `\\x00010203040506${Buffer.from(CARD).toString('hex').slice(0, 8)}`,
    'bytes',
    `\\x00010203040506${Buffer.from(CARD).toString('hex').slice(0, 8)}`,
  ],
  ['t', 'boolean', 't'],
])('%s as %s', (value, kind, expected) => {
  expect(mask(value, kind).text).toBe(expected)
})

test('arrays stay arrays, of numbers too', () => {
  expect(mask(`{"a ${CARD}",NULL,"x@example.com",b}`, 'text', { isArray: true })).toEqual({
    text: '{"a [masked]",NULL,[masked],b}',
    counts: ['card', 'email'],
  })
  expect(mask(`{1,${CARD}}`, 'integer', { isArray: true }).text).toBe('{1,NULL}')
  expect(mask(`{"{\\"a\\": \\"${CARD}\\"}"}`, 'json', { isArray: true }).text).toBe(
    '{"{\\"a\\": \\"[masked]\\"}"}',
  )
})

test('dates of birth are known by their column only, and keep their year', () => {
  expect(mask('1980-05-17', 'date').text).toBe('1980-05-17')
  expect(mask('1980-05-17', 'date', { name: 'date_of_birth' })).toEqual({
    text: '1980-01-01',
    counts: ['birth-date'],
  })
  expect(mask('17/05/1980', 'text', { name: 'geburtsdatum' }).text).toBe('1980')
  expect(mask('in Rome', 'text', { name: 'birthplace' }).text).toBe('in Rome')
  const none = createDetection(settings('redact'), key)
  expect(none.column('created', { kind: 'date', isArray: false }).isUseful).toBe(false)
  expect(none.column('a', { kind: 'uuid', isArray: true }).isUseful).toBe(false)
})

test('members of documents say what their numbers are, as columns do', () => {
  expect(mask('{"ssn":"123456789","n":"123456789"}', 'json').text).toBe(
    '{"ssn":"[masked]","n":"123456789"}',
  )
  expect(mask('{"ssn": 123456789}', 'json').text).toBe('{"ssn": "[masked]"}')
})

test('numbers keep to their type with hash and shape', () => {
  for (const action of ['hash', 'shape'] as const) {
    const { text } = mask(CARD, 'integer', { action })
    expect(text).toMatch(/^\d{1,16}$/)
    expect(text).not.toBe(CARD)
  }
  expect(mask(CARD, 'text', { action: 'null' }).text).toBeNull()
  expect(mask(`a ${CARD}`, 'json', { action: 'drop-row' }).text).toBeNull()
})

test('binary forms of text, JSON and bytes are read; of others only their text form', () => {
  const jsonb = Buffer.concat([Buffer.from([1]), Buffer.from(`{"a":"${CARD}"}`)])
  expect(mask(jsonb, 'json', { isText: false }).text).toBe('\x01{"a":"[masked]"}')
  expect(mask(CARD, 'text', { isText: false }).text).toBe('[masked]')
  expect(mask(Buffer.from(`key ${CARD}`), 'bytes', { isText: false }).text).toBe('key [masked]')
  expect(() => mask(CARD, 'integer', { isText: false })).toThrow('text form')
})

test('free text: messages and statements', () => {
  const detection = createDetection(settings('null'), key)
  const text = (value: string) => detection.text(Buffer.from(value), { add() {} })?.toString()
  expect(text(`Key (mail)=(ana@example.com) already exists.`)).toBe(
    'Key (mail)=([masked]) already exists.',
  )
  expect(text(`select * from t where card = '${CARD}'`)).toBe(
    "select * from t where card = '[masked]'",
  )
  expect(text('select 1')).toBeUndefined()
})

test('one’s own patterns, wherever they stand', () => {
  const more = { patterns: [{ name: 'employee', pattern: 'EMP-[0-9]{6}' }] }
  expect(mask('ünï EMP-123456, EMP-1234', 'text', { more })).toEqual({
    text: 'ünï [masked], EMP-1234',
    counts: ['employee'],
  })
  expect(mask('{"a":"\\u0045MP-123456"}', 'json', { more }).text).toBe('{"a":"[masked]"}')
  const wide = { patterns: [{ name: 'w', pattern: '.*x.*' }] }
  expect(mask('<a b="x&amp;">text<i>y</i></a>', 'text', { more: wide }).text).toBe(
    '<a b="[masked]">[masked]<i>y</i></a>',
  )
  expect(mask('\xff EMP-123456'.replace('\xff', ''), 'text', { more }).text).toBe(' [masked]')
})

test.each([
  ['(a)\\1', 'reference back'],
  ['(?=a)b', 'looking ahead'],
  ['(?<!a)b', 'looking ahead'],
  ['a*', 'empty text'],
  ['(', 'missing'],
  ['a'.repeat(1001), 'at most 1000'],
  ['(?:a{100}){100}', 'repeat'],
])('the pattern %s is refused with words', (pattern, words) => {
  expect(() =>
    createDetection(settings('redact', { patterns: [{ name: 'own', pattern }] }), key),
  ).toThrow(new RegExp(`pattern own: .*${words}`))
})

describe('to PostgreSQL itself', () => {
  let server: PostgresServer
  let client: Client
  beforeAll(async () => {
    server = await startPostgres()
    client = await server.connect()
    await client.query('create extension hstore; create type pair as (a text, b text)')
  })
  afterAll(async () => {
    await client?.end()
    await server?.stop()
  })

  const FORMS: [type: string, kind: Kind, isArray: boolean, make: string][] = [
    ['json', 'json', false, 'json_build_object($1::text, array[$2::text, $1])'],
    ['jsonb', 'json', false, 'jsonb_build_object($1::text, $2::text)'],
    ['text[]', 'text', true, 'array[$1::text, null, $2::text]'],
    ['hstore', 'other', false, 'hstore($1::text, $2::text)'],
    ['pair', 'composite', false, 'row($1::text, $2::text)::pair'],
    ['pair[]', 'composite', true, 'array[row($1::text, $2::text)::pair]'],
    ['xml', 'text', false, 'xmlelement(name a, xmlattributes($1::text as b), $2::text)'],
    ['bytea', 'bytes', false, "convert_to($1::text || ' ' || $2::text, 'UTF8')"],
    ['jsonb[]', 'json', true, 'array[jsonb_build_object($1::text, $2::text)]'],
  ]

  test.each(FORMS)(
    '%s: what is found is gone and the rest is of the type',
    async (type, kind, isArray, make) => {
      for (const of of VALID_KINDS)
        for (const action of ['redact', 'partial', 'hash', 'shape'] as const) {
          const value = validOf(of, random)
          // Bytes are text only where most of them are.
          const noise = fc.sample(
            fc.string({ unit: kind === 'bytes' ? 'grapheme-ascii' : 'grapheme', maxLength: 12 }),
            1,
          )[0]!
          const around = `${noise.replace(/[^\P{C}\n]/gu, '')} ${value} "x\\"`
          const { rows } = await client.query(`select (${make})::text as made`, [
            'a"b\\<&>',
            around,
          ])
          const { text, counts } = mask(rows[0].made, kind, { isArray, action })
          expect([value, counts.length > 0]).toEqual([value, true])
          if (kind === 'bytes' && text !== null)
            expect(Buffer.from(text.slice(2), 'hex').toString()).not.toContain(value)
          if (text === null) continue
          expect(text).not.toContain(value)
          await client.query(`select $1::${type}`, [text])
          if (kind === 'json' && !isArray)
            expect(Object.keys(JSON.parse(text))).toEqual(Object.keys(JSON.parse(rows[0].made)))
        }
    },
  )
})
