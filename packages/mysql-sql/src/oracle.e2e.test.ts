/**
 * What a real MariaDB says of the same texts. An account without rights is told which table it may not touch, and how: each
 * must be among what was found, of the corpus and of texts that nobody wrote. Values that stand in one column alone
 * show where outputs really come from.
 */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { type MysqlServer, seeded, startMysql } from '@custody/test-support'
import type { Connection } from 'mysql2/promise'
import { isReading } from './functions'
import { createResolver, type Provenance, type RelationFacts } from './provenance'
import { analyse, type SqlContext, type StatementAnalysis } from './statements'
import { RESERVED } from './words'

const [MAJOR, MINOR, PATCH] = [10, 11, 19]
const TABLES = ['t', 'u', 'v', 'w', 'x']
const COLUMNS = 'a int, b int, c int, d int, `1` int, `select` int, primary key (a)'
const USER = 'nobody'
const RUNS = 1500

let server: MysqlServer
let root: Connection
let context: SqlContext

async function fresh(): Promise<void> {
  for (const database of ['d', 'e']) {
    await root.query(`drop database if exists ${database}; create database ${database}`)
    await root.query(
      TABLES.map((name) => `create table ${database}.${name} (${COLUMNS})`).join(';'),
    )
    await root.query(`create sequence ${database}.s`)
  }
  await root.query('insert into e.t values (1, 2, 3, 4, 5, 6)')
}

beforeAll(async () => {
  server = await startMysql({ settings: { 'local-infile': '0' } })
  root = await server.connect()
  const [[row]] = (await root.query('select version() as v')) as unknown as [[{ v: string }]]
  const [, major, minor, patch] = /^(\d+)\.(\d+)\.(\d+)/.exec(row.v) ?? []
  const serverVersion =
    Number(major ?? MAJOR) * 10_000 + Number(minor ?? MINOR) * 100 + Number(patch ?? PATCH)
  context = { sqlMode: '', server: 'mariadb', serverVersion, multiStatements: true }
  await fresh()
  await root.query(`create user ${USER}@'%'; grant show view on e.* to ${USER}@'%'`)
})

afterAll(async () => {
  await root?.end()
  await server?.stop()
})

const asNobody = () =>
  server.connect({ user: USER, password: '', database: 'e', charset: 'latin1_swedish_ci' })

interface Denied {
  rights: string[]
  database: string
  table: string
}

function deniedBy(error: unknown): Denied | null {
  const { message } = error as Error
  const found =
    /^([A-Z ,]+) command denied to user .*? for table [`']?([^`']+)[`']?(?:\.[`']?([^`']+)[`']?)?/.exec(
      message,
    )
  if (!found) return null
  const [, rights, first, second] = found
  return second === undefined
    ? { rights: rights!.split(', '), database: 'e', table: first! }
    : { rights: rights!.split(', '), database: first!, table: second }
}

const isParseError = (error: unknown) =>
  [1064, 1149, 1065].includes((error as { errno: number }).errno)

/** Verbs that a right may be asked for by; of others it is enough that the table is named at all. */
const VERBS: Record<string, string[]> = {
  INSERT: 'insert copy-in create alter vacuum explain grant'.split(' '),
  UPDATE: 'update explain grant'.split(' '),
  DELETE: 'delete explain grant'.split(' '),
  DROP: 'drop truncate alter'.split(' '),
}

function names(
  statements: readonly StatementAnalysis[],
  { rights, database, table }: Denied,
): boolean {
  return rights.every((right) =>
    statements.some(({ objects }) =>
      objects.some(
        ({ kind, name, verb }) =>
          kind === 'table' &&
          (name === table || name === `${database}.${table}`) &&
          (VERBS[right]?.includes(verb.slice(4)) ?? true),
      ),
    ),
  )
}

/** They end the server or the connection, wait, or change who asks. */
const LEFT_OUT =
  /^(shutdown|kill|stop|xa|flush|lock|backup|handler|set|use|change|start|install|uninstall|load|binlog|begin not|if )|sleep|outfile|dumpfile/
