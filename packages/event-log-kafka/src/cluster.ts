/**
 * What a process that records does to be part of a cluster: has its log shipped, hears what people say and who is locked, and
 * lets go of it in order. Kafka may be away at any time, the start included: recording goes on, and this comes back by itself.
 * Refuses to start where Kafka says that its topics promise less than is asked for, where this host has never heard who is
 * locked, and where another home records under this name: their events would be taken for each other's. So nothing is
 * shipped before all that is there is heard. Where such a home comes later all the same, who hears it takes no more.
 */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import {
  commitPosition,
  committedPosition,
  forgetConsumer,
  type LogShipper,
  type Recorder,
  type Replicated,
  type ReplicationStatus,
  replicate,
} from '@custody/event-log'
import {
  CustodyError,
  type Home,
  isCustodyError,
  type Logger,
  withTimeout,
  writeFileAtomic,
} from '@custody/kit'
import { decodeMessage, readEnvelope } from '@custody/schemas'
import { STARTED } from './routing'
import type { ControlFollower, FollowerProblem, Kafka } from './types'

export interface ClusterOptions {
  kafka: Pick<Kafka, 'settings' | 'ensureTopics' | 'control' | 'close'>
  home: Home
  recorder: Recorder
  /** Makes the shipper of the recorder's log. */
  ship(onReplicated: (nextSequence: number) => void): LogShipper
  /** What is said, in the order of all hosts. `isBefore`: it was there before this process. */
  hear(message: Buffer, isBefore: boolean): void
  /** All that was there before is heard. */
  heard(): void
  /** Consumers of its log that there are no more, besides the local ingest. */
  forget?: readonly string[]
  logger: Logger
}

export interface ClusterStatus extends ReplicationStatus {
  /** Whether who is locked and what people say elsewhere is heard, and was heard up to the end once since the start. */
  isHearing: boolean
  /** Why it is not, and since when. */
  hearingProblem: FollowerProblem | null
}

export interface Cluster {
  status(): ClusterStatus
  /** Ships what is there, for at most so long, and lets go. The recorder is closed before, so that its end is shipped too. */
  stop(msMax: number): Promise<void>
  /** Hears no more; what is recorded still goes on to Kafka. */
  deafen(): Promise<void>
}

/** Positions in the log of who takes it as far as Kafka, and of who does without. */
export const CONSUMER = 'kafka'
const RETRY_MS = 1000
/** A host that has heard who is locked goes on with what it knows after so long; one that never has does not start. */
const HEAR_MS_MAX = 10_000
const HEAR_FIRST_MS_MAX = 60_000
const NOT_HEARD = 'what was said before has not been heard yet'
const NOT_REACHED = 'Kafka has not been reached yet'
const FATAL = new Set(['CUSTODY-KAFKA-003', 'CUSTODY-START-005'])
/** Made once all has been heard: from then on the home knows who is locked. */
const HEARD_FILE = 'standing-heard'

