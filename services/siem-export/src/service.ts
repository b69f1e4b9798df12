/**
 * The service, put together: a recorder of its own for what it has to say, a delivery for each destination, each in a thread of
 * its own so that none takes another's time, and a status that the command line reads. Refuses to start without a destination.
 */
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { type LogShipper, openRecorder, type Recorder } from '@custody/event-log'
import {
  type Cluster,
  createKafka,
  joinCluster,
  startShipperThread,
} from '@custody/event-log-kafka'
import {
  type Configuration,
  createLogger,
  createSecrets,
  type Home,
  type Logger,
  type Metric,
} from '@custody/kit'
import { siemDirectory, writeWhole } from '@custody/siem-state'
import { createDetector, DETECTOR, wantsDetector } from './alerts/detector'
import { assemble, type DeliveryContext } from './delivery/assemble'
import type { Delivery, DeliveryStatus, Fact } from './delivery/delivery'
import { KafkaSource } from './delivery/kafka-source'
import { forgetDestinations, LogSource } from './delivery/log-source'
import { startDeliveryThread } from './delivery/thread-of'
import { eventOf } from './facts-recorded'

export interface SiemOptions {
  configuration: Configuration
  home: Home
  logger?: Logger
  version?: string
  /** In this thread, for tests from sources. */
  inline?: boolean
}

export interface Running {
  start(): void
  stop(msMax?: number): Promise<void>
  status(): DeliveryStatus
}

export interface Siem {
  start(): Promise<void>
  stop(): Promise<void>
  status(): Record<string, DeliveryStatus & { type: string }>
  /** Why it can't record what it has to say, or null. */
  problem(): string | null
  metrics(): Metric[]
}

const STATUS_MS = 1000
const SHIP_MS_MAX = 5000
const STOP_MS_MAX = 5000

/** Whether there is anything for the exporter to do. */
export const isSiemWanted = ({ siem }: Pick<Configuration, 'siem'>): boolean =>
  siem !== undefined && (Object.keys(siem.destinations).length > 0 || wantsDetector(siem))

export function createSiem(o: SiemOptions): Siem {
  const { configuration, home } = o
  const logger = o.logger ?? createLogger({ name: 'siem-export' })
  const version = o.version ?? (require('../package.json') as { version: string }).version
  const deliveries = new Map<string, { type: string; running: Running }>()
  const undo: (() => Promise<unknown> | unknown)[] = []
  const directory = siemDirectory(home)
  let recorder: Recorder

  async function start(): Promise<void> {
    const { siem, kafka: kafkaSettings, gateway, log } = configuration
    const destinations = Object.entries(siem?.destinations ?? {})
    mkdirSync(directory, { recursive: true, mode: 0o700 })
    const gone = await forgetDestinations(home.log, [
      ...destinations.map(([name]) => name),
      ...(siem && wantsDetector(siem) ? [DETECTOR] : []),
    ])
    if (gone.length > 0)
      logger.info({ destinations: gone }, 'destinations that are no more hold the log no longer')
    let cluster: Cluster | null = null
    recorder = await openRecorder({
      directory: home.log,
      recorder: `siem-${gateway}`,
      segmentBytes: log.segmentBytes,
      retentionBytesMax: log.retentionBytesMax,
      retentionAgeMaxHours: log.retentionAgeMaxHours,
      reserveBytes: Math.min(log.reserveBytes, 4 * 1024 * 1024),
      logBytesMax: log.logBytesMax,
      consumers: [kafkaSettings ? 'kafka' : 'ingest'],
      version,
    })
    undo.push(async () => cluster?.stop(SHIP_MS_MAX))
    undo.push(() => recorder.close())
    const secrets = createSecrets(configuration.vault, { logger })
    if (kafkaSettings) {
      const kafka = createKafka({ settings: kafkaSettings, secrets, logger })
      cluster = await joinCluster({
        kafka,
        home,
        recorder,
        ship: (onReplicated): LogShipper =>
          startShipperThread(
            {
              settings: kafkaSettings,
              vault: configuration.vault,
              directory: home.log,
              recorder: recorder.name,
              onReplicated,
            },
            logger,
          ),
        hear: () => {},
        heard: () => {},
        logger,
      })
      undo.push(async () => cluster?.deafen())
    }
    for (const [name, settings] of destinations) {
      const context: DeliveryContext = {
        name,
        settings,
        siem: siem!,
        kafka: kafkaSettings,
        gateway,
        consoleUrl: configuration.console.url,
        version,
        log: home.log,
        directory,
      }
      const record = (fact: Fact) => recordFact(recorder, name, fact)
      const running: Running = o.inline
        ? (assemble(context, { secrets, logger, record }) satisfies Delivery)
        : startDeliveryThread(context, { vault: configuration.vault, logger, record })
      deliveries.set(name, { type: settings.type, running })
      running.start()
    }
    if (siem && wantsDetector(siem)) {
      const kafka = kafkaSettings && createKafka({ settings: kafkaSettings, secrets, logger })
      if (kafka) undo.push(() => kafka.close())
      const slice = { sliceEventsMax: 2000, sliceBytesMax: 4 * 1024 * 1024 }
      const detector = createDetector({
        siem,
        source: (together) =>
          kafka
            ? new KafkaSource({
                ...{ kafka, group: `${kafka.settings.topicPrefix}-siem-${DETECTOR}`, together },
                ...slice,
              })
            : new LogSource({
                directory: home.log,
                destination: DETECTOR,
                heldBytesMax: siem.heldBytesMax,
                required: false,
                ...slice,
              }),
        directory,
        record: (fact) => recordFact(recorder, DETECTOR, fact),
        logger,
      })
      deliveries.set(DETECTOR, { type: 'sigma', running: detector })
      detector.start()
    }
    const timer = setInterval(writeStatus, STATUS_MS)
    undo.push(() => clearInterval(timer))
    writeStatus()
  }

  function writeStatus(): void {
    try {
      writeWhole(
        join(directory, 'status.json'),
        JSON.stringify({
          pid: process.pid,
          atMs: Date.now(),
          rssBytes: process.memoryUsage.rss(),
          destinations: status(),
        }),
      )
    } catch (error) {
      logger.warn({ err: error }, 'the status can’t be written')
    }
  }

  async function stop(): Promise<void> {
    // All at once: one that waits for its receiver keeps no other from ending in order.
    await Promise.all([...deliveries.values()].map(({ running }) => running.stop(STOP_MS_MAX)))
    for (let step = undo.pop(); step; step = undo.pop()) await step()
  }

  function status() {
    return Object.fromEntries(
      [...deliveries].map(([name, { type, running }]) => [name, { type, ...running.status() }]),
    )
  }

  return {
    async start() {
      try {
        await start()
      } catch (error) {
        await stop()
        throw error
      }
    },
    stop,
    status,
    problem: () => recorder.problem?.message ?? null,
    metrics: () => metricsOf(status()),
  }
}

