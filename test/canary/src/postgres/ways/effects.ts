/** Ways that change something on the way: copies, changes of tables, errors, messages to others, what the catalogues keep. */

import { setTimeout as sleep } from 'node:timers/promises'
import { bind, execute, parse, sync } from '@custody/parity'
import { ROWS } from '../../values'
import { literal } from '../fixture'
import { extended, grouped, list, type PostgresWay, simple, type Unsorted, undone } from './ways'

const returning: Unsorted[] = [
  ...undone([
    ['update', 'update canary.customers set city = city where id = 1 returning *'],
    [
      'update, some columns',
      "update canary.customers set city = 'x' returning name, upper(email) as plain",
    ],
    [
      'delete',
      'delete from canary.mails',
      'delete from canary.customers c where id = 3 returning c.name, c.secret',
    ],
    ['delete, the whole row', 'delete from canary.customers c where id = 3 returning c'],
    [
      'insert from a masked table',
      'insert into canary.copies select id, name from canary.customers returning body',
    ],
    [
      'insert or update',
      "insert into canary.customers (id, name) values (1, 'x') on conflict (id) do update set city = 'y' returning customers.name, email",
    ],
    [
      'update from',
      'update canary.copies set body = body from canary.customers c where false returning c.name',
      'insert into canary.copies values (1)',
      'update canary.copies set more = c.name from canary.customers c where c.id = 1 returning c.secret, more',
    ],
    [
      'delete using',
      'insert into canary.copies values (1)',
      'delete from canary.copies using canary.customers c where c.id = copies.id returning c.email',
    ],
    [
      'in a CTE',
      "with u as (update canary.customers set city = 'x' returning id, phone as p) select p from u",
    ],
    [
      'in a CTE, of a deletion',
      'with d as (delete from canary.orders returning email as e) select e from d',
    ],
    [
      'to a cursor',
      `do $$ declare v text; begin update canary.customers set city = 'x' where id = 1 returning name into v; raise notice '%', v; end $$`,
    ],
  ]),
]

const triggers: Unsorted[] = undone([
  ['a trigger tells', "insert into canary.notices (body) values ('x')"],
  ['a trigger tells the old row', "update canary.customers set city = 'Linz' where id = 1"],
  [
    'a rule that selects',
    'create rule r as on insert to canary.copies do instead select name, secret from canary.customers',
    'insert into canary.copies values (1)',
  ],
  [
    'a rule that copies',
    'create rule r as on update to canary.copies do also insert into canary.notices (body) select email from canary.customers',
    'insert into canary.copies values (1)',
    'update canary.copies set id = 2',
    'select body from canary.notices',
  ],
  [
    'a trigger that copies',
    'create function pg_temp.copies() returns trigger language plpgsql as $$ begin insert into canary.copies values (new.id, new.name, new.secret); return new; end $$',
    'create trigger t before update on canary.customers for each row execute function pg_temp.copies()',
    "update canary.customers set city = 'x'",
    'select body, more from canary.copies',
  ],
  [
    'a policy that tells',
    'create role watched',
    'grant usage on schema canary to watched',
    'grant select on canary.customers to watched',
    "create function canary.tells(canary.customers) returns bool language plpgsql security definer as $$ begin raise notice '%', $1; return true; end $$",
    'alter table canary.customers enable row level security',
    'create policy p on canary.customers using (canary.tells(customers))',
    'set local role watched',
    'select id from canary.customers',
  ],
  [
    'a trigger with a transition table',
    "create function pg_temp.tells() returns trigger language plpgsql as $$ begin raise notice '%', (select string_agg(name, ',') from olds); return null; end $$",
    'create trigger t after update on canary.customers referencing old table as olds for each statement execute function pg_temp.tells()',
    "update canary.customers set city = 'x'",
  ],
])

const one = (column: string) => `(select ${column} from canary.customers where id = 1)`

