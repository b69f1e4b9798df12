/** MySQL's own server behind the gateway and MySQL's own client before it: what MariaDB's can't show. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Event } from '@custody/schemas'
import {
  type MysqlServer,
  mysqlClient,
  type Output,
  runProgram,
  startMysql,
} from '@custody/test-support'
import { type Connection, createConnection } from 'mysql2/promise'
import { proxyUnderTest } from '../postgres/proxy-under-test'
import { hasZstd } from './compression'

const SECRET = 'it’s "long" and \\odd'
let server: MysqlServer
let port: number
let token: string
const custody = proxyUnderTest('proxy-mysql-own')
const { events, directory } = custody

beforeAll(async () => {
  const quoted = SECRET.replace(/['\\]/g, '\\$&')
  server = await startMysql({
    kind: 'mysql',
    tls: true,
    logStatements: true,
    settings: { 'local-infile': '1' },
    sql: `create table customers (id int primary key, email varchar(100), born date);
      insert into customers values (1, 'ada@example.com', '1815-12-10'), (2, 'bo@example.com', null);
      create table loaded (i int, t varchar(50));
      create table vectors (id int primary key, v vector(3));
      insert into vectors values (1, to_vector('[1,2.5,-3]'));
      create procedure doubled(in x int, out y int) set y = x * 2;
      create user hashed identified with caching_sha2_password by '${quoted}';
      create user plain identified with sha256_password by '${quoted}';
      grant all on shop.* to hashed, plain`,
  })
  const target = (settings: object = {}) => server.resource({ tls: 'prefer', ...settings })
  const account = (name: string, tls: string) =>
    target({ account: name, password: { literal: SECRET }, tls })
  token = await custody.token({ subject: 'ada' })
  const { ports } = await custody.start(`
resources:
  shop: ${target()}
  hashed: ${account('hashed', 'disable')}
  hashed-tls: ${account('hashed', 'require')}
  plain: ${account('plain', 'disable')}
  plain-tls: ${account('plain', 'require')}
  wrong: ${target({ account: 'hashed', password: { literal: 'wrong' } })}
  masked: ${target()}
masking:
  detectors: {use: []}
  rules:
    - { id: mails, resources: [masked], columns: [customers.email], action: redact }
`)
  port = ports.mysql!
})

afterAll(async () => {
  await custody.stop()
  await server?.stop()
})

/** MySQL's own client without settings of this machine. */
function mysql(words: readonly string[], database = 'shop', input?: string): Promise<Output> {
  return runProgram(
    mysqlClient()!,
    [
      ...['--no-defaults', '--host=127.0.0.1', `--port=${port}`, '--protocol=tcp', '--user=ada'],
      ...words,
      database,
    ],
    { input, env: { MYSQL_PWD: token } },
  )
}

const completed = async (text: string): Promise<Event> => {
  const all = await events()
  const started = all.findLast(
    ({ kind, statement }) => kind === 'command.started' && statement?.text === text,
  )!
  return all.find(
    ({ kind, command }) => kind === 'command.completed' && command?.equals(started.id),
  )!
}

async function withClient<T>(database: string, use: (client: Connection) => Promise<T>) {
  const client = await createConnection({
    ...{ host: '127.0.0.1', port, user: 'ada', password: token, database },
    ssl: { rejectUnauthorized: false },
  })
  try {
    return await use(client)
  } finally {
    await client.end()
  }
}

