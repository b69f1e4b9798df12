/**
 * Masks a stream of bytes that a program reads, as it reads it: what detectors find is replaced whole, whatever packets, escape
 * sequences and characters of several bytes it is cut into. Whole lines go on at once; of a line that is not over yet, what
 * is there waits for the rest, for a bounded time and number of bytes. What is no text is passed on unchanged (`binary.ts`).
 * Refuses to change the length of anything else, and to know who reads it.
 */
import { isAmongText, TextOrNot } from './binary'
import { type Plain, plainOf } from './plain'
import type { Released, StreamFind, StreamMasking, TextMasker, TextMaskerLimits } from './types'

export const TEXT_MASKER_LIMITS: TextMaskerLimits = {
  lineBytesMax: 32 * 1024,
  findBytesMax: 4096,
  holdMicrosMax: 100_000,
  suspectMicrosMax: 5_000_000,
  contextBytesMax: 256,
}

const LINE_FEED = 0x0a
const NOTHING: Buffer = Buffer.alloc(0)
const NONE: Released = { raw: NOTHING, shown: NOTHING }
const KEY_BEGIN = /-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY(?: BLOCK)?-----/g
const KEY_PROBE = Buffer.from(`-----BEGIN PRIVATE KEY-----\n${'MIIE'.repeat(16)}\n`)
const KEY_BEGUN = /^.*-----BEGIN [A-Z\d ]*-----/
const KEY_END = /-----END [^-\n]*-----/
/** What stands in a private key: base64, headers, blank lines; the last line may go on. */
const KEY_LINES =
  /^(?:(?:[ \t]*[A-Za-z0-9+/=]{0,80}|[A-Za-z][A-Za-z-]*: [^\r\n]{0,200})\r?\n)*(?:(?:[ \t]*[A-Za-z0-9+/=]{0,80}|[A-Za-z][A-Za-z-]*:[^\r\n]{0,200}|-{1,5}[A-Z0-9 ]{0,40}-{0,4})\r?$)?/
