/**
 * The system under test as processes with networks between them that can be broken. `embedded` is what stand-alone is made
 * of (one log directory, ingest beside it); `cluster` has Kafka in the middle, and a home of its own for every process.
 */
import { type ChildProcess, type ForkOptions, fork } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { issueToken, loadTokenKeys } from '@custody/identity'
import {
  freePort,
  type Home,
  type KafkaSettings,
  parseConfiguration,
  prepareHome,
} from '@custody/kit'
import {
  type KafkaServer,
  type PostgresServer,
  startKafka,
  startPostgres,
} from '@custody/test-support'
import { createDisk, type Disk } from './disk'
import { type Link, openLink } from './link'
import { POLICIES, TABLES } from './load'
import { createPart, type Part } from './part'

export type Form = 'embedded' | 'cluster'

export interface System {
  readonly form: Form
  readonly target: PostgresServer
  readonly parts: ReadonlyMap<string, Part>
  readonly links: ReadonlyMap<string, Link>
  /** By the part that writes there. */
  readonly disks: ReadonlyMap<string, Disk>
  /** CUSTODY_HOME/log of every process that records. */
  readonly logs: readonly string[]
  /** Where dead letters end up without Kafka. */
  readonly homes: readonly Home[]
  readonly ports: { proxy: number; query: number }
  readonly tokens: { user: string; approver: string }
  /** Names by which the target is reached. */
  readonly resources: readonly string[]
  /** Past all links. */
  readonly warehouseUrl: string
  readonly kafka: { settings: KafkaSettings; server: KafkaServer } | null
  stop(): Promise<void>
}

export interface SystemOptions {
  form: Form
  directory: string
  /** No disk that can be full is asked for. */
  withoutDisks?: boolean
  /** What is on disks of their own is copied before these go. */
  keep?: boolean
}

const HOST = '127.0.0.1'
const PASSWORD = 'chaos'
const DISK_MB = 1024
const MIB = 1024 * 1024
const PARTITIONS = 6
const REPLICATED_MS_MAX = 5000
const SUPERVISE_MS = 500

export async function startSystem(o: SystemOptions): Promise<System> {
  const undo: (() => unknown)[] = []
  const stop = async () => {
    for (let step = undo.pop(); step; step = undo.pop()) await step()
  }
  try {
    const build = new Build(o, undo)
    const system = o.form === 'cluster' ? await cluster(build) : await embedded(build)
    return { ...system, stop }
  } catch (error) {
    await stop()
    throw error
  }
}

/** What both forms are put together with; all of it is undone in reverse. */
class Build {
  readonly parts = new Map<string, Part>()
  readonly links = new Map<string, Link>()
  readonly disks = new Map<string, Disk>()
  constructor(
    readonly o: SystemOptions,
    private readonly undo: (() => unknown)[],
  ) {}

  async target(): Promise<PostgresServer> {
    const target = await startPostgres({
      logStatements: true,
      sql: TABLES,
      settings: { max_connections: '200' },
    })
    this.undo.push(() => target.stop())
    return target
  }

  /** Where to go so as to reach a port through a network that can be broken. */
  async link(name: string, port: number): Promise<number> {
    const link = await openLink(name, { host: HOST, port })
    this.undo.push(() => link.close())
    this.links.set(name, link)
    return link.port
  }

  disk(part: string, path: string): void {
    if (this.o.withoutDisks) return
    // The broker ends with its disk, and is a process of somebody else's: only a disk of its own will do.
    const disk =
      part === 'broker'
        ? createDisk(path, DISK_MB)
        : createDisk(path, DISK_MB, () => this.parts.get(part)!.pid)
    if (disk === null) return
    this.undo.push(() => disk.remove(this.o.keep))
    this.disks.set(part, disk)
  }

  add(name: string, part: Part): void {
    this.parts.set(name, part)
    this.undo.push(() => part.kill())
  }

  /** One of our own programs. */
  process(name: string, program: string, environment: NodeJS.ProcessEnv): void {
    this.add(
      name,
      createPart({
        name,
        logFile: join(this.o.directory, `${name}.log`),
        spawn: () => forked(program, { ...process.env, UV_THREADPOOL_SIZE: '16', ...environment }),
      }),
    )
  }

  onStop(step: () => unknown): void {
    this.undo.push(step)
  }

  file(name: string, text: string): string {
    const path = join(this.o.directory, name)
    writeFileSync(path, text)
    return path
  }
}

