/**
 * Follows the old protocol of scp, which `scp -t` and `scp -f` speak at the target: each file and directory is decided and
 * recorded before it is announced to whoever takes it, and its end before the last byte of it is released.
 *
 *   source → sink   C<mode> <size> <name>\n   a file: after the sink's answer <size> bytes follow, then \0 or an error
 *                   D<mode> 0 <name>\n  E\n   into a directory, and out of it
 *                   T<mtime> <µs> <atime> <µs>\n
 *   sink → source   \0, or \1 or \2 and words and \n: an error, with \2 the last one
 *   source → sink   \1 or \2 and words and \n: an error
 *
 * One step at a time: what a source sends ahead of the answer that it should wait for waits here, so that it is never read
 * as something else at the target. What is refused is answered to its source as an error, and left out as one.
 * Paths are what the client wrote and the names that follow: links at the target can't be seen here, and the record says so.
 */
import { createHash, type Hash } from 'node:crypto'
import type { Durability } from '@custody/event-log'
import type { ScpCommand } from './recognise-exec'
import { Outflow } from './sftp-outflow'
import { join, pathText, quoted } from './sftp-paths'
import {
  type FileObject,
  type FileOperation,
  operation,
  type Ruling,
  refusalText,
  type Started,
  type TransferGate,
  type TransferHost,
} from './transfers'

export interface ScpBounds {
  /** What may wait here of one side. */
  heldBytesMax: number
  lineBytesMax: number
  /** Directories within directories. */
  depthMax: number
}

const BOUNDS: ScpBounds = {
  heldBytesMax: 1024 * 1024,
  lineBytesMax: 8 * 1024,
  depthMax: 1000,
}

export function createScpGate(
  host: TransferHost,
  command: ScpCommand,
  bounds: Partial<ScpBounds> = {},
): TransferGate {
  return new ScpGate(host, command, { ...BOUNDS, ...bounds })
}

class ScpError extends Error {}

/** What came from one side and is not taken yet. */
class Waiting {
  private chunks: Buffer[] = []
  length = 0

  push(bytes: Buffer): void {
    if (bytes.length === 0) return
    this.chunks.push(bytes)
    this.length += bytes.length
  }

  take(bytesMax: number): Buffer {
    const first = this.chunks[0]!
    const taken = first.subarray(0, bytesMax)
    if (taken.length === first.length) this.chunks.shift()
    else this.chunks[0] = first.subarray(taken.length)
    this.length -= taken.length
    return taken
  }

  get first(): number {
    return this.chunks[0]![0]!
  }

  /** With its end; null where that has not come. */
  line(bytesMax: number): Buffer | null {
    let before = 0
    for (const chunk of this.chunks) {
      const at = chunk.indexOf(0x0a)
      if (at >= 0) {
        if (before + at >= bytesMax) break
        const whole = this.chunks.length === 1 ? chunk : Buffer.concat(this.chunks)
        const line = whole.subarray(0, before + at + 1)
        this.chunks = [whole.subarray(line.length)].filter(({ length }) => length > 0)
        this.length -= line.length
        return line
      }
      before += chunk.length
    }
    if (before >= bytesMax) throw new ScpError(`a line of more than ${bytesMax} bytes`)
    return null
  }
}

/** A file on its way. */
interface Transfer {
  command: Started
  size: number
  left: number
  hash: Hash
  /** What the source said went wrong. */
  problem: string | null
}

type State =
  | { at: 'greeting' }
  | { at: 'line' }
  | { at: 'deciding' }
  /** The sink's answer to what stands in `to`. */
  | { at: 'answer'; to: 'file'; transfer: Transfer }
  | { at: 'answer'; to: 'directory'; command: Started; paths: string[] }
  | { at: 'answer'; to: 'leaving' | 'times' }
  | { at: 'content'; transfer: Transfer }
  /** The source's word on whether that was all. */
  | { at: 'status'; transfer: Transfer }
  /** The sink's. */
  | { at: 'end'; transfer: Transfer }

class ScpGate implements TransferGate {
  private state: State = { at: 'greeting' }
  private readonly source = new Waiting()
  private readonly sink = new Waiting()
  private readonly isUpload: boolean
  private readonly toTarget: Outflow
  private readonly toClient: Outflow
  /** Where names belong that come now: each may be at several places, as `pathsOf` says. */
  private readonly directories: string[][] = []
  private paused = false
  private ended = false
  private atClientEnd: (() => void) | null = null

