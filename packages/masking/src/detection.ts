/**
 * Detectors applied to values of columns and to free text: whatever notation a value is in, what is found is replaced where
 * it stands, and the value stays of its type. Ordinary values are looked at once and never copied.
 * Refuses to read binary forms of other types than text, JSON and bytes: who calls has them as text, or asks first.
 */
import { masked, maskedFind, REDACTED } from './actions'
import { ESCAPE } from './bytes'
import { byteaOf, mapArray, mapComposite, mapHstore } from './literals'
import {
  BASE64_CHARACTERS_MIN,
  isBase64,
  isMostlyPrintable,
  type Reading,
  readBase64,
  readEntities,
  readHex,
  readJsonString,
  readPercent,
  writeEntities,
  writeJsonString,
} from './notations'
import { compilePatterns, type OwnPattern, type PatternMatcher } from './patterns'
import {
  createScanner,
  type DetectorName,
  type Find,
  HINTED_DETECTORS,
  isBirthColumn,
  type PassScanner,
} from './scan'
import type { ActionSpec, ValueType } from './types'

export interface DetectorSettings {
  use: readonly DetectorName[]
  patterns: readonly OwnPattern[]
  action: ActionSpec
}

export interface Counts {
  add(detector: string): void
}

export interface ValueDetector {
  /**
   * The value's bytes with what was found replaced; `TO_NULL` where nothing of its type can take its place; null where nothing
   * was found. `isText`: PostgreSQL's text form, else its binary form, which only those read that say `readsBinary`.
   */
  mask(bytes: Buffer, start: number, end: number, isText: boolean, counts: Counts): Buffer | null
  /** False: nothing of this type can be found, and nobody need ask. */
  readonly isUseful: boolean
  readonly readsBinary: boolean
}

export interface Detection {
  /** `name`: the column's, by which some identifiers are known. */
  column(name: string, type: ValueType): ValueDetector
  /** Messages and statements. */
  text(bytes: Buffer, counts: Counts): Buffer | null
  /** What of such a text would be replaced, and by what: in order, without overlaps; null: nothing. Not counted. */
  finds(bytes: Buffer): readonly Edit[] | null
}

/** Stands for NULL; to be compared, never to be sent. */
export const TO_NULL: Buffer = Buffer.alloc(0)

/** Throws an Error with words where a pattern can't be used. */
export function createDetection(settings: DetectorSettings, key: Buffer): Detection {
  const context: Context = {
    settings,
    key,
    patterns: compilePatterns(settings.patterns),
    toNull: settings.action.action === 'null' || settings.action.action === 'drop-row',
  }
  const free = new Reader(context, '')
  return {
    column: (name, type) => detectorOf(context, name, type),
    finds: (bytes) => free.read(bytes, 0, bytes.length, null),
    text(bytes, counts) {
      const edits = free.read(bytes, 0, bytes.length, counts)
      return edits === null ? null : applied(bytes, 0, bytes.length, edits)
    },
  }
}

interface Context {
  settings: DetectorSettings
  key: Buffer
  patterns: PatternMatcher
  /** Whatever is found makes the whole value NULL. */
  toNull: boolean
}

function detectorOf(context: Context, name: string, type: ValueType): ValueDetector {
  const one = scalarOf(context, name, type)
  return type.isArray && one.isUseful ? new ArrayDetector(one) : one
}

function scalarOf(context: Context, name: string, { kind }: ValueType): ValueDetector {
  const { use, patterns } = context.settings
  if (use.length === 0 && patterns.length === 0) return NOTHING
  const isBirth = use.includes('birth-date') && isBirthColumn(name)
  switch (kind) {
    case 'text':
      return isBirth ? new BirthDetector(context, name, 'text') : new TextDetector(context, name)
    case 'json':
      return new JsonDetector(context, name)
    case 'integer':
    case 'decimal':
    case 'float':
      return new NumberDetector(context, name, kind)
    case 'date':
    case 'timestamp':
      return isBirth ? new BirthDetector(context, name, kind) : NOTHING
    case 'bytes':
      return new BytesDetector(context, name)
    case 'composite':
      return new CompositeDetector(context, name)
    case 'other':
      return new OtherDetector(context, name)
    default:
      return NOTHING
  }
}

