/**
 * Membership in a consumer group by Kafka's classic protocol: join, share out, heartbeat, join again. Partitions stay with
 * whom they were where numbers permit, and nobody gives one away while something of it is under way.
 * Refuses to know what is consumed.
 */
import type { Logger } from '@custody/kit'
import { answered, type Client } from './client'
import { NoAnswerError, PROTOCOL } from './errors'
import { Backoff, pause } from './pause'

const SESSION_MS = 10_000
const HEARTBEAT_MS = 1000
const REBALANCE_MS = 60_000
const PROTOCOL_NAME = 'custody-sticky'

export interface MembershipParts {
  client: Client
  group: string
  topic: string
  logger: Logger
  signal: AbortSignal
  /** Who gets which, by what each has. */
  share: typeof share
  /** What this member has now. */
  owned(): number[]
  /** Somebody joins or leaves: resolves when nothing is under way, or not before long. */
  settle(msMax: number): Promise<void>
  assigned(partitions: number[]): void
  /** Others may have everything by now. */
  lost(): void
  trouble(error: unknown): void
  fine(): void
}

export interface Standing {
  coordinator: number
  member: string
  generation: number
}

export class Membership {
  private coordinator = -1
  private member = ''
  /** Of the last assignment; -1 where there is none that may still hold. */
  private generation = -1
  /** In the group, with an assignment of this generation. */
  isSettled = false
  /** Asked into the next generation: what is refused to the one before may be ours still. */
  isJoining = false
  /** In the next generation, and not yet told what is ours in it: nothing may be committed. */
  isSyncing = false

  constructor(private readonly o: MembershipParts) {}

  get standing(): Standing {
    return { coordinator: this.coordinator, member: this.member, generation: this.generation }
  }

  /** Until the signal. */
  async run(): Promise<void> {
    const backoff = new Backoff()
    while (!this.o.signal.aborted) {
      try {
        if (this.coordinator < 0) this.coordinator = await this.o.client.coordinator(this.o.group)
        if (await this.join()) {
          backoff.reset()
          this.o.fine()
          await this.stay()
        }
      } catch (error) {
        if (this.o.signal.aborted) break
        this.isSettled = false
        this.coordinator = -1
        this.o.trouble(error)
        await pause(backoff.take(), this.o.signal)
      }
    }
  }

  async leave(): Promise<void> {
    if (this.member === '' || this.coordinator < 0) return
    await this.o.client.leave(this.coordinator, this.o.group, this.member).catch(() => {})
    this.member = ''
  }

  /** The coordinator is another one, as a commit was told. */
  moved(): void {
    this.coordinator = -1
  }

  /** Where it is asked again by somebody who needs it before the next heartbeat. */
  async findCoordinator(): Promise<number> {
    if (this.coordinator < 0) this.coordinator = await this.o.client.coordinator(this.o.group)
    return this.coordinator
  }

  /**
   * What this member has stays its own only from one generation to the very next. Where an answer stayed out or was another
   * one, others may have had everything, and may have gone on with it: nothing is claimed, all begins from what is committed.
   */
  private async join(): Promise<boolean> {
    let isIn = false
    this.isJoining = true
    try {
      isIn = await this.tryJoin()
      return isIn
    } finally {
      this.isJoining = false
      this.isSyncing = false
      if (!isIn) this.lose()
    }
  }

  private lose(): void {
    this.generation = -1
    this.o.lost()
  }

