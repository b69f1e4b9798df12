/**
 * Patterns of one's own: RE2's syntax, matched in time linear in the text (docs/decisions/0012-own-patterns.md).
 * Refuses what can't be: references back, looking around, patterns that match nothing, and patterns too big to keep.
 */
import { RE2JS } from 're2js'
import type { Find } from './scan'

export interface OwnPattern {
  name: string
  pattern: string
}

export const PATTERN_CHARACTERS_MAX = 1000
export const PATTERNS_MAX = 100
/** Instructions of all patterns together: `x{1000}{1000}` is short to write and long to run. */
export const PATTERN_INSTRUCTIONS_MAX = 10_000

interface Compiled {
  name: string
  expression: RE2JS
}

/** Throws an Error with words where a pattern can't be used. */
export function compilePatterns(patterns: readonly OwnPattern[]): PatternMatcher {
  if (patterns.length > PATTERNS_MAX)
    throw new Error(`${patterns.length} patterns; at most ${PATTERNS_MAX} can be given`)
  return new PatternMatcher(patterns.map(compiled))
}

function compiled({ name, pattern }: OwnPattern): Compiled {
  const wrong = (why: string) => new Error(`pattern ${name}: ${why}`)
  if (pattern.length > PATTERN_CHARACTERS_MAX)
    throw wrong(`${pattern.length} characters; at most ${PATTERN_CHARACTERS_MAX} can be given`)
  if (/\(\?<?[=!]/.test(withoutClasses(pattern)))
    throw wrong('looking ahead or behind can’t be done in linear time')
  if (/\\[1-9]|\\k/.test(withoutClasses(pattern)))
    throw wrong('a reference back can’t be matched in linear time')
  let expression: RE2JS
  try {
    expression = RE2JS.compile(pattern)
  } catch (error) {
    throw wrong(error instanceof Error ? error.message : String(error))
  }
  if (expression.programSize() > PATTERN_INSTRUCTIONS_MAX)
    throw wrong('it repeats too much to be kept')
  if (expression.test('')) throw wrong('it matches an empty text')
  return { name, expression }
}

/** Escaped backslashes and classes left out, so that `[(?=]` is no looking ahead. */
function withoutClasses(pattern: string): string {
  return pattern.replace(/\\\\/g, '').replace(/\[(?:\\.|[^\]\\])*\]/g, '')
}

/**
 * Each match is found in linear time, and a pattern may look far ahead for every one of many matches: after so many the rest
 * of the value counts as one.
 */
const LOOKED_AT_CHARACTERS_MAX = 2 ** 28
const FINDS_MIN = 32

export class PatternMatcher {
  private readonly any: RE2JS | null

  constructor(private readonly patterns: readonly Compiled[]) {
    this.any =
      patterns.length === 0
        ? null
        : RE2JS.compile(patterns.map(({ expression }) => `(?:${expression.pattern()})`).join('|'))
  }

  get isEmpty(): boolean {
    return this.patterns.length === 0
  }

  /** Appends what the patterns find, in no order. */
  scan(bytes: Buffer, start: number, end: number, finds: Find[]): void {
    if (this.patterns.length === 0) return
    let text = bytes.toString('utf8', start, end)
    // One pass for all of them says that most texts have none.
    if (!this.any!.test(text)) return
    let lengthOf: (text: string) => number = Buffer.byteLength
    if (text.includes('\ufffd')) {
      // Not UTF-8: a character for each byte, so that places are right.
      text = bytes.toString('latin1', start, end)
      lengthOf = ({ length }) => length
    }
    for (const { name, expression } of this.patterns) {
      const matcher = expression.matcher(text)
      let left = Math.max(FINDS_MIN, Math.floor(LOOKED_AT_CHARACTERS_MAX / text.length))
      let characters = 0
      let at = start
      while (matcher.find()) {
        const [from, to] = [matcher.start(), matcher.end()]
        // A pattern like `a|$` may match nothing somewhere.
        if (to === from) continue
        at += lengthOf(text.slice(characters, from))
        if (left-- === 0) {
          finds.push({ start: at, end, detector: name })
          break
        }
        const length = lengthOf(text.slice(from, to))
        finds.push({ start: at, end: at + length, detector: name })
        at += length
        characters = to
      }
    }
  }
}
