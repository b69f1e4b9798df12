/**
 * How a way gets at the database: the wire itself, drivers, programs. All go through a tap, all tell the same name of the
 * application, and all are closed when the way is through. Refuses to look at what comes back.
 */
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { RawConnection } from '@custody/parity'
import { clientProgram, type PostgresServer, runProgram } from '@custody/test-support'
import { Client, type ClientConfig } from 'pg'
import { type Tap, tapOn } from '../tap'
import { within } from '../within'

export interface Place {
  port: number
  user: string
  password: string
  database: string
}

export interface Connections {
  /** The wire itself. */
  raw(parameters?: Record<string, string>): Promise<RawConnection>
  /** node-postgres. */
  client(config?: ClientConfig): Promise<Client>
  psql(args: readonly string[], input?: string): Promise<void>
  pgDump(...args: string[]): Promise<void>
  /** Statements, each in one of these drivers' ways; see `drivers/`. */
  python(driver: 'psycopg' | 'psycopg2', hows: Readonly<Record<string, string>>): Promise<void>
  java(hows: Readonly<Record<string, string>>): Promise<void>
  /** A session of somebody else, an application that is not behind any gateway. */
  besides(): Promise<Client>
  /** The account that the server belongs to, for servers that reach themselves. */
  readonly owner: { user: string; password: string }
  /** Something that the client was shown otherwise. */
  sees(shown: string | Buffer): void
}

export interface Opened extends Connections {
  /** Ends all of it and answers every byte that came back. */
  close(): Promise<{ received: Buffer[]; sent: Buffer[]; shown: Buffer[] }>
}

const PROGRAM_MS_MAX = 60_000
const QUERY_MS_MAX = 20_000
const CLOSE_MS_MAX = 1000
const own = join(__dirname, '../../drivers')
const installed = join(__dirname, '../../../../node_modules/.cache/custody-drivers')

export async function openConnections(
  place: Place,
  application: string,
  server: PostgresServer,
  database: string,
): Promise<Opened> {
  const tap: Tap = await tapOn(place.port)
  const { user, password } = place
  const at = { port: tap.port, user, password, database: place.database }
  const shown: Buffer[] = []
  const closing: (() => Promise<unknown>)[] = []
  const sees = (text: string | Buffer) => void shown.push(Buffer.from(text as string))
  const environment = {
    PGHOST: '127.0.0.1',
    PGPORT: String(tap.port),
    PGUSER: user,
    PGPASSWORD: password,
    PGDATABASE: place.database,
    PGAPPNAME: application,
    PGSSLMODE: 'disable',
    PGGSSENCMODE: 'disable',
  }
  const program = async (path: string, args: readonly string[], input?: string, env = {}) => {
    const { stdout, stderr } = await runProgram(path, args, {
      env: { ...environment, ...env },
      input,
      timeoutMs: PROGRAM_MS_MAX,
    })
    sees(stdout)
    sees(stderr)
  }
  return {
    owner: server,
    async raw(parameters = {}) {
      const connection = await RawConnection.open({
        ...at,
        parameters: { application_name: application, ...parameters },
      })
      closing.push(() => connection.close())
      return connection
    },
    async client(config = {}) {
      const client = new Client({
        ...at,
        host: '127.0.0.1',
        application_name: application,
        query_timeout: QUERY_MS_MAX,
        ...config,
      })
      client.on('error', () => {})
      client.on('notice', ({ message }) => sees(message ?? ''))
      client.on('notification', ({ payload }) => sees(payload ?? ''))
      await client.connect()
      closing.push(() => client.end())
      return client
    },
    psql: (args, input) => program(clientProgram('psql'), ['-X', ...args], input),
    pgDump: (...args) => program(pgDumpFor(server), args),
    python: (driver, hows) =>
      program('python3', [join(own, 'read.py'), driver, ...Object.entries(hows).flat()], '', {
        PYTHONPATH: join(installed, 'python'),
      }),
    java: (hows) => {
      const jars = join(installed, 'java')
      const [jar = ''] = readdirSync(jars).filter((file) => file.startsWith('postgresql-'))
      const database = encodeURIComponent(place.database)
      const url = `jdbc:postgresql://127.0.0.1:${tap.port}/${database}?sslmode=disable&ApplicationName=${application}`
      return program(clientProgram('java'), [
        ...['-XX:TieredStopAtLevel=1', '-XX:+UseSerialGC', '-Xshare:auto'],
        ...[
          '-cp',
          join(jars, jar),
          join(own, 'Read.java'),
          url,
          user,
          password,
          ...Object.entries(hows).flat(),
        ],
      ])
    },
    async besides() {
      const client = await server.connect({ database })
      client.on('error', () => {})
      closing.push(() => client.end())
      return client
    },
    sees,
    async close() {
      // One that does not end by itself loses its wire.
      await within(CLOSE_MS_MAX, Promise.allSettled(closing.map((close) => close())))
      await tap.close()
      return { received: tap.received(), sent: tap.sent(), shown }
    },
  }
}

/** One that is not older than the server, or it refuses. */
function pgDumpFor(_server: PostgresServer): string {
  return clientProgram('pg_dump')
}
