/**
 * One direction of a session: bytes that may go on only when what was recorded about them is durable.
 * Keeps their order, one write a turn, and says when the receiver is slower than the sender.
 * Refuses to write anything after a failed record.
 */
import type { Duplex } from 'node:stream'
import type { Durability, Recorder, Waiter } from '@custody/event-log'

/** More than this waiting makes the sender stop. */
const LANE_BYTES_MAX = 1024 * 1024
/** Buffers of one batch are joined into one write up to this size. */
const JOIN_BYTES_MAX = 64 * 1024

interface Batch {
  buffers: Buffer[]
  bytes: number
  disk: boolean
  /** The recorder's turn that it was begun in; it may only grow within it. */
  turn: number
}

export class Lane implements Waiter {
  private batches: Batch[] = []
  private diskOutstanding = 0
  private waitingBytes = 0
  /** The receiver is slower than the sender, who was told to stop. */
  slow = false
  bytes = 0
  ended = false

  constructor(
    private readonly recorder: Recorder,
    private readonly to: Duplex,
    private readonly onSlow: (slow: boolean) => void,
    private readonly onFailed: (error: Error) => void,
  ) {
    to.on('drain', () => this.judge())
  }

  /** Bytes that the receiver's side of the connection has taken. */
  get taken(): number {
    return this.bytes - this.waitingBytes - this.to.writableLength
  }

  /** Sends after everything recorded so far is as durable as asked; `null` means that it needs no record of its own. */
  send(bytes: Buffer, durability: Durability | null): void {
    if (this.ended) return
    this.bytes += bytes.length
    if (durability === null && this.batches.length === 0) {
      this.to.write(bytes)
      this.judge()
      return
    }
    // A batch behind one that waits for the disk must wait for it too, or it would overtake.
    const disk = durability === 'disk' || this.diskOutstanding > 0
    let batch = this.batches.at(-1)
    if (batch === undefined || batch.turn !== this.recorder.turn || (disk && !batch.disk)) {
      batch = { buffers: [], bytes: 0, disk, turn: this.recorder.turn }
      this.batches.push(batch)
      if (disk) this.diskOutstanding++
      this.recorder.whenRecorded(disk ? 'disk' : 'os', this)
    }
    batch.buffers.push(bytes)
    batch.bytes += bytes.length
    this.waitingBytes += bytes.length
    if (this.waitingBytes > LANE_BYTES_MAX) this.judge()
  }

  /** The oldest batch's record stands (or, with an error, doesn't). */
  recorded(error: Error | null): void {
    const batch = this.batches.shift()
    if (batch === undefined) return
    if (batch.disk) this.diskOutstanding--
    this.waitingBytes -= batch.bytes
    if (this.ended) return
    if (error) {
      this.ended = true
      this.onFailed(error)
      return
    }
    if (batch.buffers.length === 1) this.to.write(batch.buffers[0]!)
    else if (batch.bytes <= JOIN_BYTES_MAX) this.to.write(Buffer.concat(batch.buffers, batch.bytes))
    else {
      this.to.cork()
      for (const buffer of batch.buffers) this.to.write(buffer)
      this.to.uncork()
    }
    this.judge()
  }

  /** Ends the receiving side once everything sent has gone. */
  end(): void {
    if (this.ended) return
    if (this.batches.length > 0) {
      this.recorder.whenRecorded(this.diskOutstanding > 0 ? 'disk' : 'os', {
        recorded: () => this.end(),
      })
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
