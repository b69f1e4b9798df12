/**
 * What must hold with Keycloak, case by case, in order: later ones change the realm (a group is left, keys are rotated).
 * A case throws where it does not hold.
 */
import { deepStrictEqual as equal, match } from 'node:assert'
import { Browser, libpqWithToken, rsaCertificate } from '@custody/test-support'
import type { World } from './world'

export interface Case {
  name: string
  run(world: World): Promise<void>
}

const ADA = { subject: 'ada', email: 'ada@example.com', groups: ['dba', 'sre'] }
/** The gateway asks an issuer for new keys no oftener. */
const KEYS_MS_MAX = 30_000

const sorted = (groups: readonly string[]) => [...groups].sort()

/** The address in what a program said. */
const ADDRESS = /(http:\/\/127\.0\.0\.1:\S+)/

async function openedAs(
  world: World,
  expected: { email: string; groups: string[]; method: string },
): Promise<void> {
  const { who } = await world.last('session.opened')
  equal({ email: who.email, groups: sorted(who.groups), method: who.method }, expected)
}

/** Works as whom the command line is signed in as, and is signed out again. */
async function worksAndLeaves(world: World): Promise<void> {
  const url = (await world.ran('connect', 'shop', '--print')).trim()
  const { username, password } = new URL(url)
  const { answer } = await world.asked(decodeURIComponent(username), decodeURIComponent(password))
  equal(answer, '1')
  await openedAs(world, { email: ADA.email, groups: ADA.groups, method: 'custody-token' })
  match(await world.ran('logout'), /is signed out/)
}

async function libpq(world: World, user: string, token: string) {
  return libpqWithToken(
    `host=127.0.0.1 port=${world.port} user=${user} dbname=shop sslmode=require oauth_issuer=${world.realm.issuer} oauth_client_id=custody require_auth=oauth`,
    token,
    'select 1',
  )
}

/** A response as Keycloak gives it to a browser, before it is sent on. */
async function samlResponse(world: World, account: string): Promise<Browser> {
  const browser = await new Browser().open(`${world.base}/approvals`)
  await browser.follow('corporate')
  await world.realm.signIn(browser, account, { before: true })
  return browser
}

