/**
 * The embedded server: chdb behind ClickHouse's HTTP interface, as much of it as @clickhouse/client uses: ping, queries
 * with settings and bound parameters, inserts, errors, cancelling by hanging up.
 * Two users: `custody` may everything, `custody_query` only what guard.ts permits.
 * Refuses anybody without a password it was started with, other addresses than loopback, and bodies and answers beyond
 * their bounds. One process owns a data directory; the engine itself refuses a second.
 */
import { createHash, randomUUID, timingSafeEqual } from 'node:crypto'
import { createWriteStream, mkdirSync, readdirSync, rmSync } from 'node:fs'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { type Readable, Transform } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { createGunzip } from 'node:zlib'
import { type Logger, listenError } from '@custody/kit'
import { BusyError, Engine, GoneError } from './engine'
import {
  isFormat,
  type Parser,
  permittedSettings,
  permittedStatement,
  RefusedError,
  SCALAR_FUNCTIONS,
} from './guard'
import {
  BadRequestError,
  type EngineRequest,
  exceptionCode,
  formatOf,
  insertFromFile,
  isInsert,
  literal,
  readRequest,
} from './request'

export interface WarehouseOptions {
  /** Where the engine keeps its data; belongs to this process alone. */
  directory: string
  /** 0 picks a free one. Only loopback is listened on. */
  port: number
  /** Every request must present one (HTTP Basic or X-ClickHouse-Key); this is of the user `custody`, who may everything. */
  password: string
  /** Of the user `custody_query`, who may only read; without it there is no such user. */
  queryPassword?: string
  logger?: Logger
  queriesMax?: number
  queryMemoryBytesMax?: number
  answerBytesMax?: number
  bodyBytesMax?: number
}

export interface Warehouse {
  start(): Promise<{ port: number; url: string; queryUrl: string }>
  stop(): Promise<void>
}

const HOST = '127.0.0.1'
const USER = 'custody'
const QUERY_USER = 'custody_query'
type Role = 'all' | 'query'
/** Before a question's own, which guard.ts keeps within bounds. */
const QUERY_SETTINGS: [string, string][] = [['max_execution_time', '60']]
const STATEMENTS_KEPT_MAX = 512
const QUERY_BYTES_MAX = 4 * 1024 * 1024
const WAITING_MAX = 256
const STOP_MS_MAX = 20_000

