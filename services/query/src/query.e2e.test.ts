/** The API against the embedded store, fed by real logs through ingest: what is asked, who may, and what is left behind. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { request as httpRequest } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { openReader, openRecorder, type Recorder } from '@custody/event-log'
import { issueToken, loadTokenKeys } from '@custody/identity'
import { createIngest, type Ingest } from '@custody/ingest'
import {
  type Home,
  parseConfiguration,
  prepareHome,
  silentLogger,
  writeFileAtomic,
} from '@custody/kit'
import { decodeMessage, type Event, type Path, sha256, uuidText, type Who } from '@custody/schemas'
import { createWarehouse, type Warehouse } from '@custody/warehouse'
import { createQuery, type Query } from './query'

const root = mkdtempSync(join(tmpdir(), 'custody-query-'))
const home: Home = prepareHome(join(root, 'home'))
const ADMIN = 'the-local-administrator'
let warehouse: Warehouse
let ingest: Ingest
let query: Query
let recorder: Recorder
let port: number
const sessions: Record<string, string> = {}

const whoOf = (subject: string): Who => ({
  subject,
  issuer: 'custody:local',
  email: `${subject}@example.com`,
  name: null,
  groups: [],
  kind: 'human',
  method: 'custody-token',
  tokenId: null,
  authenticatedAt: null,
  onBehalfOf: [],
})
const pathOf = (resource: string) =>
  ({
    gateway: 'local',
    resource,
    protocol: 'postgres',
    clientAddress: '10.0.0.1',
    database: 'd',
  }) as unknown as Path

/** What a client got for `select n`: RowDescription, DataRow, CommandComplete. */
function answer(n: number): Buffer {
  const text = Buffer.from(String(n))
  const message = (type: string, body: Buffer) => {
    const head = Buffer.alloc(5)
    head.write(type, 'latin1')
    head.writeInt32BE(4 + body.length, 1)
    return Buffer.concat([head, body])
  }
  const int = (value: number, bytes: 2 | 4) => {
    const buffer = Buffer.alloc(bytes)
    buffer.writeIntBE(value, 0, bytes)
    return buffer
  }
  return Buffer.concat([
    message(
      'T',
      Buffer.concat([
        int(1, 2),
        Buffer.from('n\0'),
        int(0, 4),
        int(0, 2),
        int(23, 4),
        int(4, 2),
        int(-1, 4),
        int(0, 2),
      ]),
    ),
    message('D', Buffer.concat([int(1, 2), int(text.length, 4), text])),
    message('C', Buffer.from('SELECT 1\0')),
  ])
}

const PASSWORD = { rule: 'passwords', column: null, detector: null, action: 'redact', count: 1 }
const NUMBERS = {
  rule: 'cards',
  column: 'public.cards.number',
  detector: null,
  action: 'reveal',
  count: 12,
}
const FOUND = {
  rule: 'detectors',
  column: 'public.cards.note',
  detector: 'iban',
  action: 'redact',
  count: 2,
}

function session(
  name: string,
  subject: string,
  resource: string,
  statements: string[],
  close = true,
): void {
  const one = recorder.openSession(whoOf(subject), pathOf(resource))
  sessions[name] = uuidText(one.id)
  statements.forEach((text, i) => {
    const command = recorder.record(
      {
        kind: 'command.started',
        statement: {
          language: 'sql',
          interface: 'query',
          text,
          textBytes: Buffer.byteLength(text),
          verbs: ['sql:select'],
          objects: [
            { kind: 'table', name: /from (\S+)/.exec(text)?.[1] ?? 'none', verb: 'sql:select' },
          ],
          understood: true,
          index: 0,
          count: 1,
        },
        masks: text.includes('cards') ? [PASSWORD] : [],
      },
      one,
    )
    one.commandsStarted++
    const bytes = answer(i)
    recorder.record(
      {
        kind: 'command.completed',
        command,
        response: {
          status: text.includes('fail') ? 'error' : 'ok',
          tag: 'SELECT 1',
          rows: 1,
          bytes: bytes.length,
          recordedBytes: bytes.length,
          digest: sha256(bytes),
          durationMicros: 5,
        },
        output: { stream: 'output', offset: 0, data: bytes, encoding: 'pgwire', omittedBytes: 0 },
        masks: text.includes('cards') ? [NUMBERS, FOUND] : [],
      },
      one,
    )
  })
  if (close) recorder.closeSession(one, 'closed', 'done', {})
}

