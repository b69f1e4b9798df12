/**
 * Which events of a recorder were seen somewhere: a few bits an event and a fold of identifiers for every few thousand,
 * so that a hundred million events are compared in a few ten megabytes. Pure.
 */

/** Sequences in one bucket. */
export const BUCKET_EVENTS = 4096
const BITMAP_BYTES = BUCKET_EVENTS / 8

export class Bucket {
  readonly seen: Buffer = Buffer.alloc(BITMAP_BYTES)
  /** Those of the period that is compared. */
  readonly inScope: Buffer = Buffer.alloc(BITMAP_BYTES)
  /** Those of them that must have arrived in the next place by now. */
  readonly due: Buffer = Buffer.alloc(BITMAP_BYTES)
  /** Of those in scope. */
  count = 0
  dueCount = 0
  /** Exclusive or, over those in scope, of the last 8 bytes of the identifier and the first 8 of the link before. */
  fold = 0n
}

export const foldOf = (id: Buffer, previous: Buffer): bigint =>
  id.readBigUInt64LE(8) ^ previous.readBigUInt64LE(0)

export interface Duplicate {
  sequence: number
  times: number
}

/** One recorder's events in one place. */
export class Tally {
  readonly buckets = new Map<number, Bucket>()
  first = Number.POSITIVE_INFINITY
  last = -1
  events = 0
  readonly duplicates = new Map<number, number>()

  /** False where this sequence was seen before. */
  add(sequence: number, fold: bigint, inScope: boolean, due: boolean): boolean {
    const bucket = this.bucket(Math.floor(sequence / BUCKET_EVENTS))
    const at = sequence % BUCKET_EVENTS
    if (get(bucket.seen, at)) {
      this.duplicates.set(sequence, (this.duplicates.get(sequence) ?? 1) + 1)
      return false
    }
    set(bucket.seen, at)
    this.events++
    if (sequence < this.first) this.first = sequence
    if (sequence > this.last) this.last = sequence
    if (inScope) {
      set(bucket.inScope, at)
      bucket.count++
      bucket.fold ^= fold
      if (due) {
        set(bucket.due, at)
        bucket.dueCount++
      }
    }
    return true
  }

  has(sequence: number): boolean {
    return this.bit('seen', sequence)
  }

  bit(which: 'seen' | 'inScope' | 'due', sequence: number): boolean {
    const bucket = this.buckets.get(Math.floor(sequence / BUCKET_EVENTS))
    return bucket !== undefined && get(bucket[which], sequence % BUCKET_EVENTS)
  }

  private bucket(index: number): Bucket {
    let bucket = this.buckets.get(index)
    if (bucket === undefined) {
      bucket = new Bucket()
      this.buckets.set(index, bucket)
    }
    return bucket
  }
}

/** Recorders' tallies of one place. */
export class Tallies {
  readonly byRecorder = new Map<string, Tally>()

  of(recorder: string): Tally {
    let tally = this.byRecorder.get(recorder)
    if (tally === undefined) {
      tally = new Tally()
      this.byRecorder.set(recorder, tally)
    }
    return tally
  }
}

function get(bits: Buffer, at: number): boolean {
  return (bits[at >> 3]! & (1 << (at & 7))) !== 0
}

function set(bits: Buffer, at: number): void {
  bits[at >> 3]! |= 1 << (at & 7)
}
