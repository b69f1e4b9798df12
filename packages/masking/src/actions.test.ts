/**
 * What stands in the place of values: nothing of them but what the action says, the same for the same, and of the value's type
 * to PostgreSQL itself.
 */
import { createHash, randomBytes } from 'node:crypto'
import { type PostgresServer, seeded, startPostgres } from '@custody/test-support'
import fc from 'fast-check'
import type { Client } from 'pg'
import { masked, maskedText } from './actions'
import { type Random, VALID_KINDS, validOf } from './corpus'
import { luhn } from './detectors/numbers'
import { byteaOf, mapArray, mapComposite, mapHstore } from './literals'
import { createScanner, type Find } from './scan'
import type { ActionSpec, Kind, ValueType } from './types'

const key = createHash('sha256').update('a key of the tests').digest()
const next = seeded(3)
const random: Random = { int: (below) => Math.floor(next() * below) }
const ACTIONS: ActionSpec['action'][] = [
  'redact',
  'partial',
  'hash',
  'shape',
  'null',
  'drop-row',
  'truncate',
  'generalise',
]
const of = (
  text: string,
  kind: Kind,
  action: ActionSpec['action'],
  more: Partial<ActionSpec> = {},
) => masked(text, { kind, isArray: false }, { action, ...more }, key)
const text = (value: string, action: ActionSpec['action'], more: Partial<ActionSpec> = {}) =>
  of(value, 'text', action, more)!

let server: PostgresServer
let client: Client

beforeAll(async () => {
  server = await startPostgres()
  client = await server.connect()
  await client.query("set timezone = 'UTC'; set datestyle = 'ISO'")
})
afterAll(async () => {
  await client?.end()
  await server?.stop()
})

test('of a card the last four digits, in its groups', () => {
  expect(text('4111 1111 1111 1111', 'partial')).toBe('**** **** **** 1111')
  expect(text('378282246310005', 'partial')).toBe('***********0005')
  expect(text('12345678', 'partial')).toBe('[masked]')
  expect(text('ñandú@example.com', 'partial')).toBe('************e.com')
  expect(text('4111 1111 1111 1111', 'partial', { keep: 2 })).toBe('**** **** **** **11')
})

test('a token is the same for the same value, grouped or not, and another with another key', () => {
  const one = text('4111 1111 1111 1111', 'hash')
  expect(one).toMatch(/^msk_[A-Za-z0-9_-]{16}$/)
  expect(text('4111111111111111', 'hash')).toBe(one)
  expect(text('4111-1111-1111-1111', 'hash')).toBe(one)
  expect(text('4111 1111 1111 1129', 'hash')).not.toBe(one)
  const type: ValueType = { kind: 'text', isArray: false }
  expect(masked('4111 1111 1111 1111', type, { action: 'hash' }, randomBytes(32))).not.toBe(one)
})

test('a shape has the same places and other characters; a card stays one to who checks it', () => {
  for (let i = 0; i < 200; i++) {
    const card = validOf('card', random)
    const other = text(card, 'shape')
    expect(other.replace(/\d/g, '0')).toBe(card.replace(/\d/g, '0'))
    expect([other, luhn(other.replace(/\D/g, ''))]).toEqual([other, true])
    expect(other).not.toBe(card)
    expect(text(card, 'shape')).toBe(other)
  }
  expect(text('Ana-12', 'shape')).toMatch(/^[A-Z][a-z]{2}-\d\d$/)
})

