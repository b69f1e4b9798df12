/** Jira: an issue for each alert. All that others wrote is in text nodes of the document, which Jira does not read as markup. */
import type { SiemDestinationSettings } from '@custody/kit'
import type { Alert } from '../alerts/alert'
import type { Destination } from '../delivery/destination'
import { type DestinationContext, outboundOf } from './context'
import { basic } from './credentials'
import { oneByOne } from './one-by-one'

type Settings = Extract<SiemDestinationSettings, { type: 'jira' }>

const SUMMARY_CHARACTERS_MAX = 255

export function createJira(context: DestinationContext<Settings>): Destination {
  const { name, settings, secrets } = context
  const outbound = outboundOf(context)
  const url = `${settings.url.replace(/\/+$/, '')}/rest/api/3/issue`
  return {
    name,
    acknowledges: 'stored',
    deliver: (batch, signal) =>
      oneByOne(batch, async (alert) => {
        await outbound.ask(url, {
          headers: {
            authorization: await basic(secrets, settings.user, settings.token),
            'content-type': 'application/json',
          },
          body: JSON.stringify({
            fields: {
              project: { key: settings.project },
              issuetype: { name: settings.issueType },
              summary: alert.title.slice(0, SUMMARY_CHARACTERS_MAX),
              // What arrives twice is found by the event's identifier.
              labels: ['custody', `custody-${alert.id}`],
              description: documentOf(alert),
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

function documentOf({ facts, statement, url }: Alert): object {
  const text = (one: string, marks: object[] = []) => ({
    type: 'text',
    text: one,
    ...(marks.length > 0 && { marks }),
  })
  return {
    type: 'doc',
    version: 1,
    content: [
      ...facts.map(([fact, value]) => ({
        type: 'paragraph',
        content: [text(`${fact}: `, [{ type: 'strong' }]), text(value)],
      })),
      ...(statement ? [{ type: 'codeBlock', content: [text(statement)] }] : []),
      ...(url
        ? [
            {
              type: 'paragraph',
              content: [text('Open in Custody', [{ type: 'link', attrs: { href: url } }])],
            },
          ]
        : []),
    ],
  }
}
