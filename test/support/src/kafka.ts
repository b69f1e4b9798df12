/**
 * A real Apache Kafka for tests: one broker or several, without ZooKeeper, in processes that can be killed, paused and
 * started again on the same data and ports. Refuses to be reached from elsewhere: loopback only.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, existsSync, mkdirSync, openSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { freePort } from '@custody/kit'
import { certificateFor } from './certificate'
import { clientProgram, runProgram } from './clients'
import { temporaryDirectory } from './temporary'

export interface KafkaServerOptions {
  /** How many brokers; 1 when not given. */
  brokers?: number
  /** A listener with TLS as well. */
  tls?: boolean
  /** Listeners with SASL as well: these users by PLAIN and SCRAM, this issuer's tokens by OAUTHBEARER. */
  sasl?: {
    users?: Record<string, string>
    oauthbearer?: { jwksUrl: string; issuer: string; audience: string }
  }
  /** Only what is permitted to somebody; who comes without SASL may do everything. */
  authorizer?: boolean
  /** More of server.properties. */
  properties?: Record<string, string>
  heapMb?: number
}

export interface KafkaServer {
  /** Plain text, who comes is anonymous. */
  readonly brokers: string[]
  /** With TLS, where asked for. */
  readonly tlsBrokers: string[]
  /** With SASL, without TLS, where asked for. */
  readonly saslBrokers: string[]
  /** With both. */
  readonly saslTlsBrokers: string[]
  /** PEM file of the authority that signed the brokers' certificates. */
  readonly ca: string | null
  /** SIGKILL; of one broker, or of all. */
  kill(broker?: number): Promise<void>
  /** SIGSTOP and SIGCONT. */
  pause(broker?: number): void
  resume(broker?: number): void
  /** Starts what does not run, on the same data and ports. */
  restart(broker?: number): Promise<void>
  /** In order, as an operator would. Data stay until `stop`. */
  shutdown(broker?: number): Promise<void>
  /** Runs one of Kafka's own tools, such as `org.apache.kafka.tools.TopicCommand`, against it. */
  tool(name: string, args: readonly string[], input?: string): Promise<string>
  /** Ends it and removes its data. */
  stop(): Promise<void>
}

const START_MS_MAX = 90_000
const TOOL_MS_MAX = 60_000
const root = join(__dirname, '../../..')
const own = join(__dirname, '../kafka')

interface Node {
  id: number
  directory: string
  file: string
  log: string
  process: ChildProcess | null
}

const LISTENERS = ['PLAIN', 'TLS', 'SASL', 'SASLTLS'] as const
type Listener = (typeof LISTENERS)[number]
const PROTOCOLS: Record<Listener, string> = {
  PLAIN: 'PLAINTEXT',
  TLS: 'SSL',
  SASL: 'SASL_PLAINTEXT',
  SASLTLS: 'SASL_SSL',
}

