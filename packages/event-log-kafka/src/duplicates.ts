/**
 * Tells duplicates in a partition: there a recorder's sequences only rise, so what does not rise was there before.
 * A recorder whose log was begun anew counts from 0 again, but later than anything seen of it: that is none. Its clock may
 * have been put back meanwhile, so the latest time counts and not that of the last event. Pure.
 */
import type { Envelope } from '@custody/schemas'
import type { SeenRecorder } from './commit-metadata'

export class Duplicates {
  /** By recorder, the one seen last at the end: its highest sequence, and the latest time up to there. */
  private readonly seen = new Map<string, { sequence: number; micros: number }>()

  constructor(known: readonly SeenRecorder[] = []) {
    for (const { recorder, sequence, micros } of [...known].reverse())
      this.seen.set(recorder, { sequence, micros })
  }

  /** Whether it was there before; notes it otherwise. */
  isDuplicate({ recorder, sequence, time }: Envelope): boolean {
    const last = this.seen.get(recorder)
    let micros = time
    if (last) {
      if (sequence > last.sequence) micros = Math.max(last.micros, time)
      else if (time <= last.micros) return true
      this.seen.delete(recorder)
    }
    this.seen.set(recorder, { sequence, micros })
    return false
  }

  /** Those seen last come first. */
  known(): SeenRecorder[] {
    return [...this.seen].reverse().map(([recorder, last]) => ({ recorder, ...last }))
  }
}