/** Resolves when all that is there is heard, or, on a host that has heard before, when Kafka is away. */
export async function joinCluster(o: ClusterOptions): Promise<Cluster> {
  const { home, recorder, logger, kafka } = o
  let stopping = false
  let follower: ControlFollower | null = null
  let replicated: Replicated | null = null
  let isHearing = false
  let isTaken = false
  const joinedMs = Date.now()
  const waits = new Set<() => void>()
  const pause = () =>
    new Promise<void>((resolve) => {
      const over = () => {
        clearTimeout(timer)
        waits.delete(over)
        resolve()
      }
      const timer = setTimeout(over, RETRY_MS)
      waits.add(over)
    })

  /** Until it succeeds or Custody stops; what is wrong is told once. */
  async function untilDone(
    what: string,
    attempt: () => Promise<void>,
    fatal: (e: unknown) => boolean,
  ) {
    for (let told = ''; !stopping; ) {
      try {
        await attempt()
        return
      } catch (error) {
        if (fatal(error)) throw error
        const { message } = error as Error
        if (message !== told) logger.error({ err: error }, what)
        told = message
        await pause()
      }
    }
  }

  async function takeOver(): Promise<void> {
    const { name } = recorder
    // What was ingested from here already is in the store: only what came behind it goes by Kafka.
    if ((await committedPosition(home.log, CONSUMER, name)) === null) {
      const ingested = await committedPosition(home.log, 'ingest', name)
      if (ingested !== null) await commitPosition(home.log, CONSUMER, name, ingested)
    }
    // Nobody reads the log here any more; what they committed would keep it from being freed for ever.
    for (const consumer of ['ingest', ...(o.forget ?? [])])
      await forgetConsumer(home.log, consumer, name)
  }

  async function hear(topics: Promise<void>): Promise<void> {
    await untilDone(
      'what people say elsewhere can’t be heard; who is locked is what this host knows already',
      async () => {
        const one = kafka.control({
          hear(message, isBefore) {
            if (!isTaken && isOther(message, recorder)) {
              isTaken = true
              if (isHearing) tooLate(taken())
            }
            o.hear(message, isBefore)
          },
        })
        follower = one
        try {
          await one.start()
          if (isTaken) throw taken()
          // Whoever comes from now on comes later.
          isHearing = !stopping
        } catch (error) {
          follower = null
          await one.stop().catch(() => {})
          throw error
        }
      },
      isFatal,
    )
    if (stopping) return
    o.heard()
    await topics
    if (stopping) return
    replicated = replicate(recorder, kafka.settings.replicatedMsMax, o.ship)
    writeFileAtomic(join(home.keys, HEARD_FILE), `${new Date().toISOString()}\n`)
    logger.info('what people say elsewhere is heard')
  }

  await takeOver()
  recorder.replicationStands(NOT_REACHED)
  const topics = untilDone(
    'the topics in Kafka can’t be looked at',
    () => kafka.ensureTopics(),
    isFatal,
  )
  const hearing = hear(topics)
  const isFirst = !existsSync(join(home.keys, HEARD_FILE))
  try {
    await withTimeout(
      Promise.all([topics, hearing]),
      isFirst ? HEAR_FIRST_MS_MAX : HEAR_MS_MAX,
      () => new Late(),
    )
  } catch (error) {
    if (!(error instanceof Late) || isFirst) await stop(0)
    if (!(error instanceof Late)) throw error
    if (isFirst)
      throw new CustodyError(
        'CUSTODY-START-004',
        'this host has never heard who is locked and which tokens are revoked, and Kafka, which would tell, is away',
      )
    logger.warn(
      'Kafka is away; what is recorded waits here, and who is locked is what this host knew before',
    )
    hearing.catch(tooLate)
  }

  function notHeard(): FollowerProblem {
    return { code: 'CUSTODY-KAFKA-001', message: NOT_HEARD, sinceMs: joinedMs }
  }

  function taken(): CustodyError {
    return new CustodyError(
      'CUSTODY-START-005',
      `another home records as ${recorder.name}, or has done so before`,
    )
  }

  /** Found out while it works already: what has come goes on, and nothing more is taken. */
  function tooLate(error: unknown): void {
    logger.fatal({ err: error }, (error as Error).message)
    recorder.replicationStands((error as Error).message)
    recorder.stopTaking((error as Error).message)
  }

  async function deafen(): Promise<void> {
    stopping = true
    for (const over of [...waits]) over()
    isHearing = false
    await follower?.stop()
    follower = null
  }

  async function stop(msMax: number): Promise<void> {
    await deafen()
    await replicated?.stop(msMax)
    await kafka.close()
  }

  function notReached(): ReplicationStatus {
    return {
      recorder: recorder.name,
      shippedSequence: 0,
      behindEvents: recorder.status().nextSequence,
      behindBytes: recorder.status().logBytes,
      oldestUnshippedMs: null,
      events: 0,
      batches: 0,
      problem: { code: 'CUSTODY-KAFKA-001', message: NOT_REACHED, sinceMs: joinedMs },
    }
  }

  return {
    status() {
      const shipping = replicated?.status() ?? notReached()
      const hearingProblem = follower?.problem() ?? (isHearing || stopping ? null : notHeard())
      return { ...shipping, isHearing: isHearing && hearingProblem === null, hearingProblem }
    },
    deafen,
    stop,
  }
}

class Late extends Error {}

/** Trying again can't help. */
function isFatal(error: unknown): boolean {
  return isCustodyError(error) && FATAL.has(error.code)
}

/** Whether this says that a log of the recorder's name was opened that is not the recorder's. */
function isOther(message: Buffer, recorder: Recorder): boolean {
  const { kind, recorder: name } = readEnvelope(message)
  if (kind !== STARTED || name !== recorder.name) return false
  const log = decodeMessage(message).lifecycle?.attributes.log
  return log !== undefined && log !== recorder.logId
}
