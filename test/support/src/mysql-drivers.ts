/**
 * MySQL's and MariaDB's drivers as programs use them: two here, the others in processes of their own languages. Each is told
 * an address and a credential in its own way, asks one question with one parameter (42), and hands back what it was told.
 * Refuses to help: nothing is set that a program need not set.
 */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { createConnection as createMariadb } from 'mariadb'
import { createConnection as createMysql2 } from 'mysql2/promise'
import { clientProgram, runProgram } from './clients'
import type { DriverOutcome } from './drivers'
import type { MysqlLogin } from './mysql'

export interface MysqlDriverLogin extends MysqlLogin {
  tls: boolean
  /** It may ask the server for the key to encrypt the password with, which some must be told. */
  mayAskForKey?: boolean
}

export type MysqlDriver = (login: MysqlDriverLogin, sql: string) => Promise<DriverOutcome>

const RUN_MS_MAX = 90_000
const own = join(__dirname, '../drivers')
const root = join(__dirname, '../../..')
const installed = (...more: string[]) => {
  const { directory } = JSON.parse(readFileSync(join(root, 'test/support/drivers.json'), 'utf8'))
  return join(root, directory, ...more)
}

export const mysqlDrivers: Readonly<Record<string, MysqlDriver>> = {
  mysql2: here(async ({ tls, mayAskForKey: _, ...login }, sql) => {
    const client = await createMysql2({
      ...login,
      host: '127.0.0.1',
      ssl: tls ? { rejectUnauthorized: false } : undefined,
    })
    try {
      const [rows] = await client.execute({ sql, rowsAsArray: true }, [42])
      return (rows as unknown[][])[0]![0]
    } finally {
      await client.end()
    }
  }),
  mariadb: here(async ({ tls, mayAskForKey, ...login }, sql) => {
    const client = await createMariadb({
      ...login,
      host: '127.0.0.1',
      ssl: tls ? { rejectUnauthorized: false } : false,
      allowPublicKeyRetrieval: mayAskForKey,
    })
    try {
      return (await client.execute({ sql, rowsAsArray: true }, [42]))[0][0]
    } finally {
      await client.end()
    }
  }),
  PyMySQL: python('pymysql'),
  'Connector/Python': python('mysql.connector'),
  'Connector/J': java('mysql-connector-j-', (login) => [
    `jdbc:mysql://127.0.0.1:${login.port}/${login.database}`,
    { sslMode: login.tls ? undefined : 'DISABLED', allowPublicKeyRetrieval: login.mayAskForKey },
  ]),
  'MariaDB Connector/J': java('mariadb-java-client-', (login) => [
    `jdbc:mariadb://127.0.0.1:${login.port}/${login.database}`,
    {
      sslMode: login.tls ? 'trust' : undefined,
      allowPublicKeyRetrieval: login.mayAskForKey,
      useServerPrepStmts: true,
    },
  ]),
  'go-sql-driver': ({ port, user, password, database, tls }, sql) =>
    program(installed('go', 'connect'), [
      `${user}:${password}@tcp(127.0.0.1:${port})/${database}${tls ? '?tls=skip-verify' : ''}`,
      sql,
    ]),
}

function here(ask: (login: MysqlDriverLogin, sql: string) => Promise<unknown>): MysqlDriver {
  return async (login, sql) => {
    try {
      return { ...NOTHING, value: String(await ask(login, sql)) }
    } catch (error) {
      const { message, sqlState } = error as Error & { sqlState?: string }
      return { ...NOTHING, error: message, sqlstate: sqlState ?? null }
    }
  }
}

const NOTHING: DriverOutcome = { value: null, error: null, sqlstate: null, notices: [] }

function python(name: string): MysqlDriver {
  return ({ port, user, password, database, tls }, sql) =>
    program(
      clientProgram('python3'),
      [
        ...[join(own, 'connect_mysql.py'), name, sql, tls ? 'tls' : 'plain', 'host=127.0.0.1'],
        ...[`port=${port}`, `user=${user}`, `password=${password}`, `database=${database}`],
      ],
      { PYTHONPATH: installed('python') },
    )
}

function java(
  prefix: string,
  settingsOf: (login: MysqlDriverLogin) => [string, Record<string, unknown>],
): MysqlDriver {
  return (login, sql) => {
    const jars = installed('java')
    const [jar = ''] = readdirSync(jars).filter((file) => file.startsWith(prefix))
    const [url, settings] = settingsOf(login)
    const given = Object.entries({ user: login.user, password: login.password, ...settings })
      .filter(([, value]) => value !== undefined)
      .map(([name, value]) => `${name}=${value}`)
    // It has no parameters to give.
    const plain = sql.replace('?', '42')
    return program(clientProgram('java'), [
      ...['-cp', join(jars, jar), join(own, 'Connect.java'), url, plain],
      ...given,
    ])
  }
}

/** One that prints a finding a line: a word, a tab, and text. */
async function program(
  path: string,
  args: readonly string[],
  env: NodeJS.ProcessEnv = {},
): Promise<DriverOutcome> {
  const { code, stdout, stderr } = await runProgram(path, args, { env, timeoutMs: RUN_MS_MAX })
  const found = (word: string) =>
    stdout
      .split('\n')
      .find((line) => line.startsWith(`${word}\t`))
      ?.slice(word.length + 1)
      .replaceAll('\\n', '\n') ?? null
  const [value, error, sqlstate] = [found('value'), found('error'), found('sqlstate')]
  if (value === null && error === null) throw new Error(`exit code ${code}: ${stderr}${stdout}`)
  return { ...NOTHING, value, error, sqlstate }
}
