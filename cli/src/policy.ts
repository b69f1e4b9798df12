/**
 * `custody policy`: what policies say, before they are in force. Decides with the very code that the gateway decides with,
 * on statements given, on cases in a file, or on what was recorded. Changes nothing.
 */
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { type Configuration, CustodyError, loadConfiguration } from '@custody/kit'
import {
  type CommandFacts,
  type Decision,
  decide,
  loadConfigured,
  loadPolicies,
  type PolicySet,
  type PrincipalFacts,
  type ResourceFacts,
  readPolicySources,
  templateNames,
  templateText,
} from '@custody/policy'
import { statementTexts } from '@custody/postgres-sql'
import { parse } from 'yaml'
import { moment, usageError } from './arguments'
import { openApi, pagesOf } from './client'
import type { Command, Context } from './commands'
import { type Language, languageOf, languageOfEvent, loadLanguages } from './languages'
import { filtersOf } from './lists'
import { type Json, oneLine, who } from './show'
import { cut, table, visible } from './table'

/** The configuration in force here: named, in this directory, or the demo's. */
export function configurationOf({ environment, cwd, home }: Context): Configuration {
  const demo = join(home.demo, 'custody.yaml')
  const own = environment.CUSTODY_CONFIG || existsSync(join(cwd, 'custody.yaml'))
  return loadConfiguration(
    !own && existsSync(demo) ? { ...environment, CUSTODY_CONFIG: demo } : environment,
    cwd,
  )
}

function policiesOf(context: Context, configuration: Configuration): PolicySet {
  const files = context.given.texts('file')
  const templates = context.given.texts('template').map((use) => ({ use }))
  if (files.length > 0 || templates.length > 0)
    return loadPolicies(readPolicySources(files), templates)
  if (!configuration.policy)
    throw new CustodyError(
      'CUSTODY-CLI-005',
      'the configuration has no policy (so everything is permitted); name some with --file or --template',
    )
  return loadConfigured(configuration.policy, statementTexts)
}

function resourceOf(configuration: Configuration, name: string | undefined): ResourceFacts {
  const known = Object.entries(configuration.resources)
  const [only] = known.length === 1 ? known : []
  const found = name === undefined ? only : known.find(([one]) => one === name)
  if (!found && name === undefined)
    throw usageError('--resource is needed: the configuration has not exactly one')
  return {
    name: found?.[0] ?? name!,
    protocol: found?.[1].protocol ?? 'postgres',
    labels: found?.[1].labels ?? {},
  }
}

async function check(context: Context): Promise<number> {
  const { output } = context
  const set = policiesOf(context, configurationOf(context))
  if (output.json) {
    output.object({
      ok: true,
      version: set.version,
      policies: [...set.policies.values()],
      warnings: set.warnings,
    })
    return 0
  }
  output.lines(
    table(
      ['POLICY', 'EFFECT', 'WHERE', 'REASON'].map((title) => ({ title })),
      [...set.policies.values()].map((one) => [
        one.id,
        one.effect,
        `${one.source}:${one.line}`,
        one.reason ?? '',
      ]),
      output.columns,
    ),
  )
  for (const { source, line, message } of set.warnings)
    output.line(output.yellow(`${source}:${line}: ${message}`))
  output.line()
  output.line(`${set.policies.size} policies are good; version ${set.version}`)
  return 0
}

function templates(context: Context): number {
  const { given, output } = context
  const name = given.positionals[1]
  if (name !== undefined) {
    if (output.json) output.object({ name, text: templateText(name) })
    else output.lines(templateText(name).trimEnd().split('\n'))
    return 0
  }
  for (const one of templateNames())
    if (output.json) output.object({ name: one, text: templateText(one) })
    else
      output.line(
        `${one.padEnd(34)}${templateText(one)
          .split('\n', 1)[0]!
          .replace(/^\/\/ /, '')}`,
      )
  return 0
}

/** Somebody as those who try policies describe them; what is left out is null in a file where only its name stands. */
interface Somebody {
  subject?: string | null
  email?: string | null
  groups?: readonly string[] | null
  kind?: string | null
  reason?: string | null
}

function principalOf(one: Somebody, issuer: string, authenticatedMs: number): PrincipalFacts {
  return {
    subject: one.subject ?? 'somebody',
    issuer,
    email: one.email ?? null,
    kind: one.kind ?? 'human',
    method: 'custody-token',
    groups: one.groups ?? [],
    authenticatedMs,
    reason: one.reason ?? null,
  }
}

