/**
 * What a reader asks for: filters of events checked and turned into a WHERE clause with bound parameters, and cursors.
 * Pure. No value of a reader ever becomes part of the SQL text.
 */
import { badRequest } from './errors'
import { microsOfIso } from './rows'

export interface EventFilters {
  session?: string
  since?: string
  until?: string
  kind?: string
  without?: string
  identity?: string
  resource?: string
  text?: string
  object?: string
}

export interface Condition {
  sql: string[]
  parameters: Record<string, string | number | string[]>
}

export const LIMIT_DEFAULT = 100
export const LIMIT_MAX = 1000

/** Fixed-length identifier bytes from bound hex. */
export const idParameter = (name: string) => `toFixedString(unhex({${name}:String}), 16)`
/** A moment from bound microseconds. */
export const timeParameter = (name: string) => `fromUnixTimestamp64Micro({${name}:Int64}, 'UTC')`

export function conditionOf(filters: EventFilters): Condition {
  const sql: string[] = []
  const parameters: Condition['parameters'] = {}
  if (filters.session) {
    sql.push(`session = ${idParameter('session')}`)
    parameters.session = hexOf(filters.session)
  }
  if (filters.since) {
    sql.push(`time >= ${timeParameter('since')}`)
    parameters.since = moment('since', filters.since)
  }
  if (filters.until) {
    sql.push(`time < ${timeParameter('until')}`)
    parameters.until = moment('until', filters.until)
  }
  if (filters.kind) sql.push(kindCondition('kind', filters.kind, parameters))
  if (filters.without) sql.push(`NOT (${kindCondition('without', filters.without, parameters)})`)
  if (filters.identity) {
    sql.push('(who.subject = {identity:String} OR who.email = {identity:String})')
    parameters.identity = filters.identity
  }
  if (filters.resource) {
    sql.push('path.resource = {resource:String}')
    parameters.resource = filters.resource
  }
  if (filters.text) {
    // In the words of the index by_words, so that it is used.
    sql.push('lowerUTF8(statement.text) LIKE {text:String}')
    parameters.text = `%${filters.text.toLowerCase().replace(/[\\%_]/g, '\\$&')}%`
  }
  if (filters.object) {
    sql.push(
      // In the words of the index by_object, so that it is used …
      `has(arrayMap(one -> lowerUTF8(splitByChar('.', one)[-1]), statement.objects.name), {objectLast:String})`,
      // … and then exactly: `payments` also finds `public.payments`.
      `arrayExists(one -> lowerUTF8(one) = {object:String} OR endsWith(lowerUTF8(one), concat('.', {object:String})), statement.objects.name)`,
    )
    parameters.objectLast = filters.object.toLowerCase().split('.').at(-1)!
    parameters.object = filters.object.toLowerCase()
  }
  return { sql, parameters }
}

/** `command.*` means all kinds with that beginning; several may be given, separated by commas. */
function kindCondition(name: string, kinds: string, parameters: Condition['parameters']): string {
  const parts = kinds
    .split(',')
    .map((one) => one.trim())
    .filter(Boolean)
  if (parts.length === 0 || parts.length > 32) throw badRequest(`${name}: 1 to 32 kinds`)
  return parts
    .map((kind, i) => {
      if (!/^[a-z][a-z0-9.-]*\*?$/.test(kind))
        throw badRequest(`${name}: ${JSON.stringify(kind)} is no kind of event`)
      const parameter = `${name}${i}`
      parameters[parameter] = kind.replace('*', '')
      return kind.endsWith('*')
        ? `startsWith(kind, {${parameter}:String})`
        : `kind = {${parameter}:String}`
    })
    .join(' OR ')
    .replace(/^(.*)$/, '($1)')
}

function moment(name: string, text: string): number {
  const micros = microsOfIso(text)
  if (micros === null)
    throw badRequest(
      `${name}: ${JSON.stringify(text)} is no time in ISO 8601, such as 2026-01-31T12:00:00Z`,
    )
  return micros
}

export function hexOf(uuid: string): string {
  if (!/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(uuid))
    throw badRequest(`${JSON.stringify(uuid.slice(0, 64))} is no identifier (UUID)`)
  return uuid.replaceAll('-', '').toLowerCase()
}

/** Where a page ended: the time and identifier of its last row. */
export interface Cursor {
  micros: number
  id: string
}

export function encodeCursor(cursor: Cursor): string {
  return Buffer.from(`${cursor.micros}.${cursor.id.replaceAll('-', '')}`).toString('base64url')
}

export function decodeCursor(text: string): Cursor {
  const match = /^(\d{1,17})\.([0-9a-f]{32})$/.exec(Buffer.from(text, 'base64url').toString())
  if (!match) throw badRequest('cursor: not one that this API gave')
  return { micros: Number(match[1]), id: match[2]! }
}

export function keyset(
  cursor: Cursor,
  ascending: boolean,
  parameters: Condition['parameters'],
): string {
  parameters.cursorTime = cursor.micros
  parameters.cursorId = cursor.id
  return `(time, id) ${ascending ? '>' : '<'} (${timeParameter('cursorTime')}, ${idParameter('cursorId')})`
}
