/**
 * ClickHouse's HTTP interface, the pure part: what a request asks for, and the SQL that carries its settings.
 * Source: https://clickhouse.com/docs/interfaces/http. Refuses to open anything; strings in, strings out.
 */

export interface EngineRequest {
  /** Without the data of an INSERT. */
  sql: string
  settings: [name: string, value: string][]
  /** Values of `{name:Type}`, in the escaped form that the interface defines. */
  parameters: [name: string, value: string][]
  database: string | null
  queryId: string | null
  /** The engine itself refuses to write, and settings in the statement. */
  readonly?: boolean
}

export class BadRequestError extends Error {}

/** Of the transport, not of the engine: taken note of here or without meaning for an engine in process. */
const TRANSPORT = new Set([
  'query',
  'database',
  'default_format',
  'user',
  'password',
  'query_id',
  'session_id',
  'session_timeout',
  'session_check',
  'close_session',
  'quota_key',
  'role',
  'stacktrace',
  'compress',
  'decompress',
  'buffer_size',
  'enable_http_compression',
  'wait_end_of_query',
  'send_progress_in_http_headers',
  'http_headers_progress_interval_ms',
  'add_http_cors_header',
])

const IDENTIFIER = /^[A-Za-z_][A-Za-z0-9_]{0,127}$/

export function readRequest(search: URLSearchParams, sql: string): EngineRequest {
  const request: EngineRequest = {
    sql: sql.trim().replace(/;\s*$/, ''),
    settings: [],
    parameters: [],
    database: null,
    queryId: search.get('query_id'),
  }
  if (request.sql === '') throw new BadRequestError('Empty query')
  for (const [name, value] of search) {
    if (name === 'database') {
      if (!IDENTIFIER.test(value)) throw new BadRequestError(`Bad database name ${value}`)
      request.database = value
    } else if (TRANSPORT.has(name)) {
    } else if (name.startsWith('param_')) {
      const parameter = name.slice('param_'.length)
      if (!IDENTIFIER.test(parameter)) throw new BadRequestError(`Bad parameter name ${parameter}`)
      request.parameters.push([parameter, value])
    } else {
      if (!IDENTIFIER.test(name)) throw new BadRequestError(`Bad setting name ${name}`)
      request.settings.push([name, value])
    }
  }
  const format = search.get('default_format')
  if (format !== null) {
    if (!IDENTIFIER.test(format)) throw new BadRequestError(`Bad format ${format}`)
    request.settings.push(['default_format', format])
  }
  return request
}

/** The name of the format that the answer will have, by the query's own FORMAT clause. */
export function formatOf(sql: string): string | null {
  return /\bFORMAT\s+([A-Za-z0-9_]+)\s*(?:SETTINGS\b[^']*)?$/i.exec(sql)?.[1] ?? null
}

/** `INSERT INTO t (…) FORMAT X` whose data is in a file. */
export function insertFromFile(sql: string, file: string): string {
  const match = /^(INSERT\s+INTO\s[\s\S]*?)\sFORMAT\s+([A-Za-z0-9_]+)\s*$/i.exec(sql)
  if (!match)
    throw new BadRequestError('A body beside a query is taken as the data of INSERT … FORMAT …')
  return `${match[1]} FROM INFILE ${literal(file)} FORMAT ${match[2]}`
}

export function isInsert(sql: string): boolean {
  return /^\s*INSERT\s/i.test(sql)
}

/** Statements that give a fresh session what the request asked for. */
export function preparation(request: EngineRequest, more: [string, string][]): string[] {
  const statements: string[] = []
  if (request.database !== null) statements.push(`USE ${request.database}`)
  const settings = [...more, ...request.settings].filter(([name]) => name !== 'default_format')
  if (settings.length > 0)
    statements.push(
      `SET ${settings.map(([name, value]) => `${name} = ${literal(value)}`).join(', ')}`,
    )
  for (const [name, value] of request.parameters)
    statements.push(`SET param_${name} = ${literal(value)}`)
  // Last: it lets nothing be set any more.
  if (request.readonly) statements.push('SET readonly = 1')
  return statements
}

export function literal(text: string): string {
  return `'${text.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`
}

/** What the engine says: `Code: 62. DB::Exception: …`. */
export function exceptionCode(message: string): string {
  return /\bCode: (\d+)/.exec(message)?.[1] ?? '1002'
}