describe('MySQL’s own client', () => {
  test.each<[string, string[]]>([
    ['over TLS', ['--ssl-mode=REQUIRED']],
    ['without TLS, by the gateway’s key', ['--ssl-mode=DISABLED', '--get-server-public-key']],
    ['compressed by zlib', ['--ssl-mode=REQUIRED', '--compression-algorithms=zlib']],
    ['compressed by what there is', ['--ssl-mode=REQUIRED', '--compression-algorithms=zstd,zlib']],
    ...(hasZstd
      ? [
          ['by zstd', ['--ssl-mode=REQUIRED', '--compression-algorithms=zstd']] as [
            string,
            string[],
          ],
        ]
      : []),
  ])('signs in %s', async (how, words) => {
    const sql = `select id, email from customers where '${how.length}' order by id`
    const ran = await mysql([...words, '-t', '-e', sql])
    expect(ran).toMatchObject({ code: 0, stderr: '' })
    expect(ran.stdout).toContain('| ada@example.com |')
    expect((await completed(sql)).response).toMatchObject({ status: 'ok', rows: 2 })
  })

  test('a script: variables, procedures, several statements, warnings, a status, a file of its own', async () => {
    const file = join(directory, 'lines.txt')
    writeFileSync(file, '1\tone\n2\ttwo\n')
    const ran = await mysql(
      ['--ssl-mode=REQUIRED', '--local-infile=1', '--show-warnings', '--commands', '-t'],
      'shop',
      `call doubled(21, @y); select @y as doubled;
delimiter //
create procedure several() begin select 1 as a; select 2 as b; end//
delimiter ;
call several();
select cast('x' as signed) as warned;
load data local infile '${file}' into table loaded;
select count(*) as n from loaded;
status
use shop
select database() as here;
`,
    )
    expect(ran).toMatchObject({ code: 0, stderr: '' })
    for (const part of [
      ' 42 |',
      'Truncated incorrect INTEGER value',
      '| shop |',
      'Cipher in use is',
    ])
      expect(ran.stdout).toContain(part)
    expect(await server.query('select count(*) as n from loaded')).toEqual([{ n: 2 }])
  })

  test('values of its newer kinds, and what only it can say', async () => {
    const sql = 'select from_vector(v) as v from vectors'
    expect((await mysql(['--ssl-mode=REQUIRED', '-N', '-e', sql])).stdout).toContain('[1.00000e')
    const rows = 'values row(1, 2), row(3, 4)'
    expect((await mysql(['--ssl-mode=REQUIRED', '-N', '-e', rows])).stdout).toBe('1\t2\n3\t4\n')
    const all = await events()
    const { statement } = all.findLast((event) => event.statement?.text === rows)!
    expect(statement).toMatchObject({ understood: true, verbs: ['sql:select'] })
  })

  test('a token that is none is told so', async () => {
    const ran = await runProgram(
      mysqlClient()!,
      [
        ...['--no-defaults', '--host=127.0.0.1', `--port=${port}`, '--protocol=tcp', '--user=ada'],
        ...['--ssl-mode=REQUIRED', '-e', 'select 1', 'shop'],
      ],
      { env: { MYSQL_PWD: 'nonsense' } },
    )
    expect(ran.code).toBe(1)
    expect(ran.stderr).toContain('CUSTODY-ACCESS-001')
  })
})

describe('accounts of MySQL’s own server', () => {
  test.each(['hashed', 'hashed-tls', 'plain', 'plain-tls'])('%s', async (resource) => {
    // The second time it may take the fast form.
    for (const _ of [1, 2])
      expect(
        await withClient(resource, async (client) => (await client.query('select 1 as one'))[0]),
      ).toEqual([{ one: 1 }])
  })

  test('a wrong password is the target’s own refusal', async () => {
    await expect(withClient('wrong', async () => {})).rejects.toMatchObject({ errno: 1045 })
  })
})

test('columns are masked by where they come from, in both forms of rows', async () => {
  await withClient('masked', async (client) => {
    const sql =
      'select id, upper(email) as e, (select max(email) from customers) as m from customers order by id'
    for (const [rows] of [await client.query(sql), await client.execute(sql)]) {
      expect(JSON.stringify(rows)).not.toMatch(/example/i)
      expect((rows as { id: number }[]).map(({ id }) => id)).toEqual([1, 2])
    }
  })
})

test('the procedure’s parameters come back prepared, and the session goes on', async () => {
  await withClient('shop', async (client) => {
    await client.execute('call doubled(?, @z)', [4])
    expect((await client.execute('select @z as z'))[0]).toEqual([{ z: 8 }])
  })
})

test('every statement of the server’s own log has its event', async () => {
  const all = await events()
  const recorded = new Set(all.flatMap(({ statement }) => (statement ? [statement.text] : [])))
  for (const text of ['call doubled(21, @y)', 'select count(*) as n from loaded']) {
    expect(server.log()).toContain(text)
    expect([...recorded].some((one) => one.includes(text))).toBe(true)
  }
})
