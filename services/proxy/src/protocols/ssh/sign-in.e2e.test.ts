/** Every way in, with OpenSSH's own client and ssh-keygen, and every way in that is none. */
import { execFileSync } from 'node:child_process'
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { join } from 'node:path'
import {
  issueUserCertificate,
  Locks,
  loadSshAuthority,
  revokeToken,
  type SshAuthority,
} from '@custody/identity'
import type { Event } from '@custody/schemas'
import { type KeyType, makeKey, type SshServer } from '@custody/ssh-server'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import type { Proxy as RunningProxy } from '../../proxy'
import { type Ran, type SshUnderTest, sshUnderTest } from './ssh-under-test'

let gateway: SshUnderTest
let target: SshServer
let proxy: RunningProxy
let port: number
let authority: SshAuthority
const at = (...names: string[]) => join(gateway.directory, ...names)
const ADA = {
  subject: 'ada',
  issuer: 'custody:local',
  email: 'ada@example.com',
  name: null,
  groups: ['dev'],
  kind: 'human',
  authenticatedAt: null,
}

beforeAll(async () => {
  gateway = sshUnderTest('ssh-sign-in')
  target = await gateway.target()
  const theirs = makeKey(at('their-authority'))
  const known = makeKey(at('known-key'), 'ecdsa')
  ;({ proxy, port } = await gateway.start({
    target,
    resource: '    allow: [exec, shell, pty, subsystem, forward-local, forward-remote, agent]\n',
    more: `
limits: {handshakeMsMax: 20000}
ssh:
  userAuthorities:
    - publicKey: ${theirs}
      issuer: corp
      principals:
        grace: {subject: grace@corp, groups: [ops]}
        nobody-here: {subject: other}
  publicKeys:
    - {publicKey: ${known}, subject: robot, kind: service, groups: [jobs]}
`,
  }))
  authority = loadSshAuthority(gateway.home)
})
afterAll(() => gateway.stop())

function byKey(key: string, command: string, words: string[] = []): Promise<Ran> {
  return gateway.run('ssh', [
    ...gateway.options(port, 'publickey'),
    '-i',
    key,
    ...words,
    'web@localhost',
    command,
  ])
}

/** A key of this type with a certificate of Custody's own. */
function certified(
  name: string,
  type: KeyType = 'ed25519',
  more: Partial<Parameters<typeof issueUserCertificate>[1]> = {},
) {
  const publicKey = makeKey(at(name), type)
  const issued = issueUserCertificate(authority, { publicKey, who: ADA, ttlSeconds: 600, ...more })
  writeFileSync(at(`${name}-cert.pub`), `${issued.certificate}\n`)
  return issued
}

/** One made by ssh-keygen, of an authority that the settings name. */
function theirs(name: string, words: string[], signer = 'their-authority'): string {
  makeKey(at(name))
  execFileSync('ssh-keygen', ['-q', '-s', at(signer), '-I', name, ...words, at(`${name}.pub`)], {
    stdio: 'ignore',
  })
  return at(name)
}

async function last(kind: string): Promise<Event> {
  return (await gateway.events()).filter((event) => event.kind === kind).at(-1)!
}

describe('a token', () => {
  test('as password, and as the answer to a question', async () => {
    const token = await gateway.token({ subject: 'ada' })
    for (const method of ['password', 'keyboard-interactive']) {
      const ran = await gateway.run(
        'ssh',
        [...gateway.options(port, method), 'web@localhost', `echo ${method}`],
        { token },
      )
      expect([ran.code, ran.stdout.toString()]).toEqual([0, `${method}\n`])
      expect((await last('access.sign-in')).access).toMatchObject({ credential: 'custody-token' })
    }
  })

  test.each([
    ['nonsense', 'CUSTODY-TOKEN-002'],
    ['', 'CUSTODY-TOKEN-002'],
  ])('%j is refused, in words and in the record', async (token, code) => {
    const ran = await gateway.run('ssh', [...gateway.options(port), 'web@localhost', 'true'], {
      token,
    })
    expect(ran.code).toBe(255)
    expect(ran.stderr).toContain('Permission denied')
    expect((await last('access.refused')).access).toMatchObject({ code })
  })
})

