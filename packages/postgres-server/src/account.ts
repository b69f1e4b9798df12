/**
 * PostgreSQL refuses to run as root. This finds the account it runs as instead, and a place that account can reach.
 * Refuses to open up directories it did not make: where a parent is closed to others, another place is used.
 */
import { readFileSync, statSync } from 'node:fs'
import { dirname, resolve } from 'node:path'
import { CustodyError } from '@custody/kit'

export interface Account {
  readonly name: string
  readonly uid: number
  readonly gid: number
}

const candidates = ['postgres', 'nobody', 'daemon']

/** The account to run the server as, or undefined when our own will do. */
export function serverAccount(): Account | undefined {
  if (process.getuid?.() !== 0) return undefined
  const accounts = new Map<string, Account>()
  for (const line of readFileSync('/etc/passwd', 'utf8').split('\n')) {
    const [name, , uid, gid] = line.split(':')
    if (name && uid && gid) accounts.set(name, { name, uid: Number(uid), gid: Number(gid) })
  }
  for (const name of candidates) {
    const account = accounts.get(name)
    if (account && account.uid > 0) return account
  }
  throw new CustodyError(
    'CUSTODY-PLATFORM-003',
    `PostgreSQL does not run as root, and this machine has none of the accounts ${candidates.join(', ')}`,
  )
}

/** True when the account may pass through every directory from the root down to `path` (which must exist). */
export function reachableBy(account: Account, path: string): boolean {
  for (let at = resolve(path); ; at = dirname(at)) {
    const { mode, uid, gid } = statSync(at)
    const bit = uid === account.uid ? 0o100 : gid === account.gid ? 0o010 : 0o001
    if ((mode & bit) === 0) return false
    if (at === dirname(at)) return true
  }
}
