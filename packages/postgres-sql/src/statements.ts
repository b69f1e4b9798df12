/**
 * What a SQL string does, by PostgreSQL's own parser (libpg-query): its statements with verbs, objects, fingerprint,
 * and whether each is proven to only read. Pure but for a cache in front.
 * Refuses to guess: what is not parsed or not known is `sql:unknown` and not understood, never harmless.
 */
import { BREADTHS, type Breadth, type ObjectName } from '@custody/sql'
import { fingerprintSync, loadModule, parseSync } from 'libpg-query'
import { statementKey } from './lexer'
import { type Lineage, lineageOf, unknownLineage } from './lineage'
import { PLAIN_WRITING, READING } from './reading-functions'

export interface StatementAnalysis {
  /** Bytes from the string's start; only meaningful where the string has several statements. */
  start: number
  end: number
  verbs: string[]
  objects: ObjectName[]
  fingerprint: string | null
  understood: boolean
  problem: string | null
  /** Proven to change nothing: reads only, and calls only functions known to do the same. */
  readOnly: boolean
  /** It may make or change something that other statements run without saying so: views, functions, rules, operators, … */
  makesCode: boolean
  /** Columns named anywhere in it, by their last name; `*` for all of something. */
  columns: string[]
  /** Operators and types by their last names: a database may have made some of them its own. */
  operators: string[]
  types: string[]
  /** For each verb that picks rows, the widest place that does it. */
  breadth: Record<string, Breadth>
  /** It gives a relation, a column or a schema another name, a relation another schema or other parents. */
  renames: boolean
  /**
   * Words of code that it runs or leaves behind to be run, in lower case: blocks, functions, rules, triggers, defaults. `*`: what
   * that code does is not in its words. Null: there is none.
   */
  codeWords: readonly string[] | null
  /** How the data of a COPY with the client is written; null where it is none, or in a way that is not known. */
  copy: CopyOptions | null
  /** From which columns its outputs derive; `createResolver` reads it. */
  lineage: Lineage
}

/** One character each, but for `null`. */
export interface CopyOptions {
  format: 'text' | 'csv' | 'binary'
  delimiter: string
  null: string
  quote: string
  escape: string
  header: boolean
}

export interface Analysis {
  statements: StatementAnalysis[]
}

export interface Analyser {
  /** Analyses the string that stands at [start, end) of `bytes`. */
  analyse(bytes: Buffer, start: number, end: number, standardConformingStrings: boolean): Analysis
}

export interface AnalyserOptions {
  cacheEntriesMax: number
  cacheBytesMax: number
  /** Longer texts are not parsed, and not understood. */
  parseBytesMax: number
}

/** Objects kept per statement, and columns; more are left out and the statement counts as not understood. */
const OBJECTS_MAX = 1000

export function unanalysed(problem: string | null): StatementAnalysis {
  return {
    start: 0,
    end: 0,
    verbs: ['sql:unknown'],
    objects: [],
    fingerprint: null,
    understood: false,
    problem,
    readOnly: false,
    makesCode: true,
    columns: [],
    operators: [],
    types: [],
    breadth: {},
    renames: false,
    codeWords: null,
    copy: null,
    lineage: unknownLineage(problem ?? 'not analysed'),
  }
}

export async function loadParser(): Promise<void> {
  await loadModule()
}

export function createAnalyser(options: AnalyserOptions): Analyser {
  const cache = new Map<string, Analysis>()
  let cachedBytes = 0
  return {
    analyse(bytes, start, end, standardConformingStrings) {
      if (end - start > options.parseBytesMax)
        return {
          statements: [
            { ...unanalysed(`longer than ${options.parseBytesMax} bytes`), end: end - start },
          ],
        }
      // Without standard_conforming_strings the same text may be another statement.
      if (!standardConformingStrings && bytes.subarray(start, end).includes(0x5c))
        return analyse(bytes.toString('utf8', start, end), false)
      const key = statementKey(bytes, start, end)
      const known = cache.get(key)
      if (known !== undefined) return known
      const analysis = analyse(bytes.toString('utf8', start, end), standardConformingStrings)
      // Positions in a string of several statements hold for this very text alone, and its key may stand for others.
      if (analysis.statements.length > 1) return analysis
      if (cache.size >= options.cacheEntriesMax || cachedBytes > options.cacheBytesMax) {
        cache.clear()
        cachedBytes = 0
      }
      cache.set(key, analysis)
      cachedBytes += key.length + 256 + (analysis.statements[0]?.lineage.bytes ?? 0)
      return analysis
    },
  }
}

type Node = Record<string, unknown>

