/**
 * MySQL's and MariaDB's client/server protocol as bytes. Pure: builds and takes apart packets, owns no socket, keeps no
 * state of a session.
 *
 *   packet:   length:u24 sequence:u8 payload        a payload of 0xffffff bytes goes on in the next packet
 *   numbers:  little-endian; lenenc: one byte up to 0xfa, or 0xfc u16, 0xfd u24, 0xfe u64
 */

export const PACKET_BYTES_MAX = 0xffffff
export const HEADER_BYTES = 4

export const Capability = {
  longPassword: 1,
  foundRows: 1 << 1,
  longFlag: 1 << 2,
  connectWithDb: 1 << 3,
  noSchema: 1 << 4,
  compress: 1 << 5,
  odbc: 1 << 6,
  localFiles: 1 << 7,
  ignoreSpace: 1 << 8,
  protocol41: 1 << 9,
  interactive: 1 << 10,
  ssl: 1 << 11,
  ignoreSigpipe: 1 << 12,
  transactions: 1 << 13,
  reserved: 1 << 14,
  secureConnection: 1 << 15,
  multiStatements: 1 << 16,
  multiResults: 1 << 17,
  psMultiResults: 1 << 18,
  pluginAuth: 1 << 19,
  connectAttributes: 1 << 20,
  authLenenc: 1 << 21,
  expiredPasswords: 1 << 22,
  sessionTrack: 1 << 23,
  deprecateEof: 1 << 24,
  optionalMetadata: 1 << 25,
  zstd: 1 << 26,
  queryAttributes: 1 << 27,
} as const

/** MariaDB's further ones, in four bytes that MySQL reserves; there where `longPassword` is not. */
export const MariadbCapability = {
  progress: 1,
  bulk: 1 << 2,
  extendedMetadata: 1 << 3,
  cacheMetadata: 1 << 4,
  bulkUnitResults: 1 << 5,
} as const

export const Command = {
  quit: 0x01,
  initDb: 0x02,
  query: 0x03,
  fieldList: 0x04,
  createDb: 0x05,
  dropDb: 0x06,
  refresh: 0x07,
  shutdown: 0x08,
  statistics: 0x09,
  processInfo: 0x0a,
  processKill: 0x0c,
  debug: 0x0d,
  ping: 0x0e,
  changeUser: 0x11,
  binlogDump: 0x12,
  registerReplica: 0x15,
  prepare: 0x16,
  execute: 0x17,
  longData: 0x18,
  closeStatement: 0x19,
  resetStatement: 0x1a,
  setOption: 0x1b,
  fetch: 0x1c,
  binlogDumpGtid: 0x1e,
  resetConnection: 0x1f,
  bulkExecute: 0xfa,
} as const

export const Status = {
  inTransaction: 0x0001,
  autocommit: 0x0002,
  moreResults: 0x0008,
  cursorExists: 0x0040,
  lastRowSent: 0x0080,
  noBackslashEscapes: 0x0200,
  /** The rows are what a procedure's parameters hold now. */
  psOutParameters: 0x1000,
  sessionStateChanged: 0x4000,
} as const

export const OK = 0x00
export const LOCAL_INFILE = 0xfb
export const EOF = 0xfe
export const ERR = 0xff
/** The number of an ERR packet that is none: MariaDB says how far it has come. */
export const PROGRESS_ERRNO = 0xffff

export class WireError extends Error {}

/** A cursor over one payload. Throws where it ends too early. */
export class Fields {
  constructor(
    readonly bytes: Buffer,
    public at: number,
    readonly end: number,
  ) {}

  get left(): number {
    return this.end - this.at
  }

  private take(bytes: number): number {
    const { at } = this
    if (bytes < 0 || at + bytes > this.end) throw new WireError('a packet is too short')
    this.at = at + bytes
    return at
  }

  u8(): number {
    return this.bytes[this.take(1)]!
  }

  u16(): number {
    return this.bytes.readUInt16LE(this.take(2))
  }

  u24(): number {
    return this.bytes.readUIntLE(this.take(3), 3)
  }

  u32(): number {
    return this.bytes.readUInt32LE(this.take(4))
  }

