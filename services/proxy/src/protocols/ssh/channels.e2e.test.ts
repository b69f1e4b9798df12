/** What people do over SSH besides single commands, with the programs that they do it with, unchanged. */

import { createHash, randomBytes } from 'node:crypto'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { connect, createServer, type Server } from 'node:net'
import { join } from 'node:path'
import { freePort } from '@custody/kit'
import type { Event } from '@custody/schemas'
import type { SshServer } from '@custody/ssh-server'
import { until } from '@custody/test-support'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { type SshUnderTest, sshUnderTest } from './ssh-under-test'

const sha256 = (bytes: Buffer) => createHash('sha256').update(bytes).digest('hex')

/** Echoes each line in capitals. */
async function shouting(): Promise<{ server: Server; port: number }> {
  const server = createServer((socket) => {
    socket.on('error', () => {})
    socket.on('data', (chunk) => socket.write(chunk.toString().toUpperCase()))
    socket.on('end', () => socket.end())
  })
  const port = await freePort()
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve))
  return { server, port }
}

function ask(port: number, text: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true })
    let got = ''
    socket.on('data', (chunk) => {
      got += chunk
    })
    socket.once('error', reject)
    socket.once('end', () => resolve(got))
    socket.end(text)
  })
}

describe('programs over SSH', () => {
  let gateway: SshUnderTest
  let target: SshServer
  let port: number
  let token: string
  let command: string
  const at = (...names: string[]) => join(gateway.directory, ...names)
  beforeAll(async () => {
    gateway = sshUnderTest('ssh-channels')
    target = await gateway.target({ settings: ['ClientAliveInterval 1'] })
    ;({ port } = await gateway.start({ target }))
    token = await gateway.token({ subject: 'ada', groups: ['dev'] })
    command = ['ssh', ...gateway.options(port)].join(' ')
  })
  afterAll(() => gateway.stop())

  const commands = async (): Promise<Event[]> =>
    (await gateway.events()).filter(({ kind }) => kind === 'command.started')
  const completionOf = async (text: string): Promise<Event> =>
    until(async () => {
      const events = await gateway.events()
      const started = events.find(
        ({ kind, statement }) => kind === 'command.started' && statement?.text.includes(text),
      )
      return events.find(
        ({ kind, command: of }) =>
          kind === 'command.completed' && started?.command && of?.equals(started.command),
      )
    })

  test.each([
    ['sftp’s own', []],
    ['the old protocol', ['-O']],
  ])('scp both ways: %s', async (_, flags) => {
    const bytes = randomBytes(5_000_000)
    const name = `scp${flags.length}`
    writeFileSync(at(name), bytes)
    const options = gateway.options(port)
    const up = await gateway.run(
      'scp',
      [...flags, ...options, at(name), `web@localhost:${at(`${name}.up`)}`],
      { token },
    )
    expect([up.code, up.stderr]).toEqual([0, ''])
    expect(readFileSync(at(`${name}.up`)).equals(bytes)).toBe(true)
    const down = await gateway.run(
      'scp',
      [...flags, ...options, `web@localhost:${at(`${name}.up`)}`, at(`${name}.down`)],
      { token },
    )
    expect([down.code, down.stderr]).toEqual([0, ''])
    expect(readFileSync(at(`${name}.down`)).equals(bytes)).toBe(true)
    const events = await gateway.events()
    const moved = events.filter(
      ({ kind, statement }) =>
        kind === 'command.started' &&
        statement!.objects.some(
          (one) => one.name === at(`${name}.up`) && /load$/.test(one.verb ?? ''),
        ),
    )
    expect(moved.map(({ statement }) => statement!.verbs)).toEqual(
      expect.arrayContaining([
        expect.arrayContaining(['ssh:upload']),
        expect.arrayContaining(['ssh:download']),
      ]),
    )
  })

  test('rsync there and back', async () => {
    mkdirSync(at('tree', 'deep'), { recursive: true })
    writeFileSync(at('tree', 'one'), randomBytes(300_000))
    writeFileSync(at('tree', 'deep', 'two'), 'two')
    const there = await gateway.run(
      'rsync',
      ['-a', '-e', command, `${at('tree')}/`, `web@localhost:${at('copy')}/`],
      { token },
    )
    expect([there.code, there.stderr]).toEqual([0, ''])
    const back = await gateway.run(
      'rsync',
      ['-a', '-e', command, `web@localhost:${at('copy')}/`, `${at('again')}/`],
      { token },
    )
    expect([back.code, back.stderr]).toEqual([0, ''])
    expect(sha256(readFileSync(at('again', 'one')))).toBe(sha256(readFileSync(at('tree', 'one'))))
    const verbs = (await commands()).flatMap(({ statement }) => statement!.verbs)
    expect(verbs).toEqual(expect.arrayContaining(['ssh:rsync-receive', 'ssh:rsync-send']))
  })

  test('git clones and pushes', async () => {
    const git = (words: string[]) =>
      gateway.run('git', words, {
        token,
        environment: {
          GIT_SSH_COMMAND: command,
          GIT_CONFIG_NOSYSTEM: '1',
          GIT_TERMINAL_PROMPT: '0',
        },
      })
    expect((await git(['init', '-q', '--bare', at('origin.git')])).code).toBe(0)
    const cloned = await git(['clone', '-q', `ssh://web@localhost${at('origin.git')}`, at('work')])
    expect([cloned.code]).toEqual([0])
    writeFileSync(at('work', 'file'), 'x')
    const who = ['-c', 'user.name=a', '-c', 'user.email=a@b']
    expect((await git(['-C', at('work'), 'add', '.'])).code).toBe(0)
    expect((await git(['-C', at('work'), ...who, 'commit', '-qm', 'one'])).code).toBe(0)
    const pushed = await git(['-C', at('work'), 'push', '-q', 'origin', 'HEAD:main'])
    expect([pushed.code, pushed.stderr]).toEqual([0, ''])
    const verbs = (await commands()).flatMap(({ statement }) => statement!.verbs)
    expect(verbs).toEqual(expect.arrayContaining(['git:upload-pack', 'git:receive-pack']))
  })

  test('a local forward carries bytes both ways, and is a command with their digests', async () => {
    const there = await shouting()
    const local = await freePort()
    const child = gateway.spawn(
      'ssh',
      [
        ...gateway.options(port),
        '-N',
        '-o',
        'ExitOnForwardFailure=yes',
        '-L',
        `${local}:127.0.0.1:${there.port}`,
        'web@localhost',
      ],
      { token },
    )
    const said = await until(() => ask(local, 'hello').catch(() => null))
    expect(said).toBe('HELLO')
    const { response } = await completionOf(`direct-tcpip 127.0.0.1:${there.port}`)
    expect(response).toMatchObject({ status: 'ok' })
    expect(response!.digest!.toString('hex')).toBe(sha256(Buffer.from('HELLO')))
    expect(response!.inputDigest!.toString('hex')).toBe(sha256(Buffer.from('hello')))
    child.kill()
    there.server.close()
  })

  test('a dynamic forward (SOCKS) is a forward to each place', async () => {
    const there = await shouting()
    const local = await freePort()
    const child = gateway.spawn(
      'ssh',
      [...gateway.options(port), '-N', '-D', String(local), 'web@localhost'],
      { token },
    )
    const said = await until(
      () =>
        new Promise<string | null>((resolve) => {
          const socket = connect({ port: local, host: '127.0.0.1' })
          let got = Buffer.alloc(0)
          socket.once('error', () => resolve(null))
          socket.once('close', () => resolve(null))
          socket.on('data', (chunk) => {
            got = Buffer.concat([got, chunk])
            if (got.length === 2) {
              const to = Buffer.from([5, 1, 0, 1, 127, 0, 0, 1, 0, 0])
              to.writeUInt16BE(there.port, 8)
              socket.write(to)
            } else if (got.length === 12) socket.write('socks')
            else if (got.length === 17) {
              resolve(got.subarray(12).toString())
              socket.destroy()
            }
          })
          socket.write(Buffer.from([5, 1, 0]))
        }),
    )
    expect(said).toBe('SOCKS')
    await completionOf(`direct-tcpip 127.0.0.1:${there.port}`)
    child.kill()
    there.server.close()
  })

  test('a remote forward brings connections back, each a command', async () => {
    const here = await shouting()
    const far = await freePort()
    const child = gateway.spawn(
      'ssh',
      [
        ...gateway.options(port),
        '-N',
        '-o',
        'ExitOnForwardFailure=yes',
        '-R',
        `127.0.0.1:${far}:127.0.0.1:${here.port}`,
        'web@localhost',
      ],
      { token },
    )
    const said = await until(() => ask(far, 'back').catch(() => null))
    expect(said).toBe('BACK')
    const { response } = await completionOf(`forwarded-tcpip 127.0.0.1:${far}`)
    // What the client sends is its input, whoever opened the connection.
    expect(response!.inputDigest!.toString('hex')).toBe(sha256(Buffer.from('BACK')))
    child.kill()
    expect((await completionOf(`tcpip-forward 127.0.0.1:${far}`)).response).toMatchObject({
      status: 'ok',
    })
    here.server.close()
  })

  test('many channels on one connection (ControlMaster)', async () => {
    const control = at('control')
    const options = [...gateway.options(port), '-o', `ControlPath=${control}`]
    const master = gateway.spawn(
      'ssh',
      [...options, '-o', 'ControlMaster=yes', '-N', 'web@localhost'],
      { token },
    )
    await until(
      async () =>
        (await gateway.run('ssh', [...options, '-O', 'check', 'web@localhost'])).code === 0,
    )
    const before = (await gateway.events()).filter(({ kind }) => kind === 'session.opened').length
    const ran = await Promise.all(
      Array.from({ length: 12 }, (_, i) =>
        gateway.run('ssh', [...options, 'web@localhost', `echo channel ${i}`]),
      ),
    )
    expect(ran.map(({ stdout }) => stdout.toString())).toEqual(ran.map((_, i) => `channel ${i}\n`))
    const after = (await gateway.events()).filter(({ kind }) => kind === 'session.opened').length
    expect(after).toBe(before)
    await gateway.run('ssh', [...options, '-O', 'exit', 'web@localhost'])
    master.kill()
  })

  test('ssh -J through the gateway to a resource of it: two sessions, one within the other', async () => {
    const config = at('jump-config')
    writeFileSync(
      config,
      `Host gw\n  HostName localhost\n  Port ${port}\nHost web\n  User web\nHost *\n  UserKnownHostsFile ${at('known_hosts')}\n  GlobalKnownHostsFile none\n  StrictHostKeyChecking yes\n  NumberOfPasswordPrompts 1\n  PreferredAuthentications password\n  LogLevel ERROR\n`,
    )
    const ran = await gateway.run('ssh', ['-F', config, '-J', 'gw', 'web', 'echo jumped'], {
      token,
    })
    expect([ran.code, ran.stdout.toString()]).toEqual([0, 'jumped\n'])
    const events = await gateway.events()
    const inner = events.find(
      ({ kind, statement }) => kind === 'command.started' && statement!.text === 'echo jumped',
    )!
    const outer = events.find(({ statement }) => statement?.text === 'direct-tcpip web:22')!
    expect(inner.path!.via).toEqual([`ssh session ${outer.session!.toString('hex')}`])
    expect(inner.session!.equals(outer.session!)).toBe(false)
  })

  test('what is no resource is told so, in words', async () => {
    const ran = await gateway.run('ssh', [...gateway.options(port), 'nothing@localhost', 'true'], {
      token,
    })
    expect(ran.code).toBe(255)
    expect(ran.stderr).toContain('CUSTODY-ACCESS-002')
  })

  test('an account that the resource does not allow is refused before anything opens', async () => {
    const ran = await gateway.run(
      'ssh',
      [...gateway.options(port), '-l', 'other@web', 'localhost', 'true'],
      { token },
    )
    expect(ran.code).toBe(255)
    expect(ran.stderr).toContain('CUSTODY-SSH-002')
  })

  test('variables that are allowed arrive, others do not', async () => {
    const ran = await gateway.run(
      'ssh',
      [
        ...gateway.options(port),
        '-o',
        'SetEnv=LC_TEST=yes OTHER=no',
        'web@localhost',
        'echo "$LC_TEST-$OTHER"',
      ],
      { token },
    )
    expect(ran.stdout.toString()).toBe('yes-\n')
  })

  test('a signal that ends a command is told as one', async () => {
    const ran = await gateway.run(
      'ssh',
      [...gateway.options(port), 'web@localhost', 'kill -TERM $$'],
      { token },
    )
    expect(ran.code).toBe(255)
    expect((await completionOf('kill -TERM $$')).response).toMatchObject({
      status: 'error',
      code: 'SIGTERM',
    })
  })

  test('a terminal’s size and its changes arrive', async () => {
    const ran = await gateway.terminal(
      [...gateway.options(port), 'web@localhost', 'stty size; read go; echo done'],
      [[/\d+ \d+/, '\n']],
      { token },
    )
    expect([ran.code]).toEqual([0])
    expect(ran.stdout.toString()).toContain('done')
  })

  test('the half-close of each side arrives: a filter that answers at the end', async () => {
    const input = randomBytes(100_000)
    const ran = await gateway.run(
      'ssh',
      [...gateway.options(port), 'web@localhost', 'sleep 0.2; cat; exec >&-; sleep 0.2; exit 4'],
      { token, input },
    )
    expect(ran.code).toBe(4)
    expect(ran.stdout.equals(input)).toBe(true)
  })

  test('keys are exchanged anew while much goes both ways', async () => {
    const input = randomBytes(8_000_000)
    const ran = await gateway.run(
      'ssh',
      [...gateway.options(port), '-o', 'RekeyLimit=1M', 'web@localhost', 'cat'],
      { token, input },
    )
    expect([ran.code, sha256(ran.stdout)]).toEqual([0, sha256(input)])
  })

  test('a reader that is slow holds back who sends', async () => {
    const child = gateway.spawn(
      'ssh',
      [...gateway.options(port), 'web@localhost', 'head -c 60000000 /dev/zero | tee >(wc -c >&2)'],
      { token },
    )
    child.stdout!.pause()
    let errors = ''
    child.stderr!.on('data', (chunk) => {
      errors += chunk
    })
    await new Promise((resolve) => setTimeout(resolve, 3000))
    // The target could not write it all: what is on the way is bounded.
    expect(errors).toBe('')
    let bytes = 0
    child.stdout!.on('data', (chunk: Buffer) => {
      bytes += chunk.length
    })
    child.stdout!.resume()
    await new Promise((resolve) => child.once('close', resolve))
    expect(bytes).toBe(60_000_000)
  })
})
