/**
 * Programs that run another one that their arguments name. A declaration for each: which options take a value, how many
 * words stand before the command. Refuses an option that is not declared: the word after it might be its value, or the
 * program.
 */
import { type Field, known, UNKNOWN } from './words'

export interface Wrapper {
  /** Options without a value, and with one: letters, then long names. */
  flags?: string
  values?: string
  longFlags?: string
  longValues?: string
  /** Letters whose value can only be attached. */
  attached?: string
  /** Words before the command. */
  skip?: number
  /** `X=1` may stand before the command. */
  assigns?: boolean
  elevates?: boolean
  /** The words are joined and given to a shell. */
  joins?: boolean
  /** Adds words of its own at the end. */
  appends?: boolean
  /** With one of these options it runs nothing. */
  idle?: string
  /** Without a command it starts a shell. */
  shells?: boolean
}

export const WRAPPERS: Readonly<Record<string, Wrapper>> = {
  sudo: {
    flags: 'AbBEeHhiKklnNPSsVv',
    values: 'CDghpRrTtUu',
    longFlags:
      'askpass background bell edit set-home help login remove-timestamp reset-timestamp no-update list non-interactive preserve-env preserve-groups stdin shell version validate',
    longValues:
      'chdir close-from group host prompt chroot role command-timeout type other-user user',
    assigns: true,
    elevates: true,
  },
  doas: { flags: 'Lns', values: 'aCu', elevates: true, assigns: true },
  pkexec: {
    longFlags: 'disable-internal-agent keep-cwd version help',
    longValues: 'user',
    elevates: true,
    shells: true,
  },
  run0: {
    longFlags: 'pty pipe',
    longValues: 'user group chdir nice unit slice setenv background property description',
    values: 'ugD',
    elevates: true,
    shells: true,
  },
  env: {
    flags: 'i0v',
    values: 'uCa',
    longFlags: 'ignore-environment null debug list-signal-handling',
    longValues: 'unset chdir argv0 block-signal default-signal ignore-signal',
    assigns: true,
  },
  nohup: {},
  setsid: { flags: 'cfw', longFlags: 'ctty fork wait' },
  nice: { values: 'n', longValues: 'adjustment', flags: '0123456789' },
  ionice: { flags: 't', values: 'cn', longFlags: 'ignore', longValues: 'class classdata' },
  timeout: {
    flags: 'vfp',
    values: 'ks',
    longFlags: 'foreground preserve-status verbose',
    longValues: 'kill-after signal',
    skip: 1,
  },
  stdbuf: { values: 'ioe', longValues: 'input output error' },
  unbuffer: { flags: 'p' },
  chroot: { longFlags: 'skip-chdir', longValues: 'userspec groups', skip: 1, shells: true },
  time: {
    flags: 'pvaqV',
    values: 'of',
    longFlags: 'portability verbose append quiet',
    longValues: 'output format',
  },
  command: { flags: 'pvV', idle: 'vV' },
  builtin: {},
  exec: { flags: 'cl', values: 'a' },
  noglob: {},
  nocorrect: {},
  and: {},
  or: {},
  not: {},
  xargs: {
    flags: '0oprtx',
    values: 'adEILnPs',
    attached: 'eil',
    longFlags: 'null open-tty interactive no-run-if-empty verbose exit show-limits',
    longValues:
      'arg-file delimiter max-lines max-args max-procs max-chars process-slot-var replace eof',
    appends: true,
  },
  watch: {
    flags: 'bdcegptwfrC',
    values: 'nqs',
    longFlags:
      'beep color no-color errexit chgexit precise no-title no-wrap no-rerun differences follow',
    longValues: 'interval equexit shotsdir',
    joins: true,
  },
  strace: { flags: 'cCdfhikqrtTvwxyYzZn', values: 'abeEIoOpPsSuUX', longFlags: 'follow-forks' },
  ltrace: { flags: 'cCfhirStTV', values: 'abdeElnopsuwx' },
  busybox: {},
  toybox: {},
  chrt: { flags: 'abdfimorRv', values: 'TPD', skip: 1 },
  taskset: { flags: 'ac', longFlags: 'all-tasks cpu-list', skip: 1 },
  unshare: {
    flags: 'muinpUCTfrch',
    values: 'SGRw',
    longFlags:
      'mount uts ipc net pid user cgroup time fork map-root-user map-current-user mount-proc',
    shells: true,
  },
  nsenter: {
    flags: 'muinpUCTaFe',
    values: 'tSGW',
    longFlags: 'all mount uts ipc net pid user cgroup time no-fork preserve-credentials',
    longValues: 'target setuid setgid',
    shells: true,
    elevates: true,
  },
  fakeroot: {},
  setpriv: {
    longFlags: 'clear-groups keep-groups init-groups no-new-privs',
    longValues: 'reuid regid groups',
    elevates: true,
  },
  'systemd-run': {
    flags: 'qGPtdS',
    values: 'puEHMD',
    longFlags:
      'user system scope wait pipe pty collect quiet no-block remain-after-exit same-dir shell',
    longValues:
      'unit slice property description uid gid nice setenv working-directory service-type on-active on-boot on-startup on-calendar on-unit-active timer-property machine host',
  },
  'dbus-run-session': {},
  caffeinate: { flags: 'dimsu', values: 'tw' },
  eatmydata: {},
  torsocks: {},
  proxychains: { flags: 'q', values: 'f' },
  proxychains4: { flags: 'q', values: 'f' },
  'xvfb-run': { flags: 'al', values: 'efnpsw' },
  cpulimit: { flags: 'zifvbm', values: 'lpecPL' },
  chpst: { flags: 'vVP012', values: 'uUbe/nlLmdofpcrts' },
  softlimit: { flags: 'h', values: 'mdsaflopctr' },
  setlock: { flags: 'nNxX', skip: 1 },
  gdbserver: { skip: 1 },
  valgrind: { longFlags: 'leak-check=full' },
  'aa-exec': { values: 'pni' },
  runcon: { flags: 'c', values: 'turl', skip: 1 },
  prlimit: { longValues: 'nofile nproc core cpu data fsize as' },
  linux32: {},
  linux64: {},
  ssh: {
    flags: '46AaCfGgKkMNnqsTtVvXxYy',
    values: 'BbcDEeFIiJLlmOopQRSWw',
    skip: 1,
    joins: true,
    shells: true,
    idle: 'NGVQO',
  },
}

