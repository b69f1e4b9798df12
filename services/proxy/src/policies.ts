/**
 * The policies in force: read at the start, looked at every second, replaced as a whole when their files change.
 * Refuses to start without a good set where one is configured, and to give up a good set for a broken one.
 */
import { statSync } from 'node:fs'
import type { Recorder } from '@custody/event-log'
import { type Configuration, isCustodyError, type Logger } from '@custody/kit'
import { configuredFiles, loadConfigured, type PolicySet } from '@custody/policy'
import { statementTexts } from '@custody/postgres-sql'
import type { PolicyStore } from './gate'

const LOOK_MS = 1000

export class Policies implements PolicyStore {
  current: PolicySet | null = null
  readonly timeZone: string
  /** Why the files as they are now are not in force, or null. */
  problem: string | null = null
  private stamp = ''
  private timer: NodeJS.Timeout | null = null

  constructor(
    private readonly settings: Configuration['policy'],
    private readonly recorder: Recorder,
    private readonly logger: Logger,
  ) {
    this.timeZone = settings?.timeZone ?? 'UTC'
  }

  /** Throws CUSTODY-POLICY-001 where the set is not good. */
  start(): void {
    if (!this.settings) return
    this.stamp = this.look()
    this.take(this.load(this.settings))
    this.timer = setInterval(() => this.again(), LOOK_MS)
    this.timer.unref()
  }

  stop(): void {
    if (this.timer) clearInterval(this.timer)
  }

  private again(): void {
    const stamp = this.look()
    if (stamp === this.stamp) return
    this.stamp = stamp
    try {
      const set = this.load(this.settings!)
      // Good again, be it as before: that the problem is over is said as well.
      if (set.version !== this.current?.version || this.problem !== null) this.take(set)
      this.problem = null
    } catch (error) {
      this.problem = error instanceof Error ? error.message : String(error)
      this.logger.error(
        { code: isCustodyError(error) ? error.code : 'CUSTODY-POLICY-001' },
        `the policies were changed and are not good; those from before stay in force: ${this.problem}`,
      )
      this.recorder.record({
        kind: 'configuration.refused',
        configuration: {
          subject: 'policy',
          before: digest(this.current),
          change: JSON.stringify({ problem: this.problem }),
        },
      })
    }
  }

  private take(set: PolicySet): void {
    for (const { source, line, message } of set.warnings)
      this.logger.warn({ source, line }, `policy: ${message}`)
    this.recorder.record({
      kind: 'configuration.changed',
      configuration: {
        subject: 'policy',
        before: digest(this.current),
        after: digest(set),
        change: JSON.stringify({ policies: [...set.policies.keys()] }),
      },
    })
    this.logger.info({ version: set.version, policies: set.policies.size }, 'policies in force')
    this.current = set
  }

  private load(settings: NonNullable<Configuration['policy']>): PolicySet {
    return loadConfigured(settings, statementTexts)
  }

  private look(): string {
    return (this.settings ? configuredFiles(this.settings) : [])
      .map((file) => {
        const stat = statSync(file, { throwIfNoEntry: false })
        return stat ? `${file} ${stat.ino} ${stat.size} ${stat.mtimeMs}` : `${file} -`
      })
      .join('\n')
  }
}

function digest(set: PolicySet | null): Buffer | undefined {
  return set === null ? undefined : Buffer.from(set.version, 'hex')
}
