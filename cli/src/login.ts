/**
 * `custody login`: signs in at an OpenID provider, by browser (authorization code with PKCE on loopback: RFC 8252, RFC 7636)
 * or with a code to type elsewhere (RFC 8628), and exchanges its ID token for a short-lived Custody token, which is kept.
 * Refuses to keep what the provider gave; it is used once.
 */
import { spawn } from 'node:child_process'
import { createHash, randomBytes } from 'node:crypto'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { CustodyError } from '@custody/kit'
import type { Configuration as Client } from 'openid-client'
import { usageError } from './arguments'
import { type Api, ApiError, openApi, storeToken } from './client'
import type { Command, Context } from './commands'
import type { Json } from './show'
import { certified } from './ssh-files'

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
    console: { help: 'by way of Custody’s own pages, which also know SAML' },
    'no-browser': { help: 'only print the address to open' },
  },
  positionalsMin: 0,
  positionalsMax: 0,
  examples: ['custody login', 'custody login --device'],
  async run(context) {
    const { subject, email, expires, id } = await signIn(context)
    const ssh = await bySsh(context)
    if (context.output.json)
      context.output.object({ subject, email, expires, id, ...(ssh && { ssh }) })
    else {
      context.output.line(`You are ${email ?? subject}, until ${expires}.`)
      if (ssh) context.output.line(`By SSH as well: ${ssh.certificate}, until ${ssh.expires}.`)
    }
    return 0
  },
}

/** Where some resource speaks SSH, a certificate is made at once: nobody then thinks of one before ssh is called. */
async function bySsh(context: Context): Promise<Json | null> {
  const one = openApi(context.home, context.environment)
  const { resources } = await one.get<Json>('/api/v1/status')
  if (!resources.some((each: Json) => each.protocol === 'ssh')) return null
  try {
    const { expires, files } = await certified(context, one, {}, true)
    return { expires, certificate: files.certificate, key: files.key }
  } catch (error) {
    // Signed in is signed in: no ssh-keygen here, or the authority is elsewhere.
    context.output.remark(`There is no SSH certificate: ${(error as Error).message}`)
    return null
  }
}

/** Signs in and keeps the token; answers what is told of it. */
export async function signIn(context: Context): Promise<Json> {
  const { given, environment, home } = context
  const api = openApi(home, environment)
  const { issuers, browser } = await api.get<{ issuers: Issuer[]; browser: boolean }>(
    '/api/v1/identity',
  )
  const wanted = given.text('issuer')
  const issuer = wanted ? issuers.find((one) => one.issuer === wanted) : issuers[0]
  const throughConsole = given.has('console') || (issuers.length === 0 && browser)
  if (!issuer && !throughConsole)
    throw new CustodyError(
      'CUSTODY-CLI-007',
      issuers.length === 0
        ? 'no identity provider is configured to sign in at'
        : `there is no provider ${wanted}; there is ${issuers.map((one) => one.issuer).join(', ')}`,
    )
  if (!wanted && !throughConsole && issuers.length > 1)
    throw usageError(`--issuer is needed: ${issuers.map((one) => one.issuer).join(', ')}`, login)
  let answer: Json
  try {
    answer = throughConsole
      ? await byConsole(context, api)
      : await exchanged(context, await atProvider(context, issuer!))
  } catch (cause) {
    if (cause instanceof CustodyError || cause instanceof ApiError) throw cause
    const { message, error_description: described } = cause as Error & {
      error_description?: string
    }
    throw new CustodyError('CUSTODY-CLI-008', `signing in failed: ${described ?? message}`, {
      cause,
    })
  }
  const { token, id, subject, expires } = answer
  storeToken(environment, api.url, { token, id, subject, expires })
  return answer
}

