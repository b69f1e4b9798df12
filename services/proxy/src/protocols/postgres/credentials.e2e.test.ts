/**
 * Targets' credentials: each canary is planted where a credential is kept, the gateway is led through success and every
 * failure, and then every byte that it gave away or wrote is searched for it, in every encoding that it might be in.
 * Vault is a simulator here; PostgreSQL is real.
 */
import { randomBytes } from 'node:crypto'
import { mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { connect, createServer, type Server, type Socket } from 'node:net'
import { join } from 'node:path'
import { createTokenVerifier, issueToken, loadTokenKeys } from '@custody/identity'
import {
  createLogger,
  describeError,
  homeAt,
  parseConfiguration,
  prepareHome,
  withoutSecrets,
} from '@custody/kit'
import {
  type PostgresServer,
  startPostgres,
  startVaultSimulator,
  temporaryDirectory,
  type VaultSimulator,
  type VaultTrouble,
} from '@custody/test-support'
import { Client } from 'pg'
import { createProxy } from '../../proxy'

const directory = temporaryDirectory('credentials')
const kept = join(directory.path, 'kept')
mkdirSync(kept)

/** With characters that encodings change, and none that a Vault token may not have. */
const canary = (name: string) => `kanari-${name}-${randomBytes(8).toString('hex')}+/%&=~`
const planted = {
  literal: canary('literal'),
  environment: canary('environment'),
  file: canary('file'),
  vault: canary('vault'),
  md5: canary('md5'),
  clear: canary('clear'),
  wrong: canary('wrong'),
  vaultToken: canary('vault-token'),
  secretId: canary('secret-id'),
  serviceAccount: canary('service-account'),
  /** Presented by a client, and no token. */
  presented: canary('presented'),
}
const ENVIRONMENT = 'CUSTODY_TEST_CANARY'

let server: PostgresServer
let md5: PostgresServer
let vault: VaultSimulator
let echo: { address: string; server: Server }

beforeAll(async () => {
  const role = (name: string, password: string) =>
    `create role ${name} login password '${password}';`
  ;[server, md5, vault, echo] = await Promise.all([
    startPostgres({
      tls: true,
      sql: [
        role('of_literal', planted.literal),
        role('of_environment', planted.environment),
        role('of_file', planted.file),
        role('of_vault', planted.vault),
      ].join(''),
    }),
    startPostgres({ authentication: 'md5', sql: role('of_md5', planted.md5) }),
    startVaultSimulator(),
    startEchoingTarget(),
  ])
  vault.write('db/shop', { password: planted.vault })
  vault.permit(planted.vaultToken)
  vault.appRole('gateway', planted.secretId)
  vault.kubernetes('gateway', planted.serviceAccount)
  process.env[ENVIRONMENT] = planted.environment
  for (const name of ['file', 'md5', 'clear', 'wrong', 'vaultToken', 'secretId'] as const)
    writeFileSync(join(kept, name), `${planted[name]}\n`)
  writeFileSync(join(kept, 'service-account'), planted.serviceAccount)
})

afterAll(async () => {
  delete process.env[ENVIRONMENT]
  echo?.server.close()
  await vault?.stop()
  await Promise.all([server?.stop(), md5?.stop()])
  await directory.remove()
})

/** Asks for the password in clear text, and says it back in its refusal. */
async function startEchoingTarget(): Promise<{ address: string; server: Server }> {
  const target = createServer((socket) => {
    let started = false
    socket.on('error', () => {})
    socket.on('data', (chunk) => {
      if (!started) {
        started = true
        socket.write(Buffer.from([0x52, 0, 0, 0, 8, 0, 0, 0, 3]))
        return
      }
      const said = chunk.toString('utf8', 5, chunk.length - 1)
      const fields = Buffer.from(`SFATAL\0C28P01\0Mthe password ${said} is wrong\0\0`)
      const head = Buffer.from([0x45, 0, 0, 0, 0])
      head.writeInt32BE(fields.length + 4, 1)
      socket.end(Buffer.concat([head, fields]))
    })
  })
  await new Promise<void>((resolve) => target.listen(0, '127.0.0.1', resolve))
  return {
    address: `127.0.0.1:${(target.address() as { port: number }).port}`,
    server: target,
  }
}

interface Gateway {
  home: string
  logFile: string
  token: string
  /** Every byte that a client was sent. */
  received(): Buffer
  session(resource: string, password?: string): Promise<Client>
  /** What a session's query gives, or the error that the client sees. */
  ask(resource: string, o?: { sql?: string; password?: string }): Promise<string>
  log(): { level: number; msg: string; resource?: string; [name: string]: unknown }[]
  stop(): Promise<void>
}

const inVault = 'password: {vault: {path: db/shop, key: password}}'

function configurationText(login: string): string {
  const at = (address: string, account: string, rest: string) =>
    `{protocol: postgres, address: "${address}", account: ${account}, database: postgres, ${rest}}`
  const quoted = (name: string) => JSON.stringify(join(kept, name))
  return `
listen: {postgres: 0}
log: {reserveBytes: 65536}
policy: {templates: [{use: allow-everything}, {use: no-destructive-without-approval}]}
vault: {address: "${vault.address}", ${login}}
resources:
  literal: ${at(server.address, 'of_literal', `password: {literal: ${JSON.stringify(planted.literal)}}`)}
  environment: ${at(server.address, 'of_environment', `password: {env: ${ENVIRONMENT}}`)}
  file: ${at(server.address, 'of_file', `password: {file: ${quoted('file')}}`)}
  vault: ${at(server.address, 'of_vault', inVault)}
  md5: ${at(md5.address, 'of_md5', `password: {file: ${quoted('md5')}}`)}
  clear: ${at(echo.address, 'of_clear', `password: {file: ${quoted('clear')}}, tls: disable`)}
  wrong: ${at(server.address, 'of_file', `password: {file: ${quoted('wrong')}}`)}
  wrong-md5: ${at(md5.address, 'of_md5', `password: {file: ${quoted('wrong')}}`)}
  wrong-vault: ${at(server.address, 'of_file', inVault)}
  down: ${at('127.0.0.1:1', 'of_vault', inVault)}
  untrusted: ${at(server.address, 'of_vault', `${inVault}, tls: verify-full`)}
  no-tls: ${at(md5.address, 'of_md5', `password: {file: ${quoted('md5')}}, tls: require`)}
  no-file: ${at(server.address, 'of_file', `password: {file: ${quoted('none')}}`)}
  no-variable: ${at(server.address, 'of_file', 'password: {env: CUSTODY_TEST_NONE}')}
  no-key: ${at(server.address, 'of_file', 'password: {vault: {path: db/shop, key: none}}')}
`
}

async function startGateway(name: string, login: string): Promise<Gateway> {
  const home = homeAt(join(directory.path, name))
  mkdirSync(home.directory, { recursive: true })
  prepareHome(home.directory)
  const configuration = parseConfiguration(configurationText(login))
  const keys = await loadTokenKeys(home, 'local')
  const { token } = await issueToken(keys, { subject: 'ada', groups: ['oncall'] })
  const logFile = join(directory.path, `${name}.log`)
  const proxy = createProxy({
    configuration,
    home,
    verifier: await createTokenVerifier(home, configuration),
    logger: createLogger({ name: 'proxy', file: logFile, level: 'trace' }),
  })
  const { ports } = await proxy.start()
  const parts: Buffer[] = []
  // In clear text, so that what the client is sent can be read on its way.
  const tap = createServer((client: Socket) => {
    const gateway = connect(ports.postgres!, '127.0.0.1')
    for (const socket of [client, gateway]) socket.on('error', () => {})
    gateway.on('data', (part: Buffer) => parts.push(part))
    client.pipe(gateway).pipe(client)
  })
  await new Promise<void>((resolve) => tap.listen(0, '127.0.0.1', resolve))
  const { port } = tap.address() as { port: number }
  const session = async (resource: string, password = token) => {
    const client = new Client({
      host: '127.0.0.1',
      port,
      user: 'ada',
      password,
      database: resource,
    })
    client.on('error', () => {})
    await client.connect()
    return client
  }
  return {
    home: home.directory,
    logFile,
    token,
    session,
    received: () => Buffer.concat(parts),
    async ask(resource, { sql = 'select current_user as one', password } = {}) {
      try {
        const client = await session(resource, password)
        try {
          return String((await client.query(sql)).rows[0]?.one)
        } finally {
          await client.end()
        }
      } catch (error) {
        return `${(error as { code?: string }).code} ${(error as Error).message} ${(error as { hint?: string }).hint ?? ''}`
      }
    },
    log: () =>
      readFileSync(logFile, 'utf8')
        .split('\n')
        .filter(Boolean)
        .map((line) => JSON.parse(line)),
    async stop() {
      await proxy.stop()
      tap.close()
    },
  }
}

/** A value as it is, in hex, percent-encoded, escaped in JSON, in UTF-16, and in base64 wherever it may begin. */
function formsOf(value: string): [string, Buffer][] {
  const raw = Buffer.from(value)
  const base64 = [0, 1, 2].flatMap((before) => {
    const text = Buffer.concat([Buffer.alloc(before), raw]).toString('base64')
    // Characters that other bytes have no part in.
    const inner = text.slice(
      Math.ceil((before * 8) / 6),
      Math.floor(((before + raw.length) * 8) / 6),
    )
    return [inner, inner.replaceAll('+', '-').replaceAll('/', '_')]
  })
  const texts: [string, string][] = [
    ['hex', raw.toString('hex')],
    ['HEX', raw.toString('hex').toUpperCase()],
    ['percent', encodeURIComponent(value)],
    ['query', new URLSearchParams({ v: value }).toString().slice(2)],
    ['json', JSON.stringify(value).slice(1, -1)],
    ['reversed', [...value].reverse().join('')],
    // As Node.js shows a Buffer, and as JSON does.
    ['bytes', raw.toString('hex').replace(/../g, '$& ').trim()],
    ['numbers', [...raw].join(',')],
    ...base64.map((text): [string, string] => ['base64', text]),
  ]
  return [
    ['raw', raw],
    ['utf16', Buffer.from(value, 'utf16le')],
    // A part of it is too much.
    ['part', raw.subarray(0, Math.floor(raw.length / 2))],
    ['part', raw.subarray(Math.ceil(raw.length / 2))],
    ...texts.map(([form, text]): [string, Buffer] => [form, Buffer.from(text)]),
  ]
}

function filesOf(path: string): string[] {
  return statSync(path).isDirectory()
    ? readdirSync(path).flatMap((name) => filesOf(join(path, name)))
    : [path]
}

/** Where which canary was found, and in which form. */
function hits(places: Iterable<[string, Buffer]>, canaries: Record<string, string>): string[] {
  const forms = Object.entries(canaries).flatMap(([name, value]) =>
    formsOf(value).map(([form, bytes]) => ({ name, form, bytes })),
  )
  const found = new Set<string>()
  for (const [place, content] of places)
    for (const { name, form, bytes } of forms)
      if (content.includes(bytes)) found.add(`${name} as ${form} in ${place}`)
  return [...found]
}

const contents = (path: string): [string, Buffer][] =>
  filesOf(path).map((file) => [file.slice(directory.path.length + 1), readFileSync(file)])

/** Everything that a gateway gave away or wrote. */
const leftBy = (gateway: Gateway): [string, Buffer][] => [
  ['what clients received', gateway.received()],
  ...contents(gateway.home),
  ...contents(gateway.logFile),
]

const LOGINS: [string, () => string][] = [
  ['token', () => `token: {file: ${JSON.stringify(join(kept, 'vaultToken'))}}`],
  [
    'approle',
    () => `appRole: {roleId: gateway, secretId: {file: ${JSON.stringify(join(kept, 'secretId'))}}}`,
  ],
  [
    'kubernetes',
    () =>
      `kubernetes: {role: gateway, tokenFile: ${JSON.stringify(join(kept, 'service-account'))}}`,
  ],
]

describe.each(LOGINS)('with a Vault login by %s', (name, login) => {
  test('no credential is in anything that the gateway gives away or writes', async () => {
    const gateway = await startGateway(
      name,
      `${login()}, cacheSecondsMax: 0, staleSecondsMax: 3600`,
    )
    const { ask } = gateway
    const seen: Record<string, string> = {}
    const look = async (what: string, resource: string, o?: Parameters<typeof ask>[1]) => {
      seen[what] = await ask(resource, o)
    }
    for (const resource of ['literal', 'environment', 'file', 'vault', 'md5'])
      await look(resource, resource)
    await look('error', 'vault', { sql: "select 1/0 as one /* the client's own error */" })
    for (const resource of [
      'wrong',
      'wrong-md5',
      'wrong-vault',
      'clear',
      'down',
      'untrusted',
      'no-tls',
    ])
      await look(resource, resource)
    for (const resource of ['no-file', 'no-variable', 'no-key']) await look(resource, resource)
    await look('presented', 'vault', { password: planted.presented })
    await look('tampered', 'vault', { password: `${gateway.token.slice(0, -8)}AAAAAAAA` })
    expect(seen).toMatchObject({
      literal: 'of_literal',
      environment: 'of_environment',
      file: 'of_file',
      vault: 'of_vault',
      md5: 'of_md5',
      error: expect.stringMatching(/^22012 division by zero/),
      wrong: expect.stringMatching(/^28P01 password authentication failed/),
      'wrong-md5': expect.stringMatching(/^28P01 password authentication failed/),
      'wrong-vault': expect.stringMatching(/^28P01 password authentication failed/),
      clear: expect.stringMatching(/words are withheld.*CUSTODY-TARGET-004/),
      down: expect.stringMatching(/CUSTODY-TARGET-001/),
      untrusted: expect.stringMatching(/CUSTODY-TARGET-002/),
      'no-tls': expect.stringMatching(/CUSTODY-TARGET-002/),
      presented: expect.stringMatching(/CUSTODY-ACCESS-001/),
      tampered: expect.stringMatching(/CUSTODY-ACCESS-001/),
    })
    // Where it is kept is not the client's business.
    for (const resource of ['no-file', 'no-variable', 'no-key'])
      expect(seen[resource]).toMatch(
        /^08001 custody: the credential for the target can’t be read CUSTODY-SECRET-001/,
      )

    // The last known value goes on while Vault is in trouble, and logins fail with it.
    const troubles: VaultTrouble[] = [
      'sealed',
      'standby',
      'garbage',
      'kv-version-1',
      'endless',
      'cut',
      'echo',
    ]
    for (const trouble of troubles) {
      vault.trouble = trouble
      await new Promise((resolve) => setTimeout(resolve, 1010))
      expect(await ask('vault')).toBe('of_vault')
    }
    vault.trouble = null

    await gateway.stop()
    const everything = leftBy(gateway)
    expect(hits(everything, { ...planted, token: gateway.token })).toEqual([])

    // What was searched is what there is to search.
    const text = everything
      .map(([place, content]) => `${place}\n${content.toString('latin1')}`)
      .join('\n')
    expect(text).toMatch(/home\.json/)
    expect(text).toMatch(/\.log\n/)
    expect(
      hits(everything, { statement: "the client's own error" }).map((hit) => hit.split('/')[1]),
    ).toContain('log')
    expect(hits(everything, { account: 'of_environment' }).join()).toMatch(/what clients received/)
    const lines = gateway.log()
    expect(
      lines.filter(({ msg }) => /does not answer; the value/.test(msg)).length,
    ).toBeGreaterThan(troubles.length - 1)
    expect(lines.filter(({ msg }) => /nobody can be signed in/.test(msg))).toHaveLength(3)
    expect(lines.filter(({ msg }) => /stands in the configuration/.test(msg))).toEqual([
      expect.objectContaining({ level: 40, resource: 'literal' }),
    ])
  })
})

test('a Vault that never answered says nothing of what was sent to it', async () => {
  const gateway = await startGateway('unanswered', LOGINS[1]![1]())
  for (const trouble of ['garbage', 'echo', 'cut', 'endless'] as const) {
    vault.trouble = trouble
    await new Promise((resolve) => setTimeout(resolve, 1010))
    expect(await gateway.ask('vault')).toMatch(/CUSTODY-SECRET-001/)
  }
  vault.trouble = null
  await gateway.stop()
  expect(hits(leftBy(gateway), { ...planted, token: gateway.token })).toEqual([])
  expect(
    gateway.log().filter(({ msg }) => /no value to go on with/.test(msg)).length,
  ).toBeGreaterThan(3)
})

test('a configuration that is shown or refused holds none', () => {
  const text = configurationText(LOGINS[0]![1]())
  const shown: [string, Buffer][] = [
    ['withoutSecrets', Buffer.from(JSON.stringify(withoutSecrets(parseConfiguration(text))))],
  ]
  const broken = [
    text.replace('{literal: ', '{leteral: '),
    text.replace('{literal: ', '{literal: [}'),
    text.replace('{literal: ', '{literal: {'),
    text.replace(/\{literal: "(.*?)"\}/, '{$1}'),
    text.replace(/\{literal: "(.*?)"\}/, '$1'),
    text.replace(/\{literal: "(.*?)"\}/, '{literal: *$1}'),
    text.replace(/\{literal: "(.*?)"\}/, '{literal: !<$1 x}'),
    text.replace(/\{literal: "(.*?)"\}/, '{literal: "$1\\q"}'),
    text.replace(/\{literal: "(.*?)"\}/, '{literal: "$1" "$1"}'),
    text.replace(/\{literal: "(.*?)"\}/, `{literal: '$1', env: X}`),
    text.replace(/\{literal: "(.*?)"\}/, '{vault: $1}'),
    text.replace(/\{literal: "(.*?)"\}/, '[$1]'),
    `${text}\nextra: |${planted.literal}\n  x\n`,
    `${text}\nextra: !${planted.literal}!x y\n`,
    `${text}\nextra: ]\n${planted.literal}\n`,
  ]
  for (const [index, one] of broken.entries())
    try {
      parseConfiguration(one)
      shown.push([`accepted ${index}`, Buffer.from(planted.literal)])
    } catch (error) {
      shown.push([
        `refused ${index}`,
        Buffer.from(
          describeError(error) + JSON.stringify((error as { details?: unknown }).details),
        ),
      ])
    }
  expect(hits(shown, planted)).toEqual([])
})

describe('the search', () => {
  test('finds a canary in every form, wherever it begins', () => {
    for (const before of ['', 'a', 'ab', 'abc']) {
      const bytes = Buffer.from(`${before}${planted.vault}and more`)
      for (const form of ['hex', 'base64', 'base64url', 'utf8', 'utf16le'] as const) {
        const content =
          form === 'utf16le'
            ? Buffer.from(bytes.toString(), form)
            : Buffer.from(bytes.toString(form))
        expect(hits([['here', content]], { vault: planted.vault })).not.toEqual([])
      }
      const shown = [
        encodeURIComponent(bytes.toString()),
        JSON.stringify(bytes),
        JSON.stringify({ a: bytes.toString() }),
      ]
      for (const text of shown)
        expect(hits([['here', Buffer.from(text)]], { vault: planted.vault })).not.toEqual([])
    }
  })

  test('finds what is kept where it must be, and what a client says itself', async () => {
    expect(hits(contents(kept), planted).map((hit) => hit.split(' ')[0])).toEqual(
      expect.arrayContaining([
        'file',
        'md5',
        'clear',
        'wrong',
        'vaultToken',
        'secretId',
        'serviceAccount',
      ]),
    )
    const gateway = await startGateway('control', LOGINS[0]![1]())
    await gateway.ask('vault', { sql: `select '${planted.vault}' as one` })
    await gateway.stop()
    const found = hits(leftBy(gateway), planted).filter((hit) => /^vault as raw/.test(hit))
    expect(found).toEqual(
      expect.arrayContaining([
        'vault as raw in what clients received',
        expect.stringMatching(/^vault as raw in control\/log\//),
      ]),
    )
  })
})

describe('a password that changes', () => {
  let gateway: Gateway
  beforeAll(async () => {
    gateway = await startGateway('rotation', LOGINS[1]![1]())
  })
  afterAll(() => gateway.stop())

  const pid = async (client: Client) =>
    (await client.query('select pg_backend_pid() as pid')).rows[0].pid as number

  test('in a file: new sessions use the new one, and open ones go on', async () => {
    const open = await gateway.session('file')
    const before = await pid(open)
    planted.file = canary('file-rotated')
    await server.query(`alter role of_file password '${planted.file}'`)
    expect(await gateway.ask('file')).toMatch(/^28P01/)
    writeFileSync(join(kept, 'file'), `${planted.file}\n`)
    expect(await gateway.ask('file')).toBe('of_file')
    expect(await pid(open)).toBe(before)
    await open.end()
  })

  test('in Vault: the cached one is refused, and the new one is used at once', async () => {
    const open = await gateway.session('vault')
    const before = await pid(open)
    planted.vault = canary('vault-rotated')
    await server.query(`alter role of_vault password '${planted.vault}'`)
    vault.write('db/shop', { password: planted.vault })
    const asked = vault.requests.length
    const all = await Promise.all(Array.from({ length: 5 }, () => gateway.ask('vault')))
    expect(all).toEqual(Array(5).fill('of_vault'))
    expect(vault.requests.slice(asked)).toEqual(['GET secret/data/db/shop 200'])
    expect(await pid(open)).toBe(before)
    await open.end()
  })

  test('in Vault before it does at the target: sessions fail until both have it', async () => {
    // As after the cache has ended.
    const other = await startGateway('rotation-first', `${LOGINS[0]![1]()}, cacheSecondsMax: 0`)
    planted.vault = canary('vault-first')
    vault.write('db/shop', { password: planted.vault })
    expect(await other.ask('vault')).toMatch(/^28P01/)
    await server.query(`alter role of_vault password '${planted.vault}'`)
    expect(await other.ask('vault')).toBe('of_vault')
    await other.stop()
    expect(hits(leftBy(other), planted)).toEqual([])
  })

  test('at the target only: the refusal is shown, and Vault is not asked for every session', async () => {
    const good = planted.vault
    await new Promise((resolve) => setTimeout(resolve, 1010))
    expect(await gateway.ask('vault')).toBe('of_vault')
    await server.query(`alter role of_vault password 'something else'`)
    const asked = vault.requests.length
    for (let i = 0; i < 4; i++) expect(await gateway.ask('vault')).toMatch(/^28P01/)
    expect(vault.requests.length - asked).toBeLessThan(4)
    // And it does not outlast Vault.
    vault.trouble = 'sealed'
    await new Promise((resolve) => setTimeout(resolve, 1010))
    expect(await gateway.ask('vault')).toMatch(/CUSTODY-SECRET-001/)
    vault.trouble = null
    await server.query(`alter role of_vault password '${good}'`)
    await new Promise((resolve) => setTimeout(resolve, 1010))
    expect(await gateway.ask('vault')).toBe('of_vault')
  })

  test('leaves no trace of either', () => {
    expect(hits(leftBy(gateway), { ...planted, token: gateway.token })).toEqual([])
  })
})

test('a file that is gone ends no session and comes back by itself', async () => {
  const gateway = await startGateway('gone', LOGINS[0]![1]())
  rmSync(join(kept, 'md5'))
  expect(await gateway.ask('md5')).toMatch(/CUSTODY-SECRET-001/)
  writeFileSync(join(kept, 'md5'), planted.md5)
  expect(await gateway.ask('md5')).toBe('of_md5')
  await gateway.stop()
})