export function createWarehouse(options: WarehouseOptions): Warehouse {
  const {
    queriesMax = 8,
    queryMemoryBytesMax = 2 * 1024 ** 3,
    answerBytesMax = 256 * 1024 ** 2,
    bodyBytesMax = 256 * 1024 ** 2,
    logger,
  } = options
  const spool = join(options.directory, 'spool')
  const requests = new Set<AbortController>()
  let engine: Engine
  let server: Server

  /** What the parser said of statements of the query role; the query service asks the same few again and again. */
  const permitted = new Map<string, string>()
  let functions: Promise<{ table: string[]; scalar: string[] }> | null = null

  async function start(): Promise<{ port: number; url: string; queryUrl: string }> {
    mkdirSync(spool, { recursive: true, mode: 0o700 })
    // What an earlier process was sent and did not insert, its sender still has.
    for (const left of readdirSync(spool)) rmSync(join(spool, left), { force: true })
    engine = new Engine({
      directory: join(options.directory, 'data'),
      queriesMax,
      waitingMax: WAITING_MAX,
      settings: [
        ['max_execution_time', '300'],
        ['max_memory_usage', String(queryMemoryBytesMax)],
      ],
    })
    server = createServer((request, response) => void serve(request, response))
    server.keepAliveTimeout = 30_000
    await new Promise<void>((resolve, reject) => {
      server.once('error', (error: NodeJS.ErrnoException) =>
        reject(
          listenError(error, {
            host: HOST,
            port: options.port,
            setting: 'listen.warehouse',
            variable: 'CUSTODY_PORT_WAREHOUSE',
          }),
        ),
      )
      server.listen(options.port, HOST, resolve)
    })
    const { port } = server.address() as AddressInfo
    const urlOf = (user: string, password: string) =>
      `http://${user}:${encodeURIComponent(password)}@${HOST}:${port}`
    return {
      port,
      url: urlOf(USER, options.password),
      queryUrl: urlOf(QUERY_USER, options.queryPassword ?? ''),
    }
  }

  async function stop(): Promise<void> {
    const closed = new Promise<void>((resolve) => server.close(() => resolve()))
    server.closeIdleConnections()
    const forced = setTimeout(() => {
      for (const request of requests) request.abort()
      server.closeAllConnections()
    }, STOP_MS_MAX)
    await closed
    clearTimeout(forced)
    await engine.close()
  }

  async function serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const abort = new AbortController()
    requests.add(abort)
    response.once('close', () => {
      requests.delete(abort)
      if (!response.writableFinished) abort.abort()
    })
    const url = new URL(request.url ?? '/', `http://${HOST}`)
    try {
      if (url.pathname === '/ping' || url.pathname === '/replicas_status') {
        answer(response, 200, 'Ok.\n')
        return
      }
      const role = roleOf(request, url.searchParams)
      if (role === null) {
        request.resume()
        fail(
          response,
          403,
          'Code: 516. DB::Exception: custody: Authentication failed: password is incorrect. (AUTHENTICATION_FAILED)',
        )
        return
      }
      await execute(request, url.searchParams, role, response, abort.signal)
    } catch (error) {
      const message = (error as Error).message
      if (error instanceof GoneError || abort.signal.aborted) {
        response.destroy()
        return
      }
      if (error instanceof RefusedError) fail(response, 403, message)
      else if (error instanceof BadRequestError)
        fail(response, 400, `Code: 62. DB::Exception: ${message}`)
      else fail(response, error instanceof BusyError ? 503 : 500, message)
      request.resume()
      logger?.debug({ err: error }, 'a query failed')
    }
  }

  function roleOf(request: IncomingMessage, search: URLSearchParams): Role | null {
    const basic = /^Basic (.+)$/i.exec(request.headers.authorization ?? '')?.[1]
    const [user, password] = basic
      ? split(Buffer.from(basic, 'base64').toString())
      : [
          String(request.headers['x-clickhouse-user'] ?? search.get('user') ?? ''),
          String(request.headers['x-clickhouse-key'] ?? search.get('password') ?? ''),
        ]
    if (user === USER && same(password, options.password)) return 'all'
    const { queryPassword } = options
    if (user === QUERY_USER && queryPassword && same(password, queryPassword)) return 'query'
    return null
  }

  /** The request as the query role may have it run. */
  async function guarded(asked: EngineRequest, signal: AbortSignal): Promise<EngineRequest> {
    if (asked.database !== null && asked.database !== 'custody' && asked.database !== 'default')
      throw new RefusedError(`the database ${asked.database} is not for this user`)
    const settings = permittedSettings(asked.settings)
    // Where a value stands for a name the text alone does not say what is read; such parameters are refused.
    const key = asked.sql
    let sql = permitted.get(key)
    if (sql === undefined) {
      sql = await permittedStatement(asked.sql, asked.parameters, parser(signal))
      permitted.set(key, sql)
      const [oldest] = permitted.keys()
      if (permitted.size > STATEMENTS_KEPT_MAX && oldest !== undefined) permitted.delete(oldest)
    }
    return { ...asked, sql, settings: [...QUERY_SETTINGS, ...settings], readonly: true }
  }

  function parser(signal: AbortSignal): Parser {
    const lines = async (sql: string, parameters: EngineRequest['parameters'] = []) => {
      const request = { sql, parameters, settings: [], database: null, queryId: null }
      const { bytes } = await engine.run({ ...request, readonly: true }, 'TSVRaw', signal)
      return Buffer.from(bytes).toString().split('\n').slice(0, -1)
    }
    return {
      async format(sql) {
        const [text, ...more] = await lines(`SELECT formatQuerySingleLine(${literal(sql)})`)
        if (text === undefined || more.length > 0)
          throw new RefusedError('the statement can’t be read in one way only')
        return text
      },
      tree: (sql, parameters) => lines(`EXPLAIN AST ${sql}`, parameters),
      functions() {
        functions ??= (async () => ({
          table: await lines('SELECT name FROM system.table_functions'),
          scalar: [
            ...SCALAR_FUNCTIONS,
            ...(await lines(
              "SELECT name FROM system.functions WHERE categories = 'AI' OR name ILIKE 'ai%' AND alias_to ILIKE 'ai%'",
            )),
          ],
        }))()
        functions.catch(() => {
          functions = null
        })
        return functions
      },
    }
  }

  async function execute(
    request: IncomingMessage,
    search: URLSearchParams,
    role: Role,
    response: ServerResponse,
    signal: AbortSignal,
  ): Promise<void> {
    const started = process.hrtime.bigint()
    const inUrl = search.get('query')
    let file: string | null = null
    try {
      let sql: string
      if (role === 'all' && inUrl !== null && isInsert(inUrl) && hasBody(request)) {
        file = join(spool, `${randomUUID()}.data`)
        await pipeline(
          body(request),
          bounded(bodyBytesMax),
          createWriteStream(file, { mode: 0o600 }),
        )
        sql = inUrl
      } else {
        const text = await read(body(request), QUERY_BYTES_MAX)
        sql = inUrl === null ? text : `${inUrl}\n${text}`
      }
      if (signal.aborted) throw new GoneError('the client is gone')
      let asked = readRequest(search, sql)
      if (role === 'query') asked = await guarded(asked, signal)
      if (file) asked.sql = insertFromFile(asked.sql, file)
      const format =
        formatOf(asked.sql) ??
        asked.settings.find(([name]) => name === 'default_format')?.[1] ??
        'TabSeparated'
      if (role === 'query' && !isFormat(format))
        throw new RefusedError(`the format ${format} is not for this user`)
      const result = await engine.run(asked, format, signal)
      // The engine in process does not hold to max_result_bytes; how much it can hold is bounded by max_memory_usage.
      if (result.bytes.length > answerBytesMax)
        throw new Error(
          `Code: 396. DB::Exception: The answer is larger than ${answerBytesMax} bytes. (TOO_MANY_ROWS_OR_BYTES)`,
        )
      const elapsed = process.hrtime.bigint() - started
      response.writeHead(200, {
        'content-type': 'application/octet-stream',
        'content-length': result.bytes.length,
        'x-clickhouse-format': format,
        'x-clickhouse-query-id': asked.queryId ?? randomUUID(),
        'x-clickhouse-timezone': 'UTC',
        'x-clickhouse-summary': JSON.stringify({
          read_rows: String(result.rowsRead),
          read_bytes: String(result.bytesRead),
          written_rows: String(isInsert(asked.sql) ? result.rowsRead : 0),
          written_bytes: String(isInsert(asked.sql) ? result.bytesRead : 0),
          elapsed_ns: String(elapsed),
        }),
      })
      response.end(result.bytes)
    } finally {
      if (file) rmSync(file, { force: true })
    }
  }

  return {
    start,
    stop,
  }
}

