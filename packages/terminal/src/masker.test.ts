/** What detectors find is replaced wherever the stream is cut and whatever steers the terminal in it, and nothing moves. */
import { generateKeyPairSync } from 'node:crypto'
import { createDetection, DEFAULT_DETECTORS } from '@custody/masking'
import { createStreamMasker } from './masker'

const COLOUR = new RegExp(`${'\u001b'}\\[\\d+m`, 'g')
const CARD = '4111111111111111'
const TOKEN = `ghp_${'a1B2'.repeat(9)}`
const KEY = generateKeyPairSync('rsa', { modulusLength: 1024 })
  .privateKey.export({ type: 'pkcs1', format: 'pem' })
  .toString()
  .trim()
  .split('\n')
const KEY_BODY = new RegExp(
  KEY.slice(1, -1)
    .map((row) => row.slice(0, 20).replace(/[+/]/g, '\\$&'))
    .join('|'),
)

const detection = createDetection(
  { use: DEFAULT_DETECTORS, patterns: [], action: { action: 'redact' } },
  Buffer.alloc(32, 7),
)
const masker = (counts = new Map<string, number>(), limits = {}) =>
  createStreamMasker(
    { findText: (bytes) => detection.finds(bytes) },
    { add: (name) => counts.set(name, (counts.get(name) ?? 0) + 1) },
    limits,
  )

/** The stream in pieces of so many bytes, that come right behind each other. */
function through(text: string, pieceBytes: number, counts?: Map<string, number>): string {
  const one = masker(counts)
  const bytes = Buffer.from(text)
  const out: Buffer[] = []
  for (let at = 0; at < bytes.length; at += pieceBytes)
    out.push(one.push(bytes.subarray(at, at + pieceBytes), at))
  out.push(one.end())
  return Buffer.concat(out).toString()
}

const CASES: Record<string, [text: string, secret: RegExp]> = {
  'a card': [`paid with ${CARD} today\r\n`, /4111/],
  'a card in groups': ['paid with 4111 1111 1111 1111 today\r\n', /4111|1111/],
  'a token': [`export GITHUB_TOKEN=${TOKEN}\r\n`, /a1B2/],
  'an address': ['mail ada.lovelace@example.com now\r\n', /ada\.lovelace|example\.com/],
  'a password in an address': ['psql postgres://ada:hunter2secret@db1/shop\r\n', /hunter2secret/],
  several: [`${CARD} and ${TOKEN} and ada.lovelace@example.com\r\n`, /4111|a1B2|lovelace/],
  'one at the end': [`the card is ${CARD}`, /4111/],
  'a key': [`${KEY.join('\r\n')}\r\n$ `, KEY_BODY],
}
const ORDINARY = [
  'ls -la\r\ntotal 4\r\ndrwxr-xr-x 2 root root 4096 Nov 21 20:53 src\r\n',
  '\x1b[01;34mbin\x1b[0m  \x1b[32mrun.sh\x1b[0m\r\nada@web1:~$ ',
  '日本語 ünïcödé 😀\r\n',
  '\x1b]0;title\x07\x1b[?1049h\x1b[2J\x1b[1;1Hvim\x1b[?25l',
  `${Array.from({ length: 300 }, (_, i) => `row ${i} of many`).join('\r\n')}\r\n`,
]

describe('a masked stream', () => {
  for (const [name, [text, secret]] of Object.entries(CASES)) {
    it(`hides ${name}, however it is cut, in as many columns`, () => {
      expect(text).toMatch(secret)
      const whole = through(text, text.length)
      expect(whole).not.toMatch(secret)
      expect(whole).toHaveLength(text.length)
      for (let bytes = 1; bytes < Math.min(text.length, 120); bytes++) {
        const masked = through(text, bytes)
        expect([bytes, secret.test(masked)]).toEqual([bytes, false])
        expect(masked).toHaveLength(text.length)
      }
    })

    it(`hides ${name} with escape sequences in it`, () => {
      const coloured = [...text]
        .map((one, i) => (i % 3 === 1 ? `\x1b[3${i % 8}m${one}` : one))
        .join('')
      for (const bytes of [1, 2, 3, 5, 7, 11, coloured.length]) {
        const plain = through(coloured, bytes).replace(COLOUR, '')
        expect([bytes, secret.test(plain)]).toEqual([bytes, false])
        expect(plain).toHaveLength(text.length)
      }
    })
  }

  it.each(ORDINARY)('leaves %j as it is', (text) => {
    for (const bytes of [1, 2, 3, 7, 64, Buffer.byteLength(text)])
      expect(through(text, bytes)).toBe(text)
  })

  it('counts each find once', () => {
    for (const bytes of [1, 5, 1000]) {
      const counts = new Map<string, number>()
      through(`${CARD}\r\nx ${CARD} y\r\n`, bytes, counts)
      expect(Object.fromEntries(counts)).toEqual({ card: 2 })
    }
  })

  it('lets prompts and echo through at once, and holds back what may go on', () => {
    const one = masker()
    expect(one.push(Buffer.from('ada@web1:~$ '), 0).toString()).toBe('ada@web1:~$ ')
    let shown = ''
    for (const key of `echo ${CARD}`) {
      one.typed(Buffer.from(key))
      shown += one.push(Buffer.from(key), 0).toString()
      expect(one.heldBytes).toBe(0)
    }
    // Once it is what it is, no more of it is shown.
    expect(shown).toBe(`echo ${CARD.slice(0, -1)}*`)
    expect(one.push(Buffer.from('\r\nthe card is 41111111'), 1000).toString()).toBe(
      '\r\nthe card is ',
    )
    expect(one.heldBytes).toBe(8)
    expect(one.dueMicros).toBe(41_000)
    expect(one.push(Buffer.from('11111111\r\n'), 2000).toString()).not.toContain('1')
    expect(one.dueMicros).toBe(null)
  })

  it('hides the rest of what began in something that had to be let go', () => {
    const one = masker()
    const first =
      one.push(Buffer.from('card 41111111'), 0).toString() + one.flush(50_000).toString()
    expect(first).toBe('card 41111111')
    expect(one.push(Buffer.from('11111111 x\r\n'), 60_000).toString()).toBe('******** x\r\n')
  })

  it('holds back no more than its bound, and shows nothing of a key that is longer', () => {
    const one = masker(new Map(), { holdBytesMax: 200 })
    let out = ''
    for (const row of [...KEY, 'after']) {
      out += one.push(Buffer.from(`${row}\r\n`), 0).toString()
      expect(one.heldBytes).toBeLessThanOrEqual(200)
    }
    out += one.end().toString()
    expect(out).not.toMatch(KEY_BODY)
    expect(out).toContain('after\r\n')
  })
})

test('what may be seen stays as it is, and is counted', () => {
  const counts = new Map<string, number>()
  const one = createStreamMasker(
    {
      findText: (some) =>
        detection.finds(some)?.map((find) => ({ ...find, isShown: find.detector === 'email' })) ??
        null,
    },
    { add: (name) => counts.set(name, (counts.get(name) ?? 0) + 1) },
  )
  const text = `ada@example.com paid with ${CARD}\r\n`
  const out = Buffer.concat([one.push(Buffer.from(text), 0), one.end()]).toString()
  expect(out).toBe(`ada@example.com paid with [masked]********\r\n`)
  expect(Object.fromEntries(counts)).toEqual({ email: 1, card: 1 })
})
