/**
 * How far ingest is behind in a cluster: by the ends of the events topic's partitions and what the group of ingest has
 * committed of each. What other hosts have recorded and not shipped yet can't be seen from here; they tell by their own
 * /metrics. What is recorded in this very home is waited for until it is in Kafka.
 */
import type { Kafka, PartitionPositions } from '@custody/event-log-kafka'
import { withTimeout } from '@custody/kit'
import type { Freshness } from './freshness'

const POLL_MS = 50
/** Kafka is asked for so long, and not again for a moment where it did not answer. */
const ASK_MS_MAX = 1000
const AGAIN_MS = 2000

export interface PartitionLag {
  partition: number
  /** Offset behind the last event. */
  end: number
  /** What ingest has committed; null: nothing yet. */
  committed: number | null
  behind: number
}

export function createClusterFreshness(
  kafka: Pick<Kafka, 'settings' | 'positions'>,
  /** Of the logs in this home, on their way to Kafka. */
  local: Freshness,
): Freshness {
  let notBeforeMs = 0

  /** Null where Kafka does not say. */
  async function positions(): Promise<PartitionPositions[] | null> {
    if (performance.now() < notBeforeMs) return null
    try {
      return await withTimeout(
        kafka.positions(`${kafka.settings.topicPrefix}-ingest`),
        ASK_MS_MAX,
        () => new Error('Kafka did not answer in time'),
      )
    } catch {
      notBeforeMs = performance.now() + AGAIN_MS
      return null
    }
  }

  return {
    lag: () => local.lag(),

    async partitions() {
      const found = await positions()
      return found === null ? null : found.map(lagOf).sort((a, b) => a.partition - b.partition)
    },

    async caughtUp(ms) {
      const until = Date.now() + ms
      if (!(await local.caughtUp(ms))) return false
      const wanted = await positions()
      if (wanted === null) return false
      for (let now: PartitionPositions[] | null = wanted; ; now = await positions()) {
        if (now === null) return false
        const at = new Map(now.map((one) => [one.partition, one]))
        const isBehind = wanted.some(
          ({ partition, end, first }) => end > (at.get(partition)?.committed ?? first),
        )
        if (!isBehind) return true
        if (Date.now() >= until) return false
        await new Promise((resolve) => setTimeout(resolve, POLL_MS))
      }
    },
  }
}

function lagOf({ partition, first, end, committed }: PartitionPositions): PartitionLag {
  const from = committed === null || committed < first ? first : committed
  return {
    partition,
    end: Number(end),
    committed: committed === null ? null : Number(committed),
    behind: Number(end - from),
  }
}
