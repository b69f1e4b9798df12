/** Signing in in a browser with MariaDB's own client, and what is bounded: slow, silent, vanishing and too many peers. */
import { connect, type Socket } from 'node:net'
import { openRecorder, type Recorder } from '@custody/event-log'
import type { Event } from '@custody/schemas'
import { type MysqlServer, mysql, startMysql, until } from '@custody/test-support'
import { type Connection, createConnection } from 'mysql2/promise'
import { proxyUnderTest } from '../postgres/proxy-under-test'

const custody = proxyUnderTest('identity-mysql')
const { events, home } = custody
let server: MysqlServer
let people: Recorder
let port: number
let impatientPort: number
let token: string
let impatientToken: string

beforeAll(async () => {
  server = await startMysql()
  const written = `
console: {url: 'https://custody.example.com'}
limits: {handshakeMsMax: 3000, stalledMsMax: 2000, connectionsMax: 60, handshakesMax: 12, statementBytesMax: 1000, parametersBytesMax: 500, statementsPerConnectionMax: 5}
resources:
  shop: ${server.resource({ recording: 'digest' })}
`
  const started = await custody.start(written)
  port = started.ports.mysql!
  const impatient = await custody.start(
    written.replace(
      'limits: {',
      'gateway: impatient\nlimits: {idleMsMax: 1000, frameBytesMax: 100000, ',
    ),
  )
  impatientPort = impatient.ports.mysql!
  token = await custody.token({ subject: 'ada' })
  impatientToken = await custody.token({ subject: 'ada' }, 'impatient')
  people = await openRecorder({ directory: home.log, recorder: 'query-local', reserveBytes: 0 })
})

afterAll(async () => {
  await people?.close()
  await custody.stop()
  await server?.stop()
})

const find = (fits: (event: Event) => boolean) => async () => (await events()).find(fits)

async function signedIn(at = port, password = token): Promise<Connection> {
  const client = await createConnection({
    ...{ host: '127.0.0.1', port: at, user: 'ada', password, database: 'shop' },
    ssl: { rejectUnauthorized: false },
  })
  client.on('error', () => {})
  return client
}

const closed = (socket: Socket) =>
  new Promise<string>((resolve) => {
    let said = ''
    socket.on('data', (data) => {
      said += data.toString('latin1')
    })
    socket.on('error', () => {})
    socket.on('close', () => resolve(said))
  })

test('without a token, MariaDB’s client shows where to sign in and waits', async () => {
  const shown = mysql({ port, user: 'sso', database: 'shop' }, ['-Ne', 'select 42'], {
    input: '\n',
  })
  const asked = await until(find(({ kind }) => kind === 'access.sign-in-asked'))
  people.record({
    kind: 'access.sign-in-answered',
    parent: asked.id,
    who: {
      ...{ subject: 'eve', issuer: 'https://idp.example.com', email: 'eve@example.com' },
      ...{ groups: ['dba'], kind: 'human', method: 'browser' },
    },
    access: { action: 'sign-in', outcome: 'success' },
  })
  const { stdout, stderr } = await shown
  expect(stdout + stderr).toMatch(
    /Sign in here: https:\/\/custody\.example\.com\/activate\?code=[A-Z]{4}-[A-Z]{4}/,
  )
  expect(stdout).toMatch(/42\n$/)
  expect(
    (await events()).filter(({ kind }) => kind === 'session.opened').at(-1)!.who,
  ).toMatchObject({ subject: 'eve', method: 'browser', groups: ['dba'] })
})

test('whom nobody vouches for is not let in', async () => {
  const before = (await events()).length
  const refused = mysql({ port, user: 'sso', database: 'shop' }, ['-e', 'select 1'], {
    input: '\n',
  })
  const asked = await until(async () =>
    (await events()).slice(before).find(({ kind }) => kind === 'access.sign-in-asked'),
  )
  people.record({
    kind: 'access.sign-in-answered',
    parent: asked.id,
    who: { subject: 'eve', issuer: 'x', groups: [], kind: 'human', method: 'browser' },
    access: { action: 'sign-in', outcome: 'refused' },
  })
  expect((await refused).stderr).toContain('CUSTODY-ACCESS-006')
})

test.each([
  ['says nothing', (_: Socket) => {}],
  [
    'sends one byte a time',
    (socket: Socket) => {
      const drip = setInterval(() => socket.write(Buffer.from([0])), 500)
      socket.on('close', () => clearInterval(drip))
    },
  ],
])('a client that %s is cut off after handshakeMsMax', async (_what, act) => {
  const socket = connect(port, '127.0.0.1')
  act(socket)
  expect(await closed(socket)).toMatch(/CUSTODY-(ACCESS-004|MYSQL-001)/)
})

test.each([
  ['too large a packet', Buffer.from([0xff, 0xff, 0x7f, 1])],
  ['one out of turn', Buffer.from([1, 0, 0, 9, 0])],
  ['nonsense', Buffer.concat([Buffer.from([60, 0, 0, 1]), Buffer.alloc(60, 0xee)])],
  ['HTTP', Buffer.from('GET / HTTP/1.1\r\nHost: x\r\n\r\n')],
])('%s instead of a handshake is an error that says so', async (_what, bytes) => {
  const socket = connect(port, '127.0.0.1')
  socket.write(bytes)
  expect(await closed(socket)).toMatch(/custody: .*CUSTODY-MYSQL-001/)
})

