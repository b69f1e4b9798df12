/**
 * The questions asked of the warehouse: only SELECT, only events, only bound parameters. Events of months that were moved
 * to cold storage are asked there, as far as a question may concern them (packages/warehouse/src/history.ts).
 * Sessions are folded here from their events, so that there is one truth and no state beside it.
 */
import type { ClickHouseClient } from '@clickhouse/client'
import { isCustodyError, type WarehouseSettings } from '@custody/kit'
import type { Who } from '@custody/schemas'
import { createHistory, EVENTS, type Period } from '@custody/warehouse'
import { notFound, storeUnavailable } from './errors'
import {
  type Condition,
  conditionOf,
  decodeCursor,
  type EventFilters,
  encodeCursor,
  hexOf,
  idParameter,
  keyset,
  timeParameter,
} from './filters'
import { eventColumns, eventOf, type JsonObject, microsOfIso, timeOf, uuidOfHex } from './rows'

export interface Page {
  items: JsonObject[]
  /** Where the next page begins, or null at the end. */
  next: string | null
}

/** Whose events may be seen: everybody's, or those of one identity. */
/** Everything, everything but who looked at what, or what one identity did. */
export type Scope = null | { without: 'audit' } | { subject: string; issuer: string }

export interface Store {
  ping(): Promise<void>
  events(filters: EventFilters, page: PageRequest, scope: Scope): Promise<Page>
  sessions(filters: SessionFilters, page: PageRequest, scope: Scope): Promise<Page>
  session(id: string, scope: Scope): Promise<JsonObject>
  /** The identifier meant by a UUID, the beginning of one, or `last`. */
  resolveSession(asked: string, scope: Scope): Promise<string>
  /** Requests for approval with what became of them. */
  approvals(filters: ApprovalFilters, page: PageRequest): Promise<Page>
  /** One request, by its identifier or the beginning of it. */
  approval(asked: string): Promise<JsonObject>
  /** The version of the policies in force (null: none), and what is wrong with newer ones that are not. */
  policy(): Promise<{ version: string | null; problem: string | null }>
  /** A client that waits for somebody to vouch for it, by the digest of its code; null where there is none. */
  signInAsked(codeDigest: string, since: string): Promise<JsonObject | null>
  /** Who signed in last with this e-mail address, in person, at or after a moment; and with which groups. */
  lastIdentity(email: string, sinceMicros: number): Promise<Who | null>
  /** The latest requests of an identity with a statement of this shape, before another one. */
  askedBefore(asked: AskedBefore): Promise<JsonObject[]>
  sessionEvents(
    id: string,
    from: number,
    limits: { eventsMax: number; outputBytesMax?: number },
    scope: Scope,
  ): Promise<SessionEvents>
}

export interface PageRequest {
  limit: number
  cursor?: string
  ascending?: boolean
}

export interface SessionFilters {
  since?: string
  until?: string
  identity?: string
  resource?: string
}

export interface ApprovalFilters {
  since?: string
  until?: string
  identity?: string
  resource?: string
}

export interface AskedBefore {
  subject: string
  issuer: string
  fingerprint: string
  /** Microseconds since 1970. */
  since: number
  before: number
  limit: number
}

export interface SessionEvents {
  events: JsonObject[]
  /** Ordinal to go on from, or null when all were read. */
  next: number | null
}

/** Settings of every question: 64-bit numbers as numbers, times in UTC, and bounds on what one may cost. */
const SETTINGS = {
  output_format_json_quote_64bit_integers: 0,
  output_format_json_named_tuples_as_objects: 1,
  session_timezone: 'UTC',
  max_execution_time: 30,
  // Columns are selected under their own names, as hex for instance; conditions mean the columns.
  prefer_column_name_to_alias: 1,
} as const

/** What stands for the table in a question, until it is known where its events lie. */
const TABLE = '{events}'

/**
 * A session's identifier says when it was made (UUID version 7). It never goes back, so after a gateway's clock was set back it
 * is ahead of its events' times by as much.
 */
const CLOCK_MICROS_MAX = 7 * 86_400_000_000

