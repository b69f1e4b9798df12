/** The same by real drivers and programs, with all that they ask besides. */
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { temporaryDirectory } from '@custody/test-support'
import { type Client, Query } from 'pg'
import { grouped, type PostgresWay, type Unsorted } from './ways'

const ALL = 'select * from canary.customers order by id'

const node: Unsorted[] = [
  {
    name: 'node-postgres',
    async run(to) {
      const c = await to.client()
      to.sees(JSON.stringify((await c.query(ALL)).rows))
    },
  },
  {
    name: 'node-postgres with a parameter',
    async run(to) {
      const c = await to.client()
      const { rows } = await c.query('select * from canary.customers where id = $1', [1])
      to.sees(JSON.stringify(rows))
    },
  },
  {
    name: 'node-postgres, a named statement',
    async run(to) {
      const c = await to.client()
      for (const id of [1, 2])
        await c.query({
          name: 'x',
          text: 'select name from canary.customers where id = $1',
          values: [id],
        })
    },
  },
  {
    name: 'node-postgres, binary',
    async run(to) {
      const c = await to.client()
      const asked: object = { text: ALL, binary: true }
      await c.query(asked as { text: string }).catch((error) => to.sees(String(error)))
    },
  },
  {
    name: 'node-postgres, rows of a portal',
    async run(to) {
      const c = await to.client()
      await c.query({ text: ALL, rows: 1 } as never)
    },
  },
  {
    name: 'node-postgres, row by row',
    async run(to) {
      const c: Client = await to.client()
      const asked = c.query(new Query('select name, email from canary.customers'))
      asked.on('row', (row) => to.sees(JSON.stringify(row)))
      await new Promise((resolve) => {
        asked.on('end', resolve)
        asked.on('error', resolve)
      })
    },
  },
  {
    name: 'node-postgres, an error with all its fields',
    async run(to) {
      const c = await to.client()
      await c
        .query('update canary.customers set name = null where id = 1')
        .catch((error) => to.sees(JSON.stringify(error)))
    },
  },
]

const inPsql = (name: string, ...args: string[]): Unsorted => ({
  name: `psql: ${name}`,
  run: (to) => to.psql(args),
})

const typed = (name: string, script: string): Unsorted => ({
  name: `psql: ${name}`,
  run: (to) => to.psql([], `${script}\n`),
})

const psql: Unsorted[] = [
  inPsql('a query', '-c', ALL),
  inPsql('expanded', '-x', '-c', ALL),
  inPsql('as HTML', '-H', '-c', ALL),
  inPsql('as CSV', '--csv', '-c', ALL),
  inPsql('as LaTeX', '-P', 'format=latex', '-c', 'select secret from canary.customers'),
  inPsql('\\copy to', '-c', '\\copy canary.customers to stdout csv header'),
  inPsql('\\copy of a query', '-c', '\\copy (select name, email from canary.customers) to stdout'),
  inPsql(
    'an error, verbose',
    '-v',
    'VERBOSITY=verbose',
    '-c',
    'update canary.customers set name = null where id = 1',
  ),
  inPsql('\\errverbose', '-c', 'select name::int from canary.customers', '-c', '\\errverbose'),
  inPsql(
    'the last error kept',
    '-v',
    'ON_ERROR_STOP=0',
    '-c',
    'select name::int from canary.customers',
    '-c',
    '\\echo :LAST_ERROR_MESSAGE',
  ),
  inPsql('in portions', '-v', 'FETCH_COUNT=1', '-At', '-c', ALL),
  inPsql(
    'described',
    '-c',
    '\\d+ canary.customers',
    '-c',
    '\\dt+ canary.*',
    '-c',
    '\\d+ canary.defaults',
    '-c',
    '\\dd',
    '-c',
    '\\sf canary.constant',
    '-c',
    '\\dT+ canary.cards',
  ),
  typed('\\crosstabview', 'select id, city, name from canary.customers \\crosstabview'),
  typed(
    '\\gset and \\echo',
    'select name as n from canary.customers where id = 1 \\gset\n\\echo :n',
  ),
  typed('\\gexec', "select format('select %L', name) from canary.customers where id < 100 \\gexec"),
  typed(
    '\\gdesc, then the query',
    'select name from canary.customers \\gdesc\nselect name from canary.customers;',
  ),
  typed('\\gx', 'select * from canary.customers \\gx'),
  typed('a named statement', 'prepare p as select name from canary.customers;\nexecute p;'),
  inPsql(
    'settings of the session',
    '-c',
    "select set_config('my.v', (select name from canary.customers where id = 1), false) is null",
    '-c',
    'show my.v',
  ),
  {
    name: 'psql: a script with a transaction',
    run: (to) =>
      to.psql(
        ['-v', 'ON_ERROR_STOP=1', '-1'],
        'select name from canary.customers;\n\\if true\nselect email from canary.customers;\n\\endif\n',
      ),
  },
  {
    name: 'psql: a large object exported',
    async run(to) {
      const directory = temporaryDirectory('export')
      const file = join(directory.path, 'object')
      await to.psql(['-c', `\\lo_export 4242 ${file}`])
      if (existsSync(file)) to.sees(readFileSync(file))
      await directory.remove()
    },
  },
]

const dump: Unsorted[] = [
  { name: 'pg_dump', run: (to) => to.pgDump() },
  {
    name: 'pg_dump of a table as inserts',
    run: (to) => to.pgDump('--inserts', '-t', 'canary.customers'),
  },
  {
    name: 'pg_dump as a custom archive',
    run: (to) => to.pgDump('-Fc', '-Z0', '-t', 'canary.customers'),
  },
  {
    name: 'pg_dump of large objects',
    run: (to) => to.pgDump('--blobs', '--data-only', '--exclude-table', 'canary.*'),
  },
]

const FAILS = 'update canary.customers set name = null where id = 1'

/** Several in one process each: starting it takes longer than all of them. */
const others: Unsorted[] = [
  ...(['psycopg', 'psycopg2'] as const).flatMap((driver): Unsorted[] => [
    {
      name: `${driver}: fetched, and by a cursor at the server`,
      run: (to) =>
        to.python(driver, {
          plain: 'select id, name, email, salary, account, token, tags from canary.customers',
          server: 'select name, email, tags from canary.customers',
        }),
    },
    {
      name: `${driver}: copy, and an error`,
      run: (to) => to.python(driver, { copy: 'copy canary.customers to stdout', plain: FAILS }),
    },
  ]),
  {
    name: 'psycopg: binary, a pipeline, row by row, prepared',
    run: (to) =>
      to.python('psycopg', {
        binary: 'select name, account, salary, token, notes, tags from canary.customers',
        pipeline: 'select name, secret from canary.customers',
        stream: 'select name, secret from canary.customers',
        prepared: 'select name, secret from canary.customers',
      }),
  },
  {
    name: 'pgjdbc: seven times, the last as binary; row by row; copy',
    run: (to) =>
      to.java({
        prepared: 'select name, email, account, salary, token, blob from canary.customers',
        fetch: 'select name, secret from canary.customers',
        copy: 'copy canary.customers to stdout',
      }),
  },
]

export const DRIVERS: PostgresWay[] = [
  ...grouped('node-postgres', node),
  ...grouped('psql', psql),
  ...grouped('pg_dump', dump),
  ...grouped('drivers of other languages', others),
]
