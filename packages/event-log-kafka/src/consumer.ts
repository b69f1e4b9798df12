/**
 * A member of a consumer group that hands out ranges of partitions. Before a range is handed out its end is noted beside the
 * committed offset; whoever has the partition next, after whatever happened, gets the very same range, marked `again`.
 * Refuses to commit for a partition that is somebody else's, and to hand out two ranges of one at a time.
 */
import { CustodyError, type Logger } from '@custody/kit'
import { type Envelope, readEnvelope } from '@custody/schemas'
import { answered, type Client, groupBy, type Incoming } from './client'
import { decodeMetadata, encodeMetadata, type SeenRecorder } from './commit-metadata'
import { Duplicates } from './duplicates'
import { inOurWords, NoAnswerError, PROTOCOL } from './errors'
import { isMoved, Membership, share, shareWhole } from './membership'
import { Backoff, Bell, pause } from './pause'
import {
  type ConsumerOptions,
  type ConsumerProblem,
  type EventConsumer,
  LostPartitionError,
  type Slice,
  type Topics,
} from './types'

const SLICE_EVENTS_MAX = 10_000
const SLICE_BYTES_MAX = 8 * 1024 * 1024
/** Of all partitions together; one that has nothing is fetched all the same. */
const BUFFERED_BYTES_MAX = 64 * 1024 * 1024
const FETCH_WAIT_MS = 100
const NEXT_WAIT_MS = 100
const LEAVE_MS_MAX = 2000

export interface ConsumerParts {
  /** All of it is over, without a word to the group. */
  signal: AbortSignal
  newClient(): Client
  topics: Topics
  logger: Logger
}

/** A partition while it is ours. */
interface Part {
  partition: number
  /** Everything before it is committed. */
  position: bigint
  /** Up to where the range goes that was handed out before. */
  upTo: bigint | null
  /** What is fetched next. */
  fetchAt: bigint
  records: Incoming[]
  bytes: number
  duplicates: Duplicates
  /** As noted with the position: what the range that is handed out was told apart by. */
  seen: SeenRecorder[]
  /** About to be handed out, when it is noted where it ends. */
  cut: { slice: Slice; isNoted: boolean } | null
  outstanding: Slice | null
  /** Given back, to be handed out as it was. */
  released: Slice | null
  lost: Slice['lost']
  /** It is another one by now, which begins here; waits until what is held of the former one is dealt with. */
  anewAt: bigint | null
}

export class GroupConsumer implements EventConsumer {
  private readonly client: Client
  private readonly membership: Membership
  private readonly abort = new AbortController()
  private readonly parts = new Map<number, Part>()
  /** Assigned, and not begun yet. */
  private readonly beginning = new Set<number>()
  private readonly slices = new WeakMap<Slice, Part>()
  private readonly fetching = new Set<number>()
  private readonly arrived = new Bell()
  private readonly done = new Bell()
  private readonly backoff = new Backoff()
  private running: Promise<void> | null = null
  private turn = 0
  private generation = 0
  private found: ConsumerProblem | null = null

  constructor(
    private readonly o: ConsumerParts,
    private readonly options: ConsumerOptions,
  ) {
    this.client = o.newClient()
    o.signal.addEventListener('abort', () => this.abort.abort(), { once: true })
    this.membership = new Membership({
      client: this.client,
      group: options.group,
      topic: o.topics.events,
      logger: o.logger,
      signal: this.abort.signal,
      share: options.whole ? shareWhole : share,
      owned: () => [...this.parts.keys(), ...this.beginning],
      settle: (msMax) => this.settle(msMax),
      assigned: (partitions) => this.assign(partitions),
      lost: () => this.assign([]),
      trouble: (error) => this.trouble(error),
      fine: () => {
        this.found = null
      },
    })
  }

  async start(): Promise<void> {
    this.running ??= this.membership.run()
  }

  assigned(): number[] {
    return [...this.parts.keys(), ...this.beginning].sort((a, b) => a - b)
  }

  problem(): ConsumerProblem | null {
    return this.found
  }

  async next(): Promise<Slice | null> {
    const deadline = Date.now() + NEXT_WAIT_MS
    while (!this.abort.signal.aborted) {
      const slice = this.membership.isSettled ? this.take() : null
      if (slice !== null) return slice
      const left = deadline - Date.now()
      if (left <= 0) return null
      await this.arrived.wait(left)
    }
    return null
  }

