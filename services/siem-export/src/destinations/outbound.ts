/**
 * Requests of destinations that speak HTTP. Verifies TLS always; looks at the addresses that a name stands for before it
 * connects, so that neither a setting nor a name server leads it to a cloud's metadata service; keeps connections.
 * Refuses redirects, plain http beyond this machine, answers larger than a bound, and to wait for ever. What it says of a
 * failure has no address, header or body of a request in it, since those hold secrets.
 */
import { type LookupAddress, lookup } from 'node:dns'
import { readFileSync } from 'node:fs'
import { Agent as HttpAgent, request as httpRequest, type IncomingMessage } from 'node:http'
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https'
import { BlockList, isIP, type LookupFunction } from 'node:net'
import { promisify } from 'node:util'
import { gzip as gzipCallback } from 'node:zlib'
import { isOutboundUrl, type SiemDestinationSettings } from '@custody/kit'
import { type Fault, Undelivered } from '../delivery/destination'

const gzipped = promisify(gzipCallback)
const RESPONSE_BYTES_MAX = 64 * 1024 * 1024
const RETRY_AFTER_MS_MAX = 15 * 60_000
const SHOWN_CHARACTERS_MAX = 300
/** Fast: the network is seldom the bottleneck, and time of the processor is. */
const GZIP_LEVEL = 1
/** Where clouds tell machines their credentials. */
const METADATA = new BlockList()
METADATA.addSubnet('fe80::', 10, 'ipv6')
METADATA.addSubnet('fd00:ec2::', 32, 'ipv6')
METADATA.addAddress('fd20:ce::254', 'ipv6')
for (const [address, bits] of [
  ...[['169.254.0.0', 16] as const, ['100.100.100.200', 32] as const],
  ...[['192.0.0.192', 32] as const, ['168.63.129.16', 32] as const],
]) {
  METADATA.addSubnet(address, bits, 'ipv4')
  const hex = Buffer.from(address.split('.').map(Number)).toString('hex').replace(/^..../, '$&:')
  // The same as translators and tunnels carry it: NAT64 (RFC 6052), 6to4 (RFC 3056), IPv4-compatible (RFC 4291).
  METADATA.addSubnet(`64:ff9b::${hex}`, 96 + bits, 'ipv6')
  METADATA.addSubnet(`2002:${hex}::`, 16 + bits, 'ipv6')
  METADATA.addSubnet(`::${hex}`, 96 + bits, 'ipv6')
}

export interface OutboundOptions {
  /** What messages call it. */
  service: string
  requestMsMax: number
  tls?: SiemDestinationSettings['tls']
  allowMetadataAddresses?: boolean
}

export interface OutboundRequest {
  method?: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'HEAD' | 'DELETE'
  headers?: Record<string, string>
  body?: string | Buffer
  gzip?: boolean
  signal: AbortSignal
  /** Statuses besides 2xx that the caller wants to see. */
  accepts?: (status: number) => boolean
}

export interface OutboundAnswer {
  status: number
  headers: IncomingMessage['headers']
  body: string
  /** The same as it came. */
  raw: Buffer
}

export interface Outbound {
  /** Resolves with an answer of 2xx; rejects with an Undelivered. */
  ask(url: string, request: OutboundRequest): Promise<OutboundAnswer>
  close(): void
}

export function isMetadataAddress(address: string): boolean {
  const plain = address.replace(/^::ffff:(?=\d+\.\d+\.\d+\.\d+$)/i, '')
  const family = isIP(plain)
  return family !== 0 && METADATA.check(plain, family === 4 ? 'ipv4' : 'ipv6')
}

/** A lookup that never answers with an address that is denied. */
export function guardedLookup(allowMetadata: boolean): LookupFunction {
  return (hostname, options, callback) => {
    lookup(hostname, { ...options, all: true }, (error, found) => {
      if (error) return callback(error, '', 0)
      const addresses = found as unknown as LookupAddress[]
      const allowed = allowMetadata
        ? addresses
        : addresses.filter(({ address }) => !isMetadataAddress(address))
      if (allowed.length === 0)
        return callback(Object.assign(new Error('denied'), { code: 'EDENIED' }), '', 0)
      if (options.all) return callback(null, allowed as never)
      callback(null, allowed[0]!.address, allowed[0]!.family)
    })
  }
}

