/** Ways of the protocol: the same rows in every kind of message. */
import {
  bind,
  closeOf,
  copyDone,
  describe,
  execute,
  flush,
  functionCall,
  int32,
  parse,
  query,
  sync,
} from '@custody/parity'
import { MASKED_COLUMNS } from '../fixture'
import { extended, grouped, list, type PostgresWay, simple, type Unsorted, undone } from './ways'

const ALL = 'select * from canary.customers order by id'

const plain = list([
  ['all columns', ALL],
  ['table', 'table canary.customers'],
  ['only', 'select * from only canary.customers'],
  ['two statements in one message', 'select 1; select name, email from canary.customers; select 2'],
  ['a transaction in one message', 'begin; select secret from canary.customers; commit'],
  ['under another name', 'select x.e as harmless from (select email as e from canary.customers) x'],
  ['renamed to an unmasked one', 'select name as plain, email as city from canary.customers'],
  ['columns renamed by the alias', 'select c2 from canary.customers as t(c1, c2)'],
  ['no name at all', 'select name || $$$$ from canary.customers'],
  ['in a search path', 'set search_path to canary, public', 'select name from customers'],
  [
    'search path of the transaction',
    'begin; set local search_path to canary; select secret from customers; commit',
  ],
  ['in odd case', 'SELECT NaMe FROM CaNaRy.CuStOmErS'],
  ['quoted', 'select "name", "customers"."secret" from "canary"."customers"'],
  ['with Unicode escapes', `select U&"n\\0061me" from canary.U&"customer\\0073"`],
  [
    'with the database named',
    `do $$ begin execute format('create temp view v as select name from %I.canary.customers', current_database()); end $$`,
    'select * from v',
  ],
  [
    'behind comments',
    'select /* id */ name -- plain\n from /* other /* nested */ */ canary.customers',
  ],
  ['sorted and limited', 'select phone from canary.customers order by phone desc limit 1 offset 1'],
  ['with ties', 'select phone from canary.customers order by id fetch first 1 rows with ties'],
  ['distinct', 'select distinct token from canary.customers'],
  ['distinct on', 'select distinct on (city) account, salary from canary.customers'],
  ['sampled', 'select name from canary.customers tablesample bernoulli (100)'],
  ['locked', 'begin; select name from canary.customers for update; rollback'],
  ['by the end of its name', 'select email from canary.orders'],
  ['grouped', 'select email, count(*) from canary.customers group by email'],
  [
    'grouping sets',
    'select name, secret, count(*) from canary.customers group by rollup (name, secret)',
  ],
  [
    'in a where clause',
    "select 'found' || id, card_number from canary.customers where card_number > '0'",
  ],
  ['system columns', 'select ctid, xmin, tableoid::regclass, name from canary.customers'],
  ['the same column twice', 'select name, name, email, email from canary.customers'],
])

const styles = [
  ...['iso, dmy', 'sql, mdy', 'german', 'postgres, ymd'].map((style) =>
    simple(`date style ${style}`, [
      `set datestyle to ${style}`,
      'select born from canary.customers',
    ]),
  ),
  simple('bytea as escapes', ['set bytea_output to escape', 'select blob from canary.customers']),
  simple('client encoding latin1', [
    'set client_encoding to latin1',
    'select secret, name from canary.customers',
  ]),
  simple('client encoding win1252', [
    'set client_encoding to win1252',
    'select secret, email from canary.customers',
  ]),
  simple('without standard strings', [
    'set standard_conforming_strings to off',
    'select name from canary.customers',
  ]),
  simple('XML as documents', ['set xmloption to document', 'select doc from canary.customers']),
  simple('with parallel workers', [
    'set debug_parallel_query to on',
    'set force_parallel_mode to on',
    'select name from canary.customers',
  ]),
]

const columns: Unsorted[] = MASKED_COLUMNS.flatMap((column) => {
  const sql = `select ${column} from canary.customers order by id`
  return [
    extended(`${column} as text`, sql),
    // XML and hstore have no other way of being binary than the server's own.
    extended(`${column} as binary`, sql, { results: [1] }),
  ]
})

const MIXED = `select id, name, account, blob, email from canary.customers order by id`
const BY_ID = 'select name, email, account from canary.customers where id = $1'