  constructor(
    private readonly host: TransferHost,
    private readonly command: ScpCommand,
    private readonly bounds: ScpBounds,
  ) {
    this.isUpload = command.mode === 'to'
    this.toTarget = new Outflow((bytes, durability) => host.toTarget(bytes, durability, true))
    this.toClient = new Outflow((bytes, durability) => host.toClient(bytes, durability, true))
  }

  get isHeld(): boolean {
    return this.state.at === 'deciding'
  }

  fromClient(bytes: Buffer): void {
    this.take(this.isUpload ? this.source : this.sink, bytes)
  }

  fromTarget(bytes: Buffer): void {
    this.take(this.isUpload ? this.sink : this.source, bytes)
  }

  clientEnd(then: () => void): void {
    this.atClientEnd = then
    this.goOn()
  }

  end(reason: string): void {
    if (this.ended) return
    this.ended = true
    this.host.withdraw(reason)
    const { state } = this
    if ('transfer' in state) this.complete(state.transfer, 'unknown', reason)
    else if ('command' in state)
      this.host.completed(state.command, { status: 'unknown', message: reason, bytes: 0 })
  }

  private take(from: Waiting, bytes: Buffer): void {
    if (this.ended) return
    from.push(bytes)
    this.goOn()
  }

  private goOn(): void {
    try {
      while (!this.ended && this.step());
      if (!this.ended) this.bound()
    } catch (error) {
      this.fault(error instanceof Error ? error.message : String(error))
      return
    }
    this.flush()
    const waiting = this.isUpload ? this.source : this.sink
    if (
      this.atClientEnd === null ||
      this.ended ||
      waiting.length > 0 ||
      this.state.at === 'deciding'
    )
      return
    this.atClientEnd()
    this.atClientEnd = null
  }

  private flush(): void {
    if (this.ended) return
    this.toTarget.flush(true)
    this.toClient.flush(true)
  }

  private bound(): void {
    const client = this.isUpload ? this.source : this.sink
    const target = this.isUpload ? this.sink : this.source
    if (target.length > this.bounds.heldBytesMax)
      throw new ScpError('the target says more than it should before it is answered')
    const full = client.length > this.bounds.heldBytesMax
    if (full === this.paused) return
    this.paused = full
    this.host.pauseClient(full)
  }

  /** One step; false where what it needs has not come. */
  private step(): boolean {
    const { state } = this
    switch (state.at) {
      case 'greeting':
        return this.answered(() => {
          this.state = { at: 'line' }
        })
      case 'line':
        return this.line()
      case 'deciding':
        return false
      case 'answer':
        return this.answered(
          (error) => this.onAnswer(state, error),
          () =>
            state.to === 'file'
              ? state.transfer.command.durability
              : state.to === 'directory'
                ? state.command.durability
                : null,
        )
      case 'content':
        return this.content(state.transfer)
      case 'status':
        return this.status(state.transfer)
      case 'end':
        return this.finish(state.transfer)
    }
  }

  // ── from the source ──────────────────────────────────────────────────────────────────────────────────────────

  private line(): boolean {
    if (this.source.length === 0) return false
    const { first } = this.source
    const line = this.source.line(this.bounds.lineBytesMax)
    if (line === null) return false
    switch (String.fromCharCode(first)) {
      case '\x01':
      case '\x02':
        this.toSink(line)
        return true
      case 'C':
      case 'D':
        this.announced(line, first === 0x43)
        return true
      case 'E':
        if (line.length !== 2) throw new ScpError('an E with more')
        if (this.directories.pop() === undefined) throw new ScpError('out of more than it was in')
        this.toSink(line)
        this.state = { at: 'answer', to: 'leaving' }
        return true
      case 'T':
        if (!/^T\d{1,19} \d{1,6} \d{1,19} \d{1,6}\n$/.test(line.toString('latin1')))
          throw new ScpError('times that can’t be read')
        this.toSink(line)
        this.state = { at: 'answer', to: 'times' }
        return true
      default:
        throw new ScpError(`what begins with ${JSON.stringify(String.fromCharCode(first))}`)
    }
  }

