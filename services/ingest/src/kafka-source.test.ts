/**
 * Exactly one row per event, whoever is believed gone when and whatever was sent twice: the order of things is decided by the
 * test, the store is the embedded warehouse. test/evolution and kafka.e2e.test.ts do it with a real broker and with luck.
 */

import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, request as httpRequest, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { type ClickHouseClient, createClient } from '@clickhouse/client'
import { createLogger, homeAt } from '@custody/kit'
import {
  encodeMessage,
  eventSchema,
  eventType,
  fingerprintOf,
  HEADER_BYTES,
  newUuid,
} from '@custody/schemas'
import { until } from '@custody/test-support'
import { createWarehouse, type Warehouse } from '@custody/warehouse'
import avsc from 'avsc'
import { EVENT_COLUMNS, eventContainer } from './container'
import { canonicalDump } from './dump'
import { createIngest, type Ingest, type IngestOptions } from './ingest'
import { KafkaSource } from './kafka-source'
import { LettersSource } from './letters-source'
import { MemoryKafka } from './testing/memory-kafka'

const root = mkdtempSync(join(tmpdir(), 'custody-ingest-kafka-'))
const logger = createLogger({ name: 'test', level: process.env.TEST_LEVEL ?? 'silent' })
let warehouse: Warehouse
let warehouseUrl: string
let client: ClickHouseClient
const running: Ingest[] = []
const gates: Gate[] = []
let names = 0

beforeAll(async () => {
  warehouse = createWarehouse({ directory: join(root, 'warehouse'), port: 0, password: 'x' })
  ;({ url: warehouseUrl } = await warehouse.start())
  client = createClient({ url: warehouseUrl })
}, 60_000)

afterEach(async () => {
  for (const gate of gates.splice(0)) await gate.close()
  for (const ingest of running.splice(0)) await ingest.stop()
})

afterAll(async () => {
  await client.close()
  await warehouse.stop()
  rmSync(root, { recursive: true, force: true })
})

async function begin(
  kafka: MemoryKafka,
  more: Partial<IngestOptions> & { group?: string; lingerMs?: number } = {},
): Promise<Ingest> {
  const { group = 'g', lingerMs = 0, batchEventsMax = 1000, batchBytesMax = 1e7, ...rest } = more
  const ingest = createIngest({
    home: homeAt(join(root, 'home')),
    warehouseUrl,
    logger,
    source: new KafkaSource({
      kafka: kafka.client(),
      group,
      lingerMs,
      batchEventsMax,
      batchBytesMax,
    }),
    ...rest,
  })
  running.push(ingest)
  await ingest.start()
  return ingest
}

/** A recorder that nobody else has, and its events in order. */
function recorder(name = `memory-${names++}`) {
  let sequence = 0
  const one = (subject = `event ${sequence}`, at?: number): Buffer =>
    encodeMessage({
      kind: 'audit.search',
      recorder: name,
      sequence: sequence++,
      ...(at !== undefined && { time: at, id: newUuid(at) }),
      audit: { action: 'search', subject },
    })
  return { name, one, some: (n: number) => Array.from({ length: n }, () => one()) }
}

async function stored(name: string): Promise<{ rows: number; distinct: number }> {
  const result = await client.query({
    query:
      'SELECT count() AS rows, uniqExact(sequence) AS distinct FROM custody.events WHERE recorder = {name:String}',
    query_params: { name },
    format: 'JSONEachRow',
    clickhouse_settings: { output_format_json_quote_64bit_integers: 0 },
  })
  return (await result.json<{ rows: number; distinct: number }>())[0]!
}

const committed = (kafka: MemoryKafka, group = 'g') =>
  until(() => kafka.committed(group).every((offset, i) => offset === kafka.partitions[i]!.length))

/** Stands before the warehouse and holds back what it is told to. */
class Gate {
  private readonly server: Server
  /** Which inserts to hold; answers when one is held. */
  holds: ((query: string) => boolean) | null = null
  held: (() => void)[] = []
  url = ''

