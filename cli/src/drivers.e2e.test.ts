/**
 * Every way in that a driver has, with drivers as they are: node-postgres, psycopg, psycopg2 and pgjdbc, before Custody as
 * `npm start` runs it and a real OpenID provider. What each of them shows is what docs/identity.md says.
 */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import {
  Browser,
  type DriverRun,
  drivers,
  type OidcProvider,
  type PostgresServer,
  runProgram,
  standaloneUnderTest,
  startOidcProvider,
  startPostgres,
} from '@custody/test-support'

const custody = standaloneUnderTest('drivers', (directory) => ({
  CUSTODY_CONFIG: join(directory, 'custody.yaml'),
  CUSTODY_TOKEN: undefined,
  XDG_CONFIG_HOME: join(directory, 'config'),
}))
let provider: OidcProvider
let server: PostgresServer
let port: number
let base: string
let expired: { token: string; expires: string }

beforeAll(async () => {
  ;[provider, server] = await Promise.all([startOidcProvider(), startPostgres()])
  const issuer = {
    issuer: provider.issuer,
    audiences: ['custody-cli', 'urn:custody'],
    claims: { groups: 'groups' },
    user: 'ci',
    clientId: 'custody-cli',
    scopes: ['openid', 'email', 'profile', 'groups'],
  }
  const resource = JSON.parse(server.resource({ database: server.database }))
  const configuration = { identity: { issuers: [issuer] }, resources: { shop: resource } }
  writeFileSync(custody.environment.CUSTODY_CONFIG!, JSON.stringify(configuration))
  await custody.start()
  const { ports } = JSON.parse(await command('status', '--json'))
  port = ports.postgres
  base = `http://127.0.0.1:${ports.console}`
  expired = JSON.parse(await command('token', '--subject', 'ada', '--ttl', '1s', '--json'))
}, 180_000)

afterAll(async () => {
  await custody.stop()
  await server?.stop()
  await provider?.stop()
})

async function command(...words: string[]): Promise<string> {
  const { code, stdout, stderr } = await runProgram(
    process.execPath,
    [join(__dirname, '../bin/custody.js'), ...words],
    { env: custody.environment },
  )
  if (code !== 0) throw new Error(`${words.join(' ')}: ${stderr}`)
  return stdout
}

interface Seen {
  who: { subject: string; method: string; groups: string[] }
  access: { code: string; reason: string }
  lifecycle: { attributes: Record<string, string> }
}

/** The newest event of this kind. */
async function last(kind: string): Promise<Seen> {
  const text = await command('events', '--kind', kind, '--since', '10m', '--json')
  return JSON.parse(text.split('\n')[0]!)
}

/** Reads what the program shows until an address is in it, and goes there as this account. */
async function vouch(run: DriverRun, account: string): Promise<void> {
  let url: string | undefined
  const over = run.ended.then(
    (outcome) => JSON.stringify(outcome),
    (error: Error) => error.message,
  )
  while (url === undefined) {
    url = /sign in here: (\S+)/.exec(run.seen())?.[1]
    const ended = await Promise.race([over, sleep(20)])
    if (ended !== undefined) throw new Error(ended)
  }
  const { pathname, search } = new URL(url)
  const browser = await new Browser().open(base + pathname + search)
  await browser.follow('provider=127.0.0.1')
  await provider.signIn(browser, account)
  await browser.submit({ answer: 'yes' }, '/activate')
}

const login = (user: string, password?: string) => ({ port, user, password, database: 'shop' })
/** libpq, and so what is built on it, tells no SQLSTATE of a connection that was refused. */
const refused = { psycopg: null, psycopg2: null, 'node-postgres': '28P01', pgjdbc: '28P01' }

describe.each(Object.entries(refused))('%s', (name, sqlstate) => {
  const driver = drivers[name]!
  const one = 'select 1'

  test('a Custody token is its password', async () => {
    const token = (await command('token', '--subject', 'eve', '--group', 'sre')).trim()
    const { value, error } = await driver.start(login('eve', token), one).ended
    expect([value, error]).toEqual(['1', null])
    expect((await last('session.opened')).who).toMatchObject({ subject: 'eve', groups: ['sre'] })
  })

  test('so is an ID token, under subject or e-mail address', async () => {
    const token = await provider.idToken('ada')
    for (const user of ['ada', 'ada@example.com'])
      expect((await driver.start(login(user, token), one).ended).value).toBe('1')
    expect((await last('session.opened')).who).toMatchObject({
      ...{ subject: 'ada', method: 'oidc', groups: ['dba', 'sre'] },
    })
  })

  test('and a job’s token, under its issuer’s user name', async () => {
    const run = driver.start(login('ci', await provider.jobToken()), one)
    expect((await run.ended).value).toBe('1')
    expect((await last('session.opened')).who).toMatchObject({ subject: 'ci', method: 'oidc' })
  })

  test('what is wrong or over is said, with its SQLSTATE where the driver has one', async () => {
    const token = await provider.idToken('ada')
    const until = Date.parse(expired.expires) + SKEW_MS + 1000 - Date.now()
    await sleep(Math.max(0, until))
    for (const [password, said] of [
      [`${token.slice(0, -6)}AAAAAA`, 'custody: the token is not accepted'],
      ['a password of old', 'custody: the token is not accepted'],
      [expired.token, 'custody: the token has expired'],
    ] as const) {
      const outcome = await driver.start(login('ada', password), one).ended
      expect(outcome).toMatchObject({ value: null, error: expect.stringContaining(said), sqlstate })
    }
  })

  test('the reason goes by the driver’s own way for start-up options', async () => {
    const options = '-c custody.reason=INC-42\\ it\\ burns -c statement_timeout=7s'
    const run = driver.start(
      { ...login('ada', await provider.idToken('ada')), options },
      'show statement_timeout',
    )
    expect((await run.ended).value).toBe('7s')
    const { attributes } = (await last('session.opened')).lifecycle
    expect(attributes.reason).toBe('INC-42 it burns')
  })
})

/** The clocks of whoever issues and whoever checks may differ by so much. */
const SKEW_MS = 5000

describe('without a credential', () => {
  test.each(['node-postgres', 'psycopg2', 'pgjdbc-logging'])(
    '%s shows where to sign in while it connects',
    async (name) => {
      const run = drivers[name]!.start(login('sso'), 'select 2')
      await vouch(run, 'ada')
      const { value, error, notices } = await run.ended
      expect([value, error]).toEqual(['2', null])
      expect((await last('session.opened')).who).toMatchObject({
        ...{ subject: 'ada', method: 'browser', groups: ['dba', 'sre'] },
      })
      // What psycopg2 passes on to the terminal it keeps from its program.
      if (name !== 'psycopg2')
        expect(notices).toEqual([
          expect.stringMatching(/^sign in here: /),
          'signed in as ada@example.com',
        ])
    },
  )

  test('under one’s own name where the start-up options say how', async () => {
    const options = '-c custody.sign_in=browser'
    const run = drivers['node-postgres']!.start({ ...login('bo'), options }, 'select 3')
    await vouch(run, 'bo')
    expect((await run.ended).value).toBe('3')
  })

  test.each([
    ['psycopg', /timeout expired/],
    ['pgjdbc', /timed out/i],
  ])('%s shows nothing, and gives up when its own time is over', async (name, said) => {
    const run = drivers[name]!.start({ ...login('sso'), connectSecondsMax: 4 }, 'select 1')
    expect(await run.ended).toMatchObject({ value: null, error: expect.stringMatching(said) })
    expect(run.seen()).not.toContain('sign in')
  })
})
