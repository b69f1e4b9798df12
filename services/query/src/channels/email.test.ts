/** E-mail to a real SMTP server with STARTTLS and sign-in, and the links that the mails carry. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { generate } from 'selfsigned'
import { SMTPServer } from 'smtp-server'
import { type HoldOptions, rest, until, World, whoOf } from './testing/world'

interface Mail {
  to: string
  secure: boolean
  user: string | null
  headers: Record<string, string>
  text: string
  html: string
}

const directory = mkdtempSync(join(tmpdir(), 'custody-mail-'))
const mails: Mail[] = []
/** SMTP codes that addresses are refused with, taken one by one. */
const refuse = new Map<string, number[]>()
let server: SMTPServer
let port: number
let world: World | undefined

beforeAll(async () => {
  const { private: key, cert } = await generate([{ name: 'commonName', value: 'localhost' }], {
    keySize: 2048,
    extensions: [{ name: 'subjectAltName', altNames: [{ type: 2, value: 'localhost' }] }],
  } as never)
  writeFileSync(join(directory, 'ca.pem'), cert)
  server = new SMTPServer({
    key,
    cert,
    logger: false,
    authMethods: ['PLAIN', 'LOGIN'],
    onAuth(auth, _session, callback) {
      if (auth.username === 'custody' && auth.password === 'pw')
        callback(null, { user: auth.username })
      else callback(new Error('Invalid username or password'))
    },
    onRcptTo({ address }, _session, callback) {
      const code = refuse.get(address)?.shift()
      callback(code ? Object.assign(new Error('no'), { responseCode: code }) : null)
    },
    onData(stream, session, callback) {
      const parts: Buffer[] = []
      stream.on('data', (part: Buffer) => parts.push(part))
      stream.on('end', () => {
        mails.push(
          mailOf(
            Buffer.concat(parts).toString('utf8'),
            session.envelope.rcptTo.map(({ address }: { address: string }) => address).join(),
            !!session.secure,
            (session.user as string | undefined) ?? null,
          ),
        )
        callback()
      })
    },
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  port = (server.server.address() as { port: number }).port
})

afterAll(async () => {
  await new Promise<void>((resolve) => server.close(resolve))
  rmSync(directory, { recursive: true, force: true })
})

const configuration = (channel = '', password = 'pw') => `
approvals:
  channels:
    - { type: email, host: localhost, port: ${port}, user: custody, password: { literal: ${password} }, tlsCa: "${directory}/ca.pem", from: custody@example.com${channel} }
  people:
    - { email: bob@example.com, groups: [dba] }
    - { email: Zoe@example.com, groups: [dba, security] }
    - { email: eve@example.com, groups: [interns] }
    - { email: ada@example.com, groups: [dba] }
`

beforeEach(() => {
  mails.length = 0
  refuse.clear()
})

afterEach(async () => {
  await world?.end()
  world = undefined
})

/** The two texts of multipart/alternative. */
function mailOf(raw: string, to: string, secure: boolean, user: string | null): Mail {
  const [head, ...rest] = raw.split('\r\n\r\n')
  const headers = headersOf(head!)
  const boundary = /boundary="([^"]+)"/.exec(headers['content-type']!)![1]!
  const parts = rest
    .join('\r\n\r\n')
    .split(`--${boundary}`)
    .filter((part) => part.includes('Content-Type'))
    .map((part) => {
      const [partHead, ...body] = part.trim().split('\r\n\r\n')
      const own = headersOf(partHead!)
      return { type: own['content-type']!, text: decoded(body.join('\r\n\r\n'), own) }
    })
  const of = (type: string) => parts.find((part) => part.type.startsWith(type))!.text
  return { to, secure, user, headers, text: of('text/plain'), html: of('text/html') }
}

function headersOf(head: string): Record<string, string> {
  return Object.fromEntries(
    head
      .replace(/\r\n[ \t]+/g, ' ')
      .split('\r\n')
      .map((one) => [one.split(':')[0]!.toLowerCase(), one.slice(one.indexOf(':') + 1).trim()]),
  )
}