  lenenc(): number {
    const first = this.u8()
    if (first < 0xfb) return first
    if (first === 0xfc) return this.u16()
    if (first === 0xfd) return this.u24()
    if (first === 0xfe) {
      const value = Number(this.bytes.readBigUInt64LE(this.take(8)))
      if (!Number.isSafeInteger(value)) throw new WireError('an impossible length')
      return value
    }
    throw new WireError('not a length')
  }

  /** As `lenenc`, but for numbers that may be larger than a length. */
  lenencBig(): bigint {
    if (this.left > 0 && this.bytes[this.at] === 0xfe) {
      this.at++
      return this.bytes.readBigUInt64LE(this.take(8))
    }
    return BigInt(this.lenenc())
  }

  view(bytes: number): Buffer {
    const at = this.take(bytes)
    return this.bytes.subarray(at, at + bytes)
  }

  lenencView(): Buffer {
    return this.view(this.lenenc())
  }

  lenencText(): string {
    return this.lenencView().toString('utf8')
  }

  cstringView(): Buffer {
    const zero = this.bytes.indexOf(0, this.at)
    if (zero < 0 || zero >= this.end) throw new WireError('a string is not terminated')
    const view = this.bytes.subarray(this.at, zero)
    this.at = zero + 1
    return view
  }

  cstring(): string {
    return this.cstringView().toString('utf8')
  }

  rest(): Buffer {
    return this.view(this.left)
  }
}

/** A payload with its header; of more than 16 MB as many packets as it takes. */
export function packet(sequence: number, payload: Buffer): Buffer {
  const parts: Buffer[] = []
  let at = 0
  do {
    const length = Math.min(payload.length - at, PACKET_BYTES_MAX)
    const head = Buffer.allocUnsafe(HEADER_BYTES)
    head.writeUIntLE(length, 0, 3)
    head[3] = sequence++ & 0xff
    parts.push(head, payload.subarray(at, at + length))
    at += length
    if (length < PACKET_BYTES_MAX) break
  } while (at <= payload.length)
  return Buffer.concat(parts)
}

export function lenencInt(value: number): Buffer {
  if (value < 0xfb) return Buffer.from([value])
  if (value <= 0xffff) return Buffer.from([0xfc, value & 0xff, value >>> 8])
  if (value <= 0xffffff)
    return Buffer.from([0xfd, value & 0xff, (value >>> 8) & 0xff, value >>> 16])
  const bytes = Buffer.alloc(9)
  bytes[0] = 0xfe
  bytes.writeBigUInt64LE(BigInt(value), 1)
  return bytes
}

export function lenencBytes(value: Buffer | string): Buffer {
  const bytes = typeof value === 'string' ? Buffer.from(value) : value
  return Buffer.concat([lenencInt(bytes.length), bytes])
}

export function cstring(text: string): Buffer {
  return Buffer.from(`${text}\0`)
}

// ── greeting and handshake ───────────────────────────────────────────────────────────────────────────────────────

export interface ServerGreeting {
  version: string
  threadId: number
  /** 20 bytes. */
  nonce: Buffer
  capabilities: number
  mariadbCapabilities: number
  collation: number
  status: number
  plugin: string
}

/** Protocol 10: 10 version\0 thread:u32 nonce[8] 0 caps:u16 collation:u8 status:u16 caps:u16 nonceLength:u8 0[6] mariadb:u32 nonce[12] 0 plugin\0 */
export function greetingPayload(g: ServerGreeting): Buffer {
  const head = Buffer.alloc(4)
  head.writeUInt32LE(g.threadId)
  const middle = Buffer.alloc(18)
  middle.writeUInt16LE(g.capabilities & 0xffff, 0)
  middle[2] = g.collation & 0xff
  middle.writeUInt16LE(g.status, 3)
  middle.writeUInt16LE(g.capabilities >>> 16, 5)
  middle[7] = 21
  middle.writeUInt32LE(g.mariadbCapabilities >>> 0, 14)
  return Buffer.concat([
    Buffer.from([10]),
    cstring(g.version),
    head,
    g.nonce.subarray(0, 8),
    Buffer.alloc(1),
    middle,
    g.nonce.subarray(8, 20),
    Buffer.alloc(1),
    cstring(g.plugin),
  ])
}

