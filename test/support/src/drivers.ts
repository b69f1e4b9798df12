/**
 * Drivers as programs use them: node-postgres here, psycopg, psycopg2 and pgjdbc in processes of their own languages. Each is
 * told an address, a credential and start-up options in its own way, asks one question, and hands back what it was told.
 * Refuses to help: nothing is shown that the driver does not show by itself.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { Client } from 'pg'
import { clientProgram, runProgram } from './clients'

export interface DriverLogin {
  port: number
  user: string
  /** None: the program has none to give. */
  password?: string
  database: string
  /** Start-up options as in PGOPTIONS. */
  options?: string
  /** How long the driver tries; its own bound where not said. */
  connectSecondsMax?: number
}

export interface DriverOutcome {
  /** The first column of the first row, as text; null where it did not come to that. */
  value: string | null
  error: string | null
  sqlstate: string | null
  /** Those that the program could read from its connection. */
  notices: string[]
}

export interface DriverRun {
  /** What somebody in front of the program has seen so far. */
  seen(): string
  ended: Promise<DriverOutcome>
}

export interface Driver {
  name: string
  start(login: DriverLogin, sql: string): DriverRun
}

const RUN_MS_MAX = 90_000
const own = join(__dirname, '../drivers')
const root = join(__dirname, '../../..')

/** `node-postgres`, `psycopg`, `psycopg2`, `pgjdbc`, and `pgjdbc-logging`: the same with its log switched on. */
export const drivers: Readonly<Record<string, Driver>> = Object.fromEntries(
  [
    nodePostgres(),
    python('psycopg'),
    python('psycopg2'),
    pgjdbc('pgjdbc', false),
    pgjdbc('pgjdbc-logging', true),
  ].map((driver) => [driver.name, driver]),
)

function nodePostgres(): Driver {
  return {
    name: 'node-postgres',
    start({ port, user, password, database, options, connectSecondsMax }, sql) {
      const client = new Client({
        host: '127.0.0.1',
        ssl: { rejectUnauthorized: false },
        connectionTimeoutMillis: (connectSecondsMax ?? 0) * 1000,
        ...{ port, user, password, database, options },
      })
      const notices: string[] = []
      client.on('notice', ({ message }) => notices.push(message ?? ''))
      client.on('error', () => {})
      return {
        seen: () => notices.join('\n'),
        ended: (async () => {
          try {
            await client.connect()
            const { rows } = await client.query({ text: sql, rowMode: 'array' })
            return { value: String(rows[0]![0]), error: null, sqlstate: null, notices }
          } catch (error) {
            const { message, code } = error as Error & { code?: string }
            return { value: null, error: message, sqlstate: code ?? null, notices }
          } finally {
            await client.end().catch(() => {})
          }
        })(),
      }
    },
  }
}

function python(name: 'psycopg' | 'psycopg2'): Driver {
  return {
    name,
    start({ port, user, password, database, options, connectSecondsMax }, sql) {
      return program(
        'python3',
        [join(own, 'connect.py'), name, sql],
        {
          ...{ host: '127.0.0.1', port, user, password, dbname: database, options },
          ...{ sslmode: 'require', connect_timeout: connectSecondsMax },
        },
        { PYTHONPATH: join(installed(), 'python'), PGCONNECT_TIMEOUT: undefined },
      )
    },
  }
}

function pgjdbc(name: string, logs: boolean): Driver {
  return {
    name,
    start({ port, user, password, database, options, connectSecondsMax }, sql) {
      const jars = join(installed(), 'java')
      const [jar = ''] = readdirSync(jars).filter((file) => file.startsWith('postgresql-'))
      return program(
        'java',
        [
          ...(logs ? [`-Djava.util.logging.config.file=${join(own, 'logging.properties')}`] : []),
          ...['-cp', join(jars, jar), join(own, 'Connect.java')],
          ...[`jdbc:postgresql://127.0.0.1:${port}/${database}`, sql],
        ],
        { user, password, options, sslmode: 'require', loginTimeout: connectSecondsMax },
      )
    },
  }
}

/** One that prints a finding a line: a word, a tab, and text. */
function program(
  path: string,
  args: readonly string[],
  settings: Record<string, string | number | undefined>,
  env: NodeJS.ProcessEnv = {},
): DriverRun {
  let seen = ''
  const given = Object.entries(settings)
    .filter(([, value]) => value !== undefined)
    .map(([name, value]) => `${name}=${value}`)
  return {
    seen: () => seen,
    ended: (async () => {
      const { code, stdout, stderr } = await runProgram(clientProgram(path), [...args, ...given], {
        env,
        timeoutMs: RUN_MS_MAX,
        said: (text) => {
          seen += text
        },
      })
      const found = (word: string) =>
        stdout
          .split('\n')
          .filter((line) => line.startsWith(`${word}\t`))
          .map((line) => line.slice(word.length + 1).replaceAll('\\n', '\n'))
      const [value = null] = found('value')
      const [error = null] = found('error')
      const [sqlstate = null] = found('sqlstate')
      if (value === null && error === null) throw new Error(`exit code ${code}: ${stderr}${stdout}`)
      return {
        ...{ value, error, notices: found('notice') },
        sqlstate: sqlstate === 'None' ? null : sqlstate,
      }
    })(),
  }
}

/** Where set-up put the drivers of other languages. */
function installed(): string {
  const { directory } = JSON.parse(readFileSync(join(root, 'test/support/drivers.json'), 'utf8'))
  const place = join(root, directory)
  if (!existsSync(join(place, 'installed.json')))
    throw new Error('drivers for Python and Java are not there: node scripts/setup.mjs --clients')
  return place
}
