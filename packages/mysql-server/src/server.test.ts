/** A server of ours starts, is a MariaDB, and does not survive us. */
import { spawn } from 'node:child_process'
import { chmodSync, mkdtempSync, rmSync } from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { processExists } from '@custody/kit'
import { installedServer, type MysqlServer, startMysqlServer } from './index'

const programs = installedServer()!
let directory: string
let server: MysqlServer | undefined
const superuser = { name: 'owner', password: 'it’s a "test"' }

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'custody-mysql-'))
  chmodSync(directory, 0o755)
})

afterEach(async () => {
  await server?.stop('immediate')
  server = undefined
  rmSync(directory, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 })
})

const start = () => startMysqlServer({ programs, directory: join(directory, 'db'), superuser })

function greeting(port: number): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1')
    socket.once('error', reject)
    socket.once('data', (data) => {
      socket.destroy()
      resolve(data.toString('latin1'))
    })
  })
}

test('starts, greets as MariaDB, stops, and starts again on the same data', async () => {
  server = await start()
  expect(await greeting(server.port)).toContain('MariaDB')
  await server.stop()
  expect(processExists(server.pid)).toBe(false)
  server = await start()
  expect(await greeting(server.port)).toContain('MariaDB')
})

test('does not outlive the process that started it, even one that was killed', async () => {
  server = await start()
  await server.stop()
  const script = `
    const { startMysqlServer } = require(${JSON.stringify(require.resolve('../dist/index.js'))})
    startMysqlServer(${JSON.stringify({ programs, directory: join(directory, 'db'), superuser })})
      .then((server) => console.log(server.pid))`
  const parent = spawn(process.execPath, ['-e', script], { stdio: ['ignore', 'pipe', 'inherit'] })
  const pid = Number(await new Promise((resolve) => parent.stdout.once('data', resolve)))
  expect(processExists(pid)).toBe(true)
  parent.kill('SIGKILL')
  while (processExists(pid)) await new Promise((resolve) => setTimeout(resolve, 20))
})
