/**
 * From which columns a statement's outputs derive, as far as its text says: names not yet looked up, so that it holds for every
 * database and can be kept with the statement's analysis. `provenance` resolves it against a catalogue.
 * Holds no values of constants (statements that differ in integers share it), only where they stand.
 * Refuses to guess: what is not known here has the form `unknown`, and so has everything made of it.
 */
import { type ConstantRange, constantsOf } from './constants'

/** Plain data, for `provenance` alone to read. */
export interface Lineage {
  /** Why nothing is known of the statement; null where `form` says. */
  readonly unknown: string | null
  readonly form: Form | null
  /** Ordinals of constants, and numbers of parameters, that are secrets by their place. */
  readonly secrets: readonly number[]
  readonly secretParameters: readonly number[]
  /** Ordinals of constants that may end up anywhere: texts of code, options. */
  readonly adrift: readonly number[]
  /** Roughly what it takes to keep. */
  readonly bytes: number
}

export interface RelationName {
  readonly schema: string | null
  readonly name: string
}

export interface Alias {
  readonly name: string
  readonly columns: readonly string[]
}

export type Expression =
  /** Neither column nor constant: NULL, CURRENT_DATE, DEFAULT. */
  | { readonly is: 'nothing' }
  | { readonly is: 'constants'; readonly ordinals: number[] }
  | { readonly is: 'parameter'; readonly number: number }
  | { readonly is: 'column'; readonly names: readonly string[] }
  /** `t.*` where a value stands, by its qualifier. */
  | { readonly is: 'row'; readonly names: readonly string[] }
  | { readonly is: 'field'; readonly of: Expression; readonly name: string }
  | { readonly is: 'cast'; readonly of: Expression; readonly type: string; readonly text: boolean }
  /** Computed of all together; `compares` where it gives true or false. */
  | {
      readonly is: 'computed'
      readonly of: Expression[]
      readonly operators: string[]
      readonly compares: boolean
    }
  /** AND, OR, rows, arrays: side by side, not compared. */
  | { readonly is: 'beside'; readonly of: Expression[] }
  /** Evaluated, but of its value only whether there is one comes through. */
  | { readonly is: 'hidden'; readonly of: readonly Expression[] }
  /** No value: it chooses and orders rows. */
  | { readonly is: 'by'; readonly of: readonly Expression[] }
  | {
      readonly is: 'call'
      readonly name: string
      readonly args: readonly Expression[]
      /** What chooses and orders its rows: FILTER, ORDER BY, OVER, DISTINCT. */
      readonly by: readonly Expression[]
      /** OVER or WITHIN GROUP. */
      readonly windowed: boolean
      /** current_setting of a plain setting, named by a constant. */
      readonly plain: boolean
    }
  | { readonly is: 'query'; readonly query: Query }
  | { readonly is: 'part'; readonly of: Expression; readonly at: number }
  | { readonly is: 'unknown'; readonly why: string; readonly of: readonly Expression[] }

export type Output =
  | { readonly is: 'value'; readonly name: string | null; readonly of: Expression }
  /** `*` and `t.*` (by its qualifier). */
  | { readonly is: 'star'; readonly of: readonly string[] }
  /** `(expression).*` */
  | { readonly is: 'fields'; readonly of: Expression }

export type From =
  | ({ readonly is: 'relation'; readonly alias: Alias | null } & RelationName)
  | {
      readonly is: 'query'
      readonly query: Query
      readonly lateral: boolean
      readonly alias: Alias | null
    }
  | {
      readonly is: 'join'
      readonly left: From
      readonly right: From
      readonly using: readonly string[] | null
      readonly natural: boolean
      /** Whose value a merged column has; null: of either. */
      readonly keeps: 'left' | 'right' | null
      readonly on: Expression | null
      readonly alias: Alias | null
      readonly usingAlias: string | null
    }
  | {
      readonly is: 'functions'
      readonly calls: readonly {
        readonly of: Expression
        readonly name: string | null
        readonly columns: readonly string[] | null
      }[]
      readonly ordinality: boolean
      readonly alias: Alias | null
    }
  /** XMLTABLE and JSON_TABLE; null: FOR ORDINALITY. */
  | {
      readonly is: 'table'
      readonly of: Expression
      readonly columns: readonly { readonly name: string; readonly counts: boolean }[]
      readonly alias: Alias
    }
  | { readonly is: 'sample'; readonly of: From; readonly by: Expression }

export interface Cte {
  readonly name: string
  readonly columns: readonly string[]
  readonly query: Query
  /** Columns that SEARCH and CYCLE add. */
  readonly more: readonly string[]
}

export interface Assignment {
  readonly column: string
  readonly value: Expression
}

interface With {
  readonly ctes: readonly Cte[]
  readonly recursive: boolean
}

export type Query =
  | ({
      readonly is: 'select'
      readonly from: readonly From[]
      readonly outputs: readonly Output[]
      readonly predicates: readonly Expression[]
      /** GROUP BY, ORDER BY, DISTINCT ON: a bare name may be an output's, a bare number always is. */
      readonly ordering: readonly Expression[]
      readonly distinct: boolean
    } & With)
  | ({
      readonly is: 'values'
      /** By column, then by row; rows of constants alone are one. */
      readonly columns: readonly (readonly Expression[])[]
      readonly ordering: readonly Expression[]
      readonly predicates: readonly Expression[]
    } & With)
  | ({
      readonly is: 'set'
      readonly sides: readonly Query[]
      readonly compares: boolean
      readonly ordering: readonly Expression[]
      readonly predicates: readonly Expression[]
    } & With)
  | ({
      readonly is: 'change'
      readonly verb: 'insert' | 'update' | 'delete' | 'merge'
      readonly target: RelationName & { readonly alias: string | null }
      /** Of an INSERT; null: all of them in order. */
      readonly columns: readonly string[] | null
      readonly source: Query | null
      readonly from: readonly From[]
      readonly sets: readonly Assignment[]
      readonly predicates: readonly Expression[]
      readonly conflict: {
        readonly sets: readonly Assignment[]
        readonly predicates: readonly Expression[]
      } | null
      /** Rows that a MERGE inserts. */
      readonly inserts: readonly {
        readonly columns: readonly string[] | null
        readonly values: readonly Expression[]
      }[]
      readonly returning: readonly Output[] | null
      readonly old: string
      readonly new: string
    } & With)
  | { readonly is: 'unknown'; readonly why: string }

