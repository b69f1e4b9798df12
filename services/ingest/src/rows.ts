/**
 * From messages to rows, the pure part: what of a lot can be inserted, in which groups, and what is no event at all.
 * Refuses to guess: a message that is not exactly one event of a schema that somebody published is a letter that nobody
 * can read, and its neighbours are not touched by it.
 */
import {
  checkOwn,
  encodeDatum,
  fingerprintIn,
  HEADER_BYTES,
  isMessage,
  type Reading,
  readEnvelope,
} from '@custody/schemas'
import type { Datum } from './container'

/** One event, ready to be inserted. */
export interface Row extends Datum {
  /** Place in its lot; see `Lot.places`. */
  readonly place: number
  /** 16 bytes as latin1. */
  readonly id: string
  readonly recorder: string
  readonly sequence: number
  /** Microseconds since 1970. */
  readonly time: number
  /** The writer's schema says more than this version knows. */
  readonly loses: boolean
}

export type Refusal = 'CUSTODY-INGEST-002' | 'CUSTODY-INGEST-003' | 'CUSTODY-INGEST-004'

/** What is not inserted. */
export interface Unreadable {
  readonly place: number
  readonly message: Buffer
  readonly code: Refusal
  readonly reason: string
}

/** Rows that go into the store with one insert, which makes one part of one table partition: all of them or none. */
export interface Group {
  readonly name: string
  readonly withUnread: boolean
  readonly rows: Row[]
}

/** `readings` has every fingerprint of `messages`; null where nobody has published the schema. */
export function toRows(
  messages: readonly Buffer[],
  places: readonly number[],
  readings: ReadonlyMap<string, Reading | null>,
): { rows: Row[]; unreadable: Unreadable[] } {
  const rows: Row[] = []
  const unreadable: Unreadable[] = []
  for (let i = 0; i < messages.length; i++) {
    const message = messages[i]!
    const place = places[i]!
    const refuse = (code: Refusal, reason: string) =>
      unreadable.push({ place, message, code, reason })
    if (!isMessage(message)) {
      refuse('CUSTODY-INGEST-004', `${message.length} bytes that are no event`)
      continue
    }
    const reading = readings.get(fingerprintIn(message))
    if (!reading) {
      refuse(
        'CUSTODY-INGEST-003',
        `nobody has published the schema ${fingerprintIn(message)} that this is written in`,
      )
      continue
    }
    try {
      rows.push(toRow(message, place, reading))
    } catch (error) {
      refuse('CUSTODY-INGEST-004', `no event of its schema: ${(error as Error).message}`)
    }
  }
  return { rows, unreadable }
}

function toRow(message: Buffer, place: number, reading: Reading): Row {
  let datum: Buffer
  if (reading.own) {
    checkOwn(message)
    datum = message.subarray(HEADER_BYTES)
  } else datum = encodeDatum(reading.read(message))
  // The envelope stands first in every version.
  const { id, recorder, sequence, time } = readEnvelope(message)
  if (!Number.isSafeInteger(sequence) || !Number.isSafeInteger(time))
    throw new RangeError('a sequence or time beyond what can be counted')
  return {
    place,
    message,
    datum,
    id: id.toString('latin1'),
    recorder,
    sequence,
    time,
    loses: reading.loses,
  }
}

/** By month, as the table is partitioned, and by what the container holds. */
export function toGroups(rows: readonly Row[]): Group[] {
  const groups = new Map<string, Group>()
  let last: Group | null = null
  let lastMonth = Number.NaN
  for (const row of rows) {
    const month = monthOf(row.time)
    if (last === null || last.withUnread !== row.loses || lastMonth !== month) {
      const name = `${row.loses ? 'unread-' : ''}${month}`
      last = groups.get(name) ?? { name, withUnread: row.loses, rows: [] }
      groups.set(name, last)
      lastMonth = month
    }
    last.rows.push(row)
  }
  return [...groups.values()]
}

let monthStart = 1
let monthEnd = 0
let month = 0
/** 202611 for a time in November 2026. */
function monthOf(micros: number): number {
  if (micros >= monthStart && micros < monthEnd) return month
  const date = new Date(micros / 1000)
  const year = date.getUTCFullYear()
  const index = date.getUTCMonth()
  if (Number.isNaN(year)) return 0
  month = year * 100 + index + 1
  monthStart = Date.UTC(year, index) * 1000
  monthEnd = Date.UTC(year, index + 1) * 1000
  return month
}
