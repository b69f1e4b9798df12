/**
 * Delivery to one destination: at least once, in the order of each origin, one batch under way at a time.
 *   read → decode → route → format → deliver → acknowledged → remembered → position committed → receipt
 * The position in the log moves only behind what was acknowledged or put aside. Memory holds two slices, whatever waits: the
 * log is the queue. Refuses to drop, to go on behind a batch that was not acknowledged, and to put everything aside because
 * a destination refuses everything.
 */
import { hash } from 'node:crypto'
import { isCustodyError, type Logger, PerMinute } from '@custody/kit'
import { ID_OFFSET, nowMicros } from '@custody/schemas'
import type { Letter, ReceiptRange, Request, State, StateFiles } from '@custody/siem-state'
import type { Detected } from '../alerts/detector'
import { type Batch, type Destination, type Outgoing, Undelivered } from './destination'
import { learnSchemas, type Step, stepOf, type Writer } from './prepare'
import type { Route } from './routing'
import type { EventSource, Lag, Loss, Slice } from './source'

export interface DeliveryOptions {
  destination: Destination
  source: EventSource
  files: StateFiles
  state: State
  route: Route
  writer: Writer
  batch: { eventsMax: number; bytesMax: number; lingerMs: number }
  /** Resolves when it is in the log. */
  record(fact: Fact): Promise<void>
  receiptsMs: number
  logger: Logger
  retryMsMin: number
  /** Records that no event of this moment is behind, such as an alert's count. */
  extra?(): Outgoing[]
  /** What is kept of that. */
  extraState?(): unknown
  /** Learns from an event that was dealt with elsewhere. */
  learn?(message: Buffer): void
  /** What has been learnt from the events so far, kept with their place; asked for behind each slice. */
  learnt?(): unknown
  /** What somebody asked for; the result is told to them. */
  serve?(request: Request, delivery: Delivery): Promise<Record<string, unknown>>
}

/** What a destination's delivery has to say for the record. */
export type Fact =
  | { type: 'acknowledged'; ranges: ReceiptRange[]; acknowledges: Destination['acknowledges'] }
  | { type: 'lost'; origin: string; from: number; to: number }
  | { type: 'put-aside'; id: string; code: string; reason: string }
  | { type: 'detected'; detected: Detected }
  | { type: 'asked'; by: string; what: string; detail: Record<string, unknown> }

export interface DeliveryStatus {
  counts: State['counts']
  problem: { code: string; message: string; sinceMs: number } | null
  lastAcknowledgedMs: number | null
  lastTimeMicros: number | null
  inFlight: number
  lag: Lag[]
  deadLetters: number
  ranges: ReceiptRange[]
  /** In use by its thread, where it has one; some of it nobody needs any more. */
  heapBytes?: number
}

const POLL_MS = 100
const TEND_MS = 1000
const PAUSE_MS = 500
const RETRY_MS_MAX = 60_000
/** Nothing gets better soon where a setting is wrong. */
const SETTING_FACTOR = 20
const RETRY_AFTER_MS_MAX = 15 * 60_000
/** A record that is refused while no other is taken is tried so often before it counts as the one that is wrong. */
const ALONE_TRIES = 4
/** So many in a row without one that was taken: then it is not the records. */
const ALONE_LETTERS_MAX = 100
const STOP_MS_MAX = 5000
/** Events that each say that one was put aside, per minute; receipts count all. */
const LETTERS_TOLD_MAX = 20
const DIGEST_BYTES = 32
const ID_BYTES = 16
const NO_DIGEST = '0'.repeat(2 * DIGEST_BYTES)
const COUNTED = ['before', 'filtered', 'sampled'] as const

interface Prepared {
  slice: Slice
  steps: Step[]
  /** Of these so many are dealt with. */
  at: number
  isLossTold: boolean
  learnt: unknown
}

type Taken = Extract<Step, { take: Outgoing }>

interface Suspect {
  step: Taken
  code: string
  reason: string
}

