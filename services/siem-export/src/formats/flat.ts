/**
 * Records that are one line of keys and values. Where a record may have so many bytes and no more, the least important values
 * are left out and counted, and then the command is cut: never a key in half, never silently.
 */
import { type Facts, flatText } from './facts'
import { isPlain, needOf, type Row, readerOf } from './mapping'
import { cutBytes, cutMarked } from './text'
import { gather } from './tree'

export interface FlatShape {
  /** Rows that a record always has, in order. */
  rows: readonly Row[]
  /** Rows that are left out first, last first, where there is no room. */
  rest: readonly Row[]
  header(facts: Facts): string
  separator: string
  /** Which row is the command's text. */
  statement: string
  /** Key of how many were left out. */
  left: string
  /** Longest values by key, in bytes before escaping. */
  lengths: Readonly<Record<string, number>>
  value(text: string): string
  recordBytesMax: number
}

export function flatWriter(shape: FlatShape): (facts: Facts) => string {
  const { separator, value, lengths, recordBytesMax } = shape
  const all = [...shape.rows, ...shape.rest]
  const heads = all.map(({ to }) => `${separator}${to}=`)
  const headOf = (i: number): string => (i === 0 ? heads[0]!.slice(separator.length) : heads[i]!)
  const reads = all.map(readerOf)
  const maxima = all.map(({ to }) => lengths[to] ?? Number.POSITIVE_INFINITY)
  const count = all.length
  const statementAt = all.findIndex(({ to }) => to === shape.statement)
  const concatenated =
    (writes: readonly ((facts: Facts) => string)[]) =>
    (facts: Facts): string => {
      let out = ''
      for (let i = 0; i < writes.length; i++) out += writes[i]!(facts)
      return out
    }
  const parts = all.map((row, i) => {
    const head = headOf(i)
    const read = reads[i]!
    const max = maxima[i]!
    if (isPlain(row) || row.from?.startsWith('time.'))
      return {
        needs: needOf(row),
        write: (facts: Facts) => {
          const plain = read(facts)
          return plain === undefined || plain === null || plain === '' ? '' : head + plain
        },
      }
    return {
      needs: needOf(row),
      write: (facts: Facts) => {
        const text = flatText(read(facts))
        return text === '' ? '' : head + value(text.length * 3 <= max ? text : cutMarked(text, max))
      },
    }
  })
  // The first is almost always there: what begins with it need not be cut behind the separator, which would copy the record.
  const first = parts[0]!.write
  const others = concatenated(gather(parts.slice(1), concatenated, { taken: 0 }))

  return (facts) => {
    const header = shape.header(facts)
    const begun = first(facts)
    const record =
      begun === '' ? header + others(facts).slice(separator.length) : header + begun + others(facts)
    if (record.length * 3 <= recordBytesMax || Buffer.byteLength(record) <= recordBytesMax)
      return record
    return short(facts, header)
  }

  function short(facts: Facts, header: string): string {
    const parts: { head: string; text: string; bytes: number; at: number }[] = []
    let bytes = Buffer.byteLength(header)
    for (let i = 0; i < count; i++) {
      const raw = flatText(reads[i]!(facts))
      if (raw === '') continue
      const text = value(cutMarked(raw, maxima[i]!))
      const part = { head: heads[i]!, text, bytes: Buffer.byteLength(heads[i]! + text), at: i }
      parts.push(part)
      bytes += part.bytes
    }
    const room = recordBytesMax - Buffer.byteLength(`${separator}${shape.left}=999`)
    let left = 0
    // The command has at least a quarter before what is always there is left out too.
    const statementBytesMin = Math.min(Math.floor(recordBytesMax / 4), 1024)
    const over = () => bytes > room
    const statement = parts.find(({ at }) => at === statementAt)
    const spare = () =>
      statement === undefined ? 0 : Math.max(0, statement.bytes - statementBytesMin)
    for (let i = parts.length - 1; i >= 0 && bytes - spare() > room; i--) {
      const part = parts[i]!
      if (part === statement) continue
      bytes -= part.bytes
      parts.splice(i, 1)
      left++
    }
    if (over() && statement !== undefined) {
      bytes -= statement.bytes
      const raw = flatText(reads[statementAt]!(facts))
      statement.text = fitting(raw, room - bytes - Buffer.byteLength(statement.head))
      bytes += Buffer.byteLength(statement.head + statement.text)
    }
    const line = parts.map(({ head, text }) => head + text).join('')
    const told = left === 0 ? '' : `${separator}${shape.left}=${left}`
    return header + (line + told).slice(separator.length)
  }

  /** As much of a text as has at most so many bytes once it is escaped. */
  function fitting(raw: string, bytesMax: number): string {
    let max = bytesMax
    for (;;) {
      const text = value(cutBytes(raw, max))
      const bytes = Buffer.byteLength(text)
      if (bytes <= bytesMax) return text
      max = Math.max(0, Math.min(max - (bytes - bytesMax), Math.floor((max * bytesMax) / bytes)))
    }
  }
}
