/** docs/reference/configuration.md names every setting that there is. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseConfiguration } from './configuration'

const page = readFileSync(join(__dirname, '../../../docs/reference/configuration.md'), 'utf8')

test.each(['token: {env: T}', 'appRole: {roleId: r, secretId: {env: S}}', 'kubernetes: {role: r}'])(
  'every setting is on its page, by its path (%s)',
  (login) => {
    const configuration = parseConfiguration(`
tls: {certificate: a, key: b}
vault: {address: "https://v", namespace: n, tlsCa: c, ${login}}
policy: {}
resources:
  one: {protocol: postgres, address: "h:1", account: a, password: {literal: x}, database: d, tlsCa: c}
`)
    const paths = (value: object, at: string): string[] =>
      Object.entries(value).flatMap(([name, inner]) => {
        const path = at ? `${at}.${name}` : name
        return typeof inner === 'object' &&
          inner !== null &&
          !Array.isArray(inner) &&
          !['password', 'labels', 'token', 'secretId'].includes(name)
          ? paths(inner, path)
          : [path]
      })
    const missing = paths({ ...configuration, file: undefined }, '')
      .filter((path) => path !== 'file')
      .map((path) => path.replace(/^resources\.one\./, ''))
      .filter((path) => !page.includes(`\`${path}\``))
    expect(missing).toEqual([])
  },
)
