/**
 * Sigma's searches, to functions. A search is a mapping, all of whose items must match, or a list of mappings, one of which must.
 * Values of a list are alternatives, with `all` they must all match. Text is compared without regard to case unless `cased` or
 * `re` says otherwise, `*` and `?` stand for anything unless a backslash is before them. Regular expressions are RE2's, so that no rule
 * can hold up the stream. Refuses modifiers and shapes that are not named here.
 */
import { BlockList, isIP } from 'node:net'
import { RE2JS } from 're2js'
import { allOf, anyOf, type Test } from './condition'
import { type Fields, fieldNumber } from './fields'
import { SigmaError } from './rule'

export const MODIFIERS = [
  'contains',
  'startswith',
  'endswith',
  'all',
  'cased',
  're',
  'i',
  'm',
  's',
  'cidr',
  'base64',
  'base64offset',
  'lt',
  'lte',
  'gt',
  'gte',
  'neq',
  'exists',
  'fieldref',
] as const
type Modifier = (typeof MODIFIERS)[number]

/** Modifiers that say how values are compared, and what may stand beside them; else they are compared as text. */
const COMPARED: Partial<Record<Modifier, readonly Modifier[]>> = {
  exists: [],
  ...{ lt: ['all'], lte: ['all'], gt: ['all'], gte: ['all'] },
  re: ['i', 'm', 's', 'all', 'neq'],
  cidr: ['all', 'neq'],
  fieldref: ['contains', 'startswith', 'endswith', 'all', 'neq'],
}
const TEXT: readonly Modifier[] = [
  ...(['contains', 'startswith', 'endswith', 'cased', 'base64', 'base64offset'] as const),
  ...(['all', 'neq'] as const),
]

const VALUES_MAX = 1000

export function compileSearch(search: unknown): Test<Fields> {
  if (Array.isArray(search)) {
    if (search.length === 0) throw new SigmaError('an empty search')
    return anyOf(
      search.map((one) => {
        if (one === null || typeof one !== 'object')
          throw new SigmaError('searches for words without a field are not understood')
        return compileSearch(one)
      }),
    )
  }
  if (search === null || typeof search !== 'object')
    throw new SigmaError('searches for words without a field are not understood')
  const items = Object.entries(search as Record<string, unknown>)
  if (items.length === 0) throw new SigmaError('an empty search')
  return allOf(items.map(([key, value]) => compileItem(key, value)))
}

function compileItem(key: string, value: unknown): Test<Fields> {
  const [name, ...words] = key.split('|')
  for (const word of words)
    if (!(MODIFIERS as readonly string[]).includes(word))
      throw new SigmaError(`modifier ${word} of ${name} is not understood`)
  const modifiers = new Set(words as Modifier[])
  // One that would be without effect is not understood.
  const compared = (words as Modifier[]).find((word) => COMPARED[word] !== undefined)
  const fitting = compared === undefined ? TEXT : [compared, ...COMPARED[compared]!]
  for (const word of modifiers)
    if (!fitting.includes(word))
      throw new SigmaError(
        `${key}: ${word} ${compared === undefined ? 'comes with re' : `means nothing with ${compared}`}`,
      )
  const field = fieldNumber(name!)
  const values = Array.isArray(value) ? value : [value]
  if (values.length === 0) throw new SigmaError(`${key} has no values`)
  if (values.length > VALUES_MAX) throw new SigmaError(`${key} has more than ${VALUES_MAX} values`)
  if (modifiers.has('exists')) {
    if (values.length !== 1 || typeof values[0] !== 'boolean')
      throw new SigmaError(`${key} is true or false`)
    const wanted = values[0]
    return (fields) => fields.values(field).length > 0 === wanted
  }
  const tests = values.map((one) => compileValue(field, one, modifiers, key))
  // Unequal to a list is unequal to each of it.
  return modifiers.has('all') || modifiers.has('neq') ? allOf(tests) : anyOf(tests)
}

