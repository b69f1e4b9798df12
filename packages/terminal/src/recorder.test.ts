/** Orders of keys and output that shells make now and then, and no test can make them make. */
import { createTerminalRecorder } from './recorder'

function linesOf(steps: readonly [from: 'shell' | 'keys', text: string][]): string[] {
  const recorder = createTerminalRecorder({ columns: 80, rows: 24 })
  const lines: string[] = []
  const take = () => {
    for (const event of recorder.take()) if (event.kind === 'line') lines.push(event.text)
  }
  for (const [i, [from, text]] of steps.entries()) {
    const at = i * 1000
    if (from === 'shell') recorder.output(Buffer.from(text), at)
    else for (const piece of recorder.splitAtEnter(Buffer.from(text))) recorder.input(piece, at)
    take()
  }
  return lines
}

const FIRST: [from: 'shell' | 'keys', text: string][] = [
  ['shell', 'web$ '],
  ['keys', 'sleep 1'],
  ['shell', 'sleep 1'],
  ['keys', '\r'],
  ['shell', '\r\n'],
]

test.each<[string, [from: 'shell' | 'keys', text: string][]]>([
  [
    'shown by the terminal, and again by the shell',
    [
      ['keys', 'echo ahead'],
      ['shell', 'echo ahead'],
      ['shell', 'web$ echo ahead'],
    ],
  ],
  [
    'shown by the shell alone',
    [
      ['keys', 'echo ahead'],
      ['shell', 'web$ echo ahead'],
    ],
  ],
  [
    'shown in the middle',
    [
      ['keys', 'echo '],
      ['shell', 'echo '],
      ['shell', '\r\nweb$ echo '],
      ['keys', 'ahead'],
      ['shell', 'ahead'],
    ],
  ],
])('typed ahead, and %s', (_, steps) => {
  expect(
    linesOf([...FIRST, ...steps, ['keys', '\r'], ['shell', '\r\nahead\r\n'], ['shell', 'web$ ']]),
  ).toEqual(['sleep 1', 'echo ahead'])
})
