/**
 * From which stored columns each output of a statement derives: its lineage against a catalogue, by MySQL's and MariaDB's own rules
 * for names. Serves masking, so it errs on one side alone: what can't be proven is `unknown`, never clean.
 * Refuses to look at values, types or rights: a column is a source whoever may read it, and whatever it holds.
 */

import {
  CLEAN,
  CONSTANTS_A_STEP,
  type Column,
  Exhausted,
  type RelationFacts as Facts,
  type Flow,
  inexact,
  merge,
  nowhere,
  type Provenance,
  provenanceOf,
  type Resolved,
  type Resolver as ResolverOf,
  Resolving,
  type Source,
  STEPS_MAX,
  type Steps,
  sameColumns,
  tainted,
  unknown,
  unresolved,
  type Value,
} from '@custody/sql'
import type { Assignment, Expression, Form, From, Output, Query, TableName } from './ast'
import {
  type Columns,
  concatenated,
  either,
  listed,
  named,
  overlaid,
  uniform,
  united,
  unordered,
  without,
} from './columns'
import { isReading, SAYS_NOTHING } from './functions'
import type { Lineage } from './lineage'
import { isOwnDatabase, isPlain } from './own-tables'

export type { Flow, Provenance, Resolved, Source }
export type Resolver = ResolverOf<Lineage, RelationFacts>

export interface RelationFacts extends Facts<Lineage> {
  /** Columns that `*` leaves out. */
  invisible?: readonly string[]
}

/** What a server has. Implemented by whoever knows its catalogue. */
export interface Relations {
  readonly server: 'mysql' | 'mariadb'
  readonly serverVersion: number
  /** All tables that a name may mean; schema null: of the session's database. Empty: not known. */
  find(schema: string | null, name: string): readonly RelationFacts[]
  /** Said by the configuration to be only a function of its arguments: `f` or `database.f`. */
  isTrustedFunction(name: string): boolean
  /** What a user variable was given, in lower case and without `@`; null, or no such door: not known. */
  variable?(name: string): Provenance | null
}

const VIEWS_DEEP_MAX = 64
/** Rounds until a recursive query's columns stay what they are. */
const ROUNDS_MAX = 32

/** Something in FROM by its name. */
interface Named {
  readonly name: string
  /** Of a table without an alias, which may be named with its database. */
  readonly table: TableName | null
  readonly columns: Columns
}

interface Namespace {
  readonly named: readonly Named[]
  /** What `*` stands for, and names without a qualifier. */
  readonly columns: readonly Columns[]
}

interface Frame extends Namespace {
  readonly outer: Frame | null
  /** Outputs by their aliases, which queries further in may name. */
  readonly outputs: (Columns | Column)[]
}

interface Binding {
  readonly name: string
  columns: Columns | null
  evaluating: boolean
  evaluate: () => void
  approximation: () => Columns
  referenced: boolean
}

interface Bindings {
  readonly binding: Binding
  readonly outer: Bindings | null
}

interface Scope {
  readonly frame: Frame | null
  readonly ctes: Bindings | null
  /** What VALUES(c) is, in ON DUPLICATE KEY UPDATE. */
  readonly given?: Columns
}

const NO_NAMESPACE: Namespace = { named: [], columns: [] }
const OUTSIDE: Scope = { frame: null, ctes: null }
/** Expressions that only say whether, or how often. */
const NUMBERING = new Set([
  'row_number',
  'rank',
  'dense_rank',
  'cume_dist',
  'percent_rank',
  'ntile',
])

/**
 * Resolves statements against a catalogue as it is: what was found is kept, so that a changed catalogue, or another database of the
 * session, needs a new resolver. Temporary tables hide others of their name, so `find` has to know them too.
 */
export function createResolver(relations: Relations): Resolver {
  const known = new WeakMap<Lineage, Resolved>()
  const catalogue = new Catalogue(relations)
  return {
    statement(lineage) {
      let resolved = known.get(lineage)
      if (resolved === undefined) {
        const reads = catalogue.variablesRead
        resolved = resolve(catalogue, lineage)
        // What a variable holds may be another thing by the next statement.
        if (reads === catalogue.variablesRead) known.set(lineage, resolved)
      }
      return resolved
    },
    column(facts, column) {
      try {
        const found = catalogue
          .look(facts, new Set(), { left: STEPS_MAX })
          .columns.find(column.toLowerCase())
        return provenanceOf(found?.value ?? unknown(`no column ${column}`))
      } catch {
        return provenanceOf(unknown('too large to look through'))
      }
    },
  }
}

