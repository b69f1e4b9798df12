/**
 * The door through which all that a target says goes on to its client: what becomes of column definitions, rows, errors and
 * messages where something is masked. The relay asks for each packet, before it is recorded and before it is released.
 * This file says what may be asked; `null` for "as it came" is the answer wherever nothing is masked.
 */
import type { SqlContext } from '@custody/mysql-sql'
import type { ColumnDefinition } from '@custody/mysql-values'
import type { DecisionDraft, MaskDraft } from '@custody/schemas'
import type { Reveal } from '../../gate'
import type { Refused } from '../../masks'
import type { StatementAnalysis } from './analysis'

/** What becomes of the rows of one result. Made once its columns are known. */
export interface RowPlan {
  /**
   * One row, its payload from `at` to `end`: null where it stays as it is, another payload, or an empty one where the
   * client gets none of it.
   */
  row(bytes: Buffer, at: number, end: number): Buffer | null
}

/** What masking keeps with one command while its answer comes. */
export interface CommandMask {
  /** For the rows that come now, or null where none of them is looked at. `isBinary`: as prepared statements have them. */
  planRows(columns: readonly ColumnDefinition[], isBinary: boolean): RowPlan | null
  /** A column definition's payload: null where it stays. */
  column(bytes: Buffer, at: number, end: number): Buffer | null
  /** The name alone, as the record has it; null where it stays. */
  columnName(name: string): string | null
  /** The payload of an error, or of what ends an answer or a part of it; null where it stays. */
  end(bytes: Buffer, at: number, end: number, tracks: boolean): Buffer | null
  /** The statement's text and its parameters as the record keeps them; null: as they are. */
  text(): Buffer | null
  parameter(index: number, value: Buffer): Buffer | null
  /** Why it is not understood, as the record keeps it. */
  problem(text: string): string
  /** A piece of a file that the client sends (LOAD DATA LOCAL), as the record keeps it; null: as it is. */
  input(piece: Buffer): Buffer | null
  /** What was masked since the last time. */
  takeMasks(): MaskDraft[]
  /** Masked columns that are shown, and why; null: none. */
  readonly shows: { columns: ReadonlySet<string>; decision: DecisionDraft } | null
  /** What somebody is to be told of it; null: nothing. */
  readonly alert: string | null
}

/** Masking of one session. */
export interface SessionMasking {
  /** Null where what is known of the target holds; otherwise settles when it does. */
  fresh(): Promise<void> | null
  /** Why the statement may not run as it is, or null. `revealed`: columns that this principal sees, in this command. */
  refusal(analysis: StatementAnalysis, revealed: ReadonlySet<string> | null): Refused | null
  /** Masked columns that its answer would show. */
  shown(analysis: StatementAnalysis): readonly string[]
  /** Whether its user asked to see masked values, where somebody approves. */
  readonly wantsReveal: boolean
  command(
    analysis: StatementAnalysis,
    text: Buffer | string,
    context: SqlContext,
    reveal: Reveal | null,
  ): CommandMask
  /** It is going to be run: what it names is known from now on. */
  note(analysis: StatementAnalysis): void
  /** The command is over; what it may have changed holds from now on. */
  ended(analysis: StatementAnalysis): void
}