function decoded(body: string, headers: Record<string, string>): string {
  const encoding = headers['content-transfer-encoding']
  if (encoding === 'base64') return Buffer.from(body, 'base64').toString('utf8')
  if (encoding !== 'quoted-printable') return body
  const bytes = body
    .replace(/=\r\n/g, '')
    .replace(/=([0-9A-F]{2})/g, (_all, hex) => String.fromCharCode(Number.parseInt(hex, 16)))
  return Buffer.from(bytes, 'latin1').toString('utf8')
}

async function asked(o: HoldOptions = {}, mailsMin = 2) {
  const before = mails.length
  const held = world!.hold(o)
  await until(() => mails.length >= before + mailsMin)
  await until(async () =>
    (await world!.ownEvents('approval.notified')).some(
      ({ approval }) => approval!.request.toString('hex') === held.id.replaceAll('-', ''),
    ),
  )
  const own = mails.slice(before)
  return { held, mails: own, link: (to: string) => linkOf(own.find((one) => one.to === to)!) }
}

function linkOf(mail: Mail): string {
  return /http:\/\/127\.0\.0\.1:\d+\/channels\/link\/[\w-]+/.exec(mail.text)![0]
}

async function post(link: string, fields: Record<string, string>) {
  const response = await fetch(link, { method: 'POST', body: new URLSearchParams(fields) })
  return { status: response.status, page: await response.text() }
}

async function open(link: string) {
  const response = await fetch(link)
  return { status: response.status, page: await response.text(), headers: response.headers }
}

test('each who may answer gets a mail over TLS with a link of their own; who asked gets none', async () => {
  world = await World.make(configuration())
  const one = await asked()
  expect(one.mails.map(({ to }) => to).sort()).toEqual(['bob@example.com', 'zoe@example.com'])
  expect(one.mails.every(({ secure, user }) => secure && user === 'custody')).toBe(true)
  expect(one.link('bob@example.com')).not.toBe(one.link('zoe@example.com'))
  const [mail] = one.mails
  expect(mail!.headers.subject).toContain('ada@example.com asks to run a command')
  expect(mail!.headers['auto-submitted']).toBe('auto-generated')
  for (const part of [mail!.text, mail!.html])
    for (const shown of ['delete from customers', 'orders/shop', '10.1.2.3', 'every row', 'dba'])
      expect(part).toContain(shown)
  const [notified] = await world.ownEvents('approval.notified')
  expect(JSON.stringify(notified!.lifecycle)).not.toContain('/link/')
  expect(notified!.lifecycle!.attributes.reference).toContain('bob@example.com')
})

test('opening the link answers nothing, however often; its form does, once', async () => {
  world = await World.make(configuration())
  const { held, link } = await asked({ required: 2 })
  const bob = link('bob@example.com')
  for (let i = 0; i < 3; i++) {
    const { status, page, headers } = await open(bob)
    expect(status).toBe(200)
    expect(page).toContain('delete from customers')
    expect(page).toContain('<form method="post">')
    expect(headers.get('content-security-policy')).toContain("default-src 'none'")
    expect(headers.get('referrer-policy')).toBe('same-origin')
  }
  expect((await fetch(bob, { method: 'HEAD' })).status).toBe(200)
  expect(await world.answers()).toEqual([])
  // Whoever looks is on record.
  expect(
    (await world.ownEvents('audit.read')).map(
      ({ who, audit }) => `${who!.email} ${audit!.subject}`,
    ),
  ).toContain(`bob@example.com approval ${held.id}`)

  expect((await post(bob, {})).status).toBe(400)
  expect((await post(bob, { answer: 'approved', comment: 'ok' })).status).toBe(200)
  expect(await world.answers()).toEqual(['approved by bob@example.com over email: ok'])
  const again = await post(bob, { answer: 'denied' })
  expect(again.status).toBe(403)
  expect(again.page).not.toContain('delete from customers')
  expect((await open(bob)).status).toBe(403)
  expect(await world.answers()).toHaveLength(1)
  expect((await world.refusals()).join()).toMatch(/CUSTODY-CHANNEL-004 .*was used/)

  expect((await post(link('zoe@example.com'), { answer: 'approved' })).status).toBe(200)
  expect(await world.answers()).toHaveLength(2)
})

