/**
 * A session of a database protocol as its client saw it: each statement with the tables, errors and notices that came back, decoded
 * from the recorded bytes, which are checked against the digest taken when they were sent.
 * Pure and bounded; whatever is not shown is said: kept out by the recording, by this answer's limits, or unreadable.
 */
import { createHash } from 'node:crypto'
import type { Decoder } from './decoders'
import type { JsonObject } from './rows'
import type { Column, Shown } from './shown'
import { type Entry, timelineOf } from './timeline'

export interface ReplayLimits {
  /** Rows shown of one result. */
  rowsMax: number
  /** Bytes of COPY data shown of one command and direction. */
  copyBytesMax: number
}

export interface Cut {
  /** Bytes the client saw that were not recorded. */
  notRecordedBytes: number
  /** Recorded bytes that are no whole message at a cut place. */
  unreadableBytes: number
  /** Recorded bytes left out because one answer holds no more. */
  notShownBytes: number
  /** Recorded bytes that the store does not have. */
  missingBytes: number
}

export interface ReplayEntry extends JsonObject {}

interface Piece {
  offset: number
  data: Buffer
  omittedBytes: number
}

/** `events`: the session's events, outputs included, in order of their ordinals. */
export function replayOf(
  events: readonly JsonObject[],
  decoder: Decoder,
  limits: ReplayLimits,
): ReplayEntry[] {
  const output = new Map<string, Piece[]>()
  const input = new Map<string, Piece[]>()
  const loose: { ordinal: number; entry: ReplayEntry }[] = []
  for (const event of events) {
    const piece = event.output as JsonObject | null
    if (!piece) continue
    const read: Piece = {
      offset: Number(piece.offset),
      data: Buffer.from(String(piece.data), 'base64'),
      omittedBytes: Number(piece.omittedBytes ?? 0),
    }
    if (event.command === null || event.command === undefined) {
      const { shown } = decoder.output(read.data, limits)
      loose.push({
        ordinal: Number(event.ordinal),
        entry: {
          kind: 'output',
          ordinal: event.ordinal!,
          time: event.time!,
          shown: shown as unknown as JsonObject[],
          masks: event.masks ?? [],
        },
      })
      continue
    }
    const pieces = piece.stream === 'input' ? input : output
    const id = String(event.command)
    const list = pieces.get(id)
    if (list) list.push(read)
    else pieces.set(id, [read])
  }
  const entries: ReplayEntry[] = timelineOf(events).map((entry) =>
    entry.kind === 'command'
      ? commandOf(
          entry,
          output.get(String(entry.id)) ?? [],
          input.get(String(entry.id)) ?? [],
          decoder,
          limits,
        )
      : entry,
  )
  for (const { ordinal, entry } of loose) {
    const before = entries.findIndex((one) => Number(one.ordinal) > ordinal)
    entries.splice(before < 0 ? entries.length : before, 0, entry)
  }
  return entries
}

function commandOf(
  entry: Entry,
  output: Piece[],
  input: Piece[],
  decoder: Decoder,
  limits: ReplayLimits,
): ReplayEntry {
  const response = entry.response as JsonObject | null
  const seen = assemble(output)
  const columns = (response?.columns as unknown as Column[] | undefined)?.map(({ name, type }) => ({
    name,
    type,
  }))
  const { shown, tornBytes } = decoder.output(seen.bytes, {
    ...limits,
    columns,
    interface: String((entry.statement as JsonObject | null)?.interface ?? ''),
  })
  const all: Shown[] = []
  let sentUnreadable = 0
  if (input.length > 0) {
    const sent = decoder.input(assemble(input).bytes, limits.copyBytesMax)
    sentUnreadable = sent.tornBytes
    all.push(sent.copy)
  }
  all.push(...shown)
  const bytes = Number(response?.bytes ?? 0)
  const recordedBytes = Number(response?.recordedBytes ?? 0)
  const whole = response !== null && bytes === seen.bytes.length && bytes === recordedBytes
  const notThere = response === null ? 0 : Math.max(0, recordedBytes - seen.bytes.length)
  const cut: Cut = {
    notRecordedBytes: response === null ? seen.omittedBytes : Math.max(0, bytes - recordedBytes),
    unreadableBytes: tornBytes + sentUnreadable,
    notShownBytes: entry.answerLimit ? notThere : 0,
    missingBytes: entry.answerLimit ? 0 : notThere,
  }
  const { answerLimit: _, ...told } = entry
  return {
    ...told,
    shown: all as unknown as JsonObject[],
    /** Whether the bytes shown have the digest recorded when they were sent; null where they are not all there. */
    digestHolds:
      whole && response.digest
        ? createHash('sha256').update(seen.bytes).digest('hex') === response.digest
        : null,
    cut: cut as unknown as JsonObject,
  }
}

/** Pieces in order of their offsets, up to the first hole. */
function assemble(pieces: Piece[]): { bytes: Buffer; omittedBytes: number } {
  const parts: Buffer[] = []
  let at = 0
  let omittedBytes = 0
  for (const piece of pieces.toSorted((a, b) => a.offset - b.offset)) {
    if (piece.offset !== at) break
    parts.push(piece.data)
    at += piece.data.length
    omittedBytes += piece.omittedBytes
    if (piece.omittedBytes > 0) break
  }
  return { bytes: Buffer.concat(parts), omittedBytes }
}
