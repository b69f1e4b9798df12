/**
 * The API: routes, and the order every read goes through: host, identity, bounds, recordable?, question, record, answer.
 * Refuses to answer with evidence before the event of having looked at it is in the log.
 */

import { Readable } from 'node:stream'
import type { Recorder } from '@custody/event-log'
import { type ClusterStatus, shipperMetrics } from '@custody/event-log-kafka'
import {
  issueToken,
  Locks,
  loadSshAuthority,
  revokeToken,
  type SignInProvider,
  type SshAuthority,
  type TokenKeys,
} from '@custody/identity'
import {
  type Configuration,
  type CustodyError,
  type Home,
  type Logger,
  PerMinute,
  readStatus,
  recordedReason,
  spokenProtocols,
  textOf,
} from '@custody/kit'
import { uuidBytes, type Who } from '@custody/schemas'
import swagger from '@fastify/swagger'
import Fastify, { type FastifyInstance, type FastifyRequest } from 'fastify'
import { Counter, Gauge, Histogram, Registry } from 'prom-client'
import { type Access, type Caller, checkHost, from, requireOwnPage, requireRole } from './access'
import { type Answering, HELD_MS_MAX } from './answering'
import type { Channels } from './channels'
import type { RiskOf } from './channels/request'
import { decoderFor } from './decoders'
import { answerOf, badRequest, conflict, notFound, tooMany } from './errors'
import { type EventFilters, LIMIT_DEFAULT, LIMIT_MAX } from './filters'
import { type Freshness, STORE_WAIT_MS } from './freshness'
import type { Gateway } from './gateways'
import { replayOf } from './replay'
import type { JsonObject } from './rows'
import * as schema from './schema'
import type { SelfCheck } from './self-check'
import { type CertificateBody, giveCertificate } from './ssh-certificates'
import type { ApprovalFilters, SessionEvents, SessionFilters, Store } from './store'
import { createTerminalRecording, type TerminalRecording } from './terminal/recording'
import { registerWatching } from './terminal/watching'
import { timelineOf } from './timeline'
import { giveOwnToken, lineage, OWN_TTL_SECONDS } from './tokens'
import type { Look, Watch } from './watch'
import { errorPage } from './web/bodies'
import { sendPage } from './web/html'
import { registerPages } from './web/pages'

export interface AppOptions {
  configuration: Configuration
  home: Home
  keys: TokenKeys
  access: Access
  providers: readonly SignInProvider[]
  /** Why somebody who was let in may not stay, or null. */
  standing(who: Who, madeOf?: string): CustodyError | null
  store: Store
  watch: Watch
  freshness: Freshness
  answering: Answering
  channels: Channels
  riskOf: RiskOf
  recorder: Recorder
  selfCheck: SelfCheck
  /** Null on one machine. */
  cluster: { status(): ClusterStatus; gateways(): Promise<Gateway[]> } | null
  logger: Logger
  version: string
}

const OWN_TOKENS_PER_MINUTE_MAX = 120
const BODY_BYTES_MAX = 64 * 1024
const REPLAY_OUTPUT_BYTES_MAX = 16 * 1024 * 1024
const REPLAY_ROWS_DEFAULT = 1000
const COPY_BYTES_SHOWN_MAX = 256 * 1024

declare module 'fastify' {
  interface FastifyRequest {
    caller: Caller | null
  }
}