beforeAll(async () => {
  writeFileAtomic(home.adminTokenFile, `${ADMIN}\n`, 0o600)
  recorder = await openRecorder({ directory: home.log, recorder: 'proxy-local', reserveBytes: 0 })
  session('ada', 'ada', 'shop', [
    'select n from public.payments',
    "select 'ÄÖÜ 100%' from cards",
    'select fail from x',
  ])
  session('bob', 'bob', 'shop', ['select n from crm.payments'])
  session('open', 'ada', 'people', ['select n from salaries'], false)
  session(
    'long',
    'ada',
    'shop',
    Array.from({ length: 120 }, (_, i) => `select ${i} from numbers`),
  )
  await recorder.recorded('disk')
  warehouse = createWarehouse({ directory: join(root, 'warehouse'), port: 0, password: 'p' })
  const { url } = await warehouse.start()
  ingest = createIngest({ home, warehouseUrl: url, logger: silentLogger(), lingerMs: 10 })
  await ingest.start()
  query = createQuery({
    configuration: parseConfiguration(
      'listen: {console: 0}\nlog: {reserveBytes: 65536}\nidentity: {issuers: [{issuer: "http://127.0.0.1:9", audiences: [custody]}]}\nresources:\n  shop: {protocol: postgres, address: "h:1", account: a, labels: {env: test}}',
    ),
    home,
    warehouseUrl: url,
    logger: silentLogger(),
  })
  port = (await query.start()).ports.console
})

afterAll(async () => {
  await query?.stop()
  await ingest?.stop()
  await recorder?.close()
  await warehouse?.stop()
  rmSync(root, { recursive: true, force: true })
})

// biome-ignore lint/suspicious/noExplicitAny: JSON as it comes
type Json = any

async function get(
  path: string,
  token: string | null = ADMIN,
  headers: Record<string, string> = {},
): Promise<{ status: number; body: Json }> {
  const response = await fetch(`http://127.0.0.1:${port}${path}`, {
    headers: { ...(token ? { authorization: `Bearer ${token}` } : {}), ...headers },
  })
  return { status: response.status, body: await response.json() }
}

/** What the query service itself recorded. */
async function ownEvents(): Promise<Event[]> {
  const reader = openReader({ directory: home.log, recorder: 'query-local' })
  const events: Event[] = []
  for (let batch = await reader.read(1e6); batch; batch = await reader.read(1e6))
    events.push(...batch.messages.map(decodeMessage))
  reader.close()
  return events
}

const tokenOf = async (subject: string, groups: string[] = []) =>
  (await issueToken(await loadTokenKeys(home, 'local'), { subject, groups })).token

test('sessions, newest first, with what became of them', async () => {
  const { status, body } = await get('/api/v1/sessions?wait=5000')
  expect(status).toBe(200)
  expect(body.upToDate).toBe(true)
  expect(body.sessions.map(({ id }: Json) => id)).toEqual([
    sessions.long,
    sessions.open,
    sessions.bob,
    sessions.ada,
  ])
  expect(body.sessions[3]).toMatchObject({
    state: 'closed',
    commands: 3,
    failed: 1,
    rows: 3,
    events: 8,
    complete: true,
    resource: 'shop',
    who: { subject: 'ada' },
    reason: 'done',
  })
  expect(body.sessions[1]).toMatchObject({ state: 'open', complete: null, closed: null })
})

