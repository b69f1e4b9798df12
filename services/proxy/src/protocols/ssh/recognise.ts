/**
 * What is inside a forwarded connection, from the first bytes of either side: for the record only, since nothing is decided
 * by it. Pure, and fed a few hundred bytes at most.
 * Refuses to guess: what is not certain is `unknown`, and what may still become certain is not told yet.
 */

export interface Recognised {
  /** postgres, mysql, tls, http, ssh, redis, or unknown. */
  protocol: string
  /** What it says of itself: server name, user, database, request line. Never a secret. */
  attributes: Record<string, string>
}

/** Enough of one side to tell. */
export const RECOGNISE_BYTES_MAX = 4096
const WORD_CHARACTERS_MAX = 200

const UNKNOWN: Recognised = { protocol: 'unknown', attributes: {} }

/** Gathers the first bytes of both sides until it is clear what they are. */
export class Recogniser {
  private client = Buffer.alloc(0)
  private target = Buffer.alloc(0)
  private told: Recognised | null = null

  /** What it is, the moment that is known; null before, and after. */
  fromClient(bytes: Buffer): Recognised | null {
    if (this.told !== null) return null
    this.client = gather(this.client, bytes)
    return this.tell(recognise(this.client, this.target))
  }

  fromTarget(bytes: Buffer): Recognised | null {
    if (this.told !== null) return null
    this.target = gather(this.target, bytes)
    return this.tell(recognise(this.client, this.target))
  }

  /** What it was, when the connection is over. */
  end(): Recognised {
    return this.told ?? UNKNOWN
  }

  private tell(found: Recognised | null): Recognised | null {
    const full =
      this.client.length >= RECOGNISE_BYTES_MAX || this.target.length >= RECOGNISE_BYTES_MAX
    this.told = found ?? (full ? UNKNOWN : null)
    if (this.told !== null) {
      this.client = Buffer.alloc(0)
      this.target = Buffer.alloc(0)
    }
    return this.told
  }
}

function gather(so: Buffer, more: Buffer): Buffer<ArrayBuffer> {
  return Buffer.concat([so, more.subarray(0, RECOGNISE_BYTES_MAX - so.length)])
}

/** Null: not yet. Who speaks first differs, so both sides are looked at. */
export function recognise(client: Buffer, target: Buffer): Recognised | null {
  const found = [ofTarget(target), ofClient(client)]
  for (const one of found) if (one !== null && one !== 'more') return one
  return found.includes('more') || (client.length === 0 && target.length === 0) ? null : UNKNOWN
}

/** What a side has said can't be any of these: null. It may become one: 'more'. */
type Told = Recognised | 'more' | null

function ofClient(bytes: Buffer): Told {
  if (bytes.length === 0) return 'more'
  return first([ssh, tlsHello, http, redis, postgresStartup], bytes)
}

function ofTarget(bytes: Buffer): Told {
  if (bytes.length === 0) return 'more'
  return first([ssh, mysqlGreeting], bytes)
}

function first(those: readonly ((bytes: Buffer) => Told)[], bytes: Buffer): Told {
  let more = false
  for (const one of those) {
    const told = one(bytes)
    if (told === 'more') more = true
    else if (told !== null) return told
  }
  return more ? 'more' : null
}

/** Whether bytes begin with, or are the beginning of, a text. */
function begins(bytes: Buffer, text: string): boolean {
  const length = Math.min(bytes.length, text.length)
  return bytes.toString('latin1', 0, length) === text.slice(0, length)
}

function word(text: string): string {
  return text.replace(/[^\x20-\x7e]/g, '?').slice(0, WORD_CHARACTERS_MAX)
}

function ssh(bytes: Buffer): Told {
  if (!begins(bytes, 'SSH-')) return null
  const end = bytes.indexOf(0x0a)
  if (end < 0) return bytes.length > 255 ? null : 'more'
  const banner = bytes.toString('latin1', 0, end).trim()
  return /^SSH-[12]\.\d+-/.test(banner)
    ? { protocol: 'ssh', attributes: { version: word(banner) } }
    : null
}

const METHODS = /^(GET|HEAD|POST|PUT|DELETE|CONNECT|OPTIONS|TRACE|PATCH|PRI) /
const METHOD_LETTERS = /^[A-Z]{1,8}$/

/** The request line, without what follows a question mark. */
function http(bytes: Buffer): Told {
  const end = bytes.indexOf(0x0a)
  const line = bytes.toString('latin1', 0, end < 0 ? bytes.length : end)
  if (end < 0) return METHODS.test(line) || METHOD_LETTERS.test(line) ? 'more' : null
  const match = /^([A-Z]+) (\S+) HTTP\/(\d(?:\.\d)?)\r?$/.exec(line)
  if (match === null || !METHODS.test(line)) return null
  const host = /\r?\nhost:[ \t]*([^\r\n]*)\r?\n/i.exec(bytes.toString('latin1'))?.[1]
  return {
    protocol: 'http',
    attributes: {
      version: match[3]!,
      request: word(`${match[1]} ${match[2]!.split('?')[0]!.replace(/\/\/[^/@]*@/, '//')}`),
      ...(host && { host: word(host) }),
    },
  }
}

