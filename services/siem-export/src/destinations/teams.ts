/**
 * Microsoft Teams: an Adaptive Card through a workflow's webhook for each alert. All that others wrote is in text runs, which
 * Teams does not read as markup.
 */
import type { SiemDestinationSettings } from '@custody/kit'
import type { Alert } from '../alerts/alert'
import type { Destination } from '../delivery/destination'
import { type DestinationContext, outboundOf } from './context'
import { oneByOne } from './one-by-one'

type Settings = Extract<SiemDestinationSettings, { type: 'teams' }>

export function createTeams(context: DestinationContext<Settings>): Destination {
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

export function messageOf({ title, facts, statement, url }: Alert): object {
  return {
    type: 'message',
    attachments: [
      {
        contentType: 'application/vnd.microsoft.card.adaptive',
        contentUrl: null,
        content: {
          $schema: 'http://adaptivecards.io/schemas/adaptive-card.json',
          type: 'AdaptiveCard',
          version: '1.4',
          msteams: { width: 'Full' },
          body: [
            runs({ text: title, weight: 'Bolder', size: 'Medium' }),
            ...facts.map(([fact, value]) =>
              runs({ text: `${fact}: `, weight: 'Bolder' }, { text: value }),
            ),
            ...(statement ? [runs({ text: statement, fontType: 'Monospace' })] : []),
          ],
          actions: url ? [{ type: 'Action.OpenUrl', title: 'Open in Custody', url }] : [],
        },
      },
    ],
  }
}

function runs(...inlines: { text: string; [style: string]: string }[]): object {
  return {
    type: 'RichTextBlock',
    inlines: inlines.map((inline) => ({ type: 'TextRun', ...inline })),
  }
}
