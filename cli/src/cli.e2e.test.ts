/** The command as a person and a program use it, against everything `npm start` starts. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { PassThrough } from 'node:stream'
import { psql, standaloneUnderTest } from '@custody/test-support'
import { custody } from './cli'

const standalone = standaloneUnderTest('cli')
const {
  directory,
  environment: { CUSTODY_HOME },
} = standalone

beforeAll(() => standalone.start(), 120_000)
afterAll(() => standalone.stop())

async function run(
  words: string[],
  environment: NodeJS.ProcessEnv = {},
): Promise<{ code: number; out: string; error: string }> {
  const streams = { stdout: new PassThrough(), stderr: new PassThrough() }
  let out = ''
  let error = ''
  streams.stdout.on('data', (data) => {
    out += data
  })
  streams.stderr.on('data', (data) => {
    error += data
  })
  const code = await custody(
    words,
    { ...streams, environment: { ...process.env, CUSTODY_HOME, ...environment } },
    directory,
  )
  await new Promise((resolve) => setImmediate(resolve))
  return { code, out, error }
}

const lines = (text: string) =>
  text
    .trim()
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line))

const pasted = () => /psql "(postgresql:[^"]+)"/.exec(standalone.said())![1]!

test('the pasted line, then the timeline: statement, rows, digest, duration', async () => {
  const answer = await psql(pasted(), [
    '-At',
    '-c',
    'select id, city from customers order by id limit 3',
  ])
  expect(answer.code).toBe(0)
  const { code, out } = await run(['timeline', 'last', '--json'])
  expect(code).toBe(0)
  const [shown] = lines(out)
  expect(shown.session).toMatchObject({ resource: 'demo', state: 'closed', complete: true })
  const command = shown.timeline.find((entry: { kind: string }) => entry.kind === 'command')
  expect(command).toMatchObject({
    statement: {
      text: 'select id, city from customers order by id limit 3',
      verbs: ['sql:select'],
      objects: [{ name: 'customers' }],
    },
    decision: { outcome: 'allow' },
    response: { status: 'ok', rows: 3, tag: 'SELECT 3' },
  })
  expect(command.response.digest).toMatch(/^[0-9a-f]{64}$/)
  expect(command.response.durationMicros).toBeGreaterThan(0)
})

test('and the replay shows the rows that came back, in bytes that have the recorded digest', async () => {
  const people = await run(['replay', 'last'])
  expect(people.code).toBe(0)
  expect(people.out).toMatch(/> select id, city from customers/)
  expect(people.out).toMatch(/ id │ city/)
  expect(people.out).toMatch(/SELECT 3/)
  const [shown] = lines((await run(['replay', 'last', '--json'])).out)
  const command = shown.replay.find((entry: { kind: string }) => entry.kind === 'command')
  expect(command.digestHolds).toBe(true)
  expect(command.shown[0].rows).toHaveLength(3)
})

test('every table has its JSON', async () => {
  expect((await run(['timeline'])).out).toMatch(/sql:select\s+ok\s+3/)
  expect((await run(['sessions'])).out).toMatch(/SESSION +OPENED/)
  const [session] = lines((await run(['sessions', '--json', '--limit', '1'])).out)
  expect(session.commands).toBe(1)
  expect((await run(['timeline', session.id.slice(0, 18)])).out).toContain(session.id)
  expect((await run(['status'])).out).toMatch(/demo +postgres/)
  expect(lines((await run(['status', '--json'])).out)[0]).toMatchObject({ store: 'ok', behind: 0 })
})

test('events by filter, page by page', async () => {
  const all = lines((await run(['events', '--all', '--json', '--order', 'asc'])).out)
  expect(all.length).toBeGreaterThan(8)
  const times = all.map(({ time }) => time)
  expect(times).toEqual([...times].sort())
  const found = async (...filter: string[]) =>
    lines((await run(['events', '--json', ...filter])).out)
  expect(await found('--object', 'customers', '--kind', 'command.started')).toHaveLength(1)
  expect(await found('--text', 'ORDER BY id', '--kind', 'command.*')).toHaveLength(1)
  expect(await found('--text', 'nobody said this')).toEqual([])
  expect((await found('--kind', 'audit.*', '--limit', '1')).length).toBe(1)
  expect((await run(['events', '--limit', '1'])).error).toMatch(/there are more/)
})

test('reads are events: who looked at what', async () => {
  await run(['timeline', 'last'])
  const events = lines(
    (await run(['events', '--json', '--kind', 'audit.timeline', '--limit', '1'])).out,
  )
  expect(events[0]).toMatchObject({ audit: { action: 'timeline' } })
})

test('connect starts psql with a fresh token, or prints a URL that works', async () => {
  const [printed] = (await run(['connect', 'demo', '--print'])).out.trim().split('\n')
  expect((await psql(printed!, ['-At', '-c', 'select 42'])).stdout).toBe('42\n')
  expect(await run(['connect', 'nothing'])).toMatchObject({
    code: 1,
    error: expect.stringContaining('CUSTODY-CLI-004'),
  })
  expect(await run(['connect', 'demo'], { PATH: directory })).toMatchObject({
    code: 1,
    error: expect.stringContaining('CUSTODY-CLI-003'),
  })
})

test('a token works until it is revoked', async () => {
  const [issued] = lines(
    (await run(['token', '--subject', 'ci', '--kind', 'service', '--ttl', '5m', '--json'])).out,
  )
  const url = pasted().replace(/\/\/[^@]+@/, `//ci:${issued.token}@`)
  expect((await psql(url, ['-At', '-c', 'select 1'])).code).toBe(0)
  expect((await run(['token', 'revoke', issued.id])).code).toBe(0)
  const refused = await psql(url, ['-At', '-c', 'select 1'])
  expect(refused.code).not.toBe(0)
  expect(refused.stderr).toMatch(/revoked/)
})

test('a holder of a token sees their own sessions only, and may issue nothing', async () => {
  const [issued] = lines((await run(['token', '--subject', 'eve', '--json'])).out)
  expect(lines((await run(['sessions', '--json'], { CUSTODY_TOKEN: issued.token })).out)).toEqual(
    [],
  )
  expect(await run(['token'], { CUSTODY_TOKEN: issued.token })).toMatchObject({
    code: 1,
    error: expect.stringContaining('CUSTODY-API-002'),
  })
  expect((await run(['sessions'], { CUSTODY_TOKEN: 'nonsense' })).code).toBe(1)
})

test('log and store are compared, and Kafka only where there is one', async () => {
  const people = await run(['verify', '--pipeline'])
  expect(people.error).toBe('custody: asking the store\n')
  expect(people.code).toBe(0)
  expect(people.out).toMatch(/^RECORDER\s+LOG\s+TO STORE\s+STORE\n/)
  expect(people.out).toMatch(/The log and the store hold the same unbroken sequences\.\n$/)
  const programs = await run(['verify', '--pipeline', '--since', '1d', '--json'])
  const [result] = lines(programs.out)
  expect(result).toMatchObject({ ok: true, places: ['log', 'store'], findings: [] })
  for (const { toStore, log, store } of result.recorders) expect(store + toStore).toBe(log)
  for (const words of [
    ['--since', '1d'],
    ['--pipeline', '--recorder', 'x'],
    ['--pipeline', '--since', 'x'],
  ])
    expect((await run(['verify', ...words])).code).toBe(2)
})

test('the log of a running Custody verifies', async () => {
  const { code, out } = await run(['verify'])
  expect(out).toMatch(/The chain holds/)
  expect(code).toBe(0)
})

test('what is wrong is said, with the exit code for it', async () => {
  for (const words of [
    ['nope'],
    ['timeline', 'a', 'b'],
    ['sessions', '--limit', 'x'],
    ['events', '--since', 'soon'],
    ['token', '--ttl', '1y'],
    ['config'],
    ['verify', '/nowhere'],
    [],
  ])
    expect({ words, ...(await run(words)) }).toMatchObject({ words, code: 2 })
  expect(await run(['timeline', 'ffffffff'])).toMatchObject({
    code: 1,
    error: expect.stringMatching(/CUSTODY-API-003[\s\S]*Did you mean/),
  })
  const failed = await run(['status', '--json'], { CUSTODY_HOME: join(directory, 'empty') })
  expect(failed.code).toBe(1)
  expect(JSON.parse(failed.error).error.code).toBe('CUSTODY-CLI-001')
})

test('a configuration is checked where it lies', async () => {
  const file = join(directory, 'own.yaml')
  writeFileSync(file, 'gateway: office\nresources: {}\n')
  expect(await run(['config', 'check', file])).toMatchObject({ code: 0 })
  writeFileSync(file, 'gatewai: office\n')
  expect(await run(['config', 'check', file])).toMatchObject({
    code: 1,
    error: expect.stringContaining('gatewai'),
  })
  expect((await run(['config', 'check', join(directory, 'none.yaml')])).code).toBe(1)
})

test('help of everything', async () => {
  const all = await run(['help'])
  expect(all.code).toBe(0)
  for (const [, name] of all.out.matchAll(/^ {2}custody ([\w-]+)/gm)) {
    const one = await run([name!, '--help'])
    expect(one.code).toBe(0)
    expect(one.out).toMatch(/--json/)
    expect((await run(['help', name!])).out).toBe(one.out)
  }
  expect((await run(['--version'])).out).toMatch(/^\d+\.\d+\.\d+\n$/)
})

describe('a second person', () => {
  const token = async (...words: string[]) =>
    lines((await run(['token', '--json', ...words])).out)[0].token as string
  async function waiting(environment: NodeJS.ProcessEnv = {}) {
    for (;;) {
      const found = lines((await run(['approvals', '--json'], environment)).out)
      if (found.length > 0) return found[0]
    }
  }

  test('a DROP waits, is seen with all that an approver needs, and runs when somebody else approves', async () => {
    expect((await run(['approvals'])).out).toBe('Nothing waits for an answer.\n')
    const dropping = psql(pasted(), [
      '-c',
      'create table doomed (a int)',
      '-c',
      'drop table doomed',
    ])
    const request = await waiting()
    expect(request).toMatchObject({
      state: 'waiting',
      statement: { text: 'drop table doomed', verbs: ['sql:drop'] },
      decision: {
        outcome: 'hold',
        policies: ['allow-everything', 'no-destructive-without-approval'],
      },
      reason: expect.stringMatching(/can't be taken back/),
    })
    const table = (await run(['approvals'])).out
    expect(table).toMatch(/waiting, \d+ min left/)
    const one = (await run(['approvals', request.id.slice(0, 13)])).out
    expect(one).toMatch(/Asked by .* human/)
    expect(one).toMatch(/Does +sql:drop/)
    expect(one).toMatch(/To +doomed/)
    expect(one).toMatch(/^ {2}drop table doomed$/m)

    // The one who asks can't answer, nor can a service; somebody who has no part in it does not even see it.
    const you = decodeURIComponent(/postgresql:\/\/([^:]+):/.exec(pasted())![1]!)
    const own = await run(['approve', request.id], { CUSTODY_TOKEN: await token('--subject', you) })
    expect(own).toMatchObject({
      code: 1,
      error: expect.stringMatching(/nobody answers their own request/),
    })
    const ci = await run(['approve', request.id], {
      CUSTODY_TOKEN: await token('--subject', 'ci', '--kind', 'service'),
    })
    expect(ci).toMatchObject({ code: 1, error: expect.stringMatching(/there is no request/) })

    const approved = await run(['approve', request.id, '--comment', 'INC-42'], {
      CUSTODY_TOKEN: await token('--subject', 'bo', '--email', 'bo@example.com'),
    })
    expect(approved).toMatchObject({ code: 0, out: `approved: ${request.id}\n` })
    const { code, stdout, stderr } = await dropping
    expect([code, stdout]).toEqual([0, 'CREATE TABLE\nDROP TABLE\n'])
    expect(stderr).toMatch(/custody: approved by bo@example.com/)

    const again = await run(['approve', request.id])
    expect(again).toMatchObject({
      code: 1,
      error: expect.stringMatching(/CUSTODY-API-009.*is approved; there is nothing to answer/s),
    })
    const timeline = (await run(['timeline', 'last'])).out
    expect(timeline).toMatch(/approval.requested/)
    expect(timeline).toMatch(/approval.approved .*by bo@example.com · INC-42/)
    const [whole] = lines((await run(['approvals', request.id, '--json'])).out)
    expect(whole).toMatchObject({
      state: 'approved',
      answers: [{ state: 'approved', who: { subject: 'bo' }, channel: 'cli', comment: 'INC-42' }],
    })
    expect(lines((await run(['approvals', '--state', 'all', '--json'])).out)).toHaveLength(1)
  })

  test('denied, with the comment', async () => {
    const truncating = psql(pasted(), ['-c', 'truncate salaries'])
    const request = await waiting()
    expect((await run(['deny', request.id, '--comment', 'not on a Saturday'])).out).toBe(
      `denied: ${request.id}\n`,
    )
    const { code, stderr } = await truncating
    expect(code).toBe(1)
    expect(stderr).toMatch(/denied by administrator:.*: not on a Saturday/)
  })

  test('a write without WHERE is blocked, and the timeline says by what', async () => {
    const { stderr } = await psql(pasted(), ['-c', 'delete from payments where id = id'])
    expect(stderr).toMatch(/CUSTODY-POLICY-002|need a WHERE that says which rows/)
    expect((await run(['timeline', 'last'])).out).toMatch(
      /command.blocked +block .*delete from payments where id = id/,
    )
  })
})

describe('an open session', () => {
  async function sleeping(url: string) {
    const ended = psql(url, ['-c', 'select pg_sleep(60)'])
    for (;;) {
      const [session] = lines((await run(['sessions', '--json', '--limit', '1'])).out)
      if (session.state === 'open' && session.commands === 1) return { session, ended }
    }
  }

  test('is ended by who may, and its client is told by whom', async () => {
    const { session, ended } = await sleeping(pasted())
    const other = lines((await run(['token', '--json', '--subject', 'nosy'])).out)[0].token
    expect(await run(['kill', session.id], { CUSTODY_TOKEN: other })).toMatchObject({
      code: 1,
      error: expect.stringMatching(/there is no session/),
    })
    const { code, out } = await run(['kill', session.id, '--reason', 'INC-42'])
    expect([code, out]).toEqual([0, expect.stringMatching(/: closed, ended by administrator:/)])
    expect((await ended).stderr).toMatch(/FATAL: +custody: ended by administrator:/)
    expect(await run(['kill', session.id])).toMatchObject({
      code: 1,
      error: expect.stringMatching(/is closed/),
    })
    const [event] = lines((await run(['events', '--kind', 'session.kill', '--json'])).out)
    expect(event).toMatchObject({ parent: session.id, lifecycle: { reason: 'INC-42' } })
  })

  test('ends when its identity is locked, which then stays out until it is unlocked', async () => {
    const token = lines(
      (await run(['token', '--json', '--subject', 'eve', '--email', 'Eve@example.com'])).out,
    )[0].token
    const url = pasted().replace(/\/\/[^@]*@/, `//eve:${token}@`)
    const { ended } = await sleeping(url)
    expect((await run(['lock'])).out).toBe('Nobody is locked.\n')
    expect((await run(['lock', 'eve@example.com', '--reason', 'laptop stolen'])).code).toBe(0)
    expect((await ended).stderr).toMatch(/FATAL: +custody: the identity is locked/)
    expect((await psql(url, ['-c', 'select 1'])).stderr).toMatch(/the identity is locked/)
    expect((await run(['lock'])).out).toMatch(/eve@example.com .* laptop stolen/)
    expect((await run(['unlock', 'eve@example.com'])).code).toBe(0)
    expect((await psql(url, ['-Atc', 'select 1'])).stdout).toBe('1\n')
    expect(await run(['unlock', 'nobody'])).toMatchObject({
      code: 1,
      error: expect.stringMatching(/nobody is not locked/),
    })
  })

  test('ends when its token is revoked', async () => {
    const { token, id } = lines((await run(['token', '--json', '--subject', 'fay'])).out)[0]
    const { ended } = await sleeping(pasted().replace(/\/\/[^@]*@/, `//fay:${token}@`))
    await run(['token', 'revoke', id])
    expect((await ended).stderr).toMatch(/FATAL: +custody: the token was revoked/)
  })
})

describe('policies before they are in force', () => {
  test('check, templates', async () => {
    expect((await run(['policy', 'check'])).out).toMatch(/no-write-without-where +forbid/)
    expect((await run(['policy', 'templates'])).out).toMatch(/^read-only-analyst +Reading/m)
    expect((await run(['policy', 'templates', 'break-glass'])).out).toMatch(/@id\("break-glass"\)/)
    const bad = join(directory, 'bad.cedar')
    writeFileSync(bad, '@id("x")\npermit (principal, action == Action::"sql:slect", resource);')
    expect(await run(['policy', 'check', '--file', bad])).toMatchObject({
      code: 1,
      error: expect.stringMatching(/CUSTODY-POLICY-001: .*bad.cedar:2: .*did you mean/s),
    })
  })

  test('explain', async () => {
    const held = await run(['policy', 'explain', 'drop table salaries'])
    expect(held).toMatchObject({
      code: 1,
      out: expect.stringMatching(/hold: .*sql:drop on salaries/s),
    })
    expect(held.out).toMatch(
      /by +no-destructive-without-approval \(template no-destructive-without-approval:\d+\)/,
    )
    const [json] = lines(
      (
        await run([
          'policy',
          'explain',
          '--json',
          '--template',
          'read-only-analyst',
          'update t set a = 1',
        ])
      ).out,
    )
    expect(json).toMatchObject({
      outcome: 'block',
      facts: { verbs: ['sql:update'], breadth: { 'sql:update': 'all' } },
    })
    expect((await run(['policy', 'explain', 'select 1'])).code).toBe(0)
  })

  test('test', async () => {
    const cases = join(directory, 'cases.yaml')
    writeFileSync(
      cases,
      '- {statement: drop table t, expect: hold}\n- {name: an approved drop, statement: drop table t, approved: true, expect: allow}\n- {name: deletes, statement: delete from t, expect: allow}\n',
    )
    const { code, out } = await run(['policy', 'test', cases])
    expect(code).toBe(1)
    expect(out).toBe(
      'ok    case 1\nok    an approved drop\nWRONG deletes: block, not allow: sql:delete on t: UPDATE and DELETE need a WHERE that says which rows\n2 of 3 cases as expected\n',
    )
    writeFileSync(cases, '- {expect: allow}\n')
    expect(await run(['policy', 'test', cases])).toMatchObject({
      code: 1,
      error: expect.stringMatching(/CUSTODY-CLI-006: .*case 1: needs a statement/),
    })
  })

  test('backtest: what the record would look like under other policies', async () => {
    const made = await psql(pasted(), [
      ...['-c', "create view numbered as select set_config('own.x', '1', true), id from customers"],
      ...['-c', 'select id from numbered limit 1'],
    ])
    expect(made.code).toBe(0)
    const { code, out } = await run([
      'policy',
      'backtest',
      '--template',
      'read-only-analyst',
      '--since',
      '1h',
    ])
    expect(code).toBe(0)
    expect(out).toMatch(/allow +block +\d+ .*create table doomed/)
    expect(out).toMatch(/hold +block +\d+ .*drop table doomed/)
    expect(out).not.toMatch(/select id, city/)
    // That it calls is not in its text; the database knew, and so does the record.
    expect(out).toMatch(/allow +block +\d+ .*sql:call on numbered.* select id from numbered/)
    const same = await run(['policy', 'backtest', '--since', '1h'])
    expect(same.out).toMatch(/all would be decided as they were/)
  })
})
