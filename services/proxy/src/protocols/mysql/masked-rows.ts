/**
 * Rewrites rows as the client, the record and everything behind it will have them: values of masked columns replaced by others
 * of their type, values of others looked into, rows left out. Both protocols; bytes in, bytes out; owns no socket.
 * Refuses a row that has not the columns that were described: it is no row that anybody may see.
 */
import { masked, REDACTED, TO_NULL, type ValueDetector } from '@custody/masking'
import {
  charsetOf,
  decodeText,
  decodeValue,
  encodeText,
  encodeValue,
  isAsciiCharset,
  isUtf8Charset,
  kindOf,
  lenencString,
  RowPlaces,
  type ValueKind,
  type ValueType,
} from '@custody/mysql-values'
import { type ColumnMask, type Counter, DETECTOR_RULE, type MaskCounts, put } from '../../masks'
import type { RowPlan } from './rows'

/** How one column of a result is carried, and what becomes of its values. */
export interface FieldPlan {
  mask: ColumnMask | null
  detector: ValueDetector | null
  /** `schema.relation.column`, or the name in the answer. */
  label: string | null
  type: ValueType
  /** Otherwise made of the text; the same where nothing changes. */
  rewrite: ((text: string) => string) | null
}

/** The value on the wire, length and all; null: NULL; undefined: it stays. */
type Rewriter = (bytes: Buffer, start: number, end: number) => Buffer | null | undefined

const CONSTANT = new Set(['redact', 'null', 'drop-row'])
const REDACT = { action: 'redact' } as const
const NULL_MARK = 0xfb
const EMPTY = Buffer.alloc(0)

/** The plan for all rows of one result. */
export class MaskedRows implements RowPlan {
  private readonly rewriters: (Rewriter | null)[]
  private readonly drops: boolean
  private readonly places: RowPlaces
  /** The row that is written; used again for the next one. */
  private out: Buffer = EMPTY

  constructor(
    readonly fields: readonly FieldPlan[],
    readonly isBinary: boolean,
    private readonly counts: MaskCounts,
    private readonly key: Buffer,
    private readonly detectorAction: string,
  ) {
    this.places = new RowPlaces(
      fields.map(({ type }) => type.type),
      isBinary,
    )
    this.rewriters = fields.map((field) => this.rewriterOf(field))
    this.drops = fields.some(({ mask }) => dropsRows(mask))
  }

  /** Nothing of any row is looked at. */
  get isIdle(): boolean {
    return this.rewriters.every((one) => one === null)
  }

  /**
   * A row's payload: null where it stays as it is, an empty one where it is left out, otherwise as the client has it, good until
   * the next row.
   */
  row(bytes: Buffer, at: number, end: number): Buffer | null {
    const { rewriters, places, isBinary } = this
    places.read(bytes, at, end)
    let length = -1
    /** Of the row, copied so far. */
    let copied = at
    /** Where the value begins, with what says its length. */
    let whole = isBinary ? at + 1 + ((rewriters.length + 9) >> 3) : at
    for (let i = 0; i < rewriters.length; i++) {
      const first = whole
      whole = places.ends[i]!
      const start = places.starts[i]!
      const rewriter = rewriters[i]!
      if (start < 0 || rewriter === null) continue
      if (this.drops && this.isDroppedBy(i)) return EMPTY
      const other = rewriter(bytes, start, whole)
      if (other === undefined) continue
      if (length < 0) length = 0
      const size = other === null ? (isBinary ? 0 : 1) : other.length
      this.reserve(length, first - copied + size)
      put(bytes, copied, first, this.out, length)
      length += first - copied
      if (other !== null) put(other, 0, size, this.out, length)
      else if (isBinary) this.out[1 + ((i + 2) >> 3)]! |= 1 << ((i + 2) & 7)
      else this.out[length] = NULL_MARK
      length += size
      copied = whole
    }
    if (length < 0) return null
    this.reserve(length, end - copied)
    put(bytes, copied, end, this.out, length)
    return this.out.subarray(0, length + end - copied)
  }

  private reserve(length: number, more: number): void {
    if (length + more <= this.out.length) return
    const larger = Buffer.allocUnsafe((length + more) * 2)
    this.out.copy(larger, 0, 0, length)
    this.out = larger
  }

  /** Its row is left out for a value of this column, and counted. */
  private isDroppedBy(i: number): boolean {
    const { mask } = this.fields[i]!
    if (!dropsRows(mask)) return false
    this.counterOf(mask).count++
    return true
  }

