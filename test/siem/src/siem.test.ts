/**
 * The short form of `npm run siem`: every destination once, and for one of each kind what goes wrong most. The comparison itself
 * is tested first, since a check that can't fail would say nothing.
 */
import { check } from './check'
import { compare } from './compare'
import { DESTINATIONS } from './destinations'
import { findingsOf } from './findings'

const log = ['a', 'b', 'c', 'd'].map((id, order) => ({ id, key: 's', order }))

test.each<[string, string[], object]>([
  ['all of it', ['a', 'b', 'c', 'd'], { missing: 0, reordered: 0, duplicates: 0, invented: 0 }],
  ['one is missing', ['a', 'b', 'd'], { missing: 1, missingIds: ['c'], reordered: 0 }],
  ['two changed places', ['a', 'c', 'b', 'd'], { missing: 0, reordered: 1 }],
  ['one came twice', ['a', 'b', 'a', 'c', 'd'], { duplicates: 1, reordered: 0 }],
  ['one was never sent', ['a', 'b', 'c', 'd', 'x'], { invented: 1 }],
])('compared: %s', (_, received, found) => {
  expect(compare(log, received, { ordered: true })).toMatchObject(found)
})

test.each(
  Object.keys(DESTINATIONS).filter((name) => !name.startsWith('opensearch') && name !== 'kafka'),
)('%s has every event once, in order', async (destination) => {
  const result = await check({ ...DESTINATIONS[destination]!, destination, events: 600, seed: 7 })
  expect(findingsOf(result)).toEqual([])
  if (destination.endsWith('udp')) return
  expect(result).toMatchObject({ missing: 0, reordered: 0, duplicates: 0, invented: 0 })
  expect(result.received).toBe(result.sent)
})

// An index of OpenSearch's is what reconcile.test.ts compares with.
test.each(['opensearch-data-stream', 'kafka'])(
  '%s has every event once, and none is lost when we are killed',
  async (destination) => {
    const result = await check({
      ...DESTINATIONS[destination]!,
      ...{ destination, events: 1500, seed: 11, faults: ['kill-us'], times: 1 },
    })
    expect(findingsOf(result)).toEqual([])
    expect(result.faults).toEqual({ 'kill-us': 1 })
  },
  300_000,
)

test('through a storm, cuts and half answers nothing is lost', async () => {
  const result = await check({
    ...DESTINATIONS.http!,
    ...{ destination: 'http', events: 3000, seed: 5, times: 1 },
    faults: ['kill-us', 'cut-network', 'storm-429', 'storm-503', 'half-answers'],
  })
  expect(findingsOf(result)).toEqual([])
  expect(Object.keys(result.faults)).toHaveLength(5)
}, 300_000)
