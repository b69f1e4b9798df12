/**
 * Goes through a parsed line as a shell would, as far as that can be done without running it: which programs with which
 * words, behind which wrappers, reading from what. Code in strings is parsed and gone through the same way.
 * Refuses to take a conditional for decided: a variable set in one has no known value.
 */

import type {
  Command,
  CommandNode,
  CompoundList,
  ParsedScript,
  PipelineNode,
  Redirection,
  Statement,
  SyntaxNode,
  Word,
} from 'unbash'
import { forEachChild, parse } from 'unbash'
import { written } from './classify'
import type { Found } from './found'
import { invoke } from './invoke'
import { isShell, SOCKETS } from './programs'
import type { ShellRedirection } from './types'
import {
  type Field,
  fieldsOf,
  known,
  literal,
  partsText,
  SOME_WORD,
  textOf,
  UNKNOWN,
  type WordContext,
} from './words'

const DEPTH_MAX = 24
const NESTED_BYTES_MAX = 1024 * 1024

/** What a program reads: a text that is known, output of programs, a file. */
export interface Stdin {
  text: string | null
  from: readonly (string | null)[]
  file: Field | null
}

export interface Surroundings {
  stdin: Stdin | null
  through: readonly string[]
  elevated: boolean
}

/** What went into the output of something: programs, and the text if it is known. */
interface Gave {
  names: (string | null)[]
  text: string | null
}

export interface Invocation extends Surroundings {
  fields: Field[]
  redirections: { operator: string; target: Field | null }[]
  assignments: Record<string, string | null>
}

export class Walker {
  readonly found: Found
  /** Values that the text itself gives. */
  readonly variables = new Map<string, string | null>()
  private readonly tainted = new Set<string>()
  readonly functions = new Set<string>()
  readonly aliases = new Set<string>()
  /** Files that the line writes, and what it fetched. */
  readonly written = new Set<string>()
  readonly fetched: string[] = []
  hasSocket = false
  isSplitChanged = false
  /** Null where it can't be told; '' before any change. */
  directory: string | null = ''
  private conditional = 0
  private depth = 0
  private nestedBytes = 0
  private isBlind = false
  private here: Surroundings = { stdin: null, through: [], elevated: false }
  private source = ''

  constructor(found: Found) {
    this.found = found
  }

  readonly words: WordContext = {
    variable: (name) => this.variable(name),
    substitution: (script) => this.inside(() => this.script(script, null).names),
    arithmetic: (part) => this.expressions(part),
    problem: (text) => this.found.fail(text),
  }

  variable(name: string): string | null {
    if (this.isSplitChanged) return null
    if (name === 'HOME' && !this.variables.has(name)) return '~'
    if (name === 'IFS' && !this.variables.has(name)) return ' \t\n'
    return this.variables.get(name) ?? null
  }

  set(name: string, value: string | null): void {
    const isKnown = this.conditional === 0 && !this.isBlind && !this.tainted.has(name)
    this.variables.set(name, isKnown ? value : null)
  }

  taint(name: string): void {
    this.tainted.add(name)
    this.variables.set(name, null)
  }

  /** Something ran that may have changed anything. */
  forget(): void {
    this.isBlind = true
    for (const name of this.variables.keys()) this.variables.set(name, null)
    this.directory = null
  }

  /** Code that was found in a string. */
  nested(text: string, here: Surroundings, isOwnShell = false): void {
    this.nestedBytes += text.length
    if (this.nestedBytes > NESTED_BYTES_MAX) {
      this.found.fail('too much code in strings')
      return
    }
    const script = parse(text)
    const go = () => this.script(script, here.stdin, text)
    const before = this.here
    this.here = here
    if (isOwnShell) go()
    else this.inside(() => go())
    this.here = before
  }

  /** What a subshell does to its variables and directory stays there. */
  private inside<T>(go: () => T): T {
    const variables = new Map(this.variables)
    const { directory, conditional, isBlind } = this
    const result = go()
    for (const name of this.variables.keys()) if (!variables.has(name)) this.variables.delete(name)
    for (const [name, value] of variables)
      if (!this.tainted.has(name)) this.variables.set(name, value)
    this.directory = directory
    this.conditional = conditional
    this.isBlind = isBlind
    return result
  }

  private maybe<T>(go: () => T, isLikely = false): T {
    this.conditional++
    const { directory } = this
    const result = go()
    if (this.directory !== directory && !isLikely) this.directory = null
    this.conditional--
    return result
  }

