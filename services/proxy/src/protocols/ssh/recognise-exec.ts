/**
 * Which programs a client runs at the target to move files: scp, rsync, git, and sftp-server by its name. Told from the
 * command line alone, and only where a shell would make of it exactly what stands there.
 * Refuses to recognise anything in a line that a shell would do more with: `scp -t x; id` is no scp. Whoever may run what
 * they like can move files without being recognised; rules about files are no rules about them.
 */
import type { FileObject } from './transfers'

/** Actions of those whose protocol is not followed: bytes and digests are all that is known of them. */
export type ExecVerb =
  /** The target sends. */
  | 'ssh:rsync-send'
  | 'ssh:rsync-receive'
  | 'git:upload-pack'
  | 'git:upload-archive'
  | 'git:receive-pack'

export interface ScpCommand {
  program: 'scp'
  /** `to` the target (-t), or `from` it (-f). */
  mode: 'to' | 'from'
  paths: string[]
  recursive: boolean
  /** It must be a directory that files are put into (-d). */
  isDirectory: boolean
  /** The shell makes other paths of those that stand here. */
  expands: boolean
}

export interface SftpServerCommand {
  program: 'sftp-server'
}

export interface PlainTransfer {
  program: 'rsync' | 'git'
  verb: ExecVerb
  paths: string[]
  expands: boolean
}

export type Transfer = ScpCommand | SftpServerCommand | PlainTransfer

export function recogniseExec(line: string): Transfer | null {
  const found = plainWords(line)
  if (found === null) return null
  const [program, ...given] = found.words
  switch (program?.split('/').at(-1)) {
    case 'scp':
      return scpOf(given, found.expands)
    case 'sftp-server':
      return { program: 'sftp-server' }
    case 'rsync':
      return rsyncOf(given, found.expands)
    case 'git-upload-pack':
    case 'git-upload-archive':
    case 'git-receive-pack':
      return gitOf(program.split('/').at(-1)!.slice(4), given, found.expands)
    case 'git':
      return gitOf(given[0] ?? '', given.slice(1), found.expands)
    default:
      return null
  }
}

/** Programs of which each line that a client starts them with has a protocol on its channel, and no text. */
const PROTOCOLS: Record<string, RegExp> = {
  'git-lfs-transfer': /./,
  svnserve: /(^| )(-t|--tunnel)( |$)/,
  hg: /(^| )serve --stdio( |$)/,
  borg: /(^| )serve( |$)/,
  docker: /(^| )system dial-stdio( |$)/,
  podman: /(^| )system dial-stdio( |$)/,
  unison: /(^| )-server( |$)/,
  'rdiff-backup': /(^| )(server|--server)( |$)/,
  rclone: /(^| )serve restic --stdio( |$)/,
}

/** What only runs another program, and which of its options take a word. */
const WRAPPERS: Record<string, RegExp> = {
  sudo: /^-[ugCDRTp]$/,
  doas: /^-[uC]$/,
  nice: /^-n$/,
  ionice: /^-[cn]$/,
  env: /^-[uC]$/,
  exec: /^-a$/,
  nohup: /^(?!)/,
  command: /^(?!)/,
}

/** What is carried on the channel of such a line is a protocol's: whoever changed a byte of it would break it. */
export function carriesProtocol(line: string): boolean {
  let words = plainWords(line)?.words ?? null
  // Behind what only runs another program.
  while (words !== null) {
    const program = words[0]?.split('/').at(-1) ?? ''
    if (recogniseExec(words.map(quoted).join(' ')) !== null) return true
    if (Object.hasOwn(PROTOCOLS, program) && PROTOCOLS[program]!.test(words.slice(1).join(' ')))
      return true
    const takesWord = Object.hasOwn(WRAPPERS, program) ? WRAPPERS[program] : undefined
    if (takesWord === undefined) return false
    let at = 1
    while (at < words.length && /^-|=/.test(words[at]!)) at += takesWord.test(words[at]!) ? 2 : 1
    if (at >= words.length) return false
    words = words.slice(at)
  }
  return false
}

