/**
 * OpenTelemetry logs over HTTP, as JSON (`/v1/logs`). Each event is a log record: its time, severity, the record as body, and
 * what is looked for most as attributes. A partial success names how many were refused and not which: the batch comes again
 * in halves until it is known, so a receiver that keeps the others sees those twice, by the same `log.record.uid`.
 */
import type { SiemDestinationSettings } from '@custody/kit'
import { type Destination, type Outgoing, Undelivered } from '../delivery/destination'
import type { Severity } from '../formats'
import { type DestinationContext, outboundOf } from './context'
import { headersOf } from './credentials'

type Settings = Extract<SiemDestinationSettings, { type: 'otlp' }>

const SEVERITY: Record<Severity, [number: number, text: string]> = {
  informational: [9, 'INFO'],
  low: [10, 'INFO2'],
  medium: [13, 'WARN'],
  high: [17, 'ERROR'],
  critical: [21, 'FATAL'],
}
/** The collector's default for a message is 4 MiB, of what is in it after decompression. */
const BYTES_MAX = 3 * 1024 * 1024

export function createOtlp(context: DestinationContext<Settings>): Destination {
  const { name, settings, secrets, gateway } = context
  const outbound = outboundOf(context)
  const url = new URL(settings.url)
  if (url.pathname === '/') url.pathname = '/v1/logs'

  return {
    name,
    acknowledges: 'stored',
    limits: { bytesMax: BYTES_MAX },
    async deliver({ records }, signal) {
      const { body, status } = await outbound.ask(url.href, {
        headers: {
          'content-type': 'application/json',
          ...(await headersOf(secrets, settings.headers)),
        },
        body: bodyOf(records, gateway),
        gzip: settings.gzip,
        signal,
      })
      const refused = rejectedIn(body)
      if (refused.count > 0)
        throw new Undelivered(
          `${name} answered ${status} and refused ${refused.count} of ${records.length}: ${refused.why}`,
          'refused',
        )
      return {}
    },
    async close() {
      outbound.close()
    },
  }
}

export function bodyOf(records: readonly Outgoing[], gateway: string): string {
  const attribute = (key: string, value: string) => ({ key, value: { stringValue: value } })
  return JSON.stringify({
    resourceLogs: [
      {
        resource: {
          attributes: [
            attribute('service.name', 'custody'),
            attribute('service.instance.id', gateway),
          ],
        },
        scopeLogs: [
          {
            scope: { name: 'custody' },
            logRecords: records.map(
              ({
                id,
                timeMicros,
                severity,
                kind,
                session,
                resource,
                recorder,
                sequence,
                text,
              }) => ({
                timeUnixNano: `${timeMicros}000`,
                observedTimeUnixNano: `${timeMicros}000`,
                severityNumber: SEVERITY[severity][0],
                severityText: SEVERITY[severity][1],
                eventName: `custody.${kind}`,
                body: { stringValue: text },
                attributes: [
                  attribute('log.record.uid', id),
                  attribute('event.name', kind),
                  attribute('custody.recorder', recorder),
                  { key: 'custody.sequence', value: { intValue: String(sequence) } },
                  ...(session ? [attribute('session.id', session)] : []),
                  ...(resource ? [attribute('custody.resource', resource)] : []),
                ],
              }),
            ),
          },
        ],
      },
    ],
  })
}

export function rejectedIn(body: string): { count: number; why: string } {
  try {
    const { partialSuccess } = JSON.parse(body) as {
      partialSuccess?: { rejectedLogRecords?: string | number; errorMessage?: string }
    }
    return {
      count: Number(partialSuccess?.rejectedLogRecords ?? 0) || 0,
      why: (partialSuccess?.errorMessage ?? '').slice(0, 300),
    }
  } catch {
    return { count: 0, why: '' }
  }
}
