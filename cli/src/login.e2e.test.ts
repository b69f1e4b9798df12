/** Signing in from the command line, as a process, at a real OpenID provider, and working as oneself afterwards. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import {
  type OidcProvider,
  type PostgresServer,
  psql,
  standaloneUnderTest,
  startOidcProvider,
  startPostgres,
} from '@custody/test-support'

const standalone = standaloneUnderTest('login', (directory) => ({
  CUSTODY_CONFIG: join(directory, 'custody.yaml'),
  CUSTODY_TOKEN: undefined,
  XDG_CONFIG_HOME: join(directory, 'config'),
}))
const { directory, environment } = standalone
let provider: OidcProvider
let server: PostgresServer

beforeAll(async () => {
  ;[provider, server] = await Promise.all([startOidcProvider(), startPostgres()])
  writeFileSync(
    environment.CUSTODY_CONFIG!,
    JSON.stringify({
      identity: {
        issuers: [
          {
            issuer: provider.issuer,
            audiences: ['custody-cli'],
            claims: { groups: 'groups' },
            clientId: 'custody-cli',
            scopes: ['openid', 'email', 'profile', 'groups'],
          },
        ],
      },
      resources: { shop: JSON.parse(server.resource({ database: server.database })) },
    }),
  )
  await standalone.start()
}, 120_000)

afterAll(async () => {
  await standalone.stop()
  await server?.stop()
  await provider?.stop()
})

/** The command as a process. `told`: what it said so far on standard error. */
function custody(...words: string[]) {
  const child = spawn(process.execPath, [join(__dirname, '../bin/custody.js'), ...words], {
    cwd: directory,
    env: environment,
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const one = { out: '', error: '', ended: once(child, 'close').then(([code]) => code as number) }
  child.stdout.on('data', (data) => {
    one.out += data
  })
  child.stderr.on('data', (data) => {
    one.error += data
  })
  return one
}

async function done(...words: string[]) {
  const one = custody(...words)
  const code = await one.ended
  return { code, out: one.out, error: one.error }
}

async function told(one: { error: string }, pattern: RegExp): Promise<string> {
  for (;;) {
    const match = pattern.exec(one.error)
    if (match) return match[1]!
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}

test('by browser: then one is oneself, and connects as oneself', async () => {
  const login = custody('login', '--no-browser')
  const left = await provider.browse(await told(login, /(http:\S+\/auth\?\S+)/), 'ada')
  expect(left.page).toMatch(/You can close this window/)
  expect([await login.ended, login.out]).toEqual([
    0,
    expect.stringMatching(/^You are ada@example.com, until /),
  ])
  const file = join(directory, 'config/custody/tokens.json')
  expect(statSync(file).mode & 0o077).toBe(0)
  expect(readFileSync(file, 'utf8')).not.toContain('id_token')

  const url = (await done('connect', 'shop', '--print')).out.trim()
  expect(url).toMatch(/^postgresql:\/\/ada:/)
  expect((await psql(url, ['-Atc', 'select 1'])).stdout).toBe('1\n')
  const [session] = (await done('sessions', '--json')).out
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line))
  expect(session.who).toMatchObject({
    subject: 'ada',
    issuer: provider.issuer,
    email: 'ada@example.com',
    groups: ['dba', 'sre'],
  })
  // Oneself is no administrator.
  expect(await done('token')).toMatchObject({
    code: 1,
    error: expect.stringMatching(/CUSTODY-API-002/),
  })
  expect(await done('connect', 'shop', '--print', '--subject', 'root')).toMatchObject({ code: 2 })

  expect((await done('logout')).out).toBe('ada is signed out.\n')
  expect((await psql(url, ['-Atc', 'select 1'])).code).toBe(0) // its own token, for an hour
  expect((await done('logout')).out).toBe('Nobody was signed in.\n')
  expect((await done('token')).code).toBe(0)
})

test('with a code to type elsewhere', async () => {
  const login = custody('login', '--device', '--json')
  const left = await provider.browse(await told(login, /or open (http:\S+)/), 'bo')
  expect(left.page).toMatch(/Sign-in Success|success/i)
  expect(await login.ended).toBe(0)
  expect(JSON.parse(login.out)).toMatchObject({ subject: 'bo', email: 'bo@example.com' })
  await done('logout')
})

test('what goes wrong is said', async () => {
  expect(await done('login', '--issuer', 'https://elsewhere.example.com')).toMatchObject({
    code: 1,
    error: expect.stringMatching(/CUSTODY-CLI-007.*there is http:/s),
  })
  const login = custody('login', '--no-browser')
  const asked = new URL(await told(login, /(http:\S+\/auth\?\S+)/))
  const redirect = asked.searchParams.get('redirect_uri')!
  // Somebody else's answer is none; the provider's refusal is told.
  expect((await fetch(`${redirect}?code=forged&state=guessed`)).status).toBe(404)
  await fetch(
    `${redirect}?error=access_denied&error_description=not+today&state=${asked.searchParams.get('state')}&iss=${encodeURIComponent(provider.issuer)}`,
  )
  expect(await login.ended).toBe(1)
  expect(login.error).toMatch(/CUSTODY-CLI-008.*not today/s)
})
