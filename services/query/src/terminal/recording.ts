/**
 * A session's terminal as a recording that players read (asciicast v2), from its recorded events. Page by page, so that no
 * session is held whole. Refuses to leave out unsaid what the recording's limits kept out: a marker says how much.
 */
import { type CastWriter, createCastWriter } from '@custody/terminal'
import { badRequest } from '../errors'
import { type JsonObject, microsOfIso } from '../rows'

const COLUMNS_DEFAULT = 80
const ROWS_DEFAULT = 24
const TITLE_CHARACTERS_MAX = 200
const LABEL_CHARACTERS_MAX = 1000

export interface TerminalRecording {
  /** The lines that these events come to. */
  lines(events: readonly JsonObject[]): string
  /** Which command is shown, once it is known. */
  readonly command: string | null
  end(): string
  /** A marker behind what came last. */
  remark(label: string): string
}

/** `command`: the one to show; without it the first that has a terminal, or else the first that ran. */
export function createTerminalRecording(wanted: string | null): TerminalRecording {
  return new Recording(wanted)
}

/** Which of these events' commands is to be shown. */
export function terminalCommandOf(events: readonly JsonObject[]): string | null {
  const started = events.filter(
    (event) =>
      event.kind === 'command.started' &&
      (event.statement as JsonObject | null)?.language === 'shell',
  )
  const withTerminal = started.find(
    ({ statement }) => attributesOf(statement).columns !== undefined,
  )
  const first = withTerminal ?? started[0]
  return first ? String(first.id) : null
}

const attributesOf = (statement: unknown): Record<string, string> =>
  ((statement as JsonObject | null)?.attributes as Record<string, string> | undefined) ?? {}

class Recording implements TerminalRecording {
  command: string | null
  private writer: CastWriter | null = null
  private hasTerminal = false
  private lastAt = 0

  constructor(wanted: string | null) {
    this.command = wanted
  }

  lines(events: readonly JsonObject[]): string {
    this.command ??= terminalCommandOf(events)
    let out = ''
    for (const event of events) out += this.line(event)
    return out
  }

  end(): string {
    if (this.writer === null) throw badRequest('the session has no terminal, or nothing ran in it')
    return this.writer.end()
  }

  remark(label: string): string {
    return this.writer === null ? '' : this.mark(this.lastAt, label)
  }

  private line(event: JsonObject): string {
    const at = microsOfIso(String(event.time)) ?? 0
    this.lastAt = Math.max(this.lastAt, at)
    if (event.kind === 'command.started' && event.id === this.command) return this.begin(event, at)
    if (this.writer === null) return ''
    // Lines typed into it are commands of their own.
    if (event.kind === 'command.started' && event.parent === this.command)
      return this.mark(at, String((event.statement as JsonObject).text))
    if (event.command !== this.command) return ''
    if (event.kind === 'terminal.resized') {
      const { columns, rows } = attributesOf(event.lifecycle)
      return this.writer.event({
        kind: 'r',
        atMicros: at,
        columns: sizeOf(columns, COLUMNS_DEFAULT),
        rows: sizeOf(rows, ROWS_DEFAULT),
      })
    }
    if (event.kind === 'terminal.hidden') return this.mark(at, 'typed without being shown')
    const piece = event.output as JsonObject | null
    if (!piece) return ''
    return this.piece(piece, at)
  }

  private begin(event: JsonObject, at: number): string {
    const statement = event.statement as JsonObject
    const { columns, rows, term } = attributesOf(statement)
    this.hasTerminal = columns !== undefined
    const text = String(statement.text ?? '')
    this.writer = createCastWriter(
      {
        width: sizeOf(columns, COLUMNS_DEFAULT),
        height: sizeOf(rows, ROWS_DEFAULT),
        timestamp: Math.floor(at / 1_000_000),
        title: (text || String(statement.interface)).slice(0, TITLE_CHARACTERS_MAX),
        ...(term && { env: { TERM: term } }),
      },
      at,
    )
    return this.writer.header()
  }

  private piece(piece: JsonObject, at: number): string {
    const data = Buffer.from(String(piece.data), 'base64')
    const isInput = piece.stream === 'input'
    // Without a terminal at the target nobody made line feeds into new rows.
    const shown =
      this.hasTerminal || isInput
        ? data
        : Buffer.from(data.toString('latin1').replace(/\r?\n/g, '\r\n'), 'latin1')
    let out =
      data.length > 0
        ? this.writer!.event({ kind: isInput ? 'i' : 'o', atMicros: at, data: shown })
        : ''
    const omitted = Number(piece.omittedBytes ?? 0)
    if (omitted > 0)
      out += this.mark(
        at,
        isInput ? 'typed without being shown' : `${omitted} bytes were not recorded`,
      )
    return out
  }

  private mark(at: number, label: string): string {
    return this.writer!.event({
      kind: 'm',
      atMicros: at,
      label: label.slice(0, LABEL_CHARACTERS_MAX),
    })
  }
}

function sizeOf(text: string | undefined, otherwise: number): number {
  const size = Number(text)
  return Number.isInteger(size) && size > 0 && size <= 10_000 ? size : otherwise
}
