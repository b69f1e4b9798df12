/** Being part of a cluster, with what is heard in the test's own hands: names that are taken, and hearing that fails. */
import { type LogShipper, openReader, openRecorder, type Recorder } from '@custody/event-log'
import { type Home, parseConfiguration, prepareHome, silentLogger } from '@custody/kit'
import { temporaryDirectory } from '@custody/test-support'
import { type Cluster, joinCluster } from './cluster'
import { shipperMetrics } from './metrics'
import type { ControlOptions, FollowerProblem } from './types'

let place: ReturnType<typeof temporaryDirectory>
const toClose: (() => Promise<unknown>)[] = []
beforeEach(() => {
  place = temporaryDirectory('cluster')
})
afterEach(async () => {
  for (const close of toClose.splice(0).reverse()) await close()
  await place.remove()
})

async function recording(name: string): Promise<{ home: Home; recorder: Recorder }> {
  const home = prepareHome(`${place.path}/${name}`)
  const recorder = await openRecorder({ directory: home.log, recorder: 'proxy-a', reserveBytes: 0 })
  toClose.push(() => recorder.close())
  return { home, recorder }
}

/** What the recorder said at its start. */
async function startOf({ home, recorder }: { home: Home; recorder: Recorder }): Promise<Buffer> {
  await recorder.recorded('os')
  const from = { segment: 1, offset: 0, sequence: 0 }
  const reader = openReader({ directory: home.log, recorder: recorder.name, from })
  try {
    return Buffer.from((await reader.read(1))!.messages[0]!)
  } finally {
    reader.close()
  }
}

const shipper: LogShipper = {
  start: () => {},
  nudge: () => {},
  stop: async () => {},
  status: () => ({
    ...{ recorder: 'proxy-a', shippedSequence: 0, behindEvents: 0, behindBytes: 0 },
    ...{ oldestUnshippedMs: null, events: 0, batches: 0, problem: null },
  }),
}

/** A cluster in which this was said before. */
async function joined({ home, recorder }: { home: Home; recorder: Recorder }, before: Buffer[]) {
  let say: ControlOptions['hear'] = () => {}
  let problem: FollowerProblem | null = null
  let shippers = 0
  const joining = joinCluster({
    ...{ home, recorder, logger: silentLogger(), hear: () => {}, heard: () => {} },
    kafka: {
      settings: parseConfiguration('{kafka: {brokers: ["127.0.0.1:1"]}}').kafka!,
      ensureTopics: async () => {},
      control: ({ hear }) => ({
        async start() {
          say = hear
          for (const message of before) hear(message, true)
        },
        stop: async () => {},
        problem: () => problem,
      }),
      close: async () => {},
    },
    ship: () => {
      shippers++
      return shipper
    },
  })
  const cluster: Cluster = await joining.catch((error) => {
    expect(shippers).toBe(0)
    throw error
  })
  toClose.push(() => cluster.stop(0))
  return {
    cluster,
    say: (message: Buffer) => say(message, false),
    fails(why: FollowerProblem | null) {
      problem = why
    },
  }
}

test('a name that another log has is not taken; one’s own is', async () => {
  const one = await recording('one')
  const other = await recording('other')
  await joined(one, [await startOf(one)])
  await expect(joined(other, [await startOf(one), await startOf(other)])).rejects.toMatchObject({
    code: 'CUSTODY-START-005',
  })
})

test('who hears that another log got its name takes no more commands', async () => {
  const one = await recording('one')
  const other = await recording('other')
  const { say } = await joined(one, [])
  say(await startOf(one))
  expect(one.recorder.problem).toBeNull()
  say(await startOf(other))
  expect(one.recorder.problem?.message).toContain('another home records as proxy-a')
})

test('hearing that fails is seen, with since when, until it works again', async () => {
  const { cluster, fails } = await joined(await recording('one'), [])
  const metric = (name: string) =>
    shipperMetrics(cluster.status()).find((one) => one.name === name)!.values[0]!.value
  expect(cluster.status()).toMatchObject({ isHearing: true, hearingProblem: null })
  expect(metric('custody_control_hearing')).toBe(1)
  expect(metric('custody_control_unheard_seconds')).toBe(0)
  const why = { code: 'CUSTODY-KAFKA-001', message: 'gone', sinceMs: Date.now() - 3_600_000 }
  fails(why)
  expect(cluster.status()).toMatchObject({ isHearing: false, hearingProblem: why })
  expect(metric('custody_control_hearing')).toBe(0)
  expect(metric('custody_control_unheard_seconds')).toBeGreaterThanOrEqual(3600)
  fails(null)
  expect(metric('custody_control_hearing')).toBe(1)
})
