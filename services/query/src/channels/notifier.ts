/**
 * Follows the gateway's log, asks at every channel that a held command is for, and says there how it ended. What was asked
 * where is an event of this service's own log, so that a restart neither asks again nor forgets to say how it ended.
 * Every channel has its own queue and turns: one that is slow or down holds up no other.
 * Refuses to try for longer than a request lives, and to keep more waiting than a bound; both end as events.
 */
import { setMaxListeners } from 'node:events'
import { forgetConsumer, type Position, type Recorder } from '@custody/event-log'
import { type ChannelSettings, CustodyError, isCustodyError, type Logger } from '@custody/kit'
import { decodeMessage, type Event, readEnvelope, uuidBytes, uuidText } from '@custody/schemas'
import type { Store } from '../store'
import {
  BEFORE_TIMES_MAX,
  type Before,
  type Channel,
  type HeldRequest,
  type Outcome,
} from './channel'
import type { Asked, OpenRequests } from './desk'
import { earliest, Follower, type Requests } from './follower'
import { Undelivered } from './outbound'
import { type RiskOf, requestOf } from './request'

export const CONSUMER = 'notifier'
const POLL_MS = 100
const COMMIT_MS = 5000
/** Bytes of log looked through before what was found is acted on and others get their turn. */
const PASS_BATCHES_MAX = 16
/** Requests followed at once. */
const OPEN_MAX = 10_000
/** Requests that one channel may have to do with at once. */
const QUEUE_MAX = 1000
/** Tries of one channel under way at once. */
const TURNS_MAX = 4
const RETRY_MS_MIN = 1000
const RETRY_MS_MAX = 60_000
/** How long it is tried to say how a request ended. */
const SETTLE_MS_MAX = 10 * 60_000
/** After its time and this, a request has ended even if its gateway is not there to say so. */
const EXPIRY_GRACE_MS = 2000
/** What was asked before is left out of the message if the store takes longer. */
const BEFORE_MS_MAX = 120
/** What is on its way when Custody stops may arrive still, so that it is not sent once more afterwards. */
const STOP_MS_MAX = 2000
const BEFORE_DAYS = 30
const REFERENCE_CHARACTERS_MAX = 8192

const ENDS: Record<string, Outcome['state']> = {
  'approval.approved': 'approved',
  'approval.denied': 'denied',
  'approval.expired': 'expired',
  'approval.withdrawn': 'withdrawn',
}

export interface NotifierOptions {
  /** CUSTODY_HOME/log, and whose log in it the requests are in. */
  directory: string
  follows: string
  /** Instead of that log, in a cluster: the requests of all gateways. */
  requests?: Requests
  /** Of this service's own log. */
  recorder: Recorder
  gateway: string
  channels: readonly { channel: Channel; settings: ChannelSettings }[]
  store: Pick<Store, 'askedBefore'>
  riskOf: RiskOf
  logger: Logger
  pollMs?: number
  retryMsMin?: number
  /** How long the store may take to say what was asked before; longer in tests. */
  beforeMsMax?: number
}

/** How far a channel is with a request. */
type Step = 'waiting' | 'asked' | 'failed' | 'settled'

interface Part {
  channel: Channel
  step: Step
  reference: string | null
}

interface Open {
  request: HeldRequest
  /** For the event of the same request. */
  event: Event
  outcome: Outcome | null
  parts: Map<string, Part>
  gatewayAt: Position
  ownAt: Position
  /** Ends tries to ask. */
  ended: AbortController
}

export class Notifier implements OpenRequests {
  private readonly requests = new Map<string, Open>()
  private readonly queues = new Map<string, Queue>()
  private readonly gateway: Requests
  private readonly own: Follower
  /** Nothing new is begun; and then, what is under way is not waited for any longer. */
  private readonly stopping = new AbortController()
  private readonly cutting = new AbortController()
  /** What earlier processes did, by request and channel. */
  private done: Map<string, { step: Step; reference: string | null }> | null = null
  private timer: NodeJS.Timeout | null = null
  private pass: Promise<void> = Promise.resolve()
  private committedMs = 0
  private externalUrl = ''
  private troubled = false
  private isCaughtUp = false

