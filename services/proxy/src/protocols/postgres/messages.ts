/**
 * What the target says in words: errors, notices, plans, payloads of NOTIFY. Where a database has masked columns, any of it
 * may hold data, with quotation marks around it or without, from PostgreSQL itself or from code in the database. Pure.
 * Refuses to judge what is data: what is left are PostgreSQL's own words, names that a message gives as such, and what its
 * client has written.
 */
import { MESSAGE_WORDS } from './message-words'
import { Backend, cstringEnd, errorFieldsIn, message } from './wire'

export const WITHHELD = '[masked]'
/** Fields that hold names (documentation: "Error and Notice Message Fields"). */
const NAMES = 'stcdn'
const TEXTS = new Set(['M', 'D', 'H', 'W', 'q'])
/** Context that PostgreSQL writes for code in the database, which may call anything a name. */
const CODE = /\bfunction\b|\bSQL statement\b|\bPL\/|\binline_code_block\b/i
/** Behind these words stand lines, positions, and what definitions say; any other number may be data. */
const COUNTED =
  /(?:\b(?:line|character|varying|char|bit|precision|scale|columns?|parameter|supplies|requires|position|least|most|than|exceeds?|maximum|version|attribute|step)[ (]{1,2}|[$^])$/i
const COUNTED_CHARACTERS = 20
const DIGITS_MAX = 3
/** A row and a key as PostgreSQL shows them (ExecBuildSlotValueDescription, BuildIndexValueDescription). */
const ROW = /^(?:Failing row contains|Partition key of the failing row contains) (?=\()/
const KEY =
  /^(Key \([\s\S]*?\)=)\(([\s\S]*)\)( (?:already exists|is duplicated|is not present|is still referenced|is referenced)\b[\s\S]*)$/
const PLAIN_KEY = /^Key \([A-Za-z_][\w$]*(?:, [A-Za-z_][\w$]*)*\)=$/
const TWO_KEYS = /^Key \(([\s\S]*?)\)=\([\s\S]*\) conflicts with /

export interface Told {
  /** The database has columns that are masked. */
  isSensitive: boolean
  /** What its client wrote, as text; what is in it is no news. */
  written: string
  /** Constants that are not to be repeated. */
  secrets: readonly string[]
  /** Whether the database calls a relation or a column so. */
  isName(word: string): boolean
  /** Code in the database may have made the text. */
  isByCode?: boolean
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
  const row = ROW.exec(other)
  if (row !== null) return `${row[0]}(${WITHHELD}).`
  const key = KEY.exec(other)
  if (key !== null)
    return `${told.isByCode || !PLAIN_KEY.test(key[1]!) ? prose(key[1]!) : key[1]}(${isWritten(key[2]!) ? key[2] : WITHHELD})${prose(key[3]!)}`
  const two = TWO_KEYS.exec(other)
  if (two !== null) return `Key (${prose(two[1]!)})=(${WITHHELD}) conflicts with another.`
  return prose(other)

  function prose(given: string): string {
    let result = ''
    let at = 0
    // What stands between quotation marks is one thing, whatever words are in it; an odd mark has none.
    for (const match of given.matchAll(/"((?:[^"]|"")*)"|'((?:[^']|'')*)'(?![a-z])/g)) {
      const inner = match[1] ?? match[2] ?? ''
      const isApostrophe = match[2] !== undefined && /[a-z]$/i.test(given.slice(0, match.index))
      if (isApostrophe) continue
      result += words(given.slice(at, match.index))
      const mark = match[0]![0]!
      result += isKept(inner) ? match[0] : `${mark}${WITHHELD}${mark}`
      at = match.index + match[0].length
    }
    result += words(given.slice(at))
    return result.replaceAll(/\[masked\](?:[^\s\w[\]]{0,3}\[masked\])+/g, WITHHELD)
  }

  function words(part: string): string {
    return part.replace(/\[masked\]|[A-Za-z0-9_$\x80-\xff]+(?:'[a-z]+)?/g, (word, at: number) =>
      isWord(word, part.slice(Math.max(0, at - COUNTED_CHARACTERS), at)) ? word : WITHHELD,
    )
  }

  function isWord(word: string, before: string): boolean {
    if (word === WITHHELD || word === 'a' || MESSAGE_WORDS.has(word.toLowerCase())) return true
    if (!/\d/.test(word)) return isKept(word)
    // Digits are few: whoever writes enough of them has written all, and code says with them what it likes.
    if (names.has(word)) return true
    if (told.isByCode) return false
    return (
      (/^\d+$/.test(word) && word.length <= DIGITS_MAX && COUNTED.test(before)) || isWritten(word)
    )
  }

  /** As it stands, not as a part of something else. */
  function isWritten(value: string): boolean {
    if (value === '' || isSecret(value)) return false
    for (let at = told.written.indexOf(value); at >= 0; at = told.written.indexOf(value, at + 1))
      if (!isPart(told.written[at - 1]) && !isPart(told.written[at + value.length])) return true
    return false
  }

  function isPart(character: string | undefined): boolean {
    return character !== undefined && /[\w$\x80-\xff]/.test(character)
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
 * as it is.
 */
export function withoutDataIn(
  bytes: Buffer,
  at: number,
  end: number,
  told: Told,
  mask: (text: Buffer) => Buffer | null,
): Buffer | null {
  const fields = errorFieldsIn(bytes, at + 5, end)
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
      // Where code stood, PostgreSQL counts its lines.
      const left = withoutData(text, isByCode && code !== 'W' ? { ...told, isByCode } : told, names)
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
