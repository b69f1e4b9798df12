/** docs/reference/configuration.md names every setting that there is. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseConfiguration } from './configuration'

const page = readFileSync(join(__dirname, '../../../docs/reference/configuration.md'), 'utf8')

const plain = 'sasl: {mechanism: plain, username: u, password: {env: P}}'
const bearer =
  'sasl: {mechanism: oauthbearer, tokenUrl: "https://t", clientId: i, clientSecret: {env: C}, scope: s}'

test.each([
  ['token: {env: T}', plain],
  ['appRole: {roleId: r, secretId: {env: S}}', bearer],
  ['kubernetes: {role: r}', bearer],
])('every setting is on its page, by its path (%s, %s)', (login, sasl) => {
  const cold = login.startsWith('token')
    ? 'disk: /c'
    : 's3: {endpoint: "https://s", bucket: bbb, accessKeyId: {env: I}, secretAccessKey: {env: S}}'
  const configuration = parseConfiguration(`
tls: {certificate: a, key: b}
vault: {address: "https://v", namespace: n, tlsCa: c, ${login}}
policy: {}
kafka: {brokers: ["k:9092"], tls: {ca: a, certificate: b, key: c, serverName: d}, ${sasl}}
warehouse:
  ${login.startsWith('token') ? '' : 'url: https://w'}
  ingest: {password: {env: I}}
  query: {password: {env: Q}}
  admin: {password: {env: A}}
  ${login.startsWith('token') ? '' : 'cluster: c'}
  cold: {afterDays: 90, ${cold}}
resources:
  one: {protocol: postgres, address: "h:1", account: a, password: {literal: x}, database: d, tlsCa: c}
`)
  const paths = (value: object, at: string): string[] =>
    Object.entries(value).flatMap(([name, inner]) => {
      const path = at ? `${at}.${name}` : name
      return typeof inner === 'object' &&
        inner !== null &&
        !Array.isArray(inner) &&
        ![
          'password',
          'labels',
          'token',
          'secretId',
          'clientSecret',
          'accessKeyId',
          'secretAccessKey',
        ].includes(name)
        ? paths(inner, path)
        : [path]
    })
  const missing = paths({ ...configuration, file: undefined }, '')
    .filter((path) => path !== 'file')
    .map((path) => path.replace(/^resources\.one\./, ''))
    .filter((path) => !page.includes(`\`${path}\``))
  expect(missing).toEqual([])
})
