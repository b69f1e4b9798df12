/**
 * Follows one recorder's log from a committed position, and commits no further than what is still of use: behind a
 * restart everything open is read again. Refuses to know what the events mean.
 */

import { join } from 'node:path'
import {
  commitPosition,
  committedPosition,
  type LogReader,
  listSegments,
  openReader,
  type Position,
} from '@custody/event-log'

const READ_BYTES_MAX = 1024 * 1024

/** Where the notifier finds what is asked and how it ended. */
export interface Requests {
  /** At what is of use still. */
  start(): Promise<void>
  readonly position: Position
  /** What came next, or null at the end. `at` is where it begins. */
  next(): Promise<{ messages: Buffer[]; at: Position } | null>
  commit(position: Position): Promise<void>
  close(): void
}

export class Follower implements Requests {
  private reader: LogReader | null = null
  private committed: Position | null = null

  constructor(private readonly o: { directory: string; recorder: string; consumer: string }) {}

  /** At what was committed; without that at the log's last segment, since what is older waits no more. */
  async start(): Promise<void> {
    const { directory, recorder, consumer } = this.o
    this.committed = await committedPosition(directory, consumer, recorder)
    const from = this.committed ?? {
      segment: listSegments(join(directory, recorder)).at(-1) ?? 0,
      offset: 0,
      sequence: 0,
    }
    this.reader = openReader({ directory, recorder, from })
  }

  get position(): Position {
    return { ...this.reader!.position }
  }

  async next(): Promise<{ messages: Buffer[]; at: Position } | null> {
    const at = this.position
    const batch = await this.reader!.read(READ_BYTES_MAX)
    return batch && { messages: batch.messages, at }
  }

  async commit(position: Position): Promise<void> {
    const { committed, o } = this
    if (position.segment === 0) return
    if (committed?.segment === position.segment && committed.offset === position.offset) return
    await commitPosition(o.directory, o.consumer, o.recorder, position)
    this.committed = position
  }

  close(): void {
    this.reader?.close()
    this.reader = null
  }
}

export function earliest(positions: readonly Position[], end: Position): Position {
  return positions.reduce(
    (first, one) =>
      one.segment < first.segment || (one.segment === first.segment && one.offset < first.offset)
        ? one
        : first,
    end,
  )
}
