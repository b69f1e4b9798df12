/**
 * Follows one SFTP channel, request by request, and makes file operations of it: each is decided and recorded before its
 * request goes to the target, and its outcome is recorded before the answer goes to the client. What was read and written
 * through a handle is one operation, from its opening to its closing.
 *
 * What is refused is answered in its place with SSH_FX_PERMISSION_DENIED and never sent on. Where policies are in force the
 * target is asked first where a path really leads, so that neither `..` nor a link gets round a rule about paths.
 *
 * Refuses to go on where it can't follow: another version, a packet that is not understood, an answer to nothing. An
 * extension that is not known is neither announced to the client nor sent on.
 */
import { createHash } from 'node:crypto'
import type { Durability } from '@custody/event-log'
import { OpenFile } from './sftp-files'
import { Outflow } from './sftp-outflow'
import { PACKET_BYTES_MAX, PacketCutter } from './sftp-packets'
import { lexical, pathText, quoted } from './sftp-paths'
import { access, describe, follows, namesNothing } from './sftp-requests'
import { type Query, Whereabouts } from './sftp-whereabouts'
import {
  EXTENSIONS,
  Fields,
  Fxp,
  initPacket,
  parseHandle,
  parseHello,
  parseNames,
  parseRequest,
  parseStatus,
  type Request,
  SFTP_VERSION,
  SftpError,
  Status,
  statusPacket,
  versionPacket,
} from './sftp-wire'
import {
  type Completion,
  type FileOperation,
  type Refused,
  type Ruling,
  refusalText,
  type Started,
  type TransferGate,
  type TransferHost,
} from './transfers'

export interface SftpBounds {
  packetBytesMax: number
  /** Open at once. */
  handlesMax: number
  /** Requests without answer; no more are read until some have one. */
  requestsMax: number
  /** What a client may send ahead while a request of it waits. */
  heldBytesMax: number
}

const BOUNDS: SftpBounds = {
  packetBytesMax: PACKET_BYTES_MAX,
  handlesMax: 1000,
  requestsMax: 4096,
  heldBytesMax: 1024 * 1024,
}

/** A request without answer. */
interface Entry {
  request: Request | null
  /** Ours; it leaves when all before it are answered. */
  local: { bytes: Buffer; durability: Durability | null } | null
  /** An own question: what to do with its answer. */
  own: ((answer: Buffer) => void) | null
  command: Started | null
  /** The handle that it is about. */
  file: OpenFile | null
  /** For what opens: what the handle will be of. */
  opening: { path: string; kind: 'file' | 'directory'; flags: number } | null
}

const OPENING = new Set<Request['type']>(['open', 'opendir'])
const ANSWERS: Partial<Record<Request['type'], number>> = {
  open: Fxp.handle,
  opendir: Fxp.handle,
  read: Fxp.data,
  readdir: Fxp.name,
  realpath: Fxp.name,
  readlink: Fxp.name,
  'expand-path': Fxp.name,
  'home-directory': Fxp.name,
  stat: Fxp.attrs,
  lstat: Fxp.attrs,
  fstat: Fxp.attrs,
  statvfs: Fxp.extendedReply,
  fstatvfs: Fxp.extendedReply,
  limits: Fxp.extendedReply,
  'users-groups-by-id': Fxp.extendedReply,
}

export function createSftpGate(host: TransferHost, bounds: Partial<SftpBounds> = {}): TransferGate {
  return new SftpGate(host, { ...BOUNDS, ...bounds })
}

class SftpGate implements TransferGate {
  private readonly clientCutter: PacketCutter
  private readonly targetCutter: PacketCutter
  private readonly toTarget: Outflow
  private readonly toClient: Outflow
  /** In the order of asking. */
  private readonly outstanding = new Map<number, Entry>()
  private readonly handles = new Map<string, OpenFile>()
  /** Opened, and not recorded as completed. */
  private readonly files = new Set<OpenFile>()
  private readonly whereabouts: Whereabouts
  private opening = 0
  private ownId = 0xc057_0d1a
  private greeted: 'no' | 'asked' | 'yes' = 'no'
  private version = SFTP_VERSION
  /** One request is being decided, or its paths looked up; those behind it wait. */
  private busy = false
  /** … by people. */
  private asking = false
  private backlog: Buffer[] = []
  private backlogBytes = 0
  private paused = false
  private isDraining = false
  /** Where the content that comes goes: null drops it. */
  private uploading: OpenFile | null = null
  private downloading: { id: number; file: OpenFile } | null = null
  private ended = false
  private atClientEnd: (() => void) | null = null

