/**
 * Masking on the wire: real clients and a real PostgreSQL; what the client gets, what is recorded of it, and that everything
 * else passes as it was. That nothing leaks is for `npm run canary` to show; here is what each setting does.
 */
import type { EventEmitter } from 'node:events'
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net'
import { join } from 'node:path'
import { openRecorder, type Recorder } from '@custody/event-log'
import type { Event } from '@custody/schemas'
import { type PostgresServer, postgresUrl, psql, startPostgres } from '@custody/test-support'
import { Client, type ClientConfig, type QueryConfig } from 'pg'
import { proxyUnderTest } from './proxy-under-test'

const custody = proxyUnderTest('masking')
const { events, home } = custody
const policyFile = join(custody.directory, 'reveal.cedar')
let server: PostgresServer
let people: Recorder
let cutter: Server
let port: number
let tokens: Record<string, string>

const CARD = '4111 1111 1111 1111'
const FIXTURE = `
create table customers(id int primary key, name text, email text unique, card text, born date, balance numeric, tags text[], note text, town text);
insert into customers values
  (1, 'Ada Quillfeather', 'ada.q@example.com', '${CARD}', '1984-03-17', 1234.56, '{vip,"old friend"}', 'call +34 612 345 678', 'Leeds'),
  (2, 'Bo Marrowgate', 'bo.m@example.com', '5500005555555559', '1990-11-02', 99, null, 'nothing', 'York');
create table log(id int primary key, line text);
insert into log values (0, 'plain');
create view people as select id, upper(name) as loud, town from customers;
create role clerk;
comment on column customers.town is 'where they live; custody:place';
create function whisper() returns text language sql as 'select name from public.customers where id = 1';
create function shout() returns int language plpgsql as $$begin raise notice 'it is %', (select name from public.customers where id = 1); return 1; end$$;
`

beforeAll(async () => {
  server = await startPostgres({ sql: FIXTURE })
  tokens = {
    ada: await custody.token({ subject: 'ada', email: 'ada@example.com' }),
    dev: await custody.token({ subject: 'dev', groups: ['support'] }),
    eve: await custody.token({ subject: 'eve', groups: ['fraud'] }),
    ian: await custody.token({ subject: 'ian', groups: ['incident'] }),
  }
  require('node:fs').writeFileSync(
    policyFile,
    `
@id("all") permit (principal, action, resource);
@id("fraud-sees-names") permit (principal in Group::"fraud", action == Action::"data:reveal", resource)
when { context has object && context.object.name == "public.customers.name" };
@id("incident-sees") @reason("clear names in an incident") @expires("30s") @remember("session 10m")
permit (principal in Group::"incident", action == Action::"data:reveal", resource) when { context.approved };
`,
  )
  const target = server.resource({ database: server.database })
  cutter = await startCutter(server.port)
  const cutAddress = `127.0.0.1:${(cutter.address() as AddressInfo).port}`
  ;({ port } = await custody.start(`
policy: {files: [${policyFile}]}
masking:
  key: {literal: 'a key for tests alone'}
  rules:
    - {id: names, columns: ['customers.name']}
    - {id: emails, columns: ['*.email'], action: partial, groups: [support]}
    - {id: emails-else, columns: ['*.email'], action: hash}
    - {id: cards, columns: ['public.customers.card'], action: 'null'}
    - {id: births, columns: ['*.born'], action: truncate, to: year, predicates: forbid}
    - {id: money, columns: ['*.balance'], predicates: report}
    - {id: tags, columns: ['*.tags']}
    - {id: places, tagged: [place], resources: [strict], action: drop-row}
resources:
  shop: ${target}
  strict: ${target}
  cut: ${server.resource({ database: server.database, address: cutAddress, tls: 'disable' })}
`))
  people = await openRecorder({ directory: home.log, recorder: 'query-local', reserveBytes: 0 })
})

afterAll(async () => {
  await people?.close()
  await custody.stop()
  cutter?.close()
  await server?.stop()
})

