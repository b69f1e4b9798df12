/**
 * Lineage against PostgreSQL itself: every column of the fixture holds values that nothing else looks like, so that what comes
 * out of a query shows which columns it came from. Lineage has to name them, or say that it does not know.
 */
import { type PostgresServer, startPostgres } from '@custody/test-support'
import fc from 'fast-check'
import type { Client } from 'pg'
import { createResolver, type Provenance, type RelationFacts, type Relations } from './provenance'
import { analyse, loadParser } from './statements'

/** Column → the two characters that its values alternate; a part of three shows them, however turned. */
const MARKS: Record<string, string> = {
  'customers.name': 'kq',
  'customers.email': 'zx',
  'customers.country': 'wv',
  'customers.secret_no': '71',
  'customers.tags': 'jb',
  'customers.data': 'hf',
  'customers.addr': 'gy',
  'orders.note': 'mc',
  'orders.total': '83',
  'orders.country': 'pd',
  'notes.body': 'lr',
  'notes.author': 'nu',
}
const marked = (column: string, length = 8) => MARKS[column]!.repeat(length)
const SHOWN = Object.entries(MARKS).map(([column, mark]) => {
  const [a, b] = [mark[0]!, mark[1]!]
  // Numbers of other things have few digits alike.
  const pattern = /\d/.test(a)
    ? new RegExp(`(${a}${b}){3}`)
    : new RegExp(`${a}${b}${a}|${b}${a}${b}`, 'i')
  return { column, pattern }
})
const shownIn = (text: string) =>
  SHOWN.filter(({ pattern }) => pattern.test(text)).map(({ column }) => column)

const FIXTURE = `
create type address as (street text, zip text);
create table customers (id int primary key, name text, email varchar(40), country text, secret_no bigint, tags text[],
  data jsonb, addr address);
create table orders (id int primary key, customer_id int, note text, total numeric, country text);
create table notes (id int, body text, author text);
insert into customers select i, '${marked('customers.name')}' || i, '${marked('customers.email')}' || i,
  '${marked('customers.country')}', ${marked('customers.secret_no', 4)}, array['${marked('customers.tags')}', 'x'],
  '{"k": "${marked('customers.data')}", "l": [{"m": "${marked('customers.data')}"}]}',
  row('${marked('customers.addr')}', '${marked('customers.addr')}')::address from generate_series(1, 3) i;
insert into orders select i, i, '${marked('orders.note')}' || i, ${marked('orders.total', 4)}, '${marked('orders.country')}'
  from generate_series(1, 3) i;
insert into notes select i, '${marked('notes.body')}', '${marked('notes.author')}' from generate_series(1, 3) i;
create view v_plain as select id, upper(email) as e, name from customers;
create view v_join as select c.email, o.* from customers c join orders o on o.customer_id = c.id;
create view v_union (id, t) as select id, note from orders union all select id, body from notes;
create view v_nested as select v.e || p.t as pair, v.name from v_plain v join v_union p using (id);
create view v_cte as with x as (select email, row_number() over (order by name) as n from customers) select * from x;
create materialized view m_tags as select unnest(tags) as tag, count(*) as n from customers group by 1;
create recursive view v_tree (id, path) as select id, email::text from customers where id = 1
  union all select c.id, t.path || c.name from v_tree t join customers c on c.id = t.id + 1;
create view v_row as select c from customers c;
create view v_function as select k.key, k.value from customers c, jsonb_each_text(c.data) k;
`

let server: PostgresServer
let client: Client
let relations: Relations
const facts = new Map<number, RelationFacts>()

