/**
 * What a shell command line does: every program that it runs, whatever it is wrapped in, and what that does to the machine.
 * Grammar by unbash, which knows bash whole; meaning here. Pure: nothing is run, no file is looked at.
 * Refuses to guess: what only the running shell knows is `shell:unknown` and not understood, never harmless.
 */
import { createHash } from 'node:crypto'
import { Found } from './found'
import type { ShellAnalysis, ShellOptions } from './types'
import { Walker } from './walk'

export function analyseShell(text: string, options: ShellOptions): ShellAnalysis {
  const found = new Found()
  const isLong = Buffer.byteLength(text) > options.parseBytesMax
  if (isLong) found.fail(`longer than ${options.parseBytesMax} bytes`)
  else if (/[^\P{Cc}\t\n]/u.test(text)) found.fail('control characters')
  if (!isLong) {
    if (options.isInteractive) prompted(found, text)
    read(found, text.replaceAll('\0', ' '))
    // zsh at a prompt takes what follows a # for more words.
    if (options.isInteractive && /(?:^|[\s;&|(])#[^\n]*[;&|`$()]/.test(text)) {
      const other = new Found()
      read(other, text.replace(/(^|[\s;&|(])#/g, '$1\\#'))
      for (const verb of other.verbs) found.verbs.add(verb)
      for (const [key, one] of other.objects) found.objects.set(key, one)
      if (other.problem) found.fail(`what stands behind # is read by some shells: ${other.problem}`)
    }
  }
  const understood = found.problem === null
  if (!understood) found.verbs.add('shell:unknown')
  return {
    understood,
    problem: found.problem,
    incomplete: found.incomplete,
    verbs: [...found.verbs],
    objects: [...found.objects.values()],
    commands: found.commands,
    columns: [],
    breadth: {},
    fingerprint: understood ? fingerprintOf(found) : null,
    readOnly: false,
  }
}

/** What takes the place of an analysis where there is none. */
export function unanalysedShell(problem: string): ShellAnalysis {
  return {
    understood: false,
    problem,
    incomplete: false,
    verbs: ['shell:run', 'shell:unknown'],
    objects: [],
    commands: [],
    columns: [],
    breadth: {},
    fingerprint: null,
    readOnly: false,
  }
}

function read(found: Found, text: string): void {
  try {
    new Walker(found).nested(text, { stdin: null, through: [], elevated: false }, true)
  } catch (error) {
    // A line that is too deep or too wide for us is one that we have not understood.
    found.fail(`can’t be read: ${(error as Error).message}`)
  }
}

/** `!!`, `!rm`, `^a^b`: the line that runs is not the line that was typed. */
function prompted(found: Found, text: string): void {
  const bare = text.replace(/'[^']*'/g, '').replace(/\\./g, '')
  if (/![^\s=("]|^\^/.test(bare)) found.fail('history is expanded')
}

function fingerprintOf(found: Found): string {
  const hash = createHash('sha256')
  for (const one of found.commands)
    hash.update(
      JSON.stringify([
        one.path,
        one.arguments,
        one.redirections,
        one.assignments,
        one.through,
        one.pipedFrom,
        one.elevated,
      ]),
    )
  return hash.digest('hex').slice(0, 32)
}
