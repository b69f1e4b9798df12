/**
 * Ways to change a database, or to take out what should stay in it, in disguise. Each is run without Custody first, and must
 * do what it claims there. The list only grows.
 */

/** One thing that a client sends. */
export type Step =
  /** In the simple protocol. */
  | string
  /** In the extended protocol. */
  | { text: string; values?: unknown[] }
  /** FunctionCall of a function without arguments. */
  | { call: string }
  /** psql, for COPY from the client. */
  | { psql: string; input: string }

export interface Attempt {
  name: string
  steps: Step[]
  /** The database is another afterwards; a file appeared; the answer holds what it should not. */
  effect: 'state' | 'file' | { shows: string }
  /** Start-up options. */
  options?: string
}

/** Made before each attempt, by a superuser who wishes no good. */
export const FIXTURE = `
create table victim (id int primary key, note text);
insert into victim select i, 'note ' || i from generate_series(1, 10) i;
create table other (id int, note text);
insert into other values (1, 'x');
create table ruled (id int);
create rule also as on update to ruled do also delete from victim;
create sequence counter;
create materialized view kept as select count(*) as n from other;
insert into other values (2, 'y');
create role boss;
grant select on other to boss;
create function wipe() returns int language plpgsql as $$ begin delete from victim; return 1; end $$;
create function wipe_sql() returns int language sql as 'delete from victim; select 1';
create function calls_wipe() returns int language sql stable as 'select wipe()';
create function wipe_set() returns setof int language plpgsql as $$ begin delete from victim; return next 1; end $$;
create procedure wipe_procedure() language sql as 'delete from victim';
create function lower(int) returns text language plpgsql as $$ begin delete from victim; return 'x'; end $$;
create function wipe_state(int, int) returns int language plpgsql as $$ begin delete from victim; return 1; end $$;
create aggregate wipe_all(int) (sfunc = wipe_state, stype = int, initcond = '0');
create schema evil;
create function evil.abs(int) returns int language plpgsql as $$ begin delete from public.victim; return 1; end $$;
create function evil.count(int) returns int language plpgsql as $$ begin delete from public.victim; return 1; end $$;
create table evil.victim (id int);
create view sneaky as select wipe() as w;
create view sneakier as select w + 1 as w from sneaky;
create view sneakiest as select * from other where id > (select w from sneakier);
create view by_operator as select 1 as a;
create function wipe_two(int, int) returns int language plpgsql as $$ begin delete from victim; return 1; end $$;
create operator <!> (leftarg = int, rightarg = int, function = wipe_two);
create function wipe_text(text, int) returns boolean language plpgsql as $$ begin delete from victim; return true; end $$;
create operator = (leftarg = text, rightarg = int, function = wipe_text);
create view uses_operator as select 1 <!> 2 as a;
create type odd as (a int);
create function to_odd(text) returns odd language plpgsql as $$ begin delete from victim; return row(1)::odd; end $$;
create cast (text as odd) with function to_odd(text);
create function wipe_check(text) returns boolean language plpgsql as $$ begin delete from victim; return true; end $$;
create domain checked as text check (wipe_check(value));
select lo_create(4242);
`

const REASONS: [name: string, sql: string][] = [
  ['delete', 'delete from victim'],
  ['update', "update victim set note = 'gone'"],
  ['insert', "insert into victim values (99, 'new')"],
  ['truncate', 'truncate victim'],
  ['merge', 'merge into victim using other on victim.id = other.id when matched then delete'],
  ['upsert', "insert into victim values (1, 'a') on conflict (id) do update set note = 'b'"],
  ['drop table', 'drop table evil.victim'],
  ['alter table', 'alter table victim add column more int'],
  ['create table', 'create table fresh (a int)'],
  ['create table as', 'create table fresh as select * from victim'],
  ['select into', 'select * into fresh from victim'],
  ['create view', 'create view fresh as select * from victim'],
  ['create index', 'create index on victim (note)'],
  ['create function', "create function fresh() returns int language sql as 'select 1'"],
  ['comment', "comment on table victim is 'mine'"],
  ['grant', 'grant all on victim to boss'],
  ['alter role', 'alter role boss superuser'],
  ['refresh', 'refresh materialized view kept'],
  ['nextval', "select nextval('counter')"],
  ['setval', "select setval('counter', 77)"],
  ['function', 'select wipe()'],
]

