/** Detectors: what they find of valid values, what they leave alone of ordinary ones, and that neither takes long. */
import { seeded } from '@custody/test-support'
import {
  HINTED,
  OPTIONAL,
  ORDINARY_KINDS,
  ordinaryOf,
  type Random,
  TOKENS,
  VALID_KINDS,
  validOf,
} from './corpus'
import { createDetection } from './detection'
import {
  createScanner,
  DEFAULT_DETECTORS,
  DETECTORS,
  type DetectorName,
  type Find,
  type Scanner,
} from './scan'
import type { Kind } from './types'

const random = (seed: number): Random => {
  const next = seeded(seed)
  return { int: (below) => Math.floor(next() * below) }
}

function found(text: string, scanner: Scanner): [string, string][] {
  const bytes = Buffer.from(text)
  const finds: Find[] = []
  scanner.scan(bytes, 0, bytes.length, finds)
  return finds.map(({ start, end, detector }) => [detector, bytes.toString('utf8', start, end)])
}

const EACH = 2000
const PER_KIND = 6000

/** What of it was found is the whole value, or all of a secret that stands behind its word. */
function isCovered(finds: [string, string][], value: string): boolean {
  const plain = JSON.stringify(value).slice(1, -1)
  const secret = /(?:= |=|:\/\/[^:]*:)([^ ]{40,}|[^@ ]+(?=@))/.exec(value)?.[1]
  return finds.some(
    ([, one]) =>
      one.includes(value) || one.includes(plain) || (secret !== undefined && one === secret),
  )
}

/** How many of a hundred are found: alone, in prose and in JSON. */
function recall(make: (r: Random) => string, names?: DetectorName[], column?: string): number {
  const r = random(1)
  const scanner = createScanner(names, column)
  let hits = 0
  for (let i = 0; i < EACH; i++) {
    const value = make(r)
    for (const text of [
      value,
      `customer said: ${value}, and left`,
      JSON.stringify({ a: { b: [value] } }),
    ])
      if (isCovered(found(text, scanner), value)) hits++
  }
  return (hits / (EACH * 3)) * 100
}

/** Printed where the numbers are wanted: CUSTODY_MASKING_NUMBERS=1. */
const numbers: string[] = []
afterAll(() => {
  if (process.env.CUSTODY_MASKING_NUMBERS) process.stderr.write(`${numbers.join('\n')}\n`)
})
function atLeast(name: string, percent: number): void {
  numbers.push(`recall ${name}: ${percent.toFixed(2)} %`)
  expect(percent).toBeGreaterThanOrEqual(99)
}

test.each(VALID_KINDS)('%s: at least 99 of a hundred valid ones', (kind) => {
  atLeast(
    kind,
    recall((r) => validOf(kind, r)),
  )
})

test.each(Object.keys(TOKENS))('token of %s: at least 99 of a hundred', (issuer) => {
  atLeast(`token, ${issuer}`, recall(TOKENS[issuer]!))
})

test.each(Object.keys(HINTED).filter((name) => name !== 'birth-date'))(
  '%s in a column named so: at least 99 of a hundred; few without the name',
  (name) => {
    const { column, make } = HINTED[name]!
    atLeast(
      `${name} in a column ${column}`,
      recall((r) => make(r), undefined, column),
    )
    expect(recall((r) => make(r))).toBeLessThan(2)
  },
)

test('dates in a column named for birth: all of them', () => {
  const r = random(1)
  const detector = createDetection(
    { use: DEFAULT_DETECTORS, patterns: [], action: { action: 'redact' } },
    Buffer.alloc(32),
  ).column(HINTED['birth-date']!.column, { kind: 'text', isArray: false })
  let hits = 0
  for (let i = 0; i < EACH; i++) {
    const value = HINTED['birth-date']!.make(r)
    const bytes = Buffer.from(value)
    const answer = detector.mask(bytes, 0, bytes.length, true, { add() {} })?.toString()
    if (answer !== undefined && /^\d{4}$/.test(answer) && value.includes(answer)) hits++
  }
  atLeast('birth-date in a column date_of_birth', (hits / EACH) * 100)
})

