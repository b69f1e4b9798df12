/** scp's old protocol by bytes: cut everywhere, sent ahead of the answers it should wait for, changed. */
import { createHash } from 'node:crypto'
import fc from 'fast-check'
import type { ScpCommand } from './recognise-exec'
import { createScpGate } from './scp'
import { ALLOWED, forbidden, HostUnderTest } from './transfers-under-test'

const TO: ScpCommand = {
  program: 'scp',
  mode: 'to',
  paths: ['/srv/'],
  recursive: true,
  isDirectory: true,
  expands: false,
}
const FROM: ScpCommand = { ...TO, mode: 'from', paths: ['/srv/x'] }

const SAID = 'T1 0 1 0\nD0755 0 d\nC0644 5 a\nhello\0C0600 0 b\n\0E\nC0644 3 c\nxyz\0'

/** The other side of a source: answers each thing that should have an answer. */
class Sink {
  private text = ''
  private left = -1
  readonly files: string[] = []

  constructor(private readonly refuse: RegExp = /^$/) {}

  take(bytes: Buffer): Buffer {
    this.text += bytes.toString('latin1')
    let answers = ''
    for (;;) {
      if (this.left >= 0) {
        if (this.text.length < this.left + 1) break
        this.files.push(this.text.slice(0, this.left))
        this.text = this.text.slice(this.left + 1)
        this.left = -1
        answers += '\0'
        continue
      }
      const end = this.text.indexOf('\n')
      if (end < 0) break
      const line = this.text.slice(0, end)
      this.text = this.text.slice(end + 1)
      if (line.startsWith('\x01')) continue
      if (this.refuse.test(line)) {
        answers += '\x01no\n'
        continue
      }
      if (line.startsWith('C')) this.left = Number(line.split(' ')[1])
      answers += '\0'
    }
    return Buffer.from(answers, 'latin1')
  }
}

function upload(
  pieces: readonly Buffer[],
  sink: Sink,
  prepare: (host: HostUnderTest) => void = () => {},
) {
  const host = new HostUnderTest()
  prepare(host)
  const gate = createScpGate(host, TO)
  const answers: Buffer[] = [Buffer.from([0])]
  host.onSend = (to, bytes) => {
    if (to === 'toTarget') answers.push(sink.take(bytes))
  }
  const answer = () => {
    for (let one = answers.shift(); one !== undefined; one = answers.shift())
      for (const byte of one) gate.fromTarget(Buffer.from([byte]))
  }
  answer()
  for (const piece of pieces) {
    gate.fromClient(piece)
    answer()
  }
  return { host, gate }
}

function cut(bytes: Buffer, step: number): Buffer[] {
  const pieces: Buffer[] = []
  for (let at = 0; at < bytes.length; at += step) pieces.push(bytes.subarray(at, at + step))
  return pieces
}

const digest = (text: string) => createHash('sha256').update(text).digest()

test('what it makes of an upload, whatever it is cut into', () => {
  for (let step = 1; step <= SAID.length; step++) {
    const sink = new Sink()
    const { host, gate } = upload(cut(Buffer.from(SAID), step), sink)
    gate.end('over')
    expect(host.of('started').map(({ text, verbs }) => [text, ...verbs])).toEqual([
      ['mkdir /srv/d', 'ssh:file-create'],
      ['put /srv/d/a', 'ssh:upload'],
      ['put /srv/d/b', 'ssh:upload'],
      ['put /srv/c', 'ssh:upload'],
    ])
    expect(host.of('completed').map(({ completion }) => completion)).toMatchObject([
      { status: 'ok' },
      { status: 'ok', inputBytes: 5, inputDigest: digest('hello') },
      { status: 'ok', inputBytes: 0, inputDigest: null },
      { status: 'ok', inputBytes: 3, inputDigest: digest('xyz') },
    ])
    expect(host.sent('toTarget').toString()).toBe(SAID)
    expect(sink.files).toEqual(['hello', '', 'xyz'])
  }
})

test('content sent ahead of an answer is never read as something to do', () => {
  // The target refuses the file; what its source sent as content says to write another.
  const ahead = 'C0644 14 a\nC0644 1 evil\nx\0\0'
  const sink = new Sink(/ a$/)
  const host = upload([Buffer.from(ahead)], sink, (one) => {
    one.rule = ({ statement }) => (/evil/.test(String(statement.text)) ? forbidden('no') : ALLOWED)
  }).host
  expect(sink.files).toEqual([])
  expect(host.of('blocked').map(({ text }) => text)).toEqual(['put /srv/evil'])
})

test.each([
  ['C0644 5 ../a\n', 'a name with a slash'],
  ['C0644 5 ..\n', 'a name that leads out'],
  ['C0644 5 \n', 'no name'],
  ['C0644 99999999999999999999 a\n', 'a size beyond all'],
  ['C0644 -1 a\n', 'a negative size'],
  ['Cxyz 5 a\n', 'no mode'],
  ['E\n', 'out of nowhere'],
  ['T1 2\n', 'half of its times'],
  ['hello\n', 'something else'],
  [`C0644 5 ${'a'.repeat(10_000)}`, 'an endless line'],
])('%j, %s, is the end of it', (said) => {
  const { host } = upload([Buffer.from(said)], new Sink())
  expect(host.of('failed')).toMatchObject([{ code: 'CUSTODY-SSH-020' }])
  expect(host.sent('toTarget').length).toBe(0)
  expect(host.unsettled()).toEqual([])
})

