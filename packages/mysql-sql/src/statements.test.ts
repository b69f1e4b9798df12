/** What statements do, from their text alone. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { secretsOf } from './literals'
import {
  analyse,
  createAnalyser,
  type SqlContext,
  type StatementAnalysis,
  settingAnalysis,
  unanalysed,
} from './statements'

const MARIADB: SqlContext = {
  sqlMode: '',
  server: 'mariadb',
  serverVersion: 101119,
  multiStatements: true,
}
const MYSQL: SqlContext = { ...MARIADB, server: 'mysql', serverVersion: 80400 }
const one = (sql: string, context: SqlContext = MARIADB) => analyse(sql, context).statements[0]!

function shown({ understood, readOnly, verbs, objects }: StatementAnalysis): string {
  const named = objects.filter(({ verb }) => verb !== 'sql:compute')
  const words = verbs.map((verb) => verb.slice(4)).join(' ')
  const names = named.map(({ kind, name, verb }) => `${kind}:${name}:${verb.slice(4)}`).join(' ')
  const proven = understood ? (readOnly ? '= ' : '') : '? '
  return `  => ${proven}${words}${names === '' ? '' : ` | ${names}`}`
}

const lines = readFileSync(join(__dirname, 'corpus.txt'), 'utf8').split('\n')
const corpus: [sql: string, expected: string[]][] = []
for (const line of lines)
  if (line.startsWith('  => ')) corpus.at(-1)![1].push(line)
  else if (line !== '' && !line.startsWith('# ')) corpus.push([line, []])

test('the corpus is what it says that it is', () => {
  expect(corpus.length).toBeGreaterThan(300)
})

test.each(corpus)('%s', (sql, expected) => {
  expect(analyse(sql, MARIADB).statements.map(shown)).toEqual(expected)
})

test('of MySQL alone', () => {
  const found = (sql: string) => shown(one(sql, MYSQL)).slice(5)
  expect(found('table t')).toBe('= select | table:t:select')
  expect(found('with c as (select a from u) update t, c set t.a = c.a')).toBe(
    'select update | table:u:select table:t:select table:t:update',
  )
  expect(found('with c as (select 1) delete from t where a in (select * from c)')).toBe(
    'select delete | table:t:delete',
  )
  expect(found('insert into t values (1, 2) as n (a, b) on duplicate key update c = n.a')).toBe(
    'insert update | table:t:insert table:t:update',
  )
  expect(found('select a from t, lateral (select b from u where u.a = t.a) x')).toBe(
    '= select | table:t:select table:u:select',
  )
  expect(found('select a from t for share of t skip locked')).toBe(
    'select lock | table:t:select table:t:lock',
  )
  expect(found('values row(1, 2), row(3, 4)')).toBe('= select')
  expect(found('select * from t as x where a member of (b)')).toBe('= select | table:t:select')
  expect(found('select /*+ set_var(sql_mode = "ANSI_QUOTES") */ a from t')).toBe(
    'set select | setting:sql_mode:set table:t:select',
  )
  expect(found('set persist max_connections = 5')).toBe(
    'alter | setting:persist.max_connections:alter',
  )
  expect(found("create user u identified with caching_sha2_password by 'x'")).toBe(
    'create | role:u:create',
  )
  expect(found('select rank from t')).toBe('? select unknown')
  expect(found('binlog "x"')).toBe('? vacuum unknown | server:binlog:vacuum')
})

test('functions that a server lacks may be somebody’s own', () => {
  const reads = (sql: string, context: SqlContext) => one(sql, context).readOnly
  expect(reads('select nvl(a, b) from t', MARIADB)).toBe(true)
  expect(reads('select nvl(a, b) from t', MYSQL)).toBe(false)
  expect(reads('select regexp_like(a, b) from t', MYSQL)).toBe(true)
  expect(reads('select regexp_like(a, b) from t', MARIADB)).toBe(false)
  expect(reads('select sformat(a) from t', { ...MARIADB, serverVersion: 100600 })).toBe(false)
  expect(reads('select count(*) from t', MARIADB)).toBe(true)
  // With a space it is another function, unless the mode says that it isn't.
  expect(reads('select count (*) from t', MARIADB)).toBe(false)
  expect(reads('select count (*) from t', { ...MARIADB, sqlMode: 'IGNORE_SPACE' })).toBe(true)
  expect(reads('select concat (a) from t', MARIADB)).toBe(true)
  expect(reads('select d.concat(a) from t', MARIADB)).toBe(false)
})

