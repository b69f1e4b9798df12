/**
 * Numbers: medians, ratios, CPU of a process, what other machines took of this one (steal). Reads /proc; starts nothing.
 */
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs'

export interface Row {
  case: string
  subject: string
  median: number
  min: number
  max: number
  unit: string
  /** Median by the median of another subject of the same case. */
  ratioTo: Record<string, number>
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b)
  const middle = sorted.length >> 1
  if (sorted.length === 0) return Number.NaN
  return sorted.length % 2 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2
}

export function percentile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN
}

/** Values by case and subject as rows, each with its ratio to the others of its case. */
export class Table {
  private readonly cells = new Map<string, { unit: string; subjects: Map<string, number[]> }>()

  add(name: string, subject: string, unit: string, value: number): void {
    let cell = this.cells.get(name)
    if (!cell) {
      cell = { unit, subjects: new Map() }
      this.cells.set(name, cell)
    }
    const values = cell.subjects.get(subject)
    if (values) values.push(value)
    else cell.subjects.set(subject, [value])
  }

  rows(): Row[] {
    return [...this.cells].flatMap(([name, { unit, subjects }]) =>
      [...subjects].map(([subject, values]) => {
        const own = median(values)
        return {
          case: name,
          subject,
          median: rounded(own),
          min: rounded(Math.min(...values)),
          max: rounded(Math.max(...values)),
          unit,
          ratioTo: Object.fromEntries(
            [...subjects]
              .filter(([other]) => other !== subject)
              .map(([other, theirs]) => [other, rounded(own / median(theirs))]),
          ),
        }
      }),
    )
  }
}

export function rounded(value: number): number {
  return Number(value.toPrecision(value >= 1000 ? 5 : 3))
}

/** Seconds of CPU that a process and its children now gone have used. */
export function cpuSeconds(pids: readonly number[]): number {
  let ticks = 0
  for (const pid of pids) {
    const path = `/proc/${pid}/stat`
    if (!existsSync(path)) continue
    const stat = readFileSync(path, 'utf8')
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    ticks += Number(fields[11]) + Number(fields[12])
  }
  return ticks / 100
}

/** Seconds of CPU that this machine has spent on anything, what other machines took of it included. */
export function machineCpuSeconds(): number {
  if (!existsSync('/proc/stat')) return 0
  const [user, nice, system, , , irq, softirq, steal] = readFileSync('/proc/stat', 'utf8')
    .split('\n', 1)[0]!
    .trim()
    .split(/\s+/)
    .slice(1)
    .map(Number)
  return (user! + nice! + system! + irq! + softirq! + steal!) / 100
}

/** Bytes of memory that a process really holds. */
export function residentBytes(pid: number): number {
  return (
    Number(/^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 0) * 1024
  )
}

/** Share of this machine's time that others took, since the last call. */
export class Steal {
  private last = this.read()

  share(): number {
    const now = this.read()
    const total = now.total - this.last.total
    const stolen = now.stolen - this.last.stolen
    this.last = now
    return total > 0 ? stolen / total : 0
  }

  private read(): { total: number; stolen: number } {
    if (!existsSync('/proc/stat')) return { total: 0, stolen: 0 }
    const fields = readFileSync('/proc/stat', 'utf8')
      .split('\n', 1)[0]!
      .trim()
      .split(/\s+/)
      .slice(1)
      .map(Number)
    return { total: fields.reduce((a, b) => a + b, 0), stolen: fields[7] ?? 0 }
  }
}

/** Of files; one that goes away while they are counted is not one of them. */
export function directoryBytes(directory: string): number {
  let bytes = 0
  for (const entry of readdirSync(directory, { withFileTypes: true, recursive: true }))
    if (entry.isFile())
      bytes += statSync(`${entry.parentPath}/${entry.name}`, { throwIfNoEntry: false })?.size ?? 0
  return bytes
}
