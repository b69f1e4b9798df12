/**
 * The tokens of a SQL text, by the rules of the servers' own scanners: strings, names and comments as the session's SQL mode and
 * character set have them, comments that are code to this server expanded.
 * Refuses to say what it can't: a text that a server might cut in another way has a `problem`, and is not understood.
 *
 * A text holds one character for each byte that was sent (`bytes.toString('latin1')`), so that all positions are bytes.
 */
import { type Characters, charactersOf, decoded, type SqlMode, sqlModeOf } from './characters'

export interface SqlContext {
  /** As `@@sql_mode` has it, or as its words. */
  readonly sqlMode: string | SqlMode
  readonly server: 'mysql' | 'mariadb'
  /** As in executable comments: 101115 is 10.11.15, 80036 is 8.0.36. 0: not known. */
  readonly serverVersion: number
  /** Whether several statements in one text are run. */
  readonly multiStatements: boolean
  /** `character_set_client`; utf8mb4 where not given. */
  readonly characterSet?: string
}

export const END = 0
/** Without quotes: a keyword or a name. */
export const WORD = 1
/** A name in quotes. */
export const QUOTED = 2
export const STRING = 3
export const NUMBER = 4
/** 0x1f, x'1f', 0b1, b'1' */
export const BITS = 5
export const PARAMETER = 6
export const OPERATOR = 7
/** `@name` */
export const VARIABLE = 8
/** `@@`, with a name behind it. */
export const SYSTEM = 9
/** Optimizer hints. */
export const HINT = 10

export interface Tokens {
  readonly text: string
  readonly count: number
  readonly kinds: readonly number[]
  readonly starts: readonly number[]
  readonly ends: readonly number[]
  /** Of words in lower case, of operators as they are; of others empty. */
  readonly words: readonly string[]
  /** Words that can't be keywords, for what stands before or behind them. */
  readonly plain: ReadonlySet<number>
  /** Where it first went wrong, and why. */
  readonly problem: { readonly at: number; readonly why: string } | null
  /** It has a comment of which it isn't known whether the server runs it. */
  readonly uncertain: boolean
  readonly characters: Characters
}

const SPACE = 1
const DIGIT = 2
const NAME = 4
const CLASS = new Uint8Array(128)
for (const c of [0x20, 0x09, 0x0a, 0x0b, 0x0c, 0x0d]) CLASS[c] = SPACE
for (let c = 0x30; c <= 0x39; c++) CLASS[c] = DIGIT | NAME
for (let c = 0x41; c <= 0x5a; c++) CLASS[c] = CLASS[c | 0x20] = NAME
CLASS[0x5f] = CLASS[0x24] = NAME

const NO_ESCAPES = 1
const ANSI_QUOTES = 2

/** Longest first. */
const OPERATORS3 = new Set(['<=>', '->>'])
const OPERATORS2 = new Set(['<>', '<=', '>=', '!=', '<<', '>>', '||', '&&', ':=', '->', '..'])

export function modesOf(context: SqlContext): SqlMode {
  return typeof context.sqlMode === 'string' ? sqlModeOf(context.sqlMode) : context.sqlMode
}

/** `expand`: whether comments are code where that isn't known. */
export function tokenize(text: string, context: SqlContext, expand = true): Tokens {
  return new Scanner(text, context, expand).run()
}

class Scanner {
  private readonly kinds: number[] = []
  private readonly starts: number[] = []
  private readonly ends: number[] = []
  private readonly words: string[] = []
  private readonly plain = new Set<number>()
  private problem: { at: number; why: string } | null = null
  private uncertain = false
  private at = 0
  private readonly end: number
  private readonly modes: number
  private readonly characters: Characters
  /** Within a comment that is code. */
  private inComment = false