/** Before the target: what it says arrives in pieces of 1 to 13 bytes, each by itself. */
async function startCutter(port: number): Promise<Server> {
  const listener = createServer((socket) => {
    const target = connect(port, '127.0.0.1')
    socket.pipe(target)
    let pieceBytes = 0
    const waiting: Buffer[] = []
    const next = () => {
      const piece = waiting.shift()
      if (piece === undefined) return
      socket.write(piece, () => setImmediate(next))
    }
    socket.setNoDelay(true)
    target.on('data', (data: Buffer) => {
      const isIdle = waiting.length === 0
      for (let at = 0; at < data.length; at += pieceBytes) {
        pieceBytes = (pieceBytes % 13) + 1
        waiting.push(data.subarray(at, at + pieceBytes))
      }
      if (isIdle) next()
    })
    for (const one of [socket, target]) one.on('error', () => {})
    socket.on('close', () => target.destroy())
    target.on('close', () => socket.end())
  })
  await new Promise<void>((resolve) => listener.listen(0, '127.0.0.1', resolve))
  return listener
}

async function withClient<T>(
  use: (client: Client, notices: string[]) => Promise<T>,
  user = 'ada',
  more: ClientConfig = {},
): Promise<T> {
  const client = new Client({
    host: '127.0.0.1',
    port,
    user,
    password: tokens[user],
    database: 'shop',
    ...more,
  })
  const notices: string[] = []
  client.on('notice', (notice) => notices.push(notice.message ?? ''))
  client.on('error', () => {})
  await client.connect()
  try {
    return await use(client, notices)
  } finally {
    await client.end().catch(() => {})
  }
}

const ask = (sql: string, user = 'ada', more: ClientConfig = {}) =>
  withClient(async (client) => (await client.query(sql)).rows, user, more)

const failure = async (sql: string, user = 'ada') =>
  withClient((client) => client.query(sql), user).then(
    () => null,
    (error: { code: string; message: string; detail?: string; hint?: string }) => error,
  )

async function after<T>(action: () => Promise<T>): Promise<{ result: T; events: Event[] }> {
  const before = (await events()).length
  const result = await action()
  return { result, events: (await events()).slice(before) }
}

test('each action, by the first rule that fits who asks', async () => {
  const [row] = await ask('select * from customers where id = 1')
  expect(row).toMatchObject({
    id: 1,
    name: '[masked]',
    email: expect.stringMatching(/^msk_/),
    card: null,
    balance: null,
    note: 'call [masked]',
    town: 'Leeds',
  })
  expect(row.born.getFullYear()).toBe(1984)
  expect(row.born.getMonth()).toBe(0)
  const [forSupport] = await ask('select email from customers where id = 1', 'dev')
  expect(forSupport.email).toMatch(/^[*.]+e\.com$/)
})

test('a command that starts while another is answered takes none of its counts', async () => {
  const { events: own } = await after(() =>
    withClient(async (client) => {
      // The driver sends nothing before an answer is over; what is beneath it does.
      const { connection } = client as unknown as {
        connection: EventEmitter & { query(sql: string): void }
      }
      for (const name of connection.eventNames())
        if (!['message', 'error', 'end'].includes(String(name))) connection.removeAllListeners(name)
      const ready = new Promise<void>((resolve) => {
        let left = 2
        connection.on('readyForQuery', () => --left || resolve())
      })
      // What PostgreSQL gathers before it sends is filled by the third row, and there is a fourth.
      const slow = `select name, repeat('-', 20000), (select count(*) from generate_series(1, late * 2000000))
        from (select name, n * (id - 1) as late from generate_series(0, 1) n, customers order by n, id offset 0) c`
      connection.once('dataRow', () => connection.query('select town, 1 as behind from customers'))
      connection.query(slow)
      await ready
    }),
  )
  const ofClient = own.filter(({ session }) => session?.equals(own.at(-1)!.session!))
  const [first, second] = ofClient.filter(({ kind }) => kind === 'command.started')
  expect([first?.masks ?? [], second?.masks ?? []]).toEqual([[], []])
  const [slow, behind] = ofClient.filter(({ kind }) => kind === 'command.completed')
  expect(second!.sequence).toBeLessThan(slow!.sequence)
  expect(slow!.masks).toEqual([expect.objectContaining({ rule: 'names', count: 4 })])
  expect(behind!.masks ?? []).toEqual([])
})

