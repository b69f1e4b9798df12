/** Secrets kept in Vault, against a simulator of Vault: logins, leases, caching, refusals, and what goes wrong. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type Server } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  certificateFor,
  startVaultSimulator,
  type VaultSimulator,
  type VaultTrouble,
} from '@custody/test-support'
import { parseConfiguration } from './configuration'
import type { VaultSecret } from './secret'
import { createSecrets, type SecretsOptions } from './secrets'
import type { VaultSettings } from './vault'

const VALUE = 'canary-of-the-value'
const TOKEN = 'canary-of-the-token'
const directory = mkdtempSync(join(tmpdir(), 'custody-secrets-'))
const tokenFile = join(directory, 'token')
let vault: VaultSimulator
let warnings: { text: string; fields: Record<string, unknown> }[]

const inVault = (at: Partial<VaultSecret['vault']> = {}): VaultSecret => ({
  vault: { mount: 'secret', path: 'db/shop', key: 'password', ...at },
})
const settings = (o: Partial<VaultSettings> = {}): VaultSettings => ({
  address: vault.address,
  token: { file: tokenFile },
  cacheSecondsMax: 60,
  staleSecondsMax: 3600,
  ...o,
})
const reader = (o: Partial<VaultSettings> = {}, options: SecretsOptions = {}) =>
  createSecrets(settings(o), {
    pauseMs: 0,
    readMsMax: 500,
    logger: {
      warn: (fields: Record<string, unknown>, text: string) => warnings.push({ fields, text }),
    } as unknown as SecretsOptions['logger'],
    ...options,
  })
const appRole = {
  token: undefined,
  appRole: { mount: 'approle', roleId: 'role', secretId: { file: join(directory, 'secret-id') } },
}

beforeEach(async () => {
  warnings = []
  vault = await startVaultSimulator()
  vault.write('db/shop', { password: VALUE, number: 7 })
  vault.permit(TOKEN)
  writeFileSync(tokenFile, `${TOKEN}\n`)
  writeFileSync(join(directory, 'secret-id'), 'canary-of-the-secret-id\n')
  vault.appRole('role', 'canary-of-the-secret-id')
})
afterEach(async () => {
  jest.restoreAllMocks()
  await vault.stop()
})
afterAll(() => rmSync(directory, { recursive: true }))

/** Moves our own clock; the simulator runs in this process, so its leases go by the same one. */
function later(seconds: number): void {
  const now = Date.now() + seconds * 1000
  jest.spyOn(Date, 'now').mockImplementation(() => now)
}

async function failureOf(promise: Promise<unknown>): Promise<{ code: string; message: string }> {
  const error = await promise.then(
    () => new Error('was not refused'),
    (thrown: Error) => thrown,
  )
  const everything = `${JSON.stringify(error, Object.getOwnPropertyNames(error))}${error.stack}${JSON.stringify((error.cause as Error)?.message ?? '')}`
  expect(everything).not.toMatch(/canary/)
  return error as unknown as { code: string; message: string }
}