export class Delivery {
  private readonly state: State
  private readonly abort = new AbortController()
  private readonly wakes = new Set<() => void>()
  private stopping = false
  private running: Promise<void> | null = null
  private problem: DeliveryStatus['problem'] = null
  private lastAcknowledgedMs: number | null = null
  private lastTimeMicros: number | null = null
  private inFlight = 0
  private lag: Lag[] = []
  /** Handed out by the source, which does so once, and not prepared yet. */
  private fetched: Slice | null = null
  /** The state is further than what is on disk. */
  private isUnsaved = false
  private isServing = false
  private lastSliceAt = 0
  /** Origins that had a turn since the last wait. */
  private readonly round = new Set<string>()
  private lettersInARow = 0
  private readonly lettersTold = new PerMinute(LETTERS_TOLD_MAX)
  private receipting: Promise<void> = Promise.resolve()
  private readonly said: ReceiptRange[] = []

  constructor(private readonly o: DeliveryOptions) {
    this.state = o.state
  }

  get destination(): Destination {
    return this.o.destination
  }

  get source(): EventSource {
    return this.o.source
  }

  get files(): StateFiles {
    return this.o.files
  }

  start(): void {
    this.running ??= this.run()
  }

  /** What is under way may still be acknowledged; what is not by then is sent once more at the next start. */
  async stop(msMax = STOP_MS_MAX): Promise<void> {
    this.stopping = true
    for (const wake of this.wakes) wake()
    const timer = setTimeout(() => this.abort.abort(), msMax)
    await this.running
    clearTimeout(timer)
    await this.receipt(true)
    await this.o.source.stop()
    await this.o.destination.close()
  }

  status(): DeliveryStatus {
    return {
      counts: { ...this.state.counts },
      problem: this.problem,
      lastAcknowledgedMs: this.lastAcknowledgedMs,
      lastTimeMicros: this.lastTimeMicros,
      inFlight: this.inFlight,
      lag: this.lag,
      deadLetters: this.o.files.letterCount,
      ranges: [...this.said, ...Object.values(this.state.unreceipted)].slice(-50),
    }
  }

  private async run(): Promise<void> {
    const { source, logger } = this.o
    const tending = this.tend()
    let isStarted = false
    let ahead: Promise<Prepared | null> | null = null
    /** Under way; after a failure of our own it is taken up where it was. */
    let current: Prepared | null = null
    while (!this.stopping) {
      try {
        if (!isStarted) await source.start()
        isStarted = true
        await this.serve()
        // Not within a slice: what is kept of them is as it is behind it.
        const extra = current === null ? (this.o.extra?.() ?? []) : []
        if (extra.length > 0) {
          await this.deliverAll(extra.map((take) => stepFor(take)))
          this.state.alerts = this.o.extraState?.()
          this.save()
        }
        if (current === null) {
          const made: Promise<Prepared | null> = ahead ?? this.prepareNext()
          ahead = null
          current = await made
        }
        if (current === null) {
          await this.pause(POLL_MS)
          continue
        }
        // While this one is on its way the next one is made, unless what making it tells would be kept with this one's place.
        if (current.slice.full && ahead === null && !this.o.extraState) {
          ahead = this.prepareNext()
          ahead.catch(() => {})
        }
        await this.deliverSlice(current)
        current = null
      } catch (error) {
        if (this.stopping) break
        logger.error(
          { err: error, destination: this.o.destination.name },
          'delivery goes on in a moment',
        )
        this.trouble(error)
        await this.pause(PAUSE_MS)
      }
    }
    for (const wake of this.wakes) wake()
    await ahead?.catch(() => null)
    await tending
  }

  private async tend(): Promise<void> {
    while (!this.stopping) {
      try {
        await this.o.source.tend()
        await this.tellLetGo()
        this.lag = await this.o.source.lag()
        await this.receipt(false)
      } catch (error) {
        this.o.logger.warn({ err: error, destination: this.o.destination.name }, 'tending')
      }
      await this.pause(TEND_MS)
    }
  }

  private async prepareNext(): Promise<Prepared | null> {
    const wait = this.lastSliceAt + this.o.batch.lingerMs - performance.now()
    if (wait > 0) {
      await this.pause(Math.min(wait, POLL_MS))
      if (wait > POLL_MS) return null
    }
    this.fetched ??= await this.o.source.next()
    const slice = this.fetched
    if (slice === null) return null
    await learnSchemas(slice.messages, (fingerprint) => this.o.source.schema(fingerprint))
    if (slice.isPast) {
      for (const message of slice.messages) this.o.learn?.(message)
      this.fetched = null
      return this.prepareNext()
    }
    this.fetched = null
    // Each origin once before what comes next is waited for: many partitions with little in each must not take turns at waiting.
    const isRoundOver = this.round.has(slice.origin)
    if (isRoundOver) this.round.clear()
    this.round.add(slice.origin)
    if (slice.full) this.lastSliceAt = Number.NEGATIVE_INFINITY
    else if (isRoundOver) this.lastSliceAt = performance.now()
    const known = this.state.progress[slice.origin]
    const from = known && known.base === slice.base ? known.next : Number.NEGATIVE_INFINITY
    const steps: Step[] = []
    for (let i = 0; i < slice.messages.length; i++) {
      const place = slice.places[i]!
      if (place < from) continue
      steps.push(stepOf(slice.messages[i]!, place, this.o.route, this.o.writer))
    }
    return { slice, steps, at: 0, isLossTold: false, learnt: this.o.learnt?.() }
  }

