/**
 * Custody as processes around a real broker and the embedded warehouse: recorders that ship, members of ingest, the store.
 * Any of them can be killed, paused and started again, and any may be of the next version. What recorders have in their own
 * logs is what the store has to hold in the end, each event once: that is asked here, of nobody who was part of it.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, openSync, readFileSync, writeFileSync } from 'node:fs'
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { buffer } from 'node:stream/consumers'
import { type ClickHouseClient, ClickHouseLogLevel, createClient } from '@clickhouse/client'
import { listRecorders, openReader } from '@custody/event-log'
import { createKafka, type Kafka } from '@custody/event-log-kafka'
import { createSecrets, freePort, parseConfiguration, silentLogger } from '@custody/kit'
import { readEnvelope } from '@custody/schemas'
import { type KafkaServer, startKafka, temporaryDirectory } from '@custody/test-support'
import { Producer } from '@platformatic/kafka'
import { nextVersionEnvironment } from './next-version'

const root = join(__dirname, '../../..')
const PASSWORD = 'of-the-tests'
const READ_BYTES = 4 * 1024 * 1024

export interface Member {
  readonly name: string
  readonly pid: number
  /** kill -9 */
  kill(): Promise<void>
  pause(): void
  resume(): void
  /** In order, as an operator would. Answers the exit code. */
  stop(): Promise<number | null>
  readonly exited: Promise<number | null>
  /** What it said so far. */
  said(): string
}

export interface StartOptions {
  next?: boolean
  group?: string
  warehouse?: Warehouse
  args?: string[]
  environment?: NodeJS.ProcessEnv
}

export interface Warehouse {
  readonly url: string
  readonly client: ClickHouseClient
  process: Member
  kill(): Promise<void>
  restart(): Promise<void>
  stop(): Promise<void>
}

export class Cluster {
  private readonly children: Member[] = []
  private readonly warehouses: Warehouse[] = []
  private readonly recorderHomes = new Set<string>()
  private names = 0
  private client: Kafka | null = null

  private constructor(
    readonly directory: string,
    private readonly remove: () => Promise<void>,
    readonly broker: KafkaServer,
    readonly prefix: string,
  ) {}

  static async start(prefix = 'evolution'): Promise<Cluster> {
    const { path, remove } = temporaryDirectory('cluster')
    const broker = await startKafka()
    const cluster = new Cluster(path, remove, broker, prefix)
    writeFileSync(cluster.configurationFile, cluster.configuration())
    await cluster.kafka.ensureTopics()
    return cluster
  }

  get configurationFile(): string {
    return join(this.directory, 'custody.yaml')
  }

  private configuration(): string {
    return `kafka:
  brokers: [${this.broker.brokers.map((one) => `'${one}'`).join(', ')}]
  topicPrefix: ${this.prefix}
  partitions: 4
  replicationFactor: 1
  minInsyncReplicas: 1
`
  }

  get kafka(): Kafka {
    this.client ??= createKafka({
      settings: parseConfiguration(this.configuration()).kafka!,
      secrets: createSecrets(undefined),
      logger: silentLogger(),
    })
    return this.client
  }

  async startWarehouse(): Promise<Warehouse> {
    const port = await freePort()
    const home = join(this.directory, `warehouse-${this.names++}`)
    const start = () =>
      this.spawn('warehouse', join(root, 'services/standalone/dist/processes/warehouse.js'), {
        CUSTODY_HOME: home,
        CUSTODY_WAREHOUSE_PASSWORD: PASSWORD,
        CUSTODY_PORT_WAREHOUSE: String(port),
        UV_THREADPOOL_SIZE: '24',
      })
    const url = `http://custody:${PASSWORD}@127.0.0.1:${port}`
    const client = createClient({ url, log: { level: ClickHouseLogLevel.OFF } })
    const warehouse: Warehouse = {
      url,
      client,
      process: await start(),
      async kill() {
        await warehouse.process.kill()
      },
      async restart() {
        warehouse.process = await start()
      },
      async stop() {
        await client.close()
        await warehouse.process.stop()
      },
    }
    this.warehouses.push(warehouse)
    return warehouse
  }

  /** A member of a consumer group. */
  startIngest(o: StartOptions & { warehouse: Warehouse }): Promise<Member> {
    return this.spawn(
      'ingest',
      join(root, 'services/ingest/dist/main.js'),
      {
        CUSTODY_HOME: join(this.directory, `ingest-${this.names++}`),
        CUSTODY_WAREHOUSE_URL: o.warehouse.url,
        ...(o.next && nextVersionEnvironment()),
        ...o.environment,
      },
      [...(o.group ? ['--group', o.group] : []), ...(o.args ?? [])],
    )
  }

