/**
 * The part of a gate's host that is the same for every transfer: deciding, with people where policies ask for them, and
 * recording. Where the bytes go is for the channel to say.
 * Refuses to start what can't be recorded: the gate of the session sees to that in every verdict.
 */
import type { Durability, RecordedSession, Recorder } from '@custody/event-log'
import type { SessionRules } from '@custody/masking'
import { newUuid, nowMicros } from '@custody/schemas'
import type { Approvals, Waiting } from '../../approvals'
import { encodeDecision, type SessionGate, type Verdict } from '../../gate'
import { keptOf } from './analysis'
import type {
  Allowed,
  Completion,
  FileOperation,
  Refused,
  Ruling,
  Started,
  TransferHost,
} from './transfers'

export interface TransferRecordParts {
  recorder: Recorder
  session: RecordedSession
  gate: SessionGate
  approvals: Approvals
  durability: 'auto' | Durability
  /** Of the channel, for every event: its number, the command that it began with. */
  attributes: Readonly<Record<string, string>>
  /** The event of that command, if there is one. */
  parent: Buffer | null
  /** Told where people are asked: words for whoever sits at the client. */
  tell(words: string): void
  /** What somebody was told already in this session. */
  alerted: Set<string>
  /** Null where nothing is masked; else paths are recorded without what detectors find in them, as command lines are. */
  rules: SessionRules | null
}

export class TransferRecord
  implements Pick<TransferHost, 'restricted' | 'decide' | 'started' | 'completed' | 'blocked'>
{
  private readonly waiting = new Set<Waiting>()

  constructor(private readonly parts: TransferRecordParts) {}

  get restricted(): boolean {
    return this.parts.gate.restricted
  }

  decide(operation: FileOperation): Ruling | Promise<Ruling> {
    const { gate, approvals } = this.parts
    const verdict = gate.decide(operation.facts, null, () => String(operation.statement.text))
    if (verdict.outcome !== 'hold') return rulingOf(verdict)
    if (approvals.full)
      return refusal(verdict, 'CUSTODY-POLICY-006', 'too many commands wait for approval already')
    return new Promise((resolve) => this.ask(operation, verdict, resolve))
  }

  private ask(operation: FileOperation, verdict: Verdict, told: (ruling: Ruling) => void): void {
    const { gate, approvals, session } = this.parts
    const terms = verdict.terms!
    const waiting = approvals.ask(
      {
        session,
        statement: this.statementOf(operation),
        decision: verdict.decision,
        terms,
        reason: verdict.reason,
      },
      (answer) => {
        this.waiting.delete(waiting)
        if (answer.state === 'approved') {
          gate.remember(answer.grant, terms, operation.facts.fingerprint)
          this.parts.tell(`custody: approved by ${answer.by}`)
          const again = gate.decide(operation.facts, answer.grant)
          // Policies may have changed while it waited; whoever must be asked now was not.
          told(
            again.outcome === 'hold'
              ? refusal(again, 'CUSTODY-POLICY-004', 'it needs another approval now')
              : rulingOf(again),
          )
        } else if (answer.state === 'denied')
          told(
            refusal(
              verdict,
              'CUSTODY-POLICY-003',
              `denied by ${answer.by}${answer.comment ? `: ${answer.comment}` : ''}`,
            ),
          )
        else told(refusal(verdict, 'CUSTODY-POLICY-004', 'nobody approved it in time'))
      },
    )
    this.waiting.add(waiting)
    this.parts.tell(
      `custody holds ${operation.statement.text}: ${verdict.reason}\nRequest ${waiting.name}, until ${new Date(waiting.expiresMs).toISOString().slice(0, 19)}Z. Somebody else may answer with: custody approve ${waiting.name}`,
    )
  }

  started(operation: FileOperation, { decision, alert }: Allowed): Started {
    const { recorder, session, parent, alerted } = this.parts
    const micros = nowMicros()
    const id = newUuid(micros)
    const durability =
      this.parts.durability === 'auto'
        ? operation.facts.readOnly
          ? 'os'
          : 'disk'
        : this.parts.durability
    const started: Started = { id, micros, durability }
    recorder.record(
      {
        id,
        time: micros,
        kind: 'command.started',
        command: id,
        parent,
        decision,
        statement: this.statementOf(operation),
      },
      session,
    )
    if (alert !== null && !alerted.has(alert)) {
      alerted.add(alert)
      recorder.record(
        {
          kind: 'alert.policy',
          command: id,
          decision,
          lifecycle: { state: 'changed', reason: alert },
        },
        session,
      )
    }
    session.open.add(started)
    session.commandsStarted++
    return started
  }

  completed(command: Started, completion: Completion): void {
    const { recorder, session } = this.parts
    recorder.record(
      {
        kind: 'command.completed',
        command: command.id,
        response: {
          ...completion,
          durationMicros: Math.max(0, nowMicros() - command.micros),
        },
      },
      session,
    )
    session.open.delete(command)
  }

  blocked(operation: FileOperation, ruling: Refused): void {
    if (ruling.code.startsWith('CUSTODY-LOG')) return
    this.parts.recorder.record(
      {
        kind: 'command.blocked',
        parent: this.parts.parent,
        decision:
          ruling.decision ??
          encodeDecision({
            outcome: 'block',
            policies: ['custody.transfers'],
            reason: ruling.reason,
          }),
        statement: this.statementOf(operation),
      },
      this.parts.session,
    )
  }

  /** The channel is over: nobody need answer any more. */
  withdraw(reason: string): void {
    for (const waiting of this.waiting) waiting.withdraw(reason)
    this.waiting.clear()
  }

  private statementOf({ facts, statement }: FileOperation) {
    const kept = keptOf({ facts, statement }, this.parts.rules).statement
    return { ...kept, attributes: { ...this.parts.attributes, ...kept.attributes } }
  }
}

function rulingOf(verdict: Verdict): Ruling {
  const { outcome, decision, alert, code, reason } = verdict
  return outcome === 'allow'
    ? { outcome, decision, alert }
    : { outcome: 'block', decision, code, reason }
}

function refusal(verdict: Verdict, code: string, reason: string): Refused {
  return {
    outcome: 'block',
    decision: encodeDecision({ outcome: 'block', policies: [], reason }),
    code,
    reason: `${reason} (${verdict.reason})`,
  }
}
