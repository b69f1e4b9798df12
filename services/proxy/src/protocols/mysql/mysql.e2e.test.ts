/** The proxy with real clients against a real MariaDB; what it recorded is read back from the log. */
import { createHash } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Duplex } from 'node:stream'
import { type Event, sha256 } from '@custody/schemas'
import { type MysqlServer, mysql, startMysql } from '@custody/test-support'
import { createConnection as createMariadb } from 'mariadb'
import { type Connection, type ConnectionOptions, createConnection } from 'mysql2/promise'
import { proxyUnderTest } from '../postgres/proxy-under-test'

let server: MysqlServer
let port: number
let token: string
let token2: string
const custody = proxyUnderTest('proxy-mysql')
const { events, directory } = custody
const MiB = 1024 * 1024

beforeAll(async () => {
  server = await startMysql({
    logStatements: true,
    settings: { 'local-infile': '1', 'max-allowed-packet': '256M' },
    sql: `create table customers(id int primary key, email varchar(100));
      insert into customers select seq, concat(seq, '@example.com') from seq_1_to_1000;
      create table loaded(i int, t varchar(50));
      create procedure two() begin select 1 as a; select 2 as b; end;
      create procedure ansi() set session sql_mode = 'ANSI_QUOTES';
      create database other`,
  })
  const target = (settings: object = {}) => server.resource({ tls: 'prefer', ...settings })
  token = await custody.token({ subject: 'ada', email: 'ada@example.com', groups: ['oncall'] })
  token2 = await custody.token({ subject: 'bo' })
  const { ports } = await custody.start(`
limits: {handshakeMsMax: 5000}
resources:
  shop: ${target()}
  quiet: ${target({ recording: 'digest' })}
  head: ${target({ recording: { head: 100 } })}
  gone: ${target({ address: '127.0.0.1:1' })}
`)
  port = ports.mysql!
})

afterAll(async () => {
  await custody.stop()
  await server?.stop()
})

async function commandsOf(
  run: () => Promise<unknown>,
): Promise<{ started: Event; completed: Event; events: Event[] }[]> {
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
      events: fresh.filter((event) => event.command?.equals(started.id)),
    }))
}

/** All that the client was shown of it: one piece for each chunk that the target sent it in. */
const shownOf = ({ events }: { events: Event[] }): Buffer =>
  Buffer.concat(events.flatMap(({ output }) => (output ? [output.data] : [])))

const login = (o: object = {}) => ({ port, user: 'ada', password: token, database: 'shop', ...o })

async function withClient<T>(
  use: (client: Connection) => Promise<T>,
  o: ConnectionOptions = {},
): Promise<T> {
  const client = await createConnection({
    ...{ host: '127.0.0.1', port, user: 'ada', password: token, database: 'shop' },
    ssl: { rejectUnauthorized: false },
    multipleStatements: true,
    ...o,
  })
  try {
    return await use(client)
  } finally {
    await client.end()
  }
}

const textsOf = (found: { started: Event }[]) => found.map((one) => one.started.statement!.text)

