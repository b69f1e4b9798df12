/**
 * Answers to held commands, from wherever they come: the one place that decides whether somebody's answer is taken.
 * Refuses one's own request, the wrong group, an answer after the end, and one without the comment that is asked for.
 * Refuses to let a command run itself: it records what was said, and the gateway looks at it again.
 */
import { type Person, parseRequirements, refusal } from '@custody/policy'
import { uuidBytes } from '@custody/schemas'
import type { Caller } from './access'
import { badRequest, conflict, forbidden, notFound } from './errors'
import type { Freshness } from './freshness'
import type { JsonObject } from './rows'
import type { Store } from './store'
import type { Reader, Watch } from './watch'

/** How long an answer waits for its request to be in the store. */
export const ANSWER_WAIT_MS = 2000
export const COMMENT_CHARACTERS_MAX = 2000

export interface Answer {
  /** Identifier of the request, or the beginning of one. */
  request: string
  state: 'approved' | 'denied'
  comment: string | null
  /** Where it was given; what the reader's application says, if nothing is said. */
  channel?: string
  /** The same person's second answer over this channel is refused. */
  once?: boolean
}

export interface Answering {
  /** Requests of one's own, those that one may answer, and for who sees everything all of them. */
  concerns(caller: Pick<Caller, 'who' | 'scope'>, approval: JsonObject): boolean
  /** One request, if it concerns the caller. */
  approvalFor(caller: Pick<Caller, 'who' | 'scope'>, id: string): Promise<JsonObject>
  /** Rejects with a CustodyError that may be shown, or resolves once the answer is recorded on disk. */
  answer(
    caller: Pick<Caller, 'who' | 'scope'>,
    from: Omit<Reader, 'who'>,
    answer: Answer,
  ): Promise<{ request: string; answer: 'approved' | 'denied' }>
}

export function createAnswering(o: {
  store: Pick<Store, 'approval'>
  watch: Pick<Watch, 'answered'>
  freshness: Pick<Freshness, 'caughtUp'>
}): Answering {
  function concerns({ scope, who }: Pick<Caller, 'who' | 'scope'>, approval: JsonObject): boolean {
    if (scope === null) return true
    const asker = approval.who as unknown as Person
    return (
      (asker.subject === who.subject && asker.issuer === who.issuer) ||
      refusal(requirementsOf(approval), asker, who) === null
    )
  }

  async function approvalFor(
    caller: Pick<Caller, 'who' | 'scope'>,
    id: string,
  ): Promise<JsonObject> {
    const approval = await o.store.approval(id)
    if (!concerns(caller, approval)) throw notFound(`there is no request ${id}`)
    return approval
  }

  return {
    concerns,
    approvalFor,

    async answer(caller, from, { request, state, comment: said, channel, once }) {
      // A request that was made a moment ago is known to its approver before it is in the store.
      await o.freshness.caughtUp(ANSWER_WAIT_MS)
      const approval = await approvalFor(caller, request)
      if (approval.state !== 'waiting')
        throw conflict(
          `the request ${approval.id} is ${approval.state}; there is nothing to answer`,
        )
      const why = refusal(requirementsOf(approval), approval.who as unknown as Person, caller.who)
      if (why !== null) throw forbidden(why)
      if (once && answersOf(approval).some((one) => isBy(one, caller.who, channel)))
        throw conflict(`the request ${approval.id} was answered there already`)
      const comment = said?.trim().slice(0, COMMENT_CHARACTERS_MAX) || null
      if (approval.commentRequired && comment === null)
        throw badRequest('this request must be answered with a comment')
      await o.watch.answered(
        { ...from, who: caller.who },
        { request: uuidBytes(String(approval.id)), state, comment, channel },
      )
      return { request: String(approval.id), answer: state }
    },
  }
}

export function requirementsOf(approval: JsonObject) {
  return parseRequirements(String(approval.approvers), Number(approval.required))
}

interface Given {
  who: { email: string | null; subject: string; issuer: string }
  channel: string
}

function answersOf(approval: JsonObject): Given[] {
  return (approval.answers ?? []) as unknown as Given[]
}

function isBy(given: Given, who: Caller['who'], channel: string | undefined): boolean {
  const { subject, issuer, email } = given.who
  return (
    given.channel === channel &&
    ((subject === who.subject && issuer === who.issuer) ||
      (email !== null && email.toLowerCase() === who.email?.toLowerCase()))
  )
}
