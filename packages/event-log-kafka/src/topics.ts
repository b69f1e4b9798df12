/**
 * The topics: what they must promise, made where they are missing, checked where they are there.
 * Refuses a topic that promises less than the settings; never changes one.
 */
import zlib from 'node:zlib'
import { CustodyError, type KafkaSettings, type Logger } from '@custody/kit'
import { answered, type Client } from './client'
import { PROTOCOL } from './errors'
import { pause } from './pause'
import type { Topics } from './types'

/** The largest event: a frame of the local log has 64 MiB at most. With what Kafka puts around it. */
export const MESSAGE_BYTES_MAX = 65 * 1024 * 1024
/** An event within the default limits fits in this; a topic that takes less is refused. */
const MESSAGE_BYTES_MIN = 2 * 1024 * 1024
const canReadZstd = 'zstdDecompressSync' in zlib
const HOUR_MS = 3_600_000
const CONTROL_RETENTION_MS = 7 * 24 * HOUR_MS
const TRIES = 30
const TRY_MS = 1000

interface Wanted {
  name: string
  partitions: number
  configuration: Record<string, string>
}

export function wantedTopics(topics: Topics, settings: KafkaSettings): Wanted[] {
  const all = {
    'min.insync.replicas': String(settings.minInsyncReplicas),
    'unclean.leader.election.enable': 'false',
    'max.message.bytes': String(MESSAGE_BYTES_MAX),
    // By arrival: what was kept through an outage longer than the retention must not be gone as soon as it comes.
    'message.timestamp.type': 'LogAppendTime',
  }
  const kept = { ...all, 'cleanup.policy': 'delete' }
  const compacted = { ...all, 'cleanup.policy': 'compact' }
  const eventsMs = String(Math.round(settings.retentionHours * HOUR_MS))
  return [
    {
      name: topics.events,
      partitions: settings.partitions,
      configuration: { ...kept, 'retention.ms': eventsMs, 'retention.bytes': '-1' },
    },
    {
      name: topics.control,
      partitions: 1,
      configuration: { ...kept, 'retention.ms': String(CONTROL_RETENTION_MS) },
    },
    { name: topics.standing, partitions: 1, configuration: compacted },
    { name: topics.schemas, partitions: 1, configuration: compacted },
    {
      name: topics.deadLetters,
      partitions: 1,
      configuration: { ...kept, 'retention.ms': '-1', 'retention.bytes': '-1' },
    },
  ]
}

export async function ensureTopics(
  client: Client,
  topics: Topics,
  settings: KafkaSettings,
  logger: Logger,
): Promise<void> {
  const wanted = wantedTopics(topics, settings)
  for (let i = 0; ; i++) {
    const { topics: found } = await client.metadata(wanted.map(({ name }) => name))
    const missing = wanted.filter(
      ({ name }) =>
        found.find((one) => one.name === name)?.errorCode === PROTOCOL.UNKNOWN_TOPIC_OR_PARTITION,
    )
    if (missing.length > 0 && !settings.createTopics)
      throw new CustodyError(
        'CUSTODY-KAFKA-003',
        `${missing.map(({ name }) => name).join(', ')} not there, and kafka.createTopics is false`,
      )
    if (missing.length > 0) await create(client, missing, settings, logger)
    const settled = found.filter(({ errorCode }) => errorCode === 0)
    if (settled.length === wanted.length) {
      const counts = new Map(
        settled.map(({ name, partitions }) => [
          name ?? '',
          {
            partitions: partitions.length,
            replicas: Math.min(...partitions.map(({ replicaNodes }) => replicaNodes.length)),
          },
        ]),
      )
      await check(client, wanted, counts, settings, logger)
      return
    }
    const refused = found.find(({ errorCode }) => errorCode === PROTOCOL.TOPIC_AUTHORIZATION_FAILED)
    if (refused) throw answered(refused.errorCode, `topic ${refused.name}`)
    if (i === TRIES) throw new CustodyError('CUSTODY-KAFKA-003', 'topics don’t come about')
    // One just made has no leader for a moment.
    if (i > 0 || missing.length === 0) await pause(TRY_MS / 5)
  }
}

