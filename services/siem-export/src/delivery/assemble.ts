/** One destination's delivery, put together: source, route, writer, destination, state. The one place where they meet. */
import type {
  Configuration,
  Logger,
  Secrets,
  SiemDestinationSettings,
  SiemSettings,
} from '@custody/kit'
import { StateFiles } from '@custody/siem-state'
import { createAlertStage, isAlertChannel } from '../alerts/stage'
import { createDestination } from '../destinations'
import { Delivery, type Fact, sinceOf } from './delivery'
import { KafkaSource } from './kafka-source'
import { LogSource } from './log-source'
import { createServe } from './requests'
import { createRoute } from './routing'
import type { EventSource } from './source'
import { createWriter } from './writers'

export interface DeliveryContext {
  name: string
  settings: SiemDestinationSettings
  siem: Pick<SiemSettings, 'heldBytesMax' | 'receiptSeconds' | 'retryMsMin'>
  kafka: Configuration['kafka']
  gateway: string
  consoleUrl: string | undefined
  version: string
  /** CUSTODY_HOME/log and CUSTODY_HOME/siem */
  log: string
  directory: string
}

/** Loaded where it is needed: each destination has a thread, and this is a good part of what a thread loads. */
const kafkaOf = () =>
  require('@custody/event-log-kafka') as typeof import('@custody/event-log-kafka')

/** Memory is bounded by what is read ahead: two slices of this, and what a format makes of them. */
const SLICE_BYTES_MAX = 4 * 1024 * 1024
/** And this of one that takes several batches together. */
const TOGETHER_BYTES_MAX = 32 * 1024 * 1024

export function assemble(
  c: DeliveryContext,
  o: { secrets: Secrets; logger: Logger; record(fact: Fact): Promise<void> },
): Delivery {
  const { settings } = c
  const { secrets, logger } = o
  const destination = createDestination({ ...c, settings, secrets, logger })
  const { batch } = settings
  const { limits, together = 1 } = destination
  const slice = {
    sliceEventsMax: together * Math.min(batch.eventsMax, limits?.eventsMax ?? batch.eventsMax),
    sliceBytesMax: Math.min(
      together * batch.bytesMax,
      TOGETHER_BYTES_MAX,
      together * SLICE_BYTES_MAX,
    ),
  }
  const kafka = c.kafka && kafkaOf().createKafka({ settings: c.kafka, secrets, logger })
  const source: EventSource = kafka
    ? new KafkaSource({ kafka, group: `${kafka.settings.topicPrefix}-siem-${c.name}`, ...slice })
    : new LogSource({
        directory: c.log,
        destination: c.name,
        heldBytesMax: c.siem.heldBytesMax,
        required: settings.required,
        ...slice,
      })
  const files = new StateFiles(c.directory, c.name)
  const state = files.load(() => sinceOf(settings.from))
  const alerts = isAlertChannel(settings)
    ? createAlertStage(settings, { ...c, state: state.alerts })
    : null
  return new Delivery({
    destination: {
      ...destination,
      async close() {
        await destination.close()
        await kafka?.close()
      },
    },
    source,
    files,
    state,
    route: createRoute(settings, state.sinceMicros),
    writer: alerts?.writer ?? createWriter(settings, c),
    ...(alerts && { extra: () => alerts.extra(), extraState: () => alerts.state() }),
    batch,
    record: o.record,
    receiptsMs: c.siem.receiptSeconds * 1000,
    logger,
    retryMsMin: c.siem.retryMsMin,
    serve: createServe({ route: createRoute(settings, 0) }),
  })
}
