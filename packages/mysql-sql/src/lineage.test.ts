/** From which columns outputs derive, by rules for names that are held against a real server in the oracle test. */
import {
  createResolver,
  type Provenance,
  type RelationFacts,
  type Relations,
  type Resolved,
} from './provenance'
import { analyse, type SqlContext, unanalysed } from './statements'

const CONTEXT: SqlContext = {
  sqlMode: '',
  server: 'mariadb',
  serverVersion: 101119,
  multiStatements: true,
}
const lineage = (sql: string, context = CONTEXT) => analyse(sql, context).statements[0]!.lineage

const view = (name: string, columns: string[], sql: string): RelationFacts => ({
  schema: 'd',
  name,
  columns,
  definition: lineage(sql),
})
const table = (name: string, columns: string[], schema = 'd'): RelationFacts => ({
  schema,
  name,
  columns,
  definition: null,
})
const FACTS: RelationFacts[] = [
  table('u', ['id', 'name', 'ssn']),
  table('o', ['id', 'user_id', 'total']),
  table('x', ['id', 'ssn'], 'e'),
  { ...table('h', ['a']), invisible: ['hidden'] },
  view('v', ['n', 's'], 'select d.u.name as n, concat(d.u.ssn) as s from d.u where d.u.id > 5'),
  view('vv', ['s'], 'select d.v.s from d.v'),
  view('loop', ['a'], 'select d.loop.a from d.loop'),
  view('odd', ['a', 'b'], 'select d.u.id from d.u'),
]
const relations: Relations = {
  server: 'mariadb',
  serverVersion: 101119,
  find: (schema, name) =>
    FACTS.filter((one) => one.schema === (schema ?? 'd') && one.name === name),
  isTrustedFunction: (name) => name === 'd.trusted',
}

const show = ({ sources, exact, unknown }: Provenance) => {
  const names = sources.map(({ relation, column }) => `${relation}.${column}`).sort()
  return `${names.join('+')}${exact ? '!' : ''}${unknown === null ? '' : '?'}`
}
const resolve = (sql: string, more: Partial<Relations> = {}): Resolved =>
  createResolver({ ...relations, ...more }).statement(lineage(sql))
const outputs = (sql: string) => {
  const resolved = resolve(sql)
  return resolved.outputs?.map(show).join(' ') ?? `whole ${show(resolved.whole)}`
}
const flows = (sql: string) =>
  resolve(sql).flows.map(
    ({ to, from }) =>
      `${[to.relation, to.column].filter(Boolean).join('.')} ${to.via}: ${show(from)}`,
  )

test.each([
  ['select * from u', 'u.id! u.name! u.ssn!'],
  ['select U.SSN, Name from u', 'u.ssn! u.name!'],
  ['select d.u.ssn from d.u', 'u.ssn!'],
  ['select e.x.ssn, u.ssn from u join e.x on x.id = u.id', 'x.ssn! u.ssn!'],
  ['select upper(ssn), 1, null, @@version, ssn is null from u', 'u.ssn    '],
  [
    'select cast(ssn as char), convert(ssn using utf8mb4), cast(ssn as char(3)), binary ssn from u',
    'u.ssn! u.ssn! u.ssn u.ssn!',
  ],
  [
    'select a.*, b.total from u a left join o b on a.id = b.user_id',
    'u.id! u.name! u.ssn! o.total!',
  ],
  ['select * from u join o using (id)', 'o.id+u.id! u.name! u.ssn! o.user_id! o.total!'],
  ['select * from u natural join o', 'o.id+u.id! u.name! u.ssn! o.user_id! o.total!'],
  ['select * from u right join o using (id)', 'whole o.id+o.total+o.user_id+u.id+u.name+u.ssn'],
  ['select s.x from (select ssn as x from u) s', 'u.ssn!'],
  ['select x from (select ssn from u) s (x)', 'u.ssn!'],
  ['with c (a, b) as (select ssn, id from u) select b, a from c', 'u.id! u.ssn!'],
  ['with u as (select id from o) select * from u', 'o.id!'],
  [
    'with recursive c as (select ssn as x, 1 as n from u union all select x, n + 1 from c) select * from c',
    'u.ssn! ',
  ],
  [
    'with recursive c as (select id, ssn from u union all select ssn, id from c) select * from c',
    'u.id+u.ssn! u.id+u.ssn!',
  ],
  ['select ssn from u union select total from o', 'o.total+u.ssn!'],
  ['select id, ssn from u union select total from o', 'whole o.total+u.id+u.ssn'],
  ['select (select max(ssn) from u where u.id = o.user_id) as x, (select x) from o', 'u.ssn u.ssn'],
  ['select (select o.total) from o', 'o.total!'],
  ['select exists (select ssn from u), ssn in (select ssn from u) from u', ' u.ssn'],
  ['select case ssn when 5 then name else 1 end from u', 'u.name+u.ssn'],
  ['select if(ssn > 5, 1, 2), ssn = 5, ssn like 1 from u', 'u.ssn u.ssn u.ssn'],
  [
    'select count(*), count(ssn), count(distinct ssn), max(ssn), group_concat(ssn order by name) from u',
    '   u.ssn u.ssn',
  ],
  ['select row_number() over (order by ssn), lag(ssn) over (order by id) from u', ' u.ssn'],
  ['select f(1), d.f(ssn), d.trusted(ssn) from u', '? u.ssn? u.ssn'],
  ['select load_file(name), sleep(ssn), now(), uuid() from u', 'u.name?   '],
  ['select nosuch from u', '?'],
  ['select * from nosuch', 'whole ?'],
  ['select ssn from nosuch, u', 'u.ssn!'],
  ['select * from v', 'u.name! u.ssn'],
  ['select * from vv', 'u.ssn'],
  ['select * from `loop`', '?'],
  ['select * from odd', 'u.id? u.id?'],
  ['select *, hidden from h', 'h.a! h.hidden!'],
  ['select @a, @b := ssn from u', '? u.ssn!'],
  [
    'select j.* from u, json_table(u.ssn, "$" columns (a int path "$", b for ordinality)) j',
    'u.ssn u.ssn',
  ],
  ['select ssn from u where id = 1 for update', 'u.ssn!'],
  ['table u', 'whole ?'],
  ['values (1, 2)', ' '],
  ['select * from (values (1, 2)) a', ' '],
  ['select table_name from information_schema.tables', ''],
  ['select info from information_schema.processlist', '?'],
  ['select authentication_string from mysql.user', '?'],
  ['insert into o (total) values (1) returning total', 'o.total!'],
  ['delete from u where id = 5 returning ssn', 'u.ssn!'],
  ['explain select ssn from u', 'whole '],
  ['explain format=json select ssn from u', 'whole ?'],
  ['analyze format=json select ssn from u', 'whole ?'],
  ['show warnings', 'whole ?'],
  ['show tables', 'whole '],
  ['handler u read first', 'whole ?'],
  ['handler u open', 'u.id! u.name! u.ssn!'],
  ['call p()', 'whole ?'],
  ['do ssn', ''],
])('%s', (sql, expected) => {
  expect(outputs(sql)).toBe(expected)
})