/** Programs break base64 at so many characters or more. */
const BASE64_LINE = /^[A-Za-z0-9+/]{60,}\r?$/
const BASE64_REST = /^[A-Za-z0-9+/=]*\r?$/
/** What may go on: numbers in groups, and accounts; words as they are; not what ends in a mark behind which none does. */
const GROUPS = /(?:\+?[(\d][\d() .-]{3,}|[A-Z]{2}\d{2}[A-Z\d ]{0,40})$/
const WORD = /[@\d]|^[^\s]{8,}$|^-{1,5}$/
const MARKS = /[:>?#$%\])};!"']$/
const GROUPS_CHARACTERS = 64
/** A word that is longer is cut. */
const WORD_CHARACTERS = 4096

class Masker implements TextMasker {
  private held: Buffer = NOTHING
  /** The plain end of the line that was released last, unmasked, so that a find that began in it is masked from here on. */
  private context: Buffer = NOTHING
  private since = 0
  private isInKey = false
  private readonly kind = new TextOrNot()
  private readonly findsKeys: boolean

  constructor(
    private readonly masking: StreamMasking,
    private readonly counts: { add(detector: string): void },
    private readonly limits: TextMaskerLimits,
  ) {
    this.findsKeys =
      masking
        .findText(KEY_PROBE)
        ?.some(({ detector, isShown }) => detector === 'private-key' && !isShown) ?? false
  }

  get heldBytes(): number {
    return this.held.length
  }

  get isBinary(): boolean {
    return this.kind.isBinary
  }

  /** Twice where what is held looks like the beginning of something: then for longer. */
  get dueMicros(): number | null {
    if (this.held.length === 0) return null
    const { holdMicrosMax, suspectMicrosMax } = this.limits
    return this.since + (this.isSuspect ? suspectMicrosMax : holdMicrosMax)
  }
  private isSuspect = false

  push(bytes: Buffer, atMicros: number): Released {
    if (bytes.length === 0) return NONE
    this.kind.see(bytes)
    const wasEmpty = this.held.length === 0
    const all = wasEmpty ? bytes : Buffer.concat([this.held, bytes])
    if (this.kind.isBinary) {
      this.held = NOTHING
      return { raw: all, shown: all }
    }
    this.isSuspect = false
    const isLineOver = bytes.includes(LINE_FEED)
    if (!isLineOver && all.length <= this.limits.lineBytesMax) {
      if (wasEmpty) this.since = atMicros
      this.held = wasEmpty ? Buffer.from(bytes) : all
      return NONE
    }
    const out = this.upTo(all, plainOf(all), (plain) => this.safeEnd(plain))
    // What is left came, or began to be all there is, now.
    if (out.raw.length > 0 || wasEmpty) this.since = atMicros
    return out
  }

  flush(atMicros: number): Released {
    const all = this.held
    if (all.length === 0) return NONE
    if (atMicros >= this.since + this.limits.suspectMicrosMax) return this.end()
    const out = this.upTo(all, plainOf(all), (plain) =>
      Math.max(this.safeEnd(plain), suspectFrom(plain)),
    )
    // What is left now is only what may go on.
    this.isSuspect = this.held.length > 0
    if (out.raw.length > 0) this.since = atMicros
    return out
  }

  end(): Released {
    const all = this.held
    if (all.length === 0) return NONE
    this.held = NOTHING
    const plain = plainOf(all)
    return this.masked(all, plain, all.length, this.findsIn(plain.bytes))
  }

  /** Releases up to a place in the plain bytes, but nothing that a find goes on behind; the rest is held. */
  private upTo(all: Buffer, plain: Plain, safe: (plain: Plain) => number): Released {
    const { lineBytesMax } = this.limits
    let to = safe(plain)
    let finds: Finds = null
    if (to > 0) {
      finds = this.findsIn(plain.bytes)
      const before = this.context.length
      for (const { start, end } of finds ?? [])
        if (start - before < to && end - before > to) to = Math.max(0, start - before)
    }
    let release = Math.min(plain.at(to), plain.whole)
    if (all.length - release > 2 * lineBytesMax) {
      release = wholeEnd(all, plain.whole)
      finds ??= this.findsIn(plain.bytes)
    }
    this.held = release === all.length ? NOTHING : Buffer.from(all.subarray(release))
    if (release === 0) return NONE
    return this.masked(all, plain, release, finds)
  }

  /** Up to where in the plain bytes no find can reach into what is still to come. */
  private safeEnd(plain: Plain): number {
    const { bytes } = plain
    const { findBytesMax, lineBytesMax } = this.limits
    let end = bytes.lastIndexOf(LINE_FEED) + 1
    // A line without an end: what stands far enough before its end is looked at with all that may belong to it.
    if (bytes.length - end > lineBytesMax) return wholeEnd(bytes, bytes.length - findBytesMax)
    if (end === 0) return 0
    const from = Math.max(0, end - 2 * lineBytesMax)
    const text = bytes.toString('latin1', from, end)
    const key = unfinishedKey(text)
    if (key >= 0) end = Math.min(end, from + key)
    return Math.min(end, base64From(bytes, from))
  }

  private findsIn(bytes: Buffer): Finds {
    const { context } = this
    const seen = context.length === 0 ? bytes : Buffer.concat([context, bytes])
    const finds = this.masking.findText(seen)
    return finds?.filter(({ start, end }) => isAmongText(seen, start, end)) ?? null
  }

  /** The first bytes of the stream, with what is found in them replaced. */
  private masked(all: Buffer, plain: Plain, release: number, finds: Finds): Released {
    const raw = all.subarray(0, release)
    const own = plain.bytes.subarray(0, plainCount(plain, release))
    const before = this.context.length
    const parts: Buffer[] = []
    let at = 0
    const replace = (start: number, end: number, text: string) => {
      const [from, to] = [plain.at(start), Math.min(release, plain.at(end - 1) + 1)]
      parts.push(all.subarray(at, from), Buffer.from(text), sequencesIn(all, plain, start, end))
      at = to
    }
    let first = 0
    if (this.isInKey) {
      // With what is known of its line already.
      const known = this.context.toString('latin1').replace(KEY_BEGUN, '')
      const text = known + own.toString('latin1')
      const end = KEY_END.exec(text)
      const body = KEY_LINES.exec(text)![0].length
      // A key that was cut off ends where something else begins.
      const until = (end && end.index <= body ? end.index + end[0].length : body) - known.length
      this.isInKey = until === own.length && !end
      if (until > 0) replace(0, until, '')
      first = Math.max(0, until)
    }
    for (const { start, end, text, detector, isShown } of finds ?? []) {
      const [from, to] = [start - before, Math.min(end - before, own.length)]
      if (to <= first || from >= own.length) continue
      this.counts.add(detector)
      if (isShown) continue
      if (from < first) replace(first, to, first > 0 ? '' : '*'.repeat(to - first))
      else replace(from, to, text)
      first = to
    }
    if (!this.isInKey && this.findsKeys) {
      const key = unfinishedKey(own.toString('latin1'))
      this.isInKey = key >= 0
      // Of one of which little is there yet detectors know nothing.
      if (key >= first) {
        this.counts.add('private-key')
        replace(key, own.length, '[masked]')
      }
    }
    this.remember(own)
    if (parts.length === 0) return { raw, shown: raw }
    parts.push(raw.subarray(at))
    return { raw, shown: Buffer.concat(parts) }
  }

  private remember(own: Buffer): void {
    const feed = own.lastIndexOf(LINE_FEED)
    const line = feed >= 0 ? own.subarray(feed + 1) : Buffer.concat([this.context, own])
    this.context =
      line.length === 0 ? NOTHING : Buffer.from(line.subarray(-this.limits.contextBytesMax))
  }
}

type Finds = readonly StreamFind[] | null

/** Where a private key begins that does not end, or -1. */
function unfinishedKey(text: string): number {
  if (!text.includes('-----BEGIN ')) return -1
  let last = -1
  for (const match of text.matchAll(KEY_BEGIN)) last = match.index
  return last >= 0 && text.indexOf('-----END ', last) < 0 ? last : -1
}

/** Where the lines of base64 begin that the bytes end in, and that may go on; or their end. */
function base64From(bytes: Buffer, from: number): number {
  let begin = bytes.lastIndexOf(LINE_FEED) + 1
  if (!BASE64_REST.test(bytes.toString('latin1', begin))) return begin
  for (let isLast = true; begin > from; isLast = false) {
    const before = begin < 2 ? 0 : bytes.lastIndexOf(LINE_FEED, begin - 2) + 1
    const line = bytes.toString('latin1', before, begin - 1)
    if (!BASE64_LINE.test(line)) return isLast ? bytes.lastIndexOf(LINE_FEED) + 1 : begin
    begin = before
  }
  return begin
}

/** Where at the end something begins that may go on. */
function suspectFrom({ bytes }: Plain): number {
  const from = Math.max(0, bytes.length - WORD_CHARACTERS)
  const text = bytes.toString('latin1', from)
  if (MARKS.test(text)) return bytes.length
  const word = lastBlank(text) + 1
  const groups = GROUPS.exec(text.slice(-GROUPS_CHARACTERS))
  const at = Math.min(
    WORD.test(text.slice(word)) ? word : text.length,
    groups ? Math.max(0, text.length - GROUPS_CHARACTERS) + groups.index : text.length,
  )
  return wholeEnd(bytes, from + at)
}

function lastBlank(text: string): number {
  let at = text.length - 1
  while (at >= 0 && text.charCodeAt(at) > 0x20) at--
  return at
}

/** Not within a character of UTF-8. */
function wholeEnd(bytes: Buffer, at: number): number {
  for (let i = at; i > 0 && i > at - 4; i--) {
    const byte = bytes[i - 1]!
    if (byte < 0x80) return at
    if (byte >= 0xc0) {
      const length = byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : 2
      return i - 1 + length > at ? i - 1 : at
    }
  }
  return at
}

/** How many plain bytes stand before this place in the stream. */
function plainCount(plain: Plain, release: number): number {
  let [low, high] = [0, plain.bytes.length]
  while (low < high) {
    const middle = (low + high) >>> 1
    if (plain.at(middle) < release) low = middle + 1
    else high = middle
  }
  return low
}

/** Escape sequences between plain bytes that are replaced: they stay. */
function sequencesIn(all: Buffer, plain: Plain, start: number, end: number): Buffer {
  const parts: Buffer[] = []
  if (plain.at(end - 1) - plain.at(start) === end - 1 - start) return NOTHING
  for (let i = start + 1; i < end; i++)
    if (plain.at(i) > plain.at(i - 1) + 1)
      parts.push(all.subarray(plain.at(i - 1) + 1, plain.at(i)))
  return Buffer.concat(parts)
}

export function createTextMasker(
  masking: StreamMasking,
  counts: { add(detector: string): void },
  limits: Partial<TextMaskerLimits> = {},
): TextMasker {
  return new Masker(masking, counts, { ...TEXT_MASKER_LIMITS, ...limits })
}
