/** A recording draws, in its time, and does nothing else to the terminal that it is played in. */
import { createCastWriter } from '@custody/terminal'
import { Drawing } from './drawing'
import { play } from './play'

const harmless = (text: string) => new Drawing().push(text)

const START = 1_700_000_000_000_000

function cast(pieces: readonly [seconds: number, text: string | Buffer][]): string[] {
  const writer = createCastWriter({ width: 80, height: 24, timestamp: 1_700_000_000 }, START)
  const lines = [writer.header()]
  for (const [seconds, text] of pieces)
    lines.push(
      writer.event({ kind: 'o', atMicros: START + seconds * 1_000_000, data: Buffer.from(text) }),
    )
  lines.push(
    writer.event({ kind: 'i', atMicros: START + 9_000_000, data: Buffer.from('typed') }),
    writer.end(),
  )
  return lines.join('').trimEnd().split('\n')
}

async function played(lines: string[], options = { speed: 1, idleSecondsMax: 5 }) {
  const did: (string | number)[] = []
  const remarks: string[] = []
  await play(
    (async function* () {
      yield* lines
    })(),
    options,
    {
      write: (text) => void (text && did.push(text)),
      sleep: async (ms) => void did.push(Math.round(ms)),
      columns: 40,
      rows: 10,
    },
    (text) => remarks.push(text),
    { dim: (text) => text },
  )
  return { did, remarks }
}

test('it is drawn in its own time, and pauses are cut', async () => {
  const { did, remarks } = await played(
    cast([
      [0, 'a'],
      [0.25, 'b'],
      [60, 'c'],
    ]),
  )
  expect(did).toEqual(['a', 250, 'b', 5000, 'c', expect.stringContaining('\x1b[?1049l')])
  expect(remarks).toEqual([expect.stringContaining('80 columns')])
  expect(
    (
      await played(
        cast([
          [0, 'a'],
          [1, 'b'],
        ]),
        { speed: 4, idleSecondsMax: 5 },
      )
    ).did.slice(0, 3),
  ).toEqual(['a', 250, 'b'])
})

test('characters cut between two pieces come whole', async () => {
  const bytes = Buffer.from('日本😀')
  for (let at = 1; at < bytes.length; at++) {
    const { did } = await played(
      cast([
        [0, bytes.subarray(0, at)],
        [0, bytes.subarray(at)],
      ]),
    )
    expect(did.slice(0, -1).join('')).toBe('日本😀')
  }
})

test('what would do more than draw is left out, wherever it is cut', async () => {
  const wicked = [
    '\x1b]52;c;cm0gLXJmIC8=\x07',
    '\x1b]0;title\x1b\\',
    '\x1b]4;1;?\x07',
    '\x1b[c',
    '\x1b[>c',
    '\x1b[6n',
    '\x1b[?2004h',
    '\x1b[?1003h',
    '\x1b[21t',
    '\x1b[5i',
    '\x1bP+q544e\x1b\\',
    '\x1b_Gf=100;AAAA\x1b\\',
    '\x1bc',
    // What it answers to, in other words: modes, parameters, its name.
    '\x1b[?1$p',
    '\x1b[1x',
    '\x1b[?1;1;0S',
    '\x05',
    // With control characters within, which terminals do at once and read on.
    '\x1b[6\nn',
    '\x1b[\x00c',
    '\x1b]52;c;\x01YQ==\x07',
    // The 8-bit form, as UTF-8 has it.
    '\u009b6n',
    '\u009d52;c;YQ==\u009c',
    '\u0090$qm\u009c',
    // Two in one.
    '\x1b[?25;1000h',
    '\x1b[\x1b[6n',
    '\x1b]0;\x1b[6n',
    '\x1b]8;;x\x1b]52;c;YQ==\x07',
    '\x1b#8',
    '\x1b%@',
    '\x1b[>4;2m',
    '\x1b[2 q',
    `\x1b[${'1'.repeat(300)}n`,
  ]
  for (const one of wicked) {
    expect([one, harmless(`a${one}b`)]).toEqual([one, 'ab'])
    for (let at = 1; at < one.length; at++) {
      const { did } = await played(
        cast([
          [0, `a${one.slice(0, at)}`],
          [0, `${one.slice(at)}b`],
        ]),
      )
      expect([one, at, did.slice(0, -1).join('')]).toEqual([one, at, 'ab'])
    }
  }
  const drawing =
    '\x1b[31mred\x1b[0m\x1b[2J\x1b[10;5H\x1b[?25l\x1b[?1049h\x1b(B\x1b7\x1b8\x1b[1;38:2::1:2:3m\x1b[?2026h\x1b[4h\x1b[!p\x1b[s\x1b[?2J\x1b[3;9r\t\b\x0e\x0f\x1b]8;;https://example.com\x07link\x1b]8;;\x07'
  expect(harmless(drawing)).toBe(drawing)
})

test('markers that are told are those of who recorded, and draw nothing', async () => {
  const writer = createCastWriter({ width: 80, height: 24, timestamp: 1_700_000_000 }, START)
  const mark = (label: string) => writer.event({ kind: 'm', atMicros: START, label })
  const lines = [
    writer.header(),
    mark('17 bytes were not recorded'),
    mark('\x1b]52;c;YQ==\x07 not recorded'),
    mark('watching ended: \x1b[6n\u009b6n'),
  ]
  const { remarks } = await played(lines.join('').trimEnd().split('\n'))
  expect(remarks.slice(1)).toEqual([
    'custody: 17 bytes were not recorded',
    'custody: watching ended:  [6n 6n',
  ])
})

test('what is no recording is refused', async () => {
  await expect(played(['{"version":1}'])).rejects.toThrow('not an asciicast')
  await expect(played([...cast([]), '["x"]'])).rejects.toThrow('not an event')
})