  private async deliverSlice(prepared: Prepared): Promise<void> {
    const { slice, steps, learnt } = prepared
    if (!prepared.isLossTold) await this.tellLoss(slice)
    prepared.isLossTold = true
    const { eventsMax, bytesMax } = this.limits()
    while (prepared.at < steps.length) {
      const { at } = prepared
      let to = at
      let events = 0
      let bytes = 0
      for (; to < steps.length; to++) {
        const step = steps[to]!
        if (!('take' in step)) continue
        if (events > 0 && (events >= eventsMax || bytes + step.take.bytes > bytesMax)) break
        events++
        bytes += step.take.bytes
      }
      const part = steps.slice(at, to)
      const taken = part.filter((step): step is Taken => 'take' in step)
      const aside = taken.length > 0 ? await this.deliverAll(taken) : new Set<Step>()
      for (const step of part) if ('letter' in step) await this.letter(step.letter)
      const isWhole = to === steps.length
      this.remember(slice, part, aside, {
        next: isWhole ? slice.next : steps[to]!.place,
        isWhole,
        learnt,
      })
      prepared.at = to
      this.save()
    }
    // What was acknowledged is not sent again because a disk is full: it is only told once more.
    if (this.isUnsaved) this.save()
    if (!(await this.o.source.commit(slice)))
      this.o.logger.info({ origin: slice.origin }, 'somebody else has these events by now')
  }

  private limits() {
    const { batch, destination } = this.o
    const { limits, together = 1 } = destination
    return {
      eventsMax:
        together * Math.min(batch.eventsMax, limits?.eventsMax ?? Number.POSITIVE_INFINITY),
      bytesMax: together * Math.min(batch.bytesMax, limits?.bytesMax ?? Number.POSITIVE_INFINITY),
    }
  }

  /** All of it acknowledged or put aside; answers what was put aside. Comes back early only when delivery is being stopped. */
  private async deliverAll(steps: readonly Taken[]): Promise<Set<Step>> {
    const aside = new Set<Step>()
    const recordBytesMax = this.o.destination.limits?.recordBytesMax
    let left = steps
    if (recordBytesMax !== undefined) {
      const large = steps.filter(({ take }) => take.bytes > recordBytesMax)
      for (const step of large) {
        const reason = `its record has ${step.take.bytes} bytes, at most ${recordBytesMax} are taken`
        await this.letter(
          { id: step.take.id, message: step.message, code: 'CUSTODY-SIEM-003', reason },
          step.take.kind,
        )
        aside.add(step)
      }
      if (large.length > 0) left = steps.filter((step) => !aside.has(step))
    }
    for (let tries = 1; left.length > 0; tries++) {
      const suspects: Suspect[] = []
      const accepted = await this.attempt(left, suspects)
      if (accepted > 0) this.lettersInARow = 0
      const alone = accepted === 0 && suspects.length > 0
      if (
        alone &&
        (tries < ALONE_TRIES || left.length > 1 || this.lettersInARow >= ALONE_LETTERS_MAX)
      ) {
        // Either this one is wrong, or the destination takes nothing at all: not one is put aside before that is clear.
        this.trouble(
          new Undelivered(
            `everything is refused: ${suspects[0]!.reason}`,
            left.length > 1 || tries >= ALONE_TRIES ? 'setting' : 'refused',
          ),
        )
        this.state.counts.retries++
        await this.wait(tries, left.length > 1 ? 'setting' : 'retry')
        if (this.stopping) throw stopped()
        continue
      }
      for (const { step, code, reason } of suspects) {
        await this.letter({ id: step.take.id, message: step.message, code, reason }, step.take.kind)
        aside.add(step)
        this.lettersInARow++
      }
      break
    }
    return aside
  }

