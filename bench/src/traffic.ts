/**
 * A busy company's sessions, recorded one event behind the other on a clock of their own: so many events a day, whatever
 * the time is here. Knows nothing of who reads them.
 */
import { hash } from 'node:crypto'
import type { RecordedSession, Recorder } from '@custody/event-log'
import { newUuid } from '@custody/schemas'
import { seeded } from '@custody/test-support'
import { IDENTITIES, pathOf, statement, whoOf } from './events'

export const DAY_MICROS = 86_400_000_000

export interface TrafficOptions {
  /** Time of the event with sequence 0. */
  fromMicros: number
  /** Time between two events. */
  stepMicros: number
  seed?: number
}

const OPEN_SESSIONS = 40
const COLUMNS = ['id', 'status', 'created_at', 'amount']
const STATES = ['open', 'paid', 'shipped', 'refunded', 'blocked']
const ROWS = 3

function message(type: string, body: Buffer): Buffer {
  const head = Buffer.alloc(5)
  head.write(type)
  head.writeInt32BE(4 + body.length, 1)
  return Buffer.concat([head, body])
}

/** RowDescription of the columns: name, table, attribute, type, its size and modifier, format. */
const RESULT_COLUMNS = message(
  'T',
  Buffer.concat([
    Buffer.from([0, COLUMNS.length]),
    ...COLUMNS.flatMap((name) => [Buffer.from(`${name}\0`), Buffer.alloc(18, 1)]),
  ]),
)

function dataRow(values: readonly string[]): Buffer {
  const body = Buffer.alloc(2 + values.reduce((bytes, value) => bytes + 4 + value.length, 0))
  let at = body.writeInt16BE(values.length)
  for (const value of values) {
    at = body.writeInt32BE(value.length, at)
    at += body.write(value, at, 'latin1')
  }
  return message('D', body)
}

export class Traffic {
  private readonly random: () => number
  private sessions: { session: RecordedSession; left: number }[] = []
  private clock: number
  /** Sequence of the next event. */
  next: number

  constructor(
    private readonly recorder: Recorder,
    private readonly o: TrafficOptions,
  ) {
    this.random = seeded(o.seed ?? 1)
    this.next = recorder.status().nextSequence
    this.clock = this.time()
    // What the recorder says by itself, that a session was opened and closed, is of the same clock.
    const record = recorder.record.bind(recorder)
    recorder.record = (input, session = null) => {
      input.time ??= this.clock
      this.next++
      return record(input, session)
    }
  }

  /** At least `events` more; a command and its answer stay together. */
  some(events: number): void {
    const until = this.next + events
    while (this.next < until) {
      this.clock = this.time()
      if (this.sessions.length < OPEN_SESSIONS) this.open()
      else this.command(this.sessions[Math.floor(this.random() * this.sessions.length)]!)
    }
  }

  private time(): number {
    return Math.floor(this.o.fromMicros + this.o.stepMicros * this.next)
  }

  private open(): void {
    const n = Math.floor(this.random() ** 2 * IDENTITIES)
    const session = this.recorder.openSession(whoOf(n), pathOf(n, this.random), {
      id: newUuid(this.clock),
    })
    this.sessions.push({ session, left: 20 + Math.floor(this.random() * 200) })
  }

  private command(chosen: { session: RecordedSession; left: number }): void {
    const { text, verb, table } = statement(this.random)
    const time = this.clock
    const output = this.answer(time)
    const id = this.recorder.record(
      {
        id: newUuid(time),
        time,
        kind: 'command.started',
        statement: {
          language: 'sql',
          interface: 'query',
          text,
          textBytes: text.length,
          fingerprint: verb + table,
          verbs: [verb],
          objects: [{ kind: 'table', name: table, verb }],
          understood: true,
          index: 0,
          count: 1,
        },
      },
      chosen.session,
    )
    this.recorder.record(
      {
        id: newUuid(time),
        time: time + 900,
        kind: 'command.completed',
        command: id,
        response: {
          status: this.random() < 0.01 ? 'error' : 'ok',
          tag: `SELECT ${ROWS}`,
          rows: ROWS,
          bytes: output.length,
          digest: hash('sha256', output, 'buffer'),
          durationMicros: 200 + Math.floor(this.random() ** 4 * 50_000),
          recordedBytes: output.length,
        },
        output: { stream: 'output', offset: 0, data: output, encoding: 'pgwire', omittedBytes: 0 },
      },
      chosen.session,
    )
    if (--chosen.left > 0) return
    this.recorder.closeSession(chosen.session, 'closed', 'done', {})
    this.sessions = this.sessions.filter((one) => one !== chosen)
  }

  /** Three rows as PostgreSQL sends them: values that differ, or the store would have nothing to keep. */
  private answer(time: number): Buffer {
    const parts = [RESULT_COLUMNS]
    for (let i = 0; i < ROWS; i++)
      parts.push(
        dataRow([
          String(Math.floor(this.random() * 1e7)),
          STATES[Math.floor(this.random() * STATES.length)]!,
          new Date(time / 1000 - Math.floor(this.random() * 1e10)).toISOString(),
          (this.random() * 1000).toFixed(2),
        ]),
      )
    parts.push(message('C', Buffer.from(`SELECT ${ROWS}\0`)))
    return Buffer.concat(parts)
  }
}