describe('what it does to the session', () => {
  const effects = (sql: string, context = MARIADB) => one(sql, context).effects

  test('settings', () => {
    expect(effects("set sql_mode = 'ANSI', @@global.x = 1, session y = a").settings).toEqual([
      { scope: 'session', name: 'sql_mode', value: 'ANSI' },
      { scope: 'global', name: 'x', value: '1' },
      { scope: 'session', name: 'y', value: 'a' },
    ])
    expect(effects('set names gbk').settings.map(({ name, value }) => `${name}=${value}`)).toEqual([
      'character_set_client=gbk',
      'character_set_connection=gbk',
      'character_set_results=gbk',
    ])
    expect(effects("set sql_mode = concat('A', 'B')").settings[0]!.value).toBeNull()
    expect(effects('use `d`').database).toBe('d')
    expect(effects('select @a := 1, b into @c from t').assigns).toEqual(['a', 'c'])
  })

  test('statements in texts', () => {
    expect(effects("prepare S from 'delete from t'").prepares).toEqual({
      name: 's',
      text: 'delete from t',
    })
    expect(effects("prepare s from 'set names gbk'").settings).toEqual([])
    expect(effects("execute immediate 'set names gbk'").settings).toHaveLength(3)
    expect(effects('prepare s from @x').prepares).toEqual({ name: 's', text: null })
    expect(effects('execute S using @a').executes).toBe('s')
    expect(one("execute immediate 'drop table t; drop table u'").understood).toBe(false)
    expect(one("prepare s from 'select \\'a\\''").understood).toBe(false)
    expect(one("execute immediate 'prepare s from ''drop table t'''").verbs).toContain('sql:drop')
  })

  test('files, users, transactions, locks', () => {
    expect(effects("select 1 into outfile '/tmp/x'").writesFile).toBe('/tmp/x')
    expect(effects("select 1 into dumpfile '/tmp/x'").writesFile).toBe('/tmp/x')
    expect(effects("load data infile '/tmp/x' into table t").readsFile).toBe('/tmp/x')
    expect(effects("load data local infile '/tmp/x' into table t").asksForFile).toBe('/tmp/x')
    expect(effects("create user u identified by 'x'").changesUsers).toBe(true)
    expect(effects('handler t open').usesHandler).toBe(true)
    expect(effects('kill 5').kills).toBe(true)
    expect(effects('call p').callsProcedure).toBe(true)
    expect(effects('lock tables t read').locksTables).toBe(true)
    expect(effects('create temporary table t (a int)').makesTemporary).toBe(true)
    expect(effects('drop temporary table t').makesTemporary).toBe(false)
    expect(
      ['begin', 'commit', 'rollback', 'savepoint a', 'drop table t', 'select 1'].map(
        (sql) => effects(sql).transaction,
      ),
    ).toEqual(['begin', 'commit', 'rollback', 'savepoint', 'implicit-commit', null])
  })
})

describe('passwords', () => {
  const secrets = (sql: string, context = MARIADB) =>
    secretsOf(one(sql, context), sql, context).map(({ start, end }) => sql.slice(start, end))

  test.each([
    ["create user 'u'@'h' identified by 'geheim'", ["'geheim'"]],
    ["create user u identified via ed25519 using 'geheim' or x as 'y'", ["'geheim'", "'y'"]],
    ["alter user u identified by 'a' replace 'b', v identified by 'c'", ["'a'", "'b'", "'c'"]],
    ["grant all on *.* to u identified by 'geheim' with max_queries_per_hour 5", ["'geheim'"]],
    ["set password for 'u'@'h' = password('geheim')", ["'geheim'"]],
    ["set password = 'geheim'", ["'geheim'"]],
    ["change master to master_user='u', master_password='geheim'", ["'geheim'"]],
    [
      "create server s foreign data wrapper mysql options (user 'u', password 'geheim')",
      ["'geheim'"],
    ],
    ["select aes_decrypt(a, 'geheim'), password('b'), 'c' from t", ["'geheim'", "'b'"]],
    ["start slave user = 'u' password = 'geheim'", ["'geheim'"]],
    ["select 'password' from t", []],
    ['prepare s from \'create user u identified by "x"\'', ['\'create user u identified by "x"\'']],
    ["create user u identified by 'geheim' what", ["'geheim'"]],
    ["create usr 'u' identified by 'geheim'", ["'u'", "'geheim'"]],
    ["create table t (a int) engine=federated connection='mysql://u:p@h/d'", ["'mysql://u:p@h/d'"]],
  ])('%s', (sql, expected) => {
    expect(secrets(sql)).toEqual(expected)
  })

  test('are not part of the fingerprint, other names are', () => {
    const print = (sql: string) => one(sql).fingerprint
    expect(print("create user u identified by 'a'")).toBe(print("create user u identified by 'b'"))
    expect(print("create user u identified by 'a'")).not.toBe(
      print("create user v identified by 'a'"),
    )
    expect(print("grant select on t to 'u'@'h'")).not.toBe(print("grant select on t to 'v'@'h'"))
  })
})

