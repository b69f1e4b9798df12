/** Channels in the whole service, with the real store: who somebody is by their last sign-in, and what was asked before. */
import { mkdtempSync, rmSync } from 'node:fs'
import { request as httpRequest } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { openRecorder, type Recorder } from '@custody/event-log'
import { issueToken, loadTokenKeys } from '@custody/identity'
import { createIngest, type Ingest } from '@custody/ingest'
import { type Home, parseConfiguration, prepareHome, silentLogger } from '@custody/kit'
import { newUuid, nowMicros, type Path, uuidText, type Who } from '@custody/schemas'
import { createWarehouse, type Warehouse } from '@custody/warehouse'
import { Webhook } from 'standardwebhooks'
import { createQuery, type Query } from '../query'
import { Receiver } from './testing/simulators'
import { until, whoOf } from './testing/world'

const SECRET = `whsec_${Buffer.from('twenty-four bytes, or more').toString('base64')}`
const root = mkdtempSync(join(tmpdir(), 'custody-channels-e2e-'))
const home: Home = prepareHome(join(root, 'home'))
let warehouse: Warehouse
let ingest: Ingest
let query: Query
let gateway: Recorder
let receiver: Receiver
let port: number

beforeAll(async () => {
  receiver = await new Receiver(() => ({ status: 204 })).start()
  gateway = await openRecorder({ directory: home.log, recorder: 'proxy-local', reserveBytes: 0 })
  // Signed in a moment ago; as a service; yesterday; and as nobody that a provider vouches for.
  signedIn(whoOf('bob', ['interns']), nowMicros() - 7_200_000_000)
  signedIn(whoOf('bob', ['dba'], { email: 'Bob@example.com' }), nowMicros() - 3_600_000_000)
  signedIn(whoOf('robot', ['dba'], { kind: 'service' }), nowMicros())
  signedIn(whoOf('late', ['dba']), nowMicros() - 25 * 3_600_000_000)
  signedIn(whoOf('told', ['dba'], { method: 'channel:desk' }), nowMicros())
  await gateway.recorded('disk')
  warehouse = createWarehouse({ directory: join(root, 'warehouse'), port: 0, password: 'p' })
  const { url } = await warehouse.start()
  ingest = createIngest({ home, warehouseUrl: url, logger: silentLogger(), lingerMs: 10 })
  await ingest.start()
  query = createQuery({
    configuration: parseConfiguration(`
listen: {console: 0}
log: {reserveBytes: 65536}
console: {url: "https://custody.example.com/"}
approvals:
  channels: [{ type: webhook, name: desk, url: "${receiver.url}", secret: { literal: "${SECRET}" } }]
`),
    home,
    warehouseUrl: url,
    logger: silentLogger(),
    beforeMsMax: 10_000,
  })
  port = (await query.start()).ports.console
})

afterAll(async () => {
  await query?.stop()
  await ingest?.stop()
  await gateway?.close()
  await warehouse?.stop()
  await receiver?.stop()
  rmSync(root, { recursive: true, force: true })
})

const path = {
  gateway: 'local',
  resource: 'orders',
  protocol: 'postgres',
  clientAddress: '10.0.0.1',
  database: 'shop',
} as unknown as Path

function signedIn(who: Who, time: number): void {
  gateway.record({ kind: 'access.sign-in', time, who, path })
}

function hold(): string {
  const session = gateway.openSession(whoOf('ada'), path)
  const id = newUuid()
  gateway.record(
    {
      kind: 'approval.requested',
      statement: {
        language: 'sql',
        interface: 'query',
        text: 'delete from customers',
        textBytes: 21,
        fingerprint: 'same',
        verbs: ['sql:delete'],
        objects: [{ kind: 'table', name: 'customers', verb: 'sql:delete' }],
        understood: true,
      },
      approval: {
        request: id,
        state: 'requested',
        comment: 'why',
        expires: nowMicros() + 60_000_000,
        required: 1,
      },
      lifecycle: { state: 'changed', attributes: { approvers: 'dba' } },
    },
    session,
  )
  return uuidText(id)
}

