/**
 * E-mail: one mail for each approver over SMTP, with a link that is theirs alone. Opening the link shows the request and
 * answers nothing, since mail scanners open links too; the form on that page does, once.
 * Refuses mail servers without TLS beyond this machine, and to answer for who asked.
 */
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import type { ChannelSettings, Secrets } from '@custody/kit'
import { isCustodyError } from '@custody/kit'
import { refusal } from '@custody/policy'
import type { FastifyReply } from 'fastify'
import { createTransport } from 'nodemailer'
import { COMMENT_CHARACTERS_MAX } from '../answering'
import { type Html, html, sendPage } from '../web/html'
import {
  type Channel,
  factsOf,
  type HeldRequest,
  line,
  type Outcome,
  outcomeText,
  titleOf,
} from './channel'
import { callerOf, type Desk } from './desk'
import { deadLink, type Links } from './links'
import { Undelivered } from './outbound'
import type { People } from './people'

type Settings = Extract<ChannelSettings, { type: 'email' }>

const MAIL_MS_MAX = 10_000
const RECIPIENTS_MAX = 100
const SUBJECT_CHARACTERS_MAX = 200
/** Requests of which it is remembered who has been written to. */
const SENT_MAX = 10_000
const USED_MAX = 100_000

export interface EmailOptions {
  settings: Settings
  links: Links
  people: Pick<People, 'listed'>
  secrets: Secrets
  /** Where the API is reached, without a slash at its end. */
  externalUrl(): string
}

export function createEmail({
  settings,
  secrets,
  links,
  people,
  externalUrl,
}: EmailOptions): Channel {
  const name = settings.name ?? settings.type
  /** Who was written to already, of requests that others of could not be. */
  const sent = new Map<string, Set<string>>()

  function recipientsOf(request: HeldRequest): string[] {
    const asker = {
      ...request.who,
      groups: [...request.who.groups],
      onBehalfOf: [...request.who.onBehalfOf],
    }
    const all =
      settings.to ??
      people
        .listed()
        .filter(({ who }) => refusal(request.requirements, asker, who) === null)
        .map(({ who }) => who.email!)
    return [...new Set(all.map((one) => one.toLowerCase()))]
      .filter((one) => one !== request.who.email?.toLowerCase())
      .slice(0, RECIPIENTS_MAX)
  }

  async function deliver(
    mail: {
      to: string
      subject: string
      text: string
      html: Html
      headers: Record<string, string>
    },
    signal: AbortSignal,
  ): Promise<void> {
    const transport = createTransport({
      host: settings.host,
      port: settings.port,
      secure: settings.tls === 'implicit',
      requireTLS: settings.tls === 'starttls',
      ignoreTLS: settings.tls === 'none',
      ...(settings.tlsCa && { tls: { ca: readFileSync(settings.tlsCa) } }),
      ...(settings.user && {
        auth: {
          user: settings.user,
          pass: settings.password ? await secrets.read(settings.password) : '',
        },
      }),
      connectionTimeout: MAIL_MS_MAX,
      greetingTimeout: MAIL_MS_MAX,
      socketTimeout: MAIL_MS_MAX,
      disableFileAccess: true,
      disableUrlAccess: true,
    })
    const close = () => transport.close()
    signal.addEventListener('abort', close)
    try {
      const { headers, ...message } = mail
      const { 'Message-ID': messageId, ...others } = headers
      await transport.sendMail({
        ...message,
        html: mail.html.text,
        to: { name: '', address: mail.to },
        from: { name: 'Custody', address: settings.from },
        ...(messageId && { messageId }),
        headers: {
          ...others,
          'Auto-Submitted': 'auto-generated',
          'X-Auto-Response-Suppress': 'All',
        },
      })
    } catch (error) {
      throw undelivered(error)
    } finally {
      signal.removeEventListener('abort', close)
      transport.close()
    }
  }

  return {
    name,
    type: 'email',

    async ask(request, signal) {
      const recipients = recipientsOf(request)
      if (recipients.length === 0)
        throw new Undelivered('there is nobody to write to who may answer', { retry: false })
      if (sent.size >= SENT_MAX) sent.clear()
      const done = sent.get(request.id) ?? new Set<string>()
      sent.set(request.id, done)
      const { refused, again, last } = await each(recipients, done, (to) => {
        const sealed = links.seal({ channel: name, request: request.id, email: to })
        const link = `${externalUrl()}/channels/link/${sealed}`
        return deliver(
          {
            to,
            subject: line(titleOf(request), SUBJECT_CHARACTERS_MAX),
            text: textOf(request, link),
            html: htmlOf(request, link),
            headers: { 'Message-ID': messageIdOf(request, to, settings.from) },
          },
          signal,
        )
      })
      if (again !== null) throw again
      sent.delete(request.id)
      if (done.size === 0) throw last
      return `mailed ${[...done].join(',')}${refused.length > 0 ? `; refused ${refused.join(',')}` : ''}`
    },

    async settle(request, reference, outcome, signal) {
      const recipients = /^mailed ([^;]*)/.exec(reference ?? '')?.[1]?.split(',') ?? []
      const key = `settled ${request.id}`
      const done = sent.get(key) ?? new Set<string>()
      sent.set(key, done)
      const { again } = await each(recipients, done, (to) => {
        const about = messageIdOf(request, to, settings.from)
        return deliver(
          {
            to,
            subject: `Re: ${line(titleOf(request), SUBJECT_CHARACTERS_MAX)}`,
            text: `${outcomeText(outcome)}\n\n${request.url}\n`,
            html: settledHtml(request, outcome),
            headers: { 'In-Reply-To': about, References: about },
          },
          signal,
        )
      })
      if (again !== null) throw again
      sent.delete(key)
    },
  }
}

