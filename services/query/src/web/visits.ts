/**
 * One visit of a browser: who is signed in there, what its form says, where it is sent, and what of that is recorded.
 * Refuses changes that did not come from a page of ours.
 */
import { type Configuration, isCustodyError, recordedReason } from '@custody/kit'
import { parse as parseCookies, serialize as serializeCookie } from 'cookie'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { type Access, type Caller, cookieName, from, requireOwnPage } from '../access'
import type { Watch } from '../watch'

export class Visits {
  readonly sessionCookie: string
  readonly signInCookie: string
  private readonly isSecure: boolean

  constructor(private readonly o: { configuration: Configuration; access: Access; watch: Watch }) {
    this.isSecure = o.configuration.console.url?.startsWith('https:') === true
    this.sessionCookie = cookieName(this.isSecure)
    this.signInCookie = `${this.sessionCookie}-sign-in`
  }

  /** How this browser reaches us, without a slash at the end. */
  baseOf(request: FastifyRequest): string {
    const { console: settings, listen } = this.o.configuration
    return settings.url?.replace(/\/$/, '') ?? `http://${request.headers.host ?? listen.host}`
  }

  formOf(request: FastifyRequest): URLSearchParams {
    return request.body instanceof URLSearchParams ? request.body : new URLSearchParams()
  }

  cookieOf(request: FastifyRequest, name: string): string | undefined {
    return parseCookies(request.headers.cookie ?? '')[name]
  }

  /** With a `maxAge` of 0, in seconds, it is taken away. */
  setCookie(reply: FastifyReply, name: string, value: string, maxAge: number): void {
    const before = reply.getHeader('set-cookie')
    const one = serializeCookie(name, value, {
      path: '/',
      httpOnly: true,
      secure: this.isSecure,
      // Links in messages lead here from elsewhere; changes need more than the cookie.
      sameSite: 'lax',
      maxAge: Math.max(0, Math.floor(maxAge)),
    })
    reply.header('set-cookie', before === undefined ? one : [before as string, one].flat())
  }

  go(reply: FastifyReply, to: string): FastifyReply {
    return reply.redirect(to, 303)
  }

  /** For pages of people who are signed in; others are sent to sign in, and come back. */
  signedIn(
    handler: (request: FastifyRequest, reply: FastifyReply, caller: Caller) => Promise<unknown>,
  ) {
    return async (request: FastifyRequest, reply: FastifyReply) => {
      const caller = await this.callerOf(request)
      if (caller === null) {
        const back = request.method === 'GET' ? request.url : '/'
        return this.go(reply, `/sign-in?to=${encodeURIComponent(back)}`)
      }
      if (request.method !== 'GET') requireOwnPage(caller, this.formOf(request).get('csrf'))
      return handler(request, reply, caller)
    }
  }

  /** What failed is recorded with its reason; the browser learns that it failed. */
  async orRefused<T>(request: FastifyRequest, work: () => Promise<T>): Promise<T> {
    try {
      return await work()
    } catch (error) {
      if (isCustodyError(error))
        this.o.watch.refused(from(request), error.code, recordedReason(error))
      throw error
    }
  }

  /** Records what somebody is about to be shown. `started`: by performance.now(). */
  look(
    request: FastifyRequest,
    { who }: Caller,
    action: string,
    subject: string,
    results: number,
    started: number,
  ): Promise<void> {
    const durationMicros = Math.round((performance.now() - started) * 1000)
    return this.o.watch.look(
      { ...from(request), who },
      { action, subject, results, durationMicros },
    )
  }

  /** Who is signed in; null where nobody is. */
  private async callerOf(request: FastifyRequest): Promise<Caller | null> {
    if (!this.cookieOf(request, this.sessionCookie)) return null
    try {
      request.caller = await this.o.access.identify({ cookie: request.headers.cookie })
    } catch (error) {
      // What was good once is not any more: over, revoked, locked. Signing in again says which.
      if (isCustodyError(error)) return null
      throw error
    }
    this.o.watch.ready()
    return request.caller
  }
}
