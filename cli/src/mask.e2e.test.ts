/** Masking before and after it is in force: `custody mask`, and how what was masked or shown is told of afterwards. */
import { existsSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseConfiguration } from '@custody/kit'
import {
  type PostgresServer,
  psql,
  runProgram,
  standaloneUnderTest,
  startPostgres,
} from '@custody/test-support'

const custody = standaloneUnderTest('mask', (directory) => ({
  CUSTODY_CONFIG: join(directory, 'custody.yaml'),
  CUSTODY_TOKEN: undefined,
}))
const file = (name: string) => join(custody.directory, name)
const CARD = '4111 1111 1111 1111'
const FIXTURE = `
create table customers(id int primary key, name text, contact text, card text, born date, note text);
insert into customers select n, 'Person ' || n, 'person' || n || '@example.com', '${CARD}', '1984-03-17', null from generate_series(1, 10) n;
update customers set note = 'write to me@example.com' where id = 1;
create table logins(id int, user_password text, phone_verified boolean, "token count" int, tagged text);
insert into logins select n, md5(n::text), true, n, 'x' || n || '@example.com' from generate_series(1, 10) n;
comment on column logins.tagged is 'custody:pii';
create table "odd (one)"("e-mail's.address" text, "line
break password" text, plain text);
insert into "odd (one)" values ('a@example.com', 'b', 'c');
create table hidden("secret" text);
revoke all on hidden from public;
create role place;
`
let server: PostgresServer

const MASKING = `
masking:
  rules:
    - {id: names, columns: ['customers.name'], groups: [support]}
    - {id: names-shown, columns: ['customers.name'], action: hash}
    - {id: births, columns: ['*.born'], action: truncate, to: year}
    - {id: email, tagged: [pii]}
    - {id: places, columns: ['trips.place'], action: drop-row}
`

beforeAll(async () => {
  server = await startPostgres({ sql: FIXTURE })
  writeFileSync(
    file('reveal.cedar'),
    `@id("all") permit (principal, action, resource);
@id("fraud-sees-names") permit (principal in Group::"fraud", action == Action::"data:reveal", resource)
when { context has object && context.object.name == "public.customers.name" };
`,
  )
  configure(MASKING)
  await custody.start()
}, 180_000)

afterAll(async () => {
  await custody.stop()
  await server?.stop()
})

function configure(masking: string, to = 'custody.yaml'): string {
  const shop = server.resource({ database: server.database })
  writeFileSync(
    file(to),
    `policy: {files: [${file('reveal.cedar')}]}\nresources: {shop: ${shop}}\n${masking}`,
  )
  return file(to)
}

async function run(words: string[], more: { input?: string; env?: NodeJS.ProcessEnv } = {}) {
  const { code, stdout, stderr } = await runProgram(
    process.execPath,
    [join(__dirname, '../bin/custody.js'), ...words],
    { env: { ...custody.environment, ...more.env }, input: more.input },
  )
  return { code, out: stdout, error: stderr }
}

const lines = (text: string) =>
  text
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line))

function sample(name: string, text: string): string {
  writeFileSync(file(name), text)
  return file(name)
}

async function ask(sql: string, ...groups: string[]) {
  const words = groups.flatMap((group) => ['--group', group])
  const { url } = lines((await run(['connect', 'shop', '--json', ...words])).out)[0]
  return psql(url, ['-At', '-c', sql])
}

