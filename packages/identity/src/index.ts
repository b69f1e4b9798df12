/**
 * Custody tokens: who somebody is, signed (Ed25519, JWT: RFC 7519, RFC 8037), short-lived and revocable.
 * The seam for other ways in is `CredentialVerifier`: presented → principal.
 * Refuses tokens of other issuers, unsigned ones, and any that live longer than the bound.
 */
import { createPrivateKey, createPublicKey, type JsonWebKey, type KeyObject } from 'node:crypto'
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
export { discoveryUrl } from './oidc'
export {
  CERTIFICATE_TTL_SECONDS_MAX,
  certifyHostKey,
  holderOf,
  type IssuedCertificate,
  issueUserCertificate,
  loadHostKey,
  loadSshAuthority,
  readHostCertificate,
  type SshAuthority,
} from './ssh/authority'
export {
  CERTIFICATE_SUFFIX,
  type Certificate,
  makeCertificate,
  parseCertificate,
  type UserCertificateTerms,
  verifyHostCertificate,
  verifyUserCertificate,
} from './ssh/certificate'
export { isPublicKeyLine, publicKeyBlob, readPublicKey, verifySignature } from './ssh/keys'
export { STANDING_KINDS, Standing } from './standing'

export interface Principal {
  who: Who
  /** When the credential ends, in milliseconds since 1970, or null. */
  expiresMs: number | null
  /** User names that it may come under besides its subject and e-mail address. */
  names?: readonly string[]
  /** When an identity provider vouched for it, in milliseconds since 1970; absent for what is not a provider's own word. */
  vouchedMs?: number
  /** The tokens that this one was made of, the first of all first, separated by spaces; revoking one ends this as well. */
  madeOf?: string
}

export interface CredentialVerifier {
  /** Rejects with a CustodyError that may be shown to the client. */
  verify(presented: string): Promise<Principal>
  /** Why somebody who was let in may not stay, or null. Cheap: asked of every open session every second. */
  standing?(who: Who, madeOf?: string | null): CustodyError | null
  /**
   * Takes note of what a provider says of somebody now, unless they are kept out already; what it said before may be over with
   * that. Throws a CustodyError that may be shown where they are not let in.
   */
  admit?(principal: Principal): void
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
  /** The token that it is made of. */
  madeOf?: string
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
  /** Null where only the public half is here: tokens are verified and none issued. */
  privateKey: KeyLike | Uint8Array | null
  publicKey: KeyLike | Uint8Array
}

type TokenKeySettings = Partial<Configuration['identity']['tokenKeys']>

/** The installation's signing key: the one that the settings name, or the home's own, made at first use. */
export async function loadTokenKeys(
  home: Home,
  gateway: string,
  settings: TokenKeySettings = {},
): Promise<TokenKeys> {
  const issuer = `custody:${settings.issuer ?? gateway}`
  if (settings.file !== undefined) return { issuer, ...readKeys(settings.file) }
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
    issuer,
    privateKey: await importJWK(jwk, 'EdDSA'),
    publicKey: await importJWK(publicJwk, 'EdDSA'),
  }
}

/** PEM or JWK, the pair or its public half. Never made here: several hosts must have the same. */
function readKeys(file: string): Pick<TokenKeys, 'privateKey' | 'publicKey'> {
  const refused = (why: string, cause?: unknown) =>
    new CustodyError('CUSTODY-TOKEN-008', `the key for tokens ${file}: ${why}`, { cause })
  let text: string
  try {
    text = readFileSync(file, 'utf8')
  } catch (cause) {
    throw refused((cause as Error).message, cause)
  }
  let privateKey: KeyObject | null = null
  let publicKey: KeyObject
  try {
    if (text.includes('-----BEGIN')) {
      if (text.includes('PRIVATE KEY')) privateKey = createPrivateKey(text)
      publicKey = createPublicKey(privateKey ?? text)
    } else {
      const key = JSON.parse(text) as JsonWebKey
      if (key.d !== undefined) privateKey = createPrivateKey({ key, format: 'jwk' })
      publicKey = createPublicKey(privateKey ?? { key, format: 'jwk' })
    }
  } catch {
    // What the parser quotes may be the key.
    throw refused('neither PEM nor JWK of a key')
  }
  if (publicKey.asymmetricKeyType !== 'ed25519') throw refused('not an Ed25519 key')
  return { privateKey, publicKey }
}