test('filters', async () => {
  const found = async (filter: string) =>
    (await get(`/api/v1/sessions?${filter}`)).body.sessions.map(({ id }: Json) => id)
  expect(await found('identity=bob')).toEqual([sessions.bob])
  expect(await found('identity=bob@example.com')).toEqual([sessions.bob])
  expect(await found('resource=people')).toEqual([sessions.open])
  expect(
    await found(`since=${encodeURIComponent(new Date(Date.now() + 60_000).toISOString())}`),
  ).toEqual([])
  const events = async (filter: string) =>
    (await get(`/api/v1/events?kind=command.started&limit=1000&${filter}`)).body.events.map(
      ({ statement }: Json) => statement.text,
    )
  expect((await events('object=payments')).sort()).toEqual([
    'select n from crm.payments',
    'select n from public.payments',
  ])
  expect(await events('object=public.Payments')).toEqual(['select n from public.payments'])
  expect(await events('object=ments')).toEqual([])
  expect(await events(`text=${encodeURIComponent('äöü 100%')}`)).toHaveLength(1)
  expect(await events(`text=${encodeURIComponent('100_')}`)).toEqual([])
  expect(await events(`text=${encodeURIComponent("' OR 1=1 --")}`)).toEqual([])
  expect(await events('text=SELECT%20N')).toHaveLength(3)
  expect(await events(`session=${sessions.bob}`)).toHaveLength(1)
})

test('pages neither repeat nor lose, whatever comes meanwhile', async () => {
  for (const order of ['asc', 'desc']) {
    const ids: string[] = []
    let cursor: string | null = null
    do {
      const page: Json = await get(
        `/api/v1/events?session=${sessions.long}&limit=7&order=${order}${cursor ? `&cursor=${cursor}` : ''}`,
      )
      ids.push(...page.body.events.map(({ id }: Json) => id))
      cursor = page.body.next
    } while (cursor)
    expect(ids).toHaveLength(242)
    expect(new Set(ids).size).toBe(242)
    expect([...ids].sort()).toEqual(order === 'asc' ? ids : [...ids].reverse())
  }
})

test('a session by identifier, its beginning, or `last`', async () => {
  for (const name of [sessions.bob!, sessions.bob!.slice(0, 23), sessions.bob!.toUpperCase()])
    expect((await get(`/api/v1/sessions/${name}`)).body.session.id).toBe(sessions.bob)
  expect((await get('/api/v1/sessions/last')).body.session.id).toBe(sessions.long)
  const common = await get(`/api/v1/sessions/${sessions.bob!.slice(0, 6)}`)
  expect(common.status).toBe(404)
  expect(common.body.error.suggestions.length).toBeGreaterThan(1)
  for (const nothing of ['ffffffff', 'zzzz', 'a', '%27', 'ffffffff-0000-7000-8000-000000000000'])
    expect((await get(`/api/v1/sessions/${nothing}`)).body.error.code).toBe('CUSTODY-API-003')
})

test('a timeline in pages is the whole story once', async () => {
  const entries: Json[] = []
  let cursor: string | null = null
  do {
    const page: Json = await get(
      `/api/v1/sessions/${sessions.long}/timeline?limit=11${cursor ? `&cursor=${cursor}` : ''}`,
    )
    entries.push(...page.body.timeline)
    cursor = page.body.next
  } while (cursor)
  const commands = entries.filter(({ kind }) => kind === 'command')
  expect(commands.map(({ statement }) => statement.text)).toEqual(
    Array.from({ length: 120 }, (_, i) => `select ${i} from numbers`),
  )
  expect(commands.every(({ response }) => response.status === 'ok')).toBe(true)
  expect(entries[0].kind).toBe('session.opened')
  expect(entries.at(-1).kind).toBe('session.closed')
})

