/**
 * Evidence as people read it: sessions, timelines, replays and events as lines of text. Pure; nothing in what it gives can
 * steer a terminal (see table.ts).
 */
import { cut, resultTable, table, visible, visibleLines } from './table'

// biome-ignore lint/suspicious/noExplicitAny: the API's JSON, described by its OpenAPI document
export type Json = any

export interface Style {
  columns: number
  dim(text: string): string
  bold(text: string): string
  red(text: string): string
  yellow(text: string): string
}

export function duration(micros: number | null | undefined): string {
  if (micros === null || micros === undefined) return ''
  if (micros < 1000) return `${micros} µs`
  if (micros < 1_000_000) return `${(micros / 1000).toFixed(micros < 10_000 ? 1 : 0)} ms`
  if (micros < 120_000_000) return `${(micros / 1_000_000).toFixed(1)} s`
  const minutes = Math.round(micros / 60_000_000)
  return minutes < 120 ? `${minutes} min` : `${(minutes / 60).toFixed(1)} h`
}

export function bytes(count: number | null | undefined): string {
  if (count === null || count === undefined) return ''
  if (count < 10_000) return `${count} B`
  if (count < 10_000_000) return `${(count / 1000).toFixed(0)} kB`
  return `${(count / 1_000_000).toFixed(0)} MB`
}

/** To the second, or with milliseconds, in UTC: evidence is compared across machines. */
export function moment(iso: string | null | undefined, fine = false): string {
  if (!iso) return ''
  return `${iso.slice(0, 10)} ${iso.slice(11, fine ? 23 : 19)}`
}

export const who = (who: Json): string => (who ? (who.email ?? who.subject) : '')

export function sessionsTable(sessions: Json[], style: Style): string[] {
  const titles = [
    'SESSION',
    'OPENED (UTC)',
    'STATE',
    'IDENTITY',
    'RESOURCE',
    'COMMANDS',
    'FAILED',
    'ROWS',
    'DURATION',
    'CLIENT',
  ]
  return table(
    titles.map((title) => ({
      title,
      right: ['COMMANDS', 'FAILED', 'ROWS', 'DURATION'].includes(title),
    })),
    sessions.map((one) => [
      one.id,
      moment(one.opened),
      one.state,
      who(one.who),
      one.resource ?? '',
      String(one.commands),
      String(one.failed),
      String(one.rows),
      duration(one.durationMicros),
      `${one.path?.clientApplication ?? ''} ${one.path?.clientAddress ?? ''}`.trim(),
    ]),
    style.columns,
  )
}

export function sessionHeader(session: Json, style: Style): string[] {
  const { path } = session
  const tls = (one: Json) => (one?.version ? ` (${one.version})` : ' (no TLS)')
  const lines: [string, string][] = [
    ['Session', session.id],
    [
      'Identity',
      `${who(session.who)} · ${session.who?.kind} · by ${session.who?.method} of ${session.who?.issuer}${session.who?.groups?.length ? ` · ${session.who.groups.join(', ')}` : ''}`,
    ],
    [
      'Path',
      [
        `${path?.clientApplication ? `${path.clientApplication} at ` : ''}${path?.clientAddress}${tls(path?.clientTls)}`,
        `gateway ${path?.gateway}`,
        `${path?.resource}: ${path?.account}@${path?.target}/${path?.database}${tls(path?.targetTls)}`,
      ].join(' → '),
    ],
    ...(session.attributes?.reason
      ? ([['Reason', session.attributes.reason]] as [string, string][])
      : []),
    ['Opened', `${moment(session.opened, true)} UTC`],
    [
      'State',
      session.state === 'open'
        ? `open for ${duration(session.durationMicros)}`
        : `${session.state} after ${duration(session.durationMicros)}: ${session.reason ?? ''}`,
    ],
    [
      'Events',
      `${session.events}${session.complete === true ? ', all that the session sealed' : session.complete === false ? ', NOT all that the session sealed' : ' so far'}`,
    ],
  ]
  return lines.map(
    ([name, value]) => style.dim(name.padEnd(9)) + cut(visible(value), style.columns - 9),
  )
}

function outcome(entry: Json): string {
  if (entry.decision && entry.decision.outcome !== 'allow') return entry.decision.outcome
  if (!entry.response) return 'running'
  const { status, code } = entry.response
  return status === 'error' || status === 'refused' ? `${status} ${code ?? ''}`.trim() : status
}

/** Labels of one kind of mask that are told of. */
const LABELS_MAX = 8