export async function issueToken(keys: TokenKeys, request: TokenRequest): Promise<IssuedToken> {
  const ttlSeconds = request.ttlSeconds ?? TTL_SECONDS_DEFAULT
  if (!Number.isInteger(ttlSeconds) || ttlSeconds < 1 || ttlSeconds > TTL_SECONDS_MAX)
    throw new CustodyError(
      'CUSTODY-TOKEN-001',
      `a token lives 1 to ${TTL_SECONDS_MAX} seconds, not ${ttlSeconds}`,
    )
  if (!request.subject) throw new CustodyError('CUSTODY-TOKEN-001', 'a token needs a subject')
  if (keys.privateKey === null)
    throw new CustodyError(
      'CUSTODY-TOKEN-008',
      'here is only the public half of the key for tokens',
    )
  const id = uuidText(newUuid())
  const now = Math.floor(Date.now() / 1000)
  const token = await new SignJWT({
    email: request.email,
    name: request.name,
    groups: request.groups ?? [],
    kind: request.kind ?? 'human',
    ...(request.idp && { idp: request.idp }),
    ...(request.authTime && { auth_time: request.authTime }),
    ...(request.madeOf && { root: request.madeOf }),
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
  const keys = await loadTokenKeys(home, configuration.gateway, configuration.identity?.tokenKeys)
  const revoked = new Revocations(home)
  const locks = new Locks(home)
  const known = new KnownPeople(home)
  const oidc = new OidcVerifier(configuration.identity?.issuers ?? [])
  /** Kept out by somebody, whatever a provider says. */
  const barred = (who: Who, madeOf?: string | null): CustodyError | null => {
    if (revoked.has(who.tokenId, madeOf))
      return new CustodyError('CUSTODY-TOKEN-004', 'the token was revoked')
    if (locks.of(who) || locks.of({ subject: who.subject, email: known.emailOf(who) }))
      return new CustodyError('CUSTODY-TOKEN-005', 'the identity is locked')
    return null
  }
  const standing = (who: Who, madeOf?: string | null): CustodyError | null => {
    const refused = barred(who, madeOf)
    if (refused) return refused
    const lost = known.lostBy(who)
    if (lost !== null)
      return new CustodyError('CUSTODY-TOKEN-007', `the identity is no longer in ${lost}`)
    return null
  }
  const admit = (principal: Principal): void => {
    const { who, madeOf } = principal
    // By what was known before it, and by what it says: neither an old token nor a new address is a way round a lock.
    const refused = barred(who, madeOf)
    if (refused) throw refused
    known.note(principal)
    const still = standing(who, madeOf)
    if (still) throw still
  }
  return {
    standing,
    admit,
    async verify(presented) {
      if (!presented) throw new CustodyError('CUSTODY-TOKEN-002', 'no token was presented')
      const issuer = oidc.issuerOf(presented)
      const principal = await (issuer === null
        ? verifyOwn(keys, presented)
        : oidc.verify(presented, issuer))
      admit(principal)
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
  return {
    who,
    expiresMs: payload.exp! * 1000,
    ...(text(payload.root) !== null && { madeOf: String(payload.root) }),
  }
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
export class Revocations {
  private readonly file: SharedFile<number>

  constructor(home: Home) {
    this.file = new SharedFile(join(home.keys, 'revoked.json'))
  }

  has(id: string | null, madeOf?: string | null): boolean {
    const revoked = this.file.read()
    return (
      (id !== null && (Object.hasOwn(revoked, id) || Object.hasOwn(revoked, alone(id)))) ||
      (madeOf ?? '').split(' ').some((one) => one !== '' && Object.hasOwn(revoked, one))
    )
  }

  /** Writes only what is new, and not over already. */
  addAll(revoked: readonly { id: string; untilMs: number; isAlone: boolean }[]): void {
    const now = Date.now()
    const known = this.file.read()
    const added = revoked
      .map(({ id, untilMs, isAlone }) => [isAlone ? alone(id) : id, untilMs] as const)
      .filter(([id, untilMs]) => untilMs > now && (known[id] ?? 0) < untilMs)
    if (added.length === 0) return
    const kept = Object.entries({ ...known, ...Object.fromEntries(added) }).filter(
      ([, until]) => until > now,
    )
    this.file.write(Object.fromEntries(kept))
  }
}

/**
 * What providers last said of people: their groups and their address. Whoever holds something from before, with a group that is
 * gone since, may not rely on it: the next sign-in anywhere ends what is open everywhere. And who is locked by an address is
 * locked whatever a token leaves out. People only: jobs of one subject may differ.
 */
class KnownPeople {
  private readonly file: SharedFile<Known>

  constructor(home: Home) {
    this.file = new SharedFile(join(home.keys, 'people.json'))
  }

  note({ who, vouchedMs }: Principal): void {
    if (who.kind !== 'human' || (vouchedMs === undefined && who.email === null)) return
    const key = this.keyOf(who)
    const { [key]: before, ...others } = this.file.read()
    const said = vouchedMs ?? before?.vouchedMs ?? 0
    if (before && before.vouchedMs > said) return
    const groups = vouchedMs === undefined ? (before?.groups ?? null) : [...who.groups].sort()
    // What the provider itself says goes before what a token of ours says.
    const email =
      (vouchedMs === undefined ? (before?.email ?? who.email) : (who.email ?? before?.email)) ??
      null
    // Not at every sign-in: what would change an answer, and the time now and then, so that older words stay older.
    if (
      before &&
      before.email === email &&
      before.groups?.join('\0') === groups?.join('\0') &&
      said - before.vouchedMs < KNOWN_AGAIN_MS
    )
      return
    const now = Date.now()
    const kept = Object.entries(others)
      .filter(([, one]) => now - one.seenMs < KNOWN_MS_MAX)
      .slice(-(KNOWN_PEOPLE_MAX - 1))
    this.file.write({
      ...Object.fromEntries(kept),
      [key]: { groups, email, vouchedMs: said, seenMs: now },
    })
  }

  /** A group that this identity claims and is not in any more, or null. */
  lostBy(who: Who): string | null {
    if (who.kind !== 'human' || who.groups.length === 0) return null
    const groups = this.file.read()[this.keyOf(who)]?.groups
    return groups ? (who.groups.find((group) => !groups.includes(group)) ?? null) : null
  }

  emailOf(who: Who): string | null {
    return this.file.read()[this.keyOf(who)]?.email ?? null
  }

  private keyOf({ issuer, subject }: Who): string {
    return `${issuer} ${subject}`
  }
}

interface Known {
  /** Null: it has never said. */
  groups: string[] | null
  email: string | null
  vouchedMs: number
  seenMs: number
}

const KNOWN_AGAIN_MS = 60_000
/** Longer than any token lives. */
const KNOWN_MS_MAX = 8 * 86_400_000
const KNOWN_PEOPLE_MAX = 50_000

/** As it is kept where what was made of a token is to stay good. */
const alone = (id: string) => `alone:${id}`

/**
 * From now on the token is refused, and what was made of it, and the sessions that these opened end within seconds. With
 * `isAlone` only the token itself. `untilMs`: when it would have ended anyway.
 */
export function revokeToken(
  home: Home,
  id: string,
  { untilMs = Date.now() + TTL_SECONDS_MAX * 1000, isAlone = false } = {},
): void {
  new Revocations(home).addAll([{ id, untilMs, isAlone }])
}

/** Who is kept out, by subject or e-mail address, whatever token they hold. */
export interface Lock {
  by: string
  reason: string | null
  since: string
}

/** As it is kept. What was said here and must come round yet names its event; an unlock is kept until then. */
interface KeptLock extends Lock {
  pending?: string
  removed?: true
}

export class Locks {
  private readonly file: SharedFile<KeptLock>

  constructor(home: Home) {
    this.file = new SharedFile(join(home.keys, 'locked.json'))
  }

  all(): Record<string, Lock> {
    return Object.fromEntries(
      Object.entries(this.file.read())
        .filter(([, { removed }]) => !removed)
        .map(([name, { by, reason, since }]) => [name, { by, reason, since }]),
    )
  }

  of(who: Pick<Who, 'subject' | 'email'>): Lock | null {
    const locks = this.file.read()
    for (const name of [who.subject, who.email]) {
      if (name === null || !Object.hasOwn(locks, name.toLowerCase())) continue
      const found = locks[name.toLowerCase()]!
      if (!found.removed) return found
    }
    return null
  }

  add(name: string, lock: Lock): void {
    this.put(name, lock, this.kept(name)?.pending)
  }

  /** False where there was none. */
  remove(name: string): boolean {
    const found = this.kept(name)
    if (!found || found.removed) return false
    this.put(name, null, found.pending)
    return true
  }

  /**
   * Records it, then does it (`lock` null: ends it). Where what is recorded comes round to be heard, it is the last word on
   * that identity until then. Nothing is done where recording rejects.
   */
  async say(
    name: string,
    lock: Lock | null,
    comesRound: boolean,
    record: (id: Buffer) => Promise<void>,
  ): Promise<void> {
    const id = newUuid()
    const before = this.kept(name)
    const was = before && !before.removed ? before : null
    // Before it is recorded: it may be heard before recording has returned.
    if (comesRound) this.put(name, was, uuidText(id))
    try {
      await record(id)
    } catch (error) {
      if (this.kept(name)?.pending === uuidText(id)) this.put(name, was, before?.pending)
      throw error
    }
    this.put(name, lock, this.kept(name)?.pending)
  }

  private kept(name: string): KeptLock | undefined {
    const locks = this.file.read()
    return Object.hasOwn(locks, name.toLowerCase()) ? locks[name.toLowerCase()] : undefined
  }

  private put(name: string, lock: Lock | null, pending: string | undefined): void {
    const { [name.toLowerCase()]: _before, ...rest } = this.file.read()
    if (lock === null && pending === undefined) {
      this.file.write(rest)
      return
    }
    const { by, reason, since } = lock ?? { by: '', reason: null, since: '' }
    this.file.write({
      ...rest,
      [name.toLowerCase()]: {
        by,
        reason,
        since,
        ...(lock === null && { removed: true as const }),
        ...(pending !== undefined && { pending }),
      },
    })
  }

  /** What was said, here or elsewhere, in the order of all hosts. `lock` null: it is over. */
  heard(said: readonly { identity: string; lock: Lock | null; id: string }[]): void {
    const locks = { ...this.file.read() }
    for (const { identity, lock, id } of said) {
      const name = identity.toLowerCase()
      const known = Object.hasOwn(locks, name) ? locks[name] : undefined
      // Newer words of our own are still to come. Identifiers rise with time: what was said later ends the waiting, since
      // ours may never come round (it was not recorded in the end, or is no longer kept behind the later one). If it does
      // come, the order of all hosts holds again.
      if (known?.pending && id < known.pending) continue
      if (lock === null) delete locks[name]
      else locks[name] = lock
    }
    if (JSON.stringify(locks) !== JSON.stringify(this.file.read())) this.file.write(locks)
  }
}
