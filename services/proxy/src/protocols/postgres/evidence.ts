/**
 * What is recorded of PostgreSQL's commands: statements as their clients submitted them, what of those is kept, and which
 * values of them were shown or masked.
 * Decides nothing, and knows nothing of the order of requests and answers: whoever follows that says what starts and ends.
 */
import type { RecordedSession, Recorder } from '@custody/event-log'
import type { StatementAnalysis } from '@custody/postgres-sql'
import { typeName } from '@custody/postgres-values'
import type { ColumnDraft, ParameterDraft, StatementDraft } from '@custody/schemas'
import { Evidence as CommandEvidence, type EvidenceSettings, RunningCommand } from '../../evidence'
import type { Reveal, Verdict } from '../../gate'
import { type ColumnMask, MaskCounts } from '../../masks'
import type { Setting } from './analysis'
import { constantsNotKept, keptText, parameterMask, passwordsOf } from './literals'
import type { MaskedTraffic } from './masked-traffic'
import { WITHHELD, withoutData } from './messages'
import type { Reshaping } from './session-catalogue'
import { type CommandMask, type SessionMasking, WRITTEN_CHARACTERS_MAX } from './session-masking'
import { readRowDescription } from './wire'

/** A statement as its client submitted it. */
export interface Submitted {
  /** What it came in, as events call it. */
  by: string
  text: Buffer | string
  /** As they came. */
  textBytes: number
  analysis: StatementAnalysis
  parameters?: ParameterDraft[]
  /** Among the statements of its request. */
  index: number
  count: number
}

/** One that runs. */
export class Command extends RunningCommand implements Setting, Reshaping {
  maySet = false
  changing = false
  makesCode = false
  renaming = false
  copyIn = false
  /** The client has begun to send COPY data: what it sent before and the target reads while copying is ignored there. */
  copyStarted = false

  constructor(
    settings: EvidenceSettings,
    isReadOnly: boolean,
    /** Null where nothing is masked. */
    readonly masked: CommandMask | null,
  ) {
    super(settings, isReadOnly)
  }
}

export interface EvidenceParts {
  recorder: Recorder
  session: RecordedSession
  settings: EvidenceSettings
  /** Both null where nothing is masked. */
  masking: SessionMasking | null
  masked: MaskedTraffic | null
  /** What was masked of what belongs to no command. */
  looseCounts: MaskCounts
}

/** Of one parameter, looked for in messages. */
const PARAMETER_CHARACTERS_MAX = 1000
const NO_NAMES: ReadonlySet<string> = new Set()
const NO_PASSWORDS: ReadonlyMap<number, ColumnMask> = new Map()

export class Evidence extends CommandEvidence<Command> {
  private readonly recorder: Recorder
  private readonly session: RecordedSession
  private readonly settings: EvidenceSettings
  private readonly masking: SessionMasking | null
  private readonly masked: MaskedTraffic | null
  private readonly looseCounts: MaskCounts
  private lastRowDescription: Buffer | null = null
  private lastColumns: ColumnDraft[] = []

  constructor({ recorder, session, settings, masking, masked, looseCounts }: EvidenceParts) {
    super({
      ...{ recorder, session, settings, encoding: 'pgwire', inputEncoding: 'pgwire' },
      masksOf: (command) =>
        command.masked === null ? undefined : masked?.takeMasks(command.masked),
      looseMasks: () => (looseCounts.isEmpty ? undefined : looseCounts.take()),
    })
    this.recorder = recorder
    this.session = session
    this.settings = settings
    this.masking = masking
    this.masked = masked
    this.looseCounts = looseCounts
  }

  /** `reveal`: the masked columns that it may show. */
  start(submitted: Submitted, verdict: Verdict, reveal: Reveal | null): Command {
    const { readOnly } = submitted.analysis
    const command = new Command(this.settings, readOnly, this.maskOf(submitted, reveal))
    const statement = this.describe(submitted, command.masked)
    this.started(command, verdict, statement, command.masked?.counts.take())
    if (command.masked !== null) this.noteMask(command, command.masked)
    return command
  }

  blocked(submitted: Submitted, { decision }: Verdict, reveal: Reveal | null): void {
    const statement = this.describe(submitted, this.maskOf(submitted, reveal))
    this.recorder.record({ kind: 'command.blocked', decision, statement }, this.session)
  }

  /** COPY data that the client sends, in whole messages. */
  override input(piece: Buffer, command: Command): void {
    const { masked } = this
    super.input(
      masked !== null && command.masked !== null ? masked.keptInput(command.masked, piece) : piece,
      command,
    )
  }

