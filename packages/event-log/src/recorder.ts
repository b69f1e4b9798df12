/**
 * The one writer of a recorder's log: gives every event its identifier, sequence and link to the one before, and
 * writes what one turn of the event loop recorded with one write.
 *
 * Callers record first and act only when told that the record is as durable as they asked for. If the log can't
 * take it, they are told that instead: a failed record is a denial.
 * Refuses to drop an event, to write a sequence twice, and to go on behind a failed flush.
 */
import { hash } from 'node:crypto'
import {
  closeSync,
  fdatasync,
  fsyncSync,
  ftruncateSync,
  linkSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  statSync,
  unlinkSync,
  writeFileSync,
  writeSync,
} from 'node:fs'
import { join } from 'node:path'
import {
  Encoded,
  type EventInput,
  messageHeader,
  newUuid,
  nowMicros,
  type Path,
  uuidText,
  type Who,
  Writer,
  writeEvent,
  writePath,
  writeWho,
} from '@custody/schemas'
import { checkName, firstNeededSegment, listSegments } from './position'
import { encodePreamble, type OpenSession, recover } from './recovery'
import { learnSchemas, publishSchema } from './schemas'
import { EVENTS_FRAME, FRAME_HEADER_BYTES, PREAMBLE_FRAME, sealFrame, segmentName } from './segment'

/** `os`: written to the operating system; `disk`: flushed by fdatasync; `replicated`: acknowledged by Kafka. */
export type Durability = 'os' | 'disk' | 'replicated'

const RANKS: Record<Durability, number> = { os: 0, disk: 1, replicated: 2 }

/** Of two, the one that is waited for longer. */
export function stronger(one: Durability | null, other: Durability): Durability {
  return one !== null && RANKS[one] > RANKS[other] ? one : other
}

/** Told once, in the order of recording, per durability. `error` is null when the record stands. */
export interface Waiter {
  recorded(error: Error | null): void
}

export interface RecorderOptions {
  /** CUSTODY_HOME/log */
  directory: string
  recorder: string
  /** Consumers that must have committed before retention may free anything, known or not yet seen. */
  consumers?: readonly string[]
  /** A new segment begins at the end of the turn that passed this. */
  segmentBytes?: number
  /** Committed segments are freed while the log is larger than this … */
  retentionBytesMax?: number
  /** … or when they are older than this. */
  retentionAgeMaxHours?: number
  /** The log never grows beyond this; new commands are refused before. */
  logBytesMax?: number
  /** Kept free for closing what runs when the disk is full. */
  reserveBytes?: number
  /** How long to wait for another process that is still letting go of this log. */
  lockWaitMsMax?: number
  /** Version to note in recorder.started. */
  version?: string
  /** Told when the recorder stops or resumes taking commands. */
  onStateChange?: (problem: LogRefusedError | null) => void
}

/** A turn's batch is written before its end when it grows beyond this. */
const BATCH_BYTES_MAX = 256 * 1024
/** Longest time that something written stays unflushed. */
const FLUSH_INTERVAL_MS = 10
/** Zeros written ahead at a time, so that fdatasync needs no new metadata. */
const ROOM_BYTES = 256 * 1024
/** How often a refusing recorder looks whether there is room again. */
const RESUME_INTERVAL_MS = 500

/** A process whose parent was killed may still be closing its sessions. */
const LOCK_WAIT_MS_DEFAULT = 5000
const LOCK_POLL_MS = 50

const ZEROS = Buffer.alloc(ROOM_BYTES)

export class LogRefusedError extends Error {
  readonly code: string
  constructor(
    code: 'CUSTODY-LOG-001' | 'CUSTODY-LOG-003' | 'CUSTODY-LOG-005',
    message: string,
    cause?: unknown,
  ) {
    super(message, { cause })
    this.name = 'LogRefusedError'
    this.code = code
  }
}

/** The record stands here, and that it stands elsewhere was not acknowledged in time. */
export class NotReplicatedError extends Error {
  constructor(
    readonly code: 'CUSTODY-REPLICATION-001' | 'CUSTODY-REPLICATION-002',
    message: string,
  ) {
    super(message)
    this.name = 'NotReplicatedError'
  }
}

/** Whoever takes the log elsewhere. */
export interface Replication {
  /** How long somebody waits to be told that a record is acknowledged. */
  msMax: number
  /** Somebody waits for what was just written. */
  nudge(): void
}

