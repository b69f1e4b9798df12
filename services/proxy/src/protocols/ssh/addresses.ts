/**
 * Places that forwarded connections lead to, as policies and the record name them: one text for one place, whatever way a
 * client writes it (`DB.internal.`, `0x7f.1`, `::ffff:127.0.0.1`). What is sent on is what came.
 * Refuses what targets would read in different ways: control characters, blanks, what is not UTF-8, ports that are none.
 * Knows no DNS: two names of one host are two places.
 */
import { isIPv6 } from 'node:net'
import { lexical } from './sftp-paths'

/** A name of DNS has 253 characters at most; a zone may stand behind an address. */
const HOST_BYTES_MAX = 255
/** Of a socket in the file system: sun_path has 108. */
const PATH_BYTES_MAX = 4096
const PORT_MAX = 65_535

/** As `host:port`, or null where it is none. An empty host is where a listener may be anywhere: `*`. */
export function addressText(host: Buffer, port: number, isListener = false): string | null {
  if (port > PORT_MAX) return null
  if (host.length === 0) return isListener ? `*:${port}` : null
  const text = hostText(host)
  return text === null ? null : `${text}:${port}`
}

function hostText(bytes: Buffer): string | null {
  const text = readable(bytes, HOST_BYTES_MAX)
  if (text === null || /\p{Z}/u.test(text)) return null
  const lower = text.toLowerCase()
  const name = lower.length > 1 ? lower.replace(/\.$/, '') : lower
  return ipv6(name) ?? ipv4(name) ?? name
}

/** The path of a socket: without `..`, as far as the text alone says; null where it is none. */
export function socketText(bytes: Buffer): string | null {
  const text = readable(bytes, PATH_BYTES_MAX)
  return text === null ? null : lexical(text, null)
}

/** What no two readers take for different texts. */
function readable(bytes: Buffer, bytesMax: number): string | null {
  if (bytes.length === 0 || bytes.length > bytesMax) return null
  const text = bytes.toString('utf8')
  return Buffer.from(text).equals(bytes) && !/\p{C}/u.test(text) ? text : null
}

/** inet_aton(3): one to four numbers, decimal, octal or hexadecimal, of which the last fills what is left. */
function ipv4(text: string): string | null {
  const parts = text.split('.')
  if (parts.length > 4 || !parts.every((part) => /^(?:0x[0-9a-f]+|\d+)$/.test(part))) return null
  const numbers = parts.map((part) =>
    Number(/^0\d/.test(part) ? `0o${part.replace(/^0+(?=.)/, '')}` : part),
  )
  const last = numbers.pop()!
  const rest = 4 - numbers.length
  if (!(last < 256 ** rest) || !numbers.every((number) => number < 256)) return null
  return [
    ...numbers,
    ...Array.from({ length: rest }, (_, i) => Math.floor(last / 256 ** (rest - 1 - i)) % 256),
  ].join('.')
}

/** Shortest form (RFC 5952); one that stands for an IPv4 address is that. */
function ipv6(text: string): string | null {
  const [address = '', ...zone] = text.split('%')
  if (!isIPv6(address)) return null
  const shortest = new URL(`http://[${address}]`).hostname.slice(1, -1)
  const mapped = /^::ffff:([0-9a-f]{1,4}):([0-9a-f]{1,4})$/.exec(shortest)
  if (mapped) {
    const [high, low] = [Number(`0x${mapped[1]}`), Number(`0x${mapped[2]}`)]
    return [high >> 8, high & 255, low >> 8, low & 255].join('.')
  }
  return [shortest, ...zone].join('%')
}
