/**
 * What a parsed statement does: verbs, tables, functions, columns, and how many rows it picks as far as its text says.
 * Refuses to know what views, triggers and functions do further: names stand for them.
 */
import { BREADTHS, type Breadth, type ObjectName } from '@custody/sql'
import type { Assignment, Expression, Form, From, Output, Query, With } from './ast'
import { isReading, PLAIN_WRITING, SECRET_FUNCTIONS } from './functions'
import { Misunderstood } from './parse-expressions'
import { namesOf } from './parse-queries'
import type { Parsed } from './parsed'
import type { SqlContext } from './tokens'

/** Objects and columns kept of one statement; one that has more is not understood. */
const OBJECTS_MAX = 1000

export interface Facts {
  verbs: string[]
  objects: ObjectName[]
  columns: string[]
  breadth: Record<string, Breadth>
  /** It calls what may change something. */
  writes: boolean
  makesCode: boolean
  /** Ordinals of literals that are keys or passwords. */
  secrets: number[]
  assigns: string[]
  /** Of the server's. */
  writesFile: string | null
}

const READS = new Set([
  'sql:select',
  'sql:show',
  'sql:explain',
  'sql:fetch',
  'sql:close',
  'sql:begin',
  'sql:rollback',
])

export function isReadOnly(facts: Facts): boolean {
  return !facts.writes && facts.verbs.length > 0 && facts.verbs.every((verb) => READS.has(verb))
}

export function factsOf(parsed: Parsed, context: SqlContext): Facts {
  const walk = new Walk(parsed, context)
  walk.form(parsed.form)
  return walk.facts()
}

class Walk {
  private readonly verbs: Set<string>
  private readonly objects = new Map<string, ObjectName>()
  private readonly columns = new Set<string>()
  private readonly breadth: Record<string, Breadth> = {}
  private readonly secrets: Set<number>
  private readonly assigns: Set<string>
  private writes = false
  private writesFile: string | null = null
  private makes: boolean
  private secret = 0
  private readonly scopes: Set<string>[] = []

  constructor(
    private readonly parsed: Parsed,
    private readonly context: SqlContext,
  ) {
    this.verbs = new Set(parsed.verbs)
    this.secrets = new Set(parsed.secrets)
    this.assigns = new Set(parsed.effects.assigns)
    this.makes = parsed.makesCode
    for (const { kind, name, verb } of parsed.objects) this.add(kind, name, verb)
  }

  facts(): Facts {
    return {
      verbs: [...this.verbs],
      objects: [...this.objects.values()],
      columns: [...this.columns],
      breadth: this.breadth,
      writes: this.writes,
      makesCode: this.makes,
      secrets: [...this.secrets],
      assigns: [...this.assigns],
      writesFile: this.writesFile,
    }
  }

  private add(kind: string, name: string, verb: string): void {
    if (this.objects.size >= OBJECTS_MAX)
      throw new Misunderstood(`more than ${OBJECTS_MAX} objects`)
    this.objects.set(`${kind}\0${name}\0${verb}`, { kind, name, verb })
  }

  private widen(verb: string, breadth: Breadth): void {
    const known = this.breadth[verb]
    if (known === undefined || BREADTHS.indexOf(breadth) > BREADTHS.indexOf(known))
      this.breadth[verb] = breadth
  }

  form(form: Form): void {
    switch (form.is) {
      case 'query':
        this.query(form.query)
        return
      case 'insert':
        this.insert(form)
        return
      case 'update':
        this.update(form)
        return
      case 'delete':
        this.deletion(form)
        return
      case 'into':
      case 'definition':
        this.query(form.query)
        return
      case 'explain':
        this.explain(form)
        return
      case 'set':
        for (const { value } of [...form.variables, ...form.settings]) this.expression(value)
        if (form.of) this.form(form.of)
        return
      case 'load':
        for (const names of form.columns ?? []) this.column(names.at(-1)!)
        this.assignments(form.sets)
        return
      case 'make':
        if (form.of) this.form(form.of)
        return
      case 'defer':
        this.all(form.args)
        this.all(form.predicates)
        return
      case 'shown':
        this.all(form.predicates)
        return
      case 'call':
        this.writes = true
        this.all(form.args)
        return
      case 'utility':
        this.all(form.of)
        return
    }
  }

