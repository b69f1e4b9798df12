/**
 * A terminal on its way through one channel: lines that are typed become commands, judged at Enter as far as they can be
 * seen, and what is shown is masked.
 *
 * Advisory: a line is read off a screen that the target draws. What must never run has to be forbidden at the target, or the
 * terminal itself by policy. Refuses to keep keys that were not shown, and to pass on Enter behind a line not let through.
 */
import type { SessionRules } from '@custody/masking'
import type { CommandFacts } from '@custody/policy'
import { nowMicros } from '@custody/schemas'
import { analyseShell } from '@custody/shell'
import {
  createStreamMasker,
  createTerminalRecorder,
  type PendingLine,
  type StreamMasker,
  type TerminalEvent,
  type TerminalRecorder,
} from '@custody/terminal'
import type { SessionGate } from '../../gate'
import type { Commands, Pending, Started, Submitted } from './commands'
import { type FoundMask, FoundMasks } from './found-masks'
import type { CommandOutput } from './output'

/** Longer lines are not read, and not understood. */
const PARSE_BYTES_MAX = 64 * 1024
/** How long Enter waits for what was typed before it to be shown. */
const ECHO_MS_MAX = 250
/** Keys that wait behind one Enter; more, and the client has to wait. */
const WAITING_BYTES_MAX = 64 * 1024
const PROMPT_CHARACTERS_MAX = 200
const ENTER = new Set([0x0d, 0x0a, 0x0f])
const INTERRUPT = Buffer.from('\x03')

export interface TerminalLaneParts {
  commands: Commands
  /** The shell or command that runs in it. */
  command: Started
  output: CommandOutput
  gate: SessionGate
  /** Null where nothing is masked. */
  rules: SessionRules | null
  /** Detectors whose finds are shown, and so in the record of what was. Lines that are typed are recorded without them. */
  shown: ReadonlySet<string>
  size: { columns: number; rows: number }
  /** Keys go on; `isLine`: only once what was recorded of their line is durable. */
  toTarget(bytes: Buffer, line: Started | null): void
  /** What is shown goes on. */
  toClient(bytes: Buffer): void
  /** Tells the person at the terminal. */
  say(lines: string[]): void
  /** No more keys are wanted for now. */
  pauseClient(isPaused: boolean): void
}

export class TerminalLane {
  private readonly recorder: TerminalRecorder
  private readonly masker: StreamMasker | null
  private readonly masks: FoundMasks
  private waiting: Buffer[] = []
  private waitingBytes = 0
  private state: 'open' | 'awaiting' | 'judging' = 'open'
  private timer: NodeJS.Timeout | null = null
  private flushTimer: NodeJS.Timeout | null = null
  private pending: Pending | null = null
  /** Recorded at Enter, before the terminal says how the line looked in the end. */
  private judged: { started: Started; text: string } | null = null
  private running: { started: Started; at: number } | null = null
  private atEnd: (() => void) | null = null
  private isOver = false

  constructor(private readonly parts: TerminalLaneParts) {
    this.recorder = createTerminalRecorder(parts.size)
    const { rules, shown } = parts
    this.masks = new FoundMasks(rules)
    this.masker = rules
      ? createStreamMasker(
          shown.size > 0 ? rules.showing(shown) : rules,
          this.masks.counting(shown),
        )
      : null
  }

  // ── keys ─────────────────────────────────────────────────────────────────────────────────────────────────────

  input(bytes: Buffer): void {
    for (const piece of this.recorder.splitAtEnter(bytes)) {
      this.waiting.push(piece)
      this.waitingBytes += piece.length
    }
    if (this.waitingBytes > WAITING_BYTES_MAX) this.parts.pauseClient(true)
    // Who waits for an approval may think better of it.
    if (this.state === 'judging' && bytes.includes(0x03)) {
      this.pending?.withdraw('its user took it back')
      this.pending = null
      this.waiting = []
      this.waitingBytes = 0
      this.takeBack()
    }
    this.goOn()
  }

  private goOn(): void {
    while (this.state === 'open' && this.waiting.length > 0 && !this.isOver) {
      const piece = this.waiting[0]!
      if (piece.length === 1 && ENTER.has(piece[0]!)) {
        this.atEnter()
        continue
      }
      this.next()
      this.pass(piece, null)
    }
    const { atEnd } = this
    if (atEnd === null || this.state !== 'open' || this.waiting.length > 0) return
    this.atEnd = null
    atEnd()
  }