async function explain(context: Context): Promise<number> {
  const { given, output, nowMs } = context
  const [, ...words] = given.positionals
  if (words.length === 0) throw usageError('custody policy explain takes a statement', policy)
  const configuration = configurationOf(context)
  const set = policiesOf(context, configuration)
  const at = moment('at', given.text('at'), nowMs)
  const subject = given.text('as')
  const principal = principalOf(
    {
      subject,
      email: subject?.includes('@') ? subject : null,
      groups: given.texts('group'),
      kind: given.text('kind'),
      reason: given.text('reason'),
    },
    'custody:explain',
    nowMs,
  )
  let worst = 0
  const resource = resourceOf(configuration, given.text('resource'))
  const language = languageOf(resource.protocol)
  for (const { text, facts } of language.analyse(words.join(' '))) {
    const decision = decide(set, principal, resource, facts, {
      nowMs: at ? Date.parse(at) : nowMs,
      timeZone: configuration.policy?.timeZone,
      sourceAddress: given.text('from') ?? null,
    })
    if (decision.outcome !== 'allow') worst = 1
    if (output.json)
      output.object({
        statement: text,
        ...decision,
        facts: shownFacts(facts),
        version: set.version,
      })
    else output.lines(explained(text, facts, decision, set, context))
  }
  return worst
}

const shownFacts = ({
  verbs,
  objects,
  columns,
  breadth,
  fingerprint,
  understood,
  readOnly,
}: CommandFacts) => ({
  verbs,
  objects,
  columns,
  breadth,
  fingerprint,
  understood,
  readOnly,
})

function explained(
  text: string,
  facts: CommandFacts,
  decision: Decision,
  set: PolicySet,
  { output }: Context,
): string[] {
  const paint = { allow: (s: string) => s, hold: output.yellow, block: output.red }[
    decision.outcome
  ]
  const does = facts.verbs.map((verb) => {
    const on = facts.objects.filter((one) => one.verb === verb).map(({ name }) => name)
    const breadth = facts.breadth[verb]
    return `${verb}${on.length > 0 ? ` on ${on.join(', ')}` : ''}${breadth && breadth !== 'none' ? ` (${breadth})` : ''}`
  })
  const lines = [
    output.bold(cut(visible(oneLine(text)), output.columns)),
    `  ${paint(decision.outcome)}: ${visible(decision.reason)}`,
    ...does.map((one) => `  does    ${visible(one)}`),
  ]
  if (!facts.understood)
    lines.push(output.yellow(`  it is not understood whole: ${unknownOf(facts)}`))
  for (const id of decision.policies) {
    const one = set.policies.get(id)
    lines.push(`  by      ${id}${one ? ` (${one.source}:${one.line})` : ''}`)
  }
  return lines
}

const unknownOf = ({ verbs }: CommandFacts) =>
  verbs.find((verb) => verb.endsWith('unknown')) ?? 'what else it does is not known'

interface Case {
  name?: string
  as?: Somebody
  on?: string | { resource: string; labels?: Record<string, string>; protocol?: string }
  at?: string
  from?: string
  approved?: boolean
  statement: string
  expect: string
}

/** Cases in a YAML file: a list of {as, on, at, from, approved, statement, expect}. */
async function test(context: Context): Promise<number> {
  const { given, output, nowMs } = context
  const [, file, ...more] = given.positionals
  if (file === undefined || more.length > 0)
    throw usageError('custody policy test takes one file of cases', policy)
  const configuration = configurationOf(context)
  const set = policiesOf(context, configuration)
  let cases: Case[]
  try {
    cases = parse(readFileSync(file, 'utf8')) as Case[]
    if (!Array.isArray(cases) || cases.length === 0) throw new Error('not a list of cases')
  } catch (cause) {
    throw new CustodyError('CUSTODY-CLI-006', `${file}: ${(cause as Error).message}`, { cause })
  }
  let failed = 0
  for (const [index, one] of cases.entries()) {
    const name = one?.name ?? `case ${index + 1}`
    if (typeof one?.statement !== 'string' || !['allow', 'hold', 'block'].includes(one.expect))
      throw new CustodyError(
        'CUSTODY-CLI-006',
        `${file}: ${name}: needs a statement, and expect: allow, hold or block`,
      )
    const at = one.at === undefined ? nowMs : Date.parse(one.at)
    if (Number.isNaN(at))
      throw new CustodyError('CUSTODY-CLI-006', `${file}: ${name}: at: ${one.at} is no time`)
    const principal = principalOf(one.as ?? {}, 'custody:test', at)
    const resource =
      typeof one.on === 'object'
        ? {
            name: one.on.resource,
            protocol:
              one.on.protocol ?? configuration.resources[one.on.resource]?.protocol ?? 'postgres',
            labels: one.on.labels ?? {},
          }
        : resourceOf(configuration, one.on)
    // Of several statements the whole string is as its strictest.
    const language = languageOf(resource.protocol)
    const decisions = language.analyse(one.statement).map(({ facts }) =>
      decide(set, principal, resource, facts, {
        nowMs: at,
        timeZone: configuration.policy?.timeZone,
        sourceAddress: one.from ?? null,
        approvedMs: one.approved ? at : null,
      }),
    )
    const got = strictest(decisions)
    const ok = got.outcome === one.expect
    if (!ok) failed++
    if (output.json) output.object({ name, ok, expected: one.expect, ...got })
    else if (ok) output.line(`ok    ${name}`)
    else
      output.line(
        output.red(`WRONG ${name}: ${got.outcome}, not ${one.expect}: ${visible(got.reason)}`),
      )
  }
  if (!output.json) output.line(`${cases.length - failed} of ${cases.length} cases as expected`)
  return failed > 0 ? 1 : 0
}