const NOTHING: ValueDetector = {
  mask: () => null,
  isUseful: false,
  readsBinary: true,
}

function refuseBinary(isText: boolean): void {
  if (!isText) throw new Error('a binary form was given that only its text form can stand for')
}

/** What takes the place of the bytes from `start` to `end`. */
export interface Edit extends Find {
  text: string
}

function applied(bytes: Buffer, start: number, end: number, edits: readonly Edit[]): Buffer {
  const parts: Buffer[] = []
  let at = start
  for (const edit of edits) {
    parts.push(bytes.subarray(at, edit.start), Buffer.from(edit.text))
    at = edit.end
  }
  parts.push(bytes.subarray(at, end))
  return Buffer.concat(parts)
}

/** Reads a text in all notations that may stand in it. */
class Reader {
  readonly scanner: PassScanner
  private readonly finds: Find[] = []

  constructor(
    private readonly context: Context,
    column: string,
  ) {
    this.scanner = createScanner(context.settings.use, column)
  }

  /** Edits in order, without overlaps; null: none. Each is counted. */
  read(bytes: Buffer, start: number, end: number, counts: Counts | null): Edit[] | null {
    const { finds, scanner, context } = this
    // Setting it costs more than looking.
    if (finds.length > 0) finds.length = 0
    scanner.scan(bytes, start, end, finds)
    const { kinds, longest } = scanner
    const hasPatterns = !context.patterns.isEmpty
    const hasLayers = (kinds & ESCAPE) !== 0 || longest >= BASE64_WORD_CHARACTERS_MIN
    if (finds.length === 0 && !hasLayers && !hasPatterns) return null
    const isXml = looksLikeXml(bytes, start, end)
    if (hasPatterns) {
      if (isXml) scanMarkup(context.patterns, bytes, start, end, finds)
      else context.patterns.scan(bytes, start, end, finds)
      if (finds.length === 0 && !hasLayers) return null
    }
    const edits: Edit[] = finds.map((find) => {
      const text = maskedFind(
        bytes.toString('utf8', find.start, find.end),
        context.settings.action,
        context.key,
      )
      return { ...find, text: isXml ? writeEntities(text) : text }
    })
    if ((kinds & ESCAPE) !== 0) {
      this.layer(readPercent(bytes, start, end), 0x25, bytes, edits, isXml, encodeURIComponent)
      this.layer(readEntities(bytes, start, end), 0x26, bytes, edits, isXml, writeEntities)
    }
    if (longest >= BASE64_WORD_CHARACTERS_MIN) this.words(bytes, start, end, edits)
    if (edits.length === 0) return null
    settle(edits, (from, to) =>
      maskedFind(bytes.toString('utf8', from, to), context.settings.action, context.key),
    )
    if (counts) for (const { detector } of edits) counts.add(detector)
    return edits
  }

  /** What another notation hides; what it does not, has been found already. */
  private layer(
    reading: Reading | null,
    mark: number,
    bytes: Buffer,
    edits: Edit[],
    isXml: boolean,
    write: (text: string) => string,
  ): void {
    if (reading === null) return
    for (const find of this.inner(reading.bytes)) {
      const [from, to] = [reading.from[find.start]!, reading.from[find.end]!]
      if (!bytes.subarray(from, to).includes(mark)) continue
      // Markup has been left out above, and is no part of a find here either.
      if (isXml && /[<>]/.test(bytes.toString('latin1', from, to))) continue
      const text = reading.bytes.toString('utf8', find.start, find.end)
      edits.push({
        start: from,
        end: to,
        detector: find.detector,
        text: write(maskedFind(text, this.context.settings.action, this.context.key)),
      })
    }
  }

  private inner(bytes: Buffer): Find[] {
    const finds: Find[] = []
    this.scanner.scan(bytes, 0, bytes.length, finds)
    this.context.patterns.scan(bytes, 0, bytes.length, finds)
    return finds
  }

