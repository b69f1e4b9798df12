/**
 * Ways in that need a person at a browser, end to end: Custody as `npm start` runs it, a real OpenID provider, a SAML identity
 * provider that is a simulator, psql, and a browser. What is refused is looked for in the record.
 */
import { spawn } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import {
  Browser,
  clientProgram,
  type OidcProvider,
  type PostgresServer,
  rsaCertificate,
  type SamlProvider,
  standaloneUnderTest,
  startOidcProvider,
  startPostgres,
  startSamlSimulator,
} from '@custody/test-support'

const custody = standaloneUnderTest('custody-sign-in-', (directory) => ({
  CUSTODY_CONFIG: join(directory, 'custody.yaml'),
  XDG_CONFIG_HOME: join(directory, 'config'),
}))
let provider: OidcProvider
let saml: SamlProvider
let server: PostgresServer
let postgresPort: number
let base: string

beforeAll(async () => {
  ;[provider, saml, server] = await Promise.all([
    startOidcProvider(),
    startSamlSimulator(),
    startPostgres({ sql: 'create table t(a int); insert into t select generate_series(1, 5)' }),
  ])
  writeFileSync(join(custody.directory, 'idp.pem'), saml.certificate)
  writeFileSync(
    join(custody.directory, 'own.cedar'),
    `@id("all") permit (principal, action, resource);
@id("delete") @reason("deletes need a second person") @approvers("dba") @comment("required")
forbid (principal, action == Action::"sql:delete", resource) unless { context.approved };
@id("truncate") @reason("a truncate needs a reason") forbid (principal, action == Action::"sql:truncate", resource) unless { context has reason };`,
  )
  writeFileSync(
    join(custody.directory, 'custody.yaml'),
    `identity:
  issuers:
    - issuer: ${provider.issuer}
      audiences: [custody-cli]
      claims: {groups: groups}
      clientId: custody-cli
      scopes: [openid, email, profile, groups]
  saml:
    - name: corporate
      entryPoint: ${saml.entryPoint}
      idpIssuer: ${saml.entityId}
      idpCertificates: [idp.pem]
console: {roles: {analyst: [sre]}}
policy: {files: [own.cedar]}
resources:
  shop: ${server.resource({ database: server.database })}
`,
  )
  await custody.start()
  const status = JSON.parse(await ran('status', '--json'))
  postgresPort = status.ports.postgres
  base = `http://127.0.0.1:${status.ports.console}`
}, 120_000)

afterAll(async () => {
  await custody.stop()
  await server?.stop()
  await provider?.stop()
  await saml?.stop()
})

/** The command's output. */
async function ran(...words: string[]): Promise<string> {
  const child = command(...words)
  const code = await child.ended
  if (code !== 0) throw new Error(`${words.join(' ')}: ${child.said()}`)
  return child.output()
}

function command(...words: string[]) {
  const child = spawn(process.execPath, [join(__dirname, '../bin/custody.js'), ...words], {
    cwd: custody.directory,
    env: custody.environment,
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  return collected(child)
}

function collected(child: ReturnType<typeof spawn>) {
  let out = ''
  let err = ''
  child.stdout!.on('data', (data) => {
    out += data
  })
  child.stderr!.on('data', (data) => {
    err += data
  })
  const ended = new Promise<number | null>((resolve) => child.once('close', resolve))
  return {
    child,
    ended,
    output: () => out,
    said: () => err,
    async until(pattern: RegExp): Promise<RegExpExecArray> {
      for (;;) {
        const found = pattern.exec(err)
        if (found) return found
        if (child.exitCode !== null) throw new Error(`ended: ${err}${out}`)
        await sleep(20)
      }
    },
  }
}

/** psql as somebody would type it, without any password. */
async function psql(user: string, sql: string, options = '') {
  const path = await clientProgram('psql')
  return collected(
    spawn(path, [`postgresql://${user}@127.0.0.1:${postgresPort}/shop`, '-w', '-Atc', sql], {
      env: { ...process.env, PGOPTIONS: options },
      stdio: ['ignore', 'pipe', 'pipe'],
    }),
  )
}

/** A browser in which this account is signed in by the OpenID provider, at the page asked for. */
async function signedIn(account: string, path = '/'): Promise<Browser> {
  const browser = await new Browser().open(base + path)
  await browser.follow('provider=127.0.0.1')
  await provider.signIn(browser, account)
  return browser
}

// biome-ignore lint/suspicious/noExplicitAny: events of every kind, looked at by their own tests
type Answer = Record<string, any>

async function events(kind: string): Promise<Answer[]> {
  const text = await ran('events', '--kind', kind, '--since', '10m', '--json')
  return text
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line))
}