  async commit(slice: Slice): Promise<void> {
    const part = this.slices.get(slice)
    if (!part || part.outstanding !== slice || !this.isOurs(part))
      throw new LostPartitionError(slice.partition)
    const seen = part.duplicates.known()
    await this.note(part, slice.nextOffset, { upTo: null, seen })
    this.advance(part, slice.nextOffset, seen, slice.lost)
  }

  release(slice: Slice): void {
    const part = this.slices.get(slice)
    if (!part || part.outstanding !== slice) return
    part.outstanding = null
    part.released = slice
    this.done.ring()
    this.arrived.ring()
  }

  async stop(): Promise<void> {
    this.abort.abort()
    this.arrived.ring()
    await Promise.race([this.membership.leave(), pause(LEAVE_MS_MAX)])
    this.client.close()
    await this.running
    this.parts.clear()
  }

  private isOurs(part: Part): boolean {
    return this.parts.get(part.partition) === part
  }

  private advance(part: Part, to: bigint, seen: SeenRecorder[], told: Slice['lost']): void {
    part.position = to
    part.seen = seen
    part.outstanding = null
    part.released = null
    if (told !== undefined && told === part.lost) part.lost = undefined
    this.beginAnew(part)
    this.done.ring()
    this.arrived.ring()
    this.fetchMore()
  }

  /** The next range that is ready, with its end noted. */
  private take(): Slice | null {
    const all = [...this.parts.values()]
    for (let i = 0; i < all.length; i++) {
      const part = all[(this.turn + i) % all.length]!
      if (part.outstanding !== null) continue
      const slice = this.ready(part)
      if (slice === null) continue
      this.turn = (this.turn + i + 1) % all.length
      part.outstanding = slice
      part.upTo = null
      this.slices.set(slice, part)
      this.fetchMore()
      return slice
    }
    return null
  }

  private ready(part: Part): Slice | null {
    if (part.released !== null) {
      const again = { ...part.released, again: true }
      part.released = null
      return again
    }
    if (part.cut === null) {
      const slice = this.cut(part)
      if (slice === null) return null
      part.cut = { slice, isNoted: slice.again && slice.messages.length > 0 }
      if (!part.cut.isNoted) void this.prepare(part, slice)
    }
    if (!part.cut.isNoted) return null
    const { slice } = part.cut
    part.cut = null
    return slice
  }

  /** Notes where a range ends that is about to be handed out; nobody waits for it. */
  private async prepare(part: Part, slice: Slice): Promise<void> {
    const backoff = new Backoff()
    while (this.isOurs(part)) {
      try {
        if (slice.messages.length === 0) {
          // Nothing but duplicates: nobody need see that.
          const seen = part.duplicates.known()
          await this.note(part, slice.nextOffset, { upTo: null, seen })
          part.cut = null
          part.upTo = null
          this.advance(part, slice.nextOffset, seen, undefined)
          return
        }
        await this.note(part, slice.firstOffset, { upTo: slice.nextOffset, seen: part.seen })
        if (part.cut) part.cut.isNoted = true
        this.arrived.ring()
        return
      } catch (error) {
        if (error instanceof LostPartitionError) return
        this.trouble(error)
        await pause(backoff.take(), this.abort.signal)
      }
    }
  }

  /** What is there of a partition, as a range; null where it is nothing, or not yet all of a range noted before. */
  private cut(part: Part): Slice | null {
    const again = part.upTo !== null
    if (again ? part.fetchAt < part.upTo! : part.fetchAt <= part.position) return null
    const eventsMax = again
      ? Number.POSITIVE_INFINITY
      : (this.options.sliceEventsMax ?? SLICE_EVENTS_MAX)
    const bytesMax = again
      ? Number.POSITIVE_INFINITY
      : (this.options.sliceBytesMax ?? SLICE_BYTES_MAX)
    const end = part.upTo ?? part.fetchAt
    const messages: Buffer[] = []
    const offsets: bigint[] = []
    let bytes = 0
    let taken = 0
    let nextOffset = end
    for (const { offset, value } of part.records) {
      if (offset >= end) break
      if (messages.length >= eventsMax || (bytes > 0 && bytes + value.length > bytesMax)) {
        nextOffset = offset
        break
      }
      taken++
      part.bytes -= value.length
      const envelope = envelopeOf(value)
      // What can't be read is handed out: it is for whoever inserts to say so.
      if (envelope !== null && part.duplicates.isDuplicate(envelope)) continue
      messages.push(value)
      offsets.push(offset)
      bytes += value.length
    }
    part.records = part.records.slice(taken)
    return {
      partition: part.partition,
      firstOffset: part.position,
      nextOffset,
      messages,
      offsets,
      bytes,
      again,
      ...(part.lost && { lost: part.lost }),
    }
  }

