/**
 * What others see of the log in Kafka: a shipper that fills it, consumers that empty it into something else, followers of
 * what is to be acted on, and reading by position. No client's type is among these.
 */
import type { KafkaSettings, Logger, Secrets, VaultSettings } from '@custody/kit'

export interface KafkaOptions {
  settings: KafkaSettings
  secrets: Secrets
  logger: Logger
  /** Instead of the settings'. */
  clientId?: string
}

export interface Kafka {
  readonly settings: KafkaSettings
  readonly topics: Topics
  /** Creates what is missing; refuses topics that promise less than the settings. */
  ensureTopics(): Promise<void>
  /** In this thread; `startShipperThread` runs the same in a worker. */
  shipper(o: ShipperOptions): Shipper
  consumer(o: ConsumerOptions): EventConsumer
  control(o: ControlOptions): ControlFollower
  deadLetters(letters: readonly DeadLetter[]): Promise<void>
  readonly schemas: {
    put(fingerprint: string, schemaJson: string): Promise<void>
    get(fingerprint: string): Promise<string | null>
  }
  /** Of the events topic. */
  positions(group: string): Promise<PartitionPositions[]>
  /** Of the events topic, by partition: the first offset that is not older, in ms since 1970; -1 where there is none. */
  since(ms: number): Promise<Map<number, bigint>>
  /** Of the events topic, outside any group; ends at `to` (exclusive). */
  read(partition: number, from: bigint, to: bigint): AsyncIterable<KafkaRecord[]>
  close(): Promise<void>
}

export interface Topics {
  events: string
  control: string
  standing: string
  schemas: string
  deadLetters: string
}

export interface PartitionPositions {
  partition: number
  first: bigint
  end: bigint
  committed: bigint | null
}

export interface KafkaRecord {
  offset: bigint
  key: Buffer | null
  message: Buffer
  timestampMs: number
}

export interface DeadLetter {
  topic: string
  partition: number
  offset: bigint
  reason: string
  code: string
  message: Buffer
  key: Buffer | null
}

export interface ShipperOptions {
  /** CUSTODY_HOME/log */
  directory: string
  recorder: string
  batchEventsMax?: number
  batchBytesMax?: number
  /** Every event below this sequence is acknowledged by Kafka. */
  onReplicated?(nextSequence: number): void
}

export interface Shipper {
  start(): void
  /** There is something new in the local log. */
  nudge(): void
  /** Ships what is there, for at most so long, then lets go. */
  stop(msMax: number): Promise<void>
  status(): ShipperStatus
}

export interface ShipperThreadOptions extends ShipperOptions {
  settings: KafkaSettings
  vault?: VaultSettings
  /** Diagnostics of the thread; standard error when not given. */
  logger?: { name: string; file?: string; level?: string }
  clientId?: string
}

export interface ShipperStatus {
  recorder: string
  /** Every event below it is in Kafka and committed. */
  shippedSequence: number
  behindEvents: number
  behindBytes: number
  oldestUnshippedMs: number | null
  /** Since the start. */
  events: number
  batches: number
  problem: { code: string; message: string; sinceMs: number } | null
}

export interface ConsumerOptions {
  group: string
  /** All partitions to one member, for what has to be seen together; the others stand by. */
  whole?: boolean
  sliceEventsMax?: number
  sliceBytesMax?: number
}

/** A range of one partition. */
export interface Slice {
  partition: number
  /** The range is [firstOffset, nextOffset); offsets without a message in it are duplicates, or were never there. */
  firstOffset: bigint
  nextOffset: bigint
  messages: Buffer[]
  offsets: bigint[]
  bytes: number
  /** The very same range was handed out before, to whoever had the partition: some or all of it may be dealt with. */
  again: boolean
  /**
   * Offsets before it that were deleted before anybody consumed them (CUSTODY-KAFKA-006); `to` is below `from` where the
   * topic was made anew.
   */
  lost?: { from: bigint; to: bigint } | undefined
}

export interface ConsumerProblem {
  code: string
  message: string
  sinceMs: number
}

/** Why a follower hears nothing. */
export type FollowerProblem = ConsumerProblem

export interface EventConsumer {
  start(): Promise<void>
  /** Null: nothing now; waits at most about 100 ms. */
  next(): Promise<Slice | null>
  /** Rejects with LostPartitionError where somebody else has the partition by now. */
  commit(slice: Slice): Promise<void>
  /** To be handed out again. */
  release(slice: Slice): void
  stop(): Promise<void>
  assigned(): number[]
  /** Why nothing comes, or null. */
  problem(): ConsumerProblem | null
}

export interface ControlOptions {
  /** `replayed`: it was there before the follower started. */
  hear(message: Buffer, replayed: boolean): void
}

export interface ControlFollower {
  /** Resolves when all that was there is heard. */
  start(): Promise<void>
  stop(): Promise<void>
  /** Why nothing is heard, and since when, or null. */
  problem(): FollowerProblem | null
}

/** Another member of the group has the partition: what was done with the slice is for it to find. */
export class LostPartitionError extends Error {
  readonly code = 'CUSTODY-KAFKA-007'
  constructor(readonly partition: number) {
    super(`partition ${partition} is somebody else’s by now`)
    this.name = 'LostPartitionError'
  }
}
