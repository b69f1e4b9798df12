/**
 * OpenSSH's own programs as clients, on two ways to one target: straight to it, and through a gateway with a token. What
 * they need to be let in lies in a directory of the test; nothing of the account that runs it is used.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { chmodSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { SshServer } from '@custody/ssh-server'

export { type SshServer, type SshServerOptions, startSshServer } from '@custody/ssh-server'

/** A way to a target: words for ssh, sftp and scp, and the host to name. */
export interface SshWay {
  readonly words: readonly string[]
  readonly host: string
  readonly environment: NodeJS.ProcessEnv
}

export interface SshRan {
  code: number | null
  stdout: Buffer
  stderr: string
}

const CLIENT_MS_MAX = 120_000

const COMMON = [
  ...['-F', 'none'],
  ...['-o', 'GlobalKnownHostsFile=none'],
  ...['-o', 'StrictHostKeyChecking=yes'],
  ...['-o', 'NumberOfPasswordPrompts=1'],
  ...['-o', 'IdentitiesOnly=yes'],
  ...['-o', 'LogLevel=ERROR'],
]

function environmentOf(directory: string): NodeJS.ProcessEnv {
  const { SSH_AUTH_SOCK: _, ...environment } = process.env
  return { ...environment, HOME: directory }
}

export function sshDirect(directory: string, server: SshServer): SshWay {
  mkdirSync(directory, { recursive: true })
  const knownHosts = join(directory, 'known_hosts_direct')
  const address = `[127.0.0.1]:${server.port}`
  writeFileSync(knownHosts, server.hostKeys.map((key) => `${address} ${key}\n`).join(''))
  return {
    words: [
      ...COMMON,
      ...['-o', `Port=${server.port}`],
      ...['-o', `UserKnownHostsFile=${knownHosts}`],
      ...['-o', `IdentityFile=${server.keyFile}`],
      ...['-o', 'PreferredAuthentications=publickey'],
    ],
    host: `${server.account}@127.0.0.1`,
    environment: environmentOf(directory),
  }
}

export function sshThrough(
  directory: string,
  o: {
    port: number
    /** The gateway's authority, as a public key line. */
    authority: string
    token: string
    resource: string
  },
): SshWay {
  mkdirSync(directory, { recursive: true })
  const knownHosts = join(directory, 'known_hosts_through')
  const askpass = join(directory, 'askpass')
  writeFileSync(knownHosts, `@cert-authority * ${o.authority}\n`)
  writeFileSync(askpass, '#!/bin/sh\nprintf "%s\\n" "$SSH_TEST_TOKEN"\n')
  chmodSync(askpass, 0o700)
  return {
    words: [
      ...COMMON,
      ...['-o', `Port=${o.port}`],
      ...['-o', `UserKnownHostsFile=${knownHosts}`],
      ...['-o', 'PreferredAuthentications=password'],
    ],
    host: `${o.resource}@127.0.0.1`,
    environment: {
      ...environmentOf(directory),
      SSH_ASKPASS: askpass,
      SSH_ASKPASS_REQUIRE: 'force',
      SSH_TEST_TOKEN: o.token,
    },
  }
}

/** A resource's settings, as YAML on one line. */
export function sshResource(server: SshServer, more = ''): string {
  const keys = server.hostKeys.map((key) => JSON.stringify(key)).join(', ')
  return `{protocol: ssh, address: "127.0.0.1:${server.port}", account: ${server.account}, privateKey: {file: ${JSON.stringify(server.keyFile)}}, hostKeys: [${keys}]${more && `, ${more}`}}`
}

/** `words` follow those of the way; the host is the caller's to place. */
export function startSsh(
  way: SshWay,
  program: string,
  words: readonly string[],
  o: { cwd?: string; environment?: NodeJS.ProcessEnv } = {},
): ChildProcess {
  return spawn(program, [...way.words, ...words], {
    stdio: 'pipe',
    cwd: o.cwd,
    env: { ...way.environment, ...o.environment },
    // No terminal of whoever runs the test is to be asked anything.
    detached: true,
  })
}

export function runSsh(
  way: SshWay,
  program: string,
  words: readonly string[],
  o: { input?: Buffer | string; cwd?: string; environment?: NodeJS.ProcessEnv } = {},
): Promise<SshRan> {
  const child = startSsh(way, program, words, o)
  const out: Buffer[] = []
  const err: Buffer[] = []
  child.stdout!.on('data', (chunk: Buffer) => out.push(chunk))
  child.stderr!.on('data', (chunk: Buffer) => err.push(chunk))
  // Who reads nothing of it is not to be sent it.
  child.stdin!.on('error', () => {})
  child.stdin!.end(o.input ?? '')
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => {
      child.kill('SIGKILL')
      reject(
        new Error(
          `${program} ${words.at(-1)?.slice(0, 200)}: more than ${CLIENT_MS_MAX} ms: ${Buffer.concat(err)}`,
        ),
      )
    }, CLIENT_MS_MAX)
    child.once('error', (error) => {
      clearTimeout(timer)
      reject(error)
    })
    child.once('close', (code) => {
      clearTimeout(timer)
      resolve({ code, stdout: Buffer.concat(out), stderr: Buffer.concat(err).toString('latin1') })
    })
  })
}