function resolve(catalogue: Catalogue, lineage: Lineage): Resolved {
  if (lineage.form === null) return unresolved(lineage.unknown ?? 'not analysed')
  const resolution = new Resolution(catalogue, new Set(), { left: STEPS_MAX })
  try {
    return resolution.resolved(lineage, resolution.form(lineage.form))
  } catch (error) {
    // Nested deeper than a stack holds, or more to look at than is worth it.
    return unresolved(error instanceof Exhausted ? error.message : 'nested too deeply')
  }
}

/** What statements add up to besides their outputs. */
class Effects {
  readonly reads = new Set<string>()
  readonly flows = new Map<string, { to: Flow['to']; value: Value }>()
  predicates: Value = CLEAN
  code: string | null = null

  predicate(value: Value): void {
    if (tainted(value))
      this.predicates = { ...merge([this.predicates, value]), constants: CLEAN.constants }
  }

  flow(to: Flow['to'], value: Value): void {
    if (!tainted(value)) return
    const key = `${to.schema}\0${to.relation}\0${to.column}\0${to.via}`
    const known = this.flows.get(key)
    this.flows.set(key, { to, value: known === undefined ? value : merge([known.value, value]) })
  }

  add(other: Effects): void {
    for (const name of other.reads) this.reads.add(name)
    for (const { to, value } of other.flows.values()) this.flow(to, value)
    this.predicate(other.predicates)
    this.code ??= other.code
  }
}

interface View {
  columns: Columns
  effects: Effects
}

/** Tables of a server, each looked at once. */
class Catalogue {
  private readonly sources = new Map<string, Source>()
  private readonly known = new WeakMap<RelationFacts, View>()
  private readonly named = new Map<string, readonly RelationFacts[]>()
  variablesRead = 0
  /** Views that were not looked through for what they were reached by. */
  private cut = 0

  constructor(readonly relations: Relations) {}

  find(schema: string | null, name: string): readonly RelationFacts[] {
    const key = `${schema ?? ''}\0${name}`
    let found = this.named.get(key)
    if (found === undefined) {
      found = this.relations.find(schema, name)
      this.named.set(key, found)
    }
    return found
  }

  variable(name: string): Value {
    this.variablesRead++
    const given = this.relations.variable?.(name) ?? null
    if (given === null) return unknown(`the variable @${name}`)
    const sources = given.sources.map(({ schema, relation, column }) =>
      this.source(schema, relation, column),
    )
    return { ...CLEAN, sources: new Set(sources), exact: given.exact, unknown: given.unknown }
  }

  private source(schema: string, relation: string, column: string): Source {
    const key = `${schema}\0${relation}\0${column}`
    let source = this.sources.get(key)
    if (source === undefined) {
      source = { schema, relation, column }
      this.sources.set(key, source)
    }
    return source
  }

  look(facts: RelationFacts, within: Set<RelationFacts>, steps: Steps): View {
    const known = this.known.get(facts)
    if (known !== undefined) return known
    const names = facts.columns
    if (isOwnDatabase(facts.schema)) {
      const value = ownValue(facts.schema, facts.name)
      const columns = listed(names.map((name) => ({ name, value })))
      return { columns, effects: new Effects() }
    }
    if (facts.definition === null) {
      const column = (name: string): Column => ({
        name,
        value: {
          ...CLEAN,
          exact: true,
          sources: new Set([this.source(facts.schema, facts.name, name)]),
        },
      })
      const seen = listed(names.map(column))
      const hidden = listed((facts.invisible ?? []).map(column))
      const view = {
        columns: {
          ...seen,
          find: (name: string) => seen.find(name) ?? hidden.find(name),
        },
        effects: new Effects(),
      }
      this.known.set(facts, view)
      return view
    }
    const opaque = (why: string): View => ({
      columns: named(listed(names.map((name) => ({ name, value: unknown(why) }))), []),
      effects: new Effects(),
    })
    // Not kept: it is so for the one who asked alone.
    if (within.has(facts) || within.size >= VIEWS_DEEP_MAX) {
      this.cut++
      return opaque(`views of themselves, or deeper than ${VIEWS_DEEP_MAX}`)
    }
    const { cut } = this
    const { definition } = facts
    if (definition.form?.is !== 'query')
      return opaque(`the definition of ${facts.name}: ${definition.unknown ?? 'no query'}`)
    const resolution = new Resolution(this, new Set([...within, facts]), steps)
    const given = resolution.query(definition.form.query, OUTSIDE)
    // Literals of its own text are none of the statement's.
    const value = (one: Value): Value => ({ ...one, constants: CLEAN.constants })
    const columns =
      given.list?.length === names.length
        ? listed(given.list.map((one, i) => ({ name: names[i]!, value: value(one.value) })))
        : listed(
            names.map((name) => ({
              name,
              value: merge([
                value(inexact(given.whole())),
                unknown(`a definition of other columns than ${facts.name} has`),
              ]),
            })),
          )
    const view = { columns, effects: resolution.effects }
    if (within.size === 0 || this.cut === cut) this.known.set(facts, view)
    return view
  }
}

