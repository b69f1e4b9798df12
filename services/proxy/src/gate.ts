/**
 * Decides every command before anything of it is forwarded; nothing else in the proxy decides. Two rules: what can't be
 * recorded (or, where that is asked for, replicated) is refused, whatever any policy says; and what the policies say of who
 * asks, for what, of which resource.
 * Refuses to know any protocol: it gets the analysed command and gives a verdict.
 */
import type { Recorder } from '@custody/event-log'
import {
  type ApprovalTerms,
  type Circumstances,
  type CommandFacts,
  type Decision,
  decide,
  decideReveal,
  type MaskedKind,
  type PolicySet,
  type PreApproval,
  type PrincipalFacts,
  type ResourceFacts,
} from '@custody/policy'
import { type DecisionDraft, Encoded, Writer, writeDecision } from '@custody/schemas'

export interface Verdict {
  outcome: 'allow' | 'block' | 'hold'
  /** As events carry it; encoded once for all commands of its kind. */
  decision: Encoded
  /** For a block: stable code and words for the client. For a hold: the words. */
  code: string
  reason: string
  /** For a hold: what an approval needs. */
  terms: ApprovalTerms | null
  /** For an allow: what somebody is to be told of it. */
  alert: string | null
  /** For a hold: it is about seeing what is masked by these; without it the command would run. */
  reveals?: readonly string[]
}

/** Masked columns that a command may show, or detectors whose finds it may, and what would have to be approved for more of them. */
export interface Reveal {
  revealed: ReadonlySet<string>
  /** For the record; null where none is shown. */
  decision: DecisionDraft | null
  held: Verdict | null
}

/** An approval that a command may rely on. */
export interface Grant {
  request: Buffer
  approvedMs: number
}

/** What is known of a session when it opens. */
export interface SessionFacts {
  principal: PrincipalFacts
  resource: ResourceFacts
  sourceAddress: string | null
  application: string | null
  database: string | null
  /** Used at the target, where the client may choose it. */
  account?: string | null
  /** Its commands run only once their record is acknowledged elsewhere. */
  isReplicated?: boolean
}

/** Where the policies in force come from. `current` may change between any two commands. */
export interface PolicyStore {
  readonly current: PolicySet | null
  readonly timeZone: string
}

const UNRESTRICTED: Verdict = {
  outcome: 'allow',
  decision: encodeDecision({
    outcome: 'allow',
    policies: ['custody.record-everything'],
    reason: 'recorded; no policy restricts this resource',
  }),
  code: '',
  reason: '',
  terms: null,
  alert: null,
}

const NOT_REPLICATED = encodeDecision({
  outcome: 'block',
  policies: ['custody.replicated'],
  reason: 'records of this resource must be acknowledged by Kafka, which can’t be reached',
})

/** Where policies ask for it, time and the age of a sign-in are looked at anew this often. */
const MINUTE_MS = 60_000
/** Kinds of sessions (who, from where, for what) whose verdicts are kept; the oldest go first. */
const KINDS_MAX = 10_000

/** Verdicts of one policy set by the analysis itself: statements of one shape share it. */
interface Known {
  set: PolicySet
  minute: number
  verdicts: WeakMap<CommandFacts, Verdict>
  /** By the columns as well: what a name shows is not of the command alone. */
  reveals: WeakMap<CommandFacts, { columns: string; reveal: Reveal }>
}

export class Gate {
  /** Sessions that no policy can tell apart share what was decided. */
  private readonly known = new Map<string, Known>()
  private decidedBy: PolicySet | null = null

  constructor(
    private readonly recorder: Recorder,
    private readonly policies: PolicyStore,
  ) {}

  open(facts: SessionFacts): SessionGate {
    return new SessionGate(this.recorder, this.policies, facts, (set) => this.knownOf(set, facts))
  }

  private knownOf(set: PolicySet, facts: SessionFacts): Known {
    if (set !== this.decidedBy) {
      this.known.clear()
      this.decidedBy = set
    }
    const { principal, resource } = facts
    const { uses } = set
    const key = JSON.stringify([
      uses.moment ? principal : { ...principal, authenticatedMs: null },
      resource,
      uses.sourceAddress ? facts.sourceAddress : null,
      uses.application ? facts.application : null,
      uses.database ? facts.database : null,
      facts.account ?? null,
    ])
    let known = this.known.get(key)
    if (known === undefined) {
      known = { set, minute: 0, verdicts: new WeakMap(), reveals: new WeakMap() }
      if (this.known.size >= KINDS_MAX) this.known.delete(this.known.keys().next().value!)
      this.known.set(key, known)
    }
    return known
  }
}

