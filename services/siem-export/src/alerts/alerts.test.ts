/** Alerts: which events are some, how often they are said, and what each channel gets. */

import dns from 'node:dns'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type Server } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { silentLogger } from '@custody/kit'
import type { EventInput } from '@custody/schemas'
import { decodeMessage, encodeMessage, newUuid } from '@custody/schemas'
import { certificateFor } from '@custody/test-support'
import { SMTPServer } from 'smtp-server'
import type { Batch, Outgoing } from '../delivery/destination'
import { createDestination } from '../destinations'
import { path, secrets, settingsOf, who } from '../testing'
import { type Alert, alertOf, kindOf } from './alert'
import { Limiter } from './limiter'
import { createAlertStage } from './stage'

const event = (input: EventInput) => decodeMessage(encodeMessage({ recorder: 'proxy-g', ...input }))

const blocked = (text = 'drop table customers'): EventInput => ({
  kind: 'command.blocked',
  session: newUuid(),
  who,
  path,
  statement: {
    ...{ language: 'sql', interface: 'query', text, textBytes: text.length, textDigest: null },
    ...{ parameters: [], fingerprint: 'f1', verbs: ['sql:drop'], objects: [], understood: true },
    ...{ problem: null, index: 0, count: 1, attributes: {} },
  },
  decision: {
    ...{ outcome: 'block', policies: ['no-drop'], version: null, reason: 'never in production' },
    ...{ evaluationMicros: 1, approval: null },
  },
})

const masked = (count: number): EventInput => ({
  kind: 'command.completed',
  masks: [{ rule: 'cards', column: 'cards.number', detector: null, action: 'partial', count }],
})

test.each<[string, EventInput, string | null]>([
  ['a blocked command', blocked(), 'blocked'],
  ['a refused sign-in', { kind: 'access.refused' }, 'sign-in-refused'],
  ['an approval that is asked', { kind: 'approval.requested' }, 'approval-asked'],
  ['one that nobody answered', { kind: 'approval.expired' }, 'approval-expired'],
  ['a forced approval', { kind: 'alert.approval-forced' }, 'break-glass'],
  ['an evidence gap', { kind: 'alert.evidence-gap' }, 'evidence-gap'],
  ['what a destination lost', { kind: 'alert.siem-lost' }, 'evidence-gap'],
  ['a detection', { kind: 'alert.detection' }, 'detection'],
  ['any other alert', { kind: 'alert.masking' }, 'policy'],
  ['many masked values', masked(1000), 'masks'],
  ['a few masked values', masked(999), null],
  ['a command', { kind: 'command.started' }, null],
])('%s', (_, input, kind) => {
  expect(kindOf(event(input), 1000)).toBe(kind)
})

test('an alert says who, where, why and what, and links to the session', () => {
  const one = event(blocked('drop table \u202ecustomers'))
  const alert = alertOf(one, {
    on: ['blocked'],
    masksMin: 1,
    consoleUrl: 'https://custody.example/',
  })!
  expect(alert).toMatchObject({
    kind: 'blocked',
    title: 'Command blocked: ada@example.com on orders',
    // What turns text around is shown, not done.
    statement: 'drop table \\u{202e}customers',
  })
  expect(alert.url).toMatch(/^https:\/\/custody\.example\/sessions\/[0-9a-f-]{36}$/)
  expect(Object.fromEntries(alert.facts)).toMatchObject({
    Who: 'ada@example.com',
    Where: 'orders',
    From: '10.1.2.3',
    Why: 'never in production',
    Policies: 'no-drop',
  })
  expect(alertOf(one, { on: ['masks'], masksMin: 1, consoleUrl: undefined })).toBeNull()
})

const alert = (key: string, kind: Alert['kind'] = 'blocked'): Alert => ({
  ...{ id: `${key}-id`, kind, key, title: key, severity: 'medium' },
  ...{ timeMicros: 1, facts: [], statement: null, url: null },
})

test('the same is said once in a window, and its count when that is over', () => {
  const limiter = new Limiter({ repeatMs: 1000, perMinuteMax: 100 })
  expect([0, 1, 2, 3].map((ms) => limiter.admit(alert('a'), ms))).toEqual([
    true,
    false,
    false,
    false,
  ])
  expect(limiter.admit(alert('b'), 3)).toBe(true)
  expect(limiter.due(999)).toEqual([])
  // As after a restart.
  const again = new Limiter({ repeatMs: 1000, perMinuteMax: 100 }, structuredClone(limiter.state()))
  expect(again.due(1000).map(({ title }) => title)).toEqual(['3 more: a'])
  expect(again.due(5000)).toEqual([])
  expect(again.admit(alert('a'), 5000)).toBe(true)
})