test('masks are told of: which, where, by what and how many, of the statement and of the answer', async () => {
  const expected = [
    { ...PASSWORD, of: 'statement' },
    { ...NUMBERS, of: 'answer' },
    { ...FOUND, of: 'answer' },
  ]
  for (const what of ['timeline', 'replay']) {
    const { body } = await get(`/api/v1/sessions/${sessions.ada}/${what}?wait=5000`)
    const masks = body[what]
      .filter(({ kind }: Json) => kind === 'command')
      .map((command: Json) => command.masks)
    expect(masks).toEqual([[], expected, []])
  }
  const { body } = await get('/api/v1/events?kind=command.*&text=100%25&wait=5000')
  expect(body.events.map(({ masks }: Json) => masks)).toEqual([[PASSWORD]])
})

test('a replay shows the rows, and that they are the ones that were sent', async () => {
  const { body } = await get(`/api/v1/sessions/${sessions.ada}/replay`)
  const commands = body.replay.filter(({ kind }: Json) => kind === 'command')
  expect(commands[0].shown).toEqual([
    { kind: 'rows', columns: [{ name: 'n', type: 'int4' }], rows: [['0']], rowsOmitted: 0 },
    { kind: 'tag', tag: 'SELECT 1' },
  ])
  expect(commands.map(({ digestHolds }: Json) => digestHolds)).toEqual([true, true, true])
})

test('a token’s holder sees what they did themselves; an auditor everything', async () => {
  const bob = await tokenOf('bob')
  expect((await get('/api/v1/sessions', bob)).body.sessions.map(({ id }: Json) => id)).toEqual([
    sessions.bob,
  ])
  expect((await get(`/api/v1/sessions/${sessions.ada}`, bob)).status).toBe(404)
  expect((await get(`/api/v1/sessions/${sessions.ada}/timeline`, bob)).status).toBe(404)
  expect((await get(`/api/v1/sessions/${sessions.ada}/replay`, bob)).status).toBe(404)
  expect((await get(`/api/v1/events?session=${sessions.ada}`, bob)).status).toBe(404)
  expect(
    (await get('/api/v1/events?limit=1000', bob)).body.events.every(
      ({ who }: Json) => who.subject === 'bob',
    ),
  ).toBe(true)
  const auditor = await tokenOf('eve', ['custody:auditor'])
  expect((await get('/api/v1/sessions', auditor)).body.sessions).toHaveLength(4)
})

test('nobody without a credential, and no credential where none is needed', async () => {
  for (const path of [
    '/api/v1/sessions',
    '/api/v1/status',
    '/api/v1/events',
    `/api/v1/sessions/${sessions.ada}/replay`,
  ]) {
    expect(await get(path, null)).toMatchObject({
      status: 401,
      body: { error: { code: 'CUSTODY-API-001' } },
    })
    expect((await get(path, 'nonsense')).status).toBe(401)
  }
  for (const path of ['/healthz', '/readyz', '/api/openapi.json'])
    expect((await get(path, null)).status).toBe(200)
  const metrics = await fetch(`http://127.0.0.1:${port}/metrics`)
  expect(await metrics.text()).toMatch(/custody_ingest_behind_events/)
})

test('why a token of another issuer was refused is recorded, and not told', async () => {
  const part = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url')
  const token = `${part({ alg: 'RS256' })}.${part({ iss: 'http://127.0.0.1:9', sub: 'ada' })}.AAAA`
  const { status, body } = await get('/api/v1/sessions', token)
  expect(status).toBe(401)
  expect(body.error.message).toBe('the token is not accepted')
  // A read is answered once it is written, and with it all before it.
  await get('/api/v1/sessions')
  const refused = (await ownEvents()).filter(({ kind }) => kind === 'access.refused').at(-1)!
  expect(refused.access).toMatchObject({
    code: 'CUSTODY-TOKEN-002',
    reason: expect.stringMatching(
      /^the token is not accepted: the issuer http:\/\/127\.0\.0\.1:9 can't be asked for its keys/,
    ),
  })
})