const askedAbout = (id: string) =>
  until(() => receiver.calls.find(({ json }) => json.data.request === id))

async function answer(request: string, approver: string): Promise<number> {
  const body = JSON.stringify({ type: 'approval.answer', request, answer: 'denied', approver })
  const id = `m${Math.random()}`
  const at = new Date()
  const response = await fetch(`http://127.0.0.1:${port}/channels/webhook/desk`, {
    method: 'POST',
    headers: {
      'content-type': 'application/json',
      'webhook-id': id,
      'webhook-timestamp': String(Math.floor(at.getTime() / 1000)),
      'webhook-signature': new Webhook(SECRET).sign(id, at, body),
    },
    body,
  })
  return response.status
}

async function approval(id: string) {
  const { token } = await issueToken(await loadTokenKeys(home, 'local'), {
    subject: 'zoe',
    groups: ['dba', 'custody:auditor'],
  })
  const response = await fetch(`http://127.0.0.1:${port}/api/v1/approvals/${id}?wait=5000`, {
    headers: { authorization: `Bearer ${token}` },
  })
  // biome-ignore lint/suspicious/noExplicitAny: JSON as it comes
  return ((await response.json()) as any).approval
}

test('who answers is who signed in last with that address, with the groups of then', async () => {
  const id = hold()
  const call = await askedAbout(id)
  expect(call.json.data.url).toBe(`https://custody.example.com/approvals/${id}`)
  for (const nobody of ['robot', 'late', 'told', 'mallory'])
    expect(await answer(id, `${nobody}@example.com`)).toBe(403)
  expect(await answer(id, 'BOB@example.com')).toBe(200)
  const answered = await until(async () => {
    const found = await approval(id)
    return found.answers.length > 0 && found
  })
  expect(answered.answers[0]).toMatchObject({
    state: 'denied',
    channel: 'desk',
    who: {
      subject: 'bob',
      issuer: 'https://idp.example.com',
      groups: ['dba'],
      method: 'channel:webhook',
    },
  })
})

test('the next request of the same shape says how the one before ended', async () => {
  const id: string = receiver.calls[0]!.json.data.request
  gateway.record({
    kind: 'approval.denied',
    approval: {
      request: Buffer.from(id.replaceAll('-', ''), 'hex'),
      state: 'denied',
      approver: whoOf('bob'),
    },
  })
  await until(async () => {
    const found = await approval(id)
    return found.state === 'denied' && found.answers.length > 0
  })
  const { before } = (await askedAbout(hold())).json.data
  expect(before.times).toBeGreaterThan(0)
  expect(before.last).toMatchObject({ state: 'denied', by: 'Bob@example.com' })
})

test('the API answers as before, and no other name than the configured one leads here', async () => {
  const id = hold()
  await askedAbout(id)
  const { token } = await issueToken(await loadTokenKeys(home, 'local'), {
    subject: 'zoe',
    email: 'zoe@example.com',
    groups: ['dba'],
  })
  const response = await fetch(`http://127.0.0.1:${port}/api/v1/approvals/${id}/approve`, {
    method: 'POST',
    headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
    body: JSON.stringify({ comment: 'ok' }),
  })
  expect(response.status).toBe(200)
  const found = await until(async () => {
    const one = await approval(id)
    return one.answers.length > 0 && one
  })
  expect(found.answers[0]).toMatchObject({ state: 'approved', channel: 'api', comment: 'ok' })

  const statusFor = (host: string) =>
    new Promise<number>((resolve, reject) => {
      httpRequest(
        {
          host: '127.0.0.1',
          port,
          path: '/channels/webhook/desk',
          method: 'POST',
          headers: { host },
        },
        (answer) => resolve(answer.resume().statusCode!),
      )
        .on('error', reject)
        .end()
    })
  expect(await statusFor('custody.example.com')).toBe(403)
  expect(await statusFor('evil.example.com')).toBe(421)
})
