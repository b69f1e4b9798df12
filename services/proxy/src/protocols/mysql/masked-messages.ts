/**
 * What the target says in words: errors, warnings, plans, what a statement did. Where a database has masked columns, any of it
 * may hold data, with quotation marks around it or without, from the server itself or from code in the database. Pure.
 * Refuses to judge what is data: what is left are the servers' own words, names that the catalogue has, and what the client
 * has written.
 */
import { MESSAGE_WORDS } from './message-words'

export const WITHHELD = '[masked]'
/** What only SIGNAL makes (share/errmsg-utf8.txt: ER_SIGNAL_WARN, ER_SIGNAL_NOT_FOUND, ER_SIGNAL_EXCEPTION). */
const SIGNALLED = new Set([1642, 1643, 1644])
/** Behind these words stand places and counts; any other number may be data. */
const COUNTED = /\b(?:line|row|position|argument|column|version|stage|least|most|than|parameter) $/i
const COUNTED_CHARACTERS = 16
const DIGITS_MAX = 4
/** Values in these run up to the words behind them, whatever quotation marks are in them. */
const ENTRY = /^(Duplicate entry ')[\s\S]*(' for key (?:'[^']*'|\d+))$/
const VALUE =
  /^((?:Truncated incorrect|Incorrect|Invalid default|Bad|Wrong) [\w ]{1,40}? ?(?:value|string)?: ?')[\s\S]*?('(?: for (?:column|function) (?:`[^`]*`|'[^']*'|[\w.])+(?:\.`[^`]*`){0,2}(?: at row \d+)?)?)$/
const XPATH = /^(XPATH (?:syntax )?error: ')[\s\S]*(')$/
/** Places of a statement, as messages call them. */
const CLAUSES = new Set([
  ...['field list', 'where clause', 'having clause', 'on clause', 'order clause', 'from clause'],
  ...['group statement', 'partition function', 'SELECT', 'INTO', 'IN', 'RETURNING'],
])
/** What OK packets say (sql/sql_insert.cc, sql_update.cc, sql_load.cc, sql_table.cc). */
const COUNTS =
  /^(?:Rows matched: \d+ {2}Changed: \d+ {2}(?:Inserted: \d+ {2})?Warnings: \d+|Records: \d+ {2}(?:Duplicates|Deleted): \d+(?: {2}Skipped: \d+)? {2}Warnings: \d+|Statement prepared|)$/

export interface Told {
  /** The database has columns that are masked. */
  isSensitive: boolean
  /** What its client wrote, as text; what is in it is no news. */
  written: string
  /** Constants that are not to be repeated. */
  secrets: readonly string[]
  /** Whether the database calls a table, column, key or routine so. */
  isName(word: string): boolean
  /** Code in the database may have made the text. */
  isByCode: boolean
}

/** Without the constants that are not kept. */
export function withoutSecrets(text: string, secrets: readonly string[]): string {
  let other = text
  for (const secret of secrets) if (secret.length > 0) other = other.replaceAll(secret, WITHHELD)
  return other
}

/** A message with everything gone that may be data. `code`: 0 where it is no error or warning. */
export function withoutData(text: string, code: number, told: Told): string {
  const other = withoutSecrets(text, told.secrets)
  if (!told.isSensitive) return other
  const isByCode = told.isByCode || SIGNALLED.has(code)
  if (!isByCode)
    for (const form of [ENTRY, XPATH, VALUE]) {
      const found = form.exec(other)
      if (found === null) continue
      const value = other.slice(found[1]!.length, other.length - found[2]!.length)
      return `${prose(found[1]!.slice(0, -1))}'${isWritten(value) ? value : WITHHELD}'${prose(found[2]!.slice(1))}`
    }
  return prose(other)

  function prose(given: string): string {
    let result = ''
    let at = 0
    // What stands between quotation marks is one thing, whatever words are in it; an odd mark has none.
    for (const match of given.matchAll(
      /"((?:[^"]|"")*)"|'((?:[^']|'')*)'(?![a-z])|`((?:[^`]|``)*)`/g,
    )) {
      const inner = match[1] ?? match[2] ?? match[3] ?? ''
      if (match[2] !== undefined && /[a-z]$/i.test(given.slice(0, match.index))) continue
      result += words(given.slice(at, match.index))
      const mark = match[0]![0]!
      result += isKept(inner) ? match[0] : `${mark}${WITHHELD}${mark}`
      at = match.index + match[0].length
    }
    result += words(given.slice(at))
    return result.replaceAll(/\[masked\](?:[^\s\w[\]]{0,3}\[masked\])+/g, WITHHELD)
  }

  function words(part: string): string {
    return part.replace(/\[masked\]|[A-Za-z0-9_$\x80-\uffff]+(?:'[a-z]+)?/g, (word, at: number) =>
      isWord(word, part.slice(Math.max(0, at - COUNTED_CHARACTERS), at)) ? word : WITHHELD,
    )
  }

  function isWord(word: string, before: string): boolean {
    if (word === WITHHELD || word === 'a' || MESSAGE_WORDS.has(word.toLowerCase())) return true
    if (!/\d/.test(word)) return isKept(word)
    // Digits are few: whoever writes enough of them has written all, and code says with them what it likes.
    if (isByCode) return false
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
    return character !== undefined && /[\w$\x80-\uffff]/.test(character)
  }

  function isKept(inner: string): boolean {
    return (
      inner === '' ||
      inner === WITHHELD ||
      CLAUSES.has(inner) ||
      (!isByCode && inner.split(/[.@]/).every((part) => told.isName(part))) ||
      (inner.length > 1 && told.written.includes(inner) && !isSecret(inner))
    )
  }

  function isSecret(inner: string): boolean {
    return told.secrets.some(
      (secret) => secret.length > 0 && (inner.includes(secret) || secret.includes(inner)),
    )
  }
}

/** What an OK packet says beside its numbers. */
export function withoutDataInInfo(text: string, told: Told): string {
  return COUNTS.test(text) ? text : withoutData(text, 0, told)
}

/** A plan in JSON or as text: its words stay, what is compared in it only as far as a message would say it. */
export function withoutDataInPlan(text: string, told: Told): string {
  if (!/^\s*\{/.test(text)) return withoutData(text, 0, told)
  return text.replace(/"((?:[^"\\]|\\.)*)"(\s*:)?/g, (literal, _inner: string, colon?: string) => {
    if (colon !== undefined && /^"[a-z_0-9()\-.]{1,64}"/.test(literal)) return literal
    let value: string
    try {
      value = JSON.parse(colon === undefined ? literal : literal.slice(0, -colon.length)) as string
    } catch {
      return `"${WITHHELD}"${colon ?? ''}`
    }
    const other = withoutData(value, 0, told)
    return other === value ? literal : `${JSON.stringify(other)}${colon ?? ''}`
  })
}

/** Settings whose values the servers choose among (session_track_system_variables has them by default, or they are of that kind). */
const PLAIN_SETTING =
  /^(?:autocommit|time_zone|sql_mode|transaction_isolation|tx_isolation|transaction_read_only|tx_read_only|character_set_\w+|collation_\w+|redirect_url|max_statement_time|lock_wait_timeout|innodb_lock_wait_timeout|wait_timeout)$/

/** A setting's value that the target reports, or null where it stays. */
export function settingWithoutData(name: string, value: string, told: Told): string | null {
  if (!told.isSensitive || value === '' || PLAIN_SETTING.test(name)) return null
  return told.written.includes(value) && !told.secrets.includes(value) ? null : WITHHELD
}
