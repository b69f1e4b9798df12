/** Jira against a simulator that holds documents to Atlassian's format, and signs its webhook as Jira does. */
import { createHmac } from 'node:crypto'
import { jira, type Receiver } from './testing/simulators'
import { type HoldOptions, until, World, whoOf } from './testing/world'

const SECRET = 'jira-webhook-secret'
let simulator: Receiver
let world: World

beforeEach(async () => {
  simulator = await jira('custody@example.com:tok', {
    'acc-bob': 'bob@example.com',
    'acc-hidden': null,
  }).start()
  world = await World.make(`
approvals:
  channels:
    - type: jira
      url: ${simulator.url}
      email: custody@example.com
      token: { literal: tok }
      project: OPS
      webhookSecret: { literal: ${SECRET} }
      approved: [Approved, Go]
      settledTransition: done
  people:
    - { email: bob@example.com, groups: [dba] }
    - { email: eve@example.com, groups: [interns] }
    - { email: hid@example.com, groups: [dba], jira: acc-hidden }
    - { email: custody@example.com, groups: [dba] }
`)
})

afterEach(async () => {
  await world.end()
  await simulator.stop()
})

async function asked(o: HoldOptions = {}) {
  const held = world.hold(o)
  const call = await until(() => simulator.of('/issue').find(({ body }) => body.includes(held.id)))
  const notified = await until(async () =>
    (await world.ownEvents('approval.notified')).find(
      ({ approval }) => approval!.request.toString('hex') === held.id.replaceAll('-', ''),
    ),
  )
  return { held, call, key: notified.lifecycle!.attributes.reference! }
}

const moved = (key: string, to: string, user: object, fields: object = {}) => ({
  timestamp: Date.now(),
  webhookEvent: 'jira:issue_updated',
  issue: { key },
  user,
  changelog: { items: [{ field: 'status', fromString: 'To Do', toString: to }] },
  ...fields,
})

async function send(event: object, o: { secret?: string; signature?: string } = {}) {
  const body = JSON.stringify(event)
  const signature =
    o.signature ??
    `sha256=${createHmac('sha256', o.secret ?? SECRET)
      .update(body)
      .digest('hex')}`
  const response = await fetch(`http://127.0.0.1:${world.port}/channels/jira/jira`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'x-hub-signature': signature },
    body,
  })
  return response.status
}

test('makes an issue; moving it answers as who moved it; then it says how it ended and is moved on', async () => {
  const { held, call, key } = await asked({
    text: `select '{code}h1. [x|http://evil]*b*' ${'y'.repeat(40_000)}`,
    reason: '*bold* [~admin]',
  })
  expect(simulator.violations).toEqual([])
  const { fields } = call.json
  expect(fields).toMatchObject({ project: { key: 'OPS' }, issuetype: { name: 'Task' } })
  expect(fields.labels).toContain(`custody-${held.id}`)
  const code = fields.description.content.find(({ type }: { type: string }) => type === 'codeBlock')
  expect(code.content[0].text).toContain('{code}h1. [x|http://evil]*b*')
  expect(code.content[0].text.length).toBeLessThanOrEqual(1800)
  expect(JSON.stringify(fields.description)).toContain('Approved or Go')

  expect(
    await send(moved(key, 'go', { accountId: 'acc-bob', emailAddress: 'bob@example.com' })),
  ).toBe(204)
  expect(await world.answers()).toEqual([
    `approved by bob@example.com over jira: moved ${key} to go`,
  ])
  world.finish(held, 'approved', whoOf('bob'))
  const comment = await until(() => simulator.of('/comment')[0])
  expect(JSON.stringify(comment.json)).toContain('Approved by bob@example.com')
  const transition = await until(() => simulator.of('/transitions')[1])
  expect(transition.json).toEqual({ transition: { id: '41' } })
  expect(simulator.violations).toEqual([])
})

test('the address is asked of Jira where its webhook hides it, or the account is listed', async () => {
  const one = await asked()
  expect(await send(moved(one.key, 'Denied', { accountId: 'acc-bob' }))).toBe(204)
  const two = await asked()
  expect(await send(moved(two.key, 'Approved', { accountId: 'acc-hidden' }))).toBe(204)
  expect((await world.answers()).map((one) => one.split(':')[0])).toEqual([
    'denied by bob@example.com over jira',
    'approved by hid@example.com over jira',
  ])
})

test('forged, stale and repeated calls, and who may not answer, are refused and on record', async () => {
  const { key, held } = await asked({ required: 2 })
  const bob = { accountId: 'acc-bob', emailAddress: 'bob@example.com' }
  expect(await send(moved(key, 'Approved', bob), { secret: 'other' })).toBe(403)
  expect(await send(moved(key, 'Approved', bob), { signature: '' })).toBe(403)
  expect(await send(moved(key, 'Approved', bob, { timestamp: Date.now() - 301_000 }))).toBe(403)
  expect(await send(moved(key, 'Approved', bob, { timestamp: undefined }))).toBe(403)
  expect(await send(moved(key, 'Approved', { emailAddress: 'eve@example.com' }))).toBe(403)
  expect(await send(moved(key, 'Approved', { emailAddress: 'new@example.com' }))).toBe(403)
  expect(await send(moved(key, 'Approved', { accountId: 'acc-none' }))).toBe(403)
  // Custody's own account moves issues, too.
  expect(await send(moved(key, 'Approved', { emailAddress: 'Custody@example.com' }))).toBe(403)
  expect(await world.answers()).toEqual([])
  const event = moved(key, 'Approved', bob)
  expect(await send(event)).toBe(204)
  expect(await send(event)).toBe(403)
  expect(await world.answers()).toHaveLength(1)
  const own = await asked({ who: whoOf('bob', ['dba']) })
  expect(await send(moved(own.key, 'Approved', bob))).toBe(403)
  world.finish(held, 'expired')
  await until(() => simulator.of('/comment').length > 0)
  // Of what has ended, and of all else in the project, nothing is to be said.
  expect(await send(moved(key, 'Approved', bob, { a: 1 }))).toBe(204)
  expect(await send(moved('OPS-999', 'Approved', bob))).toBe(204)
  expect(await send(moved(key, 'In Progress', bob))).toBe(204)
  expect(await world.answers()).toHaveLength(1)
})

test('a comment that is asked for must come with the move', async () => {
  const { key } = await asked({ comment: true })
  const bob = { emailAddress: 'bob@example.com' }
  expect(await send(moved(key, 'Approved', bob))).toBe(403)
  expect(await send(moved(key, 'Approved', bob, { comment: { body: 'INC-7' } }))).toBe(204)
  expect(await world.answers()).toEqual(['approved by bob@example.com over jira: INC-7'])
})