const errors: Unsorted[] = [
  ...list([
    ['text to a number', `select ${one('name')}::int`],
    ['of every row', 'select name::int from canary.customers'],
    ['in a where clause', 'select 1 from canary.customers where name::int = 1'],
    ['in an order', 'select id from canary.customers order by email::numeric'],
    ['int8', `select ${one('secret')}::int8`],
    ['float8', `select ${one('name')}::float8`],
    ['numeric', `select ${one('name')}::numeric`],
    ['boolean', `select ${one('email')}::boolean`],
    ['date', `select ${one('name')}::date`],
    ['timestamp', `select ${one('name')}::timestamp`],
    ['interval', `select ${one('name')}::interval`],
    ['time', `select ${one('name')}::time`],
    ['uuid', `select ${one('name')}::uuid`],
    ['inet', `select ${one('name')}::inet`],
    ['macaddr', `select ${one('name')}::macaddr`],
    ['json', `select ${one('name')}::json`],
    ['jsonb', `select ${one('email')}::jsonb`],
    ['json, with its context', `select ('{"a": ' || ${one('name')} || '}')::json`],
    ['jsonpath', `select ('$$' || ${one('name')})::jsonpath`],
    ['xml', `select xmlparse(document '<a>' || ${one('name')})`],
    ['an enum', `select ${one('name')}::canary.mood`],
    ['a range', `select ${one('name')}::int4range`],
    ['an array', `select ${one('name')}::int[]`],
    ['an array of text', `select ('{' || ${one('name')} || '}')::int[]`],
    ['a composite', `select ${one('name')}::canary.place`],
    ['a record', `select ('(' || ${one('name')} || ')')::canary.orders`],
    ['a point', `select ${one('name')}::point`],
    ['money', `select ${one('name')}::money`],
    ['regclass', `select ${one('name')}::regclass`],
    ['regproc', `select ${one('name')}::regproc`],
    ['regrole', `select ${one('name')}::regrole`],
    ['regtype', `select ${one('name')}::regtype`],
    ['tsvector', `select ('''' || ${one('name')})::tsvector`],
    ['tsquery', `select (${one('name')} || ' & ')::tsquery`],
    ['lsn', `select ${one('name')}::pg_lsn`],
    ['oid', `select ${one('name')}::oid`],
    ['integer of text out of range', `select ${one('card_number')}::int`],
    ['date out of range', `select (${one('account')} || '-01-01')::date`],
    ['time zone', `select now() at time zone ${one('name')}`],
    ['encoding', `select convert_to('x', ${one('name')})`],
    ['decode, the format', `select decode('00', ${one('name')})`],
    ['a setting', `select set_config('work_mem', ${one('name')}, true)`],
    ['a setting that is not there', `select current_setting(${one('name')})`],
    ['a part of a date', `select extract(epoch from now()), date_part(${one('name')}, now())`],
    ['date_trunc', `select date_trunc(${one('name')}, now())`],
    ['nextval', `select nextval(${one('name')})`],
    ['a dictionary', `select to_tsvector(${one('name')}::regconfig, 'x')`],
    ['a sequence by its table', `select pg_get_serial_sequence(${one('name')}, 'id')`],
    ['pg_read_file', `select pg_read_file(${one('name')})`],
    ['pg_ls_dir', `select pg_ls_dir(${one('name')})`],
    ['a query that query_to_xml is given', `select query_to_xml(${one('name')}, true, true, '')`],
    ['a raised message', "select canary.says('exception')"],
    ['a raised detail', "select canary.says('exception detail')"],
    ['a raised hint', "select canary.says('exception hint')"],
    ['a raised column', "select canary.says('exception column')"],
    ['a raised table and schema', "select canary.says('exception table')"],
    ['a raised constraint and type', "select canary.says('exception constraint')"],
    ['an assertion', "select canary.says('assert')"],
    ['a notice', "select canary.says('notice')"],
    ['a warning', "select canary.says('warning')"],
    ['an information', "select canary.says('info')"],
    ['a detail and a hint', "select canary.says('detail')"],
    ['a log message to the client', 'set client_min_messages to log', "select canary.says('log')"],
    [
      'a debug message to the client',
      'set client_min_messages to debug1',
      "select canary.says('debug')",
    ],
    ['dynamic SQL that is wrong', `do $$ begin execute ${one('name')}; end $$`],
    [
      'dynamic SQL, in its context',
      `do $$ begin execute 'select 1/0 as ' || ${one('name')}; end $$`,
    ],
    [
      'a row as an integer',
      `do $$ declare v int; begin select name into v from canary.customers where id = 1; end $$`,
    ],
    ['a value for a variable', `do $$ declare v int := ${one('email')}; begin end $$`],
    [
      'a cast in a function, with its context',
      `create or replace function pg_temp.f(v text) returns int language plpgsql as $$ begin return v::int; end $$; select pg_temp.f(name) from canary.customers`,
    ],
    [
      'caught and told',
      `do $$ begin perform name::int from canary.customers; exception when others then raise notice '%', sqlerrm; end $$`,
    ],
    [
      'caught and kept',
      `do $$ declare d text; begin perform name::int from canary.customers; exception when others then get stacked diagnostics d = message_text; perform set_config('my.d', d, false); end $$`,
      'show my.d',
    ],
    ['pg_input_error_info', `select pg_typeof(1), ${one('name')} || ''`],
    ['to_regclass of a wrong name', `select to_regclass(${one('name')} || '.a.b.c.d')`],
    [
      'a name too long',
      `do $$ begin execute format('select 1 as %I', repeat(${one('name')}, 5)); end $$`,
    ],
    [
      'a column that is not there',
      `do $$ begin execute format('select %I from canary.copies', ${one('name')}); end $$`,
    ],
    [
      'a table that is not there',
      `do $$ begin execute format('select 1 from %I', ${one('name')}); end $$`,
    ],
    [
      'a role that is not there',
      `do $$ begin execute format('set role %I', ${one('name')}); end $$`,
    ],
    [
      'a notice that a thing is not there',
      `do $$ begin execute format('drop table if exists %I', ${one('name')}); end $$`,
    ],
    [
      'a cursor that is not there',
      `do $$ begin execute format('close %I', ${one('name')}); exception when others then raise notice '%', sqlerrm; end $$`,
    ],
  ]),
  ...undone([
    [
      'unique',
      'insert into canary.uniques select name from canary.customers where id = 1',
      `insert into canary.uniques select name from canary.customers where id = 1`,
    ],
    [
      'unique in the table itself',
      'update canary.customers set email = (select email from canary.customers where id = 1) where id = 2',
    ],
    [
      'unique index made',
      'insert into canary.copies select 1, name from canary.customers union all select 1, name from canary.customers',
      'create unique index on canary.copies (body)',
    ],
    [
      'not null, the failing row',
      'insert into canary.numbers (n, checked) select 5, left(name, 18) from canary.customers where id = 1',
    ],
    ['not null in the table itself', 'update canary.customers set name = null where id = 1'],
    [
      'check, the failing row',
      "insert into canary.numbers (n, must, checked) select 6, 'x', name from canary.customers where id = 1",
    ],
    [
      'check of a table that exists',
      "alter table canary.customers add check (name < 'a') not valid",
      "insert into canary.customers select 50, name, email || 'x' from canary.customers where id = 1",
    ],
    ['foreign key', 'insert into canary.mails select 1, secret from canary.customers where id = 1'],
    [
      'foreign key, referenced',
      'insert into canary.mails select 1, email from canary.customers where id = 1',
      'delete from canary.orders',
      'delete from canary.customers where id = 1',
    ],
    [
      'exclusion',
      'create table canary.ex (v text, exclude using btree (v with =))',
      'insert into canary.ex select name from canary.customers',
      'insert into canary.ex select name from canary.customers',
    ],
    [
      'partition constraint',
      'insert into canary.logins_1 select name, 99 from canary.customers where id = 1',
    ],
    [
      'the check option of a view',
      "create view canary.checked as select id, body from canary.copies where body = 'x' with check option",
      'insert into canary.checked select id, name from canary.customers',
    ],
    [
      'a domain',
      'create domain canary.tiny as text constraint short check (length(value) < 3)',
      'select name::canary.tiny from canary.customers',
    ],
    [
      'a column changed to a number',
      'alter table canary.customers alter column card_number type int using name::int',
    ],
    ['an index on a cast', 'create index on canary.customers ((name::int))'],
    [
      'on conflict twice',
      'insert into canary.uniques select name from canary.customers where id = 1',
      'insert into canary.uniques select name from canary.customers where id = 1 on conflict do nothing',
      'insert into canary.uniques select word from canary.uniques returning word',
    ],
    [
      'a default that fails',
      `alter table canary.copies alter column body set default (canary.name_of(1))::int::text`,
      'insert into canary.copies (id) values (1)',
    ],
    [
      'a generated column that fails',
      'create table canary.gen (a text, b int generated always as (a::int) stored)',
      'insert into canary.gen (a) select name from canary.customers',
    ],
    [
      'copy into a number',
      'create table canary.n (n int)',
      'insert into canary.n select name::int from canary.customers',
    ],
  ]).filter(({ name }) => name !== 'a domain' && name !== 'on conflict twice'),
  simple('a domain', [
    'begin',
    'create domain canary.tiny as int check (value > 10)',
    'select name::canary.tiny from canary.customers',
    'rollback',
  ]),
  extended('a cast in the extended protocol', 'select name::int from canary.customers'),
  extended(
    'a cast after some rows',
    'select case when id < 3 then 1 else email::int end from canary.customers order by id',
  ),
  {
    name: 'a failure at the second batch of rows',
    async run(to) {
      const c = await to.raw()
      await c.send(
        parse(
          'select case when id < 2 then 1 else phone::int end from (select * from canary.customers order by id) c',
        ),
        bind(),
        execute('', 1),
        execute('', 1),
        sync(),
      )
      await c.ready()
    },
  },
]

