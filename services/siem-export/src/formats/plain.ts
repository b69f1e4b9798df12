/**
 * The event itself as JSON, by its schema: members have the schema's names, identifiers are UUID text, digests hexadecimal, other
 * bytes base64, times ISO 8601 in UTC with microseconds. What is null, an empty list or an empty map is left out. A field that a
 * later schema adds is there without a change here. `digest` is added where it is at hand.
 */
import { type Event, eventSchema, sha256, uuidText } from '@custody/schemas'
import { type Facts, hexOf } from './facts'
import { isoMicros, jsonText } from './text'

type Avro =
  | string
  | Avro[]
  | {
      type: Avro
      logicalType?: string
      name?: string
      namespace?: string
      fields?: { name: string; type: Avro; doc?: string }[]
      items?: Avro
      values?: Avro
      size?: number
    }

type Write = (value: never) => string

export interface PlainField {
  path: string
  doc: string
}

const named = new Map<string, Avro>()
/** Every member, for the reference page. */
export const PLAIN_FIELDS: PlainField[] = []

function writerOf(avro: Avro, path: string): Write {
  if (Array.isArray(avro)) {
    const inner = writerOf(avro.find((one) => one !== 'null')!, path)
    return (value) => (value === null || value === undefined ? '' : inner(value))
  }
  if (typeof avro === 'string') {
    const known = named.get(avro)
    if (known !== undefined) return writerOf(known, path)
    if (avro === 'string') return jsonText as Write
    if (avro === 'bytes') return ((value: Buffer) => `"${value.toString('base64')}"`) as Write
    return ((value: number | boolean) => (Number.isNaN(value) ? '' : String(value))) as Write
  }
  if (avro.name !== undefined) named.set(`${avro.namespace ?? 'custody'}.${avro.name}`, avro)
  if (avro.logicalType === 'timestamp-micros')
    return ((value: number) => `"${isoMicros(value)}"`) as Write
  switch (avro.type) {
    case 'fixed':
      return (
        avro.size === 16
          ? (value: Buffer) => `"${uuidText(value)}"`
          : (value: Buffer) => `"${value.toString('hex')}"`
      ) as Write
    case 'array': {
      const inner = writerOf(avro.items!, path)
      return ((values: never[]) => {
        if (values.length === 0) return ''
        let out = ''
        for (const value of values) out += (out === '' ? '[' : ',') + (inner(value) || 'null')
        return `${out}]`
      }) as Write
    }
    case 'map': {
      const inner = writerOf(avro.values!, path)
      return ((map: Record<string, never>) => {
        let out = ''
        for (const name in map)
          out += `${out === '' ? '{' : ','}${jsonText(name)}:${inner(map[name]!)}`
        return out === '' ? '' : `${out}}`
      }) as Write
    }
    case 'record':
      return recordWriter(avro.fields!, path)
    default:
      return writerOf(avro.type, path)
  }
}

function recordWriter(
  fields: readonly { name: string; type: Avro; doc?: string }[],
  path: string,
): Write {
  const names: string[] = []
  const firsts: string[] = []
  const nexts: string[] = []
  const writes: Write[] = []
  for (const field of fields) {
    const at = path === '' ? field.name : `${path}.${field.name}`
    PLAIN_FIELDS.push({ path: at, doc: field.doc ?? '' })
    names.push(field.name)
    firsts.push(`{"${field.name}":`)
    nexts.push(`,"${field.name}":`)
    writes.push(writerOf(field.type, at))
  }
  const count = names.length
  return ((record: Record<string, never>) => {
    let out = ''
    for (let i = 0; i < count; i++) {
      const value = record[names[i]!]
      const json = value === undefined ? '' : writes[i]!(value)
      if (json !== '') out += (out === '' ? firsts[i]! : nexts[i]!) + json
    }
    return out === '' ? '{}' : `${out}}`
  }) as Write
}

const write = writerOf(eventSchema as unknown as Avro, '') as unknown as (event: Event) => string

export function plainJson(facts: Facts): string {
  const { event, evidence, limits } = facts
  let shown = event
  const cut = facts.statement
  if (cut !== undefined && cut.text.length < event.statement!.text.length)
    shown = {
      ...shown,
      statement: {
        ...event.statement!,
        text: cut.text,
        textDigest: Buffer.from(cut.digest!, 'hex'),
      },
    }
  let extra = ''
  if (event.output !== null && limits.outputs !== 'data') {
    const { data, ...rest } = event.output
    shown = { ...shown, output: { ...rest, data: undefined as unknown as Buffer } }
    extra = `,"outputBytes":${data.length},"outputDigest":"${sha256(data).toString('hex')}"`
  }
  const digest = evidence.digest ? `,"digest":"${hexOf(evidence.digest)}"` : ''
  return `${write(shown).slice(0, -1)}${extra}${digest}}`
}
