/** Processes stop when asked, when signalled, and when nobody is left to ask. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'

const dist = JSON.stringify(join(__dirname, '../dist/index.js'))
const service = (body = '') => `
  const { runService, CustodyError } = require(${dist})
  setInterval(() => {}, 1000)
  runService({ name: 'test', stopMsMax: 10000,
    async start() { ${body}; return { async stop() { process.stdout.write('stopped in order') } } },
    ready: () => ({ port: 7 }) }).then(() => process.stdout.write('up '))`

function run(script: string, ipc: boolean): { child: ChildProcess; said: () => string } {
  const child = spawn(process.execPath, ['-e', script], {
    stdio: ['ignore', 'pipe', 'pipe', ...(ipc ? (['ipc'] as const) : [])],
  })
  let said = ''
  child.stdout?.on('data', (data) => {
    said += data
  })
  child.stderr?.on('data', (data) => {
    said += data
  })
  return { child, said: () => said }
}

test.each(['SIGINT', 'SIGTERM'] as const)('stops in order on %s', async (signal) => {
  const { child, said } = run(service(), false)
  await once(child.stdout as NodeJS.ReadableStream, 'data')
  child.kill(signal)
  expect(await once(child, 'close')).toEqual([0, null])
  expect(said()).toBe('up stopped in order')
})

test('tells its parent when it is ready, and stops when the parent is gone', async () => {
  const { child, said } = run(service(), true)
  expect(await once(child, 'message')).toEqual([{ type: 'ready', ready: { port: 7 } }, undefined])
  child.disconnect()
  // Node emits no `close` for a child whose channel the parent closed.
  expect(await once(child, 'exit')).toEqual([0, null])
  expect(said()).toContain('stopped in order')
})

test('stops when its parent asks', async () => {
  const { child, said } = run(service(), true)
  await once(child, 'message')
  child.send({ type: 'stop' })
  expect(await once(child, 'close')).toEqual([0, null])
  expect(said()).toContain('stopped in order')
})

test('a failed start is told to the parent, or to the person', async () => {
  const script = service(`throw new CustodyError('CUSTODY-HOME-002', 'in use by process 9')`)
  const told = run(script, true)
  expect(await once(told.child, 'message')).toEqual([
    { type: 'failed', code: 'CUSTODY-HOME-002', message: 'in use by process 9', details: {} },
    undefined,
  ])
  expect(await once(told.child, 'close')).toEqual([1, null])
  const shown = run(script, false)
  expect(await once(shown.child, 'close')).toEqual([1, null])
  expect(shown.said()).toContain('CUSTODY-HOME-002: in use by process 9\n  Stop the process')
})

test('a signal that arrives twice at once is one; a person who asks again later does not wait', async () => {
  const slow = service().replace(
    'async stop() {',
    'async stop() { await new Promise((r) => setTimeout(r, 3000));',
  )
  const patient = run(slow, false)
  await once(patient.child.stdout as NodeJS.ReadableStream, 'data')
  patient.child.kill('SIGINT')
  patient.child.kill('SIGTERM')
  expect(await once(patient.child, 'close')).toEqual([0, null])
  expect(patient.said()).toContain('stopped in order')

  const hurried = run(slow, false)
  await once(hurried.child.stdout as NodeJS.ReadableStream, 'data')
  hurried.child.kill('SIGINT')
  await new Promise((resolve) => setTimeout(resolve, 1_000))
  hurried.child.kill('SIGINT')
  expect(await once(hurried.child, 'close')).toEqual([130, null])
})
