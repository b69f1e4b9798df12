/**
 * What is to be inserted next: batches over the logs of all recorders, each with where it ends. Follows new recorders as
 * they appear. Refuses to commit anything; a batch that was not inserted is read again after `rewind`.
 */
import {
  committedPosition,
  type LogReader,
  listRecorders,
  openReader,
  type Position,
} from '@custody/event-log'

export interface Part {
  recorder: string
  messages: Buffer[]
  /** Sequence of each message. */
  sequences: number[]
  /** Where the recorder's log goes on behind this. */
  next: Position
}

export interface Batch {
  parts: Part[]
  events: number
  bytes: number
  /** More is waiting than fits. */
  full: boolean
}

export interface SourceOptions {
  directory: string
  consumer: string
  batchBytesMax: number
  batchEventsMax: number
}

const READ_BYTES = 4 * 1024 * 1024

export class Source {
  private readonly readers = new Map<string, LogReader>()
  /** First of the recorders in the next batch, so that a busy one can't starve the others. */
  private turn = 0

  constructor(private readonly o: SourceOptions) {}

  async next(): Promise<Batch> {
    const batch: Batch = { parts: [], events: 0, bytes: 0, full: false }
    const recorders = await listRecorders(this.o.directory)
    const { length } = recorders
    for (let i = 0; i < length; i++) {
      const recorder = recorders[(this.turn + i) % length]!
      const share = (this.o.batchBytesMax - batch.bytes) / (length - i)
      await this.take(recorder, batch, batch.bytes + share)
    }
    this.turn = length > 0 ? (this.turn + 1) % length : 0
    return batch
  }

  /** Forgets what was read and not committed. */
  rewind(): void {
    for (const reader of this.readers.values()) reader.close()
    this.readers.clear()
  }

  private async take(recorder: string, batch: Batch, bytesMax: number): Promise<void> {
    const reader = await this.reader(recorder)
    let part: Part | null = null
    while (batch.bytes < bytesMax && batch.events < this.o.batchEventsMax) {
      const read = await reader.read(
        Math.min(READ_BYTES, Math.max(64 * 1024, bytesMax - batch.bytes)),
      )
      if (read === null) return
      if (part === null) {
        part = { recorder, messages: [], sequences: [], next: read.next }
        batch.parts.push(part)
      }
      for (let i = 0; i < read.count; i++) {
        const message = read.messages[i]!
        part.messages.push(message)
        part.sequences.push(read.firstSequence + i)
        batch.bytes += message.length
      }
      part.next = read.next
      batch.events += read.count
    }
    batch.full = true
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