const extendedWays: Unsorted[] = [
  extended('all columns as text', ALL),
  extended('all columns as binary', ALL, { results: [1] }),
  extended('a format for each column', MIXED, { results: [1, 0, 1, 0, 1] }),
  extended('the other formats', MIXED, { results: [0, 1, 0, 1, 0] }),
  extended('the statement described', ALL, { describes: 'statement' }),
  extended('both described', ALL, { describes: 'both' }),
  extended('nothing described', ALL, { describes: 'nothing' }),
  extended('nothing described, as binary', ALL, { describes: 'nothing', results: [1] }),
  extended('the statement described, as binary', ALL, { describes: 'statement', results: [1] }),
  extended('a parameter as text', BY_ID, { values: ['1'] }),
  extended('a parameter as binary', BY_ID, { values: [int32(2)], formats: [1], results: [1] }),
  extended('a parameter of another type', 'select name from canary.customers where id::text = $1', {
    values: ['1'],
  }),
  extended('a parameter with its type named', 'select secret from canary.customers where id = $1', {
    values: ['1'],
    types: [20],
  }),
  extended('a parameter beside a column', 'select $1::text || name from canary.customers', {
    values: ['x'],
  }),
  extended(
    'a parameter chooses',
    'select case when $1::bool then email else plain end from canary.customers',
    { values: ['t'] },
  ),
  extended(
    'an array of parameters',
    'select name from canary.customers where id = any($1::int[])',
    { values: ['{1,2}'] },
  ),
  {
    name: 'portals suspended row by row',
    async run(to) {
      const c = await to.raw()
      await c.send(
        parse(ALL),
        bind(),
        describe('P'),
        execute('', 1),
        execute('', 1),
        execute('', 1),
        sync(),
      )
      await c.ready()
    },
  },
  {
    name: 'a suspended portal, with other statements between',
    async run(to) {
      const c = await to.raw()
      await c.query('begin')
      await c.send(
        parse(ALL, 's'),
        bind([], { portal: 'p', statement: 's' }),
        execute('p', 1),
        sync(),
      )
      await c.ready()
      await c.send(parse('select 1'), bind(), describe('P'), execute(), execute('p', 1), sync())
      await c.ready()
      await c.send(execute('p', 0), sync())
      await c.ready()
      await c.query('commit')
    },
  },
  {
    name: 'a statement bound twice, in two formats',
    async run(to) {
      const c = await to.raw()
      await c.send(parse(ALL, 's'), describe('S', 's'), sync())
      await c.ready()
      await c.send(
        bind([], { statement: 's' }),
        execute(),
        bind([], { statement: 's', results: [1] }),
        execute(),
        sync(),
      )
      await c.ready()
    },
  },
  {
    name: 'a statement described in one batch, run in another',
    async run(to) {
      const c = await to.raw()
      await c.send(parse(ALL, 's'), sync())
      await c.ready()
      await c.send(describe('S', 's'), sync())
      await c.ready()
      await c.send(bind([], { statement: 's' }), execute(), sync())
      await c.ready()
    },
  },
  {
    name: 'a harmless statement described, another one run',
    async run(to) {
      const c = await to.raw()
      await c.send(
        parse('select plain from canary.customers', 'a'),
        parse('select name from canary.customers', 'b'),
        describe('S', 'a'),
        bind([], { portal: 'p', statement: 'b' }),
        execute('p'),
        sync(),
      )
      await c.ready()
    },
  },
  {
    name: 'a name used again for another statement',
    async run(to) {
      const c = await to.raw()
      await c.send(
        parse('select plain from canary.customers', 's'),
        describe('S', 's'),
        bind([], { statement: 's' }),
        execute(),
        closeOf('S', 's'),
        parse('select secret from canary.customers', 's'),
        bind([], { statement: 's' }),
        execute(),
        sync(),
      )
      await c.ready()
    },
  },
  {
    name: 'the unnamed statement replaced',
    async run(to) {
      const c = await to.raw()
      await c.send(
        parse('select plain from canary.customers'),
        describe('S'),
        parse('select phone from canary.customers'),
        bind(),
        execute(),
        sync(),
      )
      await c.ready()
    },
  },
  {
    name: 'many in one pipeline',
    async run(to) {
      const c = await to.raw()
      await c.send(
        ...MASKED_COLUMNS.flatMap((column) => [
          parse(`select ${column} from canary.customers`),
          bind(),
          describe('P'),
          execute(),
        ]),
        sync(),
      )
      await c.ready()
    },
  },
  {
    name: 'a pipeline of several syncs',
    async run(to) {
      const c = await to.raw()
      await c.send(
        parse('select 1'),
        bind(),
        execute(),
        sync(),
        parse(ALL),
        bind(),
        execute(),
        sync(),
        query('select name from canary.customers'),
      )
      await c.ready(3)
    },
  },
  {
    name: 'flushed instead of synced',
    async run(to) {
      const c = await to.raw()
      await c.send(parse(ALL), bind(), describe('P'), execute(), flush())
      await c.until(({ type }) => type === 'C' || type === 'E')
      await c.send(sync())
      await c.ready()
    },
  },
  {
    name: 'a portal of the extended protocol fetched by SQL',
    async run(to) {
      const c = await to.raw()
      await c.query('begin')
      await c.send(parse(ALL), bind([], { portal: 'p' }), sync())
      await c.ready()
      await c.query('fetch all from p')
      await c.query('commit')
    },
  },
  {
    name: 'a cursor of SQL run as a portal',
    async run(to) {
      const c = await to.raw()
      await c.query('begin')
      await c.query(`declare p cursor for ${ALL}`)
      await c.send(describe('P', 'p'), execute('p'), sync())
      await c.ready()
      await c.query('rollback')
    },
  },
  {
    name: 'a statement prepared by SQL, bound',
    async run(to) {
      const c = await to.raw()
      await c.query(`prepare s as ${ALL}`)
      await c.send(bind([], { statement: 's', results: [1] }), execute(), sync())
      await c.ready()
    },
  },
  {
    name: 'a statement parsed, executed by SQL',
    async run(to) {
      const c = await to.raw()
      await c.send(parse(BY_ID, 's'), sync())
      await c.ready()
      await c.query('execute s (1)')
    },
  },
  {
    name: 'an error in the batch, then the rows',
    async run(to) {
      const c = await to.raw()
      await c.send(
        parse('select 1/0'),
        bind(),
        execute(),
        parse(ALL),
        bind(),
        execute(),
        sync(),
        parse(ALL),
        bind(),
        execute(),
        sync(),
      )
      await c.ready(2)
    },
  },
  {
    name: 'prepared, then the table is renamed and another takes its name',
    fresh: true,
    async run(to) {
      const c = await to.raw()
      await c.send(parse('select body from canary.copies', 's'), describe('S', 's'), sync())
      await c.ready()
      await c.query(
        'alter table canary.copies rename to copies_gone; create view canary.copies as select id, name as body from canary.customers',
      )
      await c.send(bind([], { statement: 's' }), execute(), sync())
      await c.ready()
    },
  },
  {
    name: 'prepared, then the search path changes',
    fresh: true,
    async run(to) {
      const c = await to.raw()
      await c.query(
        'create schema ours; create table ours.customers (name text); insert into ours.customers values (1)',
      )
      await c.query('set search_path to ours')
      await c.send(
        parse('select name from customers', 's'),
        bind([], { statement: 's' }),
        execute(),
        sync(),
      )
      await c.ready()
      await c.query('set search_path to canary')
      await c.send(bind([], { statement: 's' }), execute(), sync())
      await c.ready()
    },
  },
  {
    name: 'asked byte by byte',
    async run(to) {
      const c = await to.raw()
      for (const byte of query('select name from canary.customers'))
        await c.send(Buffer.from([byte]))
      await c.ready()
    },
  },
]