/** What one turn wrote that somebody wants to know replicated. */
interface Replicating {
  nextSequence: number
  untilMs: number
  waiters: Waiter[]
}

/** Another process has the log. */
class LogHeldError extends LogRefusedError {}

/**
 * A session as its recorder follows it: ordinals without gaps, who and path encoded once, and what is still open,
 * so that a crash can be told from an end.
 */
export class RecordedSession {
  ordinal = 0
  commandsStarted = 0
  readonly openedMicros = nowMicros()
  /** Commands started and not completed. */
  readonly open = new Set<{ id: Buffer; micros: number }>()
  constructor(
    readonly id: Buffer,
    readonly who: Who,
    public path: Path,
    public whoEncoded: Encoded,
    public pathEncoded: Encoded,
  ) {}
}

export class Recorder {
  readonly name: string
  /** Of this log, whatever else has a log of the same name: made with it, and named whenever it is opened. */
  logId = ''
  private readonly directory: string
  private readonly options: Required<
    Omit<RecorderOptions, 'version' | 'onStateChange' | 'lockWaitMsMax'>
  >
  private readonly onStateChange: (problem: LogRefusedError | null) => void
  private readonly writer = new Writer(2 * BATCH_BYTES_MAX)
  private lengths: number[] = []
  private nextSequence = 0
  /** Hash of the last message recorded. */
  private readonly head: Buffer = Buffer.alloc(32)
  private batchFirstSequence = 0
  private readonly batchHead: Buffer = Buffer.alloc(32)
  private waitersOs: Waiter[] = []
  private waitersDisk: Waiter[] = []
  /** Of this turn; then, oldest first, of those whose records are written. */
  private waitersReplicated: Waiter[] = []
  private replicating: Replicating[] = []
  private replication: Replication | null = null
  private replicationTimer: NodeJS.Timeout | null = null
  private replicatedNext = 0
  private isHurried = false
  private scheduled = false
  private fd = -1
  private segment = 0
  private position = 0
  private room = 0
  private logBytes = 0
  /** Written to, not flushed; earlier segments first. */
  private retired: number[] = []
  private dirty = false
  private syncing = false
  private syncTimer: NodeJS.Timeout | null = null
  private resumeTimer: NodeJS.Timeout | null = null
  private broken: LogRefusedError | null = null
  /** Why no command is ever taken again, whatever there is room for. */
  private stopped: LogRefusedError | null = null
  private closed = false
  private readonly sessions = new Set<RecordedSession>()
  private readonly onSync = (error: Error | null) => this.synced(error)
  private syncingWaiters: Waiter[] = []
  private readonly endOfTurn = () => {
    this.scheduled = false
    this.flush()
    // Only here: everything recorded is written, and callers have noted what it opened and closed, so that what the
    // next segment says about open sessions is true whatever is written after it.
    if (this.position >= this.options.segmentBytes && this.lengths.length === 0) this.roll()
  }
  /** Why new commands must be refused, or null. */
  problem: LogRefusedError | null = null
  /** Why commands that must be replicated are refused at once, or null. Others go on. */
  replicationProblem: NotReplicatedError | null = null
  /** Commands that did not run because their record was not acknowledged in time. */
  notReplicated = 0
  /** Counts writes: what is recorded before and after a change of it is in different batches. */
  turn = 0
  /** Commands refused since the problem began. */
  refusedCommands = 0

  constructor(options: RecorderOptions) {
    this.name = checkName('recorder', options.recorder)
    this.directory = join(options.directory, this.name)
    this.onStateChange = options.onStateChange ?? (() => {})
    this.options = {
      directory: options.directory,
      recorder: options.recorder,
      consumers: options.consumers ?? ['ingest'],
      segmentBytes: options.segmentBytes ?? 64 * 1024 * 1024,
      retentionBytesMax: options.retentionBytesMax ?? 2 * 1024 * 1024 * 1024,
      retentionAgeMaxHours: options.retentionAgeMaxHours ?? 7 * 24,
      logBytesMax: options.logBytesMax ?? 64 * 1024 * 1024 * 1024,
      reserveBytes: options.reserveBytes ?? 16 * 1024 * 1024,
    }
    this.writer.position = FRAME_HEADER_BYTES
  }