  /** What is only explained is touched by name; but planning may run functions. */
  private explain(form: Extract<Form, { is: 'explain' }>): void {
    if (form.runs) {
      this.form(form.of)
      return
    }
    const empty = { ...this.parsed, verbs: new Set<string>(), objects: [], secrets: [] }
    const inner = new Walk(empty, this.context)
    inner.form(form.of)
    for (const { kind, name, verb } of inner.objects.values())
      this.add(kind, name, verb === 'sql:call' ? 'sql:call' : 'sql:explain')
    for (const ordinal of inner.secrets) this.secrets.add(ordinal)
    for (const column of inner.columns) this.column(column)
    if (inner.verbs.has('sql:call')) {
      this.verbs.add('sql:call')
      this.writes ||= inner.writes
      this.makes ||= inner.makes
    }
    // Tables made for its parts are filled while it is planned, and files may be.
    for (const verb of ['sql:copy-file', 'sql:copy-out'])
      if (inner.verbs.has(verb)) this.verbs.add(verb)
  }

  private with({ ctes, recursive }: With): boolean {
    if (ctes.length === 0) return false
    const names = new Set<string>()
    this.scopes.push(names)
    for (const cte of ctes) {
      // Names of common tables, as those of tables, may differ in case.
      if (recursive) names.add(cte.name.toLowerCase())
      this.query(cte.query)
      names.add(cte.name.toLowerCase())
    }
    return true
  }

  query(query: Query): void {
    this.verbs.add('sql:select')
    if (query.locks) this.verbs.add('sql:lock')
    const scope = this.with(query)
    switch (query.is) {
      case 'select':
        this.froms(query.from, 'sql:select')
        if (query.locks) this.froms(query.from, 'sql:lock', false)
        for (const output of query.outputs) this.output(output)
        if (query.where) this.expression(query.where)
        this.all(query.group)
        this.all(query.having)
        this.widen(
          'sql:select',
          query.from.length === 0
            ? 'none'
            : (narrowed(query.where) ?? (query.limited ? 'limited' : 'all')),
        )
        break
      case 'set':
        for (const side of query.sides) this.query(side)
        break
      case 'values':
        this.widen('sql:select', 'none')
        for (const row of query.rows) this.all(row)
        break
    }
    this.all(query.order)
    if (query.into?.is === 'variables')
      for (const name of query.into.names) this.assign(name.replace(/^@/, ''))
    else if (query.into) {
      this.verbs.add('sql:copy-out').add('sql:copy-file')
      this.add('file', query.into.file, 'sql:copy-file')
      this.writesFile = query.into.file
      this.writes = true
    }
    if (scope) this.scopes.pop()
  }

  private assign(name: string): void {
    this.assigns.add(name)
  }

  private output(output: Output): void {
    if (output.is === 'star') this.column('*')
    else this.expression(output.of)
  }

  private froms(items: readonly From[], verb: string, whole = true): void {
    for (const item of items) this.from(item, verb, whole)
  }

  private from(item: From, verb: string, whole: boolean): void {
    switch (item.is) {
      case 'table': {
        const { table } = item
        if (whole) this.all(item.by)
        if (
          table.database === null &&
          this.scopes.some((scope) => scope.has(table.name.toLowerCase()))
        )
          return
        this.add('table', namesOf(table).join('.'), verb)
        return
      }
      case 'query':
        if (whole) this.query(item.query)
        return
      case 'join':
        this.from(item.left, verb, whole)
        this.from(item.right, verb, whole)
        if (!whole) return
        this.all(item.on)
        for (const name of item.using ?? []) this.column(name)
        return
      case 'list':
        this.froms(item.of, verb, whole)
        return
      case 'json':
        if (whole) this.expression(item.of)
    }
  }

  private insert(form: Extract<Form, { is: 'insert' }>): void {
    const target = namesOf(form.target).join('.')
    this.verbs.add('sql:insert')
    this.add('table', target, 'sql:insert')
    if (form.verb === 'replace') {
      // Rows that collide with new ones go.
      this.verbs.add('sql:delete')
      this.add('table', target, 'sql:delete')
      this.widen('sql:delete', 'keyed')
    }
    for (const names of form.columns ?? []) this.column(names.at(-1)!)
    if (form.source?.is === 'values') for (const row of form.source.rows) this.all(row)
    else if (form.source) this.query(form.source)
    this.assignments(form.sets)
    if (form.duplicate.length > 0) {
      this.verbs.add('sql:update')
      this.add('table', target, 'sql:update')
      this.widen('sql:update', 'keyed')
      this.assignments(form.duplicate)
    }
    this.returning(form.returning, target)
  }

