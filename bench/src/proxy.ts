/**
 * The proxy's cost: pgbench select-only at 1, 16 and 64 clients, a large result, COPY, connection set-up, memory. Every
 * round measures every subject once, in turn, so that what the machine does otherwise meets all of them.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { join } from 'node:path'
import { connect as connectTls, type TLSSocket } from 'node:tls'
import {
  clientProgram,
  type PostgresServer,
  startPostgres,
  temporaryDirectory,
} from '@custody/test-support'
import { cpuSeconds, residentBytes, Steal, type Table } from './measure'
import { ScramClient } from './scram'
import { DATABASE, environmentOf, type Subject, startSubjects } from './subjects'

export interface ProxyOptions {
  rounds: number
  seconds: number
  /** Of each mode, by each subject, before the first round: what compiles while it runs has done so then. */
  warmSeconds: number
  modes: string[]
  clients: number[]
  subjects?: string[]
  parts: Set<string>
  /** Minutes under load over which memory is watched. */
  soakMinutes: number
  progress(line: string): void
}

/** Rounds in which others took more of the machine than this are left out. */
const STEAL_MAX = 0.08
const SCALE = 10
const IDLE_CONNECTIONS = 500
const COPIED_ROWS = 500_000
const SOAK_PER_SECOND = 1000
const BIG = 'select i, repeat(chr(65 + (i % 26)), 80) from generate_series(1, 1000000) i'

export async function benchProxy(o: ProxyOptions, table: Table): Promise<string[]> {
  const notes: string[] = []
  const directory = temporaryDirectory('custody-bench-')
  o.progress('starting PostgreSQL and the subjects')
  const copied = join(directory.path, 'copied')
  const lines = Array.from(
    { length: COPIED_ROWS },
    (_, i) => `${i}\t${'some words to copy '.repeat(2)}\n`,
  )
  writeFileSync(copied, lines.join(''))
  const server = await startBenchDatabase()
  const admin = await server.connect({ database: DATABASE })
  await admin.query(`create table big as ${BIG}`)
  await admin.query('vacuum analyze')
  await admin.end()
  const subjects = await startSubjects(
    server,
    directory.path,
    o.subjects ? (name) => o.subjects!.includes(name) : undefined,
  )
  notes.push(`PostgreSQL ${server.version}, ${server.origin}`)
  for (const name of subjects.missing) notes.push(`not measured, not installed: ${name}`)
  const steal = new Steal()
  let leftOut = 0
  const clean = async (measure: () => Promise<() => void>) => {
    for (let tries = 0; tries < 3; tries++) {
      steal.share()
      const keep = await measure()
      if (steal.share() <= STEAL_MAX) {
        keep()
        return
      }
      leftOut++
    }
  }

  try {
    if (o.warmSeconds > 0 && o.parts.has('pgbench')) {
      o.progress('warming up')
      for (const mode of o.modes)
        for (const subject of subjects.all)
          await runPgbench(subject, mode, Math.max(...o.clients), o.warmSeconds)
    }
    for (let round = 1; round <= o.rounds; round++) {
      o.progress(`round ${round} of ${o.rounds}`)
      if (o.parts.has('pgbench'))
        for (const mode of o.modes)
          for (const clients of o.clients)
            for (const subject of subjects.all)
              await clean(async () => {
                const name = `${mode}, ${clients} ${clients === 1 ? 'client' : 'clients'}`
                const before = subject.pid ? cpuSeconds([subject.pid]) : 0
                const { tps, latencyMs, transactions } = await runPgbench(
                  subject,
                  mode,
                  clients,
                  o.seconds,
                )
                const cpu = subject.pid ? cpuSeconds([subject.pid]) - before : 0
                return () => {
                  table.add(name, subject.name, 'tps', tps)
                  if (clients === 1)
                    table.add(`${name}: latency`, subject.name, 'µs', latencyMs * 1000)
                  if (subject.pid)
                    table.add(
                      `${name}: proxy CPU`,
                      subject.name,
                      'µs/tx',
                      (cpu * 1e6) / transactions,
                    )
                }
              })
      if (o.parts.has('large'))
        for (const [name, words] of [
          ['1 million rows', ['-XAtq', '-o', '/dev/null', '-c', 'select * from big']],
          ['COPY out of 1 million rows', ['-Xq', '-o', '/dev/null', '-c', 'copy big to stdout']],
          [
            `COPY in of ${COPIED_ROWS.toLocaleString('en')} rows`,
            [
              '-Xq',
              '-c',
              'create temp table into_me (i int, t text)',
              '-c',
              `\\copy into_me from '${copied}'`,
            ],
          ],
        ] as const)
          for (const subject of subjects.all)
            await clean(async () => {
              const started = performance.now()
              await runPsql(subject, words)
              const seconds = (performance.now() - started) / 1000
              return () => table.add(name, subject.name, 's', seconds)
            })
      if (o.parts.has('connect'))
        for (const subject of subjects.all)
          await clean(async () => {
            const ms = await connectionMs(subject)
            return () => table.add('connection set-up', subject.name, 'ms', ms)
          })
    }
    if (o.parts.has('memory'))
      for (const subject of subjects.all.filter(({ pid, tls }) => pid && tls)) {
        o.progress(`memory of ${IDLE_CONNECTIONS} idle connections: ${subject.name}`)
        table.add('memory per idle connection', subject.name, 'KiB', await idleKiB(subject))
      }
    if (o.parts.has('soak') && o.soakMinutes > 0) {
      const subject = subjects.all.find(({ name }) => name === 'custody os, TLS')
      if (subject) notes.push(await soak(subject, o))
    }
    if (leftOut > 0)
      notes.push(
        `${leftOut} runs were repeated because others took more than ${STEAL_MAX * 100} % of the machine`,
      )
    return notes
  } finally {
    await subjects.stop()
    await server.stop()
    await directory.remove()
  }
}