  /** Until each is acknowledged or refused; how many were acknowledged. */
  private async attempt(steps: readonly Taken[], suspects: Suspect[]): Promise<number> {
    const { destination } = this.o
    let left = steps
    let accepted = 0
    for (let attempt = 1; left.length > 0; attempt++) {
      // What is under way may end well; nothing is begun anew.
      if (this.abort.signal.aborted || (this.stopping && attempt > 1)) throw stopped()
      const batch: Batch = {
        records: left.map(({ take }) => take),
        bytes: left.reduce((sum, { take }) => sum + take.bytes, 0),
        attempt,
      }
      try {
        this.inFlight = left.length
        const receipt = await destination.deliver(batch, this.abort.signal)
        const refused = new Set<number>()
        for (const { index, code, reason } of receipt.refused ?? []) {
          refused.add(index)
          suspects.push({ step: left[index]!, code, reason })
        }
        const again = receipt.again?.indices ?? []
        const more = left.length - refused.size - again.length
        accepted += more
        if (more > 0) this.acknowledged(left, refused, again)
        if (again.length === 0) {
          this.fine()
          return accepted
        }
        this.trouble(new Undelivered(receipt.again!.reason, 'retry'))
        left = again.map((index) => left[index]!)
        // Some of it went through: that is no attempt of these.
        if (more > 0) attempt = 1
        await this.wait(attempt, 'retry', receipt.again!.afterMs)
      } catch (error) {
        if (this.stopping && this.abort.signal.aborted) throw error
        const fault = error instanceof Undelivered ? error.fault : 'retry'
        if (fault === 'too-large' || fault === 'refused') {
          if (left.length === 1) {
            const code = isCustodyError(error) ? error.code : 'CUSTODY-SIEM-003'
            suspects.push({ step: left[0]!, code, reason: (error as Error).message })
            return accepted
          }
          const middle = Math.ceil(left.length / 2)
          accepted += await this.attempt(left.slice(0, middle), suspects)
          return accepted + (await this.attempt(left.slice(middle), suspects))
        }
        this.trouble(error)
        this.state.counts.retries++
        await this.wait(attempt, fault, error instanceof Undelivered ? error.afterMs : undefined)
      } finally {
        this.inFlight = 0
      }
    }
    return accepted
  }

  private acknowledged(
    steps: readonly Taken[],
    refused: ReadonlySet<number>,
    again: readonly number[],
  ) {
    const out = again.length === 0 ? refused : new Set([...refused, ...again])
    const { counts } = this.state
    for (let i = 0; i < steps.length; i++) {
      if (out.has(i)) continue
      const { bytes, timeMicros } = steps[i]!.take
      counts.acknowledged++
      counts.bytes += bytes
      this.lastTimeMicros = timeMicros
    }
    counts.batches++
    this.lastAcknowledgedMs = Date.now()
  }

  /** Jitter keeps many gateways from coming back at once. */
  private wait(attempt: number, fault: string, afterMs?: number): Promise<void> {
    const base = this.o.retryMsMin * (fault === 'setting' ? SETTING_FACTOR : 1)
    const backoff = Math.min(RETRY_MS_MAX, base * 2 ** Math.min(16, attempt - 1))
    const jittered = backoff * (0.5 + Math.random() / 2)
    const asked = Math.min(RETRY_AFTER_MS_MAX, afterMs ?? 0)
    return this.pause(Math.max(jittered, asked > 0 ? asked * (1 + Math.random() / 10) : 0))
  }