test('what was masked is counted, and the values are nowhere', async () => {
  const { events: own } = await after(() =>
    ask('select name, card, note from customers order by id'),
  )
  const completed = own.findLast(({ kind }) => kind === 'command.completed')!
  expect(completed.masks).toEqual(
    expect.arrayContaining([
      expect.objectContaining({
        rule: 'names',
        column: 'public.customers.name',
        action: 'redact',
        count: 2,
      }),
      expect.objectContaining({
        rule: 'cards',
        column: 'public.customers.card',
        action: 'null',
        count: 2,
      }),
      expect.objectContaining({ rule: 'detectors', detector: 'phone', count: 1 }),
    ]),
  )
  const text = JSON.stringify(own, (_, value) =>
    typeof value === 'bigint'
      ? String(value)
      : Buffer.isBuffer(value)
        ? value.toString('latin1')
        : value,
  )
  expect(text).not.toContain('Quillfeather')
  expect(text).not.toContain('612 345')
})

test.each([
  'select upper(name) as x from customers',
  'select loud as x from people',
  'select x from (select name || $$!$$ as x from customers) s',
  'with c as (select name from customers) select name as x from c union all select note from customers where false',
  'select array_to_string(array_agg(name), $$ $$) as x from customers',
  'select row_to_json(c)::text as x from customers c',
  'select c::text as x from customers c',
  'select whisper() as x',
  'select (select name from customers limit 1) as x',
])('wherever it comes from: %s', async (sql) => {
  const rows = await ask(sql)
  expect(rows.length).toBeGreaterThan(0)
  expect(JSON.stringify(rows)).not.toMatch(/quillfeather|marrowgate/i)
})

test.each([
  ['select count(*)::int as x from customers', 2],
  ['select town as x from customers where id = 1', 'Leeds'],
  ['select id + 1 as x from customers where id = 1', 2],
  ["select 'a' || 'b' as x", 'ab'],
  ['select l.id as x from customers c left join log l on l.id = c.id limit 1', null],
  ['select exists(select 1 from customers) as x', true],
  ['select max(id)::int as x from people', 2],
  ['show server_version_num', undefined],
  ['select l as x from log l where id = 0', '(0,plain)'],
  ["prepare p as select id || '!' as x from log where id = 0; execute p; execute p", '0!'],
])('what comes from elsewhere is left alone: %s', async (sql, x) => {
  const [row] = await withClient(async (client) => {
    const results = await client.query(sql as string)
    return (Array.isArray(results) ? results.at(-1) : results).rows
  })
  if (x !== undefined) expect(row.x).toEqual(x)
})

test('what PostgreSQL keeps of itself is left alone, but for what it keeps of values', async () => {
  const url = `postgresql://ada:${tokens.ada}@127.0.0.1:${port}/shop?sslmode=require`
  for (const [command, shown] of [
    ['\\d log', 'line'],
    ['\\d+ people', 'loud'],
    ['\\dt', 'customers'],
    ['\\l', 'template0'],
  ]) {
    const { stdout, code } = await psql(url, ['-c', command!])
    expect([command, code]).toEqual([command, 0])
    expect(stdout).toContain(shown)
    expect(stdout).not.toContain('[masked]')
  }
  await server.query('analyze customers')
  const { stdout } = await psql(url, [
    '-c',
    `select histogram_bounds, most_common_vals from pg_stats where tablename = 'customers'`,
  ])
  expect(stdout).not.toMatch(/quill|marrow/i)
})

