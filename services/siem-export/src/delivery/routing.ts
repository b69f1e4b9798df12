/**
 * What of the stream one destination gets, and what of an event is left out on the way: filters, sampling, redaction beyond
 * masks. Pure. Refuses to leave anything out that was not asked for; what is left out is counted by its reason.
 */
import { createHash } from 'node:crypto'
import type { SiemDestinationSettings } from '@custody/kit'
import { type Event, readTimeAndKind } from '@custody/schemas'
import { RE2JS } from 're2js'
import { SEVERITIES, severityOf } from '../formats'

export type LeftOut = 'before' | 'filtered' | 'sampled'
export type RouteSettings = Pick<SiemDestinationSettings, 'filter' | 'redact' | 'sample'>

export const REDACTED = '[redacted]'
/** Of the hash of an identifier that sampling goes by. */
const SAMPLE_RANGE = 2 ** 32

export interface Route {
  /** By the envelope alone: true where the event need not be decoded. */
  skips(message: Buffer): LeftOut | null
  /** What the destination gets of it, or why it gets nothing. */
  take(event: Event): Event | LeftOut
}

export function createRoute(settings: RouteSettings, sinceMicros: number): Route {
  const { filter, redact, sample } = settings
  const wanted = filter.kinds && matcher(filter.kinds)
  const unwanted = matcher(filter.exceptKinds)
  const resources = filter.resources && globs(filter.resources)
  const identities = filter.identities && globs(filter.identities)
  const lowest = SEVERITIES.indexOf(filter.severity)
  const samples = sample.map(({ kinds, keep }) => ({ fits: matcher(kinds), keep }))
  const redaction = createRedaction(redact)

  return { skips, take }

  function skips(message: Buffer): LeftOut | null {
    const { time, kind } = readTimeAndKind(message)
    if (time < sinceMicros) return 'before'
    if ((wanted && !wanted(kind)) || unwanted(kind)) return 'filtered'
    return null
  }

  function take(event: Event): Event | LeftOut {
    // What belongs to no resource, or to nobody, is not about one that was not asked for: recorders, configuration, alerts.
    const resource = event.path?.resource
    if (resources && resource !== undefined && !resources(resource)) return 'filtered'
    if (
      identities &&
      event.who !== null &&
      !identities(event.who.subject) &&
      !(event.who.email !== null && identities(event.who.email)) &&
      !event.who.groups.some((group) => identities(`group:${group}`))
    )
      return 'filtered'
    if (lowest > 0 && SEVERITIES.indexOf(severityOf(event)) < lowest) return 'filtered'
    for (const { fits, keep } of samples) {
      if (!fits(event.kind)) continue
      // By session, so that a session is there whole or not at all, and the same each time.
      if (shareOf(event.session ?? event.id) >= keep) return 'sampled'
      break
    }
    return redaction === null ? event : redaction(event)
  }
}

function shareOf(id: Uint8Array): number {
  return createHash('sha256').update(id).digest().readUInt32BE(0) / SAMPLE_RANGE
}

/** A kind, or its beginning up to a dot. */
function matcher(kinds: readonly string[]): (kind: string) => boolean {
  const known = new Map<string, boolean>()
  return (kind) => {
    let fits = known.get(kind)
    if (fits === undefined) {
      fits = kinds.some((one) => kind === one || kind.startsWith(`${one}.`))
      if (known.size < 1000) known.set(kind, fits)
    }
    return fits
  }
}

function globs(patterns: readonly string[]): (text: string) => boolean {
  const all = patterns.map(
    (pattern) =>
      new RegExp(
        `^${pattern
          .replace(/[.+^${}()|[\]\\]/g, '\\$&')
          .replace(/\*/g, '.*')
          .replace(/\?/g, '.')}$`,
        'is',
      ),
  )
  return (text) => all.some((one) => one.test(text))
}

function createRedaction({
  fields,
  patterns,
}: RouteSettings['redact']): ((event: Event) => Event) | null {
  const found = new Set(fields)
  const compiled = patterns.map((pattern) => RE2JS.compile(pattern))
  if (found.size === 0 && compiled.length === 0) return null
  const clean = (text: string): string => {
    let left = text
    for (const one of compiled) left = one.matcher(left).replaceAll(REDACTED)
    return left
  }
  const maybe = (text: string | null, field: (typeof fields)[number]): string | null =>
    text === null ? null : found.has(field) ? REDACTED : clean(text)

  return (event) => {
    const { statement, response, who, path, approval, audit, output } = event
    return {
      ...event,
      statement: statement && {
        ...statement,
        text: found.has('statement') ? REDACTED : clean(statement.text),
        // It quotes what was not understood.
        problem: maybe(statement.problem, 'statement'),
        objects: statement.objects.map((one) => ({ ...one, name: clean(one.name) })),
        attributes: Object.fromEntries(
          Object.entries(statement.attributes).map(([name, value]) => [name, clean(value)]),
        ),
        parameters: found.has('parameters')
          ? []
          : statement.parameters.map((one) => ({
              ...one,
              value: one.value === null ? null : clean(one.value),
            })),
      },
      response: response && { ...response, message: maybe(response.message, 'error-message') },
      output:
        output &&
        (found.has('output') || compiled.length > 0
          ? {
              ...output,
              data: Buffer.alloc(0),
              omittedBytes: output.omittedBytes + output.data.length,
            }
          : output),
      who: who && redactedWho(who),
      path: path && {
        ...path,
        clientAddress: found.has('client-address') ? null : path.clientAddress,
        clientPort: found.has('client-address') ? null : path.clientPort,
      },
      approval: approval && {
        ...approval,
        comment: maybe(approval.comment, 'comment'),
        approver: approval.approver && redactedWho(approval.approver),
      },
      audit: audit && { ...audit, query: audit.query === null ? null : clean(audit.query) },
    }
  }

  function redactedWho(who: NonNullable<Event['who']>): NonNullable<Event['who']> {
    return {
      ...who,
      email: found.has('email') ? null : who.email,
      name: found.has('name') ? null : who.name,
      groups: found.has('groups') ? [] : who.groups,
    }
  }
}
