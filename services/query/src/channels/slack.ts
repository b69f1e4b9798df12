/**
 * Slack: a message of Block Kit with buttons, brought up to date when the request ends. Answers are Slack's own signed
 * calls; where a comment is asked for, a dialog takes it.
 * All that others wrote is in elements of plain text, which Slack does not read as markup.
 * Refuses calls that Slack did not sign, old and repeated ones, and people of another workspace, bots and former members:
 * only of its own members does a workspace vouch for the address.
 */
import type { ChannelSettings, Secrets } from '@custody/kit'
import { isCustodyError } from '@custody/kit'
import type { FastifyInstance } from 'fastify'
import { COMMENT_CHARACTERS_MAX } from '../answering'
import { type Channel, cut, factsOf, type HeldRequest, line, outcomeText, titleOf } from './channel'
import { callerOf, type Desk } from './desk'
import { jsonOf, outbound, Undelivered } from './outbound'
import type { Spoken } from './people'
import { Freshly, hmac, malformed, objectIn, same, unproven } from './proof'

type Settings = Extract<ChannelSettings, { type: 'slack' }>

/** Slack's own bounds. */
const HEADER_CHARACTERS_MAX = 150
const FIELD_CHARACTERS_MAX = 2000
const FIELDS_MAX = 10
const TEXT_CHARACTERS_MAX = 3000
const PERSON_MS_MAX = 5 * 60_000
const PEOPLE_MAX = 10_000

interface Answer {
  ok: boolean
  error?: string
}

/** Errors of Slack's that pass. */
const PASSING = new Set([
  'ratelimited',
  'rate_limited',
  'internal_error',
  'fatal_error',
  'service_unavailable',
  'request_timeout',
  'team_added_to_org',
])

