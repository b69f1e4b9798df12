/**
 * Decides on the requests of one session, statement by statement: what the gate says of each, what masking does not let pass,
 * and, where people were asked, what they have answered. One request at a time; while it waits it is looked at again.
 * Knows no protocol. Refuses nothing and forwards nothing itself: it gives verdicts, and says when there may be another.
 */
import type { RecordedSession } from '@custody/event-log'
import type { CommandFacts } from '@custody/policy'
import type { StatementDraft } from '@custody/schemas'
import type { Answer, Approvals, Waiting } from './approvals'
import { encodeDecision, type Grant, type Reveal, type SessionGate, type Verdict } from './gate'
import type { Revealed } from './masks'

/** What masking says of a statement before it runs. */
export interface Masks<Analysis> {
  /** The user asked to see masked values, where somebody approves. */
  readonly wantsReveal: boolean
  /** Masked columns whose values it would show. */
  shown(analysis: Analysis): readonly string[]
  /** Why it is not run, with these columns shown; or null. */
  refusal(
    analysis: Analysis,
    revealed: Revealed,
  ): { rule: string; reason: string; code: string } | null
}

export interface JudgeParts<Analysis> {
  session: RecordedSession
  gate: SessionGate
  approvals: Approvals
  /** Null where nothing is masked. */
  masks: Masks<Analysis> | null
  /** People have answered, or did not in time: the request is to be looked at again. */
  onAnswer(answer: Answer): void
}

export class Judge<Analysis extends CommandFacts> {
  // What is known of the request, by the statements of it.
  private grants: Grant[] = []
  private reveals: (Reveal | null)[] = []
  private revealGrants: Grant[] = []
  private denial: { index: number; verdict: Verdict } | null = null
  private waiting: { waiting: Waiting; index: number } | null = null

  constructor(private readonly parts: JudgeParts<Analysis>) {}

  /** The request waits for people. */
  get isWaiting(): boolean {
    return this.waiting !== null
  }

  /** What comes next is another request. */
  next(): void {
    if (this.grants.length > 0) this.grants = []
    if (this.reveals.length > 0) this.reveals = []
    if (this.revealGrants.length > 0) this.revealGrants = []
    this.denial = null
  }

  /** On one statement of the request; what people said of it before counts. `words`: what it says, where that is certain. */
  verdict(analysis: Analysis, index: number, words: (() => string) | null): Verdict {
    // What may be shown was said before it waited: policies may be others by now.
    if (this.reveals.length > index) this.reveals[index] = null
    if (this.denial?.index === index) return this.denial.verdict
    const { gate, approvals, masks } = this.parts
    const decided = gate.decide(analysis, this.grants[index] ?? null, words)
    const verdict =
      decided.outcome === 'allow' && masks !== null
        ? this.masked(analysis, index, decided, masks)
        : decided
    return verdict.outcome === 'hold' && approvals.full
      ? denied(verdict, 'too many commands wait for approval already', 'CUSTODY-POLICY-006')
      : verdict
  }

  /** Of what policies let pass: whether masked values are shown, and what masking doesn't let pass. */
  private masked(
    analysis: Analysis,
    index: number,
    verdict: Verdict,
    masks: Masks<Analysis>,
  ): Verdict {
    const { gate } = this.parts
    let revealed: Revealed = null
    const shown = gate.mayReveal ? masks.shown(analysis) : NO_COLUMNS
    if (shown.length > 0) {
      const reveal = gate.reveal(analysis, shown, this.revealGrants[index] ?? null)
      if (reveal.held !== null && masks.wantsReveal) return reveal.held
      if (reveal.decision !== null) {
        this.reveals[index] = reveal
        revealed = reveal.revealed
      }
    }
    const refusal = masks.refusal(analysis, revealed)
    if (refusal === null) return verdict
    const { rule, reason, code } = refusal
    return denied(null, reason, code, [`masking:${rule}`])
  }

  /** Masked columns that the statement may show. */
  reveal(index: number): Reveal | null {
    return this.reveals[index] ?? null
  }

  /** The approval that the statement relies on, if it has one of its own. */
  grant(index: number): Grant | null {
    return this.grants[index] ?? null
  }

  /** An approval that was given for the statement before, where it has no other. */
  rely(index: number, grant: Grant): void {
    this.grants[index] ??= grant
  }

  /** Asks people about a statement that is to be held; it waits until `onAnswer`. */
  ask(verdict: Verdict, analysis: Analysis, index: number, statement: StatementDraft): Waiting {
    const { session, approvals } = this.parts
    const { decision, reason } = verdict
    const waiting = approvals.ask(
      { session, statement, decision, terms: verdict.terms!, reason },
      (answer) => this.answered(answer, verdict, analysis, index),
    )
    this.waiting = { waiting, index }
    return waiting
  }

  private answered(answer: Answer, verdict: Verdict, analysis: Analysis, index: number): void {
    this.waiting = null
    if (answer.state === 'approved') {
      const { reveals = null } = verdict
      if (reveals === null) this.grants[index] = answer.grant
      else this.revealGrants[index] = answer.grant
      this.parts.gate.remember(answer.grant, verdict.terms!, analysis.fingerprint, reveals)
    } else if (answer.state === 'denied') {
      const comment = answer.comment ? `: ${answer.comment}` : ''
      this.deny(index, verdict, `denied by ${answer.by}${comment}`, 'CUSTODY-POLICY-003')
    } else this.deny(index, verdict, 'nobody approved it in time', 'CUSTODY-POLICY-004')
    this.parts.onAnswer(answer)
  }

  /** The client doesn't want any more what waits: false where nothing does. It is denied when it is looked at again. */
  cancel(): boolean {
    if (this.waiting === null) return false
    const { index } = this.waiting
    this.withdraw('the client cancelled it')
    this.deny(index, null, 'canceled by the client while it was held', 'CUSTODY-POLICY-005')
    return true
  }

  /** The session is over for what waits. */
  withdraw(reason: string): void {
    const { waiting } = this
    this.waiting = null
    waiting?.waiting.withdraw(reason)
  }

  private deny(index: number, verdict: Verdict | null, reason: string, code: string): void {
    this.denial = { index, verdict: denied(verdict, reason, code) }
  }
}

const NO_COLUMNS: readonly string[] = []

/** Not run after all. `verdict`: the one by which it would have been held. */
export function denied(
  verdict: Verdict | null,
  reason: string,
  code: string,
  policies: string[] = [],
): Verdict {
  return {
    outcome: 'block',
    decision: encodeDecision({ outcome: 'block', policies, reason }),
    code,
    reason: verdict === null ? reason : `${reason} (${verdict.reason})`,
    terms: null,
    alert: null,
  }
}
