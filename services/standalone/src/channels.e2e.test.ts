/** A held command, the whole way: real client, gateway and PostgreSQL, asked at a channel and answered there. */
import { createHmac } from 'node:crypto'
import { mkdirSync, writeFileSync } from 'node:fs'
import { createServer, type Server } from 'node:http'
import { join } from 'node:path'
import { createTokenVerifier, issueToken, loadTokenKeys } from '@custody/identity'
import { createIngest, type Ingest } from '@custody/ingest'
import { homeAt, parseConfiguration, prepareHome, silentLogger } from '@custody/kit'
import { createProxy, type Proxy as RunningProxy } from '@custody/proxy'
import { createQuery, type Query } from '@custody/query'
import { type PostgresServer, startPostgres, temporaryDirectory } from '@custody/test-support'
import { createWarehouse, type Warehouse } from '@custody/warehouse'
import { Client } from 'pg'

const SECRET = 'a secret of twenty-four bytes or more'
const directory = temporaryDirectory('custody-channels-')
const home = homeAt(join(directory.path, 'home'))
// biome-ignore lint/suspicious/noExplicitAny: JSON as it comes
const received: any[] = []
let receiver: Server
let server: PostgresServer
let proxy: RunningProxy
let warehouse: Warehouse
let ingest: Ingest
let query: Query
let client: Client
let port: number

beforeAll(async () => {
  receiver = createServer(async (request, response) => {
    const parts: Buffer[] = []
    for await (const part of request) parts.push(part as Buffer)
    received.push(JSON.parse(Buffer.concat(parts).toString()))
    response.writeHead(204).end()
  })
  await new Promise<void>((resolve) => receiver.listen(0, '127.0.0.1', resolve))
  server = await startPostgres({
    sql: 'create table t(a int); insert into t select generate_series(1, 10)',
  })
  mkdirSync(home.directory, { recursive: true })
  prepareHome(home.directory)
  const policy = join(directory.path, 'own.cedar')
  writeFileSync(
    policy,
    `@id("all") permit (principal, action, resource);
@id("delete") @reason("deletes need a second person") @approvers("dba") @expires("60s")
forbid (principal, action == Action::"sql:delete", resource) unless { context.approved };`,
  )
  const configuration = parseConfiguration(`
listen: {postgres: 0, console: 0}
log: {reserveBytes: 65536}
policy: {files: [${policy}]}
approvals:
  channels:
    - type: webhook
      url: "http://127.0.0.1:${(receiver.address() as { port: number }).port}/"
      secret: { literal: ${SECRET} }
  people:
    - { email: bob@example.com, groups: [dba] }
    - { email: ada@example.com, groups: [dba] }
resources:
  shop: {protocol: postgres, address: "${server.address}", account: ${server.user}, password: {literal: ${JSON.stringify(server.password)}}, database: ${server.database}}
`)
  const logger = silentLogger()
  warehouse = createWarehouse({
    directory: join(directory.path, 'warehouse'),
    port: 0,
    password: 'p',
  })
  const { url } = await warehouse.start()
  ingest = createIngest({ home, warehouseUrl: url, logger, lingerMs: 10 })
  await ingest.start()
  const verifier = await createTokenVerifier(home, configuration)
  proxy = createProxy({ configuration, home, verifier, logger })
  const ports = (await proxy.start()).ports
  query = createQuery({ configuration, home, warehouseUrl: url, verifier, logger })
  port = (await query.start()).ports.console
  const { token } = await issueToken(await loadTokenKeys(home, 'local'), {
    subject: 'ada',
    email: 'ada@example.com',
    groups: ['dba'],
  })
  client = new Client({
    host: '127.0.0.1',
    port: ports.postgres!,
    user: 'ada',
    password: token,
    database: 'shop',
    ssl: { rejectUnauthorized: false },
  })
  await client.connect()
})

afterAll(async () => {
  await client?.end()
  await query?.stop()
  await proxy?.stop()
  await ingest?.stop()
  await warehouse?.stop()
  await server?.stop()
  receiver?.close()
  await directory.remove()
})

async function next(n: number) {
  while (received.length <= n) await new Promise((resolve) => setTimeout(resolve, 10))
  return received[n]
}

async function answer(request: string, what: string, approver: string): Promise<number> {
  const body = JSON.stringify({
    type: 'approval.answer',
    request,
    answer: what,
    approver,
    comment: 'INC-42',
  })
  const id = `m${Math.random()}`
  const stamp = String(Math.floor(Date.now() / 1000))
  const signature = createHmac('sha256', SECRET).update(`${id}.${stamp}.${body}`).digest('base64')
  const response = await fetch(`http://127.0.0.1:${port}/channels/webhook/webhook`, {
    method: 'POST',
    headers: {
      'webhook-id': id,
      'webhook-timestamp': stamp,
      'webhook-signature': `v1,${signature}`,
    },
    body,
  })
  return response.status
}

const rows = async () => Number((await server.query('select count(*) from t')).rows[0].count)

test('what is approved at a channel runs, by nobody but another person', async () => {
  const running = client.query('delete from t where a <= 5')
  const asked = await next(0)
  expect(asked).toMatchObject({
    type: 'approval.requested',
    data: {
      who: { email: 'ada@example.com' },
      resource: 'shop',
      reason: 'sql:delete on t needs an approval of dba: deletes need a second person',
      statement: { text: 'delete from t where a <= 5' },
      risk: { verbs: ['sql:delete'], objects: ['t'], notes: [], understood: true },
      approvers: 'dba',
    },
  })
  expect(await answer(asked.data.request, 'approved', 'ada@example.com')).toBe(403)
  expect(await rows()).toBe(10)
  expect(await answer(asked.data.request, 'approved', 'bob@example.com')).toBe(200)
  expect((await running).rowCount).toBe(5)
  expect(await next(1)).toMatchObject({
    type: 'approval.settled',
    data: { state: 'approved', by: 'bob@example.com', comment: 'INC-42' },
  })
})

test('what is denied there does not, and what nobody wants any more is withdrawn there', async () => {
  const refused = expect(client.query('delete from t')).rejects.toThrow(/INC-42/)
  const asked = await next(2)
  expect(asked.data.risk.notes).toEqual(['delete: every row (no WHERE that leaves any out)'])
  expect(await answer(asked.data.request, 'denied', 'bob@example.com')).toBe(200)
  await refused
  expect(await next(3)).toMatchObject({ data: { state: 'denied' } })
  expect(await rows()).toBe(5)

  const left = client.query('delete from t').catch(() => undefined)
  const last = await next(4)
  await client.end()
  await left
  expect(await next(5)).toMatchObject({
    data: { request: last.data.request, state: 'withdrawn' },
  })
  expect(await answer(last.data.request, 'approved', 'bob@example.com')).toBe(403)
  expect(await rows()).toBe(5)
})
