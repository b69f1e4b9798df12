/**
 * What a command without a terminal says and is told, on its way through one channel: recorded, and where the resource masks,
 * masked as text in the record and, towards the client, in what goes on. What is sent to the target is never changed.
 * Refuses to touch what the command line, or the stream itself, says is no text.
 */
import type { SessionRules } from '@custody/masking'
import { nowMicros } from '@custody/schemas'
import { createTextMasker, type Released, type TextMasker } from '@custody/terminal'
import { type FoundMask, FoundMasks } from './found-masks'
import type { CommandOutput } from './output'

export interface PlainLaneParts {
  output: CommandOutput
  /** Null where nothing is masked. */
  rules: SessionRules | null
  /** Detectors whose finds are shown to the client, and so in the record of what it got. */
  shown: ReadonlySet<string>
  /** Its output and input are a protocol's: recorded as they are, but for what it says of errors. */
  isProtocol: boolean
  toTarget(bytes: Buffer): void
  toClient(bytes: Buffer, isError: boolean): void
}

/** One direction that is masked. */
class Side {
  private timer: NodeJS.Timeout | null = null

  constructor(
    readonly masker: TextMasker,
    private readonly release: (released: Released) => void,
  ) {}

  push(bytes: Buffer): void {
    this.release(this.masker.push(bytes, nowMicros()))
    this.schedule()
  }

  end(): void {
    if (this.timer) clearTimeout(this.timer)
    this.timer = null
    this.release(this.masker.end())
  }

  private schedule(): void {
    const due = this.masker.dueMicros
    if (due === null || this.timer) return
    this.timer = setTimeout(
      () => {
        this.timer = null
        const now = nowMicros()
        if ((this.masker.dueMicros ?? Infinity) <= now) this.release(this.masker.flush(now))
        this.schedule()
      },
      Math.max(1, (due - nowMicros()) / 1000),
    )
  }
}

export class PlainLane {
  private readonly masks: FoundMasks
  private readonly output: Side | null
  private readonly error: Side | null
  private readonly input: Side | null

  constructor(private readonly parts: PlainLaneParts) {
    const { rules, isProtocol, shown } = parts
    this.masks = new FoundMasks(rules)
    const masked = (sees: ReadonlySet<string>, release: (released: Released) => void) =>
      rules?.looksIntoText
        ? new Side(
            createTextMasker(
              sees.size > 0 ? rules.showing(sees) : rules,
              this.masks.counting(sees),
            ),
            release,
          )
        : null
    this.output = isProtocol ? null : masked(shown, (released) => this.say(released.shown, false))
    this.error = masked(shown, (released) => this.say(released.shown, true))
    // What it sends is recorded, and shown to nobody here.
    this.input = isProtocol
      ? null
      : masked(new Set(), (released) => this.tell(released.raw, released.shown))
  }

  // ── from the client ──────────────────────────────────────────────────────────────────────────────────────────

  in(bytes: Buffer): void {
    const { output, toTarget } = this.parts
    const secret = output.secretBytes(bytes)
    if (secret > 0) {
      // Behind what was told before it.
      this.input?.end()
      output.withhold(secret)
      toTarget(bytes.subarray(0, secret))
    }
    const rest = bytes.subarray(secret)
    if (rest.length === 0) return
    if (this.input === null) this.tell(rest, rest)
    else this.input.push(rest)
  }

  /** Nothing more is said to it. */
  endInput(): void {
    this.input?.end()
  }

  private tell(raw: Buffer, kept: Buffer): void {
    if (raw.length === 0) return
    this.parts.output.in(raw, kept)
    this.parts.toTarget(raw)
  }

  // ── from the target ──────────────────────────────────────────────────────────────────────────────────────────

  out(bytes: Buffer, isError: boolean): void {
    this.parts.output.asked(bytes)
    const side = isError ? this.error : this.output
    if (side === null) this.say(bytes, isError)
    else side.push(bytes)
  }

  /** No more is said: what was held back goes on. */
  endOutput(): void {
    this.output?.end()
    this.error?.end()
  }

  private say(bytes: Buffer, isError: boolean): void {
    if (bytes.length === 0) return
    this.parts.output.out(isError ? 'error' : 'output', bytes)
    this.parts.toClient(bytes, isError)
  }

  end(): void {
    this.endInput()
    this.endOutput()
  }

  get found(): FoundMask[] {
    return this.masks.found
  }
}
