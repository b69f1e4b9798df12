/**
 * What a SQL text does, by our own scanner and parser of the grammars of MySQL and MariaDB: its statements with verbs, objects,
 * fingerprint, and whether each is proven to only read. Pure but for a cache in front.
 * Refuses to guess: what is not parsed or not known is `sql:unknown` and not understood, never harmless.
 */
import { createHash } from 'node:crypto'
import type { Breadth, ObjectName } from '@custody/sql'
import type { Form } from './ast'
import { type Facts, factsOf, isReadOnly } from './facts'
import { type Lineage, lineageOf, unknownLineage } from './lineage'
import { Misunderstood } from './parse-expressions'
import { StatementParser } from './parse-statements'
import { type Effects, noEffects, type Parsed, type SettingChange } from './parsed'
import {
  BITS,
  NUMBER,
  nameAt,
  OPERATOR,
  PARAMETER,
  type SqlContext,
  STRING,
  type Tokens,
  tokenize,
  VARIABLE,
  WORD,
} from './tokens'

export type { Breadth, Effects, ObjectName, SettingChange, SqlContext }

export interface StatementAnalysis {
  /** Bytes from the text's start; of a text with one statement all of it. */
  start: number
  end: number
  verbs: string[]
  objects: ObjectName[]
  fingerprint: string | null
  understood: boolean
  problem: string | null
  /** Proven to change nothing: reads only, and calls only functions known to do the same. */
  readOnly: boolean
  /** It may make or change something that other statements run without saying so: views, routines, triggers, … */
  makesCode: boolean
  /** Columns named anywhere in it, by their last name; `*` for all of something. */
  columns: string[]
  /** For each verb that picks rows, the widest place that does it. */
  breadth: Record<string, Breadth>
  /** It gives a table or a column another name. */
  renames: boolean
  /** Words of code that it runs or leaves behind to be run, in lower case. `*`: not in its words. Null: there is none. */
  codeWords: readonly string[] | null
  /** What it does to the session and the server besides. */
  effects: Effects
  /** Ordinals of its literals (`literalsOf`) that are passwords or keys by their place; null: any may be. */
  secrets: readonly number[] | null
  /** From which columns its outputs derive; `createResolver` reads it. */
  lineage: Lineage
}

export interface Analysis {
  statements: StatementAnalysis[]
}

export interface Analyser {
  /** `text`: one character for each byte, `bytes.toString('latin1')`. */
  analyse(text: string, context: SqlContext): Analysis
}

export interface AnalyserOptions {
  cacheEntriesMax: number
  cacheBytesMax: number
  /** Longer texts are not parsed, and not understood. */
  parseBytesMax: number
}

/** Statements of one text; one with more is not understood. */
const STATEMENTS_MAX = 1000
/** Statements that are looked for in a block which is not understood. */
const BLOCKS_MAX = 50
/** Words of one statement's code. */
const CODE_WORDS_MAX = 20_000
/** Statements prepared from texts that are within others' texts. */
const TEXTS_DEEP_MAX = 3

export function unanalysed(problem: string | null): StatementAnalysis {
  return {
    start: 0,
    end: 0,
    verbs: ['sql:unknown'],
    objects: [],
    fingerprint: null,
    understood: false,
    problem,
    readOnly: false,
    makesCode: true,
    columns: [],
    breadth: {},
    renames: false,
    codeWords: ['*'],
    effects: noEffects(),
    secrets: null,
    lineage: unknownLineage(problem ?? 'not analysed'),
  }
}

/** What a setting made outside of SQL does, in a handshake or by a command: the same as SET. */
export function settingAnalysis(name: string, value: string): StatementAnalysis {
  const setting = name.toLowerCase()
  const known = /^[a-z0-9_.@$ ]+$/.test(setting)
  return {
    ...unanalysed(known ? null : 'a setting that is not understood'),
    verbs: [known ? 'sql:set' : 'sql:unknown'],
    objects: [{ kind: 'setting', name: setting, verb: known ? 'sql:set' : 'sql:unknown' }],
    understood: known,
    makesCode: false,
    codeWords: null,
    secrets: [],
    effects: {
      ...noEffects(),
      database: setting === 'database' ? value : null,
      settings: setting === 'database' ? [] : [{ scope: 'session', name: setting, value }],
    },
    lineage: lineageOf({ is: 'utility', of: [] }, [], 0),
  }
}