test('fingerprints are the same for what differs in values alone', () => {
  const print = (sql: string) => one(sql).fingerprint
  const same = [
    [
      'select a from t where b = 1',
      "SELECT  a FROM t WHERE b = 'x' -- c",
      'select a from t where b=-5',
    ],
    ['select a from t where b in (1)', 'select a from t where b in (1, 2, 3)'],
    ['insert into t values (1, 2)', "insert into t values (1, 'x'), (3, 4), (5, 6)"],
    ['select a from t where c = ?', 'select a from t where c = 0x1f'],
    ['select a from t limit 5', 'select a from t limit 6'],
  ]
  for (const [first, ...others] of same)
    for (const other of others) expect([other, print(other)]).toEqual([other, print(first!)])
  const all = same.map(([first]) => print(first!))
  expect(new Set(all).size).toBe(all.length)
  expect(print("select a from t into outfile 'x'")).not.toBe(
    print("select a from t into outfile 'y'"),
  )
})

test('breadth', () => {
  const breadth = (where: string) => one(`delete from t ${where}`).breadth['sql:delete']
  expect(breadth('')).toBe('all')
  expect(breadth('where 1 = 1')).toBe('all')
  expect(breadth('where id = id')).toBe('all')
  expect(breadth('where id is not null')).toBe('all')
  expect(breadth('where true or id = 5')).toBe('all')
  expect(breadth('where id = 5')).toBe('keyed')
  expect(breadth('where id in (1, 2)')).toBe('keyed')
  expect(breadth('where id = 5 and 1 = 1')).toBe('keyed')
  expect(breadth('where id > 5')).toBe('filtered')
  expect(breadth('where id in (select id from u where a = 5)')).toBe('filtered')
  expect(breadth('where id in (select id from u)')).toBe('filtered')
  expect(breadth('limit 5')).toBe('limited')
  expect(one('select a from t where a = 1 union select b from u').breadth['sql:select']).toBe('all')
  expect(one('update t set a = 1 where id = 5').breadth['sql:update']).toBe('keyed')
})

test('tables that show what is elsewhere', () => {
  for (const more of [
    "engine='CONNECT'",
    'engine=spider',
    "table_type=csv file_name='/etc/passwd'",
    "connection='mysql://u:p@h/d'",
    "data directory '/tmp'",
    'union=(u)',
  ])
    expect([more, one(`create table t (a int) ${more}`).understood]).toEqual([more, false])
  expect(one('select s.nextval', { ...MARIADB, sqlMode: 'ORACLE' }).understood).toBe(false)
})

test('columns and functions', () => {
  const { columns, objects } = one('select t.a, count(b), f(c) from t join u using (d) order by e')
  expect(columns.sort()).toEqual(['a', 'b', 'c', 'd', 'e'])
  expect(objects.filter(({ kind }) => kind === 'function')).toEqual([
    { kind: 'function', name: 'count', verb: 'sql:compute' },
    { kind: 'function', name: 'f', verb: 'sql:call' },
  ])
  expect(one('select * from t').columns).toEqual(['*'])
})

test('code left behind says its words', () => {
  const words = (sql: string) => one(sql).codeWords
  expect(words('create procedure p() select ssn from users')).toEqual(
    expect.arrayContaining(['ssn', 'users']),
  )
  expect(words("create event e on schedule every 1 day do execute immediate 'x'")).toContain('*')
  expect(words('select ssn from users')).toBeNull()
  expect(one('select f(1)').makesCode).toBe(true)
  expect(one('select sleep(1)').makesCode).toBe(false)
  expect(one('alter table t rename to u').renames).toBe(true)
  expect(one('alter table t add index (a)').renames).toBe(false)
})