  private async tryJoin(): Promise<boolean> {
    const { client, group, topic, logger } = this.o
    const joined = await client.join(
      this.coordinator,
      { group, member: this.member, sessionMs: SESSION_MS, rebalanceMs: REBALANCE_MS },
      { name: PROTOCOL_NAME, metadata: encodeSubscription(topic, this.o.owned()) },
    )
    if (joined.errorCode === PROTOCOL.MEMBER_ID_REQUIRED) {
      this.member = joined.memberId ?? ''
      return false
    }
    if (joined.errorCode !== 0) return this.refused(joined.errorCode, 'join')
    this.member = joined.memberId ?? ''
    const generation = joined.generationId
    this.isSyncing = true
    let assignments: { memberId: string; assignment: Buffer }[] = []
    if (joined.leader === this.member) {
      const count = (await client.leaders(topic)).length
      const members = new Map(
        joined.members.map(({ memberId, metadata }) => [memberId, ownedOf(metadata)]),
      )
      assignments = [...this.o.share(count, members)].map(([memberId, partitions]) => ({
        memberId,
        assignment: encodeAssignment(topic, partitions),
      }))
    }
    const synced = await client.sync(
      this.coordinator,
      { group, member: this.member, generation, rebalanceMs: REBALANCE_MS },
      PROTOCOL_NAME,
      assignments,
    )
    if (synced.errorCode !== 0) return this.refused(synced.errorCode, 'sync')
    const partitions = decodeAssignment(synced.assignment)
    logger.info({ group, generation, partitions }, 'partitions assigned')
    if (generation !== this.generation + 1) this.lose()
    this.generation = generation
    this.isSyncing = false
    this.isSettled = true
    this.o.assigned(partitions)
    return true
  }

  private async stay(): Promise<void> {
    const { client, group, signal } = this.o
    let answeredMs = Date.now()
    for (;;) {
      await pause(HEARTBEAT_MS, signal)
      if (signal.aborted) return
      let code: number
      try {
        await this.findCoordinator()
        code = await client.heartbeat(
          this.coordinator,
          { group, member: this.member, generation: this.generation },
          SESSION_MS / 2,
        )
      } catch (error) {
        if (!(error instanceof NoAnswerError)) throw error
        this.coordinator = -1
        this.o.trouble(error)
        if (Date.now() - answeredMs > SESSION_MS) this.isSettled = false
        continue
      }
      if (code === 0) {
        answeredMs = Date.now()
        this.isSettled = true
        this.o.fine()
        continue
      }
      if (code === PROTOCOL.REBALANCE_IN_PROGRESS) {
        this.isSettled = false
        await this.whileBeating(this.o.settle(REBALANCE_MS * 0.8))
        return
      }
      if (isMoved(code)) {
        this.coordinator = -1
        continue
      }
      this.refused(code, 'heartbeat')
      return
    }
  }

  /** The others wait for us, and must know that we are there. */
  private async whileBeating(settled: Promise<void>): Promise<void> {
    const { client, group, signal } = this.o
    const over = new AbortController()
    const ended = settled.finally(() => over.abort())
    while (!over.signal.aborted && !signal.aborted) {
      await pause(HEARTBEAT_MS, AbortSignal.any([over.signal, signal]))
      if (over.signal.aborted) break
      await client
        .heartbeat(
          this.coordinator,
          { group, member: this.member, generation: this.generation },
          SESSION_MS / 2,
        )
        .catch(() => {})
    }
    await ended
  }

  private refused(code: number, what: string): false {
    this.isSettled = false
    if (code === PROTOCOL.UNKNOWN_MEMBER_ID || code === PROTOCOL.FENCED_INSTANCE_ID) {
      this.member = ''
      this.lose()
      return false
    }
    if (code === PROTOCOL.ILLEGAL_GENERATION) {
      this.lose()
      return false
    }
    if (code === PROTOCOL.REBALANCE_IN_PROGRESS) return false
    if (isMoved(code)) {
      this.coordinator = -1
      throw answered(code, what)
    }
    throw answered(code, `${what} in group ${this.o.group}`)
  }
}

export function isMoved(code: number): boolean {
  return (
    code === PROTOCOL.NOT_COORDINATOR ||
    code === PROTOCOL.COORDINATOR_NOT_AVAILABLE ||
    code === PROTOCOL.COORDINATOR_LOAD_IN_PROGRESS
  )
}

