/** What was found in a line so far: verbs with what they are done to, the programs, and what is not known. Bounded. */
import type { ShellCommand, ShellObject } from './types'
import { type Field, UNKNOWN } from './words'

export const COMMANDS_MAX = 1000
const OBJECTS_MAX = 1000

export class Found {
  readonly verbs = new Set<string>(['shell:run'])
  readonly objects = new Map<string, ShellObject>()
  readonly commands: ShellCommand[] = []
  problem: string | null = null
  incomplete = false

  fail(problem: string): void {
    this.problem ??= problem
  }

  verb(verb: string, kind?: string, name?: string): void {
    this.verbs.add(verb)
    if (kind === undefined || name === undefined) return
    if (this.objects.size >= OBJECTS_MAX) {
      this.fail(`more than ${OBJECTS_MAX} things are named`)
      return
    }
    const shown = name.replaceAll('\x01', '').replaceAll(UNKNOWN, '*')
    this.objects.set(`${verb}\0${kind}\0${shown}`, { kind, name: shown, verb })
  }

  /** A path as far as it can be told: `*` where it can't. */
  path(verb: string, field: Field | string): void {
    const text = typeof field === 'string' ? field : field.text
    const isMany = typeof field !== 'string' && field.isMany
    this.verb(verb, 'path', isMany && text === UNKNOWN ? '*' : text)
  }

  command(one: ShellCommand): void {
    if (this.commands.length >= COMMANDS_MAX) {
      this.fail(`more than ${COMMANDS_MAX} commands`)
      return
    }
    this.commands.push(one)
  }
}
