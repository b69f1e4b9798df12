/**
 * The seam to where events come from: the embedded logs, or Kafka. A source hands out lots, is told what became of them,
 * and knows what of a lot may be in the store already. Refuses to know how events are inserted.
 */
import type { Row, Unreadable } from './rows'
import type { EventStore } from './store'

export interface Lot {
  /**
   * Names these events for ever: whoever is handed the lot again has the same name and the same places. Null where the next
   * attempt may be cut differently.
   */
  readonly name: string | null
  /** Stands in the text of its inserts, so that they can be found while they run: nobody else's inserts have it. */
  readonly mark: string
  readonly messages: readonly Buffer[]
  /** Of each message; rising, and the same for a message whatever others are there. */
  readonly places: readonly number[]
  readonly bytes: number
  /** More was waiting than fits. */
  readonly full: boolean
  /** It was handed out before: some of it, or all, may be in the store. */
  readonly again: boolean
}

export interface Source {
  start(): Promise<void>
  /** Null: nothing now. `hurry`: ingest is being stopped; waits for nothing more, and hands out only what has to be. */
  next(hurry: boolean): Promise<Lot | null>
  /** Rows of the lot that the store has, which may mean asking it. */
  present(lot: Lot, rows: readonly Row[], store: EventStore): Promise<ReadonlySet<Row>>
  /** All of it is in the store, or put aside. True where nobody else has taken the lot over meanwhile. */
  commit(lot: Lot, inserted: readonly Row[]): Promise<boolean>
  /** It was not, or not all: it will be handed out again. */
  release(lot: Lot): void
  /** JSON of a schema that somebody published, or null. */
  schema(fingerprint: string): Promise<string | null>
  /** Keeps durably what can't be inserted. */
  putAside(lot: Lot, letters: readonly Unreadable[]): Promise<void>
  stop(): Promise<void>
}