/** Everybody has as many as anybody, give or take one, and keeps of theirs what fits. */
export function share(
  count: number,
  members: ReadonlyMap<string, readonly number[]>,
): Map<string, number[]> {
  const ids = [...members.keys()].sort()
  const shares = new Map<string, number[]>(ids.map((id) => [id, []]))
  if (ids.length === 0) return shares
  const least = Math.floor(count / ids.length)
  let larger = count % ids.length
  const taken = new Set<number>()
  // Those who have most keep one more, so that fewer move.
  const byOwned = [...ids].sort((a, b) => members.get(b)!.length - members.get(a)!.length)
  const quota = new Map<string, number>()
  for (const id of byOwned) {
    const mine = least + (larger > 0 ? 1 : 0)
    if (larger > 0) larger--
    quota.set(id, mine)
    for (const partition of members.get(id)!) {
      const list = shares.get(id)!
      if (list.length >= mine) break
      if (partition < 0 || partition >= count || taken.has(partition)) continue
      taken.add(partition)
      list.push(partition)
    }
  }
  let at = 0
  for (let partition = 0; partition < count; partition++) {
    if (taken.has(partition)) continue
    while (shares.get(ids[at]!)!.length >= quota.get(ids[at]!)!) at++
    shares.get(ids[at]!)!.push(partition)
  }
  for (const list of shares.values()) list.sort((a, b) => a - b)
  return shares
}

/** All to whoever has most of them already. */
export function shareWhole(
  count: number,
  members: ReadonlyMap<string, readonly number[]>,
): Map<string, number[]> {
  const ids = [...members.keys()].sort()
  const most = Math.max(...[...members.values()].map(({ length }) => length))
  const one = ids.find((id) => members.get(id)!.length === most)
  const all = Array.from({ length: count }, (_, partition) => partition)
  return new Map(ids.map((id) => [id, id === one ? all : []]))
}

/*
  Subscription => version:INT16 [topic:STRING] user_data:BYTES     ; user_data: INT32 each, the partitions owned
  Assignment   => version:INT16 [topic:STRING [partition:INT32]] user_data:BYTES
*/
export function encodeSubscription(topic: string, owned: readonly number[]): Buffer {
  const name = Buffer.from(topic)
  const bytes = Buffer.alloc(2 + 4 + 2 + name.length + 4 + owned.length * 4)
  bytes.writeInt32BE(1, 2)
  bytes.writeInt16BE(name.length, 6)
  name.copy(bytes, 8)
  let at = 8 + name.length
  at = bytes.writeInt32BE(owned.length * 4, at)
  for (const partition of owned) at = bytes.writeInt32BE(partition, at)
  return bytes
}

/** Of others of ours; nothing where it is not as it must be. */
export function ownedOf(bytes: Buffer | null): number[] {
  try {
    if (bytes === null) return []
    let at = 2
    const topics = bytes.readInt32BE(at)
    at += 4
    for (let i = 0; i < topics; i++) at += 2 + bytes.readInt16BE(at)
    const length = bytes.readInt32BE(at)
    at += 4
    const owned: number[] = []
    for (const end = at + length; at < end; at += 4) owned.push(bytes.readInt32BE(at))
    return owned
  } catch {
    return []
  }
}

export function encodeAssignment(topic: string, partitions: readonly number[]): Buffer {
  const name = Buffer.from(topic)
  const bytes = Buffer.alloc(2 + 4 + 2 + name.length + 4 + partitions.length * 4 + 4)
  bytes.writeInt32BE(1, 2)
  bytes.writeInt16BE(name.length, 6)
  name.copy(bytes, 8)
  let at = 8 + name.length
  at = bytes.writeInt32BE(partitions.length, at)
  for (const partition of partitions) at = bytes.writeInt32BE(partition, at)
  return bytes
}

export function decodeAssignment(bytes: Buffer): number[] {
  if (bytes.length < 6) return []
  const partitions: number[] = []
  let at = 2
  const topics = bytes.readInt32BE(at)
  at += 4
  for (let i = 0; i < topics; i++) {
    at += 2 + bytes.readInt16BE(at)
    const count = bytes.readInt32BE(at)
    at += 4
    for (let j = 0; j < count; j++, at += 4) partitions.push(bytes.readInt32BE(at))
  }
  return partitions
}
