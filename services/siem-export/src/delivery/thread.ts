/** The thread's own side of thread-of.ts. */
import { parentPort, workerData } from 'node:worker_threads'
import { createLogger, createSecrets } from '@custody/kit'
import { assemble } from './assemble'
import type { FromThread, ThreadData, ToThread } from './thread-of'

const STATUS_MS = 500

const { context, vault } = workerData as ThreadData
const logger = createLogger({ name: `siem-${context.name}` })
const tell = (message: FromThread) => parentPort!.postMessage(message)
const waiting = new Map<number, (problem: string | undefined) => void>()
let facts = 0

const delivery = assemble(context, {
  secrets: createSecrets(vault, { logger }),
  logger,
  record: (fact) =>
    new Promise((resolve, reject) => {
      const n = ++facts
      waiting.set(n, (problem) => {
        waiting.delete(n)
        if (problem === undefined) resolve()
        else reject(new Error(problem))
      })
      tell({ type: 'fact', n, fact })
    }),
})
const tellStatus = () => {
  const { heapUsed, external } = process.memoryUsage()
  tell({ type: 'status', status: { ...delivery.status(), heapBytes: heapUsed + external } })
}
const timer = setInterval(tellStatus, STATUS_MS)

parentPort!.on('message', async (message: ToThread) => {
  if (message.type === 'recorded') return waiting.get(message.n)?.(message.problem)
  await delivery.stop(message.msMax)
  clearInterval(timer)
  tellStatus()
  tell({ type: 'stopped' })
})
delivery.start()
