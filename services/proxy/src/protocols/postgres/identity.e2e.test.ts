/** Ways in, with real clients, a real PostgreSQL and a real OpenID provider. */
import type { Event } from '@custody/schemas'
import {
  type OidcProvider,
  type PostgresServer,
  postgresUrl,
  psql,
  startOidcProvider,
  startPostgres,
} from '@custody/test-support'
import { Client } from 'pg'
import { proxyUnderTest } from './proxy-under-test'

const custody = proxyUnderTest('identity')
let provider: OidcProvider
let server: PostgresServer
let port: number

beforeAll(async () => {
  ;[provider, server] = await Promise.all([startOidcProvider(), startPostgres()])
  const issuer = {
    issuer: provider.issuer,
    audiences: ['custody-cli', 'urn:custody'],
    claims: { groups: 'groups' },
    user: 'ci',
    rules: [
      { when: { repository: 'acme/shop' }, groups: ['deploy'], kind: 'service' },
      { when: { email: '*@example.com' } },
    ],
  }
  ;({ port } = await custody.start(`
identity: ${JSON.stringify({ issuers: [issuer] })}
resources:
  shop: ${server.resource({ database: server.database })}
`))
})

afterAll(async () => {
  await custody.stop()
  await server?.stop()
  await provider?.stop()
})

const url = (user: string, password: string) =>
  postgresUrl({ host: '127.0.0.1', port, user, password, database: 'shop', sslmode: 'require' })

const lastOf = async (kind: string): Promise<Event> =>
  (await custody.events()).filter((event) => event.kind === kind).at(-1)!

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