  constructor(
    private readonly host: TransferHost,
    private readonly bounds: SftpBounds,
  ) {
    this.toTarget = new Outflow((bytes, durability, isWhole) =>
      host.toTarget(bytes, durability, isWhole),
    )
    this.toClient = new Outflow((bytes, durability, isWhole) =>
      host.toClient(bytes, durability, isWhole),
    )
    this.clientCutter = new PacketCutter(
      Fxp.write,
      {
        packet: (bytes) => this.onRequest(bytes),
        head: (bytes) => this.onRequest(bytes),
        content: (bytes) => {
          if (this.uploading === null) return
          this.uploading.written.content(bytes)
          this.toTarget.add(bytes)
        },
      },
      bounds.packetBytesMax,
    )
    this.targetCutter = new PacketCutter(
      Fxp.data,
      {
        packet: (bytes) => {
          this.onAnswer(bytes)
          return true
        },
        head: (bytes, length) => {
          this.onData(bytes, length)
          return true
        },
        content: (bytes, isLast) => this.onContent(bytes, isLast),
      },
      bounds.packetBytesMax,
    )
    this.whereabouts = new Whereabouts((query, told) => this.ask(query, told))
  }

  get isHeld(): boolean {
    return this.asking
  }

  fromClient(bytes: Buffer): void {
    if (this.ended || bytes.length === 0) return
    this.backlog.push(bytes)
    this.backlogBytes += bytes.length
    this.goOn()
  }

  fromTarget(bytes: Buffer): void {
    if (this.ended) return
    try {
      this.targetCutter.push(bytes)
    } catch (error) {
      this.fault('the target', error)
      return
    }
    this.goOn()
  }

  clientEnd(then: () => void): void {
    this.atClientEnd = then
    this.goOn()
  }

  end(reason: string): void {
    if (this.ended) return
    this.ended = true
    this.host.withdraw(reason)
    this.backlog = []
    for (const file of this.files)
      this.host.completed(file.command, file.completion('unknown', null, reason))
    for (const { command } of this.outstanding.values())
      if (command !== null)
        this.host.completed(command, { status: 'unknown', message: reason, bytes: 0 })
    this.files.clear()
    this.handles.clear()
    this.outstanding.clear()
  }

  // ── from the client ──────────────────────────────────────────────────────────────────────────────────────────

  /** Takes what has come as far as it may be taken now, and sends what came of it. */
  private goOn(): void {
    if (this.isDraining || this.ended) return
    this.isDraining = true
    try {
      while (this.backlog.length > 0 && !this.ended) {
        const chunk = this.backlog[0]!
        const taken = this.clientCutter.push(chunk)
        this.backlogBytes -= taken
        if (taken < chunk.length) {
          this.backlog[0] = chunk.subarray(taken)
          break
        }
        this.backlog.shift()
      }
    } catch (error) {
      this.isDraining = false
      this.fault('the client', error)
      return
    }
    this.isDraining = false
    this.flush()
    const full = this.backlogBytes > this.bounds.heldBytesMax
    if (full !== this.paused) {
      this.paused = full
      this.host.pauseClient(full)
    }
    if (this.atClientEnd === null || this.backlog.length > 0 || this.busy) return
    this.atClientEnd()
    this.atClientEnd = null
  }

  private flush(): void {
    if (this.ended) return
    this.toTarget.flush(!this.clientCutter.isWithin)
    this.toClient.flush(!this.targetCutter.isWithin)
  }

  /** A whole request, or the head of a WRITE. False: not now. */
  private onRequest(bytes: Buffer): boolean {
    if (this.busy) return false
    if (bytes[4] === Fxp.init) {
      this.onInit(bytes)
      return true
    }
    if (this.greeted === 'no') throw new SftpError('a request before INIT')
    const request = parseRequest(bytes)
    const known = this.outstanding.get(request.id)
    if (known !== undefined && known.own === null)
      throw new SftpError(`a second request ${request.id} before the first is answered`)
    if (known !== undefined || this.outstanding.size >= this.bounds.requestsMax) return false
    if ('handle' in request) this.byHandle(request, bytes)
    else if (request.type === 'copy-data') this.copyData(request, bytes)
    else if ('path' in request || 'from' in request) this.byPath(request, bytes)
    else if (request.type === 'limits') this.forward(request, bytes, null)
    else if (request.type === 'unknown')
      this.refuse(request.id, describe(request, [], []), UNKNOWN_EXTENSION, Status.opUnsupported)
    else this.decide(request, bytes, describe(request, [], []))
    return true
  }

