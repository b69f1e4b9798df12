/**
 * A simulator of HashiCorp Vault's HTTP interface, not Vault: no program of it can be had here. It checks what Vault's
 * published documentation says that Vault checks (paths, mounts, X-Vault-Token, X-Vault-Namespace, logins and their
 * leases) and answers in its shapes, KV version 2 with deleted versions included. Refuses to do anything else: no
 * policies beyond "this token may read these paths", no seal, no storage.
 */
import { randomUUID } from 'node:crypto'
import { createServer as createHttp, type IncomingMessage, type ServerResponse } from 'node:http'
import { createServer as createHttps } from 'node:https'
import type { AddressInfo } from 'node:net'
import type { TestCertificate } from './certificate'

/** What is wrong with it, for tests of what then happens. */
export type VaultTrouble =
  | 'sealed'
  | 'standby'
  | 'garbage'
  | 'kv-version-1'
  | 'silent'
  | 'endless'
  | 'cut'
  | 'echo'

export interface VaultSimulator {
  /** `http://127.0.0.1:…`, https with a certificate. */
  readonly address: string
  /** Every request: `GET secret/data/a 200`, in order. */
  readonly requests: string[]
  trouble: VaultTrouble | null
  /** Of the logins to come. */
  lease: { seconds: number; renewable: boolean; secondsMax: number }
  /** A new version of a secret. */
  write(
    path: string,
    data: Record<string, unknown>,
    o?: { mount?: string; namespace?: string },
  ): void
  /** Soft-deletes the latest version. */
  remove(path: string, o?: { mount?: string; namespace?: string }): void
  /** A token that is simply there; `reads` are the paths (`secret/data/a`) that its policies permit, all by default. */
  permit(token: string, o?: { namespace?: string; reads?: readonly string[] }): void
  appRole(roleId: string, secretId: string, o?: { mount?: string; namespace?: string }): void
  kubernetes(role: string, jwt: string, o?: { mount?: string; namespace?: string }): void
  /** Ends every token that a login gave. */
  revokeLogins(): void
  stop(): Promise<void>
}

interface Token {
  namespace: string
  reads: readonly string[] | null
  endsMs: number
  /** Renewals end here. */
  lastMs: number
  renewable: boolean
  login: boolean
}

interface Version {
  data: Record<string, unknown>
  created: string
  deleted: string
}

