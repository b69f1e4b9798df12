/**
 * What people open in a browser, without scripts; what is read and done goes through the same checks and into the same
 * record as through the API. Each subject has a file of its own; here is what they share.
 */
import type { SignInProvider, TokenKeys } from '@custody/identity'
import type { Configuration, CustodyError } from '@custody/kit'
import type { Who } from '@custody/schemas'
import type { FastifyInstance } from 'fastify'
import type { Access } from '../access'
import type { Answering } from '../answering'
import type { RiskOf } from '../channels/request'
import { answerOf } from '../errors'
import type { Freshness } from '../freshness'
import type { Store } from '../store'
import type { Watch } from '../watch'
import { registerActivation } from './activation'
import { registerApprovals } from './approvals'
import { errorPage, headerOf } from './bodies'
import { registerCommandLine } from './command-line'
import { sendPage } from './html'
import { registerSignIn } from './sign-in'
import { Visits } from './visits'

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

const FORM_BYTES_MAX = 1024 * 1024

export async function registerPages(app: FastifyInstance, o: PagesOptions): Promise<void> {
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
  const visits = new Visits(o)
  app.get('/', { schema: { hide: true } }, (_request, reply) => visits.go(reply, '/approvals'))
  registerSignIn(app, visits, o)
  registerCommandLine(app, visits, o)
  registerApprovals(app, visits, o)
  registerActivation(app, visits, o)
}
