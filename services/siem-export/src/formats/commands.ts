/**
 * A command's end with what it was: recorders tell the text of a command once, when it starts, and receivers want one record that
 * has text and outcome. Follows the stream, keeps the statement and decision of commands under way, and gives them to the event that completes
 * them. Bounded: what is forgotten, or started before the stream was followed, completes without its text, as it was recorded.
 * Changes no event: what is given back is a copy with the same identifier, and a digest is still that of what was recorded.
 */
import type { Decision, Event, Statement } from '@custody/schemas'

export const COMMANDS_MAX = 20_000
/** Of texts, in UTF-16 units, of all commands together. */
export const TEXT_UNITS_MAX = 64 * 1024 * 1024

export class CommandsUnderWay {
  private readonly started = new Map<string, { statement: Statement; decision: Decision | null }>()
  private units = 0
  /** Commands whose start was forgotten for want of room. */
  forgotten = 0

  constructor(
    private readonly commandsMax = COMMANDS_MAX,
    private readonly unitsMax = TEXT_UNITS_MAX,
  ) {}

  get size(): number {
    return this.started.size
  }

  /** The event itself, or its copy with the statement and decision that it completes. */
  follow(event: Event): Event {
    if (event.command === null) return event
    const key = event.command.toString('latin1')
    if (event.kind === 'command.started') {
      if (event.statement !== null && !this.started.has(key)) {
        this.started.set(key, { statement: event.statement, decision: event.decision })
        this.units += event.statement.text.length
        this.makeRoom()
      }
      return event
    }
    if (event.kind !== 'command.completed') return event
    const known = this.started.get(key)
    if (known === undefined) return event
    // A portal that was suspended goes on.
    if (event.response?.status !== 'suspended') this.forget(key)
    if (event.statement !== null) return event
    return { ...event, statement: known.statement, decision: event.decision ?? known.decision }
  }

  private makeRoom(): void {
    while (
      this.started.size > this.commandsMax ||
      (this.units > this.unitsMax && this.started.size > 0)
    ) {
      this.forget(this.started.keys().next().value!)
      this.forgotten++
    }
  }

  private forget(key: string): void {
    this.units -= this.started.get(key)!.statement.text.length
    this.started.delete(key)
  }
}
