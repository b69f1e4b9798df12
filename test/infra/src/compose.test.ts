/** The compose installation: what Compose itself makes of it, and rules that each can be broken. */
import { spawnSync } from 'node:child_process'
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { environmentOverrides, parseConfiguration } from '@custody/kit'
import { parseDocument } from 'yaml'
import { breachesOf, type ComposeProject, type ComposeService, secretPaths } from './compose'
import { compose, read, root, ToolError } from './tools'

const file = join(compose, 'compose.yaml')
const version = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')).version
const reference = readFileSync(join(root, 'docs/reference/configuration.md'), 'utf8')
const known = {
  version,
  variables: new Set([
    ...Object.keys(environmentOverrides),
    ...[...reference.matchAll(/`(CUSTODY_[A-Z_]+)`/g)].map(([, name]) => name!),
  ]),
}
const project = read<ComposeProject>('compose', file)
const directory = mkdtempSync(join(tmpdir(), 'custody-infra-'))
afterAll(() => rmSync(directory, { recursive: true, force: true }))

test('Compose reads it, and it keeps every rule', () => {
  expect(Object.keys(project.services).sort()).toEqual([
    'clickhouse',
    'demo-database',
    'grafana',
    'ingest',
    'kafka',
    'keycloak',
    'proxy',
    'query',
    'siem-export',
  ])
  // Nobody sends anything anywhere without having asked for it.
  expect(project.services['siem-export']!.profiles).toEqual(['siem'])
  for (const [name, { profiles }] of Object.entries(project.services))
    if (name !== 'siem-export') expect(profiles ?? []).toEqual([])
  expect(breachesOf(project, known)).toEqual([])
})

