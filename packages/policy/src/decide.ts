/**
 * Decides one command: every action that it takes, on everything that it takes it on, must be permitted. A command that
 * would be permitted if a person approved it is held. Pure: the same facts give the same decision.
 * Refuses to let a policy that fails while it is evaluated pass for one that has nothing against it.
 */
import { type CedarValueJson, type EntityJson, statefulIsAuthorized } from './engine'
import {
  type ApprovalRequirement,
  type ApprovalTerms,
  EXPIRES_SECONDS_DEFAULT,
  type PolicySet,
  SCHEMA_NAME,
} from './policies'

export interface PrincipalFacts {
  subject: string
  issuer: string
  email: string | null
  kind: string
  method: string
  groups: readonly string[]
  /** When it was authenticated, in milliseconds since 1970, or null. */
  authenticatedMs: number | null
  /** What the session is for, where its user said so. */
  reason?: string | null
}

export interface ResourceFacts {
  name: string
  protocol: string
  labels: Readonly<Record<string, string>>
}

export type Breadth = 'none' | 'keyed' | 'filtered' | 'limited' | 'all'

export interface CommandFacts {
  /** Actions, as `sql:select`. */
  verbs: readonly string[]
  objects: readonly { kind: string; name: string; verb: string }[]
  columns: readonly string[]
  /** The widest place of each action; absent for those without. */
  breadth: Readonly<Record<string, Breadth>>
  fingerprint: string | null
  understood: boolean
  readOnly: boolean
}

export interface Circumstances {
  nowMs: number
  /** IANA name; UTC where not given. */
  timeZone?: string
  sourceAddress?: string | null
  application?: string | null
  database?: string | null
  /** Used at the target, where the client may choose it. */
  account?: string | null
  /** When a person approved it, in milliseconds since 1970; absent or null when nobody has. */
  approvedMs?: number | null
}

export interface Decision {
  outcome: 'allow' | 'block' | 'hold'
  /** Ids of the policies that decided, sorted. */
  policies: string[]
  /** For a person. */
  reason: string
  /** For `hold`: what an approval needs. */
  terms: ApprovalTerms | null
  /** For `allow`: what somebody is to be told, as the policies that permit it say. */
  alert: string | null
}

interface Asked {
  action: string
  object: { kind: string; name: string } | null
}

export function decide(
  set: PolicySet,
  principal: PrincipalFacts,
  resource: ResourceFacts,
  command: CommandFacts,
  circumstances: Circumstances,
): Decision {
  const entities = entitiesOf(principal, resource)
  const base = contextOf(principal, command, circumstances)
  const approved = circumstances.approvedMs != null
  const deciding = new Set<string>()
  const refused: { asked: Asked; policies: string[] }[] = []
  for (const asked of questions(command)) {
    const answer = ask(
      set,
      principal,
      resource,
      entities,
      withAction(base, command, asked, approved, circumstances),
      asked,
    )
    if (answer.allowed) for (const id of answer.policies) deciding.add(id)
    else refused.push({ asked, policies: answer.policies })
  }
  if (refused.length === 0)
    return {
      outcome: 'allow',
      policies: [...deciding].sort(),
      reason: reasonOf(set, deciding),
      terms: null,
      alert: alertOf(set, deciding),
    }

  if (!approved) {
    const permitting = new Set<string>()
    const held = refused.every(({ asked }) => {
      const answer = ask(
        set,
        principal,
        resource,
        entities,
        withAction(base, command, asked, true, {
          ...circumstances,
          approvedMs: circumstances.nowMs,
        }),
        asked,
      )
      if (answer.allowed) for (const id of answer.policies) permitting.add(id)
      return answer.allowed
    })
    if (held) {
      // Those that forbade it without approval say why; those that permit it with one say who may.
      const forbidding = new Set(refused.flatMap(({ policies }) => policies))
      const all = new Set([...permitting, ...forbidding])
      return {
        outcome: 'hold',
        policies: [...all].sort(),
        reason: `${describe(refused.map(({ asked }) => asked))} ${needs(set, all, forbidding.size > 0 ? forbidding : permitting)}`,
        terms: termsOf(set, all),
        alert: null,
      }
    }
  }
  const forbidding = new Set(refused.flatMap(({ policies }) => policies))
  const why = forbidding.size > 0 ? reasonOf(set, forbidding) : 'no policy permits it'
  return {
    outcome: 'block',
    policies: [...forbidding].sort(),
    reason: `${describe(refused.map(({ asked }) => asked))}: ${why}`,
    terms: null,
    alert: null,
  }
}

