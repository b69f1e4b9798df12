/**
 * Policies and approvals on the wire: real clients, a real MariaDB, answers written to the log that the query service
 * writes. The server's own tables and its own log say what reached it.
 */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { openRecorder, type Recorder } from '@custody/event-log'
import { type Event, uuidText, type Who } from '@custody/schemas'
import {
  clientProgram,
  type MysqlServer,
  mysql,
  runProgram,
  startMysql,
} from '@custody/test-support'
import { type Connection, createConnection } from 'mysql2/promise'
import type { Proxy as RunningProxy } from '../../proxy'
import { proxyUnderTest } from '../postgres/proxy-under-test'

const custody = proxyUnderTest('policy-mysql')
const { directory, events, home } = custody
const POLICY = `
@id("all") permit (principal, action, resource);
@id("drop") @reason("a drop is for ever") @approvers("dba") @expires("30s") @remember("fingerprint 1h")
forbid (principal, action == Action::"sql:drop", resource) unless { context.approved };
@id("delete") @reason("soon over") @expires("1s")
forbid (principal, action == Action::"sql:delete", resource) unless { context.approved };
@id("salaries") @reason("salaries are nobody's business")
forbid (principal, action, resource) when { context.tables.contains("salaries") };
@id("unknown") @reason("not understood") forbid (principal, action == Action::"sql:unknown", resource);
`
let server: MysqlServer
let proxy: RunningProxy
let people: Recorder
let port: number
let token: string

beforeAll(async () => {
  server = await startMysql({
    logStatements: true,
    sql: 'create table salaries(a int); insert into salaries values (1); create table t(a int); insert into t select seq from seq_1_to_10; create procedure p() select 1',
  })
  const policy = join(directory, 'own.cedar')
  writeFileSync(policy, POLICY)
  token = await custody.token({ subject: 'ada', email: 'ada@example.com' })
  const started = await custody.start(`
limits: {commandsHeldMax: 2}
policy: {files: [${policy}]}
resources:
  shop: ${server.resource()}
`)
  proxy = started.proxy
  port = started.ports.mysql!
  people = await openRecorder({ directory: home.log, recorder: 'query-local', reserveBytes: 0 })
})

afterAll(async () => {
  await people?.close()
  await custody.stop()
  await server?.stop()
})

const login = () => ({ port, user: 'ada', password: token, database: 'shop' })

async function withClient<T>(use: (client: Connection) => Promise<T>): Promise<T> {
  const client = await createConnection({
    ...{ host: '127.0.0.1', ...login(), multipleStatements: true },
    ssl: { rejectUnauthorized: false },
  })
  try {
    return await use(client)
  } finally {
    await client.end()
  }
}

