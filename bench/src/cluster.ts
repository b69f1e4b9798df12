/**
 * Custody over a real Kafka, each service a process with a home of its own: gateways, ingest, the query service, and the
 * engine. One configuration for all, and an administrator who may do everything by the API.
 */
import { generateKeyPairSync } from 'node:crypto'
import { mkdirSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { issueToken, loadTokenKeys } from '@custody/identity'
import { type Home, prepareHome } from '@custody/kit'
import type { KafkaServer } from '@custody/test-support'
import { type Engine, type Started, startEngine, started } from './processes'

export interface ClusterOptions {
  directory: string
  kafka: KafkaServer
  /** More of the configuration of all, in YAML: resources at least. */
  configuration: string
  /** Settings of Kafka in YAML's flow style, beside brokers and replication. */
  kafkaSettings?: string
}

export interface Service extends Started {
  readonly name: string
  readonly home: Home
  readonly ports: Readonly<Record<string, number>>
}

export const ADMINISTRATOR = 'the-administrator-of-the-bench'

export class ClusterUnderBench {
  engine: Engine | null = null
  private readonly services: Service[] = []

  constructor(private readonly o: ClusterOptions) {
    const { privateKey } = generateKeyPairSync('ed25519')
    writeFileSync(this.at('key.pem'), privateKey.export({ format: 'pem', type: 'pkcs8' }))
    const brokers = o.kafka.brokers.map((one) => `"${one}"`).join(', ')
    const replicas = Math.min(3, o.kafka.brokers.length)
    writeFileSync(
      this.at('custody.yaml'),
      `kafka: {brokers: [${brokers}], replicationFactor: ${replicas}, minInsyncReplicas: ${Math.max(1, replicas - 1)}, partitions: 4${o.kafkaSettings ? `, ${o.kafkaSettings}` : ''}}
identity: {tokenKeys: {issuer: bench, file: key.pem}}
${o.configuration}`,
    )
  }

  at(name: string): string {
    return join(this.o.directory, name)
  }

  async startEngine(): Promise<Engine> {
    this.engine = await startEngine(prepareHome(this.at('engine')).warehouse)
    return this.engine
  }

  async start(
    kind: 'proxy' | 'query' | 'ingest',
    name: string,
    environment: Record<string, string> = {},
  ): Promise<Service> {
    const home = prepareHome(this.at(name))
    if (kind === 'query') {
      mkdirSync(home.run, { recursive: true })
      writeFileSync(home.adminTokenFile, ADMINISTRATOR)
    }
    const main = join(dirname(require.resolve(`@custody/${kind}/package.json`)), 'dist/main.js')
    const [process, message] = await started(main, {
      CUSTODY_HOME: home.directory,
      CUSTODY_CONFIG: this.at('custody.yaml'),
      CUSTODY_GATEWAY: name,
      CUSTODY_PORT_POSTGRES: '0',
      CUSTODY_PORT_CONSOLE: '0',
      ...(kind === 'proxy' && { CUSTODY_PORT_HEALTH: '0' }),
      CUSTODY_LOG_LEVEL: 'fatal',
      CUSTODY_WAREHOUSE_URL: this.engine?.url ?? '',
      ...environment,
    })
    const { ready } = message as { ready: { ports?: Record<string, number> } }
    const service = { ...process, name, home, ports: ready.ports ?? {} }
    this.services.push(service)
    return service
  }

  /** A token that every gateway takes. */
  async tokenOf(subject: string, groups: string[] = []): Promise<string> {
    const keys = await loadTokenKeys(prepareHome(this.at('tokens')), 'bench', {
      issuer: 'bench',
      file: this.at('key.pem'),
    })
    const { token } = await issueToken(keys, { subject, groups, ttlSeconds: 24 * 3600 })
    return token
  }

  async stop(): Promise<void> {
    for (const service of this.services.reverse()) await service.stop()
    await this.engine?.stop()
  }
}
