/**
 * Follows the data of a COPY, text, CSV or binary (documentation: "COPY", file formats), and puts other values in the place
 * of those that are masked. Rows may be cut over messages anywhere; what is not a whole row is kept.
 * Refuses to pass on what it can't follow: a row with other columns than foreseen has all of them masked.
 */
import { CustodyError } from '@custody/kit'
import type { Rewritten } from '../../masks'
import type { ResultPlan } from './answers'

export interface CopyFormat {
  format: 'text' | 'csv' | 'binary'
  delimiter: string
  null: string
  quote: string
  escape: string
  header: boolean
}

export const TEXT_FORMAT: CopyFormat = {
  format: 'text',
  delimiter: '\t',
  null: '\\N',
  quote: '"',
  escape: '"',
  header: false,
}

const SIGNATURE_BYTES = 11
const HEADER_BYTES = 19
const NOTHING = Buffer.alloc(0)
const BACKSLASH = 0x5c
const NEWLINE = 0x0a
const RETURN = 0x0d

export class CopyMasker {
  private tail: Buffer = NOTHING
  private isHeaderDone: boolean
  private isEnded = false
  private readonly delimiter: number
  private readonly quote: number
  private readonly mark: number
  private readonly null: Buffer
  /** Where the fields of the row end. */
  private readonly ends: number[] = []

  constructor(
    private readonly format: CopyFormat,
    private readonly plan: ResultPlan,
    /** A row may be no longer. */
    private readonly rowBytesMax: number,
  ) {
    this.isHeaderDone = format.format !== 'binary' && !format.header
    this.delimiter = format.delimiter.charCodeAt(0)
    this.quote = format.quote.charCodeAt(0)
    this.mark = format.escape.charCodeAt(0)
    this.null = Buffer.from(format.null)
  }

  /** Rows left out. */
  get dropped(): number {
    return this.plan.dropped
  }

  /** More data; writes what may go on. Throws where a row is too long or not of the format. */
  push(bytes: Buffer, start: number, end: number, out: Rewritten): void {
    let [data, at, stop] = [bytes, start, end]
    if (this.tail.length > 0) {
      data = Buffer.concat([this.tail, bytes.subarray(start, end)])
      ;[at, stop] = [0, data.length]
    }
    const used =
      this.format.format === 'binary'
        ? this.binary(data, at, stop, out)
        : this.lines(data, at, stop, out)
    this.tail = used === stop ? NOTHING : Buffer.from(data.subarray(used, stop))
    if (this.tail.length > this.rowBytesMax)
      throw new CustodyError(
        'CUSTODY-MASK-004',
        `a row of a COPY with masked columns has more than ${this.rowBytesMax} bytes`,
      )
  }

  /** At its end: a last row without its line's end. */
  end(out: Rewritten): void {
    if (this.format.format !== 'binary' && this.tail.length > 0)
      this.line(this.tail, 0, this.tail.length, out)
    this.tail = NOTHING
  }

  private lines(data: Buffer, start: number, stop: number, out: Rewritten): number {
    let at = start
    for (;;) {
      const end =
        this.format.format === 'csv' ? this.csvEnd(data, at, stop) : textEnd(data, at, stop)
      if (end < 0) return at
      this.line(data, at, end, out)
      at = end
    }
  }

  /** Behind the line's end that is in no quotes, or -1. */
  private csvEnd(data: Buffer, at: number, stop: number): number {
    const { quote, mark } = this
    let quoted = false
    for (let i = at; i < stop; i++) {
      const c = data[i]!
      if (quoted && c === mark && mark !== quote && i + 1 < stop) i++
      else if (c === quote) quoted = !quoted
      else if (c === NEWLINE && !quoted) return i + 1
    }
    return -1
  }

