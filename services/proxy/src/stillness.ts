/**
 * How long a session of a database has been still: whether somebody takes no byte of what waits for them, or nobody uses it.
 * Asked from time to time with what has moved so far. Knows no protocol, keeps no clock, and ends nothing.
 */

export interface StillnessLimits {
  /** Without traffic for this long the session is ended; 0 never. */
  idleMsMax: number
  /** A peer that takes no byte for this long while some wait for it is cut off; 0 never. */
  stalledMsMax: number
}

/** One direction of a session; `bytes` were sent to it, and of these its receiver took `taken`. */
export interface Direction {
  readonly bytes: number
  readonly taken: number
  readonly slow: boolean
}

export interface Still {
  code: 'CUSTODY-SESSION-001' | 'CUSTODY-SESSION-002'
  reason: string
  /** Its peers are cut off: words would not arrive. */
  isStalled: boolean
}

export class Stillness {
  private movedBytes = -1
  private movedMs = 0

  constructor(private readonly limits: StillnessLimits) {}

  /**
   * `bytesIn`: what came from the client; what came from the target was sent to the client. `isUsed`: a command runs, or waits for
   * people. Null where nothing has to be done.
   */
  look(
    nowMs: number,
    bytesIn: number,
    toTarget: Direction,
    toClient: Direction,
    isUsed: boolean,
  ): Still | null {
    const moved = bytesIn + toTarget.taken + toClient.taken + toClient.bytes
    const slow = toClient.slow ? 'client' : toTarget.slow ? 'target' : null
    if (moved !== this.movedBytes) {
      this.movedBytes = moved
      this.movedMs = nowMs
      return null
    }
    const { idleMsMax, stalledMsMax } = this.limits
    const stillMs = nowMs - this.movedMs
    if (slow !== null && stalledMsMax > 0 && stillMs >= stalledMsMax)
      return {
        code: 'CUSTODY-SESSION-002',
        reason: `the ${slow} took no byte for ${stillMs} ms`,
        isStalled: true,
      }
    if (idleMsMax > 0 && stillMs >= idleMsMax && !isUsed)
      return {
        code: 'CUSTODY-SESSION-001',
        reason: `the session was idle for ${stillMs} ms`,
        isStalled: false,
      }
    return null
  }
}
