/** SFTP by bytes: cut everywhere, cut short, changed, answered out of order, and said by somebody who wants to get round it. */
import { createHash } from 'node:crypto'
import fc from 'fast-check'
import { createSftpGate } from './sftp'
import { packets, request } from './sftp-client-under-test'
import { PacketCutter } from './sftp-packets'
import { Fxp, Status } from './sftp-wire'
import { ALLOWED, forbidden, HostUnderTest } from './transfers-under-test'

const u64 = (value: number) => [0, value] as const
const HANDLE = Buffer.from('h1')
const DATA = Buffer.from('the content of a file, in two pieces')

/** A target that answers what it is asked. */
class Target {
  readonly seen: Buffer[] = []
  private buffered = Buffer.alloc(0)
  private handles = 0

  take(bytes: Buffer): Buffer {
    this.buffered = Buffer.concat([this.buffered, bytes])
    const whole = packets(this.buffered)
    this.buffered = this.buffered.subarray(whole.reduce((sum, one) => sum + one.length, 0))
    return Buffer.concat(whole.map((one) => this.answer(one)))
  }

  private answer(packet: Buffer): Buffer {
    this.seen.push(packet)
    const id = packet.readUInt32BE(5)
    const text = (at: number) => packet.subarray(at + 4, at + 4 + packet.readUInt32BE(at))
    switch (packet[4]) {
      case Fxp.init:
        return request(Fxp.version, 3, 'posix-rename@openssh.com', '1', 'version-select', '3,4,5')
      case Fxp.realpath:
        return request(Fxp.name, id, 1, resolve(text(9).toString()), 'long', 0)
      case Fxp.open:
      case Fxp.opendir:
        return request(Fxp.handle, id, `h${++this.handles}`)
      case Fxp.read: {
        const at = packet.readUInt32BE(packet.length - 8)
        const piece = DATA.subarray(at, at + packet.readUInt32BE(packet.length - 4))
        return piece.length === 0
          ? request(Fxp.status, id, Status.eof, 'End of file', '')
          : request(Fxp.data, id, piece)
      }
      case Fxp.readdir:
        return request(Fxp.name, id, 2, 'a', '-rw a', 0, 'b', '-rw b', 0)
      case Fxp.lstat:
      case Fxp.stat:
      case Fxp.fstat:
        return request(Fxp.attrs, id, 1, ...u64(DATA.length))
      default:
        return request(Fxp.status, id, Status.ok, 'Success', '')
    }
  }
}

const resolve = (path: string) =>
  path === '.' ? '/home/ann' : path.startsWith('/') ? path : `/home/ann/${path}`

const INIT = request(Fxp.init, 3)
const WRITE = request(Fxp.write, 9, 'h2', ...u64(0), DATA.subarray(0, 10))
const SESSION: Buffer[] = [
  INIT,
  request(Fxp.realpath, 0, '.'),
  request(Fxp.stat, 1, '/srv/a'),
  request(Fxp.open, 2, '/srv/a', 1, 0),
  request(Fxp.read, 3, HANDLE, ...u64(0), 20),
  request(Fxp.read, 4, HANDLE, ...u64(20), 100),
  request(Fxp.read, 5, HANDLE, ...u64(100), 100),
  request(Fxp.fstat, 6, HANDLE),
  request(Fxp.close, 7, HANDLE),
  request(Fxp.open, 8, 'b', 26, 4, 0o644),
  WRITE,
  request(Fxp.write, 10, 'h2', ...u64(10), DATA.subarray(10)),
  request(Fxp.fsetstat, 11, 'h2', 4, 0o600),
  request(Fxp.close, 12, 'h2'),
  request(Fxp.opendir, 13, '/srv'),
  request(Fxp.readdir, 14, 'h3'),
  request(Fxp.close, 15, 'h3'),
  request(Fxp.extended, 16, 'posix-rename@openssh.com', '/srv/a', '/srv/z'),
  request(Fxp.symlink, 17, 'z', '/srv/l'),
  request(Fxp.remove, 18, '/srv/l'),
  request(Fxp.mkdir, 19, '/srv/d', 0),
  request(Fxp.rmdir, 20, '/srv/d'),
  request(Fxp.setstat, 21, '/srv/z', 1, ...u64(0)),
]

