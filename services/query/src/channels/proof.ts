/**
 * Proof that what came in comes from whom it should: keyed digests compared in constant time, a clock that may differ by
 * five minutes, and nothing taken twice.
 * Refuses what was signed before this process began, since what it had taken by then is not remembered.
 */
import { createHmac, timingSafeEqual } from 'node:crypto'
import { CustodyError } from '@custody/kit'

export const CLOCK_SECONDS_MAX = 300
const SEEN_MAX = 100_000

export const unproven = (message: string) => new CustodyError('CUSTODY-CHANNEL-003', message)
export const malformed = (message: string) => new CustodyError('CUSTODY-CHANNEL-006', message)

/** The object that some JSON stands for; what its fields hold is for whoever reads them to look at. */
export function objectIn<T>(json: string, otherwise: string): T {
  try {
    const value = JSON.parse(json) as unknown
    if (typeof value === 'object' && value !== null) return value as T
  } catch {}
  throw malformed(otherwise)
}

export function hmac(key: string | Buffer, ...parts: (string | Buffer)[]): Buffer {
  const digest = createHmac('sha256', key)
  for (const part of parts) digest.update(part)
  return digest.digest()
}

export function same(expected: Buffer, presented: Buffer): boolean {
  return expected.length === presented.length && timingSafeEqual(expected, presented)
}

/** What was taken within the time in which it could be sent once more. */
export class Freshly {
  /** By what it was, when it may be forgotten; in order of time. */
  private readonly seen = new Map<string, number>()
  private readonly sinceSeconds: number

  constructor(private readonly nowMs: () => number = Date.now) {
    this.sinceSeconds = Math.floor(nowMs() / 1000)
  }

  /** Throws where it is too old, of the future, or was here before. Called once the signature holds, so only its owner can fill it. */
  take(what: string, signedSeconds: number): void {
    const now = this.nowMs() / 1000
    if (!Number.isFinite(signedSeconds) || Math.abs(now - signedSeconds) > CLOCK_SECONDS_MAX)
      throw unproven(`its time differs by more than ${CLOCK_SECONDS_MAX} seconds`)
    if (signedSeconds < this.sinceSeconds)
      throw unproven('it was signed before this process began, and may have been taken then')
    for (const [one, until] of this.seen) {
      if (until > now) break
      this.seen.delete(one)
    }
    if (this.seen.has(what)) throw unproven('it was taken before')
    if (this.seen.size >= SEEN_MAX) throw unproven('too much came in to tell what is new')
    this.seen.set(what, now + 2 * CLOCK_SECONDS_MAX)
  }

  /** It was not taken after all. */
  forget(what: string): void {
    this.seen.delete(what)
  }
}