/** Nothing with this identifier is older; undefined where it says nothing about time. */
export function earliestOf(hex: string): number | undefined {
  // The first 48 bits are milliseconds; 12 digits are needed for all of them, fewer are a beginning.
  if (hex.length > 12 && hex[12] !== '7') return undefined
  const millis = Number.parseInt(hex.slice(0, 12).padEnd(12, '0'), 16)
  return millis * 1000 - CLOCK_MICROS_MAX
}
/** That an identifier begins as `asked` does; null where none can. */
function rangeOf(column: string, asked: string): Condition | null {
  const hex = asked.replaceAll('-', '').toLowerCase()
  if (!/^[0-9a-f]{4,32}$/.test(hex) || asked.length > 36) return null
  return {
    sql: [`${column} >= ${idParameter('low')}`, `${column} <= ${idParameter('high')}`],
    parameters: { low: hex.padEnd(32, '0'), high: hex.padEnd(32, 'f') },
  }
}

export function createStore(
  client: ClickHouseClient,
  settings?: Pick<WarehouseSettings, 'cold'>,
): Store {
  const history = createHistory({ client, settings })

  /** `period`: events outside of it can't be an answer. */
  async function rows(
    query: string,
    parameters: Condition['parameters'],
    period: Period = {},
  ): Promise<Record<string, unknown>[]> {
    const ask = async (from: string) => {
      const result = await client.query({
        query: query.replaceAll(TABLE, () => from),
        query_params: parameters,
        format: 'JSONEachRow',
        clickhouse_settings: SETTINGS,
      })
      return result.json<Record<string, unknown>>()
    }
    try {
      return await (query.includes(TABLE) ? history.read(period, ask) : ask(EVENTS))
    } catch (cause) {
      if (isCustodyError(cause)) throw cause
      throw storeUnavailable(cause)
    }
  }

  function scoped(condition: Condition, scope: Scope): Condition {
    if (scope === null) return condition
    if ('without' in scope) {
      condition.sql.push("NOT startsWith(kind, 'audit.')")
      return condition
    }
    condition.sql.push('who.subject = {scopeSubject:String}', 'who.issuer = {scopeIssuer:String}')
    condition.parameters.scopeSubject = scope.subject
    condition.parameters.scopeIssuer = scope.issuer
    return condition
  }

  const where = (condition: Condition) =>
    condition.sql.length > 0 ? `WHERE ${condition.sql.join('\n  AND ')}` : ''

  async function page(
    condition: Condition,
    request: PageRequest,
    without: string[],
  ): Promise<Page> {
    const ascending = request.ascending ?? false
    if (request.cursor)
      condition.sql.push(keyset(decodeCursor(request.cursor), ascending, condition.parameters))
    const direction = ascending ? 'ASC' : 'DESC'
    condition.parameters.limit = request.limit + 1
    const among = (more: string[], period: Period) =>
      rows(
        `SELECT
  ${eventColumns(without)}
FROM ${TABLE}
${where({ ...condition, sql: [...condition.sql, ...more] })}
ORDER BY time ${direction}, id ${direction}
LIMIT {limit:UInt32}`,
        condition.parameters,
        period,
      )
    const period = periodOf(condition.parameters, request, ascending)
    const boundary = history.boundaryMicros()
    let found: Record<string, unknown>[] | null = null
    if (!ascending && Number.isFinite(boundary) && (period.untilMicros ?? Infinity) > boundary) {
      // The newest first: where they fill the page nothing older has to be looked at.
      condition.parameters.boundary = boundary
      const newest = await among([`time >= ${timeParameter('boundary')}`], {
        ...period,
        sinceMicros: Math.max(boundary, period.sinceMicros ?? boundary),
      })
      if (newest.length > request.limit) found = newest
    }
    found ??= await among([], period)
    const items = found.slice(0, request.limit).map(eventOf)
    const last = items.at(-1)
    return { items, next: found.length > request.limit && last ? cursorAt(last) : null }
  }

  /** What became of sessions that were opened: their counts and how they closed, in one pass over their events. */
  async function fold(opened: JsonObject[]): Promise<JsonObject[]> {
    if (opened.length === 0) return []
    const first = Math.min(...opened.map((event) => microsOfIso(String(event.time))!))
    const found = await rows(
      `SELECT
  hex(session) AS id,
  count() AS events,
  countIf(kind = 'command.started') AS commands,
  countIf(kind = 'command.completed' AND response.status != 'ok' AND response.status != 'suspended') AS failed,
  sumIf(ifNull(response.rows, 0), kind = 'command.completed') AS rows,
  max(time) AS lastTime,
  max(ordinal) AS lastOrdinal,
  anyIf(lifecycle.state, kind = 'session.closed') AS state,
  anyIf(lifecycle.reason, kind = 'session.closed') AS reason,
  anyIf(lifecycle.events, kind = 'session.closed') AS sealed,
  anyIf(lifecycle.bytesIn, kind = 'session.closed') AS bytesIn,
  anyIf(lifecycle.bytesOut, kind = 'session.closed') AS bytesOut,
  anyIf(lifecycle.durationMicros, kind = 'session.closed') AS durationMicros,
  anyIf(time, kind = 'session.closed') AS closedTime
FROM ${TABLE}
WHERE session IN (SELECT toFixedString(unhex(arrayJoin({ids:Array(String)})), 16))
  AND time >= ${timeParameter('first')}
GROUP BY session`,
      { ids: opened.map((event) => hexOf(String(event.session))), first },
      { sinceMicros: first },
    )
    const byId = new Map(found.map((row) => [uuidOfHex(String(row.id)), row]))
    return opened.map((event) => sessionOf(event, byId.get(String(event.session))))
  }

  function openedCondition(filters: SessionFilters, scope: Scope): Condition {
    const condition = conditionOf({ ...filters, kind: 'session.opened' })
    // Custody's own looks at targets are found by asking for them.
    if (!filters.identity) condition.sql.push("who.kind != 'system'")
    return scoped(condition, scope)
  }

  /** What became of requests: the answers given, and how each ended. */
  async function foldApprovals(requested: JsonObject[]): Promise<JsonObject[]> {
    if (requested.length === 0) return []
    const first = Math.min(...requested.map((event) => microsOfIso(String(event.time))!))
    const ids = requested.map((event) => hexOf(requestOf(event)))
    const sessions = requested.map((event) => hexOf(String(event.session)))
    const found = (
      await rows(
        `SELECT
  ${eventColumns(['output', 'statement', 'response', 'access', 'audit', 'configuration', 'recording', 'masks'])}
FROM ${TABLE}
WHERE time >= ${timeParameter('first')} AND (
  (kind IN ('approval.answered', 'approval.approved', 'approval.denied', 'approval.expired', 'approval.withdrawn')
    AND approval.request IN (SELECT toFixedString(unhex(arrayJoin({ids:Array(String)})), 16)))
  OR (kind = 'session.closed' AND session IN (SELECT toFixedString(unhex(arrayJoin({sessions:Array(String)})), 16))))
ORDER BY kind = 'approval.answered', time, id
LIMIT {most:UInt32}`,
        { ids, sessions, first, most: 50 * requested.length },
        { sinceMicros: first },
      )
    ).map(eventOf)
    const now = new Date().toISOString()
    return requested.map((event) => approvalOf(event, found, now))
  }

  const WITHOUT = [
    'output',
    'statement',
    'response',
    'approval',
    'access',
    'audit',
    'configuration',
    'recording',
    'decision',
    'masks',
  ]

  return {
    async ping() {
      await rows('SELECT 1 AS one', {})
    },

    events(filters, request, scope) {
      return page(scoped(conditionOf(filters), scope), request, [])
    },

    async sessions(filters, request, scope) {
      const opened = await page(openedCondition(filters, scope), request, WITHOUT)
      return { items: await fold(opened.items), next: opened.next }
    },

    async approvals(filters, request) {
      const asked = await page(conditionOf({ ...filters, kind: 'approval.requested' }), request, [
        'output',
        'response',
      ])
      return { items: await foldApprovals(asked.items), next: asked.next }
    },

    async policy() {
      const { items } = await page(
        {
          sql: [
            "kind IN ('configuration.changed', 'configuration.refused')",
            "configuration.subject = 'policy'",
          ],
          parameters: {},
        },
        { limit: 1 },
        ['output', 'response', 'statement', 'masks'],
      )
      const last = items[0]?.configuration as JsonObject | undefined
      if (!last) return { version: null, problem: null }
      const change = JSON.parse(String(last.change)) as { problem?: string }
      return {
        version: (last.after ?? last.before ?? null) as string | null,
        problem: change.problem ?? null,
      }
    },

    async signInAsked(codeDigest, since) {
      const condition = conditionOf({ kind: 'access.sign-in-asked', since })
      condition.sql.push("lifecycle.attributes['code'] = {code:String}")
      condition.parameters.code = codeDigest
      const { items } = await page(condition, { limit: 1 }, ['output', 'response', 'statement'])
      return items[0] ?? null
    },

    async approval(asked) {
      const range = rangeOf('approval.request', asked)
      if (!range) throw notFound(`${JSON.stringify(asked.slice(0, 64))} is no request`)
      const condition = { ...range, sql: ["kind = 'approval.requested'", ...range.sql] }
      const found = await page(condition, { limit: 5 }, ['output', 'response'])
      if (found.items.length > 1)
        // Not which: not all of them may concern who asks.
        throw notFound(`${asked} is the beginning of several requests`)
      const [approval] = await foldApprovals(found.items)
      if (!approval) throw notFound(`there is no request ${asked}`)
      return approval
    },

    async lastIdentity(email, sinceMicros) {
      const found = await rows(
        `SELECT
  who.subject AS subject, who.issuer AS issuer, who.email AS email, who.name AS name, who.groups AS groups
FROM ${TABLE}
WHERE lowerUTF8(who.email) = {email:String} AND who.kind = 'human'
  AND kind = 'access.sign-in' AND NOT startsWith(who.method, 'channel:') AND time >= ${timeParameter('since')}
ORDER BY time DESC, id DESC
LIMIT 1`,
        { email: email.toLowerCase(), since: sinceMicros },
        { sinceMicros },
      )
      const [one] = found
      if (!one) return null
      return {
        subject: String(one.subject),
        issuer: String(one.issuer),
        email: String(one.email),
        name: one.name === null ? null : String(one.name),
        groups: (one.groups as unknown[]).map(String),
        kind: 'human',
        method: 'last-sign-in',
        tokenId: null,
        authenticatedAt: null,
        onBehalfOf: [],
      }
    },

    async askedBefore({ subject, issuer, fingerprint, since, before, limit }) {
      const condition = {
        sql: [
          "kind = 'approval.requested'",
          'who.subject = {subject:String}',
          'who.issuer = {issuer:String}',
          'statement.fingerprint = {fingerprint:String}',
          `time >= ${timeParameter('since')}`,
          `time < ${timeParameter('before')}`,
        ],
        parameters: { subject, issuer, fingerprint, since, before },
      }
      const asked = await page(condition, { limit }, ['output', 'response'])
      return foldApprovals(asked.items)
    },

    async session(id, scope) {
      const condition = scoped(conditionOf({ session: id, kind: 'session.opened' }), scope)
      const opened = await page(condition, { limit: 1 }, WITHOUT)
      const session = (await fold(opened.items))[0]
      if (!session) throw notFound(`there is no session ${id}`, await recent(scope))
      return session
    },

    async resolveSession(asked, scope) {
      if (asked === 'last') {
        const opened = await page(openedCondition({}, scope), { limit: 1 }, WITHOUT)
        const last = opened.items[0]
        if (!last) throw notFound('there is no session yet')
        return String(last.session)
      }
      const range = rangeOf('session', asked)
      if (!range)
        throw notFound(`${JSON.stringify(asked.slice(0, 64))} is no session`, await recent(scope))
      const condition = scoped({ ...range, sql: ["kind = 'session.opened'", ...range.sql] }, scope)
      const opened = await page(condition, { limit: 5 }, WITHOUT)
      const ids = opened.items.map((event) => String(event.session))
      if (ids.length === 1) return ids[0]!
      if (ids.length === 0) throw notFound(`there is no session ${asked}`, await recent(scope))
      throw notFound(`${asked} is the beginning of several sessions`, ids)
    },

    async sessionEvents(id, from, limits, scope) {
      const condition = scoped(conditionOf({ session: id }), scope)
      condition.sql.push('ordinal >= {from:Int64}')
      condition.parameters.from = from
      const withOutput = limits.outputBytesMax !== undefined
      if (!withOutput) condition.sql.push("kind != 'output'")
      let eventsMax = limits.eventsMax
      if (withOutput) {
        // How many events fit: sizes first, so that no answer is larger than its bound.
        const sizes = await rows(
          `SELECT kind, hex(id) AS id, hex(command) AS command, ifNull(length(output.data), 0) AS bytes FROM ${TABLE} ${where(condition)} ORDER BY ordinal LIMIT {sizes:UInt32}`,
          { ...condition.parameters, sizes: eventsMax + 1 },
          { sinceMicros: earliestOf(hexOf(id)) },
        )
        eventsMax = fitting(sizes, eventsMax, limits.outputBytesMax!)
      }
      condition.parameters.limit = eventsMax + 1
      const found = await rows(
        `SELECT
  ${eventColumns(withOutput ? [] : ['output'])}
FROM ${TABLE}
${where(condition)}
ORDER BY ordinal
LIMIT {limit:UInt32}`,
        condition.parameters,
        { sinceMicros: earliestOf(hexOf(id)) },
      )
      const events = found.slice(0, eventsMax).map(eventOf)
      const next = found.length > eventsMax ? Number(found[eventsMax]!.ordinal) : null
      if (next !== null) events.push(...(await completions(id, events, next, withOutput)))
      return { events, next }
    },
  }

  /** How commands of this page ended where that lies behind it; with their output if that is wanted and fits. */
  async function completions(
    session: string,
    events: JsonObject[],
    from: number,
    withOutput: boolean,
  ): Promise<JsonObject[]> {
    const open = new Set(
      events.filter((event) => event.kind === 'command.started').map((event) => String(event.id)),
    )
    for (const event of events)
      if (event.kind === 'command.completed') open.delete(String(event.command))
    if (open.size === 0) return []
    const found = await rows(
      `SELECT
  ${eventColumns(['output'])}
FROM ${TABLE}
WHERE session = ${idParameter('session')} AND ordinal >= {from:Int64} AND kind = 'command.completed'
  AND command IN (SELECT toFixedString(unhex(arrayJoin({commands:Array(String)})), 16))
ORDER BY ordinal`,
      { session: hexOf(session), from, commands: [...open].map(hexOf) },
      { sinceMicros: earliestOf(hexOf(session)) },
    )
    return found.map((row) => {
      const event = eventOf(row)
      return withOutput ? { ...event, answerLimit: true } : event
    })
  }

  /** The latest sessions, to suggest in place of one that is not there. */
  async function recent(scope: Scope): Promise<string[]> {
    const opened = await page(openedCondition({}, scope), { limit: 3 }, WITHOUT)
    return opened.items.map((event) => String(event.session))
  }
}