beforeAll(async () => {
  await loadParser()
  server = await startPostgres()
  client = await server.connect()
  await client.query(FIXTURE)
  const { rows } = await client.query(`select c.oid, n.nspname, c.relname,
    array_agg(a.attname::text order by a.attnum) as columns,
    case when c.relkind in ('v', 'm') then pg_get_viewdef(c.oid) end as definition
    from pg_class c join pg_namespace n on n.oid = c.relnamespace join pg_attribute a on a.attrelid = c.oid
    where c.relkind in ('r', 'v', 'm') and n.nspname = 'public' and a.attnum > 0 and not a.attisdropped
    group by c.oid, n.nspname, c.relname, c.relkind`)
  const all: RelationFacts[] = rows.map((row) => {
    const one: RelationFacts = {
      schema: row.nspname,
      name: row.relname,
      columns: row.columns,
      definition: row.definition ? analyse(row.definition).statements[0]!.lineage : null,
    }
    facts.set(Number(row.oid), one)
    return one
  })
  relations = {
    find: (schema, name) =>
      all.filter((one) => one.name === name && (schema === null || one.schema === schema)),
    isOwnFunction: () => false,
    isOwnOperator: () => false,
    isOwnType: (name) => name === 'address',
    isTrustedFunction: () => false,
  }
})
afterAll(async () => {
  await client?.end()
  await server?.stop()
})

const names = (one: Provenance) =>
  new Set(one.sources.map(({ relation, column }) => `${relation}.${column}`))
const rowsSeen = { origins: 0, originsUnknown: 0, outputs: 0, outputsUnknown: 0 }

/** What is wrong with the lineage of a query, by what the query gives. */
async function wrong(sql: string): Promise<string[]> {
  const { rows, fields } = await client.query({ text: sql, rowMode: 'array' })
  const resolver = createResolver(relations)
  const { statements } = analyse(sql)
  const resolved = resolver.statement(statements[0]!.lineage)
  const problems: string[] = []
  if (resolved.outputs !== null && resolved.outputs.length !== fields.length)
    problems.push(`${resolved.outputs.length} outputs, not ${fields.length}`)
  const whole = names(resolved.whole)
  for (const [i, field] of fields.entries()) {
    const output =
      resolved.outputs?.length === fields.length ? resolved.outputs[i]! : resolved.whole
    const named = names(output)
    rowsSeen.outputs++
    if (output.unknown !== null) rowsSeen.outputsUnknown++
    for (const column of resolved.whole.unknown === null ? named : [])
      if (!whole.has(column)) problems.push(`${field.name}: ${column} is not in the whole`)
    const shown = new Set((rows as unknown[][]).flatMap((row) => shownIn(text(row[i]))))
    for (const column of shown)
      if (!named.has(column) && output.unknown === null)
        problems.push(`${field.name}: shows ${column}, named ${[...named].join(' ')}`)
    const origin = facts.get(field.tableID)
    if (origin === undefined) continue
    rowsSeen.origins++
    if (output.unknown !== null) {
      rowsSeen.originsUnknown++
      continue
    }
    const column = resolver.column(origin, origin.columns[field.columnID - 1]!)
    for (const one of names(column))
      if (!named.has(one)) problems.push(`${field.name}: is ${one}, named ${[...named].join(' ')}`)
    // What a change writes to a column may be made of others.
    const alone = named.size === names(column).size
    if (column.exact && resolved.outputs !== null && alone && !output.exact)
      problems.push(`${field.name}: is exact`)
  }
  return problems
}

function text(value: unknown): string {
  return typeof value === 'string' ? value : (JSON.stringify(value) ?? '')
}

