/** What a program reads: finds are replaced whole wherever the stream is cut, and what is no text comes through as it was. */
import { createHash, generateKeyPairSync, randomBytes } from 'node:crypto'
import { deflateSync, gzipSync } from 'node:zlib'
import { createDetection, DEFAULT_DETECTORS } from '@custody/masking'
import { createTextMasker, TEXT_MASKER_LIMITS } from './text-masker'

const CARD = '4111111111111111'
const TOKEN = `ghp_${'a1B2'.repeat(9)}`
const KEY = generateKeyPairSync('rsa', { modulusLength: 1024 })
  .privateKey.export({ type: 'pkcs1', format: 'pem' })
  .toString()
  .trim()
const KEY_BODY = new RegExp(
  KEY.split('\n')
    .slice(1, -1)
    .map((row) => row.slice(0, 20).replace(/[+/]/g, '\\$&'))
    .join('|'),
)

const detection = createDetection(
  {
    use: DEFAULT_DETECTORS,
    patterns: [{ name: 'name', pattern: 'Ren[ée]e? Ünal' }],
    action: { action: 'redact' },
  },
  Buffer.alloc(32, 7),
)
const masker = (counts = new Map<string, number>(), limits = {}) =>
  createTextMasker(
    { findText: (bytes) => detection.finds(bytes) },
    { add: (name) => counts.set(name, (counts.get(name) ?? 0) + 1) },
    limits,
  )

/** In pieces that end at these places. */
function cut(bytes: Buffer, places: readonly number[], counts?: Map<string, number>): Buffer {
  const one = masker(counts)
  const out: Buffer[] = []
  const raw: Buffer[] = []
  let from = 0
  for (const to of [...places, bytes.length]) {
    const released = one.push(bytes.subarray(from, to), from)
    out.push(released.shown)
    raw.push(released.raw)
    from = to
  }
  const released = one.end()
  expect(Buffer.concat([...raw, released.raw]).equals(bytes)).toBe(true)
  return Buffer.concat([...out, released.shown])
}
const whole = (text: string | Buffer, counts?: Map<string, number>) =>
  cut(Buffer.from(text), [], counts)

const CASES: Record<string, [text: string, masked: string]> = {
  'a card': [`paid with ${CARD} today\n`, 'paid with [masked] today\n'],
  'a card in groups': ['with 4111 1111 1111 1111 today\n', 'with [masked] today\n'],
  'a token': [`export GITHUB_TOKEN=${TOKEN}\n`, 'export GITHUB_TOKEN=[masked]\n'],
  'an address': ['1,ada.lovelace@example.com,x\r\n', '1,[masked],x\r\n'],
  'an account': ['to DE89 3704 0044 0532 0130 00 now\n', 'to [masked] now\n'],
  'a password in an address': [
    'postgres://ada:hunter2secret@db1/shop\n',
    'postgres://ada:[masked]@db1/shop\n',
  ],
  'a pattern with characters of several bytes': [
    'né Renée Ünal à Paris\n',
    'né [masked] à Paris\n',
  ],
  'several on several lines': [
    `${CARD}\nx\n${TOKEN} ada.lovelace@example.com\n`,
    '[masked]\nx\n[masked] [masked]\n',
  ],
  'one at the end': [`the card is ${CARD}`, 'the card is [masked]'],
  'a key': [`before\n${KEY}\nafter\n`, 'before\n[masked]\nafter\n'],
  'one within colours': [`\x1b[31m${CARD}\x1b[0m ok\n`, '\x1b[31m[masked]\x1b[0m ok\n'],
  'one in parts of several colours': [
    `a \x1b[31m41111111\x1b[32m11111111\x1b[0m ok\n`,
    'a \x1b[31m[masked]\x1b[32m\x1b[0m ok\n',
  ],
  'records parted by zero bytes': [`A=1\0CARD=${CARD}\0B=2\0`, 'A=1\0CARD=[masked]\0B=2\0'],
  'fields parted by one control character': [
    `8=FIX.4.4\x011=${CARD}\x0155=X\x01\n`,
    '8=FIX.4.4\x011=[masked]\x0155=X\x01\n',
  ],
  'a log that was cut off while it was written': [
    `${'\0'.repeat(300)}paid ${CARD}\n`,
    `${'\0'.repeat(300)}paid [masked]\n`,
  ],
  'text in Latin-1 around it': ['', ''],
}
CASES['text in Latin-1 around it'] = [
  Buffer.from(`caf\xe9 ${CARD} \xfcber\n`, 'latin1').toString('latin1'),
  Buffer.from('caf\xe9 [masked] \xfcber\n', 'latin1').toString('latin1'),
]