describe('the mariadb client', () => {
  test('gets the same answer as without Custody, and the statement, rows and digest are recorded', async () => {
    const sql = 'select id, email from customers order by id limit 3'
    const direct = await server.mysql(['-e', sql])
    const found = await commandsOf(async () => {
      const through = await mysql(login(), ['--ssl', '-e', sql])
      expect(through).toEqual({ ...direct, stderr: '' })
    })
    const one = found.find(({ started }) => started.statement!.text === sql)!
    expect(one.started.statement).toMatchObject({
      ...{ text: sql, interface: 'query', verbs: ['sql:select'], understood: true },
      objects: [{ kind: 'table', name: 'customers', verb: 'sql:select' }],
    })
    expect(one.started.who).toMatchObject({ subject: 'ada', groups: ['oncall'], kind: 'human' })
    expect(one.started.path).toMatchObject({
      ...{ resource: 'shop', protocol: 'mysql', clientApplication: 'mysql' },
      clientTls: { version: 'TLSv1.3' },
    })
    expect(one.completed.response).toMatchObject({
      status: 'ok',
      rows: 3,
      columns: [
        { name: 'id', type: 'int', source: 'shop.customers.id' },
        { name: 'email', type: 'varchar', source: 'shop.customers.email' },
      ],
    })
    const shown = shownOf(one)
    expect(shown.length).toBe(one.completed.response!.bytes)
    expect(createHash('sha256').update(shown).digest('hex')).toBe(
      one.completed.response!.digest!.toString('hex'),
    )
    expect(shown.includes('1@example.com')).toBe(true)
  })

  test.each([
    ['a token that is none', { password: 'nonsense' }, 'CUSTODY-ACCESS-001'],
    ["somebody else's token", { user: 'bo' }, 'CUSTODY-ACCESS-001'],
    ['no token', { password: undefined }, 'CUSTODY-ACCESS-001'],
    ['an unknown resource', { database: 'nowhere' }, 'CUSTODY-ACCESS-002'],
    ['no resource', { database: undefined, user: 'bo' }, 'CUSTODY-MYSQL-002'],
    ['a dead target', { database: 'gone' }, 'CUSTODY-TARGET-001'],
  ])('%s is refused with a code, and the refusal is an event', async (_what, change, code) => {
    const given = { ...login(change), ...(code === 'CUSTODY-MYSQL-002' && { password: token2 }) }
    const result = await mysql(given, ['-e', 'select 1'])
    expect(result.code).toBe(1)
    expect(result.stderr).toContain(code)
    expect(result.stderr).not.toContain(server.password)
    expect(
      (await events()).filter((event) => event.kind === 'access.refused').at(-1)!.access,
    ).toMatchObject({ outcome: 'refused', code })
  })

  test('the target’s own refusal is the client’s', async () => {
    const { stderr } = await mysql(login({ database: 'shop/nowhere' }), ['-e', 'select 1'])
    expect(stderr).toContain("ERROR 1049 (42000): Unknown database 'nowhere'")
  })

  test('a file that it loads is recorded; one that no statement names is not asked for', async () => {
    const file = join(directory, 'rows.tsv')
    writeFileSync(file, '1\tone\n2\ttwo\n')
    const sql = `load data local infile '${file}' into table loaded`
    const [one] = (
      await commandsOf(async () => {
        const result = await mysql(login(), ['--local-infile=1', '-e', sql])
        expect(result.stderr).toBe('')
      })
    ).filter(({ started }) => started.statement!.text === sql)
    expect(one!.started.statement!.verbs).toContain('sql:copy-in')
    expect(one!.completed.response).toMatchObject({
      ...{ status: 'ok', rows: 2, inputBytes: 12 },
      inputDigest: sha256(Buffer.from('1\tone\n2\ttwo\n')),
    })
    expect(
      one!.events.find((event) => event.output?.stream === 'input')!.output!.data.toString(),
    ).toBe('1\tone\n2\ttwo\n')
    expect(await server.query('select count(*) as n from loaded')).toEqual([{ n: 2 }])
  })

  test('settings of Custody’s own behind the database’s name end here', async () => {
    const [one] = await commandsOf(() =>
      mysql(login({ database: 'shop?reason=INC-42' }), ['-e', 'select database()']),
    )
    expect(shownOf(one!).includes('shop')).toBe(true)
    expect(
      (await events()).filter((event) => event.kind === 'access.sign-in').at(-1)!.access!.reason,
    ).toBe('INC-42')
  })
})

