/**
 * Runs the corpus at one MariaDB or MySQL direct and at another, made the same, through Custody, and compares what came back,
 * packet by packet with their headers: as text and in the binary protocol, as an old client, a modern one and the server's own.
 * What may differ is named in `greetingOf` and `normalised`; nothing else is let pass.
 */
import { join } from 'node:path'
import { openReader } from '@custody/event-log'
import { createTokenVerifier, issueToken, loadTokenKeys } from '@custody/identity'
import { parseConfiguration, prepareHome, silentLogger } from '@custody/kit'
import { createProxy } from '@custody/proxy'
import { decodeMessage, type Event, sha256, uuidText } from '@custody/schemas'
import {
  RAW_BULK,
  RAW_CAPABILITIES,
  RAW_DEPRECATE_EOF,
  RAW_EXTENDED_TYPES,
  RAW_QUERY_ATTRIBUTES,
  RAW_SESSION_TRACK,
  type RawAnswer,
  type RawLogin,
  RawMysql,
  type RawShape,
  startMysql,
  temporaryDirectory,
} from '@custody/test-support'
import { createConnection } from 'mysql2/promise'
import {
  MYSQL_LARGE,
  MYSQL_QUERIES,
  MYSQL_SEVERAL,
  MYSQL_TEMPLATE,
  MYSQL_TEMPLATE_OF_MYSQL,
  MYSQL_WITH_VALUES,
} from './mysql-cases'
import { around, type ParityOptions, type ParityResult } from './parity'

const CLIENTS: Readonly<Record<string, Partial<RawLogin>>> = {
  'an old client': {},
  'a modern client': { capabilities: RAW_CAPABILITIES | RAW_DEPRECATE_EOF | RAW_SESSION_TRACK },
  'MariaDB’s client': {
    capabilities: RAW_CAPABILITIES | RAW_DEPRECATE_EOF | RAW_SESSION_TRACK,
    mariadbCapabilities: RAW_BULK | RAW_EXTENDED_TYPES,
  },
  'a client of latin1': { collation: 8 },
}

const CLIENTS_OF_MYSQL: typeof CLIENTS = {
  ...Object.fromEntries(Object.entries(CLIENTS).filter(([name]) => !name.includes('MariaDB'))),
  'MySQL’s client': {
    capabilities: RAW_CAPABILITIES | RAW_DEPRECATE_EOF | RAW_SESSION_TRACK | RAW_QUERY_ATTRIBUTES,
    collation: 255,
  },
}

const LARGE_FOR = 'a modern client'

interface Sides {
  direct: RawMysql
  proxied: RawMysql
}

const COM = (type: number, payload: string | Buffer | number[] = []) =>
  Buffer.concat([Buffer.from([type]), Buffer.from(payload as string)])

