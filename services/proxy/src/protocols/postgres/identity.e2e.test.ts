/** Ways in, with real clients, a real PostgreSQL and a real OpenID provider. */
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { openReader } from '@custody/event-log'
import { createTokenVerifier } from '@custody/identity'
import { homeAt, parseConfiguration, prepareHome, silentLogger } from '@custody/kit'
import { decodeMessage, type Event } from '@custody/schemas'
import {
  type OidcProvider,
  type PostgresServer,
  psql,
  startOidcProvider,
  startPostgres,
  temporaryDirectory,
} from '@custody/test-support'
import { Client } from 'pg'
import { createProxy, type Proxy as RunningProxy } from '../../proxy'

const directory = temporaryDirectory('custody-identity-')
const home = homeAt(join(directory.path, 'home'))
let provider: OidcProvider
let server: PostgresServer
let proxy: RunningProxy
let port: number

beforeAll(async () => {
  ;[provider, server] = await Promise.all([startOidcProvider(), startPostgres()])
  mkdirSync(home.directory, { recursive: true })
  prepareHome(home.directory)
  const configuration = parseConfiguration(
    JSON.stringify({
      listen: { postgres: 0 },
      log: { reserveBytes: 65536 },
      identity: {
        issuers: [
          {
            issuer: provider.issuer,
            audiences: ['custody-cli', 'urn:custody'],
            claims: { groups: 'groups' },
            user: 'ci',
            rules: [
              { when: { repository: 'acme/shop' }, groups: ['deploy'], kind: 'service' },
              { when: { email: '*@example.com' } },
            ],
          },
        ],
      },
      resources: {
        shop: {
          protocol: 'postgres',
          address: server.address,
          account: server.user,
          password: { literal: server.password },
          database: server.database,
        },
      },
    }),
  )
  proxy = createProxy({
    configuration,
    home,
    verifier: await createTokenVerifier(home, configuration),
    logger: silentLogger(),
  })
  port = (await proxy.start()).ports.postgres
})

afterAll(async () => {
  await proxy?.stop()
  await server?.stop()
  await provider?.stop()
  await directory.remove()
})

const url = (user: string, token: string) =>
  `postgresql://${encodeURIComponent(user)}:${token}@127.0.0.1:${port}/shop?sslmode=require`

async function lastOf(kind: string): Promise<Event> {
  const reader = openReader({ directory: home.log, recorder: 'proxy-local' })
  const all: Event[] = []
  for (let batch = await reader.read(1 << 20); batch; batch = await reader.read(1 << 20))
    all.push(...batch.messages.map(decodeMessage))
  reader.close()
  return all.filter((event) => event.kind === kind).at(-1)!
}

test('an ID token is a password, the e-mail address or subject the user', async () => {
  const token = await provider.idToken('ada')
  for (const user of ['ada@example.com', 'ada'])
    expect((await psql(url(user, token), ['-Atc', 'select 1'])).stdout).toBe('1\n')
  expect((await lastOf('session.opened')).who).toMatchObject({
    subject: 'ada',
    issuer: provider.issuer,
    groups: ['dba', 'sre'],
    method: 'oidc',
  })
  const { stderr } = await psql(url('bo', token), ['-c', 'select 1'])
  expect(stderr).toMatch(/CUSTODY-PG-001|was issued to "ada"/)
})

test('so is a job’s token, presented as it is, under the issuer’s user name', async () => {
  const client = new Client({
    host: '127.0.0.1',
    port,
    user: 'ci',
    password: await provider.jobToken(),
    database: 'shop',
  })
  await client.connect()
  expect((await client.query('select 1 as n')).rows).toEqual([{ n: 1 }])
  await client.end()
  expect((await lastOf('session.opened')).who).toMatchObject({
    kind: 'service',
    groups: ['deploy'],
  })
})

test('a bad token is refused without a reason, and the record has it', async () => {
  const token = await provider.idToken('ada')
  const { stderr, code } = await psql(url('ada', `${token.slice(0, -6)}AAAAAA`), ['-c', 'select 1'])
  expect(code).toBe(2)
  expect(stderr).toMatch(/custody: the token is not accepted/)
  expect(stderr).not.toMatch(/signature/)
  expect((await lastOf('access.refused')).access).toMatchObject({
    outcome: 'refused',
    reason: expect.stringMatching(/signature verification failed/),
  })
})
