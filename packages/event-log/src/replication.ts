/**
 * Ties a recorder to the shipper of its log: who waits for `replicated` is told when the shipper says so, and while what it
 * ships to is away, commands that would have to wait are refused at once.
 * Knows nothing of where the shipper ships to.
 */
import type { Recorder } from './recorder'

/** How far a recorder's log is taken elsewhere. */
export interface ReplicationStatus {
  recorder: string
  /** Every event below it is there. */
  shippedSequence: number
  behindEvents: number
  behindBytes: number
  oldestUnshippedMs: number | null
  /** Since the start. */
  events: number
  batches: number
  problem: { code: string; message: string; sinceMs: number } | null
}

export interface LogShipper {
  start(): void
  nudge(): void
  stop(msMax: number): Promise<void>
  status(): ReplicationStatus
}

export interface Replicated {
  status(): ReplicationStatus
  /** Ships what is there, for at most so long. */
  stop(msMax: number): Promise<void>
}

const LOOK_MS = 250
/** A problem that is over within this is one that commands wait for; a longer one refuses them at once. */
export const AWAY_MS = 2000

/** `ship` makes the shipper; what it says is acknowledged comes to `onReplicated`. */
export function replicate(
  recorder: Recorder,
  replicatedMsMax: number,
  ship: (onReplicated: (nextSequence: number) => void) => LogShipper,
): Replicated {
  const shipper = ship((nextSequence) => recorder.replicatedThrough(nextSequence))
  recorder.replicateBy({ msMax: replicatedMsMax, nudge: () => shipper.nudge() })
  const awayMs = Math.min(AWAY_MS, replicatedMsMax)
  let problemSince: number | null = null
  const look = () => {
    const { problem } = shipper.status()
    if (problem === null) problemSince = null
    else problemSince ??= performance.now()
    const isAway = problemSince !== null && performance.now() - problemSince >= awayMs
    recorder.replicationStands(isAway ? problem!.message : null)
  }
  shipper.start()
  // Who is asked for a shipper has reached what it ships to: nobody is refused until the first look for what was so before.
  look()
  const looking = setInterval(look, LOOK_MS)
  looking.unref()
  return {
    status: () => shipper.status(),
    async stop(msMax) {
      clearInterval(looking)
      await shipper.stop(msMax)
    },
  }
}
