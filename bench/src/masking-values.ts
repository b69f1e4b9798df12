/**
 * What looking into values costs: megabytes a second of rows of a hundred bytes or so, as a column of an answer has them, by what
 * the values are; one's own patterns by the engine that matches them; and how much longer four hostile megabytes take than one.
 * In one process, without a network.
 */
import { setFlagsFromString } from 'node:v8'
import { createDetection, DEFAULT_DETECTORS, type Kind } from '@custody/masking'
import { RE2JS } from 're2js'
import type { Table } from './measure'

export interface MaskingValuesOptions {
  rounds: number
  progress(line: string): void
}

const ROWS = 20_000
const KEY = Buffer.alloc(32, 7)
const COUNTS = { add() {} }

const number = (i: number, digits: number) =>
  String((i * 7_919) % 10 ** digits).padStart(digits, '0')

const VALUES: readonly [name: string, kind: Kind, make: (i: number) => string][] = [
  [
    'ordinary text',
    'text',
    (i) =>
      `the order was shipped to a customer who asked for tea and paper on monday before noon, says ${number(i, 4)}`,
  ],
  [
    'JSON',
    'json',
    (i) =>
      `{"id":${number(i, 7) + 1},"sku":"T-${number(i, 4)}","tags":["tea","paper"],"at":"2026-01-02T10:${number(i, 2)}:00Z","note":"leave it"}`,
  ],
  [
    'text full of digits',
    'text',
    (i) =>
      `2026-11-21 12:00:${number(i, 2)}.${number(i, 3)} order ${number(i, 10)} item ${number(i, 8)} 19.99 x 3 = 59.97 ref ${number(i, 6)}-${number(i, 4)}`,
  ],
  [
    'identifiers and digests',
    'text',
    (i) =>
      `0190b1c2-0000-7000-8000-${number(i, 12)} ${number(i, 8)}d41d8cd98f00b204e980${number(i, 12)}`,
  ],
  ['whole numbers', 'integer', (i) => number(i, 9)],
  [
    'text with an e-mail address in each',
    'text',
    (i) =>
      `please write to customer${number(i, 5)}@example.com as soon as the parcel has arrived at the depot`,
  ],
]

const PATTERNS = [
  'EMP-[0-9]{6}',
  '\\b[A-Z]{2}[0-9]{6}[A-Z]\\b',
  '[Pp]atient\\s+[Nn]o\\.?\\s*[0-9]{4,10}',
]

/** Megabytes a second. */
function speed(rows: readonly Buffer[], look: (row: Buffer) => void): number {
  const bytes = rows.reduce((sum, row) => sum + row.length, 0)
  const started = process.hrtime.bigint()
  for (const row of rows) look(row)
  return bytes / 1e6 / (Number(process.hrtime.bigint() - started) / 1e9)
}

export async function benchMaskingValues(o: MaskingValuesOptions, table: Table): Promise<string[]> {
  const detection = (patterns: { name: string; pattern: string }[] = []) =>
    createDetection({ use: DEFAULT_DETECTORS, patterns, action: { action: 'redact' } }, KEY)
  for (const [name, kind, make] of VALUES) {
    const rows = Array.from({ length: ROWS }, (_, i) => Buffer.from(make(i)))
    const detector = detection().column('c', { kind, isArray: false })
    const look = (row: Buffer) => void detector.mask(row, 0, row.length, true, COUNTS)
    speed(rows, look)
    for (let round = 0; round < o.rounds; round++) {
      table.add(name, 'custody', 'MB/s', speed(rows, look))
      table.add(
        name,
        'made a string of',
        'MB/s',
        speed(rows, (row) => void row.toString('utf8').length),
      )
    }
    o.progress(name)
  }

  const rows = Array.from({ length: ROWS }, (_, i) => Buffer.from(VALUES[0]![2](i)))
  for (const [name, look] of await engines()) {
    speed(rows, look)
    for (let round = 0; round < o.rounds; round++)
      table.add('three patterns of one’s own', name, 'MB/s', speed(rows, look))
  }
  const own = detection(PATTERNS.map((pattern, i) => ({ name: `own${i}`, pattern }))).column('c', {
    kind: 'text',
    isArray: false,
  })
  const withOwn = (row: Buffer) => void own.mask(row, 0, row.length, true, COUNTS)
  speed(rows, withOwn)
  for (let round = 0; round < o.rounds; round++)
    table.add(
      'ordinary text, all detectors and three patterns',
      'custody',
      'MB/s',
      speed(rows, withOwn),
    )
  o.progress('patterns of one’s own')

  const hostile = detection([{ name: 'own', pattern: '(?:a+)+b|(?:a|a)*c|[ab]{0,50}z' }])
  const text = hostile.column('c', { kind: 'text', isArray: false })
  const json = hostile.column('c', { kind: 'json', isArray: false })
  for (const piece of HOSTILE) {
    const times = [1, 4].map((megabytes) => {
      const bytes = Buffer.from(piece.repeat(Math.ceil((megabytes * 1e6) / piece.length)))
      const detector = piece.startsWith('{') || piece.startsWith('"') ? json : text
      const started = process.hrtime.bigint()
      detector.mask(bytes, 0, bytes.length, true, COUNTS)
      return Number(process.hrtime.bigint() - started) / 1e6
    })
    const name = `hostile ${JSON.stringify(piece)}`
    table.add(name, 'one megabyte', 'ms', times[0]!)
    table.add(name, 'four megabytes', 'ms', times[1]!)
  }
  return [
    'rows of about a hundred bytes',
    'hostile input once, not in rounds; linear is a ratio of four, and the first of two pays for what is compiled',
  ]
}

const HOSTILE = [
  'aaaaaaaa',
  'a@',
  '4111 ',
  '1-',
  '1.',
  '+1 ',
  'eyJ-',
  '-----BEGIN ',
  'DE89 ',
  'A1',
  'sk-',
  'xoxb-a-',
  '://a:b@',
  '%41',
  '&#52;',
  'YWFhYWFhYWFhYWFhYWFhYWFhYWFh ',
  '"\\u0034',
  '{"a":1,',
]

/** What matches RE2's syntax, or something near it, without being compiled where it is installed. */
async function engines(): Promise<[name: string, look: (row: Buffer) => void][]> {
  const { RE2 } = await import('re2-wasm')
  setFlagsFromString('--enable-experimental-regexp-engine')
  const one = PATTERNS.map((pattern) => `(?:${pattern})`).join('|')
  const [pure, wasm, linear, backtracking] = [
    RE2JS.compile(one),
    new RE2(one, 'u'),
    new RegExp(one, 'l'),
    new RegExp(one),
  ]
  return [
    ['re2js', (row) => void pure.test(row.toString('utf8'))],
    ['re2-wasm', (row) => void wasm.test(row.toString('utf8'))],
    ['V8, flag l', (row) => void linear.test(row.toString('utf8'))],
    ['V8, backtracking', (row) => void backtracking.test(row.toString('utf8'))],
  ]
}
