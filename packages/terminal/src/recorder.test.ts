/** Orders of keys and output that shells make now and then, and no test can make them make. */
import { createTerminalRecorder } from './recorder'

function linesOf(steps: readonly [from: 'shell' | 'keys', text: string][]): string[] {
  return after(steps).lines
}

function after(steps: readonly [from: 'shell' | 'keys', text: string][]) {
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
  return { lines, isAtPrompt: recorder.isAtPrompt }
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

const RAN: [from: 'shell' | 'keys', text: string][] = [...FIRST, ['shell', 'slept\r\n']]
const MARKED: [from: 'shell' | 'keys', text: string][] = [
  ['shell', '\x1b]133;A\x07web$ \x1b]133;B\x07'],
  ['keys', 'cat'],
  ['shell', 'cat'],
  ['keys', '\r'],
  ['shell', '\r\n\x1b]133;C\x07'],
]

test.each<[boolean, string, [from: 'shell' | 'keys', text: string][]]>([
  [false, 'before anything is shown', []],
  [true, 'at the first prompt', [['shell', 'welcome\r\nweb$ ']]],
  [true, 'with half a first line', [...FIRST.slice(0, 3)]],
  [false, 'at Enter, before anything is shown of it', [...FIRST.slice(0, 4)]],
  [false, 'while something runs', FIRST],
  [false, 'while it says something', RAN],
  [false, 'while it says half a line', [...RAN, ['shell', 'Progress: 50%']]],
  [false, 'while it asks', [...RAN, ['shell', 'Continue? ']]],
  [false, 'while it is told something', [...RAN, ['keys', 'yes'], ['shell', 'yes']]],
  [
    false,
    'while it was told something, and asks again',
    [
      ...RAN,
      ['shell', 'Go? '],
      ['keys', 'y'],
      ['shell', 'y'],
      ['keys', '\r'],
      ['shell', '\r\nGo? '],
    ],
  ],
  [true, 'at the next prompt', [...RAN, ['shell', 'web$ ']]],
  [
    true,
    'at the next prompt, with half a line',
    [...RAN, ['shell', 'web$ '], ['keys', 'rm'], ['shell', 'rm']],
  ],
  [false, 'while one asks for a password', [...RAN, ['shell', 'web password$']]],
  [false, 'in a full screen', [...RAN, ['shell', '\x1b[?1049hweb$ ']]],
  [true, 'behind one', [...RAN, ['shell', '\x1b[?1049hweb$ \x1b[?1049l'], ['shell', 'web$ ']]],
  [
    false,
    'asked for the rest of a line',
    [
      ['shell', 'web$ '],
      ['keys', "echo '"],
      ['shell', "echo '"],
      ['keys', '\r'],
      ['shell', '\r\n> '],
    ],
  ],
  [true, 'at a prompt with marks', MARKED.slice(0, 3)],
  [false, 'with marks, while something runs', MARKED],
  [
    false,
    'with marks, while it is told something',
    [...MARKED, ['keys', 'web$ '], ['shell', 'web$ ']],
  ],
  [true, 'with marks, when it is over', [...MARKED, ['shell', 'x\r\n\x1b]133;D;0\x07']]],
])('at its prompt: %s, %s', (is, _, steps) => {
  expect(after(steps).isAtPrompt).toBe(is)
})

test.each([
  ['ada@web:~$ ', 'ada@web:/tmp$ ', true],
  ['[root@web ~]# ', '[root@web etc]# ', true],
  ['ada@web:~$ ', 'ada@web:~# ', false],
  ['ada@web:~$ ', 'Password: ', false],
  ['$ ', '$ ', true],
  ['$ ', '/tmp $ ', false],
])('a prompt that was %j and is %j: %s', (before, now, is) => {
  const steps: [from: 'shell' | 'keys', text: string][] = [
    ['shell', before],
    ['keys', 'x'],
    ['shell', 'x'],
    ['keys', '\r'],
    ['shell', `\r\n${now}`],
  ]
  expect(after(steps).isAtPrompt).toBe(is)
})
