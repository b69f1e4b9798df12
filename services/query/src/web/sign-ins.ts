/**
 * Sign-ins under way in browsers: from being sent to the identity provider until coming back. Each belongs to the browser
 * that began it, is good for one return, and is forgotten after some minutes. In memory: a restart ends them.
 */
import { createHash, randomBytes } from 'node:crypto'

export const SIGN_IN_MS_MAX = 10 * 60_000
const SIGN_INS_MAX = 10_000

export class Pending<T> {
  private readonly held = new Map<string, { value: T; untilMs: number }>()

  /** `secret` is for whoever may take it back; `state` may be seen by others. */
  put(value: T): { secret: string; state: string } {
    const secret = randomBytes(32).toString('base64url')
    const state = stateOf(secret)
    this.keep(state, value)
    return { secret, state }
  }

  keep(state: string, value: T): void {
    const now = Date.now()
    for (const [key, { untilMs }] of this.held) {
      if (untilMs > now && this.held.size < SIGN_INS_MAX) break
      this.held.delete(key)
    }
    this.held.set(state, { value, untilMs: now + SIGN_IN_MS_MAX })
  }

  /** What `put` gave this secret for; where a state is given as well, it must be the same one's. */
  takeBy(secret: string | undefined, state?: string): T | null {
    if (!secret) return null
    const own = stateOf(secret)
    return state === undefined || state === own ? this.take(own) : null
  }

  /** Null where there is none, or it is too old. It is gone afterwards. */
  take(state: string): T | null {
    const one = this.held.get(state)
    this.held.delete(state)
    return one && one.untilMs > Date.now() ? one.value : null
  }
}

function stateOf(secret: string): string {
  return createHash('sha256').update(secret).digest('base64url')
}

const OWN_PATH = /^\/(?![/\\])[\x21-\x7e]*$/

/** A place of ours to go on to, or null: nobody is sent elsewhere by a link to us. */
export function ownPath(text: unknown): string | null {
  if (typeof text !== 'string' || text.length > 2048 || !OWN_PATH.test(text)) return null
  const base = 'http://custody.invalid'
  const url = new URL(text, base)
  const path = `${url.pathname}${url.search}`
  // `/.//elsewhere` is a path of ours before its dots are taken out, and none afterwards.
  return url.origin === base && OWN_PATH.test(path) ? path : null
}