describe('statements', () => {
  test('several in one text are recorded one by one, with their own answers', async () => {
    const found = await commandsOf(() =>
      withClient(async (client) => {
        await expect(
          client.query("select 1; select 'é'; select * from nowhere; select 4"),
        ).rejects.toMatchObject({ errno: 1146 })
      }),
    )
    expect(textsOf(found).map((text) => text.trim())).toEqual([
      'select 1',
      "select 'é'",
      'select * from nowhere',
      'select 4',
    ])
    expect(found.map((one) => one.completed.response!.status)).toEqual([
      ...['ok', 'ok', 'error', 'skipped'],
    ])
    expect(found.map((one) => one.started.statement!.index)).toEqual([0, 1, 2, 3])
    expect(found[2]!.completed.response).toMatchObject({ code: '42S02', tag: 'error 1146' })
  })

  test('a procedure’s results are all its own', async () => {
    const found = await commandsOf(() =>
      withClient(async (client) => {
        const [results] = await client.query('call two(); select 3 as c')
        expect((results as unknown[]).filter(Array.isArray)).toEqual([
          [{ a: 1 }],
          [{ b: 2 }],
          [{ c: 3 }],
        ])
      }),
    )
    expect(textsOf(found).map((text) => text.trim())).toEqual(['call two()', 'select 3 as c'])
    expect(shownOf(found[0]!).includes('b')).toBe(true)
    expect(found[1]!.completed.response!.columns).toMatchObject([{ name: 'c' }])
  })

  test('bound parameters are recorded as they ran, each time', async () => {
    const found = await commandsOf(() =>
      withClient(async (client) => {
        for (const id of [1, 2, 3])
          await client.execute('select email from customers where id = ? and email like ?', [
            id,
            '%example%',
          ])
      }),
    )
    expect(found).toHaveLength(3)
    for (const [i, { started, completed }] of found.entries()) {
      expect(started.statement).toMatchObject({
        interface: 'execute',
        text: 'select email from customers where id = ? and email like ?',
        parameters: [{ value: String(i + 1) }, { value: '%example%' }],
      })
      expect(completed.response).toMatchObject({ rows: 1, columns: [{ name: 'email' }] })
    }
  })

  test('what is sent in pieces, in bulk, and fetched by cursor', async () => {
    const client = await createMariadb({
      ...{ host: '127.0.0.1', port, user: 'ada', password: token, database: 'shop' },
      ssl: { rejectUnauthorized: false },
    })
    const found = await commandsOf(async () => {
      await client.query('create or replace table bulk(a int, b varchar(20))')
      await client.batch('insert into bulk values (?, ?)', [
        [1, 'x'],
        [2, null],
      ])
      expect(await client.query('select * from bulk')).toEqual([
        { a: 1, b: 'x' },
        { a: 2, b: null },
      ])
    })
    await client.end()
    expect(found[1]!.started.statement).toMatchObject({
      interface: 'bulk-execute',
      parameters: [{ value: '1' }, { value: 'x' }, { value: '2' }, { value: null }],
      attributes: { rows: '2' },
    })
  })

  test('PREPARE and EXECUTE say what they run', async () => {
    const found = await commandsOf(() =>
      withClient((client) =>
        client.query("prepare s from 'delete from loaded where i = 99'; execute s"),
      ),
    )
    expect(found[1]!.started.statement!.verbs).toEqual(
      expect.arrayContaining(['sql:execute', 'sql:delete']),
    )
    expect(found[1]!.started.statement!.understood).toBe(true)
  })

  test('sql_mode is followed, wherever it is set', async () => {
    const found = await commandsOf(() =>
      withClient(async (client) => {
        await client.query("set sql_mode = 'ANSI_QUOTES'")
        await client.query('select "email" from customers limit 1')
        await client.query('set sql_mode = default')
        await client.query('select "email" from customers limit 1')
        await client.query('call ansi()')
        await client.query('select "email" from customers limit 1')
      }),
    )
    const selects = found.filter(({ started }) => started.statement!.text.startsWith('select'))
    const shown = selects.map(({ completed }) => completed.response!.columns[0]!.source)
    expect(shown[0]).toBe('shop.customers.email')
    expect(shown[1]).toBeNull()
    // By the fingerprint one sees as what it was read; a procedure’s setting ends with it.
    const prints = selects.map(({ started }) => started.statement!.fingerprint)
    expect(prints[0]).not.toBe(prints[1])
    expect(prints[2]).toBe(shown[2] === null ? prints[1] : prints[0])
  })

  test('what was prepared under another sql_mode is not taken for what it was', async () => {
    const found = await commandsOf(() =>
      withClient(async (client) => {
        const plain = await client.prepare('select id from customers where id = 1')
        const quoted = await client.prepare('select "email" from customers where id = 1')
        await client.query(`prepare s from 'select "email" from customers'`)
        await client.query("set sql_mode = 'ANSI_QUOTES'")
        await plain.execute([])
        await quoted.execute([])
        await client.query('execute s')
      }),
    )
    expect(found.slice(-3).map(({ started }) => started.statement!.understood)).toEqual([
      ...[true, false, false],
    ])
  })

  test('texts in another character set are recorded readable', async () => {
    const [one] = (
      await commandsOf(() =>
        withClient((client) => client.query("select 'ä' as a"), { charset: 'latin1' }),
      )
    ).filter(({ started }) => started.statement!.text.startsWith('select'))
    expect(one!.started.statement!.text).toBe("select 'ä' as a")
  })

  test.each([
    "create user clerk identified by 'correct horse'",
    "alter user nobody@localhost identified by 'correct horse'",
    "set password for nobody = password('correct horse')",
    "create user 'x' identified by 'correct horse' nonsense",
  ])('a password is never recorded: %s', async (sql) => {
    const before = (await events()).length
    await withClient((client) => client.query(sql).catch(() => {}))
    const all = (await events()).slice(before)
    expect(all.filter((event) => event.statement).length).toBeGreaterThan(0)
    for (const event of all)
      expect(JSON.stringify(event.statement?.text ?? '')).not.toContain('correct horse')
  })

  test('commands of the protocol are recorded as what they are', async () => {
    const found = await commandsOf(() =>
      withClient(async (client) => {
        await client.ping()
        await client.changeUser({ user: 'ada', password: token, database: 'shop/other' })
        expect((await client.query('select database() as d'))[0]).toEqual([{ d: 'other' }])
        await (client as unknown as { reset(): Promise<void> }).reset?.()
      }),
    )
    expect(textsOf(found)).toContain('select database() as d')
  })
})