describe('certificates of Custody’s own authority', () => {
  test.each(['ed25519', 'ecdsa', 'rsa'] as const)('for a key of type %s', async (type) => {
    const { id } = certified(`own-${type}`, type)
    const ran = await byKey(at(`own-${type}`), `echo ${type}`)
    expect([ran.code, ran.stdout.toString(), ran.stderr]).toEqual([0, `${type}\n`, ''])
    expect((await last('access.sign-in')).access).toMatchObject({
      credential: 'ssh-certificate',
      tokenId: id,
    })
    expect((await last('session.opened')).who).toMatchObject({
      subject: 'ada',
      groups: ['dev'],
      email: 'ada@example.com',
    })
  })

  test('through an agent', async () => {
    certified('in-agent')
    const socket = at('agent.sock')
    const agent = gateway.spawn('ssh-agent', ['-D', '-a', socket])
    for (let i = 0; i < 200 && !existsSync(socket); i++) await new Promise((r) => setTimeout(r, 25))
    const environment = { SSH_AUTH_SOCK: socket }
    await gateway.run('ssh-add', ['-q', at('in-agent')], { environment })
    const ran = await gateway.run(
      'ssh',
      [
        ...gateway
          .options(port, 'publickey')
          .map((word) => word.replace('IdentitiesOnly=yes', 'IdentitiesOnly=no')),
        'web@localhost',
        'echo agent',
      ],
      { environment },
    )
    expect([ran.code, ran.stdout.toString()]).toEqual([0, 'agent\n'])
    agent.kill()
  })

  test('one that was revoked is refused; so is one whose token was, and of who is locked', async () => {
    const { id } = certified('revoked')
    certified('made-of', 'ed25519', { madeOf: 'some-token' })
    certified('locked', 'ed25519', { who: { ...ADA, subject: 'mallory', email: null } })
    expect((await byKey(at('revoked'), 'true')).code).toBe(0)
    revokeToken(gateway.home, id)
    revokeToken(gateway.home, 'some-token')
    new Locks(gateway.home).add('mallory', { by: 'test', reason: null, since: '' })
    for (const [name, code] of [
      ['revoked', 'CUSTODY-TOKEN-004'],
      ['made-of', 'CUSTODY-TOKEN-004'],
      ['locked', 'CUSTODY-TOKEN-005'],
    ] as const) {
      const ran = await byKey(at(name), 'true')
      expect([ran.code, name]).toEqual([255, name])
      expect((await last('access.refused')).access).toMatchObject({ code })
    }
  })

  test('from another address than it is for', async () => {
    certified('elsewhere', 'ed25519', { sourceAddress: '192.0.2.0/24' })
    expect((await byKey(at('elsewhere'), 'true')).code).toBe(255)
    expect((await last('access.refused')).access!.reason).toContain('other source addresses')
    certified('here', 'ed25519', { sourceAddress: '192.0.2.0/24,127.0.0.0/8,::1' })
    expect((await byKey(at('here'), 'true')).code).toBe(0)
  })

  test('the key of another certificate does not open it', async () => {
    certified('mine')
    makeKey(at('not-mine'))
    // Certificate of one, key of the other: the client signs with what it has.
    const ran = await byKey(at('not-mine'), 'true', [
      '-o',
      `CertificateFile=${at('mine-cert.pub')}`,
    ])
    expect(ran.code).toBe(255)
  })
})