/** Each request, then what is answered to it, both cut as told. */
function hold(
  session: readonly Buffer[],
  cut: (bytes: Buffer) => Buffer[],
  o: { restricted?: boolean; forbid?: RegExp } = {},
) {
  const host = new HostUnderTest()
  host.restricted = o.restricted ?? false
  host.rule = ({ statement }) =>
    o.forbid?.test(String(statement.text)) ? forbidden('by the test') : ALLOWED
  const gate = createSftpGate(host)
  const target = new Target()
  let answers = Buffer.alloc(0)
  host.onSend = (to, bytes) => {
    if (to === 'toTarget') answers = Buffer.concat([answers, target.take(bytes)])
  }
  for (const packet of session) {
    for (const piece of cut(packet)) gate.fromClient(piece)
    while (answers.length > 0) {
      const bytes = answers
      answers = Buffer.alloc(0)
      for (const piece of cut(bytes)) gate.fromTarget(piece)
    }
  }
  return { host, gate, target }
}

const whole = (bytes: Buffer) => [bytes]

/** What came of it, however it was sent. */
function outcome({ host }: ReturnType<typeof hold>) {
  return {
    deeds: host.deeds.flatMap((deed) =>
      deed.did === 'started'
        ? [`started ${deed.text}`]
        : deed.did === 'completed'
          ? [`completed ${deed.text} ${JSON.stringify(deed.completion)}`]
          : deed.did === 'blocked'
            ? [`blocked ${deed.text}`]
            : deed.did === 'failed'
              ? [`failed ${deed.message}`]
              : [],
    ),
    toTarget: host.sent('toTarget').toString('hex'),
    toClient: host.sent('toClient').toString('hex'),
  }
}

test('what it makes of a session', () => {
  const { host } = hold(SESSION, whole)
  expect(host.of('started').map(({ text, verbs }) => [text, ...verbs])).toEqual([
    ['stat /srv/a', 'ssh:file-stat'],
    ['open /srv/a to read', 'ssh:download'],
    ['open /home/ann/b to write', 'ssh:upload'],
    ['fsetstat /home/ann/b mode=0600', 'ssh:file-change'],
    ['opendir /srv', 'ssh:file-list'],
    ['posix-rename /srv/a /srv/z', 'ssh:file-rename'],
    ['symlink /srv/z /srv/l', 'ssh:file-link'],
    ['remove /srv/l', 'ssh:file-remove'],
    ['mkdir /srv/d', 'ssh:file-create'],
    ['rmdir /srv/d', 'ssh:file-remove'],
    ['setstat /srv/z size=0', 'ssh:file-change'],
  ])
  const [, read, , write] = [
    ...host.of('completed').filter(({ text }) => /^(stat|open|fsetstat)/.test(text)),
  ].map(({ completion }) => completion)
  const digest = createHash('sha256').update(DATA).digest()
  expect(read).toMatchObject({ status: 'ok', bytes: DATA.length, digest })
  expect(write).toMatchObject({ inputBytes: DATA.length, inputDigest: digest })
  expect(host.unsettled()).toEqual([])
})

test('cut at every byte: the same, both ways', () => {
  const longest = Math.max(...SESSION.map((one) => one.length), 100)
  for (const restricted of [false, true]) {
    const expected = outcome(hold(SESSION, whole, { restricted, forbid: /remove/ }))
    for (let at = 1; at < longest; at++) {
      const cut = (bytes: Buffer) =>
        at < bytes.length ? [bytes.subarray(0, at), bytes.subarray(at)] : [bytes]
      expect(outcome(hold(SESSION, cut, { restricted, forbid: /remove/ }))).toEqual(expected)
    }
    const bytewise = (bytes: Buffer) => [...bytes].map((byte) => Buffer.from([byte]))
    expect(outcome(hold(SESSION, bytewise, { restricted, forbid: /remove/ }))).toEqual(expected)
  }
})