function split(text: string): [string, string] {
  const at = text.indexOf(':')
  return at < 0 ? [text, ''] : [text.slice(0, at), text.slice(at + 1)]
}

function same(a: string, b: string): boolean {
  const digest = (text: string) => createHash('sha256').update(text).digest()
  return timingSafeEqual(digest(a), digest(b))
}

function hasBody(request: IncomingMessage): boolean {
  return (
    request.headers['transfer-encoding'] !== undefined ||
    Number(request.headers['content-length'] ?? 0) > 0
  )
}

function body(request: IncomingMessage): Readable {
  switch (request.headers['content-encoding']) {
    case undefined:
    case 'identity':
      return request
    case 'gzip': {
      const plain = createGunzip()
      request.on('error', (error) => plain.destroy(error))
      return request.pipe(plain)
    }
    default:
      throw new BadRequestError(
        `Content-Encoding ${request.headers['content-encoding']} is not known`,
      )
  }
}

function bounded(bytesMax: number): Transform {
  let bytes = 0
  return new Transform({
    transform(chunk: Buffer, _encoding, done) {
      bytes += chunk.length
      if (bytes > bytesMax) done(new BadRequestError(`The body is larger than ${bytesMax} bytes`))
      else done(null, chunk)
    },
  })
}

async function read(source: Readable, bytesMax: number): Promise<string> {
  const chunks: Buffer[] = []
  for await (const chunk of source.pipe(bounded(bytesMax))) chunks.push(chunk as Buffer)
  return Buffer.concat(chunks).toString()
}

function answer(response: ServerResponse, status: number, text: string): void {
  response.writeHead(status, { 'content-type': 'text/plain; charset=utf-8' })
  response.end(text)
}

function fail(response: ServerResponse, status: number, message: string): void {
  if (response.headersSent || response.destroyed) {
    response.destroy()
    return
  }
  response.writeHead(status, {
    'content-type': 'text/plain; charset=utf-8',
    'x-clickhouse-exception-code': exceptionCode(message),
  })
  response.end(message)
}
