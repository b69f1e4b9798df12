/**
 * A delivery in a thread of its own. What it has to say for the record comes back here, since a log has one writer; it goes on
 * when that stands. A thread that ends is begun again: the log and the state have all it needs.
 */
import { join } from 'node:path'
import { Worker } from 'node:worker_threads'
import type { Configuration, Logger } from '@custody/kit'
import type { DeliveryContext } from './assemble'
import type { DeliveryStatus, Fact } from './delivery'

export type ToThread =
  | { type: 'stop'; msMax: number }
  | { type: 'recorded'; n: number; problem?: string }
export type FromThread =
  | { type: 'fact'; n: number; fact: Fact }
  | { type: 'status'; status: DeliveryStatus }
  | { type: 'stopped' }

export interface ThreadData {
  context: DeliveryContext
  vault: Configuration['vault']
}

const RESTART_MS = 1000

export function startDeliveryThread(
  context: DeliveryContext,
  o: {
    vault: Configuration['vault']
    logger: Logger
    record(fact: Fact): Promise<void>
  },
) {
  let worker: Worker | null = null
  let stopping = false
  let stopped: (() => void) | null = null
  let status: DeliveryStatus | null = null

  function begin(): void {
    const data: ThreadData = { context, vault: o.vault }
    // Sources run under jest; threads are always what was built of them.
    const one = new Worker(join(__dirname, '../../dist/delivery/thread.js'), { workerData: data })
    worker = one
    one.on('message', async (message: FromThread) => {
      if (message.type === 'status') status = message.status
      else if (message.type === 'stopped') stopped?.()
      else {
        const answer: ToThread = { type: 'recorded', n: message.n }
        try {
          await o.record(message.fact)
        } catch (error) {
          answer.problem = (error as Error).message
        }
        one.postMessage(answer)
      }
    })
    one.on('error', (error) =>
      o.logger.error({ err: error, destination: context.name }, 'a delivery’s thread failed'),
    )
    one.on('exit', (code) => {
      if (worker !== one) return
      worker = null
      if (stopping) return stopped?.()
      o.logger.error({ destination: context.name, code }, 'a delivery’s thread ended')
      if (status)
        status = {
          ...status,
          problem: {
            code: 'CUSTODY-SIEM-001',
            message: `its thread ended with ${code}`,
            sinceMs: Date.now(),
          },
        }
      setTimeout(() => stopping || begin(), RESTART_MS).unref()
    })
  }

  return {
    start: begin,
    async stop(msMax = 5000) {
      stopping = true
      const one = worker
      if (one === null) return
      const over = new Promise<void>((resolve) => {
        stopped = resolve
      })
      one.postMessage({ type: 'stop', msMax } satisfies ToThread)
      const timer = setTimeout(() => stopped?.(), msMax + 5000)
      await over
      clearTimeout(timer)
      await one.terminate()
    },
    status: (): DeliveryStatus =>
      status ?? {
        counts: {
          ...{ acknowledged: 0, bytes: 0, batches: 0, retries: 0, deadLettered: 0 },
          ...{ before: 0, filtered: 0, sampled: 0, lost: 0 },
        },
        problem: null,
        lastAcknowledgedMs: null,
        lastTimeMicros: null,
        inFlight: 0,
        lag: [],
        deadLetters: 0,
        ranges: [],
      },
  }
}