  constructor(
    private readonly text: string,
    private readonly context: SqlContext,
    private readonly expand: boolean,
  ) {
    this.end = text.length
    const modes = modesOf(context)
    this.modes =
      (modes.has('NO_BACKSLASH_ESCAPES') ? NO_ESCAPES : 0) |
      (modes.has('ANSI_QUOTES') ? ANSI_QUOTES : 0)
    const characters = charactersOf(context.characterSet ?? 'utf8mb4')
    this.characters = characters ?? charactersOf('binary')!
    if (characters === null)
      this.wrong(0, `texts in the character set ${context.characterSet} are not read`)
  }

  run(): Tokens {
    while (this.at < this.end) this.next()
    if (this.inComment) this.wrong(this.end, 'a comment that does not end')
    const { kinds, starts, ends, words, plain, problem, uncertain, characters, text } = this
    const count = kinds.length
    this.push(END, this.end, '')
    return { text, count, kinds, starts, ends, words, plain, problem, uncertain, characters }
  }

  private wrong(at: number, why: string): void {
    this.problem ??= { at, why }
  }

  private code(i: number): number {
    return i < this.end ? this.text.charCodeAt(i) : 0
  }

  private push(kind: number, start: number, word: string): void {
    this.kinds.push(kind)
    this.starts.push(start)
    this.ends.push(this.at)
    this.words.push(word)
  }

  private next(): void {
    const start = this.at
    const c = this.text.charCodeAt(start)
    if (c >= 0x80) {
      this.word()
      return
    }
    const kind = CLASS[c]!
    if (kind === SPACE) {
      this.at++
      return
    }
    if (kind === NAME) {
      if (this.code(start + 1) === 0x27 && this.prefixed(c | 0x20)) return
      this.word()
      return
    }
    if (kind === (DIGIT | NAME)) {
      this.number()
      return
    }
    switch (c) {
      case 0x27:
        this.string()
        return
      case 0x22:
        if (this.modes & ANSI_QUOTES) this.quoted(0x22)
        else this.string()
        return
      case 0x60:
        this.quoted(0x60)
        return
      case 0x23:
        this.line()
        return
      case 0x2d:
        if (this.code(start + 1) === 0x2d) {
          const after = this.code(start + 2)
          // A byte that some character sets take for white space.
          if (after >= 0x80 && this.characters.length === null)
            this.wrong(start, 'it is not known whether -- begins a comment')
          if (after <= 0x20 || after === 0x7f) {
            this.line()
            return
          }
        }
        break
      case 0x2f:
        if (this.code(start + 1) === 0x2a) {
          this.comment()
          return
        }
        break
      case 0x2a:
        if (this.inComment && this.code(start + 1) === 0x2f) {
          this.at += 2
          this.inComment = false
          return
        }
        break
      case 0x2e:
        this.dot()
        return
      case 0x40:
        this.variable()
        return
      case 0x3f:
        this.at++
        if (isName(this.code(this.at)) || this.code(this.at) >= 0x80)
          this.wrong(start, 'a parameter beside a name')
        this.push(PARAMETER, start, '')
        return
      case 0x5c:
        // \N is NULL, in upper case alone.
        if (!(this.modes & NO_ESCAPES) && this.code(start + 1) === 0x4e) {
          this.at += 2
          this.push(WORD, start, 'null')
          return
        }
        this.wrong(start, 'a backslash')
        this.at++
        return
    }
    if (c < 0x20 || c === 0x7f) {
      this.wrong(start, 'a control character')
      this.at++
      return
    }
    const three = this.text.substr(start, 3)
    const operator = OPERATORS3.has(three)
      ? three
      : OPERATORS2.has(three.slice(0, 2))
        ? three.slice(0, 2)
        : three[0]!
    this.at += operator.length
    this.push(OPERATOR, start, operator)
  }

