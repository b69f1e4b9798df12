/** What was said of a request counts for that request alone, and for the statement that it was said of. */
import type { RecordedSession } from '@custody/event-log'
import type { ApprovalTerms, CommandFacts } from '@custody/policy'
import type { StatementDraft } from '@custody/schemas'
import type { Answer, Approvals, Question } from './approvals'
import { encodeDecision, type Grant, type Reveal, type SessionGate, type Verdict } from './gate'
import { Judge, type Masks } from './judge'

const SESSION = {} as RecordedSession
const STATEMENT = {} as StatementDraft
const ONE: CommandFacts = {
  ...{ verbs: ['sql:delete'], objects: [], columns: [], breadth: {} },
  ...{ fingerprint: 'one', understood: true, readOnly: false },
}
const OTHER: CommandFacts = { ...ONE, fingerprint: 'other' }
const GRANT: Grant = { request: Buffer.alloc(16, 1), approvedMs: 1 }
const TERMS = { rememberSeconds: 60 } as ApprovalTerms

function verdict(outcome: Verdict['outcome'], more: Partial<Verdict> = {}): Verdict {
  const decision = encodeDecision({ outcome, policies: [], reason: '' })
  return {
    outcome,
    decision,
    code: '',
    reason: `it is ${outcome}`,
    terms: null,
    alert: null,
    ...more,
  }
}

/** Policies that hold everything without a grant, but for what is in `allowed`. */
function judged(options: { masks?: Masks<CommandFacts>; reveal?: () => Reveal } = {}) {
  const allowed = new Set<CommandFacts>()
  const remembered: unknown[][] = []
  const asked: { question: Question; tell(answer: Answer): void; withdrawn: string | null }[] = []
  const answers: Answer[] = []
  const words: (string | null)[] = []
  const waits = { full: false }
  const gate = {
    decide: (command: CommandFacts, grant: Grant | null, text: (() => string) | null) => {
      words.push(text?.() ?? null)
      return allowed.has(command) || grant !== null
        ? verdict('allow')
        : verdict('hold', { terms: TERMS })
    },
    mayReveal: options.reveal !== undefined,
    reveal: (_command: CommandFacts, _columns: readonly string[], grant: Grant | null) =>
      grant === null ? options.reveal!() : REVEALED,
    remember: (...all: unknown[]) => remembered.push(all),
  }
  const approvals = {
    get full() {
      return waits.full
    },
    ask: (question: Question, tell: (answer: Answer) => void) => {
      const one = { question, tell, withdrawn: null as string | null }
      asked.push(one)
      return { withdraw: (reason: string) => (one.withdrawn = reason) }
    },
  }
  const judge = new Judge<CommandFacts>({
    session: SESSION,
    gate: gate as unknown as SessionGate,
    approvals: approvals as unknown as Approvals,
    masks: options.masks ?? null,
    onAnswer: (answer) => answers.push(answer),
  })
  const outcome = (command: CommandFacts, index = 0) => judge.verdict(command, index, null).outcome
  const hold = (command: CommandFacts, index = 0) =>
    judge.ask(judge.verdict(command, index, null), command, index, STATEMENT)
  return { judge, allowed, asked, answers, remembered, waits, words, outcome, hold }
}

const REVEALED: Reveal = {
  revealed: new Set(['public.t.a']),
  decision: { outcome: 'allow', policies: ['p'], reason: 'because' },
  held: null,
}
const NOTHING: Reveal = { revealed: new Set(), decision: null, held: null }

/** Two masked columns; shown by everything, and only let pass where they may be. */
function masks(wantsReveal: boolean): Masks<CommandFacts> {
  return {
    wantsReveal,
    shown: () => ['public.t.a'],
    refusal: (_analysis, revealed) =>
      revealed?.has('public.t.a')
        ? null
        : { rule: 'r', reason: 'it would show them', code: 'CUSTODY-MASK-001' },
  }
}

test('what is held runs once somebody has approved it, and the approval ends with its request', () => {
  const { judge, asked, answers, remembered, outcome, hold } = judged()
  expect(outcome(ONE)).toBe('hold')
  hold(ONE)
  expect(judge.isWaiting).toBe(true)
  expect(asked[0]!.question).toMatchObject({ session: SESSION, statement: STATEMENT, terms: TERMS })
  asked[0]!.tell({ state: 'approved', grant: GRANT, by: 'bo' })
  expect(judge.isWaiting).toBe(false)
  expect(answers).toHaveLength(1)
  expect(remembered).toEqual([[GRANT, TERMS, 'one', null]])
  expect([outcome(ONE), judge.grant(0)]).toEqual(['allow', GRANT])
  judge.next()
  expect([outcome(ONE), judge.grant(0)]).toEqual(['hold', null])
})

test('each statement of a request needs an approval of its own', () => {
  const { asked, outcome, hold } = judged()
  hold(ONE, 0)
  asked[0]!.tell({ state: 'approved', grant: GRANT, by: 'bo' })
  expect([outcome(ONE, 0), outcome(OTHER, 1)]).toEqual(['allow', 'hold'])
})

