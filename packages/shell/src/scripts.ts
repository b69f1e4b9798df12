/** The little languages in arguments of sed and awk: whether a script may run or write something. Refuses what it can't read. */
import { type Field, known } from './words'

/** Null: it only edits what passes through. */
export function sedDoes(args: readonly Field[]): string | null {
  const scripts: Field[] = []
  let hasScript = false
  for (let at = 0; at < args.length; at++) {
    const field = args[at]!
    const { text } = field
    if (/^(?:-[nrEuzs]*e|--expression)$/.test(text)) {
      hasScript = true
      if (args[at + 1]) scripts.push(args[++at]!)
    } else if (text.startsWith('--expression=')) {
      hasScript = true
      scripts.push({ ...field, text: text.slice(13) })
    } else if (/^(?:-\w*f|--file)/.test(text)) return 'a script of sed in a file'
    else if (text === '-l' || text === '--line-length') at++
    else if (text.startsWith('-') && text.length > 1) continue
    else if (!hasScript) {
      hasScript = true
      scripts.push(field)
    }
  }
  if (args.some(({ text }) => text === '--sandbox')) return null
  for (const script of scripts) {
    // A variable can end a part of the script and begin another.
    if (!known(script)) {
      if (!isPlainSubstitution(script.text)) return 'a script of sed that can’t be told'
    } else if (!isHarmlessSed(script.text)) return 'a script of sed that may run something'
  }
  return null
}

/** `s/…/$x/`: the unknown part may hold anything, but for a slash it stays within; taken for what it looks like. */
const isPlainSubstitution = (text: string): boolean =>
  /^s([/|#,@])[^\n]*\1[^\n]*\1[gIip0-9]*$/.test(text) && !/[eEw]$/.test(text)

function isHarmlessSed(text: string): boolean {
  let at = 0
  const delimited = (mark: string): boolean => {
    while (at < text.length && text[at] !== mark) {
      if (text[at] === '\\') at++
      else if (text[at] === '[') {
        const end = text.indexOf(']', at + 2)
        if (end > 0 && !text.slice(at, end).includes('\n')) {
          const inner = text.indexOf(mark, at)
          // A mark in brackets ends nothing in some, and everything in others.
          if (inner > 0 && inner < end) return false
          at = end
        }
      }
      at++
    }
    return at++ < text.length
  }
  const address = (): boolean => {
    if (text[at] === '/') {
      at++
      if (!delimited('/')) return false
      while (/[IM]/.test(text[at] ?? '')) at++
    } else if (text[at] === '\\') {
      const mark = text[at + 1] ?? ''
      at += 2
      if (!delimited(mark)) return false
    } else while (/[\d$~+]/.test(text[at] ?? '')) at++
    return true
  }
  while (at < text.length) {
    while (/[\s;{}]/.test(text[at] ?? '')) at++
    if (at >= text.length) break
    if (text[at] === '#') {
      const end = text.indexOf('\n', at)
      at = end < 0 ? text.length : end
      continue
    }
    if (!address()) return false
    while (/\s/.test(text[at] ?? '')) at++
    if (text[at] === ',') {
      at++
      while (/\s/.test(text[at] ?? '')) at++
      if (!address()) return false
    }
    while (/[\s!]/.test(text[at] ?? '')) at++
    const command = text[at++]
    if (command === undefined) return false
    if (command === 's' || command === 'y') {
      const mark = text[at++]
      if (mark === undefined || !delimited(mark) || !delimited(mark)) return false
      while (/[gIiMmp\d]/.test(text[at] ?? '')) at++
      if (!/^[\s;}]|^$/.test(text[at] ?? '')) return false
    } else if ('aic'.includes(command)) {
      const end = text.indexOf('\n', at)
      if (end > 0 && text[end - 1] === '\\') return false
      at = end < 0 ? text.length : end
    } else if (':btT'.includes(command)) {
      while (at < text.length && !/[;\n}]/.test(text[at]!)) at++
    } else if ('dDgGhHlnNpPqQxz={}F'.includes(command)) {
      while (/\d/.test(text[at] ?? '')) at++
    } else if (command === 'r') {
      const end = text.indexOf('\n', at)
      at = end < 0 ? text.length : end
    } else return false
  }
  return true
}

/** Null: it only prints. */
export function awkDoes(args: readonly Field[]): string | null {
  for (let at = 0; at < args.length; at++) {
    const field = args[at]!
    const { text } = field
    if (text === '-F' || text === '-v' || text === '--field-separator' || text === '--assign') {
      at++
      continue
    }
    if (
      /^(?:-F|-v|--field-separator=|--assign=|--csv|--re-interval|--posix|--)/.test(text) &&
      !/^--$/.test(text)
    )
      continue
    if (/^(?:-f|-e|-E|-i|-l|--file|--source|--exec|--include|--load)/.test(text))
      return 'a program of awk that can’t be told'
    if (text === '--') continue
    if (!known(field)) return 'a program of awk that can’t be told'
    const bare = text
      .replace(/"(?:[^"\\]|\\.)*"/g, '""')
      .replace(/(^|[~(,!{;&|\n])(\s*)\/(?:[^/\\\n]|\\.)+\//g, '$1$2//')
    if (
      /\bsystem\b|\bgetline\b|\bclose\b|@|\|(?!\|)|\bprintf?\b[^;{}\n]*>/.test(
        bare.replaceAll('||', ''),
      )
    )
      return 'a program of awk that may run something'
    return null
  }
  return null
}
