/** Which rule masks a column, and for whom. */
import { type ColumnRule, createRules, matchesPart } from './rules'

const rule = (more: Partial<ColumnRule>): ColumnRule => ({
  id: 'r',
  columns: [],
  tagged: [],
  action: { action: 'redact' },
  groups: null,
  predicates: 'allow',
  ...more,
})
const column = (name: string, tags: string[] = []) => {
  const [schema = '', relation = '', of = ''] = name.split('.')
  return { schema, relation, column: of, tags }
}
const none = new Set<string>()

test('the first rule that matches column and group', () => {
  const rules = createRules([
    rule({ id: 'support', columns: ['customers.email'], groups: ['support'] }),
    rule({ id: 'cards', columns: ['*.card*', 'pay.*.c?v'] }),
    rule({ id: 'tagged', tagged: ['PII'] }),
  ])
  const find = (name: string, groups = none, tags: string[] = []) =>
    rules.find(column(name, tags), groups)?.id ?? null
  expect(find('public.customers.email', new Set(['support']))).toBe('support')
  expect(find('public.customers.email')).toBeNull()
  expect(rules.isSensitive(column('public.customers.email'))).toBe(true)
  expect(find('public.Customers.EMAIL', new Set(['support']))).toBe('support')
  expect(find('any.orders.card_number')).toBe('cards')
  expect(find('pay.orders.cvv')).toBe('cards')
  expect(find('shop.orders.cvv')).toBeNull()
  expect(find('shop.orders.cvv', none, ['pii'])).toBe('tagged')
  expect(rules.isSensitive(column('a.b.c'))).toBe(false)
})

test.each([
  ['*', '', true],
  ['', '', true],
  ['?', '', false],
  ['a*b*c', 'axxbxxc', true],
  ['a*b*c', 'axxbxx', false],
  ['*a', 'ba', true],
  ['a.c', 'abc', false],
  ['**', 'x', true],
])('%s and %s: %s', (pattern, name, expected) => {
  expect(matchesPart(pattern, name)).toBe(expected)
})

test('a hostile pattern ends', () => {
  const rules = createRules([rule({ columns: [`*.${'*a'.repeat(90)}`] })])
  expect(rules.isSensitive(column(`p.r.${'a'.repeat(10_000)}b`))).toBe(false)
})

test.each([
  ['email', 'is not [schema.]relation.column'],
  ['a.b.c.d', 'is not [schema.]relation.column'],
  ['a..c', 'has an empty part'],
  ['a."b"', 'has quotation marks'],
  ['a.b[0-9]', 'has quotation marks, brackets'],
  [`a.${'b'.repeat(300)}`, 'has more than 200 characters'],
])('the pattern %s is refused with words', (pattern, words) => {
  expect(() => createRules([rule({ columns: [pattern] })])).toThrow(words)
})
