/**
 * The one error class that reaches people: a stable code, a message about this occurrence, and the reader's duty from the
 * catalogue. Refuses nothing itself; wrapping keeps the first cause.
 */
import { type CatalogueEntry, catalogue, type ErrorCode } from './catalogue'

export interface CustodyErrorOptions {
  cause?: unknown
  /** Values for programs: paths, ports, process ids. Never secrets. */
  details?: Readonly<Record<string, unknown>>
}

export class CustodyError extends Error {
  override readonly name = 'CustodyError'
  readonly code: string
  readonly details: Readonly<Record<string, unknown>>

  /** A code from the catalogue; that every code used is listed there is held by a test over all sources. */
  constructor(code: ErrorCode | (string & {}), message: string, options: CustodyErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause })
    this.code = code
    this.details = options.details ?? {}
  }

  get duty(): string {
    return (catalogue as Record<string, CatalogueEntry>)[this.code]?.duty ?? ''
  }
}

/** True for our own errors, also for ones from another copy of this package. */
export function isCustodyError(value: unknown): value is CustodyError {
  return value instanceof Error && value.name === 'CustodyError' && 'code' in value
}

/** Why, for the record, which may say more than whoever was refused is told: an error's `details.recorded`. */
export function recordedReason(error: unknown): string {
  const message = error instanceof Error ? error.message : String(error)
  const recorded = isCustodyError(error) ? error.details.recorded : undefined
  return typeof recorded === 'string' ? `${message}: ${recorded}` : message
}

/** What a person at a terminal sees of an error: code, message, duty, and causes; a stack only for unexpected ones. */
export function describeError(error: unknown): string {
  if (isCustodyError(error)) {
    const lines = [`${error.code}: ${error.message}`]
    const cause = error.cause
    if (cause instanceof Error && !error.message.includes(cause.message)) {
      lines.push(`  cause: ${cause.message}`)
    }
    if (error.duty) lines.push(`  ${error.duty}`)
    return lines.join('\n')
  }
  if (error instanceof Error) return error.stack ?? error.message
  return String(error)
}