/** Between which moments a page's events lie, by what was asked for and where the page begins. */
export function periodOf(
  parameters: Condition['parameters'],
  request: PageRequest,
  ascending: boolean,
): Period {
  const number = (name: string) =>
    typeof parameters[name] === 'number' ? (parameters[name] as number) : undefined
  const cursor = request.cursor ? number('cursorTime') : undefined
  const named = [parameters.session, parameters.low].find((one) => typeof one === 'string')
  const since = [
    number('since'),
    ascending ? cursor : undefined,
    typeof named === 'string' ? earliestOf(named) : undefined,
  ].filter((one) => one !== undefined)
  const until = [number('until'), number('before'), ascending ? undefined : cursor].filter(
    (one) => one !== undefined,
  )
  return {
    sinceMicros: since.length > 0 ? Math.max(...since) : undefined,
    untilMicros: until.length > 0 ? Math.min(...until) : undefined,
  }
}

/** Events of a page: as many as fit, ending where no command is under way if there is such a place. */
export function fitting(
  sizes: readonly Record<string, unknown>[],
  eventsMax: number,
  bytesMax: number,
): number {
  const open = new Set<unknown>()
  let bytes = 0
  let clean = 0
  for (let i = 0; i < sizes.length; i++) {
    if (open.size === 0) clean = i
    bytes += Number(sizes[i]!.bytes)
    if (i === eventsMax || (bytes > bytesMax && i > 0)) return clean || i
    if (sizes[i]!.kind === 'command.started') open.add(sizes[i]!.id)
    else if (sizes[i]!.kind === 'command.completed') open.delete(sizes[i]!.command)
  }
  return sizes.length
}