const corpus = readFileSync(join(__dirname, 'corpus.txt'), 'utf8')
  .split('\n')
  .filter((line) => line !== '' && !/^(# | {2}=>)/.test(line) && !LEFT_OUT.test(line))

test('each right that the corpus asks for is known from its text', async () => {
  const missing: string[] = []
  let asked = 0
  for (const sql of corpus) {
    const { statements } = analyse(sql, context)
    if (!statements.every(({ understood }) => understood)) continue
    await root.query(
      `revoke all privileges, grant option from ${USER}@'%'; grant show view on e.* to ${USER}@'%'`,
    )
    for (let round = 0; round < 12; round++) {
      const client = await asNobody()
      const denied = await client.query(sql).then(
        () => null,
        (error) => deniedBy(error),
      )
      client.destroy()
      if (denied === null) break
      asked++
      if (!names(statements, denied)) missing.push(`${sql}: ${JSON.stringify(denied)}`)
      const { rights, database, table } = denied
      // ANY is none that can be given.
      const given = rights.map((right) => (right === 'ANY' ? 'SELECT' : right)).join(', ')
      const isGiven = await root
        .query(`grant ${given} on \`${database}\`.\`${table}\` to ${USER}@'%'`)
        .catch(() => null)
      // On what there isn't, none can be given.
      if (isGiven === null) break
    }
    if (/^\W*(create|alter|drop|rename|truncate)|drop/.test(sql)) await fresh()
  }
  expect(missing).toEqual([])
  expect(asked).toBeGreaterThan(150)
})

const PIECES = [
  ...' |/*|*/|/*!|/*!50000 |/*!50701 |/*!50800 |/*!99999 |/*!100000 |/*!5000|/*M!100000 |/*M!|/* x */|/*+ x */|-- |--|--\t|# '.split(
    '|',
  ),
  ...['\n', '\r', "'", "''", '"', '`', '\\', "\\'", ';', '; ', '.', '@', '1', 'e', '0x', "x'41'"],
  ...'\xa0|\xbf\x5c|\xbf\x27|\x81\x5c|\x95\x5c|\xc3\xa9|\xff|\x5c\xbf\x27'.split('|'),
  ...' select a from u | union select a from u |in (select a from u)|exists (select 1 from w)| join u |, u| natural join w '.split(
    '|',
  ),
  ...' (|)|,| x | as |{|!|?|_utf8|:=|->| div |..| for update | into @x | limit 1 | values | on | using (a) | interval | where | with | over () | not | case | end | row(| partition (p) | returning a '.split(
    '|',
  ),
]

test('texts that nobody wrote are cut and named as the server does', async () => {
  const random = seeded(20_261_121)
  const below = (n: number) => Math.floor(random() * n)
  const pick = <T>(of: readonly T[]): T => of[below(of.length)]!
  const mutated = () => {
    let sql = pick(corpus)
    if (below(5) === 0) {
      const other = pick(corpus)
      sql =
        sql.slice(0, below(sql.length + 1)) +
        pick([' ', '; ', '']) +
        other.slice(below(other.length + 1))
    }
    for (let times = below(4); times > 0; times--) {
      const at = below(sql.length + 1)
      const space = sql.indexOf(' ', at)
      if (below(5) === 0) sql = sql.slice(0, at) + sql.slice(at + 1 + below(3))
      else {
        const place = below(3) === 0 || space < 0 ? at : space
        sql = sql.slice(0, place) + pick(PIECES) + sql.slice(place)
      }
    }
    return sql
  }
  await fresh()
  await root.query(
    `revoke all privileges, grant option from ${USER}@'%'; grant show view on e.* to ${USER}@'%'`,
  )
  let client = await asNobody()
  const wrong: string[] = []
  const seen = { understood: 0, denied: 0, ran: 0 }
  for (let i = 0; i < RUNS; i++) {
    const sql = mutated()
    if (/password|shutdown|sleep|benchmark|kill|outfile|dumpfile|infile|set_var/i.test(sql))
      continue
    const sqlMode = pick([
      '',
      '',
      'ANSI_QUOTES',
      'NO_BACKSLASH_ESCAPES',
      'PIPES_AS_CONCAT',
      'IGNORE_SPACE',
      'ORACLE',
      'MSSQL',
    ])
    const characterSet = pick(['utf8mb4', 'latin1', 'gbk', 'sjis', 'big5', 'cp932', 'euckr'])
    const { statements } = analyse(sql, { ...context, sqlMode, characterSet })
    const understood = statements.length > 0 && statements.every((one) => one.understood)
    try {
      await client.changeUser({
        user: USER,
        password: '',
        database: 'e',
        charset: 'latin1_swedish_ci',
      })
    } catch {
      client.destroy()
      client = await asNobody()
    }
    await client.query(`set character_set_client = ${characterSet}, sql_mode = '${sqlMode}'`)
    // Other alphabets come back in other bytes.
    const plain = !/[^\0-\x7f]/.test(sql)
    if (understood) seen.understood++
    try {
      const [results] = (await client.query(sql)) as unknown as [unknown]
      seen.ran++
      const several = Array.isArray(results) && results.length > 0 && isResult(results[0])
      const ran = several ? (results as unknown[]).length : 1
      if (understood && ran !== statements.length)
        wrong.push(`${ran} statements, not ${statements.length}: ${JSON.stringify(sql)}`)
    } catch (error) {
      const denied = isParseError(error) ? null : deniedBy(error)
      if (denied === null) continue
      seen.denied++
      if (understood && plain && !names(statements, denied))
        wrong.push(`${JSON.stringify(denied)}: ${sqlMode} ${characterSet} ${JSON.stringify(sql)}`)
    }
  }
  client.destroy()
  expect(wrong).toEqual([])
  expect(seen.understood).toBeGreaterThan(RUNS / 10)
  expect(seen.denied).toBeGreaterThan(RUNS / 20)
  expect(seen.ran).toBeGreaterThan(RUNS / 100)
})

function isResult(one: unknown): boolean {
  return (
    Array.isArray(one) ||
    (one as { constructor?: { name: string } })?.constructor?.name === 'ResultSetHeader'
  )
}

test('words that are no names without quotes', async () => {
  const [rows] = (await root.query('select word from information_schema.keywords')) as unknown as [
    { word: string }[],
  ]
  const wrong: string[] = []
  for (const { word } of rows) {
    if (!/^[a-z_0-9]+$/i.test(word)) continue
    const column = await root.query(`select ${word} from (select 1 as \`${word}\`) x`).then(
      ([found]) => Object.hasOwn((found as unknown as object[])[0]!, word) || word,
      () => false,
    )
    const ours = analyse(`select ${word} from t`, context).statements[0]!
    const name = ours.understood && ours.columns.includes(word)
    // What the server reads as a name we may refuse, and never the other way round.
    if (name && column === false) wrong.push(word)
  }
  expect(wrong).toEqual([])
  expect(RESERVED.mariadb.size).toBeGreaterThan(200)
})

test('at MySQL’s own server: neither are words names, nor is anything built in, that is not', async () => {
  const own = await startMysql({ kind: 'mysql' })
  const client = await own.connect()
  try {
    const ask = (sql: string) =>
      client.query(sql).then(
        ([found]) => found as unknown as Record<string, unknown>[],
        (error: { errno: number }) => error.errno,
      )
    const { server, serverVersion } = { server: 'mysql' as const, ...versionOf(own.version) }
    const missing: string[] = []
    const source = readFileSync(join(__dirname, 'functions.ts'), 'utf8')
    for (const name of new Set(source.match(/\b[a-z][a-z0-9_]+\b/g)))
      if (
        isReading(name, server, serverVersion) &&
        (await ask(`select ${name}()`)) === 1305 &&
        (await ask(`select ${name}(1, 1)`)) === 1305
      )
        missing.push(name)
    expect(missing).toEqual([])
    const wrong: string[] = []
    for (const { word } of (await ask(
      'select word as word from information_schema.keywords',
    )) as unknown as { word: string }[]) {
      const found = await ask(`select ${word} from (select 1 as \`${word}\`) x`)
      const isColumn = typeof found !== 'number' && Object.hasOwn(found[0]!, word)
      const ours = analyse(`select ${word} from t`, { ...context, server, serverVersion })
      const [one] = ours.statements
      if (one!.understood && one!.columns.includes(word) && !isColumn) wrong.push(word)
    }
    expect(wrong).toEqual([])
  } finally {
    client.destroy()
    await own.stop()
  }
})

/** `9.7.4-2` as executable comments have it. */
function versionOf(version: string): { serverVersion: number } {
  const [major, minor, patch] = version.split(/[.-]/).map(Number)
  return { serverVersion: major! * 10_000 + minor! * 100 + patch! }
}

test('functions that are said to be built in, are', async () => {
  const { serverVersion } = context
  const [rows] = (await root.query(
    'select function as name from information_schema.sql_functions',
  )) as unknown as [{ name: string }[]]
  const built = new Set(rows.map(({ name }) => name.toLowerCase()))
  const missing: string[] = []
  const source = readFileSync(join(__dirname, 'functions.ts'), 'utf8')
  for (const name of new Set(source.match(/\b[a-z][a-z0-9_]+\b/g))) {
    if (!isReading(name, 'mariadb', serverVersion) || built.has(name)) continue
    // Those that are syntax of their own, or of geometry, are in no list: a call that they refuse is no unknown function.
    const isUnknown = (args: string) =>
      root.query(`select ${name}(${args})`).then(
        () => false,
        (error: { errno: number }) => error.errno === 1305,
      )
    const unknown = (await isUnknown('')) && (await isUnknown('1, 1'))
    if (unknown) missing.push(name)
  }
  expect(missing).toEqual([])
})

describe('values show where they come from', () => {
  const stored = {
    customers: ['id', 'name', 'ssn', 'note'],
    orders: ['id', 'customer', 'total', 'note'],
  }
  const mark = (table: string, column: string) => `${table}.${column}#`
  let client: Connection
  let facts: RelationFacts[]

  beforeAll(async () => {
    await root.query('create database values_of')
    client = await server.connect({ database: 'values_of' })
    facts = []
    for (const [table, columns] of Object.entries(stored)) {
      await client.query(
        `create table ${table} (${columns.map((one) => `${one} varchar(60)`).join()}, secret varchar(60) invisible default '${mark(table, 'secret')}1')`,
      )
      for (const row of [1, 2])
        await client.query(`insert into ${table} (${columns.join()}) values (?)`, [
          columns.map((column) =>
            column === 'id' || column === 'customer' ? String(row) : `${mark(table, column)}${row}`,
          ),
        ])
      facts.push({
        schema: 'values_of',
        name: table,
        columns,
        definition: null,
        invisible: ['secret'],
      })
    }
    for (const [name, sql] of Object.entries({
      plain: 'select name as n, ssn from customers',
      joined: 'select c.ssn as s, o.* from customers c join orders o on o.customer = c.id',
      counted: 'select count(*) as n, max(note) as m from orders',
      again: 'select upper(s) as s, total from joined',
    })) {
      await client.query(`create view ${name} as ${sql}`)
      const [[made]] = (await client.query(
        'select view_definition as sql_text from information_schema.views where table_schema = database() and table_name = ?',
        [name],
      )) as unknown as [[{ sql_text: string }]]
      const [columns] = (await client.query(`show columns from ${name}`)) as unknown as [
        { Field: string }[],
      ]
      facts.push({
        schema: 'values_of',
        name,
        columns: columns.map(({ Field }) => Field),
        definition: analyse(made.sql_text, context).statements[0]!.lineage,
      })
    }
  })

  afterAll(() => client?.end())

  const QUERIES = `select * from customers
select id, ssn as x, concat(name, '-', note) from customers where id = 1
select c.*, o.total from customers c join orders o on o.customer = c.id
select * from customers join orders using (id)
select * from customers left join orders using (note, id)
select * from orders left join customers using (note, id)
select * from customers natural left join orders
select * from customers left join orders using (id)
select * from customers right join orders using (id)
select * from (customers, orders) where customers.id = orders.customer
select *, secret from customers
select customers.secret, o.secret from customers join orders o
select * from (select ssn as a, note from customers union select total, customer from orders) s
with c (a, b) as (select ssn, note from customers), d as (select b, a from c) select * from d
with recursive c as (select ssn as v, 1 as n from customers union all select v, n + 1 from c where n < 3) select * from c
select (select max(ssn) from customers c where c.id = o.customer), o.note from orders o
select (select ssn from customers limit 1) as x, (select x) from orders
select note as ssn, (select ssn) from orders
select note as ssn, (select ssn) from customers
select ssn as note, note as ssn from customers order by ssn
select group_concat(ssn order by id), min(customers.note), count(name), any_of.note from customers, (select note from orders limit 1) any_of
select lag(ssn) over (order by id), first_value(note) over (order by id desc), row_number() over (order by ssn) from customers
select case when id = 1 then ssn else name end, if(id = 2, note, 'x'), coalesce(null, ssn), nullif(name, 'x') from customers
select cast(ssn as char), convert(note using utf8mb4), binary name, left(ssn, 20), replace(ssn, 'c', 'd'), hex(id) from customers
select json_object('a', ssn), json_extract(json_object('a', ssn), '$.a'), json_unquote(json_array(note)) from customers
select j.v from customers, json_table(json_array(ssn), '$[*]' columns (v varchar(60) path '$')) j
select ssn from customers union all select note from orders
select note from customers except select total from orders
select * from plain
select * from joined
select s, note from joined
select * from counted
select * from again
select a.s, b.n from again a join plain b on true
select @v := ssn, @v from customers
select * from customers where ssn like 'c%' group by note having note <> '' order by 3 desc limit 1
select distinct note, ssn from customers
values ('a', 'b')
select customers.ssn from customers join orders customers2 on customers.id = customers2.customer
select values_of.customers.ssn, \`values_of\`.orders.note from customers, values_of.orders
select /*! ssn */ /*!50000 , note */ /*!50717 , name */ from customers
select ssn 'x', note "y" from customers
select concat_ws(',', c.ssn, (select note from orders where customer = c.id), c.note) from customers c
select t.a from (select ssn as a, note as b from customers) t where t.b <> ''
select b from (select ssn as a, note as b from customers) t natural join (select 1 as q) z
select elt(1, ssn, note), field(ssn, note), concat(@@version_comment, note), reverse(reverse(ssn)) from customers
insert into orders (id, total) select id, ssn from customers where id = 1 returning id, total, note
insert into orders (id, note) values ('9', (select ssn from customers limit 1)) returning note
replace into orders (id, note) select 8, ssn from customers limit 1 returning note, id
delete from customers where id = '2' returning ssn, note
analyze format=json select ssn from customers where ssn = (select max(ssn) from customers)`.split(
    '\n',
  )

  test.each(QUERIES)('%s', async (sql) => {
    const { statements } = analyse(sql, context)
    const [only] = statements
    expect(only).toMatchObject({ understood: true })
    const resolver = createResolver({
      server: 'mariadb',
      serverVersion: context.serverVersion,
      find: (schema, name) =>
        facts.filter((one) => one.name === name && (schema ?? 'values_of') === one.schema),
      isTrustedFunction: () => false,
    })
    const { outputs, whole } = resolver.statement(only!.lineage)
    const [rows, fields] = (await client.query({ sql, rowsAsArray: true })) as unknown as [
      unknown[][],
      object[],
    ]
    expect(rows.length).toBeGreaterThan(0)
    if (outputs !== null) expect(outputs.length).toBe(fields.length)
    const isIn = ({ sources, unknown }: Provenance, table: string, column: string) =>
      unknown !== null || sources.some((one) => one.relation === table && one.column === column)
    for (const row of rows)
      for (const [i, value] of row.entries()) {
        const text =
          String(value).toLowerCase() + [...String(value)].reverse().join('').toLowerCase()
        for (const [table, columns] of Object.entries(stored))
          for (const column of [...columns, 'secret'])
            if (text.includes(mark(table, column)))
              expect([i, table, column, isIn(outputs?.[i] ?? whole, table, column)]).toEqual([
                i,
                table,
                column,
                true,
              ])
      }
  })
})