const QUERIES = `
select * from customers
select c.* from customers c
select customers.*, orders.note from customers, orders
select public.customers.email from customers
select public.customers.email from public.customers
select email as id, id as email from customers
select x.a, x.b from (select email, name from customers) x(a, b)
select a from customers c(a, b, d)
select d from customers c(a, b, d)
select email from customers c(a, b, email)
select c from customers c
select (c).email, (c).addr from customers c
select (c).* from customers c
select (addr).street from customers
select (c.addr).zip, ((c).addr).street from customers c
select ((c).addr).* from customers c
select row(c.*) from customers c
select row(c.email, 1) from customers c
select to_jsonb(c) from customers c
select row_to_json(x) from (select email, 1 as one from customers) x
select array_agg(c) from customers c
select json_agg(x) from (select name from customers) x
select email from customers c where exists (select 1 from orders o where o.customer_id = c.id)
select (select email from customers where id = 1), 'x'
select (select o.note from orders o where o.customer_id = c.id) from customers c
select (select c.email) from customers c
select (select email) from customers c, (select 1 as one) x
select array(select email from customers)
select 'x' = any (select email from customers), 'x' in (select name from customers)
select case when id = 1 then email else name end from customers
select case email when 'x' then 1 else 2 end, coalesce(null, email), nullif(name, 'x'), greatest(email, name) from customers
select upper(email), reverse(name), substring(country from 3 for 5), left(email, 4), email || name from customers
select concat(email, 1), format('%s-%s', name, country), replace(email, 'q', 'r'), translate(email, 'a', 'b') from customers
select secret_no + 0, secret_no::text, -secret_no, to_char(total, '999999999') from customers join orders using (id)
select tags[1], tags[1:2], tags || 'y'::text, array_to_string(tags, ','), unnest(tags) from customers
select data->>'k', data->'l', data#>>'{l,0,m}', data['k'], jsonb_path_query(data, '$.l[*].m') from customers
select count(*), count(email), count(distinct name) from customers
select max(email), min(name), string_agg(country, ',' order by name), array_agg(email order by id desc) from customers
select string_agg(distinct email, ','), jsonb_object_agg(id, name), bool_or(email = 'x') from customers
select percentile_disc(0.5) within group (order by email), mode() within group (order by name) from customers
select rank() over (order by email), row_number() over (), first_value(email) over w, lag(name) over w from customers window w as (partition by country order by id)
select lead(email, 1, name) over (order by id), nth_value(name, 2) over (order by id), ntile(2) over (order by email) from customers
select email, count(*) from customers group by email having count(*) > 0 order by 2 limit 5 offset 0
select country, name, grouping(country, name), count(*) from customers group by grouping sets ((country), (name), ())
select country, name from customers group by rollup (country, name)
select distinct email, name from customers
select distinct on (country) email from customers order by country, id
select * from customers join orders using (id)
select id, country from customers join orders using (id, country)
select * from customers natural join orders
select * from customers left join orders using (id, country)
select * from customers right join orders using (id, country)
select country from customers full join orders using (id, country)
select c.country, o.country from customers c full join orders o using (id, country)
select j.country, j.note from (customers join orders using (id, country)) j
select x.id, j.* from (customers join orders using (id) as x) as j(id, a, b) cross join (select 1 as id) as x
select x.* from customers join orders using (id, country) as x
select * from customers c cross join lateral (select o.note, c.email as e from orders o where o.customer_id = c.id) l
select * from customers c left join lateral (select email || note as en from orders where customer_id = c.id) l on true
select * from customers c, lateral unnest(c.tags) t
select t, u from customers c, unnest(c.tags) t, upper(c.email) u
select t.* from customers c, lateral unnest(c.tags) with ordinality as t(tag, n)
select tag, n from customers c, lateral unnest(c.tags) with ordinality as t(tag, n)
select ordinality, t from customers c, lateral unnest(c.tags) with ordinality t
select * from customers c, jsonb_each(c.data)
select key, value from customers c, jsonb_each_text(c.data)
select x.key, x.value from customers c, jsonb_each_text(c.data) x
select j.* from customers c, jsonb_array_elements(c.data->'l') j
select value, j.value from customers c, jsonb_array_elements(c.data->'l') j
select r.* from customers c, jsonb_to_record(c.data) as r(k text, l jsonb)
select r.k from customers c, jsonb_to_record(c.data) r(k text)
select r.* from customers c, jsonb_to_recordset(c.data->'l') r(m text)
select * from jsonb_populate_record(null::orders, '{"note": "x"}')
select r.note from customers c, jsonb_populate_record(null::orders, jsonb_build_object('note', c.email)) r
select * from generate_series(1, 3) g, customers
select g, name from generate_series(1, 3) g join customers on id = g
select * from rows from (generate_series(1, 2), unnest(array[1, 2])) as r(a, b)
select * from customers c, rows from (unnest(c.tags), unnest(array[1])) as r(a, b)
select a, b from customers c, rows from (unnest(c.tags), unnest(array[1])) as r(a, b)
select * from regexp_split_to_table('a,b', ',') r
select m from customers c, regexp_matches(c.email, '(...)') m
select s.s from customers c, string_to_table(c.email, '9') s
select * from xmltable('/a/b' passing (select xmlelement(name a, xmlelement(name b, email)) from customers where id = 1) columns v text path '.', o for ordinality)
select x.v, x.o from customers c, xmltable('/a' passing xmlelement(name a, c.email) columns v text path '.', o for ordinality) x
select xmlelement(name foo, xmlattributes(email as e), name), xmlforest(country), xmlconcat(xmlcomment('x')), xmlserialize(content xmlelement(name a, email) as text) from customers
select xpath('//a/text()', xmlelement(name a, email)) from customers
select email from customers union select name from customers
select id, email from customers union all select id, note from orders union all select 1, 'x'
select email from customers intersect select email from customers
select name from customers except select note from orders
(select email from customers order by name limit 1) union all (select body from notes limit 1) order by 1
select * from (values (1, 'x'), (2, 'y')) v(a, b)
values (1, (select email from customers limit 1)), (2, 'z')
select v.column1, v.column2 from customers c cross join lateral (values (c.email, 1), (c.name, 2)) v
table customers
select * from (table customers) x
with x as (select email from customers) select * from x
with x(a) as (select email from customers), y as (select a || 'z' as b from x) select b, a from x, y
with customers as (select 1 as email) select email from customers
with x as (select * from customers) select x.email, y.name from x join x y using (id)
with x as (with y as (select email from customers) select * from y) select * from x
with x as materialized (select email as name from customers) select name from x
with recursive r(n, t) as (select 1, email::text from customers where id = 1 union all select n + 1, t || 'x' from r where n < 3) select * from r
with recursive r(a, b, c) as (select email::text, name, country from customers union select b, c, a from r) select * from r
with recursive r as (select 1 as n union all select n + 1 from r where n < 3) select n, (select name from customers where id = n) from r
with recursive a as (select * from b), b as (select email from customers) select * from a
with recursive r(id, t) as (select 1, 'x'::text union all select r.id + 1, c.email from r join customers c on c.id = r.id) search depth first by id set o select * from r
with recursive r(id, t) as (select 1, 'x'::text union all select r.id + 1, c.name from r join customers c on c.id = r.id) cycle t set is_cycle using path select * from r
select * from v_plain
select * from v_join
select * from v_union
select * from v_nested
select pair from v_nested v
select * from v_cte
select * from m_tags
select * from v_tree
select * from v_row
select (c).email from v_row
select * from v_function
select v.e, p.t from v_plain v, v_union p
select x.e from (select v.* from v_plain v) x
select email from (select email, row_number() over (order by name) as n from customers) x where n = 1
select ctid, xmin, tableoid::regclass from customers
select tableoid, email from customers
select email::text, email::varchar(3), name::name, secret_no::numeric, id::text from customers
select email collate "C" from customers
select "email" from "customers" as "C" where "C"."id" = 1
select EMAIL, Customers.NAME from CUSTOMERS
select relname from pg_class where relname = 'customers'
select c.relname, a.attname from pg_class c join pg_attribute a on a.attrelid = c.oid where c.relname = 'orders'
select * from pg_namespace
select most_common_vals from pg_stats where tablename = 'customers'
select column_name from information_schema.columns where table_name = 'customers'
select (select attname from pg_attribute where attrelid = 'customers'::regclass and attnum = c.id) from customers c
select (select email from pg_class limit 1) from customers
select now(), current_date, version(), current_user, random() < 2, pg_backend_pid() > 0
select pg_typeof(email), email is null, email is not null, pg_column_size(email) from customers
select email ~ 'x', email like 'z%', email = name, name in ('a', email), id between 1 and 2 from customers
select (email, name) = ('a', 'b'), (select (email, name) = ('a', 'b')) from customers
select (select max(e) from (select c.email as e) x) from customers c
select (select string_agg(note, c.name) from orders) from customers c
select o.note from customers c tablesample system (100), orders o
select email from only customers
select sum(secret_no), avg(total), max(secret_no) filter (where email = 'x') from customers join orders using (id)
select json_build_object('e', email), jsonb_build_array(name, country), to_json(tags), array_to_json(tags) from customers
select ts_headline(email, to_tsquery('x')), to_tsvector('simple', name) from customers
select encode(convert_to(email, 'UTF8'), 'escape'), quote_literal(name), initcap(country), lpad(email, 60, 'x') from customers
select split_part(email, '1', 1), regexp_replace(name, '1', ''), overlay(country placing 'x' from 1 for 1), rtrim(email, '1') from customers
select e from (select email as e from customers order by name) x order by e fetch first 2 rows only
select name from (select name, id from customers) c where c.id = 1
select text(email), name(name) from customers
select c.name from customers c
select customers from customers
select x from (select email from customers) x
select x.* from (select (c).* from customers c) x
select email from (select c.* from customers c join orders o on true) x
select a.email, b.email from customers a, customers b where a.id < b.id
select "?column?" from (select email || '' from customers) x
select upper, lower from (select upper(email), lower(name) from customers) x
select "case" from (select case when true then email else 'x' end from customers) x
select coalesce, "array", "row" from (select coalesce(email, 'x'), array[name], row(country) from customers) x
select int4, text from (select 1::int4, email::text || '' from customers) x(int4, text)
select text from (select (email || '')::text from customers) x
select email from (select email::text from customers) x
select bool from (select true::bool, email from customers) x
select exists from (select exists (select 1), email from customers) x
select note from (select (select note from orders limit 1), email from customers) x
select max from (select max(email), min(name) from customers) x
select column1 from (select * from (values ('x')) v, customers) x
select nullif, greatest from (select nullif(email, ''), greatest(name, country) from customers) x
select current_date, "current_user" from (select current_date, current_user, email from customers) x
select xmlelement from (select xmlelement(name a, email), name from customers) x
select t.t from (select email as t from customers) t
select t from (select email as t from customers) t
select c.addr, c.data from customers c where (c.addr).street is not null
select n.body, o.note, c.email from notes n join orders o on o.id = n.id left join customers c on c.id = o.customer_id where n.author like 'n%'
select * from (customers c join orders o on c.id = o.customer_id) join notes n on n.id = c.id
select * from customers c join (orders o join notes n using (id)) using (id)
select id, body from customers join orders using (id) join notes using (id)
select lower(r), upper(r) from (select int4range(id, id + 5) as r, email from customers) x
select any_array from (select array[email, name] as any_array from customers) x
select (array_agg(email))[1], (array[name, country])[2] from customers group by name, country
select (select array_agg(x.e) from (select email as e from customers) x)
select * from (select email, name from customers) as x (name, email)
select x.email from (select email, name from customers) as x (name, email)
select * from unnest(array['a'], array['b']) as u(a, b), customers
`
  .trim()
  .split('\n')

