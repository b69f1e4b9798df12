/** Channels that ask and take no answer, Teams and PagerDuty, against simulators of what each demands. */
import { pagerDuty, type Receiver, teams } from './testing/simulators'
import { until, World, whoOf } from './testing/world'

let simulator: Receiver
let world: World

afterEach(async () => {
  await world.end()
  await simulator.stop()
})

const LONG = {
  text: `select '[x](http://evil) **b**' ${'y'.repeat(40_000)}`,
  reason: `# big [link](http://evil) ${'z'.repeat(4000)}`,
  who: whoOf('ada', [], { email: `${'a'.repeat(3000)}@example.com` }),
}

test('Teams gets a card with a link to the console, and one that says how it ended', async () => {
  simulator = await teams().start()
  world = await World.make(
    `console: {url: "https://c.example"}
approvals: {channels: [{type: teams, url: {literal: "${simulator.url}/hook?sig=s3cr3t"}}]}`,
  )
  const held = world.hold(LONG)
  const call = await until(() => simulator.calls[0])
  const card = call.json.attachments[0].content
  expect(card.actions).toEqual([
    {
      type: 'Action.OpenUrl',
      title: 'Answer in Custody',
      url: `https://c.example/approvals/${held.id}`,
    },
  ])
  expect(call.body).toContain('[x](http://evil) **b**')
  await until(async () => (await world.ownEvents('approval.notified')).length)
  world.finish(held, 'denied', whoOf('bob'))
  const settled = await until(() => simulator.calls[1])
  expect(settled.body).toContain('Denied by bob@example.com')
  expect(simulator.violations).toEqual([])

  simulator.first.push({ status: 400 })
  world.hold()
  const [failed] = await until(async () => {
    const all = await world.ownEvents('approval.notification-failed')
    return all.length > 0 && all
  })
  expect(failed!.lifecycle!.reason).toBe('CUSTODY-CHANNEL-002: Teams answered 400')
  // Whoever knows the address can post, so it is nowhere in the log.
  expect(JSON.stringify(await world.events('query-local'))).not.toContain('s3cr3t')
})

test('PagerDuty is triggered by the request’s own key and resolved by it', async () => {
  simulator = await pagerDuty('routing-key').start()
  world = await World.make(
    `approvals: {channels: [{type: pagerduty, severity: critical, routingKey: {literal: routing-key}, url: "${simulator.url}/v2/enqueue"}]}`,
  )
  const held = world.hold(LONG)
  const call = await until(() => simulator.calls[0])
  expect(call.json).toMatchObject({
    event_action: 'trigger',
    dedup_key: held.id,
    client_url: `http://127.0.0.1:${world.port}/approvals/${held.id}`,
    payload: { severity: 'critical', source: 'orders/shop' },
  })
  await until(async () => (await world.ownEvents('approval.notified')).length)
  world.finish(held, 'withdrawn')
  const resolved = await until(() => simulator.calls[1])
  expect(resolved.json).toEqual({
    routing_key: 'routing-key',
    event_action: 'resolve',
    dedup_key: held.id,
  })
  expect(simulator.violations).toEqual([])
  expect(JSON.stringify(await world.events('query-local'))).not.toContain('routing-key')
})
