/** What is recognised of command lines and of forwarded connections, and what is not. */
import fc from 'fast-check'
import { RECOGNISE_BYTES_MAX, Recogniser, recognise } from './recognise'
import { carriesProtocol, objectsOf, plainWords, recogniseExec } from './recognise-exec'

describe('command lines', () => {
  test.each([
    ['scp -t /tmp/x', 'to', ['/tmp/x'], false],
    ['scp -r -p -d -t -- /tmp/x', 'to', ['/tmp/x'], true],
    ['/usr/bin/scp -f "/tmp/a b" /tmp/c', 'from', ['/tmp/a b', '/tmp/c'], false],
    ["scp -v -f '/tmp/it'\\''s'", 'from', ["/tmp/it's"], false],
  ])('%s', (line, mode, paths, isDirectory) => {
    expect(recogniseExec(line)).toMatchObject({ program: 'scp', mode, paths, isDirectory })
  })

  test.each([
    ["git-upload-pack '/srv/git/a.git'", 'git:upload-pack', '/srv/git/a.git'],
    ["git-receive-pack 'a.git'", 'git:receive-pack', 'a.git'],
    ["git upload-archive 'a.git'", 'git:upload-archive', 'a.git'],
    ['rsync --server --sender -logDtpre.iLsfxCIvu . /srv/x', 'ssh:rsync-send', '/srv/x'],
    ['rsync --server -logDtpre.iLsfxCIvu --delete . /srv/my\\ x', 'ssh:rsync-receive', '/srv/my x'],
  ])('%s', (line, verb, name) => {
    expect(objectsOf(recogniseExec(line)!)).toMatchObject([{ verb, name }])
  })

  test.each([
    'scp -t /tmp/x; id',
    'scp -t /tmp/x && id',
    'scp -t $(id)',
    'scp -t `id`',
    'scp -t /tmp/x\nid',
    'scp -t "$HOME"',
    'scp -t /tmp/x > y',
    'scp -t /tmp/x | tee y',
    'A=b scp -t /tmp/x',
    'scp -t -f /tmp/x',
    'scp a b',
    'scp -S /tmp/evil -t x',
    'scp -t a b',
    '$scp -t a',
    's* -t a',
    '(scp -t a)',
    "scp -t 'a",
    'rsync -a x y',
    'rsync --server . ',
    'git clone x',
    'git --exec-path=/tmp upload-pack x',
    'git-upload-pack --upload-pack=/tmp/x y',
    'git constructor x',
    '',
    '   ',
    'scp\0-t a',
  ])('%j is none', (line) => {
    expect(recogniseExec(line)).toBeNull()
  })

  test('sftp-server by its name', () => {
    expect(recogniseExec('/usr/lib/openssh/sftp-server -l INFO')).toEqual({
      program: 'sftp-server',
    })
  })

  test('words are a shell’s words', () => {
    fc.assert(
      fc.property(
        fc.array(
          fc.string({ minLength: 1, unit: 'binary-ascii' }).filter((one) => !one.includes('\0')),
          {
            minLength: 1,
            maxLength: 5,
          },
        ),
        (words) => {
          const line = words.map((one) => `'${one.replaceAll("'", "'\\''")}'`).join(' ')
          expect(plainWords(line)?.words).toEqual(words)
        },
      ),
    )
  })
})

/** A ClientHello as OpenSSL sends it, for `name`. */
function clientHello(name: string): Buffer {
  const host = Buffer.from(name)
  const sni = Buffer.concat([
    Buffer.from([0, 0, 0, host.length + 5, 0, host.length + 3, 0, 0, host.length]),
    host,
  ])
  const other = Buffer.from([0, 23, 0, 0])
  const extensions = Buffer.concat([other, sni])
  const body = Buffer.concat([
    Buffer.from([3, 3]),
    Buffer.alloc(32, 7),
    Buffer.from([0, 0, 2, 0x13, 0x01, 1, 0]),
    Buffer.from([extensions.length >> 8, extensions.length & 255]),
    extensions,
  ])
  const hello = Buffer.concat([Buffer.from([1, 0, body.length >> 8, body.length & 255]), body])
  return Buffer.concat([Buffer.from([0x16, 3, 1, hello.length >> 8, hello.length & 255]), hello])
}

function startup(fields: Record<string, string>): Buffer {
  const body = Buffer.from(`${Object.entries(fields).flat().join('\0')}\0\0`)
  const head = Buffer.alloc(8)
  head.writeUInt32BE(8 + body.length)
  head.writeUInt32BE(196_608, 4)
  return Buffer.concat([head, body])
}

const mysql = Buffer.concat([
  Buffer.from([0x5a, 0, 0, 0, 10]),
  Buffer.from('10.11.6-MariaDB\0'),
  Buffer.alloc(70, 1),
])

