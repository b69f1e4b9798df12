/** The proxy with real clients against a real PostgreSQL; what it recorded is read back from the log. */
import { createHash } from 'node:crypto'
import { connect, type Socket } from 'node:net'
import { join } from 'node:path'
import { issueToken, loadTokenKeys, revokeToken } from '@custody/identity'
import { type Event, sha256 } from '@custody/schemas'
import { type PostgresServer, postgresUrl, psql, startPostgres } from '@custody/test-support'
import { Client } from 'pg'
import { proxyUnderTest } from './proxy-under-test'

let server: PostgresServer
let port: number
let token: string
const custody = proxyUnderTest('proxy')
const { events, home } = custody

beforeAll(async () => {
  server = await startPostgres({
    sql: 'create table customers(id int primary key, email text); insert into customers select i, i || $$@example.com$$ from generate_series(1, 1000) i',
  })
  const target = (settings: object = {}) =>
    server.resource({ tls: 'prefer', database: server.database, ...settings })
  token = await custody.token({ subject: 'ada', email: 'ada@example.com', groups: ['oncall'] })
  ;({ port } = await custody.start(`
limits: {handshakeMsMax: 1500, frameBytesMax: 1048576}
resources:
  shop: ${target()}
  quiet: ${target({ recording: 'digest' })}
  head: ${target({ recording: { head: 100 } })}
  gone: ${target({ address: '127.0.0.1:1' })}
`))
})

afterAll(async () => {
  await custody.stop()
  await server?.stop()
})

const url = (database: string, o: { user?: string; password?: string; sslmode?: string } = {}) =>
  postgresUrl({
    ...{ host: '127.0.0.1', port, user: 'ada', password: token, database, sslmode: 'require' },
    ...o,
  })

async function commandsOf(
  run: () => Promise<unknown>,
): Promise<{ started: Event; completed: Event }[]> {
  const before = (await events()).length
  await run()
  const fresh = (await events()).slice(before)
  return fresh
    .filter((event) => event.kind === 'command.started')
    .map((started) => ({
      started,
      completed: fresh.find(
        (event) => event.kind === 'command.completed' && event.command?.equals(started.id),
      )!,
    }))
}

async function withClient<T>(resource: string, use: (client: Client) => Promise<T>): Promise<T> {
  const client = new Client({
    host: '127.0.0.1',
    port,
    user: 'ada',
    password: token,
    database: resource,
  })
  await client.connect()
  try {
    return await use(client)
  } finally {
    await client.end()
  }
}

