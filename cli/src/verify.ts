/**
 * Checks an event log by itself, off-line: nothing missing, nothing changed, nothing reordered, and which sessions have
 * no end. Reads the log directory only; changes nothing.
 * Can't tell, without a checkpoint kept elsewhere, a log whose very end was cut off from one that never had more; it
 * does compare with how far its consumers say they read.
 */
import { closeSync, fstatSync, openSync, readFileSync, readSync } from 'node:fs'
import { join } from 'node:path'
import {
  committedPosition,
  LogDamagedError,
  listRecorders,
  listSegments,
  openReader,
  type Position,
  readPreamble,
} from '@custody/event-log'
import { decodeMessage, readEnvelope, sha256, uuidText } from '@custody/schemas'

export interface Finding {
  recorder: string
  /** gap, order, chain, ordinal, seal, damage, torn, truncated, undecodable: a promise is broken, or can't be shown to hold. */
  problem: string
  detail: string
  sequence: number | null
  session: string | null
}

export interface OpenSession {
  id: string
  recorder: string
  identity: string
  resource: string
  openedMicros: number
  events: number
}

export interface RecorderResult {
  recorder: string
  events: number
  firstSequence: number | null
  lastSequence: number | null
  /** SHA-256 (hex) of the last message: write it down elsewhere, and the log up to here can't be changed unseen. */
  head: string | null
  sessions: number
  closedSessions: number
  /** Earlier events were freed by retention, so the chain is checked from `firstSequence` on. */
  beginsLate: boolean
  /** Bytes behind the last whole frame: what a crash tore or somebody changed. */
  tornBytes: number
  /** The log's last event says that its recorder stopped, or one is writing it now. Else it crashed, or its end was cut off. */
  ended: boolean
}

export interface Verification {
  ok: boolean
  recorders: RecorderResult[]
  findings: Finding[]
  /** Sessions without a closing event. */
  open: OpenSession[]
}

const READ_BYTES = 4 * 1024 * 1024
/** Findings told one by one; more than this are only counted in `ok`. */
const FINDINGS_MAX = 1000
const CONSUMER = 'ingest'
const TAIL_RETRIES = 5
const TAIL_RETRY_MS = 40
const FRAME_MAGIC = Buffer.from('CST1', 'latin1')

interface Followed {
  next: number
  fromStart: boolean
  first: Buffer
  openedMicros: number
}

export async function verifyLog(directory: string, only?: string): Promise<Verification> {
  const recorders: RecorderResult[] = []
  const findings: Finding[] = []
  const open: OpenSession[] = []
  for (const recorder of await listRecorders(directory)) {
    if (only !== undefined && recorder !== only) continue
    recorders.push(await verifyRecorder(directory, recorder, findings, open))
  }
  return { ok: findings.length === 0, recorders, findings, open }
}