test.each(QUERIES)('%s', async (sql) => {
  expect(await wrong(sql)).toEqual([])
})

test('what the server says of an output is rarely unknown to lineage', () => {
  expect(rowsSeen.origins).toBeGreaterThan(200)
  expect(rowsSeen.originsUnknown / rowsSeen.origins).toBeLessThan(0.02)
  expect(rowsSeen.outputsUnknown / rowsSeen.outputs).toBeLessThan(0.1)
})

/** Statements that move values about, of which some lose their mark on the way. */
const CHANGES = `
insert into notes (id, body) select id, email from customers returning *
insert into notes select 9, email, name from customers where id = 1 returning author, body
insert into notes values (7, (select email from customers where id = 1), 'x') returning body
insert into notes (author, body) values ('x', default), ((select max(name) from customers), 'y') returning notes.*
insert into orders (id, note) select id, 'x' from customers on conflict (id) do update set note = excluded.note || orders.country, country = (select email from customers limit 1) returning note, country
insert into orders as o (id, note) select id, name from customers on conflict (id) do update set country = excluded.note where o.id > 1 returning o.country, id
update notes set body = author returning body, author
update notes set (body, author) = (author, body) returning *
update notes set (body, author) = (select upper(email), name from customers where id = 1) returning body, author
update notes n set body = c.email || o.note from customers c join orders o using (id) where c.id = n.id returning n.*, c.country, o.total
update customers set tags[1] = email, name = reverse(country) returning tags, name
update customers set addr.street = email returning (addr).street, addr
update customers set data = jsonb_set(data, '{k}', to_jsonb(email)) returning data
delete from notes using customers c where c.id = notes.id returning notes.*, c.email
with m as (insert into notes (body) select email from customers returning body as b) select b, (select name from customers limit 1) from m
with m as (update notes set body = (select max(email) from customers) returning *), d as (delete from orders returning note) select m.body, d.note from m, d
with d as (delete from orders returning note, country) insert into notes (body, author) select country, note from d returning author
with recursive r(x, y) as (select email::text, name from customers union select y, x from r) update notes set body = (select string_agg(x, ',') from r) returning body
merge into notes n using customers c on c.id = n.id when matched and c.id > 1 then update set body = c.email when matched then delete when not matched then insert values (c.id, c.name, c.country)
merge into notes n using (select id + 10 as id, email, name from customers) s on s.id = n.id when not matched then insert (author, body) values (s.email, s.name || 'x')
create table made as select email, upper(name) as n, count(*) from customers group by 1, 2
create table made (p, q) as select email, note from customers join orders using (id)
select email as e, c into made from customers c
create table made as with x as (select * from v_nested) select * from x
explain analyze create table made as select email from customers
alter table notes alter column author type text using body || author
alter table notes add column more text generated always as (upper(author)) stored
`
  .trim()
  .split('\n')

