/**
 * SFTP version 3 as bytes: draft-ietf-secsh-filexfer-02 and OpenSSH's extensions to it (PROTOCOL, section 3 of its sources).
 *
 *   packet   uint32 length, byte type, uint32 id (INIT and VERSION: uint32 version), …
 *   string   uint32 length, bytes
 *   attrs    uint32 flags, [uint64 size], [uint32 uid, uint32 gid], [uint32 permissions], [uint32 atime, uint32 mtime],
 *            [uint32 count, count × (string type, string data)]
 *
 * Strict: a packet whose fields don't end where it does is malformed. Refuses to know what a request is for.
 */

export const Fxp = {
  init: 1,
  version: 2,
  open: 3,
  close: 4,
  read: 5,
  write: 6,
  lstat: 7,
  fstat: 8,
  setstat: 9,
  fsetstat: 10,
  opendir: 11,
  readdir: 12,
  remove: 13,
  mkdir: 14,
  rmdir: 15,
  realpath: 16,
  stat: 17,
  rename: 18,
  readlink: 19,
  symlink: 20,
  status: 101,
  handle: 102,
  data: 103,
  name: 104,
  attrs: 105,
  extended: 200,
  extendedReply: 201,
} as const

export const Status = {
  ok: 0,
  eof: 1,
  noSuchFile: 2,
  permissionDenied: 3,
  failure: 4,
  badMessage: 5,
  opUnsupported: 8,
} as const

export const OpenFlag = { read: 1, write: 2, append: 4, create: 8, truncate: 16, exclusive: 32 }

/** The version that all of this is about. Servers that speak newer ones are asked for this one. */
export const SFTP_VERSION = 3

/** Handles are at most this long, says the draft. */
const HANDLE_BYTES_MAX = 256
/** Paths longer than any system takes are none. */
const PATH_BYTES_MAX = 32 * 1024

export class SftpError extends Error {}

export interface Attributes {
  size?: bigint
  uid?: number
  gid?: number
  mode?: number
  accessed?: number
  modified?: number
}

export type Request =
  | { type: 'open'; id: number; path: Buffer; flags: number; attributes: Attributes }
  | { type: 'close' | 'fstat' | 'readdir' | 'fstatvfs' | 'fsync'; id: number; handle: string }
  | { type: 'read'; id: number; handle: string; offset: bigint; length: number }
  | { type: 'write'; id: number; handle: string; offset: bigint; length: number }
  | {
      type:
        | 'lstat'
        | 'stat'
        | 'opendir'
        | 'remove'
        | 'rmdir'
        | 'realpath'
        | 'readlink'
        | 'statvfs'
        | 'expand-path'
        | 'home-directory'
      id: number
      path: Buffer
    }
  | { type: 'setstat' | 'lsetstat' | 'mkdir'; id: number; path: Buffer; attributes: Attributes }
  | { type: 'fsetstat'; id: number; handle: string; attributes: Attributes }
  /** For links: `from` is what there is, `to` the link. */
  | {
      type: 'rename' | 'posix-rename' | 'symlink' | 'hardlink'
      id: number
      from: Buffer
      to: Buffer
    }
  | {
      type: 'copy-data'
      id: number
      from: string
      fromOffset: bigint
      length: bigint
      to: string
      toOffset: bigint
    }
  | { type: 'limits' | 'users-groups-by-id'; id: number }
  | { type: 'unknown'; id: number; name: string }

/** Extensions that are understood, and the version of each that is. */
export const EXTENSIONS: ReadonlyMap<string, string> = new Map([
  ['posix-rename@openssh.com', '1'],
  ['statvfs@openssh.com', '2'],
  ['fstatvfs@openssh.com', '2'],
  ['hardlink@openssh.com', '1'],
  ['fsync@openssh.com', '1'],
  ['lsetstat@openssh.com', '1'],
  ['limits@openssh.com', '1'],
  ['expand-path@openssh.com', '1'],
  ['copy-data', '1'],
  ['home-directory', '1'],
  ['users-groups-by-id@openssh.com', '1'],
])

/** Reads the fields of one packet, and fails where there are none. */
export class Fields {
  private at = 0
  constructor(private readonly bytes: Buffer) {}

  byte(): number {
    return this.bytes[this.take(1)]!
  }

  uint32(): number {
    return this.bytes.readUInt32BE(this.take(4))
  }

  uint64(): bigint {
    return this.bytes.readBigUInt64BE(this.take(8))
  }