const session: Unsorted[] = [
  ...list([
    ['set_config', `select set_config('my.v', ${one('name')}, false)`],
    [
      'set_config, then current_setting',
      `select set_config('my.v', ${one('email')}, false) is null`,
      "select current_setting('my.v')",
    ],
    [
      'set_config, then show',
      `select length(set_config('my.v', ${one('secret')}, false))`,
      'show my.v',
    ],
    [
      'the name of the application',
      `select set_config('application_name', ${one('name')}, false) is null`,
    ],
    [
      'the name of the application, then show',
      `select length(set_config('application_name', ${one('name')}, false))`,
      'show application_name',
      'select application_name from pg_stat_activity where pid = pg_backend_pid()',
    ],
    [
      'the name of the application, set by a block',
      `do $$ begin perform set_config('application_name', (select name from canary.customers where id = 2), false); end $$`,
    ],
    [
      'the search path',
      `select set_config('search_path', ${one('name')}, false) is null`,
      'show search_path',
    ],
    ['the role that is not there', `select set_config('role', ${one('name')}, false)`],
    ['notify to itself', 'listen told', `select pg_notify('told', ${one('name')})`, 'select 1'],
    [
      'notify by a block',
      'listen told_too',
      `do $$ begin execute format('notify told_too, %L', (select email from canary.customers where id = 1)); end $$`,
      'select 1',
    ],
    [
      'a channel of its name',
      `do $$ begin execute format('listen %I', (select name from canary.customers where id = 1)); end $$`,
      'select pg_listening_channels()',
    ],
    [
      'statements that are prepared',
      `do $$ begin execute format('prepare x as select %L', (select name from canary.customers where id = 1)); end $$`,
      'select name, statement from pg_prepared_statements',
      'execute x',
    ],
    [
      'cursors that are open',
      'begin',
      `do $$ begin execute format('declare x cursor with hold for select %L', (select name from canary.customers where id = 1)); end $$`,
      'select statement from pg_cursors',
      'rollback',
    ],
    [
      'an advisory lock of the number',
      `select pg_advisory_lock(${one('account')})`,
      "select (classid::bigint << 32) | objid::bigint from pg_locks where locktype = 'advisory' and pid = pg_backend_pid()",
    ],
    [
      'a sequence',
      'create temp sequence s maxvalue 9223372036854775807',
      `select setval('s', ${one('account')}) is null`,
      'select last_value from s',
      "select currval('s'), lastval()",
    ],
    ['random, seeded', `select ${one('name')} || setseed(0.5)`],
  ]),
  {
    name: 'notify to another session',
    async run(to) {
      const [teller, listener] = [await to.raw(), await to.raw()]
      await listener.query('listen others')
      await teller.query(`select pg_notify('others', ${one('phone')}) is null`)
      await sleep(30)
      await listener.query('select 1')
    },
  },
  {
    name: 'notified by somebody else',
    async run(to) {
      const listener = await to.raw()
      await listener.query('listen strangers')
      const other = await to.besides()
      await other.query(`select pg_notify('strangers', ${one('secret')})`)
      await listener.until(({ type }) => type === 'A').catch(() => {})
    },
  },
  {
    name: 'notified of a change by a trigger',
    fresh: true,
    async run(to) {
      const listener = await to.raw()
      await listener.query('listen changes')
      const other = await to.besides()
      await other.query("update canary.customers set city = 'Wels' where id = 1")
      await listener.until(({ type }) => type === 'A').catch(() => {})
    },
  },
  {
    name: 'what another session is doing',
    async run(to) {
      const [looks, other] = [await to.raw(), await to.besides()]
      await other.query(`select 'doing', ${literal(ROWS[2].name.value)}`)
      await looks.query("select query from pg_stat_activity where query like '%doing%'")
    },
  },
  {
    name: 'what another session is called',
    async run(to) {
      // Past Custody anybody may call themselves anything.
      const [looks, other] = [await to.raw(), await to.raw()]
      await other.query(`select set_config('application_name', ${one('name')}, false)`)
      await looks.query('select application_name from pg_stat_activity')
    },
  },
  {
    name: 'what was asked most',
    async run(to) {
      const [looks, other] = [await to.raw(), await to.besides()]
      await other.query('create extension if not exists pg_stat_statements')
      await other.query(`comment on table canary.copies is ${literal(ROWS[2].name.value)}`)
      await looks.query('select query from pg_stat_statements order by query')
      await other.query('comment on table canary.copies is null')
    },
    fresh: true,
  },
  {
    name: 'a long statement that somebody prepares',
    async run(to) {
      const c = await to.raw()
      await c.query(
        `do $$ begin execute (select format('prepare y as select %L', string_agg(email, '+')) from canary.customers); end $$`,
      )
      await c.query('select * from pg_prepared_statements')
    },
  },
]

