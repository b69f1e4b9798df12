/**
 * Tokens of other issuers (OpenID Connect Core 1.0, JWT: RFC 7519): identity providers of people, and of jobs. Keys come from
 * the issuer's own discovery document and are fetched again when it rotates them.
 * Refuses what is unsigned or signed with a shared secret, meant for somebody else, long-lived, or bound by no rule where
 * there are rules. What is told to the one who presents it never says more than that it has expired.
 */

import { createHash } from 'node:crypto'
import { CustodyError, mayBeAsked, type OidcIssuer } from '@custody/kit'
import type { Who } from '@custody/schemas'
import {
  createRemoteJWKSet,
  decodeJwt,
  type JWTPayload,
  type JWTVerifyGetKey,
  jwtVerify,
} from 'jose'
import type { Principal } from './index'

/** Public-key algorithms only: with a shared secret, whoever can check a token can make one. */
const ALGORITHMS = [
  'RS256',
  'RS384',
  'RS512',
  'PS256',
  'PS384',
  'PS512',
  'ES256',
  'ES384',
  'ES512',
  'EdDSA',
]
const DISCOVERY_MS_MAX = 5000
const DISCOVERY_BYTES_MAX = 1024 * 1024
const DISCOVERY_AGE_MS_MAX = 3_600_000
/** After a failure the issuer is asked again, at the earliest. */
const RETRY_MS = 5000
const KEYS_COOLDOWN_MS = 10_000
const GROUPS_MAX = 500

interface Discovered {
  keys: JWTVerifyGetKey
  untilMs: number
}

export class OidcVerifier {
  private readonly discovered = new Map<string, Promise<Discovered>>()
  private readonly failures = new Map<string, { untilMs: number; error: Error }>()

  constructor(private readonly issuers: readonly OidcIssuer[]) {}

  /** The issuer that a token says it is of, where it is one that we trust. Nothing is proven by that. */
  issuerOf(presented: string): OidcIssuer | null {
    try {
      const { iss } = decodeJwt(presented)
      return this.issuers.find(({ issuer }) => issuer === iss) ?? null
    } catch {
      return null
    }
  }

  async verify(presented: string, issuer: OidcIssuer): Promise<Principal> {
    let payload: JWTPayload
    try {
      const { keys } = await this.discover(issuer)
      ;({ payload } = await jwtVerify(presented, keys, {
        issuer: issuer.issuer,
        audience: issuer.audiences,
        algorithms: ALGORITHMS,
        clockTolerance: issuer.clockSkewSeconds,
        requiredClaims: ['sub', 'exp', 'iat'],
      }))
    } catch (cause) {
      throw tokenRefused(cause)
    }
    if (payload.exp! - payload.iat! > issuer.lifetimeSecondsMax)
      throw tokenRefused(
        new Error(
          `it lives ${payload.exp! - payload.iat!} s, more than lifetimeSecondsMax (${issuer.lifetimeSecondsMax})`,
        ),
      )
    return {
      who: whoOf(payload, issuer, presented),
      expiresMs: payload.exp! * 1000,
      // A token without the claim, for want of a scope say, says nothing of groups.
      ...(issuer.claims.groups !== undefined &&
        claim(payload, issuer.claims.groups) !== undefined && { vouchedMs: payload.iat! * 1000 }),
      names: issuer.user === undefined ? [] : [issuer.user],
    }
  }

  private discover(issuer: OidcIssuer): Promise<Discovered> {
    const name = issuer.issuer
    const failed = this.failures.get(name)
    if (failed && failed.untilMs > Date.now()) return Promise.reject(failed.error)
    const known = this.discovered.get(name)
    const load = () => {
      const found = fetchDiscovery(issuer)
      this.discovered.set(name, found)
      found.catch((error: Error) => {
        this.discovered.delete(name)
        this.failures.set(name, { untilMs: Date.now() + RETRY_MS, error })
      })
      return found
    }
    if (known === undefined) return load()
    return known.then((one) => (one.untilMs > Date.now() ? one : load()))
  }
}

/** Where an issuer says how it is reached and what its keys are (OpenID Connect Discovery 1.0). */
export function discoveryUrl({ issuer }: Pick<OidcIssuer, 'issuer'>): string {
  return `${issuer.replace(/\/$/, '')}/.well-known/openid-configuration`
}