function compileValue(
  field: number,
  value: unknown,
  modifiers: ReadonlySet<Modifier>,
  key: string,
): Test<Fields> {
  if (modifiers.has('neq')) {
    const test = compileValue(field, value, without(modifiers, 'neq'), key)
    // What is not there is not unequal, as in SQL.
    return (fields) => fields.values(field).length > 0 && !test(fields)
  }
  for (const operator of ['lt', 'lte', 'gt', 'gte'] as const)
    if (modifiers.has(operator)) {
      if (typeof value !== 'number') throw new SigmaError(`${key} is not a number`)
      const compare = COMPARISONS[operator]
      return (fields) =>
        fields.values(field).some((item) => typeof item === 'number' && compare(item, value))
    }
  if (modifiers.has('fieldref')) {
    if (typeof value !== 'string') throw new SigmaError(`${key} does not name a field`)
    const other = fieldNumber(value)
    const holds = modifiers.has('startswith')
      ? (a: string, b: string) => a.startsWith(b)
      : modifiers.has('endswith')
        ? (a: string, b: string) => a.endsWith(b)
        : modifiers.has('contains')
          ? (a: string, b: string) => a.includes(b)
          : (a: string, b: string) => a === b
    return (fields) => {
      const others = fields.lower(other)
      return fields.lower(field).some((item) => others.some((one) => holds(item, one)))
    }
  }
  if (value === null) {
    if (modifiers.size > 0) throw new SigmaError(`${key} is null`)
    return (fields) => fields.values(field).length === 0
  }
  if (modifiers.has('re')) {
    let pattern: RE2JS
    let flags = 0
    if (modifiers.has('i')) flags |= RE2JS.CASE_INSENSITIVE
    if (modifiers.has('m')) flags |= RE2JS.MULTILINE
    if (modifiers.has('s')) flags |= RE2JS.DOTALL
    try {
      pattern = RE2JS.compile(String(value), flags)
    } catch (error) {
      throw new SigmaError(`${key}: ${(error as Error).message}`)
    }
    return (fields) => fields.values(field).some((item) => pattern.matcher(String(item)).find())
  }
  if (modifiers.has('cidr')) {
    const list = blockOf(String(value), key)
    return (fields) =>
      fields.values(field).some((item) => {
        const family = isIP(String(item))
        return family !== 0 && list.check(String(item), family === 4 ? 'ipv4' : 'ipv6')
      })
  }
  if (typeof value === 'number' || typeof value === 'boolean') {
    if (modifiers.size === 0 || (modifiers.size === 1 && modifiers.has('all')))
      return (fields) =>
        fields.values(field).some((item) => item === value || String(item) === String(value))
    return compileText(field, String(value), modifiers)
  }
  if (typeof value !== 'string')
    throw new SigmaError(`${key}: ${JSON.stringify(value)} is no value`)
  if (modifiers.has('base64')) {
    const plain = Buffer.from(plainText(value, key)).toString('base64')
    return compileText(field, escaped(plain), without(modifiers, 'base64'))
  }
  if (modifiers.has('base64offset')) {
    const bytes = Buffer.from(plainText(value, key))
    const rest = without(modifiers, 'base64offset')
    return anyOf([0, 1, 2].map((shift) => compileText(field, escaped(shifted(bytes, shift)), rest)))
  }
  return compileText(field, value, modifiers)
}

const COMPARISONS = {
  lt: (a: number, b: number) => a < b,
  lte: (a: number, b: number) => a <= b,
  gt: (a: number, b: number) => a > b,
  gte: (a: number, b: number) => a >= b,
}

function without(modifiers: ReadonlySet<Modifier>, one: Modifier): ReadonlySet<Modifier> {
  const rest = new Set(modifiers)
  rest.delete(one)
  return rest
}

/** What of the base64 of any text that has these bytes at this shift depends on these bytes alone. */
function shifted(bytes: Buffer, shift: number): string {
  const text = Buffer.concat([Buffer.alloc(shift), bytes])
    .toString('base64')
    .replace(/=+$/, '')
  const start = [0, 2, 3][shift]!
  const rest = (shift + bytes.length) % 3
  return text.slice(start, rest === 0 ? text.length : text.length - 1)
}

const escaped = (text: string): string => text.replace(/[\\*?]/g, '\\$&')