  /** Nothing more is typed; `end` goes on behind all that was. */
  inputEnds(end: () => void): void {
    this.atEnd = end
    this.goOn()
  }

  private next(): Buffer {
    const piece = this.waiting.shift()!
    const before = this.waitingBytes
    this.waitingBytes -= piece.length
    if (before > WAITING_BYTES_MAX && this.waitingBytes <= WAITING_BYTES_MAX)
      this.parts.pauseClient(false)
    return piece
  }

  private pass(piece: Buffer, line: Started | null): void {
    this.parts.output.typed(piece)
    this.masker?.typed(piece)
    this.parts.toTarget(piece, line)
    this.recorder.input(piece, nowMicros())
    this.tell()
  }

  /** What was typed before may still be on its way to the screen. */
  private atEnter(): void {
    if (!this.recorder.isAwaitingEcho) {
      this.judge()
      return
    }
    this.state = 'awaiting'
    this.timer = setTimeout(() => {
      this.judge()
      this.goOn()
    }, ECHO_MS_MAX)
  }

  private judge(): void {
    this.clearTimer()
    this.state = 'judging'
    const line = this.recorder.pendingLine()
    if (line === null) {
      this.state = 'open'
      this.pass(this.next(), null)
      return
    }
    const { commands, gate } = this.parts
    const submitted = this.submitted(line)
    let isHeld = false
    this.pending = commands.decide(
      gate,
      submitted,
      null,
      (words) => {
        isHeld = true
        this.parts.say(words)
      },
      (ruling) => {
        this.pending = null
        if (this.isOver || this.state !== 'judging') return
        if (ruling.outcome === 'block') {
          commands.blocked(submitted, ruling)
          this.parts.say([`refused: ${ruling.reason}`, `${ruling.code}: see docs/errors.md`])
          this.next()
          this.takeBack()
        } else {
          this.finishRunning(null)
          const started = commands.started(submitted, ruling)
          this.judged = { started, text: line.text }
          this.state = 'open'
          this.pass(this.next(), started)
        }
        this.goOn()
      },
    )
    if (this.state !== 'judging' || !isHeld) this.pending = null
  }

  /** The line is cleared away as its user would do it. */
  private takeBack(): void {
    this.state = 'open'
    this.recorder.discardLine()
    this.parts.toTarget(INTERRUPT, null)
  }

  private submitted(line: PendingLine): Submitted {
    const found = analyseShell(line.text, { parseBytesMax: PARSE_BYTES_MAX, isInteractive: true })
    // The shell will ask for the rest, and it is judged then.
    const facts: CommandFacts = found.incomplete
      ? { ...found, verbs: found.verbs.filter((verb) => verb !== 'shell:unknown') }
      : found
    return this.statementOf(line.text, facts, found.problem, line.inferred, line.prompt)
  }

  private statementOf(
    text: string,
    facts: CommandFacts,
    problem: string | null,
    inferred: boolean,
    prompt: string,
  ): Submitted {
    const { parts } = this
    return {
      facts,
      parent: parts.command.id,
      statement: {
        language: 'shell',
        interface: 'typed',
        text: this.masked(text),
        textBytes: Buffer.byteLength(text),
        fingerprint: facts.fingerprint,
        verbs: [...facts.verbs],
        objects: facts.objects.map((one) => ({ ...one, name: this.masked(one.name) })),
        understood: facts.understood,
        problem,
        attributes: {
          inferred: String(inferred),
          prompt: this.masked(prompt).slice(-PROMPT_CHARACTERS_MAX),
          terminal: parts.command.id.toString('hex'),
          outputOffset: String(parts.output.bytes),
        },
      },
    }
  }

  private masked(text: string): string {
    const { rules } = this.parts
    return rules?.maskText(Buffer.from(text), { add: () => {} })?.toString('utf8') ?? text
  }

  // ── what is shown ────────────────────────────────────────────────────────────────────────────────────────────

  /** From the target. What may go on goes on, once it is recorded. */
  shown(bytes: Buffer): void {
    this.release(this.masker === null ? bytes : this.masker.push(bytes, nowMicros()))
    this.scheduleFlush()
    if (this.state === 'awaiting' && !this.recorder.isAwaitingEcho) {
      this.judge()
      this.goOn()
    }
  }

