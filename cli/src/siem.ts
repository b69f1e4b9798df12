/**
 * `custody siem`: how far each destination is, what it refused, and asking the exporter to send something again. Reads what the
 * exporter writes into its home, and leaves requests there: it is for the host on which the exporter runs. Sends nothing itself;
 * what is asked for is an event that names who asked.
 */
import { randomUUID } from 'node:crypto'
import { existsSync, readFileSync } from 'node:fs'
import { userInfo } from 'node:os'
import { join } from 'node:path'
import { CustodyError, type Home, loadConfiguration, processExists } from '@custody/kit'
import { decodeMessage, uuidText } from '@custody/schemas'
import { type Request, StateFiles, siemDirectory } from '@custody/siem-state'
import { type CommandSpec, type Given, moment, usageError } from './arguments'
import type { Output } from './output'
import { table } from './table'

interface Context {
  given: Given
  output: Output
  home: Home
  environment: NodeJS.ProcessEnv
  cwd: string
  nowMs: number
}

interface Range {
  origin: string
  from: number
  to: number
  acknowledged: number
  deadLettered: number
  digest: string
}

interface Told {
  type: string
  counts: Record<string, number>
  problem: { code: string; message: string; sinceMs: number } | null
  lastAcknowledgedMs: number | null
  lastTimeMicros: number | null
  lag: { origin: string; events: number; bytes: number }[]
  deadLetters: number
  ranges: Range[]
}

const STALE_MS = 15_000
const POLL_MS = 200
const WAIT_MS_MAX = 60 * 60_000
/** The exporter looks for requests several times a second, between two batches. */
const TAKEN_MS_MAX = 10 * 60_000
const LETTERS_SHOWN_MAX = 100

export const siemSpec: CommandSpec = {
  name: 'siem',
  takes: 'status | reconcile <destination> | send <destination> | dead-letters <destination>',
  summary: 'what SIEM destinations have, and sending again what they lack',
  details: [
    'For the host on which the exporter runs. `status` shows how far each destination is, its last error, and what it has',
    'acknowledged. `reconcile` compares what a destination holds with the log, names what is missing and sends just that',
    '(Elasticsearch, OpenSearch, Splunk with `search`, S3, Kafka). `send` sends a range of time once more, with the same',
    'identifiers. `dead-letters` shows what was put aside and why, and with --send sends it again.',
  ],
  options: {
    from: { value: 'time', help: 'at or after: 2026-01-31T12:00:00Z, 2h, 7d' },
    to: { value: 'time', help: 'before; now when not given' },
    'look-only': { help: 'of reconcile: name what is missing and send nothing' },
    send: { help: 'of dead-letters: send them again; those that are taken are removed' },
    id: { value: 'event', multiple: true, help: 'of dead-letters: only these' },
  },
  positionalsMin: 1,
  positionalsMax: 2,
  examples: [
    'custody siem status',
    'custody siem reconcile elastic --from 24h',
    'custody siem send splunk --from 2026-01-31T00:00:00Z --to 2026-02-01T00:00:00Z',
    'custody siem dead-letters elastic --send',
  ],
}

export async function runSiem(context: Context): Promise<number> {
  const [what, destination] = context.given.positionals
  if (what === 'status' && destination === undefined) return status(context)
  if (destination === undefined || !['reconcile', 'send', 'dead-letters'].includes(what!))
    throw usageError(`custody siem takes ${siemSpec.takes}`, siemSpec)
  const known = Object.keys(
    loadConfiguration(context.environment, context.cwd).siem?.destinations ?? {},
  )
  const directory = siemDirectory(context.home)
  if (!known.includes(destination) && !existsSync(join(directory, destination)))
    throw new CustodyError(
      'CUSTODY-SIEM-006',
      `there is no destination ${destination}; there are ${known.join(', ') || 'none'}`,
    )
  const isAsking = what !== 'dead-letters' || context.given.has('send')
  if (isAsking) {
    // Nobody would take it before the exporter is started, or started anew.
    const exporter = exporterOf(context)
    if (!exporter.isRunning)
      throw new CustodyError(
        'CUSTODY-SIEM-006',
        'the exporter, which would do it, does not run; nothing was asked of it',
      )
    if (!(destination in exporter.destinations))
      throw new CustodyError(
        'CUSTODY-SIEM-006',
        `the exporter that runs sends to no destination ${destination}; it knows what was configured when it started`,
      )
  }
  const files = new StateFiles(directory, destination)
  return isAsking ? ask(context, files, what as Request['what']) : letters(context, files)
}

interface Exporter {
  pid: number
  atMs: number
  destinations: Record<string, Told>
  isRunning: boolean
}

/** As it said last. */
function exporterOf({ home, nowMs }: Context): Exporter {
  try {
    const told = JSON.parse(readFileSync(join(siemDirectory(home), 'status.json'), 'utf8'))
    return { ...told, isRunning: nowMs - told.atMs < STALE_MS && processExists(told.pid) }
  } catch (cause) {
    throw new CustodyError('CUSTODY-SIEM-006', `no exporter has run in ${home.directory}`, {
      cause,
    })
  }
}

