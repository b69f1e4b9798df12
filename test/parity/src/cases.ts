/**
 * The corpus: what clients say to PostgreSQL, message by message. Each case runs on a connection of its own, first direct,
 * then through Custody, in two databases made from the same template. Only grows.
 */
import {
  bind,
  closeOf,
  copyData,
  copyDone,
  copyFail,
  describe,
  execute,
  flush,
  functionCall,
  int16,
  int32,
  message,
  parse,
  query,
  type RawConnection,
  sync,
} from './raw'

export interface Case {
  name: string
  parameters?: Record<string, string>
  /** Also run with every byte of the client sent by itself. */
  pieces?: boolean
  run(connection: RawConnection): Promise<void>
}

/** Made once in the template, so that both databases have the same identifiers. */
export const TEMPLATE = `
create table people (id int primary key, name text not null, born date, salary numeric(12,2), tags text[], photo bytea, extra jsonb);
insert into people select i, 'name ' || i, date '1970-01-01' + i, i * 1000.25, array['a' || i, null, 'ü'], decode(md5(i::text), 'hex'), jsonb_build_object('n', i, 'nested', jsonb_build_array(i, null, 'x')) from generate_series(1, 500) i;
create table notes (id serial primary key, body text, at timestamptz default '2026-01-01');
create table wide (${Array.from({ length: 60 }, (_, i) => `c${i} text`).join(', ')});
create table pgbench_branches (bid int primary key, bbalance int, filler char(88));
insert into pgbench_branches values (1, 0);
create table pgbench_accounts (aid int primary key, bid int, abalance int, filler char(84));
create type mood as enum ('sad', 'ok', 'happy');
create type pair as (a int, b text);
create domain positive as int check (value > 0);
create view rich as select id, name from people where salary > 100000;
create function add_one(i int) returns int language sql as 'select i + 1';
create function noisy(n int) returns int language plpgsql as $$ begin for i in 1..n loop raise notice 'note %', i; end loop; raise warning 'careful' using hint = 'be careful', detail = 'very'; return n; end $$;
create function fails(code text) returns void language plpgsql as $$ begin raise exception 'failed with %', code using errcode = code, hint = 'a hint', detail = 'a detail', table = 'people', column = 'name', constraint = 'c', schema = 'public', datatype = 'text'; end $$;
create function many(n int) returns setof int language sql as 'select generate_series(1, n)';
create procedure twice(inout a int) language plpgsql as $$ begin a := a * 2; commit; end $$;
create function note_insert() returns trigger language plpgsql as $$ begin raise notice 'inserted %', new.body; return new; end $$;
create trigger note_insert after insert on notes for each row execute function note_insert();
`

const simple = (name: string, ...texts: string[]): Case => ({
  name,
  async run(c) {
    for (const text of texts) await c.query(text)
  },
})

const TYPES: [type: string, ...literals: string[]][] = [
  ['bool', 'true', 'false', 'null'],
  ['int2', '-32768', '32767'],
  ['int4', '-2147483648', '2147483647', '0'],
  ['int8', '-9223372036854775808', '9223372036854775807'],
  ['float4', "'1.5'", "'NaN'", "'-Infinity'", "'1e-40'"],
  ['float8', "'0.1'", "'NaN'", "'Infinity'", "'1e300'"],
  ['numeric', "'0.000000000000000000001'", "'-12345678901234567890.5'", "'NaN'", "'Infinity'"],
  ['money', "'12.34'"],
  ['text', "''", "'plain'", "'ünï ☂ 漢字 😀'", "E'tab\\tnew\\nline'"],
  ['varchar(5)', "'abcde'"],
  ['char(5)', "'ab'"],
  ['"char"', "'x'"],
  ['name', "'a_name'"],
  ['bytea', "'\\x00ff10'", "''"],
  ['date', "'2026-02-28'", "'infinity'", "'4713-01-01 BC'"],
  ['time', "'23:59:59.999999'"],
  ['timetz', "'12:00:00+02'"],
  ['timestamp', "'2026-02-28 12:34:56.789'", "'-infinity'"],
  ['timestamptz', "'2026-02-28 12:34:56.789+00'"],
  ['interval', "'1 year 2 mons 3 days 04:05:06.7'", "'-1 day'"],
  ['uuid', "'0190b1c2-0000-7000-8000-000000000001'"],
  ['json', '\'{"a": [1, 2, null]}\''],
  ['jsonb', '\'{"b": {"c": "ü"}}\''],
  ['jsonpath', "'$.a[*]'"],
  ['xml', "'<a/>'"],
  ['inet', "'10.1.2.3/24'", "'2001:db8::1'"],
  ['cidr', "'10.1.0.0/16'"],
  ['macaddr', "'08:00:2b:01:02:03'"],
  ['bit(4)', "'1010'"],
  ['varbit', "'10101'"],
  ['point', "'(1,2)'"],
  ['box', "'(1,2),(3,4)'"],
  ['circle', "'<(1,2),3>'"],
  ['int4[]', "'{1,NULL,3}'", "'{}'", "'{{1,2},{3,4}}'"],
  ['text[]', '\'{"a b",NULL,"c\\"d"}\''],
  ['int4range', "'[1,10)'", "'empty'"],
  ['tstzrange', "'[2026-01-01,2026-02-01)'"],
  ['int4multirange', "'{[1,2),[5,7)}'"],
  ['tsvector', "'a fat cat'"],
  ['tsquery', "'fat & cat'"],
  ['oid', '4294967295'],
  ['regclass', "'people'"],
  ['pg_lsn', "'16/B374D848'"],
  ['mood', "'happy'"],
  ['pair', "'(1,two)'"],
  ['positive', '7'],
]

