/**
 * Policies and approvals on the wire: real clients, a real PostgreSQL, answers written to the log that the query service
 * writes. The server's own tables say what reached it.
 */
import { spawn } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import type { Socket } from 'node:net'
import { join } from 'node:path'
import { openRecorder, type Recorder } from '@custody/event-log'
import { type Event, uuidText, type Who } from '@custody/schemas'
import { clientProgram, type PostgresServer, psql, startPostgres } from '@custody/test-support'
import { Client } from 'pg'
import type { Proxy as RunningProxy } from '../../proxy'
import { proxyUnderTest } from './proxy-under-test'

const custody = proxyUnderTest('policy')
const { directory, events, home } = custody
const runbook = join(custody.directory, 'runbook.sql')
const policyFile = join(directory, 'own.cedar')
const POLICY = `
@id("all") permit (principal, action, resource);
@id("drop") @reason("a drop is for ever") @approvers("dba") @expires("30s") @remember("fingerprint 1h")
forbid (principal, action == Action::"sql:drop", resource) unless { context.approved };
@id("truncate") @reason("two must agree") @approvals("2") @comment("required") @expires("30s")
forbid (principal, action == Action::"sql:truncate", resource) unless { context.approved };
@id("grant") @reason("a grant needs security") @approvers("security") @approvals("2") @force("oncall") @expires("30s")
forbid (principal, action == Action::"sql:grant", resource) unless { context.approved };
@id("why") @alert("somebody said why") permit (principal, action == Action::"sql:insert", resource) when { context has reason };
@id("delete") @reason("soon over") @expires("1s")
forbid (principal, action == Action::"sql:delete", resource) unless { context.approved };
@id("salaries") @reason("salaries are nobody's business")
forbid (principal, action, resource) when { context.tables.contains("salaries") };
@id("roles") @reason("no other roles") forbid (principal, action == Action::"sql:set-role", resource);
`
let server: PostgresServer
let proxy: RunningProxy
let people: Recorder
let port: number
let token: string

beforeAll(async () => {
  server = await startPostgres({
    sql: 'create table salaries(a int); insert into salaries values (1); create role boss; create table t(a int); insert into t select generate_series(1, 10)',
  })
  writeFileSync(policyFile, POLICY)
  writeFileSync(
    runbook,
    '-- reviewed\ndrop table if exists stale;\ndelete from t where a = $1 and true;\n',
  )
  token = await custody.token({ subject: 'ada', email: 'ada@example.com' })
  ;({ proxy, port } = await custody.start(`
limits: {commandsHeldMax: 2}
policy: {files: [${policyFile}], preApproved: [{file: ${runbook}, approvedBy: ada, resources: [shop]}]}
resources:
  shop: ${server.resource({ database: server.database })}
`))
  people = await openRecorder({ directory: home.log, recorder: 'query-local', reserveBytes: 0 })
})

afterAll(async () => {
  await people?.close()
  await custody.stop()
  await server?.stop()
})

const url = (more = '') => `postgresql://ada:${token}@127.0.0.1:${port}/shop?sslmode=require${more}`

