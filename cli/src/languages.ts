/**
 * What a command does, by the language that a resource's protocol speaks: the analysers that the gateway uses. One list; a
 * protocol that is not in it has no commands that could be tried here.
 */
import type { CommandFacts } from '@custody/policy'
import { createAnalyser, loadParser, unanalysed } from '@custody/postgres-sql'
import { analyseShell, unanalysedShell } from '@custody/shell'
import { usageError } from './arguments'

const PARSE_BYTES_MAX = 256 * 1024

export interface Analysed {
  text: string
  facts: CommandFacts
}

export interface Language {
  /** As events name it. */
  readonly name: string
  /** Before the first analysis. */
  load(): Promise<void>
  /** What each command of a text does. */
  analyse(text: string): Analysed[]
  /** What takes the place of an analysis where there is none. */
  unanalysed(problem: string): CommandFacts
}

const sql = createAnalyser({
  cacheEntriesMax: 10_000,
  cacheBytesMax: 16 * 1024 * 1024,
  parseBytesMax: PARSE_BYTES_MAX,
})

const postgres: Language = {
  name: 'sql',
  load: loadParser,
  analyse(text) {
    const bytes = Buffer.from(text)
    const { statements } = sql.analyse(bytes, 0, bytes.length, true)
    if (statements.length === 0) return [{ text, facts: unanalysed('empty') }]
    return statements.map((facts) => ({
      text: statements.length === 1 ? text : bytes.toString('utf8', facts.start, facts.end),
      facts,
    }))
  },
  unanalysed,
}

/** As a command line that SSH carries (`ssh host '…'`); a line typed into a shell does the same without ssh:exec. */
const shell: Language = {
  name: 'shell',
  async load() {},
  analyse(text) {
    const found = analyseShell(text, { parseBytesMax: PARSE_BYTES_MAX })
    return [{ text, facts: { ...found, verbs: ['ssh:exec', ...found.verbs] } }]
  },
  unanalysed: unanalysedShell,
}

const LANGUAGES: Readonly<Record<string, Language | undefined>> = { postgres, ssh: shell }

export function languageOf(protocol: string): Language {
  const found = Object.hasOwn(LANGUAGES, protocol) ? LANGUAGES[protocol] : undefined
  if (!found) throw usageError(`commands of the protocol ${protocol} can't be tried here`)
  return found
}

/** By what events say: a language, and the protocol that it came by. */
export function languageOfEvent(language: unknown, protocol: string): Language | null {
  const found = Object.hasOwn(LANGUAGES, protocol) ? LANGUAGES[protocol] : undefined
  return found?.name === language ? found! : null
}

export async function loadLanguages(): Promise<void> {
  for (const one of Object.values(LANGUAGES)) await one?.load()
}
