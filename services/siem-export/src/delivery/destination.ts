/**
 * The seam between the log and whoever takes events: a destination is handed batches and says of each what became of its
 * records. It knows one protocol and nothing of logs, positions or formats. Refuses to retry by itself and to keep anything
 * between two batches but connections: what is not acknowledged is handed to it again.
 */
import { CustodyError } from '@custody/kit'
import type { Severity } from '../formats'

/** One event as the destination's format has it. */
export interface Outgoing {
  /** The event's identifier, the same each time: receivers that know a key de-duplicate by it. */
  readonly id: string
  /** Records of one key are in order: the session, or the recorder outside sessions. */
  readonly key: string
  readonly timeMicros: number
  readonly kind: string
  readonly severity: Severity
  readonly recorder: string
  readonly sequence: number
  readonly session: string | null
  readonly resource: string | null
  readonly text: string
  /** Of `text` in UTF-8. */
  readonly bytes: number
  /** Puts these at a place, where they are at hand already; answers how many. */
  copy?(target: Buffer, at: number): number
}

export interface Batch {
  readonly records: readonly Outgoing[]
  readonly bytes: number
  /** From 1; above it, some or all of it may be there already. */
  readonly attempt: number
}

/** What became of a batch: whatever is not named here is acknowledged. */
export interface Receipt {
  /** Will never be taken; the reason is for people. */
  refused?: readonly { index: number; code: string; reason: string }[]
  /** Not taken now (an item's own 429 or 5xx): to be handed over again, these alone. */
  again?: { indices: readonly number[]; reason: string; afterMs?: number }
}

/** What a destination can say of what it holds, so that what is missing can be named. */
export interface Holdings {
  /** Identifiers of events whose time is in the range, in any order; those just outside it do no harm. */
  ids(fromMicros: number, toMicros: number, signal: AbortSignal): AsyncIterable<string>
}

export interface Destination {
  readonly name: string
  /** What its receiver takes at once; batches are cut to it. */
  readonly limits?: { eventsMax?: number; bytesMax?: number; recordBytesMax?: number }
  /** So many batches are handed over as one, where a receiver lets several wait for its word. Bounds memory as well. */
  readonly together?: number
  /** `none`: nobody ever says that something arrived (UDP); `sent`: the receiver's kernel has it; `stored`: the receiver said so. */
  readonly acknowledges: 'none' | 'sent' | 'stored'
  /** Resolves when the receiver has acknowledged. Rejects with an Undelivered, or with whatever went wrong. */
  deliver(batch: Batch, signal: AbortSignal): Promise<Receipt>
  readonly holdings?: Holdings
  close(): Promise<void>
}

export type Fault =
  /** Try the same again later. */
  | 'retry'
  /** Some record of it is refused: halves tell which. */
  | 'refused'
  /** Too much at once. */
  | 'too-large'
  /** Nothing will be taken before somebody changes something: credentials, addresses. Tried again, slowly. */
  | 'setting'

/** A batch of which nothing is known to be acknowledged. */
export class Undelivered extends CustodyError {
  constructor(
    message: string,
    readonly fault: Fault,
    /** When the receiver wants it again at the earliest. */
    readonly afterMs?: number,
    cause?: unknown,
  ) {
    super(fault === 'setting' ? 'CUSTODY-SIEM-002' : 'CUSTODY-SIEM-001', message, { cause })
  }
}