export async function buildApp(o: AppOptions): Promise<FastifyInstance> {
  const app = Fastify({
    // A filter that is misspelt is an error, not one that is left out.
    ajv: { customOptions: { removeAdditional: false } },
    logger: false,
    bodyLimit: BODY_BYTES_MAX,
    requestTimeout: 60_000,
    routerOptions: { maxParamLength: 1024 },
  })
  const metrics = createMetrics(o)
  // Schemas of answers are documentation: what is sent is what was found, whole.
  app.setSerializerCompiler(() => (data) => JSON.stringify(data))
  app.decorateRequest('caller', null)

  const { listen, console: settings } = o.configuration
  const ours = [listen.host.toLowerCase()]
  if (settings.url) ours.push(new URL(settings.url).hostname)
  app.addHook('onRequest', async (request) => {
    checkHost(request.headers.host, ours)
  })
  app.addHook('onSend', async (_request, reply) => {
    reply.header('cache-control', 'no-store')
    reply.header('x-content-type-options', 'nosniff')
  })
  app.addHook('onResponse', async (request, reply) => {
    metrics.requests.observe(
      {
        route: request.routeOptions.url ?? 'none',
        method: request.method,
        status: reply.statusCode,
      },
      reply.elapsedTime / 1000,
    )
  })
  app.setErrorHandler((error, request, reply) => {
    const { status, answer } = answerOf(error)
    if (status >= 500) o.logger.error({ err: error, url: request.url }, answer.error.message)
    if (status === 401) reply.header('www-authenticate', 'Bearer')
    if (status === 503) reply.header('retry-after', '1')
    return reply.status(status).send(answer)
  })
  app.setNotFoundHandler((request, reply) => {
    const { status, answer } = answerOf(
      notFound(`there is nothing at ${request.url.slice(0, 200)}`),
    )
    if (request.headers.accept?.includes('text/html'))
      return sendPage(reply, status, { title: 'Not here', body: errorPage(answer.error) })
    return reply.status(status).send(answer)
  })

  await app.register(swagger, {
    openapi: {
      openapi: '3.1.0',
      info: {
        title: 'Custody',
        version: o.version,
        description:
          'Who did what, when, through which path, and what came back. Every read is itself an event.',
        license: { name: 'MIT' },
      },
      components: {
        securitySchemes: {
          token: {
            type: 'http',
            scheme: 'bearer',
            description: 'A Custody token, or the local administrator’s.',
          },
        },
      },
      security: [{ token: [] }],
    },
  })

  app.get('/healthz', { schema: schema.open('Answers while the process runs') }, async () => ({
    status: 'ok',
  }))
  app.get(
    '/readyz',
    { schema: schema.open('Answers 200 when reads can be answered and recorded') },
    async () => {
      o.watch.ready()
      await o.store.ping()
      return { status: 'ready' }
    },
  )
  app.get('/api/v1/identity', { schema: schema.identity }, async () => ({
    gateway: o.configuration.gateway,
    issuers: o.configuration.identity.issuers.flatMap(
      ({ issuer, clientId, clientSecret, scopes }) =>
        clientId === undefined || clientSecret !== undefined ? [] : [{ issuer, clientId, scopes }],
    ),
    browser: o.providers.length > 0,
  }))
  app.get('/metrics', { schema: { hide: true } }, async (_request, reply) => {
    reply.type(metrics.registry.contentType)
    return (await metrics.registry.metrics()) + textOf(shipperMetrics(o.cluster?.status() ?? null))
  })
  app.get('/api/openapi.json', { schema: { hide: true } }, async () => app.swagger())

  await app.register(async (inbound) => o.channels.routes(inbound), { prefix: '/channels' })
  await app.register((pages) =>
    registerPages(pages, {
      ...o,
      revoke: (id, untilMs) => revokeToken(o.home, id, { isAlone: true, untilMs }),
    }),
  )
  await app.register(
    async (api) => {
      api.addHook('onRequest', async (request) => {
        try {
          request.caller = await o.access.identify(request.headers)
          if (request.method !== 'GET' && request.method !== 'HEAD')
            requireOwnPage(request.caller, request.headers['x-custody-csrf'])
        } catch (error) {
          metrics.refused.inc()
          const code = (error as { code?: string }).code ?? ''
          o.watch.refused(from(request), code, recordedReason(error))
          throw error
        }
        o.watch.ready()
      })
      routes(api, o)
      registerWatching(api, o)
    },
    { prefix: '/api/v1' },
  )
  return app
}