  string(bytesMax = PATH_BYTES_MAX): Buffer {
    const length = this.uint32()
    if (length > bytesMax) throw new SftpError(`a string of ${length} bytes`)
    const at = this.take(length)
    return this.bytes.subarray(at, at + length)
  }

  path(): Buffer {
    const path = this.string()
    // What the target's system would read up to there, and we beyond.
    if (path.includes(0)) throw new SftpError('a path with a NUL in it')
    return path
  }

  /** As a key: handles are any bytes. */
  handle(): string {
    return this.string(HANDLE_BYTES_MAX).toString('latin1')
  }

  attributes(): Attributes {
    const flags = this.uint32()
    if ((flags & 0x7fff_fff0) !== 0) throw new SftpError('attributes of another version')
    const attributes: Attributes = {}
    if (flags & 1) attributes.size = this.uint64()
    if (flags & 2) {
      attributes.uid = this.uint32()
      attributes.gid = this.uint32()
    }
    if (flags & 4) attributes.mode = this.uint32()
    if (flags & 8) {
      attributes.accessed = this.uint32()
      attributes.modified = this.uint32()
    }
    if (flags & 0x8000_0000)
      for (let left = this.uint32(); left > 0; left--) {
        this.string()
        this.string()
      }
    return attributes
  }

  rest(): Buffer {
    return this.bytes.subarray(this.take(this.left))
  }

  get left(): number {
    return this.bytes.length - this.at
  }

  end(): void {
    if (this.left > 0) throw new SftpError(`${this.left} bytes too many`)
  }

  private take(length: number): number {
    const { at } = this
    if (at + length > this.bytes.length) throw new SftpError('it ends too early')
    this.at += length
    return at
  }
}

/** A whole packet, its length in front; of WRITE only the head, up to its data. */
export function parseRequest(packet: Buffer): Request {
  const type = packet[4]!
  const fields = new Fields(packet.subarray(5))
  const id = fields.uint32()
  const request = parseBody(type, id, fields)
  fields.end()
  return request
}

function parseBody(type: number, id: number, fields: Fields): Request {
  switch (type) {
    case Fxp.open:
      return {
        type: 'open',
        id,
        path: fields.path(),
        flags: fields.uint32(),
        attributes: fields.attributes(),
      }
    case Fxp.close:
      return { type: 'close', id, handle: fields.handle() }
    case Fxp.fstat:
      return { type: 'fstat', id, handle: fields.handle() }
    case Fxp.readdir:
      return { type: 'readdir', id, handle: fields.handle() }
    case Fxp.read:
    case Fxp.write: {
      const handle = fields.handle()
      const offset = fields.uint64()
      return {
        type: type === Fxp.read ? 'read' : 'write',
        id,
        handle,
        offset,
        length: fields.uint32(),
      }
    }
    case Fxp.lstat:
      return { type: 'lstat', id, path: fields.path() }
    case Fxp.stat:
      return { type: 'stat', id, path: fields.path() }
    case Fxp.opendir:
      return { type: 'opendir', id, path: fields.path() }
    case Fxp.remove:
      return { type: 'remove', id, path: fields.path() }
    case Fxp.rmdir:
      return { type: 'rmdir', id, path: fields.path() }
    case Fxp.realpath:
      return { type: 'realpath', id, path: fields.path() }
    case Fxp.readlink:
      return { type: 'readlink', id, path: fields.path() }
    case Fxp.setstat:
      return { type: 'setstat', id, path: fields.path(), attributes: fields.attributes() }
    case Fxp.mkdir:
      return { type: 'mkdir', id, path: fields.path(), attributes: fields.attributes() }
    case Fxp.fsetstat:
      return { type: 'fsetstat', id, handle: fields.handle(), attributes: fields.attributes() }
    case Fxp.rename:
      return { type: 'rename', id, from: fields.path(), to: fields.path() }
    // The draft has the link first; OpenSSH, and so everybody, has what it leads to first.
    case Fxp.symlink:
      return { type: 'symlink', id, from: fields.path(), to: fields.path() }
    case Fxp.extended:
      return parseExtended(id, fields)
    default:
      throw new SftpError(`a request of type ${type}`)
  }
}

