/** What detectors found in one command's streams, and what became of it, for its end. Never the values. */
import type { SessionRules } from '@custody/masking'
import { DETECTOR_RULE } from '../../masks'

export interface FoundMask {
  rule: string
  detector: string
  action: string
  count: number
}

export class FoundMasks {
  private readonly masks = new Map<string, FoundMask>()

  constructor(private readonly rules: SessionRules | null) {}

  /** For one stream. `shown`: detectors whose finds stay in it as they are. */
  counting(shown: ReadonlySet<string>): { add(detector: string): void } {
    return {
      add: (detector) =>
        this.add(
          detector,
          shown.has(detector) ? 'reveal' : (this.rules?.detectorAction ?? 'redact'),
        ),
    }
  }

  private add(detector: string, action: string): void {
    const key = `${action}\0${detector}`
    const known = this.masks.get(key)
    if (known) known.count++
    else this.masks.set(key, { rule: DETECTOR_RULE, detector, action, count: 1 })
  }

  get found(): FoundMask[] {
    return [...this.masks.values()]
  }
}