async function recordFact(recorder: Recorder, destination: string, fact: Fact): Promise<void> {
  recorder.record(eventOf(destination, fact))
  await recorder.recorded('os')
}

function metricsOf(status: ReturnType<Siem['status']>): Metric[] {
  const all = Object.entries(status)
  const metric = (
    name: string,
    help: string,
    value: (one: DeliveryStatus) => number | null,
  ): Metric => ({
    name: `custody_siem_${name}`,
    help,
    values: all.flatMap(([destination, one]) => {
      const found = value(one)
      return found === null ? [] : [{ value: found, labels: { destination, type: one.type } }]
    }),
  })
  return [
    metric(
      'acknowledged_total',
      'Events that the destination acknowledged.',
      (one) => one.counts.acknowledged,
    ),
    metric('acknowledged_bytes_total', 'Bytes of their records.', (one) => one.counts.bytes),
    metric('batches_total', 'Batches acknowledged.', (one) => one.counts.batches),
    metric('retries_total', 'Batches that were tried again.', (one) => one.counts.retries),
    metric('dead_letters_total', 'Events put aside.', (one) => one.counts.deadLettered),
    metric('dead_letters', 'Events that lie aside.', (one) => one.deadLetters),
    metric(
      'filtered_total',
      'Events that this destination does not get.',
      (one) => one.counts.filtered,
    ),
    metric('sampled_total', 'Events left out by sampling.', (one) => one.counts.sampled),
    metric('lost_total', 'Events gone before they could be delivered.', (one) => one.counts.lost),
    metric(
      'lag_bytes',
      'Bytes of the log behind what was acknowledged, embedded log only.',
      (one) => sumOf(one.lag, 'bytes'),
    ),
    metric('lag_events', 'Events behind what was acknowledged, Kafka only.', (one) =>
      sumOf(one.lag, 'events'),
    ),
    metric('lag_seconds', 'Age of the newest event acknowledged.', (one) =>
      one.lastTimeMicros === null
        ? null
        : Math.max(0, Date.now() / 1000 - one.lastTimeMicros / 1e6),
    ),
    metric('heap_bytes', 'Memory in use by its thread.', (one) => one.heapBytes ?? null),
    metric('problem', '1 while the destination takes nothing.', (one) => (one.problem ? 1 : 0)),
  ]
}

function sumOf(lag: DeliveryStatus['lag'], of: 'bytes' | 'events'): number | null {
  const known = lag.map((one) => one[of]).filter((one) => one >= 0)
  return known.length === 0 ? null : known.reduce((sum, one) => sum + one, 0)
}
