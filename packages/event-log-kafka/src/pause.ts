/**
 * Waiting: for a while, or until something happens or all is to stop. Back-off doubles up to a bound and jitters, so that
 * many who lost the same broker don't come back as one.
 */
const FIRST_MS = 50
const LONGEST_MS = 5000

export class Backoff {
  private nextMs = FIRST_MS

  reset(): void {
    this.nextMs = FIRST_MS
  }

  /** How long to wait this time. */
  take(): number {
    const ms = this.nextMs
    this.nextMs = Math.min(LONGEST_MS, this.nextMs * 2)
    return ms / 2 + (Math.random() * ms) / 2
  }
}

/** Ends early, without an error, when aborted. */
export function pause(ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal?.aborted) return resolve()
    const over = () => {
      clearTimeout(timer)
      signal?.removeEventListener('abort', over)
      resolve()
    }
    const timer = setTimeout(over, ms)
    signal?.addEventListener('abort', over, { once: true })
  })
}

/** A bell that is heard by whoever waits for it, or by the next who does. */
export class Bell {
  private rung = false
  private waiting: (() => void) | null = null

  ring(): void {
    this.rung = true
    this.waiting?.()
  }

  /** Until it rings, at most so long. */
  wait(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const over = () => {
        clearTimeout(timer)
        this.waiting = null
        this.rung = false
        resolve()
      }
      const timer = setTimeout(over, this.rung ? 0 : ms)
      this.waiting = over
      if (this.rung) over()
    })
  }
}
