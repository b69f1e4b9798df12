/**
 * The embedded logs of all recorders, for one destination: a consumer of its own (`siem-<destination>`), whose committed
 * positions keep segments from being freed.
 * A destination that is away may hold `heldBytesMax` of a recorder's log; beyond it the oldest segments are let go, so that no
 * receiver can make the proxy refuse commands: the next slice begins behind the gap. `required` never lets go.
 */
import { statSync } from 'node:fs'
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import {
  commitPosition,
  committedPosition,
  forgetConsumer,
  type LogReader,
  listRecorders,
  listSegments,
  openReader,
  type Position,
  publishedSchema,
  segmentName,
} from '@custody/event-log'
import { readEnvelope } from '@custody/schemas'
import type { EventSource, Lag, Loss, Slice } from './source'

export interface LogSourceOptions {
  /** CUSTODY_HOME/log */
  directory: string
  destination: string
  sliceEventsMax: number
  sliceBytesMax: number
  heldBytesMax: number
  /** Never lets go of what was not delivered. */
  required: boolean
}

export const CONSUMER_PREFIX = 'siem-'
const RANGE_BYTES = 1024 * 1024
const ORIGIN = 'recorder:'

interface Origin {
  recorder: string
  reader: LogReader
  committed: Position
  /** Handed out and not committed. */
  outstanding: number
  /** There was nothing more when it was looked last. */
  isAtEnd: boolean
  /** Read and not handed out yet, since a frame may be more than a slice. */
  rest: { messages: Buffer[]; first: number; next: Position } | null
}

interface LogSlice extends Slice {
  readonly of: Origin
  /** Where the reader was behind it; null while more of the same frame is to come. */
  readonly end: Position | null
}

export class LogSource implements EventSource {
  readonly letGo: Loss[] = []
  private readonly origins = new Map<string, Origin>()
  private turn = 0
  /** One thing at a time: letting go moves the reader that a slice is being cut from. */
  private busy: Promise<unknown> = Promise.resolve()
  readonly consumer: string

  constructor(private readonly o: LogSourceOptions) {
    this.consumer = `${CONSUMER_PREFIX}${o.destination}`
  }

  start(): Promise<void> {
    return this.tend()
  }

  async stop(): Promise<void> {
    await this.busy.catch(() => {})
    for (const { reader } of this.origins.values()) reader.close()
    this.origins.clear()
  }

  problem(): string | null {
    return null
  }

  /** New recorders, and what is held for too long a time. */
  tend(): Promise<void> {
    return this.alone(() => this.look())
  }

  next(): Promise<Slice | null> {
    return this.alone(async () => {
      const all = [...this.origins.values()]
      for (let i = 0; i < all.length; i++) {
        const slice = await this.cut(all[(this.turn + i) % all.length]!)
        if (slice === null) continue
        this.turn = (this.turn + i + 1) % all.length
        return slice
      }
      return null
    })
  }

  commit(slice: Slice): Promise<boolean> {
    return this.alone(async () => {
      const { of, end } = slice as LogSlice
      // What was let go meanwhile is not held again.
      if (end !== null && end.segment >= of.committed.segment) {
        await commitPosition(this.o.directory, this.consumer, of.recorder, end)
        of.committed = end
      }
      of.outstanding--
      return true
    })
  }

  private alone<T>(work: () => Promise<T>): Promise<T> {
    const next = this.busy.then(work, work)
    this.busy = next.catch(() => {})
    return next
  }

  async schema(fingerprint: string): Promise<string | null> {
    for (const recorder of await listRecorders(this.o.directory)) {
      const schema = publishedSchema(join(this.o.directory, recorder), fingerprint)
      if (schema !== null) return schema
    }
    return null
  }

  async lag(): Promise<Lag[]> {
    const found: Lag[] = []
    for (const { recorder, committed, outstanding, isAtEnd } of this.origins.values()) {
      const path = join(this.o.directory, recorder)
      // Behind the end there is room made in advance, which is no lag.
      const bytes = isAtEnd && outstanding === 0 ? 0 : heldBytes(path, committed)
      found.push({ origin: `${ORIGIN}${recorder}`, events: -1, bytes })
    }
    return found
  }

  async *range(fromMicros: number, toMicros: number): AsyncGenerator<readonly Buffer[]> {
    for (const { recorder, committed } of [...this.origins.values()]) {
      const end = committed.sequence
      const reader = openReader({ directory: this.o.directory, recorder })
      try {
        for (
          let read = await reader.read(RANGE_BYTES);
          read && read.firstSequence < end;
          read = await reader.read(RANGE_BYTES)
        ) {
          const wanted = read.messages
            .slice(0, end - read.firstSequence)
            .filter((message) => isWithin(message, fromMicros, toMicros))
          if (wanted.length > 0) yield wanted
        }
      } finally {
        reader.close()
      }
    }
  }