async function create(
  client: Client,
  missing: readonly Wanted[],
  { replicationFactor }: KafkaSettings,
  logger: Logger,
): Promise<void> {
  const made = await client.createTopics(missing.map((one) => ({ ...one, replicationFactor })))
  for (const { name, errorCode, errorMessage } of made) {
    if (errorCode === 0) logger.info({ topic: name }, 'topic made')
    else if (errorCode !== PROTOCOL.TOPIC_ALREADY_EXISTS) {
      const { answerName } = answered(errorCode, '')
      throw new CustodyError(
        errorCode === PROTOCOL.TOPIC_AUTHORIZATION_FAILED
          ? 'CUSTODY-KAFKA-002'
          : 'CUSTODY-KAFKA-003',
        `topic ${name} can’t be made: ${answerName}${errorMessage ? ` (${errorMessage})` : ''}`,
      )
    }
  }
}

/** What of a topic is less than it must be, in words; those of `warnings` are no reason to refuse it. */
export function shortcomings(
  wanted: Wanted,
  settings: KafkaSettings,
  found: { partitions: number; replicas: number; configuration: ReadonlyMap<string, string> },
): { problems: string[]; warnings: string[] } {
  const problems: string[] = []
  const warnings: string[] = []
  const { configuration } = found
  const number = (name: string) => Number(configuration.get(name) ?? Number.NaN)
  if (wanted.partitions === 1 ? found.partitions !== 1 : found.partitions < wanted.partitions)
    problems.push(`has ${found.partitions} partitions, not ${wanted.partitions}`)
  if (found.replicas < settings.replicationFactor)
    problems.push(`has ${found.replicas} replicas, not ${settings.replicationFactor}`)
  if (number('min.insync.replicas') < settings.minInsyncReplicas)
    problems.push(
      `min.insync.replicas is ${number('min.insync.replicas')}, not ${settings.minInsyncReplicas}`,
    )
  if (configuration.get('unclean.leader.election.enable') === 'true')
    problems.push('unclean.leader.election.enable is true: a replica that missed events may lead')
  if (configuration.get('cleanup.policy') !== wanted.configuration['cleanup.policy'])
    problems.push(
      `cleanup.policy is ${configuration.get('cleanup.policy')}, not ${wanted.configuration['cleanup.policy']}`,
    )
  for (const name of ['retention.ms', 'retention.bytes']) {
    const least = wanted.configuration[name]
    if (least === undefined) continue
    const has = number(name)
    if (has >= 0 && (least === '-1' || has < Number(least)))
      problems.push(`${name} is ${has}, not ${least}`)
  }
  if (configuration.get('compression.type') === 'zstd' && !canReadZstd)
    problems.push('compression.type is zstd, which this version of Node.js can’t read')
  if (number('max.message.bytes') < MESSAGE_BYTES_MIN)
    problems.push(`max.message.bytes is ${number('max.message.bytes')}, not ${MESSAGE_BYTES_MIN}`)
  else if (number('max.message.bytes') < MESSAGE_BYTES_MAX)
    warnings.push(
      `max.message.bytes is ${number('max.message.bytes')}: a larger event stops the shipper`,
    )
  if (configuration.get('message.timestamp.type') !== 'LogAppendTime')
    warnings.push(
      'message.timestamp.type is not LogAppendTime: after a long outage, events may be deleted as soon as they come',
    )
  return { problems, warnings }
}

async function check(
  client: Client,
  wanted: readonly Wanted[],
  counts: ReadonlyMap<string, { partitions: number; replicas: number }>,
  settings: KafkaSettings,
  logger: Logger,
): Promise<void> {
  const results = await client.configurationOf(wanted.map(({ name }) => name))
  const all: string[] = []
  for (const one of wanted) {
    const found = results.find(({ resourceName }) => resourceName === one.name)
    if (found?.errorCode !== 0) {
      // Permitted to use it and not to look at it: whoever made it answers for it.
      if (found?.errorCode === PROTOCOL.TOPIC_AUTHORIZATION_FAILED) {
        logger.warn({ topic: one.name }, 'what this topic promises may not be looked at')
        continue
      }
      throw answered(found?.errorCode ?? -1, `configuration of ${one.name}`)
    }
    const { problems, warnings } = shortcomings(one, settings, {
      ...counts.get(one.name)!,
      configuration: new Map(found.configs.map(({ name, value }) => [name, value ?? ''])),
    })
    for (const warning of warnings) logger.warn({ topic: one.name }, warning)
    all.push(...problems.map((problem) => `${one.name} ${problem}`))
  }
  if (all.length > 0) throw new CustodyError('CUSTODY-KAFKA-003', all.join('; '))
}