/** A PostgreSQL with pgbench's tables, ready to be measured. */
export async function startBenchDatabase(): Promise<PostgresServer> {
  const server = await startPostgres({
    tls: true,
    settings: { max_connections: '1200', shared_buffers: '256MB', synchronous_commit: 'off' },
    sql: `create database ${DATABASE}`,
  })
  const direct: Subject = {
    name: 'direct',
    port: server.port,
    user: server.user,
    password: server.password,
    database: DATABASE,
    tls: false,
  }
  const init = await program('pgbench', ['-i', '-q', '-s', String(SCALE)], direct)
  if (init.code !== 0) throw new Error(init.out)
  return server
}

export async function runPgbench(
  subject: Subject,
  mode: string,
  clients: number,
  seconds: number,
  perSecond?: number,
): Promise<{ tps: number; latencyMs: number; transactions: number }> {
  const { code, out } = await program(
    'pgbench',
    [
      '-n',
      '-S',
      '-M',
      mode,
      '-c',
      String(clients),
      '-j',
      '1',
      '-T',
      String(seconds),
      '-s',
      String(SCALE),
      ...(perSecond ? ['-R', String(perSecond)] : []),
    ],
    subject,
  )
  const tps = Number(/tps = ([\d.]+)/.exec(out)?.[1])
  const latencyMs = Number(/latency average = ([\d.]+)/.exec(out)?.[1])
  const transactions = Number(/actually processed: (\d+)/.exec(out)?.[1])
  if (code !== 0 || !tps) throw new Error(`pgbench through ${subject.name}: ${out}`)
  return { tps, latencyMs: clients === 1 ? 1000 / tps : latencyMs, transactions }
}

async function runPsql(subject: Subject, words: readonly string[]): Promise<void> {
  const { code, out } = await program('psql', words, subject)
  if (code !== 0) throw new Error(`psql through ${subject.name}: ${out}`)
}

