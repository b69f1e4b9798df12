/**
 * Server programs of MariaDB and of MySQL on this machine, and the account that they run as. Refuses to download anything:
 * `npm test` installs Debian's packages where it may, and puts MySQL, which Debian's stable releases do not have, beside them.
 */
import { execFileSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import { CustodyError } from '@custody/kit'

export type ServerKind = 'mariadb' | 'mysql'

export interface ServerPrograms {
  readonly kind: ServerKind
  readonly server: string
  /** What makes a new data directory: a program of MariaDB's, MySQL's server itself. */
  readonly initialise: string
  /** As it says itself: `10.11.19-MariaDB`, `9.7.4`. */
  readonly version: string
}

/** Debian keeps servers where a normal user's PATH does not look. */
const FURTHER_PLACES = ['/usr/sbin', '/usr/local/sbin', '/usr/libexec']

/** Where set-up puts a MySQL of its own. */
const MYSQL_PLACE = join(__dirname, '../../../node_modules/.cache/custody-mysql/bin')

export function installedServer(kind: ServerKind = 'mariadb'): ServerPrograms | undefined {
  const places = [...(process.env.PATH ?? '').split(delimiter), ...FURTHER_PLACES]
  const find = (names: readonly string[]) => {
    for (const place of places)
      for (const name of names)
        if (place !== '' && existsSync(join(place, name))) return join(place, name)
    return undefined
  }
  if (kind === 'mysql') {
    // MariaDB's may have the name too.
    for (const place of [MYSQL_PLACE, ...places]) {
      const server = join(place, 'mysqld')
      const version = place !== '' && existsSync(server) ? versionOf(server) : undefined
      if (version !== undefined && !version.includes('MariaDB'))
        return { kind, server, initialise: server, version }
    }
    return undefined
  }
  const server = find(['mariadbd', 'mysqld'])
  const initialise = find(['mariadb-install-db', 'mysql_install_db'])
  if (server === undefined || initialise === undefined) return undefined
  const version = versionOf(server)
  return version?.includes('MariaDB') ? { kind, server, initialise, version } : undefined
}

function versionOf(server: string): string | undefined {
  const said = execFileSync(server, ['--no-defaults', '--version'], { encoding: 'utf8' })
  return /Ver (\S+)/.exec(said)?.[1]
}

/** Of a MySQL, the client that came with it. */
export function mysqlClient(): string | undefined {
  const client = join(MYSQL_PLACE, 'mysql')
  return existsSync(client) ? client : undefined
}

export function missingServer(kind: ServerKind = 'mariadb'): CustodyError {
  return new CustodyError(
    'CUSTODY-PLATFORM-001',
    kind === 'mariadb'
      ? 'MariaDB’s server programs (mariadbd, mariadb-install-db) were not found in PATH (Debian: mariadb-server-core)'
      : 'MySQL’s server (mysqld) was not found: node scripts/setup.mjs --clients fetches it',
  )
}

const ACCOUNTS = ['mysql', 'nobody', 'daemon']

/** The account to run the server as where we are root, which the server does not like to be. */
export function serverAccount(
  kind: ServerKind,
): { name: string; uid: number; gid: number } | undefined {
  if (process.getuid?.() !== 0) return undefined
  // Its files are with the project, where no other account may be let in.
  if (kind === 'mysql') return { name: 'root', uid: 0, gid: 0 }
  const lines = readFileSync('/etc/passwd', 'utf8').split('\n')
  for (const wanted of ACCOUNTS)
    for (const line of lines) {
      const [name, , uid, gid] = line.split(':')
      if (name === wanted && Number(uid) > 0) return { name, uid: Number(uid), gid: Number(gid) }
    }
  throw new CustodyError(
    'CUSTODY-PLATFORM-003',
    `a server is not run as root, and this machine has none of the accounts ${ACCOUNTS.join(', ')}`,
  )
}