  constructor(private readonly o: NotifierOptions) {
    const { directory } = o
    this.gateway =
      o.requests ?? new Follower({ directory, recorder: o.follows, consumer: CONSUMER })
    this.own = new Follower({ directory, recorder: o.recorder.name, consumer: CONSUMER })
    for (const { channel } of o.channels) this.queues.set(channel.name, new Queue())
    // As many listen as there are requests, which have a bound of their own.
    setMaxListeners(0, this.stopping.signal, this.cutting.signal)
  }

  asked(channel: string): Asked[] {
    this.mustBeCaughtUp()
    const found: Asked[] = []
    for (const { request, outcome, parts } of this.requests.values()) {
      const part = parts.get(channel)
      if (outcome === null && part?.step === 'asked')
        found.push({ request, reference: part.reference })
    }
    return found
  }

  open(id: string, channel: string): HeldRequest | null {
    this.mustBeCaughtUp()
    const found = this.requests.get(id)
    return found && found.outcome === null && found.parts.has(channel) ? found.request : null
  }

  /** Of what is not read yet nothing can be said; whoever calls may try again. */
  private mustBeCaughtUp(): void {
    if (!this.isCaughtUp)
      throw new CustodyError('CUSTODY-API-007', 'what is held is still being read')
  }

  /** Begins to follow, from what earlier processes did on. `externalUrl` without a slash at its end. */
  async start(externalUrl: string): Promise<void> {
    this.externalUrl = externalUrl
    await this.o.recorder.recorded('os')
    this.tick(0)
  }

  async stop(): Promise<void> {
    this.stopping.abort()
    if (this.timer) clearTimeout(this.timer)
    this.timer = null
    await this.pass
    const cut = setTimeout(() => this.cutting.abort(), STOP_MS_MAX)
    await Promise.all([...this.queues.values()].map((queue) => queue.idle()))
    clearTimeout(cut)
    if (this.isCaughtUp) await this.commit().catch(() => {})
    this.close()
  }

  private tick(afterMs = this.o.pollMs ?? POLL_MS): void {
    if (this.stopping.signal.aborted) return
    this.timer = setTimeout(() => {
      this.pass = this.once()
        .then(() => {
          this.troubled = false
        })
        .catch((error) => {
          if (!this.troubled)
            this.o.logger.error({ err: error }, 'held commands can’t be followed to be asked about')
          this.troubled = true
        })
        .finally(() => this.tick())
    }, afterMs)
  }

  /** Learns what was done before, and what has happened since. */
  private async catchUp(): Promise<void> {
    this.close()
    this.requests.clear()
    await this.own.start()
    await this.gateway.start()
    const ownAt = this.own.position
    this.done = await this.remembered()
    // All of it before anything is asked: most of what asks here has ended further on.
    while (await this.read(ownAt)) {
      await nextTurn()
      if (this.stopping.signal.aborted) return
    }
    this.done = null
    this.isCaughtUp = true
  }

  private close(): void {
    this.gateway.close()
    this.own.close()
  }

  private async once(): Promise<void> {
    if (!this.isCaughtUp) await this.catchUp()
    if (this.stopping.signal.aborted) return
    for (let i = 0; i < PASS_BATCHES_MAX && (await this.read(null)); i++);
    for (let i = 0; i < PASS_BATCHES_MAX && (await this.own.next()); i++);
    this.act()
    if (Date.now() - this.committedMs >= COMMIT_MS) await this.commit()
  }

  private async commit(): Promise<void> {
    this.committedMs = Date.now()
    const open = [...this.requests.values()]
    // What the own log holds of an open request must be read again with it, so both stay behind.
    await this.own.commit(
      earliest(
        open.map(({ ownAt }) => ownAt),
        this.own.position,
      ),
    )
    await this.gateway.commit(
      earliest(
        open.map(({ gatewayAt }) => gatewayAt),
        this.gateway.position,
      ),
    )
  }

