/**
 * What must hold of the compose file, whoever changes it: a pure function of what Compose's own loader made of it. Says
 * every breach by the name of the service. What it needs to know of images that are not ours stands here, in tables.
 */
export interface ComposeService {
  image?: string
  build?: { target?: string }
  user?: string
  command?: string[] | null
  profiles?: string[]
  entrypoint?: string[] | null
  environment?: Record<string, string | null>
  read_only?: boolean
  privileged?: boolean
  cap_add?: string[]
  cap_drop?: string[]
  security_opt?: string[]
  network_mode?: string
  pid?: string
  ipc?: string
  restart?: string
  stop_grace_period?: string
  tmpfs?: string[]
  volumes?: { type: string; source?: string; target: string }[]
  ports?: { host_ip?: string; published?: string; target: number }[]
  networks?: Record<string, { aliases?: string[] } | null>
  secrets?: { source: string; target?: string }[]
  configs?: { source: string; target?: string }[]
  healthcheck?: { test?: string[]; disable?: boolean; interval?: string; timeout?: string }
  depends_on?: Record<string, { condition: string }>
  deploy?: {
    replicas?: number
    resources?: { limits?: { cpus?: number; memory?: string; pids?: number } }
  }
}

export interface ComposeProject {
  services: Record<string, ComposeService>
  networks: Record<string, { internal?: boolean }>
  volumes: Record<string, unknown>
  secrets?: Record<string, { file?: string; environment?: string; content?: string }>
  configs?: Record<string, { file?: string; content?: string }>
}

/** Who may be reached from outside the installation. Browsers go to the last two. */
const published = new Set(['proxy', 'query', 'keycloak', 'grafana'])
/** Who may reach the outside besides, and is not reached from there. */
const outbound = new Set(['siem-export'])
/** Who may be in one network with what is behind the gateway. */
const targets = new Set(['proxy', 'demo-database'])

/** Variables that images of others know. */
const variablesOf: Record<string, readonly string[]> = {
  kafka: ['CLUSTER_ID', 'KAFKA_HEAP_OPTS'],
  clickhouse: ['CLICKHOUSE_SKIP_USER_SETUP'],
  'demo-database': ['POSTGRES_DB', 'POSTGRES_PASSWORD_FILE', 'POSTGRES_INITDB_ARGS'],
  keycloak: [
    'KC_HOSTNAME',
    'KC_HTTPS_CERTIFICATE_FILE',
    'KC_HTTPS_CERTIFICATE_KEY_FILE',
    'KC_HTTP_MANAGEMENT_SCHEME',
    'KC_CACHE',
    'JAVA_OPTS_KC_HEAP',
  ],
  grafana: [
    'GF_SECURITY_ADMIN_PASSWORD__FILE',
    'GF_PLUGINS_PREINSTALL_SYNC',
    'GF_USERS_ALLOW_SIGN_UP',
    'GF_ANALYTICS_REPORTING_ENABLED',
    'GF_ANALYTICS_CHECK_FOR_UPDATES',
    'GF_SERVER_ROOT_URL',
  ],
}
/** Node.js' own. */
const variablesOfNode = ['NODE_EXTRA_CA_CERTS']

/** Where images keep what they write; it must be a volume or memory, since nothing else can be written. */
const writes: Record<string, readonly string[]> = {
  proxy: ['/var/lib/custody'],
  ingest: ['/var/lib/custody'],
  query: ['/var/lib/custody'],
  'siem-export': ['/var/lib/custody'],
  kafka: ['/var/lib/kafka/data', '/opt/kafka/config', '/opt/kafka/logs'],
  clickhouse: ['/var/lib/clickhouse', '/var/log/clickhouse-server'],
  'demo-database': ['/var/lib/postgresql', '/run/postgresql'],
  keycloak: ['/opt/keycloak/data/h2', '/opt/keycloak/data/tmp'],
  grafana: ['/var/lib/grafana'],
}

/** What only one service may have. */
const onlyFor: Record<string, readonly string[]> = {
  'token-signing.pem': ['query'],
  'gateway.key': ['proxy'],
  'demo-app-password': ['proxy', 'demo-database'],
  'demo-owner-password': ['demo-database'],
  'masking-key': ['proxy'],
  'clickhouse-admin-password': ['ingest'],
  'clickhouse-ingest-password': ['ingest'],
  'clickhouse-query-password': ['ingest', 'query'],
  'clickhouse-grafana-password': ['grafana'],
  'kafka-server.properties': ['kafka'],
}

export interface Known {
  /** Environment variables that Custody's services know. */
  variables: ReadonlySet<string>
  /** The version of what is built here. */
  version: string
}