  /** Takes the lock, recovers what a crash left, and notes the start. */
  open(version = ''): void {
    mkdirSync(this.directory, { recursive: true, mode: 0o700 })
    this.lock()
    if (readFileSync(join(this.directory, 'lock'), 'utf8') !== lockText())
      throw this.held(undefined)
    publishSchema(this.directory)
    // What an earlier process left may be of another version.
    learnSchemas(this.directory)
    const segments = listSegments(this.directory)
    const last = segments.at(-1)
    let openSessions: OpenSession[] = []
    let cutBytes = 0
    if (last === undefined) this.createSegment(1)
    else {
      const found = this.recoverFrom(segments)
      openSessions = found.openSessions
      cutBytes = found.cutBytes
    }
    this.logBytes = this.measure()
    this.makeReserve()
    if (openSessions.length > 0 || cutBytes > 0) this.recordRecovery(openSessions, cutBytes)
    this.logId = this.identify()
    this.record({
      kind: 'recorder.started',
      recording: { state: 'started', version },
      lifecycle: { state: 'opened', attributes: { log: this.logId } },
    })
    this.flush()
    if (this.broken) throw this.broken
  }

  private identify(): string {
    const path = join(this.directory, 'id')
    try {
      const found = readFileSync(path, 'utf8').trim()
      if (found !== '') return found
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
    }
    const made = uuidText(newUuid())
    const next = `${path}.next`
    writeFileSync(next, `${made}\n`, { mode: 0o600, flush: true })
    renameSync(next, path)
    return made
  }

  private recoverFrom(segments: number[]) {
    const last = segments.at(-1)!
    let found = recover(this.directory, last)
    let segment = last
    if (found.end === 0 && segments.length > 1) {
      // The crash came between making the segment and writing its preamble.
      unlinkSync(join(this.directory, segmentName(last)))
      segment = segments.at(-2)!
      const cut = found.cutBytes
      found = recover(this.directory, segment)
      found.cutBytes += cut
    }
    this.segment = segment
    this.fd = openSync(join(this.directory, segmentName(segment)), 'r+')
    ftruncateSync(this.fd, found.end)
    this.position = found.end
    this.room = found.end
    this.nextSequence = found.nextSequence
    this.batchFirstSequence = found.nextSequence
    found.head.copy(this.head)
    found.head.copy(this.batchHead)
    return found
  }

  /** What ran when the last process died has an unknown outcome, and says so. */
  private recordRecovery(openSessions: OpenSession[], cutBytes: number): void {
    this.record({
      kind: 'recorder.recovered',
      recording: {
        state: 'recovered',
        cutBytes,
        openSessions: openSessions.length,
        detail: 'the previous process ended without closing its log',
      },
    })
    for (const left of openSessions) {
      const session = this.adopt(left)
      for (const command of left.commands)
        this.record(
          {
            kind: 'command.completed',
            command: Buffer.from(command.id, 'hex'),
            response: {
              status: 'unknown',
              message: 'the gateway ended before the outcome was known',
            },
          },
          session,
        )
      this.closeSession(session, 'unknown', 'the gateway ended without closing the session', {})
    }
  }

  private adopt(left: OpenSession): RecordedSession {
    const who = left.who ?? {
      subject: 'unknown',
      issuer: 'unknown',
      email: null,
      name: null,
      groups: [],
      kind: 'system',
      method: 'internal',
      tokenId: null,
      authenticatedAt: null,
      onBehalfOf: [],
    }
    const path =
      left.path ?? ({ gateway: this.name, resource: 'unknown', protocol: 'unknown' } as Path)
    const session = new RecordedSession(
      Buffer.from(left.id, 'hex'),
      who,
      path,
      encodeWho(who),
      encodePath(path),
    )
    session.ordinal = left.ordinal
    session.commandsStarted = left.commandsStarted
    Object.assign(session, { openedMicros: left.openedMicros })
    this.sessions.add(session)
    return session
  }

  /** Records session.opened; every later event of the session carries the same who and path. */
  openSession(
    who: Who,
    path: Path,
    fields: { id?: Buffer; parent?: Buffer; attributes?: Record<string, string> } = {},
  ): RecordedSession {
    const session = new RecordedSession(
      fields.id ?? newUuid(),
      who,
      path,
      encodeWho(who),
      encodePath(path),
    )
    this.sessions.add(session)
    this.record(
      {
        kind: 'session.opened',
        parent: fields.parent,
        lifecycle: { state: 'opened', attributes: fields.attributes },
      },
      session,
    )
    return session
  }

