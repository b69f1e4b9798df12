/** SFTP against OpenSSH itself: its `sftp` as client, its `sftp-server` as target, the gate in between. */
import { createHash, randomBytes } from 'node:crypto'
import {
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readlinkSync,
  realpathSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createSftpGate } from './sftp'
import { SftpClient } from './sftp-client-under-test'
import {
  ALLOWED,
  BRIDGE,
  between,
  forbidden,
  HostUnderTest,
  type Ran,
  run,
} from './transfers-under-test'

const SERVER = '/usr/lib/openssh/sftp-server'

let directory: string
let here: string
let there: string
let host: HostUnderTest
let port: number
let stop: () => Promise<void>

beforeEach(async () => {
  directory = realpathSync(mkdtempSync(join(tmpdir(), 'custody-sftp-')))
  here = join(directory, 'here')
  there = join(directory, 'there')
  mkdirSync(here)
  mkdirSync(there)
  writeFileSync(join(directory, 'bridge.js'), BRIDGE)
  host = new HostUnderTest()
  ;({ port, stop } = await between(
    () => [SERVER, '-d', there],
    () => ({
      host,
      gate: createSftpGate(host),
    }),
  ))
})

afterEach(async () => {
  await stop()
  rmSync(directory, { recursive: true })
})

function sftp(batch: string, ...options: string[]): Promise<Ran> {
  const direct = `${process.execPath} ${join(directory, 'bridge.js')}`
  return run('sftp', ['-b', '-', ...options, '-D', direct], {
    input: batch,
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

function completion(text: string) {
  const found = host.of('completed').filter((deed) => deed.text === text)
  expect(found.map((deed) => deed.text)).toEqual([text])
  return found[0]!.completion
}

describe.each([
  ['no policies', false],
  ['policies about paths', true],
])('%s', (_, restricted) => {
  beforeEach(() => {
    host.restricted = restricted
  })

  test('put and get: content arrives, and the digests are those of the files', async () => {
    const content = file(join(here, 'a'), 3_000_017)
    const ran = await sftp('put a b\nget b c\n')
    expect(ran.status).toBe(0)
    expect(readFileSync(join(there, 'b')).equals(content)).toBe(true)
    expect(readFileSync(join(here, 'c')).equals(content)).toBe(true)
    const put = completion(`open ${there}/b to write`)
    expect(put.inputDigest?.toString('hex')).toBe(sha256(content))
    expect(put).toMatchObject({ status: 'ok', inputBytes: content.length, bytes: 0, message: null })
    const got = completion(`open ${there}/b to read`)
    expect(got.digest?.toString('hex')).toBe(sha256(content))
    expect(got).toMatchObject({ status: 'ok', bytes: content.length, inputBytes: 0, message: null })
    expect(host.unsettled()).toEqual([])
  })

  test('reget and reput go on where they stopped, and say so', async () => {
    const content = file(join(there, 'b'), 1_000_000)
    writeFileSync(join(here, 'c'), content.subarray(0, 400_000))
    writeFileSync(join(here, 'd'), content)
    writeFileSync(join(there, 'd'), content.subarray(0, 300_000))
    const ran = await sftp('reget b c\nreput d d\n')
    expect(ran.status).toBe(0)
    expect(readFileSync(join(here, 'c')).equals(content)).toBe(true)
    expect(readFileSync(join(there, 'd')).equals(content)).toBe(true)
    const got = completion(`open ${there}/b to read`)
    expect(got.tag).toMatch(/^read 600000 bytes from 400000 on/)
    expect(got.digest?.toString('hex')).toBe(sha256(content.subarray(400_000)))
    const put = completion(`open ${there}/d to write`)
    expect(put.tag).toMatch(/^appended 700000 bytes/)
    expect(put.inputDigest?.toString('hex')).toBe(sha256(content.subarray(300_000)))
  })

  test('recursive both ways', async () => {
    const contents = new Map<string, Buffer>()
    for (const name of ['x/1', 'x/y/2', 'x/y/z/3', 'x/4']) {
      mkdirSync(join(here, name, '..'), { recursive: true })
      contents.set(name, file(join(here, name), 50_000))
    }
    file(join(here, 'x/empty'), 0)
    const ran = await sftp('put -R x\nget -R x back\n')
    expect(ran.status).toBe(0)
    for (const [name, content] of contents) {
      expect(readFileSync(join(there, name)).equals(content)).toBe(true)
      expect(readFileSync(join(here, name.replace('x', 'back'))).equals(content)).toBe(true)
      expect(completion(`open ${there}/${name} to write`).inputDigest?.toString('hex')).toBe(
        sha256(content),
      )
    }
    expect(existsSync(join(there, 'x/empty'))).toBe(true)
    expect(completion(`open ${there}/x/empty to write`)).toMatchObject({
      status: 'ok',
      inputBytes: 0,
      inputDigest: null,
      tag: 'nothing read or written',
    })
    expect(completion(`opendir ${there}/x/y`)).toMatchObject({ status: 'ok', rows: 4 })
    expect(host.unsettled()).toEqual([])
  })

  test('everything that changes names and attributes', async () => {
    file(join(there, 'a'), 10)
    const ran = await sftp(
      [
        'rename a b',
        'rename -l b c',
        'ln c hard',
        'ln -s c soft',
        'chmod 640 c',
        'mkdir d',
        'rmdir d',
        'rm hard',
        'ls -l',
        'ls -l soft',
        'df',
        'df -h .',
        'pwd',
        'cd ..',
        '-cd nowhere',
        `-rmdir ${there}/nothing`,
      ].join('\n'),
    )
    expect(ran.status).toBe(0)
    expect(readlinkSync(join(there, 'soft'))).toBe('c')
    expect(statSync(join(there, 'c')).mode & 0o777).toBe(0o640)
    expect(existsSync(join(there, 'hard'))).toBe(false)
    const texts = host.of('started').map(({ text }) => text)
    for (const text of [
      `posix-rename ${there}/a ${there}/b`,
      `rename ${there}/b ${there}/c`,
      `hardlink ${there}/c ${there}/hard`,
      `symlink ${there}/c ${there}/soft`,
      `setstat ${there}/c mode=0640`,
      `mkdir ${there}/d mode=0777`,
      `rmdir ${there}/d`,
      `remove ${there}/hard`,
      `statvfs ${there}`,
    ])
      expect(texts).toContain(text)
    expect(completion(`rmdir ${there}/nothing`)).toMatchObject({ status: 'error', code: '2' })
    expect(completion(`rmdir ${there}/d`)).toMatchObject({ status: 'ok', code: null })
    expect(host.unsettled()).toEqual([])
  })

  test('every operation is recorded before it is sent on, and its end before the client has it', async () => {
    file(join(here, 'a'), 100_000)
    await sftp('put a b\nget b c\nrename b d\nrm d\n')
    let started = 0
    for (const [i, deed] of host.deeds.entries()) {
      if (deed.did !== 'started') continue
      started++
      const next = host.deeds.slice(i).find(({ did }) => did === 'toTarget')
      expect(next).toMatchObject({ waits: true })
      const end = host.deeds.findIndex(
        (one) => one.did === 'completed' && one.command === deed.command,
      )
      expect(end).toBeGreaterThan(i)
      expect(host.deeds.slice(end).find(({ did }) => did === 'toClient')).toMatchObject({
        waits: true,
      })
    }
    expect(started).toBeGreaterThanOrEqual(4)
    // Named in the record before any byte of the target's answer to it.
    const texts = host.of('started').map(({ text }) => text)
    expect(texts).toContain(`open ${there}/b to write`)
  })

  test('the bytes of a session without policies are those of one without a gate', async () => {
    file(join(there, 'a'), 10)
    const through = await sftp('ls\nls -la nothing\nget a\nversion\npwd\n-rm nothing\n')
    const direct = await run('sftp', ['-b', '-', '-D', `${SERVER} -d ${there}`], {
      input: 'ls\nls -la nothing\nget a\nversion\npwd\n-rm nothing\n',
      cwd: here,
    })
    expect(through).toEqual(direct)
  })
})

test('what policy forbids is not sent, and the client goes on', async () => {
  host.restricted = true
  host.rule = ({ facts }) =>
    facts.objects.some(({ name }) => name.startsWith(`${there}/secret`))
      ? forbidden('not these')
      : ALLOWED
  mkdirSync(join(there, 'secret'))
  mkdirSync(join(there, 'public'))
  file(join(there, 'secret/a'), 100)
  const b = file(join(there, 'b'), 100)
  symlinkSync('../secret/a', join(there, 'public/link'))
  symlinkSync('../secret', join(there, 'public/dir'))
  symlinkSync('../secret/new', join(there, 'public/dangling'))
  writeFileSync(join(here, 'x'), 'content')
  const tried = [
    'get secret/a 1',
    `get ${there}/secret/a 2`,
    'get public/../secret/a 3',
    'get public/link 4',
    'get public/dir/a 5',
    'get ././/secret//a 6',
    'rename secret/a moved',
    'rename -l secret/a moved',
    'rm secret/a',
    'rm public/dir/a',
    'put x secret/x',
    'put x public/dir/x',
    'put x public/dangling',
    'put x public/link',
    'mkdir secret/d',
    'mkdir public/dir/d',
    'chmod 777 secret/a',
    'chmod 777 public/link',
    'ls secret',
    'ls public/dir/',
    'ln secret/a hard',
    'ln public/dir/a hard',
    'ln -s secret/a soft',
    'cd secret',
  ]
  for (const command of tried) {
    const before = host.of('blocked').length
    const ran = await sftp(`-${command}\nget b good\n`)
    expect([command, ran.status]).toEqual([command, 0])
    expect([command, host.of('blocked').length > before]).toEqual([command, true])
  }
  expect(readFileSync(join(here, 'good')).equals(b)).toBe(true)
  for (const name of ['1', '2', '3', '4', '5', '6']) {
    const path = join(here, name)
    if (existsSync(path)) expect(readFileSync(path).length).toBe(0)
  }
  expect(readFileSync(join(there, 'secret/a')).length).toBe(100)
  for (const name of ['secret/x', 'secret/d', 'secret/new', 'moved', 'hard', 'soft'])
    expect([name, existsSync(join(there, name))]).toEqual([name, false])
  expect(lstatSync(join(there, 'secret/a')).mode & 0o777).not.toBe(0o777)
})

test('what is held waits, and those behind it; then it runs or does not', async () => {
  writeFileSync(join(here, 'x'), 'content')
  const asked: string[] = []
  host.rule = ({ statement }) => {
    const text = String(statement.text)
    if (!text.startsWith('open ')) return ALLOWED
    asked.push(text)
    return new Promise((resolve) => {
      setTimeout(() => resolve(text.includes('yes') ? ALLOWED : forbidden('denied by bob')), 200)
    })
  }
  const ran = await sftp('put x yes\n-put x no\nls\n')
  expect(ran.status).toBe(0)
  expect(asked).toEqual([`open ${there}/yes to write`, `open ${there}/no to write`])
  expect(readFileSync(join(there, 'yes'), 'utf8')).toBe('content')
  expect(existsSync(join(there, 'no'))).toBe(false)
  expect(ran.stdout).toContain('yes')
})

test('a file that shrinks while it is read, and one read in jumps, have no digest, and say why', async () => {
  const content = file(join(there, 'a'), 10_000)
  const client = await SftpClient.connect(port)
  const handle = await client.open(`${there}/a`, 1)
  expect((await client.read(handle, 0, 100)).equals(content.subarray(0, 100))).toBe(true)
  expect((await client.read(handle, 5000, 100)).equals(content.subarray(5000, 5100))).toBe(true)
  truncateSync(join(there, 'a'), 10)
  await client.close(handle)
  client.end()
  expect(completion(`open ${there}/a to read`)).toMatchObject({
    status: 'ok',
    bytes: 200,
    digest: null,
    message: 'no digest: not read in one piece',
    tag: 'read 200 bytes with 1 jump',
  })
})

test('a client that goes away leaves nothing open in the record', async () => {
  file(join(there, 'a'), 10_000)
  const client = await SftpClient.connect(port)
  const handle = await client.open(`${there}/a`, 1)
  await client.read(handle, 0, 100)
  client.end()
  await client.ended
  while (host.unsettled().length > 0) await new Promise((resolve) => setTimeout(resolve, 10))
  expect(completion(`open ${there}/a to read`)).toMatchObject({ status: 'unknown', bytes: 100 })
})