test('handshakes beyond the bound are told so, and others get in afterwards', async () => {
  const silent = Array.from({ length: 12 }, () => connect(port, '127.0.0.1'))
  const ends = silent.map(closed)
  await Promise.all(silent.map((socket) => new Promise((resolve) => socket.once('data', resolve))))
  expect(await closed(connect(port, '127.0.0.1'))).toMatch(/08004.*CUSTODY-ACCESS-003/)
  await Promise.all(ends)
  await (await signedIn()).end()
})

test('forty at once', async () => {
  const clients: Connection[] = []
  for (let i = 0; i < 10; i++)
    clients.push(...(await Promise.all(Array.from({ length: 4 }, () => signedIn()))))
  const answers = await Promise.all(
    clients.map((client, i) => client.execute('select ? as i', [i])),
  )
  expect(answers.map(([rows]) => Number((rows as { i: unknown }[])[0]!.i))).toEqual(
    clients.map((_, i) => i),
  )
  await Promise.all(clients.map((client) => client.end()))
})

test('a session that nobody uses ends, and so does one that sends too much at once', async () => {
  const client = await signedIn(impatientPort, impatientToken)
  const gone = new Promise((resolve) => client.on('error', resolve))
  await gone
  const other = await signedIn(impatientPort, impatientToken)
  await expect(other.query(`select '${'x'.repeat(200_000)}'`)).rejects.toThrow()
  const reasons = (await events('proxy-impatient'))
    .filter(({ kind }) => kind === 'session.closed')
    .map(({ lifecycle }) => lifecycle?.reason)
  expect(reasons).toEqual([
    expect.stringMatching(/was idle for/),
    expect.stringMatching(/more than frameBytesMax/),
  ])
})

test('a client that vanishes in the middle of a command leaves an answer in the record', async () => {
  const client = await signedIn()
  const answered = client.query('select sleep(30) /* vanished */').catch(() => {})
  const fits = (event: Event) => event.statement?.text.includes('vanished') ?? false
  const started = await until(find(fits))
  // Below TLS, so that nothing is said any more.
  const { stream } = (client as unknown as { connection: { stream: { _parent: Socket } } })
    .connection
  stream._parent.resetAndDestroy()
  await answered
  const completed = await until(
    find(({ kind, command }) => kind === 'command.completed' && !!command?.equals(started.id)),
  )
  expect(completed.response?.status).toBe('unknown')
})

test('long statements and parameters are cut in the record, digested, and run whole', async () => {
  const client = await signedIn()
  const text = `select '${'ä'.repeat(3000)}' as long_one, length(?) as n`
  const [rows] = await client.execute(text, ['p'.repeat(3000)])
  expect((rows as { n: unknown }[])[0]!.n).toBe(3000)
  const event = (await events()).find(
    ({ kind, statement }) =>
      kind === 'command.started' && statement?.text.startsWith("select 'ääää"),
  )!
  expect(event.statement!.textBytes).toBe(Buffer.byteLength(text))
  expect(Buffer.byteLength(event.statement!.text)).toBeLessThanOrEqual(1000)
  expect(event.statement!.textDigest).not.toBeNull()
  expect(event.statement!.parameters).toMatchObject([
    { value: 'p'.repeat(500), bytes: 3000, cut: true },
  ])
  await client.end()
})

test('more prepared statements than are remembered are refused, and the session goes on', async () => {
  const client = await signedIn()
  for (let i = 0; i < 5; i++) await client.prepare(`select ${i}`)
  await expect(client.prepare('select 5')).rejects.toThrow('CUSTODY-MYSQL-003')
  expect((await client.query('select 6 as n'))[0]).toEqual([{ n: 6 }])
  await client.end()
})

test('the target’s death in the middle of a command is told, and is an outcome unknown', async () => {
  const own = await startMysql()
  const home2 = proxyUnderTest('identity-mysql-dying')
  try {
    const { ports } = await home2.start(`resources: {shop: ${own.resource()}}`)
    const client = await createConnection({
      ...{ host: '127.0.0.1', port: ports.mysql!, user: 'ada', database: 'shop' },
      password: await home2.token({ subject: 'ada' }),
      ssl: { rejectUnauthorized: false },
    })
    client.on('error', () => {})
    const failed = expect(client.query('select sleep(60)')).rejects.toThrow(/CUSTODY-TARGET-003/)
    await until(async () =>
      (await home2.events()).find(({ statement }) => statement?.text === 'select sleep(60)'),
    )
    process.kill(own.pid, 'SIGKILL')
    await failed
    const completed = (await home2.events()).filter(({ kind }) => kind === 'command.completed')
    expect(completed.at(-1)!.response!.status).toBe('unknown')
  } finally {
    await home2.stop()
    await own.stop()
  }
})