describe('text', () => {
  for (const [name, [text, masked]] of Object.entries(CASES)) {
    const encoding = name.includes('Latin-1') ? 'latin1' : 'utf8'
    it(`hides ${name}, cut anywhere`, () => {
      const bytes = Buffer.from(text, encoding)
      const wanted = Buffer.from(masked, encoding)
      expect(cut(bytes, [])).toEqual(wanted)
      for (let at = 1; at < bytes.length; at++)
        expect([at, cut(bytes, [at]).equals(wanted)]).toEqual([at, true])
      for (const size of [1, 2, 3, 7, 64])
        expect(
          cut(
            bytes,
            Array.from({ length: Math.floor(bytes.length / size) }, (_, i) => (i + 1) * size),
          ).equals(wanted),
        ).toBe(true)
    })
  }

  it('counts each find once', () => {
    for (const places of [[], [3], [20, 21, 22]]) {
      const counts = new Map<string, number>()
      cut(Buffer.from(`${CARD}\nx ${CARD} y\nada.lovelace@example.com`), places, counts)
      expect(Object.fromEntries(counts)).toEqual({ card: 2, email: 1 })
    }
  })

  it('lets whole lines go at once, the rest of one after a while, what looks like a beginning later', () => {
    const one = masker()
    expect(one.push(Buffer.from('a line\nand Password: '), 0).shown.toString()).toBe('a line\n')
    expect(one.dueMicros).toBe(TEXT_MASKER_LIMITS.holdMicrosMax)
    expect(one.flush(100_000).shown.toString()).toBe('and Password: ')
    expect(one.dueMicros).toBe(null)
    expect(one.push(Buffer.from('the card 4111 1111 '), 200_000).shown.length).toBe(0)
    expect(one.flush(300_000).shown.toString()).toBe('the card ')
    expect(one.dueMicros).toBe(300_000 + TEXT_MASKER_LIMITS.suspectMicrosMax)
    expect(one.push(Buffer.from('1111 1111.\n'), 4_000_000).shown.toString()).toBe('[masked].\n')
  })

  it('hides the rest of what had to be let go', () => {
    const one = masker()
    one.push(Buffer.from('card 41111111'), 0)
    expect(one.flush(100_000).shown.toString()).toBe('card ')
    expect(one.flush(9_000_000).shown.toString()).toBe('41111111')
    expect(one.push(Buffer.from('11111111 x\n'), 9_100_000).shown.toString()).toBe('******** x\n')
  })

  it('holds an escape sequence that is cut no longer than anything else', () => {
    const one = masker()
    expect(one.push(Buffer.from('red\x1b[3'), 0).shown.length).toBe(0)
    one.flush(100_000)
    one.flush(9_000_000)
    expect(one.dueMicros).toBe(null)
  })

  it('finds what stands in a line that never ends, and holds no more than its bounds', () => {
    const one = masker()
    const record = `{"id":12345,"mail":"ada.lovelace@example.com","pad":"${'x y '.repeat(20)}"},`
    const bytes = Buffer.from(record.repeat(4000))
    const out: Buffer[] = []
    for (let at = 0; at < bytes.length; at += 997) {
      out.push(one.push(bytes.subarray(at, at + 997), at).shown)
      expect(one.heldBytes).toBeLessThanOrEqual(TEXT_MASKER_LIMITS.lineBytesMax + 997)
    }
    out.push(one.end().shown)
    expect(Buffer.concat(out).toString()).toBe(
      record.replace('ada.lovelace@example.com', '[masked]').repeat(4000),
    )
  })

  it('shows nothing of a key that is longer than what is held, nor of one that comes slowly', () => {
    const long = KEY.split('\n')
    const body = Array.from({ length: 3000 }, () => long[3]!)
    const text = Buffer.from([long[0], ...body, long.at(-1), 'after', ''].join('\n'))
    const out = cut(
      text,
      Array.from({ length: Math.floor(text.length / 1000) }, (_, i) => (i + 1) * 1000),
    )
    expect(out.toString()).not.toMatch(KEY_BODY)
    expect(out.toString()).toMatch(/\nafter\n$/)
    const one = masker()
    let shown = ''
    for (const [i, row] of `${KEY}\nafter\n`.split(/(?<=[\s\S]{37})/).entries()) {
      const now = i * 10_000_000
      shown += one.push(Buffer.from(row), now).shown.toString()
      shown += one.flush(now + 6_000_000).shown.toString()
    }
    expect(shown).not.toMatch(KEY_BODY)
    expect(shown).toMatch(/\nafter\n$/)
  })

  it('goes on after a key that was cut off', () => {
    const one = masker()
    const cutOff = `${KEY.split('\n').slice(0, 4).join('\n')}\n`
    one.push(Buffer.from(cutOff), 0)
    expect(one.flush(9_000_000).shown.toString()).toBe('[masked]')
    expect(one.push(Buffer.from('some other words\n'), 9_100_000).shown.toString()).toBe(
      'some other words\n',
    )
  })

  it('finds what base64 over several lines says', () => {
    const text = Buffer.from(`a report of ${'words '.repeat(20)} with ${CARD} and no more of it`)
      .toString('base64')
      .replace(/(.{76})/g, '$1\n')
    for (const at of [0, 10, 77, 100, 154])
      expect(cut(Buffer.from(`first\n${text}\nlast\n`), [at]).toString()).toBe(
        'first\n[masked]\nlast\n',
      )
  })

  it('leaves fifty megabytes of ordinary lines as they are, and holds little of them', () => {
    const one = masker()
    const block = Buffer.from(
      Array.from(
        { length: 400 },
        (_, i) => `2026-11-22T01:02:03Z INFO row ${i} of many, all well\n`,
      ).join(''),
    )
    const [sent, shown] = [createHash('sha256'), createHash('sha256')]
    let most = 0
    let bytes = 0
    for (; bytes < 50_000_000; bytes += block.length) {
      sent.update(block)
      for (let at = 0; at < block.length; at += 16_384)
        shown.update(one.push(block.subarray(at, at + 16_384), 0).shown)
      most = Math.max(most, one.heldBytes)
    }
    shown.update(one.end().shown)
    expect(shown.digest('hex')).toBe(sent.digest('hex'))
    expect(most).toBeLessThan(1000)
  })
})