describe('psql', () => {
  test('gets the same answer as without Custody, and the statement, rows and digest are recorded', async () => {
    const sql = 'select id, email from customers order by id limit 3'
    const direct = await server.psql(['-c', sql])
    const [one] = await commandsOf(async () => {
      const through = await psql(url('shop'), ['-c', sql])
      expect(through.stderr).toBe('')
      expect(through.stdout).toBe(direct.stdout)
    })
    expect(one!.started.statement).toMatchObject({
      text: sql,
      interface: 'query',
      verbs: ['sql:select'],
      understood: true,
      objects: [{ kind: 'table', name: 'customers', verb: 'sql:select' }],
    })
    expect(one!.started.who).toMatchObject({ subject: 'ada', groups: ['oncall'], kind: 'human' })
    expect(one!.started.path).toMatchObject({
      resource: 'shop',
      protocol: 'postgres',
      clientTls: { version: 'TLSv1.3' },
    })
    expect(one!.completed.response).toMatchObject({
      status: 'ok',
      rows: 3,
      tag: 'SELECT 3',
      columns: [
        { name: 'id', type: 'int4' },
        { name: 'email', type: 'text' },
      ],
    })
    const output = one!.completed.output!
    expect(output.data.length).toBe(one!.completed.response!.bytes)
    expect(createHash('sha256').update(output.data).digest('hex')).toBe(
      one!.completed.response!.digest!.toString('hex'),
    )
    expect(output.data.includes('1@example.com')).toBe(true)
  })

  test('sslmode=verify-full works with the certificate of the first start', async () => {
    const result = await psql(
      `${url('shop', { sslmode: 'verify-full' })}&sslrootcert=${join(home.keys, 'tls.crt')}`,
      ['-Atc', 'select 7'],
    )
    expect(result).toMatchObject({ code: 0, stdout: '7\n' })
  })

  test('a string of several statements is recorded statement by statement', async () => {
    const found = await commandsOf(() =>
      psql(url('shop'), ['-c', "select 1; select 'é'; select 1/0; select 4"]),
    )
    expect(found.map((one) => one.started.statement!.text.trim())).toEqual([
      'select 1',
      "select 'é'",
      'select 1/0',
      'select 4',
    ])
    expect(found.map((one) => one.completed.response!.status)).toEqual([
      'ok',
      'ok',
      'error',
      'skipped',
    ])
    expect(found[2]!.completed.response).toMatchObject({
      code: '22012',
      message: 'division by zero',
    })
  })

  test('COPY in and out are recorded with what went through', async () => {
    const found = await commandsOf(() =>
      psql(
        url('shop'),
        ['-c', 'create temp table t(a int)', '-c', 'copy t from stdin', '-c', 'copy t to stdout'],
        { input: '1\n2\n3\n' },
      ),
    )
    expect(found[1]!.completed.response).toMatchObject({ tag: 'COPY 3' })
    expect(found[1]!.completed.response!.inputBytes).toBeGreaterThan(6)
    expect(found[2]!.completed.output!.data.includes('2\n')).toBe(true)
  })

  test.each([
    ['a token that is none', () => url('shop', { password: 'nonsense' }), 'CUSTODY-ACCESS-001'],
    ["somebody else's token", () => url('shop', { user: 'bob' }), 'CUSTODY-ACCESS-001'],
    ['an unknown resource', () => url('nowhere'), 'CUSTODY-ACCESS-002'],
    ['a dead target', () => url('gone'), 'CUSTODY-TARGET-001'],
  ])('%s is refused with a code, and the refusal is an event', async (_what, address, code) => {
    const result = await psql(address(), ['-c', 'select 1'])
    expect(result.code).toBe(2)
    expect(result.stderr).toContain(code)
    expect(result.stderr).not.toContain(server.password)
    expect(
      (await events()).filter((event) => event.kind === 'access.refused').at(-1)!.access,
    ).toMatchObject({ outcome: 'refused', code })
  })

  test('an expired and a revoked token are refused', async () => {
    const keys = await loadTokenKeys(home, 'local')
    const short = await issueToken(keys, { subject: 'ada', ttlSeconds: 1 })
    const revoked = await issueToken(keys, { subject: 'ada' })
    revokeToken(home, revoked.id)
    expect(
      (await psql(url('shop', { password: revoked.token }), ['-c', 'select 1'])).stderr,
    ).toContain('revoked')
    await new Promise((resolve) => setTimeout(resolve, 7000))
    expect(
      (await psql(url('shop', { password: short.token }), ['-c', 'select 1'])).stderr,
    ).toContain('expired')
  })
})

describe('drivers', () => {
  test.each([
    "create role clerk password 'correct horse'",
    "alter role clerk with login encrypted password 'correct horse'",
    "alter user clerk password = 'correct horse' nonsense",
  ])('a password is never recorded: %s', async (sql) => {
    const before = (await events()).length
    await withClient('shop', (client) => client.query(sql).catch(() => {}))
    const statement = (await events()).slice(before).find((event) => event.statement)!.statement!
    expect(statement.text).toBe(sql.replace("'correct horse'", "'[masked]'"))
  })

  test('bound parameters are recorded as they ran', async () => {
    const found = await commandsOf(() =>
      withClient('shop', (client) =>
        client.query('select email from customers where id = $1 and email like $2', [
          42,
          '%example%',
        ]),
      ),
    )
    expect(found[0]!.started.statement).toMatchObject({
      interface: 'execute',
      text: 'select email from customers where id = $1 and email like $2',
      parameters: [{ value: '42' }, { value: '%example%' }],
    })
    expect(found[0]!.completed.response).toMatchObject({ rows: 1 })
  })

  test('a named statement is resolved to its text each time it runs', async () => {
    const found = await commandsOf(() =>
      withClient('shop', async (client) => {
        for (const id of [1, 2, 3])
          await client.query({
            name: 'by-id',
            text: 'select email from customers where id = $1',
            values: [id],
          })
      }),
    )
    expect(found.map((one) => one.started.statement!.parameters[0]!.value)).toEqual(['1', '2', '3'])
    expect(new Set(found.map((one) => one.started.statement!.text))).toEqual(
      new Set(['select email from customers where id = $1']),
    )
    expect(found[2]!.completed.response!.columns).toMatchObject([{ name: 'email' }])
  })

  test('an error in the extended protocol leaves the session usable', async () => {
    await withClient('shop', async (client) => {
      await expect(client.query('select $1::int / 0', [1])).rejects.toMatchObject({ code: '22012' })
      await expect(client.query('selec $1', [1])).rejects.toMatchObject({ code: '42601' })
      expect((await client.query('select $1::text as a', ['ok'])).rows).toEqual([{ a: 'ok' }])
    })
  })

  test('a running command is cancelled by its own session only, and that is recorded', async () => {
    const found = await commandsOf(() =>
      withClient('shop', async (client) => {
        const sleeping = client.query('select pg_sleep(30)')
        setTimeout(() => cancelWithKey(client), 200)
        await expect(sleeping).rejects.toMatchObject({ code: '57014' })
      }),
    )
    expect(found[0]!.completed.response!.status).toBe('cancelled')
    expect((await events()).some((event) => event.kind === 'session.cancel')).toBe(true)
  })

  test('a large answer arrives whole, in order, and is recorded whole', async () => {
    const sql = "select i, repeat('x', 100) from generate_series(1, 20000) i"
    const [one] = await commandsOf(async () => {
      const rows = await withClient('shop', (client) => client.query(sql))
      expect(rows.rowCount).toBe(20000)
    })
    const all = await events()
    const pieces = all.filter(
      (event) => event.output?.stream === 'output' && event.command?.equals(one!.started.id),
    )
    const bytes = Buffer.concat(pieces.map((event) => event.output!.data))
    expect(pieces.map((event) => event.output!.offset)).toEqual(
      pieces.map((_, i) =>
        pieces.slice(0, i).reduce((sum, event) => sum + event.output!.data.length, 0),
      ),
    )
    expect(bytes.length).toBe(one!.completed.response!.bytes)
    expect(sha256(bytes).equals(one!.completed.response!.digest!)).toBe(true)
  })

  test('`digest` keeps no output, `head` the first bytes, and both say so', async () => {
    const [quiet] = await commandsOf(() =>
      withClient('quiet', (client) => client.query('select * from customers')),
    )
    expect(quiet!.completed.output).toBeNull()
    expect(quiet!.completed.response).toMatchObject({ rows: 1000, recordedBytes: 0 })
    const [head] = await commandsOf(() =>
      withClient('head', (client) => client.query('select * from customers limit 50')),
    )
    expect(head!.completed.response!.recordedBytes).toBe(100)
    expect(head!.completed.response!.bytes).toBeGreaterThan(100)
  })
})

