/** Every event becomes one row, whatever fails on the way. Against the embedded warehouse and real logs. */
import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type ClickHouseClient, createClient } from '@clickhouse/client'
import {
  commitPosition,
  committedPosition,
  openReader,
  openRecorder,
  type Recorder,
} from '@custody/event-log'
import { createLogger, type Home, prepareHome } from '@custody/kit'
import { encodeMessage, HEADER_BYTES } from '@custody/schemas'
import { createWarehouse, type Warehouse } from '@custody/warehouse'
import { avroContainer } from './container'
import { createIngest, type Ingest, type IngestOptions } from './ingest'
import { LogSource } from './log-source'

const root = mkdtempSync(join(tmpdir(), 'custody-ingest-'))
const logger = createLogger({ name: 'test', level: 'silent' })
let warehouse: Warehouse
let warehouseUrl: string
let port: number
let client: ClickHouseClient
let home: Home
let ingest: Ingest | null
const recorders: Recorder[] = []
let homes = 0

async function startWarehouse(on = 0): Promise<void> {
  warehouse = createWarehouse({ directory: join(root, 'warehouse'), port: on, password: 'x' })
  ;({ url: warehouseUrl, port } = await warehouse.start())
}

beforeAll(async () => {
  await startWarehouse()
  client = createClient({ url: warehouseUrl })
}, 60_000)

afterAll(async () => {
  await client.close()
  await warehouse.stop()
  rmSync(root, { recursive: true, force: true })
})

beforeEach(() => {
  home = prepareHome(join(root, `home-${homes++}`))
})

afterEach(async () => {
  await ingest?.stop()
  ingest = null
  for (const recorder of recorders.splice(0)) await recorder.close()
})

async function open(name: string): Promise<Recorder> {
  // A name of its own for every test: they share the table.
  const recorder = await openRecorder({
    directory: home.log,
    recorder: `${name}-${homes}`,
    consumers: ['ingest'],
    reserveBytes: 0,
  })
  recorders.push(recorder)
  return recorder
}

async function begin(more: Partial<IngestOptions> = {}): Promise<Ingest> {
  ingest = createIngest({ home, warehouseUrl, logger, lingerMs: 20, ...more })
  await ingest.start()
  return ingest
}

function record(recorder: Recorder, n: number): void {
  for (let i = 0; i < n; i++)
    recorder.record({
      kind: 'audit.search',
      audit: {
        action: 'search',
        subject: `event ${i}`,
        query: null,
        results: i,
        durationMicros: 0,
      },
    })
}

interface Count {
  rows: number
  distinct: number
  first: number
  last: number
}

async function stored(recorder: Recorder): Promise<Count> {
  const result = await client.query({
    query:
      'SELECT count() AS rows, uniqExact(sequence) AS distinct, min(sequence) AS first, max(sequence) AS last FROM custody.events WHERE recorder = {name:String}',
    query_params: { name: recorder.name },
    format: 'JSONEachRow',
    clickhouse_settings: { output_format_json_quote_64bit_integers: 0 },
  })
  return (await result.json<Count>())[0]!
}

