/**
 * What protocols do alike where a client comes in and while its session is open: what policies are told of whom they ask
 * about, what the record says of TLS, how often sessions are looked at. Knows no protocol, and lets nobody in.
 */
import type { Duplex } from 'node:stream'
import type { TLSSocket } from 'node:tls'
import type { Recorder } from '@custody/event-log'
import type { Principal } from '@custody/identity'
import type { PrincipalFacts } from '@custody/policy'
import type { Path, Tls } from '@custody/schemas'

/** How often it is asked whether who was let in may still be here. */
export const STANDING_MS = 1000
/** Refusals of who has shown no identity; more in a minute are refused without a record. */
export const REFUSALS_PER_MINUTE_MAX = 600

/** Often enough to keep the shortest limit within a quarter, and no oftener than that takes. */
export function checkIntervalMs(limitsMs: number[]): number {
  const shortest = Math.min(...limitsMs.filter((ms) => ms > 0), 20_000)
  return Math.max(50, shortest / 4)
}

export function factsOf({ who }: Principal): PrincipalFacts {
  return {
    subject: who.subject,
    issuer: who.issuer,
    email: who.email,
    kind: who.kind,
    method: who.method,
    groups: who.groups,
    authenticatedMs: who.authenticatedAt === null ? null : who.authenticatedAt / 1000,
  }
}

/** Somebody was let in. Refused here already when nothing can be recorded: better no session than a mute one. */
export function recordSignedIn(
  recorder: Recorder,
  { who }: Principal,
  path: Path,
  reason?: string | null,
): void {
  if (recorder.problem) throw recorder.problem
  recorder.record({
    kind: 'access.sign-in',
    who,
    path,
    access: {
      action: 'sign-in',
      outcome: 'success',
      credential: who.method,
      tokenId: who.tokenId,
      reason,
    },
  })
}

export function describeTls(socket: TLSSocket): Tls {
  const cipher = socket.getCipher()
  const servername = (socket as { servername?: string | false }).servername
  return {
    version: socket.getProtocol() ?? '',
    cipher: cipher?.name ?? null,
    serverName: servername || null,
    peer: null,
  }
}

export function isLoopback(address: string): boolean {
  return address === '::1' || /^(::ffff:)?127\./.test(address)
}

export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}

/** Gives the last words a moment to arrive. */
export function destroySoon(stream: Duplex): void {
  stream.resume()
  setTimeout(() => stream.destroy(), 1000).unref()
}