/** One mail each, whatever becomes of the others'. `done` grows by those that went. */
async function each(
  recipients: readonly string[],
  done: Set<string>,
  mail: (to: string) => Promise<void>,
) {
  const refused: string[] = []
  let again: Undelivered | null = null
  let last: unknown = null
  for (const to of recipients) {
    if (done.has(to)) continue
    try {
      await mail(to)
      done.add(to)
    } catch (error) {
      last = error
      if (!(error instanceof Undelivered)) throw error
      if (error.again.retry) again = error
      else refused.push(to)
    }
  }
  return { refused, again, last }
}

/** The pages behind the links of all mails. */
export function linkRoutes(
  links: Links,
  channels: readonly string[],
): NonNullable<Channel['routes']> {
  return (app, desk) => {
    const used = new Set<string>()

    function opened(token: string) {
      const link = links.open(token)
      const request = desk.open(link.request, link.channel)
      if (!channels.includes(link.channel)) throw deadLink('the link is none of ours')
      if (request === null) throw deadLink(`the request ${link.request} has ended`)
      const key = `${link.channel} ${link.request} ${link.email}`
      if (used.has(key)) throw deadLink(`the link of ${link.email} was used`)
      return { link, request, key }
    }

    const channelOf = (token: string) => {
      try {
        return links.open(token).channel
      } catch {
        return 'email'
      }
    }

    app.get<{ Params: { token: string } }>('/link/:token', async (request, reply) => {
      const from = callerOf(request, { name: channelOf(request.params.token) })
      try {
        const { link, request: held } = opened(request.params.token)
        await desk.looked({ type: 'email' }, held, { email: link.email }, from)
        return sendPage(reply, 200, { title: 'A command is held', body: formOf(held, null) })
      } catch (error) {
        return refusedPage(reply, desk, from, channelOf(request.params.token), error)
      }
    })

    app.post<{ Params: { token: string } }>('/link/:token', async (request, reply) => {
      const name = channelOf(request.params.token)
      const from = callerOf(request, { name })
      const form = new URLSearchParams((request.body as Buffer | undefined)?.toString('utf8') ?? '')
      let at: ReturnType<typeof opened>
      try {
        at = opened(request.params.token)
      } catch (error) {
        return refusedPage(reply, desk, from, name, error)
      }
      const { link, request: held, key } = at
      const answer = form.get('answer')
      const comment = form.get('comment')?.trim() || null
      if (answer !== 'approved' && answer !== 'denied')
        return sendPage(reply, 400, {
          title: 'A command is held',
          body: formOf(held, 'Approve or deny.'),
        })
      if (held.commentRequired && comment === null)
        return sendPage(reply, 400, {
          title: 'A command is held',
          body: formOf(held, 'This request must be answered with a comment.'),
        })
      // Before anything is waited for, so that two clicks are not two answers.
      if (used.size >= USED_MAX) used.clear()
      used.add(key)
      try {
        await desk.answer({
          channel: { name: link.channel, type: 'email' },
          request: held.id,
          state: answer,
          comment,
          by: { email: link.email },
          from,
          once: true,
        })
      } catch (error) {
        used.delete(key)
        return refusedPage(reply, null, from, name, error)
      }
      return sendPage(reply, 200, {
        title: answer === 'approved' ? 'Approved' : 'Denied',
        body: html`<h1>${answer === 'approved' ? 'Approved' : 'Denied'}</h1>
<p>Your answer is recorded. This link does not answer any more.</p>`,
      })
    })
  }
}

