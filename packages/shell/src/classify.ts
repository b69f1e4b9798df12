/**
 * What a program does to the machine, by its name and words: which verbs, on which paths, hosts and accounts.
 * Programs that are not told apart here do `shell:run`, and read the paths that they are given.
 */
import { COMMANDS } from './commands'
import { DOWNLOADERS } from './programs'
import type { Invocation, Walker } from './walk'
import { type Field, known, UNKNOWN } from './words'

const TOP = new Set(
  'bin boot dev etc home lib lib32 lib64 libx32 mnt media opt proc root run sbin srv sys usr var'.split(
    ' ',
  ),
)
const SECOND = new Set(
  'usr/bin usr/lib usr/lib64 usr/sbin usr/local usr/share var/lib var/spool etc/ssh etc/pam.d var/lib/postgresql var/lib/mysql'.split(
    ' ',
  ),
)

/** Without `//`, `/./` and `/x/..`. */
export function plainPath(path: string): string {
  const parts: string[] = []
  for (const part of path.split('/')) {
    if (part === '' || part === '.') continue
    if (part === '..') {
      if (parts.length > 0 && parts.at(-1) !== '~') parts.pop()
    } else parts.push(part)
  }
  return path.startsWith('/') ? `/${parts.join('/')}` : parts.join('/')
}

/** Without which the machine, or somebody's home, is gone. */
export function isCritical(field: Field): boolean {
  const plain = plainPath(field.text)
  if (/^~[\w.-]*(?:\/(?:\.?[*?]+|\.\[!\.\]\*))?$/.test(plain)) return true
  if (!plain.startsWith('/')) return false
  if (plain === '/') return true
  const parts = plain.slice(1).split('/')
  const last = parts.at(-1)!
  if (/^\.?[*?]+$|^\.\[!\.\]\*$/.test(last)) parts.pop()
  if (parts.length === 0) return true
  // A pattern in the first place may be any of them.
  if (field.isGlob && parts.length === 1 && /[*?[{]/.test(parts[0]!)) return matchesTop(parts[0]!)
  return (
    (parts.length === 1 && TOP.has(parts[0]!) && !['mnt', 'media', 'run'].includes(parts[0]!)) ||
    SECOND.has(parts.join('/'))
  )
}

function matchesTop(pattern: string): boolean {
  try {
    const own = new RegExp(
      `^${pattern
        .replace(/[.+^${}()|\\]/g, '\\$&')
        .replaceAll('*', '.*')
        .replaceAll('?', '.')
        .replaceAll('[!', '[^')}$`,
    )
    return [...TOP].some((one) => own.test(one))
  } catch {
    return true
  }
}

const DEVICE =
  /^\/dev\/(?:sd|hd|vd|xvd|nvme|mmcblk|disk|mapper|md|dm-|loop|sr|mem|kmem|port|nbd|zvol|[a-z-]+\/)/

/** What writing there means besides. */
export function written(w: Walker, path: string): void {
  const { found } = w
  const plain = plainPath(path)
  const says = (verb: string) => found.verb(verb, 'path', plain)
  if (DEVICE.test(plain) && !/^\/dev\/(?:null|zero|tty|pts|shm|std|fd|mapper\/control)/.test(plain))
    says('shell:destroy')
  if (
    /^\/etc\/(?:passwd|shadow|group|gshadow|sudoers|subuid|subgid|login\.defs|nsswitch\.conf|pam\.conf|hosts\.(?:allow|deny)|security)(?:-|$|\/)|^\/etc\/(?:sudoers\.d|pam\.d|ssh)\//.test(
      plain,
    ) ||
    /(?:^|\/)authorized_keys2?$|(?:^|\/)\.ssh\/(?:rc|config|environment)$/.test(plain)
  )
    says('shell:account')
  if (
    /^\/etc\/(?:cron|anacrontab|at\.|systemd\/|init\.d|rc|profile|bash|zsh|environment|ld\.so\.|modules|udev|inittab|xdg\/autostart)|^\/var\/spool\/(?:cron|at)|^\/(?:usr\/)?lib\/systemd\/|^\/run\/systemd\//.test(
      plain,
    ) ||
    /(?:^|\/)\.(?:bashrc|bash_profile|bash_login|bash_logout|profile|zshrc|zprofile|zshenv|zlogin|kshrc|cshrc|tcshrc|login|inputrc|vimrc|gitconfig)$|(?:^|\/)\.config\/(?:fish|autostart|systemd)\//.test(
      plain,
    )
  )
    says('shell:schedule')
  if (/^\/proc\/sys(?:rq-trigger|\/)|^\/sys\/(?!fs\/cgroup)/.test(plain))
    says(plain === '/proc/sysrq-trigger' ? 'shell:power' : 'shell:kernel')
  if (isRecord(plain)) says('shell:conceal')
  if (/^\/(?:usr\/(?:local\/)?)?s?bin\/|^\/boot\//.test(plain)) says('shell:install')
}

