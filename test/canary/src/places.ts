/**
 * Where Custody keeps things, and what it tells of them: files of its home, decoded events of the log, every table of the
 * store, and what commands and the API answer. Protocol-independent. Refuses to judge what it finds.
 */
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, openSync, readdirSync, readSync } from 'node:fs'
import { join, relative } from 'node:path'
import { PassThrough } from 'node:stream'
import { custody } from '@custody/cli'
import { openReader } from '@custody/event-log'
import { homeAt } from '@custody/kit'
import { decodeMessage, uuidText } from '@custody/schemas'
import type { Hit, Searcher } from './search'

const PIECE_BYTES = 4 * 1024 * 1024
const WAREHOUSE = join(__dirname, '../../../services/standalone/dist/processes/warehouse.js')
const PASSWORD = 'read-by-the-test'

/** Every file under a directory, read once. */
export function searchFiles(
  directory: string,
  searcher: Searcher,
  told: (file: string, bytes: number, hits: Hit[]) => void,
): void {
  const piece = Buffer.alloc(PIECE_BYTES)
  for (const entry of readdirSync(directory, { withFileTypes: true, recursive: true })) {
    if (!entry.isFile()) continue
    const path = join(entry.parentPath, entry.name)
    const search = searcher.begin()
    const file = openSync(path, 'r')
    let bytes = 0
    for (let read = readSync(file, piece); read > 0; read = readSync(file, piece)) {
      search.take(piece.subarray(0, read))
      bytes += read
    }
    closeSync(file)
    told(relative(directory, path), bytes, search.hits())
  }
}

export interface SessionRecord {
  session: string
  /** What the client called itself. */
  application: string
  /** Every event as it is encoded, and besides what came back put together again. */
  bytes: Buffer[]
}

/** What the log says, session by session. */
export async function recordedSessions(directory: string): Promise<SessionRecord[]> {
  const sessions = new Map<string, SessionRecord & { output: Buffer[]; input: Buffer[] }>()
  const reader = openReader({ directory: homeAt(directory).log, recorder: 'proxy-local' })
  for (let batch = await reader.read(8e6); batch; batch = await reader.read(8e6))
    for (const message of batch.messages) {
      const event = decodeMessage(message)
      const id = event.session ? uuidText(event.session) : ''
      let record = sessions.get(id)
      if (!record) {
        record = { session: id, application: '', bytes: [], output: [], input: [] }
        sessions.set(id, record)
      }
      if (event.kind === 'session.opened') record.application = event.path?.clientApplication ?? ''
      record.bytes.push(Buffer.from(message))
      const { output } = event
      if (output) record[output.stream === 'output' ? 'output' : 'input'].push(output.data)
    }
  reader.close()
  return [...sessions.values()].map(({ output, input, bytes, ...rest }) => ({
    ...rest,
    bytes: [Buffer.concat(bytes), Buffer.concat(output), Buffer.concat(input)],
  }))
}

/** Every table of the store as text and as it is in memory, once nothing else has it open. */
export async function searchStore(
  directory: string,
  searcher: Searcher,
  tell: (table: string, bytes: number, hits: Hit[]) => void,
): Promise<void> {
  const child = fork(WAREHOUSE, {
    env: { ...process.env, CUSTODY_HOME: directory, CUSTODY_WAREHOUSE_PASSWORD: PASSWORD },
    execArgv: [],
    silent: true,
  })
  try {
    const told = await Promise.race([once(child, 'message'), once(child, 'exit')])
    const [{ ready }] = told as [{ ready?: { ports: { warehouse: number } } }]
    if (!ready) throw new Error(`the store can't be opened: ${JSON.stringify(told)}`)
    const { ports } = ready
    const ask = async (sql: string) => {
      const response = await fetch(`http://127.0.0.1:${ports.warehouse}/`, {
        method: 'POST',
        headers: { 'x-clickhouse-user': 'custody', 'x-clickhouse-key': PASSWORD },
        body: sql,
      })
      if (!response.ok) throw new Error(`${sql}: ${await response.text()}`)
      return Buffer.from(await response.arrayBuffer())
    }
    const tables = await ask(
      `select database || '.' || name from system.tables where database not in ('system', 'INFORMATION_SCHEMA', 'information_schema') and engine not like '%View' format TSV`,
    )
    for (const table of tables.toString().trim().split('\n')) {
      for (const format of ['RowBinary', 'JSONEachRow']) {
        const bytes = await ask(`select * from ${table} format ${format}`)
        tell(`${table} as ${format}`, bytes.length, searcher.find(bytes))
      }
    }
  } finally {
    child.kill('SIGTERM')
    if (child.exitCode === null) await once(child, 'exit')
  }
}

/** The command as somebody types it. */
export async function command(
  words: string[],
  environment: NodeJS.ProcessEnv,
  directory: string,
): Promise<{ code: number; said: Buffer }> {
  const streams = { stdout: new PassThrough(), stderr: new PassThrough() }
  const said: Buffer[] = []
  for (const stream of Object.values(streams))
    stream.on('data', (data: Buffer) => void said.push(Buffer.from(data)))
  const code = await custody(words, { ...streams, environment }, directory)
  await new Promise((resolve) => setImmediate(resolve))
  return { code, said: Buffer.concat(said) }
}
