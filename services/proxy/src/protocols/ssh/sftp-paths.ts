/**
 * Paths as SFTP clients send them (any bytes, relative to where the session began, with `..` and through links) and as
 * policies and people read them.
 * Refuses to make two different paths one text.
 */

/** UTF-8 where it is; other bytes, and then backslashes too, are written as `\xNN`. */
export function pathText(path: Buffer): string {
  const text = path.toString('utf8')
  if (Buffer.from(text, 'utf8').equals(path)) return text
  let escaped = ''
  for (const byte of path)
    escaped +=
      byte < 0x20 || byte > 0x7e || byte === 0x5c
        ? `\\x${byte.toString(16).padStart(2, '0')}`
        : String.fromCharCode(byte)
  return escaped
}

/** Absolute and without `.`, `..` and empty parts, as far as the text alone says. Relative still where `home` is not known. */
export function lexical(path: string, home: string | null): string {
  const isAbsolute = path.startsWith('/')
  if (!isAbsolute && home === null) return path
  const parts: string[] = []
  for (const part of (isAbsolute ? path : `${home}/${path}`).split('/')) {
    if (part === '' || part === '.') continue
    if (part === '..') parts.pop()
    else parts.push(part)
  }
  return `/${parts.join('/')}`
}

/**
 * The directory that has to be looked up, and the name in it, where the last part of a path is not followed if it is a
 * link. Null where the last part is none of its own: `a/`, `a/..`, `.`
 */
export function parentOf(path: Buffer): { parent: Buffer; name: Buffer } | null {
  const slash = path.lastIndexOf(0x2f)
  const name = path.subarray(slash + 1)
  const text = name.toString('latin1')
  if (text === '' || text === '.' || text === '..') return null
  if (slash < 0) return { parent: Buffer.from('.'), name }
  return { parent: slash === 0 ? Buffer.from('/') : path.subarray(0, slash), name }
}

export function join(parent: string, name: string): string {
  return parent === '/' ? `/${name}` : `${parent}/${name}`
}

/** As it stands in the text of a command. */
export function quoted(path: string): string {
  return /^[\w./@%+,:=~-]+$/.test(path) ? path : JSON.stringify(path)
}
