/**
 * Looks through the places before the store: the logs of this host, and the topic of events. Each event is decoded as far as
 * its envelope. Refuses to judge; it counts, and notes what is out of order.
 */
import {
  committedPosition,
  LogDamagedError,
  listRecorders,
  openReader,
  type Position,
} from '@custody/event-log'
import { type Envelope, readEnvelope, uuidText } from '@custody/schemas'
import type { Finding } from './compare'
import { foldOf, Tallies } from './tally'

const READ_BYTES = 4 * 1024 * 1024

/** As much of Kafka as is looked at; `@custody/event-log-kafka` has it. */
export interface KafkaPlace {
  positions(
    group: string,
  ): Promise<{ partition: number; first: bigint; end: bigint; committed: bigint | null }[]>
  read(
    partition: number,
    from: bigint,
    to: bigint,
  ): AsyncIterable<{ offset: bigint; message: Buffer }[]>
}

/** Which events are compared, by when they happened and what they are. */
export type Scope = (timeMicros: number, kind: string) => boolean

export interface Seen {
  tallies: Tallies
  findings: Finding[]
  /** Behind which nothing was looked at, by partition; empty for logs. */
  ends: Map<number, bigint>
}

/** Told of every event once more, for those that have to be named. */
export type Visit = (envelope: Envelope) => void

export type Progress = (events: number) => void

/** The logs of all recorders of a directory. `consumer`: who carries them on; what it committed must have arrived. */
export async function readLog(
  directory: string,
  consumer: string,
  scope: Scope,
  progress: Progress = () => {},
): Promise<Seen> {
  const seen: Seen = { tallies: new Tallies(), findings: [], ends: new Map() }
  for (const recorder of await listRecorders(directory)) {
    const committed = await committedPosition(directory, consumer, recorder)
    const due = committed?.sequence ?? 0
    await eachOfLog(
      directory,
      recorder,
      () => seen.tallies.byRecorder.delete(recorder),
      (message) => {
        const { sequence, time, kind, id, previous } = readEnvelope(message)
        seen.tallies
          .of(recorder)
          .add(sequence, foldOf(id, previous), scope(time, kind), sequence < due)
      },
      progress,
    ).catch((error) => {
      if (!(error instanceof LogDamagedError) && !(error instanceof RangeError)) throw error
      const { last = -1 } = seen.tallies.byRecorder.get(recorder) ?? {}
      seen.findings.push({
        problem: 'gap',
        place: 'log',
        recorder,
        from: last + 1,
        to: last + 1,
        session: null,
        detail: `it can't be read on: ${error.message}; custody verify tells more`,
      })
    })
  }
  return seen
}

export async function visitLog(directory: string, visit: Visit): Promise<void> {
  for (const recorder of await listRecorders(directory))
    await eachOfLog(
      directory,
      recorder,
      () => {},
      (message) => visit(readEnvelope(message)),
    ).catch((error) => {
      if (!(error instanceof LogDamagedError) && !(error instanceof RangeError)) throw error
    })
}

const FREED_TRIES = 3

/** `restart`: what was seen does not count, since segments behind it were freed meanwhile. */
async function eachOfLog(
  directory: string,
  recorder: string,
  restart: () => void,
  visit: (message: Buffer) => void,
  progress: Progress = () => {},
): Promise<void> {
  for (let tries = 1; ; tries++) {
    const reader = openReader({ directory, recorder })
    const before: Position = reader.position
    try {
      for (
        let batch = await reader.read(READ_BYTES);
        batch;
        batch = await reader.read(READ_BYTES)
      ) {
        for (const message of batch.messages) visit(message)
        progress(batch.count)
      }
      return
    } catch (error) {
      if (!(error instanceof LogDamagedError) || tries === FREED_TRIES) throw error
      if (!/is gone/.test(error.message) || reader.position === before) throw error
      restart()
    } finally {
      reader.close()
    }
  }
}

/** Recorders' clocks may differ by so much. */
const CLOCKS_MICROS = 600 * 1_000_000