  /** One row with its line's end. */
  private line(line: Buffer, start: number, stop: number, out: Rewritten): void {
    if (!this.isHeaderDone) {
      this.isHeaderDone = true
      out.append(line, start, stop)
      return
    }
    let end = stop
    if (end > start && line[end - 1] === NEWLINE) end--
    if (end > start && line[end - 1] === RETURN) end--
    // The old end-of-data mark.
    if (end === start + 2 && line[start] === BACKSLASH && line[start + 1] === 0x2e) {
      out.append(line, start, stop)
      return
    }
    const isText = this.format.format === 'text'
    const head = out.length
    const { ends } = this
    ends.length = 0
    for (let at = start - 1; at < end; ) {
      at = isText ? this.textFieldEnd(line, at + 1, end) : this.csvFieldEnd(line, at + 1, end)
      ends.push(at)
    }
    const count = ends.length
    const isForeseen = count === this.plan.fields.length
    let copied = start
    let from = start
    for (let i = 0; i < count; i++) {
      const to = ends[i]!
      if ((!isForeseen || this.plan.looksAt(i)) && !this.isNull(line, from, to)) {
        let other: Buffer | null | undefined | 'drop' = null
        if (isForeseen) {
          const isPlain = isText
            ? !has(line, from, to, BACKSLASH)
            : !has(line, from, to, this.quote)
          if (isPlain) other = this.plan.value(i, line, from, to)
          else {
            const value = Buffer.from(
              isText
                ? unescaped(line.toString('latin1', from, to))
                : this.unquoted(line.toString('latin1', from, to)),
              'latin1',
            )
            other = this.plan.value(i, value, 0, value.length)
          }
        }
        if (other === 'drop') {
          out.length = head
          return
        }
        if (other !== undefined) {
          out.append(line, copied, from)
          this.write(other, isText, out)
          copied = to
        }
      }
      from = to + 1
    }
    out.append(line, copied, stop)
  }

  private write(other: Buffer | null, isText: boolean, out: Rewritten): void {
    if (other === null || this.isPlain(other, isText)) {
      const bytes = other ?? this.null
      out.append(bytes, 0, bytes.length)
      return
    }
    const text = other.toString('latin1')
    const written = Buffer.from(isText ? this.textQuoted(text) : this.csvQuoted(text), 'latin1')
    out.append(written, 0, written.length)
  }

  /** It stands as it is. */
  private isPlain(value: Buffer, isText: boolean): boolean {
    for (let i = 0; i < value.length; i++) {
      const c = value[i]!
      if (c < 0x20 || c === BACKSLASH || c === this.delimiter || (!isText && c === this.quote))
        return false
    }
    return !this.isNull(value, 0, value.length)
  }

  private isNull(line: Buffer, from: number, to: number): boolean {
    return (
      to - from === this.null.length &&
      (to === from || line.compare(this.null, 0, this.null.length, from, to) === 0)
    )
  }

  private textFieldEnd(line: Buffer, from: number, end: number): number {
    const { delimiter } = this
    for (let i = from; i < end; i++) {
      const c = line[i]!
      if (c === BACKSLASH) i++
      else if (c === delimiter) return i
    }
    return end
  }

  private csvFieldEnd(line: Buffer, from: number, end: number): number {
    const { delimiter, quote, mark } = this
    let quoted = false
    for (let i = from; i < end; i++) {
      const c = line[i]!
      if (quoted && c === mark && (line[i + 1] === quote || line[i + 1] === mark) && i + 1 < end)
        i++
      else if (c === quote) quoted = !quoted
      else if (c === delimiter && !quoted) return i
    }
    return end
  }

  /** A field's value; bytes are taken one character each, since every encoding followed here has ASCII as ASCII. */
  private unquoted(raw: string): string {
    const { quote, escape: mark } = this.format
    let value = ''
    let quoted = false
    for (let i = 0; i < raw.length; i++) {
      const c = raw[i]!
      if (quoted && c === mark && (raw[i + 1] === quote || raw[i + 1] === mark)) value += raw[++i]
      else if (c === quote) quoted = !quoted
      else value += c
    }
    return value
  }

  private textQuoted(value: string): string {
    if (!TEXT_SPECIAL.test(value) && !value.includes(this.format.delimiter)) return value
    const { delimiter } = this.format
    return value
      .replace(/[\\\n\r\t\b\f\v]/g, (c) => ESCAPES[c]!)
      .replaceAll(delimiter, (c) => (c === '\t' ? '\\t' : `\\${c}`))
  }