test('prepared, in binary, with and without a description', async () => {
  await withClient(async (client) => {
    const { rows } = await client.query({
      name: 'one',
      text: 'select id, name, email, born, balance, tags from customers where id = $1',
      values: [1],
    })
    expect(rows[0]).toMatchObject({ id: 1, name: '[masked]', balance: null })
    expect(JSON.stringify(rows)).not.toMatch(/quill|vip|1234/i)
    const asked: QueryConfig & { binary: boolean } = {
      text: 'select name, born, tags, id from customers',
      binary: true,
    }
    const binary = await client.query(asked)
    expect(JSON.stringify(binary.rows)).not.toMatch(/quill|vip/i)
    expect((binary.rows[0] as { id: number }).id).toBe(1)
  })
})

test('COPY out: text, CSV and of a query', async () => {
  const url = `postgresql://ada:${tokens.ada}@127.0.0.1:${port}/shop?sslmode=require`
  for (const sql of [
    'copy customers to stdout',
    'copy customers (id, name, note) to stdout with (format csv, header)',
    'copy (select name, id from customers) to stdout',
    'copy customers to stdout with (format binary)',
    'copy customers to stdout (format csv, header 0)',
    "copy customers to stdout (format csv, header 'OFF')",
    "copy customers to stdout (format csv, delimiter 0, header 'False')",
  ]) {
    const { stdout, code } = await psql(url, ['-c', sql])
    expect(code).toBe(0)
    expect(stdout).not.toMatch(/quill|marrow|612 345|4111/i)
  }
  const { stdout } = await psql(url, [
    '-c',
    'copy customers (id, name, town) to stdout with (format csv, header)',
  ])
  expect(stdout).toBe('id,name,town\n1,[masked],Leeds\n2,[masked],York\n')
})

test('a COPY that can’t be followed ends the session with a code of masking', async () => {
  for (const sql of ['copy customers to stdout', 'copy customers from stdin']) {
    const { result, events: own } = await after(() =>
      withClient(async (client) => {
        await client.query("set client_encoding to 'SJIS'")
        const copying = client.query(sql)
        // pg's own types leave out what it has for COPY.
        const { connection } = client as unknown as {
          connection: { sendCopyFromChunk(chunk: Buffer): void }
        }
        if (sql.endsWith('stdin')) connection.sendCopyFromChunk(Buffer.from('3\tCy Thornberry\n'))
        return copying.then(
          () => null,
          (error) => error,
        )
      }),
    )
    expect([sql, result]).toEqual([
      sql,
      expect.objectContaining({ code: '42501', hint: 'CUSTODY-MASK-004' }),
    ])
    expect(own.map(({ lifecycle }) => lifecycle?.reason)).toContain(
      'a COPY with masked columns is not followed in SJIS',
    )
  }
  expect((await server.query('select count(*) from customers')).rows[0].count).toBe('2')
})

test('what psql asks of the catalogue is as it was', async () => {
  const url = `postgresql://ada:${tokens.ada}@127.0.0.1:${port}/shop?sslmode=require`
  const { user, password, database } = server
  for (const command of [
    '\\d',
    '\\d+ customers',
    '\\d people',
    '\\dt+',
    '\\df',
    '\\du',
    '\\dn+',
    '\\l',
    '\\dx',
    '\\dT',
    '\\sf whisper',
    '\\dp',
    '\\di+',
    '\\dd',
    '\\sv people',
  ]) {
    const through = await psql(url, ['-c', command])
    const direct = await psql(
      postgresUrl({ host: '127.0.0.1', port: server.port, user, password, database }),
      ['-c', command],
    )
    expect([command, through.stdout, through.stderr]).toEqual([
      command,
      direct.stdout,
      direct.stderr,
    ])
  }
})

