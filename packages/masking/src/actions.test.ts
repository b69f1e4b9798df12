/** What stands in the place of values: nothing of them, their end, or their shape; the same for the same. */
import { randomBytes } from 'node:crypto'
import { seeded } from '@custody/test-support'
import fc from 'fast-check'
import { type Action, masked, maskedText } from './actions'
import { type Random, VALID_KINDS, validOf } from './corpus'
import { luhn } from './detectors/numbers'
import { createScanner, type Find } from './scan'

const key = randomBytes(32)
const ACTIONS: Action[] = ['redact', 'partial', 'hash', 'shape']
const next = seeded(3)
const random: Random = { int: (below) => Math.floor(next() * below) }

test('of a card the last four digits, in its groups', () => {
  expect(masked('4111 1111 1111 1111', 'partial', key)).toBe('**** **** **** 1111')
  expect(masked('378282246310005', 'partial', key)).toBe('***********0005')
  expect(masked('12345678', 'partial', key)).toBe('[masked]')
  expect(masked('ñandú@example.com', 'partial', key)).toBe('************e.com')
})

test('a token is the same for the same value, grouped or not, and another with another key', () => {
  const one = masked('4111 1111 1111 1111', 'hash', key)
  expect(one).toMatch(/^msk_[A-Za-z0-9_-]{16}$/)
  expect(masked('4111111111111111', 'hash', key)).toBe(one)
  expect(masked('4111-1111-1111-1111', 'hash', key)).toBe(one)
  expect(masked('4111 1111 1111 1129', 'hash', key)).not.toBe(one)
  expect(masked('4111 1111 1111 1111', 'hash', randomBytes(32))).not.toBe(one)
})

test('a shape has the same places and other characters; a card stays one to who checks it', () => {
  for (let i = 0; i < 200; i++) {
    const card = validOf('card', random)
    const other = masked(card, 'shape', key)
    expect(other.replace(/\d/g, '0')).toBe(card.replace(/\d/g, '0'))
    expect([other, luhn(other.replace(/\D/g, ''))]).toEqual([other, true])
    expect(other).not.toBe(card)
    expect(masked(card, 'shape', key)).toBe(other)
  }
  expect(masked('Ana-12', 'shape', key)).toMatch(/^[A-Z][a-z]{2}-\d\d$/)
})

test('whatever was found is gone from the text, and what stood around it is as it was', () => {
  fc.assert(
    fc.property(
      fc.constantFrom(...VALID_KINDS),
      fc.constantFrom(...ACTIONS),
      fc.string({ maxLength: 40 }),
      fc.string({ maxLength: 40 }),
      (kind, action, before, after) => {
        const value = validOf(kind, random)
        const bytes = Buffer.from(`${before} ${value} ${after}`)
        const finds: Find[] = []
        createScanner().scan(bytes, 0, bytes.length, finds)
        const text = maskedText(bytes, 0, bytes.length, finds, action, key).toString()
        expect(text).not.toContain(value)
        for (const { start, end } of finds)
          expect(text).not.toContain(bytes.toString('utf8', start, end))
        if (finds.length === 0) expect(text).toBe(bytes.toString())
        const first = finds[0]?.start ?? 0
        expect(text.startsWith(bytes.toString('utf8', 0, first))).toBe(true)
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
