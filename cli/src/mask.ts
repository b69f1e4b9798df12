/**
 * `custody mask`: what masking would do, before it is in force. `test` runs the configured rules and detectors over a file of
 * sample data with the very code that the gateway masks with; `suggest` looks at a sample of a database, through Custody like
 * anybody, and proposes rules with what speaks for each. Changes nothing, and shows no value that it proposes to mask.
 */
import { existsSync, readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { type Configuration, CustodyError, createSecrets, loadConfiguration } from '@custody/kit'
import {
  type ColumnFacts,
  createMasking,
  createScanner,
  DEFAULT_DETECTORS,
  type Find,
  masked,
  type SessionRules,
} from '@custody/masking'
import { valueTypeOf } from '@custody/postgres-values'
import { Client } from 'pg'
import { usageError, wholeNumber } from './arguments'
import type { Command, Context } from './commands'
import { reach } from './connect'
import { table } from './table'

/** More of a sample says no more. */
const SAMPLE_BYTES_MAX = 64 * 1024 * 1024
const ROWS_DEFAULT = 500
const RELATIONS_MAX = 500
/** Of a column's values, this share found makes a proposal. */
const SHARE_MIN = 0.05
const TEXT_OID = 25

function configurationOf({ environment, cwd, home }: Context): Configuration {
  const demo = join(home.demo, 'custody.yaml')
  const own = environment.CUSTODY_CONFIG || existsSync(join(cwd, 'custody.yaml'))
  return loadConfiguration(
    !own && existsSync(demo) ? { ...environment, CUSTODY_CONFIG: demo } : environment,
    cwd,
  )
}

async function rulesOf(
  context: Context,
  resource: string | undefined,
): Promise<SessionRules | null> {
  const configuration = configurationOf(context)
  const names = Object.keys(configuration.resources)
  const name = resource ?? (names.length === 1 ? names[0]! : undefined)
  if (name === undefined)
    throw usageError('--resource is needed: the configuration has not exactly one', mask)
  const masking = await createMasking(
    configuration.masking,
    context.home,
    createSecrets(configuration.vault),
  )
  return (
    masking?.open(
      { name, labels: configuration.resources[name]?.labels ?? {} },
      context.given.texts('group'),
    ) ?? null
  )
}

// ── test ───────────────────────────────────────────────────────────────────────────────────────────────────────────

interface Sample {
  columns: string[]
  rows: (string | null)[][]
}

/** CSV (RFC 4180) with a line of column names, or JSON objects, one a line or in a list. */
function readSample(text: string): Sample {
  const trimmed = text.trimStart()
  if (trimmed.startsWith('{') || trimmed.startsWith('[')) {
    const objects = (
      trimmed.startsWith('[')
        ? JSON.parse(trimmed)
        : trimmed
            .split('\n')
            .filter((line) => line.trim() !== '')
            .map((line) => JSON.parse(line))
    ) as Record<string, unknown>[]
    const columns = [...new Set(objects.flatMap((one) => Object.keys(one)))]
    return {
      columns,
      rows: objects.map((one) => columns.map((column) => textOf(one[column]))),
    }
  }
  const [columns = [], ...rows] = readCsv(text)
  return { columns: columns.map((one) => one ?? ''), rows }
}

function textOf(value: unknown): string | null {
  if (value === null || value === undefined) return null
  return typeof value === 'object' ? JSON.stringify(value) : String(value)
}

/** An empty field without quotes is no value. */
function readCsv(text: string): (string | null)[][] {
  const rows: (string | null)[][] = []
  let row: (string | null)[] = []
  let value = ''
  let quoted = false
  let wasQuoted = false
  const field = () => {
    row.push(value === '' && !wasQuoted ? null : value)
    value = ''
    wasQuoted = false
  }
  for (let i = 0; i < text.length; i++) {
    const c = text[i]!
    if (quoted) {
      if (c !== '"') value += c
      else if (text[i + 1] === '"') value += text[++i]
      else quoted = false
    } else if (c === '"') {
      quoted = true
      wasQuoted = true
    } else if (c === ',') field()
    else if (c === '\n') {
      field()
      rows.push(row)
      row = []
    } else if (c !== '\r') value += c
  }
  if (value !== '' || row.length > 0) {
    field()
    rows.push(row)
  }
  return rows
}

/** `relation.column`, with or without its schema; alone, of the relation that was named. */
function columnOf(name: string, relation: string | undefined): ColumnFacts {
  const parts = name.split('.')
  const [column = '', own = relation ?? '', schema = 'public'] = parts.reverse()
  return { schema, relation: own, column, tags: [] }
}

interface Outcome {
  column: string
  rule: string | null
  detector: string | null
  action: string
  count: number
}

async function test(context: Context): Promise<number> {
  const { given, output } = context
  const [, file = '-'] = given.positionals
  const rules = await rulesOf(context, given.text('resource'))
  if (rules === null)
    throw new CustodyError(
      'CUSTODY-CLI-005',
      'the configuration has no masking section, so nothing is masked',
    )
  let sample: Sample
  try {
    sample = readSample(readFileSync(file === '-' ? 0 : resolve(context.cwd, file), 'utf8'))
  } catch (cause) {
    throw new CustodyError('CUSTODY-CLI-005', `${file}: ${(cause as Error).message}`, { cause })
  }
  const outcomes = new Map<string, Outcome>()
  const count = (one: Omit<Outcome, 'count'>) => {
    const key = JSON.stringify(one)
    const known = outcomes.get(key)
    if (known) known.count++
    else outcomes.set(key, { ...one, count: 1 })
  }
  const type = valueTypeOf(TEXT_OID)
  const columns = sample.columns.map((name) => {
    const facts = columnOf(name, given.text('relation'))
    const rule = rules.find(facts)
    return { name, rule, detector: rule ? null : rules.detector(facts, facts.column, type) }
  })
  const rows = sample.rows.flatMap((values) => {
    const row: (string | null)[] = []
    for (const [i, { name, rule, detector }] of columns.entries()) {
      const value = values[i] ?? null
      if (value === null) row.push(null)
      else if (rule !== null) {
        count({ column: name, rule: rule.id, detector: null, action: rule.action.action })
        if (rule.action.action === 'drop-row') return []
        row.push(masked(value, type, rule.action, rules.key))
      } else {
        const bytes = Buffer.from(value)
        const other = detector?.mask(bytes, 0, bytes.length, true, {
          add: (found) =>
            count({ column: name, rule: null, detector: found, action: rules.detectorAction }),
        })
        row.push(other ? other.toString() : value)
      }
    }
    return [row]
  })
  const found = [...outcomes.values()]
  if (output.json) {
    for (const row of rows)
      output.object(Object.fromEntries(sample.columns.map((name, i) => [name, row[i] ?? null])))
    output.object({ rows: sample.rows.length, kept: rows.length, masks: found })
    return 0
  }
  output.lines(
    table(
      sample.columns.map((title) => ({ title })),
      rows.map((row) => row.map((value) => value ?? '')),
      output.columns,
    ),
  )
  output.line()
  if (found.length === 0) output.line('Nothing is masked.')
  else
    output.lines(
      table(
        [
          { title: 'COLUMN' },
          { title: 'BY' },
          { title: 'ACTION' },
          { title: 'VALUES', right: true },
        ],
        found.map(({ column, rule, detector, action, count: n }) => [
          column,
          rule === null ? `detector ${detector}` : `rule ${rule}`,
          action,
          String(n),
        ]),
        output.columns,
      ),
    )
  if (rows.length < sample.rows.length)
    output.line(`${sample.rows.length - rows.length} of ${sample.rows.length} rows are left out.`)
  return 0
}

// ── suggest ────────────────────────────────────────────────────────────────────────────────────────────────────────

interface Suggestion {
  id: string
  columns: string[]
  action: string
  more: Record<string, string | number>
  evidence: string[]
}

/** What names of columns say in the languages that schemas are written in; the first that fits. */
const NAMES: readonly [kind: string, name: RegExp][] = [
  ['email', /e[-_]?mail|correo|courriel/i],
  [
    'secret',
    /passw(or)?d|passwd|secret|api_?key|access_?key|private_?key|token|credential|pin_?code|\bpin\b|otp/i,
  ],
  ['card', /card_?(no|num|number)|credit_?card|\bpan\b|cc_?num/i],
  ['iban', /iban|account_?(no|num|number)|bank_?account|kontonummer/i],
  [
    'national-id',
    /\bssn\b|social_?sec|national_?id|passport|\bdni\b|\bnie\b|\bnif\b|\bcpf\b|tax_?id|steuer|\bbsn\b|pesel|aadhaar|licen[cs]e_?no/i,
  ],
  ['phone', /phone|mobile|\btel(efono)?\b|handy|cell_?no/i],
  ['birth', /birth|\bdob\b|geburt|nacimiento|naissance/i],
  [
    'name',
    /^(first|last|full|middle|given|family|maiden)_?name$|^surname$|^apellido|^nombre$|^vorname$|^nachname$/i,
  ],
  ['address', /street|address|post(al)?_?code|zip(_?code)?$|strasse|direccion/i],
  ['pay', /salary|wage|income|gehalt|sueldo|compensation/i],
]
const ACTIONS: Record<string, { action: string; more?: Record<string, string | number> }> = {
  card: { action: 'partial' },
  phone: { action: 'partial' },
  email: { action: 'hash' },
  birth: { action: 'truncate', more: { to: 'year' } },
}
/** What a detector's finds are, in these words. */
const KINDS: Record<string, string> = {
  jwt: 'secret',
  'private-key': 'secret',
  token: 'secret',
}

interface Column {
  schema: string
  relation: string
  column: string
  oid: number
}

async function suggest(context: Context): Promise<number> {
  const { given, output } = context
  const [, wanted] = given.positionals
  if (wanted === undefined) throw usageError('custody mask suggest takes <resource>', mask)
  const rowsMax = wholeNumber('rows', given.text('rows'), 1, 100_000) ?? ROWS_DEFAULT
  const rules = await rulesOf(context, wanted.split('/', 1)[0]).catch(() => null)
  const { host, port, issued } = await reach(context, wanted)
  const client = new Client({
    host,
    port,
    user: issued.subject,
    password: issued.token,
    database: wanted,
    application_name: 'custody mask suggest',
    ssl: { rejectUnauthorized: false },
  })
  await client.connect()
  const found = new Map<string, Suggestion>()
  let looked = 0
  let covered = 0
  try {
    const relations = await relationsOf(client)
    for (const [n, columns] of relations.entries()) {
      const { schema, relation } = columns[0]!
      output.remark(`custody: ${n + 1} of ${relations.length}: ${schema}.${relation}`)
      const open = columns.filter((one) => rules?.find({ ...one, tags: [] }) == null)
      covered += columns.length - open.length
      looked += open.length
      if (open.length === 0) continue
      const finds = await sampleOf(client, open, rowsMax)
      for (const [i, one] of open.entries()) propose(one, finds?.[i] ?? null, found)
    }
  } finally {
    await client.end().catch(() => {})
  }
  const suggestions = [...found.values()].sort((a, b) => (a.id < b.id ? -1 : 1))
  if (output.json) {
    for (const one of suggestions) output.object(one)
    return 0
  }
  if (suggestions.length === 0) output.line('No rule is proposed.')
  else {
    output.line('masking:')
    output.line('  rules:')
    for (const { id, columns, action, more, evidence } of suggestions) {
      for (const line of evidence) output.line(`    # ${line}`)
      const words = Object.entries(more).map(([name, value]) => `, ${name}: ${value}`)
      output.line(
        `    - { id: ${id}, columns: [${columns.map((one) => `'${one}'`).join(', ')}], action: ${action}${words.join('')} }`,
      )
    }
  }
  output.remark(
    `custody: ${looked} columns looked at, at most ${rowsMax} rows of each relation${covered > 0 ? `; ${covered} are masked by a rule already` : ''}. A proposal is a beginning: what is in a column is for its owner to say.`,
  )
  return 0
}

async function relationsOf(client: Client): Promise<Column[][]> {
  const { rows } = await client.query<Column>(
    `select n.nspname as schema, c.relname as relation, a.attname as column, a.atttypid::int as oid
     from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
     join pg_catalog.pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
     where c.relkind in ('r', 'p', 'm', 'f') and not c.relispartition and n.nspname !~ '^pg_' and n.nspname <> 'information_schema'
     order by 1, 2, a.attnum`,
  )
  const relations = new Map<string, Column[]>()
  for (const one of rows) {
    const key = `${one.schema}.${one.relation}`
    relations.set(key, [...(relations.get(key) ?? []), one])
  }
  if (relations.size > RELATIONS_MAX)
    throw new CustodyError(
      'CUSTODY-CLI-005',
      `the database has ${relations.size} relations; at most ${RELATIONS_MAX} are looked at: name a smaller database`,
    )
  return [...relations.values()]
}

interface Finds {
  values: number
  byDetector: Map<string, number>
}

const quoted = (name: string) => `"${name.replaceAll('"', '""')}"`

/** What detectors find in some rows; null where they can't be read. */
async function sampleOf(
  client: Client,
  columns: readonly Column[],
  rowsMax: number,
): Promise<Finds[] | null> {
  const { schema, relation } = columns[0]!
  const names = columns.map(({ column }) => quoted(column)).join(', ')
  let rows: (string | null)[][]
  try {
    const answer: { rows: unknown } = await client.query({
      text: `select ${names} from ${quoted(schema)}.${quoted(relation)} limit ${rowsMax}`,
      rowMode: 'array',
      // As the server writes it.
      types: { getTypeParser: () => (value: string) => value },
    } as never)
    rows = answer.rows as (string | null)[][]
  } catch {
    return null
  }
  let bytesLeft = SAMPLE_BYTES_MAX
  return columns.map(({ column }, i) => {
    const scanner = createScanner(DEFAULT_DETECTORS, column)
    const finds: Finds = { values: 0, byDetector: new Map() }
    for (const row of rows) {
      const value = row[i]
      if (value === null || value === undefined || value === '') continue
      const bytes = Buffer.from(value)
      bytesLeft -= bytes.length
      if (bytesLeft < 0) break
      finds.values++
      const own: Find[] = []
      scanner.scan(bytes, 0, bytes.length, own)
      for (const name of new Set(own.map(({ detector }) => detector)))
        finds.byDetector.set(name, (finds.byDetector.get(name) ?? 0) + 1)
    }
    return finds
  })
}

function propose(
  { schema, relation, column }: Column,
  finds: Finds | null,
  to: Map<string, Suggestion>,
): void {
  const evidence: string[] = []
  let kind: string | null = null
  for (const [detector, count] of [...(finds?.byDetector ?? [])].sort((a, b) => b[1] - a[1])) {
    if (count < Math.max(1, finds!.values * SHARE_MIN)) continue
    kind ??= KINDS[detector] ?? detector
    evidence.push(`${detector} in ${count} of ${finds!.values} values`)
  }
  const named = NAMES.find(([, name]) => name.test(column))
  if (named) {
    // What something is called is said of all of it; what was found, of what was looked at.
    kind =
      kind === null || !evidence.some((one) => one.startsWith(named[0])) ? (kind ?? named[0]) : kind
    evidence.push(`its name says ${named[0]}`)
  }
  if (kind === null) return
  const place = `${schema}.${relation}.${column}`
  const action = ACTIONS[kind] ?? { action: 'redact' }
  const known = to.get(kind)
  const line = `${place}: ${evidence.join('; ')}`
  if (known) {
    known.columns.push(place)
    known.evidence.push(line)
  } else
    to.set(kind, {
      id: kind,
      columns: [place],
      action: action.action,
      more: action.more ?? {},
      evidence: [line],
    })
}

const WHAT: Record<string, (context: Context) => Promise<number>> = { test, suggest }

export const mask: Command = {
  name: 'mask',
  takes: 'test [<file>] | suggest <resource>[/<database>]',
  summary: 'what masking does to sample data; which rules a database may need',
  details: [
    'test     a CSV file with a line of column names, or JSON objects, one a line; - is standard input.',
    '         Columns are named relation.column, or with --relation alone.',
    'suggest  looks at some rows of each relation, as yourself and on record, and writes rules for custody.yaml',
    'Rules are those of the configuration.',
  ],
  options: {
    resource: { value: 'name', help: 'test: as for this resource (default: the only one)' },
    relation: { value: 'name', help: 'test: whose columns they are' },
    group: { value: 'name', multiple: true, help: 'test: as a member of it; may be repeated' },
    rows: {
      value: 'n',
      help: `suggest: rows looked at of each relation (default ${ROWS_DEFAULT})`,
    },
  },
  positionalsMin: 1,
  positionalsMax: 2,
  examples: ['custody mask test customers.csv --relation customers', 'custody mask suggest orders'],
  async run(context) {
    const [what = ''] = context.given.positionals
    const action = Object.hasOwn(WHAT, what) ? WHAT[what] : undefined
    if (!action)
      throw usageError(
        `custody mask takes ${Object.keys(WHAT).join(', ')}; not ${JSON.stringify(what)}`,
        mask,
      )
    return action(context)
  },
}
