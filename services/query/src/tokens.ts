/**
 * Tokens made of a sign-in: for the one who signed in, with what was vouched for, and never longer than what it was made of.
 */
import { type IssuedToken, issueToken, type TokenKeys } from '@custody/identity'
import type { Who } from '@custody/schemas'

export const OWN_TTL_SECONDS = 8 * 3600
const OWN_TTL_SECONDS_MAX = 12 * 3600

/** `endsMs`: when what it is made of ends, where that is a token of ours: nobody stays signed in by asking again. */
export function issueOwnToken(
  keys: TokenKeys,
  who: Who,
  ttlSeconds: number,
  endsMs: number | null,
): Promise<IssuedToken> {
  const most = endsMs === null ? OWN_TTL_SECONDS_MAX : Math.floor((endsMs - Date.now()) / 1000)
  return issueToken(keys, {
    subject: who.subject,
    email: who.email ?? undefined,
    name: who.name ?? undefined,
    groups: who.groups,
    kind: who.kind as 'human' | 'service' | 'agent',
    ttlSeconds: Math.max(1, Math.min(Math.floor(ttlSeconds), OWN_TTL_SECONDS_MAX, most)),
    ...(who.issuer !== keys.issuer && { idp: who.issuer }),
    ...(who.authenticatedAt !== null && {
      authTime: Math.floor(Number(who.authenticatedAt) / 1e6),
    }),
  })
}
