/**
 * One direction of one channel: messages that may go on only when what was recorded about them is durable; the same for
 * messages as `lane.ts` is for bytes. Keeps their order. Refuses to hand on anything after a failed record.
 */
import { type Durability, type Recorder, stronger, type Waiter } from '@custody/event-log'

class Batch<T> implements Waiter {
  readonly items: T[] = []
  isRecorded = false

  constructor(
    private readonly outbox: Outbox<T>,
    readonly durability: Durability,
    readonly turn: number,
  ) {}

  recorded(error: Error | null): void {
    this.outbox.told(this, error)
  }
}

export class Outbox<T> {
  private batches: Batch<T>[] = []
  private isOver = false

  constructor(
    private readonly recorder: Recorder,
    private readonly deliver: (item: T) => void,
    /** What could not go, oldest first. */
    private readonly onFailed: (error: Error, items: T[]) => void,
  ) {}

  get isEmpty(): boolean {
    return this.batches.length === 0
  }

  /** Hands on once everything recorded so far is as durable as asked; `null`: it needs no record of its own. */
  push(item: T, durability: Durability | null): void {
    if (this.isOver) return
    let batch = this.batches.at(-1)
    if (durability === null && batch === undefined) {
      this.deliver(item)
      return
    }
    // What is behind one that waits for more must wait for it too, or it would overtake.
    const needed = stronger(batch?.durability ?? null, durability ?? 'os')
    if (
      batch === undefined ||
      batch.turn !== this.recorder.turn ||
      batch.durability !== needed ||
      batch.isRecorded
    ) {
      batch = new Batch(this, needed, this.recorder.turn)
      this.batches.push(batch)
      this.recorder.whenRecorded(needed, batch)
    }
    batch.items.push(item)
  }

  /** Nothing that waits is handed on any more. */
  stop(): void {
    this.isOver = true
    this.batches = []
  }

  told(batch: Batch<T>, error: Error | null): void {
    if (this.isOver || !this.batches.includes(batch)) return
    if (error !== null) {
      const items = this.batches.flatMap((one) => one.items)
      this.stop()
      this.onFailed(error, items)
      return
    }
    batch.isRecorded = true
    while (this.batches[0]?.isRecorded) {
      // Out of the queue only when all of it has gone: what is pushed meanwhile goes behind it.
      const { items } = this.batches[0]
      for (let i = 0; i < items.length; i++) {
        if (this.isOver) return
        this.deliver(items[i]!)
      }
      this.batches.shift()
    }
  }
}
