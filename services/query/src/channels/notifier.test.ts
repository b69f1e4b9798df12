/** Who is asked where, when it is tried again, and what a restart remembers; on real event logs. */
import { committedPosition } from '@custody/event-log'
import { CustodyError } from '@custody/kit'
import { hmac } from './proof'
import { Receiver, type Reply } from './testing/simulators'
import { rest, until, World, whoOf } from './testing/world'

const KEY = 'a key of twenty-four bytes'
let world: World | undefined
const receivers: Receiver[] = []

afterEach(async () => {
  await world?.end()
  world = undefined
  for (const one of receivers.splice(0)) await one.stop()
})

async function receiver(handle: () => Reply = () => ({ status: 204 })): Promise<Receiver> {
  const one = await new Receiver(handle).start()
  receivers.push(one)
  return one
}

const channel = (name: string, url: string, more = '') =>
  `    - { type: webhook, name: ${name}, url: "${url}", secret: { literal: "${KEY}" }${more} }\n`

const configuration = (...channels: string[]) => `
approvals:
  channels:
${channels.join('')}
`

/** Bob's approval, as the other side of a webhook sends it. */
async function answer(
  channel: string,
  request: string,
  stamp = Math.floor(Date.now() / 1000),
): Promise<number> {
  const body = JSON.stringify({
    type: 'approval.answer',
    request,
    answer: 'approved',
    approver: 'bob@example.com',
  })
  const signature = hmac(KEY, `x.${stamp}.${body}`).toString('base64')
  const response = await fetch(`http://127.0.0.1:${world!.port}/channels/webhook/${channel}`, {
    method: 'POST',
    headers: {
      'content-type': 'application/json',
      'webhook-id': 'x',
      'webhook-timestamp': String(stamp),
      'webhook-signature': `v1,${signature}`,
    },
    body,
  })
  return response.status
}

const kinds = (one: Receiver) =>
  one.calls.map(({ json }) => `${json.type.slice(9)} ${json.data.request}`)

test('a store that never answers holds up no message', async () => {
  const one = await receiver()
  world = await World.make(configuration(channel('one', one.url)))
  world.askedBefore = () => new Promise(() => {})
  const began = Date.now()
  world.hold()
  const call = await until(() => one.calls[0])
  // A look at the machine's own slowness, not a promise: a stuck store must not be waited for.
  expect(call.atMs - began).toBeLessThan(5000)
  expect(call.json.data.before).toBeNull()
})

test('what the same identity asked before with the same statement is shown', async () => {
  const one = await receiver()
  world = await World.make(configuration(channel('one', one.url)))
  let asked: object = {}
  world.askedBefore = async (what) => {
    asked = what
    return [
      {
        state: 'denied',
        requested: '2026-01-02T03:04:05.000000Z',
        answers: [{ who: { email: 'bob@example.com', subject: 'bob' } }],
      },
    ]
  }
  world.hold({ fingerprint: 'abc' })
  const call = await until(() => one.calls[0])
  expect(asked).toMatchObject({ subject: 'ada', fingerprint: 'abc' })
  expect(call.json.data.before).toEqual({
    times: 1,
    last: { state: 'denied', time: '2026-01-02T03:04:05.000000Z', by: 'bob@example.com' },
  })
  expect(call.json.data.facts['Asked before']).toBe(
    '1 time in the last 30 days; the last was denied by bob@example.com at 2026-01-02 03:04 UTC',
  )
})

test('channels are for some groups and resources', async () => {
  const [all, security, billing] = [await receiver(), await receiver(), await receiver()]
  world = await World.make(
    configuration(
      channel('all', all.url),
      channel('security', security.url, ', approvers: [security]'),
      channel('billing', billing.url, ', resources: [billing]'),
    ),
  )
  const a = world.hold({ approvers: 'dba' })
  const b = world.hold({ approvers: 'dba & security' })
  const c = world.hold({ approvers: '', resource: 'billing' })
  await until(() => all.calls.length === 3 && security.calls.length === 1)
  await until(() => billing.calls.length === 1)
  await rest(100)
  expect(kinds(all).sort()).toEqual([a, b, c].map(({ id }) => `requested ${id}`).sort())
  expect(kinds(security)).toEqual([`requested ${b.id}`])
  expect(kinds(billing)).toEqual([`requested ${c.id}`])
})