test.each([
  [
    'insert into o select id, name, ssn from u',
    ['o.id insert: u.id!', 'o.user_id insert: u.name!', 'o.total insert: u.ssn!'],
  ],
  ['insert into o (total) select ssn from u', ['o.total insert: u.ssn!']],
  ['insert into o select * from nosuch', ['o insert: ?']],
  ['insert into o (id) values ((select ssn from u limit 1))', ['o.id insert: u.ssn!']],
  ['insert into o set total = (select max(ssn) from u)', ['o.total insert: u.ssn']],
  ['replace into o (total) select ssn from u', ['o.total replace: u.ssn!']],
  [
    'insert into u (name) values (1) on duplicate key update name = concat(ssn)',
    ['u.name on duplicate key: u.ssn'],
  ],
  [
    'insert into o (id, total) select id, ssn from u on duplicate key update user_id = values(total), total = u.ssn',
    [
      'o.id insert: u.id!',
      'o.total insert: u.ssn!',
      'o.user_id on duplicate key: u.ssn',
      'o.total on duplicate key: u.ssn!',
    ],
  ],
  ['update u set name = ssn', ['u.name update: u.ssn!']],
  ['update u, o set total = ssn where o.user_id = u.id', ['o.total update: u.ssn!']],
  ['update u a join o b on a.id = b.user_id set b.total = a.ssn', ['o.total update: u.ssn!']],
  ['create table n as select ssn as q, 1 from u', ['n.q create table: u.ssn!']],
  ['set @x = (select ssn from u limit 1)', ['@x variable: u.ssn!']],
  ['select @x := ssn from u', ['@x variable: u.ssn!']],
  ['select ssn, 1 into @x, @y from u', ['@x variable: u.ssn!']],
  ['set @@session.timestamp = (select ssn from u)', ['timestamp setting: u.ssn!']],
  ["select ssn from u into outfile '/tmp/x'", ['into outfile: u.ssn!']],
  ['select last_insert_id(ssn) from u', ['last_insert_id: u.ssn']],
  ['select f(ssn) from u', ['function f: u.ssn']],
  ['select get_lock(ssn, 0) from u', ['function get_lock: u.ssn']],
  ['call p((select ssn from u))', ['procedure: u.ssn!']],
  ['explain insert into o (total) select ssn from u', []],
  ['create view w as select ssn from u', []],
  ['select ssn from u', []],
  ["load data local infile 'x' into table o (id, @a) set total = @a", ['o.total load data: ?']],
])('what goes where: %s', (sql, expected) => {
  expect(flows(sql).map((one) => one.trim())).toEqual(expected)
})

