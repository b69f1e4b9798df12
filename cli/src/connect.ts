/**
 * `custody connect`, and what else reaches a resource through the gateway: a fresh token for whoever is signed in, and the
 * address to use it at.
 */
import { spawn, spawnSync } from 'node:child_process'
import { userInfo } from 'node:os'
import { resolve } from 'node:path'
import { CustodyError, type ProtocolName, reachable } from '@custody/kit'
import { durationSeconds, type Given, type OptionSpec, usageError } from './arguments'
import { type Api, ApiError, openApi } from './client'
import type { Command, Context } from './commands'
import { signIn } from './login'
import type { Json } from './show'
import { certified, resourceOf, shellLine, sshWords } from './ssh-files'

const TTL_SECONDS_DEFAULT = 8 * 3600

export const api = ({ home, environment }: Context): Api => openApi(home, environment)

export const WHO: Record<string, OptionSpec> = {
  subject: { value: 'name', help: 'whom it is for (default: you)' },
  email: { value: 'address', help: 'their e-mail address' },
  group: { value: 'name', multiple: true, help: 'a group they are in; may be repeated' },
  kind: { value: 'human|service|agent', help: 'what they are (default human)' },
  ttl: { value: 'time', help: 'how long it is valid: 15m, 8h (default 8h)' },
}

/** How long a token for oneself lives: as asked, or an hour. */
function ownTtl(given: Given): number {
  for (const name of ['subject', 'email', 'group', 'kind'])
    if (given.text(name) !== undefined || given.texts(name).length > 0)
      throw usageError(
        `--${name}: you are signed in as yourself; custody logout to be the administrator`,
      )
  return Math.min(ttlSecondsOf(given, 3600), 12 * 3600)
}

function ttlSecondsOf(given: Given, secondsDefault: number): number {
  const ttl = given.text('ttl')
  const seconds = ttl === undefined ? secondsDefault : durationSeconds(ttl)
  if (seconds === null)
    throw usageError(`--ttl ${JSON.stringify(ttl)}: give a time such as 15m or 8h`)
  return seconds
}

export async function issue(context: Context): Promise<Json> {
  const { given } = context
  const ttlSeconds = ttlSecondsOf(given, TTL_SECONDS_DEFAULT)
  const kind = given.text('kind')
  if (kind !== undefined && !['human', 'service', 'agent'].includes(kind))
    throw usageError(`--kind ${JSON.stringify(kind)}: human, service or agent`)
  return api(context).post('/api/v1/tokens', {
    subject: given.text('subject') ?? userInfo().username,
    ...(given.text('email') ? { email: given.text('email') } : {}),
    ...(given.texts('group').length > 0 ? { groups: given.texts('group') } : {}),
    ...(kind ? { kind } : {}),
    ttlSeconds,
  })
}

/** Nobody is signed in, or not any more. */
const SIGN_IN_AGAIN = new Set([
  'CUSTODY-API-001',
  'CUSTODY-TOKEN-003',
  'CUSTODY-TOKEN-004',
  'CUSTODY-TOKEN-007',
])

/** Where a resource is reached. Signs in where that is needed and possible. */
export async function locate(
  context: Context,
  name: string,
): Promise<{ one: Api; resource: Json; host: string; port: number }> {
  const { environment } = context
  let one = api(context)
  const ask = () => one.get<Json>('/api/v1/status')
  const { resources, listen } = await ask().catch(async (error) => {
    if (!(error instanceof ApiError) || !SIGN_IN_AGAIN.has(error.code) || environment.CUSTODY_TOKEN)
      throw error
    await signIn(context)
    one = api(context)
    return ask()
  })
  const resource = resources.find((each: Json) => each.name === name)
  if (!resource)
    throw new CustodyError(
      'CUSTODY-CLI-004',
      `there is no resource ${JSON.stringify(name)}${resources.length > 0 ? `; there is ${resources.map((each: Json) => each.name).join(', ')}` : ''}`,
    )
  const runtime = one.status
  const host = runtime ? reachable(runtime.host) : (listen.host ?? new URL(one.url).hostname)
  const port = runtime?.ports[resource.protocol as ProtocolName] ?? listen[resource.protocol]
  return { one, resource, host, port }
}