  /** Words of base64 that say a text: one in which something is found is replaced as a whole. */
  private words(bytes: Buffer, start: number, end: number, edits: Edit[]): void {
    for (let at = start; at < end; ) {
      if (!isBase64(bytes[at]!)) {
        at++
        continue
      }
      let to = at
      while (to < end && isBase64(bytes[to]!)) to++
      const from = at
      to = linesEnd(bytes, from, to, end)
      at = to
      if (to - from < BASE64_CHARACTERS_MIN) continue
      const decoded = readHex(bytes, from, to) ?? readBase64(bytes, from, to)
      const [first] = decoded === null ? [] : this.inner(decoded)
      if (first === undefined) continue
      while (to < end && to - at < 2 && bytes[to] === 0x3d) to++
      const text = bytes.toString('latin1', from, to)
      edits.push({
        start: from,
        end: to,
        detector: first.detector,
        text: maskedFind(text, this.context.settings.action, this.context.key),
      })
    }
  }
}

/** Programs break long base64 into lines (RFC 2045, 6.8: 76 characters; PEM: 64): where that ends. */
function linesEnd(bytes: Buffer, from: number, lineEnd: number, end: number): number {
  let to = lineEnd
  for (let line = to - from; line >= LINE_CHARACTERS_MIN && to < end; ) {
    let next = to
    if (bytes[next] === 0x0d) next++
    if (bytes[next] !== 0x0a) break
    const begin = ++next
    while (next < end && isBase64(bytes[next]!)) next++
    line = next - begin
    if (line === 0) break
    to = next
  }
  return to
}
const LINE_CHARACTERS_MIN = 60

/** A shorter word of letters and digits is in no base64 of use. */
const BASE64_WORD_CHARACTERS_MIN = 14

/** In order; of what overlaps one that covers all of it. */
function settle(edits: Edit[], write: (from: number, to: number) => string): void {
  if (edits.length < 2) return
  edits.sort((a, b) => a.start - b.start || b.end - a.end)
  let last = 0
  for (let i = 1; i < edits.length; i++) {
    const [before, next] = [edits[last]!, edits[i]!]
    if (next.start >= before.end) edits[++last] = next
    else if (next.end > before.end) {
      before.end = next.end
      before.text = write(before.start, before.end)
    }
  }
  edits.length = last + 1
}

function isSpace(byte: number): boolean {
  return byte === 0x20 || (byte >= 0x09 && byte <= 0x0d)
}

/** Begins and ends with markup. */
function looksLikeXml(bytes: Buffer, start: number, end: number): boolean {
  let from = start
  while (from < end && isSpace(bytes[from]!)) from++
  if (bytes[from] !== 0x3c || from === end) return false
  let to = end
  while (to > from && isSpace(bytes[to - 1]!)) to--
  return bytes[to - 1] === 0x3e
}

/** Patterns of one's own could match markup as well: they are given what stands between, and values of attributes. */
function scanMarkup(
  patterns: PatternMatcher,
  bytes: Buffer,
  start: number,
  end: number,
  finds: Find[],
): void {
  let isTag = false
  let quote = 0
  let from = start
  for (let at = start; at <= end; at++) {
    const byte = at < end ? bytes[at]! : isTag ? 0x3e : 0x3c
    if (!isTag) {
      if (byte !== 0x3c) continue
      if (at > from) patterns.scan(bytes, from, at, finds)
      isTag = true
    } else if (quote !== 0) {
      if (byte !== quote) continue
      if (at > from) patterns.scan(bytes, from, at, finds)
      quote = 0
    } else if (byte === 0x22 || byte === 0x27) {
      quote = byte
      from = at + 1
    } else if (byte === 0x3e) {
      isTag = false
      from = at + 1
    }
  }
}

class TextDetector implements ValueDetector {
  readonly isUseful = true
  readonly readsBinary = true
  private readonly reader: Reader

  constructor(
    private readonly context: Context,
    name: string,
  ) {
    this.reader = new Reader(context, name)
  }

