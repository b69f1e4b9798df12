/**
 * How often an alert is said. The same about the same is said once in a window, and how often it came when the window is
 * over; more than so many in a minute become one that counts them by kind. Nothing is left out silently. What it remembers
 * can be kept, so that a restart neither repeats nor forgets. Refuses to remember more than a bound: the oldest is told then.
 */
import { newUuid, uuidText } from '@custody/schemas'
import type { Severity } from '../formats'
import type { Alert } from './alert'

export interface LimiterOptions {
  repeatMs: number
  perMinuteMax: number
}

interface Window {
  untilMs: number
  first: Pick<Alert, 'kind' | 'title' | 'severity' | 'key' | 'url'>
  more: number
  lastMicros: number
}

export interface LimiterState {
  windows: [key: string, Window][]
  minute: { at: number; said: number; over: Record<string, number>; severity: Severity }
}

const WINDOWS_MAX = 10_000
const MINUTE_MS = 60_000
const RANK: Record<Severity, number> = { informational: 0, low: 1, medium: 2, high: 3, critical: 4 }

export class Limiter {
  private readonly windows: Map<string, Window>
  private minute: LimiterState['minute']

  constructor(
    private readonly o: LimiterOptions,
    state?: LimiterState,
  ) {
    this.windows = new Map(state?.windows ?? [])
    this.minute = state?.minute ?? { at: 0, said: 0, over: {}, severity: 'informational' }
  }

  state(): LimiterState {
    return { windows: [...this.windows], minute: this.minute }
  }

  /** Whether it is said now; otherwise it is counted. */
  admit(alert: Alert, nowMs: number): boolean {
    const window = this.windows.get(alert.key)
    if (window && nowMs < window.untilMs) {
      window.more++
      window.lastMicros = alert.timeMicros
      return false
    }
    // One that is over and not told yet goes on: its count is told with the next.
    const { kind, title, severity, key, url } = alert
    if (this.o.repeatMs > 0)
      this.windows.set(key, {
        untilMs: nowMs + this.o.repeatMs,
        first: { kind, title, severity, key, url },
        more: window?.more ?? 0,
        lastMicros: alert.timeMicros,
      })
    return this.fits(kind, severity, nowMs)
  }

  /** What is to be said of what was not said. */
  due(nowMs: number): Alert[] {
    const alerts: Alert[] = []
    for (const [key, { untilMs, first, more, lastMicros }] of this.windows) {
      if (nowMs < untilMs && this.windows.size <= WINDOWS_MAX) continue
      this.windows.delete(key)
      if (more > 0 && this.fits(first.kind, first.severity, nowMs, more))
        alerts.push({
          ...first,
          ...{ id: uuidText(newUuid()), kind: 'count', timeMicros: lastMicros, statement: null },
          title: `${more} more: ${first.title}`,
          facts: [
            ['Repeated', `${more} more within ${Math.round(this.o.repeatMs / 1000)} s`],
            ['Last', new Date(Math.floor(lastMicros / 1000)).toISOString()],
          ],
        })
    }
    const { at, over, severity } = this.minute
    const count = Object.values(over).reduce((sum, one) => sum + one, 0)
    if (count > 0 && Math.floor(nowMs / MINUTE_MS) !== at) {
      this.minute = {
        at: Math.floor(nowMs / MINUTE_MS),
        said: 1,
        over: {},
        severity: 'informational',
      }
      alerts.push({
        ...{ id: uuidText(newUuid()), kind: 'count', key: 'over', statement: null, url: null },
        title: `${count} alerts were not sent one by one`,
        severity,
        timeMicros: nowMs * 1000,
        facts: [
          ['Limit', `${this.o.perMinuteMax} a minute`],
          ...Object.entries(over).map(([kind, n]): [string, string] => [kind, String(n)]),
        ],
      })
    }
    return alerts
  }

  /** `counts`: how many it stands for, where there is no room for it. */
  private fits(kind: Alert['kind'], severity: Severity, nowMs: number, counts = 1): boolean {
    const at = Math.floor(nowMs / MINUTE_MS)
    const { minute } = this
    // What is over of the minute before is told by `due`; until then it counts on.
    if (minute.at !== at && Object.keys(minute.over).length === 0)
      this.minute = { at, said: 0, over: {}, severity: 'informational' }
    if (this.minute.at === at && this.minute.said < this.o.perMinuteMax) {
      this.minute.said++
      return true
    }
    this.minute.over[kind] = (this.minute.over[kind] ?? 0) + counts
    if (RANK[severity] > RANK[this.minute.severity]) this.minute.severity = severity
    return false
  }
}
