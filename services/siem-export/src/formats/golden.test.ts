import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { eventSchema } from '@custody/schemas'
import { ecsFields } from '../testing/ecs-fields'
import { type Oracle, startOracle } from '../testing/oracle'
import { FACTS, Facts } from './facts'
import { createFormat, createSyslogFormat, FORMAT_NAMES, type Format } from './index'
import { MEANINGS } from './meaning'
import { referencePage } from './reference'
import { samples } from './testing/samples'

const root = join(__dirname, '../../../..')
const golden = join(__dirname, '../../golden')
/** `CUSTODY_WRITE_GOLDEN=1 npx jest services/siem-export` writes them anew; look at the difference before it is committed. */
const writes = process.env.CUSTODY_WRITE_GOLDEN === '1'

const options = { version: '0.1.0', consoleUrl: 'https://custody.example' }
const digest = Buffer.alloc(32, 0xda)
const formats: Record<string, Format> = {
  ...Object.fromEntries(FORMAT_NAMES.map((name) => [name, createFormat(name, options)])),
  'ocsf-1.9': createFormat('ocsf', {
    ...options,
    ocsf: { version: '1.9.0', recordIntegrity: true },
  }),
  'ecs-8': createFormat('ecs', { ...options, ecs: { version: '8.11.0' } }),
  'syslog-cef': createSyslogFormat({ ...options, body: 'cef', framing: 'octet-counting' }),
}

describe('golden records', () => {
  test.each(Object.keys(formats))('%s: one of each sample, as committed', (name) => {
    const format = formats[name]!
    const json = format.contentType === 'application/x-ndjson'
    const directory = join(golden, name)
    const made = new Map(
      [...samples].map(([sample, event]) => {
        const record = format
          .encode(event, { digest, previousId: Buffer.alloc(16, 0x0f) })!
          .toString()
        // One member a line, so that a difference is seen.
        return json
          ? [`${sample}.json`, `${JSON.stringify(JSON.parse(record), null, 1)}\n`]
          : [`${sample}.txt`, `${record}\n`]
      }) as [string, string][],
    )
    if (writes) {
      rmSync(directory, { recursive: true, force: true })
      mkdirSync(directory, { recursive: true })
      for (const [file, text] of made) writeFileSync(join(directory, file), text)
    }
    expect(readdirSync(directory).sort()).toEqual([...made.keys()].sort())
    for (const [file, text] of made)
      expect({ file, text: readFileSync(join(directory, file), 'utf8') }).toEqual({ file, text })
  })

  test('every kind of the table of kinds has a sample', () => {
    const kinds = [...samples.values()].map(({ kind }) => kind)
    const without = MEANINGS.map(({ kind }) => kind).filter(
      (kind) =>
        !kinds.some((one) =>
          kind.endsWith('*') ? one.startsWith(kind.slice(0, -1)) : one === kind,
        ),
    )
    expect(without).toEqual([])
  })
})

describe('nothing of an event is forgotten', () => {
  type Avro =
    | string
    | Avro[]
    | {
        type: Avro
        name?: string
        fields?: { name: string; type: Avro }[]
        items?: Avro
        values?: Avro
      }
  const named = new Map<string, Avro>()
  function leaves(avro: Avro, path: string): string[] {
    if (Array.isArray(avro)) return avro.flatMap((one) => leaves(one, path))
    if (typeof avro === 'string')
      return named.has(avro) ? leaves(named.get(avro)!, path) : avro === 'null' ? [] : [path]
    if (avro.name) named.set(`custody.${avro.name}`, avro)
    if (avro.fields)
      return avro.fields.flatMap((f) => leaves(f.type, path === '' ? f.name : `${path}.${f.name}`))
    if (avro.items) return leaves(avro.items, path)
    if (avro.values || typeof avro.type === 'string') return [path]
    return leaves(avro.type, path)
  }

  test('every leaf of the event schema is read by some fact, but those named here', () => {
    const all = new Set(leaves(eventSchema as unknown as Avro, ''))
    const read = new Set<string>()
    /** Remembers which leaves are looked at. Indices of lists are not part of the path. */
    const watched = (value: unknown, path: string): unknown => {
      if (value === null || typeof value !== 'object' || Buffer.isBuffer(value)) return value
      return new Proxy(value, {
        get(target, name) {
          const found = Reflect.get(target, name)
          if (typeof name !== 'string' || typeof found === 'function') return found
          const at = Array.isArray(target) ? path : path === '' ? name : `${path}.${name}`
          read.add(at)
          return watched(found, at)
        },
      })
    }
    const limits = {
      statementBytesMax: 1000,
      valueBytesMax: 1000,
      outputs: 'data' as const,
      consoleUrl: null,
      version: '',
    }
    for (const event of samples.values()) {
      const facts = new Facts(watched(event, '') as typeof event, {}, limits)
      for (const fact of FACTS.values()) JSON.stringify(fact.of(facts))
    }
    const forgotten = [...all].filter((leaf) => !read.has(leaf))
    // A column's own type is the database's business, an approver and for whom somebody acts are told by name.
    const told = ['response.columns.type', 'who.onBehalfOf.kind']
    expect(
      forgotten.filter((leaf) => !told.includes(leaf) && !leaf.startsWith('approval.approver.')),
    ).toEqual([])
  })
})

