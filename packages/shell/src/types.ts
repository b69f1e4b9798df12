/** What a shell command line does, as far as its text says. */

export interface ShellObject {
  /** `program`, `path`, `host`, `variable`. */
  kind: string
  name: string
  /** Why it is named: `shell:run`, `shell:write`, … */
  verb: string
}

export interface ShellRedirection {
  /** `>`, `>>`, `<`, `<<`, `<<<`, `>&`, … */
  operator: string
  /** Null where it can't be told from the text. */
  target: string | null
}

/** One program that is run, in whatever it was wrapped. */
export interface ShellCommand {
  /** The program's last part, `rm` for `/bin/rm`; null where it can't be told from the text. */
  name: string | null
  /** As written, with quotes taken off. */
  path: string | null
  /** Null stands for one whose value can't be told. */
  arguments: readonly (string | null)[]
  /** `>` and the like, of this command. */
  redirections: readonly ShellRedirection[]
  /** `X=1` before it, or through `env`. */
  assignments: Readonly<Record<string, string | null>>
  /** What it was looked for through, outermost first: `sudo`, `sh -c`, `xargs`, `find -exec`, `ssh`. */
  through: readonly string[]
  /** Programs whose output is piped into it, nearest first. */
  pipedFrom: readonly (string | null)[]
  /** With other rights: sudo, doas, su, pkexec, run0. */
  elevated: boolean
}

/** Fits what policies ask of a command (CommandFacts). */
export interface ShellAnalysis {
  understood: boolean
  /** Why it was not understood. */
  problem: string | null
  /** The text ends within a construct: a shell would ask for more. */
  incomplete: boolean
  verbs: string[]
  objects: ShellObject[]
  commands: ShellCommand[]
  /** None in a shell command; here so that it fits. */
  columns: string[]
  breadth: Record<string, never>
  /** Same for lines that differ in white space and quoting only; null where not understood. */
  fingerprint: string | null
  /** Never proven. */
  readOnly: boolean
}

export interface ShellOptions {
  /** Longer texts are not parsed, and not understood. */
  parseBytesMax: number
  /** Typed at a prompt: history (`!!`) is expanded there, and zsh reads comments as commands. */
  isInteractive?: boolean
}
