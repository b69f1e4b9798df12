/**
 * Runs one real MariaDB or MySQL server on a data directory of ours: makes it, starts it, knows when it is ready, stops it, and sees
 * that it does not outlive us, however we end. For what is thrown away: nothing is flushed to disk.
 * Refuses to listen anywhere but on loopback, and to read any settings of this machine.
 */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import {
  chmodSync,
  chownSync,
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  readFileSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { CustodyError, freePort } from '@custody/kit'
import { type ServerPrograms, serverAccount } from './programs'

export interface MysqlServerOptions {
  programs: ServerPrograms
  /** Ours alone; `data/` and the logs are made in it. The server's account must be able to pass through those above it. */
  directory: string
  /** May do anything, from 127.0.0.1. */
  superuser: { name: string; password: string }
  /** Run once, before anybody can connect. One statement a line. */
  sql?: string
  /** Only TLS connections are accepted when `required`. */
  tls?: { certificate: string; key: string; required?: boolean }
  /** Logs every statement, to be read from `generalLogFile`. */
  logStatements?: boolean
  /** 0 or nothing: any free one. */
  port?: number
  /** Further settings, as in my.cnf. */
  settings?: Readonly<Record<string, string>>
  startMsMax?: number
}

export interface MysqlServer {
  readonly host: string
  readonly port: number
  readonly pid: number
  /** The server's own log of errors. */
  readonly logFile: string
  /** Every statement, where that was asked for. */
  readonly generalLogFile: string
  /** Settles when the server has ended, asked or not. */
  readonly ended: Promise<void>
  /** `fast` ends in order, `immediate` is a crash that the next start recovers from. */
  stop(mode?: 'fast' | 'immediate'): Promise<void>
}

const HOST = '127.0.0.1'
const STOP_MS_MAX = 20_000
const START_MS_MAX = 60_000
/** Against a port that another program took in between. */
const ATTEMPTS = 5

export async function startMysqlServer(o: MysqlServerOptions): Promise<MysqlServer> {
  const account = serverAccount(o.programs.kind)
  mkdirSync(o.directory, { recursive: true })
  if (account) {
    chownSync(o.directory, account.uid, account.gid)
    chmodSync(o.directory, 0o750)
  }
  const own = (path: string) => {
    if (account) chownSync(path, account.uid, account.gid)
    return path
  }
  const data = join(o.directory, 'data')
  // Its own: servers that share one remove each other's tables as leftovers.
  const temporary = join(o.directory, 'tmp')
  mkdirSync(temporary, { recursive: true })
  own(temporary)
  const isNew = !existsSync(join(data, 'mysql'))
  if (isNew) initialise(o, data, temporary, account?.name)
  const write = (name: string, content: string) => {
    const path = join(o.directory, name)
    writeFileSync(path, content, { mode: 0o600 })
    return own(path)
  }
  const init = isNew ? write('init.sql', firstStatements(o)) : null
  for (let attempt = 1; ; attempt++) {
    const port = o.port || (await freePort(HOST))
    const settings: Record<string, string> = {
      datadir: data,
      tmpdir: temporary,
      port: String(port),
      'bind-address': HOST,
      socket: join(o.directory, 's'),
      'pid-file': join(o.directory, 'pid'),
      'general-log-file': join(o.directory, 'general.log'),
      'general-log': o.logStatements ? '1' : '0',
      'skip-name-resolve': '1',
      'innodb-flush-log-at-trx-commit': '0',
      'innodb-buffer-pool-size': '32M',
      'max-connections': '400',
      // Its other protocol would take a port of its own.
      ...(o.programs.kind === 'mysql' && {
        mysqlx: '0',
        'secure-file-priv': '',
        ...(o.settings?.['log-bin'] === undefined && { 'skip-log-bin': '1' }),
      }),
      ...(account ? { user: account.name } : {}),
      ...(init ? { 'init-file': init } : {}),
      ...(o.tls
        ? {
            'ssl-cert': write('server.crt', o.tls.certificate),
            'ssl-key': write('server.key', o.tls.key),
            ...(o.tls.required ? { 'require-secure-transport': '1' } : {}),
          }
        : {}),
      ...o.settings,
    }
    const lines = Object.entries(settings).map(([name, value]) => `${name} = ${value}`)
    const file = write('my.cnf', `[mysqld]\n${lines.join('\n')}\n`)
    const started = await launch(o, file, port)
    if (started !== null) return started
    if (o.port || attempt === ATTEMPTS)
      throw new CustodyError('CUSTODY-LISTEN-001', `port ${port} on ${HOST} is taken`)
  }
}

const MARIADB_INITIALISES = [
  ...['--auth-root-authentication-method=normal', '--skip-test-db', '--skip-name-resolve'],
  '--innodb-flush-log-at-trx-commit=0',
]

function initialise(
  o: MysqlServerOptions,
  data: string,
  temporary: string,
  account: string | undefined,
): void {
  const words = [
    ...['--no-defaults', `--datadir=${data}`, `--tmpdir=${temporary}`],
    ...(o.programs.kind === 'mysql' ? ['--initialize-insecure'] : MARIADB_INITIALISES),
    ...(account ? [`--user=${account}`] : []),
  ]
  try {
    execFileSync(o.programs.initialise, words, { stdio: ['ignore', 'pipe', 'pipe'] })
  } catch (error) {
    const stderr = String((error as { stderr?: Buffer }).stderr ?? '').trim()
    throw new CustodyError(
      'CUSTODY-START-003',
      `${o.programs.initialise} failed: ${stderr || String(error)}`,
      { cause: error },
    )
  }
}

function firstStatements({ superuser, sql }: MysqlServerOptions): string {
  const quoted = (text: string) => `'${text.replace(/['\\]/g, '\\$&')}'`
  const who = `${quoted(superuser.name)}@'127.0.0.1'`
  return [
    `CREATE USER ${who} IDENTIFIED BY ${quoted(superuser.password)};`,
    `GRANT ALL PRIVILEGES ON *.* TO ${who} WITH GRANT OPTION;`,
    sql ?? '',
    '',
  ].join('\n')
}

/** Null where the port was taken by another program. */
async function launch(
  o: MysqlServerOptions,
  file: string,
  port: number,
): Promise<MysqlServer | null> {
  const logFile = join(o.directory, 'server.log')
  const log = openSync(logFile, 'a', 0o600)
  const logFrom = readFileSync(logFile).length
  const server = spawn(o.programs.server, [`--defaults-file=${file}`], {
    cwd: '/',
    stdio: ['ignore', log, log],
    env: { PATH: process.env.PATH, LC_ALL: 'C', TZ: 'UTC' },
    // A group of its own: the terminal's Ctrl-C is ours to pass on, in our order.
    detached: true,
  })
  closeSync(log)
  let hasEnded = false
  const ended = new Promise<void>((resolve) => {
    server.once('error', () => resolve())
    server.once('exit', () => resolve())
  }).then(() => {
    hasEnded = true
  })
  const guard = server.pid ? guardAgainstOrphan(server.pid) : null
  void ended.then(() => guard?.kill('SIGKILL'))
  const said = () => readFileSync(logFile).subarray(logFrom).toString('utf8')
  const deadline = Date.now() + (o.startMsMax ?? START_MS_MAX)
  while (!said().includes('ready for connections')) {
    if (hasEnded || Date.now() > deadline) {
      server.kill('SIGKILL')
      await ended
      if (/Address already in use/i.test(said())) return null
      const last = said().trim().split('\n').slice(-5).join(' | ')
      throw new CustodyError(
        'CUSTODY-START-003',
        `the ${o.programs.kind === 'mysql' ? 'MySQL' : 'MariaDB'} server did not start: ${last}`,
      )
    }
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
  return {
    host: HOST,
    port,
    pid: server.pid!,
    logFile,
    generalLogFile: join(o.directory, 'general.log'),
    ended,
    async stop(mode = 'fast') {
      if (hasEnded) return
      server.kill(mode === 'fast' ? 'SIGTERM' : 'SIGKILL')
      const forced = setTimeout(() => server.kill('SIGKILL'), STOP_MS_MAX)
      await ended
      clearTimeout(forced)
    },
  }
}

/** A shell that waits for its standard input to close, which happens when we end in whatever way, and then stops the server. */
function guardAgainstOrphan(pid: number): ChildProcess {
  const guard = spawn('/bin/sh', ['-c', `read -r _; kill -KILL ${pid}`], {
    cwd: '/',
    stdio: ['pipe', 'ignore', 'ignore'],
    detached: true,
  })
  guard.on('error', () => {})
  guard.unref()
  ;(guard.stdin as unknown as { unref?(): void }).unref?.()
  return guard
}
