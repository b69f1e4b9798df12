/**
 * SSH certificates made of a sign-in: for the one who signed in, with what was vouched for, never longer than what they are
 * made of; by the administrator for anybody. Each is recorded before it is given. Refuses where only the authority's public
 * half is here.
 */
import {
  CERTIFICATE_TTL_SECONDS_MAX,
  issueUserCertificate,
  type SshAuthority,
} from '@custody/identity'
import type { Configuration } from '@custody/kit'
import type { Caller } from './access'
import { lineage } from './tokens'
import type { Reader, Watch } from './watch'

export interface CertificateBody {
  publicKey: string
  ttlSeconds?: number
  sourceAddress?: string
  subject?: string
  email?: string
  groups?: string[]
  kind?: 'human' | 'service' | 'agent'
}

const TTL_SECONDS_DEFAULT = 8 * 3600

export async function giveCertificate(
  o: { configuration: Configuration; authority: SshAuthority; watch: Watch; issuer: string },
  from: Omit<Reader, 'who'>,
  caller: Caller,
  body: CertificateBody,
) {
  const { who: by, madeOf, tokenExpiresMs, isLocalAdministrator } = caller
  const { ttlSecondsMax } = o.configuration.identity.sshAuthority
  const left =
    isLocalAdministrator || tokenExpiresMs === null
      ? CERTIFICATE_TTL_SECONDS_MAX
      : Math.floor((tokenExpiresMs - Date.now()) / 1000)
  const ttlSeconds = Math.max(
    1,
    Math.min(body.ttlSeconds ?? TTL_SECONDS_DEFAULT, ttlSecondsMax, left),
  )
  const isForAnother = isLocalAdministrator || body.subject !== undefined
  const who = isForAnother
    ? {
        subject: body.subject!,
        issuer: o.issuer,
        email: body.email ?? null,
        name: null,
        groups: body.groups ?? [],
        kind: body.kind ?? 'human',
        authenticatedAt: Date.now() * 1000,
      }
    : by
  const issued = issueUserCertificate(o.authority, {
    publicKey: body.publicKey,
    who,
    // What a token made ends with it.
    madeOf: isLocalAdministrator ? undefined : lineage(madeOf, by.tokenId),
    ttlSeconds,
    sourceAddress: body.sourceAddress,
  })
  await o.watch.access({ ...from, who: by }, 'access.token-issued', {
    action: 'token-issued',
    tokenId: issued.id,
    expires: issued.expires.getTime() * 1000,
    credential: 'ssh-certificate',
    reason: isForAnother ? `SSH certificate for ${who.subject}` : 'SSH certificate for themselves',
  })
  return {
    certificate: issued.certificate,
    id: issued.id,
    serial: issued.serial,
    subject: who.subject,
    expires: issued.expires.toISOString(),
    /** What certifies gateways as well: for known_hosts. */
    authority: o.authority.publicKey,
  }
}
