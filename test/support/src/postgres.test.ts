/** The servers that other tests stand on do what is asked of them. */
import { installedBinaries, npmBinaries } from '@custody/postgres-server'
import { Client } from 'pg'
import { type PostgresServer, startPostgres } from './index'

const origins = [
  ...(npmBinaries() ? (['npm'] as const) : []),
  ...(installedBinaries() ? (['installed'] as const) : []),
]

test('this machine has at least one PostgreSQL', () => {
  expect(origins).not.toEqual([])
})

describe.each(origins)('PostgreSQL (%s)', (origin) => {
  let server: PostgresServer
  afterEach(() => server?.stop())

  test('logs statements, and native clients reach it', async () => {
    server = await startPostgres({
      origins: [origin],
      logStatements: true,
      sql: 'CREATE TABLE t AS SELECT generate_series(1, 10) AS n',
    })
    const result = await server.psql(['-At', '-c', 'SELECT sum(n) FROM t /* canary */'])
    expect(result).toMatchObject({ code: 0, stdout: '55\n', stderr: '' })
    expect(await server.log()).toContain('SELECT sum(n) FROM t /* canary */')

    expect(await server.pgbench(['-i', '-s', '1', '-q'])).toMatchObject({ code: 0 })
    const bench = await server.pgbench(['-S', '-t', '5', '-c', '2'])
    expect(bench.stdout).toContain('number of transactions actually processed: 10/10')
  })

  test.each(['scram-sha-256', 'md5', 'password'] as const)(
    'asks for %s',
    async (authentication) => {
      server = await startPostgres({ origins: [origin], authentication })
      const { rows } = await server.query(
        "SELECT auth_method FROM pg_hba_file_rules WHERE address = '127.0.0.1'",
      )
      expect(rows[0]).toEqual({ auth_method: authentication })
      const wrong = new Client({ connectionString: server.url({ password: 'wrong' }) })
      await expect(wrong.connect()).rejects.toMatchObject({ code: '28P01' })
    },
  )

  test('requires TLS that verifies', async () => {
    server = await startPostgres({ origins: [origin], tls: 'required' })
    const { rows } = await server.query('SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()')
    expect(rows).toEqual([{ ssl: true }])
    const plain = new Client({ connectionString: server.url() })
    await expect(plain.connect()).rejects.toThrow(/no encryption|pg_hba.conf/)
  })
})
