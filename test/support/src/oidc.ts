/**
 * A real OpenID provider for tests, and somebody who signs in there.
 */
import { spawn } from 'node:child_process'
import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { join } from 'node:path'
import { freePort } from '@custody/kit'
import { Browser } from './browser'

export interface OidcProvider {
  issuer: string
  /** A job's token: JWT, audience `urn:custody`, claims `repository` and `ref`. */
  jobToken(): Promise<string>
  /** A person's ID token: audience `custody-cli`. Ada and Bo are in groups. */
  idToken(account: string): Promise<string>
  /** Signs in at a page that somebody was sent to, and answers what the browser was left with: a URL and its page. */
  browse(url: string, account: string): Promise<{ url: string; page: string }>
  /** The same with a browser that is at the provider already. */
  signIn(browser: Browser, account: string): Promise<void>
  /** Ada leaves the group sre, or comes back to it. */
  moveAda(): Promise<void>
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
    signIn,
    async moveAda() {
      child.kill('SIGUSR2')
      await until('moved')
    },
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

async function browse(url: string, account: string): Promise<{ url: string; page: string }> {
  const browser = await new Browser().open(url)
  await signIn(browser, account)
  return { url: browser.url, page: browser.page }
}

/** Goes through the provider's pages as this account, until it is sent away or there is nothing more to fill in. */
async function signIn(browser: Browser, account: string): Promise<void> {
  const { host } = new URL(browser.url)
  for (let step = 0; step < PAGES_MAX; step++) {
    const [form] = browser.forms()
    if (new URL(browser.url).host !== host || !form) return
    const values: Record<string, string> = {}
    if (form.values.has('login')) values.login = account
    if (form.values.has('password')) values.password = 'any'
    await browser.submit(values)
  }
  throw new Error(`no end after ${PAGES_MAX} pages: ${browser.url}`)
}

const PAGES_MAX = 10