  /** N'…', x'…', b'…' */
  private prefixed(letter: number): boolean {
    const start = this.at
    if (letter === 0x6e) {
      this.at++
      this.string(start)
      return true
    }
    if (letter !== 0x78 && letter !== 0x62) return false
    let i = start + 2
    while (isDigitOf(this.code(i), letter)) i++
    if (this.code(i) !== 0x27 || (letter === 0x78 && (i - start) % 2 !== 0)) {
      this.wrong(start, 'digits in quotes that are none')
      this.string(start, start + 1)
      return true
    }
    this.at = i + 1
    this.push(BITS, start, '')
    return true
  }

  /** A string whose quote stands at `at`; `start` where its prefix does. */
  private string(start = this.at, open = this.at): void {
    const { text, end, characters } = this
    const quote = text.charCodeAt(open)
    const escapes = !(this.modes & NO_ESCAPES)
    let i = open + 1
    for (;;) {
      if (i >= end) {
        this.wrong(start, 'a string that does not end')
        this.at = end
        this.push(STRING, start, '')
        return
      }
      const c = text.charCodeAt(i)
      if (c >= 0x80 && characters.length !== null) i += characters.length(text, i, end)
      // What follows is skipped as a byte, even where it begins a character of more.
      else if (c === 0x5c && escapes) i += 2
      else if (c === quote) {
        if (this.code(i + 1) !== quote || i + 1 >= end) break
        i += 2
      } else i++
    }
    this.at = i + 1
    this.push(STRING, start, '')
  }

  private quoted(quote: number): void {
    const start = this.at
    const stop = this.quotedEnd(start, quote)
    this.at = stop ?? this.end
    if (stop === null) this.wrong(start, 'a name in quotes that does not end')
    this.push(QUOTED, start, '')
  }

  private quotedEnd(start: number, quote: number): number | null {
    const { text, end, characters } = this
    let i = start + 1
    while (i < end) {
      const c = text.charCodeAt(i)
      if (c === 0) this.wrong(i, 'a zero byte in a name')
      if (c >= 0x80 && characters.length !== null) i += characters.length(text, i, end)
      else if (c !== quote) i++
      else if (this.code(i + 1) === quote && i + 1 < end) i += 2
      else return i + 1
    }
    return null
  }

  /** Behind the name that goes on at `i`. */
  private nameEnd(from: number): number {
    const { text, end, characters } = this
    let i = from
    while (i < end) {
      const c = text.charCodeAt(i)
      if (c < 0x80) {
        if (!isName(c)) break
        i++
      } else if (c > 0xff) i++
      else if (characters.length !== null) {
        const length = characters.length(text, i, end)
        if (length === 1) {
          this.wrong(i, 'bytes that are no character')
          i++
        } else i += length
      } else {
        if (!characters.names(c)) this.wrong(i, 'a byte that may be no part of a name')
        i++
      }
    }
    return i
  }

  private word(from = this.at): void {
    const start = this.at
    this.at = this.nameEnd(from)
    const word = this.text.slice(start, this.at).toLowerCase()
    // Before a dot and a name it is a name itself.
    if (this.code(this.at) === 0x2e && this.goesOn(this.at + 1)) this.plain.add(this.kinds.length)
    this.push(WORD, start, word)
  }

  private goesOn(i: number): boolean {
    const c = this.code(i)
    return isName(c) || c >= 0x80
  }

  private number(): void {
    const start = this.at
    const c = this.text.charCodeAt(start)
    if (c === 0x30) {
      const x = this.code(start + 1)
      if (x === 0x78 || x === 0x62) {
        let i = start + 2
        while (isDigitOf(this.code(i), x)) i++
        if (i > start + 2 && !this.goesOn(i)) {
          this.at = i
          this.push(BITS, start, '')
          return
        }
        // A name that begins with a digit.
        this.word(i)
        return
      }
    }
    let i = start
    while (isDigit(this.code(i))) i++
    const next = this.code(i)
    if (this.goesOn(i)) {
      if ((next | 0x20) === 0x65) {
        const sign = this.code(i + 1) === 0x2b || this.code(i + 1) === 0x2d ? 1 : 0
        if (isDigit(this.code(i + 1 + sign))) {
          i += 1 + sign
          while (isDigit(this.code(i))) i++
          this.at = i
          this.push(NUMBER, start, '')
          return
        }
      }
      this.word(i)
      return
    }
    if (next !== 0x2e || this.code(i + 1) === 0x2e) {
      this.at = i
      this.push(NUMBER, start, '')
      return
    }
    this.real(start, i + 1)
  }