describe('certificates of a customer’s authority', () => {
  test('who its principal is, the settings say', async () => {
    const ran = await byKey(theirs('grace', ['-n', 'grace', '-z', '7']), 'echo grace')
    expect([ran.code, ran.stdout.toString()]).toEqual([0, 'grace\n'])
    expect((await last('session.opened')).who).toMatchObject({
      subject: 'grace@corp',
      issuer: 'corp',
      groups: ['ops'],
      tokenId: 'corp#7',
    })
  })

  test.each<[string, string[], string, string]>([
    ['expired', ['-n', 'grace', '-V', '-2h:-1h'], 'it has expired', ''],
    ['early', ['-n', 'grace', '-V', '+1h:+2h'], 'it is not valid yet', ''],
    ['for nobody', [], 'it names nobody', ''],
    ['for a stranger', ['-n', 'stranger'], 'it is nobody’s who is known here', ''],
    ['for two', ['-n', 'grace,nobody-here'], 'its principals are several identities', ''],
    [
      'of a stranger’s authority',
      ['-n', 'grace'],
      'no authority that is trusted here made it',
      'stranger',
    ],
    [
      'with what nobody knows',
      ['-n', 'grace', '-O', 'critical:unheard-of=1'],
      '"unheard-of" is not known here',
      '',
    ],
    [
      'with verify-required',
      ['-n', 'grace', '-O', 'verify-required'],
      '"verify-required" is not known here',
      '',
    ],
    [
      'for elsewhere',
      ['-n', 'grace', '-O', 'source-address=192.0.2.7/32'],
      'it is for other source addresses',
      '',
    ],
  ])('%s: refused', async (name, words, reason, signer) => {
    if (signer) makeKey(at(signer))
    const key = theirs(name.replace(/\W/g, '-'), words, signer || undefined)
    const ran = await byKey(key, 'true')
    expect(ran.code).toBe(255)
    const { access, who } = await last('access.refused')
    expect(access).toMatchObject({
      code: 'CUSTODY-SSH-001',
      reason: expect.stringContaining(reason),
    })
    expect(who).toBeNull()
  })

  test('force-command runs whatever is asked for', async () => {
    const key = theirs('forced', ['-n', 'grace', '-O', 'force-command=echo forced'])
    const ran = await byKey(key, 'rm -rf /nothing')
    expect([ran.code, ran.stdout.toString()]).toEqual([0, 'forced\n'])
    const { statement } = await last('command.started')
    expect(statement).toMatchObject({
      text: 'echo forced',
      attributes: { original: 'rm -rf /nothing' },
    })
    expect(target.ran()).not.toContain('rm -rf /nothing')
  })

  test('forced to be internal-sftp it serves files, whatever is asked for', async () => {
    const key = theirs('files', ['-n', 'grace', '-O', 'force-command=internal-sftp'])
    writeFileSync(at('sent'), 'some lines')
    const sftp = await gateway.run(
      'sftp',
      [...gateway.options(port, 'publickey'), ...['-i', key, '-b', '-', 'web@localhost']],
      { input: `put ${at('sent')} ${at('received')}\n` },
    )
    expect([sftp.code, sftp.stderr]).toEqual([0, ''])
    expect(readFileSync(at('received'), 'utf8')).toBe('some lines')
    const before = target.ran().length
    // What it is answered is a server of files that waits for its client to begin.
    const ran = await byKey(key, 'echo not what is forced')
    expect(ran.stdout.toString()).not.toContain('not what')
    expect(target.ran().slice(before).join()).not.toContain('echo')
    const { statement } = await last('command.started')
    expect(statement).toMatchObject({
      objects: [expect.objectContaining({ kind: 'subsystem', name: 'sftp' })],
      attributes: { original: 'echo not what is forced' },
    })
  })

  test('with options for internal-sftp, which may be all that keeps it from writing, it is refused', async () => {
    const key = theirs('read-only', ['-n', 'grace', '-O', 'force-command=internal-sftp -R'])
    const ran = await byKey(key, 'true')
    expect(ran.code).toBe(1)
    expect(ran.stderr).toContain('forces internal-sftp with options')
    expect(ran.stderr).toContain('CUSTODY-SSH-002')
    const { statement } = (await gateway.events()).findLast((event) => event.statement !== null)!
    expect(statement).toMatchObject({ text: 'internal-sftp -R', attributes: { original: 'true' } })
    expect(target.ran()).not.toContain('internal-sftp -R')
  })

  test('an authority that numbers nothing: its certificates are known by their keys', async () => {
    const key = theirs('unnumbered', ['-n', 'grace'])
    expect((await byKey(key, 'true')).code).toBe(0)
    const [, fingerprint] = execFileSync('ssh-keygen', ['-l', '-f', `${key}.pub`])
      .toString()
      .split(' ')
    expect((await last('session.opened')).who!.tokenId).toBe(`corp#${fingerprint}`)
  })

  test('without permit-pty no terminal, without permit-port-forwarding no forward', async () => {
    const key = theirs('few', ['-n', 'grace', '-O', 'clear'])
    const terminal = await byKey(key, 'tty || echo none', ['-tt'])
    expect(terminal.stderr).toContain('PTY allocation request failed')
    const forward = await gateway.run('ssh', [
      ...gateway.options(port, 'publickey'),
      '-i',
      key,
      '-W',
      `127.0.0.1:${target.port}`,
      'web@localhost',
    ])
    expect(forward.code).toBe(255)
    expect(forward.stderr).toContain('stdio forwarding failed')
  })
})

