/**
 * Produces with acks=all, idempotent, one batch at a time in a partition. The same batch goes out again, under the same
 * sequence, until it is acknowledged: the broker knows it then and appends it once.
 * Refuses to go on behind an answer that leaves open what the broker has: a new producer must look first.
 */
import type { KafkaSettings } from '@custody/kit'
import { answered, type Client, groupBy, type Outgoing } from './client'
import { AnsweredError, PROTOCOL, StoppedError } from './errors'
import { Backoff, pause } from './pause'

const SEND_MS_MAX = 10_000

/** Trying the same again can't help: it is too large, not permitted, or this producer is not known any more. */
const HOPELESS = new Set<number>([
  PROTOCOL.MESSAGE_TOO_LARGE,
  PROTOCOL.RECORD_LIST_TOO_LARGE,
  PROTOCOL.TOPIC_AUTHORIZATION_FAILED,
  PROTOCOL.CLUSTER_AUTHORIZATION_FAILED,
  PROTOCOL.OUT_OF_ORDER_SEQUENCE_NUMBER,
  PROTOCOL.DUPLICATE_SEQUENCE_NUMBER,
  PROTOCOL.INVALID_PRODUCER_EPOCH,
  PROTOCOL.UNKNOWN_PRODUCER_ID,
  // INVALID_RECORD, INVALID_TIMESTAMP, CORRUPT_MESSAGE would come again as well.
  87,
  32,
  2,
])

export interface ProducerOptions {
  client: Client
  compression: KafkaSettings['compression']
  signal: AbortSignal
  /** Told of what goes wrong while it is tried again, and of null when it is over. */
  onTrouble?(error: unknown): void
}

export class Producer {
  private id: { producerId: bigint; producerEpoch: number } | null = null
  private readonly sequences = new Map<string, number>()
  private failed = false

  constructor(private readonly o: ProducerOptions) {}

  /** Where each partition's part of it begins, by `topic/partition`. After a rejection the producer is of no more use. */
  async send(
    records: readonly Outgoing[],
    signal = this.o.signal,
  ): Promise<Map<string, { base: bigint; count: number }>> {
    if (this.failed) throw new TypeError('a producer that failed is of no more use')
    try {
      return await this.deliver(records, signal)
    } catch (error) {
      this.failed = true
      throw error
    }
  }

  private async deliver(records: readonly Outgoing[], signal: AbortSignal) {
    const done = new Map<string, { base: bigint; count: number }>()
    const backoff = new Backoff()
    const waiting = groupBy(records, ({ topic, partition }) => `${topic}/${partition}`)
    const keys = groupKeys(records)
    while (waiting.size > 0) {
      if (signal.aborted) throw new StoppedError()
      let trouble: unknown = null
      try {
        trouble = await this.attempt(waiting, keys, done)
      } catch (error) {
        if (isHopeless(error)) throw error
        trouble = error
      }
      if (trouble === null) {
        this.o.onTrouble?.(null)
        continue
      }
      this.o.onTrouble?.(trouble)
      await pause(backoff.take(), signal)
    }
    return done
  }

  /** Once for all that waits; answers what went wrong with some of it, or null. */
  private async attempt(
    waiting: Map<string, Outgoing[]>,
    keys: ReadonlyMap<string, string>,
    done: Map<string, { base: bigint; count: number }>,
  ): Promise<unknown> {
    const { client, compression } = this.o
    this.id ??= await client.initProducerId()
    const byNode = new Map<number, string[]>()
    for (const [at, [first]] of waiting) {
      const leaders = await client.leaders(first!.topic)
      const node = leaders[first!.partition] ?? -1
      const list = byNode.get(node)
      if (list) list.push(at)
      else byNode.set(node, [at])
    }
    const id = this.id
    let trouble: unknown = null
    const outcomes = await Promise.allSettled(
      [...byNode].map(async ([node, places]) => {
        const answers = await client.produce(
          node,
          places.flatMap((at) => waiting.get(at)!),
          { ...id, sequences: this.sequences, compression },
          SEND_MS_MAX,
        )
        for (const at of places) {
          const answer = answers.get(at)
          const count = waiting.get(at)!.length
          if (answer?.error === 0) {
            const key = keys.get(at)!
            this.sequences.set(key, next(this.sequences.get(key) ?? 0, count))
            waiting.delete(at)
            done.set(at, { base: answer.base, count })
          } else {
            client.forget(waiting.get(at)![0]!.topic)
            const error = answered(answer?.error ?? -1, `produce to ${at}`)
            if (!isHopeless(trouble)) trouble = error
          }
        }
      }),
    )
    for (const outcome of outcomes) if (outcome.status === 'rejected') trouble ??= outcome.reason
    if (isHopeless(trouble)) throw trouble
    return trouble
  }
}

function groupKeys(records: readonly Outgoing[]): Map<string, string> {
  return new Map(
    records.map(({ topic, partition }) => [`${topic}/${partition}`, `${topic}:${partition}`]),
  )
}

/** A batch's sequence has 31 bits and begins anew behind them. */
function next(sequence: number, count: number): number {
  return (sequence + count) % 2 ** 31
}

export function isHopeless(error: unknown): error is AnsweredError {
  return error instanceof AnsweredError && HOPELESS.has(error.answer)
}
