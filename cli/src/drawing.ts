/**
 * What was recorded in one terminal, made fit to be shown in another: only what draws is let through, everything else is left
 * out. Cut anywhere, it says the same.
 *
 *   ESC [ parameters intermediates final       CSI: places, colours, what is erased; modes of the screen
 *   ESC ] 8 ; … BEL | ESC \                    OSC: links, and no other
 *   ESC P | X | ^ | _ … ESC \                  never
 *   ESC ( ) * + character                      character sets
 *   ESC 7 8 D E H M                            the cursor
 *
 * Refuses by leaving out: whatever would have a terminal answer (as if its owner had typed it), write to the clipboard, set
 * keys, mouse, titles or colours of the palette; the same in the 8-bit form of C1, which some read out of UTF-8; and a
 * sequence with control characters within, which terminals read in different ways.
 */
const ESC = '\x1b'
/** Backspace, tab, line feeds, return; the bell; other character sets. */
const CONTROLS = new Set('\x07\x08\t\n\x0b\x0c\r\x0e\x0f')
const CONTROL = /^\p{Cc}$/u
/** DCS, SOS, OSC, PM, APC in one character. */
const STRINGS = new Set('\x90\x98\x9d\x9e\x9f')
/** Places, erasing, inserting, deleting, tabs, repeating, colours, the region that scrolls. */
const FINALS = new Set('@ABCDEFGHIJKLMPSTXZ`abdefgmr')
/** Cursor keys, columns, inverse, origin, wrapping, cursor, the other screen, drawing at once. */
const MODES = new Set('1 3 5 6 7 12 25 47 1047 1048 1049 2026'.split(' '))
const PARAMETERS_MAX = 256
const LINK_MAX = 4096

type State = 'text' | 'escape' | 'sequence' | 'set' | 'string' | 'stringEscape'

export class Drawing {
  private state: State = 'text'
  private held = ''
  /** Of the sequence that is read: something in it has no place there. */
  private isBad = false
  /** Of the string that is read. */
  private isLink = false

  /** What of this piece may be shown; the beginning of a sequence waits for its end. */
  push(text: string): string {
    let out = ''
    for (const one of text) out += this.take(one)
    return out
  }

  private take(one: string): string {
    switch (this.state) {
      case 'text':
        return this.text(one)
      case 'escape':
        return this.escape(one)
      case 'sequence':
        return this.sequence(one)
      case 'set':
        return this.set(one)
      case 'string':
        return this.string(one)
      case 'stringEscape':
        return this.stringEscape(one)
    }
  }

  private text(one: string): string {
    if (one === ESC) this.begin('escape')
    else if (one === '\x9b') this.begin('sequence', true)
    else if (STRINGS.has(one)) this.begin('string', true)
    else return CONTROL.test(one) && !CONTROLS.has(one) ? '' : one
    return ''
  }

  private begin(state: State, isBad = false): void {
    this.state = state
    this.held = state === 'escape' ? ESC : ''
    this.isBad = isBad
    this.isLink = false
  }

  private escape(one: string): string {
    this.held += one
    if (one === ESC) this.begin('escape')
    else if (one === '[') this.state = 'sequence'
    else if (/^[\]PX^_]$/.test(one)) {
      this.state = 'string'
      this.isLink = one === ']'
    } else if (/^[ -/]$/.test(one)) {
      this.isBad = !/^[()*+]$/.test(one)
      this.state = 'set'
    } else {
      this.state = 'text'
      return /^[78DEHM]$/.test(one) ? this.held : ''
    }
    return ''
  }

  private set(one: string): string {
    if (this.isEnded(one)) return ''
    if (/^[0-~]$/.test(one)) {
      this.state = 'text'
      return this.isBad ? '' : this.held + one
    }
    this.isBad = true
    return ''
  }

  /** ESC begins another; CAN and SUB end it everywhere. */
  private isEnded(one: string): boolean {
    if (one === ESC) this.begin('escape')
    else if (one === '\x18' || one === '\x1a') this.state = 'text'
    else return false
    return true
  }

  private sequence(one: string): string {
    if (this.isEnded(one)) return ''
    if (/^[ -?]$/.test(one)) {
      if (this.held.length < PARAMETERS_MAX) this.held += one
      else this.isBad = true
      return ''
    }
    if (!/^[@-~]$/.test(one)) {
      this.isBad = true
      return ''
    }
    this.state = 'text'
    return !this.isBad && isDrawing(this.held.slice(2), one) ? this.held + one : ''
  }

  private string(one: string): string {
    if (one === '\x07' || one === '\x9c') return this.endString('\x07')
    if (one === '\x18' || one === '\x1a') this.state = 'text'
    else if (one === ESC) this.state = 'stringEscape'
    else if (CONTROL.test(one) || this.held.length >= LINK_MAX) this.isLink = false
    else if (this.isLink) this.held += one
    return ''
  }

  private stringEscape(one: string): string {
    if (one === '\\') return this.endString(`${ESC}\\`)
    // It ended without an end, and something else begins.
    this.begin('escape')
    return this.escape(one)
  }

  private endString(end: string): string {
    this.state = 'text'
    return this.isLink && this.held.startsWith(`${ESC}]8;`) ? this.held + end : ''
  }
}

function isDrawing(parameters: string, final: string): boolean {
  if (final === 'h' || final === 'l') {
    const modes = /^\?([0-9;]+)$/.exec(parameters)
    // Without a mark: inserting, and what a line feed does.
    if (!modes) return parameters === '4' || parameters === '20'
    return modes[1]!.split(';').every((mode) => MODES.has(mode))
  }
  if (final === 'p') return parameters === '!'
  if (final === 'J' || final === 'K') return /^\??[0-9;]*$/.test(parameters)
  // Saving and restoring the cursor.
  if (final === 's' || final === 'u') return parameters === ''
  return FINALS.has(final) && /^[0-9;:]*$/.test(parameters)
}
