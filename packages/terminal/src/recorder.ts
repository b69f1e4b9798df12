/**
 * Reconstructs what was typed into a terminal, line by line, from what it showed: by the marks of the shell where it sends
 * them, off the screen at Enter where not. Pure: bytes and times in, events out.
 * Refuses to give out anything that was typed and not shown, or how long it was. The screen is the target's to draw, so what
 * is read off it is evidence, no proof; see docs/decisions/0018.
 */
import { EnterSplitter, type Key, KeyReader } from './keys'
import { type Mark, MarkScanner } from './marks'
import { type Place, Screen } from './screen'
import {
  type PendingLine,
  TERMINAL_LIMITS,
  type TerminalEvent,
  type TerminalLimits,
  type TerminalRecorder,
  type TerminalRecorderOptions,
} from './types'

/** Of output that came in a burst, so much is still shown to the emulator. */
const BURST_KEPT_BYTES = 32 * 1024
/** After Enter, so much output without a line feed means that none belongs to it. */
const ECHO_BYTES_MAX = 16 * 1024
/** Characters by which a prompt is known again. */
const PROMPT_BEGINNING_MIN = 4
/** Rows that one line may be typed over. */
const LINE_ROWS_MAX = 500
const LINE_FEED = 0x0a
const FULL_SCREEN_ON = Buffer.from('\x1b[?1049h')
const FULL_SCREEN_OFF = Buffer.from('\x1b[?1049l')

/** What shells ask with when a line is not complete. */
const ASKS_FOR_MORE =
  /^\s*(?:>|\.\.\.|->|\?|(?:(?:quote|dquote|bquote|for|while|until|if|then|else|elif|elif-then|cmdsubst|heredoc|pipe|cmdand|cmdor|function|case|cursh|subsh|braceparam|array|select|repeat|math|error|cond) ?)+>)\s*$/