/** Waits for the request that is open now. */
async function requested(): Promise<Event> {
  for (;;) {
    const last = (await events()).filter(({ kind }) => kind.startsWith('approval.')).at(-1)
    if (last?.kind === 'approval.requested') return last
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
}

function answer(request: Event, state: string, who: Partial<Who> = {}, comment?: string): void {
  people.record({
    kind: 'approval.answered',
    approval: {
      request: request.approval!.request,
      state,
      approver: {
        subject: 'bo',
        issuer: 'custody:local',
        groups: ['dba'],
        kind: 'human',
        method: 'custody-token',
        ...who,
      },
      channel: 'cli',
      comment,
    },
  })
}

const reached = (text: string) => server.log().includes(text)

test.each([
  ['select * from salaries', 'CUSTODY-POLICY-002'],
  ['select /*!99999 1 */ * from salaries', 'CUSTODY-POLICY-002'],
  ['select 1 /*!, a from salaries */', 'CUSTODY-POLICY-002'],
  ['/*M! select * from salaries */', 'CUSTODY-POLICY-002'],
  ["prepare s from 'select * from salaries'", 'CUSTODY-POLICY-002'],
  ["execute immediate 'select * from salaries'", 'CUSTODY-POLICY-002'],
  ['set @q = "select * from sal"; prepare s from @q', 'CUSTODY-POLICY-002'],
  ['call p()', 'CUSTODY-POLICY-002'],
  ['handler salaries open', 'CUSTODY-POLICY-002'],
  ['nonsense that nobody reads', 'CUSTODY-POLICY-002'],
  ['kill user root', 'CUSTODY-MYSQL-008'],
])(
  '%s is refused with 42000 or so, is recorded, never reaches the target, and the session goes on',
  async (sql, code) => {
    const text = `${sql} -- ${Math.random()}`
    const before = (await events()).length
    await withClient(async (client) => {
      await expect(client.query(text)).rejects.toThrow(code)
      expect((await client.query('select 7 as n'))[0]).toEqual([{ n: 7 }])
    })
    expect(
      (await events()).slice(before).filter(({ kind }) => kind === 'command.blocked').length,
    ).toBe(1)
    expect(reached(text)).toBe(false)
  },
)

test('a refusal says what it is about, and where to read on', async () => {
  const { stderr } = await mysql(login(), ['-e', 'select * from salaries'])
  expect(stderr).toMatch(/^ERROR 1227 \(42000\) at line 1: custody refused the command: /m)
  expect(stderr).toContain("salaries are nobody's business")
  expect(stderr).toContain('[CUSTODY-POLICY-002: see docs/errors.md]')
})

test('of several statements in one text nothing is forwarded when one is refused', async () => {
  await withClient(async (client) => {
    await expect(
      client.query('insert into t values (99); select * from salaries; select 3'),
    ).rejects.toMatchObject({ errno: 1227, sqlState: '42000' })
  })
  expect(await server.query('select count(*) as n from t where a = 99')).toEqual([{ n: 0 }])
  expect(reached('values (99)')).toBe(false)
})

test('a prepared statement is refused when it is prepared', async () => {
  await withClient(async (client) => {
    await expect(client.execute('select * from salaries where a = ?', [1])).rejects.toThrow(
      'CUSTODY-POLICY-002',
    )
  })
  expect(reached('from salaries where a')).toBe(false)
})

test('a command is held, approved, and then runs; one of the same shape runs without asking', async () => {
  await server.query('create table once(a int)')
  await withClient(async (client) => {
    const dropped = client.query('drop table once')
    const request = await requested()
    expect(request.statement!.text).toBe('drop table once')
    expect(reached('drop table once')).toBe(false)
    expect(proxy.status().held).toBe(1)
    answer(request, 'approved')
    await dropped
    await server.query('create table once(a int)')
    await client.query('drop table once')
  })
  expect(await server.query("show tables like 'once'")).toEqual([])
})

test.each([
  ['denied', 'CUSTODY-POLICY-003', (request: Event) => answer(request, 'denied', {}, 'no')],
  ['not answered in time', 'CUSTODY-POLICY-004', () => {}],
])('a command that is %s never runs', async (_what, code, act) => {
  const before = (await events()).length
  await withClient(async (client) => {
    const deleted = client.query(`delete from t where a = 5 /* ${code} */`)
    const failed = expect(deleted).rejects.toThrow(code)
    act(await requested())
    await failed
    expect((await client.query('select 1 as n'))[0]).toEqual([{ n: 1 }])
  })
  expect(reached(code)).toBe(false)
  expect((await events()).slice(before).map(({ kind }) => kind)).toContain('command.blocked')
})

test('held in a prepared statement, it runs when it is executed', async () => {
  await withClient(async (client) => {
    const deleted = client.execute('delete from t where a = ?', [6])
    const request = await requested()
    expect(request.statement).toMatchObject({ interface: 'execute', parameters: [{ value: '6' }] })
    answer(request, 'approved')
    await deleted
  })
  expect(await server.query('select count(*) as n from t where a = 6')).toEqual([{ n: 0 }])
})

test('what is held can be cancelled by its own session, and ends with its client', async () => {
  await withClient(async (client) => {
    const deleted = client.query('delete from t where a = 7 /* cancelled */')
    const failed = expect(deleted).rejects.toThrow('CUSTODY-POLICY-005')
    await requested()
    await withClient((own) => own.query(`kill query ${client.threadId}`))
    await failed
  })
  const client = await createConnection({ host: '127.0.0.1', ...login() })
  client.on('error', () => {})
  client.query('delete from t where a = 8 /* left */').catch(() => {})
  const request = await requested()
  client.destroy()
  for (;;) {
    const last = (await events()).filter(({ kind }) => kind.startsWith('approval.')).at(-1)!
    if (last.approval!.request.equals(request.approval!.request) && last.kind !== request.kind) {
      expect(last.kind).toBe('approval.withdrawn')
      break
    }
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
  expect(reached('cancelled */')).toBe(false)
  expect(reached('left */')).toBe(false)
})

test('MariaDB’s client is told that its command waits, and then shows its rows as ever', async () => {
  await server.query('create table shown(a int)')
  // It shows what the server says only to a terminal.
  const shown = runProgram(
    'script',
    [
      '-qec',
      `${clientProgram('mariadb')} --no-defaults -h127.0.0.1 -P${port} -uada shop`,
      '/dev/null',
    ],
    {
      env: { MYSQL_PWD: token, TERM: 'dumb' },
      input: 'drop table if exists shown; select 42 as n;\n\\q\n',
    },
  )
  const request = await requested()
  answer(request, 'approved')
  const { stdout } = await shown
  expect(stdout).toContain(`custody approve ${uuidText(request.approval!.request)}`)
  expect(stdout).toMatch(/\|\s+42 \|/)
})