describe('keys', () => {
  test('one that the settings name stands for its identity; another is nobody’s', async () => {
    const ran = await byKey(at('known-key'), 'echo robot')
    expect([ran.code, ran.stdout.toString()]).toEqual([0, 'robot\n'])
    expect((await last('session.opened')).who).toMatchObject({
      subject: 'robot',
      kind: 'service',
      groups: ['jobs'],
      method: 'ssh-key',
    })
    makeKey(at('unknown-key'))
    expect((await byKey(at('unknown-key'), 'true')).code).toBe(255)
  })
})

describe('the gateway’s own host key', () => {
  test('is certified for the resource’s name, and is its own without certificates', async () => {
    const token = await gateway.token({ subject: 'ada' })
    const named = await gateway.run(
      'ssh',
      [...gateway.options(port), '-o', 'HostKeyAlias=web', 'web@localhost', 'echo named'],
      { token },
    )
    expect(named.stdout.toString()).toBe('named\n')
    const other = await gateway.run(
      'ssh',
      [...gateway.options(port), '-o', 'HostKeyAlias=somebody-else', 'web@localhost', 'true'],
      { token },
    )
    expect(other.code).toBe(255)
    const plain = await gateway.run(
      'ssh',
      [
        '-F',
        'none',
        '-p',
        String(port),
        '-o',
        `UserKnownHostsFile=${at('plain_hosts')}`,
        '-o',
        'StrictHostKeyChecking=accept-new',
        '-o',
        'HostKeyAlgorithms=ssh-ed25519',
        '-o',
        'NumberOfPasswordPrompts=1',
        'web@localhost',
        'echo plain',
      ],
      { token },
    )
    expect(plain.stdout.toString()).toBe('plain\n')
    expect(readFileSync(at('plain_hosts'), 'utf8')).toMatch(/^\[localhost\]:\d+ ssh-ed25519 /)
  })
})

