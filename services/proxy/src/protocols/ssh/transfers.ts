/**
 * What file transfers over SSH share, whatever carries them (sftp.ts, scp.ts): an operation on files as policies and
 * events see it, and the door through which a gate decides, records and sends. The order is the one of every command:
 *
 *   decode → decide → record → forward            (from the client)
 *   decode → record → release                     (from the target)
 *
 * Refuses to know SSH: a gate gets the bytes of one channel, both ways, and the host does the rest.
 */
import type { Durability } from '@custody/event-log'
import type { CommandFacts } from '@custody/policy'
import type { Encoded, ResponseDraft, StatementDraft } from '@custody/schemas'

/** Actions as policies name them. */
export type FileVerb =
  | 'ssh:download'
  | 'ssh:upload'
  | 'ssh:file-list'
  | 'ssh:file-stat'
  | 'ssh:file-create'
  | 'ssh:file-change'
  | 'ssh:file-remove'
  | 'ssh:file-rename'
  | 'ssh:file-link'
  | 'ssh:file-copy'
  | 'ssh:file-unknown'

export interface FileObject {
  verb: FileVerb
  /** Where it is at the target: absolute and without `..` where that is known, else as it was asked for. */
  path: string
}

export interface FileOperation {
  /** In the protocol's own word: open, remove, C (scp). */
  name: string
  facts: CommandFacts
  statement: StatementDraft
}

export interface Allowed {
  outcome: 'allow'
  decision: Encoded
  /** What somebody is to be told of it. */
  alert: string | null
}

export interface Refused {
  outcome: 'block'
  /** Null where no policy said so: it can't be let through at all. */
  decision: Encoded | null
  /** Stable code, and words for the client. */
  code: string
  reason: string
}

export type Ruling = Allowed | Refused

/** A recorded `command.started`. */
export interface Started {
  id: Buffer
  /** When, in microseconds. */
  micros: number
  /** What must be before its bytes may go to the target. */
  durability: Durability
}

/** How it ended, but for the duration, which the host knows. */
export type Completion = Omit<ResponseDraft, 'durationMicros'>

export interface TransferHost {
  /** Some policy is in force: it is worth asking the target where a path leads before deciding. */
  readonly restricted: boolean
  /** A promise where people are asked first. Never rejects. */
  decide(operation: FileOperation): Ruling | Promise<Ruling>
  /** Records `command.started`. */
  started(operation: FileOperation, ruling: Allowed): Started
  /** Records `command.completed`. */
  completed(command: Started, completion: Completion): void
  /** Records `command.blocked`. */
  blocked(operation: FileOperation, ruling: Refused): void
  /** In order; `durability`: only once everything recorded so far stands. `isWhole`: they end where a message does. */
  toTarget(bytes: Buffer, durability: Durability | null, isWhole: boolean): void
  toClient(bytes: Buffer, durability: Durability | null, isWhole: boolean): void
  /** The gate has as much waiting as it may; read no more from the client until told otherwise. */
  pauseClient(paused: boolean): void
  /** Nobody need answer any more what people were asked. */
  withdraw(reason: string): void
  /** The conversation can't be followed any more: end the channel, with these words. Called once. */
  fail(code: TransferFault, message: string): void
}

export type TransferFault = 'CUSTODY-SSH-020'

/** The bytes of one channel. Both take any chunking, and do nothing once the gate has failed or ended. */
export interface TransferGate {
  /** People are asked about what comes next. */
  readonly isHeld: boolean
  fromClient(bytes: Buffer): void
  fromTarget(bytes: Buffer): void
  /** The client will send nothing more; `then` is called when all that it has sent is taken. */
  clientEnd(then: () => void): void
  /** The channel is over, for this reason: what is open is recorded as ended without an answer. */
  end(reason: string): void
}

export function operation(
  name: string,
  language: 'sftp' | 'scp',
  text: string,
  objects: readonly FileObject[],
  more: {
    /** For those that are done to no path. */
    verb?: FileVerb
    attributes?: Record<string, string>
    /** Why it is not understood. */
    problem?: string
  } = {},
): FileOperation {
  const verbs = [...new Set(objects.map(({ verb }) => verb))]
  if (verbs.length === 0 && more.verb !== undefined) verbs.push(more.verb)
  const named = objects.map(({ verb, path }) => ({ kind: 'path', name: path, verb }))
  const understood = more.problem === undefined
  const fingerprint = understood ? `${language} ${text}` : null
  return {
    name,
    facts: {
      verbs,
      objects: named,
      columns: [],
      breadth: {},
      fingerprint,
      understood,
      readOnly: understood && verbs.every((verb) => READING.has(verb)),
    },
    statement: {
      language,
      interface: language === 'sftp' ? 'subsystem' : 'exec',
      text,
      textBytes: Buffer.byteLength(text),
      fingerprint,
      verbs,
      objects: named,
      understood,
      ...(more.problem !== undefined && { problem: more.problem }),
      attributes: { operation: name, ...more.attributes },
    },
  }
}

const READING = new Set<FileVerb>(['ssh:download', 'ssh:file-list', 'ssh:file-stat'])

/** What a client is told of an operation that was not let through. */
export function refusalText(ruling: Refused): string {
  return `custody refused: ${ruling.reason} (${ruling.code})`
}
