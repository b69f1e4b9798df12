/** The embedded log and Kafka keep the same promises: one suite for both, Kafka's on a real broker. */
import {
  commitPosition,
  committedPosition,
  listRecorders,
  openReader,
  openRecorder,
} from '@custody/event-log'
import {
  type ConsumerUnderTest,
  eventLogContract,
  type KafkaServer,
  type LogUnderTest,
  startKafka,
  type Taken,
  temporaryDirectory,
} from '@custody/test-support'
import { settingsFor, startedKafka } from './testing'

describe('the embedded log', () => {
  test.each(eventLogContract.map((one) => [one.name, one] as const))('%s', async (_, { run }) => {
    const log = embedded()
    try {
      await run(log)
    } finally {
      await log.close()
    }
  })
})

describe('Kafka', () => {
  let server: KafkaServer
  beforeAll(async () => {
    server = await startKafka()
  })
  afterAll(() => server?.stop())

  test.each(eventLogContract.map((one) => [one.name, one] as const))('%s', async (_, { run }) => {
    const log = await inKafka(server)
    try {
      await run(log)
    } finally {
      await log.close()
    }
  })
})

function embedded(): LogUnderTest {
  const place = temporaryDirectory('contract')
  const directory = place.path
  const consumer = 'ingest'
  return {
    directory,
    async recorder(name, options) {
      const recorder = await openRecorder({
        directory,
        recorder: name,
        reserveBytes: 0,
        ...options,
      })
      // Nothing moves it: consumers read where it is written.
      const none = async () => {}
      return { recorder, hold: none, resume: none, close: () => recorder.close() }
    },
    async consumer(): Promise<ConsumerUnderTest> {
      const readers = new Map<string, ReturnType<typeof openReader>>()
      const over = async () => {
        for (const reader of readers.values()) reader.close()
      }
      return {
        async next(): Promise<Taken | null> {
          for (const recorder of await listRecorders(directory)) {
            let reader = readers.get(recorder)
            if (!reader) {
              const from = await committedPosition(directory, consumer, recorder)
              reader = openReader({ directory, recorder, ...(from && { from }) })
              readers.set(recorder, reader)
            }
            const batch = await reader.read(65_536)
            if (batch === null) continue
            return {
              messages: batch.messages,
              commit: () => commitPosition(directory, consumer, recorder, batch.next),
            }
          }
          await new Promise((resolve) => setTimeout(resolve, 10))
          return null
        },
        crash: over,
        stop: over,
      }
    },
    close: () => place.remove(),
  }
}

async function inKafka(server: KafkaServer): Promise<LogUnderTest> {
  const place = temporaryDirectory('contract')
  const directory = place.path
  const settings = settingsFor(server)
  const kafka = await startedKafka(settings)
  const consuming = new Set<Awaited<ReturnType<typeof startedKafka>>>()
  return {
    directory,
    async recorder(name, options) {
      const recorder = await openRecorder({
        ...{ directory, recorder: name, reserveBytes: 0, consumers: ['kafka'] },
        ...options,
      })
      let shipper = kafka.shipper({ directory, recorder: name })
      shipper.start()
      return {
        recorder,
        hold: () => shipper.stop(10_000),
        async resume() {
          shipper = kafka.shipper({ directory, recorder: name })
          shipper.start()
        },
        async close() {
          await recorder.close()
          await shipper.stop(10_000)
        },
      }
    },
    async consumer(): Promise<ConsumerUnderTest> {
      const own = await startedKafka(settings)
      consuming.add(own)
      const consumer = own.consumer({ group: 'contract', sliceEventsMax: 150 })
      await consumer.start()
      return {
        async next(): Promise<Taken | null> {
          const slice = await consumer.next()
          return slice && { messages: slice.messages, commit: () => consumer.commit(slice) }
        },
        // Its connections break; the group finds out by itself.
        crash: () => own.close(),
        async stop() {
          await consumer.stop()
          await own.close()
        },
      }
    },
    async close() {
      for (const one of consuming) await one.close()
      await kafka.close()
      await place.remove()
    },
  }
}
