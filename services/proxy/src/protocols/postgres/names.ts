/**
 * The prepared statements and portals of one session, by the names that its client gave them: what an Execute runs. Requests
 * are sent ahead of their answers, so each change is made when its request is, and taken back where the target passes over it.
 * Refuses to be sure of what a name stands for while that depends on an answer, or where SQL may have taken the name.
 */
import { type StatementAnalysis, unanalysed } from '@custody/postgres-sql'
import type { ColumnDraft } from '@custody/schemas'
import type { Grant } from '../../gate'
import { NO_FORMATS } from './parameters'
import { type WireColumn, WireError } from './wire'

/** The columns of its rows, as the target says; shared by all that is made of one statement or portal. */
export interface Described {
  /** The client, or we, have asked. */
  asked: boolean
  fields: readonly WireColumn[] | null
}

interface Named {
  /** Where another was known under this name and Parse or Bind is not answered: the group that it is in. Else -1. */
  replacing: number
}

export interface Prepared extends Named {
  text: Buffer | string
  analysis: StatementAnalysis
  typeOids: number[]
  columns: ColumnDraft[] | undefined
  described: Described
  /** SQL that deallocates it is under way, or failed. */
  gone: boolean
  /** That this is the statement that will run. */
  isCertain: boolean
}

export interface Portal extends Named {
  prepared: Prepared
  /** Bind's body from the count of parameter formats on. */
  values: Buffer | null
  /** The group that Bind is in. */
  group: number
  /** The approval by which it was bound; it holds for its execution. */
  grant: Grant | null
  described: Described
  /** Formats of its columns as Bind has them: none, one for all, or one each. */
  formats: readonly number[]
}

/** A request that changes what names stand for. */
export interface Changing {
  /** Requests up to and with one Sync or Query: an error makes the target pass over the rest of its group. */
  readonly group: number
  /** The target is known to pass over it: it changes nothing. */
  readonly isPassedOver: boolean
  /** What it changed, to be taken back if the target passes over it after all. */
  changes: Change[] | null
}

export interface Change {
  names: Map<string, unknown>
  name: string
  before: unknown
}

export class Names {
  private readonly statements = new Map<string, Prepared>()
  private readonly portals = new Map<string, Portal>()

  constructor(
    /** Statements remembered, and portals. */
    private readonly namesMax: number,
  ) {}

  statement(name: string): Prepared | null {
    return this.statements.get(name) ?? null
  }

  portal(name: string): Portal | null {
    return this.portals.get(name) ?? null
  }

  /** Parse. */
  prepare(one: Changing, name: string, prepared: Prepared): void {
    if (this.statements.size >= this.namesMax && !this.statements.has(name))
      throw new WireError(`more than ${this.namesMax} prepared statements`)
    if (this.change(one, this.statements, name, prepared) !== undefined)
      prepared.replacing = one.group
  }

  /** What a Bind in this group makes, under `name` and of the statement `of`; `bind` makes it known. */
  portalOf(
    name: string,
    of: string,
    group: number,
    values: Buffer,
    formats: readonly number[],
  ): Portal {
    let prepared = this.statements.get(of) ?? elsewhere(of)
    // If that Parse fails or is passed over, this Bind takes what was there before it.
    if (prepared.replacing >= 0 && prepared.replacing !== group)
      prepared = uncertain(prepared, 'its name was being given to another statement')
    if (this.portals.size >= this.namesMax && !this.portals.has(name))
      throw new WireError(`more than ${this.namesMax} portals`)
    return {
      prepared,
      values,
      group,
      replacing: -1,
      grant: null,
      described: { asked: false, fields: null },
      formats,
    }
  }

  bind(one: Changing, name: string, portal: Portal): void {
    if (this.change(one, this.portals, name, portal) !== undefined) portal.replacing = one.group
  }

  /** What an Execute in this group runs: the portal has this name. */
  executed(portal: Portal | null, name: string, group: number): Prepared {
    if (portal === null) return elsewhere(name)
    return portal.replacing >= 0 && portal.replacing !== group
      ? uncertain(portal.prepared, 'its portal was being bound to another statement')
      : portal.prepared
  }

  /** Close. */
  close(one: Changing, isStatement: boolean, name: string): void {
    if (isStatement) this.change(one, this.statements, name, undefined)
    else this.change(one, this.portals, name, undefined)
  }

  /** A simple query ends the unnamed statement and portal. */
  endUnnamed(one: Changing): void {
    this.change(one, this.statements, '', undefined)
    this.change(one, this.portals, '', undefined)
  }

  /** SQL deallocates or prepares under names: what the protocol prepared under them is no longer certain. */
  namedBySql(one: Changing, { objects }: StatementAnalysis): void {
    for (const { kind, name } of objects)
      if (kind === 'prepared')
        for (const [known, prepared] of this.statements)
          if (known !== '' && (name === '*' || known === name))
            this.change(one, this.statements, known, {
              ...uncertain(prepared, 'deallocated or prepared by SQL'),
              gone: true,
            })
  }

  /** SQL has deallocated what it was going to. */
  deallocated(): void {
    for (const [name, prepared] of this.statements) if (prepared.gone) this.statements.delete(name)
  }

  /** Parse or Bind is answered: what it made has the name. */
  settled(made: Named): void {
    made.replacing = -1
  }

  /** The end of a transaction is the end of its portals; those of later groups belong to the next. */
  endPortals(group: number): void {
    if (this.portals.size === 0) return
    for (const [name, portal] of this.portals) if (portal.group <= group) this.portals.delete(name)
  }

  /** The target has passed over the request. Of several the last comes first: they may have changed one name. */
  takeBack({ changes }: Changing): void {
    if (changes === null) return
    for (let i = changes.length - 1; i >= 0; i--) {
      const { names, name, before } = changes[i]!
      if (before === undefined) names.delete(name)
      else names.set(name, before)
    }
  }

  /** What was there before. */
  private change<T>(
    one: Changing,
    names: Map<string, T>,
    name: string,
    value: T | undefined,
  ): T | undefined {
    const before = names.get(name)
    if (one.isPassedOver || (before === undefined && value === undefined)) return before
    one.changes ??= []
    one.changes.push({ names: names as Map<string, unknown>, name, before })
    if (value === undefined) names.delete(name)
    else names.set(name, value)
    return before
  }
}

/** A portal that is not known here, whose rows were described as that. */
export function portalElsewhere(
  prepared: Prepared,
  group: number,
  fields: readonly WireColumn[],
): Portal {
  return {
    prepared,
    values: null,
    group,
    replacing: -1,
    grant: null,
    described: { asked: true, fields },
    formats: NO_FORMATS,
  }
}

function elsewhere(name: string): Prepared {
  return {
    text: `(${JSON.stringify(name)}, not prepared through the protocol)`,
    analysis: unanalysed('prepared by SQL or not at all'),
    typeOids: [],
    columns: undefined,
    described: { asked: false, fields: null },
    replacing: -1,
    gone: false,
    isCertain: false,
  }
}

/** The statement as far as it is known, said to be uncertain: never taken for harmless. */
function uncertain(prepared: Prepared, why: string): Prepared {
  const { analysis } = prepared
  return {
    ...prepared,
    isCertain: false,
    analysis: {
      ...analysis,
      verbs: analysis.understood ? [...analysis.verbs, 'sql:unknown'] : analysis.verbs,
      lineage: unanalysed('').lineage,
      understood: false,
      readOnly: false,
      problem: `perhaps another statement: ${why}`,
    },
  }
}
