/**
 * ServiceNow's Table API: a record for each alert, `correlation_id` its event's identifier. A record that is there already, of
 * a try whose answer was lost, is not made again.
 */
import type { SiemDestinationSettings } from '@custody/kit'
import type { Destination } from '../delivery/destination'
import type { Severity } from '../formats'
import { type DestinationContext, outboundOf } from './context'
import { basic } from './credentials'
import { oneByOne } from './one-by-one'
import { jsonOf } from './outbound'

type Settings = Extract<SiemDestinationSettings, { type: 'servicenow' }>

/** 1 is high, 3 is low, for urgency and impact. */
const URGENCY: Record<Severity, string> = {
  informational: '3',
  low: '3',
  medium: '2',
  high: '1',
  critical: '1',
}

export function createServiceNow(context: DestinationContext<Settings>): Destination {
  const { name, settings, secrets } = context
  const outbound = outboundOf(context)
  const url = `${settings.url.replace(/\/+$/, '')}/api/now/table/${settings.table}`
  return {
    name,
    acknowledges: 'stored',
    deliver: (batch, signal) =>
      oneByOne(batch, async (alert) => {
        const headers = {
          authorization: await basic(secrets, settings.user, settings.password),
          'content-type': 'application/json',
          accept: 'application/json',
        }
        if (batch.attempt > 1) {
          const found = await outbound.ask(
            `${url}?sysparm_query=correlation_id%3D${alert.id}&sysparm_fields=sys_id&sysparm_limit=1`,
            { method: 'GET', headers, signal },
          )
          const { result } = jsonOf<{ result?: unknown[] }>(name, found)
          if (result && result.length > 0) return
        }
        await outbound.ask(url, {
          headers,
          body: JSON.stringify({
            short_description: alert.title.slice(0, 160),
            description: [
              ...alert.facts.map(([fact, value]) => `${fact}: ${value}`),
              ...(alert.statement ? ['', alert.statement] : []),
              ...(alert.url ? ['', alert.url] : []),
            ].join('\n'),
            correlation_id: alert.id,
            correlation_display: 'Custody',
            urgency: URGENCY[alert.severity],
            ...settings.fields,
          }),
          signal,
        })
      }),
    async close() {
      outbound.close()
    },
  }
}