export async function startVaultSimulator(
  o: { certificate?: TestCertificate } = {},
): Promise<VaultSimulator> {
  const tokens = new Map<string, Token>()
  const secrets = new Map<string, Version[]>()
  const mounts = new Set<string>()
  const logins = new Map<string, (body: Record<string, unknown>) => number>()
  const requests: string[] = []

  const server = o.certificate
    ? createHttps({ cert: o.certificate.certificate, key: o.certificate.key }, take)
    : createHttp(take)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo

  const simulator: VaultSimulator = {
    address: `${o.certificate ? 'https' : 'http'}://127.0.0.1:${port}`,
    requests,
    trouble: null,
    lease: { seconds: 1200, renewable: true, secondsMax: 86_400 },
    write(path, data, { mount = 'secret', namespace = '' } = {}) {
      mounts.add(`${namespace}|${mount}`)
      const name = `${namespace}|${mount}|${path}`
      const versions = secrets.get(name) ?? []
      versions.push({ data, created: new Date().toISOString(), deleted: '' })
      secrets.set(name, versions)
    },
    remove(path, { mount = 'secret', namespace = '' } = {}) {
      secrets.get(`${namespace}|${mount}|${path}`)!.at(-1)!.deleted = new Date().toISOString()
    },
    permit(token, { namespace = '', reads } = {}) {
      tokens.set(token, {
        namespace,
        reads: reads ?? null,
        endsMs: Number.POSITIVE_INFINITY,
        lastMs: Number.POSITIVE_INFINITY,
        renewable: false,
        login: false,
      })
    },
    appRole(roleId, secretId, { mount = 'approle', namespace = '' } = {}) {
      logins.set(`${namespace}|auth/${mount}/login`, (body) =>
        body.role_id === roleId && body.secret_id === secretId ? 200 : 400,
      )
    },
    kubernetes(role, jwt, { mount = 'kubernetes', namespace = '' } = {}) {
      logins.set(`${namespace}|auth/${mount}/login`, (body) =>
        body.role === role && body.jwt === jwt ? 200 : 403,
      )
    },
    revokeLogins() {
      for (const [name, token] of tokens) if (token.login) tokens.delete(name)
    },
    stop: () =>
      new Promise((resolve) => {
        server.closeAllConnections()
        server.close(() => resolve())
      }),
  }
  return simulator

  function take(request: IncomingMessage, response: ServerResponse): void {
    const parts: Buffer[] = []
    request.on('data', (part: Buffer) => parts.push(part))
    request.on('end', () => {
      const text = Buffer.concat(parts).toString('utf8')
      response.on('close', () =>
        requests.push(`${request.method} ${request.url!.slice(4)} ${response.statusCode}`),
      )
      if (!misbehave(request, response, text)) answer(request, response, text)
    })
  }

  function misbehave(request: IncomingMessage, response: ServerResponse, text: string): boolean {
    const held = [...secrets.values()].flat().map(({ data }) => data)
    switch (simulator.trouble) {
      case null:
        return false
      case 'sealed':
        send(response, 503, { errors: ['Vault is sealed'] })
        return true
      case 'standby':
        response.writeHead(307, { location: `https://active.invalid${request.url}` }).end()
        return true
      case 'garbage':
        // With what it should not say, as a broken proxy in front of it might.
        response
          .writeHead(200, { 'content-type': 'text/html' })
          .end(`${JSON.stringify(held).slice(1)} is not a page`)
        return true
      case 'kv-version-1':
        send(response, 200, { data: held[0] })
        return true
      case 'silent':
        return true
      case 'endless':
        response.writeHead(200, { 'content-type': 'application/json' })
        response.write(`{"data": {"data": ${JSON.stringify(held)}`)
        response.end(' '.repeat(3 * 1024 * 1024))
        return true
      case 'cut':
        response.writeHead(200, { 'content-length': 10_000 })
        response.write(JSON.stringify({ data: held }))
        setTimeout(() => response.destroy(), 10)
        return true
      case 'echo':
        send(response, 500, { errors: [JSON.stringify(request.headers), text, ...held] })
        return true
    }
  }

  function answer(request: IncomingMessage, response: ServerResponse, text: string): void {
    const path = decodeURIComponent(/^\/v1\/(.*)$/.exec(request.url!)?.[1] ?? '')
    const namespace = String(request.headers['x-vault-namespace'] ?? '').replace(/\/$/, '')
    if (request.headers['x-vault-request'] !== 'true') {
      send(response, 412, { errors: ["missing 'X-Vault-Request' header"] })
      return
    }
    const login = logins.get(`${namespace}|${path}`)
    if (login) {
      if (request.method !== 'POST') send(response, 405, { errors: [] })
      else {
        const status = login(JSON.parse(text || '{}'))
        if (status === 200) send(response, 200, signedIn(namespace))
        else
          send(response, status, {
            errors: [status === 400 ? 'invalid role or secret ID' : 'permission denied'],
          })
      }
      return
    }
    const presented = String(request.headers['x-vault-token'] ?? '')
    const token = tokens.get(presented)
    // A token of a namespace is good in those below it, too.
    const fits =
      token &&
      (namespace === token.namespace ||
        `${namespace}/`.startsWith(token.namespace ? `${token.namespace}/` : ''))
    if (!token || !fits || Date.now() > token.endsMs) {
      send(response, 403, {
        errors: ['2 errors occurred:\n\t* permission denied\n\t* invalid token\n\n'],
      })
      return
    }
    if (path === 'auth/token/renew-self') {
      if (request.method !== 'POST' || !token.renewable) {
        send(response, 400, { errors: ['lease is not renewable'] })
        return
      }
      token.endsMs = Math.min(Date.now() + simulator.lease.seconds * 1000, token.lastMs)
      send(response, 200, authOf(presented, token))
      return
    }
    if (token.reads && !token.reads.includes(path)) {
      send(response, 403, { errors: ['1 error occurred:\n\t* permission denied\n\n'] })
      return
    }
    const mount = [...mounts]
      .filter((one) => one.startsWith(`${namespace}|`))
      .map((one) => one.slice(namespace.length + 1))
      .find((one) => path.startsWith(`${one}/`))
    if (mount === undefined || request.method !== 'GET') {
      send(response, 404, {
        errors: [`no handler for route "${path}". route entry not found.`],
      })
      return
    }
    const rest = path.slice(mount.length + 1)
    const versions = rest.startsWith('data/')
      ? secrets.get(`${namespace}|${mount}|${rest.slice(5)}`)
      : undefined
    const latest = versions?.at(-1)
    if (!latest) {
      send(response, 404, { errors: [] })
      return
    }
    send(response, latest.deleted ? 404 : 200, {
      ...envelope(),
      data: {
        data: latest.deleted ? null : latest.data,
        metadata: {
          created_time: latest.created,
          custom_metadata: null,
          deletion_time: latest.deleted,
          destroyed: false,
          version: versions!.length,
        },
      },
    })
  }

  function signedIn(namespace: string): object {
    const name = `hvs.${randomUUID()}`
    const now = Date.now()
    const { seconds, renewable, secondsMax } = simulator.lease
    const token: Token = {
      namespace,
      reads: null,
      endsMs: seconds === 0 ? Number.POSITIVE_INFINITY : now + seconds * 1000,
      lastMs: now + secondsMax * 1000,
      renewable,
      login: true,
    }
    tokens.set(name, token)
    return authOf(name, token)
  }

  function authOf(name: string, token: Token): object {
    return {
      ...envelope(),
      auth: {
        client_token: name,
        accessor: randomUUID(),
        policies: ['default'],
        token_policies: ['default'],
        metadata: null,
        lease_duration: Number.isFinite(token.endsMs)
          ? Math.round((token.endsMs - Date.now()) / 1000)
          : 0,
        renewable: token.renewable,
      },
    }
  }
}

function envelope(): object {
  return {
    request_id: randomUUID(),
    lease_id: '',
    renewable: false,
    lease_duration: 0,
    data: null,
    wrap_info: null,
    warnings: null,
    auth: null,
  }
}

function send(response: ServerResponse, status: number, body: object): void {
  response
    .writeHead(status, { 'content-type': 'application/json', 'cache-control': 'no-store' })
    .end(`${JSON.stringify(body)}\n`)
}
