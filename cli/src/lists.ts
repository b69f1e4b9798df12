/**
 * Lists of evidence: the filters that they share, and showing as much of one as was asked for, as a table or as JSON while
 * its pages arrive. Refuses to know what is listed; the command says how it looks.
 */
import { type Given, moment, type OptionSpec, wholeNumber } from './arguments'
import { openApi, type Page, pagesOf } from './client'
import type { Context } from './commands'
import type { Json } from './show'

export const PERIOD: Record<string, OptionSpec> = {
  since: { value: 'time', help: 'at or after: 2026-01-31T12:00:00Z, or how long ago: 30m, 2h, 7d' },
  until: { value: 'time', help: 'before' },
}

export const WHOSE: Record<string, OptionSpec> = {
  identity: { value: 'name', help: 'of this subject or e-mail address' },
  resource: { value: 'name', help: 'with this resource' },
}

/** What the options of PERIOD and WHOSE ask for, as the API takes it. */
export function filtersOf({ given, nowMs }: { given: Given; nowMs: number }) {
  return {
    since: moment('since', given.text('since'), nowMs),
    until: moment('until', given.text('until'), nowMs),
    identity: given.text('identity'),
    resource: given.text('resource'),
  }
}

export interface List {
  path: string
  /** What its pages have the items in. */
  field: string
  filters: Record<string, string | undefined>
  /** Without --limit and --all. */
  limitDefault: number
  table(items: Json[]): string[]
  /** Said when there is none. */
  none: string
  /** What --limit and --all do about there being more. */
  more: string
}

export async function showList(context: Context, list: List): Promise<number> {
  const { given, output, home, environment } = context
  const limit = given.has('all')
    ? Number.POSITIVE_INFINITY
    : (wholeNumber('limit', given.text('limit'), 1, 1_000_000) ?? list.limitDefault)
  const shown: Json[] = []
  let last: Page | undefined
  const pages = pagesOf(openApi(home, environment), list.path, list.filters, list.field, limit)
  for await (const page of pages) {
    if (last === undefined) late(context, page)
    last = page
    if (output.json) for (const item of page[list.field]) output.object(item)
    else shown.push(...page[list.field])
    await output.drained()
  }
  if (output.json) return 0
  if (shown.length === 0) output.line(list.none)
  else output.lines(list.table(shown))
  if (last?.next != null) output.remark(`custody: there are more; --limit or --all ${list.more}`)
  return 0
}

export function late({ output }: Context, answer: Json): void {
  if (answer.upToDate === false)
    output.remark(
      'custody: ingest is behind; the latest events may be missing (see `custody status`)',
    )
}