/** The same thing, written otherwise. */
const DISGUISES: [name: string, wrap: (sql: string) => Step[], fits?: RegExp][] = [
  ['plain', (sql) => [sql]],
  ['in the extended protocol', (sql) => [{ text: sql, values: [] }]],
  ['behind a comment in a comment', (sql) => [`/* select 1; /* nested */ */ -- select 2\n ${sql}`]],
  ['behind a harmless statement', (sql) => [`select 1; ${sql}`]],
  ['between harmless statements', (sql) => [`begin; select 1; ${sql}; select 2; commit`]],
  [
    'in odd white space and case',
    (sql) => [
      `;;\t\r\n\f${sql.replace(/^\w+/, (word) => [...word].map((c, i) => (i % 2 ? c.toUpperCase() : c)).join(''))} ;`,
    ],
  ],
  [
    'in a block',
    (sql) => [
      `do $body$ begin ${/^select (?!.* into )/.test(sql) ? sql.replace(/^select/, 'perform') : /select .* into/.test(sql) ? 'create table fresh as select * from victim' : sql}; end $body$`,
    ],
  ],
  [
    'prepared by SQL',
    (sql) => [`prepare p as ${sql}`, 'execute p'],
    /^(delete|update|insert|merge|select (?!\* into))/,
  ],
  [
    'prepared by SQL, run in the extended protocol',
    (sql) => [`prepare q as ${sql}`, { text: 'execute q', values: [] }],
    /^(delete|update|insert|merge|select (?!\* into))/,
  ],
  [
    'explained and analysed',
    (sql) => [`explain analyze ${sql}`],
    /^(delete|update|insert|merge|select (?!\* into)|create table fresh as)/,
  ],
  [
    'explained with options',
    (sql) => [`EXPLAIN (COSTS off, ANALYZE 1, TIMING off) ${sql}`],
    /^(delete|update|insert|merge|select (?!\* into))/,
  ],
  [
    'in a common table expression',
    (sql) => [`with x as (${sql} returning *) select count(*) from x`],
    /^(delete|update|insert)/,
  ],
  [
    'in a common table expression that another reads',
    (sql) => [
      `with b as (${sql} returning 1), c as (select * from b) select count(*) from c join other on true`,
    ],
    /^(delete|update|insert)/,
  ],
  [
    'copied out',
    (sql) => [{ psql: `copy (${sql} returning *) to stdout`, input: '' }],
    /^(delete|update|insert)/,
  ],
]