const RANK = { allow: 0, hold: 1, block: 2 }

function strictest(decisions: readonly Decision[]): Decision {
  return decisions.reduce((worst, one) => (RANK[one.outcome] > RANK[worst.outcome] ? one : worst))
}

/** What the policies would have said of what was recorded, where it differs from what was decided then. */
async function backtest(context: Context): Promise<number> {
  const { output, nowMs } = context
  const configuration = configurationOf(context)
  const set = policiesOf(context, configuration)
  const api = openApi(context.home, context.environment)
  const filters = filtersOf(context)
  const since = filters.since ?? moment('since', '7d', nowMs)
  const changes = new Map<string, { was: string; now: Decision; count: number; example: Json }>()
  let looked = 0
  let cutShort = 0
  /** Requests seen whose command has not been seen: they are one command, told of twice. */
  const requests = new Set<string>()
  for (const kind of ['approval.requested', 'command.started', 'command.blocked']) {
    const pages = pagesOf(api, '/api/v1/events', { ...filters, kind, since }, 'events')
    for await (const page of pages)
      for (const event of page.events) {
        const { statement } = event
        const language = languageOfEvent(statement?.language, event.path?.protocol ?? 'postgres')
        if (!language) continue
        if (kind === 'approval.requested') requests.add(event.approval.request)
        else if (event.decision?.approval && requests.delete(event.decision.approval)) continue
        // People denied it, not a policy; its request was looked at.
        else if (kind === 'command.blocked' && !event.decision?.version) continue
        looked++
        if (looked % 10_000 === 0) output.remark(`custody: ${looked} commands looked at`)
        if (statement.textDigest) cutShort++
        const then =
          kind === 'command.started' ? 'allow' : kind === 'command.blocked' ? 'block' : 'hold'
        const was = event.decision?.approval ? 'hold' : then
        const decisions = recordedFacts(statement, language).map((facts) =>
          decide(set, recordedPrincipal(event), recordedResource(event, configuration), facts, {
            nowMs: Date.parse(event.time),
            timeZone: configuration.policy?.timeZone,
            sourceAddress: event.path?.clientAddress ?? null,
            application: event.path?.clientApplication ?? null,
            database: event.path?.database ?? null,
          }),
        )
        const now = strictest(decisions)
        if (now.outcome === was) continue
        const key = `${was}\0${now.outcome}\0${event.who?.subject}\0${event.path?.resource}\0${statement.fingerprint ?? statement.text}`
        const known = changes.get(key)
        if (known) known.count++
        else changes.set(key, { was, now, count: 1, example: event })
      }
  }
  const sorted = [...changes.values()].sort(
    (a, b) => RANK[b.now.outcome] - RANK[a.now.outcome] || b.count - a.count,
  )
  for (const { was, now, count, example } of sorted)
    if (output.json)
      output.object({
        was,
        now: now.outcome,
        count,
        policies: now.policies,
        reason: now.reason,
        subject: example.who?.subject ?? null,
        resource: example.path?.resource ?? null,
        statement: example.statement.text,
        session: example.session,
      })
  if (output.json)
    output.object({
      looked,
      changed: sorted.reduce((sum, one) => sum + one.count, 0),
      cut: cutShort,
      version: set.version,
    })
  else {
    if (sorted.length > 0)
      output.lines(
        table(
          [
            { title: 'WAS' },
            { title: 'NOW' },
            { title: 'TIMES', right: true },
            { title: 'IDENTITY' },
            { title: 'RESOURCE' },
            { title: 'WHY' },
            { title: 'STATEMENT' },
          ],
          sorted.map(({ was, now, count, example }) => [
            was,
            now.outcome,
            String(count),
            who(example.who),
            example.path?.resource ?? '',
            now.outcome === 'allow' ? now.policies.join(', ') : now.reason,
            oneLine(String(example.statement.text)),
          ]),
          output.columns,
        ),
      )
    const changed = sorted.reduce((sum, one) => sum + one.count, 0)
    output.line(
      `${looked} commands since ${since}: ${changed === 0 ? 'all would be decided as they were' : `${changed} would be decided otherwise`}${cutShort > 0 ? `; ${cutShort} were cut in the record and count as not understood` : ''}.`,
    )
  }
  return 0
}

