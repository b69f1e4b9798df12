/**
 * The requests of all gateways in a cluster, as the control topic has them: at each start those that wait still, then what
 * comes. Nothing is committed: all of it is heard again at the next start.
 * Refuses to keep in memory what has ended.
 */
import type { Position } from '@custody/event-log'
import type { ControlFollower } from '@custody/event-log-kafka'
import { decodeMessage, readEnvelope, uuidText } from '@custody/schemas'
import type { Requests } from './follower'

const BATCH_MESSAGES_MAX = 500
const REQUESTED = 'approval.requested'
const ENDS = new Set([
  'approval.approved',
  'approval.denied',
  'approval.expired',
  'approval.withdrawn',
])

export class ControlRequests implements Requests {
  private follower: ControlFollower | null = null
  private waiting: Buffer[] = []
  private handedOut = 0

  constructor(
    private readonly follow: (
      hear: (message: Buffer, isBefore: boolean) => void,
    ) => ControlFollower,
  ) {}

  async start(): Promise<void> {
    this.close()
    const open = new Map<string, Buffer>()
    const live: Buffer[] = []
    const follower = this.follow((message, isBefore) => {
      const { kind } = readEnvelope(message)
      if (kind !== REQUESTED && !ENDS.has(kind)) return
      if (!isBefore) {
        live.push(message)
        return
      }
      const { approval } = decodeMessage(message)
      if (!approval) return
      const id = uuidText(approval.request)
      if (kind !== REQUESTED) open.delete(id)
      else if (Number(approval.expires ?? 0) / 1000 > Date.now()) open.set(id, message)
    })
    try {
      await follower.start()
    } catch (error) {
      await follower.stop().catch(() => {})
      throw error
    }
    this.follower = follower
    // What came while the rest was heard is behind it, in the same list from now on.
    live.unshift(...open.values())
    this.waiting = live
  }

  get position(): Position {
    return { segment: 1, offset: this.handedOut, sequence: this.handedOut }
  }

  async next(): Promise<{ messages: Buffer[]; at: Position } | null> {
    if (this.waiting.length === 0) return null
    const at = this.position
    const messages = this.waiting.splice(0, BATCH_MESSAGES_MAX)
    this.handedOut += messages.length
    return { messages, at }
  }

  async commit(): Promise<void> {}

  close(): void {
    void this.follower?.stop().catch(() => {})
    this.follower = null
    this.waiting = []
  }
}