/** Asks for the type's binary form, then gives it back as a binary parameter. */
function binaryThere(type: string, literal: string): Case {
  return {
    name: `${type} ${literal} there and back in binary`,
    async run(c) {
      await c.send(
        parse(`select ${literal}::${type}`),
        bind([], { results: [1] }),
        describe('P'),
        execute(),
        sync(),
      )
      const row = await c.until(({ type: kind }) => kind === 'D' || kind === 'E')
      await c.ready()
      if (row.type === 'E') return
      const length = row.body.readInt32BE(2)
      const value = length < 0 ? null : row.body.subarray(6, 6 + length)
      await c.send(
        parse(`select $1::${type} as v, $1::${type} is null as n`),
        describe('S'),
        bind([value], { formats: [1], results: [1] }),
        execute(),
        bind([value], { formats: [1], results: [0] }),
        execute(),
        sync(),
      )
      await c.ready()
    },
  }
}

const types: Case[] = TYPES.flatMap(([type, ...literals]) =>
  literals.flatMap((literal) => [
    simple(`${type} ${literal} as text`, `select ${literal}::${type} as v`),
    binaryThere(type, literal),
  ]),
)

const simples: Case[] = [
  simple('empty string', ''),
  simple('only a comment', '-- nothing', '/* nothing */'),
  simple('only semicolons', ';;;'),
  simple('several statements', "select 1; select 'two'; select 3 where false"),
  simple('several with an error in the middle', 'select 1; select 1/0; select 3'),
  simple('several in an own transaction', 'begin; select 1; commit; select 2'),
  simple(
    'dml',
    "insert into notes(body) values ('a'), ('b') returning id, body",
    "update notes set body = 'c' where id = 1 returning *",
    'delete from notes returning id',
  ),
  simple(
    'merge',
    "merge into notes n using (values (1, 'm')) v(id, body) on n.id = v.id when matched then update set body = v.body when not matched then insert (body) values (v.body)",
  ),
  simple(
    'ddl',
    'create table t (i int)',
    'alter table t add column s text',
    'create index on t (i)',
    "comment on table t is 'x'",
    'truncate t',
    'drop table t',
  ),
  simple(
    'temporary table',
    'create temp table tt as select generate_series(1, 5) g',
    'select * from tt',
    'drop table tt',
  ),
  simple('no rows', 'select * from people where false'),
  simple('no columns', 'select from people limit 3'),
  simple(
    'wide rows',
    `insert into wide select ${Array.from({ length: 60 }, (_, i) => `'v${i}'`).join(', ')}`,
    'select * from wide',
  ),
  simple('many rows', 'select * from people order by id'),
  simple('very many rows', 'select g, md5(g::text) from generate_series(1, 20000) g'),
  simple('one large value', "select repeat('x', 3000000)"),
  simple('large statement', `select length('${'y'.repeat(300_000)}')`),
  simple('unicode identifiers', 'select 1 as "spalte ☂", 2 as U&"\\0041\\+01F600"'),
  simple('dollar quotes', "select $a$it's $$ here$a$"),
  simple('nested comments', 'select /* a /* b */ c */ 1 -- end'),
  simple('syntax error', 'selec 1', 'select 1'),
  simple(
    'error positions',
    'select nothing from people',
    'select * from nowhere',
    'select name + 1 from people',
  ),
  ...['22012', '23505', '42501', 'P0001', '57014', '40001', 'XX000'].map((code) =>
    simple(`error ${code} with every field`, `select fails('${code}')`),
  ),
  simple(
    'constraint errors',
    'insert into people(id) values (1)',
    "insert into people(id, name) values (1, 'x')",
    'select (-1)::positive',
  ),
  simple('error in a transaction', 'begin', 'select 1/0', 'select 1', 'rollback', 'select 1'),
  simple(
    'savepoints',
    'begin',
    'savepoint a',
    'select 1/0',
    'rollback to a',
    'select 2',
    'release a',
    'commit',
  ),
  simple('commit of a failed transaction', 'begin', 'select 1/0', 'commit'),
  simple(
    'notices and warnings',
    'select noisy(3)',
    "do $$ begin raise info 'info'; raise log 'log'; raise debug 'debug'; end $$",
  ),
  simple(
    'messages of a client that asked for more',
    'set client_min_messages = debug1',
    'select noisy(1)',
    'create temp table x (i serial)',
  ),
  simple('trigger notices', "insert into notes(body) values ('noted')"),
  simple(
    'settings reported',
    "set application_name = 'other'",
    "set timezone = 'Europe/Berlin'",
    "set datestyle = 'German'",
    "select date '2026-02-03'",
    "set intervalstyle = 'iso_8601'",
    "select interval '1 day'",
    'reset all',
    'show timezone',
  ),
  simple(
    'settings in a transaction',
    'begin',
    "set local timezone = 'Asia/Tokyo'",
    'show timezone',
    'rollback',
    'show timezone',
  ),
  simple(
    'client encoding',
    "set client_encoding = 'LATIN1'",
    "select 'caf\u00e9'",
    'select chr(9786)',
    "set client_encoding = 'UTF8'",
  ),
  simple('escape strings', 'set standard_conforming_strings = on', "select 'a\\b', E'a\\\\b'"),
  simple(
    'listen and notify oneself',
    'listen a',
    "notify a, 'payload'",
    "select pg_notify('a', 'again')",
    'unlisten *',
  ),
  simple(
    'notify inside a transaction',
    'listen b',
    'begin',
    "notify b, 'later'",
    'select 1',
    'commit',
  ),
  simple(
    'cursors',
    'begin',
    'declare c scroll cursor for select id from people order by id',
    'fetch 3 from c',
    'move 2 in c',
    'fetch backward 2 from c',
    'fetch all from c',
    'close c',
    'commit',
  ),
  simple('cursor with hold', 'declare h cursor with hold for select 1', 'fetch h', 'close h'),
  simple(
    'prepare and execute in SQL',
    'prepare p(int) as select $1 + 1',
    'execute p(1)',
    'execute p(2)',
    'deallocate p',
    'execute p(3)',
  ),
  simple(
    'explain',
    'explain (costs off) select * from people where id = 1',
    'explain (format json, costs off) select 1',
  ),
  simple('do block', 'do $$ begin perform 1; end $$'),
  simple('procedure', 'call twice(21)'),
  simple('set returning', 'select * from many(5)', 'select many(3), many(2)'),
  simple(
    'composite and arrays of them',
    "select row(1, 'a')::pair, array[row(1, 'x')::pair]",
    'select p from people p where id = 3',
  ),
  simple('view', 'select * from rich limit 2'),
  simple(
    'cte that writes',
    'with gone as (delete from notes returning *) select count(*) from gone',
  ),
  simple('select into', 'select 1 as a into temp into_t', 'select * from into_t'),
  simple(
    'for update and share',
    'begin',
    'select id from people where id = 1 for update',
    'select id from people where id = 2 for share',
    'commit',
  ),
  simple('roles', 'set role pg_read_all_data', 'select current_user', 'reset role'),
  simple(
    'search path',
    'create schema s2',
    'set search_path = s2, public',
    'create table people (only_here int)',
    'select * from people',
    'drop schema s2 cascade',
  ),
  simple(
    'lock and advisory lock',
    'begin',
    'lock table notes in exclusive mode',
    'select pg_advisory_xact_lock(1)',
    'commit',
  ),
  simple('vacuum and analyze', 'analyze notes', 'vacuum notes'),
  simple('show', 'show server_version', 'show search_path'),
  simple('values and table', "values (1, 'a'), (2, 'b')", 'table rich limit 1'),
  simple(
    'json functions',
    "select jsonb_path_query('[1,2,3]', '$[*] ? (@ > 1)')",
    'select * from jsonb_to_recordset(\'[{"a":1}]\') as x(a int)',
  ),
  simple(
    'window functions',
    'select id, sum(salary) over (order by id rows 2 preceding) from people order by id limit 5',
  ),
  simple(
    'recursive',
    'with recursive n(i) as (values (1) union all select i + 1 from n where i < 5) select * from n',
  ),
  simple(
    'large object functions',
    'begin',
    "select lo_from_bytea(99001, 'hello')",
    'select lo_get(99001)',
    'select lo_unlink(99001)',
    'commit',
  ),
  simple(
    'begin modes',
    'begin isolation level serializable read only deferrable',
    'select 1',
    "insert into notes(body) values ('no')",
    'rollback',
  ),
  simple('two-phase commit refused or not', 'begin', "prepare transaction 'x'"),
  simple(
    'copy to stdout',
    'copy (select id, name, tags from people order by id limit 5) to stdout',
    'copy people (id, name) to stdout (format csv, header, force_quote *)',
    'copy (select 1, null, true) to stdout (format binary)',
  ),
  simple('copy of nothing', 'copy (select 1 where false) to stdout'),
  simple(
    'copy that fails half-way',
    'copy (select 10 / (5 - g) from generate_series(1, 9) g) to stdout',
    'select 1',
  ),
  simple('copy in a string of several', 'select 1; copy (select 2) to stdout; select 3'),
  simple(
    'copy of many rows',
    'copy (select g, md5(g::text) from generate_series(1, 20000) g) to stdout',
  ),
]

