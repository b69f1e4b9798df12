/**
 * Native clients as people run them. Refuses to judge: exit code, output and errors are handed back as they came.
 */
import { spawn } from 'node:child_process'
import { existsSync, readdirSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { missingBinaries, npmBinaries } from '@custody/postgres-server'

export interface Output {
  code: number | null
  signal: NodeJS.Signals | null
  stdout: string
  stderr: string
}

export interface ProgramOptions {
  env?: NodeJS.ProcessEnv
  cwd?: string
  input?: string | Buffer
  timeoutMs?: number
  /** Told each child's process id, for tests that kill. */
  started?(pid: number): void
  /** Told what it says on standard error, as it comes. */
  said?(text: string): void
}

/** A `postgresql://` URL, whatever characters its parts have. */
export function postgresUrl(at: {
  host: string
  port: number
  user: string
  password: string
  database: string
  sslmode?: string
}): string {
  const credentials = `${encodeURIComponent(at.user)}:${encodeURIComponent(at.password)}`
  const mode = at.sslmode ? `?sslmode=${at.sslmode}` : ''
  return `postgresql://${credentials}@${at.host}:${at.port}/${encodeURIComponent(at.database)}${mode}`
}

/** Runs psql without any personal settings. The address is a `postgresql://` URL. */
export function psql(
  url: string,
  args: readonly string[],
  o: ProgramOptions = {},
): Promise<Output> {
  return runProgram(clientProgram('psql'), ['-X', '-d', url, ...args], o)
}

export function pgbench(
  url: string,
  args: readonly string[],
  o: ProgramOptions = {},
): Promise<Output> {
  const at = new URL(url)
  const env: NodeJS.ProcessEnv = {
    PGHOST: at.hostname,
    PGPORT: at.port,
    PGUSER: decodeURIComponent(at.username),
    PGPASSWORD: decodeURIComponent(at.password),
    PGSSLMODE: at.searchParams.get('sslmode') ?? undefined,
    PGSSLROOTCERT: at.searchParams.get('sslrootcert') ?? undefined,
    ...o.env,
  }
  const database = decodeURIComponent(at.pathname.slice(1))
  return runProgram(clientProgram('pgbench'), [...args, database], { ...o, env })
}

/**
 * Connects with PostgreSQL 18's own client library, which presents this token by OAUTHBEARER, and asks one question. No
 * released psql can be given a token; the library can. Python only loads it.
 */
export function libpqWithToken(conninfo: string, token: string, sql: string): Promise<Output> {
  const shipped = npmBinaries()
  if (!shipped) throw missingBinaries()
  const library = join(shipped.directory, '../lib/libpq.so.5.18')
  return runProgram('python3', [join(__dirname, '../libpq-oauth.py'), library, conninfo, sql], {
    input: token,
    // The provider of these tests speaks plain HTTP, which the library asks to be told is meant so.
    env: { PGOAUTHDEBUG: 'UNSAFE' },
  })
}

/** Where the program is: PATH, or a version's directory as Debian has them. */
export function clientProgram(name: string): string {
  for (const place of (process.env.PATH ?? '').split(delimiter)) {
    if (place && existsSync(join(place, name))) return join(place, name)
  }
  const parent = '/usr/lib/postgresql'
  const versions = existsSync(parent)
    ? readdirSync(parent)
        .map(Number)
        .sort((a, b) => b - a)
    : []
  for (const version of versions) {
    const path = join(parent, String(version), 'bin', name)
    if (existsSync(path)) return path
  }
  throw new Error(
    `${name} is not installed and these tests need it: node scripts/setup.mjs --clients installs it where it may`,
  )
}

export function runProgram(
  program: string,
  args: readonly string[],
  o: ProgramOptions = {},
): Promise<Output> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, {
      cwd: o.cwd,
      env: { ...process.env, PGCONNECT_TIMEOUT: '20', ...o.env },
      stdio: ['pipe', 'pipe', 'pipe'],
    })
    if (child.pid) o.started?.(child.pid)
    const out: Buffer[] = []
    const err: Buffer[] = []
    child.stdout.on('data', (chunk: Buffer) => out.push(chunk))
    child.stderr.on('data', (chunk: Buffer) => {
      err.push(chunk)
      o.said?.(chunk.toString('utf8'))
    })
    const timer = setTimeout(() => child.kill('SIGKILL'), o.timeoutMs ?? 60_000)
    child.once('error', (error) => {
      clearTimeout(timer)
      reject(error)
    })
    child.once('close', (code, signal) => {
      clearTimeout(timer)
      resolve({
        code,
        signal,
        stdout: Buffer.concat(out).toString('utf8'),
        stderr: Buffer.concat(err).toString('utf8'),
      })
    })
    // A program that ends before it has read its input is its own answer.
    child.stdin.on('error', () => {})
    child.stdin.end(o.input ?? '')
  })
}

export interface Started {
  output(): string
  /** On standard error. */
  said(): string
  /** What of standard error fits; rejects where the program ends before it has said so. */
  until(pattern: RegExp): Promise<RegExpExecArray>
  ended: Promise<number | null>
  stop(): void
}

/** A program whose words somebody acts on while it runs. Ends by itself after a while. */
export function startProgram(
  program: string,
  args: readonly string[],
  o: { env?: NodeJS.ProcessEnv; cwd?: string; timeoutMs?: number } = {},
): Started {
  const child = spawn(program, args, {
    cwd: o.cwd,
    env: { ...process.env, ...o.env },
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: o.timeoutMs ?? 60_000,
    killSignal: 'SIGKILL',
  })
  let out = ''
  let err = ''
  child.stdout.on('data', (data) => {
    out += data
  })
  child.stderr.on('data', (data) => {
    err += data
  })
  let isOver = false
  const ended = new Promise<number | null>((resolve, reject) => {
    child.once('error', reject)
    child.once('close', (code) => {
      isOver = true
      resolve(code)
    })
  })
  ended.catch(() => {})
  return {
    output: () => out,
    said: () => err,
    async until(pattern) {
      for (;;) {
        const found = pattern.exec(err)
        if (found) return found
        if (isOver) throw new Error(`${program} ended: ${err}${out}`)
        await sleep(20)
      }
    },
    ended,
    stop: () => void child.kill('SIGKILL'),
  }
}
