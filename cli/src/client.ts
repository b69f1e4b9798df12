/**
 * Talks to the API of the Custody that runs in this home directory (CUSTODY_HOME/run/status.json says where), as its
 * administrator, as who signed in with `custody login`, or as the holder of CUSTODY_TOKEN. Refuses to guess when none runs.
 */
import { mkdirSync, readFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { dirname, join } from 'node:path'
import {
  CustodyError,
  type Home,
  mayBeAsked,
  processExists,
  type RuntimeStatus,
  readAdminToken,
  readStatus,
  urlOf,
  writeFileAtomic,
} from '@custody/kit'

export interface Api {
  readonly url: string
  /** Whether it speaks as the local administrator. */
  readonly isAdministrator: boolean
  readonly status: RuntimeStatus | undefined
  get<T = Record<string, unknown>>(
    path: string,
    query?: Record<string, string | number | undefined>,
  ): Promise<T>
  /** The lines of an answer that is no JSON, as they come. */
  lines(
    path: string,
    query?: Record<string, string | number | undefined>,
    signal?: AbortSignal,
  ): AsyncGenerator<string>
  post<T = Record<string, unknown>>(path: string, body: unknown): Promise<T>
  delete<T = Record<string, unknown>>(path: string): Promise<T>
}

/** One page of a list, which is in a field that the list's API names. */
export interface Page {
  next: string | null
  upToDate?: boolean
  // biome-ignore lint/suspicious/noExplicitAny: the API's JSON, described by its OpenAPI document
  [field: string]: any
}

const REQUEST_MS_MAX = 60_000
/** How long the API may wait until what was recorded before is in the store. */
export const WAIT_MS = 2000
const PAGE_MAX = 1000

/** The API's own error, told as it was. */
export class ApiError extends Error {
  constructor(
    readonly code: string,
    message: string,
    readonly action: string,
    readonly suggestions: readonly string[],
  ) {
    super(message)
  }
}

export function notRunning(home: Home, why: string, cause?: unknown): CustodyError {
  return new CustodyError(
    'CUSTODY-CLI-001',
    `Custody is not running in ${home.directory}: ${why}`,
    { cause },
  )
}

export function openApi(home: Home, environment: NodeJS.ProcessEnv): Api {
  const status = readStatus(home)
  let url = environment.CUSTODY_URL?.replace(/\/+$/, '')
  if (!url) {
    if (!status) throw notRunning(home, `there is no ${home.statusFile}`)
    if (!processExists(status.pid)) throw notRunning(home, `its process ${status.pid} is gone`)
    if (!status.ports.console) throw notRunning(home, 'its API does not listen')
    url = urlOf(status.host, status.ports.console)
  }
  const own = !environment.CUSTODY_URL
  if (!own && !(URL.canParse(url) && mayBeAsked(new URL(url))))
    throw new CustodyError(
      'CUSTODY-CLI-009',
      `CUSTODY_URL must be https (http on this machine only): a token would be sent there`,
    )
  // As oneself before as the administrator, whose secret goes to this home's own API and nowhere else.
  const signedIn = environment.CUSTODY_TOKEN || storedToken(environment, url)
  const token = signedIn || (own ? readAdminToken(home) : undefined)

  async function ask(
    method: string,
    path: string,
    body: unknown,
    signal: AbortSignal,
  ): Promise<Response> {
    try {
      return await fetch(url + path, {
        method,
        headers: {
          accept: 'application/json',
          'user-agent': 'custody-cli',
          ...(token ? { authorization: `Bearer ${token}` } : {}),
          ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        },
        body: body === undefined ? undefined : JSON.stringify(body),
        signal,
      })
    } catch (cause) {
      if ((cause as Error).name === 'TimeoutError')
        throw notRunning(home, `${url} did not answer within ${REQUEST_MS_MAX / 1000} s`, cause)
      throw notRunning(home, `nothing answers at ${url}`, cause)
    }
  }

  async function request<T>(method: string, path: string, body?: unknown): Promise<T> {
    const response = await ask(method, path, body, AbortSignal.timeout(REQUEST_MS_MAX))
    return answered<T>(response, await response.text())
  }

  async function* lines(path: string, until?: AbortSignal): AsyncGenerator<string> {
    // Only its beginning has to come in time: somebody watches the rest.
    const begin = new AbortController()
    until?.addEventListener('abort', () => begin.abort())
    const timer = setTimeout(
      () => begin.abort(new DOMException('', 'TimeoutError')),
      REQUEST_MS_MAX,
    )
    const response = await ask('GET', path, undefined, begin.signal)
    clearTimeout(timer)
    if (!response.ok) answered(response, await response.text())
    let rest = ''
    const decoder = new TextDecoder()
    try {
      for await (const chunk of response.body as AsyncIterable<Uint8Array>) {
        const parts = (rest + decoder.decode(chunk, { stream: true })).split('\n')
        rest = parts.pop()!
        yield* parts
      }
    } catch (cause) {
      if (until?.aborted) return
      throw notRunning(home, `${url} went away in the middle of an answer`, cause)
    }
    if (rest !== '') yield rest
  }

  function answered<T>(response: Response, text: string): T {
    let answer: {
      error?: { code: string; message: string; action: string; suggestions?: string[] }
    }
    try {
      answer = JSON.parse(text)
    } catch (cause) {
      throw notRunning(home, `what answers at ${url} is not Custody`, cause)
    }
    if (!response.ok) {
      const {
        code,
        message,
        action,
        suggestions = [],
      } = answer.error ?? {
        code: 'CUSTODY-API-008',
        message: `the API answered ${response.status}`,
        action: '',
      }
      throw new ApiError(code, message, action, suggestions)
    }
    return answer as T
  }

  return {
    url,
    isAdministrator: !signedIn && token !== undefined,
    status: own ? status : undefined,
    get(path, query = {}) {
      const search = new URLSearchParams()
      for (const [name, value] of Object.entries(query))
        if (value !== undefined) search.set(name, String(value))
      return request('GET', search.size > 0 ? `${path}?${search}` : path)
    },
    lines(path, query = {}, until) {
      const search = new URLSearchParams()
      for (const [name, value] of Object.entries(query))
        if (value !== undefined) search.set(name, String(value))
      return lines(search.size > 0 ? `${path}?${search}` : path, until)
    },
    post: (path, body) => request('POST', path, body),
    delete: (path) => request('DELETE', path),
  }
}

/**
 * Pages of a list, until there is none or `itemsMax` were given. The first one waits for what was recorded before.
 * `path` may depend on the page before.
 */
export async function* pagesOf(
  api: Api,
  path: string | ((before: Page | undefined) => string),
  query: Record<string, string | number | undefined>,
  field: string,
  itemsMax = Number.POSITIVE_INFINITY,
): AsyncGenerator<Page> {
  let left = itemsMax
  let before: Page | undefined
  do {
    const page: Page = await api.get(typeof path === 'string' ? path : path(before), {
      ...query,
      limit: Math.min(left, PAGE_MAX),
      cursor: before?.next ?? undefined,
      ...(before === undefined ? { wait: WAIT_MS } : {}),
    })
    yield page
    left -= page[field].length
    before = page
  } while (before.next !== null && left > 0)
}

/** What `custody login` keeps, by the address of the API, readable by its owner only. */
interface Stored {
  token: string
  id: string
  subject: string
  expires: string
}

function storedFile(environment: NodeJS.ProcessEnv): string {
  return join(environment.XDG_CONFIG_HOME || join(homedir(), '.config'), 'custody', 'tokens.json')
}

function readStored(environment: NodeJS.ProcessEnv): Record<string, Stored> {
  try {
    return JSON.parse(readFileSync(storedFile(environment), 'utf8'))
  } catch {
    return {}
  }
}

function storedToken(environment: NodeJS.ProcessEnv, url: string): string | undefined {
  // One that has expired as well: the API says so. To become the administrator instead is nothing that happens by itself.
  return readStored(environment)[url]?.token
}

/** Keeps a token for an API, or with null forgets it. Answers what was there. */
export function storeToken(
  environment: NodeJS.ProcessEnv,
  url: string,
  stored: Stored | null,
): Stored | undefined {
  const { [url]: before, ...rest } = readStored(environment)
  const path = storedFile(environment)
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 })
  writeFileAtomic(path, `${JSON.stringify(stored ? { ...rest, [url]: stored } : rest)}\n`, 0o600)
  return before
}