export function createAnalyser(options: AnalyserOptions): Analyser {
  const cache = new Map<string, Analysis>()
  let cachedBytes = 0
  return {
    analyse(text, context) {
      if (text.length > options.parseBytesMax)
        return {
          statements: [
            { ...unanalysed(`longer than ${options.parseBytesMax} bytes`), end: text.length },
          ],
        }
      const tokens = tokenize(text, context)
      const key = keyOf(tokens, context)
      const known = cache.get(key)
      if (known !== undefined) return fitted(known, text.length)
      const analysis = analyseTokens(tokens, context)
      // Positions in a text of several statements hold for this very text alone.
      if (analysis.statements.length > 1) return analysis
      if (cache.size >= options.cacheEntriesMax || cachedBytes > options.cacheBytesMax) {
        cache.clear()
        cachedBytes = 0
      }
      cache.set(key, analysis)
      cachedBytes += key.length + 256 + (analysis.statements[0]?.lineage.bytes ?? 0)
      return analysis
    },
  }
}

function fitted(analysis: Analysis, end: number): Analysis {
  const [only] = analysis.statements
  if (only === undefined || only.end === end) return analysis
  return { statements: [{ ...only, end }] }
}

/** Statements whose literals are values alone, wherever they stand but for a few places. */
const VALUES_ALONE = /^(select|insert|replace|update|delete)$/

/**
 * The key under which an analysis is kept: the tokens with a mark for each literal that can be nothing but a value. An alias, a
 * file and the like are part of it.
 */
function keyOf(tokens: Tokens, context: SqlContext): string {
  const { kinds, words, count, text, starts, ends } = tokens
  const plain =
    tokens.problem === null &&
    !tokens.uncertain &&
    VALUES_ALONE.test(words[0] ?? '') &&
    !words.includes(';')
  const mode = typeof context.sqlMode === 'string' ? context.sqlMode : [...context.sqlMode].join()
  const parts = [
    `${plain ? 'p' : 't'}${context.server[1]}${context.serverVersion}${context.multiStatements ? 'm' : ''}|${context.characterSet ?? ''}|${mode}|`,
  ]
  let from = 0
  if (plain)
    for (let i = 1; i < count; i++) {
      const kind = kinds[i]
      if (kind !== NUMBER && kind !== STRING && kind !== BITS) continue
      const before = kinds[i - 1]
      const word = words[i - 1]!
      // Behind an operator or a keyword of expressions it is a value; behind a name it may be another name.
      if (
        !(before === OPERATOR && word !== ')' && word !== '.') &&
        !(before === WORD && VALUED.has(word))
      )
        continue
      parts.push(
        text.slice(from, starts[i]),
        kind === NUMBER ? '\u0001' : kind === STRING ? '\u0002' : '\u0003',
      )
      from = ends[i]!
    }
  parts.push(text.slice(from))
  return parts.join('')
}

const VALUED = new Set(
  'and or xor not where on having when then else between like in limit offset select values value regexp rlike interval div mod by'.split(
    ' ',
  ),
)

/** Uncached. */
export function analyse(text: string, context: SqlContext): Analysis {
  return analyseTokens(tokenize(text, context), context)
}

function analyseTokens(tokens: Tokens, context: SqlContext, depth = 0): Analysis {
  const analysis = inOneWay(tokens, context, depth)
  if (!tokens.uncertain) return analysis
  // Neither way is known to be the server's: it may do what either does.
  const other = inOneWay(tokenize(tokens.text, context, false), context, depth)
  const unsure = (one: StatementAnalysis): StatementAnalysis => ({
    ...one,
    ...notUnderstood(one, 'a comment that this server may run'),
  })
  return {
    statements: [...analysis.statements.map(unsure), ...other.statements.map(unsure)]
      .map((one, _, all) => ({
        ...one,
        start: 0,
        end: tokens.text.length,
        verbs: [...new Set(all.flatMap(({ verbs }) => verbs))],
        objects: all.flatMap(({ objects }) => objects),
      }))
      .slice(0, 1),
  }
}

