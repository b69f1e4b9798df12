/**
 * The embedded engine (chdb) as a bounded pool of queries: a fresh session for each, so that its settings, parameters
 * and any half-written answer end with it. A session is about 1 ms; a shared one would hand the partial rows of a failed
 * query to the next.
 * Refuses to run more at once than it has places for, and to let an abandoned query go on.
 */
import { randomUUID } from 'node:crypto'
import type { Session } from 'chdb'
import { type EngineRequest, preparation } from './request'

/** Half a gigabyte of library is loaded by who runs an engine, not by who only knows this package. */
function newSession(directory: string): Session {
  const chdb = require('chdb') as typeof import('chdb')
  return new chdb.Session(directory)
}

export interface EngineOptions {
  directory: string
  /** Queries that run at once. */
  queriesMax: number
  /** Queries that may wait for a place. */
  waitingMax: number
  /** Settings that a request's own come after. */
  settings: [name: string, value: string][]
}

export interface EngineResult {
  bytes: Uint8Array
  rowsRead: number
  bytesRead: number
  /** Seconds. */
  elapsed: number
}

export class BusyError extends Error {
  override readonly message =
    'Code: 202. DB::Exception: Too many simultaneous queries. (TOO_MANY_SIMULTANEOUS_QUERIES)'
}

export class GoneError extends Error {}

export class Engine {
  /** Keeps the engine open between queries, and cancels. */
  private readonly control: Session
  private running = 0
  private readonly waiting: (() => void)[] = []
  private idle: (() => void) | null = null

  constructor(private readonly o: EngineOptions) {
    this.control = newSession(o.directory)
  }

  async run(request: EngineRequest, format: string, signal: AbortSignal): Promise<EngineResult> {
    await this.enter(signal)
    const mark = randomUUID()
    const cancel = () => void this.cancel(mark)
    let session: Session | undefined
    try {
      session = newSession(this.o.directory)
      const settings: [string, string][] = [...this.o.settings, ['log_comment', mark]]
      for (const statement of preparation(request, settings)) await session.queryAsync(statement)
      if (signal.aborted) throw new GoneError('the client is gone')
      signal.addEventListener('abort', cancel, { once: true })
      const result = await session.queryAsync(request.sql, { format })
      return {
        bytes: result.bytes(),
        rowsRead: result.rowsRead,
        bytesRead: result.bytesRead,
        elapsed: result.elapsed,
      }
    } finally {
      signal.removeEventListener('abort', cancel)
      session?.close()
      this.leave()
    }
  }

  /** Waits for what runs, then closes. */
  async close(): Promise<void> {
    if (this.running > 0)
      await new Promise<void>((resolve) => {
        this.idle = resolve
      })
    this.control.close()
  }

  private async cancel(mark: string): Promise<void> {
    try {
      await this.control.queryAsync(`KILL QUERY WHERE Settings['log_comment'] = '${mark}' ASYNC`)
    } catch {
      // It may have ended meanwhile; a query that goes on is bounded by its time limit.
    }
  }

  private async enter(signal: AbortSignal): Promise<void> {
    if (this.running < this.o.queriesMax) {
      this.running++
      return
    }
    if (this.waiting.length >= this.o.waitingMax) throw new BusyError()
    await new Promise<void>((resolve, reject) => {
      const gone = () => {
        this.waiting.splice(this.waiting.indexOf(turn), 1)
        reject(new GoneError('the client is gone'))
      }
      const turn = () => {
        signal.removeEventListener('abort', gone)
        resolve()
      }
      this.waiting.push(turn)
      signal.addEventListener('abort', gone, { once: true })
    })
  }

  /** Hands the place on to who waits longest. */
  private leave(): void {
    const next = this.waiting.shift()
    if (next) {
      next()
      return
    }
    this.running--
    if (this.running === 0) this.idle?.()
  }
}
