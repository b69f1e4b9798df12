/**
 * HashiCorp Vault over HTTP, as far as Custody needs it: one key of a KV version 2 secret, and the token to read it with
 * (given, or from an AppRole or Kubernetes login, which is renewed before its lease ends and made anew when refused).
 * Refuses redirects, certificates that don't verify, and answers that are too long or too late. Keeps no value that it
 * read, and repeats nothing of what Vault answered: an answer may hold what was asked for, or what was sent.
 */
import { readFileSync } from 'node:fs'
import { request as httpRequest, type IncomingMessage } from 'node:http'
import { request as httpsRequest } from 'node:https'
import { CustodyError } from './errors'
import { type KeptSecret, readSecret, type VaultSecret } from './secret'

export interface VaultSettings {
  address: string
  /** Exactly one of these three is there. */
  token?: KeptSecret | undefined
  appRole?: { mount: string; roleId: string; secretId: KeptSecret } | undefined
  kubernetes?: { mount: string; role: string; tokenFile: string } | undefined
  namespace?: string | undefined
  tlsCa?: string | undefined
  cacheSecondsMax: number
  staleSecondsMax: number
}

const ANSWER_BYTES_MAX = 1024 * 1024
/** A login is renewed when this share of its lease is over. */
const RENEW_AFTER = 2 / 3

interface Login {
  token: string
  renewable: boolean
  /** What the login gave; a renewal that gives much less is near the longest that it may live. */
  leaseMs: number
  renewFromMs: number
  endsMs: number
}

interface Answer {
  status: number
  body: Buffer
}

/** Vault at one address. */
export class VaultClient {
  private login: Login | null = null
  private loggingIn: Promise<string> | null = null

  constructor(
    private readonly settings: VaultSettings,
    private readonly address = settings.address,
  ) {}

  /**
   * Rejects with CUSTODY-VAULT-001 where Vault could not be asked or did not answer as Vault does, and with -002 or -003
   * where it said no.
   */
  async read({ vault: at }: VaultSecret, readMsMax: number): Promise<string> {
    const signal = AbortSignal.timeout(readMsMax)
    const what = `${at.mount}/${at.path}`
    const get = (token: string) =>
      this.ask('GET', `${segments(at.mount)}/data/${segments(at.path)}`, signal, {
        token,
        namespace: at.namespace ?? this.settings.namespace,
      })
    let token = await this.token(signal)
    let answer = await get(token)
    if (answer.status === 403) {
      // Revoked or expired, perhaps; or the path is not permitted, and then a new token does not help.
      const other = await this.token(signal, token)
      if (other !== token) {
        token = other
        answer = await get(token)
      }
    }
    if (answer.status === 403)
      throw new CustodyError('CUSTODY-VAULT-002', `Vault does not let Custody read ${what}`)
    // Not there, no such mount, or the latest version is deleted or destroyed.
    if (answer.status === 404)
      throw new CustodyError('CUSTODY-VAULT-003', `Vault has no ${what} that could be read`)
    const data = dataOf(this.json(answer))
    if (data === null) throw this.unusual('it answered something that is no KV version 2 secret')
    const value = Object.hasOwn(data, at.key) ? data[at.key] : undefined
    if (typeof value !== 'string' || value === '')
      throw new CustodyError(
        'CUSTODY-VAULT-003',
        `the secret ${what} in Vault has no text under the key ${JSON.stringify(at.key)}`,
      )
    return value
  }

  /** A token to present; never `refused`, unless there is no other. */
  private token(signal: AbortSignal, refused?: string): Promise<string> {
    const { token } = this.settings
    // Read each time: an agent beside Custody may keep it fresh.
    if (token) return Promise.resolve(presentable(readSecret(token).trim()))
    if (this.login?.token === refused) this.login = null
    if (this.login && Date.now() < this.login.renewFromMs) return Promise.resolve(this.login.token)
    this.loggingIn ??= this.signIn(signal).finally(() => {
      this.loggingIn = null
    })
    return this.loggingIn
  }

  private async signIn(signal: AbortSignal): Promise<string> {
    const held = this.login
    if (held?.renewable && Date.now() < held.endsMs) {
      const renewed = await this.renew(held, signal).catch(() => null)
      if (renewed) {
        this.login = renewed
        return renewed.token
      }
    }
    this.login = null
    const { appRole, kubernetes } = this.settings
    const [mount, body] = appRole
      ? [appRole.mount, { role_id: appRole.roleId, secret_id: readSecret(appRole.secretId).trim() }]
      : [
          kubernetes!.mount,
          { role: kubernetes!.role, jwt: readSecret({ file: kubernetes!.tokenFile }).trim() },
        ]
    const answer = await this.ask('POST', `auth/${segments(mount)}/login`, signal, {
      namespace: this.settings.namespace,
      body,
    })
    // AppRole answers 400 to a wrong secret id, Kubernetes 403 to a wrong token; 404 is a method not enabled there.
    if ([400, 403, 404].includes(answer.status))
      throw new CustodyError(
        'CUSTODY-VAULT-002',
        `Vault refused the login at auth/${mount} (${answer.status})`,
      )
    const login = this.loginOf(answer)
    this.login = login
    return login.token
  }