function notUnderstood(one: StatementAnalysis, problem: string): Partial<StatementAnalysis> {
  return {
    verbs: [...new Set([...one.verbs, 'sql:unknown'])],
    understood: false,
    problem: one.problem ?? problem,
    readOnly: false,
    makesCode: true,
    codeWords: ['*'],
    lineage: unknownLineage(one.problem ?? problem),
  }
}

function inOneWay(tokens: Tokens, context: SqlContext, depth: number): Analysis {
  const { text, count, ends, words, kinds } = tokens
  const statements: StatementAnalysis[] = []
  const parser = new StatementParser(tokens, context)
  let at = 0
  let from = 0
  /** Settings that change how the rest of the text is read. */
  let changed: string | null = null
  let moved = false
  while (at < count) {
    if (kinds[at] === OPERATOR && words[at] === ';') {
      at++
      // An empty statement is an error that ends the text; what is behind it is judged all the same.
      continue
    }
    if (statements.length >= STATEMENTS_MAX) {
      const last = statements.length - 1
      const problem = `more than ${STATEMENTS_MAX} statements`
      statements[last] = {
        ...statements[last]!,
        ...notUnderstood(statements[last]!, problem),
        end: text.length,
      }
      return { statements }
    }
    let one = single(parser, tokens, at, context, depth)
    let stop = at
    while (stop < count && !(kinds[stop] === OPERATOR && words[stop] === ';')) stop++
    const end = stop < count ? ends[stop]! - 1 : text.length
    if (
      tokens.problem !== null &&
      tokens.problem.at < (stop < count ? ends[stop]! : text.length + 1)
    )
      one = { ...one, ...notUnderstood(one, tokens.problem.why), problem: tokens.problem.why }
    else if (changed !== null) one = { ...one, ...notUnderstood(one, changed) }
    // Names without a database mean others from there on than the session's.
    if (moved) one = { ...one, lineage: unknownLineage('behind a change of database') }
    moved ||= one.effects.database !== null
    statements.push({ ...one, start: from, end })
    if (changesReading(one)) changed = `behind a change of how texts are read`
    at = stop
    from = stop < count ? ends[stop]! : text.length
  }
  if (statements.length === 0 && tokens.problem !== null)
    return { statements: [{ ...unanalysed(tokens.problem.why), end: text.length }] }
  // The servers cut off semicolons and white space at the end; comments alone are a statement that does nothing.
  if (/[^;\s]/.test(text.slice(from)) && from < text.length)
    statements.push({ ...empty(), start: from, end: text.length })
  else if (statements.length > 0) statements[statements.length - 1]!.end = text.length
  return { statements }
}

function empty(): StatementAnalysis {
  return {
    ...unanalysed(null),
    verbs: [],
    understood: true,
    readOnly: true,
    makesCode: false,
    codeWords: null,
    secrets: [],
    lineage: lineageOf({ is: 'utility', of: [] }, [], 0),
  }
}

const READING_SETTINGS =
  /^(sql_mode|character_set_client|character_set_connection|collation_connection|old_mode)$/

/** Whether what follows in the same text may be read in another way. */
function changesReading({ effects, understood, verbs }: StatementAnalysis): boolean {
  return (
    !understood ||
    verbs.includes('sql:call') ||
    verbs.includes('sql:execute') ||
    effects.settings.some(({ name, scope }) => scope !== 'statement' && READING_SETTINGS.test(name))
  )
}