  /** Commits an offset with what is noted beside it; again until it is there, or the partition is not ours. */
  private async note(
    part: Part,
    offset: bigint,
    metadata: { upTo: bigint | null; seen: SeenRecorder[] },
  ): Promise<void> {
    const text = encodeMetadata(metadata)
    const backoff = new Backoff()
    for (;;) {
      if (this.abort.signal.aborted || !this.isOurs(part))
        throw new LostPartitionError(part.partition)
      if (this.membership.isSyncing) {
        await pause(backoff.take(), this.abort.signal)
        continue
      }
      try {
        const coordinator = await this.membership.findCoordinator()
        const { member, generation } = this.membership.standing
        // Kafka takes a commit without a generation from anybody while the group is empty.
        if (generation < 0 || !this.isOurs(part)) continue
        const code = await this.client.commit(
          coordinator,
          { group: this.options.group, generation, member },
          this.o.topics.events,
          part.partition,
          offset,
          text,
        )
        if (code === 0) return
        if (code === PROTOCOL.ILLEGAL_GENERATION || code === PROTOCOL.UNKNOWN_MEMBER_ID) {
          // Between two generations it may be ours still; a heartbeat tells.
          if (generation === this.membership.standing.generation && !this.membership.isJoining) {
            this.parts.delete(part.partition)
            throw new LostPartitionError(part.partition)
          }
        } else if (isMoved(code)) this.membership.moved()
        else if (code !== PROTOCOL.REBALANCE_IN_PROGRESS)
          throw answered(code, `commit of partition ${part.partition}`)
      } catch (error) {
        if (!(error instanceof NoAnswerError)) throw error
        this.membership.moved()
        this.trouble(error)
      }
      await pause(backoff.take(), this.abort.signal)
    }
  }

  /** Until nothing is handed out, or not before long. */
  private async settle(msMax: number): Promise<void> {
    const deadline = Date.now() + msMax
    while ([...this.parts.values()].some(({ outstanding }) => outstanding !== null)) {
      const left = deadline - Date.now()
      if (left <= 0 || this.abort.signal.aborted) return
      await this.done.wait(left)
    }
  }

  private assign(partitions: readonly number[]): void {
    const generation = ++this.generation
    const wanted = new Set(partitions)
    for (const partition of this.parts.keys())
      if (!wanted.has(partition)) this.parts.delete(partition)
    this.beginning.clear()
    for (const partition of wanted) if (!this.parts.has(partition)) this.beginning.add(partition)
    this.done.ring()
    if (this.beginning.size > 0) void this.begin(generation)
    this.fetchMore()
    this.arrived.ring()
  }

  /** Finds where the partitions that are new here were left. */
  private async begin(generation: number): Promise<void> {
    const backoff = new Backoff()
    const { events } = this.o.topics
    while (generation === this.generation && !this.abort.signal.aborted) {
      try {
        const wanted = [...this.beginning]
        const first = await this.client.offsets(events, 'first', wanted)
        const committed = await this.client.committed(this.options.group, events, wanted)
        if (generation !== this.generation) return
        for (const partition of wanted) {
          this.beginning.delete(partition)
          this.parts.set(partition, this.partAt(partition, first.get(partition)!, committed))
        }
        this.fetchMore()
        this.arrived.ring()
        return
      } catch (error) {
        this.trouble(error)
        this.client.forget(events)
        await pause(backoff.take(), this.abort.signal)
      }
    }
  }

  private partAt(
    partition: number,
    first: bigint,
    committed: ReadonlyMap<number, { offset: bigint; metadata: string | null }>,
  ): Part {
    const at = committed.get(partition)
    const noted = decodeMetadata(at?.metadata ?? null)
    const seen = noted?.seen ?? []
    let position = at?.offset ?? first
    let upTo = noted?.upTo ?? null
    let lost: Slice['lost']
    if (position < first) {
      lost = { from: position, to: first }
      this.gone(partition, position, first)
      position = first
    }
    if (upTo !== null && upTo <= position) upTo = null
    return {
      ...{ partition, position, upTo, seen, lost },
      fetchAt: position,
      records: [],
      bytes: 0,
      duplicates: new Duplicates(seen),
      cut: null,
      outstanding: null,
      released: null,
      anewAt: null,
    }
  }