export class SessionGate {
  private known: Known | null = null
  private readonly remembered: {
    until: number
    fingerprint: string | null
    needs: string
    /** Masked columns that it was about; null: the command itself. */
    reveals: readonly string[] | null
    grant: Grant
  }[] = []

  constructor(
    private readonly recorder: Recorder,
    private readonly policies: PolicyStore,
    private readonly facts: SessionFacts,
    private readonly knownOf: (set: PolicySet) => Known,
  ) {}

  /** Whether any policy is in force. */
  get restricted(): boolean {
    return this.policies.current !== null
  }

  /** `grant`: the approval that was given for this very command. `text`: what it says, where that is certain. */
  decide(
    command: CommandFacts,
    grant: Grant | null = null,
    text: (() => string) | null = null,
  ): Verdict {
    const { problem } = this.recorder
    if (problem !== null) {
      this.recorder.refusedCommands++
      return { ...UNRESTRICTED, outcome: 'block', code: problem.code, reason: problem.message }
    }
    if (this.facts.isReplicated && this.recorder.replicationProblem !== null) {
      const { code, message } = this.recorder.replicationProblem
      this.recorder.notReplicated++
      return { ...UNRESTRICTED, outcome: 'block', code, reason: message, decision: NOT_REPLICATED }
    }
    const { current } = this.policies
    if (current === null) return UNRESTRICTED
    const nowMs = Date.now()
    const known = this.knownNow(current, nowMs)
    let verdict = known.verdicts.get(command)
    if (verdict === undefined) {
      verdict = this.evaluate(current, command, nowMs, null)
      known.verdicts.set(command, verdict)
    }
    if (verdict.outcome !== 'hold') return verdict
    const relied = grant ?? this.recall(command.fingerprint, verdict.terms!, nowMs, null)
    if (relied !== null) return this.evaluate(current, command, nowMs, relied)
    if (text === null || current.preApproved.isEmpty) return verdict
    const { principal, resource } = this.facts
    const found = current.preApproved.find(text(), principal.groups, resource.name, nowMs)
    return found === null ? verdict : this.evaluate(current, command, nowMs, null, found)
  }

  private knownNow(current: PolicySet, nowMs: number): Known {
    if (this.known?.set !== current) this.known = this.knownOf(current)
    const { known } = this
    if (current.uses.moment) {
      const minute = Math.floor(nowMs / MINUTE_MS)
      if (minute !== known.minute) {
        known.verdicts = new WeakMap()
        known.reveals = new WeakMap()
        known.minute = minute
      }
    }
    return known
  }

  /** Whether there is a policy that lets anybody see masked values. */
  get mayReveal(): boolean {
    return this.policies.current?.uses.reveal ?? false
  }

  /**
   * Which of the masked columns this command may show as they are. Only policies that name the action count: one that
   * permits everything does not mean this. `columns`: `schema.relation.column`, or names of detectors as `kind` says.
   * `grant`: an approval given for it.
   */
  reveal(
    command: CommandFacts,
    columns: readonly string[],
    grant: Grant | null,
    kind: MaskedKind = 'column',
  ): Reveal {
    const { current } = this.policies
    if (current === null || this.recorder.problem !== null) return NOTHING_REVEALED
    const nowMs = Date.now()
    const known = this.knownNow(current, nowMs)
    const kept = known.reveals.get(command)
    const key = [kind, ...columns].join('\0')
    let reveal = kept?.reveal
    if (kept?.columns !== key || reveal === undefined) {
      reveal = this.evaluateReveal(current, command, columns, nowMs, null, kind)
      known.reveals.set(command, { columns: key, reveal })
    }
    if (reveal.held === null) return reveal
    const relied =
      grant ?? this.recall(command.fingerprint, reveal.held.terms!, nowMs, reveal.held.reveals!)
    return relied === null
      ? reveal
      : this.evaluateReveal(current, command, columns, nowMs, relied, kind)
  }

  private evaluateReveal(
    set: PolicySet,
    command: CommandFacts,
    columns: readonly string[],
    nowMs: number,
    grant: Grant | null,
    kind: MaskedKind,
  ): Reveal {
    const { principal, resource } = this.facts
    const started = process.hrtime.bigint()
    const { revealed, policies, held } = decideReveal(
      set,
      principal,
      resource,
      command,
      columns,
      this.circumstances(nowMs, grant, null),
      kind,
    )
    return {
      revealed,
      decision:
        revealed.size === 0
          ? null
          : {
              outcome: 'allow',
              policies,
              version: set.version,
              reason: 'policies let this principal see masked values',
              approval: grant?.request,
            },
      held:
        held === null
          ? null
          : {
              ...verdictOf(held, set, microsSince(started), undefined),
              reveals: columns.filter((one) => !revealed.has(one)),
            },
    }
  }