/** One address of a name, for who connects by itself. */
export function guardedAddress(host: string, allowMetadata: boolean): Promise<LookupAddress> {
  return new Promise((resolve, reject) =>
    guardedLookup(allowMetadata)(host, {}, (error, address, family) =>
      error ? reject(error) : resolve({ address: address as string, family: family! }),
    ),
  )
}

/** Before connecting to what is an address already, of which nobody looks anything up. */
export function checkHost(service: string, host: string, allowMetadata: boolean): void {
  const plain = host.replace(/^\[|\]$/g, '')
  if (!allowMetadata && isMetadataAddress(plain))
    throw new Undelivered(
      `${service}: its address is a cloud's metadata service (allowMetadataAddresses permits it)`,
      'setting',
    )
}

export function createOutbound(o: OutboundOptions): Outbound {
  const { service, tls } = o
  const allow = o.allowMetadataAddresses ?? false
  const shared = { keepAlive: true, maxSockets: 8, lookup: guardedLookup(allow) }
  const plain = new HttpAgent(shared)
  let secured: HttpsAgent | null = null

  /** Files are read when they are needed first, and again after a failure: certificates are renewed. */
  function secure(): HttpsAgent {
    secured ??= new HttpsAgent({
      ...shared,
      rejectUnauthorized: true,
      minVersion: 'TLSv1.2',
      ...(tls?.ca && { ca: readFileSync(tls.ca) }),
      ...(tls?.certificate && { cert: readFileSync(tls.certificate) }),
      ...(tls?.key && { key: readFileSync(tls.key) }),
      ...(tls?.serverName && { servername: tls.serverName }),
    })
    return secured
  }

  async function ask(url: string, request: OutboundRequest): Promise<OutboundAnswer> {
    if (!isOutboundUrl(url))
      throw new Undelivered(
        `${service}: its address must be https (http on this machine only)`,
        'setting',
      )
    const to = new URL(url)
    checkHost(service, to.hostname, allow)
    const headers: Record<string, string> = { 'user-agent': 'custody', ...request.headers }
    let { body } = request
    if (body !== undefined && request.gzip) {
      body = await gzipped(body, { level: GZIP_LEVEL })
      headers['content-encoding'] = 'gzip'
    }
    if (body !== undefined) headers['content-length'] = String(Buffer.byteLength(body))
    let agent: HttpAgent | HttpsAgent
    try {
      agent = to.protocol === 'https:' ? secure() : plain
    } catch (cause) {
      throw new Undelivered(`${service}: ${(cause as Error).message}`, 'setting', undefined, cause)
    }
    let answer: OutboundAnswer
    try {
      answer = await exchange(to, { ...request, headers, body, agent, msMax: o.requestMsMax })
    } catch (cause) {
      if (cause instanceof Undelivered) throw cause
      secured?.destroy()
      secured = null
      const { text, fault } = whyOf(cause, o.requestMsMax)
      throw new Undelivered(`${service} can't be reached: ${text}`, fault, undefined, cause)
    }
    const { status } = answer
    if ((status >= 200 && status < 300) || request.accepts?.(status)) return answer
    throw refusal(service, answer)
  }

  return {
    ask,
    close() {
      plain.destroy()
      secured?.destroy()
    },
  }
}

/** What an answer other than 2xx means for a batch. */
export function refusal(
  service: string,
  { status, headers, body }: Pick<OutboundAnswer, 'status' | 'headers' | 'body'>,
): Undelivered {
  if (status >= 300 && status < 400)
    return new Undelivered(
      `${service} answered ${status}, and redirects are not followed`,
      'setting',
    )
  const shown = body
    .slice(0, SHOWN_CHARACTERS_MAX)
    .replace(/[\p{C}\s]+/gu, ' ')
    .trim()
  const said = `${service} answered ${status}${shown ? `: ${shown}` : ''}`
  return new Undelivered(said, faultOf(status), retryAfterMs(headers['retry-after']))
}