type Change = (services: Record<string, ComposeService>, project: ComposeProject) => void
const changes: [breach: RegExp, change: Change][] = [
  [/proxy: its image custody:latest is not pinned/, (s) => (s.proxy!.image = 'custody:latest')],
  [/kafka: its image apache\/kafka is not pinned/, (s) => (s.kafka!.image = 'apache/kafka')],
  [/kafka: .* is not pinned/, (s) => (s.kafka!.image = 'apache/kafka:4')],
  [/query: .* is not called/, (s) => (s.query!.image = 'custody:9.9.9')],
  [/proxy: runs as root/, (s) => (s.proxy!.user = 'root')],
  [/proxy: runs as root/, (s) => (s.proxy!.user = '0:10001')],
  [/kafka: runs as root/, (s) => delete s.kafka!.user],
  [/query: can write to its own file system/, (s) => delete s.query!.read_only],
  [/query: has capabilities/, (s) => (s.query!.cap_drop = [])],
  [/query: has capabilities/, (s) => (s.query!.cap_add = ['NET_ADMIN'])],
  [/query: may gain privileges/, (s) => (s.query!.security_opt = [])],
  [/proxy: is privileged/, (s) => (s.proxy!.privileged = true)],
  [/proxy: shares a namespace/, (s) => (s.proxy!.network_mode = 'host')],
  [/ingest: has no health check/, (s) => delete s.ingest!.healthcheck],
  [/ingest: has no health check/, (s) => (s.ingest!.healthcheck!.test = ['NONE'])],
  [/ingest: has its health check disabled/, (s) => (s.ingest!.healthcheck!.disable = true)],
  [/grafana: lacks a limit/, (s) => delete s.grafana!.deploy],
  [/grafana: lacks a limit/, (s) => delete s.grafana!.deploy!.resources!.limits!.memory],
  [/kafka: is not started again/, (s) => (s.kafka!.restart = 'no')],
  [/kafka: has no time to stop/, (s) => delete s.kafka!.stop_grace_period],
  [/kafka: is published/, (s) => (s.kafka!.ports = [{ host_ip: '127.0.0.1', target: 9092 }])],
  [/proxy: is published beyond loopback/, (s) => (s.proxy!.ports![0]!.host_ip = '0.0.0.0')],
  [/proxy: is published beyond loopback/, (s) => delete s.proxy!.ports![0]!.host_ip],
  [/clickhouse: reaches the outside/, (s) => (s.clickhouse!.networks = { edge: null })],
  [/siem-export: reaches what is behind/, (s) => (s['siem-export']!.networks!.targets = null)],
  [
    /siem-export: is published/,
    (s) => (s['siem-export']!.ports = [{ host_ip: '127.0.0.1', target: 15490 }]),
  ],
  [
    /siem-export: has clickhouse-query-password/,
    (s) => s['siem-export']!.secrets!.push({ source: 'clickhouse-query-password' }),
  ],
  [/query: reaches what is behind/, (s) => (s.query!.networks!.targets = null)],
  [/network store is not internal/, (_, p) => (p.networks.store = {})],
  [
    /proxy: has something of the machine/,
    (s) => s.proxy!.volumes!.push({ type: 'bind', source: '/', target: '/host' }),
  ],
  [/proxy: can’t write to \/var\/lib\/custody/, (s) => (s.proxy!.volumes = [])],
  [/keycloak: can’t write to/, (s) => (s.keycloak!.tmpfs = ['/tmp:size=1m'])],
  [/ingest: takes memory without bound/, (s) => s.ingest!.tmpfs!.push('/more')],
  [
    /ingest: has replicas that share a volume/,
    (s) => (s.ingest!.volumes = [{ type: 'volume', source: 'x', target: '/var/lib/custody' }]),
  ],
  [/proxy: does not know CUSTODY_GATWAY/, (s) => (s.proxy!.environment = { CUSTODY_GATWAY: 'x' })],
  [/kafka: does not know CUSTODY_HOME/, (s) => (s.kafka!.environment = { CUSTODY_HOME: '/x' })],
  [
    /demo-database: has a secret in its environment/,
    (s) => (s['demo-database']!.environment!.POSTGRES_PASSWORD = 'hunter2'),
  ],
  [
    /grafana: has a secret in its environment/,
    (s) => (s.grafana!.environment!.GF_SECURITY_ADMIN_PASSWORD__FILE = 'hunter2'),
  ],
  [/grafana: .* which it has not/, (s) => (s.grafana!.secrets = [])],
  [
    /proxy: takes CUSTODY_GATEWAY from whoever/,
    (s) => (s.proxy!.environment!.CUSTODY_GATEWAY = null),
  ],
  [
    /proxy: has token-signing.pem, which is not its business/,
    (s) => s.proxy!.secrets!.push({ source: 'token-signing.pem' }),
  ],
  [
    /query: has clickhouse-admin-password/,
    (s) => s.query!.secrets!.push({ source: 'clickhouse-admin-password' }),
  ],
  [/secret masking-key is not a file/, (_, p) => (p.secrets!['masking-key'] = { content: 'x' })],
  [/secret masking-key is nobody/, (s) => (s.proxy!.secrets = [])],
  [/volume proxy-home is nobody/, (s) => (s.proxy!.volumes = [])],
  [
    /query: does not wait until kafka is healthy/,
    (s) => (s.query!.depends_on!.kafka!.condition = 'service_started'),
  ],
  [/new: is not known to this test/, (s) => (s.new = structuredClone(s.proxy!))],
]

test.each(changes)('a breach is told: %s', (breach, change) => {
  const changed = structuredClone(project)
  change(changed.services, changed)
  expect(breachesOf(changed, known).filter((one) => breach.test(one))).not.toEqual([])
})

