/**
 * A set of Cedar policies: read, checked against the vocabulary, and known by the hash of what it says.
 * Refuses a set with any fault, naming file and line: half a set is another policy.
 */
import { createHash } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { CustodyError } from '@custody/kit'
import { parseRequirements } from './approvals'
import {
  type PolicySet as CedarPolicySet,
  checkParsePolicySet,
  type DetailedError,
  type EntityUidJson,
  policySetTextToParts,
  policyToJson,
  preparsePolicySet,
  preparseSchema,
  templateToJson,
  validate,
} from './engine'
import { PreApproved, type PreApprovedList } from './pre-approved'

/** The text of one policy file. `name` is what people are shown: a path, or `template <name>`. */
export interface PolicySource {
  name: string
  text: string
}

/** A shipped template put to use for some groups and resources; everyone and all where none are named. */
export interface TemplateUse {
  use: string
  groups?: readonly string[]
  resources?: readonly string[]
}

/** Enough answers from enough people: `required` of those who are in any of `approvers` (anyone with the role, if empty). */
export interface ApprovalRequirement {
  approvers: string[]
  required: number
}

/** What an approval needs, from the annotations of the policies that ask for it. */
export interface ApprovalTerms {
  /** All of them must be met; one answer may count for several. */
  requirements: ApprovalRequirement[]
  /** How long the command waits. */
  expiresSeconds: number
  /** An approval holds for the same fingerprint, or everything, of the session for so long; 0: for one command. */
  rememberSeconds: number
  rememberFor: 'fingerprint' | 'session'
  commentRequired: boolean
  /** Whose single answer, with a comment, is enough whatever else is asked for: one group of each. Null: nobody's. */
  force: string[][] | null
}

export interface PolicyInfo {
  id: string
  source: string
  line: number
  effect: 'permit' | 'forbid'
  reason: string | null
  /** Null where it has no annotation about approval. */
  terms: ApprovalTerms | null
  /** Where it decides, somebody is to be told: in these words. */
  alert: string | null
  /** It names the action of seeing masked values: only then does it speak of it. */
  reveals: boolean
}

export interface PolicyProblem {
  source: string
  line: number
  message: string
}

export interface PolicySet {
  /** SHA-256 (hex) of everything in it. */
  version: string
  policies: ReadonlyMap<string, PolicyInfo>
  /** Whether decisions may depend on the moment, and on what else of the circumstances: words that stand in some policy. */
  uses: Readonly<Record<Circumstance, boolean>>
  preApproved: PreApproved
  /** Policies that can never apply and the like: it works, but somebody should look. */
  warnings: readonly PolicyProblem[]
}

export type Circumstance = 'moment' | 'sourceAddress' | 'application' | 'database' | 'reveal'

export const SCHEMA_NAME = 'custody'
export const EXPIRES_SECONDS_DEFAULT = 15 * 60
/** No command is held for longer. */
export const EXPIRES_SECONDS_MAX = 7 * 24 * 3600
const REMEMBER_SECONDS_MAX = 24 * 3600
/** More policies than this are refused: each is looked at for each decision. */
export const POLICIES_MAX = 5000

const REVEALS = /"data:reveal"/

const directory = join(__dirname, '..')
export const vocabulary = readFileSync(join(directory, 'vocabulary.cedarschema'), 'utf8')
let schemaReady = false

/** Names of the shipped templates. */
export function templateNames(): string[] {
  return readdirSync(join(directory, 'templates'))
    .filter((file) => file.endsWith('.cedar'))
    .map((file) => file.slice(0, -'.cedar'.length))
    .sort()
}

export function templateText(name: string): string {
  if (!templateNames().includes(name))
    throw new CustodyError(
      'CUSTODY-POLICY-001',
      `there is no policy template ${JSON.stringify(name)}; there are ${templateNames().join(', ')}`,
    )
  return readFileSync(join(directory, 'templates', `${name}.cedar`), 'utf8')
}