function quoted(word: string): string {
  return /^[\w@%+:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`
}

/** What policies are asked about the command as a whole, beside what its shell command is. */
export function objectsOf(
  transfer: Transfer,
): { verb: FileObject['verb'] | ExecVerb; kind: 'path' | 'repository'; name: string }[] {
  switch (transfer.program) {
    case 'scp': {
      const verb = transfer.mode === 'to' ? 'ssh:upload' : 'ssh:download'
      return transfer.paths.map((name) => ({ verb, kind: 'path', name }))
    }
    case 'sftp-server':
      return []
    default:
      return transfer.paths.map((name) => ({
        verb: transfer.verb,
        kind: transfer.program === 'git' ? 'repository' : 'path',
        name,
      }))
  }
}

/** Of scp that its other side starts: -t or -f, and what else it gives on. */
function scpOf(given: readonly string[], expands: boolean): ScpCommand | null {
  let flags = ''
  let at = 0
  for (; at < given.length && /^-./.test(given[at]!); at++) {
    if (given[at] === '--') {
      at++
      break
    }
    flags += given[at]!.slice(1)
  }
  const paths = given.slice(at)
  if (!/^[tfrpdvqB]*$/.test(flags) || flags.includes('t') === flags.includes('f')) return null
  const mode = flags.includes('t') ? 'to' : 'from'
  if (paths.length === 0 || (mode === 'to' && paths.length !== 1)) return null
  return {
    program: 'scp',
    mode,
    paths,
    recursive: flags.includes('r'),
    isDirectory: flags.includes('d'),
    expands,
  }
}

/** `rsync --server [--sender] -flags . path…`, as a client starts it. */
function rsyncOf(given: readonly string[], expands: boolean): PlainTransfer | null {
  if (given[0] !== '--server') return null
  const dot = given.indexOf('.')
  if (dot < 0) return null
  const isSender = given.slice(0, dot).includes('--sender')
  const paths = given.slice(dot + 1)
  if (paths.length === 0) return null
  return {
    program: 'rsync',
    verb: isSender ? 'ssh:rsync-send' : 'ssh:rsync-receive',
    paths,
    expands,
  }
}

const GIT: Record<string, ExecVerb> = {
  'upload-pack': 'git:upload-pack',
  'upload-archive': 'git:upload-archive',
  'receive-pack': 'git:receive-pack',
}

function gitOf(name: string, given: readonly string[], expands: boolean): PlainTransfer | null {
  const verb = Object.hasOwn(GIT, name) ? GIT[name]! : null
  const paths = given.filter(
    (one) => !/^--(strict|stateless-rpc|timeout=\d+|advertise-refs)$/.test(one),
  )
  if (verb === null || paths.length !== 1 || paths[0]!.startsWith('-')) return null
  return { program: 'git', verb, paths, expands }
}

/** What in a bare word makes a shell do something else than take it as it is. */
const SPECIAL = /[|&;<>()$`\n\r#!]/
/** What makes it other words, but words. */
const EXPANDS = /[*?[\]{}~^]/

/** The words of a line of which a shell makes these words and nothing else; null where it might do more. */
export function plainWords(line: string): { words: string[]; expands: boolean } | null {
  const words: string[] = []
  let word: string | null = null
  let expands = false
  for (let at = 0; at < line.length; at++) {
    const character = line[at]!
    if (character === '\0') return null
    if (character === ' ' || character === '\t') {
      if (word !== null) words.push(word)
      word = null
    } else if (character === "'") {
      const end = line.indexOf("'", at + 1)
      if (end < 0) return null
      word = (word ?? '') + line.slice(at + 1, end)
      at = end
    } else if (character === '"') {
      const end = line.indexOf('"', at + 1)
      if (end < 0 || /[$`\\!]/.test(line.slice(at + 1, end))) return null
      word = (word ?? '') + line.slice(at + 1, end)
      at = end
    } else if (character === '\\') {
      const next = line[++at]
      if (next === undefined || next === '\n') return null
      word = (word ?? '') + next
    } else if (SPECIAL.test(character)) return null
    else {
      // A variable set for the program, or by itself.
      if (character === '=' && words.length === 0) return null
      if (EXPANDS.test(character)) {
        if (words.length === 0) return null
        expands = true
      }
      word = (word ?? '') + character
    }
  }
  if (word !== null) words.push(word)
  return words.length === 0 ? null : { words, expands }
}
