/**
 * Whether an event still costs the same when there are a hundred million of them: a steady stream through the real log,
 * ingest and embedded warehouse, and at 1, 3, 10, 30, 100 … million what an event cost since the mark before (wall, CPU,
 * disk) and how long the questions take. All of it can be stopped and gone on with where its directory is kept.
 * The log holds only what ingest has not committed yet. Refuses to report a store that has not each event once.
 */
import { existsSync, mkdirSync, readFileSync, renameSync, statfsSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { ClickHouseLogLevel, createClient } from '@clickhouse/client'
import { committedPosition } from '@custody/event-log'
import { prepareHome } from '@custody/kit'
import { nowMicros } from '@custody/schemas'
import { temporaryDirectory } from '@custody/test-support'
import {
  cpuSeconds,
  directoryBytes,
  machineCpuSeconds,
  median,
  residentBytes,
  rounded,
  type Table,
} from './measure'
import { type Started, startEngine, started, startIngest } from './processes'
import { askQuestions, rows } from './questions'
import { DAY_MICROS } from './traffic'

export interface GrowthOptions {
  events: number
  /** Where it all is left; a later run with it goes on. */
  keep?: string
  /** Records nothing more: migrates what is kept there, and asks. */
  ask?: boolean
  progress(line: string): void
}

/** As decision 0004 has it: ten million in thirty days. */
const EVENTS_A_DAY = 10_000_000 / 30
const RECORDER = 'bench'
/** Events that the recorder may be before ingest. */
const AHEAD_MAX = 1_000_000
const SAMPLE_MS = 5000
const SETTLE_MS_MAX = 15 * 60_000
/** Of disk, so that it ends with a message and not with a full disk. */
const FREE_BYTES_MIN = 8 * 1024 ** 3

/** What passed since the last mark. */
interface Spent {
  events: number
  seconds: number
  ingestCpu: number
  engineCpu: number
  recorderCpu: number
  /** Of everything else on this machine, other machines' share included. */
  othersCpu: number
}

interface Mark extends Spent {
  at: number
  settleSeconds: number
  bytesEach: number
  rowsBytesEach: number
  parts: number
  logBytes: number
  ingestMemory: number
  engineMemory: number
  questions: [string, number[]][]
}

/** Kept beside the data, so that a run goes on where another ended. */
interface State {
  fromMicros: number
  marks: Mark[]
  spent: Spent
}

const NOTHING: Spent = {
  events: 0,
  seconds: 0,
  ingestCpu: 0,
  engineCpu: 0,
  recorderCpu: 0,
  othersCpu: 0,
}

/** 1, 3, 10, 30 million … as far as there are events, and the end itself. */
export function marksUpTo(events: number): number[] {
  const marks: number[] = []
  for (let decade = 1_000_000; decade <= events; decade *= 10)
    for (const mark of [decade, 3 * decade]) if (mark < events) marks.push(mark)
  return [...marks, events]
}

export async function benchGrowth(o: GrowthOptions, table: Table): Promise<string[]> {
  if (o.ask) return askAgain(o, table)
  const directory = o.keep ? null : temporaryDirectory('bench-growth')
  const place = o.keep ?? directory!.path
  mkdirSync(place, { recursive: true })
  const home = prepareHome(join(place, 'home'))
  const file = join(place, 'growth.json')
  const state: State = existsSync(file)
    ? JSON.parse(readFileSync(file, 'utf8'))
    : {
        fromMicros: nowMicros() - (o.events / EVENTS_A_DAY) * DAY_MICROS,
        marks: [],
        spent: NOTHING,
      }
  const save = () => {
    writeFileSync(`${file}.next`, JSON.stringify(state))
    renameSync(`${file}.next`, file)
  }
  const running: Started[] = []
  try {
    const engine = await startEngine(home.warehouse)
    running.unshift(engine)
    const ingest = await startIngest(home, engine.url)
    running.unshift(ingest)
    const [recorder] = await started(join(__dirname, 'subjects/recorder.js'), {
      BENCH_LOG: home.log,
      BENCH_RECORDER: RECORDER,
      BENCH_FROM_MICROS: String(state.fromMicros),
      BENCH_STEP_MICROS: String(DAY_MICROS / EVENTS_A_DAY),
      BENCH_AHEAD: String(AHEAD_MAX),
    })
    running.unshift(recorder)
    const client = createClient({
      url: engine.url,
      request_timeout: 300_000,
      log: { level: ClickHouseLogLevel.OFF },
    })
    const committed = async () =>
      (await committedPosition(home.log, 'ingest', RECORDER))?.sequence ?? 0
    const check = () => {
      for (const { child } of running)
        if (child.exitCode !== null || child.signalCode !== null)
          throw new Error(`${child.spawnfile} ${child.spawnargs.at(-1)} ended`)
      const { bavail, bsize } = statfsSync(place)
      if (bavail * bsize < FREE_BYTES_MIN)
        throw new Error(`less than ${FREE_BYTES_MIN} bytes of disk are free`)
    }

    /** Adds what passes until `done` says so to what was spent, sample by sample. */
    async function follow(done: () => Promise<boolean>): Promise<number> {
      const began = performance.now()
      const cpu = () => [
        ...[ingest.pid, engine.pid, recorder.pid].map((pid) => cpuSeconds([pid])),
        machineCpuSeconds(),
      ]
      let [before, events, at, saved] = [cpu(), await committed(), began, began]
      const account = async () => {
        const [now, count, time] = [cpu(), await committed(), performance.now()]
        const [ingestCpu, engineCpu, recorderCpu, all] = now.map((value, i) => value - before[i]!)
        state.spent = {
          events: state.spent.events + count - events,
          seconds: state.spent.seconds + (time - at) / 1000,
          ingestCpu: state.spent.ingestCpu + ingestCpu!,
          engineCpu: state.spent.engineCpu + engineCpu!,
          recorderCpu: state.spent.recorderCpu + recorderCpu!,
          othersCpu: state.spent.othersCpu + all! - ingestCpu! - engineCpu! - recorderCpu!,
        }
        ;[before, events, at] = [now, count, time]
      }
      for (let told = began; ; ) {
        const end = await done()
        if (end || performance.now() - saved > SAMPLE_MS) {
          await account()
          saved = performance.now()
          save()
          check()
          if (saved - told > 60_000) {
            told = saved
            const { spent } = state
            o.progress(
              `${(events / 1e6).toFixed(2)} million; since the last mark ${rounded(spent.events / spent.seconds)} events/s, CPU µs/event: ingest ${rounded((spent.ingestCpu / spent.events) * 1e6)}, engine ${rounded((spent.engineCpu / spent.events) * 1e6)}`,
            )
          }
        }
        if (end) return (performance.now() - began) / 1000
        await new Promise((resolve) => setTimeout(resolve, 50))
      }
    }

    for (const at of marksUpTo(o.events)) {
      if (state.marks.some((mark) => mark.at === at)) continue
      o.progress(`until ${at} events`)
      let next = Number.POSITIVE_INFINITY
      recorder.child.once('message', (message: { next: number }) => {
        next = message.next
      })
      recorder.child.send({ until: at })
      await follow(async () => (await committed()) >= next)
      const { events, seconds, othersCpu } = state.spent
      // What the engine still merges belongs to these events, and would be in the way of the questions.
      const until = performance.now() + SETTLE_MS_MAX
      const settleSeconds = await follow(async () => {
        const [{ n }] = await rows<{ n: number }>(
          client,
          'SELECT toUInt32(count()) AS n FROM system.merges',
        )
        return n === 0 || performance.now() > until
      })
      const [stored] = await rows<{ n: string; sum: string; most: string }>(
        client,
        'SELECT toString(count()) AS n, toString(sum(sequence)) AS sum, toString(max(sequence)) AS most FROM custody.events',
      )
      const expected = { n: next, sum: (BigInt(next) * BigInt(next - 1)) / 2n, most: next - 1 }
      for (const key of ['n', 'sum', 'most'] as const)
        if (stored[key] !== String(expected[key]))
          throw new Error(
            `${key} of the sequences in the store is ${stored[key]}, not ${expected[key]}`,
          )
      const [parts] = await rows<{ n: number; bytes: number }>(
        client,
        "SELECT toUInt32(count()) AS n, toFloat64(sum(bytes_on_disk)) AS bytes FROM system.parts WHERE active AND database = 'custody' AND table = 'events'",
      )
      const [ingestMemory, engineMemory] = [residentBytes(ingest.pid), residentBytes(engine.pid)]
      o.progress('asking')
      const questions = await askQuestions(client, { from: 'custody.events' })
      for (const [name, ms] of questions) o.progress(`${name}: ${rounded(median(ms))} ms`)
      state.marks.push({
        ...state.spent,
        events,
        seconds,
        othersCpu,
        at,
        settleSeconds,
        bytesEach: directoryBytes(home.warehouse) / next,
        rowsBytesEach: parts.bytes / next,
        parts: parts.n,
        logBytes: directoryBytes(home.log),
        ingestMemory,
        engineMemory,
        questions: [...questions],
      })
      state.spent = NOTHING
      save()
    }
    await client.close()
  } finally {
    for (const one of running) await one.stop()
    await directory?.remove()
  }

  for (const mark of state.marks) {
    const subject = `${mark.at / 1e6} million`
    const micros = (seconds: number) => (seconds / mark.events) * 1e6
    table.add('ingest', subject, 'events/s', mark.events / mark.seconds)
    table.add('ingest: CPU', subject, 'µs/event', micros(mark.ingestCpu))
    table.add('engine: CPU, merges included', subject, 'µs/event', micros(mark.engineCpu))
    table.add('recording: CPU', subject, 'µs/event', micros(mark.recorderCpu))
    table.add('others meanwhile', subject, 'cores', mark.othersCpu / mark.seconds)
    table.add('merging after the last', subject, 's', mark.settleSeconds)
    table.add('in the table', subject, 'bytes/event', mark.rowsBytesEach)
    table.add('on disk', subject, 'bytes/event', mark.bytesEach)
    table.add('parts', subject, '', mark.parts)
    table.add('log on disk', subject, 'MiB', mark.logBytes / 2 ** 20)
    table.add('ingest: memory', subject, 'MiB', mark.ingestMemory / 2 ** 20)
    table.add('engine: memory', subject, 'MiB', mark.engineMemory / 2 ** 20)
    for (const [name, ms] of mark.questions)
      for (const one of ms) table.add(name, subject, 'ms', one)
  }
  return [
    `${Math.round(EVENTS_A_DAY)} events a day; costs are of the events since the column before`,
  ]
}

/** What is there already, under the indexes that this version has. */
async function askAgain({ keep, progress }: GrowthOptions, table: Table): Promise<string[]> {
  if (keep === undefined) throw new Error('--ask needs --keep')
  const home = prepareHome(join(keep, 'home'))
  const engine = await startEngine(home.warehouse)
  try {
    // It is ingest that migrates.
    const ingest = await startIngest(home, engine.url)
    await ingest.stop()
    const client = createClient({
      url: engine.url,
      request_timeout: 600_000,
      log: { level: ClickHouseLogLevel.OFF },
    })
    const began = performance.now()
    for (let told = began; ; ) {
      const [{ n }] = await rows<{ n: number }>(
        client,
        'SELECT toUInt32((SELECT count() FROM system.merges) + (SELECT count() FROM system.mutations WHERE NOT is_done)) AS n',
      )
      if (n === 0) break
      if (performance.now() - told > 60_000) {
        told = performance.now()
        progress(`${n} merges and mutations under way`)
      }
      await new Promise((resolve) => setTimeout(resolve, 500))
    }
    const settleSeconds = (performance.now() - began) / 1000
    const [{ n, bytes, parts }] = await rows<{ n: number; bytes: number; parts: number }>(
      client,
      "SELECT toFloat64(sum(rows)) AS n, toFloat64(sum(bytes_on_disk)) AS bytes, toUInt32(count()) AS parts FROM system.parts WHERE active AND database = 'custody' AND table = 'events'",
    )
    const subject = `${rounded(n / 1e6)} million, asked again`
    table.add('settling', subject, 's', settleSeconds)
    table.add('engine: CPU meanwhile', subject, 'µs/event', (cpuSeconds([engine.pid]) / n) * 1e6)
    table.add('in the table', subject, 'bytes/event', bytes / n)
    table.add('parts', subject, '', parts)
    for (const [name, ms] of await askQuestions(client, { from: 'custody.events' }))
      for (const one of ms) table.add(name, subject, 'ms', one)
    await client.close()
  } finally {
    await engine.stop()
  }
  return ['a kept history, migrated by this version and asked again']
}
