/**
 * Microsoft Teams: an Adaptive Card through a workflow's webhook, with a link to the console, and a short one when the
 * request has ended. All that others wrote is in text runs, which Teams does not read as markup.
 * Refuses to take answers: a webhook says nothing of who pressed a button.
 */
import type { ChannelSettings, Secrets } from '@custody/kit'
import { type Channel, factsOf, outcomeText, titleOf } from './channel'
import { outbound } from './outbound'

type Settings = Extract<ChannelSettings, { type: 'teams' }>

export function createTeams(settings: Settings, secrets: Secrets): Channel {
  async function post(body: object[], actions: object[], signal: AbortSignal): Promise<void> {
    await outbound('Teams', await secrets.read(settings.url), {
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({
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
              body,
              actions,
            },
          },
        ],
      }),
      signal,
    })
  }

  return {
    name: settings.name ?? settings.type,
    type: 'teams',
    async ask(request, signal) {
      await post(
        [
          runs({ text: titleOf(request), weight: 'Bolder', size: 'Medium' }),
          ...factsOf(request).map(([name, value]) =>
            runs({ text: `${name}: `, weight: 'Bolder' }, { text: value }),
          ),
          runs({ text: request.statement.text || ' ', fontType: 'Monospace' }),
          ...(request.statement.cut
            ? [runs({ text: `Cut; the console has all ${request.statement.bytes} bytes.` })]
            : []),
        ],
        [{ type: 'Action.OpenUrl', title: 'Answer in Custody', url: request.url }],
        signal,
      )
      return null
    },
    async settle(request, _reference, outcome, signal) {
      await post(
        [runs({ text: titleOf(request), weight: 'Bolder' }), runs({ text: outcomeText(outcome) })],
        [{ type: 'Action.OpenUrl', title: 'Open in Custody', url: request.url }],
        signal,
      )
    },
  }
}

function runs(...inlines: { text: string; [style: string]: string }[]): object {
  return {
    type: 'RichTextBlock',
    inlines: inlines.map((inline) => ({ type: 'TextRun', ...inline })),
  }
}
