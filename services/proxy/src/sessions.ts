/**
 * The sessions that one protocol has open: asked now and then whether they are idle or stalled, and whether who opened them may
 * still be here; ended by people, and when the gateway stops. Knows no protocol, and opens none.
 */
import type { RecordedSession } from '@custody/event-log'
import type { Principal } from '@custody/identity'
import { checkIntervalMs, STANDING_MS } from './admission'
import type { ProtocolServices } from './protocol'

export interface Live {
  principal: Principal
  session: RecordedSession
  /** Null until it is let in. */
  relay: {
    check(nowMs: number): void
    /** Its client is told, as far as the protocol can. */
    abort(code: string, reason: string): void
    /** Nothing runs in it by the record, and yet its client is not through with what ran. */
    isBusy?(nowMs: number): boolean
    /** What runs in it by the record only waits for a person: a shell at its prompt. */
    isAtRest?(): boolean
  } | null
}

const LOOK_MS = 20

/** `K` is how the protocol finds one: a number of its own, a key. */
export class Sessions<K, L extends Live> extends Map<K, L> {
  isStopping = false
  private readonly timers: NodeJS.Timeout[]

  constructor(
    private readonly services: Pick<ProtocolServices, 'verifier' | 'logger' | 'configuration'>,
  ) {
    super()
    const { idleMsMax, stalledMsMax } = services.configuration.limits
    this.timers = [
      setInterval(
        () => {
          const now = Date.now()
          for (const { relay } of this.values()) relay?.check(now)
        },
        checkIntervalMs([idleMsMax, stalledMsMax]),
      ),
      setInterval(() => this.checkStanding(), STANDING_MS),
    ]
    for (const timer of this.timers) timer.unref()
  }

  /** Who was let in may be locked out by now, and a token revoked. */
  checkStanding(): void {
    const { verifier, logger } = this.services
    try {
      for (const { relay, principal } of [...this.values()]) {
        const refused = verifier.standing?.(principal.who, principal.madeOf)
        if (refused) relay?.abort('CUSTODY-SESSION-003', refused.message)
      }
    } catch (error) {
      logger.error({ err: error }, 'whether sessions may go on can’t be looked up')
    }
  }

  /** By its identifier in hex; answers whether it was one of these. */
  kill(id: string, reason: string): boolean {
    for (const { session, relay } of this.values())
      if (session.id.toString('hex') === id) {
        relay?.abort('CUSTODY-SESSION-004', reason)
        return true
      }
    return false
  }

  /** Ends those in which nothing runs at once, and the others when nothing does or their time is over. */
  async stop(drainMsMax: number): Promise<void> {
    this.isStopping = true
    const until = Date.now() + drainMsMax
    const end = ({ relay }: L) => relay?.abort('CUSTODY-ACCESS-003', 'the gateway is stopping')
    while (this.size > 0 && Date.now() < until) {
      for (const live of [...this.values()]) {
        const { session, relay } = live
        if (relay?.isAtRest?.() || (session.open.size === 0 && !relay?.isBusy?.(Date.now())))
          end(live)
      }
      await new Promise((resolve) => setTimeout(resolve, LOOK_MS))
    }
    for (const timer of this.timers) clearInterval(timer)
    for (const live of [...this.values()]) end(live)
  }
}