test('however the target’s bytes are cut, it comes to the same', async () => {
  const all = async (database: string) => {
    const answers: unknown[] = []
    await withClient(
      async (client) => {
        for (const sql of [
          'select * from customers order by id',
          'select id, upper(name), note, town from customers order by id',
          'select c from customers c order by id',
          'select name::int from customers',
        ])
          answers.push(
            await client.query({ text: sql, rowMode: 'array' }).then(
              ({ rows }) => rows,
              ({ code, message }) => [code, message],
            ),
          )
        const named = {
          name: 'n',
          text: 'select name, note, id from customers where id = $1',
          values: [1],
        }
        for (let i = 0; i < 2; i++) answers.push((await client.query(named)).rows)
      },
      'ada',
      { database },
    )
    const url = `postgresql://ada:${tokens.ada}@127.0.0.1:${port}/${database}?sslmode=require`
    for (const more of ['', ' with (format csv, header)', ' with (format binary)'])
      answers.push((await psql(url, ['-c', `copy customers to stdout${more}`])).stdout)
    return answers
  }
  const whole = await all('shop')
  expect(JSON.stringify(whole)).toContain('[masked]')
  expect(JSON.stringify(whole)).not.toMatch(/quillfeather/i)
  expect(await all('cut')).toEqual(whole)
})

test('rows that nothing is looked for in, behind something that is masked: none is lost', async () => {
  // More than comes in one chunk, which ends anywhere in a row.
  for (let n = 1; n <= 12; n++)
    await withClient(async (client) => {
      const sql = `select name, '${'-'.repeat(n)}' from customers; select i % 7 = 0 as x from generate_series(1, 2000) i`
      const results = (await client.query(sql)) as unknown as { rows: unknown[] }[]
      expect([n, ...results.map(({ rows }) => rows.length)]).toEqual([n, 2, 2000])
    })
})

test('cursors give what their query gives', async () => {
  await withClient(async (client) => {
    await client.query('begin')
    await client.query(
      'declare c cursor for select id, lower(name) as name, town from customers order by id',
    )
    expect((await client.query('fetch 1 from c')).rows).toEqual([
      { id: 1, name: '[masked]', town: 'Leeds' },
    ])
    await client.query('commit')
  })
})

test.each<[string, ...(string | { name: string; text: string })[]]>([
  [
    'prepared by the protocol under a name that SQL fails to give',
    { name: 'p', text: 'select upper(name) as n from customers' },
    "prepare p as select 'x'",
    'execute p',
  ],
  [
    'prepared by the protocol under a name that SQL gave before',
    "prepare p as select 'x'",
    'deallocate p',
    { name: 'p', text: 'select upper(name) as n from customers' },
    'execute p',
  ],
  [
    'prepared, then another view',
    "prepare p as select x || '' from plain",
    'create or replace view plain as select name as x, id from customers',
    'execute p',
  ],
  [
    'another view in the transaction',
    'begin',
    'create or replace view plain as select name as x, id from customers',
    'select x from plain',
    "select x || '' from plain",
    "declare c cursor with hold for select x || '' as y from plain",
    "prepare p as select x || '' as y from plain",
    'commit',
    'fetch 1 from c',
    'execute p',
  ],
  [
    'another view in one message',
    "begin; create or replace view plain as select name as x, id from customers; select x || '' from plain; select x from plain; rollback",
  ],
  [
    'a view in the place of a table',
    'begin',
    'create temp view log as select 1 as id, name as line from customers',
    "select line || '' from log",
    'create table stolen as select line from log',
  ],
  [
    'copied from another view in one message',
    'begin; create or replace view plain as select name as x, id from customers; create table stolen as select x from plain; select * from stolen; rollback',
  ],
])('names that mean something else by now: %s', async (_, ...steps) => {
  await server.query("create or replace view plain as select 'const'::text as x, 1 as id")
  const seen: unknown[] = []
  await withClient(async (client) => {
    for (const step of steps) {
      const given = await client.query(step as string).catch((error) => error)
      seen.push(given.rows ?? given.map?.(({ rows }: { rows: unknown }) => rows) ?? given.message)
    }
  })
  expect(JSON.stringify(seen)).not.toMatch(/quill|marrow/i)
  expect(JSON.stringify(seen)).toMatch(/masked|refused/)
  expect((await server.query("select 1 from pg_class where relname = 'stolen'")).rows).toEqual([])
})