export function faultOf(status: number): Fault {
  if (status === 413) return 'too-large'
  if (status === 400 || status === 422) return 'refused'
  if (status === 408 || status === 425 || status === 429 || status >= 500) return 'retry'
  return 'setting'
}

/** Milliseconds that a Retry-After header asks for: seconds, or a date. */
export function retryAfterMs(header: string | undefined): number | undefined {
  if (header === undefined) return undefined
  const text = header.trim()
  const ms = /^\d{1,9}(\.\d+)?$/.test(text) ? Number(text) * 1000 : Date.parse(text) - Date.now()
  return Number.isFinite(ms) ? Math.min(RETRY_AFTER_MS_MAX, Math.max(0, ms)) : undefined
}

/** The body as JSON, or an Undelivered: who answers 200 with something else is not the service that is meant. */
export function jsonOf<T>(service: string, answer: OutboundAnswer): T {
  try {
    const value = JSON.parse(answer.body) as unknown
    if (typeof value === 'object' && value !== null) return value as T
  } catch {}
  throw new Undelivered(
    `${service} answered ${answer.status} with something that is no JSON`,
    'retry',
  )
}

function exchange(
  to: URL,
  o: {
    method?: string
    headers: Record<string, string>
    body: string | Buffer | undefined
    agent: HttpAgent | HttpsAgent
    signal: AbortSignal
    msMax: number
  },
): Promise<OutboundAnswer> {
  return new Promise((resolve, reject) => {
    const send = to.protocol === 'https:' ? httpsRequest : httpRequest
    const sending = send(to, {
      method: o.method ?? 'POST',
      headers: o.headers,
      agent: o.agent as HttpAgent,
      signal: o.signal,
    })
    // Of the whole exchange: a receiver that trickles is away as well.
    const timer = setTimeout(() => sending.destroy(new TimeoutError()), o.msMax)
    const fail = (error: Error) => {
      clearTimeout(timer)
      reject(error)
    }
    sending.on('error', fail)
    sending.on('response', (response) => {
      const parts: Buffer[] = []
      let bytes = 0
      response.on('data', (part: Buffer) => {
        bytes += part.length
        if (bytes > RESPONSE_BYTES_MAX)
          return sending.destroy(new Undelivered('its answer is too large', 'setting'))
        parts.push(part)
      })
      response.on('error', fail)
      response.on('aborted', () => fail(Object.assign(new Error(), { code: 'ECONNRESET' })))
      response.on('end', () => {
        clearTimeout(timer)
        const raw = Buffer.concat(parts)
        resolve({
          status: response.statusCode ?? 0,
          headers: response.headers,
          body: raw.toString('utf8'),
          raw,
        })
      })
    })
    sending.end(o.body)
  })
}

class TimeoutError extends Error {}

function whyOf(error: unknown, msMax: number): { text: string; fault: Fault } {
  const { code, name } = error as { code?: string; name?: string }
  if (error instanceof TimeoutError) return { text: `no answer within ${msMax} ms`, fault: 'retry' }
  if (name === 'AbortError') return { text: 'delivery is being stopped', fault: 'retry' }
  if (code === 'EDENIED')
    return {
      text: "its name stands for a cloud's metadata service (allowMetadataAddresses permits it)",
      fault: 'setting',
    }
  if (code && /CERT|SELF_SIGNED|ERR_TLS|UNABLE_TO/.test(code))
    return { text: `its certificate is not accepted (${code})`, fault: 'setting' }
  return {
    text: code && /^[A-Z0-9_]{1,60}$/.test(code) ? code : 'the connection failed',
    fault: 'retry',
  }
}
