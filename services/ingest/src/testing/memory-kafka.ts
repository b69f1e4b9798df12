/**
 * Kafka's promises to ingest, in memory, for tests that have to decide what happens when: offsets, a group that notes the
 * end of a slice before it is handed out, members that come, go and are believed gone. Not for anything else.
 */
import {
  type DeadLetter,
  type EventConsumer,
  type Kafka,
  LostPartitionError,
  type Slice,
} from '@custody/event-log-kafka'
import { isMessage, readEnvelope } from '@custody/schemas'

interface Noted {
  committed: number
  /** End of what was handed out and not committed. */
  intent: number | null
}

export class MemoryKafka {
  readonly partitions: Buffer[][]
  readonly letters: DeadLetter[] = []
  readonly published = new Map<string, string>()
  private readonly groups = new Map<string, { noted: Noted[]; owners: (MemoryConsumer | null)[] }>()

  constructor(
    partitions = 1,
    readonly topic = 'memory.events',
  ) {
    this.partitions = Array.from({ length: partitions }, () => [])
  }

  send(partition: number, ...messages: Buffer[]): void {
    this.partitions[partition]!.push(...messages)
  }

  group(name: string) {
    let group = this.groups.get(name)
    if (!group) {
      group = {
        noted: this.partitions.map(() => ({ committed: 0, intent: null })),
        owners: this.partitions.map(() => null),
      }
      this.groups.set(name, group)
    }
    return group
  }

  committed(name: string): number[] {
    return this.group(name).noted.map(({ committed }) => committed)
  }

  /** As much of a client as ingest uses. */
  client(): Kafka {
    const kafka = {
      topics: { events: this.topic },
      consumer: (o: { group: string; sliceEventsMax?: number }) => new MemoryConsumer(this, o),
      deadLetters: async (letters: readonly DeadLetter[]) => {
        this.letters.push(...letters)
      },
      schemas: { get: async (fingerprint: string) => this.published.get(fingerprint) ?? null },
    }
    return kafka as unknown as Kafka
  }
}

export class MemoryConsumer implements EventConsumer {
  private readonly out = new Map<number, Slice>()
  /** Highest sequence, by recorder, since the partition is this member's. */
  private seen = new Map<number, Map<string, number>>()
  private turn = 0

  constructor(
    private readonly kafka: MemoryKafka,
    private readonly o: { group: string; sliceEventsMax?: number },
  ) {}

  /** Takes all partitions, from whoever has them. */
  async start(): Promise<void> {
    const { owners } = this.kafka.group(this.o.group)
    owners.forEach((_, partition) => {
      owners[partition] = this
    })
  }

  async stop(): Promise<void> {
    const { owners } = this.kafka.group(this.o.group)
    owners.forEach((owner, partition) => {
      if (owner === this) owners[partition] = null
    })
  }

  problem(): null {
    return null
  }

  assigned(): number[] {
    const { owners } = this.kafka.group(this.o.group)
    return owners.flatMap((owner, partition) => (owner === this ? [partition] : []))
  }

  async next(): Promise<Slice | null> {
    const assigned = this.assigned()
    for (const partition of this.seen.keys())
      if (!assigned.includes(partition)) this.seen.delete(partition)
    for (let i = 0; i < assigned.length; i++) {
      const partition = assigned[(i + this.turn) % assigned.length]!
      if (this.out.has(partition)) continue
      const slice = this.slice(partition)
      if (slice === null) continue
      this.turn++
      this.out.set(partition, slice)
      return slice
    }
    await new Promise((resolve) => setTimeout(resolve, 10))
    return null
  }

  private slice(partition: number): Slice | null {
    const noted = this.kafka.group(this.o.group).noted[partition]!
    const all = this.kafka.partitions[partition]!
    const first = noted.committed
    if (first >= all.length) return null
    const again = noted.intent !== null
    noted.intent ??= Math.min(all.length, first + (this.o.sliceEventsMax ?? 1000))
    let seen = this.seen.get(partition)
    if (!seen) {
      seen = new Map()
      this.seen.set(partition, seen)
    }
    const slice: Slice = {
      partition,
      firstOffset: BigInt(first),
      nextOffset: BigInt(noted.intent),
      messages: [],
      offsets: [],
      bytes: 0,
      again,
    }
    for (let offset = first; offset < noted.intent; offset++) {
      const message = all[offset]!
      const envelope = envelopeOf(message)
      if (envelope) {
        const { recorder, sequence } = envelope
        if (!again && sequence <= (seen.get(recorder) ?? -1)) continue
        seen.set(recorder, Math.max(sequence, seen.get(recorder) ?? -1))
      }
      slice.messages.push(message)
      slice.offsets.push(BigInt(offset))
      slice.bytes += message.length
    }
    return slice
  }

  async commit(slice: Slice): Promise<void> {
    const { owners, noted } = this.kafka.group(this.o.group)
    this.out.delete(slice.partition)
    if (owners[slice.partition] !== this) throw new LostPartitionError(slice.partition)
    noted[slice.partition] = { committed: Number(slice.nextOffset), intent: null }
  }

  release(slice: Slice): void {
    this.out.delete(slice.partition)
  }
}

function envelopeOf(message: Buffer): { recorder: string; sequence: number } | null {
  try {
    return isMessage(message) ? readEnvelope(message) : null
  } catch {
    return null
  }
}
