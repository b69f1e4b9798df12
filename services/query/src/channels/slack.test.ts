/** Slack against a simulator that holds messages to Slack's limits, and signs its calls as Slack does. */
import { createHmac } from 'node:crypto'
import { type Receiver, slack } from './testing/simulators'
import { type HoldOptions, rest, until, World, whoOf } from './testing/world'

const TOKEN = 'xoxb-1'
const SIGNING = 'signing-secret'
let simulator: Receiver
let world: World

const configuration = () => `
console: {url: "https://custody.example.com"}
approvals:
  channels:
    - type: slack
      token: { literal: ${TOKEN} }
      signingSecret: { literal: ${SIGNING} }
      channel: C1
      apiUrl: ${simulator.url}/api
  people:
    - { email: bob@example.com, groups: [dba], subject: bob, issuer: "https://idp.example.com" }
    - { email: ada@example.com, groups: [dba] }
    - { email: eve@example.com, groups: [interns] }
    - { email: sam@example.com, groups: [dba], slack: U-SAM }
`

beforeEach(async () => {
  simulator = await slack(TOKEN, {
    'U-BOB': { email: 'Bob@example.com', is_email_confirmed: true },
    'U-ADA': { email: 'ada@example.com' },
    'U-EVE': { email: 'eve@example.com' },
    'U-SAM': { email: 'sam@elsewhere.example' },
    'U-NEW': { email: 'new@example.com' },
    'U-OTHER': { email: 'bob@example.com', team_id: 'T2', is_stranger: true },
    'U-UNCONFIRMED': { email: 'bob@example.com', is_email_confirmed: false },
    'U-GONE': { email: 'bob@example.com', deleted: true },
    'U-BOT': { email: 'bob@example.com', is_bot: true },
  }).start()
  world = await World.make(configuration())
})

afterEach(async () => {
  await world.end()
  await simulator.stop()
})

async function asked(o: HoldOptions = {}) {
  const held = world.hold(o)
  const call = await until(() =>
    simulator.of('chat.postMessage').find(({ body }) => body.includes(held.id)),
  )
  await until(async () =>
    (await world.ownEvents('approval.notified')).some(
      ({ approval }) => approval!.request.toString('hex') === held.id.replaceAll('-', ''),
    ),
  )
  return { held, call }
}

interface Signing {
  secret?: string
  seconds?: number
  signature?: string
}

async function send(payload: object, o: Signing = {}): Promise<number> {
  const body = new URLSearchParams({ payload: JSON.stringify(payload) }).toString()
  return sendRaw(body, o)
}

async function sendRaw(body: string, o: Signing = {}): Promise<number> {
  const stamp = String(o.seconds ?? Math.floor(Date.now() / 1000))
  const signature =
    o.signature ??
    `v0=${createHmac('sha256', o.secret ?? SIGNING)
      .update(`v0:${stamp}:${body}`)
      .digest('hex')}`
  const response = await fetch(`http://127.0.0.1:${world.port}/channels/slack`, {
    method: 'POST',
    headers: {
      'content-type': 'application/x-www-form-urlencoded',
      'x-slack-request-timestamp': stamp,
      'x-slack-signature': signature,
    },
    body,
  })
  if (response.status !== 200)
    expect(await response.json()).toEqual({
      error: { code: 'CUSTODY-CHANNEL-003', message: 'refused' },
    })
  return response.status
}

const press = (user: string, id: string, action = 'custody_approve') => ({
  type: 'block_actions',
  user: { id: user },
  trigger_id: `t-${Math.random()}`,
  channel: { id: 'C1' },
  actions: [{ action_id: action, value: id }],
})

test('a button approves as the person whom the configuration has for that address; the message then says so', async () => {
  const { held, call } = await asked()
  expect(call.json.channel).toBe('C1')
  const text = JSON.stringify(call.json.blocks)
  for (const shown of [
    'ada@example.com',
    'orders/shop',
    '10.1.2.3',
    'deletes in production need a second person',
    'delete from customers',
    'every row',
    'dba',
    `https://custody.example.com/approvals/${held.id}`,
  ])
    expect(text).toContain(shown)
  expect(await send(press('U-BOB', held.id))).toBe(200)
  await until(async () => (await world.answers()).length)
  expect(await world.answers()).toEqual(['approved by bob@example.com over slack'])
  const [answered] = await world.ownEvents('approval.answered')
  expect(answered!.approval!.approver).toMatchObject({
    subject: 'bob',
    issuer: 'https://idp.example.com',
    groups: ['dba'],
    kind: 'human',
    method: 'channel:slack',
  })
  world.finish(held, 'approved', whoOf('bob'))
  const update = await until(() => simulator.of('chat.update')[0])
  expect(update.json.ts).toBe('17000000.000001')
  expect(JSON.stringify(update.json.blocks)).toContain('Approved by bob@example.com')
  expect(JSON.stringify(update.json.blocks)).not.toContain('button')
  expect(simulator.violations).toEqual([])
})