/** A new connection for every transaction: what it takes beyond the transaction, as libpq sees it. */
async function connectionMs(subject: Subject): Promise<number> {
  const { code, out } = await program(
    'pgbench',
    ['-n', '-S', '-C', '-c', '1', '-j', '1', '-t', '60', '-s', String(SCALE)],
    subject,
  )
  const ms = Number(/average connection time = ([\d.]+)/.exec(out)?.[1])
  if (code !== 0 || !ms) throw new Error(`pgbench -C through ${subject.name}: ${out}`)
  return ms
}

async function program(
  name: string,
  words: readonly string[],
  subject: Subject,
): Promise<{ code: number | null; out: string }> {
  const child = spawn(clientProgram(name), [...words], {
    env: environmentOf(subject),
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let out = ''
  child.stdout.on('data', (data) => {
    out += data
  })
  child.stderr.on('data', (data) => {
    out += data
  })
  const [code] = await once(child, 'close')
  return { code, out }
}

/** Connections signed in over TLS that then do nothing. */
async function idleKiB(subject: Subject): Promise<number> {
  const warm = await Promise.all(Array.from({ length: 20 }, () => signIn(subject)))
  for (const socket of warm) socket.destroy()
  await pause(3000)
  const before = residentBytes(subject.pid!)
  const sockets: TLSSocket[] = []
  for (let i = 0; i < IDLE_CONNECTIONS; i += 20)
    sockets.push(...(await Promise.all(Array.from({ length: 20 }, () => signIn(subject)))))
  await pause(8000)
  const after = residentBytes(subject.pid!)
  for (const socket of sockets) socket.destroy()
  await pause(2000)
  return (after - before) / 1024 / IDLE_CONNECTIONS
}

/** SSLRequest, TLS, start-up, password as asked for, ReadyForQuery. */
async function signIn(subject: Subject): Promise<TLSSocket> {
  const raw = connect(subject.port, '127.0.0.1')
  raw.write(Buffer.from([0, 0, 0, 8, 4, 210, 22, 47]))
  await once(raw, 'data')
  const socket = connectTls({ socket: raw, rejectUnauthorized: false })
  await once(socket, 'secureConnect')
  const strings = Buffer.from(`user\0${subject.user}\0database\0${subject.database}\0\0`)
  const head = Buffer.alloc(8)
  head.writeInt32BE(8 + strings.length)
  head.writeInt32BE(196608, 4)
  socket.write(Buffer.concat([head, strings]))
  const scram = new ScramClient(subject.password)
  let held: Buffer = Buffer.alloc(0)
  await new Promise<void>((resolve, reject) => {
    socket.once('close', () => reject(new Error(`${subject.name} closed the connection`)))
    socket.on('data', (chunk: Buffer) => {
      held = Buffer.concat([held, chunk])
      while (held.length >= 5 && held.length >= 1 + held.readInt32BE(1)) {
        const end = 1 + held.readInt32BE(1)
        const type = held[0]
        const body = held.subarray(5, end)
        held = held.subarray(end)
        if (type === 0x45) reject(new Error(body.toString()))
        if (type === 0x5a) resolve()
        if (type === 0x52) {
          const answer = scram.answer(body)
          if (answer) socket.write(answer)
        }
      }
    })
  })
  socket.removeAllListeners('data').removeAllListeners('close')
  socket.on('error', () => {})
  return socket
}

/** Memory under steady load: how much more at the end than after the first minute. */
async function soak(subject: Subject, o: ProxyOptions): Promise<string> {
  const samples: number[] = []
  const until = Date.now() + o.soakMinutes * 60_000
  while (Date.now() < until) {
    await runPgbench(subject, 'prepared', 16, 20, SOAK_PER_SECOND)
    samples.push(residentBytes(subject.pid!) / 1024 / 1024)
    o.progress(`soak: ${samples.at(-1)!.toFixed(0)} MiB`)
  }
  return `memory of ${subject.name} under ${SOAK_PER_SECOND} transactions a second for ${o.soakMinutes} min, every 20 s: ${samples.map((mib) => mib.toFixed(0)).join(', ')} MiB`
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms))
}
