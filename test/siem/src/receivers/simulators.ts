/**
 * Strict simulators of services that no registry has: each takes what the service's documentation says it takes, refuses what it
 * says is refused, with its statuses, and keeps what it took. None of them is the service: what they let through the service may
 * still refuse.
 */
import { createHmac, createVerify, generateKeyPairSync } from 'node:crypto'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { gunzipSync } from 'node:zlib'
import type { Receiver } from './receiver'

export interface Taken {
  status: number
  body?: unknown
  headers?: Record<string, string>
  /** Of what it keeps, in order. */
  ids?: string[]
}

interface Asked {
  method: string
  path: string
  query: URLSearchParams
  headers: IncomingMessage['headers']
  body: string
  /** Before decompression. */
  wireBytes: number
}

interface Simulation {
  what: string
  settings(port: number): Record<string, unknown>
  take(asked: Asked): Taken
}

const BODY_BYTES_MAX = 64 * 1024 * 1024
const refuse = (status: number, body: unknown = {}): Taken => ({ status, body })

export async function simulate(simulation: Simulation): Promise<Receiver> {
  const kept: string[] = []
  const server = createServer((request, response) => {
    void answer(request, response).catch((error) => {
      response.writeHead(500).end(String(error))
    })
  })

  async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const parts: Buffer[] = []
    let bytes = 0
    for await (const part of request as AsyncIterable<Buffer>) {
      bytes += part.length
      if (bytes > BODY_BYTES_MAX) return void response.writeHead(413).end()
      parts.push(part)
    }
    const raw = Buffer.concat(parts)
    const body = request.headers['content-encoding'] === 'gzip' ? gunzipSync(raw) : raw
    const url = new URL(request.url ?? '/', 'http://receiver')
    const taken = simulation.take({
      method: request.method ?? '',
      path: url.pathname,
      query: url.searchParams,
      headers: request.headers,
      body: body.toString('utf8'),
      wireBytes: raw.length,
    })
    // Kept before it is said, as a receiver does that can be believed.
    kept.push(...(taken.ids ?? []))
    response
      .writeHead(taken.status, { 'content-type': 'application/json', ...taken.headers })
      .end(taken.body === undefined ? '' : JSON.stringify(taken.body))
  }

  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as { port: number }
  return {
    what: `simulator of ${simulation.what}`,
    isReal: false,
    ordered: true,
    port,
    settings: simulation.settings,
    received: async () => [...kept],
    stop: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}

const HMAC_SECRET = 'a secret that only tests have, long enough'

/** Standard Webhooks: an independent calculation of the signature, and a clock that must be near. */
export const webhook: Simulation = {
  what: 'a webhook that verifies signatures',
  settings: (port) => ({
    type: 'http',
    url: `http://127.0.0.1:${port}/events`,
    body: 'array',
    signingSecret: { literal: HMAC_SECRET },
    token: { literal: 'let-me-in' },
    headers: { 'X-Team': 'security' },
  }),
  take({ method, path, headers, body }) {
    if (method !== 'POST' || path !== '/events') return refuse(404)
    if (headers.authorization !== 'Bearer let-me-in') return refuse(401)
    if (headers['x-team'] !== 'security') return refuse(400)
    const id = headers['webhook-id'] as string
    const timestamp = headers['webhook-timestamp'] as string
    if (Math.abs(Date.now() / 1000 - Number(timestamp)) > 300) return refuse(401)
    const expected = createHmac('sha256', HMAC_SECRET)
      .update(`${id}.${timestamp}.${body}`)
      .digest('base64')
    if (headers['webhook-signature'] !== `v1,${expected}`) return refuse(401)
    return { status: 204, ids: (JSON.parse(body) as { id: string }[]).map((one) => one.id) }
  },
}

