/**
 * Signing in and out in a browser: at an OpenID provider, by SAML, or with a Custody token.
 * Refuses to end what a browser did not begin, and to send anybody to another site but the providers configured.
 */
import type { Principal, SignInProvider } from '@custody/identity'
import { CustodyError } from '@custody/kit'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { from } from '../access'
import { badRequest, notFound } from '../errors'
import { issueOwnToken, type SignedIn } from '../tokens'
import { signInPage } from './bodies'
import { sendPage } from './html'
import type { PagesOptions } from './pages'
import { ownPath, Pending, SIGN_IN_MS_MAX } from './sign-ins'
import type { Visits } from './visits'

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

export function registerSignIn(app: FastifyInstance, visits: Visits, o: PagesOptions): void {
  const { providers } = o
  const underWay = new Pending<SignInUnderWay>()
  const answers = new Pending<Returned>()

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
      const base = visits.baseOf(request)
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
      const begun = await visits.orRefused(request, () => provider.begin(callbackUrl, state))
      one.memory = begun.memory
      visits.setCookie(reply, visits.signInCookie, secret, SIGN_IN_MS_MAX / 1000)
      return visits.go(reply, begun.url)
    },
  )

  /** The sign-in that this very browser began. */
  function takeOwn(request: FastifyRequest, state: string | undefined): SignInUnderWay {
    const secret = visits.cookieOf(request, visits.signInCookie)
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
      const { principal, to } = await visits.orRefused(request, async () => {
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
      const form = visits.formOf(request)
      const state = form.get('RelayState') ?? ''
      const answer = await visits.orRefused(request, async () => {
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
      return visits.go(reply, `/sign-in/finish?${query}`)
    },
  )

  app.get<{ Querystring: { state?: string; answer?: string } }>(
    '/sign-in/finish',
    { schema: { hide: true } },
    async (request, reply) => {
      const { principal, to } = await visits.orRefused(request, async () => {
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
      const url = `${visits.baseOf(request)}/sign-in/saml/${encodeURIComponent(provider.name)}`
      return reply.type('application/samlmetadata+xml').send(await provider.metadata(url))
    },
  )

  app.post('/sign-in/token', { schema: { hide: true } }, async (request, reply) => {
    const form = visits.formOf(request)
    // Signing somebody else's browser in as oneself would make them work under a false name.
    const origin = request.headers.origin
    if (origin !== undefined && origin !== new URL(visits.baseOf(request)).origin)
      throw badRequest('this did not come from a page of Custody')
    const token = (form.get('token') ?? '').trim()
    const caller = await visits.orRefused(request, () =>
      o.access.identify({ authorization: `Bearer ${token}` }),
    )
    if (caller.isLocalAdministrator)
      throw badRequest('the local administrator works with the command line and the API only')
    return enter(request, reply, caller, ownPath(form.get('to')) ?? '/')
  })

  app.post(
    '/sign-out',
    { schema: { hide: true } },
    visits.signedIn(async (request, reply, { who, tokenExpiresMs }) => {
      await o.watch.access({ ...from(request), who }, 'access.sign-out', {
        action: 'sign-out',
        tokenId: who.tokenId ?? undefined,
        isAlone: true,
        ...(tokenExpiresMs !== null && { expires: tokenExpiresMs * 1000 }),
      })
      // What was opened with it goes on; only this browser is out.
      if (who.tokenId !== null) o.revoke(who.tokenId, tokenExpiresMs ?? undefined)
      visits.setCookie(reply, visits.sessionCookie, '', 0)
      return visits.go(reply, '/sign-in')
    }),
  )

  async function enter(
    request: FastifyRequest,
    reply: FastifyReply,
    signedIn: SignedIn,
    to: string,
  ) {
    const { who } = signedIn
    const issued = await issueOwnToken(
      o.keys,
      signedIn,
      o.configuration.console.sessionHoursMax * 3600,
    )
    await o.watch.access({ ...from(request), who }, 'access.sign-in', {
      action: 'sign-in',
      tokenId: issued.id,
      expires: issued.expires.getTime() * 1000,
      credential: who.method,
    })
    visits.setCookie(
      reply,
      visits.sessionCookie,
      issued.token,
      (issued.expires.getTime() - Date.now()) / 1000,
    )
    visits.setCookie(reply, visits.signInCookie, '', 0)
    return visits.go(reply, to)
  }
}
