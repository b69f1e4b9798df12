/**
 * What it costs to make an event into another system's record: events a second of one core, by format, of a mix as sessions of
 * SQL have it (a command that starts and one that completes, mostly). CPU time of this thread, so that others on the machine count
 * little. Decoding the event is told by itself, since who sends to several destinations does it once. No network, no disk.
 */
import { decodeMessage, type Event, encodeMessage } from '@custody/schemas'
import { createFormat, createSyslogFormat, type Format } from '@custody/siem-export'
import type { Table } from './measure'

export interface SiemFormatsOptions {
  rounds: number
  progress(line: string): void
}

const EVENTS = 20_000
const digest = Buffer.alloc(32, 7)
const options = { version: '0.1.0', consoleUrl: 'https://custody.example' }

const who = {
  subject: 'ada',
  issuer: 'https://id.example',
  email: 'ada@example.com',
  name: 'Ada Lovelace',
  groups: ['oncall', 'engineering'],
  kind: 'human',
  method: 'oidc',
  tokenId: 'tok-7',
  authenticatedAt: 1_767_323_000_000_000,
}
const path = {
  clientAddress: '198.51.100.7',
  clientPort: 50_123,
  clientApplication: 'psql',
  gateway: 'gateway-1',
  gatewayAddress: '10.0.0.1:15432',
  resource: 'orders',
  protocol: 'postgres',
  target: 'orders-db.internal:5432',
  account: 'app_rw',
  database: 'shop',
}

/** Of twenty events nine commands start, nine complete, one is blocked, one signs in. */
function message(i: number): Buffer {
  const session = Buffer.from('019b7c9a000070008000000000001000', 'hex')
  const command = Buffer.from('019b7c9a000070008000000000002000', 'hex')
  command.writeUInt32BE(i, 12)
  const common = {
    time: 1_767_323_045_678_901 + i * 137,
    previous: digest,
    recorder: 'gateway-1',
    sequence: i,
    who,
    path,
  }
  const of = i % 20
  if (of === 0)
    return encodeMessage({
      ...common,
      kind: 'access.sign-in',
      access: { action: 'sign-in', outcome: 'success', credential: 'custody-token' },
    })
  const inSession = { ...common, session, ordinal: i }
  const text = `select o.id, o.placed, c.name from orders o join customers c on c.id = o.customer where o.id = ${i}`
  const statement = {
    language: 'sql',
    interface: 'query',
    text,
    textBytes: text.length,
    fingerprint: '50fde20626009aba',
    verbs: ['sql:select'],
    objects: [
      { kind: 'table', name: 'public.orders', verb: 'sql:select' },
      { kind: 'table', name: 'public.customers', verb: 'sql:select' },
    ],
    understood: true,
  }
  const decision = {
    outcome: of === 10 ? 'block' : 'allow',
    policies: ['engineers-read'],
    version: 'ab'.repeat(32),
    reason: 'read by engineers',
    evaluationMicros: 42,
  }
  if (of === 10)
    return encodeMessage({ ...inSession, kind: 'command.blocked', decision, statement })
  if (i % 2 === 1)
    return encodeMessage({ ...inSession, kind: 'command.started', command, decision, statement })
  return encodeMessage({
    ...inSession,
    kind: 'command.completed',
    command,
    response: {
      status: 'ok',
      tag: 'SELECT 1',
      rows: 1,
      bytes: 96,
      digest,
      durationMicros: 812,
      firstByteMicros: 700,
      columns: [
        { name: 'id', type: 'int4', source: 'public.orders.id' },
        { name: 'placed', type: 'timestamptz', source: 'public.orders.placed' },
        { name: 'name', type: 'text', source: 'public.customers.name' },
      ],
    },
    masks: [{ rule: 'pii', column: 'public.customers.name', action: 'partial', count: 1 }],
  })
}

const FORMATS: readonly [name: string, format: () => Format][] = [
  ['syslog, CEF', () => createSyslogFormat({ ...options, body: 'cef', framing: 'octet-counting' })],
  [
    'syslog, LEEF',
    () => createSyslogFormat({ ...options, body: 'leef', framing: 'octet-counting' }),
  ],
  ['CEF', () => createFormat('cef', options)],
  ['ECS', () => createFormat('ecs', options)],
  ['OCSF', () => createFormat('ocsf', options)],
  ['UDM', () => createFormat('udm', options)],
  ['Timesketch', () => createFormat('timesketch', options)],
  ['plain JSON', () => createFormat('json', options)],
]

/** A second of this process's CPU has so many events. */
function speed(count: number, work: () => void): number {
  const started = process.cpuUsage()
  work()
  const { user, system } = process.cpuUsage(started)
  return (count * 1e6) / (user + system)
}

export async function benchSiemFormats(o: SiemFormatsOptions, table: Table): Promise<string[]> {
  const messages = Array.from({ length: EVENTS }, (_, i) => message(i))
  const events: Event[] = messages.map(decodeMessage)
  const formats = FORMATS.map(([name, make]) => [name, make()] as const)
  const sizes: string[] = []
  let kept = 0
  const passes: [name: string, work: () => void][] = [
    [
      'decoding',
      () => {
        for (const bytes of messages) kept += decodeMessage(bytes).sequence
      },
    ],
    [
      'JSON.stringify',
      () => {
        for (const event of events) kept += JSON.stringify(event).length
      },
    ],
    ...formats.map(([name, format]): [string, () => void] => [
      name,
      () => {
        for (const event of events) kept += format.encode(event, { digest })!.length
      },
    ]),
  ]
  // All once before any is measured: code that has met only one format is faster than it will be.
  for (const [, work] of passes) work()
  for (let round = 0; round < o.rounds; round++)
    for (const [name, work] of passes) table.add('one core', name, 'events/s', speed(EVENTS, work))
  for (const [name, format] of formats) {
    const bytes = events.reduce((sum, event) => sum + format.encode(event, { digest })!.length, 0)
    sizes.push(`${name} ${Math.round(bytes / EVENTS)}`)
  }
  o.progress(`${kept > 0 ? 'formatted' : 'nothing'}`)
  return [
    `Bytes a record: ${sizes.join(', ')}; the event itself ${Math.round(messages.reduce((sum, { length }) => sum + length, 0) / EVENTS)}. "JSON.stringify" is of the decoded event as it is, identifiers as lists of numbers.`,
  ]
}
