/**
 * The command line signs in through the browser: somebody who is signed in there says yes, and a code goes back to this
 * machine, to be exchanged for a token by who has the other half (as PKCE has it, RFC 7636).
 * Refuses to send a code anywhere but to loopback, and to take it twice.
 */
import { createHash } from 'node:crypto'
import { CustodyError } from '@custody/kit'
import type { FastifyInstance } from 'fastify'
import { type Caller, from } from '../access'
import { answerOf, badRequest } from '../errors'
import { giveOwnToken, OWN_TTL_SECONDS } from '../tokens'
import { cliPage, headerOf } from './bodies'
import { sendPage } from './html'
import type { PagesOptions } from './pages'
import { Pending } from './sign-ins'
import type { Visits } from './visits'

/** A code that the command line exchanges for a token. */
interface CliCode {
  caller: Caller
  challenge: string
}

export function registerCommandLine(app: FastifyInstance, visits: Visits, o: PagesOptions): void {
  const cliCodes = new Pending<CliCode>()

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
    visits.signedIn(async (request, reply, caller) => {
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
    visits.signedIn(async (request, reply, caller) => {
      const { port, state, challenge } = cliQuestion(Object.fromEntries(visits.formOf(request)))
      const code = cliCodes.put({ caller, challenge })
      return visits.go(
        reply,
        `http://127.0.0.1:${port}/callback?state=${state}&code=${code.secret}`,
      )
    }),
  )

  app.post<{ Body: { code: string; verifier: string; ttlSeconds?: number } }>(
    '/api/v1/tokens/exchange',
    { schema: { hide: true } },
    async (request, reply) => {
      try {
        const { code, verifier, ttlSeconds } = request.body ?? {}
        const kept = await visits.orRefused(request, async () => {
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
        return reply
          .status(201)
          .send(
            await giveOwnToken(
              o,
              from(request),
              kept.caller,
              Number.isInteger(ttlSeconds) && ttlSeconds! > 0 ? ttlSeconds! : OWN_TTL_SECONDS,
              'browser',
            ),
          )
      } catch (error) {
        const { status, answer } = answerOf(error)
        return reply.status(status).send(answer)
      }
    },
  )
}
