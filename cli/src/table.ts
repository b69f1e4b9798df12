/**
 * Text for people: aligned columns, cut to the terminal, with nothing in it that a terminal would obey.
 * Pure. Evidence may hold any bytes, so control characters are shown, never passed on.
 */

const CONTROL =
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what must not reach a terminal
  /[\u0000-\u001f\u007f-\u009f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]/g
const NAMED: Record<string, string> = { '\n': '\\n', '\r': '\\r', '\t': '\\t' }

/** One line that is safe to print. */
export function visible(text: string): string {
  return text.replace(
    CONTROL,
    (one) => NAMED[one] ?? `\\u${one.charCodeAt(0).toString(16).padStart(4, '0')}`,
  )
}

/** The same for text of several lines: line ends and tabs stay. */
export function visibleLines(text: string): string[] {
  return text.split(/\r?\n/).map((line) => visible(line.replaceAll('\t', '    ')))
}

/** Columns a character takes: 2 for East Asian wide ones and emoji, 0 for combining marks. */
function widthOf(character: string): number {
  const code = character.codePointAt(0)!
  if (code < 0x300) return 1
  if (/\p{Mn}|\p{Me}/u.test(character)) return 0
  const wide =
    (code >= 0x1100 && code <= 0x115f) ||
    (code >= 0x2e80 && code <= 0xa4cf) ||
    (code >= 0xac00 && code <= 0xd7a3) ||
    (code >= 0xf900 && code <= 0xfaff) ||
    (code >= 0xfe30 && code <= 0xfe6f) ||
    (code >= 0xff00 && code <= 0xff60) ||
    (code >= 0xffe0 && code <= 0xffe6) ||
    (code >= 0x1f300 && code <= 0x1faff) ||
    (code >= 0x20000 && code <= 0x3fffd)
  return wide ? 2 : 1
}

export function width(text: string): number {
  let columns = 0
  for (const character of text) columns += widthOf(character)
  return columns
}

/** At most `columns` wide; what is cut is marked. */
export function cut(text: string, columns: number): string {
  if (width(text) <= columns) return text
  let used = 0
  let end = 0
  for (const character of text) {
    const next = widthOf(character)
    if (used + next > columns - 1) break
    used += next
    end += character.length
  }
  return columns < 1 ? '' : `${text.slice(0, end)}…`
}

export function pad(text: string, columns: number, right = false): string {
  const space = ' '.repeat(Math.max(0, columns - width(text)))
  return right ? space + text : text + space
}

export interface TableColumn {
  title: string
  right?: boolean
}

/** Rows under titles. The last column gives way first; without a terminal (`columns` infinite) nothing is cut. */
export function table(
  titles: readonly TableColumn[],
  rows: readonly (readonly string[])[],
  columns: number,
): string[] {
  const safe = rows.map((row) => row.map(visible))
  const widths = titles.map((title, i) =>
    safe.reduce((most, row) => Math.max(most, width(row[i] ?? '')), width(title.title)),
  )
  const line = (cells: readonly string[]) =>
    cut(
      cells
        .map((cell, i) =>
          i === titles.length - 1 && !titles[i]!.right
            ? cell
            : pad(cell, widths[i]!, titles[i]!.right),
        )
        .join('  ')
        .trimEnd(),
      columns,
    )
  return [line(titles.map(({ title }) => title)), ...safe.map(line)]
}

/** A result table as psql prints it, each value cut to what the terminal holds. */
export function resultTable(
  names: readonly string[],
  rows: readonly (readonly (string | null)[])[],
  columns: number,
): string[] {
  const safe = rows.map((row) => row.map((value) => (value === null ? '∅' : visible(value))))
  const titles = names.map(visible)
  const widths = titles.map((title, i) =>
    Math.min(
      60,
      safe.reduce((most, row) => Math.max(most, width(row[i] ?? '')), width(title)),
    ),
  )
  const line = (cells: readonly string[]) =>
    cut(
      ` ${cells.map((cell, i) => pad(cut(cell, widths[i]!), widths[i]!)).join(' │ ')}`.trimEnd(),
      columns,
    )
  return [
    line(titles),
    cut(`─${widths.map((one) => '─'.repeat(one)).join('─┼─')}─`, columns),
    ...safe.map(line),
  ]
}
