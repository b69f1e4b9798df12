/**
 * What the words of a shell become when they are expanded: braces, quotes, variables whose value the text itself gives.
 * Refuses to guess: a part that only the running shell knows is `UNKNOWN`, and a word with one is never taken for a name.
 */

import type { ParsedScript, Word, WordPart } from 'unbash'
import { parse } from 'unbash'

/** Stands in a field for what can't be told. It can't be in a text: NUL ends every C string. */
export const UNKNOWN = '\0'

/** What can't be told, but for that it is one word and no option. */
export const SOME_WORD = '\x01\0'

export interface Field {
  text: string
  /** It may become several words, or none. */
  isMany: boolean
  /** It has a pattern of file names. */
  isGlob: boolean
  /** Programs whose output it is, or which its name (`<(…)`) stands for. */
  from: readonly (string | null)[]
}

export const known = (field: Field | undefined): boolean =>
  field !== undefined && !field.text.includes(UNKNOWN) && !field.isMany

export const literal = (text: string): Field => ({ text, isMany: false, isGlob: false, from: [] })

export interface WordContext {
  /** The value of a variable, or null where it can't be told. */
  variable(name: string): string | null
  /** Walks what stands in `$(…)`, `<(…)`; answers the programs in it. */
  substitution(script: ParsedScript | undefined): readonly (string | null)[]
  /** Walks what stands in arithmetic. */
  arithmetic(part: WordPart): void
  problem(text: string): void
}

const FIELDS_MAX = 1000
const IFS = /[ \t\n]+/

/** A word's fields, as a shell would hand them to a program; braces are expanded, patterns are not. */
export function fieldsOf(word: Word, context: WordContext): Field[] {
  if (word.parts?.some(({ type }) => type === 'BraceExpansion')) {
    const texts = braces(word.text)
    if (texts === null) {
      context.problem('braces that become too many words')
      return [{ ...literal(UNKNOWN), isMany: true }]
    }
    if (texts.length !== 1 || texts[0] !== word.text)
      return texts.flatMap((text) => {
        const one = parse(`_ ${text}`)
        const statement = one.commands[0]?.command
        if (one.errors?.length || statement?.type !== 'Command') {
          context.problem('braces that can’t be read')
          return [literal(UNKNOWN)]
        }
        return statement.suffix.flatMap((each) =>
          each.type === 'Word' ? split(each, context) : [literal(UNKNOWN)],
        )
      })
  }
  return split(word, context)
}

/** A word where no splitting happens: an assigned value, a here-document, what is redirected to. */
export function textOf(word: Word, context: WordContext): Field {
  const fields = split(word, context, true)
  return fields[0] ?? literal('')
}

export function partsText(parts: readonly WordPart[], context: WordContext): Field {
  const builder = new Builder(context, true)
  builder.quoted(parts)
  return builder.fields()[0] ?? literal('')
}

function split(word: Word, context: WordContext, isWhole = false): Field[] {
  checkReading(word.text, context)
  const builder = new Builder(context, isWhole)
  if (word.parts === undefined) builder.add(word.value, false)
  else for (const part of word.parts) builder.part(part)
  return builder.fields()
}

/** What POSIX shells, zsh and fish take for different words than bash does. */
function checkReading(text: string, context: WordContext): void {
  if (/\$'(?:[^'\\]|\\[^'])*\\'/.test(text))
    context.problem('quotes that not every shell reads alike')
  else if (/(?:^|[^$\\])'[^']*\\'/.test(text) && !text.includes('"'))
    context.problem('quotes that not every shell reads alike')
}

class Builder {
  private done: Field[] = []
  private open: Field | null = null

  constructor(
    private readonly context: WordContext,
    private readonly isWhole: boolean,
  ) {}

  fields(): Field[] {
    if (this.open) this.done.push(this.open)
    this.open = null
    return this.done
  }

  private current(): Field {
    this.open ??= literal('')
    return this.open
  }

  add(text: string, isGlob: boolean): void {
    const field = this.current()
    field.text += text
    if (isGlob) field.isGlob = true
  }

  private unknown(isQuoted: boolean, from: readonly (string | null)[] = []): void {
    const field = this.current()
    field.text += UNKNOWN
    if (!isQuoted && !this.isWhole) field.isMany = true
    if (from.length > 0) field.from = [...field.from, ...from]
  }

