/**
 * One stand-alone per home directory. A lock is a file that names its process by number and by when that process started,
 * so that a number used again by another program does not keep a dead lock alive. Refuses to break a living one.
 */
import { execFileSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { linkSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { CustodyError, type Home, processExists } from '@custody/kit'

export interface ProcessName {
  pid: number
  /** When the system started it, in the system's own words; absent where it cannot be told. */
  born?: string
}

/** This number and birth belong to one process only, however long the machine runs. */
export function nameProcess(pid: number): ProcessName {
  return { pid, born: birthOf(pid) }
}

/** True while exactly that process lives. */
export function isAlive(name: ProcessName): boolean {
  if (!Number.isInteger(name.pid) || name.pid <= 0 || !processExists(name.pid)) return false
  const born = birthOf(name.pid)
  return born === undefined || name.born === undefined || born === name.born
}

function birthOf(pid: number): string | undefined {
  try {
    if (process.platform === 'linux') {
      // The command in brackets may hold anything, so fields are counted after its end; the 22nd is the start time.
      const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
      const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
      return `${fields[19]}@${readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()}`
    }
    if (process.platform === 'win32') return undefined
    return execFileSync('ps', ['-p', String(pid), '-o', 'lstart='], { encoding: 'utf8' }).trim()
  } catch {
    return undefined
  }
}

/** Takes the home for this process, or says who has it. */
export function lockHome(home: Home): { release(): void } {
  const file = join(home.run, 'lock')
  const mine = `${JSON.stringify(nameProcess(process.pid))}\n`
  const draft = join(home.run, `.lock-${randomBytes(6).toString('hex')}`)
  writeFileSync(draft, mine)
  try {
    for (;;) {
      try {
        // A link appears whole and never replaces: of several that try, one succeeds.
        linkSync(draft, file)
        return {
          release() {
            if (read(file) === mine) rmSync(file, { force: true })
          },
        }
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
      }
      const theirs = read(file)
      if (theirs === undefined) continue
      const holder = parse(theirs)
      if (holder && isAlive(holder)) {
        throw new CustodyError(
          'CUSTODY-HOME-002',
          `${home.directory} is in use by process ${holder.pid}`,
          { details: { directory: home.directory, pid: holder.pid } },
        )
      }
      breakLock(theirs)
    }
  } finally {
    rmSync(draft, { force: true })
  }

  /** Moves a dead lock away. If another process was quicker and this is its new lock, it is put back. */
  function breakLock(dead: string): void {
    const aside = join(home.run, `.lock-${randomBytes(6).toString('hex')}`)
    try {
      renameSync(file, aside)
    } catch {
      return
    }
    if (read(aside) !== dead) {
      try {
        linkSync(aside, file)
      } catch {
        // A third one holds it now.
      }
    }
    rmSync(aside, { force: true })
  }
}

function read(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8')
  } catch {
    return undefined
  }
}

function parse(text: string): ProcessName | undefined {
  try {
    return JSON.parse(text) as ProcessName
  } catch {
    return undefined
  }
}