function ownValue(schema: string, name: string): Value {
  return isPlain(schema, name) ? CLEAN : unknown(`columns of ${schema}.${name}`)
}

type Given = Partial<Resolved> & { columns: Columns }

class Resolution extends Resolving {
  readonly effects = new Effects()

  constructor(
    private readonly catalogue: Catalogue,
    private readonly within: Set<RelationFacts>,
    steps: Steps,
  ) {
    super(steps)
  }

  resolved(lineage: Lineage, given: Given): Resolved {
    const { effects } = this
    const { columns, ...rest } = given
    // Of what runs somebody's code, every literal may go anywhere.
    if (lineage.form?.is === 'code' || lineage.form?.is === 'call')
      for (let ordinal = 0; ordinal < lineage.literals; ordinal++)
        this.meet({ ...unknown('may go anywhere'), constants: new Set([ordinal]) })
    const secrets = new Set(lineage.secrets)
    const met = (id: number) => provenanceOf({ ...CLEAN, ...(this.meets.get(id) ?? {}) })
    const ids = [...this.meets.keys()]
    const ordinals = new Set([...ids.filter((id) => id >= 0), ...secrets])
    return {
      outputs: columns.list?.map(({ value }) => provenanceOf(value)) ?? null,
      whole: provenanceOf(columns.whole()),
      predicates: provenanceOf(effects.predicates),
      flows: [...effects.flows.values()].map(({ to, value }) => ({
        to,
        from: provenanceOf(value),
      })),
      reads: effects.reads,
      code: effects.code,
      constants: [...ordinals]
        .sort((a, b) => a - b)
        .map((ordinal) => ({ ordinal, to: met(ordinal), secret: secrets.has(ordinal) })),
      parameters: ids
        .filter((id) => id < 0)
        .map((id) => ({ number: -id, to: met(id), secret: false }))
        .sort((a, b) => a.number - b.number),
      defers: null,
      makes: null,
      unresolved: null,
      ...rest,
    }
  }

  form(form: Form): Given {
    const none = listed([])
    switch (form.is) {
      case 'query': {
        const columns = this.query(form.query, OUTSIDE)
        return { columns: hasInto(form.query) ? none : columns }
      }
      case 'definition':
        this.query(form.query, OUTSIDE)
        this.effects.flows.clear()
        return { columns: none }
      case 'into': {
        const columns = this.query(form.query, OUTSIDE)
        const { database: schema, name: relation } = form.target
        for (const [i, one] of (columns.list ?? []).entries())
          this.effects.flow(
            { schema, relation, column: one.name ?? `column ${i + 1}`, via: 'create table' },
            one.value,
          )
        if (columns.list === null)
          this.effects.flow(
            { schema, relation, column: null, via: 'create table' },
            columns.whole(),
          )
        return { columns: none }
      }
      case 'explain': {
        this.form(form.of)
        if (!form.runs) this.effects.flows.clear()
        // Conditions in a plan repeat constants, and values of rows that were read for planning.
        return { columns: uniform(form.tells ? unknown('a plan that may show values') : CLEAN) }
      }
      case 'insert':
        return { columns: this.insert(form) }
      case 'update':
        return { columns: this.update(form) }
      case 'delete':
        return { columns: this.deletion(form) }
      case 'set': {
        for (const { name, value } of form.variables)
          this.effects.flow(nowhere('variable', `@${name}`), this.value(value, OUTSIDE))
        for (const { name, value } of form.settings)
          this.effects.flow(nowhere('setting', name), this.value(value, OUTSIDE))
        return form.of === null ? { columns: none } : this.form(form.of)
      }
      case 'load': {
        const stored = this.table(form.target, false)
        for (const { names, value } of form.sets)
          this.write(
            form.target,
            stored,
            names.at(-1)!,
            this.value(value, this.scopeOf(form.target, stored)),
            'load data',
          )
        return { columns: none }
      }
      case 'make': {
        const { kind, name } = form
        const columns =
          form.of !== null
            ? this.form(form.of).columns
            : form.table !== null
              ? this.table(form.table, true)
              : uniform(unknown('a text that is not known'))
        if (kind === 'prepared') this.collapse()
        return { columns, makes: { kind, name } }
      }
      case 'defer': {
        const { kind, name } = form
        const why =
          kind === 'cursor' ? `rows of the handler ${name}` : `what ${name} was prepared as`
        for (const one of form.args) {
          const value = this.value(one, OUTSIDE)
          this.meet(merge([value, unknown(why)]))
          this.effects.flow(nowhere(`execute ${name}`), value)
        }
        for (const one of form.predicates) {
          const value = merge([this.opaquely(one), unknown(why)])
          this.meet(value)
          this.effects.predicate(value)
        }
        if (kind === 'prepared') this.effects.code ??= why
        return { columns: uniform(unknown(why)), defers: { kind, name } }
      }
      case 'shown': {
        for (const one of form.predicates) this.opaquely(one)
        return { columns: uniform(form.why === null ? CLEAN : unknown(form.why)) }
      }
      case 'call': {
        for (const one of form.args) {
          const value = this.value(one, OUTSIDE)
          this.meet(merge([value, unknown('a procedure')]))
          this.effects.flow(nowhere('procedure'), value)
        }
        this.effects.code ??= 'a procedure'
        return { columns: uniform(unknown('a procedure')) }
      }
      case 'code':
        this.effects.code ??= form.why
        return { columns: none }
      case 'utility':
        for (const one of form.of) this.value(one, OUTSIDE)
        return { columns: none }
    }
  }