describe('several statements', () => {
  const all = (sql: string) => analyse(sql, MARIADB).statements

  test('with their places', () => {
    const sql = "select ';' ; /* ; */ delete from t -- ;\n; ; update u set a = 1 ;"
    expect(all(sql).map(({ start, end }) => sql.slice(start, end))).toEqual([
      "select ';' ",
      ' /* ; */ delete from t -- ;\n',
      ' ; update u set a = 1 ;',
    ])
  })

  test('behind what may change how texts are read nothing is understood', () => {
    const understood = (sql: string) => all(sql).map((one) => one.understood)
    expect(understood("set sql_mode = 'ANSI_QUOTES'; select 1")).toEqual([true, false])
    expect(understood('set names gbk; select 1')).toEqual([true, false])
    expect(understood('execute s; select 1')).toEqual([true, false])
    expect(understood('select f(); select 1')).toEqual([true, false])
    expect(understood('what; select 1')).toEqual([false, false])
    expect(understood('set autocommit = 0; select 1')).toEqual([true, true])
  })

  test('behind another database columns are not known', () => {
    const [, behind] = all('use d; select a from t')
    expect(behind).toMatchObject({ understood: true, lineage: { form: null } })
  })

  test('too many', () => {
    const many = all('select 1;'.repeat(1500))
    expect(many).toHaveLength(1000)
    expect(many.at(-1)!.understood).toBe(false)
    expect(many.at(-1)!.end).toBe(9 * 1500)
  })
})

test('deep and large texts end', () => {
  const deep = (inner: string, times: number) =>
    `select ${'('.repeat(times)}${inner}${')'.repeat(times)}`
  expect(one(deep('1', 50)).understood).toBe(true)
  for (const sql of [
    deep('1', 100_000),
    deep('select 1', 100_000),
    `select ${'-'.repeat(100_000)}1`.replaceAll('--', '- -'),
    `select ${'not '.repeat(100_000)}1`,
    `select * from ${'('.repeat(100_000)}t`,
    `select ${'case when '.repeat(50_000)}`,
    `${'explain '.repeat(50_000)}select 1`,
  ])
    expect(analyse(sql, MARIADB).statements.length).toBeGreaterThan(0)
  const rows = `insert into t values ${'(1, 2),'.repeat(40_000)}(1, 2)`
  expect(one(rows).understood).toBe(true)
})

describe('kept analyses', () => {
  const analyser = () =>
    createAnalyser({ cacheEntriesMax: 100, cacheBytesMax: 1e6, parseBytesMax: 1e6 })

  test('serve statements that differ in values alone, and no others', () => {
    const { analyse } = analyser()
    const first = analyse("select a from t where b = 1 and c = 'x' limit 5", MARIADB).statements[0]!
    const again = analyse("select a from t where b = 22 and c = 'yy''' limit 6", MARIADB)
    expect(again.statements[0]!.lineage).toBe(first.lineage)
    expect(again.statements[0]!.end).toBe(51)
    const other = analyse("select a from t where b = 1 and c = 'x' limit 5", {
      ...MARIADB,
      sqlMode: 'ANSI_QUOTES',
    })
    expect(other.statements[0]!.lineage).not.toBe(first.lineage)
  })

  test('what a literal names is part of the key', () => {
    const { analyse } = analyser()
    for (const [a, b] of [
      ["select a from t into outfile '/x'", "select a from t into outfile '/y'"],
      ["select a 'x' from t", "select a 'y' from t"],
      ["select a as 'x' from t", "select a as 'y' from t"],
      ["prepare s from 'drop table t'", "prepare s from 'select 1'"],
      ["set sql_mode = ''", "set sql_mode = 'ANSI'"],
      ['select a from t1', 'select a from t2'],
      ['select t.1 from t', 'select t.2 from t'],
    ] as const) {
      const [x, y] = [a, b].map((sql) => analyse(sql, MARIADB).statements[0]!)
      expect([a, y!.lineage === x!.lineage]).toEqual([a, false])
    }
  })

  test('a mark of ours in a text is no literal', () => {
    const { analyse } = analyser()
    expect(analyse('select 1 from t', MARIADB).statements[0]!.understood).toBe(true)
    expect(analyse('select \u0001 from t', MARIADB).statements[0]!.understood).toBe(false)
    expect(analyse('select \u0002 from t', MARIADB).statements[0]!.understood).toBe(false)
  })

  test('bounds', () => {
    const small = createAnalyser({ cacheEntriesMax: 1, cacheBytesMax: 1, parseBytesMax: 20 })
    expect(small.analyse('select a from t where b = 1', MARIADB).statements[0]).toEqual({
      ...unanalysed('longer than 20 bytes'),
      end: 27,
    })
    for (const sql of ['select 1', 'select a', 'select b', 'select a'])
      expect(small.analyse(sql, MARIADB).statements[0]!.understood).toBe(true)
  })
})