describe('signing in with a browser', () => {
  test('OpenID: there, back, and where one wanted to go; the cookie is out of reach of scripts', async () => {
    const browser = await signedIn('ada', '/approvals?state=all')
    expect(browser.url).toBe(`${base}/approvals?state=all`)
    expect(browser.page).toContain('ada@example.com')
    const [event] = await events('access.sign-in')
    expect(event).toMatchObject({ who: { subject: 'ada', groups: ['dba', 'sre'] } })
    const response = await fetch(
      `${base}/sign-in/start?provider=${new URL(provider.issuer).host}`,
      {
        redirect: 'manual',
      },
    )
    expect(response.headers.get('set-cookie')).toMatch(/HttpOnly; SameSite=Lax/)
  })

  test('SAML: groups from attributes, and the same place afterwards', async () => {
    saml.next = { account: 'bo' }
    const browser = await new Browser().open(`${base}/approvals`)
    await browser.follow('provider=corporate')
    await browser.submit({})
    expect(browser.url).toBe(`${base}/approvals`)
    expect(browser.page).toContain('bo@example.com')
    const [event] = await events('access.sign-in')
    expect(event).toMatchObject({
      who: { subject: 'bo', issuer: saml.entityId, groups: ['analysts'], method: 'saml' },
    })
  })

  test('SAML: whatever is bent is refused, told the same, and the record says what it was', async () => {
    const stranger = await rsaCertificate()
    const bends: [string, SamlProvider['next'], RegExp][] = [
      ['another key', { account: 'ada', signer: stranger }, /signature/i],
      [
        'another audience',
        { account: 'ada', bend: () => ({ audience: 'urn:other' }) },
        /audience/i,
      ],
      ['another issuer', { account: 'ada', bend: () => ({ issuer: 'urn:other' }) }, /issuer/i],
      ['of no request', { account: 'ada', bend: () => ({ inResponseTo: '_1' }) }, /InResponseTo/i],
      [
        'expired',
        { account: 'ada', bend: () => ({ notOnOrAfter: -120 }) },
        /subject confirmation/i,
      ],
      ['not yet', { account: 'ada', bend: () => ({ notBefore: 600 }) }, /not yet/i],
      [
        'changed afterwards',
        { account: 'bo', change: (xml) => xml.replace('>analysts<', '>dba<') },
        /signature/i,
      ],
      [
        'unsigned',
        { account: 'ada', change: (xml) => xml.replace(/<Signature[\s\S]*<\/Signature>/, '') },
        /signature/i,
      ],
      [
        'an assertion wrapped around the signed one',
        {
          account: 'bo',
          change: (xml) => {
            const signed = /<saml:Assertion[\s\S]*<\/saml:Assertion>/.exec(xml)![0]
            const evil = signed
              .replace(/<Signature[\s\S]*<\/Signature>/, '')
              .replace(/ID="[^"]*"/, 'ID="_evil"')
              .replace('>bo<', '>ada<')
            return xml.replace(signed, `${evil}${signed}`)
          },
        },
        /./,
      ],
      [
        'a name that is new each time',
        {
          account: 'ada',
          bend: () => ({ nameIdFormat: 'urn:oasis:names:tc:SAML:2.0:nameid-format:transient' }),
        },
        /transient/,
      ],
    ]
    for (const [what, next, reason] of bends) {
      saml.next = next
      const browser = await new Browser().open(`${base}/approvals`)
      await browser.follow('provider=corporate')
      await browser.submit({})
      expect([what, browser.status]).toEqual([what, 401])
      expect(browser.page).toContain('signing in at the identity provider failed')
      const [refused] = await events('access.refused')
      expect([what, refused!.access.code, refused!.access.reason]).toEqual([
        what,
        'CUSTODY-TOKEN-006',
        expect.stringMatching(reason),
      ])
      await browser.open(`${base}/approvals`)
      expect(browser.url).toContain('/sign-in')
    }
  })

  test('a response is good once, and in the browser that asked', async () => {
    saml.next = { account: 'ada' }
    const browser = await new Browser().open(`${base}/approvals`)
    await browser.follow('provider=corporate')
    const [form] = browser.forms()
    const elsewhere = new Browser()
    Object.assign(elsewhere, { url: browser.url, page: browser.page })
    // Another browser takes the response to us: it has not begun this sign-in.
    await elsewhere.submit({})
    expect([elsewhere.status, elsewhere.page]).toEqual([
      401,
      expect.stringContaining('not begun here'),
    ])
    // And now it is used up.
    await browser.submit(Object.fromEntries(form!.values))
    expect(browser.status).toBe(401)
  })

  test('nobody is sent elsewhere', async () => {
    for (const to of [
      'https://evil.example/',
      '//evil.example',
      '/\\evil.example',
      'javascript:x',
    ]) {
      const browser = await new Browser().open(`${base}/sign-in?to=${encodeURIComponent(to)}`)
      await browser.follow('provider=127.0.0.1')
      await provider.signIn(browser, 'ada')
      expect(browser.url).toBe(`${base}/approvals`)
    }
  })

  test('signing out ends the token, not only the cookie', async () => {
    const browser = await signedIn('ada')
    const token = browser.cookie(base, 'custody')!
    const asked = () =>
      fetch(`${base}/api/v1/sessions`, { headers: { authorization: `Bearer ${token}` } })
    expect((await asked()).status).toBe(200)
    await browser.submit({}, '/sign-out')
    expect(browser.url).toBe(`${base}/sign-in`)
    expect((await asked()).status).toBe(401)
  })

  test('the cookie alone changes nothing: a page of somebody else can send it, and not more', async () => {
    const browser = await signedIn('ada')
    const cookie = `custody=${browser.cookie(base, 'custody')}`
    const asked = (path: string, init: RequestInit) =>
      fetch(base + path, {
        ...init,
        method: 'POST',
        redirect: 'manual',
        headers: { cookie, ...init.headers },
      })
    for (const [path, body] of [
      ['/sign-out', new URLSearchParams()],
      ['/sign-out', new URLSearchParams({ csrf: 'x'.repeat(43) })],
      ['/activate', new URLSearchParams({ code: 'BCDFGHJK', answer: 'yes' })],
    ] as const)
      expect((await asked(path, { body })).status).toBe(403)
    const api = { body: '{}', headers: { 'content-type': 'application/json' } }
    expect((await asked('/api/v1/tokens/own', api)).status).toBe(403)
    const [field] = browser.forms()
    const csrf = field!.values.get('csrf')!
    const own = { ...api, headers: { ...api.headers, 'x-custody-csrf': csrf } }
    expect((await asked('/api/v1/tokens/own', own)).status).toBe(201)
  })
})