  private release(bytes: Buffer): void {
    if (bytes.length === 0) return
    this.parts.output.out('terminal', bytes)
    this.recorder.output(bytes, nowMicros())
    this.tell()
    this.parts.toClient(bytes)
  }

  private scheduleFlush(): void {
    const due = this.masker?.dueMicros ?? null
    if (due === null || this.flushTimer) return
    this.flushTimer = setTimeout(
      () => {
        this.flushTimer = null
        if (this.isOver) return
        const now = nowMicros()
        if ((this.masker!.dueMicros ?? Infinity) <= now) this.release(this.masker!.flush(now))
        this.scheduleFlush()
      },
      Math.max(1, (due - nowMicros()) / 1000),
    )
  }

  /** Nothing runs that anybody began, as far as can be seen: the shell waits for a line. */
  get isAtPrompt(): boolean {
    return !this.isOver && this.state === 'open' && this.recorder.isAtPrompt
  }

  get heldBytes(): number {
    return this.masker?.heldBytes ?? 0
  }

  resize(columns: number, rows: number): void {
    this.recorder.resize(columns, rows, nowMicros())
  }

  // ── the record ───────────────────────────────────────────────────────────────────────────────────────────────

  private tell(): void {
    const events = this.recorder.take()
    if (events.length === 0) return
    // Keys that made a line in which something was found are not kept: the line is, masked.
    const isMasked = events.some(
      (event) => event.kind === 'line' && this.masked(event.text) !== event.text,
    )
    for (const event of events) this.record(event, isMasked)
  }

  private record(event: TerminalEvent, isMasked: boolean): void {
    const { commands, command, output } = this.parts
    switch (event.kind) {
      case 'input':
        if (!isMasked) output.seen(event.data, event.at)
        return
      case 'hidden':
        commands.recorder.record(
          {
            kind: 'terminal.hidden',
            command: command.id,
            lifecycle: {
              state: 'changed',
              reason: 'something was typed that was not shown',
              attributes: { prompt: this.masked(event.prompt).slice(-PROMPT_CHARACTERS_MAX) },
            },
          },
          commands.session,
        )
        return
      case 'line': {
        const { judged } = this
        this.judged = null
        let started = judged?.started ?? null
        if (started === null || judged!.text !== event.text) {
          // It turned out to be another line than the one that was asked about, or nothing was to be seen then.
          const found = analyseShell(event.text, {
            parseBytesMax: PARSE_BYTES_MAX,
            isInteractive: true,
          })
          const seen = this.statementOf(
            event.text,
            found,
            found.problem,
            event.inferred,
            event.prompt,
          )
          if (started === null) {
            this.finishRunning(null)
            started = commands.startedUnasked(seen)
          } else
            commands.recorder.record(
              { kind: 'terminal.line', command: started.id, statement: seen.statement },
              commands.session,
            )
        }
        this.running = { started, at: event.outputStart }
        return
      }
      case 'end':
        this.finishRunning(event)
    }
  }

  private finishRunning(end: Extract<TerminalEvent, { kind: 'end' }> | null): void {
    const { running } = this
    if (!running) return
    this.running = null
    const status = end?.exitStatus ?? null
    this.parts.commands.completed(running.started, {
      status: status === null || status === 0 ? 'ok' : 'error',
      code: status === null ? null : String(status),
      message: status === null ? 'how it ended was not to be seen' : null,
      bytes: end === null ? 0 : Math.max(0, end.outputEnd - running.at),
    })
  }

  get found(): FoundMask[] {
    return this.masks.found
  }

  /** No more is shown: what was held back goes on. */
  endOutput(): void {
    if (this.masker) this.release(this.masker.end())
  }

  end(): void {
    if (this.isOver) return
    this.endOutput()
    this.isOver = true
    this.pending?.withdraw('the terminal is over')
    this.clearTimer()
    if (this.flushTimer) clearTimeout(this.flushTimer)
    this.recorder.end(nowMicros())
    this.tell()
    if (this.judged) this.running ??= { started: this.judged.started, at: 0 }
    this.finishRunning(null)
  }

  private clearTimer(): void {
    if (this.timer) clearTimeout(this.timer)
    this.timer = null
  }
}
