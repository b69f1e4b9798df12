/** The programs and drivers that people have. */
import type { Connections } from '../connections'
import { type MysqlWay, ways } from './ways'

const QUERY = 'select id, name, email, secret, born, salary, notes from customers'

const inClient =
  (run: (client: Awaited<ReturnType<Connections['client']>>) => Promise<unknown>, o = {}) =>
  async (to: Connections) => {
    const client = await to.client(o)
    await run(client).catch((error: Error) => to.sees(error.message))
  }

export const DRIVERS: readonly MysqlWay[] = [
  ...ways('mysql', {
    batch: (to) => to.mysql('-e', QUERY),
    'a table': (to) => to.mysql('-t', '-e', QUERY),
    vertical: (to) => to.mysql('-e', `${QUERY}\\G`),
    XML: (to) => to.mysql('--xml', '-e', QUERY),
    HTML: (to) => to.mysql('--html', '-e', QUERY),
    'row by row': (to) => to.mysql('--quick', '-e', QUERY),
    compressed: (to) => to.mysql('--compress', '-e', QUERY),
    'with types': (to) => to.mysql('-t', '--column-type-info', '-e', QUERY),
    'with warnings': (to) =>
      to.mysql('--show-warnings', '-e', 'select cast(name as signed) from customers'),
    'several statements': (to) => to.mysql('-e', `select plain from customers; ${QUERY}; select 1`),
    'in latin1': (to) => to.mysql('--default-character-set=latin1', '-e', QUERY),
    'binary as hex': (to) => to.mysql('--binary-as-hex', '-e', 'select name, blob_ from customers'),
  }),
  ...ways('mariadb-dump', {
    'a table': (to) =>
      to.dump(
        '--skip-lock-tables',
        '--no-tablespaces',
        to.database.length > 0 ? '--skip-comments' : '',
      ),
    XML: (to) => to.dump('--xml', '--skip-lock-tables', '--no-tablespaces'),
    hexadecimal: (to) =>
      to.dump('--hex-blob', '--skip-lock-tables', '--no-tablespaces', '--skip-extended-insert'),
  }),
  ...ways('mysql2', {
    query: inClient((client) => client.query(QUERY)),
    execute: inClient((client) => client.execute(QUERY)),
    'rows as arrays': inClient((client) => client.query({ sql: QUERY, rowsAsArray: true })),
    'nested tables': inClient((client) => client.query({ sql: QUERY, nestTables: true })),
    'a parameter in the text': inClient((client) => client.query(`${QUERY} where id = ?`, [1])),
    'a parameter': inClient((client) => client.execute(`${QUERY} where id = ?`, [1])),
    'prepared, and executed twice': inClient(async (client) => {
      const statement = await client.prepare(`${QUERY} where id = ?`)
      await statement.execute([1])
      await statement.execute([2])
    }),
    compressed: async (to) => {
      const client = await to.client({ compress: true })
      // What is on the wire can't be searched.
      const [rows] = await client.query(QUERY)
      to.sees(JSON.stringify(rows))
    },
    'after a change of the database': inClient(async (client) => {
      await client.query('select 1')
      await client.query(QUERY)
    }),
    'after a reset': inClient(async (client) => {
      await (client as unknown as { reset(): Promise<void> }).reset?.()
      await client.query(QUERY)
    }),
  }),
  ...ways('drivers of other languages', {
    PyMySQL: (to) => to.python({ plain: QUERY }),
    'PyMySQL, rows as dictionaries': (to) => to.python({ dictionary: QUERY }),
    'PyMySQL, row by row': (to) => to.python({ stream: QUERY }),
    'PyMySQL, an error': (to) =>
      to.python({
        plain:
          "select updatexml('<a/>', concat('~', (select name from customers where id = 1)), '')",
      }),
  }),
]