export const cases: readonly Case[] = [
  {
    name: 'console: OpenID',
    async run(world) {
      const browser = await world.signedIn('ada', 'oidc', '/approvals?state=all')
      equal([browser.status, browser.url], [200, `${world.base}/approvals?state=all`])
      match(browser.page, /ada@example\.com/)
      const { who } = await world.last('access.sign-in')
      equal([who.email, sorted(who.groups), who.method], [ADA.email, ADA.groups, 'oidc'])
    },
  },
  {
    name: 'console: two realms of one Keycloak are two providers; one asks for a client’s secret',
    async run(world) {
      const browser = await world.signedIn('ada', 'second')
      equal([browser.status, browser.url], [200, `${world.base}/approvals`])
      const there = await world.last('access.sign-in')
      equal([there.who.issuer, there.who.groups], [world.realm.second.issuer, []])
      await world.signedIn('ada', 'oidc')
      const { who } = await world.last('access.sign-in')
      equal([who.issuer, sorted(who.groups)], [world.realm.issuer, ADA.groups])
    },
  },
  {
    name: 'console: SAML, by the metadata that Custody publishes',
    async run(world) {
      const browser = await world.signedIn('ada', 'saml')
      equal([browser.status, browser.url], [200, `${world.base}/approvals`])
      const { who } = await world.last('access.sign-in')
      const { subject, email, groups, method } = who
      equal({ subject, email, groups: sorted(groups), method }, { ...ADA, method: 'saml' })
    },
  },
  {
    name: 'SAML: a response is good once, and in the browser that asked',
    async run(world) {
      const browser = await samlResponse(world, 'ada')
      const kept = { url: browser.url, page: browser.page }
      await browser.submit({})
      equal([browser.status, browser.url], [200, `${world.base}/approvals`])
      for (const again of [browser, new Browser()]) {
        Object.assign(again, kept)
        await again.submit({})
        equal(again.status, 401)
      }
      const stolen = await samlResponse(world, 'ada')
      const thief = Object.assign(new Browser(), { url: stolen.url, page: stolen.page })
      await thief.submit({})
      equal(thief.status, 401)
      equal((await world.last('access.refused')).access.code, 'CUSTODY-TOKEN-006')
    },
  },
  {
    name: 'SAML: a response that was changed is refused',
    async run(world) {
      const browser = await samlResponse(world, 'bo')
      const [form] = browser.forms()
      const xml = Buffer.from(form!.values.get('SAMLResponse')!, 'base64').toString()
      match(xml, />analysts</)
      const changed = Buffer.from(xml.replace('>analysts<', '>dba<')).toString('base64')
      await browser.submit({ SAMLResponse: changed })
      equal(browser.status, 401)
      match((await world.last('access.refused')).access.reason, /signature/i)
    },
  },
  {
    name: 'SAML: an assertion that is encrypted is refused, since nobody here can read it',
    async run(world) {
      await world.realm.encryptSaml((await rsaCertificate()).certificate)
      try {
        equal((await world.signedIn('ada', 'saml')).status, 401)
        match((await world.last('access.refused')).access.reason, /decrypt/i)
      } finally {
        await world.realm.encryptSaml(null)
      }
      equal((await world.signedIn('ada', 'saml')).status, 200)
    },
  },
  {
    name: 'custody login, with a browser on this machine',
    async run(world) {
      const login = world.custody('login', '--no-browser')
      const browser = await new Browser().open((await login.until(ADDRESS))[1]!)
      await world.realm.signIn(browser, 'ada')
      match(browser.page, /You can close this window/)
      equal([await login.ended, login.output().slice(0, 23)], [0, 'You are ada@example.com'])
      await worksAndLeaves(world)
    },
  },
  {
    name: 'custody login --device',
    async run(world) {
      const login = world.custody('login', '--device')
      const [, url] = await login.until(/or open (\S+)/)
      const browser = await new Browser().open(url!)
      await world.realm.signIn(browser, 'ada')
      equal([await login.ended, login.output().slice(0, 23)], [0, 'You are ada@example.com'])
      await worksAndLeaves(world)
    },
  },
  {
    name: 'custody login --console, with SAML',
    async run(world) {
      const login = world.custody('login', '--console', '--no-browser')
      const browser = await new Browser().open((await login.until(ADDRESS))[1]!)
      await browser.follow('corporate')
      await world.realm.signIn(browser, 'ada')
      match(browser.page, /Sign in the command line\?/)
      await browser.submit({}, '/sign-in/cli')
      match(browser.page, /You can close this window/)
      equal(await login.ended, 0)
      await worksAndLeaves(world)
    },
  },
  {
    name: 'an ID token is a password',
    async run(world) {
      const { id_token } = await world.realm.tokens('ada')
      equal((await world.asked(ADA.email, id_token)).answer, '1')
      await openedAs(world, { email: ADA.email, groups: ADA.groups, method: 'oidc' })
      const { subject } = (await world.last('session.opened')).who
      equal((await world.asked(subject, id_token)).answer, '1')
      match((await world.asked('bo@example.com', id_token)).error, /was issued to/)
    },
  },
  {
    name: 'an address that Keycloak has not verified is nobody’s name',
    async run(world) {
      const { id_token } = await world.realm.tokens('cy')
      const { error } = await world.asked('cy@example.com', id_token)
      const [, subject] = /was issued to "([^"]+)"/.exec(error) ?? []
      equal((await world.asked(subject!, id_token)).answer, '1')
      equal((await world.last('session.opened')).who.email, null)
    },
  },
  {
    name: 'so is a job’s token, under its issuer’s user name',
    async run(world) {
      equal((await world.asked('ci', await world.realm.jobToken('ci'))).answer, '1')
      const { who } = await world.last('session.opened')
      equal([who.kind, who.groups], ['service', ['deploy']])
    },
  },
  {
    name: 'tokens that are not meant for Custody are none',
    async run(world) {
      const { refresh_token, id_token } = await world.realm.tokens('ada')
      for (const [token, why] of [
        [await world.realm.jobToken('warehouse'), /aud/],
        [refresh_token, /alg|algorithm/i],
        [`${id_token.slice(0, -6)}AAAAAA`, /signature/],
      ] as const) {
        match((await world.asked('ci', token)).error, /the token is not accepted/)
        match((await world.last('access.refused')).access.reason, why)
      }
    },
  },
  {
    name: 'a client without a credential: OpenID',
    async run(world) {
      const client = world.client('sso', 'select 1')
      const [, path] = await client.until(/sign in here: http:\/\/[^/]+(\S+)/)
      const browser = await world.signedIn('ada', 'oidc', path)
      await browser.submit({ answer: 'yes' }, '/activate')
      equal([await client.ended, client.output()], [0, '1\n'])
      await openedAs(world, { email: ADA.email, groups: ADA.groups, method: 'browser' })
    },
  },
  {
    name: 'a client without a credential: SAML',
    async run(world) {
      const client = world.client('sso', 'select 1')
      const [, path] = await client.until(/sign in here: http:\/\/[^/]+(\S+)/)
      const browser = await world.signedIn('bo', 'saml', path)
      await browser.submit({ answer: 'yes' }, '/activate')
      equal([await client.ended, client.output()], [0, '1\n'])
      await openedAs(world, { email: 'bo@example.com', groups: ['analysts'], method: 'browser' })
    },
  },
  {
    name: 'OAUTHBEARER, with an access token',
    async run(world) {
      const { access_token } = await world.realm.tokens('ada')
      const { code, stdout, stderr } = await libpq(world, 'oauth', access_token)
      equal(
        { code, stdout, stderr: code === 0 ? '' : stderr },
        { code: 0, stdout: '1\n', stderr: '' },
      )
      match(stderr, /discovery http\S+\/realms\/acme\/\.well-known\/openid-configuration/)
      await openedAs(world, { email: ADA.email, groups: ADA.groups, method: 'oidc' })
      const other = await libpq(world, 'oauth', await world.realm.jobToken('warehouse'))
      equal(other.code, 1)
      match(other.stderr, /the token is not accepted/)
    },
  },
  {
    name: 'who leaves a group is out of it from the next sign-in on',
    async run(world) {
      await world.realm.leaveGroup('ada', 'dba')
      for (const provider of ['oidc', 'saml'] as const) {
        await world.signedIn('ada', provider)
        equal((await world.last('access.sign-in')).who.groups, ['sre'])
      }
      equal((await world.asked(ADA.email, (await world.realm.tokens('ada')).id_token)).answer, '1')
      await openedAs(world, { email: ADA.email, groups: ['sre'], method: 'oidc' })
      await world.realm.joinGroup('ada', 'dba')
      await world.signedIn('ada', 'oidc')
      equal(sorted((await world.last('access.sign-in')).who.groups), ADA.groups)
    },
  },
  {
    name: 'new keys: OpenID goes on by itself, SAML is refused until its certificate is configured',
    async run(world) {
      const before = (await world.realm.tokens('ada')).id_token
      await world.realm.rotate()
      const after = (await world.realm.tokens('ada')).id_token
      const untilMs = Date.now() + KEYS_MS_MAX
      let last = await world.asked(ADA.email, after)
      while (last.answer !== '1' && Date.now() < untilMs) last = await world.asked(ADA.email, after)
      equal(last, { answer: '1', error: '' })
      equal((await world.asked(ADA.email, before)).answer, '1')
      const browser = await world.signedIn('ada', 'saml')
      equal(browser.status, 401)
      match((await world.last('access.refused')).access.reason, /signature/i)
    },
  },
]
