/**
 * Requests for approval: who may see which, and taking an answer, whatever way it came by. The answer is recorded; where it
 * takes effect, in the gateway, it is looked at again.
 * Refuses answers of who asked, of who may not, without a comment where one is needed, and after the end.
 */
import {
  EXPIRES_SECONDS_MAX,
  forceRefusal,
  type Person,
  parseForce,
  parseRequirements,
  refusal,
} from '@custody/policy'
import { uuidBytes, type Who } from '@custody/schemas'
import type { Role } from './access'
import { badRequest, conflict, forbidden, notFound } from './errors'
import { type Freshness, STORE_WAIT_MS } from './freshness'
import type { JsonObject } from './rows'
import type { Scope, Store } from './store'
import type { Reader, Watch } from './watch'

/** What is held was asked for within this. */
export const HELD_MS_MAX = EXPIRES_SECONDS_MAX * 1000
export const COMMENT_CHARACTERS_MAX = 2000

const NO_APPROVER =
  'this needs the role approver; console.roles in the configuration says which groups have it'

export interface Answerer {
  who: Who
  roles: ReadonlySet<Role>
  scope: Scope
}

export interface Answer {
  /** Identifier of the request, or the beginning of one. */
  request: string
  /** `forced`: alone, whatever else is asked for, where the policies let somebody. */
  state: 'approved' | 'denied' | 'forced'
  comment: string | null
  /** By which way it came: cli, api, console, slack, … */
  channel: string
  /** The same person's second answer over this channel is refused. */
  once?: boolean
}

export interface Answering {
  /** Requests of one's own, those that one may answer, and for who sees everything all of them. */
  concerns(answerer: Answerer, approval: JsonObject): boolean
  /** One that concerns who asks, by its identifier or the beginning of it. */
  find(answerer: Answerer, id: string): Promise<JsonObject>
  /** Why this person may not answer, or null. */
  refusal(answerer: Answerer, approval: JsonObject): string | null
  /** Why this person may not let it run alone, or null. */
  forceRefusal(answerer: Answerer, approval: JsonObject): string | null
  /** Rejects with a CustodyError that may be shown. */
  answer(answerer: Answerer, from: Omit<Reader, 'who'>, answer: Answer): Promise<JsonObject>
}

export function createAnswering(o: {
  store: Pick<Store, 'approval'>
  watch: Pick<Watch, 'answered'>
  freshness: Pick<Freshness, 'caughtUp' | 'partitions'>
}): Answering {
  const { store, watch, freshness } = o
  const mayNot = ({ who, roles }: Answerer, approval: JsonObject): string | null =>
    roles.has('approver')
      ? refusal(requirementsOf(approval), approval.who as unknown as Person, who)
      : NO_APPROVER

  const mayNotForce = ({ who, roles }: Answerer, approval: JsonObject): string | null =>
    roles.has('approver')
      ? forceRefusal(
          parseForce(approval.force as string | null),
          approval.who as unknown as Person,
          who,
        )
      : NO_APPROVER

  const concerns = (answerer: Answerer, approval: JsonObject): boolean => {
    const { scope, who } = answerer
    if (scope === null || 'without' in scope) return true
    const asker = approval.who as unknown as Person
    return (
      (asker.subject === who.subject && asker.issuer === who.issuer) ||
      mayNot(answerer, approval) === null ||
      mayNotForce(answerer, approval) === null
    )
  }

  const find = async (answerer: Answerer, id: string): Promise<JsonObject> => {
    const approval = await store.approval(id)
    if (!concerns(answerer, approval)) throw notFound(`there is no request ${id}`)
    return approval
  }

  return {
    concerns,
    find,
    refusal: mayNot,
    forceRefusal: mayNotForce,
    async answer(answerer, from, { request, state, comment: said, channel, once }) {
      // A request that was made a moment ago is known to its approver before it is in the store. Where the way there is long,
      // what is there already need not wait for the rest; the gateway looks at each answer again anyway.
      const known = freshness.partitions ? await find(answerer, request).catch(() => null) : null
      if (known?.state !== 'waiting') await freshness.caughtUp(STORE_WAIT_MS)
      const approval = known?.state === 'waiting' ? known : await find(answerer, request)
      if (approval.state !== 'waiting')
        throw conflict(
          `the request ${approval.id} is ${approval.state}; there is nothing to answer`,
        )
      const why = state === 'forced' ? mayNotForce(answerer, approval) : mayNot(answerer, approval)
      if (why !== null) throw forbidden(why)
      const own = answersOf(approval).filter((one) => isBy(one, answerer.who))
      if (once && own.some((one) => one.channel === channel))
        throw conflict(`the request ${approval.id} was answered there already`)
      // A second yes of one person is none, and would only fill the record.
      if (own.at(-1)?.state === state)
        throw conflict(`you have ${state} the request ${approval.id} already`)
      const comment = said?.trim().slice(0, COMMENT_CHARACTERS_MAX) || null
      if ((approval.commentRequired || state === 'forced') && comment === null)
        throw badRequest('this request must be answered with a comment')
      await watch.answered(
        { ...from, who: answerer.who },
        { request: uuidBytes(String(approval.id)), state, comment, channel },
      )
      return approval
    },
  }
}

function requirementsOf(approval: JsonObject) {
  return parseRequirements(String(approval.approvers), Number(approval.required))
}

interface Given {
  state: string
  who: { email: string | null; subject: string; issuer: string }
  channel: string
}

function answersOf(approval: JsonObject): Given[] {
  return (approval.answers ?? []) as unknown as Given[]
}

function isBy(given: Given, who: Who): boolean {
  const { subject, issuer, email } = given.who
  return (
    (subject === who.subject && issuer === who.issuer) ||
    (email !== null && email.toLowerCase() === who.email?.toLowerCase())
  )
}
