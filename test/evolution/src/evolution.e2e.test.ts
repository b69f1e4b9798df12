/**
 * A rolling upgrade with real processes over a real broker: recorders and ingest of this version and of the next, whichever
 * goes first. Nothing stops, every event is there once, and in the end every field says what it was written to say.
 */

import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { decodeMessage, readEnvelope } from '@custody/schemas'
import { until } from '@custody/test-support'
import { Cluster, type Member, type Warehouse } from './cluster'
import { NEXT_FIELD, NEXT_VALUE, removeNextVersion } from './next-version'

/** Up to a dozen processes come and go. */
jest.setTimeout(400_000)

let cluster: Cluster
let warehouse: Warehouse

beforeAll(async () => {
  cluster = await Cluster.start()
}, 180_000)

afterAll(async () => {
  await cluster.stop()
  removeNextVersion()
}, 60_000)

async function count(where: string): Promise<number> {
  const result = await warehouse.client.query({
    query: `SELECT count() AS n FROM custody.events WHERE ${where}`,
    format: 'JSONEachRow',
  })
  return Number((await result.json<{ n: string }>())[0]!.n)
}

test('the next version’s recorders come first, then its ingest: what was stored in part becomes whole', async () => {
  warehouse = await cluster.startWarehouse()
  const old = await cluster.startIngest({ warehouse, group: 'recorders-first' })
  const steady = await cluster.startRecorder('steady', 200)
  let upgraded: Member = await cluster.startRecorder('upgraded', 200)
  await until(async () => (await count("recorder = 'upgraded'")) > 100)
  await upgraded.stop()
  upgraded = await cluster.startRecorder('upgraded', 200, { next: true })
  await until(async () => (await count("recorder = 'upgraded' AND unread != ''")) > 100)
  // Known fields are right while the others wait, and the old recorder's events are as always.
  expect(
    await count(
      "unread != '' AND kind = 'command.started' AND NOT startsWith(statement.text, 'select ')",
    ),
  ).toBe(0)
  expect(await count("recorder = 'steady' AND unread != ''")).toBe(0)

  const next = await cluster.startIngest({ warehouse, group: 'recorders-first', next: true })
  // The older one steps aside: the tables are not its own any more.
  expect(await old.exited).not.toBe(0)
  expect(old.said()).toContain('CUSTODY-STORE-001')
  await until(async () => (await count("unread != ''")) === 0)
  await steady.stop()
  await upgraded.stop()
  await cluster.settled(warehouse)
  await until(async () => (await count("unread != ''")) === 0)
  const noted = await count(
    `kind = 'command.started' AND statement.${NEXT_FIELD} = '${NEXT_VALUE}'`,
  )
  expect(noted).toBeGreaterThan(100)
  // Those of the next version have it, all of them; those of this version have none.
  const started = await count(
    "recorder = 'upgraded' AND kind = 'command.started' AND sequence >= (SELECT max(sequence) FROM custody.events WHERE recorder = 'upgraded' AND kind = 'recorder.started')",
  )
  expect(noted).toBe(started)
  expect(await count(`recorder = 'steady' AND statement.${NEXT_FIELD} IS NOT NULL`)).toBe(0)
  await next.stop()
  await warehouse.stop()
})

test('ingest comes first: it reads the older recorders, and the next ones when they come', async () => {
  warehouse = await cluster.startWarehouse()
  const next = await cluster.startIngest({ warehouse, group: 'ingest-first', next: true })
  const recorder = await cluster.startRecorder('later', 200)
  await until(async () => (await count("recorder = 'later'")) > 100)
  await recorder.stop()
  const upgraded = await cluster.startRecorder('later', 200, { next: true })
  await until(
    async () =>
      (await count(`recorder = 'later' AND statement.${NEXT_FIELD} = '${NEXT_VALUE}'`)) > 100,
  )
  await upgraded.stop()
  await cluster.settled(warehouse)
  expect(await count("unread != ''")).toBe(0)
  await next.stop()
  // Back to this version: its ingest sees that the tables are newer and says so, instead of doing harm.
  await expect(cluster.startIngest({ warehouse, group: 'ingest-first' })).rejects.toThrow(
    /migration/,
  )
  await warehouse.stop()
})

test('golden bytes of every version go through today’s ingest', async () => {
  warehouse = await cluster.startWarehouse()
  const golden = join(__dirname, '../../../schemas/golden')
  const messages: Buffer[] = []
  for (const version of readdirSync(golden))
    for (const name of readdirSync(join(golden, version)).filter((file) => file.endsWith('.bin')))
      messages.push(Buffer.from(readFileSync(join(golden, version, name), 'utf8').trim(), 'hex'))
  // As a recorder would have sent them.
  messages.sort((a, b) => readEnvelope(a).time - readEnvelope(b).time)
  await cluster.produce(messages)
  const ingest = await cluster.startIngest({ warehouse, group: 'golden' })
  for (const message of messages) {
    const { id, kind, sequence } = decodeMessage(message)
    await until(
      async () =>
        (await count(
          `hex(id) = '${id.toString('hex').toUpperCase()}' AND kind = '${kind}' AND sequence = ${sequence}`,
        )) === 1,
    )
  }
  await ingest.stop()
  await warehouse.stop()
})