export function createSlack(settings: Settings, secrets: Secrets): Channel {
  const name = settings.name ?? settings.type
  const people = new Map<string, { untilMs: number; spoken: Spoken }>()
  let workspace: Promise<{ team: string; enterprise: string | null }> | null = null

  async function call<T extends Answer>(
    method: string,
    signal: AbortSignal,
    body: object | null,
    query = '',
  ): Promise<T> {
    const answer = await outbound('Slack', `${settings.apiUrl}/${method}${query}`, {
      method: body === null ? 'GET' : 'POST',
      headers: {
        authorization: `Bearer ${await secrets.read(settings.token)}`,
        ...(body !== null && { 'content-type': 'application/json; charset=utf-8' }),
      },
      ...(body !== null && { body: JSON.stringify(body) }),
      signal,
    })
    const value = jsonOf<T>('Slack', answer)
    if (value.ok !== true) {
      const error = String(value.error ?? 'unknown_error')
        .replace(/[^a-z_]/g, '')
        .slice(0, 60)
      throw new Undelivered(`Slack refuses ${method}: ${error}`, { retry: PASSING.has(error) })
    }
    return value
  }

  const signal = () => AbortSignal.timeout(5000)

  /** What Slack says of a member, for a while. */
  async function personOf(id: string): Promise<Spoken> {
    const known = people.get(id)
    if (known && known.untilMs > Date.now()) return known.spoken
    workspace ??= call<Answer & { team_id: string; enterprise_id?: string | null }>(
      'auth.test',
      signal(),
      {},
    ).then(({ team_id, enterprise_id }) => ({ team: team_id, enterprise: enterprise_id ?? null }))
    workspace.catch(() => {
      workspace = null
    })
    const own = await workspace
    const { user } = await call<Answer & { user: SlackUser }>(
      'users.info',
      signal(),
      null,
      `?user=${encodeURIComponent(id)}`,
    )
    const isMember =
      user.team_id === own.team ||
      (own.enterprise !== null && user.enterprise_user?.enterprise_id === own.enterprise)
    if (!isMember || user.is_stranger) throw unproven(`${id} is of another workspace`)
    if (user.deleted || user.is_bot) throw unproven(`${id} is a bot, or no member any more`)
    const email = user.is_email_confirmed === false ? null : (user.profile?.email ?? null)
    const spoken = { slack: id, email }
    if (people.size >= PEOPLE_MAX) people.clear()
    people.set(id, { untilMs: Date.now() + PERSON_MS_MAX, spoken })
    return spoken
  }

  /** Only to who answered. */
  function tell(user: string, channel: string, text: string): Promise<unknown> {
    return call('chat.postEphemeral', signal(), { channel, user, text: escaped(text) }).catch(
      () => undefined,
    )
  }

  return {
    name,
    type: 'slack',

    async ask(request, aborted) {
      const sent = await call<Answer & { channel: string; ts: string }>(
        'chat.postMessage',
        aborted,
        {
          channel: settings.channel,
          text: escaped(titleOf(request)),
          blocks: blocksOf(request, null),
          unfurl_links: false,
          unfurl_media: false,
        },
      )
      return `${sent.channel}:${sent.ts}`
    },

    async settle(request, reference, outcome, aborted) {
      const [channel, ts] = (reference ?? '').split(':')
      if (!channel || !ts) return
      await call('chat.update', aborted, {
        channel,
        ts,
        text: escaped(`${titleOf(request)}: ${outcomeText(outcome)}`),
        blocks: blocksOf(request, outcomeText(outcome)),
      })
    },

    routes(app: FastifyInstance, desk: Desk) {
      const fresh = new Freshly()

      app.post(`/slack${name === 'slack' ? '' : `/${name}`}`, async (request, reply) => {
        const from = callerOf(request, { name })
        const body = request.body as Buffer
        const stamp = String(request.headers['x-slack-request-timestamp'] ?? '')
        const signature = String(request.headers['x-slack-signature'] ?? '')
        const expected = hmac(await secrets.read(settings.signingSecret), `v0:${stamp}:`, body)
        if (
          !/^\d{1,12}$/.test(stamp) ||
          !/^v0=[0-9a-f]{64}$/.test(signature) ||
          !same(expected, Buffer.from(signature.slice(3), 'hex'))
        )
          throw unproven('not signed with this app’s secret')
        fresh.take(signature, Number(stamp))
        const payload = payloadOf(body)
        const user = String(payload.user?.id ?? '')

        if (payload.type === 'block_actions') {
          const action = payload.actions?.[0]
          const state = action && STATES[action.action_id]
          // The button that leads to the console is told of, too.
          if (!state) return reply.status(200).send()
          const id = String(action.value)
          const channel = String(payload.channel?.id ?? payload.container?.channel_id ?? '')
          const held = desk.open(id, name)
          // Slack waits three seconds, so it has its answer before ours is made.
          if (held?.commentRequired && payload.trigger_id)
            void call('views.open', signal(), {
              trigger_id: payload.trigger_id,
              view: dialogOf(held, state, channel),
            }).catch((error) => desk.refused(from, { name }, error))
          else void answered(id, state, null, user, channel)
          return reply.status(200).send()
        }
        if (payload.type === 'view_submission') {
          const { request: id, state, channel } = metadataOf(payload)
          const comment = String(payload.view?.state?.values?.comment?.comment?.value ?? '').trim()
          if (comment === '')
            return reply
              .status(200)
              .type('application/json')
              .send({ response_action: 'errors', errors: { comment: 'Say why.' } })
          void answered(id, state, comment, user, channel)
          return reply.status(200).send()
        }
        return reply.status(200).send()

        async function answered(
          id: string,
          state: 'approved' | 'denied',
          comment: string | null,
          member: string,
          channel: string,
        ): Promise<void> {
          let by: Spoken
          try {
            by = await personOf(member)
          } catch (error) {
            desk.refused(from, { name }, error)
            await tell(member, channel, 'Your answer was refused.')
            return
          }
          try {
            await desk.answer({
              channel: { name, type: 'slack' },
              request: id,
              state,
              comment,
              by,
              from,
            })
          } catch (error) {
            // Who is not known learns nothing more.
            const why =
              isCustodyError(error) && error.code.startsWith('CUSTODY-API-00')
                ? `: ${error.message}`
                : ''
            await tell(member, channel, `Your answer was refused${why}.`)
          }
        }
      })
    },
  }
}

