/**
 * A webhook to whatever people have, signed both ways as Standard Webhooks says (standardwebhooks.com): identifier, time
 * and body under HMAC-SHA256. An answer is a signed POST that names the approver: who holds the key vouches for people.
 * Refuses what is not signed with that key, older than five minutes, or here for the second time.
 */
import type { ChannelSettings, Secrets } from '@custody/kit'
import { CustodyError } from '@custody/kit'
import { type Channel, factsOf, type HeldRequest, type Outcome } from './channel'
import { callerOf, isPassing, Recorded } from './desk'
import { outbound } from './outbound'
import { Freshly, hmac, malformed, objectIn, same, unproven } from './proof'

type Settings = Extract<ChannelSettings, { type: 'webhook' }>

const KEY_BYTES_MIN = 24
const ID = /^[\x21-\x7e]{1,256}$/
const SIGNATURES_MAX = 10

export function createWebhook(settings: Settings, secrets: Secrets): Channel {
  const name = settings.name ?? settings.type

  async function send(
    id: string,
    type: string,
    data: Record<string, unknown>,
    signal: AbortSignal,
  ): Promise<void> {
    const now = new Date()
    const stamp = String(Math.floor(now.getTime() / 1000))
    const body = JSON.stringify({ type, timestamp: now.toISOString(), data })
    const signature = hmac(await keyOf(settings, secrets), `${id}.${stamp}.${body}`).toString(
      'base64',
    )
    await outbound(`the webhook ${name}`, settings.url, {
      headers: {
        'content-type': 'application/json',
        'webhook-id': id,
        'webhook-timestamp': stamp,
        'webhook-signature': `v1,${signature}`,
      },
      body,
      signal,
    })
  }

  return {
    name,
    type: 'webhook',

    async ask(request, signal) {
      const id = `asked_${request.id}`
      await send(id, 'approval.requested', dataOf(request), signal)
      return id
    },

    async settle(request, _reference, outcome, signal) {
      await send(`settled_${request.id}`, 'approval.settled', settledOf(request, outcome), signal)
    },

    routes(app, desk) {
      const fresh = new Freshly()

      app.post(`/webhook/${name}`, async (request, reply) => {
        const body = request.body as Buffer
        const id = header(request.headers['webhook-id'])
        const stamp = header(request.headers['webhook-timestamp'])
        const presented = header(request.headers['webhook-signature'])
        if (!ID.test(id) || !/^\d{1,12}$/.test(stamp)) throw unproven('not signed')
        const expected = hmac(await keyOf(settings, secrets), `${id}.${stamp}.`, body)
        const holds = presented
          .split(' ')
          .slice(0, SIGNATURES_MAX)
          .filter((one) => one.startsWith('v1,'))
          .some((one) => same(expected, Buffer.from(one.slice(3), 'base64')))
        if (!holds) throw unproven('not signed with this webhook’s secret')
        fresh.take(id, Number(stamp))
        const said = answerOf(body)
        try {
          await desk.answer({
            channel: { name, type: 'webhook' },
            request: said.request,
            state: said.answer,
            comment: said.comment,
            by: { email: said.approver },
            from: callerOf(request, { name }),
          })
        } catch (error) {
          // The other side may send the same once more when it passed.
          if (isPassing(error)) fresh.forget(id)
          throw new Recorded(error)
        }
        return reply.status(200).send({ request: said.request, answer: said.answer })
      })
    },
  }
}

/** `whsec_` and base64, as Standard Webhooks has it, or the text itself. */
async function keyOf({ name, type, secret }: Settings, secrets: Secrets): Promise<Buffer> {
  const text = await secrets.read(secret)
  const key = text.startsWith('whsec_') ? Buffer.from(text.slice(6), 'base64') : Buffer.from(text)
  if (key.length < KEY_BYTES_MIN)
    throw new CustodyError(
      'CUSTODY-CONFIG-003',
      `the secret of the channel ${name ?? type} has ${key.length} bytes, at least ${KEY_BYTES_MIN} are needed`,
    )
  return key
}

function header(value: string | string[] | undefined): string {
  return typeof value === 'string' ? value : ''
}

function dataOf(request: HeldRequest): Record<string, unknown> {
  const { who } = request
  return {
    request: request.id,
    session: request.session,
    who: { subject: who.subject, issuer: who.issuer, email: who.email, kind: who.kind },
    resource: request.resource,
    database: request.database,
    clientAddress: request.clientAddress,
    application: request.application,
    reason: request.reason,
    statement: request.statement,
    risk: request.risk,
    approvers: request.approvers,
    required: request.required,
    requested: request.requested.toISOString(),
    expires: request.expires.toISOString(),
    commentRequired: request.commentRequired,
    before: request.before,
    facts: Object.fromEntries(factsOf(request)),
    url: request.url,
  }
}

function settledOf(request: HeldRequest, outcome: Outcome): Record<string, unknown> {
  return { request: request.id, ...outcome, url: request.url }
}

function answerOf(body: Buffer) {
  const value = objectIn<Record<string, unknown>>(
    body.toString('utf8'),
    'the body is no JSON object',
  )
  const { type, request, answer, approver, comment = null } = value
  // What Custody signed itself with this key must not be of use as an answer.
  if (
    type !== 'approval.answer' ||
    typeof request !== 'string' ||
    typeof approver !== 'string' ||
    (answer !== 'approved' && answer !== 'denied') ||
    !(comment === null || typeof comment === 'string')
  )
    throw malformed(
      'the body must be {type: "approval.answer", request, answer: "approved" or "denied", approver, comment}',
    )
  return { request, answer: answer as 'approved' | 'denied', approver, comment }
}
