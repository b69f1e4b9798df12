/**
 * The key under which a statement's analysis is kept: its bytes with integers replaced by a mark, so that statements which
 * differ in those alone share one analysis.
 * Refuses to be clever: any text with a feature that could make a constant mean more is its own key.
 */

const KEY_BYTES_MAX = 4096
const scratch = Buffer.allocUnsafeSlow(KEY_BYTES_MAX)
/** Where integers are values alone; elsewhere they can be names, settings or code, and nothing is replaced. */
const INTEGERS_ARE_VALUES = /^\s*(?:select|insert|update|delete|values)\b/i
const MARK = 0x23

const WORD = new Uint8Array(256)
for (let c = 0; c < 256; c++) {
  const letter =
    (c >= 0x30 && c <= 0x39) ||
    (c >= 0x41 && c <= 0x5a) ||
    (c >= 0x61 && c <= 0x7a) ||
    c === 0x5f ||
    c === 0x24 ||
    c >= 0x80
  WORD[c] = letter ? 1 : 0
}

export function statementKey(bytes: Buffer, start: number, end: number): string {
  const length = end - start
  if (length > KEY_BYTES_MAX) return bytes.toString('latin1', start, end)
  let to = 0
  let at = start
  let replaced = false
  while (at < end) {
    const c = bytes[at]!
    if (
      c >= 0x30 &&
      c <= 0x39 &&
      (at === start || WORD[bytes[at - 1]!] === 0) &&
      bytes[at - 1] !== 0x2e
    ) {
      let stop = at + 1
      while (stop < end && bytes[stop]! >= 0x30 && bytes[stop]! <= 0x39) stop++
      const next = stop < end ? bytes[stop]! : 0x20
      if (WORD[next] === 0 && next !== 0x2e) {
        scratch[to++] = MARK
        at = stop
        replaced = true
        continue
      }
      // 1.5, 1e9, 0x1f, 12abc: as it stands.
      while (at < stop) scratch[to++] = bytes[at++]!
      continue
    }
    // Strings, quoted names, comments, dollar quotes, marks of our own, other alphabets, several statements.
    if (
      c === 0x27 ||
      c === 0x22 ||
      c === 0x5c ||
      c === 0x24 ||
      c === MARK ||
      c >= 0x80 ||
      c === 0x3b
    ) {
      if (c === 0x3b && onlySpaceAfter(bytes, at + 1, end)) {
        scratch[to++] = c
        at++
        continue
      }
      return bytes.toString('latin1', start, end)
    }
    if ((c === 0x2d && bytes[at + 1] === 0x2d) || (c === 0x2f && bytes[at + 1] === 0x2a))
      return bytes.toString('latin1', start, end)
    scratch[to++] = c
    at++
  }
  const key = scratch.toString('latin1', 0, to)
  return replaced && !INTEGERS_ARE_VALUES.test(key) ? bytes.toString('latin1', start, end) : key
}

function onlySpaceAfter(bytes: Buffer, at: number, end: number): boolean {
  for (; at < end; at++) {
    const c = bytes[at]!
    if (c !== 0x20 && c !== 0x0a && c !== 0x0d && c !== 0x09) return false
  }
  return true
}