const CASES: [string, 'client' | 'target', Buffer, Record<string, string>][] = [
  [
    'postgres',
    'client',
    startup({ user: 'ann', database: 'shop', password: 'x' }),
    { user: 'ann', database: 'shop' },
  ],
  ['postgres', 'client', Buffer.from([0, 0, 0, 8, 4, 210, 22, 47]), { request: 'tls' }],
  ['mysql', 'target', mysql, { version: '10.11.6-MariaDB' }],
  ['tls', 'client', clientHello('db.example.com'), { serverName: 'db.example.com' }],
  [
    'http',
    'client',
    Buffer.from('GET /a/b?token=secret HTTP/1.1\r\nHost: x.example\r\n\r\n'),
    { version: '1.1', request: 'GET /a/b', host: 'x.example' },
  ],
  [
    'http',
    'client',
    Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'),
    { version: '2.0', request: 'PRI *' },
  ],
  ['ssh', 'target', Buffer.from('SSH-2.0-OpenSSH_9.2p1\r\n'), { version: 'SSH-2.0-OpenSSH_9.2p1' }],
  ['ssh', 'client', Buffer.from('SSH-2.0-ssh2js\r\n'), { version: 'SSH-2.0-ssh2js' }],
  ['redis', 'client', Buffer.from('*2\r\n$4\r\nAUTH\r\n$6\r\nsecret\r\n'), { command: 'AUTH' }],
]

describe('forwarded connections', () => {
  test.each(CASES)('%s, from the %s, in whatever pieces', (protocol, side, bytes, attributes) => {
    for (let step = 1; step <= bytes.length; step++) {
      const recogniser = new Recogniser()
      let told = null
      for (let at = 0; at < bytes.length; at += step) {
        const piece = bytes.subarray(at, at + step)
        told ??= side === 'client' ? recogniser.fromClient(piece) : recogniser.fromTarget(piece)
      }
      // The first line may be whole before the head that names the host is.
      const expected = protocol === 'http' ? { ...attributes } : attributes
      if (protocol === 'http' && told?.attributes.host === undefined) delete expected.host
      expect([step, told ?? recogniser.end()]).toEqual([step, { protocol, attributes: expected }])
      expect(recogniser.end().protocol).toBe(protocol)
    }
  })

  test('random bytes never make it fail, and it never keeps more than its bound', () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.boolean(), fc.uint8Array({ maxLength: 300 })), { maxLength: 40 }),
        (pieces) => {
          const recogniser = new Recogniser()
          for (const [isClient, bytes] of pieces) {
            if (isClient) recogniser.fromClient(Buffer.from(bytes))
            else recogniser.fromTarget(Buffer.from(bytes))
          }
          expect(typeof recogniser.end().protocol).toBe('string')
        },
      ),
      { numRuns: 500 },
    )
  })

  test('changed beginnings are recognised as the same or as nothing', () => {
    fc.assert(
      fc.property(
        fc.constantFrom(...CASES),
        fc.nat(200),
        fc.nat(255),
        ([, side, bytes], at, value) => {
          const changed = Buffer.from(bytes)
          changed[at % changed.length] = value
          const [client, target] =
            side === 'client' ? [changed, Buffer.alloc(0)] : [Buffer.alloc(0), changed]
          const told = recognise(client, target)
          expect(told === null || told.protocol.length > 0).toBe(true)
        },
      ),
      { numRuns: 1000 },
    )
  })

  test('what it can’t be known from is unknown, at the latest when enough has come', () => {
    const recogniser = new Recogniser()
    expect(recogniser.fromClient(Buffer.alloc(RECOGNISE_BYTES_MAX, 0x80))).toMatchObject({
      protocol: 'unknown',
    })
    expect(recogniser.fromClient(Buffer.from('GET / HTTP/1.1\r\n'))).toBeNull()
  })
})

describe('lines whose channel carries a protocol', () => {
  it.each([
    "git-upload-pack '/srv/a.git'",
    'git receive-pack /srv/a.git',
    'rsync --server --sender -logDtpre.iLsfxC . /srv/',
    'sudo rsync --server -logDtpre.iLsfxC . /srv/',
    'sudo -n -u root rsync --server -e.LsfxC . /srv/',
    'env LC_ALL=C nice -n 10 git-upload-pack a',
    'scp -f /etc/hosts',
    '/usr/lib/openssh/sftp-server',
    'docker system dial-stdio',
    'svnserve -t',
    'hg -R repo serve --stdio',
    'borg serve --umask=077',
  ])('%s', (line) => expect(carriesProtocol(line)).toBe(true))

  it.each([
    'cat customers.csv',
    'cat customers.csv; git-upload-pack a',
    'git-upload-pack a; cat customers.csv',
    'git-upload-pack a | cat',
    'git log',
    'rsync -a x y',
    'docker ps',
    'sudo cat x',
    'sudo',
    'env A=1',
    'echo git-upload-pack a',
    'git-upload-pack $(cat x)',
  ])('not %s', (line) => expect(carriesProtocol(line)).toBe(false))
})
