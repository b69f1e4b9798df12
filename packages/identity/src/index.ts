/**
 * Custody tokens: who somebody is, signed (Ed25519, JWT: RFC 7519, RFC 8037), short-lived and revocable.
 * The seam for other ways in is `CredentialVerifier`: presented → principal.
 * Refuses tokens of other issuers, unsigned ones, and any that live longer than the bound.
 */
import { existsSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { type Configuration, CustodyError, type Home, writeFileAtomic } from '@custody/kit'
import { newUuid, uuidText, type Who } from '@custody/schemas'
import {
  exportJWK,
  generateKeyPair,
  importJWK,
  type JWK,
  type JWTPayload,
  jwtVerify,
  type KeyLike,
  SignJWT,
} from 'jose'
import { OidcVerifier, tokenRefused } from './oidc'

export { type Begun, type Returned, type SignInProvider, signInProviders } from './browser'

export interface Principal {
  who: Who
  /** When the credential ends, in milliseconds since 1970, or null. */
  expiresMs: number | null
  /** User names that it may come under besides its subject and e-mail address. */
  names?: readonly string[]
  /** When an identity provider vouched for it, in milliseconds since 1970; absent for what is not a provider's own word. */
  vouchedMs?: number
}

export interface CredentialVerifier {
  /** Rejects with a CustodyError that may be shown to the client. */
  verify(presented: string): Promise<Principal>
  /** Why somebody who was let in may not stay, or null. Cheap: asked of every open session every second. */
  standing?(who: Who): CustodyError | null
  /** Takes note of what a provider says of somebody now; what it said before may be over with that. */
  vouched?(principal: Principal): void
}

export interface TokenRequest {
  subject: string
  email?: string
  name?: string
  groups?: string[]
  kind?: 'human' | 'service' | 'agent'
  ttlSeconds?: number
  /** Whose identity it is, where another issuer vouched for it, and when. */
  idp?: string
  authTime?: number
}

export interface IssuedToken {
  token: string
  id: string
  subject: string
  expires: Date
}

export const TTL_SECONDS_DEFAULT = 3600
export const TTL_SECONDS_MAX = 24 * 3600
const AUDIENCE = 'custody'
const CLOCK_SKEW_SECONDS = 5

export interface TokenKeys {
  issuer: string
  privateKey: KeyLike | Uint8Array
  publicKey: KeyLike | Uint8Array
}

/** The installation's signing key, made at first use. */
export async function loadTokenKeys(home: Home, gateway: string): Promise<TokenKeys> {
  const path = join(home.keys, 'token-signing.jwk')
  if (!existsSync(path)) {
    const { privateKey } = await generateKeyPair('EdDSA', { crv: 'Ed25519', extractable: true })
    writeFileAtomic(
      path,
      `${JSON.stringify({ ...(await exportJWK(privateKey)), alg: 'EdDSA' })}\n`,
      0o600,
    )
  }
  const jwk = JSON.parse(readFileSync(path, 'utf8')) as JWK
  const { d: _secret, ...publicJwk } = jwk
  return {
    issuer: `custody:${gateway}`,
    privateKey: await importJWK(jwk, 'EdDSA'),
    publicKey: await importJWK(publicJwk, 'EdDSA'),
  }
}

export async function issueToken(keys: TokenKeys, request: TokenRequest): Promise<IssuedToken> {
  const ttlSeconds = request.ttlSeconds ?? TTL_SECONDS_DEFAULT
  if (!Number.isInteger(ttlSeconds) || ttlSeconds < 1 || ttlSeconds > TTL_SECONDS_MAX)
    throw new CustodyError(
      'CUSTODY-TOKEN-001',
      `a token lives 1 to ${TTL_SECONDS_MAX} seconds, not ${ttlSeconds}`,
    )
  if (!request.subject) throw new CustodyError('CUSTODY-TOKEN-001', 'a token needs a subject')
  const id = uuidText(newUuid())
  const now = Math.floor(Date.now() / 1000)
  const token = await new SignJWT({
    email: request.email,
    name: request.name,
    groups: request.groups ?? [],
    kind: request.kind ?? 'human',
    ...(request.idp && { idp: request.idp }),
    ...(request.authTime && { auth_time: request.authTime }),
  })
    .setProtectedHeader({ alg: 'EdDSA', typ: 'JWT' })
    .setSubject(request.subject)
    .setIssuer(keys.issuer)
    .setAudience(AUDIENCE)
    .setJti(id)
    .setIssuedAt(now)
    .setExpirationTime(now + ttlSeconds)
    .sign(keys.privateKey)
  return { token, id, subject: request.subject, expires: new Date((now + ttlSeconds) * 1000) }
}

/** Verifies tokens of this installation; revocations are seen at the next verification after they were written. */
export async function createTokenVerifier(
  home: Home,
  configuration: { gateway: string; identity?: Configuration['identity'] },
): Promise<CredentialVerifier> {
  const keys = await loadTokenKeys(home, configuration.gateway)
  const revoked = new Revocations(home)
  const locks = new Locks(home)
  const known = new KnownGroups(home)
  const oidc = new OidcVerifier(configuration.identity?.issuers ?? [])
  const standing = (who: Who): CustodyError | null => {
    if (who.tokenId !== null && revoked.has(who.tokenId))
      return new CustodyError('CUSTODY-TOKEN-004', 'the token was revoked')
    if (locks.of(who)) return new CustodyError('CUSTODY-TOKEN-005', 'the identity is locked')
    const lost = known.lostBy(who)
    if (lost !== null)
      return new CustodyError('CUSTODY-TOKEN-007', `the identity is no longer in ${lost}`)
    return null
  }
  const vouched = (principal: Principal) => known.vouched(principal)
  return {
    standing,
    vouched,
    async verify(presented) {
      if (!presented) throw new CustodyError('CUSTODY-TOKEN-002', 'no token was presented')
      const issuer = oidc.issuerOf(presented)
      const principal = await (issuer === null
        ? verifyOwn(keys, presented)
        : oidc.verify(presented, issuer))
      vouched(principal)
      const refused = standing(principal.who)
      if (refused) throw refused
      return principal
    },
  }
}

/** A token of this installation. */
async function verifyOwn(keys: TokenKeys, presented: string): Promise<Principal> {
  let payload: JWTPayload
  try {
    ;({ payload } = await jwtVerify(presented, keys.publicKey, {
      issuer: keys.issuer,
      audience: AUDIENCE,
      algorithms: ['EdDSA'],
      clockTolerance: CLOCK_SKEW_SECONDS,
      requiredClaims: ['sub', 'jti', 'exp', 'iat'],
    }))
  } catch (cause) {
    throw tokenRefused(cause)
  }
  const text = (value: unknown): string | null =>
    typeof value === 'string' && value !== '' ? value : null
  const who: Who = {
    subject: payload.sub!,
    // Made from a token of another issuer: it is that issuer's identity still.
    issuer: text(payload.idp) ?? keys.issuer,
    email: text(payload.email),
    name: text(payload.name),
    groups: Array.isArray(payload.groups)
      ? payload.groups.filter((group): group is string => typeof group === 'string')
      : [],
    kind: text(payload.kind) ?? 'human',
    method: 'custody-token',
    tokenId: String(payload.jti),
    authenticatedAt:
      (typeof payload.auth_time === 'number' ? payload.auth_time : payload.iat!) * 1_000_000,
    onBehalfOf: [],
  }
  return { who, expiresMs: payload.exp! * 1000 }
}

/** A small file of JSON that another process may change, read again when it did. */
class SharedFile<T> {
  private seen = ''
  private held: Record<string, T> = {}

  constructor(private readonly path: string) {}

  read(): Record<string, T> {
    let stamp = ''
    try {
      const stat = statSync(this.path)
      stamp = `${stat.ino}:${stat.mtimeMs}:${stat.size}`
    } catch {
      return this.held
    }
    if (stamp !== this.seen) {
      this.held = JSON.parse(readFileSync(this.path, 'utf8')) as Record<string, T>
      this.seen = stamp
    }
    return this.held
  }

  write(value: Record<string, T>): void {
    writeFileAtomic(this.path, `${JSON.stringify(value)}\n`, 0o600)
  }
}

/** Identifiers of revoked tokens with the time after which they may be forgotten. */
class Revocations {
  private readonly file: SharedFile<number>

  constructor(home: Home) {
    this.file = new SharedFile(join(home.keys, 'revoked.json'))
  }

  has(id: string): boolean {
    return Object.hasOwn(this.file.read(), id)
  }

  add(id: string, expiresMs: number): void {
    const now = Date.now()
    const kept = Object.entries({ ...this.file.read(), [id]: expiresMs }).filter(
      ([, until]) => until > now,
    )
    this.file.write(Object.fromEntries(kept))
  }
}

/**
 * The groups that providers last said people are in. Whoever holds something from before, with a group that is gone since, may
 * not rely on it: the next sign-in anywhere ends what is open everywhere. People only: jobs of one subject may differ.
 */
class KnownGroups {
  private readonly file: SharedFile<{ groups: string[]; vouchedMs: number }>

  constructor(home: Home) {
    this.file = new SharedFile(join(home.keys, 'groups.json'))
  }

  vouched({ who, vouchedMs }: Principal): void {
    if (vouchedMs === undefined || who.kind !== 'human') return
    const key = this.keyOf(who)
    const { [key]: before, ...others } = this.file.read()
    if (before && before.vouchedMs > vouchedMs) return
    const groups = [...who.groups].sort()
    // Not at every sign-in: only what would change an answer is written.
    if (before && before.groups.join('\0') === groups.join('\0')) return
    const now = Date.now()
    const kept = Object.entries(others)
      .filter(([, one]) => now - one.vouchedMs < KNOWN_MS_MAX)
      .slice(-(KNOWN_PEOPLE_MAX - 1))
    this.file.write({ ...Object.fromEntries(kept), [key]: { groups, vouchedMs } })
  }

  /** A group that this identity claims and is not in any more, or null. */
  lostBy(who: Who): string | null {
    if (who.kind !== 'human' || who.groups.length === 0) return null
    const one = this.file.read()[this.keyOf(who)]
    return one ? (who.groups.find((group) => !one.groups.includes(group)) ?? null) : null
  }

  private keyOf({ issuer, subject }: Who): string {
    return `${issuer} ${subject}`
  }
}

/** Longer than any token lives. */
const KNOWN_MS_MAX = 8 * 86_400_000
const KNOWN_PEOPLE_MAX = 50_000

/** From now on the token is refused, and the sessions that it opened end within seconds. */
export function revokeToken(home: Home, id: string): void {
  new Revocations(home).add(id, Date.now() + TTL_SECONDS_MAX * 1000)
}

/** Who is kept out, by subject or e-mail address, whatever token they hold. */
export interface Lock {
  by: string
  reason: string | null
  since: string
}

export class Locks {
  private readonly file: SharedFile<Lock>

  constructor(home: Home) {
    this.file = new SharedFile(join(home.keys, 'locked.json'))
  }

  all(): Record<string, Lock> {
    return this.file.read()
  }

  of(who: Pick<Who, 'subject' | 'email'>): Lock | null {
    const locks = this.file.read()
    for (const name of [who.subject, who.email])
      if (name !== null && Object.hasOwn(locks, name.toLowerCase()))
        return locks[name.toLowerCase()]!
    return null
  }

  add(name: string, lock: Lock): void {
    this.file.write({ ...this.file.read(), [name.toLowerCase()]: lock })
  }

  /** False where there was none. */
  remove(name: string): boolean {
    const { [name.toLowerCase()]: found, ...rest } = this.file.read()
    if (found) this.file.write(rest)
    return found !== undefined
  }
}
