/**
 * PostgreSQL's text forms of what holds other values: arrays, composites, hstore, bytea. Read as the server's own output
 * functions write them, and written so that its input functions take them.
 * Refuses what is not of the form (null), rather than to guess where an element ends.
 */

/** Every element that is not NULL given to `change`, which answers its new text, or null for NULL. */
export function mapArray(text: string, change: (element: string) => string | null): string | null {
  const bounds = /^(?:\[-?\d+:-?\d+\])+=/.exec(text)
  const prefix = bounds ? bounds[0] : ''
  let at = prefix.length
  if (text[at] !== '{') return null
  const parts: string[] = [prefix]
  let depth = 0
  /** Whether an element or an inner array has to come next. */
  let isOpen = true
  for (;;) {
    const c = text[at]
    if (c === undefined) return null
    if (c === '{') {
      if (!isOpen) return null
      depth++
      parts.push('{')
      at++
    } else if (c === '}') {
      if (isOpen && text[at - 1] !== '{') return null
      depth--
      parts.push('}')
      at++
      isOpen = false
      if (depth === 0) return at === text.length ? parts.join('') : null
    } else if (c === ',') {
      if (isOpen) return null
      parts.push(',')
      isOpen = true
      at++
    } else {
      if (!isOpen) return null
      isOpen = false
      let element: string | null
      if (c === '"') {
        const quoted = quotedAt(text, at, false)
        if (quoted === null) return null
        element = quoted.text
        at = quoted.end
      } else {
        const end = bareEnd(text, at, ',{}"')
        const bare = text.slice(at, end)
        at = end
        if (text[at] === '{' || text[at] === '"' || bare === '') return null
        element = /^null$/i.test(bare) ? null : bare.replace(/\\(.)/gs, '$1')
      }
      const other = element === null ? null : change(element)
      parts.push(other === null ? 'NULL' : quotedElement(other))
    }
  }
}

/** As array_out quotes. */
export function quotedElement(text: string): string {
  return /^$|[ \t\n\v\f\r{}",\\]|^null$/i.test(text) ? `"${text.replace(/["\\]/g, '\\$&')}"` : text
}

/** Every field of a row that is not NULL given to `change`; as record_out writes them. */
export function mapComposite(
  text: string,
  change: (field: string, isQuoted: boolean) => string | null,
): string | null {
  if (text[0] !== '(') return null
  const parts: string[] = []
  let at = 1
  for (;;) {
    let field: string | null = null
    let isQuoted = false
    if (text[at] === '"') {
      const quoted = quotedAt(text, at, true)
      if (quoted === null) return null
      field = quoted.text
      isQuoted = true
      at = quoted.end
    } else {
      const end = bareEnd(text, at, ',()"')
      if (end > at) field = text.slice(at, end).replace(/\\(.)/gs, '$1')
      at = end
    }
    const other = field === null ? null : change(field, isQuoted)
    parts.push(
      other === null
        ? ''
        : /^$|[ \t\n\v\f\r()",\\]/.test(other)
          ? `"${other.replace(/["\\]/g, '$&$&')}"`
          : other,
    )
    const c = text[at++]
    if (c === ')') return at === text.length ? `(${parts.join(',')})` : null
    if (c !== ',') return null
  }
}

/** Every value of an hstore that is not NULL given to `change`, and every key to `changeKey`. */
export function mapHstore(
  text: string,
  changeKey: (key: string) => string,
  change: (value: string, key: string) => string | null,
): string | null {
  const parts: string[] = []
  const quote = (one: string) => `"${one.replace(/["\\]/g, '\\$&')}"`
  let at = 0
  while (at < text.length) {
    const key = text[at] === '"' ? quotedAt(text, at, false) : null
    if (key === null || text.slice(key.end, key.end + 2) !== '=>') return null
    at = key.end + 2
    let value: string | null = null
    if (text[at] === '"') {
      const quoted = quotedAt(text, at, false)
      if (quoted === null) return null
      value = change(quoted.text, key.text)
      at = quoted.end
    } else if (text.slice(at, at + 4) === 'NULL') at += 4
    else return null
    parts.push(`${quote(changeKey(key.text))}=>${value === null ? 'NULL' : quote(value)}`)
    if (at === text.length) break
    if (text.slice(at, at + 2) !== ', ') return null
    at += 2
  }
  return parts.length === 0 ? null : parts.join(', ')
}

/** Between quotation marks, where a backslash hides the next character; `doubled`: so does a mark before a mark. */
function quotedAt(
  text: string,
  at: number,
  doubled: boolean,
): { text: string; end: number } | null {
  const parts: string[] = []
  let from = at + 1
  for (let i = from; i < text.length; i++) {
    const c = text.charCodeAt(i)
    if (c === 0x5c) {
      parts.push(text.slice(from, i))
      from = ++i
    } else if (c === 0x22) {
      parts.push(text.slice(from, i))
      if (!doubled || text.charCodeAt(i + 1) !== 0x22) return { text: parts.join(''), end: i + 1 }
      from = ++i
    }
  }
  return null
}

function bareEnd(text: string, at: number, stops: string): number {
  let end = at
  while (end < text.length && !stops.includes(text[end]!)) end += text[end] === '\\' ? 2 : 1
  return Math.min(end, text.length)
}

/** The bytes of a bytea in either of its text forms (`bytea_output`), or null. */
export function byteaOf(text: string): Buffer | null {
  if (text.startsWith('\\x')) {
    const bytes = Buffer.from(text.slice(2), 'hex')
    return bytes.length * 2 === text.length - 2 ? bytes : null
  }
  const bytes = Buffer.alloc(text.length)
  let to = 0
  for (let i = 0; i < text.length; i++) {
    let code = text.charCodeAt(i)
    if (code > 0x7f) return null
    if (code === 0x5c) {
      if (text.charCodeAt(i + 1) === 0x5c) i++
      else {
        const octal = /^[0-3][0-7]{2}$/.exec(text.slice(i + 1, i + 4))
        if (!octal) return null
        code = Number.parseInt(octal[0], 8)
        i += 3
      }
    }
    bytes[to++] = code
  }
  return bytes.subarray(0, to)
}
