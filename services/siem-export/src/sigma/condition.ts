/**
 * Sigma's condition expressions, to one function over the searches that they name.
 *   or = and {"or" and}   and = not {"and" not}   not = "not" not | "(" or ")" | ("1" | "all") "of" ("them" | pattern) | search
 * `them` and patterns leave out searches whose names begin with an underscore. Refuses names that no search has.
 */
import { SigmaError } from './rule'

export type Test<F> = (fields: F) => boolean

const TOKENS_MAX = 1000
const DEPTH_MAX = 100

export function compileCondition<F>(text: string, searches: ReadonlyMap<string, Test<F>>): Test<F> {
  const tokens = text.match(/[()]|[^\s()]+/g) ?? []
  if (tokens.length > TOKENS_MAX) throw new SigmaError('the condition is too long')
  let at = 0
  const peek = () => tokens[at]?.toLowerCase()

  function alternatives(depth: number): Test<F> {
    const tests = [conjunction(depth)]
    while (peek() === 'or') {
      at++
      tests.push(conjunction(depth))
    }
    return anyOf(tests)
  }

  function conjunction(depth: number): Test<F> {
    const tests = [negation(depth)]
    while (peek() === 'and') {
      at++
      tests.push(negation(depth))
    }
    return allOf(tests)
  }

  function negation(depth: number): Test<F> {
    if (depth > DEPTH_MAX) throw new SigmaError('the condition is too deep')
    const token = tokens[at++]
    if (token === undefined) throw new SigmaError('the condition ends too early')
    const word = token.toLowerCase()
    if (word === 'not') {
      const test = negation(depth + 1)
      return (fields) => !test(fields)
    }
    if (token === '(') {
      const test = alternatives(depth + 1)
      if (tokens[at++] !== ')') throw new SigmaError('a parenthesis is not closed')
      return test
    }
    if ((word === '1' || word === 'any' || word === 'all') && peek() === 'of') {
      at++
      const pattern = tokens[at++]
      if (pattern === undefined) throw new SigmaError('the condition ends too early')
      const tests = named(pattern)
      return word === 'all' ? allOf(tests) : anyOf(tests)
    }
    if (['and', 'or', 'of', ')'].includes(word)) throw new SigmaError(`${token} is not expected`)
    const test = searches.get(token)
    if (test === undefined) throw new SigmaError(`no search ${token}`)
    return test
  }

  function named(pattern: string): Test<F>[] {
    const names = [...searches.keys()].filter((name) => !name.startsWith('_'))
    const found =
      pattern.toLowerCase() === 'them' ? names : names.filter((name) => matches(pattern, name))
    if (found.length === 0) throw new SigmaError(`no search ${pattern}`)
    return found.map((name) => searches.get(name)!)
  }

  const test = alternatives(0)
  if (at < tokens.length) throw new SigmaError(`${tokens[at]} is not expected`)
  return test
}

function matches(pattern: string, name: string): boolean {
  const parts = pattern.split('*')
  if (parts.length === 1) return pattern === name
  const first = parts[0]!
  const last = parts.at(-1)!
  if (!name.startsWith(first) || !name.endsWith(last) || name.length < first.length + last.length)
    return false
  let from = first.length
  for (const part of parts.slice(1, -1)) {
    const found = name.indexOf(part, from)
    if (found < 0 || found + part.length > name.length - last.length) return false
    from = found + part.length
  }
  return true
}

export function allOf<F>(tests: readonly Test<F>[]): Test<F> {
  if (tests.length === 1) return tests[0]!
  return (fields) => {
    for (let i = 0; i < tests.length; i++) if (!tests[i]!(fields)) return false
    return true
  }
}

export function anyOf<F>(tests: readonly Test<F>[]): Test<F> {
  if (tests.length === 1) return tests[0]!
  return (fields) => {
    for (let i = 0; i < tests.length; i++) if (tests[i]!(fields)) return true
    return false
  }
}
