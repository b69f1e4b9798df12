/**
 * A real OpenID provider (oidc-provider, certified) as a process of its own: any account signs in with any password; Ada and Bo are in
 * groups. Prints its URL. On SIGHUP it rotates its keys; on SIGUSR2 Ada leaves the group sre, or comes back to it.
 */
import { exportJWK, generateKeyPair } from 'jose'
import Provider from 'oidc-provider'

const key = async () => {
  const { privateKey } = await generateKeyPair('RS256', { extractable: true })
  return {
    ...(await exportJWK(privateKey)),
    alg: 'RS256',
    use: 'sig',
    kid: String(Math.random()).slice(2),
  }
}
let server
const groups = { ada: ['dba', 'sre'], bo: ['analysts'] }
async function start(port, keys) {
  const provider = new Provider(`http://127.0.0.1:${port}`, {
    jwks: { keys },
    clients: [
      {
        client_id: 'custody-cli',
        token_endpoint_auth_method: 'none',
        application_type: 'native',
        grant_types: ['authorization_code', 'urn:ietf:params:oauth:grant-type:device_code'],
        response_types: ['code'],
        redirect_uris: ['http://127.0.0.1/callback', 'http://127.0.0.1/sign-in/callback'],
      },
      {
        client_id: 'ci',
        client_secret: 'ci-secret',
        grant_types: ['client_credentials'],
        response_types: [],
        redirect_uris: [],
      },
    ],
    claims: {
      openid: ['sub'],
      email: ['email', 'email_verified'],
      profile: ['name'],
      groups: ['groups'],
    },
    scopes: ['openid', 'email', 'profile', 'groups'],
    conformIdTokenClaims: false,
    ttl: { IdToken: 600, ClientCredentials: 600 },
    features: {
      devInteractions: { enabled: true },
      deviceFlow: { enabled: true },
      clientCredentials: { enabled: true },
      resourceIndicators: {
        enabled: true,
        defaultResource: () => 'urn:custody',
        getResourceServerInfo: (_context, resource) => ({
          scope: 'run',
          audience: resource,
          accessTokenFormat: 'jwt',
          jwt: { sign: { alg: 'RS256' } },
        }),
      },
    },
    extraTokenClaims: () => ({ repository: 'acme/shop', ref: 'refs/heads/main' }),
    async findAccount(_context, id) {
      return {
        accountId: id,
        claims: () => ({
          sub: id,
          email: `${id}@example.com`,
          email_verified: !id.startsWith('unverified'),
          name: id[0].toUpperCase() + id.slice(1),
          groups: groups[id] ?? [],
        }),
      }
    },
  })
  provider.proxy = false
  server = await new Promise((resolve) => {
    const one = provider.listen(port, '127.0.0.1', () => resolve(one))
  })
}

const port = Number(process.argv[2])
const first = await key()
await start(port, [first])
process.on('SIGHUP', async () => {
  server.closeAllConnections()
  await new Promise((resolve) => server.close(resolve))
  await start(port, [await key()])
  console.log('rotated')
})
process.on('SIGUSR2', () => {
  groups.ada = groups.ada.includes('sre') ? ['dba'] : ['dba', 'sre']
  console.log('moved')
})
console.log('listening')
