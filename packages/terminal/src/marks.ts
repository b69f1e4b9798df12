/**
 * Marks in a terminal's output that say what the screen can't: shell integration (OSC 133, 633, 7, 1337), full-screen
 * programs, whether pastes are bracketed. Finds them in any split of the bytes, in one pass over the escape characters.
 * Refuses to wait for ever: a mark longer than its bound is no mark.
 */
export type Mark =
  | { kind: 'prompt' }
  | { kind: 'input' }
  | { kind: 'executed'; line: string | null }
  | { kind: 'line'; line: string }
  | { kind: 'finished'; exitStatus: number | null }
  | { kind: 'directory'; path: string }
  | { kind: 'fullScreen'; isOn: boolean }
  | { kind: 'bracketedPaste'; isOn: boolean }

const ESC = 0x1b
const BEL = 0x07
/** Of an escape sequence that is no OSC. */
const SEQUENCE_BYTES_MAX = 64

export class MarkScanner {
  private held: Buffer = Buffer.alloc(0)

  constructor(private readonly markBytesMax: number) {}

  /** Everything goes to `bytes`, marks included, in order; a mark is told of after the bytes that it is made of. */
  push(chunk: Buffer, bytes: (some: Buffer) => void, found: (mark: Mark) => void): void {
    let data = chunk
    if (this.held.length > 0) {
      data = Buffer.concat([this.held, chunk])
      this.held = Buffer.alloc(0)
    }
    let from = 0
    for (let at = data.indexOf(ESC); at >= 0; at = data.indexOf(ESC, at)) {
      const end = sequenceEnd(data, at, this.markBytesMax)
      if (end === 0) {
        // Its end is still to come.
        if (at > from) bytes(data.subarray(from, at))
        this.held = Buffer.from(data.subarray(at))
        return
      }
      if (end < 0) {
        at++
        continue
      }
      const marks = marksOf(data, at, end)
      if (marks.length > 0) {
        bytes(data.subarray(from, end))
        from = end
        for (const mark of marks) found(mark)
      }
      at = end
    }
    if (from < data.length) bytes(from === 0 ? data : data.subarray(from))
  }

  /** What was held back waiting for more. */
  rest(): Buffer {
    const { held } = this
    this.held = Buffer.alloc(0)
    return held
  }
}

/** Where an OSC or a private mode that begins here ends; 0: not yet; -1: it is none. */
function sequenceEnd(data: Buffer, at: number, markBytesMax: number): number {
  const kind = data[at + 1]
  if (kind === undefined) return 0
  if (kind === 0x5b) {
    if (data[at + 2] === undefined) return 0
    if (data[at + 2] !== 0x3f) return -1
    for (let i = at + 3; i < data.length; i++) {
      const one = data[i]!
      if (one >= 0x40 && one <= 0x7e) return i + 1
      if (i - at > SEQUENCE_BYTES_MAX || one < 0x20) return -1
    }
    return data.length - at > SEQUENCE_BYTES_MAX ? -1 : 0
  }
  if (kind !== 0x5d) return -1
  for (let i = at + 2; i < data.length; i++) {
    const one = data[i]!
    if (one === BEL) return i + 1
    if (one === ESC) {
      if (data[i + 1] === undefined) return 0
      return data[i + 1] === 0x5c ? i + 2 : -1
    }
    if (i - at > markBytesMax) return -1
  }
  return data.length - at > markBytesMax ? -1 : 0
}

function marksOf(data: Buffer, at: number, end: number): Mark[] {
  if (data[at + 1] === 0x5b) {
    const last = data[end - 1]
    if (last !== 0x68 && last !== 0x6c) return []
    const isOn = last === 0x68
    const marks: Mark[] = []
    for (const mode of data.toString('latin1', at + 3, end - 1).split(';')) {
      if (mode === '1049' || mode === '1047' || mode === '47')
        marks.push({ kind: 'fullScreen', isOn })
      else if (mode === '2004') marks.push({ kind: 'bracketedPaste', isOn })
    }
    return marks
  }
  const stop = data[end - 1] === BEL ? end - 1 : end - 2
  const mark = oscOf(data.toString('utf8', at + 2, stop))
  return mark ? [mark] : []
}

function oscOf(text: string): Mark | null {
  const semicolon = text.indexOf(';')
  const number = semicolon < 0 ? text : text.slice(0, semicolon)
  const rest = semicolon < 0 ? '' : text.slice(semicolon + 1)
  if (number === '7') {
    const path = /^[a-z-]+:\/\/[^/]*(\/.*)$/.exec(rest)?.[1]
    return path === undefined ? null : { kind: 'directory', path: decoded(path) }
  }
  if (number === '1337') {
    const path = /^CurrentDir=(.*)$/s.exec(rest)?.[1]
    return path === undefined ? null : { kind: 'directory', path }
  }
  if (number !== '133' && number !== '633') return null
  const [what, ...fields] = rest.split(';')
  switch (what) {
    case 'A':
      // A second line of a prompt (k=s) is no new prompt.
      return fields.some((field) => field === 'k=s' || field === 'k=c') ? null : { kind: 'prompt' }
    case 'B':
      return { kind: 'input' }
    case 'C': {
      const url = fields.find((field) => field.startsWith('cmdline_url='))
      return { kind: 'executed', line: url === undefined ? null : decoded(url.slice(12)) }
    }
    case 'D': {
      const status = /^\d{1,3}$/.exec(fields[0] ?? '')
      return { kind: 'finished', exitStatus: status ? Number(status[0]) : null }
    }
    case 'E':
      return number === '633' ? { kind: 'line', line: unescaped(fields[0] ?? '') } : null
    case 'P': {
      const path = /^Cwd=(.*)$/s.exec(fields.join(';'))?.[1]
      return number === '633' && path !== undefined
        ? { kind: 'directory', path: unescaped(path) }
        : null
    }
    default:
      return null
  }
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}

/** `\x3b` for a semicolon, `\\` for a backslash. */
const unescaped = (text: string): string =>
  text.replace(/\\(?:x([0-9a-fA-F]{2})|\\)/g, (_, hex: string | undefined) =>
    hex === undefined ? '\\' : String.fromCharCode(Number.parseInt(hex, 16)),
  )