/** What was masked and what was shown, in a few words; '' where nothing was. `of`: where the masks themselves don't say. */
export function masksText(masks: Json[] | undefined, of = 'answer'): string {
  const told = { statement: new Map(), values: new Map(), rows: new Map() }
  const shown = new Set<string>()
  for (const mask of masks ?? []) {
    if (mask.action === 'reveal') {
      shown.add(mask.column ?? mask.rule)
      continue
    }
    const kind =
      (mask.of ?? of) === 'statement' ? 'statement' : mask.action === 'drop-row' ? 'rows' : 'values'
    const label = mask.detector ? `${mask.rule}:${mask.detector}` : mask.rule
    told[kind].set(label, (told[kind].get(label) ?? 0) + mask.count)
  }
  const { statement, values, rows } = told
  return [
    statement.size > 0 &&
      `statement kept without ${counted(statement, 'value')} ${labelled(statement)}`,
    values.size > 0 && `masked ${counted(values, 'value')} ${labelled(values)}`,
    rows.size > 0 && `left out ${counted(rows, 'row')} ${labelled(rows)}`,
    shown.size > 0 && `shown in clear: ${[...shown].sort().join(', ')}`,
  ]
    .filter(Boolean)
    .join(' · ')
}

function counted(counts: Map<string, number>, what: string): string {
  const sum = [...counts.values()].reduce((a, b) => a + b, 0)
  return `${sum} ${what}${sum === 1 ? '' : 's'}`
}

/** The most first. */
function labelled(counts: Map<string, number>): string {
  const all = [...counts].sort((a, b) => b[1] - a[1])
  const told = all.slice(0, LABELS_MAX).map(([label, count]) => `${label} ${count}`)
  if (all.length > LABELS_MAX) told.push(`${all.length - LABELS_MAX} more`)
  return `(${told.join(', ')})`
}

function eventText(entry: Json): string {
  const masks = masksText(entry.masks, entry.kind === 'command.started' ? 'statement' : 'answer')
  return [whatText(entry), masks].filter(Boolean).join(' · ')
}

function whatText(entry: Json): string {
  if (entry.kind === 'mask.revealed') return [entry.lifecycle?.reason, by(entry)].join(' · ')
  if (entry.lifecycle && !entry.approval) return [entry.lifecycle.reason].filter(Boolean).join(' ')
  if (entry.access)
    return [entry.access.action, entry.access.outcome, entry.access.code, entry.access.reason]
      .filter(Boolean)
      .join(' ')
  if (entry.audit)
    return [entry.audit.action, entry.audit.subject, entry.audit.query].filter(Boolean).join(' ')
  if (entry.recording)
    return [entry.recording.state, entry.recording.detail].filter(Boolean).join(' ')
  if (entry.approval)
    return [
      entry.approval.state,
      entry.approval.approver && `by ${who(entry.approval.approver)}`,
      entry.approval.comment,
      entry.kind === 'approval.requested' && entry.statement?.text,
    ]
      .filter(Boolean)
      .join(' · ')
  if (entry.kind === 'command.blocked')
    return [entry.statement?.text, entry.decision?.reason].filter(Boolean).join(' · ')
  if (entry.configuration)
    return [entry.configuration.subject, entry.configuration.change].filter(Boolean).join(' ')
  if (entry.statement) return entry.statement.text
  if (entry.response)
    return [entry.response.tag, entry.response.code, entry.response.message]
      .filter(Boolean)
      .join(' ')
  return ''
}

function by({ decision }: Json): string {
  const policies = decision?.policies ?? []
  return policies.length > 0 ? `by ${policies.join(', ')}` : 'by policy'
}

export function timelineTable(entries: Json[], style: Style): string[] {
  const [titles = '', ...rows] = timelineRows(entries, style)
  return [
    titles,
    ...rows.flatMap((row, i) => {
      const entry = entries[i]
      // Below its command, where no statement is too long for it to be seen.
      const masks = entry.kind === 'command' ? masksText(entry.masks) : ''
      return masks === '' ? [row] : [row, style.dim(cut(`  └ ${visible(masks)}`, style.columns))]
    }),
  ]
}