test.each([['expired'], ['withdrawn'], ['denied']] as const)(
  'a request that ends elsewhere (%s) loses its buttons',
  async (state) => {
    const { held } = await asked()
    world.finish(held, state, state === 'denied' ? whoOf('zoe') : undefined)
    const update = await until(() => simulator.of('chat.update')[0])
    expect(JSON.stringify(update.json.blocks)).not.toContain('custody_approve')
    expect(JSON.stringify(update.json.blocks)).toContain(
      { expired: 'Nobody answered', withdrawn: 'Withdrawn', denied: 'Denied by zoe@example.com' }[
        state
      ],
    )
    expect(await send(press('U-BOB', held.id))).toBe(200)
    await until(async () => (await world.refusals()).length)
    expect(await world.answers()).toEqual([])
  },
)

test('a session that closes takes its requests along', async () => {
  const { held } = await asked()
  world.gateway.closeSession(held.session, 'closed', 'gone', {})
  const update = await until(() => simulator.of('chat.update')[0])
  expect(JSON.stringify(update.json.blocks)).toContain('Withdrawn')
})

test('forged, unsigned, stale and repeated calls answer nothing, and are on record', async () => {
  const { held } = await asked()
  const now = Math.floor(Date.now() / 1000)
  expect(await send(press('U-BOB', held.id), { secret: 'other' })).toBe(403)
  expect(await send(press('U-BOB', held.id), { signature: '' })).toBe(403)
  expect(await send(press('U-BOB', held.id), { signature: `v0=${'0'.repeat(64)}` })).toBe(403)
  expect(await send(press('U-BOB', held.id), { seconds: now - 301 })).toBe(403)
  expect(await send(press('U-BOB', held.id), { seconds: now + 400 })).toBe(403)
  expect(await sendRaw('payload=%7B')).toBe(403)
  expect(await world.answers()).toEqual([])

  const body = new URLSearchParams({
    payload: JSON.stringify(press('U-EVE', held.id)),
  }).toString()
  expect(await sendRaw(body, { seconds: now })).toBe(200)
  expect(await sendRaw(body, { seconds: now })).toBe(403)
  await until(async () => (await world.refusals()).length >= 8)
  const refusals = (await world.refusals()).join('\n')
  expect(refusals).toMatch(/CUSTODY-CHANNEL-003 channel slack: not signed/)
  expect(refusals).toMatch(/differs by more than 300 seconds/)
  expect(refusals).toMatch(/it was taken before/)
  expect(refusals).toMatch(/CUSTODY-CHANNEL-006/)
  expect(refusals).not.toContain(SIGNING)
})

test.each([
  ['of the wrong group', 'U-EVE', /CUSTODY-API-002 .*for dba/],
  ['who asked', 'U-ADA', /nobody answers their own request/],
  ['nobody knows', 'U-NEW', /CUSTODY-CHANNEL-005 .*new@example.com/],
  ['of another workspace, with the same address', 'U-OTHER', /another workspace/],
  ['whose address is not confirmed', 'U-UNCONFIRMED', /gives no e-mail address/],
  ['who has left', 'U-GONE', /no member any more/],
  ['that is a bot', 'U-BOT', /a bot/],
  ['whom Slack does not know', 'U-NONE', /user_not_found/],
])('somebody %s is refused, told so, and on record', async (_what, user, why) => {
  const { held } = await asked()
  expect(await send(press(user, held.id))).toBe(200)
  const told = await until(() => simulator.of('chat.postEphemeral')[0])
  expect(told.json).toMatchObject({ user, channel: 'C1' })
  expect(told.json.text).toMatch(/refused/)
  expect((await world.refusals()).join('\n')).toMatch(why)
  expect(await world.answers()).toEqual([])
})

test('somebody locked is refused', async () => {
  const { held } = await asked()
  world.lock('bob@example.com')
  await send(press('U-BOB', held.id))
  await until(() => simulator.of('chat.postEphemeral')[0])
  expect((await world.refusals()).join()).toMatch(/CUSTODY-TOKEN-005/)
  expect(await world.answers()).toEqual([])
})

