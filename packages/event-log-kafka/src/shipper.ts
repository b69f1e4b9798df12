/**
 * Moves a recorder's local log into Kafka: reads behind what it committed, sends, and commits when Kafka has acknowledged.
 * Whatever is left open by a crash or an answer that never came, it looks up in the topics before it sends anything again.
 * Refuses to skip an event, to reorder, and to forget what is not acknowledged.
 */
import { type FileHandle, open } from 'node:fs/promises'
import { join } from 'node:path'
import {
  commitPosition,
  committedPosition,
  type LogReader,
  openReader,
  type Position,
  publishedSchema,
  segmentName,
} from '@custody/event-log'
import type { KafkaSettings, Logger } from '@custody/kit'
import { type Envelope, eventSchema, readEnvelope, schemaFingerprint } from '@custody/schemas'
import type { Client, Outgoing } from './client'
import { AnsweredError, inOurWords, PROTOCOL, StoppedError } from './errors'
import { partitionOf } from './murmur2'
import { Backoff, Bell, pause } from './pause'
import { Producer } from './producer'
import { eventKey, routeOf, standingKey } from './routing'
import { SchemasTopic } from './schemas-topic'
import { Tail } from './tail'
import type { Shipper, ShipperOptions, ShipperStatus, Topics } from './types'

/** Of the local log's consumers: what retention waits for. */
export const CONSUMER = 'kafka'

const BATCH_EVENTS_MAX = 2000
const BATCH_BYTES_MAX = 1024 * 1024
/** Looks for something new when nobody nudged. */
const POLL_MS = 100
/** How often it is noted where partitions end, which bounds what must be looked through after a crash. */
const NOTE_ENDS_MS = 30_000
/** ... and after it could not be. */
const NOTE_ENDS_AGAIN_MS = 1000
/** A position is on disk this much later at most: after a crash what came behind it is looked for in Kafka. */
const COMMIT_MS = 200
/** What a process that is gone has sent may still be on its way into the broker. */
const SETTLE_MS = 300
const LOOK_BYTES_MAX = 8 * 1024 * 1024

/** As committed: the position, and where in Kafka what is behind it can be at the earliest. */
interface Noted extends Position {
  kafka?: { ends: Record<string, string> }
}

export interface ShipperParts {
  signal: AbortSignal
  client: Client
  settings: KafkaSettings
  topics: Topics
  logger: Logger
}

/** An event on its way. */
interface Part {
  sequence: number
  bytes: number
  fingerprint: string
  records: Outgoing[]
}

export class LogShipper implements Shipper {
  private readonly bell = new Bell()
  /** Rung where the next commit must not wait. */
  private readonly hurry = new Bell()
  private readonly abort = new AbortController()
  private readonly schemas: SchemasTopic
  private readonly tail: Tail
  private readonly published = new Set<string>()
  private reader: LogReader | null = null
  private producer: Producer | null = null
  private running: Promise<void> | null = null
  private flushing: { segment: number; file: FileHandle } | null = null
  private stopping = false
  /** Where each `topic/partition` ended when all of ours before was acknowledged. */
  private ends = new Map<string, bigint>()
  private endsAtMs = 0
  /** Of ours, the last sequence that is known to be in each `topic/partition`. */
  private present = new Map<string, number>()
  private position: Position = { segment: 0, offset: 0, sequence: 0 }
  private committing: Promise<void> | null = null
  private toCommit: Noted | null = null
  private committedAtMs = 0
  private shipped = 0
  private acknowledged = 0
  /** When the first event was recorded that is not acknowledged; null where it is not read yet. */
  private oldestMs: number | null = null
  /** When there was nothing left to ship. */
  private emptyAtMs = Date.now()
  private counts = { events: 0, batches: 0 }
  private problem: ShipperStatus['problem'] = null
  /** One event at a time, where a batch was too large. */
  private careful = false

  constructor(
    private readonly parts: ShipperParts,
    private readonly o: ShipperOptions,
  ) {
    const { client, topics } = parts
    parts.signal.addEventListener('abort', () => this.abort.abort(), { once: true })
    this.schemas = new SchemasTopic(client, topics.schemas, 'look', this.abort.signal)
    this.tail = new Tail(o.directory, o.recorder)
  }

  start(): void {
    this.running ??= this.run()
  }

  nudge(): void {
    this.bell.ring()
  }

