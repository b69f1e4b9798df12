/** One stand-alone per home, and a dead one's lock stops nobody. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Home, prepareHome } from '@custody/kit'
import { isAlive, lockHome, nameProcess } from './lock'

let home: Home
beforeEach(() => {
  home = prepareHome(mkdtempSync(join(tmpdir(), 'custody-lock-')))
})
afterEach(() => rmSync(home.directory, { recursive: true }))

test('is refused while held, naming the process, and free afterwards', () => {
  const lock = lockHome(home)
  expect(() => lockHome(home)).toThrow(
    expect.objectContaining({
      code: 'CUSTODY-HOME-002',
      message: expect.stringContaining(`process ${process.pid}`),
    }),
  )
  lock.release()
  lockHome(home).release()
  expect(readdirSync(home.run)).toEqual([])
})

test('a killed process loses it', async () => {
  const child = spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)'])
  await once(child, 'spawn')
  writeFileSync(join(home.run, 'lock'), JSON.stringify(nameProcess(child.pid as number)))
  expect(() => lockHome(home)).toThrow(/in use by process/)
  child.kill('SIGKILL')
  await once(child, 'exit')
  lockHome(home).release()
})

test.each(['', 'no json', '{}', JSON.stringify({ pid: process.pid, born: 'another time' })])(
  'a lock that names no living process (%j) is taken over',
  (content) => {
    writeFileSync(join(home.run, 'lock'), content)
    lockHome(home).release()
  },
)

test('a number used again is another process', () => {
  const me = nameProcess(process.pid)
  expect(isAlive(me)).toBe(true)
  expect(isAlive({ ...me, born: `${me.born}0` })).toBe(false)
  expect(isAlive({ pid: 0 })).toBe(false)
})