test('settings from elsewhere', () => {
  expect(settingAnalysis('Character_Set_Client', 'gbk')).toMatchObject({
    verbs: ['sql:set'],
    understood: true,
    objects: [{ kind: 'setting', name: 'character_set_client' }],
    effects: { settings: [{ scope: 'session', name: 'character_set_client', value: 'gbk' }] },
  })
  expect(settingAnalysis('database', 'd').effects.database).toBe('d')
  expect(settingAnalysis('x;y', '1').understood).toBe(false)
})

test('texts made to be slow are not', () => {
  const many = 20_000
  const texts = [
    '#\n'.repeat(many),
    '/* */'.repeat(many),
    '/*!99999 */'.repeat(many),
    `select ${"aes_encrypt('a', 'b'), ".repeat(many / 4)}1`,
    `select 1 where ${'a = a and '.repeat(many / 4)}1`,
    `${'('.repeat(299)}select 1${')'.repeat(299)}`,
    `select ${'(select 1) + '.repeat(many / 4)}1`,
    'select 1;'.repeat(many),
    `if 1 then ${'begin '.repeat(many)}`,
    `'${'\\\\'.repeat(many)}`,
    `select ${'`a'.repeat(many)}`,
  ]
  // Linear in the text: each of these takes minutes where it isn't.
  for (const text of texts) expect(analyse(text, MARIADB).statements.length).toBeGreaterThan(0)
})

test('every action that a statement may be found to do is one that policies know', () => {
  const vocabulary = readFileSync(join(__dirname, '../../policy/vocabulary.cedarschema'), 'utf8')
  const verbs = new Set(
    corpus.flatMap(([sql]) =>
      analyse(sql, MARIADB).statements.flatMap((one) => [
        ...one.verbs,
        ...one.objects.map(({ verb }) => verb),
      ]),
    ),
  )
  for (const file of ['facts', 'parse-statements', 'parse-definitions', 'statements'])
    for (const [, verb] of readFileSync(join(__dirname, `${file}.ts`), 'utf8').matchAll(
      /'(sql:[a-z-]+)'/g,
    ))
      verbs.add(verb!)
  // Named beside a function that only computes; no action.
  verbs.delete('sql:compute')
  expect(verbs.size).toBeGreaterThan(25)
  expect([...verbs].filter((verb) => !vocabulary.includes(`"${verb}"`))).toEqual([])
})

test.each([
  'create table copied as table customers',
  'create table copied (id int) table customers',
])('%s: at MySQL it reads what it copies', (sql) => {
  const { statements } = createAnalyser({
    ...{ cacheEntriesMax: 10, cacheBytesMax: 1e6, parseBytesMax: 1e6 },
  }).analyse(sql, {
    ...{ server: 'mysql', serverVersion: 90_704, multiStatements: false },
    ...{ sqlMode: '', characterSet: 'utf8mb4' },
  })
  expect(statements[0]).toMatchObject({
    verbs: ['sql:create', 'sql:select'],
    lineage: { form: { is: 'into' } },
  })
  expect(statements[0]!.objects).toContainEqual(
    expect.objectContaining({ name: 'customers', verb: 'sql:select' }),
  )
})

test.each([
  ['set resource group fast', 'sql:set'],
  ['set resource group fast for 5, 6', 'sql:alter'],
])('%s', (sql, verb) => {
  const { statements } = createAnalyser({
    ...{ cacheEntriesMax: 10, cacheBytesMax: 1e6, parseBytesMax: 1e6 },
  }).analyse(sql, {
    ...{ server: 'mysql', serverVersion: 90_704, multiStatements: false },
    ...{ sqlMode: '', characterSet: 'utf8mb4' },
  })
  expect(statements[0]).toMatchObject({ verbs: [verb], understood: true })
  expect(statements[0]!.objects).toEqual([
    expect.objectContaining({ kind: 'resource-group', name: 'fast', verb }),
  ])
})
