/**
 * `custody verify --pipeline`: compares log, Kafka and store of this configuration, and shows what is missing where. Asks the
 * store and Kafka itself and not the API, so that it need not believe what it checks.
 */
import { existsSync, readFileSync } from 'node:fs'
import { ClickHouseError, ClickHouseLogLevel, createClient } from '@clickhouse/client'
import { createKafka } from '@custody/event-log-kafka'
import {
  CustodyError,
  createLogger,
  createSecrets,
  type Home,
  isCustodyError,
  loadConfiguration,
} from '@custody/kit'
import { type Finding, type PipelineResult, verifyPipeline } from '@custody/pipeline'
import { expiredCondition, isExpired, warehouseUrl } from '@custody/warehouse'
import type { Output } from './output'
import { table } from './table'

const REQUEST_MS_MAX = 300_000
/** What ends its time while it is looked at is as good as gone. */
const EXPIRING_MS = 3_600_000

export interface PlacesOptions {
  home: Home
  /** The log directory that was asked for; this home's when not given, if there is one. */
  directory: string | null
  environment: NodeJS.ProcessEnv
  cwd: string
  sinceMs: number | null
  nowMs: number
  output: Output
}

export async function verifyPlaces(o: PlacesOptions): Promise<number> {
  const { home, environment, output, sinceMs } = o
  const configuration = loadConfiguration(environment, o.cwd)
  const logger = createLogger({ name: 'cli', level: 'silent' })
  const secrets = createSecrets(configuration.vault, { logger, environment })
  const kafka = configuration.kafka
    ? createKafka({ settings: configuration.kafka, secrets, logger, clientId: 'custody-cli' })
    : null
  const { warehouse } = configuration
  const days = warehouse?.retentionDays ?? {}
  const now = o.nowMs + EXPIRING_MS
  const condition = expiredCondition(days, now)
  const client = createClient({
    url: warehouse?.url
      ? await warehouseUrl('query', warehouse, secrets, environment)
      : storeOf(home, environment),
    request_timeout: REQUEST_MS_MAX,
    log: { level: ClickHouseLogLevel.OFF },
  })
  const log = o.directory ?? (existsSync(home.log) ? home.log : null)
  if (log === null && kafka === null)
    throw new CustodyError(
      'CUSTODY-VERIFY-001',
      `there is no log in ${home.directory} and no Kafka in the configuration`,
    )
  try {
    const result = await verifyPipeline({
      logDirectory: log,
      kafka,
      ...(kafka && { group: `${kafka.settings.topicPrefix}-ingest` }),
      client,
      sinceMicros: sinceMs === null ? null : sinceMs * 1000,
      expired:
        condition !== null
          ? {
              of: (time, kind) => isExpired(kind, time, { retentionDays: days }, now),
              sql: condition,
            }
          : null,
      progress: (line) => output.remark(`custody: ${line}`),
    })
    if (output.json) output.object(result)
    else showPipeline(result, output)
    return result.ok ? 0 : 1
  } catch (error) {
    if (isCustodyError(error)) throw error
    throw new CustodyError(
      'CUSTODY-VERIFY-002',
      error instanceof ClickHouseError
        ? `the store refuses to be asked: ${error.message}`
        : `a place can't be looked at: ${(error as Error).message}`,
      { cause: error },
    )
  } finally {
    await client.close()
    await kafka?.close()
  }
}

/** Stand-alone notes where its store is and the password of who only reads; it changes at every start. */
function storeOf(home: Home, environment: NodeJS.ProcessEnv): string {
  const given = environment.CUSTODY_WAREHOUSE_QUERY_URL || environment.CUSTODY_WAREHOUSE_URL
  if (given) return given
  try {
    return readFileSync(home.storeUrlFile, 'utf8').trim()
  } catch (cause) {
    throw new CustodyError(
      'CUSTODY-VERIFY-001',
      `Custody does not run in ${home.directory}, so its store can't be asked`,
      { cause },
    )
  }
}

function showPipeline(result: PipelineResult, output: Output): void {
  const { places, recorders, findings, more, sinceMicros } = result
  const withKafka = places.includes('kafka')
  const withLog = places.includes('log')
  if (sinceMicros !== null)
    output.line(
      `Since ${new Date(sinceMicros / 1000).toISOString()}; what was before was not compared.`,
    )
  if (recorders.length === 0) output.line('Nothing is recorded yet.')
  else
    output.lines(
      table(
        [
          { title: 'RECORDER' },
          ...(withLog ? [{ title: 'LOG', right: true }] : []),
          ...(withKafka
            ? [
                ...(withLog ? [{ title: 'TO KAFKA', right: true }] : []),
                { title: 'KAFKA', right: true },
                { title: 'SENT AGAIN', right: true },
              ]
            : []),
          { title: 'TO STORE', right: true },
          { title: 'STORE', right: true },
        ],
        recorders.map((one) => [
          one.recorder,
          ...(withLog ? [one.log === null ? '-' : String(one.log)] : []),
          ...(withKafka
            ? [
                ...(withLog ? [one.toKafka === null ? '-' : String(one.toKafka)] : []),
                String(one.kafka),
                String(one.again),
              ]
            : []),
          String(one.toStore),
          String(one.store),
        ]),
        output.columns,
      ),
    )
  for (const finding of findings) output.line(output.red(lineOf(finding)))
  if (more > 0) output.line(output.red(`… and ${more} more`))
  output.line(
    result.ok
      ? `${list(places)} hold the same unbroken sequences.`
      : output.red(`${list(places)} do NOT hold the same.`),
  )
}

function lineOf({ recorder, problem, place, from, to, session, detail }: Finding): string {
  const which =
    session !== null && problem === 'gap'
      ? ''
      : `, event${from === to ? ` ${from}` : `s ${from} to ${to}`}`
  return `${recorder}: ${problem} (${place})${which}${session ? `, session ${session}` : ''}: ${detail}`
}

const NAMES = { log: 'The log', kafka: 'Kafka', store: 'the store' } as const

function list(places: PipelineResult['places']): string {
  const names = places.map((place) => NAMES[place])
  return `${names.slice(0, -1).join(', ')} and ${names.at(-1)}`
}