  constructor() {
    this.server = createServer((incoming, outgoing) => {
      const chunks: Buffer[] = []
      incoming.on('data', (chunk) => chunks.push(chunk))
      incoming.on('end', () => {
        const pass = () => {
          const target = new URL(warehouseUrl)
          const { host: _, 'transfer-encoding': __, ...headers } = incoming.headers
          const body = Buffer.concat(chunks)
          const onward = httpRequest(
            {
              host: target.hostname,
              port: target.port,
              path: incoming.url,
              method: incoming.method,
              headers: { ...headers, 'content-length': body.length },
            },
            (answer) => {
              outgoing.writeHead(answer.statusCode!, answer.headers)
              answer.pipe(outgoing)
            },
          )
          onward.on('error', () => outgoing.destroy())
          onward.end(body)
        }
        const query = new URL(incoming.url!, 'http://gate').searchParams.get('query') ?? ''
        if (this.holds?.(query)) this.held.push(pass)
        else pass()
      })
    })
  }

  async open(): Promise<this> {
    await new Promise<void>((resolve) => this.server.listen(0, '127.0.0.1', resolve))
    const url = new URL(warehouseUrl)
    url.port = String((this.server.address() as AddressInfo).port)
    this.url = url.href
    gates.push(this)
    return this
  }

  /** Sends on what is held, and hangs up on who sent it. */
  cut(): void {
    this.pass()
    this.server.closeAllConnections()
  }

  pass(): void {
    this.holds = null
    for (const pass of this.held.splice(0)) pass()
  }

  async close(): Promise<void> {
    this.pass()
    await new Promise((resolve) => {
      this.server.close(resolve)
      this.server.closeIdleConnections()
    })
  }
}

const isInsert = (query: string) => query.startsWith('INSERT INTO custody.events')

test('slices of several partitions, each event once', async () => {
  const kafka = new MemoryKafka(3, 'plain.events')
  const recorders = [recorder(), recorder(), recorder()]
  for (const [i, one] of recorders.entries()) kafka.send(i, ...one.some(2500))
  const ingest = await begin(kafka)
  await committed(kafka)
  for (const { name } of recorders)
    expect(await stored(name)).toEqual({ rows: 2500, distinct: 2500 })
  expect(ingest.status()).toMatchObject({ events: 7500, found: 0, problem: null })
})