describe('large', () => {
  test('an answer arrives whole, in order, and is recorded whole', async () => {
    const sql = "select seq, repeat('x', 100) from seq_1_to_20000"
    const [one] = await commandsOf(() =>
      withClient(async (client) => {
        const [rows] = await client.query(sql)
        expect(rows).toHaveLength(20_000)
      }),
    )
    const pieces = one!.events.filter((event) => event.output?.stream === 'output')
    const bytes = Buffer.concat(pieces.map((event) => event.output!.data))
    expect(bytes.length).toBe(one!.completed.response!.bytes)
    expect(sha256(bytes).equals(one!.completed.response!.digest!)).toBe(true)
    expect(one!.completed.response).toMatchObject({ rows: 20_000 })
  })

  test('packets over 16 MB go both ways', async () => {
    const bytes = 17 * MiB
    const [sent, got] = (
      await commandsOf(async () => {
        const o = { input: `select length('${'y'.repeat(bytes)}');` }
        const args = ['--max-allowed-packet=200M', '-N']
        expect((await mysql(login({ database: 'quiet' }), args, o)).stdout).toBe(`${bytes}\n`)
        const result = await mysql(login({ database: 'quiet' }), [
          ...args,
          ...['-e', `select repeat('z', ${bytes})`],
        ])
        expect(result.stdout.length).toBe(bytes + 1)
      })
    ).filter(({ started }) => /length|repeat/.test(started.statement!.text))
    expect(sent!.started.statement!.textBytes).toBe(bytes + 17)
    expect(got!.completed.response!.bytes).toBeGreaterThan(bytes)
    expect(got!.completed.response!.rows).toBe(1)
  })

  test('`digest` keeps no output, `head` the first bytes, and both say so', async () => {
    const [quiet] = await commandsOf(() =>
      withClient((client) => client.query('select * from customers'), { database: 'quiet' }),
    )
    expect(quiet!.completed.output).toBeNull()
    expect(quiet!.completed.response).toMatchObject({ rows: 1000, recordedBytes: 0 })
    const [head] = await commandsOf(() =>
      withClient((client) => client.query('select * from customers limit 50'), {
        database: 'head',
      }),
    )
    expect(head!.completed.response!.recordedBytes).toBe(100)
    expect(head!.completed.response!.bytes).toBeGreaterThan(100)
  })

  test('compressed, the answer is the same and recorded as it is inside', async () => {
    const sql = 'select * from customers order by id'
    const [plain] = (await commandsOf(() => mysql(login(), ['-e', sql]))).slice(-1)
    const [packed] = (
      await commandsOf(async () => {
        const through = await mysql(login(), ['--compress', '-e', sql])
        expect(through.stdout).toBe((await server.mysql(['-e', sql])).stdout)
      })
    ).slice(-1)
    expect(packed!.completed.response!.digest).toEqual(plain!.completed.response!.digest)
  })
})