/** The same, and a token for it. */
export async function reach(
  context: Context,
  wanted: string,
): Promise<{ host: string; port: number; issued: Json; protocol: ProtocolName }> {
  const { one, resource, host, port } = await locate(context, wanted.split('/', 1)[0]!)
  const issued = one.isAdministrator
    ? await issue(context)
    : await one.post<Json>('/api/v1/tokens/own', { ttlSeconds: ownTtl(context.given) })
  return { host, port, issued, protocol: resource.protocol }
}

export const connect: Command = {
  name: 'connect',
  takes: '[<account>@]<resource>[/<database>] [-- <client arguments>]',
  summary: 'start the native client through Custody, with a fresh token',
  details: [
    'The token goes to the client by its environment, so it is in no process list.',
    'With --print only the URL is printed, for any other client. Exits as the client does.',
    'Where nobody is signed in, and no local administrator, it begins with that (see login).',
  ],
  options: {
    ...WHO,
    print: { help: 'print the URL, token included, instead of starting a client' },
    'tls-ca': { value: 'file', help: 'verify the gateway, and its name, by this authority' },
    reason: {
      value: 'text',
      help: 'what the session is for; recorded, and policies may ask for it',
    },
    reveal: {
      help: 'ask to see masked values: each command that shows some waits for an approval, where a policy has it so',
    },
    issuer: { value: 'url', help: 'where to sign in, should that be needed' },
    device: { help: 'to sign in: show a code to type elsewhere, instead of opening a browser' },
    console: { help: 'to sign in: by way of Custody’s own pages, which also know SAML' },
    'no-browser': { help: 'to sign in: only print the address to open' },
  },
  positionalsMin: 1,
  positionalsMax: 1,
  examples: [
    'custody connect demo',
    'custody connect deploy@web -- uptime',
    "custody connect demo -- -c 'select 1'",
    'custody connect demo/other --print',
    "custody connect demo --reason 'INC-42'",
  ],
  async run(context) {
    const { given, output, environment } = context
    const [wanted = ''] = given.positionals
    // A `/` is in no name of an SSH resource, and `account@` before no other.
    if (!wanted.includes('/')) {
      const found = await locate(context, resourceOf(wanted))
      if (found.resource.protocol === 'ssh') return connectBySsh(context, wanted, found)
    }
    const reached = await reach(context, wanted)
    const { issued } = reached
    const way = reached.protocol === 'mysql' ? byMysql(context, reached) : byPsql(context, reached)
    if (output.json) output.object({ url: way.url, expires: issued.expires, id: issued.id })
    else if (given.has('print')) output.line(way.url)
    if (output.json || given.has('print')) return 0
    const { program, words, secret } = way.client()
    return run(program, [...words, ...given.rest], { ...environment, ...secret })
  },
}

interface Way {
  /** Token included. */
  url: string
  /** Which program, and what it is told; the token by its environment. */
  client(): { program: string; words: string[]; secret: Record<string, string> }
}

type Reached = Awaited<ReturnType<typeof reach>>

function byPsql({ given, cwd }: Context, { host, port, issued }: Reached): Way {
  const [wanted = ''] = given.positionals
  const reason = given.text('reason')
  // As start-up settings: any client sends them along, and they end at the gateway.
  const settings = [
    ...(reason ? [`-c custody.reason=${reason.replace(/[\s\\]/g, '\\$&')}`] : []),
    ...(given.has('reveal') ? ['-c custody.reveal=on'] : []),
  ]
  const options = settings.length > 0 ? `&options=${encodeURIComponent(settings.join(' '))}` : ''
  const ca = given.text('tls-ca')
  const tls = ca
    ? `sslmode=verify-full&sslrootcert=${encodeURIComponent(resolve(cwd, ca))}`
    : 'sslmode=require'
  const at = `${host}:${port}/${encodeURIComponent(wanted)}?${tls}${options}`
  const user = encodeURIComponent(issued.subject)
  return {
    url: `postgresql://${user}:${issued.token}@${at}`,
    client: () => ({
      program: 'psql',
      words: [`postgresql://${user}@${at}`],
      secret: { PGPASSWORD: issued.token },
    }),
  }
}

