/**
 * Masking on the wire: mysql2 and the server's own client against a real MariaDB; what the client gets in both protocols, what is
 * recorded of it, and that everything else passes as it was. That nothing leaks is for `npm run canary -- --protocol mysql`.
 */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Event } from '@custody/schemas'
import { type MysqlServer, mysql, startMysql } from '@custody/test-support'
import { type Connection, createConnection } from 'mysql2/promise'
import { proxyUnderTest } from '../postgres/proxy-under-test'

const custody = proxyUnderTest('mysql-masking')
const { events } = custody
const policyFile = join(custody.directory, 'reveal.cedar')
let server: MysqlServer
let port: number
let tokens: Record<string, string>

const CARD = '4111 1111 1111 1111'
const FIXTURE = `
create table customers (id int primary key, name varchar(60) not null, email varchar(80) unique, card varchar(30), born date,
  balance decimal(10, 2), points int, seen datetime(3), doc json, raw blob, town varchar(30) comment 'where; custody:place', note text);
insert into customers values
  (1, 'Ada Quillfeather', 'ada.q@example.com', '${CARD}', '1984-03-17', 1234.56, 77, '2024-05-06 07:08:09.5', '{"a": 1}', x'00ff01', 'Leeds', 'call me'),
  (2, 'Bo Marrowgate', 'bo.m@example.com', '5500005555555559', '1990-11-02', 99, null, null, null, null, 'York', null);
create table log (id int primary key auto_increment, line text);
insert into log (line) values ('plain'), ('card ${CARD} here');
create view people as select id, upper(name) as loud, note from customers;
create procedure by_cursor() begin
  declare v varchar(60); declare c cursor for select note from customers; open c; fetch c into v; close c; select v as note; end;
create function shout() returns int reads sql data begin
  declare v varchar(60); select name into v from customers where id = 1; signal sqlstate '45000' set message_text = v; return 1; end;
`

beforeAll(async () => {
  server = await startMysql({ sql: FIXTURE })
  tokens = {
    ada: await custody.token({ subject: 'ada' }),
    dev: await custody.token({ subject: 'dev', groups: ['support'] }),
    eve: await custody.token({ subject: 'eve', groups: ['fraud'] }),
  }
  writeFileSync(
    policyFile,
    `
@id("all") permit (principal, action, resource);
@id("fraud-sees-names") permit (principal in Group::"fraud", action == Action::"data:reveal", resource)
when { context has object && context.object.name == "shop.customers.name" };
`,
  )
  const target = server.resource()
  const { ports } = await custody.start(`
policy: {files: [${policyFile}]}
masking:
  rules:
    - { id: names, columns: [customers.name], action: redact }
    - { id: mails, columns: ['*.email'], action: partial, groups: [support] }
    - { id: mails-else, columns: ['*.email'], action: hash }
    - { id: born, columns: [customers.born], action: truncate, to: year }
    - { id: balance, columns: [customers.balance], action: generalise, step: 1000 }
    - { id: points, columns: [customers.points], action: hash }
    - { id: seen, columns: [customers.seen], action: truncate, to: month }
    - { id: docs, columns: [customers.doc], action: redact }
    - { id: raw, columns: [customers.raw], action: 'null' }
    - { id: places, tagged: [place], action: shape }
    - { id: cards, columns: [customers.card], action: partial, predicates: forbid }
  detectors: {use: [card]}
resources:
  shop: ${target}
`)
  port = ports.mysql!
})

afterAll(async () => {
  await custody.stop()
  await server?.stop()
})

async function withClient<T>(use: (client: Connection) => Promise<T>, who = 'ada'): Promise<T> {
  const client = await createConnection({
    ...{ host: '127.0.0.1', port, user: who, password: tokens[who], database: 'shop' },
    ...{ ssl: { rejectUnauthorized: false }, dateStrings: true, multipleStatements: true },
  })
  try {
    return await use(client)
  } finally {
    await client.end()
  }
}

type Rows = Record<string, unknown>[]
const both = async (client: Connection, sql: string): Promise<[Rows, Rows]> => [
  (await client.query(sql))[0] as Rows,
  (await client.execute(sql))[0] as Rows,
]

test('each action, of each type, in text and binary', async () => {
  const [text, binary] = await withClient((client) =>
    both(client, 'select * from customers order by id'),
  )
  const [first, second] = text as [Record<string, unknown>, Record<string, unknown>]
  expect(first).toMatchObject({
    ...{ id: 1, name: '[masked]', card: '**** **** **** 1111', born: '1984-01-01' },
    ...{ balance: '1000.00', seen: expect.stringMatching(/^2024-05-01 00:00:00/), raw: null },
    ...{ doc: '[masked]', note: 'call me' },
  })
  expect(first.email).toMatch(/^msk_/)
  expect(first.points).not.toBe(77)
  expect(first.town).toMatch(/^[A-Z][a-z]{4}$/)
  expect(first.town).not.toBe('Leeds')
  expect(second).toMatchObject({ id: 2, name: '[masked]', points: null, seen: null, note: null })
  // A whole number stays one, however it comes.
  expect(Number.isInteger(first.points)).toBe(true)
  expect(binary[0]!.points).toBe(first.points)
  for (const name of ['id', 'name', 'email', 'card', 'born', 'raw', 'town', 'note', 'points'])
    expect([name, binary[0]![name]]).toEqual([name, first[name]])
})

test('what is computed of it, and what only looks as if it came from elsewhere', async () => {
  await withClient(async (client) => {
    for (const sql of [
      'select upper(name) as v from customers where id = 1',
      'select loud as v from people where id = 1',
      'select log.line as v from (select name as line from customers where id = 1) log',
      'with log as (select name as line from customers where id = 1) select line as v from log',
      'select group_concat(name) as v from customers',
      "execute immediate 'select name as v from customers where id = 1'",
    ])
      for (const rows of [(await client.query(sql))[0] as Rows])
        expect([sql, rows[0]!.v ?? rows[0]!.line]).toEqual([sql, '[masked]'])
  })
})

