/** OpenSSH's sftp and scp, rsync and git, through a gateway to OpenSSH's own server: files arrive, and the record has each. */
import { execFileSync } from 'node:child_process'
import { createHash, randomBytes } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Event } from '@custody/schemas'
import { temporaryDirectory } from '@custody/test-support'
import { type SshUnderTest, sshUnderTest } from './ssh-under-test'

const sha256 = (bytes: Buffer) => createHash('sha256').update(bytes).digest('hex')

let under: SshUnderTest
let port: number
let token: string
let files: Awaited<ReturnType<typeof temporaryDirectory>>
let here: string
let there: string
let seen = 0

const POLICY = `
@id("all")
@reason("anything")
permit (principal, action, resource);

@id("no-secrets")
@reason("the secrets stay where they are")
forbid (principal, action in Action::"ssh:files", resource)
when { context has object && context.object.name like "*/secret/*" };
`

beforeAll(async () => {
  under = sshUnderTest('ssh-files')
  const target = await under.target()
  const policy = join(under.directory, 'policies')
  mkdirSync(policy)
  writeFileSync(join(policy, 'files.cedar'), POLICY)
  ;({ port } = await under.start({ target, more: `policy: { files: ["${policy}"] }` }))
  token = await under.token({ subject: 'ada', email: 'ada@example.com', groups: ['dev'] })
  files = temporaryDirectory('ssh-files-moved')
  here = join(files.path, 'here')
  there = join(files.path, 'there')
  mkdirSync(here)
  mkdirSync(join(there, 'secret'), { recursive: true })
  writeFileSync(join(there, 'secret/key'), 'do not show')
})

afterAll(async () => {
  await under.stop()
  await files.remove()
})

beforeEach(async () => {
  seen = (await under.events()).length
})

const run = (program: string, words: string[], input = '') =>
  under.run(program, words, { token, input })

/** Commands recorded since the test began, with their ends. */
async function commands(): Promise<{ text: string; started: Event; completed: Event }[]> {
  const events = (await under.events()).slice(seen)
  return events
    .filter(({ kind }) => kind === 'command.started')
    .map((started) => ({
      text: String(started.statement!.text),
      started,
      completed: events.find(
        ({ kind, command }) => kind === 'command.completed' && command!.equals(started.command!),
      )!,
    }))
}

async function commandOf(text: string) {
  const all = await commands()
  const found = all.find((one) => one.text === text)
  expect(all.map((one) => one.text)).toContain(text)
  return found!
}

function made(name: string, bytes: number): Buffer {
  const content = randomBytes(bytes)
  writeFileSync(join(here, name), content)
  return content
}

test('sftp: files there and back, each a command of the session', async () => {
  const content = made('a', 1_500_000)
  const ran = await run(
    'sftp',
    ['-q', ...under.options(port), 'web@localhost'],
    `put ${here}/a ${there}/a\nget ${there}/a ${here}/b\nrename ${there}/a ${there}/c\n`,
  )
  expect([ran.code, ran.stderr]).toEqual([0, ''])
  expect(readFileSync(join(here, 'b')).equals(content)).toBe(true)
  const put = await commandOf(`open ${there}/a to write`)
  expect(put.started.statement).toMatchObject({ language: 'sftp', verbs: ['ssh:upload'] })
  expect(put.completed.response!.inputDigest!.toString('hex')).toBe(sha256(content))
  const got = await commandOf(`open ${there}/a to read`)
  expect(got.completed.response!.digest!.toString('hex')).toBe(sha256(content))
  expect(Number(got.completed.response!.bytes)).toBe(content.length)
  const all = await commands()
  const subsystem = all.find(
    ({ started }) => started.statement!.interface === 'subsystem' && started.parent === null,
  )!
  expect(got.started.parent!.equals(subsystem.started.command!)).toBe(true)
  // The whole ends after its parts.
  const ordinals = all.map(({ completed }) => Number(completed.ordinal))
  expect(Math.max(...ordinals)).toBe(Number(subsystem.completed.ordinal))
})

test('sftp: what policy forbids does not come, by whatever path', async () => {
  for (const path of [`${there}/secret/key`, `${there}/x/../secret/key`]) {
    const ran = await run(
      'sftp',
      ['-q', ...under.options(port), 'web@localhost'],
      `-mkdir ${there}/x\n-get ${path} ${here}/key\n-put ${here}/a ${there}/secret/new\nls ${there}\n`,
    )
    expect(ran.code).toBe(0)
    expect(ran.stderr).toContain('Permission denied')
  }
  expect(existsSync(join(here, 'key'))).toBe(false)
  expect(existsSync(join(there, 'secret/new'))).toBe(false)
  const blocked = (await under.events())
    .slice(seen)
    .filter(({ kind }) => kind === 'command.blocked')
  expect(blocked.map(({ statement }) => statement!.text)).toContain(`lstat ${there}/secret/key`)
  expect(blocked.map(({ statement }) => statement!.text)).toContain(
    `open ${there}/secret/new to write`,
  )
  expect(blocked[0]!.decision).toMatchObject({ outcome: 'block', policies: ['no-secrets'] })
})