export async function runMysqlParity(o: ParityOptions = {}): Promise<ParityResult> {
  const progress = o.progress ?? (() => {})
  const result: ParityResult = { cases: 0, different: 0, differences: [], untrue: 0, untruths: [] }
  const directory = temporaryDirectory('parity')
  const home = prepareHome(join(directory.path, 'home'))
  const settings = {
    'max-allowed-packet': '64M',
    'local-infile': '1',
    // Whether it was slow is in its status.
    'long-query-time': '3600',
    // InnoDB counts rows anew when it finds time to; `show index` and `explain` print what it found.
    'innodb-stats-persistent': '1',
    'innodb-stats-auto-recalc': '0',
  }
  const kind = o.server ?? 'mariadb'
  const isMysql = kind === 'mysql'
  const [one, other] = [await startMysql({ settings, kind }), await startMysql({ settings, kind })]
  let proxy: ReturnType<typeof createProxy> | undefined
  try {
    // The gateway looks at its targets when it starts.
    for (const server of [one, other]) await server.query('create database parity')
    const configuration = parseConfiguration(`
listen: {postgres: 0, mysql: 0, ssh: 0}
log: {reserveBytes: 65536}
resources:
  parity: ${other.resource({ database: 'parity', tls: 'disable', durability: 'os' })}
`)
    const { token } = await issueToken(await loadTokenKeys(home, 'local'), { subject: 'parity' })
    proxy = createProxy({
      configuration,
      home,
      verifier: await createTokenVerifier(home, configuration),
      logger: silentLogger(),
    })
    const { ports } = await proxy.start()
    const direct = { port: one.port, user: one.user, password: one.password, database: 'parity' }
    const proxied = { port: ports.mysql!, user: 'parity', password: token, database: 'parity' }

    /** What each session got, in the order in which they were opened. */
    const got: { name: string; packets: Buffer[] }[] = []
    const compared = (name: string, answers: [Buffer[], Buffer[]]) => {
      if (o.only && !name.includes(o.only)) return
      result.cases++
      if (result.cases % 100 === 0) progress(`${result.cases} cases, ${result.different} different`)
      const [first, second] = answers.map((packets) => Buffer.concat(packets))
      if (first!.equals(second!)) return
      result.different++
      result.differences.push({
        name,
        ...around(first!.toString('latin1'), second!.toString('latin1')),
      })
      progress(`different: ${name}`)
    }

    for (const [kind, login] of Object.entries(isMysql ? CLIENTS_OF_MYSQL : CLIENTS)) {
      for (const server of [one, other]) {
        await server.query(
          'drop database if exists parity; create database parity character set utf8mb4',
        )
        const maker = await server.connect({ database: 'parity' })
        await maker.query(isMysql ? MYSQL_TEMPLATE_OF_MYSQL : MYSQL_TEMPLATE)
        await maker.end()
      }
      const open = async () => {
        const sides = {
          direct: await RawMysql.connect({ ...direct, ...login }),
          proxied: await RawMysql.connect({ ...proxied, tls: true, ...login }),
        }
        got.push({ name: kind, packets: [] })
        return sides
      }
      const ask = async (
        { direct: plain, proxied: within }: Sides,
        name: string,
        how: (client: RawMysql) => Promise<RawAnswer>,
        shape?: RawShape,
      ): Promise<[RawAnswer, RawAnswer]> => {
        const answers = [await how(plain), await how(within)] as [RawAnswer, RawAnswer]
        got.at(-1)!.packets.push(...answers[1].packets)
        compared(`${name}, to ${kind}`, [
          normalised(answers[0], shape),
          normalised(answers[1], shape),
        ])
        return answers
      }
      const send: Send = (sides, name, payload, shape) =>
        ask(
          sides,
          name,
          (client) => {
            const said = typeof payload === 'function' ? payload(client) : payload
            return client.ask(said[0] === 3 ? client.text(said.subarray(1)) : said, shape)
          },
          shape,
        )
      const close = (sides: Sides) => {
        sides.direct.end()
        sides.proxied.end()
      }

      const withNames = isMysql && ((login.capabilities ?? 0) & RAW_QUERY_ATTRIBUTES) !== 0
      const text = await open()
      compared(`the greeting, to ${kind}`, [
        greetingOf(text.direct.greeting),
        greetingOf(text.proxied.greeting),
      ])
      const still = 'set timestamp = 1767225600.25'
      await send(text, 'a still clock', COM(3, still))
      for (const sql of [...MYSQL_QUERIES, ...MYSQL_SEVERAL])
        await send(text, `${named(sql)} as text`, COM(3, sql))
      if (kind === LARGE_FOR)
        for (const sql of MYSQL_LARGE) await send(text, `${named(sql)} as text`, COM(3, sql))
      await commands(text, send, ask)
      close(text)

      const binary = await open()
      await send(binary, 'a still clock', COM(3, still))
      const prepared = async (sql: string, execute: (id: number) => Buffer[]) => {
        const answers = await send(binary, `${named(sql)} prepared`, COM(0x16, sql), 'prepare')
        if (answers.some(({ error }) => error !== null)) return
        const id = idOf(binary, answers)
        for (const [i] of execute(0).entries())
          await send(binary, `${named(sql)} executed`, (client) => execute(id(client))[i]!)
        await send(binary, `${named(sql)} closed`, (client) => COM(0x19, u32(id(client))), 'none')
      }
      const large = kind === LARGE_FOR ? MYSQL_LARGE : []
      for (const sql of [...MYSQL_QUERIES, ...large])
        await prepared(sql, (id) => [executing(id, [], withNames)])
      for (const { sql, values } of MYSQL_WITH_VALUES)
        await prepared(sql, (id) => [
          executing(id, values, withNames),
          executing(id, values, withNames, false),
        ])
      close(binary)

      const odd = await open()
      await cursorsAndPieces(odd, send, login.mariadbCapabilities !== undefined, withNames)
      close(odd)
    }
    for (const [name, how] of Object.entries(DRIVERS)) {
      const [first, second] = [
        await how({ ...direct, ssl: undefined }),
        await how({ ...proxied, ssl: { rejectUnauthorized: false } }),
      ]
      compared(name, [[Buffer.from(first)], [Buffer.from(second)]])
    }
    await proxy.stop()
    proxy = undefined
    if (!o.only) result.untruths = await untruths(home.log, got)
    result.untrue = result.untruths.length
    return result
  } finally {
    await proxy?.stop()
    await one.stop()
    await other.stop()
    await directory.remove()
  }
}