function status(context: Context): number {
  const { output, nowMs } = context
  const told = exporterOf(context)
  const { isRunning } = told
  if (output.json) {
    output.object({
      running: isRunning,
      at: new Date(told.atMs).toISOString(),
      destinations: told.destinations,
    })
    return isRunning ? 0 : 1
  }
  const rows = Object.entries(told.destinations).map(([name, one]) => [
    name,
    one.type,
    String(one.counts.acknowledged ?? 0),
    lagOf(one),
    one.lastAcknowledgedMs === null ? '' : `${age(nowMs - one.lastAcknowledgedMs)} ago`,
    String(one.deadLetters),
    String(one.counts.lost ?? 0),
    one.problem ? `${one.problem.code}: ${one.problem.message}` : '',
  ])
  output.lines(
    table(
      titles('DESTINATION', 'TYPE', 'ACKNOWLEDGED', 'BEHIND', 'LAST', 'ASIDE', 'LOST', 'PROBLEM'),
      rows,
      output.columns,
    ),
  )
  for (const [name, { ranges }] of Object.entries(told.destinations))
    for (const { origin, from, to, acknowledged, deadLettered, digest } of ranges.slice(-3))
      output.line(
        `${name}: ${origin} ${from} to ${to - 1}: ${acknowledged} acknowledged${deadLettered > 0 ? `, ${deadLettered} put aside` : ''}, digest ${digest.slice(0, 16)}`,
      )
  if (!isRunning)
    output.line(
      output.red(`The exporter does not run; this is of ${new Date(told.atMs).toISOString()}.`),
    )
  return isRunning ? 0 : 1
}

function letters({ output, given }: Context, files: StateFiles): number {
  const wanted = given.texts('id')
  const ids = files.letterIds().filter((id) => wanted.length === 0 || wanted.includes(id))
  const shown = ids.slice(0, output.json ? ids.length : LETTERS_SHOWN_MAX)
  const rows: string[][] = []
  for (const id of shown) {
    const letter = files.letter(id)
    if (letter === null) continue
    const { code, reason, at } = letter
    const event = kindOf(letter.message)
    if (output.json) output.object({ id, at, code, reason, ...event, bytes: letter.message.length })
    else rows.push([at.slice(0, 19), id, event.kind ?? '?', code, reason])
  }
  if (output.json) return 0
  if (rows.length === 0) output.line('Nothing lies aside.')
  else output.lines(table(titles('AT', 'EVENT', 'KIND', 'CODE', 'REASON'), rows, output.columns))
  if (ids.length > shown.length) output.line(`… and ${ids.length - shown.length} more`)
  return 0
}

async function ask(
  { given, output, nowMs }: Context,
  files: StateFiles,
  what: Request['what'],
): Promise<number> {
  const request: Request = { id: randomUUID(), by: userInfo().username, what }
  if (what !== 'dead-letters') {
    const from = moment('from', given.text('from'), nowMs)
    if (from === undefined) throw usageError(`custody siem ${what} needs --from`, siemSpec)
    const to = moment('to', given.text('to'), nowMs)
    request.fromMicros = Date.parse(from) * 1000
    request.toMicros = (to === undefined ? nowMs : Date.parse(to)) * 1000
    if (given.has('look-only')) request.lookOnly = true
  } else if (given.texts('id').length > 0) request.ids = given.texts('id')
  files.ask(request)
  const answer = await answered(files, request.id)
  files.forgetAnswer(request.id)
  if (answer === null)
    throw new CustodyError(
      'CUSTODY-SIEM-006',
      'the exporter did not take it: it has ended, or its destination takes nothing just now (custody siem status)',
    )
  if (typeof answer.problem === 'string') throw new CustodyError('CUSTODY-SIEM-006', answer.problem)
  const { done: _, ...told } = answer
  if (output.json) output.object(told)
  else output.lines(wordsOf(what, told))
  if (told.unknowable) return 1
  return what === 'reconcile' && request.lookOnly && (told.missing as number) > 0 ? 1 : 0
}

function wordsOf(what: Request['what'], told: Record<string, unknown>): string[] {
  if (told.unknowable) return [`Unknowable: ${told.reason}.`]
  const sent = `${told.sent} sent${told.aside ? `, ${told.aside} put aside` : ''}`
  if (what !== 'reconcile') return [`${sent}.`]
  const named = told.named as string[]
  const lines = [
    `${told.expected} expected, ${told.held} held (${told.copies} copies), ${told.missing} missing; ${sent}.`,
    ...named.slice(0, 20).map((id) => `  missing: ${id}`),
  ]
  if (named.length > 20) lines.push(`  … and ${(told.missing as number) - 20} more`)
  return told.missing === 0 ? [...lines, 'Nothing is missing.'] : lines
}

async function answered(files: StateFiles, id: string) {
  const began = Date.now()
  for (;;) {
    const answer = files.answerOf(id)
    if (answer?.done) return answer
    const waited = Date.now() - began
    if (waited > WAIT_MS_MAX || (answer === null && waited > TAKEN_MS_MAX)) return null
    await new Promise((resolve) => setTimeout(resolve, POLL_MS))
  }
}

const titles = (...all: string[]) => all.map((title) => ({ title }))

function kindOf(message: Buffer): { kind?: string; session?: string | null } {
  try {
    const { kind, session } = decodeMessage(message)
    return { kind, session: session && uuidText(session) }
  } catch {
    return {}
  }
}

function lagOf({ lag }: Told): string {
  const events = lag.reduce((sum, one) => sum + Math.max(0, one.events), 0)
  const bytes = lag.reduce((sum, one) => sum + Math.max(0, one.bytes), 0)
  if (lag.some((one) => one.events >= 0)) return `${events} events`
  return bytes < 1024 * 1024
    ? `${Math.ceil(bytes / 1024)} KiB`
    : `${Math.ceil(bytes / 1024 / 1024)} MiB`
}

function age(ms: number): string {
  const seconds = Math.max(0, Math.round(ms / 1000))
  return seconds < 120
    ? `${seconds} s`
    : seconds < 7200
      ? `${Math.round(seconds / 60)} min`
      : `${Math.round(seconds / 3600)} h`
}