/** Requests that do something to a path. */
const ON_PATHS = new Set<number>([
  Fxp.open,
  Fxp.opendir,
  Fxp.remove,
  Fxp.mkdir,
  Fxp.rmdir,
  Fxp.rename,
  Fxp.symlink,
  Fxp.setstat,
  Fxp.fsetstat,
  Fxp.readlink,
  Fxp.stat,
])

test('cut short or changed: never more is sent on than was recorded, nothing after it failed, nothing left open', () => {
  const bytes = Buffer.concat(SESSION)
  fc.assert(
    fc.property(
      fc.array(
        fc.record({
          at: fc.nat(bytes.length - 1),
          value: fc.nat(255),
          kind: fc.constantFrom('set', 'drop', 'insert'),
        }),
        { minLength: 1, maxLength: 4 },
      ),
      fc.nat(bytes.length),
      fc.integer({ min: 1, max: 40 }),
      fc.boolean(),
      (changes, length, step, restricted) => {
        let changed: Buffer = Buffer.from(bytes)
        for (const { at, value, kind } of changes)
          changed =
            kind === 'set'
              ? Buffer.concat([
                  changed.subarray(0, at),
                  Buffer.from([value]),
                  changed.subarray(at + 1),
                ])
              : kind === 'drop'
                ? Buffer.concat([changed.subarray(0, at), changed.subarray(at + 1)])
                : Buffer.concat([
                    changed.subarray(0, at),
                    Buffer.from([value]),
                    changed.subarray(at),
                  ])
        changed = changed.subarray(0, Math.max(length, changed.length - length))
        const pieces: Buffer[] = []
        for (let at = 0; at < changed.length; at += step)
          pieces.push(changed.subarray(at, at + step))
        const { host, gate, target } = hold(pieces, whole, { restricted })
        gate.end('over')
        expect(host.unsettled()).toEqual([])
        const failed = host.deeds.findIndex(({ did }) => did === 'failed')
        if (failed >= 0)
          expect(
            host.deeds
              .slice(failed + 1)
              .filter(({ did }) => did.startsWith('to') || did === 'started'),
          ).toEqual([])
        const done = target.seen.filter((packet) => ON_PATHS.has(packet[4]!))
        expect(done.length).toBeLessThanOrEqual(host.of('started').length)
      },
    ),
    { numRuns: 1500 },
  )
})

test('answers changed: it never throws, and what it lets through it has recorded the end of', () => {
  fc.assert(
    fc.property(fc.nat(600), fc.nat(255), fc.integer({ min: 1, max: 50 }), (at, value, step) => {
      const host = new HostUnderTest()
      const gate = createSftpGate(host)
      const target = new Target()
      let passed = 0
      host.onSend = (to, bytes) => {
        if (to !== 'toTarget') return
        const answer = target.take(bytes)
        if (at >= passed && at < passed + answer.length) answer[at - passed] = value
        passed += answer.length
        waiting.push(answer)
      }
      const waiting: Buffer[] = []
      for (const packet of SESSION) {
        gate.fromClient(packet)
        for (let one = waiting.shift(); one !== undefined; one = waiting.shift())
          for (let from = 0; from < one.length; from += step)
            gate.fromTarget(one.subarray(from, from + step))
      }
      gate.end('over')
      expect(host.unsettled()).toEqual([])
    }),
    { numRuns: 1500 },
  )
})

test('random bytes end it and send nothing on', () => {
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 9, maxLength: 200 }), (bytes) => {
      const host = new HostUnderTest()
      const gate = createSftpGate(host)
      gate.fromClient(Buffer.from(bytes))
      gate.end('over')
      const sent = host.sent('toTarget')
      // INIT is all that may come first.
      if (sent.length > 0) expect(sent[4]).toBe(Fxp.init)
    }),
    { numRuns: 500 },
  )
})

function begun(
  o: {
    restricted?: boolean
    requestsMax?: number
    handlesMax?: number
    heldBytesMax?: number
  } = {},
) {
  const host = new HostUnderTest()
  host.restricted = o.restricted ?? false
  const gate = createSftpGate(host, o)
  gate.fromClient(INIT)
  gate.fromTarget(request(Fxp.version, 3))
  const home = packets(host.sent('toTarget'))[1]!
  gate.fromTarget(request(Fxp.name, home.readUInt32BE(5), 1, '/home/ann', '', 0))
  host.deeds.length = 0
  return { host, gate }
}

