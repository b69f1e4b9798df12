/**
 * Recordings of terminals as asciicast v2, the format that players of terminals read: what was shown, what was typed and
 * when the window changed, each with its time. Pure; writes and reads lines.
 * Refuses to make up what is not there: bytes that are no UTF-8 become what a terminal shows for them.
 */

export interface CastHeader {
  width: number
  height: number
  /** When it began, in seconds since 1970. */
  timestamp: number
  title?: string
  env?: Record<string, string>
}

export type CastEvent =
  | { kind: 'o' | 'i'; atMicros: number; data: Buffer }
  | { kind: 'r'; atMicros: number; columns: number; rows: number }
  | { kind: 'm'; atMicros: number; label: string }

export interface CastWriter {
  header(): string
  /** A line, or '' where nothing is whole yet. */
  event(event: CastEvent): string
  /** What was cut at the very end. */
  end(): string
}

/** `startMicros`: the moment that is zero. */
export function createCastWriter(header: CastHeader, startMicros: number): CastWriter {
  // A character may be cut between two events: it comes with the second.
  const decoders = { o: new TextDecoder('utf-8'), i: new TextDecoder('utf-8') }
  let last = 0
  const seconds = (atMicros: number) => {
    // Players take time for something that only goes forward.
    last = Math.max(last, atMicros - startMicros)
    return last / 1_000_000
  }
  const line = (atMicros: number, kind: string, text: string) =>
    `[${seconds(atMicros).toFixed(6)}, ${JSON.stringify(kind)}, ${JSON.stringify(text)}]\n`
  return {
    header: () => `${JSON.stringify({ version: 2, ...header })}\n`,
    event(event) {
      if (event.kind === 'r') return line(event.atMicros, 'r', `${event.columns}x${event.rows}`)
      if (event.kind === 'm') return line(event.atMicros, 'm', event.label)
      const text = decoders[event.kind].decode(event.data, { stream: true })
      return text === '' ? '' : line(event.atMicros, event.kind, text)
    },
    end() {
      const text = decoders.o.decode()
      return text === '' ? '' : line(startMicros + last, 'o', text)
    },
  }
}

export interface CastLine {
  seconds: number
  kind: string
  data: string
}

export class CastError extends Error {}

export function readCastHeader(line: string): CastHeader {
  const header = parsed(line) as CastHeader & { version?: number }
  if (header?.version !== 2 || !Number.isInteger(header.width) || !Number.isInteger(header.height))
    throw new CastError('not an asciicast of version 2')
  return header
}

/** Null for an empty line. */
export function readCastLine(line: string): CastLine | null {
  if (line.trim() === '') return null
  const event = parsed(line) as [number, string, string]
  if (
    !Array.isArray(event) ||
    typeof event[0] !== 'number' ||
    typeof event[1] !== 'string' ||
    typeof event[2] !== 'string'
  )
    throw new CastError('not an event of an asciicast')
  return { seconds: event[0], kind: event[1], data: event[2] }
}

function parsed(line: string): unknown {
  try {
    return JSON.parse(line)
  } catch {
    throw new CastError('not JSON')
  }
}
