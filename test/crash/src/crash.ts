/**
 * Promises 1 to 3 under kill -9: a real PostgreSQL that logs every statement, the proxy as a process of its own, clients
 * that note what they saw, and the store behind it, killed as well. Judged by three transcripts that know nothing of each
 * other: the target's log, the clients' notes, and the record.
 */
import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, openSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { createClient } from '@clickhouse/client'
import { issueToken, loadTokenKeys } from '@custody/identity'
import { freePort, prepareHome } from '@custody/kit'
import { type ServerKind, seeded, startPostgres, temporaryDirectory } from '@custody/test-support'
import { startLoad, TAG } from './load'
import { lastLines, ProxyProcess, pause } from './proxy-process'
import { type Judgement, judge, readRecord } from './record'

export interface CrashOptions {
  /** Times the proxy is killed. */
  kills: number
  seed?: number
  clients?: number
  /** Longest time between being ready and being killed. */
  liveMsMax?: number
  progress?(line: string): void
  /** Keeps the directory with log, store and diagnostics. */
  keep?: boolean
  /** Of MySQL: which of the two servers; MariaDB when nothing is said. */
  server?: ServerKind
}

export interface CrashResult extends Judgement {
  kills: number
  /** Times ingest or the warehouse was killed. */
  storeKills: number
  /** … and rows of the store beyond one per event. */
  duplicates: number
  /** Events without a row. */
  notStored: number
  /** Rows without an event. */
  invented: number
  /** Times the proxy ended by itself. */
  died: number
}

export async function runCrash(o: CrashOptions): Promise<CrashResult> {
  const { kills, seed = 1, clients = 6, liveMsMax = 500 } = o
  const progress = o.progress ?? (() => {})
  const random = seeded(seed)
  const directory = temporaryDirectory('crash')
  const home = prepareHome(join(directory.path, 'home'))
  const outputFile = join(directory.path, 'processes.log')
  const output = openSync(outputFile, 'a')
  const children = new Set<ChildProcess>()
  const server = await startPostgres({
    logStatements: true,
    sql: 'create table crash (tag text); create table crash_count (n int)',
    settings: { max_connections: '200' },
  })
  let proxy: ProxyProcess | null = null
  try {
    const port = await freePort()
    const configurationFile = join(directory.path, 'custody.yaml')
    writeFileSync(
      configurationFile,
      `listen: {postgres: ${port}}
log: {segmentBytes: 2097152, reserveBytes: 65536}
resources:
  target: ${server.resource({ database: server.database, tls: 'disable' })}
`,
    )
    const keys = await loadTokenKeys(home, 'local')
    const { token } = await issueToken(keys, { subject: 'crash', ttlSeconds: 6 * 3600 })
    const warehousePort = await freePort()
    const environment: NodeJS.ProcessEnv = {
      ...process.env,
      CUSTODY_HOME: home.directory,
      CRASH_WAREHOUSE_PORT: String(warehousePort),
      CRASH_WAREHOUSE_PASSWORD: 'crash',
      CRASH_WAREHOUSE_URL: `http://custody:crash@127.0.0.1:${warehousePort}`,
      UV_THREADPOOL_SIZE: '16',
    }
    const followed = (child: ChildProcess): ChildProcess => {
      children.add(child)
      child.once('exit', () => children.delete(child))
      return child
    }

    async function startStore(role: 'warehouse' | 'ingest'): Promise<ChildProcess> {
      const child = followed(
        fork(join(__dirname, '../dist/store-process.js'), [role], {
          env: environment,
          stdio: ['ignore', output, output, 'ipc'],
        }),
      )
      const [first] = await Promise.race([once(child, 'message'), once(child, 'exit')])
      if (first !== 'ready') throw new Error(`${role} did not start: ${lastLines(outputFile)}`)
      return child
    }
    const kill = async (child: ChildProcess) => {
      if (child.exitCode !== null || child.signalCode !== null) return
      const gone = once(child, 'exit')
      child.kill('SIGKILL')
      await gone
    }

    let warehouse = await startStore('warehouse')
    let ingest = await startStore('ingest')
    proxy = new ProxyProcess(home, configurationFile, output, outputFile)
    await proxy.start()
    const load = startLoad({
      port,
      user: 'crash',
      password: token,
      database: 'target',
      clients,
      directory: directory.path,
    })
    let storeKills = 0
    // The store is killed at moments of its own, not in step with the proxy.
    let storeDone = false
    let storeFailure: unknown = null
    const killStore = (async () => {
      while (!storeDone) {
        await pause(300 + random() * 1500)
        if (storeDone) break
        storeKills++
        if (random() < 0.5) {
          await kill(ingest)
          ingest = await startStore('ingest')
        } else {
          await kill(warehouse)
          warehouse = await startStore('warehouse')
          if (ingest.exitCode !== null) ingest = await startStore('ingest')
        }
      }
    })().catch((error) => {
      storeFailure = error
    })
    try {
      for (let i = 1; i <= kills; i++) {
        await pause(20 + random() * liveMsMax)
        await proxy.killAndStart()
        if (i % 10 === 0 || i === kills)
          progress(
            `${i} of ${kills} kills, ${load.seen.size} completions seen, the store killed ${storeKills} times`,
          )
      }
      await pause(liveMsMax)
    } finally {
      await load.stop()
      storeDone = true
      await killStore
    }
    if (storeFailure) throw storeFailure
    await proxy.stop()

    progress('comparing the target’s log, the clients’ notes, and the record')
    const inTarget = new Set((await server.log()).match(TAG) ?? [])
    const record = await readRecord(home.log)
    const store = await compareStore(environment.CRASH_WAREHOUSE_URL!, record.events)
    ingest.send('stop')
    await once(ingest, 'exit')
    const judgement = await judge(home.log, record, inTarget, load.seen)
    return {
      ...{ kills, storeKills, died: proxy.died },
      ...judgement,
      ...store,
      duplicates: store.duplicates + judgement.duplicates,
    }
  } finally {
    proxy?.kill()
    for (const child of children) child.kill('SIGKILL')
    closeSync(output)
    await server.stop()
    if (!o.keep) await directory.remove()
    else progress(`kept in ${directory.path}`)
  }
}

const STORE_MS_MAX = 60_000

/** Waits until the store has as many rows as the log has events (or more), then compares identifier by identifier. */
async function compareStore(
  url: string,
  events: ReadonlySet<string>,
): Promise<{ duplicates: number; notStored: number; invented: number }> {
  const client = createClient({ url })
  try {
    const deadline = Date.now() + STORE_MS_MAX
    let rows: string[] = []
    for (;;) {
      const result = await client.query({
        query: 'SELECT lower(hex(id)) FROM custody.events',
        format: 'JSONCompactEachRow',
      })
      rows = (await result.json<[string]>()).map(([hex]) => hex)
      if (new Set(rows).size >= events.size || Date.now() > deadline) break
      await pause(200)
    }
    const stored = new Set(rows)
    const known = new Set([...events].map((id) => id.replaceAll('-', '')))
    return {
      duplicates: rows.length - stored.size,
      notStored: [...events].filter((id) => !stored.has(id.replaceAll('-', ''))).length,
      invented: [...stored].filter((hex) => !known.has(hex)).length,
    }
  } finally {
    await client.close()
  }
}