/** Uncached. Without standard_conforming_strings a backslash changes where strings end, which the parser does not know. */
export function analyse(sql: string, standardConformingStrings = true): Analysis {
  const bytes = Buffer.byteLength(sql)
  if (!standardConformingStrings && sql.includes('\\'))
    return {
      statements: [
        { ...unanalysed('backslashes with standard_conforming_strings off'), end: bytes },
      ],
    }
  let tree: { stmts?: { stmt?: Node; stmt_location?: number; stmt_len?: number }[] }
  try {
    tree = parseSync(sql) as typeof tree
  } catch (error) {
    return {
      statements: [
        {
          ...unanalysed(error instanceof Error ? error.message.slice(0, 500) : 'not parsed'),
          end: bytes,
        },
      ],
    }
  }
  const found = tree.stmts ?? []
  let kept: Buffer | null = null
  const text = () => {
    kept ??= Buffer.from(sql)
    return kept
  }
  const whole = found.length > 1 ? text() : Buffer.alloc(0)
  return {
    statements: found.map((raw, i) => {
      // Comments between statements go with the one behind them, so that no text is left out.
      const own = raw.stmt_location ?? 0
      const start = i === 0 ? 0 : skipSeparators(whole, endOf(found[i - 1]!, bytes), own)
      const end = i === found.length - 1 ? bytes : endOf(raw, bytes)
      const walk = new Walk()
      try {
        walk.statement(raw.stmt ?? {})
      } catch {
        // Nested deeper than a stack holds.
        walk.misunderstood('nested too deeply')
      }
      let fingerprint: string | null = null
      try {
        fingerprint = fingerprintSync(
          found.length === 1 ? sql : whole.toString('utf8', own, endOf(raw, bytes)),
        )
      } catch {
        walk.misunderstood('no fingerprint')
      }
      const lineage = lineageOf(raw.stmt ?? {}, text, start, end)
      return { start, end, ...walk.result(), fingerprint, lineage }
    }),
  }
}

/** The texts of the statements in a file. Throws where it can't be parsed. */
export function statementTexts(sql: string): string[] {
  const bytes = Buffer.from(sql)
  const { statements } = analyse(sql)
  if (statements.length === 1 && statements[0]!.fingerprint === null)
    throw new Error(statements[0]!.problem ?? 'not parsed')
  return statements.map(({ start, end }) => bytes.toString('utf8', start, end))
}

/** Where a statement ends, its semicolon not included. */
function endOf(raw: { stmt_location?: number; stmt_len?: number }, bytes: number): number {
  return raw.stmt_len ? (raw.stmt_location ?? 0) + raw.stmt_len : bytes
}

/** Behind semicolons and white space from `at` on, and no further than `to`. */
function skipSeparators(text: Buffer, at: number, to: number): number {
  while (at < to && (text[at] === 0x3b || text[at]! <= 0x20)) at++
  return at
}

/** Statement nodes by what they do; those that need a closer look have a case in `Walk.statement`. */
const VERBS: Record<string, string> = {
  SelectStmt: 'sql:select',
  InsertStmt: 'sql:insert',
  UpdateStmt: 'sql:update',
  DeleteStmt: 'sql:delete',
  MergeStmt: 'sql:merge',
  TruncateStmt: 'sql:truncate',
  DropStmt: 'sql:drop',
  DropdbStmt: 'sql:drop',
  DropRoleStmt: 'sql:drop',
  DropTableSpaceStmt: 'sql:drop',
  DropOwnedStmt: 'sql:drop',
  DropSubscriptionStmt: 'sql:drop',
  DropUserMappingStmt: 'sql:drop',
  GrantStmt: 'sql:grant',
  GrantRoleStmt: 'sql:grant',
  AlterDefaultPrivilegesStmt: 'sql:grant',
  CallStmt: 'sql:call',
  DoStmt: 'sql:do',
  VariableSetStmt: 'sql:set',
  VariableShowStmt: 'sql:show',
  TransactionStmt: 'sql:transaction',
  ConstraintsSetStmt: 'sql:set',
  PrepareStmt: 'sql:prepare',
  ExecuteStmt: 'sql:execute',
  DeallocateStmt: 'sql:deallocate',
  DeclareCursorStmt: 'sql:declare',
  FetchStmt: 'sql:fetch',
  ClosePortalStmt: 'sql:close',
  ListenStmt: 'sql:listen',
  UnlistenStmt: 'sql:unlisten',
  NotifyStmt: 'sql:notify',
  LockStmt: 'sql:lock',
  VacuumStmt: 'sql:vacuum',
  ClusterStmt: 'sql:vacuum',
  ReindexStmt: 'sql:vacuum',
  CheckPointStmt: 'sql:vacuum',
  ExplainStmt: 'sql:explain',
  RefreshMatViewStmt: 'sql:refresh',
  CommentStmt: 'sql:comment',
  SecLabelStmt: 'sql:comment',
  DiscardStmt: 'sql:set',
  LoadStmt: 'sql:load',
  CopyStmt: 'sql:copy',
  CreateTableAsStmt: 'sql:create',
  ReassignOwnedStmt: 'sql:alter',
  RenameStmt: 'sql:alter',
}

