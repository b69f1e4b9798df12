/**
 * A realm as an administrator would set it up for Custody: two people in groups, a public client for `custody login` and the
 * console, clients of jobs, and Custody as a SAML service provider, told by its own metadata. And the people, at its pages.
 */
import { createHash, randomBytes } from 'node:crypto'
import { Browser } from '@custody/test-support'
import type { Keycloak } from './keycloak'

export const REALM = 'acme'
/** What tokens are meant for, where they are meant for Custody. */
export const AUDIENCE = 'custody'
const CALLBACK = 'http://127.0.0.1:9/callback'
const PAGES_MAX = 10
const REQUEST_MS_MAX = 30_000
/** The answer that keeps Keycloak's own page for the last step of SAML. */
const SAML_ANSWER = 'SAMLResponse'

export interface Tokens {
  id_token: string
  access_token: string
  refresh_token: string
}

export interface Realm {
  issuer: string
  second: { issuer: string; clientSecret: string }
  saml: { entryPoint: string; entityId: string; certificate(): Promise<string[]> }
  /** Makes Custody known by the metadata that it publishes. */
  registerSaml(metadata: string): Promise<void>
  /** Goes through Keycloak's pages; `before` keeps the SAML answer from being sent. */
  signIn(browser: Browser, account: string, o?: { before?: boolean }): Promise<void>
  /** What a program has that signed this person in. */
  tokens(account: string): Promise<Tokens>
  /** What a job gets for its own client and secret. */
  jobToken(client: string): Promise<string>
  leaveGroup(account: string, group: string): Promise<void>
  joinGroup(account: string, group: string): Promise<void>
  /** Encrypts assertions for whom this certificate (PEM) belongs to; null: no more. */
  encryptSaml(certificate: string | null): Promise<void>
  /** From now on signs with another key. */
  rotate(): Promise<void>
}

const passwordOf = (account: string) => `password of ${account}`

const mapper = (name: string, protocolMapper: string, config: Record<string, string>) => ({
  ...{ name, protocol: 'openid-connect', protocolMapper },
  config: { 'id.token.claim': 'true', 'access.token.claim': 'true', ...config },
})
/** Names without the path: `dba`, not `/dba`. */
const groupsMapper = mapper('groups', 'oidc-group-membership-mapper', {
  'claim.name': 'groups',
  'full.path': 'false',
})
const audienceMapper = mapper('audience', 'oidc-audience-mapper', {
  'included.custom.audience': AUDIENCE,
})

const person = (username: string, firstName: string, groups: string[]) => ({
  ...{ username, firstName, lastName: 'Example', enabled: true },
  ...{ email: `${username}@example.com`, emailVerified: true },
  credentials: [{ type: 'password', value: passwordOf(username), temporary: false }],
  groups: groups.map((name) => `/${name}`),
})

const job = (clientId: string, protocolMappers: object[]) => ({
  ...{ clientId, secret: passwordOf(clientId), protocolMappers },
  ...{ serviceAccountsEnabled: true, standardFlowEnabled: false },
})

const realm = {
  realm: REALM,
  enabled: true,
  sslRequired: 'none',
  accessTokenLifespan: 300,
  oauth2DevicePollingInterval: 1,
  groups: ['dba', 'sre', 'analysts'].map((name) => ({ name })),
  users: [
    person('ada', 'Ada', ['dba', 'sre']),
    person('bo', 'Bo', ['analysts']),
    // Whose address is what they typed.
    { ...person('cy', 'Cy', []), emailVerified: false },
  ],
  clients: [
    {
      clientId: 'custody',
      publicClient: true,
      standardFlowEnabled: true,
      directAccessGrantsEnabled: false,
      // Any port of loopback (RFC 8252).
      redirectUris: ['http://127.0.0.1/callback', 'http://127.0.0.1/sign-in/callback'],
      attributes: {
        'pkce.code.challenge.method': 'S256',
        'oauth2.device.authorization.grant.enabled': 'true',
      },
      protocolMappers: [groupsMapper, audienceMapper],
    },
    job('ci', [audienceMapper]),
    // For something else: its tokens are not meant for Custody.
    job('warehouse', []),
  ],
}

/** Another realm of the same Keycloak: other people, and a client that has a secret. */
export const SECOND_REALM = 'partner'
const second = {
  realm: SECOND_REALM,
  enabled: true,
  sslRequired: 'none',
  users: [person('ada', 'Adele', [])],
  clients: [
    {
      ...{ clientId: 'custody', secret: passwordOf('custody'), standardFlowEnabled: true },
      redirectUris: ['http://127.0.0.1/sign-in/callback'],
      attributes: { 'pkce.code.challenge.method': 'S256' },
    },
  ],
}