const T = { int4: 23, int8: 20, text: 25, bytea: 17, unknown: 705 }

const extended: Case[] = [
  {
    name: 'unnamed statement and portal',
    pieces: true,
    async run(c) {
      await c.send(parse('select $1::int + 1'), bind(['41']), describe('P'), execute(), sync())
      await c.ready()
    },
  },
  {
    name: 'nothing but sync',
    async run(c) {
      await c.send(sync(), sync())
      await c.ready(2)
    },
  },
  {
    name: 'flush answers before sync',
    async run(c) {
      await c.send(parse('select 1'), describe('S'), flush())
      await c.until(({ type }) => type === 'T')
      await c.send(bind(), execute(), flush())
      await c.until(({ type }) => type === 'C')
      await c.send(sync())
      await c.ready()
    },
  },
  {
    name: 'named statement used again and again',
    pieces: true,
    async run(c) {
      await c.send(
        parse('select id, name from people where id = $1', 's1', [T.int4]),
        describe('S', 's1'),
        sync(),
      )
      await c.ready()
      for (const id of ['1', '2', '500', '501']) {
        await c.send(bind([id], { statement: 's1' }), execute(), sync())
        await c.ready()
      }
      await c.send(closeOf('S', 's1'), sync())
      await c.ready()
      await c.send(bind(['1'], { statement: 's1' }), sync())
      await c.ready()
    },
  },
  {
    name: 'statement prepared twice',
    async run(c) {
      await c.send(parse('select 1', 'd'), sync())
      await c.ready()
      await c.send(parse('select 2', 'd'), sync())
      await c.ready()
      await c.send(bind([], { statement: 'd' }), execute(), sync())
      await c.ready()
    },
  },
  {
    name: 'unnamed statement replaced',
    async run(c) {
      await c.send(parse('select 1'), parse('select 2'), bind(), execute(), sync())
      await c.ready()
    },
  },
  {
    name: 'statement dropped by SQL',
    async run(c) {
      await c.send(parse('select 1', 'q'), sync())
      await c.ready()
      await c.query('deallocate q')
      await c.send(bind([], { statement: 'q' }), execute(), sync())
      await c.ready()
    },
  },
  {
    name: 'discard all',
    async run(c) {
      await c.send(parse('select 1', 'q'), sync())
      await c.ready()
      await c.query('discard all')
      await c.send(bind([], { statement: 'q' }), execute(), sync())
      await c.ready()
    },
  },
  {
    name: 'prepared by SQL, bound by protocol',
    async run(c) {
      await c.query('prepare viasql(int) as select $1 * 3')
      await c.send(bind(['5'], { statement: 'viasql' }), describe('P'), execute(), sync())
      await c.ready()
    },
  },
  {
    name: 'prepared by protocol, executed by SQL',
    async run(c) {
      await c.send(parse('select $1::int * 4', 'viaproto'), sync())
      await c.ready()
      await c.query('execute viaproto(5)')
    },
  },
  {
    name: 'portal suspended and continued',
    pieces: true,
    async run(c) {
      await c.query('begin')
      await c.send(
        parse('select id from people order by id'),
        bind([], { portal: 'p' }),
        describe('P', 'p'),
        execute('p', 3),
        execute('p', 2),
        flush(),
      )
      await c.until(({ type }) => type === 's')
      await c.until(({ type }) => type === 's')
      await c.send(execute('p', 0), closeOf('P', 'p'), sync())
      await c.ready()
      await c.query('commit')
    },
  },
  {
    name: 'portal with exactly as many rows as asked',
    async run(c) {
      await c.query('begin')
      await c.send(
        parse('select generate_series(1, 3)'),
        bind([], { portal: 'p' }),
        execute('p', 3),
        execute('p', 3),
        sync(),
      )
      await c.ready()
      await c.query('commit')
    },
  },
  {
    name: 'two portals at once',
    async run(c) {
      await c.query('begin')
      await c.send(
        parse('select g from generate_series(1, 4) g', 's'),
        bind([], { portal: 'a', statement: 's' }),
        bind([], { portal: 'b', statement: 's' }),
        execute('a', 1),
        execute('b', 2),
        execute('a', 1),
        execute('b', 0),
        execute('a', 0),
        sync(),
      )
      await c.ready()
      await c.query('commit')
    },
  },
  {
    name: 'cursor by SQL, fetched by protocol',
    async run(c) {
      await c.query('begin')
      await c.query('declare cu cursor for select id from people order by id')
      await c.send(parse('fetch 2 from cu'), bind(), describe('P'), execute(), sync())
      await c.ready()
      await c.send(execute('cu', 2), sync())
      await c.ready()
      await c.query('commit')
    },
  },
  {
    name: 'pipeline of many',
    pieces: true,
    async run(c) {
      await c.send(
        ...Array.from({ length: 50 }, (_, i) =>
          Buffer.concat([parse(`select ${i}, $1::text`), bind([`v${i}`]), execute(), sync()]),
        ),
      )
      await c.ready(50)
    },
  },
  {
    name: 'pipeline with one sync',
    async run(c) {
      await c.send(
        parse('select $1::int', 's'),
        ...Array.from({ length: 30 }, (_, i) =>
          Buffer.concat([bind([String(i)], { statement: 's' }), execute()]),
        ),
        sync(),
      )
      await c.ready()
    },
  },
  {
    name: 'error in a pipeline skips to sync',
    pieces: true,
    async run(c) {
      await c.send(
        parse('select 1'),
        bind(),
        execute(),
        parse('select 1/0'),
        bind(),
        execute(),
        parse('select 3'),
        bind(),
        execute(),
        sync(),
        parse('select 4'),
        bind(),
        execute(),
        sync(),
      )
      await c.ready(2)
    },
  },
  {
    name: 'error at parse, bind, describe and execute',
    async run(c) {
      await c.send(parse('selec'), bind(), execute(), sync())
      await c.ready()
      await c.send(parse('select $1::int'), bind(['x']), execute(), sync())
      await c.ready()
      await c.send(describe('S', 'none'), sync())
      await c.ready()
      await c.send(execute('none'), sync())
      await c.ready()
      await c.send(parse('select 1/0'), bind(), execute(), sync())
      await c.ready()
    },
  },
  {
    name: 'wrong number of parameters',
    async run(c) {
      await c.send(parse('select $1::int'), bind(['1', '2']), execute(), sync())
      await c.ready()
    },
  },
  {
    name: 'error after rows were sent',
    async run(c) {
      await c.send(
        parse('select 10 / (5 - g) from generate_series(1, 9) g'),
        bind(),
        execute(),
        sync(),
      )
      await c.ready()
      await c.query('select 1')
    },
  },
  {
    name: 'empty statement',
    async run(c) {
      await c.send(parse(''), describe('S'), bind(), describe('P'), execute(), sync())
      await c.ready()
    },
  },
  {
    name: 'several statements are refused',
    async run(c) {
      await c.send(parse('select 1; select 2'), bind(), execute(), sync())
      await c.ready()
    },
  },
  {
    name: 'null, empty and unicode parameters',
    async run(c) {
      await c.send(
        parse('select $1::text is null, length($2::text), $3::text'),
        bind([null, '', 'ü☂😀']),
        execute(),
        sync(),
      )
      await c.ready()
    },
  },
  {
    name: 'mixed formats',
    async run(c) {
      await c.send(
        parse('select $1::int, $2::text, $3::int'),
        bind([int32(7), 'x', '9'], { formats: [1, 0, 0], results: [0, 1, 1] }),
        describe('P'),
        execute(),
        sync(),
      )
      await c.ready()
    },
  },
  {
    name: 'large parameter',
    async run(c) {
      await c.send(
        parse('select length($1), md5($1)', '', [T.text]),
        bind(['z'.repeat(2_000_000)]),
        execute(),
        sync(),
      )
      await c.ready()
    },
  },
  {
    name: 'many parameters',
    async run(c) {
      const n = 2000
      await c.send(
        parse(`select array[${Array.from({ length: n }, (_, i) => `$${i + 1}::int`).join(',')}]`),
        bind(Array.from({ length: n }, (_, i) => String(i))),
        execute(),
        sync(),
      )
      await c.ready()
    },
  },
  {
    name: 'dml with returning',
    async run(c) {
      await c.send(
        parse('insert into notes(body) values ($1) returning body'),
        describe('S'),
        bind(['x']),
        execute(),
        sync(),
      )
      await c.ready()
      await c.send(
        parse("update notes set body = $1 where body = 'x'"),
        describe('S'),
        bind(['y']),
        execute(),
        sync(),
      )
      await c.ready()
    },
  },
  {
    name: 'utility statements',
    async run(c) {
      for (const text of [
        'begin',
        'create temp table u (i int)',
        "set local work_mem = '1MB'",
        'commit',
        'show work_mem',
      ]) {
        await c.send(parse(text), describe('S'), bind(), describe('P'), execute(), sync())
        await c.ready()
      }
    },
  },
  {
    name: 'describe before types are known',
    async run(c) {
      await c.send(parse('select $1 + 1, $2 || $3'), describe('S'), sync())
      await c.ready()
    },
  },
  {
    name: 'simple query amid extended ones',
    async run(c) {
      await c.send(
        parse('select 1', 'k'),
        bind([], { statement: 'k' }),
        execute(),
        sync(),
        query('select 2'),
        bind([], { statement: 'k' }),
        execute(),
        sync(),
      )
      await c.ready(3)
    },
  },
  {
    name: 'implicit transaction of a pipeline',
    async run(c) {
      await c.send(
        parse("insert into notes(body) values ('kept?')"),
        bind(),
        execute(),
        parse('select 1/0'),
        bind(),
        execute(),
        sync(),
      )
      await c.ready()
      await c.query("select count(*) from notes where body = 'kept?'")
    },
  },
  {
    name: 'close of things that are not there',
    async run(c) {
      await c.send(closeOf('S', 'no'), closeOf('P', 'no'), sync())
      await c.ready()
    },
  },
  {
    name: 'notices inside a pipeline',
    async run(c) {
      await c.send(
        parse('select noisy(2)'),
        bind(),
        execute(),
        parse('select 1'),
        bind(),
        execute(),
        sync(),
      )
      await c.ready()
    },
  },
  {
    name: 'row description with binary results',
    async run(c) {
      await c.send(
        parse('select * from people where id < 4 order by id'),
        describe('S'),
        bind([], { results: [1] }),
        describe('P'),
        execute(),
        sync(),
      )
      await c.ready()
    },
  },
]

