/**
 * What leads back to the client, or past commands: its agent, its X11 display, sockets of the target. Off unless the resource
 * has it, policed where it does, and each connection of it a command.
 */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { connect, createServer, type Server } from 'node:net'
import { join } from 'node:path'
import type { Event } from '@custody/schemas'
import { makeKey, type SshServer } from '@custody/ssh-server'
import { until } from '@custody/test-support'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { type SshUnderTest, sshUnderTest } from './ssh-under-test'

const ALL = `    allow: [exec, shell, pty, subsystem, forward-local, forward-remote, forward-socket, agent, x11]\n`
const POLICY = `
@id("all") permit (principal, action, resource);
@id("agent") @reason("no agents here")
forbid (principal, action in [Action::"ssh:agent", Action::"ssh:x11"], resource) when { principal in Group::"plain" };
@id("sockets") @reason("not this socket")
forbid (principal, action == Action::"ssh:forward-socket", resource) when { context has object && context.object.name like "*/secret.sock" };
`

let gateway: SshUnderTest
let target: SshServer
let port: number
let token: string
/** Of somebody whom the policies let have none of it. */
let plain: string
let agent: ChildProcess
let fingerprint: string
const at = (...names: string[]) => join(gateway.directory, ...names)

beforeAll(async () => {
  gateway = sshUnderTest('ssh-forwarding')
  // What sshd would tell xauth is kept here instead.
  writeFileSync(at('xauth'), `#!/bin/sh\ncat >> '${at('xauth-said')}'\n`, { mode: 0o700 })
  target = await gateway.target({
    settings: ['X11Forwarding yes', 'X11UseLocalhost yes', `XAuthLocation ${at('xauth')}`],
  })
  writeFileSync(at('policy.cedar'), POLICY)
  const one = (name: string, more: string) => `
  ${name}:
    protocol: ssh
    address: 127.0.0.1:${target.port}
    account: ${target.account}
    privateKey: { file: ${target.keyFile} }
    hostKeys: [${target.hostKeys.map((key) => JSON.stringify(key)).join(', ')}]
${more}`
  ;({ port } = await gateway.start({
    resources: one('web', ALL) + one('bare', ''),
    more: `policy: {files: [${at('policy.cedar')}]}\n`,
  }))
  token = await gateway.token({ subject: 'ada' })
  plain = await gateway.token({ subject: 'bo', groups: ['plain'] })
  makeKey(at('agent-key'))
  agent = spawn('ssh-agent', ['-D', '-a', at('agent.sock')], { stdio: 'ignore' })
  await until(() => existsSync(at('agent.sock')))
  execFileSync('ssh-add', ['-q', at('agent-key')], {
    env: { ...process.env, SSH_AUTH_SOCK: at('agent.sock') },
    stdio: 'ignore',
  })
  fingerprint = execFileSync('ssh-keygen', ['-lf', at('agent-key.pub')])
    .toString()
    .split(' ')[1]!
})
afterAll(async () => {
  agent?.kill()
  await gateway.stop()
})

const ssh = (
  words: string[],
  line: string,
  {
    resource = 'web',
    environment = {},
    as = token,
  }: { resource?: string; as?: string; environment?: NodeJS.ProcessEnv } = {},
) =>
  gateway.run('ssh', [...gateway.options(port), ...words, `${resource}@localhost`, line], {
    token: as,
    environment,
  })

/** Events of the session that ran last. */
async function last(): Promise<Event[]> {
  const all = await gateway.events()
  const { session } = all.findLast(({ kind }) => kind === 'session.opened')!
  return all.filter((one) => one.session?.equals(session!))
}
const verbs = (events: Event[], kind = 'command.started') =>
  events.flatMap((one) => (one.kind === kind ? one.statement!.verbs : []))

