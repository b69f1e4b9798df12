/**
 * A held command as approvers see it, from the event that asks. Pure but for the parser.
 * Refuses to guess: what is not proven of a statement is said to be unknown.
 */
import { parseRequirements, requirementsText } from '@custody/policy'
import { type Analyser, createAnalyser, loadParser } from '@custody/postgres-sql'
import { type Event, type Statement, uuidText } from '@custody/schemas'
import {
  type Before,
  cut,
  type HeldRequest,
  type Risk,
  STATEMENT_CHARACTERS_MAX,
  visible,
} from './channel'

const PARSE_BYTES_MAX = 1024 * 1024

/** Reads a statement for what approvers should mind. */
export type RiskOf = (statement: Statement) => Risk

export async function createRiskOf(): Promise<RiskOf> {
  await loadParser()
  const analyser = createAnalyser({
    cacheEntriesMax: 1000,
    cacheBytesMax: 4 * 1024 * 1024,
    parseBytesMax: PARSE_BYTES_MAX,
  })
  return (statement) => riskOf(statement, analyser)
}

const ROWS = ['sql:update', 'sql:delete', 'sql:select', 'sql:lock'] as const

function riskOf(statement: Statement, analyser: Analyser): Risk {
  const notes: string[] = []
  if (!statement.understood)
    notes.push(`not understood${statement.problem ? `: ${statement.problem}` : ''}`)
  if (statement.verbs.some((verb) => verb === 'sql:drop' || verb === 'sql:truncate'))
    notes.push('destroys what it names')
  if (statement.language === 'sql') notes.push(...breadthNotes(statement, analyser))
  return {
    verbs: statement.verbs,
    objects: [...new Set(statement.objects.map(({ name }) => name))],
    notes,
    understood: statement.understood,
    problem: statement.problem,
  }
}

/** Events say what a statement touches, not how many rows; its text does, as far as it was kept. */
function breadthNotes(statement: Statement, analyser: Analyser): string[] {
  const bytes = Buffer.from(statement.text)
  if (statement.textBytes > bytes.length) return ['its text is too long to be recorded whole']
  let analysed: ReturnType<Analyser['analyse']>
  try {
    analysed = analyser.analyse(bytes, 0, bytes.length, true)
  } catch {
    return []
  }
  const widest = new Set<string>()
  for (const { breadth } of analysed.statements)
    for (const verb of ROWS) if (breadth[verb] === 'all') widest.add(verb)
  return [...widest].map((verb) => {
    const what = verb.slice('sql:'.length)
    return `${what}: every row (no WHERE that leaves any out)`
  })
}

export interface RequestContext {
  externalUrl: string
  riskOf: RiskOf
  before: Before | null
}

/** Null where the event does not ask for anything, or not wholly. */
export function requestOf(event: Event, o: RequestContext): HeldRequest | null {
  const { approval, statement, who, path } = event
  if (event.kind !== 'approval.requested' || !approval || !statement || !who || !path) return null
  const attributes = event.lifecycle?.attributes ?? {}
  const requirements = parseRequirements(attributes.approvers ?? '', approval.required)
  const id = uuidText(approval.request)
  return {
    id,
    session: event.session ? uuidText(event.session) : null,
    who: {
      subject: who.subject,
      issuer: who.issuer,
      email: who.email,
      kind: who.kind,
      groups: who.groups,
      onBehalfOf: who.onBehalfOf,
    },
    resource: path.resource,
    database: path.database,
    clientAddress: path.clientAddress,
    application: path.clientApplication,
    reason: approval.comment ?? event.decision?.reason ?? '',
    statement: {
      ...cut(visible(statement.text), STATEMENT_CHARACTERS_MAX),
      bytes: Math.max(statement.textBytes, Buffer.byteLength(statement.text)),
    },
    risk: o.riskOf(statement),
    approvers: requirementsText(requirements),
    requirements,
    required: approval.required,
    requested: new Date(Math.floor(event.time / 1000)),
    expires: new Date(Math.floor((approval.expires ?? event.time) / 1000)),
    commentRequired: attributes.comment === 'required',
    before: o.before,
    url: `${o.externalUrl}/approvals/${id}`,
  }
}
