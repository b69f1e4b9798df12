/**
 * The life of a process: start, say so, stop in order when asked, and never outlive the process that started it.
 * Refuses to swallow: an unexpected error ends the process with it in the log.
 */
import { writeSync } from 'node:fs'
import { describeError, isCustodyError } from './errors'
import type { Logger } from './logger'

export interface Running {
  stop(): Promise<void>
}

export interface ServiceOptions<T extends Running> {
  name: string
  logger?: Logger
  /** Starts everything; what it answers is stopped when the process is asked to end. */
  start(): Promise<T>
  /** What the parent process is told once started, such as ports. */
  ready?(running: T): Record<string, unknown>
  /** After this the process ends whether it has stopped or not. */
  stopMsMax?: number
}

/**
 * npm passes on a signal that the terminal has sent to all of its group already, so one Ctrl-C arrives twice. Only a
 * later one is a person who does not want to wait.
 */
const repeatedSignalMs = 500

/** What a child process tells its parent over the IPC channel. */
export type ServiceMessage =
  | { type: 'ready'; ready: Record<string, unknown> }
  | { type: 'failed'; code?: string; message: string; details?: Readonly<Record<string, unknown>> }

/**
 * Runs one service as this process. Stops on SIGINT, SIGTERM, a `{ type: 'stop' }` message, and when the parent is gone
 * (its end of the IPC channel closes even when it was killed). A second signal ends at once.
 */
export async function runService<T extends Running>(options: ServiceOptions<T>): Promise<void> {
  const { name, logger, stopMsMax = 30_000 } = options
  const hasParent = process.send !== undefined
  let running: T | undefined
  let stopping: Promise<void> | undefined
  let stopWanted = false
  let firstSignalAt = 0

  const end = (code: number) => process.exit(code)

  const stop = (reason: string) => {
    stopWanted = true
    if (!running || stopping) return
    logger?.info({ reason }, `${name} is stopping`)
    const forced = setTimeout(() => {
      logger?.error({ stopMsMax }, `${name} did not stop in time`)
      end(1)
    }, stopMsMax)
    stopping = running.stop().then(
      () => {
        clearTimeout(forced)
        logger?.info(`${name} stopped`)
        end(0)
      },
      (error) => fatal(error),
    )
  }

  const fatal = (error: unknown) => {
    logger?.fatal({ err: error }, `${name} failed`)
    if (hasParent && process.connected) {
      const message: ServiceMessage = isCustodyError(error)
        ? { type: 'failed', code: error.code, message: error.message, details: error.details }
        : { type: 'failed', message: error instanceof Error ? error.message : String(error) }
      process.send?.(message, undefined, undefined, () => end(1))
      setTimeout(() => end(1), 1_000).unref()
      return
    }
    try {
      writeSync(2, `${describeError(error)}\n`)
    } catch {
      // Standard error is gone; the log has it.
    }
    end(1)
  }

  const signalled = (signal: NodeJS.Signals) => {
    // A child shares the terminal's Ctrl-C with its parent, who asks for the stop in the right order.
    if (hasParent && process.connected && signal === 'SIGINT') return
    const now = Date.now()
    if (stopWanted && !hasParent && now - firstSignalAt > repeatedSignalMs) end(130)
    firstSignalAt ||= now
    stop(signal)
    if (!running) end(0)
  }
  process.on('SIGINT', signalled)
  process.on('SIGTERM', signalled)
  process.on('uncaughtException', fatal)
  process.on('unhandledRejection', fatal)
  if (hasParent) {
    process.on('disconnect', () => {
      stop('the parent process is gone')
      if (!running) end(0)
    })
    process.on('message', (message: { type?: string }) => {
      if (message?.type === 'stop') {
        stop('asked by the parent process')
        if (!running) end(0)
      }
    })
  }

  try {
    running = await options.start()
  } catch (error) {
    fatal(error)
    return
  }
  if (stopWanted) {
    stop('asked while starting')
    return
  }
  logger?.info({ pid: process.pid }, `${name} is ready`)
  if (hasParent && process.connected) {
    const message: ServiceMessage = { type: 'ready', ready: options.ready?.(running) ?? {} }
    process.send?.(message)
  }
}

/** Ends the wait with an error when the promise takes longer than `ms`. The work itself goes on. */
export async function withTimeout<T>(
  promise: Promise<T>,
  ms: number,
  timedOut: () => Error,
): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  try {
    return await Promise.race([
      promise,
      new Promise<never>((_, reject) => {
        timer = setTimeout(() => reject(timedOut()), ms)
      }),
    ])
  } finally {
    clearTimeout(timer)
  }
}