const copies: Unsorted[] = [
  ...list([
    [
      'a temporary table',
      'create temp table t as select * from canary.customers',
      'select * from t',
    ],
    [
      'a temporary table, one column of another name',
      'create temp table t as select name as x from canary.customers',
      'select x from t',
    ],
    [
      'a temporary table, then copy',
      'create temp table t as select email as x from canary.customers',
      'copy t to stdout',
    ],
    [
      'a temporary view',
      'create temp view v as select name as x from canary.customers',
      'select x from v',
    ],
    [
      'a temporary function',
      "create function pg_temp.f() returns setof text language sql as 'select name from canary.customers'",
      'select pg_temp.f()',
    ],
    [
      'select into temp',
      'select name, secret into temp t from canary.customers',
      'select * from t',
    ],
    [
      'insert select into a temporary table',
      'create temp table t (a text)',
      'insert into t select phone from canary.customers',
      'select a from t',
    ],
    [
      'by a block',
      'create temp table t (a text)',
      "do $$ begin execute 'insert into t select name from canary.customers'; end $$",
      'select a from t',
    ],
    [
      'by a function with side effects',
      "create function pg_temp.f() returns void language sql as 'create temp table if not exists t as select 1'",
      'create temp table u (v text)',
      'insert into u select canary.names()',
      'select v from u',
    ],
    [
      'as explain analyze',
      'explain analyze create temp table t as select name from canary.customers',
      'select * from t',
    ],
    [
      'as a large object',
      'begin',
      `select lo_from_bytea(7777, convert_to(${one('name')}, 'UTF8'))`,
      'select lo_get(7777)',
      'rollback',
    ],
    [
      'as a setting of the transaction',
      'begin',
      `select set_config('my.x', ${one('name')}, true) is null`,
      "select current_setting('my.x')",
      'commit',
    ],
    [
      'as a name of a column',
      'begin',
      `do $$ begin execute format('create temp table t (%I int)', (select name from canary.customers where id = 1)); end $$`,
      'select * from t',
      "select attname from pg_attribute where attrelid = 't'::regclass",
      'rollback',
    ],
    [
      'as the label of an enum',
      'begin',
      `do $$ begin execute format('create type pg_temp.e as enum (%L)', (select name from canary.customers where id = 1)); end $$`,
      'select enum_range(null::pg_temp.e)',
      'rollback',
    ],
    [
      'as a comment',
      'begin',
      `do $$ begin execute format('comment on table canary.copies is %L', (select name from canary.customers where id = 1)); end $$`,
      "select obj_description('canary.copies'::regclass)",
      'rollback',
    ],
    [
      'as a default',
      'begin',
      `do $$ begin execute format('alter table canary.copies alter body set default %L', (select name from canary.customers where id = 1)); end $$`,
      'insert into canary.copies default values returning body',
      "select column_default from information_schema.columns where table_name = 'copies'",
      'rollback',
    ],
    [
      'as the source of a function',
      'begin',
      `do $$ begin execute format('create function pg_temp.f() returns text language sql as %L', 'select ' || quote_literal((select name from canary.customers where id = 1))); end $$`,
      "select prosrc from pg_proc where proname = 'f'",
      'select pg_temp.f()',
      'rollback',
    ],
  ]),
  ...undone([
    [
      'create table as',
      'create table canary.taken as select * from canary.customers',
      'select * from canary.taken',
    ],
    [
      'create table as, with data, other names',
      'create table taken (a, b) as select name, email from canary.customers with data',
      'select a, b from taken',
    ],
    ['select into', 'select name as x into taken from canary.customers', 'select x from taken'],
    [
      'insert select',
      'insert into canary.copies select id, name, secret from canary.customers',
      'select body, more from canary.copies',
    ],
    [
      'insert of a subquery',
      'insert into canary.copies values (1, (select email from canary.customers where id = 1))',
      'select body from canary.copies',
    ],
    [
      'update an unmasked column',
      'update canary.customers set plain = email',
      'select plain from canary.customers',
    ],
    [
      'update from another table',
      'insert into canary.copies values (1)',
      'update canary.copies set body = c.name from canary.customers c where c.id = copies.id',
      'select body from canary.copies',
    ],
    [
      'update of several',
      'update canary.customers set (plain, city) = (select phone, name)',
      'select plain, city from canary.customers',
    ],
    [
      'merge',
      'merge into canary.copies t using canary.customers s on t.id = s.id when not matched then insert values (s.id, s.name, s.secret)',
      'select body from canary.copies',
    ],
    [
      'in a CTE',
      'with i as (insert into canary.copies select id, name from canary.customers returning body) select body from i',
    ],
    [
      'insert or update from excluded',
      'insert into canary.customers (id, name, plain) select id, name, name from canary.customers on conflict (id) do update set plain = excluded.plain',
      'select plain from canary.customers',
    ],
    [
      'a materialised view',
      'create materialized view canary.m as select name as x from canary.customers',
      'select x from canary.m',
    ],
    [
      'a view',
      'create view canary.v as select name as x from canary.customers',
      'select x from canary.v',
    ],
    [
      'a generated column',
      'alter table canary.customers add gen text generated always as (reverse(name)) stored',
      'select gen from canary.customers',
    ],
    [
      'a column added with a value',
      'alter table canary.copies add v text default canary.name_of(1)',
      'insert into canary.copies (id) values (1)',
      'select v from canary.copies',
    ],
    [
      'a column changed by using',
      'insert into canary.copies values (1)',
      'alter table canary.copies alter body type text using canary.name_of(id)',
      'select body from canary.copies',
    ],
    [
      'like, then insert',
      'create table canary.t (like canary.customers including all)',
      'insert into canary.t select * from canary.customers',
      'select name from canary.t',
    ],
    [
      'a table of the type',
      'create table canary.t of canary.place',
      'insert into canary.t select (address).* from canary.customers',
      'select street from canary.t',
    ],
    [
      'swapped by a deletion',
      'with d as (delete from canary.orders returning email) insert into canary.copies (body) select email from d',
      'select body from canary.copies',
    ],
  ]),
  simple('from the shell of the server', [
    'create temp table t (a text)',
    "copy (select name from canary.customers) to program 'cat > /tmp/custody-canary-program.txt'",
    "copy t from program 'cat /tmp/custody-canary-program.txt; rm -f /tmp/custody-canary-program.txt'",
    'select a from t',
  ]),
  simple('in the files of the server', [
    'create temp table t (a text)',
    "copy (select secret from canary.customers) to '/tmp/custody-canary-file.txt'",
    "select pg_read_file('/tmp/custody-canary-file.txt')",
    "copy t from program 'rm -f /tmp/custody-canary-file.txt'",
  ]),
  {
    name: "by another session, in a table of one's own",
    fresh: true,
    async run(to) {
      const [c, other] = [await to.raw(), await to.besides()]
      await c.query('create table public.mine (x text)')
      await other.query('alter table public.mine rename x to email')
      await other.query('insert into public.mine select name from canary.customers')
      await c.query('select email from public.mine')
    },
  },
]

