/**
 * Events between the store and JSON: which expressions to select, and how a row becomes the event's JSON.
 * Both follow the event schema, so a field added there is shown without a change here.
 * JSON form: identifiers as UUID text, digests as hex, other bytes as base64, times as ISO 8601 with microseconds.
 * Refuses to touch the database; values in, values out.
 */
import { eventSchema } from '@custody/schemas'

type Avro =
  | string
  | Avro[]
  | {
      type: Avro
      logicalType?: string
      name?: string
      namespace?: string
      fields?: { name: string; type: Avro }[]
      items?: Avro
      values?: Avro
      size?: number
    }

type Form = 'uuid' | 'digest' | 'bytes' | 'time' | 'plain' | 'record' | 'records'

interface Field {
  name: string
  form: Form
  nullable: boolean
  /** Fields of a record, or of the records of an array. */
  fields?: Field[]
}

const named = new Map<string, Avro>()

function fieldOf(name: string, avro: Avro): Field {
  let nullable = false
  let type = avro
  if (Array.isArray(type)) {
    nullable = type.includes('null')
    type = type.find((one) => one !== 'null')!
  }
  if (typeof type === 'string' && named.has(type)) type = named.get(type)!
  if (typeof type === 'string')
    return { name, nullable, form: type === 'bytes' ? 'bytes' : 'plain' }
  if (Array.isArray(type)) throw new TypeError(`${name}: a union of unions`)
  if (type.name) named.set(`${type.namespace ?? 'custody'}.${type.name}`, type)
  if (type.logicalType === 'timestamp-micros') return { name, nullable, form: 'time' }
  switch (type.type) {
    case 'fixed':
      return { name, nullable, form: type.size === 16 ? 'uuid' : 'digest' }
    case 'record':
      return {
        name,
        nullable,
        form: 'record',
        fields: type.fields!.map((field) => fieldOf(field.name, field.type)),
      }
    case 'array': {
      const items = fieldOf(name, type.items!)
      return items.form === 'record'
        ? { name, nullable, form: 'records', fields: items.fields! }
        : { name, nullable, form: 'plain' }
    }
    default:
      return { name, nullable, form: 'plain' }
  }
}

const event = fieldOf('event', eventSchema as unknown as Avro)
const SEPARATOR = '/'

/** What to select, each leaf by itself, so that bytes travel as text. `without` names whole columns to leave out. */
export function eventColumns(without: readonly string[] = []): string {
  const parts: string[] = []
  for (const field of event.fields!) {
    if (without.includes(field.name)) continue
    if (field.form !== 'record') {
      parts.push(`${leaf(field.name, field.form)} AS \`${field.name}\``)
      continue
    }
    // A column that can't be NULL holds defaults where there was none: then its first field, never empty, is.
    const first = `${field.name}.${field.fields![0]!.name}`
    parts.push(
      `${field.fields![0]!.form === 'uuid' ? `isNotNull(${first}) AND hex(assumeNotNull(${first})) != '${'0'.repeat(32)}'` : `isNotNull(${first}) AND ${first} != ''`} AS \`${field.name}\``,
    )
    for (const inner of field.fields!)
      parts.push(
        `${leaf(`${field.name}.${inner.name}`, inner.form)} AS \`${field.name}${SEPARATOR}${inner.name}\``,
      )
  }
  return parts.join(',\n  ')
}

function leaf(path: string, form: Form): string {
  switch (form) {
    case 'uuid':
    case 'digest':
      return `hex(${path})`
    case 'bytes':
      return `base64Encode(${path})`
    default:
      return path
  }
}

export type Json = null | boolean | number | string | Json[] | { [name: string]: Json }
export type JsonObject = { [name: string]: Json }

/** The event's JSON from a selected row. */
export function eventOf(row: Record<string, unknown>): JsonObject {
  const json: JsonObject = {}
  for (const field of event.fields!) {
    if (!(field.name in row)) continue
    if (field.form !== 'record') {
      json[field.name] = jsonOf(field, row[field.name])
      continue
    }
    if (!truth(row[field.name])) {
      json[field.name] = null
      continue
    }
    const record: JsonObject = {}
    for (const inner of field.fields!)
      record[inner.name] = jsonOf(inner, row[`${field.name}${SEPARATOR}${inner.name}`])
    json[field.name] = record
  }
  return json
}

function truth(value: unknown): boolean {
  return value === true || value === 1 || value === '1' || value === 'true'
}

function jsonOf(field: Field, value: unknown): Json {
  if (value === null || value === undefined) return null
  switch (field.form) {
    case 'uuid':
      return uuidOfHex(String(value))
    case 'digest':
      return /^0*$/.test(String(value)) && field.nullable ? null : String(value).toLowerCase()
    case 'time':
      return timeOf(value)
    case 'record':
      // A record that was null is one of defaults in the store.
      if (field.nullable && isEmpty(field.fields![0]!, value as Record<string, unknown>))
        return null
      return objectOf(field.fields!, value as Record<string, unknown>)
    case 'records':
      return (value as Record<string, unknown>[]).map((one) => objectOf(field.fields!, one))
    default:
      return value as Json
  }
}

function isEmpty(first: Field, value: Record<string, unknown>): boolean {
  const found = value[first.name]
  return found === null || found === undefined || found === ''
}

function objectOf(fields: Field[], value: Record<string, unknown>): Json {
  const json: JsonObject = {}
  for (const field of fields) json[field.name] = jsonOf(field, value[field.name])
  return json
}

/** UUID text of 32 hex digits; null for zeros, which stand for none. */
export function uuidOfHex(hex: string): string | null {
  if (!/^[0-9a-f]{32}$/i.test(hex) || /^0+$/.test(hex)) return null
  const text = hex.toLowerCase()
  return `${text.slice(0, 8)}-${text.slice(8, 12)}-${text.slice(12, 16)}-${text.slice(16, 20)}-${text.slice(20)}`
}

/** ISO 8601 in UTC with microseconds, from what the store gives: text in UTC, or microseconds since 1970. */
export function timeOf(value: unknown): string | null {
  if (value === null || value === undefined) return null
  if (typeof value === 'number') return isoOfMicros(value)
  const text = String(value)
  if (/^-?\d+$/.test(text)) return isoOfMicros(Number(text))
  const match = /^(\d{4}-\d\d-\d\d)[ T](\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?/.exec(text)
  if (!match) return text
  return `${match[1]}T${match[2]}.${(match[3] ?? '').padEnd(6, '0').slice(0, 6)}Z`
}

export function isoOfMicros(micros: number): string {
  const millis = Math.floor(micros / 1000)
  return `${new Date(millis).toISOString().slice(0, -1)}${String(micros - millis * 1000).padStart(3, '0')}Z`
}

/** Microseconds of an ISO 8601 time (UTC where it names no zone), or null. */
export function microsOfIso(text: string): number | null {
  const match =
    /^(\d{4}-\d\d-\d\d)(?:[T ](\d\d:\d\d(?::\d\d)?)(?:\.(\d{1,9}))?)?(Z|[+-]\d\d:?\d\d)?$/.exec(
      text,
    )
  if (!match) return null
  const [, day, clock = '00:00:00', fraction = '', zone = 'Z'] = match
  const full = clock.length === 5 ? `${clock}:00` : clock
  const zoned = zone === 'Z' || zone.includes(':') ? zone : `${zone.slice(0, 3)}:${zone.slice(3)}`
  const millis = Date.parse(`${day}T${full}${zoned}`)
  return Number.isNaN(millis) ? null : millis * 1000 + Number(fraction.padEnd(6, '0').slice(0, 6))
}