export function breachesOf(project: ComposeProject, known: Known): string[] {
  const found: string[] = []
  for (const [name, service] of Object.entries(project.services)) {
    const say = (what: string) => found.push(`${name}: ${what}`)
    checkImage(service, known, say)
    checkConfinement(service, say)
    checkStorage(name, service, say)
    checkEnvironment(name, service, known, say)
    checkNetworks(name, service, project, say)
    if (!service.healthcheck?.test?.length || service.healthcheck.test[0] === 'NONE')
      say('has no health check')
    if (service.healthcheck?.disable) say('has its health check disabled')
    if (!service.healthcheck?.interval || !service.healthcheck.timeout)
      say('its health check has no interval or no timeout')
    if (!service.restart || service.restart === 'no') say('is not started again')
    if (!service.stop_grace_period) say('has no time to stop in order')
    const limits = service.deploy?.resources?.limits
    if (!limits?.cpus || !limits.memory || !limits.pids)
      say('lacks a limit of processors, memory or processes')
    for (const [other, { condition }] of Object.entries(service.depends_on ?? {}))
      if (condition !== 'service_healthy') say(`does not wait until ${other} is healthy`)
    for (const { source } of service.secrets ?? [])
      if (onlyFor[source] && !onlyFor[source].includes(name))
        say(`has ${source}, which is not its business`)
  }
  for (const [name, { file, environment, content }] of Object.entries(project.secrets ?? {})) {
    if (!file?.includes('/secrets/') || environment || content)
      found.push(`secret ${name} is not a file below secrets/`)
    if (!Object.values(project.services).some((s) => s.secrets?.some((x) => x.source === name)))
      found.push(`secret ${name} is nobody’s`)
  }
  for (const [name, { content }] of Object.entries(project.configs ?? {}))
    if (content) found.push(`config ${name} stands in the compose file`)
  for (const name of Object.keys(project.volumes ?? {}))
    if (!Object.values(project.services).some((s) => s.volumes?.some((v) => v.source === name)))
      found.push(`volume ${name} is nobody’s`)
  for (const [name, network] of Object.entries(project.networks))
    if (name !== 'edge' && network.internal !== true) found.push(`network ${name} is not internal`)
  return found
}

type Say = (what: string) => void

function checkImage({ image = '', build }: ComposeService, { version }: Known, say: Say): void {
  if (/@sha256:[0-9a-f]{64}$/.test(image)) return
  const tag = /:([^:/@]+)$/.exec(image)?.[1] ?? ''
  if (!/^v?\d+\.\d+(\.\d+)*/.test(tag)) say(`its image ${image} is not pinned to a version`)
  if (build && tag !== version) say(`its image is built here and is not called ${version}`)
}

function checkConfinement(service: ComposeService, say: Say): void {
  if (!service.user || /^(0|root)(:|$)/.test(service.user)) say('runs as root')
  if (service.read_only !== true) say('can write to its own file system')
  if (!service.cap_drop?.includes('ALL') || service.cap_add?.length) say('has capabilities')
  if (!service.security_opt?.includes('no-new-privileges:true')) say('may gain privileges')
  if (service.privileged) say('is privileged')
  if (service.network_mode || service.pid || service.ipc) say('shares a namespace')
}

function checkStorage(name: string, service: ComposeService, say: Say): void {
  const { volumes = [], tmpfs = [] } = service
  for (const { type, target } of volumes)
    if (type !== 'volume') say(`has something of the machine at ${target}`)
  for (const one of tmpfs) if (!one.includes('size=')) say(`takes memory without bound (${one})`)
  const writable = [
    ...volumes.map(({ target }) => target),
    ...tmpfs.map((one) => one.split(':')[0]!),
  ]
  const needed = writes[name]
  if (!needed) say('is not known to this test: say in it where its image writes')
  for (const place of ['/tmp', ...(needed ?? [])])
    if (!writable.includes(place)) say(`can’t write to ${place}`)
  if ((service.deploy?.replicas ?? 1) > 1 && volumes.length > 0)
    say('has replicas that share a volume')
}

function checkEnvironment(name: string, service: ComposeService, known: Known, say: Say): void {
  const isOurs = service.build?.target === 'custody'
  for (const [variable, value] of Object.entries(service.environment ?? {})) {
    const isKnown = isOurs
      ? known.variables.has(variable) || variablesOfNode.includes(variable)
      : variablesOf[name]?.includes(variable)
    if (!isKnown) say(`does not know ${variable}`)
    const isFile = /(_|__)FILE$/.test(variable) && value?.startsWith('/run/secrets/')
    if (/PASSWORD|SECRET|TOKEN|CREDENTIAL|PRIVATE|_KEY/.test(variable) && !isFile)
      say(`has a secret in its environment (${variable})`)
    if (value === null) say(`takes ${variable} from whoever starts it`)
  }
  for (const [variable, value] of Object.entries(service.environment ?? {}))
    for (const [path] of (value ?? '').matchAll(/\/run\/secrets\/[\w.-]+/g))
      if (!secretPaths(service).includes(path)) say(`${variable} names ${path}, which it has not`)
}

/** Where a service finds what it is handed. */
export function secretPaths({ secrets = [] }: ComposeService): string[] {
  return secrets.map(({ source, target }) =>
    target?.startsWith('/') ? target : `/run/secrets/${target ?? source}`,
  )
}

function checkNetworks(
  name: string,
  { ports = [], networks = {} }: ComposeService,
  project: ComposeProject,
  say: Say,
): void {
  for (const { host_ip, target } of ports) {
    if (!published.has(name)) say(`is published (${target})`)
    if (host_ip !== '127.0.0.1') say(`is published beyond loopback (${target})`)
  }
  if ('edge' in networks && !published.has(name) && !outbound.has(name)) say('reaches the outside')
  if ('targets' in networks && !targets.has(name)) say('reaches what is behind the gateway')
  if (Object.keys(networks).length === 0 || 'default' in networks) say('is in the default network')
  for (const network of Object.keys(networks))
    if (!(network in project.networks)) say(`is in ${network}, which there is not`)
}
