/** The comparison from time to time: what comes of it is an event, and what is missing an alert. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type ClickHouseClient, ClickHouseLogLevel, createClient } from '@clickhouse/client'
import { openReader, openRecorder, type Recorder } from '@custody/event-log'
import { createIngest } from '@custody/ingest'
import { type Home, prepareHome, silentLogger } from '@custody/kit'
import { decodeMessage, type Event } from '@custody/schemas'
import { createWarehouse, migrate, type Warehouse } from '@custody/warehouse'
import { createSelfCheck, type SelfCheck } from './self-check'

const root = mkdtempSync(join(tmpdir(), 'custody-self-check-'))
const home: Home = prepareHome(join(root, 'home'))
const logger = silentLogger()
let warehouse: Warehouse
let url: string
let client: ClickHouseClient
let recorder: Recorder
let check: SelfCheck

beforeAll(async () => {
  warehouse = createWarehouse({ directory: join(root, 'warehouse'), port: 0, password: 'x' })
  ;({ url } = await warehouse.start())
  client = createClient({ url, log: { level: ClickHouseLogLevel.OFF } })
  await migrate(client)
  recorder = await openRecorder({ directory: home.log, recorder: 'query-test', reserveBytes: 0 })
})

afterAll(async () => {
  await recorder.close()
  await client.close()
  await warehouse.stop()
  rmSync(root, { recursive: true, force: true })
})

afterEach(() => check.stop())

function begin(more: { everyHours?: number } = {}): void {
  check = createSelfCheck({
    logDirectory: home.log,
    kafka: null,
    group: 'custody-ingest',
    client,
    recorder,
    retentionDays: {},
    everyHours: 24,
    firstMs: 1,
    logger,
    ...more,
  })
  check.start()
}

async function ingested(): Promise<void> {
  const ingest = createIngest({ home, warehouseUrl: url, logger, lingerMs: 5 })
  await ingest.start()
  await ingest.stop()
}

async function recorded(kind: string): Promise<Event> {
  for (;;) {
    const reader = openReader({ directory: home.log, recorder: recorder.name })
    try {
      for (let batch = await reader.read(1e6); batch; batch = await reader.read(1e6))
        for (const message of batch.messages) {
          const event = decodeMessage(message)
          if (event.kind === kind) return event
        }
    } finally {
      reader.close()
    }
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}

test('what is whole is said to be, what is missing raises an alert, and never is never', async () => {
  for (let i = 0; i < 20; i++) recorder.record({ kind: 'audit.search' })
  await recorder.recorded('os')
  await ingested()
  begin()
  const verified = await recorded('pipeline.verified')
  expect(verified.recording?.detail).toMatch(
    /^log, store compared since 20[^ ]+: query-test 21\/-\/21$/,
  )
  expect(check.status()).toMatchObject({ ok: true, findings: 0, problem: null })
  await check.stop()

  await client.command({
    query: 'ALTER TABLE custody.events DELETE WHERE sequence IN (7, 8) SETTINGS mutations_sync = 1',
  })
  begin()
  const alert = await recorded('alert.evidence-gap')
  expect(alert.recording?.detail).toMatch(
    /; query-test: missing \(store\) 7 to 8: in the log, committed, and not in the store/,
  )
  expect(check.status()).toMatchObject({ ok: false, findings: 1 })
  await check.stop()

  begin({ everyHours: 0 })
  await new Promise((resolve) => setTimeout(resolve, 100))
  expect(check.status().checkedMs).toBeNull()
})
