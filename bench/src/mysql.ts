/**
 * What MySQL costs through Custody: one row by its key, as text and prepared, everything recorded, beside a pipe that keeps
 * nothing. Every round measures every subject once, in turn. Refuses to report where the record lacks a statement.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { listRecorders, openReader } from '@custody/event-log'
import { freePort, type Home } from '@custody/kit'
import { decodeMessage } from '@custody/schemas'
import { type MysqlServer, startMysql, temporaryDirectory } from '@custody/test-support'
import { cpuSeconds, type Table } from './measure'
import { startGateway } from './processes'

export interface MysqlOptions {
  rounds: number
  seconds: number
  /** Of each mode, by each subject, before the first round: what compiles while it runs has done so then. */
  warmSeconds: number
  clients: readonly number[]
  subjects?: readonly string[]
  progress(line: string): void
}

interface Subject {
  name: string
  port: number
  user: string
  password: string
  database: string
  /** None of direct. */
  pid: number | null
  home?: Home
}

const ROWS = 100_000
const MODES = ['text', 'prepared'] as const

export async function benchMysql(o: MysqlOptions, table: Table): Promise<string[]> {
  const directory = temporaryDirectory('custody-bench-')
  const children: ChildProcess[] = []
  o.progress('starting MariaDB and the subjects')
  const server = await startMysql({
    settings: { 'max-connections': '500', 'innodb-buffer-pool-size': '128M' },
    sql: `create table accounts (aid int primary key, bid int, abalance int, filler char(84)); insert into accounts select seq, 1, 0, '' from seq_1_to_${ROWS}`,
  })
  try {
    const login = { user: server.user, password: server.password, database: server.database }
    const wanted = (name: string) => o.subjects?.includes(name) ?? true
    // The floor comes first: ratios are to it.
    const subjects: Subject[] = []
    if (wanted('pipe')) subjects.push({ ...login, ...(await startPipe(server, children)) })
    if (wanted('direct')) subjects.push({ ...login, name: 'direct', port: server.port, pid: null })
    for (const durability of ['os', 'disk'])
      if (wanted(`custody ${durability}`))
        subjects.push(await startCustody(server, directory.path, durability, children))
    const sent = new Map<string, number>()
    const count = (name: string, transactions: number) =>
      sent.set(name, (sent.get(name) ?? 0) + transactions)
    if (o.warmSeconds > 0) {
      o.progress('warming up')
      for (const mode of MODES)
        for (const clients of o.clients)
          for (const subject of subjects)
            count(subject.name, (await load(subject, mode, clients, o.warmSeconds)).transactions)
    }
    for (let round = 1; round <= o.rounds; round++) {
      o.progress(`round ${round} of ${o.rounds}`)
      for (const mode of MODES)
        for (const clients of o.clients)
          for (const subject of subjects) {
            const name = `${mode}, ${clients} ${clients === 1 ? 'client' : 'clients'}`
            const before = subject.pid === null ? 0 : cpuSeconds([subject.pid])
            const { transactions, ms } = await load(subject, mode, clients, o.seconds)
            count(subject.name, transactions)
            table.add(name, subject.name, 'tps', (transactions * 1000) / ms)
            if (clients === 1)
              table.add(`${name}: latency`, subject.name, 'µs', (ms * 1000) / transactions)
            if (subject.pid !== null)
              table.add(
                `${name}: proxy CPU`,
                subject.name,
                'µs/tx',
                ((cpuSeconds([subject.pid]) - before) * 1e6) / transactions,
              )
          }
    }
    const notes = [`MariaDB ${server.version}`]
    for (const child of children) await stopped(child)
    for (const { name, home } of subjects)
      if (home !== undefined) {
        const recorded = await executed(home)
        if (recorded !== sent.get(name))
          throw new Error(
            `${name}: ${sent.get(name)} statements ran, ${recorded} are in the record`,
          )
        notes.push(`${name}: ${recorded} statements, each in the record with its answer`)
      }
    return notes
  } finally {
    for (const child of children) await stopped(child)
    await server.stop()
    await directory.remove()
  }
}

async function startPipe(
  server: MysqlServer,
  children: ChildProcess[],
): Promise<{ name: string; port: number; pid: number }> {
  const child = spawn(
    process.execPath,
    [join(__dirname, 'subjects/pipe.js'), String(server.port)],
    { stdio: ['ignore', 'pipe', 'inherit'] },
  )
  children.push(child)
  const [data] = await once(child.stdout!, 'data')
  return { name: 'pipe', port: Number(String(data).trim()), pid: child.pid! }
}

async function startCustody(
  server: MysqlServer,
  directory: string,
  durability: string,
  children: ChildProcess[],
): Promise<Subject> {
  const port = await freePort()
  const { child, pid, home, token } = await startGateway(
    join(directory, `custody-${durability}`),
    `listen: {mysql: ${port}}\nlog: {reserveBytes: 65536}\nresources:\n  target: ${server.resource({ tls: 'disable', durability, recording: 'full' })}\n`,
  )
  children.push(child)
  return {
    name: `custody ${durability}`,
    ...{ port, user: 'bench', password: token, database: 'target', pid, home },
  }
}

async function stopped(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const gone = once(child, 'exit')
  child.kill('SIGTERM')
  await gone
}

async function load(
  { port, user, password, database }: Subject,
  mode: string,
  clients: number,
  seconds: number,
): Promise<{ transactions: number; ms: number }> {
  const words = JSON.stringify({
    ...{ port, user, password, database, mode, clients, seconds },
    rows: ROWS,
  })
  const child = spawn(process.execPath, [join(__dirname, 'subjects/mysql-load.js'), words], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  let said = ''
  child.stdout.on('data', (data) => {
    said += data
  })
  const [code] = await once(child, 'close')
  if (code !== 0) throw new Error('the load failed')
  return JSON.parse(said)
}

/** Statements of the load that the record has with their answer. */
async function executed({ log }: Home): Promise<number> {
  let count = 0
  const started = new Set<string>()
  for (const recorder of await listRecorders(log)) {
    const reader = openReader({ directory: log, recorder })
    for (let batch = await reader.read(8e6); batch; batch = await reader.read(8e6))
      for (const message of batch.messages) {
        const { id, kind, statement, command } = decodeMessage(message)
        if (kind === 'command.started' && statement?.text.includes('from accounts'))
          started.add(id.toString('latin1'))
        else if (kind === 'command.completed' && started.delete(command!.toString('latin1')))
          count++
      }
    reader.close()
  }
  return count
}