function cursorAt(event: JsonObject): string {
  return encodeCursor({ micros: microsOfIso(String(event.time))!, id: String(event.id) })
}

function sessionOf(opened: JsonObject, row: Record<string, unknown> | undefined): JsonObject {
  const state = row?.state ? String(row.state) : 'open'
  const closed = state !== 'open'
  const path = (opened.path ?? {}) as JsonObject
  const lifecycle = (opened.lifecycle ?? {}) as JsonObject
  const number = (value: unknown) => Number(value ?? 0)
  const lastTime = timeText(row?.lastTime) ?? opened.time!
  return {
    id: opened.session!,
    opened: opened.time!,
    closed: closed ? timeText(row?.closedTime) : null,
    /** open, closed, or unknown (found open at recovery). */
    state,
    reason: row?.reason ? String(row.reason) : null,
    who: opened.who!,
    resource: path.resource ?? null,
    protocol: path.protocol ?? null,
    path,
    commands: number(row?.commands),
    failed: number(row?.failed),
    rows: number(row?.rows),
    events: number(row?.events),
    /** Whether the closing event's count is what the store has; null while the session is open. */
    complete: closed ? number(row?.events) === number(row?.sealed) : null,
    bytesIn: closed ? number(row?.bytesIn) : null,
    bytesOut: closed ? number(row?.bytesOut) : null,
    durationMicros: closed
      ? number(row?.durationMicros)
      : microsOfIso(String(lastTime))! - microsOfIso(String(opened.time))!,
    lastEvent: lastTime,
    parent: opened.parent ?? null,
    attributes: lifecycle.attributes ?? {},
    recorder: opened.recorder!,
  }
}

