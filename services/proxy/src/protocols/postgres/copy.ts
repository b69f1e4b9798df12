/**
 * Follows the data of a COPY, text, CSV or binary (documentation: "COPY", file formats), and puts other values in the place
 * of those that are masked. Rows may be cut over messages anywhere; what is not a whole row is kept.
 * Refuses to pass on what it can't follow: a row with other columns than foreseen has all of them masked.
 */
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

export class CopyMasker {
  private tail: Buffer = Buffer.alloc(0)
  private isHeaderDone: boolean
  private isEnded = false

  constructor(
    private readonly format: CopyFormat,
    private readonly plan: ResultPlan,
    /** A row may be no longer. */
    private readonly rowBytesMax: number,
  ) {
    this.isHeaderDone = format.format !== 'binary' && !format.header
  }

  /** Rows left out. */
  get dropped(): number {
    return this.plan.dropped
  }

  /** More data; gives what may go on. Throws where a row is too long or not of the format. */
  push(bytes: Buffer): Buffer {
    const data = this.tail.length === 0 ? bytes : Buffer.concat([this.tail, bytes])
    const parts: Buffer[] = []
    const used =
      this.format.format === 'binary' ? this.binary(data, parts) : this.lines(data, parts)
    this.tail = used === data.length ? Buffer.alloc(0) : Buffer.from(data.subarray(used))
    if (this.tail.length > this.rowBytesMax)
      throw new Error(`a row of the COPY has more than ${this.rowBytesMax} bytes`)
    return parts.length === 1 ? parts[0]! : Buffer.concat(parts)
  }

  /** At its end: a last row without its line's end. */
  end(): Buffer {
    if (this.tail.length === 0 || this.format.format === 'binary') {
      this.tail = Buffer.alloc(0)
      return this.tail
    }
    const parts: Buffer[] = []
    this.line(this.tail, parts)
    this.tail = Buffer.alloc(0)
    return Buffer.concat(parts)
  }

  private lines(data: Buffer, parts: Buffer[]): number {
    let at = 0
    for (;;) {
      const end = this.format.format === 'csv' ? this.csvEnd(data, at) : textEnd(data, at)
      if (end < 0) return at
      this.line(data.subarray(at, end), parts)
      at = end
    }
  }

  /** Behind the line's end that is in no quotes, or -1. */
  private csvEnd(data: Buffer, at: number): number {
    const quote = this.format.quote.charCodeAt(0)
    const mark = this.format.escape.charCodeAt(0)
    let quoted = false
    for (let i = at; i < data.length; i++) {
      const c = data[i]!
      if (quoted && c === mark && mark !== quote && i + 1 < data.length) i++
      else if (c === quote) quoted = !quoted
      else if (c === 0x0a && !quoted) return i + 1
    }
    return -1
  }

  /** One row with its line's end. */
  private line(line: Buffer, parts: Buffer[]): void {
    if (!this.isHeaderDone) {
      this.isHeaderDone = true
      parts.push(Buffer.from(line))
      return
    }
    let end = line.length
    if (end > 0 && line[end - 1] === 0x0a) end--
    if (end > 0 && line[end - 1] === 0x0d) end--
    const isText = this.format.format === 'text'
    // The old end-of-data mark.
    if (end === 2 && line[0] === 0x5c && line[1] === 0x2e) {
      parts.push(Buffer.from(line))
      return
    }
    const fields = isText ? this.textFields(line, end) : this.csvFields(line, end)
    const { plan } = this
    const isForeseen = fields.length === plan.fields.length
    let changed = false
    const others: string[] = []
    for (const [i, { raw, value }] of fields.entries()) {
      if (value === null) {
        others.push(raw)
        continue
      }
      const other = isForeseen ? plan.value(i, Buffer.from(value, 'latin1')) : null
      if (other === 'drop') return
      if (other === undefined) others.push(raw)
      else {
        changed = true
        others.push(
          other === null
            ? this.format.null
            : isText
              ? this.textQuoted(other.toString('latin1'))
              : this.csvQuoted(other.toString('latin1')),
        )
      }
    }
    parts.push(
      changed
        ? Buffer.concat([
            Buffer.from(others.join(this.format.delimiter), 'latin1'),
            line.subarray(end),
          ])
        : Buffer.from(line),
    )
  }

