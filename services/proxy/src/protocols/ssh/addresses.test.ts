/** One text for one place, and none for what two readers could take for two. */
import { addressText, socketText } from './addresses'

test.each([
  ['db.internal', 'db.internal'],
  ['DB.Internal.', 'db.internal'],
  ['127.0.0.1', '127.0.0.1'],
  ['127.1', '127.0.0.1'],
  ['2130706433', '127.0.0.1'],
  ['0x7f.1', '127.0.0.1'],
  ['0177.0.0.01', '127.0.0.1'],
  ['0', '0.0.0.0'],
  ['10.258', '10.0.1.2'],
  ['256.1.1.1', '256.1.1.1'],
  ['4294967296', '4294967296'],
  ['089', '089'],
  ['1.2.3.4.5', '1.2.3.4.5'],
  ['::FFFF:127.0.0.1', '127.0.0.1'],
  ['0:0:0:0:0:0:0:1', '::1'],
  ['FE80::0001%eth0', 'fe80::1%eth0'],
  ['bücher.example', 'bücher.example'],
])('%s is %s', (asked, found) => {
  expect(addressText(Buffer.from(asked), 5432)).toBe(`${found}:5432`)
})

test.each([
  ['a NUL', '169.254.169.254\0.internal', 80],
  ['a blank', '10.0.0.5 x', 80],
  ['a blank that is none of ASCII', '10.0.0.5\u00a0', 80],
  ['a character that is not shown', 'db\u200b.internal', 80],
  ['a line feed', 'db\n.internal', 80],
  ['no host', '', 80],
  ['a host that is too long', 'a'.repeat(256), 80],
  ['a port that some cut to 22', 'db', 65_536 + 22],
])('%s is no address', (_, host, port) => {
  expect(addressText(Buffer.from(host), port)).toBeNull()
})

test('bytes that are not UTF-8 are no address', () => {
  expect(addressText(Buffer.from([0x64, 0xff]), 80)).toBeNull()
})

test('a listener may be anywhere', () => {
  expect(addressText(Buffer.alloc(0), 0, true)).toBe('*:0')
})

test('a socket is where its path leads by its text', () => {
  expect(socketText(Buffer.from('/run/app/../docker.sock'))).toBe('/run/docker.sock')
  expect(socketText(Buffer.from('//run/./docker.sock'))).toBe('/run/docker.sock')
  expect(socketText(Buffer.from('/run/docker.sock\0.app'))).toBeNull()
  expect(socketText(Buffer.alloc(0))).toBeNull()
})
