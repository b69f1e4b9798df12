/**
 * What the session's database makes of statements, as this session sees it: by the catalogue that all sessions share, and by
 * what this one is changing, which nobody else sees before it is committed, so that nobody else can be asked about it.
 * Refuses to take for harmless what may use what was changed here. Holds nothing up itself: it says what to wait for.
 */
import type { StatementAnalysis } from '@custody/postgres-sql'
import type { SessionGate } from '../../gate'
import { Catalogue } from './catalogue'
import type { Followed } from './catalogues'
import type { CommandMask, SessionMasking } from './session-masking'

/** A command, as far as it changes what the database makes of others: found when it starts. */
export interface Reshaping {
  /** It may change what the database has made its own, or what its relations are. */
  changing: boolean
  makesCode: boolean
  /** It may change what names mean to masking. */
  renaming: boolean
  /** Null where nothing is masked. */
  readonly masked: CommandMask | null
}

/** What may change which columns a name means. */
const RESHAPING = new Set([
  'sql:create',
  'sql:alter',
  'sql:drop',
  'sql:comment',
  'sql:unknown',
  'sql:do',
  'sql:call',
])
const NOTHING_KNOWN = Catalogue.nothingKnown

export class SessionCatalogue {
  /** Commands under way that may change it. */
  private changing = 0
  /** This transaction may have changed what only its own session sees. */
  private hasOwn = false

  constructor(
    /** Null where no policy asks, and nothing is masked. */
    private readonly shared: Followed | null,
    private readonly gate: SessionGate,
    private readonly masking: SessionMasking | null,
  ) {}

  /** No command under way may change it. */
  get isSettled(): boolean {
    return this.changing === 0
  }

  /** What must have happened before anything is decided: nothing; the session's own commands; a look at the database. */
  awaited(): null | 'commands' | Promise<void> {
    const { shared, masking } = this
    if (shared === null || (!this.gate.restricted && masking === null)) return null
    if (!this.isSettled) return 'commands'
    // Nobody else sees what this transaction made, and asking might wait for its locks.
    if (this.hasOwn || masking?.isStale) return null
    return shared.fresh()
  }

  /** What the statement is in this database. `changed`: by this session, just before it. */
  refine(analysis: StatementAnalysis, changed = false): StatementAnalysis {
    const { shared } = this
    if (!this.gate.restricted || shared === null) return analysis
    if (changed || this.hasOwn) return NOTHING_KNOWN.refine(analysis)
    return shared.current?.refine(analysis) ?? NOTHING_KNOWN.refine(analysis)
  }

  /** What stands behind it in the same string is looked at as if it had run. */
  assume(analysis: StatementAnalysis): void {
    if (this.renames(analysis)) this.masking!.change(analysis)
  }

  /** The command is going to be run. */
  started(command: Reshaping, analysis: StatementAnalysis): void {
    command.changing = analysis.makesCode || this.reshapes(analysis)
    command.makesCode = analysis.makesCode
    command.renaming = this.renames(analysis)
    if (this.masking !== null) {
      // What becomes known by running it.
      this.masking.note(command.masked!.mask, analysis, !this.isSettled)
      if (command.renaming) this.masking.change(analysis)
    }
    if (command.changing) this.changing++
  }

  /** The command has ended, or did not run. */
  ended({ changing, makesCode, renaming }: Reshaping): void {
    if (!changing) return
    this.changing--
    if (makesCode) this.hasOwn = true
    if (this.masking && renaming) this.masking.isStale = true
  }

  /** No transaction is open: others see now what was changed in it, or it was taken back. */
  committed(): void {
    const { masking } = this
    if (!(this.hasOwn || masking?.isStale || (this.isSettled && masking?.hasChanged))) return
    this.hasOwn = false
    masking?.settle()
    this.shared?.changed()
  }

  /** The session is over, whatever is under way. */
  left(): void {
    if (this.hasOwn || this.masking?.isStale || !this.isSettled) this.shared?.changed()
  }

  private renames(analysis: StatementAnalysis): boolean {
    const run = this.masking?.executed(analysis)
    return run !== undefined && (run.makesCode || this.reshapes(run))
  }

  private reshapes({ verbs }: StatementAnalysis): boolean {
    return (
      this.masking !== null && this.shared !== null && verbs.some((verb) => RESHAPING.has(verb))
    )
  }
}