describe('whose session it is', () => {
  test('another sign-in within it must be the same person’s, for the same resource', async () => {
    for (const [change, message] of [
      [{ user: 'bo', password: token2, database: 'shop' }, 'CUSTODY-MYSQL-009'],
      [{ user: 'ada', password: 'nonsense', database: 'shop' }, 'CUSTODY-ACCESS-001'],
      [{ user: 'ada', password: token, database: 'quiet' }, 'CUSTODY-MYSQL-009'],
    ] as const) {
      const client = await createConnection({
        ...{ host: '127.0.0.1', port, user: 'ada', password: token, database: 'shop' },
        ssl: { rejectUnauthorized: false },
      })
      client.on('error', () => {})
      await expect(client.changeUser(change)).rejects.toThrow(message)
      client.destroy()
    }
    expect(
      (await events())
        .filter((event) => event.access?.action === 'change-user')
        .map((event) => event.access!.outcome),
    ).toEqual(expect.arrayContaining(['success', 'refused']))
  })

  test('only one’s own sessions can be killed, by our number and by the target’s', async () => {
    await withClient(async (victim) => {
      const { threadId } = victim
      const [[{ id }]] = (await victim.query('select connection_id() as id')) as unknown as [
        [{ id: number }],
      ]
      expect(threadId).toBeGreaterThan(0x3fffffff)
      await withClient(
        async (stranger) => {
          for (const number of [threadId, id])
            await expect(stranger.query(`kill query ${number}`)).rejects.toMatchObject({
              errno: 1094,
            })
          await expect(stranger.query(`kill user owner`)).rejects.toThrow('CUSTODY-MYSQL-008')
          await expect(stranger.query(`kill ${id} + 0`)).rejects.toThrow('CUSTODY-MYSQL-008')
          await expect(stranger.execute(`kill ${id}`)).rejects.toThrow('CUSTODY-MYSQL-008')
        },
        { user: 'bo', password: token2 },
      )
      for (const number of [threadId, id]) {
        const [slept] = await commandsOf(async () => {
          const sleeping = victim.query('select sleep(30)')
          const failed = expect(sleeping).rejects.toMatchObject({ errno: 1317 })
          await withClient(async (own) => {
            for (;;) {
              const [rows] = (await own.query(
                "select 1 from information_schema.processlist where info = 'select sleep(30)'",
              )) as unknown as [unknown[]]
              if (rows.length > 0) break
            }
            await own.query(`kill query ${number}`)
          })
          await failed
        })
        expect(slept!.completed.response).toMatchObject({ status: 'cancelled', code: '70100' })
      }
    })
    expect((await events()).filter((event) => event.kind === 'session.cancel').length).toBe(2)
  })

  test.each([
    ['COM_BINLOG_DUMP', [0x12, 4, 0, 0, 0, 0, 0, 1, 0, 0, 0], 'CUSTODY-MYSQL-007'],
    ['COM_REGISTER_SLAVE', [0x15, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0], 'CUSTODY-MYSQL-007'],
    ['COM_TABLE_DUMP', [0x13, 1, 97, 1, 97], 'CUSTODY-MYSQL-006'],
    ['a command that there is not', [0x77], 'CUSTODY-MYSQL-006'],
  ])('%s is refused, and the session goes on', async (_what, bytes, code) => {
    await withClient(async (client) => {
      const { stream } = (client as unknown as { connection: { stream: Duplex } }).connection
      const listeners = stream.listeners('data')
      stream.removeAllListeners('data')
      const said = new Promise<Buffer>((resolve) => stream.once('data', resolve))
      stream.write(Buffer.from([bytes.length, 0, 0, 0, ...bytes]))
      const answer = (await said).toString('latin1')
      for (const listener of listeners) stream.on('data', listener as () => void)
      expect(answer).toContain(code)
      expect((await client.query('select 1 as n'))[0]).toEqual([{ n: 1 }])
    })
    expect(
      (await events()).filter(({ kind }) => kind === 'command.blocked').length,
    ).toBeGreaterThan(0)
  })
})

describe('a session', () => {
  test('has ordinals without gaps and a closing event that counts them', async () => {
    await withClient((client) => client.query('select 1'))
    await new Promise((resolve) => setTimeout(resolve, 300))
    const bySession = new Map<string, Event[]>()
    for (const event of await events())
      if (event.session) {
        const key = event.session.toString('hex')
        bySession.set(key, [...(bySession.get(key) ?? []), event])
      }
    expect(bySession.size).toBeGreaterThan(5)
    for (const all of bySession.values()) {
      expect(all.map((event) => event.ordinal)).toEqual(all.map((_, i) => i))
      expect(all.at(-1)!.kind).toBe('session.closed')
    }
  })

  test('every statement in the target’s own log has its event, text by text', async () => {
    const marked = (i: number) => `select ${i} /* marked */`
    await withClient(async (client) => {
      for (let i = 0; i < 50; i++) await client.query(marked(i))
      for (let i = 50; i < 60; i++) await client.execute(marked(i))
    })
    const recorded = (await events())
      .filter(({ kind }) => kind === 'command.started')
      .map(({ statement }) => statement!.text)
    const ran = [...server.log().matchAll(/\b(?:Query|Execute)\t(select \d+ \/\* marked \*\/)/g)]
    expect(ran).toHaveLength(60)
    for (const [, text] of ran) expect(recorded).toContain(text)
  })
})
