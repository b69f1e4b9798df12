/**
 * Positions in a recorder's log and what each consumer has committed. A commit is one small file, replaced
 * atomically; what every consumer has committed is what retention may free.
 */

import { readdirSync, readFileSync } from 'node:fs'
import { mkdir, open, readdir, readFile, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { segmentNumber } from './segment'

export interface Position {
  /** Number of the segment. */
  segment: number
  /** Bytes from its start, always at a frame. */
  offset: number
  /** The next sequence to read. */
  sequence: number
}

const NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$/

/** Recorder and consumer names become file names, so they are held to what is one everywhere. */
export function checkName(what: string, name: string): string {
  if (!NAME.test(name))
    throw new RangeError(
      `${what} ${JSON.stringify(name)}: letters, digits, '.', '_' and '-' only, 128 at most`,
    )
  return name
}

export async function listRecorders(directory: string): Promise<string[]> {
  const entries = await readdir(directory, { withFileTypes: true }).catch(
    (error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return []
      throw error
    },
  )
  return entries
    .filter((entry) => entry.isDirectory() && NAME.test(entry.name))
    .map((entry) => entry.name)
    .sort()
}

export function listSegments(recorderDirectory: string): number[] {
  try {
    return readdirSync(recorderDirectory)
      .map(segmentNumber)
      .filter((n): n is number => n !== null)
      .sort((a, b) => a - b)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return []
    throw error
  }
}

function consumerFile(directory: string, consumer: string, recorder: string): string {
  return join(
    directory,
    checkName('recorder', recorder),
    'consumers',
    `${checkName('consumer', consumer)}.json`,
  )
}

export async function commitPosition(
  directory: string,
  consumer: string,
  recorder: string,
  position: Position,
): Promise<void> {
  const file = consumerFile(directory, consumer, recorder)
  await mkdir(join(file, '..'), { recursive: true })
  const next = `${file}.next`
  const handle = await open(next, 'w')
  try {
    await handle.writeFile(`${JSON.stringify(position)}\n`)
    await handle.datasync()
  } finally {
    await handle.close()
  }
  await rename(next, file)
}

export async function committedPosition(
  directory: string,
  consumer: string,
  recorder: string,
): Promise<Position | null> {
  try {
    return JSON.parse(
      await readFile(consumerFile(directory, consumer, recorder), 'utf8'),
    ) as Position
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null
    throw error
  }
}

/** The consumer is no more: what it committed keeps nothing from being freed. */
export async function forgetConsumer(
  directory: string,
  consumer: string,
  recorder: string,
): Promise<void> {
  await rm(consumerFile(directory, consumer, recorder), { force: true })
}

/** The first segment that some consumer still needs; `expected` consumers that never committed need all. */
export function firstNeededSegment(recorderDirectory: string, expected: readonly string[]): number {
  const directory = join(recorderDirectory, 'consumers')
  let names: string[] = []
  try {
    names = readdirSync(directory).filter((name) => name.endsWith('.json'))
  } catch {}
  const committed = new Map(
    names.map((name) => [
      name.slice(0, -5),
      (JSON.parse(readFileSync(join(directory, name), 'utf8')) as Position).segment,
    ]),
  )
  let first = Number.POSITIVE_INFINITY
  for (const consumer of new Set([...expected, ...committed.keys()]))
    first = Math.min(first, committed.get(consumer) ?? 0)
  return first
}