  /** Records session.closed, which counts and thereby seals it. */
  closeSession(
    session: RecordedSession,
    state: 'closed' | 'unknown',
    reason: string,
    counts: { bytesIn?: number; bytesOut?: number },
  ): void {
    if (!this.sessions.delete(session)) return
    this.record(
      {
        kind: 'session.closed',
        lifecycle: {
          state,
          reason,
          commands: session.commandsStarted,
          events: session.ordinal + 1,
          durationMicros: Math.max(0, nowMicros() - session.openedMicros),
          ...counts,
        },
      },
      session,
    )
  }

  /**
   * Encodes an event into this turn's batch and returns its identifier. What is left out of id and time is filled
   * in; recorder, sequence, previous, session, ordinal, who and path are set here.
   */
  record(input: EventInput, session: RecordedSession | null = null): Buffer {
    if (this.closed) throw new LogRefusedError('CUSTODY-LOG-003', 'the event log is closed')
    const event = input as EventInput & { id: Buffer }
    event.time ??= nowMicros()
    event.id ??= newUuid(event.time)
    event.previous = this.head
    event.recorder = this.name
    event.sequence = this.nextSequence++
    if (session !== null) {
      event.session = session.id
      event.ordinal = session.ordinal++
      event.who ??= session.whoEncoded
      event.path ??= session.pathEncoded
    }
    const writer = this.writer
    const start = writer.position
    writer.raw(messageHeader)
    writeEvent(writer, event as Parameters<typeof writeEvent>[1])
    const end = writer.position
    this.lengths.push(end - start)
    this.head.write(
      hash('sha256', writer.buffer.subarray(start, end), 'latin1' as 'hex'),
      0,
      32,
      'latin1',
    )
    if (end >= BATCH_BYTES_MAX) this.flush()
    else this.schedule()
    return event.id
  }

  /** Tells `waiter` when everything recorded so far is as durable as asked. */
  whenRecorded(durability: Durability, waiter: Waiter): void {
    if (durability === 'os') this.waitersOs.push(waiter)
    else if (durability === 'disk') this.waitersDisk.push(waiter)
    else this.waitersReplicated.push(waiter)
    this.schedule()
  }

  /** From now on records can be waited for until they are replicated. */
  replicateBy(replication: Replication): void {
    this.replication = replication
  }

  /** Somebody elsewhere waits for what was recorded last: it goes there at once instead of with the next look. */
  hurry(): void {
    this.isHurried = true
    this.schedule()
  }

  /** Everything before `nextSequence` is acknowledged elsewhere. */
  replicatedThrough(nextSequence: number): void {
    this.replicatedNext = Math.max(this.replicatedNext, nextSequence)
    while (this.replicating.length > 0 && this.replicating[0]!.nextSequence <= nextSequence) {
      const { waiters } = this.replicating.shift()!
      for (let i = 0; i < waiters.length; i++) waiters[i]!.recorded(null)
    }
    this.watchReplication()
  }

  /** From now on new commands are refused, for good: what is recorded here can't go where it must. */
  stopTaking(why: string): void {
    this.stopped ??= new LogRefusedError('CUSTODY-LOG-003', why)
    this.problem = this.stopped
    this.onStateChange(this.problem)
  }

  /** Kafka is known to be away, for this reason, or it is back. */
  replicationStands(why: string | null): void {
    this.replicationProblem =
      why === null
        ? null
        : new NotReplicatedError(
            'CUSTODY-REPLICATION-002',
            `records of this resource must be acknowledged by Kafka, and Kafka can't be reached: ${why}`,
          )
  }

  /** The same as a promise. */
  recorded(durability: Durability = 'os'): Promise<void> {
    return new Promise((resolve, reject) => {
      this.whenRecorded(durability, { recorded: (error) => (error ? reject(error) : resolve()) })
    })
  }

  /** Writes the batch now instead of at the end of the turn. */
  flush(): void {
    this.turn++
    if (this.lengths.length > 0) this.write()
    const waiters = this.waitersOs
    if (waiters.length > 0) {
      this.waitersOs = []
      const error = this.broken
      for (let i = 0; i < waiters.length; i++) waiters[i]!.recorded(error)
    }
    if (this.waitersDisk.length > 0) this.sync()
    if (this.waitersReplicated.length > 0) this.replicate()
    if (this.isHurried) {
      this.isHurried = false
      this.replication?.nudge()
    }
  }