  private counterOf({ rule, column, spec }: ColumnMask, action: string = spec.action): Counter {
    return this.counts.counter(rule, column, null, action)
  }

  private rewriterOf(field: FieldPlan): Rewriter | null {
    const { mask, detector, rewrite, type } = field
    const { isBinary } = this
    if (mask !== null && !mask.revealed) return this.masking(field, mask)
    if (rewrite !== null)
      return (bytes, start, end) => {
        const text = decodeValue(bytes.subarray(start, end), type, isBinary)
        const other = rewrite(text)
        return other === text ? undefined : (encodeValue(other, type, isBinary) ?? redacted(type))
      }
    if (mask !== null) {
      const counter = this.counterOf(mask, 'reveal')
      return () => {
        counter.count++
        return undefined
      }
    }
    return detector === null ? null : this.detecting(field, detector)
  }

  private detecting({ type, label }: FieldPlan, detector: ValueDetector): Rewriter {
    const { isBinary } = this
    const found = {
      add: (name: string) => this.counts.add(DETECTOR_RULE, label, name, this.detectorAction),
    }
    const kind = kindOf(type)
    const raw = kind === 'bytes'
    if (raw ? detector.readsBinary : isReadAsItIs(type, kind, isBinary))
      return (bytes, start, end) => {
        const other = detector.mask(bytes, start, end, !raw, found)
        if (other === null) return undefined
        return other === TO_NULL ? null : lenencString(other)
      }
    // What is carried as bytes of its own is looked into as text, and put back as what it is.
    return (bytes, start, end) => {
      const text = Buffer.from(decodeValue(bytes.subarray(start, end), type, isBinary))
      const other = detector.mask(text, 0, text.length, true, found)
      if (other === null) return undefined
      return other === TO_NULL ? null : encodeValue(other.toString(), type, isBinary)
    }
  }

  private masking(field: FieldPlan, mask: ColumnMask): Rewriter {
    const { type } = field
    const { isBinary, key } = this
    const counter = this.counterOf(mask)
    const kind = { kind: kindOf(type), isArray: false }
    const spec = isReadable(type, kind.kind) ? mask.spec : REDACT
    if (CONSTANT.has(spec.action)) {
      const constant = this.encoded(masked('', kind, spec, key), type, kind.kind)
      return () => {
        counter.count++
        return constant
      }
    }
    return (bytes, start, end) => {
      counter.count++
      const value = bytes.subarray(start, end)
      const text = kind.kind === 'bytes' ? hexOf(value) : decodeValue(value, type, isBinary)
      return this.encoded(masked(text, kind, spec, key), type, kind.kind)
    }
  }

  private encoded(text: string | null, type: ValueType, kind: ValueKind): Buffer | null {
    if (text === null) return null
    if (kind === 'bytes') return lenencString(bytesOf(text))
    return encodeValue(text, type, this.isBinary) ?? (kind === 'text' ? redacted(type) : null)
  }
}

function dropsRows(mask: ColumnMask | null): mask is ColumnMask {
  return mask?.spec.action === 'drop-row' && !mask.revealed
}

/** Whether detectors can read the value's bytes where they stand. */
function isReadAsItIs(type: ValueType, kind: ValueKind, isBinary: boolean): boolean {
  if (kind === 'json') return true
  if (kind === 'text') {
    const charset = charsetOf(type.collation)
    return charset !== null && isAsciiCharset(charset)
  }
  if (kind === 'decimal') return true
  return kind !== 'other' && kind !== 'bytes' && !isBinary
}

/** Whether there is text of which a part could be kept. */
function isReadable(type: ValueType, kind: ValueKind): boolean {
  if (kind !== 'text') return true
  const charset = charsetOf(type.collation)
  return (
    charset !== null && (isUtf8Charset(charset) || decodeText(Buffer.from('ÿ'), charset) !== null)
  )
}

/** In its character set; NULL where that has no such letters. */
function redacted(type: ValueType): Buffer | null {
  const bytes = encodeText(REDACTED, charsetOf(type.collation))
  return bytes && lenencString(bytes)
}

/** As masking writes bytes. */
function hexOf(bytes: Buffer): string {
  return `\\x${bytes.toString('hex')}`
}

function bytesOf(text: string): Buffer {
  return text.startsWith('\\x') ? Buffer.from(text.slice(2), 'hex') : Buffer.from(text)
}
