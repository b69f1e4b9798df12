/** Settings that are wrong are named where they are; settings that are right come out typed and complete. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { loadConfiguration, parseConfiguration, withoutSecrets } from './configuration'
import { CustodyError } from './errors'
import { readSecret } from './secret'

const demo = `
gateway: here
resources:
  demo:
    protocol: postgres
    address: 127.0.0.1:5433
    account: app
    password: { literal: hush }
    database: shop
`

function problemsOf(text: string): string[] {
  try {
    parseConfiguration(text, '/etc/custody.yaml')
  } catch (error) {
    expect(error).toBeInstanceOf(CustodyError)
    return (error as Error).message.split('\n')
  }
  throw new Error('was accepted')
}

describe('a configuration', () => {
  test('is complete when empty', () => {
    const configuration = parseConfiguration('')
    expect(configuration.listen).toEqual({
      host: '127.0.0.1',
      postgres: 15432,
      mysql: 13306,
      ssh: 12222,
      console: 15480,
    })
    expect(configuration.resources).toEqual({})
    expect(configuration.limits.connectionsMax).toBeGreaterThan(0)
  })

  test('fills the defaults of a resource', () => {
    expect(parseConfiguration(demo).resources.demo).toEqual({
      protocol: 'postgres',
      address: '127.0.0.1:5433',
      account: 'app',
      password: { literal: 'hush' },
      database: 'shop',
      tls: 'prefer',
      durability: 'auto',
      recording: 'full',
      allowReplication: false,
      labels: {},
    })
  })

  test('takes paths from the directory of the file', () => {
    const text = 'tls: { certificate: a.pem, key: /b.pem }'
    expect(parseConfiguration(text, '/etc/custody/custody.yaml').tls).toEqual({
      certificate: '/etc/custody/a.pem',
      key: '/b.pem',
    })
  })

  test.each(['full', 'digest', '{ head: 65536 }'])('accepts recording: %s', (recording) => {
    parseConfiguration(`${demo}    recording: ${recording}\n`)
  })
})

describe('a wrong configuration', () => {
  test.each([
    ['listen: { postgres: 70000 }', '/etc/custody.yaml:1: listen.postgres: '],
    [`${demo}    recording: some\n`, ':10: resources.demo.recording: must be full, digest or'],
    [`${demo}    adress: x\n`, ':10: resources.demo.adress: unknown setting'],
    ['resources:\n  a/b: {}\n', ':2: resources.a/b: must be 1 to 63 letters'],
    ['gateway: ""', ':1: gateway: must be 1 to 63 letters'],
    ['resources:\n  x: { protocol: postgres, account: a }', ':2: resources.x.address: missing'],
    [
      'resources:\n  x: { protocol: oracle, account: a, address: "h:1" }',
      'must have protocol: postgres, mysql or ssh',
    ],
    [demo.replace('5433', '99999'), ':6: resources.demo.address: the port must be at most'],
    [demo.replace(':5433', ''), ':6: resources.demo.address: must be host:port'],
    [demo.replace('{ literal: hush }', '{ literal: a, env: B }'), 'exactly one of literal, env'],
    ['[1, 2]', '(top): '],
  ])('%j is refused', (text, expected) => {
    expect(problemsOf(text).join('\n')).toContain(expected)
  })

  test('names every problem', () => {
    expect(
      problemsOf('gateway: 7\nlisten: { console: -1 }\nlog: { segmentBytes: 1.5 }'),
    ).toHaveLength(3)
  })

  test('that is not YAML says where', () => {
    expect(() => parseConfiguration('a: [', 'c.yaml')).toThrow(
      expect.objectContaining({
        code: 'CUSTODY-CONFIG-001',
        message: expect.stringMatching(/^c.yaml:1:/),
      }),
    )
  })
})

describe('loading', () => {
  let directory: string
  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'custody-configuration-'))
  })
  afterEach(() => rmSync(directory, { recursive: true }))

  test('without a file is the defaults', () => {
    expect(loadConfiguration({}, directory).file).toBeUndefined()
  })

  test('of a named file that is missing fails', () => {
    expect(() => loadConfiguration({ CUSTODY_CONFIG: 'other.yaml' }, directory)).toThrow(
      expect.objectContaining({ code: 'CUSTODY-CONFIG-001' }),
    )
  })

  test('lets the environment override ports', () => {
    writeFileSync(join(directory, 'custody.yaml'), 'listen: { postgres: 1000 }')
    const environment = { CUSTODY_PORT_POSTGRES: '0', CUSTODY_PORT_CONSOLE: '8080' }
    const configuration = loadConfiguration(environment, directory)
    expect(configuration.listen).toMatchObject({ postgres: 0, console: 8080 })
    expect(configuration.file).toBe(join(directory, 'custody.yaml'))
    expect(() => loadConfiguration({ CUSTODY_PORT_CONSOLE: 'x' }, directory)).toThrow(
      /CUSTODY_PORT_CONSOLE must be a port .* overrides listen.console/,
    )
  })
})

describe('a secret', () => {
  test('is read where it is kept', () => {
    const file = join(mkdtempSync(join(tmpdir(), 'custody-secret-')), 'password')
    writeFileSync(file, 'from the file\n')
    expect(readSecret({ file })).toBe('from the file')
    expect(readSecret({ env: 'X' }, { X: 'from the environment' })).toBe('from the environment')
    expect(readSecret({ literal: 'plain' })).toBe('plain')
  })

  test('that is missing is named', () => {
    expect(() => readSecret({ env: 'X' }, {})).toThrow(/X is not set/)
    expect(() => readSecret({ file: '/nowhere/at/all' })).toThrow(/\/nowhere\/at\/all/)
  })

  test('is blanked when a configuration is shown', () => {
    const configuration = parseConfiguration(demo)
    expect(JSON.stringify(withoutSecrets(configuration))).not.toContain('hush')
    expect(JSON.stringify(configuration)).toContain('hush')
  })
})

describe('approval channels', () => {
  const channels = (lines: string) =>
    parseConfiguration(`approvals: {channels: [${lines}]}`, '/etc/custody/custody.yaml')

  test('every secret is blanked when a configuration is shown, and files are beside the configuration', () => {
    const secret = '{literal: hush}'
    const configuration = channels(`
      {type: slack, token: ${secret}, signingSecret: ${secret}, channel: C1},
      {type: teams, url: ${secret}},
      {type: email, host: h, from: a@b.example, user: u, password: ${secret}, tlsCa: ca.pem},
      {type: webhook, url: "https://h", secret: ${secret}},
      {type: jira, url: "https://h", email: a@b.example, token: ${secret}, project: OPS, webhookSecret: ${secret}},
      {type: servicenow, url: "https://h", user: u, password: ${secret}},
      {type: pagerduty, routingKey: ${secret}},
      {type: pagerduty, name: files, routingKey: {file: keys/pd}}`)
    expect(JSON.stringify(configuration).match(/hush/g)).toHaveLength(9)
    expect(JSON.stringify(withoutSecrets(configuration))).not.toContain('hush')
    expect(configuration.approvals.channels[2]).toMatchObject({ tlsCa: '/etc/custody/ca.pem' })
    expect(configuration.approvals.channels[7]).toMatchObject({
      routingKey: { file: '/etc/custody/keys/pd' },
    })
  })

  test.each([
    [
      'two of one name',
      '{type: teams, url: {env: A}}, {type: teams, url: {env: B}}',
      /called teams/,
    ],
    [
      'mail without TLS to another machine',
      '{type: email, host: mail.example, from: a@b.example, tls: none}',
      /on this machine only/,
    ],
    ['an unknown type', '{type: carrier-pigeon}', /must have type: slack/],
    ['no secret', '{type: webhook, url: "https://h"}', /secret: missing|secret: must/],
  ])('%s is refused', (_what, lines, why) => {
    expect(() => channels(lines)).toThrow(why)
  })

  test('one person is listed once', () => {
    expect(() =>
      parseConfiguration(
        'approvals: {people: [{email: a@b.example, groups: []}, {email: A@b.example, groups: []}]}',
      ),
    ).toThrow(/a@b.example is there more than once/)
  })
})

describe('masking', () => {
  test('without the section there is none, and an empty one looks into values', () => {
    expect(parseConfiguration('').masking).toBeUndefined()
    expect(parseConfiguration('masking: {}').masking).toEqual({
      rules: [],
      detectors: { action: 'redact', except: [], patterns: [] },
      unproven: 'mask',
      copies: 'deny',
      trusted: { functions: [], channels: [] },
    })
  })

  test('a rule is complete with an id and what it masks', () => {
    const { rules } = parseConfiguration(`
masking:
  rules:
    - {id: emails, columns: ['*.e?mail', 'crm.people.mail']}
    - {id: places, tagged: [pii], action: truncate, to: month}`).masking!
    expect(rules).toEqual([
      {
        id: 'emails',
        columns: ['*.e?mail', 'crm.people.mail'],
        tagged: [],
        action: 'redact',
        predicates: 'allow',
      },
      {
        id: 'places',
        columns: [],
        tagged: ['pii'],
        action: 'truncate',
        to: 'month',
        predicates: 'allow',
      },
    ])
  })

  test('its key is blanked when a configuration is shown', () => {
    const configuration = parseConfiguration('masking: {key: {literal: hush}}')
    expect(JSON.stringify(withoutSecrets(configuration))).not.toContain('hush')
  })

  const rule = (words: string) =>
    `masking:\n  rules:\n    - {id: a, columns: [t.c]}\n    - ${words}`
  test.each([
    ...[
      'email',
      'a.b.c.d',
      '.email',
      'a..b',
      'a.',
      'a b.c',
      'a."b"',
      "a.''b",
      'a.(b)',
      'a.b[1]',
      'a.`b',
      'a.b\\c',
    ].map((pattern) => [
      rule(`{id: b, columns: [t.c, ${JSON.stringify(pattern)}]}`),
      ':4: masking.rules.1.columns.1: must be relation.column or schema.relation.column',
    ]),
    [rule(`{id: b, columns: [t.${'c'.repeat(200)}]}`), ':4: masking.rules.1.columns.0: '],
    [rule('{id: a, columns: [t.d]}'), ':4: masking.rules.1.id: another rule is called a'],
    [rule('{id: b}'), ':4: masking.rules.1: needs columns or tagged, or it masks nothing'],
    [rule('{id: b, columns: [], tagged: []}'), 'needs columns or tagged'],
    [rule('{id: b, tagged: ["custody:pii"]}'), ':4: masking.rules.1.tagged.0: '],
    [rule('{columns: [t.d]}'), ':4: masking.rules.1.id: missing'],
    [rule('{id: "b c", columns: [t.d]}'), ':4: masking.rules.1.id: must be 1 to 63 letters'],
    [
      rule('{id: b, columns: [t.d], action: blur}'),
      ':4: masking.rules.1.action: invalid option: expected one of "redact',
    ],
    [rule('{id: b, columns: [t.d], groups: []}'), ':4: masking.rules.1.groups: '],
    [rule('{id: b, columns: [t.d], action: partial, keep: 9}'), ':4: masking.rules.1.keep: '],
    [rule('{id: b, columns: [t.d], action: generalise, step: 0}'), ':4: masking.rules.1.step: '],
    [
      rule('{id: b, columns: [t.d], to: week}'),
      ':4: masking.rules.1.to: invalid option: expected one of "year',
    ],
    [rule('{id: b, colums: [t.d]}'), ':4: masking.rules.1.colums: unknown setting'],
    ['masking: {detectors: {except: [note]}}', ':1: masking.detectors.except.0: must be relation'],
    ['masking: {detectors: {patterns: [{name: a}]}}', ':1: masking.detectors.patterns.0.pattern: '],
    ['masking: {unproven: hope}', ':1: masking.unproven: invalid option: expected one of "mask'],
    ['masking: {copies: hope}', ':1: masking.copies: invalid option: expected one of "deny'],
    ['masking: {key: short}', ':1: masking.key: '],
    ['warehouse: {url: "http://ch:8123"}', ':1: warehouse.url: must be an https URL'],
    ['warehouse: {url: "https://u:p@ch"}', ':1: warehouse.url: must be an https URL'],
    ['warehouse: {url: "https://ch"}', ':1: warehouse.ingest: missing (a warehouse with a URL'],
    [
      'warehouse: {ingest: {user: a, password: {env: I}}, query: {user: a, password: {env: I}}}',
      ':1: warehouse.ingest.user: is the user of warehouse.query as well',
    ],
    ['warehouse: {admin: {password: {env: A}}}', ':1: warehouse.admin: needs warehouse.ingest'],
    ['warehouse: {query: {password: hunter2}}', ':1: warehouse.query.password: '],
    [
      'warehouse: {retentionDays: {"output.*": 1}}',
      ':1: warehouse.retentionDays.output.*: must be',
    ],
    ['warehouse: {retentionDays: {output: -1}}', ':1: warehouse.retentionDays.output: '],
    ['warehouse: {cluster: "a b"}', ':1: warehouse.cluster: must be 1 to 63 letters'],
    ['warehouse: {cold: {afterDays: 9}}', ':1: warehouse.cold: must have exactly one of disk, s3'],
    ['warehouse: {cold: {afterDays: 0, disk: d}}', ':1: warehouse.cold.afterDays: '],
    [
      'warehouse: {cluster: c, cold: {afterDays: 9, disk: d}}',
      ':1: warehouse.cold.disk: is for the embedded warehouse',
    ],
    [
      'warehouse: {cold: {afterDays: 9, s3: {endpoint: "http://s3", bucket: b, accessKeyId: k, secretAccessKey: hunter2}}}',
      ':1: warehouse.cold.s3.endpoint: must be an https URL',
    ],
  ])('%j is refused', (text, expected) => {
    expect(problemsOf(text).join('\n')).toContain(expected)
  })
})

test('durability replicated needs kafka', () => {
  const resource =
    'resources: {shop: {protocol: postgres, address: "h:1", account: a, durability: replicated}}'
  expect(() => parseConfiguration(resource)).toThrow(
    /resources\.shop\.durability: replicated needs the settings of kafka/,
  )
  const { kafka } = parseConfiguration(`kafka: {brokers: ["k:9092"]}\n${resource}`)
  expect(kafka?.replicatedMsMax).toBe(10_000)
})

test('the gateway’s name and the health port come from the environment where it has them', () => {
  const { gateway, listen } = loadConfiguration(
    { CUSTODY_GATEWAY: 'proxy-3', CUSTODY_PORT_HEALTH: '0' },
    '/nowhere',
  )
  expect([gateway, listen.health]).toEqual(['proxy-3', 0])
  expect(loadConfiguration({}, '/nowhere').listen.health).toBeUndefined()
  expect(() => loadConfiguration({ CUSTODY_GATEWAY: '../x' }, '/nowhere')).toThrow(
    /CUSTODY_GATEWAY/,
  )
})

test('a host’s own bound of its log only lowers it, and what is kept of it fits in', () => {
  const GiB = 1024 ** 3
  const log = (bytes: number) =>
    loadConfiguration({ CUSTODY_LOG_BYTES_MAX: String(bytes) }, '/nowhere').log
  expect(log(8 * GiB)).toMatchObject({ logBytesMax: 8 * GiB, retentionBytesMax: 4 * GiB })
  expect(log(80 * GiB)).toMatchObject({ logBytesMax: 64 * GiB, retentionBytesMax: 10 * GiB })
  for (const wrong of ['0', '-1', '8Gi', '1e9'])
    expect(() => loadConfiguration({ CUSTODY_LOG_BYTES_MAX: wrong }, '/nowhere')).toThrow(
      /CUSTODY_LOG_BYTES_MAX/,
    )
})
