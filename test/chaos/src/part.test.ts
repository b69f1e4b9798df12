import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { temporaryDirectory } from '@custody/test-support'
import { createPart, type Part } from './part'

const directory = temporaryDirectory('part')
const program = join(directory.path, 'program.cjs')
writeFileSync(
  program,
  `process.on('message', () => { process.stderr.write('the last word'); process.exitCode = 7; process.disconnect() })
process.on('SIGTERM', () => process.exit(0))
setInterval(() => {}, 1000)
process.on('disconnect', () => process.exit())
process.send({ type: 'ready' })
`,
)

let part: Part
let children: ChildProcess[] = []
beforeEach(() => {
  children = []
  part = createPart({
    name: 'one',
    logFile: join(directory.path, 'one.log'),
    spawn() {
      const child = fork(program, { stdio: ['ignore', 'pipe', 'pipe', 'ipc'] })
      children.push(child)
      return child
    },
  })
})
afterEach(() => part.kill())
afterAll(() => directory.remove())

test('what ends by itself is noted with its last words, and started again', async () => {
  await part.start()
  const [first] = children
  first!.send('end')
  await once(first!, 'exit')
  while (children.length < 2) await new Promise((resolve) => setTimeout(resolve, 20))
  expect(part.died).toEqual([{ code: 7, signal: null, said: 'the last word' }])
})

test('what is killed is neither, and starts when told', async () => {
  await part.start()
  await part.kill()
  expect([part.pid, part.died]).toEqual([null, []])
  await part.start()
  expect(part.pid).not.toBeNull()
  expect(children).toHaveLength(2)
})

test('what is paused can be stopped', async () => {
  await part.start()
  part.pause()
  await part.stop()
  expect([part.pid, part.died, children[0]!.exitCode]).toEqual([null, [], 0])
})
