/**
 * What can be done to a system, and how it is undone. Each kind of fault names its part, begins, and ends; a fault that
 * can't be injected is an error, never a fault that is counted and did nothing.
 */
import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import type { Trouble } from './link'
import type { Fault, FaultKind } from './schedule'
import type { System } from './system'

export interface Injectable extends FaultKind {
  begin(fault: Fault): Promise<void> | void
  end(fault: Fault): Promise<void> | void
}

const KILL_MS = [0, 5000] as const
const PAUSE_MS = [500, 8000] as const
/** Long enough for a group to give the work of one that is stopped to another, which then goes on as if nothing had been. */
const PAUSE_MEMBER_MS = [2000, 25_000] as const
const LINK_MS = [500, 8000] as const
const DISK_MS = [3000, 8000] as const
/** Room left on a full disk: sometimes the first write fails, sometimes one a moment later. */
const DISK_LEFT_BYTES = 100_000
const FELT_MS_MAX = 30_000

/** All kinds that a system can be subjected to, but those whose name begins with one of `without`. */
export function kindsOf(system: System, without: readonly string[] = []): Injectable[] {
  const kinds: Injectable[] = []
  for (const [name, part] of system.parts) {
    // One of several is as good as another; alone, it comes as often as they do together.
    const weight = name === classOf(name) && system.form === 'cluster' ? 2 : 1
    kinds.push({
      name: `kill ${classOf(name)}`,
      part: name,
      weight,
      durationMs: KILL_MS,
      begin: () => part.kill(),
      // It is up again when it says so; what comes before that is part of the fault.
      end: () => part.start(),
    })
    kinds.push({
      name: `pause ${classOf(name)}`,
      part: name,
      weight,
      durationMs: classOf(name) === 'ingest' ? PAUSE_MEMBER_MS : PAUSE_MS,
      begin: () => part.pause(),
      end: () => part.resume(),
    })
  }
  for (const [name, disk] of system.disks)
    kinds.push({
      name: `disk-full ${classOf(name)}`,
      part: name,
      weight: 2,
      durationMs: DISK_MS,
      begin: ({ chance }) => disk.fill(Math.floor(chance * DISK_LEFT_BYTES)),
      async end() {
        // What was written ahead is used up first: a disk that nobody has found full yet was no fault.
        if (name === 'proxy') await refusing(disk.path)
        disk.free()
        // A broker whose only disk failed ends, and is started again when it has room.
        if (name === 'broker') await system.parts.get(name)!.start()
      },
    })
  for (const [name, link] of system.links) {
    const trouble = (how: string, of: (fault: Fault) => Trouble): Injectable => ({
      name: `${how} ${classOf(name)}`,
      part: name,
      durationMs: LINK_MS,
      begin: (fault) => link.trouble(of(fault)),
      end: ({ chance }) => link.heal(chance < 0.5 ? 'go-on' : 'reset'),
    })
    kinds.push(
      trouble('cut', () => ({ how: 'cut' })),
      trouble('half-open', ({ chance }) => ({
        how: 'half-open',
        lets: Math.floor(chance * 4) % 2 === 0 ? 'requests' : 'answers',
      })),
      trouble('reset', () => ({ how: 'refuse' })),
      trouble('delay', ({ chance }) => ({ how: 'delay', ms: 20 + Math.floor(chance * 600) })),
    )
  }
  return kinds.filter(({ name }) => !without.some((begins) => name.startsWith(begins)))
}

/** `ingest-2–broker` is of the kind `ingest–broker`. */
function classOf(name: string): string {
  return name.replace(/-\d+/, '')
}

/** Until a recorder has given up its reserve, which it does when it finds the disk full. */
async function refusing(log: string): Promise<void> {
  const until = Date.now() + FELT_MS_MAX
  const hasReserve = (recorder: string) => existsSync(join(log, recorder, 'reserve'))
  while (readdirSync(log).every(hasReserve) && Date.now() < until)
    await new Promise((resolve) => setTimeout(resolve, 50))
}
