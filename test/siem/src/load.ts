/** Sessions as a busy gateway records them, into a home of their own; and what the log then has, read by itself. */
import { join } from 'node:path'
import {
  listRecorders,
  openReader,
  openRecorder,
  type RecordedSession,
  type Recorder,
} from '@custody/event-log'
import type { Path, Who } from '@custody/schemas'
import { readEnvelope, uuidText } from '@custody/schemas'
import { seeded } from '@custody/test-support'

export interface Logged {
  id: string
  /** Session, or recorder outside sessions: within it records are in order. */
  key: string
  order: number
}

const SESSIONS = 24
const STATEMENTS = [
  'select id, email from customers where id = 4711',
  "update orders set state = 'paid' where id = 17 returning *",
  'insert into notes values (\'a|b=c\\\\d\n"quoted" ] and ünïcode 😀\')',
  "delete from carts where touched < now() - interval '30 days'",
]

function who(n: number): Who {
  return {
    subject: `person${n}`,
    issuer: 'https://id.example.com',
    email: `person${n}@example.com`,
    name: `Person ${n}`,
    groups: ['engineering', `team${n % 5}`],
    kind: n % 9 === 0 ? 'agent' : 'human',
    method: 'oidc',
    tokenId: null,
    authenticatedAt: null,
    onBehalfOf: [],
  }
}

function path(n: number): Path {
  return {
    clientAddress: `10.0.0.${n % 250}`,
    clientPort: 40_000 + n,
    clientApplication: 'psql',
    clientTls: null,
    via: [],
    gateway: 'test',
    gatewayAddress: '127.0.0.1:15432',
    agent: null,
    resource: ['orders', 'billing', 'people'][n % 3]!,
    protocol: 'postgres',
    target: 'db:5432',
    targetTls: null,
    account: 'app',
    database: 'main',
  }
}

export class Load {
  private readonly random: () => number
  private sessions: RecordedSession[] = []
  private opened = 0
  recorded = 0

  private constructor(
    readonly recorder: Recorder,
    seed: number,
  ) {
    this.random = seeded(seed)
  }

  static async open(home: string, seed = 1, o: { segmentBytes?: number } = {}): Promise<Load> {
    const recorder = await openRecorder({
      directory: join(home, 'log'),
      recorder: 'proxy-test',
      consumers: [],
      segmentBytes: o.segmentBytes ?? 8 * 1024 * 1024,
      retentionBytesMax: 64 * 1024 * 1024 * 1024,
      retentionAgeMaxHours: 1000,
    })
    return new Load(recorder, seed)
  }

  /** So many events more, as far as whole commands go. */
  async say(events: number): Promise<void> {
    const until = this.recorded + events
    while (this.recorded < until) {
      for (let i = 0; i < 200 && this.recorded < until; i++) this.command()
      await this.recorder.recorded('os')
    }
  }

  private command(): void {
    const { recorder, random } = this
    if (this.sessions.length < SESSIONS) {
      const n = ++this.opened
      this.sessions.push(recorder.openSession(who(n % 50), path(n)))
      this.recorded++
    }
    const at = Math.floor(random() * this.sessions.length)
    const session = this.sessions[at]!
    const text = `${STATEMENTS[Math.floor(random() * STATEMENTS.length)]} -- ${this.recorded}`
    const command = recorder.record(
      {
        kind: 'command.started',
        statement: {
          ...{ language: 'sql', interface: 'query', text, textBytes: Buffer.byteLength(text) },
          ...{ textDigest: null, parameters: [], fingerprint: null, verbs: ['sql:select'] },
          ...{ objects: [], understood: true, problem: null, index: 0, count: 1, attributes: {} },
        },
        decision: {
          ...{ outcome: 'allow', policies: [], version: null, reason: null },
          ...{ evaluationMicros: 3, approval: null },
        },
      },
      session,
    )
    recorder.record(
      {
        kind: 'command.completed',
        command,
        response: {
          ...{ status: 'ok', code: null, message: null, tag: 'SELECT 1', rows: 1, bytes: 100 },
          ...{ digest: null, durationMicros: 700, firstByteMicros: 300, columns: [] },
          ...{ inputBytes: 0, inputDigest: null, recordedBytes: 0 },
        },
      },
      session,
    )
    this.recorded += 2
    if (random() < 0.01) {
      this.sessions.splice(at, 1)
      recorder.closeSession(session, 'closed', 'the client left', { bytesIn: 1, bytesOut: 1 })
      this.recorded++
    }
  }

  close(): Promise<void> {
    return this.recorder.close()
  }
}

/** Everything in the logs but what the exporter itself records, which goes on while it is looked at. */
export async function logged(home: string): Promise<Logged[]> {
  const found: Logged[] = []
  const directory = join(home, 'log')
  for (const recorder of await listRecorders(directory)) {
    if (recorder.startsWith('siem-')) continue
    const reader = openReader({ directory, recorder })
    for (let read = await reader.read(1 << 20); read; read = await reader.read(1 << 20))
      for (const message of read.messages) {
        const { id, session, ordinal, sequence } = readEnvelope(message)
        found.push({
          id: uuidText(id),
          key: session ? uuidText(session) : recorder,
          order: session ? ordinal : sequence,
        })
      }
    reader.close()
  }
  return found
}
