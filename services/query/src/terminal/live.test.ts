/** A live terminal, event by event, from a store that is told what comes when. */
import type { JsonObject } from '../rows'
import { liveCast } from './live'

const START = Date.UTC(2026, 10, 22)
const TEXT = (text: string) => Buffer.from(text).toString('base64')

/** Events, in order, each of which is there once somebody has looked so often in vain. */
class Script {
  private readonly events: JsonObject[] = []
  private there = 0
  pauses = 0
  refused: string | null = null
  open = true
  shown = 0

  constructor(private readonly pageMax = 1000) {}

  add(kind: string, more: JsonObject = {}): string {
    const ordinal = this.events.length
    const id = `id-${ordinal}`
    this.events.push({
      id,
      kind,
      ordinal,
      time: new Date(START + ordinal * 1000).toISOString(),
      ...more,
    })
    return id
  }
  started(attributes: JsonObject, by = 'exec'): string {
    return this.add('command.started', {
      statement: { language: 'shell', interface: by, text: 'run', attributes },
    })
  }
  output(command: string, text: string): void {
    this.add('output', {
      command,
      output: { stream: 'terminal', data: TEXT(text), omittedBytes: 0 },
    })
  }

  async run(command: string | null = null, thereAtFirst = 0): Promise<string[]> {
    this.there = thereAtFirst
    const out: string[] = []
    for await (const lines of liveCast({
      command,
      events: async (from, withOutput) => {
        const all = this.events
          .slice(0, this.there)
          .filter(
            ({ ordinal, kind }) => Number(ordinal) >= from && (withOutput || kind !== 'output'),
          )
        const next = all[this.pageMax]
        return { events: all.slice(0, this.pageMax), next: next ? Number(next.ordinal) : null }
      },
      isOpen: async () => this.open,
      refusal: () => this.refused,
      pause: async () => {
        this.pauses++
        this.there++
      },
      shown: (count) => {
        this.shown += count
      },
    }))
      out.push(lines)
    return out.join('').split('\n').filter(Boolean)
  }
}

const drawn = (lines: string[]) =>
  lines
    .slice(1)
    .map((line) => JSON.parse(line) as [number, string, string])
    .filter(([, kind]) => kind === 'o')
    .map(([, , text]) => text)
    .join('')
const last = (lines: string[]) => (JSON.parse(lines.at(-1)!) as string[])[2]

const TERMINAL = { columns: '100', rows: '30', term: 'xterm' }

test.each([1, 2, 1000])('each event once, as they come, in pages of %i', async (pageMax) => {
  const script = new Script(pageMax)
  const [other, one] = [script.started({}), script.started(TERMINAL)]
  script.output(other, 'not this')
  for (const text of ['a', 'b', 'ü', 'c']) script.output(one, text)
  script.add('command.completed', { command: one })
  script.add('session.closed')
  for (const thereAtFirst of [2, 5, 7]) {
    const lines = await script.run(null, thereAtFirst)
    expect(JSON.parse(lines[0]!)).toMatchObject({ version: 2, width: 100, height: 30 })
    expect(drawn(lines)).toBe('abüc')
    expect(last(lines)).toBe('watching ended: the session is over')
  }
})

test('what has ended is not watched, a terminal comes first, and a command can be named', async () => {
  const script = new Script()
  const gone = script.started(TERMINAL)
  script.output(gone, 'gone')
  script.add('command.completed', { command: gone })
  const plain = script.started({})
  const shell = script.started(TERMINAL, 'shell')
  script.started({}, 'typed')
  script.output(plain, 'plain')
  script.output(shell, 'shell')
  script.add('session.closed')
  expect(drawn(await script.run(null, 6))).toBe('shell')
  expect(drawn(await script.run(plain, 6))).toBe('plain')
})

test('nothing runs, and nothing will: it ends', async () => {
  const script = new Script()
  script.add('session.opened')
  script.add('session.closed')
  expect(await script.run()).toEqual([])
})

test('a session that nobody closed ends when it is known to be over', async () => {
  const script = new Script()
  const one = script.started(TERMINAL)
  script.output(one, 'x')
  script.open = false
  const lines = await script.run()
  expect([drawn(lines), last(lines)]).toEqual(['x', 'watching ended: the session is over'])
  expect(script.pauses).toBeLessThan(100)
})

test('who may no longer see it sees no more', async () => {
  const script = new Script()
  const one = script.started(TERMINAL)
  script.output(one, 'x')
  const lines: string[] = []
  let reads = 0
  for await (const part of liveCast({
    command: null,
    events: async (from) => {
      reads++
      const { events } = script as unknown as { events: JsonObject[] }
      return { events: events.filter(({ ordinal }) => Number(ordinal) >= from), next: null }
    },
    isOpen: async () => true,
    refusal: () => (reads > 3 ? 'the token was revoked' : null),
    pause: async () => {},
    shown: () => {},
  }))
    lines.push(...part.split('\n').filter(Boolean))
  expect([drawn(lines), last(lines)]).toEqual(['x', 'watching ended: the token was revoked'])
})