interface Seen {
  kind: string
  who: { subject: string } | null
}

describe('roles', () => {
  test('an analyst sees what others did, but not who looked at what; a viewer what is theirs; neither administers', async () => {
    const of = async (account: string) => {
      const token = (await signedIn(account)).cookie(base, 'custody')!
      return async (path: string, method = 'GET') => {
        const response = await fetch(`${base}/api/v1${path}`, {
          method,
          headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
          ...(method === 'POST' && {
            body: JSON.stringify(path === '/locks' ? { identity: 'x' } : { subject: 'x' }),
          }),
        })
        return { status: response.status, body: (await response.json()) as { events: Seen[] } }
      }
    }
    const ada = await of('ada')
    const bo = await of('bo')
    const kinds = async (ask: typeof ada) =>
      new Set(
        (await ask('/events?limit=1000&wait=2000')).body.events.map(
          ({ kind, who }) => `${kind} ${who?.subject ?? '-'}`,
        ),
      )
    const byAda = [...(await kinds(ada))] as string[]
    expect(byAda).toContain('access.sign-in bo')
    expect(byAda.filter((one) => one.startsWith('audit.'))).toEqual([])
    // Events of the API itself are in the store a moment later.
    let byBo: string[] = []
    while (byBo.length === 0) byBo = [...(await kinds(bo))] as string[]
    expect(byBo.filter((one) => !one.endsWith(' bo'))).toEqual([])
    for (const ask of [ada, bo])
      for (const path of ['/tokens', '/locks']) expect((await ask(path, 'POST')).status).toBe(403)
  })
})

