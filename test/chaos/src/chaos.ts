/**
 * Faults under load, then the reckoning: people work through the gateway while processes are killed and stopped, disks fill
 * up and networks break, by a plan that a seed gives. Then everything is healed, has a bounded time to catch up, and what
 * the target ran, what clients saw, what was recorded, what was queued and what was stored are laid beside each other.
 */
import { type ClickHouseClient, ClickHouseLogLevel, createClient } from '@clickhouse/client'
import { verifyLog } from '@custody/cli'
import { seeded, temporaryDirectory } from '@custody/test-support'
import { type Audit, audit, holds } from './audit'
import { kindsOf } from './faults'
import { startLoad, TAG } from './load'
import { startPeople } from './people'
import {
  countGaps,
  countLogs,
  countStore,
  countTopic,
  deadLettersOf,
  readKafka,
  readLogs,
  readStore,
} from './record'
import { type Fault, plan } from './schedule'
import { type Form, type System, startSystem } from './system'

export interface ChaosOptions {
  faults: number
  /** The faults begin within this time; what is needed for them when not given. */
  seconds?: number
  seed?: number
  form?: Form
  clients?: number
  /** Between two statements of one client, on average. */
  pauseMs?: number
  /** Kinds of faults that are left out: beginnings of their names. */
  without?: readonly string[]
  /** Keeps logs, store and diagnostics. */
  keep?: boolean
  signal?: AbortSignal
  progress?(line: string): void
}

export interface KindCount {
  kind: string
  times: number
  seconds: number
  /** Statements that clients saw complete while it lasted (others may have lasted too). */
  completions: number
}

export interface ChaosResult {
  form: Form
  seed: number
  faults: number
  /** Different kinds of them. */
  kinds: number
  byKind: KindCount[]
  /** Events in the local logs. */
  events: number
  /** Connections that ended otherwise than clients wanted. */
  broken: number
  /** Events that a place lacks: of all places. */
  lost: number
  /** Events that the local logs or the store have more than once. */
  duplicated: number
  reordered: number
  changed: number
  /** Events that Kafka has more than once; who reads it drops them. */
  duplicatedInKafka: number
  statements: number
  /** Statements that the target ran without an event, in the local log and in the store. */
  unrecorded: number
  released: number
  unrecordedReleased: number
  refused: number
  /** … by the code of the reason. */
  refusals: Record<string, number>
  refusedButRan: number
  held: number
  approved: number
  /** Answers of theirs that the query service took. */
  answers: number
  heldButRan: number
  completedButNotRun: number
  outcomeUnknown: number
  deadLetters: number
  /** Events of Kafka that the group has not committed in the end. */
  uncommitted: number
  /** Looks at the store during the run, and how often a session showed a later event without an earlier one. */
  looks: number
  gapsSeen: number
  /** Times a process ended by itself, by process. */
  died: Record<string, number>
  /** From the last fault's end until a statement completed again, and until the store had everything. */
  answersAgainMs: number
  caughtUpMs: number
  seconds: number
  /** What does not hold, a line each. */
  findings: string[]
  audit: Audit
}

/** A fault begins at most so often a minute where no time is given: five seconds for each. */
const MS_A_FAULT = 5000
const LOOK_MS = 2000
/** The store may take so long without any progress before it is said not to catch up. */
const STILL_MS_MAX = 90_000
const ANSWERS_MS_MAX = 120_000
const PART_MS_MAX = 300_000
/** Of ingest's members. */
const GROUP = 'custody-ingest'

