/**
 * The commands: what each asks of the API (or, for `verify` and `config check`, of files) and how its answer is shown.
 * Refuses to decide anything about evidence; what may be seen is the API's to say.
 */
import { createWriteStream, existsSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { pipeline } from 'node:stream/promises'
import {
  CustodyError,
  configurationFile,
  type Home,
  homeAt,
  homeDirectory,
  loadConfiguration,
  PROTOCOLS,
} from '@custody/kit'
import { DEFAULT_DETECTORS } from '@custody/masking'
import {
  type CommandSpec,
  type Given,
  moment as momentOf,
  type OptionSpec,
  usageError,
  wholeNumber,
} from './arguments'
import { type Api, type Page, pagesOf, WAIT_MS } from './client'
import { api, connect, issue, WHO } from './connect'
import { filtersOf, late, PERIOD, showList, WHOSE } from './lists'
import { login, logout } from './login'
import { mask, maskingOf } from './mask'
import type { Output } from './output'
import { play } from './play'
import { policy } from './policy'
import {
  approvalLines,
  approvalsTable,
  eventsTable,
  type Json,
  moment,
  oneLine,
  replayLines,
  sessionHeader,
  sessionsTable,
  timelineTable,
} from './show'
import { runSiem, siemSpec } from './siem'
import { sshCertificate, sshConfig } from './ssh'
import { table } from './table'
import { verifyLog } from './verify'

export interface Context {
  given: Given
  output: Output
  home: Home
  environment: NodeJS.ProcessEnv
  cwd: string
  nowMs: number
}

export interface Command extends CommandSpec {
  /** Answers the exit code. */
  run(context: Context): Promise<number>
}

const status: Command = {
  name: 'status',
  summary: 'what runs, where, and how far ingest is behind',
  options: {},
  positionalsMin: 0,
  positionalsMax: 0,
  async run(context) {
    const { output, home } = context
    const one = api(context)
    const answer = await one.get<Json>('/api/v1/status')
    if (output.json) {
      output.object({ home: home.directory, url: one.url, ...(one.status ?? {}), ...answer })
      return answer.store === 'ok' ? 0 : 1
    }
    const runtime = one.status
    output.line(`Custody ${answer.version}, gateway ${answer.gateway}`)
    output.line(`  home       ${home.directory}`)
    for (const protocol of PROTOCOLS)
      if (runtime?.ports[protocol])
        output.line(`  ${protocol.padEnd(10)} ${runtime.host}:${runtime.ports[protocol]}`)
    output.line(`  console    ${one.url}`)
    output.line(`  store      ${answer.store === 'ok' ? 'ok' : output.red(answer.store)}`)
    if (answer.policy)
      output.line(
        `  policy     ${
          answer.policy.problem
            ? output.red(
                `changed and not good; in force is the one from before: ${oneLine(answer.policy.problem)}`,
              )
            : answer.policy.version
              ? `version ${String(answer.policy.version).slice(0, 12)}`
              : 'none: everything is permitted and recorded'
        }`,
      )
    if (answer.held)
      output.line(
        `  approvals  ${output.yellow(`${answer.held} ${answer.held === 1 ? 'command waits' : 'commands wait'}`)} (custody approvals)`,
      )
    output.line(
      `  ingest     ${answer.behind === 0 ? 'up to date' : output.yellow(`${answer.behind} events behind`)}`,
    )
    output.line()
    output.lines(
      table(
        [{ title: 'RECORDER' }, { title: 'EVENTS', right: true }, { title: 'BEHIND', right: true }],
        answer.recorders.map((each: Json) => [
          each.recorder,
          String(each.events),
          String(each.behind),
        ]),
        output.columns,
      ),
    )
    if (answer.cluster) clusterStatus(answer.cluster, output)
    output.line()
    if (answer.resources.length === 0) output.line('No resource is configured.')
    else
      output.lines(
        table(
          ['RESOURCE', 'PROTOCOL', 'LABELS'].map((title) => ({ title })),
          answer.resources.map((each: Json) => [
            each.name,
            each.protocol,
            Object.entries(each.labels ?? {})
              .map(([name, value]) => `${name}=${value}`)
              .join(' '),
          ]),
          output.columns,
        ),
      )
    return answer.store === 'ok' ? 0 : 1
  },
}

/** Kafka as this query service sees it: its own log on the way there, what ingest has still to take, and who was heard of. */
function clusterStatus(cluster: Json, output: Output): void {
  const { shipper, partitions, gateways } = cluster
  const waits =
    shipper.behindEvents === 0
      ? 'all of its own log is there'
      : `${shipper.behindEvents} events of its own log wait to go there`
  output.line()
  output.line(
    `  kafka      ${cluster.kafka === 'ok' ? 'ok' : output.red(cluster.kafka)}; ${waits}${
      shipper.problem
        ? output.red(`; ${shipper.problem.code}: ${oneLine(shipper.problem.message)}`)
        : ''
    }`,
  )
  if (!shipper.isHearing)
    output.line(`  control    ${output.red('what people say on other hosts is not heard')}`)
  if (partitions) {
    output.line()
    output.lines(
      table(
        ['PARTITION', 'END', 'INGESTED', 'BEHIND'].map((title) => ({ title, right: true })),
        partitions.map((each: Json) =>
          [each.partition, each.end, each.committed ?? '-', each.behind].map(String),
        ),
        output.columns,
      ),
    )
  }
  if (gateways) {
    output.line()
    output.lines(
      table(
        [{ title: 'HEARD OF' }, { title: 'EVENTS', right: true }, { title: 'LAST' }],
        gateways.map((each: Json) => [each.recorder, String(each.events), each.lastEvent]),
        output.columns,
      ),
    )
  }
}

const token: Command = {
  name: 'token',
  takes: '[revoke <id>]',
  summary: 'issue a token, or revoke one',
  details: [
    'A token is the password for native clients and for the API. It is shown once and kept nowhere.',
  ],
  options: WHO,
  positionalsMin: 0,
  positionalsMax: 2,
  examples: [
    'PGPASSWORD=$(custody token --ttl 15m) psql "host=127.0.0.1 port=15432 dbname=demo sslmode=require"',
    'custody token --subject ci --kind service --group deploy --json',
    'custody token revoke 01a1fcb6-538d-7a88-9ec5-652147e84674',
  ],
  async run(context) {
    const { given, output } = context
    const [what, id, ...more] = given.positionals
    if (what === undefined) {
      const issued = await issue(context)
      if (output.json) output.object(issued)
      else {
        output.line(issued.token)
        output.remark(
          `custody: for ${issued.subject}, valid until ${issued.expires}, id ${issued.id}`,
        )
      }
      return 0
    }
    if (what !== 'revoke' || id === undefined || more.length > 0)
      throw usageError('custody token takes nothing, or `revoke <id>`', token)
    const answer = await api(context).delete<Json>(`/api/v1/tokens/${encodeURIComponent(id)}`)
    if (output.json) output.object(answer)
    else
      output.line(
        `${id} is revoked; it is refused from now on, and the sessions that it opened end within seconds.`,
      )
    return 0
  },
}

const sessions: Command = {
  name: 'sessions',
  summary: 'sessions, newest first',
  options: {
    ...PERIOD,
    ...WHOSE,
    limit: { value: 'n', help: 'at most so many (default 20)' },
    all: { help: 'all of them' },
  },
  positionalsMin: 0,
  positionalsMax: 0,
  examples: [
    'custody sessions --since 1d',
    'custody sessions --identity ada@example.com --all --json',
  ],
  run: (context) =>
    showList(context, {
      path: '/api/v1/sessions',
      field: 'sessions',
      filters: filtersOf(context),
      limitDefault: 20,
      table: (items) => sessionsTable(items, context.output),
      none: 'No session yet. Connect a client, then look again.',
      more: 'shows them',
    }),
}

/** A whole session: pages of its timeline or replay in one. */
async function whole(context: Context, what: 'timeline' | 'replay', query: Json): Promise<Json> {
  const { given } = context
  const asked = given.positionals[0] ?? 'last'
  const entriesMax = wholeNumber('limit', given.text('limit'), 1, 1_000_000) ?? 10_000
  // `last` may mean another one by the next page.
  const path = (before: Page | undefined) =>
    `/api/v1/sessions/${before ? before.session.id : encodeURIComponent(asked)}/${what}`
  let result: Json
  for await (const page of pagesOf(api(context), path, query, what)) {
    if (result === undefined) {
      result = page
      late(context, page)
    } else result[what].push(...page[what])
    result.next = page.next
    if (result[what].length >= entriesMax) break
  }
  return result
}

const approvals: Command = {
  name: 'approvals',
  takes: '[<request>]',
  summary: 'commands that wait for a person; one of them whole',
  options: {
    ...PERIOD,
    state: {
      value: 'state',
      help: 'approved, denied, expired, withdrawn or all (default waiting)',
    },
    identity: { value: 'name', help: 'asked by this subject or e-mail address' },
    resource: { value: 'name', help: 'for this resource' },
    limit: { value: 'n', help: 'look at so many requests, newest first (default 100)' },
    all: { help: 'look at all of them' },
  },
  positionalsMin: 0,
  positionalsMax: 1,
  examples: [
    'custody approvals',
    'custody approvals 01a1fcb8',
    'custody approvals --state all --since 7d',
  ],
  async run(context) {
    const { given, output, nowMs } = context
    const [id] = given.positionals
    if (id !== undefined) {
      const answer = await api(context).get<Json>(`/api/v1/approvals/${encodeURIComponent(id)}`, {
        wait: WAIT_MS,
      })
      late(context, answer)
      if (output.json) output.object(answer.approval)
      else output.lines(approvalLines(answer.approval, output, nowMs))
      return 0
    }
    const state = given.text('state') ?? 'waiting'
    if (!['waiting', 'approved', 'denied', 'expired', 'withdrawn', 'all'].includes(state))
      throw usageError(
        `--state ${JSON.stringify(state)}: waiting, approved, denied, expired, withdrawn or all`,
      )
    return showList(context, {
      path: '/api/v1/approvals',
      field: 'approvals',
      filters: { state: state === 'all' ? undefined : state, ...filtersOf(context) },
      limitDefault: 100,
      table: (items) => approvalsTable(items, output, nowMs),
      none: state === 'waiting' ? 'Nothing waits for an answer.' : 'No such request.',
      more: 'looks at them',
    })
  },
}

/** How long to look for what an answer brought about. */
const OUTCOME_MS = 10_000
const OUTCOME_POLL_MS = 150

/** Looks until what is looked for has come about, or for so long that it is told as it is. */
async function outcome(look: () => Promise<Json>, cameAbout: (seen: Json) => boolean) {
  const until = Date.now() + OUTCOME_MS
  for (;;) {
    const seen = await look()
    if (cameAbout(seen)) return seen
    await new Promise((done) => setTimeout(done, OUTCOME_POLL_MS))
    if (Date.now() >= until) return seen
  }
}

function answering(name: 'approve' | 'deny', summary: string): Command {
  return {
    name,
    takes: '<request>',
    summary,
    details: [
      'A request is named by its identifier or the beginning of it. Nobody answers their own.',
      'As somebody else than the local administrator: set CUSTODY_TOKEN to a token of theirs.',
    ],
    options: {
      comment: { value: 'text', help: 'why; the one who asked is told' },
      ...(name === 'approve' && {
        force: {
          help: 'in an emergency: alone, where a policy lets you (@force); needs a comment, raises an alert',
        },
      }),
    },
    positionalsMin: 1,
    positionalsMax: 1,
    examples: [`custody ${name} 01a1fcb8 --comment 'INC-42, agreed with Ada'`],
    async run(context) {
      const { given, output } = context
      const one = api(context)
      const path = `/api/v1/approvals/${encodeURIComponent(given.positionals[0]!)}`
      const comment = given.text('comment')
      const how = name === 'approve' && given.has('force') ? 'force' : name
      const answer = await one.post<Json>(`${path}/${how}`, comment ? { comment } : {})
      const needsMore = ({ answers, required }: Json) =>
        answer.answer === 'approved' && answers.length < required
      const approval = await outcome(
        async () =>
          (await one.get<Json>(`/api/v1/approvals/${answer.request}`, { wait: 500 })).approval,
        (seen) => seen.state !== 'waiting' || (seen.required > 1 && needsMore(seen)),
      )
      if (output.json)
        output.object({ ...answer, state: approval.state, answers: approval.answers })
      else if (approval.state === 'waiting')
        output.line(
          needsMore(approval)
            ? `Your answer is recorded; the command waits on (${approval.answers.length} answered, needed: ${approval.required} of ${approval.approvers || 'anybody else'}).`
            : 'Your answer is recorded; the gateway has not acted on it yet: see custody approvals.',
        )
      else output.line(`${approval.state}: ${answer.request}`)
      return 0
    },
  }
}

const approve = answering('approve', 'let a held command run')
const deny = answering('deny', 'refuse a held command')

const REASON: Record<string, OptionSpec> = {
  reason: { value: 'text', help: 'why; it is recorded' },
}

const kill: Command = {
  name: 'kill',
  takes: '<session>|last',
  summary: 'end an open session',
  details: ['One’s own, or any as the administrator. Its client is told by whom.'],
  options: REASON,
  positionalsMin: 1,
  positionalsMax: 1,
  examples: ["custody kill 01a1fcb8 --reason 'INC-42'"],
  async run(context) {
    const { given, output } = context
    const one = api(context)
    const reason = given.text('reason')
    const path = `/api/v1/sessions/${encodeURIComponent(given.positionals[0]!)}`
    const answer = await one.post<Json>(`${path}/kill`, reason ? { reason } : {})
    const session = await outcome(
      async () =>
        (await one.get<Json>(`/api/v1/sessions/${answer.session}`, { wait: 500 })).session,
      ({ state }) => state !== 'open',
    )
    if (output.json) output.object({ ...answer, state: session.state })
    else
      output.line(
        session.state === 'open'
          ? `asked; the session ${answer.session} is still open`
          : `${answer.session}: ${session.state}, ${session.reason}`,
      )
    return session.state === 'open' ? 1 : 0
  },
}

const lock: Command = {
  name: 'lock',
  takes: '[<identity>]',
  summary: 'keep an identity out and end its sessions; without one: who is kept out',
  options: REASON,
  positionalsMin: 0,
  positionalsMax: 1,
  examples: ["custody lock ada@example.com --reason 'laptop stolen'", 'custody lock'],
  async run(context) {
    const { given, output } = context
    const [identity] = given.positionals
    const reason = given.text('reason')
    if (identity !== undefined) {
      const answer = await api(context).post<Json>('/api/v1/locks', {
        identity,
        ...(reason && { reason }),
      })
      if (output.json) output.object(answer)
      else output.line(`${identity} is locked; its sessions end within seconds.`)
      return 0
    }
    const { locks } = await api(context).get<Json>('/api/v1/locks')
    if (output.json) for (const one of locks) output.object(one)
    else if (locks.length === 0) output.line('Nobody is locked.')
    else
      output.lines(
        table(
          ['IDENTITY', 'SINCE (UTC)', 'BY', 'REASON'].map((title) => ({ title })),
          locks.map((one: Json) => [one.identity, moment(one.since), one.by, one.reason ?? '']),
          output.columns,
        ),
      )
    return 0
  },
}

const unlock: Command = {
  name: 'unlock',
  takes: '<identity>',
  summary: 'let an identity in again',
  options: {},
  positionalsMin: 1,
  positionalsMax: 1,
  async run(context) {
    const { given, output } = context
    const [identity] = given.positionals
    const answer = await api(context).delete<Json>(`/api/v1/locks/${encodeURIComponent(identity!)}`)
    if (output.json) output.object(answer)
    else output.line(`${identity} is let in again.`)
    return 0
  },
}

const SESSION = '[<session>|last]'
const LIMIT: OptionSpec = { value: 'n', help: 'at most about so many entries (default 10000)' }

const timeline: Command = {
  name: 'timeline',
  takes: SESSION,
  summary:
    'what happened in a session: who, which way, each statement, its decision and what came back',
  details: ['A session is named by its identifier, the beginning of one, or `last` (the default).'],
  options: { limit: LIMIT },
  positionalsMin: 0,
  positionalsMax: 1,
  examples: ['custody timeline last', 'custody timeline 01a1fcb8 --json'],
  async run(context) {
    const { output } = context
    const answer = await whole(context, 'timeline', {})
    if (output.json) {
      output.object(answer)
      return 0
    }
    output.lines(sessionHeader(answer.session, output))
    output.line()
    output.lines(timelineTable(answer.timeline, output))
    if (answer.next !== null) output.remark('custody: there is more; --limit shows it')
    return 0
  },
}

const replay: Command = {
  name: 'replay',
  takes: SESSION,
  summary:
    'a session as its client saw it: statements and result tables, or a terminal as it was drawn',
  details: [
    'Of SSH: the terminal is played here, in its own time; into a file, for players of asciicasts, with --cast.',
    'Ctrl-C ends it.',
  ],
  options: {
    rows: { value: 'n', help: 'PostgreSQL: rows shown of one result (default 100)' },
    limit: { ...LIMIT, help: `PostgreSQL: ${LIMIT.help}` },
    speed: { value: 'n', help: 'SSH: so many times as fast (default 1)' },
    'idle-max': { value: 'seconds', help: 'SSH: no pause is longer (default 2)' },
    cast: {
      value: 'file',
      help: 'SSH: write it as an asciicast (version 2); `-` is standard output',
    },
    command: { value: 'id', help: 'SSH: of this command; else of the first with a terminal' },
  },
  positionalsMin: 0,
  positionalsMax: 1,
  examples: [
    'custody replay last',
    'custody replay 01a1fcb8 --rows 1000',
    'custody replay 01a1fcb8 --speed 4 --idle-max 1',
    'custody replay 01a1fcb8 --cast session.cast',
  ],
  async run(context) {
    const { given, output } = context
    const asked = given.positionals[0] ?? 'last'
    const one = api(context)
    const { session } = await one.get<Json>(`/api/v1/sessions/${encodeURIComponent(asked)}`, {
      wait: WAIT_MS,
    })
    if (session.protocol === 'ssh') return replayTerminal(context, one, session)
    const answer = await whole(context, 'replay', {
      rows: wholeNumber('rows', given.text('rows'), 0, 10_000),
    })
    if (output.json) {
      output.object(answer)
      return 0
    }
    output.lines(sessionHeader(answer.session, output))
    output.line()
    output.lines(replayLines(answer.replay, output))
    if (answer.next !== null) output.remark('custody: there is more; --limit shows it')
    return 0
  },
}

async function replayTerminal(context: Context, one: Api, session: Json): Promise<number> {
  const { given, output, cwd } = context
  const positive = (name: string, otherwise: number) => {
    const value = Number(given.text(name) ?? otherwise)
    if (!(value > 0 && value <= 1_000_000)) throw usageError(`--${name}: a number above 0`, replay)
    return value
  }
  const [speed, idleSecondsMax] = [positive('speed', 1), positive('idle-max', 2)]
  const lines = one.lines(`/api/v1/sessions/${session.id}/recording.cast`, {
    command: given.text('command'),
    wait: WAIT_MS,
  })
  const file = given.text('cast')
  if (output.json || file === '-') {
    // Its lines are JSON already.
    for await (const line of lines) {
      output.line(line)
      await output.drained()
    }
    return 0
  }
  if (file !== undefined) {
    const path = resolve(cwd, file)
    // It may show what others must not see.
    await pipeline(withLineFeeds(lines), createWriteStream(path, { mode: 0o600 }))
    output.line(`The terminal of ${session.id} is in ${path}.`)
    return 0
  }
  const hasTerminal = Number.isFinite(output.columns)
  await play(
    lines,
    { speed, idleSecondsMax },
    {
      write: output.raw,
      sleep: (ms) => new Promise((done) => setTimeout(done, ms)),
      ...(hasTerminal && { columns: output.columns, rows: process.stdout.rows }),
    },
    output.remark,
    output,
  )
  output.line()
  return 0
}

const watch: Command = {
  name: 'watch',
  takes: SESSION,
  summary: 'the terminal of an open SSH session, as it happens',
  details: [
    'First what was drawn so far, then what is drawn, as it is recorded. It ends with what runs in it, or with Ctrl-C.',
    'Who watches is in the record.',
  ],
  options: {
    command: {
      value: 'id',
      help: 'of this command; else of the first that runs and has a terminal',
    },
  },
  positionalsMin: 0,
  positionalsMax: 1,
  examples: ['custody watch last', 'custody watch 01a1fcb8'],
  async run(context) {
    const { given, output } = context
    const over = new AbortController()
    const end = () => over.abort()
    process.once('SIGINT', end)
    const lines = api(context).lines(
      `/api/v1/sessions/${encodeURIComponent(given.positionals[0] ?? 'last')}/live.cast`,
      { command: given.text('command') },
      over.signal,
    )
    try {
      if (output.json) {
        for await (const line of lines) {
          if (line !== '') output.line(line)
          await output.drained()
        }
        return 0
      }
      const hasTerminal = Number.isFinite(output.columns)
      await play(
        lines,
        { speed: Number.POSITIVE_INFINITY, idleSecondsMax: 0 },
        {
          write: output.raw,
          sleep: async () => {},
          ...(hasTerminal && { columns: output.columns, rows: process.stdout.rows }),
        },
        output.remark,
        output,
      )
      output.line()
      return 0
    } catch (error) {
      if (over.signal.aborted) return 0
      throw error
    } finally {
      process.off('SIGINT', end)
    }
  },
}

async function* withLineFeeds(lines: AsyncIterable<string>): AsyncGenerator<string> {
  for await (const line of lines) yield `${line}\n`
}

const events: Command = {
  name: 'events',
  summary: 'events of all sessions, filtered, newest first',
  options: {
    ...PERIOD,
    session: { value: 'session', help: 'of this session, or `last`' },
    ...WHOSE,
    kind: { value: 'kinds', help: 'kinds, by commas; `command.*` means all that begin so' },
    without: { value: 'kinds', help: 'kinds to leave out' },
    text: { value: 'text', help: "part of a command's text, in any case" },
    object: {
      value: 'name',
      help: 'touching this object; `payments` also finds `public.payments`',
    },
    order: { value: 'asc|desc', help: 'by time (default desc)' },
    limit: { value: 'n', help: 'at most so many (default 50)' },
    all: { help: 'all of them' },
  },
  positionalsMin: 0,
  positionalsMax: 0,
  examples: [
    'custody events --since 1h --object cards',
    'custody events --identity ada --kind command.started --text "delete from" --all --json',
  ],
  async run(context) {
    const { given, output } = context
    const order = given.text('order')
    if (order !== undefined && order !== 'asc' && order !== 'desc')
      throw usageError(`--order ${JSON.stringify(order)}: asc or desc`, events)
    return showList(context, {
      path: '/api/v1/events',
      field: 'events',
      filters: {
        ...filtersOf(context),
        session: given.text('session'),
        kind: given.text('kind'),
        without: given.text('without'),
        text: given.text('text'),
        object: given.text('object'),
        order,
      },
      limitDefault: 50,
      table: (items) => eventsTable(items, output),
      none: 'No event answers to this.',
      more: 'shows them',
    })
  },
}

const verify: Command = {
  name: 'verify',
  takes: '[<log directory>]',
  summary: 'check an event log by itself: nothing missing, changed, added or reordered',
  details: [
    "Reads files only and needs no Custody running. The default is this home's log.",
    'Note the head of each recorder elsewhere: up to it, the log can no longer be changed unseen.',
    'With --pipeline it compares the log, Kafka and the store instead: each must hold the same unbroken sequence of every',
    'recorder and session; what is on its way is counted and not taken for lost. It asks Kafka and the store itself, by the',
    'configuration, and sees the logs of this host.',
  ],
  options: {
    recorder: { value: 'name', help: 'only this one (not with --pipeline)' },
    pipeline: { help: 'compare log, Kafka and store' },
    since: {
      value: 'time',
      help: 'with --pipeline: only what happened at or after: 2026-01-31T12:00:00Z, 2h, 7d',
    },
  },
  examples: ['custody verify', 'custody verify --pipeline --since 7d'],
  positionalsMin: 0,
  positionalsMax: 1,
  async run(context) {
    const { given, output, home, cwd, environment, nowMs } = context
    const asked = given.positionals[0] ? resolve(cwd, given.positionals[0]) : null
    if (given.has('pipeline')) {
      if (given.text('recorder') !== undefined)
        throw usageError('--pipeline compares all recorders', verify)
      const since = momentOf('since', given.text('since'), nowMs)
      // Only here: what speaks to Kafka and ClickHouse is a second of starting that no other command needs.
      const { verifyPlaces } = require('./pipeline') as typeof import('./pipeline')
      return verifyPlaces({
        home,
        directory: asked,
        environment,
        cwd,
        sinceMs: since === undefined ? null : utc(since),
        nowMs,
        output,
      })
    }
    if (given.text('since') !== undefined) throw usageError('--since goes with --pipeline', verify)
    const directory = asked ?? home.log
    if (!existsSync(directory)) throw usageError(`there is no directory ${directory}`, verify)
    const result = await verifyLog(directory, given.text('recorder'))
    if (output.json) output.object(result)
    else {
      if (result.recorders.length === 0) output.line(`There is no recorder in ${directory}.`)
      else
        output.lines(
          table(
            [
              { title: 'RECORDER' },
              { title: 'EVENTS', right: true },
              { title: 'FROM', right: true },
              { title: 'TO', right: true },
              { title: 'SESSIONS', right: true },
              { title: 'OPEN', right: true },
              { title: 'HEAD' },
            ],
            result.recorders.map((one) => [
              one.recorder,
              String(one.events),
              String(one.firstSequence ?? ''),
              String(one.lastSequence ?? ''),
              String(one.sessions),
              String(one.sessions - one.closedSessions),
              one.head ?? '',
            ]),
            output.columns,
          ),
        )
      for (const { recorder, problem, detail, session } of result.findings)
        output.line(
          output.red(`${recorder}: ${problem}: ${detail}${session ? ` (session ${session})` : ''}`),
        )
      for (const { recorder, ended } of result.recorders)
        if (!ended)
          output.line(
            output.yellow(
              `${recorder}: does not say that it stopped, and nobody is writing it: it crashed, or its end was cut off`,
            ),
          )
      if (result.recorders.length > 0)
        output.line(result.ok ? 'The chain holds.' : output.red('The chain does NOT hold.'))
    }
    return result.ok && result.recorders.length > 0 ? 0 : 1
  },
}

/** Milliseconds of an ISO 8601 moment; UTC where it names no zone. */
function utc(text: string): number {
  const ms = Date.parse(
    /(?:Z|[+-]\d{2}:?\d{2})$/i.test(text) || !text.includes('T') ? text : `${text}Z`,
  )
  if (Number.isNaN(ms)) throw usageError(`--since: ${JSON.stringify(text)} is no moment`, verify)
  return ms
}

const numbered = (count: number, what: string) => `${count} ${what}${count === 1 ? '' : 's'}`

const config: Command = {
  name: 'config',
  takes: 'check [<file>]',
  summary: 'check a configuration without starting anything',
  options: {},
  positionalsMin: 1,
  positionalsMax: 2,
  async run(context) {
    const { given, output, environment, cwd } = context
    const [what, file] = given.positionals
    if (what !== 'check') throw usageError('custody config takes `check [<file>]`', config)
    const own = file ? { ...environment, CUSTODY_CONFIG: file } : environment
    const { path, explicit } = configurationFile(own, cwd)
    if (!explicit && !existsSync(path))
      throw new CustodyError('CUSTODY-CONFIG-001', `there is no configuration ${path}`)
    const configuration = loadConfiguration(own, cwd)
    const resources = Object.keys(configuration.resources)
    // What can't be used is an error here as it is at the start.
    await maskingOf(configuration, context.home)
    const { masking: settings } = configuration
    const masking = settings
      ? {
          rules: settings.rules.length,
          detectors: (settings.detectors.use ?? DEFAULT_DETECTORS).length,
          patterns: settings.detectors.patterns.length,
        }
      : null
    if (output.json)
      output.object({ file: path, ok: true, gateway: configuration.gateway, resources, masking })
    else
      output.line(
        `${path} is right: gateway ${configuration.gateway}, ${resources.length === 0 ? 'no resource' : `resources ${resources.join(', ')}`}${masking ? `, masking by ${numbered(masking.rules, 'rule')}, ${numbered(masking.detectors, 'detector')} and ${numbered(masking.patterns, 'pattern')} of its own` : ', no masking'}.`,
      )
    return 0
  },
}

const siem: Command = { ...siemSpec, run: runSiem }

export const commands: readonly Command[] = [
  status,
  login,
  logout,
  connect,
  sshCertificate,
  sshConfig,
  token,
  sessions,
  timeline,
  replay,
  watch,
  events,
  approvals,
  approve,
  deny,
  kill,
  lock,
  unlock,
  policy,
  mask,
  verify,
  siem,
  config,
]

/** The home directory asked about: CUSTODY_HOME, or `.custody` here or in the nearest directory above that has one. */
export function homeOf(environment: NodeJS.ProcessEnv, cwd: string): Home {
  if (environment.CUSTODY_HOME) return homeAt(homeDirectory(environment, cwd))
  for (let at = cwd; ; ) {
    if (existsSync(join(at, '.custody'))) return homeAt(join(at, '.custody'))
    const above = resolve(at, '..')
    if (above === at) return homeAt(homeDirectory(environment, cwd))
    at = above
  }
}