  /** Those who wait for more than this machine: what they wait for is written, so it can be taken elsewhere. */
  private replicate(): void {
    const waiters = this.waitersReplicated
    this.waitersReplicated = []
    const { replication } = this
    const error =
      this.broken ??
      (replication === null
        ? new NotReplicatedError('CUSTODY-REPLICATION-002', 'nothing replicates this log')
        : null)
    if (error !== null || this.replicatedNext >= this.nextSequence) {
      for (const waiter of waiters) waiter.recorded(error)
      return
    }
    this.replicating.push({
      nextSequence: this.nextSequence,
      untilMs: performance.now() + replication!.msMax,
      waiters,
    })
    this.watchReplication()
    replication!.nudge()
  }

  /** Who waits longest is told when it has been too long. */
  private watchReplication(): void {
    if (this.replicationTimer !== null || this.replicating.length === 0) return
    const ms = Math.max(1, Math.ceil(this.replicating[0]!.untilMs - performance.now()))
    this.replicationTimer = setTimeout(() => {
      this.replicationTimer = null
      const now = performance.now()
      while (this.replicating.length > 0 && this.replicating[0]!.untilMs <= now)
        this.failReplication(
          new NotReplicatedError(
            'CUSTODY-REPLICATION-001',
            `the record was not acknowledged by Kafka within ${this.replication!.msMax} ms`,
          ),
          1,
        )
      this.watchReplication()
    }, ms)
  }

  private failReplication(error: Error, turns = this.replicating.length): void {
    for (const { waiters } of this.replicating.splice(0, turns))
      for (const waiter of waiters) waiter.recorded(error)
  }

  /** Flushes to disk, notes the stop and lets go of the directory. Sessions must have been closed before. */
  async close(): Promise<void> {
    if (this.closed) return
    for (const session of this.sessions)
      this.closeSession(session, 'closed', 'the gateway stopped', {})
    this.record({ kind: 'recorder.stopped', recording: { state: 'stopped' } })
    await this.recorded('disk').catch(() => {})
    this.closed = true
    if (this.syncTimer) clearTimeout(this.syncTimer)
    if (this.resumeTimer) clearInterval(this.resumeTimer)
    if (this.replicationTimer) clearTimeout(this.replicationTimer)
    this.failReplication(new LogRefusedError('CUSTODY-LOG-003', 'the event log is closed'))
    for (const fd of [...this.retired, this.fd]) if (fd >= 0) closeSync(fd)
    this.fd = -1
    this.retired = []
    try {
      unlinkSync(join(this.directory, 'lock'))
    } catch {}
  }

  /** Counters for /metrics and `custody status`. */
  status(): {
    recorder: string
    nextSequence: number
    segment: number
    logBytes: number
    openSessions: number
    /** The log never grows beyond this. */
    logBytesMax: number
    problem: string | null
    refusedCommands: number
    notReplicated: number
    replicationProblem: string | null
  } {
    return {
      recorder: this.name,
      nextSequence: this.nextSequence,
      segment: this.segment,
      logBytes: this.logBytes,
      openSessions: this.sessions.size,
      problem: this.problem?.message ?? null,
      logBytesMax: this.options.logBytesMax,
      refusedCommands: this.refusedCommands,
      notReplicated: this.notReplicated,
      replicationProblem: this.replicationProblem?.message ?? null,
    }
  }

  private schedule(): void {
    if (this.scheduled) return
    this.scheduled = true
    setImmediate(this.endOfTurn)
  }

  private write(): void {
    const writer = this.writer
    const lengths = this.lengths
    for (let i = 0; i < lengths.length; i++) {
      writer.reserve(4)
      writer.buffer.writeUInt32LE(lengths[i]!, writer.position)
      writer.position += 4
    }
    const end = writer.position
    sealFrame(writer.buffer, end, EVENTS_FRAME, lengths.length, this.batchFirstSequence)
    try {
      if (this.broken) throw this.broken
      this.writeAll(writer.buffer, end)
      this.head.copy(this.batchHead)
      this.batchFirstSequence = this.nextSequence
    } catch (error) {
      this.fail(error)
    }
    writer.position = FRAME_HEADER_BYTES
    this.lengths = []
    if (writer.buffer.length > 8 * BATCH_BYTES_MAX)
      writer.buffer = Buffer.allocUnsafeSlow(2 * BATCH_BYTES_MAX)
  }