function parseExtended(id: number, fields: Fields): Request {
  const name = fields.string(256).toString('latin1')
  switch (name) {
    case 'posix-rename@openssh.com':
      return { type: 'posix-rename', id, from: fields.path(), to: fields.path() }
    case 'hardlink@openssh.com':
      return { type: 'hardlink', id, from: fields.path(), to: fields.path() }
    case 'statvfs@openssh.com':
      return { type: 'statvfs', id, path: fields.path() }
    case 'fstatvfs@openssh.com':
      return { type: 'fstatvfs', id, handle: fields.handle() }
    case 'fsync@openssh.com':
      return { type: 'fsync', id, handle: fields.handle() }
    case 'lsetstat@openssh.com':
      return { type: 'lsetstat', id, path: fields.path(), attributes: fields.attributes() }
    case 'limits@openssh.com':
      return { type: 'limits', id }
    case 'expand-path@openssh.com':
      return { type: 'expand-path', id, path: fields.path() }
    case 'home-directory':
      return { type: 'home-directory', id, path: fields.path() }
    case 'users-groups-by-id@openssh.com':
      fields.string(Number.POSITIVE_INFINITY)
      fields.string(Number.POSITIVE_INFINITY)
      return { type: 'users-groups-by-id', id }
    case 'copy-data': {
      const from = fields.handle()
      const fromOffset = fields.uint64()
      const length = fields.uint64()
      const to = fields.handle()
      return { type: 'copy-data', id, from, fromOffset, length, to, toOffset: fields.uint64() }
    }
    default:
      fields.rest()
      return { type: 'unknown', id, name }
  }
}

// ── what we say ourselves ────────────────────────────────────────────────────────────────────────────────────────

function packet(type: number, first: number, parts: readonly Buffer[]): Buffer {
  const length = 5 + parts.reduce((sum, part) => sum + part.length, 0)
  const head = Buffer.allocUnsafe(9)
  head.writeUInt32BE(length, 0)
  head[4] = type
  head.writeUInt32BE(first, 5)
  return Buffer.concat([head, ...parts], length + 4)
}

function string(value: Buffer | string): Buffer {
  const bytes = typeof value === 'string' ? Buffer.from(value) : value
  const length = Buffer.allocUnsafe(4)
  length.writeUInt32BE(bytes.length, 0)
  return Buffer.concat([length, bytes])
}

function uint32(value: number): Buffer {
  const bytes = Buffer.allocUnsafe(4)
  bytes.writeUInt32BE(value, 0)
  return bytes
}

/** Before version 3 a status has no words. */
export function statusPacket(id: number, code: number, words: string, version: number): Buffer {
  return packet(Fxp.status, id, [
    uint32(code),
    ...(version >= 3 ? [string(words), string('en')] : []),
  ])
}

export function realpathPacket(id: number, path: Buffer): Buffer {
  return packet(Fxp.realpath, id, [string(path)])
}

export function lstatPacket(id: number, path: Buffer): Buffer {
  return packet(Fxp.lstat, id, [string(path)])
}

/** INIT as it came, but for its version. */
export function initPacket(packet: Buffer, version: number): Buffer {
  const copy = Buffer.from(packet)
  copy.writeUInt32BE(version, 5)
  return copy
}

export interface Hello {
  version: number
  extensions: { name: string; data: string }[]
}

/** INIT and VERSION. */
export function parseHello(packet: Buffer): Hello {
  const fields = new Fields(packet.subarray(5))
  const hello: Hello = { version: fields.uint32(), extensions: [] }
  while (fields.left > 0)
    hello.extensions.push({
      name: fields.string().toString('latin1'),
      data: fields.string().toString('latin1'),
    })
  return hello
}

export function versionPacket({ version, extensions }: Hello): Buffer {
  return packet(
    Fxp.version,
    version,
    extensions.flatMap(({ name, data }) => [
      string(Buffer.from(name, 'latin1')),
      string(Buffer.from(data, 'latin1')),
    ]),
  )
}

/** The code and words of a STATUS; those of old versions have no words. */
export function parseStatus(packet: Buffer): { code: number; words: string } {
  const fields = new Fields(packet.subarray(9))
  const code = fields.uint32()
  const words = fields.left > 0 ? fields.string(packet.length).toString() : ''
  return { code, words }
}

export function parseHandle(packet: Buffer): string {
  const fields = new Fields(packet.subarray(9))
  const handle = fields.handle()
  fields.end()
  return handle
}

/** A NAME's names; what stands beside each is passed over. */
export function parseNames(packet: Buffer): Buffer[] {
  const fields = new Fields(packet.subarray(9))
  const names: Buffer[] = []
  for (let left = fields.uint32(); left > 0; left--) {
    names.push(fields.string())
    fields.string(packet.length)
    fields.attributes()
  }
  return names
}

/** The first of a NAME's names, and how many there are. */
export function parseName(packet: Buffer): { count: number; first: Buffer | null } {
  const fields = new Fields(packet.subarray(9))
  const count = fields.uint32()
  return { count, first: count > 0 ? fields.string() : null }
}