/** Stand-alone's processes: one home, ingest reads the logs themselves. */
async function embedded(build: Build): Promise<Omit<System, 'stop'>> {
  const { parts, links, disks } = build
  const target = await build.target()
  const home = prepareHome(join(build.o.directory, 'home'))
  build.disk('proxy', home.log)
  const ports = { proxy: await freePort(), query: await freePort(), warehouse: await freePort() }
  const environment = {
    CUSTODY_HOME: home.directory,
    CUSTODY_CONFIG: build.file(
      'custody.yaml',
      configuration({
        ports,
        target,
        targetPort: await build.link('proxy–target', target.port),
        policies: build.file('policies.cedar', POLICIES),
      }),
    ),
  }
  const through = async (who: string) => ({
    ...environment,
    CUSTODY_WAREHOUSE_URL: urlAt(await build.link(`${who}–warehouse`, ports.warehouse)),
  })
  build.process('warehouse', programs.warehouse(), {
    ...environment,
    CUSTODY_WAREHOUSE_PASSWORD: PASSWORD,
    CUSTODY_PORT_WAREHOUSE: String(ports.warehouse),
  })
  build.process('ingest', programs.ingest(), await through('ingest'))
  build.process('query', programs.query(), await through('query'))
  build.process('proxy', programs.proxy(), environment)
  const tokens = await tokensOf(home)
  for (const part of parts.values()) await part.start()
  return {
    form: 'embedded',
    target,
    parts,
    links,
    disks,
    logs: [home.log],
    homes: [home],
    ports,
    tokens,
    resources: ['target'],
    warehouseUrl: urlAt(ports.warehouse),
    kafka: null,
  }
}

/** A home for each process, two of ingest, and Kafka in the middle, which each reaches over a network of its own. */
async function cluster(build: Build): Promise<Omit<System, 'stop'>> {
  const { parts, links, disks } = build
  const { directory } = build.o
  const target = await build.target()
  const names = ['proxy', 'query', 'ingest-1', 'ingest-2', 'warehouse'] as const
  const homes = Object.fromEntries(
    names.map((name) => [name, prepareHome(join(directory, name))]),
  ) as Record<(typeof names)[number], Home>
  build.disk('proxy', homes.proxy.log)
  const broker = await startBroker(build, ['proxy', 'query', 'ingest-1', 'ingest-2'])
  const ports = { proxy: await freePort(), query: await freePort(), warehouse: await freePort() }
  const targetPort = await build.link('proxy–target', target.port)
  const policies = build.file('policies.cedar', POLICIES)
  const tokens = await tokensOf(homes.proxy)
  const kafka = (at: string) => ({
    brokers: [at],
    partitions: PARTITIONS,
    replicationFactor: 1,
    minInsyncReplicas: 1,
    replicatedMsMax: REPLICATED_MS_MAX,
  })
  const environment = (name: (typeof names)[number]) => ({
    CUSTODY_HOME: homes[name].directory,
    CUSTODY_CONFIG: build.file(
      `${name}.yaml`,
      configuration({
        ports,
        target,
        targetPort,
        policies,
        tokenKeys: join(homes.proxy.keys, 'token-signing.jwk'),
        ...(name !== 'warehouse' && { kafka: kafka(broker.through[name]!) }),
      }),
    ),
  })
  const through = async (name: (typeof names)[number]) => ({
    ...environment(name),
    CUSTODY_WAREHOUSE_URL: urlAt(await build.link(`${name}–warehouse`, ports.warehouse)),
  })
  build.process('warehouse', programs.warehouse(), {
    ...environment('warehouse'),
    CUSTODY_WAREHOUSE_PASSWORD: PASSWORD,
    CUSTODY_PORT_WAREHOUSE: String(ports.warehouse),
  })
  build.process('ingest-1', programs.ingest(), await through('ingest-1'))
  build.process('ingest-2', programs.ingest(), await through('ingest-2'))
  build.process('query', programs.query(), await through('query'))
  build.process('proxy', programs.proxy(), environment('proxy'))
  for (const part of parts.values()) if (part.pid === null) await part.start()
  return {
    form: 'cluster',
    target,
    parts,
    links,
    disks,
    logs: [homes.proxy.log, homes.query.log],
    homes: Object.values(homes),
    ports,
    tokens,
    resources: ['target', 'strict'],
    warehouseUrl: urlAt(ports.warehouse),
    kafka: { settings: kafkaSettings(kafka(broker.direct)), server: broker.server },
  }
}

/**
 * A broker with a listener for each that comes to it: whoever comes through its own network is told to stay on it, since a
 * Kafka client goes where the broker says that it is.
 */