  // Bytes are taken one character each: every client encoding followed here has ASCII as ASCII.
  private textFields(line: Buffer, end: number): { raw: string; value: string | null }[] {
    const text = line.toString('latin1', 0, end)
    const fields: { raw: string; value: string | null }[] = []
    const { delimiter } = this.format
    let from = 0
    for (let i = 0; ; i++) {
      if (i < text.length && text[i] === '\\') {
        i++
        continue
      }
      if (i >= text.length || text[i] === delimiter) {
        const raw = text.slice(from, i)
        fields.push({ raw, value: raw === this.format.null ? null : unescaped(raw) })
        if (i >= text.length) return fields
        from = i + 1
      }
    }
  }

  private csvFields(line: Buffer, end: number): { raw: string; value: string | null }[] {
    const text = line.toString('latin1', 0, end)
    const fields: { raw: string; value: string | null }[] = []
    const { delimiter, quote, escape: mark } = this.format
    let raw = ''
    let value = ''
    let quoted = false
    let wasQuoted = false
    for (let i = 0; ; i++) {
      const c = text[i]
      if (c === undefined || (c === delimiter && !quoted)) {
        fields.push({ raw, value: !wasQuoted && raw === this.format.null ? null : value })
        if (c === undefined) return fields
        raw = ''
        value = ''
        wasQuoted = false
        continue
      }
      raw += c
      if (quoted && c === mark && (text[i + 1] === quote || text[i + 1] === mark)) {
        i++
        raw += text[i]
        value += text[i]
      } else if (c === quote) {
        quoted = !quoted
        wasQuoted = true
      } else value += c
    }
  }

  private textQuoted(value: string): string {
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
  private binary(data: Buffer, parts: Buffer[]): number {
    let at = 0
    if (!this.isHeaderDone) {
      if (data.length < HEADER_BYTES) return 0
      const extension = data.readInt32BE(SIGNATURE_BYTES + 4)
      if (data.length < HEADER_BYTES + extension) return 0
      at = HEADER_BYTES + extension
      parts.push(Buffer.from(data.subarray(0, at)))
      this.isHeaderDone = true
    }
    while (data.length - at >= 2) {
      const count = data.readInt16BE(at)
      if (count < 0 || this.isEnded) {
        this.isEnded = true
        parts.push(Buffer.from(data.subarray(at, at + 2)))
        at += 2
        continue
      }
      const next = this.binaryRow(data, at, count, parts)
      if (next < 0) break
      at = next
    }
    return at
  }

  private binaryRow(data: Buffer, start: number, count: number, parts: Buffer[]): number {
    let at = start + 2
    for (let i = 0; i < count; i++) {
      if (data.length - at < 4) return -1
      const length = data.readInt32BE(at)
      at += 4 + Math.max(0, length)
      if (at > data.length) return -1
    }
    const end = at
    const row: Buffer[] = [data.subarray(start, start + 2)]
    const isForeseen = count === this.plan.fields.length
    at = start + 2
    for (let i = 0; i < count; i++) {
      const length = data.readInt32BE(at)
      const stop = at + 4 + Math.max(0, length)
      const other =
        length < 0
          ? undefined
          : isForeseen
            ? this.plan.value(i, Buffer.from(data.subarray(at + 4, stop)))
            : null
      if (other === 'drop') return end
      if (other === undefined) row.push(data.subarray(at, stop))
      else {
        const size = Buffer.alloc(4)
        size.writeInt32BE(other === null ? -1 : other.length)
        row.push(size, other ?? Buffer.alloc(0))
      }
      at = stop
    }
    parts.push(Buffer.concat(row))
    return end
  }
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
function textEnd(data: Buffer, at: number): number {
  for (let end = data.indexOf(0x0a, at); end >= 0; end = data.indexOf(0x0a, end + 1)) {
    let backslashes = 0
    while (end - 1 - backslashes >= at && data[end - 1 - backslashes] === 0x5c) backslashes++
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
