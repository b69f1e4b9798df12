/**
 * Statements that were approved beforehand: a reviewed migration, a runbook. What stands in a list counts as approved for the
 * resources and groups that the list is for, until it ends. Text counts, not kind: the same words, whatever its parameters.
 * Refuses lists that say nothing of who approved them, and dates that are none.
 */
import type { PolicyProblem } from './policies'

export interface PreApprovedList {
  /** As people are shown it: the path of its file. */
  name: string
  statements: readonly string[]
  /** Who answers for it. */
  approvedBy: string
  resources?: readonly string[]
  groups?: readonly string[]
  /** ISO 8601; not given: until it is taken out. */
  until?: string
}

export interface PreApproval {
  list: string
  approvedBy: string
}

/** More statements than this in all lists are refused. */
const STATEMENTS_MAX = 100_000

export class PreApproved {
  private readonly byText = new Map<string, { list: PreApprovedList; untilMs: number }[]>()

  constructor(lists: readonly PreApprovedList[], problems: PolicyProblem[]) {
    for (const list of lists) {
      const problem = (message: string) => problems.push({ source: list.name, line: 1, message })
      const untilMs = list.until === undefined ? Number.POSITIVE_INFINITY : Date.parse(list.until)
      if (Number.isNaN(untilMs) || !/^(\d{4}-\d\d-\d\d(T.*)?)?$/.test(list.until ?? ''))
        problem(`until: ${JSON.stringify(list.until)} is no date`)
      if (list.statements.length === 0) problem('there is no statement in it')
      for (const statement of list.statements) {
        const key = plain(statement)
        if (key === '') continue
        const known = this.byText.get(key)
        if (known) known.push({ list, untilMs })
        else this.byText.set(key, [{ list, untilMs }])
      }
      if (this.byText.size > STATEMENTS_MAX) {
        problem(`more than ${STATEMENTS_MAX} statements are pre-approved`)
        return
      }
    }
  }

  get isEmpty(): boolean {
    return this.byText.size === 0
  }

  /** The list by which this statement is approved for these groups on this resource now, or null. */
  find(
    statement: string,
    groups: readonly string[],
    resource: string,
    nowMs: number,
  ): PreApproval | null {
    const found = this.byText
      .get(plain(statement))
      ?.find(
        ({ list, untilMs }) =>
          nowMs < untilMs &&
          (list.resources?.includes(resource) ?? true) &&
          (list.groups?.some((group) => groups.includes(group)) ?? true),
      )
    return found ? { list: found.list.name, approvedBy: found.list.approvedBy } : null
  }
}

/** PostgreSQL's own: to it a no-break space is a letter, and a carriage return ends a comment as well. */
const SPACE = new Set([' ', '\t', '\n', '\r', '\f', '\v'])

/** White space and line comments before a statement, white space and semicolons behind it are not it. In linear time. */
function plain(statement: string): string {
  let from = 0
  for (;;) {
    while (from < statement.length && SPACE.has(statement[from]!)) from++
    if (!statement.startsWith('--', from)) break
    while (from < statement.length && statement[from] !== '\n' && statement[from] !== '\r') from++
  }
  let to = statement.length
  while (to > from && (statement[to - 1] === ';' || SPACE.has(statement[to - 1]!))) to--
  return statement.slice(from, to)
}
