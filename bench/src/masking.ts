/**
 * What masking costs: a million rows with nothing masked, with masked columns, and looked into by detectors; and one row. Each
 * gateway records everything; the floor is the one that masks nothing. The client only counts bytes, so that what is
 * compared is the gateways.
 */
import { connect, type Socket } from 'node:net'
import { startPostgres, temporaryDirectory } from '@custody/test-support'
import { cpuSeconds, median, Steal, type Table } from './measure'
import { DATABASE, type OwnCustody, type Subject, startSubjects } from './subjects'

export interface MaskingOptions {
  rounds: number
  /** Only these cases: rows, copy, one. */
  parts: ReadonlySet<string>
  /** Only these gateways. */
  subjects?: readonly string[]
  progress(line: string): void
}

const ROWS = 1_000_000
/** One row: so many queries to each gateway in turn, and so many turns a round. */
const ONE_ROW_QUERIES = 200
const ONE_ROW_TURNS = 20
const STEAL_MAX = 0.08
const rule = (columns: string, action: string) =>
  `masking: {detectors: {use: []}, rules: [{id: own, columns: [${columns}], action: ${action}}]}`

const GATEWAYS: readonly OwnCustody[] = [
  { name: 'no masking', durability: 'os', more: '' },
  { name: 'rules, none of them here', durability: 'os', more: rule("'other.secret'", 'redact') },
  { name: '2 columns redacted', durability: 'os', more: rule("'*.email', '*.phone'", 'redact') },
  {
    name: '2 columns, last 4 kept',
    durability: 'os',
    more: rule("'*.email', '*.phone'", 'partial'),
  },
  { name: '2 columns hashed', durability: 'os', more: rule("'*.email', '*.phone'", 'hash') },
  { name: 'default detectors', durability: 'os', more: 'masking: {}' },
  {
    name: '2 columns and default detectors',
    durability: 'os',
    more: "masking: {rules: [{id: own, columns: ['*.email', '*.phone']}]}",
  },
]

/** 100 bytes a row: numbers, an address and a number that rules mask, and words that detectors look into. */
const FIXTURE = `create table people as select i as id, 'user' || i || '@corp' as email, 'ext ' || i as phone,
  'order ' || (i * 7) || ' for ' || chr(65 + i % 26) || repeat('ave', 3) || ' street ' || (i % 999) as note, 'in transit to the depot' as state
  from generate_series(1, ${ROWS}) i;
create table other(secret text);
create index on people(id)`

export async function benchMasking(o: MaskingOptions, table: Table): Promise<string[]> {
  const directory = temporaryDirectory('custody-bench-')
  o.progress('starting PostgreSQL and the gateways')
  const server = await startPostgres({
    settings: { shared_buffers: '512MB', synchronous_commit: 'off' },
    sql: `create database ${DATABASE}`,
  })
  const admin = await server.connect({ database: DATABASE })
  await admin.query(FIXTURE)
  await admin.query('vacuum analyze')
  const bytes = (await admin.query('select avg(length(people::text))::int as n from people'))
    .rows[0].n
  await admin.end()
  const subjects = await startSubjects(
    server,
    directory.path,
    (name) => GATEWAYS.some((one) => one.name === name) && (o.subjects?.includes(name) ?? true),
    GATEWAYS,
  )
  const steal = new Steal()
  try {
    for (let round = 1; round <= o.rounds; round++) {
      o.progress(`round ${round} of ${o.rounds}`)
      for (const [part, name, query] of [
        ['rows', '1 million rows', 'select * from people'],
        ['copy', 'COPY of them', 'copy people to stdout'],
      ] as const) {
        if (!o.parts.has(part)) continue
        for (const subject of subjects.all)
          for (let tries = 0; tries < 3; tries++) {
            const client = await Drain.open(subject)
            await client.query('select 1')
            steal.share()
            const took = await client.query(query)
            client.end()
            if (steal.share() > STEAL_MAX) continue
            table.add(name, subject.name, 's', took / 1e9)
            break
          }
      }
      if (o.parts.has('one')) await oneRow(subjects.all, table)
    }
  } finally {
    await subjects.stop()
    await server.stop()
    await directory.remove()
  }
  return [
    `PostgreSQL ${server.version}; rows of ${bytes} bytes as text; simple queries; times as the client has them, which only counts bytes`,
  ]
}

/** In short turns, so that what the machine does otherwise meets all of them; and the processor time of each gateway. */
async function oneRow(subjects: readonly Subject[], table: Table): Promise<void> {
  const query = 'select * from people where id = 4711'
  const clients = await Promise.all(subjects.map(Drain.open))
  for (const client of clients) for (let i = 0; i < 500; i++) await client.query(query)
  const all = subjects.map((): number[] => [])
  const cpu = subjects.map(() => 0)
  for (let turn = 0; turn < ONE_ROW_TURNS; turn++)
    for (const k of clients.keys()) {
      const i = (k + turn) % clients.length
      const client = clients[i]!
      const before = cpuSeconds([subjects[i]!.pid!])
      for (let n = 0; n < ONE_ROW_QUERIES; n++) all[i]!.push(await client.query(query))
      cpu[i]! += cpuSeconds([subjects[i]!.pid!]) - before
    }
  for (const [i, { name }] of subjects.entries()) {
    table.add('one row', name, 'µs', median(all[i]!) / 1e3)
    table.add('one row: gateway CPU', name, 'µs', (cpu[i]! * 1e6) / all[i]!.length)
    clients[i]!.end()
  }
}

/** Reads answers and forgets them. */
class Drain {
  private tail: Buffer = Buffer.alloc(0)
  private done: () => void = () => {}

  private constructor(private readonly socket: Socket) {
    socket.setNoDelay(true)
    socket.on('data', (chunk: Buffer) => {
      this.tail =
        chunk.length >= 6 ? chunk.subarray(-6) : Buffer.concat([this.tail, chunk]).subarray(-6)
      // ReadyForQuery, idle.
      if (this.tail.equals(READY)) this.done()
    })
  }

  static async open(subject: Subject): Promise<Drain> {
    const socket = connect(subject.port, '127.0.0.1')
    await new Promise((resolve, reject) => socket.once('connect', resolve).once('error', reject))
    const parameters = Buffer.from(`user\0${subject.user}\0database\0${subject.database}\0\0`)
    const head = Buffer.alloc(8)
    head.writeInt32BE(8 + parameters.length)
    head.writeInt32BE(196608, 4)
    socket.write(Buffer.concat([head, parameters]))
    await new Promise((resolve) => socket.once('data', resolve))
    const drain = new Drain(socket)
    await drain.send(0x70, `${subject.password}\0`)
    return drain
  }

  /** Nanoseconds until the whole answer is there. */
  async query(sql: string): Promise<number> {
    const started = process.hrtime.bigint()
    await this.send(0x51, `${sql}\0`)
    return Number(process.hrtime.bigint() - started)
  }

  private send(type: number, body: string): Promise<void> {
    const bytes = Buffer.from(body)
    const head = Buffer.alloc(5)
    head[0] = type
    head.writeInt32BE(4 + bytes.length, 1)
    return new Promise((resolve) => {
      this.done = resolve
      this.socket.write(Buffer.concat([head, bytes]))
    })
  }

  end(): void {
    this.socket.destroy()
  }
}

const READY = Buffer.from([0x5a, 0, 0, 0, 5, 0x49])
