/**
 * A session's terminal as it happens: an asciicast (version 2) of what was recorded so far, and then of what is recorded, until
 * what runs in it ends. An empty line now and then says that somebody is there. Page by page; holds no session whole.
 * Refuses to show anything that is not in the record, and goes on only as long as who watches may.
 */
import type { JsonObject } from '../rows'
import type { SessionEvents } from '../store'
import { createTerminalRecording } from './recording'

export interface LiveParts {
  /** The command whose terminal is watched; null: the first that runs and has one, or else that runs. */
  command: string | null
  /** Events of the session from this ordinal on. */
  events(from: number, withOutput: boolean): Promise<SessionEvents>
  isOpen(): Promise<boolean>
  /** Why nothing more is to be shown; null while it may. */
  refusal(): string | null
  /** Until something may have come. Answers at once where nobody waits any more. */
  pause(ms: number): Promise<void>
  /** For the record: how many events were shown. */
  shown(count: number): void
}

const POLL_MS = 200
/** Where nothing has come for a while. */
const IDLE_POLL_MS = 1000
const IDLE_AFTER_POLLS = 50
const SIGN_OF_LIFE_POLLS = 20

export async function* liveCast(parts: LiveParts): AsyncGenerator<string> {
  const chosen = yield* choose(parts)
  if (chosen === null) return
  const recording = createTerminalRecording(chosen.id)
  const follower = new Follower(parts, chosen.ordinal, true)
  for (;;) {
    const refused = parts.refusal()
    if (refused !== null) {
      yield recording.remark(`watching ended: ${refused}`)
      return
    }
    const events = await follower.next()
    parts.shown(events.length)
    const isOver = events.some(
      ({ kind, command }) =>
        kind === 'session.closed' || (kind === 'command.completed' && command === chosen.id),
    )
    const lines = recording.lines(events)
    if (lines !== '') yield lines
    if (isOver || (await follower.isOver())) {
      yield recording.end() + recording.remark('watching ended: the session is over')
      return
    }
    if (follower.isAtEnd && follower.isTimeForSign) yield '\n'
    if (follower.isAtEnd) await parts.pause(follower.pauseMs)
  }
}

/** Waits for what is to be watched; null where there is nothing, and will be none. */
async function* choose(
  parts: LiveParts,
): AsyncGenerator<string, { id: string; ordinal: number } | null> {
  const follower = new Follower(parts, 0, false)
  const running = new Map<string, { id: string; ordinal: number; hasTerminal: boolean }>()
  for (;;) {
    if (parts.refusal() !== null) return null
    let isOver = false
    for (const event of await follower.next()) {
      if (event.kind === 'command.started') {
        const { language, interface: by, attributes } = event.statement as JsonObject
        if (language === 'shell' && by !== 'typed')
          running.set(String(event.id), {
            id: String(event.id),
            ordinal: Number(event.ordinal),
            hasTerminal: (attributes as JsonObject | null)?.columns !== undefined,
          })
      } else if (event.kind === 'command.completed') {
        if (String(event.command) !== parts.command) running.delete(String(event.command))
      } else if (event.kind === 'session.closed') isOver = true
    }
    if (follower.isAtEnd) {
      const all = [...running.values()]
      const found =
        parts.command === null
          ? (all.find(({ hasTerminal }) => hasTerminal) ?? all[0])
          : running.get(parts.command)
      if (found) return found
      if (isOver || (await follower.isOver())) return null
      if (follower.isTimeForSign) yield '\n'
      await parts.pause(follower.pauseMs)
    }
  }
}

/** Each event of a session once, as they come. */
class Follower {
  isAtEnd = false
  private polls = 0

  constructor(
    private readonly parts: LiveParts,
    private from: number,
    private readonly withOutput: boolean,
  ) {}

  async next(): Promise<JsonObject[]> {
    const { events, next } = await this.parts.events(this.from, this.withOutput)
    // How commands ended that go on behind the page is told with it, and again in its place.
    const own = next === null ? events : events.filter(({ ordinal }) => Number(ordinal) < next)
    this.isAtEnd = next === null
    this.from = next ?? (own.length === 0 ? this.from : Number(own.at(-1)!.ordinal) + 1)
    this.polls = own.length > 0 ? 0 : this.polls + 1
    return own
  }

  get pauseMs(): number {
    return this.polls > IDLE_AFTER_POLLS ? IDLE_POLL_MS : POLL_MS
  }

  get isTimeForSign(): boolean {
    return this.polls % SIGN_OF_LIFE_POLLS === SIGN_OF_LIFE_POLLS - 1
  }

  /** Of a session whose end nothing says, because what had it is gone. */
  async isOver(): Promise<boolean> {
    return this.isAtEnd && this.isTimeForSign && !(await this.parts.isOpen())
  }
}
