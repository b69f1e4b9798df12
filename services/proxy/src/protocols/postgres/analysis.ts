/**
 * What the texts of one session do, read as its target reads them: in the encoding of the client, with or without
 * standard_conforming_strings. Follows what may change these settings until the target has reported what they are.
 * Refuses to guess: where it is not known how the target reads a text, nothing of the text is understood.
 */
import {
  type Analyser,
  type Analysis,
  type StatementAnalysis,
  unanalysed,
} from '@custody/postgres-sql'
import { canDecode, decodeText, isAscii, SECOND_HALVES, textIn } from './encodings'

/** A command, as far as settings may depend on it. */
export interface Setting {
  /** It may change settings of the session, or take a change back: found when it starts. */
  maySet: boolean
}

/** A transaction's end takes settings back; what a cursor is of runs when it is fetched from. */
const SETS_BY_READING = new Set(['sql:rollback', 'sql:fetch'])
const NOT_READABLE: Analysis = {
  statements: [unanalysed('in an encoding that can’t be read here')],
}

export class SessionTexts {
  /** PostgreSQL's name for the client's. */
  encoding: string
  private conforming: boolean
  /** Commands under way that may change the settings. */
  private unsettled = 0
  /** One of them has ended, and what it changed is not reported yet. */
  private unreported = false
  /** They have had other values than at the start. */
  private varied = false

  constructor(
    private readonly analyser: Analyser,
    /** What the target reported while signing in. */
    parameters: ReadonlyMap<string, string>,
  ) {
    this.encoding = parameters.get('client_encoding') ?? 'UTF8'
    this.conforming = parameters.get('standard_conforming_strings') !== 'off'
  }

  /**
   * What a text does. `isIdle`: everything that was sent before it is answered. Any error takes back what was set in its
   * transaction, so where there is something to go back to nothing may be open.
   */
  analyse(bytes: Buffer, start: number, end: number, isIdle: boolean): Analysis {
    const known = this.areKnown(isIdle)
    const conforming = this.conforming && known
    if ((known && this.encoding === 'UTF8') || isAscii(bytes, start, end))
      return this.analyser.analyse(bytes, start, end, conforming)
    // In some encodings a byte of ASCII may be the second half of a character, and end nothing.
    if (!known || !canDecode(this.encoding) || SECOND_HALVES.has(this.encoding)) return NOT_READABLE
    const text = Buffer.from(decodeText(bytes.subarray(start, end), this.encoding))
    const analysis = this.analyser.analyse(text, 0, text.length, conforming)
    // Where one ends and the next begins would be places in the other encoding.
    return analysis.statements.length > 1 ? NOT_READABLE : analysis
  }

  /** Whether the words of a text just analysed are those that the target reads; otherwise they prove nothing. */
  isRead(analysis: Analysis, isIdle: boolean): boolean {
    return this.areKnown(isIdle) && analysis !== NOT_READABLE
  }

  /** Text as UTF-8 bytes, or as a string where the client speaks another encoding. */
  textOf(bytes: Buffer): Buffer | string {
    return textIn(bytes, this.encoding)
  }

  /** Settings that decide how a text is read are those that the target has reported. */
  private areKnown(isIdle: boolean): boolean {
    if (this.unsettled > 0 || this.unreported) return false
    return !this.varied || isIdle
  }

  /** The command is going to be run. */
  started(command: Setting, { readOnly, verbs }: StatementAnalysis): void {
    command.maySet = !readOnly || verbs.some((verb) => SETS_BY_READING.has(verb))
    if (command.maySet) this.unsettled++
  }

  ended({ maySet }: Setting): void {
    if (!maySet) return
    this.unsettled--
    this.unreported = true
  }

  /** The target is to plan a statement now, and may run functions for that, which set what they like. */
  planned(): void {
    this.unreported = true
  }

  /** ReadyForQuery: changes are reported before it. */
  ready(): void {
    if (this.unsettled === 0) this.unreported = false
  }

  /** ParameterStatus */
  reported(name: string, value: string): void {
    if (name === 'client_encoding') {
      this.varied ||= value !== this.encoding
      this.encoding = value
    } else if (name === 'standard_conforming_strings') {
      this.varied ||= (value !== 'off') !== this.conforming
      this.conforming = value !== 'off'
    }
  }
}