  async stop(msMax: number): Promise<void> {
    this.stopping = true
    this.bell.ring()
    this.hurry.ring()
    const timer = setTimeout(() => this.abort.abort(), msMax)
    await this.running
    clearTimeout(timer)
    this.abort.abort()
    this.tail.close()
  }

  status(): ShipperStatus {
    this.tail.follow()
    const behindEvents = Math.max(0, this.tail.sequence - this.acknowledged)
    return {
      recorder: this.o.recorder,
      shippedSequence: this.shipped,
      behindEvents,
      behindBytes: this.tail.bytesBehind(this.position),
      oldestUnshippedMs:
        behindEvents === 0
          ? null
          : Math.max(0, Math.round(Date.now() - (this.oldestMs ?? this.emptyAtMs))),
      ...this.counts,
      problem: this.problem,
    }
  }

  private async run(): Promise<void> {
    const backoff = new Backoff()
    while (!this.abort.signal.aborted) {
      try {
        await this.begin()
        if (await this.ship(() => backoff.reset())) break
      } catch (error) {
        if (error instanceof StoppedError) break
        this.trouble(error)
        if (
          error instanceof AnsweredError &&
          (error.answer === PROTOCOL.MESSAGE_TOO_LARGE ||
            error.answer === PROTOCOL.RECORD_LIST_TOO_LARGE)
        )
          this.careful = true
        this.producer = null
        this.reader?.close()
        this.reader = null
        await pause(backoff.take(), this.abort.signal)
      }
    }
    this.reader?.close()
    this.reader = null
    await this.flushing?.file.close()
    this.flushing = null
    await this.committing?.catch(() => {})
  }

  /** From what is committed, knowing what of the rest is there already. */
  private async begin(): Promise<void> {
    const { directory, recorder } = this.o
    const { client, settings } = this.parts
    // Whatever was in flight has settled by now, or is looked for.
    await this.committing?.catch(() => {})
    const noted = (await committedPosition(directory, CONSUMER, recorder)) as Noted | null
    const isFirst = noted?.kafka === undefined
    if (isFirst) {
      this.ends = await this.currentEnds()
      this.position = noted ?? { segment: 0, offset: 0, sequence: 0 }
      await this.commitNow()
    } else {
      this.position = { segment: noted.segment, offset: noted.offset, sequence: noted.sequence }
      this.ends = new Map(
        Object.entries(noted.kafka?.ends ?? {}).map(([at, end]) => [at, BigInt(end)]),
      )
    }
    this.shipped = this.position.sequence
    this.acknowledged = Math.max(this.acknowledged, this.shipped)
    this.reader = openReader({ directory, recorder, from: { ...this.position } })
    this.tail.from(this.position)
    this.producer = new Producer({
      client,
      compression: settings.compression,
      signal: this.abort.signal,
      onTrouble: (error) => (error === null ? this.clear() : this.trouble(error)),
    })
    this.present = new Map()
    if (!isFirst && (await this.mayBeThere())) await this.look()
  }

  /** Whether what is not committed can have been sent: not, where it begins with the start of this very process. */
  private async mayBeThere(): Promise<boolean> {
    if (this.counts.batches > 0 || this.problem !== null) return true
    const { directory, recorder } = this.o
    const reader = openReader({ directory, recorder, from: { ...this.position } })
    try {
      const batch = await reader.read(1)
      const first = batch?.messages[0]
      if (first === undefined) return false
      const { kind, time } = readEnvelope(first)
      // A process before it may have sent its own beginning, and died before anything was committed.
      const isOfThis = time / 1000 >= Date.now() - process.uptime() * 1000
      return !isOfThis || !['recorder.started', 'recorder.recovered'].includes(kind)
    } finally {
      reader.close()
    }
  }

