/** Recorded events of a terminal session as an asciicast. */
import { readCastHeader, readCastLine } from '@custody/terminal'
import type { JsonObject } from '../rows'
import { createTerminalRecording } from './recording'

const time = (seconds: number) => `2026-11-21T20:00:${String(seconds.toFixed(6)).padStart(9, '0')}Z`
const output = (seconds: number, data: string, more: object = {}): JsonObject => ({
  kind: 'output',
  command: 'c1',
  time: time(seconds),
  output: {
    stream: 'terminal',
    offset: 0,
    data: Buffer.from(data).toString('base64'),
    omittedBytes: 0,
    ...more,
  },
})
const EVENTS: JsonObject[] = [
  { kind: 'session.opened', time: time(0) },
  {
    kind: 'command.started',
    id: 'c0',
    command: 'c0',
    time: time(0.5),
    statement: { language: 'shell', interface: 'exec', text: 'ls', attributes: {} },
  },
  {
    kind: 'command.started',
    id: 'c1',
    command: 'c1',
    time: time(1),
    statement: {
      language: 'shell',
      interface: 'shell',
      text: '',
      attributes: { columns: '100', rows: '30', term: 'xterm' },
    },
  },
  output(1.25, '$ '),
  { ...output(1.5, 'other'), command: 'c0' },
  output(2.000001, 'ls', { stream: 'input' }),
  {
    kind: 'command.started',
    id: 'c2',
    parent: 'c1',
    command: 'c2',
    time: time(2.5),
    statement: { language: 'shell', interface: 'typed', text: 'ls', attributes: {} },
  },
  {
    kind: 'terminal.resized',
    command: 'c1',
    time: time(3),
    lifecycle: { attributes: { columns: '120', rows: '40' } },
  },
  output(4, 'a\r\n', { omittedBytes: 7 }),
  {
    kind: 'terminal.hidden',
    command: 'c1',
    time: time(5),
    lifecycle: { attributes: { prompt: 'Password: ' } },
  },
]

const cast = (events: JsonObject[][], wanted: string | null = null) => {
  const recording = createTerminalRecording(wanted)
  const text = events.map((page) => recording.lines(page)).join('') + recording.end()
  const [header, ...lines] = text.trimEnd().split('\n')
  return { header: readCastHeader(header!), lines: lines.map((line) => readCastLine(line)!) }
}

test('it has the first command with a terminal, both directions, and when each was', () => {
  const { header, lines } = cast([EVENTS])
  expect(header).toMatchObject({ width: 100, height: 30, env: { TERM: 'xterm' } })
  expect(lines.map(({ seconds, kind, data }) => [seconds, kind, data])).toEqual([
    [0.25, 'o', '$ '],
    [1.000001, 'i', 'ls'],
    [1.5, 'm', 'ls'],
    [2, 'r', '120x40'],
    [3, 'o', 'a\r\n'],
    [3, 'm', '7 bytes were not recorded'],
    [4, 'm', 'typed without being shown'],
  ])
})

test('the same comes of it in pages of any size', () => {
  for (let size = 1; size < EVENTS.length; size++) {
    const pages = Array.from({ length: Math.ceil(EVENTS.length / size) }, (_, at) =>
      EVENTS.slice(at * size, at * size + size),
    )
    const { lines } = cast(pages, 'c1')
    expect(lines).toHaveLength(7)
  }
})

test('without a terminal rows are made of line feeds, and a session without any is refused', () => {
  const { lines } = cast([[EVENTS[1]!, { ...output(1, 'a\nb\n'), command: 'c0' }]])
  expect(lines).toMatchObject([{ kind: 'o', data: 'a\r\nb\r\n' }])
  expect(() => cast([[EVENTS[0]!]])).toThrow('no terminal')
})
