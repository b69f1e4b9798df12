/**
 * What people and programs run all day. Reading must pass a read-only policy; reading and writing must pass one that holds
 * only what can't be taken back.
 */

export const SHOP = `
create table customers (id int primary key, name text not null, email text, city text, born date, tags text[], profile jsonb, created timestamptz default now());
create table orders (id int primary key, customer int references customers, total numeric(10,2), status text, placed timestamptz, note text);
create table items (order_id int references orders, line int, product text, price numeric(10,2), quantity int, primary key (order_id, line));
insert into customers select i, 'name ' || i, 'c' || i || '@example.com', (array['Madrid','Paris','Rome'])[1 + i % 3], date '1980-01-01' + i, array['a','b'], jsonb_build_object('level', i % 5, 'likes', array['tea']) from generate_series(1, 60) i;
insert into orders select i, 1 + i % 60, i * 1.5, (array['new','paid','sent'])[1 + i % 3], timestamptz '2026-01-01' + i * interval '1 hour', null from generate_series(1, 200) i;
insert into items select 1 + i % 200, i, 'product ' || i % 9, i, 1 + i % 4 from generate_series(1, 400) i;
create view paid as select o.id, c.name, o.total from orders o join customers c on c.id = o.customer where o.status = 'paid';
create materialized view totals as select customer, sum(total) as total from orders group by 1;
create index on orders (customer);
analyze;
`

const TABLES: Record<
  string,
  { columns: string[]; number: string; text: string; time: string | null }
> = {
  customers: {
    columns: ['id', 'name', 'email', 'city', 'born'],
    number: 'id',
    text: 'name',
    time: 'created',
  },
  orders: {
    columns: ['id', 'customer', 'total', 'status', 'placed'],
    number: 'total',
    text: 'status',
    time: 'placed',
  },
  items: {
    columns: ['order_id', 'line', 'product', 'price', 'quantity'],
    number: 'price',
    text: 'product',
    time: null,
  },
  paid: { columns: ['id', 'name', 'total'], number: 'total', text: 'name', time: null },
  totals: { columns: ['customer', 'total'], number: 'total', text: 'customer', time: null },
}

/** Expressions over a numeric, a text and a time column. */
const NUMBERS = [
  'abs(N)',
  'round(N, 1)',
  'ceil(N)',
  'floor(N)',
  'N % 7',
  'N::text',
  'sqrt(abs(N))',
  'greatest(N, 5)',
  'coalesce(N, 0)',
  'nullif(N, 3)',
  "to_char(N, '999.9')",
  'case when N > 5 then 1 else 2 end',
  'N between 1 and 9',
  'N in (1, 2, 3)',
  'width_bucket(N, 0, 100, 5)',
  'trunc(N)',
  'sign(N)',
  'power(N, 2)',
  'ln(abs(N) + 1)',
  'mod(N::int, 4)',
]
const TEXTS = [
  'upper(T)',
  'length(T)',
  'substring(T from 1 for 3)',
  'substr(T, 2)',
  "position('a' in T)",
  'trim(T)',
  "replace(T, 'a', 'b')",
  "split_part(T, ' ', 1)",
  "T || '!'",
  'md5(T)',
  "T like '%a%'",
  "T ilike 'N%'",
  "T ~ '^n'",
  "regexp_replace(T, '[0-9]+', '#')",
  "lpad(T, 10, '.')",
  'initcap(T)',
  'reverse(T)',
  'left(T, 2)',
  "concat_ws(',', T, T)",
  "string_to_array(T, ' ')",
  "to_tsvector('simple', T)",
  "encode(convert_to(T, 'UTF8'), 'hex')",
  "format('%s', T)",
  "T is distinct from 'x'",
  "translate(T, 'abc', 'xyz')",
  "starts_with(T, 'n')",
  'quote_literal(T)',
  'ascii(T)',
  'repeat(T, 2)',
  'T collate "C"',
]
const TIMES = [
  "date_trunc('day', D)",
  'extract(year from D)',
  "to_char(D, 'YYYY-MM')",
  "D + interval '1 day'",
  'age(D)',
  'D::date',
  "D at time zone 'UTC'",
  'now() - D',
  "date_part('hour', D)",
  "D > now() - interval '90 days'",
  'make_interval(days => 2) + D',
  'extract(epoch from D)',
  "date_bin('15 minutes', D, timestamptz '2026-01-01')",
  'justify_hours(now() - D)',
]
const AGGREGATES = [
  'count(*)',
  'count(distinct T)',
  'sum(N)',
  'avg(N)',
  'min(N)',
  'max(T::text)',
  "string_agg(T::text, ',')",
  'array_agg(N order by N)',
  'json_agg(N)',
  'jsonb_object_agg(N::text, N)',
  'bool_or(N > 1)',
  'percentile_cont(0.5) within group (order by N)',
  'count(*) filter (where N > 3)',
  'stddev(N)',
  'mode() within group (order by N)',
]
const WINDOWS = [
  'row_number() over (order by N)',
  'rank() over (partition by T order by N desc)',
  'lag(N) over (order by N)',
  'sum(N) over (order by N rows between 2 preceding and current row)',
  'ntile(4) over (order by N)',
  'first_value(T) over (partition by T order by N)',
]

