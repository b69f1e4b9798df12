/**
 * The embedded server: chdb behind ClickHouse's HTTP interface, as much of it as @clickhouse/client uses: ping, queries
 * with settings and bound parameters, inserts, errors, cancelling by hanging up.
 * Refuses anybody without the password it was started with, other addresses than loopback, and bodies and answers beyond
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
  BadRequestError,
  exceptionCode,
  formatOf,
  insertFromFile,
  isInsert,
  readRequest,
} from './request'

export interface WarehouseOptions {
  /** Where the engine keeps its data; belongs to this process alone. */
  directory: string
  /** 0 picks a free one. Only loopback is listened on. */
  port: number
  /** Every request must present it (HTTP Basic or X-ClickHouse-Key); the user is `custody`. */
  password: string
  logger?: Logger
  queriesMax?: number
  queryMemoryBytesMax?: number
  answerBytesMax?: number
  bodyBytesMax?: number
}

export interface Warehouse {
  start(): Promise<{ port: number; url: string }>
  stop(): Promise<void>
}

const HOST = '127.0.0.1'
const USER = 'custody'
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

  async function start(): Promise<{ port: number; url: string }> {
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
    return { port, url: `http://${USER}:${encodeURIComponent(options.password)}@${HOST}:${port}` }
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
      if (!admitted(request, url.searchParams)) {
        request.resume()
        fail(
          response,
          403,
          'Code: 516. DB::Exception: custody: Authentication failed: password is incorrect. (AUTHENTICATION_FAILED)',
        )
        return
      }
      await execute(request, url.searchParams, response, abort.signal)
    } catch (error) {
      const message = (error as Error).message
      if (error instanceof GoneError || abort.signal.aborted) {
        response.destroy()
        return
      }
      if (error instanceof BadRequestError)
        fail(response, 400, `Code: 62. DB::Exception: ${message}`)
      else fail(response, error instanceof BusyError ? 503 : 500, message)
      request.resume()
      logger?.debug({ err: error }, 'a query failed')
    }
  }

  function admitted(request: IncomingMessage, search: URLSearchParams): boolean {
    const basic = /^Basic (.+)$/i.exec(request.headers.authorization ?? '')?.[1]
    const [user, password] = basic
      ? split(Buffer.from(basic, 'base64').toString())
      : [
          String(request.headers['x-clickhouse-user'] ?? search.get('user') ?? ''),
          String(request.headers['x-clickhouse-key'] ?? search.get('password') ?? ''),
        ]
    return user === USER && same(password, options.password)
  }

  async function execute(
    request: IncomingMessage,
    search: URLSearchParams,
    response: ServerResponse,
    signal: AbortSignal,
  ): Promise<void> {
    const started = process.hrtime.bigint()
    const inUrl = search.get('query')
    let file: string | null = null
    try {
      let sql: string
      if (inUrl !== null && isInsert(inUrl) && hasBody(request)) {
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
      const asked = readRequest(search, sql)
      if (file) asked.sql = insertFromFile(asked.sql, file)
      const format =
        formatOf(asked.sql) ??
        asked.settings.find(([name]) => name === 'default_format')?.[1] ??
        'TabSeparated'
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
