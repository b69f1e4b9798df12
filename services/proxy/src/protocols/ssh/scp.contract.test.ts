/** The old protocol of scp against OpenSSH itself: `scp -O` as client, `scp -t` and `-f` at the target, the gate in between. */
import { createHash, randomBytes } from 'node:crypto'
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  realpathSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { recogniseExec, type ScpCommand } from './recognise-exec'
import { createScpGate } from './scp'
import {
  ALLOWED,
  BRIDGE,
  between,
  forbidden,
  HostUnderTest,
  type Ran,
  run,
} from './transfers-under-test'

let directory: string
let here: string
let there: string
let host: HostUnderTest
let port: number
let stop: () => Promise<void>

const command = () => readFileSync(join(directory, 'command'), 'utf8')

beforeEach(async () => {
  directory = realpathSync(mkdtempSync(join(tmpdir(), 'custody-scp-')))
  here = join(directory, 'here')
  there = join(directory, 'there')
  mkdirSync(here)
  mkdirSync(there)
  writeFileSync(join(directory, 'bridge.js'), BRIDGE, { mode: 0o700 })
  host = new HostUnderTest()
  ;({ port, stop } = await between(
    () => ['/bin/sh', '-c', command()],
    () => ({ host, gate: createScpGate(host, recogniseExec(command()) as ScpCommand) }),
  ))
})

afterEach(async () => {
  await stop()
  rmSync(directory, { recursive: true })
})

function scp(...parameters: string[]): Promise<Ran> {
  return run('scp', ['-O', '-S', join(directory, 'bridge.js'), ...parameters], {
    cwd: here,
    env: { ...process.env, BRIDGE_PORT: String(port) },
  })
}

function file(path: string, bytes: number): Buffer {
  const content = randomBytes(bytes)
  writeFileSync(path, content)
  return content
}

const sha256 = (bytes: Buffer) => createHash('sha256').update(bytes).digest('hex')

test('a file there and back, with its times and mode', async () => {
  const content = file(join(here, 'a'), 2_000_003)
  chmodSync(join(here, 'a'), 0o640)
  utimesSync(join(here, 'a'), 1e9, 1e9)
  expect(await scp('-p', 'a', `target:${there}/b`)).toMatchObject({ status: 0, stderr: '' })
  expect(await scp('-p', `target:${there}/b`, 'c')).toMatchObject({ status: 0, stderr: '' })
  expect(readFileSync(join(there, 'b')).equals(content)).toBe(true)
  expect(readFileSync(join(here, 'c')).equals(content)).toBe(true)
  expect(statSync(join(here, 'c'))).toMatchObject({ mtimeMs: 1e12 })
  expect(statSync(join(there, 'b')).mode & 0o777).toBe(0o640)
  const [put, got] = host.of('completed').map(({ completion }) => completion)
  expect(put).toMatchObject({ status: 'ok', inputBytes: content.length, bytes: 0 })
  expect(put!.inputDigest?.toString('hex')).toBe(sha256(content))
  expect(got).toMatchObject({ status: 'ok', bytes: content.length })
  expect(got!.digest?.toString('hex')).toBe(sha256(content))
  // Whether it became b or went into it, only the target knew when it was asked for.
  expect(host.of('started').map(({ text, verbs }) => [text, ...verbs])).toEqual([
    [`put ${there}/b/a`, 'ssh:upload'],
    [`get ${there}/b`, 'ssh:download'],
  ])
})

test('many and empty ones, directories within directories, both ways', async () => {
  const contents = new Map<string, Buffer>()
  for (const name of ['x/1', 'x/y/2', 'x/y/z/3', 'x/4', 'w']) {
    mkdirSync(join(here, name, '..'), { recursive: true })
    contents.set(name, file(join(here, name), 70_000))
  }
  file(join(here, 'x/empty'), 0)
  expect(await scp('-r', 'x', 'w', `target:${there}`)).toMatchObject({ status: 0, stderr: '' })
  mkdirSync(join(here, 'back'))
  expect(await scp('-r', `target:${there}/x`, `target:${there}/w`, 'back')).toMatchObject({
    status: 0,
  })
  for (const [name, content] of contents) {
    expect(readFileSync(join(there, name)).equals(content)).toBe(true)
    expect(readFileSync(join(here, 'back', name)).equals(content)).toBe(true)
    const put = host.of('completed').find(({ text }) => text === `put ${there}/${name}`)
    expect(put?.completion.inputDigest?.toString('hex')).toBe(sha256(content))
    const got = host.of('completed').find(({ text }) => text === `get ${there}/${name}`)
    expect(got?.completion.digest?.toString('hex')).toBe(sha256(content))
  }
  expect(existsSync(join(there, 'x/empty'))).toBe(true)
  expect(host.unsettled()).toEqual([])
})

test('what fails at the target, and what the client can’t write, is told and recorded', async () => {
  mkdirSync(join(there, 'd'))
  writeFileSync(join(here, 'd'), 'a file where a directory is')
  expect(await scp(`target:${there}/nothing`, 'x')).toMatchObject({ status: 1 })
  expect(await scp('d', `target:${there}/no/such/place`)).toMatchObject({ status: 1 })
  expect(host.of('completed').map(({ completion }) => completion.status)).toEqual(['error'])
  expect(host.unsettled()).toEqual([])
})

test('what is forbidden is left out, and the others come', async () => {
  host.rule = ({ statement }) =>
    /secret/.test(String(statement.text)) ? forbidden('not it') : ALLOWED
  for (const name of ['x/secret', 'x/a', 'x/secrets/b', 'x/z']) {
    mkdirSync(join(here, name, '..'), { recursive: true })
    file(join(here, name), 1000)
  }
  const up = await scp('-r', 'x', `target:${there}`)
  expect(up).toMatchObject({ status: 1 })
  expect(up.stderr).toContain('custody refused: not it (CUSTODY-POLICY-002)')
  const is = (root: string) =>
    ['x/secret', 'x/a', 'x/secrets/b', 'x/z'].map((name) => existsSync(join(root, name)))
  expect(is(there)).toEqual([false, true, false, true])
  mkdirSync(join(there, 'x/secrets'))
  file(join(there, 'x/secrets/b'), 1000)
  file(join(there, 'x/secret'), 1000)
  mkdirSync(join(here, 'back'))
  const down = await scp('-r', `target:${there}/x`, 'back')
  expect(down).toMatchObject({ status: 1 })
  expect(down.stderr).toContain('custody refused: not it (CUSTODY-POLICY-002)')
  expect(is(join(here, 'back'))).toEqual([false, true, false, true])
  expect(host.sent('toClient').includes(readFileSync(join(there, 'x/secret')))).toBe(false)
})

test('what is held waits for its answer', async () => {
  const content = file(join(here, 'a'), 1000)
  host.rule = () => new Promise((resolve) => setTimeout(() => resolve(ALLOWED), 100))
  expect(await scp('a', `target:${there}/b`)).toMatchObject({ status: 0 })
  expect(await scp(`target:${there}/b`, 'c')).toMatchObject({ status: 0 })
  expect(readFileSync(join(here, 'c')).equals(content)).toBe(true)
})