test.each<[string, Kind, ActionSpec['action'], Partial<ActionSpec>, string | null]>([
  ['', 'text', 'redact', {}, '[masked]'],
  ['{"a":[1,"Ana"]}', 'json', 'redact', {}, '"[masked]"'],
  ['42', 'json', 'partial', {}, 'null'],
  ['"Ana"', 'json', 'partial', {}, '"[masked]"'],
  ['{"a":[true,"Ana",null,1]}', 'json', 'partial', {}, '{"a":[null,"[masked]",null,null]}'],
  ['42', 'integer', 'redact', {}, null],
  ['42', 'integer', 'partial', {}, null],
  ['42', 'integer', 'generalise', {}, '40'],
  ['-42', 'integer', 'generalise', {}, '-50'],
  ['-32768', 'integer', 'generalise', {}, '-32760'],
  ['0', 'integer', 'hash', {}, '1'],
  ['1', 'integer', 'hash', {}, '0'],
  ['123.45', 'decimal', 'generalise', { step: 0.5 }, '123.00'],
  ['123.45', 'decimal', 'generalise', { step: 100 }, '100.00'],
  ['NaN', 'decimal', 'hash', {}, null],
  ['1e+300', 'float', 'shape', {}, null],
  ['t', 'boolean', 'shape', {}, null],
  ['(1,2)', 'composite', 'redact', {}, null],
  ['1980-05-17', 'date', 'truncate', {}, '1980-01-01'],
  ['1980-05-17', 'date', 'truncate', { to: 'month' }, '1980-05-01'],
  ['1980-05-17', 'date', 'generalise', {}, '1980-05-01'],
  ['1980-05-17', 'date', 'redact', {}, null],
  ['infinity', 'date', 'hash', {}, 'infinity'],
  ['0044-03-15 BC', 'date', 'truncate', {}, '0044-01-01 BC'],
  ['1980-05-17 12:34:56.7+02', 'timestamp', 'truncate', {}, '1980-01-01 00:00:00+02'],
  ['1980-05-17 12:34:56.7', 'timestamp', 'truncate', { to: 'hour' }, '1980-05-17 12:00:00'],
  ['17.5.1980', 'text', 'truncate', {}, '1980'],
  ['17 May 1980', 'text', 'truncate', { to: 'day' }, '1980'],
  ['1980-05-17', 'text', 'truncate', { to: 'month' }, '1980-05'],
  ['nothing', 'text', 'truncate', {}, '[masked]'],
  ['ana@example.com', 'text', 'generalise', {}, '***@example.com'],
  ['10.1.2.3', 'text', 'generalise', {}, '10.1.2.0/24'],
  ['2001:db8:1::7', 'text', 'generalise', {}, '2001:db8:1::/48'],
  ['28013', 'text', 'generalise', {}, '28***'],
  ['SW1A 1AA', 'text', 'generalise', {}, 'SW1A****'],
  ['2026-02-28', 'text', 'generalise', {}, '2026-02'],
  ['a long sentence about Ana', 'text', 'generalise', {}, '[masked]'],
  ['\\x00ff', 'bytes', 'redact', {}, '\\x5b6d61736b65645d'],
  ['\\000\\\\a', 'bytes', 'redact', {}, '\\x5b6d61736b65645d'],
  ['0190b1c2-0000-7000-8000-000000000001', 'uuid', 'redact', {}, null],
])('%s as %s, %s %j', (value, kind, action, more, expected) => {
  expect(of(value, kind, action, more)).toBe(expected)
})

test('arrays keep dimensions and NULLs', () => {
  const array = (value: string, kind: Kind, spec: ActionSpec) =>
    masked(value, { kind, isArray: true }, spec, key)
  expect(array('{a,"b c",NULL,"null"}', 'text', { action: 'redact' })).toBe(
    '{[masked],[masked],NULL,[masked]}',
  )
  expect(array('[0:1][1:2]={{1,2},{13,NULL}}', 'integer', { action: 'generalise' })).toBe(
    '[0:1][1:2]={{0,0},{10,NULL}}',
  )
  expect(array('{}', 'text', { action: 'redact' })).toBe('{}')
  expect(array('{1,2}', 'integer', { action: 'redact' })).toBe('{NULL,NULL}')
  for (const wrong of ['', 'a', '{', '{a', '{"a}', '{a}}', '{a,}', '{,a}', '{a b"c"}', '{{a},b}x'])
    expect([wrong, array(wrong, 'text', { action: 'redact' })]).toEqual([wrong, null])
})

test('literals are read as PostgreSQL writes them and written as it reads them', async () => {
  await client.query('create extension if not exists hstore')
  await client.query('create type pair as (a text, b text)')
  const values = ['', 'null', 'NULL', ' a', 'a"b', 'a\\b', '{x}', '(y),', "'", 'ü☂😀', 'a\nb', ',']
  const answer = await client.query(
    `select $1::text[]::text as array, row($2::text, $3::text)::pair::text as row, hstore($1, $4)::text as hstore`,
    [values, 'a"b\\', '(,)', values.map((one) => (one === 'null' ? null : `${one}=>"`))],
  )
  const { array, row, hstore } = answer.rows[0]
  const seen: string[] = []
  expect(
    mapArray(array, (one) => {
      seen.push(one)
      return one
    }),
  ).toBe(array)
  expect(seen).toEqual(values)
  expect(mapComposite(row, (one) => one)).toBe(row)
  expect(
    mapHstore(
      hstore,
      (one) => one,
      (one) => one,
    ),
  ).toBe(hstore)
  const bytes = randomBytes(300)
  for (const output of ['hex', 'escape']) {
    await client.query(`set bytea_output = ${output}`)
    const { rows } = await client.query('select $1::bytea::text as text', [bytes])
    expect(byteaOf(rows[0].text)).toEqual(bytes)
  }
})

