/** Ways in, with real clients, a real PostgreSQL and a real OpenID provider. */
import { once } from 'node:events'
import { connect as connectSocket } from 'node:net'
import type { Event } from '@custody/schemas'
import {
  libpqWithToken,
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
    clientId: 'custody-cli',
    scopes: ['openid', 'email'],
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
  expect(stderr).toMatch(/CUSTODY-ACCESS-001|was issued to "ada"/)
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

describe('OAUTHBEARER', () => {
  /** PostgreSQL 18's own client library, with a token to present. */
  const connect = (user: string, token: string) =>
    libpqWithToken(
      `host=127.0.0.1 port=${port} user=${user} dbname=shop sslmode=require oauth_issuer=${provider.issuer} oauth_client_id=custody-cli require_auth=oauth`,
      token,
      'select current_setting($$custody.sign_in$$, true) is null',
    )

  test('a client of PostgreSQL 18 learns where tokens come from, and comes in with one', async () => {
    const { stdout, stderr, code } = await connect('oauth', await provider.idToken('ada'))
    expect([code, stdout]).toEqual([0, 't\n'])
    expect(stderr).toContain(`discovery ${provider.issuer}/.well-known/openid-configuration`)
    expect(stderr).toContain('scope openid email')
    expect((await lastOf('session.opened')).who).toMatchObject({ subject: 'ada', method: 'oidc' })
  })

  test('under one’s own name where the client says how it signs in', async () => {
    const named = "ada options='-c custody.sign_in=oauth'"
    expect((await connect(named, await provider.idToken('ada'))).stdout).toBe('t\n')
    const { code, stderr } = await connect(named, await provider.idToken('bo'))
    expect([code, stderr]).toEqual([1, expect.stringContaining('issued to "bo", not to "ada"')])
  })

  test('a bad token is refused like any other', async () => {
    const token = await provider.idToken('ada')
    const { code, stderr } = await connect('oauth', `${token.slice(0, -6)}AAAAAA`)
    expect([code, stderr]).toEqual([1, expect.stringContaining('the token is not accepted')])
    expect((await lastOf('access.refused')).access?.reason).toMatch(/signature/)
  })

  test('what is no OAUTHBEARER is refused, however it is cut', async () => {
    const message = (type: string, body: Buffer) => {
      const head = Buffer.alloc(5)
      head.write(type, 'latin1')
      head.writeInt32BE(body.length + 4, 1)
      return Buffer.concat([head, body])
    }
    const first = (mechanism: string, response: string, length = response.length) => {
      const size = Buffer.alloc(4)
      size.writeInt32BE(length)
      return message(
        'p',
        Buffer.concat([Buffer.from(`${mechanism}\0`), size, Buffer.from(response)]),
      )
    }
    const token = await provider.idToken('ada')
    const good = `n,,\x01auth=Bearer ${token}\x01\x01`
    const says = async (answer: Buffer, pieces = 1): Promise<string> => {
      const socket = connectSocket(port, '127.0.0.1')
      const parameters = Buffer.from('user\0oauth\0database\0shop\0\0')
      const head = Buffer.alloc(8)
      head.writeInt32BE(parameters.length + 8, 0)
      head.writeInt32BE(196608, 4)
      socket.write(Buffer.concat([head, parameters]))
      let said = Buffer.alloc(0)
      const closed = once(socket, 'close')
      socket.on('data', (data) => {
        const begun = said.length === 0
        said = Buffer.concat([said, data])
        if (begun) {
          const size = Math.ceil(answer.length / pieces)
          for (let at = 0; at < answer.length; at += size)
            socket.write(answer.subarray(at, at + size))
        }
        if (said.includes('Z\0\0\0\x05I')) socket.end()
      })
      await closed
      return said.toString('latin1')
    }
    expect(await says(first('OAUTHBEARER', good), 50)).toContain('Z\0\0\0\x05I')
    for (const bad of [
      first('SCRAM-SHA-256', good),
      first('OAUTHBEARER', good, good.length - 1),
      first('OAUTHBEARER', good, -1),
      first('OAUTHBEARER', good.slice(0, -1)),
      first('OAUTHBEARER', `p=tls-exporter,,\x01auth=Bearer ${token}\x01\x01`),
      first('OAUTHBEARER', `n,a=bo,\x01auth=Bearer ${token}\x01\x01`),
      first('OAUTHBEARER', `n,,\x01auth=Bearer ${token}\x01auth=Bearer x\x01\x01`),
      first('OAUTHBEARER', `n,,\x01auth=Basic abc\x01\x01`),
      first('OAUTHBEARER', ''),
      message('p', Buffer.alloc(0)),
      message('p', Buffer.from('OAUTHBEARER')),
      message('Q', Buffer.from('select 1\0')),
    ]) {
      const said = await says(bad)
      expect(said).toContain('FATAL')
      expect(said).not.toContain('Z\0\0\0\x05I')
    }
  })
})