export async function startKafka(o: KafkaServerOptions = {}): Promise<KafkaServer> {
  const count = o.brokers ?? 1
  const directory = temporaryDirectory('kafka')
  const wanted: Listener[] = [
    'PLAIN',
    ...(o.tls ? (['TLS'] as const) : []),
    ...(o.sasl ? (['SASL'] as const) : []),
    ...(o.sasl && o.tls ? (['SASLTLS'] as const) : []),
  ]
  const ports: Record<string, number>[] = []
  for (let i = 0; i < count; i++) {
    const mine: Record<string, number> = {}
    for (const listener of [...wanted, 'CONTROLLER']) mine[listener] = await freePort()
    ports.push(mine)
  }
  const voters = ports.map(({ CONTROLLER }, i) => `${i + 1}@127.0.0.1:${CONTROLLER}`).join(',')
  let ca: string | null = null
  let keystore = ''
  if (o.tls) {
    const { certificate, key } = await certificateFor()
    ca = join(directory.path, 'ca.pem')
    keystore = join(directory.path, 'broker.pem')
    writeFileSync(ca, certificate)
    writeFileSync(keystore, `${key}\n${certificate}`)
  }
  const mechanisms = [
    ...(o.sasl?.users ? ['PLAIN', 'SCRAM-SHA-256', 'SCRAM-SHA-512'] : []),
    ...(o.sasl?.oauthbearer ? ['OAUTHBEARER'] : []),
  ]
  const replicas = String(Math.min(3, count))
  const nodes: Node[] = []
  for (const [i, mine] of ports.entries()) {
    const place = join(directory.path, `broker-${i + 1}`)
    mkdirSync(place)
    const properties: Record<string, string> = {
      'process.roles': 'broker,controller',
      'node.id': String(i + 1),
      'controller.quorum.voters': voters,
      'controller.listener.names': 'CONTROLLER',
      'inter.broker.listener.name': 'PLAIN',
      listeners: [...wanted, 'CONTROLLER'].map((l) => `${l}://127.0.0.1:${mine[l]}`).join(','),
      'advertised.listeners': wanted.map((l) => `${l}://127.0.0.1:${mine[l]}`).join(','),
      'listener.security.protocol.map': [
        'CONTROLLER:PLAINTEXT',
        ...wanted.map((l) => `${l}:${PROTOCOLS[l]}`),
      ].join(','),
      'log.dirs': join(place, 'data'),
      'auto.create.topics.enable': 'false',
      'offsets.topic.num.partitions': '4',
      'offsets.topic.replication.factor': replicas,
      'transaction.state.log.num.partitions': '4',
      'transaction.state.log.replication.factor': replicas,
      'transaction.state.log.min.isr': '1',
      'share.coordinator.state.topic.replication.factor': replicas,
      'share.coordinator.state.topic.min.isr': '1',
      'group.initial.rebalance.delay.ms': '0',
      'group.min.session.timeout.ms': '1000',
      'num.network.threads': '2',
      'num.io.threads': '4',
      'log.cleaner.dedupe.buffer.size': String(16 * 1024 * 1024),
      'controlled.shutdown.enable': String(count > 1),
      ...(o.tls && {
        'ssl.keystore.type': 'PEM',
        'ssl.keystore.location': keystore,
        'ssl.truststore.type': 'PEM',
        'ssl.truststore.location': ca as string,
        'ssl.client.auth': 'requested',
      }),
      ...(o.sasl && { 'sasl.enabled.mechanisms': mechanisms.join(',') }),
      ...(o.authorizer && {
        'authorizer.class.name': 'org.apache.kafka.metadata.authorizer.StandardAuthorizer',
        'super.users': 'User:ANONYMOUS',
      }),
      ...saslProperties(o, wanted),
      ...o.properties,
    }
    const file = join(place, 'server.properties')
    writeFileSync(
      file,
      Object.entries(properties)
        .map(([name, value]) => `${name}=${value}\n`)
        .join(''),
    )
    nodes.push({
      id: i + 1,
      directory: place,
      file,
      log: join(place, 'server.log'),
      process: null,
    })
  }

  const java = (main: string, args: readonly string[], heapMb: number, more: string[] = []) => [
    `-Xmx${heapMb}m`,
    ...['-XX:+UseSerialGC', '-XX:TieredStopAtLevel=1', '-XX:-UsePerfData'],
    `-Dlog4j2.configurationFile=${join(own, 'log4j2.properties')}`,
    ...more,
    ...['-cp', join(jarDirectory(), '*'), main, ...args],
  ]

  async function tool(name: string, args: readonly string[], input?: string): Promise<string> {
    const { code, stdout, stderr } = await runProgram(
      clientProgram('java'),
      java(name, args, 256),
      { timeoutMs: TOOL_MS_MAX, ...(input !== undefined && { input }) },
    )
    if (code !== 0)
      throw new Error(`${name} ${args.join(' ')}: exit code ${code}\n${stdout}${stderr}`)
    return stdout
  }

  async function start(node: Node): Promise<void> {
    if (node.process) return
    const before = existsSync(node.log) ? readFileSync(node.log).length : 0
    const out = openSync(node.log, 'a')
    const allowed = o.sasl?.oauthbearer
      ? [`-Dorg.apache.kafka.sasl.oauthbearer.allowed.urls=${o.sasl.oauthbearer.jwksUrl}`]
      : []
    const child = spawn(
      clientProgram('java'),
      java('kafka.Kafka', [node.file], o.heapMb ?? 512, allowed),
      { stdio: ['ignore', out, out] },
    )
    closeSync(out)
    node.process = child
    running.add(child)
    child.once('exit', () => {
      running.delete(child)
      if (node.process === child) node.process = null
    })
    const deadline = Date.now() + START_MS_MAX
    for (;;) {
      const said = readFileSync(node.log).subarray(before).toString()
      if (said.includes('Kafka Server started')) return
      if (child.exitCode !== null || child.signalCode !== null || Date.now() > deadline)
        throw new Error(`Kafka did not start:\n${said.slice(-4000)}`)
      await new Promise((resolve) => setTimeout(resolve, 50))
    }
  }

  async function end(node: Node, signal: NodeJS.Signals): Promise<void> {
    const child = node.process
    if (!child) return
    const gone = once(child, 'exit')
    child.kill(signal)
    if (signal !== 'SIGKILL') child.kill('SIGCONT')
    await gone
  }

  const each = (broker: number | undefined) => (broker === undefined ? nodes : [nodes[broker]!])
  const addresses = (listener: Listener) =>
    wanted.includes(listener) ? ports.map((mine) => `127.0.0.1:${mine[listener]}`) : []

  async function format(node: Node): Promise<void> {
    const scram = Object.entries(o.sasl?.users ?? {}).flatMap(([name, password]) =>
      ['SCRAM-SHA-256', 'SCRAM-SHA-512'].flatMap((mechanism) => [
        '--add-scram',
        `${mechanism}=[name=${name},password=${password}]`,
      ]),
    )
    await tool('kafka.tools.StorageTool', [
      ...['format', '-t', 'Y3VzdG9keS10ZXN0cy1rYQ', '-c', node.file],
      ...scram,
    ])
  }

  try {
    await Promise.all(nodes.map(format))
    await Promise.all(nodes.map(start))
  } catch (error) {
    await Promise.all(nodes.map((node) => end(node, 'SIGKILL')))
    await directory.remove()
    throw error
  }

  return {
    brokers: addresses('PLAIN'),
    tlsBrokers: addresses('TLS'),
    saslBrokers: addresses('SASL'),
    saslTlsBrokers: addresses('SASLTLS'),
    ca,
    async kill(broker) {
      await Promise.all(each(broker).map((node) => end(node, 'SIGKILL')))
    },
    pause(broker) {
      for (const node of each(broker)) node.process?.kill('SIGSTOP')
    },
    resume(broker) {
      for (const node of each(broker)) node.process?.kill('SIGCONT')
    },
    async restart(broker) {
      await Promise.all(each(broker).map(start))
    },
    async shutdown(broker) {
      await Promise.all(each(broker).map((node) => end(node, 'SIGTERM')))
    },
    tool(name, args, input) {
      return tool(name, args, input)
    },
    async stop() {
      await Promise.all(nodes.map((node) => end(node, 'SIGKILL')))
      await directory.remove()
    },
  }
}

