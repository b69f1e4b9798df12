/**
 * MariaDB's server programs on this machine, and the account that they run as. Refuses to download anything: `npm test`
 * installs Debian's package where it may.
 */
import { execFileSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import { CustodyError } from '@custody/kit'

export interface ServerPrograms {
  readonly server: string
  readonly initialise: string
  /** As it says itself: `10.11.19-MariaDB`. */
  readonly version: string
}

/** Debian keeps servers where a normal user's PATH does not look. */
const FURTHER_PLACES = ['/usr/sbin', '/usr/local/sbin', '/usr/libexec']

export function installedServer(): ServerPrograms | undefined {
  const places = [...(process.env.PATH ?? '').split(delimiter), ...FURTHER_PLACES]
  const find = (names: readonly string[]) => {
    for (const place of places)
      for (const name of names)
        if (place !== '' && existsSync(join(place, name))) return join(place, name)
    return undefined
  }
  const server = find(['mariadbd', 'mysqld'])
  const initialise = find(['mariadb-install-db', 'mysql_install_db'])
  if (server === undefined || initialise === undefined) return undefined
  const said = execFileSync(server, ['--no-defaults', '--version'], { encoding: 'utf8' })
  const version = /Ver (\S+)/.exec(said)?.[1]
  return version?.includes('MariaDB') ? { server, initialise, version } : undefined
}

export function missingServer(): CustodyError {
  return new CustodyError(
    'CUSTODY-PLATFORM-001',
    'MariaDB’s server programs (mariadbd, mariadb-install-db) were not found in PATH (Debian: mariadb-server-core)',
  )
}

const ACCOUNTS = ['mysql', 'nobody', 'daemon']

/** The account to run the server as where we are root, which the server does not like to be. */
export function serverAccount(): { name: string; uid: number; gid: number } | undefined {
  if (process.getuid?.() !== 0) return undefined
  const lines = readFileSync('/etc/passwd', 'utf8').split('\n')
  for (const wanted of ACCOUNTS)
    for (const line of lines) {
      const [name, , uid, gid] = line.split(':')
      if (name === wanted && Number(uid) > 0) return { name, uid: Number(uid), gid: Number(gid) }
    }
  throw new CustodyError(
    'CUSTODY-PLATFORM-003',
    `MariaDB is not run as root, and this machine has none of the accounts ${ACCOUNTS.join(', ')}`,
  )
}