test('a download: recorded before it is announced, complete before its last byte', () => {
  const host = new HostUnderTest()
  const gate = createScpGate(host, FROM)
  gate.fromClient(Buffer.from([0]))
  gate.fromTarget(Buffer.from('C0644 5 x\n'))
  expect(host.of('started').map(({ text }) => text)).toEqual(['get /srv/x'])
  expect(host.of('toClient')).toMatchObject([{ waits: true }])
  gate.fromClient(Buffer.from([0]))
  gate.fromTarget(Buffer.from('hello'))
  expect(host.of('completed')).toEqual([])
  gate.fromTarget(Buffer.from([0]))
  expect(host.of('completed')).toMatchObject([
    { completion: { status: 'ok', bytes: 5, digest: digest('hello') } },
  ])
  expect(host.of('toClient').at(-1)).toMatchObject({ bytes: Buffer.from([0]), waits: true })
  expect(host.sent('toClient').toString()).toBe('C0644 5 x\nhello\0')
})

test('changed and cut short: nothing is written that is not recorded, and nothing stays open', () => {
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.nat(SAID.length - 1), fc.nat(255)), { maxLength: 4 }),
      fc.integer({ min: 1, max: 20 }),
      fc.nat(SAID.length),
      (changes, step, length) => {
        const bytes = Buffer.from(SAID)
        for (const [at, value] of changes) bytes[at] = value
        const sink = new Sink()
        const { host, gate } = upload(cut(bytes.subarray(0, length), step), sink)
        gate.end('over')
        expect(host.unsettled()).toEqual([])
        const recorded = host.of('started').filter(({ text }) => text.startsWith('put'))
        expect(sink.files.length).toBeLessThanOrEqual(recorded.length)
      },
    ),
    { numRuns: 1500 },
  )
})

describe('a target that sends what nobody asked for', () => {
  /** What of it reaches a client that asked for these. */
  function download(paths: string[], said: string, recursive = false) {
    const host = new HostUnderTest()
    const gate = createScpGate(host, {
      ...FROM,
      paths,
      recursive,
      isDirectory: false,
      expands: paths.some((path) => path.includes('*')),
    })
    let failed = false
    host.onFail = () => {
      failed = true
    }
    for (const byte of Buffer.from(said)) {
      gate.fromClient(Buffer.from([0]))
      gate.fromTarget(Buffer.from([byte]))
    }
    return { shown: host.sent('toClient').toString(), failed }
  }
  const content = (name: string) => `C0644 4 ${name}\nevil\0`

  test.each([
    [['/srv/x'], content('.bashrc')],
    [['/srv/x'], content('../x')],
    [['/srv/x'], content('/etc/x')],
    [['/srv/x'], content('..')],
    [['/srv/x'], content('.')],
    [['/srv/x'], content('x ')],
    [['/srv/x'], content('xx')],
    [['x', 'y/'], content('z')],
    [['/srv/*.txt'], content('.ssh')],
    [['/srv/*.txt'], content('a.txt.sh')],
    [['/srv/a?c'], content('abcd')],
    [['/srv/x'], `D0755 0 x\n${content('authorized_keys')}E\n`],
    [['/srv/x'], `C0644 0 x\n\0${content('.bashrc')}`],
  ])('%j: %j', (paths, said) => {
    const { shown, failed } = download(paths, said)
    expect(shown).not.toContain('evil')
    expect(failed).toBe(true)
  })

  test.each([
    [['/srv/x'], content('x')],
    [['/srv/x/'], content('x')],
    [['/srv/a', '/srv/b'], `${content('a')}${content('b')}`],
    [['/srv/*.txt'], content('a.txt')],
    [['/srv/*'], `${content('a')}${content('.b')}`],
    [['/srv/[ab]?c*d'], content('axcYYd')],
    [['/srv/{a,b}'], content('a')],
    [['~'], content('ada')],
    [['/srv/it\u2019s'], content('it\u2019s')],
  ])('but %j: %j', (paths, said) => {
    const { shown, failed } = download(paths, said)
    expect(shown).toBe(said)
    expect(failed).toBe(false)
  })

  test('within a directory that was asked for, its names are its own', () => {
    const said = `D0755 0 x\n${content('anything')}E\n`
    expect(download(['/srv/x'], said, true)).toEqual({ shown: said, failed: false })
    const { shown, failed } = download(['/srv/x'], `D0755 0 x\n${content('a/../../b')}E\n`, true)
    expect([shown.includes('evil'), failed]).toEqual([false, true])
  })

  test('names that take long to compare do not', () => {
    const { failed } = download([`/srv/${'*a'.repeat(500)}`], content(`${'a'.repeat(4000)}b`))
    expect(failed).toBe(true)
  })
})