  /** Behind its point. */
  private real(start: number, from: number): void {
    let i = from
    while (isDigit(this.code(i))) i++
    if ((this.code(i) | 0x20) === 0x65) {
      const sign = this.code(i + 1) === 0x2b || this.code(i + 1) === 0x2d ? 1 : 0
      if (!isDigit(this.code(i + 1 + sign))) this.wrong(start, 'a number that is none')
      i += 1 + sign
      while (isDigit(this.code(i))) i++
    }
    this.at = i
    this.push(NUMBER, start, '')
  }

  private dot(): void {
    const start = this.at
    const last = this.kinds.length - 1
    const behindName = last >= 0 && this.kinds[last] === WORD && this.ends[last] === start
    if (behindName && this.goesOn(start + 1)) {
      this.at++
      this.push(OPERATOR, start, '.')
      // What follows is a name, even `select` and `5`.
      this.plain.add(this.kinds.length)
      this.word()
      return
    }
    if (isDigit(this.code(start + 1))) {
      this.real(start, start + 1)
      return
    }
    if (this.code(start + 1) === 0x2e) {
      this.at += 2
      this.push(OPERATOR, start, '..')
      return
    }
    this.at++
    this.push(OPERATOR, start, '.')
    if (this.goesOn(this.at)) {
      this.plain.add(this.kinds.length)
      this.word()
    }
  }

  private variable(): void {
    const start = this.at
    const c = this.code(start + 1)
    if (c === 0x40) {
      this.at += 2
      this.push(SYSTEM, start, '')
      return
    }
    if (c === 0x60 || c === 0x27 || c === 0x22) {
      if (c === 0x60 || (c === 0x22 && this.modes & ANSI_QUOTES)) {
        const stop = this.quotedEnd(start + 1, c)
        if (stop === null) this.wrong(start, 'a name in quotes that does not end')
        this.at = stop ?? this.end
        this.push(VARIABLE, start, '')
        return
      }
      this.string(start, start + 1)
      this.kinds[this.kinds.length - 1] = VARIABLE
      return
    }
    let i = start + 1
    while (isName(this.code(i)) || this.code(i) === 0x2e) i++
    if (i === start + 1 || this.code(i) >= 0x80) this.wrong(start, 'a variable without a name')
    this.at = i
    this.push(VARIABLE, start, '')
  }

  private line(): void {
    const start = this.at
    const stop = this.text.indexOf('\n', start)
    this.at = stop < 0 ? this.end : stop + 1
    // A zero byte ends it sooner.
    const zero = this.text.slice(start, this.at).indexOf('\0')
    if (zero >= 0) this.wrong(start + zero, 'a zero byte in a comment')
  }

  private comment(): void {
    const { text, context } = this
    const start = this.at
    const mark = this.code(start + 2)
    const maria = mark === 0x4d && this.code(start + 3) === 0x21
    if (mark === 0x21 || (maria && context.server === 'mariadb')) {
      const from = start + (maria ? 4 : 3)
      const digits = /^\d{5,6}/.exec(text.substr(from, 6))?.[0] ?? ''
      const runs = digits === '' ? { skips: 0 } : this.versioned(digits, maria, from)
      if (runs !== null) {
        this.at = from + runs.skips
        this.inComment = true
        return
      }
      this.skip(from, 1)
      return
    }
    if (mark === 0x2b) {
      // Hints hold for MySQL and for later versions of MariaDB; where they hold for nothing they are comments.
      const stop = text.indexOf('*/', start + 3)
      this.at = stop < 0 ? this.end : stop + 2
      if (stop < 0) this.wrong(start, 'a comment that does not end')
      if (isHinted(this.words[this.words.length - 1])) this.push(HINT, start, '')
      return
    }
    this.skip(start + 2, 0)
  }

