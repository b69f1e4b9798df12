/**
 * Where the constants of a SQL text stand: quoted strings of every kind and numbers, in order, by PostgreSQL's own rules.
 * Needs no parse, so it holds for texts that PostgreSQL itself refuses; what is not closed goes on to the end.
 * Refuses to say what a constant is for: lineage does, by its ordinal.
 */

export interface ConstantRange {
  start: number
  end: number
}

const [QUOTE, DOUBLE, DOLLAR, BACKSLASH, DOT] = [0x27, 0x22, 0x24, 0x5c, 0x2e]
const [MINUS, SLASH, STAR, AMPERSAND] = [0x2d, 0x2f, 0x2a, 0x26]

const digit = (c: number | undefined) => c !== undefined && c >= 0x30 && c <= 0x39
const letter = (c: number | undefined) =>
  c !== undefined &&
  ((c >= 0x41 && c <= 0x5a) || (c >= 0x61 && c <= 0x7a) || c === 0x5f || c >= 0x80)
const newline = (c: number | undefined) => c === 0x0a || c === 0x0d
/** Within a line. */
const blank = (c: number | undefined) => c === 0x20 || c === 0x09 || c === 0x0b || c === 0x0c

/**
 * The constants at [start, end) of `text`, in UTF-8 or another encoding that has ASCII bytes for ASCII alone. A prefix (E, B, X,
 * U&) belongs to its string, a sign not to its number.
 */
export function constantsOf(
  text: Buffer,
  start: number,
  end: number,
  standardConformingStrings = true,
): ConstantRange[] {
  const found: ConstantRange[] = []
  let at = start
  while (at < end) {
    const c = text[at]!
    const next = at + 1 < end ? text[at + 1] : undefined
    if (c === QUOTE) {
      const stop = stringEnd(text, at + 1, end, !standardConformingStrings)
      found.push({ start: at, end: stop })
      at = stop
    } else if (c === DOUBLE) at = closed(text, at + 1, end, DOUBLE)
    else if (c === MINUS && next === MINUS) at = lineEnd(text, at, end)
    else if (c === SLASH && next === STAR) at = commentEnd(text, at, end)
    else if (digit(c) || (c === DOT && digit(next))) {
      const stop = numberEnd(text, at, end)
      found.push({ start: at, end: stop })
      at = stop
    } else if (c === DOLLAR) {
      const stop = dollarEnd(text, at, end)
      if (stop !== null) {
        found.push({ start: at, end: stop })
        at = stop
      } else {
        at++
        // A parameter's number is no constant.
        while (at < end && digit(text[at])) at++
      }
    } else if (letter(c)) {
      const low = c | 0x20
      const quoted =
        next === QUOTE && (low === 0x65 || low === 0x62 || low === 0x78)
          ? at + 2
          : low === 0x75 && next === AMPERSAND && at + 2 < end && text[at + 2] === QUOTE
            ? at + 3
            : null
      if (quoted !== null) {
        const stop = stringEnd(text, quoted, end, low === 0x65)
        found.push({ start: at, end: stop })
        at = stop
      } else while (at < end && (letter(text[at]) || digit(text[at]) || text[at] === DOLLAR)) at++
    } else at++
  }
  return found
}

/** Behind what opened before `at` and closes with `mark`, which stands for itself where doubled. */
function closed(text: Buffer, from: number, end: number, mark: number): number {
  let at = from
  while (at < end) {
    if (text[at] !== mark) at++
    else if (at + 1 < end && text[at + 1] === mark) at += 2
    else return at + 1
  }
  return end
}

/** Behind a string and what continues it on lines below. */
function stringEnd(text: Buffer, from: number, end: number, escapes: boolean): number {
  let at = from
  for (;;) {
    while (at < end && text[at] !== QUOTE) at += escapes && text[at] === BACKSLASH ? 2 : 1
    if (at >= end) return end
    at++
    if (at < end && text[at] === QUOTE) {
      at++
      continue
    }
    const more = continued(text, at, end)
    if (more === null) return at
    at = more
  }
}

/** Behind the quote that continues a string closed before `from`: at least one line further down, comments aside. */
function continued(text: Buffer, from: number, end: number): number | null {
  let at = from
  let lines = 0
  while (at < end) {
    if (newline(text[at])) {
      lines++
      at++
    } else if (blank(text[at])) at++
    else if (text[at] === MINUS && text[at + 1] === MINUS) at = lineEnd(text, at, end)
    else break
  }
  return lines > 0 && at < end && text[at] === QUOTE ? at + 1 : null
}

function lineEnd(text: Buffer, from: number, end: number): number {
  let at = from
  while (at < end && !newline(text[at])) at++
  return at
}

/** They nest. */
function commentEnd(text: Buffer, from: number, end: number): number {
  let depth = 0
  let at = from
  while (at + 1 < end) {
    if (text[at] === SLASH && text[at + 1] === STAR) {
      depth++
      at += 2
    } else if (text[at] === STAR && text[at + 1] === SLASH) {
      at += 2
      if (--depth === 0) return at
    } else at++
  }
  return end
}

function numberEnd(text: Buffer, from: number, end: number): number {
  let at = from
  const digits = () => {
    while (at < end && (digit(text[at]) || (text[at] === 0x5f && digit(text[at + 1])))) at++
  }
  digits()
  // Two dots are a range of PL/pgSQL.
  if (at < end && text[at] === DOT && text[at + 1] !== DOT) {
    at++
    digits()
  }
  if (at < end && (text[at]! | 0x20) === 0x65) {
    const sign = text[at + 1] === 0x2b || text[at + 1] === MINUS ? 1 : 0
    if (at + 1 + sign < end && digit(text[at + 1 + sign])) {
      at += 1 + sign
      digits()
    }
  }
  // Hexadecimal, octal, binary; and what PostgreSQL refuses behind a number.
  while (at < end && (letter(text[at]) || digit(text[at]))) at++
  return at
}

/** Behind a dollar quote that opens at `from`; null where none does. */
function dollarEnd(text: Buffer, from: number, end: number): number | null {
  let at = from + 1
  if (at < end && letter(text[at])) while (at < end && (letter(text[at]) || digit(text[at]))) at++
  if (at >= end || text[at] !== DOLLAR) return null
  const mark = text.subarray(from, at + 1)
  const close = text.indexOf(mark, at + 1)
  return close < 0 || close + mark.length > end ? end : close + mark.length
}
