/**
 * JSON walked by its tokens, so that numbers stay as they were written and an answer has the structure of what it was made of.
 * Refuses what is not JSON (null).
 */

export interface JsonLeaf {
  /** As it is written: a string with its quotation marks, a number, `true`, `false`. `null` is no leaf. */
  raw: string
  isString: boolean
}

/** The same document with every leaf as `change` writes it; keys stay. */
export function mapJson(text: string, change: (leaf: JsonLeaf) => string): string | null {
  try {
    JSON.parse(text)
  } catch {
    return null
  }
  const parts: string[] = []
  let from = 0
  for (let at = 0; at < text.length; ) {
    const c = text.charCodeAt(at)
    let end = at + 1
    let isString = false
    if (c === 0x22) {
      isString = true
      while (text.charCodeAt(end) !== 0x22) end += text.charCodeAt(end) === 0x5c ? 2 : 1
      end++
      let next = end
      while (next < text.length && text.charCodeAt(next) <= 0x20) next++
      if (text.charCodeAt(next) === 0x3a) {
        at = next
        continue
      }
    } else if (c === 0x2d || (c >= 0x30 && c <= 0x39))
      while (end < text.length && /[-+.\deE]/.test(text[end]!)) end++
    else if (c === 0x74 || c === 0x66) end = at + (c === 0x74 ? 4 : 5)
    else if (c === 0x6e) {
      at += 4
      continue
    } else {
      at++
      continue
    }
    parts.push(text.slice(from, at), change({ raw: text.slice(at, end), isString }))
    from = at = end
  }
  parts.push(text.slice(from))
  return parts.join('')
}
