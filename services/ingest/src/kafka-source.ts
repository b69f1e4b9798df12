/**
 * Lots from Kafka: slices of one partition, whose ends are noted before they are handed out, so that after a crash or a
 * rebalance the very same slice comes again. What the store has of it is asked
 * - of a slice that comes again: all of it;
 * - of any other: the events of those recorders of which, since this member got the partition, none was new, or whose
 *   sequence does not rise. The consumer drops what was sent twice since then; what came before is in the store. docs/decisions/0016-exactly-one-row.md has the
 *   argument.
 */
import {
  type EventConsumer,
  type Kafka,
  LostPartitionError,
  type Slice,
} from '@custody/event-log-kafka'
import type { Lot, Source } from './lot'
import type { Row, Unreadable } from './rows'
import type { EventStore } from './store'

export interface KafkaSourceOptions {
  kafka: Kafka
  group: string
  batchBytesMax: number
  batchEventsMax: number
  /** A small slice is committed no earlier than this after it was handed out, so that the next one is larger. */
  lingerMs: number
}

/**
 * Of a member: a slice of 50,000 events is a good part of the table, and up to twelve partitions' worth of them are held in
 * memory at once.
 */
export const KAFKA_DEFAULTS = {
  batchEventsMax: 50_000,
  batchBytesMax: 32 * 1024 * 1024,
  lingerMs: 500,
} as const

interface KafkaLot extends Lot {
  slice: Slice
  takenAt: number
  /** By recorder, of all events in it. */
  highest: Map<string, number>
}

export class KafkaSource implements Source {
  private readonly consumer: EventConsumer
  private readonly topic: string
  /** By partition: recorders of which something new has come since this member has it, and how far their sequences rose. */
  private rising = new Map<number, Map<string, number>>()
  private readonly resting = new Set<() => void>()
  private hurry = false

  constructor(private readonly o: KafkaSourceOptions) {
    this.topic = o.kafka.topics.events
    this.consumer = o.kafka.consumer({
      group: o.group,
      sliceEventsMax: o.batchEventsMax,
      sliceBytesMax: o.batchBytesMax,
    })
  }

  async start(): Promise<void> {
    await this.consumer.start()
  }

  async stop(): Promise<void> {
    this.wake()
    await this.consumer.stop()
  }

  async next(hurry: boolean): Promise<Lot | null> {
    if (hurry) {
      this.wake()
      return null
    }
    const slice = await this.consumer.next()
    this.forget()
    if (slice === null) return null
    const { partition, firstOffset, nextOffset, messages, offsets, bytes, again } = slice
    return {
      name: `${this.topic}/${partition}/${firstOffset}-${nextOffset}`,
      mark: `custody-ingest/${this.topic}/${partition}/`,
      messages,
      places: offsets.map((offset) => Number(offset - firstOffset)),
      bytes,
      full: messages.length >= this.o.batchEventsMax || bytes >= this.o.batchBytesMax / 2,
      again,
      slice,
      takenAt: Date.now(),
      highest: new Map(),
    } as KafkaLot
  }

  async present(lot: Lot, rows: readonly Row[], store: EventStore): Promise<ReadonlySet<Row>> {
    const { slice, highest } = lot as KafkaLot
    const { partition } = slice
    for (const { recorder, sequence } of rows)
      highest.set(recorder, Math.max(highest.get(recorder) ?? -1, sequence))
    const certain = stillRising(rows, this.rising.get(partition) ?? new Map())
    const doubtful = lot.again ? rows : rows.filter(({ recorder }) => !certain.has(recorder))
    if (doubtful.length === 0) return new Set()
    // Another member may have had the partition a moment ago.
    await store.insertsEnded(lot.mark)
    return store.present(doubtful)
  }

  async commit(lot: Lot, inserted: readonly Row[]): Promise<boolean> {
    const { slice, takenAt, highest } = lot as KafkaLot
    const { partition } = slice
    let rising = this.rising.get(partition)
    if (!rising) {
      rising = new Map()
      this.rising.set(partition, rising)
    }
    // Also where it is lower than before: then the log was begun anew.
    for (const { recorder } of inserted) rising.set(recorder, highest.get(recorder) ?? -1)
    if (!lot.full && !this.hurry) await this.rest(takenAt + this.o.lingerMs - Date.now())
    try {
      await this.consumer.commit(slice)
      return true
    } catch (error) {
      if (!(error instanceof LostPartitionError)) throw error
      this.rising.delete(partition)
      return false
    }
  }

  release(lot: Lot): void {
    const { slice } = lot as KafkaLot
    this.rising.delete(slice.partition)
    this.consumer.release(slice)
  }

  schema(fingerprint: string): Promise<string | null> {
    return this.o.kafka.schemas.get(fingerprint)
  }

  async putAside(lot: Lot, letters: readonly Unreadable[]): Promise<void> {
    const { slice } = lot as KafkaLot
    await this.o.kafka.deadLetters(
      letters.map(({ place, message, code, reason }) => ({
        topic: this.topic,
        partition: slice.partition,
        offset: slice.firstOffset + BigInt(place),
        reason,
        code,
        message,
        key: null,
      })),
    )
  }

  /** A partition that went and came back is as one never had. */
  private forget(): void {
    if (this.rising.size === 0) return
    const assigned = new Set(this.consumer.assigned())
    for (const partition of this.rising.keys())
      if (!assigned.has(partition)) this.rising.delete(partition)
  }

  private async rest(ms: number): Promise<void> {
    if (ms <= 0) return
    await new Promise<void>((resolve) => {
      const wake = () => {
        clearTimeout(timer)
        this.resting.delete(wake)
        resolve()
      }
      const timer = setTimeout(wake, ms)
      this.resting.add(wake)
    })
  }

  private wake(): void {
    this.hurry = true
    for (const wake of this.resting) wake()
  }
}

/**
 * Recorders all of whose rows rise above what was seen of them. Where a sequence falls, the log was begun anew, or it was
 * sent twice and the consumer could not tell.
 */
function stillRising(
  rows: readonly { recorder: string; sequence: number }[],
  seen: ReadonlyMap<string, number>,
): Set<string> {
  const last = new Map(seen)
  const rising = new Set(seen.keys())
  for (const { recorder, sequence } of rows) {
    if (sequence <= (last.get(recorder) ?? -1)) rising.delete(recorder)
    last.set(recorder, sequence)
  }
  return rising
}