describe('a client without a credential', () => {
  test('psql shows where to sign in, waits, and goes on as who did', async () => {
    const client = await psql('sso', 'select count(*) from t')
    const [, url, code] = await client.until(
      /sign in here: (\S+)[\s\S]*The page shows the code ([A-Z-]{9})/,
    )
    const browser = await signedIn('ada', new URL(url!).pathname + new URL(url!).search)
    expect(browser.page).toContain(code)
    expect(browser.page).toContain('ada@example.com')
    await browser.submit({ answer: 'yes' }, '/activate')
    expect(browser.page).toContain('Go back to your client')
    expect(await client.ended).toBe(0)
    expect(client.output()).toBe('5\n')
    expect(client.said()).toContain('signed in as ada@example.com')
    const [opened] = await events('session.opened')
    expect(opened).toMatchObject({
      who: { subject: 'ada', method: 'browser', groups: ['dba', 'sre'] },
    })
  })

  test('whoever says no, or is somebody else, keeps it out', async () => {
    const refused = await psql('sso', 'select 1')
    const [, url] = await refused.until(/sign in here: (\S+)/)
    const browser = await signedIn('bo', new URL(url!).pathname + new URL(url!).search)
    await browser.submit({ answer: 'no' }, '/activate')
    expect(await refused.ended).toBe(2)
    expect(refused.said()).toContain('bo@example.com turned it away')
    const other = await psql('ada', 'select 1', '-c custody.sign_in=browser')
    const [, again] = await other.until(/sign in here: (\S+)/)
    await browser.open(again!)
    await browser.submit({ answer: 'yes' }, '/activate')
    expect(await other.ended).toBe(2)
    expect(other.said()).toMatch(/"bo@example.com" signed in, not "ada"/)
  })

  test('a code is good while its client waits, and for one answer', async () => {
    const client = await psql('sso', 'select 1')
    const [, url] = await client.until(/sign in here: (\S+)/)
    client.child.kill()
    await client.ended
    const browser = await signedIn('ada', new URL(url!).pathname + new URL(url!).search)
    await browser.submit({ answer: 'yes' }, '/activate')
    await sleep(500)
    expect((await events('session.opened'))[0]!.who.subject).not.toBe(undefined)
    const [refused] = await events('access.refused')
    expect(refused!.access).toMatchObject({
      code: 'CUSTODY-PG-018',
      reason: 'the client went away',
    })
    await browser.open(`${base}/activate?code=ZZZZ-ZZZZ`)
    expect([browser.status, browser.page]).toEqual([404, expect.stringContaining('nothing waits')])
  })

  test('custody.* settings end here; a reason given is in the record and in the policies’ reach', async () => {
    const settings =
      '-c custody.sign_in=browser -c custody.reason=INC-42\\ it\\ burns -c statement_timeout=5s'
    const client = await psql(
      'sso',
      "truncate t; show statement_timeout; select current_setting('custody.reason', true)",
      settings,
    )
    const [, url] = await client.until(/sign in here: (\S+)/)
    const browser = await signedIn('ada', new URL(url!).pathname + new URL(url!).search)
    await browser.submit({ answer: 'yes' }, '/activate')
    expect([await client.ended, client.said()]).toEqual([0, expect.anything()])
    expect(client.output()).toBe('TRUNCATE TABLE\n5s\n\n')
    const [opened] = await events('session.opened')
    expect(opened!.lifecycle.attributes).toMatchObject({ reason: 'INC-42 it burns' })
  })
})

describe('answering in a browser', () => {
  test('the page says who, what, where and why; only the right person answers, with a comment where one is needed', async () => {
    const bo = (await signedIn('bo')).cookie(base, 'custody')!
    const path = await clientProgram('psql')
    const client = collected(
      spawn(
        path,
        [
          `postgresql://bo:${bo}@127.0.0.1:${postgresPort}/shop`,
          '-c',
          "delete from t where a = 1 and '<b>' <> ''",
        ],
        {
          stdio: ['ignore', 'pipe', 'pipe'],
        },
      ),
    )
    const [, id] = await client.until(/Request ([0-9a-f-]{36})/)
    const asker = await signedIn('bo', `/approvals/${id}`)
    expect(asker.page).toContain('You can’t answer this: nobody answers their own request')
    expect(asker.page).toContain(
      'delete from t where a = 1 and &#39;&lt;b&gt;&#39; &lt;&gt; &#39;&#39;',
    )
    const approver = await signedIn('ada', '/approvals')
    expect(approver.page).toContain('deletes need a second person')
    await approver.follow(id!)
    expect(approver.page).toContain('bo@example.com')
    await approver.submit({ comment: ' ' }, '/deny', `/approvals/${id}/approve`)
    expect([approver.status, approver.page]).toEqual([
      400,
      expect.stringContaining('with a comment'),
    ])
    await approver.open(`${base}/approvals/${id}`)
    await approver.submit({ comment: 'seen, go' }, '/deny', `/approvals/${id}/approve`)
    expect(approver.url).toBe(`${base}/approvals/${id}`)
    expect(await client.ended).toBe(0)
    const [approved] = await events('approval.approved')
    expect(approved!.approval).toMatchObject({
      approver: { subject: 'ada' },
      channel: 'console',
      comment: 'seen, go',
    })
    await approver.open(`${base}/approvals`)
    expect(approver.page).toContain('Nothing waits for you')
  })
})