function byMysql({ given, cwd }: Context, { host, port, issued }: Reached): Way {
  const [wanted = ''] = given.positionals
  const reason = given.text('reason')
  // Behind the database's name: clients have no other place for them.
  const settings = new URLSearchParams({
    ...(reason ? { reason } : {}),
    ...(given.has('reveal') ? { reveal: 'on' } : {}),
  }).toString()
  const database = settings === '' ? wanted : `${wanted}?${settings}`
  const ca = given.text('tls-ca')
  const user = encodeURIComponent(issued.subject)
  return {
    url: `mysql://${user}:${issued.token}@${host}:${port}/${encodeURIComponent(database)}`,
    client() {
      const { program, isMariadb } = mysqlClient()
      const file = ca && resolve(cwd, ca)
      const tls = isMariadb
        ? ['--ssl', ...(file ? [`--ssl-ca=${file}`, '--ssl-verify-server-cert'] : [])]
        : file
          ? [`--ssl-ca=${file}`, '--ssl-mode=VERIFY_IDENTITY']
          : ['--ssl-mode=REQUIRED']
      const bare = host.replace(/^\[|\]$/g, '')
      return {
        program,
        words: [
          ...['--protocol=tcp', `--host=${bare}`, `--port=${port}`, `--user=${issued.subject}`],
          ...[...tls, `--database=${database}`],
        ],
        secret: { MYSQL_PWD: issued.token },
      }
    },
  }
}

/** MariaDB's client goes by either name, and has other options for TLS than MySQL's. */
function mysqlClient(): { program: string; isMariadb: boolean } {
  for (const program of ['mariadb', 'mysql']) {
    const { status, stdout } = spawnSync(program, ['--version'], { encoding: 'utf8' })
    if (status === 0) return { program, isMariadb: /mariadb/i.test(stdout) }
  }
  throw new CustodyError(
    'CUSTODY-CLI-003',
    'neither mariadb nor mysql is installed, or they are not in PATH',
  )
}

/** OpenSSH's client, with a certificate instead of a token. */
async function connectBySsh(
  context: Context,
  wanted: string,
  { one, host, port }: { one: Api; host: string; port: number },
): Promise<number> {
  const { given, output, environment } = context
  const groups = given.texts('group')
  const body = {
    ...(given.text('ttl') !== undefined && {
      ttlSeconds: ttlSecondsOf(given, TTL_SECONDS_DEFAULT),
    }),
    ...(given.text('subject') && { subject: given.text('subject') }),
    ...(given.text('email') && { email: given.text('email') }),
    ...(groups.length > 0 && { groups }),
    ...(given.text('kind') && { kind: given.text('kind') }),
  }
  const { files, expires, id, subject } = await certified(
    context,
    one,
    body,
    Object.keys(body).length > 0,
  )
  const words = [
    ...sshWords(files, wanted, host, port, {
      reason: given.text('reason'),
      reveal: given.has('reveal'),
    }),
    ...given.rest,
  ]
  if (output.json) output.object({ command: ['ssh', ...words], subject, expires, id })
  else if (given.has('print')) output.line(shellLine(['ssh', ...words]))
  if (output.json || given.has('print')) return 0
  return run('ssh', words, environment)
}

/** Runs a client in this terminal; Ctrl-C is its own. */
function run(program: string, words: string[], environment: NodeJS.ProcessEnv): Promise<number> {
  const ignore = () => {}
  process.on('SIGINT', ignore)
  return new Promise<number>((resolveCode, reject) => {
    const child = spawn(program, words, { stdio: 'inherit', env: environment })
    child.once('error', (cause: NodeJS.ErrnoException) =>
      reject(
        cause.code === 'ENOENT'
          ? new CustodyError('CUSTODY-CLI-003', `${program} is not installed, or not in PATH`, {
              cause,
            })
          : cause,
      ),
    )
    child.once('exit', (code, signal) => resolveCode(signal ? 1 : (code ?? 1)))
  }).finally(() => process.off('SIGINT', ignore))
}