  /** Literals of a text in a statement are all in the one literal that it is. */
  private collapse(): void {
    const all = [...this.meets].filter(([id]) => id >= 0)
    for (const [id] of all) this.meets.delete(id)
    for (const [, { sources, unknown }] of all)
      this.meet({ sources, unknown, exact: false, constants: new Set([0]) })
  }

  /** Of what stands where columns of nothing known are named. */
  private opaquely(of: Expression): Value {
    return this.value(of, {
      frame: {
        ...NO_NAMESPACE,
        columns: [uniform(CLEAN)],
        outer: null,
        outputs: [],
      },
      ctes: null,
    })
  }

  private scopeOf(target: TableName, columns: Columns): Scope {
    return {
      frame: { ...namespaceOf(target.name, target, columns), outer: null, outputs: [] },
      ctes: null,
    }
  }

  query(query: Query, outer: Scope): Columns {
    this.step(1)
    const scope: Scope = { ...outer, ctes: this.bind(query, outer) }
    const given = this.body(query, scope)
    for (let at = scope.ctes; at !== outer.ctes && at !== null; at = at.outer)
      this.bound(at.binding)
    const { into } = query
    if (into?.is === 'variables') {
      for (const [i, name] of into.names.entries()) {
        const value = given.list?.[i]?.value ?? inexact(given.whole())
        this.effects.flow(nowhere('variable', name), value)
      }
    } else if (into) this.effects.flow(nowhere(`into ${into.is}`), given.whole())
    return given
  }

  private body(query: Query, scope: Scope): Columns {
    switch (query.is) {
      case 'select':
        return this.select(query, scope)
      case 'values': {
        const columns = this.rows(query.rows, scope)
        this.orderings(query.order, columns, NO_NAMESPACE, scope)
        return columns
      }
      case 'set': {
        const sides = query.sides.map((side) => this.query(side, scope))
        const columns = united(sides)
        this.step(columns.list?.length ?? 1)
        if (query.compares)
          for (const value of columns.list?.map(({ value }) => value) ?? [columns.whole()]) {
            this.meet(value)
            this.effects.predicate(value)
          }
        this.orderings(query.order, columns, NO_NAMESPACE, scope)
        return columns
      }
    }
  }

  /** Rows of values, column by column. */
  private rows(rows: readonly (readonly Expression[])[], scope: Scope): Columns {
    const width = rows[0]?.length ?? 0
    if (rows.some((row) => row.length !== width))
      return uniform(
        inexact(merge(rows.flatMap((row) => row.map((one) => this.value(one, scope))))),
      )
    const list: Column[] = []
    for (let i = 0; i < width; i++) {
      const constants = new Set<number>()
      const values: Value[] = []
      for (const row of rows) {
        const one = row[i]!
        if (one.is === 'constant') constants.add(one.ordinal)
        else values.push(this.value(one, scope))
      }
      this.step(constants.size / CONSTANTS_A_STEP)
      if (constants.size > 0) values.push({ ...CLEAN, constants })
      list.push({ name: null, value: merge(values) })
    }
    return listed(list)
  }