test.each([
  [
    'unknown settings',
    (text: string) => text.replace('read_only: true', 'readonly: true'),
    /readonly/,
  ],
  [
    'services that are not there',
    (text: string) => text.replace('      kafka: { condition', '      kafkaa: { condition'),
    /kafkaa/,
  ],
  [
    'values of other types',
    (text: string) => text.replace('replicas: 2', 'replicas: two'),
    /replicas/,
  ],
  [
    'volumes that are not there',
    (text: string) => text.replace('  kafka-data: {}\n', ''),
    /kafka-data/,
  ],
  ['two meanings', (text: string) => text.replace('  query:\n', '  proxy:\n'), /proxy/],
])('Compose’s own loader refuses %s', (_, change, said) => {
  const text = readFileSync(file, 'utf8')
  expect(change(text)).not.toBe(text)
  const changed = join(directory, 'compose.yaml')
  writeFileSync(changed, change(text))
  expect(() => read('compose', changed)).toThrow(ToolError)
  expect(() => read('compose', changed)).toThrow(said)
})

describe('secrets', () => {
  const secrets = join(directory, 'secrets')
  const make = (...args: string[]) =>
    spawnSync(join(compose, 'make-secrets'), args, {
      encoding: 'utf8',
      env: { ...process.env, CUSTODY_SECRETS: secrets, CUSTODY_NAMES: 'gateway.example.com' },
    })
  const contents = () =>
    Object.fromEntries(
      readdirSync(secrets).map((name) => [name, readFileSync(join(secrets, name), 'utf8')]),
    )

  test('make-secrets makes all that the installation has, once, for nobody else to enter', () => {
    const { status, stderr } = make()
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
    const made = contents()
    const wanted = Object.values(project.secrets ?? {}).map(({ file }) => file!.split('/').at(-1)!)
    expect(Object.keys(made)).toEqual(expect.arrayContaining(wanted))
    expect(statSync(secrets).mode & 0o777).toBe(0o700)
    // What is left of templates would be a password that everybody knows.
    expect(Object.values(made).filter((text) => /@[A-Z_]+@/.test(text))).toEqual([])
    expect(make().stdout).toBe('')
    expect(contents()).toEqual(made)
    expect(readdirSync(secrets).filter((name) => name.startsWith('.'))).toEqual([])
  })

  test('a second installation has nothing of the first’s', () => {
    const first = contents()
    rmSync(secrets, { recursive: true })
    make()
    const second = contents()
    for (const [name, text] of Object.entries(second)) expect(text).not.toBe(first[name])
    const passwords = Object.entries(second).filter(([name]) => /-password$|-key$/.test(name))
    expect(passwords.length).toBeGreaterThan(8)
    expect(new Set(passwords.map(([, text]) => text)).size).toBe(passwords.length)
    for (const [, text] of passwords) expect(text).toMatch(/^[0-9a-f]{48}$/)
  })

  test('certificates are of the authority, which nobody can use again, and have the names that are asked for', () => {
    const names: Record<string, string[]> = {
      'gateway.crt': ['localhost', 'gateway.example.com'],
      'keycloak.crt': ['keycloak.localhost'],
      'clickhouse.crt': ['clickhouse', 'localhost'],
      'kafka-keystore.pem': ['kafka'],
    }
    for (const [name, hosts] of Object.entries(names))
      for (const host of hosts) {
        const args = ['verify', '-CAfile', join(secrets, 'authority.pem'), '-verify_hostname', host]
        const { status, stderr } = spawnSync('openssl', [...args, join(secrets, name)], {
          encoding: 'utf8',
        })
        expect({ name, status, stderr }).toEqual({ name, status: 0, stderr: '' })
      }
    expect(readdirSync(secrets).filter((name) => name.startsWith('authority'))).toEqual([
      'authority.pem',
    ])
    const before = contents()
    expect(make('--certificates').status).toBe(0)
    const after = contents()
    const changed = Object.keys(after).filter((name) => after[name] !== before[name])
    expect(changed.sort()).toEqual(
      [
        'authority.pem',
        ...Object.keys(names),
        'clickhouse.key',
        'gateway.key',
        'keycloak.key',
      ].sort(),
    )
  })

  test('nothing that is made is in git, and git would not take it', () => {
    const tracked = spawnSync('git', ['ls-files', '.'], { cwd: compose, encoding: 'utf8' }).stdout
    expect(tracked).not.toMatch(/secrets\//)
    const { status } = spawnSync(
      'git',
      ['check-ignore', '-q', join(compose, 'secrets/masking-key')],
      {
        cwd: root,
      },
    )
    expect(status).toBe(0)
    const files = tracked.split('\n').filter((name) => name !== '')
    const text = files.map((name) => readFileSync(join(compose, name), 'utf8')).join('\n')
    expect(text).not.toMatch(/PRIVATE KEY|literal:/)
  })

  test('misuse is refused', () => {
    expect(make('--all').status).toBe(2)
  })
})

test('custody.yaml is one that Custody takes, and each service has the files that it reads of it', () => {
  const text = readFileSync(join(compose, 'custody.yaml'), 'utf8')
  const configuration = parseConfiguration(text, '/etc/custody/custody.yaml')
  const reads: Record<string, string[]> = {
    proxy: [
      configuration.tls!.certificate,
      configuration.tls!.key,
      configuration.identity.tokenKeys.file!,
      ...filesIn({ kafka: configuration.kafka }),
      ...filesIn({ resources: configuration.resources, masking: configuration.masking }),
    ],
    ingest: [...filesIn({ kafka: configuration.kafka }), ...filesIn(configuration.warehouse!)],
    query: [
      configuration.identity.tokenKeys.file!,
      ...filesIn({ kafka: configuration.kafka }),
      ...filesIn({ query: configuration.warehouse!.query }),
    ],
    'siem-export': [
      ...filesIn({ kafka: configuration.kafka }),
      ...filesIn({ siem: configuration.siem }),
    ],
  }
  for (const [name, files] of Object.entries(reads)) {
    expect(files.length).toBeGreaterThan(name === 'siem-export' ? 1 : 2)
    const handed = secretPaths(project.services[name]!)
    expect(files.filter((one) => !handed.includes(one))).toEqual([])
    // And nothing else: what is handed is read, or is for TLS of others.
    expect(handed.filter((one) => !files.includes(one) && !one.endsWith('authority.pem'))).toEqual(
      [],
    )
    expect(project.services[name]!.configs).toEqual([
      expect.objectContaining({ source: 'custody', target: '/etc/custody/custody.yaml' }),
    ])
  }
  // Every file that is named is somebody's.
  const named = [...text.matchAll(/\/run\/secrets\/[\w.-]+/g)].map(([path]) => path)
  expect(named.filter((path) => !Object.values(reads).flat().includes(path))).toEqual([])
  // More would be idle.
  expect(project.services.ingest!.deploy!.replicas).toBeLessThanOrEqual(
    configuration.kafka!.partitions,
  )
})

test('a wrong setting in custody.yaml is refused', () => {
  const text = readFileSync(join(compose, 'custody.yaml'), 'utf8')
  expect(() =>
    parseConfiguration(text.replace('topic', 'x').replace('partitions:', 'partition:')),
  ).toThrow(/partition: unknown setting/)
})

test('ClickHouse’s users and configuration are well-formed, and name no password', () => {
  for (const name of ['config.xml', 'users.xml']) {
    const path = join(compose, 'clickhouse', name)
    const { status, stderr } = spawnSync(
      'python3',
      ['-c', 'import sys, xml.dom.minidom; xml.dom.minidom.parse(sys.argv[1])', path],
      { encoding: 'utf8' },
    )
    expect({ name, status, stderr }).toEqual({ name, status: 0, stderr: '' })
    expect(readFileSync(path, 'utf8')).not.toMatch(/<password/)
  }
})

test('Keycloak’s realm fits custody.yaml', () => {
  const realm = JSON.parse(readFileSync(join(compose, 'keycloak/realm.json'), 'utf8'))
  const { identity, console } = parseConfiguration(
    readFileSync(join(compose, 'custody.yaml'), 'utf8'),
  )
  const [issuer] = identity.issuers
  const host = project.services.keycloak!.environment!.KC_HOSTNAME
  expect(issuer!.issuer).toBe(`${host}/realms/${realm.realm}`)
  const client = realm.clients.find(
    (one: { clientId: string }) => one.clientId === issuer!.clientId,
  )
  expect(client.redirectUris).toContain(`${console.url}/sign-in/callback`)
  const mapped = JSON.stringify(client.protocolMappers)
  for (const audience of issuer!.audiences)
    expect(mapped).toContain(`"included.custom.audience":"${audience}"`)
  expect(mapped).toContain(`"claim.name":"${issuer!.claims.groups}"`)
  const groups = realm.groups.map(({ name }: { name: string }) => name)
  const roles = [...console.roles.admin, ...console.roles.auditor, ...console.roles.analyst]
  expect(groups).toEqual(expect.arrayContaining(roles))
  for (const { credentials, groups: of } of realm.users) {
    // A first password is for one sign-in.
    expect(credentials).toEqual([
      { type: 'password', value: expect.stringMatching(/^@\w+@$/), temporary: true },
    ])
    for (const group of of) expect(groups).toContain(group.slice(1))
  }
})

test('Grafana is given what its provisioning names', () => {
  const { secrets = [], configs = [] } = project.services.grafana!
  const paths = [...secretPaths({ secrets }), ...configs.map(({ target }) => target!)]
  for (const name of ['datasources', 'dashboards']) {
    const text = readFileSync(join(compose, `grafana/provisioning/${name}/custody.yaml`), 'utf8')
    expect(parseDocument(text).errors).toEqual([])
    for (const [, path] of text.matchAll(/\$__file\{([^}]+)\}/g)) expect(paths).toContain(path)
  }
  const dashboards = parseDocument(
    readFileSync(join(compose, 'grafana/provisioning/dashboards/custody.yaml'), 'utf8'),
  ).toJS()
  expect(paths).toContain(`${dashboards.providers[0].options.path}/pipeline.json`)
})