/** Waits for the request that is open now. */
async function requested(): Promise<Event> {
  for (;;) {
    const all = (await events()).filter(({ kind }) => kind.startsWith('approval.'))
    const last = all.at(-1)
    if (last?.kind === 'approval.requested') return last
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
}

function answer(request: Event, state: string, who: Partial<Who>, comment?: string): void {
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

const since = async (n: number) =>
  (await events())
    .slice(n)
    .filter(({ kind }) => /^(approval|command)\./.test(kind))
    .map(({ kind }) => kind)

const count = async (table: string) =>
  Number((await server.query(`select count(*) from ${table}`)).rows[0].count)

async function withClient<T>(use: (client: Client, notices: string[]) => Promise<T>): Promise<T> {
  const client = new Client({
    host: '127.0.0.1',
    port,
    user: 'ada',
    password: token,
    database: 'shop',
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

describe('blocked', () => {
  test('the client learns why, the target nothing, the record everything', async () => {
    const before = (await events()).length
    const { stderr, code } = await psql(url(), [
      '-v',
      'VERBOSITY=verbose',
      '-c',
      'select * from salaries',
    ])
    expect(code).toBe(1)
    expect(stderr).toMatch(
      /ERROR: +42501: custody refused the command: sql:select on salaries: salaries are nobody's business/,
    )
    expect(stderr).toMatch(/HINT: +CUSTODY-POLICY-002/)
    const blocked = (await events()).slice(before).find(({ kind }) => kind === 'command.blocked')!
    expect(blocked.statement!.text).toBe('select * from salaries')
    expect(blocked.decision).toMatchObject({ outcome: 'block', policies: ['salaries'] })
    expect(blocked.decision!.version).toMatch(/^[0-9a-f]{64}$/)
  })

  test('of several statements in a string none runs, and none counts as started', async () => {
    const before = (await events()).length
    const { code } = await psql(url(), ['-c', 'insert into t values (99); select * from salaries'])
    expect(code).toBe(1)
    expect(Number((await server.query('select count(*) from t where a = 99')).rows[0].count)).toBe(
      0,
    )
    expect(await since(before)).toEqual(['command.blocked'])
  })

  test('in the extended protocol, and the session goes on', async () => {
    await withClient(async (client) => {
      await expect(client.query('select * from salaries where a = $1', [1])).rejects.toMatchObject({
        code: '42501',
      })
      expect((await client.query('select $1::int as n', [7])).rows).toEqual([{ n: 7 }])
      await client.query('begin')
      await expect(client.query('select * from salaries')).rejects.toMatchObject({ code: '42501' })
      expect((await client.query('select 8 as n')).rows).toEqual([{ n: 8 }])
      await client.query('commit')
    })
  })

  test('a text is read as the target reads it, in any encoding, and while that changes', async () => {
    await server.query('drop table if exists gone; create table gone(a int)')
    const strict = join(custody.directory, 'strict.cedar')
    writeFileSync(
      strict,
      `@id("all") permit (principal, action, resource);
@id("drop") forbid (principal, action in [Action::"sql:drop", Action::"sql:unknown"], resource);`,
    )
    const { port: strictly } = await custody.start(
      `gateway: strict\npolicy: {files: [${strict}]}\nresources: {shop: ${server.resource({ database: server.database })}}`,
    )
    const password = await custody.token({ subject: 'ada' }, 'strict')
    const isThere = async () =>
      (await server.query("select to_regclass('gone') is not null as there")).rows[0].there
    const query = (bytes: Buffer) => {
      const head = Buffer.alloc(5)
      head.write('Q')
      head.writeInt32BE(bytes.length + 5, 1)
      return Buffer.concat([head, bytes, Buffer.from([0])])
    }
    /** Raw bytes one after the other, or all at once; what came back, as text. */
    const says = async (texts: (string | Buffer)[], atOnce = false): Promise<string> => {
      const client = new Client({
        host: '127.0.0.1',
        port: strictly,
        user: 'ada',
        password,
        database: 'shop',
      })
      client.on('error', () => {})
      await client.connect()
      const { stream } = (client as unknown as { connection: { stream: Socket } }).connection
      stream.removeAllListeners('data')
      let said = ''
      stream.on('data', (data) => {
        said += data.toString('latin1')
      })
      const bytes = texts.map((text) => query(Buffer.from(text as string)))
      const readies = () => said.split('Z\0\0\0\x05').length - 1
      if (atOnce) stream.write(Buffer.concat(bytes))
      for (const [i, one] of bytes.entries()) {
        if (!atOnce) stream.write(one)
        while (readies() <= i) await new Promise((resolve) => setTimeout(resolve, 5))
      }
      stream.destroy()
      return said
    }
    // 0x5c is a backslash here, and the second half of a character there.
    const hidden = (first: number) =>
      Buffer.concat([
        Buffer.from("select E'"),
        Buffer.from([first, 0x5c]),
        Buffer.from("'; drop table gone; --'"),
      ])
    for (const [encoding, first] of [
      ['SJIS', 0x83],
      ['BIG5', 0xa5],
      ['GBK', 0x81],
      ['UHC', 0x81],
      ['GB18030', 0x81],
    ] as const) {
      for (const atOnce of [false, true])
        await says([`set client_encoding = '${encoding}'`, hidden(first)], atOnce)
      expect([encoding, await isThere()]).toEqual([encoding, true])
    }
    // Taken back by the end of a transaction, and not reported before it has ended.
    const back = ["set client_encoding = 'SJIS'", "begin; set local client_encoding = 'UTF8'"]
    for (const end of ['rollback', 'commit']) {
      await says([...back, end, hidden(0x83)])
      await says([...back, `${end}; select 1`, hidden(0x83)], true)
    }
    // Taken back by an error, which is no command that sets anything.
    const both = Buffer.concat([Buffer.from('rollback; '), hidden(0x83)])
    await says([...back, 'select 1/0', both])
    await says([...back, Buffer.concat([Buffer.from('select 1/0\0'), query(both)])])
    const off = [
      'set standard_conforming_strings = off',
      'begin; set local standard_conforming_strings = on',
    ]
    const slashed = "rollback; select 'a\\', '; drop table gone; --'"
    await says([...off, Buffer.concat([Buffer.from('select 1/0\0'), query(Buffer.from(slashed))])])
    expect(await isThere()).toBe(true)
    // And what can be read is read: an ordinary statement in another encoding passes, under its own name.
    const spanish = Buffer.from('select \'a\u00f1o\' as "a\u00f1o"', 'latin1')
    expect(await says(["set client_encoding = 'LATIN1'", spanish])).toContain('SELECT 1')
    const started = (await custody.events('proxy-strict'))
      .filter(({ kind, who }) => kind === 'command.started' && who?.kind !== 'system')
      .at(-1)!
    expect(started.statement).toMatchObject({
      text: 'select \'a\u00f1o\' as "a\u00f1o"',
      understood: true,
    })
  })

  test('functions that planning runs are judged before there is a plan', async () => {
    await server.query(`create table if not exists planned(a int);
      create or replace function g() returns int language sql volatile as 'insert into planned values (1) returning a';
      create or replace function fg() returns int language plpgsql immutable as 'begin return g(); end'`)
    const calls = join(custody.directory, 'calls.cedar')
    writeFileSync(
      calls,
      `@id("all") permit (principal, action, resource);
@id("call") @reason("no functions") forbid (principal, action == Action::"sql:call", resource);`,
    )
    const { port: strictly } = await custody.start(
      `gateway: calls\npolicy: {files: [${calls}]}\nresources: {shop: ${server.resource({ database: server.database })}}`,
    )
    const client = new Client({
      host: '127.0.0.1',
      port: strictly,
      user: 'ada',
      password: await custody.token({ subject: 'ada' }, 'calls'),
      database: 'shop',
    })
    await client.connect()
    for (const sql of ['select fg()', 'explain select fg()'])
      await expect(client.query(sql)).rejects.toThrow('no functions')
    // Bound, and never executed.
    const { stream } = (client as unknown as { connection: { stream: Socket } }).connection
    const hears = stream.listeners('data') as ((data: Buffer) => void)[]
    stream.removeAllListeners('data')
    const said = await new Promise<string>((resolve) => {
      let all = ''
      stream.on('data', (data) => {
        all += data.toString('latin1')
        if (all.includes('Z\0\0\0\x05')) resolve(all)
      })
      const message = (type: string, body: string) => {
        const head = Buffer.alloc(5)
        head.write(type)
        head.writeInt32BE(body.length + 4, 1)
        return Buffer.concat([head, Buffer.from(body)])
      }
      stream.write(
        Buffer.concat([
          message('P', '\0select fg()\0\0\0'),
          message('B', '\0\0\0\0\0\0\0\0'),
          message('S', ''),
        ]),
      )
    })
    expect(said).toContain('no functions')
    stream.removeAllListeners('data')
    for (const hear of hears) stream.on('data', hear)
    expect((await client.query('select now() is not null as ok')).rows).toEqual([{ ok: true }])
    expect((await client.query('explain select 1')).rows.length).toBe(1)
    await client.end()
    expect((await server.query('select count(*)::int as n from planned')).rows).toEqual([{ n: 0 }])
  })

  test('settings made while signing in are judged as SET is', async () => {
    const { stderr } = await psql(url('&options=-c%20role%3Dboss'), ['-c', 'select 1'])
    expect(stderr).toMatch(
      /the setting role can't be made while signing in: sql:set-role on role: no other roles/,
    )
    expect(
      (await psql(url('&options=-c%20statement_timeout%3D5s'), ['-Atc', 'show statement_timeout']))
        .stdout,
    ).toBe('5s\n')
    expect((await psql(url(), ['-c', 'set role boss'])).stderr).toMatch(/no other roles/)
  })

  test('every decision names the policies and their version', async () => {
    const before = (await events()).length
    await psql(url(), ['-Atc', 'select 1'])
    const started = (await events()).slice(before).find(({ kind }) => kind === 'command.started')!
    expect(started.decision).toMatchObject({ outcome: 'allow', policies: ['all'] })
    expect(started.decision!.version).toMatch(/^[0-9a-f]{64}$/)
  })
})

describe('held', () => {
  test('psql shows why it waits and for whom, and goes on when somebody approves', async () => {
    await server.query('create table gone_1(a int)')
    const before = (await events()).length
    const running = psql(url(), ['-c', 'drop table gone_1'])
    const request = await requested()
    expect(request.statement!.text).toBe('drop table gone_1')
    expect(request.who!.subject).toBe('ada')
    expect(request.decision!.outcome).toBe('hold')
    expect(request.lifecycle!.attributes).toMatchObject({
      approvers: 'dba',
      remember: 'fingerprint 3600s',
    })
    expect(await count("pg_tables where tablename = 'gone_1'")).toBe(1)
    // None of these counts.
    answer(request, 'approved', { subject: 'ada' })
    answer(request, 'approved', { subject: 'ci', kind: 'service' })
    answer(request, 'approved', { subject: 'cy', groups: ['sales'] })
    answer(request, 'approved', { subject: 'ada@work', email: 'ADA@example.com' })
    await new Promise((resolve) => setTimeout(resolve, 200))
    expect(await count("pg_tables where tablename = 'gone_1'")).toBe(1)
    answer(request, 'approved', { email: 'bo@example.com' }, 'fine')
    const { code, stdout, stderr } = await running
    expect([code, stdout]).toEqual([0, 'DROP TABLE\n'])
    expect(stderr).toContain(
      `NOTICE:  custody holds the command: sql:drop on gone_1 needs an approval of dba: a drop is for ever`,
    )
    expect(stderr).toContain(`custody approve ${uuidText(request.approval!.request)}`)
    expect(stderr).toContain('NOTICE:  custody: approved by bo@example.com')
    expect(await count("pg_tables where tablename = 'gone_1'")).toBe(0)
    expect(await since(before)).toEqual([
      'approval.requested',
      'approval.approved',
      'command.started',
      'command.completed',
    ])
    const [approved, started] = (await events())
      .slice(before)
      .filter(({ kind }) => kind === 'approval.approved' || kind === 'command.started')
    expect(approved!.approval).toMatchObject({
      approver: { subject: 'bo' },
      channel: 'cli',
      comment: 'fine',
    })
    expect(approved!.approval!.waitedMicros).toBeGreaterThan(100_000)
    expect(started!.decision!.approval!.equals(request.approval!.request)).toBe(true)
  })

  test('what is sent behind a held request waits with it, and is answered in order', async () => {
    await withClient(async (client, notices) => {
      await client.query('create temp table held(a int)')
      const first = client.query('truncate held')
      const second = client.query('select 2 as n')
      const third = client.query('select $1::int as n', [3])
      const request = await requested()
      let done = false
      void second.then(() => {
        done = true
      })
      await new Promise((resolve) => setTimeout(resolve, 100))
      expect(done).toBe(false)
      answer(request, 'approved', {}) // no comment: it does not count
      answer(request, 'approved', {}, 'yes')
      answer(request, 'approved', {}, 'yes again') // the same person
      await new Promise((resolve) => setTimeout(resolve, 100))
      expect(done).toBe(false)
      answer(request, 'approved', { subject: 'di' }, 'yes')
      await first
      expect((await second).rows).toEqual([{ n: 2 }])
      expect((await third).rows).toEqual([{ n: 3 }])
      expect(notices).toHaveLength(2)
    })
  })

  test('a prepared statement is held when it is executed, with its parameters', async () => {
    await withClient(async (client, notices) => {
      const running = client.query('delete from t where a = $1', [5])
      const request = await requested()
      expect(request.statement).toMatchObject({
        text: 'delete from t where a = $1',
        parameters: [{ value: '5' }],
      })
      // The client is told although it has not sent a Sync that was passed on.
      for (let i = 0; notices.length === 0 && i < 100; i++)
        await new Promise((resolve) => setTimeout(resolve, 5))
      expect(notices[0]).toMatch(
        /custody holds the command: sql:delete on t needs an approval: soon over/,
      )
      answer(request, 'denied', { groups: [] }, 'not today')
      await expect(running).rejects.toMatchObject({
        code: '42501',
        message: expect.stringMatching(/denied by bo: not today/),
      })
      expect((await client.query('select count(*)::int as n from t where a = 5')).rows).toEqual([
        { n: 1 },
      ])
    })
  })

  test('nobody answers: it ends, and says so', async () => {
    const before = (await events()).length
    const { stderr, code } = await psql(url(), ['-c', 'delete from t where a = 6'])
    expect(code).toBe(1)
    expect(stderr).toMatch(
      /nobody approved it in time \(sql:delete on t needs an approval: soon over\)/,
    )
    expect(stderr).toMatch(/CUSTODY-POLICY-004/)
    expect(await since(before)).toEqual([
      'approval.requested',
      'approval.expired',
      'command.blocked',
    ])
  })

  test('the client cancels: it ends at once, and nothing at the target is cancelled', async () => {
    await server.query('create table kept(a int)')
    const before = (await events()).length
    const child = spawn(
      clientProgram('psql'),
      ['-X', '-d', url(), '-c', 'drop table if exists kept cascade'],
      { stdio: ['ignore', 'ignore', 'pipe'] },
    )
    let stderr = ''
    child.stderr.on('data', (data) => {
      stderr += data
    })
    const request = await requested()
    child.kill('SIGINT')
    await new Promise((resolve) => child.once('close', resolve))
    expect(stderr).toMatch(/canceled by the client while it was held/)
    answer(request, 'approved', {}) // too late
    await new Promise((resolve) => setTimeout(resolve, 100))
    expect(await count("pg_tables where tablename = 'kept'")).toBe(1)
    expect(await since(before)).toEqual([
      'approval.requested',
      'approval.withdrawn',
      'command.blocked',
    ])
  })

  test('the client goes away: the request is withdrawn, and nothing runs afterwards', async () => {
    const before = (await events()).length
    const child = spawn(
      clientProgram('psql'),
      ['-X', '-d', url(), '-c', 'drop table if exists kept, kept'],
      { stdio: 'ignore' },
    )
    const request = await requested()
    child.kill('SIGKILL')
    for (let i = 0; i < 200 && !(await since(before)).includes('approval.withdrawn'); i++)
      await new Promise((resolve) => setTimeout(resolve, 10))
    answer(request, 'approved', {})
    await new Promise((resolve) => setTimeout(resolve, 150))
    expect(await count("pg_tables where tablename = 'kept'")).toBe(1)
    expect(await since(before)).toEqual(['approval.requested', 'approval.withdrawn'])
  })

  test('more than may wait is refused, and the session goes on', async () => {
    const clients = [1, 2, 3].map(() => new Client({ connectionString: url('&sslmode=no-verify') }))
    await Promise.all(clients.map((client) => client.connect()))
    const held = clients.slice(0, 2).map((client) => client.query('delete from t where a = 1'))
    const ended = Promise.allSettled(held)
    while ((await events()).filter(({ kind }) => kind === 'approval.requested').length === 0)
      await new Promise((resolve) => setTimeout(resolve, 10))
    await expect(clients[2]!.query('delete from t where a = 2')).rejects.toMatchObject({
      code: '53400',
      hint: expect.stringContaining('CUSTODY-POLICY-006'),
    })
    expect((await clients[2]!.query('select 1 as one')).rows).toEqual([{ one: 1 }])
    for (const one of await ended) expect(one.status).toBe('rejected')
    await Promise.all(clients.map((client) => client.end()))
  })

  test('what was approved beforehand runs at once, and the record says by whom; anything near it does not', async () => {
    const client = new Client({ connectionString: url('&sslmode=no-verify') })
    await client.connect()
    await client.query('drop table if exists stale')
    const [started] = (await events()).filter(
      ({ kind, statement }) => kind === 'command.started' && statement?.text?.includes('stale'),
    )
    expect(started!.decision).toMatchObject({
      outcome: 'allow',
      policies: expect.arrayContaining([`pre-approved:${runbook}`]),
      reason: expect.stringContaining('approved beforehand by ada'),
    })
    // Prepared, with any value.
    await client.query('delete from t where a = $1 and true', [-1])
    await expect(client.query('delete from t where a = $1 or true', [-1])).rejects.toThrow(
      'in time',
    )
    // The statement of this name may be another one: then its words prove nothing.
    await client.query({ name: 's', text: 'delete from t where a = $1 and true', values: [-1] })
    await client.query('deallocate s; prepare s as select 1')
    const again = client.query({
      name: 's',
      text: 'delete from t where a = $1 and true',
      values: [-1],
    })
    await expect(again).rejects.toThrow()
    await client.end()
  })

  test('in an emergency one person may do for all, with a word why, and an alert', async () => {
    const psqlEnds = psql(url(), ['-c', 'grant select on t to boss'])
    const request = await requested()
    expect(request.lifecycle?.attributes).toMatchObject({ force: 'oncall', approvers: 'security' })
    answer(request, 'forced', { subject: 'cy', groups: ['security'] }, 'me too')
    answer(request, 'forced', { groups: ['oncall'] })
    answer(request, 'approved', { groups: ['oncall'] }, 'no')
    await new Promise((resolve) => setTimeout(resolve, 300))
    expect((await events()).at(-1)!.kind).toBe('approval.requested')
    answer(request, 'forced', { groups: ['oncall'] }, 'INC-9')
    expect((await psqlEnds).stdout).toBe('GRANT\n')
    const all = await events()
    const alert = all.find(({ kind }) => kind === 'alert.approval-forced')!
    expect(alert).toMatchObject({
      statement: { text: 'grant select on t to boss' },
      approval: { approver: { subject: 'bo' }, comment: 'INC-9' },
      lifecycle: { reason: 'forced by bo' },
    })
  })

  test('a policy’s alert is raised once a session', async () => {
    const options = encodeURIComponent('-c custody.reason=INC-3')
    const ran = await psql(url(`&options=${options}`), [
      '-c',
      'insert into t values (100)',
      '-c',
      'insert into t values (101)',
    ])
    expect(ran.stdout).toBe('INSERT 0 1\nINSERT 0 1\n')
    const alerts = (await events()).filter(({ kind }) => kind === 'alert.policy')
    expect(alerts.map(({ lifecycle }) => lifecycle?.reason)).toEqual(['somebody said why'])
  })

  test('an approval is remembered for the same fingerprint in the same session, and for no other', async () => {
    await server.query(
      'create table same_1(a int); create table same_2(a int); create table same_3(a int)',
    )
    await withClient(async (client) => {
      const first = client.query('drop table same_1')
      answer(await requested(), 'approved', {})
      await first
      await server.query('create table same_1(a int)')
      await client.query('drop table same_1') // not held again
      const other = client.query('drop view if exists nothing_like_it')
      const request = await requested()
      expect(request.statement!.text).toContain('drop view')
      answer(request, 'denied', {})
      await expect(other).rejects.toMatchObject({ code: '42501' })
    })
    const another = psql(url(), ['-c', 'drop table same_1'])
    answer(await requested(), 'denied', {})
    expect((await another).code).toBe(1)
  })

  test('of several statements each that is held is asked for, and all run together', async () => {
    await server.query('create table multi(a int)')
    const running = psql(url(), ['-c', 'insert into multi values (1); drop table multi; select 5'])
    const request = await requested()
    expect(request.statement).toMatchObject({ text: 'drop table multi', index: 1, count: 3 })
    answer(request, 'approved', {})
    expect((await running).code).toBe(0)
    expect(await count("pg_tables where tablename = 'multi'")).toBe(0)
  })
})

describe('what a database has made its own', () => {
  test('a view made and read in one pipeline, before any Sync, is not taken for a table', async () => {
    await server.query(
      "create function touch() returns int language plpgsql as 'begin insert into t values (4711); return 1; end'",
    )
    const before = (await events()).length
    await withClient(async (client) => {
      const { connection } = client as unknown as {
        connection: Record<string, (o?: object) => void> & {
          once(event: string, done: () => void): void
        }
      }
      const ready = new Promise<void>((resolve) => connection.once('readyForQuery', resolve))
      for (const text of [
        'create view touching as select touch() as a',
        'select * from touching',
      ]) {
        connection.parse!({ text, name: '' })
        connection.bind!({ values: [] })
        connection.execute!({})
      }
      connection.sync!()
      await ready
    })
    const started = (await events())
      .slice(before)
      .filter(({ kind, who }) => kind === 'command.started' && who?.subject === 'ada')
    expect(started.map(({ statement }) => statement!.text)).toEqual([
      'create view touching as select touch() as a',
      'select * from touching',
    ])
    // In the transaction that made it nothing is known about it.
    expect(started[1]!.decision!.policies).toEqual(['all'])
    // Afterwards it is known for what it is.
    const explained = (await events()).length
    await psql(url(), ['-c', 'select * from touching'])
    const read = (await events())
      .slice(explained)
      .find(({ kind, who }) => kind === 'command.started' && who?.subject === 'ada')!
    expect(read.statement!.verbs).toContain('sql:call')
  })
})

test('what an error makes the target pass over is not waited for, though a query is among it', async () => {
  const before = (await events()).length
  await withClient(async (client) => {
    const { connection } = client as unknown as {
      connection: Record<string, (o?: object | string) => void> & {
        stream: Socket
        once(event: string, done: () => void): void
      }
    }
    const ready = new Promise<void>((resolve) => connection.once('readyForQuery', resolve))
    connection.stream.cork()
    connection.parse!({ text: 'select 1/0', name: '' })
    connection.bind!({ values: [] })
    connection.execute!({})
    connection.query!('create view never as select 1')
    // Decided on once it is known what the view has changed.
    connection.query!('select count(*) from t')
    connection.sync!()
    connection.stream.uncork()
    await ready
  })
  const ended = (await events())
    .slice(before)
    .filter(({ kind, who }) => kind === 'command.completed' && who?.subject === 'ada')
  expect(ended.map(({ response }) => response!.status)).toContain('skipped')
  expect(await count("pg_views where viewname = 'never'")).toBe(0)
})

describe('policies change while sessions run', () => {
  const rewrite = async (text: string, until: () => Promise<boolean>) => {
    writeFileSync(policyFile, text)
    for (let i = 0; i < 60 && !(await until()); i++)
      await new Promise((resolve) => setTimeout(resolve, 50))
  }

  test('a good set takes effect on open sessions; a broken one leaves the old in force and says so', async () => {
    await withClient(async (client) => {
      await client.query('select 1 as before')
      const old = proxy.status().policy.version
      await rewrite(
        `${POLICY}\n@id("t") @reason("t is closed") forbid (principal, action, resource) when { context.tables.contains("t") };`,
        async () => proxy.status().policy.version !== old,
      )
      await expect(client.query('select * from t')).rejects.toMatchObject({
        message: expect.stringMatching(/t is closed/),
      })
      const now = proxy.status().policy.version
      await rewrite(
        'permit (principal, action, resource',
        async () => proxy.status().policy.problem !== null,
      )
      expect(proxy.status().policy).toMatchObject({
        version: now,
        problem: expect.stringMatching(/own\.cedar:1/),
      })
      await expect(client.query('select * from t')).rejects.toMatchObject({ code: '42501' })
      await rewrite(POLICY, async () => proxy.status().policy.version === old)
      await client.query('select * from t')
    })
    const changes = (await events()).filter(({ kind }) => kind.startsWith('configuration.'))
    expect(changes.map(({ kind }) => kind)).toEqual([
      'configuration.changed',
      'configuration.changed',
      'configuration.refused',
      'configuration.changed',
    ])
    expect(changes[1]!.configuration!.before!.equals(changes[0]!.configuration!.after!)).toBe(true)
  })

  test('a proxy with a broken set does not start', async () => {
    const bad = join(directory, 'bad.cedar')
    writeFileSync(bad, 'permit (')
    await expect(custody.start(`gateway: other\npolicy: {files: [${bad}]}`)).rejects.toMatchObject({
      code: 'CUSTODY-POLICY-001',
    })
  })
})