  /** A file, or a directory. */
  private announced(line: Buffer, isFile: boolean): void {
    const head = /^[CD]([0-7]{3,5}) (\d{1,16}) /.exec(line.toString('latin1'))
    const name = line.subarray(head?.[0].length ?? line.length, -1)
    const size = Number(head?.[2])
    if (head === null || name.length === 0 || !Number.isSafeInteger(size))
      throw new ScpError('a file or directory that can’t be read')
    const text = pathText(name)
    if (text === '.' || text === '..' || name.includes(0x2f) || name.includes(0))
      throw new ScpError(`the name ${quoted(text)}`)
    if (this.directories.length >= this.bounds.depthMax)
      throw new ScpError(`more than ${this.bounds.depthMax} directories within each other`)
    if (!this.isUpload) this.checkWanted(text, isFile)
    const paths = this.pathsOf(text)
    const asked = this.asked(isFile, paths, head[1]!, size)
    const ruling = this.host.decide(asked)
    if (!(ruling instanceof Promise)) {
      this.ruled(asked, ruling, line, isFile, paths, size)
      return
    }
    this.state = { at: 'deciding' }
    ruling.then((answer) => {
      if (this.ended) return
      this.ruled(asked, answer, line, isFile, paths, size)
      this.goOn()
    })
  }

  /** A target that is not what it should be sends what nobody asked for, for its client to write over its own files. */
  private checkWanted(name: string, isFile: boolean): void {
    const { paths, recursive } = this.command
    if (!isFile && !recursive) throw new ScpError('a directory where a file was asked for')
    if (this.directories.length > 0 || paths.some((path) => mayBe(path, name))) return
    throw new ScpError(`the name ${quoted(name)}, which nobody asked for`)
  }

  private asked(isFile: boolean, paths: string[], mode: string, size: number): FileOperation {
    const verb = !isFile
      ? this.isUpload
        ? 'ssh:file-create'
        : 'ssh:file-list'
      : this.isUpload
        ? 'ssh:upload'
        : 'ssh:download'
    const objects: FileObject[] = paths.map((path) => ({ verb, path }))
    const words = isFile ? (this.isUpload ? 'put' : 'get') : this.isUpload ? 'mkdir' : 'list'
    return operation(words, 'scp', `${words} ${quoted(paths[0]!)}`, objects, {
      attributes: { mode, ...(isFile && { size: String(size) }) },
      problem: 'where its path leads is known to the target alone',
    })
  }

  /**
   * Where it may be. What is sent to a path goes into it where that is a directory, and becomes it where not: which of both
   * only the target knows, so policies are asked about both.
   */
  private pathsOf(name: string): string[] {
    const { paths, isDirectory } = this.command
    const inside = this.directories.at(-1)
    if (inside !== undefined) return inside.map((path) => join(path, name))
    if (this.isUpload) {
      const path = paths[0]!
      const within = join(path.replace(/\/+$/, '') || (path.startsWith('/') ? '/' : '.'), name)
      return isDirectory || path.endsWith('/') ? [within] : [within, path]
    }
    const named = paths.find((path) => path.replace(/\/+$/, '').split('/').at(-1) === name)
    if (named !== undefined) return [named.replace(/(?<=.)\/+$/, '')]
    // What the target's shell made of a pattern.
    const slash = paths[0]!.lastIndexOf('/')
    return [slash < 0 ? name : join(paths[0]!.slice(0, slash) || '/', name)]
  }

  private ruled(
    asked: FileOperation,
    ruling: Ruling,
    line: Buffer,
    isFile: boolean,
    paths: string[],
    size: number,
  ): void {
    if (ruling.outcome === 'block') {
      this.host.blocked(asked, ruling)
      const durability = ruling.code.startsWith('CUSTODY-LOG') ? null : 'os'
      // Its source leaves it out; where that is the target, the client is told as by a source that can't read it.
      const words = Buffer.from(
        `\x01scp: ${paths[0]!.replace(/\p{Cc}/gu, '?')}: ${refusalText(ruling).replace(/\p{Cc}/gu, ' ')}\n`,
      )
      this.toSource(this.isUpload ? words : REFUSED, this.isUpload ? durability : null)
      if (!this.isUpload) this.toClient.add(words, durability)
      this.state = { at: 'line' }
      return
    }
    const command = this.host.started(asked, ruling)
    this.toSink(line, command.durability)
    this.state = isFile
      ? {
          at: 'answer',
          to: 'file',
          transfer: { command, size, left: size, hash: createHash('sha256'), problem: null },
        }
      : { at: 'answer', to: 'directory', command, paths }
  }

  private content(transfer: Transfer): boolean {
    if (transfer.left > 0) {
      if (this.source.length === 0) return false
      const bytes = this.source.take(transfer.left)
      transfer.left -= bytes.length
      transfer.hash.update(bytes)
      this.toSink(bytes)
    }
    if (transfer.left === 0) this.state = { at: 'status', transfer }
    return true
  }

