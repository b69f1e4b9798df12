/**
 * What a SQL string does, by PostgreSQL's own parser (libpg-query): its statements with verbs, objects, fingerprint,
 * and whether each is proven to only read. Pure but for a cache in front.
 * Refuses to guess: what is not parsed or not known is `sql:unknown` and not understood, never harmless.
 */
import { fingerprintSync, loadModule, parseSync } from 'libpg-query'
import { statementKey } from './lexer'

export interface ObjectName {
  kind: string
  name: string
  verb: string
}

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

/** Objects kept per statement; more are left out and the statement counts as not understood. */
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
      cachedBytes += key.length + 256
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
  const whole = found.length > 1 ? Buffer.from(sql) : Buffer.alloc(0)
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
      return { start, end, ...walk.result(), fingerprint }
    }),
  }
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

/** Functions that only compute or read. Everything else may write, and is not proven to only read. */
const READING = new Set(
  `abs age any_value array_agg array_length array_position array_to_string avg bit_length bool_and bool_or btrim cardinality ceil ceiling char_length character_length chr
  clock_timestamp coalesce col_description concat concat_ws convert_from convert_to cos count cume_dist current_catalog current_database current_schema current_schemas current_setting current_user date_part
  date_trunc decode degrees dense_rank encode every exp extract first_value floor format format_type generate_series generate_subscripts get_bit get_byte greatest has_schema_privilege has_table_privilege
  host initcap inet_client_addr inet_server_addr isfinite json_agg json_array_elements json_array_length json_build_array json_build_object json_each json_object_agg json_typeof jsonb_agg jsonb_array_elements
  jsonb_array_length jsonb_build_array jsonb_build_object jsonb_each jsonb_each_text jsonb_object_agg jsonb_object_keys jsonb_path_query jsonb_pretty jsonb_typeof justify_days justify_interval lag last_value lead least
  left length ln localtime localtimestamp log lower lpad ltrim make_date make_interval make_timestamp max md5 min mod mode netmask now nth_value ntile nullif obj_description octet_length overlay
  percent_rank percentile_cont percentile_disc pg_backend_pid pg_column_size pg_database_size pg_encoding_to_char pg_function_is_visible pg_get_constraintdef pg_get_expr pg_get_function_arguments
  pg_get_function_identity_arguments pg_get_function_result pg_get_functiondef pg_get_indexdef pg_get_partkeydef pg_get_ruledef pg_get_serial_sequence pg_get_triggerdef pg_get_userbyid pg_get_viewdef pg_is_in_recovery
  pg_relation_size pg_size_pretty pg_sleep pg_table_is_visible pg_table_size pg_total_relation_size pg_type_is_visible pg_typeof pi position power quote_ident quote_literal quote_nullable radians random rank
  regexp_count regexp_like regexp_match regexp_matches regexp_replace regexp_split_to_array regexp_split_to_table regexp_substr repeat replace reverse right round row_number row_to_json rpad rtrim session_user
  sha224 sha256 sha384 sha512 sign sin split_part sqrt starts_with statement_timestamp stddev strpos string_agg string_to_array string_to_table substr substring sum tan text timeofday timezone to_ascii to_char to_date to_hex to_json to_jsonb
  to_number to_regclass to_timestamp to_tsquery to_tsvector transaction_timestamp translate trim trunc unnest upper variance version width_bucket xmlagg array_upper array_lower array_append array_cat array_remove`.split(
    /\s+/,
  ),
)

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
  private problem: string | null = null
  private writes = false
  /** Names of common table expressions in force, innermost last. */
  private readonly scopes: Set<string>[] = []

  result(): Omit<StatementAnalysis, 'start' | 'end' | 'fingerprint'> {
    const understood = this.problem === null
    if (!understood) this.verbs.add('sql:unknown')
    const verbs = [...this.verbs]
    return {
      verbs,
      objects: [...this.objects.values()],
      understood,
      problem: this.problem,
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
          // What is only explained is touched by name and run by nobody.
          const inner = new Walk()
          inner.statement(node.query as Node)
          for (const object of inner.objects.values())
            this.add(object.kind, object.name, 'sql:explain')
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
        this.verbs.add('sql:create')
        this.range(node.view as Node, 'sql:create')
        this.statement(node.query as Node)
        return
      case 'VariableSetStmt':
        this.verbs.add('sql:set')
        this.add('setting', String(node.name ?? 'all'), 'sql:set')
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
    this.names(node, verb)
    if (kind === 'CreateFunctionStmt' || kind === 'RuleStmt')
      this.misunderstood('code that runs later')
  }

  private select(node: Node): void {
    this.verbs.add('sql:select')
    const scope = this.enter(node.withClause as Node | undefined)
    if (node.intoClause) {
      this.verbs.add('sql:create')
      this.range((node.intoClause as Node).rel as Node, 'sql:create')
    }
    if (node.lockingClause) this.verbs.add('sql:lock')
    for (const side of ['larg', 'rarg']) if (node[side]) this.select(node[side] as Node)
    const { withClause: _w, intoClause: _i, larg: _l, rarg: _r, ...rest } = node
    this.expression(rest)
    if (scope) this.scopes.pop()
  }

  private change(verb: string, node: Node): void {
    this.verbs.add(verb)
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
        if (['insert', 'update', 'delete'].includes(type)) this.verbs.add(`sql:${type}`)
      }
    if ((node.onConflictClause as Node)?.action === 'ONCONFLICT_UPDATE')
      this.verbs.add('sql:update')
    this.expression(rest)
    if (scope) this.scopes.pop()
  }

  private copy(node: Node): void {
    const verb = node.is_from ? 'sql:copy-in' : 'sql:copy-out'
    this.verbs.add(verb)
    if (node.is_program) {
      this.verbs.add('sql:copy-program')
      this.add('program', String(node.filename), 'sql:copy-program')
      this.misunderstood('a program run by the server')
    } else if (node.filename) this.add('file', String(node.filename), verb)
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
      if (key === 'SelectStmt') this.select(inner as Node)
      else if (VERBS[key] !== undefined) this.statement({ [key]: inner })
      else if (key === 'RangeVar') this.range(inner as Node, 'sql:select')
      else if (key === 'FuncCall') {
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
    this.add('function', name, 'sql:call')
    const plain =
      parts.length === 1
        ? parts[0]!
        : parts.length === 2 && parts[0] === 'pg_catalog'
          ? parts[1]!
          : ''
    if (READING.has(plain)) return
    this.writes = true
    this.verbs.add('sql:call')
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

function listName(object: Node): string {
  const items = ((object.List as Node)?.items as Node[]) ??
    ((object.TypeName as Node)?.names as Node[]) ?? [object]
  return items
    .map((item) => String((item.String as Node)?.sval ?? ''))
    .filter(Boolean)
    .join('.')
}