  private bind(query: { ctes: Query['ctes']; recursive: boolean }, outer: Scope): Bindings | null {
    let bindings = outer.ctes
    const scopes: (() => Scope)[] = []
    for (const [i, cte] of query.ctes.entries()) {
      const before = bindings
      // Those of a recursive list see each other; others see those before.
      scopes[i] = () => ({ ...outer, ctes: query.recursive ? last : before })
      const binding: Binding = {
        name: cte.name,
        columns: null,
        evaluating: false,
        referenced: false,
        approximation: () => {
          const base = cte.query.is === 'set' ? cte.query.sides[0]! : null
          if (base === null) return uniform(unknown(`${cte.name} is made of itself`))
          binding.approximation = () => uniform(unknown(`${cte.name} starts with itself`))
          const start = named(this.query(base, scopes[i]!()), cte.columns)
          binding.approximation = () => start
          return start
        },
        evaluate: () => {
          const once = () => named(this.query(cte.query, scopes[i]!()), cte.columns)
          let given = once()
          for (let round = 0; binding.referenced; round++) {
            const before = binding.approximation()
            const next = united([before, given])
            if (sameColumns(before, next)) break
            if (round >= ROUNDS_MAX) {
              given = uniform(unknown(`${cte.name} is recursive beyond ${ROUNDS_MAX} rounds`))
              break
            }
            binding.approximation = () => next
            given = once()
          }
          binding.columns = given
        },
      }
      bindings = { binding, outer: bindings }
    }
    const last = bindings
    return bindings
  }

  private bound(binding: Binding): Columns {
    if (binding.columns !== null) return binding.columns
    if (binding.evaluating) {
      binding.referenced = true
      return binding.approximation()
    }
    binding.evaluating = true
    binding.evaluate()
    binding.evaluating = false
    return binding.columns!
  }

  private select(query: Extract<Query, { is: 'select' }>, scope: Scope): Columns {
    const namespace = this.fromAll(query.from, scope)
    const inner = within(scope, namespace)
    const columns = this.outputs(query.outputs, inner)
    if (query.where) this.predicate(query.where, inner)
    // A bare name in HAVING may be an output's.
    this.orderings([...query.group, ...query.having, ...query.order], columns, namespace, scope)
    if (query.distinct) {
      this.effects.predicate(columns.whole())
    }
    return columns
  }

  /** What orders and groups, where names may be outputs' and a bare number is one - any, as numbers are not kept. */
  private orderings(
    keys: readonly Expression[],
    columns: Columns,
    namespace: Namespace,
    scope: Scope,
  ): void {
    if (keys.length === 0) return
    const outputs: Namespace = {
      named: namespace.named,
      columns: [...namespace.columns, columns],
    }
    const inner = within(scope, outputs)
    for (const one of keys) {
      if (one.is === 'constant') this.effects.predicate(columns.whole())
      else this.predicate(one, inner)
    }
  }

  private outputs(outputs: readonly Output[], scope: Scope): Columns {
    const parts: (Columns | Column)[] = []
    for (const output of outputs) {
      const part = this.output(output, scope)
      parts.push(part)
      // Queries further in may name those before.
      scope.frame?.outputs.push(part)
    }
    return concatenated(parts)
  }

  private output(output: Output, scope: Scope): Columns | Column {
    if (output.is === 'value') return { name: output.name, value: this.value(output.of, scope) }
    if (output.of.length === 0) return concatenated(scope.frame?.columns ?? [])
    const found = scope.frame?.named.filter((one) => isNamed(one, output.of)) ?? []
    if (found.length === 0) return uniform(unknown(`no ${output.of.join('.')}`))
    return either(found.map(({ columns }) => columns))
  }

  private fromAll(items: readonly From[], scope: Scope): Namespace {
    let all: Namespace = NO_NAMESPACE
    for (const item of items) all = beside(all, this.from(item, all, scope))
    return all
  }

  /** `before` is what LATERAL and JSON_TABLE see. */
  private from(item: From, before: Namespace, scope: Scope): Namespace {
    this.step(1)
    switch (item.is) {
      case 'table': {
        const { table, alias } = item
        for (const one of item.by) this.predicate(one, within(scope, before))
        const binding = table.database === null ? bindingOf(scope.ctes, table.name) : null
        const columns = binding ? this.bound(binding) : this.table(table, true)
        return namespaceOf(
          alias ?? table.name,
          alias === null && binding === null ? table : null,
          columns,
        )
      }
      case 'query': {
        const inner = item.lateral ? within(scope, before) : scope
        const columns = named(this.query(item.query, inner), item.columns)
        return item.alias === null
          ? { named: [], columns: [columns] }
          : namespaceOf(item.alias, null, columns)
      }
      case 'list':
        return this.fromAll(item.of, scope)
      case 'join':
        return this.join(item, before, scope)
      case 'json': {
        const value = inexact(this.value(item.of, within(scope, before)))
        return namespaceOf(item.alias, null, listed(item.columns.map((name) => ({ name, value }))))
      }
    }
  }

