/**
 * What one SSH session runs, as commands: judged, held for people, recorded as started, blocked and completed. The same for
 * what is executed, for terminals, forwarded connections and operations on files.
 * Refuses to know how any of them is carried.
 */
import { hash } from 'node:crypto'
import type { Durability, RecordedSession, Recorder } from '@custody/event-log'
import type { CommandFacts } from '@custody/policy'
import {
  type Encoded,
  type EventInput,
  newUuid,
  nowMicros,
  type ResponseDraft,
  type StatementDraft,
} from '@custody/schemas'
import type { Approvals } from '../../approvals'
import { encodeDecision, type Grant, type Reveal, type SessionGate, type Verdict } from '../../gate'

export interface Submitted {
  facts: CommandFacts
  statement: StatementDraft
  /** The command in whose terminal it was typed. */
  parent?: Buffer
}

/** A recorded `command.started`. */
export interface Started {
  id: Buffer
  micros: number
  durability: Durability
}

export interface Allowed {
  outcome: 'allow'
  decision: Encoded
  alert: string | null
  /** The approval that it rests on. */
  grant?: Grant
}

export interface Refused {
  outcome: 'block'
  decision: Encoded
  code: string
  reason: string
}

export type Ruling = Allowed | Refused

export interface CommandsParts {
  recorder: Recorder
  session: RecordedSession
  approvals: Approvals
  durability: 'auto' | Durability
  statementBytesMax: number
}

/** What waits for a person. */
export interface Pending {
  withdraw(reason: string): void
}

export class Commands {
  readonly recorder: Recorder
  readonly session: RecordedSession
  /** What somebody was told already. */
  readonly alerted = new Set<string>()

  constructor(private readonly parts: CommandsParts) {
    this.recorder = parts.recorder
    this.session = parts.session
  }

  /**
   * Decides, and tells `ruled`, now or once people have answered; `held` is told that it waits, in words for its user.
   * `text`: what it says, where that is certain.
   */
  decide(
    gate: SessionGate,
    submitted: Submitted,
    text: string | null,
    held: (words: string[]) => void,
    ruled: (ruling: Ruling) => void,
  ): Pending | null {
    const { facts } = submitted
    const verdict = gate.decide(facts, null, text === null ? null : () => text)
    if (verdict.outcome !== 'hold') {
      ruled(rulingOf(verdict))
      return null
    }
    return this.ask(
      gate,
      submitted,
      verdict,
      held,
      (grant) => ruled(this.decideAgain(gate, facts, grant)),
      ruled,
    )
  }

  /** After some time, in which the policies may have become others. */
  private decideAgain(gate: SessionGate, facts: CommandFacts, grant: Grant | null): Ruling {
    const again = gate.decide(facts, grant, null)
    if (again.outcome === 'hold')
      return refusedBy(again, 'CUSTODY-POLICY-002', 'the policies ask for another approval now')
    return { ...rulingOf(again), ...(grant && { grant }) }
  }

  /**
   * For what is to run: which detectors' finds it may show as they are. Where that needs people, and who runs it `wants` it,
   * it waits for them; if they say no it does not run.
   */
  reveal(
    gate: SessionGate,
    submitted: Submitted,
    ruling: Allowed,
    detectors: readonly string[],
    wants: boolean,
    held: (words: string[]) => void,
    ruled: (ruling: Ruling, reveal: Reveal | null) => void,
  ): Pending | null {
    const { facts } = submitted
    const reveal = gate.reveal(facts, detectors, null, 'detector')
    if (reveal.held === null || !wants) {
      ruled(ruling, reveal)
      return null
    }
    return this.ask(
      gate,
      submitted,
      reveal.held,
      held,
      (grant) =>
        ruled(
          this.decideAgain(gate, facts, ruling.grant ?? null),
          gate.reveal(facts, detectors, grant, 'detector'),
        ),
      (refused) => ruled(refused, null),
    )
  }

  /** What is shown that would be masked otherwise. */
  revealed(command: Started, { revealed, decision }: Reveal): void {
    if (decision === null) return
    this.recorder.record(
      {
        kind: 'mask.revealed',
        command: command.id,
        decision,
        lifecycle: { state: 'changed', reason: `shows ${[...revealed].sort().join(', ')}` },
      },
      this.session,
    )
  }