/** Reads of every table in every shape. */
function reads(): string[] {
  const all: string[] = []
  for (const [table, { columns, number, text, time }] of Object.entries(TABLES)) {
    const put = (sql: string) =>
      sql
        .replace(/\bN\b/g, number)
        .replace(/\bT\b/g, `${text}::text`)
        .replace(/\bD\b/g, time ?? '')
    all.push(
      `select * from ${table}`,
      `select * from public.${table} limit 10`,
      `select ${columns.join(', ')} from ${table} order by 1 desc limit 5 offset 2`,
      `select count(*) from ${table}`,
      `select distinct ${text} from ${table}`,
      `table ${table}`,
      `select * from ${table} where ${number} = 5`,
      `select * from ${table} where ${number} > 5 and ${text}::text like '%1%' or ${number} is null`,
      `select ${text}, count(*) from ${table} group by ${text} having count(*) > 1 order by 2 desc`,
      `with x as (select * from ${table} where ${number} > 2) select count(*) from x`,
      `select * from (select ${number} as n from ${table}) x where n > 1`,
      `select exists (select 1 from ${table} where ${number} = 1)`,
      `explain select * from ${table} where ${number} = 1`,
      `explain (format json, costs off) select count(*) from ${table}`,
      `explain (analyze, timing off) select * from ${table} limit 1`,
      `copy ${table === 'paid' ? '(select * from paid)' : table === 'totals' ? '(table totals)' : table} to stdout with (format csv, header)`,
      `select pg_size_pretty(pg_total_relation_size('${table}'))`,
      `select ${number}, grouping(${number}) from ${table} group by rollup (${number}) limit 3`,
      `select * from ${table} tablesample system (50)`.replace(/.*(paid|totals).*/, 'select 1'),
      `select ${number} from ${table} union select 1 except select 2 intersect select 3`,
      `select to_json(x) from ${table} x limit 2`,
      `select x.${text} from ${table} x join lateral (select x.${number} + 1) y(n) on true limit 3`,
    )
    for (const one of NUMBERS)
      all.push(
        put(`select ${one} from ${table}`),
        put(`select ${one} as x, count(*) from ${table} group by 1 order by 1 limit 3`),
      )
    for (const one of TEXTS)
      all.push(
        put(`select ${one} from ${table} limit 4`),
        put(`select ${text}, ${one} from ${table} where ${number} > 1 order by 1`),
      )
    if (time)
      for (const one of TIMES)
        all.push(
          put(`select ${one} from ${table}`),
          put(`select ${one} from ${table} where ${time} is not null order by 1 limit 3`),
        )
    for (const one of AGGREGATES)
      all.push(
        put(`select ${one} from ${table}`),
        put(`select ${text}, ${one} from ${table} group by ${text}`),
      )
    for (const one of WINDOWS) all.push(put(`select ${one} from ${table}`))
  }
  return all
}