function timelineRows(entries: Json[], style: Style): string[] {
  return table(
    [
      { title: 'TIME (UTC)' },
      { title: 'WHAT' },
      { title: 'OUTCOME' },
      { title: 'ROWS', right: true },
      { title: 'BYTES', right: true },
      { title: 'DURATION', right: true },
      { title: 'DIGEST' },
      { title: 'STATEMENT' },
    ],
    entries.map((entry) =>
      entry.kind === 'command'
        ? [
            String(entry.time).slice(11, 23),
            (entry.statement?.verbs ?? []).join(' ') || (entry.statement?.language ?? 'command'),
            outcome(entry),
            entry.response?.rows === null || entry.response?.rows === undefined
              ? ''
              : String(entry.response.rows),
            bytes(entry.response?.bytes),
            duration(entry.response?.durationMicros),
            entry.response?.digest?.slice(0, 12) ?? '',
            oneLine(entry.statement?.text ?? '') + parameters(entry.statement),
          ]
        : [
            String(entry.time).slice(11, 23),
            entry.kind,
            entry.kind === 'command.blocked' ? 'block' : '',
            '',
            '',
            '',
            '',
            oneLine(eventText(entry)),
          ],
    ),
    style.columns,
  )
}

/** White space of any length as one space. */
export function oneLine(text: string): string {
  return text.replace(/\s+/g, ' ').trim()
}

function parameters(statement: Json): string {
  if (!statement?.parameters?.length) return ''
  return `  (${statement.parameters
    .map(
      (one: Json, i: number) =>
        `$${i + 1} = ${one.value === null ? 'NULL' : `'${one.value}'`}${one.cut ? '…' : ''}`,
    )
    .join(', ')})`
}

export function approvalsTable(approvals: Json[], style: Style, nowMs: number): string[] {
  return table(
    ['REQUEST', 'STATE', 'ASKED (UTC)', 'IDENTITY', 'RESOURCE', 'ANSWERED BY', 'STATEMENT'].map(
      (title) => ({ title }),
    ),
    approvals.map((one) => [
      one.id,
      one.state === 'waiting' ? `waiting, ${left(one.expires, nowMs)} left` : one.state,
      moment(one.requested),
      who(one.who),
      one.path?.resource ?? '',
      one.answers.map((answer: Json) => who(answer.who)).join(', '),
      oneLine(one.statement?.text ?? ''),
    ]),
    style.columns,
  )
}

const left = (expires: string, nowMs: number) =>
  duration(Math.max(0, Date.parse(expires) - nowMs) * 1000)

/** One request as its approver needs it: who, what, where, why it is held, and what was said so far. */
export function approvalLines(one: Json, style: Style, nowMs: number): string[] {
  const lines: [string, string][] = [
    ['Request', one.id],
    [
      'State',
      one.state === 'waiting'
        ? `waiting, ${left(one.expires, nowMs)} left`
        : `${one.state}${one.waitedMicros === null ? '' : ` after ${duration(one.waitedMicros)}`}`,
    ],
    [
      'Asked by',
      `${who(one.who)} · ${one.who?.kind}${one.who?.groups?.length ? ` · ${one.who.groups.join(', ')}` : ''}`,
    ],
    [
      'From',
      `${one.path?.clientApplication ? `${one.path.clientApplication} at ` : ''}${one.path?.clientAddress}`,
    ],
    [
      'Resource',
      `${one.path?.resource} (${one.path?.account}@${one.path?.target}/${one.path?.database})`,
    ],
    ['Does', (one.statement?.verbs ?? []).join(' ')],
    [
      'To',
      (one.statement?.objects ?? [])
        .filter((object: Json) => object.verb !== 'sql:compute')
        .map((object: Json) => object.name)
        .join(', '),
    ],
    ['Held', one.reason ?? ''],
    [
      'Needs',
      `${one.required} of ${one.approvers || 'anybody else'}${one.commentRequired ? ', with a comment' : ''}${one.remember ? `; remembered for the ${one.remember.replace(/^fingerprint/, 'same statement, other values too,')}` : ''}`,
    ],
    ['Session', one.session],
  ]
  return [
    ...lines.map(
      ([name, value]) => style.dim(name.padEnd(9)) + cut(visible(value), style.columns - 9),
    ),
    '',
    ...visibleLines(String(one.statement?.text ?? '')).map((line) => style.bold(`  ${line}`)),
    ...(one.statement?.parameters?.length
      ? [`  ${visible(parameters(one.statement).trim())}`]
      : []),
    ...(one.statement?.understood === false
      ? ['', style.yellow(`  not understood: ${visible(one.statement.problem ?? '')}`)]
      : []),
    ...(one.answers.length > 0 ? [''] : []),
    ...one.answers.map(
      (answer: Json) =>
        `${style.dim(String(answer.time).slice(11, 19))} ${answer.state} by ${visible(who(answer.who))}, ${answer.channel}${answer.comment ? `: ${visible(answer.comment)}` : ''}`,
    ),
  ]
}