test('a name that is not ours is refused, so that no web page reaches us by rebinding one', async () => {
  const status = await new Promise<number>((resolve) => {
    httpRequest(
      {
        port,
        host: '127.0.0.1',
        path: '/api/v1/sessions',
        headers: { host: 'evil.example', authorization: `Bearer ${ADMIN}` },
      },
      (response) => {
        response.resume()
        resolve(response.statusCode!)
      },
    ).end()
  })
  expect(status).toBe(421)
})

test('what is wrong in a request is said', async () => {
  for (const wrong of [
    'limit=0',
    'limit=100000',
    'since=yesterday',
    'cursor=xx',
    'unknown=1',
    'kind=UPPER',
    'order=up',
    'wait=99999',
  ])
    expect({ wrong, ...(await get(`/api/v1/events?${wrong}`)) }).toMatchObject({
      wrong,
      status: 400,
    })
})

test('every read is in the log before its answer: who, what, how much', async () => {
  await get('/api/v1/sessions?identity=bob')
  const last = (await ownEvents()).at(-1)!
  expect(last).toMatchObject({
    kind: 'audit.search',
    audit: { action: 'search', subject: 'sessions', query: '{"identity":"bob"}', results: 1 },
  })
  expect(last.who!.subject).toMatch(/^administrator:/)
})

test('tokens are issued and revoked by the administrator only, and both are events', async () => {
  const post = (token: string, body: unknown) =>
    fetch(`http://127.0.0.1:${port}/api/v1/tokens`, {
      method: 'POST',
      headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
      body: JSON.stringify(body),
    })
  expect((await post(await tokenOf('bob'), { subject: 'root' })).status).toBe(403)
  expect((await post(ADMIN, { subject: '' })).status).toBe(400)
  expect((await post(ADMIN, { subject: 'x', ttlSeconds: 10 ** 9 })).status).toBe(400)
  const issued = (await (await post(ADMIN, { subject: 'carol' })).json()) as Json
  expect((await get('/api/v1/sessions', issued.token)).status).toBe(200)
  const revoked = await fetch(`http://127.0.0.1:${port}/api/v1/tokens/${issued.id}`, {
    method: 'DELETE',
    headers: { authorization: `Bearer ${ADMIN}` },
  })
  expect(revoked.status).toBe(200)
  expect((await get('/api/v1/sessions', issued.token)).status).toBe(401)
  // What the service itself records is in the store a moment later.
  for (const kind of ['access.token-issued', 'access.token-revoked'])
    for (;;) {
      const { body } = await get(`/api/v1/events?kind=${kind}&limit=10`)
      // The token itself is nowhere.
      expect(JSON.stringify(body)).not.toContain(issued.token)
      if (body.events.length > 0) break
      await new Promise((resolve) => setTimeout(resolve, 20))
    }
  expect(
    readFileSync(join(home.log, 'query-local', '00000000000000000001.log')).includes(
      Buffer.from(issued.token),
    ),
  ).toBe(false)
})

test('status: what runs and how far behind', async () => {
  const { body } = await get('/api/v1/status')
  expect(body).toMatchObject({
    store: 'ok',
    behind: 0,
    gateway: 'local',
    resources: [{ name: 'shop', protocol: 'postgres', labels: { env: 'test' } }],
  })
})

test('without the store the answer is an error with what to do, and the service lives', async () => {
  await ingest.stop()
  await warehouse.stop()
  expect(await get('/api/v1/sessions')).toMatchObject({
    status: 503,
    body: { error: { code: 'CUSTODY-API-007' } },
  })
  expect((await get('/readyz', null)).status).toBe(503)
  expect((await get('/healthz', null)).status).toBe(200)
  expect((await get('/api/v1/status')).body.store).toBe('unavailable')
})
