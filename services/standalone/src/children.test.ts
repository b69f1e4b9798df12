/** Child processes are started, started again, stopped, and never left behind. */

import { closeSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Home, prepareHome, processExists, silentLogger } from '@custody/kit'
import { until } from '@custody/test-support'
import { Children } from './children'

const kit = JSON.stringify(join(__dirname, '../../../packages/kit/dist/index.js'))
const script = (start: string) => `
  const { runService, CustodyError } = require(${kit})
  const timer = setInterval(() => {}, 1000)
  runService({ name: 'test',
    async start() { ${start}; return { pid: process.pid, async stop() {} } },
    ready: ({ pid }) => ({ ports: { postgres: Number(process.env.PORT ?? 7) }, pid }) })`

let home: Home
let output: number
let children: Children
beforeEach(() => {
  home = prepareHome(mkdtempSync(join(tmpdir(), 'custody-children-')))
  output = openSync(join(home.directory, 'output'), 'a')
  children = new Children(home, silentLogger(), output)
})
afterEach(() => {
  closeSync(output)
  rmSync(home.directory, { recursive: true })
})

function module(start = ''): string {
  const file = join(home.directory, 'child.js')
  writeFileSync(file, script(start))
  return file
}

test('a child tells where it is, and is gone when stopped', async () => {
  const { child, ready } = await children.start({ name: 'a', module: module(), environment: {} })
  expect(ready.ports).toEqual({ postgres: 7 })
  expect(readFileSync(join(home.run, 'processes.json'), 'utf8')).toContain(String(child.pid))
  const pid = child.pid as number
  await child.stop()
  expect(processExists(pid)).toBe(false)
})

test('a child that was killed comes back, with what its environment says by then', async () => {
  const environment: NodeJS.ProcessEnv = { ...process.env }
  let again: Record<string, unknown> | undefined
  const { child, ready } = await children.start({
    name: 'a',
    module: module(),
    environment,
    restarted: (told) => {
      again = told
    },
  })
  environment.PORT = '8'
  process.kill(ready.pid as number, 'SIGKILL')
  await until(() => again !== undefined)
  expect(again).toEqual({ ports: { postgres: 8 }, pid: child.pid })
  expect(child.pid).not.toBe(ready.pid)
  await child.stop()
})

test('a child that cannot be kept running is given up, with the reason', async () => {
  const file = join(home.directory, 'starts')
  writeFileSync(file, '')
  const body = `
    const fs = require('node:fs'); const file = ${JSON.stringify(file)}
    fs.appendFileSync(file, 'x')
    if (fs.readFileSync(file).length > 1) throw new CustodyError('CUSTODY-LISTEN-001', 'port 7 is taken')`
  const { child, ready } = await children.start({
    name: 'a',
    module: module(body),
    environment: {},
  })
  process.kill(ready.pid as number, 'SIGKILL')
  expect(await children.lost).toMatchObject({ code: 'CUSTODY-LISTEN-001' })
  await child.stop()
})

test('a failed start is passed on, and leaves no process', async () => {
  const body = `throw new CustodyError('CUSTODY-LISTEN-001', 'port 7 is taken')`
  await expect(
    children.start({ name: 'a', module: module(body), environment: {} }),
  ).rejects.toMatchObject({ code: 'CUSTODY-LISTEN-001', message: 'port 7 is taken' })
  await expect(
    children.start({ name: 'b', module: module('process.exit(3)'), environment: {} }),
  ).rejects.toMatchObject({
    code: 'CUSTODY-START-001',
    message: expect.stringContaining('exit code 3'),
  })
  expect(JSON.parse(readFileSync(join(home.run, 'processes.json'), 'utf8'))).toEqual([])
})

test('what an earlier run left behind is waited for, and ended when it hangs', async () => {
  const { child } = await children.start({ name: 'a', module: module(), environment: {} })
  const pid = child.pid as number
  const later = new Children(home, silentLogger(), output)
  const stopped = later.awaitLeftovers(200)
  // The first run would start it again, which is not what is looked at here.
  const ending = child.stop()
  await stopped
  expect(processExists(pid)).toBe(false)
  await ending
})
