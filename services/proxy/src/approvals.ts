/**
 * Commands that wait for people. Every step is an event, and the state is their fold: requested here, answered where
 * people are (the query service's log), approved, denied, expired or withdrawn here. Nothing that is held outlives the
 * process, so a restart runs nothing by accident.
 * Refuses an answer of who asked, of a program, of the wrong group, and one after the end.
 */

import type { RecordedSession, Recorder } from '@custody/event-log'
import {
  type ApprovalTerms,
  enough,
  forceRefusal,
  forceText,
  refusal,
  requirementsText,
} from '@custody/policy'
import {
  type ApprovalDraft,
  type Encoded,
  type Event,
  newUuid,
  nowMicros,
  type StatementDraft,
  uuidText,
  type Who,
} from '@custody/schemas'
import type { Grant } from './gate'
import type { People } from './people'

export type Answer =
  | { state: 'approved'; grant: Grant; by: string }
  | { state: 'denied'; by: string; comment: string | null }
  | { state: 'expired' }

export interface Question {
  session: RecordedSession
  statement: StatementDraft
  decision: Encoded
  terms: ApprovalTerms
  reason: string
}

/** A request that waits. */
export interface Waiting {
  readonly id: Buffer
  /** The same, as people type it. */
  readonly name: string
  readonly expiresMs: number
  /** The command is not wanted any more. */
  withdraw(reason: string): void
}

interface Held extends Waiting {
  question: Question
  sinceMicros: number
  /** Those who said yes. */
  yes: Who[]
  timer: NodeJS.Timeout
  /** Nobody need be listened for any more on its behalf. */
  release(): void
  tell(answer: Answer): void
}

export interface ApprovalsOptions {
  recorder: Recorder
  people: People
  /** Commands that may wait at once, over all sessions. */
  heldMax: number
  /** Why an identity's word does not count now, or null. */
  standing(who: Who): Error | null
}

export class Approvals {
  private readonly held = new Map<string, Held>()

  constructor(private readonly options: ApprovalsOptions) {
    options.people.on('approval.answered', (event) => this.answered(event))
  }

  get waiting(): number {
    return this.held.size
  }

  /** So many wait that no more are taken. */
  get full(): boolean {
    return this.held.size >= this.options.heldMax
  }

  /** Asks; `tell` is called once, unless the request is withdrawn. */
  ask(question: Question, tell: (answer: Answer) => void): Waiting {
    const { recorder } = this.options
    const { terms } = question
    const sinceMicros = nowMicros()
    const id = newUuid(sinceMicros)
    const name = uuidText(id)
    const expiresMs = sinceMicros / 1000 + terms.expiresSeconds * 1000
    const held: Held = {
      id,
      name,
      expiresMs,
      question,
      sinceMicros,
      yes: [],
      release: this.options.people.wait(),
      tell,
      timer: setTimeout(
        () => this.end(held, 'expired', null),
        Math.min(terms.expiresSeconds * 1000, 2 ** 31 - 1),
      ),
      withdraw: (reason) => this.end(held, 'withdrawn', null, reason),
    }
    this.held.set(name, held)
    recorder.record(
      {
        kind: 'approval.requested',
        decision: question.decision,
        statement: question.statement,
        approval: {
          request: id,
          state: 'requested',
          comment: question.reason,
          expires: Math.round(expiresMs * 1000),
          required: total(terms),
        },
        lifecycle: { state: 'changed', reason: 'a command is held', attributes: termsText(terms) },
      },
      question.session,
    )
    recorder.hurry()
    return held
  }

  /** Withdraws what waits still. */
  stop(): void {
    for (const held of [...this.held.values()]) held.withdraw('the gateway is stopping')
  }

  private end(
    held: Held,
    state: 'approved' | 'denied' | 'expired' | 'withdrawn',
    event: Event | null,
    reason: string | null = null,
  ): void {
    if (!this.held.delete(held.name)) return
    clearTimeout(held.timer)
    held.release()
    const micros = nowMicros()
    const approver = event?.approval?.approver ?? null
    const approval: ApprovalDraft = {
      request: held.id,
      state,
      approver,
      channel: event?.approval?.channel ?? null,
      comment: event?.approval?.comment ?? reason,
      waitedMicros: micros - held.sinceMicros,
      required: total(held.question.terms),
    }
    const forced = event?.approval?.state === 'forced'
    this.options.recorder.record(
      { kind: `approval.${state}`, time: micros, parent: event?.id, approval },
      held.question.session,
    )
    if (forced)
      this.options.recorder.record(
        {
          kind: 'alert.approval-forced',
          time: micros,
          parent: event?.id,
          decision: held.question.decision,
          statement: held.question.statement,
          approval,
          lifecycle: { state: 'changed', reason: `forced by ${nameOf(approver)}` },
        },
        held.question.session,
      )
    if (state === 'approved')
      held.tell({
        state,
        grant: { request: held.id, approvedMs: micros / 1000 },
        by: nameOf(approver),
      })
    else if (state === 'denied')
      held.tell({ state, by: nameOf(approver), comment: event?.approval?.comment ?? null })
    else if (state === 'expired') held.tell({ state })
  }

  private answered(event: Event): void {
    const { approval } = event
    if (!approval?.approver) return
    const held = this.held.get(uuidText(approval.request))
    if (held === undefined) return
    const { terms, session } = held.question
    const { approver } = approval
    if (this.options.standing(approver) !== null) return
    if (approval.state === 'forced') {
      // Alone, in an emergency: only with a word why.
      if (forceRefusal(terms.force, session.who, approver) === null && approval.comment)
        this.end(held, 'approved', event)
      return
    }
    if (refusal(terms.requirements, session.who, approver) !== null) return
    if (terms.commentRequired && !approval.comment) return
    if (approval.state === 'denied') {
      this.end(held, 'denied', event)
      return
    }
    if (approval.state !== 'approved') return
    const known = held.yes.findIndex(
      ({ issuer, subject }) => issuer === approver.issuer && subject === approver.subject,
    )
    if (known < 0) held.yes.push(approver)
    else held.yes[known] = approver
    // Who has been locked out since has not said yes any more.
    const standing = held.yes.filter((one) => this.options.standing(one) === null)
    if (enough(terms.requirements, standing)) this.end(held, 'approved', event)
  }
}

/** How many answers are needed at least. */
function total(terms: ApprovalTerms): number {
  return Math.max(...terms.requirements.map(({ required }) => required))
}

/** The terms as the event carries them, for those who show and answer it. */
function termsText(terms: ApprovalTerms): Record<string, string> {
  return {
    approvers: requirementsText(terms.requirements),
    ...(terms.force && { force: forceText(terms.force) }),
    ...(terms.commentRequired && { comment: 'required' }),
    ...(terms.rememberSeconds > 0 && {
      remember: `${terms.rememberFor} ${terms.rememberSeconds}s`,
    }),
  }
}

export function nameOf(who: Who | null): string {
  return who === null ? 'nobody' : (who.email ?? who.subject)
}
