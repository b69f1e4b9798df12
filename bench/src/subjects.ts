/**
 * What is measured side by side: PostgreSQL direct, floors that keep nothing, peers where they are installed, and Custody at
 * each durability. All are processes of their own on loopback, and all are ended.
 */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { chmodSync, existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { join } from 'node:path'
import { freePort } from '@custody/kit'
import { certificateFor, type PostgresServer } from '@custody/test-support'
import { startGateway } from './processes'

export interface Subject {
  name: string
  port: number
  user: string
  password: string
  database: string
  tls: boolean
  /** The proxy's own process; none for direct. */
  pid?: number
}

export interface Subjects {
  all: Subject[]
  /** Peers that are not installed here. */
  missing: string[]
  stop(): Promise<void>
}

/** A gateway with settings of its own. */
export interface OwnCustody {
  name: string
  durability: string
  /** More of its configuration, in YAML. */
  more: string
}

export const DATABASE = 'bench'

export async function startSubjects(
  server: PostgresServer,
  directory: string,
  wanted?: (name: string) => boolean,
  own: readonly OwnCustody[] = [],
): Promise<Subjects> {
  const children: ChildProcess[] = []
  const all: Subject[] = []
  const missing: string[] = []
  const take = (name: string) => wanted === undefined || wanted(name)
  const base = { user: server.user, password: server.password, database: DATABASE }
  const follow = (child: ChildProcess): ChildProcess => {
    children.push(child)
    return child
  }

  async function telling(
    module: string,
    ...words: string[]
  ): Promise<{ port: number; pid: number }> {
    const child = follow(
      spawn(process.execPath, [join(__dirname, 'subjects', module), ...words], {
        stdio: ['ignore', 'pipe', 'inherit'],
      }),
    )
    const port = await new Promise<number>((resolve, reject) => {
      child.stdout!.once('data', (data) => resolve(Number(String(data).trim())))
      child.once('exit', () => reject(new Error(`${module} ended`)))
    })
    return { port, pid: child.pid! }
  }

  if (take('direct')) all.push({ name: 'direct', port: server.port, tls: false, ...base })
  if (take('direct, TLS')) all.push({ name: 'direct, TLS', port: server.port, tls: true, ...base })
  if (take('pipe'))
    all.push({
      name: 'pipe',
      tls: false,
      ...base,
      ...(await telling('pipe.js', String(server.port))),
    })
  if (take('TLS split')) {
    const { certificate, key } = await certificateFor()
    const files = [join(directory, 'split.crt'), join(directory, 'split.key')] as const
    writeFileSync(files[0], certificate)
    writeFileSync(files[1], key)
    all.push({
      name: 'TLS split',
      tls: true,
      ...base,
      ...(await telling('tls-split.js', String(server.port), ...files)),
    })
  }
  if (take('haproxy')) {
    const program = installed('haproxy')
    if (!program) missing.push('haproxy')
    else {
      const port = await freePort()
      const file = join(directory, 'haproxy.cfg')
      writeFileSync(
        file,
        `global\n  nbthread 1\ndefaults\n  mode tcp\n  timeout connect 5s\n  timeout client 1h\n  timeout server 1h\nlisten pg\n  bind 127.0.0.1:${port}\n  server one 127.0.0.1:${server.port}\n`,
      )
      const child = follow(spawn(program, ['-db', '-f', file], { stdio: 'ignore' }))
      await listening(port)
      all.push({ name: 'haproxy', port, pid: child.pid!, tls: false, ...base })
    }
  }
  if (take('pgbouncer')) {
    const program = installed('pgbouncer')
    if (!program) missing.push('pgbouncer')
    else {
      const port = await freePort()
      const at = join(directory, 'pgbouncer')
      mkdirSync(at, { recursive: true })
      writeFileSync(join(at, 'users'), `"${server.user}" "${server.password}"\n`)
      writeFileSync(
        join(at, 'ini'),
        `[databases]\n* = host=127.0.0.1 port=${server.port}\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = ${port}\nunix_socket_dir =\nauth_type = plain\nauth_file = ${join(at, 'users')}\npool_mode = session\nmax_client_conn = 1000\ndefault_pool_size = 500\nlogfile = ${join(at, 'log')}\n`,
      )
      // It refuses to be root.
      const asRoot = process.getuid?.() === 0
      if (asRoot) spawnSync('chown', ['-R', 'nobody', at])
      chmodSync(directory, 0o755)
      const child = follow(
        spawn(program, [...(asRoot ? ['-u', 'nobody'] : []), join(at, 'ini')], { stdio: 'ignore' }),
      )
      await listening(port)
      all.push({ name: 'pgbouncer', port, pid: child.pid!, tls: false, ...base })
    }
  }
  for (const durability of ['os', 'disk'] as const) {
    const names = [`custody ${durability}`, `custody ${durability}, TLS`].filter(take)
    if (names.length === 0) continue
    const { port, pid, token } = await startCustody(durability)
    for (const name of names)
      all.push({
        name,
        port,
        pid,
        tls: name.endsWith('TLS'),
        user: 'bench',
        password: token,
        database: 'target',
      })
  }

  for (const { name, durability, more } of own)
    if (take(name)) {
      const { token, ...place } = await startCustody(durability, more)
      all.push({ name, ...place, tls: false, user: 'bench', password: token, database: 'target' })
    }

  async function startCustody(
    durability: string,
    more = '',
  ): Promise<{ port: number; pid: number; token: string }> {
    const port = await freePort()
    const { child, pid, token } = await startGateway(
      join(directory, `custody-${children.length}`),
      `listen: {postgres: ${port}}\nlog: {reserveBytes: 65536}\nlimits: {handshakesMax: 1000}\nresources:\n  target: {protocol: postgres, address: "127.0.0.1:${server.port}", account: ${server.user}, password: {literal: ${JSON.stringify(server.password)}}, database: ${DATABASE}, tls: disable, durability: ${durability}, recording: full}\n${more}`,
    )
    follow(child)
    return { port, pid, token }
  }

  return {
    all,
    missing,
    async stop() {
      for (const child of children) {
        if (child.exitCode !== null || child.signalCode !== null) continue
        const gone = new Promise((resolve) => child.once('exit', resolve))
        child.kill('SIGTERM')
        setTimeout(() => child.kill('SIGKILL'), 5000).unref()
        await gone
      }
    },
  }
}

function installed(name: string): string | null {
  for (const directory of [...(process.env.PATH ?? '').split(':'), '/usr/sbin', '/usr/local/sbin'])
    if (directory && existsSync(join(directory, name))) return join(directory, name)
  return null
}

async function listening(port: number): Promise<void> {
  for (let tries = 0; tries < 200; tries++) {
    const open = await new Promise<boolean>((resolve) => {
      const socket = connect(port, '127.0.0.1')
      socket.once('connect', () => {
        socket.destroy()
        resolve(true)
      })
      socket.once('error', () => resolve(false))
    })
    if (open) return
    await new Promise((resolve) => setTimeout(resolve, 25))
  }
  throw new Error(`nothing listens on ${port}`)
}

export function environmentOf(subject: Subject): NodeJS.ProcessEnv {
  return {
    ...process.env,
    PGHOST: '127.0.0.1',
    PGPORT: String(subject.port),
    PGUSER: subject.user,
    PGPASSWORD: subject.password,
    PGDATABASE: subject.database,
    PGSSLMODE: subject.tls ? 'require' : 'disable',
    PGGSSENCMODE: 'disable',
  }
}
