/**
 * Follows what is to be acted on: the control and the standing topic from their beginnings, then whatever comes, at once.
 * Refuses to hand out a message twice where it can tell, and to stop because somebody who hears it failed.
 */
import type { Logger } from '@custody/kit'
import { readEnvelope } from '@custody/schemas'
import type { Client } from './client'
import { Duplicates } from './duplicates'
import { inOurWords } from './errors'
import { Backoff, pause } from './pause'
import type { ControlFollower, ControlOptions, FollowerProblem, Topics } from './types'

const WAIT_MS = 500
const FETCH_BYTES_MAX = 4 * 1024 * 1024

export interface FollowerParts {
  signal: AbortSignal
  newClient(): Client
  topics: Topics
  logger: Logger
}

export class TopicFollower implements ControlFollower {
  private readonly client: Client
  private readonly abort = new AbortController()
  private running: Promise<unknown> | null = null
  /** By topic. */
  private readonly problems = new Map<string, FollowerProblem>()

  constructor(
    private readonly o: FollowerParts,
    private readonly options: ControlOptions,
  ) {
    this.client = o.newClient()
    o.signal.addEventListener('abort', () => this.abort.abort(), { once: true })
  }

  async start(): Promise<void> {
    const topics = [this.o.topics.control, this.o.topics.standing]
    const caughtUp = topics.map(() => promiseOf())
    this.running = Promise.all(topics.map((topic, i) => this.follow(topic, caughtUp[i]!.resolve)))
    await Promise.all(caughtUp.map(({ promise }) => promise))
  }

  async stop(): Promise<void> {
    this.abort.abort()
    this.client.close()
    await this.running
  }

  /** Of several, the one that lasts longest. */
  problem(): FollowerProblem | null {
    let longest: FollowerProblem | null = null
    for (const one of this.problems.values())
      if (longest === null || one.sinceMs < longest.sinceMs) longest = one
    return longest
  }

  private async follow(topic: string, caughtUp: () => void): Promise<void> {
    const { signal } = this.abort
    const backoff = new Backoff()
    const duplicates = new Duplicates()
    let at: bigint | null = null
    let end: bigint | null = null
    while (!signal.aborted) {
      try {
        end ??= (await this.client.offsets(topic, 'end')).get(0) ?? 0n
        at ??= (await this.client.offsets(topic, 'first')).get(0) ?? 0n
        if (at >= end) caughtUp()
        const node = (await this.client.leaders(topic))[0] ?? -1
        const answers = await this.client.fetch(
          node,
          topic,
          topic,
          [{ partition: 0, offset: at, bytesMax: FETCH_BYTES_MAX }],
          { waitMs: at < end ? 0 : WAIT_MS, bytesMax: FETCH_BYTES_MAX },
        )
        const found = answers.get(0)
        if (!found) throw new Error(`${topic} gave no answer`)
        if (found.moved !== null) {
          this.o.logger.warn(
            { topic, from: `${at}`, to: `${found.moved}` },
            found.moved > at ? 'deleted before it was heard' : 'the topic was made anew',
          )
          // Of a topic made anew nothing was there before the start, if that is over.
          if (found.moved < at) end = at >= end ? found.moved : null
          at = found.moved
          continue
        }
        if (found.error !== 0) {
          this.client.forget(topic)
          throw new Error(`${topic} can’t be followed: error ${found.error}`)
        }
        for (const { offset, value } of found.records)
          if (value.length > 0) this.hear(value, offset < end, duplicates)
        // What compaction took leaves nothing to read up to the end.
        if (found.next > at) at = found.next
        else if (at < end && found.highWatermark >= end && found.records.length === 0) at = end
        backoff.reset()
        if (this.problems.delete(topic)) this.o.logger.info({ topic }, 'followed again')
      } catch (error) {
        if (signal.aborted) break
        const { code, message } = inOurWords(error)
        const before = this.problems.get(topic)
        if (!before)
          this.o.logger.warn({ err: error, code, topic }, 'what people say elsewhere is not heard')
        this.problems.set(topic, { code, message, sinceMs: before?.sinceMs ?? Date.now() })
        await pause(backoff.take(), signal)
      }
    }
    caughtUp()
  }

  private hear(message: Buffer, replayed: boolean, duplicates: Duplicates): void {
    try {
      if (duplicates.isDuplicate(readEnvelope(message))) return
      this.options.hear(message, replayed)
    } catch (error) {
      this.o.logger.error({ err: error }, 'what somebody said is not acted on')
    }
  }
}

function promiseOf(): { promise: Promise<void>; resolve: () => void } {
  let resolve = () => {}
  const promise = new Promise<void>((settle) => {
    resolve = settle
  })
  return { promise, resolve }
}
