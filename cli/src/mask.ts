/**
 * `custody mask`: what masking would do, before it is in force. `test` runs the configured rules and detectors over a file of
 * sample data with the very code that the gateway masks with; `suggest` looks at a sample of a database, through Custody like
 * anybody, and proposes rules with what speaks for each. Changes nothing, and shows no value that it proposes to mask.
 */
import { randomBytes } from 'node:crypto'
import { createReadStream, existsSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { type Configuration, CustodyError, createSecrets, type Home } from '@custody/kit'
import {
  type ColumnFacts,
  createMasking,
  createScanner,
  DEFAULT_DETECTORS,
  type Find,
  type Masking,
  masked,
  type SessionRules,
  TO_NULL,
  type ValueType,
} from '@custody/masking'
import { Client } from 'pg'
import { usageError, wholeNumber } from './arguments'
import { pagesOf, WAIT_MS } from './client'
import type { Command, Context } from './commands'
import { api, reach } from './connect'
import { configurationOf } from './policy'
import type { Json } from './show'
import { table, visible } from './table'

/** More of a sample says no more. */
const SAMPLE_BYTES_MAX = 64 * 1024 * 1024
const ROWS_DEFAULT = 500
const RELATIONS_MAX = 500
/** Of a column's values, this share found makes a proposal. */
const SHARE_MIN = 0.05
/** Of one rule, as configurations take them. */
const COLUMNS_OF_RULE_MAX = 1000
const COMMENT_CHARACTERS_MAX = 300

/**
 * What the configuration says of masking, or an error with what is wrong with it; null: nothing. Leaves no key behind: before
 * Custody has made its own, and where it does not matter, tokens are of a key for this time.
 */
export async function maskingOf(
  configuration: Configuration,
  home: Home,
  withKey = false,
): Promise<Masking | null> {
  const { masking, vault } = configuration
  if (!masking) return null
  const own = withKey && (masking.key !== undefined || existsSync(join(home.keys, 'masking.key')))
  return createMasking(
    own ? masking : { ...masking, key: { literal: randomBytes(32).toString('base64') } },
    home,
    createSecrets(vault),
  )
}

const unreadable = (message: string, cause?: unknown) =>
  new CustodyError('CUSTODY-CLI-011', message, { cause })

// ── test ───────────────────────────────────────────────────────────────────────────────────────────────────────────

interface Sample {
  columns: SampleColumn[]
  rows: (string | null)[][]
}

interface SampleColumn {
  name: string
  type: ValueType
}

/** CSV (RFC 4180) with a line of column names, or JSON objects, one a line or in a list. */
function readSample(text: string): Sample {
  const trimmed = text.trimStart()
  if (trimmed.startsWith('{') || trimmed.startsWith('[')) return readJson(trimmed)
  const [names = [], ...rows] = readCsv(text)
  if (names.every((name) => name === null)) throw new Error('there is no line of column names')
  for (const [i, row] of rows.entries())
    if (row.length > names.length)
      throw new Error(`row ${i + 1} has ${row.length} values for ${names.length} columns`)
  const kept = rows.filter((row) => names.length === 1 || row.length > 1 || row[0] !== null)
  return {
    columns: names.map((name, i) => ({
      name: name ?? '',
      type: typeOf(kept.map((row) => row[i] ?? null).filter((value) => value !== null)),
    })),
    rows: kept,
  }
}

const TEXT: ValueType = { kind: 'text', isArray: false }

function readJson(text: string): Sample {
  const objects = text.startsWith('[')
    ? (parsed(text, 'the list') as unknown[])
    : text
        .split('\n')
        .flatMap((line, i) => (line.trim() === '' ? [] : [parsed(line, `line ${i + 1}`)]))
  for (const [i, one] of objects.entries())
    if (typeof one !== 'object' || one === null || Array.isArray(one))
      throw new Error(`value ${i + 1} is no object`)
  const records = objects as Record<string, unknown>[]
  const columns = [...new Set(records.flatMap((one) => Object.keys(one)))].map((name) => ({
    name,
    type: typeOf(records.map((one) => one[name] ?? null).filter((value) => value !== null)),
  }))
  return {
    columns,
    rows: records.map((one) => columns.map(({ name, type }) => textOf(one[name], type))),
  }
}

/** Without the parser's words, which quote what may be a value. */
function parsed(text: string, what: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    throw new Error(`${what} is not JSON`)
  }
}

