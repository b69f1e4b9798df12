/**
 * Rewrites answers as the client, the record and everything behind it will have them: values of masked columns replaced,
 * values of others looked into, rows left out. Bytes in, bytes out; owns no socket.
 * Refuses a row that doesn't have the columns that were described: all of it is taken for what can't be proven.
 */
import { masked, TO_NULL, type ValueDetector, type ValueType } from '@custody/masking'
import { decodeValue, encodeValue } from '@custody/postgres-values'
import {
  type ColumnMask,
  type Counter,
  DETECTOR_RULE,
  type MaskCounts,
  put,
  type Rewritten,
} from '../../masks'
import { Backend, message } from './wire'

/** How one column of a result is carried, and what becomes of its values. */
export interface FieldPlan {
  mask: ColumnMask | null
  detector: ValueDetector | null
  /** `schema.relation.column`, or the name in the answer. */
  label: string | null
  type: ValueType
  /** A number that values of it are decoded and encoded by. */
  oid: number
  isBinary: boolean
  /** Otherwise made of the text; the same where nothing changes. */
  rewrite: ((text: string) => string) | null
}

type Rewriter = (bytes: Buffer, start: number, end: number) => Buffer | null | undefined

/** Values that come to the same whatever they are. */
const CONSTANT = new Set(['redact', 'null', 'drop-row'])
const NULL = -1

/** The plan for all rows of one result. */
export class ResultPlan {
  private readonly rewriters: (Rewriter | null)[]
  private readonly drops: boolean
  /** Rows left out since the last command ended. */
  dropped = 0

  constructor(
    readonly fields: readonly FieldPlan[],
    private readonly counts: MaskCounts,
    private readonly key: Buffer,
    private readonly detectorAction: string,
    /** Whether texts are in UTF-8, so that they can be read. */
    private readonly isReadable: boolean,
  ) {
    this.rewriters = fields.map((field) => this.rewriterOf(field))
    this.drops = fields.some(({ mask }) => dropsRows(mask))
  }

  /** Nothing of any row is looked at. */
  get isIdle(): boolean {
    return this.rewriters.every((one) => one === null)
  }

  /** DataRow: count:i16 (length:i32 bytes)*. Writes the row where something in it changes; false: it stays as it is. */
  row(
    bytes: Buffer,
    at: number,
    end: number,
    begin: (chunk: Buffer, at: number) => Rewritten,
  ): boolean {
    const { rewriters } = this
    const count = bytes.readUInt16BE(at + 5)
    const isAsDescribed = count === rewriters.length
    let from = at + 7
    let out: Rewritten | null = null
    let head = 0
    /** Of the row, copied so far. */
    let copied = at
    for (let i = 0; i < count; i++) {
      const length = bytes.readInt32BE(from)
      const start = from + 4
      const stop = length < 0 ? start : start + length
      from = stop
      if (length < 0) continue
      let other: Buffer | null | undefined
      if (!isAsDescribed) other = null
      else {
        const rewriter = rewriters[i]
        if (rewriter === null || rewriter === undefined) continue
        if (this.drops && this.isDroppedBy(i)) {
          if (out !== null) out.length = head
          else begin(bytes, at)
          return true
        }
        other = rewriter(bytes, start, stop)
        if (other === undefined) continue
      }
      if (out === null) {
        out = begin(bytes, at)
        head = out.length
      }
      const size = other === null ? 0 : other.length
      out.reserve(start - copied + size)
      put(bytes, copied, start, out.bytes, out.length)
      out.length += start - copied
      out.bytes.writeInt32BE(other === null ? NULL : size, out.length - 4)
      if (other !== null) {
        put(other, 0, size, out.bytes, out.length)
        out.length += size
      }
      copied = stop
    }
    if (out === null) return false
    out.append(bytes, copied, end)
    out.bytes.writeInt32BE(out.length - head - 1, head + 1)
    return true
  }

  /** Whether values of the column are looked at; of one that was not foreseen they all are. */
  looksAt(i: number): boolean {
    return this.rewriters[i] !== null
  }

  /** One value of a column, as COPY carries it. Undefined: it stays; null: NULL; 'drop': its row is left out. */
  value(i: number, bytes: Buffer, start: number, end: number): Buffer | null | undefined | 'drop' {
    const rewriter = this.rewriters[i]
    if (rewriter === undefined) return null
    if (this.drops && this.isDroppedBy(i)) return 'drop'
    return rewriter === null ? undefined : rewriter(bytes, start, end)
  }

  /** Its row is left out for a value of this column, and counted. */
  private isDroppedBy(i: number): boolean {
    const { mask } = this.fields[i]!
    if (!dropsRows(mask)) return false
    this.dropped++
    this.counterOf(mask).count++
    return true
  }

  private counterOf({ rule, column, spec }: ColumnMask, action: string = spec.action): Counter {
    return this.counts.counter(rule, column, null, action)
  }

  private rewriterOf(field: FieldPlan): Rewriter | null {
    const { mask, detector, label, rewrite } = field
    if (rewrite !== null && !field.isBinary)
      return (bytes, start, end) => {
        const text = bytes.toString('utf8', start, end)
        const other = rewrite(text)
        return other === text ? undefined : Buffer.from(other)
      }
    if (mask !== null && !mask.revealed) return this.masking(field, mask)
    if (mask !== null) {
      const counter = this.counterOf(mask, 'reveal')
      return () => {
        counter.count++
        return undefined
      }
    }
    if (detector === null) return null
    const found = {
      add: (name: string) => this.counts.add(DETECTOR_RULE, label, name, this.detectorAction),
    }
    const { isBinary, oid } = field
    // What is carried as bytes of its own is looked into as text, and put back as what it is.
    if (isBinary && !detector.readsBinary)
      return (bytes, start, end) => {
        const text = Buffer.from(decodeValue(bytes.subarray(start, end), oid, 1))
        const other = detector.mask(text, 0, text.length, true, found)
        if (other === null) return undefined
        return other === TO_NULL ? null : encodeValue(other.toString(), oid)
      }
    return (bytes, start, end) => {
      const other = detector.mask(bytes, start, end, !isBinary, found)
      if (other === null) return undefined
      return other === TO_NULL ? null : other
    }
  }

  private masking(field: FieldPlan, mask: ColumnMask): Rewriter {
    const { type, oid, isBinary } = field
    const counter = this.counterOf(mask)
    const encode = (text: string | null): Buffer | null =>
      text === null ? null : isBinary ? encodeValue(text, oid) : Buffer.from(text)
    const spec = this.isReadable ? mask.spec : { action: 'redact' as const }
    if (CONSTANT.has(spec.action) && !type.isArray) {
      const constant = encode(masked('', type, spec, this.key))
      return () => {
        counter.count++
        return constant
      }
    }
    return (bytes, start, end) => {
      const text = isBinary
        ? decodeValue(bytes.subarray(start, end), oid, 1)
        : bytes.toString('utf8', start, end)
      counter.count++
      return encode(masked(text, type, spec, this.key))
    }
  }
}

function dropsRows(mask: ColumnMask | null): mask is ColumnMask {
  return mask?.spec.action === 'drop-row' && !mask.revealed
}

/** CommandComplete with fewer rows than the target says. */
export function fewerRows(tag: string, dropped: number): Buffer {
  const other = tag.replace(
    / (\d+)$/,
    (_, rows: string) => ` ${Math.max(0, Number(rows) - dropped)}`,
  )
  return message(Backend.commandComplete, Buffer.from(`${other}\0`, 'latin1'))
}
