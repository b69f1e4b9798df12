/** The thread's own side of shipper-thread.ts. */
import { parentPort, workerData } from 'node:worker_threads'
import { createLogger, createSecrets } from '@custody/kit'
import { createKafka } from './kafka'
import type { FromThread, ThreadData, ToThread } from './shipper-thread'

const STATUS_MS = 250

const { settings, vault, logger: log, clientId, asked, ...options } = workerData as ThreadData
const logger = createLogger(log ?? { name: 'shipper' })
const kafka = createKafka({
  settings,
  secrets: createSecrets(vault, { logger }),
  logger,
  ...(clientId && { clientId }),
})
const tell = (message: FromThread) => parentPort?.postMessage(message)

const shipper = kafka.shipper({
  ...options,
  onReplicated: (next) => {
    tell({ type: 'replicated', next })
  },
})
const timer = setInterval(() => tell({ type: 'status', status: shipper.status() }), STATUS_MS)

parentPort?.on('message', async (message: ToThread) => {
  if (message.type === 'nudge') {
    Atomics.store(asked, 0, 0)
    shipper.nudge()
    return
  }
  await shipper.stop(message.msMax)
  clearInterval(timer)
  tell({ type: 'status', status: shipper.status() })
  await kafka.close()
  tell({ type: 'stopped' })
})
shipper.start()