/** A command as its clients send it: an array of strings. The name is all that is kept. */
function redis(bytes: Buffer): Told {
  const text = bytes.toString('latin1', 0, 64)
  const match = /^\*(\d{1,5})\r\n\$(\d{1,3})\r\n([A-Za-z.]+)\r\n/.exec(text)
  if (match !== null)
    return match[3]!.length === Number(match[2])
      ? { protocol: 'redis', attributes: { command: match[3]!.toUpperCase() } }
      : null
  return /^\*(\d{0,5}|\d{1,5}\r|\d{1,5}\r\n\$?\d{0,3}\r?\n?[A-Za-z.]*\r?)$/.test(text)
    ? 'more'
    : null
}

const PROTOCOL_3 = 196_608
const PROTOCOL_3_MINORS = 16
/** SSLRequest, GSSENCRequest, CancelRequest. */
const REQUESTS: Record<number, string> = {
  80877103: 'tls',
  80877104: 'gss',
  80877102: 'cancel',
}

/** A start-up packet: length, version, then names and values. */
function postgresStartup(bytes: Buffer): Told {
  if (bytes.length < 8) {
    const head = Buffer.alloc(4)
    bytes.copy(head, 0, 0, Math.min(4, bytes.length))
    return bytes.length < 4 || (head.readUInt32BE(0) >= 8 && head.readUInt32BE(0) <= 10_000)
      ? bytes[0] === 0
        ? 'more'
        : null
      : null
  }
  const length = bytes.readUInt32BE(0)
  const version = bytes.readUInt32BE(4)
  const asks = REQUESTS[version]
  if (asks !== undefined && (length === 8 || (asks === 'cancel' && length >= 16 && length <= 268)))
    return { protocol: 'postgres', attributes: { request: asks } }
  if (version < PROTOCOL_3 || version >= PROTOCOL_3 + PROTOCOL_3_MINORS) return null
  if (length < 9 || length > 10_000) return null
  if (bytes.length < length && bytes.length < RECOGNISE_BYTES_MAX) return 'more'
  const fields = bytes.toString('utf8', 8, Math.min(length, bytes.length)).split('\0')
  const attributes: Record<string, string> = {}
  for (let i = 0; i + 1 < fields.length && fields[i] !== ''; i += 2)
    if (['user', 'database', 'application_name'].includes(fields[i]!))
      attributes[fields[i]!] = word(fields[i + 1]!)
  return { protocol: 'postgres', attributes }
}

/** A greeting of protocol 10: length, sequence 0, 10, the server's version up to a NUL. */
function mysqlGreeting(bytes: Buffer): Told {
  if (bytes.length >= 4 && bytes[3] !== 0) return null
  if (bytes.length >= 5 && bytes[4] !== 10) return null
  if (bytes.length < 6) return bytes.length < 3 || bytes[2] === 0 ? 'more' : null
  const length = bytes.readUIntLE(0, 3)
  if (length < 20 || length > 1024) return null
  const end = bytes.indexOf(0, 5)
  if (end < 0) return bytes.length > 5 + 128 ? null : 'more'
  const version = bytes.toString('latin1', 5, end)
  if (!/^[\x20-\x7e]{1,128}$/.test(version) || !/\d/.test(version)) return null
  return { protocol: 'mysql', attributes: { version: word(version) } }
}

/** A ClientHello in its first record, and the server name in it. */
function tlsHello(bytes: Buffer): Told {
  const expected = [0x16, 0x03]
  for (let i = 0; i < Math.min(2, bytes.length); i++) if (bytes[i] !== expected[i]) return null
  if (bytes.length < 6) return 'more'
  if (bytes[2]! > 4 || bytes[5] !== 1) return null
  const length = bytes.readUInt16BE(3)
  if (length < 42 || length > 16_384 + 256) return null
  if (bytes.length < 5 + length && bytes.length < RECOGNISE_BYTES_MAX) return 'more'
  const name = serverName(bytes.subarray(5, 5 + length))
  return { protocol: 'tls', attributes: name === null ? {} : { serverName: word(name) } }
}

function serverName(hello: Buffer): string | null {
  try {
    // type, length, version, random
    let at = 4 + 2 + 32
    at += 1 + hello.readUInt8(at)
    at += 2 + hello.readUInt16BE(at)
    at += 1 + hello.readUInt8(at)
    const end = at + 2 + hello.readUInt16BE(at)
    at += 2
    while (at + 4 <= end) {
      const type = hello.readUInt16BE(at)
      const length = hello.readUInt16BE(at + 2)
      at += 4
      // list length, name type 0, length
      if (type === 0 && hello.readUInt8(at + 2) === 0) {
        const name = hello.subarray(at + 5, at + 5 + hello.readUInt16BE(at + 3))
        return name.length > 0 ? name.toString('latin1') : null
      }
      at += length
    }
  } catch (error) {
    // It ends before its own lengths say.
    if ((error as Error).name !== 'RangeError') throw error
  }
  return null
}
