/**
 * What SFTP requests are to policies and people: verbs, paths, and a line of text. Handles have been looked up, paths
 * resolved. Pure.
 */
import { quoted } from './sftp-paths'
import { type Attributes, OpenFlag, type Request } from './sftp-wire'
import { type FileObject, type FileOperation, type FileVerb, operation } from './transfers'

/** Requests by paths, and which of them look through a link at their end. */
export type PathRequest = Extract<Request, { path: Buffer } | { from: Buffer }>

const FOLLOWS = new Set<Request['type']>([
  'open',
  'stat',
  'setstat',
  'opendir',
  'realpath',
  'statvfs',
])
/** What is in them is no path. */
const NAMES_NOTHING = new Set<Request['type']>(['expand-path', 'home-directory'])

export function follows(request: Request): boolean {
  return FOLLOWS.has(request.type)
}

export function namesNothing(request: Request): boolean {
  return NAMES_NOTHING.has(request.type)
}

const VERBS: Partial<Record<Request['type'], FileVerb>> = {
  opendir: 'ssh:file-list',
  stat: 'ssh:file-stat',
  lstat: 'ssh:file-stat',
  statvfs: 'ssh:file-stat',
  realpath: 'ssh:file-stat',
  readlink: 'ssh:file-stat',
  'expand-path': 'ssh:file-stat',
  'home-directory': 'ssh:file-stat',
  'users-groups-by-id': 'ssh:file-stat',
  mkdir: 'ssh:file-create',
  setstat: 'ssh:file-change',
  lsetstat: 'ssh:file-change',
  fsetstat: 'ssh:file-change',
  remove: 'ssh:file-remove',
  rmdir: 'ssh:file-remove',
  rename: 'ssh:file-rename',
  'posix-rename': 'ssh:file-rename',
  symlink: 'ssh:file-link',
  hardlink: 'ssh:file-link',
  'copy-data': 'ssh:file-copy',
}

/** What a target makes of the flags: without any it opens to read, and creating and truncating need none to write. */
export function access(flags: number): { read: boolean; write: boolean; append: boolean } {
  const write = (flags & OpenFlag.write) !== 0
  return {
    read: (flags & OpenFlag.read) !== 0 || !write,
    write,
    append: (flags & OpenFlag.append) !== 0,
  }
}

const CHANGES = OpenFlag.write | OpenFlag.append | OpenFlag.create | OpenFlag.truncate

/** `paths`: those of the request, in its order, as resolved. `asked`: as the client sent them. */
export function describe(
  request: Request,
  paths: readonly string[],
  asked: readonly string[],
  problem?: string,
): FileOperation {
  const attributes: Record<string, string> = {}
  if (asked.some((path, i) => path !== paths[i])) attributes.asked = asked.join('\n')
  const named = paths.map(quoted)
  const more = { attributes, ...(problem !== undefined && { problem }) }
  if (request.type === 'open') {
    const { read } = access(request.flags)
    const changes = (request.flags & CHANGES) !== 0
    const objects: FileObject[] = []
    if (read) objects.push({ verb: 'ssh:download', path: paths[0]! })
    if (changes) objects.push({ verb: 'ssh:upload', path: paths[0]! })
    const words = read && changes ? 'read and write' : changes ? 'write' : 'read'
    attributes.flags = flagsText(request.flags)
    Object.assign(attributes, attributesOf(request.attributes))
    return operation('open', 'sftp', `open ${named[0]} to ${words}`, objects, more)
  }
  const verb = VERBS[request.type] ?? 'ssh:file-unknown'
  const objects = paths.map((path) => ({ verb, path }))
  let text = [request.type, ...named].join(' ')
  if ('attributes' in request) {
    const changed = attributesOf(request.attributes)
    Object.assign(attributes, changed)
    text += Object.entries(changed)
      .map(([name, value]) => ` ${name}=${value}`)
      .join('')
  }
  if (request.type === 'unknown')
    return operation('unknown', 'sftp', `extended ${quoted(request.name)}`, [], {
      verb,
      attributes,
      problem: 'an extension that is not known',
    })
  return operation(request.type, 'sftp', text, objects, { ...more, verb })
}

function flagsText(flags: number): string {
  return Object.entries(OpenFlag)
    .filter(([, bit]) => (flags & bit) !== 0)
    .map(([name]) => name)
    .join(' ')
}

function attributesOf(attributes: Attributes): Record<string, string> {
  const { size, uid, gid, mode, accessed, modified } = attributes
  return {
    ...(size !== undefined && { size: String(size) }),
    ...(uid !== undefined && { uid: String(uid), gid: String(gid) }),
    ...(mode !== undefined && { mode: (mode & 0o7777).toString(8).padStart(4, '0') }),
    ...(modified !== undefined && { modified: String(modified), accessed: String(accessed) }),
  }
}