describe('an agent', () => {
  const environment = () => ({ SSH_AUTH_SOCK: at('agent.sock') })
  const LIST = 'test -n "$SSH_AUTH_SOCK" && ssh-add -l; echo "$?"'

  test('is not forwarded where the resource does not allow it', async () => {
    const ran = await ssh(['-A'], LIST, { resource: 'bare', environment: environment() })
    expect([ran.code, ran.stdout.toString()]).toEqual([0, '1\n'])
    expect(verbs(await last())).not.toContain('ssh:agent')
  })

  test('is where it does; each connection to it is a command whose words are not kept', async () => {
    const ran = await ssh(['-A'], LIST, { environment: environment() })
    expect(ran.stdout.toString()).toContain(fingerprint)
    const events = await last()
    const command = events.find(
      ({ kind, statement }) => kind === 'command.started' && statement!.verbs.includes('ssh:agent'),
    )!
    await until(async () =>
      (await last()).some(
        ({ kind, command: of }) => kind === 'command.completed' && of!.equals(command.id),
      ),
    )
    expect(
      (await last()).filter(
        ({ kind, command: of, output }) =>
          kind === 'output' && of?.equals(command.id) && output!.data.length > 0,
      ),
    ).toEqual([])
  })

  test('is not without being asked for, nor where a policy forbids it', async () => {
    expect((await ssh([], LIST, { environment: environment() })).stdout.toString()).toBe('1\n')
    const ran = await ssh(['-A'], LIST, {
      as: plain,
      environment: environment(),
    })
    expect([ran.code, ran.stdout.toString()]).toEqual([0, '1\n'])
    const events = await last()
    expect(verbs(events)).not.toContain('ssh:agent')
    expect(verbs(events, 'command.blocked')).toEqual(['ssh:agent'])
  })
})

describe('X11', () => {
  /** A display that answers every client's greeting with a refusal in words, as a real one may. */
  let display: Server
  let number: number
  let greetings: Buffer[]
  const FAILED = Buffer.concat([Buffer.from([0, 6, 11, 0, 0, 0, 2, 0]), Buffer.from('no here\0')])

  beforeAll(async () => {
    display = createServer((socket) => {
      socket.on('error', () => {})
      socket.once('data', (greeting) => {
        greetings.push(greeting)
        socket.end(FAILED)
      })
    })
    for (number = 40; ; number++) {
      const isFree = await new Promise<boolean>((resolve) => {
        display.once('error', () => resolve(false))
        display.listen(6000 + number, '127.0.0.1', () => resolve(true))
      })
      if (isFree) break
    }
  })
  beforeEach(() => {
    greetings = []
  })
  afterAll(() => {
    display.close()
  })

  /** A program at the target that greets the display as Xlib does, with the secret that sshd told xauth. */
  const program = () => {
    writeFileSync(
      at('greet.js'),
      `const said = require('fs').readFileSync(${JSON.stringify(at('xauth-said'))}, 'latin1')
const display = process.env.DISPLAY
const cookie = Buffer.from(said.trim().split('\\n').filter((line) => line.startsWith('add')).at(-1).split(' ').at(-1), 'hex')
const name = Buffer.from('MIT-MAGIC-COOKIE-1\\0\\0')
const socket = require('net').connect(6000 + Number(/:(\\d+)/.exec(display)[1]), '127.0.0.1')
socket.write(Buffer.concat([Buffer.from([0x6c, 0, 11, 0, 0, 0, 18, 0, 16, 0, 0, 0]), name, cookie]))
let got = Buffer.alloc(0)
socket.on('data', (chunk) => { got = Buffer.concat([got, chunk]) })
socket.on('error', () => {})
socket.on('close', () => console.log(got.toString('hex')))
`,
    )
    return `test -n "$DISPLAY" && ${process.execPath} ${at('greet.js')}; echo "$?"`
  }
  const words = () => ['-Y', '-o', `XAuthLocation=${at('xauth')}`]
  const environment = () => ({ DISPLAY: `127.0.0.1:${number}` })

  test('is not forwarded where the resource does not allow it', async () => {
    const ran = await ssh(words(), program(), { resource: 'bare', environment: environment() })
    expect(ran.stdout.toString()).toBe('1\n')
    expect(greetings).toEqual([])
    expect(verbs(await last())).not.toContain('ssh:x11')
  })

  test('is where it does, with both sides’ bytes in the record', async () => {
    const ran = await ssh(words(), program(), { environment: environment() })
    expect(ran.stdout.toString()).toBe(`${FAILED.toString('hex')}\n0\n`)
    expect(greetings).toHaveLength(1)
    const events = await last()
    const command = events.find(
      ({ kind, statement }) => kind === 'command.started' && statement!.verbs.includes('ssh:x11'),
    )!
    await until(async () =>
      (await last()).some(
        ({ kind, command: of, response }) =>
          kind === 'command.completed' &&
          of!.equals(command.id) &&
          // What the display says is what the client sends.
          Number(response!.inputBytes) === FAILED.length &&
          Number(response!.bytes) === 48,
      ),
    )
  })

  test('is not where a policy forbids it', async () => {
    const ran = await ssh(words(), program(), {
      as: plain,
      environment: environment(),
    })
    expect(ran.stdout.toString()).toBe('1\n')
    expect(greetings).toEqual([])
    expect(verbs(await last(), 'command.blocked')).toEqual(['ssh:x11'])
  })
})

