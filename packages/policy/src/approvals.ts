/**
 * Who may answer a held command, and when the answers are enough. Pure; used where answers are taken and, again, where they
 * take effect. Refuses answers of who asked and of programs, whatever a policy says.
 */
import type { ApprovalRequirement } from './policies'

/** As events carry an identity; only what matters here. */
export interface Person {
  subject: string
  issuer: string
  email: string | null
  groups: readonly string[]
  kind: string
  onBehalfOf?: readonly { subject: string; issuer: string }[]
}

/** Null where the answer counts, otherwise why it does not. */
export function refusal(
  requirements: readonly ApprovalRequirement[],
  asker: Person,
  approver: Person,
): string | null {
  const never = refusalOfAny(asker, approver)
  if (never !== null) return never
  if (requirements.some((one) => counts(one, approver))) return null
  return `this request is for ${requirementsText(requirements)}`
}

/** Null where this person may let the command run alone, whatever else is asked for; otherwise why not. */
export function forceRefusal(
  force: readonly (readonly string[])[] | null,
  asker: Person,
  approver: Person,
): string | null {
  const never = refusalOfAny(asker, approver)
  if (never !== null) return never
  if (force === null) return 'the policies let nobody force this'
  if (force.every((groups) => approver.groups.some((group) => groups.includes(group)))) return null
  return `only ${forceText(force)} may force this`
}

/** Whatever a policy says. */
function refusalOfAny(asker: Person, approver: Person): string | null {
  if (approver.kind !== 'human')
    return `only people answer, and ${approver.subject} is a ${approver.kind}`
  if (samePerson(asker, approver)) return 'nobody answers their own request'
  // A program is no person who could answer as somebody else.
  return asker.kind === 'human' && maybeSame(asker, approver)
    ? 'of two issuers and without an e-mail address, who asks and who answers can’t be told apart'
    : null
}

/** As `requirementsText`; events carry it. */
export function forceText(force: readonly (readonly string[])[]): string {
  return requirementsText(force.map((approvers) => ({ approvers: [...approvers], required: 1 })))
}

export function parseForce(text: string | null | undefined): string[][] | null {
  return text ? parseRequirements(text, 1).map(({ approvers }) => approvers) : null
}

/** Whether those who said yes are enough. One person counts once for each requirement. */
export function enough(
  requirements: readonly ApprovalRequirement[],
  yes: readonly Person[],
): boolean {
  const people: Person[] = []
  // Those with an address first: what can't be told apart from one of them counts with that one.
  const known = [...yes].sort((a, b) => Number(!a.email) - Number(!b.email))
  for (const one of known) if (!people.some((other) => maybeSame(one, other))) people.push(one)
  return requirements.every(
    (one) => people.filter((who) => counts(one, who)).length >= one.required,
  )
}

/** The same, or of two issuers with nothing to compare them by. */
function maybeSame(a: Person, b: Person): boolean {
  return samePerson(a, b) || (a.issuer !== b.issuer && (!a.email || !b.email))
}

function samePerson(a: Person, b: Person): boolean {
  if (a.issuer === b.issuer && a.subject === b.subject) return true
  if (a.email && b.email && a.email.toLowerCase() === b.email.toLowerCase()) return true
  // What acts on behalf of somebody must not be let through by the same.
  return (a.onBehalfOf ?? []).some((one) => one.issuer === b.issuer && one.subject === b.subject)
}

function counts({ approvers }: ApprovalRequirement, who: Person): boolean {
  return approvers.length === 0 || who.groups.some((group) => approvers.includes(group))
}

/** `dba, sre & security`: any of the first two, and one of the third. Empty: anybody. As policies and events write it. */
export function requirementsText(requirements: readonly ApprovalRequirement[]): string {
  return requirements
    .map(({ approvers }) => approvers.join(', '))
    .filter(Boolean)
    .join(' & ')
}

export function parseRequirements(text: string, required: number): ApprovalRequirement[] {
  return text.split('&').map((some) => ({
    approvers: some
      .split(',')
      .map((group) => group.trim())
      .filter(Boolean),
    required,
  }))
}
