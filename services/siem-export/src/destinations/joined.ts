/**
 * Records one after another as bytes, each with a few ASCII characters before and behind it. Made at once in one buffer, since a
 * string of a whole batch would be put together, measured and copied once more. Knows no protocol.
 */
import type { Outgoing } from '../delivery/destination'

export function joined(
  records: readonly Outgoing[],
  /** ASCII. */
  before: (record: Outgoing) => string,
  /** ASCII. */
  behind: string,
): Buffer {
  const heads: string[] = new Array(records.length)
  let total = 0
  for (let i = 0; i < records.length; i++) {
    const record = records[i]!
    const head = before(record)
    heads[i] = head
    total += head.length + record.bytes + behind.length
  }
  const out = Buffer.allocUnsafeSlow(total)
  let at = 0
  for (let i = 0; i < records.length; i++) {
    const record = records[i]!
    at += out.write(heads[i]!, at, 'latin1')
    at += record.copy ? record.copy(out, at) : out.write(record.text, at)
    if (behind !== '') at += out.write(behind, at, 'latin1')
  }
  if (at !== total) throw new RangeError(`records of ${total} bytes took ${at}`)
  return out
}
