/**
 * Slices of the events topic, for one destination: a consumer group of its own. How long a destination may be away is how long
 * Kafka keeps the topic; what was deleted before it was delivered comes as lost, by offset.
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
}

const LAG_MS = 5000

interface KafkaSlice extends Slice {
  readonly of: Range
}

export class KafkaSource implements EventSource {
  private readonly consumer: EventConsumer
  private behind: Lag[] = []
  private askedAt = Number.NEGATIVE_INFINITY

  constructor(private readonly o: KafkaSourceOptions) {
    this.consumer = o.kafka.consumer({
      group: o.group,
      sliceEventsMax: o.sliceEventsMax,
      sliceBytesMax: o.sliceBytesMax,
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
    const range = await this.consumer.next()
    if (range === null) return null
    const { partition, firstOffset, nextOffset, messages, offsets, lost } = range
    const slice: KafkaSlice = {
      origin: `partition:${partition}`,
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
      await this.consumer.commit((slice as KafkaSlice).of)
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
        origin: `partition:${partition}`,
        events: Number(end - (committed ?? first)),
        bytes: -1,
      }))
    return this.behind
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

function envelopeOf(message: Buffer): Envelope | null {
  try {
    return readEnvelope(message)
  } catch {
    return null
  }
}
