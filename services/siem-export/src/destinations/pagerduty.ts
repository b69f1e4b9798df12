/** PagerDuty's Events API v2: an alert triggers an incident; what is about the same has the same key and is one incident. */
import { createHash } from 'node:crypto'
import type { SiemDestinationSettings } from '@custody/kit'
import type { Destination } from '../delivery/destination'
import type { Severity } from '../formats'
import { type DestinationContext, outboundOf } from './context'
import { oneByOne } from './one-by-one'

type Settings = Extract<SiemDestinationSettings, { type: 'pagerduty' }>

const SEVERITIES: Record<Severity, string> = {
  informational: 'info',
  low: 'info',
  medium: 'warning',
  high: 'error',
  critical: 'critical',
}

export function createPagerDuty(context: DestinationContext<Settings>): Destination {
  const { name, settings, secrets, gateway } = context
  const outbound = outboundOf(context)
  return {
    name,
    acknowledges: 'stored',
    deliver: (batch, signal) =>
      oneByOne(batch, async ({ key, title, severity, timeMicros, facts, statement, url, kind }) => {
        await outbound.ask(settings.url, {
          headers: { 'content-type': 'application/json' },
          body: JSON.stringify({
            routing_key: await secrets.read(settings.routingKey),
            event_action: 'trigger',
            dedup_key: createHash('sha256').update(key).digest('hex').slice(0, 32),
            client: 'Custody',
            ...(url && { client_url: url, links: [{ href: url, text: 'Open in Custody' }] }),
            payload: {
              summary: title.slice(0, 1024),
              source: gateway,
              severity: SEVERITIES[severity],
              timestamp: new Date(Math.floor(timeMicros / 1000)).toISOString(),
              class: kind,
              custom_details: { ...Object.fromEntries(facts), ...(statement && { statement }) },
            },
          }),
          signal,
        })
      }),
    async close() {
      outbound.close()
    },
  }
}