  /** All names that are spoken of in code which runs at another time, or again. */
  private unsettle(node: { pos: number; end: number }): void {
    const text = this.source.slice(node.pos, node.end)
    for (const [, name] of text.matchAll(/(?<![$\w{])([A-Za-z_]\w*)/g))
      this.variables.set(name!, null)
  }

  script(script: ParsedScript | undefined, stdin: Stdin | null, source?: string): Gave {
    if (script === undefined) {
      this.found.fail('something in it can’t be read')
      return { names: [null], text: null }
    }
    if (++this.depth > DEPTH_MAX) {
      this.found.fail('nested too deeply')
      this.depth--
      return { names: [null], text: null }
    }
    if (script.errors?.length) {
      const [{ message, pos }] = script.errors as [{ message: string; pos: number }]
      const isEnd = pos >= (source ?? script.source ?? this.source).trimEnd().length
      if (this.depth === 1 && (isEnd || /^unterminated|^expected .* to close/.test(message)))
        this.found.incomplete = true
      this.found.fail(`not the grammar of a shell: ${message}`)
    }
    const before = this.source
    this.source = source ?? script.source ?? before
    const gave = this.statements(script.commands, stdin)
    this.source = before
    this.depth--
    return gave
  }

  private statements(list: readonly Statement[], stdin: Stdin | null): Gave {
    const all: Gave = { names: [], text: list.length === 1 ? '' : null }
    for (const one of list) {
      const gave = one.background
        ? this.inside(() => this.andOr(one.command, stdin))
        : this.andOr(one.command, stdin)
      all.names.push(...gave.names)
      if (list.length === 1) all.text = gave.text
    }
    return all
  }

  private list(list: CompoundList, stdin: Stdin | null): Gave {
    return this.statements(list.commands, stdin)
  }

  private andOr(node: Statement['command'], stdin: Stdin | null): Gave {
    if (node.type !== 'AndOr') return this.pipeline(node, stdin)
    const names: (string | null)[] = []
    for (const [at, one] of node.commands.entries()) {
      // For where the line stands, what comes after && is taken as run: the dangerous reading of `cd / && rm -rf *`.
      const isLikely = node.operators.slice(0, at).every((operator) => operator === '&&')
      const gave =
        at === 0 ? this.pipeline(one, stdin) : this.maybe(() => this.pipeline(one, stdin), isLikely)
      names.push(...gave.names)
    }
    return { names, text: null }
  }

  private pipeline(node: PipelineNode, stdin: Stdin | null): Gave {
    if (node.type !== 'Pipeline') return this.node(node, stdin)
    let reads = stdin
    const names: (string | null)[] = []
    let last: Gave = { names: [], text: null }
    for (const one of node.commands) {
      const own = reads
      last =
        node.commands.length === 1 ? this.node(one, own) : this.inside(() => this.node(one, own))
      names.unshift(...last.names)
      reads = { text: last.text, from: [...names], file: null }
    }
    // A shell whose words come from, or go to, somebody else.
    const socket = names.find((name) => name !== null && SOCKETS.has(name))
    if (socket && names.some((name) => name !== null && isShell(name)))
      this.found.verb('shell:reverse-shell', 'program', socket)
    // The last one of a pipeline may run in this very shell.
    if (node.commands.length > 1) {
      const tail = node.commands.at(-1)!
      this.unsettle(tail)
    }
    return { names, text: last.text }
  }

  private node(node: CommandNode, stdin: Stdin | null): Gave {
    switch (node.type) {
      case 'Command':
        return this.simple(node, stdin)
      case 'Redirected': {
        const { redirections, stdin: own } = this.redirects(node.redirects, stdin)
        this.redirected(redirections)
        return this.node(node.command, own)
      }
      case 'Subshell':
        return this.inside(() => this.list(node.body, stdin))
      case 'BraceGroup':
        return this.list(node.body, stdin)
      case 'If': {
        const gave = [this.list(node.clause, stdin), this.maybe(() => this.list(node.then, stdin))]
        for (const one of node.elif)
          gave.push(
            this.maybe(() => this.list(one.clause, stdin)),
            this.maybe(() => this.list(one.then, stdin)),
          )
        const other = node.else
        if (other) gave.push(this.maybe(() => this.list(other, stdin)))
        return merge(gave)
      }
      case 'While':
        this.unsettle(node)
        return this.maybe(() => merge([this.list(node.clause, stdin), this.list(node.body, stdin)]))
      case 'For':
      case 'Select': {
        const list = (node.wordlist ?? []).flatMap((word) => fieldsOf(word, this.words))
        this.unsettle(node)
        const isPlain =
          list.length > 0 && list.every((one) => known(one) && /^[\w./:@%+~][^\s]*$/.test(one.text))
        if (isPlain && !this.tainted.has(node.name.value))
          this.variables.set(node.name.value, SOME_WORD)
        else this.set(node.name.value, null)
        return this.maybe(() => this.list(node.body, stdin))
      }
      case 'ArithmeticFor':
        this.unsettle(node)
        this.expressions(node.initialize)
        this.expressions(node.test)
        this.expressions(node.update)
        return this.maybe(() => this.list(node.body, stdin))
      case 'Case': {
        textOf(node.word, this.words)
        return merge(
          node.items.map((item) => {
            for (const word of item.pattern) textOf(word, this.words)
            return this.maybe(() => this.list(item.body, stdin))
          }),
        )
      }
      case 'Function': {
        const name = node.name.value
        this.functions.add(name)
        const text = this.source.slice(node.pos, node.end)
        for (const [, one] of text.matchAll(/(?<![$\w{])([A-Za-z_]\w*)/g)) this.taint(one!)
        const body = node.body
        this.bomb(name, body)
        this.maybe(() =>
          body.type === 'CompoundList' ? this.list(body, stdin) : this.node(body, stdin),
        )
        return { names: [], text: null }
      }
      case 'Coproc': {
        // A shell that has no coproc takes it for a program.
        const body = node.body
        return this.maybe(() =>
          body.type === 'CompoundList' ? this.list(body, stdin) : this.node(body, stdin),
        )
      }
      case 'TestCommand':
        this.expressions(node.expression)
        this.otherReading(this.source.slice(node.pos, node.end))
        return { names: [], text: null }
      case 'ArithmeticCommand':
        this.expressions(node.expression)
        this.arithmeticRead(node.body)
        return { names: [], text: null }
    }
  }

  /** `(( a b ))` runs a, with b, in a shell that does not know `((`: let alone what such a shell could make nothing of. */
  private arithmeticRead(body: string): void {
    const isPlain =
      !/[;`"'\\@]|\$\(|\$\{\w+[^\w}]/.test(body) &&
      !/[\w})\]]\s+[\w$({/.~]|\/[A-Za-z_.$~]/.test(body) &&
      body.split(/&&|\|\|/).every((piece) => {
        const match = /^\s*!?\s*(\$?)\{?#?(\w+)\}?\s*(?:[-+/%<>=!^]|&(?!&)|\|(?!\|)|\s[*?])/.exec(
          piece,
        )
        if (!match) return false
        const value = match[1] ? this.variables.get(match[2]!) : undefined
        return typeof value !== 'string' || /^\s*-?\d*\s*$/.test(value)
      })
    if (!isPlain) this.found.fail('a shell without (( )) would run it')
  }

  /** `[[ a && b ]]` runs b in a shell that does not know `[[`. */
  private otherReading(text: string): void {
    for (const piece of text
      .replace(/\]\]\s*$/, '')
      .split(/&&|\|\||[;|&\n]/)
      .slice(1)) {
      const first = /^\s*([^\s]*)/.exec(piece)?.[1] ?? ''
      const variable = /^"?\$\{?(\w+)/.exec(first)?.[1]
      if (/^[A-Za-z_./~]/.test(first) || (variable && this.variables.get(variable)))
        this.found.fail('a shell without [[ ]] would run what is in it')
    }
  }

  /** A function that starts itself twice. */
  private bomb(name: string, body: SyntaxNode): void {
    let calls = 0
    let isBackground = false
    const look = (node: SyntaxNode): void => {
      if (node.type === 'Command' && node.name?.value === name) calls++
      if (node.type === 'Statement' && node.background) isBackground = true
      forEachChild(node, look)
    }
    look(body)
    if (calls >= 2 || (calls === 1 && isBackground))
      this.found.verb('shell:destroy', 'program', name)
  }

  /** Substitutions in arithmetic and tests, wherever they stand. */
  expressions(node: SyntaxNode | undefined): void {
    if (node === undefined) return
    if (/\[[^\]]*(?:\$\(|`)/.test(this.source) && /'[^']*\[[^\]]*(?:\$\(|`)/.test(this.source))
      this.found.fail('code in an index')
    const look = (one: SyntaxNode): void => {
      if (one.type === 'Script') this.inside(() => this.script(one as ParsedScript, null))
      else if (one.type === 'Word') fieldsOf(one, this.words)
      else forEachChild(one, look)
    }
    forEachChild(node, look)
    if (node.type === 'Word') fieldsOf(node, this.words)
  }

  private redirects(
    list: readonly Redirection[],
    stdin: Stdin | null,
  ): { redirections: Invocation['redirections']; stdin: Stdin | null } {
    const redirections: Invocation['redirections'] = []
    let own = stdin
    for (const one of list) {
      const number = one.descriptor?.type === 'FileDescriptor' ? one.descriptor.value : null
      const isStdin = number === null || number === 0
      if (one.type === 'HereDoc') {
        const { body, delimiter } = one
        const text =
          delimiter?.quoted || !body.parts ? literal(body.text) : partsText(body.parts, this.words)
        if (isStdin)
          own = {
            text: known(text) ? stripTabs(text.text, one.operator) : null,
            from: text.from,
            file: null,
          }
        redirections.push({ operator: one.operator, target: null })
        continue
      }
      const target = one.target ? (textOf(one.target, this.words) as Field) : null
      redirections.push({ operator: one.operator, target })
      if (one.type === 'HereString') {
        if (isStdin)
          own = {
            text: target && known(target) ? `${target.text}\n` : null,
            from: target?.from ?? [null],
            file: null,
          }
      } else if ((one.operator === '<' || one.operator === '<>') && isStdin)
        own = { text: null, from: target?.from ?? [], file: target }
      else if (one.operator === '<&' && isStdin) own = { text: null, from: [null], file: null }
    }
    return { redirections, stdin: own }
  }

  /** What redirections do by themselves. */
  redirected(list: Invocation['redirections']): void {
    for (const { operator, target } of list) {
      if (target === null || target.from.length > 0) continue
      const { text } = target
      const net = /^\/dev\/(?:tcp|udp)\/([^/]*)/.exec(text)
      if (net) {
        this.hasSocket = true
        this.found.verb('shell:network', 'host', net[1]!.replaceAll(UNKNOWN, '*') || '*')
      } else if (operator === '<') this.found.path('shell:read', this.at(target))
      else if (operator === '>&' || operator === '<&') {
        if (!/^(?:\d+-?|-)$/.test(text) && operator === '>&') this.write(target)
      } else if (operator.startsWith('>') || operator.startsWith('&>') || operator === '<>')
        this.write(target)
    }
  }

  write(field: Field): void {
    const at = this.at(field)
    this.written.add(at.text)
    this.found.path('shell:write', at)
    written(this, at.text)
  }

  /** A path from where the line stands. */
  at(field: Field): Field {
    const { text } = field
    if (
      this.directory === '' ||
      text.startsWith('/') ||
      text.startsWith('~') ||
      text.startsWith(UNKNOWN)
    )
      return field
    if (this.directory === null) return field
    return {
      ...field,
      text: `${this.directory.replace(/\/$/, '')}/${text.replace(/^(?:\.\/)+/, '')}`,
    }
  }

  private simple(node: Command, stdin: Stdin | null): Gave {
    const assignments: Record<string, string | null> = {}
    for (const one of node.prefix) {
      if (one.type !== 'Assignment') continue
      if (one.index) this.subscript(one.index)
      if (one.value.type === 'ArrayValue') {
        for (const element of one.value.elements) fieldsOf(element, this.words)
        assignments[one.name] = null
        continue
      }
      const value = textOf(one.value, this.words)
      if (value.text.includes(UNKNOWN) && one.name === 'PATH' && value.text.startsWith(UNKNOWN))
        assignments[one.name] = `\0${value.text.slice(1)}`
      else assignments[one.name] = known(value) && !one.append && !one.index ? value.text : null
    }
    const fields: Field[] = []
    if (node.name) fields.push(...fieldsOf(node.name, this.words))
    for (const one of node.args) {
      if (one.type === 'Word') {
        fields.push(...fieldsOf(one, this.words))
        continue
      }
      if (one.index) this.subscript(one.index)
      if (one.value.type === 'ArrayValue') {
        for (const element of one.value.elements) fieldsOf(element, this.words)
        fields.push(literal(`${one.name}=${UNKNOWN}`))
      } else {
        const value = textOf(one.value, this.words)
        // Of an argument braces are expanded, of an assignment they are not.
        if (one.value.parts?.some(({ type }) => type === 'BraceExpansion')) value.text = UNKNOWN
        fields.push({ ...value, text: `${one.name}${one.append ? '+' : ''}=${value.text}` })
      }
    }
    const { redirections, stdin: own } = this.redirects(node.redirects, stdin)
    this.redirected(redirections)
    const here: Invocation = {
      ...this.here,
      stdin: own ?? this.here.stdin,
      fields,
      redirections,
      assignments,
    }
    if (fields.length === 0) {
      for (const [name, value] of Object.entries(assignments)) this.assign(name, value, false)
      return { names: [], text: null }
    }
    return invoke(this, here)
  }

  private subscript(index: Word): void {
    textOf(index, this.words)
    if (/\$\(|`/.test(index.value) && /'/.test(index.text)) this.found.fail('code in an index')
  }

  /** A variable is set: some are code themselves, or say where programs are found. */
  assign(name: string, value: string | null, isForCommand: boolean): void {
    const { found } = this
    if (name === 'IFS' && !isForCommand) this.isSplitChanged = true
    if (CODE_VARIABLES.has(name)) {
      if (value === null) found.fail(`${name} is code that can’t be told`)
      else if (value !== '')
        this.nested(value, {
          ...this.here,
          stdin: null,
          through: [...this.here.through, `${name}=`],
        })
    } else if (name === 'PATH') {
      // Behind what is found already nothing changes.
      if (value === null || !value.startsWith(UNKNOWN))
        found.fail('PATH says where programs are found')
    } else if (/^(?:LD_|DYLD_|BASH_FUNC_|GIT_CONFIG)/.test(name) || LOADING_VARIABLES.has(name))
      found.fail(`${name} makes programs run other code`)
    else if (/^PS[0-4]$/.test(name) && (value === null || /\$\(|`/.test(value)))
      found.fail(`${name} is code`)
    else if (
      name === 'NODE_OPTIONS' &&
      (value === null || /--(?:require|import|loader|experimental-loader|eval)|-r/.test(value))
    )
      found.fail('NODE_OPTIONS makes programs run other code')
    else if (name === 'HISTFILE' || (/^HIST(?:FILE)?SIZE$/.test(name) && value === '0'))
      found.verb('shell:conceal', 'variable', name)
    if (!isForCommand) this.set(name, value?.includes(UNKNOWN) ? null : value)
  }
}

const CODE_VARIABLES = new Set(
  'PROMPT_COMMAND PAGER MANPAGER GIT_PAGER SYSTEMD_PAGER EDITOR VISUAL GIT_EDITOR GIT_SEQUENCE_EDITOR SUDO_EDITOR SYSTEMD_EDITOR FCEDIT BROWSER GIT_SSH_COMMAND GIT_SSH SUDO_ASKPASS SSH_ASKPASS GIT_ASKPASS RSYNC_RSH CVS_RSH LESSOPEN LESSCLOSE GIT_EXTERNAL_DIFF GIT_PROXY_COMMAND'.split(
    ' ',
  ),
)
const LOADING_VARIABLES = new Set(
  'BASH_ENV ENV SHELLOPTS BASHOPTS PYTHONPATH PYTHONSTARTUP PYTHONHOME PYTHONINSPECT PERL5LIB PERL5OPT PERL5DB PERLLIB RUBYOPT RUBYLIB NODE_PATH LUA_INIT LUA_PATH GCONV_PATH OPENSSL_CONF JAVA_TOOL_OPTIONS _JAVA_OPTIONS GLIBC_TUNABLES ZDOTDIR FPATH EXECIGNORE BASH_ALIASES BASH_CMDS'.split(
    ' ',
  ),
)

function merge(all: readonly Gave[]): Gave {
  return { names: all.flatMap(({ names }) => names), text: null }
}

function stripTabs(text: string, operator: string): string {
  return operator === '<<-' ? text.replace(/^\t+/gm, '') : text
}

export function shownRedirections(list: Invocation['redirections']): ShellRedirection[] {
  return list.map(({ operator, target }) => ({
    operator,
    target: target && known(target) ? target.text : null,
  }))
}
