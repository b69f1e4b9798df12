import Ajv2020, { type ValidateFunction } from 'ajv/dist/2020'
import addFormats from 'ajv-formats'
import { type Oracle, startOracle } from '../testing/oracle'
import { createFormat } from './index'
import { OCSF_CLASSES } from './meaning'
import { hostile } from './testing/hostile'
import { sampleOf, samples } from './testing/samples'

const PROFILES = ['datetime', 'host', 'security_control']
const digest = Buffer.alloc(32, 0xda)

let oracle: Oracle
const validators = new Map<number, ValidateFunction>()

beforeAll(async () => {
  oracle = startOracle()
  const schemas = await oracle.ask<Record<string, object>>('ocsf_schemas', {
    classes: Object.keys(OCSF_CLASSES),
    profiles: PROFILES,
    version: '1.8.0',
  })
  const ajv = new Ajv2020({ strict: false, allErrors: true })
  addFormats(ajv)
  for (const [name, schema] of Object.entries(schemas))
    validators.set(OCSF_CLASSES[name as keyof typeof OCSF_CLASSES].uid, ajv.compile(schema))
})
afterAll(() => oracle.stop())

function problems(record: string): string[] {
  const json = JSON.parse(record)
  const validate = validators.get(json.class_uid)
  if (validate === undefined) return [`no class ${json.class_uid}`]
  return validate(json)
    ? []
    : validate.errors!.map((e) => `${e.instancePath} ${e.message} ${JSON.stringify(e.params)}`)
}

describe('OCSF 1.8.0', () => {
  const format = createFormat('ocsf', { version: '0.1.0', consoleUrl: 'https://custody.example' })

  test.each([...samples.keys()])('%s is valid by the published schema of its class', (name) => {
    expect(problems(format.text(sampleOf(name), { digest })!)).toEqual([])
    expect(problems(format.text(sampleOf(name))!)).toEqual([])
  })

  test('the samples are of every class that is in use', () => {
    const uids = new Set(
      [...samples.values()].map((event) => JSON.parse(format.text(event)!).class_uid),
    )
    expect([...uids].sort()).toEqual(
      Object.values(OCSF_CLASSES)
        .map(({ uid }) => uid)
        .sort(),
    )
  })

  test('a record with a required member taken out is not valid, so the schemas do look', () => {
    for (const member of ['actor', 'metadata', 'src_endpoint', 'time', 'type_uid']) {
      const json = JSON.parse(format.text(sampleOf('sql-select'))!)
      delete json[member]
      expect(problems(JSON.stringify(json))).not.toEqual([])
    }
    const json = JSON.parse(format.text(sampleOf('sql-select'))!)
    json.of_ours = 1
    expect(problems(JSON.stringify(json))).not.toEqual([])
  })

  test('hostile values stay valid', () => {
    for (const event of hostile(200))
      expect({ problems: problems(format.text(event, { digest })!), kind: event.kind }).toEqual({
        problems: [],
        kind: event.kind,
      })
  })
})

describe('OCSF 1.9.0', () => {
  // objects/attestation, prev_event and fingerprint of the schema's repository; no compiled 1.9.0 is in a registry.
  const fingerprint = {
    type: 'object',
    required: ['algorithm_id', 'value'],
    additionalProperties: false,
    properties: {
      algorithm_id: { const: 3 },
      encoding_id: { const: 1 },
      serialization_id: { const: 99 },
      serialization: { type: 'string' },
      value: { type: 'string', pattern: '^[0-9a-f]{64}$' },
    },
  }
  const attestations = new Ajv2020({ strict: false }).compile({
    type: 'array',
    minItems: 1,
    items: {
      type: 'object',
      additionalProperties: false,
      anyOf: [{ required: ['fingerprint'] }, { required: ['signatures'] }],
      properties: {
        uid: { type: 'string' },
        authority_uid: { type: 'string' },
        chain_uid: { type: 'string' },
        fingerprint,
        prev_event: {
          type: 'object',
          required: ['uid'],
          additionalProperties: false,
          properties: { uid: { type: 'string' }, type_uid: { type: 'integer' }, fingerprint },
        },
      },
    },
  })
  const format = createFormat('ocsf', { ocsf: { version: '1.9.0', recordIntegrity: true } })

  test('record_integrity has the chain: digest, previous event, recorder', () => {
    const event = sampleOf('sql-select')
    const json = JSON.parse(format.text(event, { digest, previousId: Buffer.alloc(16, 1) })!)
    expect(attestations(json.attestation_list)).toBe(true)
    expect(json.metadata.version).toBe('1.9.0')
    expect(json.metadata.profiles).toContain('record_integrity')
    expect(json.attestation_list[0]).toMatchObject({
      chain_uid: event.recorder,
      fingerprint: { value: digest.toString('hex') },
      prev_event: {
        uid: '01010101-0101-0101-0101-010101010101',
        fingerprint: { value: event.previous.toString('hex') },
      },
    })
  })

  test('nothing is attested whose digest is not at hand, and no previous event without a name', () => {
    expect(JSON.parse(format.text(sampleOf('sql-select'))!).attestation_list).toBeUndefined()
    const json = JSON.parse(format.text(sampleOf('sql-select'), { digest })!)
    expect(attestations(json.attestation_list)).toBe(true)
    expect(json.attestation_list[0].prev_event).toBeUndefined()
    expect(json.unmapped.previous).toBe(sampleOf('sql-select').previous.toString('hex'))
  })

  test('the profile is not of 1.8.0', () => {
    expect(() => createFormat('ocsf', { ocsf: { recordIntegrity: true } })).toThrow(RangeError)
  })
})
