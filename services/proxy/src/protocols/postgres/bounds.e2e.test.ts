/** What is bounded stays bounded, with real servers: slow, silent, vanishing and too many peers. */
import { connect, type Socket } from 'node:net'
import { connect as connectTls } from 'node:tls'
import { type PostgresServer, startPostgres, until } from '@custody/test-support'
import { Client } from 'pg'
import { proxyUnderTest } from './proxy-under-test'

const MiB = 1024 * 1024
let server: PostgresServer
let port: number
/** Of another gateway, which ends idle sessions. */
let impatientPort: number
let impatientToken: string
let token: string
const custody = proxyUnderTest('bounds')
const { events } = custody

beforeAll(async () => {
  server = await startPostgres({ settings: { max_connections: '300' } })
  const written = `
limits: {handshakeMsMax: 1000, stalledMsMax: 1500, connectionsMax: 230, handshakesMax: 20, statementBytesMax: 1000, parametersBytesMax: 500, statementsPerConnectionMax: 5}
resources:
  shop: ${server.resource({ database: server.database, recording: 'digest' })}
`
  token = await custody.token({ subject: 'ada' })
  impatientToken = await custody.token({ subject: 'ada' }, 'impatient')
  ;({ port } = await custody.start(written))
  ;({ port: impatientPort } = await custody.start(
    written.replace('limits: {', 'gateway: impatient\nlimits: {idleMsMax: 1000, '),
  ))
})

afterAll(async () => {
  await custody.stop()
  await server?.stop()
})

async function signedIn(at = port, password = token): Promise<Client> {
  const client = new Client({
    host: '127.0.0.1',
    port: at,
    user: 'ada',
    password,
    database: 'shop',
    ssl: { rejectUnauthorized: false },
  })
  client.on('error', () => {})
  await client.connect()
  return client
}

const socketOf = (client: Client) =>
  (client as unknown as { connection: { stream: Socket } }).connection.stream

/** Below TLS, where a connection can be reset. */
const rawSocketOf = (client: Client) => (socketOf(client) as unknown as { _parent: Socket })._parent

const closed = (socket: Socket) =>
  new Promise<void>((resolve) => {
    socket.on('error', () => {})
    socket.on('close', () => resolve())
  })

const reasons = async (recorder?: string) =>
  (await events(recorder))
    .filter(({ kind }) => kind === 'session.closed')
    .map(({ lifecycle }) => lifecycle?.reason ?? '')

test('a session that nobody uses is ended, and says why', async () => {
  const client = await signedIn(impatientPort, impatientToken)
  const error = await new Promise<Error & { code?: string }>((resolve) =>
    client.on('error', resolve),
  )
  expect(error.code).toBe('57P05')
  expect(error.message).toMatch(/idle/)
  expect(
    await until(async () =>
      (await reasons('proxy-impatient')).find((reason) => /was idle/.test(reason)),
    ),
  ).toBeTruthy()
})

test('a running command is not idleness', async () => {
  const client = await signedIn(impatientPort, impatientToken)
  const result = await client.query('select 1 as one from pg_sleep(2)')
  expect(result.rows).toEqual([{ one: 1 }])
  await client.end()
})

test('a client that stops reading neither grows the proxy nor stays for ever', async () => {
  const client = await signedIn()
  global.gc?.()
  const before = process.memoryUsage().rss
  socketOf(client).pause()
  const answered = client
    .query("select repeat('x', 1000) from generate_series(1, 400000)")
    .catch(() => {})
  const ended = closed(socketOf(client))
  let most = 0
  const reason = await until(async () => {
    most = Math.max(most, process.memoryUsage().rss - before)
    return (await reasons()).find((one) => /client took no byte/.test(one))
  })
  expect(reason).toBeTruthy()
  // 400 MB would come; a lane, the sockets' own buffers and the collector's slack are far below a tenth.
  expect(most).toBeLessThan(120 * MiB)
  socketOf(client).resume()
  await ended
  await answered
})

test('a target that stops reading makes the client wait', async () => {
  const client = await signedIn()
  // The backend sleeps and reads nothing of the 64 MB behind it.
  const sleeping = client.query('select pg_sleep(1.2)')
  const socket = socketOf(client)
  const big = `select length('${'y'.repeat(8 * MiB)}') as length`
  const answers = Array.from({ length: 8 }, () => client.query(big))
  await sleeping
  expect(socket.destroyed).toBe(false)
  for (const answer of answers) expect((await answer).rows).toEqual([{ length: 8 * MiB }])
  await client.end()
})

test.each([
  ['says nothing', (_: Socket) => {}],
  [
    'sends one byte a time',
    (socket: Socket) => {
      const drip = setInterval(() => socket.write(Buffer.from([0])), 300)
      socket.on('close', () => clearInterval(drip))
    },
  ],
])('a client that %s is cut off after handshakeMsMax', async (_what, act) => {
  const socket = connect(port, '127.0.0.1')
  act(socket)
  socket.resume()
  await closed(socket)
})