async function fetchDiscovery(issuer: OidcIssuer): Promise<Discovered> {
  const url = discoveryUrl(issuer)
  let document: { issuer?: unknown; jwks_uri?: unknown }
  try {
    const response = await fetch(url, {
      // A redirect could lead to somebody else's keys.
      redirect: 'error',
      signal: AbortSignal.timeout(DISCOVERY_MS_MAX),
      headers: { accept: 'application/json' },
    })
    if (!response.ok) throw new Error(`it answered ${response.status}`)
    const text = await response.text()
    if (text.length > DISCOVERY_BYTES_MAX) throw new Error('its answer is too long')
    document = JSON.parse(text)
  } catch (cause) {
    throw new Error(
      `the issuer ${issuer.issuer} can't be asked for its keys: ${(cause as Error).message}`,
      { cause },
    )
  }
  if (document.issuer !== issuer.issuer)
    throw new Error(`${url} is of another issuer: ${JSON.stringify(document.issuer)}`)
  const keysUrl = new URL(String(document.jwks_uri))
  if (!mayBeAsked(keysUrl)) throw new Error(`its keys are at ${keysUrl.origin}, without TLS`)
  return {
    keys: createRemoteJWKSet(keysUrl, {
      cooldownDuration: KEYS_COOLDOWN_MS,
      timeoutDuration: DISCOVERY_MS_MAX,
    }),
    untilMs: Date.now() + DISCOVERY_AGE_MS_MAX,
  }
}

/** What is told is the same whatever is wrong; what is recorded says it. */
export function tokenRefused(cause: unknown): CustodyError {
  const expired = (cause as { code?: string }).code === 'ERR_JWT_EXPIRED'
  // jose looks at the signature first, so that it has expired is told to its holder only.
  return new CustodyError(
    expired ? 'CUSTODY-TOKEN-003' : 'CUSTODY-TOKEN-002',
    expired ? 'the token has expired' : 'the token is not accepted',
    { cause, details: { recorded: (cause as Error).message } },
  )
}

function whoOf(payload: JWTPayload, issuer: OidcIssuer, presented: string): Who {
  const text = (name: string | undefined): string | null => {
    const value = name === undefined ? undefined : claim(payload, name)
    return typeof value === 'string' && value !== '' ? value : null
  }
  const listed = issuer.claims.groups === undefined ? [] : claim(payload, issuer.claims.groups)
  const groups = (Array.isArray(listed) ? listed : [listed]).filter(
    (group): group is string => typeof group === 'string' && group !== '',
  )
  let kind: string = issuer.kind
  if (issuer.rules.length > 0) {
    const rule = issuer.rules.find(({ when }) =>
      Object.entries(when).every(([name, pattern]) => matches(claim(payload, name), pattern)),
    )
    if (!rule) throw tokenRefused(new Error('no rule of its issuer fits it'))
    groups.push(...rule.groups)
    kind = rule.kind ?? kind
  }
  // An address that its issuer has not verified is what somebody typed.
  const verified = issuer.trustEmail || payload.email_verified === true
  return {
    subject: payload.sub!,
    issuer: issuer.issuer,
    email: verified ? text(issuer.claims.email) : null,
    name: text(issuer.claims.name),
    groups: groupsAs(groups, issuer.groupPrefix),
    kind,
    method: 'oidc',
    tokenId:
      typeof payload.jti === 'string' && payload.jti !== ''
        ? payload.jti
        : // What is signed: the signature can be written in several ways.
          createHash('sha256')
            .update(presented.slice(0, presented.lastIndexOf('.')))
            .digest('hex')
            .slice(0, 32),
    authenticatedAt:
      (typeof payload.auth_time === 'number' ? payload.auth_time : payload.iat!) * 1_000_000,
    onBehalfOf: [],
  }
}

/** A provider's groups by the names that they have here: each once, and no more than anybody needs. */
export function groupsAs(groups: readonly string[], prefix: string): string[] {
  return [...new Set(groups.map((group) => prefix + group))].slice(0, GROUPS_MAX)
}

/** `groups`, `realm_access.roles`, or a claim whose own name has dots or slashes in it. */
function claim(payload: JWTPayload, name: string): unknown {
  if (Object.hasOwn(payload, name)) return payload[name]
  let value: unknown = payload
  for (const part of name.split('.')) {
    if (value === null || typeof value !== 'object' || !Object.hasOwn(value, part)) return undefined
    value = (value as Record<string, unknown>)[part]
  }
  return value
}

/** `*` stands for anything but nothing else does. */
function matches(value: unknown, pattern: string): boolean {
  const expression = new RegExp(
    `^${pattern
      .split('*')
      .map((part) => part.replace(/[.*+?^${}()|[\]\\]/g, '\\$&'))
      .join('[\\s\\S]*')}$`,
  )
  const values = Array.isArray(value) ? value : [value]
  return values.some(
    (one) => ['string', 'number', 'boolean'].includes(typeof one) && expression.test(String(one)),
  )
}