function plainText(value: string, key: string): string {
  const parts = patternOf(value)
  if (parts.includes(ONE) || parts.includes(ANY)) throw new SigmaError(`${key} has a wildcard`)
  return parts.join('')
}

const ANY = Symbol('*')
const ONE = Symbol('?')
type Piece = string | typeof ANY | typeof ONE

/** A value's pieces: text, `*` and `?`; a backslash takes the meaning from these and from a backslash, before anything else it is itself. */
export function patternOf(value: string): Piece[] {
  const pieces: Piece[] = []
  let text = ''
  for (let i = 0; i < value.length; i++) {
    const char = value[i]!
    if (char === '\\' && i + 1 < value.length && '\\*?'.includes(value[i + 1]!)) text += value[++i]
    else if (char === '*' || char === '?') {
      if (text !== '') pieces.push(text)
      text = ''
      if (char === '*' && pieces.at(-1) === ANY) continue
      pieces.push(char === '*' ? ANY : ONE)
    } else text += char
  }
  if (text !== '' || pieces.length === 0) pieces.push(text)
  return pieces
}

function compileText(field: number, value: string, modifiers: ReadonlySet<Modifier>): Test<Fields> {
  const cased = modifiers.has('cased')
  const pieces = patternOf(cased ? value : value.toLowerCase())
  if ((modifiers.has('contains') || modifiers.has('endswith')) && pieces[0] !== ANY)
    pieces.unshift(ANY)
  if ((modifiers.has('contains') || modifiers.has('startswith')) && pieces.at(-1) !== ANY)
    pieces.push(ANY)
  // `contains` of nothing is `*`: whatever is there.
  const parts = pieces.filter((piece) => piece !== '')
  const test = textTest(parts.length === 0 ? [''] : parts)
  const texts = cased
    ? (fields: Fields) => fields.values(field).map(String)
    : (fields: Fields) => fields.lower(field)
  return (fields) => {
    const found = texts(fields)
    for (let i = 0; i < found.length; i++) if (test(found[i]!)) return true
    return false
  }
}

function textTest(pieces: readonly Piece[]): (text: string) => boolean {
  if (!pieces.includes(ONE)) {
    const texts = pieces.filter((piece) => typeof piece === 'string') as string[]
    const opens = pieces[0] === ANY
    const closes = pieces.at(-1) === ANY
    if (texts.length === 0) return () => true
    if (texts.length === 1) {
      const [text] = texts as [string]
      if (!opens && !closes) return (other) => other === text
      if (opens && closes) return (other) => other.includes(text)
      return opens ? (other) => other.endsWith(text) : (other) => other.startsWith(text)
    }
  }
  return (text) => globMatches(pieces, text)
}

/** Linear in text times pieces: after each `*` the first place that fits is taken. */
function globMatches(pieces: readonly Piece[], text: string): boolean {
  const chars = text
  let piece = 0
  let at = 0
  let starPiece = -1
  let starAt = 0
  for (;;) {
    if (piece < pieces.length) {
      const one = pieces[piece]!
      if (one === ANY) {
        starPiece = piece++
        starAt = at
        continue
      }
      if (one === ONE) {
        if (at < chars.length) {
          at += chars.codePointAt(at)! > 0xffff ? 2 : 1
          piece++
          continue
        }
      } else if (chars.startsWith(one as string, at)) {
        at += (one as string).length
        piece++
        continue
      }
    } else if (at === chars.length) return true
    if (starPiece < 0 || starAt >= chars.length) return false
    at = ++starAt
    piece = starPiece + 1
  }
}

function blockOf(value: string, key: string): BlockList {
  const [network, bits] = value.split('/')
  const family = isIP(network ?? '')
  const prefix = Number(bits)
  if (
    family === 0 ||
    bits === undefined ||
    !/^\d{1,3}$/.test(bits) ||
    prefix > (family === 4 ? 32 : 128)
  )
    throw new SigmaError(`${key}: ${value} is no network`)
  const list = new BlockList()
  list.addSubnet(network!, prefix, family === 4 ? 'ipv4' : 'ipv6')
  return list
}
