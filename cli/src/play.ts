/**
 * Plays a recording of a terminal in this one, in its own time or faster. What is shown was recorded from another terminal:
 * it may draw, and nothing else. Refuses sequences that would have this terminal answer, write to the clipboard or change
 * what its owner set.
 */
import { type CastLine, readCastHeader, readCastLine } from '@custody/terminal'
import { Drawing } from './drawing'
import type { Style } from './show'

export interface PlayOptions {
  /** Twice as fast: 2. */
  speed: number
  /** Pauses are no longer than this, in seconds. */
  idleSecondsMax: number
}

export interface Stage {
  write(text: string): void
  sleep(ms: number): Promise<void>
  /** Of the terminal that it is played in; undefined where it is none. */
  columns?: number
  rows?: number
}

const ESC = '\x1b'
/** What it leaves a terminal in: full screen, no cursor, colours. */
const RESTORE = `${ESC}[?1049l${ESC}[?25h${ESC}[0m${ESC}[r${ESC}[?7h`

export async function play(
  lines: AsyncIterable<string>,
  { speed, idleSecondsMax }: PlayOptions,
  stage: Stage,
  remark: (text: string) => void,
  style: Pick<Style, 'dim'>,
): Promise<void> {
  let isFirst = true
  let last = 0
  const drawing = new Drawing()
  try {
    for await (const line of lines) {
      // A live one says so that somebody is there.
      if (line.trim() === '') continue
      if (isFirst) {
        const { width, height } = readCastHeader(line)
        isFirst = false
        if (
          stage.columns !== undefined &&
          (stage.columns < width || (stage.rows ?? height) < height)
        )
          remark(
            `custody: it was recorded in ${width} columns and ${height} rows; this terminal is smaller`,
          )
        continue
      }
      const event: CastLine | null = readCastLine(line)
      if (event === null) continue
      const pause = Math.min(idleSecondsMax, Math.max(0, event.seconds - last)) / speed
      last = event.seconds
      // Lines that were typed are markers as well, in whatever words.
      if (event.kind === 'm' && /^\d+ bytes were not recorded$|^watching ended: /.test(event.data))
        remark(style.dim(`custody: ${event.data.replace(/\p{C}+/gu, ' ')}`))
      if (event.kind !== 'o') continue
      if (pause > 0) await stage.sleep(pause * 1000)
      stage.write(drawing.push(event.data))
    }
  } finally {
    if (!isFirst) stage.write(RESTORE)
  }
}