/** What is sent to both; a function where it names what each numbers by itself. */
type Said = Buffer | ((client: RawMysql) => Buffer)
type Send = (
  sides: Sides,
  name: string,
  payload: Said,
  shape?: RawShape,
) => Promise<[RawAnswer, RawAnswer]>
type Ask = (
  sides: Sides,
  name: string,
  how: (client: RawMysql) => Promise<RawAnswer>,
) => Promise<unknown>

async function commands(sides: Sides, send: Send, ask: Ask): Promise<void> {
  await send(sides, 'a ping', COM(0x0e))
  await send(sides, 'another database by the protocol', COM(0x02, 'mysql'))
  await send(sides, 'where that is', COM(3, 'select database()'))
  await send(sides, 'no such database', COM(0x02, 'nowhere'))
  await send(sides, 'back again', COM(0x02, 'parity'))
  await send(sides, 'the fields of a table', COM(0x04, 'types\0'), 'fields')
  await send(sides, 'some fields of a table', COM(0x04, 'types\0t%'), 'fields')
  await send(sides, 'the fields of no table', COM(0x04, 'nothing\0'), 'fields')
  await send(sides, 'one statement at a time', COM(0x1b, [1, 0]), 'line')
  await send(sides, 'two where one may be', COM(3, 'select 1; select 2'))
  await send(sides, 'several statements again', COM(0x1b, [0, 0]), 'line')
  await send(sides, 'two where several may be', COM(3, 'select 1; select 2'))
  await send(
    sides,
    'an unknown prepared statement',
    COM(0x17, Buffer.concat([u32(4711), Buffer.from([0, 1, 0, 0, 0])])),
  )
  await send(sides, 'an unknown one that is reset', COM(0x1a, u32(4711)))
  await send(sides, 'an unknown one that is closed', COM(0x19, u32(4711)), 'none')
  const load = "load data local infile 'mine' into table empty_one"
  for (const [name, file] of [
    ['a file of the client', '100\tone\n101\ttwo\n102\n'],
    ['an empty file of the client', ''],
    ['a large file of the client', `${'103\tmany\n'.repeat(100_000)}`],
  ] as const)
    await ask(sides, name, (client) => client.query(load, Buffer.from(file)))
  await send(sides, 'what was loaded', COM(3, 'select a, count(*) from empty_one group by a'))
  await send(sides, 'a session that is reset', COM(0x1f))
  await send(sides, 'what is left of it', COM(3, 'select @a, @@sql_mode, database()'))
}