/** Rejects with CUSTODY-POLICY-001 and all problems found. */
export function loadPolicies(
  sources: readonly PolicySource[],
  uses: readonly TemplateUse[] = [],
  lists: readonly PreApprovedList[] = [],
): PolicySet {
  prepareSchema()
  const problems: PolicyProblem[] = []
  const policies = new Map<string, PolicyInfo>()
  /** Where each text begins, to tell the line of a fault in it. */
  const places = new Map<string, { source: PolicySource; start: number }>()
  const cedar = {
    staticPolicies: {} as Record<string, string>,
    templates: {} as Record<string, string>,
    templateLinks: [] as {
      templateId: string
      newId: string
      values: Record<string, EntityUidJson>
    }[],
  }

  const take = (source: PolicySource, template: TemplateUse | null) => {
    const parts = policySetTextToParts(source.text)
    if (parts.type === 'failure') {
      // The parts say where only within themselves; the whole does too.
      const whole = checkParsePolicySet({ staticPolicies: source.text })
      const errors = whole.type === 'failure' ? whole.errors : parts.errors
      for (const error of errors) problems.push(problemOf(error, source, 0))
      return
    }
    if (template === null && parts.policy_templates.length > 0)
      problems.push({
        source: source.name,
        line: lineAt(source.text, source.text.indexOf(parts.policy_templates[0]!)),
        message: 'slots (?principal, ?resource) belong into shipped templates; name them here',
      })
    const texts =
      template === null ? parts.policies : [...parts.policy_templates, ...parts.policies]
    let from = 0
    for (const [index, text] of texts.entries()) {
      const isTemplate = template !== null && index < parts.policy_templates.length
      const found = source.text.indexOf(text, isTemplate || template !== null ? 0 : from)
      const start = Math.max(0, found)
      from = start + text.length
      const json = isTemplate ? templateToJson(text) : policyToJson(text)
      if (json.type === 'failure') {
        for (const error of json.errors) problems.push(problemOf(error, source, start))
        continue
      }
      const annotations = (json.json.annotations ?? {}) as Record<string, string>
      const line = lineAt(source.text, start + leadingSpace(text))
      const id = annotations.id ?? `${source.name}:${line}`
      if (!annotations.id)
        problems.push({ source: source.name, line, message: 'the policy has no @id("…")' })
      if (policies.has(id) && !isTemplate) {
        problems.push({ source: source.name, line, message: `a second policy with @id("${id}")` })
        continue
      }
      const info: PolicyInfo = {
        id,
        source: source.name,
        line,
        effect: json.json.effect,
        reason: annotations.reason ?? null,
        terms: termsOf(annotations, (message) =>
          problems.push({ source: source.name, line, message }),
        ),
        alert: annotations.alert ?? null,
        reveals: REVEALS.test(text),
      }
      if (!isTemplate) {
        cedar.staticPolicies[id] = text
        policies.set(id, info)
        places.set(id, { source, start })
        continue
      }
      const templateId = `template:${id}`
      cedar.templates[templateId] = text
      places.set(templateId, { source, start })
      for (const [n, values] of links(template!, text).entries()) {
        let newId = n === 0 ? id : `${id}#${n + 1}`
        for (let more = 2; policies.has(newId); more++) newId = `${id}#${more}`
        cedar.templateLinks.push({ templateId, newId, values })
        policies.set(newId, { ...info, id: newId })
        places.set(newId, { source, start })
      }
    }
  }

  for (const source of sources) take(source, null)
  for (const use of uses) {
    let text: string
    try {
      text = templateText(use.use)
    } catch (error) {
      problems.push({ source: 'policy.templates', line: 1, message: (error as Error).message })
      continue
    }
    take({ name: `template ${use.use}`, text }, use)
  }
  const preApproved = new PreApproved(lists, problems)
  if (policies.size > POLICIES_MAX)
    problems.push({
      source: 'policy',
      line: 1,
      message: `${policies.size} policies; at most ${POLICIES_MAX} are taken`,
    })
  fail(problems)

  const warnings: PolicyProblem[] = []
  const place = (id: string, error: DetailedError) => {
    const at = places.get(id)
    return at === undefined
      ? { source: id, line: 1, message: error.message }
      : problemOf(error, at.source, at.start)
  }
  const checked = validate({ schema: vocabulary, policies: cedar as CedarPolicySet })
  if (checked.type === 'failure')
    for (const error of checked.errors)
      problems.push({ source: 'policy', line: 1, message: error.message })
  else {
    for (const { policyId, error } of checked.validationErrors)
      problems.push(place(policyId, error))
    for (const { policyId, error } of checked.validationWarnings)
      warnings.push(place(policyId, error))
  }
  fail(problems)

  const version = createHash('sha256')
    .update(JSON.stringify([vocabulary, cedar, ...(lists.length > 0 ? [lists] : [])]))
    .digest('hex')
  const prepared = preparsePolicySet(version, cedar as CedarPolicySet)
  if (prepared.type === 'failure')
    fail(prepared.errors.map((error) => ({ source: 'policy', line: 1, message: error.message })))
  return {
    version,
    policies,
    uses: usesOf(Object.values({ ...cedar.staticPolicies, ...cedar.templates })),
    preApproved,
    warnings,
  }
}

/** By the words in them, comments too: saying yes too often costs time, saying no too often would be wrong. */
function usesOf(texts: readonly string[]): PolicySet['uses'] {
  const whole = texts.join('\n')
  // Whoever takes the context as a whole, or by a computed name, may mean any of it.
  const any = /\bcontext\b(?!\s*(\.|has\b))/.test(whole) || /\\/.test(whole)
  const word = (pattern: RegExp) => any || pattern.test(whole)
  return {
    moment: word(/\btime\b|AgeSeconds/),
    sourceAddress: word(/\bsourceAddress\b/),
    application: word(/\bapplication\b/),
    database: word(/\bdatabase\b/),
    reveal: REVEALS.test(whole),
  }
}