const OWN: Attempt[] = [
  // Functions, wherever they may stand.
  ...(
    [
      ['as a table', 'select * from wipe()'],
      ['as a set', 'select wipe_set()'],
      ['in values', 'values (wipe())'],
      ['in limit', 'select 1 limit wipe()'],
      ['in offset', 'select 1 from other offset wipe()'],
      ['in order by', 'select 1 from other order by wipe()'],
      ['in group by', 'select 1 from other group by wipe()'],
      ['in having', 'select count(*) from other having wipe() = 1'],
      ['in where', 'select 1 from other where wipe() = 1'],
      ['in a join', 'select 1 from other a join other b on wipe() = 1'],
      ['in a subquery', 'select (select wipe())'],
      [
        'in exists',
        'select exists (select wipe() offset 0) and (select count(*) from (select wipe()) x) > 0',
      ],
      ['in a lateral', 'select * from other, lateral (select wipe()) x'],
      ['in case', 'select case when true then wipe() end'],
      ['in coalesce', 'select coalesce(null, wipe())'],
      ['in an array', 'select array[wipe()]'],
      ['in a row', 'select row(wipe(), 2)'],
      ['in a filter', 'select count(*) filter (where wipe() = 1) from other'],
      ['in a window', 'select sum(id) over (partition by wipe()) from other'],
      ['in a named window', 'select sum(id) over w from other window w as (order by wipe())'],
      ['in a union', 'select 1 union all select wipe()'],
      [
        'in a recursive query',
        'with recursive r as (select 1 as n union all select wipe() + n from r where n < 2) select * from r',
      ],
      ['in grouping sets', 'select count(*) from other group by grouping sets ((wipe()), ())'],
      ['in distinct on', 'select distinct on (wipe()) id from other'],
      ['in an aggregate', 'select string_agg(note, wipe()::text) from other'],
      ['in a subscript', 'select (array[1, 2])[wipe()]'],
      ['in any', 'select 1 = any (array[wipe()])'],
      ['in tablesample', 'select * from victim tablesample bernoulli (wipe())'],
      ['in rows from', 'select * from rows from (wipe(), generate_series(1, 2)) as x'],
      ['in a default of another', 'select abs(wipe())'],
      ['by its schema', 'select public.wipe()'],
      ['by its quoted name', 'select "wipe"()'],
      ['by its name in unicode', 'select U&"w\\0069pe"()'],
      ['by its name in other unicode', 'select U&"w!0069pe" UESCAPE \'!\' ()'],
      ['of two', 'select wipe_two(1, 2)'],
      ['in SQL', 'select wipe_sql()'],
      ['of one that says it is stable', 'select calls_wipe()'],
      ['as an aggregate', 'select wipe_all(id) from other'],
      ['with the name of a harmless one', 'select lower(1)'],
      ['with the name of a harmless one, in another schema', 'select evil.abs(1)'],
      ['as an operator', 'select 1 <!> 2'],
      ['as an operator of a schema', 'select 1 operator(public.<!>) 2'],
      ['as an operator with a harmless name', "select 'a'::text = 1"],
      [
        'as an operator with a harmless name, in a join',
        'select count(*) from other a join other b on a.note = b.id',
      ],
      ['as an operator with a harmless name, in IN', "select 'a'::text in (1, 2)"],
      ['as a cast', "select 'x'::text::odd"],
      ['as a cast, spelt out', "select cast('x'::text as public.odd)"],
      ['as the check of a domain', "select 'x'::checked"],
      ['in a view', 'select * from sneaky'],
      ['in a view of a view', 'select w from sneakier'],
      ['in a view of a view of a view', 'select count(*) from public.sneakiest'],
      ['in a view of an operator', 'select * from uses_operator'],
      ['in a view, by TABLE', 'table sneaky'],
      ['in a cursor', 'begin; declare c cursor for select wipe(); fetch all from c; commit'],
      ['in a copied query', "copy (select wipe()) to '/dev/null'"],
    ] as [string, string][]
  ).map(([name, sql]): Attempt => ({ name: `a function ${name}`, steps: [sql], effect: 'state' })),
  { name: 'a function by a procedure', steps: ['call wipe_procedure()'], effect: 'state' },
  { name: 'a function by its number', steps: [{ call: 'wipe' }], effect: 'state' },
  {
    name: 'a function with parameters',
    steps: [{ text: 'select wipe_two($1, $2)', values: [1, 2] }],
    effect: 'state',
  },
  {
    name: 'a search_path before pg_catalog',
    steps: ['set search_path = evil, pg_catalog', 'select abs(1)'],
    effect: 'state',
  },
  {
    name: 'a search_path before pg_catalog, locally',
    steps: ["begin; set local search_path to 'evil', 'pg_catalog'; select abs(1); commit"],
    effect: 'state',
  },
  {
    name: 'a search_path by function',
    steps: ["select set_config('search_path', 'evil, pg_catalog', false)", 'select abs(1)'],
    effect: 'state',
  },
  {
    name: 'a search_path at start-up',
    options: '-c search_path=evil,pg_catalog',
    steps: ['select abs(1)'],
    effect: 'state',
  },
  {
    name: 'another role',
    steps: ['set role boss', 'select current_user'],
    effect: { shows: 'boss' },
  },
  {
    name: 'another role, locally',
    steps: ['begin; set local role boss; select current_user; commit'],
    effect: { shows: 'boss' },
  },
  {
    name: 'another session authorization',
    steps: ['set session authorization boss', 'select session_user'],
    effect: { shows: 'boss' },
  },
  {
    name: 'another role at start-up',
    options: '-c role=boss',
    steps: ['select current_user'],
    effect: { shows: 'boss' },
  },
  {
    name: 'another role at start-up, in long',
    options: '--role=boss',
    steps: ['select current_user'],
    effect: { shows: 'boss' },
  },
  {
    name: 'another role by function',
    steps: ["select set_config('role', 'boss', false)", 'select current_user'],
    effect: { shows: 'boss' },
  },
  { name: 'rules of a table', steps: ['update ruled set id = 2'], effect: 'state' },
  {
    name: 'copy from the client',
    steps: [{ psql: '\\copy victim from stdin', input: '77\tfrom stdin\n' }],
    effect: 'state',
  },
  {
    name: 'copy from a program',
    steps: ['copy victim from program \'printf "78\\\\tx\\\\n"\''],
    effect: 'state',
  },
  { name: 'copy to a program', steps: ["copy (select 1) to program 'cat > FILE'"], effect: 'file' },
  { name: 'copy to a file', steps: ["copy victim to 'FILE'"], effect: 'file' },
  { name: 'a large object into a file', steps: ["select lo_export(4242, 'FILE')"], effect: 'file' },
  { name: 'a large object written', steps: ["select lo_put(4242, 0, 'x')"], effect: 'state' },
  { name: 'a large object made', steps: ['select lo_create(4343)'], effect: 'state' },
  { name: 'a large object removed', steps: ['select lo_unlink(4242)'], effect: 'state' },
  {
    name: 'a file read',
    steps: ["select pg_read_file('FILE')"],
    effect: { shows: 'CANARY-in-a-file' },
  },
  {
    name: 'a file read in part',
    steps: ["select convert_from(pg_read_binary_file('FILE', 0, 100), 'UTF8')"],
    effect: { shows: 'CANARY-in-a-file' },
  },
  {
    name: 'a directory listed',
    steps: ["select pg_ls_dir('DIRECTORY')"],
    effect: { shows: 'CANARY' },
  },
  {
    name: 'a query in text',
    steps: ["select query_to_xml('select wipe()', true, false, '')"],
    effect: 'state',
  },
  {
    name: 'a query in text, by cursor',
    steps: ["select query_to_xml_and_xmlschema('select wipe()', true, false, '')"],
    effect: 'state',
  },
  {
    name: 'a query in text, for text search',
    steps: ["select * from ts_stat('with x as (select wipe()) select to_tsvector(''a'') from x')"],
    effect: 'state',
  },
  {
    name: 'settings of the server',
    steps: [
      "alter system set application_name = 'evil'",
      'select pg_reload_conf()',
      'select count(*) from pg_file_settings where name = $$application_name$$ and setting = $$evil$$ and pg_sleep(0.1) is not null',
    ],
    effect: { shows: '1' },
  },
  {
    name: 'settings of a database',
    steps: [
      "do $$ begin execute format('alter database %I set application_name = evil', current_database()); end $$",
    ],
    effect: 'state',
  },
  {
    name: 'a statement in the extended protocol named like a harmless one',
    steps: [
      'prepare h as select 1',
      'deallocate h',
      'prepare h as delete from victim',
      'execute h',
    ],
    effect: 'state',
  },
  {
    name: 'a lock',
    steps: [
      "begin; lock table victim in access exclusive mode; select count(*) || ' held' from pg_locks where mode = 'AccessExclusiveLock' and relation = 'victim'::regclass; commit",
    ],
    effect: { shows: '1 held' },
  },
  {
    name: 'rows locked',
    steps: [
      "begin; select * from victim for update; select 'rows ' || count(*) from pg_locks where mode = 'RowShareLock' and relation = 'victim'::regclass; commit",
    ],
    effect: { shows: 'rows 1' },
  },
  {
    name: 'an advisory lock',
    steps: [
      "select pg_advisory_lock(11); select 'advisory ' || count(*) from pg_locks where locktype = 'advisory' and objid = 11",
    ],
    effect: { shows: 'advisory 1' },
  },
  { name: 'vacuum', steps: ['vacuum full victim'], effect: 'state' },
  {
    name: 'a view made and used at once',
    steps: ['begin; create view v as select wipe() as w; select * from v; commit'],
    effect: 'state',
  },
  {
    name: 'a temporary view that hides a table',
    steps: ['create temp view other as select wipe() as w', 'select * from other'],
    effect: 'state',
  },
  {
    name: 'a security label or owner',
    steps: ['alter table victim owner to boss'],
    effect: 'state',
  },
  {
    name: 'owned by another, and dropped with them',
    steps: ['alter table evil.victim owner to boss; drop owned by boss'],
    effect: 'state',
  },
  {
    name: 'an event trigger',
    steps: [
      "create function et() returns event_trigger language plpgsql as 'begin end'; create event trigger et on ddl_command_end execute function et()",
    ],
    effect: 'state',
  },
  {
    name: 'a schema imported',
    steps: ['create schema fresh; drop schema fresh; create schema fresh'],
    effect: 'state',
  },
  {
    name: 'an extension',
    steps: [
      'create extension if not exists plpgsql; create type fresh as enum ($$a$$)'.replaceAll(
        '$$',
        "'",
      ),
    ],
    effect: 'state',
  },
]