describe('a value in Vault', () => {
  test('is read from its mount, path and key, once for as long as it is cached', async () => {
    const secrets = reader()
    expect(await Promise.all([secrets.read(inVault()), secrets.read(inVault())])).toEqual([
      VALUE,
      VALUE,
    ])
    expect(await secrets.read(inVault())).toBe(VALUE)
    expect(vault.requests).toEqual(['GET secret/data/db/shop 200'])
    vault.write('db/shop', { password: 'second' })
    later(61)
    expect(await secrets.read(inVault())).toBe('second')
  })

  test('may be in another mount, namespace and at odd names', async () => {
    vault.write('a b/ü?x#y%2f', { password: 'odd' }, { mount: 'kv/team', namespace: 'ns1' })
    vault.permit('ns-token', { namespace: 'ns1' })
    writeFileSync(tokenFile, 'ns-token')
    const at = inVault({ mount: 'kv/team', path: 'a b/ü?x#y%2f' })
    expect(await reader({ namespace: 'ns1' }).read(at)).toBe('odd')
    expect(await reader().read({ vault: { ...at.vault, namespace: 'ns1/' } })).toBe('odd')
    expect(await failureOf(reader().read(at))).toMatchObject({ code: 'CUSTODY-VAULT-002' })
  })

  test('is read over TLS that verifies, and over none that does not', async () => {
    const certificate = await certificateFor()
    const tls = await startVaultSimulator({ certificate })
    tls.write('db/shop', { password: 'by TLS' })
    tls.permit(TOKEN)
    const tlsCa = join(directory, 'ca.pem')
    writeFileSync(tlsCa, certificate.certificate)
    expect(await reader({ address: tls.address, tlsCa }).read(inVault())).toBe('by TLS')
    const before = process.env.NODE_TLS_REJECT_UNAUTHORIZED
    process.env.NODE_TLS_REJECT_UNAUTHORIZED = '0'
    const { code, message } = await failureOf(reader({ address: tls.address }).read(inVault()))
    if (before === undefined) delete process.env.NODE_TLS_REJECT_UNAUTHORIZED
    else process.env.NODE_TLS_REJECT_UNAUTHORIZED = before
    expect([code, message]).toEqual([
      'CUSTODY-VAULT-001',
      expect.stringMatching(/self-signed certificate/),
    ])
    expect(tls.requests).toHaveLength(1)
    await tls.stop()
  })

  test.each([
    ['no such path', { path: 'db/none' }, 'CUSTODY-VAULT-003'],
    ['no such key', { key: 'none' }, 'CUSTODY-VAULT-003'],
    ['a key of every object', { key: 'constructor' }, 'CUSTODY-VAULT-003'],
    ['no text', { key: 'number' }, 'CUSTODY-VAULT-003'],
    ['no such mount', { mount: 'other' }, 'CUSTODY-VAULT-003'],
  ])('%s is said', async (_what, at, code) => {
    expect(await failureOf(reader().read(inVault(at)))).toMatchObject({ code })
  })

  test('that was deleted is not used, cached or not', async () => {
    const secrets = reader({ cacheSecondsMax: 0 })
    await secrets.read(inVault())
    vault.remove('db/shop')
    expect((await failureOf(secrets.read(inVault()))).code).toBe('CUSTODY-VAULT-003')
    vault.trouble = 'sealed'
    expect((await failureOf(secrets.read(inVault()))).code).toBe('CUSTODY-VAULT-001')
  })
})

describe('signing in at Vault', () => {
  test('a given token is read anew each time; one without permission is refused', async () => {
    const secrets = reader({ cacheSecondsMax: 0 })
    await secrets.read(inVault())
    vault.permit('another', { reads: [] })
    writeFileSync(tokenFile, 'another')
    expect((await failureOf(secrets.read(inVault()))).code).toBe('CUSTODY-VAULT-002')
    writeFileSync(tokenFile, TOKEN)
    expect(await secrets.read(inVault())).toBe(VALUE)
    writeFileSync(tokenFile, 'canary with\na line break')
    expect((await failureOf(secrets.read(inVault()))).code).toBe('CUSTODY-VAULT-002')
  })

  test('an AppRole signs in once, renews before its lease ends, and signs in again at the end', async () => {
    vault.lease = { seconds: 90, renewable: true, secondsMax: 150 }
    const secrets = reader({ ...appRole, cacheSecondsMax: 0 })
    await Promise.all([
      secrets.read(inVault()),
      secrets.read(inVault({ key: 'none' })).catch(() => {}),
    ])
    await secrets.read(inVault())
    later(61)
    await secrets.read(inVault())
    // What is left of its longest life is less than a new one gives.
    later(60)
    await secrets.read(inVault())
    expect(vault.requests.filter((line) => line.startsWith('POST'))).toEqual([
      'POST auth/approle/login 200',
      'POST auth/token/renew-self 200',
      'POST auth/token/renew-self 200',
      'POST auth/approle/login 200',
    ])
    expect(vault.requests.filter((line) => line.endsWith('403'))).toEqual([])
  })

  test('a lease that ended while nobody asked, and a token that was revoked, make a new login', async () => {
    const secrets = reader({ ...appRole, cacheSecondsMax: 0 })
    await secrets.read(inVault())
    later(4000)
    await secrets.read(inVault())
    vault.revokeLogins()
    expect(await secrets.read(inVault())).toBe(VALUE)
    expect(vault.requests).toEqual([
      'POST auth/approle/login 200',
      'GET secret/data/db/shop 200',
      'POST auth/approle/login 200',
      'GET secret/data/db/shop 200',
      'GET secret/data/db/shop 403',
      'POST auth/approle/login 200',
      'GET secret/data/db/shop 200',
    ])
  })

  test('Kubernetes signs in with the token of the service account; a wrong one is refused', async () => {
    const jwt = join(directory, 'jwt')
    writeFileSync(jwt, 'canary.jwt.one')
    vault.kubernetes('gateway', 'canary.jwt.one', { mount: 'k8s/east' })
    const kubernetes = { mount: 'k8s/east', role: 'gateway', tokenFile: jwt }
    expect(await reader({ token: undefined, kubernetes }).read(inVault())).toBe(VALUE)
    writeFileSync(jwt, 'canary.jwt.two')
    expect(await failureOf(reader({ token: undefined, kubernetes }).read(inVault()))).toMatchObject(
      {
        code: 'CUSTODY-VAULT-002',
        message: 'Vault refused the login at auth/k8s/east (403)',
      },
    )
  })

  test('a wrong secret id is refused', async () => {
    writeFileSync(join(directory, 'secret-id'), 'canary-wrong')
    expect(await failureOf(reader(appRole).read(inVault()))).toMatchObject({
      code: 'CUSTODY-VAULT-002',
      message: 'Vault refused the login at auth/approle (400)',
    })
  })
})