function routes(api: FastifyInstance, o: AppOptions): void {
  const { answering } = o
  /** Asks, records what was looked at, and only then lets the answer go. */
  async function look<T>(
    request: FastifyRequest,
    what: Pick<Look, 'action' | 'subject' | 'query'>,
    ask: (caller: Caller) => Promise<{ answer: T; results: number }>,
  ): Promise<T> {
    const caller = request.caller!
    // One that nobody gave a role sees nothing, not even their own.
    if (caller.roles.size === 0) requireRole(caller, 'viewer')
    const started = performance.now()
    const { answer, results } = await ask(caller)
    await o.watch.look(
      { ...from(request), who: caller.who },
      { ...what, results, durationMicros: Math.round((performance.now() - started) * 1000) },
    )
    return answer
  }

  const locks = new Locks(o.home)
  /** With Kafka what is said here is heard here, in the order of all hosts. */
  const comesRound = o.configuration.kafka !== undefined
  let authority: SshAuthority | null = null
  /** Made when it is first asked for: who speaks no SSH has none. */
  const sshAuthority = () => {
    authority ??= loadSshAuthority(o.home, o.configuration.identity.sshAuthority)
    return authority
  }
  const ownTokens = new PerMinute(OWN_TOKENS_PER_MINUTE_MAX)
  /** False where what was recorded before the request is not all in the store yet. */
  const fresh = (wait: number | undefined) => o.freshness.caughtUp(wait ?? 0)

  api.get<{ Querystring: SessionFilters & Paging }>(
    '/sessions',
    { schema: schema.sessions },
    (request) => {
      const { limit = LIMIT_DEFAULT, cursor, order, wait, ...filters } = request.query
      return look(
        request,
        { action: 'search', subject: 'sessions', query: request.query as Record<string, unknown> },
        async ({ scope }) => {
          const upToDate = await fresh(wait)
          const page = await o.store.sessions(
            filters,
            { limit, cursor, ascending: order === 'asc' },
            scope,
          )
          return {
            answer: { sessions: page.items, next: page.next, upToDate },
            results: page.items.length,
          }
        },
      )
    },
  )

  api.get<{ Params: { id: string }; Querystring: { wait?: number } }>(
    '/sessions/:id',
    { schema: schema.session },
    (request) =>
      look(
        request,
        { action: 'read', subject: `session ${request.params.id}` },
        async ({ scope }) => {
          const upToDate = await fresh(request.query.wait)
          const id = await o.store.resolveSession(request.params.id, scope)
          return { answer: { session: await o.store.session(id, scope), upToDate }, results: 1 }
        },
      ),
  )

  api.get<{ Params: { id: string }; Querystring: Reading }>(
    '/sessions/:id/timeline',
    { schema: schema.timeline },
    (request) => {
      const { limit = LIMIT_MAX, wait, cursor } = request.query
      const subject = `session ${request.params.id}`
      return look(
        request,
        { action: 'timeline', subject, query: request.query as Record<string, unknown> },
        async ({ scope }) => {
          const upToDate = await fresh(wait)
          const id = await o.store.resolveSession(request.params.id, scope)
          const session = await o.store.session(id, scope)
          const { events, next } = await o.store.sessionEvents(
            id,
            ordinal(cursor),
            { eventsMax: limit },
            scope,
          )
          const timeline = timelineOf(events)
          return {
            answer: { session, timeline, next: next === null ? null : String(next), upToDate },
            results: timeline.length,
          }
        },
      )
    },
  )

  api.get<{ Params: { id: string }; Querystring: Reading & { rows?: number } }>(
    '/sessions/:id/replay',
    { schema: schema.replay },
    (request) => {
      const { limit = LIMIT_MAX, wait, cursor, rows = REPLAY_ROWS_DEFAULT } = request.query
      const subject = `session ${request.params.id}`
      return look(
        request,
        { action: 'replay', subject, query: request.query as Record<string, unknown> },
        async ({ scope }) => {
          const upToDate = await fresh(wait)
          const id = await o.store.resolveSession(request.params.id, scope)
          const session = await o.store.session(id, scope)
          const decoder = decoderFor(session.protocol)
          if (decoder === null)
            throw badRequest(
              session.protocol === 'ssh'
                ? 'sessions of protocol ssh have a recording: /api/v1/sessions/:id/recording.cast'
                : `sessions of protocol ${session.protocol} can't be replayed yet; see their timeline`,
            )
          const { events, next } = await o.store.sessionEvents(
            id,
            ordinal(cursor),
            { eventsMax: limit, outputBytesMax: REPLAY_OUTPUT_BYTES_MAX },
            scope,
          )
          const replay = replayOf(events, decoder, {
            rowsMax: rows,
            copyBytesMax: COPY_BYTES_SHOWN_MAX,
          })
          return {
            answer: { session, replay, next: next === null ? null : String(next), upToDate },
            results: replay.length,
          }
        },
      )
    },
  )

  api.get<{ Params: { id: string }; Querystring: { command?: string; wait?: number } }>(
    '/sessions/:id/recording.cast',
    { schema: schema.recording },
    async (request, reply) => {
      const { command, wait } = request.query
      const recorded = await look(
        request,
        {
          action: 'replay',
          subject: `session ${request.params.id}`,
          query: request.query as Record<string, unknown>,
        },
        async ({ scope }) => {
          await fresh(wait)
          const id = await o.store.resolveSession(request.params.id, scope)
          const { protocol } = await o.store.session(id, scope)
          if (protocol !== 'ssh')
            throw badRequest(`sessions of protocol ${protocol} have no terminal; see their replay`)
          const pages = pagesOf((from) =>
            o.store.sessionEvents(
              id,
              from,
              { eventsMax: LIMIT_MAX, outputBytesMax: REPLAY_OUTPUT_BYTES_MAX },
              scope,
            ),
          )
          const recording = createTerminalRecording(command ?? null)
          const first = (await pages.next()).value ?? []
          const begun = recording.lines(first)
          if (begun === '' && first.length === 0) recording.end()
          return { answer: { begun, recording, pages }, results: first.length }
        },
      )
      reply.type('application/x-asciicast')
      return reply.send(Readable.from(castOf(recorded)))
    },
  )

  api.get<{ Querystring: EventFilters & Paging }>(
    '/events',
    { schema: schema.events },
    (request) => {
      const { limit = LIMIT_DEFAULT, cursor, order, wait, ...filters } = request.query
      return look(
        request,
        { action: 'search', subject: 'events', query: request.query as Record<string, unknown> },
        async ({ scope }) => {
          const upToDate = await fresh(wait)
          if (filters.session)
            filters.session = await o.store.resolveSession(filters.session, scope)
          const page = await o.store.events(
            filters,
            { limit, cursor, ascending: order === 'asc' },
            scope,
          )
          return {
            answer: { events: page.items, next: page.next, upToDate },
            results: page.items.length,
          }
        },
      )
    },
  )

  api.get<{ Querystring: ApprovalFilters & Paging & { state?: string } }>(
    '/approvals',
    { schema: schema.approvals },
    (request) => {
      const { limit = LIMIT_DEFAULT, cursor, order, wait, state, ...filters } = request.query
      return look(
        request,
        { action: 'search', subject: 'approvals', query: request.query as Record<string, unknown> },
        async (caller) => {
          const upToDate = await fresh(wait)
          const page = await o.store.approvals(filters, {
            limit,
            cursor,
            ascending: order === 'asc',
          })
          const approvals = page.items
            .filter((one) => state === undefined || one.state === state)
            .filter((one) => answering.concerns(caller, one))
          return { answer: { approvals, next: page.next, upToDate }, results: approvals.length }
        },
      )
    },
  )

  api.get<{ Params: { id: string }; Querystring: { wait?: number } }>(
    '/approvals/:id',
    { schema: schema.approval },
    (request) =>
      look(
        request,
        { action: 'read', subject: `approval ${request.params.id}` },
        async (caller) => {
          const upToDate = await fresh(request.query.wait)
          return {
            answer: { approval: await answering.find(caller, request.params.id), upToDate },
            results: 1,
          }
        },
      ),
  )

  for (const [path, state] of [
    ['approve', 'approved'],
    ['deny', 'denied'],
    ['force', 'forced'],
  ] as const)
    api.post<{ Params: { id: string }; Body: { comment?: string } | null }>(
      `/approvals/:id/${path}`,
      { schema: schema.answering(path) },
      async (request) => {
        const approval = await answering.answer(request.caller!, from(request), {
          request: request.params.id,
          state,
          comment: request.body?.comment ?? null,
          channel: request.headers['user-agent']?.startsWith('custody-cli') ? 'cli' : 'api',
        })
        return { request: approval.id, answer: state }
      },
    )

  api.get('/status', { schema: schema.status }, (request) =>
    look(request, { action: 'status', subject: 'status' }, async () => {
      const [lag, partitions, gateways, known] = await Promise.all([
        o.freshness.lag(),
        o.freshness.partitions?.() ?? null,
        o.cluster?.gateways().catch(() => null) ?? null,
        Promise.all([
          o.store.policy(),
          o.store.approvals(
            { since: new Date(Date.now() - HELD_MS_MAX).toISOString() },
            { limit: LIMIT_MAX },
          ),
        ]).catch(() => null),
      ])
      const answer = {
        version: o.version,
        gateway: o.configuration.gateway,
        store: known ? 'ok' : 'unavailable',
        policy: policyFor(request.caller!, known?.[0] ?? null),
        held: known?.[1].items.filter(({ state }) => state === 'waiting').length ?? null,
        behind: [...lag, ...(partitions ?? [])].reduce((sum, one) => sum + one.behind, 0),
        recorders: lag.map(({ recorder, behind, head }) => ({ recorder, events: head, behind })),
        cluster: o.cluster && {
          kafka: partitions ? 'ok' : 'unavailable',
          shipper: o.cluster.status(),
          partitions,
          gateways,
        },
        // Where native clients connect to; no host of its own: where this API is.
        listen: {
          host: o.configuration.listen.publicHost ?? null,
          ...Object.fromEntries(
            spokenProtocols(o.configuration).map((one) => [
              one,
              readStatus(o.home)?.ports[one] ?? o.configuration.listen[one],
            ]),
          ),
        },
        resources: Object.entries(o.configuration.resources).map(
          ([name, { protocol, labels }]) => ({
            name,
            protocol,
            labels,
          }),
        ),
      }
      return { answer, results: 1 }
    }),
  )

  api.post<{ Body: TokenBody }>('/tokens', { schema: schema.issue }, async (request, reply) => {
    const caller = request.caller!
    requireRole(caller, 'admin')
    const { isLocalAdministrator, madeOf, who: by } = caller
    const issued = await issueToken(o.keys, {
      ...request.body,
      // What an administrator's token made ends with it.
      ...(!isLocalAdministrator && { madeOf: lineage(madeOf, by.tokenId) }),
    })
    await o.watch.access({ ...from(request), who: caller.who }, 'access.token-issued', {
      action: 'token-issued',
      tokenId: issued.id,
      expires: issued.expires.getTime() * 1000,
      reason: `for ${issued.subject}`,
    })
    reply.status(201)
    return {
      token: issued.token,
      id: issued.id,
      subject: issued.subject,
      expires: issued.expires.toISOString(),
    }
  })

  api.post<{ Body: { ttlSeconds?: number } | null }>(
    '/tokens/own',
    { schema: schema.own },
    async (request, reply) => {
      const caller = request.caller!
      if (caller.isLocalAdministrator)
        throw badRequest('the administrator issues tokens by name: POST /api/v1/tokens')
      const { who } = caller
      if (!ownTokens.take(`${who.issuer} ${who.subject}`))
        throw tooMany(`at most ${OWN_TOKENS_PER_MINUTE_MAX} a minute`)
      reply.status(201)
      return giveOwnToken(
        o,
        from(request),
        caller,
        request.body?.ttlSeconds ?? OWN_TTL_SECONDS,
        who.method,
      )
    },
  )

  api.post<{ Body: CertificateBody }>(
    '/ssh/certificates',
    { schema: schema.sshCertificate },
    async (request, reply) => {
      const caller = request.caller!
      const { body } = request
      if (caller.isLocalAdministrator && body.subject === undefined)
        throw badRequest('the administrator certifies keys by name: subject is missing')
      for (const field of ['subject', 'email', 'groups', 'kind'] as const)
        if (body[field] !== undefined) requireRole(caller, 'admin')
      const { who } = caller
      if (!caller.isLocalAdministrator && !ownTokens.take(`${who.issuer} ${who.subject}`))
        throw tooMany(`at most ${OWN_TOKENS_PER_MINUTE_MAX} a minute`)
      reply.status(201)
      return giveCertificate(
        { ...o, authority: sshAuthority(), issuer: o.keys.issuer },
        from(request),
        caller,
        body,
      )
    },
  )

  api.delete<{ Params: { id: string }; Querystring: { alone?: boolean } }>(
    '/tokens/:id',
    { schema: schema.revoke },
    async (request) => {
      const caller = request.caller!
      const { id } = request.params
      // Whoever holds a token may end it.
      const isOwn = caller.who.tokenId === id
      if (!isOwn) requireRole(caller, 'admin')
      const isAlone = request.query.alone === true
      const untilMs = isOwn ? (caller.tokenExpiresMs ?? undefined) : undefined
      await o.watch.access({ ...from(request), who: caller.who }, 'access.token-revoked', {
        action: 'token-revoked',
        tokenId: id,
        isAlone,
        ...(untilMs !== undefined && { expires: untilMs * 1000 }),
      })
      revokeToken(o.home, id, { isAlone, untilMs })
      return { id, revoked: true }
    },
  )

  api.get('/locks', { schema: schema.locks }, (request) =>
    look(request, { action: 'read', subject: 'locks' }, async (caller) => {
      requireRole(caller, 'admin', 'auditor')
      const found = Object.entries(locks.all()).map(([identity, lock]) => ({ identity, ...lock }))
      return { answer: { locks: found }, results: found.length }
    }),
  )

  api.post<{ Body: { identity: string; reason?: string } }>(
    '/locks',
    { schema: schema.lock },
    async (request, reply) => {
      const caller = request.caller!
      requireRole(caller, 'admin')
      const { identity, reason } = request.body
      const lock = {
        by: caller.who.subject,
        reason: reason ?? null,
        since: new Date().toISOString(),
      }
      await locks.say(identity, lock, comesRound, (id) =>
        o.watch.access({ ...from(request), who: caller.who }, 'access.locked', {
          id,
          action: 'lock',
          reason: `${identity}${reason ? `: ${reason}` : ''}`,
          lock: { identity, ...(reason && { reason }) },
        }),
      )
      reply.status(201)
      return { identity, locked: true }
    },
  )

  api.delete<{ Params: { identity: string } }>(
    '/locks/:identity',
    { schema: schema.unlock },
    async (request) => {
      const caller = request.caller!
      requireRole(caller, 'admin')
      const { identity } = request.params
      if (!Object.hasOwn(locks.all(), identity.toLowerCase()))
        throw notFound(`${identity} is not locked`, Object.keys(locks.all()).slice(0, 5))
      await locks.say(identity, null, comesRound, (id) =>
        o.watch.access({ ...from(request), who: caller.who }, 'access.unlocked', {
          id,
          action: 'unlock',
          reason: identity,
          lock: { identity },
        }),
      )
      return { identity, locked: false }
    },
  )

  api.post<{ Params: { id: string }; Body: { reason?: string } | null }>(
    '/sessions/:id/kill',
    { schema: schema.kill },
    async (request) => {
      const caller = request.caller!
      // One's own sessions, or any for an administrator.
      const scope = caller.roles.has('admin')
        ? null
        : { subject: caller.who.subject, issuer: caller.who.issuer }
      const found = async () => {
        const id = await o.store.resolveSession(request.params.id, scope)
        return { id, state: (await o.store.session(id, scope)).state }
      }
      // In a cluster the way into the store is long, and one that is named and open there need not wait for the rest.
      const isNamed = o.freshness.partitions !== undefined && request.params.id !== 'last'
      let session = isNamed ? await found().catch(() => null) : null
      if (session?.state !== 'open') {
        await fresh(STORE_WAIT_MS)
        session = await found()
      }
      const { id } = session
      if (session.state !== 'open') throw conflict(`the session ${id} is ${session.state}`)
      await o.watch.kill(
        { ...from(request), who: caller.who },
        uuidBytes(id),
        request.body?.reason ?? null,
      )
      return { session: id, asked: true }
    },
  )
}