const copies: Case[] = [
  {
    name: 'copy in as text',
    pieces: true,
    async run(c) {
      await c.send(query('copy notes (body) from stdin'))
      await c.until(({ type }) => type === 'G')
      await c.send(copyData('one\ntwo\n'), copyData('th'), copyData('ree\n\\N\n'), copyDone())
      await c.ready()
      await c.query('select body from notes order by id')
    },
  },
  {
    name: 'copy in without waiting',
    async run(c) {
      await c.send(
        query('copy notes (body) from stdin'),
        copyData('ahead\n'),
        copyDone(),
        query('select count(*) from notes'),
      )
      await c.ready(2)
    },
  },
  {
    name: 'copy in as csv',
    async run(c) {
      await c.send(query('copy people (id, name, tags) from stdin (format csv, header)'))
      await c.until(({ type }) => type === 'G')
      await c.send(
        copyData('id,name,tags\n9001,"quo""ted","{a,b}"\n9002,"new\nline",\n'),
        copyDone(),
      )
      await c.ready()
      await c.query('select id, name, tags from people where id > 9000 order by id')
    },
  },
  {
    name: 'copy in as binary',
    async run(c) {
      await c.send(query('copy notes (id) from stdin (format binary)'))
      await c.until(({ type }) => type === 'G')
      await c.send(
        copyData(
          Buffer.concat([
            Buffer.from('PGCOPY\n\xff\r\n\0', 'latin1'),
            int32(0),
            int32(0),
            int16(1),
            int32(4),
            int32(770001),
            int16(-1),
          ]),
        ),
        copyDone(),
      )
      await c.ready()
      await c.query('select id from notes where id = 770001')
    },
  },
  {
    name: 'copy in given up',
    async run(c) {
      await c.send(query('copy notes (body) from stdin'))
      await c.until(({ type }) => type === 'G')
      await c.send(copyData('x\n'), copyFail('changed my mind'))
      await c.ready()
      await c.query('select 1')
    },
  },
  {
    name: 'copy in with bad data, more sent after the error',
    async run(c) {
      await c.send(query('copy people (id, name) from stdin'))
      await c.until(({ type }) => type === 'G')
      await c.send(copyData('not a number\tx\n'))
      await c.send(copyData('2\ty\n'), copyDone())
      await c.ready()
      await c.query('select 1')
    },
  },
  {
    name: 'copy in of many rows',
    async run(c) {
      await c.send(query('copy notes (body) from stdin'))
      await c.until(({ type }) => type === 'G')
      await c.send(
        ...Array.from({ length: 200 }, (_, i) => copyData(`${'r'.repeat(1000)}${i}\n`.repeat(20))),
        copyDone(),
      )
      await c.ready()
    },
  },
  {
    name: 'copy in by the extended protocol',
    async run(c) {
      await c.send(parse('copy notes (body) from stdin'), bind(), describe('P'), execute(), sync())
      await c.until(({ type }) => type === 'G')
      await c.send(copyData('ext\n'), copyDone(), sync())
      await c.ready()
    },
  },
  {
    name: 'copy out by the extended protocol',
    async run(c) {
      await c.send(parse('copy (select 1, 2) to stdout'), bind(), execute(), sync())
      await c.ready()
    },
  },
  {
    name: 'two copies in one string',
    async run(c) {
      await c.send(query('copy notes (body) from stdin; copy (select 7) to stdout'))
      await c.until(({ type }) => type === 'G')
      await c.send(copyData('t\n'), copyDone())
      await c.ready()
    },
  },
  {
    name: 'copy to nowhere',
    async run(c) {
      await c.send(query('copy nowhere from stdin'), query('select 1'))
      await c.ready(2)
    },
  },
]

