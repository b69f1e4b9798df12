/** For tests: a home with a log in it, a destination that does as it is told, and settings as a file would have them. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { openRecorder, type Recorder } from '@custody/event-log'
import {
  createSecrets,
  type Home,
  parseConfiguration,
  prepareHome,
  type SiemDestinationSettings,
  silentLogger,
} from '@custody/kit'
import type { Path, Who } from '@custody/schemas'
import { StateFiles } from '@custody/siem-state'
import { createAlertStage, isAlertChannel } from '../alerts/stage'
import { Delivery, type Fact, sinceOf } from '../delivery/delivery'
import type { Batch, Destination, Receipt } from '../delivery/destination'
import { LogSource } from '../delivery/log-source'
import { createServe } from '../delivery/requests'
import { createRoute } from '../delivery/routing'
import type { EventSource } from '../delivery/source'
import { createWriter } from '../delivery/writers'

export const who: Who = {
  subject: 'ada',
  issuer: 'test',
  email: 'ada@example.com',
  name: 'Ada',
  groups: ['dba'],
  kind: 'human',
  method: 'token',
  tokenId: null,
  authenticatedAt: null,
  onBehalfOf: [],
}
export const path = {
  gateway: 'g',
  resource: 'orders',
  protocol: 'postgres',
  clientAddress: '10.1.2.3',
  via: [],
} as unknown as Path

export const secrets = createSecrets(undefined)

export function temporaryHome(): Home & { remove(): void } {
  const directory = mkdtempSync(join(tmpdir(), 'custody-siem-'))
  return {
    ...prepareHome(directory),
    remove: () => rmSync(directory, { recursive: true, force: true, maxRetries: 5 }),
  }
}

export function settingsOf(destination: Record<string, unknown>): SiemDestinationSettings {
  return parseConfiguration(JSON.stringify({ siem: { destinations: { one: destination } } })).siem!
    .destinations.one!
}

export function recorderIn(
  home: Home,
  o: { name?: string; segmentBytes?: number; retentionBytesMax?: number } = {},
): Promise<Recorder> {
  return openRecorder({
    directory: home.log,
    recorder: o.name ?? 'proxy-g',
    consumers: [],
    segmentBytes: o.segmentBytes ?? 1024 * 1024,
    retentionBytesMax: o.retentionBytesMax ?? 1,
  })
}

/** Answers each batch as `answer` says, and keeps what it took. */
export class Told implements Destination {
  readonly name = 'one'
  readonly acknowledges = 'stored'
  readonly batches: Batch[] = []
  readonly taken: string[] = []
  limits?: Destination['limits']
  holdings?: Destination['holdings']

  constructor(
    public answer: (batch: Batch, n: number) => Receipt | Promise<Receipt> = () => ({}),
  ) {}

  async deliver(batch: Batch): Promise<Receipt> {
    const n = this.batches.push(batch)
    const receipt = await this.answer(batch, n)
    const out = new Set([
      ...(receipt.refused ?? []).map(({ index }) => index),
      ...(receipt.again?.indices ?? []),
    ])
    batch.records.forEach(({ id }, i) => {
      if (!out.has(i)) this.taken.push(id)
    })
    return receipt
  }

  async close(): Promise<void> {}
}

export interface Made {
  delivery: Delivery
  facts: Fact[]
  files: StateFiles
}

export function deliveryTo(
  home: Home,
  destination: Destination,
  o: {
    settings?: Record<string, unknown>
    heldBytesMax?: number
    receiptsMs?: number
    source?: EventSource
    record?(fact: Fact): Promise<void>
  } = {},
): Made {
  const settings = settingsOf({
    type: 'http',
    ...(o.settings?.type === undefined && { url: 'http://127.0.0.1:1' }),
    ...o.settings,
    batch: { lingerMs: 0, ...(o.settings?.batch as object) },
  })
  const files = new StateFiles(join(home.directory, 'siem'), 'one')
  const state = files.load(() => sinceOf(settings.from))
  const facts: Fact[] = []
  const alerts = isAlertChannel(settings)
    ? createAlertStage(settings, { consoleUrl: undefined, gateway: 'g', state: state.alerts })
    : null
  const delivery = new Delivery({
    destination,
    source:
      o.source ??
      new LogSource({
        directory: home.log,
        destination: 'one',
        sliceEventsMax: settings.batch.eventsMax,
        sliceBytesMax: settings.batch.bytesMax,
        heldBytesMax: o.heldBytesMax ?? 1 << 30,
        required: settings.required,
      }),
    files,
    state,
    route: createRoute(settings, state.sinceMicros),
    writer: alerts?.writer ?? createWriter(settings, { version: '1', consoleUrl: undefined }),
    ...(alerts && { extra: () => alerts.extra(), extraState: () => alerts.state() }),
    batch: settings.batch,
    record:
      o.record ??
      (async (fact) => {
        facts.push(fact)
      }),
    receiptsMs: o.receiptsMs ?? 0,
    retryMsMin: 10,
    logger: silentLogger(),
    serve: createServe({ route: createRoute(settings, 0) }),
  })
  return { delivery, facts, files }
}

export async function until(isSo: () => boolean | Promise<boolean>): Promise<void> {
  for (;;) {
    if (await isSo()) return
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
}