  /** Null where it can't go on for as long as a new one would. */
  private async renew(held: Login, signal: AbortSignal): Promise<Login | null> {
    const answer = await this.ask('POST', 'auth/token/renew-self', signal, {
      token: held.token,
      namespace: this.settings.namespace,
      body: {},
    })
    if (answer.status !== 200) return null
    const renewed = this.loginOf(answer)
    if (renewed.leaseMs < held.leaseMs * (1 - RENEW_AFTER)) return null
    return { ...renewed, leaseMs: held.leaseMs }
  }

  private loginOf(answer: Answer): Login {
    const auth = (this.json(answer) as { auth?: Record<string, unknown> | null } | null)?.auth
    const lease = auth?.lease_duration
    if (typeof auth?.client_token !== 'string' || typeof lease !== 'number' || !(lease >= 0))
      throw this.unusual('it answered a login without a token and its lease')
    const now = Date.now()
    // A lease of 0 does not end.
    const leaseMs = lease === 0 ? Number.POSITIVE_INFINITY : lease * 1000
    return {
      token: presentable(auth.client_token),
      renewable: auth.renewable === true,
      leaseMs,
      renewFromMs: now + leaseMs * RENEW_AFTER,
      endsMs: now + leaseMs,
    }
  }

  private json(answer: Answer): unknown {
    if (answer.status >= 300 && answer.status < 400)
      throw this.unusual(
        `it redirects elsewhere (${answer.status}), and redirects are not followed: name the address that answers itself`,
      )
    if (answer.status !== 200)
      throw this.unusual(
        `it answered ${answer.status}${answer.status === 503 ? ' (sealed or in maintenance)' : ''}`,
      )
    try {
      return JSON.parse(answer.body.toString('utf8'))
    } catch {
      // The parser's own words quote what it could not parse.
      throw this.unusual('its answer is no JSON')
    }
  }

  private async ask(
    method: 'GET' | 'POST',
    path: string,
    signal: AbortSignal,
    o: { token?: string; namespace?: string | undefined; body?: object },
  ): Promise<Answer> {
    const url = new URL(`${this.address.replace(/\/+$/, '')}/v1/${path}`)
    const body = o.body === undefined ? undefined : Buffer.from(JSON.stringify(o.body))
    const headers: Record<string, string | number> = {
      accept: 'application/json',
      'x-vault-request': 'true',
      ...(o.token === undefined ? {} : { 'x-vault-token': o.token }),
      ...(o.namespace === undefined ? {} : { 'x-vault-namespace': o.namespace }),
      ...(body === undefined
        ? {}
        : { 'content-type': 'application/json', 'content-length': body.length }),
    }
    const common = { method, headers, signal, agent: false } as const
    try {
      return await new Promise<Answer>((resolve, reject) => {
        const take = (response: IncomingMessage) => collect(response, resolve, reject)
        const request =
          url.protocol === 'https:'
            ? httpsRequest(
                url,
                {
                  ...common,
                  ca: this.settings.tlsCa ? readFileSync(this.settings.tlsCa) : undefined,
                  minVersion: 'TLSv1.2',
                  // Also where the environment says otherwise.
                  rejectUnauthorized: true,
                },
                take,
              )
            : httpRequest(url, common, take)
        request.on('error', reject)
        request.end(body)
      })
    } catch (error) {
      // Only its words: the error of a broken answer carries the answer's bytes.
      throw this.unusual(
        signal.aborted
          ? 'it did not answer in time'
          : `it can't be asked: ${(error as Error).message}`,
      )
    }
  }

  private unusual(what: string): CustodyError {
    return new CustodyError('CUSTODY-VAULT-001', `Vault at ${this.address}: ${what}`)
  }
}

function collect(
  response: IncomingMessage,
  resolve: (answer: Answer) => void,
  reject: (error: Error) => void,
): void {
  const parts: Buffer[] = []
  let bytes = 0
  response.on('error', reject)
  response.on('data', (part: Buffer) => {
    bytes += part.length
    if (bytes > ANSWER_BYTES_MAX)
      response.destroy(new Error(`its answer has more than ${ANSWER_BYTES_MAX} bytes`))
    else parts.push(part)
  })
  response.on('end', () =>
    resolve({ status: response.statusCode ?? 0, body: Buffer.concat(parts) }),
  )
}

/** `data.data` of an answer, where it has the shape that version 2 of the engine gives. */
function dataOf(answer: unknown): Record<string, unknown> | null {
  const outer = (answer as { data?: { data?: unknown; metadata?: unknown } | null } | null)?.data
  const { data, metadata } = outer ?? {}
  return isObject(data) && isObject(metadata) ? data : null
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function segments(path: string): string {
  return path.split('/').map(encodeURIComponent).join('/')
}

/** As a header's value; what is no token must not travel as one. */
function presentable(token: string): string {
  if (!/^[\x21-\x7e]{1,8192}$/.test(token))
    throw new CustodyError('CUSTODY-VAULT-002', 'what should be a Vault token has not its form')
  return token
}
