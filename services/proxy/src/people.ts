/**
 * What people say, wherever they say it, comes to the gateway as events in the query service's log: this follows that log
 * and hands each to whoever waits for its kind. Looks often while somebody waits, and now and then otherwise.
 * Refuses to act on what was said before it started: that was about what is gone.
 */
import { join } from 'node:path'
import { type LogReader, listSegments, openReader } from '@custody/event-log'
import type { Logger } from '@custody/kit'
import { decodeMessage, type Event } from '@custody/schemas'

const POLL_MS = 20
const REST_MS = 250
const READ_BYTES_MAX = 1024 * 1024

export interface PeopleOptions {
  /** CUSTODY_HOME/log, and whose log in it they speak in. */
  directory: string
  recorder: string
  logger: Logger
}

export class People {
  private readonly listeners: { kind: string; bytes: Buffer; hear(event: Event): void }[] = []
  private reader: LogReader | null = null
  private polling: NodeJS.Timeout | null = null
  private everyMs = 0
  private busy = false
  private waiting = 0

  constructor(private readonly options: PeopleOptions) {}

  /** From now on `hear` gets every event of this kind. */
  on(kind: string, hear: (event: Event) => void): void {
    this.listeners.push({ kind, bytes: Buffer.from(kind), hear })
  }

  /** Somebody waits for an answer, until the function that this returns is called. */
  wait(): () => void {
    this.waiting++
    this.poll()
    let isOver = false
    return () => {
      if (isOver) return
      isOver = true
      this.waiting--
      this.poll()
    }
  }

  /** Begins to listen, from here on. */
  start(): void {
    const { directory, recorder } = this.options
    // The reader begins where a segment does; what that has from before is heard, and fits nothing that waits.
    const segment = listSegments(join(directory, recorder)).at(-1) ?? 0
    this.reader = openReader({ directory, recorder, from: { segment, offset: 0, sequence: 0 } })
    this.poll()
  }

  stop(): void {
    if (this.polling) clearInterval(this.polling)
    this.polling = null
    this.reader?.close()
    this.reader = null
  }

  private poll(): void {
    if (this.reader === null) return
    const everyMs = this.waiting > 0 ? POLL_MS : REST_MS
    if (everyMs === this.everyMs && this.polling) return
    if (this.polling) clearInterval(this.polling)
    this.everyMs = everyMs
    this.polling = setInterval(() => {
      if (this.busy) return
      this.busy = true
      void this.read()
        .catch((error) =>
          this.options.logger.error({ err: error }, 'what people answer can’t be read'),
        )
        .finally(() => {
          this.busy = false
        })
    }, everyMs)
    this.polling.unref()
  }

  private async read(): Promise<void> {
    for (;;) {
      const batch = (await this.reader?.read(READ_BYTES_MAX)) ?? null
      if (batch === null) return
      for (const message of batch.messages)
        for (const { kind, bytes, hear } of this.listeners) {
          // Most of that log is about looking; only what may be meant for us is decoded.
          if (!message.includes(bytes)) continue
          const event = decodeMessage(message)
          if (event.kind !== kind) continue
          try {
            hear(event)
          } catch (error) {
            // The others have spoken as well.
            this.options.logger.error({ err: error, kind }, 'what somebody said is not acted on')
          }
        }
    }
  }
}
