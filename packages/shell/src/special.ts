/**
 * Builtins and programs whose words need more than a list of options to be read: su, find, eval, trap, alias, declare, awk, at,
 * containers. Each refuses words that it does not know.
 */
import { classify } from './classify'
import { code, invoke, joined, reads, runsFile, suspicious } from './invoke'
import { isShell, lastPart } from './programs'
import { awkDoes, sedDoes } from './scripts'
import type { Invocation, Surroundings, Walker } from './walk'
import { type Field, known, literal, UNKNOWN } from './words'

type Special = (w: Walker, args: readonly Field[], one: Invocation, here: Surroundings) => void

function su(
  w: Walker,
  args: readonly Field[],
  one: Invocation,
  here: Surroundings,
  base: string,
): void {
  const { found } = w
  found.verb('shell:elevate', 'program', base)
  let isCode = false
  const rest: Field[] = []
  // With a user named so, what follows is a program and its own words.
  const isWrapper =
    base === 'runuser' && args.some(({ text }) => text === '-u' || text.startsWith('--user'))
  for (let at = 0; at < args.length; at++) {
    const field = args[at]!
    if (!known(field)) {
      found.fail(`what ${base} is given can’t be told`)
      return
    }
    const { text } = field
    const attached = /^--(?:command|session-command)=([\s\S]*)$/.exec(text)?.[1]
    if (attached !== undefined) {
      isCode = true
      code(w, { ...field, text: attached }, here)
    } else if (/^(?:-[a-z]*c|--command|--session-command)$/.test(text)) {
      isCode = true
      code(w, args[++at], here)
    } else if (
      /^(?:-[sgGwuT]|--shell|--group|--supp-group|--whitelist-environment|--user)$/.test(text)
    )
      at++
    else if (/^(?:-|-l|-m|-p|-f|-P|--login|--preserve-environment|--fast|--pty|--)$/.test(text))
      continue
    else if (/^--(?:shell|group|supp-group|whitelist-environment|user)=/.test(text)) continue
    else if (text.startsWith('-')) {
      found.fail(`${base} ${text} is not known`)
      return
    } else if (isWrapper) {
      rest.push(...args.slice(at))
      break
    } else rest.push(field)
  }
  if (isCode) return
  if (isWrapper && rest.length > 0)
    return void invoke(w, {
      ...here,
      fields: rest,
      redirections: one.redirections,
      assignments: {},
    })
  if (rest.length > 1) {
    found.fail(`what ${base} is given can’t be told`)
    return
  }
  if (one.stdin) {
    reads(w, base, one, true)
    return
  }
  found.verb('shell:interactive', 'program', base)
}

const inner = (
  w: Walker,
  fields: readonly Field[],
  one: Invocation,
  here: Surroundings,
  stdin = one.stdin,
): void => {
  if (fields.length > 0)
    invoke(w, {
      ...here,
      stdin,
      fields: [...fields],
      redirections: one.redirections,
      assignments: {},
    })
}