const cursors: Unsorted[] = [
  ...undone([
    ['fetch', 'declare c cursor for select name from canary.customers', 'fetch all from c'],
    [
      'fetch one by one',
      'declare c cursor for select email from canary.customers',
      'fetch next from c',
      'fetch c',
      'fetch 1 c',
    ],
    [
      'fetch backward',
      'declare c scroll cursor for select email, id from canary.customers',
      'move forward all in c',
      'fetch backward all from c',
    ],
    [
      'fetch last',
      'declare c scroll cursor for select secret from canary.customers',
      'fetch last from c',
    ],
    [
      'fetch absolute and relative',
      'declare c scroll cursor for select phone from canary.customers',
      'fetch absolute 2 from c',
      'fetch relative -1 from c',
    ],
    [
      'fetch prior',
      'declare c scroll cursor for select phone from canary.customers',
      'move 2 in c',
      'fetch prior from c',
    ],
    [
      'binary cursor',
      'declare c binary cursor for select * from canary.customers',
      'fetch all from c',
    ],
    [
      'binary cursor of numbers',
      'declare c binary cursor for select salary, account, born, token from canary.customers',
      'fetch 2 from c',
    ],
    [
      'insensitive',
      'declare c insensitive cursor for select card_number from canary.customers',
      'fetch all c',
    ],
    ['of a function', 'select canary.pl_cursor()', 'fetch all from told'],
    [
      'of a join',
      'declare c cursor for select o.id, c.name from canary.orders o join canary.customers c on c.id = o.customer_id',
      'fetch all c',
    ],
    [
      'for update, current of',
      'declare c cursor for select id, name from canary.customers for update',
      'fetch 1 c',
      'update canary.customers set plain = name where current of c returning plain',
    ],
    [
      'opened by a block',
      `do $$ declare c refcursor := 'here'; begin open c for select name from canary.customers; end $$`,
      'fetch all from here',
    ],
    [
      'two at once',
      'declare a cursor for select plain from canary.customers',
      'declare b cursor for select name from canary.customers',
      'fetch 1 a',
      'fetch 1 b',
      'fetch 1 a',
      'fetch all b',
    ],
    [
      'closed and opened under the same name',
      'declare c cursor for select plain from canary.customers',
      'fetch 1 c',
      'close c',
      'declare c cursor for select name from canary.customers',
      'fetch 1 c',
    ],
    [
      'of a prepared statement',
      'prepare p as select name from canary.customers',
      `do $$ declare c refcursor := 'dyn'; begin open c for execute 'execute p'; exception when others then open c for execute 'select name from canary.customers'; end $$`,
      'fetch all dyn',
    ],
  ]),
  simple('with hold', [
    'declare c cursor with hold for select name from canary.customers',
    'fetch all from c',
    'close c',
  ]),
  {
    name: 'fetched in the extended protocol',
    async run(to) {
      const c = await to.raw()
      await c.query('begin; declare c cursor for select name, account from canary.customers')
      await c.send(
        parse('fetch 2 from c'),
        bind([], { results: [1] }),
        describe('P'),
        execute(),
        sync(),
      )
      await c.ready()
      await c.query('rollback')
    },
  },
]

