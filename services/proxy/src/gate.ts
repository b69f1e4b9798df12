/**
 * Decides every command before anything of it is forwarded; nothing else in the proxy decides.
 * Today's rule is the one that no policy may weaken: what can't be recorded is refused. What can be is allowed.
 * Refuses to know any protocol: it gets the analysed command and gives a decision.
 */
import type { Recorder } from '@custody/event-log'
import { Encoded, Writer, writeDecision } from '@custody/schemas'

export interface CommandClass {
  verbs: readonly string[]
  understood: boolean
  /** Proven to only read. */
  readOnly: boolean
}

export interface Verdict {
  outcome: 'allow' | 'block'
  /** As events carry it; encoded once for all commands of its kind. */
  decision: Encoded
  /** For a block: stable code and words for the client. */
  code: string
  reason: string
}

const ALLOWED: Verdict = {
  outcome: 'allow',
  decision: encodeDecision(
    'allow',
    ['custody.record-everything'],
    'recorded; no policy restricts this resource',
  ),
  code: '',
  reason: '',
}

export class Gate {
  constructor(private readonly recorder: Recorder) {}

  decide(_command: CommandClass): Verdict {
    const { problem } = this.recorder
    if (problem === null) return ALLOWED
    this.recorder.refusedCommands++
    return { ...ALLOWED, outcome: 'block', code: problem.code, reason: problem.message }
  }
}

export function encodeDecision(outcome: string, policies: string[], reason: string): Encoded {
  const writer = new Writer(256)
  writeDecision(writer, { outcome, policies, reason })
  return new Encoded(Buffer.from(writer.buffer.subarray(0, writer.position)))
}