  /** Reads what came behind the noted ends and notes which of ours are among it. */
  private async look(): Promise<void> {
    const { client, topics, logger } = this.parts
    await pause(SETTLE_MS, this.abort.signal)
    const from = new Map(this.ends)
    const ends = await this.currentEnds()
    let found = 0
    for (const topic of [topics.events, topics.control, topics.standing]) {
      const leaders = await client.leaders(topic)
      for (const partition of leaders.keys()) {
        const place = `${topic}/${partition}`
        const end = ends.get(place) ?? 0n
        let at = from.get(place) ?? 0n
        if (at > end) {
          logger.warn({ place, noted: `${at}`, end: `${end}` }, 'the topic was made anew')
          at = 0n
        }
        while (at < end) {
          if (this.abort.signal.aborted) throw new StoppedError()
          const node = (await client.leaders(topic))[partition] ?? -1
          const answer: Awaited<ReturnType<Client['fetch']>> = await client.fetch(
            node,
            'look',
            topic,
            [{ partition, offset: at, bytesMax: LOOK_BYTES_MAX }],
            { waitMs: 100, bytesMax: LOOK_BYTES_MAX },
          )
          const one = answer.get(partition)
          if (!one) throw new Error(`${place} gave no answer`)
          if (one.moved !== null) {
            at = one.moved
            continue
          }
          if (one.error !== 0) {
            client.forget(topic)
            throw new Error(`${place} can’t be looked through: error ${one.error}`)
          }
          for (const { value } of one.records) {
            const envelope = envelopeOf(value)
            if (envelope?.recorder !== this.o.recorder) continue
            found++
            this.present.set(place, Math.max(this.present.get(place) ?? -1, envelope.sequence))
          }
          // A range that compaction emptied ends without a record.
          at = one.next > at ? one.next : end
        }
      }
    }
    if (found > 0) logger.info({ recorder: this.o.recorder, found }, 'in Kafka already')
  }

  private async currentEnds(): Promise<Map<string, bigint>> {
    const { client, topics } = this.parts
    const ends = new Map<string, bigint>()
    for (const topic of [topics.events, topics.control, topics.standing])
      for (const [partition, end] of await client.offsets(topic, 'end'))
        ends.set(`${topic}/${partition}`, end)
    this.endsAtMs = Date.now()
    return ends
  }

  /** Until stopped (true), or until something must begin anew (rejects). */
  private async ship(wentWell: () => void): Promise<boolean> {
    const bytesMax = this.o.batchBytesMax ?? BATCH_BYTES_MAX
    while (!this.abort.signal.aborted) {
      const batch = await this.reader!.read(bytesMax)
      if (batch === null) {
        this.oldestMs = null
        this.emptyAtMs = Date.now()
        if (this.stopping) return true
        await this.noteEnds()
        await this.bell.wait(POLL_MS)
        continue
      }
      const parts = batch.messages.map((message, i) =>
        this.partOf(message, batch.firstSequence + i),
      )
      await this.resolve(parts)
      await this.flushed(batch.next.segment)
      for (const chunk of this.chunks(parts)) {
        await this.send(chunk)
        wentWell()
      }
      this.careful = false
      this.position = batch.next
      this.commitSoon()
      await this.noteEnds()
    }
    return false
  }

  /**
   * What leaves this host is on its disk: a recorder that lost its last events to a power cut gives their sequences to
   * others, and nobody must have seen the first ones.
   */
  private async flushed(segment: number): Promise<void> {
    if (this.flushing?.segment !== segment) {
      await this.flushing?.file.close()
      this.flushing = null
      const path = join(this.o.directory, this.o.recorder, segmentName(segment))
      this.flushing = { segment, file: await open(path, 'r') }
    }
    await this.flushing.file.datasync()
  }

  private partOf(message: Buffer, sequence: number): Part {
    const { topics } = this.parts
    const envelope = readEnvelope(message)
    const timestampMs = envelope.time / 1000
    const key = eventKey(envelope)
    const records: Outgoing[] = [
      { topic: topics.events, partition: -1, key, value: message, timestampMs },
    ]
    const route = routeOf(envelope.kind)
    if (route !== null)
      records.push({
        topic: topics[route],
        partition: 0,
        key: route === 'standing' ? standingKey(message, envelope) : key,
        value: message,
        timestampMs,
      })
    const fingerprint = message.toString('hex', 2, 10)
    return { sequence, bytes: message.length, fingerprint, records }
  }

  /** Partitions of keys, as many as there are. */
  private async resolve(parts: readonly Part[]): Promise<void> {
    const { client, topics } = this.parts
    const backoff = new Backoff()
    let count = 0
    while (count === 0) {
      try {
        count = (await client.leaders(topics.events)).length
      } catch (error) {
        if (this.abort.signal.aborted) throw new StoppedError()
        this.trouble(error)
        await pause(backoff.take(), this.abort.signal)
      }
    }
    for (const { records } of parts)
      for (const record of records)
        if (record.partition < 0) record.partition = partitionOf(record.key!, count)
  }

