/**
 * Slices of the events topic, for one destination: a consumer group of its own. How long a destination may be away is how long
 * Kafka keeps the topic; what was deleted before it was delivered comes as lost, by offset.
 * Where events tell something together, one member has all partitions, and what others dealt with since it had them last comes
 * first, as past: as far back as it may matter.
 */
import type * as Shared from '@custody/event-log-kafka'
import type { EventConsumer, Kafka, Slice as Range } from '@custody/event-log-kafka'
import { type Envelope, readEnvelope } from '@custody/schemas'
import type { EventSource, Lag, Slice } from './source'

export interface KafkaSourceOptions {
  kafka: Kafka
  group: string
  sliceEventsMax: number
  sliceBytesMax: number
  together?: {
    /** Events tell something together within so long. */
    spanMicros: number
    /** Where this member left an origin, as it remembers from before its start. */
    left(origin: string): number | undefined
    /** Others dealt with what was before: all that comes is to be dealt with, however old it is. */
    taken(): void
  }
}

const LAG_MS = 5000

interface KafkaSlice extends Slice {
  readonly of: Range
}

export class KafkaSource implements EventSource {
  private readonly consumer: EventConsumer
  private behind: Lag[] = []
  private askedAt = Number.NEGATIVE_INFINITY
  /** Of each partition: where this member left it. */
  private readonly left = new Map<number, bigint>()
  private past: AsyncGenerator<Slice> | null = null
  /** What comes behind the past. */
  private held: Range | null = null

  constructor(private readonly o: KafkaSourceOptions) {
    this.consumer = o.kafka.consumer({
      group: o.group,
      sliceEventsMax: o.sliceEventsMax,
      sliceBytesMax: o.sliceBytesMax,
      whole: o.together !== undefined,
    })
  }

  async start(): Promise<void> {
    await this.consumer.start()
  }

  stop(): Promise<void> {
    return this.consumer.stop()
  }

  async tend(): Promise<void> {}

  problem(): string | null {
    return this.consumer.problem()?.message ?? null
  }

  async next(): Promise<Slice | null> {
    const past = await this.past?.next()
    if (past?.done === false) return past.value
    this.past = null
    const range = this.held ?? (await this.consumer.next())
    this.held = null
    if (range === null) return null
    if (this.o.together && this.leftAt(range.partition) !== range.firstOffset) {
      this.held = range
      this.past = this.pastBefore(range)
      return this.next()
    }
    const { partition, firstOffset, nextOffset, messages, offsets, lost } = range
    const slice: KafkaSlice = {
      origin: originOf(partition),
      messages,
      places: offsets.map(Number),
      next: Number(nextOffset),
      base: String(firstOffset),
      full: messages.length >= this.o.sliceEventsMax,
      gapless: false,
      ...(lost && { lost: { from: Number(lost.from), to: Number(lost.to) } }),
      of: range,
    }
    return slice
  }

  async commit(slice: Slice): Promise<boolean> {
    try {
      const { of } = slice as KafkaSlice
      await this.consumer.commit(of)
      this.left.set(of.partition, of.nextOffset)
      return true
    } catch (error) {
      if ((error as { code?: string }).code === 'CUSTODY-KAFKA-007') return false
      throw error
    }
  }

  schema(fingerprint: string): Promise<string | null> {
    return this.o.kafka.schemas.get(fingerprint)
  }

  async lag(): Promise<Lag[]> {
    if (performance.now() - this.askedAt < LAG_MS) return this.behind
    this.askedAt = performance.now()
    const assigned = new Set(this.consumer.assigned())
    const positions = await this.o.kafka.positions(this.o.group)
    this.behind = positions
      .filter(({ partition }) => assigned.has(partition))
      .map(({ partition, first, end, committed }) => ({
        origin: originOf(partition),
        events: Number(end - (committed ?? first)),
        bytes: -1,
      }))
    return this.behind
  }

  private leftAt(partition: number): bigint | undefined {
    const before = this.o.together?.left(originOf(partition))
    return this.left.get(partition) ?? (before === undefined ? undefined : BigInt(before))
  }

  /** Of all partitions, since whoever has one has all of them. */
  private async *pastBefore(range: Range): AsyncGenerator<Slice> {
    const { kafka, group, together } = this.o
    const first = range.messages.map(envelopeOf).find((envelope) => envelope !== null)
    const sinceMs = ((first?.time ?? Date.now() * 1000) - together!.spanMicros) / 1000
    const since = await kafka.since(Math.max(0, sinceMs))
    for (const { partition, first, committed } of await kafka.positions(group)) {
      const to = partition === range.partition ? range.firstOffset : (committed ?? first)
      if (to > first) together!.taken()
      const from = [since.get(partition) ?? first, this.leftAt(partition) ?? first, first]
      // Where nothing is as young as that, nothing of it matters.
      if (from[0]! >= 0n)
        for await (const records of kafka.read(partition, from.reduce(later), to))
          yield {
            ...{ origin: originOf(partition), isPast: true, full: true, gapless: false },
            messages: records.map(({ message }) => message),
            ...{ places: [], next: Number(to), base: '' },
          }
      this.left.set(partition, to)
    }
  }

  async *range(fromMicros: number, toMicros: number): AsyncGenerator<readonly Buffer[]> {
    const { Duplicates } = require('@custody/event-log-kafka') as typeof Shared
    for (const { partition, first, committed } of await this.o.kafka.positions(this.o.group)) {
      if (committed === null) continue
      // What a shipper sent once more is one event.
      const duplicates = new Duplicates()
      for await (const records of this.o.kafka.read(partition, first, committed)) {
        const wanted = records
          .map(({ message }) => message)
          .filter((message) => {
            const envelope = envelopeOf(message)
            if (envelope === null || duplicates.isDuplicate(envelope)) return false
            return envelope.time >= fromMicros && envelope.time < toMicros
          })
        if (wanted.length > 0) yield wanted
      }
    }
  }
}

const originOf = (partition: number): string => `partition:${partition}`
const later = (one: bigint, other: bigint): bigint => (one > other ? one : other)

function envelopeOf(message: Buffer): Envelope | null {
  try {
    return readEnvelope(message)
  } catch {
    return null
  }
}
