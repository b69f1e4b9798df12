/**
 * What people open in a browser: signing in and out, requests for approval and answering them, and vouching for a client
 * that waits to be signed in. Pages without scripts; what is read and done goes through the same checks and into the same
 * record as through the API.
 * Refuses changes that did not come from a page of its own, and to send anybody to another site but the providers configured.
 */
import { createHash } from 'node:crypto'
import type { Principal, SignInProvider, TokenKeys } from '@custody/identity'
import { type Configuration, CustodyError, isCustodyError } from '@custody/kit'
import { type Statement, uuidBytes, type Who } from '@custody/schemas'
import { parse as parseCookies, serialize as serializeCookie } from 'cookie'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { type Access, type Caller, cookieName, from, requireOwnPage, requireRole } from '../access'
import type { Answering } from '../answering'
import type { RiskOf } from '../channels/request'
import { answerOf, badRequest, notFound } from '../errors'
import type { Freshness } from '../freshness'
import { type JsonObject, microsOfIso } from '../rows'
import type { Store } from '../store'
import { issueOwnToken, OWN_TTL_SECONDS, type SignedIn } from '../tokens'
import type { Watch } from '../watch'
import {
  activationPage,
  approvalPage,
  approvalsPage,
  cliPage,
  errorPage,
  headerOf,
  signInPage,
} from './bodies'
import { html, sendPage } from './html'
import { ownPath, Pending, SIGN_IN_MS_MAX } from './sign-ins'

export interface PagesOptions {
  configuration: Configuration
  keys: TokenKeys
  access: Access
  providers: readonly SignInProvider[]
  store: Store
  watch: Watch
  freshness: Freshness
  answering: Answering
  riskOf: RiskOf
  /** The token is of no use from now on. */
  revoke(tokenId: string, untilMs: number | undefined): void
  /** Why somebody who was let in may not stay, or null. */
  standing(who: Who, madeOf?: string): CustodyError | null
}

interface SignInUnderWay {
  to: string
  provider: SignInProvider
  memory: string
  callbackUrl: string
  /** Its response has come; there is no second. */
  isAnswered?: boolean
}

/** Came back by a POST from elsewhere, without our cookie; the browser is asked for it next. */
interface Returned {
  state: string
  principal: Principal
}

/** A code that the command line exchanges for a token. */
interface CliCode {
  caller: Caller
  challenge: string
}

const APPROVALS_SHOWN_MAX = 200
const ASKED_BEFORE_DAYS = 30
const ASKED_BEFORE_SHOWN_MAX = 5
const STORE_WAIT_MS = 2000
const FORM_BYTES_MAX = 1024 * 1024

