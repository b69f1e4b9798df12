/**
 * What a log says after a crash: where its last whole frame ends, the head of its chain, and which sessions and
 * commands were left open. Reads; changes nothing.
 */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import {
  decodeMessage,
  type Envelope,
  type Path,
  readEnvelope,
  sha256,
  type Who,
} from '@custody/schemas'
import {
  EVENTS_FRAME,
  FRAME_HEADER_BYTES,
  frameCrc,
  messagesOf,
  readFrameHeader,
  segmentName,
} from './segment'

/** A session that has no closing event. */
export interface OpenSession {
  /** 32 hex digits. */
  id: string
  /** Its next ordinal. */
  ordinal: number
  openedMicros: number
  commandsStarted: number
  /** Commands without completion: hex id and when they were recorded. */
  commands: { id: string; micros: number }[]
  who: Who | null
  path: Path | null
}

export interface Recovered {
  /** Where the last whole frame ends. */
  end: number
  /** Bytes of a torn tail behind it, zeros not counted. */
  cutBytes: number
  nextSequence: number
  head: Buffer
  openSessions: OpenSession[]
}

interface Preamble {
  nextSequence: number
  head: string
  sessions: OpenSession[]
}

/** What a segment says of the log before it: the sequence it begins with and the hash of the last message before. */
export function readPreamble(
  recorderDirectory: string,
  segment: number,
): { nextSequence: number; head: Buffer } | null {
  const bytes = readFileSync(join(recorderDirectory, segmentName(segment)))
  const header = readFrameHeader(bytes, 0)
  if (header === null || header.type === EVENTS_FRAME) return null
  const end = FRAME_HEADER_BYTES + header.payloadBytes
  if (end > bytes.length || frameCrc(bytes, 0, end) !== header.crc) return null
  const preamble = JSON.parse(bytes.toString('utf8', FRAME_HEADER_BYTES, end)) as Preamble
  return { nextSequence: preamble.nextSequence, head: Buffer.from(preamble.head, 'hex') }
}

export function encodePreamble(preamble: Preamble): Buffer {
  return Buffer.from(JSON.stringify(preamble))
}

export function recover(recorderDirectory: string, segment: number): Recovered {
  const bytes = readFileSync(join(recorderDirectory, segmentName(segment)))
  const open = new Map<string, OpenSession>()
  const latest = new Map<string, Buffer>()
  let nextSequence = 0
  let head = Buffer.alloc(32) as Buffer
  let lastMessage: Buffer | null = null
  let at = 0
  for (;;) {
    const header = readFrameHeader(bytes, at)
    if (header === null) break
    const end = at + FRAME_HEADER_BYTES + header.payloadBytes
    if (end > bytes.length || frameCrc(bytes, at, end) !== header.crc) break
    const payload = bytes.subarray(at + FRAME_HEADER_BYTES, end)
    if (header.type === EVENTS_FRAME) {
      for (const message of messagesOf(payload, header.count)) {
        follow(readEnvelope(message), message, open, latest)
        lastMessage = message
      }
      nextSequence = header.firstSequence + header.count
    } else {
      const preamble = JSON.parse(payload.toString('utf8')) as Preamble
      nextSequence = preamble.nextSequence
      head = Buffer.from(preamble.head, 'hex')
      for (const session of preamble.sessions) open.set(session.id, session)
    }
    at = end
  }
  if (lastMessage !== null) head = sha256(lastMessage)
  for (const [id, message] of latest) {
    const session = open.get(id)
    if (session === undefined) continue
    const event = decodeMessage(message)
    session.who = event.who ?? session.who
    session.path = event.path ?? session.path
  }
  let tail = bytes.length
  while (tail > at && bytes[tail - 1] === 0) tail--
  return { end: at, cutBytes: tail - at, nextSequence, head, openSessions: [...open.values()] }
}

function follow(
  envelope: Envelope,
  message: Buffer,
  open: Map<string, OpenSession>,
  latest: Map<string, Buffer>,
): void {
  if (envelope.session === null) return
  const id = envelope.session.toString('hex')
  if (envelope.kind === 'session.closed') {
    open.delete(id)
    latest.delete(id)
    return
  }
  let session = open.get(id)
  if (session === undefined) {
    session = {
      id,
      ordinal: 0,
      openedMicros: envelope.time,
      commandsStarted: 0,
      commands: [],
      who: null,
      path: null,
    }
    open.set(id, session)
  }
  session.ordinal = envelope.ordinal + 1
  latest.set(id, message)
  if (envelope.kind === 'command.started') {
    session.commandsStarted++
    session.commands.push({ id: envelope.id.toString('hex'), micros: envelope.time })
  } else if (envelope.kind === 'command.completed' && envelope.command !== null) {
    const command = envelope.command.toString('hex')
    session.commands = session.commands.filter((one) => one.id !== command)
  }
}