async function cursorsAndPieces(
  sides: Sides,
  send: Send,
  isMariadb: boolean,
  withNames: boolean,
): Promise<void> {
  const prepare = async (name: string, sql: string) => {
    return idOf(sides, await send(sides, `${name}, prepared`, COM(0x16, sql), 'prepare'))
  }
  const cursor = await prepare('a cursor', 'select id, note from pairs where id < 25')
  await send(sides, 'a cursor opened', (client) =>
    executing(cursor(client), [], withNames, true, 1),
  )
  for (const rows of [1, 10, 100])
    await send(
      sides,
      `${rows} of its rows`,
      (client) => COM(0x1c, Buffer.concat([u32(cursor(client)), u32(rows)])),
      'rows',
    )
  await send(sides, 'a cursor opened again', (client) =>
    executing(cursor(client), [], withNames, true, 1),
  )
  await send(sides, 'a cursor reset', (client) => COM(0x1a, u32(cursor(client))))
  await send(
    sides,
    'its rows, now gone',
    (client) => COM(0x1c, Buffer.concat([u32(cursor(client)), u32(5)])),
    'rows',
  )
  const none = await prepare('a cursor of nothing', 'select * from empty_one where a = -1')
  await send(sides, 'a cursor of nothing opened', (client) =>
    executing(none(client), [], withNames, true, 1),
  )
  await send(
    sides,
    'a cursor of nothing read',
    (client) => COM(0x1c, Buffer.concat([u32(none(client)), u32(5)])),
    'rows',
  )
  const writes = await prepare('a cursor of what writes', "update keyed set n = 3 where name = 'z'")
  await send(sides, 'a cursor of what writes opened', (client) =>
    executing(writes(client), [], withNames, true, 1),
  )

  const long = await prepare('a long value', 'select length(?), left(?, 3)')
  for (let i = 0; i < 5; i++)
    await send(
      sides,
      'a piece',
      (client) =>
        COM(
          0x18,
          Buffer.concat([u32(long(client)), Buffer.from([0, 0]), Buffer.alloc(100_000, 97 + i)]),
        ),
      'none',
    )
  await send(
    sides,
    'a piece of another',
    (client) =>
      COM(0x18, Buffer.concat([u32(long(client)), Buffer.from([1, 0]), Buffer.from('other')])),
    'none',
  )
  const values = [
    [0xfc, Buffer.alloc(0)],
    [0xfc, Buffer.alloc(0)],
  ] as const
  await send(sides, 'a long value executed', (client) => executing(long(client), values, withNames))
  await send(
    sides,
    'a piece that is forgotten',
    (client) =>
      COM(0x18, Buffer.concat([u32(long(client)), Buffer.from([0, 0]), Buffer.from('gone')])),
    'none',
  )
  await send(sides, 'a long value reset', (client) => COM(0x1a, u32(long(client))))
  if (!isMariadb) return
  const bulk = await prepare('many rows', 'insert into pairs values (?, ?)')
  const row = (id: number) => Buffer.from([0, id & 255, id >> 8, 0, 0, 0, 2, 0x62, 0x63])
  await send(sides, 'many rows at once', (client) =>
    COM(
      0xfa,
      Buffer.concat([
        u32(bulk(client)),
        Buffer.from([128, 0, 3, 0, 0xfd, 0]),
        row(2001),
        row(2002),
        row(2003),
      ]),
    ),
  )
  await send(sides, 'many rows, one there already', (client) =>
    COM(
      0xfa,
      Buffer.concat([
        u32(bulk(client)),
        Buffer.from([128, 0, 3, 0, 0xfd, 0]),
        row(2004),
        row(2001),
      ]),
    ),
  )
  await send(sides, 'what is there of them', COM(3, 'select * from pairs where id > 2000'))
}

/** Each side's number of what was prepared. */
function idOf(sides: Sides, answers: readonly RawAnswer[]): (client: RawMysql) => number {
  const [direct, proxied] = answers.map(({ packets }) => packets[0]!.readUInt32LE(5))
  return (client) => (client === sides.direct ? direct! : proxied!)
}

/**
 * An answer without what must differ: a server numbers prepared statements of all its sessions in one row, and tells the number
 * where it was made, and in errors about it. Settings that changed come in the order of a hash, which has more in it when
 * Custody asks for some as well.
 */
function normalised({ packets, error }: RawAnswer, shape?: RawShape): Buffer[] {
  if (shape === 'prepare' && error === null) {
    const first = Buffer.from(packets[0]!)
    first.writeUInt32LE(0, 5)
    return [first, ...packets.slice(1)]
  }
  const last = packets.at(-1)
  if (error === null) return packets.map(inOrder)
  const text = last?.toString('latin1', 4) ?? ''
  if (!/(statement|handler) \(\d+\)/.test(text)) return packets
  const without = text.replace(/(statement|handler) \(\d+\)/, '$1 (n)')
  return [...packets.slice(0, -1), last!.subarray(3, 4), Buffer.from(without, 'latin1')]
}

/** An OK packet with what it tells of the session in order; any other as it is. */
function inOrder(packet: Buffer): Buffer {
  const isOk = (packet[4] === 0 || packet[4] === 0xfe) && packet.length >= 20
  // affected and insert id of one byte each, as those have that tell of settings: then status and warnings.
  if (!isOk || packet[5] !== 0 || packet[6] !== 0 || (packet[8]! & 0x40) === 0) return packet
  const from = 4 + 7 + 1 + packet[11]! + 1
  if (packet[from - 1]! !== packet.length - from) return packet
  const entries: string[] = []
  for (let at = from; at < packet.length; ) {
    const end = at + 2 + packet[at + 1]!
    entries.push(packet.toString('latin1', at, end))
    at = end
  }
  return Buffer.concat([packet.subarray(0, from), Buffer.from(entries.sort().join(''), 'latin1')])
}

function u32(value: number): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32LE(value)
  return bytes
}