function single(
  parser: StatementParser,
  tokens: Tokens,
  at: number,
  context: SqlContext,
  depth: number,
): StatementAnalysis {
  let parsed: Parsed
  let problem: string | null = null
  try {
    parsed = parser.parse(at)
  } catch (error) {
    if (!(error instanceof Misunderstood) && !(error instanceof RangeError)) throw error
    problem = error instanceof Misunderstood ? error.message : 'nested too deeply'
    parsed = parser.partial
  }
  const literals = problem === null ? literalCount(tokens, at) : 0
  if (problem !== null)
    return failed(parsed, tokens, at, problem, within(parser, tokens, at, context))
  try {
    const facts = factsOf(parsed, context)
    const secrets = facts.secrets
    const form: Form = parsed.form
    const one: StatementAnalysis = {
      start: 0,
      end: 0,
      verbs: facts.verbs,
      objects: facts.objects,
      fingerprint: fingerprintOf(tokens, at, secrets),
      understood: true,
      problem: null,
      readOnly: isReadOnly(facts),
      makesCode: facts.makesCode,
      columns: facts.columns,
      breadth: facts.breadth,
      renames: parsed.renames,
      codeWords: codeWordsOf(tokens, parsed),
      effects: { ...parsed.effects, assigns: facts.assigns, writesFile: facts.writesFile },
      secrets,
      lineage: lineageOf(form, secrets, literals),
    }
    if (parsed.effects.prepares?.text != null) return withText(one, parsed, context, depth)
    if (parsed.problem !== null)
      return { ...one, ...notUnderstood(one, parsed.problem), lineage: one.lineage }
    return one
  } catch (error) {
    if (!(error instanceof Misunderstood) && !(error instanceof RangeError)) throw error
    const why = error instanceof Misunderstood ? error.message : 'nested too deeply'
    return failed(parsed, tokens, at, why, [])
  }
}

const BLOCKS = new Set(['then', 'else', 'atomic', 'do', 'loop', 'repeat', 'begin'])

/** Statements within a block of them, each up to its semicolon: what they do is said of the block, understood or not. */
function within(parser: StatementParser, tokens: Tokens, at: number, context: SqlContext): Facts[] {
  const found: Facts[] = []
  const { kinds, words, count } = tokens
  for (let i = at + 1; i < count && found.length < BLOCKS_MAX; i++) {
    if (kinds[i] === OPERATOR && words[i] === ';') break
    if (kinds[i - 1] !== WORD || !BLOCKS.has(words[i - 1]!)) continue
    let parsed: Parsed
    try {
      parsed = parser.parse(i)
    } catch (error) {
      if (!(error instanceof Misunderstood) && !(error instanceof RangeError)) throw error
      parsed = parser.partial
    }
    try {
      found.push(factsOf(parsed, context))
    } catch (error) {
      if (!(error instanceof Misunderstood) && !(error instanceof RangeError)) throw error
    }
  }
  return found
}

/** What could not be parsed: what was found of it, and what its first word says. */
function failed(
  parsed: Parsed,
  tokens: Tokens,
  at: number,
  problem: string,
  inner: readonly Facts[],
): StatementAnalysis {
  const verbs = new Set([...parsed.verbs, ...inner.flatMap((one) => one.verbs)])
  const first = tokens.kinds[at] === WORD ? FIRST[tokens.words[at]!] : undefined
  if (first !== undefined) verbs.add(first)
  verbs.add('sql:unknown')
  return {
    ...unanalysed(problem),
    verbs: [...verbs],
    objects: [...parsed.objects, ...inner.flatMap((one) => one.objects)],
    fingerprint: fingerprintOf(tokens, at, null),
    effects: parsed.effects,
  }
}

const FIRST: Record<string, string> = Object.fromEntries(
  'select insert update delete truncate create alter drop grant revoke call set show explain execute prepare lock load'
    .split(' ')
    .map((word) => [word, `sql:${word}`]),
)
for (const word of ['begin', 'if', 'case', 'loop', 'while', 'repeat', 'for', 'declare'])
  FIRST[word] = 'sql:do'
FIRST.replace = 'sql:insert'
FIRST.load = 'sql:copy-in'

/** A statement in a text does what that text does, now or later. */
function withText(
  one: StatementAnalysis,
  parsed: Parsed,
  context: SqlContext,
  depth: number,
): StatementAnalysis {
  const text = parsed.effects.prepares!.text!
  const inner =
    depth >= TEXTS_DEEP_MAX
      ? null
      : analyseTokens(tokenize(text, context), { ...context, multiStatements: false }, depth + 1)
  if (inner === null || inner.statements.length !== 1)
    return { ...one, ...notUnderstood(one, 'a text that is no statement') }
  const [of] = inner.statements as [StatementAnalysis]
  const form =
    parsed.form.is === 'make' && of.lineage.form !== null
      ? { ...parsed.form, of: of.lineage.form }
      : null
  return {
    ...one,
    verbs: [...new Set([...one.verbs, ...of.verbs])],
    objects: [...one.objects, ...of.objects],
    columns: of.columns,
    breadth: of.breadth,
    makesCode: of.makesCode,
    renames: of.renames,
    codeWords: of.codeWords,
    understood: of.understood,
    problem: of.problem,
    // What is only prepared has none of them yet.
    effects:
      parsed.form.is === 'make' ? one.effects : { ...of.effects, prepares: one.effects.prepares },
    // All of its text may be one.
    secrets: of.secrets === null || of.secrets.length > 0 ? null : one.secrets,
    lineage: form !== null ? lineageOf(form, [], 1) : unknownLineage('a statement in a text'),
  }
}

