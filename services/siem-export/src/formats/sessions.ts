/**
 * What was made of who and path for one event of a session, for its next ones: they are the same in all of them, and most of a record. Kept
 * only while they are exactly the same, so that records don't depend on what came before. Bounded; what is forgotten is made again.
 */
import type { Event, Path, Tls, Who } from '@custody/schemas'

export const SESSIONS_KEPT_MAX = 1024

interface Kept {
  who: Who
  path: Path
  recorder: string
  memo: string[]
}

export class SessionMemos {
  private readonly kept = new Map<string, Kept>()
  /** Of paths that a session's events share: then nothing need be compared. */
  private readonly shared = new WeakMap<Path, Kept & { session: Buffer }>()

  /** Null where the event says too little of a session. */
  of(event: Event): string[] | null {
    const { session, who, path, recorder } = event
    if (session === null || who === null || path === null || path.resource === '') return null
    const same = this.shared.get(path)
    if (
      same !== undefined &&
      same.session === session &&
      same.who === who &&
      same.recorder === recorder
    )
      return same.memo
    const key = session.toString('latin1')
    const known = this.kept.get(key)
    if (
      known !== undefined &&
      known.recorder === recorder &&
      samePath(known.path, path) &&
      sameWho(known.who, who)
    ) {
      this.shared.set(path, { session, who, path, recorder, memo: known.memo })
      return known.memo
    }
    if (known === undefined && this.kept.size >= SESSIONS_KEPT_MAX)
      this.kept.delete(this.kept.keys().next().value!)
    const memo: string[] = []
    // Not the identifier itself, which may be a piece of megabytes that were read at once.
    this.kept.set(key, { who, path, recorder, memo })
    return memo
  }
}

function sameTexts(one: readonly string[], other: readonly string[]): boolean {
  if (one.length !== other.length) return false
  for (let i = 0; i < one.length; i++) if (one[i] !== other[i]) return false
  return true
}

function sameTls(one: Tls | null, other: Tls | null): boolean {
  if (one === null || other === null) return one === other
  return (
    one.version === other.version &&
    one.cipher === other.cipher &&
    one.serverName === other.serverName &&
    one.peer === other.peer
  )
}

export function sameWho(one: Who, other: Who): boolean {
  return (
    one.subject === other.subject &&
    one.issuer === other.issuer &&
    one.email === other.email &&
    one.name === other.name &&
    one.kind === other.kind &&
    one.method === other.method &&
    one.tokenId === other.tokenId &&
    one.authenticatedAt === other.authenticatedAt &&
    sameTexts(one.groups, other.groups) &&
    one.onBehalfOf.length === other.onBehalfOf.length &&
    one.onBehalfOf.every((step, i) => {
      const same = other.onBehalfOf[i]!
      return step.subject === same.subject && step.issuer === same.issuer && step.kind === same.kind
    })
  )
}

export function samePath(one: Path, other: Path): boolean {
  return (
    one.clientAddress === other.clientAddress &&
    one.clientPort === other.clientPort &&
    one.clientApplication === other.clientApplication &&
    sameTls(one.clientTls, other.clientTls) &&
    sameTexts(one.via, other.via) &&
    one.gateway === other.gateway &&
    one.gatewayAddress === other.gatewayAddress &&
    one.agent === other.agent &&
    one.resource === other.resource &&
    one.protocol === other.protocol &&
    one.target === other.target &&
    sameTls(one.targetTls, other.targetTls) &&
    one.account === other.account &&
    one.database === other.database
  )
}
