/**
 * PagerDuty: an event that wakes whoever is on call, with a link to the console; resolved when the request ends.
 * Refuses to take answers: acknowledging an incident says that somebody looks at it, not that the command may run.
 */
import type { ChannelSettings, Secrets } from '@custody/kit'
import { type Channel, factsOf, line, placeOf, titleOf } from './channel'
import { outbound } from './outbound'

type Settings = Extract<ChannelSettings, { type: 'pagerduty' }>

const SUMMARY_CHARACTERS_MAX = 1024

export function createPagerDuty(settings: Settings, secrets: Secrets): Channel {
  async function send(event: object, signal: AbortSignal): Promise<void> {
    await outbound('PagerDuty', settings.url, {
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ routing_key: await secrets.read(settings.routingKey), ...event }),
      signal,
    })
  }

  return {
    name: settings.name ?? settings.type,
    type: 'pagerduty',
    async ask(request, signal) {
      await send(
        {
          event_action: 'trigger',
          dedup_key: request.id,
          client: 'Custody',
          client_url: request.url,
          links: [{ href: request.url, text: 'Answer in Custody' }],
          payload: {
            summary: line(titleOf(request), SUMMARY_CHARACTERS_MAX),
            source: placeOf(request),
            severity: settings.severity,
            timestamp: request.requested.toISOString(),
            component: request.resource,
            class: 'approval',
            custom_details: {
              ...Object.fromEntries(factsOf(request)),
              Statement: request.statement.text,
            },
          },
        },
        signal,
      )
      return request.id
    },
    async settle(request, _reference, _outcome, signal) {
      await send({ event_action: 'resolve', dedup_key: request.id }, signal)
    },
  }
}