  private onInit(bytes: Buffer): void {
    if (this.greeted !== 'no') throw new SftpError('a second INIT')
    this.greeted = 'asked'
    const { version } = parseHello(bytes)
    this.toTarget.add(version > SFTP_VERSION ? initPacket(bytes, SFTP_VERSION) : bytes)
  }

  private byHandle(request: Extract<Request, { handle: string }>, bytes: Buffer): void {
    const file = this.handles.get(request.handle)
    const { id, type } = request
    if (type === 'write') this.uploading = null
    if (file === undefined) {
      this.answer(id, Status.failure, 'Invalid handle')
      return
    }
    const isDirectory = file.kind === 'directory'
    if (
      (type === 'read' && (isDirectory || !file.may.read)) ||
      (type === 'write' && (isDirectory || !file.may.write)) ||
      (type === 'readdir' && !isDirectory)
    ) {
      this.answer(id, Status.failure, 'the handle was not opened for this')
      return
    }
    if (type === 'fsetstat') {
      this.decide(request, bytes, describe(request, [file.path], [file.path]))
      return
    }
    if (type === 'close') {
      this.handles.delete(request.handle)
    } else file.pending++
    if (type === 'write') {
      file.written.at(file.may.append ? null : request.offset, request.length)
      this.uploading = file
    }
    this.forward(request, bytes, null, file)
  }

  private copyData(request: Extract<Request, { type: 'copy-data' }>, bytes: Buffer): void {
    const from = this.handles.get(request.from)
    const to = this.handles.get(request.to)
    if (from === undefined || to === undefined || !from.may.read || !to.may.write) {
      this.answer(request.id, Status.failure, 'Invalid handle')
      return
    }
    to.written.problem = 'copied within the target'
    const paths = [from.path, to.path]
    this.decide(request, bytes, describe(request, paths, paths))
  }

  private byPath(
    request: Extract<Request, { path: Buffer } | { from: Buffer }>,
    bytes: Buffer,
  ): void {
    const { id, type } = request
    if (type === 'open' && request.flags > 0x3f) {
      this.answer(id, Status.opUnsupported, 'flags of another version')
      return
    }
    if (OPENING.has(type) && this.handles.size + this.opening >= this.bounds.handlesMax) {
      this.answer(id, Status.failure, `more than ${this.bounds.handlesMax} open handles`)
      return
    }
    const given = 'path' in request ? [request.path] : [request.from, request.to]
    const asked = given.map(pathText)
    // Where the session began. Every client asks it, and we have asked it ourselves.
    if (type === 'realpath' && (asked[0] === '' || asked[0] === '.')) {
      this.forward(request, bytes, null)
      return
    }
    if (namesNothing(request)) {
      this.decide(request, bytes, describe(request, asked, asked))
      return
    }
    this.wait((done) => {
      this.whereabouts.whenHome((home) => {
        const own = asked.map((path) => lexical(path, home))
        const texts = type === 'symlink' ? linked(asked[0]!, own[1]!) : own
        if (!this.host.restricted) {
          done()
          this.decide(request, bytes, describe(request, texts, asked))
          return
        }
        // What a symbolic link leads to need not be there; what is done through it is asked for then.
        const looked = type === 'symlink' ? [given[1]!] : given
        this.whereabouts.lead(looked, follows(request), (found) => {
          done()
          if ('code' in found) this.leadsNowhere(request, describe(request, texts, asked), found)
          else {
            const paths = type === 'symlink' ? linked(asked[0]!, found.paths[0]!) : found.paths
            this.decide(request, bytes, describe(request, paths, asked))
          }
        })
      })
    })
  }

  /** The target could not say where a path leads, so that it is not asked for more; unless policy is what it fails by. */
  private leadsNowhere(
    request: Request,
    operation: FileOperation,
    { code, words }: { code: number; words: string },
  ): void {
    this.ruled(operation, (ruling) => {
      if (ruling.outcome === 'block') this.refuse(request.id, operation, ruling)
      else {
        const started = this.host.started(operation, ruling)
        this.host.completed(started, {
          status: 'error',
          code: String(code),
          message: `not sent on, because the target does not say where it leads: ${words}`,
          bytes: 0,
        })
        this.answer(request.id, code, words, started.durability)
      }
    })
  }

