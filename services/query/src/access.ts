/**
 * Who asks, and what they may see. The local administrator (whoever can read CUSTODY_HOME/run/admin-token) and members
 * of the group `custody:auditor` see everything; any other Custody token sees what its own subject did.
 * Refuses host names that are not ours, so that a web page can't reach the API by rebinding its own name to this machine.
 */
import { createHash, timingSafeEqual } from 'node:crypto'
import { isIP } from 'node:net'
import { userInfo } from 'node:os'
import type { CredentialVerifier } from '@custody/identity'
import { type Configuration, type Home, isCustodyError, readAdminToken } from '@custody/kit'
import type { Who } from '@custody/schemas'
import { forbidden, unauthenticated, wrongHost } from './errors'
import type { Scope } from './store'

export const AUDITOR_GROUP = 'custody:auditor'

export interface Caller {
  who: Who
  isAdministrator: boolean
  scope: Scope
  /** When a Custody token that was presented ends, in milliseconds since 1970; null for anything else. */
  tokenExpiresMs: number | null
}

export interface Access {
  /** Rejects with a CustodyError when nobody we know is behind the header. */
  identify(authorization: string | undefined): Promise<Caller>
}

export function createAccess(home: Home, gateway: string, verifier: CredentialVerifier): Access {
  return {
    async identify(authorization) {
      const match = /^Bearer ([A-Za-z0-9._~+/=-]{1,8192})$/i.exec(authorization ?? '')
      if (!match) throw unauthenticated('no bearer token was presented')
      const presented = match[1]!
      const secret = readAdminToken(home)
      if (secret !== undefined && equal(presented, secret)) {
        const who = administrator(gateway)
        return { who, isAdministrator: true, scope: null, tokenExpiresMs: null }
      }
      try {
        const { who, expiresMs } = await verifier.verify(presented)
        const sees = who.groups.includes(AUDITOR_GROUP)
        return {
          who,
          isAdministrator: false,
          scope: sees ? null : { subject: who.subject, issuer: who.issuer },
          tokenExpiresMs: who.method === 'custody-token' ? expiresMs : null,
        }
      } catch (error) {
        if (isCustodyError(error)) throw error
        throw unauthenticated('the token could not be verified')
      }
    },
  }
}

export function requireAdministrator(caller: Caller): void {
  if (!caller.isAdministrator)
    throw forbidden('only the local administrator may issue and revoke tokens')
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

/** Names under which this service is reached, besides addresses and localhost. */
export function ownNames({ listen, approvals }: Configuration): ReadonlySet<string> {
  const external = approvals.externalUrl
  return new Set(
    [listen.host, ...(external ? [new URL(external).hostname] : [])].map((name) =>
      name.toLowerCase(),
    ),
  )
}

/** Addresses can't be rebound, names can: of these only localhost and the configured ones are ours. */
export function checkHost(header: string | undefined, names: ReadonlySet<string>): void {
  const name = (header ?? '')
    .replace(/:\d{1,5}$/, '')
    .replace(/^\[(.*)\]$/, '$1')
    .toLowerCase()
  if (isIP(name) || name === 'localhost' || names.has(name)) return
  throw wrongHost(`this API is not served under the name ${JSON.stringify(name.slice(0, 64))}`)
}