  private returning(outputs: readonly Output[] | null, target: string): void {
    if (outputs === null) return
    this.verbs.add('sql:select')
    this.add('table', target, 'sql:select')
    for (const output of outputs) this.output(output)
  }

  private assignments(sets: readonly Assignment[]): void {
    for (const { names, value } of sets) {
      this.column(names.at(-1)!)
      this.expression(value)
    }
  }

  private update(form: Extract<Form, { is: 'update' }>): void {
    const scope = this.with(form)
    this.verbs.add('sql:update')
    const tables = tablesIn(form.from)
    const several = tables.length > 1 || form.from.length > 1 || form.from[0]?.is !== 'table'
    if (several) {
      this.verbs.add('sql:select')
      this.froms(form.from, 'sql:select')
      this.widen('sql:select', narrowed(form.where) ?? 'all')
    }
    // Which table a column without one belongs to, the text does not say: any may be changed.
    const named = form.sets.map(({ names }) => names.slice(0, -1))
    const all = named.some((names) => names.length === 0)
    for (const { name, alias, database } of tables) {
      const isCalled = (names: readonly string[]) =>
        names.at(-1)?.toLowerCase() === (alias ?? name).toLowerCase()
      if (!several || all || named.some(isCalled))
        this.add('table', database === null ? name : `${database}.${name}`, 'sql:update')
    }
    this.assignments(form.sets)
    if (form.where) this.expression(form.where)
    this.all(form.order)
    this.widen('sql:update', narrowed(form.where) ?? (form.limited ? 'limited' : 'all'))
    if (form.returning) {
      this.verbs.add('sql:select')
      for (const output of form.returning) this.output(output)
    }
    if (scope) this.scopes.pop()
  }

  private deletion(form: Extract<Form, { is: 'delete' }>): void {
    const scope = this.with(form)
    this.verbs.add('sql:delete')
    const tables = tablesIn(form.from)
    const several = tables.length > 1 || form.from.length > 1 || form.from[0]?.is !== 'table'
    if (several) {
      this.verbs.add('sql:select')
      this.froms(form.from, 'sql:select')
      this.widen('sql:select', narrowed(form.where) ?? 'all')
    }
    for (const target of form.targets) {
      const called = target.at(-1)!.toLowerCase()
      const found = tables.filter(({ name, alias }) => (alias ?? name).toLowerCase() === called)
      for (const { database, name } of found)
        this.add('table', database === null ? name : `${database}.${name}`, 'sql:delete')
      if (found.length === 0) this.add('table', target.join('.'), 'sql:delete')
    }
    if (form.where) this.expression(form.where)
    this.all(form.order)
    this.widen('sql:delete', narrowed(form.where) ?? (form.limited ? 'limited' : 'all'))
    if (form.returning) {
      this.verbs.add('sql:select')
      for (const { database, name } of tables)
        this.add('table', database === null ? name : `${database}.${name}`, 'sql:select')
      for (const output of form.returning) this.output(output)
    }
    if (scope) this.scopes.pop()
  }

  private column(name: string): void {
    if (this.columns.size >= OBJECTS_MAX)
      throw new Misunderstood(`more than ${OBJECTS_MAX} columns`)
    this.columns.add(name)
  }

  private all(of: readonly Expression[]): void {
    for (const one of of) this.expression(one)
  }

  private expression(of: Expression): void {
    switch (of.is) {
      case 'constant':
        if (this.secret > 0) this.secrets.add(of.ordinal)
        return
      case 'column':
        this.column(of.names.at(-1)!)
        return
      case 'assign':
        this.assign(of.name)
        this.expression(of.of)
        return
      case 'cast':
        this.expression(of.of)
        return
      case 'computed':
        this.all(of.of)
        return
      case 'case':
        this.all(of.by)
        this.all(of.of)
        return
      case 'call':
        this.call(of)
        return
      case 'query':
        this.query(of.query)
    }
  }