const digits = (length: number) =>
  fc.string({ unit: fc.constantFrom(...'0123456789'), minLength: length, maxLength: length })

const TYPES: Record<string, { kind: Kind; values: fc.Arbitrary<string> }> = {
  text: {
    kind: 'text',
    values: fc.oneof(
      fc.string({ unit: 'grapheme', maxLength: 60 }),
      fc.string({ maxLength: 300 }),
      fc.constantFrom(...VALID_KINDS).map((kind) => validOf(kind, random)),
      digits(16),
    ),
  },
  int2: { kind: 'integer', values: fc.integer({ min: -32768, max: 32767 }).map(String) },
  int4: { kind: 'integer', values: fc.integer().map(String) },
  int8: {
    kind: 'integer',
    values: fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }).map(String),
  },
  'numeric(20,4)': {
    kind: 'decimal',
    values: fc
      .tuple(fc.bigInt({ min: -(10n ** 15n), max: 10n ** 15n }), digits(4))
      .map(([whole, fraction]) => `${whole}.${fraction}`),
  },
  float8: { kind: 'float', values: fc.double().map(String) },
  float4: { kind: 'float', values: fc.float().map(String) },
  bool: { kind: 'boolean', values: fc.constantFrom('t', 'f') },
  date: {
    kind: 'date',
    values: fc
      .date({
        min: new Date('0001-01-01'),
        max: new Date('9999-12-31'),
        noInvalidDate: true,
      })
      .map((one) => one.toISOString().slice(0, 10)),
  },
  timestamptz: {
    kind: 'timestamp',
    values: fc
      .date({ min: new Date('0002-01-01'), max: new Date('9998-12-31'), noInvalidDate: true })
      .map((one) => one.toISOString().replace('T', ' ').replace('Z', '+00')),
  },
  uuid: { kind: 'uuid', values: fc.uuid() },
  bytea: {
    kind: 'bytes',
    values: fc.uint8Array({ maxLength: 60 }).map((one) => `\\x${Buffer.from(one).toString('hex')}`),
  },
  jsonb: {
    kind: 'json',
    values: fc.json({ maxDepth: 3 }).filter((one) => !/u0000|\\ud/i.test(one)),
  },
}

const options: fc.Arbitrary<Partial<ActionSpec>> = fc.record({
  keep: fc.option(fc.integer({ min: 1, max: 8 }), { nil: undefined }),
  to: fc.constantFrom('year', 'month', 'day', 'hour'),
  step: fc.constantFrom(1, 5, 10, 1000),
})

test.each(Object.keys(TYPES))('%s: what takes the place is of the type', async (name) => {
  const { kind, values } = TYPES[name]!
  for (const isArray of [false, true]) {
    const outputs: string[] = []
    fc.assert(
      fc.property(
        fc.array(values, { minLength: 1, maxLength: isArray ? 4 : 1 }),
        fc.constantFrom(...ACTIONS),
        options,
        (some, action, more) => {
          const value = isArray
            ? mapArray(`{${some.map(() => 'x')}}`, () => some.shift()!)!
            : some[0]!
          const result = masked(value, { kind, isArray }, { action, ...more }, key)
          if (result !== null && !result.includes('\0')) outputs.push(result)
        },
      ),
      { numRuns: 400 },
    )
    await client.query(`set bytea_output = 'hex'`)
    for (const output of new Set(outputs))
      await client.query(`select $1::${name}${isArray ? '[]' : ''}`, [output]).catch((error) => {
        throw new Error(`${output}: ${error.message}`)
      })
  }
})

/** Characters that stand in every answer; values of them show nothing. */
const OWN = /\*{5}|\[mas|mask|aske|sked|ked\]|msk_/