describe('a slice that comes again', () => {
  test('a member believed gone wakes up with its insert after another has done it: no row twice', async () => {
    const kafka = new MemoryKafka(1, 'zombie.events')
    const { name, some } = recorder()
    kafka.send(0, ...some(200))
    const gate = await new Gate().open()
    gate.holds = isInsert
    const sleeper = await begin(kafka, { warehouseUrl: gate.url })
    await until(() => gate.held.length > 0)
    // The group gives its partition to another, who gets the same slice, finds nothing, and inserts.
    const other = await begin(kafka)
    await committed(kafka)
    expect(await stored(name)).toEqual({ rows: 200, distinct: 200 })
    gate.pass()
    await until(() => sleeper.status().lost === 1)
    expect(await stored(name)).toEqual({ rows: 200, distinct: 200 })
    expect(other.status()).toMatchObject({ events: 200, found: 0 })
  })

  test('what was inserted and not committed is found', async () => {
    const kafka = new MemoryKafka(1, 'found.events')
    const { name, some } = recorder()
    kafka.send(0, ...some(300))
    await (await begin(kafka)).stop()
    await committed(kafka)
    kafka.group('g').noted[0] = { committed: 0, intent: 300 }
    kafka.send(0, ...some(10))
    const ingest = await begin(kafka)
    await committed(kafka)
    expect(ingest.status()).toMatchObject({ found: 300, events: 10 })
    expect(await stored(name)).toEqual({ rows: 310, distinct: 310 })
  })

  test('a token that the store knows although it has lost the rows does not lose them', async () => {
    const kafka = new MemoryKafka(1, 'token.events')
    const { name, some } = recorder()
    kafka.send(0, ...some(50))
    await (await begin(kafka)).stop()
    // What a crash of the store leaves between noting the token and the part.
    await client.command({
      query: 'ALTER TABLE custody.events DELETE WHERE recorder = {name:String} AND sequence >= 20',
      query_params: { name },
      clickhouse_settings: { mutations_sync: '2' },
    })
    kafka.group('g').noted[0] = { committed: 0, intent: 50 }
    const ingest = await begin(kafka)
    await committed(kafka)
    expect(ingest.status()).toMatchObject({ found: 20, events: 30 })
    expect(await stored(name)).toEqual({ rows: 50, distinct: 50 })
  })

  test('the same offsets of a topic that was made anew are other events', async () => {
    for (const n of [1, 2]) {
      const kafka = new MemoryKafka(1, 'anew.events')
      const { name, some } = recorder()
      kafka.send(0, ...some(20))
      await (await begin(kafka)).stop()
      expect([n, await stored(name)]).toEqual([n, { rows: 20, distinct: 20 }])
    }
  })

  test('the store is away for a while', async () => {
    const kafka = new MemoryKafka(2, 'away.events')
    const [one, two] = [recorder(), recorder()]
    kafka.send(0, ...one.some(100))
    kafka.send(1, ...two.some(100))
    const gate = await new Gate().open()
    gate.holds = isInsert
    const ingest = await begin(kafka, { warehouseUrl: gate.url })
    await until(() => gate.held.length > 0)
    // The answer is lost: the insert is done, its sender is told nothing.
    gate.cut()
    await committed(kafka)
    expect(ingest.status().problem).toBeNull()
    for (const { name } of [one, two])
      expect(await stored(name)).toEqual({ rows: 100, distinct: 100 })
  })
})

describe('what was sent twice', () => {
  test('long ago, and comes in several slices after another member has the partition', async () => {
    const kafka = new MemoryKafka(1, 'twice.events')
    const { name, some } = recorder()
    const before = some(100)
    kafka.send(0, ...before)
    await (await begin(kafka)).stop()
    await committed(kafka)
    // A resend of a batch whose outcome was unknown, then something new.
    kafka.send(0, ...before.slice(40), ...some(50))
    const ingest = await begin(kafka, { batchEventsMax: 30 })
    await committed(kafka)
    expect(ingest.status()).toMatchObject({ found: 60, events: 50 })
    expect(await stored(name)).toEqual({ rows: 150, distinct: 150 })
  })

  test('of one recorder, while another’s new events come between', async () => {
    const kafka = new MemoryKafka(1, 'between.events')
    const [one, two] = [recorder(), recorder()]
    const before = one.some(100)
    kafka.send(0, ...before, ...two.some(5))
    await (await begin(kafka)).stop()
    kafka.send(0, ...two.some(50), ...before.slice(10), ...two.some(50), ...one.some(3))
    await begin(kafka, { batchEventsMax: 25 })
    await committed(kafka)
    expect(await stored(one.name)).toEqual({ rows: 103, distinct: 103 })
    expect(await stored(two.name)).toEqual({ rows: 105, distinct: 105 })
  })
})