export function readGreeting(bytes: Buffer): ServerGreeting {
  const f = new Fields(bytes, 0, bytes.length)
  const version = f.u8()
  if (version !== 10) throw new WireError(`protocol version ${version}: only 10 is spoken here`)
  const serverVersion = f.cstring()
  const threadId = f.u32()
  const first = Buffer.from(f.view(8))
  f.u8()
  let capabilities = f.u16()
  const collation = f.u8()
  const status = f.u16()
  capabilities = (capabilities | (f.u16() << 16)) >>> 0
  const nonceLength = f.u8()
  f.view(6)
  const further = f.u32()
  const isMariadb = (capabilities & Capability.longPassword) === 0
  const second = Buffer.from(f.view(Math.max(13, nonceLength - 8)))
  const plugin = f.left > 0 ? untilZero(f.rest()) : 'mysql_native_password'
  return {
    version: serverVersion,
    threadId,
    nonce: Buffer.concat([first, second]).subarray(0, 20),
    capabilities,
    mariadbCapabilities: isMariadb ? further : 0,
    collation,
    status,
    plugin,
  }
}

function untilZero(bytes: Buffer): string {
  const zero = bytes.indexOf(0)
  return bytes.toString('utf8', 0, zero < 0 ? bytes.length : zero)
}

export interface HandshakeResponse {
  capabilities: number
  mariadbCapabilities: number
  packetBytesMax: number
  collation: number
  user: string
  auth: Buffer
  database: string
  plugin: string
  attributes: Map<string, string>
  zstdLevel: number
}

/** caps:u32 packetMax:u32 collation:u8 0[19] mariadb:u32; alone it asks for TLS. */
export function readHandshakeHead(bytes: Buffer) {
  const f = new Fields(bytes, 0, bytes.length)
  const capabilities = f.u32()
  if ((capabilities & Capability.protocol41) === 0)
    throw new WireError('clients of before MySQL 4.1 are not served')
  const packetBytesMax = f.u32()
  const collation = f.u8()
  f.view(19)
  const further = f.u32()
  const mariadbCapabilities = (capabilities & Capability.longPassword) === 0 ? further : 0
  return { capabilities, packetBytesMax, collation, mariadbCapabilities, at: f.at }
}

/** … user\0 auth (database\0)? (plugin\0)? attributes? zstdLevel? */
export function readHandshakeResponse(bytes: Buffer): HandshakeResponse {
  const head = readHandshakeHead(bytes)
  const { capabilities } = head
  const f = new Fields(bytes, head.at, bytes.length)
  const user = f.cstring()
  let auth: Buffer
  if (capabilities & Capability.authLenenc) auth = f.lenencView()
  else if (capabilities & Capability.secureConnection) auth = f.view(f.u8())
  else auth = f.cstringView()
  const database = capabilities & Capability.connectWithDb && f.left > 0 ? f.cstring() : ''
  // Some clients leave out the zero at the very end.
  const plugin = capabilities & Capability.pluginAuth && f.left > 0 ? cstringOrRest(f) : ''
  const attributes =
    capabilities & Capability.connectAttributes && f.left > 0
      ? readAttributes(f)
      : new Map<string, string>()
  const zstdLevel = capabilities & Capability.zstd && f.left > 0 ? f.u8() : 0
  const { mariadbCapabilities, packetBytesMax, collation } = head
  return {
    ...{ capabilities, mariadbCapabilities, packetBytesMax, collation },
    ...{ user, auth: Buffer.from(auth), database, plugin, attributes, zstdLevel },
  }
}

export function cstringOrRest(f: Fields): string {
  const zero = f.bytes.indexOf(0, f.at)
  return zero >= 0 && zero < f.end ? f.cstring() : f.rest().toString('utf8')
}

const ATTRIBUTES_MAX = 128

/** length:lenenc (name:lenenc value:lenenc)* */
export function readAttributes(f: Fields): Map<string, string> {
  const length = f.lenenc()
  const inner = new Fields(f.bytes, f.at, f.at + Math.min(length, f.left))
  f.view(Math.min(length, f.left))
  const attributes = new Map<string, string>()
  while (inner.left > 0 && attributes.size < ATTRIBUTES_MAX)
    attributes.set(inner.lenencText(), inner.lenencText())
  return attributes
}

