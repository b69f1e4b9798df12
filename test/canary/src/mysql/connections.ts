/**
 * How a way gets at the database: drivers in both protocols, and programs. All go through a tap, all tell the same name of the
 * application, and all are closed when the way is through. Refuses to look at what comes back.
 */
import { join } from 'node:path'
import { clientProgram, type MysqlServer, runProgram } from '@custody/test-support'
import { type Connection, type ConnectionOptions, createConnection } from 'mysql2/promise'
import { type Tap, tapOn } from '../tap'
import { within } from '../within'

export interface Place {
  port: number
  user: string
  password: string
  /** As a client names it. */
  database: string
}

export interface Connections {
  /** mysql2, whose `query` is text and whose `execute` is binary. */
  client(o?: ConnectionOptions): Promise<Connection>
  /** MariaDB's client. */
  mysql(...args: string[]): Promise<void>
  dump(...args: string[]): Promise<void>
  /** PyMySQL; see `drivers/`. */
  python(hows: Readonly<Record<string, string>>): Promise<void>
  /** A session of somebody else, an application that is not behind any gateway. */
  besides(): Promise<Connection>
  /** The database that this way reads from. */
  readonly database: string
  /** Something that the client was shown otherwise. */
  sees(shown: string | Buffer): void
}

export interface Opened extends Connections {
  /** Ends all of it and answers every byte that came back. */
  close(): Promise<{ received: Buffer[]; sent: Buffer[]; shown: Buffer[] }>
}

const PROGRAM_MS_MAX = 60_000
const CLOSE_MS_MAX = 1000
const own = join(__dirname, '../../drivers')
const installed = join(__dirname, '../../../../node_modules/.cache/custody-drivers')

export async function openConnections(
  place: Place,
  application: string,
  server: MysqlServer,
  database: string,
): Promise<Opened> {
  const tap: Tap = await tapOn(place.port)
  const { user, password } = place
  const shown: Buffer[] = []
  const closing: (() => Promise<unknown>)[] = []
  const sees = (text: string | Buffer) => void shown.push(Buffer.from(text as string))
  const program = async (path: string, args: readonly string[], env = {}) => {
    const { stdout, stderr } = await runProgram(path, args, { env, timeoutMs: PROGRAM_MS_MAX })
    sees(stdout)
    sees(stderr)
  }
  const address = [
    ...['--no-defaults', '--host=127.0.0.1', `--port=${tap.port}`, '--protocol=tcp'],
    ...[`--user=${user}`, `--password=${password}`],
  ]
  return {
    database,
    async client(o = {}) {
      const client = await createConnection({
        ...{ host: '127.0.0.1', port: tap.port, user, password, database: place.database },
        connectAttributes: { program_name: application },
        multipleStatements: true,
        supportBigNumbers: true,
        bigNumberStrings: true,
        dateStrings: true,
        // Over loopback, where this is allowed.
        authPlugins: {
          mysql_clear_password: () => () => Buffer.from(`${password}\0`),
        },
        ...o,
      })
      client.on('error', () => {})
      closing.push(() => client.end())
      return client
    },
    mysql: (...args) =>
      program(clientProgram('mariadb'), [
        ...address,
        '--enable-cleartext-plugin',
        ...args,
        place.database,
      ]),
    dump: (...args) =>
      program(clientProgram('mariadb-dump'), [...address, ...args, place.database]),
    python: (hows) =>
      program('python3', [join(own, 'read_mysql.py'), ...Object.entries(hows).flat()], {
        PYTHONPATH: join(installed, 'python'),
        MYSQL_ADDRESS: JSON.stringify({
          ...{ host: '127.0.0.1', port: tap.port, user, password, database: place.database },
          program_name: application,
        }),
      }),
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