  private value(value: string | null, isQuoted: boolean): void {
    if (value === null) {
      this.unknown(isQuoted)
      return
    }
    if (isQuoted || this.isWhole) {
      this.add(value, false)
      return
    }
    const pieces = value.split(IFS)
    for (const [at, piece] of pieces.entries()) {
      if (at > 0 && this.open) {
        this.done.push(this.open)
        this.open = null
        if (this.done.length > FIELDS_MAX) throw new RangeError('too many words')
      }
      if (piece !== '') this.add(piece, /[*?[]/.test(piece))
    }
  }

  quoted(parts: readonly WordPart[]): void {
    this.current()
    for (const part of parts) this.part(part, true)
  }

  part(part: WordPart, isQuoted = false): void {
    const { context } = this
    switch (part.type) {
      case 'Literal':
      case 'SingleQuoted':
      case 'AnsiCQuoted': {
        this.add(part.value, false)
        return
      }
      case 'Glob': {
        this.add(part.text, !isQuoted)
        return
      }
      case 'ExtendedGlob':
        for (const one of part.parts ?? []) new Builder(context, true).part(one)
        {
          this.add(part.text, !isQuoted)
          return
        }
      case 'DoubleQuoted':
      case 'LocaleString': {
        this.quoted(part.parts)
        return
      }
      case 'SimpleExpansion': {
        this.value(context.variable(part.text.slice(1)), isQuoted)
        return
      }
      case 'ParameterExpansion': {
        const words: (Word | undefined)[] = [part.index]
        const { operation } = part
        if (operation)
          for (const one of Object.values(operation))
            if (typeof one === 'object' && one?.type === 'Word') words.push(one)
        for (const one of words) if (one) textOf(one, context)
        const isPlain = !part.index && !operation && !part.prefix
        this.value(isPlain ? context.variable(part.parameter) : null, isQuoted)
        return
      }
      case 'CommandExpansion': {
        this.unknown(isQuoted, context.substitution(part.script))
        return
      }
      case 'ProcessSubstitution': {
        this.unknown(true, context.substitution(part.script))
        return
      }
      case 'ArithmeticExpansion':
        context.arithmetic(part)
        {
          this.unknown(true)
          return
        }
      case 'BraceExpansion': // One that expands was taken apart before.
        {
          this.add(part.text, false)
          return
        }
    }
  }
}

/** What braces in an unexpanded word make of it; null: too many. */
export function braces(text: string): string[] | null {
  let left = FIELDS_MAX
  const expand = (one: string): string[] => {
    for (let at = 0; at < one.length; at = next(one, at)) {
      if (one[at] !== '{') continue
      const inner = braceAt(one, at)
      if (inner === null) continue
      const [before, after] = [one.slice(0, at), one.slice(inner.end)]
      const rest = expand(after)
      const out: string[] = []
      for (const choice of inner.choices.flatMap(inner.isRange ? (each) => [each] : expand))
        for (const tail of rest) {
          if (left-- <= 0) throw new RangeError('too many')
          out.push(before + choice + tail)
        }
      return out
    }
    return [one]
  }
  try {
    // What braces leave empty is no word.
    return expand(text).filter((one) => one !== '')
  } catch {
    return null
  }
}

/** Past one character, or past what is quoted or stands for something else. */
function next(text: string, at: number): number {
  const one = text[at]
  if (one === '\\') return at + 2
  if (one === "'") return past(text, at + 1, "'")
  if (one === '"' || one === '`') {
    let i = at + 1
    while (i < text.length && text[i] !== one) i += text[i] === '\\' ? 2 : 1
    return i + 1
  }
  if (one === '$' && (text[at + 1] === '{' || text[at + 1] === '(')) {
    const [open, close] = text[at + 1] === '{' ? ['{', '}'] : ['(', ')']
    let depth = 0
    for (
      let i = at + 1;
      i < text.length;
      i = i === at + 1 || text[i] === open || text[i] === close ? i + 1 : next(text, i)
    ) {
      if (text[i] === open) depth++
      else if (text[i] === close && --depth === 0) return i + 1
    }
    return text.length
  }
  return at + 1
}

function past(text: string, at: number, mark: string): number {
  const end = text.indexOf(mark, at)
  return end < 0 ? text.length : end + 1
}

function braceAt(
  text: string,
  at: number,
): { choices: string[]; end: number; isRange: boolean } | null {
  const choices: string[] = []
  let from = at + 1
  let depth = 0
  for (let i = at + 1; i < text.length; i = next(text, i)) {
    const one = text[i]
    if (one === '{') depth++
    else if (one === '}' && depth > 0) depth--
    else if (one === ',' && depth === 0) {
      choices.push(text.slice(from, i))
      from = i + 1
    } else if (one === '}') {
      const last = text.slice(from, i)
      if (choices.length > 0) return { choices: [...choices, last], end: i + 1, isRange: false }
      const range = rangeOf(last)
      return range && { choices: range, end: i + 1, isRange: true }
    }
  }
  return null
}

function rangeOf(text: string): string[] | null {
  const match = /^(-?\d+|[A-Za-z])\.\.(-?\d+|[A-Za-z])(?:\.\.(-?\d+))?$/.exec(text)
  if (!match) return null
  const [, a, b, by] = match as unknown as [string, string, string, string | undefined]
  const isNumber = /\d/.test(a) && /\d/.test(b)
  if (!isNumber && (/\d/.test(a) || /\d/.test(b))) return null
  const [from, to] = isNumber ? [Number(a), Number(b)] : [a.charCodeAt(0), b.charCodeAt(0)]
  const step = Math.max(1, Math.abs(Number(by ?? 1)))
  const out: string[] = []
  for (let i = from; from <= to ? i <= to : i >= to; i += from <= to ? step : -step) {
    if (out.length > FIELDS_MAX) throw new RangeError('too many')
    out.push(isNumber ? String(i) : String.fromCharCode(i))
  }
  return out
}