describe('custody mask test', () => {
  test('CSV, with quotes, commas and line ends in values', async () => {
    const csv = sample(
      'quoted.csv',
      `name,note,born\r\n"Quill, ""Ada""","card ${CARD}\nsecond line",1984-03-17\r\nBo,,\r\n`,
    )
    const { code, out, error } = await run(['mask', 'test', csv, '--relation', 'customers'])
    expect([code, error]).toEqual([0, ''])
    expect(out).not.toMatch(/Ada|Bo|4111|-03-17/)
    expect(out).toMatch(/^msk_\S+ +card \[masked\]\\nsecond line +1984-01-01$/m)
    expect(out).toMatch(/^msk_\S+ +∅ +∅$/m)
    expect(out).toMatch(/^name +rule names-shown +hash +2$/m)
    expect(out).toMatch(/^note +detector card +redact +1$/m)
    expect(out).toMatch(/^born +rule births +truncate +1$/m)
  })

  test('as a member of a group', async () => {
    const csv = sample('group.csv', 'customers.name\nAda\n')
    expect((await run(['mask', 'test', csv, '--group', 'support'])).out).toMatch(/^\[masked\]$/m)
  })

  test('JSON lines, as JSON; what a detector can only make NULL is NULL', async () => {
    const json = sample(
      'lines.json',
      `{"customers.name": "Ada", "n": 4111111111111111, "more": {"mail": "a@example.com", "on": true}}\n{"n": 7}\n`,
    )
    const { code, out } = await run(['mask', 'test', json, '--json'])
    expect(code).toBe(0)
    const [ada, other, sum] = lines(out)
    expect(ada).toEqual({
      'customers.name': expect.stringMatching(/^msk_/),
      n: null,
      more: '{"mail":"[masked]","on":true}',
    })
    expect(other).toEqual({ 'customers.name': null, n: '7', more: null })
    expect(sum).toMatchObject({ rows: 2, kept: 2 })
    expect(sum.masks).toContainEqual({
      column: 'more',
      rule: null,
      detector: 'email',
      action: 'redact',
      count: 1,
    })
  })

  test('from standard input; rows that a rule drops are counted', async () => {
    const input = 'who,place\nAda,Leeds\nBo,\nCy,York\n'
    const { out } = await run(['mask', 'test', '--relation', 'trips'], { input })
    expect(out).toMatch(/^Bo +∅$/m)
    expect(out).not.toMatch(/Ada|Cy|Leeds/)
    expect(out).toMatch(/2 of 3 rows are left out/)
    const json = await run(['mask', 'test', '-', '--relation', 'trips', '--json'], { input })
    expect(lines(json.out)).toEqual([
      { who: 'Bo', place: null },
      {
        rows: 3,
        kept: 1,
        masks: [{ column: 'place', rule: 'places', detector: null, action: 'drop-row', count: 2 }],
      },
    ])
  })

  test('where nothing is to be masked', async () => {
    expect((await run(['mask', 'test'], { input: 'town\nLeeds\n' })).out).toMatch(
      /^Nothing is masked\.$/m,
    )
  })

  test('tokens are those of the gateway', async () => {
    const [, own] = (
      await run(['mask', 'test'], { input: 'customers.name\nPerson 1\n' })
    ).out.split('\n')
    expect((await ask('select name from customers where id = 1')).stdout.trim()).toBe(own)
  })

  test('what can’t be done is said, with no value', async () => {
    const plain = configure('', 'plain.yaml')
    const wrong = configure('masking: {detectors: {use: [everything]}}', 'wrong.yaml')
    const fails = async (words: string[], env: NodeJS.ProcessEnv = {}, input = '') => {
      const { code, out, error } = await run(['mask', 'test', ...words], { env, input })
      expect([code, out]).toEqual([1, ''])
      return error
    }
    expect(await fails([], { CUSTODY_CONFIG: plain })).toMatch(
      /CUSTODY-CLI-010: the configuration has no masking section\n.*mask suggest/,
    )
    expect(await fails([], { CUSTODY_CONFIG: wrong })).toMatch(
      /CUSTODY-MASK-005: .*there is no detector "everything"/,
    )
    expect(await fails(['/nowhere.csv'])).toMatch(/CUSTODY-CLI-011: \/nowhere.csv: ENOENT/)
    expect(await fails([custody.directory])).toMatch(/CUSTODY-CLI-011: .*EISDIR/)
    expect(await fails(['--resource', 'other'])).toMatch(/CUSTODY-CLI-004: .*"other"/)
    expect(await fails([], {}, '')).toMatch(/no line of column names/)
    expect(await fails([], {}, 'a,b\n1,2,3\n')).toMatch(/row 1 has 3 values for 2 columns/)
    expect(await fails([], {}, 'a\n"open\n')).toMatch(/quotation mark is not closed/)
    for (const json of ['{"a": "hush"}\n{"a": hush}\n', '["hush"]', '[hush]'])
      expect(await fails([], {}, json)).toMatch(/^CUSTODY-CLI-011: -: (?!.*hush)/)
    expect((await run(['mask', 'try'])).code).toBe(2)
    // Where Custody never ran there is no key yet, and none is made.
    const home = file('fresh')
    const fresh = await run(['mask', 'test'], {
      env: { CUSTODY_HOME: home },
      input: 'customers.name\nAda\n',
    })
    expect([fresh.code, existsSync(home)]).toEqual([0, false])
  })
})

