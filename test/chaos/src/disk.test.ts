import { type ChildProcess, spawn } from 'node:child_process'
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { temporaryDirectory } from '@custody/test-support'
import { type Disk, limited, mounted } from './disk'

/** Writes 4 KiB at a time to one file, 100 for each line it is sent, and says how the last went. */
const WRITER = `
const fs = require('node:fs')
const fd = fs.openSync(process.argv[1], 'w')
let at = 0
process.stdin.on('data', () => {
  let said = 'written'
  for (let i = 0; i < 100 && said === 'written'; i++) {
    try { at += fs.writeSync(fd, Buffer.alloc(4096), 0, 4096, at) } catch (error) { said = error.code }
  }
  process.stdout.write(said + '\\n')
})
`

const directory = temporaryDirectory('disk')
const children: ChildProcess[] = []
afterAll(async () => {
  for (const child of children) child.kill('SIGKILL')
  await directory.remove()
})

async function isFullAndFreed(disk: Disk, child: ChildProcess): Promise<string> {
  const write = () =>
    new Promise<string>((resolve) => {
      child.stdout!.once('data', (said) => resolve(String(said).trim()))
      child.stdin!.write('\n')
    })
  expect(await write()).toBe('written')
  disk.fill(20_000)
  const full = await write()
  disk.free()
  expect(await write()).toBe('written')
  return full
}

function writer(path: string): ChildProcess {
  const child = spawn(process.execPath, ['-e', WRITER, join(path, '1.log')])
  children.push(child)
  return child
}

test('a disk of its own is full for whoever writes there, and takes what comes when it has room again', async () => {
  const path = join(directory.path, 'own')
  mkdirSync(path)
  const disk = mounted(path, 16)
  if (process.getuid?.() !== 0) {
    // Nobody else may mount, and is told so instead of being given something that is never full.
    expect(disk).toBeNull()
    return
  }
  if (disk === null) return
  try {
    expect(disk.how).toBe('tmpfs')
    expect(await isFullAndFreed(disk, writer(path))).toBe('ENOSPC')
  } finally {
    disk.remove()
  }
})

test('without one, the process itself may write no larger files', async () => {
  const path = join(directory.path, 'limited')
  mkdirSync(path)
  const child = writer(path)
  const disk = limited(path, () => child.pid!)
  expect(disk.how).toBe('RLIMIT_FSIZE')
  expect(await isFullAndFreed(disk, child)).toBe('EFBIG')
})
