/**
 * Watching a live terminal over the API: who may see the session may watch it, that they begin is in the log before they see
 * anything, and that they ended, and when, behind it. Ends with the session, with the right to see it, and with this service.
 */
import { Readable } from 'node:stream'
import type { CustodyError, Logger } from '@custody/kit'
import type { Who } from '@custody/schemas'
import type { FastifyInstance } from 'fastify'
import { from, requireRole } from '../access'
import { badRequest, conflict, tooMany } from '../errors'
import { type Freshness, STORE_WAIT_MS } from '../freshness'
import * as schema from '../schema'
import type { Store } from '../store'
import type { Watch } from '../watch'
import { liveCast } from './live'

export interface WatchingParts {
  store: Store
  watch: Watch
  freshness: Freshness
  logger: Logger
  /** Why somebody who was let in may not stay, or null. */
  standing(who: Who, madeOf?: string): CustodyError | null
}

const WATCHERS_MAX = 50
const EVENTS_MAX = 1000
const OUTPUT_BYTES_MAX = 4 * 1024 * 1024

export function registerWatching(api: FastifyInstance, o: WatchingParts): void {
  const watchers = new Set<AbortController>()
  api.addHook('preClose', async () => {
    for (const one of watchers) one.abort()
  })

  api.get<{ Params: { id: string }; Querystring: { command?: string } }>(
    '/sessions/:id/live.cast',
    { schema: schema.live },
    async (request, reply) => {
      const caller = request.caller!
      if (caller.roles.size === 0) requireRole(caller, 'viewer')
      if (watchers.size >= WATCHERS_MAX)
        throw tooMany(`${WATCHERS_MAX} terminals are watched already`)
      const { scope, who, madeOf, tokenExpiresMs } = caller
      await o.freshness.caughtUp(STORE_WAIT_MS)
      const id = await o.store.resolveSession(request.params.id, scope)
      const { protocol, state } = await o.store.session(id, scope)
      if (protocol !== 'ssh')
        throw badRequest(`sessions of protocol ${protocol} have no terminal; see their timeline`)
      if (state !== 'open') throw conflict(`the session ${id} is ${state}; it can be replayed`)
      const reader = { ...from(request), who }
      const subject = `session ${id}`
      const query = request.query as Record<string, unknown>
      const started = performance.now()
      await o.watch.look(reader, { action: 'watch', subject, query, results: 1, durationMicros: 0 })

      const over = new AbortController()
      watchers.add(over)
      let shown = 0
      const lines = liveCast({
        command: request.query.command ?? null,
        events: (first, withOutput) =>
          o.store.sessionEvents(
            id,
            first,
            { eventsMax: EVENTS_MAX, ...(withOutput && { outputBytesMax: OUTPUT_BYTES_MAX }) },
            scope,
          ),
        isOpen: async () => (await o.store.session(id, scope)).state === 'open',
        refusal: () =>
          over.signal.aborted
            ? 'Custody stops'
            : tokenExpiresMs !== null && tokenExpiresMs <= Date.now()
              ? 'the sign-in has expired'
              : (o.standing(who, madeOf)?.message ?? null),
        pause: (ms) => paused(ms, over.signal),
        shown: (count) => {
          shown += count
        },
      })
      const stream = Readable.from(lines)
      // However it ended: by the session, by who watches, or by an error.
      stream.once('close', () => {
        over.abort()
        watchers.delete(over)
        o.watch
          .look(reader, {
            action: 'watched',
            subject,
            query,
            results: shown,
            durationMicros: Math.round((performance.now() - started) * 1000),
          })
          .catch((err) =>
            o.logger.error({ err }, 'that somebody no longer watches is not recorded'),
          )
      })
      reply.raw.once('close', () => stream.destroy())
      reply.type('application/x-asciicast')
      return reply.send(stream)
    },
  )
}

function paused(ms: number, signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve()
  return new Promise((resolve) => {
    const done = () => {
      clearTimeout(timer)
      signal.removeEventListener('abort', done)
      resolve()
    }
    const timer = setTimeout(done, ms)
    signal.addEventListener('abort', done)
  })
}