export async function runChaos(o: ChaosOptions): Promise<ChaosResult> {
  const { faults, seed = 1, form = 'cluster', clients = 6, pauseMs = 25 } = o
  const spanMs = (o.seconds ?? (faults * MS_A_FAULT) / 1000) * 1000
  const progress = o.progress ?? (() => {})
  const startedAt = Date.now()
  const directory = temporaryDirectory('chaos')
  let system: System | null = null
  let client: ClickHouseClient | null = null
  try {
    system = await startSystem({
      form,
      directory: directory.path,
      keep: o.keep,
      withoutDisks: o.without?.some((begins) => 'disk-full'.startsWith(begins)),
    })
    client = createClient({
      url: system.warehouseUrl,
      request_timeout: 60_000,
      log: { level: ClickHouseLogLevel.OFF },
    })
    const kinds = kindsOf(system, o.without)
    const planned = plan({ kinds, faults, spanMs, random: seeded(seed) })
    for (const [name, disk] of system.disks)
      progress(`the disk of ${name} can be full: ${disk.how}`)
    progress(
      `${form}: ${faults} faults of ${new Set(planned.map(({ kind }) => kind.name)).size} kinds in ${Math.round(spanMs / 1000)} s, seed ${seed}`,
    )

    const load = startLoad({
      port: system.ports.proxy,
      user: 'chaos',
      password: system.tokens.user,
      databases: system.resources,
      clients,
      pauseMs,
      directory: directory.path,
      random: seeded(seed + 1),
    })
    const people = startPeople({
      url: `http://127.0.0.1:${system.ports.query}`,
      token: system.tokens.approver,
      random: seeded(seed + 2),
    })
    const watch = startWatch(client)
    let counted: KindCount[] = []
    let answersAgainMs = 0
    try {
      // What is broken is something that worked.
      await answersAgain(() => load.released.size)
      counted = await inject({
        system,
        planned,
        completions: () => load.released.size,
        signal: o.signal,
        progress,
      })
      progress('all faults are over; waiting for answers')
      answersAgainMs = await answersAgain(() => load.released.size)
    } finally {
      await Promise.all([load.stop(), people.stop(), watch.stop()])
    }
    o.signal?.throwIfAborted()
    progress(
      `${people.answers} answers of people taken; ${people.failures} requests of theirs failed${people.lastFailure ? `, the last with: ${people.lastFailure}` : ''}`,
    )

    progress(`${load.released.size} completions seen; waiting for the store to catch up`)
    const healedAt = Date.now()
    await caughtUp(system, client, progress)
    // Their ends are recorded too: they stop while everything behind them still runs.
    await system.parts.get('proxy')!.stop()
    await system.parts.get('query')!.stop()
    await caughtUp(system, client, progress)
    const caughtUpMs = Date.now() - healedAt

    progress('comparing the target’s log, the clients’ notes, the record, the queue and the store')
    const queue = system.kafka && (await readKafka(system.kafka.settings, GROUP))
    const target = new Set((await system.target.log()).match(TAG) ?? [])
    const local = await readLogs(system.logs)
    const judged = audit({
      ...local,
      kafka: queue?.partitions ?? null,
      store: await readStore(client),
      target,
      released: load.released,
      refused: load.refused,
      held: load.held,
      approved: people.approved,
    })
    const deadLetters =
      deadLettersOf(system.homes) +
      (system.kafka
        ? await countTopic(
            system.kafka.server,
            system.kafka.settings.brokers[0]!,
            `${system.kafka.settings.topicPrefix}.dead-letters`,
          )
        : 0)
    const verification = (await Promise.all(system.logs.map((log) => verifyLog(log)))).flatMap(
      ({ findings }) => findings,
    )
    const died = Object.fromEntries(
      [...system.parts.values()].map(({ name, died }) => [name, died.length]),
    )
    return {
      form,
      seed,
      faults: counted.reduce((n, { times }) => n + times, 0),
      kinds: counted.length,
      byKind: counted,
      events: judged.log.events,
      lost: judged.log.lost + (judged.kafka?.lost ?? 0) + judged.store.lost,
      duplicated: judged.log.duplicated + judged.store.duplicated,
      reordered: judged.log.reordered + (judged.kafka?.reordered ?? 0) + judged.store.reordered,
      changed: judged.log.changed + (judged.kafka?.changed ?? 0) + judged.store.changed,
      duplicatedInKafka: judged.kafka?.duplicated ?? 0,
      broken: load.broken,
      statements: judged.statements,
      unrecorded: judged.unrecordedLog + judged.unrecordedStore,
      released: judged.released,
      unrecordedReleased: judged.unrecordedReleasedLog + judged.unrecordedReleasedStore,
      refused: judged.refused,
      refusals: Object.fromEntries([...load.reasons].sort()),
      refusedButRan: judged.refusedButRan,
      held: judged.held,
      approved: judged.approved,
      answers: people.answers,
      heldButRan: judged.heldButRan,
      completedButNotRun: judged.completedButNotRun,
      outcomeUnknown: judged.outcomeUnknown,
      deadLetters,
      uncommitted: Number((queue?.ends ?? 0n) - (queue?.committed ?? 0n)),
      looks: watch.looks,
      gapsSeen: watch.gaps,
      died,
      answersAgainMs,
      caughtUpMs,
      seconds: Math.round((Date.now() - startedAt) / 1000),
      findings: [
        ...judged.findings
          .filter(({ place, problem }) => !(place === 'kafka' && problem === 'duplicated'))
          .map(({ place, problem, detail }) => `${place}: ${problem}: ${detail}`),
        ...(judged.findingsCut ? ['… and more of the same, counted above'] : []),
        // What people work through may be refused for a while; it may not end by itself.
        ...system.parts
          .get('proxy')!
          .died.map(
            ({ code, signal, said }) =>
              `the gateway ended by itself (${signal ?? `code ${code}`}): ${said}`,
          ),
        ...verification.map(
          ({ recorder, problem, detail }) => `verify ${recorder}: ${problem}: ${detail}`,
        ),
      ],
      audit: judged,
    }
  } finally {
    await client?.close()
    await system?.stop()
    if (!o.keep) await directory.remove()
    else progress(`kept in ${directory.path}`)
  }
}

