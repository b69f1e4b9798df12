/**
 * Reads what is to be judged, each place by its own means: the local logs from their segments, the store by asking it
 * over HTTP. Changes nothing and compares nothing.
 */
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import type { ClickHouseClient } from '@clickhouse/client'
import { listRecorders, listSegments, openReader, readPreamble } from '@custody/event-log'
import { createKafka } from '@custody/event-log-kafka'
import { createLogger, createSecrets, type Home, type KafkaSettings } from '@custody/kit'
import { decodeMessage, type Event, sha256 } from '@custody/schemas'
import type { KafkaServer } from '@custody/test-support'
import type { Entry } from './audit'
import { TAG } from './load'

const READ_BYTES = 4_000_000

/** An event as a message has it. */
export function entryOf(message: Buffer): Entry {
  const event = decodeMessage(message)
  return {
    id: event.id.toString('hex'),
    recorder: event.recorder,
    sequence: event.sequence,
    session: event.session?.toString('hex') ?? null,
    ordinal: event.ordinal,
    kind: event.kind,
    command: event.command?.toString('hex') ?? null,
    previous: event.previous.toString('hex'),
    digest: sha256(message).toString('hex'),
    tags: tagsOf(event),
    status: event.response?.status ?? null,
  }
}

function tagsOf({ statement }: Event): string[] {
  if (!statement) return []
  return marks([statement.text ?? '', ...statement.parameters.map(({ value }) => value ?? '')])
}

function marks(texts: readonly string[]): string[] {
  return texts.join(' ').match(TAG) ?? []
}

export interface LocalLog {
  log: Map<string, Entry[]>
  freed: Map<string, number>
}

/** All recorders below these directories (CUSTODY_HOME/log each). */
export async function readLogs(directories: readonly string[]): Promise<LocalLog> {
  const log = new Map<string, Entry[]>()
  const freed = new Map<string, number>()
  for (const directory of directories)
    for (const recorder of await listRecorders(directory)) {
      if (log.has(recorder)) throw new Error(`two logs of one recorder: ${recorder}`)
      const entries: Entry[] = []
      const place = join(directory, recorder)
      const first = listSegments(place)[0]
      if (first === undefined) continue
      freed.set(recorder, readPreamble(place, first)?.nextSequence ?? 0)
      const reader = openReader({ directory, recorder })
      try {
        for (
          let batch = await reader.read(READ_BYTES);
          batch;
          batch = await reader.read(READ_BYTES)
        )
          for (const message of batch.messages) entries.push(entryOf(message))
      } finally {
        reader.close()
      }
      log.set(recorder, entries)
    }
  return { log, freed }
}

/** How many events the local logs hold, without decoding any. */
export async function countLogs(directories: readonly string[]): Promise<number> {
  let events = 0
  for (const directory of directories)
    for (const recorder of await listRecorders(directory)) {
      const reader = openReader({ directory, recorder })
      try {
        for (
          let batch = await reader.read(READ_BYTES);
          batch;
          batch = await reader.read(READ_BYTES)
        )
          events += batch.count
      } finally {
        reader.close()
      }
    }
  return events
}

const ZEROS = '0'.repeat(32)

export async function readStore(client: ClickHouseClient): Promise<Entry[]> {
  const result = await client.query({
    query: `SELECT lower(hex(id)) AS id, recorder, sequence, lower(hex(session)) AS session, ordinal, kind,
      lower(hex(command)) AS command, lower(hex(previous)) AS previous,
      statement.text AS text, statement.parameters.value AS parameters, response.status AS status
      FROM custody.events`,
    format: 'JSONEachRow',
    clickhouse_settings: { output_format_json_quote_64bit_integers: 0 },
  })
  const entries: Entry[] = []
  for await (const rows of result.stream<{
    id: string
    recorder: string
    sequence: number
    session: string
    ordinal: number
    kind: string
    command: string
    previous: string
    text: string
    parameters: (string | null)[]
    status: string
  }>())
    for (const line of rows) {
      const row = line.json()
      entries.push({
        id: row.id,
        recorder: row.recorder,
        sequence: row.sequence,
        session: row.session === ZEROS ? null : row.session,
        ordinal: row.ordinal,
        kind: row.kind,
        command: row.command === ZEROS ? null : row.command,
        previous: row.previous,
        digest: null,
        tags: marks([row.text, ...row.parameters.map((value) => value ?? '')]),
        status: row.status === '' ? null : row.status,
      })
    }
  return entries
}

export async function countStore(client: ClickHouseClient): Promise<number> {
  const result = await client.query({
    query: 'SELECT count() AS n FROM custody.events',
    format: 'JSONEachRow',
  })
  const [row] = await result.json<{ n: number | string }>()
  return Number(row?.n ?? 0)
}

/**
 * Sessions of which a later event is there and an earlier one is not: what somebody who looks at this moment would see
 * out of order.
 */
export async function countGaps(client: ClickHouseClient): Promise<number> {
  const result = await client.query({
    query: `SELECT count() AS n FROM (
      SELECT session, max(ordinal) + 1 AS due, uniqExact(ordinal) AS there FROM custody.events
      WHERE ordinal >= 0 GROUP BY session HAVING due != there)`,
    format: 'JSONEachRow',
  })
  const [row] = await result.json<{ n: number | string }>()
  return Number(row?.n ?? 0)
}

/** What the store did not take and was kept aside. */
export function deadLettersOf(homes: readonly Home[]): number {
  let letters = 0
  for (const { directory } of homes)
    try {
      letters += readdirSync(join(directory, 'dead-letters')).length
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
    }
  return letters
}

export interface Queue {
  partitions: Map<number, Entry[]>
  /** Read by the group, of what there is; equal when nobody is behind. */
  committed: bigint
  ends: bigint
}

/** Everything in the events topic, outside any group. */
export async function readKafka(settings: KafkaSettings, group: string): Promise<Queue> {
  const logger = createLogger({ name: 'chaos', level: 'silent' })
  const kafka = createKafka({
    settings,
    secrets: createSecrets(undefined, { logger }),
    logger,
    clientId: 'chaos-audit',
  })
  try {
    const queue: Queue = { partitions: new Map(), committed: 0n, ends: 0n }
    for (const { partition, first, end, committed } of await kafka.positions(group)) {
      const entries: Entry[] = []
      for await (const records of kafka.read(partition, first, end))
        for (const { message } of records) entries.push(entryOf(message))
      queue.partitions.set(partition, entries)
      queue.committed += committed ?? 0n
      queue.ends += end
    }
    return queue
  } finally {
    await kafka.close()
  }
}

/** Messages in a topic, by Kafka's own tool. */
export async function countTopic(
  server: KafkaServer,
  broker: string,
  topic: string,
): Promise<number> {
  const said = await server.tool('org.apache.kafka.tools.GetOffsetShell', [
    '--bootstrap-server',
    broker,
    '--topic',
    topic,
  ])
  let messages = 0
  for (const line of said.trim().split('\n')) {
    const end = /^[^:]+:\d+:(\d+)$/.exec(line)
    if (end) messages += Number(end[1])
  }
  return messages
}
