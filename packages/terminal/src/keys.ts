/**
 * What was typed, key by key. Pure but for what a key cut in two leaves behind.
 * Refuses to say what an editing key does to a line: only the screen knows that.
 */
export type Key =
  | { kind: 'text'; text: string }
  | { kind: 'enter' }
  | { kind: 'erase' }
  | { kind: 'kill' }
  | { kind: 'interrupt' }
  | { kind: 'other' }

const PASTE_BEGIN = '\x1b[200~'
const PASTE_END = '\x1b[201~'
/** An escape sequence that is longer is none. */
const SEQUENCE_MAX = 32

/** CR, LF, and what readline calls operate-and-get-next. */
const isEnter = (byte: number) => byte === 0x0d || byte === 0x0a || byte === 0x0f

/** Cuts input so that each Enter is a piece of its own; line feeds of a bracketed paste are no Enter. */
export class EnterSplitter {
  private tail = ''
  private isPasting = false

  split(bytes: Buffer, isPasteBracketed: boolean): Buffer[] {
    const pieces: Buffer[] = []
    let from = 0
    for (let at = 0; at < bytes.length; at++) {
      const byte = bytes[at]!
      this.tail = (this.tail + String.fromCharCode(byte)).slice(-PASTE_BEGIN.length)
      if (this.tail.endsWith(PASTE_BEGIN)) this.isPasting = isPasteBracketed
      else if (this.tail.endsWith(PASTE_END)) this.isPasting = false
      if (this.isPasting || !isEnter(byte)) continue
      if (at > from) pieces.push(bytes.subarray(from, at))
      pieces.push(bytes.subarray(at, at + 1))
      from = at + 1
    }
    if (from < bytes.length) pieces.push(bytes.subarray(from))
    return pieces
  }
}

export class KeyReader {
  private readonly decoder = new TextDecoder('utf-8')
  private held = ''
  private isPasting = false

  read(bytes: Buffer, isPasteBracketed: boolean): Key[] {
    const keys: Key[] = []
    let text = this.held + this.decoder.decode(bytes, { stream: true })
    this.held = ''
    const add = (some: string) => {
      const last = keys.at(-1)
      if (last?.kind === 'text') last.text += some
      else keys.push({ kind: 'text', text: some })
    }
    while (text.length > 0) {
      const one = text[0]!
      if (one === '\x1b') {
        const rest = text.slice(1)
        const after =
          /^(?:\[[0-?]*[ -/]*[@-~]|O.|\[?$|\[[0-?]*[ -/]*$|[^[O])/s.exec(rest)?.[0] ?? ''
        const isWhole = /^(?:\[[0-?]*[ -/]*[@-~]|O.|[^[O])$/s.test(after)
        const sequence = one + after
        if (!isWhole && sequence.length === text.length && text.length < SEQUENCE_MAX) {
          this.held = text
          break
        }
        if (sequence === PASTE_BEGIN) this.isPasting = isPasteBracketed
        else if (sequence === PASTE_END) this.isPasting = false
        keys.push({ kind: 'other' })
        text = text.slice(Math.max(1, sequence.length))
        continue
      }
      text = text.slice(1)
      if (this.isPasting) {
        add(one === '\r' ? '\n' : one)
        continue
      }
      const code = one.charCodeAt(0)
      if (isEnter(code)) keys.push({ kind: 'enter' })
      else if (code === 0x7f || code === 0x08) keys.push({ kind: 'erase' })
      else if (code === 0x15) keys.push({ kind: 'kill' })
      else if (code === 0x03 || code === 0x1a || code === 0x1c) keys.push({ kind: 'interrupt' })
      else if (code < 0x20) keys.push({ kind: 'other' })
      else add(one)
    }
    return keys
  }
}
