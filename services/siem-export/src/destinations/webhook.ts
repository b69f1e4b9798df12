/** Chat by an incoming webhook, one message for each alert. Whoever knows its URL can post, so that is a secret. */
import type { SiemDestinationSettings } from '@custody/kit'
import type { Alert } from '../alerts/alert'
import type { Destination } from '../delivery/destination'
import { type DestinationContext, outboundOf } from './context'
import { oneByOne } from './one-by-one'

type Settings = Extract<SiemDestinationSettings, { type: 'slack' | 'teams' }>

export function createWebhook(
  context: DestinationContext<Settings>,
  messageOf: (alert: Alert) => object,
): Destination {
  const { name, settings, secrets } = context
  const outbound = outboundOf(context)
  return {
    name,
    acknowledges: 'stored',
    deliver: (batch, signal) =>
      oneByOne(batch, async (alert) => {
        await outbound.ask(await secrets.read(settings.url), {
          headers: { 'content-type': 'application/json' },
          body: JSON.stringify(messageOf(alert)),
          signal,
        })
      }),
    async close() {
      outbound.close()
    },
  }
}