const changes: Unsorted[] = [
  ...list(
    [
      [
        'a column renamed',
        'alter table canary.customers rename column name to label',
        'select label from canary.customers',
      ],
      [
        'two columns exchanged',
        'alter table canary.customers rename plain to gone; alter table canary.customers rename name to plain; alter table canary.customers rename gone to name',
        'select plain from canary.customers',
      ],
      [
        'the table renamed',
        'alter table canary.customers rename to clients',
        'select name, secret from canary.clients',
      ],
      [
        'the table moved',
        'alter table canary.customers set schema public',
        'select name from public.customers',
      ],
      [
        'the schema renamed',
        'alter schema canary rename to other',
        'select name from other.customers',
      ],
      [
        'a masked end of a name taken away',
        'alter table canary.orders rename email to m',
        'select m from canary.orders',
      ],
      [
        'a column of a view renamed',
        'alter view canary.people rename column email to plain2',
        'select plain2 from canary.people',
      ],
      [
        'a table that inherits',
        'create table canary.child () inherits (canary.customers)',
        'insert into canary.child select * from only canary.customers where id = 1',
        'select name from canary.child',
      ],
      [
        'a parent that it is given',
        'create table canary.above (name text not null, email text)',
        'alter table canary.customers inherit canary.above',
        'select name, email from canary.above',
      ],
      [
        'a partition detached',
        'alter table canary.logins detach partition canary.logins_1',
        'select who from canary.logins_1',
      ],
      [
        'a partition attached to another',
        'alter table canary.logins detach partition canary.logins_1',
        'create table canary.all_logins (who text, at int) partition by list (at)',
        'alter table canary.all_logins attach partition canary.logins_1 default',
        'select who from canary.all_logins',
      ],
      [
        'dropped and made again from a copy',
        'create table canary.saved as select id, name, email from canary.customers',
        'drop table canary.customers cascade',
        'alter table canary.saved rename to customers',
        'select * from canary.customers',
      ],
      [
        'a view replaced',
        'create view canary.v as select id, plain from canary.customers',
        'create or replace view canary.v as select id, name as plain from canary.customers',
        'select plain from canary.v',
      ],
      [
        'a function replaced',
        "create function canary.f() returns text language sql as 'select plain from canary.customers where id = 1'",
        'select canary.f()',
        "create or replace function canary.f() returns text language sql as 'select name from canary.customers where id = 1'",
        'select canary.f()',
      ],
      [
        'a view renamed over the table',
        'alter table canary.messages rename to m2',
        'create view canary.messages as select id, name as body from canary.customers',
        'select body from canary.messages',
      ],
      [
        'another table with the same name first in the path',
        'create schema x; create view x.messages as select id, secret as body from canary.customers',
        'set search_path to x, canary',
        'select body from messages',
      ],
      [
        'a temporary view of the same name',
        'set search_path to canary',
        'create temp view messages as select id, name as body from canary.customers',
        'select body from messages',
      ],
      ['a procedure that commits', 'call canary.take_commit(null)'],
      [
        'a block that commits',
        'do $$ begin create table canary.done as select name as x from canary.customers; commit; end $$',
        'select x from canary.done',
      ],
      [
        'a domain laid over the column',
        'create domain canary.d as text',
        'alter table canary.customers alter secret type canary.d',
        'select secret from canary.customers',
      ],
      [
        'a rule that makes a table a view',
        'create table canary.t (id int, x text)',
        'create view canary.tv as select id, x from canary.t',
        'create or replace view canary.tv as select id, name as x from canary.customers',
        'select x from canary.tv',
      ],
      [
        'a collation and a type changed',
        'alter table canary.customers alter name type varchar(60) collate "C"',
        'select name from canary.customers',
      ],
      [
        'a crosstab',
        'create extension tablefunc',
        "select * from crosstab('select 1, id, name from canary.customers order by 1, 2') as t(r int, a text, b text, c text)",
      ],
    ],
    { fresh: true },
  ),
  {
    name: 'the server reached from itself by dblink',
    fresh: true,
    async run(to) {
      const c = await to.raw()
      await c.query('create extension dblink')
      await c.query(
        `select * from dblink(format('dbname=%L host=127.0.0.1 port=%s user=%s password=%s', current_database(), current_setting('port'), ${literal(to.owner.user)}, ${literal(to.owner.password)}), 'select name from canary.customers') as t(x text)`,
      )
    },
  },
  {
    name: 'a foreign table',
    fresh: true,
    async run(to) {
      const c = await to.raw()
      await c.query('create extension postgres_fdw')
      await c.query(
        `do $$ begin execute format('create server s foreign data wrapper postgres_fdw options (host ''127.0.0.1'', port %L, dbname %L)', current_setting('port'), current_database()); end $$`,
      )
      await c.query(
        `create user mapping for current_user server s options (user ${literal(to.owner.user)}, password ${literal(to.owner.password)})`,
      )
      await c.query(
        "create foreign table canary.far (a text options (column_name 'name')) server s options (schema_name 'canary', table_name 'customers')",
      )
      await c.query('select a from canary.far')
    },
  },
]