test('errors and notices say what happened, without the data', async () => {
  const cast = await failure('select name::int from customers')
  expect(cast).toMatchObject({ code: '22P02' })
  expect(cast!.message).toBe('invalid input syntax for type integer: "[masked]"')
  const own = await failure("select 'abc'::int from customers")
  expect(own!.message).toBe('invalid input syntax for type integer: "abc"')
  const unique = await failure("insert into customers(id, email) values (9, 'ada.q@example.com')")
  expect(unique).toMatchObject({ code: '23505' })
  expect(unique!.message).toContain('"customers_email_key"')
  expect(JSON.stringify(unique)).not.toContain('ada.q@')
  const row = await failure("update customers set id = null where note like 'call%' -- 1984 1234")
  expect(row!.detail).toBe('Failing row contains ([masked]).')
  const index = await failure("select get_byte('', ascii(name)) from customers where id = 1")
  expect(index!.message).not.toContain('65')
  const elsewhere = await failure("insert into log values (0, 'x')")
  expect(elsewhere!.detail).toBe('Key (id)=(0) already exists.')
  expect((await failure("select 'xyz'::int"))!.message).toContain('"xyz"')
  const missing = await failure('select emial from customers')
  expect(missing!.message).toBe('column "emial" does not exist')
  await withClient(async (client, notices) => {
    await client.query('select shout()')
    expect(notices.join()).not.toMatch(/quill/i)
  })
})

test('copies to where nothing masks it are refused', async () => {
  for (const sql of [
    'create table stolen as select name from customers',
    'insert into log select id, name from customers',
    'update customers set town = name',
    'select name as a into stolen from customers',
    'alter table customers rename column name to plain',
    'alter table log alter column line set default whisper()',
    'create table stolen(id int, line text default whisper())',
    "create table stolen(id int, line text default query_to_xml('select 1', true, true, ''))",
    'create domain stolen as text default whisper()',
  ]) {
    const error = await failure(sql)
    expect([sql, error?.hint]).toEqual([sql, 'CUSTODY-MASK-003: see docs/errors.md'])
  }
  expect(
    (await server.query("select count(*) from pg_class where relname = 'stolen'")).rows[0].count,
  ).toBe('0')
  expect(await failure('insert into log select id, town from customers')).toBeNull()
})

test('choosing rows by a masked column: as its rule says', async () => {
  expect((await failure("select id from customers where born > '1985-01-01'"))!.hint).toMatch(
    /MASK-001/,
  )
  const { events: own } = await after(() => ask('select id from customers where balance > 100'))
  expect(own.find(({ kind }) => kind === 'alert.masking')?.lifecycle?.reason).toContain('balance')
})

test('literals and parameters that say what is in it are not recorded', async () => {
  const { events: own } = await after(async () => {
    await ask("select id from customers where email = 'ada.q@example.com' and town = 'Leeds'")
    await withClient((client) =>
      client.query('select id from customers where name = $1 and town = $2', [
        'Ada Quillfeather',
        'Leeds',
      ]),
    )
    await ask("alter role clerk password 'correct horse'").catch(() => {})
  })
  const texts = own.flatMap(({ statement }) => (statement ? [statement] : []))
  const all = JSON.stringify(texts, (_, value) =>
    typeof value === 'bigint' ? String(value) : value,
  )
  expect(all).toContain('Leeds')
  expect(all).not.toMatch(/quillfeather|ada\.q@|correct horse/i)
})