/** Indexer acknowledgement: an ackId for each request, true only when asked about later, once. */
export function splunk(): Simulation {
  let next = 0
  const acks = new Map<number, { at: number; channel: string; ids: string[] }>()
  return {
    what: 'Splunk HEC with indexer acknowledgement',
    settings: (port) => ({
      type: 'splunk',
      url: `http://127.0.0.1:${port}`,
      token: { literal: '11111111-2222-3333-4444-555555555555' },
      index: 'security',
      requestsMax: 3,
    }),
    take({ method, path, query, headers, body }) {
      if (method !== 'POST') return refuse(405)
      if (headers.authorization !== 'Splunk 11111111-2222-3333-4444-555555555555')
        return refuse(403, { text: 'Invalid token', code: 4 })
      const channel = (headers['x-splunk-request-channel'] as string) ?? query.get('channel')
      if (!channel) return refuse(400, { text: 'Data channel is missing', code: 10 })
      if (path === '/services/collector/ack') {
        const ids: string[] = []
        const told: Record<string, boolean> = {}
        for (const ack of (JSON.parse(body) as { acks: number[] }).acks) {
          const one = acks.get(ack)
          const isIndexed = one !== undefined && one.channel === channel && Date.now() - one.at > 30
          told[ack] = isIndexed
          if (!isIndexed) continue
          acks.delete(ack)
          // Only now is it there.
          ids.push(...one.ids)
        }
        return { status: 200, body: { acks: told }, ids }
      }
      if (path !== '/services/collector/event') return refuse(404)
      const events = concatenated(body)
      if (events === null || events.length === 0) return refuse(400, { text: 'No data', code: 5 })
      for (const event of events) {
        const {
          time,
          event: record,
          index,
          fields,
        } = event as Record<string, Record<string, unknown>>
        if (record === undefined) return refuse(400, { text: 'Event field is required', code: 12 })
        if (index !== ('security' as unknown))
          return refuse(400, { text: 'Incorrect index', code: 7 })
        if (typeof time !== 'number' || fields?.custody_id !== record.id)
          return refuse(400, { text: 'Invalid data format', code: 6 })
      }
      const ackId = next++
      acks.set(ackId, {
        at: Date.now(),
        channel,
        ids: events.map((event) => (event as { event: { id: string } }).event.id),
      })
      return { status: 200, body: { text: 'Success', code: 0, ackId } }
    },
  }
}

/** JSON objects one after another, as HEC reads them. */
function concatenated(text: string): unknown[] | null {
  const found: unknown[] = []
  let depth = 0
  let start = 0
  let isString = false
  for (let i = 0; i < text.length; i++) {
    const character = text[i]
    if (isString) {
      if (character === '\\') i++
      else if (character === '"') isString = false
      continue
    }
    if (character === '"') isString = true
    else if (character === '{' && depth++ === 0) start = i
    else if (character === '}' && --depth === 0) {
      try {
        found.push(JSON.parse(text.slice(start, i + 1)))
      } catch {
        return null
      }
    }
  }
  return depth === 0 && !isString ? found : null
}

export const otlp: Simulation = {
  what: 'an OTLP/HTTP receiver (JSON)',
  settings: (port) => ({
    type: 'otlp',
    url: `http://127.0.0.1:${port}`,
    headers: { 'x-key': 'k' },
  }),
  take({ method, path, headers, body }) {
    if (method !== 'POST' || path !== '/v1/logs') return refuse(404)
    if (headers['content-type'] !== 'application/json') return refuse(415)
    if (headers['x-key'] !== 'k') return refuse(401)
    if (body.length > 4 * 1024 * 1024) return refuse(413)
    const ids: string[] = []
    for (const { scopeLogs } of JSON.parse(body).resourceLogs)
      for (const { logRecords } of scopeLogs)
        for (const record of logRecords) {
          // 64-bit numbers are text in OTLP's JSON.
          if (!/^\d{19}$/.test(record.timeUnixNano)) return refuse(400)
          if (!(record.severityNumber >= 1 && record.severityNumber <= 24)) return refuse(400)
          const { id } = JSON.parse(record.body.stringValue)
          const named = record.attributes.find(
            (one: { key: string }) => one.key === 'log.record.uid',
          )
          if (named?.value.stringValue !== id) return refuse(400)
          ids.push(id)
        }
    return { status: 200, body: { partialSuccess: {} }, ids }
  },
}

export const loki: Simulation = {
  what: 'Grafana Loki’s push interface',
  settings: (port) => ({
    type: 'loki',
    url: `http://127.0.0.1:${port}`,
    tenant: 'sec',
    labels: { env: 'prod' },
  }),
  take({ method, path, headers, body }) {
    if (method !== 'POST' || path !== '/loki/api/v1/push') return refuse(404)
    if (headers['x-scope-orgid'] !== 'sec') return refuse(401)
    if (body.length > 4 * 1024 * 1024) return refuse(413)
    const found: { at: bigint; id: string }[] = []
    for (const { stream, values } of JSON.parse(body).streams) {
      if (stream.env !== 'prod' || Object.keys(stream).length > 15) return refuse(400)
      let before = 0n
      for (const [at, line, metadata] of values) {
        if (!/^\d{19}$/.test(at) || Buffer.byteLength(line) > 256 * 1024) return refuse(400)
        if (BigInt(at) < before - 3_600_000_000_000n) return refuse(400, 'entry too far behind')
        before = BigInt(at) > before ? BigInt(at) : before
        if (Object.values(metadata).some((one) => typeof one !== 'string')) return refuse(400)
        found.push({ at: BigInt(at), id: JSON.parse(line).id })
      }
    }
    // Whoever asks Loki sees entries by time.
    found.sort((a, b) => (a.at < b.at ? -1 : a.at > b.at ? 1 : 0))
    return { status: 204, ids: found.map(({ id }) => id) }
  },
}

