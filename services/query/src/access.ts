/**
 * Who asks, and what they may see and do. The local administrator (whoever can read CUSTODY_HOME/run/admin-token) may do
 * everything; anybody else has the roles that the configuration gives their groups. A credential comes in the header
 * `Authorization`, or from a browser in the cookie that signing in there set.
 * Refuses host names that are not ours, so that a web page can't reach the API by rebinding its own name to this machine,
 * and changes asked with a cookie by a page that is not ours.
 */
import { createHash, timingSafeEqual } from 'node:crypto'
import type { IncomingHttpHeaders } from 'node:http'
import { isIP } from 'node:net'
import { userInfo } from 'node:os'
import type { CredentialVerifier } from '@custody/identity'
import { type Configuration, type Home, isCustodyError, readAdminToken } from '@custody/kit'
import type { Who } from '@custody/schemas'
import { parse as parseCookies } from 'cookie'
import type { FastifyRequest } from 'fastify'
import { forbidden, unauthenticated, wrongHost } from './errors'
import type { Scope } from './store'
import type { Reader } from './watch'

export type Role = keyof Configuration['console']['roles']

export interface Caller {
  who: Who
  roles: ReadonlySet<Role>
  /** Not a person with roles but whoever has the machine. */
  isLocalAdministrator: boolean
  scope: Scope
  /** When what was presented ends, in milliseconds since 1970, if what is made of it may not outlive it; otherwise null. */
  tokenExpiresMs: number | null
  madeOf?: string
  /** What a browser must send along with a change, where the credential came by itself; otherwise null. */
  csrf: string | null
}

export interface Access {
  /** Rejects with a CustodyError when nobody we know is behind the headers. */
  identify(headers: IncomingHttpHeaders): Promise<Caller>
}

/** `__Host-`: set by this host itself, over TLS, and for no other. Not to be had on plain HTTP, which is loopback only. */
export function cookieName(isSecure: boolean): string {
  return isSecure ? '__Host-custody' : 'custody'
}

export function createAccess(
  home: Home,
  configuration: Pick<Configuration, 'gateway' | 'console'>,
  verifier: CredentialVerifier,
): Access {
  const { roles: rolesByGroup, url } = configuration.console
  const cookie = cookieName(url?.startsWith('https:') === true)
  return {
    async identify({ authorization, cookie: cookies }) {
      const match = /^Bearer ([A-Za-z0-9._~+/=-]{1,8192})$/i.exec(authorization ?? '')
      const kept = authorization === undefined ? parseCookies(cookies ?? '')[cookie] : undefined
      const presented = match?.[1] ?? kept
      if (!presented) throw unauthenticated('no bearer token was presented')
      const secret = readAdminToken(home)
      if (match && secret !== undefined && equal(presented, secret))
        return {
          who: administrator(configuration.gateway),
          roles: new Set(Object.keys(rolesByGroup) as Role[]),
          isLocalAdministrator: true,
          scope: null,
          tokenExpiresMs: null,
          csrf: null,
        }
      try {
        const { who, expiresMs, madeOf } = await verifier.verify(presented)
        const roles = rolesOf(who, rolesByGroup)
        return {
          who,
          roles,
          isLocalAdministrator: false,
          scope: roles.has('auditor')
            ? null
            : roles.has('analyst')
              ? { without: 'audit' }
              : { subject: who.subject, issuer: who.issuer },
          madeOf,
          // A person's sign-in is good for hours; a job's token for what it says.
          tokenExpiresMs: who.method === 'custody-token' || who.kind !== 'human' ? expiresMs : null,
          csrf: kept === undefined ? null : csrfOf(kept),
        }
      } catch (error) {
        if (isCustodyError(error)) throw error
        throw unauthenticated('the token could not be verified')
      }
    },
  }
}

export function rolesOf(who: Who, byGroup: Configuration['console']['roles']): ReadonlySet<Role> {
  const groups = new Set(['everyone', ...who.groups])
  return new Set(
    (Object.keys(byGroup) as Role[]).filter((role) =>
      byGroup[role].some((group) => groups.has(group)),
    ),
  )
}

export function requireRole({ roles }: Caller, ...anyOf: Role[]): void {
  if (!anyOf.some((role) => roles.has(role)))
    throw forbidden(
      `this needs the role ${anyOf.join(' or ')}; console.roles in the configuration says which groups have it`,
    )
}

/** Pages of ours know it and send it along; a page of somebody else can make the browser send the cookie, but not read it. */
function csrfOf(token: string): string {
  return createHash('sha256').update(`custody-csrf:${token}`).digest('base64url')
}

/** Throws where a change is asked with a cookie and without proof that a page of ours asks. */
export function requireOwnPage({ csrf }: Caller, presented: unknown): void {
  if (csrf !== null && (typeof presented !== 'string' || !equal(presented, csrf)))
    throw forbidden('this did not come from a page of Custody; open the page again and repeat it')
}

/** Takes as long for a wrong secret as for the right one, whatever their lengths. */
function equal(a: string, b: string): boolean {
  const digest = (text: string) => createHash('sha256').update(text).digest()
  return timingSafeEqual(digest(a), digest(b))
}

function administrator(gateway: string): Who {
  return {
    subject: `administrator:${userInfo().username}`,
    issuer: `custody:${gateway}`,
    email: null,
    name: null,
    groups: [],
    kind: 'human',
    method: 'admin-token',
    tokenId: null,
    authenticatedAt: null,
    onBehalfOf: [],
  }
}

/** Where a request comes from, as events carry it. */
export function from(request: FastifyRequest): Omit<Reader, 'who'> {
  return {
    address: request.ip,
    port: request.socket.remotePort ?? null,
    application: request.headers['user-agent']?.slice(0, 256) ?? null,
  }
}

/** Addresses can't be rebound, names can: of these only localhost and the configured ones are ours. */
export function checkHost(header: string | undefined, ours: readonly string[]): void {
  const name = (header ?? '')
    .replace(/:\d{1,5}$/, '')
    .replace(/^\[(.*)\]$/, '$1')
    .toLowerCase()
  if (isIP(name) || name === 'localhost' || ours.includes(name)) return
  throw wrongHost(`this API is not served under the name ${JSON.stringify(name.slice(0, 64))}`)
}
