/**
 * The seam between held commands and where people are: a channel asks them, and says how it ended. What it is given is
 * cut, made visible and free of secrets already; how to keep the text from being taken for markup is each channel's own.
 * Refuses to know who may answer: a channel says who spoke, `Desk` decides what that is worth.
 */
import { type ChannelSettings, line, type Shown } from '@custody/kit'
import type { ApprovalRequirement } from '@custody/policy'
import type { FastifyInstance } from 'fastify'
import type { Desk } from './desk'

export { cut, line, type Shown, visible } from '@custody/kit'

export interface Channel {
  /** As configured; events name it. */
  readonly name: string
  readonly type: ChannelSettings['type']
  /** Resolves with what finds the message again, or null where there is nothing to find. Rejects with an Undelivered. */
  ask(request: HeldRequest, signal: AbortSignal): Promise<string | null>
  /** Says there how it ended; nobody can answer there any more. */
  settle(
    request: HeldRequest,
    reference: string | null,
    outcome: Outcome,
    signal: AbortSignal,
  ): Promise<void>
  /** Where answers come in, below `/channels`. Bodies are the bytes as they came. */
  routes?(app: FastifyInstance, desk: Desk): void
  /** Begins to look for answers where none come by themselves; the result ends it. */
  follow?(desk: Desk): () => void
}

/** A command that waits, as approvers see it. */
export interface HeldRequest {
  id: string
  session: string | null
  who: Asker
  resource: string
  database: string | null
  clientAddress: string | null
  application: string | null
  /** Why it is held. */
  reason: string
  statement: Shown & { bytes: number }
  risk: Risk
  /** `dba, sre & security`; empty: anybody but who asks. */
  approvers: string
  requirements: ApprovalRequirement[]
  required: number
  requested: Date
  expires: Date
  commentRequired: boolean
  /** What the same identity asked before with a statement of the same shape; null where that is not known. */
  before: Before | null
  /** Of the console's page. */
  url: string
}

export interface Asker {
  subject: string
  issuer: string
  email: string | null
  kind: string
  groups: readonly string[]
  onBehalfOf: readonly { subject: string; issuer: string }[]
}

export interface Risk {
  verbs: string[]
  objects: string[]
  /** `delete: every row (no WHERE that leaves any out)`. */
  notes: string[]
  understood: boolean
  problem: string | null
}

export interface Before {
  times: number
  last: { state: string; time: string; by: string | null } | null
}

export interface Outcome {
  state: 'approved' | 'denied' | 'expired' | 'withdrawn'
  /** Who answered, by e-mail address or subject. */
  by: string | null
  comment: string | null
}

/** A statement's text in a message; the console has all of it. */
export const STATEMENT_CHARACTERS_MAX = 1800
const OBJECTS_SHOWN_MAX = 12

export function nameOf(who: { email: string | null; subject: string }): string {
  return line(who.email ?? who.subject, 120)
}

export function titleOf(request: HeldRequest): string {
  return `${nameOf(request.who)} asks to run a command on ${placeOf(request)}`
}

export function placeOf({ resource, database }: HeldRequest): string {
  return line(database && database !== resource ? `${resource}/${database}` : resource, 140)
}

/** What approvers look at besides the statement, in words. Every channel shows these. */
export function factsOf(request: HeldRequest): [name: string, value: string][] {
  const { who, risk, before } = request
  const behalf = who.onBehalfOf.map(({ subject }) => subject).join(', ')
  return [
    [
      'Who',
      line(
        `${who.email ?? who.subject}${who.kind === 'human' ? '' : ` (${kindText(who.kind)})`}${behalf ? `, on behalf of ${behalf}` : ''}`,
      ),
    ],
    ['Where', placeOf(request)],
    ['From', line([request.clientAddress, request.application].filter(Boolean).join(', ')) || '–'],
    ['Held because', line(request.reason) || '–'],
    ['Does', line(doesText(risk))],
    ...(risk.notes.length > 0
      ? ([['Mind', line(risk.notes.join('; '))]] as [string, string][])
      : []),
    [
      'May answer',
      line(
        `${request.approvers || 'anybody but who asks'}${request.required > 1 ? `, ${request.required} of each` : ''}`,
      ),
    ],
    ['Ends', `${request.expires.toISOString().slice(0, 19).replace('T', ' ')} UTC`],
    ['Asked before', before === null ? 'not known' : line(beforeText(before))],
  ]
}

function kindText(kind: string): string {
  return kind === 'agent' ? 'an AI agent' : `a ${kind}`
}

function doesText(risk: Risk): string {
  const verbs = risk.verbs.map((verb) => verb.replace(/^[a-z]+:/, '')).join(', ') || 'nothing known'
  const shown = risk.objects.slice(0, OBJECTS_SHOWN_MAX).join(', ')
  const more = risk.objects.length - OBJECTS_SHOWN_MAX
  return `${verbs}${shown ? ` on ${shown}` : ''}${more > 0 ? ` and ${more} more` : ''}`
}

function beforeText({ times, last }: Before): string {
  if (times === 0 || last === null) return 'never, in the last 30 days'
  return `${times}${times >= BEFORE_TIMES_MAX ? ' times or more' : times === 1 ? ' time' : ' times'} in the last 30 days; the last was ${last.state}${last.by ? ` by ${last.by}` : ''} at ${last.time.slice(0, 16).replace('T', ' ')} UTC`
}

/** So many requests of before are looked at. */
export const BEFORE_TIMES_MAX = 5

/** Which answer a ticket's status or field stands for, by the words that the configuration has for each; in any case. */
export function stateBy(words: { approved: readonly string[]; denied: readonly string[] }) {
  const has = (some: readonly string[], one: string) =>
    some.some((word) => word.toLowerCase() === one.toLowerCase())
  return (said: string): 'approved' | 'denied' | null =>
    has(words.approved, said) ? 'approved' : has(words.denied, said) ? 'denied' : null
}

export function outcomeText({ state, by, comment }: Outcome): string {
  const what = {
    approved: 'Approved',
    denied: 'Denied',
    expired: 'Nobody answered in time: the command was not run',
    withdrawn: 'Withdrawn: the client went away, or the gateway stopped',
  }[state]
  const who = by !== null && (state === 'approved' || state === 'denied') ? ` by ${by}` : ''
  return line(`${what}${who}${comment ? `: ${comment}` : ''}`, 600)
}