test('nor does TLS give more time', async () => {
  const raw = connect(port, '127.0.0.1')
  raw.write(Buffer.from([0, 0, 0, 8, 4, 210, 22, 47]))
  await new Promise((resolve) => raw.once('data', resolve))
  const socket = connectTls({ socket: raw, rejectUnauthorized: false })
  socket.resume()
  await closed(socket)
})

test('handshakes beyond the bound are told so, and others get in afterwards', async () => {
  const silent = Array.from({ length: 20 }, () => connect(port, '127.0.0.1'))
  await Promise.all(silent.map((socket) => new Promise((resolve) => socket.on('connect', resolve))))
  const said = await new Promise<string>((resolve) => {
    const socket = connect(port, '127.0.0.1')
    let text = ''
    socket.on('data', (data) => {
      text += data
    })
    socket.on('error', () => {})
    socket.on('close', () => resolve(text))
  })
  expect(said).toMatch(/53300/)
  expect(said).toMatch(/CUSTODY-ACCESS-003/)
  await Promise.all(silent.map((socket) => closed(socket.resume())))
  const client = await signedIn()
  await client.end()
})

test('two hundred at once', async () => {
  const clients: Client[] = []
  for (let i = 0; i < 20; i++)
    clients.push(...(await Promise.all(Array.from({ length: 10 }, () => signedIn()))))
  const answers = await Promise.all(
    clients.map((client, i) => client.query('select $1::int as i', [i])),
  )
  expect(answers.map(({ rows }) => rows[0].i)).toEqual(clients.map((_, i) => i))
  await Promise.all(clients.map((client) => client.end()))
}, 60_000)

test('a client that vanishes in the middle of a command leaves an answer in the record', async () => {
  const client = await signedIn()
  const answered = client.query('select pg_sleep(30) /* vanished */').catch(() => {})
  await until(async () =>
    (await events()).find((event) => event.statement?.text.includes('vanished')),
  )
  rawSocketOf(client).resetAndDestroy()
  await answered
  const completed = await until(async () => {
    const all = await events()
    const started = all.find((event) => event.statement?.text.includes('vanished'))
    return all.find(
      (event) => event.kind === 'command.completed' && started && event.command?.equals(started.id),
    )
  })
  expect(completed.response?.status).toBe('unknown')
})

test('long statements and parameters are cut in the record, digested, and run whole', async () => {
  const client = await signedIn()
  const text = `select '${'ä'.repeat(3000)}' as long, length($1) as n`
  const result = await client.query(text, ['p'.repeat(3000)])
  expect(result.rows[0].n).toBe(3000)
  const event = await until(async () =>
    (await events()).find(
      ({ kind, statement }) =>
        kind === 'command.started' && statement?.text.startsWith("select 'ääää"),
    ),
  )
  expect(event.statement?.textBytes).toBe(Buffer.byteLength(text))
  expect(Buffer.byteLength(event.statement!.text)).toBeLessThanOrEqual(1000)
  expect(event.statement?.textDigest).not.toBeNull()
  expect(event.statement?.parameters).toMatchObject([
    { value: 'p'.repeat(500), bytes: 3000, cut: true },
  ])
  await client.end()
})

test('more prepared statements than are remembered end the session with a clear error', async () => {
  const client = await signedIn()
  const failed = new Promise<Error>((resolve) => client.on('error', resolve))
  const ask = async () => {
    for (let i = 0; i < 7; i++) await client.query({ name: `s${i}`, text: `select ${i}` })
  }
  await expect(ask()).rejects.toThrow()
  expect((await failed).message).toBeTruthy()
  expect(
    await until(async () => (await reasons()).find((one) => /prepared statements/.test(one))),
  ).toBeTruthy()
})

test('a gateway that stops lets what runs end, and ends who runs nothing', async () => {
  const { proxy, port: at } = await custody.start(`
gateway: stopping
limits: {drainMsMax: 25000}
resources:
  shop: ${server.resource({ database: server.database })}
`)
  const password = await custody.token({ subject: 'ada' }, 'stopping')
  const [busy, idle] = [await signedIn(at, password), await signedIn(at, password)]
  const gone = closed(socketOf(idle))
  const running = busy.query("select pg_sleep(2), 'all of it' as what")
  await until(async () =>
    (await events('proxy-stopping')).some(
      ({ kind, statement }) => kind === 'command.started' && statement!.text.includes('all of it'),
    ),
  )
  const stopped = proxy.stop()
  await gone
  expect((await running).rows).toMatchObject([{ what: 'all of it' }])
  await stopped
  expect(
    (await events('proxy-stopping')).filter(({ kind }) => kind === 'session.closed'),
  ).toHaveLength(2)
})