export async function createRealm({ url, admin }: Keycloak): Promise<Realm> {
  await admin('POST', '', realm)
  await admin('POST', '', second)
  const issuer = `${url}/realms/${REALM}`
  const protocol = `${issuer}/protocol`

  async function token(values: Record<string, string>): Promise<Tokens> {
    const response = await fetch(`${protocol}/openid-connect/token`, {
      method: 'POST',
      signal: AbortSignal.timeout(REQUEST_MS_MAX),
      body: new URLSearchParams(values),
    })
    const answer = (await response.json()) as Tokens
    if (!response.ok) throw new Error(JSON.stringify(answer))
    return answer
  }

  let samlClient = ''

  async function membership(account: string, group: string): Promise<string> {
    const [user] = await admin('GET', `/${REALM}/users?exact=true&username=${account}`)
    const [found] = await admin('GET', `/${REALM}/groups?exact=true&search=${group}`)
    return `/${REALM}/users/${user.id}/groups/${found.id}`
  }

  async function signIn(browser: Browser, account: string, o: { before?: boolean } = {}) {
    const { host } = new URL(url)
    for (let step = 0; step < PAGES_MAX; step++) {
      const form = browser.forms().find((one) => new URL(one.action).pathname !== '/')
      if (new URL(browser.url).host !== host || !form) return
      const values: Record<string, string> = {}
      if (form.values.has('username')) values.username = account
      if (form.values.has('password')) values.password = passwordOf(account)
      if (form.values.has(SAML_ANSWER) && o.before) return
      if (/consent/.test(form.action)) values.accept = 'Yes'
      await browser.submit(values, new URL(form.action).pathname)
    }
    throw new Error(`no end after ${PAGES_MAX} pages: ${browser.url}`)
  }

  return {
    issuer,
    second: {
      ...{ issuer: `${url}/realms/${SECOND_REALM}`, clientSecret: passwordOf('custody') },
    },
    saml: {
      entryPoint: `${protocol}/saml`,
      entityId: issuer,
      async certificate() {
        const descriptor = await (await fetch(`${protocol}/saml/descriptor`)).text()
        const found = [...descriptor.matchAll(/X509Certificate>([^<]+)</g)].map(([, text]) => text!)
        return [...new Set(found)].map(
          (text) =>
            `-----BEGIN CERTIFICATE-----\n${text.replace(/.{64}/g, '$&\n')}\n-----END CERTIFICATE-----\n`,
        )
      },
    },
    async registerSaml(metadata) {
      const client = await admin(
        'POST',
        `/${REALM}/client-description-converter`,
        metadata,
        'application/xml',
      )
      const attribute = (name: string, protocolMapper: string, config: object) => ({
        ...{ name, protocol: 'saml', protocolMapper },
        config: { 'attribute.name': name, 'attribute.nameformat': 'Basic', ...config },
      })
      samlClient = await admin('POST', `/${REALM}/clients`, {
        ...client,
        attributes: {
          ...client.attributes,
          saml_name_id_format: 'username',
          'saml.server.signature': 'true',
          'saml.assertion.signature': 'true',
          'saml.client.signature': 'false',
        },
        protocolMappers: [
          attribute('groups', 'saml-group-membership-mapper', {
            ...{ single: 'true', 'full.path': 'false' },
          }),
          attribute('email', 'saml-user-property-mapper', { 'user.attribute': 'email' }),
        ],
      })
    },
    signIn,
    async tokens(account) {
      const verifier = randomBytes(32).toString('base64url')
      const browser = await new Browser().open(
        `${protocol}/openid-connect/auth?${new URLSearchParams({
          client_id: 'custody',
          response_type: 'code',
          redirect_uri: CALLBACK,
          scope: 'openid',
          code_challenge: createHash('sha256').update(verifier).digest('base64url'),
          code_challenge_method: 'S256',
        })}`,
      )
      await signIn(browser, account)
      const code = new URL(browser.url).searchParams.get('code')
      if (!code) throw new Error(`${browser.url}\n${browser.page}`)
      return token({
        ...{ grant_type: 'authorization_code', client_id: 'custody', code },
        ...{ redirect_uri: CALLBACK, code_verifier: verifier },
      })
    },
    async jobToken(client) {
      const { access_token } = await token({
        ...{ grant_type: 'client_credentials', client_id: client },
        client_secret: passwordOf(client),
      })
      return access_token
    },
    leaveGroup: async (account, group) => admin('DELETE', await membership(account, group)),
    joinGroup: async (account, group) => admin('PUT', await membership(account, group)),
    async encryptSaml(certificate) {
      const client = await admin('GET', `/${REALM}/clients/${samlClient}`)
      const body = certificate?.replace(/-----[^-]+-----|\s/g, '')
      const attributes = {
        ...client.attributes,
        'saml.encrypt': String(certificate !== null),
        ...(body && { 'saml.encryption.certificate': body }),
      }
      await admin('PUT', `/${REALM}/clients/${samlClient}`, { ...client, attributes })
    },
    async rotate() {
      const { id } = await admin('GET', `/${REALM}`)
      await admin('POST', `/${REALM}/components`, {
        ...{ name: 'newer', parentId: id, providerId: 'rsa-generated' },
        providerType: 'org.keycloak.keys.KeyProvider',
        config: { priority: ['200'], enabled: ['true'], active: ['true'], algorithm: ['RS256'] },
      })
    },
  }
}
