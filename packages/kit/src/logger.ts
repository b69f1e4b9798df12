/**
 * Diagnostics of our own processes as JSON lines, to standard error or a file. This is not the record of what people do
 * (that is the event log), so it refuses to carry statements or secrets: known secret fields are blanked.
 */
import { mkdirSync } from 'node:fs'
import { dirname } from 'node:path'
import pino from 'pino'

export type Logger = pino.Logger

export interface LoggerOptions {
  /** Which process or part writes. */
  name: string
  /** A file to append to; standard error when not given. */
  file?: string
  /** trace, debug, info, warn, error, fatal, silent; CUSTODY_LOG_LEVEL when not given, `info` without that. */
  level?: string
}

const secretFields = ['password', 'token', 'secret', 'literal', 'authorization']

export function createLogger(options: LoggerOptions): Logger {
  if (options.file) mkdirSync(dirname(options.file), { recursive: true })
  // Written synchronously: there are few lines, and the last one before a crash is the one that matters.
  const destination = pino.destination({ dest: options.file ?? 2, sync: true })
  return pino(
    {
      name: options.name,
      level: options.level ?? process.env.CUSTODY_LOG_LEVEL ?? 'info',
      timestamp: pino.stdTimeFunctions.isoTime,
      redact: {
        paths: secretFields.flatMap((field) => [field, `*.${field}`]),
        censor: '***',
      },
    },
    destination,
  )
}

/** For libraries and tests that are given none. */
export function silentLogger(): Logger {
  return pino({ level: 'silent' })
}
