/** Detectors: what they find of valid values, what they leave alone of ordinary ones, and that neither takes long. */
import { seeded } from '@custody/test-support'
import { ORDINARY_KINDS, ordinaryOf, type Random, VALID_KINDS, validOf } from './corpus'
import { createScanner, type DetectorName, type Find } from './scan'

const random = (seed: number): Random => {
  const next = seeded(seed)
  return { int: (below) => Math.floor(next() * below) }
}

function found(text: string, names?: DetectorName[], column?: string): [DetectorName, string][] {
  const bytes = Buffer.from(text)
  const finds: Find[] = []
  createScanner(names, column).scan(bytes, 0, bytes.length, finds)
  return finds.map(({ start, end, detector }) => [detector, bytes.toString('utf8', start, end)])
}

const EACH = 2000

test.each(VALID_KINDS)(
  '%s: at least 99 of a hundred valid ones, alone, in prose and in JSON',
  (kind) => {
    const r = random(1)
    const missed: string[] = []
    for (let i = 0; i < EACH; i++) {
      const value = validOf(kind, r)
      for (const text of [
        value,
        `customer said: ${value}, and left`,
        JSON.stringify({ a: { b: [value] } }),
      ]) {
        const bytes = Buffer.from(text)
        const finds: Find[] = []
        createScanner().scan(bytes, 0, bytes.length, finds)
        const plain = JSON.stringify(value).slice(1, -1)
        const covered = finds.some(({ start, end }) => {
          const one = bytes.toString('utf8', start, end)
          return one.includes(value) || one.includes(plain)
        })
        if (!covered) missed.push(text)
      }
    }
    expect(missed.slice(0, 5)).toEqual(missed.length <= EACH * 3 * 0.01 ? missed.slice(0, 5) : [])
  },
)

test('of 120,000 ordinary values fewer than one in a thousand is taken for something', () => {
  const r = random(2)
  const wrong: Record<string, string[]> = {}
  for (const kind of ORDINARY_KINDS)
    for (let i = 0; i < 10_000; i++) {
      const value = ordinaryOf(kind, r)
      const finds = found(value)
      if (finds.length > 0) wrong[kind] = [...(wrong[kind] ?? []), `${value} ${finds[0]}`]
    }
  const total = Object.values(wrong).reduce((sum, one) => sum + one.length, 0)
  expect([
    total < 120,
    Object.entries(wrong).map(([kind, one]) => [kind, one.length, one[0]]),
  ]).toEqual([true, expect.anything()])
})

// What takes more than linear time takes longer than a test may.
test('hostile megabytes end', () => {
  for (const piece of [
    '@',
    'a@',
    'a.',
    '4111 ',
    '1-',
    '+1 ',
    '(555) ',
    'eyJ',
    'eyJhbGciOi',
    '-----BEGIN ',
    'DE89 ',
    'AKIA',
    'ghp_',
    '::',
    '1.',
    'sk-',
    '-',
    'A1',
    'xoxb-a-',
  ]) {
    const bytes = Buffer.from(piece.repeat(Math.ceil(1_000_000 / piece.length)))
    const finds: Find[] = []
    createScanner().scan(bytes, 0, bytes.length, finds)
  }
})
