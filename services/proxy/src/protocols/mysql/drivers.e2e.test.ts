/**
 * Which client signs in how, as docs/mysql.md has it: every driver with a token as password, with TLS and, on this very
 * machine, without. What does not work says why in the client's own words.
 */
import { type MysqlServer, mysql, mysqlDrivers, startMysql } from '@custody/test-support'
import { proxyUnderTest } from '../postgres/proxy-under-test'

let server: MysqlServer
let port: number
let token: string
const custody = proxyUnderTest('drivers-mysql')
const SQL = "select concat('it is ', ?)"

beforeAll(async () => {
  server = await startMysql()
  token = await custody.token({ subject: 'ada', email: 'ada@example.com' })
  const { ports } = await custody.start(`resources: {shop: ${server.resource()}}`)
  port = ports.mysql!
})

afterAll(async () => {
  await custody.stop()
  await server?.stop()
})

const login = (more: object = {}) => ({
  ...{ port, user: 'ada', password: token, database: 'shop', tls: true },
  ...more,
})

test.each(Object.keys(mysqlDrivers))('%s, with TLS', async (name) => {
  const outcome = await mysqlDrivers[name]!(login(), SQL)
  expect(outcome).toMatchObject({ value: 'it is 42', error: null })
  const started = (await custody.events()).filter(({ kind }) => kind === 'command.started')
  expect(started.some(({ statement }) => statement!.text.startsWith('select concat'))).toBe(true)
})

test.each(['mysql2', 'PyMySQL', 'go-sql-driver'])('%s, without', async (name) => {
  expect(await mysqlDrivers[name]!(login({ tls: false }), SQL)).toMatchObject({ value: 'it is 42' })
})

test.each(['mariadb', 'MariaDB Connector/J'])(
  '%s, without, where it may ask for a key',
  async (name) => {
    const driver = mysqlDrivers[name]!
    expect((await driver(login({ tls: false }), SQL)).error).toMatch(/RSA public key/)
    expect(await driver(login({ tls: false, mayAskForKey: true }), SQL)).toMatchObject({
      value: 'it is 42',
    })
  },
)

test.each([
  ['Connector/Python', /secure connection|CUSTODY-MYSQL-001/],
  ['Connector/J', /Unknown server response after fast auth/],
])('%s does not sign in without TLS', async (name, error) => {
  expect((await mysqlDrivers[name]!(login({ tls: false }), SQL)).error).toMatch(error)
})

test.each([
  ['by default', []],
  ['with TLS', ['--ssl']],
  ['told to begin with another plug-in', ['--ssl', '--default-auth=mysql_native_password']],
  ['told to begin with ed25519', ['--ssl', '--default-auth=client_ed25519']],
  ['told to send it in clear text', ['--ssl', '--default-auth=mysql_clear_password']],
  ['told to begin with caching_sha2_password', ['--ssl', '--default-auth=caching_sha2_password']],
])('MariaDB’s own client, %s', async (_what, args) => {
  const { stdout, stderr } = await mysql(login(), [...args, '-Ne', 'select 42'])
  expect({ stdout, stderr }).toEqual({ stdout: '42\n', stderr: '' })
})

test.each(Object.keys(mysqlDrivers))('%s is told why it is refused', async (name) => {
  const outcome = await mysqlDrivers[name]!(login({ password: 'nonsense' }), SQL)
  expect(outcome.error).toMatch(/CUSTODY-ACCESS-001/)
})