  private join(item: Extract<From, { is: 'join' }>, before: Namespace, scope: Scope): Namespace {
    const left = this.from(item.left, before, scope)
    const right = this.from(item.right, beside(before, left), scope)
    const both = beside(left, right)
    for (const one of item.on) this.predicate(one, within(scope, both))
    if (!item.natural && item.using === null) return both
    const [a, b] = [concatenated(left.columns), concatenated(right.columns)]
    const names =
      item.using?.map((name) => name.toLowerCase()) ??
      (a.list === null || b.list === null
        ? null
        : a.list.flatMap(({ name }) =>
            name !== null && b.list!.some((one) => one.name?.toLowerCase() === name.toLowerCase())
              ? [name.toLowerCase()]
              : [],
          ))
    const unnamed = [a, b].some((one) => one.list?.some(({ name }) => name === null) ?? true)
    if (names === null || unnamed) {
      // Which columns are merged, or in which order they come, is not known.
      const value = merge([a.whole(), b.whole()])
      if (names === null || item.natural) {
        this.effects.predicate(value)
        this.meet(value)
        return { named: both.named, columns: [uniform(inexact(value))] }
      }
    }
    const merged = names!.map((name): Column => {
      const [x, y] = [a, b].map(
        (side) => side.find(name)?.value ?? unknown(`no column ${name}`),
      ) as [Value, Value]
      const value = merge([x, y])
      this.effects.predicate(value)
      this.meet(value)
      // Equal to the other's, so that it derives from both; but it is the value of one.
      return { name, value: { ...value, exact: item.outer === 'right' ? y.exact : x.exact } }
    })
    // The columns in common come in the order of the first table.
    const order = a.list?.map(({ name }) => name?.toLowerCase())
    const place = (one: Column) => order?.indexOf(one.name!) ?? 0
    merged.sort((x, y) => place(x) - place(y))
    const columns = concatenated([listed(merged), without(a, names!), without(b, names!)])
    return {
      named: both.named,
      // A right join's order is not relied on.
      columns: [unnamed || item.outer === 'right' ? unordered(columns) : columns],
    }
  }

  /** A table of the server by its name. */
  private table({ database, name }: TableName, reads: boolean): Columns {
    const found = this.catalogue.find(database, name)
    this.step(1 + found.length)
    if (found.length === 0) {
      if (reads) this.effects.reads.add(database === null ? name : `${database}.${name}`)
      if (isOwnDatabase(database)) return uniform(ownValue(database!, name))
      return uniform(unknown(`no table ${name} is known`))
    }
    return either(
      found.map((facts) => {
        const view = this.catalogue.look(facts, this.within, this.steps)
        if (reads) {
          this.effects.reads.add(`${facts.schema}.${facts.name}`)
          this.effects.add(view.effects)
        }
        return view.columns
      }),
    )
  }

  private insert(form: Extract<Form, { is: 'insert' }>): Columns {
    const { target } = form
    const reads = form.returning !== null || form.duplicate.length > 0
    const stored = this.table(target, reads)
    const written = new Map<string | null, Value[]>()
    const note = (column: string | null, value: Value) => {
      const key = column?.toLowerCase() ?? null
      const known = written.get(key)
      if (known === undefined) written.set(key, [value])
      else known.push(value)
    }
    const own = this.scopeOf(target, stored)
    let source: Namespace = NO_NAMESPACE
    if (form.source) {
      // Values may name columns of the same row.
      const row =
        form.source.is === 'values'
          ? this.rows(form.source.rows, own)
          : this.query(form.source, OUTSIDE)
      const names = form.columns?.map((one) => one.at(-1)!) ?? stored.list?.map(({ name }) => name)
      // ON DUPLICATE KEY UPDATE may name what the rows come from.
      if (form.source.is === 'select' && form.duplicate.length > 0)
        source = this.fromAll(form.source.from, OUTSIDE)
      if (!names || row.list === null || row.list.length > names.length) {
        note(null, inexact(row.whole()))
        this.write(target, stored, null, row.whole(), form.verb)
      } else
        for (const [i, { value }] of row.list.entries()) {
          note(names[i] ?? null, value)
          this.write(target, stored, names[i] ?? null, value, form.verb)
        }
    }
    for (const { names, value: of } of form.sets) {
      const value = this.value(of, own)
      note(names.at(-1)!, value)
      this.write(target, stored, names.at(-1)!, value, form.verb)
    }
    const after = overlaid(stored, written)
    if (form.duplicate.length > 0) {
      const given = overlaid(mapped(stored, CLEAN), written)
      const more: Namespace = form.alias
        ? namespaceOf(form.alias.name, null, named(given, form.alias.columns))
        : NO_NAMESPACE
      const scope: Scope = {
        ...within(OUTSIDE, beside(beside(namespaceOf(target.name, target, stored), source), more)),
        given,
      }
      this.assign(target, stored, form.duplicate, scope, 'on duplicate key')
    }
    if (form.returning === null) return listed([])
    return this.outputs(form.returning, this.scopeOf(target, after))
  }