export type Form =
  | { readonly is: 'query'; readonly query: Query }
  /** CREATE TABLE AS and SELECT INTO; `execute`: of a prepared statement. */
  | {
      readonly is: 'into'
      readonly of: Form
      readonly relation: RelationName
      readonly columns: readonly string[]
      readonly via: string
    }
  /** Its text is kept, or its rows by its definition. */
  | { readonly is: 'definition'; readonly query: Query }
  | { readonly is: 'explain'; readonly of: Form; readonly runs: boolean }
  | {
      readonly is: 'copy-out'
      readonly query: Query
      /** null: to the client. */
      readonly via: string | null
    }
  | {
      readonly is: 'copy-in'
      readonly target: RelationName
      /** The columns that it fills, as they would be read. */
      readonly query: Query
      readonly predicate: Expression
    }
  | {
      readonly is: 'make'
      readonly kind: 'cursor' | 'prepared'
      readonly name: string
      readonly of: Form
    }
  | {
      readonly is: 'defer'
      readonly kind: 'cursor' | 'prepared'
      readonly name: string
      readonly args: readonly Expression[]
      readonly moves: boolean
    }
  | { readonly is: 'show'; readonly setting: string }
  | { readonly is: 'call'; readonly of: Expression }
  | { readonly is: 'code'; readonly why: string }
  /** Gives no rows; `runs` are the functions that it names, `sets` what it writes from columns of its relation. */
  | {
      readonly is: 'utility'
      readonly runs: readonly Expression[]
      readonly target: RelationName | null
      readonly sets: readonly Assignment[]
    }

/** Nodes of a form; a statement that needs more is not known. */
const NODES_MAX = 50_000
const NODE_BYTES = 200

export function unknownLineage(why: string): Lineage {
  return {
    unknown: why,
    form: null,
    secrets: [],
    secretParameters: [],
    adrift: [],
    bytes: 0,
  }
}

type Node = Record<string, unknown>

/**
 * The lineage of one parsed statement. `text` holds the whole string that was parsed (locations are bytes into it), of which the
 * statement stands at [start, end).
 */
export function lineageOf(
  statement: Node,
  text: () => Buffer,
  start: number,
  end: number,
): Lineage {
  const builder = new Builder(text, start, end)
  try {
    const form = builder.form(statement)
    return builder.lineage(form)
  } catch (error) {
    // Deeper than a stack holds, or more than is kept.
    return unknownLineage(error instanceof TooMuch ? error.message : 'nested too deeply')
  }
}

class TooMuch extends Error {}

const NOTHING = { is: 'nothing' } as const satisfies Expression
const NO_CTES: With = { ctes: [], recursive: false }
const TEXT_TYPES = new Set(['text', 'varchar', 'bpchar', 'name', 'citext'])
/** They give true or false and pass nothing else on. */
const COMPARING = new Set(
  '= <> != < > <= >= ~~ !~~ ~~* !~~* ~ !~ ~* !~* ^@ ~=~ @> <@ && ? ?| ?& @@ @? ~<~ ~<=~ ~>~ ~>=~'.split(
    ' ',
  ),
)
const SECRET_SETTING = /password|passwd|secret|key|token|conninfo|credential/i
/** Functions that are given passwords, keys or connection strings. */
const SECRET_FUNCTIONS = new Set(
  `crypt hmac encrypt decrypt encrypt_iv decrypt_iv pgp_sym_encrypt pgp_sym_encrypt_bytea pgp_sym_decrypt
pgp_sym_decrypt_bytea pgp_pub_decrypt pgp_pub_decrypt_bytea dblink dblink_connect dblink_connect_u dblink_exec dblink_open
dblink_send_query`.split(/\s+/),
)
/** Every constant in these may be a password. */
const SECRET_STATEMENTS = new Set([
  'CreateUserMappingStmt',
  'AlterUserMappingStmt',
  'CreateForeignServerStmt',
  'AlterForeignServerStmt',
  'CreateFdwStmt',
  'AlterFdwStmt',
  'CreateSubscriptionStmt',
  'AlterSubscriptionStmt',
])
/** Statements that carry neither expressions nor data; constants in others, not looked at here, may go anywhere. */
const PLAIN_STATEMENTS =
  /^(Transaction|Variable|Comment|SecLabel|Grant|AlterDefaultPrivileges|Drop|Truncate|Lock|Vacuum|Cluster|Reindex|CheckPoint|Discard|Listen|Unlisten|Notify|Deallocate|ClosePortal|Load|Rename|AlterOwner|AlterObject|ReassignOwned|RefreshMatView|ConstraintsSet|CreateSeq|AlterSeq|CreateRole|AlterRole|Createdb|AlterDatabase|AlterSystem|CreateExtension|AlterExtension)/

class Builder {
  private nodes = 0
  private starts: ConstantRange[] | null = null
  private readonly secrets = new Set<number>()
  private readonly secretParameters = new Set<number>()
  private readonly adrift = new Set<number>()
  /** Within the arguments of a function that is given secrets. */
  private secret = 0

  constructor(
    private readonly text: () => Buffer,
    private readonly start: number,
    private readonly end: number,
  ) {}

  lineage(form: Form): Lineage {
    return {
      unknown: null,
      form,
      secrets: [...this.secrets],
      secretParameters: [...this.secretParameters],
      adrift: [...this.adrift],
      bytes: this.nodes * NODE_BYTES,
    }
  }