test('a refusal keeps its place among the answers', () => {
  const { host, gate } = begun()
  host.rule = ({ statement }) =>
    String(statement.text).startsWith('remove') ? forbidden('no') : ALLOWED
  gate.fromClient(
    Buffer.concat([
      request(Fxp.stat, 1, '/a'),
      request(Fxp.remove, 2, '/a'),
      request(Fxp.stat, 3, '/b'),
    ]),
  )
  expect(host.of('toClient')).toEqual([])
  expect(packets(host.sent('toTarget')).map((one) => one.readUInt32BE(5))).toEqual([1, 3])
  gate.fromTarget(request(Fxp.attrs, 1, 0))
  expect(packets(host.sent('toClient')).map((one) => one.readUInt32BE(5))).toEqual([1, 2])
  gate.fromTarget(request(Fxp.attrs, 3, 0))
  const answers = packets(host.sent('toClient'))
  expect(answers.map((one) => one.readUInt32BE(5))).toEqual([1, 2, 3])
  expect(answers[1]!.readUInt32BE(9)).toBe(Status.permissionDenied)
  expect(answers[1]!.toString()).toContain('custody refused: no (CUSTODY-POLICY-002)')
  expect(host.of('blocked')).toMatchObject([{ text: 'remove /a', code: 'CUSTODY-POLICY-002' }])
})

test('a target that answers in another order is followed, and a file is complete when all of it is', () => {
  const { host, gate } = begun()
  gate.fromClient(request(Fxp.open, 1, '/a', 1, 0))
  gate.fromTarget(request(Fxp.handle, 1, 'h'))
  gate.fromClient(
    Buffer.concat([
      request(Fxp.read, 2, 'h', ...u64(0), 10),
      request(Fxp.read, 3, 'h', ...u64(10), 10),
      request(Fxp.close, 4, 'h'),
    ]),
  )
  gate.fromTarget(request(Fxp.status, 4, 0, 'Success', ''))
  expect(host.of('completed')).toEqual([])
  gate.fromTarget(request(Fxp.data, 3, '0123456789'))
  gate.fromTarget(request(Fxp.data, 2, 'abcdefghij'))
  expect(host.of('completed')).toMatchObject([
    {
      completion: {
        status: 'ok',
        bytes: 20,
        digest: null,
        message: 'no digest: not read in one piece',
      },
    },
  ])
  expect(packets(host.sent('toClient')).map((one) => one.readUInt32BE(5))).toEqual([1, 3, 2, 4])
})

test('a closed handle is none, though its number may come again', () => {
  const { host, gate } = begun()
  gate.fromClient(request(Fxp.open, 1, '/a', 1, 0))
  gate.fromTarget(request(Fxp.handle, 1, 'h'))
  gate.fromClient(
    Buffer.concat([request(Fxp.close, 2, 'h'), request(Fxp.read, 3, 'h', ...u64(0), 10)]),
  )
  gate.fromClient(request(Fxp.open, 4, '/b', 1, 0))
  gate.fromTarget(request(Fxp.status, 2, 0, '', ''))
  gate.fromTarget(request(Fxp.handle, 4, 'h'))
  gate.fromClient(request(Fxp.close, 5, 'h'))
  gate.fromTarget(request(Fxp.status, 5, 0, '', ''))
  expect(packets(host.sent('toTarget')).map((one) => one.readUInt32BE(5))).toEqual([1, 2, 4, 5])
  expect(host.of('completed').map(({ text }) => text)).toEqual([
    'open /a to read',
    'open /b to read',
  ])
})