test('what rows are chosen by', () => {
  const predicates = (sql: string) => show(resolve(sql).predicates)
  expect(predicates('select id from u where ssn = 1')).toBe('u.ssn')
  expect(predicates('select id from u order by ssn')).toBe('u.ssn')
  expect(predicates('select ssn as x from u order by x')).toBe('u.ssn')
  expect(predicates('select ssn from u order by 1')).toBe('u.ssn')
  expect(predicates('select ssn as x from u having x > 1')).toBe('u.ssn')
  expect(predicates('select distinct ssn from u')).toBe('u.ssn')
  expect(predicates('select o.id from o join u on u.ssn = o.total')).toBe('o.total+u.ssn')
  expect(predicates('select n from v')).toBe('u.id')
  expect(predicates('select id from u union select id from o')).toBe('o.id+u.id')
  expect(predicates('delete from u where ssn = 1')).toBe('u.ssn')
  expect(predicates('update u set id = 1 where ssn = 1')).toBe('u.ssn')
  expect(predicates('select id from u')).toBe('')
})

test('literals and parameters, by what they meet', () => {
  const met = (sql: string) => {
    const { constants, parameters } = resolve(sql)
    return [
      ...constants.map(
        ({ ordinal, to, secret }) => `${ordinal} ${show(to)}${secret ? ' secret' : ''}`,
      ),
      ...parameters.map(({ number, to }) => `$${number} ${show(to)}`),
    ]
  }
  expect(met('select 1 from u where ssn = 2 and id in (3, 4) limit 5')).toEqual([
    '1 u.ssn',
    '2 u.id',
    '3 u.id',
  ])
  expect(met('select a from u where ssn = ? and name = ?')).toEqual(['$1 u.ssn', '$2 u.name'])
  expect(met("insert into u (id, ssn) values (1, 'x'), (2, 'y')")).toEqual([
    '0 u.id',
    '1 u.ssn',
    '2 u.id',
    '3 u.ssn',
  ])
  expect(met("update u set ssn = concat('a', 'b') where id = 5")).toEqual([
    '0 u.ssn',
    '1 u.ssn',
    '2 u.id',
  ])
  expect(met("prepare s from 'select id from u where ssn = 5'")).toEqual(['0 u.ssn'])
  expect(met("select aes_encrypt(ssn, 'key') from u")).toEqual(['0 u.ssn secret'])
  expect(met('call p(1)')).toEqual(['0 ?'])
  expect(met("select f('x')")).toEqual(['0 ?'])
})

test('what it reads, makes and defers to', () => {
  expect([...resolve('select * from vv join e.x join nosuch').reads].sort()).toEqual([
    'd.u',
    'd.v',
    'd.vv',
    'e.x',
    'nosuch',
  ])
  expect(resolve('handler u open as H').makes).toEqual({ kind: 'cursor', name: 'h' })
  expect(resolve('handler H read next').defers).toEqual({ kind: 'cursor', name: 'h' })
  expect(resolve("prepare S from 'select ssn from u'")).toMatchObject({
    makes: { kind: 'prepared', name: 's' },
    outputs: [{ sources: [{ column: 'ssn' }] }],
  })
  expect(resolve('execute S').defers).toEqual({ kind: 'prepared', name: 's' })
  expect(resolve('call p()').code).toBe('a procedure')
  expect(resolve('select 1').code).toBeNull()
})

test('variables that somebody keeps', () => {
  const source = { schema: 'd', relation: 'u', column: 'ssn' }
  const variable = (name: string) =>
    name === 'a' ? { sources: [source], exact: true, unknown: null } : null
  expect(resolve('select @a, @b', { variable }).outputs!.map(show)).toEqual(['u.ssn!', '?'])
  let held: Provenance = { sources: [source], exact: true, unknown: null }
  const resolver = createResolver({ ...relations, variable: () => held })
  const of = lineage('select @a')
  expect(resolver.statement(of).outputs!.map(show)).toEqual(['u.ssn!'])
  held = { sources: [], exact: false, unknown: null }
  expect(resolver.statement(of).outputs!.map(show)).toEqual([''])
})

test('what is not understood is unknown, and so is what is too much', () => {
  const resolver = createResolver(relations)
  expect(resolver.statement(unanalysed('why').lineage)).toMatchObject({
    outputs: null,
    unresolved: 'why',
    code: 'why',
  })
  const many = `select ${Array.from({ length: 3000 }, () => 'ssn').join(' + ')} from u`
  expect(show(resolver.statement(lineage(many)).whole)).toMatch(/^(u\.ssn|\?)$/)
  const bombs = Array.from(
    { length: 12 },
    (_, i) => `c${i + 1} as (select a.* from c${i} a join c${i} b)`,
  )
  const bomb = lineage(`with c0 as (select * from u), ${bombs.join(', ')} select * from c12`)
  expect(resolver.statement(bomb).outputs?.length ?? 3).toBe(3)
})

test('of a column by itself', () => {
  const resolver = createResolver(relations)
  expect(show(resolver.column(FACTS[0]!, 'SSN'))).toBe('u.ssn!')
  expect(show(resolver.column(FACTS[4]!, 's'))).toBe('u.ssn')
  expect(show(resolver.column(FACTS[0]!, 'nosuch'))).toBe('?')
})
