/**
 * Which events somebody should hear of at once, and what they need to know to act. Pure; says of one event what it means and
 * keeps nothing. How often it is said is the limiter's.
 */
import { type AlertKind, cut, line, visible } from '@custody/kit'
import { type Event, uuidText } from '@custody/schemas'
import { type Severity, severityOf } from '../formats'

export interface Alert {
  /** Of the event; of a count, of what it counts. */
  id: string
  kind: AlertKind | 'count'
  /** The same for what is about the same. */
  key: string
  title: string
  severity: Severity
  timeMicros: number
  facts: [name: string, value: string][]
  statement: string | null
  /** In the console. */
  url: string | null
}

export interface AlertOptions {
  on: readonly AlertKind[]
  masksMin: number
  consoleUrl: string | undefined
}

const STATEMENT_CHARACTERS_MAX = 1800

const TITLES: Record<AlertKind, string> = {
  blocked: 'Command blocked',
  'approval-asked': 'Approval asked',
  'approval-expired': 'Approval expired: nobody answered',
  masks: 'Many masked values in one answer',
  'sign-in-refused': 'Sign-in refused',
  'break-glass': 'Break-glass: approval forced',
  'evidence-gap': 'Evidence gap',
  policy: 'Policy alert',
  detection: 'Detection',
}

export function kindOf(event: Event, masksMin: number): AlertKind | null {
  switch (event.kind) {
    case 'command.blocked':
      return 'blocked'
    case 'approval.requested':
      return 'approval-asked'
    case 'approval.expired':
      return 'approval-expired'
    case 'access.refused':
      return 'sign-in-refused'
    case 'alert.approval-forced':
      return 'break-glass'
    case 'alert.evidence-gap':
    case 'alert.siem-lost':
    case 'recorder.refusing':
      return 'evidence-gap'
    case 'alert.detection':
      return 'detection'
  }
  if (event.kind.startsWith('alert.')) return 'policy'
  const masked = event.masks.reduce((sum, { count }) => sum + Number(count), 0)
  return masked >= masksMin ? 'masks' : null
}

export function alertOf(event: Event, o: AlertOptions): Alert | null {
  const kind = kindOf(event, o.masksMin)
  if (kind === null || !o.on.includes(kind)) return null
  const { who, path, statement, decision, access, approval, recording, lifecycle } = event
  const subject = who?.email ?? who?.subject ?? null
  const attributes = lifecycle?.attributes ?? {}
  const session = event.session ? uuidText(event.session) : attributes.session || null
  const rule = attributes.rule ?? null
  const reason =
    decision?.reason ?? access?.reason ?? recording?.detail ?? lifecycle?.reason ?? null
  const masked = event.masks.reduce((sum, { count }) => sum + Number(count), 0)
  const facts: [string, string | null | undefined][] = [
    ['Who', subject],
    ['Kind', who && who.kind !== 'human' ? who.kind : null],
    ['Where', path && [path.resource, path.database].filter(Boolean).join('/')],
    ['From', path && [path.clientAddress, path.clientApplication].filter(Boolean).join(', ')],
    ['Why', reason],
    ['Rule', rule],
    ['ATT&CK', attributes.attack],
    ['Together', attributes.group === '{}' ? null : attributes.group],
    ['Policies', decision?.policies.join(', ')],
    ['Masked values', masked > 0 ? String(masked) : null],
    ['Request', approval && uuidText(approval.request)],
    ['Session', session],
    ['Event', uuidText(event.id)],
    ['At', `${new Date(Math.floor(Number(event.time) / 1000)).toISOString()} by ${event.recorder}`],
  ]
  const base = o.consoleUrl?.replace(/\/+$/, '')
  return {
    id: uuidText(event.id),
    kind,
    key: [kind, subject, path?.resource, rule, statement?.fingerprint ?? access?.code ?? ''].join(
      '\n',
    ),
    title: line(
      `${rule ?? TITLES[kind]}${subject ? `: ${subject}` : ''}${path?.resource ? ` on ${path.resource}` : ''}`,
    ),
    severity: severityOf(event),
    timeMicros: Number(event.time),
    facts: facts.flatMap(([name, value]) =>
      value ? [[name, line(value)] as [string, string]] : [],
    ),
    statement: statement ? cut(visible(statement.text), STATEMENT_CHARACTERS_MAX).text : null,
    url: base ? (session ? `${base}/sessions/${session}` : base) : null,
  }
}
