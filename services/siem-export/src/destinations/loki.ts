/**
 * Grafana Loki's push interface. Streams have few labels (the recorder, the severity, and what is configured): more would be
 * more streams than Loki takes. Within a stream entries are in order; one that is there already, with the same time and text,
 * is dropped by Loki itself, so a batch may come twice.
 */
import type { SiemDestinationSettings } from '@custody/kit'
import type { Destination, Outgoing } from '../delivery/destination'
import { type DestinationContext, outboundOf } from './context'
import { basic } from './credentials'

type Settings = Extract<SiemDestinationSettings, { type: 'loki' }>

/** Loki's defaults: 4 MiB for a request, 256 KiB for a line. */
const BYTES_MAX = 3 * 1024 * 1024
const RECORD_BYTES_MAX = 256 * 1024

export function createLoki(context: DestinationContext<Settings>): Destination {
  const { name, settings, secrets } = context
  const outbound = outboundOf(context)
  const url = new URL(settings.url)
  if (url.pathname === '/') url.pathname = '/loki/api/v1/push'

  async function headers(): Promise<Record<string, string>> {
    const { tenant, user, password, token } = settings
    return {
      'content-type': 'application/json',
      ...(tenant && { 'x-scope-orgid': tenant }),
      ...(user !== undefined && { authorization: await basic(secrets, user, password) }),
      ...(token && { authorization: `Bearer ${await secrets.read(token)}` }),
    }
  }

  return {
    name,
    acknowledges: 'stored',
    limits: { bytesMax: BYTES_MAX, recordBytesMax: RECORD_BYTES_MAX },
    async deliver({ records }, signal) {
      await outbound.ask(url.href, {
        headers: await headers(),
        body: bodyOf(records, settings.labels),
        gzip: settings.gzip,
        signal,
      })
      return {}
    },
    async close() {
      outbound.close()
    },
  }
}

export function bodyOf(records: readonly Outgoing[], labels: Record<string, string>): string {
  const streams = new Map<string, { stream: Record<string, string>; values: unknown[] }>()
  for (const { id, recorder, severity, session, timeMicros, text } of records) {
    const at = `${recorder}\n${severity}`
    let one = streams.get(at)
    if (!one) {
      one = { stream: { ...labels, service_name: 'custody', recorder, severity }, values: [] }
      streams.set(at, one)
    }
    one.values.push([`${timeMicros}000`, text, { id, ...(session && { session }) }])
  }
  return JSON.stringify({ streams: [...streams.values()] })
}
