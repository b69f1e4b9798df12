/**
 * What can be said of an event, by name: each fact's words for the reference page, and how it is read from the event. Formats are
 * tables of these names, so the page can't say what the code doesn't do. Facts that a format has no place for go under its
 * own heading for Custody, by the same names. Pure.
 */
import { isIP } from 'node:net'
import { type Event, sha256, uuidText, type Who } from '@custody/schemas'
import type { Evidence, Outputs } from './format'
import {
  type Domain,
  decisionOf,
  domainOf,
  type Meaning,
  meaningOf,
  type Outcome,
  outcomeOf,
  type Place,
  placeOf,
  type Severity,
  severityOf,
} from './meaning'
import { cutBytes, cutMarked, isoMicros } from './text'
import type { Value } from './tree'

/** Longest lists in a record; how long the whole one is stands beside it where it matters. */
const ITEMS_MAX = 100

export interface Limits {
  statementBytesMax: number
  valueBytesMax: number
  outputs: Outputs
  consoleUrl: string | null
  version: string
}

export interface StatementText {
  text: string
  isCut: boolean
  /** SHA-256, in hexadecimal, of the whole text, where the record has not all of it. */
  digest: string | undefined
}

/** One event with what is worked out of it once, however many fields want it. */
export class Facts {
  readonly event: Event
  readonly evidence: Evidence
  readonly limits: Limits
  readonly meaning: Meaning
  readonly domain: Domain
  readonly place: Place
  readonly severity: Severity
  readonly outcome: Outcome
  /** Texts made for an earlier event of the session, by what is said of all its events; null where there is nothing to go by. */
  memo: string[] | null = null
  private idText: string | null = null
  private sessionText: string | null = null
  private previousText: string | null = null
  private statementText: StatementText | null = null
  private targetParts: [host: string, port: number | undefined] | null = null

  constructor(event: Event, evidence: Evidence, limits: Limits) {
    this.event = event
    this.evidence = evidence
    this.limits = limits
    this.meaning = meaningOf(event.kind)
    this.domain = domainOf(event)
    this.place = placeOf(event, this.meaning)
    this.severity = severityOf(event, this.meaning)
    this.outcome = outcomeOf(event, this.meaning)
  }

  get id(): string {
    this.idText ??= uuidText(this.event.id)
    return this.idText
  }

  get session(): string | undefined {
    if (this.event.session === null) return undefined
    this.sessionText ??= uuidText(this.event.session)
    return this.sessionText
  }

  /** Of this event's message, in hexadecimal. */
  get digest(): string | undefined {
    const { digest } = this.evidence
    return digest === null || digest === undefined ? undefined : hexOf(digest)
  }

  get previous(): string {
    this.previousText ??= this.event.previous.toString('hex')
    return this.previousText
  }

  get statement(): StatementText | undefined {
    const { statement } = this.event
    if (statement === null) return undefined
    if (this.statementText !== null) return this.statementText
    const text = cutBytes(statement.text, this.limits.statementBytesMax)
    const isCut = text.length < statement.text.length || statement.textDigest !== null
    this.statementText = {
      text,
      isCut,
      digest: !isCut
        ? undefined
        : (statement.textDigest?.toString('hex') ??
          sha256(Buffer.from(statement.text)).toString('hex')),
    }
    return this.statementText
  }

  /** Host and port of the target. */
  get target(): [host: string, port: number | undefined] | undefined {
    const target = this.event.path?.target
    if (target === null || target === undefined) return undefined
    this.targetParts ??= hostPort(target)
    return this.targetParts
  }

  text(value: string | null | undefined): string | undefined {
    return value === null || value === undefined
      ? undefined
      : cutMarked(value, this.limits.valueBytesMax)
  }

  texts(values: readonly string[]): readonly string[] | undefined {
    if (values.length === 0) return undefined
    const max = this.limits.valueBytesMax
    return values.length > ITEMS_MAX || values.some((value) => value.length * 3 > max)
      ? values.slice(0, ITEMS_MAX).map((value) => cutMarked(value, max))
      : values
  }
}

export type FactType = 'text' | 'number' | 'boolean' | 'texts' | 'map' | 'list'

export interface Fact {
  name: string
  type: FactType
  /** For the reference page. */
  doc: string
  of(facts: Facts): Value | null | undefined
  /** Derived from others, so never put under Custody's own heading. */
  derived: boolean
  /**
   * What of the event it is read from and nothing else: a record that may be null, in which case the fact has no value, or
   * `session`: who, path, session and recorder, where the first two are there. Null: anything.
   */
  needs: Need
  /** Text of our own making, letters, digits and `-:.` only, which no format need look into. */
  plain: boolean
}

export type Need = keyof Event | 'session' | null