test('docs/deploy.md names metrics and variables that there are', () => {
  const page = readFileSync(join(root, 'docs/deploy.md'), 'utf8')
  const found = spawnSync(
    'git',
    ['grep', '-hoE', "'custody_[a-z_]+'", '--', 'packages', 'services'],
    {
      cwd: root,
      encoding: 'utf8',
    },
  ).stdout.split('\n')
  const metrics = [...page.matchAll(/`(custody_[a-z_]+)`/g)].map(([, name]) => name!)
  expect(metrics.length).toBeGreaterThan(2)
  expect(metrics.filter((name) => !found.includes(`'${name}'`))).toEqual([])
  // Of make-secrets, and of the compose file.
  const own = readFileSync(join(compose, 'make-secrets'), 'utf8') + readFileSync(file, 'utf8')
  const variables = [...page.matchAll(/\b(CUSTODY_[A-Z_]+)\b/g)].map(([, name]) => name!)
  expect(variables.filter((name) => !known.variables.has(name) && !own.includes(name))).toEqual([])
  const paths = [...page.matchAll(/\]\((\.\.\/[^)]+|[a-z/-]+\.md)\)/g)].map(([, path]) => path!)
  expect(paths.filter((path) => !existsSync(join(root, 'docs', path)))).toEqual([])
})

test('every image that is built here has a stage', () => {
  mkdirSync(join(directory, 'none'), { recursive: true })
  const stages = read<{ stages: { name: string }[] }>('dockerfile', join(root, 'Dockerfile')).stages
  for (const { build } of Object.values(project.services))
    if (build) expect(stages.map(({ name }) => name)).toContain(build.target)
})

/** All `{ file: … }` and `ca: …` below a value. */
function filesIn(value: unknown): string[] {
  if (typeof value !== 'object' || value === null) return []
  return Object.entries(value).flatMap(([name, inner]) =>
    (name === 'file' || name === 'ca') && typeof inner === 'string' ? [inner] : filesIn(inner),
  )
}
