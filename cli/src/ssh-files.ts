/**
 * A key of Custody's own for SSH, beside what `custody login` keeps: certified for some hours, known to an agent where there is
 * one; and OpenSSH's options that lead through the gateway with it. Refuses to touch ~/.ssh.
 */
import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync } from 'node:fs'
import { homedir, userInfo } from 'node:os'
import { join, resolve } from 'node:path'
import { CustodyError, writeFileAtomic } from '@custody/kit'
import type { Api } from './client'
import type { Context } from './commands'
import type { Json } from './show'

/** A certificate with less than this left is made anew. */
const FRESH_MS = 5 * 60_000

export interface SshFiles {
  key: string
  certificate: string
  knownHosts: string
  /** When what is there ends. */
  stateFile: string
}

/** Of one Custody, by the address of its API. */
export function sshFiles(environment: NodeJS.ProcessEnv, url: string): SshFiles {
  const of = createHash('sha256').update(url).digest('hex').slice(0, 12)
  const base = environment.XDG_CONFIG_HOME || join(environment.HOME || homedir(), '.config')
  const key = join(base, 'custody', 'ssh', of, 'id_custody')
  return {
    key,
    certificate: `${key}-cert.pub`,
    knownHosts: join(base, 'custody', 'ssh', of, 'known_hosts'),
    stateFile: join(base, 'custody', 'ssh', of, 'certificate.json'),
  }
}

function program(name: string, words: string[], environment: NodeJS.ProcessEnv): string {
  const { error, status, stdout, stderr } = spawnSync(name, words, {
    env: environment,
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  if (error)
    throw new CustodyError('CUSTODY-CLI-003', `${name} is not installed, or not in PATH`, {
      cause: error,
    })
  if (status !== 0)
    throw new CustodyError('CUSTODY-CLI-012', `${name} failed: ${stderr.trim().slice(0, 500)}`)
  return stdout
}

interface Certified {
  subject: string
  expires: string
  id: string
  files: SshFiles
}

/** A certificate that is good for a while yet, made where there is none. */
export async function certified(
  context: Context,
  one: Api,
  body: Json,
  isForced: boolean,
): Promise<Certified> {
  const { environment } = context
  const files = sshFiles(environment, one.url)
  const before = readState(files)
  if (!isForced && before && existsSync(files.certificate))
    if (Date.parse(before.expires) - Date.now() > FRESH_MS) return { ...before, files }
  mkdirSync(resolve(files.key, '..'), { recursive: true, mode: 0o700 })
  if (!existsSync(files.key))
    program(
      'ssh-keygen',
      ['-q', '-t', 'ed25519', '-N', '', '-C', 'custody', '-f', files.key],
      environment,
    )
  const issued = await one.post<Json>('/api/v1/ssh/certificates', {
    publicKey: readFileSync(`${files.key}.pub`, 'utf8').trim(),
    ...(one.isAdministrator && { subject: userInfo().username }),
    ...body,
  })
  writeFileAtomic(files.certificate, `${issued.certificate} custody\n`, 0o600)
  // One line for all gateways and resources: who presents a certificate of this authority for a name is that.
  writeFileAtomic(files.knownHosts, `@cert-authority * ${issued.authority} custody\n`, 0o600)
  const state = { subject: issued.subject, expires: issued.expires, id: issued.id }
  writeFileAtomic(files.stateFile, `${JSON.stringify(state)}\n`, 0o600)
  if (environment.SSH_AUTH_SOCK) {
    const seconds = Math.max(1, Math.floor((Date.parse(issued.expires) - Date.now()) / 1000))
    try {
      program('ssh-add', ['-q', '-t', String(seconds), files.key], environment)
    } catch {
      // An agent that is not there any more, or takes no more keys: the files are enough.
      context.output.remark('The SSH agent did not take the key; the files are used instead.')
    }
  }
  return { ...state, files }
}

function readState(files: SshFiles): Omit<Certified, 'files'> | null {
  try {
    return JSON.parse(readFileSync(files.stateFile, 'utf8'))
  } catch {
    return null
  }
}

/** `account@resource`: which resource that is. */
export function resourceOf(wanted: string): string {
  return wanted.slice(wanted.lastIndexOf('@') + 1)
}

/** OpenSSH's words that lead to a resource. */
export function sshWords(
  files: SshFiles,
  wanted: string,
  host: string,
  port: number,
  { reason, reveal }: { reason?: string | undefined; reveal?: boolean },
): string[] {
  // OpenSSH takes the first SetEnv alone.
  const variables = [
    ...(reason === undefined ? [] : [`"CUSTODY_REASON=${reason.replace(/["\\\r\n]/g, ' ')}"`]),
    ...(reveal ? ['CUSTODY_REVEAL=on'] : []),
  ]
  const option = (name: string, value: string) => ['-o', `${name}=${value}`]
  return [
    ...option('Port', String(port)),
    ...option('User', wanted),
    ...option('HostKeyAlias', resourceOf(wanted)),
    ...option('UserKnownHostsFile', quoted(files.knownHosts)),
    ...option('GlobalKnownHostsFile', 'none'),
    ...option('StrictHostKeyChecking', 'yes'),
    ...option('IdentityFile', quoted(files.key)),
    ...option('CertificateFile', quoted(files.certificate)),
    ...option('IdentitiesOnly', 'yes'),
    ...(variables.length === 0 ? [] : option('SetEnv', variables.join(' '))),
    host.replace(/^\[|\]$/g, ''),
  ]
}

/** As OpenSSH's configuration wants a path with spaces. */
export function quoted(path: string): string {
  return /[\s"]/.test(path) ? `"${path.replaceAll('"', '\\"')}"` : path
}

/** A line to paste into a shell. */
export function shellLine(words: readonly string[]): string {
  return words
    .map((word) => (/^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`))
    .join(' ')
}
