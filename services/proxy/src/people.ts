/**
 * What people say, wherever they say it, comes to the gateway as events: of the query service's log on one machine, of the
 * control topic in a cluster. This hands each to whoever waits for its kind.
 * Refuses to act on what was said before it started, for that was about what is gone; but for who is locked and which tokens
 * are revoked, which holds until something else is said. Refuses what no query service said.
 */
import type { Logger } from '@custody/kit'
import { decodeMessage, type Event, readEnvelope } from '@custody/schemas'

export interface PeopleSource {
  /** From now on `hear` gets what is said. `isBefore`: it was said before this began. */
  start(hear: (message: Buffer, isBefore: boolean) => void): void
  /** Somebody waits for an answer, or nobody any more. */
  attend(isWaiting: boolean): void
  stop(): void
}

interface Listener {
  bytes: Buffer
  kind: string
  isStanding: boolean
  hear(event: Event): void
}

export class People {
  private readonly listeners: Listener[] = []
  private waiting = 0

  constructor(
    private readonly source: PeopleSource,
    private readonly logger: Logger,
  ) {}

  /** From now on `hear` gets every event of this kind. `isStanding`: those from before as well. */
  on(kind: string, hear: (event: Event) => void, isStanding = false): void {
    this.listeners.push({ kind, bytes: Buffer.from(kind), hear, isStanding })
  }

  /** Somebody waits for an answer, until the function that this returns is called. */
  wait(): () => void {
    if (++this.waiting === 1) this.source.attend(true)
    let isOver = false
    return () => {
      if (isOver) return
      isOver = true
      if (--this.waiting === 0) this.source.attend(false)
    }
  }

  start(): void {
    this.source.start((message, isBefore) => this.heard(message, isBefore))
  }

  stop(): void {
    this.source.stop()
  }

  private heard(message: Buffer, isBefore: boolean): void {
    for (const { kind, bytes, hear, isStanding } of this.listeners) {
      // Much of what is said is for others; only what may be meant for us is decoded.
      if ((isBefore && !isStanding) || !message.includes(bytes)) continue
      try {
        const envelope = readEnvelope(message)
        if (envelope.kind !== kind) continue
        if (!envelope.recorder.startsWith('query-')) {
          this.logger.warn({ kind, recorder: envelope.recorder }, 'no query service said this')
          continue
        }
        hear(decodeMessage(message))
      } catch (error) {
        // The others have spoken as well.
        this.logger.error({ err: error, kind }, 'what somebody said is not acted on')
      }
    }
  }
}