  form(wrapped: Node): Form {
    const [kind] = Object.keys(wrapped)
    if (kind === undefined) return utility()
    const node = wrapped[kind] as Node
    switch (kind) {
      case 'SelectStmt': {
        const of: Form = { is: 'query', query: this.query(wrapped) }
        const into = leftmost(node).intoClause as Node | undefined
        return into ? this.into(of, into, 'select into') : of
      }
      case 'InsertStmt':
      case 'UpdateStmt':
      case 'DeleteStmt':
      case 'MergeStmt':
        return { is: 'query', query: this.query(wrapped) }
      case 'CreateTableAsStmt': {
        const of = this.form((node.query as Node) ?? {})
        if (node.objtype === 'OBJECT_MATVIEW')
          return of.is === 'query' ? { is: 'definition', query: of.query } : of
        return this.into(of, (node.into as Node) ?? {}, 'create table')
      }
      case 'ViewStmt':
        return { is: 'definition', query: this.query(node.query as Node) }
      case 'ExplainStmt':
        return {
          is: 'explain',
          of: this.form((node.query as Node) ?? {}),
          runs: list(node.options).some((one) => (one.DefElem as Node)?.defname === 'analyze'),
        }
      case 'CopyStmt':
        return this.copy(node)
      case 'PrepareStmt':
        return {
          is: 'make',
          kind: 'prepared',
          name: String(node.name),
          of: this.form((node.query as Node) ?? {}),
        }
      case 'DeclareCursorStmt':
        return {
          is: 'make',
          kind: 'cursor',
          name: String(node.portalname),
          of: this.form((node.query as Node) ?? {}),
        }
      case 'ExecuteStmt':
        return {
          is: 'defer',
          kind: 'prepared',
          name: String(node.name),
          args: this.all(node.params),
          moves: false,
        }
      case 'FetchStmt':
        return {
          is: 'defer',
          kind: 'cursor',
          name: String(node.portalname),
          args: [],
          moves: node.ismove === true,
        }
      case 'VariableShowStmt':
        return { is: 'show', setting: String(node.name ?? 'all').toLowerCase() }
      case 'CallStmt':
        return { is: 'call', of: this.expression({ FuncCall: node.funccall }) }
      case 'DoStmt':
        this.drift()
        return { is: 'code', why: 'an anonymous code block' }
    }
    return this.utility(kind, node)
  }

  /** Statements that give no rows. */
  private utility(kind: string, node: Node): Form {
    if (SECRET_STATEMENTS.has(kind)) for (const i of this.constants().keys()) this.secrets.add(i)
    this.findSecrets({ [kind]: node })
    if (kind === 'CreateFunctionStmt') this.drift()
    if (kind === 'RuleStmt') {
      this.drift()
      return { is: 'code', why: 'a rule' }
    }
    if (PLAIN_STATEMENTS.test(kind) || SECRET_STATEMENTS.has(kind)) return utility()
    if (kind !== 'CreateFunctionStmt') this.drift()
    const runs: Expression[] = []
    this.calls(node, runs)
    const sets: Assignment[] = []
    const relation = kind === 'AlterTableStmt' ? (node.relation as Node | undefined) : undefined
    if (relation)
      for (const one of list(node.cmds)) {
        const command = (one.AlterTableCmd as Node) ?? {}
        const column = (command.def as Node | undefined)?.ColumnDef as Node | undefined
        if (!column) continue
        const name = String(command.name ?? column.colname ?? '')
        // ALTER COLUMN … TYPE … USING
        if (column.raw_default)
          sets.push({ column: name, value: this.expression(column.raw_default) })
        for (const constraint of list(column.constraints)) {
          const { contype, raw_expr: raw } = (constraint.Constraint as Node) ?? {}
          if (raw && contype !== 'CONSTR_CHECK')
            sets.push({ column: name, value: this.expression(raw) })
        }
      }
    return { is: 'utility', runs, target: relation ? relationName(relation) : null, sets }
  }

  private drift(): void {
    for (const i of this.constants().keys()) this.adrift.add(i)
  }

  private findSecrets(value: unknown): void {
    if (Array.isArray(value)) for (const one of value) this.findSecrets(one)
    else if (value !== null && typeof value === 'object')
      for (const [key, inner] of Object.entries(value as Node)) {
        const node = inner as Node
        if (key === 'DefElem' && /password/i.test(String(node?.defname ?? ''))) {
          const at = this.atOrAfter(Number(node.location ?? 0))
          if (at !== null && node.arg) this.secrets.add(at)
        }
        if (
          (key === 'VariableSetStmt' || key === 'setstmt') &&
          SECRET_SETTING.test(String(node?.name ?? ''))
        )
          for (const arg of list(node.args)) {
            const of = (arg.TypeCast as Node | undefined)?.arg ?? arg
            const constant = (of as Node).A_Const as Node | undefined
            const ordinal = constant ? this.ordinal(constant) : null
            if (ordinal !== null) this.secrets.add(ordinal)
          }
        this.findSecrets(inner)
      }
  }

  private calls(value: unknown, to: Expression[]): void {
    if (Array.isArray(value)) for (const one of value) this.calls(one, to)
    else if (value !== null && typeof value === 'object')
      for (const [key, inner] of Object.entries(value as Node)) {
        if (key === 'FuncCall') {
          const name = callName(inner as Node)
          this.count()
          to.push({ is: 'call', name, args: [], by: [], windowed: false, plain: false })
        }
        this.calls(inner, to)
      }
  }

  private into(of: Form, into: Node, via: string): Form {
    return {
      is: 'into',
      of,
      relation: relationName((into.rel as Node) ?? {}),
      columns: strings(into.colNames),
      via,
    }
  }

  private copy(node: Node): Form {
    const relation = node.relation as Node | undefined
    const columns = strings(node.attlist)
    const query: Query = relation
      ? {
          is: 'select',
          ...NO_CTES,
          from: [{ is: 'relation', ...relationName(relation), alias: null }],
          outputs:
            columns.length === 0
              ? [{ is: 'star', of: [] }]
              : columns.map((name) => ({ is: 'value', name, of: { is: 'column', names: [name] } })),
          predicates: [],
          ordering: [],
          distinct: false,
        }
      : this.query(node.query as Node)
    if (node.is_from)
      return {
        is: 'copy-in',
        target: relationName(relation ?? {}),
        query,
        predicate: this.expression(node.whereClause),
      }
    return {
      is: 'copy-out',
      query,
      via: node.is_program ? 'a program' : node.filename ? 'a file' : null,
    }
  }

