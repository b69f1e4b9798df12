/**
 * What every protocol's masking has in common: what becomes of a column's values and why, how often that was done, and the
 * chunk as it goes on. Knows no protocol.
 */
import type { ActionSpec } from '@custody/masking'
import type { MaskDraft } from '@custody/schemas'

/** What becomes of the values of a column. */
export interface ColumnMask {
  rule: string
  /** The column that they come from, `schema.relation.column`; null where that is not known. */
  column: string | null
  spec: ActionSpec
  /** They are shown, and counted. */
  revealed: boolean
}

export interface Refused {
  code: 'CUSTODY-MASK-001' | 'CUSTODY-MASK-002' | 'CUSTODY-MASK-003'
  reason: string
  rule: string
}

/** Columns that are shown, `schema.relation.column`. */
export type Revealed = ReadonlySet<string> | null

export const UNPROVEN_RULE = 'unproven'
export const SECRET_RULE = 'secrets'
export const REDACT: ActionSpec = { action: 'redact' }
export const SECRET: ColumnMask = { rule: SECRET_RULE, column: null, spec: REDACT, revealed: false }
/** For what may be data of a masked column, as far as anybody can tell. */
export const UNPROVEN: ColumnMask = {
  rule: UNPROVEN_RULE,
  column: null,
  spec: REDACT,
  revealed: false,
}

/** For what takes more room than what it stands for. */
const ROOM_BYTES = 256

/** Bytes of one chunk as they go on; the same as came until something is replaced. */
export class Rewritten {
  bytes: Buffer
  length: number

  /** Begins with what of the chunk stands before the first thing replaced. */
  constructor(chunk: Buffer, at: number) {
    // Small ones out of Node's pool: memory of its own costs more than all that is written into it.
    this.bytes = Buffer.allocUnsafe(chunk.length + (chunk.length >> 2) + ROOM_BYTES)
    chunk.copy(this.bytes, 0, 0, at)
    this.length = at
  }

  append(from: Buffer, start: number, end: number): void {
    this.reserve(end - start)
    put(from, start, end, this.bytes, this.length)
    this.length += end - start
  }

  /** Room for so many bytes more. What was handed out before keeps the memory that it is in. */
  reserve(more: number): void {
    if (this.length + more <= this.bytes.length) return
    const larger = Buffer.allocUnsafe((this.length + more) * 2)
    this.bytes.copy(larger, 0, 0, this.length)
    this.bytes = larger
  }
}

/** How often one kind of mask was put on. */
export interface Counter {
  count: number
}

const NO_MASKS: MaskDraft[] = []

/** What was masked in one command; never the values. */
export class MaskCounts {
  private counts: Map<string, Counter & { draft: MaskDraft }> | null = null

  /** To be counted on where it is done often. */
  counter(rule: string, column: string | null, detector: string | null, action: string): Counter {
    const key = `${rule}\0${column}\0${detector}\0${action}`
    this.counts ??= new Map()
    let known = this.counts.get(key)
    if (known === undefined) {
      known = { draft: { rule, column, detector, action, count: 0 }, count: 0 }
      this.counts.set(key, known)
    }
    return known
  }

  add(rule: string, column: string | null, detector: string | null, action: string): void {
    this.counter(rule, column, detector, action).count++
  }

  get isEmpty(): boolean {
    for (const { count } of this.counts?.values() ?? []) if (count > 0) return false
    return true
  }

  /** What was counted since the last time. */
  take(): MaskDraft[] {
    if (this.counts === null) return NO_MASKS
    const drafts: MaskDraft[] = []
    for (const one of this.counts.values()) {
      if (one.count > 0) drafts.push({ ...one.draft, count: one.count })
      one.count = 0
    }
    return drafts
  }
}

export const DETECTOR_RULE = 'detectors'

/** A call costs more than a few bytes do. */
export function put(from: Buffer, start: number, end: number, to: Buffer, at: number): void {
  if (end - start > SMALL_BYTES) from.copy(to, at, start, end)
  else for (let i = start; i < end; i++) to[at++] = from[i]!
}
const SMALL_BYTES = 32
