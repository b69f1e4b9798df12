/**
 * What is done as admin: before anything is inserted, tables, how long events are kept, users; and beside it, months that
 * are old to cold storage. Any number of processes may do it at the same time. Refuses nothing itself.
 */
import {
  type ClickHouseClient,
  ClickHouseError,
  ClickHouseLogLevel,
  createClient,
} from '@clickhouse/client'
import { isCustodyError, type Logger, type Secrets, type WarehouseSettings } from '@custody/kit'
import { createColdMover, keepMoving } from './cold'
import { warehouseUrl } from './connection'
import { migrate } from './migrations'
import { applyRetention } from './retention'
import { applyUsers } from './users'

export interface PrepareOptions {
  settings: WarehouseSettings | undefined
  secrets: { read: Secrets['read'] }
  environment?: NodeJS.ProcessEnv
}

export interface Prepared {
  applied: string[]
  /** Whether events are kept for another time than before. */
  retentionChanged: boolean
  /** Users that are kept in the server's files, and were left alone. */
  kept: string[]
}

const START_MS_MAX = 60_000
const RETRY_MS = 500

const adminClient = async (o: PrepareOptions): Promise<ClickHouseClient> =>
  createClient({
    url: await warehouseUrl('admin', o.settings, o.secrets, o.environment),
    // A month's file may take long to write; nothing is heard meanwhile.
    request_timeout: 3_600_000,
    log: { level: ClickHouseLogLevel.OFF },
  })

export async function prepareWarehouse(o: PrepareOptions): Promise<Prepared> {
  const client = await adminClient(o)
  try {
    return await prepare(client, o)
  } finally {
    await client.close()
  }
}

async function prepare(client: ClickHouseClient, o: PrepareOptions): Promise<Prepared> {
  const { settings, secrets } = o
  const layout = { cluster: settings?.cluster }
  const { applied } = await migrate(client, layout)
  const { changed } = await applyRetention(client, settings?.retentionDays ?? {}, layout)
  const { admin, ingest, query } = settings ?? {}
  if (!admin || !ingest || !query) return { applied, retentionChanged: changed, kept: [] }
  const { kept } = await applyUsers(
    client,
    [
      { role: 'ingest', user: ingest.user, password: await secrets.read(ingest.password) },
      { role: 'query', user: query.user, password: await secrets.read(query.password) },
    ],
    layout,
  )
  return { applied, retentionChanged: changed, kept }
}

export interface KeepOptions extends PrepareOptions {
  logger?: Logger
  /** No other process moves months of this warehouse: what was begun is taken over at once. */
  alone?: boolean
}

/** Prepares, waiting a minute for a warehouse that does not answer yet, and then moves old months until it is stopped. */
export async function keepWarehouse(o: KeepOptions): Promise<{ stop(): Promise<void> }> {
  const { settings, secrets, logger } = o
  const client = await adminClient(o)
  const until = Date.now() + START_MS_MAX
  for (;;) {
    try {
      const prepared = await prepare(client, o)
      if (prepared.applied.length > 0 || prepared.retentionChanged)
        logger?.info(prepared, 'the warehouse is up to date')
      break
    } catch (error) {
      if (isCustodyError(error) || error instanceof ClickHouseError || Date.now() > until) {
        await client.close()
        throw error
      }
      await new Promise((resolve) => setTimeout(resolve, RETRY_MS))
    }
  }
  const moving = settings?.cold
    ? keepMoving(
        createColdMover({ client, settings, secrets, logger, ...(o.alone && { leaseMs: 0 }) }),
        { logger },
      )
    : null
  return {
    async stop() {
      await moving?.stop()
      await client.close()
    },
  }
}
