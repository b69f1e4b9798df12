/**
 * The shipper in a thread of its own, so that the process whose log it reads pays nothing for it. Begins a new thread where
 * one ended; the shipper finds out by itself what the last one did.
 */
import { join } from 'node:path'
import { Worker } from 'node:worker_threads'
import type { Logger } from '@custody/kit'
import type { Shipper, ShipperStatus, ShipperThreadOptions } from './types'

const RESTART_MS = 1000

export type ToThread = { type: 'nudge' } | { type: 'stop'; msMax: number }
export type FromThread =
  | { type: 'replicated'; next: number }
  | { type: 'status'; status: ShipperStatus }
  | { type: 'stopped' }

/** Given to the thread; `asked` is 1 while a nudge is on its way. */
export type ThreadData = Omit<ShipperThreadOptions, 'onReplicated'> & { asked: Int32Array }

export function startShipperThread(o: ShipperThreadOptions, logger?: Logger): Shipper {
  const { onReplicated, ...options } = o
  const asked = new Int32Array(new SharedArrayBuffer(4))
  let worker: Worker | null = null
  let stopped: (() => void) | null = null
  let isStopping = false
  let isStarted = false
  let status: ShipperStatus = {
    recorder: o.recorder,
    shippedSequence: 0,
    behindEvents: 0,
    behindBytes: 0,
    oldestUnshippedMs: null,
    events: 0,
    batches: 0,
    problem: null,
  }
  let counted = { events: 0, batches: 0 }

  function begin(): void {
    const before = counted
    const data: ThreadData = { ...options, asked }
    // Sources run under jest; threads are always what was built of them.
    const one = new Worker(join(__dirname, '../dist/thread.js'), { workerData: data })
    worker = one
    one.on('message', (message: FromThread) => {
      if (message.type === 'replicated') onReplicated?.(message.next)
      else if (message.type === 'status') {
        const { events, batches } = message.status
        counted = { events: before.events + events, batches: before.batches + batches }
        status = { ...message.status, ...counted }
      } else stopped?.()
    })
    one.on('error', (error) => ended(error))
    one.on('exit', (code) => {
      if (worker !== one) return
      worker = null
      if (isStopping) {
        stopped?.()
        return
      }
      ended(new Error(`the shipper's thread ended with ${code}`))
      setTimeout(begin, RESTART_MS).unref()
    })
  }

  function ended(error: unknown): void {
    logger?.error({ err: error, recorder: o.recorder }, 'the shipper’s thread failed')
    status = {
      ...status,
      problem: {
        code: 'CUSTODY-KAFKA-008',
        message: error instanceof Error ? error.message : String(error),
        sinceMs: Date.now(),
      },
    }
  }

  const post = (message: ToThread) => worker?.postMessage(message)

  return {
    start() {
      if (isStarted) return
      isStarted = true
      begin()
    },
    nudge() {
      // Once until it is heard: this is called for every turn that recorded something.
      if (worker !== null && Atomics.exchange(asked, 0, 1) === 0) post({ type: 'nudge' })
    },
    async stop(msMax) {
      isStopping = true
      const one = worker
      if (one === null) return
      const over = new Promise<void>((resolve) => {
        stopped = resolve
      })
      post({ type: 'stop', msMax })
      const timer = setTimeout(() => stopped?.(), msMax + 2000)
      await over
      clearTimeout(timer)
      await one.terminate()
    },
    status: () => status,
  }
}
