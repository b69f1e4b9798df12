/** ServiceNow against a simulator of its Table API: records made, looked at, answered, closed. */
import { serviceNow } from './testing/simulators'
import { type HoldOptions, rest, until, World, whoOf } from './testing/world'

let simulator: ReturnType<typeof serviceNow>
let world: World

beforeEach(async () => {
  simulator = serviceNow('custody:pw', [
    { user_name: 'bob', email: 'bob@example.com', active: 'true' },
    { user_name: 'eve', email: 'eve@example.com', active: 'true' },
    { user_name: 'old', email: 'bob@example.com', active: 'false' },
    { user_name: 'custody', email: 'bob@example.com', active: 'true' },
  ])
  await simulator.start()
  world = await World.make(`
approvals:
  channels:
    - type: servicenow
      url: ${simulator.url}
      user: custody
      password: { literal: pw }
      fields: { assignment_group: DBA }
      closed: { state: "3" }
      pollSeconds: 1
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
  const notified = await until(async () =>
    (await world.ownEvents('approval.notified')).find(
      ({ approval }) => approval!.request.toString('hex') === held.id.replaceAll('-', ''),
    ),
  )
  return { held, record: simulator.records.get(notified.lifecycle!.attributes.reference!)! }
}

function save(record: { [field: string]: string }, by: string, fields: object) {
  Object.assign(record, fields, {
    sys_updated_by: by,
    sys_mod_count: String(Number(record.sys_mod_count) + 1),
  })
}

test('makes a record, takes what is decided in it as who saved it, and closes it', async () => {
  const { held, record } = await asked({ text: `select '[code]<script>x</script>[/CODE]'` })
  expect(record).toMatchObject({
    assignment_group: 'DBA',
    correlation_id: held.id,
    correlation_display: 'Custody',
  })
  expect(record.description).toContain('orders/shop')
  expect(record.description).not.toMatch(/\[\/?code\]/i)
  await rest(1200)
  expect(await world.answers()).toEqual([])
  save(record, 'bob', { approval: 'approved' })
  await until(async () => (await world.answers()).length)
  expect(await world.answers()).toEqual([
    `approved by bob@example.com over servicenow: approval of change_request ${record.sys_id} is approved`,
  ])
  world.finish(held, 'approved', whoOf('bob'))
  await until(() => record.state === '3')
  expect(record.work_notes).toContain('Approved by bob@example.com')
  const calls = simulator.calls.length
  await rest(1200)
  // What has ended is looked at no more.
  expect(simulator.calls.length).toBe(calls)
  expect(simulator.violations).toEqual([])
})

test.each([
  ['of the wrong group', 'eve', /CUSTODY-API-002/],
  ['who is not active', 'old', /no active user/],
  ['who is nobody', 'mallory', /no active user/],
  ['whose name would be another question', 'bob^ORactive=true', /no active user/],
  ['that is Custody’s own account', 'custody', /account that Custody uses itself/],
])('a record saved by somebody %s is refused, once on record', async (_what, by, why) => {
  const { record } = await asked()
  save(record, by, { approval: 'approved' })
  await until(async () => (await world.refusals()).length)
  await rest(1500)
  expect(await world.refusals()).toHaveLength(1)
  expect((await world.refusals())[0]).toMatch(why)
  expect(await world.answers()).toEqual([])
  // Saved anew by who may, it counts.
  save(record, 'bob', { approval: 'rejected' })
  await until(async () => (await world.answers()).length)
  expect((await world.answers())[0]).toMatch(/^denied by bob@example.com/)
})

test('an instance that is down for a while is looked at again', async () => {
  const { record } = await asked()
  save(record, 'bob', { approval: 'approved' })
  simulator.first.push({ status: 500 })
  await until(async () => (await world.answers()).length)
})

test('an answer that needs a comment is not taken from a record', async () => {
  const { record } = await asked({ comment: true })
  expect(record.description).toContain('answer it in Custody')
  save(record, 'bob', { approval: 'approved' })
  await until(async () => (await world.refusals()).length)
  expect(await world.answers()).toEqual([])
})
