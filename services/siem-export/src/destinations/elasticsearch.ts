/**
 * Elasticsearch and OpenSearch, by the bulk interface, into an index or a data stream: `create` with the event's identifier
 * as `_id`, so that what arrives twice is there once (409 is success). Items fail by themselves: what is refused for what it is
 * (400) is named, everything else comes again alone. A body that is too large comes again in halves.
 * In a data stream a document is found again only in the backing index that it was written to: after a rollover a second copy
 * would be a document of its own, with the same `event.id`.
 */
import type { SiemDestinationSettings } from '@custody/kit'
import type { Destination, Outgoing, Receipt } from '../delivery/destination'
import { Undelivered } from '../delivery/destination'
import { type DestinationContext, outboundOf } from './context'
import { basic } from './credentials'
import { joined } from './joined'
import { jsonOf, type OutboundRequest } from './outbound'

type Settings = Extract<SiemDestinationSettings, { type: 'elasticsearch' }>

/** Elasticsearch's default for a request is 100 MB. */
const BYTES_MAX = 48 * 1024 * 1024
const NODE_OUT_MS = 30_000
const PAGE = 5000

interface BulkAnswer {
  errors?: boolean
  items?: Record<string, { status: number; error?: { type?: string; reason?: string } }>[]
}

interface SearchAnswer {
  _scroll_id?: string
  timed_out?: boolean
  _shards?: { failed?: number }
  hits?: { hits?: { _id: string }[] }
}

export function createElasticsearch(context: DestinationContext<Settings>): Destination {
  const { name, settings, secrets } = context
  const outbound = outboundOf(context)
  const target = settings.dataStream ?? settings.index!
  const nodes = settings.urls.map((url) => ({ url: url.replace(/\/+$/, ''), outUntil: 0 }))
  let turn = 0

  async function authorization(): Promise<Record<string, string>> {
    if (settings.apiKey) return { authorization: `ApiKey ${await secrets.read(settings.apiKey)}` }
    if (settings.user === undefined) return {}
    return { authorization: await basic(secrets, settings.user, settings.password) }
  }

  /** A node that does not answer is left out for a while, unless none would be left. */
  async function ask(path: string, request: OutboundRequest) {
    const now = Date.now()
    const alive = nodes.filter(({ outUntil }) => outUntil <= now)
    const among = alive.length > 0 ? alive : nodes
    const node = among[turn++ % among.length]!
    try {
      return await outbound.ask(`${node.url}${path}`, {
        ...request,
        headers: { ...request.headers, ...(await authorization()) },
      })
    } catch (error) {
      if (error instanceof Undelivered && error.fault === 'retry') node.outUntil = now + NODE_OUT_MS
      throw error
    }
  }

  return {
    name,
    acknowledges: 'stored',
    limits: { bytesMax: BYTES_MAX },

    async deliver({ records }, signal) {
      const answer = await ask(`/${encodeURIComponent(target)}/_bulk`, {
        headers: { 'content-type': 'application/x-ndjson' },
        body: bodyOf(records, settings.format),
        gzip: settings.gzip,
        signal,
      })
      return receiptOf(name, records.length, jsonOf<BulkAnswer>(name, answer))
    },

    holdings: {
      async *ids(fromMicros, toMicros, signal) {
        const say = (method: 'POST' | 'DELETE', path: string, body: object) =>
          ask(path, {
            method,
            headers: { 'content-type': 'application/json' },
            body: JSON.stringify(body),
            signal,
          })
        const post = async (path: string, body: object) =>
          whole(name, jsonOf<SearchAnswer>(name, await say('POST', path, body)))
        const at = `/${encodeURIComponent(target)}`
        await ask(`${at}/_refresh`, { signal })
        const gte = new Date(Math.floor(fromMicros / 1000)).toISOString()
        const lte = new Date(Math.ceil(toMicros / 1000)).toISOString()
        let found = await post(`${at}/_search?scroll=2m`, {
          size: PAGE,
          _source: false,
          query: { range: { '@timestamp': { gte, lte } } },
          sort: ['_doc'],
        })
        try {
          while (found.hits?.hits?.length) {
            for (const { _id } of found.hits.hits) yield _id
            found = await post('/_search/scroll', { scroll: '2m', scroll_id: found._scroll_id })
          }
        } finally {
          // Only so many may be open on a node; one that can't be closed ends by itself within the two minutes.
          await say('DELETE', '/_search/scroll', { scroll_id: [found._scroll_id] }).catch(() => {})
        }
      },
    },

    async close() {
      outbound.close()
    },
  }
}

/** A part of what is there would make the rest of it missing. */
export function whole(name: string, answer: SearchAnswer): SearchAnswer {
  if (answer.timed_out || (answer._shards?.failed ?? 0) > 0)
    throw new Undelivered(`${name} answered a search for a part of its shards`, 'retry')
  return answer
}

/** What is no ECS has no `@timestamp`, which data streams and time ranges need. */
export function bodyOf(records: readonly Outgoing[], format: Settings['format']): string | Buffer {
  if (format === 'ecs') return joined(records, ({ id }) => `{"create":{"_id":"${id}"}}\n`, '\n')
  let body = ''
  for (const { id, text, timeMicros } of records) {
    const isJson = text.startsWith('{')
    const time = new Date(Math.floor(timeMicros / 1000)).toISOString()
    const document = isJson
      ? `{"@timestamp":"${time}",${text.slice(1)}`
      : JSON.stringify({ '@timestamp': time, message: text })
    body += `{"create":{"_id":"${id}"}}\n${document}\n`
  }
  return body
}

export function receiptOf(name: string, sent: number, answer: BulkAnswer): Receipt {
  const { items } = answer
  // Half an answer acknowledges nothing: the identifiers make another try harmless.
  if (!items || items.length !== sent)
    throw new Undelivered(`${name} answered for ${items?.length ?? 0} of ${sent} events`, 'retry')
  if (answer.errors === false) return {}
  const refused: { index: number; code: string; reason: string }[] = []
  const again: number[] = []
  let why = ''
  items.forEach((item, index) => {
    const { status, error } = Object.values(item)[0] ?? { status: 500 }
    // 409: it is there already, as it is written once.
    if ((status >= 200 && status < 300) || status === 409) return
    const reason = `${status} ${error?.type ?? ''} ${(error?.reason ?? '').slice(0, 300)}`.trim()
    // Permissions, a block on the index or one that is not there are nothing that is wrong with the event.
    if (status === 400 || status === 413 || status === 422)
      refused.push({ index, code: 'CUSTODY-SIEM-003', reason })
    else {
      again.push(index)
      why ||= reason
    }
  })
  return {
    ...(refused.length > 0 && { refused }),
    ...(again.length > 0 && { again: { indices: again, reason: `${name}: ${why}` } }),
  }
}