async function until(recorder: Recorder, rows: number): Promise<void> {
  for (;;) {
    const count = await stored(recorder)
    if (count.rows >= rows) {
      expect(count).toEqual({ rows, distinct: rows, first: 0, last: rows - 1 })
      return
    }
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}

/** Events in a recorder's log: those of the test, and its own about its start. */
async function logged(recorder: Recorder): Promise<number> {
  await recorder.recorded('os')
  const reader = openReader({ directory: home.log, recorder: recorder.name })
  let count = 0
  for (let batch = await reader.read(1e6); batch; batch = await reader.read(1e6))
    count += batch.count
  reader.close()
  return count
}

test('events of several recorders, as they come', async () => {
  const [one, two] = [await open('one'), await open('two')]
  record(one, 10)
  await begin()
  await until(one, await logged(one))
  record(one, 500)
  record(two, 3)
  const late = await open('late')
  record(late, 7)
  for (const recorder of [one, two, late]) await until(recorder, await logged(recorder))
})

test('what a row says is what the event said', async () => {
  const recorder = await open('fields')
  record(recorder, 2)
  await begin()
  await until(recorder, await logged(recorder))
  const result = await client.query({
    query:
      "SELECT kind, audit.subject AS subject, audit.results AS results, hex(session) AS session, who.subject AS who, ordinal FROM custody.events WHERE recorder = {name:String} AND kind = 'audit.search' ORDER BY sequence",
    query_params: { name: recorder.name },
    format: 'JSONEachRow',
    clickhouse_settings: { output_format_json_quote_64bit_integers: 0 },
  })
  expect(await result.json()).toEqual(
    [0, 1].map((i) => ({
      kind: 'audit.search',
      subject: `event ${i}`,
      results: i,
      session: '0'.repeat(32),
      who: '',
      ordinal: -1,
    })),
  )
})

test('an insert whose commit was lost is not repeated', async () => {
  const recorder = await open('lost')
  record(recorder, 100)
  await (await begin()).stop()
  const count = await logged(recorder)
  await until(recorder, count)
  record(recorder, 50)
  // As if it had ended between insert and commit: the position is the log's beginning again.
  await commitPosition(home.log, 'ingest', recorder.name, { segment: 0, offset: 0, sequence: 0 })
  const again = await begin()
  await until(recorder, count + 50)
  expect(again.status()).toMatchObject({ found: count, events: 50 })
})

test('small batches, and one that is larger than a batch', async () => {
  const recorder = await open('small')
  record(recorder, 1000)
  await begin({ batchEventsMax: 64, batchBytesMax: 5000 })
  recorder.record({
    kind: 'audit.search',
    audit: {
      action: 'search',
      subject: 'x'.repeat(100_000),
      query: null,
      results: 0,
      durationMicros: 0,
    },
  })
  record(recorder, 10)
  await until(recorder, await logged(recorder))
})

test('stopping inserts what is there', async () => {
  const recorder = await open('stop')
  await begin()
  record(recorder, 5000)
  const count = await logged(recorder)
  await ingest!.stop()
  await until(recorder, count)
  expect((await committedPosition(home.log, 'ingest', recorder.name))?.sequence).toBe(count)
})

test('a store that goes away and comes back', async () => {
  const recorder = await open('away')
  const running = await begin()
  record(recorder, 10)
  await until(recorder, await logged(recorder))
  await warehouse.stop()
  record(recorder, 10)
  while (running.status().problem === null) await new Promise((resolve) => setTimeout(resolve, 20))
  expect(running.status().problem).toMatchObject({ code: 'CUSTODY-INGEST-001' })
  await startWarehouse(port)
  await until(recorder, await logged(recorder))
  // The rows are to be seen a moment before the insert has been answered.
  for (let i = 0; i < 200 && running.status().problem; i++)
    await new Promise((resolve) => setTimeout(resolve, 10))
  expect(running.status().problem).toBeNull()
})

test('an event that the store does not take is kept aside, and all others go in', async () => {
  const recorder = await open('dead')
  record(recorder, 20)
  // Bytes that are no event, in the middle of a batch.
  const { next } = LogSource.prototype
  let spoiled = false
  const spoil = jest.spyOn(LogSource.prototype, 'next').mockImplementation(async function (
    this: LogSource,
    hurry: boolean,
  ) {
    const lot = await next.call(this, hurry)
    if (lot && lot.messages.length > 10 && !spoiled) {
      spoiled = true
      const messages = lot.messages as Buffer[]
      messages[7] = messages[7]!.subarray(0, messages[7]!.length - 9)
    }
    return lot
  })
  const running = await begin()
  const count = await logged(recorder)
  while ((await stored(recorder)).rows < count - 1)
    await new Promise((resolve) => setTimeout(resolve, 20))
  spoil.mockRestore()
  expect(running.status().deadLetters).toBe(1)
  expect(readdirSync(join(home.directory, 'dead-letters'))).toEqual([
    expect.stringMatching(/^[0-9a-f]{32}\.event$/),
    expect.stringMatching(/^[0-9a-f]{32}\.json$/),
  ])
  expect(await stored(recorder)).toMatchObject({ rows: count - 1, distinct: count - 1 })
})

test('the container is what the engine reads, for any number of events', async () => {
  const message = encodeMessage({ kind: 'x.y', recorder: 'container', sequence: 0 })
  for (const n of [1, 63, 64, 65, 8192]) {
    const file = avroContainer(Array.from({ length: n }, () => message))
    expect(file.length).toBeGreaterThan(n * (message.length - HEADER_BYTES))
    expect(file.subarray(0, 4).toString('latin1')).toBe('Obj\x01')
  }
})