test.each(CHANGES)('%s', async (sql) => {
  await client.query('begin')
  try {
    expect(await wrong(sql)).toEqual([])
    const { flows } = createResolver(relations).statement(analyse(sql).statements[0]!.lineage)
    const problems: string[] = []
    let moved = 0
    for (const relation of ['customers', 'orders', 'notes', 'made']) {
      const { rows } = await client.query(`select to_regclass('${relation}') is not null as is`)
      if (!rows[0].is) continue
      const { rows: stored } = await client.query(`select * from ${relation}`)
      for (const [column, value] of stored.flatMap((row) => Object.entries(row)))
        for (const shown of shownIn(text(value))) {
          if (shown === `${relation}.${column}`) continue
          moved++
          const said = flows.some(
            ({ to, from }) =>
              to.relation === relation &&
              (to.column === null || to.column === column) &&
              (from.unknown !== null || names(from).has(shown)),
          )
          if (!said) problems.push(`${shown} went to ${relation}.${column}`)
        }
    }
    expect(problems).toEqual([])
    if (!sql.startsWith('delete')) expect(moved).toBeGreaterThan(0)
  } finally {
    await client.query('rollback')
  }
})

describe('queries put together at random', () => {
  /** Something in FROM: its text, and its columns, all of them text. */
  interface Made {
    sql: string
    columns: string[]
  }

  let number = 0
  const fresh = (prefix: string) => `${prefix}${++number}`

  const TABLES: Record<string, string[]> = {
    customers: ['name', 'email', 'country', 'secret_no', 'tags', 'data', 'addr'],
    orders: ['note', 'total', 'country'],
    notes: ['body', 'author'],
    v_plain: ['e', 'name'],
    v_nested: ['pair', 'name'],
    v_cte: ['email'],
    v_union: ['t'],
  }

  /** Draws from a stream of numbers, so that one array makes one query. */
  class Draw {
    private at = 0
    constructor(private readonly numbers: readonly number[]) {}
    below(n: number): number {
      return (this.numbers[this.at++ % this.numbers.length] ?? 0) % n
    }
    one<T>(of: readonly T[]): T {
      return of[this.below(of.length)]!
    }
  }

  const expression = (draw: Draw, columns: readonly string[], depth: number): string => {
    const column = () => draw.one(columns)
    const inner = () => (depth > 0 ? expression(draw, columns, depth - 1) : column())
    switch (draw.below(depth > 0 ? 16 : 3)) {
      case 0:
      case 1:
        return column()
      case 2:
        return `'const'::text`
      case 3:
        return `upper(${inner()})`
      case 4:
        return `(${inner()} || ${inner()})`
      case 5:
        return `coalesce(${inner()}, ${inner()})`
      case 6:
        return `case when ${inner()} like 'x%' then ${inner()} else ${inner()} end`
      case 7:
        return `(select ${inner()})`
      case 8:
        return `array_to_string(array[${inner()}, ${inner()}], ',')`
      case 9:
        return `to_jsonb(${inner()})::text`
      case 10:
        return `(row(${inner()}, ${inner()}))::text`
      case 11: {
        const from = source(draw, depth - 1, columns)
        const name = fresh('s')
        const all = [...columns, ...from.columns.map((one) => `${name}.${one}`)]
        return `(select max(${expression(draw, all, depth - 1)}) from ${from.sql} as ${name})`
      }
      case 12:
        return `(json_build_object('k', ${inner()}))::text`
      case 13:
        return `substr(${inner()}, 2, 6)`
      case 14:
        return `(select string_agg(v.column1, ',') from (values (${inner()}), (${inner()})) v)`
      default:
        return `nullif(${inner()}, 'nothing')`
    }
  }

  const selected = (draw: Draw, columns: readonly string[], depth: number): Made => {
    const names = Array.from({ length: 1 + draw.below(3) }, () => fresh('c'))
    return {
      columns: names,
      sql: names.map((name) => `${expression(draw, columns, depth)} as ${name}`).join(', '),
    }
  }

  /** `outer`: columns that it may use too, being LATERAL. */
  const source = (draw: Draw, depth: number, outer: readonly string[] = []): Made => {
    const table = draw.one(Object.keys(TABLES))
    if (depth <= 0) {
      const columns = TABLES[table]!
      const names = columns.map(() => fresh('c'))
      const texts = columns.map((one, i) => `${one}::text as ${names[i]}`)
      return { sql: `(select ${texts.join(', ')} from ${table})`, columns: names }
    }
    const a = source(draw, depth - 1, outer)
    const x = fresh('x')
    const mine = a.columns.map((one) => `${x}.${one}`)
    switch (draw.below(11)) {
      case 0: {
        const list = selected(draw, [...mine, ...outer], depth)
        return {
          sql: `(select ${list.sql} from ${a.sql} ${x} order by 1 limit 4)`,
          columns: list.columns,
        }
      }
      case 1: {
        const b = source(draw, depth - 1, outer)
        const y = fresh('y')
        const list = selected(draw, [...mine, ...b.columns.map((one) => `${y}.${one}`)], depth)
        return {
          sql: `(select ${list.sql} from ${a.sql} ${x} ${draw.one(['join', 'left join', 'full join'])} ${b.sql} ${y} on true limit 9)`,
          columns: list.columns,
        }
      }
      case 2: {
        const b = source(draw, depth - 1, outer)
        const count = Math.min(a.columns.length, b.columns.length)
        const names = a.columns.slice(0, count)
        const y = fresh('y')
        const left = a.columns.slice(0, count).map((one) => `${x}.${one}`)
        const right = b.columns.slice(0, count).map((one) => `${y}.${one}`)
        const how = draw.one(['union all', 'union', 'except', 'intersect'])
        return {
          sql: `(select ${left.join(', ')} from ${a.sql} ${x} ${how} select ${right.join(', ')} from ${b.sql} ${y})`,
          columns: names,
        }
      }
      case 3: {
        const w = fresh('w')
        const names = a.columns.map(() => fresh('c'))
        const list = selected(draw, names, depth)
        return {
          sql: `(with ${w}(${names.join(', ')}) as (select * from ${a.sql} ${x}) select ${list.sql} from ${w})`,
          columns: list.columns,
        }
      }
      case 4: {
        const y = fresh('y')
        const b = source(draw, depth - 1, [...mine, ...outer])
        return {
          sql: `(select ${x}.*, ${y}.* from ${a.sql} ${x} cross join lateral ${b.sql} ${y} limit 9)`,
          columns: [...a.columns, ...b.columns],
        }
      }
      case 5: {
        const names = a.columns.map(() => fresh('c'))
        return {
          sql: `(select ${names.join(', ')} from ${a.sql} as ${x}(${names.join(', ')}))`,
          columns: names,
        }
      }
      case 6: {
        const name = fresh('c')
        return { sql: `(select (${x})::text as ${name} from ${a.sql} ${x})`, columns: [name] }
      }
      case 7: {
        const name = fresh('c')
        const by = draw.one(mine)
        return {
          sql: `(select ${draw.one(['max', 'min'])}(${draw.one(mine)}) over (partition by ${by} order by ${draw.one(mine)}) as ${name} from ${a.sql} ${x})`,
          columns: [name],
        }
      }
      case 8: {
        const name = fresh('c')
        return {
          sql: `(select string_agg(${draw.one(mine)}, ',' order by ${draw.one(mine)}) as ${name} from ${a.sql} ${x} group by ${draw.one(mine)})`,
          columns: [name],
        }
      }
      case 9: {
        const w = fresh('w')
        const names = a.columns.map(() => fresh('c'))
        const turned = [...names.slice(1), names[0]!]
        return {
          sql: `(with recursive ${w}(${names.join(', ')}, n) as (select *, 1 from ${a.sql} ${x} union all select ${turned.join(', ')}, n + 1 from ${w} where n < 3) select ${names.join(', ')} from ${w} limit 9)`,
          columns: names,
        }
      }
      default: {
        const b = source(draw, depth - 1, outer)
        const [key, other] = [fresh('k'), fresh('y')]
        const [c, d] = [draw.one(a.columns), draw.one(b.columns)]
        return {
          sql: `(select * from (select ${c} as ${key} from ${a.sql} ${x}) ${fresh('z')} ${draw.one(['full', 'left', 'right'])} join (select ${d} as ${key} from ${b.sql} ${other}) ${fresh('z')} using (${key}) limit 9)`,
          columns: [key],
        }
      }
    }
  }

  test('name every column that shows', async () => {
    let run = 0
    let refused = 0
    await client.query("set statement_timeout = '5s'")
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.nat({ max: 10_000 }), { minLength: 30, maxLength: 90 }),
        fc.integer({ min: 1, max: 4 }),
        async (numbers, depth) => {
          const from = source(new Draw(numbers), depth)
          const sql = `select * from ${from.sql} as q limit 20`
          run++
          let problems: string[]
          try {
            problems = await wrong(sql)
          } catch (error) {
            // What PostgreSQL refuses shows nothing.
            refused++
            if (process.env.CUSTODY_SHOW_REFUSED) console.log(sql, String(error))
            return
          }
          if (problems.length > 0) throw new Error(`${problems.join('; ')}\n${sql}`)
        },
      ),
      { numRuns: Number(process.env.CUSTODY_LINEAGE_RUNS ?? 400) },
    )
    expect(refused / run).toBeLessThan(0.1)
  })
})