  /** Writes at the position; a full disk first gives up the reserve, and from then on new commands are refused. */
  private writeAll(bytes: Buffer, length: number): void {
    for (let attempt = 0; ; attempt++) {
      try {
        if (this.waitersDisk.length > 0 || this.room > this.position) this.makeRoom(length)
        let done = 0
        while (done < length)
          done += writeSync(this.fd, bytes, done, length - done, this.position + done)
        break
      } catch (error) {
        if (attempt > 0) throw error
        this.refuse(
          new LogRefusedError(
            'CUSTODY-LOG-001',
            `the event log can't be written: ${(error as Error).message}`,
            error,
          ),
        )
        this.releaseReserve()
      }
    }
    this.position += length
    this.logBytes += length
    if (this.problem === null && this.logBytes > this.options.logBytesMax) {
      this.retain()
      if (this.logBytes > this.options.logBytesMax)
        this.refuse(
          new LogRefusedError(
            'CUSTODY-LOG-005',
            `the event log has reached logBytesMax (${this.options.logBytesMax}) and its consumers have not committed enough to free any`,
          ),
        )
    }
    if (!this.dirty) {
      this.dirty = true
      if (!this.syncing && this.syncTimer === null)
        this.syncTimer = setTimeout(() => this.sync(), FLUSH_INTERVAL_MS)
    }
  }

  private makeRoom(length: number): void {
    while (this.room < this.position + length) {
      const bytes = Math.min(ROOM_BYTES, Math.max(0, this.options.segmentBytes - this.room))
      if (bytes === 0) {
        this.room = this.position + length
        return
      }
      writeSync(this.fd, ZEROS, 0, bytes, Math.max(this.room, this.position))
      this.room = Math.max(this.room, this.position) + bytes
    }
  }

  private roll(): void {
    if (this.broken || this.closed) return
    const full = this.fd
    try {
      if (this.room > this.position) ftruncateSync(full, this.position)
      this.createSegment(this.segment + 1)
      this.retired.push(full)
      this.retain()
    } catch (error) {
      // The full segment takes what is recorded until there is room for another.
      if (this.fd === full) this.room = this.position
      this.refuse(
        new LogRefusedError(
          'CUSTODY-LOG-001',
          `the event log can't begin a new segment: ${(error as Error).message}`,
          error,
        ),
      )
    }
  }

  private createSegment(segment: number): void {
    const path = join(this.directory, segmentName(segment))
    const preamble = encodePreamble({
      nextSequence: this.batchFirstSequence,
      head: this.batchHead.toString('hex'),
      sessions: [...this.sessions].map((session) => ({
        id: session.id.toString('hex'),
        ordinal: session.ordinal,
        openedMicros: session.openedMicros,
        commandsStarted: session.commandsStarted,
        commands: [...session.open].map((command) => ({
          id: command.id.toString('hex'),
          micros: command.micros,
        })),
        who: session.who,
        path: session.path,
      })),
    })
    const frame = Buffer.concat([Buffer.alloc(FRAME_HEADER_BYTES), preamble])
    sealFrame(frame, frame.length, PREAMBLE_FRAME, 0, this.batchFirstSequence)
    const fd = openSync(path, 'w', 0o600)
    try {
      writeSync(fd, frame, 0, frame.length, 0)
      const directory = openSync(this.directory, 'r')
      fsyncSync(directory)
      closeSync(directory)
    } catch (error) {
      closeSync(fd)
      unlinkSync(path)
      throw error
    }
    this.fd = fd
    this.segment = segment
    this.position = frame.length
    this.room = 0
  }

  /** Frees whole segments that every consumer has committed, oldest first, by size and age. */
  private retain(): void {
    const needed = firstNeededSegment(this.directory, this.options.consumers)
    const oldest = Date.now() - this.options.retentionAgeMaxHours * 3_600_000
    this.logBytes = this.measure()
    for (const segment of listSegments(this.directory)) {
      if (segment >= needed || segment >= this.segment) break
      const path = join(this.directory, segmentName(segment))
      const stat = statSync(path)
      if (this.logBytes <= this.options.retentionBytesMax && stat.mtimeMs > oldest) break
      unlinkSync(path)
      this.logBytes -= stat.size
    }
  }