/** No promise broken, and something was there to break one with. */
export function keeps(result: ChaosResult): boolean {
  return (
    holds(result.audit) &&
    result.findings.length === 0 &&
    result.deadLetters === 0 &&
    result.released > 0 &&
    result.statements > 0
  )
}

interface Injection {
  system: System
  planned: readonly Fault[]
  completions(): number
  signal?: AbortSignal
  progress(line: string): void
}

/** Begins and ends each fault at its time. Whatever happens, all of them have ended when this has. */
async function inject(o: Injection): Promise<KindCount[]> {
  const counts = new Map<string, KindCount>()
  const under = new Set<Promise<void>>()
  /** The last fault on each part: one that takes longer than planned is waited for, not joined. */
  const last = new Map<string, Promise<void>>()
  const from = Date.now()
  let failure: unknown = null
  try {
    for (const [i, fault] of o.planned.entries()) {
      await pause(from + fault.atMs - Date.now(), o.signal)
      if (o.signal?.aborted || failure) break
      const before = last.get(fault.kind.part) ?? Promise.resolve()
      const one = before
        .then(() => run(i, fault))
        .catch((error) => {
          failure ??= error
        })
      last.set(fault.kind.part, one)
      under.add(one)
      void one.finally(() => under.delete(one))
    }
  } finally {
    await Promise.all(under)
  }
  if (failure) throw failure
  return [...counts.values()].sort((a, b) => (a.kind < b.kind ? -1 : 1))

  async function run(i: number, fault: Fault): Promise<void> {
    const kind = fault.kind as ReturnType<typeof kindsOf>[number]
    if (o.signal?.aborted || failure) return
    await running(o.system, kind.part)
    const at = Date.now()
    const seen = o.completions()
    o.progress(
      `${i + 1} of ${o.planned.length}: ${kind.name}, ${(fault.durationMs / 1000).toFixed(1)} s; ${seen} completions seen`,
    )
    await kind.begin(fault)
    await pause(fault.durationMs, o.signal)
    await Promise.resolve(kind.end(fault)).catch((error) => {
      // Its supervisor goes on trying; whether it succeeds shows in the end.
      o.progress(`${kind.name}: ${(error as Error).message}`)
    })
    const count = counts.get(kind.name) ?? {
      kind: kind.name,
      times: 0,
      seconds: 0,
      completions: 0,
    }
    counts.set(kind.name, count)
    count.times++
    count.seconds += (Date.now() - at) / 1000
    count.completions += o.completions() - seen
  }
}

/** What is done to a process that is not there would be no fault. */
async function running(system: System, name: string): Promise<void> {
  const part = system.parts.get(name)
  const until = Date.now() + PART_MS_MAX
  while (part && part.pid === null) {
    if (Date.now() > until) throw new Error(`${name} does not get up again`)
    await pause(50)
  }
}

async function answersAgain(completions: () => number): Promise<number> {
  const at = Date.now()
  const before = completions()
  while (completions() < before + 20) {
    if (Date.now() - at > ANSWERS_MS_MAX)
      throw new Error(`nothing was answered for ${ANSWERS_MS_MAX / 1000} s, with everything whole`)
    await pause(20)
  }
  return Date.now() - at
}

/** Until the store has as many rows as the logs have events, or nothing moves any more. */
async function caughtUp(
  system: System,
  client: ClickHouseClient,
  progress: (line: string) => void,
): Promise<void> {
  const events = await countLogs(system.logs)
  let rows = -1
  for (let movedAt = Date.now(); ; ) {
    const now = await countStore(client).catch(() => rows)
    if (now >= events) return
    if (now !== rows) movedAt = Date.now()
    rows = now
    if (Date.now() - movedAt > STILL_MS_MAX) {
      progress(`the store has ${rows} of ${events} events, and no more came for a while`)
      return
    }
    await pause(200)
  }
}

/** Looks at the store as somebody at the console would, all the while. */
function startWatch(client: ClickHouseClient): {
  looks: number
  gaps: number
  stop(): Promise<void>
} {
  const watch = { looks: 0, gaps: 0 }
  const stopping = new AbortController()
  const run = async () => {
    while (!stopping.signal.aborted) {
      await countGaps(client).then(
        (gaps) => {
          watch.looks++
          watch.gaps += gaps
        },
        () => {},
      )
      await pause(LOOK_MS, stopping.signal)
    }
  }
  const done = run()
  return Object.assign(watch, {
    async stop() {
      stopping.abort()
      await done
    },
  })
}

function pause(ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal?.aborted) {
      resolve()
      return
    }
    const timer = setTimeout(done, Math.max(0, ms))
    function done() {
      clearTimeout(timer)
      signal?.removeEventListener('abort', done)
      resolve()
    }
    signal?.addEventListener('abort', done)
  })
}