  mask(bytes: Buffer, start: number, end: number, _isText: boolean, counts: Counts): Buffer | null {
    const edits = this.reader.read(bytes, start, end, counts)
    if (edits === null) return null
    return this.context.toNull ? TO_NULL : applied(bytes, start, end, edits)
  }
}

/** Types that nobody told us of: what is found can be replaced in no way that surely fits, but in hstore. */
class OtherDetector implements ValueDetector {
  readonly isUseful = true
  readonly readsBinary = false
  private readonly reader: Reader

  constructor(
    private readonly context: Context,
    private readonly name: string,
  ) {
    this.reader = new Reader(context, name)
  }

  mask(bytes: Buffer, start: number, end: number, isText: boolean, counts: Counts): Buffer | null {
    refuseBinary(isText)
    const isHstore = bytes[start] === 0x22
    const edits = this.reader.read(bytes, start, end, isHstore ? null : counts)
    if (edits === null) return null
    if (this.context.toNull || !isHstore) return TO_NULL
    const inner = new Fields(this.context, this.name)
    const text = mapHstore(
      bytes.toString('utf8', start, end),
      (one) => inner.change(one, counts) ?? REDACTED,
      (one) => inner.change(one, counts),
    )
    return text === null ? TO_NULL : Buffer.from(text)
  }
}

/** Parts of a value, each as a text of its own. */
class Fields {
  private readonly reader: Reader

  constructor(context: Context, name: string) {
    this.reader = new Reader(context, name)
  }

  /** What stands for it, itself where nothing was found. */
  change(text: string, counts: Counts): string {
    const bytes = Buffer.from(text)
    const edits = this.reader.read(bytes, 0, bytes.length, counts)
    return edits === null ? text : applied(bytes, 0, bytes.length, edits).toString()
  }
}

class CompositeDetector implements ValueDetector {
  readonly isUseful = true
  readonly readsBinary = false
  private readonly reader: Reader
  private readonly fields: Fields

  constructor(
    private readonly context: Context,
    name: string,
  ) {
    this.reader = new Reader(context, name)
    this.fields = new Fields(context, name)
  }

  mask(bytes: Buffer, start: number, end: number, isText: boolean, counts: Counts): Buffer | null {
    refuseBinary(isText)
    if (isPlain(this.context, this.reader, bytes, start, end)) return null
    let isFound = false
    const text = mapComposite(bytes.toString('utf8', start, end), (field) => {
      const other = this.fields.change(field, counts)
      if (other === field) return field
      isFound = true
      // Only digits: the field may be a number, and a number only.
      return /^-?\d+(\.\d+)?$/.test(field) ? null : other
    })
    if (text === null) return this.reader.read(bytes, start, end, counts) === null ? null : TO_NULL
    if (!isFound) return null
    return this.context.toNull ? TO_NULL : Buffer.from(text)
  }
}

/** Whether no part of it can hold anything, whatever marks stand around. */
function isPlain(
  context: Context,
  reader: Reader,
  bytes: Buffer,
  start: number,
  end: number,
): boolean {
  return context.patterns.isEmpty && reader.scanner.isPlain(bytes, start, end)
}

class ArrayDetector implements ValueDetector {
  readonly isUseful = true
  readonly readsBinary = false

  constructor(private readonly element: ValueDetector) {}

  mask(bytes: Buffer, start: number, end: number, isText: boolean, counts: Counts): Buffer | null {
    refuseBinary(isText)
    let isFound = false
    const text = mapArray(bytes.toString('utf8', start, end), (element) => {
      const own = Buffer.from(element)
      const other = this.element.mask(own, 0, own.length, true, counts)
      if (other === null) return element
      isFound = true
      return other === TO_NULL ? null : other.toString()
    })
    if (text !== null) return isFound ? Buffer.from(text) : null
    // No array as the server writes them: as a whole.
    return this.element.mask(bytes, start, end, true, counts) === null ? null : TO_NULL
  }
}

class NumberDetector implements ValueDetector {
  readonly readsBinary = false
  readonly isUseful: boolean
  private readonly reader: Reader

