/**
 * What the target says in words: errors, notices, plans, payloads of NOTIFY. PostgreSQL's own messages put data between
 * quotation marks or in the detail; what code in the database says may be anything. Pure.
 * Refuses to judge what is data: of a sensitive command everything goes that is neither PostgreSQL's own words, nor a name
 * that the message gives as one, nor something that its client has written.
 */
import { Backend, cstringEnd, message } from './wire'

export const WITHHELD = '[masked]'
/** Fields that hold names, places and codes (documentation: "Error and Notice Message Fields"). */
const NAMES = 'stcdn'
const TEXTS = new Set(['M', 'D', 'H', 'W', 'q'])
/** Context that PostgreSQL writes for code which runs in the database. */
const CODE = /\bfunction\b|\bSQL statement\b|\bPL\/|\binline_code_block\b/i
/** Names of conditions that people know by heart (documentation: "PostgreSQL Error Codes"). */
const CONDITIONS: Record<string, string> = {
  '22012': 'division by zero',
  '22P02': 'invalid text representation',
  '23502': 'not-null violation',
  '23503': 'foreign key violation',
  '23505': 'unique violation',
  '23514': 'check violation',
  '42501': 'insufficient privilege',
  '42P01': 'undefined table',
  P0001: 'raised by code in the database',
}

export interface Told {
  /**
   * `none`: as it is. `code`: only what code in the database has written. `data`: a command on masked columns. `all`: code that
   * is not known may have written it.
   */
  sensitive: 'none' | 'code' | 'data' | 'all'
  /** What its client wrote, as text; what is in it is no news. */
  written: string
  /** Constants that are not to be repeated. */
  secrets: readonly string[]
}

/** The text with everything between quotation marks gone that neither the client has written nor the message names. */
export function withoutData(text: string, told: Told, names: ReadonlySet<string>): string {
  let other = text
  if (told.sensitive !== 'none' && told.sensitive !== 'code')
    other = other
      .replace(/"((?:[^"]|"")*)"/g, (whole, inner: string) =>
        isKept(inner) ? whole : `"${WITHHELD}"`,
      )
      .replace(/'((?:[^']|'')*)'/g, (whole, inner: string) =>
        isKept(inner) ? whole : `'${WITHHELD}'`,
      )
      // An odd mark: whatever follows it may be data with a mark of its own.
      .replace(/^([^"]*(?:"[^"]*"[^"]*)*)"[^"]*$/s, `$1"${WITHHELD}`)
  for (const secret of told.secrets)
    if (secret.length > 0) other = other.replaceAll(secret, WITHHELD)
  return other

  function isKept(inner: string): boolean {
    return (
      inner === WITHHELD ||
      names.has(inner) ||
      (!told.secrets.some((secret) => inner.includes(secret) && secret.length > 0) &&
        told.written.includes(inner))
    )
  }
}

/**
 * ErrorResponse or NoticeResponse with what may be data gone, and `mask` asked about every text that is left; null: it stays
 * as it is. Body: (field:u8 string)* zero
 */
export function withoutDataIn(
  bytes: Buffer,
  at: number,
  end: number,
  told: Told,
  mask: (text: Buffer) => Buffer | null,
): Buffer | null {
  const fields: [code: string, value: Buffer][] = []
  for (let from = at + 5; from < end && bytes[from] !== 0; ) {
    const zero = cstringEnd(bytes, from + 1, end)
    fields.push([String.fromCharCode(bytes[from]!), bytes.subarray(from + 1, zero)])
    from = zero + 1
  }
  const names = new Set(
    fields.filter(([code]) => NAMES.includes(code)).map(([, value]) => value.toString('latin1')),
  )
  const context = fields.find(([code]) => code === 'W')?.[1].toString('latin1') ?? ''
  const state = fields.find(([code]) => code === 'C')?.[1].toString('latin1') ?? ''
  const isByCode = told.sensitive === 'all' || CODE.test(context) || state.startsWith('P0')
  let changed = false
  const parts: Buffer[] = []
  for (const [code, value] of fields) {
    let other = value
    // Names of what code made up (RAISE … USING COLUMN = …) may be anything too.
    const isText = TEXTS.has(code) || (isByCode && NAMES.includes(code))
    if (isText && (told.sensitive === 'code' ? isByCode : told.sensitive !== 'none')) {
      const text = value.toString('latin1')
      let left: string | null
      if (isByCode)
        left = code === 'M' ? `${CONDITIONS[state] ?? `SQLSTATE ${state}`}: ${WITHHELD}` : null
      // Details and contexts have data without marks around it.
      else if (code === 'M') left = withoutData(text, told, names)
      else if (code === 'H') left = withoutData(text, told, names)
      else left = isPlain(text) ? text : null
      if (left !== text) {
        changed = true
        if (left === null) continue
        other = Buffer.from(left, 'latin1')
      }
    } else if (isText && told.secrets.length > 0) {
      const text = value.toString('latin1')
      const left = withoutData(text, told, names)
      if (left !== text) {
        changed = true
        other = Buffer.from(left, 'latin1')
      }
    }
    if (isText) {
      const found = mask(other)
      if (found !== null) {
        changed = true
        other = found
      }
    }
    parts.push(Buffer.from(code, 'latin1'), other, ZERO)
  }
  if (!changed) return null
  parts.push(ZERO)
  return message(bytes[at]!, Buffer.concat(parts))
}

const ZERO = Buffer.alloc(1)

/** Details of PostgreSQL's own that hold nothing but words and names. */
function isPlain(text: string): boolean {
  return (
    /^(There is a column named|There are \d+ |Perhaps you meant|portal|unnamed portal|prepared statement)\b/.test(
      text,
    ) && !/[=(]/.test(text)
  )
}

/** NotificationResponse: pid:i32 channel payload. Null: it stays as it is. */
export function withoutPayload(
  bytes: Buffer,
  at: number,
  end: number,
  replace: (channel: string, payload: Buffer) => Buffer | null,
): Buffer | null {
  const channelEnd = cstringEnd(bytes, at + 9, end)
  const payloadEnd = cstringEnd(bytes, channelEnd + 1, end)
  const other = replace(
    bytes.toString('latin1', at + 9, channelEnd),
    bytes.subarray(channelEnd + 1, payloadEnd),
  )
  if (other === null) return null
  return message(
    Backend.notificationResponse,
    Buffer.concat([bytes.subarray(at + 5, channelEnd + 1), other, ZERO]),
  )
}