/** What a database would most likely have: numbers in a CSV file may as well be cards or telephones, so they stay text. */
function typeOf(values: readonly unknown[]): ValueType {
  const all = (type: string) => values.length > 0 && values.every((value) => typeof value === type)
  if (values.some((value) => typeof value === 'object')) return { kind: 'json', isArray: false }
  if (all('number')) return { kind: 'decimal', isArray: false }
  if (all('boolean')) return { kind: 'boolean', isArray: false }
  const like = (form: RegExp) => all('string') && values.every((value) => form.test(String(value)))
  if (like(/^\d{4}-\d\d-\d\d$/)) return { kind: 'date', isArray: false }
  if (like(/^\d{4}-\d\d-\d\d[ T]\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d(:?\d\d)?)?$/))
    return { kind: 'timestamp', isArray: false }
  return TEXT
}

function textOf(value: unknown, { kind }: ValueType): string | null {
  if (value === null || value === undefined) return null
  return kind === 'json' ? JSON.stringify(value) : String(value)
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
    } else if (c === '"' && value === '' && !wasQuoted) {
      quoted = true
      wasQuoted = true
    } else if (c === ',') field()
    else if (c === '\n') {
      field()
      rows.push(row)
      row = []
    } else if (c !== '\r') value += c
  }
  if (quoted) throw new Error('a quotation mark is not closed')
  if (value !== '' || wasQuoted || row.length > 0) {
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
  const configuration = configurationOf(context)
  const { resources } = configuration
  const names = Object.keys(resources)
  const name = given.text('resource') ?? (names.length === 1 ? names[0]! : undefined)
  const masking = await maskingOf(configuration, context.home, true)
  if (masking === null)
    throw new CustodyError('CUSTODY-CLI-010', 'the configuration has no masking section')
  if (name === undefined)
    throw usageError('--resource is needed: the configuration has not exactly one', mask)
  if (!Object.hasOwn(resources, name))
    throw new CustodyError(
      'CUSTODY-CLI-004',
      `there is no resource ${JSON.stringify(name)} in the configuration`,
    )
  const rules = masking.open({ name, labels: resources[name]!.labels }, given.texts('group'))
  let sample: Sample
  try {
    sample = readSample(await textIn(file === '-' ? null : resolve(context.cwd, file)))
  } catch (error) {
    throw unreadable(`${file}: ${(error as Error).message}`)
  }
  const outcomes = new Map<string, Outcome>()
  const count = (one: Omit<Outcome, 'count'>) => {
    const key = JSON.stringify(one)
    const known = outcomes.get(key)
    if (known) known.count++
    else outcomes.set(key, { ...one, count: 1 })
  }
  const columns = sample.columns.map(({ name, type }) => {
    const facts = columnOf(name, given.text('relation'))
    const rule = rules.find(facts)
    return { name, type, rule, detector: rule ? null : rules.detector(facts, facts.column, type) }
  })
  const rows = sample.rows.flatMap((values) => {
    const row: (string | null)[] = []
    for (const [i, { name, type, rule, detector }] of columns.entries()) {
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
        row.push(other == null ? value : other === TO_NULL ? null : other.toString())
      }
    }
    return [row]
  })
  const found = [...outcomes.values()]
  if (output.json) {
    for (const row of rows)
      output.object(Object.fromEntries(columns.map(({ name }, i) => [name, row[i] ?? null])))
    output.object({ rows: sample.rows.length, kept: rows.length, masks: found })
    return 0
  }
  output.lines(
    table(
      columns.map(({ name }) => ({ title: visible(name) })),
      rows.map((row) => row.map((value) => value ?? '∅')),
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

async function textIn(file: string | null): Promise<string> {
  const chunks: Buffer[] = []
  let bytes = 0
  for await (const chunk of file === null ? process.stdin : createReadStream(file)) {
    chunks.push(chunk)
    bytes += chunk.length
    if (bytes > SAMPLE_BYTES_MAX)
      throw new Error(
        `it has more than ${SAMPLE_BYTES_MAX / 1024 / 1024} MiB; a part of it will do`,
      )
  }
  return Buffer.concat(chunks)
    .toString()
    .replace(/^\ufeff/, '')
}

// ── suggest ────────────────────────────────────────────────────────────────────────────────────────────────────────

interface Suggestion {
  id: string
  columns: string[]
  action: string
  more: Record<string, string | number>
  evidence: string[]
}

/** What names of columns say in the languages that schemas are written in, as `_its_words_`; the first that fits. */
const NAMES: readonly [kind: string, name: RegExp][] = [
  ['email', /e_?mail|correo|courriel/],
  [
    'secret',
    /passw|_pwd_|secret|api_?key|access_?key|private_?key|_tokens?_|credential|_pin_|pin_?code|_otp_/,
  ],
  ['card', /card_?(no|num|number)_|credit_?card|_card_$|_pan_|_cc_?num/],
  ['iban', /_iban_|account_?(no|num|number)_|bank_?account|kontonummer/],
  [
    'national-id',
    /_ssn_|social_?sec|national_?id|passport|_(dni|nie|nif|cpf|bsn)_|tax_?id|steuer|pesel|aadhaar|licen[cs]e_?no/,
  ],
  ['phone', /phone|_mobile_|_tel(efono)?_|_handy_|cell_?no/],
  ['birth', /birth|_dob_|geburt|nacimiento|naissance/],
  [
    'name',
    /^_(first|last|full|middle|given|family|maiden)_?name_$|^_(surname|apellidos?|nombre|vorname|nachname)_$/,
  ],
  ['address', /street|(?<!_(ip|mac))_address_|post(al)?_?code|_zip_?(code)?_$|strasse|direccion/],
  ['pay', /salary|_wages?_|income|gehalt|sueldo|compensation/],
]
/** By pg_type: what a name can't mean for values of a type, such as `phone_verified`. */
const NUMBERS = new Set([20, 21, 23, 700, 701, 1700])
const MOMENTS = new Set([1082, 1114, 1184])
const BOOLEAN = 16
const UUID = 2950

function kindByName({ column, oid }: Column): string | null {
  const words = `_${column
    .replace(/([a-z0-9])([A-Z])/g, '$1_$2')
    .toLowerCase()
    .replace(/[^\p{L}\p{N}]+/gu, '_')}_`
  const kind = NAMES.find(([, name]) => name.test(words))?.[0]
  if (kind === undefined || oid === BOOLEAN) return null
  if (MOMENTS.has(oid)) return kind === 'birth' ? kind : null
  if (NUMBERS.has(oid)) return ['card', 'national-id', 'phone', 'pay'].includes(kind) ? kind : null
  return oid === UUID && kind !== 'secret' ? null : kind
}

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

interface Column extends ColumnFacts {
  oid: number
}

async function suggest(context: Context): Promise<number> {
  const { given, output, home } = context
  const [, wanted] = given.positionals
  if (wanted === undefined) throw usageError('custody mask suggest takes <resource>', mask)
  const rowsMax = wholeNumber('rows', given.text('rows'), 1, 100_000) ?? ROWS_DEFAULT
  const configuration = configurationOf(context)
  const name = wanted.split('/', 1)[0]!
  // Of a Custody elsewhere there may be no configuration here; then no rule is known.
  const rules = (await maskingOf(configuration, home))?.open(
    { name, labels: configuration.resources[name]?.labels ?? {} },
    given.texts('group'),
  )
  const looked = await lookAt(context, wanted, rowsMax, rules ?? null)
  const found = new Map<string, Suggestion>()
  for (const [column, finds] of looked.columns) propose(column, finds, found)
  const taken = new Set(configuration.masking?.rules.map(({ id }) => id))
  const suggestions = [...found.values()]
    .sort((a, b) => (a.id < b.id ? -1 : 1))
    .flatMap((one) => inPieces(one, taken))
  if (output.json)
    for (const { more, evidence, ...one } of suggestions)
      output.object({ ...one, ...more, evidence })
  else if (suggestions.length === 0) output.line('No rule is proposed.')
  else {
    output.line('masking:')
    output.line('  rules:')
    for (const { id, columns, action, more, evidence } of suggestions) {
      for (const line of evidence)
        output.line(output.dim(`    # ${visible(line).slice(0, COMMENT_CHARACTERS_MAX)}`))
      const words = Object.entries(more).map(([key, value]) => `, ${key}: ${value}`)
      output.line(
        `    - { id: ${id}, columns: [${columns.map((one) => `'${one}'`).join(', ')}], action: ${action}${words.join('')} }`,
      )
    }
  }
  output.remark(
    [
      `custody: ${looked.columns.size} columns looked at, at most ${rowsMax} rows of each relation`,
      looked.covered > 0 && `${looked.covered} are masked by a rule already`,
      looked.unread > 0 && `of ${looked.unread} that can't be read, only names were looked at`,
    ]
      .filter(Boolean)
      .join('; ')
      .concat('. A proposal is a beginning: what is in a column is for its owner to say.'),
  )
  return 0
}

/** A rule takes so many columns, and no two have one name. */
function inPieces(one: Suggestion, taken: Set<string>): Suggestion[] {
  const pieces: Suggestion[] = []
  for (let at = 0; at < one.columns.length; at += COLUMNS_OF_RULE_MAX) {
    let id = one.id
    for (let n = 2; taken.has(id); n++) id = `${one.id}-${n}`
    taken.add(id)
    pieces.push({
      ...one,
      id,
      columns: one.columns.slice(at, at + COLUMNS_OF_RULE_MAX),
      evidence: one.evidence.slice(at, at + COLUMNS_OF_RULE_MAX),
    })
  }
  return pieces
}

interface Looked {
  /** What was found in each; null: it can't be read. */
  columns: Map<Column, Finds | null>
  covered: number
  /** Relations. */
  unread: number
}

async function lookAt(
  context: Context,
  wanted: string,
  rowsMax: number,
  rules: SessionRules | null,
): Promise<Looked> {
  const { output } = context
  const { host, port, issued } = await reach(context, wanted)
  // By which its session is found again.
  const application = `custody mask suggest ${randomBytes(4).toString('hex')}`
  const client = new Client({
    host,
    port,
    user: issued.subject,
    password: issued.token,
    database: wanted,
    application_name: application,
    ssl: { rejectUnauthorized: false },
  })
  const looked: Looked = { columns: new Map(), covered: 0, unread: 0 }
  let relations: Column[][]
  client.on('error', () => {})
  try {
    await client.connect()
    relations = await relationsOf(client)
  } catch (error) {
    await client.end().catch(() => {})
    if (error instanceof CustodyError) throw error
    throw unreadable(`${wanted}: ${(error as Error).message}`)
  }
  try {
    for (const [n, columns] of relations.entries()) {
      const { schema, relation } = columns[0]!
      if (!output.json)
        output.remark(visible(`custody: ${n + 1} of ${relations.length}: ${schema}.${relation}`))
      const open = columns.filter((one) => rules === null || rules.find(one) === null)
      looked.covered += columns.length - open.length
      if (open.length === 0) continue
      const finds = await sampleOf(client, open, rowsMax)
      if (finds === null) looked.unread++
      for (const [i, one] of open.entries()) looked.columns.set(one, finds?.[i] ?? null)
    }
  } finally {
    await client.end().catch(() => {})
  }
  await addMasked(context, wanted.split('/', 1)[0]!, application, looked).catch(() =>
    output.remark(
      'custody: the record of this look could not be read, so what detectors mask already is not told apart',
    ),
  )
  return looked
}

/** What detectors found before it came here is in the record of this very look. */
async function addMasked(
  context: Context,
  resource: string,
  application: string,
  { columns }: Looked,
): Promise<void> {
  const one = api(context)
  const { sessions } = await one.get<Json>('/api/v1/sessions', {
    resource,
    limit: 100,
    wait: WAIT_MS,
  })
  const session = sessions.find(({ path }: Json) => path?.clientApplication === application)
  if (!session) throw new Error('its session is not there')
  const byPlace = new Map(
    [...columns].map(([{ schema, relation, column }, finds]) => [
      `${schema}.${relation}.${column}`,
      finds,
    ]),
  )
  for await (const page of pagesOf(one, `/api/v1/sessions/${session.id}/timeline`, {}, 'timeline'))
    for (const { masks } of page.timeline)
      for (const { of, column, detector, count } of masks ?? []) {
        const finds = byPlace.get(column)
        if (of !== 'answer' || detector === null || !finds) continue
        const sum = (finds.byDetector.get(detector) ?? 0) + count
        // In a value there may be several; and of those that became NULL none was counted.
        finds.values = Math.max(finds.values, Math.min(sum, finds.rows))
        finds.byDetector.set(detector, Math.min(sum, finds.values))
      }
}

/** What people say in a COMMENT or security label: `custody:pii`. */
const TAG = /custody:([a-z0-9][a-z0-9_-]*)/gi

async function relationsOf(client: Client): Promise<Column[][]> {
  const { rows } = await client.query<Omit<Column, 'tags'> & { number: number; of: number }>(
    `select n.nspname as schema, c.relname as relation, a.attname as column, a.atttypid::int as oid, a.attnum::int as number,
       c.oid::bigint::int as of
     from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
     join pg_catalog.pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
     where c.relkind in ('r', 'p', 'm', 'f') and not c.relispartition and n.nspname !~ '^pg_' and n.nspname <> 'information_schema'
     order by 1, 2, a.attnum`,
  )
  const tags = await tagsOf(client)
  const relations = new Map<string, Column[]>()
  for (const { number, of, ...one } of rows) {
    const key = `${quoted(one.schema)}.${quoted(one.relation)}`
    const column = {
      ...one,
      tags: [...(tags.get(`${of} 0`) ?? []), ...(tags.get(`${of} ${number}`) ?? [])],
    }
    const known = relations.get(key)
    if (known) known.push(column)
    else relations.set(key, [column])
  }
  if (relations.size > RELATIONS_MAX)
    throw unreadable(
      `the database has ${relations.size} relations, and at most ${RELATIONS_MAX} are looked at; sign in as somebody who sees fewer, or name another database`,
    )
  return [...relations.values()]
}

/** By the relation's number and the column's, 0 for all of its columns; none where they can't be read. */
async function tagsOf(client: Client): Promise<Map<string, string[]>> {
  const tags = new Map<string, string[]>()
  for (const from of [
    'description as said from pg_catalog.pg_description',
    'label as said from pg_catalog.pg_seclabel',
  ]) {
    const { rows } = await client
      .query<{ of: number; number: number; said: string }>(
        `select objoid::bigint::int as of, objsubid as number, ${from} where classoid = 1259`,
      )
      .catch(() => ({ rows: [] }))
    for (const { of, number, said } of rows)
      for (const [, tag] of said.matchAll(TAG))
        tags.set(`${of} ${number}`, [...(tags.get(`${of} ${number}`) ?? []), tag!])
  }
  return tags
}

interface Finds {
  rows: number
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
    const finds: Finds = { rows: rows.length, values: 0, byDetector: new Map() }
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

function propose(column: Column, finds: Finds | null, to: Map<string, Suggestion>): void {
  const evidence: string[] = []
  const { values = 0, byDetector = new Map() } = finds ?? {}
  const counts = [...byDetector]
    .filter(([, count]) => count >= Math.max(1, values * SHARE_MIN))
    .sort((a, b) => b[1] - a[1])
  for (const [detector, count] of counts)
    evidence.push(`${detector} in ${count} of ${values} values`)
  const named = kindByName(column)
  if (named !== null) evidence.push(`its name says ${named}`)
  const [most] = counts
  // What something is called is said of all of it; a find here and there, of some.
  const kind =
    most && (named === null || most[1] * 2 >= values) ? (KINDS[most[0]] ?? most[0]) : named
  if (kind === null) return
  const action = ACTIONS[kind] ?? { action: 'redact' }
  const known = to.get(kind)
  const line = `${[column.schema, column.relation, column.column].join('.')}: ${evidence.join('; ')}`
  if (known) {
    known.columns.push(patternOf(column))
    known.evidence.push(line)
  } else
    to.set(kind, {
      id: kind,
      columns: [patternOf(column)],
      action: action.action,
      more: action.more ?? {},
      evidence: [line],
    })
}

/** Names may hold what patterns can't; `?` stands for it there. */
function patternOf({ schema, relation, column }: Column): string {
  return [schema, relation, column]
    .map((name) => name.replace(/[.\s"'`\\[\]{}()]|\p{C}/gu, (one) => '?'.repeat(one.length)))
    .join('.')
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