export function handshakeResponsePayload(r: HandshakeResponse): Buffer {
  const parts = [handshakeHead(r), cstring(r.user)]
  parts.push(
    r.capabilities & Capability.authLenenc
      ? lenencBytes(r.auth)
      : Buffer.concat([Buffer.from([r.auth.length]), r.auth]),
  )
  if (r.capabilities & Capability.connectWithDb) parts.push(cstring(r.database))
  if (r.capabilities & Capability.pluginAuth) parts.push(cstring(r.plugin))
  if (r.capabilities & Capability.connectAttributes) {
    const pairs = [...r.attributes].flatMap(([name, value]) => [
      lenencBytes(name),
      lenencBytes(value),
    ])
    parts.push(lenencBytes(Buffer.concat(pairs)))
  }
  return Buffer.concat(parts)
}

/** The first part of a handshake response; by itself it asks for TLS. */
export function handshakeHead(
  r: Pick<
    HandshakeResponse,
    'capabilities' | 'mariadbCapabilities' | 'packetBytesMax' | 'collation'
  >,
): Buffer {
  const head = Buffer.alloc(32)
  head.writeUInt32LE(r.capabilities >>> 0, 0)
  head.writeUInt32LE(r.packetBytesMax >>> 0, 4)
  head[8] = r.collation & 0xff
  head.writeUInt32LE(r.mariadbCapabilities >>> 0, 28)
  return head
}

export interface ChangeUser
  extends Pick<
    HandshakeResponse,
    'user' | 'auth' | 'database' | 'collation' | 'plugin' | 'attributes'
  > {}

/** COM_CHANGE_USER: 0x11 user\0 auth:u8 database\0 (collation:u16 (plugin\0 attributes?)?)? */
export function readChangeUser(payload: Buffer, capabilities: number): ChangeUser {
  const f = new Fields(payload, 1, payload.length)
  const user = f.cstring()
  const auth =
    capabilities & Capability.secureConnection ? Buffer.from(f.view(f.u8())) : f.cstringView()
  const database = cstringOrRest(f)
  const collation = f.left >= 2 ? f.u16() : 0
  const plugin = capabilities & Capability.pluginAuth && f.left > 0 ? cstringOrRest(f) : ''
  const attributes =
    capabilities & Capability.connectAttributes && f.left > 0
      ? readAttributes(f)
      : new Map<string, string>()
  return { user, auth, database, collation, plugin, attributes }
}

// ── OK, EOF, ERR ─────────────────────────────────────────────────────────────────────────────────────────────────

export interface OkFields {
  affected: bigint
  insertId: bigint
  status: number
  warnings: number
  /** Where what is tracked of the session begins; -1 where nothing is. */
  trackAt: number
}

/** header affected:lenenc insertId:lenenc status:u16 warnings:u16 (info:lenenc (track:lenenc)?)? ; `at` behind the packet's header. */
export function readOk(bytes: Buffer, at: number, end: number): OkFields {
  const f = new Fields(bytes, at + 1, end)
  const affected = f.lenencBig()
  const insertId = f.lenencBig()
  const status = f.u16()
  const warnings = f.u16()
  let trackAt = -1
  if (status & Status.sessionStateChanged && f.left > 0) {
    f.lenencView()
    if (f.left > 0) trackAt = f.at
  }
  return { affected, insertId, status, warnings, trackAt }
}

/** EOF: 0xfe warnings:u16 status:u16 */
export function eofStatus(bytes: Buffer, at: number, end: number): number {
  if (end - at < 5) throw new WireError('an EOF packet is too short')
  return bytes.readUInt16LE(at + 3)
}

export interface ErrFields {
  errno: number
  sqlstate: string
  message: string
}

/** 0xff errno:u16 ('#' sqlstate[5])? message */
export function readErr(bytes: Buffer, at: number, end: number): ErrFields {
  if (end - at < 3) throw new WireError('an ERR packet is too short')
  const errno = bytes.readUInt16LE(at + 1)
  const marked = bytes[at + 3] === 0x23 && end - at >= 9
  return {
    errno,
    sqlstate: marked ? bytes.toString('latin1', at + 4, at + 9) : 'HY000',
    message: bytes.toString('utf8', marked ? at + 9 : at + 3, end),
  }
}