const prepared = list([
  ['prepared and executed', 'prepare p as select * from canary.customers', 'execute p'],
  [
    'with a parameter',
    'prepare p (int) as select name from canary.customers where id = $1',
    'execute p (1)',
  ],
  [
    'six times, to a plan for all',
    'prepare p (int) as select name from canary.customers where id = $1',
    ...Array.from({ length: 6 }, (_, i) => `execute p (${1 + (i % 3)})`),
  ],
  [
    'executed into a table',
    'prepare p as select name from canary.customers',
    'create temp table t as execute p',
    'select * from t',
  ],
  [
    'a parameter as a column',
    'prepare p (text) as select $1, (select name from canary.customers where id = 1)',
    "execute p ('x')",
  ],
  [
    'deallocated and prepared otherwise',
    'prepare p as select plain from canary.customers',
    'execute p',
    'deallocate p',
    'prepare p as select email from canary.customers',
    'execute p',
  ],
  [
    'prepared in a block',
    `do $$ begin execute 'prepare inside as select secret from canary.customers'; end $$`,
    'execute inside',
  ],
])

const copy = list([
  ['text', 'copy canary.customers to stdout'],
  ['csv', 'copy canary.customers to stdout csv'],
  ['csv with a header', 'copy canary.customers to stdout (format csv, header)'],
  [
    'csv, quoted',
    "copy canary.customers to stdout (format csv, force_quote *, quote '''', escape '\\')",
  ],
  ['binary', 'copy canary.customers to stdout (format binary)'],
  ['binary, old words', 'copy binary canary.customers to stdout'],
  ['some columns', 'copy canary.customers (plain, name, id, email) to stdout'],
  [
    'some columns, binary',
    'copy canary.customers (account, salary, born, token) to stdout (format binary)',
  ],
  ['a query', 'copy (select email, name from canary.customers) to stdout'],
  [
    'a query in binary',
    'copy (select account, name from canary.customers) to stdout (format binary)',
  ],
  [
    'a query with another delimiter',
    "copy (select secret, phone from canary.customers) to stdout delimiter '|' null 'none'",
  ],
  [
    'a query in csv',
    "copy (select c from canary.customers c) to stdout (format csv, delimiter ';')",
  ],
  ['a view', 'copy (select * from canary.people) to stdout'],
  ['a materialised view', 'copy (table canary.kept) to stdout'],
  ['with an encoding', "copy canary.customers to stdout (encoding 'LATIN1')"],
  [
    'a query with returning',
    "begin; copy (update canary.customers set city = 'Graz' returning name) to stdout; rollback",
  ],
  ['an expression', 'copy (select reverse(name), id from canary.customers) to stdout'],
  ['a partition', 'copy canary.logins_1 to stdout'],
  ['a query on a partitioned table', 'copy (select * from canary.logins) to stdout'],
  [
    'values and a subquery',
    'copy (values (1, (select name from canary.customers where id = 1))) to stdout',
  ],
  ['json', 'copy (select to_json(c) from canary.customers c) to stdout'],
  ['an inheriting table', 'copy canary.vip to stdout'],
  [
    'several in one message',
    'copy canary.logins_1 to stdout; copy (select name from canary.customers) to stdout; select 1',
  ],
])

