/**
 * A real OpenSSH server on this machine, for tests: on a free port of loopback, with keys of its own, for the account that
 * runs the test. It keeps a log of every command that it runs, which is nobody's but its own.
 * Refuses to run where OpenSSH is not installed, and takes no password: it can't be told one.
 */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { appendFileSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { userInfo } from 'node:os'
import { join } from 'node:path'
import { CustodyError, freePort } from '@custody/kit'

export type KeyType = 'ed25519' | 'ecdsa' | 'rsa'

export interface SshServerOptions {
  /** For its files; somebody else removes it. */
  directory: string
  port?: number
  /** Host keys, first the one that clients are shown. */
  hostKeys?: readonly KeyType[]
  /** Principals of a host certificate, made by an authority of its own. */
  certifiedFor?: readonly string[]
  /** More lines of sshd_config. */
  settings?: readonly string[]
}

export interface SshServer {
  readonly port: number
  /** The account that may sign in. */
  readonly account: string
  /** A private key that it takes, and as authorized_keys has it. */
  readonly keyFile: string
  readonly publicKey: string
  /** Of its host keys, as known_hosts has them. */
  readonly hostKeys: string[]
  /** Of the authority that certified them, or ''. */
  readonly authority: string
  /** What it was asked to run, in order: one line each, line feeds as `\n`; an empty one is a shell. */
  ran(): string[]
  /** Another key may sign in as well. */
  authorize(publicKey: string): void
  /** What it says itself. */
  log(): string
  stop(): Promise<void>
}

const PROGRAMS = ['/usr/sbin/sshd', '/usr/local/sbin/sshd', '/opt/homebrew/sbin/sshd']
const SFTP_SERVERS = [
  '/usr/lib/openssh/sftp-server',
  '/usr/libexec/openssh/sftp-server',
  '/usr/lib/ssh/sftp-server',
  '/usr/libexec/sftp-server',
]
const START_MS_MAX = 30_000

function program(): string {
  const found = PROGRAMS.find((path) => existsSync(path))
  if (found === undefined)
    throw new CustodyError('CUSTODY-START-006', 'sshd is not installed (Debian: openssh-server)')
  return found
}

/** Makes a key pair at `path` and `path.pub`, as ssh-keygen does; answers its public line. */
export function makeKey(path: string, type: KeyType = 'ed25519', comment = 'test'): string {
  const bits = type === 'rsa' ? ['-b', '2048'] : []
  if (!existsSync(path))
    execFileSync('ssh-keygen', ['-q', '-t', type, ...bits, '-N', '', '-C', comment, '-f', path])
  return readFileSync(`${path}.pub`, 'utf8').trim()
}

export async function startSshServer(options: SshServerOptions): Promise<SshServer> {
  const { directory } = options
  mkdirSync(directory, { recursive: true, mode: 0o700 })
  const at = (name: string) => join(directory, name)
  const sshd = program()
  const keyFile = at('user-key')
  const publicKey = makeKey(keyFile)
  writeFileSync(at('authorized_keys'), `${publicKey}\n`, { mode: 0o600 })
  let authority = ''
  if (options.certifiedFor) authority = makeKey(at('authority'))
  const types = options.hostKeys ?? ['ed25519']
  const hostKeys = types.map((type) => makeKey(at(`host-${type}`), type))
  if (options.certifiedFor)
    for (const type of types)
      execFileSync(
        'ssh-keygen',
        [
          '-q',
          '-s',
          at('authority'),
          '-I',
          'host',
          '-h',
          '-n',
          options.certifiedFor.join(','),
          at(`host-${type}.pub`),
        ],
        { stdio: 'ignore' },
      )
  // The server's own word of what it ran: written by it before it runs, whoever asked.
  const ran = at('ran.log')
  writeFileSync(ran, '', { mode: 0o600 })
  writeFileSync(
    at('run'),
    [
      '#!/bin/bash',
      "line=$(printf '%s' \"$SSH_ORIGINAL_COMMAND\" | sed ':a;N;$!ba;s/\\n/\\\\n/g')",
      `printf '%s\\n' "$line" >> '${ran}'`,
      'if [ -n "$SSH_ORIGINAL_COMMAND" ]; then exec /bin/bash -c "$SSH_ORIGINAL_COMMAND"; fi',
      'exec /bin/bash --norc -i',
      '',
    ].join('\n'),
    { mode: 0o700 },
  )
  const port = options.port ?? (await freePort())
  const isRoot = process.getuid?.() === 0
  // A home of its own: bash reads ~/.bashrc for whom sshd serves, and what an account does there, and says, is its owner's.
  mkdirSync(at('home'), { recursive: true, mode: 0o700 })
  // Where sshd, as root, gives up its rights.
  if (isRoot) mkdirSync('/run/sshd', { recursive: true, mode: 0o755 })
  writeFileSync(
    at('sshd_config'),
    [
      `Port ${port}`,
      'ListenAddress 127.0.0.1',
      // Of settings that are there twice sshd takes the first.
      ...(options.settings ?? [`ForceCommand ${at('run')}`]),
      ...types.map((type) => `HostKey ${at(`host-${type}`)}`),
      ...(options.certifiedFor
        ? types.map((type) => `HostCertificate ${at(`host-${type}-cert.pub`)}`)
        : []),
      `PidFile ${at('sshd.pid')}`,
      `AuthorizedKeysFile ${at('authorized_keys')}`,
      'StrictModes no',
      'UsePAM no',
      'PasswordAuthentication no',
      'KbdInteractiveAuthentication no',
      'PermitRootLogin prohibit-password',
      'AllowAgentForwarding yes',
      'AllowTcpForwarding yes',
      'PermitUserEnvironment no',
      `SetEnv HOME=${at('home')}`,
      'AcceptEnv LANG LC_* GIT_PROTOCOL COLORTERM TEST_*',
      'PrintMotd no',
      'PrintLastLog no',
      'MaxStartups 1000:30:2000',
      'MaxSessions 1000',
      'X11Forwarding no',
      // A program, so that the log of what ran has it as well.
      `Subsystem sftp ${SFTP_SERVERS.find((path) => existsSync(path)) ?? 'internal-sftp'}`,
      'LogLevel VERBOSE',
      '',
    ].join('\n'),
  )
  let said = ''
  const child: ChildProcess = spawn(sshd, ['-D', '-e', '-f', at('sshd_config')], {
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  child.stderr!.on('data', (chunk: Buffer) => {
    said = (said + chunk.toString()).slice(-1_000_000)
  })
  const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()))
  const until = Date.now() + START_MS_MAX
  while (!(await answers(port))) {
    if (child.exitCode !== null || Date.now() > until) {
      child.kill('SIGKILL')
      throw new CustodyError('CUSTODY-START-006', `sshd did not start: ${said.trim()}`)
    }
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
  return {
    port,
    account: userInfo().username,
    keyFile,
    publicKey,
    hostKeys,
    authority,
    ran: () => readFileSync(ran, 'utf8').split('\n').slice(0, -1),
    authorize: (key) => appendFileSync(at('authorized_keys'), `${key}\n`),
    log: () => said,
    async stop() {
      child.kill('SIGTERM')
      const timer = setTimeout(() => child.kill('SIGKILL'), 5000)
      await ended
      clearTimeout(timer)
    },
  }
}

function answers(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ port, host: '127.0.0.1' })
    socket.once('data', () => {
      socket.destroy()
      resolve(true)
    })
    socket.once('error', () => resolve(false))
    socket.once('close', () => resolve(false))
  })
}