  /** Columns as events carry them; the same ones as long as the same RowDescription comes. */
  columnsOf(bytes: Buffer, at: number, end: number): ColumnDraft[] {
    const last = this.lastRowDescription
    if (last === null || last.length !== end - at || last.compare(bytes, at, end) !== 0) {
      this.lastColumns = readRowDescription(bytes, at + 5, end).map((column) => ({
        name: column.name,
        type: typeName(column.typeOid),
      }))
      this.lastRowDescription = Buffer.from(bytes.subarray(at, end))
    }
    return this.lastColumns
  }

  /** What masking keeps with a statement while it is answered. */
  maskOf({ analysis, text }: Submitted, reveal: Reveal | null): CommandMask | null {
    const { masking } = this
    if (masking === null) return null
    const revealed = reveal?.revealed ?? null
    const mask = masking.statement(analysis, revealed)
    // Messages of any statement are looked at where anything is masked, and repeat what its client wrote.
    const isTold = masking.masker.isSensitive || mask.constants === 'all' || mask.constants.size > 0
    const bytes = typeof text === 'string' ? Buffer.from(text) : text
    return {
      mask,
      revealed,
      decision: reveal?.decision ?? null,
      counts: new MaskCounts(),
      copy: analysis.copy,
      input: undefined,
      functionOid: 0,
      written: isTold ? bytes.toString('latin1', 0, WRITTEN_CHARACTERS_MAX) : '',
      secrets: isTold ? constantsNotKept(bytes, mask.constants) : [],
    }
  }

  /** What somebody is to be told of what is masked, and of what is not. */
  private noteMask(command: Command, { mask, revealed, decision }: CommandMask): void {
    if (revealed !== null && decision !== null)
      this.recorder.record(
        {
          kind: 'mask.revealed',
          command: command.id,
          decision,
          lifecycle: { state: 'changed', reason: `shows ${[...revealed].sort().join(', ')}` },
        },
        this.session,
      )
    if (mask.alert !== null) this.alert('alert.masking', command, mask.alert)
  }

  /** The statement as events carry it. */
  describe(submitted: Submitted, masked: CommandMask | null): StatementDraft {
    const { by, textBytes, analysis, parameters, index, count } = submitted
    const text = this.keptText(submitted.text, analysis, masked)
    const problem =
      analysis.problem !== null && masked?.mask.isSensitive
        ? withoutData(
            analysis.problem,
            { isSensitive: true, isName: () => false, ...masked },
            NO_NAMES,
          )
        : analysis.problem
    return {
      language: 'sql',
      interface: by,
      ...this.textOf(text),
      textBytes,
      parameters: masked === null ? parameters : this.keptParameters(parameters, masked),
      fingerprint: analysis.fingerprint,
      verbs: analysis.verbs,
      objects: analysis.objects,
      understood: analysis.understood,
      problem,
      index,
      count,
    }
  }

  /** Passwords are never kept, whatever is masked. */
  private keptText(
    text: Buffer | string,
    analysis: StatementAnalysis,
    masked: CommandMask | null,
  ): Buffer | string {
    // What only reads has none, and is the most.
    if (masked === null && analysis.readOnly) return text
    const bytes = typeof text === 'string' ? Buffer.from(text) : text
    const passwords = analysis.readOnly ? NO_PASSWORDS : passwordsOf(analysis, bytes)
    const constants = masked?.mask.constants ?? passwords
    const kept = keptText(
      bytes,
      constants === 'all' || passwords.size === 0
        ? constants
        : new Map([...constants, ...passwords]),
      this.masking?.rules ?? null,
      masked?.counts ?? this.looseCounts,
    )
    return kept === bytes ? text : kept
  }

  private keptParameters(
    parameters: ParameterDraft[] | undefined,
    masked: CommandMask,
  ): ParameterDraft[] | undefined {
    const { mask, counts } = masked
    return parameters?.map((parameter, i) => {
      if (parameter.value === null || parameter.value === undefined) return parameter
      const rule = parameterMask(i + 1, mask.parameters)
      const { value } = parameter
      // Messages may repeat what the client has sent, but for what is not kept of it.
      const text = value.toString('latin1' as never).slice(0, PARAMETER_CHARACTERS_MAX)
      if (rule !== null) {
        counts.add(rule.rule, rule.column, null, 'redact')
        if (text.length > 2) masked.secrets.push(text)
        return { ...parameter, value: WITHHELD }
      }
      if (masked.written !== '') masked.written += `\0${text}`
      const found = this.masking!.maskText(
        typeof value === 'string' ? Buffer.from(value) : value,
        counts,
      )
      return found === null ? parameter : { ...parameter, value: found }
    })
  }
}

/** The only statement of its request. */
export function alone(
  by: string,
  text: Buffer | string,
  analysis: StatementAnalysis,
  parameters?: ParameterDraft[],
): Submitted {
  return { by, text, textBytes: text.length, analysis, parameters, index: 0, count: 1 }
}
