/**
 * Signing in with a browser at an identity provider: OpenID Connect (authorization code with PKCE: RFC 6749, RFC 7636) and
 * SAML 2.0 (web browser SSO: redirect out, POST back). Each ends in the same principal.
 * Knows no cookies and no pages; whoever calls it keeps `memory` between the two halves, bound to the one browser.
 */
import { readFileSync } from 'node:fs'
import {
  type Configuration,
  CustodyError,
  type OidcIssuer,
  type SamlProvider,
  type Secrets,
} from '@custody/kit'
import type { Who } from '@custody/schemas'
import type { CredentialVerifier, Principal } from './index'
import { groupsAs } from './oidc'

export interface Begun {
  /** Where the browser is to be sent. */
  url: string
  /** What finishing needs. Not for the browser. */
  memory: string
}

/** What came back: the query of the callback, or the form that was posted to it. */
export type Returned = { query: URLSearchParams } | { form: URLSearchParams }

export interface SignInProvider {
  /** What people know it by. */
  name: string
  kind: 'oidc' | 'saml'
  /** `state` comes back with the answer. */
  begin(callbackUrl: string, state: string): Promise<Begun>
  /** Rejects with a CustodyError that says no more than that it failed; why is in `details.recorded`. */
  finish(callbackUrl: string, state: string, memory: string, returned: Returned): Promise<Principal>
  /** For SAML: what the identity provider is to be told about us. */
  metadata?(callbackUrl: string): Promise<string>
}

const REQUEST_SECONDS_MAX = 10

/** All providers that a browser can be sent to. */
export function signInProviders(
  identity: Configuration['identity'],
  verifier: CredentialVerifier,
  secrets: Secrets,
): SignInProvider[] {
  const issuers = identity.issuers.filter(({ clientId }) => clientId !== undefined)
  // Realms and tenants share a host; each goes by enough of its address to be told from the others.
  const nameOf = ({ issuer }: OidcIssuer): string => {
    const { host, pathname } = new URL(issuer)
    const isAlone = issuers.filter((one) => new URL(one.issuer).host === host).length === 1
    return isAlone ? host : host + pathname.replace(/\/$/, '')
  }
  return [
    ...issuers.map((issuer) => oidcProvider(issuer, nameOf(issuer), verifier, secrets)),
    ...identity.saml.map((provider) => samlProvider(provider, verifier)),
  ]
}

function oidcProvider(
  issuer: OidcIssuer,
  name: string,
  verifier: CredentialVerifier,
  secrets: Secrets,
): SignInProvider {
  type Oidc = typeof import('openid-client')
  type Client = Awaited<ReturnType<Oidc['discovery']>>
  let discovered: Promise<{ oidc: Oidc; client: Client }> | null = null
  const discover = () => {
    discovered ??= (async () => {
      // A module of the other kind; loaded where it is needed.
      const oidc = await import('openid-client')
      const url = new URL(issuer.issuer)
      const secret = issuer.clientSecret ? await secrets.read(issuer.clientSecret) : undefined
      const client = await oidc.discovery(
        url,
        issuer.clientId!,
        secret,
        secret === undefined ? oidc.None() : oidc.ClientSecretBasic(secret),
        {
          execute: url.protocol === 'http:' ? [oidc.allowInsecureRequests] : [],
          timeout: REQUEST_SECONDS_MAX,
        },
      )
      return { oidc, client }
    })().catch((error) => {
      discovered = null
      throw error
    })
    return discovered
  }
  return {
    name,
    kind: 'oidc',
    async begin(callbackUrl, state) {
      try {
        const { oidc, client } = await discover()
        const verifierText = oidc.randomPKCECodeVerifier()
        const nonce = oidc.randomNonce()
        const url = oidc.buildAuthorizationUrl(client, {
          redirect_uri: callbackUrl,
          scope: issuer.scopes.join(' '),
          code_challenge: await oidc.calculatePKCECodeChallenge(verifierText),
          code_challenge_method: 'S256',
          state,
          nonce,
        })
        return { url: url.href, memory: JSON.stringify({ verifier: verifierText, nonce }) }
      } catch (cause) {
        throw failed(cause)
      }
    },
    async finish(callbackUrl, state, memory, returned) {
      let idToken: string | undefined
      try {
        const { oidc, client } = await discover()
        const kept = JSON.parse(memory) as { verifier: string; nonce: string }
        const url = new URL(callbackUrl)
        url.search = 'query' in returned ? returned.query.toString() : ''
        const tokens = await oidc.authorizationCodeGrant(client, url, {
          pkceCodeVerifier: kept.verifier,
          expectedNonce: kept.nonce,
          expectedState: state,
        })
        idToken = tokens.id_token
        if (!idToken) throw new Error('it gave no ID token; is `openid` among the scopes?')
      } catch (cause) {
        throw failed(cause)
      }
      return verifier.verify(idToken)
    },
  }
}