const others: Case[] = [
  {
    name: 'function call',
    pieces: true,
    async run(c) {
      await c.send(functionCall(177, ['20', '22']))
      await c.ready()
      await c.send(functionCall(177, [int32(1), int32(2)], [1], 1))
      await c.ready()
    },
  },
  {
    name: 'function call that fails',
    async run(c) {
      await c.send(functionCall(154, ['1', '0']))
      await c.ready()
      await c.send(functionCall(999999, []))
      await c.ready()
    },
  },
  {
    name: 'function call with null',
    async run(c) {
      await c.send(functionCall(177, [null, '1']))
      await c.ready()
    },
  },
  {
    name: 'large objects by function call',
    async run(c) {
      await c.query('begin')
      await c.query('select lo_create(88001)')
      await c.send(functionCall(952, [int32(88001), int32(0x60000)], [1], 1))
      await c.ready()
      await c.send(functionCall(955, [int32(0), 'written by fastpath'], [1], 1))
      await c.ready()
      await c.send(functionCall(956, [int32(0), int32(0), int32(0)], [1], 1))
      await c.ready()
      await c.send(functionCall(954, [int32(0), int32(100)], [1], 1))
      await c.ready()
      await c.query('select lo_unlink(88001)')
      await c.query('commit')
    },
  },
  {
    name: 'cancel of a running query',
    async run(c) {
      await c.send(query('select pg_sleep(30)'))
      await new Promise((resolve) => setTimeout(resolve, 150))
      await c.cancel()
      await c.ready()
      await c.query('select 1')
    },
  },
  {
    name: 'cancel of nothing',
    async run(c) {
      await c.cancel()
      await c.query('select 1')
    },
  },
  {
    name: 'statement timeout',
    async run(c) {
      await c.query("set statement_timeout = '50ms'")
      await c.query('select pg_sleep(5)')
      await c.query('reset statement_timeout')
    },
  },
  {
    name: 'ended by the server',
    async run(c) {
      await c.send(query('select pg_terminate_backend(pg_backend_pid())'))
      await c.until(({ type }) => type === 'E')
    },
  },
  {
    name: 'ended by an idle-in-transaction timeout',
    async run(c) {
      await c.query("set idle_in_transaction_session_timeout = '60ms'")
      await c.query('begin')
      await c.until(({ type }) => type === 'E')
    },
  },
  {
    name: 'listens in another encoding',
    parameters: { client_encoding: 'LATIN1' },
    async run(c) {
      await c.query("select 'a'")
      await c.query('listen x')
      await c.query("notify x, 'p'")
    },
  },
  {
    name: 'start-up options',
    parameters: {
      options: '-c search_path=pg_catalog -c statement_timeout=7s',
      application_name: 'parity ☂',
    },
    async run(c) {
      await c.query('show search_path')
      await c.query('show statement_timeout')
      await c.query('show application_name')
    },
  },
  {
    name: 'start-up settings',
    parameters: { TimeZone: 'Asia/Kolkata', DateStyle: 'SQL, DMY', extra_float_digits: '0' },
    async run(c) {
      await c.query("select timestamptz '2026-01-02 03:04:05+00', 0.1::float8")
    },
  },
  {
    name: 'many small queries without waiting',
    pieces: true,
    async run(c) {
      await c.send(...Array.from({ length: 100 }, (_, i) => query(`select ${i}`)))
      await c.ready(100)
    },
  },
  {
    name: 'query with an odd message in between',
    async run(c) {
      await c.send(copyDone(), copyData('stray'), query('select 1'))
      await c.ready()
    },
  },
  {
    name: 'terminate in a transaction',
    async run(c) {
      await c.query('begin')
      await c.query("insert into notes(body) values ('lost')")
      await c.send(message('X'))
    },
  },
]