  /** Puts it before people; `null` where no more can wait, and it was refused. */
  private ask(
    gate: SessionGate,
    { facts, statement }: Submitted,
    verdict: Verdict,
    held: (words: string[]) => void,
    approved: (grant: Grant) => void,
    ruled: (refused: Refused) => void,
  ): Pending | null {
    if (this.parts.approvals.full) {
      ruled(refusedBy(verdict, 'CUSTODY-POLICY-006', 'too many commands wait for approval already'))
      return null
    }
    const terms = verdict.terms!
    const waiting = this.parts.approvals.ask(
      {
        session: this.session,
        statement,
        decision: verdict.decision,
        terms,
        reason: verdict.reason,
      },
      (answer) => {
        if (answer.state === 'approved') {
          gate.remember(answer.grant, terms, facts.fingerprint, verdict.reveals ?? null)
          held([`approved by ${answer.by}`])
          approved(answer.grant)
        } else if (answer.state === 'denied')
          ruled(
            refusedBy(
              verdict,
              'CUSTODY-POLICY-003',
              `denied by ${answer.by}${answer.comment ? `: ${answer.comment}` : ''}`,
            ),
          )
        else ruled(refusedBy(verdict, 'CUSTODY-POLICY-004', 'nobody approved it in time'))
      },
    )
    held([
      `waiting for approval: ${verdict.reason}`,
      `request ${waiting.name}, until ${new Date(waiting.expiresMs).toISOString().slice(0, 19)}Z. Somebody else may answer with: custody approve ${waiting.name}`,
    ])
    return waiting
  }

  started({ facts, statement, parent }: Submitted, ruling: Allowed): Started {
    const { recorder, session } = this
    const micros = nowMicros()
    const id = newUuid(micros)
    const { durability: asked } = this.parts
    const durability = asked === 'auto' ? (facts.readOnly ? 'os' : 'disk') : asked
    const command: Started = { id, micros, durability }
    recorder.record(
      {
        id,
        time: micros,
        kind: 'command.started',
        command: id,
        ...(parent && { parent }),
        decision: ruling.decision,
        statement: this.kept(statement),
      },
      session,
    )
    if (ruling.alert !== null && !this.alerted.has(ruling.alert)) {
      // Once a session: the rest is in the record, and nobody reads the hundredth.
      this.alerted.add(ruling.alert)
      recorder.record(
        {
          kind: 'alert.policy',
          command: id,
          decision: ruling.decision,
          lifecycle: { state: 'changed', reason: ruling.alert },
        },
        session,
      )
    }
    session.open.add(command)
    session.commandsStarted++
    return command
  }

  /** What was seen only when it ran already: recorded, with no decision on it. */
  startedUnasked({ statement, parent }: Submitted): Started {
    const { recorder, session } = this
    const micros = nowMicros()
    const command: Started = { id: newUuid(micros), micros, durability: 'os' }
    recorder.record(
      {
        id: command.id,
        time: micros,
        kind: 'command.started',
        command: command.id,
        ...(parent && { parent }),
        statement: this.kept({
          ...statement,
          attributes: { ...statement.attributes, asked: 'false' },
        }),
      },
      session,
    )
    session.open.add(command)
    session.commandsStarted++
    return command
  }

  /** Once; what comes later says nothing. */
  completed(
    command: Started,
    response: Omit<ResponseDraft, 'durationMicros'>,
    masks: EventInput['masks'] = [],
  ): void {
    if (!this.session.open.delete(command)) return
    const now = nowMicros()
    this.recorder.record(
      {
        kind: 'command.completed',
        time: now,
        command: command.id,
        response: { ...response, durationMicros: Math.max(0, now - command.micros) },
        masks,
      },
      this.session,
    )
  }

  blocked({ statement, parent }: Submitted, ruling: Refused): void {
    if (ruling.code.startsWith('CUSTODY-LOG')) return
    this.recorder.record(
      {
        kind: 'command.blocked',
        ...(parent && { parent }),
        decision: ruling.decision,
        statement: this.kept(statement),
      },
      this.session,
    )
  }

  /** What is refused whatever policies say, by the resource, the certificate that was signed in with, or its form. */
  notAllowed(submitted: Submitted, by: string, reason: string): void {
    if (this.recorder.problem !== null) return
    this.blocked(submitted, {
      outcome: 'block',
      code: 'CUSTODY-SSH-002',
      reason,
      decision: encodeDecision({ outcome: 'block', policies: [by], reason }),
    })
  }

  private kept(statement: StatementDraft): StatementDraft {
    const { statementBytesMax } = this.parts
    const text = Buffer.from(statement.text)
    if (text.length <= statementBytesMax) return statement
    let end = statementBytesMax
    while (end > 0 && (text[end]! & 0xc0) === 0x80) end--
    return {
      ...statement,
      text: text.subarray(0, end),
      textBytes: text.length,
      textDigest: hash('sha256', text, 'buffer'),
    }
  }
}

function rulingOf(verdict: Verdict): Ruling {
  const { outcome, decision, alert, code, reason } = verdict
  return outcome === 'allow'
    ? { outcome, decision, alert }
    : { outcome: 'block', decision, code, reason }
}

/** Not run after all. */
function refusedBy(verdict: Verdict, code: string, why: string): Refused {
  const reason = `${why} (${verdict.reason})`
  return {
    outcome: 'block',
    code,
    reason,
    decision: encodeDecision({ outcome: 'block', policies: [], reason }),
  }
}
