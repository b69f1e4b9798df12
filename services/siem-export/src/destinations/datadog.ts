/**
 * Datadog's log intake (`/api/v2/logs`): at most 1,000 entries and 5 MB at once, 1 MB each. What is longer it cuts and still
 * says 202, so a longer record is put aside here instead.
 */
import type { SiemDestinationSettings } from '@custody/kit'
import type { Destination, Outgoing } from '../delivery/destination'
import type { Severity } from '../formats'
import { type DestinationContext, outboundOf } from './context'

type Settings = Extract<SiemDestinationSettings, { type: 'datadog' }>

const STATUS: Record<Severity, string> = {
  informational: 'info',
  low: 'notice',
  medium: 'warn',
  high: 'error',
  critical: 'critical',
}

export function createDatadog(context: DestinationContext<Settings>): Destination {
  const { name, settings, secrets, gateway } = context
  const outbound = outboundOf(context)
  const url = `${settings.url.replace(/\/+$/, '')}/api/v2/logs`

  return {
    name,
    acknowledges: 'stored',
    // Below what is said, for what is around a record: quotes that are escaped may double it.
    limits: { eventsMax: 1000, bytesMax: 2_000_000, recordBytesMax: 450_000 },
    async deliver({ records }, signal) {
      await outbound.ask(url, {
        headers: {
          'content-type': 'application/json',
          'dd-api-key': await secrets.read(settings.apiKey),
        },
        body: bodyOf(records, settings, gateway),
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

export function bodyOf(
  records: readonly Outgoing[],
  { service, tags }: Pick<Settings, 'service' | 'tags'>,
  gateway: string,
): string {
  const ddtags = [`gateway:${gateway}`, ...tags].join(',')
  return JSON.stringify(
    records.map(({ id, kind, severity, timeMicros, session, text }) => ({
      ddsource: 'custody',
      ddtags,
      hostname: gateway,
      service,
      status: STATUS[severity],
      timestamp: Math.floor(timeMicros / 1000),
      custody_id: id,
      custody_kind: kind,
      ...(session && { session }),
      message: text,
    })),
  )
}