  private measure(): number {
    let bytes = 0
    for (const segment of listSegments(this.directory))
      bytes += statSync(join(this.directory, segmentName(segment))).size
    return bytes
  }

  /** Starts one flush of everything written so far; those who wait meanwhile get the next one. */
  private sync(): void {
    if (this.syncTimer !== null) {
      clearTimeout(this.syncTimer)
      this.syncTimer = null
    }
    // The clock may call between recording and the end of the turn: who waits must not be told of a flush that their own
    // record is not part of.
    if (this.lengths.length > 0 && this.waitersDisk.length > 0) this.flush()
    if (this.syncing || this.fd < 0) return
    if (!this.dirty && this.waitersDisk.length === 0) return
    this.syncing = true
    this.dirty = false
    this.syncingWaiters = this.waitersDisk
    this.waitersDisk = []
    this.syncNext()
  }

  private syncNext(): void {
    const fd = this.retired[0]
    if (fd === undefined) {
      fdatasync(this.fd, this.onSync)
      return
    }
    fdatasync(fd, (error) => {
      if (error) {
        this.synced(error)
        return
      }
      closeSync(fd)
      this.retired.shift()
      this.syncNext()
    })
  }

  private synced(error: Error | null): void {
    this.syncing = false
    if (error) {
      // After a failed flush the kernel may have dropped the pages: nothing written since is certain any more.
      this.broken = new LogRefusedError(
        'CUSTODY-LOG-003',
        `the event log can't be flushed: ${error.message}`,
        error,
      )
      this.refuse(this.broken)
    }
    const waiters = this.syncingWaiters
    this.syncingWaiters = []
    for (let i = 0; i < waiters.length; i++) waiters[i]!.recorded(this.broken)
    if (this.waitersDisk.length > 0) {
      // Their events may still be in this turn's batch.
      if (this.lengths.length > 0) this.schedule()
      else this.sync()
    } else if (this.dirty && this.syncTimer === null && !this.closed)
      this.syncTimer = setTimeout(() => this.sync(), FLUSH_INTERVAL_MS)
  }

  /** The batch could not be written even with the reserve: it never happened, and all who waited for it are told. */
  private fail(error: unknown): void {
    const refused =
      error instanceof LogRefusedError
        ? error
        : new LogRefusedError(
            'CUSTODY-LOG-003',
            `the event log can't be written: ${(error as Error).message}`,
            error,
          )
    this.broken = refused
    this.nextSequence = this.batchFirstSequence
    this.batchHead.copy(this.head)
    this.refuse(refused)
    const waiters = [...this.waitersOs, ...this.waitersDisk, ...this.waitersReplicated]
    this.waitersOs = []
    this.waitersDisk = []
    this.waitersReplicated = []
    for (const waiter of waiters) waiter.recorded(refused)
  }

  private refuse(problem: LogRefusedError): void {
    if (this.problem === null || this.broken) {
      this.problem = problem
      this.onStateChange(problem)
    }
    if (this.resumeTimer === null && !this.closed) {
      this.resumeTimer = setInterval(() => this.tryResume(), RESUME_INTERVAL_MS)
      this.resumeTimer.unref()
    }
  }

  /** There is room again once the reserve can be made anew. What a failed batch left open is closed as unknown. */
  private tryResume(): void {
    if (this.closed || this.syncing) return
    try {
      this.retain()
      if (this.logBytes > this.options.logBytesMax) return
      this.makeReserve()
      if (this.broken) this.reopen()
    } catch {
      return
    }
    clearInterval(this.resumeTimer!)
    this.resumeTimer = null
    const problem = this.problem
    this.problem = this.stopped
    if (this.stopped !== null) {
      if (problem !== this.stopped) this.onStateChange(this.stopped)
      return
    }
    const refused = this.refusedCommands
    this.refusedCommands = 0
    this.record({
      kind: 'recorder.resumed',
      recording: {
        state: 'resumed',
        detail: `${problem?.message ?? ''}; ${refused} commands were refused meanwhile`,
      },
    })
    this.onStateChange(null)
  }