test.each([
  ['write through a handle opened to read', 1, request(Fxp.write, 2, 'h', 0, 0, 'content')],
  ['read through one opened to write', 2, request(Fxp.read, 2, 'h', 0, 0, 10)],
  ['list a file', 1, request(Fxp.readdir, 2, 'h')],
  ['use a handle that is none', 1, request(Fxp.write, 2, 'other', 0, 0, 'content')],
])('to %s is answered here', (_, flags, packet) => {
  const { host, gate } = begun()
  gate.fromClient(request(Fxp.open, 1, '/a', flags, 0))
  gate.fromTarget(request(Fxp.handle, 1, 'h'))
  for (const byte of packet) gate.fromClient(Buffer.from([byte]))
  expect(packets(host.sent('toTarget')).length).toBe(1)
  expect(packets(host.sent('toClient'))[1]!.readUInt32BE(9)).toBe(Status.failure)
  expect(host.of('failed')).toEqual([])
})

test.each([
  ['create', 8],
  ['truncate', 16],
  ['append', 4],
  ['read and create', 9],
])('opening with the flag to %s is an upload as well', (_, flags) => {
  const { host, gate } = begun()
  gate.fromClient(request(Fxp.open, 1, '/a', flags, 0))
  expect(host.of('started')[0]!.verbs).toEqual(['ssh:download', 'ssh:upload'])
})

test.each([
  ['another version while it runs', Buffer.concat([INIT, INIT])],
  ['a request before the first', request(Fxp.open, 1, '/a', 1, 0)],
  [
    'two requests of one number',
    Buffer.concat([
      INIT,
      request(Fxp.fsetstat, 1, 'h', 0).subarray(0, 0),
      request(Fxp.remove, 1, '/a'),
      request(Fxp.remove, 1, '/b'),
    ]),
  ],
  ['a NUL in a path', Buffer.concat([INIT, request(Fxp.remove, 1, '/a\0b')])],
  ['more in a packet than it holds', Buffer.concat([INIT, request(Fxp.remove, 1, '/a', '/b')])],
  ['less', Buffer.concat([INIT, request(Fxp.remove, 1)])],
  ['an answer', Buffer.concat([INIT, request(Fxp.status, 1, 0, '', '')])],
  ['a packet that is too long', Buffer.concat([INIT, Buffer.from([0x7f, 255, 255, 255, 3])])],
  ['one that is too short', Buffer.concat([INIT, Buffer.from([0, 0, 0, 1, 3])])],
])('a client that says %s is at its end', (_, bytes) => {
  const host = new HostUnderTest()
  const gate = createSftpGate(host)
  const target = new Target()
  host.onSend = (to, sent) => {
    if (to === 'toTarget') answers.push(target.take(sent))
  }
  const answers: Buffer[] = []
  gate.fromClient(INIT)
  if (bytes.indexOf(INIT) === 0) {
    // Up to the answer to our own question, so that paths are known.
    for (let one = answers.shift(); one !== undefined; one = answers.shift()) gate.fromTarget(one)
    gate.fromClient(bytes.equals(Buffer.concat([INIT, INIT])) ? INIT : bytes.subarray(INIT.length))
  } else {
    const fresh = new HostUnderTest()
    const other = createSftpGate(fresh)
    other.fromClient(bytes)
    expect(fresh.of('failed')).toMatchObject([{ code: 'CUSTODY-SSH-020' }])
    return
  }
  expect(host.of('failed')).toMatchObject([{ code: 'CUSTODY-SSH-020' }])
  expect(host.unsettled()).toEqual([])
})

test.each([
  ['an answer to nothing', request(Fxp.status, 77, 0, '', '')],
  ['an answer of the wrong kind', request(Fxp.data, 1, 'content')],
  ['more than was asked for', request(Fxp.data, 2, 'much more than that')],
])('a target that sends %s is at its end', (_, bytes) => {
  const { host, gate } = begun()
  gate.fromClient(request(Fxp.open, 9, '/a', 1, 0))
  gate.fromTarget(request(Fxp.handle, 9, 'h'))
  gate.fromClient(Buffer.concat([request(Fxp.stat, 1, '/a'), request(Fxp.read, 2, 'h', 0, 0, 4)]))
  gate.fromTarget(bytes)
  expect(host.of('failed')).toMatchObject([{ code: 'CUSTODY-SSH-020' }])
  expect(host.unsettled()).toEqual([])
})

