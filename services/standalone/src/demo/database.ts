/**
 * The demo's target: a real PostgreSQL with the sample database, made once and kept below the home directory.
 * Refuses to leave a half-made one: what was interrupted is made anew at the next start.
 */
import { createHash, randomBytes } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { CustodyError, type Home, writeFileAtomic } from '@custody/kit'
import {
  type Binaries,
  type Cluster,
  installedBinaries,
  missingBinaries,
  npmBinaries,
  reachableDirectory,
  startCluster,
  stopLeftover,
} from '@custody/postgres-server'
import { Client } from 'pg'
import { sampleSql } from './sample'

export const demoDatabase = 'shop'
export const demoAccount = 'app'

export interface Demo {
  readonly address: string
  /** The PostgreSQL version in words for people. */
  readonly version: string
  /** The configuration that has this database as its one resource. */
  readonly configurationFile: string
  stop(): Promise<void>
}

/** What is written once the sample data is complete; a directory without it is not used. */
interface Made {
  directory: string
  version: string
}

export async function startDemo(home: Home, progress: (line: string) => void): Promise<Demo> {
  mkdirSync(home.demo, { recursive: true, mode: 0o755 })
  const madeFile = join(home.demo, 'made.json')
  const passwordFile = join(home.demo, 'app-password')
  let made = readMade(madeFile)
  const binaries = binariesFor(made)
  if (!made) {
    progress(`making the demo database (PostgreSQL ${binaries.version})`)
    const key = createHash('sha256').update(home.directory).digest('hex').slice(0, 16)
    made = {
      directory: reachableDirectory(join(home.demo, 'server'), `/var/tmp/custody-demo-${key}`),
      version: binaries.version,
    }
    await make(made, binaries, passwordFile)
    writeFileAtomic(madeFile, `${JSON.stringify(made)}\n`)
  }
  const { directory } = made
  let cluster = await start(directory, binaries)
  const { host, port } = cluster
  const configurationFile = join(home.demo, 'custody.yaml')
  writeFileAtomic(configurationFile, demoConfiguration(`${host}:${port}`, passwordFile))

  let stopping = false
  let restarted: Promise<void> = Promise.resolve()
  keep()
  return {
    address: `${host}:${port}`,
    version: binaries.version,
    configurationFile,
    async stop() {
      stopping = true
      await restarted
      await cluster.stop()
    },
  }

  /** A server that somebody killed comes back at the same place; if it cannot, Custody says that it is unreachable. */
  function keep(): void {
    void cluster.ended.then(() => {
      if (stopping) return
      restarted = start(directory, binaries, { port }).then(
        (again) => {
          cluster = again
          keep()
        },
        () => {},
      )
    })
  }
}

async function make(made: Made, binaries: Binaries, passwordFile: string): Promise<void> {
  await stopLeftover(made.directory)
  rmSync(made.directory, { recursive: true, force: true })
  // Nobody needs the superuser afterwards, so its password is kept nowhere.
  const password = randomBytes(24).toString('base64url')
  const accountPassword = randomBytes(24).toString('base64url')
  const cluster = await start(made.directory, binaries, { password })
  try {
    const owner = { host: cluster.host, port: cluster.port, user: 'postgres', password }
    await run({ ...owner, database: 'postgres' }, [
      `CREATE ROLE ${demoAccount} LOGIN PASSWORD '${accountPassword}'`,
      `CREATE DATABASE ${demoDatabase}`,
    ])
    await run({ ...owner, database: demoDatabase }, [
      `BEGIN; ${sampleSql()} GRANT ALL ON ALL TABLES IN SCHEMA public TO ${demoAccount};
       GRANT ALL ON ALL SEQUENCES IN SCHEMA public TO ${demoAccount};
       GRANT CREATE ON SCHEMA public TO ${demoAccount}; COMMIT`,
      'CHECKPOINT',
    ])
  } catch (cause) {
    throw new CustodyError(
      'CUSTODY-START-002',
      `the demo database could not be filled: ${(cause as Error).message}`,
      { cause },
    )
  } finally {
    await cluster.stop()
  }
  writeFileAtomic(passwordFile, accountPassword, 0o600)
}

async function run(
  at: { host: string; port: number; user: string; password: string; database: string },
  statements: readonly string[],
): Promise<void> {
  const client = new Client(at)
  await client.connect()
  try {
    for (const statement of statements) await client.query(statement)
  } finally {
    await client.end()
  }
}

async function start(
  directory: string,
  binaries: Binaries,
  o: { password?: string; port?: number } = {},
): Promise<Cluster> {
  try {
    return await startCluster({
      binaries,
      directory,
      superuser: { name: 'postgres', password: o.password ?? '' },
      port: o.port,
      settings: { log_min_messages: 'warning', shared_buffers: '32MB' },
    })
  } catch (cause) {
    throw new CustodyError(
      'CUSTODY-START-002',
      `the demo database did not start (its log is ${join(directory, 'server.log')}): ${(cause as Error).message}`,
      { cause },
    )
  }
}

/** npm's programs, else installed ones; once data is made, the same main version, for no other can read it. */
function binariesFor(made: Made | undefined): Binaries {
  const found = [npmBinaries(), installedBinaries()].filter((b) => b !== undefined)
  if (!made) {
    if (!found[0]) throw missingBinaries()
    return found[0]
  }
  const main = (version: string) => version.split('.')[0]
  const same = found.find(({ version }) => main(version) === main(made.version))
  if (!same) {
    throw new CustodyError(
      'CUSTODY-START-002',
      `the demo database in ${made.directory} was made by PostgreSQL ${made.version}, found here: ${found.map((b) => b.version).join(', ') || 'none'}`,
    )
  }
  return same
}

function readMade(file: string): Made | undefined {
  if (!existsSync(file)) return undefined
  const made = JSON.parse(readFileSync(file, 'utf8')) as Made
  return existsSync(join(made.directory, 'data', 'PG_VERSION')) ? made : undefined
}

function demoConfiguration(address: string, passwordFile: string): string {
  return `# Written at each start of the demo. For your own databases write a custody.yaml of your own.
resources:
  demo:
    protocol: postgres
    address: ${address}
    account: ${demoAccount}
    password: { file: ${JSON.stringify(passwordFile)} }
    database: ${demoDatabase}
    tls: disable
    labels: { env: demo }
policy:
  templates:
    - { use: allow-everything }
    - { use: no-destructive-without-approval }
    - { use: no-write-without-where }
masking:
  rules:
    - { id: cards, columns: ['cards.number'], action: partial }
    - { id: emails, columns: ['*.email'], action: partial }
    - { id: national-ids, columns: ['*.national_id'] }
    - { id: births, columns: ['*.date_of_birth'], action: truncate, to: year }
    - { id: pay, columns: ['employees.salary', 'employees.iban'] }
`
}