describe('what is no text', () => {
  const inside = `ada.lovelace@example.com ${CARD} ${TOKEN}\n`
  const tar = Buffer.alloc(1024)
  tar.write('customers.csv')
  tar.write('0000644', 100)
  tar.write(inside, 512)
  const cases: Record<string, Buffer> = {
    'an archive (tar)': tar,
    'something compressed': gzipSync(randomBytes(300)),
    'something compressed without a header': deflateSync(randomBytes(3000)),
    'a document (PDF)': Buffer.from(`%PDF-1.4\n% made by ${inside}stream`),
    'git’s packets': Buffer.from(
      `00a0${'ab'.repeat(20)} refs/heads/ada.lovelace@example.com\n${inside}`,
    ),
    'git’s packets, version 2': Buffer.from(`000eversion 2\n0015agent=git/2.39\n${inside}`),
    'rsync’s greeting': Buffer.concat([
      Buffer.from([0x20, 0, 0, 0, 0x5e, 0x01, 0x9c, 0x02, 7, 3, 0, 0x06]),
      Buffer.from(inside),
    ]),
    SFTP: Buffer.concat([Buffer.from([0, 0, 0, 5, 2, 0, 0, 0, 3]), Buffer.from(inside)]),
    'another SSH connection': Buffer.from(`SSH-2.0-OpenSSH_9.6\r\n${inside}`),
    'random bytes': Buffer.concat([randomBytes(2000), Buffer.from(inside)]),
  }
  for (const [name, bytes] of Object.entries(cases))
    it(`passes ${name} unchanged, cut anywhere`, () => {
      for (const size of [1, 3, 100, bytes.length])
        expect(
          cut(
            bytes,
            Array.from({ length: Math.floor(bytes.length / size) }, (_, i) => (i + 1) * size),
          ).equals(bytes),
        ).toBe(true)
    })

  it('is told in the midst of text as well, where a find would be chance', () => {
    const script = Buffer.from(`#!/bin/sh\n${'echo unpacking\n'.repeat(700)}`)
    const packed = Buffer.concat([
      randomBytes(300),
      Buffer.from(' ada@example.com '),
      randomBytes(300),
    ])
    expect(whole(Buffer.concat([script, packed])).equals(Buffer.concat([script, packed]))).toBe(
      true,
    )
  })

  it('holds nothing once it is told', () => {
    const one = masker()
    one.push(tar, 0)
    expect(one.isBinary).toBe(true)
    expect(one.heldBytes).toBe(0)
    expect(one.push(Buffer.from('no end'), 0).shown.toString()).toBe('no end')
  })
})

test('what may be seen stays as it is, and is counted, wherever the stream is cut', () => {
  const text = `${KEY}\nada@example.com paid with ${CARD}\n`
  const shown = new Set(['email', 'private-key'])
  const bytes = Buffer.from(text)
  for (let at = 0; at <= bytes.length; at += 7) {
    const counts = new Map<string, number>()
    const one = createTextMasker(
      {
        findText: (some) =>
          detection.finds(some)?.map((find) => ({ ...find, isShown: shown.has(find.detector) })) ??
          null,
      },
      { add: (name) => counts.set(name, (counts.get(name) ?? 0) + 1) },
    )
    const out = [bytes.subarray(0, at), bytes.subarray(at)].map((piece) => one.push(piece, 0).shown)
    expect(Buffer.concat([...out, one.end().shown]).toString()).toBe(text.replace(CARD, '[masked]'))
    expect(Object.fromEntries(counts)).toEqual({ 'private-key': 1, email: 1, card: 1 })
  }
})