  private update(form: Extract<Form, { is: 'update' }>): Columns {
    const outer: Scope = { frame: null, ctes: this.bind(form, OUTSIDE) }
    const namespace = this.fromAll(form.from, outer)
    const scope = within(outer, namespace)
    const tables = tablesOf(form.from)
    for (const { names, value: of } of form.sets) {
      const value = this.value(of, scope)
      const column = names.at(-1)!
      const called = names.slice(0, -1)
      const targets = tables.filter(
        ({ table, alias }) =>
          called.length === 0 ||
          isNamed({ name: alias ?? table.name, table, columns: listed([]) }, called),
      )
      for (const { table } of targets) {
        const stored = this.table(table, false)
        // Of several tables, those that have such a column.
        if (targets.length > 1 && stored.find(column.toLowerCase()) === null) continue
        this.write(table, stored, column, value, 'update')
      }
      if (targets.length === 0) this.effects.flow(nowhere('update'), value)
    }
    if (form.where) this.predicate(form.where, scope)
    for (const one of form.order) this.predicate(one, scope)
    return form.returning === null ? listed([]) : unordered(this.outputs(form.returning, scope))
  }

  private deletion(form: Extract<Form, { is: 'delete' }>): Columns {
    const outer: Scope = { frame: null, ctes: this.bind(form, OUTSIDE) }
    const scope = within(outer, this.fromAll(form.from, outer))
    if (form.where) this.predicate(form.where, scope)
    for (const one of form.order) this.predicate(one, scope)
    return form.returning === null ? listed([]) : this.outputs(form.returning, scope)
  }

  private assign(
    target: TableName,
    stored: Columns,
    sets: readonly Assignment[],
    scope: Scope,
    via: string,
  ): void {
    for (const { names, value } of sets)
      this.write(target, stored, names.at(-1)!, this.value(value, scope), via)
  }

  private write(
    target: TableName,
    stored: Columns,
    column: string | null,
    value: Value,
    via: string,
  ): void {
    const place = column === null ? stored.whole() : stored.find(column.toLowerCase())?.value
    this.meet(
      merge([
        { ...(place ?? unknown('a column that is not known')), constants: CLEAN.constants },
        value,
      ]),
    )
    if (!tainted(value)) return
    const found = this.catalogue.find(target.database, target.name)
    const places =
      found.length > 0
        ? found.map(({ schema, name }) => ({ schema, relation: name }))
        : [{ schema: target.database, relation: target.name }]
    for (const one of places) this.effects.flow({ ...one, column, via }, value)
  }

  private predicate(of: Expression, scope: Scope): void {
    this.effects.predicate(this.value(of, scope))
  }

  value(of: Expression, scope: Scope): Value {
    this.step(1)
    switch (of.is) {
      case 'nothing':
        return CLEAN
      case 'constant':
        return { ...CLEAN, constants: new Set([of.ordinal]) }
      case 'parameter':
        return { ...CLEAN, constants: new Set([-of.number]) }
      case 'column':
        return this.columnOf(of.names, scope)
      case 'variable':
        return this.catalogue.variable(of.name)
      case 'assign': {
        const value = this.value(of.of, scope)
        this.effects.flow(nowhere('variable', `@${of.name}`), value)
        return value
      }
      case 'setting':
        return CLEAN
      case 'cast': {
        const value = this.value(of.of, scope)
        return of.text ? value : inexact(value)
      }
      case 'computed': {
        const value = inexact(this.merge(of.of.map((one) => this.value(one, scope))))
        // Side by side they are not compared with each other.
        if (of.by !== 'row' && of.by !== 'and' && of.by !== 'or' && of.by !== 'xor')
          this.meet(value)
        else if (of.by === 'row') return value
        // Whether there is a value, masks don't hide.
        if (of.by === 'is null' || of.by === 'is not null') return CLEAN
        return of.compares ? { ...value, constants: CLEAN.constants } : value
      }
      case 'case': {
        const by = inexact(this.merge(of.by.map((one) => this.value(one, scope))))
        this.meet(by)
        return inexact(
          this.merge([
            { ...by, constants: CLEAN.constants },
            ...of.of.map((one) => this.value(one, scope)),
          ]),
        )
      }
      case 'call':
        return this.call(of, scope)
      case 'query': {
        const columns = this.query(of.query, scope)
        if (of.as === 'exists') return CLEAN
        const [only] = columns.list ?? []
        return columns.list?.length === 1 ? only!.value : inexact(columns.whole())
      }
    }
  }