  /** The name keeps its log over restarts. */
  startRecorder(name: string, rate: number, o: StartOptions = {}): Promise<Member> {
    const home = join(this.directory, `recorder-${name}`)
    this.recorderHomes.add(home)
    return this.spawn('recorder', join(__dirname, '../dist/recorder-process.js'), {
      CUSTODY_HOME: home,
      RECORDER_NAME: name,
      RECORDER_RATE: String(rate),
      ...(o.next && nextVersionEnvironment()),
      ...o.environment,
    })
  }

  private async spawn(
    name: string,
    module: string,
    environment: NodeJS.ProcessEnv,
    args: string[] = [],
  ): Promise<Member> {
    await mkdir(environment.CUSTODY_HOME!, { recursive: true })
    const file = join(environment.CUSTODY_HOME!, `${name}.out`)
    const out = openSync(file, 'a')
    const child: ChildProcess = spawn(process.execPath, ['--no-warnings', module, ...args], {
      env: {
        ...process.env,
        CUSTODY_CONFIG: this.configurationFile,
        ...environment,
      },
      cwd: root,
      stdio: ['ignore', out, out, 'ipc'],
    })
    closeSync(out)
    const exited = once(child, 'exit').then(([code]) => code as number | null)
    const said = () => readFileSync(file, 'utf8')
    const member: Member = {
      name,
      pid: child.pid!,
      exited,
      said,
      async kill() {
        child.kill('SIGKILL')
        await exited
      },
      pause: () => void child.kill('SIGSTOP'),
      resume: () => void child.kill('SIGCONT'),
      async stop() {
        child.kill('SIGCONT')
        if (child.exitCode === null && child.signalCode === null) child.send({ type: 'stop' })
        return exited
      },
    }
    this.children.push(member)
    const ready = new Promise<void>((resolve, reject) => {
      child.on('message', (message: { type?: string; message?: string }) => {
        if (message.type === 'ready') resolve()
        else if (message.type === 'failed') reject(new Error(`${name}: ${message.message}`))
      })
      void exited.then((code) =>
        reject(new Error(`${name} ended with ${code}:\n${said().slice(-3000)}`)),
      )
    })
    await ready
    return member
  }

  /** Values into the topic of events as they are, past everything that Custody would see to. */
  async produce(values: readonly Buffer[], partition = 0): Promise<void> {
    const producer = new Producer({ clientId: 'stranger', bootstrapBrokers: this.broker.brokers })
    await producer.send({
      messages: values.map((value) => ({ topic: this.kafka.topics.events, partition, value })),
      acks: -1,
    })
    await producer.close()
  }

  /** Identifiers of all events that recorders have in their logs, in order, by recorder. */
  async recorded(): Promise<Map<string, string[]>> {
    const all = new Map<string, string[]>()
    for (const home of this.recorderHomes)
      for (const recorder of await listRecorders(join(home, 'log'))) {
        const ids: string[] = []
        const reader = openReader({ directory: join(home, 'log'), recorder })
        for (
          let batch = await reader.read(READ_BYTES);
          batch;
          batch = await reader.read(READ_BYTES)
        )
          for (const message of batch.messages) ids.push(readEnvelope(message).id.toString('hex'))
        reader.close()
        all.set(recorder, ids)
      }
    return all
  }

  /** Until every recorded event is in the store; throws where one is there twice, or one that nobody recorded. */
  async settled(warehouse: Warehouse, but: readonly string[] = []): Promise<number> {
    const left = new Set(but)
    for (;;) {
      let complete = true
      let total = 0
      for (const [recorder, ids] of await this.recorded()) {
        const stored = await storedIds(warehouse.client, recorder).catch(() => null)
        if (stored === null) {
          complete = false
          break
        }
        const twice = stored.length - new Set(stored).size
        if (twice > 0) throw new Error(`${twice} events of ${recorder} are there twice`)
        const known = new Set(ids)
        for (const id of stored)
          if (!known.has(id)) throw new Error(`event ${id} of ${recorder} was never recorded`)
        const expected = ids.filter((id) => !left.has(id))
        total += expected.length
        if (stored.length < expected.length) complete = false
      }
      if (complete) return total
      await new Promise((resolve) => setTimeout(resolve, 300))
    }
  }

  async stop(): Promise<void> {
    for (const child of this.children.reverse()) await child.kill()
    for (const { client } of this.warehouses) await client.close()
    await this.client?.close()
    await this.broker.stop()
    await this.remove()
  }
}

export async function storedIds(client: ClickHouseClient, recorder: string): Promise<string[]> {
  const { stream } = await client.exec({
    query:
      'SELECT id FROM custody.events WHERE recorder = {recorder:String} ORDER BY sequence, id FORMAT RowBinary',
    query_params: { recorder },
  })
  const bytes = await buffer(stream)
  return Array.from({ length: bytes.length / 16 }, (_, i) =>
    bytes.toString('hex', 16 * i, 16 * i + 16),
  )
}