async function startBroker(
  build: Build,
  clients: readonly string[],
): Promise<{ direct: string; through: Record<string, string>; server: KafkaServer }> {
  const listeners = ['DIRECT', ...clients.map((client) => client.replace('-', '').toUpperCase())]
  const real = await Promise.all([...listeners, 'CONTROLLER'].map(() => freePort()))
  const controller = real.at(-1)!
  const through: Record<string, string> = {}
  const advertised = [`DIRECT://${HOST}:${real[0]}`]
  for (const [i, client] of clients.entries()) {
    through[client] = `${HOST}:${await build.link(`${client}–broker`, real[i + 1]!)}`
    advertised.push(`${listeners[i + 1]}://${through[client]}`)
  }
  const data = join(build.o.directory, 'broker')
  build.disk('broker', data)
  const server = await startKafka({
    properties: {
      listeners: [...listeners, 'CONTROLLER']
        .map((listener, i) => `${listener}://${HOST}:${real[i]}`)
        .join(','),
      'advertised.listeners': advertised.join(','),
      'listener.security.protocol.map': [...listeners, 'CONTROLLER']
        .map((listener) => `${listener}:PLAINTEXT`)
        .join(','),
      'inter.broker.listener.name': 'DIRECT',
      'controller.quorum.voters': `1@${HOST}:${controller}`,
      'log.dirs': join(data, 'data'),
    },
  })
  // What ends by itself, as a broker does whose only disk failed, is started again, as by any supervisor.
  let isWanted = true
  let starting: Promise<void> | null = null
  const up = () => {
    starting ??= server.restart().finally(() => {
      starting = null
    })
    return starting
  }
  const supervisor = setInterval(() => {
    if (isWanted) up().catch(() => {})
  }, SUPERVISE_MS)
  build.add('broker', {
    name: 'broker',
    get pid() {
      return isWanted && starting === null ? 0 : null
    },
    died: [],
    async start() {
      isWanted = true
      await up()
    },
    async kill() {
      isWanted = false
      await server.kill()
      await starting?.catch(() => {})
    },
    pause: () => server.pause(),
    resume: () => server.resume(),
    async stop() {
      isWanted = false
      await server.shutdown()
    },
  })
  // Before its disk goes.
  build.onStop(async () => {
    isWanted = false
    clearInterval(supervisor)
    await starting?.catch(() => {})
    await server.stop()
  })
  return { direct: `${HOST}:${real[0]}`, through, server }
}

/** As configuration has them, with what is not said. */
function kafkaSettings(said: object): KafkaSettings {
  const { kafka } = parseConfiguration(JSON.stringify({ kafka: said }), 'chaos.yaml')
  return kafka!
}

async function tokensOf(home: Home): Promise<System['tokens']> {
  const keys = await loadTokenKeys(home, 'local')
  const issue = async (subject: string, groups: string[] = []) =>
    (await issueToken(keys, { subject, groups, ttlSeconds: 12 * 3600 })).token
  return { user: await issue('chaos'), approver: await issue('somebody', ['custody:analyst']) }
}

const programs = {
  proxy: () => main('@custody/proxy'),
  ingest: () => main('@custody/ingest'),
  query: () => main('@custody/query'),
  warehouse: () => main('@custody/standalone', 'processes/warehouse.js'),
}

function main(name: string, file = 'main.js'): string {
  return join(dirname(require.resolve(`${name}/package.json`)), 'dist', file)
}

/** Over IPC it learns when this process is gone, and ends. */
function forked(program: string, env: NodeJS.ProcessEnv): ChildProcess {
  const settings: ForkOptions = { env, stdio: ['ignore', 'pipe', 'pipe', 'ipc'] }
  return fork(program, settings)
}

function urlAt(port: number): string {
  return `http://custody:${PASSWORD}@${HOST}:${port}`
}

/** Nothing is freed: the audit wants all of it. A small reserve, so that a full disk is met with and without it. */
function configuration(o: {
  ports: { proxy: number; query: number }
  target: PostgresServer
  targetPort: number
  policies: string
  tokenKeys?: string
  kafka?: object
}): string {
  const resource = (more: object = {}) =>
    JSON.parse(
      o.target.resource({
        database: o.target.database,
        tls: 'disable',
        address: `${HOST}:${o.targetPort}`,
        ...more,
      }),
    )
  return `${JSON.stringify(
    {
      listen: { postgres: o.ports.proxy, console: o.ports.query },
      log: {
        segmentBytes: 4 * MIB,
        reserveBytes: MIB / 2,
        retentionBytesMax: 1024 * 1024 * MIB,
        retentionAgeMaxHours: 1000,
      },
      policy: { files: [o.policies] },
      resources: {
        target: resource(),
        ...(o.kafka && { strict: resource({ durability: 'replicated' }) }),
      },
      ...(o.tokenKeys && { identity: { tokenKeys: { issuer: 'local', file: o.tokenKeys } } }),
      ...(o.kafka && { kafka: o.kafka }),
    },
    null,
    2,
  )}
`
}
