/** What a member claims and keeps, whatever becomes of the answers to its joining; the coordinator is a script. */
import { silentLogger } from '@custody/kit'
import type { Client } from './client'
import { NoAnswerError, PROTOCOL } from './errors'
import { encodeAssignment, Membership, ownedOf, share } from './membership'

interface Answer {
  errorCode: number
}
type Step = { generation: number; sync: Answer | Error } | Answer | Error

/** Joins as the script says, one after the other; what is claimed with each, and what is begun anew, is noted. */
async function play(steps: readonly Step[]) {
  const abort = new AbortController()
  const claims: number[][] = []
  const begun: number[][] = []
  const committable: boolean[] = []
  let owned = new Set<number>()
  let at = -1
  const answer = (what: Answer | Error) => {
    if (what instanceof Error) throw what
    return what
  }
  const client = {
    coordinator: async () => 1,
    leaders: async () => [1, 1],
    join: async (_: number, __: unknown, protocol: { metadata: Buffer }) => {
      claims.push(ownedOf(protocol.metadata))
      const step = steps[++at]
      if (step === undefined) {
        abort.abort()
        throw new NoAnswerError('over')
      }
      if (!('generation' in step)) return { memberId: 'a', ...answer(step) }
      return { errorCode: 0, memberId: 'a', generationId: step.generation, leader: 'b' }
    },
    sync: async () => {
      committable.push(!membership.isSyncing)
      const step = steps[at] as { sync: Answer | Error }
      return { ...answer(step.sync), assignment: encodeAssignment('t', [0, 1]) }
    },
    heartbeat: async () => PROTOCOL.REBALANCE_IN_PROGRESS,
    leave: async () => {},
  }
  const membership = new Membership({
    ...{ client: client as unknown as Client, group: 'g', topic: 't', logger: silentLogger() },
    signal: abort.signal,
    share,
    owned: () => [...owned],
    settle: async () => {},
    assigned: (partitions) => {
      begun.push(partitions.filter((one) => !owned.has(one)))
      owned = new Set(partitions)
    },
    lost: () => owned.clear(),
    trouble: () => {},
    fine: () => {},
  })
  await membership.run()
  return { claims, begun, committable }
}

const well = (generation: number): Step => ({ generation, sync: { errorCode: 0 } })
const lost = new NoAnswerError('the connection broke')
const again = { errorCode: PROTOCOL.REBALANCE_IN_PROGRESS }

test('from one generation to the next a member keeps what it has; in between it commits nothing', async () => {
  const { claims, begun, committable } = await play([well(1), well(2)])
  expect(claims.slice(0, 2)).toEqual([[], [0, 1]])
  expect(begun).toEqual([[0, 1], []])
  expect(committable).toEqual([false, false])
})

test.each<[string, Step]>([
  ['the answer to a join stayed out', lost],
  ['a join was to be done again', again],
  ['the answer to a sync stayed out', { generation: 2, sync: lost }],
  ['a sync was refused since others joined', { generation: 2, sync: again }],
  ['the coordinator moved', { generation: 2, sync: { errorCode: PROTOCOL.NOT_COORDINATOR } }],
])('%s: nothing is claimed, and all begins from what is committed', async (_, step) => {
  const { claims, begun } = await play([well(1), step, well(3)])
  expect(claims.slice(0, 3)).toEqual([[], [0, 1], []])
  expect(begun).toEqual([
    [0, 1],
    [0, 1],
  ])
})

test('a generation that was missed: all begins from what is committed', async () => {
  const { begun } = await play([well(1), well(3)])
  expect(begun[1]).toEqual([0, 1])
})
