/**
 * `custody login`: signs in at an OpenID provider, by browser (authorization code with PKCE on loopback: RFC 8252, RFC 7636)
 * or with a code to type elsewhere (RFC 8628), and exchanges its ID token for a short-lived Custody token, which is kept.
 * Refuses to keep what the provider gave; it is used once.
 */
import { spawn } from 'node:child_process'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { CustodyError } from '@custody/kit'
import type { Configuration as Client } from 'openid-client'
import { usageError } from './arguments'
import { openApi, storeToken } from './client'
import type { Command, Context } from './commands'
import type { Json } from './show'

/** How long the browser may take. */
const BROWSER_MS_MAX = 5 * 60_000

interface Issuer {
  issuer: string
  clientId: string
  scopes: string[]
}

export const login: Command = {
  name: 'login',
  summary: 'sign in at your identity provider',
  details: [
    'Opens a browser, or with --device shows a code to type on another machine. What is kept is a Custody token for some',
    'hours, in ~/.config/custody/tokens.json; from then on you are yourself here, and not the local administrator.',
  ],
  options: {
    issuer: { value: 'url', help: 'which provider, where there are several' },
    device: { help: 'show a code to type elsewhere, instead of opening a browser' },
    'no-browser': { help: 'only print the address to open' },
  },
  positionalsMin: 0,
  positionalsMax: 0,
  examples: ['custody login', 'custody login --device'],
  async run(context) {
    const { given, output, environment, home } = context
    const api = openApi(home, environment)
    const { issuers } = await api.get<{ issuers: Issuer[] }>('/api/v1/identity')
    const wanted = given.text('issuer')
    const issuer = wanted ? issuers.find((one) => one.issuer === wanted) : issuers[0]
    if (!issuer)
      throw new CustodyError(
        'CUSTODY-CLI-007',
        issuers.length === 0
          ? 'no identity provider is configured to sign in at'
          : `there is no provider ${wanted}; there is ${issuers.map((one) => one.issuer).join(', ')}`,
      )
    if (!wanted && issuers.length > 1)
      throw usageError(`--issuer is needed: ${issuers.map((one) => one.issuer).join(', ')}`, login)
    let idToken: string | undefined
    try {
      const oidc = await import('openid-client')
      const url = new URL(issuer.issuer)
      const client = await oidc.discovery(url, issuer.clientId, undefined, oidc.None(), {
        execute: url.protocol === 'http:' ? [oidc.allowInsecureRequests] : [],
      })
      idToken = await (given.has('device') ? byDevice : byBrowser)(oidc, client, issuer, context)
    } catch (cause) {
      if (cause instanceof CustodyError) throw cause
      const { message, error_description: described } = cause as Error & {
        error_description?: string
      }
      throw new CustodyError('CUSTODY-CLI-008', `signing in failed: ${described ?? message}`, {
        cause,
      })
    }
    if (!idToken)
      throw new CustodyError(
        'CUSTODY-CLI-008',
        'the provider gave no ID token; is `openid` among the scopes?',
      )
    const answer = await openApi(home, { ...environment, CUSTODY_TOKEN: idToken }).post<Json>(
      '/api/v1/tokens/own',
      {},
    )
    const { token, id, subject, email, expires } = answer
    storeToken(environment, api.url, { token, id, subject, expires })
    if (output.json) output.object({ subject, email, expires, id })
    else output.line(`You are ${email ?? subject}, until ${expires}.`)
    return 0
  },
}

export const logout: Command = {
  name: 'logout',
  summary: 'forget and revoke the token that login keeps',
  options: {},
  positionalsMin: 0,
  positionalsMax: 0,
  async run({ output, environment, home }) {
    const api = openApi(home, { ...environment, CUSTODY_TOKEN: undefined })
    const before = storeToken(environment, api.url, null)
    if (before && Date.parse(before.expires) > Date.now())
      await openApi(home, { ...environment, CUSTODY_TOKEN: before.token }).delete(
        `/api/v1/tokens/${encodeURIComponent(before.id)}`,
      )
    if (output.json) output.object({ loggedOut: before !== undefined })
    else output.line(before ? `${before.subject} is signed out.` : 'Nobody was signed in.')
    return 0
  },
}

type Oidc = typeof import('openid-client')

async function byBrowser(oidc: Oidc, client: Client, issuer: Issuer, context: Context) {
  const verifier = oidc.randomPKCECodeVerifier()
  const state = oidc.randomState()
  const nonce = oidc.randomNonce()
  const server = createServer()
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(0, '127.0.0.1', resolve)
  })
  const redirect = `http://127.0.0.1:${(server.address() as AddressInfo).port}/callback`
  try {
    const url = oidc.buildAuthorizationUrl(client, {
      redirect_uri: redirect,
      scope: issuer.scopes.join(' '),
      code_challenge: await oidc.calculatePKCECodeChallenge(verifier),
      code_challenge_method: 'S256',
      state,
      nonce,
    })
    const answered = new Promise<URL>((resolve, reject) => {
      const timer = setTimeout(
        () => reject(new Error(`nobody signed in within ${BROWSER_MS_MAX / 60_000} minutes`)),
        BROWSER_MS_MAX,
      )
      server.on('request', (request, response) => {
        const asked = new URL(request.url ?? '/', redirect)
        // Only the answer to this very question; anything else on this machine may knock here.
        if (asked.pathname !== '/callback' || asked.searchParams.get('state') !== state) {
          response.writeHead(404).end()
          return
        }
        clearTimeout(timer)
        response
          .writeHead(200, { 'content-type': 'text/plain; charset=utf-8', connection: 'close' })
          .end('You can close this window and go back to the terminal.\n')
        resolve(asked)
      })
    })
    context.output.remark(`Sign in here:\n\n  ${url.href}\n`)
    if (!context.given.has('no-browser')) openBrowser(url.href)
    const tokens = await oidc.authorizationCodeGrant(client, await answered, {
      pkceCodeVerifier: verifier,
      expectedState: state,
      expectedNonce: nonce,
    })
    return tokens.id_token
  } finally {
    server.close()
    server.closeAllConnections()
  }
}

async function byDevice(oidc: Oidc, client: Client, issuer: Issuer, { output }: Context) {
  const asked = await oidc.initiateDeviceAuthorization(client, { scope: issuer.scopes.join(' ') })
  output.remark(
    `Open ${asked.verification_uri} on any machine and type ${asked.user_code}${asked.verification_uri_complete ? `,\nor open ${asked.verification_uri_complete}` : ''}`,
  )
  return (await oidc.pollDeviceAuthorizationGrant(client, asked)).id_token
}

/** Where there is none, the printed address is there. */
function openBrowser(url: string): void {
  const program = process.platform === 'darwin' ? 'open' : 'xdg-open'
  try {
    const child = spawn(program, [url], { stdio: 'ignore', detached: true })
    child.once('error', () => {})
    child.unref()
  } catch {
    // Printed already.
  }
}