test('more than a minute takes become one alert that counts them by kind', () => {
  const limiter = new Limiter({ repeatMs: 0, perMinuteMax: 3 })
  const said = Array.from({ length: 10 }, (_, i) =>
    limiter.admit(alert(String(i), i < 8 ? 'blocked' : 'masks'), i),
  )
  expect(said.filter(Boolean)).toHaveLength(3)
  expect(limiter.due(59_999)).toEqual([])
  const [count] = limiter.due(60_000)
  expect(count!.title).toBe('7 alerts were not sent one by one')
  expect(count!.facts).toEqual([
    ['Limit', '3 a minute'],
    ['blocked', '5'],
    ['masks', '2'],
  ])
  expect(limiter.due(60_001)).toEqual([])
  expect(limiter.admit(alert('later'), 60_002)).toBe(true)
})

test('everything that is admitted or counted adds up to everything', () => {
  let now = 0
  const stage = createAlertStage(
    { alerts: { on: ['blocked'], masksMin: 1, repeatSeconds: 60, perMinuteMax: 2 } },
    { consoleUrl: undefined, gateway: 'g', state: undefined, nowMs: () => now },
  )
  let said = 0
  let counted = 0
  const hear = () => {
    for (const { text } of stage.extra()) {
      const { title } = JSON.parse(text) as Alert
      counted += Number(/^(\d+) /.exec(title)![1])
    }
  }
  for (let i = 0; i < 200; i++) {
    now = i * 1000
    const one = event(blocked())
    one.who = { ...who, email: `person${i % 5}@example.com` }
    if (stage.writer.text(one, Buffer.alloc(0)) !== null) said++
    hear()
  }
  for (now = 200_000; now < 500_000; now += 1000) hear()
  expect(said + counted).toBe(200)
  expect(said).toBeGreaterThan(2)
})

interface Heard {
  url: string
  headers: Record<string, string | string[] | undefined>
  body: Record<string, unknown>
}

