/**
 * What the state machines of this package take and give. They own no socket, no clock and no log: bytes and times come
 * in, and what is to be recorded or passed on comes out.
 */

/** Bounds of one terminal; what goes beyond is cut and said, never kept. */
export interface TerminalLimits {
  /** Columns times rows that are emulated; a larger window is emulated as one of this size. */
  screenCellsMax: number
  /** Rows above the screen that are kept, so that a line typed over several rows can be read whole. */
  scrollbackRowsMax: number
  /** Bytes of one reconstructed line. */
  lineBytesMax: number
  /** Output not yet shown to the emulator; beyond it only the last part of it is. */
  pendingBytesMax: number
  /** Keys whose echo has not been seen yet; beyond it they count as never shown. */
  unseenBytesMax: number
}

export const TERMINAL_LIMITS: TerminalLimits = {
  screenCellsMax: 200_000,
  scrollbackRowsMax: 200,
  lineBytesMax: 64 * 1024,
  pendingBytesMax: 64 * 1024,
  unseenBytesMax: 64 * 1024,
}

/** A command line as it was accepted: what stood on the screen when Enter was pressed, or what the shell said itself. */
export interface TypedLine {
  kind: 'line'
  /** As a shell would read it: rows that were wrapped are one line, continuation lines are joined by line feeds. */
  text: string
  /** False: the shell's own marks say where the line begins, or the whole line. True: read off the screen. */
  inferred: boolean
  /** What stood before it: `ada@web1:~$ `. */
  prompt: string
  /** The shell asked for more after it (`> `), or this answers such a question: then `text` has all lines so far. */
  continued: boolean
  /** The shell says one thing, the screen showed another: both are told. */
  screenText: string | null
  /** Where the shell says it is (OSC 7), if it does. */
  directory: string | null
  /** Cut at `lineBytesMax`. */
  cut: boolean
  /** When its first key was pressed, in microseconds. */
  startedAt: number
  /** When Enter was pressed. */
  enteredAt: number
  /** Position in the output (bytes since the start) at which the answer to it begins. */
  outputStart: number
}

/** A line was typed where nothing of it was shown: a password. Neither what nor how much. */
export interface HiddenLine {
  kind: 'hidden'
  /** What stood before it: `Password: `. */
  prompt: string
  startedAt: number
  enteredAt: number
  outputStart: number
}

/** The command is over: the next prompt is there (`inferred`), or the shell's mark says so. */
export interface LineEnd {
  kind: 'end'
  at: number
  /** Position in the output at which its answer ends. */
  outputEnd: number
  /** Where the shell says it. */
  exitStatus: number | null
  inferred: boolean
}

/** Keys that may be recorded: all that they typed was shown, or they type nothing. */
export interface SeenInput {
  kind: 'input'
  data: Buffer
  at: number
}

export type TerminalEvent = TypedLine | HiddenLine | LineEnd | SeenInput

/** What a policy may be asked about before Enter is passed on. Advisory: the screen is the target's to draw. */
export interface PendingLine {
  /** All lines of it, where the shell asked for more before. */
  text: string
  inferred: boolean
  prompt: string
}

export interface TerminalRecorder {
  /** Bytes from the target, in the order in which the client is to see them. Never throws. */
  output(bytes: Buffer, atMicros: number): void
  /**
   * Bytes from the client, once they have been passed on to the target; Enter as a call of its own, see `splitAtEnter`.
   */
  input(bytes: Buffer, atMicros: number): void
  resize(columns: number, rows: number, atMicros: number): void
  /** Input in pieces, each Enter one of its own; line feeds of a bracketed paste are no Enter. */
  splitAtEnter(bytes: Buffer): Buffer[]
  /**
   * Whether keys that were passed on have not been answered by the target yet. Who wants to judge a line at Enter passes
   * on what was typed before it, and waits for this to be false, or for its patience to end.
   */
  readonly isAwaitingEcho: boolean
  /**
   * The shell that the terminal began with waits for a line: by its marks, or by a prompt like that of its first line. False
   * where that can't be told, as in programs that ask for lines themselves.
   */
  readonly isAtPrompt: boolean
  /** The line that Enter would accept now; null where there is none to be seen: a password, a full-screen program. */
  pendingLine(): PendingLine | null
  /** Enter was not passed on, and the line taken back: what is pending is forgotten and no event made of it. */
  discardLine(): void
  /** Events since the last call, in order. */
  take(): TerminalEvent[]
  /** The session ends: whatever is undecided is decided, hidden where in doubt. */
  end(atMicros: number): void
  /** The screen as it is now, row by row, without trailing blanks: for watching and for tests. */
  screen(): string[]
  readonly isFullScreen: boolean
}

export interface TerminalRecorderOptions {
  columns: number
  rows: number
  limits?: Partial<TerminalLimits>
}

/** What detectors find in a text and what takes its place; a part of packages/masking's SessionRules. */
export interface StreamMasking {
  findText(bytes: Buffer): readonly StreamFind[] | null
}

export interface StreamFind {
  start: number
  end: number
  detector: string
  text: string
  /** Counted, and left as it is. */
  isShown?: boolean
}

export interface StreamMaskerLimits {
  /** Held back at most, while it could be the beginning of something sensitive. */
  holdBytesMax: number
  /** After so long without more, what is held is released, masked as far as it goes. */
  holdMicrosMax: number
  /** Already released bytes that are looked at again, so that a find that began in them is masked from here on. */
  contextBytesMax: number
}

/** Masks a stream of bytes in which escape sequences may stand anywhere. Bytes are released in order and none is lost. */
export interface StreamMasker {
  /** What may be passed on now; what is held back comes with a later call. */
  push(bytes: Buffer, atMicros: number): Buffer
  /** Keys that were passed on: their echo is not held back. */
  typed(bytes: Buffer): void
  /** When `flush` is to be called unless `push` was before; null where nothing is held. */
  readonly dueMicros: number | null
  flush(atMicros: number): Buffer
  /** The stream has ended. */
  end(): Buffer
  readonly heldBytes: number
}

export interface TextMaskerLimits {
  /** Held back at most of one line; of a longer one all but `findBytesMax` goes on. */
  lineBytesMax: number
  /** Of a line that is longer than that, what is longer than this is masked only as far as it was seen together. */
  findBytesMax: number
  /** After so long without more, what is held of a line is released, but what looks like the beginning of a find … */
  holdMicrosMax: number
  /** … which is after so long, masked as far as it goes. */
  suspectMicrosMax: number
  /** Already released bytes of a line that are looked at again. */
  contextBytesMax: number
}

/** What goes on now: as it came, and as it is to be shown. */
export interface Released {
  raw: Buffer
  shown: Buffer
}

/** Masks what a program reads: finds are replaced whole. Bytes are released in order. */
export interface TextMasker {
  push(bytes: Buffer, atMicros: number): Released
  /** When `flush` is to be called unless `push` was before; null where nothing is held. */
  readonly dueMicros: number | null
  flush(atMicros: number): Released
  /** The stream has ended. */
  end(): Released
  readonly heldBytes: number
  /** It is no text, and passed on unchanged from here on. */
  readonly isBinary: boolean
}
