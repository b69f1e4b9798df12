/**
 * What a real receiver holds, compared with the log by the exporter itself: nothing is missing after delivery; what is taken out
 * behind its back is named and sent again, just that.
 */
import { randomUUID } from 'node:crypto'
import { readdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { homeAt } from '@custody/kit'
import { StateFiles, siemDirectory } from '@custody/siem-state'
import { compare } from './compare'
import { DESTINATIONS } from './destinations'
import { Exporter } from './exporter'
import { Load, type Logged, logged } from './load'
import type { Receiver } from './receivers/receiver'

const NAME = 'under-test'
const EVENTS = 400

/** Takes something out; answers of how many events, or null where nothing can be. */
const takeOut: Record<string, (receiver: Receiver, log: Logged[]) => Promise<number | null>> = {
  async 's3-jsonl'(receiver) {
    return removeObject(receiver)
  },
  async 's3-parquet'(receiver) {
    return removeObject(receiver)
  },
  async opensearch(receiver, log) {
    const at = `http://127.0.0.1:${receiver.port}`
    const url = `${at}/custody/_doc`
    // A node keeps only so many searches open, ours among those of others.
    const { nodes } = (await (await fetch(`${at}/_nodes/stats/indices/search`)).json()) as {
      nodes: Record<
        string,
        { indices: { search: { scroll_total: number; scroll_current: number } } }
      >
    }
    const [{ indices }] = Object.values(nodes) as [(typeof nodes)[string]]
    expect(indices.search.scroll_total).toBeGreaterThan(0)
    expect(indices.search.scroll_current).toBe(0)
    for (const { id } of log.slice(5, 12)) {
      const response = await fetch(`${url}/${id}?refresh=true`, { method: 'DELETE' })
      expect(response.status).toBe(200)
    }
    return 7
  },
  async kafka() {
    return null
  },
}

async function removeObject(receiver: Receiver): Promise<number> {
  const before = (await receiver.received()).length
  const root = join(receiver.directory!, 'custody')
  const objects = (readdirSync(root, { recursive: true }) as string[]).filter((one) =>
    /\.(gz|parquet)$/.test(one),
  )
  rmSync(join(root, objects[0]!))
  return before - (await receiver.received()).length
}

test.each(Object.keys(takeOut))(
  '%s',
  async (destination) => {
    const { start, settings } = DESTINATIONS[destination]!
    const receiver = await start()
    const exporter = new Exporter({
      gateway: 'test',
      siem: {
        retryMsMin: 50,
        destinations: {
          [NAME]: {
            ...receiver.settings(receiver.port),
            filter: { kinds: ['session', 'command'] },
            batch: { eventsMax: 100, lingerMs: 50 },
            ...settings,
          },
        },
      },
    })
    const load = await Load.open(exporter.home)
    try {
      await load.say(EVENTS)
      await load.close()
      await exporter.start()
      const log = (await logged(exporter.home)).filter(({ key }) => key.length === 36)
      const arrived = async () =>
        compare(log, await receiver.received(), { ordered: false }).missing === 0
      while (!(await arrived())) await sleep(100)
      // What was acknowledged last may not be remembered yet.
      while ((exporter.status(NAME)?.counts.acknowledged ?? 0) < log.length) await sleep(100)
      const all = await reconcile(exporter)
      expect(all).toMatchObject({ expected: log.length, missing: 0, sent: 0 })
      const gone = await takeOut[destination]!(receiver, log)
      if (gone === null) return
      expect(gone).toBeGreaterThan(0)
      expect(await reconcile(exporter, true)).toMatchObject({ missing: gone, sent: 0 })
      expect(await reconcile(exporter)).toMatchObject({ missing: gone, sent: gone })
      while (!(await arrived())) await sleep(100)
      expect(await reconcile(exporter)).toMatchObject({ missing: 0 })
    } finally {
      await exporter.stop()
      await receiver.stop()
    }
  },
  300_000,
)

test('of datagrams it says that loss is unknowable', async () => {
  const receiver = await DESTINATIONS['rsyslog-udp']!.start()
  const exporter = new Exporter({
    siem: { destinations: { [NAME]: receiver.settings(receiver.port) } },
  })
  await exporter.start()
  expect(await reconcile(exporter)).toMatchObject({ unknowable: true })
  await exporter.stop()
  await receiver.stop()
})

async function reconcile(exporter: Exporter, lookOnly = false) {
  const files = new StateFiles(siemDirectory(homeAt(exporter.home)), NAME)
  const id = randomUUID()
  files.ask({
    ...{ id, by: 'tester', what: 'reconcile', lookOnly },
    ...{ fromMicros: (Date.now() - 3_600_000) * 1000, toMicros: (Date.now() + 60_000) * 1000 },
  })
  for (;;) {
    const answer = files.answerOf(id)
    if (answer?.done) return answer
    await sleep(50)
  }
}