test('seeing masked values: as policies say, and on record', async () => {
  const { result, events: own } = await after(() =>
    ask('select name, card from customers where id = 1', 'eve'),
  )
  expect(result).toEqual([{ name: 'Ada Quillfeather', card: null }])
  expect(own.find(({ kind }) => kind === 'mask.revealed')?.decision).toMatchObject({
    outcome: 'allow',
    policies: expect.arrayContaining(['fraud-sees-names']),
  })
  expect(own.findLast(({ kind }) => kind === 'command.completed')!.masks).toEqual(
    expect.arrayContaining([
      expect.objectContaining({ rule: 'names', action: 'reveal', count: 1 }),
    ]),
  )
})

test('what may be seen is asked for the columns that are shown now', async () => {
  const seen: unknown[] = []
  for (const column of ['card', 'name']) {
    await ask('drop view if exists shown')
    await ask(`create view shown as select ${column} as x from customers where id = 1`)
    seen.push(...(await ask('select upper(x) as x from shown', 'eve')))
  }
  expect(seen).toEqual([{ x: null }, { x: 'ADA QUILLFEATHER' }])
})

const requests = async () => (await events()).filter(({ kind }) => kind === 'approval.requested')

async function answerNext(count: number, state: string): Promise<void> {
  for (;;) {
    const all = await requests()
    if (all.length === count) {
      people.record({
        kind: 'approval.answered',
        approval: {
          request: all[count - 1]!.approval!.request,
          state,
          approver: {
            subject: 'bo',
            issuer: 'custody:local',
            groups: [],
            kind: 'human',
            method: 'custody-token',
          },
          channel: 'cli',
        },
      })
      return
    }
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
}

test('with an approval, where the session asks to see; it is remembered for these columns alone', async () => {
  expect(await ask('select name from customers where id = 1', 'ian')).toEqual([
    { name: '[masked]' },
  ])
  const seeing = { options: '-c custody.reveal=on' } as ClientConfig
  await withClient(
    async (client) => {
      const name = 'select name from customers where id = 1'
      const asked = client.query(name)
      await answerNext(1, 'approved')
      expect((await asked).rows).toEqual([{ name: 'Ada Quillfeather' }])
      expect((await client.query(name)).rows).toEqual([{ name: 'Ada Quillfeather' }])
      const other = client.query('select card from customers where id = 1').catch((error) => error)
      await answerNext(2, 'denied')
      expect(await other).toMatchObject({ hint: expect.stringMatching(/POLICY-003/) })
    },
    'ian',
    seeing,
  )
})

test('what a held request may show is not shown by what was sent before it', async () => {
  const seeing = { options: '-c custody.reveal=on' } as ClientConfig
  const name = 'select name from customers where id = 1'
  const asked = (await requests()).length
  const before = (await events()).length
  await withClient(
    async (client) => {
      const first = client.query(name)
      await answerNext(asked + 1, 'approved')
      await first
      const { connection } = client as unknown as {
        connection: Record<string, (o?: object | string) => void> & {
          stream: Socket
          once(event: string, done: () => void): void
        }
      }
      const ready = new Promise<void>((resolve) => connection.once('readyForQuery', resolve))
      const failed = new Promise<void>((resolve) => connection.once('errorMessage', resolve))
      connection.stream.cork()
      connection.parse!({ text: 'select nothing from nowhere', name: '' })
      connection.query!(`${name}; select card from customers where id = 1`)
      connection.sync!()
      connection.stream.uncork()
      await failed
      await answerNext(asked + 2, 'denied')
      await ready
    },
    'ian',
    seeing,
  )
  const own = (await events()).slice(before)
  const parsed = own.find(({ statement }) => statement?.text?.toString().includes('nowhere'))!
  const revealing = own.filter(({ kind }) => kind === 'mask.revealed')
  expect(revealing).toHaveLength(1)
  expect(revealing[0]!.command).not.toEqual(parsed.command)
})

test('rows with a value are left out, and not counted', async () => {
  const client = { database: 'strict' }
  await withClient(
    async (one) => {
      const { rows, rowCount } = await one.query('select id, town from customers')
      expect([rows, rowCount]).toEqual([[], 0])
    },
    'ada',
    client,
  )
})