function prepareSchema(): void {
  if (schemaReady) return
  const answer = preparseSchema(SCHEMA_NAME, vocabulary)
  if (answer.type === 'failure')
    throw new Error(`the policy vocabulary: ${answer.errors.map((e) => e.message).join('; ')}`)
  schemaReady = true
}

/** One link for each pair of group and resource; only for the slots that the template has. */
function links(use: TemplateUse, text: string): Record<string, EntityUidJson>[] {
  const groups = text.includes('?principal') ? (use.groups ?? ['everyone']) : [null]
  const resources = text.includes('?resource')
    ? (use.resources?.map((id) => ({ type: 'Resource', id })) ?? [
        { type: 'ResourceGroup', id: 'all' },
      ])
    : [null]
  return groups.flatMap((group) =>
    resources.map((resource) => ({
      ...(group !== null && { '?principal': { type: 'Group', id: group } }),
      ...(resource !== null && { '?resource': resource }),
    })),
  )
}

const KNOWN = new Set([
  'id',
  'reason',
  'approvers',
  'approvals',
  'expires',
  'remember',
  'comment',
  'force',
  'alert',
])

function termsOf(
  annotations: Record<string, string>,
  problem: (message: string) => void,
): ApprovalTerms | null {
  for (const name of Object.keys(annotations))
    if (!KNOWN.has(name))
      problem(`the annotation @${name} means nothing here; there are @${[...KNOWN].join(', @')}`)
  const { approvers, approvals, expires, remember, comment, force } = annotations
  if (
    [approvers, approvals, expires, remember, comment, force].every((value) => value === undefined)
  )
    return null
  let required = 1
  if (approvals !== undefined) {
    required = Number(approvals)
    if (!Number.isInteger(required) || required < 1 || required > 20)
      problem('@approvals must be a number from 1 to 20')
  }
  const terms: ApprovalTerms = {
    requirements: parseRequirements(approvers ?? '', required),
    expiresSeconds: EXPIRES_SECONDS_DEFAULT,
    rememberSeconds: 0,
    rememberFor: 'fingerprint',
    commentRequired: false,
    force: force === undefined ? null : parseRequirements(force, 1).map((one) => one.approvers),
  }
  if (terms.force?.some((groups) => groups.length === 0))
    problem('@force must name groups: "oncall, sre-leads" (any of them)')
  if (approvers !== undefined && terms.requirements.some((one) => one.approvers.length === 0))
    problem('@approvers must name groups: "dba, sre" (any of them), "dba & security" (both)')
  if (annotations.expires !== undefined) {
    const seconds = durationSeconds(annotations.expires)
    if (seconds === null || seconds < 1 || seconds > EXPIRES_SECONDS_MAX)
      problem('@expires must be a duration such as "15m", from 1s to 7d')
    else terms.expiresSeconds = seconds
  }
  if (annotations.remember !== undefined) {
    const match = /^(fingerprint|session)\s+(\S+)$/.exec(annotations.remember.trim())
    const seconds = match ? durationSeconds(match[2]!) : null
    if (match === null || seconds === null || seconds > REMEMBER_SECONDS_MAX)
      problem('@remember must be "fingerprint <duration>" or "session <duration>", at most 24h')
    else {
      terms.rememberFor = match[1] as 'fingerprint' | 'session'
      terms.rememberSeconds = seconds
    }
  }
  if (annotations.comment !== undefined) {
    terms.commentRequired = annotations.comment === 'required'
    if (!['required', 'optional'].includes(annotations.comment))
      problem('@comment must be "required" or "optional"')
  }
  return terms
}

function durationSeconds(text: string): number | null {
  const match = /^(\d{1,7})(s|m|h|d)$/.exec(text.trim())
  return match ? Number(match[1]) * { s: 1, m: 60, h: 3600, d: 86_400 }[match[2] as 's'] : null
}

function fail(problems: readonly PolicyProblem[]): void {
  if (problems.length === 0) return
  throw new CustodyError(
    'CUSTODY-POLICY-001',
    problems.map(({ source, line, message }) => `${source}:${line}: ${message}`).join('\n'),
    { details: { problems } },
  )
}

function problemOf(error: DetailedError, source: PolicySource, start: number): PolicyProblem {
  const place = error.sourceLocations?.[0]
  // Cedar counts bytes.
  const offset =
    place === undefined
      ? start
      : start + Buffer.from(source.text.slice(start)).subarray(0, place.start).toString().length
  const words = error.message
    .replace(/^for policy `[^`]*`, /, '')
    .replace(/^failed to parse polic(y|ies)( with id `[^`]*`)? from string: /, '')
  const label = place && 'label' in place && place.label ? ` (${place.label})` : ''
  return {
    source: source.name,
    line: lineAt(source.text, offset),
    message: `${words}${label}${error.help ? `; ${error.help}` : ''}`,
  }
}

function lineAt(text: string, offset: number): number {
  let line = 1
  for (let i = 0; i < offset && i < text.length; i++) if (text.charCodeAt(i) === 10) line++
  return line
}

function leadingSpace(text: string): number {
  return text.length - text.trimStart().length
}
