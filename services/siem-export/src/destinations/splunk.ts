/**
 * Splunk's HTTP event collector. Events are JSON objects one after another in a body. A 200 says that the body was read; that
 * it is indexed is asked for by channel (`/services/collector/ack`), and only then counts. What is not acknowledged in time
 * comes again: Splunk has no identifier of its own, so the second copy is told by the record's `id`.
 * An indexer may take seconds to say so. Up to `requestsMax` requests wait for it together, asked about at once; what of them is
 * not indexed in time comes again alone.
 */
import { randomUUID } from 'node:crypto'
import type { SiemDestinationSettings } from '@custody/kit'
import { type Destination, type Outgoing, Undelivered } from '../delivery/destination'
import { type DestinationContext, outboundOf } from './context'
import { faultOf, jsonOf, refusal } from './outbound'

type Settings = Extract<SiemDestinationSettings, { type: 'splunk' }>

const ACK_MS_MIN = 100
const ACK_MS_MAX = 2000
/** Splunk's own default for one request is 800 MB; load balancers are often stricter. */
const BYTES_MAX = 32 * 1024 * 1024
const QUOTED = /["\\]/g

export function createSplunk(context: DestinationContext<Settings>): Destination {
  const { name, settings, secrets } = context
  const outbound = outboundOf(context)
  const base = settings.url.replace(/\/+$/, '')
  // One for the life of this process: acknowledgements are asked for where events were sent.
  const channel = randomUUID()

  const headers = async () => ({
    authorization: `Splunk ${await secrets.read(settings.token)}`,
    'content-type': 'application/json',
    ...(settings.acknowledgement && { 'x-splunk-request-channel': channel }),
  })

  async function post(path: string, body: string, signal: AbortSignal, gzip: boolean) {
    const answer = await outbound.ask(`${base}${path}`, {
      headers: await headers(),
      body,
      gzip,
      signal,
      accepts: () => true,
    })
    if (answer.status >= 200 && answer.status < 300) return answer
    const { code } = parsed(answer.body)
    const known = refusal(name, answer)
    throw new Undelivered(known.message, faultOfCode(answer.status, code), known.afterMs)
  }

  /** Of these, which are indexed when all are, or when it has taken too long. */
  async function indexed(acks: readonly number[], signal: AbortSignal): Promise<Set<number>> {
    const done = new Set<number>()
    const deadline = Date.now() + settings.requestMsMax
    for (let wait = ACK_MS_MIN; Date.now() < deadline; wait = Math.min(ACK_MS_MAX, wait * 2)) {
      try {
        const answer = await post(
          `/services/collector/ack?channel=${channel}`,
          JSON.stringify({ acks: acks.filter((ack) => !done.has(ack)) }),
          signal,
          false,
        )
        const told = jsonOf<{ acks?: Record<string, boolean> }>(name, answer).acks ?? {}
        // It is said once: an indexer forgets what it has told.
        for (const ack of acks) if (told[String(ack)] === true) done.add(ack)
      } catch (error) {
        // Asked again, since sending again would make copies.
        if (!(error instanceof Undelivered) || error.fault !== 'retry') throw error
      }
      if (done.size === acks.length || signal.aborted) break
      await new Promise((resolve) => setTimeout(resolve, wait))
    }
    return done
  }

  /** Resolves with the number to ask by, or null where none is asked for. */
  async function send(records: readonly Outgoing[], signal: AbortSignal): Promise<number | null> {
    const answer = await post(
      '/services/collector/event',
      bodyOf(records, settings),
      signal,
      settings.gzip,
    )
    const { code, ackId } = parsed(answer.body)
    if (code !== undefined && code !== 0)
      throw new Undelivered(`${name} answered with code ${code}`, faultOfCode(400, code))
    if (!settings.acknowledgement) return null
    if (typeof ackId !== 'number')
      throw new Undelivered(
        `${name} gives no acknowledgements: turn on indexer acknowledgement for the token, or set acknowledgement: false`,
        'setting',
      )
    return ackId
  }

  return {
    name,
    acknowledges: settings.acknowledgement ? 'stored' : 'sent',
    limits: { bytesMax: BYTES_MAX },
    ...(settings.acknowledgement && { together: settings.requestsMax }),

    async deliver({ records }, signal) {
      const bytesMax = Math.min(settings.batch.bytesMax, BYTES_MAX)
      const requests = requestsOf(records, settings.batch.eventsMax, bytesMax)
      const waiting: { ack: number; from: number; to: number }[] = []
      const again: number[] = []
      let reason = ''
      let afterMs: number | undefined
      for (const { from, to } of requests) {
        try {
          const ack = await send(records.slice(from, to), signal)
          if (ack !== null) waiting.push({ ack, from, to })
        } catch (error) {
          // What went before it may be indexed all the same, and what is wrong with it is told when it comes first.
          if (from === 0 || !(error instanceof Undelivered)) throw error
          for (let i = from; i < records.length; i++) again.push(i)
          reason = error.message
          afterMs = error.afterMs
          break
        }
      }
      if (waiting.length > 0) {
        const done = await indexed(
          waiting.map(({ ack }) => ack),
          signal,
        )
        if (done.size < waiting.length) {
          const late = `${name} took events and did not say within ${settings.requestMsMax} ms that they are indexed`
          if (done.size === 0) throw new Undelivered(late, 'retry')
          reason = late
          for (const { from, to } of waiting.filter((one) => !done.has(one.ack)).reverse())
            for (let i = to - 1; i >= from; i--) again.unshift(i)
        }
      }
      return again.length === 0
        ? {}
        : { again: { indices: again, reason, ...(afterMs !== undefined && { afterMs }) } }
    },

    ...(settings.search && {
      holdings: {
        async *ids(fromMicros, toMicros, signal) {
          const quoted = (text: string) => `"${text.replace(QUOTED, '\\$&')}"`
          const search = `search ${settings.index ? `index=${quoted(settings.index)} ` : ''}source=${quoted(settings.source)} | fields custody_id | table custody_id`
          const answer = await outbound.ask(
            `${settings.search!.url.replace(/\/+$/, '')}/services/search/v2/jobs/export`,
            {
              headers: {
                authorization: `Bearer ${await secrets.read(settings.search!.token)}`,
                'content-type': 'application/x-www-form-urlencoded',
              },
              body: new URLSearchParams({
                search,
                earliest_time: String(Math.floor(fromMicros / 1e6)),
                latest_time: String(Math.ceil(toMicros / 1e6) + 1),
                output_mode: 'json',
                // Else rows come several times, as the search goes on.
                preview: 'false',
              }).toString(),
              signal,
            },
          )
          for (const line of answer.body.split('\n')) {
            const id = parsed(line).result?.custody_id
            if (typeof id === 'string') yield id
          }
        },
      },
    }),

    async close() {
      outbound.close()
    },
  }
}

/** Neighbours as they go into one request. */
function requestsOf(
  records: readonly Outgoing[],
  eventsMax: number,
  bytesMax: number,
): { from: number; to: number }[] {
  const found: { from: number; to: number }[] = []
  for (let from = 0; from < records.length; ) {
    let to = from
    let bytes = 0
    while (
      to < records.length &&
      to - from < eventsMax &&
      (to === from || bytes + records[to]!.bytes <= bytesMax)
    )
      bytes += records[to++]!.bytes
    found.push({ from, to })
    from = to
  }
  return found
}

/** `fields` are indexed: by `custody_id` an event is found again. */
export function bodyOf(
  records: readonly Outgoing[],
  { index, source, sourcetype }: Pick<Settings, 'index' | 'source' | 'sourcetype'>,
): string {
  const same = JSON.stringify({ source, sourcetype, ...(index && { index }) }).slice(1)
  let body = ''
  for (const { id, timeMicros, recorder, text } of records) {
    const event = text.startsWith('{') ? text : JSON.stringify(text)
    body += `{"time":${(timeMicros / 1e6).toFixed(6)},"host":${JSON.stringify(recorder)},"fields":{"custody_id":"${id}"},"event":${event},${same}`
  }
  return body
}

interface HecAnswer {
  code?: number
  ackId?: number
  result?: { custody_id?: unknown }
}

function parsed(body: string): HecAnswer {
  try {
    return JSON.parse(body) as HecAnswer
  } catch {
    return {}
  }
}

/** HEC's own codes: 1 to 4, 7, 10, 11, 14 are about token, index or channel; 5, 6, 12, 13, 15 about the data; 8, 9 about the server. */
function faultOfCode(status: number, code: number | undefined) {
  if (code === undefined) return faultOf(status)
  if ([1, 2, 3, 4, 7, 10, 11, 14].includes(code)) return 'setting'
  if ([5, 6, 12, 13, 15].includes(code)) return 'refused'
  return 'retry'
}
