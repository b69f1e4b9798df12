/**
 * A real MariaDB for a test, from the programs on this machine, and the client that people use with it. Refuses to hand out a
 * server that lacks what the test asked for.
 */
import { copyFileSync, existsSync, mkdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import {
  installedServer,
  missingServer,
  mysqlClient,
  type MysqlServer as Server,
  type ServerKind,
  startMysqlServer,
} from '@custody/mysql-server'
import { type Connection, type ConnectionOptions, createConnection } from 'mysql2/promise'
import { certificateFor, type TestCertificate } from './certificate'
import { clientProgram, type Output, type ProgramOptions, runProgram } from './clients'
import { temporaryDirectory } from './temporary'

export interface MysqlServerOptions {
  /** MariaDB when nothing is said. */
  kind?: ServerKind
  /** Logs every statement, to be read by `log()`. */
  logStatements?: boolean
  /** Offers TLS with a self-signed certificate; `required` refuses connections without. */
  tls?: boolean | 'required'
  /** With MariaDB's account plug-in ed25519. */
  ed25519?: boolean
  /** Further settings, as in my.cnf. */
  settings?: Readonly<Record<string, string>>
  /** Run once as superuser, in the database `shop`. */
  sql?: string
}

export interface MysqlServer {
  readonly version: string
  readonly host: string
  readonly port: number
  /** May do anything. */
  readonly user: string
  readonly password: string
  /** `shop`, made for the test. */
  readonly database: string
  /** `host:port` as in a resource's `address`. */
  readonly address: string
  /** With `tls`: the certificate to trust. */
  readonly certificate?: TestCertificate
  readonly pid: number
  /** This server as a resource of a configuration, with further settings: JSON, which is YAML too. */
  resource(settings?: object): string
  /** A connected mysql2 client that takes several statements at once; the caller ends it. */
  connect(o?: ConnectionOptions): Promise<Connection>
  query(sql: string): Promise<unknown>
  /** The server's own client, straight to it. */
  mysql(args: readonly string[], o?: ProgramOptions): Promise<Output>
  /** Every statement so far, where that was asked for. */
  log(): string
  stop(): Promise<void>
}

/** MySQL's own client, as the tests' set-up brings it; undefined where it did not. */
export { mysqlClient, type ServerKind }

const superuser = { name: 'owner', password: 'owner-of-the-test' }
const database = 'shop'

export async function startMysql(o: MysqlServerOptions = {}): Promise<MysqlServer> {
  const { kind = 'mariadb' } = o
  const programs = installedServer(kind)
  if (!programs) throw missingServer(kind)
  const directory = temporaryDirectory('mysql', { open: true })
  const certificate = o.tls ? await certificateFor() : undefined
  let server: Server
  try {
    server = await startMysqlServer({
      programs,
      directory: join(directory.path, 'server'),
      superuser,
      sql: `CREATE DATABASE ${database};`,
      tls: certificate && { ...certificate, required: o.tls === 'required' },
      logStatements: o.logStatements,
      settings: {
        ...(o.ed25519
          ? { 'plugin-dir': pluginCopy(directory.path), 'plugin-load-add': 'auth_ed25519' }
          : {}),
        ...o.settings,
      },
    })
  } catch (error) {
    await directory.remove()
    throw error
  }
  const { host, port, pid } = server
  const login = { host, port, user: superuser.name, password: superuser.password, database }
  const connect: MysqlServer['connect'] = (more = {}) =>
    createConnection({
      ...login,
      multipleStatements: true,
      ssl: certificate && { ca: certificate.certificate },
      ...more,
    })
  const query: MysqlServer['query'] = async (sql) => {
    const client = await connect()
    try {
      return (await client.query(sql))[0]
    } finally {
      await client.end()
    }
  }
  const made: MysqlServer = {
    version: programs.version,
    ...{ host, port, pid, database, certificate, connect, query },
    user: superuser.name,
    password: superuser.password,
    address: `${host}:${port}`,
    resource: (settings) =>
      JSON.stringify({
        protocol: 'mysql',
        address: `${host}:${port}`,
        account: superuser.name,
        password: { literal: superuser.password },
        database,
        ...settings,
      }),
    mysql: (args, more) => mysql(login, args, more),
    log: () => readFileSync(server.generalLogFile, 'utf8'),
    async stop() {
      await server.stop('immediate')
      await directory.remove()
    },
  }
  if (o.sql)
    try {
      await query(o.sql)
    } catch (error) {
      await made.stop()
      throw error
    }
  return made
}

const PLUGIN = 'auth_ed25519.so'
const PLUGIN_PLACES = [
  '/usr/lib/mysql/plugin',
  '/usr/lib64/mysql/plugin',
  '/usr/lib64/mariadb/plugin',
  join(__dirname, '../../../node_modules/.cache/custody-mariadb'),
]

/** Where the server's account can read it. */
function pluginCopy(directory: string): string {
  const place = PLUGIN_PLACES.find((one) => existsSync(join(one, PLUGIN)))
  if (place === undefined)
    throw new Error(`${PLUGIN} is not there: node scripts/setup.mjs --clients fetches it`)
  const copies = join(directory, 'plugins')
  mkdirSync(copies)
  copyFileSync(join(place, PLUGIN), join(copies, PLUGIN))
  return copies
}

export interface MysqlLogin {
  host?: string
  port: number
  user: string
  password?: string
  database?: string
}

/** Runs MariaDB's client without any personal settings. */
export function mysql(
  login: MysqlLogin,
  args: readonly string[],
  o: ProgramOptions = {},
): Promise<Output> {
  const { host = '127.0.0.1', port, user, password, database } = login
  return runProgram(
    clientProgram('mariadb'),
    [
      ...['--no-defaults', `--host=${host}`, `--port=${port}`, '--protocol=tcp', `--user=${user}`],
      ...args,
      ...(database === undefined ? [] : [database]),
    ],
    { ...o, env: { ...(password !== undefined && { MYSQL_PWD: password }), ...o.env } },
  )
}
