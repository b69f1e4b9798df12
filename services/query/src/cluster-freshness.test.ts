/** How far ingest is behind in Kafka, with a Kafka that says what the test has it say. */
import type { KafkaSettings } from '@custody/kit'
import { createClusterFreshness } from './cluster-freshness'
import type { Freshness } from './freshness'

const settings = { topicPrefix: 'acme' } as KafkaSettings
const at = (partition: number, first: bigint, end: bigint, committed: bigint | null) => ({
  partition,
  first,
  end,
  committed,
})
const local = (isCaughtUp = true): Freshness => ({
  lag: async () => [],
  caughtUp: async () => isCaughtUp,
})

test('it waits for what was in Kafka at the call, and for nothing that comes behind it', async () => {
  const groups: string[] = []
  let calls = 0
  const freshness = createClusterFreshness(
    {
      settings,
      async positions(group) {
        groups.push(group)
        calls++
        // What is written goes on and on; ingest follows.
        return [
          at(0, 5n, BigInt(10 * calls), calls === 1 ? null : BigInt(5 * calls)),
          at(1, 0n, 0n, null),
        ]
      },
    },
    local(),
  )
  expect(await freshness.caughtUp(60_000)).toBe(true)
  expect(calls).toBe(2)
  expect(groups).toEqual(['acme-ingest', 'acme-ingest'])
})

test('what is behind, and what this home has not shipped, is not there', async () => {
  const kafka = { settings, positions: async () => [at(1, 0n, 7n, 4n), at(0, 3n, 9n, null)] }
  expect(await createClusterFreshness(kafka, local()).caughtUp(0)).toBe(false)
  expect(await createClusterFreshness(kafka, local()).partitions!()).toEqual([
    { partition: 0, end: 9, committed: null, behind: 6 },
    { partition: 1, end: 7, committed: 4, behind: 3 },
  ])
  const done = { settings, positions: async () => [at(0, 0n, 7n, 7n)] }
  expect(await createClusterFreshness(done, local()).caughtUp(0)).toBe(true)
  expect(await createClusterFreshness(done, local(false)).caughtUp(0)).toBe(false)
})

test('a Kafka that is away is not asked again for each read', async () => {
  let calls = 0
  const freshness = createClusterFreshness(
    {
      settings,
      async positions() {
        calls++
        throw new Error('no broker answers')
      },
    },
    local(),
  )
  for (let i = 0; i < 20; i++) expect(await freshness.caughtUp(0)).toBe(false)
  expect(await freshness.partitions!()).toBeNull()
  expect(calls).toBeLessThan(20)
})
