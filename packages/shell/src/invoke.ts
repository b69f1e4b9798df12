/**
 * One program with its words: looked through where it runs another, told apart by what it does.
 * Refuses to name a program whose name the running shell makes up.
 */
import { classify } from './classify'
import {
  DOWNLOADERS,
  EDITORS,
  ELEVATORS,
  INERT,
  INTERACTIVE,
  isInterpreter,
  isOtherShell,
  isShell,
  lastPart,
  programName,
  RISKY,
  SOCKETS,
} from './programs'
import { SPECIAL } from './special'
import {
  type Invocation,
  type Stdin,
  type Surroundings,
  shownRedirections,
  type Walker,
} from './walk'
import { type Field, known, literal, UNKNOWN } from './words'
import { unwrap, WRAPPERS } from './wrappers'

interface Gave {
  names: (string | null)[]
  text: string | null
}

const JOINED_MAX = 256 * 1024

export function invoke(w: Walker, one: Invocation): Gave {
  const [first, ...args] = one.fields
  const { found } = w
  if (first === undefined) return { names: [], text: null }
  if (!known(first) || first.isGlob || first.text === '') {
    found.fail('the program’s name can’t be told')
    if (first.from.some((name) => name !== null && DOWNLOADERS.has(name)))
      found.verb('shell:remote-code')
    record(w, one, null, null, args)
    return { names: [null], text: null }
  }
  const path = first.text
  if (/^=|[\p{Cc}]/u.test(path)) found.fail('the program’s name can’t be told')
  const name = programName(path.replace(/^=/, ''))
  const base = lastPart(name)
  if (w.aliases.has(path)) found.fail(`${path} is another name for something`)
  if (/^![^=(]/.test(path) && path !== '!') found.fail('history is expanded')
  record(w, one, base, name, args)
  found.verb('shell:run', 'program', name)
  for (const [variable, value] of Object.entries(one.assignments)) {
    if (variable === 'IFS' && base !== 'read') w.isSplitChanged = true
    w.assign(variable, value, true)
    if (['eval', '.', 'source', 'export', 'readonly', 'set', ':'].includes(base))
      w.set(variable, null)
  }
  const here: Surroundings = {
    stdin: one.stdin,
    through: [...one.through, base],
    elevated: one.elevated || ELEVATORS.has(base),
  }
  if (SOCKETS.has(base)) w.hasSocket = true
  const gave: Gave = { names: [base], text: output(base, args, one.stdin) }
  if (DOWNLOADERS.has(base)) fetched(w, base, args, one)
  if (ranWhatItWrote(w, path)) return gave

  const special = SPECIAL[base]
  if (special) {
    special(w, args, one, here)
    return withInner(w, gave)
  }
  if (isShell(base) || isOtherShell(base)) {
    shell(w, base, args, one, here)
    return gave
  }
  const wrapper = WRAPPERS[base]
  if (wrapper) {
    wrapped(w, base, args, one, here)
    return withInner(w, gave)
  }
  if (isInterpreter(base)) {
    interpreter(w, base, args, one)
    return gave
  }
  classify(w, base, args, one)
  if (EDITORS.has(base) || INTERACTIVE.has(base)) interactive(w, base, args)
  else if (!INERT.has(base) && !w.functions.has(path)) suspicious(w, base, args)
  return gave
}

/** Wrapped programs count as what a pipe is fed by. */
function withInner(w: Walker, gave: Gave): Gave {
  const last = w.found.commands.at(-1)
  return last && last.name !== gave.names[0]
    ? { ...gave, names: [...gave.names, last.name], text: null }
    : gave
}

function record(
  w: Walker,
  one: Invocation,
  base: string | null,
  path: string | null,
  args: readonly Field[],
): void {
  w.found.command({
    name: base,
    path,
    arguments: args.map((field) => (known(field) ? field.text : null)),
    redirections: shownRedirections(one.redirections),
    assignments: one.assignments,
    through: one.through,
    pipedFrom: one.stdin?.from ?? [],
    elevated: one.elevated,
  })
}

/** What it writes, where the text says it. */
function output(base: string, args: readonly Field[], stdin: Stdin | null): string | null {
  if (!args.every(known)) return null
  const texts = args.map(({ text }) => text)
  if (args.some(({ isGlob }) => isGlob)) return null
  if (base === 'echo') {
    while (/^-[neE]+$/.test(texts[0] ?? '')) texts.shift()
    const text = texts.join(' ')
    // Some shells' echo reads escapes, others' does not.
    return text.includes('\\') ? null : `${text}\n`
  }
  if (base === 'printf') {
    const [format = '', ...values] = texts
    if (values.length === 0 && !/[%\\]/.test(format)) return format
    if (/^%s(?:\\n)?$/.test(format))
      return values.map((value) => `${value}${format.endsWith('n') ? '\n' : ''}`).join('')
    if (values.length === 0 && /^[^%\\]*\\n$/.test(format)) return format.replace('\\n', '\n')
    return null
  }
  if (base === 'cat' && (texts.length === 0 || texts.join() === '-')) return stdin?.text ?? null
  return null
}

/** Code that a program is to run. */
export function code(
  w: Walker,
  field: Field | undefined,
  here: Surroundings,
  isOwnShell = false,
): void {
  if (field === undefined) return
  runsFetched(w, field)
  if (!known(field)) {
    w.found.fail('code that only the running shell knows')
    return
  }
  w.nested(field.text, here, isOwnShell)
}

export const joined = (fields: readonly Field[]): Field => ({
  text: fields
    .map(({ text }) => text)
    .join(' ')
    .slice(0, JOINED_MAX),
  isMany: fields.some(({ isMany }) => isMany),
  isGlob: false,
  from: fields.flatMap(({ from }) => [...from]),
})

/** A shell or interpreter that reads what it runs. */
export function reads(w: Walker, base: string, one: Invocation, isShellCode: boolean): void {
  const { found } = w
  const { stdin } = one
  if (stdin === null) {
    if (w.hasSocket && one.redirections.length > 0)
      found.verb('shell:reverse-shell', 'program', base)
    found.verb('shell:interactive', 'program', base)
    return
  }
  if (stdin.file && known(stdin.file) && !stdin.file.from.length) {
    if (/^\/dev\/(?:tcp|udp)\//.test(stdin.file.text)) {
      found.verb('shell:reverse-shell', 'program', base)
      return
    }
    if (/^\/dev\/|^\/proc\//.test(stdin.file.text)) {
      found.fail(`${base} runs what it reads`)
      return
    }
    found.verb('shell:run', 'program', stdin.file.text)
    ranWhatItWrote(w, stdin.file.text)
    return
  }
  const source = stdin.from.find((name) => name !== null && DOWNLOADERS.has(name))
  if (source)
    found.verb(SOCKETS.has(source) ? 'shell:reverse-shell' : 'shell:remote-code', 'program', source)
  else if (w.hasSocket) found.verb('shell:reverse-shell', 'program', base)
  if (stdin.text !== null && isShellCode) {
    w.nested(stdin.text, {
      stdin: null,
      through: [...one.through, base],
      elevated: one.elevated,
    })
    return
  }
  found.fail(`${base} runs what it reads`)
}

function shell(
  w: Walker,
  base: string,
  args: readonly Field[],
  one: Invocation,
  here: Surroundings,
): void {
  const { found } = w
  const isBourne = isShell(base)
  let isCode = false
  let isStdin = false
  let at = 0
  for (; at < args.length; at++) {
    const field = args[at]!
    if (!known(field)) {
      if (/^[-+]/.test(field.text) || field.text.startsWith(UNKNOWN)) {
        if (isCode) break
        if (field.from.length > 0) break
        found.fail(`what ${base} is given can’t be told`)
        return
      }
      break
    }
    const { text } = field
    if (text === '--' || text === '-') {
      at++
      if (text === '-' && at >= args.length) isStdin = true
      break
    }
    if (/^--(?:command|init-command)=/.test(text)) {
      code(w, { ...field, text: text.slice(text.indexOf('=') + 1) }, here)
      if (!isBourne) found.fail(`a script in ${base}`)
      return
    }
    if (/^--(?:rcfile|init-file|command|init-command)$/.test(text)) {
      const value = args[++at]
      if (text.endsWith('file') && value)
        found.verb('shell:run', 'program', known(value) ? value.text : '*')
      if (text.endsWith('file') && (!value || !known(value) || ranWhatItWrote(w, value.text)))
        found.fail('a file that is run first')
      if (text.endsWith('command')) {
        code(w, value, here)
        found.fail(`a script in ${base}`)
        return
      }
      continue
    }
    if (text.startsWith('--')) continue
    if (!/^[-+]/.test(text)) break
    if (text.startsWith('-') && text.includes('c')) isCode = true
    if (text.startsWith('-') && text.includes('s')) isStdin = true
    if (/[oO]$/.test(text)) at++
  }
  const script = args[at]
  if (isCode) {
    if (!script) {
      found.fail(`${base} -c without code`)
      return
    }
    if (!isBourne) found.fail(`a script in ${base}`)
    code(w, script, here)
    return
  }
  if (script === undefined || isStdin) {
    reads(w, base, one, isBourne)
    return
  }
  runsFile(w, base, script, one, isBourne)
}

/** What another machine says is run. */
function runsFetched(w: Walker, { from }: Field): void {
  const source = from.find((name) => name !== null && DOWNLOADERS.has(name))
  if (source) w.found.verb('shell:remote-code', 'program', source)
}

/** A script in a file is a program like any other; one that is no file is what it reads. */
export function runsFile(
  w: Walker,
  base: string,
  script: Field,
  one: Invocation,
  isShellCode: boolean,
): void {
  const { found } = w
  if (script.from.length > 0) {
    runsFetched(w, script)
    found.fail(`${base} runs what a program says`)
    return
  }
  if (!known(script) || script.isGlob) {
    found.fail(`${base} runs a file that can’t be told`)
    return
  }
  const { text } = script
  if (/^(?:\/dev\/(?:stdin|fd\/0)|\/proc\/self\/fd\/0)$/.test(text)) {
    reads(w, base, one, isShellCode)
    return
  }
  if (/^(?:\/dev\/|\/proc\/)/.test(text)) {
    found.fail(`${base} runs what it reads`)
    return
  }
  found.verb('shell:run', 'program', text)
  ranWhatItWrote(w, text)
}

/** A file that this very line wrote or fetched. */
function ranWhatItWrote(w: Walker, path: string): boolean {
  const plain = path.replace(/^\.\//, '')
  const at = w.at(literal(path)).text.replace(/\/\.\//g, '/')
  if (w.fetched.some((one) => one === plain || one === path || lastPart(one) === lastPart(plain))) {
    w.found.verb('shell:remote-code', 'program', path)
    return false
  }
  if (w.written.has(path) || w.written.has(plain) || w.written.has(at))
    w.found.fail(`${path} is written in the same line`)
  return false
}

function fetched(w: Walker, base: string, args: readonly Field[], one: Invocation): void {
  for (const [at, field] of args.entries()) {
    const { text } = field
    const host = /^(?:[a-z][a-z0-9+.-]*:\/\/)(?:[^/@\s]*@)?([^/:?#\s]+)/i.exec(text)?.[1]
    if (host) {
      w.found.verb('shell:network', 'host', host.replaceAll(UNKNOWN, '*'))
      w.fetched.push(lastPart(text.replace(/[?#].*$/, '')).replaceAll(UNKNOWN, '*'))
    }
    const before = args[at - 1]?.text ?? ''
    if (/^(?:-[a-zA-Z]*[oO]|--output|--output-document|--out)$/.test(before) && text !== '-') {
      w.fetched.push(text)
      w.write(field)
    }
    const attached = /^(?:--output=|--output-document=|-o(?=.)|-O(?=.))(.+)$/.exec(text)?.[1]
    if (attached && attached !== '-') {
      w.fetched.push(attached)
      w.write({ ...field, text: attached })
    }
  }
  for (const { operator, target } of one.redirections)
    if (operator.startsWith('>') && target) w.fetched.push(target.text)
  if (['curl', 'wget', 'fetch', 'aria2c', 'http', 'https'].includes(base))
    w.found.verb('shell:network')
}

function wrapped(
  w: Walker,
  base: string,
  args: readonly Field[],
  one: Invocation,
  here: Surroundings,
): void {
  const { found } = w
  const wrapper = WRAPPERS[base]!
  if (base === 'env') {
    // -S takes a whole line, in a grammar much like the shell's.
    const at = args.findIndex((field) => /^(?:-[a-zA-Z]*S|--split-string(?:=|$))/.test(field.text))
    if (at >= 0) {
      const own = args[at]!
      const rest = /^(?:-[a-zA-Z0-9]*S|--split-string=?)([\s\S]*)$/.exec(own.text)?.[1] ?? ''
      code(w, joined([...(rest ? [{ ...own, text: rest }] : []), ...args.slice(at + 1)]), here)
      return
    }
  }
  if (base === 'chpst' || base === 'busybox' || base === 'toybox') {
    if (base !== 'chpst' && args[0]?.text.startsWith('--')) return
  }
  const un = unwrap(base, wrapper, args)
  if (wrapper.elevates) found.verb('shell:elevate', 'program', base)
  if (un.problem) {
    found.fail(un.problem)
    return
  }
  for (const [name, value] of Object.entries(un.assignments)) w.assign(name, value, true)
  const has = (name: string) => un.options.some((option) => option.name === name)
  if (base === 'ssh') {
    ssh(w, un, one, here)
    return
  }
  if ([...(wrapper.idle ?? '')].some(has)) return
  if (base === 'sudo') {
    if (has('e') || has('edit')) {
      for (const field of un.rest) w.write(field)
      return
    }
    if (has('i') || has('login') || has('s') || has('shell')) {
      if (un.rest.length === 0) reads(w, base, one, true)
      else code(w, joined(un.rest), here)
      return
    }
  }
  if (base === 'doas' && has('s') && un.rest.length === 0) {
    reads(w, base, one, true)
    return
  }
  if (base === 'systemd-run' && un.options.some(({ name }) => name.startsWith('on-')))
    found.verb('shell:schedule', 'program', base)
  if (base === 'xargs' && has('I') && !has('i')) w.found.verb('shell:run')
  if (un.rest.length === 0) {
    if (base === 'exec') {
      redirectedOwn(w, one)
      return
    }
    if (wrapper.shells) found.verb('shell:interactive', 'program', base)
    return
  }
  if (wrapper.joins && !has('x') && !has('exec')) {
    code(w, joined(un.rest), { ...here, stdin: one.stdin })
    return
  }
  const fields = wrapper.appends
    ? xargs(un.rest, un.options.find(({ name }) => name === 'I' || name === 'replace')?.value)
    : un.rest
  // There, and nowhere else: what comes behind it is where it was.
  const there = un.options.find(({ name }) => (MOVES[base] ?? []).includes(name))?.value
  const { directory } = w
  if (there) {
    const at = w.at(there)
    w.directory = known(at) ? at.text : null
  }
  invoke(w, {
    ...here,
    stdin: wrapper.appends ? null : one.stdin,
    fields,
    redirections: one.redirections,
    assignments: un.assignments,
  })
  if (there) w.directory = directory
}

/** Options by which a program is run in another directory. */
const MOVES: Readonly<Record<string, readonly string[]>> = {
  sudo: ['D', 'chdir'],
  run0: ['D', 'chdir'],
  env: ['C', 'chdir'],
}

/** What it reads becomes further words, or stands where the mark is. */
function xargs(rest: readonly Field[], mark: Field | null | undefined): Field[] {
  if (!mark) return [...rest, { text: UNKNOWN, isMany: true, isGlob: false, from: [] }]
  return rest.map((field) => ({
    ...field,
    text: field.text.replaceAll(mark.text || '{}', UNKNOWN),
  }))
}

function redirectedOwn(w: Walker, one: Invocation): void {
  if (one.redirections.some(({ target }) => /^\/dev\/(?:tcp|udp)\//.test(target?.text ?? '')))
    w.hasSocket = true
}

function ssh(w: Walker, un: ReturnType<typeof unwrap>, one: Invocation, here: Surroundings): void {
  const { found } = w
  const [host] = un.skipped
  found.verb(
    'shell:network',
    'host',
    host && known(host) ? host.text.replace(/^ssh:\/\//, '').replace(/^[^@]*@/, '') : '*',
  )
  for (const { name, value } of un.options) {
    if (name !== 'o') continue
    if (!value || !known(value)) {
      found.fail('an option of ssh that can’t be told')
      return
    }
    const command =
      /^\s*(?:proxycommand|localcommand|knownhostscommand|remotecommand|match)\s*[= ]\s*([\s\S]*)$/i.exec(
        value.text,
      )?.[1]
    if (command !== undefined) code(w, { ...value, text: command }, here)
  }
  if (un.rest.length === 0) {
    found.verb('shell:interactive', 'program', 'ssh')
    return
  }
  // At the other end: what it reads there is what it reads here.
  code(w, joined(un.rest), { ...here, stdin: one.stdin })
}

function interpreter(w: Walker, base: string, args: readonly Field[], one: Invocation): void {
  const { found } = w
  const known_ = args.map((field) => (known(field) ? field.text : UNKNOWN))
  if (known_.some((text) => /^(?:-V|--version|-h|--help|-v)$/.test(text)) && args.length === 1)
    return
  const isNode = /^(?:node|nodejs|bun|deno)$/.test(base)
  for (const [at, text] of known_.entries()) {
    if (text === UNKNOWN) {
      runsFetched(w, args[at]!)
      found.fail(`what ${base} is given can’t be told`)
      return
    }
    if (text === '-') {
      reads(w, base, one, false)
      return
    }
    if (!text.startsWith('-')) {
      if (base === 'deno' || base === 'bun') {
        found.fail(`a program in ${base}`)
        return
      }
      if (['gdb', 'lldb', 'ed', 'ex', 'emacs', 'rlwrap', 'm4', 'expect'].includes(base)) break
      runsFile(w, base, args[at]!, one, false)
      return
    }
    const isCode =
      /^--(?:eval|print|execute|run|command|exec|batch)/.test(text) ||
      (/^-[^-]/.test(text) &&
        /[ceErnpBRMm]/.test(isNode ? text.replace(/[^ep]/g, '') : text.replace(/[^ceEr]/g, '')))
    if (/^-m/.test(text) && /^(?:python|pypy)/.test(base)) {
      const module = text.length > 2 ? text.slice(2) : (known_[at + 1] ?? UNKNOWN)
      if (
        /^(?:http\.server|json\.tool|venv|pip|pytest|unittest|compileall|site|zipfile|tarfile|calendar|this)$/.test(
          module,
        )
      )
        return
      found.fail(`a module of ${base}`)
      return
    }
    if (isCode) {
      const source = known_.slice(at).join(' ')
      if (
        /socket|\/dev\/tcp|TCPSocket|fsockopen|net\.connect|Socket/.test(source) &&
        /\b(?:sh|bash|dup2|exec|spawn|pty|popen|system)\b/.test(source)
      )
        found.verb('shell:reverse-shell', 'program', base)
      for (const field of args.slice(at)) runsFetched(w, field)
      found.fail(`a program in ${base}`)
      return
    }
  }
  if (
    ['gdb', 'lldb', 'ed', 'ex', 'emacs', 'expect', 'rlwrap', 'm4'].includes(base) &&
    args.length > 0
  ) {
    found.fail(`what ${base} is given can’t be told`)
    return
  }
  reads(w, base, one, false)
}

function interactive(w: Walker, base: string, args: readonly Field[]): void {
  const { found } = w
  const texts = args.map(({ text }) => text)
  if (EDITORS.has(base)) {
    for (const field of args) if (!/^[-+]/.test(field.text)) w.write(field)
    if (texts.some((text) => /^(?:\+(?!\d*$|\/)|-c|--cmd|-S|-s|-es?|--eval)/.test(text))) {
      found.fail(`what ${base} is told to do`)
      return
    }
  } else if (/^(?:tmux|screen|zellij|byobu|mosh|dtach|abduco)$/.test(base)) {
    if (
      /^(?:ls|list-sessions|-ls|-list|attach|a|attach-session|-r|-x|kill-session|--version|-V)$/.test(
        texts[0] ?? '',
      )
    ) {
      if (/^(?:attach|a|attach-session|-r|-x)$/.test(texts[0] ?? ''))
        found.verb('shell:interactive', 'program', base)
      return
    }
    if (texts.some((text) => !text.startsWith('-'))) found.fail(`what ${base} is told to do`)
  } else if (
    texts.some((text) => /(?:^|[\s;'"])(?:\\!|!|\.shell|\.system|system|\\o\s*\|)/.test(text))
  )
    found.fail(`what ${base} is told to do`)
  const isOneShot =
    /^(?:mysql|mariadb|psql|sqlite3|redis-cli|mongo|mongosh|cqlsh|clickhouse-client)$/.test(base) &&
    texts.some(
      (text) =>
        /^(?:-e|-c|-f|-l|--command|--execute|--eval|--query|--file|--list)/.test(text) ||
        (base === 'redis-cli' && !text.startsWith('-')),
    )
  if (!isOneShot) found.verb('shell:interactive', 'program', base)
}

/** A program that is not known, with a shell among its arguments: it may well run it. */
export function suspicious(w: Walker, base: string, args: readonly Field[]): void {
  for (const field of args)
    if (known(field) && (RISKY.has(programName(field.text)) || /^mkfs\b/.test(field.text))) {
      w.found.fail(`${base} may run ${field.text}`)
      return
    }
}
