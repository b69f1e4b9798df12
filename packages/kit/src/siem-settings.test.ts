/** Settings of `siem`: each kind of destination as a file has it, what is wrong, secrets, and the page that names all of it. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseConfiguration, withoutSecrets } from './configuration'

const page = readFileSync(join(__dirname, '../../../docs/reference/configuration.md'), 'utf8')
const section = page.slice(page.indexOf('## `siem`'), page.indexOf('## `masking`'))

const S = { env: 'S' }
const U = 'https://receiver.example'
const DESTINATIONS: Record<string, Record<string, unknown>> = {
  syslog: {
    ...{ address: 'h:6514', transport: 'tls', recordBytesMax: 4096 },
    tls: { ca: 'a', certificate: 'b', key: 'c', serverName: 'd' },
  },
  elasticsearch: { urls: [U], dataStream: 'logs-custody-default', apiKey: S },
  http: {
    url: U,
    body: 'template',
    template: '{{records}}',
    headers: { 'x-a': S },
    signingSecret: S,
    token: S,
  },
  kafka: {
    brokers: ['k:9092'],
    topic: 't',
    sasl: { mechanism: 'plain', username: 'u', password: S },
  },
  s3: { endpoint: U, bucket: 'bbb', accessKeyId: S, secretAccessKey: S },
  splunk: { url: U, token: S, index: 'i', search: { url: U, token: S } },
  otlp: { url: U, headers: { 'x-a': 'plain' } },
  loki: { url: U, tenant: 't', user: 'u', password: S, labels: { env: 'prod' } },
  sentinel: {
    ...{ url: U, ruleId: 'dcr-0123456789abcdef', stream: 'Custom-A_CL' },
    ...{ tenantId: 't', clientId: 'c', clientSecret: S },
  },
  datadog: { apiKey: S, tags: ['a:b'] },
  secops: { customerId: '01234567-89ab-cdef-0123-456789abcdef', serviceAccount: S },
  slack: { url: S },
  teams: { url: S },
  email: { host: 'mail', sender: 'a@b.example', to: ['c@d.example'], user: 'u', password: S },
  pagerduty: { routingKey: S },
  jira: { url: U, user: 'a@b.example', token: S, project: 'SEC' },
  servicenow: { url: U, user: 'u', password: S, fields: { category: 'security' } },
}

const parsed = (destination: object) =>
  parseConfiguration(JSON.stringify({ siem: { destinations: { one: destination } } }))

test.each(Object.keys(DESTINATIONS))('%s: every setting is on the page', (type) => {
  const { siem } = parsed({ type, ...DESTINATIONS[type] })
  const isLeaf = (value: unknown) =>
    typeof value !== 'object' || value === null || Array.isArray(value) || 'env' in value
  const paths = (value: object, at = ''): string[] =>
    Object.entries(value).flatMap(([name, inner]) => {
      const path = at ? `${at}.${name}` : name
      return isLeaf(inner) || ['headers', 'labels', 'fields', 'sasl'].includes(name)
        ? [path]
        : paths(inner as object, path)
    })
  const { destinations, ...top } = siem!
  const missing = [
    ...paths(destinations.one!).filter((path) => path !== 'type'),
    ...paths(top, 'siem'),
  ].filter((path) => !section.includes(`\`${path}\``))
  expect(missing).toEqual([])
  expect(section).toContain(`\`${type}\``)
})

test.each<[object, RegExp]>([
  [{ type: 'gelf' }, /must have type: syslog/],
  [{ type: 'elasticsearch', urls: [U] }, /exactly one of index, dataStream/],
  [{ type: 'elasticsearch', urls: [U], index: 'i', apiKey: S, user: 'u' }, /not both/],
  [{ type: 'elasticsearch', urls: ['http://receiver.example'], index: 'i' }, /https URL/],
  [{ type: 'http', url: U, body: 'template' }, /comes with body: template/],
  [{ type: 'syslog', address: 'h:1', transport: 'udp', tls: {} }, /comes with transport: tls/],
  [{ type: 'syslog', address: 'h:1', tls: { certificate: 'a' } }, /come together/],
  [{ type: 'syslog', address: 'h:1', from: 'yesterday' }, /beginning, now or a time/],
  [{ type: 'syslog', address: 'h:1', sample: [{ kinds: ['a'], keep: 2 }] }, /sample/],
  [{ type: 'syslog', address: 'h:1', from: '2026-01-31T12:00:00' }, /with its zone/],
  [{ type: 'syslog', address: 'h:1', recordBytesMax: 100 }, /at least 1024/],
  [{ type: 'syslog', address: 'h:1', recordBytesMax: 4096, format: 'json' }, /cef or leef/],
  [{ type: 'syslog', address: 'h:1', ocsf: { recordIntegrity: true } }, /1\.9\.0/],
  [{ type: 'slack', url: S, format: 'ocsf' }, /one\.format: .*form of their own/],
  [{ type: 'teams', url: S, outputs: 'data' }, /one\.outputs: .*form of their own/],
  [{ type: 'slack', url: S, statementBytesMax: 100 }, /form of their own/],
  [{ type: 'slack', url: S, ecsVersion: '8.11.0' }, /form of their own/],
  [{ type: 'slack', url: S, ocsf: { version: '1.9.0' } }, /one\.ocsf: .*form of their own/],
  [
    { type: 'email', host: 'h', security: 'none', sender: 'a@b.c', to: ['a@b.c'] },
    /on this machine only/,
  ],
  [
    { type: 'pagerduty', routingKey: { vault: { path: 'p', key: 'k' } } },
    /needs the settings of vault/,
  ],
])('%j is refused', (destination, why) => {
  expect(() => parsed(destination)).toThrow(why)
})

test('secrets are found wherever they are, and not shown', () => {
  const configuration = parsed({
    ...{ type: 'http', url: U, token: { literal: 'one-secret' } },
    headers: { 'x-key': { literal: 'another-secret' }, 'x-plain': 'seen' },
  })
  const shown = JSON.stringify(withoutSecrets(configuration))
  expect(shown).not.toMatch(/secret/)
  expect(shown).toContain('seen')
})

test('what is no form of a secret is not repeated', () => {
  expect(() => parsed({ type: 'datadog', apiKey: { hunter2: null } })).toThrow(
    /no form of a secret|exactly one/,
  )
  try {
    parsed({ type: 'datadog', apiKey: { hunter2: null } })
  } catch (error) {
    expect((error as Error).message).not.toContain('hunter2')
  }
})