/** What values are masked by: the column that they are of, or the detector that finds them in text. */
export type MaskedKind = 'column' | 'detector'

/** Which masked columns may be seen as they are, and which could be with an approval. */
export interface RevealDecision {
  revealed: ReadonlySet<string>
  /** Ids of the policies that let them be seen, sorted. */
  policies: string[]
  /** For a person: what an approval would let be seen; null where nothing more. */
  held: Decision | null
}

export const REVEAL = 'data:reveal'

/**
 * Of masked columns, `schema.relation.column`, or of detectors, where values are found in text. Only policies that name the action count: what permits everything was not
 * written with this in mind. What forbids it holds whether it names it or not.
 */
export function decideReveal(
  set: PolicySet,
  principal: PrincipalFacts,
  resource: ResourceFacts,
  command: CommandFacts,
  masked: readonly string[],
  circumstances: Circumstances,
  kind: MaskedKind = 'column',
): RevealDecision {
  const entities = entitiesOf(principal, resource)
  const base = contextOf(principal, command, circumstances)
  const approved = circumstances.approvedMs != null
  const revealed = new Set<string>()
  const deciding = new Set<string>()
  const heldBy = new Set<string>()
  const held: Asked[] = []
  for (const name of masked) {
    const asked: Asked = { action: REVEAL, object: { kind, name } }
    const askAs = (asApproved: boolean, at: Circumstances) => {
      const context = withAction(base, command, asked, asApproved, at)
      const answer = ask(set, principal, resource, entities, context, asked)
      const naming = answer.policies.filter((id) => set.policies.get(id)?.reveals)
      return { ...answer, allowed: answer.allowed && naming.length > 0, naming }
    }
    const now = askAs(approved, circumstances)
    if (now.allowed) {
      revealed.add(name)
      for (const id of now.naming) deciding.add(id)
      continue
    }
    if (approved) continue
    const then = askAs(true, { ...circumstances, approvedMs: circumstances.nowMs })
    if (!then.allowed) continue
    held.push(asked)
    for (const id of then.naming) heldBy.add(id)
    for (const id of now.policies) if (set.policies.get(id)?.effect === 'forbid') heldBy.add(id)
  }
  return {
    revealed,
    policies: [...deciding].sort(),
    held:
      held.length === 0
        ? null
        : {
            outcome: 'hold',
            policies: [...heldBy].sort(),
            reason: `${describe(held)} ${needs(set, heldBy, heldBy)}`,
            terms: termsOf(set, heldBy),
            alert: null,
          },
  }
}

/** Each action with each thing that it is done to; an action that is done to nothing named is asked for once. */
function questions(command: CommandFacts): Asked[] {
  const asked = new Map<string, Asked>()
  for (const action of command.verbs) {
    let named = false
    for (const { kind, name, verb } of command.objects) {
      if (verb !== action) continue
      named = true
      asked.set(`${action}\0${kind}\0${name}`, { action, object: { kind, name } })
    }
    if (!named) asked.set(action, { action, object: null })
  }
  return [...asked.values()]
}