  constructor(
    private readonly context: Context,
    name: string,
    private readonly kind: 'integer' | 'decimal' | 'float',
  ) {
    this.reader = new Reader(context, name)
    this.isUseful = this.reader.scanner.findsNumbers || !context.patterns.isEmpty
  }

  mask(bytes: Buffer, start: number, end: number, isText: boolean, counts: Counts): Buffer | null {
    refuseBinary(isText)
    if (isPlain(this.context, this.reader, bytes, start, end)) return null
    let [own, from, to] = [bytes, start, end]
    if (this.kind === 'float') {
      // 4.11e+15 is a number of sixteen digits.
      const value = Number(bytes.toString('latin1', start, end))
      if (Number.isSafeInteger(value)) {
        own = Buffer.from(String(value))
        from = 0
        to = own.length
      }
    }
    if (this.reader.read(own, from, to, counts) === null) return null
    const { action } = this.context.settings
    if (action.action !== 'shape' && action.action !== 'hash') return TO_NULL
    const text = masked(
      own.toString('latin1', from, to),
      { kind: this.kind, isArray: false },
      action,
      this.context.key,
    )
    return text === null ? TO_NULL : Buffer.from(text)
  }
}

const YEAR: ActionSpec = { action: 'truncate', to: 'year' }

/** Dates of birth, known by the name of their column only: their year stays, whatever else is done elsewhere. */
class BirthDetector implements ValueDetector {
  readonly isUseful = true
  readonly readsBinary: boolean
  private readonly text: TextDetector

  constructor(
    private readonly context: Context,
    name: string,
    private readonly kind: 'text' | 'date' | 'timestamp',
  ) {
    this.readsBinary = kind === 'text'
    this.text = new TextDetector(context, name)
  }

  mask(bytes: Buffer, start: number, end: number, isText: boolean, counts: Counts): Buffer | null {
    if (this.kind !== 'text') refuseBinary(isText)
    const own = bytes.toString('utf8', start, end)
    const other = masked(own, { kind: this.kind, isArray: false }, YEAR, this.context.key)
    // No date; something else may stand there.
    if (other === REDACTED && this.kind === 'text')
      return this.text.mask(bytes, start, end, isText, counts)
    if (other === own) return null
    counts.add('birth-date')
    return other === null || this.context.toNull ? TO_NULL : Buffer.from(other)
  }
}

/** Bytes that are text for the most part. */
class BytesDetector implements ValueDetector {
  readonly isUseful = true
  readonly readsBinary = true
  private readonly text: TextDetector

  constructor(context: Context, name: string) {
    this.text = new TextDetector(context, name)
  }

  mask(bytes: Buffer, start: number, end: number, isText: boolean, counts: Counts): Buffer | null {
    const isHex = isText && bytes[start] === 0x5c && bytes[start + 1] === 0x78
    const own = !isText
      ? bytes.subarray(start, end)
      : isHex
        ? Buffer.from(bytes.toString('latin1', start + 2, end), 'hex')
        : byteaOf(bytes.toString('utf8', start, end))
    if (own === null || !isMostlyPrintable(own)) return null
    const other = this.text.mask(own, 0, own.length, true, counts)
    if (other === null || other === TO_NULL || !isText) return other
    return Buffer.from(isHex ? `\\x${other.toString('hex')}` : escaped(other))
  }
}

/** As bytea_output = escape writes them. */
function escaped(bytes: Buffer): string {
  let text = ''
  for (const byte of bytes)
    if (byte === 0x5c) text += '\\\\'
    else if (byte >= 0x20 && byte < 0x7f) text += String.fromCharCode(byte)
    else text += `\\${byte.toString(8).padStart(3, '0')}`
  return text
}

/** Members whose names say more of their values, as names of columns do. */
const HINTED_MEMBERS_MAX = 256

class JsonDetector implements ValueDetector {
  readonly isUseful = true
  readonly readsBinary = true
  private readonly reader: Reader
  private readonly byMember = new Map<string, Reader>()

  constructor(
    private readonly context: Context,
    name: string,
  ) {
    this.reader = new Reader(context, name)
  }