/** What is wrong with policies quotes them; not everybody is to read them. */
function policyFor(
  { scope }: Caller,
  policy: { version: string | null; problem: string | null } | null,
) {
  const isTold = scope === null || 'without' in scope
  return policy && !isTold && policy.problem ? { ...policy, problem: 'not good' } : policy
}

/** All events of a session, page by page, each once. */
async function* pagesOf(
  page: (from: number) => Promise<SessionEvents>,
): AsyncGenerator<JsonObject[], undefined> {
  for (let from: number | null = 0; from !== null; ) {
    const { events, next }: SessionEvents = await page(from)
    // How commands ended that go on behind the page is told with it, and again in its place.
    yield next === null ? events : events.filter(({ ordinal }) => Number(ordinal) < next)
    from = next
  }
}

async function* castOf(recorded: {
  begun: string
  recording: TerminalRecording
  pages: AsyncGenerator<JsonObject[], undefined>
}): AsyncGenerator<string> {
  const { begun, recording, pages } = recorded
  if (begun !== '') yield begun
  for await (const events of pages) {
    const lines = recording.lines(events)
    if (lines !== '') yield lines
  }
  const end = recording.end()
  if (end !== '') yield end
}

interface Paging {
  limit?: number
  cursor?: string
  order?: 'asc' | 'desc'
  wait?: number
}

