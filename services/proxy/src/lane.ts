/**
 * One direction of a session: bytes that may go on only when what was recorded about them is durable.
 * Keeps their order, one write a turn, and says when the receiver is slower than the sender.
 * Refuses to write anything after a failed record. Where only its replication was not acknowledged in time, whoever sends
 * may take back what has not gone, and go on.
 */
import type { Duplex } from 'node:stream'
import {
  type Durability,
  NotReplicatedError,
  type Recorder,
  stronger,
  type Waiter,
} from '@custody/event-log'

/** More than this waiting makes the sender stop. */
const LANE_BYTES_MAX = 1024 * 1024
/** Buffers of one batch are joined into one write up to this size. */
const JOIN_BYTES_MAX = 64 * 1024

class Batch implements Waiter {
  readonly buffers: Buffer[] = []
  bytes = 0
  /** It ends where a message does. */
  isWhole = true
  /** Its record stands. */
  isRecorded = false

  constructor(
    private readonly lane: Lane,
    readonly durability: Durability,
    /** The recorder's turn that it was begun in; it may only grow within it. */
    readonly turn: number,
  ) {}

  recorded(error: Error | null): void {
    this.lane.told(this, error)
  }
}

export class Lane {
  private batches: Batch[] = []
  private waitingBytes = 0
  /** The receiver is slower than the sender, who was told to stop. */
  slow = false
  bytes = 0
  ended = false
  /** What the receiver has been sent ends where a message does. */
  isWhole = true
  private endWanted = false

  constructor(
    private readonly recorder: Recorder,
    private readonly to: Duplex,
    private readonly onSlow: (slow: boolean) => void,
    private readonly onFailed: (error: Error) => void,
    /** What was sent from this byte on is taken back. Without it that is a failure as any other. */
    private readonly onTakenBack: ((error: NotReplicatedError, from: number) => void) | null = null,
  ) {
    to.on('drain', () => this.judge())
  }

  /** Bytes that the receiver's side of the connection has taken. */
  get taken(): number {
    return this.bytes - this.waitingBytes - this.to.writableLength
  }

  /**
   * Sends after everything recorded so far is as durable as asked; `null` means that it needs no record of its own.
   * `isWhole`: the bytes end where a message does.
   */
  send(bytes: Buffer, durability: Durability | null, isWhole = true): void {
    if (this.ended) return
    this.bytes += bytes.length
    let batch = this.batches.at(-1)
    if (durability === null && batch === undefined) {
      this.to.write(bytes)
      this.isWhole = isWhole
      this.judge()
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
    batch.buffers.push(bytes)
    batch.bytes += bytes.length
    batch.isWhole = isWhole
    this.waitingBytes += bytes.length
    if (this.waitingBytes > LANE_BYTES_MAX) this.judge()
  }

  /** The record of a batch stands (or, with an error, doesn't). */
  told(batch: Batch, error: Error | null): void {
    if (this.ended || !this.batches.includes(batch)) return
    if (error === null) {
      batch.isRecorded = true
      while (this.batches[0]?.isRecorded) this.write(this.batches.shift()!)
      if (this.endWanted && this.batches.length === 0) this.end()
      else this.judge()
      return
    }
    if (error instanceof NotReplicatedError && this.onTakenBack !== null) {
      const from = this.bytes - this.waitingBytes
      this.batches = []
      this.bytes = from
      this.waitingBytes = 0
      this.onTakenBack(error, from)
      if (this.endWanted) this.end()
      else this.judge()
      return
    }
    this.ended = true
    this.onFailed(error)
  }

  private write(batch: Batch): void {
    this.waitingBytes -= batch.bytes
    this.isWhole = batch.isWhole
    const { buffers } = batch
    if (buffers.length === 1) this.to.write(buffers[0]!)
    else if (batch.bytes <= JOIN_BYTES_MAX) this.to.write(Buffer.concat(buffers, batch.bytes))
    else {
      this.to.cork()
      for (const buffer of buffers) this.to.write(buffer)
      this.to.uncork()
    }
  }

  /** Ends the receiving side once everything sent has gone. */
  end(): void {
    if (this.ended) return
    if (this.batches.length > 0) {
      this.endWanted = true
      return
    }
    this.ended = true
    this.to.end()
  }

  private judge(): void {
    const slow = this.to.writableNeedDrain || this.waitingBytes > LANE_BYTES_MAX
    if (slow === this.slow) return
    this.slow = slow
    this.onSlow(slow)
  }
}