describe('the target’s host key', () => {
  async function through(
    options: { hostKeys?: readonly KeyType[]; certifiedFor?: string[] },
    lines: (server: SshServer) => string,
  ) {
    const own = sshUnderTest('ssh-target-keys')
    const server = await own.target(options)
    const { port: its } = await own.start({
      resources: `
  web:
    protocol: ssh
    address: 127.0.0.1:${server.port}
    account: ${server.account}
    privateKey: {file: ${server.keyFile}}
${lines(server)}`,
    })
    const token = await own.token({ subject: 'ada' })
    return {
      own,
      server,
      ssh: (command: string) =>
        own.run('ssh', [...own.options(its), 'web@localhost', command], { token }),
    }
  }

  test('of any type that the settings name', async () => {
    for (const type of ['ed25519', 'ecdsa', 'rsa'] as const) {
      const { own, ssh } = await through(
        { hostKeys: [type] },
        (server) => `    hostKeys: [${JSON.stringify(server.hostKeys[0])}]`,
      )
      const ran = await ssh('echo fine')
      expect([type, ran.code, ran.stdout.toString()]).toEqual([type, 0, 'fine\n'])
      await own.stop()
    }
  })

  test('another than the settings name: nothing is sent, loudly', async () => {
    const { own, server, ssh } = await through(
      {},
      () => `    hostKeys: ["${makeKey(at('another-host'))}"]`,
    )
    const ran = await ssh('echo never')
    expect(ran.code).toBe(255)
    expect(ran.stderr).toContain('THE HOST KEY OF "web" IS NOT THE ONE EXPECTED')
    expect(ran.stderr).toContain('CUSTODY-SSH-003')
    expect(server.ran()).toEqual([])
    const events = await own.events()
    expect(events.find(({ kind }) => kind === 'alert.host-key-changed')).toBeDefined()
    expect(
      events.find(
        ({ kind, access }) => kind === 'access.refused' && access!.code === 'CUSTODY-SSH-003',
      ),
    ).toBeDefined()
    expect(events.find(({ kind }) => kind === 'command.completed')?.response).toMatchObject({
      status: 'skipped',
    })
    await own.stop()
  })

  test('certified by an authority that the settings name', async () => {
    const good = await through(
      { certifiedFor: ['127.0.0.1'] },
      (server) => `    hostKeyCa: ["${server.authority}"]`,
    )
    const ran = await good.ssh('echo certified')
    expect([ran.code, ran.stdout.toString(), ran.stderr]).toEqual([0, 'certified\n', ''])
    await good.own.stop()
    const other = await through(
      { certifiedFor: ['elsewhere'] },
      (server) => `    hostKeyCa: ["${server.authority}"]`,
    )
    expect((await other.ssh('true')).stderr).toContain('CUSTODY-SSH-003')
    await other.own.stop()
  })

  test('the first one that is met, and no other afterwards', async () => {
    const { own, server, ssh } = await through({}, () => '')
    expect((await ssh('echo first')).stdout.toString()).toBe('first\n')
    expect((await ssh('echo again')).stdout.toString()).toBe('again\n')
    expect((await own.events()).filter(({ kind }) => kind === 'target.host-key-met').length).toBe(1)
    // What is kept of it can't be read: nobody is let through, and the gateway goes on.
    const kept = join(own.home.keys, 'ssh-targets', 'web.json')
    const before = readFileSync(kept)
    for (const spoilt of ['{"address":', '{}']) {
      writeFileSync(kept, spoilt)
      const refused = await ssh('echo never')
      expect([refused.code, refused.stdout.toString()]).toEqual([255, ''])
      expect(refused.stderr).toContain('CUSTODY-SSH-003')
    }
    writeFileSync(kept, before)
    expect((await ssh('echo as before')).stdout.toString()).toBe('as before\n')
    // The server gets another key, at the same address.
    await server.stop()
    rmSync(join(own.directory, 'target-0', 'host-ed25519'))
    rmSync(join(own.directory, 'target-0', 'host-ed25519.pub'))
    const changed = await own.target({
      port: server.port,
      directory: join(own.directory, 'target-0'),
    })
    const ran = await ssh('echo never')
    expect(ran.stderr).toContain('it was SHA256:')
    expect(changed.ran()).toEqual([])
    await own.stop()
  })
})

describe('who is one too many', () => {
  test('an overloaded gateway says so in the clear, and OpenSSH shows it', async () => {
    const own = sshUnderTest('ssh-overload')
    const server = await own.target()
    const { port: its } = await own.start({ target: server, more: 'limits: {connectionsMax: 1}' })
    const held = connect({ port: its, host: '127.0.0.1' })
    await new Promise((resolve) => held.once('data', resolve))
    const ran = await own.run('ssh', [
      ...own.options(its).map((word) => word.replace('LogLevel=ERROR', 'LogLevel=INFO')),
      'web@localhost',
      'true',
    ])
    expect(ran.code).toBe(255)
    expect(ran.stderr).toContain('too many connections (CUSTODY-ACCESS-003)')
    held.destroy()
    await own.stop()
  })

  test('who says nothing is let go after its time', async () => {
    const own = sshUnderTest('ssh-silent')
    const server = await own.target()
    const { port: its } = await own.start({ target: server, more: 'limits: {handshakeMsMax: 300}' })
    const silent = connect({ port: its, host: '127.0.0.1' })
    silent.resume()
    await new Promise((resolve) => silent.once('close', resolve))
    expect(
      (await own.events()).find(({ kind }) => kind === 'access.refused')?.access,
    ).toMatchObject({ code: 'CUSTODY-ACCESS-004' })
    await own.stop()
  })

  test('the gateway has no session left of all these', () => {
    expect(proxy.status().sessions).toBe(0)
  })
})