export const datadog: Simulation = {
  what: 'Datadog’s log intake',
  settings: (port) => ({
    type: 'datadog',
    url: `http://127.0.0.1:${port}`,
    apiKey: { literal: 'dd-key' },
    tags: ['env:prod'],
  }),
  take({ method, path, headers, body }) {
    if (method !== 'POST' || path !== '/api/v2/logs') return refuse(404)
    if (headers['dd-api-key'] !== 'dd-key') return refuse(403)
    if (Buffer.byteLength(body) > 5_000_000) return refuse(413)
    const entries = JSON.parse(body) as { message: string; custody_id: string; ddtags: string }[]
    if (entries.length > 1000) return refuse(413)
    const ids: string[] = []
    for (const { message, custody_id, ddtags } of entries) {
      if (!ddtags.includes('env:prod')) return refuse(400)
      // It would cut it and say 202: what was cut is no event any more.
      if (Buffer.byteLength(message) > 1_000_000) continue
      if (JSON.parse(message).id === custody_id) ids.push(custody_id)
    }
    return { status: 202, body: {}, ids }
  },
}

export function sentinel(): Simulation {
  const rule = 'dcr-0123456789abcdef0123456789abcdef'
  return {
    what: 'Microsoft Sentinel’s Logs Ingestion API',
    settings: (port) => ({
      type: 'sentinel',
      url: `http://127.0.0.1:${port}`,
      loginUrl: `http://127.0.0.1:${port}`,
      ruleId: rule,
      stream: 'Custom-Custody_CL',
      tenantId: 'contoso.example',
      clientId: 'app',
      clientSecret: { literal: 's3cret' },
    }),
    take({ method, path, query, headers, body }) {
      if (path === '/contoso.example/oauth2/v2.0/token') {
        const form = new URLSearchParams(body)
        if (
          form.get('client_secret') !== 's3cret' ||
          form.get('scope') !== 'https://monitor.azure.com//.default'
        )
          return refuse(400, { error: 'invalid_client' })
        return {
          status: 200,
          body: { token_type: 'Bearer', expires_in: 3599, access_token: 'token-1' },
        }
      }
      if (method !== 'POST' || path !== `/dataCollectionRules/${rule}/streams/Custom-Custody_CL`)
        return refuse(404)
      if (query.get('api-version') !== '2023-01-01') return refuse(400)
      if (headers.authorization !== 'Bearer token-1') return refuse(401)
      if (Buffer.byteLength(body) > 1024 * 1024) return refuse(413)
      const rows = JSON.parse(body) as { TimeGenerated: string; EventId: string; Record: string }[]
      if (!Array.isArray(rows)) return refuse(400)
      for (const { TimeGenerated, EventId, Record: record } of rows)
        if (Number.isNaN(Date.parse(TimeGenerated)) || JSON.parse(record).id !== EventId)
          return refuse(400)
      return { status: 204, ids: rows.map(({ EventId }) => EventId) }
    },
  }
}

export function secops(): Simulation {
  const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
  const customer = '01234567-89ab-cdef-0123-456789abcdef'
  let own = ''
  return {
    what: 'Google SecOps’ ingestion API',
    settings: (port) => {
      own = `http://127.0.0.1:${port}/token`
      return {
        type: 'secops',
        url: `http://127.0.0.1:${port}`,
        customerId: customer,
        serviceAccount: {
          literal: JSON.stringify({
            client_email: 'custody@project.iam.gserviceaccount.com',
            private_key: privateKey.export({ type: 'pkcs8', format: 'pem' }),
            token_uri: own,
          }),
        },
      }
    },
    take({ method, path, headers, body }) {
      if (path === '/token') {
        const form = new URLSearchParams(body)
        const [header, claims, signature] = (form.get('assertion') ?? '').split('.')
        const verified = createVerify('RSA-SHA256')
          .update(`${header}.${claims}`)
          .verify(publicKey, signature ?? '', 'base64url')
        const { aud, exp } = JSON.parse(Buffer.from(claims ?? '', 'base64url').toString() || '{}')
        if (!verified || aud !== own || exp * 1000 < Date.now()) return refuse(400)
        return { status: 200, body: { access_token: 'g-token', expires_in: 3600 } }
      }
      if (method !== 'POST' || path !== '/v2/udmevents:batchCreate') return refuse(404)
      if (headers.authorization !== 'Bearer g-token') return refuse(401)
      if (Buffer.byteLength(body) > 1_000_000) return refuse(413)
      const { customer_id, events } = JSON.parse(body)
      if (customer_id !== customer) return refuse(403)
      const ids: string[] = []
      for (const { metadata } of events) {
        const id = metadata.product_log_id ?? metadata.productLogId
        if (!metadata.event_type && !metadata.eventType) return refuse(400)
        ids.push(id)
      }
      return { status: 200, body: {}, ids }
    },
  }
}