  query(wrapped: Node | undefined): Query {
    const [kind] = Object.keys(wrapped ?? {})
    const node = wrapped?.[kind ?? ''] as Node
    switch (kind) {
      case 'SelectStmt':
        return this.select(node)
      case 'InsertStmt':
        return this.insert(node)
      case 'UpdateStmt':
      case 'DeleteStmt':
      case 'MergeStmt':
        return this.change(kind, node)
    }
    return { is: 'unknown', why: `a query of kind ${kind ?? 'none'}` }
  }

  private select(node: Node): Query {
    this.count()
    const scope = this.with(node.withClause as Node | undefined)
    const ordering = this.ordering(node.sortClause)
    const limits = [node.limitCount, node.limitOffset].flatMap((one) =>
      one ? [this.expression(one)] : [],
    )
    if (node.op !== undefined && node.op !== 'SETOP_NONE') {
      // Chains of one kind are long and lean to the left.
      const sides: Node[] = []
      let side = node
      for (;;) {
        sides.push(side.rarg as Node)
        const left = side.larg as Node
        if (
          left.op !== node.op ||
          left.all !== node.all ||
          left.withClause ||
          left.sortClause ||
          left.limitCount ||
          left.limitOffset
        ) {
          sides.push(left)
          break
        }
        side = left
      }
      return {
        is: 'set',
        ...scope,
        sides: sides.reverse().map((one) => this.select(one)),
        compares: !(node.op === 'SETOP_UNION' && node.all === true),
        ordering,
        predicates: limits,
      }
    }
    if (Array.isArray(node.valuesLists)) {
      // Each stands for as many columns as its relation has.
      if ((node.valuesLists as Node[]).some((row) => listItems(row).some(isStar)))
        return { is: 'unknown', why: 'a whole row among VALUES' }
      return {
        is: 'values',
        ...scope,
        columns: this.rows(node.valuesLists as Node[]),
        ordering,
        predicates: limits,
      }
    }
    const from = list(node.fromClause).map((one) => this.from(one))
    const outputs = this.outputs(node.targetList)
    const predicates = [...limits]
    for (const one of [node.whereClause, node.havingClause])
      if (one) predicates.push(this.expression(one))
    for (const window of list(node.windowClause))
      predicates.push(...this.window(window.WindowDef as Node))
    ordering.push(...this.ordering(node.groupClause))
    // DISTINCT alone is a list of nothing.
    const distinct = list(node.distinctClause).filter((one) => Object.keys(one).length > 0)
    ordering.push(...this.ordering(distinct))
    return {
      is: 'select',
      ...scope,
      from,
      outputs,
      predicates,
      ordering,
      distinct:
        (Array.isArray(node.distinctClause) && distinct.length === 0) ||
        // GROUP BY ALL, should a parser know it, and GROUP BY DISTINCT.
        node.groupAll === true,
    }
  }

  /** Rows of a VALUES by column. */
  private rows(rows: readonly Node[]): Expression[][] {
    const columns: Expression[][] = []
    for (const row of rows)
      for (const [i, item] of listItems(row).entries()) {
        columns[i] ??= []
        const value = this.expression(item)
        const last = columns[i].at(-1)
        // Thousands of rows of constants are one list of ordinals.
        if (value.is === 'constants' && last?.is === 'constants')
          last.ordinals.push(...value.ordinals)
        else if (value.is !== 'nothing' || last === undefined) columns[i].push(value)
      }
    return columns
  }

  private with(clause: Node | undefined): With {
    if (!clause) return NO_CTES
    return {
      recursive: clause.recursive === true,
      ctes: list(clause.ctes).map((one) => {
        const cte = one.CommonTableExpr as Node
        const search = cte.search_clause as Node | undefined
        const cycle = cte.cycle_clause as Node | undefined
        this.count()
        return {
          name: String(cte.ctename),
          columns: strings(cte.aliascolnames),
          query: this.query(cte.ctequery as Node),
          more: [search?.search_seq_column, cycle?.cycle_mark_column, cycle?.cycle_path_column]
            .filter((name) => typeof name === 'string')
            .map(String),
        }
      }),
    }
  }

  private outputs(targets: unknown): Output[] {
    return list(targets).map((one) => {
      const target = (one.ResTarget as Node) ?? {}
      const value = (target.val as Node) ?? {}
      this.count()
      if (isStar(value))
        return { is: 'star', of: strings(list((value.ColumnRef as Node).fields).slice(0, -1)) }
      const indirection = value.A_Indirection as Node | undefined
      if (indirection && 'A_Star' in (list(indirection.indirection).at(-1) ?? {}))
        return {
          is: 'fields',
          of: this.expression({
            A_Indirection: {
              ...indirection,
              indirection: list(indirection.indirection).slice(0, -1),
            },
          }),
        }
      return {
        is: 'value',
        name: typeof target.name === 'string' ? target.name : figured(value).name,
        of: this.expression(value),
      }
    })
  }