interface Reading {
  limit?: number
  cursor?: string
  wait?: number
}

interface TokenBody {
  subject: string
  email?: string
  name?: string
  groups?: string[]
  kind?: 'human' | 'service' | 'agent'
  ttlSeconds?: number
}

function ordinal(cursor: string | undefined): number {
  if (cursor === undefined) return 0
  if (!/^\d{1,15}$/.test(cursor)) throw badRequest('cursor: not one that this API gave')
  return Number(cursor)
}

function createMetrics(o: AppOptions) {
  const registry = new Registry()
  const requests = new Histogram({
    name: 'custody_query_request_seconds',
    help: 'Requests answered, by route, method and status.',
    labelNames: ['route', 'method', 'status'],
    buckets: [0.005, 0.02, 0.05, 0.1, 0.3, 1, 3, 10, 30],
    registers: [registry],
  })
  const refused = new Counter({
    name: 'custody_query_refused_total',
    help: 'Requests refused for want of a valid credential.',
    registers: [registry],
  })
  new Gauge({
    name: 'custody_query_log_events',
    help: 'Events recorded by this service.',
    registers: [registry],
    collect() {
      this.set(o.recorder.status().nextSequence)
    },
  })
  new Gauge({
    name: 'custody_query_log_refusing',
    help: '1 while nothing can be recorded and so nothing is shown.',
    registers: [registry],
    collect() {
      this.set(o.recorder.problem ? 1 : 0)
    },
  })
  new Gauge({
    name: 'custody_ingest_behind_events',
    help: 'Events recorded and not yet in the store, by recorder.',
    labelNames: ['recorder'],
    registers: [registry],
    async collect() {
      this.reset()
      if (o.cluster) return
      for (const { recorder, behind } of await o.freshness.lag()) this.set({ recorder }, behind)
    },
  })
  new Gauge({
    name: 'custody_pipeline_findings',
    help: 'What the last comparison of log, Kafka and store found missing, added, changed or out of order; -1 before the first.',
    registers: [registry],
    collect() {
      const { ok, findings } = o.selfCheck.status()
      this.set(ok === null ? -1 : findings)
    },
  })
  new Gauge({
    name: 'custody_pipeline_checked_timestamp_seconds',
    help: 'When log, Kafka and store were last compared; 0 before the first time.',
    registers: [registry],
    collect() {
      this.set((o.selfCheck.status().checkedMs ?? 0) / 1000)
    },
  })
  if (o.cluster)
    new Gauge({
      name: 'custody_ingest_behind_offsets',
      help: 'Events in Kafka and not yet in the store, by partition.',
      labelNames: ['partition'],
      registers: [registry],
      async collect() {
        this.reset()
        for (const { partition, behind } of (await o.freshness.partitions?.()) ?? [])
          this.set({ partition }, behind)
      },
    })
  return { registry, requests, refused }
}