  /** Whether a comment for servers from a version on is code to this one; how many characters its version has. */
  private versioned(
    digits: string,
    maria: boolean,
    from: number,
  ): { readonly skips: number } | null {
    const { server, serverVersion } = this.context
    if (serverVersion === 0) {
      this.uncertain = true
      return this.expand ? { skips: digits.length } : null
    }
    if (server === 'mariadb') {
      const version = Number(digits)
      if (version > serverVersion) return null
      if (maria || version < 50700 || version > 99999) return { skips: digits.length }
      // Left to MySQL; how far up, differs.
      if (version <= 50799) return null
      this.uncertain = true
      return this.expand ? { skips: digits.length } : null
    }
    if (digits.length === 6) {
      // Read as six by later versions if white space follows, and as five and a digit of the code by others.
      if (serverVersion >= 80100 && CLASS[this.code(from + 6)] === SPACE)
        return Number(digits) <= serverVersion ? { skips: 6 } : null
      if (serverVersion >= 50700 && serverVersion < 80100) {
        this.uncertain = true
        return this.expand ? { skips: 6 } : null
      }
    }
    return Number(digits.slice(0, 5)) <= serverVersion ? { skips: 5 } : null
  }

  /** A comment from behind its opening; those that are code for others may hold one of a level more. */
  private skip(from: number, nested: number): void {
    const { text, end } = this
    let i = from
    for (;;) {
      const close = text.indexOf('*/', i)
      if (nested > 0) {
        const open = text.indexOf('/*', i)
        if (open >= 0 && open < close) {
          const inner = text.indexOf('*/', open + 2)
          i = inner < 0 ? end : inner + 2
          continue
        }
      }
      if (close < 0) {
        this.wrong(from, 'a comment that does not end')
        this.at = end
      } else this.at = close + 2
      return
    }
  }
}

function isHinted(word: string | undefined): boolean {
  return /^(select|insert|replace|update|delete)$/.test(word ?? '')
}

function isDigit(c: number): boolean {
  return c >= 0x30 && c <= 0x39
}

function isName(c: number): boolean {
  return c < 0x80 && (CLASS[c]! & NAME) !== 0
}

function isDigitOf(c: number, letter: number): boolean {
  if (letter === 0x62) return c === 0x30 || c === 0x31
  return isDigit(c) || ((c | 0x20) >= 0x61 && (c | 0x20) <= 0x66)
}

/** What a word, a name in quotes or a variable is called. */
export function nameAt(tokens: Tokens, i: number): string {
  const { kinds, starts, ends, text, characters } = tokens
  const raw = text.slice(starts[i], ends[i])
  switch (kinds[i]) {
    case QUOTED:
      return decoded(unquoted(raw), characters)
    case VARIABLE: {
      const name = raw.slice(1)
      const quote = name[0]
      if (quote === '`') return decoded(unquoted(name), characters)
      return decoded(quote === "'" || quote === '"' ? unescaped(name) : name, characters)
    }
    case STRING:
      return decoded(unescaped(raw.slice(raw.search(/['"]/))), characters)
  }
  return decoded(raw, characters)
}

/** The text of a string, as far as it is plain; escapes other than of marks stay as they are. */
function unescaped(raw: string): string {
  const quote = raw[0]!
  return raw.slice(1, -1).replaceAll(quote + quote, quote)
}

function unquoted(raw: string): string {
  const quote = raw[0]!
  return raw.slice(1, -1).replaceAll(quote + quote, quote)
}