  private from(wrapped: Node): From {
    this.count()
    const [kind] = Object.keys(wrapped)
    const node = wrapped[kind ?? ''] as Node
    const alias = aliasOf(node?.alias as Node | undefined)
    switch (kind) {
      case 'RangeVar':
        return { is: 'relation', ...relationName(node), alias }
      case 'RangeSubselect':
        return {
          is: 'query',
          query: this.query(node.subquery as Node),
          lateral: node.lateral === true,
          alias,
        }
      case 'JoinExpr':
        return {
          is: 'join',
          left: this.from(node.larg as Node),
          right: this.from(node.rarg as Node),
          using: node.usingClause ? strings(node.usingClause) : null,
          natural: node.isNatural === true,
          keeps:
            node.jointype === 'JOIN_FULL'
              ? null
              : node.jointype === 'JOIN_RIGHT'
                ? 'right'
                : 'left',
          on: node.quals ? this.expression(node.quals) : null,
          alias,
          usingAlias: aliasOf(node.join_using_alias as Node | undefined)?.name ?? null,
        }
      case 'RangeFunction': {
        const shared = list(node.coldeflist)
        return {
          is: 'functions',
          calls: list(node.functions).map((one) => {
            const [call, definitions] = listItems(one)
            const columns = shared.length > 0 ? shared : listItems(definitions ?? {})
            return {
              of: this.expression(call),
              name: figured(call ?? {}).name,
              columns:
                columns.length > 0
                  ? columns.map((column) => String((column.ColumnDef as Node)?.colname ?? ''))
                  : null,
            }
          }),
          ordinality: node.ordinality === true,
          alias,
        }
      }
      case 'RangeTableFunc': {
        const columns = list(node.columns).map((one) => one.RangeTableFuncCol as Node)
        return {
          is: 'table',
          of: this.computed([
            this.expression(node.docexpr),
            this.expression(node.rowexpr),
            ...list(node.namespaces).map((one) => this.expression((one.ResTarget as Node)?.val)),
            ...columns.flatMap((column) => [
              this.expression(column.colexpr),
              this.expression(column.coldefexpr),
              this.type(column.typeName as Node | undefined),
            ]),
          ]),
          columns: columns.map((column) => ({
            name: String(column.colname),
            counts: column.for_ordinality === true,
          })),
          alias: alias ?? { name: 'xmltable', columns: [] },
        }
      }
      case 'JsonTable': {
        const columns: { name: string; counts: boolean }[] = []
        jsonColumns(node.columns, columns)
        return {
          is: 'table',
          of: this.computed(this.parts(node)),
          columns,
          alias: alias ?? { name: 'json_table', columns: [] },
        }
      }
      case 'RangeTableSample':
        return {
          is: 'sample',
          of: this.from(node.relation as Node),
          by: {
            is: 'call',
            name: strings(node.method).join('.'),
            args: [...this.all(node.args), this.expression(node.repeatable)],
            by: [],
            windowed: false,
            plain: false,
          },
        }
    }
    return { is: 'query', query: { is: 'unknown', why: `FROM ${kind}` }, lateral: true, alias }
  }

  private insert(node: Node): Query {
    const scope = this.with(node.withClause as Node | undefined)
    const target = node.relation as Node
    const conflict = node.onConflictClause as Node | undefined
    const infer = conflict?.infer as Node | undefined
    const columns = list(node.cols).map((one) => String((one.ResTarget as Node)?.name ?? ''))
    return {
      is: 'change',
      verb: 'insert',
      ...scope,
      target: targetName(target),
      columns: columns.length > 0 ? columns : null,
      source: node.selectStmt ? this.query(node.selectStmt as Node) : null,
      from: [],
      sets: [],
      predicates: [],
      inserts: [],
      conflict: conflict
        ? {
            sets: this.sets(conflict.targetList),
            predicates: [
              this.expression(conflict.whereClause),
              this.expression(infer?.whereClause),
              ...list(infer?.indexElems).map((one) => {
                const element = one.IndexElem as Node
                return typeof element.name === 'string'
                  ? ({ is: 'column', names: [element.name] } as const)
                  : this.expression(element.expr)
              }),
            ],
          }
        : null,
      ...this.returning(node),
    }
  }

  private change(kind: string, node: Node): Query {
    const scope = this.with(node.withClause as Node | undefined)
    const from = list(node.fromClause ?? node.usingClause).map((one) => this.from(one))
    if (node.sourceRelation) from.push(this.from(node.sourceRelation as Node))
    const sets = kind === 'UpdateStmt' ? this.sets(node.targetList) : []
    const predicates = [this.expression(node.whereClause), this.expression(node.joinCondition)]
    const inserts: { columns: string[] | null; values: Expression[] }[] = []
    for (const one of list(node.mergeWhenClauses)) {
      const clause = one.MergeWhenClause as Node
      predicates.push(this.expression(clause.condition))
      if (clause.commandType === 'CMD_UPDATE') sets.push(...this.sets(clause.targetList))
      if (clause.commandType === 'CMD_INSERT') {
        const columns = list(clause.targetList).map((item) =>
          String((item.ResTarget as Node)?.name ?? ''),
        )
        inserts.push({
          columns: columns.length > 0 ? columns : null,
          values: this.all(clause.values),
        })
      }
    }
    return {
      is: 'change',
      verb: kind === 'UpdateStmt' ? 'update' : kind === 'DeleteStmt' ? 'delete' : 'merge',
      ...scope,
      target: targetName((node.relation as Node) ?? {}),
      columns: null,
      source: null,
      from,
      sets,
      predicates,
      inserts,
      conflict: null,
      ...this.returning(node),
    }
  }

  private sets(targets: unknown): Assignment[] {
    return list(targets).map((one) => {
      const target = one.ResTarget as Node
      const part = (target.val as Node | undefined)?.MultiAssignRef as Node | undefined
      return {
        column: String(target.name ?? ''),
        value: part
          ? {
              is: 'part',
              of: this.expression(part.source),
              at: Number(part.colno ?? 1) - 1,
            }
          : this.beside([
              this.expression(target.val),
              ...list(target.indirection).map((i) => this.expression(i)),
            ]),
      }
    })
  }

  private returning(node: Node): { returning: Output[] | null; old: string; new: string } {
    const clause = node.returningClause as Node | undefined
    const names = { old: 'old', new: 'new' }
    for (const one of list(clause?.options)) {
      const option = one.ReturningOption as Node
      if (option.option === 'RETURNING_OPTION_NEW') names.new = String(option.value)
      else names.old = String(option.value)
    }
    const exprs = clause?.exprs ?? node.returningList
    return { returning: Array.isArray(exprs) ? this.outputs(exprs) : null, ...names }
  }

  /** GROUP BY, ORDER BY and DISTINCT ON; grouping sets by what they hold. */
  private ordering(items: unknown): Expression[] {
    return list(items).flatMap((one): Expression[] => {
      if ('GroupingSet' in one) return this.ordering((one.GroupingSet as Node).content)
      if ('SortBy' in one) return this.sortKeys(one.SortBy as Node)
      if ('RowExpr' in one) return this.ordering((one.RowExpr as Node).args)
      return [this.expression(one)]
    })
  }