/** Derived facts that are the same all session long. */
const OF_SESSION = new Set([
  'session',
  'recorder',
  'email.address',
  'email.other',
  'actor.name',
  'actor.uid',
  'actor.application',
  'actor.ocsfType',
  'actor.ocsfGroups',
  'client.ip',
  'origin',
  'gateway.name',
  'resource.name',
  'target.host',
  'target.ip',
  'target.port',
  'target.name',
  'related.hosts',
  'related.ips',
  'product.version',
])
/** Digests, identifiers, times, words of our own. */
const PLAIN = new Set([
  'id',
  'time',
  'severity',
  'outcome',
  'previous',
  'digest',
  'previous.id',
  'session',
  'command',
  'parent',
  'link.unit',
  'finding.unit',
  'action',
  'who.authenticatedAt',
  'decision.approval',
  'statement.textDigest',
  'response.digest',
  'response.inputDigest',
  'output.digest',
  'approval.request',
  'approval.expires',
  'access.expires',
  'configuration.before',
  'configuration.after',
  'recording.head',
])

const RECORDS = new Set([
  'decision',
  'statement',
  'response',
  'output',
  'approval',
  'lifecycle',
  'access',
  'audit',
  'configuration',
  'recording',
])

function needOf(name: string): Need {
  const [first] = name.split('.')
  if (OF_SESSION.has(name) || first === 'who' || first === 'path') return 'session'
  return name.includes('.') && RECORDS.has(first!) ? (first as Need) : null
}

const table = new Map<string, Fact>()

function add(type: FactType, name: string, doc: string, of: Fact['of'], derived = false): void {
  table.set(name, { name, type, doc, of, derived, needs: needOf(name), plain: PLAIN.has(name) })
}
const derive = (type: FactType, name: string, doc: string, of: Fact['of']) =>
  add(type, name, doc, of, true)

export const hexOf = (digest: Buffer | string): string =>
  typeof digest === 'string' ? digest : digest.toString('hex')
const hex = (bytes: Buffer | null | undefined): string | undefined => bytes?.toString('hex')
const uuid = (bytes: Buffer | null | undefined): string | undefined =>
  bytes === null || bytes === undefined ? undefined : uuidText(bytes)
const nameOf = (who: Who): string => who.email || who.name || who.subject
const pairs = (map: Record<string, string>): string[] =>
  Object.entries(map).map(([name, value]) => `${name}=${value}`)
/** Zero says nothing where the field always has a number. */
const some = (value: number | null | undefined): number | undefined =>
  value === null || value === undefined || value === 0 ? undefined : value
const millis = (micros: number | undefined): number | undefined =>
  micros === undefined ? undefined : Math.floor(micros / 1000)

export function hostPort(text: string): [host: string, port: number | undefined] {
  const found = /^\[([^\]]+)\](?::(\d+))?$/.exec(text) ?? /^([^:]+)(?::(\d+))?$/.exec(text)
  if (found === null) return [text, undefined]
  const port = found[2] === undefined ? undefined : Number(found[2])
  return [found[1]!, port !== undefined && port <= 65_535 ? port : undefined]
}

const address = (text: string | null | undefined): string | undefined =>
  text !== null && text !== undefined && isIP(text) !== 0 ? text : undefined

