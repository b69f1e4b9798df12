/**
 * Slack, by an incoming webhook: one message for each alert. All that others wrote is in `plain_text` or preformatted runs of
 * rich text, which Slack does not read as markup or mentions.
 */
import type { SiemDestinationSettings } from '@custody/kit'
import type { Alert } from '../alerts/alert'
import type { DestinationContext } from './context'
import { createWebhook } from './webhook'

export const createSlack = (
  context: DestinationContext<Extract<SiemDestinationSettings, { type: 'slack' }>>,
) => createWebhook(context, messageOf)

export function messageOf({ title, facts, statement, url, severity }: Alert): object {
  const text = (one: string, style?: object) => ({
    type: 'text',
    text: one,
    ...(style && { style }),
  })
  return {
    // Shown in notifications, where it would be read as markup.
    text: `${severity}: ${title}`.replace(/[&<>]/g, (one) => ESCAPES[one]!),
    blocks: [
      { type: 'header', text: { type: 'plain_text', text: title.slice(0, 150), emoji: false } },
      {
        type: 'rich_text',
        elements: [
          {
            type: 'rich_text_section',
            elements: facts.flatMap(([name, value]) => [
              text(`${name}: `, { bold: true }),
              text(`${value}\n`),
            ]),
          },
          ...(statement ? [{ type: 'rich_text_preformatted', elements: [text(statement)] }] : []),
        ],
      },
      ...(url
        ? [
            {
              type: 'actions',
              elements: [
                { type: 'button', text: { type: 'plain_text', text: 'Open in Custody' }, url },
              ],
            },
          ]
        : []),
    ],
  }
}

const ESCAPES: Record<string, string> = { '&': '&amp;', '<': '&lt;', '>': '&gt;' }