  /** What it sorts by, and the operator of USING. */
  private sortKeys(sort: Node): Expression[] {
    const keys = this.ordering([sort.node])
    const operator = strings(sort.useOp).at(-1)
    return operator === undefined ? keys : [...keys, this.computed([...keys], [operator], true)]
  }

  private window(definition: Node | undefined): Expression[] {
    if (!definition) return []
    return [
      ...this.all(definition.partitionClause),
      ...this.all(definition.orderClause),
      this.expression(definition.startOffset),
      this.expression(definition.endOffset),
    ].filter((one) => one.is !== 'nothing')
  }

  private all(items: unknown): Expression[] {
    return list(items).map((one) => this.expression(one))
  }

  private count(): void {
    if (++this.nodes > NODES_MAX) throw new TooMuch(`more than ${NODES_MAX} nodes`)
  }

  private computed(
    of: readonly Expression[],
    operators: readonly string[] = [],
    compares = false,
  ): Expression {
    this.count()
    const first = of[0]
    // Long chains lean to the left: what is computed of what is computed is computed of all.
    if (first?.is === 'computed' && first.compares === compares && !compares) {
      for (const one of of.slice(1)) if (one.is !== 'nothing') first.of.push(one)
      for (const one of operators) if (!first.operators.includes(one)) first.operators.push(one)
      return first
    }
    return {
      is: 'computed',
      of: of.filter((one) => one.is !== 'nothing'),
      operators: [...operators],
      compares,
    }
  }

  private beside(of: readonly Expression[]): Expression {
    const some = of.filter((one) => one.is !== 'nothing')
    if (some.length === 1) return some[0]!
    if (some.length === 0) return NOTHING
    this.count()
    return { is: 'beside', of: some }
  }

  /** What a type by its name may bring with it: an own type's input is code. */
  private type(type: Node | undefined): Expression {
    const name = typeName(type)
    return name === '' ? NOTHING : { is: 'cast', of: NOTHING, type: name, text: true }
  }

  expression(wrapped: unknown): Expression {
    if (wrapped === null || wrapped === undefined || typeof wrapped !== 'object') return NOTHING
    const [kind] = Object.keys(wrapped)
    if (kind === undefined) return NOTHING
    const node = (wrapped as Node)[kind] as Node
    switch (kind) {
      case 'ColumnRef': {
        this.count()
        const fields = list(node.fields)
        // Elsewhere than as an output `t.*` is the whole row.
        if ('A_Star' in (fields.at(-1) ?? {}))
          return fields.length > 1
            ? { is: 'row', names: strings(fields.slice(0, -1)) }
            : this.unknown('a row of everything', [])
        return { is: 'column', names: strings(fields) }
      }
      case 'A_Const':
        return this.constant(node)
      case 'ParamRef': {
        this.count()
        const number = Number(node.number ?? 0)
        if (this.secret > 0) this.secretParameters.add(number)
        return { is: 'parameter', number }
      }
      case 'TypeCast': {
        this.count()
        const type = node.typeName as Node | undefined
        const names = strings(type?.names)
        const last = names.at(-1) ?? ''
        return {
          is: 'cast',
          of: this.expression(node.arg),
          type: typeName(type),
          text:
            TEXT_TYPES.has(last) &&
            (names.length === 1 || names[0] === 'pg_catalog' || last === 'citext') &&
            list(type?.typmods).length === 0 &&
            list(type?.arrayBounds).length === 0,
        }
      }
      case 'CollateClause':
        return this.expression(node.arg)
      case 'A_Expr':
        return this.operator(node)
      case 'BoolExpr':
        return this.beside([this.computed([NOTHING]), ...this.all(node.args)])
      case 'NullTest':
        this.count()
        return { is: 'hidden', of: [this.expression(node.arg)] }
      case 'GroupingFunc':
        this.count()
        return { is: 'hidden', of: this.all(node.args) }
      case 'BooleanTest':
        return this.computed([NOTHING, this.expression(node.arg)])
      case 'FuncCall':
        return this.call(node)
      case 'SubLink':
        return this.subquery(node)
      case 'CaseExpr': {
        const operators = node.arg ? ['='] : []
        const whens = list(node.args).map((one) => one.CaseWhen as Node)
        const subject = this.expression(node.arg)
        const conditions = whens.map((when) => this.expression(when.expr))
        const results = [...whens.map((when) => when.result), node.defresult]
        return this.beside([
          this.computed([NOTHING, subject, ...conditions], operators, true),
          ...results.map((one) => this.expression(one)),
          // Two at least, so that what comes out is never the value itself.
          this.computed([NOTHING]),
        ])
      }
      case 'A_Indirection': {
        let of = this.expression(node.arg)
        for (const step of list(node.indirection)) {
          this.count()
          if ('String' in step) of = { is: 'field', of, name: text(step) }
          else if ('A_Star' in step) of = this.computed([NOTHING, of])
          else {
            const indices = (step.A_Indices as Node) ?? {}
            of = this.computed([
              NOTHING,
              of,
              this.expression(indices.lidx),
              this.expression(indices.uidx),
            ])
          }
        }
        return of
      }
      case 'A_Indices':
        return this.beside([this.expression(node.lidx), this.expression(node.uidx)])
      case 'RowExpr':
      case 'A_ArrayExpr': {
        this.count()
        const of = this.all(node.args ?? node.elements)
        return { is: 'beside', of }
      }
      case 'List': {
        this.count()
        return { is: 'beside', of: this.all(node.items) }
      }
      case 'CoalesceExpr':
      case 'MinMaxExpr':
        return this.computed([NOTHING, ...this.all(node.args)])
      case 'NamedArgExpr':
        return this.expression(node.arg)
      case 'SortBy':
        return this.beside(this.sortKeys(node))
      case 'ResTarget':
        return this.expression(node.val)
      case 'SQLValueFunction':
      case 'SetToDefault':
      case 'MergeSupportFunc':
      case 'CurrentOfExpr':
        return NOTHING
      case 'MultiAssignRef':
        return this.expression(node.source)
      case 'XmlExpr':
      case 'XmlSerialize':
      case 'JsonValueExpr':
      case 'JsonKeyValue':
      case 'JsonArgument':
      case 'JsonBehavior':
      case 'JsonFuncExpr':
      case 'JsonObjectConstructor':
      case 'JsonArrayConstructor':
      case 'JsonArrayQueryConstructor':
      case 'JsonObjectAgg':
      case 'JsonArrayAgg':
      case 'JsonIsPredicate':
      case 'JsonParseExpr':
      case 'JsonScalarExpr':
      case 'JsonSerializeExpr':
      case 'JsonTablePathSpec':
      case 'JsonTableColumn':
        return this.computed([NOTHING, ...this.parts(node)])
      case 'SelectStmt':
        this.count()
        return { is: 'query', query: this.query(wrapped as Node) }
    }
    return this.unknown(`an expression of kind ${kind}`, [])
  }