export function eventsTable(events: Json[], style: Style): string[] {
  return table(
    ['TIME (UTC)', 'KIND', 'IDENTITY', 'RESOURCE', 'SESSION', 'WHAT'].map((title) => ({ title })),
    events.map((event) => [
      moment(event.time, true),
      event.kind,
      who(event.who),
      event.path?.resource ?? '',
      event.session ?? '',
      oneLine(eventText(event)),
    ]),
    style.columns,
  )
}

/** A session as its client saw it. */
export function replayLines(entries: Json[], style: Style): string[] {
  const lines: string[] = []
  for (const entry of entries) {
    const at = style.dim(String(entry.time).slice(11, 23))
    if (entry.kind === 'command') {
      const [first = '', ...more] = visibleLines(String(entry.statement?.text ?? ''))
      lines.push(
        `${at} ${style.bold(`> ${first}`)}`,
        ...more.map((line) => style.bold(`  ${line}`)),
      )
      const bound = parameters(entry.statement)
      if (bound) lines.push(style.dim(visible(bound.trim())))
      if (!entry.response) lines.push(style.yellow('(no answer yet)'))
      else if (entry.response.status === 'unknown')
        lines.push(style.yellow(`(outcome unknown: ${visible(entry.response.message ?? '')})`))
    } else if (entry.kind !== 'output')
      lines.push(`${at} ${style.dim(visible(`${entry.kind} ${eventText(entry)}`))}`)
    for (const shown of entry.shown ?? []) lines.push(...shownLines(shown, style))
    if (entry.kind === 'command' || entry.kind === 'output') {
      const masks = masksText(entry.masks)
      if (masks !== '') {
        // A tag and an error end with an empty line of their own.
        if (lines.at(-1) === '') lines.pop()
        lines.push(style.yellow(visible(`(${masks})`)), '')
      }
    }
    lines.push(...cutLines(entry, style))
  }
  return lines
}

function shownLines(shown: Json, style: Style): string[] {
  switch (shown.kind) {
    case 'rows':
      return [
        ...resultTable(
          shown.columns.map((column: Json) => column.name),
          shown.rows,
          style.columns,
        ),
        ...(shown.rowsOmitted > 0
          ? [style.dim(`(${shown.rowsOmitted} more rows, see --rows)`)]
          : []),
      ]
    case 'tag':
      return [style.dim(visible(shown.tag)), '']
    case 'error':
    case 'notice': {
      const paint = shown.kind === 'error' ? style.red : style.yellow
      return [
        paint(
          visible(
            `${shown.severity ?? shown.kind.toUpperCase()}: ${shown.message ?? ''}${shown.code ? ` (${shown.code})` : ''}`,
          ),
        ),
        ...[shown.detail && `DETAIL: ${shown.detail}`, shown.hint && `HINT: ${shown.hint}`]
          .filter(Boolean)
          .map((line) => paint(visible(String(line)))),
        ...(shown.kind === 'error' ? [''] : []),
      ]
    }
    case 'copy':
      return [
        style.dim(`COPY ${shown.direction ?? ''}`.trim()),
        ...(shown.text ? visibleLines(String(shown.text).replace(/\n$/, '')) : []),
        ...(shown.bytesOmitted > 0 ? [style.dim(`(${shown.bytesOmitted} more bytes)`)] : []),
      ]
    case 'notification':
      return [style.dim(visible(`NOTIFY ${shown.channel}: ${shown.payload}`))]
    case 'parameter':
      return [style.dim(visible(`${shown.name} = ${shown.value}`))]
    case 'suspended':
      return [style.dim('(more rows were there; the client stopped here)')]
    case 'empty':
      return [style.dim('(empty statement)')]
    case 'value':
      return [visible(`${shown.hex} (${shown.bytes} bytes)`)]
    default:
      return []
  }
}

function cutLines(entry: Json, style: Style): string[] {
  const lines: string[] = []
  const { cut: missing } = entry
  if (missing?.notRecordedBytes > 0)
    lines.push(
      style.yellow(
        `(${missing.notRecordedBytes} bytes of the answer were not recorded, by the resource's setting; their digest is)`,
      ),
    )
  if (missing?.missingBytes > 0)
    lines.push(style.red(`(${missing.missingBytes} recorded bytes are not in the store)`))
  if (missing?.notShownBytes > 0)
    lines.push(style.yellow(`(${missing.notShownBytes} bytes do not fit into one answer)`))
  if (entry.digestHolds === false)
    lines.push(
      style.red('(these bytes do not have the digest that was recorded when they were sent)'),
    )
  return lines
}