  /** What of a slice is dealt with; a restart goes on behind it. */
  private remember(
    slice: Slice,
    steps: readonly Step[],
    aside: ReadonlySet<Step>,
    { next, isWhole, learnt }: { next: number; isWhole: boolean; learnt: unknown },
  ): void {
    const { state } = this
    const range = state.unreceipted[slice.origin] ?? {
      origin: slice.origin,
      from: steps[0]?.place ?? next,
      to: next,
      acknowledged: 0,
      deadLettered: 0,
      before: 0,
      filtered: 0,
      sampled: 0,
      digest: NO_DIGEST,
    }
    state.unreceipted[slice.origin] = range
    range.to = next
    // The digest so far, and behind it the identifier that is next.
    const chained = Buffer.alloc(DIGEST_BYTES + ID_BYTES)
    chained.write(range.digest, 0, 'hex')
    let isNews = false
    for (const step of steps) {
      if ('take' in step) {
        if (aside.has(step)) range.deadLettered++
        else {
          range.acknowledged++
          step.message.copy(chained, DIGEST_BYTES, ID_OFFSET, ID_OFFSET + ID_BYTES)
          chained.write(hash('sha256', chained, 'latin1' as 'hex'), 0, 'latin1')
        }
        if (!step.isReceipt) isNews = true
      } else if ('leftOut' in step) {
        range[step.leftOut]++
        state.counts[step.leftOut]++
      } else range.deadLettered++
    }
    range.digest = chained.toString('hex', 0, DIGEST_BYTES)
    // A receipt that only told of receipts would never end.
    if (isNews) state.unreceiptedSinceMs ??= Date.now()
    // What was learnt is of the whole slice; a place within it would leave out what was learnt up to there.
    if (isWhole || !(this.o.learnt || this.o.extraState)) {
      state.progress[slice.origin] = { base: slice.base, next }
      if (this.o.learnt) state.windows = learnt
      if (this.o.extraState) state.alerts = this.o.extraState()
    }
  }

  private save(): void {
    this.isUnsaved = true
    this.o.files.save(this.state)
    this.isUnsaved = false
  }

  /** Says what was acknowledged since it was last said: at most once in so long, and not about receipts alone. */
  private receipt(isLast: boolean): Promise<void> {
    this.receipting = this.receipting.then(async () => {
      const { state } = this
      const since = state.unreceiptedSinceMs
      if (since === null || (!isLast && Date.now() - since < this.o.receiptsMs)) return
      const ranges = Object.values(state.unreceipted)
      state.unreceipted = {}
      state.unreceiptedSinceMs = null
      try {
        await this.o.record({
          type: 'acknowledged',
          ranges,
          acknowledges: this.o.destination.acknowledges,
        })
      } catch (error) {
        // The log takes nothing just now: it is said later, together with what came since.
        for (const range of ranges) mergeBefore(state, range)
        state.unreceiptedSinceMs = Date.now()
        this.o.logger.warn({ err: error }, 'a receipt can’t be recorded now')
        return
      }
      this.said.push(...ranges)
      if (this.said.length > 50) this.said.splice(0, this.said.length - 50)
      try {
        this.save()
      } catch (error) {
        this.o.logger.warn({ err: error }, 'what was said in a receipt can’t be noted now')
      }
    })
    return this.receipting
  }

  /** What is missing before a slice, but for what was told when it was let go. */
  private async tellLoss(slice: Slice): Promise<void> {
    const { origin } = slice
    const known = this.state.progress[origin]
    const first = slice.places[0]
    const lost =
      slice.lost ??
      (slice.gapless && known !== undefined && first !== undefined && first > known.next
        ? { from: known.next, to: first }
        : undefined)
    if (!lost) return
    const told = this.state.letGo?.[origin] ?? { from: lost.to, to: lost.to }
    await this.lose({ origin, from: lost.from, to: Math.min(lost.to, told.from) })
    await this.lose({ origin, from: Math.max(lost.from, told.to), to: lost.to })
    delete this.state.letGo?.[origin]
  }

  /** What the source let go is told at once, and not when the destination is there again. */
  private async tellLetGo(): Promise<void> {
    const { letGo } = this.o.source
    for (let loss = letGo?.[0]; loss; loss = letGo?.[0]) {
      const { origin, from, to } = loss
      this.state.letGo ??= {}
      const before = this.state.letGo[origin]
      this.state.letGo[origin] = { from: Math.min(from, before?.from ?? from), to }
      await this.lose(loss)
      letGo!.shift()
      this.save()
    }
  }

  private async lose({ origin, from, to }: Loss): Promise<void> {
    if (to <= from) return
    await this.o.record({ type: 'lost', origin, from, to })
    this.state.counts.lost += to - from
    this.o.logger.error(
      { code: 'CUSTODY-SIEM-005', destination: this.o.destination.name, origin, from, to },
      'events were gone before they could be delivered',
    )
  }