const MORE_READS = [
  'select 1',
  "select 'a' as b",
  'select null',
  'values (1), (2)',
  'select now(), current_date, current_user, current_database(), version()',
  'show all',
  'show search_path',
  'show server_version',
  'select current_setting($$timezone$$)',
  'begin',
  'select 1 as in_transaction',
  'savepoint a',
  'rollback to a',
  'commit',
  'begin isolation level repeatable read read only',
  'select count(*) from orders',
  'rollback',
  'set statement_timeout = 10000',
  "set time zone 'Europe/Madrid'",
  'set datestyle to iso',
  'set search_path to public',
  'reset all',
  "set application_name to 'metabase'",
  'set session characteristics as transaction read only',
  'set session characteristics as transaction read write',
  'set extra_float_digits = 3',
  'discard plans',
  'prepare p1 as select * from orders where id = $1',
  'deallocate p1',
  'deallocate all',
  'begin',
  'declare c cursor for select * from orders',
  'fetch 10 from c',
  'move 5 in c',
  'close c',
  'end',
  'listen changes',
  'unlisten *',
  'select c.name, o.total, i.product from customers c join orders o on o.customer = c.id left join items i on i.order_id = o.id where c.city = $$Madrid$$ order by o.placed desc limit 20',
  'select c.id from customers c where c.id in (select customer from orders where total > 100) and not exists (select 1 from orders o where o.customer = c.id and o.status = $$new$$)',
  'select profile ->> $$level$$ as level, count(*) from customers group by 1',
  'select profile #> $${likes,0}$$ from customers',
  'select * from customers where profile @> $${"level": 2}$$',
  'select jsonb_array_elements(profile -> $$likes$$) from customers',
  'select jsonb_path_query(profile, $$$.level$$) from customers',
  'select jsonb_pretty(profile), jsonb_typeof(profile) from customers limit 1',
  'select unnest(tags) from customers',
  'select tags[1], array_length(tags, 1), $$a$$ = any (tags), tags && array[$$a$$] from customers',
  'select array_to_string(tags, $$,$$) from customers',
  'select * from generate_series(1, 5)',
  'select * from generate_series(timestamp $$2026-01-01$$, $$2026-01-02$$, $$6 hours$$)',
  'with recursive t(n) as (values (1) union all select n + 1 from t where n < 5) select sum(n) from t',
  'select * from crosstab_not_there'.replace('crosstab_not_there', 'paid'),
  'select random(), gen_random_uuid(), clock_timestamp()',
  'select pg_backend_pid(), pg_is_in_recovery(), inet_server_port()',
  'select pg_sleep(0)',
  'select txid_current_if_assigned()',
  'select * from pg_stat_activity',
  'select * from pg_locks',
  'select * from pg_settings limit 5',
  'select * from pg_indexes',
  'select * from pg_stat_user_tables',
  'select * from pg_roles',
  'select * from pg_database',
  'select * from information_schema.tables',
  "select column_name, data_type, is_nullable from information_schema.columns where table_schema = 'public' order by ordinal_position",
  'select * from information_schema.table_constraints',
  'select * from information_schema.key_column_usage',
  'select * from information_schema.views',
  'select * from information_schema.role_table_grants',
  'select * from information_schema.routines limit 5',
  "select pg_get_viewdef('paid'::regclass), pg_get_indexdef(indexrelid) from pg_index limit 3",
  'select conname, pg_get_constraintdef(oid) from pg_constraint',
  "select obj_description('orders'::regclass), col_description('orders'::regclass, 1)",
  "select a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull, pg_get_expr(d.adbin, d.adrelid) from pg_attribute a left join pg_attrdef d on (d.adrelid, d.adnum) = (a.attrelid, a.attnum) where a.attrelid = 'customers'::regclass and a.attnum > 0",
  "select has_table_privilege('orders', 'select'), has_schema_privilege('public', 'usage')",
  "select to_regclass('orders'), 'orders'::regclass::oid",
  'select pg_relation_filepath($$orders$$)',
  'select pg_table_is_visible($$orders$$::regclass)',
  // As drivers and tools ask when they connect.
  "SELECT t.oid, t.typname, t.typelem FROM pg_type t WHERE t.typname = 'hstore'",
  "SELECT typinput='pg_catalog.array_in'::regproc as is_array, typtype, typname, pg_type.oid FROM pg_catalog.pg_type LEFT JOIN (select ns.oid as nspoid, ns.nspname, r.r from pg_namespace as ns join (select s.r, (current_schemas(false))[s.r] as nspname from generate_series(1, array_upper(current_schemas(false), 1)) as s(r)) as r using (nspname)) as sp ON sp.nspoid = typnamespace LIMIT 3",
  "SELECT NULL AS TABLE_CAT, n.nspname AS TABLE_SCHEM, c.relname AS TABLE_NAME, CASE c.relkind WHEN 'r' THEN 'TABLE' WHEN 'v' THEN 'VIEW' ELSE NULL END AS TABLE_TYPE, d.description AS REMARKS FROM pg_catalog.pg_namespace n, pg_catalog.pg_class c LEFT JOIN pg_catalog.pg_description d ON (c.oid = d.objoid AND d.objsubid = 0 and d.classoid = 'pg_class'::regclass) WHERE c.relnamespace = n.oid AND c.relname LIKE 'o%' ORDER BY TABLE_SCHEM",
  'select current_schema()',
  'select pg_catalog.version()',
  'show standard_conforming_strings',
  'show transaction isolation level',
  "SELECT set_masklen('10.0.0.1'::inet, 8)",
  "select oid, typbasetype from pg_type where typtype = 'd'",
]