describe('ECS', () => {
  test.each([
    ['ecs', '@elastic/ecs'],
    ['ecs-8', '@elastic/ecs-8'],
  ] as const)('%s: every field outside `custody` is a published one', (name, published) => {
    const known = ecsFields(published)
    // OpenTelemetry's names for databases, which ECS has none of its own for.
    const others = new Set([
      'db.query.text',
      'db.operation.name',
      'db.namespace',
      'db.system.name',
      'db.response.returned_rows',
    ])
    const unknown = new Set<string>()
    const walk = (value: unknown, path: string) => {
      if (value !== null && typeof value === 'object' && !Array.isArray(value)) {
        for (const [key, one] of Object.entries(value))
          walk(one, path === '' ? key : `${path}.${key}`)
      } else if (!known.has(path) && !others.has(path)) unknown.add(path)
    }
    for (const event of samples.values()) {
      const { custody, ...rest } = JSON.parse(formats[name]!.text(event, { digest })!)
      expect(custody).toBeDefined()
      walk(rest, '')
    }
    expect([...unknown]).toEqual([])
  })

  test('categories and types are of the allowed ones', () => {
    const categories =
      'api authentication configuration database driver email file host iam intrusion_detection library malware network package process registry session threat vulnerability web'.split(
        ' ',
      )
    const types =
      'access admin allowed change connection creation deletion denied device end error group indicator info installation protocol start user'.split(
        ' ',
      )
    for (const event of samples.values()) {
      const json = JSON.parse(formats.ecs!.text(event)!)
      expect(categories).toEqual(expect.arrayContaining(json.event.category))
      expect(types).toEqual(expect.arrayContaining(json.event.type))
      expect(['alert', 'event']).toContain(json.event.kind)
      expect(['success', 'failure', 'unknown']).toContain(json.event.outcome)
    }
  })
})

describe('UDM', () => {
  let oracle: Oracle
  beforeAll(() => {
    oracle = startOracle()
  })
  afterAll(() => oracle.stop())

  interface Schema {
    Nouns: string[]
    Enums: Record<string, string[]>
    Subtypes: Record<string, Record<string, string>>
    TopLevelFields: Record<string, Record<string, string>>
  }

  test('every field is of the published list, and every enumeration of its values', async () => {
    const schema = await oracle.ask<Schema>('udm_fields', {})
    const problems = new Set<string>()
    const check = (value: unknown, type: string, path: string): void => {
      const plain = type.replace(/^@(enum:)?/, '')
      for (const one of Array.isArray(value) ? value : [value]) {
        const allowed = schema.Enums[plain]
        if (allowed !== undefined) {
          if (!allowed.includes(one as string)) problems.add(`${path}: ${one}`)
          continue
        }
        const fields =
          plain === 'noun'
            ? schema.TopLevelFields.noun
            : (schema.TopLevelFields[plain] ?? schema.Subtypes[plain])
        if (one !== null && typeof one === 'object') {
          if (fields === undefined) problems.add(`${path} has no members`)
          else
            for (const [key, inner] of Object.entries(one)) {
              if (fields[key] === undefined) problems.add(`${path}.${key}`)
              else check(inner, fields[key]!, `${path}.${key}`)
            }
        } else if (fields !== undefined && Object.keys(fields).length > 0)
          problems.add(`${path} is an object`)
        else if (/^(u?int|float)/.test(plain) !== (typeof one === 'number'))
          problems.add(`${path} is ${plain}`)
      }
    }
    for (const event of samples.values()) {
      const { additional, ...rest } = JSON.parse(formats.udm!.text(event, { digest })!)
      expect(additional.outcome).toBeDefined()
      for (const [key, value] of Object.entries(rest)) {
        const type = schema.Nouns.includes(key) ? 'noun' : key
        if (schema.TopLevelFields[type] === undefined) problems.add(key)
        else check(value, type, key)
      }
    }
    expect([...problems]).toEqual([])
  })
})

test('docs/reference/siem-fields.md is what the code does', () => {
  const path = join(root, 'docs/reference/siem-fields.md')
  const page = referencePage()
  if (process.env.CUSTODY_WRITE_DOCS === '1') writeFileSync(path, page)
  expect(existsSync(path) ? readFileSync(path, 'utf8') : '').toBe(page)
})