test.each([
  ['over SFTP', []],
  ['in its old protocol', ['-O']],
])('scp %s', async (_, mode) => {
  const content = made('s', 800_000)
  for (const [from, to] of [
    [`${here}/s`, `web@localhost:${there}/s`],
    [`web@localhost:${there}/s`, `${here}/t`],
  ]) {
    const ran = await run('scp', [...mode, '-q', ...under.options(port), from!, to!])
    expect([ran.code, ran.stderr]).toEqual([0, ''])
  }
  expect(readFileSync(join(here, 't')).equals(content)).toBe(true)
  const digests = (await commands()).flatMap(({ completed: { response } }) =>
    [response?.digest, response?.inputDigest].flatMap((one) => (one ? [one.toString('hex')] : [])),
  )
  expect(digests.filter((one) => one === sha256(content)).length).toBe(2)
  const denied = await run('scp', [
    ...mode,
    '-q',
    ...under.options(port),
    `web@localhost:${there}/secret/key`,
    `${here}/key`,
  ])
  expect(denied.code).not.toBe(0)
  expect(existsSync(join(here, 'key'))).toBe(false)
})

const shell = () => `ssh ${under.options(port).join(' ')}`

test('rsync both ways, known for what it is', async () => {
  mkdirSync(join(here, 'tree/sub'), { recursive: true })
  const content = randomBytes(300_000)
  writeFileSync(join(here, 'tree/sub/f'), content)
  expect(
    await run('rsync', ['-a', '-e', shell(), `${here}/tree`, `web@localhost:${there}/`]),
  ).toMatchObject({ code: 0, stderr: '' })
  expect(
    await run('rsync', ['-a', '-e', shell(), `web@localhost:${there}/tree/`, `${here}/back/`]),
  ).toMatchObject({ code: 0, stderr: '' })
  expect(readFileSync(join(here, 'back/sub/f')).equals(content)).toBe(true)
  const verbs = (await commands()).map(({ started }) => started.statement!.verbs)
  expect(verbs[0]).toContain('ssh:rsync-receive')
  expect(verbs[1]).toContain('ssh:rsync-send')
  const denied = await run('rsync', [
    '-a',
    '-e',
    shell(),
    `web@localhost:${there}/secret/key`,
    `${here}/`,
  ])
  expect(denied.code).not.toBe(0)
  expect(existsSync(join(here, 'key'))).toBe(false)
})

test('git clone and push', async () => {
  const git = (...words: string[]) =>
    under.run('git', words, {
      token,
      environment: {
        GIT_SSH_COMMAND: shell(),
        GIT_AUTHOR_NAME: 'ada',
        GIT_AUTHOR_EMAIL: 'ada@example.com',
        GIT_COMMITTER_NAME: 'ada',
        GIT_COMMITTER_EMAIL: 'ada@example.com',
        GIT_CONFIG_COUNT: '1',
        GIT_CONFIG_KEY_0: 'safe.directory',
        GIT_CONFIG_VALUE_0: '*',
      },
    })
  execFileSync('git', ['init', '-q', '--bare', '-b', 'main', join(there, 'r.git')])
  const clone = join(here, 'clone')
  expect((await git('clone', '-q', `ssh://web@localhost${there}/r.git`, clone)).code).toBe(0)
  writeFileSync(join(clone, 'file'), 'content')
  expect((await git('-C', clone, 'add', '.')).code).toBe(0)
  expect((await git('-C', clone, 'commit', '-q', '-m', 'first')).code).toBe(0)
  const pushed = await git('-C', clone, 'push', '-q', 'origin', 'HEAD:main')
  expect([pushed.code, pushed.stderr]).toEqual([0, ''])
  expect(execFileSync('git', ['-C', join(there, 'r.git'), 'show', 'main:file']).toString()).toBe(
    'content',
  )
  const found = (await commands()).map(({ started }) => started.statement!)
  expect(found.map(({ verbs }) => verbs.filter((verb) => verb.startsWith('git:')))).toEqual([
    ['git:upload-pack'],
    ['git:receive-pack'],
  ])
  expect(found[1]!.objects).toContainEqual({
    kind: 'repository',
    name: `${there}/r.git`,
    verb: 'git:receive-pack',
  })
})

test('a server of files started by its name is followed like the subsystem', async () => {
  const ran = await run(
    'sftp',
    ['-q', '-s', '/usr/lib/openssh/sftp-server', ...under.options(port), 'web@localhost'],
    `-get ${there}/secret/key ${here}/key\nls ${there}\n`,
  )
  expect(ran.code).toBe(0)
  expect(existsSync(join(here, 'key'))).toBe(false)
  await commandOf(`opendir ${there}`)
})