const copyProtocol: Unsorted[] = [
  extended('in the extended protocol', 'copy canary.customers to stdout', { describes: 'nothing' }),
  extended(
    'in binary, in the extended protocol',
    'copy canary.customers to stdout (format binary)',
  ),
  {
    name: 'from the client, its trigger answers',
    fresh: true,
    async run(to) {
      const c = await to.raw()
      await c.send(query('copy canary.notices (body) from stdin'))
      await c.until(({ type }) => type === 'G' || type === 'E')
      await c.send(Buffer.from('d\0\0\0\x07hi\n', 'latin1'), copyDone())
      await c.ready()
    },
  },
]

/** FunctionCall by its name; the number is asked for first. */
const fast = (
  name: string,
  procedure: string,
  values: (string | Buffer)[],
  o: { formats?: number[]; result?: number; before?: string[] } = {},
): Unsorted => ({
  name,
  async run(to) {
    const c = await to.raw()
    for (const sql of o.before ?? []) await c.query(sql)
    await c.query(`select '${procedure}'::regprocedure::oid::int`)
    const row = c.received.findLast(({ type }) => type === 'D')!.body
    await c.send(functionCall(Number(row.subarray(6).toString()), values, o.formats, o.result))
    await c.ready()
  },
})

const fastPath: Unsorted[] = [
  fast('a function of SQL', 'canary.name_of(int)', ['1']),
  fast('a function of SQL, as binary', 'canary.name_of(int)', [int32(1)], {
    formats: [1],
    result: 1,
  }),
  fast('a function of PL/pgSQL', 'canary.pl(int)', ['2']),
  fast('a function with the rights of its owner', 'canary.definer(int)', ['1']),
  fast('a row', 'canary.somebody(int)', ['1']),
  fast('a row as binary', 'canary.pl_row(int)', ['2'], { result: 1 }),
  fast('as JSON', 'canary.as_json()', []),
  fast('what raises', 'canary.says(text)', ['notice']),
  fast('what fails', 'canary.says(text)', ['exception detail']),
  fast('a large object', 'lo_get(oid)', ['4242'], { result: 1 }),
  fast('a part of a large object', 'lo_get(oid,bigint,int)', ['4242', '0', '20'], { result: 1 }),
  fast('XML of a query', 'query_to_xml(text,boolean,boolean,text)', [
    'select name from canary.customers',
    't',
    'f',
    '',
  ]),
  {
    name: 'a large object opened and read',
    async run(to) {
      const c = await to.raw()
      await c.query('begin')
      await c.query('select lo_open(4242, 262144)')
      await c.query("select 'loread(int,int)'::regprocedure::oid::int")
      const row = c.received.findLast(({ type }) => type === 'D')!.body
      await c.send(functionCall(Number(row.subarray(6).toString()), ['0', '100'], [], 1))
      await c.ready()
      await c.query('rollback')
    },
  },
]

export const PROTOCOL: PostgresWay[] = [
  ...grouped('simple protocol', plain),
  ...grouped('settings of the session', styles),
  ...grouped('columns in both formats', columns),
  ...grouped('extended protocol', extendedWays),
  ...grouped('cursors', cursors),
  ...grouped('prepared by SQL', prepared),
  ...grouped('copy', copy, copyProtocol),
  ...grouped('function calls', fastPath),
]