  private async letter(
    { id, message, code, reason }: Omit<Letter, 'at'>,
    kind: string | null = null,
  ): Promise<void> {
    const at = new Date().toISOString()
    await this.insist(() => this.o.files.putAside({ id, message, code, reason, at }))
    this.state.counts.deadLettered++
    this.o.logger.error(
      { code, destination: this.o.destination.name, event: id },
      `put aside: ${reason}`,
    )
    // Receipts count all of them; what says that such an event was put aside could go the same way itself, for ever.
    if (kind?.startsWith('siem.') || !this.lettersTold.take()) return
    await this.insist(() => this.o.record({ type: 'put-aside', id, code, reason }))
  }

  /** Until it is done: were it given up, the batch that it is about would be sent again, and again while a disk is full. */
  private async insist(work: () => void | Promise<void>): Promise<void> {
    for (let tries = 1; ; tries++) {
      try {
        return await work()
      } catch (error) {
        this.trouble(error)
        await this.wait(tries, 'retry')
        if (this.stopping) throw error
      }
      // Where there is no room for a letter more, sending some is what makes it.
      await this.serve()
    }
  }

  private async serve(): Promise<void> {
    if (!this.o.serve || this.isServing) return
    const request = this.o.files.asked()
    if (!request) return
    const { id, by, what, ...detail } = request
    this.isServing = true
    try {
      await this.o.record({ type: 'asked', by, what, detail })
      const answer = await this.o.serve!(request, this)
      this.o.files.answer(id, { done: true, ...answer })
    } catch (error) {
      this.o.files.answer(id, { done: true, problem: (error as Error).message })
    } finally {
      this.isServing = false
    }
  }

  /** Whether a destination would get it. */
  wants(message: Buffer, route: Route): boolean {
    return 'take' in stepOf(message, 0, route, this.o.writer)
  }

  /** For what is asked for: delivered as anything else, but positions stay. */
  async deliverMessages(
    messages: readonly Buffer[],
    route: Route,
  ): Promise<{ sent: number; aside: number; leftOut: number }> {
    await learnSchemas(messages, (fingerprint) => this.o.source.schema(fingerprint))
    const steps = messages.map((message) => stepOf(message, 0, route, this.o.writer))
    const { eventsMax, bytesMax } = this.limits()
    let sent = 0
    let aside = 0
    let part: Taken[] = []
    let bytes = 0
    const flush = async () => {
      if (part.length === 0) return
      const put = await this.deliverAll(part)
      aside += put.size
      sent += part.length - put.size
      part = []
      bytes = 0
    }
    for (const step of steps) {
      if ('letter' in step) {
        await this.letter(step.letter)
        aside++
      }
      if (!('take' in step)) continue
      if (part.length >= eventsMax || bytes + step.take.bytes > bytesMax) await flush()
      part.push(step)
      bytes += step.take.bytes
    }
    await flush()
    return { sent, aside, leftOut: steps.length - sent - aside }
  }

  private trouble(error: unknown): void {
    const code = isCustodyError(error) ? error.code : 'CUSTODY-SIEM-001'
    const message = (error as Error).message
    if (this.problem?.message !== message)
      this.o.logger.warn({ code, destination: this.o.destination.name }, message)
    this.problem = { code, message, sinceMs: this.problem?.sinceMs ?? Date.now() }
  }

  private fine(): void {
    if (this.problem)
      this.o.logger.info({ destination: this.o.destination.name }, 'delivering again')
    this.problem = null
  }

  private pause(ms: number): Promise<void> {
    if (this.stopping || ms <= 0) return Promise.resolve()
    return new Promise((resolve) => {
      const wake = () => {
        clearTimeout(timer)
        this.wakes.delete(wake)
        resolve()
      }
      const timer = setTimeout(wake, ms)
      this.wakes.add(wake)
    })
  }
}

function stopped(): Error {
  return new Error('delivery is being stopped')
}

function stepFor(take: Outgoing): Taken {
  return { place: 0, take, message: Buffer.alloc(0), isReceipt: false }
}

/** Puts a range back that could not be said, beside what came since. */
function mergeBefore(state: State, range: ReceiptRange): void {
  // Digests of two ranges do not add up: it stays a range of its own, under a name that can't be an origin's nor another range's.
  state.unreceipted[`${range.origin} from ${range.from}`] = range
}

/** Since when, for a destination that is new. */
export function sinceOf(from: 'beginning' | 'now' | string): number {
  if (from === 'beginning') return 0
  return from === 'now' ? nowMicros() : Date.parse(from) * 1000
}

export { COUNTED }
