/**
 * From which stored columns each output of a statement derives: its lineage against a catalogue, by PostgreSQL's own rules for
 * names. Serves masking, so it errs on one side alone: what can't be proven is `unknown`, never clean.
 * Refuses to look at values, types or rights: a column is a source whoever may read it, and whatever it holds.
 */
import {
  CLEAN,
  CONSTANTS_A_STEP,
  type Column,
  Exhausted,
  type RelationFacts as Facts,
  type Flow,
  type Found,
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
import {
  columnsInFrom,
  effectOf,
  isCatalogue,
  isCatalogueSchema,
  tellingColumns,
} from './clean-catalogue'
import {
  type Alias,
  type Assignment,
  type Expression,
  type Form,
  type From,
  holdsText,
  type Lineage,
  type Output,
  type Query,
  type RelationName,
} from './lineage'
import { READING } from './reading-functions'

export type { Flow, Provenance, Resolved, Source }
export type RelationFacts = Facts<Lineage>
export type Resolver = ResolverOf<Lineage, RelationFacts>

/** What a database has. Implemented by whoever knows its catalogue. */
export interface Relations {
  /** All relations that a name may mean; schema null: any schema (search_path is not known). Empty: not known. */
  find(schema: string | null, name: string): readonly RelationFacts[]
  /** Made by this database, so its body may do anything: function name as written ('f' or 's.f'), operator, type. */
  isOwnFunction(name: string): boolean
  isOwnOperator(name: string): boolean
  isOwnType(name: string): boolean
  /** Said by the configuration to be only a function of its arguments. */
  isTrustedFunction(name: string): boolean
}

const VIEWS_DEEP_MAX = 64
/** Rounds until a recursive query's columns stay what they are. */
const ROUNDS_MAX = 32

/** The columns of something in FROM, or of a query. */
interface Columns {
  /** null where their number or order can't be proven. */
  readonly list: readonly Column[] | null
  /**
   * Where `list` is null: its columns if one function in FROM, whose result's type is not known, gives one column. Any other
   * number shows in the number of the statement's outputs, so it serves for those alone.
   */
  readonly likely?: readonly Column[] | null
  whole(): Value
  /** null: it has no such column. */
  find(name: string, qualified: boolean): Found | null
}

/** Something in FROM by its name. */
interface Named {
  readonly name: string
  /** Of a relation without an alias, which may be named with its schema. */
  readonly relation: RelationName | null
  readonly columns: Columns
}

interface Namespace {
  readonly named: readonly Named[]
  /** What `*` stands for, and names without a qualifier. */
  readonly columns: readonly Columns[]
}

interface Frame extends Namespace {
  readonly outer: Frame | null
}

interface Binding {
  readonly name: string
  columns: Columns | null
  evaluating: boolean
  evaluate: () => void
  /** Of a recursive one, while it is evaluated. */
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
}

const EMPTY: ReadonlySet<never> = new Set<never>()
const NO_NAMESPACE: Namespace = { named: [], columns: [] }
const OUTSIDE: Scope = { frame: null, ctes: null }
/** Of every table; none may be given to a column. */
const SYSTEM_COLUMNS = new Set(['ctid', 'xmin', 'xmax', 'cmin', 'cmax', 'tableoid'])

/**
 * Resolves statements against a catalogue as it is: what was found is kept, so that a changed catalogue needs a new resolver.
 * Temporary relations hide others of their name, so `find` has to know them too, PostgreSQL's own names included.
 */
export function createResolver(relations: Relations): Resolver {
  const known = new WeakMap<Lineage, Resolved>()
  const catalogue = new Catalogue(relations)
  return {
    statement(lineage) {
      let resolved = known.get(lineage)
      if (resolved === undefined) {
        resolved = resolve(catalogue, lineage)
        known.set(lineage, resolved)
      }
      return resolved
    },
    column(facts, column) {
      try {
        const found = catalogue.columns(facts, new Set(), { left: STEPS_MAX }).find(column, true)
        return found ? provenanceOf(found.value) : provenanceOf(unknown(`no column ${column}`))
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
  readonly flows = new Map<string, { to: Flow['to']; sources: Set<Source>; value: Value }>()
  readonly predicates = { sources: new Set<Source>(), unknown: null as string | null }
  code: string | null = null

  predicate(value: Value): void {
    for (const source of value.sources) this.predicates.sources.add(source)
    this.predicates.unknown ??= value.unknown
  }

  flow(to: Flow['to'], value: Value): void {
    if (!tainted(value)) return
    const key = `${to.schema}\0${to.relation}\0${to.column}\0${to.via}`
    const known = this.flows.get(key)
    if (known === undefined) this.flows.set(key, { to, sources: new Set(value.sources), value })
    else {
      for (const source of value.sources) known.sources.add(source)
      known.value = {
        ...CLEAN,
        sources: known.sources,
        exact: known.value.exact && value.exact,
        unknown: known.value.unknown ?? value.unknown,
      }
    }
  }

  add(other: Effects): void {
    for (const name of other.reads) this.reads.add(name)
    for (const { to, value } of other.flows.values()) this.flow(to, value)
    this.predicate({ ...CLEAN, ...other.predicates })
    this.code ??= other.code
  }
}

interface View {
  columns: Columns
  effects: Effects
}

/** Relations of a database, each looked at once. */
class Catalogue {
  private readonly sources = new Map<string, Source>()
  private readonly known = new WeakMap<RelationFacts, View>()
  private readonly named = new Map<string, readonly RelationFacts[]>()
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

  source(schema: string, relation: string, column: string): Source {
    const key = `${schema}\0${relation}\0${column}`
    let source = this.sources.get(key)
    if (source === undefined) {
      source = { schema, relation, column }
      this.sources.set(key, source)
    }
    return source
  }

  columns(facts: RelationFacts, within: Set<RelationFacts>, steps: Steps): Columns {
    return this.look(facts, within, steps).columns
  }

  look(facts: RelationFacts, within: Set<RelationFacts>, steps: Steps): View {
    const known = this.known.get(facts)
    if (known !== undefined) return known
    if (facts.definition === null) {
      const columns = listed(
        facts.columns.map((name) => ({
          name,
          value: {
            ...CLEAN,
            exact: true,
            sources: new Set([this.source(facts.schema, facts.name, name)]),
          },
        })),
      )
      const view = { columns: withSystemColumns(columns), effects: new Effects() }
      this.known.set(facts, view)
      return view
    }
    const names = facts.columns
    const opaque = (why: string): View => ({
      columns: named(uniform(unknown(why)), names),
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
    // Constants of its own text are none of the statement's.
    const value = (one: Value): Value => ({ ...one, constants: EMPTY })
    const columns =
      given.list?.length === names.length
        ? listed(given.list.map((one, i) => ({ name: names[i]!, value: value(one.value) })))
        : named(uniform(value(mismatched(given, names.length))), names)
    const view = { columns, effects: resolution.effects }
    if (within.size === 0 || this.cut === cut) this.known.set(facts, view)
    return view
  }
}

class Resolution extends Resolving {
  readonly effects = new Effects()

  constructor(
    private readonly catalogue: Catalogue,
    private readonly within: Set<RelationFacts>,
    steps: Steps,
  ) {
    super(steps)
  }

  resolved(lineage: Lineage, given: Partial<Resolved> & { columns: Columns }): Resolved {
    const { effects } = this
    const { columns, ...rest } = given
    for (const ordinal of lineage.adrift)
      this.meet({ ...unknown('may go anywhere'), constants: new Set([ordinal]) })
    const [secrets, secretParameters] = [
      new Set(lineage.secrets),
      new Set(lineage.secretParameters),
    ]
    const met = (id: number) => provenanceOf({ ...CLEAN, ...(this.meets.get(id) ?? {}) })
    const ids = [...this.meets.keys()]
    const ordinals = new Set([...ids.filter((id) => id >= 0), ...secrets])
    const numbers = new Set([...ids.filter((id) => id < 0).map((id) => -id), ...secretParameters])
    return {
      outputs: (columns.list ?? columns.likely)?.map(({ value }) => provenanceOf(value)) ?? null,
      whole: provenanceOf(columns.whole()),
      predicates: provenanceOf({ ...CLEAN, ...effects.predicates }),
      flows: [...effects.flows.values()].map(({ to, value }) => ({
        to,
        from: provenanceOf(value),
      })),
      reads: effects.reads,
      code: effects.code,
      constants: [...ordinals]
        .sort((a, b) => a - b)
        .map((ordinal) => ({ ordinal, to: met(ordinal), secret: secrets.has(ordinal) })),
      parameters: [...numbers]
        .sort((a, b) => a - b)
        .map((number) => ({ number, to: met(-number), secret: secretParameters.has(number) })),
      defers: null,
      makes: null,
      unresolved: null,
      ...rest,
    }
  }

  form(form: Form): Partial<Resolved> & { columns: Columns } {
    switch (form.is) {
      case 'query':
        return { columns: this.query(form.query, OUTSIDE) }
      case 'definition': {
        this.query(form.query, OUTSIDE)
        this.effects.flows.clear()
        return { columns: listed([]) }
      }
      case 'into': {
        const { columns } = this.form(form.of)
        const given = named(columns, form.columns)
        for (const [i, one] of (given.list ?? []).entries())
          this.effects.flow(
            {
              schema: form.relation.schema,
              relation: form.relation.name,
              column: one.name ?? `column ${i + 1}`,
              via: form.via,
            },
            one.value,
          )
        if (given.list === null)
          this.effects.flow(
            {
              schema: form.relation.schema,
              relation: form.relation.name,
              column: null,
              via: form.via,
            },
            given.whole(),
          )
        return { columns: listed([]) }
      }
      case 'explain': {
        this.form(form.of)
        if (!form.runs) this.effects.flows.clear()
        return { columns: listed([{ name: 'QUERY PLAN', value: CLEAN }]) }
      }
      case 'copy-out': {
        const columns = this.query(form.query, OUTSIDE)
        if (form.via === null) return { columns }
        this.effects.flow(nowhere(`copy to ${form.via}`), columns.whole())
        return { columns: listed([]) }
      }
      case 'copy-in': {
        const columns = this.relation(form.target, false)
        this.predicate(form.predicate, {
          frame: { ...namespaceOf(form.target.name, form.target, columns), outer: null },
          ctes: null,
        })
        // What the client sends, by where it goes.
        return { columns: this.query(form.query, OUTSIDE) }
      }
      case 'make': {
        const { kind, name } = form
        return { columns: this.form(form.of).columns, makes: { kind, name } }
      }
      case 'defer': {
        const { kind, name } = form
        const why =
          kind === 'cursor' ? `rows of the cursor ${name}` : `what ${name} was prepared as`
        for (const arg of form.args) {
          const value = this.value(arg, OUTSIDE)
          this.meet(merge([value, unknown(why)]))
          this.effects.flow(nowhere(`execute ${name}`), value)
        }
        if (kind === 'prepared') this.effects.code ??= why
        return {
          columns: form.moves ? listed([]) : uniform(unknown(why)),
          defers: { kind, name },
        }
      }
      case 'show': {
        const value = holdsText(form.setting) ? unknown(`the setting ${form.setting}`) : CLEAN
        if (form.setting !== 'all') return { columns: listed([{ name: form.setting, value }]) }
        return {
          columns: listed([
            { name: 'name', value: CLEAN },
            { name: 'setting', value: unknown('settings of any name') },
            { name: 'description', value: CLEAN },
          ]),
        }
      }
      case 'call': {
        const value = this.value(form.of, OUTSIDE)
        this.effects.code ??= 'a procedure'
        return { columns: uniform(merge([value, unknown('a procedure')])) }
      }
      case 'code':
        this.effects.code ??= form.why
        return { columns: listed([]) }
      case 'utility': {
        for (const one of form.runs) this.value(one, OUTSIDE)
        if (form.target !== null && form.sets.length > 0) {
          const columns = this.relation(form.target, false)
          this.assign(form.target, form.sets, 'alter table', {
            frame: { ...namespaceOf(form.target.name, form.target, columns), outer: null },
            ctes: null,
          })
        }
        return { columns: listed([]) }
      }
    }
  }

  query(query: Query, outer: Scope): Columns {
    this.step(1)
    if (query.is === 'unknown') return uniform(unknown(query.why))
    const scope: Scope = { frame: outer.frame, ctes: this.bind(query, outer) }
    const given = this.body(query, scope)
    // What changes data does so whether it is looked at or not.
    for (let at = scope.ctes; at !== outer.ctes && at !== null; at = at.outer)
      this.bound(at.binding)
    return given
  }

  private body(query: Exclude<Query, { is: 'unknown' }>, scope: Scope): Columns {
    switch (query.is) {
      case 'select':
        return this.select(query, scope)
      case 'values': {
        const columns = listed(
          query.columns.map((column, i) => ({
            name: `column${i + 1}`,
            value: this.merge(column.map((one) => this.value(one, scope))),
          })),
        )
        this.orderings(query, columns, NO_NAMESPACE, scope)
        return columns
      }
      case 'set': {
        const sides = query.sides.map((side) => this.query(side, scope))
        const columns = this.united(sides)
        if (query.compares) {
          const whole = columns.list?.map(({ value }) => value) ?? [columns.whole()]
          for (const value of whole) {
            this.meet(value)
            this.effects.predicate(value)
          }
        }
        this.orderings(query, columns, NO_NAMESPACE, scope)
        return columns
      }
      case 'change':
        return this.change(query, scope)
    }
  }

  /** Column by column, with the names of the first. */
  private united(sides: readonly Columns[]): Columns {
    const [first] = sides
    const lists = sides.map((side) => side.list)
    if (lists.some((one) => one === null || one.length !== first!.list?.length))
      return uniform(this.merge(sides.map((side) => side.whole())))
    return listed(
      first!.list!.map(({ name }, i) => ({
        name,
        value: this.merge(lists.map((one) => one![i]!.value)),
      })),
    )
  }

  private bind(query: Exclude<Query, { is: 'unknown' }>, outer: Scope): Bindings | null {
    let bindings = outer.ctes
    const scopes: (() => Scope)[] = []
    for (const [i, cte] of query.ctes.entries()) {
      const before = bindings
      // Those of a recursive list see each other; others see those before.
      scopes[i] = () => ({ frame: outer.frame, ctes: query.recursive ? last : before })
      const extra = (columns: Columns): Columns =>
        cte.more.length === 0
          ? columns
          : concatenated([
              columns,
              listed(cte.more.map((name) => ({ name, value: inexact(columns.whole()) }))),
            ])
      const binding: Binding = {
        name: cte.name,
        columns: null,
        evaluating: false,
        referenced: false,
        approximation: () => {
          const base = cte.query.is === 'set' ? cte.query.sides[0]! : null
          if (base === null) return uniform(unknown(`${cte.name} is made of itself`))
          // Itself, within what it starts with, is nothing that PostgreSQL allows.
          binding.approximation = () => uniform(unknown(`${cte.name} starts with itself`))
          const start = extra(named(this.query(base, scopes[i]!()), cte.columns))
          binding.approximation = () => start
          return start
        },
        evaluate: () => {
          const once = () => named(this.query(cte.query, scopes[i]!()), cte.columns)
          let given = extra(once())
          for (let round = 0; binding.referenced; round++) {
            const before = binding.approximation()
            const next = this.united([before, given])
            if (sameColumns(before, next)) break
            if (round >= ROUNDS_MAX) {
              given = uniform(unknown(`${cte.name} is recursive beyond ${ROUNDS_MAX} rounds`))
              break
            }
            binding.approximation = () => next
            given = extra(once())
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
    const inner: Scope = { frame: { ...namespace, outer: scope.frame }, ctes: scope.ctes }
    const columns = this.outputs(query.outputs, inner)
    this.orderings(query, columns, namespace, scope)
    if (query.distinct) this.effects.predicate(columns.whole())
    return columns
  }

  /** What chooses, orders and groups, where a bare name may be an output and a bare number is one - any, as numbers are not kept. */
  private orderings(
    query: { predicates: readonly Expression[]; ordering: readonly Expression[] },
    columns: Columns,
    namespace: Namespace,
    scope: Scope,
  ): void {
    const inner: Scope = { frame: { ...namespace, outer: scope.frame }, ctes: scope.ctes }
    for (const one of query.predicates) this.predicate(one, inner)
    for (const one of query.ordering) {
      if (one.is === 'constants') this.effects.predicate(columns.whole())
      else if (one.is === 'column' && one.names.length === 1) {
        const output = columns.find(one.names[0]!, false)
        if (output !== null) this.effects.predicate(output.value)
        const column = this.lookUp(one.names, inner)
        if (column !== null) this.effects.predicate(column)
        if (output === null && column === null)
          this.effects.predicate(unknown(`no column ${one.names[0]}`))
      } else this.predicate(one, inner)
    }
  }

  private outputs(outputs: readonly Output[], scope: Scope): Columns {
    return concatenated(outputs.map((output) => this.output(output, scope)))
  }

  private output(output: Output, scope: Scope): Columns | Column {
    switch (output.is) {
      case 'value':
        return { name: output.name, value: this.value(output.of, scope) }
      case 'star':
        if (output.of.length === 0) return concatenated(scope.frame?.columns ?? [])
        return this.rowsOf(output.of, scope)[0] ?? uniform(unknown(`no ${output.of.join('.')}`))
      case 'fields':
        return this.rowOf(output.of, scope) ?? uniform(inexact(this.value(output.of, scope)))
    }
  }

  /** Everything of that name in FROM, as one. */
  private rowsOf(names: readonly string[], scope: Scope): readonly Columns[] {
    for (let frame = scope.frame; frame !== null; frame = frame.outer) {
      const found = frame.named.filter((one) => isNamed(one, names)).map((one) => one.columns)
      if (found.length === 1) return found
      if (found.length > 1) return [this.united(found)]
    }
    return []
  }

  /** The columns of a whole-row reference; null where it is none. */
  private rowOf(of: Expression, scope: Scope): Columns | null {
    if (of.is === 'row') return this.rowsOf(of.names, scope)[0] ?? null
    if (of.is !== 'column') return null
    return this.columnOf(of.names, scope) === null
      ? (this.rowsOf(of.names, scope)[0] ?? null)
      : null
  }

  private fromAll(items: readonly From[], scope: Scope): Namespace {
    let all: Namespace = NO_NAMESPACE
    for (const item of items) all = beside(all, this.from(item, all, scope))
    return all
  }

  /** `before` is what LATERAL sees. */
  private from(item: From, before: Namespace, scope: Scope): Namespace {
    this.step(1)
    const lateral: Scope = { frame: { ...before, outer: scope.frame }, ctes: scope.ctes }
    switch (item.is) {
      case 'relation': {
        const binding = item.schema === null ? bindingOf(scope.ctes, item.name) : null
        const columns = binding ? this.bound(binding) : this.relation(item, true)
        return aliased(item.alias, item.name, binding ? null : item, columns)
      }
      case 'query': {
        const columns = this.query(item.query, item.lateral ? lateral : scope)
        return aliased(item.alias, null, null, columns)
      }
      case 'join':
        return this.join(item, before, scope)
      case 'functions': {
        const single = item.calls.length === 1
        const given: Value[] = []
        const parts = item.calls.map((call) => {
          const value = inexact(this.value(call.of, lateral))
          if (call.columns) return listed(call.columns.map((name) => ({ name, value })))
          const plain = call.of.is === 'call' ? call.of.name : ''
          const names = call.of.is === 'call' ? columnsInFrom(plain) : null
          const own = this.catalogue.relations
          if (names === 'unknown' || own.isOwnFunction(plain) || own.isTrustedFunction(plain))
            return plain.endsWith('pg_stat_statements')
              ? uniform(merge([value, unknown('texts of statements')]))
              : { ...uniform(value), likely: likelyOf(call.of, value) }
          const name = (single ? item.alias?.name : undefined) ?? call.name
          given.push(value)
          return listed((names ?? [name]).map((one) => ({ name: one, value })))
        })
        if (item.ordinality) parts.push(listed([{ name: 'ordinality', value: CLEAN }]))
        const columns = named(concatenated(parts), item.alias?.columns ?? [])
        const name = item.alias?.name ?? item.calls[0]?.name ?? null
        return aliased(null, name, null, lenient(columns, this.merge(given)))
      }
      case 'table': {
        const value = inexact(this.value(item.of, lateral))
        const columns = listed(
          item.columns.map(({ name, counts }) => ({ name, value: counts ? CLEAN : value })),
        )
        return aliased(item.alias, null, null, columns)
      }
      case 'sample': {
        const inner = this.from(item.of, before, scope)
        if (item.by.is === 'call') {
          for (const arg of item.by.args) this.predicate(arg, lateral)
          if (!/^(pg_catalog\.)?(bernoulli|system)$/.test(item.by.name))
            this.effects.code ??= `the sampling method ${item.by.name}`
        }
        return inner
      }
    }
  }

  private join(item: Extract<From, { is: 'join' }>, before: Namespace, scope: Scope): Namespace {
    const left = this.from(item.left, before, scope)
    const right = this.from(item.right, beside(before, left), scope)
    const both = beside(left, right)
    if (item.on)
      this.predicate(item.on, { frame: { ...both, outer: scope.frame }, ctes: scope.ctes })
    const [a, b] = [concatenated(left.columns), concatenated(right.columns)]
    let columns: Columns
    let merged: Columns = listed([])
    if (item.natural || item.using !== null) {
      this.operator('=')
      const names =
        item.using ??
        (a.list === null || b.list === null
          ? null
          : a.list.flatMap(({ name }) =>
              name !== null && b.list!.some((one) => one.name === name) ? [name] : [],
            ))
      if (names === null || [a, b].some(hasUnnamed)) {
        // Which columns are merged is not known.
        const value = this.merge([a.whole(), b.whole()])
        this.effects.predicate(value)
        this.meet(value)
        columns = uniform(inexact(value))
        merged = columns
      } else {
        merged = listed(
          names.map((name) => {
            const [x, y] = [a, b].map(
              (side) => side.find(name, true)?.value ?? unknown(`no column ${name}`),
            ) as [Value, Value]
            const both = this.merge([x, y])
            this.effects.predicate(both)
            this.meet(both)
            // Equal to the other's, so that it derives from both; but it is the value of one.
            const { exact } = item.keeps === null ? both : item.keeps === 'left' ? x : y
            return { name, value: { ...both, exact } }
          }),
        )
        const rest = (side: Columns): Columns =>
          side.list === null
            ? without(side, names)
            : listed(side.list.filter(({ name }) => name === null || !names.includes(name)))
        columns = concatenated([merged, rest(a), rest(b)])
      }
    } else columns = concatenated([a, b])
    if (item.alias) return aliased(item.alias, null, null, columns)
    const using = item.usingAlias
      ? [{ name: item.usingAlias, relation: null, columns: merged }]
      : []
    return { named: [...both.named, ...using], columns: [columns] }
  }

  /** A relation of the database by its name. */
  private relation({ schema, name }: RelationName, reads: boolean): Columns {
    const found = this.catalogue.find(schema, name)
    const own = found.filter((one) => !isCatalogueSchema(one.schema))
    const candidates: Columns[] = own.map((facts) => {
      const view = this.catalogue.look(facts, this.within, this.steps)
      if (reads) {
        this.effects.reads.add(`${facts.schema}.${facts.name}`)
        this.effects.add(view.effects)
      }
      this.step(1)
      return view.columns
    })
    const system = found.find((one) => isCatalogueSchema(one.schema))
    if (
      system !== undefined ||
      (isCatalogue(schema, name) && !(name === 'pg_stat_statements' && own.length > 0))
    ) {
      if (reads) this.effects.reads.add(`${system?.schema ?? schema ?? 'pg_catalog'}.${name}`)
      candidates.push(catalogueColumns(name, system?.columns ?? null))
    }
    if (candidates.length === 1) return candidates[0]!
    if (candidates.length === 0) {
      if (reads) this.effects.reads.add(schema === null ? name : `${schema}.${name}`)
      return uniform(unknown(`no relation ${name} is known`))
    }
    return this.either(candidates)
  }

  /** One of several, and it is not known which. */
  private either(candidates: readonly Columns[]): Columns {
    const names = candidates.map((one) => JSON.stringify(one.list?.map(({ name }) => name) ?? null))
    const alike = names.every((one) => one === names[0]) && candidates[0]!.list !== null
    return {
      list: alike ? this.united(candidates).list : null,
      whole: () => this.merge(candidates.map((one) => one.whole())),
      find: (name, qualified) => {
        const found = candidates.flatMap((one) => one.find(name, qualified) ?? [])
        if (found.length === 0) return null
        return {
          value: this.merge(found.map(({ value }) => value)),
          certain: found.length === candidates.length && found.every(({ certain }) => certain),
        }
      },
    }
  }

  private change(query: Extract<Query, { is: 'change' }>, scope: Scope): Columns {
    const { target, verb } = query
    const reads =
      verb !== 'insert' || query.returning !== null || (query.conflict?.sets.length ?? 0) > 0
    const stored = this.relation(target, reads)
    const own = aliased(
      target.alias === null ? null : { name: target.alias, columns: [] },
      target.name,
      target,
      stored,
    )
    const joined = beside(own, this.fromJoined(query.from, own, scope))
    const inner: Scope = { frame: { ...joined, outer: scope.frame }, ctes: scope.ctes }
    /** What is written, by column; null: to any. */
    const written = new Map<string | null, Value[]>()
    const note = (column: string | null, value: Value) => {
      const known = written.get(column)
      if (known === undefined) written.set(column, [value])
      else known.push(value)
    }
    for (const one of query.predicates) this.predicate(one, inner)
    if (query.source) {
      const source = this.query(query.source, scope)
      this.writeRow(target, stored, query.columns, source, 'insert', note)
    }
    for (const { columns, values } of query.inserts) {
      const row = values.some((one) => one.is === 'row')
        ? uniform(inexact(this.merge(values.map((one) => this.value(one, inner)))))
        : listed(values.map((one) => ({ name: null, value: this.value(one, inner) })))
      this.writeRow(target, stored, columns, row, 'merge', note)
    }
    this.assign(target, query.sets, verb, inner, stored, note)
    if (query.conflict) {
      const excluded: Named = {
        name: 'excluded',
        relation: null,
        columns: overlaid(stored, written, (values) => this.merge(values)),
      }
      const conflicting: Scope = {
        frame: { ...own, named: [...own.named, excluded], outer: scope.frame },
        ctes: scope.ctes,
      }
      for (const one of query.conflict.predicates) this.predicate(one, conflicting)
      this.assign(target, query.conflict.sets, 'on conflict', conflicting, stored, note)
    }
    if (query.returning === null) return listed([])
    const after = overlaid(stored, written, (values) => this.merge(values))
    const named: Named[] = [
      ...own.named.map((one) => ({ ...one, columns: after })),
      ...joined.named.slice(own.named.length),
      { name: query.old, relation: null, columns: after },
      { name: query.new, relation: null, columns: after },
    ]
    const columns = [after, ...joined.columns.slice(1)]
    return this.outputs(query.returning, {
      frame: {
        named,
        // In which order a MERGE's `*` gives both sides is not relied on.
        columns: verb === 'merge' ? columns.map(unordered) : columns,
        outer: scope.frame,
      },
      ctes: scope.ctes,
    })
  }

  /** FROM and USING of a change: LATERAL sees its target. */
  private fromJoined(items: readonly From[], own: Namespace, scope: Scope): Namespace {
    let all = own
    for (const item of items) all = beside(all, this.from(item, all, scope))
    return { named: all.named.slice(own.named.length), columns: all.columns.slice(1) }
  }

  /** A row that is inserted, by its columns' order. */
  private writeRow(
    target: RelationName,
    stored: Columns,
    columns: readonly string[] | null,
    row: Columns,
    via: string,
    note: (column: string | null, value: Value) => void,
  ): void {
    const names = columns ?? stored.list?.map(({ name }) => name) ?? null
    if (names === null || row.list === null || row.list.length > names.length) {
      const value = row.whole()
      note(null, inexact(value))
      this.write(target, stored, null, value, via)
      return
    }
    for (const [i, { value }] of row.list.entries()) {
      const name = names[i] ?? null
      note(name, value)
      this.write(target, stored, name, value, via)
    }
  }

  private assign(
    target: RelationName,
    sets: readonly Assignment[],
    via: string,
    scope: Scope,
    stored?: Columns,
    note?: (column: string | null, value: Value) => void,
  ): void {
    for (const { column, value: of } of sets) {
      const value = this.value(of, scope)
      note?.(column, value)
      this.write(target, stored ?? uniform(CLEAN), column, value, via)
    }
  }

  private write(
    target: RelationName,
    stored: Columns,
    column: string | null,
    value: Value,
    via: string,
  ): void {
    const place = column === null ? stored.whole() : stored.find(column, true)?.value
    this.meet(this.merge([{ ...(place ?? CLEAN), constants: EMPTY }, value]))
    if (!tainted(value)) return
    const found = this.catalogue.find(target.schema, target.name)
    const names = found.length > 0 ? found : [target]
    for (const { schema, name } of names)
      this.effects.flow({ schema, relation: name, column, via }, value)
  }

  private predicate(of: Expression, scope: Scope): void {
    this.effects.predicate(this.value(of, scope))
  }

  value(of: Expression, scope: Scope): Value {
    this.step(1)
    switch (of.is) {
      case 'nothing':
        return CLEAN
      case 'constants':
        this.step(of.ordinals.length / CONSTANTS_A_STEP)
        return { ...CLEAN, constants: new Set(of.ordinals) }
      case 'parameter':
        return { ...CLEAN, constants: new Set([-of.number]) }
      case 'column':
        return this.lookUp(of.names, scope) ?? unknown(`no column ${of.names.join('.')}`)
      case 'row': {
        const [row] = this.rowsOf(of.names, scope)
        return row ? inexact(row.whole()) : unknown(`no ${of.names.join('.')}`)
      }
      case 'field': {
        const row = this.rowOf(of.of, scope)
        const found = row?.find(of.name, true)
        if (found) return found.value
        if (row !== null) return this.functionOf(of.name, row)
        const value = inexact(this.value(of.of, scope))
        if (!this.catalogue.relations.isOwnFunction(of.name)) return value
        return this.functionOf(of.name, uniform(value))
      }
      case 'cast': {
        const value = this.value(of.of, scope)
        if (this.catalogue.relations.isOwnType(of.type)) {
          const why = `the type ${of.type} is the database's own`
          this.effects.code ??= why
          this.effects.flow(nowhere(`type ${of.type}`), value)
          return this.met(merge([inexact(value), unknown(why)]))
        }
        return of.text ? value : inexact(value)
      }
      case 'computed': {
        const value = inexact(this.merge(of.of.map((one) => this.value(one, scope))))
        const own = of.operators.map((one) => this.operator(one, value)).find((one) => one !== null)
        this.meet(own ? merge([value, own]) : value)
        if (own) return merge([value, own])
        return of.compares ? { ...value, constants: EMPTY } : value
      }
      case 'beside':
        return inexact(this.merge(of.of.map((one) => this.value(one, scope))))
      case 'hidden':
        for (const one of of.of) this.value(one, scope)
        return CLEAN
      case 'by':
        for (const one of of.of) this.predicate(one, scope)
        return CLEAN
      case 'call':
        return this.call(of, scope)
      case 'query': {
        const columns = this.query(of.query, scope)
        const [only] = columns.list ?? []
        return columns.list?.length === 1 ? only!.value : inexact(columns.whole())
      }
      case 'part':
        return this.part(of, scope)
      case 'unknown':
        return merge([...of.of.map((one) => this.value(one, scope)), unknown(of.why)])
    }
  }

  /** One of the values that are assigned together. */
  private part(of: Extract<Expression, { is: 'part' }>, scope: Scope): Value {
    if (of.of.is === 'query') {
      const columns = this.query(of.of.query, scope)
      return columns.list?.[of.at]?.value ?? inexact(columns.whole())
    }
    if (of.of.is === 'beside' && !of.of.of.some((one) => one.is === 'row')) {
      const one = of.of.of[of.at]
      if (one) return this.value(one, scope)
    }
    return inexact(this.value(of.of, scope))
  }

  private call(of: Extract<Expression, { is: 'call' }>, scope: Scope): Value {
    const { relations } = this.catalogue
    for (const one of of.by) this.predicate(one, scope)
    const value = inexact(this.merge(of.args.map((one) => this.value(one, scope))))
    const trusted = relations.isTrustedFunction(of.name)
    const effect = trusted
      ? 'computes'
      : relations.isOwnFunction(of.name)
        ? 'unknown'
        : effectOf(of.name, of.windowed, of.plain)
    if (effect === 'says-nothing') return CLEAN
    if (effect === 'shows' || effect === 'unknown')
      this.effects.flow(nowhere(`function ${of.name}`), value)
    if (effect !== 'unknown') return this.met(value)
    const why = `what the function ${of.name} does`
    // Those that only read are code of PostgreSQL's own: what they read is known, though not whose it is.
    if (relations.isOwnFunction(of.name) || !READING.has(of.name.replace(/^pg_catalog\./, '')))
      this.effects.code ??= why
    return this.met(merge([value, unknown(why)]))
  }

  /** Why what an operator gives is not known; null: it is PostgreSQL's own. */
  private operator(name: string, value: Value = CLEAN): Value | null {
    if (!this.catalogue.relations.isOwnOperator(name)) return null
    const why = `the operator ${name} is the database's own`
    this.effects.code ??= why
    this.effects.flow(nowhere(`operator ${name}`), value)
    return unknown(why)
  }

  /** What a column reference means: a column, of the innermost query that has it, or else a whole row. */
  private lookUp(names: readonly string[], scope: Scope): Value | null {
    const column = this.columnOf(names, scope)
    if (column?.certain) return column.value
    const [row] = names.length < 3 ? this.rowsOf(names, scope) : []
    const found = [column?.value, row && inexact(row.whole())].filter((one) => one !== undefined)
    return found.length === 0 ? null : this.merge(found)
  }

  private columnOf(names: readonly string[], scope: Scope): Found | null {
    const found: Value[] = []
    if (names.length === 1) {
      const [name] = names
      for (let frame = scope.frame; frame !== null; frame = frame.outer) {
        this.step(frame.columns.length)
        const here = frame.columns.flatMap((one) => one.find(name!, false) ?? [])
        // Two would be ambiguous, so that one which is certain is the one.
        const certain = here.filter((one) => one.certain)
        for (const { value } of certain.length > 0 ? certain : here) found.push(value)
        if (certain.length > 0) return { value: this.merge(found), certain: true }
      }
      return found.length === 0 ? null : { value: this.merge(found), certain: false }
    }
    const [name] = names.slice(-1)
    // With the database's name in front, or without.
    const qualifier = names.slice(0, -1).slice(-2)
    for (let frame = scope.frame; frame !== null; frame = frame.outer) {
      const here = frame.named.filter((one) => isNamed(one, qualifier))
      if (here.length === 0) continue
      for (const { columns } of here) {
        const one = columns.find(name!, true)
        if (one) found.push(one.value)
        // `t.f` may be the function f of the row.
        if (one === null) found.push(this.functionOf(name!, columns))
        else if (columns.list === null && this.catalogue.relations.isOwnFunction(name!))
          found.push(this.functionOf(name!, columns))
        else if (!one.certain && READING.has(name!)) found.push(inexact(columns.whole()))
      }
      return { value: this.merge(found), certain: true }
    }
    return null
  }

  /** A function of a row, written as if it were a column. */
  private functionOf(name: string, row: Columns): Value {
    const value = inexact(row.whole())
    const why = `what ${name} is`
    this.effects.code ??= why
    this.effects.flow(nowhere(`function ${name}`), value)
    return this.merge([value, unknown(why)])
  }
}

function hasUnnamed(columns: Columns): boolean {
  return columns.list?.some(({ name }) => name === null) ?? false
}

function listed(list: readonly Column[]): Columns {
  let whole: Value | null = null
  let byName: Map<string | null, Value> | null = null
  return {
    list,
    whole() {
      whole ??= inexactUnless(list.length === 1, merge(list.map(({ value }) => value)))
      return whole
    },
    find(name) {
      if (byName === null) {
        byName = new Map()
        for (const one of list) {
          const known = byName.get(one.name)
          byName.set(one.name, known === undefined ? one.value : merge([known, one.value]))
        }
      }
      const value = byName.get(name)
      if (value !== undefined) return { value, certain: true }
      const unnamed = byName.get(null)
      return unnamed === undefined ? null : { value: unnamed, certain: false }
    },
  }
}

function inexactUnless(exact: boolean, value: Value): Value {
  return exact ? value : inexact(value)
}

/** Columns of any names and number, each of which may be `value`. */
function uniform(value: Value): Columns {
  return { list: null, whole: () => value, find: () => ({ value, certain: false }) }
}

/** A function's columns, which may have others where its result is a row. */
function lenient(columns: Columns, value: Value): Columns {
  if (!tainted(value)) return columns
  return {
    ...columns,
    find: (name, qualified) => columns.find(name, qualified) ?? { value, certain: false },
  }
}

function withSystemColumns(columns: Columns): Columns {
  return {
    list: columns.list,
    whole: () => columns.whole(),
    find: (name, qualified) =>
      columns.find(name, qualified) ??
      (SYSTEM_COLUMNS.has(name) ? { value: CLEAN, certain: true } : null),
  }
}

function catalogueColumns(relation: string, names: readonly string[] | null): Columns {
  const telling = tellingColumns(relation)
  const value = (column: string) => (telling.has(column) ? unknown(`${relation}.${column}`) : CLEAN)
  if (names !== null)
    return withSystemColumns(listed(names.map((name) => ({ name, value: value(name) }))))
  return {
    list: null,
    whole: () => (telling.size > 0 ? unknown(`columns of ${relation}`) : CLEAN),
    find: (name, qualified) => ({ value: value(name), certain: qualified }),
  }
}

/** Columns with an alias's names for the first of them. */
function named(columns: Columns, names: readonly string[]): Columns {
  if (names.length === 0) return columns
  if (columns.list !== null)
    return listed(columns.list.map((one, i) => ({ name: names[i] ?? one.name, value: one.value })))
  const given = new Set(names)
  const value = () => columns.whole()
  return {
    list: null,
    likely: columns.likely?.map((one, i) => ({ name: names[i] ?? one.name, value: one.value })),
    whole: value,
    find: (name) => ({ value: value(), certain: given.has(name) }),
  }
}

function concatenated(parts: readonly (Columns | Column)[]): Columns {
  const all: Columns[] = []
  let run: Column[] = []
  let list: Column[] | null = []
  const close = () => {
    if (run.length > 0) all.push(listed(run))
    run = []
  }
  for (const part of parts) {
    if ('value' in part) {
      run.push(part)
      list?.push(part)
      continue
    }
    close()
    all.push(part)
    if (part.list === null) list = null
    else if (list !== null) for (const one of part.list) list.push(one)
  }
  close()
  if (all.length === 1) return all[0]!
  let whole: Value | null = null
  return {
    list,
    likely:
      list === null && all.filter((one) => one.list === null).length === 1 ? likely(all) : null,
    whole() {
      whole ??= inexact(merge(all.map((one) => one.whole())))
      return whole
    },
    find(name, qualified) {
      const found = all.flatMap((one) => one.find(name, qualified) ?? [])
      const certain = found.filter((one) => one.certain)
      if (found.length === 0) return null
      return {
        value: merge((certain.length > 0 ? certain : found).map(({ value }) => value)),
        certain: certain.length > 0,
      }
    },
  }
}

/** Of a view whose definition, as it is known, does not give its columns. */
function mismatched(given: Columns, columns: number): Value {
  const value = inexact(given.whole())
  return given.list === null
    ? value
    : merge([value, unknown(`a definition of ${given.list.length} columns, not ${columns}`)])
}

function likely(parts: readonly Columns[]): readonly Column[] | null {
  const lists = parts.map((one) => one.list ?? one.likely)
  return lists.some((one) => !one) ? null : lists.flatMap((one) => one ?? [])
}

/** A function's columns if it gives one; of several arguments `unnest` gives more. */
function likelyOf(of: Expression, value: Value): readonly Column[] | null {
  if (of.is !== 'call') return null
  const plain = of.name.replace(/^pg_catalog\./, '')
  const single = plain === 'unnest' ? of.args.length === 1 : !READING.has(plain)
  return single ? [{ name: null, value }] : null
}

/** Those of a side whose columns are not all known, less some. */
function without(columns: Columns, names: readonly string[]): Columns {
  return {
    list: null,
    whole: () => columns.whole(),
    find: (name, qualified) => (names.includes(name) ? null : columns.find(name, qualified)),
  }
}

function unordered(columns: Columns): Columns {
  return {
    list: null,
    whole: () => columns.whole(),
    find: (name, qualified) => columns.find(name, qualified),
  }
}

/** A relation's columns and what a statement writes to them. */
function overlaid(
  columns: Columns,
  written: ReadonlyMap<string | null, readonly Value[]>,
  merged: (values: readonly Value[]) => Value,
): Columns {
  const anywhere = written.get(null) ?? []
  const over = (name: string | null, value: Value): Value => {
    const more = [...anywhere, ...((name === null ? undefined : written.get(name)) ?? [])]
    if (more.length === 0) return value
    // What is written becomes the column's value itself, unless it is made of others'.
    const own = (one: Value) =>
      one.unknown === null && [...one.sources].every((source) => value.sources.has(source))
    return {
      ...merged([value, ...more]),
      exact: value.exact && more.every((one) => one.exact || own(one)),
    }
  }
  const all = [...written.values()].flat()
  return {
    list: columns.list?.map(({ name, value }) => ({ name, value: over(name, value) })) ?? null,
    whole: () => inexact(merged([columns.whole(), ...all])),
    find: (name, qualified) => {
      const found = columns.find(name, qualified)
      return found && { value: over(name, found.value), certain: found.certain }
    },
  }
}

function beside(a: Namespace, b: Namespace): Namespace {
  return { named: [...a.named, ...b.named], columns: [...a.columns, ...b.columns] }
}

function aliased(
  alias: Alias | null,
  name: string | null,
  relation: RelationName | null,
  columns: Columns,
): Namespace {
  if (alias) return namespaceOf(alias.name, null, named(columns, alias.columns))
  return name === null ? { named: [], columns: [columns] } : namespaceOf(name, relation, columns)
}

function namespaceOf(name: string, relation: RelationName | null, columns: Columns): Namespace {
  return { named: [{ name, relation, columns }], columns: [columns] }
}

function isNamed(one: Named, names: readonly string[]): boolean {
  if (one.name !== names.at(-1)) return false
  if (names.length === 1) return true
  const { relation } = one
  return relation !== null && (relation.schema === null || relation.schema === names.at(-2))
}

function bindingOf(bindings: Bindings | null, name: string): Binding | null {
  for (let at = bindings; at !== null; at = at.outer)
    if (at.binding.name === name) return at.binding
  return null
}