test.each([
  ['../secret/a', '/srv/public/l', '/srv/secret/a'],
  ['a', 'l', '/home/ann/a'],
  ['/etc/x', '/srv/public/l', '/etc/x'],
  ['etc/x', '/l', '/etc/x'],
])('a link to %s at %s leads to %s, asked of the target or not', (text, link, leads) => {
  for (const restricted of [false, true]) {
    const { host } = hold([INIT, request(Fxp.symlink, 1, text, link)], whole, {
      restricted,
      forbid: /./,
    })
    expect(host.of('blocked').map((deed) => deed.text)).toEqual([
      `symlink ${leads} ${resolve(link)}`,
    ])
  }
})

/** What `scp -r` and `get -r` would write beside where they were told to. */
test.each(['../.ssh/authorized_keys', '/etc/passwd', 'a/b', '', 'a\0b', 'a/'])(
  'a directory that holds %j is no directory, and nothing of it reaches the client',
  (name) => {
    const { host, gate } = begun()
    gate.fromClient(request(Fxp.opendir, 9, '/a'))
    gate.fromTarget(request(Fxp.handle, 9, 'h'))
    gate.fromClient(request(Fxp.readdir, 1, 'h'))
    const before = host.sent('toClient').length
    gate.fromTarget(request(Fxp.name, 1, 3, '.', 'long', 0, 'good', 'long', 4, 0o644, name, 'l', 0))
    expect(host.of('failed')).toMatchObject([{ code: 'CUSTODY-SSH-020' }])
    expect(host.sent('toClient').length).toBe(before)
    expect(host.unsettled()).toEqual([])
  },
)

test('newer versions are not spoken, and extensions that are not known not announced', () => {
  const host = new HostUnderTest()
  const gate = createSftpGate(host)
  gate.fromClient(request(Fxp.init, 6))
  expect(host.sent('toTarget')).toEqual(request(Fxp.init, 3))
  gate.fromTarget(
    request(
      Fxp.version,
      3,
      'posix-rename@openssh.com',
      '1',
      'version-select',
      '3-6',
      'statvfs@openssh.com',
      '99',
    ),
  )
  expect(host.sent('toClient')).toEqual(request(Fxp.version, 3, 'posix-rename@openssh.com', '1'))
  gate.fromClient(request(Fxp.extended, 1, 'version-select', '6'))
  const home = packets(host.sent('toTarget'))[1]!
  gate.fromTarget(request(Fxp.name, home.readUInt32BE(5), 1, '/home/ann', '', 0))
  expect(packets(host.sent('toTarget')).length).toBe(2)
  expect(packets(host.sent('toClient'))[1]!.readUInt32BE(9)).toBe(Status.opUnsupported)
  expect(host.of('blocked')).toMatchObject([{ text: 'extended version-select' }])
})

test('more requests than may be under way wait; more handles than may be open are refused', () => {
  const { host, gate } = begun({ requestsMax: 2, handlesMax: 1 })
  gate.fromClient(Buffer.concat([1, 2, 3].map((id) => request(Fxp.stat, id, '/a'))))
  expect(packets(host.sent('toTarget')).length).toBe(2)
  gate.fromTarget(request(Fxp.attrs, 1, 0))
  expect(packets(host.sent('toTarget')).length).toBe(3)
  gate.fromTarget(Buffer.concat([request(Fxp.attrs, 2, 0), request(Fxp.attrs, 3, 0)]))
  gate.fromClient(Buffer.concat([4, 5].map((id) => request(Fxp.open, id, '/a', 1, 0))))
  gate.fromTarget(request(Fxp.handle, 4, 'h'))
  const last = packets(host.sent('toClient')).at(-1)!
  expect([last.readUInt32BE(5), last.readUInt32BE(9)]).toEqual([5, Status.failure])
})

