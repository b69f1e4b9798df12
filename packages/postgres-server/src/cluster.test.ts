/** A server of ours survives what happens to us, and we survive what happened to it. */
import { spawn } from 'node:child_process'
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { processExists } from '@custody/kit'
import { type Cluster, installedBinaries, npmBinaries, startCluster } from './index'

const binaries = npmBinaries() ?? installedBinaries()
if (!binaries) throw new Error('no PostgreSQL on this machine')
const superuser = { name: 'postgres', password: 'secret' }
const settings = { fsync: 'off' }

let directory: string
let cluster: Cluster | undefined
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'custody-cluster-'))
  chmodSync(directory, 0o755)
})
afterEach(async () => {
  await cluster?.stop('immediate')
  rmSync(directory, { recursive: true, force: true, maxRetries: 5 })
})

const start = (port?: number) =>
  startCluster({ binaries, directory: join(directory, 'pg'), superuser, settings, port })

async function gone(pid: number): Promise<void> {
  while (processExists(pid)) await new Promise((resolve) => setTimeout(resolve, 20))
}

test('starts again after a crash, with the lock of the dead server still there', async () => {
  cluster = await start()
  const { pid } = cluster
  process.kill(pid, 'SIGKILL')
  await cluster.ended
  expect(readFileSync(join(directory, 'pg/data/postmaster.pid'), 'utf8')).toContain(String(pid))
  cluster = await start()
  expect(cluster.pid).not.toBe(pid)
})

test('a lock whose number now belongs to another program does not stop it', async () => {
  cluster = await start()
  await cluster.stop()
  const lock = join(directory, 'pg/data/postmaster.pid')
  writeFileSync(lock, `${process.pid}\n${join(directory, 'pg/data')}\n0\n0\n\n127.0.0.1\n\nready\n`)
  cluster = await start()
  expect(processExists(process.pid)).toBe(true)
})

test('replaces a server that an earlier run left behind', async () => {
  const left = await start()
  cluster = await start()
  await left.ended
  expect(processExists(cluster.pid)).toBe(true)
})

test('does not outlive the process that started it, even one that was killed', async () => {
  cluster = await start()
  await cluster.stop()
  const script = `
    const { startCluster } = require(${JSON.stringify(require.resolve('../dist/index.js'))})
    startCluster(${JSON.stringify({ binaries, directory: join(directory, 'pg'), superuser, settings })})
      .then((cluster) => console.log(cluster.pid))`
  const parent = spawn(process.execPath, ['-e', script], { stdio: ['ignore', 'pipe', 'inherit'] })
  const pid = Number(await new Promise((resolve) => parent.stdout.once('data', resolve)))
  expect(processExists(pid)).toBe(true)
  parent.kill('SIGKILL')
  await gone(pid)
})

test('names a port that is taken', async () => {
  const other = createServer()
  await new Promise<void>((resolve) => other.listen(0, '127.0.0.1', resolve))
  const { port } = other.address() as { port: number }
  await expect(start(port)).rejects.toMatchObject({
    code: 'CUSTODY-LISTEN-001',
    message: expect.stringContaining(String(port)),
  })
  await new Promise((resolve) => other.close(resolve))
})