/** A search through the history, as readline and zsh show it. */
const SEARCH = /^\((?:failed )?(?:reverse-|forward-|i-|fwd-)*i?-?search\)`.*?': ?/
const ZSH_SEARCH = /^(?:failing )?(?:bck|fwd)-i-search: .*$/
/** What is shown for each character of a password by programs that show something. */
const STARS = /^[*•●·∙■█xX]+$/u

interface Typing {
  place: Place
  /** Left of it, by which it is found again when the screen was drawn anew. */
  prompt: string
  /** Right of it before anything was typed: a prompt at the right edge. */
  right: string
  isMarked: boolean
  startedAt: number
  /** What it must look like if every key does what it says; null where only the screen knows. */
  expected: string | null
  /** Characters between keys that edit. */
  runs: string[]
  keys: { data: Buffer; at: number }[]
  keyBytes: number
  hasKeys: boolean
  /** Output since the last key. */
  answeredAt: number
}

interface Entered {
  typing: Typing
  enteredAt: number
  /** Output so far when Enter was pressed. */
  at: number
  /** As it stood then: shells draw a line of several rows again, row by row, before they leave it. */
  shown: string
  seen: { text: string; prompt: string } | null
  outputStart: number
  told: string | null
}

class Recorder implements TerminalRecorder {
  private readonly limits: TerminalLimits
  private readonly view: Screen
  private readonly marks: MarkScanner
  private readonly keys = new KeyReader()
  private readonly splitter = new EnterSplitter()
  private events: TerminalEvent[] = []
  private pending: Buffer[] = []
  private pendingBytes = 0
  /** Bytes of output so far, and up to the last line feed. */
  private written = 0
  private rowStart = 0
  private lastOutputAt = 0
  private typing: Typing | null = null
  private entered: Entered | null = null
  private running: { at: number } | null = null
  private inputPlace: Place | null = null
  private hasMarks = false
  private directory: string | null = null
  private lines: string[] = []
  /** Of the line before. */
  private lastPrompt = ''
  /** Something was entered. */
  private hasLines = false
  /** Before the first line that had one. */
  private shellPrompt = ''
  /** As the shell's marks say; null where it sends none. */
  private isExecuting: boolean | null = null
  private isPasteBracketed = false
  isFullScreen = false

  constructor({ columns, rows, limits }: TerminalRecorderOptions) {
    this.limits = { ...TERMINAL_LIMITS, ...limits }
    this.view = new Screen(columns, rows, this.limits.screenCellsMax, this.limits.scrollbackRowsMax)
    this.marks = new MarkScanner(this.limits.lineBytesMax)
  }

  output(bytes: Buffer, atMicros: number): void {
    this.marks.push(
      bytes,
      (some) => this.shown(some),
      (mark) => this.marked(mark, atMicros),
    )
    this.lastOutputAt = atMicros
    const { entered } = this
    if (entered && !entered.seen && this.written - entered.at > ECHO_BYTES_MAX) this.decide()
  }

  private shown(bytes: Buffer): void {
    if (bytes.length === 0) return
    const { entered } = this
    if (entered && !entered.seen && !this.isFullScreen) {
      const feed = bytes.indexOf(LINE_FEED)
      if (feed >= 0) {
        this.keep(bytes.subarray(0, feed))
        this.flush()
        const seen = this.read(entered.typing, false)
        const isWithinLine =
          entered.shown !== seen.text && entered.shown.startsWith(seen.text) && seen.text !== ''
        if (!isWithinLine) entered.seen = seen
        this.keep(bytes.subarray(feed, feed + 1))
        entered.outputStart = this.written
        // A shell that sends marks says itself what it runs, a little later.
        if (!isWithinLine && !this.hasMarks) this.decide()
        this.shown(bytes.subarray(feed + 1))
        return
      }
    }
    this.keep(bytes)
  }

  /** Shown to the emulator when somebody wants to know, and then as far as it matters. */
  private keep(bytes: Buffer): void {
    if (bytes.length === 0) return
    const feed = bytes.lastIndexOf(LINE_FEED)
    if (feed >= 0) this.rowStart = this.written + feed + 1
    this.written += bytes.length
    // What a full-screen program draws leaves no trace on the screen that it gives back.
    if (this.isFullScreen) return
    // Whose bytes they are may use them again.
    this.pending.push(Buffer.from(bytes))
    this.pendingBytes += bytes.length
    if (this.pendingBytes > this.limits.pendingBytesMax) this.drop()
  }

  private drop(): void {
    const all = Buffer.concat(this.pending)
    const feed = all.indexOf(LINE_FEED, Math.max(0, all.length - BURST_KEPT_BYTES))
    // Without a line feed there is no place where one could begin to look.
    const last = feed >= 0 ? all.subarray(feed) : all.subarray(-BURST_KEPT_BYTES)
    this.pending = [Buffer.from(last)]
    this.pendingBytes = last.length
  }

  private flush(): void {
    const { pending } = this
    if (pending.length === 0) return
    this.pending = []
    this.pendingBytes = 0
    for (const bytes of pending) this.view.write(bytes)
  }

  private marked(mark: Mark, at: number): void {
    switch (mark.kind) {
      case 'fullScreen':
        if (mark.isOn === this.isFullScreen) return
        this.flush()
        this.isFullScreen = mark.isOn
        if (!mark.isOn) this.view.write(FULL_SCREEN_OFF)
        else {
          this.view.write(FULL_SCREEN_ON)
          // Keys from here on type no line.
          this.typing = null
        }
        return
      case 'bracketedPaste':
        this.isPasteBracketed = mark.isOn
        return
      case 'directory':
        this.directory = mark.path
        return
      case 'prompt':
        this.hasMarks = true
        this.isExecuting = false
        this.decide()
        return
      case 'input':
        this.hasMarks = true
        this.isExecuting = false
        if (this.isFullScreen) return
        this.flush()
        this.inputPlace?.marker.dispose()
        this.inputPlace = this.view.mark()
        return
      case 'line':
        this.hasMarks = true
        if (this.entered) this.entered.told = mark.line
        return
      case 'executed':
        this.hasMarks = true
        this.isExecuting = true
        if (this.entered) {
          if (mark.line !== null) this.entered.told = mark.line
          this.entered.outputStart = this.written
          this.decide()
        }
        return
      case 'finished':
        this.hasMarks = true
        this.isExecuting = false
        this.decide()
        this.over(at, this.written, mark.exitStatus, false)
        return
    }
  }

  input(bytes: Buffer, atMicros: number): void {
    const keys = this.keys.read(bytes, this.isPasteBracketed)
    if (this.isFullScreen) return
    // What came of the Enter before is on the screen by now, or never will be.
    this.decide()
    const isEnter = keys.length === 1 && keys[0]!.kind === 'enter'
    const typing = this.typing ?? this.begin(atMicros)
    typing.keyBytes += bytes.length
    if (typing.keyBytes <= this.limits.unseenBytesMax)
      typing.keys.push({ data: Buffer.from(bytes), at: atMicros })
    else typing.keys = []
    for (const key of keys) {
      if (key.kind === 'enter') this.enter(atMicros)
      else this.key(this.typing ?? this.begin(atMicros), key)
    }
    if (!isEnter && this.typing) this.typing.answeredAt = this.written
  }

  private key(typing: Typing, key: Key): void {
    typing.hasKeys = true
    switch (key.kind) {
      case 'text':
        if (typing.expected !== null)
          typing.expected = cut(typing.expected + key.text, this.limits.lineBytesMax)
        if (typing.runs.length > 0)
          typing.runs[typing.runs.length - 1] = cut(
            typing.runs.at(-1)! + key.text,
            this.limits.lineBytesMax,
          )
        else typing.runs.push(key.text)
        return
      case 'erase':
        if (typing.expected !== null) typing.expected = [...typing.expected].slice(0, -1).join('')
        if (typing.runs.length > 0)
          typing.runs[typing.runs.length - 1] = [...typing.runs.at(-1)!].slice(0, -1).join('')
        return
      case 'kill':
        // Only at the end of a line does it take away all of it.
        if (typing.expected !== null) {
          typing.expected = ''
          typing.runs = []
        } else typing.runs.push('')
        return
      case 'interrupt':
        this.abandon(typing)
        return
      default:
        typing.expected = null
        if (typing.runs.at(-1) !== '') typing.runs.push('')
    }
  }

  private begin(at: number): Typing {
    this.flush()
    const marked = this.inputPlace
    const isMarked = marked !== null && !marked.marker.isDisposed && this.isBefore(marked)
    const place = isMarked ? marked : this.view.mark()
    this.inputPlace = null
    const row = place.marker.line
    const typing: Typing = {
      place,
      prompt: this.leftOf(row, place.column),
      right: this.view.text(row, place.column),
      isMarked,
      startedAt: at,
      expected: '',
      runs: [],
      keys: [],
      keyBytes: 0,
      hasKeys: false,
      answeredAt: this.written,
    }
    this.over(this.lastOutputAt || at, this.rowStart, null, true)
    this.typing = typing
    return typing
  }

  private isBefore(place: Place): boolean {
    const { line } = place.marker
    const { cursorRow, cursorColumn } = this.view
    return line < cursorRow || (line === cursorRow && place.column <= cursorColumn)
  }

  private leftOf(row: number, column: number): string {
    let text = this.view.text(row, 0, column)
    for (let above = row; this.view.isWrapped(above) && row - above < LINE_ROWS_MAX; )
      text = this.view.text(--above, 0, this.view.columns) + text
    return text
  }

  private enter(at: number): void {
    const typing = this.typing ?? this.begin(at)
    this.typing = null
    this.flush()
    const shown = this.read(typing, true).text
    this.entered = {
      typing,
      shown,
      enteredAt: at,
      at: this.written,
      seen: null,
      outputStart: this.written,
      told: null,
    }
  }

  /** The line as it is shown, found again by what stood before it. */
  private read(typing: Typing, isPending: boolean): { text: string; prompt: string } {
    const { view } = this
    const last = view.cursorRow
    let row = typing.place.marker.isDisposed ? -1 : typing.place.marker.line
    let column = typing.place.column
    let { prompt } = typing
    let own = last
    while (own > 0 && view.isWrapped(own)) own--
    const search = SEARCH.exec(view.text(own))
    if (search) {
      row = own
      column = search[0].length
    } else if (row < 0 || row > last || this.leftOf(row, column) !== prompt) {
      // Drawn anew: after Ctrl-L, a search, another window size.
      const bare = prompt.trimEnd()
      const from = row < 0 || row > last ? 0 : row
      row = -1
      for (let at = own; at >= from && last - at < LINE_ROWS_MAX && bare !== ''; at--) {
        if (view.isWrapped(at) || !view.text(at).startsWith(bare)) continue
        row = at
        column = prompt.length
        break
      }
      if (row < 0) {
        row = own
        column = 0
        prompt = ''
      }
    }
    const rows: string[] = []
    let end = last
    while (view.isWrapped(end + 1)) end++
    for (let at = row; at <= end && at - row < LINE_ROWS_MAX; at++) {
      const from = at === row ? column : 0
      let text = view.isWrapped(at + 1) ? view.text(at, from, view.columns) : view.text(at, from)
      if (at === row && typing.right !== '' && text.endsWith(typing.right.trimStart()))
        text = text.slice(0, -typing.right.trimStart().length).trimEnd()
      if (isPending && at === last) text = this.withoutSuggestion(at, from, text)
      if (ZSH_SEARCH.test(text) && at > row) break
      if (at > row && view.isWrapped(at)) rows[rows.length - 1] += text
      else rows.push(text)
    }
    let text = rows.join('\n').trimEnd()
    // Typed before the prompt was there: it is shown again behind it, whatever came in between.
    const expected = typing.expected?.trim()
    if (
      expected &&
      expected !== text &&
      text.endsWith(expected) &&
      (text.startsWith(expected) ||
        text.includes('\n') ||
        // Nothing was there yet when it was typed, nor was it shown before the prompt came.
        (prompt === '' && text === this.lastPrompt + expected))
    ) {
      const before = text.slice(0, -expected.length)
      prompt = before.includes('\n') ? before.slice(before.lastIndexOf('\n') + 1) : prompt + before
      text = expected
    }
    return { text: cut(text, this.limits.lineBytesMax), prompt }
  }

  /** What a shell proposes stands behind the cursor, in another colour. */
  private withoutSuggestion(row: number, from: number, text: string): string {
    const { view } = this
    const column = view.cursorColumn
    if (row !== view.cursorRow || column <= from) return text
    const [left, right] = [view.cell(row, column - 1), view.cell(row, column)]
    if (!left || !right || right.getChars() === '') return text
    const isOther =
      right.isDim() !== left.isDim() ||
      right.getFgColor() !== left.getFgColor() ||
      right.getFgColorMode() !== left.getFgColorMode()
    return isOther && left.getChars().trim() !== '' ? view.text(row, from, column) : text
  }

  /** Whether what was typed is what is shown; false where nothing of it is. */
  private isShown({ expected, runs }: Typing, text: string): boolean {
    if (expected !== null && expected.trim() !== '')
      return isWithin(expected.trim(), text) && !(STARS.test(text) && text !== expected.trim())
    const typed = runs.filter((run) => run.trim() !== '')
    if (typed.length > 0 && STARS.test(text)) return false
    return text !== ''
  }

  /** Makes an event of the line that was entered. */
  private decide(): void {
    const { entered } = this
    if (!entered) return
    this.entered = null
    this.hasLines ||= entered.typing.hasKeys
    const { typing, enteredAt, outputStart, told } = entered
    if (!entered.seen) {
      this.flush()
      entered.seen = this.isFullScreen
        ? { text: '', prompt: typing.prompt }
        : this.read(typing, false)
    }
    const { text: shown, prompt } = entered.seen
    typing.place.marker.dispose()
    if (!typing.hasKeys && shown === '') {
      this.release(typing, true)
      return
    }
    const isShown = this.isShown(typing, shown)
    if (!isShown && told === null) {
      const isNothing =
        typing.expected === '' ||
        (typing.expected === null && typing.runs.every((run) => run === ''))
      if (isNothing) this.release(typing, true)
      else
        this.events.push({
          kind: 'hidden',
          prompt,
          startedAt: typing.startedAt,
          enteredAt,
          outputStart,
        })
      return
    }
    this.release(typing, isShown && this.isConfirmed(typing, shown))
    const isContinued = this.lines.length > 0 && ASKS_FOR_MORE.test(prompt)
    if (!isContinued) this.lines = []
    const screenText = shown
    this.lines.push(screenText)
    if (!isContinued) this.lastPrompt = prompt
    if (this.shellPrompt === '') this.shellPrompt = prompt.trimEnd()
    const text = told ?? (isContinued ? this.lines.join('\n') : screenText)
    const kept = cut(text, this.limits.lineBytesMax)
    if (Buffer.byteLength(this.lines.join('\n')) > this.limits.lineBytesMax)
      this.lines = [screenText]
    this.events.push({
      kind: 'line',
      text: kept,
      inferred: told === null && !typing.isMarked,
      prompt,
      continued: isContinued,
      screenText: told !== null && told.trim() !== screenText.trim() ? screenText : null,
      directory: this.directory,
      cut: kept !== text,
      startedAt: typing.startedAt,
      enteredAt,
      outputStart,
    })
    this.running = { at: outputStart }
  }

  /** Every character that was typed stands on the screen as it was typed. */
  private isConfirmed({ expected, runs, keyBytes }: Typing, shown: string): boolean {
    if (keyBytes > this.limits.unseenBytesMax) return false
    if (expected !== null) return shown.endsWith(expected.trim())
    return runs.every((run) => shown.includes(run.trim()))
  }

  private release(typing: Typing, isSeen: boolean): void {
    if (!isSeen) return
    for (const { data, at } of typing.keys) this.events.push({ kind: 'input', data, at })
  }

  /** Ctrl-C and the like: there is no line. */
  private abandon(typing: Typing): void {
    this.flush()
    const { text } = this.read(typing, true)
    this.release(
      typing,
      typing.runs.every((run) => run.trim() === '') ||
        (this.isShown(typing, text) && this.isConfirmed(typing, text)),
    )
    typing.place.marker.dispose()
    this.typing = null
    this.lines = []
  }

  private over(at: number, outputEnd: number, exitStatus: number | null, inferred: boolean): void {
    const { running } = this
    if (!running) return
    this.running = null
    this.events.push({
      kind: 'end',
      at,
      outputEnd: Math.max(outputEnd, running.at),
      exitStatus,
      inferred,
    })
  }

  resize(columns: number, rows: number): void {
    this.flush()
    this.view.resize(columns, rows)
  }

  splitAtEnter(bytes: Buffer): Buffer[] {
    return this.splitter.split(bytes, this.isPasteBracketed)
  }

  get isAwaitingEcho(): boolean {
    const { typing } = this
    if (!typing?.hasKeys || this.isFullScreen) return false
    if (typing.expected === null) return this.written === typing.answeredAt
    const expected = typing.expected.trim()
    if (expected === '') return false
    this.flush()
    return !this.read(typing, true).text.endsWith(expected)
  }

  get isAtPrompt(): boolean {
    if (this.isFullScreen || this.entered !== null) return false
    if (this.isExecuting !== null) return !this.isExecuting
    this.flush()
    const { view, typing, shellPrompt } = this
    const prompt = (typing?.prompt ?? this.leftOf(view.cursorRow, view.cursorColumn)).trimEnd()
    if (prompt === '') return false
    // Whatever asks, nobody has begun anything yet.
    return !this.hasLines || isLike(prompt, shellPrompt)
  }

  pendingLine(): PendingLine | null {
    const { typing } = this
    if (!typing || this.isFullScreen) return null
    this.flush()
    const { text, prompt } = this.read(typing, true)
    if (text === '' || !this.isShown(typing, text)) return null
    const isContinued = this.lines.length > 0 && ASKS_FOR_MORE.test(prompt)
    return {
      text: isContinued ? [...this.lines, text].join('\n') : text,
      inferred: !typing.isMarked,
      prompt,
    }
  }

  discardLine(): void {
    this.typing?.place.marker.dispose()
    this.typing = null
    this.lines = []
  }

  take(): TerminalEvent[] {
    const { events } = this
    if (events.length > 0) this.events = []
    return events
  }

  end(atMicros: number): void {
    this.keep(this.marks.rest())
    this.decide()
    this.typing = null
    this.over(atMicros, this.written, null, true)
    this.view.dispose()
  }

  screen(): string[] {
    this.flush()
    return this.view.rows()
  }
}

/** One prompt in another directory, at another time: its beginning and its last character are the same. */
function isLike(prompt: string, other: string): boolean {
  if (prompt === other || other === '') return prompt === other
  const beginning = other.slice(0, PROMPT_BEGINNING_MIN)
  return (
    beginning.length === PROMPT_BEGINNING_MIN &&
    prompt.startsWith(beginning) &&
    prompt.at(-1) === other.at(-1) &&
    !/[\p{L}\p{N}]$/u.test(prompt)
  )
}

/** Whether the characters of `some` stand in `text` in their order. */
function isWithin(some: string, text: string): boolean {
  let at = 0
  for (const one of some) {
    at = text.indexOf(one, at)
    if (at < 0) return false
    at += one.length
  }
  return true
}

/** To so many bytes, and no half character. */
function cut(text: string, bytesMax: number): string {
  if (text.length * 3 <= bytesMax) return text
  const bytes = Buffer.from(text)
  if (bytes.length <= bytesMax) return text
  let end = bytesMax
  while (end > 0 && (bytes[end]! & 0xc0) === 0x80) end--
  return bytes.toString('utf8', 0, end)
}

export function createTerminalRecorder(options: TerminalRecorderOptions): TerminalRecorder {
  return new Recorder(options)
}
