/**
 * What the query role may ask the embedded engine, which knows no users: one statement that only reads, of tables and
 * functions that reach neither files nor hosts, in formats that need no file, with settings from a list.
 * The engine's own parser says what a statement is: it writes it down anew (`formatQuerySingleLine` refuses a second one), and
 * what it wrote is judged, by its syntax tree and by its words, and is what runs, so that nothing can be read in two ways.
 * Beneath it the engine runs with `readonly = 1`, which alone would let files, INTO OUTFILE and KILL through.
 * Refuses what it does not know: kinds of statement, table functions, tables of `system`, formats and settings are lists of
 * what is permitted. Pure, but for asking the parser.
 */

export class RefusedError extends Error {
  constructor(what: string) {
    super(
      `Code: 497. DB::Exception: custody_query: Not enough privileges: ${what}. (ACCESS_DENIED)`,
    )
  }
}

/** The engine, as far as judging needs it. */
export interface Parser {
  /** The statement as the engine writes it; throws its syntax error. */
  format(sql: string): Promise<string>
  /** Lines of `EXPLAIN AST`; only ever called with what `format` returned. */
  tree(sql: string, parameters: [name: string, value: string][]): Promise<string[]>
  /** Names of all table functions, and of functions that are not for reading what is stored. */
  functions(): Promise<{ table: string[]; scalar: string[] }>
}

/** First words of a tree. */
const KINDS = new Set([
  'SelectWithUnionQuery',
  'SelectIntersectExceptQuery',
  'Explain',
  'ShowTables',
  'ShowColumns',
  'ShowFunctions',
  'ShowCreateTableQuery',
  'ShowCreateViewQuery',
  'ShowCreateDatabaseQuery',
  'DescribeQuery',
  'ExistsTableQuery',
  'ExistsViewQuery',
  'ExistsDatabaseQuery',
])

/** Statements that are in another and are not reading; an EXPLAIN may hold any. */
const OTHER_QUERY = /^[A-Za-z]*(?:Query|Command)$/
const INNER = new Set([...KINDS, 'SelectQuery', 'TablesInSelectQuery'])

/** Table functions that make rows of nothing but their arguments. */
const TABLE_FUNCTIONS = new Set(
  [
    'numbers',
    'numbers_mt',
    'zeros',
    'zeros_mt',
    'primes',
    'generate_series',
    'generateSeries',
    'values',
    'view',
  ].map((name) => name.toLowerCase()),
)

/** Functions that read files, ask hosts, or tell what is not in the tables. */
export const SCALAR_FUNCTIONS = [
  'file',
  'catboostEvaluate',
  'hasColumnInTable',
  'reverseDNSQuery',
  'getClientHTTPHeader',
  'getServerSetting',
  'getMacro',
  'showCertificate',
  'generateSerialID',
  'addressToLine',
  'addressToLineWithInlines',
  'addressToSymbol',
  'joinGet',
  'joinGetOrNull',
  'zookeeperSessionUptime',
]

/** What of `system` tells about tables and the language, and nothing about others' questions. */
const SYSTEM_TABLES = new Set([
  'one',
  'numbers',
  'numbers_mt',
  'zeros',
  'zeros_mt',
  'databases',
  'tables',
  'columns',
  'functions',
  'table_functions',
  'formats',
  'data_type_families',
  'aggregate_function_combinators',
  'time_zones',
  'build_options',
])

const FORMATS =
  /^(?:JSON\w*|NDJSON|Pretty\w*|CSV\w*|TSV\w*|TabSeparated\w*|TSKV|Raw\w*|Values|Vertical|XML|Markdown|MD|Null|Native|RowBinary\w*|Parquet|Arrow|ArrowStream|ORC|Avro|MsgPack|BSONEachRow|Npy|Hash|LineAsString\w*|SQLInsert|Prometheus)$/

export const isFormat = (name: string) => FORMATS.test(name)

/** Settings that a question of the query role may bring along; bounded where they are about what it may cost. */
const SETTINGS: [RegExp, max?: number][] = [
  [/^max_execution_time$/, 300],
  [/^max_result_rows$/],
  [/^max_result_bytes$/],
  [/^max_block_size$/, 1_000_000],
  [/^max_threads$/, 64],
  [/^result_overflow_mode$/],
  [/^output_format_(?!schema)[a-z0-9_]+$/],
  [/^date_time_output_format$/],
  [/^session_timezone$/],
  [/^prefer_column_name_to_alias$/],
  [/^join_use_nulls$/],
  [/^cancel_http_readonly_queries_on_client_close$/],
  [/^default_format$/],
]

/** The settings as they will be, each within its bounds. */
export function permittedSettings(
  settings: readonly [string, string][],
): [name: string, value: string][] {
  return settings.map(([name, value]) => {
    const known = SETTINGS.find(([pattern]) => pattern.test(name))
    if (!known) throw new RefusedError(`the setting ${name} is not for this user`)
    const [, max] = known
    // Zero would mean no limit.
    if (max !== undefined && !(/^\d+(\.\d+)?$/.test(value) && Number(value) > 0))
      throw new RefusedError(`the setting ${name} must be a number above 0`)
    if (name === 'default_format' && !isFormat(value))
      throw new RefusedError(`the format ${value} is not for this user`)
    return [name, max === undefined ? value : String(Math.min(Number(value), max))]
  })
}

