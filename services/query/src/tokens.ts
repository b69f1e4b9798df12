/**
 * Tokens made of a sign-in: for the one who signed in, with what was vouched for, and never longer than what it was made of.
 */
import { type IssuedToken, issueToken, type TokenKeys } from '@custody/identity'
import { CustodyError } from '@custody/kit'
import type { Who } from '@custody/schemas'
import type { Reader, Watch } from './watch'

export const OWN_TTL_SECONDS = 8 * 3600
const OWN_TTL_SECONDS_MAX = 12 * 3600

/** What a token is made of. */
export interface SignedIn {
  who: Who
  /** The tokens that the one signed in with was made of. */
  madeOf?: string
  /** When what it is made of ends, if it may not be outlived: nobody stays signed in by asking again. */
  tokenExpiresMs: number | null
}

export function issueOwnToken(
  keys: TokenKeys,
  { who, madeOf, tokenExpiresMs: endsMs }: SignedIn,
  ttlSeconds: number,
): Promise<IssuedToken> {
  const most = endsMs === null ? OWN_TTL_SECONDS_MAX : Math.floor((endsMs - Date.now()) / 1000)
  return issueToken(keys, {
    subject: who.subject,
    email: who.email ?? undefined,
    name: who.name ?? undefined,
    groups: who.groups,
    kind: who.kind as 'human' | 'service' | 'agent',
    madeOf: lineage(madeOf, who.tokenId),
    ttlSeconds: Math.max(1, Math.min(Math.floor(ttlSeconds), OWN_TTL_SECONDS_MAX, most)),
    ...(who.issuer !== keys.issuer && { idp: who.issuer }),
    ...(who.authenticatedAt !== null && {
      authTime: Math.floor(Number(who.authenticatedAt) / 1e6),
    }),
  })
}

/** Longer chains are nobody's need, and each token carries its own. */
const ANCESTORS_MAX = 8

export function lineage(madeOf: string | undefined, own: string | null): string | undefined {
  const all = [...(madeOf?.split(' ') ?? []), ...(own === null ? [] : [own])]
  if (all.length > ANCESTORS_MAX)
    throw new CustodyError(
      'CUSTODY-TOKEN-001',
      `a token made of a token, ${ANCESTORS_MAX} times over, is as far as it goes; sign in again`,
    )
  return all.length > 0 ? all.join(' ') : undefined
}

/** The same, recorded, and as the API answers it: shown once. `how` they signed in, for the record. */
export async function giveOwnToken(
  { keys, watch }: { keys: TokenKeys; watch: Watch },
  from: Omit<Reader, 'who'>,
  signedIn: SignedIn,
  ttlSeconds: number,
  how: string,
) {
  const { who } = signedIn
  const issued = await issueOwnToken(keys, signedIn, ttlSeconds)
  await watch.access({ ...from, who }, 'access.token-issued', {
    action: 'token-issued',
    tokenId: issued.id,
    expires: issued.expires.getTime() * 1000,
    reason: `for themselves, by ${how}`,
  })
  return {
    token: issued.token,
    id: issued.id,
    subject: issued.subject,
    email: who.email,
    expires: issued.expires.toISOString(),
  }
}