function declares(w: Walker, args: readonly Field[]): void {
  for (const field of args) {
    const match = /^([A-Za-z_]\w*)(\+?)=([\s\S]*)$/.exec(field.text)
    if (match) {
      const [, name, plus, value] = match as unknown as [string, string, string, string]
      const isPath = name === 'PATH' && value.startsWith(UNKNOWN)
      w.assign(name, isPath ? value : known(field) && !plus ? value : null, false)
    } else if (/^-\w*n/.test(field.text)) w.found.fail('a name for another variable')
    else if (/[[`]|\$\(/.test(field.text) && /\$\(|`/.test(field.text))
      w.found.fail('code in an index')
    else if (/^[A-Za-z_]\w*$/.test(field.text) && CODE_ON_EXPORT.has(field.text))
      w.found.fail(`${field.text} is code that can’t be told`)
    else if (!known(field)) w.found.fail('a variable whose name can’t be told')
  }
}
const CODE_ON_EXPORT = new Set(['PROMPT_COMMAND', 'LD_PRELOAD', 'BASH_ENV', 'ENV'])

const names: Special = (w, args) => {
  for (const field of args) {
    if (/\$\(|`/.test(field.text)) w.found.fail('code in an index')
    const name = /^[A-Za-z_]\w*/.exec(field.text)?.[0]
    if (name) w.set(name, null)
  }
}

export const SPECIAL: Readonly<Record<string, Special | undefined>> = {
  __proto__: null as never,
  su: (w, args, one, here) => su(w, args, one, here, 'su'),
  runuser: (w, args, one, here) => su(w, args, one, here, 'runuser'),
  eval: (w, args, _one, here) => {
    if (args.length === 0) return
    const all = joined(args)
    code(w, all, here, true)
    if (!known(all)) w.forget()
  },
  '.': (w, args, one) => sourced(w, args, one),
  source: (w, args, one) => sourced(w, args, one),
  trap: (w, args, _one, here) => {
    const list = args.filter(({ text }) => text !== '--' && text !== '-p' && text !== '-l')
    if (list.length > 1 && list[0]!.text !== '-' && list[0]!.text !== '') code(w, list[0], here)
  },
  alias: (w, args, _one, here) => {
    for (const field of args) {
      const at = field.text.indexOf('=')
      if (at < 0) continue
      w.aliases.add(field.text.slice(0, at))
      code(w, { ...field, text: field.text.slice(at + 1) }, here)
    }
  },
  declare: declares,
  typeset: declares,
  local: declares,
  export: declares,
  readonly: declares,
  read: (w, args, one, here) => names(w, args, one, here),
  mapfile: (w, args, one, here) => {
    const at = args.findIndex(({ text }) => /^-\w*C/.test(text))
    if (at >= 0) code(w, args[at + 1], here)
    names(w, args, one, here)
  },
  readarray: (w, args, one, here) => SPECIAL.mapfile!(w, args, one, here),
  getopts: (w, args, one, here) => names(w, args, one, here),
  unset: (w, args, one, here) => {
    names(w, args, one, here)
    if (args.some(({ text }) => /^HISTFILE$|^HISTSIZE$/.test(text)))
      w.found.verb('shell:conceal', 'variable', 'HISTFILE')
  },
  let: (w, args, one, here) => names(w, args, one, here),
  printf: (w, args, one, here) => {
    if (args[0]?.text.startsWith('-v')) names(w, args.slice(0, 2), one, here)
    classify(w, 'printf', args, one)
  },
  test: (w, args) => tests(w, args),
  '[': (w, args) => tests(w, args),
  cd: (w, args) => changes(w, args),
  pushd: (w, args) => changes(w, args),
  popd: (w) => {
    w.directory = null
  },
  enable: (w, args) => {
    if (args.some(({ text }) => /^-\w*[fnd]/.test(text)) || !args.every(known))
      w.found.fail('changes what names stand for')
  },
  hash: (w, args) => {
    if (args.some(({ text }) => /^-\w*p/.test(text)) || !args.every(known))
      w.found.fail('changes what names stand for')
  },
  bind: (w, args) => {
    if (args.some((field) => !known(field) || /^-\w*x|["']?\\C-/.test(field.text)))
      w.found.fail('gives keys a meaning')
  },
  complete: (w, args) => {
    if (args.some((field) => !known(field) || /^-\w*C/.test(field.text)))
      w.found.fail('gives completion a meaning')
  },
  fc: (w, args) => {
    if (!args.some(({ text }) => /^-\w*l/.test(text))) w.found.fail('runs what is in the history')
  },
  history: (w, args) => {
    if (args.some(({ text }) => /^-\w*[cdwr]/.test(text)))
      w.found.verb('shell:conceal', 'program', 'history')
  },
  set: (w, args) => {
    if (args.some(({ text }, at) => text === '+o' && args[at + 1]?.text === 'history'))
      w.found.verb('shell:conceal', 'program', 'set')
  },
  find: (w, args, one, here) => find(w, args, one, here),
  flock: (w, args, one, here) => {
    let at = 0
    for (; at < args.length && args[at]!.text.startsWith('-'); at++)
      if (/^(?:-\w*[wE]|--timeout|--wait|--conflict-exit-code)$/.test(args[at]!.text)) at++
    const rest = args.slice(at + 1)
    if (rest.length > 0 && /^(?:-c|--command)$/.test(rest[0]!.text)) code(w, rest[1], here)
    else if (rest[0]?.text.startsWith('-')) w.found.fail('what flock is given can’t be told')
    else inner(w, rest, one, here)
  },
  script: (w, args, one, here) => {
    const at = args.findIndex(({ text }) => /^-\w*c$|^--command/.test(text))
    if (at < 0) {
      if (args.every(known)) {
        w.found.verb('shell:interactive', 'program', 'script')
        return
      }
      w.found.fail('what script is given can’t be told')
      return
    }
    const own = args[at]!
    code(
      w,
      own.text.includes('=')
        ? { ...own, text: own.text.slice(own.text.indexOf('=') + 1) }
        : args[at + 1],
      { ...here, stdin: one.stdin },
    )
  },
  parallel: (w, args, one, here) => {
    const cut = args.findIndex(({ text }) => /^:::{1,2}\+?$/.test(text))
    const list = cut < 0 ? args : args.slice(0, cut)
    let at = 0
    for (; at < list.length && list[at]!.text.startsWith('-'); at++) {
      if (
        !/^(?:-j\d*|-P\d*|-k|-q|-0|-X|-m|-t|-v|--jobs|--bar|--eta|--keep-order|--halt|--null|-N\d+|-n\d+|--dry-run|--will-cite|--progress|--joblog|--timeout|--retries)(?:=.*)?$/.test(
          list[at]!.text,
        )
      ) {
        w.found.fail(`parallel ${list[at]!.text.replaceAll(UNKNOWN, '*')} is not known`)
        return
      }
      if (/^(?:-j|-P|--jobs|--halt|--joblog|--timeout|--retries)$/.test(list[at]!.text)) at++
    }
    const rest = list.slice(at)
    if (rest.length === 0) {
      w.found.fail('parallel runs what it reads')
      return
    }
    const fields = rest.map((field) => ({
      ...field,
      text: field.text.replace(/\{[^}]*\}/g, UNKNOWN),
    }))
    if (fields.some(({ text }) => /[;|&$`<>\s]/.test(text))) {
      w.found.fail('parallel runs what it reads')
      return
    }
    inner(
      w,
      rest.some(({ text }) => text.includes('{'))
        ? fields
        : [...fields, { text: UNKNOWN, isMany: true, isGlob: false, from: [] }],
      one,
      here,
      null,
    )
  },
  at: (w, args, one) => later(w, 'at', args, one),
  batch: (w, args, one) => later(w, 'batch', args, one),
  awk: (w, args, one) => awk(w, 'awk', args, one),
  gawk: (w, args, one) => awk(w, 'gawk', args, one),
  mawk: (w, args, one) => awk(w, 'mawk', args, one),
  nawk: (w, args, one) => awk(w, 'nawk', args, one),
  sed: (w, args, one) => {
    const problem = sedDoes(args)
    if (problem) w.found.fail(problem)
    classify(w, 'sed', args, one)
  },
  docker: (w, args, one, here) => container(w, 'docker', args, one, here),
  podman: (w, args, one, here) => container(w, 'podman', args, one, here),
  nerdctl: (w, args, one, here) => container(w, 'nerdctl', args, one, here),
  kubectl: (w, args, one, here) => container(w, 'kubectl', args, one, here),
  oc: (w, args, one, here) => container(w, 'oc', args, one, here),
}

function sourced(w: Walker, args: readonly Field[], one: Invocation): void {
  const [script] = args
  if (!script) return
  runsFile(w, 'source', script, one, true)
  w.forget()
}

function tests(w: Walker, args: readonly Field[]): void {
  if (args.some(({ text }) => /\[.*(?:\$\(|`)/.test(text))) w.found.fail('code in an index')
}

function changes(w: Walker, args: readonly Field[]): void {
  const to = args.find(({ text }) => !/^-[LPe@n]+$|^--$/.test(text))
  if (!to) w.directory = '~'
  else if (!known(to) || to.isGlob || to.text === '-' || /^[-+]\d/.test(to.text)) w.directory = null
  else if (/^[/~]/.test(to.text)) w.directory = to.text
  else if (w.directory) w.directory = `${w.directory}/${to.text}`
  else w.directory = null
}

function later(w: Walker, base: string, args: readonly Field[], one: Invocation): void {
  w.found.verb('shell:schedule', 'program', base)
  if (args.some(({ text }) => /^-[lcrdq]/.test(text))) return
  if (args.some(({ text }) => text === '-f')) {
    w.found.fail(`${base} runs a file`)
    return
  }
  reads(w, base, one, true)
}

function awk(w: Walker, base: string, args: readonly Field[], one: Invocation): void {
  const problem = awkDoes(args)
  if (problem) w.found.fail(problem)
  classify(w, base, args, one)
}

function find(w: Walker, args: readonly Field[], one: Invocation, here: Surroundings): void {
  const starts: Field[] = []
  let at = 0
  for (; at < args.length; at++) {
    const { text } = args[at]!
    if (/^-(?:H|L|P|O\d*|D)$/.test(text)) continue
    if (/^[-(!]/.test(text)) break
    starts.push(args[at]!)
  }
  const expression = args.slice(at)
  const isNarrow = expression.some(({ text }) =>
    /^-(?:i?name|i?path|i?regex|.?time|.?min|newer.*|size|empty|user|group|perm|maxdepth|inum|xtype|samefile)$/.test(
      text,
    ),
  )
  for (const field of starts) w.found.path('shell:read', w.at(field))
  for (let i = 0; i < expression.length; i++) {
    const field = expression[i]!
    const { text } = field
    if (!known(field) && field.isMany) w.found.fail('what find is given can’t be told')
    if (text === '-delete') {
      if (!isNarrow) classify(w, 'rm -r', starts.length > 0 ? starts : [literal('.')], one)
      for (const start of starts) w.found.path('shell:delete', w.at(start))
      w.found.verb('shell:delete')
    } else if (/^-f(?:print0?|printf|ls)$/.test(text) && expression[i + 1])
      w.write(expression[i + 1]!)
    else if (/^-(?:exec|execdir|ok|okdir)$/.test(text)) {
      let end = i + 1
      while (
        end < expression.length &&
        expression[end]!.text !== ';' &&
        !(expression[end]!.text === '+' && expression[end - 1]!.text === '{}')
      )
        end++
      const own = expression.slice(i + 1, end)
      // What it finds stands for where it looks, so that `find / -exec rm -rf {} +` is what it is.
      const found = isNarrow || starts.length !== 1 ? UNKNOWN : starts[0]!.text
      if (own[0]?.text === '{}') w.found.fail('find runs what it finds')
      else {
        const isNarrowRemoval =
          isNarrow &&
          ['rm', 'rmdir', 'unlink', 'chmod', 'chown', 'chgrp'].includes(own[0]?.text ?? '')
        const words = own
          .filter(({ text: word }) => !(isNarrowRemoval && /^-[rRfv]+$/.test(word)))
          .map((word) => ({ ...word, text: word.text.replaceAll('{}', found) }))
        // Each of what stands below it, without being told to go there.
        if (!isNarrow && /^(?:rm|unlink|shred|srm)$/.test(own[0]?.text ?? ''))
          classify(w, 'rm -r', starts.length > 0 ? starts : [literal('.')], one)
        inner(w, words, { ...one, redirections: [] }, here, null)
        if (isNarrowRemoval)
          for (const start of starts)
            w.found.path(own[0]!.text.startsWith('ch') ? 'shell:permission' : 'shell:delete', start)
      }
      i = end
    }
  }
}

const CONTAINER_VALUES = new Set(
  '-u --user -e --env -w --workdir --env-file --detach-keys -n --namespace -c --container --context --kubeconfig --cluster'.split(
    ' ',
  ),
)

function container(
  w: Walker,
  base: string,
  args: readonly Field[],
  one: Invocation,
  here: Surroundings,
): void {
  const { found } = w
  const texts = args.map(({ text }) => text)
  const exec = texts.indexOf('exec')
  const run = texts.findIndex((text) => text === 'run' || text === 'create' || text === 'debug')
  const first = texts.findIndex(
    (text, i) => !text.startsWith('-') && !CONTAINER_VALUES.has(texts[i - 1] ?? ''),
  )
  if (exec >= 0 && (exec === first || texts[first] === 'compose' || texts[first] === 'container')) {
    const dashes = texts.indexOf('--')
    let at = dashes > 0 ? dashes + 1 : exec + 1
    if (dashes < 0) {
      for (; at < args.length && texts[at]!.startsWith('-'); at++)
        if (CONTAINER_VALUES.has(texts[at]!)) at++
      at++
      while (at < args.length && texts[at]!.startsWith('-'))
        at += CONTAINER_VALUES.has(texts[at]!) ? 2 : 1
    }
    if (texts.some((text) => text === '--privileged')) found.verb('shell:elevate', 'program', base)
    const words = args.slice(at)
    if (words.length === 0) return
    inner(w, words, one, here)
    return
  }
  if (run >= 0 && run === first) {
    found.verb('shell:run')
    if (
      texts.some(
        (text, i) =>
          /^--privileged|^--pid=host|^--cap-add/.test(text) ||
          (/^(?:-v|--volume|--mount)$/.test(texts[i - 1] ?? '') &&
            /^\/(?:etc|root|var\/run\/docker\.sock)?:|source=\/,/.test(text)) ||
          /^(?:--volume=|-v)\/(?:etc|root)?:/.test(text),
      )
    )
      found.verb('shell:elevate', 'program', base)
    if (args.slice(run).some((field) => known(field) && /^(?:-c|-lc)$/.test(field.text))) {
      const at = texts.findIndex(
        (text, i) => i > run && /^-l?c$/.test(text) && isShell(lastPart(texts[i - 1] ?? '')),
      )
      if (at > 0) {
        code(w, args[at + 1], { ...here, stdin: one.stdin })
        return
      }
    }
    suspicious(w, base, args.slice(run))
    return
  }
  classify(w, base, args, one)
}