test.each(Object.keys(OPTIONAL) as DetectorName[])(
  '%s where it is asked for: at least 99 of a hundred',
  (name) => {
    atLeast(name, recall(OPTIONAL[name]!, [name]))
  },
)

test('every detector has been asked for', () => {
  const known = [...VALID_KINDS, ...Object.keys(HINTED), ...Object.keys(OPTIONAL)]
  expect(Object.keys(DETECTORS).filter((name) => !known.includes(name))).toEqual([])
})

test('of 170,000 ordinary values fewer than one in a thousand is taken for something', () => {
  const r = random(2)
  const detector = createDetection(
    { use: DEFAULT_DETECTORS, patterns: [], action: { action: 'redact' } },
    Buffer.alloc(32),
  )
  const text = detector.column('c', { kind: 'text', isArray: false })
  const json = detector.column('c', { kind: 'json', isArray: false })
  let [total, wrong] = [0, 0]
  const lines: string[] = []
  for (const kind of ORDINARY_KINDS) {
    let own = 0
    let first = ''
    for (let i = 0; i < PER_KIND; i++) {
      const value = ordinaryOf(kind, r)
      const bytes = Buffer.from(value)
      const names: string[] = []
      const by = kind.startsWith('json') ? json : text
      by.mask(bytes, 0, bytes.length, true, { add: (name) => void names.push(name) })
      total++
      if (names.length === 0) continue
      own++
      first ||= `${names[0]}: ${value.slice(0, 100)}`
    }
    wrong += own
    lines.push(`ordinary ${kind}: ${own} of ${PER_KIND}${first && `, such as ${first}`}`)
  }
  numbers.push(...lines, `ordinary, all: ${wrong} of ${total}`)
  expect([total >= 100_000, wrong < total / 1000, lines]).toEqual([true, true, lines])
})

const HOSTILE = [
  '@',
  'a@',
  'a.',
  '4111 ',
  '1-',
  '1.',
  '+1 ',
  '(555) ',
  '1 234 ',
  'eyJ',
  'eyJ-',
  'eyJ.',
  'eyJhbGciOi',
  '-----BEGIN ',
  '-----BEGIN PRIVATE KEY----- ',
  'DE89 ',
  'AKIA',
  'ghp_',
  'ghp-',
  'sk-',
  'glpat-',
  'xoxb-a-',
  'SG.',
  'N.',
  '123456789:A',
  'https://hooks.slack.com/services/',
  'aws_secret_access_key=',
  '://a:b@',
  '://',
  '::',
  'a:',
  '-',
  'A1',
  'aA1',
  '%41',
  '%',
  '&#52;',
  '&',
  'YWFhYWFhYWFhYWFhYWFhYWFhYWFh ',
  'aGVsbG8',
  '<a b="',
  '{"a":1,',
  '"\\u0034',
  '\\',
  '"',
  '{',
  '{"',
  '(',
  '("',
  '"a"=>',
]

// What takes more than linear time takes longer than a test may; the bench says how the time grows from one megabyte to four.
test.each(HOSTILE)('megabytes of %j end, as every type of value', (piece) => {
  const detection = createDetection(
    {
      use: Object.keys(DETECTORS) as DetectorName[],
      patterns: [{ name: 'own', pattern: '(?:a+)+b|(?:a|a)*c|[ab]{0,50}z' }],
      action: { action: 'redact' },
    },
    Buffer.alloc(32),
  )
  const hostile = (bytes: number) => Buffer.from(piece.repeat(Math.ceil(bytes / piece.length)))
  const mask = (name: string, kind: Kind, isArray: boolean, bytes: Buffer) =>
    detection.column(name, { kind, isArray }).mask(bytes, 0, bytes.length, true, { add() {} })
  mask('c', 'text', false, hostile(1_000_000))
  const smaller = hostile(200_000)
  for (const kind of ['json', 'composite', 'other', 'bytes', 'integer'] as const)
    mask('aws_secret_ssn_birth', kind, false, smaller)
  mask('c', 'text', true, smaller)
})
