/** What the check needs of a protocol: servers with the fixture, and ways taken with and without Custody between. */
import type { Hit, Searcher } from './search'
import type { Way } from './way'

export interface Seen {
  received: Hit[]
  sent: Hit[]
  bytes: number
}

export interface Kit<W extends Way<never>> {
  /** What the rules of a configuration name. */
  readonly columns: readonly string[]
  /** Groups that take long for what they add. */
  readonly slow: readonly string[]
  /** Values put together that the protocol takes apart. */
  joined(bytes: Buffer): Buffer[]
  selected(only: string | undefined): W[]
  start(ways: readonly W[]): Promise<Running<W>>
  /** Another server's ways: what shows nothing here either is none of this one's. */
  borrowed?(way: W): boolean
}

export interface Running<W> {
  /** Name to what a configuration says of it. */
  readonly resources: Readonly<Record<string, string>>
  /** Null: there is no server for it here. */
  direct(way: W, searcher: Searcher): Promise<Seen | null>
  through(
    way: W,
    application: string,
    ports: Readonly<Record<string, number>>,
    token: string,
    searcher: Searcher,
    parts: boolean,
  ): Promise<Seen>
  stop(): Promise<void>
}