test.each(['text', 'int8', 'numeric(20,4)', 'float8', 'uuid', 'bytea'])(
  '%s: nothing of the value is left but what partial keeps',
  (name) => {
    const { kind, values } = TYPES[name]!
    fc.assert(
      fc.property(
        values,
        fc.constantFrom<ActionSpec['action'][]>('redact', 'partial', 'hash', 'shape'),
        fc.integer({ min: 1, max: 8 }),
        (value, action, keep) => {
          if (OWN.test(value) || value.includes('2a2a')) return
          const type: ValueType = { kind, isArray: false }
          const result = masked(value, type, { action, keep }, key)
          if (result === null) return
          // The notation of bytes itself.
          const [clear, shown] =
            kind === 'bytes' ? [value.slice(2), result.slice(2)] : [value, result]
          if (clear.length >= 4) expect(shown).not.toContain(clear)
          // Marks at the end are stars.
          const body = [...shown.replace(/\*+$/, '')]
          const end = action === 'partial' ? body.lastIndexOf('*') + 1 : body.length
          const kept = kind === 'bytes' ? shown.replace(/^(2a)*/, '') : body.slice(end).join('')
          if (action === 'partial' && shown !== '[masked]' && kind === 'text') {
            const counted = [...kept].filter((c) => !/[ .\-/]/.test(c)).length
            expect(counted).toBeLessThanOrEqual(keep)
            expect(counted * 3).toBeLessThanOrEqual([...clear].length)
          }
          if (kind === 'bytes' && action === 'partial') {
            if (shown !== '5b6d61736b65645d')
              expect(kept.length * 3).toBeLessThanOrEqual(clear.length)
            return
          }
          const rest = action === 'partial' ? body.slice(0, end).join('') : shown
          if (kind === 'bytes' && action !== 'shape') return
          for (let i = 0; i + 5 <= clear.length; i++)
            if (kind !== 'bytes') expect(rest).not.toContain(clear.slice(i, i + 5))
        },
      ),
      { numRuns: 3000 },
    )
  },
)

test('the same for the same with one key, another with another, and never the value', () => {
  const other = randomBytes(32)
  fc.assert(
    fc.property(
      fc
        .constantFrom(...Object.keys(TYPES))
        .chain((name) => TYPES[name]!.values.map((value) => ({ kind: TYPES[name]!.kind, value }))),
      fc.constantFrom<('hash' | 'shape')[]>('hash', 'shape'),
      ({ kind, value }, action) => {
        const result = of(value, kind, action)
        expect(of(value, kind, action)).toBe(result)
        if (kind === 'text' && value.length > 5 && result !== '[masked]')
          expect(masked(value, { kind, isArray: false }, { action }, other)).not.toBe(result)
        if (result !== null && !['{}', '[]', 'null', '-infinity', 'infinity'].includes(value))
          if (kind !== 'json') expect(result).not.toBe(value)
      },
    ),
    { numRuns: 3000 },
  )
})

test('whatever was found is gone from the text, and what stood around it is as it was', () => {
  fc.assert(
    fc.property(
      fc.constantFrom(...VALID_KINDS),
      fc.constantFrom<ActionSpec['action'][]>('redact', 'partial', 'hash', 'shape'),
      fc.string({ maxLength: 40 }),
      fc.string({ maxLength: 40 }),
      (kind, action, before, after) => {
        const value = validOf(kind, random)
        const bytes = Buffer.from(`${before} ${value} ${after}`)
        const finds: Find[] = []
        createScanner().scan(bytes, 0, bytes.length, finds)
        const shown = maskedText(bytes, 0, bytes.length, finds, { action }, key).toString()
        expect(shown).not.toContain(value)
        for (const { start, end } of finds)
          expect(shown).not.toContain(bytes.toString('utf8', start, end))
        if (finds.length === 0) expect(shown).toBe(bytes.toString())
        const first = finds[0]?.start ?? 0
        expect(shown.startsWith(bytes.toString('utf8', 0, first))).toBe(true)
      },
    ),
    { numRuns: 2000 },
  )
})

test('where a text is cut into pieces makes no difference to what is found in each whole', () => {
  const bytes = Buffer.from(`a ${validOf('card', random)} b ${validOf('email', random)} c`)
  const whole: Find[] = []
  createScanner().scan(bytes, 0, bytes.length, whole)
  for (let offset = 0; offset < 50; offset++) {
    const moved = Buffer.concat([Buffer.alloc(offset, 0x41), bytes, Buffer.alloc(7, 0x39)])
    const finds: Find[] = []
    createScanner().scan(moved, offset, offset + bytes.length, finds)
    expect(finds.map(({ start, end }) => [start - offset, end - offset])).toEqual(
      whole.map(({ start, end }) => [start, end]),
    )
  }
})