test('a lock on the subject holds for who is listed by an address alone', async () => {
  world.seen.set('sam@example.com', whoOf('sam-subject', []))
  const { held } = await asked()
  world.lock('sam-subject')
  await send(press('U-SAM', held.id))
  await until(() => simulator.of('chat.postEphemeral')[0])
  expect((await world.refusals()).join()).toMatch(/CUSTODY-TOKEN-005/)
  expect(await world.answers()).toEqual([])
})

test('a member ID in the configuration counts where the address is another', async () => {
  const { held } = await asked()
  await send(press('U-SAM', held.id, 'custody_deny'))
  await until(async () => (await world.answers()).length)
  expect(await world.answers()).toEqual(['denied by sam@example.com over slack'])
})

test('who is not listed is who signed in last, with the groups of then', async () => {
  world.seen.set('new@example.com', whoOf('new', ['dba']))
  const { held } = await asked()
  await send(press('U-NEW', held.id))
  await until(async () => (await world.answers()).length)
  const [answered] = await world.ownEvents('approval.answered')
  // Otherwise an answer would be a sign-in, and old groups count for ever.
  expect(answered!.who!.method).toBe('channel:slack')
})

test('of an address alone it can’t be told who asked without one', async () => {
  const { held } = await asked({ who: whoOf('sam-laptop', [], { email: null }) })
  await send(press('U-SAM', held.id))
  await until(() => simulator.of('chat.postEphemeral')[0])
  expect(await world.answers()).toEqual([])
  await send(press('U-BOB', held.id))
  await until(async () => (await world.answers()).length)
})

test('a comment that is asked for is taken in a dialog, and is not to be left out', async () => {
  const { held } = await asked({ comment: true })
  expect(await send(press('U-BOB', held.id))).toBe(200)
  const opened = await until(() => simulator.of('views.open')[0])
  expect(await world.answers()).toEqual([])
  const submit = (value: string) => ({
    type: 'view_submission',
    user: { id: 'U-BOB' },
    view: {
      private_metadata: opened.json.view.private_metadata,
      state: { values: { comment: { comment: { value } } } },
    },
  })
  await send(submit('  '))
  expect(await world.answers()).toEqual([])
  await send(submit('INC-42'))
  await until(async () => (await world.answers()).length)
  expect(await world.answers()).toEqual(['approved by bob@example.com over slack: INC-42'])
  expect(simulator.violations).toEqual([])
})

test('markup of Slack’s in what others wrote stays text, however long', async () => {
  const { call } = await asked({
    text: `select '<!channel> <https://evil|click> *b* \`\`\`' -- \u202e${'é'.repeat(50_000)}`,
    reason: `<!everyone> &amp; ${'x'.repeat(5000)}`,
    who: whoOf('ada', [], { email: `<!here>${'a'.repeat(300)}@example.com` }),
  })
  expect(simulator.violations).toEqual([])
  expect(call.json.text).toContain('&lt;!here&gt;')
  const code = call.json.blocks.find(({ type }: { type: string }) => type === 'rich_text')
  const { text } = code.elements[0].elements[0]
  expect(text.length).toBeLessThanOrEqual(1800)
  expect(text).toContain('<!channel>')
  // What would turn the text around is seen instead.
  expect(text).toContain('\\u{202e}')
  expect(JSON.stringify(call.json.blocks)).toContain('the console has all')
})

test('an answer does not wait for the store: Slack gives up after three seconds', async () => {
  const { held } = await asked()
  const people = simulator.first
  people.push({ delayMs: 4000, body: { ok: true, team_id: 'T1' } })
  const began = Date.now()
  await send(press('U-BOB', held.id))
  expect(Date.now() - began).toBeLessThan(2500)
  await rest(10)
})

test('what asks to wait is waited for; what fails for good ends as an event without the token', async () => {
  simulator.first.push(
    { status: 429, headers: { 'retry-after': '1' }, body: { ok: false, error: 'ratelimited' } },
    { status: 500 },
  )
  const { held } = await asked()
  const calls = simulator.of('chat.postMessage').filter(({ body }) => body.includes(held.id))
  expect(calls).toHaveLength(3)
  expect(calls[1]!.atMs - calls[0]!.atMs).toBeGreaterThanOrEqual(1000)

  simulator.first.push({ body: { ok: false, error: 'channel_not_found' } })
  world.hold()
  const [failed] = await until(async () => {
    const found = await world.ownEvents('approval.notification-failed')
    return found.length > 0 && found
  })
  expect(failed!.lifecycle!.attributes.channel).toBe('slack')
  expect(failed!.lifecycle!.reason).toBe(
    'CUSTODY-CHANNEL-002: Slack refuses chat.postMessage: channel_not_found',
  )
  expect(JSON.stringify(failed)).not.toContain(TOKEN)
})