describe('poison', () => {
  const ownHeader = (message: Buffer) => message.subarray(0, HEADER_BYTES)

  /** A valid event as far as its bytes go, with a number in it that is none of its column's. */
  const refused = (name: string, sequence: number) =>
    encodeMessage({
      kind: 'command.started',
      recorder: name,
      sequence,
      statement: { language: 'sql', interface: 'query', text: 'select 1', index: 2 ** 40 },
    })

  function poisoned(topic: string, n: number) {
    const kafka = new MemoryKafka(1, topic)
    const { name, one } = recorder()
    const sent = Array.from({ length: n }, () => one())
    const foreign = Buffer.from(sent[20]!)
    foreign[5]! ^= 0xff
    const bad = new Map<number, [string, Buffer]>([
      [3, ['CUSTODY-INGEST-004', Buffer.from('no event at all')]],
      [4, ['CUSTODY-INGEST-004', Buffer.alloc(0)]],
      [11, ['CUSTODY-INGEST-004', Buffer.concat([ownHeader(sent[0]!), Buffer.alloc(400, 0x55)])]],
      [12, ['CUSTODY-INGEST-004', sent[12]!.subarray(0, sent[12]!.length - 7)]],
      [20, ['CUSTODY-INGEST-003', foreign]],
      [n - 2, ['CUSTODY-INGEST-002', refused(name, n - 2)]],
    ])
    for (const [i, message] of sent.entries()) kafka.send(0, bad.get(i)?.[1] ?? message)
    return { kafka, name, bad, good: n - bad.size }
  }

  test('is put aside with its place and why, and everything else goes in', async () => {
    const { kafka, name, bad, good } = poisoned('poison.events', 60)
    const ingest = await begin(kafka)
    await committed(kafka)
    expect(await stored(name)).toEqual({ rows: good, distinct: good })
    expect(
      kafka.letters
        .map(({ offset, code, message, topic, partition, reason }) => {
          expect({ topic, partition }).toEqual({ topic: 'poison.events', partition: 0 })
          expect(reason.length).toBeGreaterThan(10)
          return [Number(offset), [code, message]]
        })
        .sort(([a], [b]) => Number(a) - Number(b)),
    ).toEqual([...bad])
    expect(ingest.status()).toMatchObject({ deadLetters: bad.size, events: good, problem: null })
  })

  test('a member believed gone in the middle of finding it', async () => {
    const { kafka, name, good } = poisoned('halves.events', 64)
    const gate = await new Gate().open()
    let inserts = 0
    // The whole is refused, then half after half goes in: stopped before each of the first ones.
    gate.holds = (query) => isInsert(query) && ++inserts >= 3
    const sleeper = await begin(kafka, { warehouseUrl: gate.url })
    await until(() => gate.held.length > 0)
    await begin(kafka)
    await committed(kafka)
    expect(await stored(name)).toEqual({ rows: good, distinct: good })
    gate.pass()
    await until(() => sleeper.status().lost === 1)
    expect(await stored(name)).toEqual({ rows: good, distinct: good })
  })

  test('a schema that was published and is none', async () => {
    const kafka = new MemoryKafka(1, 'noschema.events')
    const { name, one } = recorder()
    const foreign = one()
    foreign[2]! ^= 0xff
    kafka.published.set(foreign.toString('hex', 2, 10), '{"type": "nonsense"')
    kafka.send(0, foreign, one())
    await begin(kafka)
    await committed(kafka)
    expect(kafka.letters.map(({ code }) => code)).toEqual(['CUSTODY-INGEST-003'])
    expect(await stored(name)).toEqual({ rows: 1, distinct: 1 })
  })
})