/**
 * What a recorded command does: as the gateway found it, which knew what its database had made its own; and what is not
 * recorded, by its text.
 */
function recordedFacts(statement: Json, language: Language): CommandFacts[] {
  // What was cut can't be read again, and counts as not understood.
  if (statement.textDigest) return [language.unanalysed('cut in the record')]
  const read = language.analyse(statement.text).map(({ facts }) => facts)
  const { verbs, objects, fingerprint, understood } = statement
  if (!(verbs?.length > 0)) return read
  const facts = read.length === 1 ? read[0]! : language.unanalysed('several statements')
  return [
    {
      ...facts,
      verbs,
      objects,
      fingerprint,
      understood,
      // Nothing that it was found to do besides is known to only read.
      readOnly:
        facts.readOnly && understood && verbs.every((verb: string) => facts.verbs.includes(verb)),
    },
  ]
}

function recordedPrincipal(event: Json): PrincipalFacts {
  const who = event.who ?? {}
  return {
    subject: who.subject ?? 'unknown',
    issuer: who.issuer ?? 'unknown',
    email: who.email ?? null,
    kind: who.kind ?? 'human',
    method: who.method ?? 'unknown',
    groups: who.groups ?? [],
    authenticatedMs: who.authenticatedAt ? Date.parse(who.authenticatedAt) : null,
  }
}

function recordedResource(event: Json, configuration: Configuration): ResourceFacts {
  const name = event.path?.resource ?? 'unknown'
  return {
    name,
    protocol: event.path?.protocol ?? 'postgres',
    labels: configuration.resources[name]?.labels ?? {},
  }
}

const ACTIONS: Record<string, (context: Context) => number | Promise<number>> = {
  check,
  templates,
  explain,
  test,
  backtest,
}

export const policy: Command = {
  name: 'policy',
  takes: 'check | templates [<name>] | explain <statement> | test <file> | backtest',
  summary: 'what policies say, before they are in force',
  details: [
    'check      whether they are good, and which there are',
    'templates  the shipped ones; one of them whole',
    'explain    what would be decided of a statement, by which policies; exits 1 unless it is allowed',
    'test       cases in a YAML file: a list of {as, on, at, from, approved, statement, expect}',
    'backtest   what was recorded since --since (7d), where it would now be decided otherwise',
    'Policies are those of the configuration, or those named here.',
  ],
  options: {
    file: { value: 'path', multiple: true, help: 'a policy file or directory; may be repeated' },
    template: {
      value: 'name',
      multiple: true,
      help: 'a shipped template, for everyone; may be repeated',
    },
    as: { value: 'name', help: 'explain: whose statement it is' },
    group: { value: 'name', multiple: true, help: 'explain: a group they are in; may be repeated' },
    kind: { value: 'human|service|agent', help: 'explain: what they are (default human)' },
    reason: { value: 'text', help: 'explain: what the session is for' },
    resource: { value: 'name', help: 'explain, backtest: of this resource' },
    at: { value: 'time', help: 'explain: at this moment (default now)' },
    from: { value: 'address', help: 'explain: from this network address' },
    since: { value: 'time', help: 'backtest: from here on, as 30m, 7d or 2026-01-31 (default 7d)' },
    until: { value: 'time', help: 'backtest: before' },
    identity: { value: 'name', help: 'backtest: of this subject or e-mail address' },
  },
  positionalsMin: 1,
  positionalsMax: 100,
  examples: [
    'custody policy check',
    "custody policy explain 'delete from customers' --as ada --group analysts",
    'custody policy test policies/cases.yaml',
    'custody policy backtest --file policies/next.cedar --since 30d',
  ],
  async run(context) {
    const [what = ''] = context.given.positionals
    const action = Object.hasOwn(ACTIONS, what) ? ACTIONS[what] : undefined
    if (!action)
      throw usageError(
        `custody policy takes ${Object.keys(ACTIONS).join(', ')}; not ${JSON.stringify(what)}`,
        policy,
      )
    await loadLanguages()
    return action(context)
  },
}