  private call(of: Extract<Expression, { is: 'call' }>, scope: Scope): Value {
    const { relations } = this.catalogue
    const shown = of.database === null ? of.name : `${of.database}.${of.name}`
    if (of.name === 'values' && !of.own) {
      const [column] = of.args
      const name = column?.is === 'column' ? column.names.at(-1)!.toLowerCase() : ''
      return scope.given?.find(name)?.value ?? CLEAN
    }
    for (const one of of.by) this.predicate(one, scope)
    // A sequence by its name.
    const isSequence = /^(nextval|lastval|setval)$/.test(of.name) && !of.own
    if (isSequence) return CLEAN
    const args = of.args.map((one) => this.value(one, scope))
    const value = inexact(this.merge(args))
    if (relations.isTrustedFunction(shown)) return this.met(value)
    const builtIn = !of.own
    if (builtIn && of.name === 'last_insert_id') {
      this.effects.flow(nowhere('last_insert_id'), value)
      return this.met(value)
    }
    if (builtIn && (of.name === 'count' || NUMBERING.has(of.name))) {
      this.effects.predicate(value)
      return CLEAN
    }
    if (builtIn && SAYS_NOTHING.has(of.name)) {
      this.effects.flow(nowhere(`function ${shown}`), value)
      return CLEAN
    }
    if (builtIn && isReading(of.name, relations.server, relations.serverVersion))
      return this.met(value)
    const why = `what the function ${shown} does`
    this.effects.flow(nowhere(`function ${shown}`), value)
    if (!(builtIn && /^(benchmark|load_file)$/.test(of.name))) this.effects.code ??= why
    return this.met(merge([value, unknown(why)]))
  }

  private columnOf(names: readonly string[], scope: Scope): Value {
    const name = names.at(-1)!.toLowerCase()
    const found: Value[] = []
    if (names.length === 1) {
      let inner = true
      for (let frame = scope.frame; frame !== null; frame = frame.outer) {
        this.step(frame.columns.length)
        const here = frame.columns.flatMap((one) => one.find(name) ?? [])
        const certain = here.filter((one) => one.certain)
        for (const { value } of certain.length > 0 ? certain : here) found.push(value)
        // Outputs by their alias, for queries within the list of outputs; of either it may be.
        if (!inner || certain.length === 0) {
          const alias = concatenated(
            frame.outputs.filter((one) => !('value' in one) || one.name !== null),
          ).find(name)
          if (alias?.certain) {
            found.push(alias.value)
            if (certain.length === 0) return this.merge(found)
          }
        }
        if (certain.length > 0) return this.merge(found)
        inner = false
      }
      return found.length === 0 ? unknown(`no column ${name}`) : this.merge(found)
    }
    const qualifier = names.slice(0, -1)
    for (let frame = scope.frame; frame !== null; frame = frame.outer) {
      const here = frame.named.filter((one) => isNamed(one, qualifier))
      const exactly = here.filter((one) => one.name === qualifier.at(-1))
      const those = exactly.length > 0 ? exactly : here
      if (those.length === 0) continue
      for (const { columns } of those) {
        const one = columns.find(name)
        if (one !== null) found.push(one.value)
      }
      if (found.length > 0) return this.merge(found)
    }
    return unknown(`no column ${names.join('.')}`)
  }
}

function hasInto(query: Query): boolean {
  return query.into !== null || (query.is === 'set' && query.sides.some(hasInto))
}

function mapped(columns: Columns, value: Value): Columns {
  return columns.list === null
    ? uniform(value)
    : listed(columns.list.map(({ name }) => ({ name, value })))
}

function within(scope: Scope, namespace: Namespace): Scope {
  return { ...scope, frame: { ...namespace, outer: scope.frame, outputs: [] } }
}

function tablesOf(items: readonly From[]): { table: TableName; alias: string | null }[] {
  return items.flatMap((item) => {
    switch (item.is) {
      case 'table':
        return [item]
      case 'join':
        return [...tablesOf([item.left]), ...tablesOf([item.right])]
      case 'list':
        return tablesOf(item.of)
      default:
        return []
    }
  })
}

function beside(a: Namespace, b: Namespace): Namespace {
  return { named: [...a.named, ...b.named], columns: [...a.columns, ...b.columns] }
}

function namespaceOf(name: string, table: TableName | null, columns: Columns): Namespace {
  return { named: [{ name, table, columns }], columns: [columns] }
}

/** Names of tables may differ in case alone on some servers; whoever asks takes all that it may be. */
function isNamed(one: Named, names: readonly string[]): boolean {
  if (one.name.toLowerCase() !== names.at(-1)!.toLowerCase()) return false
  if (names.length === 1) return true
  const database = one.table?.database
  if (one.table === null) return false
  return database === null || database === undefined
    ? true
    : database.toLowerCase() === names.at(-2)!.toLowerCase()
}

function bindingOf(bindings: Bindings | null, name: string): Binding | null {
  for (let at = bindings; at !== null; at = at.outer)
    if (at.binding.name.toLowerCase() === name.toLowerCase()) return at.binding
  return null
}