  private async cut(origin: Origin): Promise<LogSlice | null> {
    const messages: Buffer[] = []
    let bytes = 0
    let first = -1
    let end: Position | null = null
    let full = false
    while (!full) {
      if (origin.rest === null) {
        const read = await origin.reader.read(Math.max(64 * 1024, this.o.sliceBytesMax - bytes))
        if (read === null) break
        origin.rest = { messages: read.messages, first: read.firstSequence, next: read.next }
      }
      const { rest } = origin
      if (first < 0) first = rest.first
      let taken = 0
      for (const message of rest.messages) {
        full =
          messages.length >= this.o.sliceEventsMax ||
          (messages.length > 0 && bytes + message.length > this.o.sliceBytesMax)
        if (full) break
        messages.push(message)
        bytes += message.length
        taken++
      }
      if (taken === rest.messages.length) {
        end = rest.next
        origin.rest = null
      } else {
        rest.messages = rest.messages.slice(taken)
        rest.first += taken
        end = null
      }
    }
    origin.isAtEnd = messages.length === 0
    if (origin.isAtEnd) return null
    origin.outstanding++
    return {
      origin: `${ORIGIN}${origin.recorder}`,
      messages,
      places: messages.map((_, i) => first + i),
      next: first + messages.length,
      // As it is when it is asked for: slices before this one may not have been committed when it was cut.
      get base() {
        return `${origin.committed.segment}:${origin.committed.offset}`
      },
      full,
      gapless: true,
      of: origin,
      end,
    }
  }

  private async look(): Promise<void> {
    const { directory } = this.o
    for (const recorder of await listRecorders(directory)) {
      const path = join(directory, recorder)
      let origin = this.origins.get(recorder)
      if (!origin) {
        const first = listSegments(path)[0]
        if (first === undefined) continue
        let committed = await committedPosition(directory, this.consumer, recorder)
        if (committed === null) {
          committed = { segment: first, offset: 0, sequence: 0 }
          // From now on retention waits for this destination too.
          await commitPosition(directory, this.consumer, recorder, committed)
        }
        origin = {
          recorder,
          reader: openReader({ directory, recorder, from: committed }),
          committed,
          outstanding: 0,
          isAtEnd: false,
          rest: null,
        }
        this.origins.set(recorder, origin)
      }
      if (!this.o.required) await this.release(origin, path)
    }
  }

  /** A segment's beginning; null while nothing is in it. */
  private async startOf(recorder: string, segment: number): Promise<Position | null> {
    const from: Position = { segment, offset: 0, sequence: 0 }
    const probe = openReader({ directory: this.o.directory, recorder, from })
    try {
      const found = await probe.read(64 * 1024)
      return found && { ...from, sequence: found.firstSequence }
    } finally {
      probe.close()
    }
  }

  private async release(origin: Origin, path: string): Promise<void> {
    const { recorder, reader, rest } = origin
    const segments = listSegments(path).filter((one) => one >= origin.committed.segment)
    let held = heldBytes(path, origin.committed)
    if (held <= this.o.heldBytesMax || segments.length < 2) return
    let goOn = segments[0]!
    for (let i = 0; i < segments.length - 1 && held > this.o.heldBytesMax; i++) {
      held -= sizeOf(path, segments[i]!)
      goOn = segments[i + 1]!
    }
    const start = await this.startOf(recorder, goOn)
    if (start === null) return
    origin.committed = start
    // What was handed out already is delivered all the same.
    if (reader.position.segment < goOn) {
      const { position } = reader
      const next = position.offset > 0 ? position : await this.startOf(recorder, position.segment)
      const from = rest?.first ?? next?.sequence ?? start.sequence
      if (from < start.sequence)
        this.letGo.push({ origin: `${ORIGIN}${recorder}`, from, to: start.sequence })
      reader.close()
      origin.rest = null
      origin.reader = openReader({ directory: this.o.directory, recorder, from: start })
    }
    await commitPosition(this.o.directory, this.consumer, recorder, start)
  }
}

function isWithin(message: Buffer, fromMicros: number, toMicros: number): boolean {
  const { time } = readEnvelope(message)
  return time >= fromMicros && time < toMicros
}

function sizeOf(path: string, segment: number): number {
  try {
    return statSync(join(path, segmentName(segment))).size
  } catch {
    return 0
  }
}

/** Behind a position, what is written and room made in advance together. */
function heldBytes(path: string, { segment, offset }: Position): number {
  let bytes = -offset
  for (const one of listSegments(path)) if (one >= segment) bytes += sizeOf(path, one)
  return Math.max(0, bytes)
}

/** Consumers of destinations that are no more would keep the log for ever. */
export async function forgetDestinations(
  directory: string,
  destinations: readonly string[],
): Promise<string[]> {
  const kept = new Set(destinations.map((name) => `${CONSUMER_PREFIX}${name}.json`))
  const gone = new Set<string>()
  for (const recorder of await listRecorders(directory)) {
    const names = await readdir(join(directory, recorder, 'consumers')).catch(() => [])
    for (const name of names) {
      if (!name.startsWith(CONSUMER_PREFIX) || !name.endsWith('.json') || kept.has(name)) continue
      gone.add(name.slice(CONSUMER_PREFIX.length, -'.json'.length))
      await forgetConsumer(directory, name.slice(0, -'.json'.length), recorder)
    }
  }
  return [...gone]
}