describe('a session', () => {
  test('has ordinals without gaps and a closing event that counts them', async () => {
    await withClient('shop', (client) => client.query('select 1'))
    await new Promise((resolve) => setTimeout(resolve, 200))
    const bySession = new Map<string, Event[]>()
    for (const event of await events())
      if (event.session)
        bySession.set(event.session.toString('hex'), [
          ...(bySession.get(event.session.toString('hex')) ?? []),
          event,
        ])
    expect(bySession.size).toBeGreaterThan(5)
    for (const all of bySession.values()) {
      expect(all.map((event) => event.ordinal)).toEqual(all.map((_, i) => i))
      const last = all.at(-1)!
      expect(last.kind).toBe('session.closed')
      expect(last.lifecycle!.events).toBe(all.length)
    }
  })
})

describe('hostile and broken clients', () => {
  function raw(bytes: Buffer): Promise<string> {
    return new Promise((resolve) => {
      const socket: Socket = connect(port, '127.0.0.1', () => socket.write(bytes))
      let answer = ''
      socket.on('data', (chunk) => {
        answer += chunk.toString('latin1')
      })
      socket.on('error', () => {})
      socket.on('close', () => resolve(answer))
    })
  }

  test.each([
    ['garbage', Buffer.from('GET / HTTP/1.1\r\nHost: x\r\n\r\n')],
    ['a start-up packet that is too long', Buffer.from([0x7f, 0xff, 0xff, 0xff, 0, 3, 0, 0])],
    ['protocol version 2', Buffer.from([0, 0, 0, 8, 0, 2, 0, 0])],
    ['nothing, for too long', Buffer.alloc(0)],
  ])('%s ends with an error, not with a hang', async (_what, bytes) => {
    expect(await raw(bytes)).toMatch(/CUSTODY-(PG|ACCESS)-0/)
  })

  test('a message above frameBytesMax ends that session only', async () => {
    const result = await psql(url('shop'), ['-f', '-'], {
      input: `select length('${'x'.repeat(2_000_000)}');\n`,
    })
    expect(result.stderr).toContain('frameBytesMax')
    expect((await psql(url('shop'), ['-Atc', 'select 1'])).stdout).toBe('1\n')
  })
})

/** What libpq's PQcancel does: a second connection with the key that the first was given. */
function cancelWithKey(client: Client): void {
  const { processID, secretKey } = client as unknown as { processID: number; secretKey: number }
  const request = Buffer.alloc(16)
  request.writeInt32BE(16, 0)
  request.writeInt32BE(80877102, 4)
  request.writeInt32BE(processID, 8)
  request.writeInt32BE(secretKey, 12)
  const socket = connect(port, '127.0.0.1', () => socket.write(request))
  socket.on('error', () => {})
}