const catalogues = list([
  [
    'pg_stats',
    "select attname, most_common_vals, histogram_bounds from pg_stats where tablename = 'customers'",
  ],
  [
    'pg_stats as text',
    "select histogram_bounds::text from pg_stats where schemaname = 'canary' and attname = 'email'",
  ],
  [
    'pg_statistic',
    "select stavalues1, stavalues2 from pg_statistic where starelid = 'canary.customers'::regclass",
  ],
  ['pg_stats as JSON', "select json_agg(s) from pg_stats s where schemaname = 'canary'"],
  [
    'pg_stats of an expression',
    "select histogram_bounds from pg_stats where tablename = 'customers_upper_idx'",
  ],
  ['a large object', 'select lo_get(4242)'],
  ['a large object opened', 'begin', 'select loread(lo_open(4242, 262144), 100)', 'rollback'],
  ['pages of large objects', 'select data from pg_largeobject where loid = 4242'],
  [
    'pages of the table',
    'begin',
    'create extension pageinspect',
    "select t_data, heap_page_item_attrs(get_raw_page('canary.customers', 0), 'canary.customers') from heap_page_items(get_raw_page('canary.customers', 0))",
    'rollback',
  ],
  [
    'raw pages of the table',
    'begin',
    'create extension pageinspect',
    "select get_raw_page('canary.customers', 0)",
    'rollback',
  ],
  [
    'the file of the table',
    'checkpoint',
    "select pg_read_binary_file(pg_relation_filepath('canary.customers'))",
  ],
  [
    'keys of an index',
    'begin',
    'create extension pageinspect',
    "select data from bt_page_items('canary.customers_email_key', 1)",
    'rollback',
  ],
  [
    'the type of a constant column',
    `do $$ begin execute format('create temp table t (a text default %L)', (select name from canary.customers where id = 1)); end $$`,
    'select pg_get_expr(adbin, adrelid) from pg_attrdef',
  ],
  [
    'a view over constants',
    `do $$ begin execute format('create temp view t as select %L::text as a', (select name from canary.customers where id = 1)); end $$`,
    "select pg_get_viewdef('t'::regclass), definition from pg_views where viewname = 't'",
  ],
  [
    'a partition bound',
    'begin',
    `do $$ begin execute format('create table canary.p (a text) partition by list (a); create table canary.p1 partition of canary.p for values in (%L)', (select name from canary.customers where id = 1)); end $$`,
    "select pg_get_expr(relpartbound, oid) from pg_class where relname = 'p1'",
    'rollback',
  ],
  [
    'extended statistics',
    'begin',
    'create statistics canary.st (mcv) on name, city from canary.customers',
    'analyze canary.customers',
    'select m.* from pg_statistic_ext_data, pg_mcv_list_items(stxdmcv) m',
    'rollback',
  ],
])

export const EFFECTS: PostgresWay[] = [
  ...grouped('returning', returning),
  ...grouped('triggers and rules', triggers),
  ...grouped('errors and notices', errors),
  ...grouped('session and notifications', session),
  ...grouped('copies', copies),
  ...grouped('changes of tables', changes),
  ...grouped('catalogues and storage', catalogues),
]