function literalCount(tokens: Tokens, at: number): number {
  let literals = 0
  for (let i = at; i < tokens.count; i++) {
    const kind = tokens.kinds[i]
    if (kind === STRING || kind === NUMBER || kind === BITS) literals++
    else if (kind === OPERATOR && tokens.words[i] === ';') break
  }
  return literals
}

function codeWordsOf(tokens: Tokens, { code }: Parsed): readonly string[] | null {
  if (code === null) return null
  const found = new Set<string>()
  for (let i = code.from; i < code.to; i++) {
    const { kinds } = tokens
    if (kinds[i] === STRING || kinds[i] === VARIABLE) {
      for (const word of nameAt(tokens, i)
        .toLowerCase()
        .match(/[a-z0-9_$]+/g) ?? [])
        found.add(word)
      // A statement that is put together from texts is in no word.
      continue
    }
    if (kinds[i] === WORD) found.add(tokens.words[i]!)
    else if (kinds[i] !== OPERATOR && kinds[i] !== NUMBER)
      found.add(nameAt(tokens, i).toLowerCase())
    if (found.size > CODE_WORDS_MAX) return ['*']
  }
  if (found.has('prepare') || found.has('execute')) found.add('*')
  return [...found]
}

/** The same for statements that differ in values, in how many there are in a list, in white space and comments. */
function fingerprintOf(tokens: Tokens, at: number, secrets: readonly number[] | null): string {
  const { kinds, words, count, text, starts, ends } = tokens
  // What other statements are given are names, texts and limits rather than values.
  const first = kinds[at] === OPERATOR ? 'select' : words[at]!
  const values =
    /^(select|insert|replace|update|delete|with|values|do|call|explain|describe|desc|analyze|table|kill|execute)$/.test(
      first,
    )
  const parts: string[] = []
  const hidden = secrets === null ? null : new Set(secrets)
  let literal = 0
  const behind = () => parts[parts.length - 1]
  for (let i = at; i < count && !(kinds[i] === OPERATOR && words[i] === ';'); i++) {
    const kind = kinds[i]!
    if (kind === STRING || kind === NUMBER || kind === BITS) {
      const secret = hidden === null || hidden.has(literal++)
      const file = words[i - 1] === 'outfile' || words[i - 1] === 'dumpfile'
      if (!secret && (!values || file)) parts.push(text.slice(starts[i], ends[i]))
      else parts.push('?')
    } else if (kind === PARAMETER) parts.push('?')
    else if (kind === OPERATOR) {
      const operator = words[i]!
      // A number's sign.
      if (
        (operator === '-' || operator === '+') &&
        kinds[i + 1] === NUMBER &&
        kinds[i - 1] === OPERATOR &&
        words[i - 1] !== ')' &&
        i > at
      )
        continue
      parts.push(operator)
    } else if (kind === WORD && !tokens.plain.has(i)) parts.push(words[i]!)
    else parts.push(text.slice(starts[i], ends[i]))
    if (behind() === '?' && values) {
      // ?, ?, ? is one; and so are rows of them.
      if (parts.length >= 3 && parts[parts.length - 2] === ',' && parts[parts.length - 3] === '?')
        parts.length -= 2
    } else if (behind() === ')' && values) {
      const n = parts.length
      if (
        n >= 7 &&
        parts[n - 2] === '?' &&
        parts[n - 3] === '(' &&
        parts[n - 4] === ',' &&
        parts[n - 5] === ')' &&
        parts[n - 6] === '?' &&
        parts[n - 7] === '('
      )
        parts.length -= 4
    }
  }
  return createHash('sha256').update(parts.join(' ')).digest('hex').slice(0, 16)
}