test('while one is held the client is read no further than may be kept, and goes on where it stopped', async () => {
  const { host, gate } = begun({ heldBytesMax: 100 })
  let answer: (ruling: typeof ALLOWED) => void = () => {}
  host.rule = ({ statement }) =>
    String(statement.text) === 'remove /a'
      ? new Promise((resolve) => {
          answer = resolve
        })
      : ALLOWED
  gate.fromClient(request(Fxp.remove, 1, '/a'))
  for (let id = 2; id < 12; id++) gate.fromClient(request(Fxp.stat, id, '/b'))
  expect(host.of('paused').length).toBe(1)
  expect(host.of('toTarget')).toEqual([])
  answer(ALLOWED)
  await new Promise((resolve) => setImmediate(resolve))
  expect(host.of('resumed').length).toBe(1)
  expect(packets(host.sent('toTarget')).map((one) => one.readUInt32BE(5))).toEqual([
    1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11,
  ])
})

test('where the target does not say where a path leads, nothing more is asked of it', () => {
  const { host, gate } = begun({ restricted: true })
  gate.fromClient(request(Fxp.open, 1, '/a/b', 1, 0))
  const asked = packets(host.sent('toTarget'))
  expect(asked.map((one) => one[4])).toEqual([Fxp.realpath])
  gate.fromTarget(
    request(
      Fxp.status,
      asked[0]!.readUInt32BE(5),
      Status.permissionDenied,
      'Permission denied',
      '',
    ),
  )
  expect(packets(host.sent('toTarget')).length).toBe(1)
  const answer = packets(host.sent('toClient'))[0]!
  expect([answer.readUInt32BE(5), answer.readUInt32BE(9)]).toEqual([1, Status.permissionDenied])
  expect(host.of('completed')).toMatchObject([{ completion: { status: 'error', code: '3' } }])
})

test('what is not there yet is where its directory is, unless it is a link', () => {
  for (const isLink of [false, true]) {
    const { host, gate } = begun({ restricted: true })
    const next = () => packets(host.sent('toTarget')).at(-1)!
    gate.fromClient(request(Fxp.open, 1, '/link/new', 26, 0))
    gate.fromTarget(
      request(Fxp.status, next().readUInt32BE(5), Status.noSuchFile, 'No such file', ''),
    )
    expect(next()[4]).toBe(Fxp.lstat)
    gate.fromTarget(
      isLink
        ? request(Fxp.attrs, next().readUInt32BE(5), 0)
        : request(Fxp.status, next().readUInt32BE(5), Status.noSuchFile, 'No such file', ''),
    )
    if (isLink) {
      expect(host.of('completed')).toMatchObject([{ completion: { status: 'error', code: '2' } }])
      continue
    }
    gate.fromTarget(request(Fxp.name, next().readUInt32BE(5), 1, '/srv', '', 0))
    expect(host.of('started').map(({ text }) => text)).toEqual(['open /srv/new to write'])
    expect(next()[4]).toBe(Fxp.open)
  }
})

test('packets that are handed back come again, whatever they were cut into', () => {
  fc.assert(
    fc.property(
      fc.array(fc.nat(60), { minLength: 1, maxLength: 10 }),
      fc.integer({ min: 1, max: 30 }),
      fc.array(fc.boolean(), { maxLength: 40 }),
      (sizes, step, refusals) => {
        const sent = Buffer.concat(
          sizes.map((size, i) =>
            i % 2 === 0
              ? request(Fxp.write, i, 'handle', 0, 0, Buffer.alloc(size, i))
              : request(Fxp.remove, i, Buffer.alloc(size, 0x61)),
          ),
        )
        const got: Buffer[] = []
        let refused = 0
        const take = (bytes: Buffer) => {
          if (refusals[refused++]) return false
          got.push(Buffer.from(bytes))
          return true
        }
        const cutter = new PacketCutter(Fxp.write, {
          packet: take,
          head: take,
          content: (bytes) => got.push(Buffer.from(bytes)),
        })
        for (let at = 0; at < sent.length; at += step) {
          let chunk = sent.subarray(at, at + step)
          while (chunk.length > 0) chunk = chunk.subarray(cutter.push(chunk))
        }
        expect(Buffer.concat(got).equals(sent)).toBe(true)
        expect(cutter.isWithin).toBe(false)
      },
    ),
    { numRuns: 1000 },
  )
})
