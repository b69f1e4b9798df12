/** The generic webhook, held to Standard Webhooks by its reference library, both ways. */
import { Webhook } from 'standardwebhooks'
import { Receiver } from './testing/simulators'
import { type HoldOptions, until, World, whoOf } from './testing/world'

const SECRET = `whsec_${Buffer.from('twenty-four bytes, or more').toString('base64')}`
const reference = new Webhook(SECRET)
let simulator: Receiver
let world: World

beforeEach(async () => {
  simulator = await new Receiver((call, own) => {
    try {
      reference.verify(call.body, call.headers as Record<string, string>)
    } catch (error) {
      own.hold(`signature: ${(error as Error).message}`, false)
    }
    return { status: 204 }
  }).start()
  world = await World.make(`
approvals:
  channels: [{ type: webhook, name: desk, url: "${simulator.url}/hook", secret: { literal: "${SECRET}" } }]
  people:
    - { email: bob@example.com, groups: [dba] }
    - { email: eve@example.com, groups: [interns] }
`)
})

afterEach(async () => {
  await world.end()
  await simulator.stop()
})

async function asked(o: HoldOptions = {}) {
  const held = world.hold(o)
  const call = await until(() => simulator.calls.find(({ body }) => body.includes(held.id)))
  return { held, call }
}

async function send(
  value: unknown,
  o: { id?: string; secret?: string; ageSeconds?: number; headers?: object; to?: string } = {},
): Promise<number> {
  const body = typeof value === 'string' ? value : JSON.stringify(value)
  const id = o.id ?? `msg_${Math.random()}`
  const at = new Date(Date.now() - (o.ageSeconds ?? 0) * 1000)
  const response = await fetch(
    `http://127.0.0.1:${world.port}/channels/webhook/${o.to ?? 'desk'}`,
    {
      method: 'POST',
      headers: {
        'content-type': 'application/json',
        'webhook-id': id,
        'webhook-timestamp': String(Math.floor(at.getTime() / 1000)),
        'webhook-signature': new Webhook(o.secret ?? SECRET).sign(id, at, body),
        ...o.headers,
      },
      body,
    },
  )
  if (response.status === 403)
    expect(await response.json()).toEqual({
      error: { code: 'CUSTODY-CHANNEL-003', message: 'refused' },
    })
  return response.status
}

const answer = (request: string, fields: object = {}) => ({
  type: 'approval.answer',
  request,
  answer: 'approved',
  approver: 'bob@example.com',
  comment: 'fine',
  ...fields,
})

test('asks and says how it ended, signed as the reference library verifies it', async () => {
  const { held, call } = await asked({ comment: true })
  expect(call.json).toMatchObject({
    type: 'approval.requested',
    data: {
      request: held.id,
      who: { subject: 'ada', email: 'ada@example.com', kind: 'human' },
      resource: 'orders',
      database: 'shop',
      statement: { text: 'delete from customers', cut: false },
      risk: {
        verbs: ['sql:delete'],
        objects: ['customers'],
        notes: ['delete: every row (no WHERE that leaves any out)'],
      },
      approvers: 'dba',
      required: 1,
      commentRequired: true,
      url: `http://127.0.0.1:${world.port}/approvals/${held.id}`,
    },
  })
  world.finish(held, 'denied', whoOf('zoe'))
  const settled = await until(() => simulator.calls[1])
  expect(settled.json).toMatchObject({
    type: 'approval.settled',
    data: { request: held.id, state: 'denied', by: 'zoe@example.com' },
  })
  expect(settled.headers['webhook-id']).not.toBe(call.headers['webhook-id'])
  expect(simulator.violations).toEqual([])
})

test('an answer signed by the reference library is taken', async () => {
  const { held } = await asked()
  expect(await send(answer(held.id))).toBe(200)
  expect(await world.answers()).toEqual(['approved by bob@example.com over desk: fine'])
})

