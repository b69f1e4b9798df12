/** `npm start` as a person meets it: it starts, it works, it is killed, it starts again, and it says clearly why not. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { processExists, type RuntimeStatus } from '@custody/kit'
import { psql, until } from '@custody/test-support'

const program = join(__dirname, '../dist/main.js')
let directory: string
let home: string
const started: ChildProcess[] = []

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'custody-standalone-'))
  // The demo's server may run as another account, which must be able to pass.
  chmodSync(directory, 0o755)
  home = join(directory, 'home')
})
afterEach(async () => {
  for (const child of started.splice(0)) {
    if (child.exitCode !== null || child.signalCode !== null) continue
    child.kill('SIGKILL')
    await once(child, 'exit')
  }
  await until(() => processes().every((pid) => !processExists(pid)))
  rmSync(directory, { recursive: true, force: true, maxRetries: 10, retryDelay: 200 })
})

interface Run {
  child: ChildProcess
  said(): string
  ended: Promise<unknown>
}

function run(environment: NodeJS.ProcessEnv = {}): Run {
  const child = spawn(process.execPath, [program], {
    cwd: directory,
    env: {
      ...process.env,
      CUSTODY_HOME: home,
      CUSTODY_CONFIG: undefined,
      CUSTODY_PORT_POSTGRES: '0',
      CUSTODY_PORT_CONSOLE: '0',
      npm_lifecycle_event: undefined,
      ...environment,
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  started.push(child)
  let said = ''
  for (const stream of [child.stdout, child.stderr]) {
    stream?.on('data', (data) => {
      said += data
    })
  }
  return { child, said: () => said, ended: once(child, 'exit') }
}

async function ready(environment?: NodeJS.ProcessEnv): Promise<Run> {
  const running = run(environment)
  await until(() => running.said().includes('Ctrl-C stops') || running.child.exitCode !== null)
  if (running.child.exitCode !== null) throw new Error(running.said())
  return running
}

function processes(): number[] {
  const found: number[] = []
  const register = join(home, 'run/processes.json')
  if (existsSync(register)) {
    found.push(
      ...(JSON.parse(readFileSync(register, 'utf8')) as { pid: number }[]).map((p) => p.pid),
    )
  }
  const postmaster = join(home, 'demo/server/data/postmaster.pid')
  if (existsSync(postmaster)) found.push(Number(readFileSync(postmaster, 'utf8').split('\n')[0]))
  return found
}

function status(): RuntimeStatus {
  return JSON.parse(readFileSync(join(home, 'run/status.json'), 'utf8'))
}

/** The line that the welcome says to paste, taken apart as a shell would. */
function pasted(said: string): string {
  const url = /psql "(postgresql:[^"]+)"/.exec(said)?.[1]
  if (!url) throw new Error(`no line to paste in: ${said}`)
  return url
}

test('the printed line works, and Ctrl-C ends everything', async () => {
  const custody = await ready()
  const answer = await psql(pasted(custody.said()), [
    '-At',
    '-c',
    'SELECT count(*), min(number) FROM cards',
  ])
  expect(answer).toMatchObject({ code: 0, stdout: '2400|[masked]\n' })
  expect(status().pid).toBe(custody.child.pid)
  const pids = processes()
  expect(pids.length).toBeGreaterThan(1)

  custody.child.kill('SIGINT')
  expect(await custody.ended).toEqual([0, null])
  expect(pids.filter(processExists)).toEqual([])
  expect(existsSync(join(home, 'run/status.json'))).toBe(false)
  expect(existsSync(join(home, 'run/lock'))).toBe(false)
})

test('killed at any moment, it leaves no process, and starts again', async () => {
  // The first moments fall into making the demo, the later ones into starting and running.
  for (const ms of [100, 700, 1500, 2500]) {
    const custody = run()
    await new Promise((resolve) => setTimeout(resolve, ms))
    custody.child.kill('SIGKILL')
    await custody.ended
  }
  const custody = await ready()
  const pids = processes()
  custody.child.kill('SIGKILL')
  await custody.ended
  const again = await ready()
  expect(pids.filter(processExists)).toEqual([])
  const answer = await psql(pasted(again.said()), ['-At', '-c', 'SELECT count(*) FROM customers'])
  expect(answer).toMatchObject({ code: 0, stdout: '2000\n' })
})

test('a second one on the same home is refused, naming the first', async () => {
  const custody = await ready()
  const second = run()
  expect(await second.ended).toEqual([1, null])
  expect(second.said()).toContain('CUSTODY-HOME-002')
  expect(second.said()).toContain(`process ${custody.child.pid}`)
  expect(status().pid).toBe(custody.child.pid)
})

test('a taken port names the setting that changes it, and nothing stays behind', async () => {
  const other = createServer()
  await new Promise<void>((resolve) => other.listen(0, '127.0.0.1', resolve))
  const { port } = other.address() as { port: number }
  const custody = run({ CUSTODY_PORT_POSTGRES: String(port) })
  expect(await custody.ended).toEqual([1, null])
  expect(custody.said()).toContain('CUSTODY-LISTEN-001')
  expect(custody.said()).toContain(`port ${port} on 127.0.0.1 is taken`)
  expect(custody.said()).toMatch(/listen\.postgres|CUSTODY_PORT_POSTGRES/)
  expect(processes().filter(processExists)).toEqual([])
  await new Promise((resolve) => other.close(resolve))
})

test('a home of a newer version is left alone', async () => {
  home = directory
  writeFileSync(join(home, 'home.json'), '{"formatVersion":99}')
  const custody = run()
  expect(await custody.ended).toEqual([1, null])
  expect(custody.said()).toContain('CUSTODY-HOME-001')
  expect(existsSync(join(home, 'demo'))).toBe(false)
})

test('a wrong configuration is told before anything is started', async () => {
  writeFileSync(join(directory, 'custody.yaml'), 'resources:\n  a: { protocol: postgres }\n')
  const custody = run()
  expect(await custody.ended).toEqual([1, null])
  expect(custody.said()).toContain('CUSTODY-CONFIG-002')
  expect(custody.said()).toContain('custody.yaml:2: resources.a.address: missing')
})

test('a part that is killed comes back at the same place', async () => {
  const custody = await ready()
  const { ports } = status()
  const [proxy] = processes()
  process.kill(proxy as number, 'SIGKILL')
  await until(() => processes()[0] !== proxy && processes().length > 1)
  expect(status().ports).toEqual(ports)
  let answer = await psql(pasted(custody.said()), ['-At', '-c', 'SELECT 1'])
  for (let i = 0; i < 100 && answer.code !== 0; i++) {
    await new Promise((resolve) => setTimeout(resolve, 100))
    answer = await psql(pasted(custody.said()), ['-At', '-c', 'SELECT 1'])
  }
  expect(answer).toMatchObject({ code: 0, stdout: '1\n' })
})