const u16 = (n: number): Buffer => {
  const bytes = Buffer.alloc(2)
  bytes.writeUInt16BE(n)
  return bytes
}

/** Where a name means another statement than it seems to: the record must not be led astray. */
const names: Case[] = [
  {
    name: 'a name used again after DEALLOCATE and PREPARE',
    async run(c) {
      await c.send(parse('select 1 as innocent', 'a'), sync())
      await c.ready()
      await c.query('deallocate a')
      await c.query("prepare a as delete from notes where body = 'TRUE-A'")
      await c.send(bind([], { statement: 'a' }), execute(), sync())
      await c.ready()
    },
  },
  {
    name: 'a name used again after DISCARD ALL and PREPARE',
    async run(c) {
      await c.send(parse('select 1 as innocent', 'b'), sync())
      await c.ready()
      await c.query('discard all')
      await c.query("prepare b as delete from notes where body = 'TRUE-B'")
      await c.send(bind([], { statement: 'b' }), execute(), sync())
      await c.ready()
    },
  },
  {
    name: 'two skipped Parses of a name in use',
    async run(c) {
      await c.send(parse("delete from notes where body = 'TRUE-C'", 'd'), sync())
      await c.ready()
      await c.send(
        parse('selec'),
        parse('select 1 as innocent', 'd'),
        parse('select 2 as innocent', 'd'),
        sync(),
      )
      await c.ready()
      await c.send(bind([], { statement: 'd' }), execute(), sync())
      await c.ready()
    },
  },
  {
    name: 'a skipped Close of a name in use',
    async run(c) {
      await c.send(parse("delete from notes where body = 'TRUE-D'", 'e'), sync())
      await c.ready()
      await c.send(parse('selec'), closeOf('S', 'e'), sync())
      await c.ready()
      await c.send(bind([], { statement: 'e' }), execute(), sync())
      await c.ready()
    },
  },
  {
    name: 'a skipped Bind over a living portal',
    async run(c) {
      await c.send(
        parse("delete from notes where body = 'TRUE-E'", 'f'),
        parse('select 1 as innocent', 'g'),
        sync(),
      )
      await c.ready()
      await c.query('begin')
      await c.send(bind([], { portal: 'p', statement: 'f' }), sync())
      await c.ready()
      await c.query('savepoint s')
      await c.send(parse('selec'), bind([], { portal: 'p', statement: 'g' }), sync())
      await c.ready()
      await c.query('rollback to s')
      await c.send(execute('p'), sync())
      await c.ready()
      await c.query('commit')
    },
  },
  {
    name: 'a Parse that fails for its name, and the next group already sent',
    async run(c) {
      await c.send(parse("delete from notes where body = 'TRUE-G'", 'h'), sync())
      await c.ready()
      await c.send(
        parse('select 1 as innocent', 'h'),
        sync(),
        bind([], { statement: 'h' }),
        execute(),
        sync(),
      )
      await c.ready(2)
    },
  },
  {
    name: 'an unnamed statement whose Parse is skipped, and the next group already sent',
    async run(c) {
      await c.send(parse("delete from notes where body = 'TRUE-H'"), sync())
      await c.ready()
      await c.send(
        execute('none'),
        parse('select 1 as innocent'),
        sync(),
        bind(),
        execute(),
        sync(),
      )
      await c.ready(2)
    },
  },
  {
    name: 'strings under a setting that changes in the same packet',
    async run(c) {
      await c.query('set standard_conforming_strings = off')
      await c.send(query('set standard_conforming_strings = on'), query("select '\\' as v"))
      await c.ready(2)
    },
  },
  {
    name: 'a large answer of a function call',
    async run(c) {
      await c.query('begin')
      await c.query("select lo_from_bytea(77001, decode(repeat('ab', 2000000), 'hex'))")
      await c.send(functionCall(952, [int32(77001), int32(0x60000)], [1], 1))
      await c.ready()
      await c.send(functionCall(954, [int32(0), int32(1500000)], [1], 1))
      await c.ready()
      await c.query('select lo_unlink(77001)')
      await c.query('commit')
    },
  },
  {
    name: '40,000 parameters, without formats and with',
    async run(c) {
      const n = 40_000
      const value = Buffer.concat([int32(1), Buffer.from('1')])
      for (const formats of [
        Buffer.concat([u16(0)]),
        Buffer.concat([u16(n), Buffer.alloc(2 * n)]),
      ]) {
        await c.send(
          parse(
            `select cardinality(array[${Array.from({ length: n }, (_, i) => `$${i + 1}::int`).join(',')}])`,
          ),
          message(
            'B',
            Buffer.from('\0\0'),
            formats,
            u16(n),
            ...Array.from({ length: n }, () => value),
            u16(0),
          ),
          execute(),
          sync(),
        )
        await c.ready()
      }
    },
  },
  {
    name: '12,000 portals over as many transactions as fit',
    async run(c) {
      for (let i = 0; i < 12; i++) {
        await c.query('begin')
        await c.send(
          ...Array.from({ length: 1000 }, (_, j) =>
            Buffer.concat([parse('select 1'), bind([], { portal: `p${i}_${j}` })]),
          ),
          sync(),
        )
        await c.ready()
        await c.query('commit')
      }
    },
  },
  {
    name: '12,000 names, deallocated in between',
    async run(c) {
      for (let i = 0; i < 12; i++) {
        await c.send(
          ...Array.from({ length: 1000 }, (_, j) => parse('select 1', `s${i}_${j}`)),
          sync(),
        )
        await c.ready()
        await c.query('deallocate all')
      }
    },
  },
  {
    name: 'ended by the server amid a pipeline',
    async run(c) {
      await c.send(
        query('select pg_terminate_backend(pg_backend_pid())'),
        query('select 1'),
        query('select 2'),
      )
      await c.closes()
    },
  },
  {
    name: 'half-closed after a question',
    async run(c) {
      await c.send(query('select 1'))
      await c.ready()
      await c.send(query('select 2'), message('X'))
      await c.closes()
    },
  },
]

export const cases: Case[] = [...simples, ...types, ...extended, ...copies, ...others, ...names]