  private status(transfer: Transfer): boolean {
    if (this.source.length === 0) return false
    if (this.source.first === 0) {
      const bytes = this.source.take(1)
      this.last(transfer, bytes)
      return true
    }
    const line = this.source.line(this.bounds.lineBytesMax)
    if (line === null) return false
    transfer.problem = words(line)
    this.last(transfer, line)
    return true
  }

  /** What ends a file on its source's side. A client that takes it has it with this, so its end is recorded before. */
  private last(transfer: Transfer, bytes: Buffer): void {
    if (this.isUpload) {
      this.toSink(bytes)
      this.state = { at: 'end', transfer }
      return
    }
    this.complete(transfer, transfer.problem === null ? 'ok' : 'error', transfer.problem)
    this.toSink(bytes, transfer.command.durability)
    this.state = { at: 'answer', to: 'leaving' }
  }

  // ── from the sink ────────────────────────────────────────────────────────────────────────────────────────────

  /** Its answer, which goes on to the source; the words where it is an error. */
  private answered(
    then: (error: string | null) => void,
    durability: () => Durability | null = () => null,
  ): boolean {
    if (this.sink.length === 0) return false
    const isFine = this.sink.first === 0
    const bytes = isFine ? this.sink.take(1) : this.sink.line(this.bounds.lineBytesMax)
    if (bytes === null) return false
    then(isFine ? null : words(bytes))
    this.toSource(bytes, durability())
    return true
  }

  private onAnswer(state: Extract<State, { at: 'answer' }>, error: string | null): void {
    this.state = { at: 'line' }
    if (state.to === 'file') {
      if (error === null) this.state = { at: 'content', transfer: state.transfer }
      else this.complete(state.transfer, 'error', error)
    } else if (state.to === 'directory') {
      this.host.completed(state.command, {
        status: error === null ? 'ok' : 'error',
        message: error,
        bytes: 0,
      })
      if (error === null) this.directories.push(state.paths)
    }
  }

  private finish(transfer: Transfer): boolean {
    return this.answered(
      (error) => {
        const problem = transfer.problem ?? error
        this.complete(transfer, problem === null ? 'ok' : 'error', problem)
        this.state = { at: 'line' }
      },
      () => transfer.command.durability,
    )
  }

  private complete(transfer: Transfer, status: string, message: string | null): void {
    const moved = transfer.size - transfer.left
    const digest = moved > 0 ? transfer.hash.digest() : null
    this.host.completed(transfer.command, {
      status,
      message,
      tag: `${this.isUpload ? 'written' : 'read'} ${moved} bytes of ${transfer.size}`,
      ...(this.isUpload
        ? { bytes: 0, inputBytes: moved, inputDigest: digest }
        : { bytes: moved, digest }),
    })
  }

  private toSink(bytes: Buffer, durability: Durability | null = null): void {
    if (this.isUpload) this.toTarget.add(bytes, durability)
    else this.toClient.add(bytes, durability)
  }

  private toSource(bytes: Buffer, durability: Durability | null = null): void {
    if (this.isUpload) this.toClient.add(bytes, durability)
    else this.toTarget.add(bytes, durability)
  }

  private fault(message: string): void {
    const text = `this is no scp: ${message}`
    this.flush()
    this.end(text)
    this.host.fail('CUSTODY-SSH-020', text)
  }
}

/** Whether a path that was asked for, or what the target's shell makes of it, may have this name at its end. */
function mayBe(path: string, name: string): boolean {
  const last = path.replace(/\/+$/, '').split('/').at(-1) ?? ''
  if (last === name) return true
  // Other paths altogether may come of braces and tildes; of `.` a directory's own name.
  if (/[{}~^\\]/.test(path) || last === '' || last === '.' || last === '..') return true
  return fits(last.match(/\[[^\]]*\]|[\s\S]/g)!, name)
}

/** `*` is anything, `?` and `[…]` a character. In time linear in the product of both. */
function fits(pattern: readonly string[], name: string): boolean {
  const characters = [...name]
  let [at, to, star, behind] = [0, 0, -1, 0]
  while (to < characters.length) {
    const one = pattern[at]
    if (one === '*') [star, behind] = [at++, to]
    else if (one === '?' || (one?.length ?? 0) > 1 || one === characters[to]) {
      at++
      to++
    } else if (star >= 0) [at, to] = [star + 1, ++behind]
    else return false
  }
  while (pattern[at] === '*') at++
  return at === pattern.length
}

const REFUSED = Buffer.from('\x01refused on the way\n')

function words(line: Buffer): string {
  return line
    .toString('utf8')
    .replace(/\p{Cc}+/gu, ' ')
    .trim()
}
