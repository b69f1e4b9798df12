/**
 * Requests to the services behind channels. Knows when another try may help and when to make it.
 * Refuses redirects, plain http beyond this machine, answers larger than a bound, and to wait for ever. What it says of a
 * failure never has an address or a body in it, since those can hold secrets.
 */
import { CustodyError, isOutboundUrl } from '@custody/kit'

const REQUEST_MS_MAX = 10_000
const RESPONSE_BYTES_MAX = 256 * 1024
const RETRY_AFTER_MS_MAX = 15 * 60_000

/** A message that did not arrive. */
export class Undelivered extends CustodyError {
  constructor(
    message: string,
    /** Whether another try may succeed, and when the service wants it at the earliest. */
    readonly again: { retry: boolean; afterMs?: number },
    cause?: unknown,
  ) {
    super(again.retry ? 'CUSTODY-CHANNEL-001' : 'CUSTODY-CHANNEL-002', message, { cause })
  }
}

export interface OutboundRequest {
  method?: 'GET' | 'POST' | 'PATCH' | 'PUT'
  headers?: Record<string, string>
  body?: string
  signal: AbortSignal
}

export interface OutboundAnswer {
  status: number
  body: string
}

/** Resolves with an answer of 2xx; rejects with an Undelivered. `service` is what the message calls it. */
export async function outbound(
  service: string,
  url: string,
  request: OutboundRequest,
): Promise<OutboundAnswer> {
  if (!isOutboundUrl(url))
    throw new Undelivered(`${service}: its address must be https (http on this machine only)`, {
      retry: false,
    })
  let response: Response
  let body: string
  try {
    response = await fetch(url, {
      method: request.method ?? 'POST',
      headers: { 'user-agent': 'custody', ...request.headers },
      body: request.body,
      redirect: 'manual',
      signal: AbortSignal.any([request.signal, AbortSignal.timeout(REQUEST_MS_MAX)]),
    })
    body = await bounded(response)
  } catch (cause) {
    if (cause instanceof Undelivered) throw cause
    throw new Undelivered(`${service} can't be reached: ${whyOf(cause)}`, { retry: true }, cause)
  }
  const { status } = response
  if (status >= 200 && status < 300) return { status, body }
  if (status >= 300 && status < 400)
    throw new Undelivered(`${service} answered ${status}, and redirects are not followed`, {
      retry: false,
    })
  const retry = status === 408 || status === 425 || status === 429 || status >= 500
  throw new Undelivered(`${service} answered ${status}`, {
    retry,
    ...(retry && { afterMs: retryAfterMs(response.headers.get('retry-after')) }),
  })
}

/** The body as JSON, or an Undelivered: who answers 200 with something else is not the service that is meant. */
export function jsonOf<T>(service: string, answer: OutboundAnswer): T {
  try {
    const value = JSON.parse(answer.body) as unknown
    if (typeof value === 'object' && value !== null) return value as T
  } catch {}
  throw new Undelivered(`${service} answered ${answer.status} with something that is no JSON`, {
    retry: true,
  })
}

/** Milliseconds that a Retry-After header asks for: seconds, or a date. */
export function retryAfterMs(header: string | null): number | undefined {
  if (header === null) return undefined
  const text = header.trim()
  const ms = /^\d{1,9}(\.\d+)?$/.test(text) ? Number(text) * 1000 : Date.parse(text) - Date.now()
  return Number.isFinite(ms) ? Math.min(RETRY_AFTER_MS_MAX, Math.max(0, ms)) : undefined
}

async function bounded(response: Response): Promise<string> {
  const parts: Uint8Array[] = []
  let bytes = 0
  for await (const part of response.body ?? []) {
    bytes += part.length
    if (bytes > RESPONSE_BYTES_MAX) {
      throw new Undelivered(`the answer is larger than ${RESPONSE_BYTES_MAX} bytes`, {
        retry: false,
      })
    }
    parts.push(part)
  }
  return Buffer.concat(parts).toString('utf8')
}

function whyOf(error: unknown): string {
  const { name, cause } = error as { name?: string; cause?: { code?: string } }
  if (name === 'TimeoutError') return `no answer within ${REQUEST_MS_MAX} ms`
  if (name === 'AbortError') return 'Custody does not wait for it any more'
  return cause?.code && /^[A-Z0-9_]{1,40}$/.test(cause.code) ? cause.code : 'the connection failed'
}