const STATES: Record<string, 'approved' | 'denied'> = {
  custody_approve: 'approved',
  custody_deny: 'denied',
}

interface SlackUser {
  team_id?: string
  is_stranger?: boolean
  is_bot?: boolean
  deleted?: boolean
  is_email_confirmed?: boolean
  enterprise_user?: { enterprise_id?: string }
  profile?: { email?: string }
}

interface Payload {
  type?: string
  user?: { id?: string }
  trigger_id?: string
  channel?: { id?: string }
  container?: { channel_id?: string }
  actions?: { action_id: string; value?: string }[]
  view?: {
    private_metadata?: string
    state?: { values?: Record<string, Record<string, { value?: string | null }>> }
  }
}

function payloadOf(body: Buffer): Payload {
  const text = new URLSearchParams(body.toString('utf8')).get('payload')
  return objectIn(text ?? '', 'the call has no payload')
}

/** What the dialog was given; it comes back signed by Slack. */
function metadataOf(payload: Payload) {
  const alien = 'the dialog is none of ours'
  const { r, s, c } = objectIn<Record<string, string>>(payload.view?.private_metadata ?? '', alien)
  if (r && (s === 'approved' || s === 'denied'))
    return { request: r, state: s as 'approved' | 'denied', channel: c ?? '' }
  throw malformed(alien)
}

/** For the fields that Slack reads as markup. */
function escaped(text: string): string {
  const { text: safe } = cut(line(text, 400), 400)
  return safe.replace(/&/g, '&amp;').replace(/</g, '&lt;').replace(/>/g, '&gt;')
}

function plain(text: string, charactersMax: number) {
  return { type: 'plain_text', text: cut(text, charactersMax).text || ' ', emoji: false }
}

function blocksOf(request: HeldRequest, outcome: string | null): object[] {
  const { statement } = request
  const facts = factsOf(request)
    .slice(0, FIELDS_MAX)
    .map(([name, value]) => plain(`${name}: ${value}`, FIELD_CHARACTERS_MAX))
  return [
    { type: 'header', text: plain(titleOf(request), HEADER_CHARACTERS_MAX) },
    { type: 'section', fields: facts },
    {
      type: 'rich_text',
      elements: [
        {
          type: 'rich_text_preformatted',
          elements: [{ type: 'text', text: cut(statement.text, TEXT_CHARACTERS_MAX).text || ' ' }],
        },
      ],
    },
    ...(statement.cut
      ? [
          {
            type: 'context',
            elements: [plain(`Cut; the console has all ${statement.bytes} bytes.`, 200)],
          },
        ]
      : []),
    ...(outcome === null
      ? [
          {
            type: 'actions',
            block_id: 'custody',
            elements: [
              {
                type: 'button',
                action_id: 'custody_approve',
                style: 'primary',
                text: plain('Approve', 75),
                value: request.id,
              },
              {
                type: 'button',
                action_id: 'custody_deny',
                style: 'danger',
                text: plain('Deny', 75),
                value: request.id,
              },
              {
                type: 'button',
                action_id: 'custody_open',
                text: plain('Open in Custody', 75),
                url: request.url,
              },
            ],
          },
        ]
      : [{ type: 'section', text: plain(outcome, TEXT_CHARACTERS_MAX) }]),
  ]
}

function dialogOf(request: HeldRequest, state: 'approved' | 'denied', channel: string): object {
  const verb = state === 'approved' ? 'Approve' : 'Deny'
  return {
    type: 'modal',
    private_metadata: JSON.stringify({ r: request.id, s: state, c: channel }),
    title: plain(`${verb} a command`, 24),
    submit: plain(verb, 24),
    close: plain('Not now', 24),
    blocks: [
      { type: 'section', text: plain(titleOf(request), TEXT_CHARACTERS_MAX) },
      {
        type: 'input',
        block_id: 'comment',
        label: plain('Why (this request must be answered with a comment)', 200),
        element: {
          type: 'plain_text_input',
          action_id: 'comment',
          multiline: true,
          max_length: COMMENT_CHARACTERS_MAX,
        },
      },
    ],
  }
}