/**
 * From when on the topic is whole: retention takes away the beginning of each partition by itself, so it is the latest of
 * the moments with which they begin. Null where nothing was taken away yet.
 */
export async function wholeSince(kafka: KafkaPlace, group: string): Promise<number | null> {
  let since: number | null = null
  for (const { partition, first, end } of await kafka.positions(group)) {
    if (first === 0n) continue
    // All of it was taken away; what comes is whole from now on.
    let begins = Date.now() * 1000
    for await (const records of kafka.read(partition, first, end)) {
      if (records[0] === undefined) continue
      try {
        begins = readEnvelope(records[0].message).time
      } catch {}
      break
    }
    since = Math.max(since ?? 0, begins + CLOCKS_MICROS)
  }
  return since
}

/** The whole topic of events. `group`: ingest's; what it committed must be in the store. */
export async function readKafka(
  kafka: KafkaPlace,
  group: string,
  scope: Scope,
  progress: Progress = () => {},
): Promise<Seen> {
  const seen: Seen = { tallies: new Tallies(), findings: [], ends: new Map() }
  const sessions = new Map<string, { partition: number; ordinal: number }>()
  for (const { partition, first, end, committed } of await kafka.positions(group)) {
    seen.ends.set(partition, end)
    /** Per recorder, the highest sequence so far: it only rises, but for what was sent again. */
    const highest = new Map<string, number>()
    for await (const records of kafka.read(partition, first, end)) {
      for (const { offset, message } of records) {
        if (offset >= end) break
        let envelope: Envelope
        try {
          envelope = readEnvelope(message)
        } catch {
          continue // No event; ingest puts it aside.
        }
        const { recorder, sequence, time, kind, id, previous } = envelope
        const isNew = seen.tallies
          .of(recorder)
          .add(
            sequence,
            foldOf(id, previous),
            scope(time, kind),
            committed !== null && offset < committed,
          )
        if (!isNew) continue
        if (sequence < (highest.get(recorder) ?? -1))
          seen.findings.push(
            out(
              envelope,
              `it comes behind event ${highest.get(recorder)} in partition ${partition}`,
            ),
          )
        else highest.set(recorder, sequence)
        followSession(envelope, partition)
      }
      progress(records.length)
    }
  }
  return seen

  function followSession(envelope: Envelope, partition: number): void {
    if (envelope.session === null) return
    const key = envelope.session.toString('hex')
    const before = sessions.get(key)
    if (before !== undefined && before.partition !== partition)
      seen.findings.push(
        out(envelope, `its session is in the partitions ${before.partition} and ${partition}`),
      )
    else if (before !== undefined && envelope.ordinal <= before.ordinal)
      seen.findings.push(
        out(
          envelope,
          `it is number ${envelope.ordinal} of its session, behind number ${before.ordinal}`,
        ),
      )
    if (envelope.kind === 'session.closed') sessions.delete(key)
    else sessions.set(key, { partition, ordinal: envelope.ordinal })
  }
}

export async function visitKafka(
  kafka: KafkaPlace,
  ends: ReadonlyMap<number, bigint>,
  group: string,
  visit: Visit,
): Promise<void> {
  for (const { partition, first } of await kafka.positions(group))
    for await (const records of kafka.read(partition, first, ends.get(partition) ?? first))
      for (const { message } of records)
        try {
          visit(readEnvelope(message))
        } catch {
          // As above.
        }
}

/** What has been appended since: so that a row of it is not taken for one that nobody recorded. */
export async function visitNew(
  kafka: KafkaPlace,
  ends: ReadonlyMap<number, bigint>,
  group: string,
  visit: Visit,
): Promise<void> {
  for (const { partition, end } of await kafka.positions(group))
    for await (const records of kafka.read(partition, ends.get(partition) ?? 0n, end))
      for (const { message } of records)
        try {
          visit(readEnvelope(message))
        } catch {
          // As above.
        }
}

function out({ recorder, sequence, session }: Envelope, detail: string): Finding {
  return {
    problem: 'reordered',
    place: 'kafka',
    recorder,
    from: sequence,
    to: sequence,
    session: session && uuidText(session),
    detail,
  }
}
