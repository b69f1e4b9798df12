/** Requests that wait for the indexer together, on a collector that is told when to say what. */
import { createServer, type Server } from 'node:http'
import { silentLogger } from '@custody/kit'
import type { Batch, Destination, Outgoing } from '../delivery/destination'
import { secrets, settingsOf } from '../testing'
import { createSplunk } from './splunk'

/** In order: events of each request, and the acknowledgements of each question. */
let seen: ({ events: string[] } | { acks: number[] })[]
let isIndexed: (ack: number) => boolean
let statusOf: (request: number) => number
let server: Server
let destination: Destination

async function setUp(more: Record<string, unknown> = {}): Promise<void> {
  seen = []
  let requests = 0
  server = createServer((request, response) => {
    const parts: Buffer[] = []
    request.on('data', (part) => parts.push(part))
    request.on('end', () => {
      const body = Buffer.concat(parts).toString()
      const answer = (status: number, value: unknown) =>
        response.writeHead(status).end(JSON.stringify(value))
      if (request.url!.includes('/ack')) {
        const { acks } = JSON.parse(body) as { acks: number[] }
        seen.push({ acks })
        return answer(200, { acks: Object.fromEntries(acks.map((ack) => [ack, isIndexed(ack)])) })
      }
      if (request.url!.endsWith('/export')) {
        // As a search goes on it shows what it has so far, unless nobody wants that.
        const rows = ['{"preview":false,"result":{"custody_id":"a"}}']
        if (new URLSearchParams(body).get('preview') !== 'false')
          rows.unshift('{"preview":true,"result":{"custody_id":"a"}}')
        return void response.writeHead(200).end(rows.join('\n'))
      }
      const ackId = requests++
      seen.push({ events: [...body.matchAll(/"custody_id":"(\w+)"/g)].map(([, id]) => id!) })
      if (statusOf(ackId) !== 200) return answer(statusOf(ackId), { code: 9 })
      answer(200, { code: 0, ackId })
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const url = `http://127.0.0.1:${(server.address() as { port: number }).port}`
  const settings = settingsOf({
    ...{ type: 'splunk', token: { literal: 't' }, gzip: false, requestsMax: 3, url },
    search: { url, token: { literal: 't' } },
    batch: { eventsMax: 2 },
    ...more,
  })
  destination = createSplunk({
    ...{ name: 'one', gateway: 'g', secrets, logger: silentLogger() },
    settings: settings as Extract<typeof settings, { type: 'splunk' }>,
  })
}

beforeEach(() => {
  isIndexed = () => true
  statusOf = () => 200
})
afterEach(async () => {
  await destination.close()
  server.close()
  server.closeAllConnections()
})

function batch(count: number): Batch {
  const records = Array.from({ length: count }, (_, i) => {
    const text = JSON.stringify({ id: `e${i}` })
    return {
      ...{ id: `e${i}`, key: 's', timeMicros: 1e15 + i, kind: 'k', severity: 'low', recorder: 'r' },
      ...{ sequence: i, session: null, resource: null, text, bytes: text.length },
    } as Outgoing
  })
  return { records, bytes: records.reduce((sum, { bytes }) => sum + bytes, 0), attempt: 1 }
}
const signal = AbortSignal.timeout(60_000)
const sent = () => seen.flatMap((one) => ('events' in one ? [one.events] : []))

test('several wait, and are asked about at once', async () => {
  await setUp()
  expect(destination.together).toBe(3)
  let asked = 0
  isIndexed = () => asked++ >= 3
  expect(await destination.deliver(batch(6), signal)).toEqual({})
  expect(seen).toEqual([
    { events: ['e0', 'e1'] },
    { events: ['e2', 'e3'] },
    { events: ['e4', 'e5'] },
    { acks: [0, 1, 2] },
    { acks: [0, 1, 2] },
  ])
})

test('what was said once is not asked about again, and what is never said comes again alone', async () => {
  await setUp({ requestMsMax: 700 })
  isIndexed = (ack) => ack !== 1
  const receipt = await destination.deliver(batch(5), signal)
  expect(receipt.again?.indices).toEqual([2, 3])
  const asked = seen.flatMap((one) => ('acks' in one ? [one.acks] : []))
  expect(asked.length).toBeGreaterThan(1)
  expect(asked[0]).toEqual([0, 1, 2])
  for (const acks of asked.slice(1)) expect(acks).toEqual([1])
})

test('a request that is not taken keeps back what is behind it, and nothing that was before', async () => {
  await setUp()
  statusOf = (request) => (request === 1 ? 503 : 200)
  const receipt = await destination.deliver(batch(6), signal)
  expect(receipt.again?.indices).toEqual([2, 3, 4, 5])
  expect(sent()).toEqual([
    ['e0', 'e1'],
    ['e2', 'e3'],
  ])
})

test('nothing taken, or nothing indexed in time, is a batch of which nothing is known', async () => {
  await setUp({ requestMsMax: 300 })
  statusOf = () => 503
  await expect(destination.deliver(batch(6), signal)).rejects.toMatchObject({ fault: 'retry' })
  expect(sent()).toHaveLength(1)
  statusOf = () => 200
  isIndexed = () => false
  await expect(destination.deliver(batch(6), signal)).rejects.toMatchObject({ fault: 'retry' })
})

test('without acknowledgement nothing waits', async () => {
  await setUp({ acknowledgement: false })
  expect(destination.together).toBeUndefined()
  expect(await destination.deliver(batch(3), signal)).toEqual({})
  expect(seen.every((one) => 'events' in one)).toBe(true)
})

test('what it holds is counted once, and not as a search goes on', async () => {
  await setUp()
  const ids: string[] = []
  for await (const id of destination.holdings!.ids(0, 1e6, AbortSignal.timeout(20_000)))
    ids.push(id)
  expect(ids).toEqual(['a'])
})
