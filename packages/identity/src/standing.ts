/**
 * Locks and revoked tokens as they come by event from elsewhere: applied to this host's own home, so that it knows them when
 * nothing comes. What was there before is applied as a whole once all of it is heard, so that nobody is let in for the
 * moment between an old unlock and the lock behind it.
 * Refuses to let older words take back what was said here and has not come round yet: that is the newer word.
 */
import type { Home } from '@custody/kit'
import { type Event, uuidText } from '@custody/schemas'
import { type Lock, Locks, Revocations, TTL_SECONDS_MAX } from './index'

/** Kinds of events that are about who may be here. */
export const STANDING_KINDS = [
  'access.locked',
  'access.unlocked',
  'access.token-revoked',
  'access.sign-out',
] as const

export class Standing {
  private readonly locks: Locks
  private readonly revocations: Revocations
  private before: Event[] | null = []

  constructor(home: Home) {
    this.locks = new Locks(home)
    this.revocations = new Revocations(home)
  }

  /** What is heard before `settle` is put aside until then. */
  hear(event: Event): void {
    if (this.before === null) this.apply([event])
    // Tokens that have ended since are most of what there is after a while, and nobody has to be told.
    else if (!(isAboutToken(event) && untilMsOf(event) <= Date.now())) this.before.push(event)
  }

  /** All that was there is heard. */
  settle(): void {
    const { before } = this
    this.before = null
    if (before !== null && before.length > 0) this.apply(before)
  }

  private apply(events: readonly Event[]): void {
    const locks: { identity: string; lock: Lock | null; id: string }[] = []
    const revoked: { id: string; untilMs: number; isAlone: boolean }[] = []
    for (const event of events) {
      const { kind, access, lifecycle } = event
      const timeMs = Number(event.time) / 1000
      const { identity, alone, reason } = lifecycle?.attributes ?? {}
      if (kind === 'access.locked' || kind === 'access.unlocked') {
        if (!identity) continue
        locks.push({
          identity,
          id: uuidText(event.id),
          lock:
            kind === 'access.unlocked'
              ? null
              : {
                  by: event.who?.subject ?? 'unknown',
                  reason: reason ?? null,
                  since: new Date(timeMs).toISOString(),
                },
        })
      } else if (access?.tokenId)
        revoked.push({
          id: access.tokenId,
          isAlone: alone === 'true' || kind === 'access.sign-out',
          untilMs: untilMsOf(event),
        })
    }
    if (locks.length > 0) this.locks.heard(locks)
    if (revoked.length > 0) this.revocations.addAll(revoked)
  }
}

function isAboutToken({ kind }: Event): boolean {
  return kind === 'access.token-revoked' || kind === 'access.sign-out'
}

/** When the token that it is about would have ended anyway. */
function untilMsOf({ time, access }: Event): number {
  return access?.expires == null
    ? Number(time) / 1000 + TTL_SECONDS_MAX * 1000
    : Number(access.expires) / 1000
}
