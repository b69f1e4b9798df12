/**
 * What the target says in words: errors, notices, plans, payloads of NOTIFY. Where a database has masked columns, any of it
 * may hold data, with quotation marks around it or without, from PostgreSQL itself or from code in the database. Pure.
 * Refuses to judge what is data: what is left are PostgreSQL's own words, names that a message gives as such, and what its
 * client has written.
 */
import { MESSAGE_WORDS } from './message-words'
import { Backend, cstringEnd, message } from './wire'

export const WITHHELD = '[masked]'
/** Fields that hold names (documentation: "Error and Notice Message Fields"). */
const NAMES = 'stcdn'
const TEXTS = new Set(['M', 'D', 'H', 'W', 'q'])
/** Context that PostgreSQL writes for code in the database, which may call anything a name. */
const CODE = /\bfunction\b|\bSQL statement\b|\bPL\/|\binline_code_block\b/i
/** Numbers of so many digits are lines, positions and counts. */
const DIGITS_MAX = 3

export interface Told {
  /** The database has columns that are masked. */
  isSensitive: boolean
  /** What its client wrote, as text; what is in it is no news. */
  written: string
  /** Constants that are not to be repeated. */
  secrets: readonly string[]
  /** Whether the database calls a relation or a column so. */
  isName(word: string): boolean
}

/** Without the constants that are not kept. */
export function withoutSecrets(text: string, secrets: readonly string[]): string {
  let other = text
  for (const secret of secrets) if (secret.length > 0) other = other.replaceAll(secret, WITHHELD)
  return other
}

/** The text with everything gone that may be data. In latin1: bytes are taken one character each. */
export function withoutData(text: string, told: Told, names: ReadonlySet<string>): string {
  const other = withoutSecrets(text, told.secrets)
  if (!told.isSensitive) return other
  let result = ''
  let at = 0
  // What stands between quotation marks is one thing, whatever words are in it; an odd mark has none.
  for (const match of other.matchAll(/"((?:[^"]|"")*)"|'((?:[^']|'')*)'(?![a-z])/g)) {
    const inner = match[1] ?? match[2] ?? ''
    const isApostrophe = match[2] !== undefined && /[a-z]$/i.test(other.slice(0, match.index))
    if (isApostrophe) continue
    result += words(other.slice(at, match.index))
    const mark = match[0]![0]!
    result += isKept(inner) ? match[0] : `${mark}${WITHHELD}${mark}`
    at = match.index + match[0].length
  }
  result += words(other.slice(at))
  return result.replaceAll(/\[masked\](?:[^\s\w[\]]{0,3}\[masked\])+/g, WITHHELD)

  function words(part: string): string {
    return part.replace(/\[masked\]|[A-Za-z0-9_$\x80-\xff]+(?:'[a-z]+)?/g, (word) =>
      isWord(word) ? word : WITHHELD,
    )
  }

  function isWord(word: string): boolean {
    return (
      word === WITHHELD ||
      MESSAGE_WORDS.has(word.toLowerCase()) ||
      (/^\d+$/.test(word) && word.length <= DIGITS_MAX) ||
      word === 'a' ||
      isKept(word)
    )
  }

  function isKept(inner: string): boolean {
    return (
      inner === '' ||
      inner === WITHHELD ||
      names.has(inner) ||
      inner.split('.').every((part) => told.isName(part)) ||
      (inner.length > 1 && told.written.includes(inner) && !isSecret(inner))
    )
  }

  function isSecret(inner: string): boolean {
    return told.secrets.some(
      (secret) => secret.length > 0 && (inner.includes(secret) || secret.includes(inner)),
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
  const fieldOf = (code: string) =>
    fields.find(([one]) => one === code)?.[1].toString('latin1') ?? ''
  const isByCode = CODE.test(fieldOf('W')) || fieldOf('C').startsWith('P0')
  const names = new Set(
    isByCode
      ? []
      : fields
          .filter(([code]) => NAMES.includes(code))
          .map(([, value]) => value.toString('latin1')),
  )
  let changed = false
  const parts: Buffer[] = []
  for (const [code, value] of fields) {
    let other = value
    if (TEXTS.has(code) || (isByCode && NAMES.includes(code))) {
      const text = value.toString('latin1')
      const left = withoutData(text, told, names)
      if (left !== text) {
        changed = true
        other = Buffer.from(left, 'latin1')
      }
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

/** RowDescription with `mask` asked about every name; null: it stays as it is. */
export function withoutNames(
  bytes: Buffer,
  at: number,
  end: number,
  mask: (name: Buffer) => Buffer | null,
): Buffer | null {
  const parts: Buffer[] = [bytes.subarray(at + 5, at + 7)]
  let changed = false
  for (let from = at + 7; from < end; ) {
    const zero = cstringEnd(bytes, from, end)
    const name = bytes.subarray(from, zero)
    const other = name.length < NAME_CHARACTERS_MIN ? null : mask(name)
    if (other !== null) changed = true
    parts.push(other ?? name, bytes.subarray(zero, zero + 19))
    from = zero + 19
  }
  return changed ? message(Backend.rowDescription, Buffer.concat(parts)) : null
}

/** Nothing that detectors know is shorter. */
const NAME_CHARACTERS_MIN = 6