/** Clients keep no more of an error than this. */
const MESSAGE_BYTES_MAX = 511

/** `tail` is kept whole where the message is too long. */
export function errPayload(errno: number, sqlstate: string, message: string, tail = ''): Buffer {
  const end = Buffer.from(tail)
  let text: Buffer = Buffer.from(message.replaceAll('\0', ' '))
  const room = MESSAGE_BYTES_MAX - end.length
  if (text.length > room) {
    let cut = room - 3
    while (cut > 0 && (text[cut]! & 0xc0) === 0x80) cut--
    text = Buffer.concat([text.subarray(0, cut), Buffer.from('…')])
  }
  const head = Buffer.from([ERR, errno & 0xff, errno >>> 8, 0x23])
  return Buffer.concat([head, Buffer.from(sqlstate, 'latin1'), text, end])
}

/** An OK packet without anything but the session's status. */
export function okPayload(status: number): Buffer {
  return Buffer.from([OK, 0, 0, status & 0xff, status >>> 8, 0, 0])
}

// ── what is tracked of the session ───────────────────────────────────────────────────────────────────────────────

export const Track = {
  variables: 0,
  schema: 1,
  state: 2,
  gtids: 3,
  transaction: 4,
  characteristics: 5,
} as const

export interface Tracked {
  type: number
  /** The whole entry, header included. */
  bytes: Buffer
  name: string
  value: string
}

/** total:lenenc (type:u8 data:lenenc)*; of variables data is name:lenenc value:lenenc, of the schema name:lenenc. */
export function readTracked(bytes: Buffer, at: number, end: number): Tracked[] {
  const whole = new Fields(bytes, at, end)
  const length = whole.lenenc()
  const f = new Fields(bytes, whole.at, Math.min(end, whole.at + length))
  const found: Tracked[] = []
  while (f.left > 0) {
    const from = f.at
    const type = f.u8()
    const inner = f.lenencView()
    const entry = bytes.subarray(from, f.at)
    const g = new Fields(inner, 0, inner.length)
    if (type === Track.variables)
      // MariaDB may put several into one entry.
      while (g.left > 0) {
        const begin = g.at
        const name = g.lenencText()
        const value = g.lenencText()
        const own = inner.subarray(begin, g.at)
        found.push({
          type,
          bytes: Buffer.concat([Buffer.from([type]), lenencBytes(own)]),
          ...{ name, value },
        })
      }
    else if (type === Track.schema)
      found.push({ type, bytes: entry, name: 'schema', value: g.lenencText() })
    else found.push({ type, bytes: entry, name: '', value: '' })
  }
  return found
}

/** What ends columns or rows, to a client that is not told of changes of its session; null: as it came. */
export function eofUntold(bytes: Buffer, at: number, end: number): Buffer | null {
  if (end - at !== 5 || bytes[at] !== 0xfe) return null
  const status = bytes.readUInt16LE(at + 3)
  if ((status & Status.sessionStateChanged) === 0) return null
  const other = Buffer.from(bytes.subarray(at, end))
  other.writeUInt16LE(status & ~Status.sessionStateChanged & 0xffff, 3)
  return other
}

/** The OK packet's payload with other tracked entries: without any it says that nothing changed. */
export function okWithTracked(
  bytes: Buffer,
  at: number,
  end: number,
  entries: readonly Buffer[],
  tracks: boolean,
): Buffer {
  const f = new Fields(bytes, at + 1, end)
  f.lenencBig()
  f.lenencBig()
  const statusAt = f.at - at
  f.u16()
  f.u16()
  const infoAt = f.at
  const info = f.lenencView()
  const isKept = tracks && entries.length > 0
  const head = Buffer.from(bytes.subarray(at, infoAt))
  const parts: Buffer[] = [head]
  if (isKept || info.length > 0) parts.push(lenencBytes(info))
  if (isKept) parts.push(lenencBytes(Buffer.concat(entries)))
  else
    head.writeUInt16LE(head.readUInt16LE(statusAt) & ~Status.sessionStateChanged & 0xffff, statusAt)
  return Buffer.concat(parts)
}