/** Says 500 to the second request, and 429 to the fourth. */
async function listening(): Promise<{ url: string; heard: Heard[]; server: Server }> {
  const heard: Heard[] = []
  let n = 0
  const server = createServer((request, response) => {
    let body = ''
    request.on('data', (part) => (body += part))
    request.on('end', () => {
      n++
      if (n === 2 || n === 4)
        return void response.writeHead(n === 2 ? 500 : 429, { 'retry-after': '0' }).end('{}')
      if (request.method === 'GET')
        return void response.writeHead(200).end(JSON.stringify({ result: [] }))
      heard.push({ url: request.url!, headers: request.headers, body: JSON.parse(body) })
      response.writeHead(request.url === '/v2/enqueue' ? 202 : 200).end('{}')
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return { url: `http://127.0.0.1:${(server.address() as { port: number }).port}`, heard, server }
}

function batchOf(...alerts: Alert[]): Batch {
  const records = alerts.map(
    (one) => ({ id: one.id, text: JSON.stringify(one), bytes: 1 }) as Outgoing,
  )
  return { records, bytes: 1, attempt: 1 }
}

/** Until each is taken, as delivery does. */
async function deliverAll(settings: Record<string, unknown>, alerts: Alert[]): Promise<void> {
  const destination = createDestination({
    name: 'chat',
    settings: settingsOf(settings),
    gateway: 'g',
    secrets,
    logger: silentLogger(),
  })
  let left = alerts
  for (let attempt = 1; left.length > 0 && attempt < 10; attempt++)
    try {
      const receipt = await destination.deliver(
        { ...batchOf(...left), attempt },
        AbortSignal.timeout(20_000),
      )
      expect(receipt.refused ?? []).toEqual([])
      left = (receipt.again?.indices ?? []).map((i) => left[i]!)
    } catch {}
  await destination.close()
  expect(left).toEqual([])
}

const evil: Alert = {
  ...alert('evil'),
  ...{ title: 'Command blocked: <!channel> *x* @here', statement: 'select 1 -- <https://evil|ok>' },
  ...{ facts: [['Why', '<!channel> [x](https://evil) @all']], url: 'https://custody.example/s' },
}

test.each<[string, (url: string) => Record<string, unknown>, (heard: Heard) => void]>([
  [
    'slack',
    (url) => ({ type: 'slack', url: { literal: `${url}/hook` } }),
    ({ body }) => {
      // Nothing that others wrote is where Slack reads markup.
      expect(body.text).toContain('&lt;!channel&gt;')
      expect(JSON.stringify(body.blocks)).not.toContain('mrkdwn')
    },
  ],
  [
    'teams',
    (url) => ({ type: 'teams', url: { literal: `${url}/hook` } }),
    ({ body }) => expect(JSON.stringify(body)).not.toContain('"TextBlock"'),
  ],
  [
    'pagerduty',
    (url) => ({
      type: 'pagerduty',
      url: `${url}/v2/enqueue`,
      routingKey: { literal: 'r'.repeat(32) },
    }),
    ({ body }) =>
      expect(body).toMatchObject({
        routing_key: 'r'.repeat(32),
        event_action: 'trigger',
        payload: { severity: 'warning', source: 'g' },
      }),
  ],
  [
    'jira',
    (url) => ({
      ...{ type: 'jira', url, user: 'bot@example.com', token: { literal: 't' }, project: 'SEC' },
    }),
    ({ body, headers }) => {
      expect(headers.authorization).toBe(
        `Basic ${Buffer.from('bot@example.com:t').toString('base64')}`,
      )
      expect(body).toMatchObject({
        fields: { project: { key: 'SEC' }, issuetype: { name: 'Task' } },
      })
    },
  ],
  [
    'servicenow',
    (url) => ({ type: 'servicenow', url, user: 'u', password: { literal: 'p' } }),
    ({ body, url }) => {
      expect(url).toBe('/api/now/table/incident')
      expect(body).toMatchObject({ correlation_id: expect.any(String), urgency: '2' })
    },
  ],
])(
  '%s gets each alert once, whatever fails on the way (a simulator)',
  async (_, settings, check) => {
    const { url, heard, server } = await listening()
    await deliverAll(settings(url), [evil, alert('b'), alert('c')])
    server.close()
    server.closeAllConnections()
    expect(heard).toHaveLength(3)
    check(heard[0]!)
  },
)

/** What name servers say of mail.test, and of nothing else. */
function named(address: string): () => void {
  const asked = dns.lookup
  const lookup = jest
    .spyOn(dns, 'lookup')
    .mockImplementation(((
      name: string,
      options: dns.LookupAllOptions,
      callback: (error: Error | null, addresses: dns.LookupAddress[]) => void,
    ) =>
      name === 'mail.test'
        ? callback(null, [{ address, family: 4 }])
        : asked(name, options, callback)) as never)
  return () => lookup.mockRestore()
}

test('e-mail: a real SMTP server gets each alert once, over STARTTLS with its certificate verified', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'custody-smtp-'))
  const { certificate, key } = await certificateFor()
  writeFileSync(join(directory, 'ca.pem'), certificate)
  const mails: { text: string; secure: boolean; to: string[] }[] = []
  const server = new SMTPServer({
    key,
    cert: certificate,
    onAuth: ({ username, password }, _, done) =>
      username === 'custody' && password === 'pw'
        ? done(null, { user: 'x' })
        : done(new Error('no')),
    onData(stream, session, done) {
      let text = ''
      stream.on('data', (part) => (text += part))
      stream.on('end', () => {
        mails.push({
          text,
          secure: session.secure,
          to: session.envelope.rcptTo.map(({ address }) => address),
        })
        done()
      })
    },
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', () => resolve()))
  const { port } = server.server.address() as { port: number }
  const settings = {
    ...{ type: 'email', host: '127.0.0.1', port, user: 'custody', password: { literal: 'pw' } },
    ...{ sender: 'custody@example.com', to: ['soc@example.com', 'on-call@example.com'] },
    tls: { ca: join(directory, 'ca.pem'), serverName: 'localhost' },
  }
  await deliverAll(settings, [evil, alert('b')])
  expect(mails.map(({ secure }) => secure)).toEqual([true, true])
  expect(mails[0]!.to).toEqual(['soc@example.com', 'on-call@example.com'])
  expect(mails[0]!.text).toContain('Message-ID: <evil-id@example.com>')
  // Its name is looked up once, and what it stands for is looked at before it is connected to.
  const named1 = named('127.0.0.1')
  await deliverAll({ ...settings, host: 'mail.test' }, [alert('named')])
  named1()
  expect(mails.pop()!.text).toContain('named-id@example.com')
  const named2 = named('169.254.169.254')
  await expect(
    createDestination({
      ...{ name: 'mail', gateway: 'g', secrets, logger: silentLogger() },
      settings: settingsOf({ ...settings, host: 'mail.test' }),
    }).deliver(batchOf(alert('x')), AbortSignal.timeout(20_000)),
  ).rejects.toMatchObject({ fault: 'setting', message: expect.stringContaining('EDENIED') })
  named2()
  // Another authority's certificate: nothing is sent.
  const other = await certificateFor(['elsewhere'])
  writeFileSync(join(directory, 'ca.pem'), other.certificate)
  const destination = createDestination({
    ...{
      name: 'mail',
      settings: settingsOf(settings),
      gateway: 'g',
      secrets,
      logger: silentLogger(),
    },
  })
  await expect(
    destination.deliver(batchOf(alert('c')), AbortSignal.timeout(20_000)),
  ).rejects.toThrow(/mail server/)
  expect(mails).toHaveLength(2)
  await new Promise<void>((resolve) => server.close(() => resolve()))
  rmSync(directory, { recursive: true })
})