  /** After a failed write or flush: read back what is really there and go on in a new segment behind it. */
  private reopen(): void {
    for (const fd of [...this.retired, this.fd]) if (fd >= 0) closeSync(fd)
    this.retired = []
    this.fd = -1
    this.sessions.clear()
    this.broken = null
    const found = this.recoverFrom(listSegments(this.directory))
    this.recordRecovery(found.openSessions, found.cutBytes)
  }

  private makeReserve(): void {
    const path = join(this.directory, 'reserve')
    const { reserveBytes } = this.options
    try {
      if (statSync(path).size >= reserveBytes) return
    } catch {}
    const fd = openSync(path, 'w', 0o600)
    try {
      for (let at = 0; at < reserveBytes; at += ZEROS.length) {
        const bytes = Math.min(ZEROS.length, reserveBytes - at)
        let done = 0
        while (done < bytes) done += writeSync(fd, ZEROS, done, bytes - done, at + done)
      }
    } catch (error) {
      closeSync(fd)
      unlinkSync(path)
      throw new LogRefusedError(
        'CUSTODY-LOG-001',
        `no room for the event log's reserve of ${reserveBytes} bytes: ${(error as Error).message}`,
        error,
      )
    }
    closeSync(fd)
  }

  private releaseReserve(): void {
    try {
      unlinkSync(join(this.directory, 'reserve'))
    } catch {}
  }

  /**
   * The lock names the process that has it. It appears whole (linked, not written in place) and is only ever taken from
   * a process that is gone; of several that find it so, the one that moves it aside goes on.
   */
  private lock(): void {
    const path = join(this.directory, 'lock')
    const mine = `${path}.${process.pid}`
    writeFileSync(mine, lockText(), { mode: 0o600 })
    try {
      for (;;) {
        try {
          linkSync(mine, path)
          return
        } catch (error) {
          if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
        }
        this.moveDeadLock(path)
      }
    } finally {
      unlinkSync(mine)
    }
  }

  private moveDeadLock(path: string): void {
    const aside = `${path}.${process.pid}.dead`
    try {
      const found = readFileSync(path, 'utf8')
      const [pid, start] = found.trim().split(' ')
      const alive = startOf(Number(pid))
      if (alive !== '' && alive === start) throw this.held(pid)
      renameSync(path, aside)
      if (readFileSync(aside, 'utf8') === found) unlinkSync(aside)
      else {
        // Another was quicker, and this is its lock: put it back.
        renameSync(aside, path)
        throw this.held(undefined)
      }
    } catch (error) {
      // Let go of, or moved by another, meanwhile: look again.
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
    }
  }

  private held(pid: string | undefined): LogHeldError {
    return new LogHeldError(
      'CUSTODY-LOG-003',
      `the event log ${this.directory} is being written by ${pid === undefined ? 'another process' : `process ${pid}`}`,
    )
  }
}

function lockText(): string {
  return `${process.pid} ${startOf(process.pid)}\n`
}

/** When a process began, in the system's own terms, or '' if it is not there: a number that outlives its process is told by it. */
function startOf(pid: number): string {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19] ?? ''
  } catch {
    try {
      process.kill(pid, 0)
      return 'running'
    } catch (error) {
      return (error as NodeJS.ErrnoException).code === 'EPERM' ? 'running' : ''
    }
  }
}

const scratch = new Writer(4096)

export function encodeWho(who: Who): Encoded {
  scratch.position = 0
  writeWho(scratch, who)
  return new Encoded(Buffer.from(scratch.buffer.subarray(0, scratch.position)))
}

export function encodePath(path: Path): Encoded {
  scratch.position = 0
  writePath(scratch, path)
  return new Encoded(Buffer.from(scratch.buffer.subarray(0, scratch.position)))
}

/** Opens a recorder for writing. Rejects with a LogRefusedError if another process has it or it can't be written. */
export async function openRecorder(options: RecorderOptions): Promise<Recorder> {
  const recorder = new Recorder(options)
  const deadline = Date.now() + (options.lockWaitMsMax ?? LOCK_WAIT_MS_DEFAULT)
  for (;;) {
    try {
      recorder.open(options.version)
      return recorder
    } catch (error) {
      if (!(error instanceof LogHeldError) || Date.now() >= deadline) throw error
      await new Promise((resolve) => setTimeout(resolve, LOCK_POLL_MS))
    }
  }
}