/** Words of one statement's code. */
const CODE_WORDS_MAX = 20_000
/** Of ALTER TABLE: what makes a relation show other relations' rows, or no longer. */
const RESHAPES =
  /"AT_(AttachPartition|DetachPartition|DetachPartitionFinalize|AddInherit|DropInherit)"/

/** As text: escapes of JSON would glue letters to words. */
function unescapedJson(text: string): string {
  return text
    .replace(/\\[nrtbf]/g, ' ')
    .replace(/\\u([0-9a-f]{4})/gi, (_, hex: string) =>
      String.fromCharCode(Number.parseInt(hex, 16)),
    )
}

/** What is made or changed by these holds data, and runs nothing. */
const HOLDING = new Set([
  'CreateStmt',
  'CreateSeqStmt',
  'AlterSeqStmt',
  'IndexStmt',
  'CreateStatsStmt',
  'AlterStatsStmt',
  'AlterTableStmt',
  'AlterRoleStmt',
  'CreateRoleStmt',
  'CreatedbStmt',
  'AlterDatabaseStmt',
  'CreateTableSpaceStmt',
  'CreateEnumStmt',
  'AlterEnumStmt',
  'CompositeTypeStmt',
  'CreatePublicationStmt',
  'AlterPublicationStmt',
])

function makesNothing(kind: string, node: Node): boolean {
  // A view by the name that a table had is another matter than a column's new name.
  if (kind === 'RenameStmt')
    return node.renameType === 'OBJECT_COLUMN' || node.renameType === 'OBJECT_TABCONSTRAINT'
  return HOLDING.has(kind)
}

const READS = new Set([
  'sql:select',
  'sql:show',
  'sql:explain',
  'sql:fetch',
  'sql:close',
  'sql:deallocate',
])

class Walk {
  private readonly verbs = new Set<string>()
  private readonly objects = new Map<string, ObjectName>()
  private readonly columns = new Set<string>()
  private readonly operators = new Set<string>()
  private readonly types = new Set<string>()
  private readonly breadth: Record<string, Breadth> = {}
  private problem: string | null = null
  private writes = false
  private makes = false
  private renames = false
  private words: Set<string> | null = null
  private copyOptions: CopyOptions | null = null
  /** Names of common table expressions in force, innermost last. */
  private readonly scopes: Set<string>[] = []

  result(): Omit<StatementAnalysis, 'start' | 'end' | 'fingerprint' | 'lineage'> {
    const understood = this.problem === null
    if (!understood) this.verbs.add('sql:unknown')
    const verbs = [...this.verbs]
    return {
      verbs,
      objects: [...this.objects.values()],
      understood,
      problem: this.problem,
      makesCode: this.makes || !understood,
      columns: [...this.columns],
      operators: [...this.operators],
      types: [...this.types],
      breadth: this.breadth,
      renames: this.renames,
      codeWords: this.words === null ? null : [...this.words],
      copy: this.copyOptions,
      readOnly:
        understood &&
        !this.writes &&
        verbs.every((verb) => READS.has(verb) || verb === 'sql:begin' || verb === 'sql:rollback'),
    }
  }

  misunderstood(problem: string): void {
    this.problem ??= problem
  }