  private async remembered() {
    const done = new Map<string, { step: Step; reference: string | null }>()
    for (let batch = await this.own.next(); batch !== null; batch = await this.own.next()) {
      await nextTurn()
      for (const message of batch.messages) {
        const { kind } = readEnvelope(message)
        if (kind !== 'approval.notified' && kind !== 'approval.notification-failed') continue
        const { approval, lifecycle } = decodeMessage(message)
        const channel = lifecycle?.attributes.channel
        if (!approval || channel === undefined) continue
        const step: Step =
          approval.state !== 'requested'
            ? 'settled'
            : kind === 'approval.notified'
              ? 'asked'
              : 'failed'
        done.set(keyOf(uuidText(approval.request), channel), {
          step,
          reference: lifecycle?.attributes.reference ?? null,
        })
      }
    }
    return done
  }

  /** One batch of the gateway's log; false at its end. `ownAt` during the first look. */
  private async read(ownAt: Position | null): Promise<boolean> {
    const batch = await this.gateway.next()
    if (batch === null) return false
    for (const message of batch.messages) {
      const { kind, session } = readEnvelope(message)
      if (kind === 'approval.requested')
        await this.requested(decodeMessage(message), batch.at, ownAt ?? this.own.position)
      else if (kind in ENDS) this.endedBy(decodeMessage(message))
      else if (kind === 'session.closed' && session !== null && this.requests.size > 0)
        this.closed(uuidText(session))
    }
    return true
  }

  private async requested(event: Event, gatewayAt: Position, ownAt: Position): Promise<void> {
    if ((event.approval?.expires ?? 0) / 1000 < Date.now()) return
    if (this.requests.size >= OPEN_MAX) {
      this.o.logger.error({ openMax: OPEN_MAX }, 'too much is held: nobody is asked at a channel')
      return
    }
    const context = { externalUrl: this.externalUrl, riskOf: this.o.riskOf }
    const request = requestOf(event, { ...context, before: null })
    if (request === null || this.requests.has(request.id)) return
    const parts = new Map<string, Part>()
    for (const { channel, settings } of this.o.channels) {
      if (!isFor(settings, request)) continue
      const before = this.done?.get(keyOf(request.id, channel.name))
      parts.set(channel.name, {
        channel,
        step: before?.step ?? 'waiting',
        reference: before?.reference ?? null,
      })
    }
    if (parts.size === 0) return
    this.requests.set(request.id, {
      request,
      event,
      outcome: null,
      parts,
      gatewayAt,
      ownAt,
      ended: new AbortController(),
    })
  }

  private endedBy(event: Event): void {
    const { approval } = event
    if (!approval) return
    const by = approval.approver?.email ?? approval.approver?.subject ?? null
    this.end(this.requests.get(uuidText(approval.request)), {
      state: ENDS[event.kind]!,
      by,
      comment: approval.approver ? approval.comment : null,
    })
  }

  private closed(session: string): void {
    for (const open of this.requests.values())
      if (open.request.session === session)
        this.end(open, { state: 'withdrawn', by: null, comment: null })
  }

  private end(open: Open | undefined, outcome: Outcome): void {
    if (!open || open.outcome !== null) return
    open.outcome = outcome
    open.ended.abort()
  }

  /** Queues what is to be done. */
  private act(): void {
    const now = Date.now()
    for (const open of this.requests.values()) {
      if (open.outcome === null && now > open.request.expires.getTime() + EXPIRY_GRACE_MS)
        this.end(open, { state: 'expired', by: null, comment: null })
      for (const part of open.parts.values()) this.queue(open, part)
      if (open.outcome !== null && [...open.parts.values()].every(isDone))
        this.requests.delete(open.request.id)
    }
  }

  private queue(open: Open, part: Part): void {
    const queue = this.queues.get(part.channel.name)!
    const key = open.request.id
    if (queue.has(key)) return
    if (open.outcome !== null && part.step === 'waiting') {
      // It ended before anybody was asked there: there is nothing to say.
      part.step = 'settled'
      return
    }
    if (part.step !== (open.outcome === null ? 'waiting' : 'asked')) return
    const added = queue.add(key, async () => {
      // By its turn the request may have ended.
      if (part.step === 'asked') await this.settle(open, part)
      else if (open.outcome === null) await this.ask(open, part)
    })
    if (!added && open.outcome === null) {
      part.step = 'failed'
      this.record(open, part, 'failed', `CUSTODY-CHANNEL-007: ${QUEUE_MAX} requests wait already`)
    }
  }