async function atProvider(context: Context, issuer: Issuer): Promise<string> {
  const oidc = await import('openid-client')
  const url = new URL(issuer.issuer)
  const client = await oidc.discovery(url, issuer.clientId, undefined, oidc.None(), {
    execute: url.protocol === 'http:' ? [oidc.allowInsecureRequests] : [],
  })
  const how = context.given.has('device') ? byDevice : byBrowser
  const idToken = await how(oidc, client, issuer, context)
  if (!idToken)
    throw new CustodyError(
      'CUSTODY-CLI-008',
      'the provider gave no ID token; is `openid` among the scopes?',
    )
  return idToken
}

function exchanged({ home, environment }: Context, idToken: string): Promise<Json> {
  return openApi(home, { ...environment, CUSTODY_TOKEN: idToken }).post<Json>(
    '/api/v1/tokens/own',
    {},
  )
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
        `/api/v1/tokens/${encodeURIComponent(before.id)}?alone=true`,
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
  const challenge = await oidc.calculatePKCECodeChallenge(verifier)
  const answered = await throughBrowser(context, state, (redirect) =>
    oidc.buildAuthorizationUrl(client, {
      redirect_uri: redirect.href,
      scope: issuer.scopes.join(' '),
      code_challenge: challenge,
      code_challenge_method: 'S256',
      state,
      nonce,
    }),
  )
  const tokens = await oidc.authorizationCodeGrant(client, answered, {
    pkceCodeVerifier: verifier,
    expectedState: state,
    expectedNonce: nonce,
  })
  return tokens.id_token
}

/** By the console, which knows providers that a command line can't speak to: SAML, confidential clients. */
async function byConsole(context: Context, api: Api): Promise<Json> {
  const random = () => randomBytes(32).toString('base64url')
  const verifier = random()
  const state = random()
  const challenge = createHash('sha256').update(verifier).digest('base64url')
  const answered = await throughBrowser(context, state, ({ port }) => {
    const url = new URL('/sign-in/cli', api.url)
    url.search = new URLSearchParams({ port, state, challenge }).toString()
    return url
  })
  return api.post<Json>('/api/v1/tokens/exchange', {
    code: answered.searchParams.get('code'),
    verifier,
  })
}

/** Sends the browser somewhere and waits on loopback until it comes back with `state`: where to, with its answer. */
async function throughBrowser(
  context: Context,
  state: string,
  whereTo: (redirect: URL) => URL,
): Promise<URL> {
  const server = createServer()
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(0, '127.0.0.1', resolve)
  })
  const redirect = new URL(`http://127.0.0.1:${(server.address() as AddressInfo).port}/callback`)
  let timer: NodeJS.Timeout | undefined
  try {
    const answered = new Promise<URL>((resolve, reject) => {
      timer = setTimeout(
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
        response
          .writeHead(200, { 'content-type': 'text/plain; charset=utf-8', connection: 'close' })
          .end('You can close this window and go back to the terminal.\n')
        resolve(asked)
      })
    })
    const url = whereTo(redirect)
    context.output.remark(`Sign in here:\n\n  ${url.href}\n`)
    if (!context.given.has('no-browser')) openBrowser(url.href)
    return await answered
  } finally {
    clearTimeout(timer)
    server.close()
    server.closeAllConnections()
  }
}

async function byDevice(oidc: Oidc, client: Client, issuer: Issuer, { output }: Context) {
  // Providers that ask PKCE of a client may ask it here as well (Keycloak does); others ignore it.
  const verifier = oidc.randomPKCECodeVerifier()
  const asked = await oidc.initiateDeviceAuthorization(client, {
    scope: issuer.scopes.join(' '),
    code_challenge: await oidc.calculatePKCECodeChallenge(verifier),
    code_challenge_method: 'S256',
  })
  output.remark(
    `Open ${asked.verification_uri} on any machine and type ${asked.user_code}${asked.verification_uri_complete ? `,\nor open ${asked.verification_uri_complete}` : ''}`,
  )
  const tokens = await oidc.pollDeviceAuthorizationGrant(client, asked, { code_verifier: verifier })
  return tokens.id_token
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