  /** From now on an approval covers more than the command that it was given for. */
  remember(
    grant: Grant,
    terms: ApprovalTerms,
    fingerprint: string | null,
    reveals: readonly string[] | null = null,
  ): void {
    if (terms.rememberSeconds <= 0) return
    if (terms.rememberFor === 'fingerprint' && fingerprint === null) return
    this.remembered.push({
      until: grant.approvedMs + terms.rememberSeconds * 1000,
      fingerprint: terms.rememberFor === 'session' ? null : fingerprint,
      needs: needsOf(terms),
      reveals,
      grant,
    })
  }

  /** Only where what asks for approval now remembers as well, and asks for the same people. */
  private recall(
    fingerprint: string | null,
    terms: ApprovalTerms,
    nowMs: number,
    reveals: readonly string[] | null,
  ): Grant | null {
    if (terms.rememberSeconds <= 0) return null
    const needs = needsOf(terms)
    for (let i = this.remembered.length - 1; i >= 0; i--) {
      const one = this.remembered[i]!
      if (one.until <= nowMs) this.remembered.splice(i, 1)
      else if (
        one.needs === needs &&
        covers(one.reveals, reveals) &&
        nowMs < one.grant.approvedMs + terms.rememberSeconds * 1000 &&
        (one.fingerprint === null
          ? terms.rememberFor === 'session'
          : one.fingerprint === fingerprint)
      )
        return one.grant
    }
    return null
  }

  private evaluate(
    set: PolicySet,
    command: CommandFacts,
    nowMs: number,
    grant: Grant | null,
    preApproval: PreApproval | null = null,
  ): Verdict {
    const started = process.hrtime.bigint()
    const decision = this.decideNow(set, command, nowMs, grant, preApproval)
    if (preApproval) {
      decision.policies.push(`pre-approved:${preApproval.list}`)
      decision.reason = `${decision.reason}; approved beforehand by ${preApproval.approvedBy}`
    }
    return verdictOf(decision, set, microsSince(started), grant?.request)
  }

  private decideNow(
    set: PolicySet,
    command: CommandFacts,
    nowMs: number,
    grant: Grant | null,
    preApproval: PreApproval | null,
  ): Decision {
    const { principal, resource } = this.facts
    return decide(set, principal, resource, command, this.circumstances(nowMs, grant, preApproval))
  }

  private circumstances(
    nowMs: number,
    grant: Grant | null,
    preApproval: PreApproval | null,
  ): Circumstances {
    const { sourceAddress, application, database, account } = this.facts
    return {
      nowMs,
      timeZone: this.policies.timeZone,
      sourceAddress,
      application,
      database,
      account,
      approvedMs: grant?.approvedMs ?? (preApproval ? nowMs : null),
    }
  }
}

const NOTHING_REVEALED: Reveal = { revealed: new Set(), decision: null, held: null }

function microsSince(started: bigint): number {
  return Number((process.hrtime.bigint() - started) / 1000n)
}

/** An approval to see some columns is none to see others, nor to do anything else. */
function covers(given: readonly string[] | null, wanted: readonly string[] | null): boolean {
  if (given === null || wanted === null) return given === wanted
  return wanted.every((column) => given.includes(column))
}

/** Who must answer, as one text to compare. */
function needsOf({ requirements, commentRequired }: ApprovalTerms): string {
  return JSON.stringify([requirements, commentRequired])
}

function verdictOf(
  decision: Decision,
  set: PolicySet,
  evaluationMicros: number,
  approval: Buffer | undefined,
): Verdict {
  const { outcome, policies, reason, terms, alert } = decision
  return {
    outcome,
    decision: encodeDecision({
      outcome,
      policies,
      reason,
      version: set.version,
      evaluationMicros,
      approval,
    }),
    code: outcome === 'block' ? 'CUSTODY-POLICY-002' : '',
    reason,
    terms,
    alert,
  }
}

export function encodeDecision(decision: DecisionDraft): Encoded {
  const writer = new Writer(1024)
  writeDecision(writer, decision)
  return new Encoded(Buffer.from(writer.buffer.subarray(0, writer.position)))
}