  private async ask(open: Open, part: Part): Promise<void> {
    const until = open.request.expires.getTime()
    const signal = AbortSignal.any([this.stopping.signal, open.ended.signal])
    const { channel } = part
    try {
      if (open.request.before === null)
        open.request = { ...open.request, before: await this.before(open.event) }
      // What is under way is waited for even if the request ends, so that what it made is found again and settled.
      part.reference = await this.trying(this.queues.get(channel.name)!, signal, until, () =>
        channel.ask(open.request, this.cutting.signal),
      )
      part.step = 'asked'
      this.record(open, part, 'done', null)
    } catch (error) {
      if (this.stopping.signal.aborted) return
      // Where nothing was tried there is nothing to tell; it is done with at the next look.
      if (error instanceof NotWanted) return
      part.step = 'failed'
      this.failed(open, part, error)
    }
  }

  private async settle(open: Open, part: Part): Promise<void> {
    const { channel, reference } = part
    try {
      await this.trying(
        this.queues.get(channel.name)!,
        this.stopping.signal,
        Date.now() + SETTLE_MS_MAX,
        () => channel.settle(open.request, reference, open.outcome!, this.cutting.signal),
      )
      part.step = 'settled'
      this.record(open, part, 'done', null)
    } catch (error) {
      if (this.stopping.signal.aborted) return
      part.step = 'settled'
      this.failed(open, part, error)
    }
  }

  /** Tries until it succeeds, can't, or is not wanted any more. */
  private async trying<T>(
    queue: Queue,
    signal: AbortSignal,
    untilMs: number,
    attempt: () => Promise<T>,
  ): Promise<T> {
    let ms = this.o.retryMsMin ?? RETRY_MS_MIN
    let last: unknown = new NotWanted()
    for (;;) {
      await resting(queue.notBeforeMs - Date.now(), signal)
      try {
        return await queue.turn(async () => {
          if (signal.aborted || Date.now() > untilMs) throw last
          return await attempt()
        })
      } catch (error) {
        if (!isRetryable(error) || error === last) throw error
        last = error
        const afterMs = error instanceof Undelivered ? error.again.afterMs : undefined
        if (afterMs !== undefined)
          queue.notBeforeMs = Math.max(queue.notBeforeMs, Date.now() + afterMs)
        // Half of it by chance, so that many do not come back at once; never before what the service asked for.
        const pause = (afterMs ?? 0) + ms / 2 + (Math.random() * ms) / 2
        ms = Math.min(RETRY_MS_MAX, ms * 2)
        if (signal.aborted || Date.now() + pause > untilMs) throw error
        await resting(pause, signal)
        if (signal.aborted) throw error
      }
    }
  }

  private async before(event: Event): Promise<Before | null> {
    const { who, statement, time } = event
    if (!who || !statement?.fingerprint) return null
    const asked = this.o.store
      .askedBefore({
        subject: who.subject,
        issuer: who.issuer,
        fingerprint: statement.fingerprint,
        since: time - BEFORE_DAYS * 86_400 * 1e6,
        before: time,
        limit: BEFORE_TIMES_MAX,
      })
      .catch(() => null)
    const found = await Promise.race([
      asked,
      resting(this.o.beforeMsMax ?? BEFORE_MS_MAX, this.stopping.signal),
    ])
    if (!found) return null
    const [last] = found
    const answers = (last?.answers ?? []) as { who: { email: string | null; subject: string } }[]
    const by = answers.at(-1)?.who
    return {
      times: found.length,
      last: last
        ? {
            state: String(last.state),
            time: String(last.requested),
            by: by ? (by.email ?? by.subject) : null,
          }
        : null,
    }
  }