function samlProvider(provider: SamlProvider, verifier: CredentialVerifier): SignInProvider {
  /** One for each use, so that an answer counts for the one request whose identifier is remembered. */
  const saml = async (callbackUrl: string, request: { id: string | null }) => {
    // Only where people sign in with it: the gateway, which loads this package too, never does.
    const { SAML, ValidateInResponseTo } = await import('@node-saml/node-saml')
    return new SAML({
      callbackUrl,
      entryPoint: provider.entryPoint,
      issuer: provider.entityId ?? callbackUrl,
      audience: provider.entityId ?? callbackUrl,
      idpIssuer: provider.idpIssuer,
      idpCert: provider.idpCertificates.map((file) => readFileSync(file, 'utf8')),
      wantAssertionsSigned: true,
      wantAuthnResponseSigned: provider.responseSigned,
      signatureAlgorithm: 'sha256',
      identifierFormat: null,
      disableRequestedAuthnContext: true,
      acceptedClockSkewMs: provider.clockSkewSeconds * 1000,
      validateInResponseTo: ValidateInResponseTo.always,
      cacheProvider: {
        async saveAsync(key, value) {
          request.id = key
          return { value, createdAt: Date.now() }
        },
        getAsync: async (key) => (key === request.id ? new Date().toISOString() : null),
        async removeAsync(key) {
          request.id = null
          return key
        },
      },
    })
  }
  return {
    name: provider.name,
    kind: 'saml',
    async begin(callbackUrl, state) {
      try {
        const request = { id: null as string | null }
        const one = await saml(callbackUrl, request)
        const url = await one.getAuthorizeUrlAsync(state, undefined, {})
        return { url, memory: JSON.stringify(request) }
      } catch (cause) {
        throw failed(cause)
      }
    },
    async finish(callbackUrl, _state, memory, returned) {
      let who: Who
      let isTold: boolean
      try {
        const SAMLResponse = 'form' in returned ? (returned.form.get('SAMLResponse') ?? '') : ''
        const one = await saml(callbackUrl, JSON.parse(memory) as { id: string | null })
        const { profile, loggedOut } = await one.validatePostResponseAsync({ SAMLResponse })
        if (!profile || loggedOut) throw new Error('it vouches for nobody')
        // The library looks at the issuer of logout requests only.
        if (profile.issuer !== provider.idpIssuer)
          throw new Error(`the issuer is ${JSON.stringify(profile.issuer)}`)
        if (!profile.nameID) throw new Error('it has no NameID')
        // An identifier that is new at every sign-in names nobody.
        if (/:transient$/.test(profile.nameIDFormat ?? ''))
          throw new Error('its NameID is transient; a persistent one is needed')
        const listOf = (name: string): string[] => {
          const value = (profile.attributes as Record<string, unknown> | undefined)?.[name]
          return (Array.isArray(value) ? value : [value]).filter(
            (each): each is string => typeof each === 'string' && each !== '',
          )
        }
        const { attributes } = provider
        isTold = listOf(attributes.groups).length > 0
        const address = /:emailAddress$/.test(profile.nameIDFormat ?? '') ? profile.nameID : null
        who = {
          subject: profile.nameID,
          // A provider may call itself the same in OpenID, and name people otherwise there.
          issuer: `saml:${provider.idpIssuer}`,
          email: listOf(attributes.email)[0] ?? address,
          name: listOf(attributes.name)[0] ?? null,
          groups: groupsAs(listOf(attributes.groups), provider.groupPrefix),
          kind: 'human',
          method: 'saml',
          tokenId: profile.ID ? String(profile.ID) : null,
          authenticatedAt: Date.now() * 1000,
          onBehalfOf: [],
        }
      } catch (cause) {
        throw failed(cause)
      }
      const principal: Principal = {
        who,
        expiresMs: null,
        ...(isTold && { vouchedMs: Date.now() }),
      }
      verifier.admit?.(principal)
      return principal
    },
    metadata: async (callbackUrl) =>
      (await saml(callbackUrl, { id: null })).generateServiceProviderMetadata(null, null),
  }
}

/** Whoever tried learns that it failed; why is for the record. */
function failed(cause: unknown): CustodyError {
  const { message, error_description: described } = cause as Error & { error_description?: string }
  return new CustodyError('CUSTODY-TOKEN-006', 'signing in at the identity provider failed', {
    cause,
    details: { recorded: described ?? message },
  })
}