  statement(wrapped: Node): void {
    const [kind] = Object.keys(wrapped)
    if (kind === undefined) return
    const node = wrapped[kind] as Node
    switch (kind) {
      case 'SelectStmt':
        this.select(node)
        return
      case 'InsertStmt':
      case 'UpdateStmt':
      case 'DeleteStmt':
      case 'MergeStmt':
        this.change(VERBS[kind]!, node)
        return
      case 'TransactionStmt': {
        const what = String(node.kind)
        this.verbs.add(
          /BEGIN|START/.test(what)
            ? 'sql:begin'
            : /TRANS_STMT_ROLLBACK$/.test(what)
              ? 'sql:rollback'
              : 'sql:transaction',
        )
        return
      }
      case 'ExplainStmt': {
        const analyses = ((node.options as Node[]) ?? []).some(
          (option) => (option.DefElem as Node)?.defname === 'analyze',
        )
        this.verbs.add('sql:explain')
        if (analyses) this.statement(node.query as Node)
        else {
          // What is only explained is touched by name.
          const inner = new Walk()
          inner.statement(node.query as Node)
          for (const object of inner.objects.values())
            this.add(
              object.kind,
              object.name,
              object.verb === 'sql:call' ? 'sql:call' : 'sql:explain',
            )
          // But planning runs functions that say that they only compute.
          if (inner.verbs.has('sql:call')) {
            this.verbs.add('sql:call')
            this.writes ||= inner.writes
          }
          if (inner.problem) this.misunderstood(inner.problem)
        }
        return
      }
      case 'CopyStmt':
        this.copy(node)
        return
      case 'GrantStmt':
      case 'GrantRoleStmt':
        this.verbs.add(node.is_grant ? 'sql:grant' : 'sql:revoke')
        this.names(node, node.is_grant ? 'sql:grant' : 'sql:revoke')
        return
      case 'DropStmt':
        this.verbs.add('sql:drop')
        for (const object of (node.objects as Node[]) ?? [])
          this.add(
            String(node.removeType ?? '')
              .replace('OBJECT_', '')
              .toLowerCase(),
            listName(object),
            'sql:drop',
          )
        return
      case 'DoStmt':
        this.verbs.add('sql:do')
        this.code(kind, node)
        this.misunderstood('an anonymous code block')
        return
      case 'CallStmt':
        this.verbs.add('sql:call')
        this.expression(node)
        this.misunderstood('a procedure')
        return
      case 'PrepareStmt':
      case 'DeclareCursorStmt':
        this.verbs.add(VERBS[kind]!)
        this.add(
          kind === 'PrepareStmt' ? 'prepared' : 'cursor',
          String(node.name ?? node.portalname),
          VERBS[kind]!,
        )
        this.statement(node.query as Node)
        return
      case 'ExecuteStmt':
        this.verbs.add('sql:execute')
        this.add('prepared', String(node.name), 'sql:execute')
        this.expression(node.params)
        this.misunderstood('a statement prepared by SQL')
        return
      case 'DeallocateStmt':
        this.verbs.add('sql:deallocate')
        this.add('prepared', String(node.name ?? '*'), 'sql:deallocate')
        return
      case 'DiscardStmt':
        this.verbs.add('sql:set')
        if (node.target === 'DISCARD_ALL') {
          this.verbs.add('sql:deallocate')
          this.add('prepared', '*', 'sql:deallocate')
        }
        return
      case 'CreateTableAsStmt':
        this.verbs.add('sql:create')
        this.range((node.into as Node)?.rel as Node, 'sql:create')
        this.statement(node.query as Node)
        return
      case 'ViewStmt':
        this.makes = true
        this.verbs.add('sql:create')
        this.range(node.view as Node, 'sql:create')
        this.statement(node.query as Node)
        return
      case 'VariableSetStmt':
        this.set(node)
        return
      case 'VariableShowStmt':
        this.verbs.add('sql:show')
        this.add('setting', String(node.name ?? 'all'), 'sql:show')
        return
    }
    const verb =
      VERBS[kind] ??
      (/^(Alter|Rename)/.test(kind)
        ? 'sql:alter'
        : /^(Create|Define|Index|Rule|Composite|Import)/.test(kind)
          ? 'sql:create'
          : null)
    if (verb === null) {
      this.misunderstood(`statement kind ${kind}`)
      return
    }
    this.verbs.add(verb)
    if ((verb === 'sql:create' || verb === 'sql:alter') && !makesNothing(kind, node))
      this.makes = true
    this.renames ||=
      kind === 'RenameStmt' ||
      kind === 'AlterObjectSchemaStmt' ||
      (kind === 'AlterTableStmt' && RESHAPES.test(JSON.stringify(node.cmds ?? [])))
    this.names(node, verb)
    this.code(kind, node)
    if (kind === 'CreateFunctionStmt' || kind === 'RuleStmt')
      this.misunderstood('code that runs later')
  }