describe('other versions', () => {
  interface Field {
    name: string
    type: unknown
    default?: unknown
  }

  /** Another version's schema, changed from today's record by record. */
  function version(change: (record: string, fields: Field[]) => Field[]) {
    const schema = JSON.parse(JSON.stringify(eventSchema))
    const walk = (node: unknown): void => {
      if (Array.isArray(node)) node.forEach(walk)
      else if (node !== null && typeof node === 'object') {
        const one = node as { name: string; fields?: Field[] }
        if (one.fields) one.fields = change(one.name, one.fields)
        Object.values(node).forEach(walk)
      }
    }
    walk(schema)
    const type = avsc.Type.forSchema(schema)
    const fingerprint = fingerprintOf(type)
    return {
      fingerprint: fingerprint.toString('hex'),
      json: JSON.stringify(schema),
      encode: (event: unknown) =>
        Buffer.concat([Buffer.from([0xc3, 0x01]), fingerprint, type.toBuffer(event)]),
    }
  }

  const event = (name: string, sequence: number, audit: object) => ({
    ...(eventType.fromBuffer(
      encodeMessage({ kind: 'audit.search', recorder: name, sequence }).subarray(HEADER_BYTES),
    ) as object),
    audit: { subject: 's', action: 'search', query: null, results: 7, durationMicros: 5, ...audit },
  })

  async function audits(name: string) {
    const result = await client.query({
      query:
        'SELECT sequence, audit.query AS query, audit.results AS results, hex(unread) AS unread, ordinal FROM custody.events WHERE recorder = {name:String} ORDER BY sequence',
      query_params: { name },
      format: 'JSONEachRow',
      clickhouse_settings: { output_format_json_quote_64bit_integers: 0 },
    })
    return result.json()
  }

  test('older: what it had not yet has the default of the schema; side by side with today’s', async () => {
    const older = version((record, fields) =>
      fields.filter(
        ({ name }) =>
          !(record === 'Audit' && name === 'results') &&
          !(record === 'Event' && (name === 'masks' || name === 'recording')),
      ),
    )
    const kafka = new MemoryKafka(1, 'older.events')
    kafka.published.set(older.fingerprint, older.json)
    const { name, one } = recorder()
    for (let i = 0; i < 6; i++) {
      const today = one('s')
      kafka.send(0, i % 2 === 0 ? today : older.encode(event(name, i, { query: 'old' })))
    }
    const ingest = await begin(kafka)
    await committed(kafka)
    expect(await audits(name)).toEqual(
      [0, 1, 2, 3, 4, 5].map((sequence) => ({
        sequence,
        query: sequence % 2 === 0 ? null : 'old',
        results: 0,
        unread: '',
        ordinal: -1,
      })),
    )
    expect(ingest.status()).toMatchObject({ events: 6, unread: 0, deadLetters: 0 })
  })

  test('newer: what is known goes in, the message stays with it whole', async () => {
    const newer = version((record, fields) =>
      record === 'Audit'
        ? [
            fields[0]!,
            { name: 'extra', type: ['null', 'string'], default: null },
            ...fields.slice(1),
          ]
        : fields,
    )
    const kafka = new MemoryKafka(1, 'newer.events')
    kafka.published.set(newer.fingerprint, newer.json)
    const { name } = recorder()
    const sent = [0, 1].map((i) =>
      newer.encode(event(name, i, { query: 'new', extra: `more ${i}` })),
    )
    kafka.send(0, ...sent)
    const ingest = await begin(kafka, { repairIntervalMs: 20 })
    await committed(kafka)
    await until(() => ingest.status().unread === 2)
    expect(await audits(name)).toEqual(
      sent.map((message, sequence) => ({
        sequence,
        query: 'new',
        results: 7,
        unread: message.toString('hex').toUpperCase(),
        ordinal: -1,
      })),
    )
    // It comes again: still one row.
    kafka.group('g').noted[0] = { committed: 0, intent: 2 }
    await begin(kafka)
    await committed(kafka)
    expect(await stored(name)).toEqual({ rows: 2, distinct: 2 })
    expect(ingest.status().repaired).toBe(0)
  })

  test('a row that an older version stored in part is completed, and no other row changes', async () => {
    const { name, one } = recorder()
    const whole = event(name, 0, { query: 'the rest' })
    const message = Buffer.concat([one().subarray(0, HEADER_BYTES), eventType.toBuffer(whole)])
    const known = { ...whole, audit: { ...whole.audit, query: null } }
    const kafka = new MemoryKafka(1, 'repair.events')
    one()
    kafka.send(0, ...Array.from({ length: 20 }, () => one()))
    const ingest = await begin(kafka)
    await committed(kafka)
    const dump = async () => {
      const chunks: Buffer[] = []
      for await (const chunk of canonicalDump(client, { recorders: [name] })) chunks.push(chunk)
      return Buffer.concat(chunks)
    }
    const others = await dump()
    const file = eventContainer([{ message, datum: eventType.toBuffer(known) }], true)
    const { stream } = await client.exec({
      query: `INSERT INTO custody.events (${[...EVENT_COLUMNS, 'unread'].map((c) => `\`${c}\``)}) FORMAT Avro`,
      values: Readable.from([file], { objectMode: false }),
    })
    stream.resume()
    expect((await audits(name))[0]).toMatchObject({ query: null })
    expect((await audits(name))[0]).not.toMatchObject({ unread: '' })
    const newer = await begin(new MemoryKafka(1, 'nothing.events'), { repairIntervalMs: 20 })
    await until(() => newer.status().repaired === 1)
    expect((await audits(name))[0]).toMatchObject({ query: 'the rest', unread: '' })
    const after = await dump()
    expect(after.subarray(after.indexOf('\n') + 1).equals(others)).toBe(true)
    expect(ingest.status().repaired).toBe(0)
  })

  test('the tables change under it: it ends, and nothing is put aside', async () => {
    const type = await client.query({
      query:
        "SELECT type FROM system.columns WHERE database = 'custody' AND table = 'events' AND name = 'audit'",
      format: 'JSONEachRow',
    })
    const [{ type: before }] = (await type.json<{ type: string }>()) as [{ type: string }]
    const kafka = new MemoryKafka(1, 'under.events')
    const { name, one } = recorder()
    const ingest = await begin(kafka)
    const alter = (to: string) =>
      client.command({
        query: `ALTER TABLE custody.events MODIFY COLUMN audit ${to} CODEC(ZSTD(1))`,
        clickhouse_settings: { mutations_sync: '2' },
      })
    await alter(before.replace(/\)$/, ', extra Nullable(String))'))
    try {
      kafka.send(0, one(), one())
      expect(await ingest.failed).toMatchObject({ code: 'CUSTODY-STORE-001' })
      await ingest.stop()
      expect(kafka.letters).toEqual([])
      expect(kafka.committed('g')).toEqual([0])
    } finally {
      await alter(before)
    }
    await begin(kafka)
    await committed(kafka)
    expect(await stored(name)).toEqual({ rows: 2, distinct: 2 })
  })
})

test('dead letters go in once what kept them out was put right; those that still can’t stay', async () => {
  const kafka = new MemoryKafka(1, 'letters.events')
  const { name, some } = recorder()
  const [there, missing] = some(2) as [Buffer, Buffer]
  kafka.send(0, there)
  await (await begin(kafka)).stop()
  const directory = mkdtempSync(join(root, 'letters-'))
  writeFileSync(join(directory, 'a.event'), there)
  writeFileSync(join(directory, 'b.event'), missing)
  writeFileSync(join(directory, 'b.json'), '{}')
  writeFileSync(join(directory, 'c.event'), 'no event')
  const ingest = createIngest({
    home: homeAt(join(root, 'home')),
    warehouseUrl,
    logger,
    source: new LettersSource(directory, async () => null),
  })
  await ingest.start()
  await ingest.stop()
  expect(readdirSync(directory)).toEqual(['c.event'])
  expect(await stored(name)).toEqual({ rows: 2, distinct: 2 })
})

test('events of many months in one slice', async () => {
  const kafka = new MemoryKafka(1, 'months.events')
  const { name, one } = recorder()
  for (let i = 0; i < 40; i++)
    kafka.send(0, one('s', Date.UTC(2020 + (i % 2), i % 3, 3) * 1000 + i))
  await (await begin(kafka)).stop()
  kafka.group('g').noted[0] = { committed: 0, intent: 40 }
  const ingest = await begin(kafka)
  await committed(kafka)
  expect(ingest.status()).toMatchObject({ found: 40, events: 0 })
  expect(await stored(name)).toEqual({ rows: 40, distinct: 40 })
})