  private gone(partition: number, from: bigint, to: bigint): void {
    const error = new CustodyError(
      'CUSTODY-KAFKA-006',
      to < from
        ? `partition ${partition} ends before ${from}: it was made anew or cut off; what was there and not consumed is gone, and it is consumed from ${to}`
        : `partition ${partition}: events ${from} to ${to} were deleted before they were consumed`,
    )
    this.o.logger.error({ err: error, partition }, 'events are gone from Kafka')
  }

  /** One fetch under way at each leader, for the partitions that have room. */
  private fetchMore(): void {
    if (this.abort.signal.aborted) return
    void this.fetchFromAll().catch((error) => {
      this.trouble(error)
      this.client.forget(this.o.topics.events)
      void pause(this.backoff.take(), this.abort.signal).then(() => this.fetchMore())
    })
  }

  private async fetchFromAll(): Promise<void> {
    if (this.parts.size === 0) return
    const leaders = await this.client.leaders(this.o.topics.events)
    const bytesMax = this.options.sliceBytesMax ?? SLICE_BYTES_MAX
    const all = [...this.parts.values()]
    const buffered = all.reduce((sum, { bytes }) => sum + bytes, 0)
    const hungry = all.filter(
      ({ bytes, upTo, fetchAt, anewAt }) =>
        anewAt === null &&
        (bytes < (buffered < BUFFERED_BYTES_MAX ? bytesMax : 1) ||
          (upTo !== null && fetchAt < upTo)),
    )
    for (const [node, parts] of groupBy(hungry, ({ partition }) => leaders[partition] ?? -1)) {
      if (this.fetching.has(node)) continue
      this.fetching.add(node)
      void this.fetchFrom(node, parts, bytesMax)
        .then(
          () => this.backoff.reset(),
          async (error) => {
            this.trouble(error)
            this.client.forget(this.o.topics.events)
            await pause(this.backoff.take(), this.abort.signal)
          },
        )
        .finally(() => {
          this.fetching.delete(node)
          this.fetchMore()
        })
    }
  }

  private async fetchFrom(node: number, parts: readonly Part[], bytesMax: number): Promise<void> {
    const { events } = this.o.topics
    const asked = parts.map(({ partition, fetchAt }) => ({
      partition,
      offset: fetchAt,
      bytesMax: Math.min(bytesMax, 4 * 1024 * 1024),
    }))
    const answers = await this.client.fetch(node, 'fetch', events, asked, {
      waitMs: FETCH_WAIT_MS,
      bytesMax: 4 * bytesMax,
    })
    let problem: unknown = null
    for (const [i, part] of parts.entries()) {
      const one = answers.get(part.partition)
      if (!one || !this.isOurs(part) || part.fetchAt !== asked[i]!.offset) continue
      if (one.moved !== null) {
        this.moved(part, one.moved)
        continue
      }
      if (one.error !== 0) {
        problem = answered(one.error, `fetch of partition ${part.partition}`)
        continue
      }
      for (const record of one.records) {
        part.records.push(record)
        part.bytes += record.value.length
      }
      part.fetchAt = one.next
      if (one.records.length > 0) this.arrived.ring()
    }
    if (problem !== null) throw problem
  }

  /** What was to be fetched next is not there. */
  private moved(part: Part, first: bigint): void {
    const { partition, fetchAt } = part
    part.lost = { from: fetchAt, to: first }
    this.gone(partition, fetchAt, first)
    if (first < fetchAt) {
      part.anewAt = first
      part.upTo = null
      this.beginAnew(part)
    } else {
      if (isIdle(part)) part.position = first
      if (part.upTo !== null && part.upTo <= first) part.upTo = null
      part.fetchAt = first
    }
    this.arrived.ring()
  }

  private beginAnew(part: Part): void {
    if (part.anewAt === null || !isIdle(part)) return
    part.position = part.anewAt
    part.fetchAt = part.anewAt
    part.anewAt = null
  }

  private trouble(error: unknown): void {
    if (this.abort.signal.aborted) return
    const { code, message } = inOurWords(error)
    if (this.found?.code !== code)
      this.o.logger.warn({ err: error, code, group: this.options.group }, 'trouble with Kafka')
    this.found = { code, message, sinceMs: this.found?.sinceMs ?? Date.now() }
  }
}

/** Nothing of it is held here. */
function isIdle({ records, cut, outstanding, released }: Part): boolean {
  return records.length === 0 && cut === null && outstanding === null && released === null
}

function envelopeOf(message: Buffer): Envelope | null {
  try {
    return readEnvelope(message)
  } catch {
    return null
  }
}
