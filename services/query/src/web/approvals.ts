/**
 * Requests for approval as pages: what waits, one whole, and answering it.
 * Shows and takes no more than the API would.
 */
import type { Statement } from '@custody/schemas'
import type { FastifyInstance } from 'fastify'
import { from, requireRole } from '../access'
import { HELD_MS_MAX } from '../answering'
import { STORE_WAIT_MS } from '../freshness'
import { type JsonObject, microsOfIso } from '../rows'
import { approvalPage, approvalsPage, headerOf } from './bodies'
import { sendPage } from './html'
import type { PagesOptions } from './pages'
import type { Visits } from './visits'

const APPROVALS_SHOWN_MAX = 500
const ASKED_BEFORE_DAYS = 30
const ASKED_BEFORE_SHOWN_MAX = 5

export function registerApprovals(app: FastifyInstance, visits: Visits, o: PagesOptions): void {
  app.get<{ Querystring: { state?: string } }>(
    '/approvals',
    { schema: { hide: true } },
    visits.signedIn(async (request, reply, caller) => {
      if (caller.roles.size === 0) requireRole(caller, 'viewer')
      const all = (request.query as { state?: string }).state === 'all'
      const started = performance.now()
      await o.freshness.caughtUp(STORE_WAIT_MS)
      // What waits was asked within the longest time that a policy lets anything wait.
      const since = all ? undefined : new Date(Date.now() - HELD_MS_MAX).toISOString()
      const { items } = await o.store.approvals({ since }, { limit: APPROVALS_SHOWN_MAX })
      const shown = items
        .filter((one) => all || one.state === 'waiting')
        .filter((one) => o.answering.concerns(caller, one))
      await visits.look(request, caller, 'search', 'approvals', shown.length, started)
      return sendPage(reply, 200, {
        title: 'Approvals',
        header: headerOf(caller),
        refreshSeconds: all ? undefined : 10,
        body: approvalsPage(shown, all),
      })
    }),
  )

  app.get<{ Params: { id: string } }>(
    '/approvals/:id',
    { schema: { hide: true } },
    visits.signedIn(async (request, reply, caller) => {
      const { id } = request.params as { id: string }
      const started = performance.now()
      await o.freshness.caughtUp(STORE_WAIT_MS)
      const approval = await o.answering.find(caller, id)
      const before = await askedBefore(approval)
      await visits.look(request, caller, 'read', `approval ${approval.id}`, 1, started)
      return sendPage(reply, 200, {
        title: 'A held command',
        header: headerOf(caller),
        body: approvalPage(approval, {
          csrf: caller.csrf ?? '',
          refusal: o.answering.refusal(caller, approval),
          mayForce: o.answering.forceRefusal(caller, approval) === null,
          before,
          mind: o.riskOf(approval.statement as unknown as Statement).notes,
        }),
      })
    }),
  )

  for (const [path, state] of [
    ['approve', 'approved'],
    ['deny', 'denied'],
    ['force', 'forced'],
  ] as const)
    app.post<{ Params: { id: string } }>(
      `/approvals/:id/${path}`,
      { schema: { hide: true } },
      visits.signedIn(async (request, reply, caller) => {
        const { id } = request.params as { id: string }
        const approval = await o.answering.answer(caller, from(request), {
          request: id,
          state,
          comment: visits.formOf(request).get('comment'),
          channel: 'console',
        })
        return visits.go(reply, `/approvals/${approval.id}`)
      }),
    )

  /** What the same identity asked for with the same kind of statement, and how it ended. */
  async function askedBefore(approval: JsonObject): Promise<JsonObject[]> {
    const { fingerprint } = approval.statement as JsonObject
    if (!fingerprint) return []
    const { subject, issuer } = approval.who as JsonObject
    const before = microsOfIso(String(approval.requested))!
    return o.store.askedBefore({
      subject: String(subject),
      issuer: String(issuer),
      fingerprint: String(fingerprint),
      since: before - ASKED_BEFORE_DAYS * 86_400_000_000,
      before,
      limit: ASKED_BEFORE_SHOWN_MAX,
    })
  }
}