function requestOf(event: JsonObject): string {
  return String((event.approval as JsonObject).request)
}

/** A request with its answers. Without an end of its own it ends with its session, or when its time is over. */
function approvalOf(event: JsonObject, found: readonly JsonObject[], now: string): JsonObject {
  const id = requestOf(event)
  const own = found.filter((one) => one.approval && requestOf(one) === id)
  const end = own.find((one) => one.kind !== 'approval.answered')
  const closed = found.find((one) => one.kind === 'session.closed' && one.session === event.session)
  const approval = event.approval as JsonObject
  const attributes = ((event.lifecycle as JsonObject)?.attributes ?? {}) as JsonObject
  const expires = String(approval.expires)
  return {
    id,
    state: end
      ? String(end.kind).slice('approval.'.length)
      : closed
        ? 'withdrawn'
        : expires < now
          ? 'expired'
          : 'waiting',
    requested: event.time!,
    expires,
    ended: end?.time ?? null,
    waitedMicros: end ? ((end.approval as JsonObject).waitedMicros ?? null) : null,
    session: event.session!,
    who: event.who!,
    path: event.path!,
    statement: event.statement!,
    decision: event.decision!,
    reason: approval.comment ?? null,
    required: approval.required!,
    /** Groups: `dba, sre & security`; empty: anybody else. */
    approvers: attributes.approvers ?? '',
    commentRequired: attributes.comment === 'required',
    remember: attributes.remember ?? null,
    /** Groups one of whom may let it run alone; null: nobody. */
    force: attributes.force ?? null,
    answers: own
      .filter((one) => one.kind === 'approval.answered')
      .map((one) => {
        const { state, approver, channel, comment } = one.approval as JsonObject
        return {
          time: one.time!,
          state: state!,
          who: approver!,
          channel: channel!,
          comment: comment!,
        }
      }),
  }
}

function timeText(value: unknown): string | null {
  return value === undefined ? null : timeOf(value)
}
