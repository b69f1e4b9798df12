/**
 * Jira: an issue for every request, answered by moving it to a status that the configuration names. Its own signed webhook
 * tells of the move and of who made it; the address is asked of Jira where the webhook does not have it.
 * All that others wrote is in text nodes of the document, which Jira does not read as markup.
 * Refuses calls that are not signed, old and repeated ones, and moves by the account that Custody uses itself.
 */
import type { ChannelSettings, Secrets } from '@custody/kit'
import {
  type Channel,
  cut,
  factsOf,
  type HeldRequest,
  line,
  outcomeText,
  stateBy,
  titleOf,
} from './channel'
import { callerOf, isPassing, Recorded } from './desk'
import { jsonOf, outbound } from './outbound'
import { Freshly, hmac, objectIn, same, unproven } from './proof'

type Settings = Extract<ChannelSettings, { type: 'jira' }>

const SUMMARY_CHARACTERS_MAX = 255
const KEY = /^[A-Z][A-Z0-9_]{1,99}-\d{1,12}$/

export function createJira(settings: Settings, secrets: Secrets): Channel {
  const name = settings.name ?? settings.type
  const base = `${settings.url.replace(/\/+$/, '')}/rest/api/3`
  const stateOf = stateBy(settings)

  async function call<T>(
    path: string,
    signal: AbortSignal,
    body: object | null = null,
  ): Promise<T | null> {
    const account = `${settings.email}:${await secrets.read(settings.token)}`
    const answer = await outbound('Jira', `${base}${path}`, {
      method: body === null ? 'GET' : 'POST',
      headers: {
        authorization: `Basic ${Buffer.from(account).toString('base64')}`,
        accept: 'application/json',
        ...(body !== null && { 'content-type': 'application/json' }),
      },
      ...(body !== null && { body: JSON.stringify(body) }),
      signal,
    })
    return answer.status === 204 || answer.body === '' ? null : jsonOf<T>('Jira', answer)
  }

  async function emailOf(accountId: string): Promise<string | null> {
    const user = await call<{ emailAddress?: string }>(
      `/user?accountId=${encodeURIComponent(accountId)}`,
      AbortSignal.timeout(5000),
    )
    return user?.emailAddress ?? null
  }

  return {
    name,
    type: 'jira',

    async ask(request, signal) {
      const made = await call<{ key?: string }>('/issue', signal, {
        fields: {
          project: { key: settings.project },
          issuetype: { name: settings.issueType },
          summary: line(titleOf(request), SUMMARY_CHARACTERS_MAX),
          description: documentOf(request, settings),
          labels: ['custody', `custody-${request.id}`],
        },
      })
      return made?.key && KEY.test(made.key) ? made.key : null
    },

    async settle(_request, reference, outcome, signal) {
      if (reference === null || !KEY.test(reference)) return
      await call(`/issue/${reference}/comment`, signal, {
        body: { type: 'doc', version: 1, content: [paragraph(outcomeText(outcome))] },
      })
      const wanted = settings.settledTransition?.toLowerCase()
      if (wanted === undefined) return
      const found = await call<{ transitions?: { id: string; name: string }[] }>(
        `/issue/${reference}/transitions`,
        signal,
      )
      // Where it is there already, the transition is not offered.
      const transition = found?.transitions?.find((one) => one.name.toLowerCase() === wanted)
      if (transition)
        await call(`/issue/${reference}/transitions`, signal, { transition: { id: transition.id } })
    },

    routes(app, desk) {
      const fresh = new Freshly()

      app.post(`/jira/${name}`, async (request, reply) => {
        const body = request.body as Buffer
        const expected = hmac(await secrets.read(settings.webhookSecret), body)
        const presented = /^sha256=([0-9a-f]{64})$/.exec(
          String(request.headers['x-hub-signature'] ?? ''),
        )
        if (!presented || !same(expected, Buffer.from(presented[1]!, 'hex')))
          throw unproven('not signed with this webhook’s secret')
        const event = objectIn<JiraEvent>(body.toString('utf8'), 'the body is no JSON object')
        fresh.take(expected.toString('hex'), Number(event.timestamp) / 1000)
        const status = event.changelog?.items?.findLast(({ field }) => field === 'status')?.toString
        const state = typeof status === 'string' ? stateOf(status) : null
        const asked = desk
          .asked(name)
          .find(({ reference }) => reference !== null && reference === event.issue?.key)
        // Jira tells of everything in the project: most of it is none of our business.
        if (event.webhookEvent !== 'jira:issue_updated' || state === null || !asked)
          return reply.status(204).send()
        const accountId = String(event.user?.accountId ?? '')
        let email: string | null
        try {
          email = event.user?.emailAddress || (accountId === '' ? null : await emailOf(accountId))
        } catch (error) {
          // Not to be looked up now: the same may come once more.
          fresh.forget(expected.toString('hex'))
          throw error
        }
        if (email !== null && email.toLowerCase() === settings.email.toLowerCase())
          throw unproven('the issue was moved by the account that Custody uses itself')
        try {
          await desk.answer({
            channel: { name, type: 'jira' },
            request: asked.request.id,
            state,
            comment: commentOf(event, asked.request),
            by: { email, ...(accountId !== '' && { jira: accountId }) },
            from: callerOf(request, { name }),
          })
        } catch (error) {
          // Jira sends the same once more.
          if (isPassing(error)) fresh.forget(expected.toString('hex'))
          throw new Recorded(error)
        }
        return reply.status(204).send()
      })
    },
  }
}

interface JiraEvent {
  timestamp?: unknown
  webhookEvent?: string
  user?: { accountId?: string; emailAddress?: string }
  issue?: { key?: string }
  comment?: { body?: unknown }
  changelog?: { items?: { field?: string; toString?: unknown }[] }
}

/** What was said with the move. Where nothing has to be said, the move itself is what the record names. */
function commentOf({ comment, issue, changelog }: JiraEvent, request: HeldRequest): string | null {
  const said = typeof comment?.body === 'string' ? comment.body.trim() : ''
  if (said !== '' || request.commentRequired) return said || null
  const status = changelog?.items?.findLast(({ field }) => field === 'status')?.toString
  return `moved ${issue?.key} to ${line(String(status), 100)}`
}

function paragraph(text: string, ...marks: object[]): object {
  return {
    type: 'paragraph',
    content: [{ type: 'text', text: text || ' ', ...(marks.length > 0 && { marks }) }],
  }
}

/** Atlassian Document Format. */
function documentOf(request: HeldRequest, settings: Settings): object {
  const { statement } = request
  return {
    type: 'doc',
    version: 1,
    content: [
      paragraph(
        `Move this issue to ${settings.approved.join(' or ')} to let the command run, to ${settings.denied.join(' or ')} to refuse it.${request.commentRequired ? ' Say why in the comment of that move; without one it does not count.' : ''}`,
      ),
      {
        type: 'bulletList',
        content: factsOf(request).map(([name, value]) => ({
          type: 'listItem',
          content: [paragraph(`${name}: ${value}`)],
        })),
      },
      {
        type: 'codeBlock',
        content: [{ type: 'text', text: cut(statement.text, 10_000).text || ' ' }],
      },
      ...(statement.cut ? [paragraph(`Cut; the console has all ${statement.bytes} bytes.`)] : []),
      paragraph('Open in Custody', { type: 'link', attrs: { href: request.url } }),
    ],
  }
}
