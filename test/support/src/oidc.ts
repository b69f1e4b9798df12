/**
 * A real OpenID provider for tests, and somebody who signs in there as a browser does: following redirects, keeping cookies,
 * filling in forms.
 */
import { spawn } from 'node:child_process'
import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { createServer } from 'node:net'
import { join } from 'node:path'

export interface OidcProvider {
  issuer: string
  /** A job's token: JWT, audience `urn:custody`, claims `repository` and `ref`. */
  jobToken(): Promise<string>
  /** A person's ID token: audience `custody-cli`. Ada and Bo are in groups. */
  idToken(account: string): Promise<string>
  /** Signs in at a page that somebody was sent to, and answers what the browser was left with: a URL and its page. */
  browse(url: string, account: string): Promise<{ url: string; page: string }>
  /** From now on signs with another key. */
  rotate(): Promise<void>
  stop(): Promise<void>
}

export async function startOidcProvider(): Promise<OidcProvider> {
  const port = await freePort()
  const issuer = `http://127.0.0.1:${port}`
  const child = spawn(
    process.execPath,
    ['--no-warnings', join(__dirname, '../oidc-provider.mjs'), String(port)],
    {
      stdio: ['ignore', 'pipe', 'pipe'],
    },
  )
  let said = ''
  for (const stream of [child.stdout, child.stderr])
    stream.on('data', (data) => {
      said += data
    })
  const until = async (text: string) => {
    while (!said.includes(text)) {
      if (child.exitCode !== null) throw new Error(said)
      await new Promise((resolve) => setTimeout(resolve, 20))
    }
    said = ''
  }
  await until('listening')

  async function token(body: Record<string, string>, authorization?: string) {
    const response = await fetch(`${issuer}/token`, {
      method: 'POST',
      headers: { ...(authorization && { authorization }) },
      body: new URLSearchParams(body),
    })
    const answer = (await response.json()) as Record<string, string>
    if (!response.ok) throw new Error(JSON.stringify(answer))
    return answer
  }

  return {
    issuer,
    async jobToken() {
      const basic = `Basic ${Buffer.from('ci:ci-secret').toString('base64')}`
      return (await token({ grant_type: 'client_credentials', scope: 'run' }, basic)).access_token!
    },
    async idToken(account) {
      const verifier = randomBytes(32).toString('base64url')
      const redirect = 'http://127.0.0.1:9/callback'
      const url = new URL(`${issuer}/auth`)
      for (const [name, value] of Object.entries({
        client_id: 'custody-cli',
        response_type: 'code',
        redirect_uri: redirect,
        scope: 'openid email profile groups',
        code_challenge: createHash('sha256').update(verifier).digest('base64url'),
        code_challenge_method: 'S256',
      }))
        url.searchParams.set(name, value)
      const left = await browse(url.href, account)
      const code = new URL(left.url).searchParams.get('code')
      if (!code) throw new Error(`${left.url}\n${left.page}`)
      const answer = await token({
        grant_type: 'authorization_code',
        client_id: 'custody-cli',
        code,
        redirect_uri: redirect,
        code_verifier: verifier,
      })
      return answer.id_token!
    },
    browse,
    async rotate() {
      child.kill('SIGHUP')
      await until('rotated')
    },
    async stop() {
      if (child.exitCode !== null) return
      const gone = once(child, 'exit')
      child.kill('SIGKILL')
      await gone
    },
  }
}

const STEPS_MAX = 25

/** As a browser would, up to a page without a form or one that is not the provider's. */
async function browse(start: string, account: string): Promise<{ url: string; page: string }> {
  const cookies = new Map<string, string>()
  const { host } = new URL(start)
  let url = start
  let body: URLSearchParams | undefined
  for (let step = 0; step < STEPS_MAX; step++) {
    if (new URL(url).host !== host && new URL(url).port === '9') return { url, page: '' }
    const response: Response = await fetch(url, {
      method: body ? 'POST' : 'GET',
      redirect: 'manual',
      headers: { cookie: [...cookies].map(([name, value]) => `${name}=${value}`).join('; ') },
      ...(body && { body }),
    })
    for (const line of response.headers.getSetCookie()) {
      const [pair = ''] = line.split(';')
      cookies.set(pair.slice(0, pair.indexOf('=')), pair.slice(pair.indexOf('=') + 1))
    }
    body = undefined
    const location = response.headers.get('location')
    if (location) {
      url = new URL(location, url).href
      continue
    }
    const page = await response.text()
    const form = /<form[^>]*action="([^"]*)"[^>]*>([\s\S]*?)<\/form>/.exec(page)
    if (!form || new URL(url).host !== host) return { url, page }
    url = new URL(form[1]!.replaceAll('&amp;', '&'), url).href
    body = new URLSearchParams()
    for (const [input] of form[2]!.matchAll(/<input[^>]*>/g)) {
      const name = /name="([^"]*)"/.exec(input)?.[1]
      if (name) body.set(name, /value="([^"]*)"/.exec(input)?.[1] ?? '')
    }
    if (body.has('login')) body.set('login', account)
    if (body.has('password')) body.set('password', 'any')
  }
  throw new Error(`no end after ${STEPS_MAX} pages: ${url}`)
}

async function freePort(): Promise<number> {
  const server = createServer()
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as { port: number }
  server.close()
  await once(server, 'close')
  return port
}