  private call(of: Extract<Expression, { is: 'call' }>): void {
    const { name, database } = of
    const { server, serverVersion } = this.context
    const shown = database === null ? name : `${database}.${name}`
    const secret = database === null && SECRET_FUNCTIONS.has(name)
    if (secret) this.secret++
    this.all(of.args)
    if (secret) this.secret--
    this.all(of.by)
    // last_insert_id() reads; with a value it is set.
    const reads =
      !of.own &&
      (isReading(name, server, serverVersion) ||
        (name === 'last_insert_id' && of.args.length === 0))
    if (reads) {
      this.add('function', shown, 'sql:compute')
      return
    }
    this.verbs.add('sql:call')
    this.add('function', shown, 'sql:call')
    this.writes = true
    if (name === 'load_file' && !of.own) {
      this.verbs.add('sql:copy-file')
      return
    }
    if (of.own || !PLAIN_WRITING.has(name)) this.makes = true
    if (/^(nextval|setval|lastval)$/.test(name) && !of.own) {
      const [first] = of.args
      if (first?.is !== 'column') return
      this.add('table', first.names.join('.'), 'sql:select')
      if (name === 'lastval') return
      // It moves on.
      this.verbs.add('sql:insert')
      this.add('table', first.names.join('.'), 'sql:insert')
    }
  }
}

interface Named {
  database: string | null
  name: string
  alias: string | null
}

function tablesIn(items: readonly From[]): Named[] {
  return items.flatMap((item): Named[] => {
    switch (item.is) {
      case 'table':
        return [{ ...item.table, alias: item.alias }]
      case 'join':
        return [...tablesIn([item.left]), ...tablesIn([item.right])]
      case 'list':
        return tablesIn(item.of)
      default:
        return []
    }
  })
}

/** Whether a condition leaves out rows, as far as its text says; null where every row could meet it. */
function narrowed(condition: Expression | null): 'keyed' | 'filtered' | null {
  if (condition === null) return null
  if (condition.is !== 'computed')
    return hasColumn(condition) && condition.is !== 'column'
      ? 'filtered'
      : condition.is === 'column'
        ? 'filtered'
        : null
  const { by, of } = condition
  if (by === 'and') {
    const sides = of.map(narrowed)
    return sides.includes('keyed') ? 'keyed' : sides.includes('filtered') ? 'filtered' : null
  }
  if (by === 'or' || by === 'xor') {
    const sides = of.map(narrowed)
    return sides.includes(null)
      ? null
      : sides.every((side) => side === 'keyed')
        ? 'keyed'
        : 'filtered'
  }
  if (by === 'not') return narrowed(of[0]!) === null ? null : 'filtered'
  if (by === 'is not null') return null
  if (by === 'is null') return hasColumn(of[0]!) ? 'filtered' : null
  if (!of.some(hasColumn)) return null
  const [left, right] = of
  if (by === '=' || by === 'in') {
    if (of.length === 2 && sameText(left!, right!)) return null
    const columns = of.filter((one) => one.is === 'column')
    const others = of.filter((one) => one.is !== 'column')
    if (
      columns.length === 1 &&
      !others.some(hasColumn) &&
      !others.some((one) => one.is === 'query')
    )
      return 'keyed'
    return 'filtered'
  }
  if (of.length === 2 && sameText(left!, right!)) return null
  return 'filtered'
}

function hasColumn(of: Expression): boolean {
  switch (of.is) {
    case 'column':
      return true
    case 'assign':
    case 'cast':
      return hasColumn(of.of)
    case 'computed':
      return of.of.some(hasColumn)
    case 'case':
      return of.by.some(hasColumn) || of.of.some(hasColumn)
    case 'call':
      return of.args.some(hasColumn)
    // What it compares with may be anything: it says something if its own text does.
    case 'query':
      return of.query.is !== 'select' || of.query.limited || narrowed(of.query.where) !== null
  }
  return false
}

/** Constants count as the same: statements that differ in them alone share one analysis. */
function sameText(a: Expression, b: Expression): boolean {
  if (a.is !== b.is) return false
  const plain = (one: Expression) =>
    JSON.stringify(one, (key, value) => (key === 'ordinal' ? undefined : value))
  return plain(a) === plain(b)
}
