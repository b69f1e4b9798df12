/**
 * Promises 1 to 3 for MySQL under kill -9: a real MariaDB or MySQL with its general log, the proxy as a process of its own, clients that
 * note what they saw. Judged by transcripts that know nothing of each other: the server's log, the clients' notes, and the
 * record. The store behind it is PostgreSQL's check.
 */
import { closeSync, openSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { issueToken, loadTokenKeys } from '@custody/identity'
import { freePort, prepareHome } from '@custody/kit'
import { seeded, startMysql, temporaryDirectory } from '@custody/test-support'
import type { CrashOptions, CrashResult } from './crash'
import { TAG } from './load'
import { startMysqlLoad } from './mysql-load'
import { ProxyProcess, pause } from './proxy-process'
import { type Judgement, judge, readRecord } from './record'

const READY_MS_MAX = 60_000

export type MysqlCrashResult = Judgement & Pick<CrashResult, 'kills' | 'died'>

export async function runMysqlCrash(o: CrashOptions): Promise<MysqlCrashResult> {
  const { kills, seed = 1, clients = 6, liveMsMax = 500 } = o
  const progress = o.progress ?? (() => {})
  const random = seeded(seed)
  const directory = temporaryDirectory('crash')
  const home = prepareHome(join(directory.path, 'home'))
  const outputFile = join(directory.path, 'processes.log')
  const output = openSync(outputFile, 'a')
  const server = await startMysql({
    kind: o.server,
    logStatements: true,
    settings: { 'local-infile': '1', 'max-connections': '300' },
    sql: `create table crash (tag varchar(100)); create table crash_count (n int); create table crash_rows (n int); insert into crash_rows values ${Array.from({ length: 20 }, (_, i) => `(${i})`)}; create procedure crash_twice(t varchar(100)) begin select t; select t; end`,
  })
  let proxy: ProxyProcess | null = null
  try {
    const port = await freePort()
    const file = join(directory.path, 'custody.yaml')
    writeFileSync(
      file,
      `listen: {mysql: ${port}}
log: {segmentBytes: 2097152, reserveBytes: 65536}
resources:
  target: ${server.resource({ tls: 'disable' })}
`,
    )
    const { token } = await issueToken(await loadTokenKeys(home, 'local'), {
      subject: 'crash',
      ttlSeconds: 6 * 3600,
    })
    proxy = new ProxyProcess(home, file, output, outputFile)
    await proxy.start()
    const login = { port, user: 'crash', password: token, database: 'target' }
    const load = startMysqlLoad({ ...login, clients })
    try {
      for (let i = 1; i <= kills; i++) {
        // It lives long enough that clients are in at all, however slow the machine.
        const before = load.completions
        const patience = Date.now() + READY_MS_MAX
        while (load.completions < before + clients && Date.now() < patience) await pause(10)
        await pause(random() * liveMsMax)
        await proxy.killAndStart()
        if (i % 10 === 0 || i === kills)
          progress(`${i} of ${kills} kills, ${load.seen.size} completions seen`)
      }
      await pause(liveMsMax)
    } finally {
      await load.stop()
    }
    await proxy.stop()

    progress('comparing the server’s log, the clients’ notes, and the record')
    const inTarget = new Set(server.log().match(TAG) ?? [])
    const record = await readRecord(home.log)
    return {
      ...{ kills, died: proxy.died },
      ...(await judge(home.log, record, inTarget, load.seen)),
    }
  } finally {
    proxy?.kill()
    closeSync(output)
    await server.stop()
    if (!o.keep) await directory.remove()
    else progress(`kept in ${directory.path}`)
  }
}