test('a channel that was not asked can’t answer', async () => {
  const [all, billing] = [await receiver(), await receiver()]
  world = await World.make(
    `${configuration(channel('all', all.url), channel('billing', billing.url, ', resources: [billing]'))}  people: [{ email: bob@example.com, groups: [dba] }]\n`,
  )
  const held = world.hold()
  await until(() => all.calls.length)
  expect(await answer('billing', held.id)).toBe(403)
  expect(await world.answers()).toEqual([])
  expect(await answer('all', held.id)).toBe(200)
})

test('a slow channel holds up no other, and a failing one is tried again until the request ends', async () => {
  const slow = await receiver(() => ({ delayMs: 9000, status: 204 }))
  const down = await receiver(() => ({ status: 503 }))
  const quick = await receiver()
  world = await World.make(
    configuration(
      channel('slow', slow.url),
      channel('down', down.url),
      channel('quick', quick.url),
    ),
  )
  const held = Array.from({ length: 12 }, () => world!.hold())
  await until(() => quick.calls.length === 12)
  expect(
    await world
      .ownEvents('approval.notified')
      .then((all) => all.map(({ lifecycle }) => lifecycle!.attributes.channel)),
  ).not.toContain('slow')
  await until(() => down.calls.length > 12)
  for (const one of held) world.finish(one, 'withdrawn')
  await until(async () => (await world!.ownEvents('approval.notification-failed')).length === 12)
  const calls = down.calls.length
  await rest(300)
  expect(down.calls.length).toBe(calls)
  const [failed] = await world.ownEvents('approval.notification-failed')
  expect(failed!.lifecycle).toMatchObject({
    reason: 'CUSTODY-CHANNEL-001: the webhook down answered 503',
    attributes: { channel: 'down' },
  })
})

test('Retry-After is waited for, seconds or a date', async () => {
  const one = await receiver()
  one.first.push({ status: 429, headers: { 'retry-after': '1' } })
  world = await World.make(configuration(channel('one', one.url)))
  world.hold()
  await until(() => one.calls.length === 2)
  expect(one.calls[1]!.atMs - one.calls[0]!.atMs).toBeGreaterThanOrEqual(990)
  // The same message, so that the other side can tell.
  expect(one.calls[1]!.headers['webhook-id']).toBe(one.calls[0]!.headers['webhook-id'])
  one.first.push({
    status: 503,
    headers: { 'retry-after': new Date(Date.now() + 2500).toUTCString() },
  })
  world.hold()
  await until(() => one.calls.length === 4)
  expect(one.calls[3]!.atMs - one.calls[2]!.atMs).toBeGreaterThanOrEqual(990)
})

test('what a service asks to wait holds for everything that goes there', async () => {
  const one = await receiver()
  one.first.push({ status: 429, headers: { 'retry-after': '1' } })
  world = await World.make(configuration(channel('one', one.url)))
  world.hold()
  await until(() => one.calls.length === 1)
  await rest(100)
  world.hold()
  await until(() => one.calls.length === 3)
  for (const call of one.calls.slice(1))
    expect(call.atMs - one.calls[0]!.atMs).toBeGreaterThanOrEqual(990)
})

test('a secret that is not there is named, and nothing is sent', async () => {
  const one = await receiver()
  world = await World.make(
    configuration(
      channel('one', one.url).replace(/secret: \{[^}]*\}/, 'secret: { env: NOT_SET_ANYWHERE }'),
    ),
  )
  world.hold()
  const [failed] = await until(async () => {
    const all = await world!.ownEvents('approval.notification-failed')
    return all.length > 0 && all
  })
  expect(failed!.lifecycle!.reason).toBe(
    'CUSTODY-CONFIG-003: environment variable NOT_SET_ANYWHERE is not set',
  )
  expect(one.calls).toEqual([])
})

test('while the vault is away a message waits for its secret, and is not lost', async () => {
  const one = await receiver()
  world = await World.make(configuration(channel('one', one.url)))
  let reads = 0
  world.secrets = {
    async read() {
      if (++reads === 1) throw new CustodyError('CUSTODY-VAULT-001', 'the vault does not answer')
      return KEY
    },
  }
  const held = world.hold()
  await until(
    async () =>
      (await world!.ownEvents('approval.notified')).length +
      (await world!.ownEvents('approval.notification-failed')).length,
  )
  expect(await world.ownEvents('approval.notification-failed')).toEqual([])
  expect(kinds(one)).toEqual([`requested ${held.id}`])
  expect(reads).toBe(2)
})

