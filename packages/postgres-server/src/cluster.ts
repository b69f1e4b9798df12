/**
 * Runs one real PostgreSQL server on a data directory of ours: makes it, starts it, knows when it is ready, stops it, and
 * sees that it does not outlive us, however we end. Refuses to touch a server that does not run on that directory.
 */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import {
  appendFileSync,
  chmodSync,
  chownSync,
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { platform } from 'node:os'
import { dirname, join } from 'node:path'
import { CustodyError, freePort, processExists } from '@custody/kit'
import { type Account, reachableBy, serverAccount } from './account'
import type { Binaries } from './binaries'

export type AuthenticationMethod = 'scram-sha-256' | 'md5' | 'password' | 'trust'

export interface ClusterOptions {
  binaries: Binaries
  /** Ours alone; `data/` and `server.log` are made in it. */
  directory: string
  superuser: { name: string; password: string }
  /** How clients on 127.0.0.1 prove who they are. */
  authentication?: AuthenticationMethod
  /** Only TLS connections are accepted when `required`. */
  tls?: { certificate: string; key: string; required?: boolean }
  host?: string
  /** 0 or nothing: any free one. */
  port?: number
  /** Further settings, as in postgresql.conf. */
  settings?: Readonly<Record<string, string>>
  startMsMax?: number
}

export interface Cluster {
  readonly host: string
  readonly port: number
  readonly pid: number
  /** The server's own log. */
  readonly logFile: string
  /** Settles when the server has ended, asked or not. */
  readonly ended: Promise<void>
  /** `fast` ends sessions in order, `immediate` is a crash that the next start recovers from. */
  stop(mode?: 'fast' | 'immediate'): Promise<void>
}

const stopMsMax = 20_000
const ownSettingsFile = 'custody.conf'
const suffix = platform() === 'win32' ? '.exe' : ''

/** What is still being written to is tried again. */
const REMOVING = { recursive: true, force: true, maxRetries: 20, retryDelay: 100 } as const

/** Makes the data directory when it is missing; answers whether it was. */
export function initialiseCluster(o: ClusterOptions): boolean {
  const data = join(o.directory, 'data')
  if (existsSync(join(data, 'PG_VERSION'))) return false
  const account = prepareDirectory(o.directory)
  // In a place of its own until it is whole: an initdb whose parent was killed goes on writing for a moment.
  const making = join(o.directory, `making-${randomBytes(6).toString('hex')}`)
  const passwordFile = join(o.directory, `.password-${randomBytes(6).toString('hex')}`)
  writeFileSync(passwordFile, o.superuser.password, { mode: 0o600 })
  if (account) chownSync(passwordFile, account.uid, account.gid)
  const method = o.authentication ?? 'scram-sha-256'
  try {
    execFileSync(
      join(o.binaries.directory, `initdb${suffix}`),
      [
        ...['-D', making, '-U', o.superuser.name, `--pwfile=${passwordFile}`],
        ...['-E', 'UTF8', '--locale=C', '--no-sync', '--no-instructions'],
        // The method also decides how the password is stored.
        ...['-A', method === 'password' ? 'scram-sha-256' : method],
      ],
      { ...asAccount(account), cwd: o.directory, stdio: ['ignore', 'pipe', 'pipe'] },
    )
  } catch (error) {
    rmSync(making, REMOVING)
    const stderr = String((error as { stderr?: Buffer }).stderr ?? '').trim()
    throw new CustodyError('CUSTODY-START-003', `initdb failed: ${stderr || String(error)}`, {
      cause: error,
    })
  } finally {
    rmSync(passwordFile, { force: true })
  }
  // Ours is read last but one: what somebody sets with ALTER SYSTEM still wins.
  appendFileSync(join(making, 'postgresql.conf'), `include_if_exists = '${ownSettingsFile}'\n`)
  // Half of one, by a version that made it in place.
  rmSync(data, REMOVING)
  renameSync(making, data)
  removeHalfMade(o.directory)
  return true
}

/** Those of parents that were killed; what is still being written to is left for the next time. */
function removeHalfMade(directory: string): void {
  for (const name of readdirSync(directory))
    if (name.startsWith('making-'))
      try {
        rmSync(join(directory, name), { recursive: true, force: true })
      } catch {}
}

/** Starts the server on the data directory, after stopping one that an earlier run left behind on it. */
export async function startCluster(o: ClusterOptions): Promise<Cluster> {
  const host = o.host ?? '127.0.0.1'
  initialiseCluster(o)
  const account = prepareDirectory(o.directory)
  await stopLeftover(o.directory)
  writeConfiguration(o, account)

  // A free port may be taken before the server gets it, so a lost race is run again.
  for (let attempt = 1; ; attempt++) {
    const port = o.port || (await freePort(host))
    try {
      return await launch(o, account, host, port)
    } catch (error) {
      if (o.port || attempt === 5 || !(error instanceof PortTaken)) throw error
    }
  }
}

class PortTaken extends CustodyError {}

async function launch(
  o: ClusterOptions,
  account: Account | undefined,
  host: string,
  port: number,
): Promise<Cluster> {
  const data = join(o.directory, 'data')
  const logFile = join(o.directory, 'server.log')
  const log = openSync(logFile, 'a', 0o600)
  const logFrom = readFileSync(logFile).length
  const server = spawn(
    join(o.binaries.directory, `postgres${suffix}`),
    ['-D', data, '-c', `listen_addresses=${host}`, '-c', `port=${port}`],
    {
      ...asAccount(account),
      cwd: o.directory,
      stdio: ['ignore', log, log],
      // A group of its own: the terminal's Ctrl-C is ours to pass on, in our order.
      detached: platform() !== 'win32',
    },
  )
  closeSync(log)
  const ended = new Promise<void>((resolve) => {
    server.once('error', () => resolve())
    server.once('exit', () => resolve())
  })
  let hasEnded = false
  void ended.then(() => {
    hasEnded = true
  })
  const guard = server.pid ? guardAgainstOrphan(server.pid, account) : undefined
  void ended.then(() => guard?.kill('SIGKILL'))

  const deadline = Date.now() + (o.startMsMax ?? 60_000)
  while (!isReady(data, server.pid)) {
    if (hasEnded || Date.now() > deadline) {
      server.kill('SIGKILL')
      const said = readFileSync(logFile).subarray(logFrom).toString('utf8').trim()
      if (/could not bind|Address already in use/i.test(said)) {
        throw new PortTaken(
          'CUSTODY-LISTEN-001',
          `port ${port} on ${host} is taken by another program`,
        )
      }
      throw new CustodyError(
        'CUSTODY-START-003',
        `the PostgreSQL server did not start; its log ${logFile} ends with: ${said.split('\n').slice(-3).join(' | ')}`,
      )
    }
    await pause(20)
  }

  return {
    host,
    port,
    pid: server.pid as number,
    logFile,
    ended,
    async stop(mode = 'fast') {
      if (hasEnded) return
      server.kill(mode === 'fast' ? 'SIGINT' : 'SIGQUIT')
      const forced = setTimeout(() => server.kill('SIGQUIT'), stopMsMax)
      await ended
      clearTimeout(forced)
    },
  }
}

/**
 * A shell that waits for its standard input to close, which happens when we end in whatever way, and then stops the
 * server. It runs as the server's account, so it could not signal anything else.
 */
function guardAgainstOrphan(pid: number, account: Account | undefined): ChildProcess | undefined {
  if (platform() === 'win32') return undefined
  const guard = spawn('/bin/sh', ['-c', `read -r _; kill -INT ${pid}`], {
    ...asAccount(account),
    cwd: '/',
    stdio: ['pipe', 'ignore', 'ignore'],
    detached: true,
  })
  guard.on('error', () => {})
  guard.unref()
  ;(guard.stdin as unknown as { unref?(): void }).unref?.()
  return guard
}

/** The eighth line of postmaster.pid says `ready` once connections are accepted. */
function isReady(data: string, pid: number | undefined): boolean {
  try {
    const lines = readFileSync(join(data, 'postmaster.pid'), 'utf8').split('\n')
    return Number(lines[0]) === pid && lines[7]?.trim() === 'ready'
  } catch {
    return false
  }
}

/** Stops the server that runs on the directory, if one does, and removes a lock that belongs to none. */
export async function stopLeftover(directory: string): Promise<void> {
  const data = join(directory, 'data')
  const lock = join(data, 'postmaster.pid')
  let pid: number
  try {
    pid = Number(readFileSync(lock, 'utf8').split('\n')[0])
  } catch {
    return
  }
  if (Number.isInteger(pid) && pid > 1 && processExists(pid) && runsOn(pid, data)) {
    for (const [signal, ms] of [
      ['SIGINT', stopMsMax],
      ['SIGQUIT', 10_000],
    ] as const) {
      process.kill(pid, signal)
      const deadline = Date.now() + ms
      while (processExists(pid) && Date.now() < deadline) await pause(50)
      if (!processExists(pid)) return
    }
    throw new CustodyError(
      'CUSTODY-START-003',
      `a PostgreSQL server of an earlier run (process ${pid}) on ${data} does not stop`,
    )
  }
  // The process is gone, or its number now belongs to another program, which the server could not tell.
  rmSync(lock, { force: true })
}

function runsOn(pid: number, data: string): boolean {
  let command: string
  try {
    command = existsSync('/proc/self/cmdline')
      ? readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ')
      : execFileSync('ps', ['-p', String(pid), '-o', 'command='], { encoding: 'utf8' })
  } catch {
    return false
  }
  return command.includes(`-D ${data}`)
}

/** Reading the directory's owner decides who runs the server. */
function prepareDirectory(directory: string): Account | undefined {
  mkdirSync(directory, { recursive: true })
  const account = serverAccount()
  if (!account) return undefined
  chownSync(directory, account.uid, account.gid)
  chmodSync(directory, 0o750)
  if (!reachableBy(account, directory)) {
    throw new CustodyError(
      'CUSTODY-HOME-003',
      `the account ${account.name}, which runs PostgreSQL because root may not, cannot reach ${directory}: a directory above it is closed to others`,
    )
  }
  return account
}

function asAccount(account: Account | undefined): {
  uid?: number
  gid?: number
  env: NodeJS.ProcessEnv
} {
  const env: NodeJS.ProcessEnv = { PATH: process.env.PATH, LC_ALL: 'C', TZ: 'UTC' }
  return account ? { uid: account.uid, gid: account.gid, env } : { env }
}

function writeConfiguration(o: ClusterOptions, account: Account | undefined): void {
  const data = join(o.directory, 'data')
  const method = o.authentication ?? 'scram-sha-256'
  const settings: Record<string, string> = {
    unix_socket_directories: '',
    max_connections: '200',
    shared_buffers: '64MB',
    password_encryption: method === 'md5' ? 'md5' : 'scram-sha-256',
    log_timezone: 'UTC',
    timezone: 'UTC',
    ...o.settings,
  }
  if (o.tls) {
    for (const [name, content] of [
      ['server.crt', o.tls.certificate],
      ['server.key', o.tls.key],
    ] as const) {
      const file = join(data, name)
      rmSync(file, { force: true })
      writeFileSync(file, content, { mode: 0o600 })
      if (account) chownSync(file, account.uid, account.gid)
    }
    settings.ssl = 'on'
  }
  const lines = Object.entries(settings).map(
    ([name, value]) => `${name} = '${value.replaceAll("'", "''")}'`,
  )
  write(ownSettingsFile, lines)
  const connection = o.tls?.required ? 'hostssl' : 'host'
  write('pg_hba.conf', [
    `${connection} all all 127.0.0.1/32 ${method}`,
    `${connection} all all ::1/128 ${method}`,
    `${connection} replication all 127.0.0.1/32 ${method}`,
  ])

  function write(name: string, content: string[]): void {
    const file = join(data, name)
    writeFileSync(file, `${content.join('\n')}\n`, { mode: 0o600 })
    if (account) chownSync(file, account.uid, account.gid)
  }
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms))
}

/** A directory for a server's data that its account can reach: the wished one, or one under /var/tmp. */
export function reachableDirectory(wished: string, fallback: string): string {
  mkdirSync(dirname(wished), { recursive: true })
  const account = serverAccount()
  return !account || reachableBy(account, dirname(wished)) ? wished : fallback
}