describe('sockets of the target', () => {
  const servers: Server[] = []
  beforeAll(async () => {
    for (const name of ['open.sock', 'secret.sock']) {
      const server = createServer((socket) => {
        socket.on('error', () => {})
        socket.on('data', (chunk) => socket.write(`${name} ${chunk}`))
        socket.on('end', () => socket.end())
      })
      await new Promise<void>((resolve) => server.listen(at(name), resolve))
      servers.push(server)
    }
  })
  afterAll(() => {
    for (const server of servers) server.close()
  })

  function ask(path: string): Promise<string> {
    return new Promise((resolve, reject) => {
      const socket = connect(path)
      let got = ''
      socket.on('data', (chunk) => {
        got += chunk
      })
      socket.once('error', reject)
      socket.once('close', () => resolve(got))
      socket.end('hello')
    })
  }

  async function forwarded(resource: string, name: string): Promise<string> {
    const local = at(`${resource}-${name}`)
    const child = gateway.spawn(
      'ssh',
      [
        ...gateway.options(port),
        '-N',
        '-o',
        'StreamLocalBindUnlink=yes',
        '-L',
        `${local}:${at(name)}`,
        `${resource}@localhost`,
      ],
      { token },
    )
    try {
      await until(() => existsSync(local))
      return await ask(local).catch((error) => `${error.code}`)
    } finally {
      child.kill()
    }
  }

  test('are not led to where the resource does not allow it', async () => {
    expect(await forwarded('bare', 'open.sock')).not.toContain('open.sock')
    expect(verbs(await last())).toEqual([])
    // That somebody tried is.
    await until(async () => (await last()).some(({ kind }) => kind === 'command.blocked'))
    const blocked = (await last()).find(({ kind }) => kind === 'command.blocked')!
    expect(blocked.statement!.text).toBe(`direct-streamlocal ${at('open.sock')}`)
    expect(blocked.decision!.policies).toEqual(['custody.resource'])
  })

  test('are where it does, each connection a command; not to one that a policy forbids', async () => {
    expect(await forwarded('web', 'open.sock')).toBe('open.sock hello')
    await until(async () => verbs(await last()).includes('ssh:forward-socket'))
    const started = (await last()).find(({ kind }) => kind === 'command.started')!
    expect(started.statement!.objects).toEqual([
      expect.objectContaining({ kind: 'path', name: at('open.sock') }),
    ])
    expect(await forwarded('web', 'secret.sock')).not.toContain('hello')
    await until(async () => (await last()).some(({ kind }) => kind === 'command.blocked'))
    const blocked = (await last()).find(({ kind }) => kind === 'command.blocked')!
    expect(blocked.decision!.reason).toContain('not this socket')
  })

  test('the other way round is not had', async () => {
    const ran = await gateway.run(
      'ssh',
      [
        ...gateway.options(port),
        '-N',
        '-o',
        'ExitOnForwardFailure=yes',
        '-R',
        `${at('back.sock')}:${at('open.sock')}`,
        'web@localhost',
      ],
      { token },
    )
    expect(ran.code).toBe(255)
    expect(existsSync(at('back.sock'))).toBe(false)
  })
})

test('nothing of it was left open', async () => {
  let counts: number[] = []
  await until(async () => {
    const events = await gateway.events()
    const count = (kind: string) => events.filter((event) => event.kind === kind).length
    counts = [
      count('command.started') - count('command.completed'),
      count('session.opened') - count('session.closed'),
    ]
    return counts.every((one) => one === 0)
  })
  expect(counts).toEqual([0, 0])
  expect(readFileSync(at('policy.cedar'), 'utf8')).toBe(POLICY)
})
