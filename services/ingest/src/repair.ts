/**
 * Completes rows that an older version of ingest stored of events that said more than it knew. Such a row has the whole
 * message in `unread`; nothing but the row itself is needed to make it whole, however long ago its log was freed.
 * One mutation sets all columns and empties `unread`: a part of the table has the rows as they were or as they are to be,
 * never none and never two, and a repair that was interrupted is simply done again.
 */
import { randomUUID } from 'node:crypto'
import { Readable } from 'node:stream'
import { buffer } from 'node:stream/consumers'
import type { ClickHouseClient } from '@clickhouse/client'
import { encodeDatum, fingerprintIn, type Reading } from '@custody/schemas'
import { EVENT_COLUMNS, eventContainer, UNREAD_COLUMN } from './container'

/** Rows of one mutation. */
const ROWS_MAX = 20_000
const LEFT_HOURS = 24
/** What an event is found by does not change: it is what every version knows, and some of it orders the table. */
const FIXED = new Set(
  'id previous time kind recorder sequence session ordinal command parent'.split(' '),
)

/** How many rows were completed. */
export async function repairUnread(
  client: ClickHouseClient,
  /** May make and drop tables in `custody`, and change rows. */
  admin: ClickHouseClient,
  learn: (fingerprint: string) => Promise<Reading | null>,
  stopping: () => boolean,
): Promise<number> {
  const fingerprints: string[] = []
  for (const fingerprint of await unreadSchemas(client)) {
    const reading = await learn(fingerprint)
    if (reading && !reading.loses) fingerprints.push(fingerprint)
  }
  if (fingerprints.length === 0) return 0
  await dropLeft(admin)
  let repaired = 0
  while (!stopping()) {
    const messages = await unreadMessages(client, fingerprints)
    if (messages.length === 0) break
    await rewrite(admin, messages, learn)
    repaired += messages.length
  }
  return repaired
}

const OF_MESSAGE = `hex(substring(${UNREAD_COLUMN}, 3, 8))`

async function unreadSchemas(client: ClickHouseClient): Promise<string[]> {
  const result = await client.query({
    query: `SELECT DISTINCT lower(${OF_MESSAGE}) FROM custody.events WHERE ${UNREAD_COLUMN} != ''`,
    format: 'JSONCompactEachRow',
  })
  return (await result.json<[string]>()).map(([fingerprint]) => fingerprint)
}

async function unreadMessages(
  client: ClickHouseClient,
  fingerprints: readonly string[],
): Promise<Buffer[]> {
  const { stream } = await client.exec({
    query: `SELECT ${UNREAD_COLUMN} FROM custody.events WHERE ${UNREAD_COLUMN} != '' AND lower(${OF_MESSAGE}) IN {fingerprints:Array(String)} LIMIT ${ROWS_MAX} FORMAT RowBinary`,
    query_params: { fingerprints },
  })
  const bytes = await buffer(stream)
  const messages: Buffer[] = []
  for (let at = 0; at < bytes.length; ) {
    let length = 0
    for (let shift = 0; ; shift += 7) {
      const byte = bytes[at++]!
      length += (byte & 127) * 2 ** shift
      if (byte < 128) break
    }
    messages.push(bytes.subarray(at, at + length))
    at += length
  }
  return messages
}

async function rewrite(
  client: ClickHouseClient,
  messages: readonly Buffer[],
  learn: (fingerprint: string) => Promise<Reading | null>,
): Promise<void> {
  const mark = randomUUID().replaceAll('-', '')
  const [rows, whole] = [`custody.repair_${mark}_rows`, `custody.repair_${mark}`]
  const columns = await columnTypes(client)
  const list = (names: readonly string[]) => names.map((name) => `\`${name}\``).join(', ')
  const changing = EVENT_COLUMNS.filter((name) => !FIXED.has(name))
  const define = (names: readonly string[]) =>
    names.map((name) => `\`${name}\` ${columns.get(name)}`).join(', ')
  try {
    await client.command({
      query: `CREATE TABLE ${rows} (${define(EVENT_COLUMNS)}) ENGINE = Memory`,
    })
    await client.command({
      query: `CREATE TABLE ${whole} (key String, ${define(changing)}) ENGINE = Join(ANY, LEFT, key)`,
    })
    const events = []
    for (const message of messages) {
      const reading = (await learn(fingerprintIn(message)))!
      events.push({ message, datum: encodeDatum(reading.read(message)) })
    }
    const { stream } = await client.exec({
      query: `INSERT INTO ${rows} (${list(EVENT_COLUMNS)}) FORMAT Avro`,
      values: Readable.from([eventContainer(events)], { objectMode: false }),
    })
    stream.resume()
    await client.command({
      query: `INSERT INTO ${whole} SELECT hex(id), ${list(changing)} FROM ${rows}`,
    })
    const set = changing.map((name) => `\`${name}\` = joinGet('${whole}', '${name}', hex(id))`)
    await client.command({
      query: `ALTER TABLE custody.events UPDATE ${set.join(', ')}, ${UNREAD_COLUMN} = '' WHERE ${UNREAD_COLUMN} != '' AND hex(id) IN (SELECT hex(id) FROM ${rows})`,
      clickhouse_settings: { mutations_sync: '2' },
    })
  } finally {
    for (const table of [whole, rows])
      await client.command({ query: `DROP TABLE IF EXISTS ${table}` }).catch(() => {})
  }
}

async function columnTypes(client: ClickHouseClient): Promise<Map<string, string>> {
  const result = await client.query({
    query: `SELECT name, type FROM system.columns WHERE database = 'custody' AND table = 'events'`,
    format: 'JSONCompactEachRow',
  })
  return new Map(await result.json<[string, string]>())
}

/** Helpers of a repair that died long ago. */
async function dropLeft(client: ClickHouseClient): Promise<void> {
  const result = await client.query({
    query: `SELECT name FROM system.tables WHERE database = 'custody' AND name LIKE 'repair\\_%' AND metadata_modification_time < now() - INTERVAL ${LEFT_HOURS} HOUR`,
    format: 'JSONCompactEachRow',
  })
  for (const [name] of await result.json<[string]>())
    await client.command({ query: `DROP TABLE IF EXISTS custody.\`${name}\`` })
}