export const ATTEMPTS: Attempt[] = [
  ...REASONS.flatMap(([reason, sql]) =>
    DISGUISES.filter(([, , fits]) => fits === undefined || fits.test(sql)).map(
      ([disguise, wrap]): Attempt => ({
        name: `${reason}, ${disguise}`,
        steps: wrap(sql),
        effect: 'state',
      }),
    ),
  ),
  ...OWN,
]

/** What a database is: everything that an attempt might change, in one value. */
export const STATE = `
select md5(string_agg(part, '|' order by part)) as state from (
  select 'victim ' || v::text as part from victim v
  union all select 'file ' || concat(relname, relkind, relfilenode, relowner, relacl, relnatts) || coalesce(obj_description(oid, 'pg_class'), '') from pg_class where oid >= 16384 and relkind <> 't' and relname !~ '^pg_toast'
  union all select 'proc ' || concat(proname, oid) from pg_proc where oid >= 16384
  union all select 'type ' || typname from pg_type where oid >= 16384 and typtype = 'e'
  union all select 'role ' || concat(rolname, rolsuper) from pg_roles
  union all select 'lo ' || concat(loid, md5(data)) from (select m.oid as loid, l.data from pg_largeobject_metadata m left join pg_largeobject l on l.loid = m.oid) x
  union all select 'counter ' || concat(last_value, is_called) from counter
  union all select 'kept ' || concat(n) from kept
  union all select 'schema ' || nspname from pg_namespace where nspname !~ '^pg_(temp|toast)'
  union all select 'trigger ' || evtname from pg_event_trigger
  union all select 'setting ' || setconfig::text from pg_db_role_setting where setdatabase = (select oid from pg_database where datname = current_database())
) parts`
