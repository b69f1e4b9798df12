/**
 * The home directory: where each kind of state lives, which format it has, and the runtime status that other processes
 * read. Refuses a home written by a newer version; never deletes anything.
 */
import { randomBytes } from 'node:crypto'
import {
  chmodSync,
  closeSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  writeSync,
} from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import type { ProtocolName } from './configuration'
import { CustodyError } from './errors'

export const homeFormatVersion = 1

/** All places below a home directory. */
export interface Home {
  readonly directory: string
  readonly log: string
  readonly warehouse: string
  readonly keys: string
  readonly run: string
  readonly demo: string
  readonly statusFile: string
  readonly adminTokenFile: string
  /** Where stand-alone's own store is, with the password of who only reads. */
  readonly storeUrlFile: string
}

/** Written by stand-alone once everything listens; removed when it stops. */
export interface RuntimeStatus {
  pid: number
  version: string
  /** Of each protocol that is listened for, and of the rest. */
  ports: Partial<Record<ProtocolName, number>> & { console: number; warehouse: number }
  host: string
  startedAt: string
}

export function homeDirectory(
  environment: NodeJS.ProcessEnv = process.env,
  cwd: string = process.cwd(),
): string {
  return resolve(cwd, environment.CUSTODY_HOME || '.custody')
}

export function homeAt(directory: string): Home {
  return {
    directory,
    log: join(directory, 'log'),
    warehouse: join(directory, 'warehouse'),
    keys: join(directory, 'keys'),
    run: join(directory, 'run'),
    demo: join(directory, 'demo'),
    statusFile: join(directory, 'run', 'status.json'),
    adminTokenFile: join(directory, 'run', 'admin-token'),
    storeUrlFile: join(directory, 'run', 'store-url'),
  }
}

/** Creates what is missing and checks the format. Keys and runtime secrets are for the owner's eyes only. */
export function prepareHome(directory: string): Home {
  const home = homeAt(directory)
  try {
    mkdirSync(directory, { recursive: true })
    const format = readHomeFormat(directory)
    if (format !== undefined && format > homeFormatVersion) {
      throw new CustodyError(
        'CUSTODY-HOME-001',
        `${directory} has format ${format}, this version of Custody knows up to ${homeFormatVersion}`,
        { details: { directory, format, known: homeFormatVersion } },
      )
    }
    for (const place of [home.log, home.warehouse])
      mkdirSync(place, { recursive: true, mode: 0o700 })
    for (const place of [home.keys, home.run]) {
      mkdirSync(place, { recursive: true, mode: 0o700 })
      chmodSync(place, 0o700)
    }
    if (format === undefined) {
      writeFileAtomic(
        join(directory, 'home.json'),
        `${JSON.stringify({ formatVersion: homeFormatVersion })}\n`,
      )
    }
  } catch (cause) {
    if (cause instanceof CustodyError) throw cause
    throw new CustodyError(
      'CUSTODY-HOME-003',
      `cannot use ${directory} as the home directory: ${(cause as Error).message}`,
      { cause },
    )
  }
  return home
}

function readHomeFormat(directory: string): number | undefined {
  let text: string
  try {
    text = readFileSync(join(directory, 'home.json'), 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
  let version: unknown
  try {
    version = (JSON.parse(text) as { formatVersion?: unknown }).formatVersion
  } catch {
    version = undefined
  }
  if (typeof version !== 'number') {
    throw new CustodyError(
      'CUSTODY-HOME-003',
      `${join(directory, 'home.json')} does not say which format the directory has`,
    )
  }
  return version
}

/** Replaces a file as a whole: a reader, or a crash at any moment, sees the old or the new content, never a part. */
export function writeFileAtomic(path: string, content: string | Buffer, mode = 0o644): void {
  const temporary = join(dirname(path), `.${randomBytes(6).toString('hex')}.tmp`)
  try {
    const file = openSync(temporary, 'wx', mode)
    try {
      const bytes = typeof content === 'string' ? Buffer.from(content) : content
      for (let at = 0; at < bytes.length; ) at += writeSync(file, bytes, at)
      fsyncSync(file)
    } finally {
      closeSync(file)
    }
    renameSync(temporary, path)
  } catch (error) {
    rmSync(temporary, { force: true })
    throw error
  }
}

export function readStatus(home: Home): RuntimeStatus | undefined {
  try {
    return JSON.parse(readFileSync(home.statusFile, 'utf8')) as RuntimeStatus
  } catch {
    return undefined
  }
}

/** The local administrator's secret, made once per start by stand-alone; whoever can read the file may administer. */
export function readAdminToken(home: Home): string | undefined {
  try {
    return readFileSync(home.adminTokenFile, 'utf8').trim() || undefined
  } catch {
    return undefined
  }
}

/** True while a process with this id runs, whoever owns it. One that has ended but was not collected yet does not. */
export function processExists(pid: number): boolean {
  try {
    process.kill(pid, 0)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EPERM') return false
  }
  if (process.platform !== 'linux') return true
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    // The name in brackets may hold anything, so the state is looked for after its end.
    return stat[stat.lastIndexOf(')') + 2] !== 'Z'
  } catch (error) {
    return (error as NodeJS.ErrnoException).code !== 'ENOENT'
  }
}