async function verifyRecorder(
  directory: string,
  recorder: string,
  findings: Finding[],
  open: OpenSession[],
): Promise<RecorderResult> {
  const result: RecorderResult = {
    recorder,
    events: 0,
    firstSequence: null,
    lastSequence: null,
    head: null,
    sessions: 0,
    closedSessions: 0,
    beginsLate: false,
    tornBytes: 0,
    ended: false,
  }
  const find = (
    problem: string,
    detail: string,
    sequence: number | null,
    session: string | null = null,
  ) => {
    if (findings.length < FINDINGS_MAX)
      findings.push({ recorder, problem, detail, sequence, session })
  }
  // What was committed before the log is read can't be ahead of it.
  const committed = await committedPosition(directory, CONSUMER, recorder)
  const sessions = new Map<string, Followed>()
  const closed = new Set<string>()
  let head: Buffer | null = null
  let expected: number | null = null
  let lastKind = ''
  // The first segment there says what came before it: nothing, or what retention has freed.
  const firstSegment = listSegments(join(directory, recorder))[0]
  if (firstSegment !== undefined) {
    const preamble = readPreamble(join(directory, recorder), firstSegment)
    if (preamble === null)
      find('damage', `segment ${firstSegment} does not say where it begins`, null)
    else {
      if (firstSegment === 1 && preamble.nextSequence !== 0)
        find('gap', `the first segment begins with event ${preamble.nextSequence}`, 0)
      expected = preamble.nextSequence
      head = preamble.head
      result.beginsLate = preamble.nextSequence > 0
    }
  }

  const follow = (message: Buffer): void => {
    let envelope: ReturnType<typeof readEnvelope>
    try {
      envelope = readEnvelope(message)
    } catch (error) {
      find('undecodable', (error as Error).message, expected)
      head = sha256(message)
      if (expected !== null) expected++
      return
    }
    const { sequence } = envelope
    result.firstSequence ??= sequence
    lastKind = envelope.kind
    if (expected !== null && sequence > expected)
      find(
        'gap',
        sequence === expected + 1
          ? `event ${expected} is missing`
          : `events ${expected} to ${sequence - 1} are missing`,
        expected,
      )
    else if (expected !== null && sequence < expected)
      find('order', `event ${sequence} comes where ${expected} belongs`, sequence)
    if (head !== null && !head.equals(envelope.previous))
      find(
        'chain',
        `event ${sequence} does not follow the event before it: one of the two was changed, or one between them is missing`,
        sequence,
      )
    if (envelope.recorder !== recorder)
      find('order', `event ${sequence} was recorded by ${envelope.recorder}`, sequence)
    head = sha256(message)
    expected = sequence + 1
    result.lastSequence = sequence
    result.events++
    if (envelope.session !== null) followSession(message, envelope)
  }

  const followSession = (message: Buffer, envelope: ReturnType<typeof readEnvelope>): void => {
    const id = uuidText(envelope.session!)
    const { ordinal, sequence } = envelope
    if (closed.has(id)) {
      find('seal', `event ${sequence} comes after its session's closing event`, sequence, id)
      return
    }
    let session = sessions.get(id)
    if (session === undefined) {
      session = {
        next: ordinal,
        fromStart: ordinal === 0,
        first: Buffer.from(message),
        openedMicros: envelope.time,
      }
      sessions.set(id, session)
      result.sessions++
      // Only a log whose beginning was freed may know a session from its middle on.
      if (ordinal !== 0 && !result.beginsLate)
        find('ordinal', `the session begins with its event ${ordinal}`, sequence, id)
    }
    if (ordinal !== session.next)
      find(
        'ordinal',
        `event ${ordinal} of the session comes where its event ${session.next} belongs`,
        sequence,
        id,
      )
    session.next = ordinal + 1
    if (envelope.kind !== 'session.closed') return
    sessions.delete(id)
    closed.add(id)
    result.closedSessions++
    try {
      const sealed = decodeMessage(message).lifecycle?.events
      if (sealed !== ordinal + 1)
        find(
          'seal',
          `its closing event counts ${sealed} events, it is number ${ordinal + 1}`,
          sequence,
          id,
        )
    } catch (error) {
      find('undecodable', (error as Error).message, sequence, id)
    }
  }

  const reader = openReader({ directory, recorder })
  try {
    for (let retries = 0; ; ) {
      const batch = await reader.read(READ_BYTES)
      if (batch !== null) {
        for (const message of batch.messages) follow(message)
        continue
      }
      const tail = tailOf(directory, recorder, reader.position)
      if (tail.bytes > 0 && retries++ < TAIL_RETRIES) {
        // The writer may be in the middle of it.
        await new Promise((resolve) => setTimeout(resolve, TAIL_RETRY_MS))
        continue
      }
      result.tornBytes = tail.bytes
      if (tail.bytes > 0 && !tail.frameBehind && writerOf(directory, recorder) === null)
        find(
          'torn',
          `${tail.where}: ${tail.bytes} bytes at the end are no whole frame; a crash tore them (then the next start cuts them and records it), or they were changed`,
          expected,
        )
      if (tail.frameBehind)
        find('damage', `${tail.where}: bytes that are no frame, with frames behind them`, expected)
      break
    }
  } catch (error) {
    if (!(error instanceof LogDamagedError) && !(error instanceof RangeError)) throw error
    find('damage', error.message, expected)
  } finally {
    reader.close()
  }

  if (committed !== null && committed.sequence > (expected ?? 0))
    find(
      'truncated',
      `the log ends before event ${expected ?? 0}, but ${CONSUMER} has read up to ${committed.sequence - 1}`,
      expected ?? 0,
    )
  result.ended = lastKind === 'recorder.stopped' || writerOf(directory, recorder) !== null
  result.head = result.events === 0 ? null : ((head as Buffer | null)?.toString('hex') ?? null)
  for (const [id, session] of sessions) open.push(describe(id, recorder, session))
  return result
}

function describe(id: string, recorder: string, session: Followed): OpenSession {
  let identity = 'unknown'
  let resource = 'unknown'
  try {
    const event = decodeMessage(session.first)
    identity = event.who?.email ?? event.who?.subject ?? identity
    resource = event.path?.resource ?? resource
  } catch {
    // Its damage was found already.
  }
  return {
    id,
    recorder,
    identity,
    resource,
    openedMicros: session.openedMicros,
    events: session.next,
  }
}

/** What lies behind the last whole frame, zeros (room made in advance) not counted. */
function tailOf(
  directory: string,
  recorder: string,
  position: Position,
): { bytes: number; frameBehind: boolean; where: string } {
  const last = listSegments(join(directory, recorder)).at(-1)
  const where = `segment ${position.segment}, offset ${position.offset} of ${recorder}`
  if (last === undefined || last !== position.segment)
    return { bytes: 0, frameBehind: false, where }
  const path = join(directory, recorder, `${String(last).padStart(20, '0')}.log`)
  const fd = openSync(path, 'r')
  try {
    const rest = Buffer.alloc(Math.max(0, fstatSync(fd).size - position.offset))
    const got = readSync(fd, rest, 0, rest.length, position.offset)
    let end = got
    while (end > 0 && rest[end - 1] === 0) end--
    const bytes = rest.subarray(0, end)
    const behind = bytes.indexOf(FRAME_MAGIC, 1)
    return { bytes: end, frameBehind: behind > 0 && behind + 32 <= bytes.length, where }
  } finally {
    closeSync(fd)
  }
}

/** The process that holds a recorder's log, or null. */
export function writerOf(directory: string, recorder: string): number | null {
  try {
    const pid = Number(readFileSync(join(directory, recorder, 'lock'), 'utf8').split(' ')[0])
    process.kill(pid, 0)
    return pid
  } catch {
    return null
  }
}