test.each<[Answer, string, RegExp]>([
  [
    { state: 'denied', by: 'bo', comment: 'no' },
    'CUSTODY-POLICY-003',
    /^denied by bo: no \(it is hold\)$/,
  ],
  [
    { state: 'denied', by: 'bo', comment: null },
    'CUSTODY-POLICY-003',
    /^denied by bo \(it is hold\)$/,
  ],
  [{ state: 'expired' }, 'CUSTODY-POLICY-004', /^nobody approved it in time/],
])('%o', (answer, code, reason) => {
  const { judge, asked, answers, hold, outcome } = judged()
  hold(ONE, 1)
  asked[0]!.tell(answer)
  expect(answers).toEqual([answer])
  expect(judge.verdict(ONE, 1, null)).toMatchObject({
    ...{ outcome: 'block', code, reason: expect.stringMatching(reason) },
  })
  expect(outcome(ONE, 0)).toBe('hold')
  judge.next()
  expect(outcome(ONE, 1)).toBe('hold')
})

test('a client may cancel what is held, and only that', () => {
  const { judge, asked, answers, hold } = judged()
  expect(judge.cancel()).toBe(false)
  hold(ONE)
  expect(judge.cancel()).toBe(true)
  expect(asked[0]!.withdrawn).toBe('the client cancelled it')
  expect(answers).toEqual([])
  expect(judge.verdict(ONE, 0, null)).toMatchObject({
    ...{ outcome: 'block', code: 'CUSTODY-POLICY-005' },
    reason: 'canceled by the client while it was held',
  })
  expect(judge.cancel()).toBe(false)
})

test('a session that ends withdraws what it asked', () => {
  const { judge, asked, hold } = judged()
  hold(ONE)
  judge.withdraw('the client went away')
  expect([asked[0]!.withdrawn, judge.isWaiting]).toEqual(['the client went away', false])
})

test('no more are held than may wait', () => {
  const { judge, waits } = judged()
  waits.full = true
  expect(judge.verdict(ONE, 0, null)).toMatchObject({
    ...{ outcome: 'block', code: 'CUSTODY-POLICY-006' },
  })
})

test('an approval of the statement before counts where there is no other', () => {
  const { judge, outcome } = judged()
  judge.rely(0, GRANT)
  expect(outcome(ONE)).toBe('allow')
  const other = { ...GRANT, approvedMs: 2 }
  judge.rely(0, other)
  expect(judge.grant(0)).toBe(GRANT)
})

test('words are shown where they are certain', () => {
  const { judge, words } = judged()
  judge.verdict(ONE, 0, () => 'delete from t')
  judge.verdict(ONE, 0, null)
  expect(words).toEqual(['delete from t', null])
})

describe('masked columns', () => {
  test('are not asked about where policies do not let the command pass', () => {
    const { judge, outcome } = judged({ masks: masks(true), reveal: () => REVEALED })
    expect([outcome(ONE), judge.reveal(0)]).toEqual(['hold', null])
  })

  test('what masking does not let pass is refused by its rule', () => {
    const { judge, allowed } = judged({ masks: masks(false) })
    allowed.add(ONE)
    const { outcome, code, decision } = judge.verdict(ONE, 0, null)
    expect([outcome, code]).toEqual(['block', 'CUSTODY-MASK-001'])
    expect(decision.bytes.includes('masking:r')).toBe(true)
  })

  test('may be shown where policies say so, for this request', () => {
    const { judge, allowed, outcome } = judged({ masks: masks(false), reveal: () => REVEALED })
    allowed.add(ONE)
    expect([outcome(ONE, 1), judge.reveal(1), judge.reveal(0)]).toEqual(['allow', REVEALED, null])
    judge.next()
    expect(judge.reveal(1)).toBeNull()
  })

  test('stay masked where policies have changed while the request waited', () => {
    let now = REVEALED
    const { judge, allowed, asked, outcome, hold } = judged({
      masks: { ...masks(false), refusal: () => null },
      reveal: () => now,
    })
    allowed.add(ONE)
    expect(outcome(ONE, 0)).toBe('allow')
    hold(OTHER, 1)
    now = NOTHING
    asked[0]!.tell({ state: 'approved', grant: GRANT, by: 'bo' })
    expect([outcome(ONE, 0), judge.reveal(0)]).toEqual(['allow', null])
  })

  test('are asked for where the user wants them, and stay masked where not', () => {
    const held = verdict('hold', { terms: TERMS, reveals: ['public.t.a'] })
    const reveal = () => ({ ...NOTHING, held })
    const unwanted = judged({ masks: masks(false), reveal })
    unwanted.allowed.add(ONE)
    expect(unwanted.outcome(ONE)).toBe('block')
    const { judge, allowed, asked, remembered, outcome } = judged({ masks: masks(true), reveal })
    allowed.add(ONE)
    expect(judge.verdict(ONE, 0, null)).toBe(held)
    judge.ask(held, ONE, 0, STATEMENT)
    asked[0]!.tell({ state: 'approved', grant: GRANT, by: 'bo' })
    expect(remembered).toEqual([[GRANT, TERMS, 'one', ['public.t.a']]])
    // It is no approval of the command itself.
    expect([judge.grant(0), outcome(ONE), judge.reveal(0)]).toEqual([null, 'allow', REVEALED])
  })
})