  mask(bytes: Buffer, start: number, end: number, isText: boolean, counts: Counts): Buffer | null {
    // jsonb begins with its version.
    const from = !isText && bytes[start] === 1 ? start + 1 : start
    let edits: Edit[] | null = null
    let [keyStart, keyEnd] = [0, 0]
    for (let at = from; at < end; ) {
      const byte = bytes[at]!
      if (byte === 0x22) {
        const [stop, hasEscape] = stringEnd(bytes, at + 1, end)
        const isKey = isBeforeColon(bytes, stop + 1, end)
        const found = hasEscape
          ? this.escaped(bytes, at + 1, stop, counts)
          : this.readerOf(bytes, keyStart, keyEnd, isKey).read(bytes, at + 1, stop, counts)
        if (found !== null) {
          edits ??= []
          for (const edit of found)
            edits.push(hasEscape ? edit : { ...edit, text: writeJsonString(edit.text) })
        }
        ;[keyStart, keyEnd] = isKey ? [at + 1, stop] : [0, 0]
        at = stop + 1
      } else if (byte === 0x2d || (byte >= 0x30 && byte <= 0x39)) {
        let stop = at + 1
        while (stop < end && isNumberPart(bytes[stop]!)) stop++
        if (stop - at >= NUMBER_CHARACTERS_MIN) {
          const reader = this.readerOf(bytes, keyStart, keyEnd, false)
          const found = reader.read(bytes, at, stop, counts)
          if (found !== null) {
            const text = maskedFind(
              bytes.toString('latin1', at, stop),
              this.context.settings.action,
              this.context.key,
            )
            edits ??= []
            edits.push({ start: at, end: stop, detector: '', text: JSON.stringify(text) })
          }
        }
        at = stop
      } else at++
    }
    if (edits === null) return null
    return this.context.toNull ? TO_NULL : applied(bytes, start, end, edits)
  }

  /** Edits of a string with escapes in it, at the places where they are written. */
  private escaped(bytes: Buffer, start: number, end: number, counts: Counts): Edit[] | null {
    const reading = readJsonString(bytes, start, end)
    const found = this.reader.read(reading.bytes, 0, reading.bytes.length, counts)
    if (found === null) return null
    return found.map((edit) => ({
      start: reading.from[edit.start]!,
      end: reading.from[edit.end]!,
      detector: edit.detector,
      text: writeJsonString(edit.text),
    }))
  }

  /** By the member's name, where that says something. */
  private readerOf(bytes: Buffer, start: number, end: number, isKey: boolean): Reader {
    if (isKey || end - start < 3 || end - start > 64) return this.reader
    const name = bytes.toString('latin1', start, end)
    if (!HINTED_DETECTORS.test(name)) return this.reader
    let reader = this.byMember.get(name)
    if (reader === undefined) {
      reader = new Reader(this.context, name)
      if (this.byMember.size < HINTED_MEMBERS_MAX) this.byMember.set(name, reader)
    }
    return reader
  }
}

/** Shorter numbers are nobody's. */
const NUMBER_CHARACTERS_MIN = 9

function isNumberPart(byte: number): boolean {
  return (
    (byte >= 0x30 && byte <= 0x39) ||
    byte === 0x2e ||
    byte === 0x2b ||
    byte === 0x2d ||
    (byte | 0x20) === 0x65
  )
}

/** Where the string ends that is open at `at`, and whether it has escapes. */
function stringEnd(bytes: Buffer, at: number, end: number): [end: number, hasEscape: boolean] {
  let hasEscape = false
  let stop = at
  while (stop < end) {
    const byte = bytes[stop]!
    if (byte === 0x22) break
    if (byte === 0x5c) {
      hasEscape = true
      stop++
    }
    stop++
  }
  return [Math.min(stop, end), hasEscape]
}

function isBeforeColon(bytes: Buffer, at: number, end: number): boolean {
  let next = at
  while (next < end && bytes[next]! <= 0x20) next++
  return next < end && bytes[next] === 0x3a
}
