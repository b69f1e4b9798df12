/**
 * A disk that can be full: a file system of its own in memory whose size is changed while it is used, so that writers meet
 * a real ENOSPC, in the middle of what they write. Where nothing may be mounted, the process's own bound on file sizes
 * (RLIMIT_FSIZE, EFBIG) takes its place. Where neither can be had it says so instead of pretending.
 */
import { execFileSync } from 'node:child_process'
import { mkdirSync, readdirSync, renameSync, rmdirSync, statfsSync, statSync } from 'node:fs'
import { join } from 'node:path'

export interface Disk {
  readonly path: string
  /** How it is made full, for people: `tmpfs` or `RLIMIT_FSIZE`. */
  readonly how: string
  /** Leaves room for so many more bytes. */
  fill(leftBytes: number): void
  free(): void
  /** Nothing may be using it any more. `keep` leaves what is on it where it was mounted. */
  remove(keep?: boolean): void
}

const PAGE_BYTES = 4096

/** `pid` is the process that writes there, for the second way; where it is not given there is none, and null the answer. */
export function createDisk(path: string, megabytes: number, pid: () => number | null): Disk
export function createDisk(path: string, megabytes: number): Disk | null
export function createDisk(
  path: string,
  megabytes: number,
  pid?: () => number | null,
): Disk | null {
  mkdirSync(path, { recursive: true, mode: 0o700 })
  return mounted(path, megabytes) ?? (pid ? limited(path, pid) : null)
}

/** Null where nothing may be mounted. */
export function mounted(path: string, megabytes: number): Disk | null {
  if (process.platform !== 'linux' || process.getuid?.() !== 0) return null
  try {
    run('mount', ['-t', 'tmpfs', '-o', `size=${megabytes}m,mode=0700`, 'tmpfs', path])
  } catch {
    // Root in a container may not mount either.
    return null
  }
  let isThere = true
  const remove = (keep = false) => {
    if (!isThere) return
    isThere = false
    const aside = `${path}.kept`
    if (keep) run('cp', ['-a', path, aside])
    run('umount', ['-l', path])
    if (!keep) return
    rmdirSync(path)
    renameSync(aside, path)
  }
  process.once('exit', () => {
    try {
      remove()
    } catch {}
  })
  return {
    path,
    how: 'tmpfs',
    fill(leftBytes) {
      const { blocks, bfree, bsize } = statfsSync(path)
      const used = (blocks - bfree) * bsize
      run('mount', ['-o', `remount,size=${used + Math.max(PAGE_BYTES, leftBytes)}`, path])
    },
    free: () => run('mount', ['-o', `remount,size=${megabytes}m`, path]),
    remove,
  }
}

export function limited(path: string, pid: () => number | null): Disk {
  try {
    run('prlimit', ['--version'])
  } catch {
    throw new Error(
      'a full disk can’t be had here: mounting is not permitted and there is no prlimit; run it as root, or leave the fault out with --without disk-full',
    )
  }
  const limit = (soft: string) => {
    const id = pid()
    if (id !== null) run('prlimit', ['--pid', String(id), `--fsize=${soft}:`])
  }
  return {
    path,
    how: 'RLIMIT_FSIZE',
    // The largest file is the one that is written to, or it ends soon.
    fill: (leftBytes) => limit(String(largest(path) + leftBytes)),
    free: () => limit('unlimited'),
    remove() {},
  }
}

function largest(directory: string): number {
  let bytes = 0
  for (const entry of readdirSync(directory, { withFileTypes: true, recursive: true }))
    if (entry.isFile() && entry.name.endsWith('.log'))
      bytes = Math.max(bytes, statSync(join(entry.parentPath, entry.name)).size)
  return bytes
}

function run(program: string, args: readonly string[]): void {
  execFileSync(program, args, { stdio: ['ignore', 'ignore', 'pipe'] })
}