export async function registerPages(app: FastifyInstance, o: PagesOptions): Promise<void> {
  const { console: settings, listen } = o.configuration
  const isSecure = settings.url?.startsWith('https:') === true
  const sessionCookie = cookieName(isSecure)
  const signInCookie = `${sessionCookie}-sign-in`
  const { providers } = o
  const underWay = new Pending<SignInUnderWay>()
  const answers = new Pending<Returned>()
  const cliCodes = new Pending<CliCode>()

  app.addContentTypeParser(
    'application/x-www-form-urlencoded',
    { parseAs: 'string', bodyLimit: FORM_BYTES_MAX },
    (_request, body, done) => done(null, new URLSearchParams(body as string)),
  )
  app.setErrorHandler((error, request, reply) => {
    const { status, answer } = answerOf(error)
    return sendPage(reply, status, {
      title: 'Not possible',
      header: headerOf(request.caller),
      body: errorPage(answer.error),
    })
  })

  const baseOf = (request: FastifyRequest) =>
    settings.url?.replace(/\/$/, '') ?? `http://${request.headers.host ?? listen.host}`
  const formOf = (request: FastifyRequest): URLSearchParams =>
    request.body instanceof URLSearchParams ? request.body : new URLSearchParams()

  const setCookie = (reply: FastifyReply, name: string, value: string, maxAge: number) => {
    const before = reply.getHeader('set-cookie')
    const one = serializeCookie(name, value, {
      path: '/',
      httpOnly: true,
      secure: isSecure,
      // Links in messages lead here from elsewhere; changes need more than the cookie.
      sameSite: 'lax',
      maxAge: Math.max(0, Math.floor(maxAge)),
    })
    reply.header('set-cookie', before === undefined ? one : [before as string, one].flat())
  }
  const go = (reply: FastifyReply, to: string) => reply.redirect(to, 303)

  /** Who is signed in; null where nobody is. */
  async function callerOf(request: FastifyRequest): Promise<Caller | null> {
    if (!parseCookies(request.headers.cookie ?? '')[sessionCookie]) return null
    try {
      request.caller = await o.access.identify({ cookie: request.headers.cookie })
    } catch (error) {
      // What was good once is not any more: over, revoked, locked. Signing in again says which.
      if (isCustodyError(error)) return null
      throw error
    }
    o.watch.ready()
    return request.caller
  }

  /** For pages of people who are signed in; others are sent to sign in, and come back. */
  function signedIn(
    handler: (request: FastifyRequest, reply: FastifyReply, caller: Caller) => Promise<unknown>,
  ) {
    return async (request: FastifyRequest, reply: FastifyReply) => {
      const caller = await callerOf(request)
      if (caller === null)
        return go(
          reply,
          `/sign-in?to=${encodeURIComponent(request.method === 'GET' ? request.url : '/')}`,
        )
      if (request.method !== 'GET') requireOwnPage(caller, formOf(request).get('csrf'))
      return handler(request, reply, caller)
    }
  }

  async function enter(
    request: FastifyRequest,
    reply: FastifyReply,
    signedIn: SignedIn,
    to: string,
  ) {
    const { who } = signedIn
    const issued = await issueOwnToken(o.keys, signedIn, settings.sessionHoursMax * 3600)
    await o.watch.access({ ...from(request), who }, 'access.sign-in', {
      action: 'sign-in',
      tokenId: issued.id,
      expires: issued.expires.getTime() * 1000,
      credential: who.method,
    })
    setCookie(reply, sessionCookie, issued.token, (issued.expires.getTime() - Date.now()) / 1000)
    setCookie(reply, signInCookie, '', 0)
    return go(reply, to)
  }

  /** What failed is recorded with its reason; the browser learns that it failed. */
  async function orRefused<T>(request: FastifyRequest, work: () => Promise<T>): Promise<T> {
    try {
      return await work()
    } catch (error) {
      if (isCustodyError(error)) {
        const recorded = error.details.recorded
        o.watch.refused(
          from(request),
          error.code,
          typeof recorded === 'string' ? `${error.message}: ${recorded}` : error.message,
        )
      }
      throw error
    }
  }

  // ── signing in ───────────────────────────────────────────────────────────────────────────────────────────────

  app.get('/', { schema: { hide: true } }, (_request, reply) => go(reply, '/approvals'))

  app.get<{ Querystring: { to?: string } }>(
    '/sign-in',
    { schema: { hide: true } },
    async (request, reply) =>
      sendPage(reply, 200, {
        title: 'Sign in',
        body: signInPage(providers, ownPath(request.query.to) ?? '/'),
      }),
  )

  app.get<{ Querystring: { provider?: string; to?: string } }>(
    '/sign-in/start',
    { schema: { hide: true } },
    async (request, reply) => {
      const provider = providers.find(({ name }) => name === request.query.provider)
      if (!provider) throw notFound('there is no such identity provider')
      const base = baseOf(request)
      const callbackUrl =
        provider.kind === 'oidc'
          ? `${base}/sign-in/callback`
          : `${base}/sign-in/saml/${encodeURIComponent(provider.name)}`
      const one: SignInUnderWay = {
        to: ownPath(request.query.to) ?? '/',
        provider,
        memory: '',
        callbackUrl,
      }
      const { secret, state } = underWay.put(one)
      const begun = await orRefused(request, () => provider.begin(callbackUrl, state))
      one.memory = begun.memory
      setCookie(reply, signInCookie, secret, SIGN_IN_MS_MAX / 1000)
      return go(reply, begun.url)
    },
  )

  /** The sign-in that this very browser began. */
  function takeOwn(request: FastifyRequest, state: string | undefined): SignInUnderWay {
    const secret = parseCookies(request.headers.cookie ?? '')[signInCookie]
    const one = state !== undefined ? underWay.takeBy(secret, state) : null
    if (one === null)
      throw new CustodyError('CUSTODY-TOKEN-006', 'this sign-in was not begun here, or is over', {
        details: { recorded: 'no sign-in of this browser has this state' },
      })
    return one
  }

  app.get<{ Querystring: { state?: string } }>(
    '/sign-in/callback',
    { schema: { hide: true } },
    async (request, reply) => {
      const { principal, to } = await orRefused(request, async () => {
        const { state } = request.query
        const one = takeOwn(request, state)
        const query = new URL(request.url, 'http://custody.invalid').searchParams
        return {
          principal: await one.provider.finish(one.callbackUrl, state!, one.memory, { query }),
          to: one.to,
        }
      })
      // The ID token itself lives for minutes; it was for signing in.
      return enter(request, reply, { who: principal.who, tokenExpiresMs: null }, to)
    },
  )

  app.post<{ Params: { name: string } }>(
    '/sign-in/saml/:name',
    { schema: { hide: true } },
    async (request, reply) => {
      // From the provider's page: the browser keeps our cookie back, and brings it with the redirect that follows.
      const form = formOf(request)
      const state = form.get('RelayState') ?? ''
      const answer = await orRefused(request, async () => {
        const one = underWay.take(state)
        if (
          one?.provider.kind !== 'saml' ||
          one.provider.name !== request.params.name ||
          one.isAnswered
        )
          throw new CustodyError('CUSTODY-TOKEN-006', 'this sign-in was not begun here, or is over')
        const principal = await one.provider.finish(one.callbackUrl, state, one.memory, { form })
        underWay.keep(state, { ...one, isAnswered: true })
        return answers.put({ state, principal }).secret
      })
      // Who began has the cookie; who came back has this. It takes both, or one could sign in by another's response.
      const query = new URLSearchParams({ state, answer })
      return go(reply, `/sign-in/finish?${query}`)
    },
  )

  app.get<{ Querystring: { state?: string; answer?: string } }>(
    '/sign-in/finish',
    { schema: { hide: true } },
    async (request, reply) => {
      const { principal, to } = await orRefused(request, async () => {
        const { state, answer } = request.query
        const returned = answers.takeBy(answer)
        const one = takeOwn(request, state)
        if (returned === null || returned.state !== state)
          throw new CustodyError('CUSTODY-TOKEN-006', 'this sign-in is not complete')
        return { principal: returned.principal, to: one.to }
      })
      return enter(request, reply, { who: principal.who, tokenExpiresMs: principal.expiresMs }, to)
    },
  )

  app.get<{ Params: { name: string } }>(
    '/sign-in/saml/:name/metadata',
    { schema: { hide: true } },
    async (request, reply) => {
      const provider = providers.find(
        ({ name, kind }) => kind === 'saml' && name === request.params.name,
      )
      if (!provider?.metadata) throw notFound('there is no such identity provider')
      const url = `${baseOf(request)}/sign-in/saml/${encodeURIComponent(provider.name)}`
      return reply.type('application/samlmetadata+xml').send(await provider.metadata(url))
    },
  )

  app.post('/sign-in/token', { schema: { hide: true } }, async (request, reply) => {
    const form = formOf(request)
    // Signing somebody else's browser in as oneself would make them work under a false name.
    const origin = request.headers.origin
    if (origin !== undefined && origin !== new URL(baseOf(request)).origin)
      throw badRequest('this did not come from a page of Custody')
    const token = (form.get('token') ?? '').trim()
    const caller = await orRefused(request, () =>
      o.access.identify({ authorization: `Bearer ${token}` }),
    )
    if (caller.isLocalAdministrator)
      throw badRequest('the local administrator works with the command line and the API only')
    return enter(request, reply, caller, ownPath(form.get('to')) ?? '/')
  })

  app.post(
    '/sign-out',
    { schema: { hide: true } },
    signedIn(async (request, reply, { who, tokenExpiresMs }) => {
      await o.watch.access({ ...from(request), who }, 'access.sign-out', {
        action: 'sign-out',
        tokenId: who.tokenId ?? undefined,
      })
      // What was opened with it goes on; only this browser is out.
      if (who.tokenId !== null) o.revoke(who.tokenId, tokenExpiresMs ?? undefined)
      setCookie(reply, sessionCookie, '', 0)
      return go(reply, '/sign-in')
    }),
  )

  // ── the command line signs in through the browser ────────────────────────────────────────────────────────────

  const cliQuestion = (values: Record<string, unknown>) => {
    const { port, state, challenge } = values
    if (!/^\d{4,5}$/.test(String(port)) || Number(port) > 65_535 || Number(port) < 1024)
      throw badRequest('port: where the command line listens')
    for (const [name, value] of Object.entries({ state, challenge }))
      if (typeof value !== 'string' || !/^[A-Za-z0-9_-]{43}$/.test(value))
        throw badRequest(`${name}: 43 characters of base64url`)
    return { port: Number(port), state: String(state), challenge: String(challenge) }
  }

  app.get(
    '/sign-in/cli',
    { schema: { hide: true } },
    signedIn(async (request, reply, caller) => {
      const asked = cliQuestion(request.query as Record<string, unknown>)
      return sendPage(
        reply,
        200,
        { title: 'Command line', header: headerOf(caller), body: cliPage(caller, asked) },
        [`http://127.0.0.1:${asked.port}`],
      )
    }),
  )

  app.post(
    '/sign-in/cli',
    { schema: { hide: true } },
    signedIn(async (request, reply, caller) => {
      const { port, state, challenge } = cliQuestion(Object.fromEntries(formOf(request)))
      const code = cliCodes.put({ caller, challenge })
      return go(reply, `http://127.0.0.1:${port}/callback?state=${state}&code=${code.secret}`)
    }),
  )

  app.post<{ Body: { code: string; verifier: string; ttlSeconds?: number } }>(
    '/api/v1/tokens/exchange',
    { schema: { hide: true } },
    async (request, reply) => {
      try {
        const { code, verifier, ttlSeconds } = request.body ?? {}
        const kept = await orRefused(request, async () => {
          const one = typeof code === 'string' ? cliCodes.takeBy(code) : null
          const digest = createHash('sha256')
            .update(String(verifier ?? ''))
            .digest('base64url')
          if (one === null || one.challenge !== digest)
            throw new CustodyError('CUSTODY-TOKEN-002', 'the code is not accepted')
          return one
        })
        const { who, madeOf } = kept.caller
        const refused = o.standing(who, madeOf)
        if (refused) throw refused
        const issued = await issueOwnToken(
          o.keys,
          kept.caller,
          Number.isInteger(ttlSeconds) && ttlSeconds! > 0 ? ttlSeconds! : OWN_TTL_SECONDS,
        )
        await o.watch.access({ ...from(request), who }, 'access.token-issued', {
          action: 'token-issued',
          tokenId: issued.id,
          expires: issued.expires.getTime() * 1000,
          reason: 'for themselves, by browser',
        })
        return reply.status(201).send({
          token: issued.token,
          id: issued.id,
          subject: issued.subject,
          email: who.email,
          expires: issued.expires.toISOString(),
        })
      } catch (error) {
        const { status, answer } = answerOf(error)
        return reply.status(status).send(answer)
      }
    },
  )

  // ── approvals ────────────────────────────────────────────────────────────────────────────────────────────────

  app.get<{ Querystring: { state?: string } }>(
    '/approvals',
    { schema: { hide: true } },
    signedIn(async (request, reply, caller) => {
      requireRole(caller, 'viewer', 'approver', 'analyst', 'auditor', 'admin')
      const all = (request.query as { state?: string }).state === 'all'
      const started = performance.now()
      await o.freshness.caughtUp(STORE_WAIT_MS)
      const { items } = await o.store.approvals({}, { limit: APPROVALS_SHOWN_MAX })
      const shown = items
        .filter((one) => all || one.state === 'waiting')
        .filter((one) => o.answering.concerns(caller, one))
      await look(request, caller, 'search', 'approvals', shown.length, started)
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
    signedIn(async (request, reply, caller) => {
      const { id } = request.params as { id: string }
      const started = performance.now()
      await o.freshness.caughtUp(STORE_WAIT_MS)
      const approval = await o.answering.find(caller, id)
      const before = await askedBefore(approval)
      await look(request, caller, 'read', `approval ${approval.id}`, 1, started)
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
      signedIn(async (request, reply, caller) => {
        const { id } = request.params as { id: string }
        const approval = await o.answering.answer(caller, from(request), {
          request: id,
          state,
          comment: formOf(request).get('comment'),
          channel: 'console',
        })
        return go(reply, `/approvals/${approval.id}`)
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

  // ── vouching for a client that waits ─────────────────────────────────────────────────────────────────────────

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
    signedIn(async (request, reply, caller) => {
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
    signedIn(async (request, reply, caller) => {
      const form = formOf(request)
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

  function look(
    request: FastifyRequest,
    { who }: Caller,
    action: string,
    subject: string,
    results: number,
    started: number,
  ) {
    return o.watch.look(
      { ...from(request), who },
      {
        action,
        subject,
        results,
        durationMicros: Math.round((performance.now() - started) * 1000),
      },
    )
  }
}

/** As it is shown: two groups of four letters. What cannot be a code stays empty. */
function plainCode(code: string): string {
  const letters = code.toUpperCase().replace(/[^A-Z]/g, '')
  return letters.length === 8 ? `${letters.slice(0, 4)}-${letters.slice(4)}` : ''
}
