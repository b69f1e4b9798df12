/**
 * Lots from the embedded logs of all recorders, each with where it ends. Follows new recorders as they appear. Positions are
 * committed in order: one says that all before it is in the store.
 * At the start and after a failure it asks the store which sequences behind the committed position are there, since several
 * inserts may have been under way.
 */
import { randomUUID } from 'node:crypto'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import {
  commitPosition,
  committedPosition,
  type LogReader,
  listRecorders,
  openReader,
  type Position,
  publishedSchema,
} from '@custody/event-log'
import type { Lot, Source } from './lot'
import type { Row, Unreadable } from './rows'
import type { EventStore } from './store'

export interface LogSourceOptions {
  /** CUSTODY_HOME/log */
  directory: string
  /** Name under which positions are committed. */
  consumer: string
  /** CUSTODY_HOME/dead-letters */
  deadLetters: string
  batchBytesMax: number
  batchEventsMax: number
  /** Shortest time between two lots that are not full. */
  lingerMs: number
}

interface LogLot extends Lot {
  ends: { recorder: string; next: Position }[]
  state: 'out' | 'done' | 'released'
}

const READ_BYTES = 4 * 1024 * 1024

export class LogSource implements Source {
  private readonly readers = new Map<string, LogReader>()
  /** First of the recorders in the next lot, so that a busy one can't starve the others. */
  private turn = 0
  /** Handed out and not committed, oldest first. */
  private outstanding: LogLot[] = []
  private lastFull = false
  private lastAt = 0
  /** Sequences, by recorder, that the store has although they are not committed; absent: not asked yet. */
  private readonly sequences = new Map<string, Set<number>>()
  private committing: Promise<void> = Promise.resolve()
  private readonly mark: string

  constructor(private readonly o: LogSourceOptions) {
    this.mark = `custody-ingest/log/${o.consumer}`
  }

  async start(): Promise<void> {}

  async stop(): Promise<void> {
    await this.committing.catch(() => {})
    this.rewind()
  }

  async next(hurry: boolean): Promise<Lot | null> {
    if (this.outstanding.some(({ state }) => state === 'released')) {
      // What is behind the failed one can't be committed either: all of it is read again, when none of it runs any more.
      if (this.outstanding.some(({ state }) => state === 'out')) return null
      this.rewind()
    }
    if (!this.lastFull) {
      if (this.outstanding.length > 0) return null
      if (!hurry && Date.now() < this.lastAt + this.o.lingerMs) return null
    }
    const lot = await this.read()
    this.lastFull = lot.full
    if (lot.messages.length === 0) return null
    this.lastAt = Date.now()
    this.outstanding.push(lot)
    return lot
  }

  async present(_lot: Lot, rows: readonly Row[], store: EventStore): Promise<ReadonlySet<Row>> {
    const first = new Map<string, number>()
    for (const { recorder, sequence } of rows)
      if (!first.has(recorder)) first.set(recorder, sequence)
    for (const [recorder, sequence] of first) {
      if (this.sequences.has(recorder)) continue
      await store.insertsEnded(this.mark)
      this.sequences.set(recorder, await store.sequencesFrom(recorder, sequence))
    }
    return new Set(
      rows.filter(({ recorder, sequence }) => this.sequences.get(recorder)?.delete(sequence)),
    )
  }

  async commit(lot: Lot): Promise<boolean> {
    ;(lot as LogLot).state = 'done'
    this.committing = this.committing.then(() => this.commitDone())
    await this.committing
    return true
  }

  release(lot: Lot): void {
    ;(lot as LogLot).state = 'released'
  }

  async schema(fingerprint: string): Promise<string | null> {
    for (const recorder of await listRecorders(this.o.directory)) {
      const schema = publishedSchema(join(this.o.directory, recorder), fingerprint)
      if (schema !== null) return schema
    }
    return null
  }

  async putAside(_lot: Lot, letters: readonly Unreadable[]): Promise<void> {
    keepLetters(this.o.deadLetters, letters)
  }

  private async commitDone(): Promise<void> {
    const ends = new Map<string, Position>()
    while (this.outstanding[0]?.state === 'done')
      for (const { recorder, next } of this.outstanding.shift()!.ends) ends.set(recorder, next)
    for (const [recorder, next] of ends)
      await commitPosition(this.o.directory, this.o.consumer, recorder, next)
  }

  /** Forgets what was read and not committed. */
  private rewind(): void {
    for (const reader of this.readers.values()) reader.close()
    this.readers.clear()
    this.sequences.clear()
    this.outstanding = []
    this.lastFull = false
  }

  private async read(): Promise<LogLot> {
    const lot = {
      name: null,
      mark: this.mark,
      messages: [] as Buffer[],
      places: [] as number[],
      bytes: 0,
      full: false,
      again: false,
      ends: [],
      state: 'out' as const,
    }
    const recorders = await listRecorders(this.o.directory)
    const { length } = recorders
    for (let i = 0; i < length; i++) {
      const recorder = recorders[(this.turn + i) % length]!
      const share = (this.o.batchBytesMax - lot.bytes) / (length - i)
      await this.take(recorder, lot, lot.bytes + share)
    }
    this.turn = length > 0 ? (this.turn + 1) % length : 0
    return lot
  }

  private async take(
    recorder: string,
    lot: { -readonly [key in keyof LogLot]: LogLot[key] } & {
      messages: Buffer[]
      places: number[]
    },
    bytesMax: number,
  ): Promise<void> {
    const reader = await this.reader(recorder)
    let end: { recorder: string; next: Position } | null = null
    while (lot.bytes < bytesMax && lot.messages.length < this.o.batchEventsMax) {
      const read = await reader.read(
        Math.min(READ_BYTES, Math.max(64 * 1024, bytesMax - lot.bytes)),
      )
      if (read === null) return
      if (end === null) {
        end = { recorder, next: read.next }
        lot.ends.push(end)
      }
      for (const message of read.messages) {
        lot.places.push(lot.messages.length)
        lot.messages.push(message)
        lot.bytes += message.length
      }
      end.next = read.next
    }
    lot.full = true
  }

  private async reader(recorder: string): Promise<LogReader> {
    let reader = this.readers.get(recorder)
    if (!reader) {
      const from = await committedPosition(this.o.directory, this.o.consumer, recorder)
      reader = openReader({ directory: this.o.directory, recorder, ...(from && { from }) })
      this.readers.set(recorder, reader)
    }
    return reader
  }
}

/** One file each, named by the event where it has an identifier; what is put aside twice is there once. */
export function keepLetters(directory: string, letters: readonly Unreadable[]): void {
  mkdirSync(directory, { recursive: true, mode: 0o700 })
  for (const { message, code, reason } of letters) {
    const name = message.length >= 26 ? message.toString('hex', 10, 26) : randomUUID()
    writeFileSync(join(directory, `${name}.event`), message, { mode: 0o600, flush: true })
    writeFileSync(
      join(directory, `${name}.json`),
      `${JSON.stringify({ code, reason, at: new Date().toISOString() })}\n`,
      { mode: 0o600 },
    )
  }
}