/** The statement to run in the place of what was asked, or an error that says what is not permitted. */
export async function permittedStatement(
  sql: string,
  parameters: [name: string, value: string][],
  parser: Parser,
): Promise<string> {
  if (sql.includes('\0')) throw new RefusedError('a statement has no zero byte')
  const text = await parser.format(sql)
  if ((await parser.format(text)) !== text)
    throw new RefusedError('the statement can’t be read in one way only')
  const denied = await parser.functions()
  const names = new Set([
    ...denied.table.map((name) => name.toLowerCase()).filter((name) => !TABLE_FUNCTIONS.has(name)),
    ...denied.scalar.map((name) => name.toLowerCase()),
  ])
  judgeWords(wordsOf(text), names)
  judgeTree(await parser.tree(text, parameters), names)
  return text
}

export interface Word {
  /** Without quotes. */
  text: string
  kind: 'word' | 'quoted' | 'string' | 'sign'
}

/** Tokens of a statement as the engine writes it: no comments, strings in single quotes, other quotes around names. */
export function wordsOf(canonical: string): Word[] {
  const words: Word[] = []
  const pattern =
    /\s+|'((?:[^'\\]|\\[\s\S]|'')*)'|`((?:[^`\\]|\\[\s\S]|``)*)`|"((?:[^"\\]|\\[\s\S]|"")*)"|([A-Za-z_$\u0080-\uffff][\w$\u0080-\uffff]*)|(\d[\w.]*|[\s\S])/gy
  for (let match = pattern.exec(canonical); match; match = pattern.exec(canonical)) {
    const [, string, back, double, word, sign] = match
    if (string !== undefined) words.push({ kind: 'string', text: string })
    else if (back !== undefined || double !== undefined)
      words.push({ kind: 'quoted', text: (back ?? double)!.replace(/\\([\s\S])/g, '$1') })
    else if (word !== undefined) words.push({ kind: 'word', text: word })
    else if (sign !== undefined) words.push({ kind: 'sign', text: sign })
  }
  return words
}

export function judgeWords(words: readonly Word[], denied: ReadonlySet<string>): void {
  const isWord = (at: number, text: string) =>
    words[at]?.kind === 'word' && words[at].text.toUpperCase() === text
  const isSign = (at: number, text: string) => words[at]?.kind === 'sign' && words[at].text === text
  for (const [i, { kind, text }] of words.entries()) {
    if (kind === 'sign' && (text === "'" || text === '`' || text === '"' || text === ';'))
      throw new RefusedError('the statement can’t be read in one way only')
    if (kind !== 'word' && kind !== 'quoted') continue
    if (kind === 'word' && isWord(i, 'INTO') && isWord(i + 1, 'OUTFILE'))
      throw new RefusedError('INTO OUTFILE is not for this user')
    if (kind === 'word' && isWord(i, 'FORMAT') && words[i + 1] && !isSign(i + 1, '(')) {
      const format = words[i + 1]!
      // As a name of something it is one as well, where a clause can't be: then it only has to look like a format.
      if ((format.kind === 'word' || format.kind === 'quoted') && isEndOfFormat(words, i + 2))
        if (!isFormat(format.text))
          throw new RefusedError(`the format ${format.text} is not for this user`)
    }
    if (kind === 'word' && isWord(i, 'IDENTIFIER') && isSign(i - 1, ':'))
      throw new RefusedError('a parameter in the place of a name is not for this user')
    // Also where the tree says nothing of what is inside, as of APPLY.
    if (text.toLowerCase() === 'system' && isSign(i + 1, '.') && words[i + 2]?.kind !== 'sign')
      if (!SYSTEM_TABLES.has(words[i + 2]?.text.toLowerCase() ?? ''))
        throw new RefusedError(`system.${words[i + 2]?.text} is not for this user`)
    if (!denied.has(text.toLowerCase())) continue
    const applied = isWord(i - 1, 'APPLY') || (isSign(i - 1, '(') && isWord(i - 2, 'APPLY'))
    if (isSign(i + 1, '(') || applied)
      throw new RefusedError(`the function ${text} is not for this user`)
  }
}

function isEndOfFormat(words: readonly Word[], at: number): boolean {
  const next = words[at]
  return next === undefined || (next.kind === 'word' && next.text.toUpperCase() === 'SETTINGS')
}

export function judgeTree(lines: readonly string[], denied: ReadonlySet<string>): void {
  const first = lines[0]?.trim().split(' ')[0] ?? ''
  if (!KINDS.has(first))
    throw new RefusedError('only SELECT, EXPLAIN, SHOW and DESCRIBE are for this user')
  let inFrom = -1
  for (const line of lines) {
    const depth = line.length - line.trimStart().length
    const [node = '', name = ''] = line.trim().split(' ')
    if (depth <= inFrom) inFrom = -1
    // Those of an EXPLAIN itself are only about what it says.
    if (node === 'Set' && !(first === 'Explain' && depth === 1))
      throw new RefusedError('settings go with the request, not into the statement,')
    if (OTHER_QUERY.test(node) && !INNER.has(node))
      throw new RefusedError(`${node} is not for this user`)
    if (node === 'Function' && denied.has(name.toLowerCase()))
      throw new RefusedError(`the function ${name} is not for this user`)
    if (node === 'TableExpression') inFrom = depth
    else if (inFrom >= 0 && depth === inFrom + 1 && node === 'Function')
      if (!TABLE_FUNCTIONS.has(name.toLowerCase()))
        throw new RefusedError(`the table function ${name} is not for this user`)
    if (node === 'Identifier' || node === 'TableIdentifier') {
      const [database = '', table = ''] = name.toLowerCase().split('.')
      if (database === 'system' && table !== '' && !SYSTEM_TABLES.has(table))
        throw new RefusedError(`${name} is not for this user`)
    }
  }
}
