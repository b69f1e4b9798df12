/**
 * A recorder under load in a process of its own: records until it is at the sequence asked for, never more than
 * `aheadMax` events before what ingest has committed, so that the log stays small and the disk is ingest's to fill.
 * What ingest has committed is freed at once.
 */
import { committedPosition, openRecorder } from '@custody/event-log'
import { Traffic } from '../traffic'

const environment = process.env as Record<string, string>
const directory = environment.BENCH_LOG!
const name = environment.BENCH_RECORDER!
const consumer = environment.BENCH_CONSUMER ?? 'ingest'
const aheadMax = Number(environment.BENCH_AHEAD)
const CHUNK_EVENTS = 2000

async function main(): Promise<void> {
  const recorder = await openRecorder({
    directory,
    recorder: name,
    consumers: [consumer],
    reserveBytes: 0,
    retentionBytesMax: 0,
  })
  const traffic = new Traffic(recorder, {
    fromMicros: Number(environment.BENCH_FROM_MICROS),
    stepMicros: Number(environment.BENCH_STEP_MICROS),
    // Another one after a restart, so that its sessions are others too.
    seed: recorder.status().nextSequence + 1,
  })
  let stopping = false
  let work: Promise<void> = Promise.resolve()

  async function recordUntil(sequence: number): Promise<void> {
    let committed = 0
    while (traffic.next < sequence && !stopping) {
      if (traffic.next - committed > aheadMax) {
        committed = (await committedPosition(directory, consumer, name))?.sequence ?? 0
        if (traffic.next - committed > aheadMax) {
          await new Promise((resolve) => setTimeout(resolve, 20))
          continue
        }
      }
      traffic.some(CHUNK_EVENTS)
      await recorder.recorded()
    }
    process.send?.({ next: recorder.status().nextSequence })
  }

  async function stop(): Promise<void> {
    stopping = true
    await work
    await recorder.close()
    process.exit(0)
  }

  process.on('message', (message: { until: number }) => {
    work = recordUntil(message.until)
  })
  process.on('SIGTERM', () => void stop())
  process.on('disconnect', () => void stop())
  process.send?.({ next: recorder.status().nextSequence })
}

void main()