/** As OCSF has it. */
const ADDRESS = /^[a-zA-Z0-9!#$%&'*+\-/=?^_`{|}~.]{1,64}@[a-zA-Z0-9-]{1,63}\.[a-zA-Z0-9.-]{1,190}$/
const isAddress = (text: string | null | undefined): boolean =>
  text !== null && text !== undefined && ADDRESS.test(text)

// ── the envelope ──
add(
  'text',
  'id',
  "the event's identifier, a UUID that sorts by time; the same each time the event is sent",
  (f) => f.id,
)
add('text', 'kind', 'what happened, as noun.verb', (f) => f.event.kind)
derive('text', 'title', 'the kind in words (table of kinds)', (f) => f.meaning.title)
derive(
  'text',
  'message',
  'one line for a reader: the title, who, where, and the first line of the command or the reason',
  messageOf,
)
derive('text', 'time', 'when it happened, ISO 8601 in UTC with microseconds', (f) =>
  isoMicros(f.event.time),
)
derive('number', 'time.millis', 'when it happened, milliseconds since 1970', (f) =>
  Math.floor(f.event.time / 1000),
)
add('number', 'time.micros', 'when it happened, microseconds since 1970', (f) => f.event.time)
derive(
  'text',
  'severity',
  'informational, low, medium, high or critical (table of kinds)',
  (f) => f.severity,
)
derive('text', 'outcome', 'success, failure or unknown', (f) => f.outcome)
derive(
  'boolean',
  'alert',
  'true for what somebody should look at now',
  (f) => f.meaning.alert || undefined,
)
add('text', 'recorder', 'whose chain the event is in', (f) => f.event.recorder)
add(
  'number',
  'sequence',
  "position in the recorder's chain, from 0, without gaps",
  (f) => f.event.sequence,
)
add(
  'text',
  'previous',
  "SHA-256 of the recorder's event before it, in hexadecimal",
  (f) => f.previous,
)
add(
  'text',
  'digest',
  "SHA-256 of this event's own message, in hexadecimal, where the exporter has it",
  (f) => f.digest,
)
derive(
  'text',
  'previous.id',
  "identifier of the recorder's event before it, where the exporter has it",
  (f) => uuid(f.evidence.previousId),
)
add('text', 'session', 'the session', (f) => f.session)
add('number', 'ordinal', 'position in the session, from 0, without gaps', (f) =>
  f.event.ordinal < 0 ? undefined : f.event.ordinal,
)
add('text', 'command', 'identifier of the command that it belongs to', (f) => uuid(f.event.command))
add('text', 'parent', 'identifier of the session or event that caused it', (f) =>
  uuid(f.event.parent),
)
derive(
  'text',
  'link',
  "the approval's or session's page in the console, where `consoleUrl` is set",
  linkOf,
)
derive(
  'text',
  'link.unit',
  'the command, else the session, else the event, as one identifier',
  (f) => uuid(f.event.command) ?? f.session ?? f.id,
)
derive(
  'text',
  'finding.unit',
  'the request for approval, else the event: what belongs to one finding',
  (f) => uuid(f.event.approval?.request) ?? f.id,
)

// ── who ──
add('text', 'who.subject', 'identity at its issuer', (f) => f.text(f.event.who?.subject))
add('text', 'who.issuer', 'who vouches for it', (f) => f.text(f.event.who?.issuer))
add('text', 'who.email', 'e-mail address', (f) => f.text(f.event.who?.email))
derive('text', 'email.address', 'e-mail address, where it has the form of one', (f) =>
  isAddress(f.event.who?.email) ? (f.event.who!.email as string) : undefined,
)
derive('text', 'email.other', 'e-mail address, where it has not the form of one', (f) =>
  isAddress(f.event.who?.email) ? undefined : f.text(f.event.who?.email),
)
add('text', 'who.name', 'display name', (f) => f.text(f.event.who?.name))
add('texts', 'who.groups', 'groups at that moment, the first 100', (f) =>
  f.event.who === null ? undefined : f.texts(f.event.who.groups),
)
add('text', 'who.kind', 'human, service, agent (an AI agent) or system', (f) => f.event.who?.kind)
add('text', 'who.method', 'how it was authenticated', (f) => f.event.who?.method)
add('text', 'who.tokenId', 'identifier of the credential, never the credential', (f) =>
  f.text(f.event.who?.tokenId),
)
add('text', 'who.authenticatedAt', 'when it proved who it is', (f) =>
  typeof f.event.who?.authenticatedAt === 'number'
    ? isoMicros(f.event.who.authenticatedAt)
    : undefined,
)
add('texts', 'who.onBehalfOf', 'for whom it acts, nearest first', (f) =>
  f.event.who === null || f.event.who.onBehalfOf.length === 0
    ? undefined
    : f.texts(f.event.who.onBehalfOf.map(({ subject, issuer }) => `${subject} (${issuer})`)),
)
derive(
  'text',
  'actor.name',
  "e-mail address, else name, else identity; `unknown` where nobody was signed in and none claimed; Custody's own events: `custody`",
  (f) => f.text(actorOf(f)),
)
derive('text', 'actor.uid', 'identity at its issuer, else as `actor.name`', (f) =>
  f.text(f.event.who?.subject || actorOf(f)),
)
derive(
  'text',
  'actor.application',
  "the client's program, else Custody",
  (f) => f.text(f.event.path?.clientApplication) || 'Custody',
)
derive(
  'number',
  'actor.ocsfType',
  '1 User, 3 System, 4 Service, 99 Other (an AI agent)',
  (f) => OCSF_USER_TYPES[f.event.who?.kind ?? ''] ?? 0,
)
derive('list', 'actor.ocsfGroups', 'groups, as objects with a name', (f) =>
  f.event.who === null ? undefined : f.texts(f.event.who.groups)?.map((name) => ({ name })),
)
derive(
  'text',
  'affected.user',
  'the account that a command makes, changes, drops, grants to or revokes from, or that is locked; else who acts',
  (f) => f.text(affectedOf(f)),
)
derive('texts', 'related.users', 'all names of people in it', (f) => f.texts(relatedUsers(f)))

// ── path ──
add('text', 'path.clientAddress', "the client's address", (f) =>
  f.text(f.event.path?.clientAddress),
)
derive('text', 'client.ip', "the client's address, where it is an IP address", (f) =>
  address(f.event.path?.clientAddress),
)
derive('text', 'origin', "the client's address, else the recorder's name", (f) =>
  f.text(f.event.path?.clientAddress || f.event.recorder || 'custody'),
)
add('number', 'path.clientPort', "the client's port", (f) => some(f.event.path?.clientPort))
add('text', 'path.clientApplication', "the client's program, as it calls itself", (f) =>
  f.text(f.event.path?.clientApplication),
)
add(
  'text',
  'path.clientTls.version',
  'TLS towards the client',
  (f) => f.event.path?.clientTls?.version,
)
add('text', 'path.clientTls.cipher', 'its cipher suite', (f) =>
  f.text(f.event.path?.clientTls?.cipher),
)
add('text', 'path.clientTls.serverName', 'the name that the client asked for', (f) =>
  f.text(f.event.path?.clientTls?.serverName),
)
add('text', 'path.clientTls.peer', "SHA-256 of the client's certificate", (f) =>
  f.text(f.event.path?.clientTls?.peer),
)
add('texts', 'path.via', 'hops before the gateway', (f) =>
  f.event.path === null ? undefined : f.texts(f.event.path.via),
)
add('text', 'path.gateway', 'the gateway', (f) => f.text(f.event.path?.gateway))
add('text', 'path.gatewayAddress', 'where it listened', (f) => f.text(f.event.path?.gatewayAddress))
derive('text', 'gateway.name', "the gateway, else the recorder's name", (f) =>
  f.text(f.event.path?.gateway || f.event.recorder || 'custody'),
)
add('text', 'path.agent', 'the agent beside the target', (f) => f.text(f.event.path?.agent))
add('text', 'path.resource', 'the resource', (f) => f.text(f.event.path?.resource))
add('text', 'path.protocol', 'its protocol', (f) => f.event.path?.protocol)
derive('text', 'resource.name', 'the resource; `custody` for what is about Custody itself', (f) =>
  f.text(f.event.path?.resource || f.event.configuration?.subject || 'custody'),
)
add('text', 'path.target', "the target's address", (f) => f.text(f.event.path?.target))
derive('text', 'target.host', "the target's name or address", (f) => f.text(f.target?.[0]))
derive('text', 'target.ip', "the target's address, where it is an IP address", (f) =>
  address(f.target?.[0]),
)
derive('number', 'target.port', "the target's port", (f) => f.target?.[1])
derive(
  'text',
  'target.name',
  "the target's name or address, else the resource, else `custody`",
  (f) => f.text(f.target?.[0] ?? f.event.path?.resource) || 'custody',
)
derive('texts', 'related.hosts', 'names of machines in it', (f) =>
  f.texts([
    ...new Set(
      [f.target?.[0], f.event.path?.gateway].filter(
        (name) => name !== undefined && name !== '' && isIP(name) === 0,
      ) as string[],
    ),
  ]),
)
derive('texts', 'related.ips', 'IP addresses in it', (f) =>
  f.texts([
    ...new Set(
      [f.event.path?.clientAddress, f.target?.[0], ...(f.event.path?.via ?? [])].filter(
        (one) => address(one) !== undefined,
      ) as string[],
    ),
  ]),
)
add(
  'text',
  'path.targetTls.version',
  'TLS towards the target',
  (f) => f.event.path?.targetTls?.version,
)
add('text', 'path.targetTls.cipher', 'its cipher suite', (f) =>
  f.text(f.event.path?.targetTls?.cipher),
)
add('text', 'path.targetTls.serverName', 'the name that it was asked for', (f) =>
  f.text(f.event.path?.targetTls?.serverName),
)
add('text', 'path.targetTls.peer', "SHA-256 of the target's certificate", (f) =>
  f.text(f.event.path?.targetTls?.peer),
)
add('text', 'path.account', 'the account used at the target', (f) => f.text(f.event.path?.account))
add('text', 'path.database', 'database or namespace within the resource', (f) =>
  f.text(f.event.path?.database),
)
derive('text', 'database.name', 'the database, else the resource, of databases', (f) =>
  f.domain !== 'database'
    ? undefined
    : f.text(f.event.path?.database || f.event.path?.resource || 'unknown'),
)
derive('text', 'database.system', 'postgres or mysql, of databases', (f) =>
  f.domain === 'database' ? f.event.path?.protocol : undefined,
)

// ── decision ──
add('text', 'decision.outcome', 'allow, block or hold', (f) => f.event.decision?.outcome)
derive(
  'text',
  'action',
  'what the gate said: allow, block or hold; of a refused sign-in block',
  (f) => decisionOf(f.event),
)
add('texts', 'decision.policies', 'policies that decided', (f) =>
  f.event.decision === null ? undefined : f.texts(f.event.decision.policies),
)
derive('text', 'policy.name', 'policies that decided, joined by a comma', (f) =>
  f.event.decision === null ? undefined : f.text(f.event.decision.policies.join(', ')),
)
add('text', 'decision.version', 'SHA-256 of the policy set', (f) =>
  f.text(f.event.decision?.version),
)
add('text', 'decision.reason', 'why, in words', (f) => f.text(f.event.decision?.reason))
add('number', 'decision.evaluationMicros', 'time spent deciding, microseconds', (f) =>
  some(f.event.decision?.evaluationMicros),
)
add('text', 'decision.approval', 'the approval that it relied on', (f) =>
  uuid(f.event.decision?.approval),
)
derive(
  'text',
  'reason',
  "why it went so: the decision's, the refusal's, the error's, the comment's or the change's own words",
  (f) => f.text(reasonOf(f.event)),
)
derive('text', 'code', "SQLSTATE, exit status, HTTP status, or the refusal's code", (f) =>
  f.text(f.event.response?.code ?? f.event.access?.code),
)

// ── the command ──
add(
  'text',
  'statement.language',
  'sql, shell, ssh, sftp, http, kubernetes, mcp',
  (f) => f.event.statement?.language,
)
add('text', 'statement.interface', 'how it was submitted', (f) =>
  f.text(f.event.statement?.interface),
)
add(
  'text',
  'statement.text',
  'its text after masking, cut at `statementBytesMax`',
  (f) => f.statement?.text,
)
add('number', 'statement.textBytes', 'length of the whole text in bytes', (f) =>
  some(f.event.statement?.textBytes),
)
add(
  'boolean',
  'statement.isCut',
  'true where the record has not the whole text',
  (f) => f.statement?.isCut || undefined,
)
add(
  'text',
  'statement.textDigest',
  'SHA-256 of the whole text, where the record has not all of it',
  (f) => f.statement?.digest,
)
add('list', 'statement.parameters', 'values bound to it after masking, the first 100', (f) =>
  f.event.statement?.parameters.slice(0, ITEMS_MAX).map(({ name, type, value, bytes, cut }) => ({
    name: name ?? undefined,
    type,
    value: f.text(value),
    bytes,
    cut: cut || undefined,
  })),
)
add('text', 'statement.fingerprint', 'the same for commands that differ in literals only', (f) =>
  f.text(f.event.statement?.fingerprint),
)
add('texts', 'statement.verbs', 'all that it does', (f) =>
  f.event.statement === null ? undefined : f.texts(f.event.statement.verbs),
)
derive(
  'text',
  'operation',
  'what it does: its verbs joined by a comma, else what was done with evidence, else the kind',
  (f) =>
    f.text(
      f.event.statement?.verbs.join(', ') ||
        (f.event.audit === null ? f.event.kind : `audit.${f.event.audit.action}`),
    ),
)
add(
  'texts',
  'statement.objects',
  'all that it touches, as `kind name (verb)`, the first 100',
  (f) =>
    f.event.statement === null
      ? undefined
      : f.texts(
          f.event.statement.objects.map(({ kind, name, verb }) => `${kind} ${name} (${verb})`),
        ),
)
derive('texts', 'object.names', 'names of all that the command touches', (f) =>
  f.event.statement === null
    ? undefined
    : f.texts(f.event.statement.objects.map(({ name }) => name)),
)
derive(
  'texts',
  'object.kinds',
  'kinds of all that the command touches: table, role, file, pod, …',
  (f) =>
    f.event.statement === null
      ? undefined
      : f.texts([...new Set(f.event.statement.objects.map(({ kind }) => kind))]),
)
derive('texts', 'masked.columns', 'columns of which something was masked', (f) =>
  f.texts([...new Set(f.event.masks.flatMap(({ column }) => (column === null ? [] : [column])))]),
)
derive('number', 'time.hour', 'hour of the day, UTC', (f) =>
  new Date(f.event.time / 1000).getUTCHours(),
)
derive('number', 'time.weekday', 'day of the week, UTC, from 0, Sunday', (f) =>
  new Date(f.event.time / 1000).getUTCDay(),
)
derive('list', 'objects.ocsf', 'all that it touches: name and type', (f) =>
  f.event.statement?.objects
    .slice(0, ITEMS_MAX)
    .filter(({ name }) => name !== '')
    .map(({ kind, name }) => ({ name: f.text(name), type: kind })),
)
derive(
  'texts',
  'privileges',
  'what a GRANT or REVOKE, or an approval, is about: `verb object`',
  (f) => f.texts(privilegesOf(f.event)),
)
derive('text', 'table.name', 'the first table that it touches', (f) =>
  f.text(f.event.statement?.objects.find(({ kind }) => kind === 'table')?.name),
)
derive('text', 'file.path', 'the file that it touches', (f) =>
  f.domain === 'file' ? f.text(fileOf(f.event)) : undefined,
)
derive('text', 'file.name', "that file's name without its directory", (f) =>
  f.domain === 'file' ? f.text(baseOf(fileOf(f.event))) : undefined,
)
derive('text', 'process.line', 'the command line, of shell commands', (f) =>
  f.domain === 'process' ? f.statement?.text : undefined,
)
derive('text', 'query.text', 'the statement, of databases', (f) =>
  f.domain === 'database' ? f.statement?.text : undefined,
)
derive('text', 'other.text', 'the command, of all but databases and shell commands', (f) =>
  f.domain === 'database' || f.domain === 'process' ? undefined : f.statement?.text,
)
derive('text', 'http.method', 'the method, of HTTP requests', (f) =>
  f.domain === 'http' ? httpOf(f)?.[0] : undefined,
)
derive('text', 'http.path', 'the path, of HTTP requests', (f) =>
  f.domain === 'http' ? httpOf(f)?.[1] : undefined,
)
derive('number', 'http.status', 'the status, of HTTP responses', (f) =>
  f.domain === 'http' || f.event.path?.protocol === 'http'
    ? whole(f.event.response?.code, 100, 599)
    : undefined,
)
derive('number', 'exit.code', 'the exit status, of shell commands', (f) =>
  f.domain === 'process' ? whole(f.event.response?.code, -255, 255) : undefined,
)
add(
  'boolean',
  'statement.understood',
  'whether verbs and objects are complete and proven',
  (f) => f.event.statement?.understood,
)
add('text', 'statement.problem', 'why it was not understood', (f) =>
  f.text(f.event.statement?.problem),
)
add('number', 'statement.index', 'position among the statements sent together, from 0', (f) =>
  f.event.statement !== null && f.event.statement.count > 1 ? f.event.statement.index : undefined,
)
add('number', 'statement.count', 'statements sent together, where more than one', (f) =>
  f.event.statement !== null && f.event.statement.count > 1 ? f.event.statement.count : undefined,
)
add('map', 'statement.attributes', 'what only this protocol has', (f) =>
  f.event.statement === null ? undefined : mapOf(f, f.event.statement.attributes),
)

// ── how it ended ──
add(
  'text',
  'response.status',
  'ok, error, cancelled, refused, suspended, unknown',
  (f) => f.event.response?.status,
)
add('text', 'response.code', 'SQLSTATE, exit status, HTTP status', (f) =>
  f.text(f.event.response?.code),
)
add('text', 'response.message', "the error's message after masking", (f) =>
  f.text(f.event.response?.message),
)
add('text', 'response.tag', 'command tag', (f) => f.text(f.event.response?.tag))
add('number', 'response.rows', 'rows returned or affected', (f) => f.event.response?.rows)
add('number', 'response.bytes', 'bytes that the client received', (f) => f.event.response?.bytes)
add('text', 'response.digest', 'SHA-256 of exactly these bytes', (f) =>
  hex(f.event.response?.digest),
)
add('number', 'response.durationMicros', 'from recorded to complete, microseconds', (f) =>
  some(f.event.response?.durationMicros),
)
add(
  'number',
  'response.firstByteMicros',
  'to the first byte of the answer, microseconds',
  (f) => f.event.response?.firstByteMicros,
)
add('texts', 'response.columns', 'columns returned: where they come from, else their names', (f) =>
  f.event.response === null
    ? undefined
    : f.texts(f.event.response.columns.map(({ name, source }) => source ?? name)),
)
add('number', 'response.inputBytes', 'bytes that the client streamed into it', (f) =>
  some(f.event.response?.inputBytes),
)
add('text', 'response.inputDigest', 'SHA-256 of these', (f) => hex(f.event.response?.inputDigest))
add('number', 'response.recordedBytes', 'how many of the bytes are in output events', (f) =>
  some(f.event.response?.recordedBytes),
)
derive('number', 'duration.millis', 'duration of command, session or question, milliseconds', (f) =>
  millis(durationOf(f.event)),
)
derive('number', 'duration.nanos', 'the same, nanoseconds', (f) =>
  scaled(durationOf(f.event), 1000),
)
derive(
  'number',
  'bytes.in',
  'bytes from the client: of the session, or streamed into the command',
  (f) => some(f.event.lifecycle?.bytesIn || f.event.response?.inputBytes),
)
derive('number', 'bytes.out', 'bytes to the client: of the session or the command', (f) =>
  some(f.event.lifecycle?.bytesOut || f.event.response?.bytes),
)

// ── output and masks ──
add('text', 'output.stream', 'output, error, input, terminal', (f) => f.event.output?.stream)
add(
  'number',
  'output.offset',
  'where the piece starts in its stream',
  (f) => f.event.output?.offset,
)
add('number', 'output.bytes', 'its length', (f) => f.event.output?.data.length)
add('text', 'output.digest', 'its SHA-256', (f) =>
  f.event.output === null ? undefined : sha256(f.event.output.data).toString('hex'),
)
add('text', 'output.encoding', 'how to read its bytes', (f) => f.event.output?.encoding)
add('number', 'output.omittedBytes', 'bytes after it that a recording limit kept out', (f) =>
  some(f.event.output?.omittedBytes),
)
add(
  'text',
  'output.data',
  'with `outputs: data` only: the piece after masking, as text where it is UTF-8 or JSON, else base64; cut at `statementBytesMax`',
  dataOf,
)
add(
  'list',
  'masks',
  'what was masked, never the value: rule, column, detector, action, count',
  (f) =>
    f.event.masks.slice(0, ITEMS_MAX).map(({ rule, column, detector, action, count }) => ({
      rule: f.text(rule),
      column: f.text(column),
      detector: f.text(detector),
      action,
      count,
    })),
)
add('number', 'masked.count', 'how many values were masked', (f) =>
  f.event.masks.length === 0 ? undefined : f.event.masks.reduce((sum, { count }) => sum + count, 0),
)

// ── approval, session, access ──
add('text', 'approval.request', 'the request for approval', (f) => uuid(f.event.approval?.request))
add(
  'text',
  'approval.state',
  'requested, approved, denied, expired, withdrawn, used',
  (f) => f.event.approval?.state,
)
add('text', 'approval.approver', 'who answered', (f) =>
  f.event.approval?.approver ? f.text(nameOf(f.event.approval.approver)) : undefined,
)
add('text', 'approval.channel', 'by which channel', (f) => f.text(f.event.approval?.channel))
add('text', 'approval.comment', 'in their words', (f) => f.text(f.event.approval?.comment))
add('text', 'approval.expires', 'when request or grant ends', (f) =>
  typeof f.event.approval?.expires === 'number' ? isoMicros(f.event.approval.expires) : undefined,
)
add('number', 'approval.waitedMicros', 'how long the command waited, microseconds', (f) =>
  some(f.event.approval?.waitedMicros),
)
add('number', 'approval.required', 'answers needed', (f) => f.event.approval?.required)
add('text', 'lifecycle.state', 'opened, changed, closed, unknown', (f) => f.event.lifecycle?.state)
add('text', 'lifecycle.reason', 'why', (f) => f.text(f.event.lifecycle?.reason))
add('number', 'lifecycle.commands', 'commands of the session so far', (f) =>
  some(f.event.lifecycle?.commands),
)
add(
  'number',
  'lifecycle.events',
  'events of the session, this one included: its seal, on closing',
  (f) => some(f.event.lifecycle?.events),
)
add('number', 'lifecycle.bytesIn', 'bytes from the client', (f) => some(f.event.lifecycle?.bytesIn))
add('number', 'lifecycle.bytesOut', 'bytes to the client', (f) => some(f.event.lifecycle?.bytesOut))
add('number', 'lifecycle.durationMicros', 'how long the session was, microseconds', (f) =>
  some(f.event.lifecycle?.durationMicros),
)
add('map', 'lifecycle.attributes', 'what else is known of it', (f) =>
  f.event.lifecycle === null ? undefined : mapOf(f, f.event.lifecycle.attributes),
)
add(
  'text',
  'access.action',
  'sign-in, sign-out, token-issued, token-revoked, lock, unlock, connect',
  (f) => f.event.access?.action,
)
add('text', 'access.outcome', 'success or refused', (f) => f.event.access?.outcome)
add('text', 'access.code', "the refusal's error code", (f) => f.text(f.event.access?.code))
add('text', 'access.reason', 'why, in words', (f) => f.text(f.event.access?.reason))
add('text', 'access.credential', 'kind of credential', (f) => f.text(f.event.access?.credential))
add('text', 'access.tokenId', 'identifier of the token issued or revoked', (f) =>
  f.text(f.event.access?.tokenId),
)
add('text', 'access.expires', 'when it ends', (f) =>
  typeof f.event.access?.expires === 'number' ? isoMicros(f.event.access.expires) : undefined,
)

// ── about Custody itself ──
add('text', 'audit.action', 'what was done with evidence', (f) => f.event.audit?.action)
add('text', 'audit.subject', 'what was looked at', (f) => f.text(f.event.audit?.subject))
add('text', 'audit.query', 'the question, as JSON', (f) => f.text(f.event.audit?.query))
add('number', 'audit.results', 'how many events were shown', (f) => f.event.audit?.results)
add('number', 'audit.durationMicros', 'how long it took, microseconds', (f) =>
  some(f.event.audit?.durationMicros),
)
add('text', 'configuration.subject', 'what setting changed', (f) =>
  f.text(f.event.configuration?.subject),
)
add('text', 'configuration.before', 'SHA-256 of what it was', (f) =>
  hex(f.event.configuration?.before),
)
add('text', 'configuration.after', 'SHA-256 of what it is', (f) =>
  hex(f.event.configuration?.after),
)
add('text', 'configuration.change', 'the change as JSON, without secrets', (f) =>
  f.text(f.event.configuration?.change),
)
add(
  'text',
  'recording.state',
  'started, stopped, recovered, checkpoint, refusing, resumed, verified',
  (f) => f.event.recording?.state,
)
add('text', 'recording.version', "Custody's version", (f) => f.text(f.event.recording?.version))
add('text', 'recording.detail', 'in words', (f) => f.text(f.event.recording?.detail))
add('number', 'recording.cutBytes', 'bytes of a torn tail cut', (f) =>
  some(f.event.recording?.cutBytes),
)
add('number', 'recording.openSessions', 'sessions found open', (f) =>
  some(f.event.recording?.openSessions),
)
add('text', 'recording.head', 'hash that a checkpoint signs', (f) => hex(f.event.recording?.head))
add('text', 'recording.signature', 'its signature, base64', (f) =>
  f.event.recording?.signature?.toString('base64'),
)
add('text', 'recording.keyId', 'key that signed', (f) => f.text(f.event.recording?.keyId))
derive(
  'text',
  'product.version',
  "Custody's version, where it is known",
  (f) => f.limits.version || undefined,
)
derive('texts', 'attacks', 'ATT&CK techniques that a detection names', (f) =>
  f.texts(
    (f.event.lifecycle?.attributes.attack ?? '')
      .split(',')
      .map((one) => one.trim())
      .filter((one) => /^T\d{4}(\.\d{3})?$/.test(one)),
  ),
)

const OCSF_USER_TYPES: Record<string, number> = { human: 1, system: 3, service: 4, agent: 99 }

function actorOf({ event }: Facts): string {
  if (event.who !== null) return nameOf(event.who) || event.who.subject || 'unknown'
  return event.lifecycle?.attributes.user || (event.access !== null ? 'unknown' : 'custody')
}

function affectedOf(f: Facts): string {
  const { event } = f
  if (event.access !== null) {
    const identity = event.lifecycle?.attributes.identity
    if (identity !== undefined) return identity
  }
  for (const { kind, name } of event.statement?.objects ?? [])
    if (name !== '' && (kind === 'role' || kind === 'user' || kind === 'account')) return name
  return actorOf(f)
}

function relatedUsers({ event }: Facts): string[] {
  const names = new Set<string>()
  if (event.who !== null) {
    names.add(event.who.subject)
    if (event.who.email !== null) names.add(event.who.email)
    for (const { subject } of event.who.onBehalfOf) names.add(subject)
  }
  if (event.path?.account) names.add(event.path.account)
  if (event.approval?.approver) names.add(nameOf(event.approval.approver))
  names.delete('')
  return [...names]
}

function privilegesOf(event: Event): string[] {
  const { statement } = event
  if (statement === null) return [event.path?.resource || 'session']
  const named = statement.objects.map(({ verb, name }) => `${verb} ${name}`)
  return named.length > 0 ? named : statement.verbs.length > 0 ? [...statement.verbs] : ['unknown']
}

function fileOf(event: Event): string | undefined {
  const found = event.statement?.objects.find(({ kind }) => kind === 'file' || kind === 'path')
  return found?.name || undefined
}

/** What of a path is a name; of a path that is nothing but slashes, a slash. */
function baseOf(path: string | undefined): string | undefined {
  return path === undefined ? undefined : path.replace(/\/+$/, '').replace(/^.*\//s, '') || '/'
}

function httpOf({ statement }: Facts): [method: string, path: string] | undefined {
  const found = statement === undefined ? null : /^([A-Za-z]+) (\S+)/.exec(statement.text)
  return found === null ? undefined : [found[1]!.toUpperCase(), found[2]!]
}

function whole(text: string | null | undefined, min: number, max: number): number | undefined {
  if (text === null || text === undefined || !/^-?\d{1,9}$/.test(text)) return undefined
  const value = Number(text)
  return value >= min && value <= max ? value : undefined
}

function durationOf({ response, lifecycle, audit }: Event): number | undefined {
  return (
    some(response?.durationMicros) ?? some(lifecycle?.durationMicros) ?? some(audit?.durationMicros)
  )
}

const scaled = (value: number | undefined, by: number): number | undefined =>
  value === undefined ? undefined : value * by

function mapOf(f: Facts, map: Record<string, string>): Record<string, string> | undefined {
  let out: Record<string, string> | undefined
  let count = 0
  for (const name in map) {
    if (++count > ITEMS_MAX) break
    out ??= {}
    out[name] = cutMarked(map[name]!, f.limits.valueBytesMax)
  }
  return out
}

function reasonOf(event: Event): string | undefined {
  return (
    event.response?.message ??
    event.access?.reason ??
    event.approval?.comment ??
    event.decision?.reason ??
    event.lifecycle?.reason ??
    event.recording?.detail ??
    event.statement?.problem ??
    undefined
  )
}

function dataOf({ event: { output }, limits }: Facts): string | undefined {
  if (output === null || limits.outputs !== 'data' || output.data.length === 0) return undefined
  const text =
    output.encoding === 'utf-8' || output.encoding === 'json'
      ? output.data.toString('utf8')
      : output.data.toString('base64')
  return cutBytes(text, limits.statementBytesMax)
}

function linkOf(f: Facts): string | undefined {
  const { consoleUrl } = f.limits
  if (consoleUrl === null) return undefined
  const request = f.event.approval?.request
  if (request !== undefined) return `${consoleUrl}/approvals/${uuidText(request)}`
  return f.session === undefined ? undefined : `${consoleUrl}/sessions/${f.session}`
}

const LINE_CHARACTERS_MAX = 200

function messageOf(f: Facts): string {
  const { event } = f
  let out = `${f.meaning.title}: ${actorOf(f)}`
  if (event.path !== null) out += ` at ${event.path.resource}`
  const said =
    event.statement?.text ?? reasonOf(event) ?? event.audit?.subject ?? event.configuration?.subject
  if (said !== undefined && said !== '') {
    const end = said.search(/[\r\n]/)
    const line = end < 0 ? said : said.slice(0, end)
    out += `: ${line.length > LINE_CHARACTERS_MAX ? `${cutBytes(line, LINE_CHARACTERS_MAX)}…` : line}`
  }
  if (event.response !== null) {
    const { status, code, rows } = event.response
    out += ` (${status}${code ? ` ${code}` : ''}${rows !== null ? `, ${rows} rows` : ''})`
  }
  return cutMarked(out, Math.min(1000, f.limits.valueBytesMax))
}

export const FACTS: ReadonlyMap<string, Fact> = table
export type FactName = string

export function factOf(name: FactName): Fact {
  const fact = table.get(name)
  if (fact === undefined) throw new TypeError(`no fact ${name}`)
  return fact
}

/** A fact as one text, for formats that have no lists: lists joined by `, `, objects by `; `, members as name=value. */
export function flatText(value: Value | null | undefined): string {
  switch (typeof value) {
    case 'string':
      return value
    case 'number':
      return Number.isFinite(value) ? String(value) : ''
    case 'boolean':
      return value ? 'true' : 'false'
    case 'object':
      if (value === null) return ''
      if (!Array.isArray(value)) return pairs(value as Record<string, string>).join('; ')
      return typeof value[0] === 'string'
        ? value.join(', ')
        : (value as object[])
            .map((item) =>
              Object.entries(item)
                .filter(([, one]) => one !== undefined && one !== null)
                .map(([name, one]) => `${name}=${one}`)
                .join(' '),
            )
            .join('; ')
    default:
      return ''
  }
}