test('a signature among several, as while a key is changed, is found', async () => {
  const { held } = await asked()
  const id = 'rotating'
  const at = new Date()
  const body = JSON.stringify(answer(held.id))
  const signature = `v1,${Buffer.alloc(32).toString('base64')} v2,x ${reference.sign(id, at, body)}`
  expect(await send(body, { id, headers: { 'webhook-signature': signature } })).toBe(200)
})

test('forged, altered, stale and repeated answers are refused and on record', async () => {
  const { held } = await asked()
  const other = `whsec_${Buffer.alloc(32, 1).toString('base64')}`
  expect(await send(answer(held.id), { secret: other })).toBe(403)
  expect(await send(answer(held.id), { ageSeconds: 301 })).toBe(403)
  expect(await send(answer(held.id), { ageSeconds: -301 })).toBe(403)
  expect(await send(answer(held.id), { headers: { 'webhook-signature': '' } })).toBe(403)
  expect(await send(answer(held.id), { headers: { 'webhook-id': 'another' } })).toBe(403)
  expect(await send(answer(held.id), { headers: { 'webhook-timestamp': 'x' } })).toBe(403)
  expect(await world.answers()).toEqual([])
  // Two answers are needed elsewhere: the second must not be the first once more.
  const two = (await asked({ required: 2 })).held
  expect(await send(answer(two.id), { id: 'once' })).toBe(200)
  expect(await send(answer(two.id), { id: 'once' })).toBe(403)
  await until(async () => (await world.refusals()).length >= 7)
  expect((await world.refusals()).join('\n')).toMatch(/it was taken before/)
  expect((await world.refusals()).join('\n')).not.toContain(SECRET.slice(6))
})

test('what Custody signed itself is no answer when it is sent back', async () => {
  const { call } = await asked()
  const {
    'webhook-id': id,
    'webhook-timestamp': stamp,
    'webhook-signature': signature,
  } = call.headers as Record<string, string>
  expect(
    await send(call.body, {
      headers: { 'webhook-id': id, 'webhook-timestamp': stamp, 'webhook-signature': signature },
    }),
  ).toBe(403)
  expect((await world.refusals()).join()).toMatch(/CUSTODY-CHANNEL-006/)
})

test.each([
  ['of the wrong group', { approver: 'eve@example.com' }, /CUSTODY-API-002/],
  ['who is nobody', { approver: 'mallory@example.com' }, /CUSTODY-CHANNEL-005/],
  ['of another type', { type: 'approval.requested' }, /CUSTODY-CHANNEL-006/],
  ['with another verb', { answer: 'maybe' }, /CUSTODY-CHANNEL-006/],
  ['about no request', { request: '00000000-0000-7000-8000-000000000000' }, /CUSTODY-API-009/],
])('an answer %s is refused', async (_what, fields, why) => {
  const { held } = await asked()
  expect(await send({ ...answer(held.id), ...fields })).toBe(403)
  expect(await world.answers()).toEqual([])
  expect((await world.refusals()).join()).toMatch(why)
})

test('one’s own request, one that has ended, and one without its comment', async () => {
  const own = (await asked({ who: whoOf('bob', ['dba']) })).held
  expect(await send(answer(own.id))).toBe(403)
  const ended = (await asked()).held
  world.finish(ended, 'expired')
  await world.gateway.recorded('os')
  expect(await send(answer(ended.id))).toBe(403)
  const commented = (await asked({ comment: true })).held
  expect(await send(answer(commented.id, { comment: ' ' }))).toBe(403)
  expect(await world.answers()).toEqual([])
  expect(await send(answer(commented.id))).toBe(200)
})

test('an agent’s request is not for whom it acts for to approve, known by an address alone', async () => {
  const bot = whoOf('bot', [], {
    kind: 'agent',
    onBehalfOf: [{ subject: 'bob', issuer: 'https://idp.example.com', kind: 'human' }],
  })
  const { held } = await asked({ who: bot })
  expect(await send(answer(held.id))).toBe(403)
  expect(await world.answers()).toEqual([])
})
