/**
 * The chart: what Helm itself renders of it, held against Kubernetes' published schemas of the oldest and the newest version
 * that it is for, and against rules that each can be broken. No cluster has run it.
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { loadConfiguration, parseConfiguration } from '@custody/kit'
import { stringify } from 'yaml'
import { type Dockerfile, processOf } from './dockerfile'
import { breachesOf, type KubernetesObject, objectsOf, schemaBreachesOf } from './kubernetes'
import { chart, read, root, ToolError } from './tools'

const values = (name: string) => join(root, 'test/infra/values', `${name}.yaml`)
const { versions } = JSON.parse(readFileSync(join(root, 'test/infra/tools/versions.json'), 'utf8'))
  .kubernetes as { versions: string[] }
const directory = mkdtempSync(join(tmpdir(), 'custody-infra-'))
afterAll(() => rmSync(directory, { recursive: true, force: true }))

function render(...files: string[]): KubernetesObject[] {
  return objectsOf(read<{ manifest: string }>('helm-template', chart, ...files).manifest)
}

let written = 0
function valuesFile(content: object): string {
  const file = join(directory, `${written++}.yaml`)
  writeFileSync(file, stringify(content))
  return file
}

const all = { least: render(values('least')), full: render(values('full')) }
const named = (objects: KubernetesObject[], kind: string, name: string) =>
  objects.find((one) => one.kind === kind && one.metadata.name === name)

test.each(['least', 'full'])('Helm’s linter has nothing against it (%s)', (name) => {
  expect(read('helm-lint', chart, values(name))).toEqual({
    failed: false,
    messages: ['[INFO] Chart.yaml: icon is recommended'],
  })
})

test.each(versions.flatMap((version) => Object.keys(all).map((name) => [name, version] as const)))(
  'every object is one that Kubernetes takes (%s, %s)',
  (name, version) => {
    expect(schemaBreachesOf(all[name as keyof typeof all], version)).toEqual([])
  },
)

test.each(['least', 'full'] as const)('every object keeps every rule (%s)', (name) => {
  expect(breachesOf(all[name])).toEqual([])
})

test('there is what there is to be', () => {
  const kinds = (objects: KubernetesObject[]) =>
    objects.map(({ kind, metadata }) => `${kind} ${metadata.name}`).sort()
  const least = [
    'ConfigMap custody',
    'Deployment custody-ingest',
    'NetworkPolicy custody-ingest',
    'NetworkPolicy custody-proxy',
    'NetworkPolicy custody-query',
    'PodDisruptionBudget custody-ingest',
    'PodDisruptionBudget custody-proxy',
    'PodDisruptionBudget custody-query',
    'Service custody-ingest-pods',
    'Service custody-proxy',
    'Service custody-proxy-pods',
    'Service custody-query',
    'Service custody-query-pods',
    'ServiceAccount custody',
    'StatefulSet custody-proxy',
    'StatefulSet custody-query',
  ]
  expect(kinds(all.least)).toEqual(least)
  const more = [
    'HorizontalPodAutoscaler custody-ingest',
    'Ingress custody-query',
    'NetworkPolicy custody-siem-export',
    'PodDisruptionBudget custody-siem-export',
    'Service custody-siem-export-pods',
    'ServiceMonitor custody-ingest',
    'ServiceMonitor custody-proxy',
    'ServiceMonitor custody-query',
    'ServiceMonitor custody-siem-export',
    'StatefulSet custody-siem-export',
  ]
  expect(kinds(all.full)).toEqual([...least, ...more].sort())
})

type Change = (find: (kind: string, name: string) => KubernetesObject) => void
const pod = (find: Parameters<Change>[0]) => find('StatefulSet', 'custody-proxy').spec.template.spec
const changes: [breach: RegExp, change: Change][] = [
  [/may run as root/, (find) => delete pod(find).securityContext.runAsNonRoot],
  [/may run as root/, (find) => (pod(find).securityContext.runAsUser = 0)],
  [/no seccomp/, (find) => delete pod(find).securityContext.seccompProfile],
  [/token of the cluster/, (find) => (pod(find).automountServiceAccountToken = true)],
  [/namespace of the node/, (find) => (pod(find).hostNetwork = true)],
  [/path of the node/, (find) => pod(find).volumes.push({ name: 'x', hostPath: { path: '/' } })],
  [/privileges/, (find) => delete pod(find).containers[0].securityContext.allowPrivilegeEscalation],
  [
    /own file system/,
    (find) => delete pod(find).containers[0].securityContext.readOnlyRootFilesystem,
  ],
  [/capabilities/, (find) => delete pod(find).containers[0].securityContext.capabilities],
  [/bound of memory/, (find) => delete pod(find).containers[0].resources.limits],
  [/no livenessProbe/, (find) => delete pod(find).containers[0].livenessProbe],
  [/not pinned/, (find) => (pod(find).containers[0].image = 'custody:latest')],
  [/mounts home/, (find) => delete find('StatefulSet', 'custody-proxy').spec.volumeClaimTemplates],
  [
    /is a value/,
    (find) => pod(find).containers[0].env.push({ name: 'KAFKA_PASSWORD', value: 'x' }),
  ],
  [/selects no pod/, (find) => (find('Service', 'custody-proxy').spec.selector.x = 'y')],
  [
    /no container has/,
    (find) => (find('Service', 'custody-proxy').spec.ports[0].targetPort = 'http'),
  ],
  [/network policy/, (find) => find('NetworkPolicy', 'custody-proxy').spec.policyTypes.pop()],
  [/is there twice/, (find) => (find('Service', 'custody-proxy').metadata.name = 'custody-query')],
]

test.each(changes)('a breach is told: %s', (breach, change) => {
  const objects = structuredClone(all.full)
  change((kind, name) => named(objects, kind, name))
  expect(breachesOf(objects).filter((one) => breach.test(one))).not.toEqual([])
})

test.each<[string, Change]>([
  ['a field that there is not', (find) => (pod(find).containrs = [])],
  [
    'a value of another type',
    (find) => (find('StatefulSet', 'custody-proxy').spec.replicas = 'two'),
  ],
  ['a missing field', (find) => delete find('StatefulSet', 'custody-proxy').spec.selector],
  ['a kind that there is not', (find) => (find('Ingress', 'custody-query').kind = 'Ingres')],
  [
    'a version that is gone',
    (find) =>
      (find('HorizontalPodAutoscaler', 'custody-ingest').apiVersion = 'autoscaling/v2beta2'),
  ],
])('the schemas refuse %s', (_, change) => {
  const objects = structuredClone(all.full)
  change((kind, name) => named(objects, kind, name))
  for (const version of versions) expect(schemaBreachesOf(objects, version)).not.toEqual([])
})

test('nothing is installed without a Kafka and a ClickHouse', () => {
  expect(() => read('helm-template', chart)).toThrow(
    /warehouse\/url[\s\S]*brokers|brokers[\s\S]*warehouse\/url/,
  )
})

test.each<[string, object, RegExp]>([
  ['settings of the chart that there are not', { proxy: { replica: 3 } }, /replica/],
  ['no replicas', { proxy: { replicas: 0 } }, /replicas/],
  ['an image that moves', { image: { tag: 'latest' } }, /image/],
  ['half a digest', { image: { digest: 'sha256:12' } }, /digest/],
  [
    'ClickHouse without TLS',
    { configuration: { warehouse: { url: 'http://clickhouse:8123' } } },
    /url/,
  ],
  ['no bound of memory', { query: { resources: { limits: { memory: null } } } }, /memory/],
  ['more ingest than partitions', { ingest: { replicas: 13 } }, /13 replicas for 12 partitions/],
  [
    'more ingest than partitions, in time',
    { ingest: { autoscaling: { enabled: true, maxReplicas: 13 } } },
    /13 replicas for 12 partitions/,
  ],
  [
    'a console without TLS',
    { query: { ingress: { enabled: true, host: 'custody.example.com' } } },
    /not served without TLS/,
  ],
  [
    'a file in the place of custody.yaml',
    { files: { 'custody.yaml': 'x' } },
    /custody\.yaml|files/,
  ],
])('it refuses %s', (_, more, said) => {
  expect(() => render(values('least'), valuesFile(more))).toThrow(ToolError)
  expect(() => render(values('least'), valuesFile(more))).toThrow(said)
})

test.each(['least', 'full'] as const)(
  'Custody takes the configuration that it makes (%s)',
  (name) => {
    const text = named(all[name], 'ConfigMap', 'custody').data['custody.yaml']
    const configuration = parseConfiguration(text, '/etc/custody/custody.yaml')
    expect(configuration.listen).toMatchObject({ host: '0.0.0.0', postgres: 15432, console: 15480 })
    // Every secret that it names lies where a service that reads it has one.
    const places = [
      'proxy',
      'ingest',
      'query',
      ...(name === 'full' ? ['siem-export'] : []),
    ].flatMap((service) =>
      containerOf(all[name], service).volumeMounts.map(
        ({ mountPath }: { mountPath: string }) => mountPath,
      ),
    )
    for (const [path] of text.matchAll(/\/run\/secrets\/[\w./-]+/g))
      expect(places).toContain(path.slice(0, path.lastIndexOf('/')))
    // Secrets are read as who runs it: the group may.
    for (const { spec } of all[name])
      for (const volume of spec?.template?.spec.volumes ?? [])
        if (volume.secret) expect(volume.secret.defaultMode).toBe(0o440)
  },
)

test('what the image says and what the chart says is one', () => {
  const image = processOf(read<Dockerfile>('dockerfile', join(root, 'Dockerfile')), 'custody')
  for (const service of ['proxy', 'ingest', 'query']) {
    const { command, volumeMounts } = containerOf(all.least, service)
    expect(command).toEqual(['node', `services/${service}/dist/main.js`])
    const mounted = volumeMounts.map(({ mountPath }: { mountPath: string }) => mountPath)
    expect(mounted).toContain(image.environment.CUSTODY_HOME)
    expect(`${image.environment.CUSTODY_CONFIG}`).toBe('/etc/custody/custody.yaml')
    expect(mounted).toContain('/etc/custody')
    const [user] = image.user.split(':')
    const { spec } = [
      named(all.least, 'StatefulSet', `custody-${service}`),
      named(all.least, 'Deployment', `custody-${service}`),
    ].find((one) => one !== undefined).spec.template
    expect(String(spec.securityContext.runAsUser)).toBe(user)
  }
  const names = image.copied.flatMap(([source]) => source.split('/').at(-1))
  expect(names).toContain('custody-drain')
})

test('a gateway has time to drain before it is killed, and its log outlives it', () => {
  const { spec } = named(all.full, 'StatefulSet', 'custody-proxy')
  const pod = spec.template.spec
  const [program, port, seconds] = pod.containers[0].lifecycle.preStop.exec.command
  expect([program, port]).toEqual(['custody-drain', '15490'])
  const text = named(all.full, 'ConfigMap', 'custody').data['custody.yaml']
  const { limits } = parseConfiguration(text)
  expect(pod.terminationGracePeriodSeconds).toBeGreaterThan(
    Number(seconds) + limits.drainMsMax / 1000,
  )
  // A service ends itself after 30 s, whatever is under way.
  expect(limits.drainMsMax).toBeLessThan(30_000)
  expect(spec.persistentVolumeClaimRetentionPolicy).toEqual({
    whenDeleted: 'Retain',
    whenScaled: 'Retain',
  })
})

test.each(['least', 'full'] as const)('every log stays below its volume (%s)', (name) => {
  const file = join(directory, `${name}.yaml`)
  const text = named(all[name], 'ConfigMap', 'custody').data['custody.yaml']
  writeFileSync(file, text)
  for (const service of ['proxy', 'query']) {
    const { spec } = named(all[name], 'StatefulSet', `custody-${service}`)
    const { storage } = spec.volumeClaimTemplates[0].spec.resources.requests
    const environment = Object.fromEntries(
      spec.template.spec.containers[0].env.map((one: { name: string; value?: string }) => [
        one.name,
        one.value,
      ]),
    )
    const { log } = loadConfiguration({ ...environment, CUSTODY_CONFIG: file })
    expect(storage).toMatch(/^\d+Gi$/)
    const bytes = Number.parseInt(storage, 10) * 1024 ** 3
    expect(log.logBytesMax).toBeLessThanOrEqual(bytes * 0.8)
    expect(log.logBytesMax).toBe(
      Math.min(parseConfiguration(text).log.logBytesMax, Math.floor(bytes * 0.8)),
    )
  }
})

test('only query can issue tokens, only ingest can change tables', () => {
  const secretsOf = (service: string) =>
    (
      named(all.least, 'StatefulSet', `custody-${service}`) ??
      named(all.least, 'Deployment', `custody-${service}`)
    ).spec.template.spec.volumes
      .filter(({ secret }: KubernetesObject) => secret)
      .map(({ secret }: KubernetesObject) => [secret.secretName, secret.items?.[0].key ?? null])
  expect(secretsOf('proxy')).toContainEqual(['custody-token-key', 'public.pem'])
  expect(secretsOf('query')).toContainEqual(['custody-token-key', 'private.pem'])
  const having = (name: string) =>
    ['proxy', 'ingest', 'query'].filter((service) =>
      secretsOf(service).some(([one]: [string]) => one === name),
    )
  expect(having('custody-token-key')).toEqual(['proxy', 'query'])
  expect(having('custody-warehouse-admin')).toEqual(['ingest'])
  expect(having('custody-warehouse-ingest')).toEqual(['ingest'])
})

test('nothing reaches further than it must', () => {
  const ports = (service: string) =>
    named(all.full, 'NetworkPolicy', `custody-${service}`).spec.egress.flatMap(
      ({ ports }: KubernetesObject) => ports.map(({ port }: { port: number }) => port),
    )
  expect(ports('proxy')).toEqual([53, 53, 9093, 5432, 443])
  expect(ports('ingest')).toEqual([53, 53, 9093, 8443])
  expect(ports('query')).toEqual([53, 53, 9093, 8443, 443])
  const { ingress } = named(all.full, 'NetworkPolicy', 'custody-ingest').spec
  expect(ingress).toEqual([
    {
      from: [
        { namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': 'monitoring' } } },
      ],
      ports: [{ protocol: 'TCP', port: 'health' }],
    },
  ])
})

test('each service may have an image of its own, for upgrades in order', () => {
  const objects = render(values('least'), valuesFile({ proxy: { image: { tag: '0.0.9' } } }))
  expect(containerOf(objects, 'proxy').image).toBe('custody:0.0.9')
  expect(containerOf(objects, 'ingest').image).toBe('custody:0.1.0')
  expect(containerOf(all.full, 'ingest').image).toMatch(/^registry\.example\.com\/custody@sha256:/)
})

function containerOf(objects: KubernetesObject[], service: string): KubernetesObject {
  const found =
    named(objects, 'StatefulSet', `custody-${service}`) ??
    named(objects, 'Deployment', `custody-${service}`)
  return found.spec.template.spec.containers[0]
}
