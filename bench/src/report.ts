/** Results for people and programs: a table on the terminal, and the one between the marks in bench/README.md. */
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Row } from './measure'

const README = join(__dirname, '../README.md')

/** One line for each case, one column for each subject; ratios to `floor` where it was measured. */
export function markdown(rows: readonly Row[]): string {
  const lines: string[] = []
  const cases = [...new Set(rows.map((row) => row.case))]
  const groups = new Map<string, string[]>()
  for (const name of cases) {
    const subjects = rows.filter((row) => row.case === name).map(({ subject }) => subject)
    const key = subjects.join('|')
    groups.set(key, [...(groups.get(key) ?? []), name])
  }
  for (const [key, names] of groups) {
    const subjects = key.split('|')
    lines.push(
      `| | unit | ${subjects.join(' | ')} |`,
      `|---|---|${subjects.map(() => '---:').join('|')}|`,
    )
    for (const name of names) {
      const own = rows.filter((row) => row.case === name)
      lines.push(
        `| ${name} | ${own[0]!.unit} | ${own
          .map(({ median, ratioTo, subject }) => {
            const floor = floorOf(subject, subjects)
            const times = floor ? ratioTo[floor]! : Number.NaN
            const ratio = Number.isFinite(times) ? ` (${times})` : ''
            return Number.isFinite(median) ? `${median.toLocaleString('en-US')}${ratio}` : '–'
          })
          .join(' | ')} |`,
      )
    }
    lines.push('')
  }
  return lines.join('\n')
}

/** What a subject is held against: over TLS what only splits, in plain text what only passes on. */
function floorOf(subject: string, subjects: readonly string[]): string | null {
  const floor = subject.endsWith('TLS')
    ? 'TLS split'
    : subjects.includes('pipe')
      ? 'pipe'
      : subjects[0]!
  return floor !== subject && subjects.includes(floor) ? floor : null
}

/** Replaces the part between `<!-- name -->` and `<!-- /name -->`. */
export function writeReadme(name: string, text: string): void {
  if (!existsSync(README)) return
  const readme = readFileSync(README, 'utf8')
  const [begin, end] = [`<!-- ${name} -->`, `<!-- /${name} -->`]
  const from = readme.indexOf(begin)
  const to = readme.indexOf(end)
  if (from < 0 || to < 0) throw new Error(`bench/README.md has no place for ${name}`)
  writeFileSync(README, `${readme.slice(0, from + begin.length)}\n${text}\n${readme.slice(to)}`)
}