  private decide(request: Request, bytes: Buffer, operation: FileOperation): void {
    this.ruled(operation, (ruling) => {
      if (ruling.outcome === 'block') {
        this.refuse(request.id, operation, ruling)
        return
      }
      const started = this.host.started(operation, ruling)
      const { type } = request
      const entry = this.forward(request, bytes, started)
      if (type === 'open' || type === 'opendir') {
        this.opening++
        entry.opening = {
          path: operation.facts.objects[0]!.name,
          kind: type === 'open' ? 'file' : 'directory',
          flags: type === 'open' ? request.flags : 0,
        }
      }
    })
  }

  private ruled(operation: FileOperation, then: (ruling: Ruling) => void): void {
    const ruling = this.host.decide(operation)
    if (!(ruling instanceof Promise)) {
      then(ruling)
      return
    }
    this.asking = true
    this.wait((done) => {
      ruling.then((answer) => {
        if (this.ended) return
        this.asking = false
        done()
        then(answer)
        this.goOn()
      })
    })
  }

  /** Nothing behind it is taken until `done`. */
  private wait(begin: (done: () => void) => void): void {
    this.busy = true
    begin(() => {
      this.busy = false
    })
  }

  private forward(
    request: Request,
    bytes: Buffer,
    command: Started | null,
    file: OpenFile | null = null,
  ): Entry {
    const entry: Entry = { request, local: null, own: null, command, file, opening: null }
    this.outstanding.set(request.id, entry)
    this.toTarget.add(bytes, command?.durability ?? null)
    return entry
  }

  private refuse(
    id: number,
    operation: FileOperation,
    ruling: Refused,
    status: number = Status.permissionDenied,
  ): void {
    this.host.blocked(operation, ruling)
    // Where the log is what fails, nothing that waits for it would ever leave.
    const durability = ruling.code.startsWith('CUSTODY-LOG') ? null : 'os'
    this.answer(id, status, refusalText(ruling), durability)
  }

  /** An answer of our own, in its place. */
  private answer(
    id: number,
    status: number,
    words: string,
    durability: Durability | null = null,
  ): void {
    const bytes = statusPacket(id, status, words, this.version)
    this.outstanding.set(id, {
      request: null,
      local: { bytes, durability },
      own: null,
      command: null,
      file: null,
      opening: null,
    })
    this.releaseLocals()
  }

  /** Asks the target on our own behalf. */
  private ask(query: Query, told: (answer: Buffer) => void): void {
    while (this.outstanding.has(this.ownId)) this.ownId = (this.ownId + 1) >>> 0
    const id = this.ownId
    this.outstanding.set(id, {
      request: null,
      local: null,
      own: told,
      command: null,
      file: null,
      opening: null,
    })
    this.toTarget.add(query(id))
  }

  // ── from the target ──────────────────────────────────────────────────────────────────────────────────────────

  private onAnswer(bytes: Buffer): void {
    const type = bytes[4]!
    if (type === Fxp.version) {
      this.onVersion(bytes)
      return
    }
    const id = bytes.readUInt32BE(5)
    const entry = this.entryOf(id)
    if (entry.own !== null) {
      this.outstanding.delete(id)
      entry.own(bytes)
      this.releaseLocals()
      return
    }
    const request = entry.request!
    if (type !== Fxp.status && type !== ANSWERS[request.type])
      throw new SftpError(`an answer of type ${type} to ${request.type}`)
    const status = type === Fxp.status ? parseStatus(bytes) : null
    const handle = type === Fxp.handle ? parseHandle(bytes) : null
    // Only now: what can't be read answers nothing.
    this.outstanding.delete(id)
    const { file, command, opening } = entry
    if (opening !== null) this.opening--
    if (file !== null && request.type === 'close') this.closed(file, status!, bytes)
    else if (opening !== null && handle !== null) {
      this.opened(handle, opening, command!)
      this.toClient.add(bytes)
    } else if (command !== null) {
      this.host.completed(command, completionOf(bytes, status))
      this.toClient.add(bytes, command.durability)
    } else {
      if (file !== null) this.noted(file, request, bytes, status)
      this.toClient.add(bytes)
      if (file !== null) this.settle(file)
    }
    this.releaseLocals()
  }

  private entryOf(id: number): Entry {
    const entry = this.outstanding.get(id)
    if (entry === undefined || entry.local !== null)
      throw new SftpError(`an answer to request ${id}, which nobody waits for`)
    return entry
  }