/** Says why only to who is known. `desk` where it is not written down yet. */
function refusedPage(
  reply: FastifyReply,
  desk: Desk | null,
  from: Parameters<Desk['refused']>[0],
  name: string,
  error: unknown,
): FastifyReply {
  desk?.refused(from, { name }, error)
  const code = isCustodyError(error) ? error.code : ''
  const unavailable = code === 'CUSTODY-API-006' || code === 'CUSTODY-API-007'
  const why =
    desk === null && code.startsWith('CUSTODY-API-00') && code !== 'CUSTODY-API-008'
      ? (error as Error).message
      : null
  return sendPage(reply, unavailable ? 503 : 403, {
    title: 'Refused',
    body: html`<h1>Refused</h1>
<p>${unavailable ? 'This can’t be answered at the moment. Try again soon.' : 'This link does not answer.'}</p>
${why && html`<p>${why}</p>`}`,
  })
}

function formOf(request: HeldRequest, problem: string | null): Html {
  return html`<h1>${titleOf(request)}</h1>
${problem && html`<p class="note stop">${problem}</p>`}
${bodyOf(request)}
<form method="post">
<label for="comment">Comment${request.commentRequired ? ' (required)' : ''}</label>
<textarea id="comment" name="comment" rows="3" maxlength="${COMMENT_CHARACTERS_MAX}"></textarea>
<div class="row">
<button class="go" name="answer" value="approved">Approve</button>
<button class="stop" name="answer" value="denied">Deny</button>
</div>
</form>`
}

function bodyOf(request: HeldRequest): Html {
  return html`<dl>${factsOf(request).map(([name, value]) => html`<dt>${name}</dt><dd>${value}</dd>`)}</dl>
<pre>${request.statement.text}</pre>
${request.statement.cut && html`<p>Cut; the console has all ${request.statement.bytes} bytes.</p>`}`
}

function htmlOf(request: HeldRequest, link: string): Html {
  return html`<!doctype html><html lang="en"><body>
<p><b>${titleOf(request)}</b></p>
${bodyOf(request)}
<p><a href="${link}">Look at it and answer</a> – this link is yours alone and answers once; do not pass it on.</p>
<p><a href="${request.url}">Open in Custody</a></p>
</body></html>`
}

function textOf(request: HeldRequest, link: string): string {
  return [
    titleOf(request),
    '',
    ...factsOf(request).map(([name, value]) => `${name}: ${value}`),
    '',
    'Look at it and answer (this link is yours alone and answers once; do not pass it on):',
    link,
    '',
    `In Custody: ${request.url}`,
    '',
    // Marked line by line: nothing in it can pass for ours.
    'The statement:',
    '',
    ...request.statement.text.split('\n').map((one) => `> ${one}`),
    ...(request.statement.cut
      ? [`(cut; the console has all ${request.statement.bytes} bytes)`]
      : []),
    '',
  ].join('\n')
}

function settledHtml(request: HeldRequest, outcome: Outcome): Html {
  return html`<!doctype html><html lang="en"><body>
<p><b>${titleOf(request)}</b></p>
<p>${outcomeText(outcome)}</p>
<p><a href="${request.url}">Open in Custody</a></p>
</body></html>`
}

/** The same for every try, so that a mail that arrives twice is seen to be one. */
function messageIdOf(request: HeldRequest, to: string, from: string): string {
  const whom = createHash('sha256').update(to).digest('hex').slice(0, 16)
  return `<${request.id}.${whom}@${from.split('@').at(-1)}>`
}

function undelivered(error: unknown): Undelivered {
  const { code = '', responseCode } = error as { code?: string; responseCode?: number }
  const what = responseCode ? `answered ${responseCode}` : 'can’t be used'
  const retry =
    responseCode !== undefined
      ? responseCode >= 400 && responseCode < 500
      : !['EAUTH', 'ETLS', 'EENVELOPE', 'EMESSAGE', 'ENOAUTH'].includes(code)
  return new Undelivered(
    `the mail server ${what}${/^[A-Z]{1,20}$/.test(code) ? ` (${code})` : ''}`,
    { retry },
    error,
  )
}