  private unknown(why: string, of: readonly Expression[]): Expression {
    this.count()
    return { is: 'unknown', why, of }
  }

  /** Every expression within a node of SQL/JSON or SQL/XML, which have many and of many names. */
  private parts(node: Node): Expression[] {
    const found: Expression[] = []
    for (const [key, value] of Object.entries(node)) {
      if (value === null || typeof value !== 'object' || key === 'alias') continue
      if (key === 'typeName' || key === 'TypeName') found.push(this.type(value as Node))
      else if (key === 'over') found.push({ is: 'by', of: this.window(value as Node) })
      else if (key === 'agg_order') found.push({ is: 'by', of: this.all(value) })
      else if (key === 'agg_filter') found.push({ is: 'by', of: [this.expression(value)] })
      else
        for (const one of Array.isArray(value) ? (value as Node[]) : [value as Node]) {
          const [kind] = Object.keys(one)
          if (kind !== undefined && /^[A-Z]/.test(kind)) found.push(this.expression(one))
          else found.push(...this.parts(one))
        }
    }
    return found
  }

  private constant(node: Node): Expression {
    const ordinal = this.ordinal(node)
    if (ordinal === null) return NOTHING
    this.count()
    if (this.secret > 0) this.secrets.add(ordinal)
    return { is: 'constants', ordinals: [ordinal] }
  }

  /** Which of the text's constants a constant of the parse tree is; null where a word stands for it. */
  private ordinal(node: Node): number | null {
    if (!('ival' in node || 'fval' in node || 'sval' in node || 'bsval' in node)) return null
    const location = Number(node.location ?? 0)
    if (location < 0) return null
    const at = this.atOrAfter(location)
    if (at === null) return null
    // A number's sign stands before it.
    return this.constants()[at]!.start === location || this.text()[location] === 0x2d ? at : null
  }

  /** The first constant at or behind a place. */
  private atOrAfter(location: number): number | null {
    const all = this.constants()
    let [low, high] = [0, all.length]
    while (low < high) {
      const middle = (low + high) >> 1
      if (all[middle]!.start < location) low = middle + 1
      else high = middle
    }
    return low < all.length ? low : null
  }

  private constants(): readonly ConstantRange[] {
    this.starts ??= constantsOf(this.text(), this.start, this.end)
    return this.starts
  }

  private operator(node: Node): Expression {
    const name = strings(node.name).at(-1) ?? ''
    const kind = String(node.kind)
    const operators = kind.includes('BETWEEN') ? ['<=', '>=', '<', '>'] : [name]
    const of = [this.expression(node.lexpr), this.expression(node.rexpr)]
    const compares =
      kind !== 'AEXPR_NULLIF' &&
      ((kind !== 'AEXPR_OP' && kind !== 'AEXPR_OP_ANY' && kind !== 'AEXPR_OP_ALL') ||
        COMPARING.has(name))
    return this.computed(compares ? [NOTHING, ...of] : of, operators, compares)
  }

  private subquery(node: Node): Expression {
    this.count()
    const query: Expression = { is: 'query', query: this.query(node.subselect as Node) }
    switch (node.subLinkType) {
      case 'EXPR_SUBLINK':
        return query
      case 'EXISTS_SUBLINK':
        return { is: 'hidden', of: [query] }
      case 'ARRAY_SUBLINK':
        return this.computed([NOTHING, query])
    }
    // IN has no operator's name of its own.
    const operators = strings(node.operName)
    return this.computed(
      [NOTHING, this.expression(node.testexpr), query],
      [operators.at(-1) ?? '='],
      true,
    )
  }

  private call(node: Node): Expression {
    this.count()
    const name = callName(node)
    const secret =
      SECRET_FUNCTIONS.has(name.slice(name.lastIndexOf('.') + 1)) || setsSecret(name, node)
    if (secret) this.secret++
    const args = this.all(node.args)
    if (secret) this.secret--
    const ordered = this.all(node.agg_order)
    const by = this.window(node.over as Node | undefined)
    if (node.agg_within_group) args.push(...ordered)
    else by.push(...ordered)
    if (node.agg_filter) by.push(this.expression(node.agg_filter))
    if (node.agg_distinct) by.push(...args)
    return {
      is: 'call',
      name,
      args,
      by,
      windowed: node.over !== undefined || node.agg_within_group === true,
      plain: plainSetting(node),
    }
  }
}

function utility(): Form {
  return { is: 'utility', runs: [], target: null, sets: [] }
}

function setsSecret(name: string, node: Node): boolean {
  return /(^|\.)set_config$/.test(name) && SECRET_SETTING.test(stringConstant(list(node.args)[0]))
}

/** Settings with a dot hold what anyone put there; of the others the few that take any text do so too. */
export function holdsText(setting: string): boolean {
  return (
    setting.includes('.') ||
    /^(application_name|local_preload_libraries|temp_tablespaces)$/.test(setting)
  )
}

/** Strings are part of the key under which an analysis is kept; integers alone are not. */
function plainSetting(node: Node): boolean {
  const setting = stringConstant(list(node.args)[0]).toLowerCase()
  return setting !== '' && setting !== 'all' && !holdsText(setting)
}