  /** Notes the words of what is run, now or later, without being seen as a statement. */
  private code(kind: string, node: Node): void {
    const add = (text: string) => {
      this.words ??= new Set()
      for (const [word] of text.toLowerCase().matchAll(/[\p{L}_][\p{L}\p{N}_$]*/gu)) {
        if (this.words.size >= CODE_WORDS_MAX) {
          this.words.add('*')
          return
        }
        this.words.add(word)
      }
      // Made of pieces, or of another language.
      if (this.words.has('execute')) this.words.add('*')
    }
    switch (kind) {
      case 'DoStmt':
      case 'CreateFunctionStmt': {
        const options = ((node.args ?? node.options) as Node[]) ?? []
        const text = JSON.stringify([kind === 'DoStmt' ? options : node.options, node.sql_body])
        add(unescapedJson(text))
        const language = /"defname":"language","arg":\{"String":\{"sval":"([^"]*)"/.exec(text)?.[1]
        if (language !== undefined && !['sql', 'plpgsql'].includes(language.toLowerCase()))
          add('execute')
        return
      }
      case 'RuleStmt':
        add(JSON.stringify(node.actions ?? []))
        return
      case 'CreateTrigStmt':
        add(String((node.relation as Node)?.relname ?? ''))
        return
      case 'CreateForeignTableStmt':
      case 'ImportForeignSchemaStmt':
      case 'CreateForeignServerStmt':
        add('execute')
        return
      case 'CreateStmt':
      case 'AlterTableStmt':
      case 'CreateDomainStmt':
      case 'AlterDomainStmt':
        // Defaults and generated columns may keep what functions give.
        for (const [, names] of JSON.stringify(node).matchAll(
          /"FuncCall":\{"funcname":\[(.*?)\]/g,
        )) {
          add(names!.replace(/"String":|"sval":/g, ''))
          if (/_to_xml|"dblink|"pg_read/i.test(names!)) add('execute')
        }
    }
  }

  private select(node: Node): void {
    this.verbs.add('sql:select')
    const scope = this.enter(node.withClause as Node | undefined)
    if (node.intoClause) {
      this.verbs.add('sql:create')
      this.range((node.intoClause as Node).rel as Node, 'sql:create')
    }
    if (node.lockingClause) {
      this.verbs.add('sql:lock')
      this.widen('sql:lock', breadthOf(node))
    }
    this.widen('sql:select', breadthOf(node))
    for (const side of ['larg', 'rarg']) if (node[side]) this.select(node[side] as Node)
    const { withClause: _w, intoClause: _i, larg: _l, rarg: _r, ...rest } = node
    this.expression(rest)
    if (scope) this.scopes.pop()
  }

  private change(verb: string, node: Node): void {
    this.verbs.add(verb)
    if (verb === 'sql:update' || verb === 'sql:delete')
      this.widen(verb, narrowed(node.whereClause as Node | undefined) ?? 'all')
    const scope = this.enter(node.withClause as Node | undefined)
    this.range(node.relation as Node, verb)
    const { withClause: _w, relation: _r, selectStmt, ...rest } = node
    const source = (selectStmt as Node | undefined)?.SelectStmt as Node | undefined
    // A list of VALUES reads nothing by itself; what its expressions hold is looked at all the same.
    if (source?.valuesLists) this.expression(source.valuesLists)
    else if (source) this.select(source)
    if (verb === 'sql:merge')
      for (const clause of (node.mergeWhenClauses as Node[]) ?? []) {
        const type = String((clause.MergeWhenClause as Node)?.commandType ?? '')
          .replace('CMD_', '')
          .toLowerCase()
        if (['insert', 'update', 'delete'].includes(type)) {
          this.verbs.add(`sql:${type}`)
          // Which rows match, the join says; an estimate from the text would be a guess.
          if (type !== 'insert') this.widen(`sql:${type}`, 'filtered')
          this.range(node.relation as Node, `sql:${type}`)
        }
      }
    if ((node.onConflictClause as Node)?.action === 'ONCONFLICT_UPDATE') {
      this.verbs.add('sql:update')
      // It changes the rows that the new ones collide with.
      this.widen('sql:update', 'keyed')
      this.range(node.relation as Node, 'sql:update')
    }
    this.expression(rest)
    if (scope) this.scopes.pop()
  }

  /** Settings that change who one is, or which function a name means, are more than settings. */
  private set(node: Node): void {
    const name = String(node.name ?? 'all').toLowerCase()
    const gives = node.kind !== 'VAR_RESET' && node.kind !== 'VAR_SET_DEFAULT'
    const role = gives && (name === 'role' || name === 'session_authorization')
    const verb = role ? 'sql:set-role' : shadows(node, name) ? 'sql:set-path' : 'sql:set'
    this.verbs.add(verb)
    this.add('setting', name, verb)
    // SET TRANSACTION SNAPSHOT and the like carry their values; they call nothing.
  }

  private copy(node: Node): void {
    const verb = node.is_from ? 'sql:copy-in' : 'sql:copy-out'
    this.verbs.add(verb)
    if (node.is_program) {
      this.verbs.add('sql:copy-program')
      this.add('program', String(node.filename), 'sql:copy-program')
      this.misunderstood('a program run by the server')
    } else if (node.filename) {
      // A file of the server's, not the client's.
      this.verbs.add('sql:copy-file')
      this.add('file', String(node.filename), 'sql:copy-file')
    }
    this.copyOptions = copyOptionsOf((node.options as Node[]) ?? [])
    if (node.relation) this.range(node.relation as Node, verb)
    if (node.query) this.statement(node.query as Node)
    this.expression(node.whereClause)
  }

  /** Common table expressions may change data, and their names hide tables of the same name. */
  private enter(clause: Node | undefined): boolean {
    if (!clause) return false
    const names = new Set<string>()
    this.scopes.push(names)
    const ctes = ((clause.ctes as Node[]) ?? []).map((cte) => cte.CommonTableExpr as Node)
    if (clause.recursive) for (const cte of ctes) names.add(String(cte.ctename))
    for (const cte of ctes) {
      this.statement(cte.ctequery as Node)
      names.add(String(cte.ctename))
    }
    return true
  }

  /** Anything that may hold tables, functions or whole statements. */
  private expression(value: unknown): void {
    if (Array.isArray(value)) {
      for (const item of value) this.expression(item)
      return
    }
    if (value === null || typeof value !== 'object') return
    for (const [key, inner] of Object.entries(value as Node)) {
      if (key === 'A_Expr') this.operator(inner as Node)
      else if (key === 'typeName' || key === 'TypeName') this.type(inner as Node)
      else if (key === 'usingClause' || key === 'CaseExpr') this.addName(this.operators, '=')
      else if (key === 'useOp' || key === 'operName') this.addName(this.operators, nameOf(inner))
      if (key === 'SelectStmt') this.select(inner as Node)
      else if (VERBS[key] !== undefined) this.statement({ [key]: inner })
      else if (key === 'RangeVar') this.range(inner as Node, 'sql:select')
      else if (key === 'ColumnRef') this.column(inner as Node)
      else if (key === 'ResTarget' && value !== null) {
        const name = (inner as Node).name
        // A name in an INSERT's or UPDATE's list is a column, in a SELECT's an alias; either may be asked about.
        if (typeof name === 'string') this.addColumn(name)
        this.expression(inner)
      } else if (key === 'FuncCall') {
        this.call(inner as Node)
        this.expression(inner)
      } else this.expression(inner)
    }
  }

  private call(node: Node): void {
    const parts = ((node.funcname as Node[]) ?? []).map((part) =>
      String((part.String as Node)?.sval ?? ''),
    )
    const name = parts.join('.')
    const plain =
      parts.length === 1
        ? parts[0]!
        : parts.length === 2 && parts[0] === 'pg_catalog'
          ? parts[1]!
          : ''
    // What only computes is no action of its own; it is named all the same.
    if (READING.has(plain)) {
      this.add('function', name, 'sql:compute')
      return
    }
    this.add('function', name, 'sql:call')
    if (!PLAIN_WRITING.has(plain)) this.makes = true
    this.writes = true
    this.verbs.add('sql:call')
  }

  private operator(node: Node): void {
    this.addName(this.operators, nameOf(node.name))
    // Written with words, run with these.
    if (String(node.kind).includes('BETWEEN'))
      for (const one of ['<=', '>=', '<', '>']) this.addName(this.operators, one)
  }

  private type(node: Node): void {
    this.addName(this.types, nameOf(node.names))
  }

  private addName(to: Set<string>, name: string): void {
    if (name === '') return
    if (to.size >= OBJECTS_MAX) this.misunderstood(`more than ${OBJECTS_MAX} names`)
    else to.add(name)
  }

  private column(node: Node): void {
    const last = ((node.fields as Node[]) ?? []).at(-1)
    if (last === undefined) return
    this.addColumn('A_Star' in last ? '*' : String((last.String as Node)?.sval ?? ''))
  }

  private addColumn(name: string): void {
    if (this.columns.size >= OBJECTS_MAX) this.misunderstood(`more than ${OBJECTS_MAX} columns`)
    else this.columns.add(name)
  }

  private widen(verb: string, breadth: Breadth): void {
    const known = this.breadth[verb]
    if (known === undefined || BREADTHS.indexOf(breadth) > BREADTHS.indexOf(known))
      this.breadth[verb] = breadth
  }

  private range(node: Node | undefined, verb: string): void {
    if (!node?.relname) return
    const relation = String(node.relname)
    if (
      !node.schemaname &&
      verb === 'sql:select' &&
      this.scopes.some((scope) => scope.has(relation))
    )
      return
    this.add('table', [node.catalogname, node.schemaname, relation].filter(Boolean).join('.'), verb)
  }

  /** Every table that a utility statement names. */
  private names(value: unknown, verb: string): void {
    if (Array.isArray(value)) for (const item of value) this.names(item, verb)
    else if (value !== null && typeof value === 'object') {
      const node = value as Node
      if (typeof node.relname === 'string') this.range(node, verb)
      else
        for (const [key, inner] of Object.entries(node)) {
          if (key === 'RoleSpec' && (inner as Node).rolename)
            this.add('role', String((inner as Node).rolename), verb)
          else if (/Stmt$/.test(key)) this.statement({ [key]: inner })
          else this.names(inner, verb)
        }
    }
  }

  private add(kind: string, name: string, verb: string): void {
    if (this.objects.size >= OBJECTS_MAX) {
      this.misunderstood(`more than ${OBJECTS_MAX} objects`)
      return
    }
    this.objects.set(`${kind}\0${name}\0${verb}`, { kind, name, verb })
  }
}

function copyOptionsOf(list: readonly Node[]): CopyOptions | null {
  const given = new Map<string, string>()
  for (const one of list) {
    const { defname, arg } = (one.DefElem ?? {}) as { defname?: string; arg?: Node }
    const value = Object.values(arg ?? {})[0] as Node | undefined
    const text = value?.sval ?? value?.boolval ?? value?.ival
    // An empty string and a zero come without their value.
    const empty = arg === undefined ? 'true' : 'String' in arg ? '' : '0'
    given.set(String(defname), String(text ?? empty))
  }
  // In another encoding than the rest of the session.
  if (given.has('encoding')) return null
  const format = given.get('format') ?? 'text'
  if (format !== 'text' && format !== 'csv' && format !== 'binary') return null
  const quote = given.get('quote') ?? '"'
  return {
    format,
    delimiter: given.get('delimiter') ?? (format === 'csv' ? ',' : '\t'),
    null: given.get('null') ?? (format === 'csv' ? '' : '\\N'),
    quote,
    escape: given.get('escape') ?? quote,
    header: !['false', 'off', '0', undefined].includes(given.get('header')?.toLowerCase()),
  }
}

/** The last part of a list of names. */
function nameOf(list: unknown): string {
  const last = Array.isArray(list) ? (list.at(-1) as Node | undefined) : undefined
  return String((last?.String as Node | undefined)?.sval ?? '')
}

function listName(object: Node): string {
  const items = ((object.List as Node)?.items as Node[]) ??
    ((object.TypeName as Node)?.names as Node[]) ?? [object]
  return items
    .map((item) => String((item.String as Node)?.sval ?? ''))
    .filter(Boolean)
    .join('.')
}

function breadthOf(select: Node): Breadth {
  if (select.op && select.op !== 'SETOP_NONE') return 'none' // its sides have their own
  if (!Array.isArray(select.fromClause) || select.fromClause.length === 0) return 'none'
  return narrowed(select.whereClause as Node | undefined) ?? (select.limitCount ? 'limited' : 'all')
}

/** Whether a condition leaves out rows, as far as its text says; null where every row could meet it. */
function narrowed(condition: Node | undefined): 'keyed' | 'filtered' | null {
  if (!condition) return null
  const [kind] = Object.keys(condition)
  const node = condition[kind!] as Node
  switch (kind) {
    case 'BoolExpr': {
      const sides = ((node.args as Node[]) ?? []).map(narrowed)
      if (node.boolop === 'AND_EXPR')
        return sides.includes('keyed') ? 'keyed' : sides.includes('filtered') ? 'filtered' : null
      if (node.boolop === 'OR_EXPR')
        return sides.includes(null)
          ? null
          : sides.every((side) => side === 'keyed')
            ? 'keyed'
            : 'filtered'
      // NOT of what says something says something, but not of one row.
      return sides[0] === null ? null : 'filtered'
    }
    case 'A_Expr': {
      const [left, right] = [node.lexpr as Node | undefined, node.rexpr as Node | undefined]
      const [leftColumn, rightColumn] = [hasColumn(left), hasColumn(right)]
      if (!leftColumn && !rightColumn) return null
      if (sameText(left, right)) return null
      const operator = ((node.name as Node[])?.[0]?.String as Node | undefined)?.sval
      const equal =
        (node.kind === 'AEXPR_OP' && operator === '=') ||
        (node.kind === 'AEXPR_IN' && operator === '=')
      return equal && leftColumn !== rightColumn && (isColumn(left) || isColumn(right))
        ? 'keyed'
        : 'filtered'
    }
    case 'NullTest':
      // IS NOT NULL is how one says "all of them" to something that wants a WHERE.
      return node.nulltesttype === 'IS_NULL' && hasColumn(node.arg) ? 'filtered' : null
    case 'SubLink':
      return node.testexpr && hasColumn(node.testexpr) && selectNarrows(node.subselect as Node)
        ? 'filtered'
        : node.subLinkType === 'EXISTS_SUBLINK' && selectNarrows(node.subselect as Node)
          ? 'filtered'
          : null
    case 'CurrentOfExpr':
      return 'keyed'
    case 'A_Const':
    case 'ParamRef':
    case 'TypeCast':
      return null
  }
  return hasColumn(condition) ? 'filtered' : null
}

function selectNarrows(subselect: Node | undefined): boolean {
  const select = subselect?.SelectStmt as Node | undefined
  if (!select) return false
  return (
    Array.isArray(select.valuesLists) ||
    select.limitCount !== undefined ||
    narrowed(select.whereClause as Node | undefined) !== null
  )
}

function isColumn(node: unknown): boolean {
  return node !== null && typeof node === 'object' && 'ColumnRef' in node
}

function hasColumn(node: unknown): boolean {
  if (node === null || typeof node !== 'object') return false
  if (Array.isArray(node)) return node.some(hasColumn)
  return Object.entries(node).some(([key, value]) => key === 'ColumnRef' || hasColumn(value))
}

/** Constants count as the same: statements that differ in them alone share one analysis. */
function sameText(a: unknown, b: unknown): boolean {
  const plain = (node: unknown) =>
    JSON.stringify(node, (key, value) =>
      key === 'location' ? undefined : key === 'A_Const' ? null : value,
    )
  return plain(a) === plain(b)
}

/** A search_path that puts something before pg_catalog makes other functions answer to PostgreSQL's own names. */
function shadows(node: Node, name: string): boolean {
  if (name !== 'search_path') return false
  const values = ((node.args as Node[]) ?? []).map((arg) =>
    String(((arg.A_Const as Node)?.sval as Node)?.sval ?? '').toLowerCase(),
  )
  // One string may hold a list too: SET search_path = 'evil, pg_catalog'.
  const at = values.findIndex((value) => value.includes('pg_catalog'))
  return at > 0 || (at === 0 && values[0] !== 'pg_catalog')
}

/** What a setting made outside of SQL does: the same as SET. */
export function settingAnalysis(name: string, value: string): StatementAnalysis {
  const setting = name.toLowerCase()
  const verb =
    setting === 'role' || setting === 'session_authorization'
      ? 'sql:set-role'
      : setting === 'search_path' && /\S.*pg_catalog/i.test(value.trim())
        ? 'sql:set-path'
        : setting === '?'
          ? 'sql:unknown'
          : 'sql:set'
  return {
    ...unanalysed(setting === '?' ? 'start-up options' : null),
    verbs: [verb],
    objects: [{ kind: 'setting', name: setting, verb }],
    understood: setting !== '?',
  }
}

/**
 * The settings in a start-up packet's `options` (postgres -c name=value, --name=value; backslash escapes), each with the words
 * that it came in. What is anything else has the name `?`: PostgreSQL takes more switches there than settings.
 */
export function startupOptionWords(
  options: string,
): { name: string; value: string; words: string[] }[] {
  const words: string[] = []
  let word: string | null = null
  for (let i = 0; i < options.length; i++) {
    const c = options[i]!
    if (/\s/.test(c)) {
      if (word !== null) words.push(word)
      word = null
    } else if (c === '\\' && i + 1 < options.length) word = (word ?? '') + options[++i]
    else word = (word ?? '') + c
  }
  if (word !== null) words.push(word)
  const settings: { name: string; value: string; words: string[] }[] = []
  for (let i = 0; i < words.length; i++) {
    const from = i
    const one = words[i]!
    const text = one === '-c' ? (words[++i] ?? '') : /^(-c|--)(?=.)/.test(one) ? one.slice(2) : null
    const equals = text?.indexOf('=') ?? -1
    const isSetting = text !== null && equals > 0
    settings.push({
      name: isSetting ? text.slice(0, equals).replaceAll('-', '_').trim() : '?',
      value: isSetting ? text.slice(equals + 1) : one,
      words: words.slice(from, i + 1),
    })
  }
  return settings
}

export function startupOptions(options: string): [name: string, value: string][] {
  return startupOptionWords(options).map(({ name, value }) => [name, value])
}
