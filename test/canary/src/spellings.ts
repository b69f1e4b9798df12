/**
 * How a value can be written: every form in which somebody who gets it would still have it. Knows no protocol and no place.
 * Refuses what can't be turned back: digests and parts that are too short to be told from chance.
 */

/** One form of a value, as bytes; letters are compared in any case. */
export interface Spelling {
  name: string
  bytes: Buffer
  /** Only a part of the value, or so short that chance writes it in a large file: for small places. */
  isPart?: boolean
}

/** Shorter ones are in ordinary files by chance. */
const PART_CHARACTERS = 8

/** A text: the whole of it, and where `core` is given, the pieces of that. */
export function spellingsOfText(text: string, core = text): Spelling[] {
  const found = new Spellings()
  const forms: [string, string][] = [
    ['as it is', text],
    ['reversed', [...text].reverse().join('')],
    // What is not ASCII is not folded by the search.
    ['capitals', text.toUpperCase()],
    ['JSON', JSON.stringify(text).slice(1, -1)],
    ['JSON, ASCII', ascii(JSON.stringify(text).slice(1, -1))],
    ['XML', text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;')],
    ['URL', encodeURIComponent(text)],
    ['quotes doubled', text.replaceAll('"', '""')],
    ['apostrophes doubled', text.replaceAll("'", "''")],
    ['backslashes doubled', text.replaceAll('\\', '\\\\')],
    ['backslashes', text.replaceAll(/[\\"]/g, '\\$&')],
    ['backslashes and quotes doubled', text.replaceAll(/[\\"]/g, '$&$&')],
    ['character codes', [...text].map((c) => c.codePointAt(0)).join('')],
    ['character codes, by commas', [...text].map((c) => c.codePointAt(0)).join(',')],
  ]
  for (const mark of [' ', ',', '-', '.', ', ', '|', '\t', '\n'])
    forms.push([`split by ${JSON.stringify(mark)}`, [...text].join(mark)])
  for (const [name, form] of forms) found.add(name, Buffer.from(form))
  encodings(found, 'utf8', Buffer.from(text))
  encodings(found, 'utf-16le', Buffer.from(text, 'utf16le'))
  encodings(found, 'utf-16be', Buffer.from(text, 'utf16le').swap16())
  if (core !== text) encodings(found, 'utf8, its core', Buffer.from(core))
  encodings(found, 'latin1', Buffer.from(text, 'latin1'))
  if (core !== text) found.add('its core', Buffer.from(core))
  if (core !== text) found.add('its core, reversed', Buffer.from([...core].reverse().join('')))
  if (core !== text)
    found.add('its core, codes', Buffer.from([...core].map((c) => c.codePointAt(0)).join('')))
  for (const mark of [',', ' ', '', '-']) {
    if (core !== text && mark) found.add(`its core by ${mark}`, Buffer.from([...core].join(mark)))
  }
  parts(found, core)
  return found.list
}

/** A number that is written in groups: cards, accounts, telephones. */
export function spellingsOfDigits(digits: string): Spelling[] {
  const found = new Spellings()
  found.list.push(...spellingsOfText(digits))
  for (const mark of [' ', '-', '.', '/']) {
    found.add(`by fours, ${mark}`, Buffer.from(grouped(digits, 4, mark)))
    found.add(`4-6-5, ${mark}`, Buffer.from(digits.replace(/^(.{4})(.{6})/, `$1${mark}$2${mark}`)))
  }
  for (const mark of [',', '.', ' ', "'"])
    found.add(`by thousands, ${mark}`, Buffer.from(thousands(digits, mark)))
  return found.list
}

/** A whole number as programs hold one. */
export function spellingsOfInteger(value: bigint): Spelling[] {
  const found = new Spellings()
  found.list.push(...spellingsOfDigits(String(value)))
  const bytes = Buffer.alloc(8)
  bytes.writeBigInt64BE(value)
  encodings(found, '64 bits', bytes)
  found.add('64 bits, little end first', Buffer.from(bytes).reverse())
  found.add('hexadecimal', Buffer.from(value.toString(16)))
  found.add('octal', Buffer.from(value.toString(8)))
  found.add('binary', Buffer.from(value.toString(2)))
  return found.list
}

/** A decimal with this many digits behind the point. */
export function spellingsOfDecimal(text: string): Spelling[] {
  const [whole = '', part = ''] = text.split('.')
  const found = new Spellings()
  found.list.push(...spellingsOfText(text))
  found.list.push(...spellingsOfInteger(BigInt(whole + part)))
  for (const mark of [',', "'", ' '])
    found.add(`by thousands, ${mark}`, Buffer.from(`${thousands(whole, mark)}.${part}`))
  found.add('its whole part', Buffer.from(whole))
  found.list.push(...spellingsOfInteger(BigInt(whole)))
  found.list.push(...spellingsOfInteger(BigInt(whole) + 1n))
  const double = Buffer.alloc(8)
  double.writeDoubleBE(Number(text))
  encodings(found, 'floating point', double)
  const exponent = Number(text).toExponential()
  found.add('exponent', Buffer.from(exponent.slice(0, exponent.indexOf('e'))))
  // Groups of four digits, 16 bits each, as PostgreSQL sends a numeric.
  const fours = [
    ...(whole.padStart(Math.ceil(whole.length / 4) * 4, '0').match(/.{4}/g) ?? []),
    ...(part.padEnd(Math.ceil(part.length / 4) * 4, '0').match(/.{4}/g) ?? []),
  ].map(Number)
  const numeric = Buffer.alloc(fours.length * 2)
  fours.forEach((four, i) => void numeric.writeInt16BE(four, i * 2))
  encodings(found, 'groups of four digits', numeric)
  return found.list
}

/** A day, written `YYYY-MM-DD`. */
export function spellingsOfDay(day: string): Spelling[] {
  const [year = '', month = '', date = ''] = day.split('-')
  const at = new Date(`${day}T00:00:00Z`)
  const [month3, weekday, whole] = [
    at.toLocaleString('en', { month: 'short', timeZone: 'UTC' }),
    at.toLocaleString('en', { weekday: 'short', timeZone: 'UTC' }),
    at.toLocaleString('en', { month: 'long', timeZone: 'UTC' }),
  ]
  const found = new Spellings()
  const forms = [
    day,
    `${month}/${date}/${year}`,
    `${date}/${month}/${year}`,
    `${date}.${month}.${year}`,
    `${month}-${date}-${year}`,
    `${date}-${month}-${year}`,
    `${year}/${month}/${date}`,
    `${date} ${month3} ${year}`,
    `${weekday} ${month3} ${date} 00:00:00 ${year}`,
    `${whole} ${date}, ${year}`,
    `${year},${Number(month)},${Number(date)}`,
    String(at.getTime() / 1000),
  ]
  for (const form of forms) {
    found.add(form, Buffer.from(form))
    encodings(found, form, Buffer.from(form))
    found.add(`${form}, reversed`, Buffer.from([...form].reverse().join('')))
  }
  found.add('compact', Buffer.from(year + month + date), true)
  found.add('julian', Buffer.from(String(at.getTime() / 86_400_000 + 2_440_588)), true)
  const days = at.getTime() / 86_400_000 - 10_957
  // With the length before it, as on the wire: four bytes alone are anywhere.
  const binary = Buffer.alloc(8)
  binary.writeInt32BE(4, 0)
  binary.writeInt32BE(days, 4)
  found.add('days, 32 bits', binary)
  const micros = Buffer.alloc(8)
  micros.writeBigInt64BE(BigInt(days) * 86_400_000_000n)
  found.add('microseconds, 64 bits', micros)
  return found.list
}

export function spellingsOfUuid(uuid: string): Spelling[] {
  const found = new Spellings()
  found.list.push(...spellingsOfText(uuid))
  const plain = uuid.replaceAll('-', '')
  found.list.push(...spellingsOfText(plain))
  found.add('16 bytes', Buffer.from(plain, 'hex'))
  encodings(found, '16 bytes', Buffer.from(plain, 'hex'))
  return found.list
}

class Spellings {
  readonly list: Spelling[] = []

  add(name: string, bytes: Buffer, isPart = bytes.length < PART_CHARACTERS): void {
    if (bytes.length >= 6) this.list.push({ name, bytes, ...(isPart && { isPart }) })
  }
}

/** Hexadecimal, and base64 wherever the value begins within a larger one. */
function encodings(found: Spellings, name: string, bytes: Buffer): void {
  found.add(name, bytes)
  found.add(`${name}, hexadecimal`, Buffer.from(bytes.toString('hex')))
  found.add(
    `${name}, hexadecimal by spaces`,
    Buffer.from(bytes.toString('hex').match(/../g)!.join(' ')),
  )
  found.add(`${name}, percent`, Buffer.from(bytes.toString('hex').replaceAll(/../g, '%$&')))
  for (const before of [0, 1, 2]) {
    // Characters that depend on neighbours are left out.
    const whole = Buffer.concat([Buffer.alloc(before), bytes])
    const from = before === 0 ? 0 : before + 1
    const characters = Math.floor((whole.length * 8) / 6) - from
    for (const alphabet of ['base64', 'base64url'] as const) {
      const text = whole.toString(alphabet).slice(from, from + characters)
      if (text.length >= 12) found.add(`${name}, ${alphabet}, ${before}`, Buffer.from(text))
    }
  }
}

function parts(found: Spellings, text: string): void {
  for (const run of text.match(/[A-Za-z0-9]+/g) ?? [])
    for (let at = 0; at + PART_CHARACTERS <= run.length; at++) {
      const part = run.slice(at, at + PART_CHARACTERS)
      if (part !== text) found.add('a part', Buffer.from(part), true)
    }
}

const ascii = (text: string) =>
  text.replaceAll(/[\u0080-\uffff]/g, (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`)

const grouped = (text: string, size: number, mark: string) =>
  (text.match(new RegExp(`.{1,${size}}`, 'g')) ?? []).join(mark)

const thousands = (digits: string, mark: string) => digits.replaceAll(/\B(?=(\d{3})+$)/g, mark)