function stringConstant(node: Node | undefined): string {
  return String(((node?.A_Const as Node | undefined)?.sval as Node | undefined)?.sval ?? '')
}

function isStar(value: Node): boolean {
  const fields = list((value.ColumnRef as Node | undefined)?.fields)
  return fields.length > 0 && 'A_Star' in fields.at(-1)!
}

function leftmost(select: Node): Node {
  let node = select
  while (node.larg) node = node.larg as Node
  return node
}

function list(value: unknown): Node[] {
  return Array.isArray(value) ? (value as Node[]) : []
}

function listItems(node: Node): Node[] {
  return list((node.List as Node | undefined)?.items)
}

function text(node: Node): string {
  return String((node.String as Node | undefined)?.sval ?? '')
}

function strings(value: unknown): string[] {
  return list(value).map(text)
}

function relationName(node: Node): RelationName {
  return {
    schema: typeof node.schemaname === 'string' ? node.schemaname : null,
    name: String(node.relname ?? ''),
  }
}

function targetName(node: Node): RelationName & { alias: string | null } {
  return { ...relationName(node), alias: aliasOf(node.alias as Node | undefined)?.name ?? null }
}

function aliasOf(node: Node | undefined): Alias | null {
  return typeof node?.aliasname === 'string'
    ? { name: node.aliasname, columns: strings(node.colnames) }
    : null
}

function callName(node: Node): string {
  return strings(node.funcname).join('.')
}

function typeName(node: Node | undefined): string {
  return strings(node?.names).join('.')
}

/** Nested columns stand behind all others of their level. */
function jsonColumns(value: unknown, to: { name: string; counts: boolean }[]): void {
  const columns = list(value).map((one) => one.JsonTableColumn as Node)
  for (const column of columns)
    if (column.coltype !== 'JTC_NESTED')
      to.push({ name: String(column.name), counts: column.coltype === 'JTC_FOR_ORDINALITY' })
  for (const column of columns) if (column.coltype === 'JTC_NESTED') jsonColumns(column.columns, to)
}

interface Figured {
  name: string | null
  /** 0: none, 1: a makeshift that a type's name beats, 2: its own. */
  strength: 0 | 1 | 2
}

const OWN_NAMES: Record<string, string> = {
  GroupingFunc: 'grouping',
  MergeSupportFunc: 'merge_action',
  A_ArrayExpr: 'array',
  RowExpr: 'row',
  CoalesceExpr: 'coalesce',
  XmlSerialize: 'xmlserialize',
  JsonParseExpr: 'json',
  JsonScalarExpr: 'json_scalar',
  JsonSerializeExpr: 'json_serialize',
  JsonObjectConstructor: 'json_object',
  JsonArrayConstructor: 'json_array',
  JsonArrayQueryConstructor: 'json_array',
  JsonObjectAgg: 'json_objectagg',
  JsonArrayAgg: 'json_arrayagg',
}

/** The name that PostgreSQL gives a column without one (its FigureColname); null where it is not known. */
function figured(value: Node): Figured {
  const found = figure(value)
  return found.strength === 0 && found.name !== null ? { name: '?column?', strength: 0 } : found
}

function figure(value: Node): Figured {
  const [kind] = Object.keys(value)
  const node = value[kind ?? ''] as Node
  const named = (name: string): Figured => ({ name, strength: 2 })
  const none: Figured = { name: '', strength: 0 }
  switch (kind) {
    case 'ColumnRef': {
      const last = list(node.fields)
        .filter((one) => 'String' in one)
        .at(-1)
      return last ? named(text(last)) : none
    }
    case 'A_Indirection': {
      const last = list(node.indirection)
        .filter((one) => 'String' in one)
        .at(-1)
      return last ? named(text(last)) : figure((node.arg as Node) ?? {})
    }
    case 'FuncCall':
      return named(strings(node.funcname).at(-1) ?? '')
    case 'A_Expr':
      return node.kind === 'AEXPR_NULLIF' ? named('nullif') : none
    case 'TypeCast': {
      const inner = figure((node.arg as Node) ?? {})
      if (inner.strength > 1 || inner.name === null) return inner
      const type = strings((node.typeName as Node | undefined)?.names).at(-1)
      return type === undefined ? inner : { name: type, strength: 1 }
    }
    case 'CollateClause':
      return figure((node.arg as Node) ?? {})
    case 'CaseExpr': {
      const inner = figure((node.defresult as Node) ?? {})
      return inner.strength > 1 || inner.name === null ? inner : { name: 'case', strength: 1 }
    }
    case 'MinMaxExpr':
      return named(node.op === 'IS_LEAST' ? 'least' : 'greatest')
    case 'SubLink': {
      if (node.subLinkType === 'EXISTS_SUBLINK') return named('exists')
      if (node.subLinkType === 'ARRAY_SUBLINK') return named('array')
      if (node.subLinkType !== 'EXPR_SUBLINK') return none
      const select = (node.subselect as Node | undefined)?.SelectStmt as Node | undefined
      const first = list(leftmost(select ?? {}).targetList)[0]?.ResTarget as Node | undefined
      // Of VALUES the name is column1, but not for the one around it.
      if (!first) return { name: null, strength: 2 }
      return typeof first.name === 'string'
        ? named(first.name)
        : figure((first.val as Node | undefined) ?? {})
    }
    case 'SQLValueFunction':
      return named(
        String(node.op ?? '')
          .replace(/^SVFOP_|_N$/g, '')
          .toLowerCase(),
      )
    case 'XmlExpr': {
      const op = String(node.op ?? '')
      return op === 'IS_DOCUMENT' ? none : named(op.replace('IS_', '').toLowerCase())
    }
    case 'JsonFuncExpr':
      return named(
        String(node.op ?? '')
          .replace(/_OP$/, '')
          .toLowerCase(),
      )
    case 'A_Const':
    case 'ParamRef':
    case 'BoolExpr':
    case 'NullTest':
    case 'BooleanTest':
    case 'JsonIsPredicate':
      return none
  }
  const own = OWN_NAMES[kind ?? '']
  return own === undefined ? { name: null, strength: 2 } : named(own)
}
