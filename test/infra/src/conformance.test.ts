/**
 * The compose installation, run: its services with the commands, environment, user, secrets and configuration that compose and
 * the Dockerfile give them, on a real Kafka with compose's own configuration, a real PostgreSQL filled by compose's own script,
 * and two that stand in: the embedded engine for ClickHouse's server, and the OpenID provider of the other tests for Keycloak.
 * Then a native client through the gateway, and what it did in the console's API. No container is made: images of others,
 * networks, limits and read-only file systems are Docker's to keep.
 */
import { spawn, spawnSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { createClient } from '@clickhouse/client'
import { freePort } from '@custody/kit'
import {
  type KafkaServer,
  type OidcProvider,
  type PostgresServer,
  postgresUrl,
  psql,
  startKafka,
  startOidcProvider,
  startPostgres,
  temporaryDirectory,
} from '@custody/test-support'
import { createWarehouse, type Warehouse } from '@custody/warehouse'
import type { ComposeProject } from './compose'
import type { Dockerfile } from './dockerfile'
import { layOut, type NativeService, type Places, startService } from './native'
import { compose, read, root } from './tools'

// Four Node.js processes, a broker and two databases begin here, on a machine that may be busy.
jest.setTimeout(1_800_000)

const project = read<ComposeProject>('compose', join(compose, 'compose.yaml'))
const file = read<Dockerfile>('dockerfile', join(root, 'Dockerfile'))
const directory = temporaryDirectory('compose', { open: true })
const secrets = join(directory.path, 'secrets')
const secret = (name: string) => readFileSync(join(secrets, name), 'utf8')
const ports = new Map<string, number>()
const running: NativeService[] = []
let kafka: KafkaServer
let target: PostgresServer
let provider: OidcProvider
let warehouse: Warehouse
let store: { url: string; port: number }
let places: Places

const start = (name: string, replica = 1) => {
  const service = startService(project, file, name, replica, places)
  running.push(service)
  return service
}

async function untilHealthy(service: NativeService): Promise<void> {
  for (;;) {
    const { code, said } = await service.health()
    if (code === 0) return
    if (service.process.exitCode !== null) throw new Error(`${said}\n${service.said()}`)
    await new Promise((resolve) => setTimeout(resolve, 250))
  }
}

beforeAll(async () => {
  const made = spawnSync(join(compose, 'make-secrets'), {
    encoding: 'utf8',
    env: { ...process.env, CUSTODY_SECRETS: secrets },
  })
  if (made.status !== 0) throw new Error(made.stderr)
  const wanted: [string, number, number][] = [
    ['proxy', 1, 15432],
    ['proxy', 1, 15480],
    ['proxy', 1, 15490],
    ['ingest', 1, 15432],
    ['ingest', 1, 15480],
    ['ingest', 1, 15490],
    ['ingest', 2, 15432],
    ['ingest', 2, 15480],
    ['ingest', 2, 15490],
    ['query', 1, 15432],
    ['query', 1, 15432],
    ['query', 1, 15480],
    ['query', 2, 15432],
    ['query', 2, 15480],
    ['siem-export', 1, 15432],
    ['siem-export', 1, 15480],
    ['siem-export', 1, 15490],
    ['kafka', 1, 9092],
    ['kafka', 1, 9093],
    ['kafka', 1, 9094],
  ]
  for (const of of wanted) ports.set(of.join(' '), await freePort())
  const portOf = (name: string, replica: number, port: number) => {
    const found = ports.get(`${name} ${replica} ${port}`)
    if (found === undefined) throw new Error(`nothing is known of ${name}'s port ${port}`)
    return found
  }

  const password = randomBytes(16).toString('hex')
  warehouse = createWarehouse({
    directory: join(directory.path, 'warehouse'),
    port: 0,
    password,
    queryPassword: secret('clickhouse-query-password'),
  })
  ;[kafka, target, provider, store] = await Promise.all([
    startKafka({ properties: brokerProperties(portOf) }),
    startPostgres(),
    startOidcProvider(),
    warehouse.start(),
  ])
  await fillTarget()

  places = {
    directory: directory.path,
    secrets,
    portOf,
    instead: [
      ['0.0.0.0', '127.0.0.1'],
      // The embedded engine makes no users; where there is a server, ingest does.
      [/^ {2}admin: \{.*\}\n/m.exec(readFileSync(join(compose, 'custody.yaml'), 'utf8'))![0], ''],
      ['"kafka:9092"', `"localhost:${portOf('kafka', 1, 9092)}"`],
      ['demo-database:5432', target.address],
      ['https://clickhouse:8443', `http://127.0.0.1:${store.port}`],
      ['https://keycloak.localhost:8443/realms/acme', provider.issuer],
      ['audiences: [custody]', 'audiences: [custody-cli]'],
      ['clientId: custody\n', 'clientId: custody-cli\n'],
      ['http://localhost:15480', `http://localhost:${portOf('query', 1, 15480)}`],
    ],
    // The embedded engine makes no users: there, its one user writes.
    more: { ingest: { CUSTODY_WAREHOUSE_URL: store.url } },
  }
  layOut(file, places)
})

afterAll(async () => {
  await Promise.all(running.map((service) => service.stop()))
  await Promise.all([warehouse?.stop(), kafka?.stop(), target?.stop(), provider?.stop()])
  await directory.remove()
})

/** Compose's own server.properties, at other ports and places. */
function brokerProperties(
  portOf: (name: string, replica: number, port: number) => number,
): Record<string, string> {
  let text = secret('kafka-server.properties')
  for (const port of [9092, 9093, 9094])
    text = text.replaceAll(`:${port}`, `:${portOf('kafka', 1, port)}`)
  text = text
    .replaceAll('0.0.0.0', '127.0.0.1')
    .replaceAll('CLIENTS://kafka:', 'CLIENTS://localhost:')
    .replaceAll('/run/secrets', secrets)
    .replaceAll('/var/lib/kafka/data', join(directory.path, 'kafka-data'))
  return Object.fromEntries(
    text
      .split('\n')
      .filter((line) => line !== '' && !line.startsWith('#'))
      .map((line) => [line.slice(0, line.indexOf('=')), line.slice(line.indexOf('=') + 1)]),
  )
}

/** Compose's own script, as the image of PostgreSQL runs it. */
async function fillTarget(): Promise<void> {
  const { POSTGRES_DB } = project.services['demo-database']!.environment!
  await target.query(`CREATE DATABASE ${POSTGRES_DB}`)
  const data = join(directory.path, 'demo.sql')
  const made = spawnSync('sh', ['-c', `node infra/image/demo-sql.cjs > ${data}`], { cwd: root })
  if (made.status !== 0) throw new Error(String(made.stderr))
  const script = readFileSync(join(compose, 'postgres/00-account.sh'), 'utf8')
    .replaceAll('/run/secrets', secrets)
    .replaceAll('/usr/local/share/custody/demo.sql', data)
  const filled = spawnSync('bash', ['-c', script], {
    encoding: 'utf8',
    env: {
      ...process.env,
      POSTGRES_DB: POSTGRES_DB!,
      PGHOST: target.host,
      PGPORT: String(target.port),
      PGPASSWORD: target.password,
    },
  })
  if (filled.status !== 0) throw new Error(filled.stderr)
}

test('it starts in the order that compose says, becomes healthy, records what a client does, and stops in order', async () => {
  const order = ['ingest', 'query', 'proxy', 'siem-export']
  for (const [i, name] of order.entries())
    for (const other of Object.keys(project.services[name]!.depends_on ?? {}))
      expect(order.slice(i + 1)).not.toContain(other)

  const first = start('ingest', 1)
  // What is not there is not healthy.
  expect((await first.health()).code).toBe(1)
  const second = start('ingest', 2)
  expect(project.services.ingest!.deploy!.replicas).toBe(2)
  await Promise.all([untilHealthy(first), untilHealthy(second)])
  const query = start('query')
  await untilHealthy(query)
  const proxy = start('proxy')
  await untilHealthy(proxy)
  const siem = start('siem-export')
  await untilHealthy(siem)

  const api = (path: string, token: string, init: RequestInit = {}) =>
    fetch(`http://127.0.0.1:${places.portOf('query', 1, 15480)}/api/v1${path}`, {
      ...init,
      headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
    })
  const gateway = (token: string) =>
    postgresUrl({
      host: 'localhost',
      port: places.portOf('proxy', 1, 15432),
      user: 'ada',
      password: token,
      database: 'demo',
      sslmode: 'verify-full',
    })
  const environment = { ...process.env, PGSSLROOTCERT: join(secrets, 'authority.pem') }
  const idToken = await provider.idToken('ada')

  // With what the provider gave, over TLS by the installation's own authority.
  const sql = "select id, email, 'first' as mark from customers order by id limit 2"
  const answer = await psql(gateway(idToken), ['-At', '-c', sql], { env: environment })
  expect(answer).toMatchObject({ code: 0, stderr: '' })
  expect(answer.stdout).toMatch(/^1\|[^|]*\*[^|]*\|first\n2\|/)

  // And with a token that the query service issues: it has the private half of a key, the gateway the public one.
  const issued = await api('/tokens/own', idToken, { method: 'POST', body: '{}' })
  expect(issued.status).toBe(201)
  const { token } = (await issued.json()) as { token: string }
  const again = await psql(gateway(token), ['-At', '-c', "select 'second' as mark"], {
    env: environment,
  })
  expect(again).toMatchObject({ code: 0, stdout: 'second\n' })
  const stranger = await psql(gateway(`${token.slice(0, -4)}AAAA`), ['-c', 'select 1'], {
    env: environment,
  })
  expect(stranger.code).not.toBe(0)

  // Through Kafka, ingest and the store, to who asks.
  const texts = async () => {
    const response = await api('/events?kind=command.started&limit=100', idToken)
    expect(response.status).toBe(200)
    const { events } = (await response.json()) as { events: { statement: { text: string } }[] }
    return events.map(({ statement }) => statement.text)
  }
  for (;;) {
    const found = await texts()
    if (found.includes(sql) && found.some((text) => text.includes('second'))) break
    await new Promise((resolve) => setTimeout(resolve, 250))
  }

  // One of two is killed: the other takes what was its.
  first.process.kill('SIGKILL')
  await psql(gateway(token), ['-At', '-c', "select 'third' as mark"], { env: environment })
  while (!(await texts()).some((text) => text.includes('third')))
    await new Promise((resolve) => setTimeout(resolve, 250))
  expect((await first.health()).code).toBe(1)

  await panelsAnswer()
  await drains(proxy, gateway(token), environment)

  for (const service of [siem, proxy, query, second]) {
    const code = await service.stop()
    expect([service.name, code, (await service.health()).code]).toEqual([service.name, 0, 1])
  }
})

test('a service that lacks a secret says so and ends', async () => {
  const without = structuredClone(project)
  const { query } = without.services
  query!.secrets = query!.secrets!.filter(({ target }) => !target?.endsWith('token-key.pem'))
  // Of another name: no two homes may record under one.
  const more = { query: { CUSTODY_GATEWAY: 'query-2' } }
  const service = startService(without, file, 'query', 2, { ...places, more })
  running.push(service)
  while (service.process.exitCode === null) {
    expect((await service.health()).code).toBe(1)
    await new Promise((resolve) => setTimeout(resolve, 100))
  }
  expect(service.process.exitCode).toBe(1)
  expect(service.said()).toContain('CUSTODY-TOKEN-008')
})

/** Who is to stop the gateway waits for what is open; it must not be told too early. */
async function drains(proxy: NativeService, url: string, env: NodeJS.ProcessEnv): Promise<void> {
  const client = spawn('psql', ['-X', '-At', '-d', url], {
    env,
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  client.stdin.write('select 1;\n')
  await once(client.stdout, 'data')
  let drained = false
  const port = String(places.portOf('proxy', 1, 15490))
  const drain = proxy.run('custody-drain', port, '86400').then((answer) => {
    drained = true
    return answer
  })
  // Longer than it waits when nobody is there.
  await new Promise((resolve) => setTimeout(resolve, 12_000))
  expect(drained).toBe(false)
  client.stdin.end()
  expect(await drain).toEqual({ code: 0, said: 'no session is open' })
  expect(await proxy.run('custody-drain', '1', '0')).toEqual({ code: 0, said: 'time is over' })
}

/** Every question of the dashboard, as Grafana's plug-in asks it, of the user that Grafana has. */
async function panelsAnswer(): Promise<void> {
  const dashboard = JSON.parse(
    readFileSync(join(compose, 'grafana/dashboards/pipeline.json'), 'utf8'),
  )
  const url = new URL(store.url)
  const client = createClient({
    url: url.origin,
    username: 'custody_query',
    password: secret('clickhouse-query-password'),
  })
  const rows: Record<string, Record<string, unknown>[]> = {}
  try {
    // What is on its way in another partition is missing for a moment; what stays so ends the test's time.
    do
      for (const { title, targets, datasource } of dashboard.panels) {
        expect(datasource.uid).toBe('custody')
        for (const { rawSql } of targets) {
          const answer = await client.query({ query: expanded(rawSql), format: 'JSONEachRow' })
          rows[title] = await answer.json()
        }
      }
    while (Number(rows['Events missing from the store']?.[0]?.missing) !== 0)
  } finally {
    await client.close()
  }
  expect(Object.keys(rows)).toHaveLength(dashboard.panels.length)
  // Wide numbers are text with one server and numbers with another.
  expect(Number(rows['Events missing from the store']![0]!.missing)).toBe(0)
  expect(Number(rows['Rows there twice']![0]!.duplicates)).toBe(0)
  expect(rows.Recorders).toEqual(
    expect.arrayContaining([
      expect.objectContaining({ recorder: 'proxy-proxy-1' }),
      expect.objectContaining({ recorder: 'query-query-1' }),
    ]),
  )
  for (const title of [
    'Events by kind',
    'Commands by resource',
    'Time to complete',
    'Decisions',
    'Masked',
    'Refused',
  ])
    expect([title, rows[title]!.length > 0]).toEqual([title, true])
}

/** The plug-in's macros that are used, as it documents them, for the last hour. */
function expanded(sql: string): string {
  const now = Math.floor(Date.now() / 1000) + 60
  const text = sql
    .replace(
      /\$__timeFilter\((\w+)\)/g,
      `$1 >= toDateTime(${now - 3600}) AND $1 <= toDateTime(${now})`,
    )
    .replace(/\$__timeInterval\((\w+)\)/g, 'toStartOfInterval(toDateTime($1), INTERVAL 20 second)')
  expect(text).not.toContain('$__')
  return text
}
