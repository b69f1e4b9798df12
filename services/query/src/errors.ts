/**
 * What the API answers when it can't or won't: HTTP status by stable code, and one shape,
 * `{error: {code, message, action}}`. Refuses to let the text of an unexpected error out; that is for the log.
 */
import { CustodyError, isCustodyError } from '@custody/kit'

const STATUS: Record<string, number> = {
  'CUSTODY-API-001': 401,
  'CUSTODY-API-002': 403,
  'CUSTODY-API-003': 404,
  'CUSTODY-API-004': 400,
  'CUSTODY-API-005': 421,
  'CUSTODY-API-006': 503,
  'CUSTODY-API-007': 503,
  'CUSTODY-API-008': 500,
  'CUSTODY-API-009': 409,
  'CUSTODY-API-010': 429,
  'CUSTODY-STORE-007': 503,
  'CUSTODY-TOKEN-001': 400,
  'CUSTODY-TOKEN-002': 401,
  'CUSTODY-TOKEN-003': 401,
  'CUSTODY-TOKEN-004': 401,
  'CUSTODY-TOKEN-005': 401,
  'CUSTODY-TOKEN-006': 401,
  'CUSTODY-TOKEN-007': 401,
}

export interface ErrorAnswer {
  error: { code: string; message: string; action: string; suggestions?: readonly string[] }
}

export const unauthenticated = (message: string) => new CustodyError('CUSTODY-API-001', message)
export const forbidden = (message: string) => new CustodyError('CUSTODY-API-002', message)
export const notFound = (message: string, suggestions: readonly string[] = []) =>
  new CustodyError('CUSTODY-API-003', message, { details: { suggestions } })
export const badRequest = (message: string) => new CustodyError('CUSTODY-API-004', message)
export const conflict = (message: string) => new CustodyError('CUSTODY-API-009', message)
export const tooMany = (message: string) => new CustodyError('CUSTODY-API-010', message)
export const wrongHost = (message: string) => new CustodyError('CUSTODY-API-005', message)
export const notRecorded = (cause: unknown) =>
  new CustodyError(
    'CUSTODY-API-006',
    `what is read can't be recorded, so it isn't shown: ${(cause as Error).message}`,
    { cause },
  )
export const storeUnavailable = (cause: unknown) =>
  new CustodyError('CUSTODY-API-007', 'the store of events does not answer', { cause })

export function answerOf(error: unknown): { status: number; answer: ErrorAnswer } {
  const known = isCustodyError(error)
    ? error
    : isClientError(error)
      ? badRequest(error.message)
      : new CustodyError('CUSTODY-API-008', 'something unexpected went wrong')
  const suggestions = known.details.suggestions as readonly string[] | undefined
  return {
    status: STATUS[known.code] ?? 500,
    answer: {
      error: {
        code: known.code,
        message: known.message,
        action: known.duty,
        ...(suggestions?.length ? { suggestions } : {}),
      },
    },
  }
}

/** The framework's own refusals of a request: a schema that does not hold, a body that is no JSON. */
function isClientError(error: unknown): error is Error {
  const status = (error as { statusCode?: unknown })?.statusCode
  return error instanceof Error && typeof status === 'number' && status >= 400 && status < 500
}