export interface Unwrapped {
  /** Options that were given: letters and long names, with the value of those that have one. */
  options: { name: string; value: Field | null }[]
  skipped: Field[]
  assignments: Record<string, string | null>
  rest: Field[]
  /** An undeclared option, or a word that can't be told where one could stand. */
  problem: string | null
}

export function unwrap(name: string, wrapper: Wrapper, args: readonly Field[]): Unwrapped {
  const out: Unwrapped = { options: [], skipped: [], assignments: {}, rest: [], problem: null }
  const long = new Set(wrapper.longFlags?.split(' '))
  const longValues = new Set(wrapper.longValues?.split(' '))
  let at = 0
  const fail = (problem: string): Unwrapped => {
    out.problem = problem
    return out
  }
  for (; at < args.length; at++) {
    const field = args[at]!
    if (!known(field)) {
      if (field.text.startsWith(UNKNOWN) || field.isMany)
        return fail(`what ${name} is given can’t be told`)
      break
    }
    const { text } = field
    if (text === '--') {
      at++
      break
    }
    if (!text.startsWith('-') || text === '-') {
      if (text === '-' && name === 'env') {
        out.options.push({ name: 'i', value: null })
        continue
      }
      break
    }
    if (text.startsWith('--')) {
      const [option = '', value] = split(text.slice(2))
      if (value !== undefined && (long.has(option) || longValues.has(option)))
        out.options.push({ name: option, value: { ...field, text: value } })
      else if (long.has(option)) out.options.push({ name: option, value: null })
      else if (longValues.has(option)) out.options.push({ name: option, value: args[++at] ?? null })
      else return fail(`${name} ${text} is not known`)
      continue
    }
    for (let i = 1; i < text.length; i++) {
      const letter = text[i]!
      if (wrapper.values?.includes(letter)) {
        const attached = text.slice(i + 1)
        out.options.push({
          name: letter,
          value: attached ? { ...field, text: attached } : (args[++at] ?? null),
        })
        break
      }
      if (wrapper.attached?.includes(letter)) break
      if (!wrapper.flags?.includes(letter)) return fail(`${name} -${letter} is not known`)
      out.options.push({ name: letter, value: null })
    }
  }
  for (let i = 0; i < (wrapper.skip ?? 0) && at < args.length; i++, at++) {
    const field = args[at]!
    if (field.isMany) return fail(`what ${name} is given can’t be told`)
    out.skipped.push(field)
  }
  if (wrapper.assigns)
    for (; at < args.length; at++) {
      const match = /^([A-Za-z_]\w*)=([\s\S]*)$/.exec(args[at]!.text)
      if (!match) break
      out.assignments[match[1]!] = known(args[at]) ? match[2]! : null
    }
  out.rest = args.slice(at)
  return out
}

function split(text: string): [string, string | undefined] {
  const at = text.indexOf('=')
  return at < 0 ? [text, undefined] : [text.slice(0, at), text.slice(at + 1)]
}
