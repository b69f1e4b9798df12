/**
 * Microsoft Teams: an Adaptive Card through a workflow's webhook for each alert. All that others wrote is in text runs, which
 * Teams does not read as markup.
 */
import type { SiemDestinationSettings } from '@custody/kit'
import type { Alert } from '../alerts/alert'
import type { DestinationContext } from './context'
import { createWebhook } from './webhook'

export const createTeams = (
  context: DestinationContext<Extract<SiemDestinationSettings, { type: 'teams' }>>,
) => createWebhook(context, messageOf)

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