test('what is not masked is as it was', async () => {
  const statements = [
    'select id, note from customers order by id',
    'select count(*) n, count(name) m, sum(id) s, max(id) from customers',
    'select line from log where id = 1',
    'select name is null as unnamed from customers',
    'select 1 + 1, now() > 0, version() <> ""',
    'show tables',
    'select table_name from information_schema.tables where table_schema = "shop"',
    'show columns from customers',
  ]
  await withClient(async (client) => {
    for (const sql of statements) {
      const direct = await server.query(sql)
      const [text, binary] = await both(client, sql)
      expect([sql, text]).toEqual([sql, direct])
      expect([sql, binary]).toEqual([sql, direct])
    }
  })
})

test('detectors look into what no rule names', async () => {
  const [text, binary] = await withClient((client) =>
    both(client, 'select line from log where id = 2'),
  )
  for (const [row] of [text, binary]) expect(row!.line).toBe('card [masked] here')
})

test('rows of a procedure that has a cursor of its own come whole, and are not proven', async () => {
  await withClient(async (client) => {
    const [[rows]] = (await client.query('call by_cursor()')) as unknown as [[Rows]]
    expect(rows).toEqual([{ note: '[masked]' }])
    const [after] = (await client.query('select 1 as one')) as unknown as [Rows]
    expect(after).toEqual([{ one: 1 }])
  })
})

test('the server’s own client', async () => {
  const { stdout } = await mysql({ port, user: 'dev', password: tokens.dev!, database: 'shop' }, [
    '-e',
    'select name, email from customers where id = 1',
  ])
  expect(stdout).toBe('name\temail\n[masked]\t***.********e.com\n')
})

test('errors and warnings keep their words, not their values', async () => {
  await withClient(async (client) => {
    const failed = async (sql: string) =>
      client.query(sql).then(
        () => 'nothing',
        (error: { sqlMessage: string }) => error.sqlMessage,
      )
    expect(
      await failed(
        'insert into customers (id, name, email) select 9, name, email from customers where id = 1',
      ),
    ).toBe("Duplicate entry '[masked]' for key 'email'")
    expect(
      await failed(
        "select extractvalue('<a/>', concat('~', (select name from customers where id = 1)))",
      ),
    ).toBe("XPATH syntax error: '[masked]'")
    expect(await failed('select shout()')).toMatch(/^\[masked\]/)
    expect(await failed('select nothing from customers')).toBe(
      "Unknown column 'nothing' in 'SELECT'",
    )
    await client.query('select cast(name as signed) from customers where id = 1')
    const [warnings] = (await client.query('show warnings')) as unknown as [Rows]
    expect(warnings).toEqual([
      { Level: 'Warning', Code: 1292, Message: "Truncated incorrect INTEGER value: '[masked]'" },
    ])
  })
})

test.each([
  ['insert into log (line) select name from customers', 'CUSTODY-MASK-003'],
  ['create table taken as select email from customers', 'CUSTODY-MASK-003'],
  ['set @v = (select name from customers where id = 1)', 'CUSTODY-MASK-003'],
  ["select name from customers into outfile '/tmp/never'", 'CUSTODY-MASK-003'],
  ['alter table customers rename column name to called', 'CUSTODY-MASK-003'],
  [
    'create trigger t before update on customers for each row set new.note = new.name',
    'CUSTODY-MASK-003',
  ],
  ["execute immediate 'insert into log (line) select name from customers'", 'CUSTODY-MASK-003'],
  [`select id from customers where card like '4%'`, 'CUSTODY-MASK-001'],
])('%s is refused', async (sql, code) => {
  await withClient(async (client) => {
    await expect(client.query(sql)).rejects.toMatchObject({
      message: expect.stringContaining(code),
    })
  })
})

test('somebody whom a policy lets see it sees it, and that is recorded', async () => {
  const before = (await events()).length
  await withClient(async (client) => {
    const [text, binary] = await both(client, 'select name, email from customers where id = 1')
    for (const [row] of [text, binary]) {
      expect(row!.name).toBe('Ada Quillfeather')
      expect(row!.email).toMatch(/^msk_/)
    }
  }, 'eve')
  const fresh = (await events()).slice(before)
  expect(fresh.filter(({ kind }) => kind === 'mask.revealed').length).toBe(2)
})

test('the record has what the client got, and of statements what may be kept', async () => {
  const before = (await events()).length
  await withClient(async (client) => {
    await client.query("select id, name from customers where name = 'Ada Quillfeather'")
    await client.execute('select id from customers where email = ?', ['ada.q@example.com'])
    await client
      .query("set password for nobody@localhost = password('open sesame')")
      .catch(() => {})
  })
  const fresh = (await events()).slice(before)
  const all = JSON.stringify(fresh.map((event: Event) => [event.statement, event.response]))
  for (const value of ['Quillfeather', 'ada.q', 'sesame']) expect(all).not.toContain(value)
  const started = fresh.filter(({ kind }) => kind === 'command.started')
  expect(started[0]!.statement!.text).toBe("select id, name from customers where name = '[masked]'")
  expect(started[1]!.statement!.parameters).toMatchObject([{ value: '[masked]' }])
  const completed = fresh.filter(({ kind }) => kind === 'command.completed')
  expect(completed[0]!.output!.data.includes('Quillfeather')).toBe(false)
  expect(completed[0]!.masks).toMatchObject([{ rule: 'names', action: 'redact', count: 1 }])
})
