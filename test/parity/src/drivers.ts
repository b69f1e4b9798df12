/**
 * The same through real programs and drivers: psql, pgbench and node-postgres, whose own output is compared.
 */
import { pgbench, psql } from '@custody/test-support'
import { Client, type ClientConfig, Pool } from 'pg'

export interface Address {
  port: number
  user: string
  password: string
  database: string
}

export interface DriverCase {
  name: string
  /** What a person or program sees; must be the same on both sides. */
  run(at: Address): Promise<unknown>
}

const url = ({ port, user, password, database }: Address) =>
  `postgresql://${user}:${password}@127.0.0.1:${port}/${encodeURIComponent(database)}`

const inPsql = (name: string, ...args: string[]): DriverCase => ({
  name: `psql: ${name}`,
  async run(at) {
    const { code, stdout, stderr } = await psql(url(at), args)
    return { code, stdout, stderr: stderr.replaceAll(/port \d+/g, 'port') }
  },
})

const config = (at: Address): ClientConfig => ({ ...at, host: '127.0.0.1', ssl: false })

const inNode = (name: string, use: (client: Client) => Promise<unknown>): DriverCase => ({
  name: `node-postgres: ${name}`,
  async run(at) {
    const client = new Client(config(at))
    const notices: string[] = []
    client.on('notice', (notice) => notices.push(`${notice.severity} ${notice.message}`))
    client.on('error', () => {})
    await client.connect()
    try {
      return { answer: await use(client), notices }
    } finally {
      await client.end().catch(() => {})
    }
  },
})

const shown = async (asked: Promise<unknown>) => {
  try {
    const { rows, rowCount, command, fields } = (await asked) as Record<string, unknown>
    return {
      rows,
      rowCount,
      command,
      fields: (fields as { name: string; dataTypeID: number }[]).map(({ name, dataTypeID }) => [
        name,
        dataTypeID,
      ]),
    }
  } catch (error) {
    const { message, code, detail, hint, position } = error as Record<string, unknown>
    return { message, code, detail, hint, position }
  }
}

export const driverCases: DriverCase[] = [
  inPsql('a table', '-c', 'select id, name, born from people order by id limit 3'),
  inPsql(
    'expanded, and of another border',
    '-x',
    '-P',
    'border=2',
    '-c',
    'select * from people where id = 1',
  ),
  inPsql(
    'what describes tables',
    '-c',
    '\\d people',
    '-c',
    '\\dt',
    '-c',
    '\\df add_one',
    '-c',
    '\\dT+ mood',
  ),
  inPsql(
    'errors with verbosity',
    '-v',
    'VERBOSITY=verbose',
    '-c',
    'select 1/0',
    '-c',
    "select fails('23505')",
  ),
  inPsql(
    'several in one transaction',
    '-1',
    '-c',
    "insert into notes(body) values ('p')",
    '-c',
    'select 1',
  ),
  inPsql('stop at an error', '-v', 'ON_ERROR_STOP=1', '-c', 'select nothing', '-c', 'select 2'),
  inPsql(
    'copy to and from the client',
    '-c',
    '\\copy (select id, name from people order by id limit 3) to stdout csv header',
  ),
  inPsql(
    'gdesc, gset and gexec',
    '-c',
    'select 1 as one, now() as t \\gdesc',
    '-c',
    "select 'select 5' \\gexec",
  ),
  inPsql('bind', '-c', 'select $1::int + $2::int \\bind 1 2 \\g'),
  inPsql('fetch count', '-v', 'FETCH_COUNT=7', '-At', '-c', 'select id from people order by id'),
  inPsql('csv output', '--csv', '-c', "select 'a,b', null, E'x\\ny'"),
  inPsql('notices', '-c', 'select noisy(2)'),
  inPsql('unicode', '-c', 'select \'ünï ☂ 漢字 😀\' as "spalte ☂"'),
  {
    name: 'pgbench: simple, extended, prepared',
    async run(at) {
      const outcome: unknown[] = []
      for (const mode of ['simple', 'extended', 'prepared']) {
        const { code, stdout } = await pgbench(url(at), [
          '-n',
          '-S',
          '-c',
          '2',
          '-t',
          '50',
          '-M',
          mode,
        ])
        outcome.push({
          mode,
          code,
          done: /actually processed: .*/.exec(stdout)?.[0],
          failed: /failed transactions: .*/.exec(stdout)?.[0],
        })
      }
      return outcome
    },
  },
  inNode('queries with and without parameters', async (c) => [
    await shown(c.query('select 1 as a, null as b')),
    await shown(c.query('select $1::text as a, $2::int8 as b', ['x', '9007199254740993'])),
    await shown(c.query('select * from people where id = any($1)', [[1, 2]])),
  ]),
  inNode('a named statement', async (c) => {
    const answers: unknown[] = []
    for (const id of [1, 2, 999])
      answers.push(
        await shown(
          c.query({ name: 'by-id', text: 'select name from people where id = $1', values: [id] }),
        ),
      )
    return answers
  }),
  inNode('rows as arrays and as text', async (c) => [
    await shown(c.query({ text: 'select 1, 2', rowMode: 'array' })),
    await shown(c.query({ text: 'select tags, extra, photo from people where id = 1' })),
  ]),
  inNode('binary results', async (c) =>
    shown(c.query({ text: 'select 1::int4 as i, true as t', binary: true } as never)),
  ),
  inNode('errors', async (c) => [
    await shown(c.query('select 1/0')),
    await shown(c.query('select nothing from people')),
    await shown(c.query("select fails('22012')")),
  ]),
  inNode('transactions', async (c) => [
    await shown(c.query('begin')),
    await shown(c.query('select 1/0')),
    await shown(c.query('select 1')),
    await shown(c.query('rollback')),
    await shown(c.query('select 1 as after')),
  ]),
  inNode('several statements', async (c) =>
    ((await c.query('select 1 as a; select 2 as b')) as unknown as { rows: unknown[] }[]).map(
      ({ rows }) => rows,
    ),
  ),
  inNode('notifications', async (c) => {
    const told = new Promise((resolve) =>
      c.on('notification', ({ channel, payload }) => resolve({ channel, payload })),
    )
    await c.query('listen parity')
    await c.query("notify parity, 'hello'")
    return told
  }),
  inNode('notices', async (c) => shown(c.query('select noisy(1)'))),
  {
    name: 'node-postgres: a pool under load',
    async run(at) {
      const pool = new Pool({ ...config(at), max: 5 })
      // One that is on its way out may still be told that the gateway stops.
      pool.on('error', () => {})
      try {
        const answers = await Promise.all(
          Array.from({ length: 200 }, (_, i) => pool.query('select $1::int as i', [i])),
        )
        return answers.map(({ rows }) => rows[0].i)
      } finally {
        await pool.end()
      }
    },
  },
]