function saslProperties(
  o: KafkaServerOptions,
  wanted: readonly Listener[],
): Record<string, string> {
  if (!o.sasl) return {}
  const { users = {}, oauthbearer } = o.sasl
  const properties: Record<string, string> = {}
  const modules = 'org.apache.kafka.common.security'
  for (const listener of wanted.filter((l) => l.startsWith('SASL'))) {
    const at = `listener.name.${listener.toLowerCase()}`
    if (o.sasl.users) {
      const all = Object.entries(users).map(([name, password]) => ` user_${name}="${password}"`)
      properties[`${at}.plain.sasl.jaas.config`] =
        `${modules}.plain.PlainLoginModule required${all.join('')};`
      for (const bits of [256, 512])
        properties[`${at}.scram-sha-${bits}.sasl.jaas.config`] =
          `${modules}.scram.ScramLoginModule required;`
    }
    if (oauthbearer) {
      const bearer = `${at}.oauthbearer`
      properties[`${bearer}.sasl.jaas.config`] =
        `${modules}.oauthbearer.OAuthBearerLoginModule required;`
      properties[`${bearer}.sasl.server.callback.handler.class`] =
        `${modules}.oauthbearer.OAuthBearerValidatorCallbackHandler`
      properties[`${bearer}.sasl.oauthbearer.jwks.endpoint.url`] = oauthbearer.jwksUrl
      properties[`${bearer}.sasl.oauthbearer.expected.issuer`] = oauthbearer.issuer
      properties[`${bearer}.sasl.oauthbearer.expected.audience`] = oauthbearer.audience
      properties['sasl.oauthbearer.jwks.endpoint.url'] = oauthbearer.jwksUrl
      properties['sasl.oauthbearer.expected.issuer'] = oauthbearer.issuer
      properties['sasl.oauthbearer.expected.audience'] = oauthbearer.audience
    }
  }
  return properties
}

/** Where set-up put Kafka. */
function jarDirectory(): string {
  const place = join(root, 'node_modules/.cache/custody-kafka')
  if (!existsSync(join(place, 'installed.xml')))
    throw new Error('Kafka is not there: node scripts/setup.mjs --kafka')
  return place
}

/** A test run that ends early takes its brokers with it. */
const running = new Set<ChildProcess>()
process.once('exit', () => {
  for (const child of running) child.kill('SIGKILL')
})