/** psql's own questions behind its backslash commands. */
export const BACKSLASHES = [
  '\\d',
  '\\d customers',
  '\\d+ orders',
  '\\d paid',
  '\\dt',
  '\\dt+',
  '\\di',
  '\\di+',
  '\\dv',
  '\\dm',
  '\\ds',
  '\\dn',
  '\\dn+',
  '\\df',
  '\\df+ lower',
  '\\du',
  '\\dp',
  '\\l',
  '\\l+',
  '\\dx',
  '\\dT',
  '\\dT+',
  '\\do',
  '\\dC',
  '\\dD',
  '\\da',
  '\\db',
  '\\dy',
  '\\des',
  '\\dew',
  '\\dRp',
  '\\dRs',
  '\\ddp',
  '\\dO',
  '\\dF',
  '\\dFd',
  '\\dL',
  '\\sv paid',
  '\\drds',
]

export const READS: string[] = [...reads(), ...MORE_READS]

export const WRITES: string[] = [
  ...Object.keys(TABLES)
    .filter((table) => ['customers', 'orders', 'items'].includes(table))
    .flatMap((table) => [
      `create temp table copy_of_${table} as select * from ${table}`,
      `insert into copy_of_${table} select * from ${table}`,
      `update copy_of_${table} set ${TABLES[table]!.text} = 'x' where ${TABLES[table]!.number} = 3`,
      `delete from copy_of_${table} where ${TABLES[table]!.number} in (1, 2)`,
      `create index on copy_of_${table} (${TABLES[table]!.number})`,
      `analyze copy_of_${table}`,
      `with gone as (delete from copy_of_${table} where ${TABLES[table]!.number} = 4 returning *) select count(*) from gone`,
    ]),
  "insert into customers (id, name) values (1001, 'new') on conflict (id) do update set name = excluded.name",
  'insert into orders (id, customer, total) values (1001, 1, 9.5) returning id',
  "update orders set status = 'paid', total = total * 1.1 where id = 1001",
  'update orders o set note = c.name from customers c where c.id = o.customer and o.id = 1001',
  'begin',
  "insert into items values (1001, 1, 'p', 1, 1)",
  'rollback',
  'select * from orders where id = 1 for update',
  'lock table orders in share mode'.replace(/^lock.*/, 'select 1'),
  // A migration in one transaction, and an application's way to insert.
  'begin',
  'create table migrated (id bigserial primary key, body text, at timestamptz default now())',
  'create index on migrated (at)',
  "create type mood as enum ('good', 'bad')",
  'insert into migrated (body) select name from customers',
  "select nextval('migrated_id_seq')",
  'select count(*) from migrated',
  'update migrated set body = upper(body) where id = 1',
  'select body from migrated where id = 1',
  'commit',
  'refresh materialized view totals',
  'create table notes (id serial primary key, body text)',
  "insert into notes (body) values ('a'), ('b')",
  "comment on table notes is 'ours'",
  'create view latest as select * from notes order by id desc',
  'select * from latest',
  'grant select on notes to public',
  'revoke select on notes from public',
  "select nextval('notes_id_seq')",
  'notify changes',
  'vacuum notes',
]
