/**
 * How far ingest is behind the logs, and waiting for it. Reads the logs' envelopes and the committed positions only.
 */
import { committedPosition, listRecorders, openReader } from '@custody/event-log'
import type { PartitionLag } from './cluster-freshness'

export interface Lag {
  recorder: string
  /** Events recorded and not yet ingested; a lower bound when the log is far ahead. */
  behind: number
  /** The log goes on behind `head`, further than was looked. */
  further: boolean
  /** Sequence that comes next in the log. */
  head: number
}

/** Bytes of a log looked through to find its head. */
const LOOK_BYTES_MAX = 8 * 1024 * 1024
const POLL_MS = 25
/** How long what depends on what was just recorded (an answer, a page) waits for it to be in the store. */
export const STORE_WAIT_MS = 2000

export interface Freshness {
  /** Of the logs in this home. */
  lag(): Promise<Lag[]>
  /** In a cluster, of the partitions in Kafka; null where Kafka does not say. */
  partitions?(): Promise<PartitionLag[] | null>
  /** Waits until all that was recorded before the call is in the store; false if it was not within `ms`. */
  caughtUp(ms: number): Promise<boolean>
}

/** `ignore`: the recorder of the reads themselves, which would never be caught up with. */
export function createFreshness(
  logDirectory: string,
  ignore: string,
  consumer = 'ingest',
): Freshness {
  async function lag(): Promise<Lag[]> {
    const found: Lag[] = []
    for (const recorder of await listRecorders(logDirectory)) {
      if (recorder === ignore) continue
      const position = await committedPosition(logDirectory, consumer, recorder)
      const reader = openReader({ directory: logDirectory, recorder, from: position ?? undefined })
      try {
        let head = position?.sequence ?? 0
        let first = position ? position.sequence : -1
        let further = true
        for (let bytes = 0; bytes < LOOK_BYTES_MAX; ) {
          const batch = await reader.read(1024 * 1024)
          if (batch === null) {
            further = false
            break
          }
          if (first < 0) first = batch.firstSequence
          head = batch.firstSequence + batch.count
          for (const message of batch.messages) bytes += message.length
        }
        found.push({ recorder, head, behind: first < 0 ? 0 : head - first, further })
      } finally {
        reader.close()
      }
    }
    return found
  }

  return {
    lag,
    async caughtUp(ms) {
      const until = Date.now() + ms
      const wanted = (await lag()).filter((one) => one.behind > 0)
      for (;;) {
        let behind = false
        for (const { recorder, head } of wanted) {
          const position = await committedPosition(logDirectory, consumer, recorder)
          if ((position?.sequence ?? 0) < head) behind = true
        }
        // Too far behind to see the log's head: what was recorded before the call can't be there in time.
        if (wanted.some((one) => one.further)) return false
        if (!behind) return true
        if (Date.now() >= until) return false
        await new Promise((resolve) => setTimeout(resolve, POLL_MS))
      }
    },
  }
}
