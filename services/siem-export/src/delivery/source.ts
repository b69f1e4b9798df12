/**
 * The seam to where events come from, for one destination: slices of an origin (a recorder's log, or a partition of the
 * events topic) in order, and how far each was acknowledged. Every destination has a source of its own, so that none waits
 * for another.
 */
export interface Slice {
  /** `recorder:<name>` or `partition:<n>`. */
  readonly origin: string
  readonly messages: readonly Buffer[]
  /** Of each message; rising within an origin. */
  readonly places: readonly number[]
  /** Where the origin goes on behind this. */
  readonly next: number
  /** From where it would be read again if it were not committed: what was acknowledged since is noted beside it. */
  readonly base: string
  /** More is waiting. */
  readonly full: boolean
  /** Places without a gap: one that is not there was lost. Otherwise `lost` says what was. */
  readonly gapless: boolean
  /** Dealt with by others: to be learnt from, and nothing else. */
  readonly isPast?: boolean
  /** Gone before it could be delivered: [from, to). */
  readonly lost?: { readonly from: number; readonly to: number } | undefined
}

export interface Lag {
  origin: string
  /** Events behind, where that is known. */
  events: number
  bytes: number
}

/** Of an origin [from, to). */
export interface Loss {
  origin: string
  from: number
  to: number
}

export interface EventSource {
  start(): Promise<void>
  /** Null: nothing now. Slices may be handed out before the ones before them are committed. */
  next(): Promise<Slice | null>
  /** All of it is dealt with, in the order of handing out. False where somebody else has taken it over. */
  commit(slice: Slice): Promise<boolean>
  /** JSON of a published schema, or null. */
  schema(fingerprint: string): Promise<string | null>
  /** Called about once a second, whatever the destination does. */
  tend(): Promise<void>
  lag(): Promise<Lag[]>
  /** What was let go before it was handed out, the first of it first; whoever has told it takes it out. */
  readonly letGo?: Loss[]
  problem(): string | null
  /**
   * Everything that was committed, is still there and has a time in the range, in order within each origin; apart from
   * positions. What is not committed comes by itself.
   */
  range(fromMicros: number, toMicros: number): AsyncIterable<readonly Buffer[]>
  stop(): Promise<void>
}
