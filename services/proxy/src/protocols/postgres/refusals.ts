/**
 * What a client is told in the target's stead, as the messages of the protocol that say it: why it is not let in, why a
 * command does not run, why its session ends, and what it waits for. Our codes are in the hint, since the protocol has
 * SQLSTATEs of its own.
 */
import { messageOf } from '../../admission'
import { errorResponse, readyForQuery } from './wire'

const SIGN_IN_SQLSTATES: Record<string, string> = {
  'CUSTODY-ACCESS-001': '28P01',
  'CUSTODY-ACCESS-002': '3D000',
  'CUSTODY-PG-003': '08P01',
  'CUSTODY-TARGET-001': '08001',
  'CUSTODY-TARGET-002': '08001',
  'CUSTODY-TARGET-004': '08004',
  'CUSTODY-PG-009': '42501',
  'CUSTODY-ACCESS-003': '53300',
  'CUSTODY-ACCESS-004': '08004',
  'CUSTODY-ACCESS-005': '28000',
  'CUSTODY-PG-015': '42501',
  'CUSTODY-MASK-004': '42501',
  'CUSTODY-ACCESS-006': '28000',
  'CUSTODY-SECRET-001': '08001',
}
/** admin_shutdown for who is sent away; insufficient_privilege for what was decided against; query_canceled for what its own client gave up. */
const SESSION_SQLSTATES: Record<string, string> = {
  'CUSTODY-ACCESS-003': '57P01',
  'CUSTODY-SESSION-001': '57P05',
  'CUSTODY-SESSION-002': '08006',
  'CUSTODY-SESSION-003': '57P01',
  'CUSTODY-SESSION-004': '57P01',
  'CUSTODY-TARGET-003': '08006',
  'CUSTODY-PG-003': '08P01',
  'CUSTODY-PG-004': '08P01',
  'CUSTODY-POLICY-002': '42501',
  'CUSTODY-POLICY-003': '42501',
  'CUSTODY-POLICY-004': '42501',
  'CUSTODY-POLICY-005': '57014',
  'CUSTODY-POLICY-006': '53400',
  'CUSTODY-REPLICATION-001': '58030',
  'CUSTODY-REPLICATION-002': '58030',
  'CUSTODY-REPLICATION-003': '58030',
  'CUSTODY-MASK-001': '42501',
  'CUSTODY-MASK-002': '42501',
  'CUSTODY-MASK-003': '42501',
  'CUSTODY-MASK-004': '42501',
}
const DISK_FULL = '53100'
const PROTOCOL_VIOLATION = '08P01'
const CONNECTION_EXCEPTION = '08000'
const SUCCESSFUL_COMPLETION = '00000'

/** Whoever asks is not let in. */
export function signInRefused(error: unknown): Buffer {
  const { code = '', duty } = (error ?? {}) as { code?: string; duty?: string }
  return errorResponse({
    severity: 'FATAL',
    sqlstate:
      SIGN_IN_SQLSTATES[code] ?? (code.startsWith('CUSTODY-LOG') ? DISK_FULL : PROTOCOL_VIOLATION),
    message: `custody: ${messageOf(error)}`,
    hint: `${code.startsWith('CUSTODY') ? code : 'CUSTODY-PG-003'}: ${duty || 'see docs/errors.md'}`,
  })
}

/** A command does not run. `status`: of the transaction, where its answer ends with ReadyForQuery. */
export function commandRefused(code: string, reason: string, status: number | null): Buffer {
  const error = errorResponse({
    severity: 'ERROR',
    // What else is refused can't be recorded.
    sqlstate: SESSION_SQLSTATES[code] ?? DISK_FULL,
    message: `custody refused the command: ${reason}`,
    hint: `${code}: see docs/errors.md`,
  })
  return status === null ? error : Buffer.concat([error, readyForQuery(status)])
}

/** The session is over. */
export function sessionEnded(
  code: string,
  reason: string,
  sqlstate = SESSION_SQLSTATES[code] ?? CONNECTION_EXCEPTION,
): Buffer {
  return errorResponse({
    severity: 'FATAL',
    sqlstate,
    message: `custody: ${reason}`,
    hint: code,
  })
}

/** Something that the client may show, and go on. */
export function notice(message: string, hint?: string): Buffer {
  return errorResponse({ severity: 'NOTICE', sqlstate: SUCCESSFUL_COMPLETION, message, hint })
}