  private *chunks(parts: readonly Part[]): Generator<Part[]> {
    const eventsMax = this.careful ? 1 : (this.o.batchEventsMax ?? BATCH_EVENTS_MAX)
    const bytesMax = this.o.batchBytesMax ?? BATCH_BYTES_MAX
    let chunk: Part[] = []
    let bytes = 0
    for (const part of parts) {
      if (chunk.length > 0 && (chunk.length >= eventsMax || bytes + part.bytes > bytesMax)) {
        yield chunk
        chunk = []
        bytes = 0
      }
      chunk.push(part)
      bytes += part.bytes
    }
    if (chunk.length > 0) yield chunk
  }

  private async send(chunk: readonly Part[]): Promise<void> {
    this.oldestMs = chunk[0]!.records[0]!.timestampMs
    const records: Outgoing[] = []
    const last = new Map<string, number>()
    for (const { sequence, records: all } of chunk)
      for (const record of all) {
        const place = `${record.topic}/${record.partition}`
        if (sequence <= (this.present.get(place) ?? -1)) continue
        records.push(record)
        last.set(place, sequence)
      }
    for (const { fingerprint } of chunk) await this.publish(fingerprint)
    if (records.length > 0) {
      const done = await this.producer!.send(records)
      for (const [place, { base, count }] of done) this.ends.set(place, base + BigInt(count))
      for (const [place, sequence] of last) this.present.set(place, sequence)
    }
    this.acknowledged = chunk.at(-1)!.sequence + 1
    this.counts.events += chunk.length
    this.counts.batches++
    this.oldestMs = null
    this.clear()
    this.o.onReplicated?.(this.acknowledged)
  }

  /** The schema is there before the first message that needs it. */
  private async publish(fingerprint: string): Promise<void> {
    if (this.published.has(fingerprint)) return
    if (fingerprint === schemaFingerprint.toString('hex'))
      await this.schemas.put(this.producer!, fingerprint, JSON.stringify(eventSchema))
    else if ((await this.schemas.get(fingerprint)) === null) {
      // Written by another version, before this one had the log.
      const { directory, recorder } = this.o
      const schema = publishedSchema(join(directory, recorder), fingerprint)
      if (schema !== null) await this.schemas.put(this.producer!, fingerprint, schema.trim())
      else this.parts.logger.warn({ fingerprint }, 'events of a schema that is not known here')
    }
    this.published.add(fingerprint)
  }

  private async noteEnds(): Promise<void> {
    if (Date.now() - this.endsAtMs < NOTE_ENDS_MS) return
    // Between two batches nothing of ours is on its way.
    try {
      this.ends = await this.currentEnds()
      this.commitSoon()
      // With nothing to send, this is how it is known that Kafka is back.
      this.clear()
    } catch (error) {
      this.endsAtMs = Date.now() - NOTE_ENDS_MS + NOTE_ENDS_AGAIN_MS
      this.trouble(error)
    }
  }

  /** The last one asked for counts. No batch waits for it, and not every batch is worth two writes to the disk. */
  private commitSoon(): void {
    this.toCommit = this.noted()
    this.committing ??= this.commitAll().finally(() => {
      this.committing = null
    })
    this.committing.catch((error) => this.trouble(error))
  }

  private async commitAll(): Promise<void> {
    while (this.toCommit !== null) {
      const restMs = this.committedAtMs + COMMIT_MS - Date.now()
      if (restMs > 0 && !this.stopping) await this.hurry.wait(restMs)
      this.committedAtMs = Date.now()
      const noted = this.toCommit
      this.toCommit = null
      await commitPosition(this.o.directory, CONSUMER, this.o.recorder, noted)
      this.shipped = noted.sequence
    }
  }

  private async commitNow(): Promise<void> {
    await commitPosition(this.o.directory, CONSUMER, this.o.recorder, this.noted())
  }

  private noted(): Noted {
    const ends = Object.fromEntries([...this.ends].map(([at, end]) => [at, end.toString()]))
    return { ...this.position, kafka: { ends } }
  }

  private trouble(error: unknown): void {
    const { code, message } = inOurWords(error)
    if (this.problem?.code !== code)
      this.parts.logger.warn(
        { err: error, code, recorder: this.o.recorder },
        'events are not shipped to Kafka; they stay in the local log',
      )
    this.problem = { code, message, sinceMs: this.problem?.sinceMs ?? Date.now() }
  }

  private clear(): void {
    if (this.problem === null) return
    this.parts.logger.info({ recorder: this.o.recorder }, 'events are shipped to Kafka again')
    this.problem = null
  }
}

function envelopeOf(message: Buffer): Envelope | null {
  try {
    return readEnvelope(message)
  } catch {
    return null
  }
}