test('a used link stays used behind a restart', async () => {
  world = await World.make(configuration())
  const { link } = await asked({ required: 2 })
  const bob = link('bob@example.com')
  expect((await post(bob, { answer: 'approved' })).status).toBe(200)
  await world.stop()
  await world.start(configuration())
  await until(async () => (await open(link('zoe@example.com'))).status === 200)
  const again = await post(bob, { answer: 'denied' })
  expect(again.status).toBe(403)
  expect(again.page).toContain('was answered there already')
  expect(await world.answers()).toHaveLength(1)
  // Whoever did not answer still may: the links are no memory of a process.
  expect((await post(link('zoe@example.com'), { answer: 'approved' })).status).toBe(200)
  expect(mails).toHaveLength(2)
})

test('two clicks at once are one answer', async () => {
  world = await World.make(configuration())
  const { link } = await asked({ required: 2 })
  const answers = await Promise.all(
    Array.from({ length: 5 }, () => post(link('bob@example.com'), { answer: 'approved' })),
  )
  expect(answers.map(({ status }) => status).sort()).toEqual([200, 403, 403, 403, 403])
  expect(await world.answers()).toHaveLength(1)
})

test('after the end of the request a link is dead, and its addressees hear of it', async () => {
  world = await World.make(configuration())
  const { held, mails: sent, link } = await asked()
  world.finish(held, 'approved', whoOf('zoe'))
  await until(() => mails.length === 4)
  const settled = mails[2]!
  expect(settled.text).toContain('Approved by zoe@example.com')
  expect(settled.headers['in-reply-to']).toBe(
    sent.find(({ to }) => to === settled.to)!.headers['message-id'],
  )
  for (const { status, page } of [
    await open(link('bob@example.com')),
    await post(link('bob@example.com'), { answer: 'approved' }),
  ]) {
    expect(status).toBe(403)
    expect(page).toContain('Refused')
    expect(page).not.toContain('delete from')
  }
  expect(await world.answers()).toEqual([])
  expect((await world.refusals()).join()).toMatch(/CUSTODY-CHANNEL-004 .*has ended/)
})

test('a link is worth what its addressee is now: another group, locked, or made up', async () => {
  world = await World.make(
    configuration(', to: [eve@example.com, nobody@example.com, bob@example.com]'),
  )
  const { link } = await asked({}, 3)
  const eve = await post(link('eve@example.com'), { answer: 'approved' })
  expect(eve.status).toBe(403)
  expect(eve.page).toContain('this request is for dba')
  expect((await post(link('nobody@example.com'), { answer: 'approved' })).status).toBe(403)
  expect((await open(link('nobody@example.com'))).status).toBe(403)
  world.lock('bob@example.com')
  expect((await post(link('bob@example.com'), { answer: 'approved' })).status).toBe(403)
  const altered = link('bob@example.com').replace(/.$/, (last) => (last === 'A' ? 'E' : 'A'))
  expect((await post(altered, { answer: 'approved' })).status).toBe(403)
  expect(await world.answers()).toEqual([])
  const refusals = (await world.refusals()).join('\n')
  for (const code of [
    'CUSTODY-API-002',
    'CUSTODY-CHANNEL-005',
    'CUSTODY-TOKEN-005',
    'CUSTODY-CHANNEL-004',
  ])
    expect(refusals).toContain(code)
})

test('a comment that is asked for can’t be left out', async () => {
  world = await World.make(configuration())
  const { link } = await asked({ comment: true })
  const without = await post(link('bob@example.com'), { answer: 'approved', comment: ' ' })
  expect(without.status).toBe(400)
  expect(without.page).toContain('must be answered with a comment')
  expect((await post(link('bob@example.com'), { answer: 'denied', comment: 'no' })).status).toBe(
    200,
  )
  expect(await world.answers()).toEqual(['denied by bob@example.com over email: no'])
})