/** Logs and histories: what others look at to see what was done. */
export function isRecord(plain: string): boolean {
  return (
    /(?:^|\/)\.(?:bash|zsh|sh|mysql|psql|python|rediscli|node_repl|lesshst|viminfo|fish)_?history$|(?:^|\/)fish_history$/.test(
      plain,
    ) ||
    /^\/var\/log\/(?:auth|secure|audit|wtmp|btmp|lastlog|messages|syslog|faillog|tallylog|journal|sudo|kern)|^\/var\/run\/utmp|^\/run\/utmp|^\/var\/log(?:\/\*)?$/.test(
      plain,
    )
  )
}

const PATH_LIKE = /^(?:~|\.{0,2}\/|\.\.?$|\/)/

export function classify(w: Walker, base: string, args: readonly Field[], one: Invocation): void {
  const { found } = w
  if (/^mk(?:fs|swap|e2fs|dosfs|ntfs)\b/.test(base)) {
    if (!args.some(({ text }) => /^(?:-V|--version|--help|-h)$/.test(text))) {
      found.verb('shell:destroy', 'program', base)
      for (const field of operands(args)) found.path('shell:destroy', field)
    }
    return
  }
  const own = COMMANDS[base]
  if (own) {
    own(w, args, one, base)
    return
  }
  for (const field of args) {
    const value = /^--?[\w-]+=(.+)$/.exec(field.text)?.[1]
    if (PATH_LIKE.test(field.text)) found.path('shell:read', w.at(field))
    else if (value && PATH_LIKE.test(value))
      found.path('shell:read', w.at({ ...field, text: value }))
  }
  if (DOWNLOADERS.has(base)) for (const field of args) hosts(w, base, field)
}

/** `host:path`, `user@host`, addresses. */
function hosts(w: Walker, base: string, field: Field): void {
  if (field.text.startsWith('-')) return
  const remote = /^(?:[^@\s/:]+@)?([\w.-]+|\[[0-9a-f:]+\]):(?!\/\/)/i.exec(field.text)?.[1]
  if (remote && /^(?:scp|rsync|sftp)$/.test(base)) w.found.verb('shell:network', 'host', remote)
  else if (
    /^(?:nc|ncat|netcat|telnet|socat|ftp|tftp|lftp|sftp)$/.test(base) &&
    /^[\w.-]*[A-Za-z.][\w.-]*$/.test(field.text)
  )
    w.found.verb('shell:network', 'host', field.text.replace(/^[^@]*@/, ''))
}

/** Words that are no options. */
export function operands(args: readonly Field[]): Field[] {
  const out: Field[] = []
  let isPast = false
  for (const field of args) {
    if (!isPast && field.text === '--') isPast = true
    else if (isPast || !/^-./.test(field.text)) out.push(field)
  }
  return out
}

/** Options that are given: long names, and letters of clusters. */
export function hasOption(args: readonly Field[], letters: string, ...long: string[]): boolean {
  for (const { text } of args) {
    if (text === '--') return false
    if (text.startsWith('--')) {
      const name = text.slice(2).replace(/=.*$/, '')
      // Long options may be cut short.
      if (long.some((one) => one === name || (name.length >= 3 && one.startsWith(name))))
        return true
    } else if (/^-[^-]/.test(text) && [...letters].some((letter) => text.slice(1).includes(letter)))
      return true
  }
  return false
}

export const isUnknown = (field: Field): boolean =>
  !known(field) && (field.isMany || field.text.includes(UNKNOWN))
