/**
 * `custody ssh-certificate` and `custody ssh-config`: what makes OpenSSH's own programs come through the gateway by themselves.
 */
import { readFileSync } from 'node:fs'
import { userInfo } from 'node:os'
import { resolve } from 'node:path'
import { CustodyError } from '@custody/kit'
import { durationSeconds, type OptionSpec, usageError } from './arguments'
import type { Api } from './client'
import type { Command, Context } from './commands'
import { api, locate, WHO } from './connect'
import type { Json } from './show'
import { certified, quoted, sshFiles } from './ssh-files'

const CERTIFICATE_OPTIONS: Record<string, OptionSpec> = {
  ...WHO,
  'public-key': {
    value: 'file',
    help: 'certify this key instead of one of Custody’s own; prints the certificate',
  },
  'source-address': { value: 'addresses', help: 'only good from these: 10.0.0.0/8,192.0.2.7' },
  'if-needed': { help: 'only where there is none that is good for some minutes yet' },
  quiet: { help: 'say nothing but errors' },
}

export const sshCertificate: Command = {
  name: 'ssh-certificate',
  summary: 'an SSH certificate for some hours, for a key of Custody’s own',
  details: [
    'Key, certificate and known_hosts are in ~/.config/custody/ssh; nothing is written to ~/.ssh. With SSH_AUTH_SOCK the agent',
    'gets the key too, for as long. `custody login` makes one as well where some resource speaks SSH.',
  ],
  options: CERTIFICATE_OPTIONS,
  positionalsMin: 0,
  positionalsMax: 0,
  examples: [
    'custody ssh-certificate',
    'custody ssh-certificate --ttl 30m --source-address 10.0.0.0/8',
  ],
  async run(context) {
    const { given, output, cwd } = context
    const one = api(context)
    const body = bodyOf(context, one)
    const file = given.text('public-key')
    if (file !== undefined) {
      let publicKey: string
      try {
        publicKey = readFileSync(resolve(cwd, file), 'utf8').trim()
      } catch (cause) {
        throw usageError(`--public-key: ${(cause as Error).message}`, sshCertificate)
      }
      const issued = await one.post<Json>('/api/v1/ssh/certificates', {
        publicKey,
        ...(one.isAdministrator && { subject: userInfo().username }),
        ...body,
      })
      if (output.json) output.object(issued)
      else output.line(issued.certificate)
      return 0
    }
    const { subject, expires, id, files } = await certified(
      context,
      one,
      body,
      !given.has('if-needed'),
    )
    if (output.json) output.object({ subject, expires, id, ...files })
    else if (!given.has('quiet'))
      output.line(`You are ${subject} by SSH, until ${expires} (${files.certificate}).`)
    return 0
  },
}

function bodyOf({ given }: Context, one: Api): Json {
  const ttl = given.text('ttl')
  const ttlSeconds = ttl === undefined ? undefined : durationSeconds(ttl)
  if (ttlSeconds === null)
    throw usageError(`--ttl ${JSON.stringify(ttl)}: give a time such as 15m or 8h`)
  const groups = given.texts('group')
  const kind = given.text('kind')
  const others = ['subject', 'email', 'kind'].filter((name) => given.text(name) !== undefined)
  if (!one.isAdministrator && (others.length > 0 || groups.length > 0))
    throw usageError(
      `--${others[0] ?? 'group'}: you are signed in as yourself; custody logout to be the administrator`,
    )
  return {
    ...(ttlSeconds !== undefined && { ttlSeconds }),
    ...(given.text('source-address') && { sourceAddress: given.text('source-address') }),
    ...(given.text('subject') && { subject: given.text('subject') }),
    ...(given.text('email') && { email: given.text('email') }),
    ...(groups.length > 0 && { groups }),
    ...(kind && { kind }),
  }
}

export const sshConfig: Command = {
  name: 'ssh-config',
  takes: '[<resource>…]',
  summary: 'lines for ~/.ssh/config: scp, rsync, git, Ansible and editors then go through Custody',
  details: [
    'One Host for each SSH resource, all of them where none is named. Before a connection the certificate is made anew where it',
    'has ended, by the command that --command names.',
  ],
  options: {
    prefix: {
      value: 'text',
      help: 'put before each resource’s name, so that they are no other host’s',
    },
    command: { value: 'command', help: 'how this command is called (default: custody)' },
  },
  positionalsMin: 0,
  positionalsMax: 100,
  examples: ['custody ssh-config >> ~/.ssh/config', 'custody ssh-config web --prefix custody-'],
  async run(context) {
    const { given, output, environment } = context
    const one = api(context)
    const { resources } = await one.get<Json>('/api/v1/status')
    const named = given.positionals
    const all: string[] = resources
      .filter((each: Json) => each.protocol === 'ssh')
      .map((each: Json) => each.name)
    const unknown = named.find((name) => !all.includes(name))
    if (unknown !== undefined)
      throw new CustodyError(
        'CUSTODY-CLI-004',
        `there is no SSH resource ${JSON.stringify(unknown)}`,
      )
    const files = sshFiles(environment, one.url)
    const command = given.text('command') ?? 'custody'
    for (const name of named.length > 0 ? named : all) {
      const { host, port } = await locate(context, name)
      const alias = `${given.text('prefix') ?? ''}${name}`
      const lines = {
        HostName: host.replace(/^\[|\]$/g, ''),
        Port: String(port),
        User: name,
        HostKeyAlias: name,
        UserKnownHostsFile: quoted(files.knownHosts),
        StrictHostKeyChecking: 'yes',
        IdentityFile: quoted(files.key),
        CertificateFile: quoted(files.certificate),
        IdentitiesOnly: 'yes',
      }
      if (output.json) output.object({ host: alias, ...lines })
      else {
        // Asked before each connection; it does something only where the certificate has ended.
        output.line(
          `Match originalhost ${alias} exec "${command} ssh-certificate --if-needed --quiet"`,
        )
        output.line(`Host ${alias}`)
        for (const [key, value] of Object.entries(lines)) output.line(`  ${key} ${value}`)
        output.line()
      }
    }
    return 0
  },
}