test('HTML in what others wrote stays text, and nothing gets into the head of a mail', async () => {
  world = await World.make(configuration())
  const one = await asked(
    {
      text: `select '</pre><script>alert(1)</script><img src=x onerror=y>' ${'x'.repeat(5000)}`,
      who: whoOf('ada', [], { email: 'x@example.com\r\nBcc: spy@example.com', subject: 'ada' }),
      reason: '<b>"urgent"</b>',
    },
    3,
  )
  const { page } = await open(one.link('bob@example.com'))
  for (const html of [one.mails[0]!.html, page]) {
    expect(html).not.toMatch(/<script|<img|<b>"urgent/)
    expect(html).toContain('&lt;script&gt;')
  }
  expect(one.mails[0]!.headers.bcc).toBeUndefined()
  expect(one.mails.map(({ to }) => to)).not.toContain('spy@example.com')
  expect(one.mails[0]!.text).toContain('the console has all')
})

test('one address that is refused for a while is tried again, without a second mail to the others', async () => {
  world = await World.make(configuration())
  refuse.set('bob@example.com', [450, 451])
  refuse.set('zoe@example.com', [])
  await asked()
  expect(mails.map(({ to }) => to).sort()).toEqual(['bob@example.com', 'zoe@example.com'])
})

test('one that is refused for good is named; the others have their mail', async () => {
  world = await World.make(configuration())
  refuse.set('bob@example.com', [550])
  await asked({}, 1)
  const [notified] = await world.ownEvents('approval.notified')
  expect(notified!.lifecycle!.attributes.reference).toBe(
    'mailed zoe@example.com; refused bob@example.com',
  )
})

test('a wrong password fails for good, and is not on record', async () => {
  world = await World.make(configuration('', 'wrong-secret'))
  world.hold()
  const [failed] = await until(async () => {
    const all = await world!.ownEvents('approval.notification-failed')
    return all.length > 0 && all
  })
  expect(failed!.lifecycle!.reason).toMatch(/^CUSTODY-CHANNEL-002: the mail server answered 535/)
  expect(JSON.stringify(failed)).not.toContain('wrong-secret')
  expect(mails).toEqual([])
})

test('a certificate that nobody vouches for is not written past', async () => {
  world = await World.make(configuration().replace(/ tlsCa: "[^"]+",/, ''))
  const held = world.hold()
  await rest(500)
  // It is tried again until the request ends.
  world.finish(held, 'withdrawn')
  const [failed] = await until(async () => {
    const all = await world!.ownEvents('approval.notification-failed')
    return all.length > 0 && all
  })
  expect(failed!.lifecycle!.reason).toMatch(/CUSTODY-CHANNEL-001: the mail server can’t be used/)
  expect(mails).toEqual([])
})

test('a server that offers no TLS gets neither password nor mail', async () => {
  const heard: string[] = []
  const plain = new SMTPServer({
    logger: false,
    disabledCommands: ['STARTTLS'],
    allowInsecureAuth: true,
    onAuth(auth: { username?: string }, _session: unknown, callback: (...all: unknown[]) => void) {
      heard.push(`auth ${auth.username}`)
      callback(null, { user: auth.username })
    },
    onMailFrom(_address: unknown, _session: unknown, callback: () => void) {
      heard.push('mail')
      callback()
    },
  } as never)
  await new Promise<void>((resolve) => plain.listen(0, '127.0.0.1', resolve))
  const other = (plain.server.address() as { port: number }).port
  world = await World.make(configuration().replace(`port: ${port}`, `port: ${other}`))
  const held = world.hold()
  await rest(500)
  world.finish(held, 'withdrawn')
  await until(async () => (await world!.ownEvents('approval.notification-failed')).length)
  expect(heard).toEqual([])
  await new Promise<void>((resolve) => plain.close(resolve))
})

test('nobody to write to is said', async () => {
  world = await World.make(configuration())
  world.hold({ approvers: 'nobodys-group' })
  const [failed] = await until(async () => {
    const all = await world!.ownEvents('approval.notification-failed')
    return all.length > 0 && all
  })
  expect(failed!.lifecycle!.reason).toMatch(/nobody to write to/)
})