describe('custody mask suggest', () => {
  test('finds by values and by names, and leaves out what a rule covers', async () => {
    const { code, out, error } = await run(['mask', 'suggest', 'shop', '--json'])
    expect(code).toBe(0)
    const found = Object.fromEntries(lines(out).map((one) => [one.id, one]))
    // `email` is taken by a rule.
    expect(found['email-2']).toEqual({
      id: 'email-2',
      columns: [
        'public.customers.contact',
        'public.customers.note',
        'public.odd??one?.e-mail?s?address',
      ],
      action: 'hash',
      evidence: [
        'public.customers.contact: email in 10 of 10 values',
        'public.customers.note: email in 1 of 1 values',
        "public.odd (one).e-mail's.address: email in 1 of 1 values; its name says email",
      ],
    })
    expect(found.card).toMatchObject({ columns: ['public.customers.card'], action: 'partial' })
    expect(found.secret).toMatchObject({
      columns: [
        'public.hidden.secret',
        'public.logins.user_password',
        'public.odd??one?.line?break?password',
      ],
      action: 'redact',
    })
    expect(Object.keys(found).sort()).toEqual(['card', 'email-2', 'secret'])
    expect(out).not.toMatch(/customers\.name|born|tagged|phone_verified|token count|@example|4111/)
    expect(error).toMatch(/3 are masked by a rule already/)
  })

  test('what it writes is configuration', async () => {
    const { code, out, error } = await run(['mask', 'suggest', 'shop'])
    expect(code).toBe(0)
    const { masking } = parseConfiguration(out)
    expect(masking!.rules.map(({ id }) => id)).toEqual(['card', 'email-2', 'secret'])
    expect(out).toMatch(/# public\.logins\.user_password: its name says secret$/m)
    expect(out).toMatch(/# .*line\\nbreak password: its name says secret$/m)
    expect(error).toMatch(/of \d+: public\.customers/)
    const pasted = configure(`masking:${out.slice(out.indexOf('\n'))}`, 'pasted.yaml')
    expect(await run(['config', 'check', pasted])).toMatchObject({
      code: 0,
      out: expect.stringMatching(/masking by 3 rules, \d+ detectors and 0 patterns of its own\.$/m),
    })
  })

  test('a resource that is not there, and one that can’t be looked at', async () => {
    expect(await run(['mask', 'suggest', 'none'])).toMatchObject({
      code: 1,
      error: expect.stringMatching(/CUSTODY-CLI-004/),
    })
    expect(await run(['mask', 'suggest', 'shop/none'])).toMatchObject({
      code: 1,
      error: expect.stringMatching(/CUSTODY-CLI-011: shop\/none: /),
    })
    expect((await run(['mask', 'suggest'])).code).toBe(2)
  })
})

describe('what was masked, for people', () => {
  test('in the timeline, the replay and events', async () => {
    const asked = await ask(
      `select id, name, contact from customers where contact <> 'a@example.com' order by id limit 3`,
    )
    expect(asked.code).toBe(0)
    const note =
      /masked 6 values \((names-shown 3, detectors:email 3|detectors:email 3, names-shown 3)\)/
    const timeline = (await run(['timeline', 'last'])).out
    expect(timeline).toMatch(note)
    expect(timeline).toMatch(/statement kept without 1 value \(detectors:email 1\)/)
    expect(timeline).not.toContain('@example.com')
    expect((await run(['replay', 'last'])).out).toMatch(note)
    const completed = await run(['events', '--session', 'last', '--kind', 'command.completed'])
    expect(completed.out).toMatch(note)
    const [{ timeline: entries }] = lines((await run(['timeline', 'last', '--json'])).out)
    const command = entries.find((entry: { kind: string }) => entry.kind === 'command')
    expect(command.masks).toEqual(
      expect.arrayContaining([
        {
          of: 'answer',
          rule: 'names-shown',
          column: 'public.customers.name',
          detector: null,
          action: 'hash',
          count: 3,
        },
        expect.objectContaining({
          of: 'statement',
          rule: 'detectors',
          detector: 'email',
          count: 1,
        }),
      ]),
    )
    const [event] = lines(
      (await run(['events', '--session', 'last', '--kind', 'command.completed', '--json'])).out,
    )
    expect(event.masks).toContainEqual({
      rule: 'names-shown',
      column: 'public.customers.name',
      detector: null,
      action: 'hash',
      count: 3,
    })
  })

  test('what was shown in clear, and by which policy', async () => {
    expect((await ask('select name from customers where id = 2', 'fraud')).stdout).toBe(
      'Person 2\n',
    )
    const timeline = (await run(['timeline', 'last'])).out
    expect(timeline).toMatch(/└ shown in clear: public\.customers\.name$/m)
    expect(timeline).toMatch(
      /mask\.revealed .*shows public\.customers\.name · by .*fraud-sees-names/,
    )
    const revealed = await run(['events', '--kind', 'mask.revealed'])
    expect(revealed.out).toMatch(/mask\.revealed .* shop .*by .*fraud-sees-names/)
    expect(lines((await run(['events', '--kind', 'mask.*', '--json'])).out)).toEqual([
      expect.objectContaining({
        kind: 'mask.revealed',
        decision: expect.objectContaining({
          policies: expect.arrayContaining(['fraud-sees-names']),
        }),
      }),
    ])
  })
})