  private csvQuoted(value: string): string {
    const { delimiter, quote, escape: mark } = this.format
    const mustQuote =
      value === this.format.null ||
      value === '\\.' ||
      value.includes(delimiter) ||
      value.includes(quote) ||
      /[\r\n]/.test(value)
    if (!mustQuote) return value
    let text = value
    if (mark !== quote) text = text.replaceAll(mark, mark + mark)
    return quote + text.replaceAll(quote, mark + quote) + quote
  }

  /** Signature, flags:i32, extension:i32, then count:i16 (length:i32 bytes)*, and -1 at the end. */
  private binary(data: Buffer, start: number, stop: number, out: Rewritten): number {
    let at = start
    if (!this.isHeaderDone) {
      if (stop - at < HEADER_BYTES) return at
      const extension = data.readInt32BE(at + SIGNATURE_BYTES + 4)
      if (stop - at < HEADER_BYTES + extension) return at
      out.append(data, at, at + HEADER_BYTES + extension)
      at += HEADER_BYTES + extension
      this.isHeaderDone = true
    }
    while (stop - at >= 2) {
      const count = data.readInt16BE(at)
      if (count < 0 || this.isEnded) {
        this.isEnded = true
        out.append(data, at, at + 2)
        at += 2
        continue
      }
      const next = this.binaryRow(data, at, stop, count, out)
      if (next < 0) break
      at = next
    }
    return at
  }

  private binaryRow(
    data: Buffer,
    start: number,
    stop: number,
    count: number,
    out: Rewritten,
  ): number {
    let end = start + 2
    for (let i = 0; i < count; i++) {
      if (stop - end < 4) return -1
      end += 4 + Math.max(0, data.readInt32BE(end))
      if (end > stop) return -1
    }
    const head = out.length
    const isForeseen = count === this.plan.fields.length
    let copied = start
    let at = start + 2
    for (let i = 0; i < count; i++) {
      const length = data.readInt32BE(at)
      const next = at + 4 + Math.max(0, length)
      const other =
        length < 0 ? undefined : isForeseen ? this.plan.value(i, data, at + 4, next) : null
      if (other === 'drop') {
        out.length = head
        return end
      }
      if (other !== undefined) {
        out.append(data, copied, at)
        out.reserve(4)
        out.bytes.writeInt32BE(other === null ? -1 : other.length, out.length)
        out.length += 4
        if (other !== null) out.append(other, 0, other.length)
        copied = next
      }
      at = next
    }
    out.append(data, copied, end)
    return end
  }
}

const TEXT_SPECIAL = /[\\\n\r\t\b\f\v]/

function has(bytes: Buffer, from: number, to: number, byte: number): boolean {
  for (let i = from; i < to; i++) if (bytes[i] === byte) return true
  return false
}

const ESCAPES: Record<string, string> = {
  '\\': '\\\\',
  '\n': '\\n',
  '\r': '\\r',
  '\t': '\\t',
  '\b': '\\b',
  '\f': '\\f',
  '\v': '\\v',
}

/** Behind the line's end, or -1. A backslash before it makes it part of a value. */
function textEnd(data: Buffer, at: number, stop: number): number {
  for (
    let end = data.indexOf(NEWLINE, at);
    end >= 0 && end < stop;
    end = data.indexOf(NEWLINE, end + 1)
  ) {
    let backslashes = 0
    while (end - 1 - backslashes >= at && data[end - 1 - backslashes] === BACKSLASH) backslashes++
    if (backslashes % 2 === 0) return end + 1
  }
  return -1
}

function unescaped(raw: string): string {
  if (!raw.includes('\\')) return raw
  return raw.replace(/\\(x[0-9a-fA-F]{1,2}|[0-7]{1,3}|[\s\S])/g, (_, c: string) => {
    if (/^x[0-9a-fA-F]/.test(c)) return String.fromCharCode(Number.parseInt(c.slice(1), 16))
    if (/^[0-7]/.test(c)) return String.fromCharCode(Number.parseInt(c, 8) & 0xff)
    return UNESCAPES[c] ?? c
  })
}

const UNESCAPES: Record<string, string> = {
  n: '\n',
  r: '\r',
  t: '\t',
  b: '\b',
  f: '\f',
  v: '\v',
}