  private onVersion(bytes: Buffer): void {
    if (this.greeted !== 'asked') throw new SftpError('VERSION, which nobody asked for')
    this.greeted = 'yes'
    const hello = parseHello(bytes)
    if (hello.version > SFTP_VERSION)
      throw new SftpError(`it insists on version ${hello.version} of SFTP`)
    this.version = hello.version
    const known = hello.extensions.filter(({ name, data }) => EXTENSIONS.get(name) === data)
    const isAll = known.length === hello.extensions.length
    this.toClient.add(isAll ? bytes : versionPacket({ ...hello, extensions: known }))
    this.whereabouts.findHome()
  }

  private opened(key: string, of: NonNullable<Entry['opening']>, command: Started): void {
    const may = of.kind === 'file' ? access(of.flags) : { read: false, write: false, append: false }
    const file = new OpenFile(of.path, of.kind, command, may)
    this.files.add(file)
    if (this.handles.has(key)) throw new SftpError('a handle that is open already')
    this.handles.set(key, file)
  }

  /** What an answer says of the handle that it is about. */
  private noted(
    file: OpenFile,
    request: Request,
    bytes: Buffer,
    status: { code: number } | null,
  ): void {
    if (request.type === 'write' && status!.code !== Status.ok)
      file.written.problem ??= 'the target did not take all of it'
    if (status !== null) return
    if (request.type === 'readdir') file.list(bytes, listed(bytes).length)
    if (request.type === 'fstat') {
      const { size, mode } = new Fields(bytes.subarray(9)).attributes()
      file.size = size ?? null
      file.mode = mode ?? null
    }
  }

  private onData(head: Buffer, length: number): void {
    const id = head.readUInt32BE(5)
    const entry = this.entryOf(id)
    const { request, file } = entry
    if (request?.type !== 'read' || file === null)
      throw new SftpError('content that nobody asked for')
    if (length > request.length) throw new SftpError('more content than was asked for')
    file.read.at(request.offset, length)
    this.downloading = { id, file }
    this.toClient.add(head)
  }

  private onContent(bytes: Buffer, isLast: boolean): void {
    const { id, file } = this.downloading!
    file.read.content(bytes)
    this.toClient.add(bytes)
    if (!isLast) return
    this.downloading = null
    this.outstanding.delete(id)
    this.settle(file)
    this.releaseLocals()
  }

  /** The answer to CLOSE: recorded before it is released, and after all that was read and written is known. */
  private closed(file: OpenFile, status: { code: number; words: string }, bytes: Buffer): void {
    file.closing = () => {
      const { code, words } = status
      this.files.delete(file)
      this.host.completed(
        file.command,
        file.completion(
          code === Status.ok ? 'ok' : 'error',
          code === Status.ok ? null : String(code),
          code === Status.ok ? null : words,
        ),
      )
      this.toClient.add(bytes, file.command.durability)
    }
    if (file.pending === 0) file.closing()
  }

  private settle(file: OpenFile): void {
    file.pending--
    if (file.pending === 0) file.closing?.()
  }

  private releaseLocals(): void {
    for (const [id, { local }] of this.outstanding) {
      if (local === null) return
      this.outstanding.delete(id)
      this.toClient.add(local.bytes, local.durability)
    }
  }

  private fault(whose: string, error: unknown): void {
    const words = error instanceof Error ? error.message : String(error)
    const message = `${whose} sent what is no SFTP: ${words}`
    // What was understood before it still goes.
    this.flush()
    this.end(message)
    this.host.fail('CUSTODY-SSH-020', message)
  }
}

/** A link leads from the directory that it is in, wherever the session began: what it leads to, and where it is. */
function linked(text: string, link: string): string[] {
  const slash = link.lastIndexOf('/')
  return [lexical(text, slash < 0 ? null : link.slice(0, slash) || '/'), link]
}

/** Clients make paths of their own of what a directory holds: none of it may lead out of there. */
function listed(answer: Buffer): Buffer[] {
  const names = parseNames(answer)
  const rogue = names.find((name) => name.length === 0 || name.includes(0x2f) || name.includes(0))
  if (rogue !== undefined)
    throw new SftpError(`${quoted(pathText(rogue))}, which is no name in a directory`)
  return names
}

const UNKNOWN_EXTENSION: Refused = {
  outcome: 'block',
  decision: null,
  code: 'CUSTODY-SSH-022',
  reason: 'an extension of SFTP that is not known here',
}

function completionOf(bytes: Buffer, status: { code: number; words: string } | null): Completion {
  const failed = status !== null && status.code !== Status.ok
  return {
    status: failed ? 'error' : 'ok',
    code: failed ? String(status.code) : null,
    message: failed ? status.words : null,
    bytes: bytes.length,
    digest: createHash('sha256').update(bytes).digest(),
  }
}
