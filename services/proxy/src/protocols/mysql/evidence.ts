/** What is recorded of MySQL's commands: statements as their clients submitted them, and what of those is kept. */
import type { RecordedSession, Recorder } from '@custody/event-log'
import type { ParameterDraft, StatementDraft } from '@custody/schemas'
import { Evidence as CommandEvidence, type EvidenceSettings, RunningCommand } from '../../evidence'
import type { Verdict } from '../../gate'
import type { StatementAnalysis } from './analysis'
import type { CommandMask } from './rows'

/** A statement as its client submitted it. */
export interface Submitted {
  /** What it came in, as events call it. */
  by: string
  /** As it came. */
  bytes: Buffer
  /** As it is kept: readable, and without passwords. */
  text: Buffer | string
  analysis: StatementAnalysis
  parameters: ParameterDraft[] | undefined
  attributes: Record<string, string> | undefined
  /** Among the statements of its request. */
  index: number
  count: number
}

/** The only one of its request. */
export function alone(
  by: string,
  bytes: Buffer,
  text: Buffer | string,
  analysis: StatementAnalysis,
): Submitted {
  return {
    by,
    bytes,
    text,
    analysis,
    parameters: undefined,
    attributes: undefined,
    index: 0,
    count: 1,
  }
}

/** One that runs. */
export class Command extends RunningCommand {
  constructor(
    settings: EvidenceSettings,
    readonly analysis: StatementAnalysis,
    readonly mask: CommandMask | null,
  ) {
    super(settings, analysis.readOnly)
  }
}

export class Evidence extends CommandEvidence<Command> {
  constructor(
    private readonly recorder: Recorder,
    private readonly session: RecordedSession,
    private readonly settings: EvidenceSettings,
  ) {
    super({
      ...{ recorder, session, settings, encoding: 'mysql', inputEncoding: 'raw' },
      masksOf: ({ mask }) => mask?.takeMasks(),
    })
  }

  start(submitted: Submitted, verdict: Verdict, mask: CommandMask | null): Command {
    const command = new Command(this.settings, submitted.analysis, mask)
    const statement = this.describe(submitted, mask)
    this.started(command, verdict, statement, mask?.takeMasks())
    return command
  }

  blocked(submitted: Submitted, { decision }: Verdict, mask: CommandMask | null): void {
    const statement = this.describe(submitted, mask)
    this.recorder.record({ kind: 'command.blocked', decision, statement }, this.session)
  }

  /** A piece of what the client streams into a command. */
  override input(piece: Buffer, command: Command): void {
    super.input(command.mask?.input(piece) ?? piece, command)
  }

  /** The statement as events carry it. */
  describe(submitted: Submitted, mask: CommandMask | null): StatementDraft {
    const { by, bytes, analysis, parameters, index, count, attributes } = submitted
    const { text, textDigest } = this.textOf(mask?.text() ?? submitted.text)
    return {
      language: 'sql',
      interface: by,
      text,
      textDigest,
      textBytes: bytes.length,
      parameters:
        mask === null
          ? parameters
          : parameters?.map((one, i) => {
              if (one.value == null) return one
              const other = mask.parameter(i, Buffer.from(one.value as Buffer))
              return other === null ? one : { ...one, value: other }
            }),
      fingerprint: analysis.fingerprint,
      verbs: analysis.verbs,
      objects: analysis.objects,
      understood: analysis.understood,
      problem:
        mask === null || analysis.problem === null
          ? analysis.problem
          : mask.problem(analysis.problem),
      index,
      count,
      attributes,
    }
  }
}