  private failed(open: Open, part: Part, error: unknown): void {
    const { channel } = part
    // Messages of our own name no secret and no address.
    const known = isCustodyError(error)
    const reason = known
      ? `${error.code}: ${error.message}`
      : 'CUSTODY-API-008: something unexpected went wrong'
    if (known) this.o.logger.warn({ channel: channel.name, code: error.code }, error.message)
    else this.o.logger.error({ err: error, channel: channel.name }, 'a message was not delivered')
    this.record(open, part, 'failed', reason)
  }

  private record(open: Open, part: Part, how: 'done' | 'failed', reason: string | null): void {
    const { recorder, gateway } = this.o
    try {
      recorder.record({
        kind: how === 'done' ? 'approval.notified' : 'approval.notification-failed',
        parent: open.event.id,
        path: {
          ...open.event.path!,
          gateway,
        },
        approval: {
          request: uuidBytes(open.request.id),
          state:
            open.outcome !== null && part.step === 'settled' ? open.outcome.state : 'requested',
          channel: part.channel.name,
          required: open.request.required,
        },
        lifecycle: {
          state: 'changed',
          reason,
          attributes: {
            channel: part.channel.name,
            ...(part.reference !== null && {
              reference: part.reference.slice(0, REFERENCE_CHARACTERS_MAX),
            }),
          },
        },
      })
    } catch (error) {
      this.o.logger.error({ err: error }, 'that somebody was asked can’t be recorded')
    }
  }
}

/** Where no channel is configured any more, nothing may keep the logs from being freed. */
export async function forgetPositions(directory: string, recorders: string[]): Promise<void> {
  for (const recorder of recorders) await forgetConsumer(directory, CONSUMER, recorder)
}

/**
 * What one channel has to do: every request once, and so many tries at a time. Who rests until the next try gives up the
 * turn, so that requests that fail hold up none that would not; what the service asks to wait holds for all.
 */
class Queue {
  private readonly jobs = new Map<string, Promise<void>>()
  private readonly waiting: (() => void)[] = []
  private turns = 0
  notBeforeMs = 0

  has(key: string): boolean {
    return this.jobs.has(key)
  }

  add(key: string, job: () => Promise<void>): boolean {
    if (this.jobs.size >= QUEUE_MAX) return false
    this.jobs.set(
      key,
      job().finally(() => this.jobs.delete(key)),
    )
    return true
  }

  async turn<T>(attempt: () => Promise<T>): Promise<T> {
    if (this.turns < TURNS_MAX) this.turns++
    else await new Promise<void>((resolve) => this.waiting.push(resolve))
    try {
      return await attempt()
    } finally {
      const next = this.waiting.shift()
      if (next) next()
      else this.turns--
    }
  }

  async idle(): Promise<void> {
    await Promise.all(this.jobs.values())
  }
}

/** It ended, or Custody stops, before anything was tried. */
class NotWanted extends Error {}

function isFor(settings: ChannelSettings, request: HeldRequest): boolean {
  const { approvers, resources } = settings
  if (resources && !resources.includes(request.resource)) return false
  if (!approvers) return true
  return request.requirements.some((one) =>
    one.approvers.some((group) => approvers.includes(group)),
  )
}

function isDone({ step }: Part): boolean {
  return step === 'settled' || step === 'failed'
}

/** What a service asks to be tried again, and a vault that does not answer: its secrets are needed for the trying. */
function isRetryable(error: unknown): boolean {
  if (error instanceof Undelivered) return error.again.retry
  return isCustodyError(error) && error.code === 'CUSTODY-VAULT-001'
}

/** Reading a log never waits, so that others get their turn only if it is given to them. */
function nextTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}

function keyOf(request: string, channel: string): string {
  return `${request} ${channel}`
}

function resting(ms: number, signal: AbortSignal): Promise<null> {
  return new Promise((resolve) => {
    if (signal.aborted || ms <= 0) {
      resolve(null)
      return
    }
    const end = () => {
      clearTimeout(timer)
      signal.removeEventListener('abort', end)
      resolve(null)
    }
    const timer = setTimeout(end, ms)
    signal.addEventListener('abort', end)
  })
}
