/**
 * Vouching for a client that waits: it shows a code, and somebody who is signed in says whether it is theirs.
 * Refuses codes that nothing waits with.
 */
import { createHash } from 'node:crypto'
import { uuidBytes } from '@custody/schemas'
import type { FastifyInstance } from 'fastify'
import { from } from '../access'
import { badRequest, notFound } from '../errors'
import { STORE_WAIT_MS } from '../freshness'
import type { JsonObject } from '../rows'
import { activationPage, headerOf } from './bodies'
import { html, sendPage } from './html'
import type { PagesOptions } from './pages'
import type { Visits } from './visits'

export function registerActivation(app: FastifyInstance, visits: Visits, o: PagesOptions): void {
  async function waitingClient(code: string): Promise<JsonObject> {
    const plain = plainCode(code).replace('-', '')
    if (!/^[A-Z]{8}$/.test(plain)) throw badRequest('a code has eight letters')
    await o.freshness.caughtUp(STORE_WAIT_MS)
    const digest = createHash('sha256').update(plain).digest('hex')
    const since = new Date(Date.now() - o.configuration.limits.signInMsMax).toISOString()
    const asked = await o.store.signInAsked(digest, since)
    if (asked === null) throw notFound('nothing waits with this code, or not any more')
    return asked
  }

  app.get<{ Querystring: { code?: string } }>(
    '/activate',
    { schema: { hide: true } },
    visits.signedIn(async (request, reply, caller) => {
      const { code = '' } = request.query as { code?: string }
      const asked = code === '' ? null : await waitingClient(code)
      return sendPage(reply, 200, {
        title: 'Sign in a client',
        header: headerOf(caller),
        body: activationPage(caller, plainCode(code), asked),
      })
    }),
  )

  app.post(
    '/activate',
    { schema: { hide: true } },
    visits.signedIn(async (request, reply, caller) => {
      const form = visits.formOf(request)
      const asked = await waitingClient(form.get('code') ?? '')
      const isYes = form.get('answer') === 'yes'
      await o.watch.vouched(
        { ...from(request), who: caller.who },
        {
          request: uuidBytes(String(asked.id)),
          outcome: isYes ? 'success' : 'refused',
          expiresMs: caller.tokenExpiresMs,
          madeOf: caller.madeOf,
        },
      )
      return sendPage(reply, 200, {
        title: isYes ? 'Signed in' : 'Refused',
        header: headerOf(caller),
        body: isYes
          ? html`<h1>Signed in</h1><p>Go back to your client; this window can be closed. (A client that waits no more has to begin again.)</p>`
          : html`<h1>Refused</h1><p>The client was turned away. If you did not start it, tell whoever looks after security: its address is in the record.</p>`,
      })
    }),
  )
}

/** As it is shown: two groups of four letters. What cannot be a code stays empty. */
function plainCode(code: string): string {
  const letters = code.toUpperCase().replace(/[^A-Z]/g, '')
  return letters.length === 8 ? `${letters.slice(0, 4)}-${letters.slice(4)}` : ''
}
