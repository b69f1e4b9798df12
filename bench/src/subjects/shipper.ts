/**
 * The way from a recorder's log to Kafka in a process of its own, so that its CPU time can be read; in a gateway it is a
 * thread. Says how far it is.
 */
import { createKafka } from '@custody/event-log-kafka'
import { createLogger, createSecrets, loadConfiguration } from '@custody/kit'

const environment = process.env as Record<string, string>
const TELL_MS = 50

async function main(): Promise<void> {
  const configuration = loadConfiguration()
  const logger = createLogger({ name: 'shipper' })
  const secrets = createSecrets(configuration.vault, { logger })
  const kafka = createKafka({ settings: configuration.kafka!, secrets, logger })
  await kafka.ensureTopics()
  const shipper = kafka.shipper({
    directory: environment.BENCH_LOG!,
    recorder: environment.BENCH_RECORDER!,
  })
  let stopping = false
  const stop = async () => {
    if (stopping) return
    stopping = true
    await shipper.stop(0)
    await kafka.close()
    process.exit(0)
  }
  process.on('SIGTERM', () => void stop())
  process.on('disconnect', () => void stop())
  process.send?.('ready')
  process.once('message', () => {
    shipper.start()
    setInterval(() => process.send?.({ shipped: shipper.status().shippedSequence }), TELL_MS)
  })
}

void main()