function ask(
  set: PolicySet,
  principal: PrincipalFacts,
  resource: ResourceFacts,
  entities: EntityJson[],
  context: Record<string, CedarValueJson>,
  asked: Asked,
): { allowed: boolean; policies: string[] } {
  const answer = statefulIsAuthorized({
    principal: { type: 'Identity', id: principal.subject },
    action: { type: 'Action', id: asked.action },
    resource: { type: 'Resource', id: resource.name },
    context,
    preparsedSchemaName: SCHEMA_NAME,
    validateRequest: true,
    preparsedPolicySetId: set.version,
    entities,
  })
  // An action that the vocabulary lacks, a fact of the wrong type: our fault, and no reason to let it pass.
  if (answer.type === 'failure') return { allowed: false, policies: ['custody.evaluation-failed'] }
  const { decision, diagnostics } = answer.response
  // Cedar leaves out a policy that fails; one that would have forbidden must not be lost that way.
  if (diagnostics.errors.length > 0)
    return { allowed: false, policies: diagnostics.errors.map(({ policyId }) => policyId) }
  return { allowed: decision === 'allow', policies: diagnostics.reason }
}

function entitiesOf(principal: PrincipalFacts, resource: ResourceFacts): EntityJson[] {
  const groups = ['everyone', ...principal.groups.filter((group) => group !== 'everyone')]
  return [
    {
      uid: { type: 'Identity', id: principal.subject },
      attrs: {
        subject: principal.subject,
        issuer: principal.issuer,
        kind: principal.kind,
        method: principal.method,
        ...(principal.email && { email: principal.email }),
      },
      parents: groups.map((id) => ({ type: 'Group', id })),
    },
    {
      uid: { type: 'Resource', id: resource.name },
      attrs: { name: resource.name, protocol: resource.protocol },
      parents: [{ type: 'ResourceGroup', id: 'all' }],
      tags: { ...resource.labels },
    } as EntityJson,
  ]
}

const names = (command: CommandFacts, kind: string) => [
  ...new Set(command.objects.filter((one) => one.kind === kind).map(({ name }) => name)),
]

function contextOf(
  principal: PrincipalFacts,
  command: CommandFacts,
  at: Circumstances,
): Record<string, CedarValueJson> {
  const address = plainAddress(at.sourceAddress ?? '')
  return {
    authenticationAgeSeconds:
      principal.authenticatedMs === null
        ? 0x7fff_ffff
        : Math.max(0, Math.floor((at.nowMs - principal.authenticatedMs) / 1000)),
    time: timeOf(at.nowMs, at.timeZone ?? 'UTC'),
    ...(address && { sourceAddress: { __extn: { fn: 'ip', arg: address } } }),
    ...(at.application && { application: at.application }),
    ...(principal.reason && { reason: principal.reason }),
    ...(at.database && { database: at.database }),
    ...(at.account && { account: at.account }),
    tables: names(command, 'table'),
    columns: [...command.columns],
    functions: names(command, 'function'),
    ...(command.fingerprint && { fingerprint: command.fingerprint }),
    understood: command.understood,
    readOnly: command.readOnly,
  }
}

function withAction(
  base: Record<string, CedarValueJson>,
  command: CommandFacts,
  { action, object }: Asked,
  approved: boolean,
  at: Circumstances,
): Record<string, CedarValueJson> {
  const breadth = command.breadth[action] ?? 'all'
  const parts = object === null ? [] : partsOf(object)
  return {
    ...base,
    approved,
    approvalAgeSeconds:
      at.approvedMs == null ? 0 : Math.max(0, Math.floor((at.nowMs - at.approvedMs) / 1000)),
    where: breadth === 'none' || breadth === 'keyed' || breadth === 'filtered',
    breadth,
    ...(object && {
      object: {
        kind: object.kind,
        name: object.name,
        relation: parts.at(-1)!,
        ...(parts.length > 1 && { schema: parts.at(-2)! }),
      },
    }),
  }
}

/** Of a qualified name; what is no name of a database has dots of its own. */
function partsOf({ kind, name }: { kind: string; name: string }): string[] {
  if (kind === 'program') return [name.slice(name.lastIndexOf('/') + 1)]
  if (kind === 'path' || kind === 'host' || kind === 'service' || kind === 'detector') return [name]
  return name.split('.')
}

const formats = new Map<string, Intl.DateTimeFormat>()