describe('a Vault that does not answer as it should', () => {
  const troubles: [VaultTrouble, RegExp][] = [
    ['sealed', /503 \(sealed/],
    ['standby', /redirects elsewhere \(307\)/],
    ['garbage', /no JSON/],
    ['kv-version-1', /no KV version 2 secret/],
    ['silent', /did not answer in time/],
    ['endless', /more than 1048576 bytes/],
    ['cut', /aborted|closed|hang up/],
    ['echo', /answered 500/],
  ]
  test.each(troubles)(
    '%s: a value is used while it is young, and then no more',
    async (trouble, message) => {
      const secrets = reader()
      await secrets.read(inVault())
      vault.trouble = trouble
      later(61)
      expect(await secrets.read(inVault())).toBe(VALUE)
      expect(warnings).toHaveLength(1)
      expect(warnings[0]!.text).toMatch(/value that it gave before is used/)
      expect(warnings[0]!.fields).toMatchObject({ path: 'secret/db/shop', ageSeconds: 61 })
      await failureOf(Promise.reject(warnings[0]!.fields.err))
      later(3600)
      const error = await failureOf(secrets.read(inVault()))
      expect(error.code).toBe('CUSTODY-VAULT-001')
      expect(error.message).toMatch(message)
    },
  )

  test.each(troubles)('%s at the login says nothing that it should not', async (trouble) => {
    vault.trouble = trouble
    expect((await failureOf(reader(appRole).read(inVault()))).code).toBe('CUSTODY-VAULT-001')
  })

  test('what is no HTTP at all is not repeated', async () => {
    const server: Server = createServer((socket) => socket.end('canary-of-the-value\r\n\r\n'))
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const address = `http://127.0.0.1:${(server.address() as { port: number }).port}`
    expect((await failureOf(reader({ address }).read(inVault()))).code).toBe('CUSTODY-VAULT-001')
    server.close()
  })

  test('one that is down is asked again after a pause, not for every session', async () => {
    const secrets = reader({}, { pauseMs: 60_000 })
    vault.trouble = 'sealed'
    for (let i = 0; i < 5; i++) await failureOf(secrets.read(inVault()))
    expect(vault.requests).toHaveLength(1)
    vault.trouble = null
    later(61)
    expect(await secrets.read(inVault())).toBe(VALUE)
  })
})

describe('a target that refuses the value', () => {
  const isRefusal = (error: unknown) => {
    const { message } = error as Error
    return message === 'refused' ? 'wrong' : message === 'unclear' ? 'unclear' : null
  }
  const target = (good: string) => {
    const tried: string[] = []
    return {
      tried,
      signIn: async (value: string) => {
        tried.push(value)
        if (value !== good) throw new Error('refused')
        return 'in'
      },
    }
  }

  test('gets one read past the cache, and no second try with the same', async () => {
    const secrets = reader()
    await secrets.read(inVault())
    vault.write('db/shop', { password: 'rotated' })
    const one = target('rotated')
    expect(await secrets.use(inVault(), one.signIn, isRefusal)).toBe('in')
    expect(one.tried).toEqual([VALUE, 'rotated'])

    const other = target('nobody knows')
    await expect(secrets.use(inVault(), other.signIn, isRefusal)).rejects.toThrow('refused')
    expect(other.tried).toEqual(['rotated'])
  })

  test('many sessions refused at once ask Vault once', async () => {
    const secrets = reader({}, { pauseMs: 60_000 })
    await secrets.read(inVault())
    vault.write('db/shop', { password: 'rotated' })
    const { signIn } = target('rotated')
    await Promise.all(Array.from({ length: 20 }, () => secrets.use(inVault(), signIn, isRefusal)))
    expect(vault.requests).toHaveLength(2)
  })

  test('makes the value unfit to outlast Vault there, until that target takes it', async () => {
    const secrets = reader({}, { pauseMs: 1 })
    const here = inVault()
    const elsewhere = inVault()
    const refusing = target('another')
    await expect(secrets.use(here, refusing.signIn, isRefusal)).rejects.toThrow('refused')
    vault.trouble = 'sealed'
    later(10)
    expect((await failureOf(secrets.read(here))).code).toBe('CUSTODY-VAULT-001')
    expect(await secrets.read(elsewhere)).toBe(VALUE)
    vault.trouble = null
    later(10)
    await secrets.use(here, target(VALUE).signIn, isRefusal)
    vault.trouble = 'sealed'
    later(120)
    expect(await secrets.read(here)).toBe(VALUE)
  })

  test('for an unclear reason gets the second try, and the value stays fit', async () => {
    const secrets = reader()
    const at = inVault()
    const unclear = () => Promise.reject(new Error('unclear'))
    await expect(secrets.use(at, unclear, isRefusal)).rejects.toThrow('unclear')
    expect(vault.requests).toHaveLength(2)
    vault.trouble = 'sealed'
    later(120)
    expect(await secrets.read(at)).toBe(VALUE)
  })

  test('a file that changed meanwhile is tried; a literal is not', async () => {
    const file = join(directory, 'password')
    writeFileSync(file, 'old\n')
    const tried: string[] = []
    const signIn = async (value: string) => {
      tried.push(value)
      writeFileSync(file, 'new\n')
      if (value !== 'new') throw new Error('refused')
    }
    await reader().use({ file }, signIn, isRefusal)
    expect(tried).toEqual(['old', 'new'])
    await expect(reader().use({ literal: 'x' }, signIn, isRefusal)).rejects.toThrow('refused')
    expect(tried).toEqual(['old', 'new', 'x'])
    await expect(
      reader().use({ file }, () => Promise.reject(new Error('down')), isRefusal),
    ).rejects.toThrow('down')
  })
})

describe('the configuration', () => {
  const resource = (password: string) =>
    `resources: { x: { protocol: postgres, address: "h:1", account: a, password: ${password} } }`
  const kept = 'vault: { path: db/shop, key: password }'
  const problem = (text: string): string => {
    try {
      parseConfiguration(text)
    } catch (error) {
      expect((error as Error).message).not.toMatch(/canary/)
      expect(String((error as Error).cause ?? '')).not.toMatch(/canary/)
      return (error as Error).message
    }
    return 'accepted'
  }

  test('takes a secret in Vault', () => {
    const configuration = parseConfiguration(
      `vault: { address: "https://vault.example:8200", appRole: { roleId: r, secretId: { file: s } } }\n${resource(`{ ${kept} }`)}`,
      '/etc/custody.yaml',
    )
    expect(configuration.vault).toEqual({
      address: 'https://vault.example:8200',
      appRole: { mount: 'approle', roleId: 'r', secretId: { file: '/etc/s' } },
      cacheSecondsMax: 60,
      staleSecondsMax: 3600,
    })
    expect(configuration.resources.x!.password).toEqual({
      vault: { mount: 'secret', path: 'db/shop', key: 'password' },
    })
  })

  test.each([
    [resource(`{ ${kept} }`), 'password.vault: needs the settings of vault'],
    [resource(`{ ${kept}, env: X }`), 'exactly one of literal, env, file, vault'],
    [resource('{ canary }'), 'x.password: has something that is no form of a secret'],
    [resource('canary'), 'expected object'],
    [resource('{ literal: *canary }'), 'an alias'],
    [resource('{ literal: !canary x'), 'not valid YAML'],
    [resource('{ literal: "canary\\q" }'), 'not valid YAML'],
    [resource('{ literal: @canary }'), 'not valid YAML'],
    [resource('{ literal: canary: }}} canary'), 'not valid YAML'],
    [resource("{ literal: 'it''s'canary }"), 'not valid YAML'],
    ['vault: { address: "http://vault.example", token: { env: T } }', 'must be an https URL'],
    ['vault: { address: "https://u:canary@vault.example", token: { env: T } }', 'without user'],
    ['vault: { address: "https://v" }', 'exactly one of token, appRole, kubernetes'],
    ['vault: { address: "https://v", token: { literal: canary } }', 'vault.token: has something'],
    ['vault: { address: "https://v", token: canary }', 'vault.token: '],
    ...['/a', 'a/', 'a//b', '../a', 'a/..', './a', 'a/./b', 'a.'].map((path) => [
      resource(`{ vault: { path: "${path}", key: k } }`),
      'password.vault.path: must',
    ]),
  ])('%j is refused', (text, expected) => {
    expect(problem(text!)).toContain(expected)
  })
})