test('redirects are not followed, endless answers not read, and both fail for good', async () => {
  const trap = await receiver()
  const redirecting = await receiver(() => ({ status: 307, headers: { location: trap.url } }))
  const endless = await receiver(() => ({ body: 'x'.repeat(1024 * 1024) }))
  world = await World.make(
    configuration(channel('redirecting', redirecting.url), channel('endless', endless.url)),
  )
  world.hold()
  const failed = await until(async () => {
    const all = await world!.ownEvents('approval.notification-failed')
    return all.length === 2 && all
  })
  expect(failed.map(({ lifecycle }) => lifecycle!.reason).sort()).toEqual([
    'CUSTODY-CHANNEL-002: the answer is larger than 262144 bytes',
    'CUSTODY-CHANNEL-002: the webhook redirecting answered 307, and redirects are not followed',
  ])
  expect(trap.calls).toEqual([])
  expect(redirecting.calls).toHaveLength(1)
})

test('a restart asks nothing twice, says how it ended, and asks what came meanwhile', async () => {
  const one = await receiver()
  const text = configuration(channel('one', one.url))
  world = await World.make(text)
  const [a, b] = [world.hold(), world.hold()]
  await until(async () => (await world!.ownEvents('approval.notified')).length === 2)
  await world.stop()
  const c = world.hold()
  const d = world.hold()
  world.finish(a, 'approved', whoOf('bob'))
  // Came and went: nobody is to be bothered with it.
  world.finish(d, 'withdrawn')
  await world.gateway.recorded('os')
  await world.start(text)
  await until(() => one.calls.length === 4)
  await rest(150)
  expect(kinds(one)).toEqual([
    ...[a, b].map(({ id }) => `requested ${id}`),
    ...kinds(one).slice(2, 4),
  ])
  expect(kinds(one).slice(2).sort()).toEqual([`requested ${c.id}`, `settled ${a.id}`].sort())

  // Once more, with nothing new.
  await world.stop()
  await world.start(text)
  world.finish(b, 'expired')
  await until(() => one.calls.length === 5)
  await rest(150)
  expect(kinds(one).slice(4)).toEqual([`settled ${b.id}`])
  const notified = await world.ownEvents('approval.notified')
  expect(
    notified.find(({ approval }) => approval!.state === 'expired')!.lifecycle!.attributes,
  ).toEqual({
    channel: 'one',
    reference: `asked_${b.id}`,
  })
})

test('after the end of all, the logs may be freed up to where was read', async () => {
  const one = await receiver()
  const text = configuration(channel('one', one.url))
  world = await World.make(text)
  const held = world.hold()
  await until(async () => (await world!.ownEvents('approval.notified')).length === 1)
  await world.stop()
  const open = await committedPosition(world.home.log, 'notifier', 'proxy-local')
  // One that came and went while nobody looked.
  world.finish(world.hold(), 'withdrawn')
  await world.gateway.recorded('os')
  await world.start(text)
  world.finish(held, 'denied', whoOf('bob'))
  await until(async () => (await world!.ownEvents('approval.notified')).length === 2)
  await rest(100)
  await world.stop()
  const ended = await committedPosition(world.home.log, 'notifier', 'proxy-local')
  expect(ended!.offset).toBeGreaterThan(open!.offset)
  expect(ended!.sequence).toBe((await world.events('proxy-local')).length)
  expect(await committedPosition(world.home.log, 'notifier', 'query-local')).not.toBeNull()
  // Without channels nobody follows, and nothing may be kept for them.
  await world.start('approvals: {}')
  expect(await committedPosition(world.home.log, 'notifier', 'proxy-local')).toBeNull()
  expect(await committedPosition(world.home.log, 'notifier', 'query-local')).toBeNull()
})

test('what its gateway does not end ends by its time', async () => {
  const one = await receiver()
  world = await World.make(configuration(channel('one', one.url)))
  const held = world.hold({ expiresMs: 600 })
  await until(() => one.calls.length === 2)
  expect(kinds(one)).toEqual([`requested ${held.id}`, `settled ${held.id}`])
  expect(one.calls[1]!.json.data.state).toBe('expired')
})

test('what was signed before a restart may have been taken then, and is refused', async () => {
  const one = await receiver()
  const text = `${configuration(channel('one', one.url))}  people: [{ email: bob@example.com, groups: [dba] }]\n`
  world = await World.make(text)
  const held = world.hold({ required: 2 })
  await until(() => one.calls.length === 1)
  const stamp = Math.floor(Date.now() / 1000)
  const send = () => answer('one', held.id, stamp)
  expect(await send()).toBe(200)
  await world.stop()
  await rest(1100)
  await world.start(text)
  expect(await send()).toBe(403)
  expect((await world.refusals()).join()).toMatch(/before this process began/)
})