/**
 * COM_STMT_EXECUTE. `types`: they are sent with the values, as they must be the first time. `withNames`: where attributes were agreed
 * on, the number of values comes first, and each type has a name, here none.
 */
function executing(
  id: number,
  values: readonly (readonly [number, Buffer | null])[],
  withNames: boolean,
  types = true,
  flags = 0,
): Buffer {
  const head = COM(0x17, Buffer.concat([u32(id), Buffer.from([flags, 1, 0, 0, 0])]))
  if (values.length === 0) return head
  const count = withNames ? [Buffer.from([values.length])] : []
  const name = withNames ? [0] : []
  const nulls = Buffer.alloc((values.length + 7) >>> 3)
  for (const [i, [, value]] of values.entries()) if (value === null) nulls[i >> 3]! |= 1 << (i & 7)
  return Buffer.concat([
    head,
    ...count,
    nulls,
    Buffer.from([types ? 1 : 0]),
    ...(types ? values.map(([type]) => Buffer.from([type & 0xff, type >> 8, ...name])) : []),
    ...values.flatMap(([, value]) => (value === null ? [] : [value])),
  ])
}

/**
 * The greeting without what must differ: the number of the session and the scramble, which are of one connection, the plug-in and
 * its data's length, since a token comes by another, and what both sides can do, for the gateway offers TLS and compression by
 * itself and leaves out what it does not relay.
 */
function greetingOf(packet: Buffer): Buffer[] {
  const body = packet.subarray(4)
  const zero = body.indexOf(0)
  const rest = zero + 1 + 4 + 8 + 1 + 2
  return [packet.subarray(3, 4), body.subarray(0, zero + 1), body.subarray(rest, rest + 3)]
}

const DRIVERS: Readonly<Record<string, (login: object) => Promise<string>>> = Object.fromEntries(
  [true, false].flatMap((compress) =>
    ['query', 'execute'].map((way) => [
      `mysql2’s ${way}${compress ? ', compressed' : ''}`,
      async (login: object) => {
        const client = await createConnection({ ...login, host: '127.0.0.1', compress })
        try {
          const told: unknown[] = []
          for (const sql of [
            'select * from types',
            'select * from pairs where id < 300',
            "select repeat('x', 100000) as x",
            'select * from no_such_table',
          ])
            told.push(
              await client[way as 'query'](sql).then(
                ([rows]) => rows,
                (error: Error) => error.message,
              ),
            )
          return JSON.stringify(told)
        } finally {
          await client.end()
        }
      },
    ]),
  ),
)

/** Where the record is not what the client got: its output, put together, and each command's own bytes and digest. */
async function untruths(
  log: string,
  got: readonly { name: string; packets: Buffer[] }[],
): Promise<string[]> {
  const sessions = new Map<string, Event[]>()
  const reader = openReader({ directory: log, recorder: 'proxy-local' })
  for (let batch = await reader.read(8e6); batch; batch = await reader.read(8e6))
    for (const message of batch.messages) {
      const event = decodeMessage(message)
      if (!event.session) continue
      const id = uuidText(event.session)
      const events = sessions.get(id)
      if (events) events.push(event)
      else sessions.set(id, [event])
    }
  reader.close()
  const found: string[] = []
  const inOrder = [...sessions.values()]
  for (const [i, { name, packets }] of got.entries()) {
    const events = inOrder[i] ?? []
    const outputs = events.filter(({ output }) => output?.stream === 'output')
    const record = Buffer.concat(outputs.map(({ output }) => output!.data))
    const client = Buffer.concat(packets)
    if (!record.equals(client))
      found.push(
        `session ${i} (${name}): the client got ${client.length} bytes, the record has ${record.length}, first different at ${differsAt(client, record)}`,
      )
    for (const { kind, command, response } of events) {
      if (kind !== 'command.completed' || !response?.digest) continue
      const own = Buffer.concat(
        outputs.filter((one) => one.command?.equals(command!)).map(({ output }) => output!.data),
      )
      if (Number(response.bytes) !== own.length || !sha256(own).equals(response.digest))
        found.push(`a command of ${response.bytes} bytes has ${own.length} bytes of output`)
    }
  }
  return found
}

function differsAt(one: Buffer, other: Buffer): number {
  let at = 0
  while (at < one.length && one[at] === other[at]) at++
  return at
}

function named(sql: string): string {
  return sql.length > 100 ? `${sql.slice(0, 100)}…` : sql
}