function timeOf(nowMs: number, timeZone: string): Record<string, CedarValueJson> {
  let format = formats.get(timeZone)
  if (format === undefined) {
    format = new Intl.DateTimeFormat('en-CA', {
      timeZone,
      year: 'numeric',
      month: '2-digit',
      day: '2-digit',
      hour: '2-digit',
      minute: '2-digit',
      weekday: 'short',
      hourCycle: 'h23',
    })
    formats.set(timeZone, format)
  }
  const part: Record<string, string> = {}
  for (const { type, value } of format.formatToParts(nowMs)) part[type] = value
  return {
    date: `${part.year}-${part.month}-${part.day}`,
    weekday:
      ['Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat', 'Sun'].indexOf(part.weekday!.slice(0, 3)) + 1,
    hour: Number(part.hour),
    minute: Number(part.minute),
    epochSeconds: Math.floor(nowMs / 1000),
  }
}

/** An IPv4 address in IPv6's clothes is an IPv4 address to those who write policies; a zone is no part of it. */
function plainAddress(address: string): string {
  return address.replace(/^::ffff:(?=\d+\.)/i, '').replace(/%.*$/, '')
}

function describe(asked: readonly Asked[]): string {
  const words = asked.map(({ action, object }) =>
    object === null ? action : `${action} on ${object.name}`,
  )
  const shown = words.slice(0, 3).join(', ')
  return words.length > 3 ? `${shown} and ${words.length - 3} more` : shown
}

function reasonOf(set: PolicySet, ids: ReadonlySet<string>): string {
  const reasons = [...ids].map((id) =>
    id === 'custody.evaluation-failed'
      ? 'the policies could not be evaluated'
      : (set.policies.get(id)?.reason ?? `policy ${id}`),
  )
  return [...new Set(reasons)].sort().join('; ')
}

function alertOf(set: PolicySet, ids: ReadonlySet<string>): string | null {
  const alerts = [...ids].flatMap((id) => set.policies.get(id)?.alert ?? [])
  return alerts.length > 0 ? [...new Set(alerts)].sort().join('; ') : null
}

function needs(set: PolicySet, ids: ReadonlySet<string>, why: ReadonlySet<string>): string {
  const who = termsOf(set, ids).requirements.map(({ approvers, required }) => {
    const count = required === 1 ? 'an approval' : `${required} approvals`
    return approvers.length > 0 ? `${count} of ${approvers.join(' or ')}` : count
  })
  const reasons = [...why].flatMap((id) => set.policies.get(id)?.reason ?? [])
  return `needs ${who.join(' and ')}${reasons.length > 0 ? `: ${[...new Set(reasons)].sort().join('; ')}` : ''}`
}

/** Where several policies ask for approval, all their requirements hold, and the strictest of every other term. */
function termsOf(set: PolicySet, ids: ReadonlySet<string>): ApprovalTerms {
  const all = [...ids].flatMap((id) => set.policies.get(id)?.terms ?? [])
  const requirements = new Map<string, ApprovalRequirement>()
  for (const { approvers, required } of all.flatMap((terms) => terms.requirements)) {
    const key = [...approvers].sort().join(',')
    const known = requirements.get(key)
    if (known === undefined || known.required < required)
      requirements.set(key, { approvers, required })
  }
  if (requirements.size > 1 && (requirements.get('')?.required ?? 2) === 1) requirements.delete('')
  const remembering = all.length > 0 && all.every(({ rememberSeconds }) => rememberSeconds > 0)
  return {
    requirements:
      requirements.size > 0 ? [...requirements.values()] : [{ approvers: [], required: 1 }],
    expiresSeconds:
      all.length > 0
        ? Math.min(...all.map((terms) => terms.expiresSeconds))
        : EXPIRES_SECONDS_DEFAULT,
    rememberSeconds: remembering ? Math.min(...all.map((terms) => terms.rememberSeconds)) : 0,
    rememberFor:
      remembering && all.every(({ rememberFor }) => rememberFor === 'session')
        ? 'session'
        : 'fingerprint',
    commentRequired: all.some(({ commentRequired }) => commentRequired),
    // Each policy that asks must let itself be passed over, and by whom is for each to say.
    force:
      all.length > 0 && all.every(({ force }) => force !== null)
        ? all.flatMap(({ force }) => force!)
        : null,
  }
}
