/**
 * Delivers sessions to one receiver while things go wrong, and compares what it has with what the log has.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { type Comparison, compare } from './compare'
import { Exporter } from './exporter'
import { Load, type Logged, logged } from './load'
import type { Receiver } from './receivers/receiver'
import { startRelay } from './relay'

export const FAULTS = [
  'kill-us',
  'kill-receiver',
  'cut-network',
  'storm-429',
  'storm-503',
  'half-answers',
  'full-disk',
] as const
export type Fault = (typeof FAULTS)[number]

export interface CheckOptions {
  destination: string
  start(): Promise<Receiver>
  events: number
  /** Each so many times, one after another, under load. */
  faults?: readonly Fault[]
  times?: number
  seed?: number
  /** More of the destination's settings. */
  settings?: Record<string, unknown>
  progress?(line: string): void
  settleMsMax?: number
}

export interface CheckResult extends Comparison {
  destination: string
  receiver: string
  isReal: boolean
  ordered: boolean
  faults: Record<string, number>
  /** Largest batch, in events: more copies than this per fault would break the promise. */
  batchEventsMax: number
  deadLetters: number
  msTaken: number
  /** Diagnostics, where something is not as promised. */
  log?: string
}

const NAME = 'under-test'
const BATCH_EVENTS = 500
const SETTLE_MS_MAX = 240_000
const STEP_MS_MAX = 30_000

export async function check(o: CheckOptions): Promise<CheckResult> {
  const began = Date.now()
  const progress = o.progress ?? (() => {})
  const receiver = await o.start()
  progress(`${o.destination}: ${receiver.what} is ready`)
  const relay = await startRelay(receiver.port)
  const faults = (o.faults ?? []).filter((fault) => canHave(receiver, fault))
  const isSyslog = receiver.settings(0).type === 'syslog'
  const direct = (isSyslog && faults.includes('kill-receiver')) || !usesTcp(receiver)
  const reachedAt = direct ? receiver.port : relay.port
  const eventsMax = faults.length > 0 ? BATCH_EVENTS : 2000
  // Batches that wait for the receiver's word together are repeated together.
  const { requestsMax: together = 1 } = receiver.settings(0) as { requestsMax?: number }
  const exporter = new Exporter({
    gateway: 'test',
    siem: {
      receiptSeconds: 1,
      retryMsMin: 50,
      destinations: {
        [NAME]: {
          ...receiver.settings(reachedAt),
          requestMsMax: 20_000,
          filter: { exceptKinds: ['siem', 'recorder'] },
          batch: { eventsMax, lingerMs: 50 },
          ...o.settings,
        },
      },
    },
  })
  const load = await Load.open(exporter.home, o.seed)
  const done: Record<string, number> = {}
  try {
    await exporter.start()
    const rounds = faults.flatMap((fault) => Array(o.times ?? 1).fill(fault) as Fault[])
    const share = Math.ceil(o.events / (rounds.length + 1))
    await load.say(Math.min(share, o.events))
    if (rounds.length > 0) await until(async () => (await receiver.received()).length > 0)
    for (const fault of rounds) {
      const saying = load.say(share)
      await sleep(50 + (((o.seed ?? 1) * 7919 * (1 + (done[fault] ?? 0))) % 400))
      await suffer(fault, { receiver, exporter, relay })
      done[fault] = (done[fault] ?? 0) + 1
      await saying
      progress(`${o.destination}: ${fault}, ${load.recorded} recorded`)
      // The next one shall hit delivery, and not the wait after this one.
      const before = exporter.status(NAME)?.counts.acknowledged ?? 0
      await until(async () => (exporter.status(NAME)?.counts.acknowledged ?? 0) !== before)
    }
    await load.close()
    const log = (await logged(exporter.home)).filter(isWanted)
    const received = await settled(receiver, log, o.settleMsMax ?? SETTLE_MS_MAX)
    const compared = compare(log, received, { ordered: receiver.ordered })
    const status = exporter.status(NAME)
    const isWrong = compared.missing + compared.reordered + compared.invented > 0
    return {
      destination: o.destination,
      receiver: receiver.what,
      isReal: receiver.isReal,
      ordered: receiver.ordered,
      ...compared,
      faults: done,
      batchEventsMax: eventsMax * together,
      deadLetters: status?.counts.deadLettered ?? -1,
      msTaken: Date.now() - began,
      ...(isWrong && { log: exporter.tail() }),
    }
  } finally {
    await exporter.stop()
    await relay.stop()
    await receiver.stop()
  }
}

/** Recorders' own events are not asked for here. */
function isWanted({ key }: Logged): boolean {
  return key.length === 36
}

async function suffer(
  fault: Fault,
  {
    receiver,
    exporter,
    relay,
  }: { receiver: Receiver; exporter: Exporter; relay: Awaited<ReturnType<typeof startRelay>> },
): Promise<void> {
  switch (fault) {
    case 'kill-us':
      await exporter.kill()
      await exporter.start()
      break
    case 'kill-receiver':
      await receiver.kill!()
      await sleep(200)
      await receiver.restart!()
      break
    case 'cut-network':
      relay.cut()
      await sleep(500)
      relay.mend()
      break
    case 'storm-429':
    case 'storm-503':
      relay.storm(fault === 'storm-429' ? 429 : 503, 5)
      break
    case 'half-answers':
      relay.halfAnswers(1)
      break
    case 'full-disk':
      await receiver.fill!()
      await sleep(1500)
      await receiver.empty!()
      break
  }
}

export function canHave(receiver: Receiver, fault: Fault): boolean {
  const { type } = receiver.settings(0) as { type: string }
  switch (fault) {
    case 'kill-receiver':
      return receiver.kill !== undefined
    case 'full-disk':
      return receiver.fill !== undefined
    case 'storm-429':
    case 'storm-503':
    case 'half-answers':
      return type !== 'syslog' && type !== 'kafka' && usesTcp(receiver)
    case 'cut-network':
      return usesTcp(receiver)
    default:
      return true
  }
}

/** Kafka's clients go where its brokers say they are, and datagrams know no connection. */
function usesTcp(receiver: Receiver): boolean {
  const { type, transport } = receiver.settings(0) as { type: string; transport?: string }
  return type !== 'kafka' && transport !== 'udp'
}

/** Or until it has taken long enough: what comes next is worth trying all the same. */
async function until(isSo: () => Promise<boolean>): Promise<void> {
  const deadline = Date.now() + STEP_MS_MAX
  while (!(await isSo()) && Date.now() < deadline) await sleep(100)
}

/** Until nothing is missing, or it comes no nearer. */
async function settled(
  receiver: Receiver,
  log: readonly Logged[],
  msMax: number,
): Promise<string[]> {
  const wanted = new Set(log.map(({ id }) => id))
  const deadline = Date.now() + msMax
  let received: string[] = []
  let had = -1
  let still = Date.now()
  for (;;) {
    received = await receiver.received()
    const left = wanted.size - new Set(received.filter((id) => wanted.has(id))).size
    if (left === 0 || Date.now() > deadline) return received
    if (received.length !== had) still = Date.now()
    else if (Date.now() - still > 45_000) return received
    had = received.length
    await sleep(250)
  }
}
